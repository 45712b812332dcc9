"""How much of this machine a server gives to whoever asks: bytes, pixels, seconds, and how often."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

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
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when there were so many

    def wait(self, client: str) -> int:
        """Take one token and return 0, or return after how many seconds there is one."""
        now = self._now()
        tokens, since = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - allowed, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - tokens) / self._per_second))
