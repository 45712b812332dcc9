"""How much of this machine a server gives to whoever asks (bytes, pixels, seconds, how often), and how it says no."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

_CLIENTS = 1024  # whose rate is known at a time; the one that was quiet for longest is forgotten first


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server takes on.

    Attributes:
        body: bytes of a photo; a form around it may add a little.
        pixels: width × height of a photo.
        memory: bytes that decoding one photo may take, beside what the decoder itself needs.
        decoding: seconds that decoding one photo may take.
        uploading: seconds that a photo may take to arrive.
        decoders: photos that are decoded at the same time, each in a process of its own.
        at_once: photos that are taken in at the same time, those that wait among them; together at most `body` × `at_once`
            bytes.
        per_second, burst: photos of one client: so many a second in the long run, and so many at once after a rest.
    """

    body: int = 20_000_000
    pixels: int = 50_000_000
    memory: int = 1 << 30
    decoding: float = 20.0
    uploading: float = 30.0
    decoders: int = 2
    at_once: int = 16
    per_second: float = 5.0
    burst: int = 60


class Rate:
    """Token buckets, one for each client; not thread-safe."""

    def __init__(self, per_second: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._now = now
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def wait(self, client: str) -> int:
        """Take one token and return 0, or return after how many seconds there is one."""
        now = self._now()
        tokens, since = self.buckets.pop(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        allowed = tokens >= 1
        self.buckets[client] = (tokens - allowed, now)
        if len(self.buckets) > _CLIENTS:
            self.buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - tokens) / self._per_second))


STATUS = {
    "bad-request": 400,
    "no-photo": 400,
    "foreign-host": 403,
    "foreign-origin": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "too-slow": 408,
    "too-large": 413,
    "too-many-pixels": 413,
    "wrong-type": 415,
    "not-a-picture": 415,
    "damaged": 422,
    "too-costly": 422,
    "too-many-requests": 429,
    "failed": 500,
    "busy": 503,
}
"""The status of each code; docs/serving.md says what they mean."""


@dataclass(eq=False)
class RefusedError(Exception):
    """A request that is not carried out: a code of STATUS, the reason, and headers that go with it."""

    code: str
    reason: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    @property
    def body(self) -> dict[str, str]:
        """What is answered, as plain JSON."""
        return {"code": self.code, "error": self.reason}
