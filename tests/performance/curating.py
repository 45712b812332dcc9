"""Memory and time of curating many photos, and how both grow: quality, what stands beside pictures, labels, deep copies.

    python -m tests.performance.curating [--photos 1000 4000] [--steps quality labels deep] [--width 128]

Photos are links to 200 drawn ones of 96 × 72 pixels, under digests of their own, so that every one is measured. Vectors
are drawn too: 20 cities around centres, a copy for each twentieth photo, a wrong label for each fiftieth. `quality` reads
the texts beside pictures too, as `--text` does without the extra `ocr`. `deep` proposes pairs, is told at once which are
copies in place of looking at pixels, and keeps what it was told: all but the looking. Both are first done by a process that
is killed (-9), then to the end, then once more: found are how many photos were measured, or pairs looked at, by the second
run and the third. Each size runs in a process of its own; printed are seconds of the processor, the killed process's
among them, the highest anonymous memory of the other two runs, what was there before the step began, and by how much it
grew for each photo from one size to the next.
"""

import argparse
import io
import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import numpy as np
from PIL import Image

from collector.catalogue.catalogue import open_catalogue
from collector.curating import deep_pairs, text_leaks
from collector.curating.assess import assess
from collector.curating.label_errors import flag_labels
from collector.curating.pair_verification import Agreement, DoubtfulPair
from collector.curating.vectors import PhotoVectors
from collector.manifest.photo_rows import PhotoRows
from collector.progress import Track, silent
from collector.records import City, Photo, Region
from collector.sandbox.scenes import plan, render
from collector.workspace import Workspace, create_workspace
from tests.performance.memory import Peak, anonymous_mib

T = TypeVar("T")

DISTINCT, CITIES = 200, 20
STEPS = ("quality", "labels", "deep")


