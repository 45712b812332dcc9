"""A manifest's photos and what layers say of their places: a table beside the manifest, never part of its digest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from collector.errors import DataError, UsageError, one_line
from collector.geodata.grid import Places
from collector.geodata.layers import Layer, facts
from collector.manifest.manifest import Manifest
from collector.workspace import draft_of

NAME = "geodata.parquet"
"""Of the table, in the manifest's folder."""

_ABOUT = b"t15.geodata"


@dataclass(frozen=True)
class Attributes:
    """What layers say of a manifest's photos.

    Attributes:
        columns: of each layer its value by row of the manifest: float64 with NaN, or names with None.
        layers: what is said of each layer: source, licence and so on.
    """

    columns: Mapping[str, NDArray[Any]]
    layers: Mapping[str, Mapping[str, Any]]


def places_of_rows(manifest: Manifest) -> Places:
    """Return latitude and longitude of each row, (N, 2); NaN where a photo has none."""
    columns = (manifest.table[name].to_numpy(zero_copy_only=False) for name in ("latitude", "longitude"))
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def look_up(manifest: Manifest, layers: Sequence[Layer]) -> Attributes:
    """Return what layers say of a manifest's photos.

    Raises:
        UsageError: no photo has a place, or a layer's data are not here.
    """
    places = places_of_rows(manifest)
    if not np.isfinite(places).all(axis=1).any():
        header = manifest.header
        raise UsageError(f"{header.name} {header.version}: no photo has coordinates, so nothing can be looked up")
    return Attributes({of.name: of.values(places) for of in layers}, {of.name: facts(of) for of in layers})


def write(manifest: Manifest, attributes: Attributes, path: Path) -> None:
    """Write attributes as Parquet, with whose data they are and the manifest's digest in its metadata.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {name: pa.array(column, from_pandas=True) for name, column in attributes.columns.items()}
    table = pa.table({"photo_id": manifest.table["photo_id"], **arrays})
    about = {"manifest": manifest.digest, "layers": attributes.layers}
    table = table.replace_schema_metadata({_ABOUT: json.dumps(about, ensure_ascii=False).encode()})
    draft = draft_of(path)
    try:
        pq.write_table(table, draft, compression="zstd")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read(manifest: Manifest, path: Path) -> Attributes | None:
    """Return what `write` wrote for this manifest; None where there is no table.

    Raises:
        DataError: the table is damaged, or another manifest's.
    """
    if not path.is_file():
        return None
    again = "`t15 geodata add` makes it anew"
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[_ABOUT])
        digest, layers = about["manifest"], about["layers"]
        if digest == manifest.digest and table["photo_id"].to_pylist() == manifest.table["photo_id"].to_pylist():
            columns = {name: _column(table[name]) for name in layers}
            return Attributes(columns, layers)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{path}: is damaged ({one_line(error)}); {again}") from error
    raise DataError(f"{path}: is of another version of the manifest; {again}")


def _column(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
    return np.array([*column.to_pylist(), None], dtype=object)[:-1]
