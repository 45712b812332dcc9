"""What methods that compare a query with the photos of a gallery share: from scores to a ranking, a place and labels.

A `Scorer` gives each photo of the gallery a score. Where pairs are verified, the first `verify` are put in order again by
their inliers (`benchmark.local.verification`): verified photos come first, the rest keep their order. The place is the mean
of the photos among the first ten that were taken within 50 m of the best, weighed by inliers, or by scores where nothing is
verified. A label's evidence is the sum or the largest of its photos' scores; probabilities are softmax(evidence / T), T
chosen on the validation photos by their likelihood. A photo that nothing speaks for (without keypoints) gets no ranking, no
place, and the labels' shares of the gallery.

Invariant: the gallery is sorted by the photos' digests before anything is computed, so that its order changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from benchmark.local.keypoints import Features, FrontEnd, Sift, bounded, extract_features
from benchmark.local.verification import PairVerifier, Rules
from benchmark.methods.types import Parameter, Training
from benchmark.photos import Photos
from benchmark.predictions import Places, Ranking
from collector.errors import UsageError
from collector.geo import distances_km, mean_place
from collector.progress import Track

NEAR_KM = 0.05
"""Photos of the gallery that are taken so near to the best have a say in the place."""

_SHOWN = 5  # photos of the gallery that an explanation draws
_VOTING = 10  # photos that have a say at most
_TEMPERATURES = np.geomspace(1e-3, 1e2, 51)


class Scorer(Protocol):
    """Compares queries with a gallery."""

    @property
    def local(self) -> bool:
        """Whether it compares keypoints: a query without them is then one that nothing speaks for."""
        ...

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return (queries, gallery), larger for likelier photos.

        Args:
            photos: the queries.
            queries: their keypoints; none where neither the scorer nor verification asks for any.
        """
        ...


