"""What is random about training, drawn from (seed, epoch) alone: both engines see the same photos in the same crops.

An epoch can be drawn without those before it, so a resumed run needs no generator's state.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

_RATIO = (3 / 4, 4 / 3)  # RandomResizedCrop's default, width to height
_TRIES = 10  # as torchvision's; then the central crop
_ORDER, _CROPS, _STEP = range(3)  # what is drawn


@dataclass(frozen=True, slots=True)
class Crops:
    """Where each photo is cut in one epoch, by position.

    Attributes:
        boxes: (N, 4) int64: top, left, height, width in pixels.
        mirrored: (N,) bool.
    """

    boxes: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def draw_order(seed: int, epoch: int, photos: int) -> NDArray[np.int64]:
    """Return the positions of the photos in the order in which this epoch shows them."""
    return np.argsort(_generator(_ORDER, seed, epoch).random(photos), kind="stable").astype(np.int64)


def draw_crops(seed: int, epoch: int, sizes: NDArray[np.int64], smallest: float, flip: float) -> Crops:
    """Draw a crop of each photo as torchvision's RandomResizedCrop does, and whether it is mirrored.

    A share of the area, uniform from `smallest` to 1, and a ratio of width to height, log-uniform from 3/4 to 4/3, are drawn
    up to ten times until the crop fits; then it lies uniformly. If none fits, it is the largest central one of allowed ratio.

    Args:
        seed: of the run.
        epoch: its number.
        sizes: (N, 2) height and width of the photos, pixels.
        smallest: least share of the area.
        flip: probability that a photo is mirrored.
    """
    draws = _generator(_CROPS, seed, epoch).random((len(sizes), 2 * _TRIES + 3))
    height, width = sizes[:, :1], sizes[:, 1:]
    area = height * width * (smallest + (1 - smallest) * draws[:, :_TRIES])
    low, high = (math.log(ratio) for ratio in _RATIO)
    ratio = np.exp(low + (high - low) * draws[:, _TRIES : 2 * _TRIES])
    heights, widths = np.rint(np.sqrt(area / ratio)), np.rint(np.sqrt(area * ratio))
    fits: NDArray[np.bool_] = np.logical_and.reduce([heights > 0, heights <= height, widths > 0, widths <= width])
    first = np.arange(len(sizes)), fits.argmax(axis=1)
    found = np.asarray(fits.any(axis=1))
    shape = np.where(found[:, None], np.stack([heights[first], widths[first]], axis=1), _largest(sizes)).astype(
        np.int64
    )
    room = sizes - shape
    places = np.where(found[:, None], np.floor(draws[:, -3:-1] * (room + 1)), room // 2).astype(np.int64)
    return Crops(np.concatenate([places, shape], axis=1), draws[:, -1] < flip)


def step_seed(seed: int, epoch: int, step: int) -> int:
    """Return the seed of what a step draws inside the network (dropout)."""
    return int(_generator(_STEP, seed, epoch, step).integers(2**63))


def resized_crops(windows: torch.Tensor, shapes: torch.Tensor, mirrored: torch.Tensor, size: int) -> torch.Tensor:
    """Return crops resized to squares, mirrored where asked: float32 (N, 3, size, size).

    Bilinear with antialiasing, as a product with one matrix of weights for each axis. Equal to torchvision's `resize` of the
    float crop to 1e-4 of the range (tests).

    Args:
        windows: float32 (N, 3, H, W), each crop in its top left corner; what lies beyond it is not looked at.
        shapes: (N, 2) height and width of the crops.
        mirrored: (N,) bool.
        size: pixels of a side.
    """
    rows = _weights(shapes[:, 0], size, windows.shape[2])
    columns = _weights(shapes[:, 1], size, windows.shape[3])
    columns = torch.where(mirrored[:, None, None], columns.flip(1), columns)
    return rows[:, None] @ (windows @ columns.transpose(1, 2)[:, None])


def _weights(lengths: torch.Tensor, size: int, most: int) -> torch.Tensor:
    """Return how much each of `most` pixels counts for each of `size` new ones, (N, size, most).

    A triangle as wide as two new pixels, or two old ones where these are wider, normalised inside the crop.
    """
    scale = (lengths.float() / size)[:, None, None]
    new = torch.arange(size, device=lengths.device)[:, None] + 0.5
    old = torch.arange(most, device=lengths.device)[None] + 0.5
    weights = (1 - (old - new * scale).abs() / scale.clamp(min=1)).clamp(min=0)
    weights = torch.where(old < lengths[:, None, None], weights, 0)
    return weights / weights.sum(dim=2, keepdim=True)


def _largest(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return height and width of the largest crops whose ratio is allowed, (N, 2)."""
    height, width = sizes[:, 0], sizes[:, 1]
    return np.stack(
        [np.minimum(height, np.rint(width / _RATIO[0])), np.minimum(width, np.rint(height * _RATIO[1]))], axis=1
    )


def shapes_of(pictures: Iterable[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Return height and width of pictures (3, H, W), as (N, 2)."""
    return np.array([picture.shape[1:] for picture in pictures], dtype=np.int64).reshape(-1, 2)


def steps_of(order: NDArray[np.int64], batch: int, least: int = 1) -> Sequence[NDArray[np.int64]]:
    """Cut an epoch's order into steps; a last one with fewer than `least` photos is left out."""
    steps = [order[at : at + batch] for at in range(0, len(order), batch)]
    return [step for step in steps if len(step) >= least]


def _generator(what: int, seed: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([what, seed % 2**64, *numbers])
