"""All pairs of binary hashes within a Hamming radius, by parts that are searched side by side, on the nodes of a cluster.

The hashes are cut into blocks. A pair lies in one block or in two, so that a task for each two blocks, and one for each block
with itself, finds each pair exactly once; each candidate is verified whole (`hamming`). The pairs are those of one machine.
With N hashes and B of a block there are N/B (N/B + 1) / 2 tasks, each of about the time of B queries in an index of B. A node
fetches each block once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from collector.curating.hamming import Pairs, pairs_between, pairs_in_blocks
from collector.executors.local import Work, map_in_order

BLOCK = 1 << 20
"""Hashes of a block: at 16 bytes each 16 MiB, and their index in a task about 400."""

Bits = NDArray[np.uint8]
Block = Callable[[], Bits]


def pairs_in_partitions(
    bits: Bits, radius: int, seen_as: Bits | None, work: Work, block: int = BLOCK
) -> Iterator[Pairs]:
    """Yield what `hamming.pairs_in_blocks` yields, in blocks of `block`; the searches are done by `work`."""
    starts = range(0, len(bits), block)
    blocks = [work.share(bits[start : start + block]) for start in starts]
    seen = blocks if seen_as is None else [work.share(seen_as[start : start + block]) for start in starts]
    both = [(first, second) for second in range(len(blocks)) for first in range(second + 1)]
    found = map_in_order(partial(_between, blocks, seen, radius, block), both, at_once=1, work=work)
    waiting: list[Pairs] = []
    for (first, second), pairs in zip(both, found, strict=True):
        waiting.append(pairs)
        if first == second:
            yield _joined(waiting)
            waiting = []


def pairs_across_partitions(
    reference: Bits, queries: Bits, radius: int, work: Work, block: int = BLOCK
) -> Iterator[Pairs]:
    """Yield what `hamming.pairs_between` yields, for each two blocks; the searches are done by `work`."""
    theirs, ours = (
        [work.share(bits[start : start + block]) for start in range(0, len(bits), block)]
        for bits in (reference, queries)
    )
    both = list(product(range(len(theirs)), range(len(ours))))
    yield from map_in_order(partial(_across, theirs, ours, radius, block), both, at_once=1, work=work)


def _between(blocks: Sequence[Block], seen: Sequence[Block], radius: int, block: int, both: tuple[int, int]) -> Pairs:
    """Return the pairs of two blocks, or of one, by their positions in all hashes."""
    first, second = both
    if first != second:
        return _across(blocks, seen, radius, block, both)
    return _moved(pairs_in_blocks(blocks[first](), radius, seen[second]()), block, both)


def _across(theirs: Sequence[Block], ours: Sequence[Block], radius: int, block: int, both: tuple[int, int]) -> Pairs:
    first, second = both
    return _moved(pairs_between(theirs[first](), ours[second](), radius), block, both)


def _moved(found: Iterable[Pairs], block: int, both: tuple[int, int]) -> Pairs:
    pairs = _joined(list(found))
    return Pairs(pairs.first + both[0] * block, pairs.second + both[1] * block, pairs.distance)


def _joined(pairs: Sequence[Pairs]) -> Pairs:
    nothing = np.empty(0, np.int64)
    columns = [(of.first, of.second, of.distance) for of in pairs]
    return Pairs(*(np.concatenate([nothing, *column]) for column in zip(*columns, strict=True)))
