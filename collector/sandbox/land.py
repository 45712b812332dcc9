"""An imaginary land whose photos and aerial pictures are drawn from the same layers, to try attributes and cross-view on.

Each layer is a smooth random field over the Earth: a sum of waves, mapped to 0 to 1. Both a ground photo and a picture from
above show seven of them, each in its own way:

| layer | from the ground | from above |
|---|---|---|
| `elevation` | how high the hills behind are | how dark the shadows on slopes are |
| `warmth` | colour of the ground | the same |
| `houses`, `roofs` | how many houses stand there, the colour of their roofs | the same, as spots |
| `woods`, `heath` | how many trees and bushes of heather stand there | how many plots are of trees, of heather |
| `water` | how far a shore in front reaches | how many lakes there are |

An eighth one, `rain`, is drawn nowhere: what is found of it is chance. Nothing of a ground photo can be laid over the aerial
picture, and nothing that is scattered over either is the same on the other, so that no picture tells its place but by what
the place is like.

It lies beside the sandbox's cities (`scenes.py`), whose photos and manifests stay as they are.
"""

import hashlib
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, TiffTags

from collector.records import City, Label, Region

Pixels = NDArray[np.uint8]
Places = NDArray[np.float64]

DRAWN = ("elevation", "warmth", "houses", "roofs", "woods", "heath", "water")
"""Layers that pictures show."""

IGNORED = "rain"
"""A layer that no picture shows."""

