"""Networks that find keypoints: shapes, odd pictures, names and figures of the real weights."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.networks.backbones import detectors, find_backbone
from benchmark.networks.keypoints import NETWORKS, strongest
from benchmark.networks.published_weights import fitted, read_checkpoint
from collector.errors import UsageError

pytest.importorskip("torchvision")
every_network = pytest.mark.parametrize("name", NETWORKS)
FILES = {"xfeat": "xfeat", "aliked_n16": "aliked_n16", "aliked_t16": "aliked_t16", "disk": "disk_depth"}
SAN_MARCO, ST_PAULS = "piazza_san_marco_06795901_3725050516", "st_pauls_cathedral_30776973_2635313996"


def built(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]().eval()


@every_network
def test_keypoints_lie_in_the_picture_strongest_first(name: str) -> None:
    network = built(name)
    with torch.inference_mode():
        points, strength, descriptors = network(torch.rand(1, 3, 64, 96), 20)
    assert len(points) == len(strength) == len(descriptors) <= 20
    assert descriptors.shape[1] == network.width
    assert ((points >= -3) & (points <= torch.tensor([98, 66]))).all()
    assert (strength.diff() <= 0).all()
    if len(points):
        assert torch.allclose(descriptors.norm(dim=1), torch.ones(len(points)), atol=1e-4)


@every_network
def test_a_picture_of_one_colour_has_an_answer(name: str) -> None:
    with torch.inference_mode():
        points, _, descriptors = built(name)(torch.full((1, 3, 32, 32), 0.5), 10)
    assert len(points) == len(descriptors)
    assert torch.isfinite(descriptors).all()


def test_the_strongest_are_local_maxima() -> None:
    scores = torch.zeros(9, 9)
    scores[2, 3], scores[2, 4], scores[7, 7], scores[5, 1] = 0.9, 0.8, 0.5, 0.1
    assert strongest(scores, 5, 2, 0.2).tolist() == [[3, 2], [7, 7]]
    assert strongest(scores, 1, 2, 0.0).tolist() == [[3, 2]]
    assert strongest(scores, 5, 2, 1.0).tolist() == []


def test_they_have_weights_like_any_other_network() -> None:
    for name, network in detectors().items():
        assert find_backbone(name) is network
        assert network.pretrained is not None
        assert network.pretrained.licence in ("Apache-2.0", "BSD-3-Clause")
    with pytest.raises(UsageError, match="two or more pre-trained networks"):
        find_backbone("xfeat/megadepth+resnet18/imagenet")


@every_network
def test_the_real_weights_match_a_photo_with_its_crop(name: str) -> None:
    real = os.environ.get("T15_REAL_DATA")
    if not real:
        pytest.skip("T15_REAL_DATA is not set")
    folder = Path(real) / "new"
    network = built(name)
    network.load_state_dict(
        fitted(read_checkpoint(folder / "weights" / f"{FILES[name]}.pth"), network.state_dict(), name)
    )
    found = []
    for photo, corner in ((SAN_MARCO, 0), (SAN_MARCO, 16), (ST_PAULS, 0)):
        with Image.open(folder / "landmark_pairs" / f"{photo}.jpg") as image:
            small = image.convert("RGB").resize((208, 144)).crop((corner, corner, corner + 192, corner + 128))
        with torch.inference_mode():
            pixels = torch.from_numpy(np.array(small, np.float32)).permute(2, 0, 1)[None] / 255
            found.append(network(pixels, 100)[2])
    assert mutual(found[0], found[0]) == len(found[0])
    assert mutual(found[0], found[1]) > 2 * mutual(found[0], found[2])


def mutual(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the sum of the cosines above 0.7 of mutual nearest descriptors."""
    cosines = first @ second.T
    nearest, back = cosines.argmax(dim=1), cosines.argmax(dim=0)
    there = (back[nearest] == torch.arange(len(first))) & (cosines.amax(dim=1) > 0.7)
    return float(there.sum())
