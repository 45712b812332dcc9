"""How far a long piece of work is, and notes to the person at the terminal: always on stderr, never part of a result."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from collector.text_table import shown_on

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


class Track(Protocol):
    """Passes the items on, and shows how far it is."""

    def __call__(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield `items` unchanged; `total` is their number where `len` cannot tell it."""
        ...


def silent(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG001
    """Pass the items on and show nothing: the Track of tests and of library use."""
    yield from items


def track(
    items: Iterable[T], description: str, total: int | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[T]:
    """Show progress on stderr: a bar on a terminal, otherwise a line at the start, every ten seconds and at the end."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if total == 0:  # nothing to wait for
        yield from items
    elif sys.stderr.isatty():
        yield from _bar(items, description, total)
    else:
        yield from _lines(items, description, total, clock)


_shown: "list[Progress]" = []
"""The bars on the terminal now: those of the work inside a piece of work stand below its own, and go when they are done."""


def _bar(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    if _shown:
        yield from _one_bar(_shown[0], items, description, total, stays=False)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        _shown.append(progress)
        try:
            yield from _one_bar(progress, items, description, total, stays=True)
        finally:
            _shown.clear()


def _one_bar(
    progress: "Progress", items: Iterable[T], description: str, total: int | None, *, stays: bool
) -> Iterator[T]:
    task = progress.add_task(description, total=total)
    try:
        for item in items:
            yield item
            progress.advance(task)
    finally:
        if not stays:
            progress.remove_task(task)


def _lines(items: Iterable[T], description: str, total: int | None, clock: Callable[[], float]) -> Iterator[T]:
    started = last = clock()
    done = 0
    of = f"/{total}" if total is not None else ""
    for done, item in enumerate(items, start=1):
        yield item
        now = clock()
        if now - last >= 10:
            last = now
            note(f"{description}: {done}{of}, {now - started:.0f} s")
    note(f"{description}: {done}{of} in {clock() - started:.1f} s")


def note(text: str) -> None:
    """Say something to the person at the terminal (stderr); never part of a result."""
    with suppress(OSError):  # no work ends because nobody listens
        print(shown_on(sys.stderr, text), file=sys.stderr, flush=True)
