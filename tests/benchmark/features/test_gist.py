"""GIST against slow transcriptions of its formulas, and against numbers that lear_gist 1.1 printed."""

import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmark.features.gist import gist_labelme, gist_lear
from tests.benchmark.features.test_hog import photographs

Picture = NDArray[np.float64]
Gist = Callable[[torch.Tensor], torch.Tensor]

BOTH: tuple[Gist, ...] = (gist_labelme, gist_lear)


def slow_labelme(photo: NDArray[np.uint8], orientations: int = 8, scales: int = 4, blocks: int = 4) -> Picture:
    """Return the descriptor of one photo (3, S, S) after the formulas, one filter after the other, in float64."""
    grey = photo.astype(np.float64).mean(axis=0)
    padded = np.pad(slow_contrast(grey[None])[0], 32, mode="symmetric")
    spectrum = np.fft.fft2(padded)
    values = []
    for gabor in slow_filters(len(padded), (orientations,) * scales):
        magnitude = np.abs(np.fft.ifft2(spectrum * gabor))[32:-32, 32:-32]
        values += slow_blocks(magnitude, blocks)
    return np.array(values)


def slow_lear(photo: NDArray[np.uint8], orientations: tuple[int, ...] = (8, 8, 4), blocks: int = 4) -> Picture:
    """Return the descriptor of one photo (3, S, S), channel by channel, in float64."""
    values = []
    for channel in slow_contrast(photo.astype(np.float64)):
        spectrum = np.fft.fft2(channel)
        for gabor in slow_filters(len(channel), orientations):
            values += slow_blocks(np.abs(np.fft.ifft2(spectrum * gabor)), blocks)
    return np.array(values)


def slow_contrast(channels: Picture) -> Picture:
    """Even out the local contrast: logarithm, less its low-pass, over 0.2 plus the local deviation."""
    logs = [np.pad(np.log(channel + 1), 5, mode="symmetric") for channel in channels]
    n = len(logs[0])
    centred = np.arange(n) - n // 2
    s1 = 4 / math.sqrt(math.log(2))
    gaussian = np.fft.ifftshift(np.exp(-(centred[:, None] ** 2 + centred[None, :] ** 2) / s1**2))
    details = [log - np.fft.ifft2(np.fft.fft2(log) * gaussian).real for log in logs]
    mean = sum(details) / len(details)
    deviation = np.sqrt(np.abs(np.fft.ifft2(np.fft.fft2(mean**2) * gaussian)))
    return np.stack([(detail / (0.2 + deviation))[5:-5, 5:-5] for detail in details])


@lru_cache
def slow_filters(n: int, orientations: tuple[int, ...]) -> list[Picture]:
    """Return the Gabor filters on an n×n grid, scale by scale (kept: the time of building them is not at issue)."""
    centred = np.arange(n) - n // 2
    x, y = np.meshgrid(centred, centred)
    fr = np.fft.ifftshift(np.hypot(x, y))
    t = np.fft.ifftshift(np.arctan2(y, x))
    filters = []
    for i, o in enumerate(orientations, start=1):
        for j in range(1, o + 1):
            theta = t + math.pi * (j - 1) / o
            theta[theta > math.pi] -= 2 * math.pi
            ring = -10 * 0.35 * (fr / n / (0.3 / 1.85 ** (i - 1)) - 1) ** 2
            filters.append(np.exp(ring - 2 * math.pi * (16 * o**2 / 32**2) * theta**2))
    return filters


def slow_blocks(magnitude: Picture, blocks: int) -> list[float]:
    """Return the means of the blocks, column by column."""
    edges = [len(magnitude) * number // blocks for number in range(blocks + 1)]
    return [
        float(magnitude[edges[row] : edges[row + 1], edges[column] : edges[column + 1]].mean())
        for column in range(blocks)
        for row in range(blocks)
    ]


SLOW: dict[Gist, Callable[[NDArray[np.uint8]], Picture]] = {gist_labelme: slow_labelme, gist_lear: slow_lear}


@pytest.mark.parametrize("gist", BOTH)
@pytest.mark.parametrize("size", [8, 31, 32, 50, 64, 128, 256])
def test_equals_the_formulas(gist: Gist, size: int) -> None:
    noise = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    photos = torch.cat([photographs(2, size, size), noise])
    expected = np.stack([SLOW[gist](photo) for photo in photos.numpy()])
    ours = gist(photos)
    assert ours.dtype == torch.float32
    assert ours.shape == expected.shape
    difference = np.abs(ours.numpy() - expected)
    assert difference.max() <= 1e-6
    assert (difference / expected)[expected > 1e-3].max() <= 1e-4


def test_equals_the_formulas_with_other_parameters() -> None:
    photos = photographs(2, 48, 48)
    labelme = gist_labelme(photos, orientations=5, scales=3, blocks=3)
    assert np.abs(labelme.numpy() - [slow_labelme(photo, 5, 3, 3) for photo in photos.numpy()]).max() <= 1e-6
    lear = gist_lear(photos, orientations=[4, 2], blocks=5)
    assert np.abs(lear.numpy() - [slow_lear(photo, (4, 2), 5) for photo in photos.numpy()]).max() <= 1e-6


@pytest.mark.parametrize("size", [32, 128, 256])
def test_equals_what_lear_gist_printed(real_data: Path, size: int) -> None:
    files = sorted((real_data / "gist-golden" / "measured").glob(f"*_{size}.png"))
    assert files, "no golden pictures of this size"
    for file in files:
        printed = np.array(file.with_suffix(".gist960.txt").read_text().split(), dtype=np.float64)
        ours = gist_lear(read(file))[0].numpy()
        counts = printed > 1e-3
        assert (np.abs(ours - printed) / printed)[counts].max() <= 1e-4, file.name
        assert np.abs(ours - printed).max() <= 1e-6, file.name


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("no_arg", {}),
        ("nblocks4", {}),
        ("nblocks2", {"blocks": 2}),
        ("ops_4_4_4", {"orientations": (4, 4, 4)}),
        ("ops_8_8_8", {"orientations": (8, 8, 8)}),
    ],
)
def test_equals_what_others_published(real_data: Path, name: str, options: dict[str, Any]) -> None:
    folder = real_data / "gist-golden" / "published" / "data"
    published = np.array((folder / f"scene.{name}.result").read_text().split(), dtype=np.float64)
    ours = gist_lear(read(folder / "scene.ppm"), **options)[0].numpy()
    assert np.abs(ours - published).max() <= 0.5e-4 + 1e-6  # four digits were printed


