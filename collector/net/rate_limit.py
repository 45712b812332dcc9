"""How often, and how many at once: one pace for each host."""

import math
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

from pyrate_limiter import Rate, RateItem, StateBucket

from collector.net.allowlist import Origin, rule_of
from collector.net.retries import LONGEST_WAIT_S
from collector.net.types import Access, TemporaryError

_STRANGER_RATE = 1.0  # requests a second, for a host that the user has set and the provider does not know


class Pace:
    """One host's pace, shared by all threads.

    Requests are spaced evenly (GCRA with a burst of 1): services count by the second as well as by the hour. pyrate-limiter
    keeps the account; the waiting is done here, since its own cannot be interrupted and knows nothing of Retry-After.
    """

    def __init__(
        self, rate: float | None, parallel: int, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """Args: `rate` in requests a second, None for no limit; `parallel` requests at one time."""
        self._bucket = None
        if rate is not None:
            self._bucket = StateBucket([Rate(1, max(1, math.ceil(1000 / rate)))])
        self._slots = threading.BoundedSemaphore(parallel)
        self._queue = threading.Lock()  # held by the one that waits for its turn: the others wait for the lock
        self._state = threading.Lock()
        self._paused_until = -math.inf
        self._clock, self._sleep = clock, sleep

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until a request may be made; it ends with the block.

        Raises:
            TemporaryError: the host has asked for a longer pause than a run waits for.
        """
        with self._slots:
            with self._queue:
                while wait := self._wait():
                    self._sleep(wait)
            yield

    def pause(self, seconds: float) -> None:
        """Let no request to this host begin for that long; requests in flight go on."""
        with self._state:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def _wait(self) -> float:
        """Return the seconds until it is worth looking again; 0 when the turn has come, and is taken."""
        with self._state:
            pause = self._paused_until - self._clock()
        if pause > LONGEST_WAIT_S:
            raise TemporaryError("rate-limited", "the service asked for a pause", retry_after=pause)
        if pause > 0:
            return pause
        if self._bucket is None:
            return 0.0
        item = RateItem("", int(self._clock() * 1000))
        if self._bucket.put(item):
            return 0.0
        return max(1, int(self._bucket.waiting(item))) / 1000  # type: ignore[arg-type]  # awaitable with other stores only


class Paces:
    """The paces of a provider's hosts: one for each allowed name (hosts below a dot share it) and each own origin."""

    def __init__(
        self,
        access: Access,
        own: Container[Origin],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._access, self._own, self._clock, self._sleep = access, own, clock, sleep
        self._lock = threading.Lock()
        self._paces: dict[str, Pace] = {}

    def of(self, origin: Origin) -> Pace:
        """Return the pace of an origin that may be talked to."""
        rule = rule_of(origin, self._access.hosts)
        name = str(origin) if origin in self._own or rule is None else rule
        with self._lock:
            if name not in self._paces:
                rate = self._access.hosts[rule] if rule is not None else _STRANGER_RATE
                unlimited = origin in self._own and origin.loopback
                self._paces[name] = Pace(None if unlimited else rate, self._access.parallel, self._clock, self._sleep)
            return self._paces[name]
