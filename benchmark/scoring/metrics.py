"""Scores of one run, from its predicted probabilities and the true labels alone.

Everywhere `probabilities` is (N, C) with one row a photo and one column a class, and `labels` is (N,) with the index of
the true class, 0 to C - 1. Scores are fractions from 0 to 1. Where two classes are equally probable the first wins, so
that a score does not depend on how a sort breaks ties.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.checks import checked


def accuracy(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the share of photos whose most probable class is the true one.

    Raises:
        ValueError: the arrays are empty, do not fit each other or hold NaN or unknown labels.
    """
    scores, truth = checked(probabilities, labels)
    return float(np.mean(scores.argmax(axis=1) == truth))


def top_k_accuracy(probabilities: NDArray[Any], labels: NDArray[Any], k: int) -> float:
    """Return the share of photos whose true class is among the `k` most probable ones.

    Raises:
        ValueError: as for `accuracy`, or `k` is not from 1 to C.
    """
    scores, truth = checked(probabilities, labels)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k is {k}: must be from 1 to the number of classes, {scores.shape[1]}")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == truth[:, None]).any(axis=1)))


def wilson(correct: float, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion, without continuity correction, as (low, high) in [0, 1].

    With p = correct / total, n = total and z the normal quantile of (1 + confidence) / 2:

        (p + z² / 2n ± z √(p (1 - p) / n + z² / 4n²)) / (1 + z² / n)

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.

    Args:
        correct: number of successes, 0 to `total`; may be fractional: the mean over seeds.
        total: number of trials, at least 1.
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


def confusion(probabilities: NDArray[Any], labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Return how often each class was taken for each: (C, C) counts, true classes down, predicted ones across.

    Raises:
        ValueError: as for `accuracy`, or the probabilities do not have `classes` columns.
    """
    scores, truth = checked(probabilities, labels)
    if scores.shape[1] != classes:
        raise ValueError(f"probabilities have shape {scores.shape}: must have {classes} columns, one a class")
    pairs = truth * classes + scores.argmax(axis=1)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def accuracy_per_class(probabilities: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of each class's photos that were recognised (its recall): (C,), NaN for a class without photos.

    Raises:
        ValueError: as for `accuracy`.
    """
    table = confusion(probabilities, labels, _columns(probabilities))
    photos = table.sum(axis=1)
    shares = np.full(len(table), np.nan)
    np.divide(table.diagonal(), photos, out=shares, where=photos > 0)
    return shares


def macro_f1(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the unweighted mean of the classes' F1 = 2 TP / (2 TP + FP + FN).

    The mean is over the classes that are true or predicted at least once, as scikit-learn's `f1_score(average="macro",
    zero_division=0)` takes it: of any other class nothing is known.

    Raises:
        ValueError: as for `accuracy`.
    """
    table = confusion(probabilities, labels, _columns(probabilities))
    mentioned = table.sum(axis=0) + table.sum(axis=1)  # 2 TP + FP + FN
    seen = mentioned > 0
    return float(np.mean(2 * table.diagonal()[seen] / mentioned[seen]))


def _columns(probabilities: NDArray[Any]) -> int:
    shape = np.shape(probabilities)
    return shape[1] if len(shape) == 2 else 0
