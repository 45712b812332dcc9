"""Three networks that come from outside the package, as a plug-in's would: a few lines each.

An installed package names them in its entry points:

    [t15.backbones]
    squeezenet1_0-imagenet = real_backbones:SQUEEZENET1_0
    squeezenet1_1-places365 = real_backbones:SQUEEZENET1_1
    mobilenet_v2-imagenet = real_backbones:MOBILENET_V2

Their weights are files that somebody brings: `t15 weights add squeezenet1_0/imagenet FILE`.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d

from benchmark.networks.backbones import Backbone, Pretrained

NO_LICENCE = "none named: for tests and measurements only"


def squeezenet_layers(network: nn.Module) -> Sequence[nn.Module]:
    features, classifier = network.get_submodule("features"), network.get_submodule("classifier")
    return [*features.children(), *classifier.children(), nn.Flatten()]


def mobilenet_layers(network: nn.Module) -> Sequence[nn.Module]:
    features, classifier = network.get_submodule("features"), network.get_submodule("classifier")
    return [*features.children(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *classifier.children()]


def leaky_squeezenet(classes: int) -> nn.Module:
    """Return SqueezeNet 1.1 with LeakyReLU(0.55) where torchvision's has ReLU: so these weights were learnt."""
    network: nn.Module = models.squeezenet1_1(num_classes=classes)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.LeakyReLU(0.55, inplace=True))
    return network


def right_bottom_mobilenet(classes: int) -> nn.Module:
    """Return MobileNetV2 whose convolutions of stride 2 pad on the right and at the bottom only, as TensorFlow does.

    Its normalisation does not learn: in the file it is folded into the convolutions (every mean 0, every variance 1), and
    statistics of a batch in its place turn all features of photos to 0 (measured: in training mode their largest was 0.00).
    """
    network: nn.Module = models.mobilenet_v2(num_classes=classes, norm_layer=FrozenBatchNorm2d)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.padding = (0, 0)
            module.register_forward_pre_hook(pad_right_bottom)
    return network


def pad_right_bottom(module: nn.Module, photos: tuple[torch.Tensor]) -> torch.Tensor:
    return functional.pad(photos[0], (0, 1, 0, 1))


SQUEEZENET1_0 = Backbone(
    name="squeezenet1_0/imagenet",
    title="SqueezeNet 1.0",
    build=lambda classes: models.squeezenet1_0(num_classes=classes),
    layers=squeezenet_layers,
    classifier="classifier.1",
    cuts={"a": 5, "b": 8, "c": 10},  # the stem, fire2 and fire3; and fire4 and fire5; and fire6 and fire7
    pretrained=Pretrained("ImageNet", 1000, NO_LICENCE, "https://github.com/songhan/SqueezeNet-Deep-Compression"),
)
SQUEEZENET1_1 = Backbone(
    name="squeezenet1_1/places365",
    title="SqueezeNet 1.1",
    build=leaky_squeezenet,
    layers=squeezenet_layers,
    classifier="classifier.1",
    cuts={"a": 6, "b": 9, "c": 11},  # the same, each with the pooling that follows
    pretrained=Pretrained("Places365", 365, NO_LICENCE, "https://github.com/urbste/squeezenet_places365"),
)
MOBILENET_V2 = Backbone(
    name="mobilenet_v2/imagenet",
    title="MobileNetV2",
    build=right_bottom_mobilenet,
    layers=mobilenet_layers,
    classifier="classifier.1",
    cuts={"a": 4, "b": 7, "c": 14},  # a quarter, an eighth, a sixteenth of the photo's width, as ResNet's stages
    pretrained=Pretrained("ImageNet", 1000, NO_LICENCE, "https://github.com/phil137786/optimizing-models"),
)

FILES = {
    "squeezenet1_0_imagenet_deepcompressed.pth": SQUEEZENET1_0,
    "squeezenet1_1_places365_leaky055.pth": SQUEEZENET1_1,
    "mobilenet_v2_imagenet_from_int8_tflite.pth": MOBILENET_V2,
}
"""The files of their weights in `$T15_REAL_DATA/weights`."""
