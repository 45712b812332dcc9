"""Networks of timm with the weights that others learnt: `towers.json` says all of them, as data.

A name is timm's, with a slash for its dot: `vit_small_patch14_dinov2/lvd142m`. Preprocessing, classes, licences and addresses
are timm's own configuration (1.0.31), which the tests compare; timm itself is needed to build one of them (extra `modern`).
Digests are those that a file's name says; where there is none, that of the first file is pinned (`networks.weights`).
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.networks.backbones import Backbone, Preprocessing, Pretrained
from collector.errors import UsageError

if TYPE_CHECKING:
    from torch import nn


@cache
def towers() -> tuple[Backbone, ...]:
    """Return the towers, in the file's order."""
    rows = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    return tuple(_tower(row) for row in rows)


def _tower(row: Mapping[str, Any]) -> Backbone:
    said = ("data", "classes", "licence", "page", "sha256", "commercial", "redistribute")
    pretrained = Pretrained(urls=tuple(row["urls"]), **{name: row[name] for name in said})
    shape = Preprocessing(
        row["resize"], row["crop"], tuple(row["mean"]), tuple(row["std"]), row["interpolation"], "torchvision"
    )
    return Backbone(
        row["name"],
        row["title"],
        _builder(row["name"], row["patch"]),
        lambda network: [network],  # which modules follow one another is not said: there are no cuts
        row["classifier"],
        pretrained=pretrained,
        preprocessing=shape,
        **{name: row[name] for name in ("tokens", "prefix", "patch", "width", "gigaflops")},
    )


def _builder(name: str, patch: int) -> "Callable[[int], nn.Module]":
    def build(classes: int) -> "nn.Module":
        try:
            import timm
        except ImportError as error:
            raise UsageError(f"network {name}: needs timm; install it with: pip install 't15[modern]'") from error
        # Other resolutions than its own are interpolated between the places that it learnt.
        sizes: dict[str, Any] = {"dynamic_img_size": True} if patch > 1 else {}
        network: nn.Module = timm.create_model(name.partition("/")[0], num_classes=classes, **sizes)
        return network

    return build
