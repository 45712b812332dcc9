"""Where t15 keeps things: the one place that knows the layout of a workspace, and writes its files whole or not at all."""

import errno
import os
import shutil
import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, Any, BinaryIO, TextIO

from collector.errors import DataError, IncompleteError, T15Error, UsageError

DEFAULT_WORKSPACE = Path("workspace")
DEFAULT_MANIFESTS = Path("manifests")

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
_BROKEN = {
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    getattr(errno, "EUCLEAN", errno.EIO),
}  # disk, NFS, FUSE, file system
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EBADF}
# Result codes of https://www.sqlite.org/rescode.html; the lower byte is the kind.
_SQLITE_LOCKS = {
    *(sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK),
    *(sqlite3.SQLITE_IOERR_UNLOCK, sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK, sqlite3.SQLITE_IOERR_SHMLOCK),
}
_READ_ONLY = "the catalogue cannot be opened for writing ({}); permit it, or work on a copy with --workspace"
_IN_USE = "the catalogue is in use by another process ({}); try again later"
_DAMAGED = "is damaged or no catalogue ({}); move it away and collect again"
_SQLITE: dict[int, tuple[type[T15Error], str]] = {
    **dict.fromkeys((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM), (UsageError, _READ_ONLY)),
    **dict.fromkeys((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED), (IncompleteError, _IN_USE)),
    **dict.fromkeys((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB), (DataError, _DAMAGED)),
}
_LONGEST_NAME = 180  # bytes of a file's name that a draft's keeps: with what is added it stays below 255


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths of one workspace; nothing is created by looking at them.

    Photos are content-addressed and hold the original bytes, whatever their format: the suffix `.jpg` is nominal.
    `shards` is a folder of shards (`collector.images.shards`), or its address in a store, that the benchmark takes photos
    from first. A `borrowed` workspace shows another one's photos, and keeps none.
    """

    root: Path
    shards: Path | str | None = None
    borrowed: bool = False

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
        """Return where the photo with these original bytes lies or belongs, `photos/ab/cd/<sha256>.jpg`.

        Until December 2026 it was `photos/ab/<sha256>.jpg`: what lies there is found there, and stays.
        """
        folder, name = self.photos / sha256[:2], f"{sha256}.jpg"
        place = folder / sha256[2:4] / name
        return folder / name if not place.exists() and (folder / name).exists() else place


def data_folder(kind: str, variable: str) -> Path:
    """Return where t15 keeps data of a kind that belong to no workspace: the variable's value, else `t15/KIND` in the user's
    data folder (XDG_DATA_HOME).

    Raises:
        UsageError: this account has no home directory, and nothing else is said.
    """
    if chosen := os.environ.get(variable):
        return Path(chosen)
    home = os.environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification says that relative paths in it are to be ignored.
    try:
        return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share") / "t15" / kind
    except RuntimeError as error:
        raise UsageError(f"this account has no home directory; say where {kind} are kept with {variable}") from error


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
        raise UsageError(f"no workspace at {root}: create one with `t15 collect`, or point to another with --workspace")
    return Workspace(root)


class NoLocksError(UsageError):
    """The file system of a folder has no locks."""


def is_storage_fault(error: BaseException) -> bool:
    """Return whether an error is the disk's or its file system's: it would meet all work, not only what met it."""
    return isinstance(error, NoLocksError) or (isinstance(error, OSError) and error.errno in _FULL | _BROKEN)


def _disk_full(path: Path) -> IncompleteError:
    return IncompleteError(
        f"{path}: the disk is full; what was finished is kept, nothing is half-written: "
        "make room and run the same command again"
    )


def _disk_broken(path: Path, reason: object) -> IncompleteError:
    return IncompleteError(
        f"{path}: its disk or file system failed ({reason}); what was finished is kept: see to the disk or its mount, then "
        "run the same command again"
    )


def _no_locks(folder: Path, reason: object) -> NoLocksError:
    return NoLocksError(
        f"{folder}: its file system has no locks ({reason}), and without them two processes could damage what is there; "
        "choose a folder on a local disk (--workspace or T15_WORKSPACE; for weights T15_WEIGHTS), or mount this one with "
        "locks (NFS: without nolock; Lustre: with flock)"
    )


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what disks, file systems and SQLite refuse, met anywhere inside, into T15Errors that name `path`.

    Raises:
        IncompleteError: the disk is full or failed, or another process holds the catalogue.
        UsageError: writing or reading is not permitted, a name is too long, or the file system has no locks.
        DataError: the catalogue is damaged.
    """
    try:
        yield
    except T15Error:
        raise
    except OSError as error:
        if translated := _of_system(error, path):
            raise translated from error
        raise
    except sqlite3.DatabaseError as error:
        if translated := _of_sqlite(error, path):
            raise translated from error
        raise


