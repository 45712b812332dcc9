"""Visual words: descriptors grouped by k-means, flat or as a tree, and what photos' words say.

A vocabulary tree (Nistér and Stewénius, CVPR 2006) splits the descriptors into `branching` groups by k-means, and each group
again, `depth` times; a word is a leaf. A descriptor goes down the tree: to the nearest child at every level, or, greedy
N-best paths (Schindler, Brown and Szeliski, CVPR 2007), the N nearest nodes of all children of the N kept before are kept,
and the word is the nearest of the last. Cost: branching · (1 + N (depth - 1)) distances, against branching^depth of a flat
vocabulary. Centres are whole numbers, as descriptors are: distances and sums are exact, so neither threads nor the order in
which descriptors are added up change a word. Invariant: every path is `depth` long; a group too small to split has one child,
itself.
"""

from contextlib import nullcontext
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmark.local.keypoints import WIDTH
from benchmark.local.one_thread import one_thread
from benchmark.local.verification import squared_distances
from collector.errors import UsageError
from collector.progress import Track, silent

_SAMPLE = 64  # descriptors a centre that k-means learns from
_ROUNDS = 10  # of k-means
_AT_ONCE = 20_000  # descriptors that go down a tree together
_NODE_BITS = 23  # more than the largest tree has nodes
_FAR = 1 << 24  # farther than any two descriptors


