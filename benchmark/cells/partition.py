"""A partition of the training places into cells: where a place belongs, and the place that each cell answers with.

The answer is the mean on the sphere of the cell's training photos, not the middle of its outline: T. Weyand, I. Kostrikov, J.
Philbin, "PlaNet - photo geolocation with convolutional neural networks", ECCV 2016.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from collector.errors import DataError
from collector.geo import places_of, unit_vectors


class Partition(Protocol):
    """C cells that do not overlap.

    Attributes:
        answers: (C, 2), the mean place of each cell's training photos.
        counts: (C,), how many they are.
    """

    @property
    def answers(self) -> NDArray[np.float64]:
        """Latitude and longitude that each cell answers with."""
        ...

    @property
    def counts(self) -> NDArray[np.int64]:
        """Training photos in each cell."""
        ...

    def cell_of(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cell of each of the places (N, 2); -1 where it is in none, or NaN."""
        ...

    def outlines(self) -> list[NDArray[np.float64]]:
        """Return the corners of each cell, (M, 2), latitude and longitude; without rows for one that has no outline."""
        ...


class Stored(Partition, Protocol):
    """A partition that stands by itself in a file."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as plain arrays by name."""
        ...


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a cell is split and when it is left out.

    Attributes:
        most: a cell with more photos is split, as far as it can be.
        least: one with fewer photos is left out, and its photos with it.
    """

    most: int
    least: int = 1

    def __post_init__(self) -> None:
        """Check the numbers; ValueError where they are none."""
        if self.most < 1 or self.least < 0:
            raise ValueError(f"a cell of at most {self.most} and at least {self.least} photos")


def scaled(photos: int, labels: int, most: float, least: float) -> Thresholds:
    """Return thresholds as shares of the mean number of photos of a label, so that they grow with the manifest.

    PlaNet's 10,000 and 50 are of 91 million photos. ValueError where there is no label.
    """
    mean = photos / labels if labels else 0.0
    if not mean:
        raise ValueError(f"{photos} photos of {labels} labels")
    return Thresholds(max(1, round(most * mean)), max(1, round(least * mean)))


def means(places: NDArray[np.float64], cells: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return the mean place of each of `count` cells, (count, 2), from places (N, 2) and the cell of each, -1 for none.

    Where places cancel out, which have no mean, the first of them stands for the cell.
    """
    held = cells >= 0
    vectors, number = unit_vectors(places[held, 0], places[held, 1]), cells[held]
    sums = np.zeros((count, 3))
    np.add.at(sums, number, vectors)
    first = np.unique(number, return_index=True)
    cancelled = np.linalg.norm(sums[first[0]], axis=1) < 1e-9 * np.bincount(number, minlength=count)[first[0]]
    sums[first[0][cancelled]] = vectors[first[1][cancelled]]
    return places_of(sums)


def known(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return those of the places (N, 2) that are known.

    Raises:
        DataError: none is.
    """
    there = places[~np.isnan(places).any(axis=1)]
    if not len(there):
        raise DataError("cells: no training photo has a place; collect with coordinates, or leave this method out")
    return there


def require_cells(count: int, thresholds: Thresholds) -> None:
    """Make sure that a partition has a cell.

    Raises:
        DataError: all were left out.
    """
    if not count:
        raise DataError(f"cells: none holds {thresholds.least} photos or more; lower that threshold")


def parents(fine: Partition, coarse: Partition, places: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cell of `coarse` that each cell of `fine` lies in, as most of the places (N, 2) have it; -1 for none."""
    pairs = np.stack([fine.cell_of(places), coarse.cell_of(places)], axis=1)
    seen, counts = np.unique(pairs[(pairs >= 0).all(axis=1)], axis=0, return_counts=True)
    found = np.full(len(fine.answers), -1, np.int64)
    for at in np.argsort(counts, kind="stable"):
        found[seen[at, 0]] = seen[at, 1]
    return found


def prefixed(partitions: Sequence[Stored]) -> dict[str, NDArray[Any]]:
    """Return several partitions as arrays of one file: those of the first are called `cells-0-…`."""
    return {f"cells-{n}-{name}": of for n, one in enumerate(partitions) for name, of in one.to_arrays().items()}


def checked_answers(arrays: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the answers and counts that a partition's `to_arrays` gave; ValueError or KeyError where they are damaged."""
    answers, counts = arrays["answers"].astype(np.float64), arrays["counts"].astype(np.int64)
    if answers.shape != (len(counts), 2) or not (np.abs(answers) <= [90, 180]).all():
        raise ValueError(f"cells with answers {answers.shape} and counts {counts.shape}")
    return answers, counts
