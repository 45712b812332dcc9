"""Groups of methods that cannot be told apart, as letters: two methods that share a letter may be equally good."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import NDArray


def letters(apart: NDArray[Any], order: Sequence[int]) -> list[str]:
    """Return each method's letters, such as `a`, `ab`, `b`: two share one exactly when they were not told apart.

    That methods cannot be told apart does not pass on from neighbour to neighbour, so that a method may be in several groups.
    H.-P. Piepho, "An algorithm for a letter-based representation of all-pairwise comparisons", Journal of Computational and
    Graphical Statistics 13 (2004), 456-466, states the two conditions. The letters are found as a cover of the pairs by
    cliques, greedily in the methods' order, then without those that others make superfluous: J. Gramm et al., "Algorithms for
    compact letter displays", Computational Statistics and Data Analysis 52 (2007), 725-736. It takes polynomial time, where
    Piepho's own way may split a group with every pair.

    Args:
        apart: (M, M) booleans, symmetric: whether two methods were told apart.
        order: the methods from the best to the worst; the letter `a` begins with the best.

    Raises:
        ValueError: `apart` is not (M, M) and symmetric, or `order` does not name each method once.
    """
    told = np.asarray(apart, bool)
    if told.ndim != 2 or told.shape[0] != told.shape[1] or not np.array_equal(told, told.T):
        raise ValueError(f"pairs have shape {told.shape}: must be (methods, methods) and symmetric")
    if sorted(order) != list(range(len(told))):
        raise ValueError("the order must name each method once")
    # From here on a method is its place in the order, and a set of methods is the bits of a number.
    places = range(len(told))
    near = [sum(1 << j for j in places if j != i and not told[order[i], order[j]]) for i in places]
    found = ["" for _ in places]
    for number, group in enumerate(_without_superfluous(_cover(near))):
        for place in places:
            if group >> place & 1:
                found[order[place]] += _letter(number)
    return found


def _letter(number: int) -> str:
    """Return a to z, then a1 to z1, a2 and so on: in a row of letters each begins with its letter."""
    rounds, letter = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[letter] + (str(rounds) if rounds else "")


def _cover(near: list[int]) -> list[int]:
    """Return groups of methods that are all near each other, so that every near pair is in one, and every method."""
    groups: list[int] = []
    open_pairs = list(near)
    for first in range(len(near)):
        alone = not near[first]
        while open_pairs[first] or alone:
            group = 1 << first
            both = near[first]
            second = open_pairs[first] & -open_pairs[first]
            while both:
                taken = second or both & -both
                second = 0
                group |= taken
                both &= near[taken.bit_length() - 1]
            groups.append(group)
            alone = False
            for place in _bits(group):
                open_pairs[place] &= ~group
    return groups


def _without_superfluous(groups: list[int]) -> list[int]:
    """Leave out groups all of whose pairs are in others, and sort the rest by their best members."""
    pairs = {group: list(combinations(_bits(group), 2)) for group in groups}
    together = Counter(pair for of_group in pairs.values() for pair in of_group)
    kept = []
    for group, mine in pairs.items():
        if mine and all(together[pair] > 1 for pair in mine):
            together.subtract(mine)
        else:
            kept.append(group)
    return sorted(kept, key=_bits)


def _bits(number: int) -> list[int]:
    return [place for place in range(number.bit_length()) if number >> place & 1]
