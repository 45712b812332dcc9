"""Cells that people drew: labels with an outline (districts, provinces), or at least with a centre and a radius.

A label holds the places inside its polygon by the even-odd rule: a line to the east of the place crosses the outline an odd
number of times. Longitudes count on from the polygon's middle, so that an outline may cross the date line; one around a pole
is none that this rule can read. A label without a polygon holds the places within its radius. Of several labels that hold a
place the finest decides, of equally fine ones that with the nearest centre. J. Theiner, E. Müller-Budack, R. Ewerth,
"Interpretable semantic photo geolocation", WACV 2022, cut the world so, by the borders of countries, states and cities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.partition import Thresholds, checked_answers, known, means, require_cells
from collector.geo import KM_PER_DEGREE, distances_km
from collector.labels import LEVELS
from collector.records import Label

_CORNERS = 32  # of a circle that is drawn


def inside(polygon: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of the places (N, 2) lie inside a polygon (M, 2) of latitudes and longitudes; NaN lies in none."""
    odd = np.zeros(len(places), np.bool_)
    if len(polygon) < 3:
        return odd
    east = np.unwrap(polygon[:, 1], period=360)
    middle = (east.min() + east.max()) / 2
    latitude, longitude = places[:, 0], (places[:, 1] - middle + 180) % 360 - 180 + middle
    corners = np.stack([polygon[:, 0], east], axis=1)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            spans = (y0 > latitude) != (y1 > latitude)
            odd ^= spans & (x0 + (latitude - y0) / (y1 - y0) * (x1 - x0) > longitude)
    return odd


@dataclass(frozen=True)
class OutlinedPartition:
    """A partition by labels, see `benchmark.cells.partition.Partition`.

    Attributes:
        circles: (C, 3), latitude and longitude of the centre of each, radius in km.
        ranks: (C,), how fine each is: a higher one decides.
        corners: (M, 2), the polygons' corners, one polygon behind the other.
        ends: (C,), where in `corners` each polygon ends; none is between equal ends.
        answers, counts: of the cells.
    """

    circles: NDArray[np.float64]
    ranks: NDArray[np.int64]
    corners: NDArray[np.float64]
    ends: NDArray[np.int64]
    answers: NDArray[np.float64]
    counts: NDArray[np.int64]

    def cell_of(self, places: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the cell of each of the places (N, 2); -1 where it is in none, or NaN."""
        cells, rank = np.full(len(places), -1, np.int64), np.full(len(places), -1, np.int64)
        nearest = np.full(len(places), np.inf)
        there = np.nan_to_num(places)
        for cell, ((latitude, longitude, radius), polygon) in enumerate(zip(self.circles, self._polygons, strict=True)):
            km = distances_km(there[:, 0], there[:, 1], latitude, longitude)
            held = inside(polygon, there) if len(polygon) else km <= radius
            better = held & ((self.ranks[cell] > rank) | ((self.ranks[cell] == rank) & (km < nearest)))
            cells[better], rank[better], nearest[better] = cell, self.ranks[cell], km[better]
        cells[np.isnan(places).any(axis=1)] = -1
        return cells

    @property
    def _polygons(self) -> list[NDArray[np.float64]]:
        return np.split(self.corners, self.ends)[:-1]

    def outlines(self) -> list[NDArray[np.float64]]:
        """Return the corners of each cell, (M, 2), latitude and longitude; of a circle points around it."""
        return [
            polygon if len(polygon) else _circle(*circle)
            for circle, polygon in zip(self.circles.tolist(), self._polygons, strict=True)
        ]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as plain arrays by name."""
        drawn = {"circles": self.circles, "ranks": self.ranks, "corners": self.corners, "ends": self.ends}
        return {**drawn, "answers": self.answers, "counts": self.counts}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "OutlinedPartition":
        """Return what `to_arrays` gave; ValueError or KeyError where it is damaged."""
        answers, counts = checked_answers(arrays)
        circles, ranks, corners, ends = (arrays[name] for name in ("circles", "ranks", "corners", "ends"))
        fits = circles.shape == (len(counts), 3) and ranks.shape == ends.shape == counts.shape and corners.ndim == 2
        if (
            not fits
            or corners.shape[1] != 2
            or not len(counts)
            or not np.isfinite([*circles.flat, *corners.flat]).all()
        ):
            raise ValueError(f"labels of {circles.shape} circles and {corners.shape} corners")
        steps = np.diff(ends.astype(np.int64), prepend=0)
        if (steps < 0).any() or int(ends[-1]) != len(corners):
            raise ValueError("labels whose outlines do not end where the corners do")
        return cls(circles, ranks.astype(np.int64), corners, ends.astype(np.int64), answers, counts)


def outlined(
    places: NDArray[np.float64], labels: Sequence[Label], thresholds: Thresholds, above: int = 0
) -> OutlinedPartition:
    """Return the labels that places (N, 2) lie in, of which unknown ones are passed over.

    Args:
        places: latitude and longitude in degrees.
        labels: of one level or several.
        thresholds: a label with fewer than `least` photos of its own is left out; none is split.
        above: so many of the finest levels are passed over, while one remains.

    Raises:
        DataError: no place is known, or no label holds enough.
    """
    there = known(places)
    levels = [level for level in LEVELS if any(label.level == level for label in labels)]
    levels = levels[: max(1, len(levels) - above)]
    chosen = [label for label in labels if label.level in levels]
    whole = _partition_of(chosen, [levels.index(label.level) for label in chosen])
    counts = np.bincount(np.maximum(of := whole.cell_of(there), 0)[of >= 0], minlength=len(chosen))
    kept = [row for row in range(len(chosen)) if counts[row] >= max(1, thresholds.least)]
    require_cells(len(kept), thresholds)
    # Without a label that was left out, its places belong to the next that holds them.
    partition = _partition_of([chosen[row] for row in kept], [levels.index(chosen[row].level) for row in kept])
    cells = partition.cell_of(there)
    numbers = np.bincount(cells[cells >= 0], minlength=len(kept)).astype(np.int64)
    return OutlinedPartition(
        partition.circles,
        partition.ranks,
        partition.corners,
        partition.ends,
        means(there, cells, len(kept)),
        numbers,
    )


def _partition_of(labels: Sequence[Label], ranks: Sequence[int]) -> OutlinedPartition:
    polygons = [np.array(label.polygon or (), np.float64).reshape(-1, 2) for label in labels]
    return OutlinedPartition(
        np.array([(label.latitude, label.longitude, label.radius_km) for label in labels], np.float64).reshape(-1, 3),
        np.array(ranks, np.int64),
        np.concatenate([np.empty((0, 2)), *polygons]),
        np.cumsum([len(polygon) for polygon in polygons]).astype(np.int64),
        np.zeros((len(labels), 2)),
        np.zeros(len(labels), np.int64),
    )


def _circle(latitude: float, longitude: float, radius_km: float) -> NDArray[np.float64]:
    turns = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    north = radius_km / KM_PER_DEGREE
    east = north / max(0.01, np.cos(np.radians(latitude)))
    return np.stack([(latitude + north * np.sin(turns)).clip(-90, 90), longitude + east * np.cos(turns)], axis=1)
