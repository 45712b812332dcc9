"""Where a listing begins or goes on, and how answers are kept short and whole: what to divide, and to list again.

Nobody is asked here. Services cut long answers, lose and double rows of deep pages, and count only roughly.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from collector.catalogue.ledger import OVERLAP_S, Ledger, LedgerCell, Sweep, Totals
from collector.geo import KM_PER_DEGREE
from collector.providers.base import Cell, CellRules, Query, Survey
from collector.records import City

Beginning = Literal["goes on", "first", "next", "again", "afresh"]


def next_sweep(
    provider: Survey, city: City, query: Query, ledger: Ledger, now: Callable[[], datetime]
) -> tuple[Beginning, Sweep, Sequence[Cell]]:
    """Return what a run would do now: how it begins, its sweep, and that sweep's roots. Asks and changes nothing."""
    last = ledger.sweep(provider.name, city.slug)
    until = int(now().timestamp())
    if last is None:
        roots = provider.roots(city, query, None, until)
        return "first", Sweep(0, _question(query, roots), None, until, False), roots
    until = max(until, last.until)
    if last.complete:
        since = last.until - OVERLAP_S if provider.rules.by_time else None
        sweep = Sweep(last.number + 1, last.question, since, until, False)
    else:
        sweep = last
    roots = provider.roots(city, query, sweep.since, sweep.until)
    if _question(query, roots) == last.question:
        return "goes on" if not last.complete else "next" if provider.rules.by_time else "again", sweep, roots
    roots = provider.roots(city, query, None, until)
    return "afresh", Sweep(last.number + 1, _question(query, roots), None, until, False), roots


def _question(query: Query, roots: Sequence[Cell]) -> str:
    boxes = sorted({(root.west, root.south, root.east, root.north) for root in roots})
    return hashlib.sha256(repr((query.geo_accuracy, boxes)).encode()).hexdigest()[:16]


def begin(
    beginning: Beginning, sweep: Sweep, roots: Sequence[Cell], provider: Survey, city: City, ledger: Ledger
) -> None:
    """Write down that a sweep begins, as `next_sweep` says."""
    match beginning:
        case "first" | "next":
            ledger.begin(provider.name, city.slug, sweep, roots)
        case "again":
            ledger.begin_again(provider.name, city.slug, sweep)
        case "afresh":
            ledger.begin_afresh(provider.name, city.slug, sweep, roots)
        case "goes on":
            pass


Way = Literal["time", "box"]

REPAIR_RATIO = 1.25
"""Rows fetched for each different thing up to which listings with losses are repeated; the project's limit is 1.3."""

NOISE = 0.04
"""Share by which services' counts are off: Flickr's by some 3 %."""

FIRST_PAGES = 4
"""Pages of the longest listing until it is known whether this service loses rows of deep pages."""

ENOUGH_EVIDENCE = 500
"""Rows after which a share of repeats is believed. At 1.5 % lost they hold 7 or 8."""

WORST_SHARE = 0.002
"""Share of repeats among rows that is left as it is."""

LOPSIDED = 0.1
"""Share of a cell in its emptier half below which the other way of dividing is tried."""

_METRES_PER_DEGREE = KM_PER_DEGREE * 1000


def divide(cell: Cell, rules: CellRules, way: Way) -> tuple[Cell, ...]:
    """Return the two halves of a cell, by time of upload or across the longer side of its box; none below the limits.

    The halves share their edge exactly and leave nothing out.
    """
    if way == "time":
        if not rules.by_time or cell.since is None or cell.until is None:
            return ()
        middle = (cell.since + cell.until) // 2
        if min(middle - cell.since, cell.until - middle) < rules.shortest_s:
            return ()
        return replace(cell, until=middle), replace(cell, since=middle)
    height = (cell.north - cell.south) * _METRES_PER_DEGREE
    # On the side that is nearer to the pole, where a box is narrowest.
    width = (cell.east - cell.west) * _METRES_PER_DEGREE * math.cos(math.radians(max(abs(cell.south), abs(cell.north))))
    if max(height, width) < 2 * rules.narrowest_m:
        return ()
    if width >= height:
        across = (cell.west + cell.east) / 2
        return (replace(cell, east=across), replace(cell, west=across)) if cell.west < across < cell.east else ()
    across = (cell.south + cell.north) / 2
    return (replace(cell, north=across), replace(cell, south=across)) if cell.south < across < cell.north else ()


def quarter(cell: Cell, rules: CellRules) -> tuple[Cell, ...]:
    """Return up to four parts of a cell whose content cannot be counted: fewer levels cost fewer full answers."""
    halves = divide(cell, rules, "box") or divide(cell, rules, "time")
    return tuple(part for half in halves for part in (divide(half, rules, "box") or (half,)))


def is_counted(rules: CellRules) -> bool:
    """Return whether counting is worth its call: a cell that never takes more than one page is as cheaply listed."""
    return rules.aim > rules.page_size


def longest_listing(rules: CellRules, totals: Totals) -> int:
    """Return how many photos the next cell to be listed may hold, as far as this sweep shows what long listings lose.

    Deep pages that lose rows: cells of a page. Pages that all lose rows: cells so small that about one row is lost in each,
    so that many lose none, and repeating those that do costs few rows.
    """
    longest = min(rules.aim, FIRST_PAGES * rules.page_size)
    if totals.later_rows >= ENOUGH_EVIDENCE:
        loses = totals.later_repeats > WORST_SHARE * totals.later_rows
        longest = min(rules.aim, rules.page_size) if loses else rules.aim
    if totals.single_rows >= ENOUGH_EVIDENCE and totals.single_repeats > WORST_SHARE * totals.single_rows:
        between_losses = totals.single_rows // totals.single_repeats
        longest = min(longest, max(rules.page_size // 8, between_losses))
    return longest


def lost(cell: LedgerCell) -> int:
    """Return how many rows a listing seems to have lost: each repeat stands where another row should be, and a count that
    is higher by more than NOISE tells of rows that never came."""
    reported = cell.reported or 0
    missing = reported - cell.unique
    return max(cell.repeats, missing if missing > NOISE * reported + 2 else 0)


def worst_first(cells: Sequence[LedgerCell], rules: CellRules) -> list[LedgerCell]:
    """Return the cells that are worth listing again, by rows lost for each row that this costs.

    A cell that holds more than the service gives for one question, and cannot be divided, would bring the same again.
    """
    worth = [c for c in cells if lost(c) and not (c.undividable and (c.reported or 0) > rules.aim)]
    return sorted(worth, key=lambda c: (-lost(c) / repair_rows(c), c.number))


def repair_rows(cell: LedgerCell) -> int:
    """Return about how many rows listing a cell again costs."""
    return max(cell.reported or 0, cell.unique + cell.repeats)


def ways_to_divide(cell: Cell, rules: CellRules) -> list[Way]:
    """Return the ways in which a cell can be divided, by time first."""
    ways: tuple[Way, ...] = ("time", "box")
    return [way for way in ways if divide(cell, rules, way)]
