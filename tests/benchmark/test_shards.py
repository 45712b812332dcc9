"""Photos out of shards: the same pixels, the same runs, and streams in a drawn order."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import t15
from benchmark.datasets import ManifestDataset, ShardStream
from benchmark.photos import WorkspacePhotos, photos_of, require_photos
from collector.errors import DataError, UsageError
from collector.publishing.shards import write_shards
from collector.workspace import Workspace
from tests.benchmark.conftest import World


@pytest.fixture
def sharded(world: World, tmp_path: Path) -> Workspace:
    """Return a workspace without photos but those in shards, of two or three photos each."""
    photo = world.workspace.photo(str(world.photos("train")[0].sha256))
    write_shards(
        *(world.manifest, world.workspace, tmp_path / "shards"),
        shard_bytes=3 * (photo.stat().st_size + 4 * 512),
        originals=True,
    )
    (tmp_path / "elsewhere").mkdir()
    return Workspace(tmp_path / "elsewhere", tmp_path / "shards")


def test_the_pixels_are_the_same(world: World, sharded: Workspace) -> None:
    require_photos(world.manifest, sharded)
    for side in ("train", "test"):
        here, there = (photos_of(world.manifest, side, WorkspacePhotos(place)) for place in (world.workspace, sharded))
        assert np.array_equal(here.pixels(16), there.pixels(16))
        assert np.array_equal(here.originals()[1], there.originals()[1])
        assert np.array_equal(here.originals().shapes, there.originals().shapes)


def test_a_benchmark_says_the_same(world: World, sharded: Workspace) -> None:
    runs = []
    for place, shards in ((world.workspace, None), (sharded, sharded.shards)):
        (outcome,) = t15.bench(world.manifest, ["tiny-64+knn"], workspace=place.root, shards=shards, tier="smoke")
        assert outcome.state == "done", outcome
        files = [path for path in sorted(place.runs.glob("*/predictions*.parquet")) if "fail" not in path.parts]
        runs.append([path.read_bytes() for path in files])
    assert runs[0]
    assert runs[0] == runs[1]


def test_photos_that_are_missing_are_counted(world: World, sharded: Workspace) -> None:
    assert isinstance(sharded.shards, Path)
    for path in sharded.shards.glob("test-*.tar"):
        path.unlink()
    with pytest.raises(DataError, match=r"test-000000.tar: is missing"):
        photos_of(world.manifest, "test", WorkspacePhotos(sharded)).pixels(8)
    shutil.rmtree(sharded.shards)
    with pytest.raises(UsageError, match="holds no index"):
        require_photos(world.manifest, sharded)


def test_torch_data_sets(world: World, sharded: Workspace) -> None:
    data = t15.torch_dataset(world.manifest, "train", workspace=sharded.root, shards=sharded.shards)
    there = ManifestDataset(world.manifest, "train", world.workspace)
    assert isinstance(data, ManifestDataset)
    assert all(torch.equal(data[at][0], there[at][0]) for at in range(len(there)))


def labels_and_sums(stream: ShardStream) -> list[tuple[int, int]]:
    return [(label, int(pixels.sum())) for pixels, label in stream]


def test_streams(world: World, sharded: Workspace) -> None:
    def stream(seed: int | None, epoch: int = 0) -> ShardStream:
        data = t15.torch_dataset(
            world.manifest, "train", workspace=sharded.root, shards=sharded.shards, stream=True, seed=seed
        )
        assert isinstance(data, ShardStream)
        data.epoch = epoch
        return data

    first = labels_and_sums(stream(1))
    there = ManifestDataset(world.manifest, "train", world.workspace)
    every = sorted((label, int(pixels.sum())) for pixels, label in (there[at] for at in range(len(there))))
    assert sorted(first) == every
    assert len(stream(1)) == len(first)
    assert first == labels_and_sums(stream(1))
    orders = [labels_and_sums(stream(seed, epoch)) for seed, epoch in ((None, 0), (1, 1), (2, 0), (3, 0))]
    assert len({tuple(order) for order in (first, *orders)}) > 3
    assert all(sorted(order) == every for order in orders)
    # Two workers take every shard once.
    split = [int(label) for _, label in DataLoader(stream(1), batch_size=None, num_workers=2)]
    assert sorted(split) == sorted(label for label, _ in every)


def test_streams_that_cannot_be(world: World, sharded: Workspace) -> None:
    with pytest.raises(UsageError, match="name a folder of shards"):
        ShardStream(world.manifest, "train", world.workspace)
    with pytest.raises(UsageError, match="'tset'"):
        ShardStream(world.manifest, "tset", sharded)
