"""Connections that go only where they may and end when they must: the requests adapter under everything.

Addresses are checked when a connection is made, and the checked address itself is connected to: the name is not resolved
again, so an answer of the resolver that changes in between (DNS rebinding) changes nothing. The host's name still goes into
the Host header, SNI and the check of the certificate.

A socket's timeout runs from byte to byte, so that a server that sends one every few seconds holds on for ever. Here each
read, of headers too, gets what is left of the answer's whole time.
"""

import http.client
import io
import os
import socket
import ssl
import time
import zlib
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3 import exceptions as urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from collector.net.allowlist import Origin, is_public
from collector.net.types import RefusedError, TemporaryError

_POOL = 32

Resolver = Callable[..., list[Any]]
"""What `socket.getaddrinfo` is."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect to one address, between two reads, and from the request to the answer's last byte."""

    connect: float = 10.0
    read: float = 30.0
    whole: float = 120.0


_deadline: ContextVar[float] = ContextVar("deadline")
"""time.monotonic() at which the answer that this thread is asking for has to be complete."""


class Transport(HTTPAdapter):
    """Sends one request: no redirects, no retries, no proxies.

    A proxy from the environment is not used: it would resolve the names, so that nothing here could say where they lead.
    A CA bundle from the environment (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE) is, as requests does it.
    """

    def __init__(self, own: frozenset[Origin], timeouts: Timeouts, resolve: Resolver) -> None:
        self._own, self._timeouts, self._resolve = own, timeouts, resolve
        self._closed = False
        self._verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        super().__init__(pool_connections=_POOL, pool_maxsize=_POOL)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make pools whose connections check where they go."""
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._connect, self._timeouts.read)

    def ask(self, request: requests.PreparedRequest) -> requests.Response:
        """Send a request and return the answer with its body unread; close it.

        Raises:
            TemporaryError: no answer came.
            RefusedError: the host's name stands for an address that is not public.
        """
        if self._closed:
            raise TemporaryError("stopped", "the work was stopped")
        token = _deadline.set(time.monotonic() + self._timeouts.whole)
        try:
            timeout = (self._timeouts.connect, self._timeouts.read)
            return self.send(request, stream=True, timeout=timeout, verify=self._verify)
        except FAILURES as error:
            failure = failure_of(error, request.url)
        finally:
            _deadline.reset(token)
        raise failure  # outside of `except`: the libraries' errors quote the URL, and would be chained

    def close(self) -> None:
        """Let go of all connections that are not in use, and send nothing any more."""
        self._closed = True
        super().close()

    def _connect(self, connection: HTTPConnection, scheme: str) -> socket.socket:
        host, port = connection.host.strip("[]"), connection.port
        try:
            found = self._resolve(host, port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise TemporaryError("unresolved", f"{host}: no address found")
        if Origin(scheme, host, port) not in self._own:
            for *_, address in found:
                if not is_public(str(address[0])):
                    raise RefusedError("private-address", f"{host} stands for {address[0]}")
        reason = "unreachable"
        for family, kind, protocol, _, address in found:
            reason = "unreachable"
            sock = socket.socket(family, kind, protocol)
            try:
                for option in connection.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(max(0.001, min(self._timeouts.connect, _deadline.get() - time.monotonic())))
                sock.connect(address)
            except OSError as error:
                sock.close()
                reason = "timeout" if isinstance(error, TimeoutError) else reason
            else:
                return sock
        raise TemporaryError(reason, f"{host}: no connection")


def _pools(
    connect: Callable[[HTTPConnection, str], socket.socket], read_s: float
) -> dict[str, type[HTTPConnectionPool]]:
    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_Timed(raw, sock, read_s, _deadline.get()), 64 * 1024)

    class Plain(HTTPConnection):
        response_class = Response

        def _new_conn(self) -> socket.socket:
            return connect(self, "http")

    class Secure(HTTPSConnection):
        response_class = Response

        def _new_conn(self) -> socket.socket:
            return connect(self, "https")

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _Timed(io.RawIOBase):
    """A socket's stream whose every read ends at the deadline at the latest."""

    def __init__(self, raw: Any, sock: socket.socket, read_s: float, deadline: float) -> None:
        self._raw, self._sock, self._read_s, self._deadline = raw, sock, read_s, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._sock.settimeout(min(self._read_s, left))
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]  # the socket's own stream

    def close(self) -> None:
        self._raw.close()
        super().close()


FAILURES = (
    requests.RequestException,
    urllib3.HTTPError,
    http.client.HTTPException,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
)

_REASONS: tuple[tuple[str, tuple[type[BaseException], ...]], ...] = (
    ("certificate", (ssl.SSLCertVerificationError,)),
    ("timeout", (TimeoutError, urllib3.TimeoutError)),
    ("truncated", (EOFError, http.client.IncompleteRead, urllib3.IncompleteRead)),
    ("reset", (ConnectionError,)),  # RemoteDisconnected is one
    ("tls", (ssl.SSLError,)),
    ("broken", (http.client.HTTPException,)),
    ("truncated", (urllib3.ProtocolError,)),  # of a chunked body that ends between two chunks, urllib3 says no more
)


def failure_of(error: BaseException, url: str | None) -> TemporaryError:
    """Return what became of a request, in our words: the libraries' texts hold the URL, and a key with it."""
    linked = _linked(error)
    for reason, types in _REASONS:
        if any(isinstance(link, types) for link in linked):
            return TemporaryError(reason, _host(url))
    return TemporaryError("broken", f"{_host(url)}: {type(linked[-1]).__name__}")


def _linked(error: BaseException) -> list[BaseException]:
    """Return an error and those inside it: causes, and what requests and urllib3 put into `args` and `reason`."""
    linked = [error]
    for link in linked:
        inner = (*link.args, getattr(link, "reason", None), link.__cause__)
        linked.extend(new for new in inner if isinstance(new, BaseException) and not any(new is old for old in linked))
    return linked


def _host(url: str | None) -> str:
    return str(url).partition("://")[2].partition("/")[0]
