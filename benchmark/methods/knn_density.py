"""`knn-density:NET`: the training photos that look likest vote for places, and the votes' density decides.

N. Vo, N. Jacobs, J. Hays, "Revisiting IM2GPS in the deep learning era", ICCV 2017. Of the k nearest training photos each
votes with weight (distance of the vectors)^-p; the answer is where Σ w·exp(-d²/2σ²) is largest (`retrieval.density`): at
one of the neighbours (`snap=neighbour`), where climbing from there ends (`off`), or at the best-ranked neighbour within
`snap_km` of that (`ranked`). k, p and σ are chosen on the validation photos; neighbours by the author, or of the sequence,
of a validation photo do not vote for it. On the test side there are none: the split guarantees it.

`whiten` learns a PCA whitening to so many dimensions on the training photos' vectors, `csls` keeps hubs back with so many
neighbours (`retrieval.csls`); 0, the default, leaves vectors as they are.

`@released` holds the settings of the authors' released program as we know them: 100 neighbours, p = 20 (d^-10 of squared
distances), σ = 4° ≈ 444.8 km, `ranked` within 100 km. Its flat grid, whose kernel narrows towards the poles and ends at the
date line, is not repeated. These values are parameters of ours, not figures of the article.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.derivations import voted
from benchmark.methods.placing import PLACES_VERSION, RankedPlacing, best_of, best_spread, described
from benchmark.methods.settings import numbers
from benchmark.methods.types import Context, Method, Training
from benchmark.predictions import Places, Ranking
from benchmark.retrieval.csls import scaled_index, scaled_queries
from benchmark.retrieval.density import climbed, modes_at_places
from benchmark.retrieval.index import Index, Neighbours
from benchmark.retrieval.whitening import Whitening, fit_whitening
from collector.errors import UsageError
from collector.geo import distances_km

SNAPS = ("neighbour", "off", "ranked")


@dataclass(frozen=True)
class KnnDensity:
    """A fitted head.

    Attributes:
        index: of the G training photos whose place is known.
        gallery: (G, 2), their places.
        rows: (G,), their positions among all training photos.
        k: neighbours that vote.
        power: p.
        sigma_km: σ.
        snap: one of SNAPS.
        snap_km: of `ranked`.
        owners: authors and sequences of the photos that will be asked about, whose own neighbours do not vote; None: all do.
        whitening: learnt on the gallery's vectors; None without.
        csls: whether the index holds the values of `retrieval.csls`.
    """

    index: Index
    gallery: NDArray[np.float64]
    rows: NDArray[np.int64]
    k: int
    power: float
    sigma_km: float
    snap: str = "neighbour"
    snap_km: float = 100.0
    owners: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
    whitening: Whitening | None = None
    csls: bool = False

    def excluding(self, authors: NDArray[np.int64], sequences: NDArray[np.int64]) -> "KnnDensity":
        """Return the same for photos of these authors and sequences, whose own neighbours do not vote."""
        return replace(self, owners=(authors, sequences))

    def queries(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors of photos as the index's queries."""
        whitened = vectors if self.whitening is None else self.whitening.apply(vectors)
        return scaled_queries(whitened) if self.csls else whitened

    def places(self, vectors: NDArray[np.float32]) -> Places:
        """Return where the photos of these vectors were taken; the neighbours' places are the candidates."""
        return self.vote(self.index.search(self.queries(vectors), self.k, *(self.owners or ())))

    def rank(self, vectors: NDArray[np.float32], k: int) -> Ranking:
        """Return the k nearest training photos."""
        near = self.index.search(self.queries(vectors), min(k, len(self.gallery)), *(self.owners or ()))
        missing = near.rows < 0
        scores = np.where(missing, np.nan, -np.sqrt(near.squares)).astype(np.float32)
        return Ranking(np.where(missing, -1, self.rows[near.rows]), scores)

    def vote(self, near: Neighbours) -> Places:
        """Return the answers from neighbours, at least `k` of each photo; NaN where a photo has none."""
        rows, squares = near.rows[:, : self.k], near.squares[:, : self.k]
        missing: NDArray[np.bool_] = np.asarray(rows < 0, np.bool_)
        places = np.where(missing[..., None], np.nan, self.gallery[rows])
        weights = votes(squares, self.power)
        mode = modes_at_places(places, weights, self.sigma_km)[0]
        answers = places[np.arange(len(rows)), mode]
        if self.snap != "neighbour" and len(rows):
            answers = climbed(answers, places, weights, self.sigma_km)
        if self.snap == "ranked":
            km = distances_km(answers[:, :1], answers[:, 1:], places[..., 0], places[..., 1])
            within: NDArray[np.bool_] = np.asarray(km <= self.snap_km, np.bool_)
            first = places[np.arange(len(rows)), within.argmax(axis=1)]
            answers = np.where(within.any(axis=1, keepdims=True), first, answers)
        return voted(answers, places, weights)

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_head`)."""
        spec = {"k": self.k, "power": self.power, "sigma_km": self.sigma_km, "snap": self.snap, "snap_km": self.snap_km}
        whitening = {} if self.whitening is None else self.whitening.to_arrays()
        arrays = {**self.index.to_arrays(), **whitening, "places": self.gallery, "rows": self.rows}
        return "knn-density", {**spec, "csls": self.csls}, arrays


def load_head(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> KnnDensity:
    """Return the head that `KnnDensity.save` described; ValueError or KeyError where it is damaged."""
    index, places, rows = Index.of_arrays(arrays), arrays["places"], arrays["rows"].astype(np.int64)
    if places.shape != (len(index), 2) or rows.shape != (len(index),) or spec["snap"] not in SNAPS:
        raise ValueError(f"a gallery of {len(index)} vectors, {places.shape} places and {rows.shape} rows")
    whitening = Whitening.of_arrays(arrays) if "whitening-mean" in arrays else None
    return KnnDensity(index, places, rows, **spec, whitening=whitening)


def votes(squares: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Return the weight distance^-power of neighbours (N, K) with these squared distances, the nearest's being 1.

    Relative to the nearest, so that neither tiny nor huge distances lose their digits; where it is 0, only such ones vote.
    """
    if not squares.size:
        return np.zeros_like(squares)
    floor = np.maximum(squares[:, :1], 1e-12)
    weights = np.divide(floor, np.maximum(squares, floor), out=np.zeros_like(squares), where=np.isfinite(squares))
    return np.where(np.isfinite(squares), weights ** (power / 2), 0.0)


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    net: str,
    size: int,
    ks: str,
    powers: str,
    sigmas: str,
    snap: str,
    snap_km: float,
    exclude: bool,
    whiten: int = 0,
    csls: int = 0,
) -> RankedPlacing:
    """Keep the training photos; choose k, p and σ on the validation photos, each without neighbours of its own author."""
    if snap not in SNAPS:
        raise UsageError(f"snap {snap!r}: choose one of {', '.join(SNAPS)}")
    describing, sides = described(training, validation, context, net, size)
    gallery, judged = sides.training, sides.validation
    if min(whiten, csls) < 0:
        raise UsageError(f"whiten {whiten}, csls {csls}: whole numbers from 0 on; 0 is without")
    whitening = fit_whitening(gallery.vectors, whiten) if whiten else None
    vectors = whitening.apply(gallery.vectors) if whitening else gallery.vectors
    index = Index(vectors, gallery.authors, gallery.sequences)
    index = scaled_index(index, csls) if csls else index
    counts = sorted({min(int(k), len(gallery)) for k in numbers(ks)})
    head = KnnDensity(
        index, gallery.places, gallery.rows, max(counts), 0.0, 1.0, snap, snap_km, None, whitening, csls > 0
    )
    owners = (judged.authors, judged.sequences) if exclude else (None, None)
    near = index.search(head.queries(judged.vectors), head.k, *owners)
    answered = (near.rows >= 0).any(axis=1)
    near, truth = Neighbours(near.rows[answered], near.squares[answered]), judged.places[answered]

    def candidates() -> Iterator[tuple[KnnDensity, Places]]:
        for k, power, sigma in product(counts, numbers(powers), numbers(sigmas)):
            one = replace(head, k=k, power=power, sigma_km=sigma)
            yield one, one.vote(near)

    best = best_of(candidates(), truth)
    return RankedPlacing(describing, best, best_spread(best.vote(near), truth))


KNN_DENSITY = Method(
    name="knn-density:{net}",
    title="{net}, neighbours' density",
    fit=fit,
    parameters={
        "ks": "1,5,10,25,50,100",
        "powers": "0,2,8,20",
        "sigmas": "0.05,0.25,1,5,25,100,444",
        "snap": "neighbour",
        "snap_km": 100.0,
        "exclude": True,
        "whiten": 0,
        "csls": 0,
    },
    smoke={"ks": "1,10", "powers": "2", "sigmas": "1,25"},
    version=PLACES_VERSION,
    gives=frozenset({"places", "ranking"}),
    needs=frozenset({"places"}),
    selection="best-on-validation",
)

RELEASED = replace(
    KNN_DENSITY,
    name="knn-density:{net}@released",
    title="{net}, neighbours' density as released",
    parameters={
        **KNN_DENSITY.parameters,
        "ks": "100",
        "powers": "20",
        "sigmas": "444.78",
        "snap": "ranked",
    },
    smoke={},
    selection="none",
)

UNSNAPPED = replace(
    KNN_DENSITY,
    name="knn-density:{net}@no-snap",
    title="{net}, neighbours' density, its very mode",
    parameters={**KNN_DENSITY.parameters, "snap": "off"},
)
