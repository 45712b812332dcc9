"""Machines that are not like the developer's: file systems without locks, broken and read-only disks, odd terminals."""

import errno
import fcntl
import json
import os
import pwd
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.networks import weights
from benchmark.networks.download import download
from benchmark.store import ArrayStore
from collector import front_door
from collector.catalogue.catalogue import open_catalogue
from collector.errors import DataError, IncompleteError, T15Error, UsageError
from collector.progress import silent
from collector.workspace import (
    NoLocksError,
    Workspace,
    create_workspace,
    draft_of,
    exclusive,
    is_storage_fault,
    remove_drafts,
    storage_errors,
    write_atomically,
)
from tests.benchmark.conftest import make_world
from tests.test_t15 import command, environment

# --- file locks

Lock = Callable[[Workspace], object]


def hold(workspace: Workspace) -> None:
    with exclusive(workspace):
        pass


def store(workspace: Workspace) -> None:
    ArrayStore(workspace.root / "arrays", {}, np.dtype(np.uint8)).add([("ab" * 32, np.ones(3, np.uint8))])


LOCKS: dict[str, Lock] = {
    "the catalogue": hold,
    "the cache": store,
    "weights": lambda workspace: download("http://127.0.0.1:9/net.pth", workspace.root, silent),
}


@pytest.mark.parametrize("where", LOCKS)
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF])
def test_a_file_system_without_locks(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, where: str, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(NoLocksError, match=f"{workspace.root}.*no locks.*local disk") as raised:
        LOCKS[where](workspace)
    assert raised.value.exit_code == 2
    assert is_storage_fault(raised.value)
    written = [path.name for path in workspace.root.rglob("*") if path.is_file() and path.stat().st_size]
    assert written in ([], ["key.json"])


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_a_lock_that_is_held(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(IncompleteError, match="in use by process"):
        hold(workspace)


def test_a_command_on_a_file_system_without_locks(tmp_path: Path) -> None:
    """As in a process of its own: before, a traceback and exit code 1."""
    code = (
        "import errno, fcntl\ndef refuse(*_): raise OSError(errno.ENOLCK, 'No locks available')\nfcntl.flock = refuse\n"
    )
    (tmp_path / "sitecustomize.py").write_text(code)
    (tmp_path / "workspace").mkdir()
    paths = f"{tmp_path}{os.pathsep}{environment()['PYTHONPATH']}"
    for name in ("dedup", "quality"):
        finished = command(name, "--workspace", str(tmp_path / "workspace"), PYTHONPATH=paths)
        assert (finished.returncode, finished.stdout) == (2, "")
        assert finished.stderr.count("\n") == 1
        assert "no locks" in finished.stderr


def test_the_package_is_imported_where_there_is_neither_fcntl_nor_resource() -> None:
    code = (
        "import sys; sys.modules.update(fcntl=None, resource=None)\n"
        "import collector.workspace, benchmark.store, benchmark.networks.download, benchmark.worker, benchmark.runner\n"
        "import benchmark.serving.app"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment()
    )
    assert finished.returncode == 0, finished.stderr


# --- what disks and SQLite say


@pytest.mark.parametrize(
    ("code", "becomes", "says"),
    [
        (sqlite3.SQLITE_FULL, IncompleteError, "disk is full.*make room"),
        (sqlite3.SQLITE_IOERR, IncompleteError, "failed.*see to the disk"),
        (sqlite3.SQLITE_IOERR_READ, IncompleteError, "failed.*see to the disk"),
        (sqlite3.SQLITE_IOERR_WRITE, IncompleteError, "failed.*see to the disk"),
        (sqlite3.SQLITE_IOERR_FSYNC, IncompleteError, "failed.*see to the disk"),
        (sqlite3.SQLITE_IOERR_SHMMAP, IncompleteError, "failed.*see to the disk"),
        (sqlite3.SQLITE_IOERR_LOCK, NoLocksError, "no locks.*local disk"),
        (sqlite3.SQLITE_IOERR_RDLOCK, NoLocksError, "no locks.*local disk"),
        (sqlite3.SQLITE_IOERR_SHMLOCK, NoLocksError, "no locks.*local disk"),
        (sqlite3.SQLITE_PROTOCOL, NoLocksError, "no locks.*local disk"),
        (sqlite3.SQLITE_READONLY, UsageError, "for writing.*permit it"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, UsageError, "for writing.*permit it"),
        (sqlite3.SQLITE_BUSY, IncompleteError, "in use.*later"),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, IncompleteError, "in use.*later"),
        (sqlite3.SQLITE_CORRUPT, DataError, "damaged.*move it away"),
        (sqlite3.SQLITE_NOTADB, DataError, "damaged.*move it away"),
    ],
)
def test_what_sqlite_says_is_said_as_what_it_is(tmp_path: Path, code: int, becomes: type[T15Error], says: str) -> None:
    error = sqlite3.DatabaseError("said by SQLite")
    error.sqlite_errorcode = code
    with pytest.raises(becomes, match=f"{tmp_path}.*{says}") as raised, storage_errors(tmp_path / "catalogue.sqlite"):
        raise error
    assert "\n" not in str(raised.value)


def test_an_io_error_where_there_is_no_room_is_a_full_disk(small_disk: Path) -> None:
    with suppress(OSError), (small_disk / "ballast").open("wb") as ballast:
        while True:
            ballast.write(bytes(1 << 16))
            ballast.flush()
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    with pytest.raises(IncompleteError, match="the disk is full"), storage_errors(small_disk / "catalogue.sqlite"):
        raise error


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_broken_disk_or_mount(tmp_path: Path, number: int) -> None:
    error = OSError(number, os.strerror(number))
    with pytest.raises(IncompleteError, match=f"{tmp_path}.*see to the disk"), storage_errors(tmp_path):
        raise error
    assert is_storage_fault(error)


@given(st.text("aşü東👍.", min_size=1, max_size=300))
def test_a_draft_of_a_name_that_a_disk_takes_is_taken_too(name: str) -> None:
    draft = draft_of(Path("folder") / f"x{name}")
    assert draft.parent == Path("folder")
    assert len(draft.name.encode()) <= 255


def test_a_file_of_the_longest_name_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("ş" * 127 + "x")  # 255 bytes
    write_atomically(path, b"whole")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    draft = draft_of(path)
    draft.write_bytes(b"")
    remove_drafts(tmp_path, alone=True)
    assert not draft.exists()


def test_a_name_that_is_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="too long"), storage_errors(tmp_path):
        write_atomically(tmp_path / ("x" * 300), b"")


