"""What each city got against what was asked for: sides without photos and what is in the way, shares that were missed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from collector.errors import DataError, first_few
from collector.manifest.photo_rows import values_of
from collector.records import SPLITS, Photo

FEW_POINTS = 0.03
"""A share of a city's photos that differs from what was asked for by more than this, 3 percentage points, is told."""


@dataclass(frozen=True, slots=True)
class EmptySides:
    """A city without photos on some side, and the largest of its groups.

    Attributes:
        city: slug.
        sides: each side that is empty -> in which folds, counted from 1; () where there are no folds.
        photos: the city's photos that have a side.
        groups: how many groups they are in.
        group: id of the largest.
        such: what people call one of its photos; hostile text.
        group_photos: how many of the city's photos it has.
        author: who took most photos of the group, as it is credited; hostile text; None where nobody is known.
        author_photos: how many of the group's photos in the city that author took.
    """

    city: str
    sides: Mapping[str, tuple[int, ...]]
    photos: int
    groups: int
    group: str
    such: str
    group_photos: int
    author: str | None
    author_photos: int

    def __str__(self) -> str:
        where = " and ".join(f"no {side} photo{_folds(folds)}" for side, folds in self.sides.items())
        if self.groups == self.photos:
            return f"{self.city} has {where}: it has {self.photos} photo{'' if self.photos == 1 else 's'} in all"
        share = f"{self.group_photos} of its {self.photos} photos ({self.group_photos / self.photos:.0%})"
        by = "" if self.author is None else f", {_by(self)} by {self.author[:60]!r}"
        groups = "one group with" if self.groups == 1 else f"{self.groups} groups, the largest with"
        named = "" if self.author is not None else f", such as {self.such[:60]!r}"
        return f"{self.city} has {where}: its photos are {groups} {share}{by}{named}"


def _folds(folds: Sequence[int]) -> str:
    return f" in fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}" if folds else ""


def _by(of: EmptySides) -> str:
    return "all" if of.author_photos == of.group_photos else f"{of.author_photos} of them"


def empty_sides(
    photos: Sequence[Photo],
    group_of: Mapping[str, str],
    splits: Sequence[Mapping[str, str]],
    asked: Sequence[str] = SPLITS,
) -> list[EmptySides]:
    """Return the cities that lack photos on a side of one of the splits, by slug.

    Args:
        photos: those that were to be split.
        group_of: photo_id -> group id.
        splits: one, or that of each fold: photo_id -> side.
        asked: sides that were to have photos.
    """
    filled: dict[str, list[set[str | None]]] = defaultdict(lambda: [set() for _ in splits])
    for city, photo_id in values_of(photos, "city", "photo_id"):
        for of, sides in zip(filled[city], splits, strict=True):
            of.add(sides.get(photo_id))
    lacking: dict[str, dict[str, tuple[int, ...]]] = {}
    for city, has in sorted(filled.items()):
        where = {side: tuple(n for n, of in enumerate(has, start=1) if side not in of) for side in asked}
        if any(where.values()):
            lacking[city] = {side: numbers if len(splits) > 1 else () for side, numbers in where.items() if numbers}
    by_city: dict[str, list[Photo]] = {city: [] for city in lacking}
    for photo in photos if lacking else ():
        if photo.city in by_city:
            by_city[photo.city].append(photo)
    return [_described(city, by_city[city], group_of, empty) for city, empty in lacking.items()]


def _described(
    city: str, own: Sequence[Photo], group_of: Mapping[str, str], empty: Mapping[str, tuple[int, ...]]
) -> EmptySides:
    sizes = Counter(group_of[photo.photo_id] for photo in own)
    group, largest = min(sizes.items(), key=lambda item: (-item[1], item[0]))
    of_group = [photo for photo in own if group_of[photo.photo_id] == group]
    authors = Counter(photo.author_name or photo.author_id for photo in of_group)
    author, by_author = max(authors.items(), key=lambda item: (item[0] is not None, item[1], str(item[0])))
    such = of_group[0].called
    return EmptySides(city, empty, len(own), len(sizes), group, such, largest, author, by_author if author else 0)


def refusal(found: Sequence[EmptySides], photos: Mapping[str, int], works: Callable[[int], bool]) -> DataError:
    """Return the error: which cities would lack photos where and why, and below it what can be done.

    Args:
        found: at least one.
        photos: of every city.
        works: whether each side has photos of all cities once those with fewer photos than so many are left out.
    """
    first, *others = found
    more = [of.city for of in others]
    said = (
        f"; {len(more)} more {'city lacks' if len(more) == 1 else 'cities lack'} photos too: {first_few(more)}"
        if more
        else ""
    )
    error = DataError(f"{first}{said}; nothing was written")
    least = max(of.photos for of in found) + 1
    left = [count for count in photos.values() if count >= least]
    if len(left) > 1 and works(least):
        error.add_note(
            f"--min-photos {least} leaves them out and keeps {len(left)} of {len(photos)} cities, "
            f"{sum(left):,} of {sum(photos.values()):,} photos"
        )
    linked = [of for of in found if of.groups < of.photos]
    ways = ["--no-authors parts photos of one author"] if any(of.author for of in linked) else []
    ways += ["--min-distance 0 those of one place"] if linked else []
    error.add_note("; ".join([*ways, "--allow-empty-sides accepts it", "or collect more photos there"]))
    return error


@dataclass(frozen=True, slots=True)
class MissedShare:
    """A side that has another share of a city's photos than was asked for, both from 0 to 1."""

    city: str
    side: str
    asked: float
    got: float


def missed_shares(counts: Mapping[str, Mapping[str, int]], fractions: Mapping[str, float]) -> list[MissedShare]:
    """Return where a city's shares differ by more than FEW_POINTS, the farthest first.

    Args:
        counts: photos by city and side.
        fractions: that were asked for, by side.
    """
    found = [
        MissedShare(city, side, fractions[side], photos / sum(sides.values()))
        for city, sides in counts.items()
        if any(sides.values())
        for side, photos in sides.items()
        if abs(photos / sum(sides.values()) - fractions[side]) > FEW_POINTS
    ]
    return sorted(found, key=lambda of: (-abs(of.got - of.asked), of.city, of.side))
