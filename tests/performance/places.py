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
from numpy.typing import NDArray

from benchmark.cells.partition import Thresholds
from benchmark.cells.quadtree import quadtree
from benchmark.cells.s2 import s2_partition
from benchmark.retrieval.density import modes_at_places
from benchmark.retrieval.index import Index
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
    """1,000 queries, k = 100, exact and approximate, beside faiss called plainly: the same rows of one gallery."""
    import faiss

    vectors, queries = drawn(count, width), drawn(1000, width, seed=1)
    print(f"{count} vectors of {width}; intrinsic dimension of 5,000 of them {intrinsic_dimension(vectors[:5000]):.1f}")
    nobody = np.full(count, -1)
    exact = Index(vectors, nobody, nobody)
    wanted = timed("exact", lambda: exact.search(queries, 100)).rows
    plain = faiss.IndexFlatL2(width)
    plain.add(vectors)
    timed("faiss.IndexFlatL2 called plainly", lambda: plain.search(queries, 100))
    plain.reset()
    near = Index(vectors, nobody, nobody, "approximate")
    timed("approximate, built", lambda: near.search(queries[:1], 1))
    probed, lists = near._faiss().nprobe, near._faiss().nlist
    rows = timed("approximate", lambda: near.search(queries, 100)).rows
    print(f"it looks into {probed} of {lists} lists; recall {recall(rows, wanted):.3f}", flush=True)
    near._built.clear()
    factory: Any = faiss.index_factory(width, f"IVF{lists},SQ8")
    factory.cp.max_points_per_centroid, factory.cp.niter = 64, 10
    timed("faiss IVF,SQ8 called plainly, built", lambda: (factory.train(vectors), factory.add(vectors)))
    factory.nprobe = probed
    rows = timed("faiss IVF,SQ8 called plainly, as many lists", lambda: factory.search(queries, 100))[1]
    print(f"its recall {recall(rows, wanted):.3f}")


def drawn(count: int, width: int, latent: int = 64, seed: int = 0) -> NDArray[np.float32]:
    """Return vectors of length 1 that resemble a network's: none below 0, crowded, of few dimensions where they lie.

    Sights have a place in a space of `latent` dimensions whose spreads fall as 1/√i, photos lie about their sight half as
    wide, 100 a sight in the mean and unevenly (a log-normal), and a random layer with a rectifier makes `width` values of
    each. `seed` draws other photos of the same sights.
    """
    world = np.random.default_rng(7)
    sights = 10_000
    spreads = np.arange(1, latent + 1) ** -0.5
    centres = world.standard_normal((sights, latent)) * spreads
    popular = world.lognormal(size=sights)
    layer = world.standard_normal((latent, width)).astype(np.float32)
    random, made = np.random.default_rng(seed), np.empty((count, width), np.float32)
    for at in range(0, count, 50_000):
        chosen = random.choice(sights, min(50_000, count - at), p=popular / popular.sum())
        photos = centres[chosen] + 0.5 * spreads * random.standard_normal((len(chosen), latent))
        block = np.maximum(photos.astype(np.float32) @ layer, 0)
        made[at : at + len(block)] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return made


def intrinsic_dimension(vectors: NDArray[np.float32], k: int = 20) -> float:
    """Return the maximum likelihood estimate of E. Levina and P. Bickel (NIPS 2004) with k neighbours, mean over points."""
    nobody = np.full(len(vectors), -1)
    distances = np.sqrt(Index(vectors, nobody, nobody).search(vectors, k + 1).squares[:, 1:])
    distances = distances[distances[:, 0] > 0]
    return float((1 / np.log(distances[:, -1:] / distances[:, :-1]).mean(axis=1)).mean())


def recall(found: NDArray[np.int64], wanted: NDArray[np.int64]) -> float:
    """Return the share of the wanted rows that were found."""
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(wanted, found, strict=True)]))


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
