"""Accuracy on parts of the test photos: those of one city, one provider, one licence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.metrics import wilson


@dataclass(frozen=True, slots=True)
class Slice:
    """The photos that share a name: their number, the mean accuracy over seeds, and its Wilson 95 % interval."""

    name: str
    photos: int
    accuracy: float
    low: float
    high: float


def by_slice(right: NDArray[Any], names: Sequence[str | None]) -> list[Slice]:
    """Return the accuracy on each named part of the photos, sorted by name; photos whose name is None are in none.

    The interval is that of `metrics.wilson` at the number of photos, not of photos times seeds: the seeds were judged on the
    same photos, so that more of them say nothing about other photos. One interval a slice, not corrected for their number: of
    20 slices one is expected to lie outside by chance.

    Args:
        right: (S, N) booleans, one row a seed and one column a photo.
        names: of each photo's part, N of them.

    Raises:
        ValueError: the shapes do not fit, or there is no seed.
    """
    answers = np.asarray(right, bool)
    if answers.ndim != 2 or len(answers) == 0 or answers.shape[1] != len(names):
        raise ValueError(
            f"answers have shape {answers.shape}: must be (seeds, photos) with a name for each of {len(names)} photos"
        )
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        if name is not None:
            columns.setdefault(name, []).append(column)
    found = []
    for name, mine in sorted(columns.items()):
        accuracy = float(answers[:, mine].mean())
        found.append(Slice(name, len(mine), accuracy, *wilson(accuracy * len(mine), len(mine))))
    return found
