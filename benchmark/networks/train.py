"""Train a network by the paper's recipe: plain, on any device, readable in one screen."""

import copy
import logging
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torchvision.transforms import v2

from benchmark.networks.architectures import ARCHITECTURES
from benchmark.photos import LabelledPhotos, Photos
from collector.errors import T15Error, UsageError

# Mean and standard deviation of ImageNet's training photos, RGB, as torchvision's models are fed.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_INFERENCE_BATCH = 64


log = logging.getLogger("t15")

SELECTIONS = ("best-on-validation", "last-epoch")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. The defaults are those of the paper and, where it is silent, of the PyTorch
    transfer-learning tutorial that it follows (see docs/decisions and PAPER facts in docs/methods.md).

    Attributes:
        network: a name in ARCHITECTURES.
        learning_rate, momentum, weight_decay: of SGD.
        batch: photos a step.
        epochs: passes over the training photos.
        decay_every, decay: the learning rate is multiplied by `decay` every `decay_every` epochs.
        size: pixels of the square crop that the network sees.
        selection: `best-on-validation` keeps the epoch with the highest validation accuracy, the earliest of equals;
            `last-epoch` keeps the last.
    """

    network: str
    learning_rate: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch: int = 4
    epochs: int = 25
    decay_every: int = 7
    decay: float = 0.1
    size: int = 224
    selection: str = "best-on-validation"

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise UsageError(f"selection {self.selection!r}: choose {' or '.join(SELECTIONS)}")

    @property
    def resize(self) -> int:
        """The shorter side before the crop: 256 for crops of 224, in proportion for others."""
        return round(self.size * 256 / 224)


class DivergedError(T15Error):
    """The loss became infinite or no number."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network in evaluation mode."""

    network: torch.nn.Module
    recipe: Recipe
    device: str

    def predict_proba(self, photos: Photos) -> NDArray[np.float32]:
        """Return softmax probabilities (N, C) of the centre crops."""
        return predict(self.network, photos, self.recipe, self.device).softmax(dim=1).numpy()


def train(
    training: LabelledPhotos, validation: LabelledPhotos, seed: int, device: str, recipe: Recipe
) -> TrainedNetwork:
    """Train from random weights and return the network of the selected epoch.

    Every random choice comes from `seed`; the same seed on the same CPU build gives the same network.

    Raises:
        DivergedError: the loss became infinite or no number.
    """
    torch.manual_seed(seed)
    network = ARCHITECTURES[recipe.network](len(training.classes)).to(device)
    optimiser = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, recipe.decay_every, recipe.decay)
    pictures = training.pictures(recipe.resize)
    labels = torch.from_numpy(training.labels)
    best, best_weights = -1.0, network.state_dict()
    for epoch in training.track(range(recipe.epochs), f"training {recipe.network}, seed {seed}"):
        network.train()
        for chosen in torch.split(torch.randperm(len(pictures)), recipe.batch):
            photos = torch.stack([_augmented(pictures[int(i)], recipe.size) for i in chosen])
            loss = functional.cross_entropy(network(normalised(photos, device)), labels[chosen].to(device))
            if not torch.isfinite(loss):
                raise DivergedError(f"{recipe.network}: the loss became {loss.item()} in epoch {epoch + 1}")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        log.info("epoch %d: loss of the last step %.4f", epoch + 1, loss.item())
        _require_finite_scores(network, normalised(photos, device), f"{recipe.network}: in epoch {epoch + 1}")
        if recipe.selection == "best-on-validation":
            scores = predict(network, validation, recipe, device)
            accuracy = float((scores.argmax(dim=1).numpy() == validation.labels).mean())
            log.info("epoch %d: validation accuracy %.4f", epoch + 1, accuracy)
            if accuracy > best:
                best, best_weights = accuracy, copy.deepcopy(network.state_dict())
    if recipe.selection == "best-on-validation":
        network.load_state_dict(best_weights)
    return TrainedNetwork(network.eval(), recipe, device)


@torch.inference_mode()
def predict(network: torch.nn.Module, photos: Photos, recipe: Recipe, device: str) -> torch.Tensor:
    """Return the network's scores (N, C) for the centre crops, on the CPU."""
    network.eval()
    crop = v2.CenterCrop(recipe.size)
    pictures = photos.pictures(recipe.resize)
    scores = []
    for at in range(0, len(pictures), _INFERENCE_BATCH):
        batch = torch.stack([crop(_tensor(picture)) for picture in pictures[at : at + _INFERENCE_BATCH]])
        scores.append(network(normalised(batch, device)).float().cpu())
    return torch.cat(scores)


def normalised(photos: torch.Tensor, device: str) -> torch.Tensor:
    """Return uint8 photos (N, 3, H, W) as float32 on the device, standardised by ImageNet's mean and deviation."""
    mean = torch.tensor(_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(_STD, device=device).view(3, 1, 1)
    return (photos.to(device).float() / 255 - mean) / std


def estimate(photos: int, classes: int, device: str, recipe: Recipe) -> float:
    """Return the seconds that training on this device would take, from two timed steps on random pixels."""
    network = ARCHITECTURES[recipe.network](classes).to(device).train()
    batch = torch.randn(recipe.batch, 3, recipe.size, recipe.size, device=device)
    labels = torch.zeros(recipe.batch, dtype=torch.long, device=device)
    seconds = []
    for _ in range(3):  # the first one warms up
        started = time.perf_counter()
        functional.cross_entropy(network(batch), labels).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:]) * photos / recipe.batch * recipe.epochs


@torch.inference_mode()
def _require_finite_scores(network: torch.nn.Module, photos: torch.Tensor, where: str) -> None:
    """The loss tells of the weights before a step only: the last step of an epoch may be the one that diverges."""
    if not torch.isfinite(network.eval()(photos)).all():
        raise DivergedError(f"{where} the weights became so large that scores are no numbers")


def _augmented(picture: NDArray[np.uint8], size: int) -> torch.Tensor:
    crop = v2.RandomResizedCrop(size, antialias=True)
    flip = v2.RandomHorizontalFlip(0.5)
    photo: torch.Tensor = flip(crop(_tensor(picture)))
    return photo


def _tensor(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.array(picture))  # a copy: the mapped original is read-only
