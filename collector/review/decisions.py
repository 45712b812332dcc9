"""What reviewers decide: every decision is added to a history, and the newest that was not taken back stands.

The history is the table `reviews`; nothing in it is ever changed or deleted, so that two reviewers of one photo lose
nothing: the last one's word stands, both are kept. What stands is also a row of `decisions` of the stage `review`, which
is what `Catalogue.clean` reads; both are written in one transaction.

No lock of the workspace is held: a decision is one short transaction that touches no photo's row, so `collect` and
`dedup` may run meanwhile, and SQLite lets one writer in after the other.
"""

import getpass
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from collector.catalogue.database import open_database
from collector.errors import UsageError
from collector.workspace import Workspace, storage_errors

STAGE = "review"

VERDICTS = ("keep", "reject", "wrong-city")
"""`keep` also brings back a photo that another stage left out."""

WAIT_S = 10.0  # for another writer
_LONGEST_NAME = 100

_TABLES = f"""
CREATE TABLE IF NOT EXISTS reviews (
  entry INTEGER PRIMARY KEY AUTOINCREMENT, photo_id TEXT NOT NULL, verdict TEXT CHECK (verdict IN {VERDICTS!r}),
  right_city TEXT, undoes INTEGER UNIQUE REFERENCES reviews (entry), reviewer TEXT NOT NULL, at TEXT NOT NULL,
  CHECK ((verdict IS NULL) <> (undoes IS NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS reviews_by_photo ON reviews (photo_id, entry);
"""

STANDING = "verdict IS NOT NULL AND entry NOT IN (SELECT undoes FROM reviews WHERE undoes IS NOT NULL)"
"""The condition, on `reviews`, of entries that were not taken back."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the history.

    Attributes:
        entry: its number; later ones are larger.
        photo_id: whose photo it is about.
        verdict: one of VERDICTS; None when it takes an earlier entry back.
        right_city: slug of the city that the reviewer takes for the right one; only of `wrong-city`, and optional there.
        undoes: the entry that it takes back.
        reviewer: who.
        at: when, UTC, ISO 8601.
    """

    entry: int
    photo_id: str
    verdict: str | None
    right_city: str | None
    undoes: int | None
    reviewer: str
    at: str


class UnknownPhotoError(UsageError):
    """There is no downloaded photo of this id."""


class SameCityError(UsageError):
    """The city that is said to be the right one is the photo's label already."""


def reviewer_name(name: str | None = None) -> str:
    """Return a reviewer's name without the blanks around it; by default the login name.

    Raises:
        UsageError: it is empty, longer than 100 characters, or holds what cannot be printed, or nobody is logged in.
    """
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError) as error:  # an account without a name, as in some containers; KeyError before 3.13
            raise UsageError("--reviewer: this account has no name; give yours") from error
    plain = name.strip()
    if not plain or len(plain) > _LONGEST_NAME or not plain.isprintable():
        raise UsageError(f"--reviewer: give a name of 1 to {_LONGEST_NAME} printable characters")
    return plain


@contextmanager
def opened(workspace: Workspace, *, look_only: bool = False) -> Iterator[sqlite3.Connection]:
    """Open a workspace's catalogue for the first time: bring it up to date, and make the history where there is none.

    With `look_only` nothing is written, so that the workspace may be a read-only one.

    Raises:
        UsageError: there is no catalogue.
        DataError: it is damaged, or of a newer t15.
        IncompleteError: the disk is full, or another process writes for longer than ten seconds.
    """
    if not workspace.catalogue.is_file():
        raise UsageError(f"workspace {workspace.root}: holds no photos yet; `t15 collect` brings some")
    with open_database(workspace.catalogue) as db:
        if not look_only:
            db.executescript(f"BEGIN IMMEDIATE;{_TABLES}COMMIT;")
        elif not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'reviews'").fetchone():
            db.execute(f"CREATE TEMP TABLE reviews ({_COLUMNS})")
        yield db


@contextmanager
def connected(catalogue: Path) -> Iterator[sqlite3.Connection]:
    """Open the catalogue for one request, while it is held `opened`.

    Raises:
        IncompleteError: the disk is full, or another process writes for longer than ten seconds.
        UsageError: it cannot be opened any more.
        DataError: it is damaged.
    """
    uri = f"{catalogue.resolve().as_uri()}?mode=rw"
    with storage_errors(catalogue), closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S)) as db:
        yield db


