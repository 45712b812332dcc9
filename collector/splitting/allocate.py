"""Which photo goes to which side: pure, and deterministic in the photos, their groups and the seed.

Idea. Photos become groups by number (`allocation_units`), each a vector of photos by city, in the order of
sha256(seed, group). Then by mode: `exact`: every city gets exactly its quotas in whole groups (`exact.fill`), or one line
says which group is in the way and which quotas are the nearest that can be met (`quota_suggestions`); with `drop_photos`
single photos are left out instead (`greedy.cover`, then `trimmed`); `fractions` and `kfold`: every group gets a side, no side
of a city is empty where groups allow, and then the sum of the differences from the shares is small (`exact.balance`);
`paper`: single photos. Invariants: no group is on two sides (but in `paper`); photos with a side keep it; cities that share
no group do not move each other's photos; a photo that comes or goes moves few others. Complexity: that of the solvers.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, TypeVar

from collector.errors import DataError, UsageError
from collector.records import SPLITS, Photo
from collector.splitting.allocation_units import ORDER, draw, units
from collector.splitting.exact import balance, fill
from collector.splitting.greedy import Linked, cover, trimmed, without_nested
from collector.splitting.groups import GroupRules, photographer, regroup
from collector.splitting.milp import Needs
from collector.splitting.quota_suggestions import largest_found, refusal, scaled

Mode = Literal["exact", "fractions", "paper", "place"]

_TRIED = 50_000  # photos up to which a refusal finds out what would help

_Side = TypeVar("_Side", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Sides for photos.

    Attributes:
        sides: photo_id -> `train`, `val` or `test`, of the photos that have one.
        groups: photo_id -> group id, of the same photos. No group is on two sides, except in mode `paper`.
        left_out: photo_id -> why a photo has no side: `quota` (beyond the quotas) or `link` (it would link two sides).
        deviations: city slug -> side -> photos more (or, negative, fewer) than asked for, where there are any.
    """

    sides: dict[str, str]
    groups: dict[str, str]
    left_out: dict[str, str]
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
    held = dict(fixed or {})
    if mode == "paper":
        return _allocation(photos, groups, stratified(photos, quotas, seed))
    if mode == "fractions":
        return _fractions(photos, groups, quotas, seed, held)
    _require_enough(Counter(photo.city for photo in photos), quotas)
    _require_room(photos, quotas, held)
    if drop_photos:
        return _dropping(photos, clusters or [groups], quotas, seed, held)
    return _whole(photos, groups, clusters or [groups], quotas, seed, held)


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
    found = units(photos, groups, seed, {})
    # Where a city does not divide evenly, the folds that get a photo more take turns from city to city.
    ends = pairwise(accumulate(found.totals, initial=0))
    wanted = [[(end + fold) // folds - (start + fold) // folds for fold in range(folds)] for start, end in ends]
    fold_of = {
        photo_id: fold
        for photo_ids, fold in zip(found.members, balance(found.groups, wanted, even=True), strict=True)
        for photo_id in photo_ids
    }
    return Folds(fold_of, _deviations(photos, fold_of, found.cities, wanted, range(folds)))


def _whole(
    photos: Sequence[Photo],
    groups: Mapping[str, str],
    clusters: Sequence[Mapping[str, str]],
    quotas: Mapping[str, float],
    seed: int,
    fixed: Mapping[str, str],
) -> Allocation:
    found = units(photos, groups, seed, fixed)
    needs = [[int(quotas[side]) - has for side, has in zip(ORDER, of, strict=True)] for of in found.held]
    outcome = fill(found.groups, needs)
    if outcome.impossible or outcome.undecided:
        helps = len(photos) <= _TRIED and not cover(*_linked(photos, clusters, quotas, seed, fixed)).missing
        raise DataError(refusal(found, needs, outcome, dropping_helps=helps))
    sides = {
        photo_id: ORDER[side]
        for photo_ids, side in zip(found.members, outcome.sides, strict=True)
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
    found = units(photos, groups, seed, fixed)
    wanted = [_shares(total, [fractions[side] for side in ORDER]) for total in found.totals]
    free = [[count - has for count, has in zip(*of, strict=True)] for of in zip(wanted, found.held, strict=True)]
    sides = {
        photo_id: ORDER[side]
        for photo_ids, side in zip(found.members, balance(found.groups, free, found.held), strict=True)
        for photo_id in photo_ids
    }
    sides.update(fixed)
    return _allocation(photos, groups, sides, deviations=_deviations(photos, sides, found.cities, wanted, ORDER))


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
    found = cover(linked, needs)
    if found.missing:
        raise DataError(_too_linked(photos, clusters, quotas, seed, fixed, proven=found.proven))
    ordered = sorted(photos, key=lambda photo: photo.photo_id)
    rules = GroupRules()
    authors = [photographer(photo, rules) or photo.photo_id for photo in ordered]
    draws = [draw(seed, photo.photo_id) for photo in ordered]
    kept = trimmed(linked.cities, found.sides, needs, authors, draws, [photo.photo_id in fixed for photo in ordered])
    sides = {photo.photo_id: ORDER[side] for photo, side in zip(ordered, kept, strict=True) if side is not None}
    links = {photo.photo_id for photo, side in zip(ordered, found.sides, strict=True) if side is None}
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
    held: dict[int, int] = {}
    for photo, of in zip(ordered, numbered, strict=True):
        if photo.photo_id in fixed:
            side = ORDER.index(fixed[photo.photo_id])
            if any(held.setdefault(cluster, side) != side for cluster in of):
                raise DataError(
                    f"photo {photo.photo_id}: is in {ORDER[side]} and linked to one on another side already"
                )
    draws = {used[number]: draw(seed, f"{kind}/{name}") for (kind, name), number in names.items() if number in used}
    order = sorted(draws, key=lambda cluster: draws[cluster])
    needs = [[int(quotas[side]) for side in ORDER] for _ in cities]
    return Linked([cities[photo.city] for photo in ordered], numbered, order, held), needs


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
            raise UsageError(f"fractions {_said(quotas)}: each must be above 0, and together they must be 1")
    elif not all(count >= 0 and count == int(count) for count in quotas.values()) or not any(quotas.values()):
        raise UsageError(f"quotas {_said(quotas)}: give whole numbers of photos a city")


def _said(quotas: Mapping[str, float]) -> str:
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
    said = ", ".join(f"{city} has {photos[city]} ({missing} missing)" for city, missing in short.items())
    raise DataError(
        f"the quotas need {needed} clean photos a city: {said}; collect more, choose other cities with --city, or ask for "
        f"less{_such_as(scaled(quotas, min(photos.values())))}"
    )


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


def _such_as(quotas: Mapping[str, int] | None) -> str:
    return f", such as {' '.join(f'--{side} {count}' for side, count in quotas.items())}" if quotas else ""
