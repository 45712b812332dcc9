"""How often, how many at once, and when again: one pace for each host, and what is worth asking a second time."""

import math
import re
import threading
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Protocol

from pyrate_limiter import Rate, RateItem, StateBucket

from collector.net.allowlist import Origin, rule_of
from collector.net.types import Access, TemporaryError

TRIES = 5
BASE_S = 1.0
CAP_S = 60.0

LONGEST_WAIT_S = 120.0
"""A service that asks for more than this is left alone: the caller saves its state and says when to come back."""

_LONGEST_PAUSE_S = 86400.0  # whatever a service says, asking again after a day is no nuisance

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504, 509, 529, 530, *range(520, 528)})


def why_retry(status: int) -> str | None:
    """Return why a request that was answered with this status is worth making again, None when it is not.

    Worth it are 408 (timeout), 425 (too early), 429 (too many requests), 500, 502, 503, 504 (the server or one behind it is
    ill), 509 and 529 (overload, as some hosts say it) and Cloudflare's 520 to 527 and 530 (the server behind it is ill).
    What has no status, a connection that fails, times out or breaks off, always is.

    Not worth it at once: 400 (our mistake stays one), 401 and 403 (a key that is refused is not accepted when repeated, and
    to insist is rude), 404 and 410 (gone), every other 4xx, and 501 and 505 (the server cannot do that). Whether the body
    says something else is asked first: by the `judge` of a provider, and by `limit_told`.
    """
    if status == 429:
        return "rate-limited"
    return f"http-{status}" if status in _RETRIED else None


_LIMIT = re.compile(
    rb"rate[ _-]?limit|too many (?:requests|calls)|quota|over[ _]query[ _]limit|request limit|limit (?:reached|exceeded)|"
    rb"throttl",
    re.IGNORECASE,
)


def limit_told(body: bytes) -> bool:
    """Return whether the body of a refusal tells of a limit: some services say so under 400, 403 or 500 instead of 429."""
    return bool(_LIMIT.search(body))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that an answer asks to wait for, at most a day; None where it says nothing sensible.

    RFC 9110, 10.2.3: a number of seconds, or a date, which is taken relative to the answer's own Date where it has one, so
    that a wrong clock here does not matter. Numbers and dates that are no wait at all count as not said.

    Args:
        headers: with names in any case.
        now: seconds since 1970 UTC.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+", value, re.ASCII):
        seconds = float(value[:18]) if len(value) > 18 else float(value)
    else:
        then, sent = _timestamp(value), _timestamp(headers.get("Date", ""))
        if then is None:
            return None
        seconds = then - (now if sent is None else sent)
    return min(seconds, _LONGEST_PAUSE_S) if seconds > 0 else None


def _timestamp(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError, OSError):  # what hostile dates have been seen to raise
        return None


def backoff(failures: int, chance: float) -> float:
    """Return the seconds to wait after a number of failures in a row: exponential, with full jitter.

    Uniform between 0 and min(cap, base * 2^(failures - 1)): M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015, where full jitter needs the fewest calls of the ways compared.

    Args:
        failures: 1 or more.
        chance: uniform in [0, 1).
    """
    return chance * min(CAP_S, BASE_S * 2.0 ** (failures - 1))


STRANGER_RATE = 1.0  # requests a second, for a host that the user has set and the provider does not know


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


class Budget(Protocol):
    """Turns that many machines share: `executors.budget`."""

    def begin(self, host: str, rate: float, parallel: int, check: Callable[[], None]) -> tuple[int, float]:
        """Wait for a turn and return its number and 0; or -1 and for how long the host asks for peace, in seconds.

        Args:
            host: of the request.
            rate: requests a second.
            parallel: requests at one time.
            check: called now and then meanwhile; what it raises comes through.
        """
        ...

    def end(self, host: str, number: int) -> None:
        """Give a turn back."""
        ...

    def pause(self, host: str, seconds: float) -> None:
        """Let no request to a host begin for that long."""
        ...


class SharedPace:
    """One host's pace, kept by a budget that many machines share; as Pace otherwise."""

    def __init__(self, budget: Budget, host: str, rate: float, parallel: int, check: Callable[[], None]) -> None:
        """Args: as `Budget.begin`."""
        self._budget, self._host, self._rate, self._parallel, self._check = budget, host, rate, parallel, check

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Do as `Pace.turn`."""
        number, pause = self._budget.begin(self._host, self._rate, self._parallel, self._check)
        if number < 0:
            raise TemporaryError("rate-limited", "the service asked for a pause", retry_after=pause)
        try:
            yield
        finally:
            self._budget.end(self._host, number)

    def pause(self, seconds: float) -> None:
        """Do as `Pace.pause`."""
        self._budget.pause(self._host, seconds)


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
        self._paces: dict[str, Pace | SharedPace] = {}
        self.budget: Budget | None = None

    def share(self, budget: Budget | None) -> None:
        """Let a budget keep the paces from now on, which others ask too; None: let this process keep them again."""
        with self._lock:
            self.budget = budget
            self._paces.clear()

    def of(self, origin: Origin) -> Pace | SharedPace:
        """Return the pace of an origin that may be talked to."""
        rule = rule_of(origin, self._access.hosts)
        name = str(origin) if origin in self._own or rule is None else rule
        with self._lock:
            if name not in self._paces:
                rate = self._access.hosts[rule] if rule is not None else STRANGER_RATE
                parallel = self._access.parallel
                if origin in self._own and origin.loopback:
                    self._paces[name] = Pace(None, parallel, self._clock, self._sleep)
                elif self.budget:
                    self._paces[name] = SharedPace(self.budget, name, rate, parallel, lambda: self._sleep(0))
                else:
                    self._paces[name] = Pace(rate, parallel, self._clock, self._sleep)
            return self._paces[name]
