"""Polite, careful HTTP: the one place where t15 talks to the network.

The parts are beside it: whom one may talk to (`addresses`), connections and time limits (`transport`), how often
(`politeness`), what sites ask of robots (`robots`), when to ask again (`retries`), and keys cut out of text (`redact`).
"""

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar

import requests

from collector.net.allowlist import origin_of
from collector.net.attempts import Visits
from collector.net.redact import Redactor, quiet_libraries
from collector.net.response_body import bounded, expect, place
from collector.net.retries import LONGEST_WAIT_S, TRIES, backoff, retry_after
from collector.net.robots import says_noai
from collector.net.session import new_session, user_agent
from collector.net.transport import Resolver, Timeouts, Transport
from collector.net.types import Access, Answer, RefusedError, TemporaryError

__all__ = ["Access", "Answer", "Http", "RefusedError", "TemporaryError"]

T = TypeVar("T")

MAX_BODY = 32 * 2**20
"""Bytes, decoded, of an answer that `get` or the session returns."""


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
        """Args: those after `access` are for tests.

        Raises:
            UsageError: T15_CONTACT is neither an e-mail address nor a URL.
        """
        self.access = access
        self._agent = user_agent(os.environ.get("T15_CONTACT", ""))
        self._redactor = Redactor(access.secrets)
        quiet_libraries(self._redactor)
        self._closed = threading.Event()
        self._nap, self._chance = sleep or self._closed.wait, chance
        own = frozenset(map(origin_of, access.own))
        self._transport = Transport(own, timeouts, resolve)
        self._visits = Visits(access, own, self._agent, self._transport, self._redactor, clock, self._sleep)
        self._session = new_session(self._agent, self._whole)

    @property
    def session(self) -> requests.Session:
        """A session for client libraries: limited, checked and bounded as everything here, without retries.

        It raises TemporaryError and RefusedError where the answer is neither 2xx nor 3xx. Timeouts, proxies and
        certificates that a caller passes to it are not used, and it keeps no cookies.
        """
        return self._session

    def get(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        accept: tuple[str, ...] = ("application/json",),
        judge: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """Return a small answer, asking again while it is worth it.

        `judge` looks at an answer with status 200 and raises TemporaryError where its body says that it is none.

        Raises:
            TemporaryError: the last of the tries failed, or the service asks to wait for longer than a run does.
            RefusedError: asking again is of no use.
        """

        def once() -> Answer:
            with self._visits.open(self._prepared(url, params, headers, accept, "gzip"), robots=False) as response:
                expect(response, accept)
                answer = self._answer(response, b"".join(bounded(response, MAX_BODY)))
            if judge and answer.status == 200:
                self._judged(judge, answer, response)
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
            with self._visits.open(self._prepared(url, None, None, accept, "identity"), robots=robots) as response:
                if says_noai(response.raw.headers.getlist("X-Robots-Tag")):
                    raise RefusedError("noai", "the answer asks to be kept out of machine learning")
                expect(response, accept)
                if response.status_code not in (200, 203):
                    raise TemporaryError(f"http-{response.status_code}", "not a whole file")
                for chunk in bounded(response, max_bytes):
                    sink.write(chunk)
                if not sink.tell():
                    raise TemporaryError("empty", f"{place(response)} sent a file without bytes")
                return self._answer(response)

        return self.retrying(once)

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

    def _clean(self, error: TemporaryError | RefusedError) -> None:
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
    ) -> requests.PreparedRequest:
        kinds = ", ".join(kind + "*" if kind.endswith("/") else kind for kind in accept)
        given = {"Accept": kinds or "*/*", **(headers or {}), "Accept-Encoding": encoding, "User-Agent": self._agent}
        try:
            return requests.Request("GET", url, params=params, headers=given).prepare()
        except (requests.RequestException, ValueError):
            refusal = RefusedError("bad-request", f"{self.redacted(url)[:200]!r} cannot be asked for")
        raise refusal

    def _judged(self, judge: Callable[[Answer], None], answer: Answer, response: requests.Response) -> None:
        try:
            judge(answer)
        except TemporaryError as error:
            if error.retry_after is None:
                error.retry_after = retry_after(answer.headers, time.time())
            if error.retry_after is not None and error.retry_after > 0:
                self._visits.pause(response, error.retry_after)
            raise

    def _answer(self, response: requests.Response, body: bytes = b"") -> Answer:
        return Answer(self.redacted(response.url), response.status_code, response.headers, body)

    def _whole(self, request: requests.PreparedRequest) -> tuple[requests.Response, bytes]:
        """Answer the session: one try."""
        request.headers.update({"User-Agent": self._agent, "Accept-Encoding": "gzip"})
        try:
            with self._visits.open(request, robots=False) as response:
                return response, b"".join(bounded(response, MAX_BODY))
        except (TemporaryError, RefusedError) as error:
            self._clean(error)
            raise
