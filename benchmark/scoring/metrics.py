"""How often answers are right and how far off they are, from the answers and the truth alone.

Everywhere `answers` is either (N, C) probabilities, one row a photo and one column a class, or (N,) indices of the answered
classes; `labels` is (N,) with the index of the true class, 0 to C - 1. A row of NaN, or the index -1, is a withheld answer:
it counts as wrong. Scores are fractions from 0 to 1. Where two classes are equally probable the first wins, so that a score
does not depend on how a sort breaks ties.

Distances are great circles on a sphere of R = 6371.0088 km (`collector.geo`), (N,) in km: NaN for a photo whose place is
unknown, which counts in no score here; infinite for a withheld answer, which is as wrong as can be.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.classifiers.probabilities import checked
from collector.geo import EARTH_RADIUS_KM, distances_km

WITHHELD = -1
"""The label of an answer that was withheld."""


def checked_answers(answers: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the answered classes (N,), -1 where withheld, and the labels (N,), both as int64.

    Raises:
        ValueError: the arrays are empty, do not fit each other, or hold unknown labels or rows that are NaN in part.
    """
    scores = np.asarray(answers)
    if scores.ndim == 2:
        scores, truth = checked(scores, labels)
        withheld = np.isnan(scores[:, 0])
        return np.where(withheld, WITHHELD, np.where(withheld[:, None], 0, scores).argmax(axis=1)), truth
    truth = np.asarray(labels)
    if scores.ndim != 1 or truth.shape != scores.shape or not len(scores):
        raise ValueError(f"answers have shape {scores.shape} and labels {truth.shape}: must be one for each photo")
    for name, values in (("answers", scores), ("labels", truth)):
        if not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} are {values.dtype}: must be integers, the indices of the classes")
    if scores.min() < WITHHELD or truth.min() < 0:
        raise ValueError("answers must be -1 or more, labels 0 or more")
    return scores.astype(np.int64), truth.astype(np.int64)


