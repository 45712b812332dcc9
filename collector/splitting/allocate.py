"""Which photo goes to which side: pure, and deterministic in the photos, their groups and the seed.

Idea. Photos become groups by number (`units`), each a vector of photos by city, in the order of
sha256(seed, group). Then by mode: `exact`: every city gets exactly its quotas in whole groups (`exact.fill`), or one line
says which group is in the way and which quotas are the nearest that can be met (`refusal`); with `drop_photos`
single photos are left out instead (`greedy.cover`, then `trimmed`); `fractions` and `kfold`: every group gets a side, no side
of a city is empty where groups allow, and then the sum of the differences from the shares is small (`exact.balance`);
`paper`: single photos. Invariants: no group is on two sides (but in `paper`); photos with a side keep it; cities that share
no group do not move each other's photos; a photo that comes or goes moves few others. Complexity: that of the solvers.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from typing import Literal, TypeVar

import numpy as np

from collector.errors import DataError, UsageError, first_few
from collector.manifest.photo_rows import PhotoRows
from collector.records import SPLITS, Photo
from collector.splitting.by_photo import ByPhoto
from collector.splitting.exact import Outcome, balance, by_city, fill, fillable, reachable
from collector.splitting.greedy import Linked, cover, trimmed, without_nested
from collector.splitting.groups import GroupRules, photographer, regroup
from collector.splitting.milp import Group, Needs, nearest_uniform

Mode = Literal["exact", "fractions", "paper", "place"]

ORDER = ("test", "val", "train")
"""The sides by number. Test is filled first: what is kept for judging is set aside before anything learns from the rest."""

_TRIED = 50_000  # photos up to which a refusal finds out what would help

_Side = TypeVar("_Side", bound=Hashable)

_NEAR = 8  # photos around the quotas that are searched first
_MOST_WORK = 4_000_000_000  # bits of a box of quotas, times groups: about a second
_SUSPECTS = 5  # groups that are tried out
_SECONDS = 1.0  # for one of them, by integer programming
_NEAREST_SECONDS = 10.0  # for the nearest quotas where groups span cities


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
    totals, fixed_counts = [0] * len(cities), [[0] * len(ORDER) for _ in cities]
    free: dict[str, list[str]] = defaultdict(list)
    of_city: dict[str, Counter[int]] = defaultdict(Counter)
    only: dict[str, int] = {}
    for photo in PhotoRows.of(photos):
        totals[number[photo.city]] += 1
        group = groups[photo.photo_id]
        if photo.photo_id not in fixed:
            free[group].append(photo.photo_id)
            of_city[group][number[photo.city]] += 1
            continue
        side = ORDER.index(fixed[photo.photo_id])
        fixed_counts[number[photo.city]][side] += 1
        if only.setdefault(group, side) != side:
            raise DataError(f"group {group}: has photos in {ORDER[side]} and in {ORDER[only[group]]} already")
    drawn = sorted((draw(seed, group), group) for group in free)
    moving = [Group(tuple(sorted(of_city[group].items())), digits, only.get(group)) for digits, group in drawn]
    names = [group for _, group in drawn]
    return Units(cities, totals, moving, names, [free[name] for name in names], fixed_counts)


def draw(seed: int, name: str) -> str:
    """Return 64 hex digits that put names in a random order, the same on every machine and in every version."""
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Allocation:
    """Sides for photos.

    Attributes:
        sides: photo_id -> `train`, `val` or `test`, of the photos that have one.
        groups: photo_id -> group id, of the same photos. No group is on two sides, except in mode `paper`.
        left_out: photo_id -> why a photo has no side: `quota` (beyond the quotas) or `link` (it would link two sides).
        deviations: city slug -> side -> photos more (or, negative, fewer) than asked for, where there are any.
    """

    sides: Mapping[str, str]
    groups: Mapping[str, str]
    left_out: Mapping[str, str]
    deviations: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Folds:
    """Folds for photos.

    Attributes:
        fold_of: photo_id -> fold, from 0.
        deviations: city slug -> fold -> photos more (or, negative, fewer) than an even share, where there are any.
    """

    fold_of: dict[str, int]
    deviations: dict[str, dict[int, int]]


def allocate(
    photos: Sequence[Photo],
    groups: Mapping[str, str],
    quotas: Mapping[str, float],
    seed: int,
    *,
    mode: Mode = "exact",
    drop_photos: bool = False,
    clusters: Sequence[Mapping[str, str]] = (),
    fixed: Mapping[str, str] | None = None,
) -> Allocation:
    """Assign photos to train, val and test, city by city.

    Groups are considered in the order of sha256(seed, group id). It depends on nothing else, so that photos that come or go
    move few others, and cities that share no group do not move each other's.

    Args:
        photos: in any order.
        groups: photo_id -> group id, of every photo.
        quotas: by side: photos a city (`exact`, `paper`), or fractions of each city's photos (`fractions`).
        seed: of the order.
        mode: `exact`: every city gets exactly its quotas in whole groups; groups beyond the quotas get no side.
            `fractions`: every photo gets a side, groups stay whole, and the numbers are as near to the fractions as they
            come. `paper`: single photos at random, exactly the quotas, as in 2018; groups are ignored, so it leaks.
        drop_photos: in mode `exact`, single photos may be left out: those that link two sides and, of what is beyond the
            quotas, those of the authors with the most photos on their side.
        clusters: what the groups are made of, as `Grouping.clusters`: photos that share one are linked. With `drop_photos`,
            groups may be parted by leaving out photos, clusters may not. By default the groups themselves.
        fixed: photo_id -> side that photos have already and keep. The rest of their group goes there or is left out.

    Raises:
        UsageError: the quotas are none, or options contradict each other.
        DataError: the quotas cannot be met: the message says where, what is in the way, and what can be met.
    """
    _check(quotas, mode, drop_photos)
    fixed_sides = dict(fixed or {})
    if mode == "paper":
        return _allocation(photos, groups, stratified(photos, quotas, seed))
    if mode == "fractions":
        return _fractions(photos, groups, quotas, seed, fixed_sides)
    _require_enough(Counter(photo.city for photo in photos), quotas)
    _require_room(photos, quotas, fixed_sides)
    if drop_photos:
        return _dropping(photos, clusters or [groups], quotas, seed, fixed_sides)
    return _whole_groups(photos, groups, clusters or [groups], quotas, seed, fixed_sides)


def stratified(photos: Sequence[Photo], quotas: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return photo_id -> side for single photos at random, as in 2018: exactly `quotas` photos of each city on each side.

    The order within a city is that of sha256(seed, photo_id). It depends on nothing else, so that a photo keeps its
    place whatever the others are, and photos come and go without reshuffling the rest. Photos beyond the quotas get no
    side.

    Raises:
        DataError: cities have too few photos; the message says which, and how many are missing.
    """
    by_city: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        by_city[photo.city].append(photo.photo_id)
    _require_enough({city: len(photo_ids) for city, photo_ids in by_city.items()}, quotas)
    assigned = {}
    for photo_ids in by_city.values():
        waiting = iter(sorted(photo_ids, key=lambda photo_id: (draw(seed, photo_id), photo_id)))
        for side in ORDER:
            assigned.update({next(waiting): side for _ in range(int(quotas[side]))})
    return assigned


