"""Vectors of networks that do not learn: what is pooled, what is kept, in which number format."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.features.vectors import POOLINGS, Tower, check_stored, pooled, quickest
from benchmark.networks import backbones
from benchmark.networks.backbones import Backbone, Preprocessing
from benchmark.photos import Photos, WorkspacePhotos
from collector.errors import DataError, UsageError
from collector.workspace import Workspace
from tests.benchmark.conftest import paint, png, store


class Tokens(nn.Module):
    """Patches of 4 pixels as tokens, two tokens of no place before them; counts the photos that pass."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.patches, self.norm, self.head = nn.Conv2d(3, 5, 4, 4), nn.Identity(), nn.Linear(5, 2)
        self.scale, self.passed = scale, 0

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        self.passed += len(photos)
        places = self.patches(photos).flatten(2).transpose(1, 2)
        tokens = self.norm(torch.cat([places[:, :1] + 1, places[:, :1] - 1, places], dim=1) * self.scale)
        out: torch.Tensor = self.head(tokens.amax(dim=1))
        return out


VIT = Backbone(
    "vit/made",
    "Tokens",
    lambda classes: Tokens(),
    lambda network: [network],
    "head",
    preprocessing=Preprocessing(16, 16, rounding="torchvision"),
    tokens="norm",
    prefix=2,
    patch=4,
    width=5,
)


@pytest.fixture(autouse=True)
def vit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.BACKBONES, VIT.name, VIT)


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    workspace = Workspace(tmp_path / "workspace")
    digests = tuple(store(workspace, png(paint(seed, 40 * seed))) for seed in range(5))
    return Photos(tuple(f"folder:{seed}" for seed in range(5)), digests, WorkspacePhotos(workspace))


def passed(of: Tower) -> int:
    assert isinstance(of.network, Tokens)
    return of.network.passed


def tower(scale: float = 1.0, **changes: Any) -> Tower:
    torch.manual_seed(3)
    of = Tower(Tokens(scale).eval(), VIT.name, 16, "ab" * 32, "cpu", stored="float16")
    return replace(of, **changes)


def test_poolings_are_those_of_slow_loops() -> None:
    torch.manual_seed(0)
    network = Tokens().eval()
    batch = torch.randn(3, 3, 16, 16)
    tokens: list[torch.Tensor] = []
    network.norm.register_forward_hook(lambda module, given, gives: tokens.append(gives))
    with torch.inference_mode():
        found = pooled(network, VIT, batch).numpy()
    for row, of in enumerate(tokens[0].numpy()):
        places = of[2:]
        gem = [np.mean([max(value, 1e-6) ** 3 for value in places[:, column]]) ** (1 / 3) for column in range(5)]
        assert np.allclose(found[row], [*of.max(axis=0), *of[0], *places.mean(axis=0), *gem], atol=1e-5)


def test_a_network_of_maps_has_no_class_token() -> None:
    resnet = backbones.BACKBONES["resnet18"]
    network = resnet.build(5).eval()
    with torch.inference_mode():
        found = pooled(network, resnet, torch.randn(1, 3, 64, 64))
    assert resnet.poolings == ("penultimate", "mean", "gem")
    assert found.shape == (1, 3 * 512)
    assert torch.allclose(found[:, :512], found[:, 512:1024], atol=1e-5)  # its last pooling is the mean
    assert (found[:, 1024:] >= found[:, 512:1024] - 1e-5).all()  # the power mean is no smaller


def test_a_photo_passes_once_for_all_poolings_and_runs(photos: Photos) -> None:
    first = tower()
    found = {pooling: replace(first, pooling=pooling).embed(photos) for pooling in POOLINGS}
    assert passed(first) == 5
    again = tower()
    assert all(np.array_equal(replace(again, pooling=of).embed(photos), found[of]) for of in POOLINGS)
    assert passed(again) == 0
    assert {of.shape for of in found.values()} == {(5, 5)}
    assert not np.allclose(found["mean"], found["gem"])


@pytest.mark.parametrize("changes", [{"weights_digest": "cd" * 32}, {"size": 12}, {"stored": "float32"}])
def test_what_a_vector_depends_on_makes_another(photos: Photos, changes: dict[str, Any]) -> None:
    tower().embed(photos)
    other = tower(**changes)
    other.embed(photos)
    assert passed(other) == 5


def test_random_weights_are_not_kept(photos: Photos) -> None:
    of = tower(weights_digest=None)
    of.embed(photos)
    before = passed(of)
    of.embed(photos)
    assert passed(of) > before


def test_half_precision_is_near_and_what_does_not_fit_is_refused(photos: Photos) -> None:
    half, whole = tower().embed(photos), tower(stored="float32").embed(photos)
    assert half.dtype == np.float16
    assert np.allclose(half, whole, rtol=1e-3, atol=1e-4)
    for scale in (1e6, 1e-7):
        with pytest.raises(DataError, match=r"folder:0.*float16.*stored=float32"):
            tower(scale, weights_digest=f"{scale}").embed(photos)


def test_no_photos_have_no_vectors(photos: Photos) -> None:
    assert tower(pooling="gem").embed(Photos((), (), photos.store)).shape == (0, 5)


@pytest.mark.parametrize(
    ("changes", "said"), [({"pooling": "max"}, "choose one of penultimate, cls, mean, gem"), ({"size": 18}, "take 16")]
)
def test_what_a_network_has_not_is_said(photos: Photos, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tower(**changes).embed(photos)


def test_bf16_is_near_and_is_kept_apart(photos: Photos) -> None:
    exact = tower(weights_digest="cd" * 32).embed(photos).astype(np.float32)
    half = tower(weights_digest="cd" * 32, computed="bf16")
    near = half.embed(photos).astype(np.float32)
    assert passed(half) == len(photos)  # not those of float32
    assert np.abs(near - exact).max() < 0.02 * np.abs(exact).max()
    assert not np.array_equal(near, exact)
    assert tower(weights_digest="cd" * 32).feature().key != half.feature().key
    with pytest.raises(UsageError, match="float32, bf16"):
        check_stored("float32", "int8")


def test_the_quickest_batch_is_found_among_those_that_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of one's own: 64 at a time take the least each, 256 have no room."""
    clock = [0.0]
    took = {32: 3.2, 64: 3.2, 128: 12.8}

    def compute(crops: torch.Tensor) -> torch.Tensor:
        if len(crops) == 256:
            raise torch.OutOfMemoryError
        clock[0] += took[len(crops)]
        return crops

    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    assert quickest(compute, torch.empty(256, 1)) == 64
    took.update({64: 6.4, 128: 3.2})
    assert quickest(compute, torch.empty(256, 1)) == 128
    took.update({128: 12.8})
    assert quickest(compute, torch.empty(256, 1)) == 32


@pytest.mark.gpu
def test_on_a_gpu_vectors_are_those_of_the_cpu(photos: Photos) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    here = tower(weights_digest=None).embed(photos)
    of = tower(weights_digest=None)
    there = replace(of, network=of.network.to("cuda"), device="cuda").embed(photos)
    assert np.allclose(here.astype(np.float32), there.astype(np.float32), atol=1e-3)
