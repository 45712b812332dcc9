"""The graph of a gallery's verified pairs, and what is chosen from it: tracks, a cover of the photos, a dominating set.

Nodes are photos, edges pairs that show the same thing (`local.verification`). A track is one thing seen in several photos:
features that inliers link, found as connected components; one with two features of the same photo is contradictory and left
out. A K-cover is a choice of tracks such that each photo sees K of them, or all that it sees (Li, Snavely and Huttenlocher,
ECCV 2010); a dominating set a choice of photos such that each photo is in it or linked to one of it (Cao and Snavely, CVPR
2013). Both are found greedily: what helps most photos first, of equals the first. Cost: pairs × RANSAC, then sparse sums.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from benchmark.local.keypoints import Features, gathered
from benchmark.local.verification import PairVerifier
from collector.geo import distances_km
from collector.progress import Track, silent


@dataclass(frozen=True)
class PhotoGraph:
    """Verified pairs of G photos.

    Attributes:
        photos: G.
        pairs: (P, 2) positions of photos, the first the smaller.
        inliers: of each pair (n, 2): positions of features in the first and in the second photo.
    """

    photos: int
    pairs: NDArray[np.int64]
    inliers: Sequence[NDArray[np.int32]]

    def neighbours(self) -> sparse.csr_array:
        """Return who is linked to whom: (G, G), symmetric, 1 for a link, 0 on the diagonal."""
        rows = np.concatenate([self.pairs[:, 0], self.pairs[:, 1]])
        columns = np.concatenate([self.pairs[:, 1], self.pairs[:, 0]])
        return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(self.photos, self.photos))

    def jaccard(self) -> NDArray[np.float64]:
        """Return N_ab / (N_a + N_b - N_ab) of each pair, (P,): N_a are the features of a that any pair links."""
        seen: list[set[int]] = [set() for _ in range(self.photos)]
        for (a, b), inliers in zip(self.pairs.tolist(), self.inliers, strict=True):
            seen[a].update(inliers[:, 0].tolist())
            seen[b].update(inliers[:, 1].tolist())
        sizes = np.array([len(of) for of in seen], np.float64)
        both = np.array([len(inliers) for inliers in self.inliers], np.float64)
        shares: NDArray[np.float64] = both / np.maximum(sizes[self.pairs].sum(axis=1) - both, 1)
        return shares


def candidate_pairs(
    likeness: NDArray[np.float64], places: NDArray[np.float64], count: int, metres: float
) -> NDArray[np.int64]:
    """Return the pairs that are worth verifying, (P, 2), sorted: each photo with its `count` likest.

    Args:
        likeness: (G, G), larger for likelier pairs.
        places: (G, 2); where both of two photos are known, they must be at most so many metres apart.
        count: of likest photos.
        metres: farther ones are no candidates.
    """
    size = len(likeness)
    if size < 2:
        return np.empty((0, 2), np.int64)
    km = distances_km(places[:, None, 0], places[:, None, 1], places[None, :, 0], places[None, :, 1])
    possible = ~(km > metres / 1000)
    np.fill_diagonal(possible, False)
    scores = np.where(possible, likeness, -np.inf)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    rows = np.repeat(np.arange(size), best.shape[1])
    chosen = np.stack([rows, best.ravel()], axis=1)[np.isfinite(scores[rows, best.ravel()])]
    return np.unique(np.sort(chosen, axis=1), axis=0).reshape(-1, 2)


def verified_graph(
    features: Sequence[Features], candidates: NDArray[np.int64], verifier: PairVerifier, track: Track = silent
) -> PhotoGraph:
    """Return the graph of the candidates (P, 2) that are verified; `track` shows how far it is."""
    found = verifier.inliers(((features[a], features[b]) for a, b in candidates.tolist()), track)
    kept = [row for row, inliers in enumerate(found) if len(inliers)]
    return PhotoGraph(len(features), candidates[kept].reshape(-1, 2), [found[row] for row in kept])


@dataclass(frozen=True)
class Tracks:
    """What is seen in several photos.

    Attributes:
        seen: (T, G), 1 where a photo sees a track.
        descriptors: (T, D) bytes, the mean of its features', of the length that theirs have.
    """

    seen: sparse.csr_array
    descriptors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.descriptors)

    def of(self, rows: NDArray[np.int64]) -> "Tracks":
        """Return some of the tracks, in their order."""
        return Tracks(sparse.csr_array(self.seen[rows]), self.descriptors[rows])


def tracks_of(features: Sequence[Features], graph: PhotoGraph, least: int) -> Tracks:
    """Return the tracks of a graph; photos that see fewer than `least` add their strongest other features, one by one."""
    number, members = members_of(features, graph, least)
    photo = np.repeat(np.arange(len(features)), [len(of) for of in features])
    descriptors = gathered([of.descriptors for of in features], members)
    return _tracks(number, photo[members], descriptors, len(features))


def members_of(
    features: Sequence[Features], graph: PhotoGraph, least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which track (M,), ascending, has which feature (M,), counted over all photos one behind the other."""
    begin = np.concatenate([[0], np.cumsum([len(of) for of in features])]).astype(np.int64)
    photo = np.repeat(np.arange(len(features)), np.diff(begin))
    ends = [
        np.stack([begin[a] + inliers[:, 0], begin[b] + inliers[:, 1]])
        for (a, b), inliers in zip(graph.pairs.tolist(), graph.inliers, strict=True)
    ]
    first, second = np.concatenate([np.empty((2, 0), np.int64), *ends], axis=1)
    size = len(photo)
    links = sparse.coo_array((np.ones(len(first)), (first, second)), shape=(size, size))
    track = connected_components(links, directed=False)[1].astype(np.int64) if size else np.empty(0, np.int64)
    linked = np.bincount(track, minlength=int(track.max(initial=-1)) + 1)[track] > 1
    twice = np.zeros(int(track.max(initial=-1)) + 1, bool)
    keys, counts = np.unique(np.stack([track[linked], photo[linked]], axis=1), axis=0, return_counts=True)
    twice[keys[counts > 1, 0].astype(np.int64)] = True
    whole = linked & ~twice[track]
    missing = np.maximum(0, least - np.bincount(photo[whole], minlength=len(features)))
    single = np.concatenate(
        [np.empty(0, np.int64)]
        + [
            begin[row] + np.flatnonzero(~linked[begin[row] : begin[row + 1]])[: missing[row]]
            for row in range(len(features))
        ]
    )
    members = np.concatenate([np.flatnonzero(whole), single])
    number = np.unique(np.concatenate([track[whole], track[single]]), return_inverse=True)[1]
    ordered = np.argsort(number, kind="stable")
    return number[ordered], members[ordered]


