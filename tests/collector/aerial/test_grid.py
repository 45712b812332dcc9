"""Tiles of the web grid: against known ones, the formulas turned round, and circles by brute force."""

import math

import numpy as np
import pytest

from collector.aerial.grid import HALF_M, Tile, centres_of, ground_m, tile_at, tiles_of
from collector.geo import distances_km
from collector.records import City


def test_known_tiles() -> None:
    assert tile_at(41.0082, 28.9784, 10) == Tile(10, 594, 383)  # İstanbul, as the addresses of public maps have it
    assert tile_at(0, 0, 1) == Tile(1, 1, 1)
    assert tile_at(85.06, -180, 3) == Tile(3, 0, 0)
    assert tile_at(-90, 180, 3) == Tile(3, 0, 7)  # 180° is -180°
    assert Tile(0, 0, 0).metres == pytest.approx((-HALF_M, -HALF_M, HALF_M, HALF_M))


def test_latitude_comes_first() -> None:
    with pytest.raises(ValueError, match="latitude -90 to 90 comes first"):
        tile_at(128.97, 41.0, 10)


def test_a_tile_holds_its_centre_and_its_box_fits_its_metres() -> None:
    rng = np.random.default_rng(0)
    for latitude, longitude in np.stack([rng.uniform(-84, 84, 50), rng.uniform(-180, 180, 50)], axis=1).tolist():
        tile = tile_at(latitude, longitude, 12)
        assert tile_at(*tile.centre, 12) == tile
        south, west, north, east = tile.box
        assert south <= latitude <= north
        assert west <= longitude <= east
        x, y = math.radians(west) * 6378137.0, math.asinh(math.tan(math.radians(south))) * 6378137.0
        assert tile.metres[:2] == pytest.approx((x, y), abs=1e-3)


@pytest.mark.parametrize(
    "city",
    [City("a", "A", 39.9, 32.8, 15.0), City("b", "B", -17.0, 179.99, 20.0), City("c", "C", 84.9, 10.0, 15.0)],
)
def test_circles_are_those_of_brute_force_also_across_the_date_line(city: City) -> None:
    found = tiles_of([city, city], 11)
    count = 2**11
    middle = tile_at(city.latitude, city.longitude, 11)
    everywhere = [Tile(11, x, y) for x in range(count) for y in range(max(0, middle.y - 8), min(count, middle.y + 9))]
    centres = centres_of(everywhere)
    km = distances_km(centres[:, 0], centres[:, 1], city.latitude, city.longitude)
    assert set(found) - {middle} == {t for t, of in zip(everywhere, km, strict=True) if of <= city.radius_km} - {middle}
    assert middle in found
    assert found == sorted(set(found))


def test_how_wide_a_tile_is() -> None:
    assert ground_m(39.0, 14) == pytest.approx(1900, rel=0.02)
    assert ground_m(0.0, 0) == pytest.approx(40_075_017, rel=1e-6)
