"""What a predictor does not offer, made from what it offers: one rule each.

| from | to | rule |
|---|---|---|
| labels | places | the centre of the likeliest label |
| places | labels | each candidate's weight (a place alone: 1) goes to the label that holds it, else to the nearest centre |
| ranking | labels | row r of a ranking, from 1, gives 1/r to its photo's label; the sums are scaled to 1 |
| ranking | places | the place of the first row that has one; the rows' places are the candidates, weighing 1/r, scaled to 1 |

Of several ways the shorter one is taken: places come from a ranking before they come from labels, labels from places before
they come from a ranking. A ranking is never derived. A withheld answer (NaN, or a ranking without rows) stays withheld.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.label_set import LabelSet
from benchmark.photos import Photos
from benchmark.predictions import Places, Predictions, Ranking
from collector.errors import DataError, UsageError

RANKED = 25
"""Rows of the gallery that a predictor is asked to rank for each photo, where there are so many."""

OFFERS: Mapping[str, str] = {"labels": "predict_labels", "places": "predict_places", "ranking": "rank"}
"""What a predictor may offer, and the function that gives it."""


class Gallery(Protocol):
    """The photos that a ranking's rows are of: `labels` (G,) and `places` (G, 2), NaN where unknown."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """Position of each photo's label."""
        ...

    @property
    def places(self) -> NDArray[np.float64]:
        """Where each was taken."""
        ...


@dataclass(frozen=True)
class RankedPhotos:
    """A gallery as plain arrays: what a model file holds of it, for predictors that rank and nothing else."""

    labels: NDArray[np.int64]
    places: NDArray[np.float64]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return it as arrays by name."""
        return {"gallery-labels": self.labels, "gallery-places": self.places}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], count: int) -> "RankedPhotos | None":
        """Return what `to_arrays` gave, None where there is nothing of it; `count` is the number of labels.

        Raises:
            ValueError, KeyError: it is damaged.
        """
        if "gallery-labels" not in arrays:
            return None
        labels, places = arrays["gallery-labels"], arrays["gallery-places"]
        if labels.ndim != 1 or places.shape != (len(labels), 2) or ((labels < 0) | (labels >= count)).any():
            raise ValueError(f"a gallery of {labels.shape} labels and {places.shape} places")
        return cls(labels.astype(np.int64), places.astype(np.float64))


def offered(predictor: Any) -> list[str]:
    """Return what a predictor offers, names of OFFERS.

    Raises:
        UsageError: nothing; the message says what to change.
    """
    names = [name for name, function in OFFERS.items() if hasattr(predictor, function)]
    if not names and hasattr(predictor, "predict_proba"):
        raise UsageError(f"{type(predictor).__name__}: rename its predict_proba to predict_labels (docs/methods.md)")
    if not names:
        raise UsageError(f"{type(predictor).__name__}: has none of {', '.join(OFFERS.values())} (docs/methods.md)")
    return names


def places_itself(offers: Iterable[str]) -> bool:
    """Return whether a predictor of these offers says itself where a photo was taken; of others the likeliest label's centre
    is the place.

    It is what boards measure (`scoring.answers`), runs keep, and `predict` shows with radii learnt of such places: one that
    gives labels beside places, or ranks, says so too.
    """
    return not {"places", "ranking"}.isdisjoint(offers)


