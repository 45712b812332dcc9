"""Kinds of heads on vectors: what each is called, how its candidates are made, what they are chosen from.

VECTOR_HEADS learn from photos alone; TEXT_HEADS begin with the labels' names. Their formulas are in `classifiers.heads` and
`classifiers.text_heads`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.classifiers.knn import MODERN_KS
from benchmark.methods.prompts import NAMES, TEMPLATES
from benchmark.methods.settings import numbers
from benchmark.methods.types import Context, Parameter
from collector.errors import DataError

if TYPE_CHECKING:
    from benchmark.methods.features import Classifier


@dataclass(frozen=True)
class Text:
    """What a tower's text half says of the labels, all vectors of length 1.

    Attributes:
        labels: (C, D).
        countries: (P, D); none where a label has no country.
        country_of: (C,) rows in `countries`.
        scale: of the tower's scores, from cosines to logits.
    """

    labels: NDArray[np.float32]
    countries: NDArray[np.float32]
    country_of: NDArray[np.int64]
    scale: float


@dataclass(frozen=True)
class Sides:
    """What a head is fitted on and chosen by: vectors (N, D) and labels (N,) of both sides, and what texts say."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]
    judged: NDArray[np.float32]
    truth: NDArray[np.int64]
    classes: int
    text: "Text | None" = None


Fit = Callable[..., "Sequence[tuple[str, Classifier]]"]
"""`fit(sides, context, **settings)`: candidates, each with what was set; of equally good ones the first is taken."""


def _features(sides: Sides, context: Context, *, c: float, iterations: int) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.logistic import fit_logistic

    return [("", fit_logistic(sides.vectors, sides.labels, sides.classes, c, iterations, device=context.device))]


def _logistics(sides: Sides, context: Context, *, cs: str, iterations: int) -> "list[tuple[str, Classifier]]":
    return [(f"C = {c:g}", _features(sides, context, c=c, iterations=iterations)[0][1]) for c in numbers(cs)]


def _knn(sides: Sides, context: Context, *, ks: str) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers import knn

    allowed = [k for k in map(int, ks.split(",")) if k <= len(sides.vectors)] or [1]
    data = (sides.vectors, sides.labels, sides.classes)
    heads = [knn.fit_knn(*data, k, weights, context.device) for k in allowed for weights in knn.WEIGHTS]
    # The nearest of the most hold those of fewer: distances are computed once.
    near = max(heads, key=lambda head: head.k).nearest_of_many(sides.judged)
    best = max(heads, key=lambda head: int((head.vote(*near).argmax(axis=1) == sides.truth).sum()))
    return [(f"k = {best.k}, weights {best.weights}", best)]


def _lda(sides: Sides, context: Context, *, shrinkages: str) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.heads import fit_lda

    tried = numbers(shrinkages)
    fitted = fit_lda(sides.vectors, sides.labels, sides.classes, tried)
    return [(f"shrinkage {s:g}", tempered(head, sides)) for s, head in zip(tried, fitted, strict=True)]


def _ncm(sides: Sides, context: Context, *, shrinkages: str) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.heads import fit_ncm

    tried = numbers(shrinkages)
    fitted = fit_ncm(sides.vectors, sides.labels, sides.classes, tried)
    return [(f"shrinkage {s:g}", tempered(head, sides)) for s, head in zip(tried, fitted, strict=True)]


def _sgd(sides: Sides, context: Context, *, rates: str, decays: str, epochs: int) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.heads import fit_sgd

    tried = [(rate, decay) for rate in numbers(rates) for decay in numbers(decays)]
    fitted = fit_sgd(sides.vectors, sides.labels, sides.classes, tried, epochs, context.seed, context.device)
    return [
        (f"rate {rate:g}, decay {decay:g}", tempered(head, sides))
        for (rate, decay), head in zip(tried, fitted, strict=True)
    ]


