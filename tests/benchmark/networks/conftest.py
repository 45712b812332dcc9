"""Networks small enough for tests, and photos to train them on."""

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from benchmark.methods.training import training_photos
from benchmark.networks import backbones
from benchmark.networks.backbones import Backbone
from benchmark.photos import LabelledPhotos, WorkspacePhotos
from tests.benchmark.conftest import World, make_world

Sides = tuple[LabelledPhotos, LabelledPhotos]


def dot(classes: int) -> nn.Module:
    """Return a network of a few dozen weights that sees the colours of a photo."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, classes),
    )


def norm(classes: int) -> nn.Module:
    """Return one with everything that steps have to be kept apart for: batch normalisation and dropout, frozen and not."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.Dropout2d(0.2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(8, classes),
    )


def children(network: nn.Module) -> Sequence[nn.Module]:
    return list(network.children())


DOT = Backbone("dot", "Dot", dot, children, "4", {"a": 2})
NORM = Backbone("norm", "Norm", norm, children, "10", {"a": 3, "b": 5, "c": 7})


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> str:
    """Make `dot` known, and `norm`; return the former's name."""
    monkeypatch.setitem(backbones.BACKBONES, "dot", DOT)
    monkeypatch.setitem(backbones.BACKBONES, "norm", NORM)
    return "dot"


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("networks"))


@pytest.fixture
def sides(small_world: World) -> Sides:
    manifest, workspace = small_world.manifest, small_world.workspace
    return training_photos(manifest, "train", WorkspacePhotos(workspace)), training_photos(
        manifest, "val", WorkspacePhotos(workspace)
    )


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
