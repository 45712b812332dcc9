"""A server on loopback that says exactly what a test wants, byte by byte, and a clock that nobody has to wait for."""

import re
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType

from collector.net.types import Access

Script = bytes | Callable[[socket.socket], None]


def answer(body: bytes = b"", status: int = 200, *headers: str, kind: str = "application/json") -> bytes:
    """Return an answer as it goes over the wire; `headers` as `Name: value`."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    if kind:
        lines.append(f"Content-Type: {kind}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def redirect(target: str, status: int = 302) -> bytes:
    """Return a redirect."""
    return answer(b"", status, f"Location: {target}")


class Server:
    """Answers each request with the next script, the last one for ever; a path in `fixed` always with its own.

    Attributes:
        requests: each as text, in the order of arrival, those to `fixed` paths among them.
    """

    def __init__(self, *scripts: Script, fixed: Mapping[str, Script] | None = None) -> None:
        self.scripts = list(scripts)
        self.fixed: dict[str, Script] = {"/robots.txt": answer(b"", 404), **(fixed or {})}
        self.requests: list[str] = []
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def access(self, *secrets: str, parallel: int = 4) -> Access:
        """Return an Access to this server and to nothing else."""
        return Access({}, frozenset({self.url}), parallel, secrets)

    @property
    def paths(self) -> list[str]:
        """The requests' paths, without robots.txt."""
        return [path for path in (r.split(" ")[1] for r in self.requests) if path != "/robots.txt"]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = _read(connection)
            path = request.partition(" ")[2].partition(" ")[0].partition("?")[0]
            with self._lock:
                self.requests.append(request)
                if path in self.fixed:
                    script = self.fixed[path]
                else:
                    script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            if isinstance(script, bytes):
                connection.sendall(script)
            else:
                script(connection)


def _read(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    length = re.search(rb"content-length: (\d+)", data.lower())
    whole = data.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
    while len(data) < whole:
        data += connection.recv(65536)
    return data.decode("latin-1")


class FakeTime:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += seconds
