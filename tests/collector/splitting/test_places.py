"""Single linkage on the sphere, against all pairs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from collector.geo import distance_km
from collector.splitting import groups as module
from collector.splitting.groups import components, places

# Crowded corners of the sphere: the equator at the date line, Ankara, both poles.
CENTRES = ((0.0, 180.0), (39.93, 32.86), (89.9999, 20.0), (-90.0, 0.0))
OFFSETS = st.tuples(st.integers(-40, 40), st.integers(-40, 40))
HOURS = st.none() | st.integers(0, 40)


def around(centre: tuple[float, float], offsets: list[tuple[int, int]]) -> tuple[list[float], list[float]]:
    """Return latitudes and longitudes, 7 m apart each way where a degree of longitude is one."""
    latitudes = [max(-90.0, min(90.0, centre[0] + 7 * north / 111_195)) for north, _ in offsets]
    wide = 111_195 * max(1e-4, math.cos(math.radians(centre[0])))
    return latitudes, [(centre[1] + 7 * east / wide + 180) % 360 - 180 for _, east in offsets]


def oracle(
    latitude: list[float], longitude: list[float], metres: float, hours: list[int | None], most: float
) -> NDArray[np.int64]:
    def linked(i: int, j: int) -> bool:
        one, other = hours[i], hours[j]
        near = 1000 * distance_km(latitude[i], longitude[i], latitude[j], longitude[j]) < metres
        return near and (one is None or other is None or abs(one - other) <= most)

    edges = [(i, j) for i in range(len(latitude)) for j in range(i) if linked(i, j)]
    first, second = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    return components(len(latitude), first, second)


def partition(labels: NDArray[np.int64]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


@given(st.sampled_from(CENTRES), st.lists(OFFSETS, max_size=40), st.sampled_from([10.0, 33.0, 50.0, 200.0]))
def test_against_all_pairs(centre: tuple[float, float], offsets: list[tuple[int, int]], metres: float) -> None:
    latitude, longitude = around(centre, offsets)
    found = places(np.array(latitude), np.array(longitude), metres)
    assert partition(found) == partition(oracle(latitude, longitude, metres, [None] * len(offsets), 0))


@given(
    st.sampled_from(CENTRES),
    st.lists(st.tuples(OFFSETS, HOURS), max_size=40),
    st.sampled_from([33.0, 50.0]),
    st.sampled_from([1.0, 7.0, 24.0]),
)
def test_with_times_against_all_pairs(
    centre: tuple[float, float], taken: list[tuple[tuple[int, int], int | None]], metres: float, most: float
) -> None:
    latitude, longitude = around(centre, [offset for offset, _ in taken])
    hours = [hour for _, hour in taken]
    times = np.array([np.nan if hour is None else hour for hour in hours], dtype=np.float64)
    found = places(np.array(latitude), np.array(longitude), metres, times, most)
    assert partition(found) == partition(oracle(latitude, longitude, metres, hours, most))


@pytest.mark.parametrize(("metres", "groups"), [(49.9, 2), (50.1, 1)])
def test_closer_than(metres: float, groups: int) -> None:
    apart = 50 / (1000 * 2 * math.pi * 6371.0088) * 360
    assert len(set(places(np.array([0, apart]), np.array([0.0, 0.0]), metres).tolist())) == groups


def test_the_date_line_is_no_border() -> None:
    assert len(set(places(np.array([0.0, 0.0, 0.0]), np.array([179.9999, -179.9999, 540.0]), 50.0).tolist())) == 1


def test_in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    latitude, longitude = 40 + random.normal(0, 0.002, 600), 30 + random.normal(0, 0.002, 600)
    hours = np.where(random.random(600) < 0.2, np.nan, random.uniform(0, 100, 600))
    whole = [places(latitude, longitude, 50.0), places(latitude, longitude, 50.0, hours, 6.0)]
    monkeypatch.setattr(module, "CHUNK", 20)
    parts = [places(latitude, longitude, 50.0), places(latitude, longitude, 50.0, hours, 6.0)]
    assert [partition(labels) for labels in whole] == [partition(labels) for labels in parts]


def test_a_crowd_costs_no_more_than_its_number() -> None:
    """All pairs of 30,000 photos of one square would be 450 million."""
    random = np.random.default_rng(0)
    latitude, longitude = 40 + random.uniform(0, 0.001, 30_000), 30 + random.uniform(0, 0.001, 30_000)
    assert len(set(places(latitude, longitude, 50.0).tolist())) == 1
    assert len(set(places(np.full(30_000, 40.0), np.full(30_000, 30.0), 50.0).tolist())) == 1


def test_no_points() -> None:
    assert places(np.empty(0), np.empty(0), 50.0).tolist() == []
    assert places(np.empty(0), np.empty(0), 50.0, np.empty(0), 1.0).tolist() == []


def test_islands_are_looked_at_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Islands of a chain of points each, fewer points with each, some of unknown time; some points at a time."""
    random = np.random.default_rng(1)
    sizes = [60, 30, 8, 3, 1, 1]
    latitude = np.concatenate([n + np.cumsum(random.uniform(0, 90, size)) / 111_195 for n, size in enumerate(sizes)])
    hours: list[int | None] = [None if n % 7 == 0 else n % 40 for n in range(len(latitude))]
    nobody_knows: list[int | None] = [None] * len(latitude)
    given_hours = np.array([np.nan if hour is None else hour for hour in hours])
    monkeypatch.setattr(module, "_ISLANDS_M", 300.0)
    monkeypatch.setattr(module, "CHUNK", 20)
    for times, of in ((None, nobody_knows), (given_hours, hours)):
        found = places(latitude, np.zeros(len(latitude)), 50.0, times, 9.0)
        assert partition(found) == partition(oracle(latitude.tolist(), [0.0] * len(latitude), 50.0, of, 9.0))
