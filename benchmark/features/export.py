"""Vectors of a manifest's photos as a file that other tools read: npz or Parquet, in the manifest's order, side by side."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmark.features.vectors import Tower
from benchmark.photos import Photos, PhotoStore, photos_of
from collector.manifest.manifest import Manifest
from collector.records import SPLITS
from collector.workspace import draft_of

Vectors = NDArray[Any]

_ROWS = 4096  # vectors of a row group


def write_vectors(tower: Tower, manifest: Manifest, store: PhotoStore, out: Path) -> tuple[int, int]:
    """Write `photo_id`, `side` and `vector` of every photo; return how many there are, and the values of each.

    `out` ends in .npz (arrays of these names) or .parquet (columns; a vector is a list of fixed length); both say network,
    weights, pooling, size and manifest as JSON. The file appears when it is whole.

    Raises:
        DataError: photos do not decode, or a vector does not fit the number format.
        OSError: the file cannot be written.
    """
    sides = [photos_of(manifest, split, store) for split in SPLITS]
    vectors = [tower.embed(photos) for photos in sides]
    facts = {
        "backbone": tower.backbone,
        "weights": str(tower.weights_digest),
        "pooling": tower.pooling,
        "size": str(tower.size),
        "manifest": manifest.digest,
    }
    draft = draft_of(out)
    try:
        if out.suffix.lower() == ".npz":
            _write_npz(draft, sides, vectors, facts)
        else:
            _write_parquet(draft, sides, vectors, facts)
        draft.replace(out)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return sum(map(len, sides)), vectors[0].shape[1]


def _write_npz(file: Path, sides: list[Photos], vectors: list[Vectors], facts: dict[str, str]) -> None:
    ids, names = _names(sides)
    small = {"photo_id": np.array(ids), "side": np.array(names), "about": np.array(json.dumps(facts))}
    shape = (len(ids), vectors[0].shape[1])
    header = {"descr": np.lib.format.dtype_to_descr(vectors[0].dtype), "fortran_order": False, "shape": shape}
    with ZipFile(file, "w") as archive:  # as np.savez writes it, block by block: vectors may be more than memory holds
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        with archive.open("vector.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for of in vectors:
                for at in range(0, len(of), _ROWS):
                    member.write(np.ascontiguousarray(of[at : at + _ROWS]).tobytes())


def _write_parquet(file: Path, sides: list[Photos], vectors: list[Vectors], facts: dict[str, str]) -> None:
    width, values = vectors[0].shape[1], pa.from_numpy_dtype(vectors[0].dtype)
    columns = [("photo_id", pa.string()), ("side", pa.string()), ("vector", pa.list_(values, width))]
    schema = pa.schema(columns, metadata={"t15": json.dumps(facts)})
    with pq.ParquetWriter(file, schema) as writer:
        for photos, of in zip(sides, vectors, strict=True):
            for at in range(0, len(photos), _ROWS):
                block = np.ascontiguousarray(of[at : at + _ROWS])
                lists = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), width)
                ids = list(photos.ids[at : at + _ROWS])
                writer.write_table(pa.table([ids, [photos.side] * len(ids), lists], schema=schema))


def _names(sides: list[Photos]) -> tuple[list[str], list[str]]:
    return [name for of in sides for name in of.ids], [of.side for of in sides for _ in of.ids]
