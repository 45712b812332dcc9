"""What a network is that vectors are read from or that is trained: how it is built, what it begins with, what it is fed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's training photos, RGB, 0 to 1, as torchvision's models are fed."""


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
        companions: addresses of small files that lie beside the weights, such as a tokenizer's.
        commercial: whether the licence allows commercial use; None where that is not settled.
        redistribute: whether it allows passing the weights on under its own name alone; None where that is not settled.
    """

    data: str
    classes: int
    licence: str
    page: str
    urls: tuple[str, ...] = ()
    sha256: str = ""
    companions: tuple[str, ...] = ()
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
        squash: whether the whole photo becomes the square, its shape lost, instead of its centre.
    """

    resize: int = 256
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"
    rounding: str = "nearest"
    squash: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """Plain values for a run's identity, which does not name the usual `rounding` and `squash`."""
        usual = {"rounding": "nearest", "squash": False}
        return {name: value for name, value in asdict(self).items() if name not in usual or value != usual[name]}

    @property
    def square(self) -> tuple[int, str, int]:
        """The square that holds the crop: pixels of a side and rule, as `Photos.pixels` takes them; and its margin around
        the crop.
        """
        if self.squash:
            return self.crop, "squash" if self.interpolation == "bilinear" else f"squash-{self.interpolation}", 0
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
        reading: how its vectors are read (`features.vectors`): `hooks` on its modules, or functions of `timm` or `open_clip`.
        fixed: whether it takes crops of its own size only.
        text: open_clip's name of the model where it has a text half; else empty.
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
    reading: str = "hooks"
    fixed: bool = False
    text: str = ""

    @property
    def quick_size(self) -> int:
        """Pixels of a side in the smoke tier: a few patches, or as many as the layers of small networks leave a map of."""
        if self.fixed:
            return self.preprocessing.crop
        return 4 * self.patch if self.patch > 1 else 48 if self.architecture.startswith("resnet") else 64

    @property
    def poolings(self) -> tuple[str, ...]:
        """The vectors that it gives of a photo, see `features.vectors`."""
        places = ("mean", "gem") if (self.tokens or self.reading == "timm") and self.width else ()
        return ("penultimate", *(("cls",) if self.prefix and places else ()), *places)

    @property
    def architecture(self) -> str:
        """The name without what it was pre-trained on."""
        return self.name.partition("/")[0]
