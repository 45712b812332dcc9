"""Which pairs of looks may show one picture, by their hashes: certain pairs, and doubtful ones that need a closer look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.curating.hamming import Pairs, as_bits, pairs_in_blocks

DHASH_SLACK = 6
"""dHash is more easily changed by crops than pHash: its distance may be this much larger than the radius."""

_MOST_DOUBTS = 16
"""A photo is looked at beside this many of those that are preferred to it, the nearest: it bounds the work of a closer look
by the number of photos."""

# The columns of pHash are frequencies across the picture, 0 to 7: in a mirror the odd ones change their sign.
_ODD_COLUMNS = np.uint8(0b01010101)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair of positions, the distances of its hashes, and whether the second was seen in a mirror."""

    first: int
    second: int
    phash: int
    dhash: int
    mirrored: bool


def agree(phash: int, dhash: int, radius: int) -> bool:
    """Return whether hashes alone, at these distances, say that two photos show one picture."""
    return phash <= radius and dhash <= radius + DHASH_SLACK


def is_certain(candidate: Candidate, radius: int) -> bool:
    """Return whether hashes are so near that no closer look is needed: together within the radius that one may have."""
    return not candidate.mirrored and candidate.phash + candidate.dhash <= radius


def candidates(phashes: Sequence[str], dhashes: Sequence[str], radius: int, *, doubtful: bool) -> Iterator[Candidate]:
    """Yield pairs of positions whose hashes are near, by the second one and the distance; the earlier is the preferred one.

    Without `doubtful` those that `agree`. With it also what may be a crop, a captioned or a mirrored copy: hashes that
    differ in at most 4.5 times the radius of their 128 bits together, for each photo the 16 nearest.
    """
    phash, dhash = as_bits(list(phashes)), as_bits(list(dhashes))
    both = np.hstack((phash, dhash))
    by_hashes = 2 * radius + DHASH_SLACK
    reach = max(_reach(radius), by_hashes) if doubtful else by_hashes
    for mirrored in (False, True) if doubtful and radius else (False,):
        seen = np.hstack((mirrored_phash(phash), mirrored_dhash(dhash))) if mirrored else both
        for pairs in pairs_in_blocks(both, min(reach, 128), seen):
            yield from _chosen(pairs, phash, seen[:, :8], radius, doubtful=doubtful, mirrored=mirrored)


def _reach(radius: int) -> int:
    return radius * 9 // 2


def _chosen(
    pairs: Pairs, phash: NDArray[np.uint8], seen: NDArray[np.uint8], radius: int, *, doubtful: bool, mirrored: bool
) -> Iterator[Candidate]:
    apart = np.bitwise_count(phash[pairs.first] ^ seen[pairs.second]).sum(axis=1, dtype=np.int64)
    order = np.lexsort((pairs.first, pairs.distance, pairs.second))
    second = pairs.second[order]
    starts = np.flatnonzero(np.diff(second, prepend=-1))
    rank = np.arange(len(second)) - np.repeat(starts, np.diff(np.append(starts, len(second))))
    for at, place in zip(order.tolist(), rank.tolist(), strict=True):
        p, both = int(apart[at]), int(pairs.distance[at])
        if (doubtful and both <= _reach(radius) and place < _MOST_DOUBTS) or (
            not mirrored and agree(p, both - p, radius)
        ):
            yield Candidate(int(pairs.first[at]), int(pairs.second[at]), p, both - p, mirrored)


def mirrored_phash(phash: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return about the pHashes (N, 8) of the mirrored pictures: exact but for frequencies next to the median."""
    return phash ^ _ODD_COLUMNS


def mirrored_dhash(dhash: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return about the dHashes (N, 8) of the mirrored pictures: exact but for neighbours of equal grey."""
    bits = np.unpackbits(dhash, axis=1).reshape(len(dhash), 8, 8)
    return np.packbits(1 - bits[:, :, ::-1], axis=2).reshape(len(dhash), 8)
