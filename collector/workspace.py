"""Where t15 keeps things: the one place that knows the layout of a workspace, and writes its files whole or not at all."""

import errno
import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from collector.errors import IncompleteError, T15Error, UsageError

DEFAULT_WORKSPACE = Path("workspace")
DEFAULT_MANIFESTS = Path("manifests")

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of one workspace; nothing is created by looking at them.

    Photos are content-addressed and hold the original bytes, whatever their format: the suffix `.jpg` is nominal.
    """

    root: Path

    @property
    def catalogue(self) -> Path:
        """The SQLite catalogue of everything that was collected."""
        return self.root / "catalogue.sqlite"

    @property
    def photos(self) -> Path:
        """The content-addressed store of original photos."""
        return self.root / "photos"

    @property
    def cache(self) -> Path:
        """Decoded photos and features; can be deleted at any time."""
        return self.root / "cache"

    @property
    def runs(self) -> Path:
        """One folder for each benchmark run, named by its identity."""
        return self.root / "runs"

    @property
    def rehydrated(self) -> Path:
        """Manifests of what could be had again of published ones."""
        return self.root / "rehydrated"

    @property
    def reports(self) -> Path:
        """Leaderboards, one folder for each manifest."""
        return self.root / "reports"

    def photo(self, sha256: str) -> Path:
        """Return where the photo with these original bytes lies, `photos/ab/<sha256>.jpg`."""
        return self.photos / sha256[:2] / f"{sha256}.jpg"


def create_workspace(root: Path) -> Workspace:
    """Return the workspace at `root`, making the folder when it is missing.

    Raises:
        UsageError: the folder cannot be made or written to.
    """
    workspace = Workspace(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=root, prefix=".t15-write-test-"):
            pass
    except OSError as error:
        if error.errno in _FULL:
            raise _disk_full(root) from error
        raise UsageError(
            f"workspace {root}: cannot be written to ({error.strerror}); choose another with --workspace or T15_WORKSPACE"
        ) from error
    return workspace


def existing_workspace(root: Path) -> Workspace:
    """Return the workspace at `root`.

    Raises:
        UsageError: there is none.
    """
    if not root.is_dir():
        raise UsageError(f"workspace {root}: there is none yet; `t15 collect` makes it, --workspace names another")
    return Workspace(root)


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error says that there is no room left to write to."""
    return isinstance(error, OSError) and error.errno in _FULL


def _disk_full(path: Path) -> IncompleteError:
    return IncompleteError(
        f"{path}: the disk is full; what was finished is kept, nothing is half-written: "
        "make room and run the same command again"
    )


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a refused write and a busy database, met anywhere inside, into T15Errors that name `path`.

    Raises:
        IncompleteError: the disk is full, or another process holds the catalogue.
        UsageError: writing or reading is not permitted.
    """
    try:
        yield
    except T15Error:
        raise
    except OSError as error:
        if is_disk_full(error):
            raise _disk_full(path) from error
        if error.errno in _FORBIDDEN:
            raise UsageError(
                f"{error.filename or path}: {error.strerror}; choose a place that can be written"
            ) from error
        raise
    except sqlite3.OperationalError as error:
        # Result codes of https://www.sqlite.org/rescode.html. A full disk also surfaces as IOERR when the
        # write-ahead log cannot grow (seen on a 4 MiB tmpfs).
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF  # absent where Python itself raised
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise _disk_full(path) from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            raise UsageError(f"{path}: the catalogue cannot be opened for writing ({error})") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise IncompleteError(f"{path}: the catalogue is in use by another process; try again later") from error
        raise


@contextmanager
def exclusive(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace's lock, so that only one process at a time changes the catalogue.

    The lock is the kernel's (flock): it goes with its process, also after `kill -9`, and leaves no stale state.

    Raises:
        IncompleteError: another process holds it; the message names its process id.
    """
    path = workspace.root / "catalogue.lock"
    with path.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(20).strip() or "unknown"
            raise IncompleteError(
                f"workspace {workspace.root}: in use by process {holder}; wait for it to end, then run this again"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def draft_of(path: Path) -> Path:
    """Return where to write what will be moved to `path` when it is whole: beside it, hidden, one for each thread."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that, whatever happens, either all of it is there or the old file is untouched.

    The bytes reach the disk (fsync) before the name does.

    Raises:
        OSError: the file cannot be written; no temporary file stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = draft_of(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def remove_drafts(folder: Path, pattern: str = ".*.part", *, alone: bool = False) -> None:
    """Remove what killed processes left half-written below `folder`; drafts (see `draft_of`) of living ones stay.

    With `alone` the caller holds the lock under which they are written, so that none can be living.
    """
    for draft in folder.glob(pattern):
        process = draft.name.split(".")[-2].split("-")[0]
        if process.isdecimal() and (alone or not _is_alive(int(process))):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:  # no process id is that large
        return False
    return True
