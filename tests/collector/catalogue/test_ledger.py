"""What the ledger remembers of sweeps and cells, and what `t15 coverage` is told."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from collector.catalogue.ledger import OVERLAP_S, TABLES, CellResult, Ledger, LedgerCell, Sweep, Totals
from collector.providers.base import Cell
from collector.records import Photo

WEST, EAST = Cell(32, 39, 32.5, 40, 0, 1000), Cell(32.5, 39, 33, 40, 0, 1000)
PLACES = [Cell(float(x), 39, float(x), 39) for x in range(5)]
KEY = ("flickr", "ankara")
FIRST = Sweep(0, "question", None, 1000, complete=False)
NEXT = Sweep(1, "question", 900, 2000, complete=False)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES + "CREATE TABLE photos (photo_id TEXT PRIMARY KEY, city TEXT, state TEXT);")
    yield connection
    connection.close()


@pytest.fixture
def ledger(database: sqlite3.Connection) -> Ledger:
    return Ledger(database, lambda: datetime(2026, 7, 1, tzinfo=UTC))


def done(number: int, cell: Cell, unique: int = 10, **values: int | bool) -> CellResult:
    given = {"reported": unique, "fetched": unique + 1, "pages": 1, "counts": 1, **values}
    return CellResult(*KEY, number, cell, "done", unique=unique, **given)  # type: ignore[arg-type]


def divided(number: int, cell: Cell, *children: LedgerCell) -> CellResult:
    return CellResult(*KEY, number, cell, "divided", reported=5000, fetched=1, counts=1, children=children)


def open_numbers(ledger: Ledger) -> list[int]:
    return [c.number for c in ledger.open_cells(*KEY)]


def test_the_first_root_is_asked_first(ledger: Ledger) -> None:
    ledger.begin(*KEY, FIRST, [WEST, EAST])
    assert [c.cell for c in ledger.open_cells(*KEY)] == [EAST, WEST]  # the last one is next
    assert ledger.sweep(*KEY) == FIRST
    assert ledger.sweep("flickr", "bursa") is None
    assert ledger.next_number(*KEY) == 2
    assert ledger.next_number("flickr", "bursa") == 0


def test_cells_come_back_to_the_last_bit(ledger: Ledger) -> None:
    odd = Cell(0.1 + 0.2, -0.0, 179.99999999999997, 5e-324, 0, 2**52)
    point = Cell(32.1, 39.1, 32.1, 39.1)
    ledger.begin(*KEY, FIRST, [odd, point])
    assert [c.cell for c in ledger.open_cells(*KEY)] == [point, odd]


def test_a_divided_cell_gives_its_place_to_its_children(ledger: Ledger, database: sqlite3.Connection) -> None:
    ledger.begin(*KEY, FIRST, [WEST, EAST])
    with database:
        ledger.record(divided(1, WEST, LedgerCell(2, PLACES[0], 7), LedgerCell(3, PLACES[1], 0)))
    assert [(c.number, c.reported) for c in ledger.open_cells(*KEY)] == [(0, None), (2, 7), (3, 0)]
    assert ledger.done_cells(*KEY) == []


def test_a_result_is_part_of_its_callers_transaction(ledger: Ledger, database: sqlite3.Connection) -> None:
    ledger.begin(*KEY, FIRST, [WEST])
    ledger.record(divided(0, WEST, LedgerCell(1, EAST)))
    assert database.in_transaction
    database.rollback()
    assert open_numbers(ledger) == [0]


def test_a_second_result_adds_to_the_first(ledger: Ledger, database: sqlite3.Connection) -> None:
    ledger.begin(*KEY, FIRST, [WEST])
    ledger.record(done(0, WEST, 95, reported=100, repeats=5, fetched=101))
    assert ledger.unrepaired_cells(*KEY) == [LedgerCell(0, WEST, 100, 95, 5, 1)]
    again = CellResult(*KEY, 0, WEST, "done", unique=4, fetched=100, pages=2, repeats=1, repair=True)
    ledger.record(again)
    database.commit()
    assert ledger.done_cells(*KEY) == [LedgerCell(0, WEST, 100, 99, 6, 3)]
    assert ledger.unrepaired_cells(*KEY) == []


def test_a_cell_left_open_keeps_what_was_expected_of_it(ledger: Ledger, database: sqlite3.Connection) -> None:
    ledger.begin(*KEY, FIRST, [WEST])
    ledger.record(divided(0, WEST, LedgerCell(1, EAST, 40)))
    ledger.record(CellResult(*KEY, 1, EAST, "open", found=(Photo("flickr:1", "ankara"),)))
    database.commit()
    assert ledger.open_cells(*KEY) == [LedgerCell(1, EAST, 40)]
    assert database.execute("SELECT finished_at FROM cells WHERE number = 1").fetchone() == (None,)


def test_totals_are_of_the_last_sweep(ledger: Ledger, database: sqlite3.Connection) -> None:
    assert ledger.totals(*KEY) == Totals()
    ledger.begin(*KEY, FIRST, [WEST])
    ledger.record(done(0, WEST, 1000, repeats=500, pages=4))
    ledger.finish(*KEY)
    ledger.begin(*KEY, NEXT, [EAST])
    ledger.record(divided(1, EAST, *(LedgerCell(2 + i, place) for i, place in enumerate(PLACES))))
    ledger.record(done(2, PLACES[0], 10, repeats=2, fetched=13))
    ledger.record(done(3, PLACES[1], 300, repeats=4, fetched=305, pages=2))
    database.commit()
    assert ledger.totals(*KEY) == Totals(1 + 13 + 305, 310, 13, 2, 305, 4)
    assert [c.number for c in ledger.unrepaired_cells(*KEY)] == [2, 3]


def test_beginning_again_opens_the_leaves_as_if_new(ledger: Ledger, database: sqlite3.Connection) -> None:
    ledger.begin(*KEY, FIRST, [WEST])
    ledger.record(divided(0, WEST, LedgerCell(1, PLACES[0]), LedgerCell(2, PLACES[1])))
    ledger.record(done(2, PLACES[1], 10, undividable=True))
    ledger.record(done(1, PLACES[0], 10, repair=True))
    ledger.finish(*KEY)
    ledger.begin_again(*KEY, Sweep(1, "question", None, 2000, complete=False))
    assert ledger.open_cells(*KEY) == [LedgerCell(1, PLACES[0]), LedgerCell(2, PLACES[1])]
    assert ledger.sweep(*KEY) == Sweep(1, "question", None, 2000, complete=False)
    assert ledger.totals(*KEY) == Totals()
    ledger.record(done(2, PLACES[1], 11))
    database.commit()
    assert ledger.totals(*KEY).unique == 11


def test_another_question_keeps_only_what_it_asks_too(ledger: Ledger, database: sqlite3.Connection) -> None:
    ledger.begin(*KEY, FIRST, PLACES[:4])
    ledger.begin("flickr", "bursa", FIRST, PLACES)
    for cell in ledger.open_cells(*KEY)[1:]:
        ledger.record(done(cell.number, cell.cell))
    database.commit()
    ledger.begin_afresh(*KEY, Sweep(1, "other", None, 2000, complete=False), [PLACES[4], *PLACES[1:4]])
    assert [c.cell for c in ledger.done_cells(*KEY)] == [PLACES[2], PLACES[1]]
    assert [c.cell for c in ledger.open_cells(*KEY)] == [PLACES[3], PLACES[4]]
    assert ledger.totals(*KEY).unique == 20
    assert len(ledger.open_cells("flickr", "bursa")) == 5


def test_coverage_counts_each_photo_once_and_divided_cells_as_cost_only(
    ledger: Ledger, database: sqlite3.Connection
) -> None:
    ledger.begin(*KEY, FIRST, [WEST])
    ledger.record(divided(0, WEST, LedgerCell(1, PLACES[0]), LedgerCell(2, PLACES[1]), LedgerCell(3, PLACES[2])))
    ledger.record(done(2, PLACES[1], 10, reported=12, undividable=True))
    ledger.record(done(3, PLACES[2], 20))
    rows = [("flickr:1", "ankara", "listed"), ("flickr:2", "ankara", "downloaded"), ("flickr:3", "ankara", "rejected")]
    rows += [("flickr:4", "bursa", "listed"), ("commons:1", "ankara", "listed"), ("flickrx:1", "ankara", "listed")]
    database.executemany("INSERT INTO photos VALUES (?, ?, ?)", rows)
    database.commit()
    (one,) = ledger.coverage()
    assert (one.provider, one.city) == KEY
    assert (one.cells, one.open_cells, one.undividable) == (2, 1, 1)
    assert (one.reported, one.unique, one.photos) == (32, 30, 2)
    assert (one.fetched, one.calls) == (1 + 11 + 21, 1 + 2 + 2)
    assert (one.complete, one.next_since, one.finished_at) == (False, None, "2026-07-01T00:00:00+00:00")


def test_coverage_says_from_when_a_re_run_asks(ledger: Ledger, database: sqlite3.Connection) -> None:
    until = 10 * OVERLAP_S
    ledger.begin(*KEY, Sweep(0, "question", None, until, complete=False), [WEST])
    ledger.begin("streetview", "ankara", Sweep(0, "question", None, until, complete=False), PLACES)
    ledger.begin("flickr", "bursa", FIRST, [])
    for provider, city in [("streetview", "ankara"), ("flickr", "bursa"), KEY]:
        ledger.finish(provider, city)
    assert [(c.provider, c.city, c.complete, c.next_since) for c in ledger.coverage()] == [
        ("flickr", "ankara", True, until - OVERLAP_S),
        ("flickr", "bursa", True, None),
        ("streetview", "ankara", True, None),  # places cannot be asked by time
    ]


def test_coverage_of_a_service_that_does_not_count_reports_nothing(
    ledger: Ledger, database: sqlite3.Connection
) -> None:
    ledger.begin(*KEY, FIRST, PLACES)
    ledger.record(CellResult(*KEY, 0, PLACES[4], "done", fetched=1, unique=1, pages=1))
    database.commit()
    (one,) = ledger.coverage()
    assert (one.reported, one.unique, one.cells, one.open_cells) == (None, 1, 1, 4)


def test_an_empty_ledger_covers_nothing(ledger: Ledger) -> None:
    assert ledger.coverage() == []
