"""One budget for many: turns are spaced, few at a time, first come first served, and pauses hold for all."""

import asyncio
import pickle
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from urllib.request import urlopen

import pytest

from collector.executors import budget
from collector.executors.budget import BudgetActor
from collector.net.client import Access, Http, TemporaryError
from collector.net.rate_limit import Pace, SharedPace
from tests.collector.executors.counting import counting, most_within


def test_turns_are_spaced_and_in_order() -> None:
    async def ask() -> list[tuple[float, int]]:
        actor = BudgetActor()
        granted = []

        async def one(number: int) -> None:
            turn, _ = await actor.begin("host", 100, 50)
            granted.append((actor.clock(), number))
            await actor.end("host", turn)

        await asyncio.gather(*map(one, range(12)))
        return granted

    granted = asyncio.run(ask())
    assert [number for _, number in granted] == list(range(12))
    times = [at for at, _ in granted]
    assert all(later - at >= 0.0095 for at, later in pairwise(times))


def test_no_more_than_parallel_at_one_time() -> None:
    async def ask() -> int:
        actor = BudgetActor()
        under_way = most = 0

        async def one() -> None:
            nonlocal under_way, most
            turn, _ = await actor.begin("host", 1e6, 3)
            under_way += 1
            most = max(most, under_way)
            while most < 3:  # the third has its turn while the first two are at it
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.001)
            under_way -= 1
            await actor.end("host", turn)

        await asyncio.gather(*(one() for _ in range(20)))
        return most

    assert asyncio.run(ask()) == 3


def test_hosts_have_budgets_of_their_own_and_a_pause_holds_for_one() -> None:
    async def ask() -> tuple[tuple[int, float], tuple[int, float]]:
        actor = BudgetActor()
        await actor.pause("one", 1000)
        return await actor.begin("one", 1, 1), await actor.begin("other", 1, 1)

    refused, granted = asyncio.run(ask())
    assert refused[0] == -1
    assert 900 < refused[1] <= 1000
    assert granted[0] >= 0


def test_a_turn_that_never_ends_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "LEASE_SECONDS", 0.02)

    async def ask() -> list[int]:
        actor = BudgetActor()
        return [(await actor.begin("host", 1e6, 1))[0] for _ in range(3)]

    assert asyncio.run(ask()) == [0, 1, 2]


class Kept:
    """A budget in this process."""

    def __init__(self, pause: float = 0) -> None:
        self.told: list[object] = []
        self._pause = pause

    def begin(self, host: str, rate: float, parallel: int, check: Callable[[], None]) -> tuple[int, float]:
        self.told.append((host, rate, parallel))
        check()
        return (-1, self._pause) if self._pause else (7, 0.0)

    def end(self, host: str, number: int) -> None:
        self.told.append((host, number))

    def pause(self, host: str, seconds: float) -> None:
        self.told.append((host, seconds))


def test_a_shared_pace_asks_its_budget() -> None:
    kept = Kept()
    pace = SharedPace(kept, "example.org", 2.0, 4, lambda: None)
    with pytest.raises(ZeroDivisionError), pace.turn():
        1 / 0  # noqa: B018
    pace.pause(5)
    assert kept.told == [("example.org", 2.0, 4), ("example.org", 7), ("example.org", 5)]
    with (
        pytest.raises(TemporaryError, match="asked for a pause"),
        SharedPace(Kept(300), "example.org", 2.0, 4, lambda: None).turn(),
    ):
        pytest.fail("it has no turn")


class Looped:
    """The actor's turns for threads, which stand for workers."""

    def __init__(self) -> None:
        self._actor, self._loop = BudgetActor(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _done(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()

    def begin(self, host: str, rate: float, parallel: int, check: Callable[[], None]) -> tuple[int, float]:
        check()
        granted: tuple[int, float] = self._done(self._actor.begin(host, rate, parallel))
        return granted

    def end(self, host: str, number: int) -> None:
        self._done(self._actor.end(host, number))

    def pause(self, host: str, seconds: float) -> None:
        self._done(self._actor.pause(host, seconds))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.mark.parametrize("nodes", [1, 4])
def test_a_server_counts_no_more_requests_of_many_workers_than_of_one_machine(nodes: int) -> None:
    """Each worker has a pace of its own, of one budget; in any span come those granted, and those on their way before."""
    rate, parallel, requests = 250.0, 3, 40

    def ask(pace: Pace | SharedPace, url: str) -> None:
        with pace.turn(), urlopen(url) as answer:  # noqa: S310 (our own)
            answer.read()

    budget = Looped()
    try:
        paces: list[Pace | SharedPace] = (
            [Pace(rate, parallel, time.monotonic, time.sleep)]
            if nodes == 1
            else [SharedPace(budget, "loopback", rate, parallel, lambda: None) for _ in range(nodes)]
        )
        with counting() as (url, came), ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, [paces[n % nodes] for n in range(requests)], [url] * requests))
    finally:
        budget.close()
    assert len(came) == requests
    assert max(came) - min(came) >= (requests - 1 - parallel) / rate
    for span in (0.02, 0.05, 0.1):
        assert most_within(came, span) <= rate * span + 1 + parallel


def test_an_http_travels_with_its_budget_only() -> None:
    http = Http(Access({"example.org": 3.0}, secrets=("hush",)))
    with pytest.raises(TypeError, match="travels only with a shared budget"):
        pickle.dumps(http)
    http.share(Kept())
    there = pickle.loads(pickle.dumps(http))  # noqa: S301 (our own)
    assert there.access == http.access
    assert there.agent == http.agent
    assert isinstance(there.paces.budget, Kept)
