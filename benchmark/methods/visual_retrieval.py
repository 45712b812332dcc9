"""`retrieval:NET`: the photos of the gallery with the likest vectors; `retrieval:NET+verify`: their first twenty verified.

NET is a network with pre-trained weights, of which the last features are taken (as in `features:NET`), or a feature of Table
I with its size, such as `gist-lear-64`. Vectors get length 1 and are compared by the cosine: nothing is learnt. Verified
pairs (`benchmark.local.verification`) put the first photos in order again: a global vector finds the neighbourhood, geometry
says which photo shows the very thing. Cost of a query: the network, G products of D values, and 20 pairs.
Any such name is a method, whether it is listed or not, as variants of transfer learning are.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.local.keypoints import Features
from benchmark.methods.features import FEATURES, feature
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
from benchmark.photos import Photos

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
    training: Training, validation: Training, context: Context, *, backbone: str, size: int, **local: Any
) -> GalleryPredictor:
    """Describe the gallery by a network's last features.

    Raises:
        UsageError: a parameter makes no sense.
    """
    from benchmark.networks.backbones import find_backbone

    tower = starting_tower(find_backbone(backbone), size, context.weights, context.weights_digest, context)
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


def retrieval_variant(name: str) -> Method | None:
    """Return the method `retrieval:NET` or `retrieval:NET+verify` of any network or feature; None where it is none."""
    from benchmark.networks.backbones import backbones

    kind, _, rest = name.partition(":")
    described, plus, verified = rest.partition("+")
    if kind != "retrieval" or (plus and verified != "verify"):
        return None
    verify = 20 if plus else 0
    common: dict[str, Any] = {
        "name": name,
        "gives": frozenset({"labels", "places", "ranking"}),
        "estimate": local_seconds,
        "unkept": UNKEPT,
    }
    quick = {name: LOCAL_SMOKE[name] for name in ("side", "keypoints")}
    ending = ", first {verify} verified" if verify else ""
    if backbone := backbones().get(described):
        return Method(
            title=f"Likest by {backbone.title} ({backbone.pretrained.data if backbone.pretrained else 'random'})"
            + ending,
            fit=fit_network,
            parameters={**LOCAL, "verify": verify, "backbone": described, "size": backbone.preprocessing.crop},
            smoke={**quick, "size": backbone.quick_size},
            backbone=described,
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
