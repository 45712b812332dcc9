"""A side of a manifest as a data set of torch, for training loops of one's own."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as transforms

from benchmark.photos import decode
from collector.errors import UsageError
from collector.manifest.manifest import Manifest
from collector.records import SPLITS
from collector.workspace import Workspace

Transform = Callable[[Image.Image], Any]


class ManifestDataset(Dataset[tuple[Any, int]]):
    """Photos of one side with their labels, decoded as they are asked for; can be shared by a DataLoader's workers.

    Args:
        manifest: the data set.
        side: `train`, `val` or `test`.
        workspace: where the photos lie.
        transform: given each photo as a PIL image, upright and in sRGB; None gives uint8 tensors (3, height, width).

    Attributes:
        classes: the city slugs, in the manifest's order.
        targets: the label of each photo, a position in `classes`.

    Raises:
        UsageError: there is no such side.
    """

    def __init__(self, manifest: Manifest, side: str, workspace: Workspace, transform: Transform | None = None) -> None:
        if side not in SPLITS:
            raise UsageError(f"side {side!r}: a manifest has {', '.join(SPLITS)}")
        self.classes = tuple(city.slug for city in manifest.header.cities)
        self._photos = [(photo.photo_id, str(photo.sha256), photo.city) for photo in manifest.photos(side)]
        positions = {slug: position for position, slug in enumerate(self.classes)}
        self.targets = [positions[city] for _, _, city in self._photos]
        self._workspace, self._transform = workspace, transform

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, position: int) -> tuple[Any, int]:
        """Return a photo, transformed, and its label.

        Raises:
            DataError: the photo is not in the workspace, or does not decode; the message names it.
        """
        photo_id, sha256, _ = self._photos[position]
        image = decode(self._workspace.photo(sha256), photo_id)
        pixels: torch.Tensor | Any = (
            transforms.pil_to_tensor(image) if self._transform is None else self._transform(image)
        )
        return pixels, self.targets[position]
