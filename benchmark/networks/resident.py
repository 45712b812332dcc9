"""Training photos where the device reaches them quickly, and crops of many at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.networks.augment import Crops, resized_crops, shapes_of

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
        found = torch.empty(len(positions), 3, size, size, device=self._device, memory_format=torch.channels_last)
        if self._device != "cuda":
            # One by one, as torchvision does: three times as quick as products with mostly empty matrices.
            for row, position in enumerate(positions):
                found[row] = self._one(int(position), crops, size)
            return found
        for at in range(0, len(positions), _AT_ONCE):
            found[at : at + _AT_ONCE] = self.together(positions[at : at + _AT_ONCE], crops, size)
        return found

    def together(self, positions: NDArray[np.int64], crops: Crops, size: int) -> Tensor:
        """Return the crops of a few photos, computed at once."""
        boxes = crops.boxes[positions]
        shapes, mirrored = self._moved(boxes[:, 2:]), self._moved(crops.mirrored[positions])
        return resized_crops(self._gathered(positions, boxes), shapes, mirrored, size)

    def _one(self, position: int, crops: Crops, size: int) -> Tensor:
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
