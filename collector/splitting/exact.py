"""Whole groups to sides, to the photo: subset sums city by city, and integer programming where they do not decide it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from collector.splitting.milp import SECONDS, Group, Needs, Undecided, solve
from collector.splitting.places import components
from collector.splitting.subsets import assign, fits, subset

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
        found = _fill_set(members, cities, needs, even, seconds)
        if found is None:
            outcome.impossible.append(cities)
        elif isinstance(found, Undecided):
            outcome.undecided.append(cities)
        else:
            for index, side in zip(by_set[label], found, strict=True):
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
        if (found := _attempt(groups, photos, needs, attempt, even)) is not None:
            return found
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
        found = _fill_city(groups, local[city], missing[city], needs[city], even)
        if found is None:
            return None
        for index, side in zip(local[city], found, strict=True):
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
        found = _one_by_one(groups, indices, missing, _limits(needs, careful=attempt < _CAREFUL and not even), attempt)
        if found is not None:
            return [found.get(index) for index in indices]
    sizes = [groups[index].parts[0][1] for index in indices]
    if sum(sizes) < sum(missing) or not fits(sizes, missing):
        return None
    return assign(sizes, [groups[index].only for index in indices], missing)


def _one_by_one(
    groups: Sequence[Group], indices: Sequence[int], missing: Sequence[int], limits: Sequence[int], attempt: int
) -> dict[int, int] | None:
    """Fill one side after the other; None where one of them does not come out."""
    found: dict[int, int] = {}
    free = indices if attempt == 0 else _in_order(indices, groups, attempt)
    for side, needed in enumerate(missing):
        allowed = [
            index for index in free if groups[index].only in (None, side) and groups[index].parts[0][1] <= limits[side]
        ]
        chosen = subset([groups[index].parts[0][1] for index in allowed], needed)
        if chosen is None:
            return None
        found.update({allowed[position]: side for position in chosen})
        free = [index for index in free if index not in found]
    return found
