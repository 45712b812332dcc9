"""`cao2013`: graph-based discriminative learning (Cao and Snavely, CVPR 2013).

As in the paper's abstract: the gallery is a graph of visual connectivity; overlapping neighbourhoods of it each learn a
distance; photos are ranked by the best neighbourhood that holds them, and a probabilistic re-ranking makes the first ones
differ. Ours, since the inner parameters were not at hand: links are verified pairs with a Jaccard index above `jaccard`;
neighbourhoods come from a greedy dominating set, of `most` photos at most; each learns a linear SVM on tf-idf words against
`negatives` photos that none of it is linked to and the `hardest` by tf-idf, made a probability by a logistic function of
cross-validated distances; `mix` of the probability and the rest of the plain cosine are the score.

Re-ranking. Suppose that photo a, which was shown, is wrong: what is linked to a is less probable then,
P_b <- (P_b - P_ab) / (1 - P_a). P_ab is P_a P_b for photos that are not linked (which changes nothing), and goes
`diversity` of the way from there to min(P_a, P_b) for linked ones. Photos change places, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from benchmark.local.graph import PhotoGraph, candidate_pairs, dominating_set, verified_graph
from benchmark.local.keypoints import Features
from benchmark.local.verification import PairVerifier
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
from benchmark.methods.visual_words import Words, likeness_of, words_of
from benchmark.photos import Photos
from collector.errors import UsageError

_RERANKED = 20
_FOLDS = 3


@dataclass(frozen=True)
class Neighbourhoods:
    """Scores photos by the neighbourhoods that hold them.

    Attributes:
        words: compares bags of words.
        planes: (M, words) and `offsets` (M,): the SVM of each neighbourhood, times its logistic function's slope.
        offsets: with the logistic function's constant.
        members: (M, G), 1 for the photos of each.
        links: (G, G), 1 for linked photos.
        mix: of the probability in the score.
        diversity: of the re-ranking; 0 for none.
    """

    words: Words
    planes: NDArray[np.float64]
    offsets: NDArray[np.float64]
    members: sparse.csr_array
    links: sparse.csr_array
    mix: float
    diversity: float
    local: bool = True

    def scores(self, photos: Photos, queries: Sequence[Features]) -> NDArray[np.float64]:
        """Return the scores, 0 to 1, (queries, gallery)."""
        bags = self.words.bags(queries, photos.store.track)
        cosines = np.clip(np.asarray((bags @ self.words.gallery.T).toarray()), 0, 1)
        chances = expit(np.round(np.asarray(bags @ self.planes.T) + self.offsets, 9))
        best = np.zeros(cosines.shape)
        for number in range(len(self.planes)):
            mine = self.members.indices[self.members.indptr[number] : self.members.indptr[number + 1]]
            best[:, mine] = np.maximum(best[:, mine], chances[:, [number]])
        scores = self.mix * best + (1 - self.mix) * cosines
        return np.stack([diversified(of, self.links, self.diversity) for of in scores]) if len(scores) else scores


def diversified(scores: NDArray[np.float64], links: sparse.csr_array, diversity: float) -> NDArray[np.float64]:
    """Return the scores (G,), 0 to 1, of the first photos dealt out in the order of the re-ranking: a permutation of them."""
    order = np.argsort(-scores, kind="stable")[:_RERANKED]
    if diversity <= 0 or len(order) < 2:
        return scores
    chance = np.clip(scores[order], 0, 0.999)
    linked = np.asarray(links[order][:, order].toarray()) > 0
    left, shown = list(range(len(order))), []
    while left:
        first = max(left, key=lambda row: (chance[row], -row))
        left.remove(first)
        shown.append(first)
        for row in left:
            if linked[first, row]:
                apart, together = chance[first] * chance[row], min(chance[first], chance[row])
                both = apart + diversity * (together - apart)
                chance[row] = max(0.0, (chance[row] - both) / (1 - chance[first]))
    dealt = scores.copy()
    dealt[order[shown]] = np.sort(scores[order])[::-1]
    return dealt


def learnt_plane(
    bags: sparse.csr_array, inside: NDArray[np.int64], outside: NDArray[np.int64], strength: float, seed: int
) -> tuple[NDArray[np.float64], float]:
    """Return the SVM that tells photos inside from those outside, as a plane and an offset in the logistic function.

    The logistic function is Platt's, of distances of photos that the SVM had not seen where there are two or more inside.
    """
    rows = np.concatenate([inside, outside])
    truth = np.repeat([1, -1], [len(inside), len(outside)])
    plane, offset = _svm(bags[rows], truth, strength, seed)
    distances = np.asarray(bags[rows] @ plane).ravel() + offset
    folds = np.concatenate([np.arange(len(inside)), np.arange(len(outside))]) % min(_FOLDS, len(inside))
    if folds.max() > 0:
        for fold in range(int(folds.max()) + 1):
            held, kept = folds == fold, folds != fold
            other, constant = _svm(bags[rows[kept]], truth[kept], strength, seed)
            distances[held] = np.asarray(bags[rows[held]] @ other).ravel() + constant
    slope, constant = platt(distances, truth > 0)
    return slope * plane, slope * offset + constant


def _svm(
    bags: sparse.csr_array, truth: NDArray[np.int64], strength: float, seed: int
) -> tuple[NDArray[np.float64], float]:
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=strength, class_weight="balanced", random_state=seed, max_iter=10_000)
    narrow = (bags.data, bags.indices.astype(np.int32), bags.indptr.astype(np.int32))  # as scikit-learn wants them
    machine.fit(sparse.csr_matrix(narrow, shape=bags.shape), truth)
    return machine.coef_[0].astype(np.float64), float(machine.intercept_[0])


def platt(distances: NDArray[np.float64], inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and constant of the logistic function of distances (n,) that makes it likeliest who is inside.

    Targets as J. Platt has them, "Probabilistic outputs for support vector machines" (1999): (N+ + 1) / (N+ + 2) and
    1 / (N- + 2). Newton's steps; a slope below 0 becomes 0: no distance then says anything.
    """
    wanted = np.where(inside, (inside.sum() + 1) / (inside.sum() + 2), 1 / ((~inside).sum() + 2))
    design = np.stack([distances, np.ones(len(distances))], axis=1)
    values = np.array([1.0, 0.0])
    for _ in range(100):
        chance = expit(design @ values)
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (chance - wanted) + 1e-6 * values)
        values = values - np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-9:
            break
    return max(0.0, float(values[0])), float(values[1])


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    neighbours: int,
    reach_m: float,
    jaccard: float,
    most: int,
    negatives: int,
    hardest: int,
    strength: float,
    mix: float,
    diversity: float,
    **local: Any,
) -> GalleryPredictor:
    """Verify pairs of the gallery and learn its neighbourhoods.

    Raises:
        UsageError: a parameter makes no sense.
    """
    if min(neighbours, negatives, most) < 1 or hardest < 0 or strength <= 0 or reach_m <= 0:
        raise UsageError(
            f"neighbours={neighbours}, negatives={negatives}, most={most}, hardest={hardest}, strength={strength}, "
            f"reach_m={reach_m}: 1 or more, and above 0"
        )
    if not 0 <= jaccard <= 1 or not 0 <= mix <= 1 or not 0 <= diversity <= 1:
        raise UsageError(f"jaccard={jaccard}, mix={mix}, diversity={diversity}: must be from 0 to 1")
    settings = LocalSettings.of(seed=context.seed, **local)
    gallery = Gallery.of(training, settings.front_end)
    words = words_of(gallery, 100, 2, 5, context)
    likeness = likeness_of(words)
    verifier = PairVerifier(settings.front_end, settings.rules, training.store.cache)
    pairs = candidate_pairs(likeness, training.places[gallery.rows], neighbours, reach_m)
    graph = verified_graph(gallery.features, pairs, verifier, context.progress)
    strong = np.flatnonzero(graph.jaccard() >= jaccard)
    links = PhotoGraph(graph.photos, graph.pairs[strong], [graph.inliers[row] for row in strong.tolist()]).neighbours()
    planes, offsets, members = [], [], []
    for around in dominating_set(links, most):
        outside = _strangers(around, links, likeness, negatives, hardest, context.rng)
        if len(around) > 1 and len(outside):  # a photo alone keeps its cosine
            plane, offset = learnt_plane(words.gallery, around, outside, strength, context.seed)
            planes.append(plane)
            offsets.append(offset)
            members.append(around)
    held = np.repeat(np.arange(len(members)), [len(of) for of in members])
    columns = np.concatenate([np.empty(0, np.int64), *members])
    scorer = Neighbourhoods(
        words=words,
        planes=np.array(planes).reshape(len(planes), words.tree.words),
        offsets=np.array(offsets),
        members=sparse.csr_array((np.ones(len(held)), (held, columns)), shape=(len(members), graph.photos)),
        links=links,
        mix=mix,
        diversity=diversity,
    )
    return predictor(scorer, gallery, training, validation, settings, "max")


