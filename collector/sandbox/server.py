"""The sandbox: Commons, Flickr and Street View on one port of this machine, over drawn pictures, faults included.

    with serving(deal(seed=0, cities=2, photos_per_city=30)) as sandbox:
        os.environ.update(sandbox.environment())

It is bound to 127.0.0.1 and to nothing else.
"""

import os
import socket
import struct
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from collector.errors import UsageError
from collector.sandbox import answers, flickr_api, streetview_api
from collector.sandbox.answers import MARK, Answer, Request, Services
from collector.sandbox.commons_api import Wiki
from collector.sandbox.fault_injection import Strikes, Trouble
from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import Holdings
from collector.sandbox.link_rot import Ageing, aged
from collector.sandbox.rendered_files import Prints, Source

_LONGEST_TARGET = 8192  # characters; longer ones answer 414, as nginx's default has it
_LONGEST_BODY = 64 << 10
_IDLE_S = 60.0
_HTML = b"<!DOCTYPE html><html><head><title>Our servers are having a problem</title></head><body>Sorry.</body></html>"


class Seen(NamedTuple):
    """A request that came in: `headers` by lower-case name, `trouble` what went wrong with its answer, `form` its body."""

    endpoint: str
    method: str
    target: str
    headers: dict[str, str]
    status: int
    trouble: str | None
    form: str = ""


@dataclass
class Sandbox:
    """A running sandbox.

    Attributes:
        url: `http://127.0.0.1:<port>`.
        services: what answers; `holdings` is what they hold, with the truth.
        requests: how often an endpoint was asked (`flickr.photos.search`, `flickr.photos.getInfo`,
            `flickr.photos.getSizes`, `flickr.photos.licenses.getInfo`, `flickr.other`, `flickr.picture`,
            `commons.geosearch`, `commons.imageinfo`, `commons.other`, `commons.file`, `commons.page`,
            `streetview.metadata`, `streetview.picture`, `robots`, `refused`), and how often what went wrong there
            (`flickr.picture/reset`).
        log: the latest 10,000 requests.
        most_at_once: endpoint -> the largest number of requests that were being answered at one time.
        defects: errors of the sandbox itself; leaving `serving` raises where there are any.
        strikes: decides what goes wrong.
    """

    url: str
    services: Services = field(repr=False)
    requests: Counter[str] = field(default_factory=Counter)
    log: deque[Seen] = field(default_factory=lambda: deque(maxlen=10_000), repr=False)
    most_at_once: Counter[str] = field(default_factory=Counter)
    defects: list[Exception] = field(default_factory=list)
    strikes: Strikes = field(default_factory=lambda: Strikes(Trouble()), repr=False)

    @property
    def holdings(self) -> Holdings:
        """What the services hold, with the truth."""
        return self.services.holdings

    def age(self, change: Ageing) -> None:
        """Let years pass: what is asked for from now on is answered as by services whose holdings have changed."""
        holdings = aged(self.holdings, change)
        self.services = replace(self.services, holdings=holdings, wiki=Wiki(holdings.commons))

    def change(self, trouble: Trouble) -> None:
        """Let other things go wrong from now on: an outage begins, or ends."""
        self.strikes = Strikes(trouble)

    def environment(self) -> dict[str, str]:
        """Return the variables that lead t15's clients here, with keys that only the sandbox accepts."""
        return {
            "T15_COMMONS_URL": self.url + answers.COMMONS,
            "T15_FLICKR_URL": self.url + answers.FLICKR,
            "T15_FLICKR_KEY": flickr_api.KEY,
            "T15_STREETVIEW_URL": self.url + answers.STREETVIEW,
            "T15_GOOGLE_KEY": streetview_api.KEY,
            "T15_GOOGLE_SECRET": streetview_api.SECRET,
        }


