"""Verifies pairs of photos that hashes leave in doubt: small grey pictures are laid over each other and compared in blocks.

Given two pictures a and b of 64 × 64 grey levels, the alignment is the inverse of a crop: p = (x scale, x shift, y scale,
y shift), found by minimising Σ w(e) e² over the pixels that both cover, e = a - b(p), both normalised to mean 0 and deviation
1 there, w(e) = 1 / (1 + (e / 0.5)²), the weights of a Cauchy distribution, so that a caption does not pull. Gauss-Newton
steps, damped, go from 16 over 32 to 64 pixels of a side (Lucas and Kanade, An iterative image registration technique, 1981);
scales stay within 0.7 to 1.43, shifts within a quarter of a side. Then each block of 8 × 8 pixels is normalised by itself and
correlated: light, contrast and a strip across the picture do not matter, while different photos of one building disagree in
most blocks. The better of the aligned and the unmoved pair counts, since a large caption can mislead the fit. 16 steps of
matrix products a pair, in batches: the result for a pair does not depend on its batch. Thresholds: docs/decisions/0003.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from collector.executors.local import Fault, Work
from collector.executors.photos import map_photos
from collector.images.decode import displayed, open_image
from collector.workspace import Workspace

Floats = NDArray[np.float32]

_SIDE = 64
_BLOCK = 8
_KEPT = 1 << 15  # small pictures that are kept in memory: 134 MB
_AT_ONCE = 32  # pairs

_LEVELS = ((16, 8), (32, 5), (64, 3))  # side of the pictures in pixels, and steps there
_SCALES = (0.7, 1 / 0.7)
_SHIFT = 0.25
_OUTLIER = 0.5  # standard deviations of the picture: from here on a difference counts less

_TEXTURE = 4.0  # grey levels: a block with less contrast says nothing
_ALIKE = 0.6  # correlation from which on a block shows the same


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two pictures agree when one is laid over the other.

    Attributes:
        blocks: of 64, that lie inside both and have texture.
        share: of these blocks, those with a correlation above 0.6.
        correlation: median of the blocks, -1 to 1.
        overlap: share of the first picture that the second covers.
    """

    blocks: int
    share: float
    correlation: float
    overlap: float

    @property
    def is_same(self) -> bool:
        """Whether the two show the same picture; docs/decisions/0003 has the measurements behind the numbers."""
        return self.blocks >= 12 and self.share >= 0.7 and self.correlation >= 0.8


@dataclass(frozen=True, slots=True)
class DoubtfulPair:
    """Two photos by the sha256 of their bytes; whether the second is to be looked at in a mirror, and turned by quarters."""

    first: str
    second: str
    mirrored: bool = False
    turn: int = 0


VerifyPairs = Callable[[Sequence[DoubtfulPair]], list[Agreement | None]]
"""Answers each pair; None where the bytes of either photo are not there or cannot be read."""


def pair_verifier(workspace: Workspace, work: Work | None = None) -> VerifyPairs:
    """Return what verifies pairs of photos in a workspace's store; each is decoded once while it is kept in memory.

    Pictures are read where `work` is done, in a few threads unless it is said; pairs are compared here.
    """
    decoded: dict[str, NDArray[np.uint8] | None] = {}

    def look_at(digests: Sequence[str]) -> None:
        if len(decoded) + len(digests) > _KEPT:
            decoded.clear()
        new = [digest for digest in dict.fromkeys(digests) if digest not in decoded]
        for digest, found in zip(new, map_photos(_small, new, workspace, work), strict=True):
            decoded[digest] = None if isinstance(found, Fault) else found  # what was stored was whole once

    def verify(pairs: Sequence[DoubtfulPair]) -> list[Agreement | None]:
        answers: list[Agreement | None] = [None] * len(pairs)
        look_at([digest for pair in pairs for digest in (pair.first, pair.second)])
        for start in range(0, len(pairs), _AT_ONCE):
            readable = []
            for position, pair in enumerate(pairs[start : start + _AT_ONCE], start):
                first, second = decoded[pair.first], decoded[pair.second]
                if first is not None and second is not None:
                    seen = second[:, ::-1] if pair.mirrored else second
                    readable.append((position, first, np.rot90(seen, pair.turn)))
            if readable:
                positions, firsts, seconds = zip(*readable, strict=True)
                for position, answer in zip(positions, agreements(np.stack(firsts), np.stack(seconds)), strict=True):
                    answers[position] = answer
        return answers

    return verify


def _small(path: Path) -> NDArray[np.uint8]:
    with open_image(path) as image:
        return small_grey(image)


