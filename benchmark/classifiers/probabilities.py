"""Probabilities of classes, (N, C), one row a photo: what they may be, and the temperature that makes them honest.

A row of NaN is a withheld answer.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST = 1e-12
"""Smaller probabilities count as this one: the logarithm of 0 would let one photo decide a whole score."""

COLDEST, HOTTEST = 0.05, 20.0
"""The bounds of a temperature."""


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


def with_temperature(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities softened (temperature above 1) or sharpened (below 1): softmax(ln p / temperature), (N, C).

    The most probable class stays the most probable one. Guo et al. (2017), section 4.2, with ln p in the place of the
    logits, which it equals up to a constant that the softmax takes out.

    Raises:
        ValueError: a value is no probability, the shape is not (N, C), or the temperature is not above 0.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is {temperature}: must be above 0")
    logits = _logits(probabilities) / temperature
    logits -= logits.max(axis=1, keepdims=True, initial=-np.inf)
    scaled: NDArray[np.float64] = np.exp(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    return scaled


def fit_temperature(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the temperature, 0.05 to 20, under which these photos are least surprising: the smallest `log_loss`.

    To be fitted on validation photos. It is 1.0 where they teach nothing: there are none; every answer is right, so that
    the loss falls for ever as the temperature does, whatever the confidences; or no temperature makes a difference, as
    with one class or equal probabilities. Guo et al. (2017), section 4.2.

    Raises:
        ValueError: the arrays do not fit each other or hold what is no probability.
    """
    from scipy.optimize import minimize_scalar  # takes most of a second, and only fitting needs it
    from scipy.special import log_softmax

    if len(labels) == 0:
        return 1.0
    scores, truth = checked_probabilities(probabilities, labels)
    logits, photos = _logits(scores), np.arange(len(truth))
    if (logits[photos, truth] == logits.max(axis=1)).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[photos, truth].mean())

    # The loss is convex in 1 / temperature, hence has one minimum in its logarithm, in which the bounds are even.
    best = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded", options={"xatol": 1e-6})
    return float(np.clip(np.exp(best.x), COLDEST, HOTTEST))


def checked_probabilities(
    probabilities: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the scores and labels of the answers that were given, as `checked` does.

    Raises:
        ValueError: as `checked`, a value is not from 0 to 1 to within 0.001, or every answer was withheld.
    """
    scores, truth = checked(probabilities, labels)
    given = ~np.isnan(scores[:, 0])
    if not given.any():
        raise ValueError("every answer was withheld: there is no confidence to measure")
    _require_probabilities(scores[given])
    return scores[given], truth[given]


def _require_probabilities(values: NDArray[np.float64]) -> None:
    """Refuse what is not from 0 to 1, to within the 0.001 by which a photo's saved probabilities may miss the sum of 1.

    Raises:
        ValueError: a value lies outside.
    """
    if not bool(((values >= 0) & (values <= 1.001)).all()):
        raise ValueError(f"probabilities go from {values.min()} to {values.max()}: must be from 0 to 1")


def _logits(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    scores = np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"probabilities have shape {scores.shape}: must be (photos, classes)")
    if scores.size:
        _require_probabilities(scores)
    logits: NDArray[np.float64] = np.log(np.clip(scores, SMALLEST, None))
    return logits
