"""Subset sums by bit sets: which of a city's groups add up to its quotas, to the photo.

A set of reachable sums is one Python integer, a bit for each sum (or for each tuple of sums, in mixed radix): adding a group
is a shift and an or, at 64 sums a machine word.
"""

from collections.abc import Sequence
from math import prod

MOST_BITS = 1_600_000_000
"""Bits of remembered states: 200 MB. Larger problems are left to integer programming."""


def subset(sizes: Sequence[int], target: int) -> list[int] | None:
    """Return positions, ascending, of sizes (each at least 1) that add up to `target`; None where none do.

    The earlier of two choices is taken: all that fit one after the other if that comes out even. None is also returned where
    the search would need more than MOST_BITS.
    """
    chosen, missing = [], target
    for position, size in enumerate(sizes):
        if size <= missing:
            chosen.append(position)
            missing -= size
    if not missing:
        return chosen
    if sum(sizes) < target or len(sizes) * target > MOST_BITS:
        return None
    states, mask = [1], (1 << (target + 1)) - 1
    for size in sizes:
        states.append((states[-1] | states[-1] << size) & mask)
    if not states[-1] >> target & 1:
        return None
    chosen, missing = [], target
    for position in range(len(sizes) - 1, -1, -1):
        if not states[position] >> missing & 1:  # not reached without it
            chosen.append(position)
            missing -= sizes[position]
    return chosen[::-1]


def fits(sizes: Sequence[int], bins: Sequence[int]) -> bool:
    """Whether `assign` can decide a problem of this size."""
    capacities = [*bins, sum(sizes) - sum(bins)]
    return prod(capacity + 1 for capacity in capacities) // (max(capacities) + 1) * len(sizes) <= MOST_BITS


def assign(sizes: Sequence[int], only: Sequence[int | None], bins: Sequence[int]) -> list[int | None] | None:
    """Return a bin for each size, None for left out, such that each bin is filled exactly; None where that is impossible.

    Args:
        sizes: at least 1 each.
        only: the one bin that a size may go into, None for any.
        bins: what each has to add up to; together at most as much as the sizes, and `fits`.
    """
    # What is left out fills a bin too. The largest bin need not be watched: it gets what the others do not.
    capacities = [*bins, sum(sizes) - sum(bins)]
    unwatched = max(range(len(capacities)), key=lambda of: capacities[of])
    box = _Box([0 if of == unwatched else capacity for of, capacity in enumerate(capacities)])
    out = len(bins)
    options = [[of for of in range(len(capacities)) if of == out or one in (None, of)] for one in only]
    states = [1]
    for size, allowed in zip(sizes, options, strict=True):
        states.append(_added(box, states[-1], size, [of for of in allowed if of != unwatched], unwatched in allowed))
    place = sum(capacity * box.strides[of] for of, capacity in enumerate(capacities) if of != unwatched)
    if not states[-1] >> place & 1:
        return None
    found: list[int | None] = []
    for size, allowed, state in zip(reversed(sizes), reversed(options), reversed(states[:-1]), strict=True):
        # Late ones are left out first.
        for of in sorted(allowed, reverse=True):
            before = place if of == unwatched else place - size * box.strides[of]
            inside = of == unwatched or box.coordinate(place, of) >= size
            if inside and state >> before & 1:
                place = before
                found.append(None if of == out else of)
                break
    return found[::-1]


def reachable(sizes: Sequence[int], only: Sequence[int | None], start: Sequence[int], box: Sequence[int]) -> int:
    """Return the tuples of sums that the bins can have, as a bit set over `range(box[0] + 1) x range(box[1] + 1) x …`.

    The first bin varies fastest. `start` is what the bins hold already; any size may be left out.
    """
    space = _Box(box)
    if any(held > most for held, most in zip(start, box, strict=True)):
        return 0
    state = 1 << sum(held * stride for held, stride in zip(start, space.strides, strict=True))
    for size, one in zip(sizes, only, strict=True):
        state = _added(space, state, size, [of for of in range(len(box)) if one in (None, of)], stays=True)
    return state


class _Box:
    """Tuples of sums from 0 to a capacity each, numbered in mixed radix."""

    def __init__(self, capacities: Sequence[int]) -> None:
        self.capacities = capacities
        self.strides = [prod(capacity + 1 for capacity in capacities[:of]) for of in range(len(capacities))]
        self.bits = prod(capacity + 1 for capacity in capacities)
        self._masks: dict[tuple[int, int], int] = {}

    def coordinate(self, place: int, of: int) -> int:
        return place // self.strides[of] % (self.capacities[of] + 1)

    def with_room(self, of: int, size: int) -> int:
        """Return the set of tuples whose sum `of` can grow by `size`."""
        if (of, size) not in self._masks:
            block = self.strides[of] * (self.capacities[of] + 1)
            mask = (1 << max(0, self.capacities[of] - size + 1) * self.strides[of]) - 1
            while block < self.bits:  # repeated, in doubling lengths
                mask |= mask << block
                block *= 2
            self._masks[of, size] = mask & ((1 << self.bits) - 1)
        return self._masks[of, size]


def _added(box: _Box, state: int, size: int, bins: Sequence[int], stays: bool) -> int:
    added = state if stays else 0
    for of in bins:
        added |= (state & box.with_room(of, size)) << size * box.strides[of]
    return added
