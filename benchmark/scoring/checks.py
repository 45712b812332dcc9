"""What scores ask of their arrays before they compute."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def checked(probabilities: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the scores (N, C) as float64 and the labels (N,) as int64.

    Raises:
        ValueError: the arrays are empty, do not fit each other or hold NaN or unknown labels.
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
    if np.isnan(scores).any():
        raise ValueError("probabilities hold NaN")
    return scores, truth.astype(np.int64)


def checked_probabilities(
    probabilities: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return both as `checked` does, where each score has to be a probability.

    Raises:
        ValueError: as `checked`, or a value is not from 0 to 1, to within 0.001.
    """
    scores, truth = checked(probabilities, labels)
    require_probabilities(scores)
    return scores, truth


def require_probabilities(values: NDArray[np.float64]) -> None:
    """Refuse what is not from 0 to 1, to within the 0.001 by which a photo's saved probabilities may miss the sum of 1.

    Raises:
        ValueError: a value lies outside.
    """
    if not bool(((values >= 0) & (values <= 1.001)).all()):
        raise ValueError(f"probabilities go from {values.min()} to {values.max()}: must be from 0 to 1")
