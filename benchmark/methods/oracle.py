"""`oracle:labels`, `oracle:cells`: what an answer set allows at best. No methods: they are told where each photo was taken.

`oracle:labels` answers with the right label, and so with its centre; `oracle:cells` with that cell of the training places
(`benchmark.cells`) whose answer is nearest. No row of cells of the same settings can be nearer; no row of labels can be right
more often.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.drawing import files_of
from benchmark.cells.partition import Partition
from benchmark.methods.placing import PLACES_VERSION, partition, require_places
from benchmark.methods.types import Context, Method, Training
from benchmark.photos import Photos
from benchmark.predictions import Places
from collector.errors import UsageError
from collector.geo import distances_km


@dataclass(frozen=True)
class LabelOracle:
    """Knows the label; `classes` is how many there are."""

    classes: int

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return 1 for the label of each photo and 0 for others, (N, C)."""
        return np.eye(self.classes, dtype=np.float32)[_truth(photos).labels]


@dataclass(frozen=True)
class CellOracle:
    """Knows the nearest cell."""

    cells: Partition

    def predict_places(self, photos: Photos) -> Places:
        """Return the answer of the cells nearest to each photo's place; NaN where that is unknown."""
        truth, answers = _truth(photos).places, self.cells.answers
        unknown = np.isnan(truth).any(axis=1)
        km = distances_km(truth[:, :1], truth[:, 1:], answers[:, 0], answers[:, 1])
        best = answers[np.nan_to_num(km).argmin(axis=1)]
        best[unknown] = np.nan
        return Places(best[:, 0], best[:, 1])

    def files(self) -> Mapping[str, bytes]:
        """Return what a run keeps, by file name."""
        return files_of([self.cells])


def _truth(photos: Photos) -> Training:
    if not isinstance(photos, Training):
        raise UsageError("an oracle is told the truth, and there is none of these photos")
    return photos


def fit_labels(training: Training, validation: Training, context: Context) -> LabelOracle:
    """Return the oracle of labels."""
    return LabelOracle(len(training.classes))


def fit_cells(
    training: Training,
    validation: Training,
    context: Context,
    *,
    split: str,
    most: float,
    least: float,
) -> CellOracle:
    """Return the oracle of these cells."""
    require_places(training)
    known = ~np.isnan(training.places).any(axis=1)
    return CellOracle(partition(training.places[known], training.label_set, split, most, least))


ORACLES = (
    Method(
        name="oracle:labels",
        title="Oracle: the right label",
        fit=fit_labels,
        parameters={},
        version=PLACES_VERSION,
        selection="oracle",
        unkept="an oracle is told the answers and has learnt nothing",
        told=True,
    ),
    Method(
        name="oracle:cells",
        title="Oracle: the nearest of the cells",
        fit=fit_cells,
        parameters={"split": "s2", "most": 0.4, "least": 0.03},
        version=PLACES_VERSION,
        gives=frozenset({"places"}),
        needs=frozenset({"places"}),
        selection="oracle",
        unkept="an oracle is told the answers and has learnt nothing",
        told=True,
    ),
)
