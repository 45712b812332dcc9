"""Asking a service about one cell: counted where that is worth its call, divided where it is too full, listed otherwise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from collector.catalogue.ledger import CellResult, LedgerCell
from collector.collecting.division import LOPSIDED, NOISE, divide, is_counted, quarter, ways_to_divide
from collector.net.client import RefusedError
from collector.providers.base import Cell, Query, Survey
from collector.records import City, Photo, Unusable

Item = Photo | Unusable


@dataclass
class Listing:
    """The pages of one cell, put together. The first page's count stands for all; `is_too_full`: there is more."""

    found: dict[str, Item] = field(default_factory=dict)
    reported: int | None = None
    rows: int = 0
    repeats: int = 0
    known: int = 0
    pages: int = 0
    is_too_full: bool = False


@dataclass(frozen=True, slots=True)
class CellReader:
    """Asks a service about the cells of one city; `known` as for `planner.survey`. May be used from several threads."""

    provider: Survey
    city: City
    query: Query
    known: Callable[[str], bool]

    def ask(self, task: LedgerCell, longest: int) -> CellResult:
        """Return what one open cell brings: its parts where it holds more than `longest`, else its photos.

        Raises:
            TemporaryError, RefusedError, ServiceError, IncompleteError: as the service's.
        """
        rules, expected, counts = self.provider.rules, task.reported, 0
        result = CellResult(self.provider.name, self.city.slug, task.number, task.cell, "done")
        try:
            if expected is None and is_counted(rules):
                expected = self._count(task.cell)
                counts = int(expected is not None)
            if expected == 0:
                return replace(result, reported=0, fetched=counts, counts=counts)
            if expected is not None and expected > longest:
                parts, more = self._parts(task.cell, expected, longest)
                counts += more
                if parts:
                    return replace(
                        result, state="divided", reported=expected, fetched=counts, counts=counts, children=parts
                    )
            is_dividable = bool(quarter(task.cell, rules))
            listing = self.listing(task.cell, min(rules.aim, 2 * longest) if is_dividable else None)
            parts = ()
            if listing.is_too_full and is_dividable:
                parts, more = self._parts(task.cell, listing.reported, longest)
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

    def ask_again(self, task: LedgerCell) -> CellResult:
        """Return what listing a cell again brings, in two halves where it can be halved: other pages lose other rows."""
        rules = self.provider.rules
        halves = divide(task.cell, rules, "time") or divide(task.cell, rules, "box") or (task.cell,)
        listings = [self.listing(half) for half in halves]
        return CellResult(
            *(self.provider.name, self.city.slug, task.number, task.cell, "done"),
            found=tuple({i: item for listing in listings for i, item in listing.found.items()}.values()),
            fetched=sum(listing.rows for listing in listings),
            repeats=sum(listing.repeats for listing in listings),
            pages=sum(listing.pages for listing in listings),
            undividable=task.undividable,
            repair=True,
        )

    def _count(self, cell: Cell) -> int | None:
        return bounded(self.provider.count(cell))

    def _parts(self, cell: Cell, expected: int | None, longest: int) -> tuple[tuple[LedgerCell, ...], int]:
        """Return the parts that take a cell's place (none: it cannot be divided), and how many calls it took to count them.

        One half is counted, the other holds the rest; where that leaves nearly all in one half, the other way of dividing
        is tried. Photos of one place part only in time, those of one moment only in space.
        """
        rules = self.provider.rules
        ways = ways_to_divide(cell, rules) if is_counted(rules) else []
        if ways and expected is not None and expected <= min(2 * longest, rules.page_size):
            # Whatever a half holds, it comes in one page.
            return tuple(LedgerCell(0, half, -(-expected // 2)) for half in divide(cell, rules, ways[0])), 0
        counts = 0
        best: tuple[float, int, tuple[Cell, ...]] | None = None
        for way in ways:
            halves = divide(cell, rules, way)
            first = self._count(halves[0]) if expected else None
            if first is None or not expected:
                break
            counts += 1
            share = min(first / expected, 1.0)
            if best is None or min(share, 1 - share) > best[0]:
                best = (min(share, 1 - share), first, halves)
            if best[0] >= LOPSIDED:
                break
        if best is None or not expected:
            return _uncounted(quarter(cell, rules)), counts
        _, first, halves = best
        rest = max(expected - first, 1)  # 0 would say that it was counted
        return (LedgerCell(0, halves[0], first), LedgerCell(0, halves[1], rest)), counts

    def listing(self, cell: Cell, most: int | None = None) -> Listing:
        """Return a cell's pages: up to the last, up to one that brings nothing new, or up to the first that says that the
        cell holds more than `most` (None: whatever it holds)."""
        listing = Listing()
        token: str | None = None
        tokens = {token}
        while True:
            page = self.provider.page(self.city, cell, self.query, token, self.known)
            fresh = {item.photo_id: item for item in page.found if item.photo_id not in listing.found}
            listing.pages += 1
            listing.rows += page.rows
            listing.known += page.known
            reported = bounded(page.reported)
            listing.reported = reported if listing.reported is None else listing.reported
            if not fresh and listing.reported and len(listing.found) + listing.known >= (1 - NOISE) * listing.reported:
                return listing  # a count that was a little high promised a page too many
            listing.is_too_full |= page.cut or (reported or 0) > self.provider.rules.aim
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
            if (
                token is None
                or token in tokens
                or listing.rows > 4 * max(listing.reported or 0, self.provider.rules.aim)
            ):
                return listing
            tokens.add(token)


def bounded(number: int | None) -> int | None:
    """Return a service's number within what SQLite stores."""
    return None if number is None else min(max(number, 0), 2**53)


def _uncounted(cells: Sequence[Cell]) -> tuple[LedgerCell, ...]:
    return tuple(LedgerCell(0, cell) for cell in cells)
