"""A trained network: what it predicts, and what of it is kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmark.networks.backbones import Backbone, Preprocessing, find_backbone
from benchmark.networks.inference import centre_crops, embed_photos, scores
from benchmark.networks.recipe import Recipe
from benchmark.photos import Photos
from collector.errors import DataError


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
        crops = centre_crops(photos, self.preprocessing)
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
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{backbone.name}: the weights are not this network's ({reason}); train it again") from error
    # In the layout in which it was trained: another one adds in another order, and predictions differ by 1e-6.
    placed = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainedNetwork(placed.eval(), backbone, recipe, device, classes, curve)