# --- workspaces that can only be read


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is a disk of 2 MiB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "t15", folder], check=False).returncode
    ):
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def lock_up(folder: Path) -> None:
    """Let nobody write to the folder: by its mount where we are root, who may write anywhere else."""
    if os.geteuid() == 0:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    for path in [folder, *folder.rglob("*")] if os.geteuid() else []:
        path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))


@pytest.fixture
def read_only(small_disk: Path) -> Workspace:
    """Return a workspace with one rejected file that nobody can write to."""
    (small_disk / "photos" / "van").mkdir(parents=True)
    (small_disk / "photos" / "van" / "a.jpg").write_bytes(b"no photo")
    (small_disk / "van.toml").write_text(
        'name = "van"\ntitle = "Van"\n[[city]]\nname = "van"\nlatitude = 38\nlongitude = 43\nradius_km = 5\n'
    )
    workspace = create_workspace(small_disk / "workspace")
    source = ["--root", str(small_disk / "photos"), "--region", str(small_disk / "van.toml")]
    assert (
        front_door.run(["collect", "--provider", "folder", *source, "--workspace", str(workspace.root)]) == 3
    )  # no photo
    lock_up(small_disk)
    return workspace


@pytest.mark.parametrize(
    "arguments", [["coverage"], ["coverage", "--json"], ["rejected"], ["doctor"], ["review", "--static", "{out}"]]
)
def test_what_only_reads_works_on_a_read_only_workspace(
    read_only: Workspace, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [argument.format(out=tmp_path / "sheets") for argument in arguments]
    capsys.readouterr()
    assert front_door.run([*arguments, "--workspace", str(read_only.root)]) == 0
    out, err = capsys.readouterr()
    assert out
    assert "t15:" not in err
    if arguments == ["rejected"]:
        assert "a.jpg" in out or "1" in out


@pytest.mark.parametrize("arguments", [["dedup"], ["quality"], ["review"], ["collect", "--provider", "commons"]])
def test_what_writes_says_that_it_cannot(
    read_only: Workspace, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert front_door.run([*arguments, "--workspace", str(read_only.root)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert str(read_only.root) in err


def test_a_board_of_a_read_only_workspace_is_written_elsewhere(
    small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(small_disk)
    assert front_door.run(["bench", "--tier", "smoke", "--method", "tiny-64+knn", *world.options]) == 0
    lock_up(small_disk)
    capsys.readouterr()
    assert front_door.run(["leaderboard", *world.options]) == 2
    assert "--out" in capsys.readouterr().err
    assert front_door.run(["leaderboard", "--out", str(tmp_path / "board"), *world.options]) == 0
    assert (tmp_path / "board" / "index.html").is_file()


def test_a_read_only_catalogue_of_an_older_t15_is_read_as_a_copy(small_disk: Path) -> None:
    workspace = create_workspace(small_disk / "workspace")
    script = Path(__file__).parent / "data" / "catalogue-2.sql"
    with closing(sqlite3.connect(workspace.catalogue)) as old:
        old.executescript(script.read_text(encoding="utf-8"))
    before = workspace.catalogue.read_bytes()
    lock_up(small_disk)
    with open_catalogue(workspace) as catalogue:
        assert catalogue.counts() == {"downloaded": 1, "listed": 1, "rejected": 1}
    assert workspace.catalogue.read_bytes() == before


# --- no home directory


def test_without_a_home_directory_weights_ask_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_DATA_HOME", "T15_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(UsageError, match="T15_WEIGHTS"):
        weights.folder()


# --- standard output and error


@pytest.fixture(scope="module")
def cities() -> Any:
    return json.loads(command("cities", "--json").stdout)


@pytest.mark.parametrize(
    "encoding", ["ascii", "iso8859-9", "cp1252", "cp437", "utf-8", "utf-16", "utf-8:strict", "ascii:strict"]
)
def test_json_reads_back_whatever_the_encoding(encoding: str, cities: Any) -> None:
    env = environment(PYTHONIOENCODING=encoding)
    finished = subprocess.run(
        [sys.executable, "-m", "t15", "cities", "--json"], capture_output=True, check=False, env=env
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout.decode(encoding.partition(":")[0])) == cities


SHELL = 'exec "$0" -m t15 cities --json'


@pytest.mark.parametrize(
    ("shell", "code", "says"),
    [
        (f"{SHELL} >/dev/full", 5, "standard output: No space left"),
        ('exec "$0" -m t15 --help >/dev/full', 5, "standard output: No space left"),
        ('exec "$0" -m t15 --version >/dev/full', 5, "standard output: No space left"),
        (f"({SHELL}; echo $? >&2) | true; exit 0", 0, ""),
        (f"{SHELL} >&-", 0, ""),
        (f"{SHELL} <&- >&- 2>&-", 0, ""),
        ('exec "$0" -m t15 nonsense 2>/dev/full', 2, ""),
        ('exec "$0" -m t15 nonsense 2>&-', 2, ""),
        (f"{SHELL} >/dev/full 2>/dev/full", 5, ""),
    ],
)
def test_standard_output_that_takes_nothing(shell: str, code: int, says: str) -> None:
    finished = subprocess.run(
        ["sh", "-c", shell, sys.executable], capture_output=True, text=True, check=False, env=environment()
    )
    assert finished.returncode == code, finished.stderr
    assert says in finished.stderr
    assert finished.stderr.count("\n") == bool(says)


def test_a_reader_that_leaves_ends_the_command_silently() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "t15", "cities", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# --- a current folder that is gone


@pytest.mark.parametrize("arguments", [["cities"], ["doctor"], ["coverage"], ["leaderboard"], ["methods"]])
def test_a_current_folder_that_was_deleted(tmp_path: Path, arguments: list[str]) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    finished = subprocess.run(
        ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", sys.executable, "-m", "t15", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(),
    )
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "current folder was deleted" in finished.stderr
    assert finished.stderr.count("\n") == 1


# --- other work on the machine


@pytest.mark.parametrize(("given", "is_set"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_wait_without_spinning_unless_the_user_says_otherwise(given: dict[str, str], is_set: str) -> None:
    code = (
        "import atexit, os, sys\nfrom collector import front_door\n"
        "atexit.register(lambda: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules, file=sys.stderr))\n"
        "sys.argv = ['t15', '--version']\n"
        "front_door.main()"
    )
    env = {name: value for name, value in environment().items() if name != "OMP_WAIT_POLICY"} | given
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert finished.stderr == f"{is_set} False\n"
