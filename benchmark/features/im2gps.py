"""The features of IM2GPS, as far as they are known, over batches of photos: uint8 (N, 3, S, S) -> float32 (N, D).

J. Hays, A. A. Efros, "IM2GPS: estimating geographic information from a single image", CVPR 2008. Verified of it are the
sizes of the tiny picture and of the colour histogram; filters, bins of lines and grids are readings of ours, written beside
each.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.features.gist import gist_labelme

LAB_BINS = (4, 14, 14)
_LAB_RANGE = ((0.0, 100.0), (-60.0, 60.0), (-60.0, 60.0))
"""What the bins divide evenly; farther values fall into the last ones. Photos hardly leave ±60."""

LINE_BINS = 17
_SHORTEST = 4.0  # pixels of a straight segment
_STRAIGHT = 0.02  # at most so much of a segment's variance lies across it

TEXTONS = 512
_ORIENTATIONS, _SCALES, _ELONGATIONS = 8, (1.0, 2.0), (2.0, 4.0)


def lab(photos: torch.Tensor) -> torch.Tensor:
    """Return sRGB photos in CIE L*a*b* with the white D65: float32 (N, 3, S, S), L from 0 to 100.

    CIE 15:2004; sRGB as in IEC 61966-2-1.
    """
    rgb = photos.float() / 255
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055).clamp(min=0) ** 2.4)
    matrix = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    to_xyz = torch.tensor(matrix, device=photos.device)
    xyz = torch.einsum("ij,njhw->nihw", to_xyz, linear)
    xyz = xyz / torch.tensor([0.95047, 1.0, 1.08883], device=photos.device).view(3, 1, 1)
    root = torch.where(xyz > 216 / 24389, xyz.clamp(min=1e-9) ** (1 / 3), (24389 / 27 * xyz + 16) / 116)
    x, y, z = root.unbind(dim=1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def tiny_lab(photos: torch.Tensor) -> torch.Tensor:
    """Return the photos' Lab values themselves, (N, 3·S·S); at S = 16 the 768 of IM2GPS."""
    return lab(photos).flatten(1)


def lab_histogram(photos: torch.Tensor) -> torch.Tensor:
    """Return the share of pixels in each of 4 × 14 × 14 bins of L, a and b, (N, 784)."""
    values = lab(photos)
    bins = torch.zeros(len(photos), photos.shape[-1] ** 2, dtype=torch.int64, device=photos.device)
    for channel, (count, (low, high)) in enumerate(zip(LAB_BINS, _LAB_RANGE, strict=True)):
        step = ((values[:, channel] - low) / (high - low) * count).long().clamp(0, count - 1)
        bins = bins * count + step.flatten(1)
    shares = torch.zeros(len(photos), math.prod(LAB_BINS), device=photos.device)
    return shares.scatter_add_(1, bins, torch.full(bins.shape, 1 / bins.shape[1], device=photos.device))


def gist_colour(photos: torch.Tensor) -> torch.Tensor:
    """Return a gist of 5 × 5 blocks, 6 orientations and 4 scales of the grey photo, and its 5 × 5 tiny Lab picture: (N, 675).

    Gist values, which are near 0.03, are multiplied by 10, Lab values divided by 100, so that both halves count.
    """
    gist = gist_labelme(photos, orientations=6, scales=4, blocks=5)
    small = torch.nn.functional.adaptive_avg_pool2d(lab(photos), 5).flatten(1) / 100
    return torch.cat([gist * 10, small], dim=1)


def lines(photos: torch.Tensor) -> torch.Tensor:
    """Return shares of straight segments by angle (17 bins) and by length (17 bins, even in the logarithm), (N, 34).

    Pixels with a strong gradient are grouped by eight directions of it, and a connected group whose spread across is small
    is a segment (after J. Košecká, W. Zhang, "Video compass", ECCV 2002). Each segment counts with its length. A photo
    without one is all zeros.
    """
    grey = photos.float().mean(dim=1).cpu().numpy()
    described = [_segments(picture) for picture in grey]
    stacked = np.stack(described) if described else np.zeros((0, 2 * LINE_BINS))
    return torch.from_numpy(stacked.astype(np.float32)).to(photos.device)


def _segments(grey: NDArray[np.float32]) -> NDArray[np.float64]:
    smooth = ndimage.gaussian_filter(grey, 1.0, mode="nearest")
    down, right = ndimage.sobel(smooth, axis=0, mode="nearest"), ndimage.sobel(smooth, axis=1, mode="nearest")
    strength = np.hypot(down, right)
    strong = strength > max(20.0, float(np.percentile(strength, 80)))
    turn = np.floor(np.arctan2(down, right) % math.pi / math.pi * 16).astype(int) % 16
    longest = math.hypot(*grey.shape)
    angles, lengths = np.zeros(LINE_BINS), np.zeros(LINE_BINS)
    for direction in range(0, 16, 2):
        group, count = ndimage.label(strong & ((turn == direction) | (turn == direction + 1)), np.ones((3, 3)))
        rows, columns = np.nonzero(group)
        number = group[rows, columns] - 1
        size = np.bincount(number, minlength=count)
        if not count:
            continue
        y, x = (np.bincount(number, of, count) / size for of in (rows, columns))
        above, beside = rows - y[number], columns - x[number]
        vy, vx, both = (np.bincount(number, of, count) / size for of in (above**2, beside**2, above * beside))
        spread = np.hypot((vx - vy) / 2, both)
        along, across = (vx + vy) / 2 + spread, np.maximum((vx + vy) / 2 - spread, 0)
        length = np.sqrt(12 * along)  # of a segment with this variance
        straight = (length >= _SHORTEST) & (across <= np.maximum(_STRAIGHT * along, 1.0)) & (size >= 4)
        angle = (0.5 * np.arctan2(2 * both, vx - vy) % math.pi)[straight]
        length = length[straight]
        np.add.at(angles, np.minimum((angle / math.pi * LINE_BINS).astype(int), LINE_BINS - 1), length)
        scale = np.log(np.maximum(length, _SHORTEST) / _SHORTEST) / math.log(longest / _SHORTEST)
        np.add.at(lengths, np.clip((scale * LINE_BINS).astype(int), 0, LINE_BINS - 1), length)
    total = angles.sum() or 1.0
    return np.concatenate([angles, lengths]) / total


