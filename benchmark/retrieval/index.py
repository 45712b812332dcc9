"""A gallery of vectors and its nearest rows to a query, exact or approximate, behind one door.

`exact` multiplies blocks of the gallery with the queries in float32, keeps what is nearer than the best of the blocks before,
and computes the distances of what remains again in float64; it needs numpy alone. `faiss` does the same by `IndexFlatL2`,
`approximate` by `IndexIVFScalarQuantizer` (J. Johnson, M. Douze, H. Jégou, "Billion-scale similarity search with GPUs", IEEE
Big Data 7, 2021): the gallery falls into lists by k-means, its values are kept in 8 bits, and a query looks into the nearest
lists. How many is measured when it is built: as few as find RECALL of the exact neighbours of some of its rows.

Rows of the query's own author or sequence can be left out. Whatever the engine, a query gets its k nearest of the rows that
remain: faiss, which knows no such rule, is asked for more until enough remain.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.errors import DataError, UsageError

ENGINES = ("exact", "faiss", "approximate")

_QUERIES, _FIRST, _GALLERY = 1024, 1024, 16_384  # the largest block of distances: 64 MiB
_SPARE = 8  # candidates beyond k whose distances are computed again, since float32 may order near-equals wrongly
_PROBED = 8  # where more than one row in so many is asked for, an approximate search looks into all lists
RECALL = 0.96
"""Share of the exact neighbours that an approximate search is set to find, of rows of the gallery."""
_TRIED, _SOUGHT = 64, 100  # rows that this is measured on, and neighbours of each


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest rows of a gallery to N queries, nearest first, of equal ones the earlier.

    Attributes:
        rows: (N, K) positions in the gallery; -1 fills where too few rows remain.
        squares: (N, K) squared Euclidean distances, at least 0; infinite where `rows` is -1.
    """

    rows: NDArray[np.int64]
    squares: NDArray[np.float64]


