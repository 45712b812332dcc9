"""The plain training loop, as the PyTorch transfer-learning tutorial writes it: what `fast` has to agree with."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as transforms

from benchmark.networks.augment import Crops, draw_crops, draw_order, shapes_of, step_seed, steps_of
from benchmark.networks.backbones import Backbone
from benchmark.networks.optimisation import Optimisation, mixed, rates_of
from benchmark.networks.recipe import Recipe, smallest_step
from benchmark.photos import LabelledPhotos

_WORKERS = 4  # of the DataLoader beside a GPU, as in the tutorial; on a CPU they would take the cores from training


class CroppedPhotos(Dataset[tuple[Tensor, int]]):
    """The training photos of one epoch, each in the crop that was drawn for it."""

    def __init__(
        self,
        pictures: Sequence[NDArray[np.uint8]],
        labels: NDArray[np.int64],
        crops: Crops,
        size: int,
        backbone: Backbone,
    ) -> None:
        self.pictures, self.labels, self.crops, self.size = pictures, labels, crops, size
        self.normalise = v2.Normalize(backbone.preprocessing.mean, backbone.preprocessing.std)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        top, left, height, width = self.crops.boxes[index].tolist()
        photo = (
            torch.from_numpy(np.array(self.pictures[index])).float() / 255
        )  # a copy: the mapped original is read-only
        photo = transforms.resized_crop(photo, top, left, height, width, [self.size, self.size], antialias=True)
        if self.crops.mirrored[index]:
            photo = transforms.horizontal_flip(photo)
        return self.normalise(photo), int(self.labels[index])


class ReferenceEngine:
    """Trains `network`, which is on the device already, by the recipe."""

    layout = torch.channels_last

    def __init__(
        self, network: nn.Module, backbone: Backbone, training: LabelledPhotos, seed: int, device: str, recipe: Recipe
    ) -> None:
        # The layout of `fast`: another one adds in another order, and from random weights a network with batch normalisation
        # turns a difference of 1e-7 into one of 0.1 within 20 steps, against itself too (ResNet-18, 64 pixels).
        self.network = network.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.backbone, self.recipe = backbone, recipe
        self.seed, self.device, self.labels = seed, device, training.labels
        shape = backbone.preprocessing.at(recipe.size)
        self.pictures = (
            training.originals()
            if recipe.crops_from == "originals"
            else training.pictures(shape.resize, shape.interpolation)
        )
        self.classes = len(training.classes)
        self.least = smallest_step(network, recipe, len(training))
        self.optimisation = Optimisation(network, backbone, recipe)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, int]]:
        """Train one epoch; yield each step's loss, and its photos."""
        recipe, optimiser = self.recipe, self.optimisation.optimiser
        self.network.train()
        crops = draw_crops(self.seed, number, shapes_of(self.pictures), recipe.smallest_crop, recipe.flip)
        steps = steps_of(draw_order(self.seed, number, len(self.pictures)), recipe.batch, self.least)
        dataset = CroppedPhotos(self.pictures, self.labels, crops, recipe.size, self.backbone)
        workers = _WORKERS if self.device == "cuda" else 0
        loader = DataLoader(dataset, batch_sampler=[step.tolist() for step in steps], num_workers=workers)
        rates = rates_of(recipe, number, len(steps))
        for step, ((photos, labels), rate) in enumerate(zip(loader, rates, strict=True)):
            seed = step_seed(self.seed, number, step)
            torch.manual_seed(seed)
            self.optimisation.set_rate(rate)
            optimiser.zero_grad()
            inputs, targets = photos.to(self.device, memory_format=self.layout), labels.to(self.device)
            if recipe.mixup:
                inputs, targets = mixed(inputs, targets, self.classes, recipe.mixup, seed)
            loss = self.optimisation.loss(self.network(inputs), targets)
            loss.backward()
            optimiser.step()
            yield loss.detach(), len(labels)