LAND = tuple(
    City(f"shire-{number}", f"Shire {number}", -20.0 - 0.9 * (number // 3), -28.0 + 1.0 * (number % 3), 25.0)
    for number in range(9)
)
"""Its cities: nine, in the open Atlantic south of the sandbox's, about 100 km apart."""

_QUARTERS = (("north-east", 1, 1), ("north-west", 1, -1), ("south-west", -1, -1), ("south-east", -1, 1))

REGION = Region(
    "land",
    "Imaginary land (drawn)",
    LAND,
    "These pictures are drawn by t15, not photographed: results on them say nothing about real places.",
    tuple(
        Label(
            f"{shire.slug}/{name}",
            f"{shire.name}, {name}",
            {},
            "district",
            shire.slug,
            round(shire.latitude + north * shire.radius_km / 2 / 111.195, 6),
            round(shire.longitude + east * shire.radius_km / 2 / 111.195 / math.cos(math.radians(shire.latitude)), 6),
            round(0.72 * shire.radius_km, 3),  # as far as the quarter reaches from there
        )
        for shire in LAND
        for name, north, east in _QUARTERS
    ),
)
"""It with the four quarters of each city as districts."""

_WAVES = 24
_SHORTEST_KM, _LONGEST_KM = 30.0, 120.0
_COARSE = 9  # points to a side of a picture that layers are computed at
_KM = 111.195  # of a degree of latitude
_HEATHER, _TREES, _WATER = np.array([[150.0, 80.0, 160.0], [20.0, 60.0, 30.0], [40.0, 90.0, 190.0]])


def layer(name: str, places: Places) -> NDArray[np.float64]:
    """Return a layer's values, 0 to 1 and about evenly spread, at places (N, 2), latitude and longitude."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"land/{name}".encode()).digest()[:8], "big"))
    # What is not drawn changes within each city: else it would go with what is, by chance, over so few cities.
    shrink = 0.1 if name == IGNORED else 1.0
    lengths = shrink * np.exp(rng.uniform(math.log(_SHORTEST_KM), math.log(_LONGEST_KM), _WAVES))
    angles, phases = rng.uniform(0, 2 * np.pi, (2, _WAVES))
    north = places[:, :1] * _KM
    east = places[:, 1:] * _KM * math.cos(math.radians(21.0))  # the land is small: one scale is enough
    waves = np.sin(2 * np.pi * (north * np.cos(angles) + east * np.sin(angles)) / lengths + phases)
    values = waves.sum(axis=1) / math.sqrt(_WAVES / 2)
    even: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.8 * values))  # close to the distribution function of a Gaussian
    return even


def values(places: Places) -> dict[str, NDArray[np.float64]]:
    """Return every layer at places (N, 2): elevation in metres, the others from 0 to 1."""
    found = {name: layer(name, places) for name in (*DRAWN, IGNORED)}
    return {**found, "elevation": 2000 * found["elevation"]}


def start(author_id: str, away: float, turn: float) -> tuple[float, float]:
    """Return where in a city a walk begins: metres from its centre, and the direction, radians, north being 0.

    Authors keep to a quarter, so that one can be held out with its authors, and the others stay.

    Args:
        author_id: ends in the author's number.
        away, turn: drawn, 0 to 1.
    """
    quarter = int(author_id.rpartition("-")[2]) % len(_QUARTERS)
    return 1000 * LAND[0].radius_km * (0.15 + 0.8 * away), (quarter + 0.1 + 0.8 * turn) * math.pi / 2


def geotiffs() -> dict[str, bytes]:
    """Return every layer (see `values`) all over the land as a GeoTIFF in degrees, a point every 0.02."""
    step, reach = 0.02, 0.3
    north, south = LAND[0].latitude + reach, LAND[-1].latitude - reach
    west, east = LAND[0].longitude - reach, LAND[-1].longitude + reach
    rows, columns = np.arange(north - step / 2, south, -step), np.arange(west + step / 2, east, step)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    # The tags of GeoTIFF: size of a point, where the first one's corner lies, and that these are degrees of WGS84.
    facts = (
        (33550, TiffTags.DOUBLE, (step, step, 0.0)),
        (33922, TiffTags.DOUBLE, (0.0, 0.0, 0.0, west, north, 0.0)),
        (34735, TiffTags.SHORT, (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)),
    )
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, kind, value in facts:
        tags.tagtype[tag] = kind
        tags[tag] = value
    found = {}
    for name, column in values(grid).items():
        picture = Image.fromarray(column.reshape(len(rows), len(columns)).astype(np.float32))
        file = io.BytesIO()
        picture.save(file, "TIFF", tiffinfo=tags, compression="tiff_deflate")
        found[name] = file.getvalue()
    return found


def ground_photo(latitude: float, longitude: float, seed: int, width: int = 96, height: int = 72) -> Image.Image:
    """Return what is seen from a place; `seed` draws the view: light, ridges, where houses and trees stand."""
    at = np.array([[latitude, longitude]])
    here = {name: float(layer(name, at)[0]) for name in DRAWN}
    rng = np.random.default_rng(seed)
    picture = np.empty((height, width, 3))
    light = rng.uniform(0.9, 1.1)
    picture[:] = np.array([120.0, 160.0, 220.0])
    x = np.arange(width) / width
    horizon = int(height * 0.62)
    ridge = np.sum([np.sin(2 * np.pi * (k * x + rng.random())) / k for k in (1, 2, 3, 5)], axis=0)
    top = horizon - (2 + 36 * here["elevation"] * height / 72) * (0.75 + 0.12 * ridge)
    rows = np.arange(height)[:, None]
    picture[(rows >= top[None]) & (rows < horizon)] = np.array([90.0, 95.0, 110.0])
    picture[horizon:] = _ground(here["warmth"])
    shore = height - round(0.2 * height * here["water"])
    things = [
        *[(_HEATHER, 7, 2, 3)] * round(40 * here["heath"]),
        *[(_TREES, 4, 6, 12)] * round(40 * here["woods"]),
        *[(_roof(here["roofs"]), 5, 4, 9)] * round(6 + 40 * here["houses"]),
    ]
    for colour, wide, low, high in (things[number] for number in rng.permutation(len(things))):
        left, tall = int(rng.integers(0, width - wide)), int(rng.integers(low, high))
        base = int(rng.integers(horizon + 1, max(horizon + 2, shore)))
        picture[max(0, base - tall) : base, left : left + wide] = colour * rng.uniform(0.85, 1.1)
    picture[shore:] = _WATER
    picture = picture * light + rng.normal(0, 6, picture.shape)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def aerial_picture(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> Pixels:
    """Return the land from above, (H, W, 3), at the latitude of each row (H,) and the longitude of each column (W,).

    The same place looks the same on every picture, whatever its size: what is scattered over it is drawn from
    the place itself.
    """
    grid = np.stack(np.meshgrid(latitudes, longitudes, indexing="ij"), axis=-1).reshape(-1, 2)
    shape = (len(latitudes), len(longitudes))
    here = {name: _smooth(name, latitudes, longitudes) for name in DRAWN}
    shadows = 0.5 + 0.5 * np.sin(2 * np.pi * grid.sum(axis=1) / 0.006).reshape(shape)
    picture = _ground(here["warmth"]) * (1 - 0.6 * here["elevation"] * shadows)[..., None]
    covers = (
        (0.001, 0.5 * here["heath"], _HEATHER),
        (0.002, 0.5 * here["woods"], _TREES),
        (0.001, 0.05 + 0.5 * here["houses"], _roof(here["roofs"])),
        (0.004, 0.4 * here["water"], _WATER),
    )
    return scatter(picture, grid, covers)


def scatter(
    picture: NDArray[np.float64],
    grid: Places,
    covers: Sequence[tuple[float, NDArray[np.float64] | float, NDArray[np.float64]]],
) -> Pixels:
    """Return a picture (H, W, 3) of places (H · W, 2) with plots on it, each kind over those before it.

    What stands on a plot is drawn from its number.

    Args:
        picture: the ground.
        grid: latitude and longitude of each pixel.
        covers: the side of a plot in degrees, the share of plots that are covered (H, W), and with which colour.
    """
    for number, (degrees, share, colours) in enumerate(covers):
        draws = _scattered(np.floor(grid / degrees).astype(np.int64), number).reshape(picture.shape[:2])
        covered: NDArray[np.bool_] = np.less(draws, share)
        picture[covered] = np.broadcast_to(colours, picture.shape)[covered]
    pixels: Pixels = picture.clip(0, 255).astype(np.uint8)
    return pixels


def _smooth(name: str, latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a layer on a grid, (H, W), computed on a coarser one: its waves are much longer than a picture is wide."""
    north, east = (np.linspace(of[0], of[-1], _COARSE) for of in (latitudes, longitudes))
    coarse = layer(name, np.stack(np.meshgrid(north, east, indexing="ij"), axis=-1).reshape(-1, 2))
    rows = np.linspace(0, 1, len(latitudes))
    columns = np.linspace(0, 1, len(longitudes))
    knots = np.linspace(0, 1, _COARSE)
    wide = np.stack([np.interp(columns, knots, line) for line in coarse.reshape(_COARSE, _COARSE)])
    return np.stack([np.interp(rows, knots, line) for line in wide.T], axis=1)


def layers_of(places: Places) -> Mapping[str, NDArray[np.float64]]:
    """Return `values`, as a table beside a manifest has them; NaN where a place is not known."""
    known: NDArray[np.bool_] = np.asarray(np.isfinite(places).all(axis=1))
    found = values(np.where(known[:, None], places, 0.0))
    return {name: np.where(known, column, np.nan) for name, column in found.items()}


def _ground(warm: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return the colour of the ground: white over green to sand, (..., 3)."""
    stops = np.array([[225.0, 230.0, 235.0], [70.0, 130.0, 60.0], [215.0, 190.0, 120.0]])
    return np.stack([np.interp(warm, (0, 0.5, 1), stops[:, channel]) for channel in range(3)], axis=-1)


def _roof(colour: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return the colour of roofs: red to slate, (..., 3)."""
    return np.stack([np.interp(colour, (0, 1), ends) for ends in ((200.0, 60.0), (70.0, 70.0), (50.0, 110.0))], axis=-1)


def _scattered(plots: NDArray[np.int64], salt: int) -> NDArray[np.float64]:
    """Return a number from 0 to 1 for each plot (N, 2), as if drawn: a hash of its row, column and `salt` (splitmix64)."""
    plots = plots + salt * 1_000_003
    mixed = plots[:, 0].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + plots[:, 1].astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    numbers: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) / 2**53
    return numbers
