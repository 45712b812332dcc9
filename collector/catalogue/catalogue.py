"""The catalogue: one SQLite file that knows every photo t15 has met, what became of it, and what was decided about it.

Photos are in one of the states of STATES. Decisions (duplicate, label conflict, a reviewer's word) never change a photo's
row: they stand beside it, by stage, and a stage can be taken back whole. `database.py` holds the tables, `ledger.py` what
was asked of which service, `files.py` which file of which folder each photo was read from, so that a later run can tell what
moved, changed or is gone.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from collector.catalogue.database import SCHEMA_VERSION, STATES, open_database
from collector.catalogue.files import Beside, Files
from collector.catalogue.ledger import Ledger
from collector.manifest.photo_rows import PhotoRows
from collector.records import PHOTO_FIELDS, City, Label, Photo, Region, Unusable
from collector.workspace import Workspace

__all__ = ["PLACE_REASONS", "SCHEMA_VERSION", "STATES", "Catalogue", "Decision", "Known", "Waiting", "open_catalogue"]

PLACE_REASONS = ("no-city", "unknown-city", "outside-city", "outside-area", "labelled-elsewhere")
"""Reasons that hold for one region's cities only: a photo that another region has keeps its place in the catalogue."""

_NOT_KEPT = "photo_id NOT IN (SELECT photo_id FROM decisions WHERE stage = 'review' AND verdict = 'keep')"

_OF_PROVIDER = "photos.photo_id >= ? AND photos.photo_id < ?"  # with `_ids_of`: the index of ids serves it

# A reviewer who says that a city is wrong may say which is right: then the photo is of that one.
_RIGHT_CITY = (
    "CASE WHEN {0}.stage = 'review' AND {0}.verdict = 'wrong-city' AND json_valid({0}.evidence) "
    "THEN json_extract({0}.evidence, '$.right_city') END"
)
_AGAINST = f"verdict <> 'keep' AND {_RIGHT_CITY.format('decisions')} IS NULL AND {_NOT_KEPT}"

# What a row holds of a photo: all but the fields that dedup and split give it.
_STORED = tuple(name for name in PHOTO_FIELDS if name not in ("group_id", "split", "label"))

_BLOCK = 512  # decisions that are read at a time

_READ_BY_PEOPLE = ("author_name", "page_url", "image_url", "title")

