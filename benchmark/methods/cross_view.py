"""Cross-view: a photo is held against pictures from above, of places where nobody may ever have taken a photo.

All on frozen vectors of NET, of photos and of the map's pictures (`t15 aerial add`): each value v becomes sign(v)·√|v| (F.
Perronnin, J. Sánchez, T. Mensink, ECCV 2010: few large values do not drown the others), and each side is centred by the mean
of its own training photos or map. With x a photo's vector and c a cell's, the score of a cell is the cosine of f(x) and g(c):

- `lin2013:NET` (T.-Y. Lin, S. Belongie, J. Hays, "Cross-view image geolocalization", CVPR 2013): f is the mean of the vectors
  c of those cells where the k likest training photos were taken, g(c) = c;
- `workman2015:NET` (S. Workman, R. Souvenir, N. Jacobs, "Wide-area image geolocalization with aerial reference imagery", ICCV
  2015): g is a regression of the photos' vectors on the cells', at three scales: the cell alone, the mean of the cells
  around it and of those around these; f(x) = x. Theirs is a network, this is ridge regression;
- `where-cnn2015:NET` (T.-Y. Lin, Y. Cui, S. Belongie, J. Hays, "Learning deep representations for ground-to-aerial
  geolocalization", CVPR 2015): two towers and the contrastive loss;
- `cross-view:NET`: today's kin: the same towers by symmetric InfoNCE, with neighbours on the ground as hard negatives.

What is chosen (k, λ, the epoch) is chosen on the validation photos, by the mean logarithm of the true cell's rank. The
answer is the likeliest cell; softmax(scores / T) over the cells is the density, T chosen there too. Dimensions, margins and
rates are ours.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmark.cross_view import MapAnswers, own_cells, reach_km
from benchmark.methods.placing import likeliest
from benchmark.methods.settings import numbers
from benchmark.methods.types import Context, Method, Training
from benchmark.methods.vectors import Describer, describer, load_describer
from benchmark.photos import Photos
from benchmark.predictions import Places
from benchmark.retrieval.index import Index, new_index
from collector.errors import DataError
from collector.geo import unit_vectors

Vectors = NDArray[np.float32]
Found = TypeVar("Found", bound="CrossView")

_TEMPERATURES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_AROUND = 8  # cells around a cell


@dataclass(frozen=True)
class CrossView:
    """A fitted method.

    Attributes:
        describing: makes vectors of photos.
        mean: (D,) of the training photos' vectors.
        codes: (M, d) unit vectors g(c) of the map's cells.
        places: (M, 2) of these.
        spread_km: around each.
        temperature: T.
        axes: (D, P) directions that the tower sees, scaled; None without.
        layers: of the photos' tower; empty without.
    """

    describing: Describer
    mean: Vectors
    codes: Vectors
    places: NDArray[np.float64]
    spread_km: float
    temperature: float = 1.0
    axes: Vectors | None = None
    layers: tuple[Vectors, ...] = ()

    def coded(self, raw: Vectors) -> Vectors:
        """Return f(x) of photos' vectors (N, D), as `evened` gives them: unit vectors (N, d)."""
        centred = (raw - self.mean).astype(np.float32)
        if self.layers and self.axes is not None:
            from benchmark.networks.two_towers import coded

            return coded(self.layers, centred @ self.axes)
        return _unit(centred)

    def scores(self, raw: Vectors) -> Vectors:
        """Return the cosine of each photo's vector, as `evened` gives it, with each cell, (N, M)."""
        found: Vectors = (self.coded(raw) @ self.codes.T).astype(np.float32)
        return found

    def predict_places(self, photos: Photos) -> Places:
        """Return the likeliest cell of each photo, with the others as candidates."""
        scores = self.scores(evened(self.describing.embed(photos)))
        return likeliest(
            _softmax(scores / self.temperature),
            self.places,
            scores.argmax(axis=1),
            np.full(len(self.places), self.spread_km),
        )

    def predict_map(self, photos: Photos) -> MapAnswers:
        """Return the scores of the whole map."""
        return MapAnswers(photos.ids, self.places, self.scores(evened(self.describing.embed(photos))))

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_cross_view`)."""
        net, arrays = self.describing.save()
        named = {name: getattr(self, name) for name in ("mean", "codes", "places", "axes")}
        arrays = {**arrays, **{name: of for name, of in named.items() if of is not None}}
        arrays |= {f"layer-{number}": of for number, of in enumerate(self.layers)}
        spec = {"net": net, "spread_km": self.spread_km, "temperature": self.temperature}
        return "cross-view", {**spec, "layers": len(self.layers)}, arrays


@dataclass(frozen=True)
class ByNeighbours(CrossView):
    """`lin2013`, fitted.

    Attributes:
        index: unit vectors of G training photos.
        seen: (G, d) codes of their cells.
        k: neighbours.
        owners: authors and sequences of the photos that will be asked about, whose own neighbours do not count; None: all do.
    """

    index: Index = field(kw_only=True)
    seen: Vectors = field(kw_only=True)
    k: int = field(kw_only=True)
    owners: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def excluding(self, authors: NDArray[np.int64], sequences: NDArray[np.int64]) -> "ByNeighbours":
        """Return the same for photos of these authors and sequences, whose own neighbours do not count."""
        return replace(self, owners=(authors, sequences))

    def coded(self, raw: Vectors) -> Vectors:
        """Return the mean of the cells of each photo's neighbours, as unit vectors (N, d); zeros where it has none."""
        rows = self.index.search(super().coded(raw), self.k, *(self.owners or ())).rows
        return _unit(np.where(rows[..., None] < 0, 0, self.seen[rows]).mean(axis=1))

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return what `CrossView.save` does, with the gallery."""
        kind, spec, arrays = super().save()
        return kind, {**spec, "k": self.k}, {**arrays, **self.index.to_arrays(), "seen": self.seen}


def load_cross_view(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> CrossView:
    """Return the predictor that `CrossView.save` described.

    Raises:
        DataError, UsageError, ValueError, KeyError, TypeError, RuntimeError: the description is none, or does not fit.
    """
    describing = load_describer(spec["net"], arrays, device)
    layers = tuple(arrays[f"layer-{number}"] for number in range(int(spec["layers"])))
    codes, places = arrays["codes"], arrays["places"]
    if (
        codes.ndim != 2
        or places.shape != (len(codes), 2)
        or len(layers) not in (0, 4)
        or (layers and "axes" not in arrays)
        or not spec["temperature"] > 0
    ):
        raise ValueError(f"a map of {codes.shape} codes and {places.shape} places, with {len(layers)} layers")
    common = (describing, arrays["mean"], codes, places, float(spec["spread_km"]), float(spec["temperature"]))
    if "seen" in arrays:
        index, seen, k = Index.of_arrays(arrays), arrays["seen"], int(spec["k"])
        if seen.shape != (len(index), codes.shape[1]) or k < 1:
            raise ValueError(f"a gallery of {len(index)} photos with {seen.shape} codes, k {k}")
        return ByNeighbours(*common, index=index, seen=seen, k=k)
    return CrossView(*common, arrays.get("axes"), layers)


@dataclass(frozen=True)
class Pairs:
    """Both sides of what is learnt from.

    Attributes:
        describing: makes vectors.
        photos: (N, D) of the training photos on the map.
        on, judged_on: which of the training and the validation photos these are.
        own: (N,) their cells.
        where: (N, 2) their places.
        judged, judged_own: the same of the validation photos.
        cells: (M, D) of the map, centred.
        places: (M, 2).
        mean: (D,) of the training photos.
        spread_km: of a cell.
    """

    describing: Describer
    photos: Vectors
    on: NDArray[np.bool_]
    judged_on: NDArray[np.bool_]
    own: NDArray[np.int64]
    where: NDArray[np.float64]
    judged: Vectors
    judged_own: NDArray[np.int64]
    cells: Vectors
    places: NDArray[np.float64]
    mean: Vectors
    spread_km: float

    def method(self, codes: Vectors, **parts: Any) -> CrossView:
        """Return a method with these codes of the cells."""
        return CrossView(self.describing, self.mean, codes, self.places, self.spread_km, **parts)


def pairs_of(training: Training, validation: Training, context: Context, net: str, size: int) -> Pairs:
    """Return both sides, described.

    Raises:
        DataError: there is no map, or fewer than two training photos were taken on it.
    """
    if training.overhead is None:
        raise DataError("no pictures from above lie beside the manifest; `t15 aerial add` names them")
    places = training.overhead.places
    reach = reach_km(places)
    own, judged_own = (own_cells(side.places, places, reach) for side in (training, validation))
    if len(set(own[own >= 0].tolist())) < 2:
        raise DataError(f"fewer than two of the {len(places)} cells of the map have a training photo")
    describing = describer(net, size, context)
    photos, judged, cells = (
        evened(describing.embed(side)) for side in (training, validation, training.overhead.photos)
    )
    mean = photos[own >= 0].mean(axis=0)
    return Pairs(
        describing,
        photos[own >= 0],
        own >= 0,
        judged_own >= 0,
        own[own >= 0],
        training.places[own >= 0],
        judged[judged_own >= 0],
        judged_own[judged_own >= 0],
        (cells - cells.mean(axis=0)).astype(np.float32),
        places,
        mean.astype(np.float32),
        max(0.01, reach / 2),
    )


def evened(vectors: Vectors) -> Vectors:
    """Return the square root of each value's size, with its sign."""
    found: Vectors = (np.sign(vectors) * np.sqrt(np.abs(vectors))).astype(np.float32)
    return found


def _best_candidate(pairs: Pairs, candidates: Iterable[Found]) -> Found:
    """Return the candidate whose true cells rank best on validation photos, with its temperature; the first without such."""
    best: tuple[float, Found] | None = None
    for one in candidates:
        loss = 0.0
        if len(pairs.judged_own):
            ids = ("",) * len(pairs.judged_own)
            ranks = MapAnswers(ids, pairs.places, one.scores(pairs.judged)).ranks(pairs.judged_own)
            loss = float(np.log(ranks).mean())
        if best is None or loss < best[0]:
            best = loss, one
    if best is None:
        raise ValueError("there is nothing to choose from")
    chosen = best[1]
    if not len(pairs.judged_own):
        return replace(chosen, temperature=0.1)
    scores, rows = chosen.scores(pairs.judged), np.arange(len(pairs.judged_own))

    def likelihood(temperature: float) -> float:
        shares = _softmax(scores / temperature)[rows, pairs.judged_own]
        return float(np.log(np.maximum(shares, 1e-12)).mean())

    return replace(chosen, temperature=max(_TEMPERATURES, key=likelihood))


def fit_lin2013(
    training: Training, validation: Training, context: Context, *, net: str, size: int, ks: str
) -> CrossView:
    """Keep the training photos and the vectors of their cells; choose k."""
    pairs = pairs_of(training, validation, context, net, size)
    codes, gallery = _unit(pairs.cells), _unit(pairs.photos - pairs.mean)
    index = new_index(gallery.shape[1]).add(gallery, training.authors[pairs.on], training.sequences[pairs.on])
    owners = validation.authors[pairs.judged_on], validation.sequences[pairs.judged_on]

    def candidates() -> Iterator[ByNeighbours]:
        for k in sorted({max(1, min(int(k), len(index))) for k in numbers(ks)}):
            of = (pairs.describing, pairs.mean, codes, pairs.places, pairs.spread_km)
            yield ByNeighbours(*of, index=index, seen=codes[pairs.own], k=k, owners=owners)

    return replace(_best_candidate(pairs, candidates()), owners=None)


def fit_workman2015(
    training: Training, validation: Training, context: Context, *, net: str, size: int, lambdas: str, scales: int
) -> CrossView:
    """Regress the photos' vectors on the cells'; choose λ."""
    pairs = pairs_of(training, validation, context, net, size)
    wide = _scaled(pairs.cells, pairs.places, scales)
    known, targets = wide[pairs.own], _unit(pairs.photos - pairs.mean)

    def candidates() -> Iterator[CrossView]:
        # In the space of the photos, of which there are mostly fewer than values: W = Kᵀ(KKᵀ + λI)⁻¹ Y.
        product = known.astype(np.float64) @ known.T
        for strength in numbers(lambdas):
            damped = product + strength * np.trace(product) / len(product) * np.eye(len(product))
            weights = known.T @ np.linalg.solve(damped, targets)
            yield pairs.method(_unit((wide @ weights).astype(np.float32)))

    return _best_candidate(pairs, candidates())


def _towers(loss: str) -> Callable[..., CrossView]:
    def fit(
        training: Training,
        validation: Training,
        context: Context,
        *,
        net: str,
        size: int,
        dimensions: int,
        hidden: int,
        epochs: int,
        batch: int,
        rate: float,
        margin: float,
    ) -> CrossView:
        """Train both towers; choose the epoch."""
        from benchmark.networks.two_towers import coded, towers

        pairs = pairs_of(training, validation, context, net, size)
        axes = _axes(pairs.photos - pairs.mean, dimensions)
        photos = ((pairs.photos - pairs.mean) @ axes).astype(np.float32)
        cells = (pairs.cells @ _axes(pairs.cells, dimensions)).astype(np.float32)
        learning = towers(
            photos, cells, pairs.own, _neighbours(pairs), loss=loss, hidden=hidden, dimensions=dimensions, epochs=epochs,
            batch=batch, rate=rate, margin=margin, seed=context.seed, device=context.device,
        )  # fmt: skip
        steps = context.progress(learning, "towers", epochs)
        return _best_candidate(
            pairs, (pairs.method(coded(above, cells), axes=axes, layers=ground) for ground, above in steps)
        )

    return fit


def _axes(centred: Vectors, most: int) -> Vectors:
    """Return the directions along which vectors differ most, (D, at most `most`), scaled so that they differ alike."""
    _, singular, axes = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    kept = max(1, min(most, int((singular > singular[0] * 1e-4).sum())))
    found: Vectors = (axes[:kept].T / (singular[:kept] / np.sqrt(len(centred)))).astype(np.float32)
    return found


def _neighbours(pairs: Pairs) -> NDArray[np.int64]:
    """Return the photos nearest to each on the ground that lie in other cells, (N, 8); -1 where there are fewer."""
    count = min(len(pairs.own), 4 * _AROUND)
    near = cKDTree(unit_vectors(*pairs.where.T)).query(unit_vectors(*pairs.where.T), k=count)[1].reshape(-1, count)
    found = np.full((len(near), _AROUND), -1, np.int64)
    for row, others in enumerate(near):
        kept = others[pairs.own[others] != pairs.own[row]][:_AROUND]
        found[row, : len(kept)] = kept
    return found


def _scaled(cells: Vectors, places: NDArray[np.float64], scales: int) -> Vectors:
    """Return each cell's vector, the mean of the cells around it, that of those around these, …: (M, scales · D)."""
    vectors = unit_vectors(*places.T)
    near = cKDTree(vectors).query(vectors, k=min(_AROUND + 1, len(places)))[1].reshape(len(places), -1)
    found = [cells]
    for _ in range(scales - 1):
        found.append(found[-1][near].mean(axis=1))
    return np.concatenate(found, axis=1)


def _unit(vectors: NDArray[Any]) -> Vectors:
    from benchmark.retrieval.whitening import normalised

    return normalised(np.asarray(vectors, np.float32))


def _softmax(scores: NDArray[Any]) -> NDArray[np.float64]:
    powers = np.exp(np.asarray(scores, np.float64) - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


LIN2013 = Method(
    name="lin2013:{net}",
    title="{net}, neighbours' view from above",
    fit=fit_lin2013,
    parameters={"ks": "1,3,10,30,50"},
    smoke={"ks": "1,10"},
    version="2",
    gives=frozenset({"places"}),
    needs=frozenset({"places", "overhead"}),
    selection="best-on-validation",
)

WORKMAN2015 = replace(
    LIN2013,
    name="workman2015:{net}",
    title="{net}, regressed from above",
    fit=fit_workman2015,
    parameters={"lambdas": "0.01,0.1,1,3,10", "scales": 3},
    smoke={"lambdas": "3"},
)

_TOWERS = {"dimensions": 16, "hidden": 128, "epochs": 60, "batch": 128, "rate": 0.003, "margin": 1.0}

WHERE_CNN2015 = replace(
    LIN2013,
    name="where-cnn2015:{net}",
    title="{net}, two towers, contrastive",
    fit=_towers("contrastive"),
    parameters=_TOWERS,
    smoke={"epochs": 30},
    stochastic=True,
)

CROSS_VIEW = replace(WHERE_CNN2015, name="cross-view:{net}", title="{net}, two towers, InfoNCE", fit=_towers("infonce"))

CROSS_VIEWS = (LIN2013, WHERE_CNN2015, WORKMAN2015, CROSS_VIEW)
