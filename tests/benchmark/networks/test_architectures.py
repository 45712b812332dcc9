"""The networks that can be trained."""

import pytest
import torch

from benchmark.networks.architectures import ARCHITECTURES


@pytest.mark.parametrize(("name", "weights"), [("alexnet", 57_065_295), ("resnet18", 11_184_207)])
def test_a_network_has_as_many_outputs_as_classes(name: str, weights: int) -> None:
    network = ARCHITECTURES[name](15)
    assert sum(weight.numel() for weight in network.parameters()) == weights
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 15)


def test_weights_come_from_the_seed_and_are_not_pretrained() -> None:
    first, second, other = (_first_weights(seed) for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def _first_weights(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return next(ARCHITECTURES["resnet18"](3).parameters()).detach()
