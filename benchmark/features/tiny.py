"""Tiny images: the pixels themselves as a feature (Torralba, Fergus and Freeman 2008)."""

import torch


def tiny(photos: torch.Tensor) -> torch.Tensor:
    """Return photos, uint8 (N, 3, S, S), as vectors, float32 (N, 3·S·S), of values from 0 to 1, on the same device.

    Raises:
        ValueError: not such photos.
    """
    if photos.dtype != torch.uint8 or photos.ndim != 4 or photos.shape[1] != 3:
        raise ValueError(f"tiny: expected uint8 (N, 3, S, S), got {photos.dtype} {tuple(photos.shape)}")
    return photos.flatten(1).float() / 255
