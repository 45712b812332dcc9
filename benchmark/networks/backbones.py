"""The networks that t15 knows, each with the weights that it can start from.

A backbone's name is its architecture's, and after a slash what it was pre-trained on: `resnet18` starts from random weights,
`resnet18/places365` from those that its authors learnt on Places365. Other packages add theirs in the entry-point group
`t15.backbones`.

Networks of timm are data, in `towers.json`: a name is timm's, with a slash for its dot (`vit_small_patch14_dinov2/lvd142m`).
Preprocessing, classes, licences and addresses are timm's own configuration (1.0.31), which the tests compare; timm itself is
needed to build one of them (extra `modern`). Digests are those that a file's name says; where there is none, that of the
first file is pinned (`networks.weights`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.errors import UsageError, did_you_mean
from collector.plugins import load_plugins

if TYPE_CHECKING:
    import torch
    from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's training photos, RGB, 0 to 1, as torchvision's models are fed."""

FROZEN = ("none", "a", "b", "c", "all but the classifier")
"""How much of a network keeps its weights, from nothing to everything but the last layer. A, B and C are the paper's (Figure
3); what they mean for another network than ResNet is said by its `cuts`."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights that somebody learnt.

    Attributes:
        data: what they were learnt on, such as `Places365`.
        classes: outputs of their classifier.
        licence: of the weights, in words or as an SPDX id.
        page: where people read about them.
        urls: the file itself; mirrors are tried in this order.
        sha256: of that file; a prefix where no more was published; empty where nothing was: then the digest of the first
            download is kept and holds for ever.
        commercial: whether the licence allows commercial use; None where that is not settled.
        redistribute: whether it allows passing the weights on under its own name alone; None where that is not settled.
    """

    data: str
    classes: int
    licence: str
    page: str
    urls: tuple[str, ...] = ()
    sha256: str = ""
    commercial: bool | None = None
    redistribute: bool | None = None


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a photo becomes what a network sees: resized, cut out of the centre, standardised.

    Attributes:
        resize: pixels of the shorter side before the crop.
        crop: pixels of a side of the square crop.
        mean, std: of the pixels that the network was fed with, RGB, 0 to 1.
        interpolation: of the resizing, one of `benchmark.photos.INTERPOLATIONS`.
        rounding: how lengths that are no whole numbers become such: `nearest`, as t15 has had it from its first version, or
            `torchvision`, as timm and open_clip have it.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"
    rounding: str = "nearest"

    @property
    def facts(self) -> dict[str, Any]:
        """Plain values for a run's identity; `rounding` where it is not the usual one, which identities do not name."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("rounding", "nearest")}

    @property
    def square(self) -> tuple[int, str, int]:
        """The square that holds the crop: pixels of a side and rule, as `Photos.pixels` takes them; and its margin around
        the crop.
        """
        if self.rounding == "torchvision":
            return self.crop, f"centre-{self.resize}-{self.interpolation}", 0
        rule = "cover" if self.interpolation == "bilinear" else f"cover-{self.interpolation}"
        return self.resize, rule, (self.resize - self.crop) // 2

    def at(self, crop: int) -> "Preprocessing":
        """Return the same at another resolution: `resize` changes in proportion."""
        return replace(self, resize=round(crop * self.resize / self.crop), crop=crop)


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network, with the weights that it starts from.

    Attributes:
        name: `architecture` or `architecture/weights`, lower case.
        title: what a reader calls the architecture.
        build: makes the untrained network with so many outputs.
        layers: the network's modules in the order in which they are applied; one after the other they are its `forward`.
        classifier: name of the last module with weights, as in `named_modules`: a Linear, or a Conv2d of 1×1.
        cuts: for `a`, `b` and `c`: how many of `layers`, from the first, keep their weights.
        pretrained: the weights that it starts from; None for random ones.
        preprocessing: what its weights were learnt with, at its own resolution.
        tokens: name of the module whose output is pooled: maps (N, C, H, W), or tokens (N, T, C); empty where there is none.
            Such a network says its `width` too.
        prefix: how many of the tokens are of no place; the first of them is the class token.
        patch: pixels of a side of what becomes a token; a crop is a multiple of it.
        width: values of what goes into the classifier; 0 where it is not said.
        gigaflops: of one photo at its own resolution, a multiplication and an addition being two; 0 where it is not said.
        parts: of several networks side by side, `A+B`: these; such a one is only for vectors.
    """

    name: str
    title: str
    build: "Callable[[int], nn.Module]"
    layers: "Callable[[nn.Module], Sequence[nn.Module]]"
    classifier: str
    cuts: Mapping[str, int] = field(default_factory=dict)
    pretrained: Pretrained | None = None
    preprocessing: Preprocessing = Preprocessing()
    tokens: str = ""
    prefix: int = 0
    patch: int = 1
    width: int = 0
    gigaflops: float = 0.0
    parts: "tuple[Backbone, ...]" = ()

    @property
    def poolings(self) -> tuple[str, ...]:
        """The vectors that it gives of a photo, see `features.vectors`."""
        places = ("mean", "gem") if self.tokens and self.width else ()
        return ("penultimate", *(("cls",) if self.prefix and places else ()), *places)

    @property
    def architecture(self) -> str:
        """The name without what it was pre-trained on."""
        return self.name.partition("/")[0]


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


@cache
def towers() -> tuple[Backbone, ...]:
    """Return the towers, in the file's order."""
    rows = json.loads(Path(__file__).with_name("towers.json").read_text("utf-8"))
    return tuple(_tower(row) for row in rows)


def _tower(row: Mapping[str, Any]) -> Backbone:
    columns = ("data", "classes", "licence", "page", "sha256", "commercial", "redistribute")
    pretrained = Pretrained(urls=tuple(row["urls"]), **{name: row[name] for name in columns})
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
    known = backbones()
    if "+" in name:
        return side_by_side([find_backbone(part) for part in name.split("+")])
    if name not in known:
        raise UsageError(f"no network {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")
    return known[name]


def side_by_side(parts: Sequence[Backbone]) -> Backbone:
    """Return networks as one; its weights are those of all, see `networks.weights`.

    Raises:
        UsageError: one starts from random weights, or there is no second.
    """
    pretrained = [part.pretrained for part in parts if part.pretrained]
    name = "+".join(part.name for part in parts)
    if len(pretrained) < len(parts) or len(parts) < 2:
        raise UsageError(f"network {name}: wants two or more networks with pre-trained weights, with a + between")
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
    found: list[torch.Tensor] = []
    handle = network.get_submodule(backbone.classifier).register_forward_pre_hook(
        lambda _, given: found.append(given[0])
    )
    try:
        network(photos)
    finally:
        handle.remove()
    return found[0].flatten(2).mean(dim=2) if found[0].dim() > 2 else found[0]
