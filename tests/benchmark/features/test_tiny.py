"""Pixels as a feature."""

import numpy as np
import pytest

from benchmark.features.tiny import tiny


def test_vectors_are_the_pixels_from_0_to_1() -> None:
    pixels = np.array([[[[0, 255]], [[51, 102]], [[153, 204]]]], dtype=np.uint8)
    vectors = tiny(pixels)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [pytest.approx([0.0, 1.0, 0.2, 0.4, 0.6, 0.8])]


def test_each_photo_is_one_vector() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    vectors = tiny(pixels)
    assert vectors.shape == (5, 192)
    assert np.array_equal(np.round(vectors * 255).astype(np.uint8), pixels.reshape(5, -1))


def test_the_pixels_stay_as_they_were() -> None:
    pixels = np.full((2, 3, 4, 4), 7, dtype=np.uint8)
    pixels.setflags(write=False)
    tiny(pixels)[:] = 0
    assert (pixels == 7).all()


def test_no_photos_have_no_vectors() -> None:
    assert len(tiny(np.zeros((0, 3, 4, 4), dtype=np.uint8))) == 0
