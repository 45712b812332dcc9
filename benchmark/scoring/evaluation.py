"""What saved predictions are worth: the truth of a manifest's test photos, and a method's answers held against it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmark import results
from benchmark.leaderboard.rows import Closer
from benchmark.results import Run
from benchmark.scoring import calibration, geography, metrics
from benchmark.scoring.slices import Slice, by_slice
from collector.errors import DataError
from collector.geo import distances_km, unit_vectors
from collector.manifest.manifest import Manifest
from collector.records import Photo

NEAR_KM = 1.0
"""A test photo that is taken closer than this to a training photo may show the same place."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The test photos, sorted by photo_id.

    Attributes:
        photo_ids: N of them.
        labels: (N,) indices into `cities`.
        cities: slugs, in the manifest's order.
        centres: (C, 2) latitude and longitude of the cities.
        places: (N, 2) of the photos, NaN where unknown.
        parts: the name of each photo's part, by what it is a part of.
    """

    photo_ids: list[str]
    labels: NDArray[np.int64]
    cities: list[str]
    centres: NDArray[np.float64]
    places: NDArray[np.float64]
    parts: Mapping[str, list[str | None]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A method's answers and scores, the scores means over its seeds; `right` is (seeds, photos)."""

    right: NDArray[np.bool_]
    accuracies: tuple[float, ...]
    top3: float
    macro_f1: float
    ece: float
    geo: geography.GeoSummary | None
    per_city: dict[str, float]
    slices: dict[str, tuple[Slice, ...]]


def truth_of(manifest: Manifest) -> Truth:
    """Return the test photos of `manifest`.

    Raises:
        DataError: it has none.
    """
    header, photos = manifest.header, manifest.photos("test")
    if not photos:
        raise DataError(f"manifest {header.name} {header.version}: has no test photos to judge a method by")
    cities = [city.slug for city in header.cities]
    index = {slug: number for number, slug in enumerate(cities)}
    return Truth(
        photo_ids=[photo.photo_id for photo in photos],
        labels=np.array([index[photo.city] for photo in photos]),
        cities=cities,
        centres=np.array([(city.latitude, city.longitude) for city in header.cities]),
        places=_places(photos),
        parts=parts_of(photos, manifest.photos("train")),
    )


def parts_of(test: Sequence[Photo], train: Sequence[Photo]) -> dict[str, list[str | None]]:
    """Return the name of each test photo's part, None where it is unknown, by what it is a part of.

    That is the provider, the licence, whether a training photo was taken less than NEAR_KM away, and whether a training photo
    is by the same author. Kinds of which no photo has a part are left out; that of the city is in `Row.per_city`.
    """
    authors = {_author(photo) for photo in train}
    parts: dict[str, list[str | None]] = {
        "provider": [photo.photo_id.partition(":")[0] for photo in test],
        "licence": [photo.license for photo in test],
        "distance to the nearest training photo": _nearness(_places(test), _places(train)),
        "author": [_seen(_author(photo), authors) for photo in test],
    }
    return {kind: names for kind, names in parts.items() if any(name is not None for name in names)}


def judge(truth: Truth, runs_dir: Path, runs: Sequence[Run]) -> Judged:
    """Return what the runs of one method scored, one a seed.

    Raises:
        DataError: a run does not fit the manifest; the message names its folder.
    """
    predicted = [_aligned(truth, runs_dir, run) for run in runs]
    labels, cities = truth.labels, truth.cities
    right = np.stack([one.argmax(axis=1) == labels for one in predicted])
    km = np.concatenate([geography.errors_km(one, truth.centres, truth.places) for one in predicted])
    distances = geography.summary(km)
    shares = np.mean([metrics.accuracy_per_class(one, labels) for one in predicted], axis=0)
    return Judged(
        right=right,
        accuracies=tuple(metrics.accuracy(one, labels) for one in predicted),
        top3=fmean(metrics.top_k_accuracy(one, labels, min(3, len(cities))) for one in predicted),
        macro_f1=fmean(metrics.macro_f1(one, labels) for one in predicted),
        ece=fmean(calibration.expected_calibration_error(one, labels) for one in predicted),
        geo=distances if distances.photos else None,
        per_city={slug: float(share) for slug, share in zip(cities, shares, strict=True) if not np.isnan(share)},
        slices={kind: tuple(by_slice(right, names)) for kind, names in truth.parts.items()},
    )


