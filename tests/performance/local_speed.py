"""Seconds and memory of what local features are made of, beside a peer in the same run, and how they grow with the gallery.

    python -m tests.performance.local_speed [--photos 1000] [--sizes 250 500 1000 2000 4000]

Pictures are mosaics of 640 × 480 of London's street photos in $T15_REAL_DATA (MSLS's are smaller). Beyond `--photos` of them
features are drawn: each picture's own, moved by chance, so that lists are as full as real ones. The peer of the front end is
the plain decoding of the same photos; that of a query an exact search of the whole gallery (the same
distances); that of verification the product of all descriptors of the pair. Each size runs in a process of its own, whose
largest memory is printed. Seconds are those of the wall, and behind a slash those of all processors together, which a busy
machine makes little longer. OpenCV and faiss take the cores that there are.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.local.keypoints import WIDTH, Features, Sift, extract_features
from benchmark.local.nearest import index_features
from benchmark.local.verification import PairVerifier, squared_distances
from benchmark.photos import Photos, WorkspacePhotos
from collector.workspace import Workspace, create_workspace
from tests.performance.local_features import keep

QUERIES = 20
PAIRS = 100
PART = 100  # features of a query that are sought exactly; its seconds are those of all, in proportion


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[250, 500, 1000, 2000, 4000])
    parser.add_argument("--grown", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--features", type=Path, help="file of features, made where it is missing")
    options = parser.parse_args()
    if options.grown:
        grown(options.grown, options.features)
        return
    with TemporaryDirectory() as folder:
        file = options.features or Path(folder) / "features.npz"
        if not file.exists():
            front_end(options.photos, create_workspace(Path(folder) / "workspace"), file)
        verification(file)
        for size in options.sizes:
            subprocess.run(
                [sys.executable, "-m", "tests.performance.local_speed", "--grown", str(size), "--features", str(file)],
                check=True,
            )


def front_end(count: int, workspace: Workspace, file: Path) -> None:
    """Print how long keypoints of so many photos take, and write them to a file."""
    digests = tuple(keep(path, workspace) for path in mosaics(count, file.parent))
    photos = Photos(digests, digests, WorkspacePhotos(workspace))
    begun = now()
    photos.pictures(480, enlarge=False)
    decoded = now()
    features = extract_features(photos, Sift(480))
    ended = now()
    said = f"{np.median([len(one) for one in features]):.0f} keypoints"
    of_1000 = (ended - begun) * 1000 / len(features)
    print(
        f"front end, {len(features)} photos, {said}: decoding {both(decoded - begun, 1)} s, "
        f"keypoints {both(ended - decoded, 1)} s, together {both(of_1000, 0)} s for 1,000; {load()}",
        flush=True,
    )
    counts = np.array([len(one) for one in features])
    np.savez(
        file,
        counts=counts,
        descriptors=np.concatenate([one.descriptors for one in features]),
        points=np.concatenate([one.points for one in features]),
    )


def mosaics(count: int, folder: Path) -> Iterator[Path]:
    """Yield so many pictures of 640 × 480, each of four street photos of London as they are, drawn by chance.

    MSLS's photos are 256 pixels high: enlarged they would be smooth, and have fewer keypoints than a photo of that size.
    """
    paths = sorted((Path(os.environ["T15_REAL_DATA"]) / "new" / "msls_london_a").glob("*/*.jpg"))
    random = np.random.default_rng(0)
    for number in range(count):
        whole = Image.new("RGB", (640, 480))
        for place, row in enumerate(random.choice(len(paths), 4, replace=False)):
            with Image.open(paths[row]) as photo:
                whole.paste(photo, (320 * (place % 2), 240 * (place // 2)))
        path = folder / f"mosaic-{number}.jpg"
        whole.save(path, quality=92)
        yield path


def read(file: Path) -> list[Features]:
    known = np.load(file)
    ends = np.cumsum(known["counts"])[:-1]
    descriptors, points = known["descriptors"], known["points"]
    return [Features(*one) for one in zip(np.split(descriptors, ends), np.split(points, ends), strict=True)]


def verification(file: Path) -> None:
    """Print how long a pair takes, matched and verified, beside the product of its descriptors."""
    features = read(file)[: PAIRS + 1]
    others = [one for one in features[1:] if len(one) > 1]
    verifier = PairVerifier(Sift(480))
    verifier.counts(features[0], others[:3])
    begun = now()
    found = verifier.counts(features[0], others)
    middle = now()
    for other in others:
        squared_distances(features[0].descriptors, other.descriptors)
    each = [1000 * seconds / len(others) for seconds in (middle - begun, now() - middle)]
    verified = int((found > 0).sum())
    print(
        f"verification, {len(others)} pairs ({verified} verified): {both(each[0], 1)} ms a pair, of which the product "
        f"of the descriptors {both(each[1], 1)} ms; {load()}",
        flush=True,
    )


def grown(size: int, file: Path) -> None:
    """Print what a gallery of so many photos takes."""
    features = read(file)
    real = len(features)
    asked = features[:QUERIES]
    random = np.random.default_rng(0)
    gallery = [one if row < real else drawn(one, random) for row in range(size) for one in [features[row % real]]]
    del features
    before = memory()
    begun = now()
    index = index_features(gallery, 10, 1.0, 1024, 8, random)
    built = now()
    scores = [index.scores(one) for one in asked]
    ended = now()
    exact = faiss.IndexScalarQuantizer(WIDTH, faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2)
    peak = memory()
    exact.train(np.zeros((1, WIDTH), np.float32))
    for one in gallery:
        exact.add(one.descriptors.astype(np.float32))
    slow = now()
    part = asked[0].descriptors[:PART].astype(np.float32)
    exact.search(part, 11)
    whole = len(asked[0]) / len(part)
    seconds: dict[str, Any] = {
        "photos": size,
        "drawn": max(0, size - real),
        "features": sum(len(one) for one in gallery),
        "index s": both(built - begun, 1),
        "a query s": both((ended - built) / len(asked), 3),
        "exact search s": both((now() - slow) * whole, 2),
        "largest memory MiB": round(peak),
        "before the index": round(before),
        "first is itself": sum(row == int(one.argmax()) for row, one in enumerate(scores)),
        "load": load(),
    }
    print(json.dumps(seconds), flush=True)


def drawn(features: Features, random: np.random.Generator) -> Features:
    """Return features like those of a photo: each value moved by up to 12."""
    moved = features.descriptors.astype(np.int16)
    moved += random.integers(-12, 13, moved.shape, np.int16)
    return Features(moved.clip(0, 255).astype(np.uint8), features.points)


def now() -> NDArray[np.float64]:
    """Return seconds of the wall, and of all processors together."""
    return np.array([time.perf_counter(), time.process_time()])


def both(seconds: NDArray[np.float64], digits: int) -> str:
    """Return both of them as text."""
    return " / ".join(f"{one:.{digits}f}" for one in seconds)


def memory() -> float:
    """Return this process's largest memory so far, MiB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return (
        int(status["VmHWM"].split()[0]) / 1024
    )  # getrusage's would be at least that of the process that started this one


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