def read(file: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)[None]


@pytest.mark.parametrize("size", [64, 128, 256])
def test_has_the_dimensions_of_the_programs(size: int) -> None:
    assert gist_labelme(photographs(1, size, size)).shape == (1, 512)
    assert gist_lear(photographs(1, size, size)).shape == (1, 960)
    assert gist_labelme(photographs(0, size, size)).shape == (0, 512)
    assert gist_lear(photographs(0, size, size)).shape == (0, 960)


@pytest.mark.parametrize("gist", BOTH)
def test_stripes_answer_most_to_the_filter_across_them(gist: Gist) -> None:
    across = torch.arange(64) // 2 % 2 * 200
    stripes = across.to(torch.uint8).expand(1, 3, 64, 64)
    first_scale = slice(0, 8)
    for photo, orientation in ((stripes, 0), (stripes.transpose(2, 3), 4)):  # upright stripes, lying ones
        answers = gist(photo).reshape(-1, 4, 4).mean((1, 2))[first_scale]
        assert int(answers.argmax()) == orientation


@pytest.mark.parametrize("gist", BOTH)
@pytest.mark.parametrize("colour", [0, 1, 255])
def test_a_photo_of_one_colour_gives_next_to_nothing(gist: Gist, colour: int) -> None:
    photos = torch.full((2, 3, 32, 32), colour, dtype=torch.uint8)
    photos[:, 1] //= 2
    values = gist(photos)
    assert values.isfinite().all()
    assert values.abs().max() < 1e-6


@pytest.mark.parametrize("gist", BOTH)
def test_a_photo_alone_a_batch_and_a_second_time_agree(gist: Gist) -> None:
    photos = photographs(70, 32, 32)  # more than a chunk
    together = gist(photos)
    alone = torch.cat([gist(photo[None]) for photo in photos])
    assert (together - alone).abs().max() <= 1e-6
    assert torch.equal(together, gist(photos))
    assert torch.equal(together, gist(photos.to(memory_format=torch.channels_last)))


@pytest.mark.parametrize("gist", BOTH)
@pytest.mark.parametrize(
    ("photos", "message"),
    [
        (torch.zeros(1, 3, 32, 32), "uint8, not float32"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), r"not \(3, 32, 32\)"),
        (torch.zeros(1, 1, 32, 32, dtype=torch.uint8), r"not \(1, 1, 32, 32\)"),
        (torch.zeros(1, 3, 32, 40, dtype=torch.uint8), r"square photos .* not \(1, 3, 32, 40\)"),
    ],
)
def test_refuses_what_it_cannot_describe(gist: Gist, photos: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gist(photos)


def test_says_the_smallest_size() -> None:
    with pytest.raises(ValueError, match="at least 4×4 pixels, not 3×3"):
        gist_labelme(torch.zeros(1, 3, 3, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="at least 8×8 pixels, not 7×7"):
        gist_lear(torch.zeros(1, 3, 7, 7, dtype=torch.uint8))
    with pytest.raises(ValueError, match="at least 9×9 pixels, not 8×8"):
        gist_lear(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), blocks=9)
    with pytest.raises(ValueError, match="at least one block, scale and orientation"):
        gist_lear(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), orientations=())
    assert gist_labelme(photographs(1, 4, 4)).isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("gist", BOTH)
@pytest.mark.parametrize("size", [64, 128, 256])
def test_cpu_and_gpu_agree(gist: Gist, size: int) -> None:
    photos = photographs(20, size, size)
    on_gpu = gist(photos.cuda())
    assert on_gpu.device.type == "cuda"
    assert torch.equal(on_gpu, gist(photos.cuda()))
    assert (on_gpu.cpu() - gist(photos)).abs().max() <= 1e-4
