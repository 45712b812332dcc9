"""k nearest neighbours by Euclidean distance, as one matrix product on any device."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.errors import DataError

BLOCK_BYTES = 256 << 20  # of distances at a time

# A tie-breaker's largest weight, in votes: too small to overturn a whole vote, and, falling in equal steps with the rank of
# a class's nearest member, large enough to survive float32 for k up to 1,000.
_TIE = 1e-3

MODERN_KS = "1,3,5,11,21,31,51,71"
"""What modern rows choose k from, on the validation photos; as text, so that a parameter holds it."""

WEIGHTS = ("uniform", "distance")
"""How neighbours vote: all alike, or each with the inverse of its distance."""

log = logging.getLogger("t15")


@dataclass(frozen=True)
class NearestNeighbours:
    """A fitted classifier.

    Attributes:
        vectors: of the training photos, (N, D).
        labels: of the training photos, (N,).
        classes: how many there are.
        k: how many neighbours vote.
        weights: one of WEIGHTS.
        device: `cpu` or `cuda`; `numpy` on the CPU without torch, for few photos.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: int
    k: int
    weights: str = "uniform"
    device: str = "cpu"

    def predict_proba(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the share of votes of each class, (M, C).

        Among classes with equally many votes the one whose nearest member is nearest wins: its share is larger by less
        than a thousandth of a vote. Weighted by distance, a neighbour at distance 0 outvotes all others.
        """
        return self.vote(*self.nearest_of_many(queries))

    def vote(self, squares: NDArray[np.float64], nearest: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the share of votes of each class, (M, C), from `nearest`'s answer for this k or a larger one."""
        squares, neighbours = squares[:, : self.k], self.labels[nearest[:, : self.k]]
        weights = np.ones(neighbours.shape)
        if self.weights == "distance":
            # Relative to the nearest one, so that neither tiny nor huge distances lose their digits.
            floor = np.maximum(squares[:, :1], np.finfo(np.float32).tiny)
            weights = np.sqrt(floor / np.maximum(squares, floor))
        votes = np.zeros((len(neighbours), self.classes))
        # Weighted votes are hardly ever equal: the tie-breaker must not decide where they nearly are.
        tie = _TIE if self.weights == "uniform" else _TIE / 1000
        bonuses = tie * np.arange(self.k, 0, -1) / self.k
        seen = np.zeros_like(votes, dtype=bool)
        rows = np.arange(len(neighbours))
        for rank in range(self.k):
            chosen = neighbours[:, rank]
            votes[rows, chosen] += weights[:, rank] + np.where(seen[rows, chosen], 0.0, bonuses[rank])
            seen[rows, chosen] = True
        shares: NDArray[np.float32] = (votes / votes.sum(axis=1, keepdims=True)).astype(np.float32)
        return shares

    def nearest_of_many(self, queries: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """As `nearest`, in blocks that bound the memory of the distances."""
        block = max(1, BLOCK_BYTES // (8 * len(self.vectors)))
        parts = [self.nearest(queries[at : at + block]) for at in range(0, len(queries), block)]
        parts = parts or [(np.empty((0, self.k)), np.empty((0, self.k), dtype=np.int64))]
        return np.concatenate([squares for squares, _ in parts]), np.concatenate([nearest for _, nearest in parts])

    def nearest(self, queries: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return squared distances and positions of the k nearest, nearest first, of equal ones the earlier; (M, k) each.

        float64: in float32 the differences between near-copies drown in the squares of 12,288 values.
        """
        if self.device == "numpy":
            return self._nearest_in_numpy(queries)
        import torch  # takes seconds, and lists of methods are shown without it

        wanted = torch.from_numpy(queries.astype(np.float64)).to(self.device)
        step = max(1, BLOCK_BYTES // (8 * self.vectors.shape[1]))
        length = (wanted * wanted).sum(dim=1, keepdim=True)
        distances = []
        for at in range(0, len(self.vectors), step):
            known = torch.from_numpy(self.vectors[at : at + step].astype(np.float64)).to(self.device)
            lengths = length + (known * known).sum(dim=1)
            squares = lengths - 2.0 * (wanted @ known.T)
            # Equal vectors differ by the rounding of their lengths, which weights would take for a distance.
            distances.append(torch.where(squares < 1e-12 * lengths, 0.0, squares))
        squared = torch.cat(distances, dim=1)
        order = torch.sort(squared, dim=1, stable=True)
        return order.values[:, : self.k].cpu().numpy(), order.indices[:, : self.k].cpu().numpy()

    def _nearest_in_numpy(self, queries: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        wanted, known = queries.astype(np.float64), self.vectors.astype(np.float64)
        lengths = np.square(wanted).sum(axis=1, keepdims=True) + np.square(known).sum(axis=1)
        squares = lengths - 2.0 * (wanted @ known.T)
        squares = np.where(squares < 1e-12 * lengths, 0.0, squares)
        order = np.argsort(squares, axis=1, kind="stable")[:, : self.k]
        return np.take_along_axis(squares, order, axis=1), order

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_knn`)."""
        spec = {"classes": self.classes, "k": self.k, "weights": self.weights}
        return "knn", spec, {"vectors": self.vectors, "labels": self.labels}


def load_knn(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> NearestNeighbours:
    """Return the classifier that `NearestNeighbours.save` described.

    Raises:
        ValueError, KeyError, TypeError: the description is none, or does not fit the arrays.
    """
    if arrays["labels"].dtype.kind not in "iu":
        raise ValueError(f"k nearest neighbours: their labels are {arrays['labels'].dtype}")
    vectors, labels = arrays["vectors"].astype(np.float32, copy=False), arrays["labels"].astype(np.int64, copy=False)
    classes, k, weights = int(spec["classes"]), int(spec["k"]), spec["weights"]
    if vectors.ndim != 2 or labels.shape != (len(vectors),) or not 1 <= k <= len(vectors) or weights not in WEIGHTS:
        raise ValueError(f"kNN with k = {k}, weights {weights!r} of {vectors.shape} vectors and {labels.shape} labels")
    if not np.isfinite(vectors).all() or labels.min() < 0 or labels.max() >= classes:
        raise ValueError("kNN: a vector is not finite, or a label is no class")
    return NearestNeighbours(vectors, labels, classes, k, weights, device)


def fit_knn(
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
    k: int,
    weights: str = "uniform",
    device: str = "cpu",
) -> NearestNeighbours:
    """Return the classifier.

    Raises:
        DataError: there are fewer than k training photos.
    """
    if k > len(vectors):
        raise DataError(f"kNN with k = {k}: there are only {len(vectors)} training photos; choose a smaller k")
    return NearestNeighbours(vectors, labels, classes, k, weights, device)