@runtime_checkable
class Locating(Protocol):
    """A scorer that finds where a query's camera stood."""

    def locate(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return latitude and longitude of each query, (N, 2), NaN where it does not know."""
        ...

    def files(self) -> Mapping[str, bytes]:
        """Return what a run keeps beside the model, by file name."""
        ...


@dataclass(frozen=True)
class _Compared:
    """What is known of N photos asked about: scores and inliers (N, G), and cameras (N, 2), NaN where unknown."""

    scores: NDArray[np.float64]
    inliers: NDArray[np.int32]
    cameras: NDArray[np.float64]


@dataclass(frozen=True)
class GalleryPredictor:
    """A fitted method that compares photos with a gallery of G photos, which are sorted by digest here.

    Attributes:
        scorer: compares.
        front_end: finds the queries' keypoints.
        features: (G) of the gallery; empty where nobody asks for keypoints.
        rows: (G,) where each stands among the training photos.
        labels, places: (G,) and (G, 2) of them.
        classes: how many labels there are.
        verifier: of pairs.
        verify: how many photos are verified for a query.
        pools: `sum` or `max`: how the scores of a label's photos become its evidence.
        temperature: of the probabilities.
        authors, sequences: (G,) of the gallery; empty in a model that was read from a file.
        owners: those of the photos that will be asked about, whose own photos do not count; None: all do.
    """

    scorer: Scorer
    front_end: FrontEnd
    features: Sequence[Features]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    places: NDArray[np.float64]
    classes: int
    verifier: PairVerifier
    verify: int = 0
    pools: str = "max"
    temperature: float = 1.0
    authors: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    sequences: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    owners: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    _latest: list[tuple[Photos, _Compared]] = field(default_factory=list, init=False, repr=False, compare=False)

    def excluding(self, authors: NDArray[np.int64], sequences: NDArray[np.int64]) -> "GalleryPredictor":
        """Return the same for photos of these authors and sequences, whose own photos do not count."""
        return replace(self, owners=(authors, sequences))

    def rank(self, photos: Photos, k: int) -> Ranking:
        """Return the k likeliest photos of the gallery; a query without keypoints gets none."""
        compared = self._compared(photos)
        scores, inliers = compared.scores, compared.inliers
        order = _descending(scores)[:, :k]
        silent = np.isnan(scores).any(axis=1, keepdims=True) | np.take_along_axis(
            self._same_owner(len(photos)), order, axis=1
        )
        ranked = np.take_along_axis(scores, order, axis=1).astype(np.float32)
        return Ranking(
            np.where(silent, -1, self.rows[order]),
            np.where(silent, np.nan, ranked).astype(np.float32),
            np.take_along_axis(inliers, order, axis=1) if self.verify else None,
        )

    def predict_places(self, photos: Photos) -> Places:
        """Return where the camera stood, or else the weighted mean of the best photos near the best one.

        NaN where no photo or no place is known.
        """
        of, own = self._compared(photos), self._same_owner(len(photos))
        rows = zip(of.scores, of.inliers, _descending(of.scores), own, strict=True)
        places = np.array([self._place(*row) for row in rows], np.float64).reshape(-1, 2)
        places = np.where(np.isnan(of.cameras), places, of.cameras)
        return Places(places[:, 0], places[:, 1])

    def matching_points(self, photo: Photos) -> NDArray[np.float64] | None:
        """Return where keypoints of one photo lie that match its first photos of the gallery by one move of the camera.

        (n, 2), as shares of its width and height; None where no keypoints are compared.
        """
        if not self.features:
            return None
        (query,), (picture,) = (
            extract_features(photo, self.front_end),
            photo.pictures(self.front_end.side, enlarge=False),
        )
        best = _descending(self._compared(photo).scores)[0, :_SHOWN].tolist() if len(query) else []
        inliers = self.verifier.inliers((query, self.features[column]) for column in best)
        rows = np.concatenate([np.empty(0, np.int32), *(of[:, 0] for of in inliers)])
        height, width = picture.shape[1:]
        return np.asarray(query.points[rows, :2] / bounded(width, height, self.front_end.side), np.float64)

    def files(self) -> Mapping[str, bytes]:
        """Return what a run keeps beside the model, by file name."""
        return self.scorer.files() if isinstance(self.scorer, Locating) else {}

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probabilities of the labels, (N, C)."""
        evidence = self.evidence(photos)
        prior = np.bincount(self.labels, minlength=self.classes) / len(self.labels)
        silent = np.isnan(evidence).any(axis=1, keepdims=True)
        likely = softmax(np.nan_to_num(evidence) / self.temperature, axis=1)
        probabilities: NDArray[np.float32] = np.where(silent, prior, likely).astype(np.float32)
        return probabilities

    def evidence(self, photos: Photos) -> NDArray[np.float64]:
        """Return what speaks for each label, (N, C); a row of NaN where nothing speaks."""
        scores = self._compared(photos).scores
        columns = [self.labels == label for label in range(self.classes)]
        if self.pools == "sum":
            shares = scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-12)
            return np.stack([shares[:, column].sum(axis=1) for column in columns], axis=1)
        worst = scores.min(axis=1, initial=np.inf)
        best = np.stack([scores[:, column].max(axis=1) if column.any() else worst for column in columns], axis=1)
        return np.asarray(np.sign(best) * np.log1p(np.abs(best)))

    def _compared(self, photos: Photos) -> _Compared:
        """Return what is known of photos; of those asked about last it is kept, since three questions are asked."""
        if not self._latest or self._latest[0][0] is not photos:
            queries = extract_features(photos, self.front_end) if self.features else []
            scores = self.scorer.scores(photos, queries) if len(photos) else np.empty((0, len(self.rows)))
            if self.scorer.local:
                scores[[row for row, query in enumerate(queries) if not len(query)]] = np.nan
            # Own photos come last: nothing that they score counts, nor do they take the places of pairs to verify.
            own = self._same_owner(len(photos))
            scores[own] = np.broadcast_to(np.where(own, np.inf, scores).min(axis=1, initial=0)[:, None], own.shape)[own]
            cameras = np.full((len(photos), 2), np.nan)
            if len(photos) and isinstance(self.scorer, Locating):
                cameras = self.scorer.locate(photos, queries)
                cameras[own.any(axis=1)] = np.nan  # a model that own photos are in knows too much
            verified = self._verified(queries, scores, photos.store.track)
            self._latest[:] = [(photos, _Compared(*verified, cameras))]
        return self._latest[0][1]

    def _same_owner(self, photos: int) -> NDArray[np.bool_]:
        """Return which photos of the gallery are of the author or the sequence of each photo asked about, (N, G)."""
        own = np.zeros((photos, len(self.rows)), bool)
        if self.owners is not None and len(self.authors):
            for theirs, gallery in zip(self.owners, (self.authors, self.sequences), strict=True):
                own |= (theirs[:, None] >= 0) & (theirs[:, None] == gallery)
        return own

    def _verified(
        self, queries: Sequence[Features], scores: NDArray[np.float64], track: Track
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        inliers = np.zeros(scores.shape, np.int32)
        if not self.verify or not scores.size:
            return scores, inliers
        shown = track(queries, "verifying pairs")
        for row, (query, best) in enumerate(zip(shown, _descending(scores)[:, : self.verify], strict=True)):
            if len(query):
                inliers[row, best] = self.verifier.counts(query, [self.features[column] for column in best])
        low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
        return inliers + (scores - low) / np.maximum(high - low, 1e-12) / 2, inliers  # below 1: inliers come first

    def _place(
        self,
        scores: NDArray[np.float64],
        inliers: NDArray[np.int32],
        order: NDArray[np.int64],
        own: NDArray[np.bool_],
    ) -> tuple[float, float]:
        known = order[~np.isnan(self.places[order]).any(axis=1) & ~own[order]][:_VOTING]
        if not len(known) or np.isnan(scores).any():
            return np.nan, np.nan
        best = self.places[known[0]]
        far = distances_km(best[0], best[1], self.places[known, 0], self.places[known, 1])
        near = known[far <= NEAR_KM]
        weights = inliers[near].astype(float) if inliers[near].any() else np.maximum(scores[near], 0)
        if not weights.any():
            weights = np.ones(len(near))
        latitude, longitude = mean_place(self.places[near], weights)
        return float(latitude), float(longitude)


def _descending(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(-scores, axis=1, kind="stable")


@dataclass(frozen=True)
class LocalSettings:
    """What all of these methods are given."""

    front_end: FrontEnd
    rules: Rules
    verify: int

    @classmethod
    def of(cls, side: int, keypoints: int, contrast: float, verify: int, ratio: float, seed: int) -> "LocalSettings":
        """Return the settings of a method's parameters.

        Raises:
            UsageError: a value makes no sense.
        """
        if not 0 <= verify <= 1000:
            raise UsageError(f"verify={verify}: must be from 0 to 1000")
        return cls(Sift(side, keypoints, contrast), Rules(ratio, seed=seed), verify)


@dataclass(frozen=True)
class Gallery:
    """Training photos in the order of their digests: `rows` (G,), where each stands in the training, and `features` (G).

    `features` is empty where nobody asked for keypoints.
    """

    features: Sequence[Features]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, training: Training, front_end: FrontEnd | None) -> "Gallery":
        """Return the gallery of some training photos, with their keypoints where there is a front end."""
        features = extract_features(training, front_end) if front_end else []
        digests = [of.digest for of in features] or training.digests
        order = sorted(range(len(training)), key=lambda row: (digests[row], training.ids[row]))
        return cls([features[row] for row in order if features], np.array(order, np.int64))


def predictor(
    scorer: Scorer, gallery: Gallery, training: Training, validation: Training, settings: LocalSettings, pools: str
) -> GalleryPredictor:
    """Return the predictor of a scorer, its temperature chosen on the validation photos."""
    uncalibrated = GalleryPredictor(
        scorer=scorer,
        front_end=settings.front_end,
        features=gallery.features,
        rows=gallery.rows,
        labels=training.labels[gallery.rows],
        places=training.places[gallery.rows],
        classes=len(training.classes),
        verifier=PairVerifier(settings.front_end, settings.rules, training.store.cache),
        verify=settings.verify,
        pools=pools,
        authors=training.authors[gallery.rows],
        sequences=training.sequences[gallery.rows],
    )
    temperature = best_temperature(uncalibrated.evidence(validation), validation.labels)
    return replace(uncalibrated, temperature=temperature)


def best_temperature(evidence: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the T of softmax(evidence / T) that makes the labels likeliest; 1 where nothing speaks for any."""
    given = ~np.isnan(evidence).any(axis=1) & (labels >= 0)
    if not given.any():
        return 1.0
    rows = np.arange(int(given.sum()))
    likelihoods = [log_softmax(evidence[given] / t, axis=1)[rows, labels[given]].mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmax(likelihoods))])


UNKEPT = "its model would be the gallery itself, about 130 KB of keypoints a photo"
"""Why models of these methods are not kept."""

LOCAL: dict[str, Parameter] = {"side": 480, "keypoints": 1000, "contrast": 0.01, "verify": 0, "ratio": 0.8}
"""Parameters that all of these methods have."""

LOCAL_SMOKE: dict[str, Parameter] = {"side": 128, "keypoints": 200}


def local_seconds(photos: int, classes: int, device: str, *, side: int, **parameters: object) -> float:
    """Return about how long one fit takes: a quarter of a second a photo of 480 pixels, its keypoints and its part of the
    index.
    """
    return 0.25 * photos * (side / 480) ** 2