def drawn() -> list[bytes]:
    """Return the bytes of DISTINCT small JPEGs."""
    files = []
    for scene in plan(0, 8, DISTINCT // 8 + 1)[:DISTINCT]:
        encoded = io.BytesIO()
        render(scene).resize((96, 72), Image.Resampling.BICUBIC).save(encoded, "JPEG", quality=80)
        files.append(encoded.getvalue())
    return files


def photos_of(count: int) -> PhotoRows:
    """Return `count` photos of CITIES cities, by as many authors as there are tens of photos."""
    return PhotoRows.of(
        Photo(
            f"made:{number:06}", f"c{number % CITIES}", author_id=f"made:{number // 10}", sha256=f"{number:064x}"[::-1],
            phash=f"{number:016x}", dhash=f"{number:016x}", width=96, height=72, title=f"Photo {number}",
        )
        for number in range(count)
    )  # fmt: skip


def filled(root: Path, photos: Sequence[Photo]) -> Workspace:
    """Return a workspace with these photos, links to few files: every link is opened and measured."""
    workspace = create_workspace(root)
    for number, data in enumerate(drawn()):
        (root / f"{number}.jpg").write_bytes(data)
    for number, photo in enumerate(photos):
        path = workspace.photo(str(photo.sha256))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to((root / f"{number % DISTINCT}.jpg").resolve())
    cities = tuple(City(f"c{at}", f"City {at}", 40.0 + at / 10, 30.0, 5.0) for at in range(CITIES))
    with open_catalogue(workspace) as catalogue, catalogue.together():
        catalogue.remember_region(Region("made", "Made", cities))
        for photo in photos:
            catalogue.add(photo, "made")
    return workspace


class Vectors:
    """Vectors that are given: around a centre for each city, some copies, some of another city."""

    def __init__(self, count: int, width: int) -> None:
        rng = np.random.default_rng(0)
        cities = np.arange(count) + (np.arange(count) % 50 == 0)
        rows = 0.7 * rng.normal(size=(CITIES, width)).astype(np.float32)[cities % CITIES]
        rows += rng.normal(size=(count, width)).astype(np.float32)
        rows[19::20] = rows[18 : count - 1 : 20][: len(rows[19::20])]
        self.rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def vectors(self, *asked: Any, turn: int = 0) -> PhotoVectors:
        """Return them; turned photos look like no other."""
        rows = self.rows if turn == 0 else np.roll(self.rows, 3 * turn, axis=1)
        return "given", rows, np.ones(len(rows), bool)

    def inliers(self, *asked: Any) -> list[int]:
        """Return nothing: not asked for here."""
        raise NotImplementedError


def one(step: str, count: int, width: int) -> dict[str, Any]:
    """Return seconds and memory of a step with `count` photos."""
    with tempfile.TemporaryDirectory() as root:
        workspace, photos = Workspace(Path(root) / "w"), photos_of(count)
        work: Callable[[], Any]
        if step == "quality":
            filled(workspace.root, photos)
            work = partial(killed_and_again, partial(measured, workspace), count)
        elif step == "deep":
            given = Vectors(count, width)
            work = partial(killed_and_again, partial(looked_at, workspace, photos, given), 4 * count)
        else:
            given, known = Vectors(count, width), np.ones(count, bool)
            work = lambda: len(flag_labels(photos, given.rows, known, "given")[0])  # noqa: E731
        before, peak, started = anonymous_mib(), Peak(), seconds()
        peak.start()
        found = work()
        took = seconds() - started
        peak.stopped.set()
        peak.join()
        return {"found": found, "seconds": took, "before": before, "peak": max(peak.mib, before)}


def seconds() -> float:
    """Return the processor's seconds of this process and of those that it waited for."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(of.ru_utime + of.ru_stime for of in used)


def killed_and_again(work: Callable[[Track], int], total: int) -> str:
    """Let a process be killed at half of `total`, go on, and begin once more; return what the last two runs had to do."""
    killed = multiprocessing.get_context("fork").Process(target=work, args=(partial(kill, total // 2),))
    killed.start()
    killed.join()
    return f"{killed.exitcode}, {work(silent)} + {work(silent)}"


def kill(at: int, items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Kill this process at the item of this number."""
    for number, item in enumerate(items):
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        yield item


def measured(workspace: Workspace, track: Track) -> int:
    """Return how many photos had to be measured, reading the texts beside them too."""
    text_leaks.missing_extra = lambda: "rapidocr"
    return assess(workspace, track, text=True).measured


def looked_at(workspace: Workspace, photos: PhotoRows, given: Vectors, track: Track) -> int:
    """Return how many pairs had to be looked at: drawn photos are copies where the digest's number says so."""
    count = 0

    def verify(pairs: Sequence[DoubtfulPair]) -> list[Agreement | None]:
        nonlocal count
        count += len(pairs)
        numbers = ((int(pair.first[::-1], 16), int(pair.second[::-1], 16)) for pair in pairs)
        return [Agreement(64, float(b == a + 1 and b % 20 == 19), 1.0, 1.0) for a, b in numbers]

    with mock.patch.multiple(deep_pairs, pair_verifier=lambda _: verify, has_opencv=lambda: False):
        deep_pairs.deep_pairs(workspace, photos, given, None, track)
    return count


def main() -> None:
    """Print seconds, memory and growth of each step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one[0], int(asked.one[1]), asked.width)))
        return
    for step in asked.steps:
        last: tuple[int, float] | None = None
        for count in sorted(asked.photos):
            command = [sys.executable, "-m", __spec__.name, "--width", str(asked.width), "--one", step, str(count)]
            of = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            grown = (
                "" if last is None else f", {1024 * (of['peak'] - last[1]) / (count - last[0]):6.2f} KiB a photo more"
            )
            print(
                f"{step:8} {count:7} photos: found {of['found']!s:>24}, {of['seconds']:7.1f} s of the processor, "
                f"{of['before']:5.0f} MiB before, {of['peak']:5.0f} at most{grown}",
                flush=True,
            )
            last = (count, of["peak"])


if __name__ == "__main__":
    main()
