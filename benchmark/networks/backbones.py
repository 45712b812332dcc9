"""The networks that t15 knows, each with the weights that it can start from.

A backbone's name is its architecture's, and after a slash what it was pre-trained on: `resnet18` starts from random weights,
`resnet18/places365` from those that its authors learnt on Places365. Other packages add theirs in the entry-point group
`t15.backbones`; those of timm and open_clip are in `towers`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, Preprocessing, Pretrained
from benchmark.networks.towers import hub_tower, towers
from collector.errors import UsageError, did_you_mean
from collector.plugins import load_plugins

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Backbone",
    "Preprocessing",
    "Pretrained",
    "hub_tower",
    "towers",
]

if TYPE_CHECKING:
    import torch
    from torch import nn

FROZEN = ("none", "a", "b", "c", "all but the classifier")
"""How much of a network keeps its weights, from nothing to everything but the last layer. A, B and C are the paper's (Figure
3); what they mean for another network than ResNet is said by its `cuts`."""


def _resnet_layers(network: "nn.Module") -> "list[nn.Module]":
    from torch import nn

    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
    return [*(network.get_submodule(name) for name in names), nn.Flatten(), network.get_submodule("fc")]


def _alexnet_layers(network: "nn.Module") -> "list[nn.Module]":
    from torch import nn

    features, classifier = network.get_submodule("features"), network.get_submodule("classifier")
    return [*features.children(), network.get_submodule("avgpool"), nn.Flatten(), *classifier.children()]


_IMAGENET_LICENCE = "BSD-3-Clause (torchvision); ImageNet's photos are for non-commercial research"
_IMAGENET_PAGE = "https://docs.pytorch.org/vision/stable/models.html"
_PLACES_LICENCE = "CC-BY-4.0"
_PLACES_PAGE = "https://github.com/CSAILVision/places365"


def _places365(architecture: str) -> Pretrained:
    # The authors' host speaks plain HTTP and has often been down; https is tried first, and no digest was published.
    file = f"places2.csail.mit.edu/models_places365/{architecture}_places365.pth.tar"
    urls = (f"https://{file}", f"http://{file}")
    licence = (_PLACES_LICENCE, _PLACES_PAGE)  # CC-BY allows both, its authors being named
    return Pretrained("Places365", 365, *licence, urls, commercial=True, redistribute=True)


def _imagenet(file: str) -> Pretrained:
    # torchvision's IMAGENET1K_V1, with which the paper's time worked; names end in the first digits of the sha256.
    digest = file.rpartition("-")[2].removesuffix(".pth")
    urls = (f"https://download.pytorch.org/models/{file}",)
    return Pretrained("ImageNet", 1000, _IMAGENET_LICENCE, _IMAGENET_PAGE, urls, digest)


_RESNET_CUTS = {"a": 5, "b": 6, "c": 7}
"""A: conv1 and conv2_x (the stem and `layer1`); B: and conv3_x; C: and conv4_x. From the paper's Figure 3."""

_ALEXNET_CUTS = {"a": 6, "b": 8, "c": 13}
"""The paper has none for AlexNet. A: the first two convolutions, B: and the third, C: all five."""


def _torchvision(
    name: str,
    title: str,
    layers: "Callable[[nn.Module], Sequence[nn.Module]]",
    classifier: str,
    cuts: Mapping[str, int],
    tokens: str,
    width: int,
    gigaflops: float,
) -> Callable[[str, Pretrained | None], Backbone]:
    def build(classes: int) -> "nn.Module":
        from torchvision.models import get_model

        network: nn.Module = get_model(name, weights=None, num_classes=classes)
        return network

    facts: dict[str, Any] = {"tokens": tokens, "width": width, "gigaflops": gigaflops}
    return lambda suffix, weights: Backbone(name + suffix, title, build, layers, classifier, cuts, weights, **facts)


def _family(
    make: Callable[[str, Pretrained | None], Backbone], imagenet: str, places: Pretrained | None = None
) -> list[Backbone]:
    found = [make("", None), make("/imagenet", _imagenet(imagenet))]
    return [*found, make("/places365", places)] if places else found


def _resnet(name: str, title: str, width: int, gigaflops: float) -> Callable[[str, Pretrained | None], Backbone]:
    return _torchvision(name, title, _resnet_layers, "fc", _RESNET_CUTS, "layer4", width, gigaflops)


_ALEXNET = _torchvision("alexnet", "AlexNet", _alexnet_layers, "classifier.6", _ALEXNET_CUTS, "features", 4096, 1.43)

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in chain(
        # The Places365 AlexNet is torchvision's "one weird trick" network (64/192/384/256/256), not Caffe's.
        _family(_ALEXNET, "alexnet-owt-7be5be79.pth", _places365("alexnet")),
        _family(_resnet("resnet18", "ResNet-18", 512, 3.63), "resnet18-f37072fd.pth", _places365("resnet18")),
        _family(_resnet("resnet34", "ResNet-34", 512, 7.33), "resnet34-b627a593.pth"),
        _family(_resnet("resnet50", "ResNet-50", 2048, 8.18), "resnet50-0676ba61.pth", _places365("resnet50")),
    )
}
"""The built-in backbones by name."""


