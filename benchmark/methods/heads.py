"""Methods that fit a head on the vectors of networks that do not learn: `HEAD:NETWORK`, such as `lda:resnet18/places365`.

All share `fit_head`: vectors of the training and the validation photos (`features.vectors`, each computed once and kept), a
head of HEADS fitted on the former, its settings chosen on the latter. Each head's function here makes the candidates; a new
head is one such function and one entry. `concat:A+B` takes vectors of two networks, or more, one behind the other.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.methods.features import LARGEST, MODERN_KS, Classifier
from benchmark.methods.types import Context, Method, PaperRow, Parameter, Training
from benchmark.photos import Photos

if TYPE_CHECKING:
    import torch

    from benchmark.features.vectors import Tower
    from benchmark.networks.backbones import Backbone

FEATURES_VERSION = "1"
"""Of the code that classifies vectors, and of its defaults."""

log = logging.getLogger("t15")


@dataclass(frozen=True)
class Sides:
    """What a head is fitted on and chosen by: vectors (N, D) and labels (N,) of both sides."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    judged: NDArray[np.float32]
    truth: NDArray[np.int64]
    classes: int


Fit = Callable[..., "Sequence[tuple[str, Classifier]]"]
"""`fit(sides, context, **settings)`: candidates, each with what was set; of equally good ones the first is taken."""


def _features(sides: Sides, context: Context, *, c: float, iterations: int) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.logistic import fit_logistic

    return [("", fit_logistic(sides.vectors, sides.labels, sides.classes, c, iterations, device=context.device))]


def _logistics(sides: Sides, context: Context, *, cs: str, iterations: int) -> "list[tuple[str, Classifier]]":
    return [(f"C = {c:g}", _features(sides, context, c=c, iterations=iterations)[0][1]) for c in _numbers(cs)]


def _knn(sides: Sides, context: Context, *, ks: str) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers import knn

    allowed = [k for k in map(int, ks.split(",")) if k <= len(sides.vectors)] or [1]
    return [
        (
            f"k = {k}, weights {weights}",
            knn.fit_knn(sides.vectors, sides.labels, sides.classes, k, weights, context.device),
        )
        for k in allowed
        for weights in knn.WEIGHTS
    ]


def _lda(sides: Sides, context: Context, *, shrinkages: str) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.heads import fit_lda

    tried = _numbers(shrinkages)
    fitted = fit_lda(sides.vectors, sides.labels, sides.classes, tried)
    return [(f"shrinkage {s:g}", _tempered(head, sides)) for s, head in zip(tried, fitted, strict=True)]


def _ncm(sides: Sides, context: Context, *, shrinkages: str) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.heads import fit_ncm

    tried = _numbers(shrinkages)
    fitted = fit_ncm(sides.vectors, sides.labels, sides.classes, tried)
    return [(f"shrinkage {s:g}", _tempered(head, sides)) for s, head in zip(tried, fitted, strict=True)]


def _sgd(sides: Sides, context: Context, *, rates: str, decays: str, epochs: int) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.heads import fit_sgd

    def fitted(rate: float, decay: float) -> "Classifier":
        data = (sides.vectors, sides.labels, sides.classes)
        return _tempered(fit_sgd(*data, rate, decay, epochs, context.seed, context.device), sides)

    return [
        (f"rate {rate:g}, decay {decay:g}", fitted(rate, decay))
        for rate in _numbers(rates)
        for decay in _numbers(decays)
    ]


def _mlp(sides: Sides, context: Context, *, decays: str, epochs: int) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.heads import fit_mlp

    def fitted(decay: float) -> "Classifier":
        judged = (sides.judged, sides.truth)
        head = fit_mlp(sides.vectors, sides.labels, judged, sides.classes, decay, epochs, context.seed, context.device)
        return _tempered(head, sides)

    return [(f"decay {decay:g}", fitted(decay)) for decay in _numbers(decays)]


@dataclass(frozen=True, slots=True)
class Head:
    """A kind of head: all that is said of it, in one place.

    Attributes:
        title: what readers call it.
        fit: makes the candidates.
        settings: its parameters with their defaults.
        smoke: what the tier `smoke` changes.
        unit: whether vectors are brought to length 1 before.
        stochastic: whether the seed matters.
        chosen: whether validation photos choose.
    """

    title: str
    fit: Fit
    settings: Mapping[str, Parameter]
    smoke: Mapping[str, Parameter] = field(default_factory=dict)
    unit: bool = True
    stochastic: bool = False
    chosen: bool = True


