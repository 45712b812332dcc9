"""Mean shift on the sphere, against one place at a time, and turned to where maps have their seams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.retrieval.meanshift import clusters
from collector.geo import distance_km, distances_km, mean_place
from tests.benchmark.retrieval.spheres import CORNERS, crowd, turned


def slow_end(start: NDArray[np.float64], places: NDArray[np.float64], bandwidth_km: float) -> NDArray[np.float64]:
    """Return where a place ends, by distances and means alone."""
    for _ in range(200):
        near = [place for place in places if distance_km(*start, *place) <= bandwidth_km + 1e-9]
        moved = mean_place(np.array(near))
        if distance_km(*start, *moved) < 1e-7:
            break
        start = moved
    return start


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(CORNERS), st.integers(0, 1000))
def test_places_end_where_the_slow_way_ends(corner: tuple[float, float], seed: int) -> None:
    places = np.concatenate([crowd(corner, 60, 8, seed), crowd((20.0, 20.0), 60, 5, seed + 1)])
    found = clusters(places[None], 200.0)[0]
    ends = [slow_end(place, places, 200.0) for place in places]
    for place, cluster in zip(ends, found.members, strict=True):
        assert distance_km(*place, *found.modes[cluster]) <= 100  # merged within half a bandwidth
    best = ends[int(np.flatnonzero(found.members == 0)[0])]
    if found.sizes[0] == len(ends):
        assert distance_km(*best, *found.modes[0]) < 1e-3


@pytest.mark.parametrize("corner", CORNERS)
def test_the_largest_crowd_comes_first_wherever_it_lies(corner: tuple[float, float]) -> None:
    places = np.concatenate([crowd((50.0, -60.0), 20, 6, 1), crowd(corner, 20, 14, 0)])
    found = clusters(places[None], 200.0)[0]
    assert found.sizes.tolist() == [14, 6]
    assert found.members.tolist() == [1] * 6 + [0] * 14
    assert distance_km(*found.modes[0], *mean_place(places[6:])) < 1e-6


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_turn_of_the_sphere_turns_the_answer(seed: int) -> None:
    places = np.concatenate([crowd((10.0, 10.0), 30, 9, seed), crowd((30.0, 60.0), 30, 5, seed + 1)])
    plain = clusters(places[None], 250.0)[0]
    there = clusters(turned(places, seed)[None], 250.0)[0]
    assert there.sizes.tolist() == plain.sizes.tolist()
    wanted = turned(plain.modes, seed)
    assert (distances_km(*there.modes.T, *wanted.T) < 1e-4).all()


def test_unknown_and_equal_places() -> None:
    places = np.full((2, 6, 2), np.nan)
    places[0, :4] = [41.0, 29.0]
    some, none = clusters(places, 200.0)
    assert some.sizes.tolist() == [4]
    assert some.members.tolist() == [0, 0, 0, 0, -1, -1]
    assert np.allclose(some.modes, [[41.0, 29.0]])
    assert none.sizes.tolist() == []
    assert none.members.tolist() == [-1] * 6
    assert clusters(np.empty((0, 6, 2)), 200.0) == []


def test_a_bandwidth_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="bandwidth_km"):
        clusters(np.zeros((1, 2, 2)), 0.0)
