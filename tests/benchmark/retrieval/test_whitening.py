"""Vectors of length 1, and what whitening makes of the photos that it was learnt from."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.retrieval.whitening import Whitening, fit_whitening, normalised


def test_vectors_get_length_one_and_zero_stays() -> None:
    vectors = normalised(np.array([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0]]))
    assert np.allclose(vectors, np.array([[0.6, 0.8], [0, 0], [1, 0]]))


def test_whitened_training_vectors_are_uncorrelated_with_deviation_one() -> None:
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(300, 6)) @ random.normal(size=(6, 6)) + 5).astype(np.float32)
    whitening = fit_whitening(vectors, 4)
    white = (vectors - whitening.mean) @ whitening.matrix
    assert np.allclose(np.cov(white.T), np.eye(4), atol=1e-4)
    assert np.allclose(np.linalg.norm(whitening.apply(vectors), axis=1), 1, atol=1e-6)
    again = Whitening.of_arrays(whitening.to_arrays())
    assert np.array_equal(again.apply(vectors), whitening.apply(vectors))


@pytest.mark.parametrize("vectors", [np.ones((5, 3)), np.ones((1, 3)), np.eye(3)[[0, 0, 1]]])
def test_directions_without_variance_are_left_out(vectors: NDArray[np.float64]) -> None:
    whitening = fit_whitening(vectors.astype(np.float32), 3)
    assert whitening.matrix.shape == (3, 1)
    assert np.isfinite(whitening.apply(vectors.astype(np.float32))).all()


def test_of_no_vector_nothing_is_learnt() -> None:
    with pytest.raises(ValueError, match="whitening of"):
        fit_whitening(np.empty((0, 3), np.float32), 2)
