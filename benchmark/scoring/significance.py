"""Which method is better, and how sure that is: paired comparisons on the same test photos.

A method's answers are `right`: a boolean array (S, N), one row a seed and one column a photo. Two methods are compared photo
by photo, so that photos which are hard for all methods do not blur the difference between two.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, hypot
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.special import bdtr, stdtrit

from benchmark.scoring.metrics import wilson


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

    It never errs more often than stated, and less often where few photos differ: at 5 %, in simulations, 3.9 % of 375 photos
    of which 100 differ, 2.9 % where 31 do, 0.1 % where 2 or 3 do. `mcnemar_midp` is nearer to what is stated.

    Args:
        right_a, right_b: (N,) booleans.

    Raises:
        ValueError: the shapes differ or are not (N,), or there is no photo.
    """
    return sign_flip_test(*_of_one_seed(right_a, right_b))


def mcnemar_midp(right_a: NDArray[Any], right_b: NDArray[Any]) -> float:
    """Return the two-sided mid-p-value of McNemar's test: the exact one less half the probability of what was seen.

    Its false alarms are nearer to their stated rate than the exact test's, on average over all cases, but nothing keeps them
    below it. M. W. Fagerland, S. Lydersen, P. Laake, "The McNemar test for binary matched-pairs data: mid-p and asymptotic
    are better than exact conditional", BMC Medical Research Methodology 13 (2013), 91.

    Args and errors are those of `mcnemar`.
    """
    a, b = _of_one_seed(right_a, right_b)
    mine, theirs = int((a & ~b).sum()), int((b & ~a).sum())
    # Not by scipy.stats, whose import takes longer than a board's tests.
    seen = comb(mine + theirs, mine) / (1 << mine + theirs)  # the end of one of the two tails, or, of a draw, of both
    return sign_flip_test(a, b) - (seen / 2 if mine == theirs else seen)


def _of_one_seed(right_a: NDArray[Any], right_b: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"answers have shapes {a.shape} and {b.shape}: must be (photos,)")
    return a[None], b[None]


def sign_flip_test(right_a: NDArray[Any], right_b: NDArray[Any], units: NDArray[np.int64] | None = None) -> float:
    """Return the exact two-sided p-value of the hypothesis that two methods are equally good, over all their seeds.

    For each photo the difference is that of the shares of seeds that got it right. When the methods are equally good its
    sign is a coin's: the p-value is the probability that the sum of the differences with random signs is at least as far
    from zero as the one seen (Fisher's randomisation test, The Design of Experiments (1935), §21). Of one seed each it is
    McNemar's exact test. It holds for the seeds that were run; `bootstrap` takes their spread into account.

    Args:
        right_a, right_b: (S, N) and (T, N) booleans.
        units: (N,) equal for photos that stand or fall together, such as those of one place: then their sums get signs.
            -1 for photos by themselves.

    Raises:
        ValueError: the arrays are empty, or not of the same photos.
    """
    a, b = _checked(right_a, right_b)
    return _p_value(_by_unit(_differences(a, b), units)[0])