def decide(
    db: sqlite3.Connection, photo_id: str, verdict: str, reviewer: str, at: datetime, right_city: str | None = None
) -> Entry | None:
    """Record what a reviewer says of a photo, and return what stood before, None when nothing did.

    The same word of the same reviewer again adds nothing.

    Raises:
        UnknownPhotoError: there is no such photo, or it was withdrawn.
        SameCityError: `right_city` is the city that it is labelled with.
    """
    with _writing(db):
        if right_city == _label(db, photo_id):
            raise SameCityError(f"photo {photo_id[:200]!r}: {right_city} is its city already")
        before = standing(db, photo_id)
        if before and (before.verdict, before.right_city, before.reviewer) == (verdict, right_city, reviewer):
            return before
        _append(db, photo_id, verdict, right_city, None, reviewer, at)
        _settle(db, photo_id)
    return before


def undo(db: sqlite3.Connection, reviewer: str, at: datetime) -> Entry | None:
    """Take back the reviewer's newest decision that was not taken back yet, and return it; None when there is none.

    Then the newest remaining one about that photo stands, whoever made it; nobody else's is touched.
    """
    with _writing(db):
        query = (
            f"SELECT {_COLUMNS} FROM reviews WHERE reviewer = ? AND {STANDING} AND photo_id IN "  # noqa: S608 (constants)
            "(SELECT photo_id FROM photos WHERE state = 'downloaded') ORDER BY entry DESC LIMIT 1"
        )
        row = db.execute(query, (reviewer,)).fetchone()
        if row is None:
            return None
        last = Entry(*row)
        _append(db, last.photo_id, None, None, last.entry, reviewer, at)
        _settle(db, last.photo_id)
    return last


def standing(db: sqlite3.Connection, photo_id: str) -> Entry | None:
    """Return the decision that stands about a photo."""
    query = f"SELECT {_COLUMNS} FROM reviews WHERE photo_id = ? AND {STANDING} ORDER BY entry DESC LIMIT 1"  # noqa: S608
    row = db.execute(query, (photo_id,)).fetchone()
    return Entry(*row) if row else None


def history(db: sqlite3.Connection, photo_ids: Iterable[str]) -> dict[str, list[Entry]]:
    """Return everything that was ever decided about each of some photos, the oldest first."""
    query = f"SELECT {_COLUMNS} FROM reviews WHERE photo_id = ? ORDER BY entry"  # noqa: S608 (constants)
    return {photo_id: [Entry(*row) for row in db.execute(query, (photo_id,))] for photo_id in photo_ids}


def progress(db: sqlite3.Connection, city: str | None = None) -> tuple[int, int]:
    """Return how many photos were decided about, and how many there are, of a city or of all."""
    query = (
        "SELECT count(decisions.verdict), count(*) FROM photos LEFT JOIN decisions ON decisions.stage = ? "
        "AND decisions.photo_id = photos.photo_id WHERE photos.state = 'downloaded' AND (? IS NULL OR photos.city = ?)"
    )
    decided, total = db.execute(query, (STAGE, city, city)).fetchone()
    return int(decided), int(total)


_COLUMNS = "entry, photo_id, verdict, right_city, undoes, reviewer, at"


@contextmanager
def _writing(db: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE: a transaction that reads first and writes later may fail at once when another one wrote in between.
    db.execute("BEGIN IMMEDIATE")
    with db:
        yield


def _label(db: sqlite3.Connection, photo_id: str) -> str:
    row = db.execute("SELECT city FROM photos WHERE photo_id = ? AND state = 'downloaded'", (photo_id,)).fetchone()
    if row is None:
        raise UnknownPhotoError(f"photo {photo_id[:200]!r}: is not in the workspace (any more)")
    return str(row[0])


def _append(
    db: sqlite3.Connection,
    photo_id: str,
    verdict: str | None,
    right_city: str | None,
    undoes: int | None,
    reviewer: str,
    at: datetime,
) -> None:
    moment = at.astimezone(UTC).isoformat(timespec="seconds")
    db.execute(
        "INSERT INTO reviews (photo_id, verdict, right_city, undoes, reviewer, at) VALUES (?, ?, ?, ?, ?, ?)",
        (photo_id, verdict, right_city, undoes, reviewer, moment),
    )


def _settle(db: sqlite3.Connection, photo_id: str) -> None:
    """Bring the stage's row about a photo in line with the history."""
    stands = standing(db, photo_id)
    if stands is None:
        db.execute("DELETE FROM decisions WHERE stage = ? AND photo_id = ?", (STAGE, photo_id))
        return
    evidence = {"reviewer": stands.reviewer, "at": stands.at}
    if stands.right_city:
        evidence["right_city"] = stands.right_city
    db.execute(
        "INSERT INTO decisions (stage, photo_id, verdict, group_id, evidence) VALUES (?, ?, ?, NULL, ?) "
        "ON CONFLICT (stage, photo_id) DO UPDATE SET verdict = excluded.verdict, evidence = excluded.evidence",
        (STAGE, photo_id, stands.verdict, json.dumps(evidence, sort_keys=True, ensure_ascii=False)),
    )
