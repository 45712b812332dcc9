"""What a step of training is besides the network: the optimiser and its rates, targets, the loss, averaged weights.

Both engines take it from here. The paper's recipe is SGD with momentum and a rate that falls every few epochs. Today's is
AdamW (Loshchilov and Hutter 2019) with a cosine; layers that lie deeper learn more slowly (layer-wise decay, Howard and
Ruder 2018), photos and labels are mixed (mixup, Zhang et al. 2018), and a moving average of the weights is what is kept.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.networks.backbones import Backbone
from benchmark.networks.recipe import Recipe

_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # torch's defaults for AdamW


class Optimisation:
    """The optimiser of a run, and how its steps are rated.

    Args:
        network: on its device; weights that learn require gradients.
        backbone: the recipe's.
        recipe: which optimiser, and how.
        captured: whether steps are captured as CUDA graphs: rates then are tensors, updates fused.
    """

    def __init__(self, network: nn.Module, backbone: Backbone, recipe: Recipe, captured: bool = False) -> None:
        self.recipe = recipe
        groups, self._shares = parameter_groups(network, backbone, recipe)
        device = next(network.parameters()).device
        # A captured step can neither look at a number that changes nor tell the first step from others: the rates are
        # tensors, and moments are there from the start. Moments of 0 make the first step what it is without.
        for group in groups:
            group["lr"] = torch.tensor(recipe.learning_rate, device=device) if captured else recipe.learning_rate
        self.optimiser: torch.optim.Optimizer
        # Fused, the update rounds otherwise; on a CPU it would not be much quicker either.
        if recipe.optimiser == "adamw":
            self.optimiser = torch.optim.AdamW(
                groups, betas=_BETAS, eps=_EPSILON, weight_decay=recipe.weight_decay, fused=captured or None
            )
        else:
            self.optimiser = torch.optim.SGD(
                groups, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=captured or None
            )
        for _, weight in _learning(self.optimiser):
            self.optimiser.state[weight].update(_first_state(weight, recipe, captured))

    def set_rate(self, rate: float) -> None:
        """Make every group learn at its share of this rate."""
        for group, share in zip(self.optimiser.param_groups, self._shares, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * share)  # in place: a captured step reads it there
            else:
                group["lr"] = rate * share

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy (nats) of scores (N, C); targets are labels (N,) or shares of labels (N, C)."""
        return functional.cross_entropy(scores, targets, label_smoothing=self.recipe.label_smoothing)

    def state(self) -> dict[str, Tensor]:
        """Return what the optimiser remembers of each weight that learns."""
        found = ((number, self.optimiser.state[weight]) for number, weight in _learning(self.optimiser))
        return {
            f"{number}.{name}": tensor
            for number, state in found
            for name, tensor in state.items()
            if tensor is not None
        }

    def resume(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` returned, in the layout of the weights."""
        weights = dict(_learning(self.optimiser))
        for key, tensor in state.items():
            number, _, name = key.partition(".")
            weight = weights[int(number)]
            like = torch.empty_like(weight) if tensor.shape == weight.shape else torch.empty_like(tensor)
            self.optimiser.state[weight][name] = like.copy_(tensor)


def rate_at(recipe: Recipe, epochs: float) -> float:
    """Return the learning rate after so many epochs, parts of one included.

    `cosine` rises linearly over `warm_up` epochs, then falls as half a cosine to 0 at the last.
    """
    if recipe.schedule == "steps":
        return float(recipe.learning_rate * recipe.decay ** (int(epochs) // recipe.decay_every))
    if epochs < recipe.warm_up:
        return recipe.learning_rate * epochs / recipe.warm_up
    share = (epochs - recipe.warm_up) / max(recipe.epochs - recipe.warm_up, 1e-9)
    return recipe.learning_rate * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def rates_of(recipe: Recipe, epoch: int, steps: int) -> list[float]:
    """Return the learning rate of each step of an epoch (from 1); that of a cosine is taken in the middle of the step."""
    if recipe.schedule == "steps":
        return [rate_at(recipe, epoch - 1)] * steps
    return [rate_at(recipe, epoch - 1 + (step + 0.5) / steps) for step in range(steps)]


def mixed(photos: Tensor, labels: Tensor, classes: int, alpha: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the photos of a step mixed in pairs, and the shares of their labels (N, C).

    Args:
        photos: (N, …).
        labels: (N,) positions among the classes.
        classes: how many there are.
        alpha: of Beta(alpha, alpha), of which the step's share is drawn.
        seed: of the share and of the pairs.
    """
    rng = np.random.default_rng(seed)
    share = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(labels))).to(labels.device)
    shares = functional.one_hot(labels, classes).to(photos.dtype)
    return torch.lerp(photos[partner], photos, share), torch.lerp(shares[partner], shares, share)


def parameter_groups(
    network: nn.Module, backbone: Backbone, recipe: Recipe
) -> tuple[list[dict[str, object]], list[float]]:
    """Return the weights that learn in groups for an optimiser, and of each group its share of the learning rate.

    SGD with one rate has one group, as the tutorial has. AdamW's decay leaves vectors out: biases and normalisation.
    """
    learning = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    spares_vectors = recipe.optimiser == "adamw"
    depths = layer_depths(network, backbone) if recipe.layer_decay < 1 else {}
    deepest = max(depths.values(), default=0)
    groups: dict[tuple[int, bool], list[Tensor]] = {}
    for name, weight in learning.items():
        groups.setdefault((depths.get(name, deepest), spares_vectors and weight.ndim < 2), []).append(weight)
    found: list[dict[str, object]] = [
        {"params": weights, **({"weight_decay": 0.0} if bare else {})} for (_, bare), weights in groups.items()
    ]
    return found, [recipe.layer_decay ** (deepest - depth) for depth, _ in groups]


def layer_depths(network: nn.Module, backbone: Backbone) -> dict[str, int]:
    """Return the depth of each weight by name, from 0 at the photo: what timm's networks say of themselves, for others the
    place of its module among the backbone's layers.

    Adapters lie as deep as what they adapt. Weights of which nothing is known are missing.
    """
    matcher: Any = getattr(network, "group_matcher", None)
    if matcher is not None:
        from timm.models import group_parameters

        found = group_parameters(network, matcher(coarse=False), reverse=True)
        return {name: int(depth) for name, depth in found.items()}
    position = {id(weight): at for at, layer in enumerate(backbone.layers(network)) for weight in layer.parameters()}
    return {name: position[id(weight)] for name, weight in network.named_parameters() if id(weight) in position}


class Average:
    """A moving average of the tensors that a network changes, from their values at the beginning.

    After step t it keeps min(decay, (1 + t) / (10 + t)) of itself, so that the beginning is soon forgotten.
    """

    def __init__(self, tensors: Mapping[str, Tensor], decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.tensors = {name: tensor.detach().clone() for name, tensor in tensors.items()}

    @torch.no_grad()
    def update(self, tensors: Mapping[str, Tensor]) -> None:
        """Take in the values after a step; whole numbers are taken as they are."""
        self.steps += 1
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                self.tensors[name].lerp_(tensor, 1 - keep)
            else:
                self.tensors[name].copy_(tensor)

    @contextmanager
    def inside(self, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """Put the average in place of the network's own values for a while."""
        own = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        overwrite(tensors, self.tensors)
        try:
            yield
        finally:
            overwrite(tensors, own)


@torch.no_grad()
def overwrite(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy values into tensors of the same names."""
    for name, tensor in tensors.items():
        tensor.copy_(values[name])


def _first_state(weight: Tensor, recipe: Recipe, captured: bool) -> dict[str, Tensor]:
    if recipe.optimiser == "adamw":
        moments = {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}
        return {"step": torch.zeros((), device=weight.device if captured else "cpu"), **moments}
    return {"momentum_buffer": torch.zeros_like(weight)} if recipe.momentum else {}


def _learning(optimiser: torch.optim.Optimizer) -> list[tuple[int, Tensor]]:
    return list(enumerate(weight for group in optimiser.param_groups for weight in group["params"]))
