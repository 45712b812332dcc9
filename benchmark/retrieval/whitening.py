"""Vectors made comparable: length 1, and PCA whitening learnt from the training photos."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalised(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Return vectors (N, D) scaled to length 1; those of length 0 stay 0."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


@dataclass(frozen=True)
class Whitening:
    """`(vectors - mean) @ matrix`, then length 1: `mean` (D,), `matrix` (D, d).

    Over the photos that it was learnt from each of the d values has mean 0 and deviation 1, and no two are correlated. H.
    Jégou and O. Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA and whitening", ECCV 2012.
    """

    mean: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors (N, D) as (N, d) of length 1."""
        return normalised((vectors - self.mean) @ self.matrix)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as plain arrays by name."""
        return {"whitening-mean": self.mean, "whitening-matrix": self.matrix}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Whitening":
        """Return what `to_arrays` gave; KeyError where it is not there."""
        return cls(arrays["whitening-mean"], arrays["whitening-matrix"])


def fit_whitening(vectors: NDArray[np.float32], dimensions: int) -> Whitening:
    """Learn from vectors (N, D) to keep at most so many dimensions, those in which they vary most.

    Directions with less than a millionth of the largest variance are left out: divided by it, they would be noise.

    Raises:
        ValueError: there is no vector, or no dimension is wanted.
    """
    if not len(vectors) or dimensions < 1:
        raise ValueError(f"whitening of {vectors.shape} vectors to {dimensions} dimensions")
    mean = vectors.mean(axis=0, dtype=np.float64)
    _, deviations, directions = np.linalg.svd(vectors - mean, full_matrices=False)
    variances = deviations**2 / max(1, len(vectors) - 1)
    kept = min(dimensions, max(1, int((variances > 1e-6 * variances[0]).sum())))
    scale = np.sqrt(np.where(variances[:kept] > 0, variances[:kept], 1))
    return Whitening(mean, directions[:kept].T / scale)
