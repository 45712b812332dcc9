"""Tiny images: the pixels themselves as a feature (Torralba, Fergus and Freeman 2008)."""

import numpy as np
from numpy.typing import NDArray


def tiny(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return photos (N, 3, S, S) as vectors (N, 3·S·S) of values from 0 to 1."""
    return pixels.reshape(len(pixels), np.prod(pixels.shape[1:], dtype=int)).astype(np.float32) / np.float32(255)