def closer_look(truth: Truth, runs_dir: Path, runs: Sequence[Run]) -> Closer:
    """Return what the pictures of a method are drawn from; its runs are those that `judge` was given."""
    predicted = np.concatenate([_aligned(truth, runs_dir, run) for run in runs])
    labels = np.tile(truth.labels, len(runs))
    table = metrics.confusion(predicted, labels, len(truth.cities))
    return Closer(
        confusion=tuple(tuple(map(int, line)) for line in table),
        reliability=tuple(calibration.reliability(predicted, labels)),
    )


def _aligned(truth: Truth, runs_dir: Path, run: Run) -> NDArray[np.float32]:
    """Return a run's probabilities with the photos and the cities in the order of `truth`."""
    folder = runs_dir / run.inputs.identity
    for missing in sorted(set(truth.cities) - set(run.classes)):
        raise DataError(f"{folder}: predicts nothing for {missing}; delete the folder and run `t15 bench` again")
    for foreign in sorted(set(run.classes) - set(truth.cities)):
        raise DataError(f"{folder}: predicts {foreign}, which is no city of the manifest; delete the folder")
    predictions = results.read_predictions(runs_dir, run)
    _check_photos(truth.photo_ids, predictions.photo_ids, folder)
    place = {photo_id: number for number, photo_id in enumerate(predictions.photo_ids)}
    column = {slug: number for number, slug in enumerate(run.classes)}
    lines = [place[photo_id] for photo_id in truth.photo_ids]
    aligned: NDArray[np.float32] = predictions.probabilities[np.ix_(lines, [column[slug] for slug in truth.cities])]
    return aligned


def _check_photos(expected: Sequence[str], given: Sequence[str], folder: Path) -> None:
    counted, known = Counter(given), set(expected)
    missing = len(known - counted.keys())
    foreign = sum(times for photo_id, times in counted.items() if photo_id not in known)
    repeated = len(given) - len(counted.keys() & known) - foreign
    if missing or foreign or repeated:
        raise DataError(
            f"{folder}: its photos are not the manifest's {len(known)} test photos: {missing} missing, {foreign} foreign, "
            f"{repeated} repeated; delete the folder and run `t15 bench` again"
        )


def _places(photos: Sequence[Photo]) -> NDArray[np.float64]:
    nowhere = (np.nan, np.nan)
    places = [(p.latitude, p.longitude) if p.latitude is not None else nowhere for p in photos]
    return np.array(places, np.float64).reshape(-1, 2)


def _nearness(test: NDArray[np.float64], train: NDArray[np.float64]) -> list[str | None]:
    """Return which test photos were taken near a training photo; None for those, and where no training photo has a place."""
    known = train[~np.isnan(train).any(axis=1)]
    if not len(known):
        return [None] * len(test)
    # The nearest point of the sphere is the nearest in space, which a tree finds without comparing all pairs.
    _, nearest = cKDTree(unit_vectors(*known.T)).query(unit_vectors(*np.nan_to_num(test).T))
    km = distances_km(test[:, 0], test[:, 1], known[nearest, 0], known[nearest, 1])
    near, far = f"below {NEAR_KM:g} km", f"{NEAR_KM:g} km or more"
    return [None if np.isnan(one) else near if one < NEAR_KM else far for one in km]


def _author(photo: Photo) -> tuple[str, str] | None:
    # Two services may give two people the same id.
    return (photo.photo_id.partition(":")[0], photo.author_id) if photo.author_id else None


def _seen(author: tuple[str, str] | None, authors: set[tuple[str, str] | None]) -> str | None:
    if author is None:
        return None
    return "seen in training" if author in authors else "not seen in training"
