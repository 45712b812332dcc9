"""Boxes of latitude and longitude, split in four where photos crowd, without S2: the partition of OpenStreetView-5M.

A box with at least `most` photos is cut across its middle in both directions, down to a depth of ten. That is the rule that
the published file keeps (G. Astruc et al., CVPR 2024, `quadtree_10_1000.csv`): each of its 11,399 boxes is the box around all
photos halved 2 to 10 times. Descriptions of it speak of medians; `split="median"` cuts at the median latitude, then each half
at its own median longitude, so that the quarters hold about equally many.

A partition is a tree in plain arrays: a place goes down it, one comparison of each coordinate a level. Boxes end at the date
line, which is a border like others here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.partition import Thresholds, checked_answers, known, means, require_cells
from collector.errors import UsageError

SPLITS = ("midpoint", "median")

_NOTHING = -1  # a quarter without photos


@dataclass(frozen=True)
class QuadTree:
    """A partition into boxes, see `benchmark.cells.partition.Partition`.

    Attributes:
        boxes: (C, 4) of the cells: south, west, north, east in degrees.
        bounds: (4,), likewise, of the whole.
        cuts: (M, 3) of the boxes that are split, the whole first: latitude, longitude of the southern and the northern half.
        quarters: (M, 4) of these: south-west, south-east, north-west, north-east; the row of `cuts` of one that is split,
            -2 - c of the one that is cell c, -1 of one without photos.
        answers, counts: of the cells.
    """

    boxes: NDArray[np.float64]
    bounds: NDArray[np.float64]
    cuts: NDArray[np.float64]
    quarters: NDArray[np.int64]
    answers: NDArray[np.float64]
    counts: NDArray[np.int64]

    def cell_of(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cell of each of the places (N, 2); -1 where it is in none, or NaN."""
        south, west, north, east = self.bounds
        latitude, longitude = places.T
        inside = (south <= latitude) & (latitude <= north) & (west <= longitude) & (longitude <= east)
        at = np.where(inside, 0 if len(self.cuts) else -2, _NOTHING)
        while (going := np.flatnonzero(at >= 0)).size:
            cuts = self.cuts[at[going]]
            upper = latitude[going] >= cuts[:, 0]
            right = longitude[going] >= np.where(upper, cuts[:, 2], cuts[:, 1])
            at[going] = self.quarters[at[going], 2 * upper + right]
        return np.where(at == _NOTHING, -1, -2 - at)

    def outlines(self) -> list[NDArray[np.float64]]:
        """Return the corners of each box, (4, 2), latitude and longitude, anticlockwise."""
        south, west, north, east = self.boxes.T
        corners = np.stack([[south, west], [south, east], [north, east], [north, west]])
        return list(corners.transpose(2, 0, 1))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as plain arrays by name."""
        tree = {"boxes": self.boxes, "bounds": self.bounds, "cuts": self.cuts, "quarters": self.quarters}
        return {**tree, "answers": self.answers, "counts": self.counts}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "QuadTree":
        """Return what `to_arrays` gave; ValueError or KeyError where it is damaged."""
        answers, counts = checked_answers(arrays)
        tree = cls(arrays["boxes"], arrays["bounds"], arrays["cuts"], arrays["quarters"], answers, counts)
        rows, cells = len(tree.cuts), len(counts)
        shapes = (tree.boxes.shape, tree.bounds.shape, tree.cuts.shape, tree.quarters.shape)
        if shapes != ((cells, 4), (4,), (rows, 3), (rows, 4)) or not cells:
            raise ValueError(f"a quad-tree of arrays {shapes}")
        # A split box lies behind the one that it is a part of: a place goes down and never in a circle.
        deeper = (tree.quarters > np.arange(rows)[:, None]) | (tree.quarters < 0)
        if not (deeper & (tree.quarters < rows) & (tree.quarters >= -1 - cells)).all():
            raise ValueError("a quad-tree whose quarters are none")
        return tree


def quadtree(
    places: NDArray[np.float64],
    thresholds: Thresholds,
    depth: int = 10,
    split: str = "midpoint",
    bounds: NDArray[np.float64] | None = None,
) -> QuadTree:
    """Return the boxes of the places (N, 2), of which unknown ones are passed over.

    Args:
        places: latitude and longitude in degrees.
        thresholds: a box with `most` photos or more is split; what has fewer than `least` is left out.
        depth: boxes are split at most so often, and not where all their photos are at one point.
        split: one of SPLITS.
        bounds: south, west, north, east of the whole; None: of the places.

    Raises:
        UsageError: there is no such split.
        DataError: no place is known, or no box holds enough.
    """
    if split not in SPLITS:
        raise UsageError(f"split {split!r}: choose one of {', '.join(SPLITS)}")
    there = known(places)
    whole = np.concatenate([there.min(axis=0), there.max(axis=0)]) if bounds is None else bounds
    growth = _Growth(there, thresholds, depth, split)
    growth.grow(whole, np.arange(len(there)))
    require_cells(len(growth.boxes), thresholds)
    cells = np.full(len(there), -1, np.int64)
    for cell, rows in enumerate(growth.members):
        cells[rows] = cell
    counts = np.array([len(rows) for rows in growth.members], np.int64)
    return QuadTree(
        np.array(growth.boxes),
        whole.astype(np.float64),
        np.array(growth.cuts, np.float64).reshape(-1, 3),
        np.array(growth.quarters, np.int64).reshape(-1, 4),
        means(there, cells, len(counts)),
        counts,
    )


class _Growth:
    """A tree while it grows."""

    def __init__(self, places: NDArray[np.float64], thresholds: Thresholds, depth: int, split: str) -> None:
        self.places, self.thresholds, self.depth, self.split = places, thresholds, depth, split
        self.boxes: list[NDArray[np.float64]] = []
        self.members: list[NDArray[np.int64]] = []
        self.cuts: list[tuple[float, float, float]] = []
        self.quarters: list[list[int]] = []

    def grow(self, box: NDArray[np.float64], rows: NDArray[np.int64], level: int = 0) -> int:
        """Add a box with the places of these rows; return its number as `QuadTree.quarters` has it."""
        if len(rows) < max(1, self.thresholds.least):
            return _NOTHING
        points = self.places[rows]
        if len(rows) < self.thresholds.most or level == self.depth or (points == points[0]).all():
            self.boxes.append(box)
            self.members.append(rows)
            return -1 - len(self.boxes)
        (south, west, north, east), number = box, len(self.cuts)
        latitude, lower, upper = self._cut(box, points)
        self.cuts.append((latitude, lower, upper))
        self.quarters.append([_NOTHING] * 4)
        above = points[:, 0] >= latitude
        right = points[:, 1] >= np.where(above, upper, lower)
        parts = (
            ((south, west, latitude, lower), ~above & ~right),
            ((south, lower, latitude, east), ~above & right),
            ((latitude, west, north, upper), above & ~right),
            ((latitude, upper, north, east), above & right),
        )
        for quarter, (part, inside) in enumerate(parts):
            self.quarters[number][quarter] = self.grow(np.array(part), rows[inside], level + 1)
        return number

    def _cut(self, box: NDArray[np.float64], points: NDArray[np.float64]) -> tuple[float, float, float]:
        south, west, north, east = box.tolist()
        if self.split == "midpoint":
            middle = (west + east) / 2
            return (south + north) / 2, middle, middle
        latitude = float(np.median(points[:, 0]))
        halves = (points[points[:, 0] < latitude, 1], points[points[:, 0] >= latitude, 1])
        lower, upper = (float(np.median(half)) if len(half) else (west + east) / 2 for half in halves)
        return latitude, lower, upper
