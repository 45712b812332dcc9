"""`cells:NET`, `isn:NET`, `cplanet:NET`, `haversine:NET`: in which cell of the training places was it? The answer is that
cell's mean place.

All fit a linear softmax over the cells of a partition (`benchmark.cells`) to frozen vectors; C, the inverse strength of the
penalty, is chosen on the validation photos. Thresholds are shares of the mean number of photos of a label.

| method | what it does |
|---|---|
| `cells` | one partition, cross-entropy with the photo's own cell, as PlaNet has it (T. Weyand et al., ECCV 2016) |
| `isn` | three partitions; p(fine) · p(its middle cell) · p(its coarse cell) decides (E. Müller-Budack et al., ECCV 2018) |
| `cplanet` | several coarse partitions; a cell is what they cut out of each other (`benchmark.cells.intersections`) |
| `haversine` | smoothed targets (`smoothed`; L. Haas et al., "PIGEON", CVPR 2024); their τ is chosen too |

No network is trained here, so that these are the methods' answer sets and losses, not the methods of the articles.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from benchmark.cells.grow import COARSER, load_partition
from benchmark.cells.intersections import Intersections, intersections
from benchmark.cells.partition import Partition, Stored, checked_answers, parents, prefixed, scaled
from benchmark.classifiers.soft_targets import Linear, fit_targets
from benchmark.methods.placing import (
    PLACES_VERSION,
    Located,
    Placing,
    Sides,
    best_of,
    best_spread,
    described,
    likeliest,
    partition,
)
from benchmark.methods.settings import numbers
from benchmark.methods.types import Context, Method, Parameter, Training
from benchmark.predictions import Places
from collector.errors import UsageError
from collector.geo import distances_km


@dataclass(frozen=True)
class CellHead:
    """A fitted head.

    Attributes:
        models: of each learnt partition, scores of its cells.
        learnt: the partitions; of those that lie in each other the finest first, whose cells are answered.
        above: for each of them the cell that each answered cell lies in; -1 for none.
        cut: what they cut out of each other, where those cells are answered; None for the finest's own.
    """

    models: Sequence[Linear]
    learnt: Sequence[Stored]
    above: Sequence[NDArray[np.int64]]
    cut: Intersections | None = None

    @property
    def partitions(self) -> Sequence[Partition]:
        """All partitions, first that whose cells are answered."""
        return [*([self.cut] if self.cut else []), *self.learnt]

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
        return np.asarray(log_softmax(logs, axis=1), np.float64)

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_head`)."""
        arrays = prefixed(self.learnt)
        if self.cut:
            arrays |= {"cut-tuples": self.cut.tuples, "cut-answers": self.cut.answers, "cut-counts": self.cut.counts}
        for number, (model, above) in enumerate(zip(self.models, self.above, strict=True)):
            arrays |= {**model.to_arrays(f"model-{number}-"), f"above-{number}": above}
        return "cells", {"partitions": len(self.learnt)}, arrays


def load_head(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> CellHead:
    """Return the head that `CellHead.save` described; ValueError or KeyError where it is damaged."""
    count = spec["partitions"]
    partitions = [load_partition(arrays, f"cells-{number}-") for number in range(count)]
    models = [Linear.of_arrays(arrays, f"model-{number}-") for number in range(count)]
    above = [arrays[f"above-{number}"].astype(np.int64) for number in range(count)]
    cut = _cut(partitions, arrays) if "cut-tuples" in arrays else None
    answered = len((cut or partitions[0]).answers)
    for model, one, cells in zip(models, partitions, above, strict=True):
        fits = len(model.biases) == len(one.answers) and cells.shape == (answered,)
        if not fits or cells.max() >= len(one.answers) or cells.min() < -1:
            raise ValueError("cells: a model does not fit its partition")
    return CellHead(models, partitions, above, cut)


def _cut(parts: Sequence[Partition], arrays: Mapping[str, NDArray[Any]]) -> Intersections:
    answers, counts = checked_answers({"answers": arrays["cut-answers"], "counts": arrays["cut-counts"]})
    tuples = arrays["cut-tuples"].astype(np.int64)
    if tuples.shape != (len(counts), len(parts)):
        raise ValueError(f"{len(counts)} cells of {tuples.shape} parts")
    return Intersections(parts, tuples, answers, counts)


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
    """Fit a softmax over the cells of one partition, or of each of several: in three sizes, or of every split named."""
    describing, sides = described(training, validation, context, net, size)
    cells = cells_of(sides, split, most, least, levels)
    best, judged = cell_head(sides, cells, cs, iterations, context.device), sides.validation
    return Placing(describing, best, best_spread(best.places(judged.vectors), judged.places))


@dataclass(frozen=True)
class Cells:
    """Partitions before anything is learnt of them; see `CellHead`."""

    learnt: Sequence[Stored]
    above: Sequence[NDArray[np.int64]]
    cut: Intersections | None = None


def cells_of(sides: Sides, split: str, most: float, least: float, levels: int) -> Cells:
    """Return the partitions of the training places that parameters ask for.

    Raises:
        UsageError: there are no such splits or levels.
        DataError: no cell holds enough photos.
    """
    photos, splits = sides.training, split.split(",")
    if not 1 <= levels <= len(COARSER) or (levels > 1 and len(splits) > 1):
        raise UsageError(f"levels {levels}, split {split!r}: 1 to {len(COARSER)} sizes of one split, or several splits")
    learnt = [
        partition(photos.places, sides.labels, one, most, least, size) for one in splits for size in range(levels)
    ]
    if len(splits) > 1:
        cut = intersections(learnt, photos.places, scaled(len(photos), len(sides.labels), most, least))
        return Cells(learnt, list(cut.tuples.T), cut)
    finer = [parents(learnt[0], of, photos.places) for of in learnt[1:]]
    return Cells(learnt, [np.arange(len(learnt[0].answers)), *finer])


def cell_head(sides: Sides, cells: Cells, cs: str, iterations: int, device: str) -> CellHead:
    """Return the head, fitted on the training photos, whose C suits the validation photos best."""

    def candidates() -> Iterator[tuple[CellHead, Places]]:
        for c in numbers(cs):
            models = [_own_cell(sides.training, of, c, iterations, device) for of in cells.learnt]
            head = CellHead(models, cells.learnt, cells.above, cells.cut)
            yield head, head.places(sides.validation.vectors)

    return best_of(candidates(), sides.validation.places)


def _own_cell(photos: Located, of: Partition, c: float, iterations: int, device: str) -> Linear:
    cells = of.cell_of(photos.places)
    inside = cells >= 0
    targets = np.zeros((int(inside.sum()), len(of.answers)))
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
    of = partition(photos.places, sides.labels, split, most, least)
    cells = of.cell_of(photos.places)
    inside = cells >= 0

    def candidates() -> Iterator[tuple[CellHead, Places]]:
        for tau, c in product(numbers(taus), numbers(cs)):
            targets = smoothed(photos.places[inside], cells[inside], of.answers, tau)
            model = fit_targets(photos.vectors[inside], targets, c, iterations, context.device)
            head = CellHead([model], [of], [np.arange(len(of.answers))])
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

CPLANET = replace(
    CELLS,
    name="cplanet:{net}",
    title="{net}, intersections of coarse cells",
    parameters={**CELLS.parameters, "split": "s2,quadtree,median", "most": 1.0, "least": 0.01},
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
