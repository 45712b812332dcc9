"""`im2gps+1nn`, `+meanshift`, `+lazy-svm`, and `im2gps-FEATURE+1nn`: neighbours by hand-made features, as IM2GPS found them.

J. Hays, A. A. Efros, CVPR 2008. Every feature has its distance: L2 of the tiny picture, of the gist and of the layout, χ²
of histograms of colours and textons, L1 of lines. Each feature's distances are divided by their standard deviation over the
training photos, so that all weigh the same, and added. `1nn` answers with the place of the nearest training photo.
`meanshift` moves the places of the k nearest to their modes (`retrieval.meanshift`), keeps clusters of at least `least` of
them and answers with the mode of the largest; without such a cluster, with the nearest photo's place. `lazy-svm` takes
those clusters as classes and learns for each query, from its neighbours alone, a support vector machine for each class
against the others; the surest answers with its mode, and all are candidates by the softmax of how sure they are ("lazy
learning": J. Hays, A. A. Efros, "Large-scale image geolocalization", in: Multimodal Location Estimation of Videos and Images,
Springer 2015). Its kernel is exp(-D/s), D the
added distances and s their mean among the neighbours, classes weigh the same; kernel, weights and `svm_c` are ours, and so
are the features, which are those of 2008: the chapter has more of them.

Of the article are the kinds of features, 1-NN, k = 120 and mean shift; the bandwidth of 200 km, the least of 4 members, the
distances and the scaling are parameters of ours. On a manifest of one city 200 km join everything: there the bandwidth
is chosen on the validation photos (`bandwidths`), each without neighbours of its own author or sequence.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.derivations import voted
from benchmark.methods.features import feature
from benchmark.methods.placing import PLACES_VERSION, best_of, best_spread, require_places, spread
from benchmark.methods.settings import numbers
from benchmark.methods.types import Context, Method, Training
from benchmark.photos import Photos
from benchmark.predictions import Places, Ranking
from benchmark.retrieval.meanshift import clusters
from collector.errors import DataError, UsageError

if TYPE_CHECKING:
    from benchmark.features.extract import Feature

Distances = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float64]]

_BLOCK = 1 << 22  # values in memory
_FEATURES_VERSION = "1"  # of the vectors that a model keeps
_SAMPLED = 500  # training photos whose distances tell the deviation


def l2(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Euclidean distances between vectors (M, D) and (N, D), (M, N)."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1) - 2 * x @ y.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), np.float64)


def l1(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return sums of absolute differences between vectors (M, D) and (N, D), (M, N)."""
    return _by_rows(a, b, lambda x, y: np.abs(x - y).sum(axis=2))


