"""Densities on the sphere: against the plain sum, against the integral of a lone kernel, at the poles and the date line."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.retrieval.density import climbed, densities, density_map, modes_at_places
from collector.errors import UsageError
from collector.geo import distance_km, distances_km
from tests.benchmark.retrieval.spheres import CORNERS, crowd, stated, turned

everywhere = pytest.mark.parametrize("corner", CORNERS)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(CORNERS), st.sampled_from([0.05, 1.0, 25.0, 444.0, 5000.0]), st.integers(0, 1000))
def test_it_is_the_plain_sum(corner: tuple[float, float], sigma: float, seed: int) -> None:
    places = crowd(corner, 2 * sigma, 12, seed)
    weights = np.random.default_rng(seed).random(12)
    values = densities(places[None], places[None], weights[None], sigma)[0]
    for at, value in zip(places, values, strict=True):
        terms = [
            w * math.exp(-(distance_km(*at, *to) ** 2) / 2 / sigma**2) for to, w in zip(places, weights, strict=True)
        ]
        assert value == pytest.approx(sum(terms), rel=1e-3 if sigma < 1 else 1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_turn_of_the_sphere_changes_nothing(seed: int) -> None:
    places, weights = crowd((10.0, 10.0), 50, 15, seed)[None], np.random.default_rng(seed).random((1, 15))
    there = turned(places, seed)
    assert np.allclose(densities(places, places, weights, 40.0), densities(there, there, weights, 40.0), rtol=1e-6)
    assert modes_at_places(places, weights, 40.0)[0] == modes_at_places(there, weights, 40.0)[0]
    plain, elsewhere = climbed(places[:, 0], places, weights, 40.0), climbed(there[:, 0], there, weights, 40.0)
    assert distance_km(*turned(plain, seed)[0], *elsewhere[0]) < 0.01


def test_the_densest_neighbour_wins_and_of_equals_the_first() -> None:
    places = np.array([[[0.0, 179.999], [50.0, 0.0], [0.0, -179.999], [0.0, 180.0]], [[np.nan, np.nan]] * 4])
    best, values = modes_at_places(places, np.ones((2, 4)), 5.0)
    assert best.tolist() == [3, -1]
    assert values[1].tolist() == [0, 0, 0, 0]
    same = np.tile([41.0, 29.0], (1, 3, 1))
    assert modes_at_places(same, np.array([[0.1, 0.2, 0.7]]), 1.0)[0].tolist() == [0]


@everywhere
def test_climbing_ends_between_two_equal_places(corner: tuple[float, float]) -> None:
    places = crowd(corner, 3, 2, 5)[None]
    top = climbed(places[:, 0], places, np.ones((1, 2)), 25.0)[0]
    apart = [distance_km(*top, *place) for place in places[0]]
    assert apart[0] == pytest.approx(apart[1], abs=1e-3)
    assert sum(apart) == pytest.approx(distance_km(*places[0, 0], *places[0, 1]), abs=1e-3)


@everywhere
@pytest.mark.parametrize("sigma", [0.1, 25.0])
def test_the_areas_of_a_lone_kernel_are_those_of_its_integral(corner: tuple[float, float], sigma: float) -> None:
    drawn = density_map(stated(np.array([corner]), np.ones(1), sigma), step_km=sigma / 8)
    for share in (0.5, 0.9):
        # exp(-d²/2σ²) on a plane: the disc that holds a share p has d² = -2σ² ln(1 - p).
        assert drawn.area(share) == pytest.approx(-2 * math.pi * sigma**2 * math.log(1 - share), rel=0.03)
    assert drawn.share.sum() == pytest.approx(1)
    assert drawn.area_km2.sum() > math.pi * (4 * sigma) ** 2
    assert drawn.holds(*corner, 0.5)
    assert not drawn.holds(-corner[0] + 45, corner[1], 0.9)


def test_a_share_of_places_drawn_from_a_density_lies_in_its_area() -> None:
    sigma, places = 30.0, np.array([[0.0, 179.9], [0.5, -179.0]])
    drawn = density_map(stated(places, np.array([0.7, 0.3]), sigma))
    random = np.random.default_rng(0)
    inside = []
    for number in range(1500):
        centre = places[0] if random.random() < 0.7 else places[1]
        taken = crowd((float(centre[0]), float(centre[1])), sigma, 1, number)[0]
        inside.append([drawn.holds(taken[0], taken[1], share) for share in (0.5, 0.9)])
    assert np.allclose(np.mean(inside, axis=0), [0.5, 0.9], atol=0.04)


@everywhere
def test_geojson_has_polygons_that_cross_no_seam(corner: tuple[float, float]) -> None:
    drawn = density_map(stated(crowd(corner, 10, 5, 0), np.ones(5), 8.0))
    features = drawn.features({0.5: 0.6, 0.9: 0.95}, photo="a.jpg")
    said = [(of["photo"], of["chance"], of["share"]) for of in (one["properties"] for one in features)]
    assert said == [("a.jpg", 0.5, 0.6), ("a.jpg", 0.9, 0.95)]
    for feature in features:
        assert feature["properties"]["area_km2"] == pytest.approx(drawn.area(feature["properties"]["share"]), rel=0.01)
        for (ring,) in feature["geometry"]["coordinates"]:
            points = np.array(ring)
            assert points[0].tolist() == points[-1].tolist()
            assert (np.abs(points) <= [180 + 1e-9, 90 + 1e-9]).all()
            twice_area = (points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]).sum()
            assert twice_area > 0  # anticlockwise
            assert points[:, 0].max() - points[:, 0].min() < 360.1


def test_unknown_places_count_nothing() -> None:
    places = np.array([[41.0, 29.0], [np.nan, np.nan]])
    value = densities(places[None, :1], places[None], np.ones((1, 2)), 1.0)
    assert value.tolist() == [[1.0]]


def test_what_is_asked_wrongly_is_refused() -> None:
    place = np.array([[41.0, 29.0]])
    with pytest.raises(ValueError, match="sigma_km"):
        densities(place[None], place[None], np.ones((1, 1)), 0.0)
    for density, step in (
        (stated(np.full((1, 2), np.nan), np.ones(1), 1.0), None),
        (stated(place, np.ones(1), 1.0), -1.0),
    ):
        with pytest.raises(ValueError, match="one that is stated"):
            density_map(density, step)
    with pytest.raises(UsageError, match="larger step_km"):
        density_map(stated(place, np.ones(1), 5000.0), 1.0)


def test_places_that_spread_unlike_each_other_are_laid_in_one_map() -> None:
    """A kernel of 100 m beside one of 300 km: cells stay few, and half of the density lies in the first."""
    places, spreads = np.array([[41.0, 29.0], [10.0, 20.0]]), np.array([0.1, 300.0])
    drawn = density_map(stated(places, np.array([0.6, 0.4]), spreads))
    assert len(drawn.share) < 400_000
    assert drawn.area(0.5) < 1e-3 * drawn.area(0.9)
    assert drawn.holds(41.0, 29.0, 0.5)
    assert drawn.area(0.9) == pytest.approx(2 * math.pi * 300**2 * math.log(4), rel=0.05)


def test_neighbours_all_over_the_world_fit_into_memory() -> None:
    random = np.random.default_rng(0)
    places = np.stack([np.degrees(np.arcsin(random.uniform(-1, 1, 100))), random.uniform(-180, 180, 100)], axis=1)
    drawn = density_map(stated(places, np.ones(100), 1.0))
    assert drawn.area(0.9) == pytest.approx(100 * 2 * math.pi * math.log(10), rel=0.05)
    assert (distances_km(drawn.south[0], drawn.west[0], places[:, 0], places[:, 1]) < 2).any()
