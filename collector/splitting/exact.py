"""Whole groups to sides: exactly what each city needs (`fill`), or as near to it as it comes (`balance`).

Idea. Variables: one side for each group (or none, left out). Constraint: for each city and side the photos of the groups
there are the number needed. A city whose groups have photos of no other city is a subset-sum problem of its own: reachable
sums are one Python integer, a bit for each sum (or tuple of sums, in mixed radix), and adding a group is a shift and an or,
O(groups × sums / 64). Cities that share groups are solved together: the shared groups are drawn at random, the rest of each
city is filled by subset sums, up to eight times; what that does not decide goes to integer programming (`milp.solve`, a
variable for each type of group). Objective: none beside being exact; the order of the draws decides, and small sides get no
group of more than a fifth of them while that is possible. Invariants: the result depends on groups, draws and needs alone;
a city's own groups never move another city's; `impossible` is proved, `undecided` is not. `balance` starts from `fill`, and
otherwise places the largest first, moves single groups while that helps, and fills empty sides.
Source: R. Bellman, "Dynamic Programming" (1957), for subset sums; that they fit into bits is common knowledge.

One integer program for everything was tried instead (a variable for each type of group, HiGHS, seeded draws among equal
groups afterwards): 2026-11-30, 2 shared cores, the same minutes, tests/performance/split.py's population by authors: 10^3
photos 0.09 s against 0.04 s, 10^4 23 s against 0.24 s, 10^5 undecided after 73 s against 1.5 s; and of 10^4 photos its test
sides had 204 groups instead of 357, for a program without an objective does not draw.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from collector.splitting.groups import components
from collector.splitting.milp import SECONDS, Group, Needs, Undecided, solve

_ATTEMPTS = 8  # of the fast path, each in another order
_FAIR = 4  # of them leave out groups by lot
_CAREFUL = 6  # of them keep large groups out of small sides
_SHARE = 5  # a group is large for a side when it is more than a fifth of it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `fill` found.

    Attributes:
        sides: the side of each group, None for left out; meaningless for groups of the cities below.
        impossible: sets of coupled cities for which no assignment exists.
        undecided: those for which neither an assignment nor a proof that there is none was found in time.
    """

    sides: list[int | None]
    impossible: list[tuple[int, ...]]
    undecided: list[tuple[int, ...]]


def fill(groups: Sequence[Group], needs: Needs, *, even: bool = False, seconds: float = SECONDS) -> Outcome:
    """Give groups to sides so that each city has exactly what it needs on each side, or say where that is impossible.

    Cities are coupled by the groups that they share, and each set of coupled cities is solved by itself. The last side is
    the large one: groups of more than a fifth of another side's need go there if possible, so that a side of 25 photos has
    more than a few authors. Apart from that the order of the draws decides. The result depends on nothing but the groups,
    their draws and the needs.

    Args:
        groups: in any order that is the same each time.
        needs: by city and side.
        even: no side is the large one.
        seconds: for integer programming, of each set of coupled cities that the fast ways do not decide; 0: it stays so.
    """
    outcome = Outcome([None] * len(groups), [], [])
    by_set: dict[int, list[int]] = defaultdict(list)
    set_of = _coupled(groups, len(needs))
    for index, group in enumerate(groups):
        by_set[set_of[group.parts[0][0]]].append(index)
    for label in sorted(set(set_of)):
        cities = tuple(city for city, of in enumerate(set_of) if of == label)
        members = [groups[index] for index in by_set[label]]
        sides = _fill_set(members, cities, needs, even, seconds)
        if sides is None:
            outcome.impossible.append(cities)
        elif isinstance(sides, Undecided):
            outcome.undecided.append(cities)
        else:
            for index, side in zip(by_set[label], sides, strict=True):
                outcome.sides[index] = side
    return outcome


def _coupled(groups: Sequence[Group], cities: int) -> list[int]:
    links = [(group.parts[0][0], city) for group in groups for city, _ in group.parts[1:]]
    first, second = np.array(links, dtype=np.int64).reshape(-1, 2).T
    return [int(label) for label in components(cities, first, second)]


