"""A side of a manifest as a data set of torch, for training loops of one's own."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow.compute as pc
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, get_worker_info
from torchvision.transforms.v2 import functional as transforms

from benchmark.photos import decode
from collector.errors import DataError, UsageError
from collector.images.shards import shards_of, stored_photo
from collector.manifest.manifest import Manifest
from collector.records import SPLITS
from collector.workspace import Workspace

Transform = Callable[[Image.Image], Any]


class ManifestDataset(Dataset[tuple[Any, int]]):
    """Photos of one side with their labels, decoded as they are asked for; can be shared by a DataLoader's workers.

    Args:
        manifest: the data set.
        side: `train`, `val` or `test`.
        workspace: where the photos lie, in its store or in its shards.
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
        image = decode(stored_photo(self._workspace, sha256), photo_id)
        pixels: torch.Tensor | Any = (
            transforms.pil_to_tensor(image) if self._transform is None else self._transform(image)
        )
        return pixels, self.targets[position]


class ShardStream(IterableDataset[tuple[Any, int]]):
    """Photos of one side with their labels as a stream: shard after shard in an order drawn by seed and epoch, and so within
    each shard.

    The order is the same in every run. A DataLoader's workers take the shards in turns, each its own, so that with several
    workers the order depends on their number too. Photos of the manifest that the shards leave out are not in the stream.

    Args:
        manifest: the data set.
        side: `train`, `val` or `test`.
        workspace: with its shards.
        transform: as in ManifestDataset.
        seed: of the order; None for the order in which the photos lie.

    Attributes:
        classes: the city slugs, in the manifest's order.
        epoch: set before each pass over the photos, as in torch's DistributedSampler, so that passes differ.

    Raises:
        UsageError: there is no such side, or the workspace has no shards.
        DataError: the shards are those of another manifest.
    """

    def __init__(
        self,
        manifest: Manifest,
        side: str,
        workspace: Workspace,
        transform: Transform | None = None,
        seed: int | None = None,
    ) -> None:
        shards = shards_of(workspace)
        if side not in SPLITS or shards is None:
            raise UsageError(f"side {side!r} of shards: name a folder of shards, and one of {', '.join(SPLITS)}")
        if shards.manifest["digest"] != manifest.digest:
            raise DataError(f"{shards.folder}: holds shards of {shards.manifest['name']} {shards.manifest['version']}")
        self.classes = tuple(city.slug for city in manifest.header.cities)
        self.epoch = 0
        positions = {slug: position for position, slug in enumerate(self.classes)}
        rows = manifest.table.filter(pc.equal(manifest.table["split"], side))
        columns = (rows[name].to_pylist() for name in ("sha256", "photo_id", "city"))
        self._photos: dict[int, list[tuple[int, str, str, int]]] = {}
        for sha256, photo_id, city in zip(*columns, strict=True):
            if (place := shards.place(sha256)) is not None:
                self._photos.setdefault(place[0], []).append((place[1], sha256, photo_id, positions[city]))
        for photos in self._photos.values():
            photos.sort()
        self._workspace, self._transform, self._seed = workspace, transform, seed

    def __len__(self) -> int:
        return sum(map(len, self._photos.values()))

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        """Yield each photo, transformed, and its label.

        Raises:
            DataError: a shard is missing or damaged, or a photo does not decode; the message names it.
        """
        chance = None if self._seed is None else np.random.default_rng([self._seed, self.epoch])
        shards = sorted(self._photos)
        if chance is not None:
            shards = [shards[at] for at in chance.permutation(len(shards))]
        worker = get_worker_info()
        for number, shard in enumerate(shards):
            photos = self._photos[shard]
            order = range(len(photos)) if chance is None else chance.permutation(len(photos)).tolist()
            if worker is not None and number % worker.num_workers != worker.id:
                continue
            for at in order:
                _, sha256, photo_id, label = photos[at]
                image = decode(stored_photo(self._workspace, sha256), photo_id)
                yield (transforms.pil_to_tensor(image) if self._transform is None else self._transform(image)), label
