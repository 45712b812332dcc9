"""Connections that go only where they may and end when they must: the requests adapter under everything.

Addresses are checked when a connection is made, and the checked address itself is connected to: the name is not resolved
again, so an answer of the resolver that changes in between (DNS rebinding) changes nothing. The host's name still goes into
the Host header, SNI and the check of the certificate.

A socket's timeout runs from byte to byte, so that a server that sends one every few seconds holds on for ever. Here each
read, of headers too, gets what is left of the answer's whole time.

What a body is, its bytes say: content types and encodings are hints, which object stores and old servers get wrong.
"""

import http.client
import io
import os
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3 import exceptions as urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from collector.errors import IncompleteError, UsageError
from collector.net.allowlist import Origin, is_public, origin_of
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
    """Sends one request: no redirects, no retries.

    Proxies of the environment are used (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY), for this machine never; a proxy
    resolves the names itself, so that the addresses are its business. So is a CA bundle (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE).
    """

    def __init__(self, own: frozenset[Origin], timeouts: Timeouts, resolve: Resolver) -> None:
        """Raises UsageError: the CA bundle that the environment names is not there, or none."""
        self._own, self._timeouts, self._resolve = own, timeouts, resolve
        self._closed = False
        self._bundle = _ca_bundle()
        super().__init__(pool_connections=_POOL, pool_maxsize=_POOL)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make pools whose connections check where they go."""
        super().init_poolmanager(connections, maxsize, block, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._connect, self._timeouts.read)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the pools of a proxy: its answers end when they must, and it may have any address."""
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _pools(self._dial, self._timeouts.read)
        return manager

    def ask(self, request: requests.PreparedRequest) -> requests.Response:
        """Send a request and return the answer with its body unread; close it.

        Raises:
            TemporaryError: no answer came.
            RefusedError: the host's name stands for an address that is not public.
            IncompleteError: the list of certificate authorities here does not know the server's.
        """
        if self._closed:
            raise TemporaryError("stopped", "the work was stopped")
        token = _deadline.set(time.monotonic() + self._timeouts.whole)
        try:
            timeout = (self._timeouts.connect, self._timeouts.read)
            verify = self._bundle[1] if self._bundle else True
            proxies = self._proxies(str(request.url))
            return self.send(request, stream=True, timeout=timeout, verify=verify, proxies=proxies)
        except FAILURES as error:
            failure: Exception = self._unknown_authority(error, request.url) or failure_of(error, request.url)
        finally:
            _deadline.reset(token)
        raise failure  # outside of `except`: the libraries' errors quote the URL, and would be chained

    def close(self) -> None:
        """Let go of all connections that are not in use, and send nothing any more."""
        self._closed = True
        super().close()

    def _proxies(self, url: str) -> dict[str, str]:
        """Return the proxy for a URL as requests wants it; none for this machine, and for what NO_PROXY names.

        Raises:
            UsageError: it is none. Its text is not shown: it may hold a password.
        """
        if origin_of(url).loopback:
            return {}
        proxy = select_proxy(url, get_environ_proxies(url))
        if proxy and not _is_proxy(proxy):
            scheme = url.partition(":")[0]
            raise UsageError(
                f"{scheme.upper()}_PROXY (or ALL_PROXY): is no http://HOST:PORT; set it right, or unset it"
            )
        return {url.partition(":")[0]: proxy} if proxy else {}

    def _unknown_authority(self, error: BaseException, url: str | None) -> IncompleteError | None:
        """Return what to say of a certificate whose issuer is not among those that this machine trusts; None otherwise."""
        unknown = any(
            isinstance(link, ssl.SSLCertVerificationError) and link.verify_code in _UNKNOWN_ISSUER
            for link in _linked(error)
        )
        if not unknown:
            return None
        used = f"{self._bundle[0]}={self._bundle[1]}" if self._bundle else f"certifi's list, {DEFAULT_CA_BUNDLE_PATH}"
        return IncompleteError(
            f"{_host(url)}: its certificate is signed by nobody in {used}; bring that list up to date, or name in "
            "REQUESTS_CA_BUNDLE the one of your network (a proxy that opens TLS has its own), then run the same command again"
        )

    def _connect(self, connection: HTTPConnection, scheme: str) -> socket.socket:
        origin = Origin(scheme, connection.host.strip("[]"), connection.port)
        return self._dial(connection, scheme, any_address=origin in self._own)

    def _dial(self, connection: HTTPConnection, _: str, *, any_address: bool = True) -> socket.socket:
        host, port = connection.host.strip("[]"), connection.port
        try:
            addresses = self._resolve(host, port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise TemporaryError("unresolved", f"{host}: no address found")
        for *_, address in addresses if not any_address else ():
            if not is_public(str(address[0])):
                raise RefusedError("private-address", f"{host} stands for {address[0]}")
        reason = "unreachable"
        for family, kind, protocol, _, address in addresses:
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


def _is_proxy(address: str) -> bool:
    """Return whether a proxy can be talked to: over HTTP or TLS, whose URL may lack its scheme."""
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})  # OpenSSL's X509_V_ERR_*: self-signed, and issuers that are not found


