"""What to ask a service, in which order, so that all of a city is listed for few calls and few rows.

Services cut long answers, lose and double rows of deep pages, and count only roughly. So the planner counts first (one
row), divides what is too full, lists what is not, learns from repeated rows how short listings have to be, and in the
end lists again where rows were lost, the worst first, as long as that stays within REPAIR_RATIO.

First come the decisions, which ask nobody, then what asks; then the estimate of `--plan`. The three share their notion of a
cell's cost, so they stand in one file.
"""

import hashlib
import math
import random
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from itertools import chain
from typing import Literal

from collector.catalogue.ledger import OVERLAP_S, CellResult, Ledger, LedgerCell, Sweep, Totals
from collector.errors import IncompleteError
from collector.geo import KM_PER_DEGREE
from collector.net.client import RefusedError, TemporaryError
from collector.providers.base import Cell, CellRules, Query, Survey
from collector.records import City, Photo, Unusable
from collector.text_table import duration

Way = Literal["time", "box"]
_Item = Photo | Unusable

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

STOP_AFTER = 3
"""Cells that fail one after the other: the service is down."""

_METRES_PER_DEGREE = KM_PER_DEGREE * 1000


# --- decisions


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


# --- asking


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
    key = (provider.name, city.slug)
    _begin(*_next_sweep(provider, city, query, ledger, now), provider, city, ledger)
    seen: set[str] = set()
    troubles = _Troubles()

    def room() -> float:
        return math.inf if query.limit is None else query.limit - ledger.photos(*key)

    def is_enough() -> bool:
        return room() <= 0 or enough()

    is_cut_short = True
    while is_cut_short:
        is_cut_short = False
        listings = _listings(provider, city, ledger, known, is_enough, troubles)
        for result in chain(listings, _repairs(provider, city, ledger, known, is_enough, troubles)):
            fresh = [item for item in result.found if item.photo_id not in seen and not known(item.photo_id)]
            fitting, fresh = _within(room(), result, fresh)
            seen.update(item.photo_id for item in fresh)
            yield replace(fitting, unique=len(fresh)) if fitting.repair else fitting
            # The caller may have kept less than it was given, so that there is room for the rest of this cell.
            if is_cut_short := fitting.state == "open":
                break
        if troubles.failed:
            raise troubles.error(provider, city, len(ledger.open_cells(*key)))
        if is_enough():
            return
    ledger.finish(*key)


def _within(room: float, result: CellResult, fresh: list[_Item]) -> tuple[CellResult, list[_Item]]:
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


def _listings(
    provider: Survey,
    city: City,
    ledger: Ledger,
    known: Callable[[str], bool],
    is_enough: Callable[[], bool],
    troubles: _Troubles,
) -> Iterator[CellResult]:
    """Yield what each open cell brings, the last made first, until none is open."""
    key = (provider.name, city.slug)
    stack, next_number, totals = ledger.open_cells(*key), ledger.next_number(*key), ledger.totals(*key)
    under_way: deque[tuple[LedgerCell, Callable[[], CellResult]]] = deque()
    at_once = provider.rules.at_once
    pool = None
    if at_once > 1:
        pool = ThreadPoolExecutor(at_once)
        known = ledger.photo_ids(*key).__contains__  # other threads must not ask the database
    try:
        while (stack or under_way) and not troubles.is_down():
            while stack and len(under_way) < at_once and not is_enough():
                task = stack.pop()
                ask = partial(_ask, provider, city, task, longest_listing(provider.rules, totals), known)
                under_way.append((task, pool.submit(ask).result if pool else ask))
            if is_enough():
                return
            task, answer = under_way.popleft()
            try:
                result = answer()
            except (TemporaryError, RefusedError) as error:
                troubles.add(error)
                continue
            troubles.in_a_row = 0
            children = [replace(child, number=next_number + i) for i, child in enumerate(reversed(result.children))]
            next_number += len(children)
            yield replace(result, children=tuple(children))
            stack += children
            totals = _added(totals, result)
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


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


