"""Cells that several coarse partitions cut out of each other: fine cells from few classes.

A fine cell is a tuple of cells, one of each partition, that some training photo lies in. Its log-probability is the sum of
those of its members, each learnt by a classifier of few classes with many photos: P. H. Seo, T. Weyand, J. Sim, B. Han,
"CPlaNet: enhancing image geolocalization by combinatorial partitioning of maps", ECCV 2018.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.partition import Partition, Thresholds, known, means, require_cells


@dataclass(frozen=True)
class Intersections:
    """See `benchmark.cells.partition.Partition`; `tuples` (C, P) are the cells of the P `parts` that each lies in."""

    parts: Sequence[Partition]
    tuples: NDArray[np.int64]
    answers: NDArray[np.float64]
    counts: NDArray[np.int64]

    def cell_of(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cell of each of the places (N, 2); -1 where it is in none, or NaN."""
        wanted = np.stack([part.cell_of(places) for part in self.parts], axis=1)
        cells, numbers = np.unique(np.concatenate([self.tuples, wanted]), axis=0, return_inverse=True)
        numbers = numbers.reshape(-1)
        of = np.full(len(cells), -1, np.int64)
        of[numbers[: len(self.tuples)]] = np.arange(len(self.tuples))
        return of[numbers[len(self.tuples) :]]

    def outlines(self) -> list[NDArray[np.float64]]:
        """Return no outline: those of the parts, laid over each other, show the cells."""
        return [np.empty((0, 2)) for _ in self.counts]


def intersections(parts: Sequence[Partition], places: NDArray[np.float64], thresholds: Thresholds) -> Intersections:
    """Return the cells of the places (N, 2) that lie in a cell of each part; those with fewer than `least` are left out.

    Raises:
        DataError: no place is known, or no cell holds enough.
    """
    there = known(places)
    of = np.stack([part.cell_of(there) for part in parts], axis=1)
    tuples, counts = np.unique(of[(of >= 0).all(axis=1)], axis=0, return_counts=True)
    kept = counts >= max(1, thresholds.least)
    require_cells(int(kept.sum()), thresholds)
    empty = Intersections(parts, tuples[kept], np.zeros((int(kept.sum()), 2)), counts[kept].astype(np.int64))
    return Intersections(parts, empty.tuples, means(there, empty.cell_of(there), len(empty.counts)), empty.counts)
