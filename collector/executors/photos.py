"""The one way in which a function goes over a workspace's photos: to hash, check, measure, read, shrink or describe them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from collector.executors.local import AT_ONCE, Fault, Result, Threads, Work
from collector.progress import Track, silent
from collector.workspace import Workspace

MISSING = "the file is missing"


def map_photos(
    function: Callable[[Path], Result],
    digests: Sequence[str],
    workspace: Workspace,
    work: Work | None = None,
    *,
    track: Track = silent,
    doing: str = "reading",
    at_once: int = AT_ONCE,
    holds_gil: bool = False,
) -> Iterator[Result | Fault]:
    """Yield what a function makes of each photo's file, or why there is nothing, in the order of the digests.

    Nothing is written here: a caller writes down what comes, as it comes, and does not ask again for what it has; so a
    stopped run goes on.

    Args:
        function: of the path of a photo's original bytes.
        digests: sha256 of each photo.
        workspace: that has them.
        work: where it is done; in a few threads unless it is said.
        track: shows progress.
        doing: said of it.
        at_once: photos that are under way or wait to be taken.
        holds_gil: the function is mostly Python, so that threads would wait for each other.
    """
    of_file = partial(_of_file, function, workspace)
    outcomes = (work or Threads()).outcomes(of_file, digests, at_once=at_once, holds_gil=holds_gil)
    for outcome in track(outcomes, doing, len(digests)):
        if isinstance(outcome, Fault) and isinstance(outcome.error, FileNotFoundError):
            yield Fault(MISSING, outcome.error)
        else:
            yield outcome


def _of_file(function: Callable[[Path], Result], workspace: Workspace, digest: str) -> Result:
    return function(workspace.photo(digest))
