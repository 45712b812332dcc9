"""What was found out about photos and is worth keeping: a table of SQLite in the cache, by a key of digests.

What a run had written down when it was stopped is there for the next. Memory does not grow with what is kept.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_NO_TABLE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Kept:
    """Values of plain JSON by key, as they were written down in any run before; to be closed, as by `with`."""

    def __init__(self, path: Path, is_whole: Callable[[Any], bool]) -> None:
        """Open what is kept at `path`; what is not `is_whole` is passed over, and what is no table is begun anew.

        Raises:
            OSError, sqlite3.DatabaseError: it cannot be written there.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._is_whole = is_whole
        try:
            self._rows = _opened(path)
        except sqlite3.DatabaseError as error:  # a cache may be anybody's
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _NO_TABLE:
                raise
            path.unlink()
            self._rows = _opened(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def get(self, key: str) -> Any:
        """Return what is kept by this key, or None."""
        row = self._rows.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        try:
            value = json.loads(row[0]) if row else None
        except (ValueError, TypeError):
            return None
        return value if self._is_whole(value) else None

    def write(self, values: Mapping[str, Any]) -> None:
        """Add values by key, all of them or none.

        Raises:
            sqlite3.DatabaseError: the disk is full.
        """
        with self._rows:
            rows = ((key, json.dumps(value)) for key, value in values.items())
            self._rows.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", rows)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10)
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    except BaseException:
        connection.close()
        raise
    return connection
