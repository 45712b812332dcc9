"""How a network is trained: every value, in one place; and the network before its first step."""

import copy
import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from benchmark.networks.backbones import FROZEN, Backbone, find_backbone, frozen_modules, with_classes
from collector.errors import DataError, UsageError, one_line

if TYPE_CHECKING:  # lists of methods are shown without torch, which takes seconds
    from torch import Tensor, nn

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h

SELECTIONS = ("best-on-validation", "last-epoch")
ENGINES = ("fast", "reference")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. The defaults are those of the paper and, where it is silent, of the PyTorch
    transfer-learning tutorial that it follows (docs/methods.md).

    Attributes:
        backbone: a name of `backbones()`; with a slash it starts from pre-trained weights, else from random ones.
        frozen: how much keeps its weights, one of FROZEN. Frozen BatchNorm layers still update their statistics, as in the
            tutorial, whose whole network is in training mode.
        learning_rate, momentum, weight_decay: of SGD.
        batch: photos a step; the last step of an epoch may have fewer.
        epochs: passes over the training photos.
        decay_every, decay: the learning rate is multiplied by `decay` every `decay_every` epochs.
        size: pixels of the square crop that the network sees.
        smallest_crop: least share of the photo's area that a random crop covers (RandomResizedCrop's scale).
        flip: probability that a training photo is mirrored.
        selection: `best-on-validation` keeps the epoch with the highest validation accuracy, the earliest of equals;
            `last-epoch` keeps the last.
        crops_from: where random crops are cut out of: `resized` photos, resized once and kept; or the `originals`, as in the
            tutorial, decoded anew in each epoch: sharper where photos are large, and slower.
        optimiser: `sgd`, or `adamw` with its usual moments.
        schedule: `steps`, as `decay_every` and `decay` say; or `cosine`, down to 0 over all steps.
        warm_up: epochs over which the learning rate of `cosine` rises from 0.
        layer_decay: learning rate of a layer, as a share of that of the next layer (discriminative rates).
        label_smoothing: share of a photo's label that is spread over all labels.
        mixup: alpha of the Beta distribution by which photos of a step are mixed in pairs; 0 mixes none.
        average: decay of a moving average of the weights, a step; the average is what is judged and kept. 0 for none.
        adapters: rank of what is learnt beside each weight matrix of a transformer, which itself is kept (LoRA); 0 for none.
        probe: whether the classifier is first fitted on vectors of the network as it begins (linear probe, then fine-tuning).
        interpolate: whether the weights that are kept lie between those at the beginning and those at the end (WiSE-FT),
            where validation accuracy is highest.
    """

    backbone: str
    frozen: str = "none"
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch: int = 4
    epochs: int = 25
    decay_every: int = 7
    decay: float = 0.1
    size: int = 224
    smallest_crop: float = 0.08
    flip: float = 0.5
    selection: str = "best-on-validation"
    crops_from: str = "resized"
    optimiser: str = "sgd"
    schedule: str = "steps"
    warm_up: int = 0
    layer_decay: float = 1.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    average: float = 0.0
    adapters: int = 0
    probe: bool = False
    interpolate: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} {getattr(self, name)!r}: choose {', '.join(choices)}")
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:  # also of a value that is no number
                raise UsageError(f"{name} {getattr(self, name)}: must be at least {least}")
        if not 0 < self.smallest_crop <= 1 or not 0 <= self.flip <= 1:
            raise UsageError(f"smallest_crop {self.smallest_crop}, flip {self.flip}: shares, from 0 to 1")
        for name in ("label_smoothing", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: a share, from 0 to below 1")
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"layer_decay {self.layer_decay}: a share above 0, at most 1")
        if self.adapters and self.frozen != "none":
            raise UsageError(f"adapters {self.adapters}, frozen {self.frozen!r}: adapters keep all weights themselves")

    @property
    def resize(self) -> int:
        """The shorter side before any crop: for most backbones 256 for crops of 224, in proportion for others."""
        return find_backbone(self.backbone).preprocessing.at(self.size).resize


_LEAST = {
    **{"learning_rate": 0, "momentum": 0, "weight_decay": 0, "decay": 0, "warm_up": 0, "mixup": 0, "adapters": 0},
    **{"batch": 1, "epochs": 1, "decay_every": 1, "size": 16},
}
_CHOICES = {
    "selection": SELECTIONS,
    "frozen": FROZEN,
    "crops_from": ("resized", "originals"),
    "optimiser": ("sgd", "adamw"),
    "schedule": ("steps", "cosine"),
}


def starting_network(
    backbone: Backbone, recipe: Recipe, classes: int, seed: int, weights: "Mapping[str, Tensor] | None"
) -> "nn.Module":
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
    import torch

    torch.manual_seed(seed)
    if weights is None or backbone.pretrained is None:
        network = backbone.build(classes)
    else:
        network = backbone.build(backbone.pretrained.classes)
        _load(network, weights, backbone.name)
        network = with_classes(network, backbone, classes)
    freeze(network, backbone, recipe.frozen)
    return network


def freeze(network: "nn.Module", backbone: Backbone, frozen: str) -> None:
    """Mark the weights that are kept."""
    for module in frozen_modules(network, backbone, frozen):
        module.requires_grad_(False)


def smallest_step(network: "nn.Module", recipe: Recipe, photos: int) -> int:
    """Return how many photos a step needs: 2 where batch normalisation has maps of one place, and nothing to average over one
    photo (a ResNet at crops of 32 pixels), else 1.

    The last step of an epoch is left out if it has fewer: the tutorial's loop would stop there with an error. Its photo
    differs from epoch to epoch.

    Raises:
        UsageError: all steps have one photo.
    """
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

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


def _load(network: "nn.Module", weights: "Mapping[str, Tensor]", name: str) -> None:
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        reason = one_line(error)
        raise DataError(f"{name}: the weights are not this network's ({reason}); bring the right file") from error


def best_precision(device: str) -> str:
    """Return what the fast engine computes in: `bf16` on a GPU that has it, else `float32`."""
    import torch

    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"


@cache
def keep_freed_memory() -> None:
    """Make glibc keep what a step frees for the next one, instead of giving it back and having every page zeroed again.

    For the whole process and for good: for commands to call, before they train on a CPU.
    On one core that was 40 of 347 ms of a step of ResNet-18 (batch 4, 224 pixels), and 85 of 285 ms of AlexNet.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # musl has none
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)
