"""The sandbox: Commons, Flickr, Street View and aerial tiles on one port of this machine, over drawn pictures, with faults.

    with serving(deal(seed=0, cities=2, photos_per_city=30)) as sandbox:
        os.environ.update(sandbox.environment())

It is bound to 127.0.0.1 and to nothing else.
"""

import os
import shlex
import socket
import struct
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from collector.areas import as_toml
from collector.errors import UsageError
from collector.sandbox import answers, flickr_api, land, streetview_api, tiles_api
from collector.sandbox.answers import MARK, Answer, Request, Services
from collector.sandbox.commons_api import Wiki
from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import Holdings, chance, deal, token
from collector.sandbox.rendered_files import Prints, Source
from collector.sandbox.scenes import CITIES, region_text

# --- what goes wrong, so that a client can be tried against it
#
# Which answer goes wrong, and how, depends on the seed, the request and how often it was asked: not on time, threads or the
# order of requests. A request that is asked again and again is answered in the end.

KINDS = (
    "rate-limited",  # 429 with Retry-After
    "server-error",  # 500, 502 or 503 with a page of HTML
    "slow",  # the whole answer, but late
    "reset",  # the connection is reset in the middle of the body
    "truncated",  # the connection ends before Content-Length is reached
    "html",  # 200 with a page of HTML in the place of JSON or a picture
    "not-json",  # 200 with half of the JSON, at its full Content-Length; answers of APIs only
    "redirect",  # to the same address with a mark
    "empty",  # 200 without a body
    "wrong-type",  # the whole answer, under a wrong Content-Type
    "service-error",  # in the service's own words: Flickr's 105, MediaWiki's maxlag, UNKNOWN_ERROR; answers of APIs only
)
"""All faults, in the order in which they are documented."""

_API_ONLY = ("not-json", "service-error")


@dataclass(frozen=True)
class Trouble:
    """How often what goes wrong.

    Attributes:
        rate: the part of the answers that goes wrong, 0 to 1.
        seed: other seeds let other answers go wrong.
        kinds: what may go wrong; each is as likely as the others that are possible.
        endpoints: names, or beginnings of names, of the endpoints where it does (server.py names them); all when empty.
        in_a_row: so often at most does one request go wrong before it is answered.
        retry_after: seconds, in the header of 429 and 503.
        slow_s: seconds by which a slow answer is late.
    """

    rate: float = 0.0
    seed: int = 0
    kinds: tuple[str, ...] = KINDS
    endpoints: tuple[str, ...] = ()
    in_a_row: int = 2
    retry_after: int = 1
    slow_s: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise UsageError(f"sandbox: the rate of trouble is 0 to 1, not {self.rate}")
        if unknown := [kind for kind in self.kinds if kind not in KINDS]:
            raise UsageError(f"sandbox: no trouble is called {', '.join(unknown)}; there is: {', '.join(KINDS)}")


