"""Distances: by hand, and against scikit-learn."""

import csv
import io
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import haversine_distances

from benchmark.scoring.metrics import errors_km, geoscore, mean_km, median_interval, median_km, share_within
from collector.geo import EARTH_RADIUS_KM, distances_km

CENTRES = np.array([[41.0, 29.0], [39.9, 32.9], [38.4, 27.1]])
LATITUDES, LONGITUDES = st.floats(-90, 90), st.floats(-180, 180)


@pytest.mark.parametrize(
    ("places", "degrees"),
    [
        ((0, 0, 0, 90), 90),
        ((0, 0, 0, 180), 180),
        ((90, 0, -90, 0), 180),
        ((90, 12, 90, -77), 0),  # the pole has every longitude
        ((10, 179.5, 10, 179.5), 0),
        ((0, 179.5, 0, -179.5), 1),  # across the date line
        ((60, 0, 60, 180), 60),  # over the pole
        ((-82.62, -171.52, 82.62, 8.48), 180),  # antipodes, where rounding leaves the sine above 1
        ((0, 0, 1e-5, 0), 1e-5),  # a metre: the law of cosines would lose it
    ],
)
def test_distances_by_hand(places: tuple[float, float, float, float], degrees: float) -> None:
    assert float(distances_km(*places)) == pytest.approx(EARTH_RADIUS_KM * math.radians(degrees), rel=1e-9, abs=1e-9)


@given(LATITUDES, LONGITUDES, LATITUDES, LONGITUDES)
def test_distances_agree_with_scikit_learn(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    mine = float(distances_km(lat1, lon1, lat2, lon2))
    (theirs,) = haversine_distances([np.radians([lat1, lon1])], [np.radians([lat2, lon2])])[0]
    assert mine == pytest.approx(theirs * EARTH_RADIUS_KM, rel=1e-9, abs=1e-3)
    assert mine == pytest.approx(float(distances_km(lat2, lon2, lat1, lon1)), abs=1e-9)
    assert 0 <= mine <= math.pi * EARTH_RADIUS_KM


def test_distances_broadcast() -> None:
    table = distances_km(CENTRES[:, None, 0], CENTRES[:, None, 1], CENTRES[None, :, 0], CENTRES[None, :, 1])
    assert table.shape == (3, 3)
    assert table.diagonal().tolist() == [0, 0, 0]
    assert np.isnan(distances_km(1, 2, float("nan"), 3))


def test_distances_of_answers() -> None:
    answers = np.array([[39.9, 32.9], [41.0, 29.0], [np.nan, np.nan], [np.nan, np.nan]])
    places = np.array([[39.9, 33.9], [np.nan, np.nan], [41.0, 29.0], [np.nan, np.nan]])
    near, unknown, withheld, neither = errors_km(answers, places)
    assert near == pytest.approx(float(distances_km(39.9, 32.9, 39.9, 33.9)))
    assert np.isnan([unknown, neither]).all()
    assert withheld == np.inf


def test_scores_of_distances_by_hand() -> None:
    km = np.array([0.0, 25.0, np.nan, 200.0, 1492.7])
    assert share_within(km, 25) == 0.5
    assert share_within(km, 24.9) == 0.25
    points = [5000, 5000 * math.exp(-25 / 1492.7), 5000 * math.exp(-200 / 1492.7), 5000 / math.e]
    assert geoscore(km) == pytest.approx(sum(points) / 4)
    assert geoscore(np.array([10.0]), scale_km=10) == pytest.approx(5000 / math.e)
    assert (median_km(km), mean_km(km)) == (112.5, (25 + 200 + 1492.7) / 4)


def test_withheld_answers_are_as_wrong_as_can_be() -> None:
    km = np.array([1.0, 3.0, np.inf, np.nan])
    assert share_within(km, 2500) == 2 / 3
    assert geoscore(km) == pytest.approx(geoscore(np.array([1.0, 3.0])) * 2 / 3)
    assert (median_km(km), mean_km(km)) == (3.0, np.inf)
    assert median_km(np.array([1.0, np.inf])) == np.inf


def test_without_a_place_nothing_is_known() -> None:
    for km in (np.array([np.nan, np.nan]), np.array([])):
        assert np.isnan([median_km(km), mean_km(km), share_within(km, 25), geoscore(km)]).all()
    assert np.isnan(median_interval(np.full((2, 3), np.nan))).all()


@given(st.lists(st.one_of(st.floats(0, 2e4), st.just(np.nan)), min_size=1, max_size=30))
def test_the_median_is_numpys(values: list[float]) -> None:
    known = [value for value in values if not np.isnan(value)]
    assert median_km(np.array(values)) == pytest.approx(np.median(known) if known else np.nan, nan_ok=True)


def test_the_medians_interval_is_the_bootstraps() -> None:
    """Against drawing photos one sample at a time, with seeds; the quantiles of 2,000 samples agree closely."""
    random = np.random.default_rng(5)
    km = random.gamma(1.0, 100.0, (3, 80))
    samples = [np.median(km[:, random.integers(80, size=80)]) for _ in range(4000)]
    low, high = median_interval(km)
    assert (low, high) == pytest.approx(tuple(np.quantile(samples, [0.025, 0.975])), rel=0.05)
    assert low <= np.median(km) <= high
    assert median_interval(km) == (low, high)


def test_the_interval_has_no_end_where_many_answers_are_withheld() -> None:
    km = np.r_[np.full(55, 5.0), np.full(45, np.inf)][None]
    low, high = median_interval(km)
    assert (low, high) == (5.0, np.inf)


@pytest.mark.skipif("T15_REAL_DATA" not in os.environ, reason="needs T15_REAL_DATA")
def test_a_published_models_distances_and_scores() -> None:
    """OpenStreetView-5M's own figures, which take R = 6371 km: 25 photos, to 1e-9."""
    table = Path(os.environ["T15_REAL_DATA"]) / "new/osv5m_predictions/select.csv"
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert len(rows) == 25
    for model in ("", "_base"):
        columns = ("true_lat", "true_lon", f"pred_lat{model}", f"pred_lon{model}")
        distance, score = (np.array([float(row[f"{name}{model}"]) for row in rows]) for name in ("distance", "score"))
        taken_lat, taken_lon, lat, lon = (np.array([float(row[name]) for row in rows]) for name in columns)
        km = errors_km(np.column_stack([lat, lon]), np.column_stack([taken_lat, taken_lon]))
        assert km * 6371 / EARTH_RADIUS_KM == pytest.approx(distance, abs=1e-9)
        assert [geoscore(distance[[row]]) for row in range(25)] == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: errors_km(np.ones((2, 3)), np.ones((2, 3))), r"answers have shape \(2, 3\)"),
        (lambda: errors_km(np.ones((2, 2)), np.ones((3, 2))), r"places \(3, 2\)"),
        (lambda: median_km(np.ones((2, 2))), r"distances have shape \(2, 2\)"),
        (lambda: geoscore(np.ones(2), scale_km=0), "scale_km is 0"),
    ],
)
def test_refuses_what_does_not_fit(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
