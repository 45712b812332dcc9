"""`lee2015:NET`: what a place is like, from frozen vectors, and where that leaves the photo.

S. Lee, H. Zhang, D. Crandall, WACV 2015, as far as their abstract tells: attributes of places from photos, one classifier
each. Here a softmax regression answers each question of `benchmark.attributes` on vectors of NET; its strength is chosen on
the validation photos. What is ours beside it: city and place from the answers.

City: naive Bayes over the questions q that are about all photos (fifths, classes), with soft answers. With p_q(a) what the
head says of answer a, r_q(a | c) its share among city c's training photos (one photo of the common mix added) and r_q(a)
among all: P(c) ~ r(c) · Π_q (Σ_a p_q(a) r_q(a | c) / r_q(a))^s, with s chosen on the validation photos: questions are no
independent witnesses. Place: each place of the map (all over the region, cities held out of training too), or each training
photo's where there is no map, weighs Π_q (p_q(a) / r_q(a))^s with its own answers a; the answer is where the weights' density
is largest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.attributes import AttributeAnswers, Question, question_of, questions
from benchmark.methods.placing import CANDIDATES, best_spread, spread
from benchmark.methods.settings import numbers
from benchmark.methods.types import Context, Method, Training
from benchmark.methods.vectors import Describer, describer, load_describer, vectors_of
from benchmark.photos import Photos
from benchmark.predictions import Places
from collector.errors import DataError

_LEAST = 1e-4  # probability that an answer is held for at least


@dataclass(frozen=True)
class AttributeHeads:
    """A fitted method, of Q questions and C cities.

    Attributes:
        describing: makes vectors of photos.
        asked: the questions.
        heads: a classifier of each, and one of the city behind them.
        mixes: of each question (C, K), the share of each answer among a city's training photos.
        common: of each question (K,), among all of them.
        shares: (C,) of each city among the training photos.
        places: (M, 2) where a photo may have been taken.
        codes: (M, Q) the right answers there; -1 where unknown.
        power: s.
        sigma_km: of the density.
        spread_km: around each candidate.
    """

    describing: Describer
    asked: tuple[Question, ...]
    heads: tuple[Any, ...]
    mixes: tuple[NDArray[np.float64], ...]
    common: tuple[NDArray[np.float64], ...]
    shares: NDArray[np.float64]
    places: NDArray[np.float64]
    codes: NDArray[np.int64]
    power: float
    sigma_km: float
    spread_km: float = 0.0

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the vector of each photo, (N, D), of length 1."""
        return vectors_of(self.describing, photos)

    def answers(self, vectors: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return the probabilities of each question's answers, (N, K) each, and those of the city behind them."""
        return [head.predict_proba(vectors) for head in self.heads]

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each city, from the answers alone, (N, C)."""
        return cities_of(self.answers(self.embed(photos)), self)

    def predict_places(self, photos: Photos) -> Places:
        """Return where places are as the answers say."""
        return spread(placed(self.answers(self.embed(photos)), self), self.spread_km)

    def predict_attributes(self, photos: Photos) -> AttributeAnswers:
        """Return the answers, and those of the way by the city."""
        *own, city = self.answers(self.embed(photos))
        via = tuple((city @ mix).astype(np.float32) for mix in self.mixes)
        return AttributeAnswers(
            photos.ids, self.asked, tuple(own), via, tuple(int(mix.argmax()) for mix in self.common)
        )

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_lee2015`)."""
        net, arrays = self.describing.save()
        spec: dict[str, Any] = {"net": net, "questions": [asdict(question) for question in self.asked], "heads": []}
        for number, head in enumerate(self.heads):
            _, of_head, own = head.save()
            spec["heads"].append(of_head)
            arrays |= {f"head-{number}-{name}": array for name, array in own.items()}
        for number, (mix, common) in enumerate(zip(self.mixes, self.common, strict=True)):
            arrays |= {f"mix-{number}": mix, f"common-{number}": common}
        spec |= {name: getattr(self, name) for name in ("power", "sigma_km", "spread_km")}
        return "lee2015", spec, {**arrays, **{name: getattr(self, name) for name in ("shares", "places", "codes")}}


def load_lee2015(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> AttributeHeads:
    """Return the predictor that `AttributeHeads.save` described.

    Raises:
        DataError, UsageError, ValueError, KeyError, TypeError, RuntimeError: the description is none, or does not fit.
    """
    from benchmark.classifiers.logistic import load_logistic

    describing = load_describer(spec["net"], arrays, device)
    question_set = tuple(question_of(of) for of in spec["questions"])
    heads = []
    for number, of_head in enumerate(spec["heads"]):
        before = f"head-{number}-"
        own = {name.removeprefix(before): array for name, array in arrays.items() if name.startswith(before)}
        heads.append(load_logistic(of_head, own, device))
    mixes, common = (tuple(arrays[f"{kind}-{n}"] for n in range(len(question_set))) for kind in ("mix", "common"))
    shares, places, codes = arrays["shares"], arrays["places"], arrays["codes"].astype(np.int64)
    fitting = all(
        mix.shape == (len(shares), len(of.classes)) and one.shape == (len(of.classes),)
        for mix, one, of in zip(mixes, common, question_set, strict=True)
    )
    inside = (
        all((codes[:, n] < len(of.classes)).all() for n, of in enumerate(question_set)) if codes.ndim == 2 else False
    )
    if (
        not fitting
        or not inside
        or len(heads) != len(question_set) + 1
        or codes.shape != (len(places), len(question_set))
    ):
        raise ValueError(
            f"{len(question_set)} questions, {len(heads)} heads, {codes.shape} answers of {places.shape} places"
        )
    known = {name: float(spec[name]) for name in ("power", "sigma_km", "spread_km")}
    return AttributeHeads(describing, question_set, tuple(heads), mixes, common, shares, places, codes, **known)


def _photo_questions(asked: Sequence[Question]) -> list[int]:
    """Return the numbers of the questions that are about all photos, the witnesses of city and place."""
    return [number for number, question in enumerate(asked) if question.kind != "tails"]


def cities_of(answers: Sequence[NDArray[np.float32]], of: AttributeHeads) -> NDArray[np.float32]:
    """Return the probability of each city, (N, C), by naive Bayes."""
    logs = np.log(np.maximum(of.shares, 1e-12))[None]
    for number in _photo_questions(of.asked):
        ratio = of.mixes[number] / np.maximum(of.common[number], 1e-12)
        witness = answers[number].astype(np.float64) @ ratio.T
        logs = logs + of.power * np.log(np.maximum(witness, _LEAST))
    logs = np.where(of.shares > 0, logs, -np.inf)  # a city that training does not have has no mix
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    found: NDArray[np.float32] = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    if found.shape[0] != len(answers[0]):  # no witness at all
        found = np.repeat(found, len(answers[0]), axis=0)
    return found


def placed(answers: Sequence[NDArray[np.float32]], of: AttributeHeads) -> Places:
    """Return where the density of the places that agree with the answers is largest; the likeliest are the candidates."""
    from benchmark.derivations import voted
    from benchmark.retrieval.density import modes_at_places

    logs = np.zeros((len(answers[0]), len(of.places)))
    for number in _photo_questions(of.asked):
        ratio = np.maximum(answers[number].astype(np.float64), _LEAST) / np.maximum(of.common[number], _LEAST)
        known = of.codes[:, number] >= 0
        logs[:, known] += of.power * np.log(ratio)[:, of.codes[known, number]]
    kept = min(CANDIDATES, len(of.places))
    order = np.argsort(-logs, axis=1, kind="stable")[:, :kept]
    best = np.take_along_axis(logs, order, axis=1)
    weights = np.exp(best - best[:, :1])
    candidates = of.places[order]
    mode = modes_at_places(candidates, weights, of.sigma_km)[0]
    return voted(candidates[np.arange(len(order)), mode], candidates, weights)


def fit(
    training: Training,
    validation: Training,
    context: Context,
    *,
    net: str,
    size: int,
    cs: str,
    powers: str,
    sigma_km: float,
    iterations: int,
) -> AttributeHeads:
    """Fit a head for each question, and what city and place follow from.

    Raises:
        DataError: nothing can be asked: the layers are the same everywhere, or unknown.
    """
    known, judged_by = training.attributes, validation.attributes
    question_set = questions(known.values) if known else []
    if known is None or judged_by is None or not question_set:
        raise DataError(
            "nothing can be asked: the layers beside the manifest are unknown or the same for all training photos"
        )
    describing = describer(net, size, context)
    vectors, judged = vectors_of(describing, training), vectors_of(describing, validation)
    codes = [question.codes(known.values[question.layer]) for question in question_set]
    truth = [question.codes(judged_by.values[question.layer]) for question in question_set]
    strengths, count = numbers(cs), len(training.classes)
    heads = [
        _head(vectors, own, (judged, theirs), len(question.classes), strengths, iterations, context.device)
        for question, own, theirs in zip(question_set, codes, truth, strict=True)
    ]
    city = _head(vectors, training.labels, (judged, validation.labels), count, strengths, iterations, context.device)
    common = tuple(_mix(own, len(of.classes)) for own, of in zip(codes, question_set, strict=True))
    mixes = tuple(
        np.stack([_mix(own[training.labels == label], len(of), of) for label in range(count)])
        for own, of in zip(codes, common, strict=True)
    )
    shares = np.bincount(training.labels, minlength=count) / len(training.labels)
    places, at = known.places, known.map_values
    if not len(places):
        located = np.isfinite(training.places).all(axis=1)
        places, at = training.places[located], {name: of[located] for name, of in known.values.items()}
    if not len(places):
        raise DataError("no training photo has a place: this method needs a manifest with coordinates")
    there = np.stack([question.codes(at[question.layer]) for question in question_set], axis=1)
    fitted = AttributeHeads(
        describing, tuple(question_set), (*heads, city), mixes, common, shares, places, there, 1.0, sigma_km
    )
    return _with_best_power(fitted, numbers(powers), judged, validation)


def _head(
    vectors: NDArray[np.float32],
    codes: NDArray[np.int64],
    judged: tuple[NDArray[np.float32], NDArray[np.int64]],
    classes: int,
    strengths: Sequence[float],
    iterations: int,
    device: str,
) -> Any:
    """Return the regression with the least log loss on validation photos; without such the first strength's."""
    from benchmark.classifiers.logistic import fit_logistic

    rows, asked = codes >= 0, judged[1] >= 0
    best: tuple[float, Any] | None = None
    for c in strengths:
        head = fit_logistic(vectors[rows], codes[rows], classes, c, iterations, standardise=True, device=device)
        right = head.predict_proba(judged[0][asked])[np.arange(int(asked.sum())), judged[1][asked]]
        loss = float(-np.log(np.maximum(right, _LEAST)).mean()) if len(right) else 0.0
        if best is None or loss < best[0]:
            best = loss, head
    if best is None:
        raise ValueError("cs: at least one strength")
    return best[1]


def _mix(codes: NDArray[np.int64], classes: int, common: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return the share of each class, (K,); with one photo of the common mix added, where one is given."""
    counts = np.bincount(codes[codes >= 0], minlength=classes).astype(np.float64) + (0 if common is None else common)
    mix: NDArray[np.float64] = counts / counts.sum()
    return mix


def _with_best_power(
    fitted: AttributeHeads, powers: Sequence[float], judged: NDArray[np.float32], validation: Training
) -> AttributeHeads:
    """Return the method with the power under which the validation photos' cities are likeliest, and its spread."""
    from dataclasses import replace

    answers = fitted.answers(judged)
    candidates = [replace(fitted, power=power) for power in powers]

    def likelihood(one: AttributeHeads) -> float:
        right = cities_of(answers, one)[np.arange(len(validation.labels)), validation.labels]
        return float(np.log(np.maximum(right, 1e-6)).mean()) if len(right) else 0.0

    best = max(candidates, key=likelihood)
    located = np.isfinite(validation.places).all(axis=1)
    km = best_spread(placed(answers, best).of(np.flatnonzero(located).tolist()), validation.places[located])
    return replace(best, spread_km=km)


LEE2015 = Method(
    name="lee2015:{net}",
    title="{net}, attributes of the place",
    fit=fit,
    parameters={"cs": "0.001,0.01,0.1,1", "powers": "0.25,0.5,1", "sigma_km": 25.0, "iterations": 200},
    smoke={"cs": "0.01", "powers": "0.5", "iterations": 50},
    gives=frozenset({"labels", "places"}),
    needs=frozenset({"attributes"}),
    selection="best-on-validation",
)