def gallery_arrays(
    offers: Iterable[str], labels: NDArray[np.int64], places: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return what a model has to hold of its gallery's labels and places: none unless places follow from a ranking alone."""
    return RankedPhotos(labels, places).to_arrays() if "ranking" in offers and "places" not in offers else {}


def predict(predictor: Any, photos: Photos, labels: LabelSet, gallery: Gallery | None = None) -> Predictions:
    """Return all that a predictor says of photos, with what can be derived of it.

    Args:
        predictor: a fitted method.
        photos: N of them, pixels only.
        labels: the answers that there are.
        gallery: what a ranking's rows are of; None where there is none.

    Raises:
        UsageError: it offers nothing, or a ranking alone where there is no gallery.
        DataError: an answer is not of the shape or in the range that `benchmark.predictions` says.
    """
    offers = offered(predictor)
    if offers == ["ranking"] and gallery is None:
        raise UsageError(f"{type(predictor).__name__}: ranks a gallery, and there is none here")
    ranking = _of_photos(predictor.rank(photos, RANKED), photos) if "ranking" in offers else None
    if ranking is not None and gallery is not None and (ranking.rows >= len(gallery.labels)).any():
        raise DataError(f"the method ranks photos beyond the {len(gallery.labels)} of the gallery")
    places = _of_photos(predictor.predict_places(photos), photos) if "places" in offers else None
    probabilities = _probabilities(predictor.predict_labels(photos), photos, labels) if "labels" in offers else None
    if places is None and ranking is not None and gallery is not None:
        places = places_from_ranking(ranking, gallery.places)
    if probabilities is None and places is not None and "places" in offers:
        probabilities = labels_from_places(places, labels)
    elif probabilities is None and ranking is not None and gallery is not None:
        probabilities = labels_from_ranking(ranking, gallery.labels, len(labels))
    if places is None and probabilities is not None:
        places = places_from_labels(probabilities, labels)
    return Predictions(probabilities, places, ranking)


def are_probabilities(values: NDArray[Any], *, withheld: bool = False) -> bool:
    """Return whether every row of (N, C) holds numbers from 0 to 1 that sum to 1, within 0.001.

    With `withheld` a row of NaN is allowed too.
    """
    given = values[~np.isnan(values).all(axis=1)] if withheld else values
    finite = bool(np.isfinite(given).all())
    return finite and not (given < 0).any() and bool(np.allclose(given.sum(axis=1), 1, atol=1e-3))


def _probabilities(values: Any, photos: Photos, labels: LabelSet) -> NDArray[np.float32]:
    shape = (len(photos), len(labels))
    if not isinstance(values, np.ndarray) or values.shape != shape:
        returned = f"predictions of shape {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise DataError(f"the method returned {returned}, expected were {shape}")
    if not are_probabilities(values, withheld=True):
        raise DataError(
            "the method returned values that are no probabilities: each from 0 to 1, a photo's summing to 1"
        )
    return values


Answer = TypeVar("Answer", Places, Ranking)


def _of_photos(answer: Answer, photos: Photos) -> Answer:
    if len(answer) != len(photos):
        raise DataError(f"the method answered for {len(answer)} photos, asked were {len(photos)}")
    return answer


def places_from_labels(probabilities: NDArray[np.float32], labels: LabelSet) -> Places:
    """Return the centre of each row's likeliest label, of equals the first; NaN where the row (N, C) is withheld."""
    withheld: NDArray[np.bool_] = np.asarray(np.isnan(probabilities).any(axis=1))
    likeliest = np.where(withheld, 0, np.nan_to_num(probabilities).argmax(axis=1))
    centres = np.where(withheld[:, None], np.nan, labels.centres[likeliest])
    return Places(centres[:, 0], centres[:, 1])


def labels_from_places(places: Places, labels: LabelSet) -> NDArray[np.float32]:
    """Return the weight of each label's candidates, (N, C); a row of NaN where the answer is withheld."""
    if places.candidates is None or places.weights is None:
        candidates, weights = np.stack([places.latitude, places.longitude], axis=1)[:, None], np.ones((len(places), 1))
    else:
        candidates, weights = places.candidates, places.weights
    holding = labels.holding(candidates.reshape(-1, 2)).reshape(weights.shape)
    return _votes(holding, weights, np.isnan(places.latitude), len(labels))


def labels_from_ranking(ranking: Ranking, gallery: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """Return the votes of the ranked photos, (N, C), whose labels are `gallery` (G,); `count` is C."""
    voting = np.where(ranking.rows < 0, -1, gallery[ranking.rows])
    return _votes(voting, _weights(ranking), np.zeros(len(ranking), bool), count)


def places_from_ranking(ranking: Ranking, gallery: NDArray[np.float64]) -> Places:
    """Return the place of each row's first photo that has one, from the gallery's places (G, 2)."""
    best = np.full((len(ranking), 2), np.nan)
    if not ranking.rows.size:
        return Places(best[:, 0], best[:, 1])
    candidates: NDArray[np.float64] = np.where((ranking.rows < 0)[..., None], np.nan, gallery[ranking.rows])
    known: NDArray[np.bool_] = np.asarray(~np.isnan(candidates).any(axis=2))
    answered = known.any(axis=1)
    best[answered] = candidates[answered, known[answered].argmax(axis=1)]
    return voted(best, np.where(known[..., None], candidates, np.nan), np.where(known, _weights(ranking), 0.0))


def voted(answers: NDArray[np.float64], candidates: NDArray[np.float64], weights: NDArray[np.float64]) -> Places:
    """Return answers (N, 2) with what voted for them: candidates (N, K, 2) with weights (N, K), here scaled to 1.

    Unknown candidates, NaN of weight 0, become the answer. A photo without a vote withholds its answer, NaN, and has no
    candidates, all NaN; others keep theirs.
    """
    sums = weights.sum(axis=1, keepdims=True)
    even = np.full(weights.shape, 1 / max(1, weights.shape[1]))
    held = np.where(np.isnan(candidates), answers[:, None], candidates)
    return Places(answers[:, 0], answers[:, 1], held, np.divide(weights, sums, out=even, where=sums > 0))


def _weights(ranking: Ranking) -> NDArray[np.float64]:
    return np.broadcast_to(1.0 / np.arange(1, ranking.rows.shape[1] + 1), ranking.rows.shape)


def _votes(
    holding: NDArray[np.int64], weights: NDArray[np.float64], withheld: NDArray[np.bool_], count: int
) -> NDArray[np.float32]:
    """Return the share of weight (N, K) of each label, (N, count); a label of -1 has no vote."""
    sums = np.zeros((len(holding), count))
    rows, columns = np.nonzero((holding >= 0) & ~withheld[:, None])
    np.add.at(sums, (rows, holding[rows, columns]), weights[rows, columns])
    totals = sums.sum(axis=1, keepdims=True)
    shares: NDArray[np.float32] = np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0).astype(
        np.float32
    )
    return shares