def _mlp(sides: Sides, context: Context, *, decays: str, epochs: int) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.heads import fit_mlp

    def fitted(decay: float) -> "Classifier":
        judged = (sides.judged, sides.truth)
        head = fit_mlp(sides.vectors, sides.labels, judged, sides.classes, decay, epochs, context.seed, context.device)
        return tempered(head, sides)

    return [(f"decay {decay:g}", fitted(decay)) for decay in numbers(decays)]


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
        text: whether it begins with what the labels' names say; its settings hold `prompts` and `languages`, see
            `methods.prompts`.
    """

    title: str
    fit: Fit
    settings: Mapping[str, Parameter]
    smoke: Mapping[str, Parameter] = field(default_factory=dict)
    unit: bool = True
    stochastic: bool = False
    chosen: bool = True
    text: bool = False


_ITERATIONS = 500  # of logistic regression, as in the paper
_SHRINKAGES = "0.01,0.03,0.1,0.3,0.6,0.9"
_FEW = {"iterations": 30}

VECTOR_HEADS: dict[str, Head] = {
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
"""Heads on vectors alone; `concat`, and no other, takes several networks."""


def tempered(head: Any, sides: Sides) -> "Classifier":
    """Return the head at the temperature under which the validation photos are least surprising."""
    from benchmark.classifiers.heads import at_temperature
    from benchmark.classifiers.probabilities import fit_temperature

    cooled: Classifier = at_temperature(head, fit_temperature(head.predict_proba(sides.judged), sides.truth))
    return cooled


def _text(sides: Sides) -> Text:
    assert sides.text is not None  # noqa: S101 (`heads.fit_head` gives it to every head of text)
    return sides.text


def _flat(sides: Sides, context: Context) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.text_heads import linear

    said = _text(sides)
    return [("", tempered(linear(said.scale * said.labels), sides))]


def _hierarchy(sides: Sides, context: Context) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.text_heads import Hierarchy

    said = _text(sides)
    if not len(said.country_of):
        raise DataError(
            "zeroshot@hierarchy: a label has no country; give the region's cities one (country = …), or take @templates"
        )
    whole = Hierarchy(said.scale * said.labels, said.scale * said.countries, said.country_of)
    return [("", tempered(whole, sides))]


def _probe(sides: Sides, context: Context, *, pulls: str, iterations: int) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.text_heads import fit_text_probe

    said, tried = _text(sides), numbers(pulls)
    fitted = fit_text_probe(sides.vectors, sides.labels, said.labels, said.scale, tried, iterations)
    candidates = _flat(sides, context)  # an endless pull
    return candidates + [(f"pull {p:g}", tempered(head, sides)) for p, head in zip(tried, fitted, strict=True)]


def _tip(sides: Sides, context: Context, *, alphas: str, betas: str) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.text_heads import fit_tip

    said, judged = _text(sides), (sides.judged, sides.truth)
    tried = (numbers(alphas), numbers(betas))
    head = fit_tip(sides.vectors, sides.labels, judged, said.labels, said.scale, *tried)
    return [(f"alpha {head.alpha:g}, beta {head.beta:g}", tempered(head, sides))]


def _tip_f(
    sides: Sides, context: Context, *, alphas: str, betas: str, keys: int, epochs: int, rate: float
) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.text_heads import fit_tip_f

    said, judged = _text(sides), (sides.judged, sides.truth)
    data = (sides.vectors, sides.labels, judged, said.labels, said.scale, numbers(alphas), numbers(betas))
    head = fit_tip_f(*data, keys, epochs, rate, context.seed, context.device)
    return [(f"alpha {head.alpha:g}, beta {head.beta:g}", tempered(head, sides))]


def _lp(sides: Sides, context: Context, *, steps: int) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.text_heads import fit_lp

    return [("", tempered(fit_lp(sides.vectors, sides.labels, _text(sides).labels, steps), sides))]


def _clap(sides: Sides, context: Context, *, epochs: int, steps: int, rate: float) -> "list[tuple[str, Classifier]]":
    from benchmark.classifiers.text_heads import fit_clap

    said = _text(sides)
    head = fit_clap(
        sides.vectors, sides.labels, said.labels, said.scale, epochs, steps, rate, context.seed, context.device
    )
    return [("", tempered(head, sides))]


def _listed(low: float, high: float, count: int) -> str:
    return ",".join(f"{value:.3g}" for value in np.linspace(low, high, count))


_SAID = {"prompts": TEMPLATES, "languages": "en"}
_GRID = {"alphas": _listed(0.1, 3, 10), "betas": _listed(0.1, 7, 12)}

TEXT_HEADS: dict[str, Head] = {
    "zeroshot@names": Head("names, without a photo", _flat, {"prompts": NAMES, "languages": "en"}, text=True),
    "zeroshot@templates": Head("sentences, without a photo", _flat, _SAID, text=True),
    "zeroshot@hierarchy": Head("country, then label, without a photo", _hierarchy, _SAID, text=True),
    "text-probe": Head(
        "softmax regression from text",
        _probe,
        {**_SAID, "pulls": "1,0.1,0.01,0.001,0.0001", "iterations": 60},
        {"iterations": 20},
        text=True,
    ),
    "tip": Head("Tip-Adapter", _tip, {**_SAID, **_GRID}, text=True),
    "tip-f": Head(
        "Tip-Adapter-F",
        _tip_f,
        {**_SAID, **_GRID, "keys": 16, "epochs": 20, "rate": 0.001},
        {"epochs": 2},
        stochastic=True,
        text=True,
    ),
    "lp++": Head("LP++", _lp, {**_SAID, "steps": 300}, {"steps": 30}, text=True),
    "clap": Head(
        "CLAP", _clap, {**_SAID, "epochs": 300, "steps": 3000, "rate": 0.1}, {"steps": 30}, stochastic=True, text=True
    ),
}
"""Heads on vectors of a tower with a text half; what stands behind the @ says which words."""

HEADS = {**VECTOR_HEADS, **TEXT_HEADS}
"""All heads by name."""
