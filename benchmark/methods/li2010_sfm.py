"""`li2010-sfm`: `li2010` with 3-D models where a sight has enough photos: the query's camera is found, as in the paper.

Tracks and the search are those of `li2010`. Sights with at least `enough` photos are reconstructed (`local.reconstruction`,
pycolmap, the extra `sfm`), and a track gets the position of the point that its features belong to. Of a query's hits those
with positions in one model give its camera; with `pose_inliers` that agree, the query is registered: the other hits are
chance and do not count, and where the model lies on the map, the camera's place is the answer. Everything else answers as
`li2010` does. The share of the gallery that is registered is logged and kept beside the run in `reconstruction.json`.
Cost: that of `li2010`, and the models (seconds for ten photos of a sight, minutes for a hundred).
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.local.graph import members_of
from benchmark.local.keypoints import Features
from benchmark.local.reconstruction import Ground, SightModel, ground_of, locate, reconstruct, sizes_of
from benchmark.methods.li2010 import LEAST_TRACKS, LI2010, Prepared, PrioritisedMatching, prepare
from benchmark.methods.place_recognition import GalleryPredictor, predictor
from benchmark.methods.types import Context, Method, Training
from benchmark.photos import Photos
from collector.errors import UsageError

log = logging.getLogger("t15")


@dataclass(frozen=True)
class PosedMatching:
    """Seeks tracks in a query, and its camera.

    Attributes:
        matching: seeks.
        points: (T, 3) where each track is in its model's world.
        model: (T,) which model that is; -1 for none.
        grounds: how each model lies on the map, None where that is not known.
        side: pixels of the shorter side of a photo at most.
        least: tracks that register a query.
        error: pixels that they may be off.
        seed: of RANSAC.
        facts: of the models, plain JSON.
    """

    matching: PrioritisedMatching
    points: NDArray[np.float64]
    model: NDArray[np.int64]
    grounds: Sequence[Ground | None]
    side: int
    least: int
    error: float
    seed: int
    facts: Mapping[str, Any]
    local: bool = True
    _latest: list[tuple[Photos, list[NDArray[np.int64]], NDArray[np.float64]]] = field(
        default_factory=list, init=False, repr=False, compare=False
    )

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return how much of each photo was found, (queries, gallery)."""
        return self.matching.shares(self._asked(photos, queries)[0])

    def locate(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return where each registered query's camera stood, (N, 2), NaN for the others."""
        return self._asked(photos, queries)[1].copy()

    def files(self) -> Mapping[str, bytes]:
        """Return what is known of the models."""
        return {"reconstruction.json": json.dumps(self.facts, indent=1).encode()}

    def _asked(
        self, photos: Photos, queries: Sequence[Features]
    ) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
        """Return each query's hits and its camera's place."""
        if not self._latest or self._latest[0][0] is not photos:
            hits, places = [], np.full((len(queries), 2), np.nan)
            sizes = sizes_of(photos.originals().shapes, self.side)
            registered = 0
            for row, query in enumerate(photos.store.track(queries, "comparing with the gallery")):
                found = self.matching.search(query)
                posed = self._registered(found, query, sizes[row])
                if posed is not None:
                    registered += 1
                    found, places[row] = posed
                hits.append(found[:, 0])
            log.info("%d of %d queries are registered", registered, len(queries))
            self._latest[:] = [(photos, hits, places)]
        return self._latest[0][1:]

    def _registered(
        self, found: NDArray[np.int64], query: Features, size: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], tuple[float, float]] | None:
        """Return the hits that agree with one camera, in the model where most do, and its place; None where few do."""
        best: tuple[NDArray[np.int64], tuple[float, float]] | None = None
        of = self.model[found[:, 0]]
        for number in np.unique(of[of >= 0]).tolist():
            mine = found[of == number]
            if len(mine) < max(self.least, len(best[0]) + 1 if best else 0):
                continue
            pixels = query.points[mine[:, 1], :2].astype(np.float64)
            pose = locate(pixels, self.points[mine[:, 0]], size, self.error, self.seed)
            if pose is None or pose[1].sum() < self.least or (best and pose[1].sum() <= len(best[0])):
                continue
            ground = self.grounds[number]
            best = mine[pose[1]], ground.place(pose[0]) if ground else (np.nan, np.nan)
        return best


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    enough: int,
    pose_inliers: int,
    pose_pixels: float,
    within_m: float,
    **parameters: Any,
) -> GalleryPredictor:
    """Verify pairs of the gallery, choose its tracks, and reconstruct its sights.

    Raises:
        UsageError: a parameter makes no sense, or pycolmap is not installed.
    """
    if enough < 3 or pose_inliers < 4 or not 0 < pose_pixels <= 100 or not 0 < within_m <= 10_000:
        raise UsageError(
            f"enough={enough}, pose_inliers={pose_inliers}, pose_pixels={pose_pixels}, within_m={within_m}: 3 photos and 4 "
            "inliers at least, up to 100 pixels and 10000 m are possible"
        )
    ready = prepare(training, context, **parameters)
    side = ready.settings.front_end.side
    rows = ready.gallery.rows
    sizes = sizes_of(training.originals().shapes, side)[rows] if len(rows) else np.empty((0, 2), np.int64)
    models = reconstruct(ready.gallery.features, ready.graph, sizes, enough, context.seed)
    grounds = [ground_of(model, training.places[rows], within_m) for model in models]
    points, of = _positions(ready, models)
    facts = _facts(models, grounds, len(rows))
    log.info("%(registered)d of %(photos)d photos of the gallery are registered", facts)
    scorer = PosedMatching(ready.scorer, points, of, grounds, side, pose_inliers, pose_pixels, context.seed, facts)
    return predictor(scorer, ready.gallery, training, validation, ready.settings, "max")