def _ca_bundle() -> tuple[str, str] | None:
    """Return the variable that names a CA bundle, and the bundle."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(variable):
            try:
                _require_certificates(path, os.stat(path).st_mtime_ns)
            except OSError as error:  # ssl.SSLError is one
                why = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no certificates"
                raise UsageError(
                    f"{variable}={path}: is no CA bundle ({why}); name one that is there, or unset it"
                ) from error
            return variable, path
    return None


@cache
def _require_certificates(path: str, changed_ns: int) -> None:
    """Raise OSError unless a file or folder holds certificates; what was found good is read again when it has changed."""
    del changed_ns  # it is part of what is remembered
    where = {"capath": path} if os.path.isdir(path) else {"cafile": path}
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**where)


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


# --- bodies

_CHUNK = 256 * 1024
_PADDING = 1 << 20  # bytes behind a gzip member that are passed over
_ENOUGH = 64  # bytes of a body that show what it is
_MOST_MEMBERS = 10_000  # of a gzip stream; each costs time, also one with nothing in it
_MOST_LAYERS = 2
_MOST_BETWEEN = 64 << 20  # bytes of the inner one, so that little cannot unfold to very much that has nothing in it
_GZIP = b"\x1f\x8b\x08"  # RFC 1952, with its one method

_PICTURES = (
    *(b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"8BPS", b"\0\0\1\0"),
    *(b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  "),
)
"""How files of pictures begin, also of kinds that are of no use here: these are refused for what they are."""

_PAGE = re.compile(r"text/html|application/xhtml|(?:text|application)/(?:xml|json)|application/\S+\+(?:xml|json)")


def check_content(response: requests.Response, accept: tuple[str, ...], head: bytes) -> None:
    """Raise where an answer is not what was asked for: services send pages with status 200 when they are ill.

    A picture is what begins as one, whatever its type, unless it calls itself a page. Of other things a type that fits is
    believed; one that says something else decides only where the bytes do not: JSON comes as `text/javascript`.

    Args:
        response: its headers are looked at.
        accept: beginnings of the content types that were asked for; none accepts anything.
        head: the first bytes of the decoded body.
    """
    kind = _kind(response)
    if not _fits(kind, accept, head):
        what = ("a text as " if _is_text(head) else "no picture as ") if kind.startswith("image/") else ""
        raise TemporaryError("content-type", f"{place(response)} sent {what}{kind[:60]!r}")


def _fits(kind: str, accept: tuple[str, ...], head: bytes) -> bool:
    wants = {prefix.partition("/")[0] for prefix in accept}
    if "image" in wants:
        return _is_picture(head) and not _PAGE.match(kind)
    if not accept or kind.startswith(accept) or (not kind and "application" not in wants):
        return True
    return any("json" in prefix for prefix in accept) and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def check_type(response: requests.Response, accept: tuple[str, ...]) -> None:
    """Raise before the body is read where the status or the type says that it is not what was asked for."""
    if response.status_code >= 300:
        raise RefusedError(f"http-{response.status_code}", place(response), status=response.status_code)
    kind = _kind(response)
    if accept and _PAGE.match(kind) and not kind.startswith(accept) and not any("json" in prefix for prefix in accept):
        raise TemporaryError("content-type", f"{place(response)} sent {kind[:60]!r}")


def is_whole_range(response: requests.Response) -> bool:
    """Return whether a 206 holds all of a file (RFC 9110, 14.4), as some stores answer though nobody asked for a part."""
    whole = re.fullmatch(
        r"bytes 0-([0-9]{1,18})/([0-9]{1,18})", response.headers.get("Content-Range", ""), re.IGNORECASE
    )
    return response.status_code == 206 and whole is not None and int(whole[1]) + 1 == int(whole[2])


def _kind(response: requests.Response) -> str:
    return response.headers.get("Content-Type", "").strip().lower()


def _is_picture(head: bytes) -> bool:
    return head.startswith(_PICTURES) or head[8:12] == b"WEBP" or head[4:8] == b"ftyp"


def _is_text(head: bytes) -> bool:
    """Return whether bytes that should begin a picture are a text: a page, JSON, a line of apology."""
    decoded = head.decode("utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8", "replace")[:32].strip()
    return bool(decoded) and all((c.isprintable() and c != "\ufffd") or c.isspace() for c in decoded)


def bounded(response: requests.Response, limit: int, *, packed: bool = True) -> Iterator[bytes]:
    """Yield the body's pieces, decoded, up to `limit` bytes in all; `packed` as for `body_of`."""
    length = response.headers.get("Content-Length", "")
    announced = int(length) if re.fullmatch("[0-9]{1,18}", length) else 0
    total = 0
    if announced <= limit:
        for chunk in body_of(response, packed=packed):
            total += len(chunk)
            if total > limit:
                break
            yield chunk
    if max(total, announced) > limit:
        raise RefusedError("too-large", f"{max(total, announced)} bytes or more, accepted are {limit}")


