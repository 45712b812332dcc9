"""Local features of photos: descriptors as bytes with their keypoints, computed once and kept by photo digest.

A `FrontEnd` finds and describes keypoints: RootSIFT here, networks in `local.learnt`.

SIFT (Lowe, IJCV 2004) finds corners and blobs of any scale and describes each by 128 numbers. RootSIFT (Arandjelović and
Zisserman, CVPR 2012) divides a descriptor by its sum and takes square roots: Euclidean distances then compare histograms
better. Of a photo stay the `most` strongest. Descriptors are whole numbers from 0 to 255 (512 times the root, cut off):
products and sums of them are exact in float32, so that no result depends on the number of threads.

A photo without keypoints (fog, a logo) is normal. Photos of other proportions than 1 : 4 are made smaller until they fit.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.photos import DECODER, Photos
from benchmark.store import ArrayStore
from collector.errors import UsageError
from collector.executors.local import map_in_order

WIDTH = 128
"""Values of a descriptor of SIFT."""

_SCALE = 512.0  # of a root that fills a byte: 0.5, hardly ever passed
_LONGEST = 4  # sides of a photo, longer : shorter
_POINT = 16  # bytes of a keypoint: four float32
_AT_ONCE = 64


class FrontEnd(Protocol):
    """Finds and describes keypoints."""

    @property
    def side(self) -> int:
        """Pixels of the shorter side of a photo at most."""
        ...

    @property
    def width(self) -> int:
        """Values of a descriptor."""
        ...

    @property
    def key(self) -> dict[str, Any]:
        """What features depend on beside the photo."""
        ...

    def prepare(self) -> None:
        """Get ready for `features` in several threads.

        Raises:
            UsageError: something is not installed.
        """
        ...

    def features(self, picture: NDArray[np.uint8]) -> "Features":
        """Return the features of a picture (3, height, width), strongest first."""
        ...


@dataclass(frozen=True, slots=True)
class Sift:
    """RootSIFT.

    Attributes:
        side: pixels of the shorter side of a photo; smaller photos stay as they are.
        most: keypoints kept of a photo, the strongest.
        contrast: SIFT's threshold of contrast; smaller finds more.

    Raises:
        UsageError: a value makes no sense.
    """

    side: int = 480
    most: int = 1000
    contrast: float = 0.01

    def __post_init__(self) -> None:
        check_limits(self.side, self.most)
        if not 0 <= self.contrast <= 1:
            raise UsageError(f"contrast={self.contrast}: must be from 0 to 1")

    @property
    def width(self) -> int:
        """Values of a descriptor."""
        return WIDTH

    @property
    def key(self) -> dict[str, Any]:
        """What features depend on beside the photo."""
        return {"what": "rootsift", "opencv": _opencv().__version__, "decoder": DECODER, "version": 1, **asdict(self)}

    def prepare(self) -> None:
        """See that OpenCV is there, and keep it to one thread: photos are done side by side instead.

        Raises:
            UsageError: it is not installed.
        """
        _opencv().setNumThreads(1)

    def features(self, picture: NDArray[np.uint8]) -> "Features":
        """Return the features of a picture (3, height, width)."""
        return rootsift(picture, self)


def check_limits(side: int, most: int) -> None:
    """Refuse sides and numbers of keypoints that make no sense.

    Raises:
        UsageError: one of them makes none.
    """
    for name, value, least, largest in (("side", side, 32, 4096), ("keypoints", most, 1, 65_535)):
        if not least <= value <= largest:
            raise UsageError(f"{name}={value}: must be from {least} to {largest}")


@dataclass(frozen=True)
class Features:
    """The n keypoints of one photo, strongest first.

    Attributes:
        descriptors: (n, D) as bytes; of RootSIFT D is 128.
        points: (n, 4) x and y in pixels of the resized photo, diameter, angle in degrees; a network gives 0 for the two.
        photo: sha256 of the photo; empty where it lies in no workspace.
    """

    descriptors: NDArray[np.uint8]
    points: NDArray[np.float32]
    photo: str = ""

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def digest(self) -> str:
        """The photo's digest, or one of the features where it has none: an order that no order of photos changes."""
        packed = self.descriptors.tobytes() + self.points.tobytes()
        return self.photo or hashlib.sha256(packed).hexdigest()


