"""Logistic regression: scikit-learn's, with all classes in the answer."""

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmark.classifiers.logistic import fit_logistic


@pytest.fixture
def data() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return (random.random((60, 8)) + labels[:, None] / 2).astype(np.float32), labels.astype(np.int64)


def test_it_agrees_with_scikit_learn(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    vectors, labels = data
    theirs = LogisticRegression(C=0.5, max_iter=500).fit(vectors, labels).predict_proba(vectors)
    ours = fit_logistic(vectors, labels, 3, 0.5, 500).predict_proba(vectors)
    assert ours.dtype == np.float32
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_c_is_the_inverse_strength(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    vectors, labels = data
    weak, strong = (fit_logistic(vectors, labels, 3, c, 500).predict_proba(vectors) for c in (100.0, 1e-6))
    assert strong == pytest.approx(np.full((60, 3), 1 / 3), abs=1e-3)
    assert weak.max() > 0.9


def test_classes_without_training_photos_get_0(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    vectors, labels = data
    shares = fit_logistic(vectors, np.array([1, 3, 4])[labels], 6, 1.0, 500).predict_proba(vectors)
    assert shares.shape == (60, 6)
    assert (shares[:, [0, 2, 5]] == 0).all()
    assert (shares[:, [1, 3, 4]] > 0).all()
    assert shares.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    assert (shares.argmax(axis=1) == np.array([1, 3, 4])[labels]).mean() > 0.7


@pytest.mark.parametrize("classes", [2, 3])
def test_stopping_early_is_no_warning(data: tuple[NDArray[np.float32], NDArray[np.int64]], classes: int) -> None:
    vectors, labels = data
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_logistic(vectors * 100, labels % classes, classes, 1.0, 1)
    assert caught == []
    with pytest.warns(ConvergenceWarning):  # and the filter is as it was before
        LogisticRegression(max_iter=1).fit(vectors * 100, labels % classes)


def test_two_fits_are_equal(data: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    vectors, labels = data
    first, second = (fit_logistic(vectors, labels, 3, 1.0, 50).predict_proba(vectors) for _ in range(2))
    assert np.array_equal(first, second)