def kfold(photos: Sequence[Photo], groups: Mapping[str, str], folds: int, seed: int) -> Folds:
    """Spread photos over folds: groups stay whole, and each city is spread as evenly as that allows.

    Args:
        photos: in any order.
        groups: photo_id -> group id, of every photo.
        folds: how many.
        seed: of the order, as for `allocate`.

    Raises:
        UsageError: fewer than two folds.
        DataError: fewer photos than folds.
    """
    if folds < 2:
        raise UsageError(f"{folds} folds: give at least 2")
    if len(photos) < folds:
        raise DataError(f"{len(photos)} photos cannot be spread over {folds} folds; collect more")
    numbered = units(photos, groups, seed, {})
    # Where a city does not divide evenly, the folds that get a photo more take turns from city to city.
    ends = pairwise(accumulate(numbered.totals, initial=0))
    wanted = [[(end + fold) // folds - (start + fold) // folds for fold in range(folds)] for start, end in ends]
    fold_of = {
        photo_id: fold
        for photo_ids, fold in zip(numbered.members, balance(numbered.groups, wanted, even=True), strict=True)
        for photo_id in photo_ids
    }
    return Folds(fold_of, _deviations(photos, fold_of, numbered.cities, wanted, range(folds)))


def _whole_groups(
    photos: Sequence[Photo],
    groups: Mapping[str, str],
    clusters: Sequence[Mapping[str, str]],
    quotas: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str],
) -> Allocation:
    numbered = units(photos, groups, seed, fixed)
    needs = [[int(quotas[side]) - has for side, has in zip(ORDER, of, strict=True)] for of in numbered.held]
    outcome = fill(numbered.groups, needs)
    if outcome.impossible or outcome.undecided:
        helps = len(photos) <= _TRIED and not cover(*_linked(photos, clusters, quotas, seed, fixed)).missing

        def by(group: str, city: str) -> str:
            of_group = [p for p in photos if (groups[p.photo_id], p.city) == (group, city)]
            such = next((f", such as {p.title[:60]!r}" for p in of_group if p.title), "")
            authors = Counter(p.author_name or p.author_id for p in of_group)
            author, count = max(authors.items(), key=lambda item: (item[0] is not None, item[1], str(item[0])))
            whole = "all" if count == authors.total() else f"{count} of them"
            taken = f", {whole} by {author[:60]!r} (authors may be parted with --no-authors)" if author else ""
            return such + taken

        raise DataError(refusal(numbered, needs, outcome, by, dropping_helps=helps))
    sides = {
        photo_id: ORDER[side]
        for photo_ids, side in zip(numbered.members, outcome.sides, strict=True)
        if side is not None
        for photo_id in photo_ids
    }
    return _allocation(photos, groups, {**sides, **fixed})


def _fractions(
    photos: Sequence[Photo],
    groups: Mapping[str, str],
    fractions: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str],
) -> Allocation:
    if isinstance(photos, PhotoRows) and isinstance(groups, ByPhoto) and len(groups.index) == len(photos) and not fixed:
        return _fractions_of_rows(photos, groups, fractions, seed)
    numbered = units(photos, groups, seed, fixed)
    shares = [_shares(total, [fractions[side] for side in ORDER]) for total in numbered.totals]
    free = [[count - has for count, has in zip(*of, strict=True)] for of in zip(shares, numbered.held, strict=True)]
    sides = {
        photo_id: ORDER[side]
        for photo_ids, side in zip(numbered.members, balance(numbered.groups, free, numbered.held), strict=True)
        for photo_id in photo_ids
    }
    sides.update(fixed)
    return _allocation(photos, groups, sides, deviations=_deviations(photos, sides, numbered.cities, shares, ORDER))