def beginning_of(response: requests.Response, enough: int, *, packed: bool = True) -> bytes:
    """Return at least the first `enough` bytes of a body, or all of it; what does not arrive is left out."""
    read = b""
    with suppress(TemporaryError):
        for chunk in body_of(response, packed=packed):
            read += chunk
            if len(read) > enough:
                break
    return read


def place(response: requests.Response) -> str:
    """Return where an answer came from, for an error's text: host and path, at most 200 characters."""
    return response.url.partition("?")[0].partition("://")[2][:200]


def body_of(response: requests.Response, *, packed: bool = True, piece: int = _CHUNK) -> Iterator[bytes]:
    """Yield an answer's decoded body in pieces of at most 256 KiB; one that breaks off loses less than `piece` bytes.

    What begins as gzip does is unfolded where the headers say so, or where nothing else is wanted (`packed`), also twice; so
    is zlib's format where the headers say `deflate`. Encodings that were not asked for (`aws-chunked`, which object stores
    leave behind; `utf-8`) are taken for no encoding: the bytes show it.

    Raises:
        TemporaryError: it does not arrive, or not whole.
    """
    encoding = response.headers.get("Content-Encoding", "").lower()
    try:
        chunks: Iterator[bytes] = response.raw.stream(piece, decode_content=False)
        for layer in range(_MOST_LAYERS if packed else 1):
            head, chunks = _peeked(chunks)
            body = _at_most(_MOST_BETWEEN, chunks) if layer else chunks
            if head.startswith(_GZIP) and (packed or "gzip" in encoding):
                chunks = _gunzipped(body)
            elif "deflate" in encoding and _begins_zlib(head):
                chunks = _inflated(body)
            else:
                break
        yield from chunks
    except FAILURES as error:
        failure = failure_of(error, response.url)
    else:
        return
    raise failure


def _peeked(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes of some chunks, enough to show what they are, and the chunks with them."""
    head = b""
    while len(head) < _ENOUGH and (chunk := next(chunks, b"")):
        head += chunk
    return head, chain([head] if head else [], chunks)


def _begins_zlib(head: bytes) -> bool:
    """Return whether bytes begin as zlib's format does (RFC 1950, 2.2)."""
    return len(head) > 1 and head[0] & 0x0F == 8 and head[0] >> 4 <= 7 and int.from_bytes(head[:2]) % 31 == 0


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode zlib's format (RFC 1950); what stands behind it is passed over."""
    return _unpacked(zlib.decompressobj(), b"", chunks)


def _unpacked(decoder: Any, pending: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what a decoder of zlib makes of some bytes and the chunks behind them, up to the end of its stream."""
    while not decoder.eof:
        data = decoder.decompress(pending, _CHUNK)
        if data:
            yield data
        pending = decoder.unconsumed_tail
        if not (decoder.eof or pending or data) and not (pending := next(chunks, b"")):
            raise EOFError("the packed stream ends early")


def _at_most(limit: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        limit -= len(chunk)
        if limit < 0:
            raise ValueError("a packed body unfolds to a packed body that is too large")
        yield chunk


def _gunzipped(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decode gzip (RFC 1952), never more than a piece at a time: a bomb unfolds only as it is read.

    Members follow each other, with zeros between them as gzip(1) allows; what else stands behind a whole member is passed
    over. urllib3's own decoder takes a stream that ends early for whole.
    """
    pending = b""
    for _ in range(_MOST_MEMBERS):
        decoder = zlib.decompressobj(wbits=31)
        yield from _unpacked(decoder, pending, chunks)
        passed = 0
        pending = decoder.unused_data.lstrip(b"\0")
        while len(pending) < len(_GZIP) and passed < _PADDING and (chunk := next(chunks, b"")):
            passed += len(chunk)
            pending = (pending + chunk).lstrip(b"\0")
        if not pending.startswith(_GZIP):
            return
    raise ValueError("a gzip stream of too many members")
