"""Tiny images, HOG and GIST in numpy, for the few photos that somebody asks about: importing torch takes ten times as long.

The formulas, and the reasons for them, are those of `extract.tiny`, `hog.py` and `gist.py`, which runs use; values agree with
theirs to 1e-5 (tests). All take photos, uint8 (N, 3, S, S), RGB, and return float32 (N, D).
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]

GREY_WEIGHTS: tuple[int, int, int] = (2125, 7154, 721)
"""Ten-thousandths of red, green and blue in the grey value: `skimage.color.rgb2gray`, the same in 2018 as today."""

HOG_EPSILON, HOG_CLIP = 1e-5, 0.2
"""Scikit-image's constants: what keeps a flat block from a division by zero, and the clip of Lowe's hysteresis norm."""

CONTRAST_CYCLES = 4
"""fc of GIST, the cut-off of the local contrast, in cycles per picture."""

CONTRAST_PADDING = 5
"""Pixels mirrored on each side before the local contrast."""

CONTRAST_FLOOR = 0.2
"""Keeps noise in flat areas small."""

TOP_FREQUENCY, SCALE_STEP = 0.3, 1.85
"""Centre of the finest scale, in cycles per pixel; each next one's centre is this much below the one before."""

LABELME_PADDING = 32
"""Pixels mirrored on each side before the filters of the LabelMe toolbox."""


def tiny(photos: Pixels) -> Vectors:
    """Return the pixels as values from 0 to 1."""
    return photos.reshape(len(photos), -1).astype(np.float32) / np.float32(255)


# --- HOG


def hog_bounds(orientations: int) -> list[float]:
    """Return minus the cotangent of each bound between two bins; the bound itself belongs to the upper bin.

    Rounded, since those of 45, 90 and 135 degrees are whole numbers and gradients lie exactly there; then a step down,
    since comparisons leave out the bound.
    """
    cotangents = (1 / math.tan(math.pi * number / orientations) for number in range(1, orientations))
    return [math.nextafter(-round(cotangent, 14), -math.inf) for cotangent in cotangents]


def hog(photos: Pixels, *, block_norm: str = "L1") -> Vectors:
    """Return `hog.hog` with nine orientations, cells of 8×8 pixels and blocks of 3×3 cells."""
    orientations, cell, block = 9, 8, 3
    grey = np.einsum("nchw,c->nhw", photos.astype(np.int64), np.array(GREY_WEIGHTS))
    upward, rightward = np.zeros_like(grey), np.zeros_like(grey)
    upward[:, 1:-1] = grey[:, :-2] - grey[:, 2:]
    rightward[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    rows, columns = grey.shape[1] // cell, grey.shape[2] // cell
    up, right = (of[:, : rows * cell, : columns * cell].astype(np.float64) for of in (upward, rightward))
    magnitude = np.sqrt(right * right + up * up)
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.where(up == 0, -np.inf, right / up)
    bins = sum((rising > bound).astype(np.int64) for bound in hog_bounds(orientations))
    sums = [
        np.where(bins == number, magnitude, 0.0).reshape(-1, rows, cell, columns, cell).sum((2, 4))
        for number in range(orientations)
    ]
    histograms = (np.stack(sums, -1) / (cell * cell * 255 * sum(GREY_WEIGHTS))).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(histograms, (block, block), axis=(1, 2))
    blocks = windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)
    if block_norm == "L1":
        blocks = blocks / (blocks.sum(-1, keepdims=True) + np.float32(HOG_EPSILON))
    else:
        blocks = _unit_length(np.minimum(_unit_length(blocks), np.float32(HOG_CLIP)))
    return blocks.reshape(len(photos), -1)


def _unit_length(blocks: Vectors) -> Vectors:
    lengths: Vectors = np.sqrt(np.square(blocks).sum(-1, keepdims=True) + np.float32(HOG_EPSILON**2))
    return blocks / lengths


# --- GIST


def gist_labelme(photos: Pixels) -> Vectors:
    """Return `gist.gist_labelme` with its defaults."""
    return _gist(photos, (8, 8, 8, 8), grey=True, padding=LABELME_PADDING)


def gist_lear(photos: Pixels) -> Vectors:
    """Return `gist.gist_lear` with its defaults."""
    return _gist(photos, (8, 8, 4), grey=False, padding=0)


def _gist(photos: Pixels, orientations: tuple[int, ...], *, grey: bool, padding: int, blocks: int = 4) -> Vectors:
    found = []
    for photo in photos:
        even = _mirrored(_even_contrast(photo, grey=grey), padding)
        spectrum = np.fft.fft2(even)[:, None]
        magnitudes = np.abs(np.fft.ifft2(spectrum * _gabor_bank(even.shape[-1], orientations)))
        inner = slice(padding, padding + photo.shape[-1])
        found.append(_block_means(magnitudes[..., inner, inner], blocks).ravel())
    return np.array(found, np.float32)


def _even_contrast(photo: Pixels, *, grey: bool) -> NDArray[np.float64]:
    padded = _mirrored(photo, CONTRAST_PADDING).astype(np.float64)
    logarithm = np.log1p(padded.mean(0, keepdims=True) if grey else padded)
    detail = logarithm - _blurred(logarithm)
    deviation = np.sqrt(np.abs(_blurred(np.square(detail.mean(0, keepdims=True)))))
    inner = slice(CONTRAST_PADDING, -CONTRAST_PADDING)
    contrast: NDArray[np.float64] = detail[..., inner, inner] / (CONTRAST_FLOOR + deviation[..., inner, inner])
    return contrast


def _blurred(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    frequencies = np.fft.fftfreq(pictures.shape[-1], 1 / pictures.shape[-1])
    low_pass = np.exp(-np.square(frequencies) * (math.log(2) / CONTRAST_CYCLES**2))
    blurred: NDArray[np.float64] = np.fft.ifft2(np.fft.fft2(pictures) * low_pass[:, None] * low_pass).real
    return blurred


def _block_means(pictures: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """Average over blocks of nearly equal size: (..., n, n) to (..., block column, block row)."""
    edges = [pictures.shape[-1] * number // blocks for number in range(blocks + 1)]
    bands = np.stack([pictures[..., top:bottom, :].mean(-2) for top, bottom in pairwise(edges)], -1)
    return np.stack([bands[..., left:right, :].mean(-2) for left, right in pairwise(edges)], -2)


def _mirrored(pictures: NDArray[Any], padding: int) -> NDArray[Any]:
    return np.pad(pictures, ((0, 0), (padding, padding), (padding, padding)), mode="symmetric")


@lru_cache(maxsize=4)
def _gabor_bank(size: int, orientations: Sequence[int]) -> NDArray[np.float64]:
    """Return the filters in the frequency domain: (sum(orientations), size, size)."""
    frequencies = np.fft.fftfreq(size, 1 / size)
    down, right = frequencies[:, None], frequencies[None, :]
    radius, angle = np.hypot(down, right), np.arctan2(down, right)
    filters = []
    for scale, number in enumerate(orientations):
        ring = -3.5 * np.square(radius / (size * TOP_FREQUENCY / SCALE_STEP**scale) - 1)
        for orientation in range(number):
            turned = angle + math.pi * orientation / number
            turned = np.where(turned > math.pi, turned - 2 * math.pi, turned)
            filters.append(np.exp(ring - 2 * math.pi * (16 * number**2 / 32**2) * np.square(turned)))
    return np.stack(filters)