def _fill_set(
    groups: Sequence[Group], cities: tuple[int, ...], needs: Needs, even: bool, seconds: float
) -> list[int | None] | Undecided | None:
    photos = dict.fromkeys(cities, 0)
    for group in groups:
        for city, count in group.parts:
            photos[city] += count
    if any(min(needs[city]) < 0 or photos[city] < sum(needs[city]) for city in cities):
        return None
    for attempt in range(_ATTEMPTS if len(cities) > 1 else 1):
        if (assigned := _attempt(groups, photos, needs, attempt, even)) is not None:
            return assigned
    if len(cities) == 1 and fits([group.parts[0][1] for group in groups], needs[cities[0]]):
        return None  # the attempt has decided it
    if len(cities) > 1 and not all(fillable(groups, own, needs[city]) for city, own in by_city(groups, cities).items()):
        return None
    return solve(groups, cities, needs, seconds=seconds) if seconds else Undecided()


def by_city(groups: Sequence[Group], cities: Iterable[int]) -> dict[int, dict[int, int]]:
    """Return the photos that each of the cities has of each group."""
    own: dict[int, dict[int, int]] = {city: {} for city in cities}
    for index, group in enumerate(groups):
        for city, count in group.parts:
            own[city][index] = count
    return own


def fillable(groups: Sequence[Group], own: Mapping[int, int], needs: Sequence[int], parted: int | None = None) -> bool:
    """Whether a city could be filled if it were alone, and if the group `parted` were single photos.

    True also where the sums do not fit into memory.
    """
    parts = [(size, index) for index, size in own.items() if index != parted]
    if parted is not None:
        parts += [(1, parted)] * own[parted]
    sizes = [size for size, _ in parts]
    return not fits(sizes, needs) or assign(sizes, [groups[index].only for _, index in parts], needs) is not None


def _attempt(
    groups: Sequence[Group], photos: Mapping[int, int], needs: Needs, attempt: int, even: bool
) -> list[int | None] | None:
    """Place the groups that span cities at random, then fill each city from its own; None where that does not come out."""
    missing = {city: list(needs[city]) for city in photos}
    limits = {city: _limits(needs[city], careful=attempt < _CAREFUL and not even) for city in photos}
    sides: list[int | None] = [None] * len(groups)
    local: dict[int, list[int]] = {city: [] for city in photos}
    spanning = []
    for index in _in_order(range(len(groups)), groups, attempt):
        if len(groups[index].parts) == 1:
            local[groups[index].parts[0][0]].append(index)
        else:
            spanning.append(index)
    # The largest first, as long as there is room; of more than is needed, each has the same chance to be left out.
    chance = {city: sum(needs[city]) / max(1, photos[city]) for city in photos}
    for index in sorted(spanning, key=lambda index: -max(count for _, count in groups[index].parts)):
        lot = int(_turned(groups[index].draw, attempt + 2)[:8], 16) / 2**32
        if attempt < _FAIR and lot >= max(chance[city] for city, _ in groups[index].parts):
            continue
        side = drawn_side(groups[index], missing, limits, _turned(groups[index].draw, attempt + 1))
        if side is not None:
            sides[index] = side
            for city, count in groups[index].parts:
                missing[city][side] -= count
    for city in photos:
        own = _fill_city(groups, local[city], missing[city], needs[city], even)
        if own is None:
            return None
        for index, side in zip(local[city], own, strict=True):
            sides[index] = side
    return sides


def _in_order(indices: Iterable[int], groups: Sequence[Group], attempt: int) -> list[int]:
    return sorted(indices, key=lambda index: _turned(groups[index].draw, attempt))


def _turned(draw: str, attempt: int) -> str:
    """Return another draw for each attempt, made of the same digits."""
    return draw[8 * attempt % 64 :] + draw[: 8 * attempt % 64]


