"""Photos as the solvers see them: cities, sides and groups by number."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.errors import DataError
from collector.records import Photo
from collector.splitting.milp import Group

ORDER = ("test", "val", "train")
"""The sides by number. Test is filled first: what is kept for judging is set aside before anything learns from the rest."""


@dataclass(frozen=True, slots=True)
class Units:
    """Groups of photos, by what is free to move.

    Attributes:
        cities: slugs, sorted; their indices are the cities' numbers.
        totals: photos by city.
        groups: those with photos that have no side yet, in the order of their draws.
        names: of each of these groups, its id.
        members: of each, the photo_ids without a side.
        held: photos that have a side, by city and side.
    """

    cities: list[str]
    totals: list[int]
    groups: list[Group]
    names: list[str]
    members: list[list[str]]
    held: list[list[int]]


def units(photos: Sequence[Photo], groups: Mapping[str, str], seed: int, fixed: Mapping[str, str]) -> Units:
    """Return the groups of `photos`, whatever their order, with `fixed` sides (photo_id -> side) taken off.

    Raises:
        DataError: a group has fixed photos on two sides.
    """
    cities = sorted({photo.city for photo in photos})
    number = {city: index for index, city in enumerate(cities)}
    totals, held = [0] * len(cities), [[0] * len(ORDER) for _ in cities]
    free: dict[str, list[Photo]] = defaultdict(list)
    only: dict[str, int] = {}
    for photo in sorted(photos, key=lambda photo: photo.photo_id):
        totals[number[photo.city]] += 1
        group = groups[photo.photo_id]
        if photo.photo_id not in fixed:
            free[group].append(photo)
            continue
        side = ORDER.index(fixed[photo.photo_id])
        held[number[photo.city]][side] += 1
        if only.setdefault(group, side) != side:
            raise DataError(f"group {group}: has photos in {ORDER[side]} and in {ORDER[only[group]]} already")
    drawn = sorted((draw(seed, group), group) for group in free)
    found = [
        Group(tuple(sorted(Counter(number[photo.city] for photo in free[group]).items())), digits, only.get(group))
        for digits, group in drawn
    ]
    names = [group for _, group in drawn]
    return Units(cities, totals, found, names, [[photo.photo_id for photo in free[name]] for name in names], held)


def draw(seed: int, name: str) -> str:
    """Return 64 hex digits that put names in a random order, the same on every machine and in every version."""
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
