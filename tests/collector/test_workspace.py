"""Layout, atomic writes, drafts, the lock, and what storage errors become."""

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from collector.errors import DataError, IncompleteError, T15Error, UsageError
from collector.workspace import (
    Workspace,
    create_workspace,
    draft_of,
    exclusive,
    existing_workspace,
    remove_drafts,
    storage_errors,
    store_photo,
    write_atomically,
)

HOLDER = """
import sys, time
from pathlib import Path
from collector.workspace import Workspace, exclusive
with exclusive(Workspace(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# --- layout


def test_layout_of_the_design() -> None:
    workspace = Workspace(Path("w"))
    sha256 = "ab" + "0" * 62
    assert workspace.catalogue == Path("w/catalogue.sqlite")
    assert workspace.photo(sha256) == Path(f"w/photos/ab/00/{sha256}.jpg")
    assert (workspace.cache, workspace.runs, workspace.reports) == (Path("w/cache"), Path("w/runs"), Path("w/reports"))


def test_photos_of_an_older_workspace_are_found_where_they_lie(tmp_path: Path) -> None:
    workspace, sha256 = Workspace(tmp_path), "abcd" + "0" * 60
    older, place = tmp_path / "photos" / "ab" / f"{sha256}.jpg", tmp_path / "photos" / "ab" / "cd" / f"{sha256}.jpg"
    assert workspace.photo(sha256) == place
    write_atomically(older, b"old")
    assert workspace.photo(sha256) == older
    store_photo(workspace, sha256, b"mended")  # as `collect --check` does
    assert older.read_bytes() == b"mended"
    older.unlink()
    store_photo(workspace, sha256, b"new")
    assert place.read_bytes() == b"new"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [place]


def test_create_makes_the_folder_and_nothing_in_it(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    assert create_workspace(root).root == root
    assert names(root) == []
    assert create_workspace(root) == existing_workspace(root)


def test_existing_workspace_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for root in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(UsageError, match="no workspace at"):
            existing_workspace(root)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_workspace_that_cannot_be_made_names_the_way_out(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"cannot be written to .*--workspace"):
        create_workspace(tmp_path / "file" / below)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_workspace(tmp_path: Path) -> None:
    root = tmp_path / "locked"
    root.mkdir(mode=0o555)
    with pytest.raises(UsageError, match="cannot be written to"):
        create_workspace(root)


def test_create_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("collector.workspace.NamedTemporaryFile", full)
    with pytest.raises(IncompleteError, match="the disk is full"):
        create_workspace(tmp_path)


# --- the lock


def test_lock_names_the_process_that_holds_it(workspace: Workspace) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, workspace.root], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(IncompleteError, match=f"in use by process {holder.pid};"), exclusive(workspace):
            pytest.fail("two processes hold the lock")
        holder.kill()
        holder.wait()
    with exclusive(workspace):  # the lock of a killed process is gone
        assert (workspace.root / "catalogue.lock").read_text() == str(os.getpid())
    with exclusive(workspace):
        pass


def test_lock_is_released_when_the_work_fails(workspace: Workspace) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(workspace):
        raise ZeroDivisionError
    with exclusive(workspace):
        pass


# --- atomic writes and drafts


def test_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_atomically(path, b"a long first content")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert names(tmp_path) == ["new", "new/file"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As `--out /dev/stdout` is, which a process of root would else replace by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to(pipe)
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        write_atomically(link, b"content")
        assert reader.read() == b"content"
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(failing, full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("length", [1, 200, 220, 230, 254, 255])
@pytest.mark.parametrize("letter", ["a", "ş", "東", "\udcff"])
def test_a_draft_s_name_is_never_too_long(tmp_path: Path, letter: str, length: int) -> None:
    path = tmp_path / (letter * (length // len(os.fsencode(letter))) or "a")
    assert len(os.fsencode(draft_of(path).name)) <= 255
    assert draft_of(path) != draft_of(path.with_name(f"b{path.name[1:]}"))
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    draft_of(path).write_bytes(b"")
    remove_drafts(tmp_path, alone=True)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_drafts_are_hidden_and_beside_their_file() -> None:
    draft = draft_of(Path("folder/photo.jpg"))
    assert draft.parent == Path("folder")
    assert draft.name.startswith(".photo.jpg.")
    assert draft.suffix == ".part"


def test_remove_drafts_keeps_those_of_living_processes(tmp_path: Path) -> None:
    dead = dead_process()
    mine = draft_of(tmp_path / "photo.jpg")
    kept = [mine.name, ".of-init.1-7.part", ".unlike.part", "visible.part", "photo.jpg"]
    for name in [*kept, f".photo.jpg.{dead}-140.part"]:
        (tmp_path / name).write_bytes(b"x")
    folder = tmp_path / f".1.0.0.{dead}-140.part"
    folder.mkdir()
    (folder / "photos.parquet").write_bytes(b"x")
    remove_drafts(tmp_path)
    assert names(tmp_path) == sorted(kept)


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        (".x.99999999999999999999-1.part", False),
        (".x.4194305000-1.part", False),
        ("..part", True),
        (".x.0-1.part", True),
    ],
)
def test_remove_drafts_bears_odd_names(tmp_path: Path, name: str, stays: bool) -> None:
    """What no process can be called is nobody's draft; process 0 is the caller's own group."""
    (tmp_path / name).write_bytes(b"x")
    remove_drafts(tmp_path)
    assert names(tmp_path) == [name] * stays


# --- what storage errors become


@pytest.mark.parametrize(
    ("number", "becomes"),
    [
        (errno.ENOSPC, IncompleteError),
        (errno.EDQUOT, IncompleteError),
        (errno.EFBIG, IncompleteError),
        (errno.EACCES, UsageError),
        (errno.EPERM, UsageError),
        (errno.EROFS, UsageError),
        (errno.ENOTDIR, UsageError),
    ],
)
def test_system_errors(tmp_path: Path, number: int, becomes: type[T15Error]) -> None:
    with pytest.raises(becomes, match=str(tmp_path)), storage_errors(tmp_path):
        raise OSError(number, os.strerror(number))


def test_a_folder_that_cannot_be_made_is_no_place_to_write() -> None:
    said = "/proc/x: No such file or directory; choose a place"
    with pytest.raises(UsageError, match=said), storage_errors(Path("/proc/x/y")):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/x")
    with pytest.raises(FileNotFoundError), storage_errors(Path("w")):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "w/lost.jpg")


def test_a_refused_write_names_the_file() -> None:
    with pytest.raises(UsageError, match=r"there/catalogue\.lock"), storage_errors(Path("w")):
        raise PermissionError(errno.EACCES, "Permission denied", "there/catalogue.lock")


@pytest.mark.parametrize(
    ("code", "becomes"),
    [
        (sqlite3.SQLITE_FULL, IncompleteError),
        (sqlite3.SQLITE_IOERR_WRITE, IncompleteError),
        (sqlite3.SQLITE_BUSY, IncompleteError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, IncompleteError),
        (sqlite3.SQLITE_LOCKED, IncompleteError),
        (sqlite3.SQLITE_READONLY, UsageError),
        (sqlite3.SQLITE_CANTOPEN, UsageError),
        (sqlite3.SQLITE_PERM, UsageError),
        (sqlite3.SQLITE_ERROR, sqlite3.OperationalError),
    ],
)
def test_database_errors(code: int, becomes: type[Exception]) -> None:
    error = sqlite3.OperationalError("said by sqlite")
    error.sqlite_errorcode = code
    with pytest.raises(becomes) as raised, storage_errors(Path("w/catalogue.sqlite")):
        raise error
    assert (raised.value is error) == (becomes is sqlite3.OperationalError)


def test_a_database_error_without_a_code_passes() -> None:
    error = sqlite3.OperationalError("Could not decode to UTF-8 column")  # the module raises this one itself
    with pytest.raises(sqlite3.OperationalError) as raised, storage_errors(Path("w")):
        raise error
    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [DataError("said already"), IncompleteError("said"), ValueError("a defect"), OSError(errno.EDOM, "domain")],
)
def test_other_errors_pass_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, storage_errors(Path("w")):
        raise error
    assert raised.value is error