def extract_features(photos: Photos, front_end: FrontEnd) -> list[Features]:
    """Return the features of all photos, from the cache where they are there; of photos in no workspace none is kept.

    Raises:
        DataError: photos do not decode.
        UsageError: what finds keypoints is not installed.
    """
    if not len(photos):
        return []
    if photos.store.cache is None:
        pictures = photos.pictures(front_end.side, enlarge=False)
        return [_unpacked(packed, "") for packed in _computed(pictures, front_end)]
    store = ArrayStore(photos.store.cache, front_end.key, np.dtype(np.uint8))
    if missing := store.missing(photos.digests):
        pictures = photos.pictures(front_end.side, enlarge=False)
        packed = _computed([pictures[row] for row in missing], front_end)
        shown = photos.store.track(packed, f"finding keypoints ({front_end.side} px)", len(missing))
        store.add((photos.digests[row], one) for row, one in zip(missing, shown, strict=True))
    arrays = store.each(photos.digests)
    return [_unpacked(packed, digest) for packed, digest in zip(arrays, photos.digests, strict=True)]


def gathered(parts: Sequence[NDArray[np.uint8]], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return some rows of arrays (n, D), counted over all of them, one behind the other, without a copy of the whole."""
    ends = np.cumsum([len(part) for part in parts])
    order = np.argsort(rows, kind="stable")
    bounds = np.searchsorted(rows[order], ends).tolist()
    found = np.empty((len(rows), parts[0].shape[1] if parts else WIDTH), np.uint8)
    for part, end, low, high in zip(parts, ends, [0, *bounds], bounds, strict=False):
        chosen = order[low:high]
        found[chosen] = part[rows[chosen] - (end - len(part))]
    return found


def _opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise UsageError("this needs cv2, of the extra local: pip install 't15[local]'") from error
    return cv2


def _computed(pictures: Sequence[NDArray[np.uint8]], front_end: FrontEnd) -> Iterator[NDArray[np.uint8]]:
    front_end.prepare()
    return map_in_order(lambda picture: _packed(front_end.features(picture)), pictures, _AT_ONCE)


def bounded(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the size that a picture is made smaller to where it is longer than 1 : 4 of `side`: panoramas stay bounded."""
    scale = min(1.0, _LONGEST * side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def rootsift(picture: NDArray[np.uint8], front_end: Sift) -> Features:
    """Return the features of a picture (3, height, width)."""
    cv2 = _opencv()
    grey = cv2.cvtColor(np.ascontiguousarray(picture.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if (size := bounded(width, height, front_end.side)) != (width, height):
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    sift = cv2.SIFT_create(nfeatures=front_end.most, contrastThreshold=front_end.contrast)
    keypoints, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None:
        return Features(np.empty((0, WIDTH), np.uint8), np.empty((0, 4), np.float32))
    points = np.array([(*point.pt, point.size, point.angle) for point in keypoints], np.float32)
    strength = np.array([point.response for point in keypoints])
    order = np.lexsort((*points.T, -strength))[: front_end.most]  # OpenCV returns a few more where strengths are equal
    return Features(_roots(descriptors[order]), points[order])


def _roots(descriptors: NDArray[np.float32]) -> NDArray[np.uint8]:
    sums = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    roots: NDArray[np.float32] = np.sqrt(descriptors / sums)
    scaled: NDArray[np.uint8] = np.rint(np.minimum(_SCALE * roots, 255)).astype(np.uint8)
    return scaled


def _packed(features: Features) -> NDArray[np.uint8]:
    """Return (n + 1, D + 16): descriptor and keypoint of each behind a row of zeros, since a store keeps no empty array."""
    points = np.ascontiguousarray(features.points).view(np.uint8).reshape(len(features), _POINT)
    rows = np.concatenate([features.descriptors, points], axis=1)
    return np.concatenate([np.zeros((1, rows.shape[1]), np.uint8), rows])


def _unpacked(packed: NDArray[np.uint8], photo: str) -> Features:
    points = np.ascontiguousarray(packed[1:, -_POINT:]).view(np.float32).reshape(-1, 4)
    return Features(packed[1:, :-_POINT], points, photo)
