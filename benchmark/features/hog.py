"""Histograms of oriented gradients (Dalal and Triggs 2005), as scikit-image defines them, for whole batches.

The paper's photos were described in 2018 with `skimage.feature.hog` and its defaults of then: 9 unsigned orientations,
cells of 8×8 pixels, blocks of 3×3 cells, L1 norm, no square root. Scikit-image later changed the norm to L2-Hys. Values
and their order are those of `skimage.feature.hog(rgb2gray(photo), ...)`.
"""

import math
from typing import Literal

import torch

from benchmark.features.plain import GREY_WEIGHTS, HOG_CLIP, HOG_EPSILON, hog_bounds

BlockNorm = Literal["L1", "L2-Hys"]

# Pixels worked on at a time. On a CPU the arrays of one chunk (about 30 bytes a pixel) then stay in the cache of its
# cores; on a GPU they fill it and stay within about 2 GB.
_CPU_PIXELS = 1 << 17
_GPU_PIXELS = 1 << 26


def hog(
    photos: torch.Tensor,
    *,
    orientations: int = 9,
    cell: int = 8,
    block: int = 3,
    block_norm: BlockNorm = "L1",
) -> torch.Tensor:
    """Describe photos by the directions of their edges.

    Args:
        photos: uint8 (N, 3, H, W), RGB. Pixels right of and below the last whole cell only count as neighbours.
        orientations: bins of equal width over 180 degrees, the first from 0 (a horizontal gradient) upward.
        cell: side of a cell in pixels.
        block: side of a block in cells; blocks overlap, one begins at every cell.
        block_norm: `L1` (the default of 2018) or `L2-Hys` (today's).

    Returns:
        float32 (N, D) on the device of `photos`, D = (H // cell - block + 1) · (W // cell - block + 1) · block² ·
        orientations, from 0 to 1 and without unit: 324, 2916 and 15876 for squares of 32, 64 and 128 pixels. The order is
        block row, block column, cell row, cell column, orientation. A flat photo gives zeros.

    Raises:
        ValueError: not such photos, photos smaller than one block, or a parameter out of range.
    """
    _check(photos, orientations, cell, block, block_norm)
    count, _, height, width = photos.shape
    rows, columns = height // cell - block + 1, width // cell - block + 1
    features = photos.new_empty((count, rows * columns * block * block * orientations), dtype=torch.float32)
    pixels = _CPU_PIXELS if photos.device.type == "cpu" else _GPU_PIXELS
    chunk = max(1, pixels // (height * width))
    for start in range(0, count, chunk):
        histograms = _cell_histograms(photos[start : start + chunk], orientations, cell)
        features[start : start + chunk] = _normalised_blocks(histograms, block, block_norm).flatten(1)
    return features


def _cell_histograms(photos: torch.Tensor, orientations: int, cell: int) -> torch.Tensor:
    """Return the mean gradient magnitude per cell and orientation: (n, cell rows, cell columns, orientations)."""
    upward, rightward = (part.double() for part in _gradients(photos, cell))
    magnitude = (rightward * rightward).addcmul_(upward, upward).sqrt_()
    # Minus the cotangent rises from -inf to +inf while the angle goes from 0 to 180 degrees, so that comparing it with
    # those of the bounds finds the bin without an arc tangent. A gradient along the rows is at angle 0, whatever its
    # sign. A pixel in the wrong bin would be far outside the promised 1e-5. So both parts are whole numbers, and their
    # quotient in float64 is the same on every device and finer than their distance from the (irrational) bounds; an arc
    # tangent in float32 put 1 of 17 million pixels of real photos into another bin.
    rising = rightward.div_(upward).masked_fill_(upward == 0, -math.inf)
    # What is at or above a bound, minus what is at or above the next. Floating addition is monotonic and the order of
    # the terms the same, so no bin goes below 0 and an empty bin is exactly 0.
    above = [_cell_sums(magnitude, cell)]
    above += [_cell_sums(_where_above(rising, bound, magnitude), cell) for bound in hog_bounds(orientations)]
    above.append(torch.zeros_like(above[0]))
    cumulated = torch.stack(above, dim=-1)
    return ((cumulated[..., :-1] - cumulated[..., 1:]) / (cell * cell * 255 * sum(GREY_WEIGHTS))).float()


def _where_above(keys: torch.Tensor, bound: float, values: torch.Tensor) -> torch.Tensor:
    """Return the values whose key is above the bound, 0 for the others.

    This is what the gradient of `threshold` does, in one pass: 0.26 ns a pixel on one core, against 0.87 for
    `values * (keys > bound)` and 1 to 3 for `torch.where` and `masked_fill`, where it decides HOG's speed.
    """
    kept: torch.Tensor = torch.ops.aten.threshold_backward(values, keys, bound)
    return kept


def _gradients(photos: torch.Tensor, cell: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how much brighter the upper neighbour is than the lower, the right than the left, in 1/2,550,000.

    Grey values are kept as whole numbers below 2²⁴, which float32 holds exactly: two neighbours of one colour differ by
    exactly 0. Along the photo's border the difference across it is 0, as in scikit-image. Both are cut to whole cells.
    """
    red, green, blue = (photos[:, channel].float() for channel in range(3))
    grey = red.mul_(GREY_WEIGHTS[0]).add_(green, alpha=GREY_WEIGHTS[1]).add_(blue, alpha=GREY_WEIGHTS[2])
    upward, rightward = torch.zeros_like(grey), torch.zeros_like(grey)
    torch.sub(grey[:, :-2], grey[:, 2:], out=upward[:, 1:-1])
    torch.sub(grey[:, :, 2:], grey[:, :, :-2], out=rightward[:, :, 1:-1])
    height, width = (size // cell * cell for size in grey.shape[1:])
    return upward[:, :height, :width], rightward[:, :height, :width]


def _cell_sums(values: torch.Tensor, cell: int) -> torch.Tensor:
    """Sum (n, H, W) over its cells: (n, H / cell, W / cell). Rows first, which runs along the memory."""
    count, height, width = values.shape
    bands = values.reshape(count, height // cell, cell, width).sum(2)
    return bands.reshape(count, height // cell, width // cell, cell).sum(3)


def _normalised_blocks(histograms: torch.Tensor, block: int, norm: BlockNorm) -> torch.Tensor:
    """Return every block of block×block cells, normalised: (n, rows, columns, block² · orientations)."""
    windows = histograms.unfold(1, block, 1).unfold(2, block, 1)  # n, rows, columns, orientations, block, block
    blocks = windows.permute(0, 1, 2, 4, 5, 3).flatten(3)
    if norm == "L1":
        return blocks / (blocks.sum(-1, keepdim=True) + HOG_EPSILON)
    clipped = _unit_length(blocks).clamp_(max=HOG_CLIP)
    return _unit_length(clipped)


def _unit_length(blocks: torch.Tensor) -> torch.Tensor:
    return blocks / (blocks.square().sum(-1, keepdim=True) + HOG_EPSILON**2).sqrt()


def _check(photos: torch.Tensor, orientations: int, cell: int, block: int, block_norm: str) -> None:
    if photos.dtype != torch.uint8:
        raise ValueError(f"hog needs photos of dtype uint8, not {str(photos.dtype).removeprefix('torch.')}")
    if photos.ndim != 4 or photos.shape[1] != 3:
        raise ValueError(f"hog needs photos of shape (N, 3, H, W), not {tuple(photos.shape)}")
    for name, value in (("orientations", orientations), ("cell", cell), ("block", block)):
        if value < 1:
            raise ValueError(f"hog needs {name} of at least 1, not {value}")
    if block_norm not in ("L1", "L2-Hys"):
        raise ValueError(f"hog knows the block norms L1 and L2-Hys, not {block_norm!r}")
    smallest = cell * block
    height, width = photos.shape[2:]
    if min(height, width) < smallest:
        raise ValueError(f"hog needs photos of at least {smallest}×{smallest} pixels (one block), not {width}×{height}")
