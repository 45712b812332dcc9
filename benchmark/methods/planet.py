"""`planet:NET`: a network trained to say in which cell of the training places a photo was taken.

T. Weyand, I. Kostrikov, J. Philbin, "PlaNet - photo geolocation with convolutional neural networks", ECCV 2016: places are
cut into cells (`benchmark.cells`), a network with a softmax over them is trained by cross-entropy, photos of cells that were
left out are not learnt from, and a cell answers with the mean place of its photos. Any network of `networks.backbones`: with
a slash it starts from those weights, else from random ones. How it is trained is `networks.recipe.Recipe`, as of all networks
here (25 epochs of SGD, the epoch that is right on most validation photos' cells), not PlaNet's own on 91 million photos.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.drawing import files_of
from benchmark.cells.grow import load_partition
from benchmark.cells.partition import Stored
from benchmark.methods.networks import TRAINING_VERSION, fine_tuned, fit_network, from_scratch
from benchmark.methods.placing import PLACES_VERSION, best_spread, likeliest, partition, require_places, spread
from benchmark.methods.types import Context, Method, Training
from benchmark.photos import LabelledPhotos, Photos, some_of
from benchmark.predictions import Places

if TYPE_CHECKING:
    from benchmark.networks.inference import TrainedNetwork

_PREFIX = "network."


@dataclass(frozen=True)
class CellNetwork:
    """A fitted method: a network whose outputs are the cells of a partition; `spread_km` around each cell's answer."""

    trained: "TrainedNetwork"
    cells: Stored
    spread_km: float = 0.0

    def predict_places(self, photos: Photos) -> Places:
        """Return where each photo was taken; the likeliest cells' places are the candidates."""
        probabilities = self.trained.predict_labels(photos)
        return spread(likeliest(probabilities, self.cells.answers, probabilities.argmax(axis=1)), self.spread_km)

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return what goes into the classifier, (N, D)."""
        return self.trained.embed(photos)

    def files(self) -> Mapping[str, bytes]:
        """Return what a run keeps beside the model, by file name."""
        return files_of([self.cells])

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_planet`)."""
        _, spec, state = self.trained.save()
        arrays = {f"cells-{name}": of for name, of in self.cells.to_arrays().items()}
        return (
            "planet",
            {"network": spec, "spread_km": self.spread_km},
            {**arrays, **{_PREFIX + name: of for name, of in state.items()}},
        )


def load_planet(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> CellNetwork:
    """Return the predictor that `CellNetwork.save` described.

    Raises:
        DataError, UsageError: as `networks.inference.load_network`.
        ValueError, KeyError, TypeError: the description is none, or does not fit the arrays.
    """
    from benchmark.networks.inference import load_network

    cells = load_partition(arrays, "cells-")
    if spec["network"]["classes"] != len(cells.answers):
        raise ValueError(f"a network of {spec['network']['classes']!r} outputs for {len(cells.answers)} cells")
    own = {name.removeprefix(_PREFIX): of for name, of in arrays.items() if name.startswith(_PREFIX)}
    return CellNetwork(load_network(spec["network"], own, device), cells, float(spec["spread_km"]))


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    split: str,
    most: float,
    least: float,
    selection: str,
    **recipe: Any,
) -> CellNetwork:
    """Train a network on cells; `recipe` holds the other fields of `networks.recipe.Recipe`."""
    require_places(training)
    known = ~np.isnan(training.places).any(axis=1)
    cells = partition(training.places[known], training.label_set, split, most, least)
    learnt = _of_cells(training, cells)
    judged = _of_cells(validation, cells)
    # Without a validation photo whose place is known there is nothing to select by.
    selection = selection if len(judged) else "last-epoch"
    network = fit_network(learnt, judged, context, selection=selection, **recipe)
    fitted, there = CellNetwork(network, cells), np.flatnonzero(~np.isnan(validation.places).any(axis=1))
    places = fitted.predict_places(validation).of(there.tolist())
    return replace(fitted, spread_km=best_spread(places, validation.places[there]))


def _of_cells(photos: Training, cells: Stored) -> LabelledPhotos:
    """Return the photos that lie in a cell, with the cells for labels."""
    of = cells.cell_of(photos.places)
    rows = np.flatnonzero(of >= 0)
    return some_of(photos, rows, of[rows], tuple(f"cell {number}" for number in range(len(cells.answers))))


def planet_variant(name: str) -> Method | None:
    """Return the method of this name for any network, built in or plugged in; None where there is no such."""
    from benchmark.networks.backbones import backbones

    kind, _, net = name.partition(":")
    known = backbones()
    if kind != "planet" or net not in known:
        return None
    backbone = known[net]
    base = fine_tuned(backbone, "finetune") if backbone.pretrained else from_scratch(backbone)
    return replace(
        base,
        name=name,
        title=f"{backbone.title}"
        + (f" ({backbone.pretrained.data})" if backbone.pretrained else "")
        + " trained on cells",
        fit=fit,
        parameters={**base.parameters, "split": "s2", "most": 0.4, "least": 0.03},
        version=f"{TRAINING_VERSION}.{PLACES_VERSION}",
        gives=frozenset({"places"}),
        needs=frozenset({"places"}),
        paper=None,
        fit_many=None,
        estimate=_seconds,
    )


def _seconds(photos: int, classes: int, device: str, *, split: str, most: float, least: float, **recipe: Any) -> float:
    from benchmark.networks.fast import estimate
    from benchmark.networks.recipe import Recipe

    return estimate(photos, classes, device, Recipe(**recipe))
