"""Regions of a photo: visual words that stand together, how they stand to each other, and how much the eye is drawn there.

Keypoints are grouped by mean shift of their positions with a flat kernel: each moves to the mean of all within the bandwidth
until it stands still; those that end together are a group (Comaniciu and Meer, PAMI 2002). Of a pair of a group's words two
bits say whether the one is left of the other, and above. Saliency is the spectral residual of a small grey picture (Hou and
Zhang, CVPR 2007): what is left of the logarithmic amplitudes of its spectrum when their local mean is taken away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.spatial import cKDTree

_STEPS = 50
_PARTS = 1 << 20  # of a photo's side: positions are whole numbers of these
_AT_ONCE = 1 << 22  # distances
_SMALL = 64  # pixels of a side of what saliency is computed of


@dataclass(frozen=True)
class Region:
    """A group of words of one photo.

    Attributes:
        words: (n,) each once, rising.
        points: (n, 2) x and y of each, as shares of the photo's width and height.
        saliency: mean of its places', 1 being the photo's mean.
    """

    words: NDArray[np.int64]
    points: NDArray[np.float64]
    saliency: float = 1.0


def mean_shift(points: NDArray[np.float64], bandwidth: float) -> NDArray[np.int64]:
    """Return the group of each point (n, 2), numbered by the first point of each; flat kernel."""
    if not len(points):
        return np.empty(0, np.int64)
    points = np.round(points * _PARTS) / _PARTS  # sums of whole numbers: exact, in whatever order they are added
    modes = points.copy()
    moving = np.arange(len(points))
    for _ in range(_STEPS):
        blocks = np.array_split(moving, -(-len(moving) * len(points) // _AT_ONCE))
        means = np.concatenate([_means(modes[rows], points, bandwidth) for rows in blocks])
        far = np.abs(means - modes[moving]).max(axis=1) > 1e-3 * bandwidth
        modes[moving] = means
        moving = moving[far]
        if not len(moving):
            break
    group = np.full(len(points), -1, np.int64)
    ends = cKDTree(modes)
    count = 0
    for row in range(len(points)):
        if group[row] < 0:
            near = np.array(ends.query_ball_point(modes[row], bandwidth / 2), np.int64)
            group[near[group[near] < 0]] = count
            count += 1
    return group


def _means(centres: NDArray[np.float64], points: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Return the mean of the points (n, 2) within a radius of each centre (m, 2); of a centre with none, itself."""
    (x, y), (across, down) = points.T, centres.T[:, :, None]
    inside = ((x - across) ** 2 + (y - down) ** 2 <= radius**2).astype(np.float64)
    counts = inside.sum(axis=1, keepdims=True)
    return np.where(counts > 0, inside @ points / np.maximum(counts, 1), centres)


def regions_of(
    words: NDArray[np.int64],
    points: NDArray[np.float64],
    idf: NDArray[np.float64],
    bandwidth: float,
    most: int,
    salient: NDArray[np.float64] | None,
) -> list[Region]:
    """Return the groups of three words or more of a photo, of each the `most` words of highest idf.

    Args:
        words: of each keypoint, strongest first; of a word that comes again in a group the first counts.
        points: (n, 2) shares of width and height.
        idf: of each word.
        bandwidth: share of the diagonal of the unit square.
        most: words of a group.
        salient: a map of saliency, or None.
    """
    groups = mean_shift(points, bandwidth * np.sqrt(2))
    regions = []
    for number in range(int(groups.max(initial=-1)) + 1):
        rows = np.flatnonzero(groups == number)
        own, first = np.unique(words[rows], return_index=True)
        best = np.sort(np.argsort(-idf[own], kind="stable")[:most])
        if len(best) >= 3:
            places = points[rows[first[best]]]
            regions.append(Region(own[best], places, 1.0 if salient is None else _mean_at(salient, places)))
    return regions


def _mean_at(salient: NDArray[np.float64], places: NDArray[np.float64]) -> float:
    height, width = salient.shape
    columns = (places[:, 0] * width).astype(int).clip(0, width - 1)
    rows = (places[:, 1] * height).astype(int).clip(0, height - 1)
    return float(salient[rows, columns].mean())


def agreement(first: Region, second: Region, idf: NDArray[np.float64], least: int) -> float:
    """Return how alike two groups are: the sum of their common words' idf, times the share of bits that agree.

    0 with fewer than `least` common words.
    """
    common, a, b = np.intersect1d(first.words, second.words, assume_unique=True, return_indices=True)
    if len(common) < max(2, least):
        return 0.0
    one, other = first.points[a], second.points[b]
    upper = np.triu_indices(len(common), 1)
    bits = [(of[upper[0]] < of[upper[1]]) for of in (one, other)]
    return float(idf[common].sum() * (bits[0] == bits[1]).mean())


def saliency(grey: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the spectral residual of a grey picture, 64 × 64 at most, its mean 1."""
    steps = [max(1, length // _SMALL) for length in grey.shape]
    trimmed = grey[: grey.shape[0] // steps[0] * steps[0], : grey.shape[1] // steps[1] * steps[1]]
    small = trimmed.reshape(trimmed.shape[0] // steps[0], steps[0], -1, steps[1]).mean(axis=(1, 3))
    spectrum = np.fft.fft2(small)
    amplitude = np.log(np.abs(spectrum) + 1e-6)
    residual = amplitude - uniform_filter(amplitude, 3, mode="wrap")
    map_of = gaussian_filter(np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2, 2.5)
    scaled: NDArray[np.float64] = map_of / max(float(map_of.mean()), 1e-12)
    return np.round(scaled, 6)
