"""Cells of the S2 geometry: a quad-tree on each face of a cube around the sphere, split where photos crowd.

A cell is its 64-bit S2 number: 3 bits of the face, 2 bits for each level along a Hilbert curve, a 1, and zeros. So the leaf
(level 30) of a place lies in a cell where its number lies in the cell's range, and a partition is an ordered list of numbers.
The formulas are those of the S2 library (s2geometry.io): the cube's faces, the quadratic map of a face to a square, which
evens out the areas, and the curve's four turns. Here they are over arrays: a million places take about a second.

The tree begins with the six faces and splits a cell with more than `most` photos, down to leaves of about a square
centimetre, which cannot be split, whatever they hold; cells with fewer than `least` photos are left out, as PlaNet does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.partition import Thresholds, checked_answers, known, means, require_cells
from collector.geo import places_of, unit_vectors

LEVELS = 30

_ALONG = 4  # points along a side of a cell that is drawn: its sides are no straight lines on a flat map

_POSITION = np.array([[0, 1, 3, 2], [0, 3, 1, 2], [2, 3, 1, 0], [2, 1, 3, 0]], np.uint64)
"""Along the curve, by its turn and by the quarter (2·i + j)."""
_TURN = np.array([1, 0, 0, 3], np.uint8)
"""What a quarter at each position does to the turn (exclusive or): 1 swaps the axes, 2 inverts them."""


def leaves(places: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the number of the S2 leaf cell of each of the places (N, 2), which must be numbers."""
    face, i, j = _squares(unit_vectors(places[:, 0], places[:, 1]))
    turn, number = (face & 1).astype(np.uint8), face.astype(np.uint64)
    for level in range(LEVELS - 1, -1, -1):
        position = _POSITION[turn, 2 * (i >> level & 1) + (j >> level & 1)]
        number = number << np.uint64(2) | position
        turn ^= _TURN[position]
    leaf: NDArray[np.uint64] = number << np.uint64(1) | np.uint64(1)
    return leaf


