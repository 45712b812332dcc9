"""`xfeat-match`, and the same with ALIKED and DISK: a short list by VLAD, then keypoints matched, then pairs verified.

The VLAD of a network's descriptors (`visual_words.vlad`) names the `short` likest photos of the gallery. With each of them
the query's keypoints are matched (mutual nearest, of XFeat with a cosine above 0.82): the number of matches is the score.
The first `verify` are put in order again by the inliers of a fundamental matrix, however few (8 or more; how many make a pair
a verified one is in `local.learnt.RULES`). No paper's system; the networks are
Potje et al. (CVPR 2024), Zhao et al. (IEEE TIM 2023) and Tyszkiewicz et al. (NeurIPS 2020), see `networks.keypoints`.
Cost of a query: `short` products of 1,000 × 1,000 descriptors, and `verify` times RANSAC.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.local.keypoints import Features
from benchmark.local.verification import Rules, matches
from benchmark.methods.heads import origin
from benchmark.methods.place_recognition import (
    LOCAL,
    UNKEPT,
    Gallery,
    GalleryPredictor,
    LocalSettings,
    Scorer,
    local_seconds,
    predictor,
)
from benchmark.methods.types import Context, Method, Training
from benchmark.methods.visual_words import vlad_of
from benchmark.networks.backbone import Backbone
from benchmark.networks.backbones import detectors
from benchmark.photos import Photos
from collector.errors import UsageError

_LEAST_MATCHES = 8  # that one fundamental matrix could be of


@dataclass(frozen=True)
class Matched:
    """Counts matches with the `short` first of another scorer; the others keep their order behind them."""

    first: Scorer
    gallery: Sequence[Features]
    rules: Rules
    short: int
    local: bool = True

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return the number of matches, or what comes before 8 of them, (queries, gallery)."""
        scores = self.first.scores(photos, queries)
        listed = np.argsort(-scores, axis=1, kind="stable")[:, : self.short]
        counts = np.zeros(scores.shape)
        for row, query in enumerate(photos.store.track(queries, "matching keypoints")):
            for column in listed[row].tolist():
                there = self.gallery[column].descriptors
                counts[row, column] = len(matches(query.descriptors, there, self.rules.ratio, self.rules.farthest))
        counts[counts < _LEAST_MATCHES] = 0
        return counts + scores / 8  # cosines: below one match


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    detector: str,
    words: int,
    short: int,
    side: int,
    keypoints: int,
    verify: int,
) -> GalleryPredictor:
    """Describe the gallery's photos.

    Raises:
        UsageError: a parameter makes no sense.
    """
    from benchmark.local.learnt import RULES, Detector

    if not 1 <= short <= 100_000 or not 0 <= verify <= 1000:
        raise UsageError(f"short={short}, verify={verify}: 1 to 100000 and 0 to 1000 are possible")
    network = Detector.of(detector, side, keypoints, context.weights, context.weights_digest, context.seed)
    rules = replace(RULES[detector.partition("/")[0]], seed=context.seed, needed=_LEAST_MATCHES)
    settings = LocalSettings(network, rules, verify)
    gallery = Gallery.of(training, settings.front_end)
    scorer = Matched(vlad_of(gallery, words, settings, context), gallery.features, rules, short)
    return predictor(scorer, gallery, training, validation, settings, "max")


def match_variant(name: str) -> Method | None:
    """Return the method `DETECTOR-match` of any network that finds keypoints; None where it is none."""
    for network in detectors().values():
        if name == _name_of(network):
            return Method(
                name=name,
                title=f"Matched and verified, {network.title}",
                fit=fit,
                parameters={
                    "detector": network.name,
                    "words": 64,
                    "short": 50,
                    **{part: LOCAL[part] for part in ("side", "keypoints")},
                    "verify": 20,
                },
                smoke={"side": 128, "keypoints": 200},
                gives=frozenset({"labels", "places", "ranking"}),
                stochastic=True,
                estimate=local_seconds,
                unkept=UNKEPT,
                backbone=network.name,
                preprocessing=_preprocessing,
                **origin(network),
            )
    return None


def _name_of(network: Backbone) -> str:
    return f"{network.architecture.replace('_', '-')}-match"


def _preprocessing(*, side: int, **others: Any) -> dict[str, Any]:
    return {"side": side, "interpolation": "bilinear"}


MATCHING: tuple[Method, ...] = tuple(
    method for network in detectors().values() if (method := match_variant(_name_of(network)))
)
"""A row for each network that finds keypoints."""
