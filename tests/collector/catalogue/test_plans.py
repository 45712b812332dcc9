"""No query reads a table of photos from end to end where an index can tell where to look."""

import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from collector.catalogue.catalogue import Catalogue, Decision, open_catalogue
from collector.catalogue.database import open_database
from collector.catalogue.ledger import Sweep
from collector.records import Unusable
from collector.workspace import Workspace
from tests.conftest import MakePhoto

NOW = datetime(2026, 12, 1, tzinfo=UTC)

ASKED: dict[str, Callable[[Catalogue, MakePhoto], object]] = {
    "add": lambda c, make: c.add(make(9), "stamp"),
    "describe": lambda c, make: c.describe(make(1, title="new")),
    "relabel": lambda c, make: c.relabel(make(1, city="van")),
    "list": lambda c, make: c.list_photo(make(8)),
    "reject": lambda c, _: c.reject(Unusable("made:0007", "truncated", "", "bursa")),
    "fail": lambda c, make: c.fail(make(6), "http-500", "", 1, NOW),
    "known": lambda c, _: c.known("made:0001"),
    "outcome": lambda c, _: c.outcome("made:0001"),
    "judged": lambda c, _: c.judged("made", "bursa"),
    "is_judged": lambda c, _: c.is_judged("made:0001", "bursa"),
    "of_other_cities": lambda c, _: c.of_other_cities("made", "bursa", 30.0, 50.0),
    "downloaded": lambda c, _: c.downloaded(),
    "clean": lambda c, _: c.clean(),
    "photo": lambda c, _: c.photo("made:0001"),
    "name_of": lambda c, _: c.name_of("made:0001"),
    "relabelled": lambda c, _: c.relabelled(),
    "listing": lambda c, _: c.listing("bursa", "made"),
    "downloads_by_author": lambda c, _: c.downloads_by_author("bursa"),
    "hash_stamps": lambda c, _: c.hash_stamps(),
    "update_hashes": lambda c, _: c.update_hashes("made:0001", None, None, "stamp"),
    "rejections": lambda c, _: c.rejections(),
    "withdraw a photo": lambda c, _: c.withdraw("photo", ["made:0001"], "asked", NOW),
    "withdraw an author": lambda c, _: c.withdraw("author", ["made:author-2"], "asked", NOW),
    "with_bytes": lambda c, make: c.with_bytes([str(make(3).sha256)]),
    "has_author": lambda c, _: c.has_author("made:author-2"),
    "decisions": lambda c, _: c.decisions("dedup"),
    "each_decision": lambda c, _: list(c.each_decision("dedup")),
    "retract": lambda c, _: c.retract("dedup", ["made:0001"]),
    "decided_against": lambda c, _: c.decided_against(but="dedup"),
    "counts": lambda c, _: c.counts(),
    "rejected": lambda c, _: c.rejected(),
    "reasons": lambda c, _: c.reasons(),
    "rejected_by_listing": lambda c, _: c.rejected_by_listing("made", ["no-city"]),
    "coverage": lambda c, _: c.ledger.coverage(),
    "ledger's photos": lambda c, _: c.ledger.photo_ids("made", "bursa"),
    "path_of": lambda c, _: c.files.path_of("made:0001"),
    "forget_photo": lambda c, _: c.files.forget_photo("made:0001"),
    "drop_photo": lambda c, _: c.files.drop_photo("made:0001"),
}


@pytest.mark.parametrize("name", ASKED)
def test_an_index_serves_it(workspace: Workspace, make_photo: MakePhoto, name: str) -> None:
    with open_catalogue(workspace) as catalogue:
        for number in range(6):
            catalogue.add(make_photo(number), "stamp")
        catalogue.decide("dedup", [Decision("made:0001", "duplicate", "made:0000", {"radius": 8})])
        catalogue.ledger.begin("made", "bursa", Sweep(0, "q", None, 1, False), ())
        catalogue.files.of(b"root")
    asked: list[str] = []
    with open_database(workspace.catalogue) as db:
        db.set_trace_callback(asked.append)
        ASKED[name](Catalogue(db), make_photo)
        db.set_trace_callback(None)
        db.commit()
        statements = [text for text in asked if re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT)", text)]
        assert statements
        for statement in statements:
            for (step,) in plan(db, statement):
                assert not re.search(r"SCAN (photos|files|decisions)\b(?!.*COVERING INDEX)", step) or whole(
                    statement
                ), (
                    step,
                    statement,
                )


def plan(db: sqlite3.Connection, statement: str) -> list[tuple[str]]:
    return [(row[3],) for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]


def whole(statement: str) -> bool:
    """Return whether a statement asks for what all stages decided: those are few, and read once."""
    return "SELECT photo_id FROM decisions WHERE" in statement and "verdict <> 'keep'" in statement


def test_an_older_catalogue_gets_the_indexes(workspace: Workspace, make_photo: MakePhoto) -> None:
    with open_catalogue(workspace) as catalogue:
        catalogue.add(make_photo(1), "stamp")
    with open_database(workspace.catalogue) as db:
        names = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        ]
        for name in names:
            if name not in ("photos_by_state", "cells_by_state"):
                db.execute(f"DROP INDEX {name}")
        db.execute("PRAGMA user_version = 4")
    with open_database(workspace.catalogue) as db:
        again = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        ]
        assert sorted(again) == sorted(names)
        assert db.execute("PRAGMA user_version").fetchone()[0] == 5
