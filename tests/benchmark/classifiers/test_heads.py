"""Heads on vectors: against scikit-learn and slow arithmetic, on blobs whose classes are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from benchmark.classifiers.heads import Perceptron, at_temperature, fit_lda, fit_mlp, fit_ncm, fit_sgd, unit
from benchmark.methods.features import load_classifier
from collector.errors import DataError

CLASSES = 4


def blobs(seed: int, count: int = 120, width: int = 6) -> tuple[Any, Any]:
    """Return Gaussian vectors of one covariance, round means that are some deviations apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    means, mixing = 3 * rng.normal(size=(CLASSES, width)), rng.normal(size=(width, width))
    return (means[labels] + rng.normal(size=(count, width)) @ mixing / 2).astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize("shrinkage", [0.01, 0.3, 1.0])
def test_discriminant_analysis_is_scikit_learn_s(shrinkage: float) -> None:
    vectors, labels = blobs(1)
    vectors, labels = vectors[:-7], labels[:-7]  # classes of different sizes
    ours = fit_lda(vectors, labels, CLASSES, [0.5, shrinkage])[1]
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(vectors.astype(np.float64), labels)
    others = blobs(2)[0]
    # scikit-learn weighs the classes' covariances by their shares and divides by N in each, as we do.
    assert np.allclose(ours.predict_proba(others), oracle.predict_proba(others.astype(np.float64)), atol=2e-4)


@given(seed=st.integers(0, 1000), shrinkage=st.floats(0.01, 1))
def test_nearest_means_are_nearest_where_everything_is_whitened(seed: int, shrinkage: float) -> None:
    vectors, labels = blobs(seed, 40, 3)
    (ours,) = fit_ncm(vectors, labels, CLASSES, [shrinkage])
    exact = vectors.astype(np.float64)
    covariance = np.cov(exact.T, bias=True)
    shrunk = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / 3 * np.eye(3)
    means = np.stack([exact[labels == label].mean(axis=0) for label in range(CLASSES)])
    far = np.array([[(x - m) @ np.linalg.solve(shrunk, x - m) for m in means] for x in exact])
    scores = np.exp(-(far - far.min(axis=1, keepdims=True)) / 2)
    assert np.allclose(ours.predict_proba(vectors), scores / scores.sum(axis=1, keepdims=True), atol=1e-4)


FITS: dict[str, Callable[[Any, Any], Any]] = {
    "lda": lambda x, y: fit_lda(x, y, CLASSES, [0.1])[0],
    "ncm": lambda x, y: fit_ncm(x, y, CLASSES, [0.1])[0],
    "sgd": lambda x, y: fit_sgd(x, y, CLASSES, [(0.1, 1e-4)], 30, 0, "cpu")[0],
    "mlp": lambda x, y: fit_mlp(x, y, (x, y), CLASSES, 0.01, 30, 0, "cpu"),
}


@pytest.mark.parametrize("name", FITS)
def test_a_head_learns_repeats_itself_and_comes_back_from_its_arrays(name: str) -> None:
    vectors, labels = blobs(3, 400)
    head, again = FITS[name](vectors, labels), FITS[name](vectors, labels)
    said = head.predict_proba(vectors)
    assert (said.argmax(axis=1) == labels).mean() > 0.9
    assert np.allclose(said.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(said, again.predict_proba(vectors))
    kind, spec, arrays = head.save()
    assert np.allclose(load_classifier(kind, spec, arrays, "cpu").predict_proba(vectors), said, atol=1e-6)
    assert head.predict_proba(vectors[:0]).shape == (0, CLASSES)


@pytest.mark.parametrize("name", FITS)
def test_a_class_without_photos_and_a_constant_value_are_borne(name: str) -> None:
    vectors, labels = blobs(4, 200)
    vectors[:, 2] = 1
    kept = labels != 1
    said = FITS[name](vectors[kept], labels[kept]).predict_proba(vectors[kept])
    assert np.isfinite(said).all()
    assert (said.argmax(axis=1) == labels[kept]).mean() > 0.9


@pytest.mark.parametrize("name", FITS)
def test_a_temperature_divides_the_scores(name: str) -> None:
    vectors, labels = blobs(5, 200)
    head = FITS[name](vectors, labels)
    usual, cold = (
        np.log(of.predict_proba(vectors).astype(np.float64) + 1e-30) for of in (head, at_temperature(head, 2.0))
    )
    seen = (usual > -30).all(axis=1)
    spread = (usual - usual[:, :1])[seen] / 2
    assert np.allclose(spread, (cold - cold[:, :1])[seen], atol=1e-2)


def test_a_perceptron_keeps_the_epoch_that_is_best_on_validation() -> None:
    vectors, labels = blobs(6, 400)
    shuffled = np.roll(labels, 1)  # learning these makes validation worse
    head = fit_mlp(vectors, shuffled, (vectors, labels), CLASSES, 0.01, 20, 0, "cpu")
    last = fit_mlp(vectors, shuffled, (vectors, shuffled), CLASSES, 0.01, 20, 0, "cpu")
    assert (head.predict_proba(vectors).argmax(1) == labels).mean() > (
        last.predict_proba(vectors).argmax(1) == labels
    ).mean()


def test_regressions_learn_side_by_side_as_each_would_alone() -> None:
    vectors, labels = blobs(9)
    settings = [(0.01, 0.0), (0.1, 1e-2), (0.001, 0.1)]
    for one, ours in zip(settings, fit_sgd(vectors, labels, CLASSES, settings, 4, 3, "cpu"), strict=True):
        (alone,) = fit_sgd(vectors, labels, CLASSES, [one], 4, 3, "cpu")
        assert np.allclose(ours.predict_proba(vectors), alone.predict_proba(vectors), atol=1e-5)


def test_a_head_that_diverges_says_so() -> None:
    vectors, labels = blobs(7)
    with pytest.raises(DataError, match=r"linear-sgd.*does not converge"):
        fit_sgd(vectors, labels, CLASSES, [(0.1, 0.0), (1e38, 0.0)], 50, 0, "cpu")


@pytest.mark.parametrize("name", ["inner", "outer_biases", "mean"])
@pytest.mark.parametrize("fault", ["shape", "value"])
def test_arrays_that_are_no_perceptron_are_refused(name: str, fault: str) -> None:
    vectors, labels = blobs(8)
    kind, spec, arrays = fit_mlp(vectors, labels, (vectors, labels), CLASSES, 0.01, 1, 0, "cpu").save()
    array = arrays[name].copy()
    if fault == "shape":
        array = array[:-1]
    else:
        array.flat[0] = np.nan
    with pytest.raises(ValueError, match="perceptron"):
        load_classifier(kind, spec, {**arrays, name: array}, "cpu")
    assert isinstance(load_classifier(kind, spec, arrays, "cpu"), Perceptron)


def test_vectors_of_length_one() -> None:
    found = unit(np.array([[3, 4], [0, 0], [6e4, 0]], np.float16))
    expected: list[list[float]] = [[0.6, 0.8], [0, 0], [1, 0]]
    assert found.dtype == np.float32
    assert np.allclose(found, expected)
