"""What validation photos teach: by hand, and by drawing many."""

import json
from math import ceil

import numpy as np
import pytest

from benchmark.predicting.model_card import Certainty, certainty_from_json, learn_certainty, worst_distances_km
from collector.geo import distances_km
from collector.records import City

CITIES = (City("a", "A", 0.0, 0.0, 10.0), City("b", "B", 0.0, 1.0, 20.0), City("c", "C", 2.0, 0.0, 5.0))
CENTRES = np.array([(city.latitude, city.longitude) for city in CITIES])
NOWHERE = (np.nan, np.nan)
DEGREE = float(distances_km(0, 0, 0, 1))


def test_distances_are_to_the_place_or_an_upper_bound_without_one() -> None:
    places = np.array([(0.0, 0.5), NOWHERE, NOWHERE, (0.0, 1.0)])
    found = worst_distances_km(CENTRES[[0, 0, 0, 1]], np.array([0, 0, 1, 1]), CITIES, places)
    np.testing.assert_allclose(found, [DEGREE / 2, 10.0, DEGREE + 20.0, 0.0], atol=1e-9)


def test_without_photos_nothing_is_claimed() -> None:
    nothing = learn_certainty(np.empty((0, 3)), np.empty(0, np.int64), CITIES, np.empty((0, 2)))
    assert nothing == Certainty()
    assert nothing.band(0.9) is None
    np.testing.assert_allclose(nothing.calibrated(np.array([[0.2, 0.3, 0.5]])), [[0.2, 0.3, 0.5]])


def few(photos: int, confidence: float = 0.8) -> Certainty:
    """Return what so many photos teach that were all taken in the first city, and answered so, at growing distances."""
    probabilities = np.tile([confidence, 1 - confidence, 0.0], (photos, 1))
    places = np.array([(0.0, (row + 1) / 100) for row in range(photos)])
    return learn_certainty(probabilities, np.zeros(photos, np.int64), CITIES, places)


@pytest.mark.parametrize(
    ("photos", "fifty", "ninety"), [(1, 1, None), (8, 5, None), (9, 5, 9), (19, 10, 18), (39, 20, 36)]
)
def test_radii_are_order_statistics_and_unknown_with_too_few(photos: int, fifty: int, ninety: int | None) -> None:
    (band,) = few(photos).bands
    assert band.km50 == pytest.approx(fifty * DEGREE / 100)
    assert band.km90 == (None if ninety is None else pytest.approx(ninety * DEGREE / 100))
    assert (band.confidence, band.photos) == (0.0, photos)


def test_it_counts_what_was_right() -> None:
    assert few(9).right == 9
    assert few(9, confidence=0.3).right == 0
    assert certainty_from_json(few(9).to_json()) == few(9)
    assert (
        certainty_from_json({name: value for name, value in few(9).to_json().items() if name != "right"}).right is None
    )


def test_equal_confidences_are_one_band() -> None:
    assert len(few(400).bands) == 1


def test_bands_divide_the_photos_by_confidence() -> None:
    random = np.random.default_rng(0)
    top = random.permutation(np.linspace(0.4, 0.99, 120))
    probabilities = np.column_stack([top, 1 - top, 0 * top])
    labels = (random.random(120) > top).astype(np.int64)
    found = learn_certainty(probabilities, labels, CITIES, np.full((120, 2), np.nan))
    assert [band.photos for band in found.bands] == [40, 40, 40]
    assert found.bands[0].confidence == 0
    calibrated = found.calibrated(probabilities).max(axis=1)
    for band, after in zip(found.bands, [*found.bands[1:], None], strict=True):
        inside = (calibrated >= band.confidence) & (calibrated < (after.confidence if after else 2))
        assert inside.sum() == band.photos
        assert all(found.band(float(one)) == band for one in calibrated[inside])
    assert (found.photos, found.placed) == (120, 0)


def test_the_radii_hold_what_they_promise() -> None:
    """Over 300 drawn data sets, how many new photos of such confidence lie within: never less than promised on average."""
    random = np.random.default_rng(1)
    within: list[list[bool]] = [[], []]
    for _ in range(300):
        top = random.uniform(0.4, 0.95, 101)
        probabilities = np.column_stack([top, 1 - top, 0 * top])
        labels = (random.random(101) > top).astype(np.int64)
        places = np.column_stack([random.normal(0, 0.2, 101), labels + random.normal(0, 0.2, 101)])
        found = learn_certainty(probabilities[:100], labels[:100], CITIES, places[:100])
        new = found.calibrated(probabilities[100:])
        off = worst_distances_km(CENTRES[new.argmax(axis=1)], labels[100:], CITIES, places[100:])[0]
        band = found.band(float(new.max()))
        assert band is not None
        assert band.km50 is not None
        assert band.km90 is not None
        within[0].append(off <= band.km50)
        within[1].append(off <= band.km90)
    # 300 coins: two standard errors are 0.058 and 0.035.
    assert 0.5 - 0.058 <= np.mean(within[0]) <= 0.5 + 1 / 50 + 0.058
    assert 0.9 - 0.035 <= np.mean(within[1]) <= 0.9 + 1 / 50 + 0.035
    assert ceil(0.9 * 51) <= 50  # so many photos a band suffice for both


def test_it_goes_through_json() -> None:
    whole = few(39)
    assert certainty_from_json(json.loads(json.dumps(whole.to_json()))) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": float("inf")},
        {"threshold": 1.5},
        {"threshold": "high"},
        {"bands": [{"confidence": 0.0, "photos": 1, "km50": -1.0, "km90": None}]},
        {"bands": [{"confidence": 0.1, "photos": 1, "km50": 1.0, "km90": None}]},
        {"bands": [{"confidence": 0.0}]},
        {"bands": [3]},
        {"bands": [{"confidence": at, "photos": 1, "km50": None, "km90": None} for at in (0.0, 0.5, 0.4)]},
    ],
)
def test_damage_is_refused(change: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        certainty_from_json({**few(39).to_json(), **change})
