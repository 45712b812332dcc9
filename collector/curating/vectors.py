"""Where the collector gets vectors of photos from: a source that the front door hands in, since networks are not its own.

The benchmark has one (`benchmark/photo_vectors.py`). Vectors are kept by the photo's digest and by network, weights,
preprocessing and versions, so that only new photos cost anything.
"""

from collections.abc import Sequence
from typing import Any, Protocol, cast

import faiss
import numpy as np
from numpy.typing import NDArray

from collector.progress import Track
from collector.records import Photo
from collector.workspace import Workspace

Floats = NDArray[np.float32]

_EXACT = 20_000  # vectors up to which every one is compared with every other
_AT_ONCE = 1024
_SAMPLED = 20_000  # pairs at random that tell what unrelated photos' cosines are


PhotoVectors = tuple[str, Floats, NDArray[np.bool_]]
"""Of N photos: what gave the vectors, for people (network or feature, and the beginning of its weights' digest); the vectors,
(N, D) of length 1, zeros where a photo could not be read; and whether each could be, (N,)."""


class VectorSource(Protocol):
    """Gives vectors of a workspace's photos, and tells which pairs of photos show one scene."""

    def vectors(
        self, workspace: Workspace, photos: Sequence[Photo], net: str | None, track: Track, *, turn: int = 0
    ) -> PhotoVectors:
        """Return the vector of each photo.

        Args:
            workspace: that has the photos.
            photos: N of them.
            net: a network with weights or a feature, or several with commas; None for the best that is here.
            track: shows progress.
            turn: quarter turns against the clock by which photos are turned before.

        Raises:
            UsageError: there is no such network.
            ModuleNotFoundError: the extra `bench` is not installed.
        """
        ...

    def inliers(
        self, workspace: Workspace, photos: Sequence[Photo], pairs: Sequence[tuple[int, int]], track: Track
    ) -> list[int]:
        """Return how many local features of each pair of photos (positions) one camera's move explains; 0: too few.

        Raises:
            UsageError: the extra `local` is not installed.
            ModuleNotFoundError: the extra `bench` is not installed.
        """
        ...


class IndoorSource(Protocol):
    """Tells which of a workspace's photos were taken indoors."""

    def indoors(
        self, workspace: Workspace, photos: Sequence[Photo], track: Track
    ) -> tuple[str, NDArray[np.float64]] | None:
        """Return what said so, and how likely each photo was taken indoors, (N,), NaN of one that cannot be read.

        None where no weights of a network that learnt Places365 are here.

        Raises:
            DataError: weights are damaged.
            ModuleNotFoundError: the extra `bench` is not installed.
        """
        ...


def source_of(handed: object) -> VectorSource:
    """Return the source of vectors that the front door handed to a command (`typer.Context.obj`)."""
    return cast("VectorSource", handed)


def indoor_source_of(handed: object) -> IndoorSource:
    """Return the same, which also tells what was taken indoors."""
    return cast("IndoorSource", handed)


def nearest(gallery: Floats, queries: Floats, k: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return cosines and positions (N, k) of the nearest rows of the gallery, nearest first; -1 fills.

    Every row is compared up to 20,000, above that those of the lists around a query (IVF, half precision), so that memory is
    2 bytes a value beside the vectors.
    """
    count, width = gallery.shape
    k = min(k, count)
    index: Any
    if count <= _EXACT:
        index = faiss.IndexFlatIP(width)
    else:
        lists = int(4 * np.sqrt(count))
        index = faiss.index_factory(width, f"IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
        index.train(np.ascontiguousarray(gallery[:: max(1, count // (40 * lists))]))
        index.nprobe = max(8, lists // 32)
    for start in range(0, count, _AT_ONCE * 16):
        index.add(np.ascontiguousarray(gallery[start : start + _AT_ONCE * 16], dtype=np.float32))
    blocks = [
        index.search(np.ascontiguousarray(queries[start : start + _AT_ONCE], dtype=np.float32), k)
        for start in range(0, len(queries), _AT_ONCE)
    ]
    return np.concatenate([cosines for cosines, _ in blocks]), np.concatenate([rows for _, rows in blocks])


def unrelated(rows: Floats, seed: int = 0) -> tuple[float, float]:
    """Return middle and deviation of the cosines of pairs at random: what is far above is no chance.

    The median, and how far the 16th percentile lies below it: copies among the pairs, which lie above, do not count.
    """
    rng = np.random.default_rng(seed)
    first, second = rng.integers(len(rows), size=(2, _SAMPLED))
    cosines = np.einsum("nd,nd->n", rows[first], rows[second])[first != second]
    if not len(cosines):
        return 0.0, 1.0
    low, middle = np.quantile(cosines, (0.1587, 0.5))
    return float(middle), float(middle - low)
