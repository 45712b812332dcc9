"""Photos in shards: tar files of many photos each, which are read at the places that their index names.

A folder of shards, of a file system or of an object store (`stores`), holds `train-000000.tar` and so on, as WebDataset
reads them (each photo beside a `.json` of its row); `index.json`, the list of shards in the form of WebDataset's wids, each
with its sha256; and `photos.parquet`, where in which shard each photo lies, by the sha256 of its original, with the sha256
of what lies there (metadata may be taken out). `collector/publishing/shards.py` writes them. A few
bytes of each photo are in memory, photos are read one at a time.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from collector.errors import DataError, UsageError
from collector.images.stores import Folder, folder_at
from collector.workspace import Workspace

if TYPE_CHECKING:  # pyarrow is not needed for photos that lie in no shard
    import pyarrow as pa

INDEX = "index.json"
PLACES = "photos.parquet"


def columns_of_places() -> "pa.Schema":
    """Return the columns of `photos.parquet`, whose rows are as the photos lie.

    `sha256` is the original's, `file_sha256` that of what lies there.
    """
    import pyarrow as pa

    texts, numbers = ("sha256", "photo_id", "split", "shard", "file_sha256"), ("offset", "bytes")
    kinds = {**dict.fromkeys(texts, pa.string()), **dict.fromkeys(numbers, pa.int64())}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


@dataclass(frozen=True, slots=True, eq=False)
class Shards:
    """An open folder of shards.

    Attributes:
        folder: where it lies.
        manifest: name, version and digest of the manifest whose photos they are.
        names: of the shards.
        sides: of each shard, `train`, `val` or `test`.
        digests: (N,) sha256 of the originals, 32 bytes each, sorted.
        shard, offset, size: (N,) where the photos lie.
        file_digests: (N,) sha256 of what lies there.
    """

    folder: Folder
    manifest: dict[str, str]
    names: tuple[str, ...]
    sides: tuple[str, ...]
    digests: NDArray[np.bytes_]
    shard: NDArray[np.int32]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    file_digests: NDArray[np.bytes_]

    def _row_of(self, sha256: str) -> int | None:
        try:
            wanted = np.frombuffer(bytes.fromhex(sha256), "S32") if len(sha256) == 64 else None
        except ValueError:
            wanted = None
        if wanted is None or not len(self.digests):
            return None
        at = int(np.searchsorted(self.digests, wanted[0]))
        return at if at < len(self.digests) and self.digests[at] == wanted[0] else None

    def holds(self, sha256: str) -> bool:
        """Return whether the photo with these original bytes is in a shard."""
        return self._row_of(sha256) is not None

    def place(self, sha256: str) -> tuple[int, int] | None:
        """Return in which of the shards (`names`) a photo lies and where; None where it is in none."""
        at = self._row_of(sha256)
        return None if at is None else (int(self.shard[at]), int(self.offset[at]))

    def read(self, sha256: str) -> bytes:
        """Return a photo's file.

        Raises:
            DataError: it is in no shard, the shard is missing, or its bytes are not those of the index.
        """
        at = self._row_of(sha256)
        if at is None:
            raise DataError(f"{self.folder}: no shard holds the photo of sha256 {sha256[:12]}…")
        name = self.names[self.shard[at]]
        try:
            data = self.folder.read(name, int(self.offset[at]), int(self.size[at]))
        except FileNotFoundError as error:
            raise DataError(
                f"{self.folder}/{name}: is missing; write the shards again with `t15 export --shards`"
            ) from error
        if hashlib.sha256(data).digest().rstrip(b"\0") != self.file_digests[at]:
            raise DataError(
                f"{self.folder}/{name}: damaged: the photo of sha256 {sha256[:12]}… is not what the index says"
            )
        return data


def open_shards(place: Path | str) -> Shards:
    """Open a folder of shards, by its path or its address in a store.

    Raises:
        UsageError: there are none, or the store cannot be used.
        DataError: the index is damaged.
    """
    folder = folder_at(place)
    try:
        index = folder.read(INDEX)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{folder}: holds no {INDEX}; `t15 export MANIFEST --shards DIR` writes shards") from error
    import pyarrow as pa

    try:
        return _read(folder, index)
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{folder}: its index is damaged ({error}); write the shards again") from error


def _read(folder: Folder, written: bytes) -> Shards:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    columns = columns_of_places()
    index = json.loads(written)
    names, sides = ([str(of[key]) for of in index["shardlist"]] for key in ("url", "split"))
    manifest = {name: str(index["manifest"][name]) for name in ("name", "version", "digest")}
    table = pq.read_table(pa.BufferReader(folder.read(PLACES)), columns=columns.names)
    if table.schema != columns or any("/" in name or "\\" in name for name in names):
        raise ValueError("columns or names are not those of shards")
    shard = pc.index_in(table["shard"], pa.array(names, pa.string())).combine_chunks()
    if shard.null_count:
        raise ValueError("a photo lies in a shard that is not listed")
    digests, files = (_digests(table[name]) for name in ("sha256", "file_sha256"))
    order = np.argsort(digests, kind="stable")
    offset, size = (table[name].to_numpy()[order] for name in ("offset", "bytes"))
    return Shards(
        folder=folder,
        manifest=manifest,
        names=tuple(names),
        sides=tuple(sides),
        digests=digests[order],
        shard=np.asarray(shard, dtype=np.int32)[order],
        offset=offset,
        size=size,
        file_digests=files[order],
    )


def _digests(column: "pa.ChunkedArray") -> NDArray[np.bytes_]:
    """Return digests (N,) of 32 bytes; numpy compares them without the zeros at their ends, which is the same order."""
    parts = [np.frombuffer(bytes.fromhex("".join(chunk.to_pylist())), "S32") for chunk in column.chunks if len(chunk)]
    whole: NDArray[np.bytes_] = np.concatenate(parts) if parts else np.empty(0, "S32")
    if len(whole) != len(column):
        raise ValueError("a digest has not 64 hex digits")
    return whole


@cache
def _opened(place: Path | str, _written: int) -> Shards:
    return open_shards(place)


def shards_of(workspace: Workspace) -> Shards | None:
    """Return the shards that a workspace takes photos from, opened once; None where it has none.

    Raises:
        UsageError, DataError: as `open_shards`.
    """
    if workspace.shards is None:
        return None
    return _opened(workspace.shards, folder_at(workspace.shards).stamp(INDEX))


def has_photo(workspace: Workspace, sha256: str) -> bool:
    """Return whether a photo's file is in the workspace or in its shards."""
    shards = shards_of(workspace)
    return bool(shards and shards.holds(sha256)) or workspace.photo(sha256).is_file()


def stored_photo(workspace: Workspace, sha256: str) -> Path | bytes:
    """Return a photo's file: where it lies in the workspace, or, where its shards have it, the bytes.

    Raises:
        DataError: a shard is missing or damaged.
    """
    shards = shards_of(workspace)
    return shards.read(sha256) if shards and shards.holds(sha256) else workspace.photo(sha256)