def _limits(need: Sequence[int], *, careful: bool) -> list[int]:
    """Return the largest part of a group that each side takes."""
    return [*(max(1, count // _SHARE) if careful else count for count in need[:-1]), need[-1]]


def drawn_side(
    group: Group, missing: Mapping[int, Sequence[int]], limits: Mapping[int, Sequence[int]], draw: str
) -> int | None:
    """Return a side that has room for the group, drawn with the rooms' sizes as weights; None where there is none."""
    weights = []
    for side in range(len(missing[group.parts[0][0]])):
        room = min(
            missing[city][side] if count <= min(limits[city][side], missing[city][side]) else 0
            for city, count in group.parts
        )
        weights.append(room if group.only in (None, side) else 0)
    point = int(draw[:16], 16) * sum(weights) >> 64
    for side, weight in enumerate(weights):
        if point < weight:
            return side
        point -= weight
    return None


def _fill_city(
    groups: Sequence[Group], indices: Sequence[int], missing: Sequence[int], needs: Sequence[int], even: bool
) -> list[int | None] | None:
    """Return the sides of a city's own groups that give it what is missing; None where none were found.

    That decides it where the city's sums fit into memory.
    """
    for attempt in range(_ATTEMPTS):
        side_of = _one_by_one(
            groups, indices, missing, _limits(needs, careful=attempt < _CAREFUL and not even), attempt
        )
        if side_of is not None:
            return [side_of.get(index) for index in indices]
    sizes = [groups[index].parts[0][1] for index in indices]
    if sum(sizes) < sum(missing) or not fits(sizes, missing):
        return None
    return assign(sizes, [groups[index].only for index in indices], missing)


def _one_by_one(
    groups: Sequence[Group], indices: Sequence[int], missing: Sequence[int], limits: Sequence[int], attempt: int
) -> dict[int, int] | None:
    """Fill one side after the other; None where one of them does not come out."""
    side_of: dict[int, int] = {}
    free = indices if attempt == 0 else _in_order(indices, groups, attempt)
    for side, needed in enumerate(missing):
        allowed = [
            index for index in free if groups[index].only in (None, side) and groups[index].parts[0][1] <= limits[side]
        ]
        chosen = subset([groups[index].parts[0][1] for index in allowed], needed)
        if chosen is None:
            return None
        side_of.update({allowed[position]: side for position in chosen})
        free = [index for index in free if index not in side_of]
    return side_of


# --- as near as it comes

_SMALL = 400  # groups times sides that integer programming is asked about
_PASSES = 20

_Missing = dict[int, list[int]]  # photos that are still wanted, by city and side; negative where there are too many


def balance(groups: Sequence[Group], wanted: Needs, held: Needs = (), *, even: bool = False) -> list[int]:
    """Return a side for each group, such that few sides of a city are empty and the differences from `wanted` small in sum.

    Zero where the fast ways of `fill` find that; the best there is where few groups are concerned (unless HiGHS gives up);
    else what moving single groups cannot improve. A side that has no photo of a city counts more than any difference.

    Args:
        groups: with as many photos of each city as are wanted of it.
        wanted: by city and side.
        held: photos that have their side already, by city and side; `wanted` does not count them.
        even: as for `fill`.
    """
    outcome = fill(groups, wanted, even=even, seconds=0)
    sides = [-1 if side is None else side for side in outcome.sides]
    for cities in (*outcome.impossible, *outcome.undecided):
        members = set(cities)
        indices = [index for index, group in enumerate(groups) if group.parts[0][0] in members]
        own = [groups[index] for index in indices]
        for index, side in zip(indices, _nearly_met(own, cities, wanted, held), strict=True):
            sides[index] = side
    return sides


def _nearly_met(groups: Sequence[Group], cities: Sequence[int], wanted: Needs, held: Needs) -> list[int]:
    empty = {(city, side) for city in cities for side in range(len(wanted[city])) if not (held and held[city][side])}
    missing = {city: list(wanted[city]) for city in cities}
    assigned = _largest_first(groups, missing)
    _improve(groups, missing, assigned)
    _fill_empty(groups, missing, assigned, empty)
    if len(groups) * len(wanted[cities[0]]) > _SMALL:
        return assigned
    best = solve(groups, cities, wanted, nearest_filling=empty)
    if best is None or isinstance(best, Undecided):
        return assigned
    sides = [int(side or 0) for side in best]
    nearest = {city: list(wanted[city]) for city in cities}
    for group, side in zip(groups, sides, strict=True):
        _take(group, nearest, side)
    ranks = [
        (len(empty - _photos(groups, of).keys()), _photos_missing(apart))
        for of, apart in ((sides, nearest), (assigned, missing))
    ]
    return sides if ranks[0] < ranks[1] else assigned


def _photos(groups: Sequence[Group], sides: Sequence[int]) -> Counter[tuple[int, int]]:
    """Return the photos of the groups by city and side, where there are any."""
    photos: Counter[tuple[int, int]] = Counter()
    for group, side in zip(groups, sides, strict=True):
        for city, count in group.parts:
            photos[city, side] += count
    return photos


def _fill_empty(groups: Sequence[Group], missing: _Missing, assigned: list[int], empty: set[tuple[int, int]]) -> None:
    """Give a group to each side of a city that has none, where that empties no other: the one that does the least harm."""
    photos = _photos(groups, assigned)
    for city, side in sorted(empty - photos.keys()):
        options = []
        for index, group in enumerate(groups):
            before = assigned[index]
            if group.only is None and any(of == city for of, _ in group.parts) and before != side:
                spared = all(photos[of, before] > count or (of, before) not in empty for of, count in group.parts)
                change = sum(
                    abs(missing[of][before] + count)
                    - abs(missing[of][before])
                    + abs(missing[of][side] - count)
                    - abs(missing[of][side])
                    for of, count in group.parts
                )
                options += [(change, group.draw, index)] if spared else []
        if options:
            index = min(options)[2]
            for of, count in groups[index].parts:
                photos[of, assigned[index]] -= count
                photos[of, side] += count
            _take(groups[index], missing, assigned[index], -1)
            assigned[index] = side
            _take(groups[index], missing, side)


def _largest_first(groups: Sequence[Group], missing: _Missing) -> list[int]:
    """Place the largest first: drawn where there is room, or else where it does the least harm."""
    assigned = [0] * len(groups)
    order = sorted(range(len(groups)), key=lambda at: (-max(count for _, count in groups[at].parts), groups[at].draw))
    for index in order:
        side = drawn_side(groups[index], missing, missing, groups[index].draw)
        assigned[index] = _best_side(groups[index], missing) if side is None else side
        _take(groups[index], missing, assigned[index])
    return assigned


def _improve(groups: Sequence[Group], missing: _Missing, assigned: list[int]) -> None:
    """Move single groups, in the order of their draws, as long as that brings the numbers nearer to the wanted ones."""
    order = sorted((at for at, group in enumerate(groups) if group.only is None), key=lambda at: groups[at].draw)
    moved = True
    for _ in range(_PASSES):
        if not moved or not _photos_missing(missing):
            return
        moved = False
        for index in order:
            before = assigned[index]
            _take(groups[index], missing, before, -1)
            assigned[index] = _best_side(groups[index], missing, before)
            _take(groups[index], missing, assigned[index])
            moved = moved or assigned[index] != before


def _best_side(group: Group, missing: _Missing, before: int = -1) -> int:
    """Return the side where the group changes the sum of differences for the better, or the least for the worse."""

    def rank(side: int) -> tuple[int, bool, int]:
        change = sum(abs(missing[city][side] - count) - abs(missing[city][side]) for city, count in group.parts)
        return change, side != before, -sum(missing[city][side] for city, _ in group.parts)

    sides = range(len(missing[group.parts[0][0]])) if group.only is None else [group.only]
    return min(sides, key=rank)


def _take(group: Group, missing: _Missing, side: int, sign: int = 1) -> None:
    for city, count in group.parts:
        missing[city][side] -= sign * count


def _photos_missing(missing: _Missing) -> int:
    return sum(abs(photos) for sides in missing.values() for photos in sides)


# --- subset sums by bit sets

MOST_BITS = 1_600_000_000
"""Bits of remembered states: 200 MB. Larger problems are left to integer programming."""


def subset(sizes: Sequence[int], target: int) -> list[int] | None:
    """Return positions, ascending, of sizes (each at least 1) that add up to `target`; None where none do.

    The earlier of two choices is taken: all that fit one after the other if that comes out even. None is also returned where
    the search would need more than MOST_BITS.
    """
    chosen, missing = [], target
    for position, size in enumerate(sizes):
        if size <= missing:
            chosen.append(position)
            missing -= size
    if not missing:
        return chosen
    if sum(sizes) < target or len(sizes) * target > MOST_BITS:
        return None
    states, mask = [1], (1 << (target + 1)) - 1
    for size in sizes:
        states.append((states[-1] | states[-1] << size) & mask)
    if not states[-1] >> target & 1:
        return None
    chosen, missing = [], target
    for position in range(len(sizes) - 1, -1, -1):
        if not states[position] >> missing & 1:  # not reached without it
            chosen.append(position)
            missing -= sizes[position]
    return chosen[::-1]


def fits(sizes: Sequence[int], bins: Sequence[int]) -> bool:
    """Whether `assign` can decide a problem of this size."""
    capacities = [*bins, sum(sizes) - sum(bins)]
    return prod(capacity + 1 for capacity in capacities) // (max(capacities) + 1) * len(sizes) <= MOST_BITS


def assign(sizes: Sequence[int], only: Sequence[int | None], bins: Sequence[int]) -> list[int | None] | None:
    """Return a bin for each size, None for left out, such that each bin is filled exactly; None where that is impossible.

    Args:
        sizes: at least 1 each.
        only: the one bin that a size may go into, None for any.
        bins: what each has to add up to; together at most as much as the sizes, and `fits`.
    """
    # What is left out fills a bin too. The largest bin need not be watched: it gets what the others do not.
    capacities = [*bins, sum(sizes) - sum(bins)]
    unwatched = max(range(len(capacities)), key=lambda of: capacities[of])
    box = _Box([0 if of == unwatched else capacity for of, capacity in enumerate(capacities)])
    out = len(bins)
    options = [[of for of in range(len(capacities)) if of == out or one in (None, of)] for one in only]
    states = [1]
    for size, allowed in zip(sizes, options, strict=True):
        states.append(_added(box, states[-1], size, [of for of in allowed if of != unwatched], unwatched in allowed))
    place = sum(capacity * box.strides[of] for of, capacity in enumerate(capacities) if of != unwatched)
    if not states[-1] >> place & 1:
        return None
    sides: list[int | None] = []
    for size, allowed, state in zip(reversed(sizes), reversed(options), reversed(states[:-1]), strict=True):
        # Late ones are left out first.
        for of in sorted(allowed, reverse=True):
            before = place if of == unwatched else place - size * box.strides[of]
            inside = of == unwatched or box.coordinate(place, of) >= size
            if inside and state >> before & 1:
                place = before
                sides.append(None if of == out else of)
                break
    return sides[::-1]


def reachable(sizes: Sequence[int], only: Sequence[int | None], start: Sequence[int], box: Sequence[int]) -> int:
    """Return the tuples of sums that the bins can have, as a bit set over `range(box[0] + 1) x range(box[1] + 1) x …`.

    The first bin varies fastest. `start` is what the bins hold already; any size may be left out.
    """
    space = _Box(box)
    if any(held > most for held, most in zip(start, box, strict=True)):
        return 0
    state = 1 << sum(held * stride for held, stride in zip(start, space.strides, strict=True))
    for size, one in zip(sizes, only, strict=True):
        state = _added(space, state, size, [of for of in range(len(box)) if one in (None, of)], stays=True)
    return state


class _Box:
    """Tuples of sums from 0 to a capacity each, numbered in mixed radix."""

    def __init__(self, capacities: Sequence[int]) -> None:
        self.capacities = capacities
        self.strides = [prod(capacity + 1 for capacity in capacities[:of]) for of in range(len(capacities))]
        self.bits = prod(capacity + 1 for capacity in capacities)
        self._masks: dict[tuple[int, int], int] = {}

    def coordinate(self, place: int, of: int) -> int:
        return place // self.strides[of] % (self.capacities[of] + 1)

    def with_room(self, of: int, size: int) -> int:
        """Return the set of tuples whose sum `of` can grow by `size`."""
        if (of, size) not in self._masks:
            block = self.strides[of] * (self.capacities[of] + 1)
            mask = (1 << max(0, self.capacities[of] - size + 1) * self.strides[of]) - 1
            while block < self.bits:  # repeated, in doubling lengths
                mask |= mask << block
                block *= 2
            self._masks[of, size] = mask & ((1 << self.bits) - 1)
        return self._masks[of, size]


def _added(box: _Box, state: int, size: int, bins: Sequence[int], stays: bool) -> int:
    added = state if stays else 0
    for of in bins:
        added |= (state & box.with_room(of, size)) << size * box.strides[of]
    return added
