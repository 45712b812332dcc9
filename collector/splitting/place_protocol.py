"""The protocol `place`: a gallery (`train`) and queries (`test`, `val`) for methods that recognise the very place.

Idea. Photos that give each other away (one author, sequence, panorama or picture) are one group; distance joins nothing, for
a query's place has to be in the gallery. At first all groups are in the gallery. In the order of their draws, groups leave it
and give queries: those of their photos that another group's photo in the gallery is near to, until every city has its
quotas of test and val. The rest of such a group is left out, so that nothing of a query's author stays in the gallery.
Invariant: each query chosen so far keeps a gallery photo within reach; a group on whose photos one depends does not leave.
Groups of more than a twentieth of their city leave last, and none gives more than a fifth of a city's quota, as long as
others are enough: a gallery should stay large, and queries be of many people. O(photos + pairs within reach); greedy, so that
a quota which is just possible may be missed. Gallery and queries as in A. Torii et al., "24/7 place recognition by view
synthesis", CVPR 2015 (25 m); groups are ours.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from collector.errors import DataError, UsageError
from collector.geo import chord, unit_vectors
from collector.records import WITHIN_M, Photo
from collector.splitting.allocate import Allocation, draw

_LARGE = 20  # a group is large when it has more than this part of a city's photos
_NAMED = 5  # cities in a message
_SHARE = 5  # of a city's queries that one group gives, while others are enough


@dataclass(frozen=True, slots=True)
class _Groups:
    """Photos by position, sorted by photo_id: their groups in the order in which they may leave, and who is near to whom.

    The neighbours of photo i are `neighbours[starts[i] : starts[i + 1]]`: a square has thousands, all of each other.
    """

    photos: Sequence[Photo]
    group: Sequence[int]
    members: Sequence[Sequence[int]]
    order: Sequence[int]
    starts: NDArray[np.int64]
    neighbours: NDArray[np.int32]

    def near(self, row: int) -> NDArray[np.int32]:
        """Return the photos of its city that other groups have within reach of a photo."""
        return self.neighbours[self.starts[row] : self.starts[row + 1]]


def allocate_places(
    photos: Sequence[Photo], groups: Mapping[str, str], quotas: Mapping[str, int], seed: int, within_m: float = WITHIN_M
) -> Allocation:
    """Choose the queries of each city, and the gallery that answers them.

    Args:
        photos: in any order.
        groups: photo_id -> group id, by rules that leave distance out.
        quotas: queries a city, `test` and `val`.
        seed: of the order.
        within_m: metres on the great circle within which a gallery photo shows a query's place.

    Raises:
        UsageError: the numbers make no sense.
        DataError: a city has too few photos whose place is in somebody else's photo too.
    """
    if not 0 < within_m <= 1000 or min(quotas.values()) < 0 or not quotas["test"]:
        raise UsageError(
            "protocol place: give at least 1 query a city, and 0 to 1000 metres within which it is answerable"
        )
    grouped = _grouped(photos, groups, seed, within_m)
    choice = _Choice(grouped, quotas, seed)
    choice.run()
    if any(choice.missing.values()):
        raise DataError(_refusal(choice, within_m))
    sides = {
        photo.photo_id: choice.side_of.get(row, "train")
        for row, photo in enumerate(grouped.photos)
        if row in choice.side_of or grouped.group[row] not in choice.left
    }
    return Allocation(
        sides=sides,
        groups={photo_id: groups[photo_id] for photo_id in sides},
        left_out={photo.photo_id: "link" for photo in grouped.photos if photo.photo_id not in sides},
        deviations={},
    )


def _grouped(photos: Sequence[Photo], groups: Mapping[str, str], seed: int, within_m: float) -> _Groups:
    ordered = sorted(photos, key=lambda photo: photo.photo_id)
    names = sorted({groups[photo.photo_id] for photo in ordered})
    number = {name: index for index, name in enumerate(names)}
    group = [number[groups[photo.photo_id]] for photo in ordered]
    members: list[list[int]] = [[] for _ in names]
    for row, of in enumerate(group):
        members[of].append(row)
    of_city = Counter(photo.city for photo in ordered)
    large = [
        any(_LARGE * n > of_city[c] for c, n in Counter(ordered[r].city for r in rows).items()) for rows in members
    ]
    draws = [draw(seed, name) for name in names]
    order = sorted(range(len(names)), key=lambda index: (large[index] and len(members[index]), draws[index]))
    return _Groups(ordered, group, members, order, *_near(ordered, group, within_m))


def _near(
    photos: Sequence[Photo], group: Sequence[int], within_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return where the neighbours of each photo begin, and the neighbours; as `_Groups` has them."""
    known = np.array([row for row, of in enumerate(photos) if of.latitude is not None and of.longitude is not None])
    if not len(known):
        return np.zeros(len(photos) + 1, np.int64), np.empty(0, np.int32)
    degrees = np.array([(photos[row].latitude, photos[row].longitude) for row in known], dtype=np.float64)
    points = unit_vectors(degrees[:, 0], degrees[:, 1])
    pairs = cKDTree(points).query_pairs(chord(within_m / 1000), output_type="ndarray")
    city_of: dict[str, int] = {}
    cities = np.array([city_of.setdefault(photos[row].city, len(city_of)) for row in known])
    groups = np.array(group)[known]
    one, other = pairs.T
    count = (groups[one] != groups[other]) & (cities[one] == cities[other])
    ends = known.astype(np.int32)[pairs[count]]
    rows = np.concatenate([ends[:, 0], ends[:, 1]])
    neighbours = np.concatenate([ends[:, 1], ends[:, 0]])[np.argsort(rows, kind="stable")]
    return np.append(0, np.cumsum(np.bincount(rows, minlength=len(photos)))), neighbours


