"""A run's network before its first step."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmark.networks.backbones import Backbone, frozen_modules, with_classes
from benchmark.networks.recipe import Recipe
from collector.errors import DataError, UsageError, one_line


def starting_network(
    backbone: Backbone, recipe: Recipe, classes: int, seed: int, weights: Mapping[str, Tensor] | None
) -> nn.Module:
    """Return the network on the CPU, its frozen weights marked as such (`requires_grad`).

    Args:
        backbone: the recipe's.
        recipe: says what is frozen.
        classes: outputs of the classifier.
        seed: of random weights, and of the new classifier's.
        weights: state of the pre-trained network, with the classifier that it was trained with; None for random ones.

    Raises:
        DataError: the weights are those of another network.
        UsageError: the backbone has no such cut.
    """
    torch.manual_seed(seed)
    if weights is None or backbone.pretrained is None:
        network = backbone.build(classes)
    else:
        network = backbone.build(backbone.pretrained.classes)
        _load(network, weights, backbone.name)
        network = with_classes(network, backbone, classes)
    freeze(network, backbone, recipe.frozen)
    return network


def freeze(network: nn.Module, backbone: Backbone, frozen: str) -> None:
    """Mark the weights that are kept."""
    for module in frozen_modules(network, backbone, frozen):
        module.requires_grad_(False)


def smallest_step(network: nn.Module, recipe: Recipe, photos: int) -> int:
    """Return how many photos a step needs: 2 where batch normalisation has maps of one place, and nothing to average over one
    photo (a ResNet at crops of 32 pixels), else 1.

    The last step of an epoch is left out if it has fewer: the tutorial's loop would stop there with an error. Its photo
    differs from epoch to epoch.

    Raises:
        UsageError: all steps have one photo.
    """
    normalised = any(isinstance(module, _BatchNorm) for module in network.modules())
    if not normalised or (recipe.batch > 1 and photos % recipe.batch != 1):
        return 1
    # Without numbers: nothing is computed, and no running statistics change.
    shadow = copy.deepcopy(network).to("meta").train()
    try:
        shadow(torch.empty(1, 3, recipe.size, recipe.size, device="meta"))
    except ValueError as error:  # "Expected more than 1 value per channel when training"
        if recipe.batch == 1:
            raise UsageError(
                f"batch 1 at {recipe.size} pixels: {recipe.backbone} normalises over a step and has nothing to average; "
                "take a batch of 2 or larger crops"
            ) from error
        return 2
    return 1


def _load(network: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        reason = one_line(error)
        raise DataError(f"{name}: the weights are not this network's ({reason}); bring the right file") from error