def chi2(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return ½ Σ (x - y)² / (x + y) between histograms (M, D) and (N, D), (M, N); a bin that both lack counts nothing."""
    return _by_rows(a, b, lambda x, y: 0.5 * (np.square(x - y) / np.maximum(x + y, np.float32(1e-12))).sum(axis=2))


def _by_rows(a: NDArray[np.float32], b: NDArray[np.float32], of: Callable[..., NDArray[Any]]) -> NDArray[np.float64]:
    step = max(1, _BLOCK // max(1, b.size))
    rows = [of(a[at : at + step, None], b[None]).astype(np.float64) for at in range(0, len(a), step)]
    return np.concatenate([np.empty((0, len(b))), *rows])


@dataclass(frozen=True, slots=True)
class Kind:
    """A feature of IM2GPS: its name in FEATURES of `methods.features`, the pixels of a side, its distance and its title."""

    feature: str
    size: int
    distance: Distances
    title: str


KINDS: Mapping[str, Kind] = {
    "tiny": Kind("im2gps-tiny", 16, l2, "tiny Lab picture"),
    "colour": Kind("im2gps-colour", 128, chi2, "Lab histogram"),
    "textons": Kind("", 128, chi2, "textons"),
    "lines": Kind("im2gps-lines", 256, l1, "straight lines"),
    "gist": Kind("im2gps-gist", 128, l2, "gist and colour"),
    "layout": Kind("im2gps-layout", 128, l2, "layout (stand-in for geometric context)"),
}
"""The features by the name in a method's; textons need a dictionary, learnt on the training photos."""


@dataclass(frozen=True)
class Im2gps:
    """A fitted method.

    Attributes:
        kinds: names in KINDS.
        vectors: of the G training photos with a place, by kind.
        deviations: of the distances of each kind.
        words: the dictionary of textons, (W, 32); without rows where they are not asked for.
        gallery: (G, 2), their places.
        rows: (G,), their positions among all training photos.
        k, bandwidth_km, least: neighbours, and of mean shift its bandwidth and the members of a cluster that counts.
        device: `cpu` or `cuda`.
        spread_km: around each neighbour's place; 0 where there is none to state.
        authors, sequences: (G,) of the training photos; empty in a model that was read from a file.
        owners: those of the photos that will be asked about, whose own photos do not count; None: all do.
        svm_c: C of the support vector machines that choose among clusters; 0 takes the largest cluster.
    """

    kinds: tuple[str, ...]
    vectors: Mapping[str, NDArray[np.float32]]
    deviations: Mapping[str, float]
    words: NDArray[np.float32]
    gallery: NDArray[np.float64]
    rows: NDArray[np.int64]
    k: int
    bandwidth_km: float
    least: int
    device: str
    spread_km: float = 0.0
    authors: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    sequences: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    owners: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    svm_c: float = 0.0

    def excluding(self, authors: NDArray[np.int64], sequences: NDArray[np.int64]) -> "Im2gps":
        """Return the same for photos of these authors and sequences, whose own training photos do not count."""
        return replace(self, owners=(authors, sequences))

    def distances(self, photos: Photos) -> NDArray[np.float64]:
        """Return the added distances of photos to the gallery, (N, G)."""
        vectors = {kind: embedded(kind, photos, self.words, self.device) for kind in self.kinds}
        total = self._added(vectors, slice(None))
        if self.owners is not None and len(self.authors):
            total[_same_owner(self.owners[0], self.authors) | _same_owner(self.owners[1], self.sequences)] = np.inf
        return total

    def _added(self, vectors: Mapping[str, NDArray[np.float32]], of: Any) -> NDArray[np.float64]:
        """Return the added distances of vectors to these rows of the gallery."""
        parts = (
            KINDS[kind].distance(vectors[kind], self.vectors[kind][of]) / self.deviations[kind] for kind in self.kinds
        )
        return np.asarray(sum(parts), np.float64)

    def predict_places(self, photos: Photos) -> Places:
        """Return where each photo was taken; the neighbours' places, or the clusters' modes, are the candidates."""
        distances = self.distances(photos)
        return spread(self.vote(nearest(distances, self.k), distances), self.spread_km)

    def rank(self, photos: Photos, k: int) -> Ranking:
        """Return the k training photos that are likest to each photo."""
        distances = self.distances(photos)
        near = nearest(distances, k)
        scores = np.where(near < 0, np.nan, -np.take_along_axis(distances, near, axis=1))
        return Ranking(np.where(near < 0, -1, self.rows[near]), scores.astype(np.float32))

    def vote(self, near: NDArray[np.int64], distances: NDArray[np.float64] | None = None) -> Places:
        """Return the answers from neighbours (N, K), nearest first; -1 where there are fewer, NaN where there is none.

        `distances` (N, G) are wanted where support vector machines choose.
        """
        near = near[:, : self.k]
        places = np.where(np.expand_dims(near < 0, 2), np.nan, self.gallery[near])
        answers, candidates = places[:, 0].copy(), places.copy()
        weights = np.asarray(near >= 0, np.float64)
        if self.k == 1:
            return voted(answers, candidates, weights)
        for row, cluster in enumerate(clusters(places, self.bandwidth_km)):
            counted = int((cluster.sizes >= self.least).sum())
            if counted > 1 and self.svm_c and distances is not None:
                sure = self._sureness(near[row], distances[row], cluster.members, counted)
                answers[row] = cluster.modes[sure.argmax()]
                candidates[row, :counted], weights[row] = cluster.modes[:counted], 0.0
                weights[row, :counted] = np.exp(sure - np.logaddexp.reduce(sure))
            elif counted:
                answers[row] = cluster.modes[0]
        return voted(answers, candidates, weights)

    def _sureness(
        self, near: NDArray[np.int64], distances: NDArray[np.float64], members: NDArray[np.int64], counted: int
    ) -> NDArray[np.float64]:
        """Return how sure each of the first `counted` clusters' machine, against the others, is of a query, (counted,).

        `members` are the clusters of its neighbours `near` (K,), -1 of such as are none; `distances` (G,) are the query's.
        """
        from sklearn.svm import SVC

        learnt = (members >= 0) & (members < counted)
        rows, labels = near[learnt], members[learnt]
        among = self._added({kind: self.vectors[kind][rows] for kind in self.kinds}, rows)
        scale = float(among.mean()) or 1.0
        kernel, query = np.exp(-among / scale), np.exp(-distances[rows] / scale)
        machine = SVC(C=self.svm_c, kernel="precomputed", class_weight="balanced")
        sure = [machine.fit(kernel, labels == one).decision_function(query[None])[0] for one in range(counted)]
        return np.array(sure, np.float64)

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_im2gps`)."""
        of = {"k": self.k, "bandwidth_km": self.bandwidth_km, "least": self.least, "version": _FEATURES_VERSION}
        of |= {"spread_km": self.spread_km}
        arrays = {f"vectors-{kind}": vectors for kind, vectors in self.vectors.items()}
        spec = {**of, "kinds": list(self.kinds), "deviations": dict(self.deviations), "svm_c": self.svm_c}
        return "im2gps", spec, {**arrays, "words": self.words, "places": self.gallery, "rows": self.rows}


def load_im2gps(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Im2gps:
    """Return the predictor that `Im2gps.save` described.

    Raises:
        DataError: it was made with other code of these features.
        ValueError, KeyError, TypeError: the description is none, or does not fit the arrays.
    """
    if spec["version"] != _FEATURES_VERSION:
        raise DataError("it was made with another version of the IM2GPS features; train and export it again")
    kinds, places, rows = tuple(spec["kinds"]), arrays["places"], arrays["rows"].astype(np.int64)
    vectors = {kind: arrays[f"vectors-{kind}"] for kind in kinds}
    if (
        not set(kinds) <= set(KINDS)
        or any(len(of) != len(places) for of in vectors.values())
        or len(rows) != len(places)
    ):
        raise ValueError(f"features {kinds} of {len(places)} places")
    deviations = {kind: float(spec["deviations"][kind]) for kind in kinds}
    of = (int(spec["k"]), float(spec["bandwidth_km"]), int(spec["least"]))
    head = Im2gps(kinds, vectors, deviations, arrays["words"], places, rows, *of, device)
    return replace(head, spread_km=float(spec.get("spread_km", 0.0)), svm_c=float(spec.get("svm_c", 0.0)))


def nearest(distances: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Return the columns of the k least distances of each row, (N, min(k, G)), of equal ones the earlier; -1 for infinite."""
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.where(np.isinf(np.take_along_axis(distances, order, axis=1)), -1, order)


def embedded(kind: str, photos: Photos, words: NDArray[np.float32], device: str) -> NDArray[np.float32]:
    """Return the vector of each photo, (N, D), of a kind in KINDS."""
    from benchmark.features.extract import extract

    return extract(_feature(kind, words), photos, device)


def _feature(kind: str, words: NDArray[np.float32]) -> "Feature":
    of = KINDS[kind]
    if kind != "textons":
        return feature(of.feature, of.size)
    import torch

    from benchmark.features.extract import Feature
    from benchmark.features.im2gps import textons

    compute = partial(textons, words=torch.from_numpy(np.array(words)))
    return Feature(
        "im2gps-textons", compute, of.size, 1, parameters={"words": hashlib.sha256(words.tobytes()).hexdigest()}
    )


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    kinds: str,
    k: int,
    bandwidths: str,
    least: int,
    words: int,
    learnt_on: int,
    svm_c: float = 0.0,
) -> Im2gps:
    """Keep the training photos; the bandwidth is chosen on the validation photos, each without neighbours of its author."""
    chosen = tuple(kinds.split(","))
    if not set(chosen) <= set(KINDS) or k < 1 or not svm_c >= 0:
        raise UsageError(
            f"kinds {kinds!r}, k = {k}, svm_c = {svm_c}: kinds are {', '.join(KINDS)}; k is at least 1, svm_c at least 0"
        )
    require_places(training)
    rows = np.flatnonzero(~np.isnan(training.places).any(axis=1))
    learnt = _words(training, context, words, learnt_on) if "textons" in chosen else np.empty((0, 32), np.float32)
    vectors = {kind: embedded(kind, training, learnt, context.device)[rows] for kind in chosen}
    sample = context.rng.permutation(len(rows))[:_SAMPLED]
    deviations = {kind: _deviation(KINDS[kind].distance(of[sample], of[sample])) for kind, of in vectors.items()}
    places = training.places[rows]
    head = Im2gps(
        chosen,
        vectors,
        deviations,
        learnt,
        places,
        rows,
        min(k, len(rows)),
        numbers(bandwidths)[0],
        least,
        context.device,
        authors=training.authors[rows],
        sequences=training.sequences[rows],
        svm_c=svm_c,
    )
    distances = head.excluding(validation.authors, validation.sequences).distances(validation)
    near = nearest(distances, head.k)
    answered = (near >= 0).any(axis=1) & ~np.isnan(validation.places).any(axis=1)
    near, distances, truth = near[answered], distances[answered], validation.places[answered]

    def candidates() -> Iterator[tuple[Im2gps, Places]]:
        for bandwidth in numbers(bandwidths):
            one = replace(head, bandwidth_km=bandwidth)
            yield one, one.vote(near, distances)

    best = head if head.k == 1 or len(numbers(bandwidths)) == 1 else best_of(candidates(), truth)
    return replace(best, spread_km=best_spread(best.vote(near, distances), truth))


def _words(training: Training, context: Context, words: int, learnt_on: int) -> NDArray[np.float32]:
    import torch

    from benchmark.features.im2gps import dictionary

    rows = np.sort(context.rng.permutation(len(training))[:learnt_on])
    pixels = training.pixels(KINDS["textons"].size, "squash", rows.tolist())
    return dictionary(torch.from_numpy(np.array(pixels)), words, context.seed)


def _deviation(distances: NDArray[np.float64]) -> float:
    apart = distances[~np.eye(len(distances), dtype=bool)]
    return float(apart.std()) if apart.size and apart.std() > 0 else 1.0


def _same_owner(queries: NDArray[np.int64], gallery: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray((queries[:, None] >= 0) & (queries[:, None] == gallery), np.bool_)


_ALL = ",".join(KINDS)

MEANSHIFT = Method(
    name="im2gps+meanshift",
    title="IM2GPS features, mean shift of {k} neighbours",
    fit=fit,
    parameters={
        "kinds": _ALL,
        "k": 120,
        "bandwidths": "0.25,1,5,25,200",
        "least": 4,
        "words": 512,
        "learnt_on": 300,
    },
    smoke={"words": 32, "learnt_on": 20, "k": 20},
    version=PLACES_VERSION,
    gives=frozenset({"places", "ranking"}),
    needs=frozenset({"places"}),
    stochastic=True,
    selection="best-on-validation",
)

LAZY = replace(
    MEANSHIFT,
    name="im2gps+lazy-svm",
    title="IM2GPS features, lazy SVM of {k} neighbours",
    parameters={**MEANSHIFT.parameters, "k": 200, "svm_c": 1.0},
)

FIRST = replace(
    MEANSHIFT,
    name="im2gps+1nn",
    title="IM2GPS features, the nearest photo",
    parameters={**MEANSHIFT.parameters, "k": 1, "bandwidths": "200"},
    smoke={"words": 32, "learnt_on": 20},
    selection="none",
)

ALONE = tuple(
    replace(
        FIRST,
        name=f"im2gps-{kind}+1nn",
        title=f"IM2GPS, {of.title} alone, the nearest photo",
        parameters={**FIRST.parameters, "kinds": kind},
        stochastic=kind == "textons",
        smoke={"words": 32, "learnt_on": 20},
    )
    for kind, of in KINDS.items()
)

IM2GPS = (FIRST, MEANSHIFT, LAZY, *ALONE)
"""With all features, and with each alone."""
