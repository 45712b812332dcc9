"""All pairs of binary hashes within a Hamming radius, exactly, in bounded memory.

Multi-index hashing (Norouzi, Punjani and Fleet, Fast search in Hamming space with multi-index hashing, CVPR 2012). A code of
B bits is cut into m parts. Two codes that differ in at most r bits differ in at most f_i bits in at least one part i, for any
f_1 .. f_m with Σ (f_i + 1) = r + 1: else they would differ in r + 1 or more. So only the buckets within f_i flips of a
query's part are searched, and each code found is compared whole: the answer is exact whatever the plan. The plan (m from 2
to 8, or none: every code with every other) is the cheapest by a model of Σ_i C(width_i, ≤ f_i) · (bucket + codes in it ·
comparison). Parts are indexes of faiss on codes turned so that the part comes first; a query sees only what was added before
it, so each pair is met as (earlier, later), and pairs met in several parts are made one by sorting. Memory: 50 bytes a code
and part, and one block's pairs. Time: about N times the model's cost of one query.

Not faiss.IndexBinaryMultiHash, which is the same idea with parts of equal width and one f for all: five to ten
times slower at best, docs/decisions/0003.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb

import faiss
import numpy as np
from numpy.typing import NDArray

_SAMPLE = 64  # queries of a block that are asked first, to see how much it will answer

# Nanoseconds on one core, measured 2026-11-22 with faiss 1.15.1 on random hashes: to compare two hashes of 64 bits that lie
# one after the other, and to find a bucket. Only their ratio matters, and only to the speed.
_COMPARE_NS = 0.5
_BUCKET_NS = 80.0
_MOST_PARTS = 8


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of positions with `first < second` and their Hamming distances."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """Some bits of a hash: `width` of them from `start` on, and in how many of them two near hashes may differ."""

    start: int
    width: int
    flips: int


@dataclass(frozen=True, slots=True)
class Search:
    """How a search is done; what it finds is the same.

    Attributes:
        block: queries at a time: many small searches are slow.
        most_answers: that one search should give, about 12 bytes each.
        parts: which buckets are searched; None for the plan that is cheapest by `plan`.
    """

    block: int = 16_384
    most_answers: int = 1 << 25
    parts: Sequence[Part] | None = None


DEFAULT_SEARCH = Search()


def as_bits(hashes: list[str]) -> NDArray[np.uint8]:
    """Return hashes of 16 hex digits as (N, 8) bytes."""
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint8).reshape(len(hashes), 8)


def pairs_within(bits: NDArray[np.uint8], radius: int, search: Search = DEFAULT_SEARCH) -> Pairs:
    """Return all pairs of rows of `bits` (N, bytes) whose Hamming distance is at most `radius`, sorted by both positions."""
    blocks = list(pairs_in_blocks(bits, radius, search=search))
    nothing = np.empty(0, np.int64)
    first = np.concatenate([nothing, *(block.first for block in blocks)])
    second = np.concatenate([nothing, *(block.second for block in blocks)])
    distance = np.concatenate([nothing, *(block.distance for block in blocks)])
    order = np.lexsort((second, first))
    return Pairs(first[order], second[order], distance[order])


def pairs_in_blocks(
    bits: NDArray[np.uint8],
    radius: int,
    seen_as: NDArray[np.uint8] | None = None,
    search: Search = DEFAULT_SEARCH,
) -> Iterator[Pairs]:
    """Yield what `pairs_within` returns, in blocks of ascending `second`; each row's pairs are in one block.

    With `seen_as` (N, bytes) the distance is that of `seen_as[second]` from `bits[first]`. Memory is that of the index, some
    50 bytes a hash and part, and of one block's pairs, however many there are altogether.
    """
    count, code_bits = len(bits), 8 * bits.shape[1]
    parts = plan(count, code_bits, radius) if search.parts is None else search.parts
    indexes = [_index(part, code_bits) for part in parts]
    for start in range(0, count, search.block):
        rows = bits[start : start + search.block]
        for part, index in zip(parts, indexes, strict=True):
            index.add(_turned(rows, part.start))
        queries = rows if seen_as is None else seen_as[start : start + search.block]
        step = _step(queries, parts, indexes, radius, search.most_answers)
        for at in range(0, len(queries), step):
            found = _search(queries[at : at + step], parts, indexes, radius)
            query, neighbour, distance = (np.concatenate(column) for column in zip(*found, strict=True))
            yield _distinct(start + at, query, neighbour, distance, count)


def pairs_between(
    reference: NDArray[np.uint8], queries: NDArray[np.uint8], radius: int, search: Search = DEFAULT_SEARCH
) -> Iterator[Pairs]:
    """Yield all pairs of a row of `reference` (M, bytes), as first, and one of `queries` (N, bytes), as second.

    In blocks of ascending `second`, as `pairs_in_blocks`; memory likewise.
    """
    count, code_bits = len(reference), 8 * reference.shape[1]
    parts = plan(2 * count, code_bits, radius) if search.parts is None else search.parts  # it halves what grows
    indexes = [_index(part, code_bits) for part in parts]
    for part, index in zip(parts, indexes, strict=True):
        index.add(_turned(reference, part.start))
    for start in range(0, len(queries), search.block):
        rows = queries[start : start + search.block]
        step = _step(rows, parts, indexes, radius, search.most_answers)
        for at in range(0, len(rows), step):
            found = _search(rows[at : at + step], parts, indexes, radius)
            query, neighbour, distance = (np.concatenate(column) for column in zip(*found, strict=True))
            yield _once(query + start + at, neighbour, distance, count)


def _step(
    queries: NDArray[np.uint8],
    parts: Sequence[Part],
    indexes: Sequence[faiss.IndexBinary],
    radius: int,
    most_answers: int,
) -> int:
    """Return how many of the queries to ask at once, judging by what a sample of them is answered."""
    if len(queries) <= _SAMPLE:
        return len(queries)
    sample = queries[:: len(queries) // _SAMPLE]
    most = max(len(first) for _, first, _ in _search(sample, parts, indexes, radius))
    return max(1, min(len(queries), most_answers * len(sample) // max(most, 1)))


def _search(
    queries: NDArray[np.uint8], parts: Sequence[Part], indexes: Sequence[faiss.IndexBinary], radius: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]]:
    """Return, for each part, the positions of queries, of their neighbours, and their distances."""
    found = []
    for part, index in zip(parts, indexes, strict=True):
        # faiss returns distances strictly below its radius.
        limits, distance, neighbour = index.range_search(_turned(queries, part.start), radius + 1)
        found.append((np.repeat(np.arange(len(queries)), np.diff(limits).astype(np.int64)), neighbour, distance))
    return found


def _distinct(
    start: int, query: NDArray[np.int64], neighbour: NDArray[np.int64], distance: NDArray[np.int32], count: int
) -> Pairs:
    """Return the pairs of queries with what comes before them, each once: hashes may be near in several of their parts."""
    second = query + start
    before = neighbour < second
    return _once(second[before], neighbour[before], distance[before], count)


def _once(second: NDArray[np.int64], first: NDArray[np.int64], distance: NDArray[np.int32], count: int) -> Pairs:
    pair, once = np.unique(second * count + first, return_index=True)
    return Pairs(pair % count, pair // count, distance[once].astype(np.int64))


def _index(part: Part, code_bits: int) -> faiss.IndexBinary:
    if part.width == 0:
        return faiss.IndexBinaryFlat(code_bits)
    index = faiss.IndexBinaryHash(code_bits, part.width)
    index.nflip = part.flips
    return index


def _turned(codes: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    """Return the codes with their bits moved in a circle, so that bit `by` comes first, where faiss looks for its bucket."""
    if by == 0:
        return np.ascontiguousarray(codes)
    return np.packbits(np.roll(np.unpackbits(codes, axis=1, bitorder="little"), -by, axis=1), axis=1, bitorder="little")


def plan(count: int, code_bits: int, radius: int) -> Sequence[Part]:
    """Return the parts whose buckets to search; one of width 0 stands for comparing each hash with each.

    Multi-index hashing (Norouzi, Punjani and Fleet 2012): two hashes within the radius differ by few enough bits in at
    least one of several parts, and only buckets that near are searched. Whatever is planned, the pairs are the same.
    """
    plans = [cut(code_bits, number, radius) for number in range(2, _MOST_PARTS + 1)]
    best = min(plans, key=lambda parts: _cost(parts, count, code_bits))
    flat = (Part(0, 0, 0),)
    return min(flat, best, key=lambda parts: _cost(parts, count, code_bits))


def cut(code_bits: int, number: int, radius: int) -> tuple[Part, ...]:
    """Cut a code into parts of nearly the same width, and share out the bits by which near hashes may differ in them.

    When the flips add up to radius - number + 1, hashes that differ in more than that in every part differ in
    radius + 1 bits or more. A part with flips below 0 need not be searched.
    """
    width, wider = divmod(code_bits, number)
    flips, more = divmod(radius - number + 1, number)
    parts, start = [], 0
    for position in range(number):
        here = width + (position < wider)
        parts.append(Part(start, here, flips + (position >= number - more)))
        start += here
    return tuple(part for part in parts if part.flips >= 0)


def _cost(parts: Sequence[Part], count: int, code_bits: int) -> float:
    """Return about how many nanoseconds the search for one hash takes, when bits are random."""
    total = 0.0
    for part in parts:
        buckets = sum(comb(part.width, flips) for flips in range(part.flips + 1))
        compared = count / 2 / 2**part.width
        total += buckets * (_BUCKET_NS * (part.width > 0) + _COMPARE_NS * code_bits / 64 * compared)
    return total