class Strikes:
    """Decides what goes wrong, and remembers how often each request was asked. Safe to use from many threads."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def next(self, endpoint: str, request: str, api: bool) -> str | None:
        """Return what goes wrong with an answer, None when it is as it should be.

        Args:
            endpoint: its name.
            request: all that was asked, the same for the same request.
            api: whether the answer is an API's; else it is a file.
        """
        trouble = self.trouble
        possible = [kind for kind in trouble.kinds if api or kind not in _API_ONLY]
        if not trouble.rate or not possible or (trouble.endpoints and not endpoint.startswith(trouble.endpoints)):
            return None
        key = token(24, request)
        with self._lock:
            self._asked[key] += 1
            again = self._asked[key]
            if self._failed[key] < trouble.in_a_row and chance("strike", trouble.seed, key, again) < trouble.rate:
                self._failed[key] += 1
                return possible[int(chance("kind", trouble.seed, key, again) * len(possible))]
            self._failed[key] = 0
            return None


# --- the server

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
        requests: how often an endpoint was asked (`flickr.photos.search`, `flickr.photos.getSizes`,
            `flickr.other`, `flickr.picture`,
            `commons.geosearch`, `commons.imageinfo`, `commons.other`, `commons.file`, `commons.page`,
            `streetview.metadata`, `streetview.picture`, `aerial.tile`, `robots`, `refused`), and how often what went
            wrong there (`flickr.picture/reset`).
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

    def hold(self, holdings: Holdings) -> None:
        """Let years pass: what is asked for from now on is answered as by services that hold this."""
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

    def aerial_service(self) -> str:
        """Return a service of tiles of the drawn land from above, as `--service` of `t15 aerial` takes it."""
        return (
            '[drawn]\ntitle = "Imaginary land (drawn)"\n'
            f'url = "{self.url}/tiles/{{z}}/{{x}}/{{y}}.png"\n'
            'licence = "CC0-1.0"\nattribution = "drawn by t15"\n'
        )


@contextmanager
def serving(
    holdings: Holdings,
    trouble: Trouble | None = None,
    port: int = 0,
    *,
    limits: Limits | None = None,
    pictures: Source = "drawn",
    lacking: float = tiles_api.LACKING,
) -> Iterator[Sandbox]:
    """Serve holdings on 127.0.0.1 until the context ends.

    Args:
        holdings: see `services.deal`.
        trouble: what goes wrong; nothing when None.
        port: 0 for any that is free.
        limits: how Flickr's searches are cut; as by the real service when None.
        pictures: see Prints.
        lacking: share of the tiles from above that have no usable picture.

    Raises:
        UsageError: the port is taken or forbidden.
        RuntimeError: the sandbox failed at a request.
    """
    prints = Prints(holdings.flickr, pictures)
    services = Services(holdings, prints, limits or Limits(), Wiki(holdings.commons), lacking)
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


def serve_forever(
    port: int,
    seed: int,
    photos_per_city: int,
    trouble_rate: float,
    region_file: Path,
    say: Callable[[str], None] = print,
    stop: threading.Event | None = None,
) -> None:
    """Serve until Ctrl-C, after saying how to collect from it.

    Args:
        port: 0 for any that is free.
        seed, photos_per_city: as for `scenes.plan`; of the land's shires too.
        trouble_rate: the part of the answers that goes wrong, 0 to 1.
        region_file: where the region file is written. Beside it: the service of tiles (sandbox-tiles.toml), the land as a
            region (sandbox-land.toml) and its layers (sandbox-layers/*.tif).
        say: prints a text.
        stop: ends it too.

    Raises:
        UsageError: a number is outside its range, or the port is taken.
        OSError: a file cannot be written.
    """
    trouble = Trouble(trouble_rate, seed)
    holdings = deal(seed, len(CITIES), photos_per_city, land=photos_per_city)
    with serving(holdings, trouble, port) as sandbox:
        layers, service, shires = map(
            region_file.with_name, ("sandbox-layers", "sandbox-tiles.toml", "sandbox-land.toml")
        )
        layers.mkdir(parents=True, exist_ok=True)
        region_file.write_text(region_text(len(CITIES)), encoding="utf-8")
        service.write_text(sandbox.aerial_service(), encoding="utf-8")
        shires.write_text(as_toml(land.REGION), encoding="utf-8")
        for name, content in land.geotiffs().items():
            (layers / f"land_{name}.tif").write_bytes(content)
        exports = [f"export {name}={shlex.quote(value)}" for name, value in sandbox.environment().items()]
        cities, of_land = (f"--region {shlex.quote(str(file))} --workspace sandbox" for file in (region_file, shires))
        lines = [
            f"# Commons, Flickr, Street View and tiles, drawn, on {sandbox.url}; keys that are good nowhere else.",
            *exports,
            "",
            "# In another terminal, after these lines:",
            f"t15 collect --provider commons {cities}",
            f"t15 collect --provider commons {of_land}",
            f"t15 aerial fetch --service {shlex.quote(str(service))} --zoom 13 {of_land}",
            "",
            "# Ctrl-C ends it.",
        ]
        say("\n".join(lines))
        try:
            (stop or threading.Event()).wait()
        except KeyboardInterrupt:
            say("")