def _fractions_of_rows(rows: PhotoRows, groups: ByPhoto, fractions: Mapping[str, float], seed: int) -> Allocation:
    """Do what `_fractions` does with columns in place of photos."""
    code, slugs = rows.coded("city")
    cities = sorted(slugs)
    city = np.array([cities.index(slug) for slug in slugs], np.int64)[code]
    pair, counts = np.unique(groups.number.astype(np.int64) * len(cities) + city, return_counts=True)
    starts = np.flatnonzero(np.diff(pair // len(cities), prepend=-1)).tolist()
    parts = list(zip((pair % len(cities)).tolist(), counts.tolist(), strict=True))
    names = groups.names[:]
    order = sorted(range(len(names)), key=lambda at: (draw(seed, names[at]), names[at]))
    ends = [*starts[1:], len(parts)]
    moving = [Group(tuple(parts[starts[at] : ends[at]]), draw(seed, names[at]), None) for at in order]
    wanted = [_shares(total, [fractions[side] for side in ORDER]) for total in np.bincount(city).tolist()]
    side_of = np.empty(len(names), np.int8)
    side_of[order] = balance(moving, wanted, [[0] * len(ORDER) for _ in cities])
    sides = side_of[groups.number]
    got = np.bincount(city * len(ORDER) + sides, minlength=len(cities) * len(ORDER)).reshape(-1, len(ORDER)).tolist()
    apart = {
        slug: {side: has - want for side, has, want in zip(ORDER, *of, strict=True) if has != want}
        for slug, of in zip(cities, zip(got, wanted, strict=True), strict=True)
    }
    deviations = {slug: of for slug, of in apart.items() if of}
    return Allocation(ByPhoto(groups.index, sides, ORDER), groups, {}, deviations)


def _shares(total: int, fractions: Sequence[float]) -> list[int]:
    """Return whole numbers near the fractions of `total` that add up to it, by the largest remainders.

    None of them is 0 where there are photos enough: the largest gives one to a side that would have none.
    """
    exact = [total * fraction / sum(fractions) for fraction in fractions]
    counts = [int(share) for share in exact]
    for side in sorted(range(len(exact)), key=lambda side: counts[side] - exact[side])[: total - sum(counts)]:
        counts[side] += 1
    while total >= len(counts) and 0 in counts:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] += 1
    return counts


def _dropping(
    photos: Sequence[Photo],
    clusters: Sequence[Mapping[str, str]],
    quotas: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str],
) -> Allocation:
    linked, needs = _linked(photos, clusters, quotas, seed, fixed)
    covered = cover(linked, needs)
    if covered.missing:
        raise DataError(_too_linked(photos, clusters, quotas, seed, fixed, proven=covered.proven))
    ordered = sorted(photos, key=lambda photo: photo.photo_id)
    rules = GroupRules()
    authors = [photographer(photo, rules) or photo.photo_id for photo in ordered]
    draws = [draw(seed, photo.photo_id) for photo in ordered]
    kept = trimmed(linked.cities, covered.sides, needs, authors, draws, [photo.photo_id in fixed for photo in ordered])
    sides = {photo.photo_id: ORDER[side] for photo, side in zip(ordered, kept, strict=True) if side is not None}
    links = {photo.photo_id for photo, side in zip(ordered, covered.sides, strict=True) if side is None}
    return _allocation(photos, regroup(sides, clusters), sides, links)


