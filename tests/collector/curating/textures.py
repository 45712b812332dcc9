"""Pictures with detail at every scale."""

import numpy as np
from PIL import Image


def texture(seed: int = 5, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Return coloured noise at every scale, as photographs have it: sharp, without lines, without a flag."""
    random = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells in (4, 16, 64, 256):
        patches = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8), "RGB")
        total += np.asarray(patches.resize(size, Image.Resampling.BILINEAR), dtype=np.float64)
    return Image.fromarray((total / 4).astype(np.uint8), "RGB")
