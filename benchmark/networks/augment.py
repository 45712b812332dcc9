"""Random crops: what is random about training, drawn from (seed, epoch) alone, and the photos that they are cut from.

Both engines see the same photos in the same crops.

An epoch can be drawn without those before it, so a resumed run needs no generator's state.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.photos import Originals

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
    """Return height and width of pictures (3, H, W), as (N, 2); of originals without decoding them."""
    if isinstance(pictures, Originals):
        return pictures.shapes
    return np.array([picture.shape[1:] for picture in pictures], dtype=np.int64).reshape(-1, 2)


def steps_of(order: NDArray[np.int64], batch: int, least: int = 1) -> Sequence[NDArray[np.int64]]:
    """Cut an epoch's order into steps; a last one with fewer than `least` photos is left out."""
    steps = [order[at : at + batch] for at in range(0, len(order), batch)]
    return [step for step in steps if len(step) >= least]


def _generator(what: int, seed: int, *numbers: int) -> np.random.Generator:
    return np.random.default_rng([what, seed % 2**64, *numbers])


_AT_ONCE = 32  # photos cropped in one go on a GPU: 32 windows of 341 × 341 pixels take 130 MB with their indices


class ResidentPhotos:
    """Photos of any shape as uint8: on a GPU one behind the other in its memory, on a CPU as they are mapped from disk.

    Attributes:
        sizes: (N, 2) height and width, pixels.
    """

    def __init__(self, pictures: Sequence[NDArray[np.uint8]], device: str) -> None:
        self.sizes = shapes_of(pictures)
        self._pictures, self._device = pictures, device
        ends = np.cumsum(3 * self.sizes.prod(axis=1))
        self._starts = np.concatenate([[0], ends]).astype(np.int64)[:-1]
        self._flat: Tensor | None = None
        # Half of what is free: networks need room too. More is copied as it is asked for.
        if device == "cuda" and len(pictures) and int(ends[-1]) <= torch.cuda.mem_get_info()[0] // 2:
            self._flat = torch.empty(int(ends[-1]), dtype=torch.uint8, device=device)
            for start, end, picture in zip(self._starts, ends, pictures, strict=True):
                self._flat[start:end] = torch.from_numpy(np.array(picture).reshape(-1))
            torch.cuda.synchronize()

    def crops(self, positions: NDArray[np.int64], crops: Crops, size: int) -> Tensor:
        """Return the crops of the photos at these positions, resized and mirrored.

        They are float32 (N, 3, size, size), 0 to 1, on the device, channels last.
        """
        batch = torch.empty(len(positions), 3, size, size, device=self._device, memory_format=torch.channels_last)
        if self._device != "cuda":
            # One by one, as torchvision does: three times as quick as products with mostly empty matrices.
            for row, position in enumerate(positions):
                batch[row] = self._crop(int(position), crops, size)
            return batch
        for at in range(0, len(positions), _AT_ONCE):
            batch[at : at + _AT_ONCE] = self.together(positions[at : at + _AT_ONCE], crops, size)
        return batch

    def together(self, positions: NDArray[np.int64], crops: Crops, size: int) -> Tensor:
        """Return the crops of a few photos, computed at once."""
        boxes = crops.boxes[positions]
        shapes, mirrored = self._moved(boxes[:, 2:]), self._moved(crops.mirrored[positions])
        return resized_crops(self._gathered(positions, boxes), shapes, mirrored, size)

    def _crop(self, position: int, crops: Crops, size: int) -> Tensor:
        top, left, height, width = crops.boxes[position].tolist()
        window = self._pictures[position][:, top : top + height, left : left + width]
        pixels = torch.from_numpy(window.astype(np.float32))[None] / 255
        resized = functional.interpolate(pixels, size=(size, size), mode="bilinear", antialias=True)[0]
        return resized.flip(2) if crops.mirrored[position] else resized

    def _gathered(self, positions: NDArray[np.int64], boxes: NDArray[np.int64]) -> Tensor:
        """Return the pixels of several crops as float32 (N, 3, H, W), each in the top left corner, its last row and column
        repeated beyond it."""
        flat, starts = self._pixels(positions)
        top, left, height, width = boxes.T[..., None]  # (N, 1) each
        rows = top + np.minimum(np.arange(height.max()), height - 1)
        columns = left + np.minimum(np.arange(width.max()), width - 1)
        shapes = self.sizes[positions]
        planes = starts[:, None] + np.arange(3) * shapes.prod(axis=1, keepdims=True)
        lines = planes[:, :, None] + (rows * shapes[:, 1:])[:, None]
        return flat[self._moved(lines)[..., None] + self._moved(columns)[:, None, None]].float() / 255

    def _pixels(self, positions: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
        """Return pixels on the device, and where in them each of these photos starts."""
        if self._flat is not None:
            return self._flat, self._starts[positions]
        chosen = [self._pictures[position].reshape(-1) for position in positions]
        return self._moved(np.concatenate(chosen)), np.cumsum([0, *map(len, chosen)])[:-1]

    def _moved(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
