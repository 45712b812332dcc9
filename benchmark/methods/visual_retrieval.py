"""`retrieval:NET`: the photos of the gallery with the likest vectors; `retrieval:NET+verify`: their first twenty verified.

NET is a network with pre-trained weights, of which the last features are taken (as in `features:NET`), or a feature of Table
I with its size, such as `gist-lear-64`. `NET@gem` takes generalised means of the network's last map instead, `NET@mean` its
means, `NET@cls` the class token (`features.vectors`; what a network has of these). Vectors get length 1 and are compared by
the cosine: nothing is learnt. Verified pairs (`benchmark.local.verification`) put the first photos in order again: a global
vector finds the neighbourhood, geometry says which photo shows the very thing. Cost of a query: the network, G products of D
values, and 20 pairs.
Any such name is a method, whether it is listed or not, as variants of transfer learning are.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.local.keypoints import Features
from benchmark.methods.features import FEATURES, feature, feature_seconds
from benchmark.methods.heads import origin, preprocessing, starting_tower
from benchmark.methods.place_recognition import (
    LOCAL,
    LOCAL_SMOKE,
    UNKEPT,
    Gallery,
    GalleryPredictor,
    LocalSettings,
    local_seconds,
    predictor,
)
from benchmark.methods.types import Context, Method, Training
from benchmark.methods.vectors import NETS, network_seconds
from benchmark.photos import Photos

_POOLED = {
    "penultimate": "what goes into its classifier",
    "cls": "class token",
    "mean": "means",
    "gem": "generalised means",
}
"""What titles call the poolings (`features.vectors.POOLINGS`)."""

Embed = Callable[[Photos], NDArray[np.float32]]


@dataclass(frozen=True)
class Vectors:
    """Compares vectors: `gallery` (G, D) of length 1."""

    embed: Embed
    gallery: NDArray[np.float32]
    local: bool = False

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:  # noqa: ARG002
        """Return the cosines, (queries, G), to six digits: threads do not show."""
        return np.round(unit(self.embed(photos)).astype(np.float64) @ self.gallery.T.astype(np.float64), 6)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors (N, D) of length 1; zeros stay."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / lengths, np.float32)


def _fit(training: Training, validation: Training, context: Context, embed: Embed, local: Any) -> GalleryPredictor:
    settings = LocalSettings.of(seed=context.seed, **local)
    gallery = Gallery.of(training, settings.front_end if settings.verify else None)
    scorer = Vectors(embed, unit(embed(training))[gallery.rows])
    return predictor(scorer, gallery, training, validation, settings, "max")


def fit_network(
    training: Training,
    validation: Training,
    context: Context,
    *,
    backbone: str,
    size: int,
    pooling: str = "penultimate",
    **local: Any,
) -> GalleryPredictor:
    """Describe the gallery by one of a network's poolings.

    Raises:
        UsageError: a parameter makes no sense.
    """
    from benchmark.networks.backbones import find_backbone

    found = find_backbone(backbone)
    tower = starting_tower(found, size, context.weights, context.weights_digest, context, pooling=pooling)
    return _fit(training, validation, context, tower.embed, local)


def fit_feature(
    training: Training, validation: Training, context: Context, *, feature_kind: str, size: int, **local: Any
) -> GalleryPredictor:
    """Describe the gallery by a feature of Table I.

    Raises:
        UsageError: a parameter makes no sense.
    """
    from benchmark.features.extract import extract

    of = feature(feature_kind, size)
    return _fit(training, validation, context, lambda photos: extract(of, photos, context.device), local)


def _seconds(
    photos: int,
    classes: int,
    device: str,
    *,
    size: int,
    verify: int,
    backbone: str = "",
    feature_kind: str = "",
    **others: Any,
) -> float:
    """Return about how long one fit takes: the vectors' part, and keypoints where pairs are verified."""
    if feature_kind:
        of_vectors = feature_seconds(photos, device, feature_kind=feature_kind, size=size)
    else:
        of_vectors = network_seconds(photos, classes, device, net=backbone, size=size)
    return of_vectors + (local_seconds(photos, classes, device, **others) if verify else 0.0)


def retrieval_variant(name: str) -> Method | None:
    """Return the method `retrieval:NET`, of a network also `retrieval:NET@POOLING`, either perhaps with `+verify` behind it.

    Of a feature without its size, such as `gist`, it is that of the size that other methods of places take.

    None where there is no such network, feature or pooling.
    """
    from benchmark.networks.backbones import backbones

    kind, _, rest = name.partition(":")
    described, plus, verified = rest.partition("+")
    if kind != "retrieval" or (plus and verified != "verify"):
        return None
    if described in NETS:
        described = "{}-{}".format(*NETS[described])
        name = f"{kind}:{described}{plus}{verified}"
    verify = 20 if plus else 0
    common: dict[str, Any] = {
        "name": name,
        "gives": frozenset({"labels", "places", "ranking"}),
        "estimate": _seconds,
        "unkept": UNKEPT,
    }
    quick = {name: LOCAL_SMOKE[name] for name in ("side", "keypoints")}
    ending = ", first {verify} verified" if verify else ""
    net, at, pooling = described.partition("@")
    if backbone := backbones().get(net):
        if at and pooling not in backbone.poolings:
            return None
        data = backbone.pretrained.data if backbone.pretrained else "random"
        return Method(
            title=f"Likest by {backbone.title} ({data})" + (f", {_POOLED[pooling]}" if at else "") + ending,
            fit=fit_network,
            parameters={
                **LOCAL,
                "verify": verify,
                "backbone": net,
                "size": backbone.preprocessing.crop,
                "pooling": pooling or "penultimate",
            },
            smoke={**quick, "size": backbone.quick_size},
            backbone=net,
            preprocessing=preprocessing,
            **origin(backbone),
            **common,
        )
    match = re.fullmatch(r"(.+)-([1-9][0-9]{1,2})", described)
    if match is None or match[1] not in FEATURES:
        return None
    return Method(
        title=f"Likest by {FEATURES[match[1]].title}, {{size}}×{{size}}" + ending,
        fit=fit_feature,
        parameters={**LOCAL, "verify": verify, "feature_kind": match[1], "size": int(match[2])},
        smoke={**quick, "size": 64},
        **common,
    )
