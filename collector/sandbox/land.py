"""An imaginary land whose photos and aerial pictures are drawn from the same layers, to try attributes and cross-view on.

Each layer is a smooth random field over the Earth: a sum of waves, mapped to 0 to 1. A ground photo shows three of them:
how high the hills behind it are (`elevation`), how warm the ground's colour is (`warmth`), how many houses stand there
(`houses`). A fourth one, `rain`, is drawn nowhere: what is found of it is chance. A picture from above shows the same three:
shadows on slopes, the colour of the ground, roofs. Nothing of a ground photo can be laid over the aerial picture; only the
layers are shared.

This is no part of the sandbox's world (`scenes.py`), whose manifests stay as they are.
"""

import hashlib
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from collector.records import City

Pixels = NDArray[np.uint8]
Places = NDArray[np.float64]

DRAWN = ("elevation", "warmth", "houses")
"""Layers that pictures show."""

IGNORED = "rain"
"""A layer that no picture shows."""

LAND = tuple(
    City(f"shire-{number}", f"Shire {number}", -20.0 - 0.9 * (number // 3), -28.0 + 1.0 * (number % 3), 25.0)
    for number in range(9)
)
"""Its cities: nine, in the open Atlantic south of the sandbox's, about 100 km apart."""

_WAVES = 24
_SHORTEST_KM, _LONGEST_KM = 45.0, 220.0
_COARSE = 9  # points to a side of a picture that layers are computed at
_KM = 111.195  # of a degree of latitude


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


def ground_photo(latitude: float, longitude: float, seed: int, width: int = 96, height: int = 72) -> Image.Image:
    """Return what is seen from a place; `seed` draws the view: light, ridges, where houses stand."""
    at = np.array([[latitude, longitude]])
    high, warm, built = (float(layer(name, at)[0]) for name in DRAWN)
    rng = np.random.default_rng(seed)
    picture = np.empty((height, width, 3))
    light = rng.uniform(0.9, 1.1)
    sky = np.array([120.0, 160.0, 220.0]) * light
    picture[:] = sky
    x = np.arange(width) / width
    horizon = int(height * 0.62)
    ridge = np.sum([np.sin(2 * np.pi * (k * x + rng.random())) / k for k in (1, 2, 3, 5)], axis=0)
    top = horizon - (2 + 36 * high * height / 72) * (0.75 + 0.12 * ridge)
    rows = np.arange(height)[:, None]
    picture[(rows >= top[None]) & (rows < horizon)] = np.array([90.0, 95.0, 110.0]) * light
    picture[horizon:] = _ground(warm) * light
    for _ in range(round(36 * built)):
        left, tall = int(rng.integers(0, width - 5)), int(rng.integers(4, 9))
        base = int(rng.integers(horizon, height))
        picture[max(0, base - tall) : base, left : left + 5] = np.array([190.0, 80.0, 60.0]) * rng.uniform(0.8, 1.1)
    picture += rng.normal(0, 6, picture.shape)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def aerial_picture(latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]) -> Pixels:
    """Return the land from above, (H, W, 3), at the latitude of each row (H,) and the longitude of each column (W,).

    The same place looks the same on every picture, whatever its size: what is scattered over it is drawn from
    the place itself.
    """
    grid = np.stack(np.meshgrid(latitudes, longitudes, indexing="ij"), axis=-1).reshape(-1, 2)
    shape = (len(latitudes), len(longitudes))
    high, warm, built = (_smooth(name, latitudes, longitudes) for name in DRAWN)
    # Plots of about 100 m: what stands on one is drawn from its number.
    plots = np.floor(grid / 0.001).astype(np.int64)
    draws = _scattered(plots).reshape(shape)
    picture = _ground(warm)
    shadows = 0.5 + 0.5 * np.sin(2 * np.pi * grid.sum(axis=1) / 0.006).reshape(shape)
    picture = picture * (1 - 0.6 * high * shadows)[..., None]
    roofs: NDArray[np.bool_] = np.less(draws, 0.05 + 0.75 * built)
    picture[roofs] = np.array([190.0, 80.0, 60.0]) * (0.8 + 0.3 * draws[roofs] / 0.8)[:, None]
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


def _scattered(plots: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a number from 0 to 1 for each plot (N, 2), as if drawn: a hash of its row and column (splitmix64)."""
    mixed = plots[:, 0].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + plots[:, 1].astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    numbers: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) / 2**53
    return numbers
