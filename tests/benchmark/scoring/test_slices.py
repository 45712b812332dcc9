"""Parts of the test photos, by hand."""

import numpy as np
import pytest

from benchmark.scoring.metrics import wilson
from benchmark.scoring.slices import Slice, by_slice


def test_slices_by_hand() -> None:
    right = np.array([[1, 1, 0, 1, 0], [1, 0, 0, 1, 1]], bool)
    flickr, mapillary = by_slice(right, ["mapillary", "flickr", "flickr", "mapillary", None])
    assert flickr == Slice("flickr", 2, 0.25, *wilson(0.5, 2))
    assert mapillary == Slice("mapillary", 2, 1.0, *wilson(2, 2))


def test_all_photos_in_one_slice_score_as_a_whole() -> None:
    right = np.random.default_rng(0).random((3, 50)) < 0.7
    (whole,) = by_slice(right, ["all"] * 50)
    assert whole.accuracy == pytest.approx(right.mean())
    assert by_slice(right, [None] * 50) == []


@pytest.mark.parametrize("shape", [(5,), (0, 5), (2, 4)])
def test_refuses_what_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="answers have shape"):
        by_slice(np.zeros(shape, bool), ["a"] * 5)
