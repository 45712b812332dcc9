"""Where a listing begins or goes on: the sweep that a run of a city does next, and its cells."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from collector.catalogue.ledger import OVERLAP_S, Ledger, Sweep
from collector.providers.base import Cell, Query, Survey
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
