"""Methods that answer with places: vectors of photos (`methods.vectors`) and a head that makes places of them.

A head is fitted on the training photos whose place is known, and its settings are chosen on the validation photos whose
place is known: the candidate with the least median distance, of equal ones that with the least mean, then the first.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from benchmark.cells.drawing import files_of
from benchmark.cells.grow import grown
from benchmark.cells.partition import Partition, Stored
from benchmark.label_set import LabelSet
from benchmark.methods.types import Context, Training
from benchmark.methods.vectors import Describer, describer, load_describer, vectors_of
from benchmark.photos import Photos
from benchmark.predictions import Places, Ranking
from benchmark.retrieval.mixture import Mixture
from collector.errors import DataError
from collector.geo import distances_km
from collector.records import Label

PLACES_VERSION = "2"
"""Of the code of these methods, and of their defaults."""

SPREADS_KM = (0.05, 0.25, 1.0, 5.0, 25.0, 100.0, 444.0)
"""Of which the spread of an answer's candidates is chosen (`best_spread`): a parameter of ours."""

CANDIDATES = 50
"""Places that an answer keeps at most."""

log = logging.getLogger("t15")


class Head(Protocol):
    """Makes places of vectors."""

    def places(self, vectors: NDArray[np.float32]) -> Places:
        """Return where the photos of these vectors (N, D) were taken."""
        ...

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (HEADS)."""
        ...


class RankingHead(Head, Protocol):
    """Ranks the gallery too; its rows are those of the training photos."""

    def rank(self, vectors: NDArray[np.float32], k: int) -> Ranking:
        """Return the k nearest training photos."""
        ...

    def excluding(self, authors: NDArray[np.int64], sequences: NDArray[np.int64]) -> Self:
        """Return the same head for N photos of these authors and sequences, whose own training photos do not count."""
        ...


@runtime_checkable
class HasCells(Protocol):
    """A head that answers with cells."""

    @property
    def partitions(self) -> Sequence[Partition]:
        """Its partitions, the finest first."""
        ...


HEADS = {
    "knn-density": "benchmark.methods.knn_density:load_head",
    "cells": "benchmark.methods.cells:load_head",
    "geoclip": "benchmark.methods.geoclip:load_head",
    "vmf": "benchmark.methods.vmf:load_head",
}
"""What makes a head of each kind again, `load(spec, arrays)`."""


@dataclass(frozen=True)
class Placing:
    """A fitted method that answers with places.

    Attributes:
        describing: makes vectors of photos.
        head: makes places of vectors.
        spread_km: around each candidate of a head that states no spreads; 0 where there is none to state.
    """

    describing: Describer
    head: Head
    spread_km: float = 0.0

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the vector of each photo, (N, D), of length 1."""
        return vectors_of(self.describing, photos)

    def predict_places(self, photos: Photos) -> Places:
        """Return where each photo was taken."""
        return spread(self.head.places(self.embed(photos)), self.spread_km)

    def files(self) -> Mapping[str, bytes]:
        """Return what a run keeps beside the model, by file name: the cells, where the head has such."""
        return files_of(self.head.partitions) if isinstance(self.head, HasCells) else {}

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_placing`)."""
        (of_net, net), (kind, of_head, head) = self.describing.save(), self.head.save()
        spec = {"net": of_net, "head": kind, "of_head": of_head, "spread_km": self.spread_km}
        return "placing", spec, {**net, **head}


@dataclass(frozen=True)
class RankedPlacing(Placing):
    """One that ranks the training photos too."""

    head: RankingHead

    def rank(self, photos: Photos, k: int) -> Ranking:
        """Return the k training photos that are likest to each photo."""
        return self.head.rank(self.embed(photos), k)

    def excluding(self, authors: NDArray[np.int64], sequences: NDArray[np.int64]) -> "RankedPlacing":
        """Return the same for N photos of these authors and sequences, whose own training photos do not count."""
        return replace(self, head=self.head.excluding(authors, sequences))


def load_placing(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Placing:
    """Return the predictor that `Placing.save` described.

    Raises:
        DataError, UsageError, ValueError, KeyError, TypeError, RuntimeError: as `load_describer`, or the head is none.
    """
    describing = load_describer(spec["net"], arrays, device)
    module, _, function = HEADS[spec["head"]].partition(":")
    head = getattr(import_module(module), function)(spec["of_head"], arrays)
    of_spread = float(spec.get("spread_km", 0.0))
    return (RankedPlacing if hasattr(head, "rank") else Placing)(describing, head, of_spread)


@dataclass(frozen=True)
class Located:
    """N photos with a known place: their vectors (N, D) of length 1, places (N, 2), and what else is known, (N,) each.

    `rows` are their positions among all photos of the side.
    """

    vectors: NDArray[np.float32]
    places: NDArray[np.float64]
    labels: NDArray[np.int64]
    authors: NDArray[np.int64]
    sequences: NDArray[np.int64]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, chosen: NDArray[np.bool_]) -> "Located":
        """Return some of the photos."""
        return Located(
            self.vectors[chosen],
            self.places[chosen],
            self.labels[chosen],
            self.authors[chosen],
            self.sequences[chosen],
            self.rows[chosen],
        )


@dataclass(frozen=True)
class Sides:
    """What a head is fitted on and chosen by, and the labels that are told apart."""

    training: Located
    validation: Located
    labels: LabelSet


def located(side: Training, vectors: NDArray[np.float32]) -> Located:
    """Return the photos of a side whose place is known."""
    rows = np.flatnonzero(~np.isnan(side.places).any(axis=1))
    return Located(vectors[rows], side.places[rows], side.labels[rows], side.authors[rows], side.sequences[rows], rows)


def described(
    training: Training, validation: Training, context: Context, net: str, size: int
) -> tuple[Describer, Sides]:
    """Return what describes photos, and both sides described by it.

    Raises:
        DataError: no training photo has a place.
    """
    require_places(training)
    describing = describer(net, size, context)
    sides = [located(side, vectors_of(describing, side)) for side in (training, validation)]
    return describing, Sides(sides[0], sides[1], training.label_set)


def require_places(training: Training) -> None:
    """Make sure that a training photo has a place.

    Raises:
        DataError: none has.
    """
    if np.isnan(training.places).any(axis=1).all():
        raise DataError("no training photo has a place: this method needs a manifest with coordinates")


def partition(
    places: NDArray[np.float64], labels: LabelSet, split: str, most: float, least: float, size: int = 0
) -> Stored:
    """Return the cells of places (N, 2) that parameters ask for, see `cells.grow.grown`.

    Raises:
        UsageError: there is no such split, or a share is out of range.
        DataError: no cell holds enough photos.
    """
    own = [Label(of, of, {}, labels.level, None, *at) for of, at in zip(labels.ids, labels.circles, strict=True)]
    return grown(split, places, labels.tree or own, len(labels), most, least, size)


Choice = TypeVar("Choice")


def best_of(candidates: Iterable[tuple[Choice, Places]], truth: NDArray[np.float64]) -> Choice:
    """Return the choice whose places of the validation photos are nearest to the truth (N, 2).

    Without validation photos whose place is known it is the first.
    """
    best: tuple[tuple[float, float], Choice] | None = None
    for choice, places in candidates:
        km = distances_km(places.latitude, places.longitude, truth[:, 0], truth[:, 1])
        score = (float(np.median(km)), float(km.mean())) if len(km) else (0.0, 0.0)
        if best is None or score < best[0]:
            best = score, choice
    if best is None:
        raise ValueError("there is nothing to choose from")
    log.info("chosen on validation: median %.3f km, mean %.3f km, %s", *best[0], best[1])
    return best[1]


def best_spread(places: Places, truth: NDArray[np.float64]) -> float:
    """Return the spread of SPREADS_KM, the same around all candidates, under which the places (N, 2) of the validation
    photos are likeliest; 0 where there are no candidates or no such photos.
    """
    if places.candidates is None or not len(truth):
        return 0.0
    densities = {km: Mixture.of(spread(places, km)) for km in SPREADS_KM}
    scores = {km: float(of.log_density(truth).mean()) for km, of in densities.items() if of is not None}
    return max(scores, key=lambda km: scores[km])


def spread(places: Places, km: float) -> Places:
    """Return places whose candidates spread by so many km; as they are where km is 0, or they state their own spreads."""
    if places.weights is None or places.spread_km is not None or not km:
        return places
    return replace(places, spread_km=np.full(places.weights.shape, km))


def likeliest(
    probabilities: NDArray[Any],
    answers: NDArray[np.float64],
    best: NDArray[np.int64],
    spreads_km: NDArray[np.float64] | None = None,
) -> Places:
    """Return places from probabilities (N, C) of C places (C, 2) with their spreads (C,), of which `best` (N,) are answered.

    At most CANDIDATES are kept, with their probabilities scaled to 1.
    """
    kept = min(CANDIDATES, probabilities.shape[1])
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :kept]
    weights = np.take_along_axis(probabilities, order, axis=1).astype(np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    chosen = answers[best]
    spreads = None if spreads_km is None else spreads_km[order]
    return Places(chosen[:, 0], chosen[:, 1], answers[order], weights, spreads)
