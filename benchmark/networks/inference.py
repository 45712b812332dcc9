"""What a network says of photos: centre crops, in evaluation mode, in batches that fit."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import v2

from benchmark.networks.backbones import Backbone, Preprocessing, penultimate
from benchmark.photos import Photos

BATCH = 64
"""Photos at a time; halved when the device runs out of memory."""


def standardised(photos: Tensor, backbone: Backbone) -> Tensor:
    """Return photos (N, 3, H, W) of 0 to 1 less the backbone's mean, divided by its deviation."""
    of = backbone.preprocessing
    mean, std = (torch.tensor(values, device=photos.device).view(3, 1, 1) for values in (of.mean, of.std))
    return (photos - mean) / std


def centre_crops(photos: Photos, shape: Preprocessing, most: int | None = None) -> Tensor:
    """Return the centre of each photo, or of the first `most`, its shorter side resized before: uint8 (N, 3, crop, crop)."""
    crop, pictures = v2.CenterCrop(shape.crop), photos.pictures(shape.resize, shape.interpolation)[:most]
    found = torch.empty(len(pictures), 3, shape.crop, shape.crop, dtype=torch.uint8)
    for row, picture in enumerate(pictures):
        found[row] = crop(torch.from_numpy(np.array(picture)))  # a copy: the mapped original is read-only
    return found


def scores(network: nn.Module, backbone: Backbone, crops: Tensor, device: str) -> Tensor:
    """Return the network's scores (N, C) float32 of uint8 crops, on the CPU; leaves the network in evaluation mode."""
    return _in_batches(network, crops, device, lambda batch: network(standardised(batch, backbone)))


def embed_photos(
    network: nn.Module, backbone: Backbone, photos: Photos, device: str, size: int = 224, batch: int = BATCH
) -> NDArray[np.float32]:
    """Return what goes into the classifier, (N, D), for the centre crops of `size` pixels.

    The network is left in evaluation mode. Maps are averaged over their places (`backbones.penultimate`).
    """
    crops = centre_crops(photos, backbone.preprocessing.at(size))
    found: NDArray[np.float32] = _in_batches(
        network, crops, device, lambda of: penultimate(network, backbone, standardised(of, backbone)), batch
    ).numpy()
    return found


@torch.inference_mode()
def _in_batches(
    network: nn.Module, crops: Tensor, device: str, compute: Callable[[Tensor], Tensor], batch: int = 0
) -> Tensor:
    network.eval()
    batch, done = batch or BATCH, 0
    found: list[Tensor] = []
    while done < len(crops) or not found:  # of no photo at all the width is asked for as well
        try:
            found.append(compute(crops[done : done + batch].to(device).float() / 255).float().cpu())
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        else:
            done += batch
            continue
        # Behind the handler: inside it the error still holds the tensors of the pass that failed.
        batch //= 2
        torch.cuda.empty_cache()
    return torch.cat(found)
