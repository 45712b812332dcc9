"""Calibration: by hand, against scikit-learn, and what each promise comes to in simulations."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as oracle
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator

from benchmark.classifiers.probabilities import fit_temperature, with_temperature
from benchmark.scoring.calibration import (
    Bin,
    brier,
    expected_calibration_error,
    log_loss,
    reject_threshold,
    reliability,
)

# Four photos, three cities: right with 0.7 and 0.8, wrong with 0.5 and 0.6.
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.2, 0.3], [0.4, 0.6, 0.0]])
LABELS = np.array([0, 1, 1, 0])


def calibrated(seed: int, photos: int = 300, classes: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities, and labels that were drawn with exactly these."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.4), photos)
    drawn = (random.random((photos, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return probabilities, np.minimum(drawn, classes - 1)


def test_reliability_by_hand() -> None:
    low, high = reliability(PROBABILITIES, LABELS, bins=5)
    assert (low.count, low.accuracy, high.count, high.accuracy) == (2, 0.0, 2, 1.0)
    assert (low.low, low.high, high.low, high.high) == pytest.approx((0.4, 0.6, 0.6, 0.8))
    assert (low.confidence, high.confidence) == pytest.approx((0.55, 0.75))
    assert expected_calibration_error(PROBABILITIES, LABELS, bins=5) == pytest.approx(0.5 * 0.55 + 0.5 * 0.25)
    assert expected_calibration_error(PROBABILITIES, LABELS, bins=1) == pytest.approx(0.65 - 0.5)


def test_a_border_belongs_to_the_bin_below() -> None:
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]])
    assert [(one.low, one.high, one.count) for one in reliability(probabilities, np.zeros(3, int), bins=4)] == [
        (0.25, 0.5, 1),
        (0.5, 0.75, 1),
        (0.75, 1.0, 1),
    ]


def test_float32_that_sums_to_a_little_more_than_1_is_in_the_last_bin() -> None:
    assert reliability(np.array([[1.0005, 0.0]], np.float32), np.array([0])) == [Bin(14 / 15, 1.0, 1, 1.0, 1.0)]


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(2, 8), st.integers(1, 20))
def test_reliability_agrees_with_scikit_learn(seed: int, photos: int, classes: int, bins: int) -> None:
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.ones(classes), photos), random.integers(0, classes, photos)
    right = probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=bins)
    found = reliability(probabilities, labels, bins)
    assert [one.accuracy for one in found] == pytest.approx(accuracy.tolist())
    assert [one.confidence for one in found] == pytest.approx(confidence.tolist())
    assert sum(one.count for one in found) == photos


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(2, 8))
def test_proper_scores_agree_with_scikit_learn(seed: int, photos: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.ones(classes), photos), random.integers(0, classes, photos)
    known = list(range(classes))
    expected = oracle.brier_score_loss(labels, probabilities, labels=known, scale_by_half=False)
    assert brier(probabilities, labels) == pytest.approx(expected)
    assert log_loss(probabilities, labels) == pytest.approx(oracle.log_loss(labels, probabilities, labels=known))


def test_proper_scores_by_hand() -> None:
    assert brier(PROBABILITIES, LABELS) == pytest.approx((0.14 + 0.06 + 0.98 + 0.72) / 4)
    assert log_loss(PROBABILITIES, LABELS) == pytest.approx(-np.log([0.7, 0.8, 0.2, 0.4]).mean())
    certain, right, wrong = np.array([[1.0, 0.0]]), np.array([0]), np.array([1])
    assert (brier(certain, right), brier(certain, wrong)) == (0, 2)
    assert log_loss(certain, right) == 0
    assert log_loss(certain, wrong) == pytest.approx(-np.log(1e-12))


def test_temperature_by_hand() -> None:
    # Sure to 0.9 and right three times of four: 9 to the power of 1 / T is to be 3 to 1.
    probabilities, labels = np.tile([0.9, 0.1], (4, 1)), np.array([0, 0, 0, 1])
    assert fit_temperature(probabilities, labels) == pytest.approx(2, abs=1e-4)
    np.testing.assert_allclose(with_temperature(probabilities, 2), np.tile([0.75, 0.25], (4, 1)))
    np.testing.assert_allclose(with_temperature(PROBABILITIES, 1), PROBABILITIES, atol=1e-11)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_temperature_undoes_temperature(temperature: float) -> None:
    probabilities, labels = calibrated(1, 5000)
    found = fit_temperature(with_temperature(probabilities, 1 / temperature), labels)
    assert found == pytest.approx(temperature, rel=0.06)


class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A fitted classifier whose logits are its input."""

    def __init__(self, classes: int = 5) -> None:
        self.classes = classes
        self.classes_ = np.arange(classes)

    def fit(self, x: Any, y: Any) -> "Given":
        return self

    def decision_function(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x

    def predict(self, x: NDArray[np.float64]) -> Any:
        return x.argmax(axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_temperature_agrees_with_scikit_learn(seed: int) -> None:
    probabilities, labels = calibrated(seed)
    sharp = with_temperature(probabilities, 0.4)
    logits = np.log(np.clip(sharp, 1e-12, None))
    theirs = CalibratedClassifierCV(FrozenEstimator(Given()), method="temperature", ensemble=False).fit(logits, labels)
    mine = with_temperature(sharp, fit_temperature(sharp, labels))
    np.testing.assert_allclose(mine, theirs.predict_proba(logits), atol=1e-3)


@given(st.integers(0, 10_000), st.floats(0.05, 20))
def test_temperature_changes_no_answer(seed: int, temperature: float) -> None:
    probabilities, _ = calibrated(seed, 20)
    warm = with_temperature(probabilities.astype(np.float32), temperature)
    assert warm.dtype == np.float64
    np.testing.assert_allclose(warm.sum(axis=1), 1)
    most = warm.max(axis=1)
    assert (warm[np.arange(20), probabilities.argmax(axis=1)] >= most - 1e-12).all()


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_no_other_temperature_is_better(seed: int, photos: int) -> None:
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.full(4, 0.3), photos), random.integers(0, 4, photos)
    found = fit_temperature(probabilities, labels)
    assert 0.05 <= found <= 20
    if (probabilities.argmax(axis=1) != labels).any():
        best = log_loss(with_temperature(probabilities, found), labels)
        for other in (0.05, found / 1.2, found * 1.2, 20):
            if 0.05 <= other <= 20:
                assert best <= log_loss(with_temperature(probabilities, other), labels) + 1e-6


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((0, 3)), np.zeros(0, int)),
        (np.array([[0.7, 0.3], [0.4, 0.6]]), np.array([0, 1])),  # all right
        (np.ones((3, 1)), np.zeros(3, int)),  # one class
        (np.full((4, 2), 0.5), np.array([0, 1, 1, 1])),  # says nothing
    ],
)
def test_nothing_can_be_learnt(probabilities: NDArray[Any], labels: NDArray[Any]) -> None:
    assert fit_temperature(probabilities, labels) == 1.0