def _of_system(error: OSError, path: Path) -> T15Error | None:
    if error.errno in _FULL:
        return _disk_full(path)
    if error.errno in _BROKEN:
        return _disk_broken(path, error.strerror)
    # A folder that cannot be made below one that is there, as in /proc: the system says that it is not there.
    unmakeable = error.errno == errno.ENOENT and Path(str(error.filename)) in (path, *path.parents)
    if error.errno in _FORBIDDEN or unmakeable:
        return UsageError(f"{error.filename or path}: {error.strerror}; choose a place that can be written")
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(
            f"{path}: a name is too long for its file system ({len(str(error.filename))} characters in all)"
        )
    return None


def _of_sqlite(error: sqlite3.DatabaseError, path: Path) -> T15Error | None:
    result = getattr(error, "sqlite_errorcode", None) or 0  # absent where Python itself raised
    if result in _SQLITE_LOCKS:
        return _no_locks(path, error)
    if result & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        # A full disk also surfaces as IOERR: when the write-ahead log cannot grow (seen on a 4 MiB tmpfs), or by a quota.
        full = result == sqlite3.SQLITE_FULL or not _has_room(path)
        return _disk_full(path) if full else _disk_broken(path, error)
    kind, text = _SQLITE.get(result & 0xFF, (None, ""))
    return kind(f"{path}: {text.format(error)}") if kind else None


def _has_room(path: Path) -> bool:
    """Return False when a little file cannot be written beside `path` because there is no room (or no quota) for it."""
    try:
        with TemporaryFile(dir=path if path.is_dir() else path.parent) as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno not in _FULL
    return True


def take_lock(file: IO[Any], *, wait: bool = True) -> bool:
    """Take the kernel's lock on an open file, and return whether it is taken; it goes when the file is closed.

    Args:
        file: opened for writing.
        wait: until another process gives it back; else return False at once when one holds it.

    Raises:
        NoLocksError: its file system has none.
    """
    from filelock import lock_descriptor

    try:
        return lock_descriptor(file.fileno(), blocking=wait)
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            raise _no_locks(Path(file.name).parent, error.strerror) from error
        raise


@contextmanager
def exclusive(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace's lock, so that only one process at a time changes the catalogue.

    It goes with its process, also after `kill -9`, and leaves no stale state.

    Raises:
        IncompleteError: another process holds it; the message names its process id.
        NoLocksError: the file system has no locks.
    """
    with (workspace.root / "catalogue.lock").open("a+", encoding="ascii") as lock:
        if not take_lock(lock, wait=False):
            raise IncompleteError(
                f"workspace {workspace.root}: in use by process {_holder(lock)}; wait for it to end, then run this again"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _holder(lock: TextIO) -> str:
    with suppress(OSError, ValueError):  # Windows lets nobody read what is locked; a foreign file may hold anything
        lock.seek(0)
        return lock.read(20).strip() or "unknown"
    return "unknown"


def draft_of(path: Path) -> Path:
    """Return where to write what will be moved to `path` when it is whole: beside it, hidden, one for each thread."""
    name = path.name.encode(errors="surrogateescape")[:_LONGEST_NAME].decode(errors="ignore")
    return path.with_name(f".{name}.{os.getpid()}-{threading.get_ident()}.part")


@contextmanager
def replacing(path: Path, draft: Path | None = None) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of `path` when the block ends, or is gone where anything fails.

    The bytes reach the disk (fsync) before the name does. The folder is made. The file is `draft`, else `draft_of(path)`.
    A pipe, a terminal or another device is written to, never replaced: `--out /dev/stdout`.

    Raises:
        OSError: the file cannot be written; no temporary file stays behind.
    """
    if _is_device(path):
        with path.open("wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft or draft_of(path)
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _is_device(path: Path) -> bool:
    """Return whether something is at `path` that is neither a file nor a folder."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # not there, or nothing that can be
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that, whatever happens, either all of it is there or the old file is untouched.

    Raises:
        OSError: as `replacing` does.
    """
    with replacing(path) as file:
        file.write(content)


def store_photo(workspace: Workspace, sha256: str, content: bytes) -> None:
    """Write a photo's original bytes to its place in the store, whole or not at all.

    Drafts lie in the store's root, where they are found without a look into 65,536 folders. In a borrowed workspace
    nothing is written.

    Raises:
        OSError: as `replacing` does.
    """
    if workspace.borrowed:
        return
    path = workspace.photo(sha256)
    with replacing(path, draft_of(workspace.photos / path.name)) as file:
        file.write(content)


def remove_drafts(folder: Path, pattern: str = ".*.part", *, alone: bool = False) -> None:
    """Remove what killed processes left half-written below `folder`; drafts (see `draft_of`) of living ones stay.

    With `alone` the caller holds the lock under which they are written, so that none can be living.
    """
    for draft in folder.glob(pattern):
        process = draft.name.split(".")[-2].split("-")[0]
        if process.isdecimal() and (alone or not _is_alive(int(process))):
            shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":
        return True  # it cannot be asked there: os.kill would interrupt the process
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:  # no process id is that large
        return False
    return True
