"""What a method answered, with all that follows from it; of several folds together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmark.derivations import labels_from_places, labels_from_ranking, places_from_labels, places_from_ranking
from benchmark.predictions import Places, Predictions, Ranking
from benchmark.retrieval.mixture import Mixture
from benchmark.scoring import metrics
from benchmark.scoring.truth import Truth, nearest_km

REGION_SHARES = (0.5, 0.9)
"""Shares of a density whose regions are measured."""


@dataclass(frozen=True)
class Stated:
    """What the densities of N answers say of where their photos were taken; NaN where a photo has no place.

    Attributes:
        logs: (N,) natural logarithm of the density per km² there.
        levels: (N,) share of the density that is denser: of the smallest region that reaches there.
        areas: km² (N,) of the smallest region that holds each share of REGION_SHARES.
    """

    logs: NDArray[np.float64]
    levels: NDArray[np.float64]
    areas: Mapping[float, NDArray[np.float64]]


@dataclass(frozen=True)
class Answers:
    """One seed's predictions, everything derived that can be.

    Attributes:
        labels: (N,) positions of the answered labels, -1 where withheld.
        probabilities: (N, C), NaN where withheld; None where labels alone were answered.
        confidence: (N,) of the answers; NaN where unknown.
        km: (N,) how far the answered place is off; infinite where withheld, NaN where the photo has no place.
        ranked_km: (N, K) how far the ranked photos are off, best first; of a method that ranks nothing, `km` alone.
        best_km: (N,) how far off the best of all places is that the method can answer; None where it can answer any.
        likeness: (N,) of the first ranked photo: its inliers where pairs were verified, and its score; None without.
        stated: of the density; None where none is stated.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None
    confidence: NDArray[np.float64]
    km: NDArray[np.float64]
    ranked_km: NDArray[np.float64]
    best_km: NDArray[np.float64] | None
    likeness: NDArray[np.float64] | None = None
    stated: Stated | None = None

    @property
    def first_km(self) -> NDArray[np.float64]:
        """How far the first ranked photo is off, (N,); of a method that ranks nothing, the answered place."""
        return self.ranked_km[:, 0]

    @property
    def at_best(self) -> "Answers | None":
        """The same answers, with the best place that can be answered for each photo; None where it can answer any."""
        if self.best_km is None:
            return None
        ranked = np.broadcast_to(self.best_km[:, None], self.ranked_km.shape)
        return replace(self, km=self.best_km, ranked_km=ranked, likeness=None)


def pooled_answers(parts: Sequence[Answers]) -> Answers:
    """Return the answers of several folds as those of one truth (`truth.pooled`), in the folds' order.

    Of rankings as many photos are kept as all have; what one part does not know none knows.
    """
    ranked = min(part.ranked_km.shape[1] for part in parts)
    stated = [part.stated for part in parts]
    return Answers(
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=_joined([part.probabilities for part in parts]),
        confidence=np.concatenate([part.confidence for part in parts]),
        km=np.concatenate([part.km for part in parts]),
        ranked_km=np.concatenate([part.ranked_km[:, :ranked] for part in parts]),
        best_km=_joined([part.best_km for part in parts]),
        stated=_pooled_densities([one for one in stated if one is not None]) if None not in stated else None,
    )


def _joined(parts: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def _pooled_densities(parts: Sequence[Stated]) -> Stated:
    return Stated(
        np.concatenate([part.logs for part in parts]),
        np.concatenate([part.levels for part in parts]),
        {share: np.concatenate([part.areas[share] for part in parts]) for share in REGION_SHARES},
    )


def answers_of(predictions: Predictions, truth: Truth) -> Answers:
    """Return predictions with all that follows from them, by the rules of `benchmark.derivations`.

    Raises:
        ValueError: they are not of the photos and labels of `truth`.
    """
    if len(predictions) != len(truth):
        raise ValueError(f"{len(predictions)} predictions for {len(truth)} photos: must be one each")
    probabilities, places, ranking = predictions.probabilities, predictions.places, predictions.ranking
    graded = probabilities is not None and predictions.confidence is None
    if places is None and ranking is not None:
        places = places_from_ranking(ranking, truth.gallery.places)
    if probabilities is None and ranking is not None and predictions.places is None:
        probabilities = labels_from_ranking(ranking, truth.gallery.labels, len(truth.classes))
    if probabilities is None and places is not None:
        probabilities = labels_from_places(places, truth.label_set)
    if probabilities is None:
        raise ValueError("predictions hold neither labels, places nor a ranking")
    if places is None:
        places = places_from_labels(probabilities, truth.label_set)
    labels, _ = metrics.checked_answers(probabilities, truth.labels)
    answered = np.stack([places.latitude, places.longitude], axis=1)
    km = metrics.errors_km(answered, truth.places)
    ranked = km[:, None] if ranking is None else _ranked_km(ranking.rows, truth)
    stated = predictions.confidence
    if stated is None and graded:
        stated = np.where(labels < 0, np.nan, np.nan_to_num(probabilities).max(axis=1)).astype(np.float64)
    return Answers(
        labels=labels,
        probabilities=np.asarray(probabilities, np.float64) if graded else None,
        confidence=np.full(len(truth), np.nan) if stated is None else np.where(labels < 0, np.nan, stated),
        km=km,
        ranked_km=ranked,
        best_km=_best_km(answered, ranking is not None, truth),
        likeness=None if ranking is None else _likeness(ranking),
        stated=_stated_of(places, truth),
    )


def _stated_of(places: Places, truth: Truth) -> Stated | None:
    densities = Mixture.of(places)
    if densities is None:
        return None
    logs, drawn = densities.log_density(truth.places), densities.drawn()
    return Stated(logs, drawn.level(logs), {share: drawn.area(share) for share in REGION_SHARES})


def _likeness(ranking: Ranking) -> NDArray[np.float64] | None:
    """Return inliers plus what the score adds below one inlier; a photo that got no ranking is least alike: NaN."""
    if not ranking.rows.shape[1]:
        return None
    scores = ranking.scores[:, 0].astype(np.float64)
    if ranking.inliers is not None:
        scores = ranking.inliers[:, 0] + np.arctan(scores) / np.pi
    return np.where(ranking.rows[:, 0] < 0, np.nan, scores)


def _ranked_km(rows: NDArray[np.int64], truth: Truth) -> NDArray[np.float64]:
    there = np.where((rows < 0)[..., None], np.nan, truth.gallery.places[rows])
    columns = [metrics.errors_km(there[:, column], truth.places) for column in range(rows.shape[1])]
    return np.stack(columns, axis=1) if columns else np.full((len(rows), 1), np.inf)


def _best_km(answered: NDArray[np.float64], ranks: bool, truth: Truth) -> NDArray[np.float64] | None:
    """Return how far off the best possible answer is: of a ranking's gallery, or of the labels' centres where all answers
    are centres; None where any place may be answered.
    """
    if ranks:
        return nearest_km(truth.places, truth.gallery.places)
    given = answered[~np.isnan(answered).any(axis=1)]
    centres = set(map(tuple, truth.label_set.centres.tolist()))
    return nearest_km(truth.places, truth.label_set.centres) if centres.issuperset(map(tuple, given.tolist())) else None
