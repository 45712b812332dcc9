"""Groups to sides by integer programming (HiGHS): decides what the fast ways do not."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

SECONDS = 60.0
"""How long one decision may take before it is given up."""

_NODES = 2000  # of the search for the nearest: a limit that is the same on every machine

Parts = tuple[tuple[int, int], ...]
"""Pairs of a city's index and a number of photos, at least 1, sorted by city."""

Needs = Sequence[Sequence[int]]
"""Photos that are needed, by city and side."""

_Kind = tuple[Parts, int | None]


@dataclass(frozen=True, slots=True)
class Group:
    """Photos that go to one side together.

    Attributes:
        parts: its photos by city.
        draw: 64 hex digits, by which groups are put in a random order.
        only: the one side it may go to, None for any.
    """

    parts: Parts
    draw: str
    only: int | None = None


class Undecided:
    """Stands for a result that was not found in time."""


def solve(
    groups: Sequence[Group],
    cities: Sequence[int],
    needs: Needs,
    *,
    nearest_filling: Collection[tuple[int, int]] | None = None,
    seconds: float = SECONDS,
) -> list[int | None] | Undecided | None:
    """Return the side of each group such that `cities` get exactly what they need; None where that is impossible.

    Groups of equal parts are one integer variable a side: how many of them go there. Which ones is decided by their draws.

    Args:
        groups: all of them have photos in `cities` only.
        cities: indices into `needs`.
        needs: by city and side.
        nearest_filling: give every group a side, such that as few as possible of these cities and sides stay without a photo,
            and the sum of all differences from the needs is smallest.
        seconds: after which it is given up; the search for the nearest is limited otherwise, the same on every machine.
    """
    kinds: dict[_Kind, list[int]] = defaultdict(list)
    for index in sorted(range(len(groups)), key=lambda index: groups[index].draw):
        kinds[groups[index].parts, groups[index].only].append(index)
    rows = {(city, side): row for row, (city, side) in enumerate((c, s) for c in cities for s in range(len(needs[c])))}
    columns = [(kind, side) for kind in kinds for side in range(len(needs[cities[0]])) if kind[1] in (None, side)]
    taken = _numbers(kinds, rows, columns, needs, nearest_filling, seconds)
    if taken is None or isinstance(taken, Undecided):
        return taken
    found: list[int | None] = [None] * len(groups)
    waiting = {kind: iter(members) for kind, members in kinds.items()}
    for (kind, side), count in zip(columns, taken, strict=True):
        for _ in range(count):
            found[next(waiting[kind])] = side
    return found


def _numbers(
    kinds: Mapping[_Kind, Sequence[int]],
    rows: Mapping[tuple[int, int], int],
    columns: Sequence[tuple[_Kind, int]],
    needs: Needs,
    filling: Collection[tuple[int, int]] | None,
    seconds: float,
) -> list[int] | Undecided | None:
    """Return how many groups of each column's kind go to its side."""
    nearest, fill = filling is not None, sorted(filling or ())
    targets = [needs[city][side] for city, side in rows]
    counts = [len(members) for members in kinds.values()]
    if not columns:
        return [] if not any(targets) else None
    entries = list(_entries(kinds, rows, columns))
    # Two more columns a target: how far it is exceeded, and missed.
    apart = [(row, len(columns) + 2 * row + missed, 2 * missed - 1) for row in range(len(rows)) for missed in (0, 1)]
    # A row and a column more for each side to be filled: it has a photo, or the column is 1.
    first, last = len(columns) + 2 * len(rows), len(rows) + len(kinds)
    row_of = {rows[key]: last + extra for extra, key in enumerate(fill)}
    filled = [(row_of[row], column, value) for row, column, value in entries if row in row_of]
    filled += [(last + extra, first + extra, 1) for extra in range(len(fill))]
    at, of, value = np.array(entries + apart + filled, dtype=np.int64).T
    shape = (last + len(fill), first + len(fill))
    most = 2.0 * sum(count for (parts, _), members in kinds.items() for _, count in parts for _ in members)
    sizes = [len(columns), 2 * len(rows), len(fill)]
    matrix = coo_array((value.astype(np.float64), (at, of)), shape=shape).tocsr()
    result = milp(
        np.repeat([0.0, 1.0, 1 + most], sizes) if nearest else np.zeros(shape[1]),
        integrality=np.repeat([1, 0, 1], sizes),
        bounds=Bounds(
            0,
            [
                *(len(kinds[kind]) for kind, _ in columns),
                *([np.inf if nearest else 0] * 2 * len(rows)),
                *([1] * len(fill)),
            ],
        ),
        constraints=LinearConstraint(
            matrix,
            [*targets, *(counts if nearest else [0] * len(kinds)), *([1] * len(fill))],
            [*targets, *counts, *([np.inf] * len(fill))],
        ),
        options={"node_limit": _NODES} if nearest else {"time_limit": seconds},
    )
    if result.status == 2:
        return None
    if result.x is None:
        return Undecided()
    taken = np.rint(result.x).astype(np.int64)[: len(columns)]
    sums = matrix[:, : len(columns)] @ taken
    if (not nearest and sums[: len(rows)].tolist() != targets) or (sums[len(rows) : last] > counts).any():
        return Undecided()  # right within the solver's tolerance only
    return [int(count) for count in taken]


