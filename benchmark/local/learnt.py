"""Keypoints of networks (XFeat, ALIKED, DISK; `networks.keypoints`) behind the same door as RootSIFT.

Descriptors have length 1; each value becomes the byte 128 + 256 · value, cut off: squared distances in bytes are 65,536 times
those of the descriptors, whole numbers, and what matches and verifies RootSIFT does so with these. Each photo is computed on
one thread, several photos side by side, so that the number of threads changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 (its usual name)

from benchmark.local.keypoints import Features, bounded, check_limits
from benchmark.local.verification import Rules
from benchmark.networks.backbones import find_backbone
from benchmark.networks.keypoints import Aliked, Disk, XFeat
from benchmark.photos import DECODER

_SCALE, _ZERO = 256.0, 128.0

RULES: Mapping[str, Rules] = {
    "xfeat": Rules(ratio=1.0, farthest=round(2 * _SCALE**2 * (1 - 0.82)), needed=35),
    "aliked_n16": Rules(ratio=1.0, needed=45),
    "aliked_t16": Rules(ratio=1.0, needed=45),
    "disk": Rules(ratio=1.0, needed=30),
}
"""How pairs are judged, by architecture: mutual nearest descriptors, of XFeat those with a cosine above 0.82 (its authors'),
and how many inliers verify a pair (see docs/local.md for how these were chosen)."""


@dataclass(frozen=True)
class Detector:
    """A network that finds keypoints.

    Attributes:
        name: of the network with its weights, as in `networks.backbones.detectors`.
        side: pixels of the shorter side of a photo; smaller photos stay as they are.
        most: keypoints kept of a photo, the strongest.
        digest: of the weights; `random-SEED` where they are random.
        network: in evaluation mode, on the CPU or a GPU.

    Raises:
        UsageError: a value makes no sense.
    """

    name: str
    side: int
    most: int
    digest: str
    network: "XFeat | Aliked | Disk" = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        check_limits(self.side, self.most)

    @classmethod
    def of(
        cls, name: str, side: int, most: int, weights: Mapping[str, torch.Tensor] | None, digest: str | None, seed: int
    ) -> "Detector":
        """Return the network with these weights, or with random ones from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: Any = find_backbone(name).build(0)
        if weights is not None:
            network.load_state_dict(dict(weights))
        return cls(name, side, most, digest or f"random-{seed}", network.eval())

    @property
    def width(self) -> int:
        """Values of a descriptor."""
        return self.network.width

    @property
    def key(self) -> dict[str, Any]:
        """What features depend on beside the photo."""
        facts = {"what": self.name, "weights": self.digest, "side": self.side, "most": self.most}
        return {**facts, "decoder": DECODER, "torch": torch.__version__, "version": 1}

    def prepare(self) -> None:
        """Nothing has to be got ready."""

    def features(self, picture: NDArray[np.uint8]) -> Features:
        """Return the features of a picture (3, height, width), strongest first."""
        torch.set_num_threads(1)  # of this thread: `map_in_order` has several
        given = torch.from_numpy(picture.astype(np.float32))[None] / 255
        height, width = given.shape[-2:]
        size = [_multiple(length, self.network.multiple) for length in bounded(width, height, self.side)[::-1]]
        resized = F.interpolate(given, size, mode="bilinear", align_corners=False, antialias=size[0] < height // 2)
        with torch.inference_mode():
            points, _, descriptors = self.network(resized, self.most)
        places = np.zeros((len(points), 4), np.float32)
        places[:, :2] = points.numpy() * np.array([width / size[1], height / size[0]], np.float32)
        bytes_of = np.rint(_ZERO + _SCALE * descriptors.numpy()).clip(0, 255).astype(np.uint8)
        return Features(bytes_of.reshape(len(points), self.width), places)


def _multiple(length: int, of: int) -> int:
    return max(of, round(length / of) * of)