def _by_unit(
    differences: NDArray[np.int64], units: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sum of each unit's differences, and how many photos it has."""
    if units is None:
        return differences, np.ones(len(differences), np.int64)
    alone = units.max(initial=0) + 1 + np.arange(len(units))
    number = np.unique(np.where(units < 0, alone, units), return_inverse=True)[1]
    sums = np.zeros(int(number.max(initial=-1)) + 1, np.int64)
    np.add.at(sums, number, differences)
    return sums, np.bincount(number).astype(np.int64)


def _differences(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each photo's difference of the shares of seeds that got it right, in units of 1 / (S T): whole numbers."""
    differences: NDArray[np.int64] = a.sum(axis=0) * len(b) - b.sum(axis=0) * len(a)
    return differences


def _p_value(differences: NDArray[np.int64]) -> float:
    """Return the probability that Σ ±|d| is at least as far from 0 as Σ d; d in units in which they are whole numbers.

    With H the sum of those |d| whose sign is +, Σ ±|d| is 2 H - Σ |d|, and the characteristic function of H is the product of
    (1 + exp(i t |d|)) / 2 = exp(i t |d| / 2) cos(t |d| / 2). Its inverse Fourier transform is the whole distribution, to
    about 1e-14, in a 25th of the time that convolving the photos' coins takes (2,025 photos, 5 seeds:
    tests/performance/comparisons.py). Where all |d| are one, as with one seed each, H is a binomial.
    """
    units = np.abs(differences)
    step = np.gcd.reduce(units)
    if step == 0:
        return 1.0
    counts = np.bincount(units // step)[1:]
    sizes = np.flatnonzero(counts) + 1
    seen = abs(int(differences.sum())) // step
    if len(sizes) == 1:
        tail = bdtr((counts.sum() - seen // sizes[0]) // 2, int(counts.sum()), 0.5)
        return min(1.0, 2 * float(tail))
    reach = int((sizes * counts[sizes - 1]).sum())
    length = next_fast_len(reach + 1, real=True)
    turns = np.pi / length * np.arange(length // 2 + 1)
    wave = np.exp(-1j * reach * turns)
    for size in sizes.tolist():
        wave *= np.cos(size * turns) ** counts[size - 1]
    chances = np.fft.irfft(wave, length)[: reach + 1]
    sums = np.abs(2 * np.arange(reach + 1) - reach)
    p = chances[sums >= seen].sum()
    # The sum seen has at least the probability of its own signs and of their opposites.
    return float(np.clip(p, 2.0 ** (1 - int(counts.sum())), 1.0))


def bootstrap(
    right_a: NDArray[Any],
    right_b: NDArray[Any],
    samples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    units: NDArray[np.int64] | None = None,
) -> Difference:
    """Return accuracy of a minus accuracy of b with its percentile interval, over photos and seeds.

    Each sample draws N photos with replacement, the same for both methods (B. Efron, R. J. Tibshirani, An Introduction to the
    Bootstrap (1993), chapters 8 and 13). Averaged over the seeds, the photos bring their own variance and that of each seed's
    luck with single photos, but not that some seeds are better on all photos: this is estimated apart and added to each
    sample. Drawing seeds as well would count the luck with single photos thrice (A. B. Owen, "The pigeonhole bootstrap",
    Annals of Applied Statistics 1 (2007), 386-411).

    Of 95 % intervals 3 to 6 % missed the truth, in 3,000 simulations each of 375 photos and 3 or 5 seeds that differed not at
    all, a little or much; 5 % with one seed, up to 8 % with 2. With seeds drawn it was 0.1 % where they do not differ.
    With one seed of a method, what other seeds of it would do is not seen at all. With `units` whole units are drawn.

    Raises:
        ValueError: the arrays are empty, or not of the same photos.
    """
    a, b = _checked(right_a, right_b)
    rng = np.random.default_rng(seed)
    # Photos with the same difference are drawn together: their number is all that counts.
    sums = np.stack(_by_unit(_differences(a, b), units), axis=1)
    values, counts = np.unique(sums, axis=0, return_counts=True)
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), samples)
    means = drawn @ values[:, 0] / (len(a) * len(b) * (drawn @ values[:, 1]))
    differences = means + _seed_noise(a, b, samples, rng)
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Difference(float(a.mean() - b.mean()), float(low), float(high))


def _seed_noise(
    a: NDArray[np.int64], b: NDArray[np.int64], samples: int, rng: np.random.Generator
) -> NDArray[np.float64] | float:
    """Return by how much other seeds would have moved the difference of the means, in `samples` draws.

    The variance is what the seeds' means vary beyond the luck with single photos, in both methods together: the mean squares
    of seeds and of the remainder in a two-way table (S. R. Searle, G. Casella, C. E. McCulloch, Variance Components (1992),
    section 4.3). That few seeds tell it is in Student's t, with the degrees of freedom of B. L. Welch, "The generalization of
    'Student's' problem when several different population variances are involved", Biometrika 34 (1947), 28-35.
    """
    tables = [table for table in (a, b) if len(table) > 1 and table.shape[1] > 1]
    parts = [_mean_squares(table) for table in tables]
    variance = sum(seeds - remainder for seeds, remainder in parts)
    if variance <= 0:
        return 0.0
    freedom = sum(seeds for seeds, _ in parts) ** 2 / sum(
        seeds**2 / (len(table) - 1) for table, (seeds, _) in zip(tables, parts, strict=True)
    )
    # Even steps through the distribution in random order: its tails, which few samples see, are there as often as is right.
    steps = stdtrit(freedom, (np.arange(samples) + 0.5) / samples)
    noise: NDArray[np.float64] = np.sqrt(variance) * rng.permutation(steps)
    return noise


def _mean_squares(right: NDArray[np.int64]) -> tuple[float, float]:
    """Return the mean squares of seeds and of the remainder of (S, N), each over S N: their shares of the mean's variance."""
    seeds, photos = right.shape
    by_seed, by_photo = right.mean(axis=1), right.mean(axis=0)
    remainder = right - by_seed[:, None] - by_photo + right.mean()
    return (
        float(((by_seed - right.mean()) ** 2).sum() / (seeds - 1) / seeds),
        float((remainder**2).sum() / ((seeds - 1) * (photos - 1)) / (seeds * photos)),
    )


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


def significantly_different(
    right: list[NDArray[Any]], alpha: float = 0.05, units: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Return which methods are told apart, (M, M) and symmetric: their corrected p-value is below `alpha`.

    Each pair is compared by the sign-flip test, and all pairs together are corrected by Holm.

    Args:
        right: for each method (S, N); all of the same N photos.
        alpha: probability of telling any two equal methods apart.
        units: (N,) photos that stand or fall together, see `sign_flip_test`.

    Raises:
        ValueError: the arrays are empty, or not of the same photos.
    """
    apart = np.zeros((len(right), len(right)), bool)
    pairs = [(i, j) for i in range(len(right)) for j in range(i)]
    corrected = holm(np.array([sign_flip_test(right[i], right[j], units) for i, j in pairs]))
    for (i, j), p in zip(pairs, corrected, strict=True):
        apart[i, j] = apart[j, i] = p < alpha
    return apart


def rank_ranges(
    right: list[NDArray[Any]], alpha: float = 0.05, units: NDArray[np.int64] | None = None
) -> list[tuple[int, int]]:
    """Return the best and the worst rank that each method can have, 1 for the best: (1, 3) means that it shares the top.

    Args and errors are those of `significantly_different`.
    """
    return ranges(significantly_different(right, alpha, units), [float(answers.mean()) for answers in right])


def ranges(apart: NDArray[np.bool_], means: Sequence[float]) -> list[tuple[int, int]]:
    """Return `rank_ranges` of methods with these shares of right answers, (M,), where it is known which are told apart."""
    shares = np.asarray(means, np.float64)
    better = (apart & (shares[None] > shares[:, None])).sum(axis=1)
    worse = (apart & (shares[None] < shares[:, None])).sum(axis=1)
    return [(1 + int(above), len(shares) - int(below)) for above, below in zip(better, worse, strict=True)]


def indistinguishable_groups(
    right: list[NDArray[Any]], alpha: float = 0.05, units: NDArray[np.int64] | None = None
) -> list[str]:
    """Return the letters of each method's groups, `a` beginning with the most accurate: see `letters`.

    Two methods share a letter exactly when they are not told apart. Args and errors are those of `significantly_different`.
    """
    means = [float(answers.mean()) for answers in right]
    return letters(
        significantly_different(right, alpha, units), sorted(range(len(right)), key=lambda index: -means[index])
    )


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
    different = np.asarray(apart, bool)
    if different.ndim != 2 or different.shape[0] != different.shape[1] or not np.array_equal(different, different.T):
        raise ValueError(f"pairs have shape {different.shape}: must be (methods, methods) and symmetric")
    if sorted(order) != list(range(len(different))):
        raise ValueError("the order must name each method once")
    # From here on a method is its place in the order, and a set of methods is the bits of a number.
    places = range(len(different))
    near = [sum(1 << j for j in places if j != i and not different[order[i], order[j]]) for i in places]
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


def unpaired(accuracy_a: float, photos_a: int, accuracy_b: float, photos_b: int) -> Difference:
    """Return accuracy a minus accuracy b with its 95 % interval, for different photos.

    With d the difference and (l, u) the two Wilson intervals:

        d - √((a - l_a)² + (u_b - b)²) to d + √((u_a - a)² + (b - l_b)²)

    R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven methods",
    Statistics in Medicine 17 (1998), 873-890, method 10. Where the two share photos it is too wide rather than too narrow.

    Raises:
        ValueError: an accuracy is not from 0 to 1, or a number of photos is below 1.
    """
    low_a, high_a = wilson(accuracy_a * photos_a, photos_a)
    low_b, high_b = wilson(accuracy_b * photos_b, photos_b)
    mean = accuracy_a - accuracy_b
    below = hypot(accuracy_a - low_a, high_b - accuracy_b)
    above = hypot(high_a - accuracy_a, accuracy_b - low_b)
    return Difference(mean, mean - below, mean + above)


def _checked(right_a: NDArray[Any], right_b: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    a, b = np.asarray(right_a, bool).astype(np.int64), np.asarray(right_b, bool).astype(np.int64)
    if a.ndim != 2 or b.ndim != 2 or 0 in a.shape or 0 in b.shape or a.shape[1] != b.shape[1]:
        raise ValueError(f"answers have shapes {a.shape} and {b.shape}: must be (seeds, photos) of the same photos")
    return a, b
