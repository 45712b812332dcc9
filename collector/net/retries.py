"""When a request is made again, and after how long."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

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

    Not worth it: 400 (our mistake stays one), 401 and 403 (a key that is refused is not accepted when repeated, and to insist
    is rude), 404 and 410 (gone), every other 4xx, and 501 and 505 (the server cannot do that). An answer 200 is never judged
    here: services that report failures in the body (Flickr, MediaWiki) have a `judge` in their provider.
    """
    if status == 429:
        return "rate-limited"
    return f"http-{status}" if status in _RETRIED else None


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
