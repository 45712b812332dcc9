"""Hubs kept back: CSLS as one more value of each vector.

In many dimensions some vectors are near to everything and turn up among everybody's neighbours. Cross-domain similarity local
scaling takes the gallery's own crowd off: of a query x and a row y of length 1 it compares 2·cos(x, y) - r(x) - r(y), r being
the mean cosine to the K nearest of the other side (A. Conneau et al., "Word translation without parallel data", ICLR 2018).
There are no queries when a gallery is built, so r(y) here is over the K nearest other rows of the gallery, none of them by
y's own author or of its sequence; r(x) changes no order.

Since |x - y|² = 2 - 2·cos, the order is that of |x - y|² + r(y), which but for a constant is the squared distance of (x, 0)
and (y, √(r(y) - least r)): any index searches it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.retrieval.index import Index


def crowds(index: Index, k: int) -> NDArray[np.float64]:
    """Return r of each row, (G,): the mean cosine to its k nearest other rows; 0 where it has none.

    Raises:
        ValueError: k is below 1.
    """
    near = index.search(index.vectors, k + 1, index.authors, index.sequences)
    other = (near.rows >= 0) & (near.rows != np.arange(len(index))[:, None])
    # Itself is among the k + 1 where its author is unknown; of others the k nearest count.
    other &= np.cumsum(other, axis=1) <= k
    cosines = np.where(other, 1 - np.where(other, near.squares, 0) / 2, 0.0)
    return np.asarray(cosines.sum(axis=1) / np.maximum(other.sum(axis=1), 1), np.float64)


def scaled_index(index: Index, k: int) -> Index:
    """Return the index with the value that makes its order that of CSLS; its queries are `scaled_queries`."""
    r = crowds(index, k)
    value = np.sqrt(r - r.min(initial=np.inf)) if len(r) else r
    return replace(index, vectors=np.column_stack([index.vectors, value]).astype(np.float32), _built={})


def scaled_queries(queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return queries (N, D) as (N, D + 1)."""
    return np.column_stack([queries, np.zeros(len(queries))]).astype(np.float32)
