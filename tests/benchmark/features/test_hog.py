"""HOG against scikit-image, which it must equal to 1e-5."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.feature import hog as hog_of_one

from benchmark.features.hog import BlockNorm, hog

NORMS: tuple[BlockNorm, ...] = ("L1", "L2-Hys")


def photographs(count: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Return made-up photos with content: smooth patches, an area of one colour and noise."""
    generator = torch.Generator().manual_seed(seed)
    patches = torch.rand((count, 3, 6, 6), generator=generator) * 255
    smooth = torch.nn.functional.interpolate(patches, (height, width), mode="bicubic")
    noisy = smooth + torch.randint(-6, 7, smooth.shape, generator=generator)
    noisy[:, :, : height // 3, : width // 2] = 137
    return noisy.clamp(0, 255).to(torch.uint8)


def skimage_hog(photos: torch.Tensor, norm: str, orientations: int = 9, cell: int = 8, block: int = 3) -> NDArray[Any]:
    """Return scikit-image's values, photo by photo."""
    return np.stack(
        [
            hog_of_one(
                rgb2gray(photo.permute(1, 2, 0).numpy()),
                orientations=orientations,
                pixels_per_cell=(cell, cell),
                cells_per_block=(block, block),
                block_norm=norm,
            )
            for photo in photos
        ]
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (128, 128), (24, 24), (50, 97), (131, 77), (25, 31)])
def test_equals_scikit_image(norm: BlockNorm, height: int, width: int) -> None:
    noise = torch.randint(0, 256, (3, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    photos = torch.cat([photographs(3, height, width), noise, noise[:, :1].expand(-1, 3, -1, -1)])
    expected = skimage_hog(photos, norm)
    ours = hog(photos, block_norm=norm)
    assert ours.dtype == torch.float32
    assert ours.shape == expected.shape
    assert np.abs(ours.numpy() - expected).max() <= 1e-5


@pytest.mark.parametrize(("orientations", "cell", "block"), [(9, 5, 2), (7, 8, 1), (6, 4, 4), (1, 8, 3), (18, 6, 2)])
def test_equals_scikit_image_with_other_parameters(orientations: int, cell: int, block: int) -> None:
    photos = photographs(3, 48, 61)
    expected = skimage_hog(photos, "L2-Hys", orientations, cell, block)
    ours = hog(photos, orientations=orientations, cell=cell, block=block, block_norm="L2-Hys")
    assert np.abs(ours.numpy() - expected).max() <= 1e-5


@pytest.mark.parametrize(("size", "values"), [(32, 324), (64, 2916), (128, 15876)])
def test_has_the_dimensions_of_the_paper(size: int, values: int) -> None:
    assert hog(photographs(2, size, size)).shape == (2, values)
    assert hog(photographs(0, size, size)).shape == (0, values)


@pytest.mark.parametrize(("turns", "orientation"), [(0, 0), (1, 4)])
def test_a_ramp_fills_one_orientation(turns: int, orientation: int) -> None:
    ramp = torch.arange(0, 256, 8, dtype=torch.uint8).expand(1, 3, 32, 32).rot90(turns, (2, 3))
    filled = hog(ramp).reshape(-1, 9).sum(0).nonzero().flatten().tolist()
    assert filled == [orientation]


def test_a_diagonal_edge_belongs_to_the_upper_of_its_two_orientations() -> None:
    rising = torch.arange(32)[:, None] + torch.arange(32)[None, :]
    for turns, orientation in ((0, 2), (1, 6)):  # 45 and 135 degrees, with bounds every 22.5
        photo = (rising * 4).to(torch.uint8).expand(1, 3, 32, 32).rot90(turns, (2, 3))
        cells = hog(photo, orientations=8, block=1).reshape(4, 4, 8)[1:3, 1:3]  # away from the border
        assert cells.sum((0, 1)).nonzero().flatten().tolist() == [orientation]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("colour", [0, 1, 255])
def test_a_photo_of_one_colour_gives_zeros(norm: BlockNorm, colour: int) -> None:
    photos = torch.full((2, 3, 40, 40), colour, dtype=torch.uint8)
    photos[:, 1] //= 2
    assert hog(photos, block_norm=norm).eq(0).all()


def test_values_lie_between_0_and_1() -> None:
    for norm in NORMS:
        values = hog(photographs(4, 64, 64), block_norm=norm)
        assert values.isfinite().all()
        assert 0 <= values.min() < values.max() <= 1


def test_a_photo_alone_a_batch_and_a_second_time_agree() -> None:
    photos = photographs(70, 64, 64)  # more than a chunk
    together = hog(photos)
    alone = torch.cat([hog(photo[None]) for photo in photos])
    assert (together - alone).abs().max() <= 1e-6
    assert torch.equal(together, hog(photos))
    assert torch.equal(together, hog(photos.to(memory_format=torch.channels_last)))


def test_leaves_the_photos_as_they_are() -> None:
    photos = photographs(2, 32, 32)
    before = photos.clone()
    hog(photos)
    assert torch.equal(photos, before)


@pytest.mark.parametrize(
    ("photos", "options", "message"),
    [
        (torch.zeros(1, 3, 32, 32), {}, "uint8, not float32"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), {}, r"shape \(N, 3, H, W\), not \(3, 32, 32\)"),
        (torch.zeros(1, 32, 32, 3, dtype=torch.uint8), {}, r"not \(1, 32, 32, 3\)"),
        (torch.zeros(1, 3, 23, 32, dtype=torch.uint8), {}, "at least 24×24 pixels .*, not 32×23"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), {"block_norm": "L2"}, "L1 and L2-Hys, not 'L2'"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), {"cell": 0}, "cell of at least 1, not 0"),
    ],
)
def test_refuses_what_it_cannot_describe(photos: torch.Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hog(photos, **options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [32, 64, 128])
def test_cpu_and_gpu_agree(norm: BlockNorm, size: int) -> None:
    photos = photographs(20, size, size)
    on_gpu = hog(photos.cuda(), block_norm=norm)
    assert on_gpu.device.type == "cuda"
    assert torch.equal(on_gpu, hog(photos.cuda(), block_norm=norm))
    assert (on_gpu.cpu() - hog(photos, block_norm=norm)).abs().max() <= 1e-4
