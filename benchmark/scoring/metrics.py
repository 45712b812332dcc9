"""How often answers are right, from the answers and the true labels alone.

Everywhere `answers` is either (N, C) probabilities, one row a photo and one column a class, or (N,) indices of the answered
classes; `labels` is (N,) with the index of the true class, 0 to C - 1. A row of NaN, or the index -1, is a withheld answer:
it counts as wrong. Scores are fractions from 0 to 1. Where two classes are equally probable the first wins, so that a score
does not depend on how a sort breaks ties.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def checked(probabilities: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the scores (N, C) as float64 and the labels (N,) as int64.

    Raises:
        ValueError: the arrays are empty, do not fit each other, or hold unknown labels or rows that are NaN in part.
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    truth = np.asarray(labels)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"probabilities have shape {scores.shape}: must be (photos, classes), neither of them 0")
    if truth.shape != scores.shape[:1]:
        raise ValueError(f"labels have shape {truth.shape}: must be {scores.shape[:1]}, one for each photo")
    if not np.issubdtype(truth.dtype, np.integer):
        raise ValueError(f"labels are {truth.dtype}: must be integers, the indices of the classes")
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise ValueError(f"labels go from {truth.min()} to {truth.max()}: must be from 0 to {scores.shape[1] - 1}")
    nan = np.isnan(scores)
    if (nan.any(axis=1) & ~nan.all(axis=1)).any():
        raise ValueError("probabilities hold NaN beside numbers: a withheld answer is a row of NaN alone")
    return scores, truth.astype(np.int64)


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
    scores, truth = checked(probabilities, labels)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k is {k}: must be from 1 to the number of classes, {scores.shape[1]}")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == truth[:, None]).any(axis=1) & ~np.isnan(scores[:, 0])))


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
