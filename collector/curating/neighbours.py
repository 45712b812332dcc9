"""All pairs of 64-bit hashes within a Hamming radius, exactly."""

from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096  # queries at a time: bounds the memory of the answers


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of positions with `first < second` and their Hamming distances, sorted by (first, second)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.int64]


def as_bits(hashes: list[str]) -> NDArray[np.uint8]:
    """Return hashes of 16 hex digits as (N, 8) bytes."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(len(hashes), 8)


def pairs_within(bits: NDArray[np.uint8], radius: int) -> Pairs:
    """Return all pairs of rows of `bits` (N, 8) whose Hamming distance is at most `radius`, by exhaustive search."""
    index = faiss.IndexBinaryFlat(64)
    index.add(bits)
    firsts, seconds, distances = [], [], []
    for start in range(0, len(bits), _BLOCK):
        queries = bits[start : start + _BLOCK]
        # faiss returns distances strictly below its radius.
        limits, distance, neighbour = index.range_search(queries, radius + 1)
        query = np.repeat(np.arange(start, start + len(queries)), np.diff(limits).astype(np.int64))
        once = query < neighbour
        firsts.append(query[once])
        seconds.append(neighbour[once].astype(np.int64))
        distances.append(distance[once].astype(np.int64))
    first, second, apart = (np.concatenate([np.empty(0, np.int64), *parts]) for parts in (firsts, seconds, distances))
    order = np.lexsort((second, first))
    return Pairs(first[order], second[order], apart[order])