@dataclass(frozen=True)
class Index:
    """G vectors with the author and the sequence of each, as codes; -1 where unknown, which is nobody's.

    Attributes:
        vectors: (G, D).
        authors, sequences: (G,).
        engine: one of ENGINES.
    """

    vectors: NDArray[np.float32]
    authors: NDArray[np.int64]
    sequences: NDArray[np.int64]
    engine: str = "exact"
    _built: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the arrays.

        Raises:
            UsageError: there is no such engine.
            ValueError: the arrays do not fit each other.
            DataError: a vector holds values that are no numbers.
        """
        if self.engine not in ENGINES:
            raise UsageError(f"engine {self.engine!r}: choose one of {', '.join(ENGINES)}")
        if self.vectors.ndim != 2 or not len(self.vectors) == len(self.authors) == len(self.sequences):
            shapes = self.vectors.shape, self.authors.shape, self.sequences.shape
            raise ValueError(f"vectors, authors and sequences of shapes {shapes}: one row for each photo")
        _require_numbers(self.vectors, "the gallery")

    def __len__(self) -> int:
        return len(self.vectors)

    def add(
        self,
        vectors: NDArray[np.float32],
        authors: NDArray[np.int64] | None = None,
        sequences: NDArray[np.int64] | None = None,
    ) -> "Index":
        """Return an index with these rows behind its own; authors and sequences are unknown where they are not given."""
        unknown = np.full(len(vectors), -1, np.int64)
        return Index(
            np.concatenate([self.vectors, vectors.astype(np.float32)]),
            np.concatenate([self.authors, unknown if authors is None else authors]),
            np.concatenate([self.sequences, unknown if sequences is None else sequences]),
            self.engine,
        )

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        authors: NDArray[np.int64] | None = None,
        sequences: NDArray[np.int64] | None = None,
    ) -> Neighbours:
        """Return the k nearest rows to each query (N, D), but none of the query's own author or sequence where given.

        Raises:
            ValueError: k is below 1, or the queries are not of the gallery's width.
            DataError: a query holds values that are no numbers.
        """
        if k < 1 or queries.ndim != 2 or queries.shape[1] != self.vectors.shape[1]:
            raise ValueError(f"k = {k}, queries {queries.shape}, gallery {self.vectors.shape}")
        _require_numbers(queries, "the queries")
        unknown = np.full(len(queries), -1, np.int64)
        owners = (unknown if authors is None else authors, unknown if sequences is None else sequences)
        rows, squares = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), np.inf)
        if len(self):
            for at in range(0, len(queries), _QUERIES):
                block = slice(at, at + _QUERIES)
                candidates = self._candidates(queries[block], k, owners[0][block], owners[1][block])
                rows[block], squares[block] = self._nearest(queries[block], candidates, k)
        return Neighbours(rows, squares)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as plain arrays by name; what faiss makes of them is built again when it is needed."""
        return {"gallery": self.vectors, "gallery-authors": self.authors, "gallery-sequences": self.sequences}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], engine: str = "exact") -> "Index":
        """Return what `to_arrays` gave.

        Raises:
            ValueError, KeyError, DataError: it is damaged.
        """
        authors, sequences = (arrays[name].astype(np.int64) for name in ("gallery-authors", "gallery-sequences"))
        return cls(arrays["gallery"].astype(np.float32), authors, sequences, engine)

    def _candidates(
        self, queries: NDArray[np.float32], k: int, authors: NDArray[np.int64], sequences: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return at least k allowed rows of each query where so many are allowed, (N, ≥ min(k, G)); -1 fills."""
        if self.engine == "exact":
            return self._by_blocks(queries, min(k + _SPARE, len(self)), authors, sequences)
        count = min(k + _SPARE, len(self))
        while True:
            if self.engine == "approximate" and count * _PROBED > len(self):
                self._faiss().nprobe = self._faiss().nlist  # so many may not lie in a part of the lists
            rows: NDArray[np.int64] = (
                self._faiss().search(np.ascontiguousarray(queries, np.float32), count)[1].astype(np.int64)
            )
            rows[self._same_owner(rows, authors[:, None], sequences[:, None])] = -1
            if count == len(self) or ((rows >= 0).sum(axis=1) >= k).all():
                return rows
            count = min(2 * count, len(self))

    def _by_blocks(
        self, queries: NDArray[np.float32], wanted: int, authors: NDArray[np.int64], sequences: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        best = np.full((len(queries), 0), np.inf, np.float32)
        rows = np.full((len(queries), 0), -1, np.int64)
        owned = bool((authors >= 0).any() or (sequences >= 0).any())
        for at, end in _blocks(len(self)):
            block = self.vectors[at:end]
            distances = queries @ (-2 * block).T
            distances += np.einsum("ij,ij->i", block, block)
            if owned:
                numbers = np.arange(at, at + len(block))
                distances[self._same_owner(numbers[None], authors[:, None], sequences[:, None])] = np.inf
            # Nearly all of a later block is farther than what is known: to compare is a tenth of the work of selecting.
            full = best.shape[1] == wanted
            kept = _below(distances, best.max(axis=1)) if full else _smallest(distances, wanted)
            found = np.where(kept >= 0, np.take_along_axis(distances, kept, axis=1), np.float32(np.inf))
            best = np.concatenate([best, found], axis=1)
            rows = np.concatenate([rows, at + kept], axis=1)
            kept = _smallest(best, wanted)
            best, rows = np.take_along_axis(best, kept, axis=1), np.take_along_axis(rows, kept, axis=1)
        return np.where(np.isinf(best), -1, rows)

    def _same_owner(
        self, rows: NDArray[np.int64], authors: NDArray[np.int64], sequences: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        same_author = (authors >= 0) & (self.authors[rows] == authors)
        same_sequence = (sequences >= 0) & (self.sequences[rows] == sequences)
        return np.asarray(same_author | same_sequence, np.bool_)

    def _nearest(
        self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        squares = np.stack(
            [
                np.square(self.vectors[of].astype(np.float64) - query).sum(axis=1)
                for of, query in zip(rows, queries, strict=True)
            ]
        )
        squares[rows < 0] = np.inf
        order = np.lexsort((rows, squares), axis=1)[:, :k]
        filled = ((0, 0), (0, k - order.shape[1]))
        rows, squares = np.take_along_axis(rows, order, axis=1), np.take_along_axis(squares, order, axis=1)
        return np.pad(rows, filled, constant_values=-1), np.pad(squares, filled, constant_values=np.inf)

    def _faiss(self) -> Any:
        if "faiss" not in self._built:
            import faiss

            width = self.vectors.shape[1]
            if self.engine == "approximate":
                lists = max(1, int(np.sqrt(len(self))))
                coarse = faiss.IndexFlatL2(width)
                built: Any = faiss.IndexIVFScalarQuantizer(coarse, width, lists, faiss.ScalarQuantizer.QT_8bit)
                built.cp.min_points_per_centroid = 1  # no warning about small galleries
                # Enough for where lists lie: faiss's defaults find as much, and take four times as long.
                built.cp.max_points_per_centroid, built.cp.niter = 64, 10
                built.train(self.vectors)
            else:
                built = faiss.IndexFlatL2(width)
            built.add(self.vectors)
            self._built["faiss"] = built
            if self.engine == "approximate":
                self._probe(built)
        return self._built["faiss"]

    def _probe(self, built: Any) -> None:
        """Set how many lists a query looks into."""
        rows = np.random.default_rng(0).permutation(len(self))[:_TRIED]
        tried, wanted = self.vectors[rows], min(_SOUGHT, len(self))
        nobody = np.full(len(rows), -1, np.int64)
        exact = self._by_blocks(tried, wanted, nobody, nobody)
        for probed in (int(np.ceil(1.3**power)) for power in range(90)):
            built.nprobe = min(probed, built.nlist)
            found = built.search(np.ascontiguousarray(tried), wanted)[1]
            shared = [np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]
            if built.nprobe == built.nlist or float(np.mean(shared)) >= RECALL:
                return


def new_index(width: int, engine: str = "exact") -> Index:
    """Return an index without rows, for vectors of so many values."""
    nobody = np.empty(0, np.int64)
    return Index(np.empty((0, width), np.float32), nobody, nobody, engine)


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    """Yield where blocks of the gallery begin and end: each as large as all before, so that few of its rows are nearer."""
    at = 0
    while at < count:
        end = min(count, at + min(_GALLERY, max(_FIRST, at)))
        yield at, end
        at = end


def _smallest(values: NDArray[np.float32], wanted: int) -> NDArray[np.int64]:
    """Return the columns of the smallest values of each row, all where there are no more; in no order."""
    if values.shape[1] <= wanted:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, wanted - 1, axis=1)[:, :wanted]


def _below(values: NDArray[np.float32], bounds: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the columns of each row whose values are below its bound, first to last; -1 fills."""
    row, column = np.divmod(np.flatnonzero(values < bounds[:, None]), values.shape[1])
    counts = np.bincount(row, minlength=len(values))
    columns = np.full((len(values), int(counts.max(initial=0))), -1, np.int64)
    columns[row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)] = column
    return columns


def _require_numbers(vectors: NDArray[np.float32], whose: str) -> None:
    wrong = ~np.isfinite(vectors).all(axis=1)
    if wrong.any():
        raise DataError(f"vector {int(wrong.argmax())} of {whose} holds values that are no numbers; compute it again")
