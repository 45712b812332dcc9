"""A tiny network trained on cells: the cells that it learns from, what it answers, what is kept of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmark.methods.planet import CellNetwork, planet_variant
from benchmark.methods.types import Context
from benchmark.models import build, model_of
from benchmark.networks import backbones
from collector.errors import DataError
from tests.benchmark.methods.test_networks import DOT
from tests.benchmark.methods.test_places import bare, errors, ordinary

FAST = {"size": 28, "epochs": 3, "batch": 8, "learning_rate": 0.03, "smallest_crop": 0.5}


@pytest.fixture(autouse=True)
def dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.BACKBONES, DOT.name, DOT)


def fitted(training: Any, validation: Any, **changes: Any) -> Any:
    method = planet_variant("planet:dot/colours")
    assert method is not None
    return method.fit(training, validation, Context(), **{**method.of_tier("smoke"), **FAST, **changes})


def test_it_learns_cells_and_answers_with_their_places() -> None:
    training, test = ordinary(48, 0, "train"), ordinary(12, 2, "test")
    predictor = fitted(training, ordinary(12, 1, "val"), most=1.5, epochs=12)
    assert isinstance(predictor, CellNetwork)
    assert predictor.trained.classes == len(predictor.cells.answers)
    assert np.median(errors(predictor, test)) < 60
    places = predictor.predict_places(bare(test))
    assert places.weights is not None
    assert np.allclose(places.weights.sum(axis=1), 1)
    assert set(predictor.files()) == {"cells.geojson", "cells.svg"}
    assert predictor.embed(bare(test)).shape == (12, 6)


def test_its_model_answers_as_it_does() -> None:
    training, test = ordinary(18, 0, "train"), ordinary(6, 2, "test")
    predictor = fitted(training, ordinary(6, 1, "val"))
    model = model_of(predictor, training.classes, {}, {})
    assert model is not None
    again: Any = build(model, "cpu", "it")
    assert np.allclose(again.predict_places(bare(test)).latitude, predictor.predict_places(bare(test)).latitude)
    for broken in ({}, {"network": {"classes": 10**9}}):
        with pytest.raises(DataError, match="export it again"):
            build(replace(model, spec=broken), "cpu", "it")


def test_photos_without_a_place_are_not_learnt_from_and_may_be_missing_on_validation() -> None:
    training, nowhere = ordinary(16, 0, "train"), ordinary(6, 1, "val")
    half = replace(training, places=np.where(np.arange(16)[:, None] % 2, np.nan, training.places))
    nowhere = replace(nowhere, places=np.full((6, 2), np.nan))
    predictor = fitted(half, nowhere, least=0.0)
    assert predictor.cells.counts.sum() == 8
    assert predictor.trained.recipe.selection == "last-epoch"
    with pytest.raises(DataError, match="no training photo has a place"):
        fitted(nowhere, nowhere)


def test_it_stands_on_any_network() -> None:
    tuned, scratch = planet_variant("planet:resnet18/places365"), planet_variant("planet:resnet18")
    assert tuned is not None
    assert scratch is not None
    assert (tuned.backbone, tuned.pretraining, *tuned.gives) == ("resnet18/places365", "Places365", "places")
    assert scratch.pretraining == "none"
    for one in (tuned, scratch):
        assert one.paper is None
        assert one.stochastic
    for name in ("planet:nothing", "planet:", "cells:resnet18", "planet"):
        assert planet_variant(name) is None
