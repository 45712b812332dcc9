"""What was found out about photos and is worth keeping: a file of JSON lines in the cache, by a key of digests.

Lines are added, never changed; one that a crash cut off is passed over. Memory: all that is kept.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any


class Kept:
    """Values of plain JSON by key, as they were written down in any run before."""

    def __init__(self, path: Path, is_whole: Callable[[Any], bool]) -> None:
        """Read what is kept at `path`; what is not `is_whole` is passed over: a cache may be anybody's."""
        self._path = path
        self._known = dict(self._read(is_whole))

    def _read(self, is_whole: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                key, value = json.loads(line)
            except (ValueError, TypeError):  # a line that a crash cut off
                continue
            if isinstance(key, str) and is_whole(value):
                yield key, value

    def get(self, key: str) -> Any:
        """Return what is kept by this key, or None."""
        return self._known.get(key)

    def write(self, values: Mapping[str, Any]) -> None:
        """Add values by key.

        Raises:
            OSError: the disk is full.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps([key, value]) + "\n" for key, value in values.items())
        self._known |= values
