"""Bags of visual words: `bow`, `bow+ransac`, `vlad`, and `schindler2007`.

Descriptors are grouped into words (`benchmark.local.words`), a photo is how often it has each word (sqrt(tf) · idf, length
1), and photos are compared by the cosine. `bow+ransac` verifies the first twenty. `vlad` (Jégou et al., CVPR 2010) has few
words and adds up, for each, by how much the photo's descriptors differ from it; each word's sum and the whole get length 1.

`schindler2007` (Schindler, Brown and Szeliski, "City-scale location recognition", CVPR 2007). As in the paper: a vocabulary
tree, greedy N-best paths, features chosen by information gain about their place, votes averaged along the drive. Ours, since
the paper's inner parameters were not at hand: ten children and four levels, five paths, photos within 10 m are one place,
each photo keeps the half of its features that tell most about its own place (the paper fills one budget for the whole city),
the tree is grown once from all features and not again from those chosen, and photos are compared by the cosine of `bow`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from benchmark.local.keypoints import Features, gathered
from benchmark.local.words import (
    VocabularyTree,
    counts,
    grow_tree,
    information_gain,
    inverse_frequency,
    k_means,
    nearest_centres,
    weighted,
)
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
from collector.errors import UsageError
from collector.geo import chord, unit_vectors
from collector.progress import Track, silent

_LEARNT_FROM = 200_000  # descriptors that a vocabulary is learnt from


@dataclass(frozen=True)
class Words:
    """Compares bags of words: `gallery` (G, words) has rows of length 1; `along` (G, G) averages scores along a drive."""

    tree: VocabularyTree
    paths: int
    idf: NDArray[np.float64]
    gallery: sparse.csr_array
    along: sparse.csr_array | None = None
    local: bool = True

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return the cosines, (queries, G)."""
        cosines = (self.bags(queries, photos.store.track) @ self.gallery.T).toarray()
        return np.asarray(cosines if self.along is None else (self.along @ cosines.T).T)

    def bags(self, queries: Sequence[Features], track: Track = silent) -> sparse.csr_array:
        """Return the bags of words, (queries, words), of length 1."""
        shown = track(queries, "comparing with the gallery")
        words = [self.tree.descend(query.descriptors, self.paths) for query in shown]
        return weighted(counts(words, self.tree.words), self.idf)


@dataclass(frozen=True)
class Vlad:
    """Compares sums of differences: `vectors` (G, words · 128) of length 1."""

    centres: NDArray[np.uint8]
    vectors: NDArray[np.float32]
    local: bool = True

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return the cosines, (queries, G); summed in float64, rounded, so that threads do not show."""
        shown = photos.store.track(queries, "comparing with the gallery")
        vectors = np.stack([vlad(query.descriptors, self.centres) for query in shown])
        return np.round(vectors.astype(np.float64) @ self.vectors.T.astype(np.float64), 9)


def vlad(descriptors: NDArray[np.uint8], centres: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the VLAD of one photo, (words · 128,): by word the sum of differences, each word's and the whole of length 1."""
    sums = np.zeros(centres.shape, np.int64)
    if len(descriptors):
        nearest = nearest_centres(descriptors, centres)
        np.add.at(sums, nearest, descriptors.astype(np.int64) - centres[nearest])
    of_words = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    whole = of_words.ravel()
    scaled: NDArray[np.float32] = (whole / max(float(np.linalg.norm(whole)), 1e-12)).astype(np.float32)
    return scaled


def fit_words(
    training: Training,
    validation: Training,
    context: Context,
    *,
    branching: int,
    depth: int,
    paths: int,
    budget: float = 1.0,
    location_m: float = 0.0,
    **local: Any,
) -> GalleryPredictor:
    """Grow the vocabulary from the gallery and count its words.

    Raises:
        UsageError: a parameter makes no sense.
    """
    if not 0 < budget <= 1 or not 0 <= location_m <= 10_000:
        raise UsageError(f"budget={budget}, location_m={location_m}: above 0 to 1, and 0 to 10000 m")
    settings = LocalSettings.of(seed=context.seed, **local)
    gallery = Gallery.of(training, settings.front_end)
    tree, words = _words_of(gallery, branching, depth, paths, context)
    if budget < 1:
        words = most_telling(words, tree.words, locations(training.places[gallery.rows], location_m), budget)
    matrix = counts(words, tree.words)
    idf = inverse_frequency(matrix)
    drive = along_drives(training.sequences[gallery.rows], training.times[gallery.rows]) if location_m else None
    scorer = Words(tree, paths, idf, weighted(matrix, idf), drive)
    return predictor(scorer, gallery, training, validation, settings, "max")


def words_of(gallery: Gallery, branching: int, depth: int, paths: int, context: Context) -> Words:
    """Return the scorer that compares a gallery's plain bags of words, as `bow` does.

    Raises:
        UsageError: branching, depth or paths make no sense.
    """
    tree, words = _words_of(gallery, branching, depth, paths, context)
    matrix = counts(words, tree.words)
    idf = inverse_frequency(matrix)
    return Words(tree, paths, idf, weighted(matrix, idf))


def _words_of(
    gallery: Gallery, branching: int, depth: int, paths: int, context: Context
) -> tuple[VocabularyTree, list[NDArray[np.int64]]]:
    """Return the vocabulary that is grown from a gallery, and the words of each of its photos."""
    tree = grow_tree(sample_of(gallery.features, context.rng), branching, depth, context.rng, context.progress)
    shown = context.progress(gallery.features, "finding visual words")
    return tree, [tree.descend(features.descriptors, paths) for features in shown]