def k_means(descriptors: NDArray[np.uint8], count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return at most `count` centres (k, 128) of descriptors (n, 128), by `lloyd` from a sample of them."""
    return lloyd(descriptors[sampled(len(descriptors), count, rng)], count, rng)


def sampled(total: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return which of `total` descriptors so many centres are learnt from, ascending."""
    rows: NDArray[np.int64] = np.sort(rng.choice(total, min(total, _SAMPLE * count), replace=False))
    return rows


def lloyd(sample: NDArray[np.uint8], count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return at most `count` centres (k, 128) of descriptors (n, 128), whole numbers; Lloyd's iterations, ten of them.

    Fewer where there are not so many different descriptors. An empty group keeps its centre.
    """
    centres = np.unique(sample, axis=0)
    centres = centres[np.sort(rng.choice(len(centres), min(count, len(centres)), replace=False))]
    for _ in range(_ROUNDS):
        nearest = nearest_centres(sample, centres)
        sizes = np.bincount(nearest, minlength=len(centres))
        sums = _grouped(nearest, len(centres)) @ sample.astype(np.int32)
        means = np.rint(sums / np.maximum(sizes, 1)[:, None]).astype(np.uint8)
        moved = np.where((sizes > 0)[:, None], means, centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def nearest_centres(descriptors: NDArray[np.uint8], centres: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the nearest centre of each descriptor, (n,)."""
    index = faiss.IndexFlatL2(centres.shape[1])
    index.add(centres.astype(np.float32))
    with one_thread() if len(descriptors) <= _AT_ONCE else nullcontext():
        nearest: NDArray[np.int64] = index.search(descriptors.astype(np.float32), 1)[1][:, 0]
    return nearest


def _grouped(groups: NDArray[np.int64], count: int) -> sparse.csr_array:
    rows = np.arange(len(groups))
    return sparse.csr_array((np.ones(len(groups), np.int32), (groups, rows)), shape=(count, len(groups)))


@dataclass(frozen=True)
class VocabularyTree:
    """A tree of centres.

    Attributes:
        centres: of each level, the root's children first: (nodes, 128).
        first: of each level but the last: where each node's children begin in the next level; one more than nodes.
    """

    centres: tuple[NDArray[np.uint8], ...]
    first: tuple[NDArray[np.int64], ...]

    @property
    def words(self) -> int:
        """How many leaves there are."""
        return len(self.centres[-1])

    def descend(self, descriptors: NDArray[np.uint8], paths: int = 1) -> NDArray[np.int64]:
        """Return the word of each descriptor, (n,), by N = `paths` best paths.

        Raises:
            UsageError: there are no paths.
        """
        if paths < 1:
            raise UsageError(f"paths={paths}: 1 or more are possible")
        blocks = (descriptors[at : at + _AT_ONCE] for at in range(0, len(descriptors), _AT_ONCE))
        return np.concatenate([np.empty(0, np.int64), *(self._words(block, paths) for block in blocks)])

    def _words(self, descriptors: NDArray[np.uint8], paths: int) -> NDArray[np.int64]:
        squares = squared_distances(descriptors, self.centres[0])
        kept = _nearest(squares, np.broadcast_to(np.arange(squares.shape[1]), squares.shape), paths)
        for first, centres in zip(self.first, self.centres[1:], strict=True):
            kept = self._next(descriptors, kept, first, centres, paths)
        words: NDArray[np.int64] = kept[:, 0]
        return words

    @staticmethod
    def _next(
        descriptors: NDArray[np.uint8],
        kept: NDArray[np.int64],
        first: NDArray[np.int64],
        centres: NDArray[np.uint8],
        paths: int,
    ) -> NDArray[np.int64]:
        """Return the `paths` nearest of all children of the kept nodes (n, N), nearest first; -1 where there are fewer."""
        widest = int(np.diff(first).max())
        squares = np.full((len(kept), kept.shape[1], widest), _FAR, np.float32)
        nodes = np.full(squares.shape, -1, np.int64)
        flat = kept.ravel()
        order = np.argsort(flat, kind="stable")
        bounds = np.searchsorted(flat[order], np.arange(len(first)))
        for parent in np.flatnonzero(np.diff(bounds)):  # all descriptors that come through a node at once
            rows, columns = np.divmod(order[bounds[parent] : bounds[parent + 1]], kept.shape[1])
            children = np.arange(first[parent], first[parent + 1])
            squares[rows, columns, : len(children)] = squared_distances(descriptors[rows], centres[children])
            nodes[rows, columns, : len(children)] = children
        return _nearest(squares.reshape(len(kept), -1), nodes.reshape(len(kept), -1), paths)


def _nearest(squares: NDArray[np.float32], nodes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the `count` nearest of each row's nodes, nearest first, of equal ones the first node."""
    keys = (squares.astype(np.int64) << _NODE_BITS) + nodes  # whole numbers: one key holds both
    count = min(count, keys.shape[1])
    best = np.sort(np.partition(keys, count - 1, axis=1)[:, :count], axis=1)
    found: NDArray[np.int64] = np.where(best >> _NODE_BITS >= _FAR - 1, -1, best & ((1 << _NODE_BITS) - 1))
    return found


def grow_tree(
    descriptors: NDArray[np.uint8], branching: int, depth: int, rng: np.random.Generator, track: Track = silent
) -> VocabularyTree:
    """Return the tree of descriptors (n, 128); `track` shows how far it is.

    Raises:
        UsageError: branching or depth make no sense.
    """
    if not 2 <= branching <= 1024 or not 1 <= depth <= 8 or branching**depth > 1 << 22:
        raise UsageError(f"branching={branching}, depth={depth}: 2 to 1024, 1 to 8, at most 4194304 words together")
    if not len(descriptors):  # photos without keypoints alone: one word that nothing has
        descriptors = np.zeros((1, WIDTH), np.uint8)
    centres = [k_means(descriptors, branching, rng)]
    firsts = []
    groups = nearest_centres(descriptors, centres[0])
    for _ in range(depth - 1):
        children, first, nodes = [], [0], np.empty_like(groups)
        order = np.argsort(groups, kind="stable")
        bounds = np.searchsorted(groups[order], np.arange(len(centres[-1]) + 1))
        for node, centre in enumerate(track(centres[-1], "growing the vocabulary", len(centres[-1]))):
            members = order[bounds[node] : bounds[node + 1]]
            enough = len(members) > branching
            own = k_means(descriptors[members], branching, rng) if enough else centre[None]
            nodes[members] = first[-1] + (nearest_centres(descriptors[members], own) if enough else 0)
            children.append(own)
            first.append(first[-1] + len(own))
        centres.append(np.concatenate(children))
        firsts.append(np.array(first))
        groups = nodes
    return VocabularyTree(tuple(centres), tuple(firsts))


def counts(words: list[NDArray[np.int64]], vocabulary: int) -> sparse.csr_array:
    """Return how often each photo has each word, (photos, words)."""
    rows = np.repeat(np.arange(len(words)), [len(of) for of in words])
    columns = np.concatenate([np.empty(0, np.int64), *words])
    matrix = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(words), vocabulary)).tocsr()
    matrix.sum_duplicates()
    return matrix


def inverse_frequency(matrix: sparse.csr_array) -> NDArray[np.float64]:
    """Return log(N / n) of each word, n of the gallery's N photos having it; 0 where none has."""
    having = np.bincount(matrix.indices, minlength=matrix.shape[1])
    return np.where(having > 0, np.log(max(matrix.shape[0], 1) / np.maximum(having, 1)), 0.0)


def weighted(matrix: sparse.csr_array, idf: NDArray[np.float64]) -> sparse.csr_array:
    """Return sqrt(tf) · idf, each photo's row of length 1; a photo without words keeps zeros."""
    values = sparse.csr_array((np.sqrt(matrix.data) * idf[matrix.indices], matrix.indices, matrix.indptr), matrix.shape)
    lengths = np.sqrt(np.bincount(_rows(values), values.data**2, minlength=matrix.shape[0]))
    return sparse.csr_array(
        (values.data / np.maximum(lengths, 1e-12)[_rows(values)], values.indices, values.indptr), matrix.shape
    )


def _rows(matrix: sparse.csr_array) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def information_gain(
    here: NDArray[np.float64], elsewhere: NDArray[np.float64], at: NDArray[np.float64], photos: int
) -> NDArray[np.float64]:
    """Return what a word tells about a place, in bits: the mutual information of "has the word" and "is taken there".

    H(place) - H(place | word), Schindler, Brown and Szeliski, CVPR 2007. Arrays of one shape.

    Args:
        here: photos of the place that have the word.
        elsewhere: other photos that have it.
        at: photos of the place.
        photos: of the whole gallery.
    """
    having = here + elsewhere
    share = having / photos
    given = share * _entropy(here, having) + (1 - share) * _entropy(at - here, photos - having)
    gain: NDArray[np.float64] = np.maximum(_entropy(at, np.full_like(at, photos)) - given, 0.0)
    return gain


def _entropy(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    terms = [np.where(q > 0, -q * np.log2(np.where(q > 0, q, 1)), 0.0) for q in (p, 1 - p)]
    return terms[0] + terms[1]
