"""The estimate of `--plan`: what the next run would ask of a service, from few calls.

Where the service counts, its counts are believed, unless the halves of the fullest cell hold more than the whole. Else the
tree of cells is sampled by random ways down (Knuth 1975, see `_descended`): unbiased, a few dozen calls at most.
"""

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from collector.catalogue.ledger import Ledger, LedgerCell
from collector.collecting.cells import bounded
from collector.collecting.division import divide, is_counted, next_sweep, quarter, ways_to_divide
from collector.errors import IncompleteError
from collector.net.client import RefusedError, TemporaryError
from collector.providers.base import Cell, Query, Survey
from collector.records import City


@dataclass(frozen=True, slots=True)
class Plan:
    """What listing a city is going to cost, before it is done.

    Attributes:
        photos: that the service holds and a run would list; None where nothing tells.
        queries: calls to the service.
        seconds: how long these take at the service's quota, or at our own limit.
        quota_share: of an hour's quota.
        asked: calls that this estimate took.
        how: where the numbers come from, and how sure they are.
    """

    photos: int | None
    queries: int
    seconds: float
    quota_share: float
    asked: int
    how: str


DESCENTS = 4
"""Random ways down that an estimate takes where nothing counts; most calls of the later ones are saved: they are known."""

FILL = 0.5
"""Share to which a listing is full, on average (measured: 0.43 to 0.55 on clustered photos in the tests)."""

CAPPED = 1.2
"""A cell whose halves hold so many times what itself is reported to hold is not counted but cut off."""


def estimate(
    provider: Survey, city: City, query: Query, ledger: Ledger, now: Callable[[], datetime], seed: int = 0
) -> Plan:
    """Return what the next run would ask of a service, from few calls.

    Raises:
        IncompleteError: the service does not answer, or a quota is used up.
        ServiceError: the service refuses the key.
    """
    beginning, _, roots = next_sweep(provider, city, query, ledger, now)
    key = (provider.name, city.slug)
    if beginning == "again":
        done = ledger.done_cells(*key)
        photos, queries = sum(c.unique for c in done), sum(max(c.pages, 1) for c in done)
        return _plan(provider, query, photos, queries, 0, "as the last time: the same cells are asked again")
    if beginning == "goes on":
        cells = ledger.open_cells(*key)
    else:
        done_before = {c.cell for c in ledger.done_cells(*key)} if beginning == "afresh" else set()
        cells = [LedgerCell(0, root) for root in roots if root not in done_before]
    if not any(quarter(c.cell, provider.rules) for c in cells):
        return _plan(provider, query, None, len(cells), 0, "exact: one call for each place of the sample")
    try:
        return _counted(provider, query, cells) or _descended(provider, city, query, cells, random.Random(seed))  # noqa: S311
    except (TemporaryError, RefusedError) as error:
        raise IncompleteError(
            f"{provider.name}: gives no answer to plan with ({error.reason}): run the same command again later"
        ) from error


def _plan(provider: Survey, query: Query, photos: int | None, queries: float, asked: int, how: str) -> Plan:
    if query.limit is not None and photos is not None and photos > query.limit:
        queries *= query.limit / photos
        photos = query.limit
    if provider.rules.details and photos is not None:
        queries += photos / provider.rules.details
    calls, hourly = math.ceil(queries), provider.rules.calls_per_hour
    return Plan(photos, calls, calls * 3600 / hourly, calls / hourly, asked, how)


def _counted(provider: Survey, query: Query, cells: Sequence[LedgerCell]) -> Plan | None:
    """Return a plan from what the service counts; None where it does not count, or not as far as is needed."""
    rules = provider.rules
    if not is_counted(rules) or sum(c.reported is None for c in cells) > DESCENTS:
        return None
    numbers: dict[Cell, int] = {}
    requests = 0
    for c in cells:
        number = c.reported if c.reported is not None else bounded(provider.count(c.cell))
        if number is None:
            return None
        numbers[c.cell] = number
        requests += c.reported is None
    fullest = max(numbers, key=lambda cell: numbers[cell])
    if numbers[fullest] > rules.page_size:
        halves = [half for way in ways_to_divide(fullest, rules)[:1] for half in divide(fullest, rules, way)]
        requests += len(halves)
        if sum(bounded(provider.count(half)) or 0 for half in halves) > CAPPED * numbers[fullest]:
            return None
    photos = sum(numbers.values())
    queries = sum(_queries(number, rules.page_size) for number in numbers.values()) + len(cells)
    return _plan(
        provider,
        query,
        photos,
        queries,
        requests,
        "counted by the service; up to three times the queries if it loses rows",
    )


def _queries(number: int, page_size: int) -> float:
    """Return about how many calls listing so many photos takes, in listings of a page each: as many again to count, and a
    fifth for cells that were divided both ways."""
    return min(number, 1) if number <= page_size else 2.2 * number / (FILL * page_size)


def _descended(provider: Survey, city: City, query: Query, cells: Sequence[LedgerCell], chance: random.Random) -> Plan:
    """Return a plan from random ways down the tree of cells.

    What is met on a way is weighed with the inverse of the chance to come there, which gives the whole tree's cost on
    average: D. E. Knuth, Estimating the efficiency of backtrack programs, Mathematics of Computation 29 (1975), 121-136.
    All cells of a level are looked at, and only those that are too full are left to chance, by what they hold (his
    section 4): that keeps the scatter small.
    """
    rules = provider.rules
    requests = 0

    @cache
    def look(cell: Cell) -> tuple[int, tuple[Cell, ...]]:
        """Return a cell's photos, as far as they come, and the parts that will be asked in its place."""
        nonlocal requests
        requests += 1
        try:
            page = provider.page(city, cell, query, None, lambda _: True)  # no calls for details
        except RefusedError as error:
            if error.reason != "too-big":
                raise
            return 0, quarter(cell, rules)
        number = max(page.rows, page.reported or 0)
        return number, quarter(cell, rules) if page.cut or number > rules.aim else ()

    outcomes = [_descend([c.cell for c in cells], rules.page_size, look, chance) for _ in range(DESCENTS)]
    photos, queries = (statistics.fmean(outcome[i] for outcome in outcomes) for i in (0, 1))
    scatter = statistics.stdev(outcome[0] for outcome in outcomes) / math.sqrt(DESCENTS) / max(photos, 1)
    how = f"estimated from {DESCENTS} random samples, ± {scatter:.0%} or more" if scatter else "exact"
    return _plan(provider, query, round(photos), queries, requests, how)


def _descend(
    cells: Sequence[Cell],
    page_size: int,
    look: Callable[[Cell], tuple[int, tuple[Cell, ...]]],
    chance: random.Random,
) -> tuple[float, float]:
    """Return the photos and the calls of the whole tree, judged by one way down."""
    photos, queries, weight = 0.0, 0.0, 1.0
    while cells:
        full: list[tuple[int, tuple[Cell, ...]]] = []
        for number, parts in map(look, cells):
            queries += weight * (1 if parts else max(1, math.ceil(number / page_size)))
            if parts:
                full.append((number + 1, parts))
            else:
                photos += weight * number
        if not full:
            break
        shares = [share for share, _ in full]
        [index] = chance.choices(range(len(full)), shares)
        weight *= sum(shares) / shares[index]
        cells = full[index][1]
    return photos, queries
