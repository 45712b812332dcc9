"""The towers of timm: what the file says is what timm says, and what enters a network is what timm's transform gives."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.features.vectors import pooled
from benchmark.networks import towers as towers_module
from benchmark.networks.backbones import Backbone, find_backbone, towers, with_classes
from benchmark.photos import given_photos
from collector.errors import UsageError
from collector.images.decode import decode

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    timm = pytest.importorskip("timm")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    open_clip = pytest.importorskip("open_clip")

OF_TIMM = [tower for tower in towers() if not tower.text]
WITH_TEXT = [tower for tower in towers() if tower.text]
SMALL = ("tf_efficientnet_lite0/in1k", "mobilenetv4_conv_small/e2400_r224_in1k", "vit_small_patch14_dinov2/lvd142m")


def config(backbone: Backbone) -> Any:
    return timm.get_pretrained_cfg(backbone.name.replace("/", "."))


@pytest.mark.parametrize("backbone", OF_TIMM, ids=lambda one: one.name)
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


@pytest.mark.parametrize("backbone", OF_TIMM, ids=lambda one: one.name)
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
        *sorted((real_data / "capitals7").glob("*/*.jpg"))[::200],
        *sorted((real_data / "exif").rglob("*.jpg"))[::20],
    ]
    return [decode(file) for file in files[:20]]


@pytest.mark.parametrize(
    "shaped",
    {(one.preprocessing.resize, one.preprocessing.crop): one for one in OF_TIMM}.values(),
    ids=lambda one: one.name,
)
def test_what_enters_the_network_is_timm_s_transform(pictures: list[Image.Image], shaped: Backbone) -> None:
    """To the last bit of the pixels: 20 real photos, also odd in size and turned by their EXIF."""
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
    assert len(pictures) == 20
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
    with pytest.raises(UsageError, match="pre-trained networks"):
        find_backbone("resnet18+resnet34/imagenet")
    with pytest.raises(UsageError, match="for vectors only"):
        both.build(3)


@pytest.mark.parametrize("backbone", WITH_TEXT, ids=lambda one: one.name)
def test_the_file_says_what_open_clip_says(backbone: Backbone) -> None:
    """Every fact, against the same network found by its name alone."""
    model, tag = next(
        (model, tag) for model, tag in open_clip.list_pretrained() if f"{model}/{tag}".lower() == backbone.name
    )
    config, said = open_clip.get_model_config(model), open_clip.get_pretrained_cfg(model, tag)
    shape, origin = backbone.preprocessing, backbone.pretrained
    assert origin
    assert (backbone.text, backbone.width) == (model, config["embed_dim"])
    assert (shape.crop, shape.resize) == (config["vision_cfg"]["image_size"],) * 2
    assert (shape.mean, shape.std, shape.interpolation) == (said["mean"], said["std"], said["interpolation"])
    assert shape.squash == (said["resize_mode"] == "squash")
    assert said["hf_hub"].rstrip("/") in origin.urls[0]
    tokenizer = config["text_cfg"].get("hf_tokenizer_name", "")
    assert bool(origin.companions) == bool(tokenizer)
    assert all(tokenizer in url for url in origin.companions)
    found = towers_module.open_clip_backbone(backbone.name)
    assert found
    assert (found.preprocessing, found.text, found.width) == (shape, model, backbone.width)
    assert found.pretrained
    assert (found.pretrained.urls, found.pretrained.companions) == (origin.urls, origin.companions)


@pytest.mark.parametrize(
    "shaped",
    {
        (one.preprocessing.crop, one.preprocessing.squash, one.preprocessing.interpolation): one for one in WITH_TEXT
    }.values(),
    ids=lambda one: one.name,
)
def test_what_enters_a_tower_with_text_is_open_clip_s_transform(pictures: list[Image.Image], shaped: Backbone) -> None:
    shape = shaped.preprocessing
    mode = "squash" if shape.squash else "shortest"
    transform = open_clip.image_transform(
        shape.crop, False, shape.mean, shape.std, resize_mode=mode, interpolation=shape.interpolation
    )
    side, rule, margin = shape.square
    assert (side, margin) == (shape.crop, 0)
    pixels = torch.from_numpy(given_photos(pictures).pixels(side, rule).copy()).float() / 255
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in (shape.mean, shape.std))
    expected = torch.stack([transform(picture) for picture in pictures])
    assert len(pictures) == 20
    assert ((pixels - mean) / std - expected).abs().max() <= 1e-6


@pytest.mark.parametrize(
    ("name", "poolings"),
    [
        ("mobilenetv3_small_050/lamb_in1k", ("penultimate", "mean", "gem")),
        ("swin_tiny_patch4_window7_224/ms_in1k", ("penultimate", "mean", "gem")),  # its maps have their values last
        ("vit_tiny_patch16_224/augreg_in21k", ("penultimate", "cls", "mean", "gem")),
    ],
)
def test_any_network_of_timm_is_had_by_its_name(name: str, poolings: tuple[str, ...]) -> None:
    backbone, said = find_backbone(name), timm.get_pretrained_cfg(name.replace("/", "."))
    assert backbone.pretrained
    assert backbone.poolings == poolings
    assert said.hf_hub_id in backbone.pretrained.urls[0]
    assert (backbone.pretrained.licence, backbone.pretrained.commercial) == (said.license, True)
    network: Any = backbone.build(backbone.pretrained.classes).eval()
    batch = torch.rand(2, 3, backbone.preprocessing.crop, backbone.preprocessing.crop)
    with torch.inference_mode():
        found = pooled(network, backbone, batch)
        tokens = network.forward_features(batch)
        assert np.allclose(found[:, : backbone.width], network.forward_head(tokens, pre_logits=True), atol=1e-4)
        if name.startswith("swin"):
            assert np.allclose(
                found[:, backbone.width : backbone.width + tokens.shape[-1]], tokens.mean(dim=(1, 2)), atol=1e-4
            )


@pytest.mark.parametrize(
    "name", ["resnet50/nothing", "nothing/a1_in1k", "resnet50/", "ResNet50/a1_in1k", "resnet50.a1_in1k"]
)
def test_what_neither_library_has_is_told(name: str) -> None:
    with pytest.raises(UsageError, match=r"no network .*; known are .*timm \(ARCHITECTURE/TAG\)"):
        find_backbone(name)


def test_a_tower_whose_text_half_is_built_from_a_hub_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot build it from its weights alone"):
        find_backbone("xlm-roberta-base-vit-b-32/laion5b_s13b_b90k")


def test_without_the_libraries_a_tower_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(towers_module, "find_spec", lambda _: None)
    for name in ("vit-b-32/openai", "vit_small_patch14_dinov2/lvd142m"):
        with pytest.raises(UsageError, match=r"pip install 't15\[modern\]'"):
            find_backbone(name).build(2)
    towers_module.hub_tower.cache_clear()
    with pytest.raises(UsageError, match="no network"):
        find_backbone("resnet50/a1_in1k")
    towers_module.hub_tower.cache_clear()
