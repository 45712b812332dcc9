"""Hashing and quality in this process alone, in threads and in processes: photos a second of each, and the ratios.

    python -m tests.performance.executors [--folder FOLDER] [--photos 300] [--rounds 3] [--cluster auto|HOST:PORT]

FOLDER holds JPEGs (default: capitals7 of T15_REAL_DATA). Every way does the same photos, round after round; ratios are
medians of rounds. `ceiling` is what the machine gives: as many processes as `processes` has, started and warm before the
clock, each with its share of the photos and nothing to tell anybody. The processor's time beside the clock tells how busy
the machine was with others: where a way's clock is longer than its processor time over its cores, it waited. Whoever quotes
the figures says on what, when, and at which load.
"""

import argparse
import hashlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from collector.curating.quality import assessed
from collector.executors.cluster import work_on
from collector.executors.local import Fault, Processes, Serial, Threads, Work
from collector.executors.photos import map_photos
from collector.images.hashing import hashes_of
from collector.workspace import Workspace


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of the clock, and of the processor: this process's, and of children that ended."""

    def used() -> float:
        of = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in of)

    started, before = time.perf_counter(), used()
    work()
    return time.perf_counter() - started, used() - before


def once(function: Callable[[Path], object], digests: list[str], workspace: Workspace, work: Work) -> list[object]:
    """Do all photos once, and make sure that none failed."""
    found = list(map_photos(function, digests, workspace, work, at_once=256, holds_gil=True))
    assert not any(isinstance(of, Fault) for of in found)
    return found


class Ceiling:
    """As many processes as there are cores, which wait for a function and their photos."""

    def __init__(self, workspace: Workspace) -> None:
        """Start them."""
        there = get_context("spawn")
        self.ends = []
        for _ in range(len(os.sched_getaffinity(0))):
            here, end = there.Pipe()
            there.Process(target=_alone, args=(end, workspace), daemon=True).start()
            self.ends.append(here)

    def run(self, function: Callable[[Path], object], digests: list[str], *, warm: bool = False) -> None:
        """Let them do their shares, or, to have them warm, a photo each."""
        for at, end in enumerate(self.ends):
            end.send((function, digests[at :: len(self.ends)][: 1 if warm else None]))
        for end in self.ends:
            end.recv()


def _alone(end: Any, workspace: Workspace) -> None:
    while True:
        function, digests = end.recv()
        for digest in digests:
            function(workspace.photo(digest))
        end.send(len(digests))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("T15_REAL_DATA", ".")) / "capitals7")
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cluster", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        workspace = Workspace(Path(place))
        digests = []
        for path in sorted(given.folder.rglob("*.jp*g"))[: given.photos]:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            workspace.photo(digest).parent.mkdir(parents=True, exist_ok=True)
            workspace.photo(digest).unlink(missing_ok=True)
            workspace.photo(digest).symlink_to(path.resolve())
            digests.append(digest)
        ways: dict[str, Work] = {"one process": Serial(), "threads": Threads(), "processes": Processes(many=1)}
        with work_on(given.cluster, workspace, None) as cluster:
            ways |= {"cluster": cluster} if cluster else {}
            print(f"{len(digests)} photos, load {os.getloadavg()[0]:.1f} at the beginning")
            ceiling = Ceiling(workspace)
            for function in (hashes_of, assessed):
                repeated = digests * (4 if function is hashes_of else 1)
                ceiling.run(function, digests, warm=True)
                took: dict[str, list[tuple[float, float]]] = {name: [] for name in (*ways, "ceiling")}
                for _ in range(given.rounds):
                    took["ceiling"].append(seconds(partial(ceiling.run, function, repeated)))
                    for name, work in ways.items():
                        took[name].append(seconds(partial(once, function, repeated, workspace, work)))
                for name, rounds in took.items():
                    ratios = [one[0] / of[0] for one, of in zip(took["one process"], rounds, strict=True)]
                    clock, processor = (statistics.median(column) for column in zip(*rounds, strict=True))
                    print(
                        f"{function.__name__:9} {name:12} {len(repeated) / clock:7.0f} photos/s, "
                        f"processor {processor:6.1f} s, "
                        f"{statistics.median(ratios):.2f} times one process ({min(ratios):.2f}-{max(ratios):.2f})"
                    )
        print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