def layout(photos: torch.Tensor) -> torch.Tensor:
    """Return 8 × 8 maps of what may be ground, standing and sky, (N, 192): a stand-in for geometric context.

    IM2GPS took the maps of D. Hoiem's program, which were learnt from labelled photos. Here plain rules make something like
    them: sky is high, bright and smooth, ground is low, standing things have edges. The three of a block sum to 1. No
    figure with this feature is one of geometric context.
    """
    values = lab(photos)
    light = values[:, :1] / 100
    right = torch.nn.functional.pad((light[..., 1:] - light[..., :-1]).abs(), (0, 1))
    edges = torch.nn.functional.adaptive_avg_pool2d(right, 8).squeeze(1)
    bright = torch.nn.functional.adaptive_avg_pool2d(light, 8).squeeze(1)
    blue = torch.nn.functional.adaptive_avg_pool2d(-values[:, 2:], 8).squeeze(1) / 50
    height = torch.linspace(1, 0, 8, device=photos.device).view(1, 8, 1)
    sky = 3 * (height - 0.5) + 2 * (bright - 0.5) + blue.clamp(-1, 1) - 20 * edges
    ground = 4 * (0.4 - height) - 10 * edges + 0 * bright
    standing = 20 * edges - 0.5 + 0 * bright
    return torch.stack([ground, standing, sky], dim=1).softmax(dim=1).flatten(1)


@lru_cache(maxsize=4)
def _bank(device: torch.device) -> torch.Tensor:
    """Return 64 filters of 25 × 25, (64, 1, 25, 25): odd and even ones in turn, 8 orientations, 2 scales, 2 elongations."""
    y, x = torch.meshgrid(*(torch.arange(-12.0, 13.0),) * 2, indexing="ij")
    filters = []
    for scale in _SCALES:
        for longer in _ELONGATIONS:
            for number in range(_ORIENTATIONS):
                angle = math.pi * number / _ORIENTATIONS
                u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
                bell = torch.exp(-(u**2) / (2 * scale**2) - v**2 / (2 * (longer * scale) ** 2))
                filters += [u * bell, (u**2 / scale**2 - 1) * bell]
    stacked = torch.stack(filters)
    stacked = stacked - stacked.mean(dim=(1, 2), keepdim=True)
    return (stacked / stacked.abs().sum(dim=(1, 2), keepdim=True))[:, None].to(device)


def responses(photos: torch.Tensor) -> torch.Tensor:
    """Return the filters' answers at every pixel: float32 (N, 32, S, S), of odd and even filters the energies.

    8 orientations × 2 scales × 2 elongations, first and second derivatives of Gaussians, of the lightness from 0 to 1.
    """
    light = torch.nn.functional.pad(lab(photos)[:, :1] / 100, (12, 12, 12, 12), mode="replicate")
    answers = torch.nn.functional.conv2d(light, _bank(photos.device))
    return torch.hypot(answers[:, ::2], answers[:, 1::2])


def textons(photos: torch.Tensor, *, words: torch.Tensor) -> torch.Tensor:
    """Return the share of pixels nearest to each word (W, 32) of a dictionary, (N, W)."""
    shares = torch.zeros(len(photos), len(words), device=photos.device)
    words = words.to(photos.device)
    for row in range(len(photos)):
        pixels = (
            responses(photos[row : row + 1])[0, :, ::2, ::2].flatten(1).T
        )  # every other pixel: the filters are wider
        nearest = torch.cdist(pixels, words).argmin(dim=1)
        shares[row] = torch.bincount(nearest, minlength=len(words)) / len(nearest)
    return shares


def dictionary(photos: torch.Tensor, words: int, seed: int, sampled: int = 50) -> NDArray[np.float32]:
    """Return the centres (W, 32) of pixels drawn from photos, by k-means; fewer words where there are fewer different pixels.

    Nothing but k-means++ draws from the seed, and which pixels stand for a photo.
    """
    from sklearn.cluster import MiniBatchKMeans

    random = np.random.default_rng(seed)
    drawn = [
        responses(photo)[0].flatten(1).T[torch.from_numpy(random.choice(photo.shape[-1] ** 2, sampled))].cpu().numpy()
        for photo in photos.split(1)
    ]
    pixels = np.unique(np.concatenate(drawn), axis=0)
    count = min(words, len(pixels))
    fitted = MiniBatchKMeans(count, random_state=seed, n_init=1, batch_size=4096, max_iter=30).fit(pixels)
    return np.asarray(fitted.cluster_centers_, np.float32)
