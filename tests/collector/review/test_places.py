"""The map shows every photo, where it was taken."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.geo import distance_km
from collector.records import City
from collector.review.places import SIDE, Placed, plot

CITY = City("ankara", "Ankara", 39.92, 32.85, 25.0)


def at(name: str, latitude: float | None, longitude: float | None, verdict: str | None = None) -> Placed:
    return Placed(name, latitude, longitude, verdict)


def test_north_is_up_and_east_is_right() -> None:
    found = plot([at("north", 40.02, 32.85), at("east", 39.92, 32.95), at("middle", 39.92, 32.85)], CITY)
    spots = {spot.photo_ids[0]: spot for spot in found.spots}
    assert (spots["middle"].x, spots["middle"].y) == (500, 500)
    assert spots["north"].x == 500
    assert spots["north"].y < 500
    assert spots["east"].x > 500
    assert spots["east"].y == 500


def test_distances_on_the_map_are_those_on_the_ground() -> None:
    found = plot([at("a", 40.02, 32.99)], CITY)
    (spot,) = found.spots
    km = math.hypot(spot.x - 500, spot.y - 500) / found.ring * CITY.radius_km
    assert km == pytest.approx(distance_km(CITY.latitude, CITY.longitude, 40.02, 32.99), rel=0.005)
    assert found.scale / found.scale_km == pytest.approx(found.ring / CITY.radius_km)
    assert found.scale_km == 10


def test_photos_of_one_place_are_one_spot() -> None:
    found = plot([at(f"{n}", 39.92, 32.85) for n in range(30)] + [at("alone", 40.0, 32.9)], CITY)
    assert [len(spot.photo_ids) for spot in found.spots] == [30, 1]
    assert found.spots[0].r > found.spots[1].r
    assert len({spot.name for spot in found.spots}) == 2


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        (["keep", "keep"], "keep"),
        (["keep", None], "undecided"),
        (["reject", None], "undecided"),
        (["keep", "reject"], "against"),
        (["wrong-city"], "against"),
    ],
)
def test_a_spot_tells_what_is_to_do(verdicts: list[str | None], state: str) -> None:
    found = plot([at(f"{n}", 39.92, 32.85, verdict) for n, verdict in enumerate(verdicts)], CITY)
    assert [spot.state for spot in found.spots] == [state]


def test_what_is_far_away_or_nowhere_is_counted() -> None:
    found = plot([at("here", 39.9, 32.8), at("sydney", -33.9, 151.2), at("a", None, None), at("b", 39.9, None)], CITY)
    assert [spot.photo_ids for spot in found.spots] == [("here",)]
    assert (found.beyond, found.unplaced) == (("sydney",), 2)


def test_across_the_date_line() -> None:
    found = plot(
        [at("west", -17.0, 179.99), at("east", -17.0, -179.99)], City("taveuni", "Taveuni", -17.0, 180.0, 20.0)
    )
    assert [round(spot.x) for spot in sorted(found.spots, key=lambda spot: spot.x)] == [476, 524]


def test_a_city_that_nobody_knows() -> None:
    found = plot([at("a", 10.0, 10.0), at("b", 10.1, 10.0), at("c", 10.2, 10.0)], None)
    assert found.ring == 0
    assert sorted(spot.photo_ids[0] for spot in found.spots) == ["a", "b", "c"]
    assert plot([], None).spots == ()
    assert plot([], CITY).spots == ()


@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=40),
    st.none()
    | st.builds(City, st.just("x"), st.just("X"), st.floats(-90, 90), st.floats(-180, 180), st.floats(0.1, 900)),
)
def test_nothing_is_lost_anywhere_on_earth(places: list[tuple[float, float]], city: City | None) -> None:
    photos = [at(str(n), *place) for n, place in enumerate(places)]
    found = plot(photos, city)
    shown = [photo_id for spot in found.spots for photo_id in spot.photo_ids]
    assert sorted([*shown, *found.beyond]) == sorted(photo.photo_id for photo in photos)
    assert all(0 <= spot.x <= SIDE and 0 <= spot.y <= SIDE for spot in found.spots)
    assert all(math.dist((a.x, a.y), (b.x, b.y)) > 11.8 for a in found.spots for b in found.spots if a is not b)
    assert 0 < found.scale <= SIDE


def test_zooming_is_around_the_photos() -> None:
    photos = [at("a", 40.02, 32.95), at("b", 40.021, 32.951), at("c", 40.019, 32.949), at("far", 39.8, 32.7)]
    far, near = plot(photos, CITY), plot(photos, CITY, 3)
    assert near.scale / near.scale_km == pytest.approx(8 * far.scale / far.scale_km)
    assert (far.x, far.y) == (500, 500)
    assert near.x < 500 < near.y  # the centre lies south-west of the photos
    assert near.beyond == ("far",)
    assert max(abs(spot.x - 500) for spot in near.spots) < 60
