"""Processes that have imported the libraries before they begin: where torch is imported anew, that takes seconds each time.

One process for all workers of a suite imports what t15 stands on, and nothing of t15, and forks a child for each command; it
ends when the suite does. `python()` is a program that stands in the command's place: it hands over arguments, environment,
folder and streams, passes SIGINT and SIGTERM on, and ends as the child does: exit codes, streams, signals and files are those
of a process of its own. Whoever tests what is imported, what the environment tells libraries as they are loaded, or what
`kill -9` leaves at its very moment, starts `sys.executable`.
"""

import atexit
import gc
import marshal
import os
import runpy
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock

LIBRARIES = """
numpy PIL.Image typer requests imagehash pandas pyarrow.parquet pyarrow.compute faiss scipy.ndimage scipy.optimize
scipy.spatial scipy.stats pydantic jinja2 rich.progress protego matplotlib.figure matplotlib.backends.backend_agg
pyrate_limiter urllib3 starlette.applications torch torchvision sklearn.linear_model sklearn.neighbors threadpoolctl
safetensors.torch
"""

PROGRAM = """#!{python} -IS
import marshal, os, signal, socket
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
wanted = marshal.dumps((os.getcwd(), {begin!r} + __import__("sys").argv[1:], dict(os.environ)))
socket.send_fds(server, [len(wanted).to_bytes(8, "big")], [0, 1, 2])
server.sendall(wanted)
answers = server.makefile("rb")
child = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: os.kill(child, number))
code = int(answers.readline() or 1)
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@cache
def _socket() -> Path:
    """Start the process that forks, where no other worker of this suite has, and return its socket."""
    suite = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if suite is None:
        folder = Path(tempfile.mkdtemp(prefix="t15-warm-"))  # a short path: a socket's has 107 bytes at most
        return _started(folder, os.getpid())
    folder = Path(tempfile.gettempdir(), f"t15-warm-{suite[:12]}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with FileLock(folder / "lock"):
        return _started(folder, os.getppid())


def _started(folder: Path, owner: int) -> Path:
    address = folder / "socket"
    if not address.exists():
        command = [sys.executable, "-P", __file__, str(address), str(owner)]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # as t15's front door has it
        answer, told = os.pipe()
        streams = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, told, 1)]
        # No Popen, which complains of a process that outlives this one, as long as other workers may need it.
        os.posix_spawn(sys.executable, command, environment, file_actions=streams)
        os.close(told)
        with open(answer, "rb") as ready:
            assert ready.readline() == b"ready\n"
    return address


@cache
def _programs() -> Path:
    """Return the folder of this process's programs."""
    folder = Path(tempfile.mkdtemp(prefix="t15-warm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def python(name: str = "python", *arguments: str) -> str:
    """Return a program that does what `python` does with `-c`, `-m` or `-`; `arguments` come before those it is given."""
    path = _programs() / name
    address = str(_socket())
    path.write_text(PROGRAM.format(python=sys.executable, address=address, begin=list(arguments)), encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def t15() -> str:
    """Return a program that does what the installed `t15` does."""
    return python("t15", "-c", "import sys; sys.argv[0] = 't15'; from t15 import main; main()")


# --- the process that forks


Children = dict[socket.socket, int]
"""The connection of each program, and the process in whose place it stands."""


def serve(address: str, owner: int) -> None:
    """Fork a child for each that connects, until the owner's process ends; return in the child, which has yet to begin."""
    for name in LIBRARIES.split():
        with suppress(ImportError):  # of an extra that is not installed
            import_module(name)
    gc.collect()
    gc.freeze()
    children: Children = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        os.write(1, b"ready\n")
        while True:
            watched: list[Any] = [*children, listener]
            ready, _, _ = select.select(watched, [], [], 0.01 if children else 1.0)
            if not children and not _is_alive(owner):
                shutil.rmtree(Path(address).parent, ignore_errors=True)
                os._exit(0)
            _look_after(children, ready)
            if listener in ready and not _fork(listener, children):
                return


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _look_after(children: Children, ready: list[Any]) -> None:
    """Tell how those ended that have, and end those in whose place the program was killed."""
    for connection, child in list(children.items()):
        killed = connection in ready
        if killed:
            os.kill(child, signal.SIGKILL)
        ended, status = os.waitpid(child, 0 if killed else os.WNOHANG)
        if ended:
            del children[connection]
            with suppress(OSError), connection:
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _fork(listener: socket.socket, children: Children) -> bool:
    """Take a command and fork its process; return whether this is still the process that forks."""
    connection, _ = listener.accept()
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    said = b""
    while len(said) < int.from_bytes(head, "big"):
        said += connection.recv(1 << 16)
    child = os.fork()
    if child == 0:
        for other in (listener, connection, *children):
            other.close()
        _become(streams, *marshal.loads(said))  # noqa: S302 (our own)
        return False
    for stream in streams:
        os.close(stream)
    children[connection] = child
    connection.sendall(b"%d\n" % child)
    return True


def _become(streams: list[int], folder: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Take what a new Python would take from its environment and its command line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number, (stream, name) in enumerate(zip(streams, ("stdin", "stdout", "stderr"), strict=True)):
        os.dup2(stream, number)
        os.close(stream)
        old = getattr(sys, name)
        new = open(number, old.mode, encoding=old.encoding, errors=old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, new)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    known = sys.path[:]
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", *known)]
    sys.path.insert(0, folder if arguments[0] == "-m" else "")
    sys.argv = arguments


def _begin(arguments: list[str]) -> None:
    kind, *rest = arguments
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    sys.argv = [kind, *rest[kind == "-c" :]]
    code = rest[0] if kind == "-c" else sys.stdin.read()
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "<string>", "exec"), names)  # noqa: S102 (a test's own)


def _end_at_once(error: BaseException | None) -> None:
    """End as Python ends, without taking all apart: that takes longer than most commands."""
    code = error.code if isinstance(error, SystemExit) else error and 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    if error and not isinstance(error, SystemExit):
        traceback.print_exception(error)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code or 0)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
    ended: BaseException | None = None
    try:
        _begin(sys.argv)
    except BaseException as error:  # noqa: BLE001 (whatever ends a program)
        ended = error
    _end_at_once(ended)
