"""Where work on many things is done: one after the other, in threads, or in processes; on a cluster see `cluster`.

All give what a loop would give, in its order. What goes wrong with one thing is its `Fault` and ends nothing else.
"""

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import Generic, Protocol, TypeVar

from collector.errors import one_line
from collector.images.decode import quiet_decoders

Item = TypeVar("Item")
Result = TypeVar("Result")
Value = TypeVar("Value")

MANY = 256
"""From so many things on processes are started for work that holds Python's lock: their start takes a second or two."""

AT_ONCE = 64
"""Things that are under way or wait to be taken, at most: bounds memory."""

DEATHS = 3
"""How often a thing's worker may die before the thing is given up."""

WORKER_DIED = f"its worker died {DEATHS} times"

_WORKERS = 4  # threads: decoding releases Python's lock; more only hold more decoded photos in memory
_CHUNK = 4  # things in one message to a process: at the end the others wait for the last one


@dataclass(frozen=True, slots=True)
class Fault:
    """What became of a thing instead of a result.

    Attributes:
        reason: one line.
        error: what was raised; None where the worker died of it.
    """

    reason: str
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Here(Generic[Value]):
    """A value that is at hand where work is done."""

    value: Value

    def __call__(self) -> Value:
        """Return the value."""
        return self.value


class Work(Protocol):
    """A way to do work on many things: Serial, Threads, Processes, or `cluster.Cluster`."""

    def share(self, value: Value) -> Callable[[], Value]:
        """Return what gives a large value to functions that need it, wherever they run; it travels once."""
        ...

    def outcomes(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        at_once: int = AT_ONCE,
        holds_gil: bool = False,
    ) -> Iterator[Result | Fault]:
        """Yield what the function returns for each thing, or its Fault, in their order.

        Args:
            function: of one thing; picklable (of a module, or a partial of such) where it may leave this process.
            items: the things.
            at_once: that are under way or wait to be taken.
            holds_gil: the function is mostly Python and small numpy calls, so that threads would wait for each other.
        """
        ...


def attempt(function: Callable[[Item], Result], item: Item) -> Result | Fault:
    """Return what the function returns, or a Fault."""
    try:
        return function(item)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is this thing's)
        return Fault(one_line(error) or type(error).__name__, error)


def attempts(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result | Fault]:
    """Return the outcomes of things in a process of their own: nothing in them fails to travel."""
    with quiet_decoders():
        return [_portable(attempt(function, item)) for item in items]


def _portable(outcome: Result | Fault) -> Result | Fault:
    """Return the outcome with an error that can be pickled there and back; many of others' cannot."""
    if isinstance(outcome, Fault):
        try:
            pickle.loads(pickle.dumps(outcome.error))  # noqa: S301 (our own bytes)
        except Exception:  # noqa: BLE001 (constructors of others raise anything)
            return Fault(outcome.reason, RuntimeError(outcome.reason))
    return outcome


class _OnThisMachine:
    __slots__ = ()

    def share(self, value: Value) -> Callable[[], Value]:
        """Do `Work.share`."""
        return Here(value)


@dataclass(frozen=True, slots=True)
class Serial(_OnThisMachine):
    """One after the other, in this thread."""

    def outcomes(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        at_once: int = AT_ONCE,  # noqa: ARG002 (Work)
        holds_gil: bool = False,  # noqa: ARG002 (Work)
    ) -> Iterator[Result | Fault]:
        """Do `Work.outcomes`."""
        with quiet_decoders():
            for item in items:
                yield attempt(function, item)


@dataclass(frozen=True, slots=True)
class Threads(_OnThisMachine):
    """In a few threads: for decoding, hashing and all else that releases Python's lock."""

    workers: int = _WORKERS

    def outcomes(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        at_once: int = AT_ONCE,
        holds_gil: bool = False,  # noqa: ARG002 (Work)
    ) -> Iterator[Result | Fault]:
        """Do `Work.outcomes`."""
        waiting: deque[Future[Result | Fault]] = deque()
        rest = iter(items)
        pool = ThreadPoolExecutor(self.workers)
        with quiet_decoders():
            try:
                while True:
                    waiting.extend(
                        pool.submit(attempt, function, item) for item in islice(rest, at_once - len(waiting))
                    )
                    if not waiting:
                        return
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Processes(_OnThisMachine):
    """In as many processes as there are cores where the function holds Python's lock and things are many; else in threads.

    A process that dies takes nothing with it: what it was at is done again, one thing at a time, and only a thing whose
    process dies DEATHS times is given up. Programs that use it keep what they start below `if __name__ == "__main__"`.
    """

    workers: int = 0
    many: int = MANY

    def outcomes(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        at_once: int = AT_ONCE,
        holds_gil: bool = False,
    ) -> Iterator[Result | Fault]:
        """Do `Work.outcomes`."""
        workers = self.workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(2))
        if not holds_gil or len(items) < self.many or workers < 2:
            yield from Threads().outcomes(function, items, at_once=at_once)
            return
        size = max(1, min(_CHUNK, at_once // (2 * workers)))
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        for chunk, outcomes in zip(chunks, _in_processes(function, chunks, workers), strict=True):
            yield from (_carefully(function, chunk) if outcomes is None else outcomes)


class _Pools(Generic[Item, Result]):
    """A pool of processes, and another where it broke."""

    def __init__(self, function: Callable[[Item], Result], workers: int) -> None:
        self._function, self._workers = function, workers
        self._pools = [_pool(workers)]

    def submit(self, chunk: Sequence[Item]) -> Future[list[Result | Fault]]:
        try:
            return self._pools[-1].submit(attempts, self._function, chunk)
        except BrokenExecutor:
            self._pools.append(_pool(self._workers))
            return self._pools[-1].submit(attempts, self._function, chunk)

    def close(self) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)


def _in_processes(
    function: Callable[[Item], Result], chunks: Sequence[Sequence[Item]], workers: int
) -> Iterator[list[Result | Fault] | None]:
    """Yield the outcomes of each chunk, None of one that was under way when a process died."""
    pools = _Pools(function, workers)
    waiting: deque[Future[list[Result | Fault]]] = deque()
    rest = iter(chunks)
    try:
        while True:
            waiting.extend(map(pools.submit, islice(rest, 2 * workers - len(waiting))))
            if not waiting:
                return
            try:
                found: list[Result | Fault] | None = waiting.popleft().result()
            except BrokenExecutor:
                found = None
            yield found
    finally:
        pools.close()


def _carefully(function: Callable[[Item], Result], chunk: Sequence[Item]) -> Iterator[Result | Fault]:
    """Yield the outcomes of things among which one may kill its process."""
    pools = _Pools(function, 1)
    try:
        for item in chunk:
            outcome: Result | Fault = Fault(WORKER_DIED)
            for _ in range(DEATHS - 1):  # it was under way once already
                with suppress(BrokenExecutor):
                    (outcome,) = pools.submit([item]).result()
                    break
            yield outcome
    finally:
        pools.close()


def _pool(workers: int) -> Executor:
    # Not forked: this process may have threads (faiss, torch), whose locks a fork would keep locked for ever.
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def map_in_order(
    function: Callable[[Item], Result], items: Sequence[Item], at_once: int = AT_ONCE, work: Work | None = None
) -> Iterator[Result]:
    """Yield what a function makes of each thing, in their order, in a few threads unless it is said where.

    Raises:
        Exception: what the function raised, where its thing's turn comes.
    """
    for outcome in (work or Threads()).outcomes(function, items, at_once=at_once):
        if isinstance(outcome, Fault):
            raise outcome.error or RuntimeError(outcome.reason)
        yield outcome