def accuracy(answers: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of photos whose answer, or most probable class, is the true one.

    Raises:
        ValueError: the arrays are empty, do not fit each other, or hold unknown labels or rows that are NaN in part.
    """
    answered, truth = checked_answers(answers, labels)
    return float(np.mean(answered == truth))


def top_k_accuracy(probabilities: NDArray[Any], labels: NDArray[Any], k: int) -> float:
    """Return the share of photos whose true class is among the `k` most probable ones.

    Raises:
        ValueError: as for `accuracy`, or `k` is not from 1 to C.
    """
    return float(np.mean(in_top_k(probabilities, labels, k)))


def in_top_k(probabilities: NDArray[Any], labels: NDArray[Any], k: int) -> NDArray[np.bool_]:
    """Return of which photos the true class is among the `k` most probable ones, (N,); errors as `top_k_accuracy`."""
    scores, truth = checked(probabilities, labels)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k is {k}: must be from 1 to the number of classes, {scores.shape[1]}")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.asarray((best == truth[:, None]).any(axis=1) & ~np.isnan(scores[:, 0]), np.bool_)


def worth(values: NDArray[Any], groups: NDArray[Any] | None) -> float:
    """Return how many photos that stand alone would tell a mean as exactly as these N of G groups: N over the design effect.

    The design effect is the variance of the mean with whole groups drawn, G / (G - 1) · Σ_g (Σ_(i in g) (yᵢ - ȳ))² / N², over
    that with photos drawn, N / (N - 1) · Σ (yᵢ - ȳ)² / N², and at least 1 (L. Kish, Survey Sampling, 1965, section 5.4).
    Where all values are equal nothing tells how alike those of a group are, and each group counts once. Without groups
    it is N.

    Args:
        values: (N,), such as 1 for a right answer and 0 for a wrong one.
        groups: (N,), equal for photos that belong together.
    """
    each = np.asarray(values, np.float64)
    if groups is None or len(each) < 2:
        return float(len(each))
    codes = np.unique(groups, return_inverse=True)[1]
    count, apart = int(codes.max()) + 1, each - each.mean()
    alone = len(each) / (len(each) - 1) * float(np.square(apart).sum())
    if count == 1 or alone <= 1e-12 * len(each):
        return float(count)
    together = count / (count - 1) * float(np.square(np.bincount(codes, apart)).sum())
    return max(1.0, len(each) / max(1.0, together / alone))


def wilson(correct: float, total: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, without continuity correction, as (low, high) in [0, 1].

    With p = correct / total, n = total and z the normal quantile of (1 + confidence) / 2:

        (p + z² / 2n ± z √(p (1 - p) / n + z² / 4n²)) / (1 + z² / n)

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.

    Args:
        correct: number of successes, 0 to `total`; may be fractional: the mean over seeds.
        total: number of trials, at least 1; fractional where they are not independent (`worth`).
        confidence: probability that the interval is to cover, between 0 and 1, both excluded.

    Raises:
        ValueError: an argument is out of its range.
    """
    if total < 1:
        raise ValueError(f"total is {total}: must be at least 1")
    if not 0 <= correct <= total:
        raise ValueError(f"correct is {correct}: must be from 0 to total, {total}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: must be between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = correct / total
    centre = p + z * z / (2 * total)
    reach = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # Rounding may leave the exact bounds at p = 0 and p = 1 by one unit in the last place.
    return max(0.0, min(p, (centre - reach) / scale)), min(1.0, max(p, (centre + reach) / scale))


def confusion(answers: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Return how often each class was taken for each: (C, C) counts, true classes down, answered ones across.

    Withheld answers are in no column: a row's sum falls short by them.

    Raises:
        ValueError: as for `accuracy`, or an answer or a label is not among `classes`.
    """
    answered, truth = checked_answers(answers, labels)
    columns = _columns(answers)
    if columns not in (0, classes) or max(answered.max(), truth.max()) >= classes:
        raise ValueError(f"answers have shape {np.shape(answers)}: must be of {classes} classes")
    given = answered != WITHHELD
    pairs = truth[given] * classes + answered[given]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def accuracy_per_class(answers: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of each class's photos that were recognised (its recall): (C,), NaN for a class without photos.

    Raises:
        ValueError: as for `accuracy`.
    """
    answered, truth = checked_answers(answers, labels)
    classes = _columns(answers) or int(max(answered.max(), truth.max())) + 1
    photos = np.bincount(truth, minlength=classes)
    shares = np.full(classes, np.nan)
    np.divide(np.bincount(truth[answered == truth], minlength=classes), photos, out=shares, where=photos > 0)
    return shares


def macro_f1(answers: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the unweighted mean of the classes' F1 = 2 TP / (2 TP + FP + FN).

    The mean is over the classes that are true or answered at least once, as scikit-learn's `f1_score(average="macro",
    zero_division=0)` takes it: of any other class nothing is known.

    Raises:
        ValueError: as for `accuracy`.
    """
    answered, truth = checked_answers(answers, labels)
    classes = int(max(answered.max(), truth.max())) + 1
    right = np.bincount(truth[answered == truth], minlength=classes)
    mentioned = np.bincount(truth, minlength=classes) + np.bincount(answered[answered >= 0], minlength=classes)
    seen = mentioned > 0  # 2 TP + FP + FN
    return float(np.mean(2 * right[seen] / mentioned[seen]))


def _columns(answers: NDArray[Any]) -> int:
    shape = np.shape(answers)
    return shape[1] if len(shape) == 2 else 0


LEVELS_KM = (1, 25, 200, 750, 2500)
"""The field's levels: street, city, region, country, continent. N. Vo, N. Jacobs, J. Hays, "Revisiting IM2GPS in the deep
learning era", ICCV 2017."""

CONVENTION = (
    f"Distances are great circles on a sphere of R = {EARTH_RADIUS_KM} km; a level of x km holds answers ≤ x km off."
)
"""What every table of distances says, since five conventions are in use."""

WORLD_SCALE_KM = 1492.7
"""The scale of GeoGuessr's map of the world (see `geoscore`)."""


def errors_km(answers: NDArray[Any], places: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far each answered place is from where the photo was taken: (N,) km.

    Args:
        answers: (N, 2), latitude and longitude in degrees, NaN where the answer was withheld.
        places: (N, 2), NaN where unknown.

    Raises:
        ValueError: the shapes are not (N, 2).
    """
    answered, taken = np.asarray(answers, np.float64), np.asarray(places, np.float64)
    if answered.ndim != 2 or answered.shape[1] != 2 or taken.shape != answered.shape:
        raise ValueError(f"answers have shape {answered.shape} and places {taken.shape}: must be (photos, 2)")
    km = distances_km(answered[:, 0], answered[:, 1], taken[:, 0], taken[:, 1])
    withheld = np.isnan(answered).any(axis=1) & ~np.isnan(taken).any(axis=1)
    return np.where(withheld, np.inf, km)


def share_within(km: NDArray[Any], radius: float) -> float:
    """Return the share of the known distances that are at most `radius` km; NaN where none is known."""
    known = known_km(km)
    return float(np.mean(known <= radius)) if len(known) else float("nan")


def geoscore(km: NDArray[Any], scale_km: float = WORLD_SCALE_KM) -> float:
    """Return the mean of 5000 exp(-km / scale) over the known distances, 0 to 5000; NaN where none is known.

    The points of the game GeoGuessr on its map of the world, as G. Astruc et al. take them, "OpenStreetView-5M: the many
    roads to global visual geolocation", CVPR 2024, section 4.1. Within one country nearly every answer scores high.

    Raises:
        ValueError: the scale is not above 0.
    """
    if not scale_km > 0:
        raise ValueError(f"scale_km is {scale_km}: must be above 0")
    known = known_km(km)
    return float(5000 * np.exp(-known / scale_km).mean()) if len(known) else float("nan")


def median_km(km: NDArray[Any]) -> float:
    """Return the median of the known distances; infinite where half of the answers or more were withheld."""
    known = np.sort(known_km(km))
    # Not numpy's median, which makes NaN of two infinite neighbours.
    return float((known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2) if len(known) else float("nan")


def mean_km(km: NDArray[Any]) -> float:
    """Return the mean of the known distances; infinite where an answer was withheld."""
    known = known_km(km)
    return float(known.mean()) if len(known) else float("nan")


def median_interval(
    km: NDArray[Any],
    samples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    groups: NDArray[Any] | None = None,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the median over photos, all seeds of a drawn photo with it.

    B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. NaN twice where no distance is known.

    Args:
        km: (S, N), one row a seed.
        groups: (N,) equal for photos that belong together, which are drawn together; None where each stands alone.
        samples: how often N photos are drawn with replacement.
        seed: of the draws.
        confidence: probability that the interval is to cover.
    """
    distances = np.asarray(km, np.float64)
    known = ~np.isnan(distances).any(axis=0)
    distances = distances[:, known]
    seeds, photos = distances.shape
    if not photos:
        return float("nan"), float("nan")
    codes = np.arange(photos) if groups is None else np.unique(np.asarray(groups)[known], return_inverse=True)[1]
    units = int(codes.max()) + 1
    order = np.argsort(distances, axis=None, kind="stable")
    ordered, unit = distances.ravel()[order], codes[order % photos]
    rng = np.random.default_rng(seed)
    medians = []
    at_once = max(1, min(samples, 500_000 // (seeds * photos)))
    for first in range(0, samples, at_once):
        rows = min(at_once, samples - first)
        drawn = rng.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.int32)
        # How many drawn distances are at most the k-th smallest of all.
        upto = counts[:, unit].cumsum(axis=1, dtype=np.int32)
        low, high = (upto[:, -1:] - 1) // 2, upto[:, -1:] // 2
        medians += [(ordered[(upto <= low).sum(axis=1)] + ordered[(upto <= high).sum(axis=1)]) / 2]
    every = np.sort(np.concatenate(medians))
    tail = (1 - confidence) / 2
    return float(every[int(tail * (samples - 1))]), float(every[int(np.ceil((1 - tail) * (samples - 1)))])


def average_precision(relevant: NDArray[Any], scores: NDArray[Any]) -> float:
    """Return Σ (R_n - R_(n-1)) P_n over the thresholds: the mean precision at each step of recall, scikit-learn's formula.

    Args:
        relevant: (N,) booleans, at least one of them true.
        scores: (N,), larger for what is called relevant first; equal ones are called together.

    Raises:
        ValueError: nothing is relevant.
    """
    truth, given = np.asarray(relevant, bool), np.asarray(scores, np.float64)
    if not truth.any():
        raise ValueError("nothing is relevant")
    order = np.argsort(-given, kind="stable")
    ends = np.append(np.flatnonzero(given[order][1:] != given[order][:-1]), len(given) - 1)
    hits = np.cumsum(truth[order])[ends]
    recall = hits / truth.sum()
    return float(np.sum(np.diff(recall, prepend=0.0) * hits / (ends + 1)))


def known_km(km: NDArray[Any]) -> NDArray[np.float64]:
    """Return the distances of photos whose place is known.

    Raises:
        ValueError: the distances are not (N,).
    """
    distances = np.asarray(km, np.float64)
    if distances.ndim != 1:
        raise ValueError(f"distances have shape {distances.shape}: must be (photos,)")
    return distances[~np.isnan(distances)]