# What providers tell of a photo, and its bytes do not.
_TOLD = (
    "latitude", "longitude", "taken_at", "author_id", "author_name", "license", "page_url", "title", "heading",
    "position_accuracy_m", "sequence_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decision:
    """What a stage decided about a photo. Verdicts other than `keep` leave the photo out of data sets."""

    photo_id: str
    verdict: str
    group_id: str | None
    evidence: Mapping[str, Any]


class Known(NamedTuple):
    """What the catalogue knows of a photo; `sha256` and `bytes` are None unless it is downloaded."""

    state: str
    city: str | None
    sha256: str | None
    bytes: int | None
    image_url: str | None = None


class Waiting(NamedTuple):
    """A photo that was listed, and what became of it since.

    Attributes:
        photo: as it was listed (and measured, when it is downloaded).
        state: `listed`, `downloaded`, `failed` or `rejected` (after its bytes were looked at).
        attempts: how often its bytes were asked for in vain.
        next_try: when a failed one may be asked for again, UTC; None: at once.
        reason: why it failed or was rejected; empty else.
    """

    photo: Photo
    state: str
    attempts: int
    next_try: datetime | None
    reason: str = ""


class Catalogue:
    """An open catalogue. Each changing method is one transaction, unless several are put `together`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._depth = 0
        self.ledger = Ledger(connection)
        self.files = Files(connection)
        self.beside = Beside(connection)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of everything changed inside: all of it is kept, or nothing."""
        self._depth += 1
        try:
            if self._depth > 1:
                yield
            else:
                with self._db:
                    yield
        finally:
            self._depth -= 1

    def remember_region(self, region: Region) -> None:
        """Store a region and its cities, so that later stages need no region file."""
        cities, labels = (
            json.dumps([asdict(one) for one in several], ensure_ascii=False)
            for several in (region.cities, region.labels)
        )
        with self.together():
            row = (region.name, region.title, region.note, cities, labels)
            self._db.execute(
                "INSERT OR REPLACE INTO regions (name, title, note, cities, labels) VALUES (?, ?, ?, ?, ?)", row
            )
            self._db.execute("CREATE TABLE IF NOT EXISTS labelled_regions (name TEXT PRIMARY KEY) STRICT")
            self._db.execute("DELETE FROM labelled_regions WHERE name = ?", (region.name,))
            if not region.nearest:
                self._db.execute("INSERT INTO labelled_regions VALUES (?)", (region.name,))

    def regions(self) -> list[Region]:
        """Return the regions that photos were collected for, by name."""
        rows = self._db.execute("SELECT name, title, note, cities, labels FROM regions ORDER BY name").fetchall()
        there = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'labelled_regions'").fetchone()
        labelled = {name for (name,) in self._db.execute("SELECT name FROM labelled_regions")} if there else set()
        return [
            Region(
                *(name, title, tuple(map(_city, json.loads(cities))), note, tuple(map(_label, json.loads(labels)))),
                nearest=name not in labelled,
            )
            for name, title, note, cities, labels in rows
        ]

    def add(self, photo: Photo, hash_stamp: str) -> None:
        """Record a photo as downloaded and verified; its bytes must be in the store already."""
        self._write({**_values(photo), "hash_stamp": hash_stamp, "state": "downloaded"})

    def describe(self, photo: Photo) -> tuple[str, ...]:
        """Replace what a provider tells of a downloaded photo (`_TOLD`), and return the names of what that changed."""
        values = {name: value for name, value in _values(photo).items() if name in _TOLD}
        query = f"SELECT {', '.join(values)} FROM photos WHERE photo_id = ? AND state = 'downloaded'"  # noqa: S608 (own names)
        row = self._db.execute(query, (photo.photo_id,)).fetchone()
        if row is None:
            return ()
        changed = {name: value for (name, value), old in zip(values.items(), row, strict=True) if value != old}
        if changed:
            with self.together():
                sets = ", ".join(f"{name} = ?" for name in changed)
                query = f"UPDATE photos SET {sets} WHERE photo_id = ?"  # noqa: S608 (own names)
                self._db.execute(query, (*changed.values(), photo.photo_id))
        return tuple(changed)

    def relabel(self, photo: Photo) -> bool:
        """Put a downloaded photo under the city that its source says now, and return whether it had another.

        That its city is wrong was said of the old one: a reviewer's word about it is taken back.
        """
        known = self.known(photo.photo_id)
        if known is None or known.state != "downloaded" or known.city == photo.city:
            return False
        with self.together():
            self._db.execute("UPDATE photos SET city = ? WHERE photo_id = ?", (photo.city, photo.photo_id))
            self.files.settle_moved(photo.photo_id)
        return True

    def list_photo(self, photo: Photo) -> None:
        """Record that a service has a photo, whose bytes are not here; whatever was known of it is replaced."""
        self._write({**_values(photo), "state": "listed"})

    def reject(self, unusable: Unusable, *, attempts: int = 0) -> None:
        """Record that something is no usable photo, with the reason; `attempts` is 1 when its bytes were looked at."""
        self._set(unusable.photo_id, unusable.city, "rejected", unusable.reason, unusable.detail, attempts, None)

    def outcome(self, photo_id: str) -> tuple[str, str, str, int] | None:
        """Return state, reason, detail and attempts of a photo, None when it was never met."""
        query = "SELECT state, coalesce(reason, ''), coalesce(detail, ''), attempts FROM photos WHERE photo_id = ?"
        row = self._db.execute(query, (photo_id,)).fetchone()
        return (str(row[0]), str(row[1]), str(row[2]), int(row[3])) if row else None

    def fail(self, photo: Photo, reason: str, detail: str, attempts: int, next_try: datetime) -> None:
        """Record that a photo's bytes could not be fetched, how often that was, and when to try again (UTC)."""
        moment = next_try.isoformat()
        self._set(photo.photo_id, photo.city, "failed", reason, detail, attempts, moment)

    def _set(
        self, photo_id: str, city: str | None, state: str, reason: str, detail: str, attempts: int, next_try: str | None
    ) -> None:
        """Change a photo's state; what a listing told of it stays, what its bytes told goes."""
        with self.together():
            self._db.execute(
                "INSERT INTO photos (photo_id, city, state, reason, detail, attempts, next_try) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (photo_id) DO UPDATE SET city = coalesce(excluded.city, city), state = excluded.state, "
                "reason = excluded.reason, detail = excluded.detail, attempts = excluded.attempts, "
                "next_try = excluded.next_try, bytes = NULL, sha256 = NULL, phash = NULL, dhash = NULL, hash_stamp = NULL",
                (photo_id, city, state, reason, detail, attempts, next_try),
            )

    def _write(self, values: Mapping[str, Any]) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with self.together():
            self._db.execute(
                f"INSERT OR REPLACE INTO photos ({names}) VALUES ({marks})",  # noqa: S608 (names are this module's)
                tuple(values.values()),
            )

    def known(self, photo_id: str) -> Known | None:
        """Return what became of a photo, None when it was never met."""
        query = "SELECT state, city, sha256, bytes, image_url FROM photos WHERE photo_id = ?"
        row = self._db.execute(query, (photo_id,)).fetchone()
        return Known(*row) if row else None

    def judged(self, provider: str, city: str) -> frozenset[str]:
        """Return the ids of a provider's things that were met and need not be described again for this city.

        What was rejected for its place by the listing of another city may lie in this one.
        """
        query = (
            f"SELECT photo_id FROM photos WHERE {_OF_PROVIDER} AND NOT (state = 'rejected' "  # noqa: S608
            f"AND reason IN {PLACE_REASONS!r} AND city IS NOT ?)"
        )
        return frozenset(photo_id for (photo_id,) in self._db.execute(query, (*_ids_of(provider), city)))

    def is_judged(self, photo_id: str, city: str) -> bool:
        """Return whether a photo is one of `judged`."""
        query = "SELECT state, reason, city FROM photos WHERE photo_id = ?"
        row = self._db.execute(query, (photo_id,)).fetchone()
        return row is not None and not (row[0] == "rejected" and row[1] in PLACE_REASONS and row[2] != city)

    def of_other_cities(self, provider: str, city: str, south: float, north: float) -> list[Photo]:
        """Return a provider's photos that stand under another city and lie between two degrees of latitude."""
        where = (
            f"WHERE {_OF_PROVIDER} AND city <> ? AND latitude BETWEEN ? AND ? "
            "AND +state IN ('listed', 'downloaded', 'failed')"
        )
        return list(self._photos(where, (*_ids_of(provider), city, south, north)))

    def downloaded(self) -> list[Photo]:
        """Return every downloaded photo, by photo_id, under the city that a reviewer calls the right one."""
        return list(self._photos("WHERE state = 'downloaded'", reviewed=True))

    def clean(self) -> list[Photo]:
        """Return the downloaded photos that no stage decided against, by photo_id, with the group that dedup gave.

        A reviewer's `keep` outweighs what the other stages decided, and where one says which city is right, a photo is of
        that city.
        """
        left_out = f"SELECT photo_id FROM decisions WHERE {_AGAINST}"  # noqa: S608
        return list(self._photos(f"WHERE state = 'downloaded' AND photos.photo_id NOT IN ({left_out})", reviewed=True))

    def downloaded_rows(self, *, light: bool = False) -> PhotoRows:
        """Return what `downloaded` does as columns; `light`: texts that only people read are blank where there are any."""
        return self._photo_rows("WHERE state = 'downloaded'", light=light)

    def clean_rows(self) -> PhotoRows:
        """Return what `clean` does as columns."""
        left_out = f"SELECT photo_id FROM decisions WHERE {_AGAINST}"  # noqa: S608
        return self._photo_rows(f"WHERE state = 'downloaded' AND photos.photo_id NOT IN ({left_out})")

    def _photo_rows(self, where: str, *, light: bool = False) -> PhotoRows:
        names = list(_STORED)
        query = self._query(where, reviewed=True, blank=_READ_BY_PEOPLE if light else ())
        order = [
            names.index(name) if name in names else len(names) if name == "group_id" else -1 for name in PHOTO_FIELDS
        ]
        at = PHOTO_FIELDS.index("taken_at")

        def values() -> Iterator[list[Any]]:
            for row in self._db.execute(query):
                found: list[Any] = [row[of] if of >= 0 else None for of in order]
                found[at] = datetime.fromisoformat(found[at]) if found[at] else None
                yield found

        return PhotoRows.of_values(values())

    def photo(self, photo_id: str) -> Photo | None:
        """Return a downloaded photo, None when there is none of this id."""
        where = "WHERE photos.photo_id = ? AND state = 'downloaded'"
        return next(self._photos(where, (photo_id,), reviewed=True), None)

    def name_of(self, photo_id: str) -> str:
        """Return what people call a photo: its file, else its title, else its id. Hostile text."""
        row = self._db.execute("SELECT title FROM photos WHERE photo_id = ?", (photo_id,)).fetchone()
        return self.files.path_of(photo_id) or (row and row[0]) or photo_id

    def licences(self) -> dict[str, str]:
        """Return the licence of each downloaded photo, by photo_id."""
        return dict(self._db.execute("SELECT photo_id, license FROM photos WHERE state = 'downloaded'"))

    def names_of(self, photo_ids: Iterable[str]) -> dict[str, str]:
        """Return `name_of` each of these photos, by photo_id."""
        return {photo_id: self.name_of(photo_id) for photo_id in photo_ids}

    def relabelled(self) -> dict[str, tuple[str, str]]:
        """Return, by photo_id, the city of the downloaded photos that reviewers moved to another, and when (ISO 8601)."""
        query = (
            "SELECT photos.photo_id, photos.city, coalesce(json_extract(said.evidence, '$.at'), '') FROM photos "  # noqa: S608 (constants)
            "JOIN decisions said ON said.photo_id = photos.photo_id AND said.stage = 'review' "
            f"WHERE state = 'downloaded' AND {_RIGHT_CITY.format('said')} IS NOT NULL ORDER BY photos.photo_id"
        )
        return {photo_id: (city, at) for photo_id, city, at in self._db.execute(query)}

    def listing(self, city: str, provider: str) -> list[Waiting]:
        """Return what a provider has listed for a city and may be had, whatever became of it since, by photo_id."""
        condition = (
            f"WHERE city = ? AND {_OF_PROVIDER} "
            "AND (+state IN ('listed', 'downloaded', 'failed') OR +state = 'rejected' AND attempts > 0)"
        )
        states = self._db.execute(
            f"SELECT state, attempts, next_try, coalesce(reason, '') FROM photos {condition} ORDER BY photo_id",  # noqa: S608 (no outside text)
            (city, *_ids_of(provider)),
        )
        photos = self._photos(condition, (city, *_ids_of(provider)))
        return [
            Waiting(photo, state, attempts, datetime.fromisoformat(next_try) if next_try else None, reason)
            for photo, (state, attempts, next_try, reason) in zip(photos, states, strict=True)
        ]

    def downloads_by_author(self, city: str) -> list[tuple[str, str | None]]:
        """Return photo_id and author_id of a city's downloaded photos, whichever provider they are of."""
        query = "SELECT photo_id, author_id FROM photos WHERE state = 'downloaded' AND city = ? ORDER BY photo_id"
        return self._db.execute(query, (city,)).fetchall()

    def _photos(self, where: str, values: tuple[Any, ...] = (), *, reviewed: bool = False) -> Iterator[Photo]:
        for row in self._db.execute(self._query(where, reviewed=reviewed), values):
            found = dict(zip((*_STORED, "group_id"), row, strict=True))
            taken_at = found.pop("taken_at")
            yield Photo(**found, taken_at=datetime.fromisoformat(taken_at) if taken_at else None)

    def _query(self, where: str, *, reviewed: bool, blank: Sequence[str] = ()) -> str:
        """Return the query of photos, by photo_id; of texts in `blank` is told only whether there is one."""
        city = f"coalesce({_RIGHT_CITY.format('said')}, photos.city)" if reviewed else "photos.city"
        columns = {name: f"photos.{name}" for name in _STORED} | {"city": city}
        columns |= {name: f"iif(photos.{name} IS NULL, NULL, '')" for name in blank}
        said = (
            "LEFT JOIN decisions said ON said.photo_id = photos.photo_id AND said.stage = 'review'" if reviewed else ""
        )
        return (
            f"SELECT {', '.join(columns.values())}, decisions.group_id FROM photos LEFT JOIN decisions "  # noqa: S608 (no outside text)
            f"ON decisions.photo_id = photos.photo_id AND decisions.stage = 'dedup' {said} {where} ORDER BY photos.photo_id"
        )

    def with_other_hashes(self, hash_stamp: str) -> list[tuple[str, str]]:
        """Return photo_id and sha256 of the downloaded photos whose hashes are of another algorithm or version."""
        query = (
            "SELECT photo_id, sha256 FROM photos WHERE state = 'downloaded' AND hash_stamp IS NOT NULL AND hash_stamp <> ? "
            "ORDER BY photo_id"
        )
        return self._db.execute(query, (hash_stamp,)).fetchall()

    def hash_stamps(self) -> dict[str, str]:
        """Return the algorithm and versions of the hashes of each downloaded photo, by photo_id."""
        query = "SELECT photo_id, hash_stamp FROM photos WHERE state = 'downloaded' AND hash_stamp IS NOT NULL"
        return dict(self._db.execute(query).fetchall())

    def update_hashes(self, photo_id: str, phash: str | None, dhash: str | None, hash_stamp: str) -> None:
        """Replace a photo's hashes by those of another version."""
        with self.together():
            query = "UPDATE photos SET phash = ?, dhash = ?, hash_stamp = ? WHERE photo_id = ?"
            self._db.execute(query, (phash, dhash, hash_stamp, photo_id))

    def rejections(self) -> list[Unusable]:
        """Return everything that was rejected, by reason and detail."""
        query = "SELECT photo_id, reason, detail, city FROM photos WHERE state = 'rejected' ORDER BY reason, detail, photo_id"
        return [Unusable(*row) for row in self._db.execute(query)]

    def withdraw(self, kind: str, ids: Iterable[str], reason: str, at: datetime) -> list[Photo]:
        """Put photos or authors (`kind`) on the list of the withdrawn and return the photos that this takes down.

        Their rows keep the id and the author alone: what was withdrawn is not described either.
        """
        column = {"photo": "photo_id", "author": "author_id"}[kind]
        photos: list[Photo] = []
        # The review keeps its history in a table of its own (review/decisions.py), which is there after the first one.
        reviewed = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'reviews'").fetchone()
        with self.together():
            for one in ids:
                row = (kind, one, reason, at.isoformat())
                self._db.execute("INSERT OR IGNORE INTO withdrawals VALUES (?, ?, ?, ?)", row)
                photos += self._photos(f"WHERE photos.{column} = ? AND state <> 'withdrawn'", (one,))
            for photo in photos:
                self._write({"photo_id": photo.photo_id, "author_id": photo.author_id, "state": "withdrawn"})
                self._db.execute("DELETE FROM decisions WHERE photo_id = ?", (photo.photo_id,))
                self.files.forget_photo(photo.photo_id)
                self.beside.forget(photo.photo_id)
                if reviewed:
                    self._db.execute("DELETE FROM reviews WHERE photo_id = ?", (photo.photo_id,))
        return photos

    def with_bytes(self, digests: Iterable[str]) -> list[str]:
        """Return the ids of the photos whose bytes have one of these sha256."""
        query = "SELECT photo_id FROM photos WHERE sha256 = ? ORDER BY photo_id"
        return [photo_id for one in sorted(digests) for (photo_id,) in self._db.execute(query, (one,))]

    def has_author(self, author_id: str) -> bool:
        """Return whether any photo is of this author."""
        query = "SELECT 1 FROM photos WHERE author_id = ? LIMIT 1"
        return self._db.execute(query, (author_id,)).fetchone() is not None

    def withdrawals(self) -> list[tuple[str, str, str, str]]:
        """Return the list of the withdrawn: kind (`photo` or `author`), id, reason, and when (ISO 8601), by kind and id."""
        return self._db.execute("SELECT kind, id, reason, at FROM withdrawals ORDER BY kind, id").fetchall()

    def decide(self, stage: str, decisions: Iterable[Decision]) -> None:
        """Replace everything that `stage` decided before."""
        rows = _rows(stage, decisions)
        with self.together():
            self._db.execute("DELETE FROM decisions WHERE stage = ?", (stage,))
            self._db.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", rows)

    def amend(self, stage: str, decisions: Iterable[Decision]) -> None:
        """Replace what `stage` decided about these photos, and leave what it decided about others."""
        with self.together():
            self._db.executemany("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?)", _rows(stage, decisions))

    def decisions(self, stage: str) -> list[Decision]:
        """Return what `stage` decided, by photo_id."""
        query = "SELECT photo_id, verdict, group_id, evidence FROM decisions WHERE stage = ? ORDER BY photo_id"
        return [Decision(p, v, g, json.loads(e)) for p, v, g, e in self._db.execute(query, (stage,))]

    def each_decision(self, stage: str) -> Iterator[Decision]:
        """Yield what `decisions` returns, a block at a time; those that came already may be changed meanwhile."""
        query = (
            "SELECT photo_id, verdict, group_id, evidence FROM decisions WHERE stage = ? AND photo_id > ? "
            "ORDER BY photo_id LIMIT ?"
        )
        last = ""
        while rows := self._db.execute(query, (stage, last, _BLOCK)).fetchall():
            yield from (Decision(p, v, g, json.loads(e)) for p, v, g, e in rows)
            last = rows[-1][0]

    def retract(self, stage: str, photo_ids: Iterable[str]) -> None:
        """Take back what `stage` decided about these photos."""
        with self.together():
            rows = ((stage, photo_id) for photo_id in photo_ids)
            self._db.executemany("DELETE FROM decisions WHERE stage = ? AND photo_id = ?", rows)

    def first_decision(self, stage: str) -> Decision | None:
        """Return one of what `stage` decided, that of the first photo_id; None where it decided nothing."""
        query = "SELECT photo_id, verdict, group_id, evidence FROM decisions WHERE stage = ? ORDER BY photo_id LIMIT 1"
        rows = self._db.execute(query, (stage,)).fetchall()
        return next((Decision(p, v, g, json.loads(e)) for p, v, g, e in rows), None)

    def is_undecided(self, stage: str) -> bool:
        """Return whether `stage` decided nothing about some downloaded photo."""
        query = (
            "SELECT 1 FROM photos WHERE state = 'downloaded' AND NOT EXISTS (SELECT 1 FROM decisions "
            "WHERE decisions.stage = ? AND decisions.photo_id = photos.photo_id) LIMIT 1"
        )
        return self._db.execute(query, (stage,)).fetchone() is not None

    def stamps_of_hashes(self) -> dict[str, str] | str:
        """Return what `hash_stamps` does; where all downloaded photos have the same, only that."""
        query = "SELECT min(hash_stamp), max(hash_stamp), count(hash_stamp) = count(*) FROM photos WHERE state = 'downloaded'"
        least, most, all_have = self._db.execute(query).fetchone()
        return str(least) if least is not None and least == most and all_have else self.hash_stamps()

    def decided_against(self, but: str) -> frozenset[str]:
        """Return the ids of photos that a stage other than `but` left out, and no reviewer kept all the same."""
        query = f"SELECT photo_id FROM decisions WHERE stage <> ? AND {_AGAINST}"  # noqa: S608
        return frozenset(photo_id for (photo_id,) in self._db.execute(query, (but,)))

    def counts(self) -> dict[str, int]:
        """Return the number of photos in each state; states without photos are left out."""
        return dict(self._db.execute("SELECT state, count(*) FROM photos GROUP BY state ORDER BY state").fetchall())

    def rejected(self) -> dict[str, int]:
        """Return the number of rejected photos by reason, the commonest first."""
        query = "SELECT reason, count(*) FROM photos WHERE state = 'rejected' GROUP BY reason ORDER BY 2 DESC, 1"
        return dict(self._db.execute(query).fetchall())

    def reasons(self) -> set[str]:
        """Return the reasons for which photos failed or were rejected."""
        query = "SELECT DISTINCT reason FROM photos WHERE state IN ('failed', 'rejected')"
        return {str(reason) for (reason,) in self._db.execute(query)}

    def rejected_by_listing(self, provider: str, reasons: Iterable[str]) -> frozenset[str]:
        """Return the ids of a provider's things that its listing, not their bytes, had rejected for one of these reasons."""
        query = (
            f"SELECT photo_id FROM photos WHERE state = 'rejected' AND attempts = 0 AND {_OF_PROVIDER} "  # noqa: S608
            "AND reason IN (SELECT value FROM json_each(?))"
        )
        rows = self._db.execute(query, (*_ids_of(provider), json.dumps(sorted(reasons))))
        return frozenset(photo_id for (photo_id,) in rows)

    def content(self) -> list[tuple[Any, ...]]:
        """Return all photo rows in a fixed order: what two catalogues must agree on to be the same.

        When a failed photo is to be tried again is left out: it depends on the clock.
        """
        names = ", ".join((*_STORED, "hash_stamp", "state", "reason", "detail", "attempts"))
        return self._db.execute(f"SELECT {names} FROM photos ORDER BY photo_id").fetchall()  # noqa: S608 (own names)


def _ids_of(provider: str) -> tuple[str, str]:
    """Return from which id on, and up to which, those of a provider lie; ";" is the character after ":"."""
    return f"{provider}:", f"{provider};"


def _city(data: Mapping[str, Any]) -> City:
    return City(**{**data, "aliases": tuple(data["aliases"])})


def _label(data: Mapping[str, Any]) -> Label:
    outline = data["polygon"]
    return Label(**{**data, "polygon": outline and tuple((corner[0], corner[1]) for corner in outline)})


def _rows(stage: str, decisions: Iterable[Decision]) -> Iterator[tuple[str, str, str, str | None, str]]:
    return ((stage, d.photo_id, d.verdict, d.group_id, json.dumps(dict(d.evidence), sort_keys=True)) for d in decisions)


def _values(photo: Photo) -> dict[str, Any]:
    values = {name: getattr(photo, name) for name in _STORED}
    values["taken_at"] = photo.taken_at.isoformat() if photo.taken_at else None
    return values


@contextmanager
def open_catalogue(workspace: Workspace) -> Iterator[Catalogue]:
    """Open the workspace's catalogue, making it when it is missing.

    Raises:
        DataError: the file is no catalogue, or a newer t15 wrote it; it is left as it is.
        IncompleteError: the disk is full, or another process is writing.
        UsageError: the file cannot be opened for writing.
    """
    with open_database(workspace.catalogue) as connection:
        yield Catalogue(connection)
