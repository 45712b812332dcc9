"""Decisions stand, are taken back, and are never lost."""

import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.errors import DataError, IncompleteError, UsageError
from collector.review import decisions
from collector.review.decisions import UnknownPhotoError, connected, decide, history, progress, standing, undo
from collector.workspace import Workspace, exclusive

AT = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)


@pytest.fixture
def db(shelf: Workspace) -> Iterator[sqlite3.Connection]:
    with decisions.opened(shelf) as connection:
        yield connection


def stage(workspace: Workspace) -> dict[str, str]:
    with open_catalogue(workspace) as catalogue:
        return {decision.photo_id: decision.verdict for decision in catalogue.decisions("review")}


def clean(workspace: Workspace) -> set[str]:
    with open_catalogue(workspace) as catalogue:
        return {photo.photo_id for photo in catalogue.clean()}


def test_a_decision_is_in_the_catalogue_with_who_and_when(shelf: Workspace, db: sqlite3.Connection) -> None:
    there = AT.astimezone(timezone(timedelta(hours=3)))
    assert decide(db, "made:0000", "wrong-city", "Ayşe", there, "bursa") is None
    decide(db, "made:0006", "wrong-city", "Ayşe", there)
    with open_catalogue(shelf) as catalogue:
        evidence = {"reviewer": "Ayşe", "at": "2026-03-01T14:05:00+00:00", "right_city": "bursa"}
        assert catalogue.decisions("review")[0] == Decision("made:0000", "wrong-city", None, evidence)
    assert "made:0006" not in clean(shelf)  # nobody said which city is right


def test_a_photo_is_moved_to_the_right_city_and_back(shelf: Workspace, db: sqlite3.Connection) -> None:
    def city() -> tuple[str, str, str]:
        with open_catalogue(shelf) as catalogue:
            photo = catalogue.photo("made:0000")
            assert photo is not None
            (clean_one,) = (one for one in catalogue.clean() if one.photo_id == "made:0000")
            (any_one,) = (one for one in catalogue.downloaded() if one.photo_id == "made:0000")
            return photo.city, clean_one.city, any_one.city

    assert city() == ("ankara", "ankara", "ankara")
    decide(db, "made:0000", "wrong-city", "Ayşe", AT, "bursa")
    assert city() == ("bursa", "bursa", "bursa")
    with open_catalogue(shelf) as catalogue:
        assert catalogue.relabelled() == {"made:0000": ("ankara", "2026-03-01T14:05:00+00:00")}
        assert "made:0000" not in catalogue.decided_against(but="dedup")
        known = catalogue.known("made:0000")
        assert known is not None
        assert known.city == "ankara"  # what its source says stays
    undo(db, "Ayşe", AT)
    assert city() == ("ankara", "ankara", "ankara")
    with open_catalogue(shelf) as catalogue:
        assert catalogue.relabelled() == {}


def test_a_moved_copy_is_left_out_all_the_same(shelf: Workspace, db: sqlite3.Connection) -> None:
    assert "made:0004" not in clean(shelf)
    decide(db, "made:0004", "wrong-city", "Ayşe", AT, "van")
    assert "made:0004" not in clean(shelf)  # dedup left it out


def test_a_reviewer_brings_back_what_dedup_left_out(shelf: Workspace, db: sqlite3.Connection) -> None:
    assert {"made:0002", "made:0003", "made:0004"}.isdisjoint(clean(shelf))
    decide(db, "made:0003", "keep", "Ayşe", AT)
    decide(db, "made:0004", "keep", "Ayşe", AT)
    assert clean(shelf) & {"made:0002", "made:0003", "made:0004"} == {"made:0003", "made:0004"}
    undo(db, "Ayşe", AT)
    assert clean(shelf) & {"made:0002", "made:0003", "made:0004"} == {"made:0003"}


def test_dedup_again_leaves_reviews_alone(shelf: Workspace, db: sqlite3.Connection) -> None:
    decide(db, "made:0000", "reject", "Ayşe", AT)
    with open_catalogue(shelf) as catalogue:
        catalogue.decide("dedup", [])
    assert stage(shelf) == {"made:0000": "reject"}


def test_the_last_word_counts_and_all_are_kept(shelf: Workspace, db: sqlite3.Connection) -> None:
    decide(db, "made:0000", "keep", "Ayşe", AT)
    before = decide(db, "made:0000", "reject", "Bora", AT)
    assert before is not None
    assert (before.reviewer, before.verdict) == ("Ayşe", "keep")
    assert stage(shelf) == {"made:0000": "reject"}
    entries = history(db, ["made:0000"])["made:0000"]
    assert [(entry.reviewer, entry.verdict) for entry in entries] == [("Ayşe", "keep"), ("Bora", "reject")]