def small_grey(image: Image.Image) -> NDArray[np.uint8]:
    """Return an opened picture as (64, 64) grey levels, upright, its sides stretched to a square.

    Raises:
        Exception: whatever Pillow raises on a broken file.
    """
    image.draft("L", (_SIDE, _SIDE))
    grey = displayed(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(grey)


def agreements(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> list[Agreement]:
    """Return how far pictures (N, 64, 64) agree, pair by pair: laid over each other as they are, or fitted, the better one.

    As they are, because a large caption can mislead the fit.
    """
    a, b = first.astype(np.float32), second.astype(np.float32)
    still = np.tile(np.array([1, 0, 1, 0], dtype=np.float32), (len(a), 1))
    pairs = zip(_compared(a, b, still), _compared(a, b, _fit(a, b, still)), strict=True)
    return [max(pair, key=lambda found: (found.is_same, found.share, found.correlation)) for pair in pairs]


def _fit(a: Floats, b: Floats, start: Floats) -> Floats:
    """Return x scale, x shift, y scale, y shift (N, 4) that lay `b` over `a`; shifts are shares of a side."""
    fitted = start.copy()
    for side, steps in _LEVELS:
        coarse_a, coarse_b, axis = _reduced(a, side), _reduced(b, side), _axis(side)
        for _ in range(steps):
            laid, inside = _laid(coarse_b, fitted)
            target, moved = _normalised(coarse_a, inside), _normalised(laid, inside)
            across = np.gradient(moved, axis=2) * (side / fitted[:, 0, None, None])
            down = np.gradient(moved, axis=1) * (side / fitted[:, 2, None, None])
            slopes = np.stack([across * axis, across, down * axis[:, None], down], axis=1).reshape(len(a), 4, -1)
            error = (target - moved).reshape(len(a), -1, 1)
            weights = inside.reshape(error.shape) / (1 + (error / _OUTLIER) ** 2)
            weighted = slopes * weights.transpose(0, 2, 1)
            normal = weighted @ slopes.transpose(0, 2, 1)
            damping = 1e-3 * np.trace(normal, axis1=1, axis2=2)[:, None, None] / 4 + 1e-6
            change = np.linalg.solve(normal + damping * np.eye(4, dtype=np.float32), weighted @ error)[..., 0]
            fitted += change.clip(-0.1, 0.1)
            fitted[:, ::2] = fitted[:, ::2].clip(*_SCALES)
            fitted[:, 1::2] = fitted[:, 1::2].clip(-_SHIFT, _SHIFT)
    return fitted


def _compared(a: Floats, b: Floats, fitted: Floats) -> list[Agreement]:
    laid, inside = _laid(b, fitted)
    whole = _blocks(inside).min(axis=-1) > 0
    flat_a, flat_b = (blocks - blocks.mean(axis=-1, keepdims=True) for blocks in (_blocks(a), _blocks(laid)))
    contrast_a, contrast_b = (np.sqrt((flat**2).mean(axis=-1)) for flat in (flat_a, flat_b))
    # A grey level of contrast at least: where one block is blank and the other is not, they differ.
    correlation = (flat_a * flat_b).mean(axis=-1) / (contrast_a.clip(1) * contrast_b.clip(1))
    used = whole & (np.maximum(contrast_a, contrast_b) > _TEXTURE)
    return [
        Agreement(
            blocks=int(mask.sum()),
            share=round(float((correlations[mask] > _ALIKE).mean()), 3) if mask.any() else 0.0,
            correlation=round(float(np.median(correlations[mask])), 3) if mask.any() else 0.0,
            overlap=round(float(covered.mean()), 3),
        )
        for mask, correlations, covered in zip(used, correlation, inside, strict=True)
    ]


def _axis(side: int) -> Floats:
    return ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5).astype(np.float32)


def _reduced(pictures: Floats, side: int) -> Floats:
    by = _SIDE // side
    reduced: Floats = pictures.reshape(len(pictures), side, by, side, by).mean(axis=(2, 4))
    return reduced


def _laid(pictures: Floats, fitted: Floats) -> tuple[Floats, Floats]:
    """Return pictures (N, side, side) scaled and shifted by linear interpolation, and 1 where they cover it, else 0."""
    side = pictures.shape[-1]
    (x, x_inside), (y, y_inside) = (_weights(side, fitted[:, at], fitted[:, at + 1]) for at in (0, 2))
    laid = (y @ pictures @ x.transpose(0, 2, 1)).astype(np.float32, copy=False)
    return laid, y_inside[:, :, None] * x_inside[:, None, :]


def _weights(side: int, scale: Floats, shift: Floats) -> tuple[Floats, Floats]:
    at = (scale[:, None] * _axis(side) + shift[:, None] + np.float32(0.5)) * side - np.float32(0.5)
    inside = ((at > -0.5) & (at < side - 0.5)).astype(np.float32)
    apart = np.abs(at.clip(0, side - 1)[:, :, None] - np.arange(side, dtype=np.float32))
    weights: Floats = (1 - apart).clip(0).astype(np.float32)
    return weights, inside


def _normalised(pictures: Floats, inside: Floats) -> Floats:
    """Return pictures with mean 0 and standard deviation 1 where they are inside."""
    size = inside.sum(axis=(1, 2), keepdims=True) + 1e-6
    centred = pictures - (pictures * inside).sum(axis=(1, 2), keepdims=True) / size
    normalised: Floats = centred / (np.sqrt((centred**2 * inside).sum(axis=(1, 2), keepdims=True) / size) + 1e-3)
    return normalised


def _blocks(pictures: Floats) -> Floats:
    """Return (N, 64, 64) as blocks (N, 64, 64 pixels)."""
    many = _SIDE // _BLOCK
    return pictures.reshape(-1, many, _BLOCK, many, _BLOCK).transpose(0, 1, 3, 2, 4).reshape(-1, many**2, _BLOCK**2)
