"""What goes wrong between the sandbox and its clients, as it does with the real services.

Which answer goes wrong, and how, depends on the seed, the request and how often it was asked: not on time, threads or the
order of requests. A request that is asked again and again is answered in the end.
"""

import threading
from collections import Counter
from dataclasses import dataclass

from collector.errors import UsageError
from collector.sandbox.holdings import chance, token

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
