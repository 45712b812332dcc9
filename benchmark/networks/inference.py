"""What a (trained) network says of photos: centre crops, in evaluation mode, in batches that fit; and what of it is kept."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import v2

from benchmark.networks.backbones import Backbone, Preprocessing, find_backbone, penultimate
from benchmark.networks.recipe import Recipe
from benchmark.photos import Photos
from collector.errors import DataError, one_line


@dataclass(frozen=True, slots=True)
class Epoch:
    """A point of the learning curve.

    Attributes:
        number: from 1.
        loss: mean cross-entropy of the training photos, in nats, as they were seen.
        validation_accuracy, validation_loss: share right, and mean cross-entropy, of the validation photos; None where the
            recipe keeps the last epoch and they are not looked at.
        learning_rate: of this epoch.
        seconds: wall clock; of a resumed run, of the process that did it.
    """

    number: int
    loss: float
    validation_accuracy: float | None
    validation_loss: float | None
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TrainedNetwork:
    """A network of the selected epoch, in evaluation mode.

    Attributes:
        network: on the device.
        backbone, recipe: what it is, and how it came about.
        device: `cpu` or `cuda`.
        classes: its outputs.
        curve: one point for each epoch.
    """

    network: nn.Module
    backbone: Backbone
    recipe: Recipe
    device: str
    classes: int
    curve: tuple[Epoch, ...]

    @property
    def preprocessing(self) -> Preprocessing:
        """The backbone's, at the recipe's size."""
        return self.backbone.preprocessing.at(self.recipe.size)

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return softmax probabilities (N, C) of the centre crops."""
        crops = CentreCrops(photos, self.preprocessing)
        found: NDArray[np.float32] = scores(self.network, self.backbone, crops, self.device).softmax(dim=1).numpy()
        return found

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return what goes into the classifier, (N, D), for the centre crops."""
        return embed_photos(self.network, self.backbone, photos, self.device, self.recipe.size)

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its weights by name (`load_network`)."""
        spec = {
            "recipe": asdict(self.recipe),
            "classes": self.classes,
            "curve": [asdict(epoch) for epoch in self.curve],
        }
        state = self.network.state_dict()
        return "network", spec, {name: tensor.cpu().numpy().copy() for name, tensor in state.items()}


def load_network(spec: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], device: str) -> TrainedNetwork:
    """Return the network that `TrainedNetwork.save` described.

    Raises:
        DataError: the description is none, or the weights are another network's.
        UsageError: there is no such backbone here (a plug-in that is not installed).
    """
    try:
        recipe, classes = Recipe(**spec["recipe"]), int(spec["classes"])
        curve = tuple(Epoch(**epoch) for epoch in spec["curve"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"this is no description of a trained network ({error!r}); train it again") from error
    backbone = find_backbone(recipe.backbone)
    network = backbone.build(classes)
    state = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}  # mapped files are read-only
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = one_line(error)
        raise DataError(f"{backbone.name}: the weights are not this network's ({reason}); train it again") from error
    # In the layout in which it was trained: another one adds in another order, and predictions differ by 1e-6.
    placed = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainedNetwork(placed.eval(), backbone, recipe, device, classes, curve)


BATCH = {"cpu": 16, "cuda": 64}
"""Photos at a time; halved when the device runs out of memory. On two cores 16 photos of 224 pixels took less time than
64 (MobileNetV2 25 against 45 s for 256 photos, SqueezeNet 1.1 21 against 34, busy machine, 2026-11-30) and less memory (315
against 833 MiB above what torch takes by itself)."""


def standardised(photos: Tensor, backbone: Backbone) -> Tensor:
    """Return photos (N, 3, H, W) of 0 to 1 less the backbone's mean, divided by its deviation."""
    of = backbone.preprocessing
    mean, std = (torch.tensor(values, device=photos.device).view(3, 1, 1) for values in (of.mean, of.std))
    return (photos - mean) / std


class CentreCrops:
    """The centre of each photo, its shorter side resized before: cut when it is asked for, so that memory does not grow."""

    def __init__(self, photos: Photos, shape: Preprocessing) -> None:
        self._pictures = photos.pictures(shape.resize, shape.interpolation)
        self._size, self._crop = shape.crop, v2.CenterCrop(shape.crop)

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, rows: slice) -> Tensor:
        """Return these photos' crops, uint8 (N, 3, crop, crop), on the CPU."""
        pictures = self._pictures[rows]
        crops = torch.empty(len(pictures), 3, self._size, self._size, dtype=torch.uint8)
        for row, picture in enumerate(pictures):
            crops[row] = self._crop(torch.from_numpy(np.array(picture)))  # a copy: the mapped original is read-only
        return crops


def scores(network: nn.Module, backbone: Backbone, crops: Tensor | CentreCrops, device: str) -> Tensor:
    """Return the network's scores (N, C) float32 of uint8 crops, on the CPU; leaves the network in evaluation mode."""
    return _in_batches(network, crops, device, lambda batch: network(standardised(batch, backbone)))


def embed_photos(
    network: nn.Module, backbone: Backbone, photos: Photos, device: str, size: int = 224, batch: int | None = None
) -> NDArray[np.float32]:
    """Return what goes into the classifier, (N, D), for the centre crops of `size` pixels.

    The network is left in evaluation mode. Maps are averaged over their places (`backbones.penultimate`).
    """
    crops = CentreCrops(photos, backbone.preprocessing.at(size))
    found: NDArray[np.float32] = _in_batches(
        network, crops, device, lambda of: penultimate(network, backbone, standardised(of, backbone)), batch
    ).numpy()
    return found


@torch.inference_mode()
def _in_batches(
    network: nn.Module,
    crops: Tensor | CentreCrops,
    device: str,
    compute: Callable[[Tensor], Tensor],
    batch: int | None = None,
) -> Tensor:
    network.eval()
    batch, done = batch or BATCH[device], 0
    outputs: list[Tensor] = []
    while done < len(crops) or not outputs:  # of no photo at all the width is asked for as well
        try:
            outputs.append(compute(crops[done : done + batch].to(device).float() / 255).float().cpu())
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        else:
            done += batch
            continue
        # Behind the handler: inside it the error still holds the tensors of the pass that failed.
        batch //= 2
        torch.cuda.empty_cache()
    return torch.cat(outputs)
