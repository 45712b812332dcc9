"""Crops: drawn as torchvision draws them, resized as it resizes them, and the same for both engines."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as transforms

from benchmark.networks.augment import Crops, ResidentPhotos, draw_crops, draw_order, step_seed, steps_of


def sizes_of(height: int, width: int, count: int) -> NDArray[np.int64]:
    return np.tile(np.array([height, width], dtype=np.int64), (count, 1))


def test_every_photo_comes_once_an_epoch_in_another_order() -> None:
    orders = [draw_order(seed, epoch, 50).tolist() for seed, epoch in ((0, 1), (0, 2), (1, 1), (-1, 1))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert draw_order(0, 1, 50).tolist() == orders[0]


def test_seeds_of_steps_differ() -> None:
    seeds = {step_seed(seed, epoch, step) for seed in range(3) for epoch in range(3) for step in range(3)}
    assert len(seeds) == 27
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("photos", "batch", "least", "expected"),
    [(10, 4, 1, [4, 4, 2]), (9, 4, 1, [4, 4, 1]), (9, 4, 2, [4, 4]), (3, 4, 2, [3])],
)
def test_steps(photos: int, batch: int, least: int, expected: list[int]) -> None:
    assert [len(step) for step in steps_of(np.arange(photos), batch, least)] == expected


@pytest.mark.parametrize("shape", [(256, 341), (341, 256), (256, 256), (256, 600), (600, 256)])
@pytest.mark.parametrize("smallest", [0.08, 0.9])
def test_crops_are_distributed_as_torchvisions(shape: tuple[int, int], smallest: float) -> None:
    count = 1500
    ours = draw_crops(0, 1, sizes_of(*shape, count), smallest, 0.5).boxes
    torch.manual_seed(0)
    transform = v2.RandomResizedCrop(224, scale=(smallest, 1), antialias=True)
    flat = torch.empty(3, *shape)
    drawn = [transform.make_params([flat]) for _ in range(count)]
    theirs = np.array([[one[key] for key in ("top", "left", "height", "width")] for one in drawn])
    for column in range(4):
        assert ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    areas = [boxes[:, 2] * boxes[:, 3] for boxes in (ours, theirs)]
    ratios = [boxes[:, 3] / boxes[:, 2] for boxes in (ours, theirs)]
    assert ks_2samp(*areas).pvalue > 1e-3
    assert ks_2samp(*ratios).pvalue > 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (16, 2000), (2000, 16), (37, 41)])
def test_crops_lie_inside(shape: tuple[int, int]) -> None:
    boxes = draw_crops(3, 1, sizes_of(*shape, 500), 0.08, 0.5).boxes
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] >= 1).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= np.array(shape)).all()


def test_a_panorama_is_cropped_in_its_middle_with_an_allowed_ratio() -> None:
    boxes = draw_crops(0, 1, sizes_of(30, 3000, 20), 0.9, 0.5).boxes  # no crop of 90 % of it can be nearly square
    assert boxes.tolist() == [[0, 1480, 30, 40]] * 20


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_so_many_are_mirrored(flip: float) -> None:
    assert draw_crops(0, 1, sizes_of(8, 8, 2000), 0.5, flip).mirrored.mean() == pytest.approx(flip, abs=0.04)


def test_each_photo_epoch_and_seed_has_its_own_crop() -> None:
    draws = [
        draw_crops(seed, epoch, sizes_of(256, 341, 3), 0.08, 0.5).boxes for seed, epoch in ((0, 1), (0, 2), (1, 1))
    ]
    assert len({tuple(box) for boxes in draws for box in boxes.tolist()}) == 9


@pytest.fixture
def pictures() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    shapes = [(73, 97), (97, 73), (73, 73), (64, 200), (20, 31), (1, 1)]
    return [random.integers(0, 256, (3, *shape), dtype=np.uint8) for shape in shapes]


@pytest.mark.parametrize("size", [64, 17])
@pytest.mark.parametrize("together", [False, True])
def test_crops_are_torchvisions(pictures: Sequence[NDArray[np.uint8]], size: int, together: bool) -> None:
    resident = ResidentPhotos(pictures, "cpu")
    positions = np.array([5, 0, 1, 2, 4, 3, 0])
    for epoch in range(1, 6):
        crops = draw_crops(0, epoch, resident.sizes, 0.08, 0.5)
        ours = (resident.together if together else resident.crops)(positions, crops, size)
        expected = torch.stack([plain(pictures[position], crops, position, size) for position in positions])
        assert ours.shape == expected.shape
        if together:
            assert (ours - expected).abs().max() < 1e-5
        else:
            assert torch.equal(ours, expected)  # or engines would drift apart


def plain(picture: NDArray[np.uint8], crops: Crops, position: int, size: int) -> torch.Tensor:
    photo = torch.from_numpy(picture).float() / 255
    cropped: torch.Tensor = transforms.resized_crop(
        photo, *crops.boxes[position].tolist(), [size, size], antialias=True
    )
    return cropped.flip(2) if crops.mirrored[position] else cropped


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("free", [1 << 40, 0])
def test_crops_on_the_gpu_are_those_of_the_cpu(
    pictures: Sequence[NDArray[np.uint8]], free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, free))  # with too little memory, copied as asked for
    positions = np.arange(6).repeat(20)
    on_cpu, on_gpu = ResidentPhotos(pictures, "cpu"), ResidentPhotos(pictures, "cuda")
    crops = draw_crops(0, 1, on_cpu.sizes, 0.08, 0.5)
    assert (on_gpu.crops(positions, crops, 64).cpu() - on_cpu.crops(positions, crops, 64)).abs().max() < 1e-4