def _ask(provider: Survey, city: City, task: LedgerCell, longest: int, known: Callable[[str], bool]) -> CellResult:
    """Return what one open cell brings: its parts where it is too full, else its photos."""
    rules, expected, counts = provider.rules, task.reported, 0
    result = CellResult(provider.name, city.slug, task.number, task.cell, "done")
    try:
        if expected is None and is_counted(rules):
            expected = _count(provider, task.cell)
            counts = int(expected is not None)
        if expected == 0:
            return replace(result, reported=0, fetched=counts, counts=counts)
        if expected is not None and expected > longest:
            parts, more = _parts(provider, task.cell, expected, longest)
            counts += more
            if parts:
                return replace(
                    result, state="divided", reported=expected, fetched=counts, counts=counts, children=parts
                )
        is_dividable = bool(quarter(task.cell, rules))
        listing = _list(provider, city, task.cell, known, min(rules.aim, 2 * longest) if is_dividable else None)
        parts = ()
        if listing.is_too_full and is_dividable:
            parts, more = _parts(provider, task.cell, listing.reported, longest)
            counts += more
    except RefusedError as error:
        if error.reason != "too-big" or not (parts := _uncounted(quarter(task.cell, rules))):
            raise
        return replace(result, state="divided", fetched=counts, counts=counts, children=parts)
    return replace(
        result,
        state="divided" if parts else "done",
        found=tuple(listing.found.values()),
        reported=listing.reported,
        fetched=listing.rows + counts,
        unique=len(listing.found) + listing.known,
        repeats=listing.repeats,
        pages=listing.pages,
        counts=counts,
        undividable=listing.is_too_full and not parts,
        children=parts,
    )


def _count(provider: Survey, cell: Cell) -> int | None:
    return _bounded(provider.count(cell))


def _bounded(number: int | None) -> int | None:
    """Return a service's number within what SQLite stores."""
    return None if number is None else min(max(number, 0), 2**53)


def _uncounted(cells: Sequence[Cell]) -> tuple[LedgerCell, ...]:
    return tuple(LedgerCell(0, cell) for cell in cells)


