"""Scores: by hand, against scikit-learn, and what must hold for all inputs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, average_precision_score, confusion_matrix, f1_score, top_k_accuracy_score

from benchmark.scoring.metrics import (
    accuracy,
    accuracy_per_class,
    average_precision,
    confusion,
    macro_f1,
    top_k_accuracy,
    wilson,
)

# Four photos, three cities: right, right, wrong (0 for 1), wrong (1 for 0, the true one second).
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.2, 0.3], [0.4, 0.6, 0.0]], np.float32)
LABELS = np.array([0, 1, 1, 0])


def random_case(seed: int, photos: int = 60, classes: int = 7) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(classes), photos), random.integers(0, classes, photos)


def test_hand_computed_scores() -> None:
    assert accuracy(PROBABILITIES, LABELS) == 0.5
    assert top_k_accuracy(PROBABILITIES, LABELS, 1) == 0.5
    assert top_k_accuracy(PROBABILITIES, LABELS, 2) == 0.75
    assert top_k_accuracy(PROBABILITIES, LABELS, 3) == 1.0
    assert confusion(PROBABILITIES, LABELS, 3).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    np.testing.assert_array_equal(accuracy_per_class(PROBABILITIES, LABELS), [0.5, 0.5, np.nan])
    assert macro_f1(PROBABILITIES, LABELS) == 0.5  # class 2 is neither true nor predicted: it does not count


def test_the_first_of_equal_probabilities_wins() -> None:
    even = np.full((2, 3), 1 / 3)
    assert accuracy(even, np.array([0, 1])) == 0.5
    assert top_k_accuracy(even, np.array([1, 2]), 2) == 0.5
    assert top_k_accuracy(even, np.array([0, 0]), 1) == accuracy(even, np.array([0, 0])) == 1.0


def test_wilson_of_the_papers_best_row() -> None:
    low, high = wilson(216, 375)
    assert (round(100 * low, 1), round(100 * high, 1)) == (52.5, 62.5)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # The method without continuity correction (no. 3) of Newcombe, Statistics in Medicine 17 (1998), Table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_intervals(correct: int, total: int, low: float, high: float) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilson_contains_the_point_and_stays_inside(total: int, share: float, confidence: float) -> None:
    low, high = wilson(share * total, total, confidence)
    assert 0 <= low <= share * total / total <= high <= 1


@given(st.integers(1, 5_000), st.floats(0, 1), st.integers(2, 5))
def test_wilson_narrows_with_more_photos(total: int, share: float, times: int) -> None:
    few, many = wilson(share * total, total), wilson(share * total * times, total * times)
    assert many[1] - many[0] < few[1] - few[0]


@given(st.integers(1, 5_000), st.floats(0, 1))
def test_wilson_is_symmetric_in_right_and_wrong(total: int, share: float) -> None:
    low, high = wilson(share * total, total)
    other_low, other_high = wilson(total - share * total, total)
    assert (low, high) == pytest.approx((1 - other_high, 1 - other_low), abs=1e-9)


@pytest.mark.parametrize(
    ("correct", "total", "confidence"),
    [(0, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (float("nan"), 5, 0.95), (1, 5, 0.0), (1, 5, 1.0)],
)
def test_wilson_refuses_what_is_no_proportion(correct: float, total: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        wilson(correct, total, confidence)


@given(st.integers(0, 10_000), st.integers(1, 80), st.integers(2, 9))
def test_agrees_with_scikit_learn(seed: int, photos: int, classes: int) -> None:
    scores, labels = random_case(seed, photos, classes)
    said = scores.argmax(axis=1)
    assert accuracy(scores, labels) == pytest.approx(accuracy_score(labels, said))
    assert macro_f1(scores, labels) == pytest.approx(f1_score(labels, said, average="macro", zero_division=0))
    expected = confusion_matrix(labels, said, labels=list(range(classes)))
    np.testing.assert_array_equal(confusion(scores, labels, classes), expected)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_top_k_agrees_with_scikit_learn(k: int) -> None:
    scores, labels = random_case(1)
    expected = top_k_accuracy_score(labels, scores, k=k, labels=list(range(7)))
    assert top_k_accuracy(scores, labels, k) == pytest.approx(expected)


@given(st.integers(0, 10_000))
def test_scores_belong_together(seed: int) -> None:
    scores, labels = random_case(seed)
    table = confusion(scores, labels, 7)
    assert table.sum() == len(labels)
    assert accuracy(scores, labels) == pytest.approx(table.trace() / table.sum())
    weighted = np.nansum(accuracy_per_class(scores, labels) * table.sum(axis=1)) / len(labels)
    assert accuracy(scores, labels) == pytest.approx(weighted)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert macro_f1(scores[order], labels[order]) == macro_f1(scores, labels)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), r"shape \(0, 3\)"),
        (np.zeros((3, 0)), np.zeros(3, int), r"shape \(3, 0\)"),
        (np.zeros(3), np.zeros(3, int), r"must be integers|shape \(3,\)"),
        (np.zeros((3, 2)), np.zeros(4, int), r"shape \(4,\): must be \(3,\)"),
        (np.zeros((3, 2)), np.zeros((3, 1), int), r"shape \(3, 1\): must be \(3,\)"),
        (np.zeros((3, 2)), np.zeros(3), "must be integers"),
        (np.zeros((3, 2)), np.array([0, 1, 2]), "must be from 0 to 1"),
        (np.zeros((3, 2)), np.array([0, -1, 1]), "must be from 0 to 1"),
        (np.array([[np.nan, 1.0]]), np.zeros(1, int), "NaN"),
    ],
)
def test_refuses_what_does_not_fit(probabilities: NDArray[Any], labels: NDArray[Any], message: str) -> None:
    for score in (accuracy, accuracy_per_class, macro_f1):
        with pytest.raises(ValueError, match=message):
            score(probabilities, labels)
    with pytest.raises(ValueError, match=message):
        top_k_accuracy(probabilities, labels, 1)
    with pytest.raises(ValueError, match=message):
        confusion(probabilities, labels, 2)


def test_refuses_a_wrong_number_of_classes() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 3\): must be of 15 classes"):
        confusion(PROBABILITIES, LABELS, 15)
    for k in (0, 4):
        with pytest.raises(ValueError, match="must be from 1 to the number of classes, 3"):
            top_k_accuracy(PROBABILITIES, LABELS, k)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_average_precision_is_scikit_learn_s(pairs: list[tuple[bool, int]]) -> None:
    relevant, scores = np.array([one for one, _ in pairs]), np.array([of for _, of in pairs], float)
    if relevant.any():
        wanted = average_precision_score(relevant, scores)
        assert average_precision(relevant, scores) == pytest.approx(wanted)
    else:
        with pytest.raises(ValueError, match="relevant"):
            average_precision(relevant, scores)
