"""Distances: by hand, and against scikit-learn."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import haversine_distances

from benchmark.scoring.geography import (
    GeoSummary,
    errors_km,
    geoscore,
    predicted_places,
    share_within,
    summary,
)
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


def test_the_answer_is_the_centre_of_the_most_probable_city() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
    assert predicted_places(probabilities, CENTRES).tolist() == [[39.9, 32.9], [41.0, 29.0]]
    places = np.array([[39.9, 33.9], [np.nan, np.nan]])
    near, unknown = errors_km(probabilities, CENTRES, places)
    assert near == pytest.approx(float(distances_km(39.9, 32.9, 39.9, 33.9)))
    assert np.isnan(unknown)


def test_scores_of_distances_by_hand() -> None:
    km = np.array([0.0, 25.0, np.nan, 200.0, 1492.7])
    assert share_within(km, 25) == 0.5
    assert share_within(km, 24.9) == 0.25
    points = [5000, 5000 * math.exp(-25 / 1492.7), 5000 * math.exp(-200 / 1492.7), 5000 / math.e]
    assert geoscore(km) == pytest.approx(sum(points) / 4)
    assert geoscore(np.array([10.0]), scale_km=10) == pytest.approx(5000 / math.e)
    mean = (25 + 200 + 1492.7) / 4
    assert summary(km) == GeoSummary(112.5, mean, 0.5, 0.75, 0.75, geoscore(km), 4)
    assert summary(np.array([751.0])).within_750 == 0


def test_without_a_place_nothing_is_known() -> None:
    nothing = summary(np.array([np.nan, np.nan]))
    assert nothing.photos == 0
    scores = (nothing.median_km, nothing.mean_km, nothing.within_25, nothing.within_200, nothing.within_750)
    assert np.isnan([*scores, nothing.geoscore]).all()
    assert summary(np.array([])).photos == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: predicted_places(np.ones((2, 2)), CENTRES), r"\(2, 2\) and centroids \(3, 2\)"),
        (lambda: predicted_places(np.ones(3), CENTRES), r"\(3,\)"),
        (lambda: predicted_places(np.ones((2, 0)), np.ones((0, 2))), r"\(2, 0\)"),
        (lambda: predicted_places(np.full((2, 3), np.nan), CENTRES), "NaN"),
        (lambda: errors_km(np.ones((2, 3)), CENTRES, np.ones((3, 2))), r"places have shape \(3, 2\)"),
        (lambda: summary(np.ones((2, 2))), r"distances have shape \(2, 2\)"),
        (lambda: geoscore(np.ones(2), scale_km=0), "scale_km is 0"),
    ],
)
def test_refuses_what_does_not_fit(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
