"""Rows that use a network: what they learn from, what they keep, what comes back of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.methods import networks
from benchmark.methods.training import training_photos
from benchmark.methods.types import Context
from benchmark.models import load_predictor, save_predictor
from benchmark.networks import backbones
from benchmark.networks.backbones import Backbone, Preprocessing, Pretrained
from benchmark.photos import WorkspacePhotos, photos_of
from tests.benchmark.conftest import World

CLASSES = ("zulu", "alpha", "mike")


def layers(network: torch.nn.Module) -> list[torch.nn.Module]:
    return list(network.children())


def build(classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 5, stride=4),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, classes),
    )


DOT = Backbone(
    "dot/colours", "Dot", build, layers, "5", {"a": 1, "b": 2, "c": 3}, Pretrained("colours", 9, "CC0-1.0", "page")
)


@pytest.fixture(autouse=True)
def dot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backbone]:
    monkeypatch.setitem(backbones.BACKBONES, DOT.name, DOT)
    return DOT  # type: ignore[return-value]


def fit(world: World, name: str, seed: int = 0, context: Context | None = None, **changes: Any) -> Any:
    method = networks.transfer_variant(name)
    assert method is not None
    parameters = {**method.of_tier("smoke"), "size": 28, **changes}
    training, validation = (
        training_photos(world.manifest, side, WorkspacePhotos(world.workspace)) for side in ("train", "val")
    )
    return method.fit(training, validation, replace(context or Context(), seed=seed), **parameters)


def weights(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(build(9).state_dict())


@pytest.mark.parametrize("name", ["features:dot/colours", "finetune-classifier:dot/colours", "finetune:dot/colours"])
def test_a_row_predicts_and_comes_back_from_its_file(world: World, tmp_path: Path, name: str) -> None:
    fitted = fit(world, name, context=Context(weights=weights(1), weights_digest="ab" * 32))
    test = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    said = fitted.predict_labels(test)
    assert said.shape == (6, 3)
    assert np.allclose(said.sum(axis=1), 1, atol=1e-4)
    assert save_predictor(tmp_path / "model", fitted, CLASSES, {})
    predictor, info = load_predictor(tmp_path / "model", "cpu")
    loaded: Any = predictor
    assert info.classes == CLASSES
    # Not to the bit: a network in another memory layout adds up in another order.
    assert np.allclose(loaded.predict_labels(test), said, atol=1e-5)
    assert np.allclose(loaded.embed(test), fitted.embed(test), atol=1e-5)


def test_features_are_those_of_the_given_weights(world: World) -> None:
    test = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    first, again, other, unknown = (
        fit(world, "features:dot/colours", context=of).embed(test)
        for of in (
            Context(weights=weights(1), weights_digest="01" * 32),
            Context(weights=weights(1), weights_digest="01" * 32),
            Context(weights=weights(2), weights_digest="02" * 32),
            Context(),
        )
    )
    assert first.shape == (6, 6)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first, unknown)


SHAPES = {
    "torchvision's": (Preprocessing(), 32, "bilinear"),
    "its own": (
        Preprocessing(resize=224, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), interpolation="bicubic"),
        28,
        "bicubic",
    ),
}


@pytest.mark.parametrize("named", SHAPES)
def test_features_see_what_a_test_transform_sees(world: World, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    """The centre of the photo, its shorter side resized in the backbone's proportion to the crop, as it says."""
    shape, side, interpolation = SHAPES[named]
    monkeypatch.setitem(backbones.BACKBONES, DOT.name, replace(DOT, preprocessing=shape))
    photos = photos_of(world.manifest, "test", WorkspacePhotos(world.workspace))
    fitted = fit(world, "features:dot/colours", context=Context(weights=weights(1), weights_digest="03" * 32))
    crops = []
    for picture in photos.pictures(side, interpolation):
        height, width = picture.shape[1:]
        top, left = (height - 28) // 2, (width - 28) // 2
        crops.append(picture[:, top : top + 28, left : left + 28])
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in (shape.mean, shape.std))
    batch = (torch.from_numpy(np.stack(crops)).float() / 255 - mean) / std
    with torch.inference_mode():
        expected = fitted.network[:-1](batch).numpy()
    assert np.allclose(fitted.embed(photos), expected, atol=1e-5)


def test_a_learning_curve_is_written(world: World, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    fit(world, "finetune-c:dot/colours", context=Context(weights=weights(1), curve=path), epochs=3)
    curve = json.loads(path.read_text())
    assert [epoch["number"] for epoch in curve] == [1, 2, 3]
    assert {"loss", "validation_accuracy", "learning_rate"} <= set(curve[0])


def test_what_is_frozen_keeps_its_weights(world: World) -> None:
    before = weights(1)
    for name, learns in (("finetune-classifier", "5"), ("finetune-c", "5"), ("finetune-a", "1"), ("finetune", "0")):
        fitted = fit(world, f"{name}:dot/colours", context=Context(weights=before), learning_rate=0.1)
        after = fitted.network.state_dict()
        for part in ("0.weight", "1.weight"):
            assert torch.equal(after[part], before[part]) == (part[0] < learns), (name, part)