def _entries(
    kinds: Mapping[_Kind, Sequence[int]], rows: Mapping[tuple[int, int], int], columns: Sequence[tuple[_Kind, int]]
) -> Iterator[tuple[int, int, int]]:
    """Yield row, column and value of the constraints: the photos of each city and side, and the groups of each kind."""
    row_of_kind = {kind: len(rows) + row for row, kind in enumerate(kinds)}
    for column, (kind, side) in enumerate(columns):
        for city, count in kind[0]:
            yield rows[city, side], column, count
        yield row_of_kind[kind], column, 1


def nearest_uniform(
    groups: Sequence[Group], quotas: Sequence[int], held: Needs, seconds: float
) -> tuple[int, ...] | None:
    """Return the quotas, at least 1 each, nearest in sum to those asked for that whole groups can meet in all cities at once.

    None where there are none, or none were found in time; the nearest found where the time ends.

    Args:
        groups: of all cities.
        quotas: by side.
        held: photos that have their side already, by city and side; the quotas count them.
        seconds: for the search.
    """
    kinds: dict[_Kind, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        kinds[group.parts, group.only].append(index)
    sides = range(len(quotas))
    rows = {(city, side): row for row, (city, side) in enumerate((c, s) for c in range(len(held)) for s in sides)}
    columns = [(kind, side) for kind in kinds for side in sides if kind[1] in (None, side)]
    entries = list(_entries(kinds, rows, columns))
    # Further columns: the quotas, and how far they are exceeded and missed; further rows: what those differences are.
    first, last = len(columns), len(rows) + len(kinds)
    entries += [(row, first + side, -1) for (_, side), row in rows.items()]
    entries += [
        (last + side, first + of * len(quotas) + side, value) for side in sides for of, value in enumerate((1, -1, 1))
    ]
    at, of, value = np.array(entries, dtype=np.int64).T
    width = first + 3 * len(quotas)
    matrix = coo_array((value.astype(np.float64), (at, of)), shape=(last + len(quotas), width)).tocsr()
    counts = [len(members) for members in kinds.values()]
    has = [-held[city][side] for city, side in rows]
    result = milp(
        np.repeat([0.0, 1.0], [first + len(quotas), 2 * len(quotas)]),
        integrality=np.ones(width),
        bounds=Bounds(
            np.repeat([0, 1, 0], [first, len(quotas), 2 * len(quotas)]),
            [*(len(kinds[kind]) for kind, _ in columns), *[np.inf] * (3 * len(quotas))],
        ),
        constraints=LinearConstraint(matrix, [*has, *[0] * len(kinds), *quotas], [*has, *counts, *quotas]),
        options={"time_limit": seconds},
    )
    if result.x is None:
        return None
    found = np.rint(result.x).astype(np.int64)
    exact = ((matrix @ found)[: len(rows)] == has).all()
    return tuple(int(quota) for quota in found[first : first + len(quotas)]) if exact else None


def solve_linked(
    cities: Sequence[int], clusters: Sequence[tuple[int, ...]], held: Mapping[int, int], needs: Needs
) -> list[int] | Undecided | None:
    """Return a side for each cluster such that the photos whose clusters agree meet the needs; None where that is impossible.

    Args:
        cities: of each photo.
        clusters: of each photo, numbered from 0 without gaps.
        held: clusters whose sides are given.
        needs: at least so many photos, by city and side.
    """
    count, sides = 1 + max((cluster for of in clusters for cluster in of), default=-1), len(needs[0])
    if not count:
        return None if any(any(of) for of in needs) else []
    # Columns: each cluster and side, then each photo and side (kept there). Rows: one side a cluster; a photo is kept where
    # its clusters are; the needs.
    entries = [(cluster, cluster * sides + side, 1) for cluster in range(count) for side in range(sides)]
    row = count
    for photo, of in enumerate(clusters):
        for cluster in of:
            for side in range(sides):
                entries += [(row, (count + photo) * sides + side, 1), (row, cluster * sides + side, -1)]
                row += 1
    for photo, city in enumerate(cities):
        entries += [(row + city * sides + side, (count + photo) * sides + side, 1) for side in range(sides)]
    at, column, value = np.array(entries, dtype=np.int64).T
    all_needs = [need for of in needs for need in of]
    width = (count + len(cities)) * sides
    matrix = coo_array((value.astype(np.float64), (at, column)), shape=(row + len(all_needs), width)).tocsr()
    lowest = np.zeros(width)
    lowest[[cluster * sides + side for cluster, side in held.items()]] = 1
    result = milp(
        np.zeros(width),
        integrality=np.repeat([1, 0], [count * sides, len(cities) * sides]),
        bounds=Bounds(lowest, 1),
        constraints=LinearConstraint(
            matrix,
            [*[1] * count, *[-np.inf] * (row - count), *all_needs],
            [*[1] * count, *[0] * (row - count), *[np.inf] * len(all_needs)],
        ),
        options={"time_limit": SECONDS},
    )
    if result.status == 2:
        return None
    if result.x is None:
        return Undecided()
    return [int(side) for side in result.x[: count * sides].reshape(count, sides).argmax(axis=1)]
