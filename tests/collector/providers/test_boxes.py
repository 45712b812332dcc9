"""Boxes that cover a city: nothing left out, nothing in vain, nothing too large."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.geo import KM_PER_DEGREE, distance_km
from collector.providers.base import Cell
from collector.providers.boxes import cover, distance_to_box_km
from collector.records import City


def city(latitude: float, longitude: float, radius_km: float) -> City:
    return City("x", "X", latitude, longitude, radius_km)


def around(place: City, bearing: float, km: float) -> tuple[float, float]:
    """Return the point at a distance and bearing (radians): the direct problem on the sphere."""
    phi, lam, arc = math.radians(place.latitude), math.radians(place.longitude), km / 6371.0088
    sine = math.sin(phi) * math.cos(arc) + math.cos(phi) * math.sin(arc) * math.cos(bearing)
    latitude = math.asin(max(-1.0, min(1.0, sine)))
    turn = math.atan2(
        math.sin(bearing) * math.sin(arc) * math.cos(phi), math.cos(arc) - math.sin(phi) * math.sin(latitude)
    )
    return math.degrees(latitude), (math.degrees(lam + turn) + 540) % 360 - 180


def holds(cell: Cell, latitude: float, longitude: float, slack: float = 1e-9) -> bool:
    return cell.south - slack <= latitude <= cell.north + slack and cell.west - slack <= longitude <= cell.east + slack


latitudes = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, -89.9, 0.0, 41.0, 89.9, 90.0]))
longitudes = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, -179.99, 0.0, 179.99, 180.0]))


@given(latitudes, longitudes, st.floats(0.5, 120), st.floats(0, 2 * math.pi), st.floats(0, 1), st.booleans())
def test_every_point_of_the_city_is_in_a_box(
    latitude: float, longitude: float, radius: float, bearing: float, share: float, is_in_degrees: bool
) -> None:
    place = city(latitude, longitude, radius)
    boxes = cover(place, 40.0, 0.7 if is_in_degrees else 180.0)
    point = around(place, bearing, radius * share * 0.9999)
    assert any(holds(box, *point) for box in boxes)


@given(latitudes, longitudes, st.floats(0.5, 120))
def test_boxes_keep_their_limits(latitude: float, longitude: float, radius: float) -> None:
    place = city(latitude, longitude, radius)
    for box in cover(place, 18.0):
        assert -180 <= box.west < box.east <= 180
        assert -90 <= box.south < box.north <= 90
        assert (box.north - box.south) * KM_PER_DEGREE <= 18.001
        nearest = 0 if box.south <= 0 <= box.north else min(abs(box.south), abs(box.north))
        assert (box.east - box.west) * KM_PER_DEGREE * math.cos(math.radians(nearest)) <= 18.001
        assert distance_to_box_km(place, box) <= radius


@pytest.mark.parametrize("pole", [90, -90])
def test_behind_the_pole(pole: int) -> None:
    place = city(pole * 0.999, 20.0, 50)
    boxes = cover(place, 18.0)
    for bearing in range(0, 360, 5):
        point = around(place, math.radians(bearing), 49.9)
        assert any(holds(box, *point) for box in boxes)


def test_degrees_are_limited_too() -> None:
    boxes = cover(city(60.2, 24.9, 30), 10.0, 0.09)
    assert max((box.east - box.west) * (box.north - box.south) for box in boxes) < 0.01


def test_corners_that_the_circle_does_not_reach_are_left_out() -> None:
    place = city(41.0082, 28.9784, 60)
    boxes = cover(place, 18.0)
    assert len(boxes) == 45  # of the 7 × 7 around the circle
    assert len(set(boxes)) == len(boxes)
    assert sum(1 for box in boxes if holds(box, 41.0082, 28.9784, slack=0)) == 1


def test_a_small_city_is_one_box() -> None:
    assert len(cover(city(41.0, 29.0, 5), 18.0)) == 1


@pytest.mark.parametrize(
    ("box", "km"),
    [
        (Cell(28, 40, 30, 42), 0.0),
        (Cell(28, 42, 30, 43), KM_PER_DEGREE),
        (Cell(28, 39, 30, 40), KM_PER_DEGREE),
        (Cell(30, 40, 31, 42), distance_km(41, 29, 41.003775, 30)),  # a great circle bulges to the pole
        (Cell(30, 42, 31, 43), distance_km(41, 29, 42, 30)),
    ],
)
def test_distance_to_a_box(box: Cell, km: float) -> None:
    assert distance_to_box_km(city(41, 29, 1), box) == pytest.approx(km, abs=1e-3)
