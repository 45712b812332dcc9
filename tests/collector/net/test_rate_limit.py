import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from collector.net.allowlist import origin_of
from collector.net.rate_limit import Pace, Paces, SharedPace
from collector.net.types import Access, TemporaryError
from tests.collector.net.servers import FakeTime


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def starts(pace: Pace | SharedPace, time: FakeTime, number: int) -> list[float]:
    begun = []
    for _ in range(number):
        with pace.turn():
            begun.append(time.now - 1000)
    return begun


@pytest.mark.parametrize(("rate", "gap"), [(4.0, 0.25), (1.0, 1.0), (0.1, 10.0)])
def test_requests_are_spaced_evenly(time: FakeTime, rate: float, gap: float) -> None:
    assert starts(Pace(rate, 1, time.clock, time.sleep), time, 5) == pytest.approx(
        [gap * n for n in range(5)], abs=0.01
    )


def test_a_rest_does_not_allow_a_burst(time: FakeTime) -> None:
    pace = Pace(1.0, 1, time.clock, time.sleep)
    starts(pace, time, 1)
    time.now += 100
    assert starts(pace, time, 3) == pytest.approx([100, 101, 102], abs=0.01)


def test_without_a_rate_nobody_waits(time: FakeTime) -> None:
    starts(Pace(None, 1, time.clock, time.sleep), time, 100)
    assert time.slept == []


def test_a_pause_holds_for_all_and_the_longest_counts(time: FakeTime) -> None:
    pace = Pace(None, 1, time.clock, time.sleep)
    pace.pause(30)
    pace.pause(5)
    assert starts(pace, time, 2) == [30, 30]


def test_a_pause_that_comes_while_waiting_is_kept(time: FakeTime) -> None:
    def sleep(seconds: float) -> None:
        if not time.slept:
            pace.pause(20)
        time.sleep(seconds)

    pace = Pace(1.0, 1, time.clock, sleep)
    assert starts(pace, time, 2) == [0, 20]


def test_a_long_pause_ends_the_call(time: FakeTime) -> None:
    pace = Pace(1.0, 1, time.clock, time.sleep)
    pace.pause(121)
    with pytest.raises(TemporaryError) as caught, pace.turn():
        pass
    assert (caught.value.reason, caught.value.retry_after) == ("rate-limited", 121)
    time.now += 121
    starts(pace, time, 1)
    assert time.slept == []


def test_no_more_at_one_time_than_allowed(time: FakeTime) -> None:
    pace = Pace(None, 3, time.clock, time.sleep)
    lock, full, now, most = threading.Lock(), threading.Barrier(3, timeout=10), 0, 0

    def work(_: int) -> None:
        nonlocal now, most
        with pace.turn():
            with lock:
                now += 1
                most = max(most, now)
            full.wait()  # passes only when three are inside
            with lock:
                now -= 1

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, range(9)))
    assert most == 3


def test_a_turn_is_given_back_after_an_error(time: FakeTime) -> None:
    pace = Pace(None, 1, time.clock, time.sleep)
    for _ in range(3):
        with pytest.raises(KeyError), pace.turn():
            raise KeyError
    pace.pause(500)
    for _ in range(3):
        with pytest.raises(TemporaryError), pace.turn():
            pass


def test_who_shares_a_pace(time: FakeTime) -> None:
    own = frozenset(map(origin_of, ("http://127.0.0.1:81", "http://127.0.0.1:82", "https://photos.example")))
    paces = Paces(Access({"a.org": 2.0, ".b.org": 4.0}), own, time.clock, time.sleep)
    assert paces.of(origin_of("https://x.b.org")) is paces.of(origin_of("https://y.b.org"))
    assert paces.of(origin_of("https://a.org")) is not paces.of(origin_of("https://x.b.org"))
    assert paces.of(origin_of("http://127.0.0.1:81")) is not paces.of(origin_of("http://127.0.0.1:82"))
    for url, gap in (
        ("https://a.org", 0.5),
        ("https://x.b.org", 0.25),
        ("http://127.0.0.1:81", 0),
        ("https://photos.example", 1),
    ):
        begun = starts(paces.of(origin_of(url)), time, 2)
        assert begun[1] - begun[0] == pytest.approx(gap, abs=0.01)
