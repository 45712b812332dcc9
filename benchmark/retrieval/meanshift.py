"""Mean shift on the sphere, as IM2GPS reads an answer out of its neighbours' places.

Each place moves to the mean of all places at most a bandwidth away, until it stays; places that end at one mode are a
cluster. The kernel is flat. Everything happens on unit vectors in space, with the chord of the bandwidth for a radius, so
that neither the date line nor the poles are special; a mean is scaled back to length 1. K places of N photos at once: O(N K²)
a round. Y. Cheng, "Mean shift, mode seeking, and clustering", IEEE TPAMI 17 (1995); J. Hays and A. A. Efros, "IM2GPS:
estimating geographic information from a single image", CVPR 2008.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.geo import chord, places_of, unit_vectors

_ROUNDS = 100
_BLOCK = 1 << 22  # pairs in memory at once


@dataclass(frozen=True, slots=True)
class Clusters:
    """The modes of K places, the largest cluster first, of equally large ones that of the earlier place.

    Attributes:
        modes: (M, 2), latitude and longitude of each.
        sizes: (M,), places in each cluster.
        members: (K,), the cluster of each place; -1 of an unknown place.
    """

    modes: NDArray[np.float64]
    sizes: NDArray[np.int64]
    members: NDArray[np.int64]


def shifted(vectors: NDArray[np.float64], known: NDArray[np.bool_], bandwidth_km: float) -> NDArray[np.float64]:
    """Return where each of N × K unit vectors (N, K, 3) ends; `known` (N, K) says which there are at all.

    Raises:
        ValueError: the bandwidth is not above 0.
    """
    if not bandwidth_km > 0:
        raise ValueError(f"bandwidth_km is {bandwidth_km}: must be above 0")
    step = max(1, _BLOCK // max(1, vectors.shape[1] ** 2))
    ends = [
        _shifted(vectors[at : at + step], known[at : at + step], bandwidth_km) for at in range(0, len(vectors), step)
    ]
    return np.concatenate([np.empty((0, *vectors.shape[1:])), *ends])


def _shifted(vectors: NDArray[np.float64], known: NDArray[np.bool_], bandwidth_km: float) -> NDArray[np.float64]:
    cosine = 1 - chord(bandwidth_km) ** 2 / 2 - 1e-15  # a rounding error further, so that equal places are near
    result, moving = vectors.copy(), np.arange(len(vectors))
    points, data = result, np.where(known[..., None], vectors, 0.0)
    for _ in range(_ROUNDS):
        near = ((points @ data.transpose(0, 2, 1)) >= cosine) & known[:, None, :]
        sums = near.astype(np.float64) @ data
        lengths = np.linalg.norm(sums, axis=2, keepdims=True)
        moved = np.where(lengths > 1e-9, sums / np.where(lengths > 1e-9, lengths, 1), points)
        steps = np.abs(moved - points).max(axis=(1, 2), initial=0, where=known[..., None])
        result[moving] = moved
        still = steps >= 1e-12  # a photo whose places have all arrived is done with
        moving, points, data, known = moving[still], moved[still], data[still], known[still]
        if not len(moving):
            break
    return result


def clusters(places: NDArray[np.float64], bandwidth_km: float) -> list[Clusters]:
    """Return the clusters of each of N photos' places (N, K, 2); NaN where there are fewer than K.

    Modes at most half a bandwidth apart are one: that of the more places.

    Raises:
        ValueError: the bandwidth is not above 0.
    """
    known: NDArray[np.bool_] = np.asarray(~np.isnan(places).any(axis=2), np.bool_)
    held = np.where(known[..., None], places, 0.0)
    ends = shifted(unit_vectors(held[..., 0], held[..., 1]), known, bandwidth_km)
    return [_clusters(end, there, bandwidth_km) for end, there in zip(ends, known, strict=True)]


def _clusters(ends: NDArray[np.float64], known: NDArray[np.bool_], bandwidth_km: float) -> Clusters:
    rows = np.flatnonzero(known)
    apart = np.linalg.norm(ends[rows, None] - ends[None, rows], axis=2)
    popular = (apart <= chord(bandwidth_km) * 1e-3).sum(axis=1)
    members = np.full(len(ends), -1, np.int64)
    leaders: list[int] = []
    for row in np.lexsort((rows, -popular)):
        if members[rows[row]] < 0:
            free = (apart[row] <= chord(bandwidth_km / 2)) & (members[rows] < 0)
            members[rows[free]] = len(leaders)
            leaders.append(int(rows[row]))
    sizes = np.bincount(members[rows], minlength=len(leaders)).astype(np.int64)
    order = np.argsort(-sizes, kind="stable")
    numbers = np.append(np.argsort(order), -1)
    modes = places_of(ends[np.array(leaders, np.int64)[order]]) if leaders else np.empty((0, 2))
    return Clusters(modes, sizes[order], numbers[members])
