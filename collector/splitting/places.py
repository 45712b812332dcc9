"""Which photos were taken in one place: single linkage on the sphere, exactly and within bounded memory."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from collector.geo import EARTH_RADIUS_KM, unit_vectors

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CHUNK = 1 << 19  # pairs of points that are compared at a time: about 60 MB


def places(
    latitude: Floats, longitude: Floats, metres: float, hours: Floats | None = None, max_hours: float = np.inf
) -> Ints:
    """Return a label (N,) for each point: equal where a chain of points joins two, each closer than `metres` to the next.

    Points in cells whose diagonal is `metres` are joined without comparing them, and of two neighbouring cells that are
    joined already nothing is compared: thousands of photos of one sight cost no more than their number.

    Args:
        latitude: (N,) degrees WGS84.
        longitude: (N,) degrees WGS84; any turn of 360 is the same.
        metres: great-circle distance, above 0 and at most 100 km, on the sphere of `distance_km`.
        hours: (N,) time of each point in hours, NaN where unknown; None where time does not matter.
        max_hours: only points at most so many hours apart are joined, above 0; one of unknown time may be of any time.
    """
    diameter = 2 * 1000 * EARTH_RADIUS_KM
    chord = diameter * np.sin(metres / diameter)
    time = np.zeros(len(latitude)) if hours is None else hours / max_hours
    time = np.where(np.isnan(time), -np.inf, time)  # unknown; unlike NaN it is equal to itself
    # Equal places and times are one point.
    points, which = np.unique(
        np.column_stack((1000 * EARTH_RADIUS_KM * unit_vectors(latitude, longitude), time)), axis=0, return_inverse=True
    )
    dated = np.isfinite(points[:, 3])
    labels = np.arange(len(points))
    labels[dated] = _linked(points[dated], labels[dated], chord)
    if not dated.all():
        labels[~dated] = len(points) + np.flatnonzero(~dated)
        labels = _linked(points, labels, chord, of_any_time=~dated)
    return labels[which]


def components(count: int, first: Ints, second: Ints) -> Ints:
    """Return the connected component (count,) of each node of a graph whose edges join `first[i]` and `second[i]`."""
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    labels: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def chain(labels: Ints) -> tuple[Ints, Ints]:
    """Return edges that join all positions of equal label, as few as will do."""
    order = np.argsort(labels, kind="stable")
    same = labels[order[1:]] == labels[order[:-1]]
    return order[:-1][same], order[1:][same]


def _linked(points: Floats, labels: Ints, chord: float, of_any_time: NDArray[np.bool_] | None = None) -> Ints:
    """Return `labels` (N,) with those of linked points made equal.

    Points (N, 4: metres, and time in units of the largest difference) are linked when they are closer than `chord` and
    their times differ by at most 1; with `of_any_time` (N,), when they are closer than `chord` and one of them is of any
    time.
    """
    if not len(points):
        return labels
    # Within a cell, points are closer than its diagonal: three sides of chord / sqrt(3), a little less against rounding.
    side = (1 - 1e-6) * chord / np.sqrt(3)
    slot = points[:, 3] if of_any_time is None else np.zeros(len(points))
    free = np.ones(len(points), dtype=bool) if of_any_time is None else of_any_time
    cells, cell_of = np.unique(np.floor(np.column_stack((points[:, :3] / side, slot))), axis=0, return_inverse=True)
    order = np.lexsort((~free, cell_of))
    points, labels, cell_of, free = points[order], labels[order], cell_of[order], free[order]
    starts = np.searchsorted(cell_of, np.arange(len(cells)))
    ends = np.append(starts[1:], len(points)).astype(np.int64)
    whole = free[starts]

    def close(first: Ints, second: Ints) -> NDArray[np.bool_]:
        near = np.sum((points[first, :3] - points[second, :3]) ** 2, axis=1) < chord**2
        in_time = (
            np.abs(points[first, 3] - points[second, 3]) <= 1 if of_any_time is None else free[first] | free[second]
        )
        linked: NDArray[np.bool_] = near & in_time
        return linked

    members = np.flatnonzero(whole[cell_of])
    labels = _joined(labels, starts[cell_of[members]], members)
    # Points closer than sqrt(3) sides lie at most two cells apart along each axis.
    pairs = cKDTree(cells).query_pairs(2, p=np.inf, output_type="ndarray")
    pairs = pairs[whole[pairs].any(axis=1)]
    first, second = starts[pairs[:, 0]], starts[pairs[:, 1]]
    near = close(first, second)  # one point of each cell: enough where it is crowded
    labels = _joined(labels, first[near], second[near])
    lowest, highest = np.minimum.reduceat(labels, starts)[pairs], np.maximum.reduceat(labels, starts)[pairs]
    pairs = pairs[lowest.min(axis=1) != highest.max(axis=1)]
    for first, second in _products(starts, ends, pairs):
        found = (labels[first] != labels[second]) & close(first, second)
        if found.any():
            labels = _joined(labels, first[found], second[found])
    back = np.empty_like(labels)
    back[order] = labels
    return back


def _joined(labels: Ints, first: Ints, second: Ints) -> Ints:
    """Return `labels` with those of the points `first[i]` and `second[i]` made equal."""
    kept = chain(labels)
    return components(len(labels), np.concatenate((kept[0], first)), np.concatenate((kept[1], second)))


def _products(starts: Ints, ends: Ints, pairs: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield all pairs of positions (one from each of two cells) for all pairs of cells, some _CHUNK at a time."""
    sizes = ends - starts
    for some in _parts(sizes[pairs[:, 0]]):
        first, of = _expanded(starts[pairs[some, 0]], sizes[pairs[some, 0]])
        other = pairs[some, 1][of]
        for rows in _parts(sizes[other]):
            second, row = _expanded(starts[other[rows]], sizes[other[rows]])
            yield first[rows][row], second


def _expanded(starts: Ints, sizes: Ints) -> tuple[Ints, Ints]:
    """Return the positions of all ranges `start, start + 1, … start + size - 1`, and which range each is of."""
    of = np.repeat(np.arange(len(sizes)), sizes)
    return starts[of] + np.arange(len(of)) - (np.cumsum(sizes) - sizes)[of], of


def _parts(sizes: Ints) -> Iterator[slice]:
    """Yield slices of items whose sizes add up to about _CHUNK."""
    total = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + _CHUNK, side="right")))
        yield slice(start, stop)
        start = stop
