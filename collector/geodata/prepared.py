"""Arrays that take seconds to make of a layer's file, kept beside the layers so that the next process only opens them."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.errors import T15Error
from collector.geodata import store
from collector.workspace import draft_of

Arrays = Mapping[str, NDArray[Any]]


def prepared(name: str, version: int, source: Path, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays that `make` makes of a file, from the store where they were made of this very file before.

    They are mapped into memory, not read: asking for one place touches a few pages. Where they cannot be kept they are made
    each time; what was kept of another file, or cannot be read, is made anew.

    Args:
        name: of the arrays; those of an earlier file are removed.
        version: of the code of `make`.
        source: the file; its path, size and time of change stand for it.
        make: makes them; what it raises is raised.
    """
    stat = source.stat()
    stamp = hashlib.sha256(f"{version}/{source}/{stat.st_size}/{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    try:
        folder = store.folder() / "prepared" / name
    except T15Error:  # an account without a home directory
        return make()
    kept = _opened(folder / stamp)
    if kept is not None:
        return kept
    made = make()
    with suppress(OSError):
        _keep(made, folder, stamp)
    return made


def _opened(folder: Path) -> Arrays | None:
    try:
        arrays = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(folder.glob("*.npy"))}
    except (OSError, ValueError, EOFError):
        return None
    return arrays or None


def _keep(made: Arrays, folder: Path, stamp: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    draft = draft_of(folder / stamp)
    try:
        draft.mkdir()
        for name, array in made.items():
            np.save(draft / f"{name}.npy", array, allow_pickle=False)
        _remove(folder / stamp)  # damaged: else it would have been opened
        draft.rename(folder / stamp)
    finally:
        _remove(draft)
    for earlier in folder.iterdir():
        if earlier.name != stamp and not earlier.name.endswith(".part"):
            _remove(earlier)


def _remove(folder: Path) -> None:
    for file in folder.glob("*.npy"):
        file.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
