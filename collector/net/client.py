"""Polite, careful HTTP: the one place where t15 talks to the network.

The parts are beside it: whom one may talk to (`allowlist`), connections, time limits and bodies (`transport`), how often and
when again (`rate_limit`), what sites ask of robots (`robots`), and keys cut out of text (`redact`).
"""

import io
import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import requote_uri
from urllib3 import HTTPResponse

from collector.errors import UsageError
from collector.net import robots as robots_txt
from collector.net.allowlist import Origin, origin_of, why_forbidden
from collector.net.rate_limit import LONGEST_WAIT_S, TRIES, Budget, Paces, backoff, limit_told, retry_after, why_retry
from collector.net.redact import Redactor, quiet_libraries
from collector.net.transport import (
    Resolver,
    Timeouts,
    Transport,
    beginning_of,
    body_of,
    bounded,
    check_content,
    check_type,
    is_whole_range,
    place,
)
from collector.net.types import Access, Answer, NetError, RefusedError, TemporaryError

__all__ = ["Access", "Answer", "Http", "NetError", "RefusedError", "TemporaryError", "Timeouts"]

T = TypeVar("T")

MAX_BODY = 32 * 2**20
"""Bytes, decoded, of an answer that `get` or the session returns."""

ERROR_BODY = 64 * 2**10
"""Bytes, decoded, of a refusal's body that are looked at."""

GONE = frozenset({404, 410, 451})
"""Statuses that say of what was asked for that it is not there any more, or may not be had, for ever (RFC 9110, RFC 7725)."""

_PIECE = 64 * 2**10
_HEAD = 512  # bytes of a body that show what it is
_MAX_REDIRECTS = 5
_OURS = {"Accept", "Accept-Encoding", "User-Agent"}
_CONTACT = re.compile(r"(?=[!-~]{1,200}\Z)(?:https?://|[^@()]+@)[^@()]+")

Judge = Callable[[Answer], None]
"""Looks at an answer, whatever its status, and raises what its body says that it is; does nothing where it says nothing."""


