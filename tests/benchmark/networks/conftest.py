"""A network small enough for tests."""

import pytest
import torch

from benchmark.networks import architectures


def dot(classes: int) -> torch.nn.Module:
    """Return a network of a few dozen weights that sees the colours of a photo."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 5, stride=4),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, classes),
    )


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(architectures.ARCHITECTURES, "dot", dot)
    return "dot"
