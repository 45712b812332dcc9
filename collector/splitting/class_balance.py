"""All groups to sides, as near to the wanted numbers as they come."""

from collections.abc import Sequence

from collector.splitting.exact import drawn_side, fill
from collector.splitting.milp import Group, Needs, Undecided, solve

_SMALL = 400  # groups times sides that integer programming is asked about
_PASSES = 20

_Missing = dict[int, list[int]]  # photos that are still wanted, by city and side; negative where there are too many


def balance(groups: Sequence[Group], wanted: Needs, *, even: bool = False) -> list[int]:
    """Return a side for each group, such that the differences from `wanted` are small in sum.

    Zero where the fast ways of `fill` find that; the smallest there is where few groups are concerned (unless HiGHS gives
    up); else what moving single groups cannot improve.

    Args:
        groups: with as many photos of each city as are wanted of it.
        wanted: by city and side.
        even: as for `fill`.
    """
    outcome = fill(groups, wanted, even=even, seconds=0)
    sides = [-1 if side is None else side for side in outcome.sides]
    for cities in (*outcome.impossible, *outcome.undecided):
        members = set(cities)
        indices = [index for index, group in enumerate(groups) if group.parts[0][0] in members]
        for index, side in zip(indices, _near([groups[index] for index in indices], cities, wanted), strict=True):
            sides[index] = side
    return sides


def _near(groups: Sequence[Group], cities: Sequence[int], wanted: Needs) -> list[int]:
    missing = {city: list(wanted[city]) for city in cities}
    found = _one_by_one(groups, missing)
    _improve(groups, missing, found)
    if len(groups) * len(wanted[cities[0]]) > _SMALL:
        return found
    best = solve(groups, cities, wanted, nearest=True)
    if best is None or isinstance(best, Undecided):
        return found
    sides = [int(side or 0) for side in best]
    nearest = {city: list(wanted[city]) for city in cities}
    for group, side in zip(groups, sides, strict=True):
        _take(group, nearest, side)
    return sides if _apart(nearest) < _apart(missing) else found


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
