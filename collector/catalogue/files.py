"""Tables beside the photos: which file of which folder each was read from, and what imported tables say of it besides."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from collector.providers.base import SeenFile

_TABLE = """
CREATE TABLE IF NOT EXISTS files (
  root BLOB NOT NULL, path BLOB NOT NULL, photo_id TEXT NOT NULL, content TEXT NOT NULL, gone INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (root, path)
) STRICT
"""
_FILES_BY_PHOTO = "CREATE INDEX IF NOT EXISTS files_by_photo ON files (photo_id)"
_STANDING = "verdict IS NOT NULL AND entry NOT IN (SELECT undoes FROM reviews WHERE undoes IS NOT NULL)"


_BESIDE = """
CREATE TABLE IF NOT EXISTS beside (
  photo_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (photo_id, name)
) STRICT
"""


class Beside:
    """What imported tables say of photos beside the columns that t15 knows: texts by name."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take an open catalogue's connection; the table is made when something is written."""
        self._db = connection

    def write(self, photo_id: str, values: Mapping[str, str]) -> None:
        """Replace what is known of a photo."""
        self._db.execute(_BESIDE)
        self._db.execute("DELETE FROM beside WHERE photo_id = ?", (photo_id,))
        rows = ((photo_id, name, value) for name, value in values.items())
        self._db.executemany("INSERT INTO beside VALUES (?, ?, ?)", rows)

    def forget(self, photo_id: str) -> None:
        """Forget what is known of a photo that was withdrawn."""
        if self._exists():
            self._db.execute("DELETE FROM beside WHERE photo_id = ?", (photo_id,))

    def columns(self) -> dict[str, dict[str, str]]:
        """Return everything: by name and photo_id."""
        found: dict[str, dict[str, str]] = {}
        if self._exists():
            for photo_id, name, value in self._db.execute(
                "SELECT photo_id, name, value FROM beside ORDER BY name, photo_id"
            ):
                found.setdefault(name, {})[photo_id] = value
        return found

    def _exists(self) -> bool:
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'beside'").fetchone() is not None


class KnownFile(NamedTuple):
    """A file of an earlier run; `gone` when it was missed already."""

    path: bytes
    photo_id: str
    content: str
    gone: bool


class Files:
    """The table of the files. Changes belong inside `Catalogue.together`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take an open catalogue's connection; the table is made by `of`."""
        self._db = connection

    def of(self, root: bytes) -> list[KnownFile]:
        """Return the files known of a root, by path."""
        self._db.execute(_TABLE)
        self._db.execute(_FILES_BY_PHOTO)
        rows = self._db.execute("SELECT path, photo_id, content, gone FROM files WHERE root = ? ORDER BY path", (root,))
        return [KnownFile(path, photo_id, content, bool(gone)) for path, photo_id, content, gone in rows]

    def names(self) -> dict[str, str]:
        """Return the file name of each photo that was read from a folder, by photo_id, for reading only."""
        self._db.execute(_TABLE)
        rows = self._db.execute("SELECT photo_id, path FROM files ORDER BY path")
        return {photo_id: path.rpartition(b"/")[2].decode("utf-8", "replace") for photo_id, path in rows}

    def roots(self) -> list[bytes]:
        """Return the roots that files are known of."""
        return [root for (root,) in self._db.execute("SELECT DISTINCT root FROM files ORDER BY root")]

    def record(self, root: bytes, files: Iterable[SeenFile]) -> None:
        """Write down where files are now."""
        rows = ((root, file.path, file.photo_id, file.content) for file in files)
        self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, 0)", rows)

    def miss(self, root: bytes, paths: Iterable[bytes]) -> None:
        """Note that files are not there any more; what they held stays known, should it turn up elsewhere."""
        self._db.executemany("UPDATE files SET gone = 1 WHERE root = ? AND path = ?", ((root, path) for path in paths))

    def forget(self, root: bytes, paths: Iterable[bytes] | None = None) -> None:
        """Forget some files of a root, or all."""
        if paths is None:
            self._db.execute("DELETE FROM files WHERE root = ?", (root,))
        else:
            self._db.executemany("DELETE FROM files WHERE root = ? AND path = ?", ((root, path) for path in paths))

    def forget_photo(self, photo_id: str) -> None:
        """Forget where a photo that was withdrawn came from."""
        self._db.execute(_TABLE)
        self._db.execute("DELETE FROM files WHERE photo_id = ?", (photo_id,))

    def present(self) -> frozenset[str]:
        """Return the ids of the photos whose file is there, in any root."""
        return frozenset(photo_id for (photo_id,) in self._db.execute("SELECT photo_id FROM files WHERE gone = 0"))

    def path_of(self, photo_id: str) -> str | None:
        """Return the path of the file that a photo was read from, below the folder that it was collected from."""
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'files'").fetchone():
            return None
        query = "SELECT path FROM files WHERE photo_id = ? AND gone = 0 ORDER BY root, path LIMIT 1"
        row = self._db.execute(query, (photo_id,)).fetchone()
        return bytes(row[0]).decode("utf-8", "replace") if row else None

    def drop_photo(self, photo_id: str) -> None:
        """Delete a photo's row and what was decided about it, but for its reviews."""
        self._db.execute("DELETE FROM photos WHERE photo_id = ?", (photo_id,))
        self._db.execute("DELETE FROM decisions WHERE photo_id = ?", (photo_id,))

    def rename_photo(self, old: str, new: str, *, same_city: bool) -> None:
        """Let a photo take another's place, with what reviewers decided about it.

        That its city is wrong was said of the old one: where the city changed, that word is taken back.
        """
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'reviews'").fetchone():
            self._db.execute("UPDATE reviews SET photo_id = ? WHERE photo_id = ?", (new, old))
            if not same_city:
                self._take_back_wrong_city(new)
            self._settle(new)
        self.drop_photo(old)

    def settle_moved(self, photo_id: str) -> None:
        """Take back what reviewers said of the city that a photo had before."""
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'reviews'").fetchone():
            self._take_back_wrong_city(photo_id)
            self._db.execute("DELETE FROM decisions WHERE stage = 'review' AND photo_id = ?", (photo_id,))
            self._settle(photo_id)

    def _settle(self, photo_id: str) -> None:
        for decision in self._standing(photo_id):
            self._db.execute("INSERT OR REPLACE INTO decisions VALUES ('review', ?, ?, NULL, ?)", (photo_id, *decision))

    def _take_back_wrong_city(self, photo_id: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        query = f"SELECT entry FROM reviews WHERE photo_id = ? AND verdict = 'wrong-city' AND {_STANDING}"  # noqa: S608
        for (entry,) in self._db.execute(query, (photo_id,)).fetchall():
            self._db.execute(
                "INSERT INTO reviews (photo_id, undoes, reviewer, at) VALUES (?, ?, 't15 collect', ?)",
                (photo_id, entry, now),
            )

    def _standing(self, photo_id: str) -> Iterator[tuple[str, str]]:
        """Yield verdict and evidence of the review that stands, where one does."""
        query = (
            f"SELECT verdict, reviewer, at, right_city FROM reviews WHERE photo_id = ? AND {_STANDING} "  # noqa: S608
            "ORDER BY entry DESC LIMIT 1"
        )
        for verdict, reviewer, at, right_city in self._db.execute(query, (photo_id,)).fetchall():
            evidence = {"reviewer": reviewer, "at": at} | ({"right_city": right_city} if right_city else {})
            yield verdict, json.dumps(evidence, sort_keys=True, ensure_ascii=False)