def test_undo_takes_back_ones_own_newest_and_leaves_the_word_of_others(
    shelf: Workspace, db: sqlite3.Connection
) -> None:
    decide(db, "made:0000", "keep", "Ayşe", AT)
    decide(db, "made:0000", "reject", "Ayşe", AT)
    decide(db, "made:0000", "wrong-city", "Bora", AT)
    assert getattr(undo(db, "Ayşe", AT), "verdict", None) == "reject"
    assert stage(shelf) == {"made:0000": "wrong-city"}
    assert getattr(undo(db, "Bora", AT), "verdict", None) == "wrong-city"
    assert stage(shelf) == {"made:0000": "keep"}
    assert getattr(undo(db, "Ayşe", AT), "verdict", None) == "keep"
    assert stage(shelf) == {}
    assert undo(db, "Ayşe", AT) is None
    assert standing(db, "made:0000") is None
    assert len(history(db, ["made:0000"])["made:0000"]) == 6


def test_the_same_word_twice_is_one_decision(db: sqlite3.Connection) -> None:
    for _ in range(2):
        decide(db, "made:0000", "wrong-city", "Ayşe", AT)
    decide(db, "made:0000", "wrong-city", "Ayşe", AT, "van")
    assert [entry.right_city for entry in history(db, ["made:0000"])["made:0000"]] == [None, "van"]


def test_nothing_is_said_of_photos_that_are_gone(shelf: Workspace, db: sqlite3.Connection) -> None:
    decide(db, "made:0001", "keep", "Ayşe", AT)
    decide(db, "made:0000", "keep", "Ayşe", AT)
    with open_catalogue(shelf) as catalogue:
        catalogue.withdraw("photo", ["made:0000"], "asked for", AT)
    for photo_id in ("made:0000", "made:9999"):
        with pytest.raises(UnknownPhotoError, match="not in the workspace"):
            decide(db, photo_id, "reject", "Ayşe", AT)
    assert getattr(undo(db, "Ayşe", AT), "photo_id", None) == "made:0001"
    assert stage(shelf) == {}


def test_a_decision_is_written_whole_or_not_at_all(shelf: Workspace, db: sqlite3.Connection) -> None:
    db.execute("CREATE TRIGGER no BEFORE INSERT ON decisions BEGIN SELECT RAISE(ABORT, 'no'); END")
    db.commit()
    with pytest.raises(sqlite3.IntegrityError, match="no"):
        decide(db, "made:0000", "keep", "Ayşe", AT)
    assert history(db, ["made:0000"])["made:0000"] == []
    assert not db.in_transaction


def test_the_table_itself_refuses_what_is_no_decision(db: sqlite3.Connection) -> None:
    for verdict, undoes in (("maybe", None), (None, None), ("keep", 1)):
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(
                "INSERT INTO reviews (photo_id, verdict, undoes, reviewer, at) VALUES ('made:0000', ?, ?, 'x', 'y')",
                (verdict, undoes),
            )


def test_many_reviewers_at_once_lose_nothing(shelf: Workspace, db: sqlite3.Connection) -> None:
    """Eight connections decide about the same photos at the same time, while the lock of `collect` is held."""
    failed: list[Exception] = []

    def work(name: str) -> None:
        try:
            for n in (0, 1, 2, 3, 4, 5):
                with connected(shelf.catalogue) as own:
                    decide(own, f"made:000{n}", "keep", name, AT)
                    decide(own, f"made:000{n}", "reject", name, AT)
        except Exception as error:  # noqa: BLE001 (shown below)
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"reviewer {n}",)) for n in range(8)]
    with exclusive(shelf):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []
    assert db.execute("SELECT count(*), count(DISTINCT reviewer) FROM reviews").fetchone() == (96, 8)
    assert set(stage(shelf).values()) == {"reject"}


def test_progress(db: sqlite3.Connection) -> None:
    assert progress(db) == (0, 9)
    decide(db, "made:0000", "keep", "Ayşe", AT)
    decide(db, "made:0001", "reject", "Ayşe", AT)
    assert (progress(db), progress(db, "ankara"), progress(db, "van")) == ((2, 9), (1, 3), (0, 3))


def test_a_catalogue_that_another_process_holds(
    shelf: Workspace, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "WAIT_S", 0.01)
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(IncompleteError, match="in use"), connected(shelf.catalogue) as other:
        decide(other, "made:0000", "keep", "Ayşe", AT)
    db.rollback()


def test_a_catalogue_that_vanished_is_not_made_anew(shelf: Workspace) -> None:
    shelf.catalogue.unlink()
    with pytest.raises(UsageError, match="cannot be opened"), connected(shelf.catalogue) as db:
        progress(db)
    assert not shelf.catalogue.exists()
    with pytest.raises(UsageError, match="t15 collect"), decisions.opened(shelf):
        pytest.fail("it was opened")


def test_a_catalogue_that_is_damaged(shelf: Workspace) -> None:
    shelf.catalogue.write_bytes(b"garbage" * 5000)
    with pytest.raises(DataError, match="is damaged"), connected(shelf.catalogue) as db:
        progress(db)


@pytest.mark.parametrize("name", ["", " \t", "x" * 101, "a\nb", "\x1b[2J", "\ud800"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="--reviewer"):
        decisions.reviewer_name(name)


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decisions.reviewer_name("  Ayşe 小雨 ") == "Ayşe 小雨"
    monkeypatch.setenv("LOGNAME", "ayse")
    assert decisions.reviewer_name() == "ayse"

    def nobody() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(UsageError, match="this account has no name"):
        decisions.reviewer_name()
