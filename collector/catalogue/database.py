"""The catalogue as a file: its tables, its versions, and what is refused."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from collector.catalogue import ledger
from collector.errors import DataError
from collector.progress import note
from collector.workspace import storage_errors

SCHEMA_VERSION = 5
_APPLICATION_ID = (
    0x74313500  # "t15\0": marks the file as a catalogue, https://www.sqlite.org/fileformat.html#application_id
)

STATES = ("listed", "downloaded", "rejected", "failed", "withdrawn")
"""`listed`: a service has it, its bytes are not here. `downloaded`: stored and verified. `rejected`: no usable photo,
with the reason. `failed`: could not be fetched yet, with the reason and when to try again. `withdrawn`: taken out on
request, and never collected again."""

_ADDED_IN_2 = f"""
CREATE TABLE withdrawals (
  kind TEXT NOT NULL CHECK (kind IN ('photo', 'author')), id TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT;
{ledger.TABLES}
"""

# One for each question that a command asks of a table that grows with the photos (tests/collector/catalogue/test_plans.py).
_INDEXES = """
CREATE INDEX IF NOT EXISTS photos_in_order ON photos (state, photo_id);
CREATE INDEX IF NOT EXISTS photos_of_city ON photos (city, photo_id);
CREATE INDEX IF NOT EXISTS photos_by_author ON photos (author_id) WHERE author_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS photos_by_bytes ON photos (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX IF NOT EXISTS decisions_by_photo ON decisions (photo_id);
"""

_TABLES = f"""
CREATE TABLE regions (
  name TEXT PRIMARY KEY, title TEXT NOT NULL, note TEXT NOT NULL, cities TEXT NOT NULL, labels TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE photos (
  photo_id TEXT PRIMARY KEY, city TEXT, latitude REAL, longitude REAL, taken_at TEXT, author_id TEXT, author_name TEXT,
  license TEXT, page_url TEXT, image_url TEXT, title TEXT, width INTEGER, height INTEGER, bytes INTEGER, sha256 TEXT,
  phash TEXT, dhash TEXT, hash_stamp TEXT, heading REAL, sequence_id TEXT, position_accuracy_m REAL,
  state TEXT NOT NULL CHECK (state IN {STATES!r}), reason TEXT, detail TEXT,
  attempts INTEGER NOT NULL DEFAULT 0, next_try TEXT
) STRICT;
CREATE INDEX photos_by_state ON photos (state, city);
CREATE TABLE decisions (
  stage TEXT NOT NULL, photo_id TEXT NOT NULL, verdict TEXT NOT NULL, group_id TEXT, evidence TEXT NOT NULL,
  PRIMARY KEY (stage, photo_id)
) STRICT;
{_INDEXES}
{_ADDED_IN_2}
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

# Until version 4 a refusal that passes was a verdict on the photo: 403 and every other 4xx but 404, 410 and 451, a redirect
# to a login, a page under image/jpeg, a limit told in a body. Harmless where it was none: it is asked once more.
_GIVEN_UP_TOO_SOON = """state = 'rejected' AND attempts > 0 AND photo_id NOT LIKE 'folder:%' AND detail NOT LIKE '%http-451%'
    AND (reason IN ('refused', 'redirects', 'forbidden-host', 'unexpected-answer', 'no-picture')
         OR reason LIKE 'http-%' OR reason LIKE 'error-%'
         OR reason = 'unreadable' AND detail LIKE '%is no picture in one of%')"""

_MIGRATIONS = {
    1: f"""
    ALTER TABLE photos ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE photos ADD COLUMN next_try TEXT;
    {_ADDED_IN_2}
    PRAGMA user_version = 2;
    """,
    2: """
    ALTER TABLE photos ADD COLUMN heading REAL;
    ALTER TABLE photos ADD COLUMN sequence_id TEXT;
    ALTER TABLE photos ADD COLUMN position_accuracy_m REAL;
    ALTER TABLE regions ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
    PRAGMA user_version = 3;
    """,
    3: f"""
    UPDATE photos SET state = 'failed', attempts = 0, next_try = NULL WHERE {_GIVEN_UP_TOO_SOON};
    PRAGMA user_version = 4;
    """,  # noqa: S608 (own text)
    4: f"""
    {_INDEXES}
    PRAGMA user_version = 5;
    """,
}
"""What turns a catalogue of a version into one of the next."""


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the catalogue file, making it when it is missing and bringing one of an older t15 up to date.

    One that this user may not write to is opened for reading: of an older t15, a copy that goes with the connection.

    Raises:
        DataError: the file is no catalogue, or a newer t15 wrote it; it is left as it is.
        IncompleteError: the disk is full, or another process is writing.
        UsageError: the file cannot be opened, or is written to and must not be.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder, not a catalogue; move it away, or choose another --workspace")
    with storage_errors(path):
        try:
            version = 0 if not path.exists() or path.stat().st_size == 0 else _version(path)
            with closing(
                _for_reading(path) if version and not _is_writable(path) else _for_writing(path)
            ) as connection:
                if version == 0:
                    connection.executescript(f"BEGIN;{_TABLES}COMMIT;")
                if version:
                    _bring_up_to_date(connection, path, version)
                yield connection
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a defect of the caller says nothing of the file
        except sqlite3.DatabaseError as error:
            # Operational errors are storage_errors' business, but for those that tell of the content: a text that is not
            # UTF-8 (raised by Python, without a code) and a missing table (SQLITE_ERROR).
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
                raise
            raise DataError(f"{path}: is damaged or no catalogue ({error}); move it away and collect again") from error


def copy_database(path: Path, target: Path) -> None:
    """Copy a catalogue file as it is now; nothing is written beside it.

    Raises:
        DataError: it is damaged.
    """
    with storage_errors(path), closing(_untouched(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _bring_up_to_date(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Migrate a catalogue of an older version, and say which photos are asked for again because of it."""
    for step in range(max(version, 1), SCHEMA_VERSION):
        query = f"SELECT reason, count(*) FROM photos WHERE {_GIVEN_UP_TOO_SOON} GROUP BY reason ORDER BY reason"  # noqa: S608
        reopened = connection.execute(query).fetchall() if step == 3 else []
        connection.executescript(f"BEGIN IMMEDIATE;{_MIGRATIONS[step]}COMMIT;")
        if reopened:
            reasons = ", ".join(f"{reason} {number}" for reason, number in reopened)
            note(
                f"{path}: {sum(number for _, number in reopened)} photos were given up after a refusal that may have passed "
                f"({reasons}); the next `t15 collect` asks for them again"
            )


def _is_writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)  # SQLite's write-ahead log lies beside the file


def _for_writing(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10)
    try:
        # WAL with synchronous=NORMAL loses nothing to `kill -9`, and at most the last photos to a power cut.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # What is withdrawn is overwritten, not only forgotten.
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _for_reading(path: Path) -> sqlite3.Connection:
    """Open the file as it is; one of an older t15 as a copy, which SQLite keeps in a temporary file of its own."""
    source = _untouched(path)
    if source.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
        return source
    with closing(source):
        copy = sqlite3.connect("")
        source.backup(copy)
        return copy


def _untouched(path: Path) -> sqlite3.Connection:
    # Immutable where no write-ahead log has to be read, since SQLite else puts one beside the file.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=10)


def _version(path: Path) -> int:
    with closing(_untouched(path)) as connection:  # so that a catalogue of a newer t15 stays as it is
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application != _APPLICATION_ID:
        raise DataError(f"{path}: is an SQLite file, but no catalogue of t15; choose another --workspace")
    if version > SCHEMA_VERSION:
        raise DataError(
            f"{path}: was written by a newer t15 (schema {version}, this one knows {SCHEMA_VERSION}); install that t15"
        )
    return version