class Http:
    """One provider's way to the network. Safe to use from many threads."""

    def __init__(
        self,
        access: Access,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 (frozen)
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        chance: Callable[[], float] = random.random,
        resolve: Resolver = socket.getaddrinfo,
    ) -> None:
        """Args: those after `timeouts` are for tests.

        Raises:
            UsageError: T15_CONTACT is neither an e-mail address nor a URL, or the CA bundle of the environment is none.
        """
        self.access, self._timeouts = access, timeouts
        self.agent = user_agent(os.environ.get("T15_CONTACT", ""))
        self._redactor = Redactor(access.secrets)
        quiet_libraries(self._redactor)
        self._closed = threading.Event()
        self._nap, self._chance = sleep or self._closed.wait, chance
        self._own = frozenset(map(origin_of, access.own))
        self._transport = Transport(self._own, timeouts, resolve)
        self.paces = Paces(access, self._own, clock, self._sleep)
        self._sites = robots_txt.Sites(self._rules_of, clock)
        self._session = _new_session(self.agent, self._whole)

    def require_open(self) -> None:
        """Raise TemporaryError where this was closed."""
        self._sleep(0)

    def share(self, budget: Budget | None) -> None:
        """Let a budget that other machines ask too say when requests may be made; None: let this process say it again."""
        self.paces.share(budget)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process, with its secrets, where it keeps to the same budget.

        Raises:
            TypeError: it has none that can be shared: two would ask twice as often.
        """
        if self.paces.budget is None:
            raise TypeError("an Http travels only with a shared budget: see `share`")
        return _arrived, (self.access, self._timeouts, self.agent, self.paces.budget)

    @property
    def session(self) -> requests.Session:
        """A session for client libraries: limited, checked and bounded as everything here, without retries.

        It raises TemporaryError and RefusedError where the answer is neither 2xx nor 3xx; their `answer` holds the body.
        Timeouts, proxies and certificates that a caller passes to it are not used, and it keeps no cookies.
        """
        return self._session

    def get(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        accept: tuple[str, ...] = ("application/json",),
        judge: Judge = lambda _: None,
    ) -> Answer:
        """Return a small answer, asking again while it is worth it.

        `judge` sees an answer before its status decides: a body may say that an error passes, or that 200 is one.

        Raises:
            TemporaryError: the last of the tries failed, or the service asks to wait for longer than a run does.
            RefusedError: asking again is of no use now.
            Others: what `judge` raises.
        """

        def once() -> Answer:
            try:
                with self._opened(self._prepared(url, params, headers, accept, "gzip"), robots=False) as response:
                    check_type(response, accept)
                    body = b"".join(bounded(response, MAX_BODY))
                    check_content(response, accept, body[:_HEAD])
                    answer = self._answer(response, body)
            except NetError as error:
                if error.answer is not None:
                    self._judge(judge, error.answer, url)
                raise
            self._judge(judge, answer, url)
            return answer

        return self.retrying(once)

    def fetch(
        self,
        url: str,
        sink: BinaryIO,
        *,
        max_bytes: int,
        accept: tuple[str, ...] = ("image/",),
        robots: bool = True,
    ) -> Answer:
        """Stream a file into `sink` (seekable; emptied before each try) and return the answer without its body.

        Raises:
            TemporaryError, RefusedError: as for `get`.
            OSError: the sink's own.
        """

        def once() -> Answer:
            sink.seek(0)
            sink.truncate()
            with self._opened(self._prepared(url, None, None, accept, "identity"), robots=robots) as response:
                if robots_txt.says_noai(response.raw.headers.getlist("X-Robots-Tag")):
                    raise RefusedError("noai", "the answer asks to be kept out of machine learning")
                check_type(response, accept)
                if response.status_code not in (200, 203) and not is_whole_range(response):
                    raise TemporaryError(f"http-{response.status_code}", "not a whole file")
                for chunk in bounded(response, max_bytes):
                    if not sink.tell():
                        check_content(response, accept, chunk[:_HEAD])
                    sink.write(chunk)
                if not sink.tell():
                    raise TemporaryError("empty", f"{place(response)} sent a file without bytes")
                return self._answer(response)

        return self.retrying(once)

    @contextmanager
    def stream(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, data: bytes | None = None
    ) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Ask once, and yield the answer (2xx, or 3xx that leads nowhere) and its body in pieces of at most 64 KiB.

        Raises:
            TemporaryError, RefusedError: as for `get`; also while pieces are read.
        """
        try:
            request = self._prepared(url, None, headers, (), "identity", method, data)
            with self._opened(request, robots=False) as response:
                yield self._answer(response), body_of(response, packed=False, piece=_PIECE)
        except NetError as error:
            self._clean(error)
            raise

    def retrying(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, calling again after a TemporaryError as `get` does.

        Raises:
            TemporaryError: the last of the tries failed, or the service asks to wait for longer than a run does.
        """
        failures = 0
        while True:
            try:
                return call()
            except RefusedError as error:
                self._clean(error)
                raise
            except TemporaryError as error:
                self._clean(error)
                failures += 1
                asked = error.retry_after if error.retry_after and error.retry_after > 0 else 0.0
                if failures == TRIES or asked > LONGEST_WAIT_S or self._closed.is_set():
                    raise
            self._sleep(asked or backoff(failures, self._chance()))

    def redacted(self, text: str) -> str:
        """Return a text without the access's secrets, and without the values of parameters that hold keys."""
        return self._redactor(text)

    def close(self) -> None:
        """Wake those who wait, and send nothing any more: their calls, and later ones, raise TemporaryError.

        Answers that are being read are read to their end.
        """
        self._closed.set()
        self._transport.close()

    def _sleep(self, seconds: float) -> None:
        self._nap(seconds)
        if self._closed.is_set():
            raise TemporaryError("stopped", "the work was stopped while waiting")

    def _clean(self, error: NetError) -> None:
        error.reason, error.detail = self.redacted(error.reason), self.redacted(error.detail)
        error.args = tuple(self.redacted(str(argument)) for argument in error.args)
        error.__cause__ = error.__context__ = None

    def _prepared(
        self,
        url: str,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        accept: tuple[str, ...],
        encoding: str,
        method: str = "GET",
        data: bytes | None = None,
    ) -> requests.PreparedRequest:
        kinds = ", ".join(kind + "*" if kind.endswith("/") else kind for kind in accept)
        given = {"Accept": kinds or "*/*", **(headers or {}), "Accept-Encoding": encoding, "User-Agent": self.agent}
        try:
            return requests.Request(method, url, params=params, headers=given, data=data).prepare()
        except (requests.RequestException, ValueError):
            refusal = RefusedError("bad-request", f"{self.redacted(url)[:200]!r} cannot be asked for")
        raise refusal

    def _judge(self, judge: Judge, answer: Answer, url: str) -> None:
        try:
            judge(answer)
        except TemporaryError as error:
            if error.retry_after is None:
                error.retry_after = retry_after(answer.headers, time.time())
            if error.retry_after is not None and error.retry_after > 0:
                self.paces.of(origin_of(url)).pause(error.retry_after)
            raise

    def _answer(self, response: requests.Response, body: bytes = b"") -> Answer:
        return Answer(self.redacted(response.url), response.status_code, response.headers, body)

    def _whole(self, request: requests.PreparedRequest) -> tuple[requests.Response, bytes]:
        """Answer the session: one try."""
        request.headers.update({"User-Agent": self.agent, "Accept-Encoding": "gzip"})
        try:
            with self._opened(request, robots=False) as response:
                return response, b"".join(bounded(response, MAX_BODY))
        except NetError as error:
            self._clean(error)
            raise

    # --- one try: may it be made, when is its turn, where do redirects lead, what does the status say

    @contextmanager
    def _opened(self, request: requests.PreparedRequest, *, robots: bool) -> Iterator[requests.Response]:
        """Send a request, follow its redirects, and yield the answer (2xx, or 3xx that leads nowhere), its body unread.

        Raises:
            TemporaryError: there is no answer, or its status says to come back later.
            RefusedError: the request, or what it leads to, is forbidden here or there. What a redirect leads to has the
                redirect's status: it may lead elsewhere later.
        """
        status: int | None = None
        for _ in range(1 + _MAX_REDIRECTS):
            url = str(request.url)
            origin = self._permitted(url, status)
            if robots and not self._sites.allow(url):
                raise RefusedError("robots", f"{origin} asks robots not to fetch this")
            pace = self.paces.of(origin)
            with pace.turn():
                response = self._transport.ask(request)
                try:
                    if not response.is_redirect:
                        if response.status_code >= 400 or response.status_code < 200:
                            raise self._failure(response, pace.pause)
                        yield response
                        return
                finally:
                    response.close()
            status = response.status_code
            request = self._redirected(request, response)
        raise RefusedError("redirects", f"more than {_MAX_REDIRECTS}", status=status)

    def _failure(self, response: requests.Response, pause: Callable[[float], None]) -> NetError:
        """Return what an answer says that is neither 2xx nor 3xx; a Retry-After stops the whole host, whatever the status."""
        status, wait = response.status_code, retry_after(response.headers, time.time())
        if wait is not None:
            pause(wait)
        body = beginning_of(response, ERROR_BODY)[:ERROR_BODY]
        why = "rate-limited" if status not in GONE and limit_told(body) else why_retry(status)
        kind = RefusedError if why is None else TemporaryError
        answer = self._answer(response, body)
        return kind(why or f"http-{status}", place(response), status=status, retry_after=wait, answer=answer)

    def _permitted(self, url: str, status: int | None) -> Origin:
        """Return the origin of a URL that may be talked to; `status` of the redirect that led there, if one did."""
        try:
            origin = origin_of(url)
        except ValueError as error:
            why = str(error)
        else:
            forbidden = why_forbidden(origin, self.access.hosts, self._own, anywhere=self.access.anywhere)
            if forbidden is None:
                return origin
            why = f"{origin}: {forbidden}"
        raise RefusedError("forbidden-host", why, status=status)

    def _redirected(self, request: requests.PreparedRequest, response: requests.Response) -> requests.PreparedRequest:
        """Return the request that a redirect leads to; to another origin it carries no header of the caller's and no key."""
        after, status = request.copy(), response.status_code
        target = response.headers["Location"].encode("latin-1").decode("utf-8", "replace")  # http.client reads Latin-1
        after.url = ""
        with suppress(ValueError):
            after.url = urljoin(str(request.url), requote_uri(target))
        if status == 303 or (status in (301, 302) and request.method == "POST"):  # RFC 9110, 15.4, and what browsers do
            after.method, after.body = "GET", None
            for name in ("Content-Length", "Content-Type", "Transfer-Encoding"):
                after.headers.pop(name, None)
        if self._permitted(after.url, status) != origin_of(str(request.url)):
            if after.body is not None:
                raise RefusedError("redirects", "the body of a request is not sent to another host", status=status)
            for name in set(after.headers) - _OURS:
                del after.headers[name]
            after.url = self._without_keys(after.url, status)
        return after

    def _without_keys(self, url: str, status: int) -> str:
        parts = urlsplit(url)
        kept = [pair for pair in parts.query.split("&") if self._redactor.without_secrets(pair) == pair]
        url = urlunsplit(parts._replace(query="&".join(kept)))
        if self._redactor.without_secrets(url) != url:
            raise RefusedError("redirects", "it would carry a key to another host", status=status)
        return url

    def _rules_of(self, url: str) -> robots_txt.Rules:
        """Return the rules in a robots.txt.

        RFC 9309, 2.3.1: where there is none (4xx, endless redirects) all is allowed, where it cannot be reached nothing is.
        One that lies on a host that the provider does not allow cannot be reached either.
        """
        request = self._prepared(url, None, None, ("text/plain", "*/*"), "gzip")
        try:
            with self._opened(request, robots=False) as response:
                return robots_txt.Rules(b"".join(_first(response, robots_txt.MAX_BYTES)))
        except NetError as error:
            is_refused = isinstance(error, RefusedError)
            if is_refused and (400 <= (error.status or 0) < 500 or error.reason == "redirects"):
                return robots_txt.Rules()
            why = error
        raise TemporaryError("robots-unreachable", f"{url}: {why}", retry_after=why.retry_after)


def _arrived(access: Access, timeouts: Timeouts, agent: str, budget: Budget) -> Http:
    """Return an Http that was sent here; it names itself as where it comes from."""
    http = Http(access, timeouts=timeouts)
    http.agent = agent
    http.share(budget)
    return http


def _first(response: requests.Response, enough: int) -> Iterator[bytes]:
    read = 0
    for chunk in body_of(response):
        yield chunk
        read += len(chunk)
        if read > enough:
            return


def user_agent(contact: str) -> str:
    """Return how t15 names itself, with whom to write to.

    Raises:
        UsageError: `contact` is neither empty nor a printable e-mail address or URL.
    """
    contact = contact.strip(" ")
    if contact and not _CONTACT.fullmatch(contact):
        raise UsageError("T15_CONTACT: must be an e-mail address or a URL where the services can reach you")
    purpose = f"photo geolocation data sets; {contact or 'no contact given'}"
    return f"t15/{version('t15')} ({purpose}) python-requests/{requests.__version__}"


def _new_session(
    agent: str, send: Callable[[requests.PreparedRequest], tuple[requests.Response, bytes]]
) -> requests.Session:
    """Return a session whose every request goes through `send` (answer and whole body), so that no library gets around it."""
    session = requests.Session()
    session.trust_env = False  # no passwords from .netrc; proxies: see transport.py
    session.headers.update({"User-Agent": agent, "Accept-Encoding": "gzip"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Door(send))
    return session


class _Door(BaseAdapter):
    def __init__(self, send: Callable[[requests.PreparedRequest], tuple[requests.Response, bytes]]) -> None:
        super().__init__()
        self._send = send

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        answer, body = self._send(request)
        gone = ("content-encoding", "content-length", "transfer-encoding")  # they described the body as it travelled
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in gone}
        raw = HTTPResponse(io.BytesIO(body), headers, answer.status_code, reason=answer.reason, preload_content=False)
        return HTTPAdapter().build_response(answer.request, raw)

    def close(self) -> None:
        """Do nothing: the connections belong to the Http."""