def _positions(ready: Prepared, models: Sequence[SightModel]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the point (T, 3) of each track that is sought, NaN where none, and whose model's it is (T,), -1 where none."""
    features = ready.gallery.features
    begin = np.concatenate([[0], np.cumsum([len(of) for of in features])]).astype(np.int64)
    points, of = np.full((begin[-1], 3), np.nan), np.full(begin[-1], -1, np.int64)
    for number, model in reversed(list(enumerate(models))):  # what two models have is the larger one's
        feature = begin[model.seen[:, 1]] + model.seen[:, 2]
        points[feature], of[feature] = model.points[model.seen[:, 0]], number
    track, member = members_of(features, ready.graph, LEAST_TRACKS)
    known = of[member] >= 0
    tracks, first = np.unique(track[known], return_index=True)
    count = int(track.max(initial=-1)) + 1
    placed, whose = np.full((count, 3), np.nan), np.full(count, -1, np.int64)
    placed[tracks], whose[tracks] = points[member[known][first]], of[member[known][first]]
    return placed[ready.chosen], whose[ready.chosen]


def _facts(models: Sequence[SightModel], grounds: Sequence[Ground | None], photos: int) -> dict[str, Any]:
    registered = len(np.unique(np.concatenate([np.empty(0, np.int64), *(model.photos for model in models)])))
    described = [
        {"photos": len(model.photos), "points": len(model.points), "on_map": ground is not None}
        for model, ground in zip(models, grounds, strict=True)
    ]
    return {"photos": photos, "registered": registered, "share": registered / max(photos, 1), "models": described}


LI2010_SFM = Method(
    name="li2010-sfm",
    title="Prioritised feature matching (Li 2010), 3-D models where a sight has {enough} photos",
    fit=fit,
    parameters={**LI2010.parameters, "enough": 10, "pose_inliers": 12, "pose_pixels": 12.0, "within_m": 15.0},
    smoke=LI2010.smoke,
    gives=LI2010.gives,
    stochastic=True,
    estimate=LI2010.estimate,
    unkept=LI2010.unkept,
)
