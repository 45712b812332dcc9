"""`sift-nbnn`: local naive Bayes nearest neighbour of SIFT features (McCann and Lowe, CVPR 2012), photos as classes.

Each feature of a query votes for the photos of the gallery that its nearest features are in, the more the nearer they are
compared with the next one (`benchmark.local.nearest`). Nothing is learnt but the lists by which features are found. The sum
of a label's votes is its evidence. As in the paper: the votes, the next neighbour as the measure of "anything". Ours:
classes are photos, whose votes are added up for labels; votes weighed by a power (0: as in the paper, which has 10 neighbours
vote); lists in place of k-d trees; RootSIFT; the probabilities. Four neighbours and the power 2 were chosen on photos of
capitals7 that are neither trained on nor tested, and on views of one town's gallery that ask for its other places
(docs/local.md).
With `verify` the first photos are put in order again by verified inliers. Cost of a query over 1,000 photos of 1,000
features: a thousand searches of some 9,000 distances.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.local.keypoints import Features
from benchmark.local.nearest import FeatureIndex, index_features
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


@dataclass(frozen=True)
class _Votes:
    index: FeatureIndex
    local: bool = True

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        shown = photos.store.track(queries, "comparing with the gallery")
        return np.array([self.index.scores(query) for query in shown])


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    k: int,
    power: float,
    keep: float,
    lists: int,
    probes: int,
    **local: Any,
) -> GalleryPredictor:
    """Index the gallery's features.

    Raises:
        UsageError: a parameter makes no sense.
    """
    settings = LocalSettings.of(seed=context.seed, **local)
    gallery = Gallery.of(training, settings.front_end)
    index = index_features(gallery.features, k, keep, lists, probes, context.rng, power)
    return predictor(_Votes(index), gallery, training, validation, settings, "sum")


def _method(name: str, title: str, **changed: Any) -> Method:
    return Method(
        name=name,
        title=title,
        fit=fit,
        parameters={**LOCAL, "k": 4, "power": 2.0, "keep": 1.0, "lists": 1024, "probes": 8, **changed},
        smoke={**LOCAL_SMOKE, "lists": 64},
        gives=frozenset({"labels", "places", "ranking"}),
        stochastic=True,
        estimate=local_seconds,
        unkept=UNKEPT,
        version="2",
    )


SIFT_NBNN = (
    _method("sift-nbnn", "Local naive Bayes nearest neighbour, SIFT"),
    _method("sift-nbnn+verify", "Local naive Bayes nearest neighbour, SIFT, first {verify} verified", verify=20),
)
