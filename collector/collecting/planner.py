"""What to ask a service, in which order, so that all of a city is listed for few calls and few rows.

Variables: a tree of cells (a box, and a time of upload where the service knows it); the ledger holds which are open, listed
or divided. Objective: all photos of the city, with few calls and at most REPAIR_RATIO rows fetched for each of them.

A cell is counted first (one row), divided while it is too full, and listed else (`cells.py`). How long a listing may be is
learnt from the rows that were doubled so far (`division.py`): each repeat stands where another row should be. In the end
the cells that lost rows are listed again, the worst first, as long as the ratio allows it.

Invariants: every decision follows from the ledger and the answers alone, and a result is yielded before the next cell is
asked, so that a run that is killed and run again asks what an undisturbed one would have. Of the last made cell first, the
open cells are never more than a few per level of the tree. Calls: about 2.2 a full page of photos where the service counts.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import chain

from collector.catalogue.ledger import CellResult, Ledger, Totals
from collector.collecting.cells import CellReader, Item
from collector.collecting.division import REPAIR_RATIO, begin, longest_listing, next_sweep, repair_rows, worst_first
from collector.errors import IncompleteError
from collector.net.client import RefusedError, TemporaryError
from collector.providers.base import Query, Survey
from collector.records import City, Photo
from collector.text_table import duration

STOP_AFTER = 3
"""Cells that fail one after the other: the service is down."""


def survey(
    provider: Survey,
    city: City,
    query: Query,
    ledger: Ledger,
    known: Callable[[str], bool],
    now: Callable[[], datetime],
    *,
    enough: Callable[[], bool] = lambda: False,
) -> Iterator[CellResult]:
    """List what a service holds of a city, or go on with it, or list what is new since the last time.

    The caller writes each result (`Ledger.record`) and its photos in one transaction before it asks for the next one.

    Args:
        known: whether a photo id is in the catalogue; called from this thread only.
        now: fixes the end of a sweep that begins.
        enough: looked at before each cell: whether to stop for now. The next run goes on from there, as it does after
            `query.limit` photos of the city.

    Raises:
        IncompleteError: cells are still open because the service does not answer, or a quota is used up.
        ServiceError: the service refuses the key.
    """
    begin(*next_sweep(provider, city, query, ledger, now), provider, city, ledger)
    listing = _Listing(CellReader(provider, city, query, known), ledger, enough)
    seen: set[str] = set()
    is_cut_short = True
    while is_cut_short:
        is_cut_short = False
        for result in chain(listing.listings(), listing.repairs()):
            fresh = [item for item in result.found if item.photo_id not in seen and not known(item.photo_id)]
            fitting, fresh = _within(listing.room(), result, fresh)
            seen.update(item.photo_id for item in fresh)
            yield replace(fitting, unique=len(fresh)) if fitting.repair else fitting
            # The caller may have kept less than it was given, so that there is room for the rest of this cell.
            if is_cut_short := fitting.state == "open":
                break
        if listing.troubles.failed:
            raise listing.troubles.error(provider, city, len(ledger.open_cells(*listing.key)))
        if listing.is_enough():
            return
    ledger.finish(*listing.key)


def _within(room: float, result: CellResult, fresh: list[Item]) -> tuple[CellResult, list[Item]]:
    """Return a result and what is new in it, with no more new photos than there is room for.

    A cell that is cut short stays open, as if it had never been asked; a repair is done again.
    """
    photos = [item.photo_id for item in fresh if isinstance(item, Photo)]
    if len(photos) <= room:
        return result, fresh
    left_out = set(photos[int(room) :])
    found = tuple(item for item in result.found if item.photo_id not in left_out)
    fresh = [item for item in fresh if item.photo_id not in left_out]
    if result.repair:
        return replace(result, found=found, repair=False, unique=len(fresh)), fresh
    return CellResult(result.provider, result.city, result.number, result.cell, "open", found), fresh


@dataclass
class _Troubles:
    """Cells that failed in this run."""

    failed: int = 0
    in_a_row: int = 0
    reason: str = ""
    wait_s: float = 0.0

    def add(self, error: TemporaryError | RefusedError) -> None:
        self.failed += 1
        self.in_a_row += 1
        self.reason = str(error)[:200]
        if isinstance(error, TemporaryError):
            self.wait_s = max(self.wait_s, error.retry_after or 0.0)

    def is_down(self) -> bool:
        return self.in_a_row >= STOP_AFTER

    def error(self, provider: Survey, city: City, open_cells: int) -> IncompleteError:
        cells = max(open_cells, self.failed)
        which = f"{cells} cell of {city.name} is" if cells == 1 else f"{cells} cells of {city.name} are"
        when = f" in {duration(self.wait_s)}" if self.wait_s else ""
        return IncompleteError(
            f"{provider.name}: {which} still to be listed ({self.reason}); "
            f"what came is kept: run the same command again{when}"
        )


@dataclass
class _Listing:
    """One run's listing of a city."""

    reader: CellReader
    ledger: Ledger
    enough: Callable[[], bool]
    troubles: _Troubles = field(default_factory=_Troubles)

    @property
    def key(self) -> tuple[str, str]:
        return self.reader.provider.name, self.reader.city.slug

    def room(self) -> float:
        """Return how many more photos of the city may be listed."""
        limit = self.reader.query.limit
        return math.inf if limit is None else limit - self.ledger.photos(*self.key)

    def is_enough(self) -> bool:
        return self.room() <= 0 or self.enough()

    def listings(self) -> Iterator[CellResult]:
        """Yield what each open cell brings, the last made first, until none is open."""
        at_once = self.reader.provider.rules.at_once
        if at_once == 1:
            yield from self._listings(self.reader, 1, lambda ask: ask)
            return
        # Other threads must not ask the database.
        reader = replace(self.reader, known=self.ledger.photo_ids(*self.key).__contains__)
        with_pool = ThreadPoolExecutor(at_once)
        try:
            yield from self._listings(reader, at_once, lambda ask: with_pool.submit(ask).result)
        finally:
            with_pool.shutdown(cancel_futures=True)

    def _listings(
        self, reader: CellReader, at_once: int, start: Callable[[Callable[[], CellResult]], Callable[[], CellResult]]
    ) -> Iterator[CellResult]:
        stack, totals = self.ledger.open_cells(*self.key), self.ledger.totals(*self.key)
        next_number = self.ledger.next_number(*self.key)
        under_way: deque[Callable[[], CellResult]] = deque()
        while (stack or under_way) and not self.troubles.is_down():
            while stack and len(under_way) < at_once and not self.is_enough():
                ask = partial(reader.ask, stack.pop(), longest_listing(reader.provider.rules, totals))
                under_way.append(start(ask))
            if self.is_enough():
                return
            if (result := self._tried(under_way.popleft())) is None:
                continue
            children = [replace(child, number=next_number + i) for i, child in enumerate(reversed(result.children))]
            next_number += len(children)
            yield replace(result, children=tuple(children))
            stack += children
            totals = _added(totals, result)

    def repairs(self) -> Iterator[CellResult]:
        """Yield what listing cells again brings that lost rows, the worst first, as long as REPAIR_RATIO allows it."""
        if self.troubles.failed:
            return
        for task in worst_first(self.ledger.unrepaired_cells(*self.key), self.reader.provider.rules):
            if self.is_enough() or self.troubles.is_down():
                return
            totals = self.ledger.totals(*self.key)
            if totals.fetched + repair_rows(task) > REPAIR_RATIO * totals.unique:
                continue
            if (result := self._tried(partial(self.reader.ask_again, task))) is not None:
                yield result

    def _tried(self, ask: Callable[[], CellResult]) -> CellResult | None:
        """Return what a cell brings; None, counted among the troubles, where the service gives no answer."""
        try:
            result = ask()
        except (TemporaryError, RefusedError) as error:
            self.troubles.add(error)
            return None
        self.troubles.in_a_row = 0
        return result


def _added(totals: Totals, result: CellResult) -> Totals:
    """Return what Ledger.totals returns once this result of a listing is recorded."""
    single, later = result.pages == 1, result.pages > 1
    return Totals(
        fetched=totals.fetched + result.fetched,
        unique=totals.unique + (result.unique if result.state == "done" else 0),
        single_rows=totals.single_rows + single * result.fetched,
        single_repeats=totals.single_repeats + single * result.repeats,
        later_rows=totals.later_rows + later * result.fetched,
        later_repeats=totals.later_repeats + later * result.repeats,
    )
