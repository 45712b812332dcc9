"""A manifest's photos as shards: tar files that WebDataset streams and t15 reads at random (`collector.images.shards`).

Each side has shards of its own. Within a side photos lie in the order of their sha256, which is as good as drawn, so that a
stream of whole shards is mixed already. The same manifest and files give the same bytes: names, times and owners in the tar
say nothing of the machine. A photo is `<number>.jpg` (or .png, .webp) and `<number>.json`, its row. What a licence does not
allow to be passed on stays out, and metadata is taken out of files, unless the originals are asked for.
"""

import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from collector.errors import DataError, UsageError
from collector.images.shards import INDEX, PLACES, columns_of_places
from collector.images.stores import Folder, folder_at, is_address
from collector.manifest.manifest import Manifest
from collector.progress import Track, silent
from collector.publishing.image_folder import row_as_json, why_left_out
from collector.publishing.with_photos import REASONS, Gate
from collector.records import SPLITS
from collector.workspace import Workspace, storage_errors

SHARD_BYTES = 256 * 1000 * 1000
"""Bytes that a shard has at most, unless one photo alone has more."""

_ROWS = 4096  # rows in memory at a time
_BLOCK = tarfile.BLOCKSIZE
_SHARD = re.compile(rf"({'|'.join(SPLITS)})-\d{{6,}}\.tar")  # what this module calls its files, and removes
_PLACE = ("sha256", "photo_id", "split", "shard", "offset", "bytes", "file_sha256")


@dataclass(frozen=True, slots=True)
class Sharded:
    """What was written: shards, photos by side, bytes, and how many photos stayed out, by reason (a key of REASONS)."""

    shards: int
    photos: Mapping[str, int]
    bytes: int
    left_out: Mapping[str, int]


def write_shards(
    manifest: Manifest,
    workspace: Workspace,
    out: Path | str,
    *,
    shard_bytes: int = SHARD_BYTES,
    originals: bool = False,
    redistributable: Collection[str] = (),
    track: Track = silent,
) -> Sharded:
    """Write shards into `out`, a new or empty folder or one that holds the very same ones; its index is written last.

    `out` may be an address of a store (`s3://bucket/name`): each shard is written here first, and put there whole.

    Args:
        manifest: the data set.
        workspace: where the photos lie.
        out: the folder's path or address.
        shard_bytes: that a shard may have.
        originals: the files as they are, whatever their licence: for one's own use.
        redistributable: licences of the publisher's own that allow passing photos on.
        track: shows how far it is.

    Raises:
        UsageError: the folder holds something else.
        DataError: no photo may be passed on, or none is in the workspace.
        IncompleteError: the disk is full, or the store cannot be reached.
    """
    folder = folder_at(out)
    _check(folder, manifest)
    gate = Gate(manifest, workspace, redistributable, originals=originals)
    left_out = dict.fromkeys(REASONS, 0)
    written = Path(tempfile.gettempdir() if is_address(out) else out)
    with storage_errors(written), ExitStack() as files:
        writer = _Writer(folder, shard_bytes, files)
        for side in SPLITS:
            writer.begin(side)
            for row in track(_rows(manifest, side), f"photos of {side}", _count(manifest, side)):
                picture = gate.picture(row["photo_id"], row["license"], row["sha256"])
                if isinstance(picture, str):
                    left_out[picture] += 1
                else:
                    writer.add(row, picture.content, picture.suffix)
        writer.close()
        reasons = {reason: count for reason, count in left_out.items() if count}
        if not writer.shards:
            brings = "; `t15 rehydrate` brings them" if "missing" in reasons else ""
            raise DataError(f"{out}: no photo of {manifest.header.name} is written ({why_left_out(reasons)}){brings}")
        writer.finish()
        own = {name for name in folder.names() if _SHARD.fullmatch(name)}
        for name in own - {str(of["url"]) for of in writer.shards}:
            folder.remove(name)  # of a run that was killed, under other options
        with folder.writing(INDEX) as file:
            file.write(_index(manifest, writer, reasons, originals=originals))
    photos = {side: sum(of["nsamples"] for of in writer.shards if of["split"] == side) for side in SPLITS}
    return Sharded(len(writer.shards), photos, sum(of["filesize"] for of in writer.shards), reasons)


def _check(out: Folder, manifest: Manifest) -> None:
    held = out.names()
    if foreign := [name for name in sorted(held) if name not in (INDEX, PLACES) and not _SHARD.fullmatch(name)]:
        raise UsageError(f"{out}: holds other things ({foreign[0][:60]}); name a new folder")
    if INDEX in held:
        try:
            digest = json.loads(out.read(INDEX))["manifest"]["digest"]
        except (OSError, ValueError, KeyError, TypeError):
            digest = None
        if digest != manifest.digest:
            raise UsageError(f"{out}: holds shards of another manifest; name a new folder")


