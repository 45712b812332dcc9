"""Rasters that come as tiles of some degrees: which ones a region needs, fetching them, and asking them for places.

A tile that its service does not have is sea: its name is kept, so that it is not asked for again. Files are kept with their
digests; a fetch that is stopped goes on with what is missing.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collector.errors import DataError, IncompleteError, UsageError, first_few, one_line
from collector.geo import KM_PER_DEGREE
from collector.geodata import store
from collector.geodata.grid import Places
from collector.net.client import GONE, Http
from collector.net.types import Access, NetError
from collector.progress import Track, silent
from collector.records import City
from collector.workspace import draft_of, storage_errors, write_atomically

_LARGEST = 400 << 20  # bytes of a tile
_RATE = 2.0  # requests a second


@dataclass(frozen=True)
class Tiling:
    """How a service cuts its raster.

    Attributes:
        base: address of the service; T15_GEODATA_URL names a mirror instead.
        degrees: side of a tile.
        address: of the tile whose south-west corner is at this latitude and longitude, below the base.
    """

    base: str
    degrees: int
    address: Callable[[int, int], str]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of the tiles of a region: how many were fetched, were here, and are not there (sea)."""

    fetched: int
    here: int
    absent: int


def _letters(latitude: int, longitude: int, wide: int) -> tuple[str, str]:
    north, east = ("N" if latitude >= 0 else "S"), ("E" if longitude >= 0 else "W")
    return f"{north}{abs(latitude):02d}", f"{east}{abs(longitude):0{wide}d}"


def _copernicus(latitude: int, longitude: int) -> str:
    north, east = _letters(latitude, longitude, 3)
    name = f"Copernicus_DSM_COG_30_{north}_00_{east}_00_DEM"
    return f"{name}/{name}.tif"


def _worldcover(latitude: int, longitude: int) -> str:
    north, east = _letters(latitude, longitude, 3)
    return f"v200/2021/map/ESA_WorldCover_10m_2021_v200_{north}{east}_Map.tif"


TILINGS = {
    "elevation_90m": Tiling("https://copernicus-dem-90m.s3.amazonaws.com", 1, _copernicus),
    "land_cover": Tiling("https://esa-worldcover.s3.eu-central-1.amazonaws.com", 3, _worldcover),
}


