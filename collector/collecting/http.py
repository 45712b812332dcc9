"""Polite, careful HTTP: the one place where t15 talks to the network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

import requests

T = TypeVar("T")


class TemporaryError(Exception):
    """No usable answer came, but the same request may be answered later.

    Attributes:
        reason: a short word, such as `timeout`, `http-503`, `truncated`, `rate-limited`, `not-json`; redacted.
        retry_after: seconds after which the service asks to come back, None when it does not say.
    """

    def __init__(self, reason: str, detail: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


class RefusedError(Exception):
    """The request will never be answered as it is, such as `http-404`, `forbidden-host`, `too-large`, `noai`, `robots`.

    Attributes:
        reason: a short word; redacted.
        status: the HTTP status, None where there was none.
    """

    def __init__(self, reason: str, detail: str = "", status: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request brought. `body` is empty where it went into a sink. `url` is where the redirects ended."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Access:
    """Whom a provider may talk to, and how.

    Attributes:
        hosts: allowed hosts, and the requests a second that each gets; a name that begins with a dot allows every host
            below it.
        own: addresses that the user has set (base URLs, `scheme://host:port` of each): allowed whatever they are, also
            private and without TLS; those on loopback are not limited.
        parallel: requests at one time to a host.
        secrets: values that must never be seen: each is cut out of every text.
    """

    hosts: Mapping[str, float]
    own: frozenset[str] = frozenset()
    parallel: int = 4
    secrets: tuple[str, ...] = field(default=(), repr=False)


class Http:
    """One provider's way to the network. Safe to use from many threads."""

    def __init__(self, access: Access) -> None:
        self.access = access

    @property
    def session(self) -> requests.Session:
        """A session for client libraries: limited, checked and bounded as everything here, without retries.

        It raises TemporaryError and RefusedError where the answer is neither 2xx nor 3xx.
        """
        raise NotImplementedError

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
        raise NotImplementedError

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
        """
        raise NotImplementedError

    def retrying(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, calling again after a TemporaryError as `get` does.

        Raises:
            TemporaryError: the last of the tries failed, or the service asks to wait for longer than a run does.
        """
        raise NotImplementedError

    def redacted(self, text: str) -> str:
        """Return a text without the access's secrets, and without the values of parameters that hold keys."""
        raise NotImplementedError
