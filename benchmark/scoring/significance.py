"""Which method is better, and how sure that is: paired comparisons on the same test photos.

A method's answers are `right`: a boolean array (S, N), one row a seed and one column a photo. Two methods are compared photo
by photo, so that photos which are hard for all methods do not blur the difference between two.
"""

from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Difference:
    """How much the accuracy of one method exceeds another's: the mean, and an interval that covers it."""

    mean: float
    low: float
    high: float


def mcnemar(right_a: NDArray[Any], right_b: NDArray[Any]) -> float:
    """Return the two-sided p-value of McNemar's exact test for two classifiers on the same photos.

    Of the photos that exactly one of the two gets right, each is as likely to be the one's as the other's when they are
    equally good: a binomial with probability 1/2. Q. McNemar, "Note on the sampling error of the difference between
    correlated proportions or percentages", Psychometrika 12 (1947), 153-157; exact as in Edwards (1948).

    Args:
        right_a, right_b: (N,) booleans.

    Raises:
        ValueError: the shapes differ or are not (N,).
    """
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.ndim != 1:
        raise ValueError(f"answers have shape {a.shape}: must be (photos,)")
    return sign_flip_test(a[None], b[None])


def sign_flip_test(right_a: NDArray[Any], right_b: NDArray[Any]) -> float:
    """Return the exact two-sided p-value of the hypothesis that two methods are equally good, over all their seeds.

    For each photo the difference is that of the shares of seeds that got it right. When the methods are equally good its
    sign is a coin's: the p-value is the probability that the sum of the differences with random signs is at least as far
    from zero as the one seen (Fisher's randomisation test, The Design of Experiments (1935), §21). Of one seed each it is
    McNemar's exact test. It holds for the seeds that were run; `bootstrap` takes their spread into account.

    Args:
        right_a, right_b: (S, N) and (T, N) booleans.

    Raises:
        ValueError: the arrays are empty, or not of the same photos.
    """
    a, b = _checked(right_a, right_b)
    # In units of 1 / (S T) the differences are whole numbers, so the distribution of their signed sum is exact.
    units = np.abs(a.sum(axis=0) * len(b) - b.sum(axis=0) * len(a))
    seen = abs(int((a.sum(axis=0) * len(b) - b.sum(axis=0) * len(a)).sum()))
    sizes, counts = np.unique(units[units > 0], return_counts=True)
    reach = int((sizes * counts).sum())
    chances = np.ones(1)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        steps = np.zeros(2 * size * count + 1)
        steps[:: 2 * size] = [comb(count, heads) / 2**count for heads in range(count + 1)]
        chances = np.convolve(chances, steps)
    sums = np.arange(-reach, reach + 1)
    return float(min(1.0, chances[np.abs(sums) >= seen].sum()))


def bootstrap(
    right_a: NDArray[Any], right_b: NDArray[Any], samples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Difference:
    """Return accuracy of a minus accuracy of b with its percentile interval, over photos and seeds.

    Each sample draws N photos with replacement, the same for both methods, and as many seeds of each as it has. B. Efron,
    R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 and 13. With few seeds their spread is
    underestimated (by (S - 1) / S in variance); with one it is not seen at all.

    Raises:
        ValueError: the arrays are empty, or not of the same photos.
    """
    a, b = _checked(right_a, right_b)
    rng = np.random.default_rng(seed)
    photos = a.shape[1]
    drawn = rng.multinomial(photos, np.full(photos, 1 / photos), samples) / photos
    differences = _means(a, drawn, rng) - _means(b, drawn, rng)
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Difference(float(a.mean() - b.mean()), float(low), float(high))


def _means(right: NDArray[np.int64], drawn: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    seeds = len(right)
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), len(drawn)) / seeds
    means: NDArray[np.float64] = ((drawn @ right.T) * weights).sum(axis=1)
    return means


def holm(p_values: NDArray[Any]) -> NDArray[np.float64]:
    """Return p-values corrected for their number: rejecting those below α errs at all with probability at most α.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979), 65-70.

    Args:
        p_values: (M,), 0 to 1.
    """
    values = np.asarray(p_values, float)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def rank_ranges(right: list[NDArray[Any]], alpha: float = 0.05) -> list[tuple[int, int]]:
    """Return the best and the worst rank that each method can have, 1 for the best: (1, 3) means that it shares the top.

    A method is told apart from another when their sign-flip test, corrected by Holm over all pairs, is below `alpha`.

    Args:
        right: for each method (S, N); all of the same N photos.
        alpha: probability of telling any two equal methods apart.
    """
    pairs = [(i, j) for i in range(len(right)) for j in range(i)]
    corrected = holm(np.array([sign_flip_test(right[i], right[j]) for i, j in pairs]))
    better = [0] * len(right)
    worse = [0] * len(right)
    for (i, j), p in zip(pairs, corrected, strict=True):
        if p < alpha:
            first, second = (i, j) if right[i].mean() > right[j].mean() else (j, i)
            worse[first] += 1
            better[second] += 1
    return [(1 + above, len(right) - below) for above, below in zip(better, worse, strict=True)]


def _checked(right_a: NDArray[Any], right_b: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    a, b = np.asarray(right_a, bool).astype(np.int64), np.asarray(right_b, bool).astype(np.int64)
    if a.ndim != 2 or b.ndim != 2 or 0 in a.shape or 0 in b.shape or a.shape[1] != b.shape[1]:
        raise ValueError(f"answers have shapes {a.shape} and {b.shape}: must be (seeds, photos) of the same photos")
    return a, b
