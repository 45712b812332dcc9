"""One try at a request: may it be made, when is its turn, where do redirects lead, what does the status say."""

import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.utils import requote_uri

from collector.net import robots as robots_txt
from collector.net.allowlist import Origin, origin_of, why_forbidden
from collector.net.rate_limit import Paces
from collector.net.redact import Redactor
from collector.net.response_body import body_of, place
from collector.net.retries import retry_after, why_retry
from collector.net.transport import Transport
from collector.net.types import Access, RefusedError, TemporaryError

MAX_REDIRECTS = 5

_OURS = {"Accept", "Accept-Encoding", "User-Agent"}


class Visits:
    """A provider's requests, each tried once."""

    def __init__(
        self,
        access: Access,
        own: Container[Origin],
        agent: str,
        transport: Transport,
        redactor: Redactor,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._hosts, self._own, self._transport, self._redactor = access.hosts, own, transport, redactor
        self._asking = {"Accept": "text/plain, */*", "Accept-Encoding": "gzip", "User-Agent": agent}
        self._paces = Paces(access, own, clock, sleep)
        self._sites = robots_txt.Sites(self._rules_of, clock)

    @contextmanager
    def open(self, request: requests.PreparedRequest, *, robots: bool) -> Iterator[requests.Response]:
        """Send a request, follow its redirects, and yield the answer (2xx, or 3xx that leads nowhere), its body unread.

        Raises:
            TemporaryError: there is no answer, or its status says to come back later.
            RefusedError: the request, or what it leads to, is forbidden here or there.
        """
        for _ in range(1 + MAX_REDIRECTS):
            url = str(request.url)
            origin = self._permitted(url)
            if robots and not self._sites.allow(url):
                raise RefusedError("robots", f"{origin} asks robots not to fetch this")
            pace = self._paces.of(origin)
            with pace.turn():
                response = self._transport.ask(request)
                try:
                    if not response.is_redirect:
                        _check_status(response, pace.pause)
                        yield response
                        return
                finally:
                    response.close()
            request = self._redirected(request, response)
        raise RefusedError("redirects", f"more than {MAX_REDIRECTS}")

    def pause(self, response: requests.Response, seconds: float) -> None:
        """Let no request to the host of an answer begin for that long."""
        self._paces.of(origin_of(response.url)).pause(seconds)

    def _permitted(self, url: str) -> Origin:
        """Return the origin of a URL that may be talked to."""
        try:
            origin = origin_of(url)
        except ValueError as error:
            why = str(error)
        else:
            forbidden = why_forbidden(origin, self._hosts, self._own)
            if forbidden is None:
                return origin
            why = f"{origin}: {forbidden}"
        raise RefusedError("forbidden-host", why)

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
        if self._permitted(after.url) != origin_of(str(request.url)):
            if after.body is not None:
                raise RefusedError("redirects", "the body of a request is not sent to another host")
            for name in set(after.headers) - _OURS:
                del after.headers[name]
            after.url = self._without_keys(after.url)
        return after

    def _without_keys(self, url: str) -> str:
        parts = urlsplit(url)
        kept = [pair for pair in parts.query.split("&") if self._redactor.without_secrets(pair) == pair]
        url = urlunsplit(parts._replace(query="&".join(kept)))
        if self._redactor.without_secrets(url) != url:
            raise RefusedError("redirects", "it would carry a key to another host")
        return url

    def _rules_of(self, url: str) -> robots_txt.Rules:
        """Return the rules in a robots.txt.

        RFC 9309, 2.3.1: where there is none (4xx, endless redirects) all is allowed, where it cannot be reached nothing is.
        One that lies on a host that the provider does not allow cannot be reached either.
        """
        request = requests.Request("GET", url, headers=self._asking).prepare()
        try:
            with self.open(request, robots=False) as response:
                return robots_txt.parse(b"".join(_beginning(response, robots_txt.MAX_BYTES)))
        except RefusedError as error:
            if 400 <= (error.status or 0) < 500 or error.reason == "redirects":
                return robots_txt.Rules()
            why, wait = str(error), None
        except TemporaryError as error:
            why, wait = str(error), error.retry_after
        raise TemporaryError("robots-unreachable", f"{url}: {why}", wait)


def _beginning(response: requests.Response, enough: int) -> Iterator[bytes]:
    read = 0
    for chunk in body_of(response):
        yield chunk
        read += len(chunk)
        if read > enough:
            return


def _check_status(response: requests.Response, pause: Callable[[float], None]) -> None:
    """Raise where an answer is neither 2xx nor 3xx; a Retry-After stops the whole host."""
    status = response.status_code
    if 200 <= status < 400:
        return
    why = why_retry(status)
    if why is None:
        raise RefusedError(f"http-{status}", place(response), status)
    wait = retry_after(response.headers, time.time())
    if wait is not None:
        pause(wait)
    raise TemporaryError(why, place(response), wait)
