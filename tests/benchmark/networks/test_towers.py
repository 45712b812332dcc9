"""The towers of timm: what the file says is what timm says, and what enters a network is what timm's transform gives."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.features.vectors import pooled
from benchmark.networks.backbones import Backbone, find_backbone, towers, with_classes
from benchmark.photos import given_photos
from collector.errors import UsageError
from collector.images.decode import decode

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    timm = pytest.importorskip("timm")

SMALL = ("tf_efficientnet_lite0/in1k", "mobilenetv4_conv_small/e2400_r224_in1k", "vit_small_patch14_dinov2/lvd142m")


def config(backbone: Backbone) -> Any:
    return timm.get_pretrained_cfg(backbone.name.replace("/", "."))


@pytest.mark.parametrize("backbone", towers(), ids=lambda one: one.name)
def test_the_file_says_what_timm_says(backbone: Backbone) -> None:
    of, shape, origin = config(backbone), backbone.preprocessing, backbone.pretrained
    assert origin
    assert (shape.crop, shape.resize) == (of.input_size[-1], int(of.input_size[-1] / of.crop_pct))
    assert (shape.mean, shape.std, shape.interpolation) == (of.mean, of.std, of.interpolation)
    assert of.crop_mode == "center"
    assert (origin.classes, backbone.classifier) == (of.num_classes, of.classifier)
    assert of.license.partition("-")[0] == origin.licence.lower().replace(" ", "-").partition("-")[0]
    assert origin.urls[0] == of.url or of.hf_hub_id in origin.urls[0]
    assert not origin.sha256 or origin.sha256 in origin.urls[0]


@pytest.mark.parametrize("backbone", towers(), ids=lambda one: one.name)
def test_widths_are_those_of_the_network(backbone: Backbone) -> None:
    assert backbone.pretrained
    with torch.device("meta"):
        network = backbone.build(backbone.pretrained.classes).eval()
        batch = torch.empty(1, 3, *[backbone.preprocessing.crop] * 2)
    rows = pooled(network, backbone, batch)
    assert rows.shape[1] > backbone.width
    assert (rows.shape[1] - backbone.width) % (len(backbone.poolings) - 1) == 0
    with torch.device("meta"):
        assert with_classes(network, backbone, 7)(batch).shape == (1, 7)


@pytest.fixture(scope="module")
def pictures(real_data: Path) -> list[Image.Image]:
    files = [
        *sorted((real_data / "capitals7").glob("*/*.jpg"))[::70],
        *sorted((real_data / "exif").rglob("*.jpg"))[::12],
    ]
    return [decode(file) for file in files[:50]]


@pytest.mark.parametrize(
    "shaped",
    {(one.preprocessing.resize, one.preprocessing.crop): one for one in towers()}.values(),
    ids=lambda one: one.name,
)
def test_what_enters_the_network_is_timm_s_transform(pictures: list[Image.Image], shaped: Backbone) -> None:
    """To the last bit of the pixels: 50 real photos, also odd in size and turned by their EXIF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = timm.data.resolve_data_config(pretrained_cfg=config(shaped).to_dict())
        transform = timm.data.create_transform(**known, is_training=False)
    shape = shaped.preprocessing
    side, rule, margin = shape.square
    assert (side, margin) == (shape.crop, 0)
    pixels = torch.from_numpy(given_photos(pictures).pixels(side, rule).copy()).float() / 255
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in (shape.mean, shape.std))
    expected = torch.stack([transform(picture) for picture in pictures])
    assert len(pictures) == 50
    assert ((pixels - mean) / std - expected).abs().max() <= 1e-6


@pytest.mark.parametrize("name", SMALL)
def test_a_network_s_vector_is_timm_s(name: str) -> None:
    backbone = find_backbone(name)
    assert backbone.pretrained
    network: Any = backbone.build(backbone.pretrained.classes).eval()
    batch = torch.randn(
        2, 3, 4 * backbone.patch if backbone.patch > 1 else 64, 4 * backbone.patch if backbone.patch > 1 else 64
    )
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(batch), pre_logits=True)
        found = pooled(network, backbone, batch)
    assert np.allclose(found[:, : backbone.width], expected, atol=1e-4)


def test_networks_side_by_side_are_two_or_more_with_weights() -> None:
    both = find_backbone("resnet18/places365+vit_small_patch14_dinov2/lvd142m")
    assert [part.name for part in both.parts] == ["resnet18/places365", "vit_small_patch14_dinov2/lvd142m"]
    with pytest.raises(UsageError, match="pre-trained weights"):
        find_backbone("resnet18+resnet34/imagenet")
    with pytest.raises(UsageError, match="for vectors only"):
        both.build(3)