_ITERATIONS = 500  # of logistic regression, as in the paper
_SHRINKAGES = "0.01,0.03,0.1,0.3,0.6,0.9"
_FEW = {"iterations": 30}

HEADS: dict[str, Head] = {
    "features": Head(
        "logistic regression", _features, {"c": 1.0, "iterations": _ITERATIONS}, _FEW, unit=False, chosen=False
    ),
    "knn": Head("k-NN", _knn, {"ks": MODERN_KS}),
    "lda": Head("discriminant analysis", _lda, {"shrinkages": _SHRINKAGES}),
    "ncm": Head("nearest class means, whitened", _ncm, {"shrinkages": _SHRINKAGES}),
    "linear-sgd": Head(
        "softmax regression by SGD",
        _sgd,
        {"rates": "0.003,0.03", "decays": "0.0001,0.01,0.1", "epochs": 20},
        {"epochs": 2},
        stochastic=True,
    ),
    "mlp": Head("perceptron", _mlp, {"decays": "0.01,1", "epochs": 12}, {"epochs": 2}, stochastic=True),
    "concat": Head("logistic regression", _logistics, {"cs": "1,10,100", "iterations": _ITERATIONS}, _FEW),
}
"""The heads; `concat` alone takes several networks, and no other does."""


@dataclass(frozen=True)
class NetworkFeatures:
    """A fitted head, and the towers whose vectors it reads; with `unit` each tower's vectors have length 1."""

    towers: "tuple[Tower, ...]"
    classifier: "Classifier"
    unit: bool = False

    @property
    def network(self) -> "torch.nn.Module":
        """The first tower's."""
        return self.towers[0].network

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the vectors that the head reads, (N, D)."""
        return embedded(self.towers, photos, self.unit)

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each class for each photo, (N, C)."""
        return self.classifier.predict_proba(self.embed(photos))

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_features`)."""
        kind, spec, arrays = self.classifier.save()
        for place, tower in enumerate(self.towers):
            state = tower.network.state_dict().items()
            arrays |= {f"network{place}.{name}": of.cpu().numpy().copy() for name, of in state}
        towers = [
            {name: getattr(of, name) for name in ("backbone", "size", "weights_digest", "pooling", "stored")}
            for of in self.towers
        ]
        described = {"towers": towers, "unit": self.unit, "classifier": kind, "of_classifier": spec}
        return "network-features", described, arrays


def embedded(towers: "Sequence[Tower]", photos: Photos, unit: bool) -> NDArray[np.float32]:
    """Return the towers' vectors of photos, one behind the other, (N, D) float32."""
    from benchmark.classifiers.heads import unit as of_length_one

    parts = [tower.embed(photos) for tower in towers]
    if unit:
        parts = [of_length_one(part) for part in parts]
    whole: NDArray[np.float32] = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return whole.astype(np.float32, copy=False)


def load_features(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> NetworkFeatures:
    """Return the predictor that `NetworkFeatures.save` described.

    Raises:
        UsageError: there is no such network here (a plug-in or an extra that is not installed).
        ValueError, KeyError, TypeError, RuntimeError: the description is none, or does not fit the arrays.
    """
    from benchmark.methods.features import load_classifier

    described = spec.get("towers") or [_of_first_edition(spec)]
    if "towers" not in spec:
        arrays = {name.replace("network.", "network0.", 1): of for name, of in arrays.items()}
    towers = tuple(_loaded(place, of, arrays, device) for place, of in enumerate(described))
    others = {name: of for name, of in arrays.items() if not name.startswith("network")}
    classifier = load_classifier(spec["classifier"], spec["of_classifier"], others, device)
    return NetworkFeatures(towers, classifier, bool(spec.get("unit", False)))


def _of_first_edition(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"backbone": spec["backbone"], "size": spec["size"], "weights_digest": spec["weights"]}


def _loaded(place: int, spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> "Tower":
    import torch

    from benchmark.features.vectors import STORED, Tower
    from benchmark.networks.backbones import find_backbone

    size, backbone = spec["size"], find_backbone(spec["backbone"])
    if type(size) is not int or not 16 <= size <= LARGEST:
        raise ValueError(f"a network on photos of {size!r} pixels; 16 to {LARGEST} are possible")
    if spec.get("stored", STORED[0]) not in STORED:
        raise ValueError(f"vectors kept as {spec['stored']!r}")
    start = f"network{place}."
    network = backbone.build(backbone.pretrained.classes if backbone.pretrained else 1000)
    state = {name.removeprefix(start): of for name, of in arrays.items() if name.startswith(start)}
    network.load_state_dict({name: torch.from_numpy(np.array(of)) for name, of in state.items()})
    others = {name: spec[name] for name in ("pooling", "stored") if name in spec}
    return Tower(network.eval().to(device), backbone.name, size, spec["weights_digest"], device, **others)


def fit_head(
    training: Training,
    validation: Training,
    context: Context,
    *,
    head: str,
    backbone: str,
    size: int | str,
    pooling: str,
    stored: str,
    **settings: Any,
) -> NetworkFeatures:
    """Fit a head of HEADS on a network's vectors; of its candidates the one is kept that is right on most validation photos.

    Raises:
        UsageError: there is no such network or pooling, or `stored` is none of `vectors.STORED`.
        DataError: the head does not converge.
    """
    of = HEADS[head]
    towers = _starting(backbone, str(size), pooling, stored, context)
    vectors = embedded(towers, training, of.unit)
    judged = embedded(towers, validation, of.unit) if of.chosen else vectors[:0]
    sides = Sides(vectors, training.labels, judged, validation.labels, len(training.classes))
    candidates = of.fit(sides, context, **settings)
    if not of.chosen:
        return NetworkFeatures(towers, candidates[0][1], of.unit)
    chosen, classifier = max(candidates, key=lambda one: _right(one[1], sides))
    log.info("chosen on validation: %s", chosen)
    return NetworkFeatures(towers, classifier, of.unit)


def on_vectors(head: str, backbone: "Backbone", paper: PaperRow | None = None, size: int | None = None) -> Method:
    """Return the method that fits this head on this network's vectors; `size` is another resolution than its own."""
    of, parts = HEADS[head], backbone.parts or (backbone,)
    sizes = [size or part.preprocessing.crop for part in parts]
    smallest = [4 * part.patch if part.patch > 1 else 64 for part in parts]
    # Vectors of timm's are kept in half precision. Those of the paper's networks are as they always were.
    half = all(part.preprocessing.rounding == "torchvision" for part in parts)
    parameters: dict[str, Parameter] = {
        "backbone": backbone.name,
        "size": _joined(sizes),
        "pooling": "penultimate",
        "stored": "float16" if half else "float32",
        **of.settings,
    }
    data = backbone.pretrained.data if backbone.pretrained else "random"
    return Method(
        name=f"{head}:{backbone.name}" + (f"@{size}" if size else ""),
        title=f"{backbone.title} ({data}) features, {of.title}" + (f", {size} pixels" if size else ""),
        fit=_fitting(head),
        parameters=parameters,
        smoke={"size": _joined(smallest), **of.smoke},
        version=FEATURES_VERSION,
        stochastic=of.stochastic,
        selection="best-on-validation" if of.chosen else "none",
        paper=paper,
        estimate=_seconds if all(part.gigaflops for part in parts) else None,
        backbone=backbone.name,
        preprocessing=preprocessing,
        **origin(backbone),
    )


def preprocessing(*, backbone: str, size: int | str, **others: Any) -> dict[str, Any]:
    """Return how photos become the network's input, for a run's identity; of several networks, that of each by its name."""
    from benchmark.networks.backbones import find_backbone

    of = find_backbone(backbone)
    sizes = _split(of, str(size))
    if of.parts:
        return {part.name: part.preprocessing.at(one).facts for part, one in zip(of.parts, sizes, strict=True)}
    return of.preprocessing.at(sizes[0]).facts


def origin(backbone: "Backbone") -> dict[str, Any]:
    """Return what a method says of the weights that it begins with."""
    if backbone.pretrained is None:
        return {}
    return {"pretraining": backbone.pretrained.data, "weights_licence": backbone.pretrained.licence}


def starting_tower(
    backbone: "Backbone",
    size: int,
    weights: "Mapping[str, torch.Tensor] | None",
    digest: str | None,
    context: Context,
    **kept: str,
) -> "Tower":
    """Return a network with these weights, or with random ones from the seed, ready to give vectors; `kept` holds pooling and
    number format.
    """
    import torch

    from benchmark.features.vectors import Tower, check

    check(backbone, size, kept.get("pooling", "penultimate"))
    torch.manual_seed(context.seed)
    network = backbone.build(backbone.pretrained.classes if backbone.pretrained else 1000)
    if weights is not None:
        network.load_state_dict(dict(weights))
    return Tower(network.eval().to(context.device), backbone.name, size, digest, context.device, **kept)


def trained_tower(name: str, size: int | None, device: str, pooling: str, stored: str) -> "Tower":
    """Return a network with the weights that are here for it; `size` None is its own.

    Raises:
        UsageError: there is no such network, or it starts from random weights.
        MissingWeightsError: they are not here; the message says how to bring them.
        DataError: they are damaged.
    """
    from benchmark.features.vectors import check_stored
    from benchmark.networks import weights
    from benchmark.networks.backbones import find_backbone
    from collector.errors import UsageError

    check_stored(stored)
    backbone = find_backbone(name)
    if backbone.parts or backbone.pretrained is None:
        raise UsageError(f"network {name}: one network with weights is wanted; `t15 weights list` names them")
    state, size = weights.load(backbone), size or backbone.preprocessing.crop
    said = weights.stored(backbone)
    digest = said.digest if said else None
    return starting_tower(backbone, size, state, digest, Context(device=device), pooling=pooling, stored=stored)


def _starting(name: str, size: str, pooling: str, stored: str, context: Context) -> "tuple[Tower, ...]":
    from benchmark.features.vectors import check_stored
    from benchmark.networks.backbones import find_backbone

    check_stored(stored)
    of = find_backbone(name)
    parts, kept = of.parts or (of,), {"pooling": pooling, "stored": stored}
    weights: list[Any] = [context.weights] * len(parts)
    digests: list[Any] = [context.weights_digest] * len(parts)
    if of.parts and context.weights is not None:
        weights = [_part(context.weights, place) for place in range(len(parts))]
        digests = str(context.weights_digest).split("+")
    rows = zip(parts, _split(of, size), weights, digests, strict=True)
    return tuple(starting_tower(part, one, state, digest, context, **kept) for part, one, state, digest in rows)


def _part(weights: "Mapping[str, torch.Tensor]", place: int) -> "dict[str, torch.Tensor]":
    start = f"{place}."
    return {name.removeprefix(start): of for name, of in weights.items() if name.startswith(start)}


def _joined(sizes: Sequence[int]) -> Parameter:
    return sizes[0] if len(sizes) == 1 else "+".join(map(str, sizes))


def _split(backbone: "Backbone", size: str) -> list[int]:
    """Return a size for each part; one stands for all.

    Raises:
        UsageError: there is another number of them, or one is no whole number from 16 to LARGEST.
    """
    from collector.errors import UsageError

    count, texts = len(backbone.parts or (backbone,)), size.split("+")
    texts = texts * count if len(texts) == 1 else texts
    if len(texts) != count or not all(text.isdecimal() and 16 <= int(text) <= LARGEST for text in texts):
        raise UsageError(
            f"--set size={size[:40]}: {count} whole numbers from 16 to {LARGEST}, with a + between, are wanted"
        )
    return [int(text) for text in texts]


def _fitting(head: str) -> Any:
    def fit(training: Training, validation: Training, context: Context, **parameters: Any) -> NetworkFeatures:
        return fit_head(training, validation, context, head=head, **parameters)

    return fit


def _tempered(head: Any, sides: Sides) -> "Classifier":
    """Return the head at the temperature under which the validation photos are least surprising."""
    from benchmark.classifiers.heads import at_temperature
    from benchmark.scoring.calibration import fit_temperature

    return at_temperature(head, fit_temperature(head.predict_proba(sides.judged), sides.truth))


def _right(classifier: "Classifier", sides: Sides) -> float:
    return float((classifier.predict_proba(sides.judged).argmax(axis=1) == sides.truth).mean())


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


_RATE = {"cpu": 40.0, "cuda": 10_000.0}  # gigaflops a second of two cores, and of a GPU


def _seconds(photos: int, classes: int, device: str, *, backbone: str, size: int | str, **others: Any) -> float:
    """Return about how long the vectors take where none is kept; validation and test photos are half as many again."""
    from benchmark.networks.backbones import find_backbone

    of = find_backbone(backbone)
    work = sum(
        part.gigaflops * (one / part.preprocessing.crop) ** 2
        for part, one in zip(of.parts or (of,), _split(of, str(size)), strict=True)
    )
    return 1.5 * photos * work / _RATE[device]
