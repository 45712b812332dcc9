"""The catalogue: one SQLite file that knows every photo t15 has met, what became of it, and what was decided about it.

Photos are in one of the states of STATES. Decisions (duplicate, label conflict, a reviewer's word) never change a photo's
row: they stand beside it, by stage, and a stage can be taken back whole.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from collector.errors import DataError
from collector.records import PHOTO_FIELDS, City, Photo, Region, Unusable
from collector.workspace import Workspace, storage_errors

SCHEMA_VERSION = 1
_APPLICATION_ID = (
    0x74313500  # "t15\0": marks the file as a catalogue, https://www.sqlite.org/fileformat.html#application_id
)

STATES = ("listed", "downloaded", "rejected", "failed", "withdrawn")
"""`listed`: a service has it, its bytes are not here. `downloaded`: stored and verified. `rejected`: no usable photo,
with the reason. `failed`: could not be fetched yet. `withdrawn`: taken down, and never collected again."""

# What a row holds of a photo: all but the two fields that dedup and split give it.
_STORED = tuple(name for name in PHOTO_FIELDS if name not in ("group_id", "split"))

_TABLES = f"""
CREATE TABLE regions (name TEXT PRIMARY KEY, title TEXT NOT NULL, note TEXT NOT NULL, cities TEXT NOT NULL) STRICT;
CREATE TABLE photos (
  photo_id TEXT PRIMARY KEY, city TEXT, latitude REAL, longitude REAL, taken_at TEXT, author_id TEXT, author_name TEXT,
  license TEXT, page_url TEXT, image_url TEXT, title TEXT, width INTEGER, height INTEGER, bytes INTEGER, sha256 TEXT,
  phash TEXT, dhash TEXT, hash_stamp TEXT,
  state TEXT NOT NULL CHECK (state IN {STATES!r}), reason TEXT, detail TEXT
) STRICT;
CREATE INDEX photos_by_state ON photos (state, city);
CREATE TABLE decisions (
  stage TEXT NOT NULL, photo_id TEXT NOT NULL, verdict TEXT NOT NULL, group_id TEXT, evidence TEXT NOT NULL,
  PRIMARY KEY (stage, photo_id)
) STRICT;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a stage decided about a photo. Verdicts other than `keep` leave the photo out of data sets."""

    photo_id: str
    verdict: str
    group_id: str | None
    evidence: Mapping[str, Any]


class Known(NamedTuple):
    """What the catalogue knows of a photo's bytes; the last two are None unless it is downloaded."""

    state: str
    city: str | None
    sha256: str | None
    bytes: int | None


