"""A side of a manifest for training loops of one's own."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmark.datasets import ManifestDataset
from collector.errors import DataError, UsageError
from collector.workspace import Workspace
from tests.benchmark.conftest import World


def test_every_photo_comes_with_its_label(world: World) -> None:
    manifest = world.manifest
    dataset = ManifestDataset(manifest, "train", world.workspace)
    assert len(dataset) == len(manifest.split("train"))
    for position, photo in enumerate(manifest.split("train")):
        pixels, label = dataset[position]
        assert pixels.dtype == torch.uint8
        assert pixels.shape == (3, photo.height, photo.width)
        assert dataset.classes[label] == photo.city


def test_a_loader_makes_batches_of_transformed_photos(world: World) -> None:
    def transform(image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image.resize((8, 8)))).permute(2, 0, 1)

    dataset = ManifestDataset(world.manifest, "test", world.workspace, transform)
    batches = list(DataLoader(dataset, batch_size=2))
    assert torch.cat([labels for _, labels in batches]).tolist() == dataset.targets
    assert all(photos.shape[1:] == (3, 8, 8) for photos, _ in batches)


def test_what_is_not_there_is_named(world: World) -> None:
    with pytest.raises(UsageError, match="train, val, test"):
        ManifestDataset(world.manifest, "tset", world.workspace)
    dataset = ManifestDataset(world.manifest, "test", Workspace(world.workspace.root / "nowhere"))
    with pytest.raises(DataError, match=str(world.manifest.split("test")[0].photo_id)):
        dataset[0]
