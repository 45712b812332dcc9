"""The features of IM2GPS, against slow ones and against another library's."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from benchmark.features import im2gps


def photos(count: int = 3, side: int = 32, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 256, (count, 3, side, side)).astype(np.uint8))


def test_lab_is_that_of_scikit_image() -> None:
    some = photos()
    some[0, :, :2] = 0
    some[0, :, 2:4] = 255
    wanted = np.stack([rgb2lab(photo.permute(1, 2, 0).numpy()).transpose(2, 0, 1) for photo in some])
    assert np.allclose(im2gps.lab(some).numpy(), wanted, atol=0.02)
    assert im2gps.tiny_lab(photos(2, 16)).shape == (2, 768)


def test_a_histogram_counts_pixels() -> None:
    some = photos()
    shares = im2gps.lab_histogram(some).numpy()
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    values = im2gps.lab(some)[1].flatten(1).T.numpy()
    counts = np.zeros((4, 14, 14))
    for light, a, b in values:
        counts[
            min(3, int(light / 25)), np.clip(int((a + 60) / 120 * 14), 0, 13), np.clip(int((b + 60) / 120 * 14), 0, 13)
        ] += 1
    assert np.abs(shares[1].reshape(4, 14, 14) - counts / counts.sum()).max() <= 2 / 1024  # rounding at a bin's edge


@pytest.mark.parametrize(("angle", "turned"), [(0, False), (8, True)])
def test_lines_are_known_by_their_angle(angle: int, turned: bool) -> None:
    stripes = np.zeros((1, 3, 64, 64), np.uint8)
    stripes[:, :, 20:40] = 255
    some = torch.from_numpy(stripes.transpose(0, 1, 3, 2).copy() if turned else stripes)
    values = im2gps.lines(some)[0].numpy()
    assert values[:17].argmax() == angle
    assert values[:17].sum() == pytest.approx(1)
    assert values[17:].argmax() >= 13  # long
    assert im2gps.lines(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).abs().sum() == 0


def test_a_layout_shares_each_block_out() -> None:
    maps = im2gps.layout(photos(2, 64)).reshape(2, 3, 8, 8)
    assert torch.allclose(maps.sum(dim=1), torch.ones(2, 8, 8))
    plain = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    plain[:, :, :32] = torch.tensor([140, 180, 250], dtype=torch.uint8).view(3, 1, 1)
    plain[:, :, 32:] = 60
    ground, _, sky = im2gps.layout(plain).reshape(3, 8, 8)
    assert (sky[:3] > 0.5).all()
    assert (ground[6:] > 0.5).all()


def test_textons_are_shares_of_words_learnt_on_photos() -> None:
    some = photos(6)
    words = im2gps.dictionary(some, 20, seed=0)
    assert words.shape == (20, 32)
    assert np.array_equal(words, im2gps.dictionary(some, 20, seed=0))
    shares = im2gps.textons(some, words=torch.from_numpy(words)).numpy()
    assert np.allclose(shares.sum(axis=1), 1)
    pixels = im2gps.responses(some[2:3])[0, :, ::2, ::2].flatten(1).T.numpy()
    nearest = np.square(pixels[:, None] - words[None]).sum(axis=2).argmin(axis=1)
    assert np.allclose(shares[2], np.bincount(nearest, minlength=20) / len(nearest), atol=0.01)
    flat = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    assert len(im2gps.dictionary(flat, 20, seed=0)) == 1  # fewer different pixels than words


def test_of_no_photo_there_is_nothing() -> None:
    none, words = photos(0), torch.zeros(5, 32)
    for compute, width in (
        (im2gps.tiny_lab, 3072),
        (im2gps.lab_histogram, 784),
        (im2gps.gist_colour, 675),
        (im2gps.lines, 34),
        (im2gps.layout, 192),
        (lambda some: im2gps.textons(some, words=words), 5),
    ):
        assert compute(none).shape == (0, width)
