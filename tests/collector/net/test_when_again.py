from email.utils import formatdate
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.net.rate_limit import backoff, retry_after, why_retry

NOW = 1_750_000_000.0
DAY = 86400.0


def asked(value: str, **others: str) -> float | None:
    return retry_after({"Retry-After": value, **others}, NOW)


def test_what_is_worth_asking_again() -> None:
    worth = {status for status in range(100, 600) if why_retry(status)}
    assert {408, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530} == worth
    assert why_retry(429) == "rate-limited"
    assert why_retry(503) == "http-503"


@pytest.mark.parametrize("value", ["0", "5", " 7 ", "120"])
def test_seconds(value: str) -> None:
    assert asked(value) == (float(value) or None)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "nan",
        "inf",
        "1e9",
        "0x10",
        "٣",
        "soon",
        "1.5",
        "5, 6",
        formatdate(NOW - 10, usegmt=True),
        "Mon, 99 Foo 9999",
    ],
)
def test_what_is_no_wait(value: str) -> None:
    assert asked(value) is None


@pytest.mark.parametrize("value", ["86401", "9" * 18, "9" * 10_000, formatdate(NOW + 10 * DAY, usegmt=True)])
def test_a_day_is_the_longest(value: str) -> None:
    assert asked(value) == DAY


def test_dates_count_from_the_servers_own_clock() -> None:
    assert asked(formatdate(NOW + 30, usegmt=True)) == 30
    assert asked(formatdate(NOW + 30, usegmt=True), Date=formatdate(NOW + 20, usegmt=True)) == 10
    assert asked(formatdate(NOW + 30, usegmt=True), Date="yesterday") == 30
    assert retry_after({}, NOW) is None


@given(
    st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, -?\d{1,6} [A-Z][a-z]{2} \d{1,12} \d+:\d+:\d+ [+-]?\w{0,6}")
)
def test_any_header_gives_a_sensible_wait_or_none(value: str) -> None:
    wait = asked(value, Date=value[::-1])
    assert wait is None or (isfinite(wait) and 0 < wait <= DAY)


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_within_its_bounds(failures: int, chance: float) -> None:
    failures = min(failures, 1000)
    assert 0 <= backoff(failures, chance) <= min(60, 2.0 ** (failures - 1))


def test_backoff_doubles_up_to_a_minute() -> None:
    assert [backoff(n, 0.5) for n in (1, 2, 3, 4, 7, 8)] == [0.5, 1, 2, 4, 30, 30]
