"""Which photos are to fill the quotas, by their vectors: as different as possible, or as typical as possible.

Given the n photos of a city and the number T that its quotas take, both orders are greedy and take one photo after the
other: `diverse`: the photo that is farthest from all taken so far (Gonzalez, "Clustering to minimize the maximum intercluster
distance", 1985; the first one is drawn by the seed); `representative`: the photo that lowers the sum of distances from all
photos to the nearest taken one the most (the first step of k-medoids: BUILD; Kaufman and Rousseeuw, Finding groups in data,
1990). A group comes with its first photo, whole. Who goes to which side stays as random as it was. Complexity: T · n for
`diverse`, T · n² for `representative`; above 4,000 photos of a city the latter judges by a sample of so many, so that memory
is bounded.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from collector.curating.vectors import VectorSource
from collector.errors import DataError
from collector.progress import Track, silent
from collector.records import Photo
from collector.splitting.allocate import Allocation, draw

How = Literal["diverse", "representative"]
HOWS: tuple[How, ...] = ("diverse", "representative")
"""How photos may be chosen."""

_SAMPLE = 4000  # photos of a city by which `representative` judges
_MORE = 1.15  # so many times as many photos are tried where groups do not fit the quotas

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Choosing:
    """That photos are chosen by vectors: how, and who gives them (`net` None: the best that is here)."""

    how: How
    source: VectorSource
    net: str | None = None
    track: Track = silent


def preferred(
    photos: Sequence[Photo], groups: Mapping[str, str], vectors: Floats, how: How, total: int, seed: int
) -> dict[str, list[str]]:
    """Return by city the ids of its groups, the most wanted first.

    Args:
        photos: N of them.
        groups: photo_id -> group id.
        vectors: (N, D) of length 1.
        how: one of HOWS.
        total: photos of a city that the quotas take; groups beyond come in the order of their draws.
        seed: of the first photo, and of what is equal.
    """
    of_city: dict[str, list[int]] = defaultdict(list)
    for at, photo in sorted(enumerate(photos), key=lambda item: draw(seed, item[1].photo_id)):
        of_city[photo.city].append(at)
    ordered = {}
    for city, rows in sorted(of_city.items()):
        greedy = farthest_points if how == "diverse" else medoids
        chosen = [rows[at] for at in greedy(vectors[rows], min(2 * total, len(rows)))]
        names = [groups[photos[row].photo_id] for row in (*chosen, *rows)]
        ordered[city] = list(dict.fromkeys(names))
    return ordered


def farthest_points(vectors: Floats, count: int) -> list[int]:
    """Return `count` rows, the first one first, each the farthest from those before it; of equal ones the earlier."""
    if not count:
        return []
    taken, nearest = [0], np.full(len(vectors), np.inf, np.float32)
    while len(taken) < count:
        nearest = np.minimum(nearest, 1 - vectors @ vectors[taken[-1]])
        nearest[taken[-1]] = -1
        taken.append(int(nearest.argmax()))
    return taken


def medoids(vectors: Floats, count: int) -> list[int]:
    """Return `count` rows, each of which lowers the sum of all distances to the nearest of them the most."""
    judges = vectors[:_SAMPLE]
    distances = 1 - judges @ vectors[:_SAMPLE].T  # rows are in the order of their draws: the first are a sample
    nearest = np.full(len(judges), np.inf, np.float32)
    rows: list[int] = []
    open_ = np.ones(distances.shape[1], bool)
    for _ in range(min(count, distances.shape[1])):
        bounded = np.minimum(nearest[:, None], distances).sum(axis=0)
        best = int(np.where(open_, bounded, np.inf).argmin())
        rows.append(best)
        open_[best] = False
        nearest = np.minimum(nearest, distances[:, best])
    return rows


def attempts(
    photos: Sequence[Photo],
    groups: Mapping[str, str],
    order: Mapping[str, Sequence[str]],
    total: int,
    fixed: Mapping[str, str],
) -> Iterator[list[Photo]]:
    """Yield the most wanted photos, more with each turn, until all: whole groups need not fit the quotas at once."""
    size: dict[str, dict[str, int]] = {}
    for photo in photos:
        of = size.setdefault(photo.city, {})
        of[groups[photo.photo_id]] = of.get(groups[photo.photo_id], 0) + 1
    kept = {groups[photo_id] for photo_id in fixed}
    number, most = float(total), max((sum(of.values()) for of in size.values()), default=0)
    while True:
        chosen_groups = set(kept)
        for city, names in order.items():
            count = 0
            for name in names:
                if count >= number:
                    break
                chosen_groups.add(name)
                count += size[city].get(name, 0)
        yield [photo for photo in photos if groups[photo.photo_id] in chosen_groups]
        if number >= most:
            return
        number = max(number + 1, number * _MORE)


def first_that_fits(tries: Iterator[list[Photo]], allocated: Callable[[list[Photo]], Allocation]) -> Allocation:
    """Return the allocation of the fewest of the wanted photos that meet the quotas.

    Raises:
        DataError: not even all do; as `allocate`.
    """
    fault: DataError | None = None
    for some in tries:
        try:
            return allocated(some)
        except DataError as error:
            fault = error
    raise fault or DataError("there are no photos to choose from")
