"""Pixels as a feature."""

import pytest
import torch

from benchmark.features.extract import tiny


def photographs(count: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def test_vectors_are_the_pixels_from_0_to_1() -> None:
    pixels = torch.tensor([[[[0, 255]], [[51, 102]], [[153, 204]]]], dtype=torch.uint8)
    vectors = tiny(pixels)
    assert vectors.dtype == torch.float32
    assert vectors.tolist() == [pytest.approx([0.0, 1.0, 0.2, 0.4, 0.6, 0.8])]


def test_each_photo_is_one_vector() -> None:
    pixels = photographs(5, 8)
    vectors = tiny(pixels)
    assert vectors.shape == (5, 192)
    assert torch.equal((vectors * 255).round().to(torch.uint8), pixels.flatten(1))


def test_the_pixels_stay_as_they_were() -> None:
    pixels = torch.full((2, 3, 4, 4), 7, dtype=torch.uint8)
    tiny(pixels)[:] = 0
    assert (pixels == 7).all()


def test_photos_that_do_not_lie_in_one_piece_are_taken_by_value() -> None:
    pixels = photographs(6, 4)
    assert torch.equal(tiny(pixels.permute(0, 1, 3, 2)[::2]), tiny(pixels.permute(0, 1, 3, 2)[::2].contiguous()))


def test_no_photos_have_no_vectors() -> None:
    vectors = tiny(torch.zeros((0, 3, 4, 4), dtype=torch.uint8))
    assert vectors.shape == (0, 48)
    assert vectors.dtype == torch.float32


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((2, 3, 4, 4), torch.float32, r"torch\.float32 \(2, 3, 4, 4\)"),
        ((2, 3, 4, 4), torch.int64, r"torch\.int64"),
        ((3, 4, 4), torch.uint8, r"\(3, 4, 4\)"),
        ((2, 1, 4, 4), torch.uint8, r"\(2, 1, 4, 4\)"),
        ((2, 4, 4, 3), torch.uint8, r"\(2, 4, 4, 3\)"),
        ((1, 2, 3, 4, 4), torch.uint8, r"\(1, 2, 3, 4, 4\)"),
        ((0,), torch.uint8, r"\(0,\)"),
    ],
)
def test_what_are_no_photos_is_a_value_error(shape: tuple[int, ...], dtype: torch.dtype, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^tiny: expected uint8 \(N, 3, S, S\), got .*{said}"):
        tiny(torch.zeros(shape, dtype=dtype))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cpu_and_gpu_agree() -> None:
    pixels = photographs(5, 8)
    on_gpu = tiny(pixels.cuda())
    assert on_gpu.device.type == "cuda"
    assert (on_gpu.cpu() - tiny(pixels)).abs().max() <= 1e-4
