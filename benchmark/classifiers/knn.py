"""k nearest neighbours by Euclidean distance, as one matrix product."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.errors import DataError

_BLOCK = 512  # queries at a time: bounds the memory of the distances

# A tie-breaker's largest weight, in votes: too small to overturn a whole vote, and, falling in equal steps with the rank of
# a class's nearest member, large enough to survive float32 for k up to 1,000.
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
        # float64: in float32 the differences between near-copies drown in the squares of 12,288 values.
        vectors = self.vectors.astype(np.float64)
        squares = np.einsum("nd,nd->n", vectors, vectors)
        blocks = [queries[at : at + _BLOCK] for at in range(0, len(queries), _BLOCK)]
        none = np.empty((0, self.classes), dtype=np.float32)
        return np.concatenate([none, *(self._vote(block, vectors, squares) for block in blocks)])

    def _vote(
        self, queries: NDArray[np.float32], vectors: NDArray[np.float64], squares: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        # |q - v|² without |q|², which is the same for all v.
        distances = squares - 2.0 * (queries.astype(np.float64) @ vectors.T)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self.k]
        bonuses = _TIE * np.arange(self.k, 0, -1) / self.k
        first = np.zeros((len(queries), self.classes))
        votes = np.zeros((len(queries), self.classes))
        rows = np.arange(len(queries))
        for rank in range(self.k):
            chosen = self.labels[nearest[:, rank]]
            bonus = np.where(first[rows, chosen] == 0, bonuses[rank], 0.0)
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