def _strangers(
    around: NDArray[np.int64],
    links: sparse.csr_array,
    likeness: NDArray[np.float64],
    count: int,
    hardest: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return photos that none of a neighbourhood is linked to: the `hardest` by tf-idf, and `count` others at random."""
    known = np.zeros(links.shape[0], bool)
    known[around] = True
    known[links[around].indices] = True
    others = np.flatnonzero(~known)
    hard = others[np.argsort(-likeness[around][:, others].max(axis=0), kind="stable")[:hardest]]
    rest = np.setdiff1d(others, hard)
    drawn = rng.choice(rest, min(count, len(rest)), replace=False) if len(rest) else rest
    return np.sort(np.concatenate([hard, drawn]))


CAO2013 = Method(
    name="cao2013",
    title="Graph-based discriminative learning (Cao 2013)",
    fit=fit,
    parameters={
        **LOCAL,
        "neighbours": 10,
        "reach_m": 100.0,
        "jaccard": 0.01,
        "most": 100,
        "negatives": 200,
        "hardest": 50,
        "strength": 1.0,
        "mix": 0.5,
        "diversity": 0.5,
    },
    smoke=LOCAL_SMOKE,
    gives=frozenset({"labels", "places", "ranking"}),
    stochastic=True,
    estimate=local_seconds,
    unkept=UNKEPT,
)