class _Choice:
    """Queries chosen so far, the groups that left the gallery for them, and how many gallery photos answer each photo."""

    def __init__(self, groups: _Groups, quotas: Mapping[str, int], seed: int) -> None:
        self.groups, self.quotas, self.seed = groups, quotas, seed
        self.side_of: dict[int, str] = {}
        self.is_query = np.zeros(len(groups.photos), bool)
        self.left: dict[int, str] = {}
        self.answers = np.diff(groups.starts)
        self.missing = Counter(
            {(photo.city, side): quotas[side] for photo in groups.photos for side in ("test", "val")}
        )

    def run(self) -> None:
        """Let groups leave the gallery until nothing is missing, or nothing more can be had."""
        for share in (_SHARE, 1):
            for group in self.groups.order:
                for side in (self.left[group],) if group in self.left else ("test", "val"):
                    rows = self._offered(group, side, share)
                    if rows and (group in self.left or self._may_leave(group)):
                        self._take(group, side, rows)
                        break

    def _offered(self, group: int, side: str, share: int) -> list[int]:
        """Return the photos of a group that can be queries of a side where some are missing."""
        given = Counter(self.groups.photos[row].city for row in self.groups.members[group] if row in self.side_of)
        offered: list[int] = []
        for row in sorted(
            (row for row in self.groups.members[group] if self.answers[row] and row not in self.side_of),
            key=lambda row: draw(self.seed, self.groups.photos[row].photo_id),
        ):
            city = self.groups.photos[row].city
            most = -(-self.quotas[side] // share)
            taken = sum(self.groups.photos[other].city == city for other in offered)
            if taken < self.missing[city, side] and given[city] + taken < most:
                offered.append(row)
        return offered

    def _may_leave(self, group: int) -> bool:
        """Whether every query is still answered without the group."""
        lost = Counter(query for row in self.groups.members[group] for query in self._queries_near(row))
        return all(self.answers[query] > count for query, count in lost.items())

    def _queries_near(self, row: int) -> list[int]:
        near = self.groups.near(row)
        queries: list[int] = near[self.is_query[near]].tolist()
        return queries

    def _take(self, group: int, side: str, rows: Iterable[int]) -> None:
        if group not in self.left:
            self.left[group] = side
            for row in self.groups.members[group]:
                self.answers[self.groups.near(row)] -= 1  # each of them once
        for row in rows:
            self.side_of[row] = side
            self.is_query[row] = True
            self.missing[self.groups.photos[row].city, side] -= 1


def _refusal(choice: _Choice, within_m: float) -> str:
    """Return one line: which cities have too few queries, of how many photos, and what can be done."""
    lacking: dict[str, dict[str, int]] = defaultdict(dict)
    for (city, side), count in sorted(choice.missing.items()):
        if count:
            lacking[city][side] = count
    counts = np.diff(choice.groups.starts).tolist()
    shared = Counter(photo.city for photo, near in zip(choice.groups.photos, counts, strict=True) if near)
    of_city = Counter(photo.city for photo in choice.groups.photos)
    unknown = Counter(p.city for p in choice.groups.photos if p.latitude is None or p.longitude is None)
    shortages = "; ".join(
        f"{city} lacks {' and '.join(f'{count} {side} queries' for side, count in sides.items())}: of its {of_city[city]} "
        f"photos {shared[city]} have one of somebody else's (of another sequence) within {within_m:g} m, and "
        f"{unknown[city]} have no known place"
        for city, sides in list(lacking.items())[:_NAMED]
    )
    more = f"; and {len(lacking) - _NAMED} more cities" if len(lacking) > _NAMED else ""
    most = {side: min(choice.quotas[side] - of.get(side, 0) for of in lacking.values()) for side in ("test", "val")}
    few = (
        f"ask for less, such as --queries {max(1, most['test'])} --val-queries {most['val']}; " if most["test"] else ""
    )
    return f"{shortages}{more}; {few}allow a larger --within, leave cities out with --city, or collect more photos"
