"""Cells learnt apart by scene: who is taught by whom, who answers, what is kept."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.methods.scenes import KINDS, SCENES, ScenePlacing, scene_shares, scene_variant
from benchmark.methods.types import Context
from benchmark.models import build, model_of
from benchmark.networks import backbones
from benchmark.networks.backbones import Pretrained
from collector.errors import DataError, UsageError
from tests.benchmark.methods.test_networks import DOT
from tests.benchmark.methods.test_places import bare, errors, ordinary

SCENIC = replace(DOT, name="dot/places365", pretrained=Pretrained("Places365", 365, "CC-BY-4.0", "page"))


@pytest.fixture(autouse=True)
def scenic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.BACKBONES, SCENIC.name, SCENIC)


def weights(reddest: str = "n") -> dict[str, torch.Tensor]:
    """Return a network that sees scenes in colours: red is one of them, blue indoors, all else in towns."""
    network = SCENIC.build(365)
    state = {name: torch.zeros_like(of) for name, of in network.state_dict().items()}
    state["1.weight"], state["1.running_var"] = torch.ones(6), torch.ones(6)
    for channel in range(3):
        state["0.weight"][channel, channel] = 1 / 25
    scenes = np.array(list(SCENES))
    state["5.weight"][torch.from_numpy(scenes == reddest), 0] = 9.0
    state["5.weight"][torch.from_numpy(scenes == "i"), 2] = 9.0
    state["5.bias"][torch.from_numpy(scenes == "u")] = 2.0
    return state


def fitted(training: Any, validation: Any, **changes: Any) -> Any:
    method = scene_variant("isn:dot/places365@scenes")
    assert method is not None
    parameters = {**method.of_tier("smoke"), "size": 24, "cs": "0.1", "iterations": 20, "fewest": 5, **changes}
    return method.fit(training, validation, Context(weights=weights()), **parameters)


def test_each_scene_is_answered_by_its_own_head() -> None:
    training, test = ordinary(45, 0, "train"), ordinary(12, 2, "test")
    predictor = fitted(training, ordinary(12, 1, "val"))
    assert isinstance(predictor, ScenePlacing)
    shares = scene_shares(predictor.describing, bare(test))
    assert shares.shape == (12, 3)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    # Red photos are label 0, blue ones 2.
    assert [KINDS[scene] for scene in shares.argmax(axis=1)[:3]] == ["n", "u", "i"]
    assert all(predictor.heads)
    places, vectors = predictor.predict_places(bare(test)), predictor.embed(bare(test))
    for row, scene in enumerate(shares.argmax(axis=1)):
        own = predictor.heads[scene].places(vectors[row : row + 1])
        assert (places.latitude[row], places.longitude[row]) == (own.latitude[0], own.longitude[0])
    assert np.median(errors(predictor, test)) < 30
    assert places.weights is not None
    assert np.allclose(places.weights.sum(axis=1), 1)
    assert set(predictor.files()) == {"cells.geojson", "cells.svg"}


def test_a_scene_with_few_photos_is_answered_by_what_all_taught() -> None:
    training, test = ordinary(18, 0, "train"), ordinary(6, 2, "test")
    predictor = fitted(training, ordinary(6, 1, "val"), fewest=10)
    assert predictor.heads == (None, None, None)
    wanted = predictor.whole.places(predictor.embed(bare(test)))
    assert np.array_equal(predictor.predict_places(bare(test)).latitude, wanted.latitude)


def test_its_model_answers_as_it_does() -> None:
    training, test = ordinary(30, 0, "train"), ordinary(6, 2, "test")
    predictor = fitted(training, ordinary(6, 1, "val"), fewest=8)
    model = model_of(predictor, training.classes, {}, {})
    assert model is not None
    again: Any = build(model, "cpu", "it")
    assert np.allclose(again.predict_places(bare(test)).latitude, predictor.predict_places(bare(test)).latitude)
    for broken in ({}, {**model.spec, "heads": model.spec["heads"][:2]}):
        with pytest.raises(DataError, match="export it again"):
            build(replace(model, spec=broken), "cpu", "it")


def test_it_wants_the_outputs_of_places365() -> None:
    assert scene_variant("isn:resnet18/places365@scenes") is not None
    for name in (
        "isn:resnet18/imagenet@scenes",
        "isn:gist@scenes",
        "isn:nothing@scenes",
        "cells:resnet18/places365@scenes",
    ):
        assert scene_variant(name) is None
    with pytest.raises(UsageError, match="share 0"):
        fitted(ordinary(6, 0, "train"), ordinary(3, 1, "val"), share=0.0)


def test_the_scenes_are_those_of_places365() -> None:
    assert len(SCENES) == 365
    assert set(SCENES) == set(KINDS)
    if "T15_REAL_DATA" not in os.environ:
        pytest.skip("needs T15_REAL_DATA")
    lines = (Path(os.environ["T15_REAL_DATA"]) / "places365_meta" / "IO_places365.txt").read_text().splitlines()
    assert ["i" if line.split()[1] == "1" else "" for line in lines] == [s if s == "i" else "" for s in SCENES]
    named = {line.split()[0][3:]: scene for line, scene in zip(lines, SCENES, strict=True)}
    assert [named[name] for name in ("forest/broadleaf", "street", "kitchen", "glacier", "plaza")] == list("nuinu")
