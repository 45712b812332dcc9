"""One polite budget for a whole cluster: an actor that grants each request its turn, as `rate_limit.Pace` does for threads.

Requests to a host are spaced evenly and few at a time, and a pause that the host asks of one worker holds for all. Only the
actor's clock counts, so that clocks that differ do not matter. A turn that a dead worker never gives back is taken back after
LEASE_SECONDS: longer than any request may last.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from collector.net.rate_limit import LONGEST_WAIT_S

LEASE_SECONDS = 300.0
"""Twice what an answer may take (`Timeouts.whole`), and a minute."""

_LOOK_SECONDS = 1.0  # between looks at whether those who wait have been stopped


@dataclass
class _Host:
    """What is kept of a host."""

    free_at: float = -math.inf
    paused_until: float = -math.inf
    turns: dict[int, float] = field(default_factory=dict)
    queue: asyncio.Lock = field(default_factory=asyncio.Lock)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class BudgetActor:
    """Grants turns; runs once in a cluster. Its methods are those of `rate_limit.Budget`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: `clock` in seconds."""
        self._hosts: dict[str, _Host] = {}
        self._numbers = itertools.count()
        self.clock = clock

    async def begin(self, host: str, rate: float, parallel: int) -> tuple[int, float]:
        """Wait for a turn, first come first served, and return its number and 0; or -1 and how long the host wants peace."""
        of = self._hosts.setdefault(host, _Host())
        async with of.queue:
            while True:
                now = self.clock()
                of.turns = {number: end for number, end in of.turns.items() if end > now}
                of.changed.clear()
                if (pause := of.paused_until - now) > LONGEST_WAIT_S:
                    return -1, pause
                wait = max(pause, of.free_at - now)
                if len(of.turns) >= parallel:
                    wait = max(wait, min(of.turns.values()) - now)
                    await _either(of.changed, wait)
                elif wait > 0:
                    await asyncio.sleep(wait)
                else:
                    break
            number = next(self._numbers)
            of.turns[number] = now + LEASE_SECONDS
            of.free_at = now + math.ceil(1000 / rate) / 1000  # as rate_limit.Pace counts
            return number, 0.0

    async def end(self, host: str, number: int) -> None:
        """Take a turn back."""
        if self._hosts[host].turns.pop(number, None):
            self._hosts[host].changed.set()

    async def pause(self, host: str, seconds: float) -> None:
        """Let no request to a host begin for that long."""
        of = self._hosts.setdefault(host, _Host())
        of.paused_until = max(of.paused_until, self.clock() + seconds)


async def _either(changed: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(changed.wait(), seconds)
    except TimeoutError:
        return


@dataclass(frozen=True, slots=True)
class ClusterBudget:
    """The way to the actor, from any process of the cluster."""

    actor: Any

    def begin(self, host: str, rate: float, parallel: int, check: Callable[[], None]) -> tuple[int, float]:
        """Wait for a turn; `check` is called each second meanwhile, and what it raises comes through."""
        import ray

        reference = self.actor.begin.remote(host, rate, parallel)
        try:
            while not ray.wait([reference], timeout=_LOOK_SECONDS)[0]:
                check()
        except BaseException:
            ray.cancel(reference)
            raise
        granted: tuple[int, float] = ray.get(reference)
        return granted

    def end(self, host: str, number: int) -> None:
        """Give a turn back."""
        self.actor.end.remote(host, number)

    def pause(self, host: str, seconds: float) -> None:
        """Let no request to a host begin for that long, whoever makes it."""
        import ray

        ray.get(self.actor.pause.remote(host, seconds))


def start_budget(ray: Any, node: Any) -> ClusterBudget:
    """Start the actor on the driver's own node, which lives as long as the driver does.

    Args:
        ray: the module, connected.
        node: where it is to run (`cluster.on_node`).
    """
    actor = ray.remote(num_cpus=0, max_concurrency=10_000)(BudgetActor)
    return ClusterBudget(actor.options(scheduling_strategy=node).remote())