class Catalogue:
    """An open catalogue. Each changing method is one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def remember_region(self, region: Region) -> None:
        """Store a region and its cities, so that later stages need no region file."""
        cities = json.dumps([asdict(city) for city in region.cities], ensure_ascii=False)
        with self._db:
            row = (region.name, region.title, region.note, cities)
            self._db.execute("INSERT OR REPLACE INTO regions VALUES (?, ?, ?, ?)", row)

    def regions(self) -> list[Region]:
        """Return the regions that photos were collected for, by name."""
        found = self._db.execute("SELECT name, title, note, cities FROM regions ORDER BY name").fetchall()
        return [
            Region(name, title, tuple(City(**{**c, "aliases": tuple(c["aliases"])}) for c in json.loads(cities)), note)
            for name, title, note, cities in found
        ]

    def add(self, photo: Photo, hash_stamp: str) -> None:
        """Record a photo as downloaded and verified; its bytes must be in the store already."""
        values = {name: value for name, value in zip(PHOTO_FIELDS, astuple(photo), strict=True) if name in _STORED}
        values["taken_at"] = photo.taken_at.isoformat() if photo.taken_at else None
        self._write({**values, "hash_stamp": hash_stamp, "state": "downloaded"})

    def reject(self, unusable: Unusable) -> None:
        """Record that something is no usable photo, with the reason."""
        self._write(
            {
                "photo_id": unusable.photo_id,
                "city": unusable.city,
                "state": "rejected",
                "reason": unusable.reason,
                "detail": unusable.detail,
            }
        )

    def _write(self, values: Mapping[str, Any]) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with self._db:
            self._db.execute(
                f"INSERT OR REPLACE INTO photos ({names}) VALUES ({marks})",  # noqa: S608 (names are this module's)
                tuple(values.values()),
            )

    def known(self, photo_id: str) -> Known | None:
        """Return what became of a photo, None when it was never met."""
        query = "SELECT state, city, sha256, bytes FROM photos WHERE photo_id = ?"
        row = self._db.execute(query, (photo_id,)).fetchone()
        return Known(*row) if row else None

    def downloaded(self) -> list[Photo]:
        """Return every downloaded photo, by photo_id."""
        return list(self._photos("WHERE state = 'downloaded'"))

    def clean(self) -> list[Photo]:
        """Return the downloaded photos that no stage decided against, by photo_id, with the group that dedup gave."""
        left_out = "SELECT photo_id FROM decisions WHERE verdict <> 'keep'"
        return list(self._photos(f"WHERE state = 'downloaded' AND photos.photo_id NOT IN ({left_out})"))

    def _photos(self, where: str) -> Iterator[Photo]:
        names = ", ".join(f"photos.{name}" for name in _STORED)
        query = (
            f"SELECT {names}, decisions.group_id FROM photos LEFT JOIN decisions "  # noqa: S608 (no outside text)
            f"ON decisions.photo_id = photos.photo_id AND decisions.stage = 'dedup' {where} ORDER BY photos.photo_id"
        )
        for row in self._db.execute(query):
            values = dict(zip((*_STORED, "group_id"), row, strict=True))
            taken_at = values.pop("taken_at")
            yield Photo(**values, taken_at=datetime.fromisoformat(taken_at) if taken_at else None)

    def hash_stamps(self) -> dict[str, str]:
        """Return the algorithm and versions of the hashes of each downloaded photo, by photo_id."""
        query = "SELECT photo_id, hash_stamp FROM photos WHERE state = 'downloaded' AND hash_stamp IS NOT NULL"
        return dict(self._db.execute(query).fetchall())

    def update_hashes(self, photo_id: str, phash: str | None, dhash: str | None, hash_stamp: str) -> None:
        """Replace a photo's hashes by those of another version."""
        with self._db:
            query = "UPDATE photos SET phash = ?, dhash = ?, hash_stamp = ? WHERE photo_id = ?"
            self._db.execute(query, (phash, dhash, hash_stamp, photo_id))

    def rejections(self) -> list[Unusable]:
        """Return everything that was rejected, by reason and detail."""
        query = "SELECT photo_id, reason, detail, city FROM photos WHERE state = 'rejected' ORDER BY reason, detail, photo_id"
        return [Unusable(*row) for row in self._db.execute(query)]

    def decide(self, stage: str, decisions: Iterable[Decision]) -> None:
        """Replace everything that `stage` decided before."""
        rows = [
            (stage, d.photo_id, d.verdict, d.group_id, json.dumps(dict(d.evidence), sort_keys=True)) for d in decisions
        ]
        with self._db:
            self._db.execute("DELETE FROM decisions WHERE stage = ?", (stage,))
            self._db.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", rows)

    def decisions(self, stage: str) -> list[Decision]:
        """Return what `stage` decided, by photo_id."""
        query = "SELECT photo_id, verdict, group_id, evidence FROM decisions WHERE stage = ? ORDER BY photo_id"
        return [Decision(p, v, g, json.loads(e)) for p, v, g, e in self._db.execute(query, (stage,))]

    def counts(self) -> dict[str, int]:
        """Return the number of photos in each state; states without photos are left out."""
        return dict(self._db.execute("SELECT state, count(*) FROM photos GROUP BY state ORDER BY state").fetchall())

    def rejected(self) -> dict[str, int]:
        """Return the number of rejected photos by reason, the commonest first."""
        query = "SELECT reason, count(*) FROM photos WHERE state = 'rejected' GROUP BY reason ORDER BY 2 DESC, 1"
        return dict(self._db.execute(query).fetchall())

    def content(self) -> list[tuple[Any, ...]]:
        """Return all photo rows in a fixed order: what two catalogues must agree on to be the same."""
        return self._db.execute("SELECT * FROM photos ORDER BY photo_id").fetchall()


@contextmanager
def open_catalogue(workspace: Workspace) -> Iterator[Catalogue]:
    """Open the workspace's catalogue, making it when it is missing.

    Raises:
        DataError: the file is no catalogue, or a newer t15 wrote it; it is left as it is.
        IncompleteError: the disk is full, or another process is writing.
        UsageError: the file cannot be opened for writing.
    """
    path = workspace.catalogue
    if path.is_dir():
        raise DataError(f"{path}: is a folder, not a catalogue; move it away, or choose another --workspace")
    with storage_errors(path):
        try:
            fresh = not path.exists() or path.stat().st_size == 0
            if not fresh:
                _check_version(path)
            connection = sqlite3.connect(path, timeout=10)
            try:
                # WAL with synchronous=NORMAL loses nothing to `kill -9`, and at most the last photos to a power cut.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                if fresh:
                    connection.executescript(f"BEGIN;{_TABLES}COMMIT;")
                yield Catalogue(connection)
            finally:
                connection.close()
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise  # a defect of the caller says nothing of the file
        except sqlite3.DatabaseError as error:
            # Operational errors are storage_errors' business, but for those that tell of the content: a text that is not
            # UTF-8 (raised by Python, without a code) and a missing table (SQLITE_ERROR).
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            if isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR:
                raise
            raise DataError(f"{path}: is damaged or no catalogue ({error}); move it away and collect again") from error


def _check_version(path: Path) -> None:
    # Read-only, so that a catalogue of a newer t15 stays untouched; immutable too where no write-ahead log has to be read,
    # since SQLite else puts one beside it.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, timeout=10)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()
    if application != _APPLICATION_ID:
        raise DataError(f"{path}: is an SQLite file, but no catalogue of t15; choose another --workspace")
    if version > SCHEMA_VERSION:
        raise DataError(
            f"{path}: was written by a newer t15 (schema {version}, this one knows {SCHEMA_VERSION}); install that t15"
        )
