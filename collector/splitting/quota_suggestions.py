"""What stands in the way of quotas that whole groups cannot meet, and which quotas they can."""

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np

from collector.records import SPLITS
from collector.splitting.allocation_units import ORDER, Units
from collector.splitting.exact import Outcome, by_city, fill, fillable, reachable
from collector.splitting.milp import Group, Needs, nearest_uniform

_NEAR = 8  # photos around the quotas that are searched first
_MOST_WORK = 4_000_000_000  # bits of a box of quotas, times groups: about a second
_SUSPECTS = 5  # groups that are tried out
_SECONDS = 1.0  # for one of them, by integer programming
_NEAREST_SECONDS = 10.0  # for the nearest quotas where groups span cities


def refusal(units: Units, needs: Needs, outcome: Outcome, *, dropping_helps: bool) -> str:
    """Return one line: which cities whole groups cannot fill, which group is in the way, and what can be done."""
    names, own = units.cities, by_city(units.groups, range(len(units.cities)))
    if not outcome.impossible:
        cities = [city for cities in outcome.undecided for city in cities]
        said = (
            f"{_listed([names[city] for city in cities])}: not decided in time whether whole groups can meet the quotas"
        )
    else:
        stuck = [city for cities in outcome.impossible for city in cities]
        alone = [city for city in stuck if not fillable(units.groups, own[city], needs[city])]
        index, parted = _in_the_way(units.groups, own, outcome.impossible[0], alone, needs)
        city = alone[0] if alone else units.groups[index].parts[0][0]
        others = [names[of] for of in alone or outcome.impossible[0] if of != city]
        joined = (
            "" if not others else f", nor of {_listed(others)}" if alone else f" while those of {_listed(others)} do"
        )
        said = (
            f"{names[city]}: no whole groups add up to the quotas{joined}; in the way is group {units.names[index]} with "
            f"{own[city][index]} of its {units.totals[city]} photos{'' if parted else ', and not it alone'}"
        )
    quotas = [need + has for need, has in zip(needs[0], units.held[0], strict=True)]
    ways = []
    if nearest := nearest_quotas(units.groups, quotas, units.held):
        by_side = dict(zip(ORDER, nearest, strict=True))
        ways.append(f"the nearest that can be met: {' '.join(f'--{side} {by_side[side]}' for side in SPLITS)}")
    ways += ["leave out single photos with --drop-photos"] if dropping_helps else []
    return f"{said}; {'; or '.join([*ways, 'collect more photos'])}"


def scaled(quotas: Mapping[str, float], available: int) -> dict[str, int] | None:
    """Return quotas of about the same proportions, at least 1 each, for `available` photos; None if they are too few."""
    if available < len(SPLITS):
        return None
    needed = sum(quotas.values())
    small = {side: max(1, int(quotas[side] * available // needed)) for side in ("val", "test")}
    found = {"train": max(1, available - sum(small.values())), **small}
    return found if sum(found.values()) <= available else {"train": available - 2, "val": 1, "test": 1}


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
        found = _nearest(common, box, quotas)
        if found and sum(abs(count - quota) for count, quota in zip(found, quotas, strict=True)) <= farthest:
            return found
    return None


def _nearest(common: int, box: Sequence[int], quotas: Sequence[int]) -> tuple[int, ...] | None:
    """Return the nearest of a bit set of quotas; of equally near ones, one that leaves the smaller sides as they are."""
    packed = np.frombuffer(common.to_bytes(prod(count + 1 for count in box) // 8 + 1, "little"), dtype=np.uint8)
    found = np.flatnonzero(np.unpackbits(packed, bitorder="little"))
    sums = np.column_stack(np.unravel_index(found, [count + 1 for count in reversed(box)]))[:, ::-1]
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
