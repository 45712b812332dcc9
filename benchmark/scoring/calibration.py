"""Whether a method knows how often it is right, and what mends it: temperature, and refusing to answer.

Arrays are as in `metrics`; here the scores have to be probabilities. A photo's confidence is the probability of its most
probable class, and is measured against how often that class is the true one. A withheld answer, a row of NaN, claims nothing
and is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.classifiers.probabilities import SMALLEST, checked_probabilities


@dataclass(frozen=True, slots=True)
class Bin:
    """The photos whose confidence is above `low` and at most `high`: their number, mean confidence and accuracy."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(probabilities: NDArray[Any], labels: NDArray[Any], bins: int = 15) -> list[Bin]:
    """Return confidence and accuracy in `bins` bins of equal width, empty ones left out: a reliability diagram.

    A confidence on the border of two bins belongs to the lower one. A. Niculescu-Mizil, R. Caruana, "Predicting good
    probabilities with supervised learning", ICML 2005; the bins ((m - 1) / M, m / M] are those of Guo et al. (see
    `expected_calibration_error`).

    Raises:
        ValueError: the arrays are empty, do not fit each other or hold what is no probability; `bins` is below 1.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}: must be at least 1")
    scores, truth = checked_probabilities(probabilities, labels)
    return reliability_of(scores.max(axis=1), scores.argmax(axis=1) == truth, bins)


def reliability_of(confidence: NDArray[Any], right: NDArray[np.bool_], bins: int = 15) -> list[Bin]:
    """Return the reliability diagram of answers of this confidence (N,), of which `right` (N,) are right."""
    confidence = np.minimum(confidence, 1)  # rounding may leave it a little above
    borders = np.linspace(0, 1, bins + 1)
    of = np.maximum(np.searchsorted(borders, confidence, side="left") - 1, 0)
    return [
        Bin(
            float(borders[index]),
            float(borders[index + 1]),
            int(inside.sum()),
            float(confidence[inside].mean()),
            float(right[inside].mean()),
        )
        for index in np.unique(of)
        for inside in [of == index]
    ]


def expected_calibration_error(probabilities: NDArray[Any], labels: NDArray[Any], bins: int = 15) -> float:
    """Return by how much confidence and accuracy differ, 0 to 1: the mean over the bins, weighted by their photos.

        ECE = Σ_m |B_m| / N · |accuracy(B_m) - confidence(B_m)|

    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017, equation 3, which
    also takes 15 bins. Of few photos it is too high even where a method is calibrated: each bin adds its noise.

    Raises:
        ValueError: as for `reliability`.
    """
    return mean_gap(reliability(probabilities, labels, bins))


def mean_gap(bins: Sequence[Bin]) -> float:
    """Return the mean distance of confidence and accuracy over the bins, weighted by their photos."""
    gaps = sum(one.count * abs(one.accuracy - one.confidence) for one in bins)
    return gaps / sum(one.count for one in bins)


def brier(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean over photos of Σ_c (p_c - [c is the true class])²: 0 (certain and right) to 2 (certain and wrong).

    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950), 1-3.

    Raises:
        ValueError: the arrays are empty, do not fit each other or hold what is no probability.
    """
    scores, truth = checked_probabilities(probabilities, labels)
    return float(np.mean(np.sum((scores - np.eye(scores.shape[1])[truth]) ** 2, axis=1)))


def log_loss(probabilities: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the mean over photos of -ln p of the true class, probabilities below 1e-12 counting as that: 0 to 27.6.

    I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14 (1952), 107-114.

    Raises:
        ValueError: as for `brier`.
    """
    scores, truth = checked_probabilities(probabilities, labels)
    return float(-np.log(np.clip(scores[np.arange(len(truth)), truth], SMALLEST, 1)).mean())


def reject_threshold(probabilities: NDArray[Any], labels: NDArray[Any], share: float = 0.95) -> float:
    """Return the confidence below which an answer is withheld as "none of these", 0 to 1, from validation photos.

    The validation photos are all of the known cities, so that they cannot tell how many foreign photos a threshold stops.
    What they can tell is its price. The threshold is therefore the highest one that keeps a new photo's right answer with
    probability at least `share`: with n validation photos answered right, the k-th smallest of their confidences,
    k = ⌊(1 - share) (n + 1)⌋. As the new photo's confidence is equally likely to fall into any of the n + 1 gaps, it lies
    below that with probability k / (n + 1) at most (split conformal prediction: V. Vovk, A. Gammerman, G. Shafer,
    Algorithmic Learning in a Random World (2005), section 2.2). It promises nothing for a city whose photos are all of low
    confidence. Confidence as the score that tells foreign pictures: D. Hendrycks, K. Gimpel, "A baseline for detecting
    misclassified and out-of-distribution examples in neural networks", ICLR 2017.

    It is 0.0, nothing is withheld, where too few answers are right to keep the promise: below 19 of them at 0.95.

    Raises:
        ValueError: the arrays do not fit each other or hold what is no probability; `share` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}: must be between 0 and 1")
    if len(labels) == 0:
        return 0.0
    scores, truth = checked_probabilities(probabilities, labels)
    kept = np.sort(scores.max(axis=1)[scores.argmax(axis=1) == truth])
    # Of 19 photos at 0.95 the first is meant, which rounding would miss: 0.05 * 20 is 1.0000000000000009 or 0.99….
    place = floor((1 - share) * (len(kept) + 1) + 1e-9)
    return float(min(kept[place - 1], 1.0)) if place else 0.0