@contextmanager
def serving(
    holdings: Holdings,
    trouble: Trouble | None = None,
    port: int = 0,
    *,
    limits: Limits | None = None,
    pictures: Source = "drawn",
) -> Iterator[Sandbox]:
    """Serve holdings on 127.0.0.1 until the context ends.

    Args:
        holdings: see `services.deal`.
        trouble: what goes wrong; nothing when None.
        port: 0 for any that is free.
        limits: how Flickr's searches are cut; as by the real service when None.
        pictures: see Prints.

    Raises:
        UsageError: the port is taken or forbidden.
        RuntimeError: the sandbox failed at a request.
    """
    prints = Prints(holdings.flickr, pictures)
    services = Services(holdings, prints, limits or Limits(), Wiki(holdings.commons))
    try:
        server = _Server(("127.0.0.1", port), _Handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "is no port"
        raise UsageError(f"sandbox: port {port}: {reason}; choose another with --port, or 0 for any") from error
    server.begin(services, trouble or Trouble())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True)
    thread.start()
    try:
        yield server.sandbox
    finally:
        server.end()
        thread.join()
    if server.sandbox.defects:
        raise RuntimeError("the sandbox failed at a request") from server.sandbox.defects[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True
    sandbox: Sandbox

    def begin(self, services: Services, trouble: Trouble) -> None:
        self.sandbox = Sandbox(f"http://127.0.0.1:{self.server_address[1]}", services)
        self.sandbox.change(trouble)
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.open: set[socket.socket] = set()

    def end(self) -> None:
        """Stop: wake who is slow, hang up on who is connected."""
        self.ending.set()
        self.shutdown()
        self.server_close()
        with self.lock:
            connections = list(self.open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.lock:
            self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self.lock:
            self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what is not a client that hung up or was too slow."""
        del request, client_address
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.sandbox.defects.append(error)

    def answered(self, request: Request, target: str) -> tuple[Answer, str | None]:
        """Return the answer to a request, and what goes wrong with it."""
        answer = self.sandbox.services.answer(request, self.sandbox.url)
        if f"{MARK}=" in request.query or answer.endpoint in ("refused", "robots"):
            return answer, None
        key = f"{request.method} {target} {request.form}"
        return answer, self.sandbox.strikes.next(answer.endpoint, key, answer.api)

    def count(self, seen: Seen) -> None:
        with self.lock:
            self.sandbox.requests[seen.endpoint] += 1
            if seen.trouble:
                self.sandbox.requests[f"{seen.endpoint}/{seen.trouble}"] += 1
            self.sandbox.log.append(seen)

    @contextmanager
    def busy(self, endpoint: str) -> Iterator[None]:
        """Count a request as being answered."""
        with self.lock:
            self.now[endpoint] += 1
            self.sandbox.most_at_once[endpoint] = max(self.sandbox.most_at_once[endpoint], self.now[endpoint])
        try:
            yield
        finally:
            with self.lock:
                self.now[endpoint] -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "t15-sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = _IDLE_S
    wbufsize = -1  # headers and body leave as one

    @property
    def place(self) -> _Server:
        """The server, under its own type."""
        return cast("_Server", self.server)

    def do_GET(self) -> None:
        """Answer."""
        self._respond()

    do_HEAD = do_POST = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        """Refuse."""
        self._refuse(405, "Method not allowed")

    do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = do_PUT  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing; `Sandbox.log` has it all."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what http.server itself finds wrong, without repeating any of it."""
        del message, explain
        self.request_version = self.protocol_version  # or a request line that is none gets an answer without a status
        self._refuse(code, "Bad request")

    def _respond(self) -> None:
        if len(self.path) > _LONGEST_TARGET:
            self._refuse(414, "URI too long")
            return
        form = self._form()
        if form is None:
            return
        try:
            parts = urlsplit(self.path)
            if not self.path.startswith("/") or not self.path.isascii():
                self._refuse(400, "Bad request")
                return
            request = Request(self.command, parts.path, parts.query, form)
            answer, trouble = self.place.answered(request, self.path)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a defect, and `serving` raises it)
            self.place.sandbox.defects.append(error)
            self._refuse(500, "The sandbox failed")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.place.count(Seen(answer.endpoint, self.command, self.path, headers, answer.status, trouble, form))
        with self.place.busy(answer.endpoint):
            self._send_with(trouble, answer, request)

    def _form(self) -> str | None:
        """Return the body of the request, None when it was refused."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers:
            self._refuse(411, "Length required")
            return None
        if not length.isascii() or not length.isdigit() or len(self.headers.get_all("Content-Length", [])) > 1:
            self._refuse(400, "Bad Content-Length")
            return None
        if len(length) > 9 or int(length) > _LONGEST_BODY:
            self._refuse(413, "Body too long")
            return None
        body = self.rfile.read(int(length)) if int(length) else b""
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body.decode("utf-8", "replace") if self.command == "POST" else ""

    def _refuse(self, status: int, text: str) -> None:
        """Answer with an error, and hang up: what follows in the connection may not be a request."""
        self.close_connection = True
        self.place.count(Seen("refused", str(self.command)[:20], "", {}, status, None))
        self._send(Answer("refused", status, "text/plain; charset=utf-8", f"{text}\n".encode()))

    def _send_with(self, trouble: str | None, answer: Answer, request: Request) -> None:
        settings = self.place.sandbox.strikes.trouble
        if trouble == "slow":
            self.place.ending.wait(settings.slow_s)
        wrong = _instead(trouble, answer, request, settings, self.path)
        if trouble not in ("reset", "truncated") or self.command == "HEAD":
            self._send(wrong)
            return
        self.close_connection = True
        self._send(wrong, part=len(wrong.body) // 2)
        if trouble == "reset":
            # With a linger of 0 seconds, closing sends RST (socket(7)). The file objects around the connection would put
            # its closing off, and the server would end it properly first.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with self.place.lock:
                self.place.open.discard(self.connection)
            os.close(self.connection.detach())

    def _send(self, answer: Answer, part: int | None = None) -> None:
        """Send an answer, or its first `part` bytes under the length of all."""
        try:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if self.close_connection and part is None:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[:part])
            self.wfile.flush()
        except OSError:  # the client has gone
            self.close_connection = True


def _instead(trouble: str | None, answer: Answer, request: Request, settings: Trouble, target: str) -> Answer:
    """Return what is sent in the place of an answer."""
    html, again = "text/html; charset=utf-8", {"Retry-After": str(settings.retry_after)}
    page = replace(answer, status=200, content_type=html, body=_HTML, headers={})
    status = (500, 502, 503)[len(target) % 3]
    location = f"{target}{'&' if request.query else '?'}{MARK}=1"
    others: dict[str | None, Answer] = {
        "rate-limited": replace(page, status=429, headers=again),
        "server-error": replace(page, status=status, headers=again if status == 503 else {}),
        "html": page,
        "not-json": replace(answer, body=answer.body[: len(answer.body) // 2]),
        # After 302 a client turns POST into GET and forgets the form.
        "redirect": replace(
            page, status=307 if request.method == "POST" else 302, body=b"", headers={"Location": location}
        ),
        "empty": replace(answer, status=200, body=b"", headers={}),
        "wrong-type": replace(answer, content_type=html if answer.api else "application/octet-stream"),
    }
    if trouble == "service-error":
        return answers.in_own_words(answer, request)
    return others.get(trouble, answer)