def _linked(
    photos: Sequence[Photo],
    clusters: Sequence[Mapping[str, str]],
    quotas: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str],
) -> tuple[Linked, Needs]:
    """Return the photos, sorted by photo_id, and their clusters by number, with the needs of the cities."""
    ordered = sorted(photos, key=lambda photo: photo.photo_id)
    cities = {city: index for index, city in enumerate(sorted({photo.city for photo in photos}))}
    names: dict[tuple[int, str], int] = {}
    of_photo = []
    for photo in ordered:
        shared = [(kind, of[photo.photo_id]) for kind, of in enumerate(clusters) if photo.photo_id in of]
        of_photo.append([names.setdefault(name, len(names)) for name in shared or [(-1, photo.photo_id)]])
    needed = without_nested(of_photo)
    used = {cluster: index for index, cluster in enumerate(sorted({cluster for of in needed for cluster in of}))}
    numbered = [tuple(used[cluster] for cluster in of) for of in needed]
    fixed_side: dict[int, int] = {}
    for photo, of in zip(ordered, numbered, strict=True):
        if photo.photo_id in fixed:
            side = ORDER.index(fixed[photo.photo_id])
            if any(fixed_side.setdefault(cluster, side) != side for cluster in of):
                raise DataError(
                    f"photo {photo.photo_id}: is in {ORDER[side]} and linked to one on another side already"
                )
    draws = {used[number]: draw(seed, f"{kind}/{name}") for (kind, name), number in names.items() if number in used}
    order = sorted(draws, key=lambda cluster: draws[cluster])
    needs = [[int(quotas[side]) for side in ORDER] for _ in cities]
    return Linked([cities[photo.city] for photo in ordered], numbered, order, fixed_side), needs


