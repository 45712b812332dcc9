"""`cells:NET`, `isn:NET`, `haversine:NET`: in which cell of the training places was it? The answer is that cell's mean place.

All fit a linear softmax over the cells of a partition (`benchmark.cells`) to frozen vectors; C, the inverse strength of the
penalty, is chosen on the validation photos. Thresholds are shares of the mean number of photos of a label.

| method | what it does |
|---|---|
| `cells` | one partition, cross-entropy with the photo's own cell, as PlaNet has it (T. Weyand et al., ECCV 2016) |
| `isn` | three partitions; p(fine) · p(its middle cell) · p(its coarse cell) decides (E. Müller-Budack et al., ECCV 2018) |
| `haversine` | smoothed targets (`smoothed`; L. Haas et al., "PIGEON", CVPR 2024); their τ is chosen too |

No network is trained here, so that these are the methods' answer sets and losses, not the methods of the articles.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.grow import grown, load_partition
from benchmark.cells.partition import Partition, parents, prefixed
from benchmark.classifiers.soft_targets import Linear, fit_targets
from benchmark.methods.placing import (
    PLACES_VERSION,
    Located,
    Placing,
    best_of,
    best_spread,
    described,
    likeliest,
    numbers,
)
from benchmark.methods.types import Context, Method, Parameter, Training
from benchmark.predictions import Places
from collector.errors import UsageError
from collector.geo import distances_km

COARSER = (1.0, 2.0, 5.0)
"""Of `isn`: thresholds of the fine, the middle and the coarse partition, in those of the fine one."""


@dataclass(frozen=True)
class CellHead:
    """A fitted head.

    Attributes:
        models: of each partition, scores of its cells.
        partitions: the finest first.
        above: for each partition the cell that each fine cell lies in; -1 for none.
    """

    models: Sequence[Linear]
    partitions: Sequence[Partition]
    above: Sequence[NDArray[np.int64]]

    def places(self, vectors: NDArray[np.float32]) -> Places:
        """Return where the photos of these vectors were taken; the likeliest cells' places are the candidates."""
        logs = self.log_probabilities(vectors)
        return likeliest(np.exp(logs), self.partitions[0].answers, logs.argmax(axis=1))

    def log_probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the logarithm of each fine cell's probability, the product over the partitions scaled to 1, (N, C)."""
        logs = np.zeros((len(vectors), len(self.partitions[0].answers)))
        for model, above in zip(self.models, self.above, strict=True):
            # A fine cell in no coarse one, which was left out, gets the least that a cell there has.
            of = model.log_probabilities(vectors)
            logs += np.where(above >= 0, of[:, above], of.min(axis=1, keepdims=True))
        top = logs.max(axis=1, keepdims=True)
        scaled_logs: NDArray[np.float64] = logs - top - np.log(np.exp(logs - top).sum(axis=1, keepdims=True))
        return scaled_logs

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_head`)."""
        arrays = prefixed(self.partitions)
        for number, (model, above) in enumerate(zip(self.models, self.above, strict=True)):
            arrays |= {**model.to_arrays(f"model-{number}-"), f"above-{number}": above}
        return "cells", {"partitions": len(self.partitions)}, arrays


def load_head(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> CellHead:
    """Return the head that `CellHead.save` described; ValueError or KeyError where it is damaged."""
    count = spec["partitions"]
    partitions = [load_partition(arrays, f"cells-{number}-") for number in range(count)]
    models = [Linear.of_arrays(arrays, f"model-{number}-") for number in range(count)]
    above = [arrays[f"above-{number}"].astype(np.int64) for number in range(count)]
    for model, one, cells in zip(models, partitions, above, strict=True):
        fits = len(model.biases) == len(one.answers) and cells.shape == (len(partitions[0].answers),)
        if not fits or cells.max() >= len(one.answers) or cells.min() < -1:
            raise ValueError("cells: a model does not fit its partition")
    return CellHead(models, partitions, above)


def fit_cells(
    training: Training,
    validation: Training,
    context: Context,
    *,
    net: str,
    size: int,
    split: str,
    most: float,
    least: float,
    levels: int,
    cs: str,
    iterations: int,
) -> Placing:
    """Fit a softmax over the cells of one partition, or of each of several, the finest first."""
    describing, sides = described(training, validation, context, net, size)
    photos, judged = sides.training, sides.validation
    partitions = [grown(split, photos.places, sides.labels, most * by, least) for by in COARSER[:levels]]
    above = [
        np.arange(len(partitions[0].answers)),
        *(parents(partitions[0], of, photos.places) for of in partitions[1:]),
    ]

    def candidates() -> Iterator[tuple[CellHead, Places]]:
        for c in numbers(cs):
            models = [_own_cell(photos, of, c, iterations, context.device) for of in partitions]
            head = CellHead(models, partitions, above)
            yield head, head.places(judged.vectors)

    best = best_of(candidates(), judged.places)
    return Placing(describing, best, best_spread(best.places(judged.vectors), judged.places))


def _own_cell(photos: Located, partition: Partition, c: float, iterations: int, device: str) -> Linear:
    cells = partition.cell_of(photos.places)
    inside = cells >= 0
    targets = np.zeros((int(inside.sum()), len(partition.answers)))
    targets[np.arange(len(targets)), cells[inside]] = 1.0
    return fit_targets(photos.vectors[inside], targets, c, iterations, device)


def fit_haversine(
    training: Training,
    validation: Training,
    context: Context,
    *,
    net: str,
    size: int,
    split: str,
    most: float,
    least: float,
    taus: str,
    cs: str,
    iterations: int,
) -> Placing:
    """Fit a softmax over cells to targets that fall with the distance of each cell."""
    describing, sides = described(training, validation, context, net, size)
    photos, judged = sides.training, sides.validation
    partition = grown(split, photos.places, sides.labels, most, least)
    cells = partition.cell_of(photos.places)
    inside = cells >= 0

    def candidates() -> Iterator[tuple[CellHead, Places]]:
        for tau, c in product(numbers(taus), numbers(cs)):
            targets = smoothed(photos.places[inside], cells[inside], partition.answers, tau)
            model = fit_targets(photos.vectors[inside], targets, c, iterations, context.device)
            head = CellHead([model], [partition], [np.arange(len(partition.answers))])
            yield head, head.places(judged.vectors)

    best = best_of(candidates(), judged.places)
    return Placing(describing, best, best_spread(best.places(judged.vectors), judged.places))


def smoothed(
    places: NDArray[np.float64], cells: NDArray[np.int64], answers: NDArray[np.float64], tau_km: float
) -> NDArray[np.float64]:
    """Return PIGEON's targets (N, C) of places (N, 2) in cells (N,) that answer with (C, 2).

    They are exp(-(d(cell) - d(own cell)) / τ), where d are great circles from the photo to the cells' places; a photo's
    targets are not scaled to sum to 1.

    A photo's own cell has 1, one whose place is nearer still has more, and one τ farther 1/e.

    Raises:
        UsageError: τ is not above 0.
    """
    if not tau_km > 0:
        raise UsageError(f"tau {tau_km} km: must be above 0")
    km = distances_km(places[:, :1], places[:, 1:], answers[:, 0], answers[:, 1])
    own = km[np.arange(len(km)), cells]
    targets: NDArray[np.float64] = np.exp(np.minimum(-(km - own[:, None]) / tau_km, 50.0))
    return targets


_SMOKE: dict[str, Parameter] = {"cs": "0.01", "iterations": 30}

CELLS = Method(
    name="cells:{net}",
    title="{net}, cells",
    fit=fit_cells,
    parameters={
        "split": "s2",
        "most": 0.4,
        "least": 0.03,
        "levels": 1,
        "cs": "0.0001,0.001,0.01,0.1",
        "iterations": 200,
    },
    smoke=_SMOKE,
    version=PLACES_VERSION,
    gives=frozenset({"places"}),
    needs=frozenset({"places"}),
    selection="best-on-validation",
)

ISN = replace(
    CELLS,
    name="isn:{net}",
    title="{net}, cells of three sizes",
    parameters={**CELLS.parameters, "levels": len(COARSER)},
)

_ONE_LEVEL = {name: value for name, value in CELLS.parameters.items() if name != "levels"}

HAVERSINE = replace(
    CELLS,
    name="haversine:{net}",
    title="{net}, cells with smoothed targets",
    fit=fit_haversine,
    parameters={**_ONE_LEVEL, "taus": "0.25,1,5,25,75"},
    smoke={**_SMOKE, "taus": "1,25"},
)
