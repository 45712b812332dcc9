"""All groups to sides, as near to the wanted numbers as they come."""

from collections import Counter
from collections.abc import Sequence

from collector.splitting.exact import drawn_side, fill
from collector.splitting.milp import Group, Needs, Undecided, solve

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
        for index, side in zip(indices, _near(own, cities, wanted, held), strict=True):
            sides[index] = side
    return sides


def _near(groups: Sequence[Group], cities: Sequence[int], wanted: Needs, held: Needs) -> list[int]:
    empty = {(city, side) for city in cities for side in range(len(wanted[city])) if not (held and held[city][side])}
    missing = {city: list(wanted[city]) for city in cities}
    found = _one_by_one(groups, missing)
    _improve(groups, missing, found)
    _fill_empty(groups, missing, found, empty)
    if len(groups) * len(wanted[cities[0]]) > _SMALL:
        return found
    best = solve(groups, cities, wanted, nearest_filling=empty)
    if best is None or isinstance(best, Undecided):
        return found
    sides = [int(side or 0) for side in best]
    nearest = {city: list(wanted[city]) for city in cities}
    for group, side in zip(groups, sides, strict=True):
        _take(group, nearest, side)
    ranks = [
        (len(empty - _photos(groups, of).keys()), _apart(apart)) for of, apart in ((sides, nearest), (found, missing))
    ]
    return sides if ranks[0] < ranks[1] else found


def _photos(groups: Sequence[Group], sides: Sequence[int]) -> Counter[tuple[int, int]]:
    """Return the photos of the groups by city and side, where there are any."""
    photos: Counter[tuple[int, int]] = Counter()
    for group, side in zip(groups, sides, strict=True):
        for city, count in group.parts:
            photos[city, side] += count
    return photos


def _fill_empty(groups: Sequence[Group], missing: _Missing, found: list[int], empty: set[tuple[int, int]]) -> None:
    """Give a group to each side of a city that has none, where that empties no other: the one that does the least harm."""
    photos = _photos(groups, found)
    for city, side in sorted(empty - photos.keys()):
        options = []
        for index, group in enumerate(groups):
            before = found[index]
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
                photos[of, found[index]] -= count
                photos[of, side] += count
            _take(groups[index], missing, found[index], -1)
            found[index] = side
            _take(groups[index], missing, side)


def _one_by_one(groups: Sequence[Group], missing: _Missing) -> list[int]:
    """Place the largest first: drawn where there is room, or else where it does the least harm."""
    found = [0] * len(groups)
    order = sorted(range(len(groups)), key=lambda at: (-max(count for _, count in groups[at].parts), groups[at].draw))
    for index in order:
        side = drawn_side(groups[index], missing, missing, groups[index].draw)
        found[index] = _best_side(groups[index], missing) if side is None else side
        _take(groups[index], missing, found[index])
    return found


def _improve(groups: Sequence[Group], missing: _Missing, found: list[int]) -> None:
    """Move single groups, in the order of their draws, as long as that brings the numbers nearer to the wanted ones."""
    order = sorted((at for at, group in enumerate(groups) if group.only is None), key=lambda at: groups[at].draw)
    moved = True
    for _ in range(_PASSES):
        if not moved or not _apart(missing):
            return
        moved = False
        for index in order:
            before = found[index]
            _take(groups[index], missing, before, -1)
            found[index] = _best_side(groups[index], missing, before)
            _take(groups[index], missing, found[index])
            moved = moved or found[index] != before


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


def _apart(missing: _Missing) -> int:
    return sum(abs(photos) for sides in missing.values() for photos in sides)
