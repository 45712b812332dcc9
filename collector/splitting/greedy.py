"""Sides for photos when some may be left out: those that would link two sides, and those beyond what is needed.

Idea. Variables: a side for each cluster (an author, a place, a picture); a photo is kept where all of its clusters agree.
Objective: no city lacks photos on a side; among such, few photos lost and sides of many clusters. All clusters begin on the
last side, the large one. In the order of their draws a cluster, with the neighbours that mostly depend on it, moves to a side
where photos are missing when that gains more than it costs; the price rises and the limit on a cluster's part of a side
falls from pass to pass (`_TERMS`). Invariants: `has` always counts the kept photos; clusters that are held never move; a move
that does not pay is undone. O(passes × clusters × photos of a cluster). Few photos left without a result go to integer
programming (`milp.solve_linked`), which proves it where there is none. Local search as for graph partitioning: B. W.
Kernighan and S. Lin, Bell System Technical Journal 49 (1970), 291-307.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.splitting.milp import Needs, Undecided, solve_linked

_ANY = float("inf")
_TERMS = ((1.0, 0.2), (3.0, 0.2), (_ANY, 0.2), (_ANY, 1.0), (_ANY, _ANY))
"""Photos that may be lost for one that is gained, and the largest part of a side (but the last) that a cluster may make up,
pass by pass: what is cheap to cut out is cut out first, and sides are of many clusters where that is possible."""

_MANY = 100  # larger clusters do not follow one that has less than every fourth of their photos: that would hardly pay
_PASSES = 12  # on the last terms, as long as they improve something
_SMALL = 3000  # photos times sides that integer programming is asked about


@dataclass(frozen=True, slots=True)
class Linked:
    """Photos, and the clusters that link them.

    Attributes:
        cities: of each photo, an index.
        clusters: of each photo, at least one index: the photos of a cluster that are kept are on one side.
        order: all clusters, numbered from 0, in the order in which they are considered.
        held: the sides that some clusters have and keep.
    """

    cities: Sequence[int]
    clusters: Sequence[tuple[int, ...]]
    order: Sequence[int]
    held: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Cover:
    """What `cover` found.

    Attributes:
        sides: of each photo that can be kept, None for one that links two sides.
        missing: how many photos are missing from the needs.
        proven: nothing is missing, or it is impossible that nothing is.
    """

    sides: list[int | None]
    missing: int
    proven: bool


def cover(photos: Linked, needs: Needs) -> Cover:
    """Return sides with at least the needed photos of each city on each side, or as many as were found.

    Every cluster gets a side, and a photo is kept where all of its clusters have the same. All clusters begin on the last
    side; then, in their order, they move where that makes fewer photos missing, at first only where few others are lost.
    So most sights that several people photographed stay on the last side. (Drawing sides for them in the quotas'
    proportions cost up to a third more photos, and raised the share of test photos at such sights from 3 to 5 % only, where
    20 % of all photos are at them: both the author and the sight of a photo have to be on the small side.)

    Where that does not succeed with few photos, integer programming decides.
    """
    state = _State(photos, needs)
    for price, part in _TERMS:
        state.improve(price, part)
    for _ in range(_PASSES):
        if not state.missing() or not state.improve(*_TERMS[-1]):
            break
    sides = [state.side_of(photo) for photo in range(len(photos.cities))]
    missing = state.missing()
    if not missing or len(sides) * state.sides > _SMALL:
        return Cover(sides, missing, proven=not missing)
    best = solve_linked(photos.cities, photos.clusters, photos.held, needs)
    if best is None or isinstance(best, Undecided):
        return Cover(sides, missing, proven=best is None)
    kept = [{best[cluster] for cluster in clusters} for clusters in photos.clusters]
    return Cover([min(of) if len(of) == 1 else None for of in kept], 0, proven=True)


def without_nested(clusters: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Return the clusters of each photo without those that ask for nothing: all of their photos share another cluster.

    Each photo keeps at least one.
    """
    members: dict[int, list[int]] = {}
    for photo, of in enumerate(clusters):
        for cluster in of:
            members.setdefault(cluster, []).append(photo)
    clusters_of = [set(of) for of in clusters]
    for cluster in sorted(members, key=lambda cluster: (len(members[cluster]), cluster)):
        photos = members[cluster]
        shared = clusters_of[photos[0]].copy()
        for photo in photos[1:]:
            shared &= clusters_of[photo]
        if len(shared) > 1:
            for photo in photos:
                clusters_of[photo].discard(cluster)
    return [tuple(sorted(of)) for of in clusters_of]