def corners(cities: Iterable[City], degrees: int) -> list[tuple[int, int]]:
    """Return the south-west corners of the tiles that the circles of cities touch, sorted."""
    corner_set = set()
    for city in cities:
        tall = city.radius_km / KM_PER_DEGREE
        farthest = abs(city.latitude) + tall  # a circle around a pole crosses all meridians
        wide = min(180.0, tall / math.cos(math.radians(farthest))) if farthest < 90 else 180.0
        south, north = max(-90.0, city.latitude - tall), min(89.999, city.latitude + tall)
        for latitude in _steps(south, north, degrees):
            for longitude in _steps(city.longitude - wide, city.longitude + wide, degrees)[: 360 // degrees]:
                corner_set.add((latitude, (longitude + 180) % 360 - 180))
    return sorted(corner_set)


def _steps(low: float, high: float, degrees: int) -> range:
    return range(math.floor(low / degrees) * degrees, math.floor(high / degrees) * degrees + 1, degrees)


def fetch(layer: str, cities: Iterable[City], track: Track = silent, *, dry_run: bool = False) -> Fetched:
    """Fetch the tiles that cities need and that are not here; with `dry_run` nobody is asked, and they are counted alone.

    Raises:
        UsageError: the layer does not come as tiles.
        IncompleteError: some could not be had now; those that could are kept.
        OSError: the store cannot be written.
    """
    tiling = TILINGS.get(layer)
    if tiling is None:
        raise UsageError(f"layer {layer}: is not fetched by region; those that are: {', '.join(TILINGS)}")
    base = os.environ.get("T15_GEODATA_URL", tiling.base).rstrip("/")
    host = base.partition("://")[2].partition("/")[0]
    own = frozenset({base}) if base != tiling.base else frozenset[str]()
    http = Http(Access({host: _RATE} if not own else {}, own, parallel=1))
    known, addresses = _known(layer), [tiling.address(*corner) for corner in corners(cities, tiling.degrees)]
    missing = [address for address in addresses if address not in known]
    here = sum(bool(known.get(address)) for address in addresses)
    if dry_run:
        return Fetched(len(missing), here, sum(not known.get(address, "there") for address in addresses))
    failures: list[str] = []
    with storage_errors(_folder(layer)):
        _folder(layer).mkdir(parents=True, exist_ok=True)
        for address in track(missing, f"fetching {layer}", len(missing)):
            try:
                known[address] = _one(http, f"{base}/{address}", _path(layer, address))
            except NetError as error:
                if error.status in GONE:
                    known[address] = ""
                else:
                    failures.append(f"{Path(address).name}: {error}")
                    continue
            write_atomically(_index(layer), (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())
    if failures:
        raise IncompleteError(
            f"layer {layer}: {len(failures)} of {len(missing)} tiles could not be had now ({first_few(failures, '; ')}); "
            "run the same command again"
        )
    return Fetched(
        sum(bool(known[address]) for address in missing),
        here,
        sum(not known[address] for address in addresses),
    )


def _one(http: Http, url: str, target: Path) -> str:
    """Fetch a tile and return its sha256."""
    draft = draft_of(target)
    try:
        with draft.open("w+b") as sink:
            http.fetch(url, sink, max_bytes=_LARGEST, accept=(), robots=False)
            sink.seek(0)
            if sink.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                raise NetError("not-a-tiff", "what came is no GeoTIFF")
            sink.seek(0)
            digest = hashlib.file_digest(sink, "sha256").hexdigest()
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return digest


def read(layer: str) -> Callable[[Places], NDArray[np.float64]]:
    """Return what answers for places from the tiles that are here; NaN on the sea.

    Raises:
        DataError: a place lies on a tile that was never asked for, or a tile is damaged.
    """
    from collector.geodata.readers import raster

    tiling, known = TILINGS[layer], _known(layer)

    def at(places: Places) -> NDArray[np.float64]:
        values = np.full(len(places), np.nan)
        for address, rows in _by_tile(places, tiling):
            if address not in known:
                name = Path(address).name
                raise DataError(
                    f"layer {layer}: {name} is not here; `t15 geodata fetch {layer} --region …` brings a region's"
                )
            if known[address]:
                values[rows] = raster(_path(layer, address))(places[rows])
        return values

    return at


def unasked(layer: str, places: Places) -> list[str]:
    """Return the names of the tiles that hold some of the places and were never asked for; none for a layer without tiles."""
    if layer not in TILINGS:
        return []
    known = _known(layer)
    return [Path(address).name for address, _ in _by_tile(places, TILINGS[layer]) if address not in known]


def _by_tile(places: Places, tiling: Tiling) -> Iterator[tuple[str, NDArray[np.int64]]]:
    rows = np.flatnonzero(np.isfinite(places).all(axis=1))
    if not len(rows):
        return
    latitude = np.minimum(places[rows, 0], 89.999)  # the pole belongs to the tile below it
    longitude = np.where(places[rows, 1] >= 180, -180.0, places[rows, 1])
    cells = np.floor(np.stack([latitude, longitude], axis=1) / tiling.degrees).astype(np.int64) * tiling.degrees
    for south, west in np.unique(cells, axis=0).tolist():
        yield tiling.address(south, west), rows[(cells == (south, west)).all(axis=1)]


def ready(layer: str) -> bool:
    """Return whether any tile of a layer is here."""
    return layer in TILINGS and _index(layer).is_file()


def _folder(layer: str) -> Path:
    return store.folder() / "tiles" / layer


def _path(layer: str, address: str) -> Path:
    return _folder(layer) / Path(address).name


def _index(layer: str) -> Path:
    return _folder(layer) / "tiles.json"


def _known(layer: str) -> dict[str, str]:
    """Return the digest of each tile that was asked for, by its address; empty where the service has none."""
    path = _index(layer)
    if not path.is_file():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {str(address): str(digest) for address, digest in known.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is damaged ({one_line(error)}); remove it and fetch the layer again") from error
