"""Several steps through frozen layers in one pass, with what each step would have given alone.

In training mode a batch normalisation averages over its own step and then moves its running statistics, and dropout draws for
its step. These layers are applied step by step, in order; all others see the whole pass.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

_KNOWN = ("torch.nn.", "torchvision.models.", "torchvision.ops.misc")
"""Where modules come from of which it is known that they treat each photo by itself, the two kinds above apart."""


def can_be_grouped(layers: nn.Module) -> bool:
    """Return whether all that is inside is known to be the same for photos in one pass as step by step."""
    return all(type(module).__module__.startswith(_KNOWN) for module in layers.modules())


def seeded_state(seed: int) -> Tensor:
    """Return the state of the CPU's generator after `torch.manual_seed(seed)`."""
    return torch.Generator().manual_seed(seed).get_state()


@contextmanager
def step_by_step(layers: nn.Module, lengths: Sequence[int], states: list[Tensor]) -> Iterator[None]:
    """Make `layers` treat a pass as steps of so many photos each.

    Args:
        layers: in training mode.
        lengths: photos of each step.
        states: of the CPU's generator at the start of each step; afterwards those that the steps leave behind.
    """
    changed = [module for module in layers.modules() if isinstance(module, (_BatchNorm, _DropoutNd))]
    for module in changed:
        module.forward = _stepwise(module, lengths, states)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _stepwise(module: nn.Module, lengths: Sequence[int], states: list[Tensor]) -> Callable[[Tensor], Tensor]:
    original, draws = module.forward, isinstance(module, _DropoutNd)

    def forward(photos: Tensor) -> Tensor:
        found = []
        for step, part in enumerate(photos.split(list(lengths))):
            if draws:
                torch.set_rng_state(states[step])
            found.append(original(part))
            if draws:
                states[step] = torch.get_rng_state()
        return torch.cat(found)

    return forward