def _rows(manifest: Manifest, side: str) -> Iterator[dict[str, Any]]:
    """Yield a side's rows in the order of their sha256, some at a time."""
    table = manifest.rows
    at = pa.array(pc.indices_nonzero(pc.equal(table["split"], side)))
    order = at.take(pc.sort_indices(table["sha256"].take(at)))  # stable: equal bytes stay in the manifest's order
    for start in range(0, len(order), _ROWS):
        yield from table.take(order.slice(start, _ROWS)).to_pylist()


def _count(manifest: Manifest, side: str) -> int:
    return sum(sides[side] for sides in manifest.counts().values())


def _index(manifest: Manifest, writer: "_Writer", left_out: Mapping[str, int], *, originals: bool) -> bytes:
    header = manifest.header
    content = {
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "name": f"{header.name}-{header.version}",
        "shardlist": writer.shards,
        "manifest": {"name": header.name, "version": header.version, "digest": manifest.digest},
        "classes": [city.slug for city in header.cities],
        "originals": originals,
        "left_out": left_out,
        "photos_sha256": hashlib.sha256(writer.folder.read(PLACES)).hexdigest(),
    }
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


@dataclass
class _Writer:
    """Writes one shard after the other, each whole or not at all, and the table of places."""

    folder: Folder
    most: int
    files: ExitStack
    shards: list[dict[str, Any]] = field(default_factory=list)
    _side: str = ""
    _number: int = 0
    _photos: int = 0
    _all: int = 0
    _open: ExitStack | None = None
    _file: BinaryIO | None = None
    _digest: Any = None
    _length: int = 0
    _places: list[tuple[Any, ...]] = field(default_factory=list)
    _table: pq.ParquetWriter | None = None
    _table_open: ExitStack = field(default_factory=ExitStack)

    def begin(self, side: str) -> None:
        self.close()
        self._side, self._number = side, 0

    def add(self, row: Mapping[str, Any], content: bytes, suffix: str) -> None:
        """Add a photo; begins a shard where this one would grow too long."""
        record = row_as_json(row).encode()
        length = 2 * _BLOCK + _padded(len(content)) + _padded(len(record))
        if self._file is not None and self._length + length + 2 * _BLOCK > self.most:
            self.close()
        if self._file is None:
            self._begin_shard()
        key = f"{self._all:09d}"
        offset = self._length + _BLOCK
        self._write(_member(key + suffix, content))
        self._write(_member(key + ".json", record))
        place = (row["sha256"], row["photo_id"], self._side, self._name, offset, len(content))
        self._places.append((*place, hashlib.sha256(content).hexdigest()))
        self._photos += 1
        self._all += 1
        if len(self._places) >= _ROWS:
            self._flush()

    @property
    def _name(self) -> str:
        return f"{self._side}-{self._number:06d}.tar"

    def _begin_shard(self) -> None:
        self._open = ExitStack()
        self._file = self._open.enter_context(self.folder.writing(self._name))
        self.files.push(self._open)
        self._digest, self._length, self._photos = hashlib.sha256(), 0, 0

    def _write(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(data)
        self._digest.update(data)
        self._length += len(data)

    def close(self) -> None:
        """Close the shard under way."""
        if self._file is None or self._open is None:
            return
        self._write(bytes(2 * _BLOCK))
        self._open.close()
        self.shards.append(
            {
                "url": self._name,
                "nsamples": self._photos,
                "filesize": self._length,
                "sha256": self._digest.hexdigest(),
                "split": self._side,
            }
        )
        self._file, self._open = None, None
        self._number += 1

    def _flush(self) -> None:
        if self._table is None:
            self.files.push(self._table_open)
            file = self._table_open.enter_context(self.folder.writing(PLACES))
            self._table = pq.ParquetWriter(file, columns_of_places(), compression="zstd")
        rows = [dict(zip(_PLACE, place, strict=True)) for place in self._places]
        self._table.write_table(pa.Table.from_pylist(rows, schema=columns_of_places()))
        self._places.clear()

    def finish(self) -> None:
        """Close the table of places."""
        self._flush()
        if self._table is not None:
            self._table.close()
        self._table_open.close()


def _padded(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK


def _member(name: str, content: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o644, 0
    data = io.BytesIO()
    data.write(info.tobuf(tarfile.USTAR_FORMAT))
    data.write(content)
    data.write(bytes(_padded(len(content)) - len(content)))
    return data.getvalue()
