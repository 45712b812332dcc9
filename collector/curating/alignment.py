"""Whether one photo holds the picture of another, turned, cut, scaled, set among others: aligned by local features.

SIFT (Lowe, IJCV 2004) features of both that match (ratio 0.8) give the affine map of most inliers (RANSAC, 4 pixels). Local
features agree also on two photos of one façade: so the second photo is laid over the first by that map, and what both show is
compared block by block, as `pair_verification` does for small changes. The same part must be most of one of the two. Needs
OpenCV (extra `local` or `ocr`); its random choices start from one seed, so that a pair always gives the same.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.curating.pair_verification import Agreement, agreements
from collector.images.decode import decode
from collector.workspace import Workspace

SIDE = 384
"""Pixels of a photo's longer side; a crop of a third of it still has features."""

_MOST = 600  # features of a photo
_RATIO = 0.8
_PIXELS = 4.0
_LEAST = 12  # inliers
_CONTAINED = 0.6  # share of one of the two that the other shows, at least
_SHORTEST = 24  # pixels of a side of what both show
_SCALES = (1 / 6, 6.0)  # a map that shrinks or stretches more, or squeezes one direction, has nothing to do with a copy
_SQUEEZE = 1.6
_KEPT = 4096  # photos whose features are kept in memory: 0.5 GB at most

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Aligned:
    """How two photos lie over each other.

    Attributes:
        inliers: features that the map explains.
        shown: share of the first photo that the second covers.
        of_second: share of the second photo that lies on the first.
        agreement: of what both show.
    """

    inliers: int
    shown: float
    of_second: float
    agreement: Agreement

    @property
    def is_same(self) -> bool:
        """Whether one holds the picture of the other."""
        return self.agreement.is_same and max(self.shown, self.of_second) >= _CONTAINED


@dataclass(frozen=True, slots=True)
class _View:
    grey: Grey
    points: NDArray[np.float32]
    descriptors: NDArray[np.float32]


def has_opencv() -> bool:
    """Return whether OpenCV is installed."""
    return find_spec("cv2") is not None


def aligner(workspace: Workspace) -> Callable[[str, str], Aligned | None]:
    """Return what aligns two photos of a workspace by their sha256; None where bytes are missing or nothing matches."""

    @lru_cache(_KEPT)
    def view(sha256: str) -> _View | None:
        # Decoders of broken files raise nearly anything; what was stored was whole once.
        with suppress(Exception):
            picture = decode(workspace.photo(sha256), SIDE).convert("L")
            picture.thumbnail((SIDE, SIDE))
            return _described(np.asarray(picture))
        return None

    def aligned(first: str, second: str) -> Aligned | None:
        a, b = view(first), view(second)
        return align_views(a, b) if a and b else None

    return aligned


def align(first: Grey, second: Grey) -> Aligned | None:
    """Return how two grey pictures (H, W) lie over each other; None where nothing matches."""
    a, b = _described(first), _described(second)
    return align_views(a, b)


def _described(grey: Grey) -> _View:
    cv2 = _cv2()
    keypoints, descriptors = cv2.SIFT_create(nfeatures=_MOST).detectAndCompute(np.ascontiguousarray(grey), None)
    if descriptors is None:
        return _View(grey, np.empty((0, 2), np.float32), np.empty((0, 128), np.float32))
    return _View(grey, np.array([point.pt for point in keypoints], np.float32), descriptors)


def _cv2() -> Any:
    import cv2

    cv2.setNumThreads(1)
    return cv2


def align_views(a: _View, b: _View) -> Aligned | None:
    """Return how two described pictures lie over each other; None where nothing matches."""
    cv2 = _cv2()
    if min(len(a.points), len(b.points)) < _LEAST:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(b.descriptors, a.descriptors, k=2)
    good = [
        best for best, next_ in (pair for pair in pairs if len(pair) == 2) if best.distance < _RATIO * next_.distance
    ]
    if len(good) < _LEAST:
        return None
    of_b = b.points[[match.queryIdx for match in good]]
    of_a = a.points[[match.trainIdx for match in good]]
    cv2.setRNGSeed(0)
    matrix, mask = cv2.estimateAffine2D(of_b, of_a, method=cv2.RANSAC, ransacReprojThreshold=_PIXELS, maxIters=1000)
    inliers = 0 if matrix is None else int(mask.sum())
    if inliers < _LEAST or not _is_plausible(matrix):
        return None
    return _compared(a.grey, b.grey, matrix, inliers)


def _is_plausible(matrix: NDArray[np.float64]) -> bool:
    longest, shortest = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(_SCALES[0] <= shortest and longest <= _SCALES[1] and longest <= _SQUEEZE * shortest)


def _compared(a: Grey, b: Grey, matrix: NDArray[np.float64], inliers: int) -> Aligned | None:
    """Lay the second picture over the first and compare the box of what both show, as squares of 64 pixels."""
    cv2 = _cv2()
    size = (a.shape[1], a.shape[0])
    laid = cv2.warpAffine(b, matrix, size, flags=cv2.INTER_AREA)
    covered = cv2.warpAffine(np.full(b.shape, 255, np.uint8), matrix, size) > 127
    back = cv2.invertAffineTransform(matrix)
    on_first = cv2.warpAffine(np.full(a.shape, 255, np.uint8), back, (b.shape[1], b.shape[0])) > 127
    rows, columns = (np.flatnonzero(covered.mean(axis=axis) > 0.5) for axis in (1, 0))
    if not len(rows) or not len(columns):
        rows, columns = (np.flatnonzero(covered.any(axis=axis)) for axis in (1, 0))
    if len(rows) < _SHORTEST or len(columns) < _SHORTEST:
        return None
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shape = (64, 64)
    small = [cv2.resize(of[box], shape, interpolation=cv2.INTER_AREA) for of in (a, laid)]
    agreement = agreements(np.stack(small[:1]), np.stack(small[1:]))[0]
    return Aligned(inliers, round(float(covered.mean()), 3), round(float(on_first.mean()), 3), agreement)
