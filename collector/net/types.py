"""What goes into an HTTP request and what comes out: whom one may talk to, the answer, and the two ways to fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    """What a request brought.

    `body` is empty where it went into a sink. `url` is where the redirects ended, redacted.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Access:
    """Whom a provider may talk to, and how.

    Attributes:
        hosts: allowed hosts, and the requests a second that each gets; a name that begins with a dot allows every host
            below it, and these share the one rate.
        own: addresses that the user has set (base URLs, `scheme://host:port` of each): allowed whatever they are, also
            private and without TLS; those on loopback are not limited.
        parallel: requests at one time to a host.
        secrets: values that must never be seen: each is cut out of every text.
    """

    hosts: Mapping[str, float]
    own: frozenset[str] = frozenset()
    parallel: int = 4
    secrets: tuple[str, ...] = field(default=(), repr=False)