def _allocation(
    photos: Iterable[Photo],
    groups: Mapping[str, str],
    sides: Mapping[str, str],
    links: Iterable[str] = (),
    deviations: Mapping[str, dict[str, int]] | None = None,
) -> Allocation:
    photo_ids = sorted(photo.photo_id for photo in photos)
    linking = set(links)
    return Allocation(
        sides={photo_id: sides[photo_id] for photo_id in photo_ids if photo_id in sides},
        groups={photo_id: groups[photo_id] for photo_id in photo_ids if photo_id in sides and photo_id in groups},
        left_out={of: "link" if of in linking else "quota" for of in photo_ids if of not in sides},
        deviations=dict(deviations or {}),
    )


def _deviations(
    photos: Iterable[Photo],
    side_of: Mapping[str, _Side],
    cities: Sequence[str],
    wanted: Needs,
    sides: Sequence[_Side],
) -> dict[str, dict[_Side, int]]:
    counts = Counter((photo.city, side_of[photo.photo_id]) for photo in photos)
    apart = {
        city: {
            side: counts[city, side] - want for side, want in zip(sides, of, strict=True) if counts[city, side] != want
        }
        for city, of in zip(cities, wanted, strict=True)
    }
    return {city: of for city, of in apart.items() if of}


def _check(quotas: Mapping[str, float], mode: Mode, drop_photos: bool) -> None:
    if set(quotas) != set(SPLITS):
        raise UsageError(f"quotas of {', '.join(sorted(quotas)) or 'nothing'}: give one each of {', '.join(SPLITS)}")
    if drop_photos and mode != "exact":
        raise UsageError(f"leaving out photos goes with exact quotas, not with mode {mode}")
    if mode == "fractions":
        if not all(fraction > 0 for fraction in quotas.values()) or abs(sum(quotas.values()) - 1) > 1e-6:
            raise UsageError(f"fractions {_quotas_text(quotas)}: each must be above 0, and together they must be 1")
    elif not all(count >= 0 and count == int(count) for count in quotas.values()) or not any(quotas.values()):
        raise UsageError(f"quotas {_quotas_text(quotas)}: give whole numbers of photos a city")


def _quotas_text(quotas: Mapping[str, float]) -> str:
    return ", ".join(f"{side} {quotas[side]:g}" for side in SPLITS)


def _require_room(photos: Sequence[Photo], quotas: Mapping[str, float], fixed: Mapping[str, str]) -> None:
    held = Counter((photo.city, fixed[photo.photo_id]) for photo in photos if photo.photo_id in fixed)
    for (city, side), count in sorted(held.items()):
        if count > quotas[side]:
            more = count - int(quotas[side])
            raise DataError(f"{city}: has {more} more {side} photos already than the quota; give a larger --{side}")


def _require_enough(photos: Mapping[str, int], quotas: Mapping[str, float]) -> None:
    needed = int(sum(quotas.values()))
    short = {city: needed - count for city, count in sorted(photos.items()) if count < needed}
    if not short:
        return
    lacking = first_few([f"{city} has {photos[city]} ({missing} missing)" for city, missing in short.items()])
    raise DataError(
        f"the quotas need {needed} clean photos a city: {lacking}; collect more, choose other cities with --city, or ask for "
        f"less{_such_as(scaled(quotas, min(photos.values())))}{_larger_cities(photos, quotas)}"
    )


def _larger_cities(photos: Mapping[str, int], quotas: Mapping[str, float]) -> str:
    """Return which cities alone would allow more: those of which photos² × cities is largest."""
    at_least = {least: sum(count >= least for count in photos.values()) for least in photos.values()}
    best = max(at_least, key=lambda least: (least**2 * at_least[least], least))
    sizes = scaled(quotas, best)
    if sizes is None or not 2 <= at_least[best] < len(photos):
        return ""
    kept = f"--min-photos {best} keeps {at_least[best]} of {len(photos)}"
    return f"; or leave small cities out: {kept}{_such_as(sizes, 'with')}"


