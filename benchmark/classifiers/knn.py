"""k nearest neighbours by Euclidean distance, as one matrix product."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.errors import DataError

_BLOCK = 512  # queries at a time: bounds the memory of the distances

# A tie-breaker's largest weight, in votes: too small to overturn a whole vote, large enough to survive float32.
_TIE = 1e-3


@dataclass(frozen=True)
class NearestNeighbours:
    """A fitted classifier: the training vectors (N, D), their labels (N,), the number of classes and k."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: int
    k: int

    def predict_proba(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the share of votes of each class, (M, C).

        Among classes with equally many votes the one whose nearest member is nearest wins: its share is larger by less
        than a thousandth of a vote.
        """
        squares = np.einsum("nd,nd->n", self.vectors, self.vectors, dtype=np.float64)
        blocks = [queries[at : at + _BLOCK] for at in range(0, len(queries), _BLOCK)]
        return np.concatenate([self._vote(block, squares) for block in blocks])

    def _vote(self, queries: NDArray[np.float32], squares: NDArray[np.float64]) -> NDArray[np.float32]:
        # |q - v|² without |q|², which is the same for all v.
        distances = squares - 2.0 * (queries @ self.vectors.T)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        weights = 1.0 + _TIE / np.arange(1, self.k + 1) ** 2
        first = np.zeros((len(queries), self.classes))
        votes = np.zeros((len(queries), self.classes))
        rows = np.arange(len(queries))
        for rank in range(self.k):
            chosen = self.labels[nearest[:, rank]]
            bonus = np.where(first[rows, chosen] == 0, weights[rank] - 1.0, 0.0)
            first[rows, chosen] = 1
            votes[rows, chosen] += 1.0 + bonus
        shares: NDArray[np.float32] = (votes / votes.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares


def fit_knn(vectors: NDArray[np.float32], labels: NDArray[np.int64], classes: int, k: int) -> NearestNeighbours:
    """Return the classifier.

    Raises:
        DataError: there are fewer than k training photos.
    """
    if k > len(vectors):
        raise DataError(f"kNN with k = {k}: there are only {len(vectors)} training photos; choose a smaller k")
    return NearestNeighbours(vectors, labels, classes, k)
