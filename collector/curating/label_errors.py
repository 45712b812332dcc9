"""Labels that a photo's own pixels speak against: confident learning on vectors of a network that did not learn from them.

A linear discriminant (shrunken by Ledoit and Wolf) gives each photo probabilities of the cities, out of fold: photos of one
group of `dedup` or of one author are in one fold, so that no photo's copy votes for its label. cleanlab's confident learning
(Northcutt, Jiang, Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, 2021) estimates from them
how many labels of each city are wrong, and which; the probability of the given label ranks them. A flag is a question for
people, never a deletion. Memory: the vectors, 256 values of each photo after PCA, and probabilities, N × cities.
"""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from collector.catalogue.catalogue import Decision
from collector.providers.registry import author_of
from collector.records import Photo

STAGE = "label-errors"
"""The stage of the catalogue's decisions that holds this flag; its verdicts are all `keep`."""

FLAGS: Mapping[str, str] = {"wrong-label": "its pixels speak for another city"}

FEWEST = 10
"""Photos of a city below which it is not judged, and photos of other cities are not held against it."""

FOLDS = 5
"""Parts that are judged by what is learnt from the others; fewer where there are fewer groups."""

_VALUES = 256  # of a vector, after PCA, at most


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What is thought of N labels.

    Attributes:
        probabilities: (N, C), out of fold; NaN where a label cannot be judged.
        quality: (N,) probability of the given label, 0 (surely wrong) to 1; 1 where it cannot be judged.
        is_suspect: (N,) whether confident learning counts the label among the wrong ones.
    """

    probabilities: NDArray[np.float64]
    quality: NDArray[np.float64]
    is_suspect: NDArray[np.bool_]


def missing_extra() -> str | None:
    """Return which package of the extra `labels` is not installed; None where labels can be judged."""
    return next((name for name in ("torch", "sklearn", "cleanlab") if find_spec(name) is None), None)


def suspect_labels(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> Suspicion:
    """Return which of N labels are in doubt.

    Args:
        vectors: (N, D).
        labels: (N,) from 0 to C - 1, each with FOLDS photos or more.
        groups: (N,) photos that share one are in one fold.
        seed: of the folds and of PCA.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    probabilities = out_of_fold(vectors, labels, groups, seed)
    known = np.isfinite(probabilities).all(axis=1)
    quality, is_suspect = np.ones(len(labels)), np.zeros(len(labels), bool)
    if len(np.unique(labels[known])) < 2:  # there is nothing to confuse one label with
        probabilities[:] = np.nan
    else:
        quality[known] = get_label_quality_scores(labels[known], probabilities[known], method="self_confidence")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # cities that cannot be judged have no examples
            is_suspect[known] = find_label_issues(labels[known], probabilities[known], n_jobs=1)
    return Suspicion(probabilities, quality, is_suspect)


def out_of_fold(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> NDArray[np.float64]:
    """Return each photo's probabilities (N, C) by a discriminant that saw neither it nor its group.

    NaN where it saw no photo of the label, as where all of a city's photos are one author's, or of no other label.
    """
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedGroupKFold

    values = min(_VALUES, len(vectors) // 2)  # a discriminant of more would be slow, and no better
    reduced = vectors
    if vectors.shape[1] > values:
        reduced = PCA(values, svd_solver="randomized", random_state=seed).fit_transform(vectors)
    probabilities = np.full((len(labels), int(labels.max()) + 1), np.nan)
    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        return probabilities
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # cities with fewer groups than folds
        folds = list(StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(reduced, labels, groups))
    for train, held in folds:
        judged = held[np.isin(labels[held], labels[train])]
        if len(judged) and len(np.unique(labels[train])) > 1:
            model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(reduced[train], labels[train])
            probabilities[judged] = 1e-6
            probabilities[np.ix_(judged, model.classes_)] += model.predict_proba(reduced[judged])
    shares: NDArray[np.float64] = probabilities / probabilities.sum(axis=1, keepdims=True)
    return shares


def flag_labels(
    photos: Sequence[Photo], vectors: NDArray[np.float32], known: NDArray[np.bool_], name: str
) -> tuple[list[Decision], list[str]]:
    """Return a decision for each photo whose label is in doubt, and the cities that cannot be judged.

    Of these there are too few photos, or all are one author's: who knows his other photos would know them by his manner.

    Args:
        photos: N of them, with the group that `dedup` gave.
        vectors: (N, D).
        known: (N,) whether a photo has a vector.
        name: of what gave the vectors.
    """
    judged = [(photo.photo_id, photo.city, _group(photo)) for photo, there in zip(photos, known, strict=True) if there]
    counts = Counter(city for _, city, _ in judged)
    cities = sorted(city for city, count in counts.items() if count >= FEWEST)
    few = sorted(set(counts) - set(cities))
    if len(cities) < 2:
        return [], few
    number = {city: at for at, city in enumerate(cities)}
    is_judged = known.copy()
    is_judged[known] = [city in number for _, city, _ in judged]
    judged = [one for one in judged if one[1] in number]
    labels = np.array([number[city] for _, city, _ in judged])
    codes: dict[str, int] = {}
    groups = np.array([codes.setdefault(group, len(codes)) for *_, group in judged])
    suspicion = suspect_labels(vectors[is_judged], labels, groups)
    without = set(cities) - {cities[at] for at in labels[np.isfinite(suspicion.probabilities[:, 0])].tolist()}
    decisions = []
    for row in np.flatnonzero(suspicion.is_suspect).tolist():
        (photo_id, city, _), of = judged[row], suspicion.probabilities[row]
        thinks = cities[int(of.argmax())]
        if thinks == city:
            continue
        why = {"thinks": f"{thinks} ({of.max():.2f})", "label": f"{city} ({of[labels[row]]:.2f})", "vectors": name}
        score = round(min(1.0, 1 - suspicion.quality[row] / 2), 4)
        evidence = {"wrong-label": score, "thinks": thinks, "why": {"wrong-label": why}}
        decisions.append(Decision(photo_id, "keep", None, evidence))
    return decisions, sorted({*few, *without})


def _group(photo: Photo) -> str:
    """Return what photos of one author share, or of one picture."""
    author = author_of(photo.photo_id, photo.author_id)
    return author if author != photo.photo_id else photo.group_id or author
