"""A manifest's photos and what layers say of their places: a table beside the manifest, never part of its digest.

Beside it a map: what layers say of places all over the manifest's region, whether photos were taken there or not.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from collector.errors import DataError, UsageError, one_line
from collector.geo import KM_PER_DEGREE, distances_km
from collector.geodata.grid import Places
from collector.geodata.layers import Layer, facts
from collector.manifest.manifest import Manifest
from collector.records import City
from collector.workspace import replacing

NAME = "geodata.parquet"
"""Of the table, in the manifest's folder."""

MAP = "geodata-map.parquet"
"""Of the map, beside it."""

OF_A_CITY = 100
"""Places of the map that a city's circle holds, about."""

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


@dataclass(frozen=True)
class RegionMap:
    """What layers say of places (M, 2), latitude and longitude, all over a region."""

    places: Places
    columns: Mapping[str, NDArray[Any]]


def map_places(cities: Sequence[City], of_a_city: int = OF_A_CITY) -> Places:
    """Return places on a square grid in the circle of each city, about so many each, (M, 2); none is of two cities."""
    found: list[Places] = []
    for number, city in enumerate(cities):
        reach = round(math.sqrt(of_a_city / math.pi))
        step = city.radius_km / max(1, reach)
        north, east = (of.ravel() * step for of in np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"))
        inside = np.hypot(north, east) <= city.radius_km
        latitude = city.latitude + north[inside] / KM_PER_DEGREE
        wide = KM_PER_DEGREE * max(0.01, math.cos(math.radians(city.latitude)))
        longitude = (city.longitude + east[inside] / wide + 180) % 360 - 180
        places = np.stack([latitude.clip(-90, 90), longitude], axis=1)
        for other in cities[:number]:
            km = distances_km(places[:, 0], places[:, 1], other.latitude, other.longitude)
            places = places[km > other.radius_km]
        found.append(places)
    return np.concatenate([np.empty((0, 2)), *found])


def places_of_rows(manifest: Manifest) -> Places:
    """Return latitude and longitude of each row, (N, 2); NaN where a photo has none."""
    columns = (manifest.table[name].to_numpy(zero_copy_only=False) for name in ("latitude", "longitude"))
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def places_asked(manifest: Manifest) -> Places:
    """Return the places that layers are asked about: those of the photos, and those of the map, (N, 2)."""
    return np.concatenate([places_of_rows(manifest), map_places(manifest.header.cities)])


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
    write_columns(manifest, {"photo_id": manifest.table["photo_id"]}, attributes.columns, attributes.layers, path)


def write_map(manifest: Manifest, layers: Sequence[Layer], path: Path, of_a_city: int = OF_A_CITY) -> int:
    """Write what layers say all over a manifest's region, as `write` does; return of how many places.

    Raises:
        UsageError, DataError: a layer cannot be asked there.
        OSError: it cannot be written.
    """
    places = map_places(manifest.header.cities, of_a_city)
    columns = {of.name: of.values(places) for of in layers}
    where = {"latitude": pa.array(places[:, 0]), "longitude": pa.array(places[:, 1])}
    write_columns(manifest, where, columns, {of.name: facts(of) for of in layers}, path)
    return len(places)


def write_columns(
    manifest: Manifest,
    first: Mapping[str, Any],
    columns: Mapping[str, NDArray[Any]],
    layers: Mapping[str, Mapping[str, Any]],
    path: Path,
) -> None:
    """Write a table of layers' values as Parquet, with the manifest's digest and what the layers are in its metadata.

    Args:
        manifest: that it lies beside.
        first: the columns that say what a row is about, by name.
        columns: the values of each layer, (N,); NaN or None where a layer knows nothing.
        layers: facts of each layer, such as its source and licence.
        path: of the file.

    Raises:
        OSError: it cannot be written.
    """
    arrays = {
        name: pa.array(column, pa.string() if column.dtype == object else pa.float64(), from_pandas=True)
        for name, column in columns.items()
    }
    table = pa.table({**first, **arrays})
    about = {"manifest": manifest.digest, "layers": layers}
    table = table.replace_schema_metadata({_ABOUT: json.dumps(about, ensure_ascii=False).encode()})
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def read(manifest: Manifest, path: Path) -> Attributes | None:
    """Return what `write` wrote for this manifest; None where there is no table.

    Raises:
        DataError: the table is damaged, or another manifest's.
    """
    found = _read(manifest, path, "photo_id")
    if found is None:
        return None
    table, columns, layers = found
    if table["photo_id"].to_pylist() != manifest.table["photo_id"].to_pylist():
        raise DataError(f"{path}: is of another version of the manifest; {_AGAIN}")
    return Attributes(columns, layers)


def read_map(manifest: Manifest, path: Path) -> RegionMap | None:
    """Return what `write_map` wrote for this manifest; None where there is none.

    Raises:
        DataError: the map is damaged, or another manifest's.
    """
    found = _read(manifest, path, "latitude", "longitude")
    if found is None:
        return None
    table, columns, _ = found
    places = np.stack([np.asarray(_column(table[name]), np.float64) for name in ("latitude", "longitude")], axis=1)
    if not np.isfinite(places).all() or (np.abs(places) > (90, 180)).any():
        raise DataError(f"{path}: is damaged (a place out of range); {_AGAIN}")
    return RegionMap(places, columns)


_AGAIN = "`t15 geodata add` makes it anew"


def _read(
    manifest: Manifest, path: Path, *needed: str
) -> tuple[pa.Table, dict[str, NDArray[Any]], Mapping[str, Mapping[str, Any]]] | None:
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[_ABOUT])
        digest, layers = about["manifest"], about["layers"]
        for name in needed:
            table[name]
        if digest == manifest.digest:
            return table, {name: _column(table[name]) for name in layers}, layers
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{path}: is damaged ({one_line(error)}); {_AGAIN}") from error
    raise DataError(f"{path}: is of another version of the manifest; {_AGAIN}")


def _column(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_floating(column.type):
        return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)
    return np.array([*column.to_pylist(), None], dtype=object)[:-1]
