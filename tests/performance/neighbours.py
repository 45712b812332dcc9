"""All pairs of random 64-bit hashes within a radius: seconds, memory and exactness as they become more.

    python -m tests.performance.neighbours [--radius 8] [--most 1000000]

Two in a hundred hashes are planted at distances of 0 to the radius from another. Exact: all planted pairs are found, and for
200 of the hashes, spread over all, exactly the neighbours that comparing with each other one gives. Each number of hashes
has a process of its own.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
from numpy.typing import NDArray

from collector.curating.hamming import pairs_within

JUDGED = 200


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--radius", type=int, default=8)
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--count", type=int, help="measure this number alone, in this process")
    options = parser.parse_args()
    if options.count:
        measure(options.count, options.radius)
        return
    count = 10_000
    while count <= options.most:
        arguments = ["--count", str(count), "--radius", str(options.radius)]
        subprocess.run([sys.executable, "-m", "tests.performance.neighbours", *arguments], check=True)
        count *= 10


def planted(count: int, pairs: int, radius: int, seed: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return random hashes (count,) and the positions (pairs, 2) of those that were planted near each other."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    places = random.permutation(count)[: 2 * pairs].reshape(pairs, 2)
    for a, b in places:
        flipped = random.choice(64, random.integers(0, radius + 1), replace=False)
        hashes[b] = hashes[a] ^ np.bitwise_or.reduce(np.uint64(1) << flipped.astype(np.uint64), initial=np.uint64(0))
    return hashes, places


def measure(count: int, radius: int) -> None:
    hashes, places = planted(count, count // 50, radius)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started, processor = time.perf_counter(), time.process_time()
    pairs = pairs_within(hashes.view(np.uint8).reshape(count, 8), radius)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    keys = pairs.first * count + pairs.second
    assert len(np.unique(keys)) == len(keys)
    assert np.isin(places.min(axis=1) * count + places.max(axis=1), keys).all(), "a planted pair is missing"
    assert (np.bitwise_count(hashes[pairs.first] ^ hashes[pairs.second]) == pairs.distance).all()
    for row in range(0, count, count // JUDGED):
        near = np.flatnonzero(np.bitwise_count(hashes ^ hashes[row]) <= radius)
        found = np.concatenate([pairs.second[pairs.first == row], pairs.first[pairs.second == row], [row]])
        assert np.array_equal(near, np.sort(found)), f"hash {row}"
    print(
        f"{count:8d} hashes, radius {radius}: {len(pairs.first)} pairs, exact; {seconds:.2f} s ({processor:.2f} s of the "
        f"processor), highest resident memory {peak:.0f} MiB ({before:.0f} MiB before the search)",
        flush=True,
    )


if __name__ == "__main__":
    main()