def _squares(vectors: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the face of each unit vector (N, 3) and its place on it, from 0 to 2³⁰ - 1 along both axes."""
    axis = np.abs(vectors).argmax(axis=1)
    main = np.take_along_axis(vectors, axis[:, None], axis=1)[:, 0]
    face = axis + 3 * (main < 0)
    x, y, z = vectors.T
    u = np.choose(face, [y, -x, -x, z, z, -y]) / main
    v = np.choose(face, [z, z, -y, y, -x, -x]) / main
    return face.astype(np.int64), _cut(u), _cut(v)


def _cut(u: NDArray[np.float64]) -> NDArray[np.int64]:
    root = 0.5 * np.sqrt(1 + 3 * np.abs(u))
    s = np.where(u >= 0, root, 1 - root)
    return np.asarray(np.clip(np.floor(s * (1 << LEVELS)), 0, (1 << LEVELS) - 1), np.int64)


def _borders(cells: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return points along the borders of cells (C,), as places (C, 4 · _ALONG, 2): the way of `leaves` backwards."""
    half = cells & (~cells + np.uint64(1))
    leaf, side = (
        cells - half + np.uint64(1),
        np.sqrt(half.astype(np.float64)),
    )  # leaves along a side: √ of the lowest bit
    face = (cells >> np.uint64(61)).astype(np.int64)
    turn, i, j = (face & 1).astype(np.uint8), np.zeros(len(cells), np.int64), np.zeros(len(cells), np.int64)
    quarter_at = np.argsort(_POSITION, axis=1)  # by turn and position
    for level in range(LEVELS - 1, -1, -1):
        position = (leaf >> np.uint64(2 * level + 1) & np.uint64(3)).astype(np.int64)
        quarter = quarter_at[turn, position]
        i, j = i << 1 | quarter >> 1, j << 1 | quarter & 1
        turn ^= _TURN[position]
    # The first leaf along the curve may lie in any corner of its cell.
    i, j = (at - at % side.astype(np.int64) for at in (i, j))
    along = np.arange(_ALONG) / _ALONG
    zero, one = np.zeros(_ALONG), np.ones(_ALONG)
    right, up = np.concatenate([along, one, 1 - along, zero]), np.concatenate([zero, along, one, 1 - along])
    u, v = (_bent((at[:, None] + side[:, None] * part) / (1 << LEVELS)) for at, part in ((i, right), (j, up)))
    ones, choice = np.ones_like(u), np.broadcast_to(face[:, None], u.shape)
    x = np.choose(choice, [ones, -u, -u, -ones, v, v])
    y = np.choose(choice, [u, ones, -v, -v, -ones, u])
    z = np.choose(choice, [v, v, ones, -u, -u, -ones])
    return places_of(np.stack([x, y, z], axis=2))


def _bent(s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(s >= 0.5, (4 * s * s - 1) / 3, (1 - 4 * (1 - s) ** 2) / 3)


def token(cell: int) -> str:
    """Return a cell's number as S2 writes it: hexadecimal, without the zeros at its end."""
    return f"{cell:016x}".rstrip("0") or "X"


def of_token(text: str) -> int:
    """Return the number of the cell that a token names."""
    return int(text.ljust(16, "0"), 16)


@dataclass(frozen=True)
class S2Partition:
    """A partition into S2 cells, see `benchmark.cells.partition.Partition`; `cells` (C,) are their numbers, ascending."""

    cells: NDArray[np.uint64]
    answers: NDArray[np.float64]
    counts: NDArray[np.int64]

    def cell_of(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cell of each of the places (N, 2); -1 where it is in none, or NaN."""
        there = ~np.isnan(places).any(axis=1)
        leaf, reach = leaves(places[there]), (self.cells & (~self.cells + np.uint64(1))) - np.uint64(1)
        near = np.searchsorted(self.cells - reach, leaf, side="right") - 1
        inside = (near >= 0) & (leaf <= (self.cells + reach)[near])
        found = np.full(len(places), -1, np.int64)
        found[there] = np.where(inside, near, -1)
        return found

    def outlines(self) -> list[NDArray[np.float64]]:
        """Return points along the border of each cell, (4 · _ALONG, 2), latitude and longitude, anticlockwise."""
        return list(_borders(self.cells))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as plain arrays by name."""
        return {"s2": self.cells, "answers": self.answers, "counts": self.counts}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "S2Partition":
        """Return what `to_arrays` gave; ValueError or KeyError where it is damaged."""
        cells, (answers, counts) = arrays["s2"].astype(np.uint64), checked_answers(arrays)
        if cells.shape != counts.shape or not len(cells) or (cells == 0).any() or (cells[1:] <= cells[:-1]).any():
            raise ValueError("S2 cells are numbers above 0 that rise, one for each answer")
        return cls(cells, answers, counts)


def s2_partition(places: NDArray[np.float64], thresholds: Thresholds, coarsest: int = 0) -> S2Partition:
    """Return the cells of the places (N, 2), of which unknown ones are passed over; none is above level `coarsest`.

    Raises:
        DataError: no place is known, or no cell holds enough.
    """
    there = known(places)
    leaf = np.sort(leaves(there))
    cells = np.array(sorted(_split(leaf, thresholds, coarsest)), np.uint64)
    require_cells(len(cells), thresholds)
    empty = S2Partition(cells, np.zeros((len(cells), 2)), np.zeros(len(cells), np.int64))
    of = empty.cell_of(there)
    counts = np.bincount(of[of >= 0], minlength=len(cells)).astype(np.int64)
    return S2Partition(cells, means(there, of, len(cells)), counts)


def _split(leaf: NDArray[np.uint64], thresholds: Thresholds, coarsest: int) -> Iterator[int]:
    """Yield the cells that remain; `leaf` are the places' leaves, ascending."""
    open_cells = [((2 * face + 1) << 60, 0) for face in range(6)]
    while open_cells:
        cell, level = open_cells.pop()
        half = cell & -cell
        first, last = np.searchsorted(leaf, np.array([cell - half + 1, cell + half], np.uint64))
        count = int(last - first)
        if count and level < LEVELS and (count > thresholds.most or level < coarsest):
            open_cells += [(cell - half + (2 * child + 1) * (half >> 2), level + 1) for child in range(4)]
        elif count >= max(1, thresholds.least):
            yield cell
