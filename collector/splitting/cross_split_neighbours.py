"""The nearest photo on another side of a split, by place and by look: found anew, exactly, within bounded memory."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from collector.geo import distances_km, unit_vectors

_BLOCK = 2048  # queries of one search for the nearest
_MOST_ANSWERS = 1 << 26  # pairs that one search can answer with at the very worst: about 800 MB


@dataclass(frozen=True, slots=True)
class Places:
    """For each place (N,) of one side the nearest place of the other: its position there, and metres to it."""

    position: NDArray[np.int64]
    metres: NDArray[np.float64]


def nearest_places(reference: NDArray[np.float64], judged: NDArray[np.float64]) -> Places:
    """Return the place of `reference` (M, 2) that is nearest to each one of `judged` (N, 2), by great-circle distance.

    Both hold latitude and longitude in degrees WGS84 and at least one row. The order of chords through the Earth is that
    of great circles, so a k-d tree of unit vectors finds the nearest; the distance to it is computed from the degrees.
    """
    # Equal places are one point: trees of thousands of equal points are slow.
    there, first = np.unique(_as_complex(reference), return_index=True)
    here, which = np.unique(_as_complex(judged), return_inverse=True)
    _, nearest = cKDTree(unit_vectors(there.real, there.imag)).query(unit_vectors(here.real, here.imag), workers=-1)
    km = distances_km(there[nearest].real, there[nearest].imag, here.real, here.imag)
    return Places(first[nearest].astype(np.int64)[which], 1000 * km[which])


def _as_complex(degrees: NDArray[np.float64]) -> NDArray[np.complex128]:
    # One number a place, which numpy sorts many times faster than rows.
    place: NDArray[np.complex128] = degrees[:, 0] + 1j * degrees[:, 1]
    return place


@dataclass(frozen=True, slots=True)
class Looks:
    """The different looks (pHash and dHash, (N,) each) of a side's photos: where each first occurs, and how often."""

    phash: NDArray[np.uint64]
    dhash: NDArray[np.uint64]
    first: NDArray[np.int64]
    photos: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Alike:
    """Two photos by their positions in their sides, and how many bits of their hashes differ."""

    reference: int
    judged: int
    phash_bits: int
    dhash_bits: int


@dataclass(frozen=True, slots=True)
class Resemblance:
    """What the hashes of two sides have in common.

    Attributes:
        nearest_bits: the smallest pHash distance between photos of the two sides, 0 to 64.
        pairs: pairs of photos that resemble each other.
        photos: photos of the judged side that are part of one.
        closest: the closest such pairs of looks, at most as many as were asked for; where no pair resembles, the one pair
            whose pHash distance is the smallest.
    """

    nearest_bits: int
    pairs: int
    photos: int
    closest: tuple[Alike, ...]


def looks(phash: NDArray[np.uint64], dhash: NDArray[np.uint64]) -> Looks:
    """Return the different looks among photos with these hashes (N,)."""
    order = np.lexsort((dhash, phash))
    p, d = phash[order], dhash[order]
    starts = np.flatnonzero(np.concatenate(([True], (p[1:] != p[:-1]) | (d[1:] != d[:-1]))))
    return Looks(p[starts], d[starts], order[starts], np.diff(np.append(starts, len(order))))


def resemblance(reference: Looks, judged: Looks, radius: int, dhash_radius: int, most: int = 5) -> Resemblance:
    """Compare every look of two sides; both have at least one.

    Two photos resemble each other when their pHashes differ in at most `radius` bits and their dHashes in at most
    `dhash_radius`. One exhaustive search finds the nearest pHash of each look; only looks that have one within the radius
    are searched again, for all pairs.
    """
    index = faiss.IndexBinaryFlat(64)
    index.add(_as_bytes(reference.phash))
    queries = _as_bytes(judged.phash)
    nearest, position = _nearest(index, queries)
    pairs = photos = 0
    closest: list[tuple[int, int, int, int]] = []
    close = np.flatnonzero(nearest <= radius)
    step = max(1, _MOST_ANSWERS // len(reference.phash))
    for at in range(0, len(close), step):
        chosen = close[at : at + step]
        # faiss returns distances strictly below its radius.
        limits, distance, there = index.range_search(queries[chosen], radius + 1)
        here = np.repeat(chosen, limits[1:].astype(np.int64) - limits[:-1].astype(np.int64))
        dhash = _apart(reference.dhash[there], judged.dhash[here])
        agree = dhash <= dhash_radius
        found = np.column_stack((distance, dhash, here, there))[agree].astype(np.int64)
        pairs += int((judged.photos[found[:, 2]] * reference.photos[found[:, 3]]).sum())
        photos += int(judged.photos[np.unique(found[:, 2])].sum())
        best = found[np.lexsort(found.T[::-1])[:most]].tolist()
        closest = sorted([*closest, *map(tuple, best)])[:most]
    if not closest:
        one = int(nearest.argmin())
        dhash = _apart(reference.dhash[position[[one]]], judged.dhash[[one]])
        closest = [(int(nearest[one]), int(dhash[0]), one, int(position[one]))]
    return Resemblance(
        nearest_bits=int(nearest.min()),
        pairs=pairs,
        photos=photos,
        closest=tuple(Alike(int(reference.first[r]), int(judged.first[j]), p, d) for p, d, j, r in closest),
    )


def _nearest(index: Any, queries: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distance and the position of each query's nearest neighbour, (N,) each.

    One thread of faiss to a block, and the blocks side by side: faiss's own threads wait for each other by spinning, which
    took four times as long where another process kept one of two processors busy.
    """

    def search(start: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        faiss.omp_set_num_threads(1)  # of this thread
        distance, position = index.search(queries[start : start + _BLOCK], 1)
        return distance[:, 0], position[:, 0]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        distances, positions = zip(*pool.map(search, range(0, len(queries), _BLOCK)), strict=True)
    return np.concatenate(distances).astype(np.int64), np.concatenate(positions).astype(np.int64)


def _apart(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    bits: NDArray[np.int64] = np.bitwise_count(a ^ b).astype(np.int64)
    return bits


def _as_bytes(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), 8)
