"""Requests a second that a server counts: of one machine, and of four workers on two Ray nodes that share one budget.

    python -m tests.performance.budget [--rate 20] [--parallel 4] [--seconds 15] [--every 5]

The server is on this machine and notes when each request came. Printed is for both the most that came in any second, beside
what is allowed: those granted in a second, and those that were on their way before, `parallel` at most. Workers are ended by
SIGKILL every so many seconds: what they held is not given out again before its lease is over.
"""

import argparse
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.request import urlopen

from collector.executors import cluster
from collector.executors.budget import start_budget
from collector.executors.cluster import Cluster, on_node, work_on
from collector.net.rate_limit import Pace, SharedPace
from tests.collector.executors.counting import counting, most_within
from tests.performance.cluster import killing, two_nodes


def ask(pace: Pace | SharedPace, url: str, _: int = 0) -> int:
    """Make one request in its turn and return whose it is."""
    with pace.turn(), urlopen(url) as answer:  # noqa: S310 (our own)
        answer.read()
    return os.getpid()


def ask_shared(budget: Any, url: str, rate: float, parallel: int, number: int) -> int:
    """Do `ask` in a worker."""
    return ask(SharedPace(budget, "loopback", rate, parallel, lambda: None), url, number)


def told(name: str, came: list[float], rate: float, parallel: int) -> None:
    """Print what the server counted."""
    seconds = Counter(int(at - came[0]) for at in came)
    print(
        f"{name}: {len(came)} requests in {came[-1] - came[0]:.1f} s; the most in any second {most_within(came, 1.0)} "
        f"(allowed {rate + 1 + parallel:g}); by the second {[seconds[at] for at in range(max(seconds) + 1)]}",
        flush=True,
    )


def main() -> None:
    """Print what both made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--every", type=float, default=5.0)
    given = parser.parse_args()
    cluster.HEALTH_SECONDS = 120.0  # of a busy machine
    number = round(given.rate * given.seconds)
    print(f"load {os.getloadavg()[0]:.1f}")
    with counting() as (url, came), ThreadPoolExecutor(16) as pool:
        pace = Pace(given.rate, given.parallel, time.monotonic, time.sleep)
        list(pool.map(partial(ask, pace, url), range(number)))
    told("one machine", came, given.rate, given.parallel)
    with two_nodes() as address, work_on(address, None, None) as work:
        assert isinstance(work, Cluster)
        for name, every in (("four workers", 1e9), ("four workers, some killed", given.every)):
            budget = start_budget(work.ray, on_node(work.ray.get_runtime_context().get_node_id()))
            with counting() as (url, came), killing(every, 0) as ended:
                function = partial(ask_shared, budget, url, given.rate, given.parallel)
                workers = set(work.outcomes(function, range(number), at_once=1))
            told(f"{name} ({len(workers)} processes, {len(ended)} killed)", came, given.rate, given.parallel)


if __name__ == "__main__":
    main()