def _too_linked(
    photos: Sequence[Photo],
    clusters: Sequence[Mapping[str, str]],
    quotas: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str],
    *,
    proven: bool,
) -> str:
    """Return why leaving out photos did not help, with quotas for which it does."""

    def missing(asked: Mapping[str, float]) -> dict[str, int]:
        linked, needs = _linked(photos, clusters, asked, seed, fixed)
        cities = sorted({photo.city for photo in photos})
        kept = Counter((city, side) for city, side in zip(linked.cities, cover(linked, needs).sides, strict=True))
        lacks = (sum(max(0, need - kept[at, side]) for side, need in enumerate(of)) for at, of in enumerate(needs))
        return {city: lack for city, lack in zip(cities, lacks, strict=True) if lack}

    lacking = ", ".join(f"{city} lacks {count}" for city, count in missing(quotas).items())
    fewest = min(Counter(photo.city for photo in photos).values())
    smaller = largest_found(quotas, fewest, lambda asked: not missing(asked)) if len(photos) <= _TRIED else None
    return (
        f"{'no' if proven else 'found no'} choice of photos meets the quotas without linking the sides: {lacking}; collect "
        f"more, loosen the rules of the groups, or ask for less{_such_as(smaller)}"
    )


def _such_as(quotas: Mapping[str, int] | None, word: str = "such as") -> str:
    return f", {word} {' '.join(f'--{side} {count}' for side, count in quotas.items())}" if quotas else ""


def refusal(
    units: Units, needs: Needs, outcome: Outcome, by: Callable[[str, str], str] = lambda *_: "", *, dropping_helps: bool
) -> str:
    """Return one line: which cities whole groups cannot fill, which group is in the way, and what can be done.

    `by(group, city)` says who took the photos of a group.
    """
    names, own = units.cities, by_city(units.groups, range(len(units.cities)))
    if not outcome.impossible:
        cities = [city for cities in outcome.undecided for city in cities]
        fault = (
            f"{_listed([names[city] for city in cities])}: not decided in time whether whole groups can meet the quotas"
        )
    else:
        stuck = [city for cities in outcome.impossible for city in cities]
        alone = [city for city in stuck if not fillable(units.groups, own[city], needs[city])]
        index, parted = _in_the_way(units.groups, own, outcome.impossible[0], alone, needs)
        city = alone[0] if alone else units.groups[index].parts[0][0]
        others = [names[of] for of in alone or outcome.impossible[0] if of != city]
        joined = ""
        if others:
            joined = f", nor those of {_listed(others)}" if alone else f" (those of {_listed(others)} can)"
        fault = (
            f"{names[city]}: its numbers cannot be met without splitting a group{joined}; in the way: "
            f"{own[city][index]} of its {units.totals[city]} photos are one group ({units.names[index]})"
            f"{by(units.names[index], names[city])}{'' if parted else ', and not it alone'}"
        )
    quotas = [need + has for need, has in zip(needs[0], units.held[0], strict=True)]
    ways = []
    if nearest := nearest_quotas(units.groups, quotas, units.held):
        by_side = dict(zip(ORDER, nearest, strict=True))
        ways.append(f"the nearest that can be met: {' '.join(f'--{side} {by_side[side]}' for side in SPLITS)}")
    ways += ["leave out single photos with --drop-photos"] if dropping_helps else []
    return f"{fault}; {'; or '.join([*ways, 'collect more photos'])}"


