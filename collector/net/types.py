"""What goes into an HTTP request and what comes out: whom one may talk to, the answer, and the two ways to fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request brought.

    `body` is empty where it went into a sink. `url` is where the redirects ended, redacted.
    """

    url: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class NetError(Exception):
    """No usable answer came.

    Attributes:
        reason: a short word; redacted, as `detail` is.
        status: the HTTP status, None where there was none.
        retry_after: seconds after which the service asks to come back, None when it does not say.
        answer: what came, with up to 64 KiB of its body; None where nothing did. Hostile, not redacted.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        answer: Answer | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail
        self.status, self.retry_after, self.answer = status, retry_after, answer


class TemporaryError(NetError):
    """The same request may be answered within a run: `timeout`, `http-503`, `truncated`, `rate-limited`, `not-json` …"""


class RefusedError(NetError):
    """The request is not to be made again in this run: `http-404`, `http-403`, `forbidden-host`, `too-large`, `noai` …

    Whether it is refused for ever is for the caller to say, by `status`.
    """


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
        anywhere: every public host may be talked to over TLS, at `STRANGER_RATE`: for addresses that a user names and what
            these lead to, never for those of a manifest.
    """

    hosts: Mapping[str, float]
    own: frozenset[str] = frozenset()
    parallel: int = 4
    secrets: tuple[str, ...] = field(default=(), repr=False)
    anywhere: bool = False