def _tracks(number: NDArray[np.int64], photo: NDArray[np.int64], descriptors: NDArray[np.uint8], photos: int) -> Tracks:
    count = int(number.max(initial=-1)) + 1
    seen = sparse.csr_array((np.ones(len(number)), (number, photo)), shape=(count, photos))
    rows = np.arange(len(number))
    sums = sparse.csr_array((np.ones(len(number)), (number, rows)), shape=(count, len(number))) @ descriptors.astype(
        np.float64
    )
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    usual = np.linalg.norm(descriptors.astype(np.float64), axis=1).mean() if len(descriptors) else 0.0
    return Tracks(seen, np.rint(np.minimum(usual * sums / lengths, 255)).astype(np.uint8))


def k_cover(seen: sparse.csr_array, k: int) -> NDArray[np.int64]:
    """Return the tracks (n,), in the order of their choice, such that each photo sees `k` of them, or all that it can.

    Lazily greedy: a track's gain, the photos that see it and have fewer than `k`, only falls.
    """
    missing = np.full(seen.shape[1], k)
    photos = [seen.indices[seen.indptr[row] : seen.indptr[row + 1]] for row in range(seen.shape[0])]
    heap = [(-len(of), row) for row, of in enumerate(photos)]
    heapq.heapify(heap)
    chosen = []
    while heap:
        told, row = heapq.heappop(heap)
        gain = int((missing[photos[row]] > 0).sum())
        if not gain:
            continue
        if gain < -told:
            heapq.heappush(heap, (-gain, row))
            continue
        chosen.append(row)
        missing[photos[row]] -= 1
    return np.array(chosen, np.int64)


def dominating_set(neighbours: sparse.csr_array, most: int) -> list[NDArray[np.int64]]:
    """Return neighbourhoods that hold every photo: a chosen photo first, then those linked to it, `most` in all.

    Greedy: the photo whose neighbourhood holds most photos that none before held.
    """
    around = [
        np.concatenate([[row], neighbours.indices[neighbours.indptr[row] : neighbours.indptr[row + 1]]])[:most]
        for row in range(neighbours.shape[0])
    ]
    open_ones = np.ones(neighbours.shape[0], bool)
    heap = [(-len(of), row) for row, of in enumerate(around)]
    heapq.heapify(heap)
    chosen: list[NDArray[np.int64]] = []
    while heap and open_ones.any():
        told, row = heapq.heappop(heap)
        gain = int(open_ones[around[row]].sum())
        if gain < -told:
            if gain:
                heapq.heappush(heap, (-gain, row))
            continue
        chosen.append(around[row].astype(np.int64))
        open_ones[around[row]] = False
    return chosen
