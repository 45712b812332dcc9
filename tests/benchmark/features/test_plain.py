"""The features in numpy against those in torch, which runs use."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.features import plain
from benchmark.features.extract import tiny
from benchmark.features.gist import gist_labelme, gist_lear
from benchmark.features.hog import hog
from benchmark.methods.features import FEATURES
from tests.benchmark.features.test_hog import photographs

PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "tiny": (plain.tiny, tiny),
    "hog-l1": (plain.hog, hog),
    "hog-l2hys": (partial(plain.hog, block_norm="L2-Hys"), partial(hog, block_norm="L2-Hys")),
    "gist-lear": (plain.gist_lear, gist_lear),
    "gist-labelme": (plain.gist_labelme, gist_labelme),
}


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("side", [32, 50, 64])
def test_numpy_gives_what_torch_gives(kind: str, side: int) -> None:
    noise = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    photos = torch.cat([photographs(3, side, side), noise, torch.full_like(noise, 7)])
    in_numpy, in_torch = PAIRS[kind]
    found, expected = in_numpy(photos.numpy()), in_torch(photos).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_each_feature_of_the_paper_has_both() -> None:
    assert {kind for kind, of in FEATURES.items() if of.plain} == set(PAIRS)
