"""The usual grid of web maps: Mercator (EPSG:3857), cut into 2^z × 2^z tiles from the north-west corner."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.geo import KM_PER_DEGREE, distances_km
from collector.records import City

HIGHEST = 85.0511287798066
"""Degrees of latitude that the grid reaches to."""

HALF_M = 20_037_508.342789244
"""Half the width of the projected Earth, metres of EPSG:3857."""


class Tile(NamedTuple):
    """A tile: zoom, column from the west, row from the north."""

    z: int
    x: int
    y: int

    @property
    def centre(self) -> tuple[float, float]:
        """Latitude and longitude of its centre."""
        return _latitude(self.y + 0.5, self.z), (self.x + 0.5) / 2**self.z * 360 - 180

    @property
    def box(self) -> tuple[float, float, float, float]:
        """South, west, north, east, in degrees."""
        west, east = (edge / 2**self.z * 360 - 180 for edge in (self.x, self.x + 1))
        return _latitude(self.y + 1, self.z), west, _latitude(self.y, self.z), east

    @property
    def metres(self) -> tuple[float, float, float, float]:
        """West, south, east, north, in metres of EPSG:3857."""
        side = 2 * HALF_M / 2**self.z
        return (
            self.x * side - HALF_M,
            HALF_M - (self.y + 1) * side,
            (self.x + 1) * side - HALF_M,
            HALF_M - self.y * side,
        )


def _latitude(row: float, zoom: int) -> float:
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * row / 2**zoom))))


def tile_at(latitude: float, longitude: float, zoom: int) -> Tile:
    """Return the tile that holds a place; at the poles the grid's last row, at 180° its first column.

    Raises:
        ValueError: a place out of range: latitude comes first.
    """
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError(f"{latitude}, {longitude}: latitude -90 to 90 comes first, then longitude -180 to 180")
    count = 2**zoom
    held = math.radians(max(-HIGHEST, min(HIGHEST, latitude)))
    row = (1 - math.asinh(math.tan(held)) / math.pi) / 2 * count
    return Tile(zoom, int((longitude + 180) / 360 * count) % count, max(0, min(count - 1, int(row))))


def tiles_of(cities: Iterable[City], zoom: int) -> list[Tile]:
    """Return the tiles whose centre lies in the circle of a city, and the one that holds its centre; sorted, each once."""
    found: set[Tile] = set()
    for city in cities:
        tall = city.radius_km / KM_PER_DEGREE
        south, north = max(-HIGHEST, city.latitude - tall), min(HIGHEST, city.latitude + tall)
        wide = min(180.0, tall / max(0.01, math.cos(math.radians(max(abs(south), abs(north))))))
        rows = range(tile_at(north, 0, zoom).y, tile_at(south, 0, zoom).y + 1)
        count = 2**zoom
        first = math.floor((city.longitude - wide + 180) / 360 * count)
        last = math.floor((city.longitude + wide + 180) / 360 * count)
        columns = range(first, min(last, first + count - 1) + 1)
        tiles = [Tile(zoom, x % count, y) for y in rows for x in columns]
        centres = centres_of(tiles)
        km = distances_km(centres[:, 0], centres[:, 1], city.latitude, city.longitude)
        found |= {tile for tile, of in zip(tiles, km.tolist(), strict=True) if of <= city.radius_km}
        found.add(tile_at(city.latitude, city.longitude, zoom))
    return sorted(found)


def centres_of(tiles: Iterable[Tile]) -> NDArray[np.float64]:
    """Return latitude and longitude of the centres of tiles, (N, 2)."""
    return np.array([tile.centre for tile in tiles], np.float64).reshape(-1, 2)


def ground_m(latitude: float, zoom: int) -> float:
    """Return how wide a tile is on the ground, metres."""
    return float(2 * HALF_M / 2**zoom * math.cos(math.radians(latitude)))