def likeness_of(words: Words) -> NDArray[np.float64]:
    """Return the cosines of a gallery's photos with each other, (G, G)."""
    return np.asarray((words.gallery @ words.gallery.T).toarray())


def fit_vlad(
    training: Training, validation: Training, context: Context, *, words: int, **local: Any
) -> GalleryPredictor:
    """Learn the words from the gallery and describe its photos.

    Raises:
        UsageError: a parameter makes no sense.
    """
    settings = LocalSettings.of(seed=context.seed, **local)
    gallery = Gallery.of(training, settings.front_end)
    return predictor(vlad_of(gallery, words, settings, context), gallery, training, validation, settings, "max")


def vlad_of(gallery: Gallery, words: int, settings: LocalSettings, context: Context) -> Vlad:
    """Return the scorer that compares a gallery's VLADs of so many words.

    Raises:
        UsageError: so many words make no sense.
    """
    if not 1 <= words <= 4096:
        raise UsageError(f"words={words}: must be from 1 to 4096")
    sample = sample_of(gallery.features, context.rng)
    centres = k_means(sample, words, context.rng) if len(sample) else np.zeros((1, settings.front_end.width), np.uint8)
    shown = context.progress(gallery.features, "finding visual words")
    return Vlad(centres, np.stack([vlad(features.descriptors, centres) for features in shown]))


def sample_of(gallery: Sequence[Features], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return descriptors of a gallery, at most 200,000 of them, to learn a vocabulary from."""
    descriptors = [features.descriptors for features in gallery]
    total = sum(len(of) for of in descriptors)
    rows = rng.choice(total, min(total, _LEARNT_FROM), replace=False) if total else np.empty(0, np.int64)
    return gathered(descriptors, np.sort(rows))


def locations(places: NDArray[np.float64], metres: float) -> NDArray[np.int64]:
    """Return which location each of the places (N, 2) is in: linked by steps of at most `metres`; unknown ones alone."""
    known = np.flatnonzero(~np.isnan(places).any(axis=1))
    pairs = np.empty((0, 2), np.int64)
    if len(known):
        tree = cKDTree(unit_vectors(*places[known].T))
        pairs = known[tree.query_pairs(chord(metres / 1000) + 1e-12, output_type="ndarray")].reshape(-1, 2)
    links = sparse.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(places), len(places)))
    of: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return of


def most_telling(
    words: Sequence[NDArray[np.int64]], vocabulary: int, location: NDArray[np.int64], budget: float
) -> list[NDArray[np.int64]]:
    """Return each photo's words without those of the least information gain about its own location.

    Args:
        words: of each photo's features.
        vocabulary: how many words there are.
        location: of each photo.
        budget: share of a photo's features that stay.
    """
    total = np.bincount(np.concatenate([np.unique(of) for of in words]), minlength=vocabulary).astype(float)
    selected_words: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(words)
    for place in np.unique(location):
        photos = np.flatnonzero(location == place).tolist()
        here = np.bincount(np.concatenate([np.unique(words[row]) for row in photos]), minlength=vocabulary).astype(
            float
        )
        gain = information_gain(here, total - here, np.full(vocabulary, float(len(photos))), len(words))
        for row in photos:
            best = np.argsort(-gain[words[row]], kind="stable")[: int(np.ceil(budget * len(words[row])))]
            selected_words[row] = words[row][np.sort(best)]
    return selected_words


def along_drives(sequences: NDArray[np.int64], times: NDArray[np.float64]) -> sparse.csr_array | None:
    """Return the matrix (G, G) that averages each photo's score with those just before and after it on its drive.

    None where no two photos are of one sequence with known times.
    """
    known = np.flatnonzero((sequences >= 0) & ~np.isnan(times))
    order = known[np.lexsort((times[known], sequences[known]))]
    next_of = np.flatnonzero(sequences[order[1:]] == sequences[order[:-1]])
    if not len(next_of):
        return None
    a, b = order[next_of], order[next_of + 1]
    everyone = np.arange(len(sequences))
    rows, columns = np.concatenate([everyone, a, b]), np.concatenate([everyone, b, a])
    matrix = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(sequences),) * 2).tocsr()
    return sparse.csr_array(sparse.diags_array(1 / matrix.sum(axis=1)) @ matrix)


def _method(name: str, title: str, fit: Any, needs: Sequence[str] = (), **own: Any) -> Method:
    return Method(
        name=name,
        title=title,
        fit=fit,
        parameters={**LOCAL, **own},
        smoke={**LOCAL_SMOKE, **({"branching": 20} if own.get("branching") == _FLAT["branching"] else {})},
        gives=frozenset({"labels", "places", "ranking"}),
        needs=frozenset(needs),
        stochastic=True,
        estimate=local_seconds,
        unkept=UNKEPT,
    )


_FLAT: dict[str, Any] = {"branching": 100, "depth": 2, "paths": 5}
_SCHINDLER: dict[str, Any] = {"branching": 10, "depth": 4, "paths": 5, "budget": 0.5, "location_m": 10.0}

VISUAL_WORDS = (
    _method("bow", "Bag of {branching}^{depth} visual words, SIFT", fit_words, **_FLAT),
    _method("bow+ransac", "Bag of visual words, first {verify} verified", fit_words, **{**_FLAT, "verify": 20}),
    _method("vlad", "VLAD of {words} words, SIFT", fit_vlad, words=64),
    _method("schindler2007", "City-scale location recognition (Schindler 2007)", fit_words, ["places"], **_SCHINDLER),
)
