"""NET, the part of a method's name behind the colon: what describes each photo by a vector.

A feature (one of FEATURES or NETS, such as `gist`) or a network with pre-trained weights (`resnet18/places365`). All else
that a method does with vectors does not know which: `describer` makes either, `vectors_of` gives vectors of length 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.methods.features import FEATURES, LARGEST, feature, feature_seconds, squares
from benchmark.methods.types import Context, Method
from benchmark.photos import Photos
from collector.errors import DataError, UsageError

if TYPE_CHECKING:
    import torch

    from benchmark.networks.backbones import Backbone

NETS = {"tiny": ("tiny", 16), "hog": ("hog-l2hys", 64), "gist": ("gist-lear", 64)}
"""Short names of features: the kind in FEATURES, and the pixels of a side."""

_SIZE = 64  # of a feature that is called by its kind


class Describer(Protocol):
    """Describes photos by vectors."""

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the vector of each photo, (N, D)."""
        ...

    def save(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return what is needed to build it again as plain JSON, and its arrays by name (`load_describer`)."""
        ...


@dataclass(frozen=True)
class FeatureVectors:
    """A feature of this kind on photos of size × size pixels."""

    kind: str
    size: int
    device: str

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the feature of each photo, (N, D)."""
        from benchmark.features.extract import extract

        return extract(feature(self.kind, self.size), photos, self.device)

    def save(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return what is needed to build it again (`load_describer`)."""
        return {"feature": self.kind, "size": self.size, "version": FEATURES[self.kind].version}, {}


@dataclass(frozen=True)
class NetworkVectors:
    """What goes into the classifier of a network that does not learn, of centre crops of `size` pixels.

    Vectors of weights with a digest are kept.
    """

    network: "torch.nn.Module"
    backbone: str
    size: int
    weights_digest: str | None
    device: str

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the vector of each photo, (N, D)."""
        from benchmark.features.vectors import Tower

        return Tower(self.network, self.backbone, self.size, self.weights_digest, self.device).embed(photos)

    def save(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return what is needed to build it again (`load_describer`)."""
        state = {f"network.{name}": of.cpu().numpy().copy() for name, of in self.network.state_dict().items()}
        return {"backbone": self.backbone, "size": self.size, "weights_digest": self.weights_digest}, state


def describer(net: str, size: int, context: Context) -> Describer:
    """Return what describes photos of `size` pixels as NET says; a network without weights begins with random ones.

    Raises:
        UsageError: there is no such feature and no such network.
    """
    if kind := feature_kind(net):
        return FeatureVectors(kind, size, context.device)
    import torch

    torch.manual_seed(context.seed)
    network = _built(net)
    if context.weights is not None:
        network.load_state_dict(dict(context.weights))
    return NetworkVectors(network.eval().to(context.device), net, size, context.weights_digest, context.device)


def vectors_of(describing: Describer, photos: Photos) -> NDArray[np.float32]:
    """Return the vector of each photo, (N, D), scaled to length 1."""
    from benchmark.retrieval.whitening import normalised

    return normalised(describing.embed(photos))


def load_describer(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Describer:
    """Return the describer that `save` described.

    Raises:
        DataError: it was made with another version of a feature's code.
        UsageError: there is no such feature or network here.
        ValueError, KeyError, TypeError, RuntimeError: the description is none, or does not fit the arrays.
    """
    size = spec["size"]
    if type(size) is not int or not 1 <= size <= LARGEST:
        raise ValueError(f"vectors of photos of {size!r} pixels; 1 to {LARGEST} are possible")
    if "feature" in spec:
        kind = spec["feature"]
        if feature(kind, size).version != spec["version"]:
            raise DataError(f"it was made with another version of the feature {kind}; train and export it again")
        return FeatureVectors(kind, size, device)
    import torch

    network = _built(spec["backbone"])
    own = {name.removeprefix("network."): of for name, of in arrays.items() if name.startswith("network.")}
    network.load_state_dict({name: torch.from_numpy(np.array(of)) for name, of in own.items()})
    return NetworkVectors(network.eval().to(device), spec["backbone"], size, spec["weights_digest"], device)


def feature_kind(net: str) -> str:
    """Return the kind in FEATURES that NET is; empty where it is none."""
    return NETS[net][0] if net in NETS else net if net in FEATURES else ""


def on_net(method: Method, net: str) -> Method | None:
    """Return the method with the parameters, the estimate and the origin of NET; None where there is none of this name.

    Its version is made of the method's and the feature's, its name and title hold `{net}` where NET's belong.
    """
    named = replace(method, name=method.name.replace("{net}", net))
    if kind := feature_kind(net):
        size = NETS[net][1] if net in NETS else _SIZE
        return replace(
            named,
            title=method.title.replace("{net}", f"{FEATURES[kind].title} {{size}}×{{size}}"),
            parameters={"net": kind, "size": size, **method.parameters},
            smoke={"size": min(size, 32), **method.smoke},
            version=f"{FEATURES[kind].version}.{method.version}",
            preprocessing=_squares,
            estimate=_feature_seconds,
        )
    from benchmark.networks.backbones import backbones

    backbone = backbones().get(net)
    if backbone is None or backbone.pretrained is None:
        return None
    return replace(
        named,
        title=method.title.replace("{net}", f"{backbone.title} ({backbone.pretrained.data})"),
        parameters={"net": net, "size": backbone.preprocessing.crop, **method.parameters},
        smoke={"size": backbone.quick_size, **method.smoke},
        backbone=net,
        pretraining=backbone.pretrained.data,
        weights_licence=backbone.pretrained.licence,
        preprocessing=_crops,
        estimate=network_seconds,
    )


def _squares(*, net: str, size: int, **others: Any) -> dict[str, Any]:
    return squares(feature_kind=net, size=size)


def _crops(*, net: str, size: int, **others: Any) -> dict[str, Any]:
    from benchmark.methods.heads import preprocessing

    return dict(preprocessing(backbone=net, size=size))


def _feature_seconds(photos: int, classes: int, device: str, *, net: str, size: int, **others: Any) -> float:
    return feature_seconds(photos, device, feature_kind=net, size=size)


def network_seconds(photos: int, classes: int, device: str, *, net: str, size: int, **others: Any) -> float:
    """Return about how long a network's vectors of the photos take, validation and test photos included."""
    from benchmark.networks.fast import estimate
    from benchmark.networks.recipe import Recipe

    # A step of training is about three times a forward pass; validation and test photos are half as many again.
    return 0.5 * estimate(photos, classes, device, Recipe(backbone=net, frozen="none", size=size, epochs=1))


def _built(name: str) -> "torch.nn.Module":
    backbone = _find(name)
    return backbone.build(backbone.pretrained.classes if backbone.pretrained else 1000)


def _find(name: str) -> "Backbone":
    from benchmark.networks.backbones import backbones

    if name not in backbones():
        raise UsageError(
            f"net {name!r}: is no feature ({', '.join((*NETS, *FEATURES))}) and no network (`t15 weights list`)"
        )
    return backbones()[name]
