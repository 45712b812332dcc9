"""How long densities, partitions and searches take: `python -m tests.performance.places [density|cells|search] …`.

`--count` is how many vectors are searched.

Beside seconds of the clock stand those of all cores' work, which other programs on the machine change little: on two
cores that nobody else uses the clock shows about half of them.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.cells.partition import Thresholds
from benchmark.cells.quadtree import quadtree
from benchmark.cells.s2 import s2_partition
from benchmark.retrieval.density import modes_at_places
from benchmark.retrieval.index import new_index
from benchmark.retrieval.meanshift import clusters


def density() -> None:
    """1,000 queries of 200 neighbours each: the kernel density at the neighbours, and mean shift."""
    random = np.random.default_rng(0)
    places = random.normal([41.0, 29.0], 2.0, (1000, 200, 2))
    weights = np.ones((1000, 200))
    timed("density, σ = 1 km", lambda: modes_at_places(places, weights, 1.0))
    timed("density, σ = 444 km", lambda: modes_at_places(places, weights, 444.0))
    timed("mean shift, 200 km", lambda: clusters(places, 200.0))


def cells() -> None:
    """Partitions of a million places in crowds."""
    random = np.random.default_rng(0)
    centres = np.stack([np.degrees(np.arcsin(random.uniform(-0.9, 0.9, 500))), random.uniform(-179, 179, 500)], axis=1)
    places = centres[random.integers(0, 500, 1_000_000)] + random.normal(0, 0.3, (1_000_000, 2))
    partition = timed("S2 partition", lambda: s2_partition(places, Thresholds(1000, 50)))
    timed("S2 cell of each place", lambda: partition.cell_of(places))
    print(f"{len(partition.cells)} S2 cells")
    timed("quad-tree", lambda: quadtree(places, Thresholds(1000, 50)))


def search(count: int, width: int = 512) -> None:
    """1,000 queries against a gallery in clusters of 500, k = 100, exact and approximate, beside faiss called plainly."""
    import faiss

    random = np.random.default_rng(0)
    crowds = max(1, count // 500)
    centres = random.normal(size=(crowds, width)).astype(np.float32)
    vectors = centres[random.integers(0, crowds, count)]
    for at in range(0, count, 100_000):
        vectors[at : at + 100_000] += random.standard_normal(vectors[at : at + 100_000].shape, np.float32)
    queries = centres[random.integers(0, crowds, 1000)] + random.normal(size=(1000, width)).astype(np.float32)
    exact = new_index(width).add(vectors)
    wanted = timed("exact", lambda: exact.search(queries, 100)).rows
    plain = faiss.IndexFlatL2(width)
    plain.add(vectors)
    timed("faiss.IndexFlatL2 called plainly", lambda: plain.search(queries, 100))
    plain.reset()
    near = new_index(width, "approximate").add(vectors)
    timed("approximate, built", lambda: near.search(queries[:1], 1))
    print(f"it looks into {near._faiss().nprobe} of {near._faiss().nlist} lists")
    rows = timed("approximate", lambda: near.search(queries, 100)).rows
    factory: Any = faiss.index_factory(width, f"IVF{near._faiss().nlist},Flat")
    factory.cp.niter, factory.cp.max_points_per_centroid = 10, 64
    timed("faiss.IndexIVFFlat called plainly, built", lambda: (factory.train(vectors), factory.add(vectors)))
    factory.nprobe = near._faiss().nprobe
    timed("faiss.IndexIVFFlat called plainly, as many lists", lambda: factory.search(queries, 100))
    recall = np.mean([len(set(a) & set(b)) / 100 for a, b in zip(rows.tolist(), wanted.tolist(), strict=True)])
    print(f"recall of the approximate one {recall:.3f}")


def timed(what: str, work: Callable[[], Any]) -> Any:
    """Print how long the work takes, and return what it returns."""
    started, worked = time.perf_counter(), time.process_time()
    result = work()
    clock, cores = time.perf_counter() - started, time.process_time() - worked
    print(f"{what}: {clock:.2f} s, {cores:.2f} s of cores", flush=True)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["density"], help="density, cells, search")
    parser.add_argument("--count", type=int, default=1_000_000, help="vectors that are searched")
    options = parser.parse_args()
    for name in options.what:
        search(options.count) if name == "search" else globals()[name]()