def test_worse_than_chance_is_softened_as_far_as_allowed() -> None:
    assert fit_temperature(np.tile([0.9, 0.1], (4, 1)), np.ones(4, int)) == pytest.approx(20, rel=1e-3)


def confident(right: list[float], wrong: list[float]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    top = np.array(right + wrong)
    return np.stack([top, 1 - top], axis=1), np.array([0] * len(right) + [1] * len(wrong))


def test_reject_threshold_by_hand() -> None:
    sure = [0.55 + index / 100 for index in range(39)]
    assert reject_threshold(*confident(sure[:18], [])) == 0.0  # too few: the next may well be the lowest of 19
    assert reject_threshold(*confident(sure[:19], [])) == 0.55
    assert reject_threshold(*confident(sure[:38], [])) == 0.55
    assert reject_threshold(*confident(sure, [])) == pytest.approx(0.56)
    assert reject_threshold(*confident(sure, [0.51] * 50)) == pytest.approx(0.56)  # wrong answers are worth nothing
    assert reject_threshold(*confident(sure, []), share=0.75) == pytest.approx(0.64)
    assert reject_threshold(np.zeros((0, 2)), np.zeros(0, int)) == 0.0


@pytest.mark.parametrize("photos", [19, 30, 200])
def test_right_answers_are_kept_as_often_as_promised(photos: int) -> None:
    random = np.random.default_rng(photos)
    kept = []
    for _ in range(1000):
        threshold = reject_threshold(*confident((0.5 + random.random(photos) / 2).tolist(), []))
        kept.append(1 - (threshold - 0.5) / 0.5)  # the share of the uniform distribution above it
    promised = 1 - np.floor(0.05 * (photos + 1) + 1e-9) / (photos + 1)
    assert promised >= 0.95
    assert np.mean(kept) == pytest.approx(promised, abs=0.005)


@pytest.mark.parametrize("score", [reliability, expected_calibration_error, brier, log_loss, fit_temperature])
@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((3, 0)), np.zeros(3, int), r"shape \(3, 0\)"),
        (np.zeros((3, 2)), np.zeros(4, int), r"shape \(4,\): must be \(3,\)"),
        (np.full((3, 2), 1.5), np.zeros(3, int), "must be from 0 to 1"),
        (np.full((3, 2), -0.1), np.zeros(3, int), "must be from 0 to 1"),
        (np.array([[np.nan, 0.5, 0.5]]), np.zeros(1, int), "NaN"),
        (np.full((3, 2), np.nan), np.zeros(3, int), "withheld"),
        (np.full((3, 2), 0.5), np.array([0, 1, 2]), "must be from 0 to 1"),
    ],
)
def test_refuses_what_does_not_fit(
    score: Callable[..., Any], probabilities: NDArray[Any], labels: NDArray[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score(probabilities, labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability(PROBABILITIES, LABELS, bins=0), "bins is 0"),
        (lambda: with_temperature(PROBABILITIES, 0), "temperature is 0"),
        (lambda: with_temperature(PROBABILITIES, float("nan")), "temperature is nan"),
        (lambda: with_temperature(np.ones(3), 1), r"shape \(3,\)"),
        (lambda: with_temperature(np.full((1, 2), 2.0), 1), "must be from 0 to 1"),
        (lambda: reject_threshold(PROBABILITIES, LABELS, share=1), "share is 1"),
    ],
)
def test_refuses_settings_without_sense(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