def scaled(quotas: Mapping[str, float], available: int) -> dict[str, int] | None:
    """Return quotas of about the same proportions, at least 1 each, for `available` photos; None if they are too few."""
    if available < len(SPLITS):
        return None
    needed = sum(quotas.values())
    small = {side: max(1, int(quotas[side] * available // needed)) for side in ("val", "test")}
    sizes = {"train": max(1, available - sum(small.values())), **small}
    return sizes if sum(sizes.values()) <= available else {"train": available - 2, "val": 1, "test": 1}


def largest_found(
    quotas: Mapping[str, float], available: int, can_be_met: Callable[[Mapping[str, int]], bool]
) -> dict[str, int] | None:
    """Return about the largest quotas of these proportions that can be met, by halving; None if none were found."""
    low, high, best = len(SPLITS) - 1, min(available, int(sum(quotas.values()))), None
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        asked = scaled(quotas, middle)
        if asked and can_be_met(asked):
            low, best = middle, asked
        else:
            high = middle
    return best


def nearest_quotas(groups: Sequence[Group], quotas: Sequence[int], held: Needs) -> tuple[int, ...] | None:
    """Return the quotas, at least 1 each, that all cities can meet and that differ least in sum from those asked for.

    None where there are none, or too many possibilities to go through. Where groups span cities, the nearest that was found.

    Args:
        groups: of all cities.
        quotas: that were asked for, by side.
        held: photos that have their side already, by city and side; the quotas count them.
    """
    if any(len(group.parts) > 1 for group in groups):
        return nearest_uniform(groups, quotas, held, _NEAREST_SECONDS)
    own = by_city(groups, range(len(held)))
    most = min((sum(of.values()) + sum(has) for of, has in zip(own.values(), held, strict=True)), default=0)
    near = [min(count + _NEAR, most) for count in quotas]
    # Quotas outside of the first box are farther away than _NEAR.
    for box, farthest in ((near, _NEAR), ([most] * len(quotas), sum(quotas) + most * len(quotas))):
        if prod(count + 1 for count in box) * len(groups) > _MOST_WORK:
            return None
        common = -1
        for of, has in zip(own.values(), held, strict=True):
            common &= reachable(list(of.values()), [groups[index].only for index in of], has, box)
        nearest = _nearest(common, box, quotas)
        if nearest and sum(abs(count - quota) for count, quota in zip(nearest, quotas, strict=True)) <= farthest:
            return nearest
    return None


def _nearest(common: int, box: Sequence[int], quotas: Sequence[int]) -> tuple[int, ...] | None:
    """Return the nearest of a bit set of quotas; of equally near ones, one that leaves the smaller sides as they are."""
    packed = np.frombuffer(common.to_bytes(prod(count + 1 for count in box) // 8 + 1, "little"), dtype=np.uint8)
    reached = np.flatnonzero(np.unpackbits(packed, bitorder="little"))
    sums = np.column_stack(np.unravel_index(reached, [count + 1 for count in reversed(box)]))[:, ::-1]
    sums = sums[(sums > 0).all(axis=1)]
    apart = np.abs(sums - np.array(quotas))
    order = np.lexsort((*sums.T, apart[:, :-1].sum(axis=1), apart.sum(axis=1)))
    return tuple(sums[order[0]].tolist()) if len(order) else None


def _in_the_way(
    groups: Sequence[Group],
    own: Mapping[int, Mapping[int, int]],
    cities: Sequence[int],
    alone: Sequence[int],
    needs: Needs,
) -> tuple[int, bool]:
    """Return a group, and whether the needs could be met if it were single photos.

    Of the groups of the first city that cannot even be filled by itself (`alone`), or else of those that couple `cities` (or
    of the city, when it is one that was too large for `fillable`): the largest whose parting would do, or the largest.
    """
    if alone:
        of = own[alone[0]]
        largest = sorted(of, key=lambda index: (-of[index], groups[index].draw))
        for index in largest[:_SUSPECTS]:
            if fillable(groups, of, needs[alone[0]], parted=index):
                return index, True
        return largest[0], False
    spanning = [index for index, group in enumerate(groups) if len(group.parts) > 1 and group.parts[0][0] in cities]
    largest = sorted(
        spanning or own[cities[0]],
        key=lambda index: (-sum(count for _, count in groups[index].parts), groups[index].draw),
    )
    for index in largest[:_SUSPECTS]:
        group = groups[index]
        singles = [Group(((city, 1),), group.draw, group.only) for city, photos in group.parts for _ in range(photos)]
        outcome = fill([*groups[:index], *groups[index + 1 :], *singles], needs, seconds=_SECONDS)
        if not any(set(cities) & set(of) for of in (*outcome.impossible, *outcome.undecided)):
            return index, True
    return largest[0], False


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} more"
