"""GIST, the spatial envelope of a scene (Oliva and Torralba 2001), in both kinds that the field calls by that name.

Both take the logarithm of a photo, even out its local contrast, pass it through a bank of Gabor filters and average the
magnitude of each answer over a grid of blocks. They differ in colour, filters and padding, so their values must not be
mixed: `gist_labelme` is the authors' program (grey, 8 orientations on each of 4 scales: 512 values), `gist_lear` follows
lear_gist 1.1 (Douze et al. 2009: three colours, 8, 8 and 4 orientations: 960 values).

Notation: n is the side of the picture that is transformed, r the radial frequency in cycles per picture and t its angle,
both in FFT order, with rows running down. Photos are square: neither program's formula says what n is in others.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import torch

from benchmark.features.plain import (
    CONTRAST_CYCLES,
    CONTRAST_FLOOR,
    CONTRAST_PADDING,
    LABELME_PADDING,
    SCALE_STEP,
    TOP_FREQUENCY,
)

# Bytes that a chunk's transforms may take. A CPU is fastest while they stay in its cache (6 to 16 MB were alike here);
# a GPU wants much at once.
_CPU_BYTES = 8 << 20
_GPU_BYTES = 2 << 30


def gist_labelme(photos: torch.Tensor, *, orientations: int = 8, scales: int = 4, blocks: int = 4) -> torch.Tensor:
    """Describe square photos as the LabelMe toolbox does: in grey, the mean of the three channels.

    Args:
        photos: uint8 (N, 3, S, S), RGB, already resized and cropped.
        orientations: filters on each scale.
        scales: number of scales, fine to coarse.
        blocks: blocks along each side.

    Returns:
        float32 (N, scales · orientations · blocks²) on the device of `photos`: by scale, orientation, block column, block
        row. Values are mean magnitudes, at least 0, without unit. The toolbox's front end also stretches each photo to
        the full range of 0 to 255 before this; here the pixels are taken as they are.

    Raises:
        ValueError: not such photos, photos of fewer pixels than blocks, or a parameter out of range.
    """
    _check("gist_labelme", photos, (orientations,) * scales, blocks, smallest=blocks)
    return _gist(photos, (orientations,) * scales, blocks, grey=True, padding=LABELME_PADDING)


def gist_lear(photos: torch.Tensor, *, orientations: Sequence[int] = (8, 8, 4), blocks: int = 4) -> torch.Tensor:
    """Describe square photos as lear_gist 1.1 does: in colour, without padding before the filters.

    Args:
        photos: uint8 (N, 3, S, S), RGB.
        orientations: filters on each scale, fine to coarse.
        blocks: blocks along each side.

    Returns:
        float32 (N, 3 · sum(orientations) · blocks²) on the device of `photos`: by channel, scale, orientation, block
        column, block row. Values are mean magnitudes, at least 0, without unit.

    Raises:
        ValueError: not such photos, photos under 8×8 pixels (which the program refuses too) or of fewer pixels than
            blocks, or a parameter out of range.
    """
    _check("gist_lear", photos, tuple(orientations), blocks, smallest=max(8, blocks))
    return _gist(photos, tuple(orientations), blocks, grey=False, padding=0)


def _gist(
    photos: torch.Tensor, orientations: tuple[int, ...], blocks: int, *, grey: bool, padding: int
) -> torch.Tensor:
    count, side = len(photos), photos.shape[-1]
    bank = _gabor_bank(side + 2 * padding, orientations, photos.device)
    inner = slice(padding, padding + side)
    channels = 1 if grey else 3
    features = photos.new_empty((count, channels, len(bank), blocks, blocks), dtype=torch.float32)
    budget = _CPU_BYTES if photos.device.type == "cpu" else _GPU_BYTES
    answer = channels * bank[0].numel() * 16  # bytes of one photo's spectrum, weighted and transformed back
    chunk = max(1, budget // (4 * answer))
    group = min(len(bank), max(1, budget // (chunk * answer)))
    workspace = photos.new_empty(min(chunk, count) * group * channels * bank[0].numel(), dtype=torch.complex64)
    for start in range(0, count, chunk):
        part = slice(start, start + chunk)
        spectrum = torch.fft.fft2(_mirrored(_even_contrast(photos[part], grey=grey).float(), padding))
        for first in range(0, len(bank), group):
            filters = slice(first, first + group)
            magnitudes = _filtered(spectrum[:, :, None], bank[filters], workspace)
            features[part, :, filters] = _block_means(magnitudes[..., inner, inner], blocks)
    return features.flatten(1)


def _filtered(spectrum: torch.Tensor, filters: torch.Tensor, workspace: torch.Tensor) -> torch.Tensor:
    """Return the magnitudes (n, channels, filters, n, n) in the workspace, where the next call overwrites them.

    On a CPU, fresh memory for each step would take as long as the transforms at 64 pixels (590 page faults a photo), and
    `abs` three times as long as its formula in three steps.
    """
    shape = torch.broadcast_shapes(spectrum.shape, filters.shape)
    weighted = workspace[: math.prod(shape)].view(shape)
    parts = torch.view_as_real(torch.fft.ifft2(torch.mul(spectrum, filters, out=weighted), norm="forward"))
    parts.mul_(parts)
    magnitudes = torch.view_as_real(workspace).flatten()[: math.prod(shape)].view(shape)
    return torch.add(parts[..., 0], parts[..., 1], out=magnitudes).sqrt_()


def _even_contrast(photos: torch.Tensor, *, grey: bool) -> torch.Tensor:
    """Return log(photo + 1) less its local mean, over 0.2 plus its local deviation: float64 (n, 1 or 3, S, S).

    In float64, since rounding shows where a photo is flat and the filters find little else. Measured against float64
    throughout, on 77 real photos at 64 and 256 pixels, the largest relative error of a value above 0.001 is 7e-4 with
    float32 here, and 3e-6 with float64 here and float32 from the filters on, where most of the work is.
    """
    padded = _mirrored(photos, CONTRAST_PADDING).double()
    logarithm = (padded.mean(1, keepdim=True) if grey else padded).log1p_()
    low_pass = _low_pass(logarithm.shape[-1], photos.device)
    detail = logarithm.sub_(_blurred(logarithm, low_pass))
    deviation = _blurred(detail.mean(1, keepdim=True).square_(), low_pass).abs_().sqrt_()
    inner = slice(CONTRAST_PADDING, -CONTRAST_PADDING)
    return detail[..., inner, inner] / (CONTRAST_FLOOR + deviation[..., inner, inner])


def _blurred(pictures: torch.Tensor, low_pass: torch.Tensor) -> torch.Tensor:
    blurred: torch.Tensor = low_pass.T @ (low_pass @ pictures @ low_pass.T) @ low_pass
    return blurred


def _block_means(pictures: torch.Tensor, blocks: int) -> torch.Tensor:
    """Average over blocks of nearly equal size: (..., n, n) to (..., block column, block row)."""
    size = pictures.shape[-1]
    if size % blocks == 0:  # as below, in two steps instead of two for each block
        sums: torch.Tensor = pictures.unflatten(-2, (blocks, -1)).sum(-2).unflatten(-1, (blocks, -1)).sum(-1)
        return sums.mT * (blocks / size) ** 2
    edges = [size * number // blocks for number in range(blocks + 1)]
    bands = torch.stack([pictures[..., top:bottom, :].mean(-2) for top, bottom in pairwise(edges)], dim=-1)
    return torch.stack([bands[..., left:right, :].mean(-2) for left, right in pairwise(edges)], dim=-2)


def _mirrored(pictures: torch.Tensor, padding: int) -> torch.Tensor:
    """Pad all four sides with their mirror image, edge pixels included, as often as a small picture needs it."""
    if not padding:
        return pictures
    size = pictures.shape[-1]
    period = torch.arange(-padding, size + padding, device=pictures.device) % (2 * size)
    index = torch.minimum(period, 2 * size - 1 - period)
    return pictures.index_select(-2, index).index_select(-1, index)


@lru_cache(maxsize=16)
def _low_pass(size: int, device: torch.device) -> torch.Tensor:
    """Return the matrix L, float64 (frequencies, size), with which LᵀL·picture·LᵀL is the low-passed picture.

    The Gaussian exp(-r² · ln 2 / fc²), a half at fc cycles per picture, is a product of one over rows and one over columns,
    and below 1e-12 from 26 cycles on. So L holds the real Fourier basis up to there, each vector times the root of its
    weight; thin matrix products then take about half the time of FFTs, whose sizes here (10 more than the photo's)
    have large prime factors.
    """
    cycles = torch.arange(min(26, size // 2 + 1), dtype=torch.float64)[:, None]
    angle = 2 * math.pi / size * cycles * torch.arange(size)
    # Frequencies between 0 and half the size come as a pair, a cosine and a sine; those two ends as a cosine alone.
    paired = (cycles > 0) & (2 * cycles < size)
    weight = torch.exp(-cycles.square() * (math.log(2) / CONTRAST_CYCLES**2)) * torch.where(paired, 2, 1) / size
    return torch.cat([angle.cos(), angle.sin() * paired]).mul(torch.cat([weight, weight]).sqrt()).to(device)


@lru_cache(maxsize=16)
def _gabor_bank(size: int, orientations: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Return the filters in the frequency domain over the number of pixels: float32 (sum(orientations), size, size).

    With o orientations on a scale whose centre is f cycles per pixel, filter j is
    exp(-3.5 · (r / (n · f) - 1)² - 2π · (16 · o² / 32²) · (t + π · j / o)²), the angle wrapped to within ±π.
    The division is the inverse FFT's, which then needs no pass of its own for it.
    """
    down, right = _frequencies(size)[:, None], _frequencies(size)[None, :]
    radius, angle = torch.hypot(down, right), torch.atan2(down, right)
    filters = []
    for scale, number in enumerate(orientations):
        ring = -3.5 * (radius / (size * TOP_FREQUENCY / SCALE_STEP**scale) - 1).square()
        for orientation in range(number):
            turned = angle + math.pi * orientation / number
            turned = torch.where(turned > math.pi, turned - 2 * math.pi, turned)
            filters.append(torch.exp(ring - 2 * math.pi * (16 * number**2 / 32**2) * turned.square()))
    return (torch.stack(filters) / size**2).to(device, torch.float32)


def _frequencies(size: int) -> torch.Tensor:
    """Return the frequencies of an FFT in cycles per picture, float64: 0, 1, ..., -2, -1."""
    frequencies: torch.Tensor = torch.fft.fftfreq(size, d=1 / size, dtype=torch.float64)
    return frequencies


def _check(name: str, photos: torch.Tensor, orientations: tuple[int, ...], blocks: int, smallest: int) -> None:
    if photos.dtype != torch.uint8:
        raise ValueError(f"{name} needs photos of dtype uint8, not {str(photos.dtype).removeprefix('torch.')}")
    if photos.ndim != 4 or photos.shape[1] != 3 or photos.shape[2] != photos.shape[3]:
        raise ValueError(f"{name} needs square photos of shape (N, 3, S, S), not {tuple(photos.shape)}")
    if blocks < 1 or not orientations or min(orientations) < 1:
        raise ValueError(f"{name} needs at least one block, scale and orientation")
    if photos.shape[2] < smallest:
        side = photos.shape[2]
        raise ValueError(f"{name} needs photos of at least {smallest}×{smallest} pixels, not {side}×{side}")
