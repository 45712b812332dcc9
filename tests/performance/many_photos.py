"""Memory and time of 100,000 photos: decoded, described and classified.

    python -m tests.performance.many_photos [PHOTOS]

The photos are 500 drawn ones under many names: the store decodes each name. Prints the highest anonymous memory (RssAnon,
sampled every 50 ms): pages mapped from files are not counted, since the kernel takes them back when it needs them.
"""

import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.classifiers.knn import fit_knn
from benchmark.features.extract import extract
from benchmark.methods.features import feature
from benchmark.photos import Photos, WorkspacePhotos
from collector.sandbox.scenes import plan, render
from collector.workspace import Workspace, write_atomically
from tests.performance.memory import Peak

DISTINCT = 500
TESTED = 1000


def many(workspace: Workspace, count: int) -> tuple[str, ...]:
    """Put `count` photos into the store, most of them links to few, and return their digests."""
    for number, scene in enumerate(plan(0, 8, DISTINCT // 8 + 1)[:DISTINCT]):
        encoded = io.BytesIO()
        render(scene).resize((320, 240), Image.Resampling.BICUBIC).save(encoded, "JPEG", quality=85)
        write_atomically(workspace.root / f"{number}.jpg", encoded.getvalue())
    digests = sorted(hashlib.sha256(str(number).encode()).hexdigest() for number in range(count))
    for number, digest in enumerate(digests):
        path = workspace.photo(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(workspace.root / f"{number % DISTINCT}.jpg")
    return tuple(digests)


def main() -> None:
    """Print seconds and peak memory of each step."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as root:
        workspace = Workspace(Path(root).resolve())
        digests = many(workspace, count)
        photos, queries = (
            Photos(digests, digests, WorkspacePhotos(workspace)),
            Photos(digests[:TESTED], digests[:TESTED], WorkspacePhotos(workspace)),
        )
        shuffled = Photos(digests[::-1], digests[::-1], WorkspacePhotos(workspace))
        labels = np.arange(count) % 15
        steps: dict[str, Callable[[], object]] = {
            "decode at 64": lambda: photos.pixels(64),
            "tiny-64": lambda: extract(feature("tiny", 64), photos, "cpu"),
            "hog-64": lambda: extract(feature("hog-l1", 64), photos, "cpu"),
            "hog-64 in another order": lambda: extract(feature("hog-l1", 64), shuffled, "cpu"),
            f"11-NN of {TESTED} on tiny-64": lambda: fit_knn(
                extract(feature("tiny", 64), photos, "cpu"), labels, 15, 11
            ).predict_proba(extract(feature("tiny", 64), queries, "cpu")),
        }
        for name, step in steps.items():
            peak = Peak()
            peak.start()
            started = time.perf_counter()
            step()
            took = time.perf_counter() - started
            peak.stopped.set()
            peak.join()
            print(f"{name:28} {count} photos  {took:7.1f} s  peak {peak.mib:7.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
