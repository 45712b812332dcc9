"""What people see in the terminal: results on stdout, progress and notes on stderr."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import typer

T = TypeVar("T")


class Track(Protocol):
    """Passes the items on, and shows how far it is."""

    def __call__(self, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        """Yield `items` unchanged; `total` is their number where `len` cannot tell it."""
        ...


def silent(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG001
    """Pass the items on and show nothing: the Track of tests and of library use."""
    yield from items


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Show progress on stderr: a bar on a terminal, otherwise a line at the start, every ten seconds and at the end."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        yield from _bar(items, description, total)
    else:
        yield from _lines(items, description, total)


def _bar(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(description, total=total)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[T], description: str, total: int | None) -> Iterator[T]:
    started = said = time.monotonic()
    done = 0
    of = f"/{total}" if total is not None else ""
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said >= 10:
            said = now
            note(f"{description}: {done}{of}, {now - started:.0f} s")
    note(f"{description}: {done}{of} in {time.monotonic() - started:.1f} s")


def note(text: str) -> None:
    """Say something to the person at the terminal (stderr); never part of a result."""
    print(printable(text), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return `text` with control characters shown as escapes: titles and file names may carry terminal commands."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def show(result: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Print a command's result on stdout: as JSON for programs, or the text for people."""
    print(json.dumps(result, ensure_ascii=False, indent=2) if as_json else printable(text()), flush=True)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as aligned plain text; numbers stand right, everything else left."""
    cells = [[str(c) for c in row] for row in rows]
    numeric = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(header))]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), line(["-" * w for w in widths]), *(line(row) for row in cells)])


def _is_number(text: str) -> bool:
    return text.strip("-+.%0123456789 ") == ""


def duration(seconds: float) -> str:
    """Return a length of time as people say it: `0.4 s`, `38 s`, `12 min`, `2.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", envvar="T15_WORKSPACE", help="Folder of the catalogue, photos, runs and reports.")
]
ManifestsOption = Annotated[
    Path, typer.Option("--manifests", envvar="T15_MANIFESTS", help="Folder of published manifests.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

DEFAULT_WORKSPACE = Path("workspace")
DEFAULT_MANIFESTS = Path("manifests")
