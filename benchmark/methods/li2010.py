"""`li2010`: prioritised matching of a gallery's tracks to the query (Li, Snavely and Huttenlocher, ECCV 2010), in 2-D.

As in the paper's abstract: features are matched from the gallery to the query, not the other way round; tracks seen by many
photos come first; a hit makes those more urgent that are seen together with it; a K-cover stands for the gallery. Ours, since
the inner parameters were not at hand: tracks come from verified pairs of photos in place of a 3-D model; urgency begins as
the number of photos and grows by `boost` times the share of each photo's tracks; the `seed` cover is tried before all others;
tracks are tried 64 at a time; a photo's score is the number of its tracks that were found over the root of those that it has.
Cost: `neighbours` verified pairs a photo once; a query compares at most `tries` tracks with its features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.local.graph import PhotoGraph, Tracks, candidate_pairs, k_cover, tracks_of, verified_graph
from benchmark.local.keypoints import Features
from benchmark.local.verification import PairVerifier, squared_distances
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
from benchmark.methods.visual_words import likeness_of, words_of
from benchmark.photos import Photos
from collector.errors import UsageError

_AT_ONCE = 64
LEAST_TRACKS = 50
"""Of a photo; those that see fewer add features of their own."""

_FIRST = 1e9  # urgency of the seed cover


@dataclass(frozen=True)
class PrioritisedMatching:
    """Seeks tracks in a query.

    Attributes:
        tracks: T of them, the K-cover.
        seed: (T,) whether each is tried before all others.
        ratio: of the distances to the query's nearest and second nearest feature.
        boost: how much a hit adds to the urgency of what is seen together with it.
        hits: after so many the search ends.
        tries: and after so many tracks.
    """

    tracks: Tracks
    seed: NDArray[np.bool_]
    ratio: float
    boost: float
    hits: int
    tries: int
    local: bool = True

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return how much of each photo was found, (queries, gallery)."""
        shown = photos.store.track(queries, "comparing with the gallery")
        return self.shares([self.search(query)[:, 0] for query in shown])

    def shares(self, hits: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """Return how many of each photo's tracks are among the hits of each query, over the root of those that it has."""
        has = np.asarray(self.tracks.seen.sum(axis=0)).ravel()
        found = np.zeros((len(hits), self.tracks.seen.shape[1]))
        for row, hit in enumerate(hits):
            found[row] = np.asarray(self.tracks.seen[hit].sum(axis=0)).ravel() if len(hit) else 0
        return np.asarray(found / np.sqrt(np.maximum(has, 1)))

    def search(self, query: Features) -> NDArray[np.int64]:
        """Return the tracks that were found and the query's features that they were found in, (n, 2), in their order."""
        seen = self.tracks.seen
        if len(query) < 2 or not len(self.tracks):
            return np.empty((0, 2), np.int64)
        of_photo = 1 / np.maximum(np.asarray(seen.sum(axis=0)).ravel(), 1)
        urgency = np.asarray(seen.sum(axis=1)).ravel() + np.where(self.seed, _FIRST, 0.0)
        matches: list[tuple[int, int]] = []
        tried = 0
        while tried < min(self.tries, len(self.tracks)) and len(matches) < self.hits:
            size = min(_AT_ONCE, self.tries - tried, len(self.tracks) - tried)
            rows = np.sort(np.argpartition(-urgency, size - 1)[:size])
            squares = squared_distances(self.tracks.descriptors[rows], query.descriptors)
            least, second = np.partition(squares, 1, axis=1)[:, :2].T
            passed = np.flatnonzero(least < self.ratio**2 * second)[: self.hits - len(matches)]
            hits = rows[passed]
            matches += zip(hits.tolist(), squares[passed].argmin(axis=1).tolist(), strict=True)
            if len(hits):
                urgency += self.boost * (seen @ (np.asarray(seen[hits].sum(axis=0)).ravel() * of_photo))
            urgency[rows] = -np.inf
            tried += size
        return np.array(matches, np.int64).reshape(-1, 2)


@dataclass(frozen=True)
class Prepared:
    """A gallery with its graph of verified pairs; `chosen` (T,) of all its tracks are those that the scorer seeks."""

    settings: LocalSettings
    gallery: Gallery
    graph: PhotoGraph
    chosen: NDArray[np.int64]
    scorer: PrioritisedMatching


def fit(training: Training, validation: Training, context: Context, **parameters: Any) -> GalleryPredictor:
    """Verify pairs of the gallery and choose its tracks.

    Raises:
        UsageError: a parameter makes no sense.
    """
    ready = prepare(training, context, **parameters)
    return predictor(ready.scorer, ready.gallery, training, validation, ready.settings, "max")


def prepare(
    training: Training,
    context: Context,
    *,
    neighbours: int,
    reach_m: float,
    cover: int,
    seed_cover: int,
    track_ratio: float,
    boost: float,
    hits: int,
    tries: int,
    **local: Any,
) -> Prepared:
    """Verify pairs of the gallery and choose its tracks.

    Raises:
        UsageError: a parameter makes no sense.
    """
    if min(neighbours, cover, seed_cover, hits, tries) < 1 or not 0 < track_ratio < 1 or boost < 0 or reach_m <= 0:
        raise UsageError(
            f"neighbours={neighbours}, cover={cover}, seed_cover={seed_cover}, hits={hits}, tries={tries}, "
            f"track_ratio={track_ratio}, boost={boost}, reach_m={reach_m}: numbers from 1, a ratio below 1, no boost below 0"
        )
    settings = LocalSettings.of(seed=context.seed, **local)
    gallery = Gallery.of(training, settings.front_end)
    words = words_of(gallery, 100, 2, 5, context)
    places = training.places[gallery.rows]
    verifier = PairVerifier(settings.front_end, settings.rules, training.store.cache)
    pairs = candidate_pairs(likeness_of(words), places, neighbours, reach_m)
    graph = verified_graph(gallery.features, pairs, verifier, context.progress)
    tracks = tracks_of(gallery.features, graph, LEAST_TRACKS)
    chosen = np.sort(k_cover(tracks.seen, cover))
    kept = tracks.of(chosen)
    seed = np.zeros(len(kept), bool)
    seed[k_cover(kept.seen, seed_cover)] = True
    scorer = PrioritisedMatching(kept, seed, track_ratio, boost, hits, tries)
    return Prepared(settings, gallery, graph, chosen, scorer)


LI2010 = Method(
    name="li2010",
    title="Prioritised feature matching (Li 2010), tracks of verified pairs",
    fit=fit,
    parameters={
        **LOCAL,
        "verify": 5,
        "neighbours": 10,
        "reach_m": 100.0,
        "cover": 100,
        "seed_cover": 5,
        "track_ratio": 0.7,
        "boost": 10.0,
        "hits": 100,
        "tries": 20_000,
    },
    smoke=LOCAL_SMOKE,
    gives=frozenset({"labels", "places", "ranking"}),
    stochastic=True,
    estimate=local_seconds,
    unkept=UNKEPT,
)