def _parts(provider: Survey, cell: Cell, expected: int | None, longest: int) -> tuple[tuple[LedgerCell, ...], int]:
    """Return the parts that take a cell's place (none: it cannot be divided), and how many calls it took to count them.

    One half is counted, the other holds the rest; where that leaves nearly all in one half, the other way of dividing is
    tried. Photos of one place part only in time, those of one moment only in space.
    """
    ways = _ways(cell, provider.rules) if is_counted(provider.rules) else []
    if ways and expected is not None and expected <= min(2 * longest, provider.rules.page_size):
        # Whatever a half holds, it comes in one page.
        return tuple(LedgerCell(0, half, -(-expected // 2)) for half in divide(cell, provider.rules, ways[0])), 0
    counts = 0
    best: tuple[float, int, tuple[Cell, ...]] | None = None
    for way in ways:
        halves = divide(cell, provider.rules, way)
        first = _count(provider, halves[0]) if expected else None
        if first is None or not expected:
            break
        counts += 1
        share = min(first / expected, 1.0)
        if best is None or min(share, 1 - share) > best[0]:
            best = (min(share, 1 - share), first, halves)
        if best[0] >= LOPSIDED:
            break
    if best is None or not expected:
        return _uncounted(quarter(cell, provider.rules)), counts
    _, first, halves = best
    rest = max(expected - first, 1)  # 0 would say that it was counted
    return (LedgerCell(0, halves[0], first), LedgerCell(0, halves[1], rest)), counts


def _ways(cell: Cell, rules: CellRules) -> list[Way]:
    ways: tuple[Way, ...] = ("time", "box")
    return [way for way in ways if divide(cell, rules, way)]


@dataclass
class _Listing:
    """The pages of one cell, put together. The first page's count stands for all; `is_too_full`: there is more."""

    found: dict[str, _Item] = field(default_factory=dict)
    reported: int | None = None
    rows: int = 0
    repeats: int = 0
    known: int = 0
    pages: int = 0
    is_too_full: bool = False


def _list(provider: Survey, city: City, cell: Cell, known: Callable[[str], bool], most: int | None = None) -> _Listing:
    """Return a cell's pages: up to the last, up to one that brings nothing new, or up to the first that says that the cell
    holds more than `most` (None: whatever it holds)."""
    listing = _Listing()
    token: str | None = None
    asked = {token}
    while True:
        page = provider.page(city, cell, token, known)
        fresh = {item.photo_id: item for item in page.found if item.photo_id not in listing.found}
        listing.pages += 1
        listing.rows += page.rows
        listing.known += page.known
        reported = _bounded(page.reported)
        listing.reported = reported if listing.reported is None else listing.reported
        if not fresh and listing.reported and len(listing.found) + listing.known >= (1 - NOISE) * listing.reported:
            return listing  # a count that was a little high promised a page too many
        listing.is_too_full |= page.cut or (reported or 0) > provider.rules.aim
        if most is not None and (listing.is_too_full or (reported or 0) > most):
            listing.found |= fresh
            listing.is_too_full = True
            return listing
        if not fresh and not page.known:
            return listing  # behind a service's last row its pages repeat
        listing.repeats += len(page.found) - len(fresh)
        listing.found |= fresh
        token = page.next
        # Whatever a service sends has an end: no question twice, no more rows than anything makes plausible.
        if token is None or token in asked or listing.rows > 4 * max(listing.reported or 0, provider.rules.aim):
            return listing
        asked.add(token)


def _repairs(
    provider: Survey,
    city: City,
    ledger: Ledger,
    known: Callable[[str], bool],
    is_enough: Callable[[], bool],
    troubles: _Troubles,
) -> Iterator[CellResult]:
    """Yield what listing cells again brings that lost rows, the worst first, as long as REPAIR_RATIO allows it."""
    key = (provider.name, city.slug)
    if troubles.failed:
        return
    for task in worst_first(ledger.unrepaired_cells(*key), provider.rules):
        if is_enough() or troubles.is_down():
            return
        totals = ledger.totals(*key)
        if totals.fetched + repair_rows(task) > REPAIR_RATIO * totals.unique:
            continue
        halves = divide(task.cell, provider.rules, "time") or divide(task.cell, provider.rules, "box") or (task.cell,)
        try:
            listings = [_list(provider, city, half, known) for half in halves]
        except (TemporaryError, RefusedError) as error:
            troubles.add(error)
            continue
        troubles.in_a_row = 0
        yield CellResult(
            *(provider.name, city.slug, task.number, task.cell, "done"),
            found=tuple({i: item for listing in listings for i, item in listing.found.items()}.values()),
            fetched=sum(listing.rows for listing in listings),
            repeats=sum(listing.repeats for listing in listings),
            pages=sum(listing.pages for listing in listings),
            undividable=task.undividable,
            repair=True,
        )


Beginning = Literal["goes on", "first", "next", "again", "afresh"]


def _next_sweep(
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


def _begin(
    beginning: Beginning, sweep: Sweep, roots: Sequence[Cell], provider: Survey, city: City, ledger: Ledger
) -> None:
    match beginning:
        case "first" | "next":
            ledger.begin(provider.name, city.slug, sweep, roots)
        case "again":
            ledger.begin_again(provider.name, city.slug, sweep)
        case "afresh":
            ledger.begin_afresh(provider.name, city.slug, sweep, roots)
        case "goes on":
            pass


# --- the estimate of --plan


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
    beginning, _, roots = _next_sweep(provider, city, query, ledger, now)
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
    asked = 0
    for c in cells:
        number = c.reported if c.reported is not None else _count(provider, c.cell)
        if number is None:
            return None
        numbers[c.cell] = number
        asked += c.reported is None
    fullest = max(numbers, key=lambda cell: numbers[cell])
    if numbers[fullest] > rules.page_size:
        halves = [half for way in _ways(fullest, rules)[:1] for half in divide(fullest, rules, way)]
        asked += len(halves)
        if sum(_count(provider, half) or 0 for half in halves) > CAPPED * numbers[fullest]:
            return None
    photos = sum(numbers.values())
    queries = sum(_queries(number, rules.page_size) for number in numbers.values()) + len(cells)
    return _plan(
        provider,
        query,
        photos,
        queries,
        asked,
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
    asked = 0

    @cache
    def look(cell: Cell) -> tuple[int, tuple[Cell, ...]]:
        """Return a cell's photos, as far as they come, and the parts that will be asked in its place."""
        nonlocal asked
        asked += 1
        try:
            page = provider.page(city, cell, None, lambda _: True)  # no calls for details
        except RefusedError as error:
            if error.reason != "too-big":
                raise
            return 0, quarter(cell, rules)
        number = max(page.rows, page.reported or 0)
        return number, quarter(cell, rules) if page.cut or number > rules.aim else ()

    outcomes = [_descend([c.cell for c in cells], rules.page_size, look, chance) for _ in range(DESCENTS)]
    photos, queries = (statistics.fmean(outcome[i] for outcome in outcomes) for i in (0, 1))
    scatter = statistics.stdev(outcome[0] for outcome in outcomes) / math.sqrt(DESCENTS) / max(photos, 1)
    how = (
        f"estimated from {DESCENTS} random samples, ± {scatter:.0%} or more" if scatter else "all cells were looked at"
    )
    return _plan(provider, query, round(photos), queries, asked, how)


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