class _State:
    """The sides of all clusters, and how many photos each city keeps on each side."""

    def __init__(self, photos: Linked, needs: Needs) -> None:
        self.photos, self.needs = photos, needs
        self.sides = len(needs[0])
        self.side = [photos.held.get(cluster, self.sides - 1) for cluster in range(len(photos.order))]
        self.members: list[list[int]] = [[] for _ in photos.order]
        self.has = [[0] * self.sides for _ in needs]
        self.cities: list[set[int]] = [set() for _ in photos.order]
        for photo, clusters in enumerate(photos.clusters):
            for cluster in clusters:
                self.members[cluster].append(photo)
                self.cities[cluster].add(photos.cities[photo])
            if (side := self.side_of(photo)) is not None:
                self.has[photos.cities[photo]][side] += 1

    def side_of(self, photo: int) -> int | None:
        """Return the side on which the photo is kept, None where its clusters disagree."""
        clusters = self.photos.clusters[photo]
        side = self.side[clusters[0]]
        return side if all(self.side[cluster] == side for cluster in clusters[1:]) else None

    def missing(self) -> int:
        """Return how many photos the cities lack."""
        return sum(self._lack(city) for city in range(len(self.needs)))

    def improve(self, price: float, part: float) -> bool:
        """Go through the clusters once and move those that make fewer photos missing; tell whether any did."""
        better = False
        for cluster in self.photos.order:
            if cluster in self.photos.held:
                continue
            wanted = {
                side
                for city in self.cities[cluster]
                for side in range(self.sides)
                if self.has[city][side] < self.needs[city][side]
            }
            for side in sorted(wanted - {self.side[cluster]}):
                if self._try(cluster, side, price, part):
                    better = True
                    break
        return better

    def _try(self, cluster: int, side: int, price: float, part: float) -> bool:
        """Move a cluster, and those that mostly depend on it; undo that where it does not pay."""
        moved = [(cluster, self.side[cluster])]
        change = self._move(cluster, side)
        for other in self._neighbours(cluster):
            if other not in self.photos.held and self.side[other] != side:
                before = self.side[other]
                further = self._move(other, side)
                if sum(further.values()) > 0:
                    moved.append((other, before))
                    change.update(further)
                else:
                    self._move(other, before)
        gained = lost = 0
        modest = True
        for (city, of), photos in change.items():
            lack = max(0, self.needs[city][of] - self.has[city][of])
            gained += max(0, self.needs[city][of] - self.has[city][of] + photos) - lack
            lost -= photos
            modest = modest and (of == self.sides - 1 or photos <= max(1, part * self.needs[city][of]))
        if gained > 0 and lost <= price * gained and modest:
            return True
        for other, before in reversed(moved):
            self._move(other, before)
        return False

    def _neighbours(self, cluster: int) -> Iterator[int]:
        """Yield the clusters that share photos with one, those that share the most first."""
        shared: Counter[int] = Counter()
        for photo in self.members[cluster]:
            shared.update(self.photos.clusters[photo])
        del shared[cluster]
        close = [other for other, count in shared.items() if len(self.members[other]) <= max(_MANY, 4 * count)]
        yield from sorted(close, key=lambda other: (-shared[other], other))

    def _move(self, cluster: int, side: int) -> Counter[tuple[int, int]]:
        """Put a cluster on a side; return how many photos each city and side gained by it (negative: lost)."""
        change: Counter[tuple[int, int]] = Counter()
        for sign in (-1, 1):
            for photo in self.members[cluster]:
                of = self.side_of(photo)
                if of is not None:
                    change[self.photos.cities[photo], of] += sign
            self.side[cluster] = side
        for (city, of), photos in change.items():
            self.has[city][of] += photos
        return change

    def _lack(self, city: int) -> int:
        return sum(max(0, need - has) for need, has in zip(self.needs[city], self.has[city], strict=True))


def trimmed(
    cities: Sequence[int],
    sides: Sequence[int | None],
    needs: Needs,
    authors: Sequence[str],
    draws: Sequence[str],
    keep: Sequence[bool],
) -> list[int | None]:
    """Return `sides` with None for what is beyond the needs: one by one, a photo of the author who has the most left there.

    Args:
        cities, sides, authors, draws, keep: of each photo; the draws decide between equals, those to keep stay.
        needs: by city and side.
    """
    left = list(sides)
    piles: dict[tuple[int, int], dict[str, list[int]]] = {}
    surplus: Counter[tuple[int, int]] = Counter()
    for photo in sorted(range(len(cities)), key=lambda photo: draws[photo]):
        if (side := sides[photo]) is not None:
            surplus[cities[photo], side] += 1
            if not keep[photo]:
                piles.setdefault((cities[photo], side), {}).setdefault(authors[photo], []).append(photo)
    for (city, side), by_author in piles.items():
        heap = [(-len(photos), draws[photos[-1]], author) for author, photos in by_author.items()]
        heapq.heapify(heap)
        for _ in range(surplus[city, side] - needs[city][side]):
            _, _, author = heapq.heappop(heap)
            left[by_author[author].pop()] = None
            if by_author[author]:
                heapq.heappush(heap, (-len(by_author[author]), draws[by_author[author][-1]], author))
    return left
