"""Photos a second from files to hashes, one process each and in turn in the same run; and what reduced decoding changes.

    python -m tests.performance.hashing [--folder FOLDER] [--rounds 5] [--imagededup PYTHON]

FOLDER holds JPEGs (default: capitals7 of T15_REAL_DATA). imagededup is no dependency of t15: install it into another
environment and give the path of its Python; its PHash().encode_images runs there with all its work in one process.
Seconds of the processor leave out other work on the machine, and what a process waits for its own child.
Whoever quotes the figures says on what and when.
"""

import argparse
import hashlib
import io
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from collector.images import hashing
from collector.images.decode import FORMATS, displayed, quiet_decoders

_THEIRS = """
import logging, os, sys, time
logging.disable(logging.CRITICAL)
from imagededup.methods import PHash
started, before = time.perf_counter(), sum(os.times()[:4])
found = PHash(verbose=False).encode_images(sys.argv[1], recursive=True, num_enc_workers=0)
clock, processor = time.perf_counter() - started, sum(os.times()[:4]) - before  # its work is a child's, which ended
print(len(found) / clock, len(found) / processor)
"""

Rates = list[tuple[float, float]]
"""Photos a second of the clock and of the processor, for each round."""


def main() -> None:
    parser = argparse.ArgumentParser()
    default = Path(os.environ.get("T15_REAL_DATA", ".")) / "capitals7"
    parser.add_argument("--folder", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--imagededup", help="the Python that has imagededup")
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.jpg"))
    works: dict[str, Callable[[Path], object]] = {
        "pHash alone": phash_alone,
        "sha256, pHash, dHash": all_three,
        "imagehash.phash with draft": imagehash_with_draft,
        "decoding whole, no hash": decoded,
    }
    rates: dict[str, Rates] = {name: [] for name in works}
    theirs: Rates = []
    with quiet_decoders():
        for _ in range(options.rounds):
            for name, work in works.items():
                rates[name].append(rate(work, paths))
            if options.imagededup:
                theirs.append(imagededup(options.imagededup, options.folder))
        print(
            f"{len(paths)} photos of {options.folder.name}, photos a second, medians of {options.rounds} rounds (all)"
        )
        for which, seconds in enumerate(("clock", "processor")):
            print(f"by the {seconds}")
            for name, found in {**rates, "imagededup PHash": theirs}.items():
                each = [pair[which] for pair in found]
                if each:
                    print(f"  {name:28} {statistics.median(each):6.0f}   ({', '.join(f'{r:.0f}' for r in each)})")
            for name in ("pHash alone", "sha256, pHash, dHash"):
                if theirs:
                    ratio = statistics.median(a[which] / b[which] for a, b in zip(rates[name], theirs, strict=True))
                    print(f"  {name} / imagededup: {ratio:.2f} (median of the rounds)")
        if not theirs:
            print("imagededup: not run, its Python was not given")
        deviation(paths)


def rate(work: Callable[[Path], object], paths: Sequence[Path]) -> tuple[float, float]:
    started, before = time.perf_counter(), time.process_time()
    for path in paths:
        work(path)
    return len(paths) / (time.perf_counter() - started), len(paths) / (time.process_time() - before)


def phash_alone(path: Path) -> str:
    with Image.open(io.BytesIO(content(path)), formats=FORMATS) as image:
        width = image.width
        picture = hashing.decoded(image)
        grey = picture if picture.mode == "L" else picture.convert("L")
        return hashing.phash(hashing.thirty_two(grey, reduced=picture.width < width))


def content(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read()


def all_three(path: Path) -> tuple[str, hashing.Hashes]:
    data = content(path)
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return hashlib.sha256(data).hexdigest(), hashing.hash_picture(image)[1]


def imagehash_with_draft(path: Path) -> imagehash.ImageHash:
    with Image.open(path) as image:
        image.draft("L", (32, 32))
        return imagehash.phash(image)


def decoded(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def imagededup(python: str, folder: Path) -> tuple[float, float]:
    done = subprocess.run([python, "-c", _THEIRS, str(folder)], capture_output=True, text=True, check=True)
    clock, processor = map(float, done.stdout.split()[-2:])
    return clock, processor


def deviation(paths: Sequence[Path]) -> None:
    """Print in how many bits hashes of whole pictures differ from imagehash's (none), and those of reduced ones from them."""
    whole, reduced = [], []
    for path in paths:
        with Image.open(path, formats=FORMATS) as image:
            picture = displayed(image)
        ours = hashing.perceptual_hashes(picture)
        if ours.phash is None:
            continue
        oracle = (imagehash.phash(picture), imagehash.dhash(picture))
        whole.append([a - imagehash.hex_to_hash(str(b)) for a, b in zip(oracle, (ours.phash, ours.dhash), strict=True)])
        with Image.open(path, formats=FORMATS) as image:
            drafted = hashing.hash_picture(image)[1]
        if drafted.phash is not None:
            hashes = (drafted.phash, drafted.dhash)
            reduced.append([a - imagehash.hex_to_hash(str(b)) for a, b in zip(oracle, hashes, strict=True)])
    print(f"bits that differ from imagehash's on the whole picture, {len(whole)} pictures with hashes")
    for name, bits in (("decoded whole", np.array(whole)), ("as t15 decodes", np.array(reduced))):
        for which, apart in zip(("pHash", "dHash"), bits.T, strict=True):
            print(
                f"  {name:14} {which}: mean {apart.mean():.2f}, 99 % within {np.percentile(apart, 99):.0f}, "
                f"at most {apart.max()}, none in {(apart == 0).mean():.0%}"
            )


if __name__ == "__main__":
    main()
