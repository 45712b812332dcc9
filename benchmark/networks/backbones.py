"""The networks that t15 knows, each with the weights that it can start from.

A backbone's name is its architecture's, and after a slash what it was pre-trained on: `resnet18` starts from random weights,
`resnet18/places365` from those that its authors learnt on Places365. Other packages add theirs in the entry-point group
`t15.backbones`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING

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
    """

    data: str
    classes: int
    licence: str
    page: str
    urls: tuple[str, ...] = ()
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a photo becomes what a network sees: resized, cut out of the centre, standardised.

    Attributes:
        resize: pixels of the shorter side before the crop.
        crop: pixels of a side of the square crop.
        mean, std: of the pixels that the network was fed with, RGB, 0 to 1.
        interpolation: of the resizing, one of `benchmark.photos.INTERPOLATIONS`.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"

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
    """

    name: str
    title: str
    build: "Callable[[int], nn.Module]"
    layers: "Callable[[nn.Module], Sequence[nn.Module]]"
    classifier: str
    cuts: Mapping[str, int] = field(default_factory=dict)
    pretrained: Pretrained | None = None
    preprocessing: Preprocessing = Preprocessing()

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
    return Pretrained("Places365", 365, _PLACES_LICENCE, _PLACES_PAGE, urls)


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
) -> Callable[[str, Pretrained | None], Backbone]:
    def build(classes: int) -> "nn.Module":
        from torchvision.models import get_model

        network: nn.Module = get_model(name, weights=None, num_classes=classes)
        return network

    return lambda suffix, weights: Backbone(name + suffix, title, build, layers, classifier, cuts, weights)


def _family(
    make: Callable[[str, Pretrained | None], Backbone], imagenet: str, places: Pretrained | None = None
) -> list[Backbone]:
    found = [make("", None), make("/imagenet", _imagenet(imagenet))]
    return [*found, make("/places365", places)] if places else found


def _resnet(name: str, title: str) -> Callable[[str, Pretrained | None], Backbone]:
    return _torchvision(name, title, _resnet_layers, "fc", _RESNET_CUTS)


_ALEXNET = _torchvision("alexnet", "AlexNet", _alexnet_layers, "classifier.6", _ALEXNET_CUTS)

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in chain(
        # The Places365 AlexNet is torchvision's "one weird trick" network (64/192/384/256/256), not Caffe's.
        _family(_ALEXNET, "alexnet-owt-7be5be79.pth", _places365("alexnet")),
        _family(_resnet("resnet18", "ResNet-18"), "resnet18-f37072fd.pth", _places365("resnet18")),
        _family(_resnet("resnet34", "ResNet-34"), "resnet34-b627a593.pth"),
        _family(_resnet("resnet50", "ResNet-50"), "resnet50-0676ba61.pth", _places365("resnet50")),
    )
}
"""The built-in backbones by name."""


def backbones() -> dict[str, Backbone]:
    """Return all backbones by name: the built-in ones, and those that packages add in the group `t15.backbones`.

    Raises:
        UsageError: a plug-in is no Backbone.
    """
    found = dict(BACKBONES)
    for name, backbone in load_plugins("t15.backbones").items():
        if not isinstance(backbone, Backbone):
            raise UsageError(
                f"plug-in {name!r} (group t15.backbones) is no benchmark.networks.backbones.Backbone: repair it"
            )
        found.setdefault(backbone.name, backbone)
    return found


def find_backbone(name: str) -> Backbone:
    """Return the backbone of this name.

    Raises:
        UsageError: there is none; close names are offered.
    """
    known = backbones()
    if name not in known:
        raise UsageError(f"no network {name!r}{did_you_mean(name, known)}; known are {', '.join(known)}")
    return known[name]


def with_classes(network: "nn.Module", backbone: Backbone, classes: int) -> "nn.Module":
    """Replace the classifier by a new one with so many outputs, of random weights, and return the network."""
    from torch import nn

    old = network.get_submodule(backbone.classifier)
    new: nn.Module
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, classes)
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
    if frozen == "all but the classifier":
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
