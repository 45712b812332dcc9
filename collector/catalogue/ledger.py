"""The coverage ledger: which part of a city a service was asked about, what it reported, and what came.

A **sweep** lists one city of one service from a moment of upload (`since`, None for the beginning) up to another
(`until`, when the sweep began). Both are fixed when it begins, so that a run that goes on after a stop asks the same
cells. Cells are `open` (to be asked), `done` (listed) or `divided` (its children take its place); the last made open
cell is asked next. A sweep is complete when no cell is open and what was lost is repaired as far as that is worth it.

The next sweep asks for what is new: from OVERLAP_S before the last one's `until` on, or, where a service cannot be
asked by time of upload, the same leaf cells again, without paying again for the details of known photos.

The planner's decisions follow from the ledger and the answers alone, never from what only memory held. So a result has
to be written in the transaction that also writes its photos: then a run that is killed at any moment and run again
asks what an undisturbed run would have asked.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

from collector.providers.base import Cell
from collector.records import Photo, Unusable

OVERLAP_S = 86_400
"""Seconds that a sweep begins before the last one's end: a photo is in a service's index some time after its upload."""

TABLES = """
CREATE TABLE sweeps (
  provider TEXT NOT NULL, city TEXT NOT NULL, number INTEGER NOT NULL, question TEXT NOT NULL,
  since INTEGER, until INTEGER NOT NULL, complete INTEGER NOT NULL,
  PRIMARY KEY (provider, city)
) STRICT;
CREATE TABLE cells (
  provider TEXT NOT NULL, city TEXT NOT NULL, number INTEGER NOT NULL, sweep INTEGER NOT NULL,
  west REAL NOT NULL, south REAL NOT NULL, east REAL NOT NULL, north REAL NOT NULL, since INTEGER, until INTEGER,
  state TEXT NOT NULL CHECK (state IN ('open', 'done', 'divided')), reported INTEGER,
  fetched INTEGER NOT NULL DEFAULT 0, unique_photos INTEGER NOT NULL DEFAULT 0, repeats INTEGER NOT NULL DEFAULT 0,
  pages INTEGER NOT NULL DEFAULT 0, counts INTEGER NOT NULL DEFAULT 0,
  undividable INTEGER NOT NULL DEFAULT 0, repaired INTEGER NOT NULL DEFAULT 0, finished_at TEXT,
  PRIMARY KEY (provider, city, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX cells_by_state ON cells (provider, city, state);
"""
"""What the ledger adds to the catalogue's schema.

`fetched`: rows that the service sent for the cell, one for each counting call. `unique_photos`: different things among
them. `repeats`: rows that told what the same listing had told already. `pages`, `counts`: calls.
"""

_OF_CITY = "provider = ? AND city = ?"


@dataclass(frozen=True, slots=True)
class Sweep:
    """One listing of a city.

    Attributes:
        question: what was asked, as a digest: another one makes what is known of the cells worthless.
        since, until: times of upload, seconds since 1970 UTC, `since` None for the beginning.
    """

    number: int
    question: str
    since: int | None
    until: int
    complete: bool


@dataclass(frozen=True, slots=True)
class LedgerCell:
    """A cell as the ledger keeps it.

    Attributes:
        number: its place in the order in which the city's cells were made.
        reported: photos that the service says it holds; of an open cell what is expected, 0 only where it was counted.
        unique, repeats, pages: of its listing; see TABLES.
    """

    number: int
    cell: Cell
    reported: int | None = None
    unique: int = 0
    repeats: int = 0
    pages: int = 0
    undividable: bool = False


@dataclass(frozen=True, slots=True)
class CellResult:
    """What asking about one cell brought; `Ledger.record` writes it.

    Attributes:
        provider, city, number, cell: as in the ledger.
        state: of the cell from now on.
        found: each thing that the rows told, once; of a cell that stays open as much of it as was asked for.
        reported: as the service said, None where it does not.
        fetched, unique, repeats, pages, counts: to be added to the cell's.
        undividable: it should have been divided, and could not be.
        repair: it was listed again for rows that its first listing lost; `unique` counts those that this brought.
        children: cells that take its place.
    """

    provider: str
    city: str
    number: int
    cell: Cell
    state: str
    found: tuple[Photo | Unusable, ...] = ()
    reported: int | None = None
    fetched: int = 0
    unique: int = 0
    repeats: int = 0
    pages: int = 0
    counts: int = 0
    undividable: bool = False
    repair: bool = False
    children: tuple[LedgerCell, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the cells of one sweep.

    Attributes:
        fetched: rows that the service sent, for all cells.
        unique: different things in the cells that are done.
        single_rows, single_repeats: rows of cells that took one page, and repeats among them.
        later_rows, later_repeats: the same of cells that took several.
    """

    fetched: int = 0
    unique: int = 0
    single_rows: int = 0
    single_repeats: int = 0
    later_rows: int = 0
    later_repeats: int = 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """How completely a service's photos of one city are listed.

    Attributes:
        cells: that are done; open_cells: that are still to be asked; undividable: among those done, too full to be sure.
        reported: photos that the service says the cells done hold; None where it does not say.
        unique: different things listed in them, to be held against `reported`. Both count a thing once for each cell
            and sweep that holds it (on the border of two cells, in the overlap of two sweeps).
        photos: in the catalogue from this service for this city, each counted once, those without use left out.
        fetched, calls: rows that came and calls that they took, for cells done and divided.
        complete: the sweep that began last is.
        next_since: time of upload from which a re-run asks (seconds since 1970 UTC); None: asks all cells (again).
        finished_at: UTC, ISO 8601, of the cell that was finished last; None when none is.
    """

    provider: str
    city: str
    cells: int
    open_cells: int
    undividable: int
    reported: int | None
    unique: int
    photos: int
    fetched: int
    calls: int
    complete: bool
    next_since: int | None
    finished_at: str | None


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """The ledger of an open catalogue; `clock` gives what `finished_at` says.

    `begin` and `finish` are transactions of their own; `record` writes within its caller's.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], datetime] = _utc_now) -> None:
        self._db = connection
        self._clock = clock

    def sweep(self, provider: str, city: str) -> Sweep | None:
        """Return the sweep that began last, None before the first."""
        query = "SELECT number, question, since, until, complete FROM sweeps WHERE provider = ? AND city = ?"
        row = self._db.execute(query, (provider, city)).fetchone()
        if row is None:
            return None
        number, question, since, until, complete = row
        return Sweep(number, question, since, until, bool(complete))

    def begin(self, provider: str, city: str, sweep: Sweep, roots: Iterable[Cell]) -> None:
        """Begin the first sweep of a city, or one that goes on where the last ended; the first root is asked first."""
        with self._db:
            self._begin(provider, city, sweep)
            self._insert_roots(provider, city, sweep, roots)

    def begin_afresh(self, provider: str, city: str, sweep: Sweep, roots: Iterable[Cell]) -> None:
        """Begin a sweep that asks another question: cells of the old one count where they are roots of this one too.

        Cells of a time never do: only a service that knows times also knows how exact a place is, which may be what the
        question changed, and within the same second its roots would be the same cells.
        """
        with self._db:
            done = {c.cell: c.number for c in self._cells(provider, city, "state = 'done'") if c.cell.until is None}
            cells = list(dict.fromkeys(roots))
            kept = [number for cell, number in done.items() if cell in set(cells)]
            self._db.execute(
                f"DELETE FROM cells WHERE {_OF_CITY} AND number NOT IN (SELECT value FROM json_each(?))",  # noqa: S608
                (provider, city, json.dumps(kept)),
            )
            self._db.execute(f"UPDATE cells SET sweep = ? WHERE {_OF_CITY}", (sweep.number, provider, city))  # noqa: S608
            self._begin(provider, city, sweep)
            self._insert_roots(provider, city, sweep, [cell for cell in cells if cell not in done])

    def begin_again(self, provider: str, city: str, sweep: Sweep) -> None:
        """Begin a sweep over the leaf cells of the last one: each is open again, as if it had never been asked."""
        with self._db:
            self._begin(provider, city, sweep)
            self._db.execute(
                "UPDATE cells SET state = 'open', sweep = ?, reported = NULL, fetched = 0, unique_photos = 0, repeats = 0, "  # noqa: S608
                "pages = 0, counts = 0, undividable = 0, finished_at = NULL "
                f"WHERE {_OF_CITY} AND state = 'done'",
                (sweep.number, provider, city),
            )

    def _begin(self, provider: str, city: str, sweep: Sweep) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO sweeps (provider, city, number, question, since, until, complete) "
            "VALUES (?, ?, ?, ?, ?, ?, 0)",
            (provider, city, sweep.number, sweep.question, sweep.since, sweep.until),
        )

    def _insert_roots(self, provider: str, city: str, sweep: Sweep, roots: Iterable[Cell]) -> None:
        numbered = enumerate(reversed(list(roots)), start=self.next_number(provider, city))
        self._insert(provider, city, sweep.number, [LedgerCell(number, cell) for number, cell in numbered])

    def _insert(self, provider: str, city: str, sweep: int, cells: Iterable[LedgerCell]) -> None:
        self._db.executemany(
            "INSERT INTO cells (provider, city, number, sweep, reported, west, south, east, north, since, until, state) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')",
            [(provider, city, c.number, sweep, c.reported, *astuple(c.cell)) for c in cells],
        )

    def finish(self, provider: str, city: str) -> None:
        """Say that the sweep under way is complete."""
        with self._db:
            self._db.execute(f"UPDATE sweeps SET complete = 1 WHERE {_OF_CITY}", (provider, city))  # noqa: S608

    def record(self, result: CellResult) -> None:
        """Write a result, within the transaction in which the caller writes its photos."""
        key = (result.provider, result.city, result.number)
        finished_at = None if result.state == "open" else self._clock().isoformat()
        (sweep,) = self._db.execute(
            "UPDATE cells SET state = ?, reported = ifnull(?, reported), fetched = fetched + ?, "  # noqa: S608
            "unique_photos = unique_photos + ?, repeats = repeats + ?, pages = pages + ?, counts = counts + ?, "
            f"undividable = ?, repaired = ?, finished_at = ? WHERE {_OF_CITY} AND number = ? RETURNING sweep",
            (
                *(result.state, result.reported, result.fetched, result.unique, result.repeats, result.pages),
                *(result.counts, result.undividable, result.repair, finished_at, *key),
            ),
        ).fetchone()
        self._insert(result.provider, result.city, sweep, result.children)

    def next_number(self, provider: str, city: str) -> int:
        """Return the number that the next cell of a city gets."""
        query = f"SELECT ifnull(max(number) + 1, 0) FROM cells WHERE {_OF_CITY}"  # noqa: S608
        return int(self._db.execute(query, (provider, city)).fetchone()[0])

    def open_cells(self, provider: str, city: str) -> list[LedgerCell]:
        """Return the cells that are still to be asked, the next one last."""
        return self._cells(provider, city, "state = 'open'")

    def done_cells(self, provider: str, city: str) -> list[LedgerCell]:
        """Return the cells that are listed, of all sweeps."""
        return self._cells(provider, city, "state = 'done'")

    def unrepaired_cells(self, provider: str, city: str) -> list[LedgerCell]:
        """Return the cells that the last sweep listed and did not list again for what was lost."""
        of_sweep = f"sweep = (SELECT number FROM sweeps WHERE {_OF_CITY})"  # noqa: S608
        return self._cells(provider, city, f"state = 'done' AND repaired = 0 AND {of_sweep}", (provider, city))

    def _cells(self, provider: str, city: str, where: str, values: Sequence[str] = ()) -> list[LedgerCell]:
        query = (
            "SELECT number, reported, unique_photos, repeats, pages, undividable, west, south, east, north, since, until "  # noqa: S608
            f"FROM cells WHERE {_OF_CITY} AND {where} ORDER BY number"
        )
        return [
            LedgerCell(number, Cell(*box), reported, unique, repeats, pages, bool(undividable))
            for number, reported, unique, repeats, pages, undividable, *box in self._db.execute(
                query, (provider, city, *values)
            )
        ]

    def totals(self, provider: str, city: str) -> Totals:
        """Return the sums over the cells of the last sweep."""
        query = (
            "SELECT sum(fetched), sum(iif(state = 'done', unique_photos, 0)), "  # noqa: S608
            "sum(iif(pages = 1, fetched, 0)), sum(iif(pages = 1, repeats, 0)), "
            "sum(iif(pages > 1, fetched, 0)), sum(iif(pages > 1, repeats, 0)) "
            f"FROM cells WHERE {_OF_CITY} AND sweep = (SELECT number FROM sweeps WHERE {_OF_CITY})"
        )
        row = self._db.execute(query, (provider, city) * 2).fetchone()
        return Totals(*(value or 0 for value in row))

    def photos(self, provider: str, city: str) -> int:
        """Return how many photos of a city are in the catalogue from a service, those without use left out."""
        query = "SELECT count(*) FROM photos WHERE city = ? AND state <> 'rejected' AND photo_id >= ? AND photo_id < ?"
        row = self._db.execute(query, (city, f"{provider}:", f"{provider};"))  # ";" is the character after ":"
        return int(row.fetchone()[0])

    def photo_ids(self, provider: str, city: str) -> set[str]:
        """Return the ids of all that the catalogue has from a service for a city, also of what is without use."""
        query = "SELECT photo_id FROM photos WHERE city = ? AND photo_id >= ? AND photo_id < ?"
        return {row[0] for row in self._db.execute(query, (city, f"{provider}:", f"{provider};"))}

    def coverage(self) -> list[Coverage]:
        """Return how completely each city of each service is listed, by service and city."""
        query = """
            SELECT sweeps.provider, sweeps.city, sum(state = 'done'), sum(state = 'open'), sum(undividable),
              sum(iif(state = 'done', reported, NULL)), sum(iif(state = 'done', unique_photos, 0)),
              sum(fetched), sum(pages) + sum(counts), sweeps.complete,
              iif(complete AND max(cells.until) IS NOT NULL, sweeps.until - ?, sweeps.since), max(finished_at)
            FROM sweeps LEFT JOIN cells USING (provider, city)
            GROUP BY sweeps.provider, sweeps.city ORDER BY sweeps.provider, sweeps.city
        """
        rows = []
        for provider, city, cells, open_cells, undividable, reported, unique, *rest in self._db.execute(
            query, (OVERLAP_S,)
        ).fetchall():
            fetched, calls, complete, next_since, finished_at = rest
            numbers = (cells or 0, open_cells or 0, undividable or 0, reported, unique or 0)
            costs = (self.photos(provider, city), fetched or 0, calls or 0)
            rows.append(Coverage(provider, city, *numbers, *costs, bool(complete), next_since, finished_at))
        return rows