def backbones() -> dict[str, Backbone]:
    """Return all backbones by name: the built-in ones, the towers, and those of packages in the group `t15.backbones`.

    Raises:
        UsageError: a plug-in is no Backbone.
    """
    found = {**BACKBONES, **{tower.name: tower for tower in towers()}}
    for name, backbone in load_plugins("t15.backbones").items():
        if not isinstance(backbone, Backbone):
            raise UsageError(
                f"plug-in {name!r} (group t15.backbones) is no benchmark.networks.backbones.Backbone: repair it"
            )
        found.setdefault(backbone.name, backbone)
    return found


def find_backbone(name: str) -> Backbone:
    """Return the backbone of this name; `A+B` are two side by side, for vectors.

    Raises:
        UsageError: there is none; close names are offered.
    """
    if "+" in name:
        return side_by_side([find_backbone(part) for part in name.split("+")])
    if found := lookup(name):
        return found
    known = backbones()
    raise UsageError(
        f"no network {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}, and any of timm "
        "(ARCHITECTURE/TAG) or open_clip (MODEL/TAG)"
    )


def lookup(name: str) -> Backbone | None:
    """Return the backbone of this name: known, finding keypoints, or of timm or open_clip; None where there is none."""
    return backbones().get(name) or detectors().get(name) or hub_tower(name)


def side_by_side(parts: Sequence[Backbone]) -> Backbone:
    """Return networks as one; its weights are those of all, see `networks.weights`.

    Raises:
        UsageError: one starts from random weights, or there is no second.
    """
    pretrained = [part.pretrained for part in parts if part.pretrained]
    name = "+".join(part.name for part in parts)
    if len(pretrained) < len(parts) or len(parts) < 2 or not all(part.classifier for part in parts):
        raise UsageError(
            f"network {name}: wants two or more pre-trained networks that describe photos, with a + between"
        )
    data, licences = (
        ", ".join(dict.fromkeys(of)) for of in zip(*((p.data, p.licence) for p in pretrained), strict=True)
    )
    title = " + ".join(part.title for part in parts)
    origin = Pretrained(data, 0, licences, pretrained[0].page)

    def build(_: int) -> "nn.Module":
        raise UsageError(f"network {name}: several are for vectors only")

    return Backbone(name, title, build, lambda network: [network], "", pretrained=origin, parts=tuple(parts))


def with_classes(network: "nn.Module", backbone: Backbone, classes: int) -> "nn.Module":
    """Replace the classifier by a new one with so many outputs, of random weights, and return the network."""
    from torch import nn

    old = network.get_submodule(backbone.classifier)
    new: nn.Module
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, classes)
    elif isinstance(old, nn.Identity) and backbone.width:
        new = nn.Linear(backbone.width, classes)
    elif isinstance(old, nn.Conv2d):
        new = nn.Conv2d(old.in_channels, classes, old.kernel_size, old.stride, old.padding)  # type: ignore[arg-type]
    else:
        raise UsageError(
            f"{backbone.name}: its classifier {backbone.classifier} is a {type(old).__name__}, not a Linear or Conv2d"
        )
    parent, _, child = backbone.classifier.rpartition(".")
    setattr(network.get_submodule(parent), child, new)
    return network


def frozen_modules(network: "nn.Module", backbone: Backbone, frozen: str) -> "list[nn.Module]":
    """Return the modules, in the order of their application, whose weights are kept at this degree of FROZEN.

    With `all but the classifier` these are all modules that come before it.

    Raises:
        UsageError: there is no such degree, or the backbone has no cut for it.
    """
    layers = list(backbone.layers(network))
    if frozen == "none":
        return []
    if frozen == "all but the classifier" and network.get_submodule(backbone.classifier) in layers:
        return layers[: layers.index(network.get_submodule(backbone.classifier))]
    if frozen not in FROZEN:
        raise UsageError(f"frozen {frozen!r}: choose {', '.join(FROZEN)}")
    if frozen not in backbone.cuts:
        raise UsageError(f"{backbone.name}: it is not said what {frozen!r} freezes; its cuts are {dict(backbone.cuts)}")
    return layers[: backbone.cuts[frozen]]


def penultimate(network: "nn.Module", backbone: Backbone, photos: "torch.Tensor") -> "torch.Tensor":
    """Return what goes into the classifier, (N, D): the features of transfer learning. Maps are averaged over their places.

    Args:
        network: in evaluation mode, on the photos' device.
        backbone: its description.
        photos: standardised float32 (N, 3, H, W).
    """
    vectors: list[torch.Tensor] = []
    handle = network.get_submodule(backbone.classifier).register_forward_pre_hook(
        lambda _, given: vectors.append(given[0])
    )
    try:
        network(photos)
    finally:
        handle.remove()
    return vectors[0].flatten(2).mean(dim=2) if vectors[0].dim() > 2 else vectors[0]


@cache
def detectors() -> dict[str, Backbone]:
    """Return the networks that find keypoints (`networks.keypoints`), by name, as `detectors.json` has them.

    They have weights like any other, and no classifier: no method of vectors or of training knows them. None of their
    addresses was ever fetched from here: the files that were tried came from packages (docs/local.md).
    """
    rows = json.loads(Path(__file__).with_name("detectors.json").read_text("utf-8"))
    return {row["name"]: _detector(row) for row in rows}


def _detector(row: Mapping[str, Any]) -> Backbone:
    def build(_: int) -> "nn.Module":
        from benchmark.networks.keypoints import NETWORKS

        return NETWORKS[row["name"].partition("/")[0]]()

    facts = {**row, "urls": tuple(row["urls"])}
    name, title = facts.pop("name"), facts.pop("title")
    return Backbone(name, title, build, lambda network: [network], "", pretrained=Pretrained(**facts))
