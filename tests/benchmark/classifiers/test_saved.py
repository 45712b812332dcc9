"""Classifiers as data: what comes back answers as what was fitted."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.classifiers.knn import WEIGHTS, fit_knn
from benchmark.classifiers.logistic import SOLVERS, fit_logistic, fit_softmax
from benchmark.classifiers.logistic import Logistic as Fitted
from benchmark.methods.features import Classifier, load_classifier

RANDOM = np.random.default_rng(3)
QUERIES = RANDOM.normal(size=(40, 6)).astype(np.float32)


def data(classes: int, photos: int = 60) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    labels = np.arange(photos) % classes
    vectors = RANDOM.normal(size=(photos, 6)) + RANDOM.normal(size=(classes, 6))[labels]
    return vectors.astype(np.float32), labels.astype(np.int64)


def again(classifier: Classifier) -> Classifier:
    kind, spec, arrays = classifier.save()
    return load_classifier(kind, spec, arrays, "cpu")


@pytest.mark.parametrize("weights", WEIGHTS)
def test_neighbours_come_back_bit_for_bit(weights: str) -> None:
    fitted = fit_knn(*data(3), 3, 5, weights)
    np.testing.assert_array_equal(again(fitted).predict_proba(QUERIES), fitted.predict_proba(QUERIES))


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("solver", SOLVERS)
def test_logistic_regression_comes_back(solver: str, classes: int, standardise: bool) -> None:
    fitted = fit_logistic(*data(classes), classes, 1.0, 100, solver, standardise)
    kind, _, arrays = fitted.save()
    assert kind == "logistic"
    assert all(isinstance(array, np.ndarray) and array.dtype.kind in "fi" for array in arrays.values())
    expected = fitted.predict_proba(QUERIES)
    assert expected.std() > 0.05
    np.testing.assert_allclose(again(fitted).predict_proba(QUERIES), expected, atol=2e-6)


def test_a_class_without_a_training_photo_stays_at_0() -> None:
    vectors, labels = data(3)
    fitted = fit_logistic(vectors, labels * 2, 6, 1.0, 100)
    loaded = again(fitted).predict_proba(QUERIES)
    assert (loaded[:, [1, 3, 5]] == 0).all()
    np.testing.assert_allclose(loaded, fitted.predict_proba(QUERIES), atol=2e-6)


def test_what_a_gpu_fitted_comes_back() -> None:
    vectors, labels = data(3)
    fitted = Fitted(fit_softmax(vectors, labels, 1.0, 100, "cpu"), 3)
    np.testing.assert_array_equal(again(fitted).predict_proba(QUERIES), fitted.predict_proba(QUERIES))


DAMAGE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("knn", {"k": 0}, {}),
    ("knn", {"k": 61}, {}),
    ("knn", {"weights": "both"}, {}),
    ("knn", {"classes": 2}, {}),
    ("knn", {}, {"labels": np.full(60, -1)}),
    ("knn", {}, {"labels": np.zeros(59, np.int64)}),
    ("knn", {}, {"vectors": np.full((60, 6), np.nan, np.float32)}),
    ("knn", {}, {"vectors": np.zeros(60, np.float32)}),
    ("logistic", {"link": "probit"}, {}),
    ("logistic", {"classes": 2}, {}),
    ("logistic", {}, {"labels": np.array([0, 1, 1])}),
    ("logistic", {}, {"biases": np.zeros(2)}),
    ("logistic", {}, {"weights": np.full((3, 6), np.inf)}),
    ("logistic", {}, {"mean": np.zeros(6)}),
    ("logistic", {}, {"mean": np.zeros(5), "scale": np.ones(5)}),
    ("forest", {}, {}),
]


@pytest.mark.parametrize(("kind", "spec", "arrays"), DAMAGE)
def test_descriptions_that_do_not_fit_are_refused(kind: str, spec: dict[str, Any], arrays: dict[str, Any]) -> None:
    fitted: Classifier = fit_knn(*data(3), 3, 5) if kind == "knn" else fit_logistic(*data(3), 3, 1.0, 20)
    _, own_spec, own_arrays = fitted.save()
    with pytest.raises((ValueError, KeyError)):
        load_classifier(kind, {**own_spec, **spec}, {**own_arrays, **arrays}, "cpu")
