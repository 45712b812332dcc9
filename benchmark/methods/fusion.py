"""`fusion:A,B,…`: several methods as one: their log-probabilities, each with a weight that the validation photos give.

p(label) is in proportion to Π p_m(label)^w_m, a logarithmic opinion pool (C. Genest, J. Zidek, "Combining probability
distributions", Statistical Science 1, 1986). The weights, at least 0, are those under which the labels of the validation
photos have the least mean negative log-likelihood, which is convex in them; a weight also makes a member that is too sure
less sure. A member that is all but certain must not forbid an answer alone: `floor` of chance is mixed into each probability
first. What a member withholds counts as chance.

The place is that of the member whose places are nearest on the validation photos, among members whose place lies in the
label that was answered; where none does, the label's centre. A member that answers with labels alone has no say there.

A member whose run is finished and whose model was kept is read from there, others are fitted here, with their own defaults.
They have chosen their settings on the same validation photos, which flatters all of them.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from benchmark.derivations import RankedPhotos, offered, places_itself, predict
from benchmark.label_set import LabelSet
from benchmark.methods.loaders import loaded
from benchmark.methods.types import Context, Method, Parameter, Predictor, Training
from benchmark.photos import Photos
from benchmark.predictions import Places, Predictions
from collector.errors import DataError, UsageError
from collector.geo import distances_km

if TYPE_CHECKING:
    import torch

FUSION_VERSION = "1"

log = logging.getLogger("t15")


@dataclass(frozen=True)
class Fusion:
    """A fitted method.

    Attributes:
        names: of the M members.
        members: fitted.
        weights: (M,), at least 0.
        floor: share of chance in each probability.
        placing: positions of the members that have places of their own, the best first.
        labels: that are told apart.
        gallery: what members rank.
    """

    names: tuple[str, ...]
    members: tuple[Predictor, ...]
    weights: NDArray[np.float64]
    floor: float
    placing: tuple[int, ...]
    labels: LabelSet
    gallery: RankedPhotos

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each label for each photo, (N, C)."""
        return self._fused(self.answers(photos))

    def predict_places(self, photos: Photos) -> Places:
        """Return where each photo was taken."""
        answers = self.answers(photos)
        label = self._fused(answers).argmax(axis=1)
        latitude, longitude = self.labels.centres[label].T.copy()
        open_ = np.ones(len(photos), np.bool_)
        for member in self.placing:
            places = answers[member].places
            if places is not None:
                own = np.stack([places.latitude, places.longitude], axis=1)
                fits = open_ & (self.labels.holding(own) == label)
                latitude[fits], longitude[fits] = own[fits].T
                open_ &= ~fits
        return Places(latitude, longitude)

    def excluding(self, authors: NDArray[np.int64], sequences: NDArray[np.int64]) -> "Fusion":
        """Return the same for N photos of these authors and sequences, whose own training photos do not count."""
        members = [getattr(one, "excluding", lambda *_, one=one: one)(authors, sequences) for one in self.members]
        return replace(self, members=tuple(members))

    def answers(self, photos: Photos) -> list[Predictions]:
        """Return what each member says."""
        return [predict(member, photos, self.labels, self.gallery) for member in self.members]

    def _fused(self, answers: Sequence[Predictions]) -> NDArray[np.float32]:
        return np.exp(pooled(logs_of(answers, len(self.labels), self.floor), self.weights)).astype(np.float32)

    def files(self) -> Mapping[str, bytes]:
        """Return what a run keeps beside the model: the members with their weights."""
        rows = [
            {"method": name, "weight": round(float(w), 4)} for name, w in zip(self.names, self.weights, strict=True)
        ]
        return {"fusion.json": (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()}

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_fusion`).

        The kind is empty, and nothing can be kept, where a member keeps nothing.
        """
        if not all(hasattr(member, "save") for member in self.members):
            return "", {}, {}
        labels = self.labels
        arrays = {"weights": self.weights, "centres": labels.centres, "radii": labels.radii_km}
        arrays |= {f"ranked-{name}": of for name, of in self.gallery.to_arrays().items()}
        members = []
        for number, (name, member) in enumerate(zip(self.names, self.members, strict=True)):
            kind, spec, own = member.save()  # type: ignore[union-attr]
            members.append({"method": name, "kind": kind, "spec": spec})
            arrays |= {f"member-{number}-{array}": of for array, of in own.items()}
        spec = {"members": members, "floor": self.floor, "placing": list(self.placing)}
        return "fusion", {**spec, "level": labels.level, "ids": list(labels.ids)}, arrays


def load_fusion(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> Fusion:
    """Return the predictor that `Fusion.save` described.

    Raises:
        ValueError, KeyError, TypeError: the description is none, or does not fit the arrays.
        T15Error, RuntimeError: as the members' own loaders.
    """
    members: list[Predictor] = []
    for number, of in enumerate(spec["members"]):
        start = f"member-{number}-"
        if of["kind"] == "fusion":
            raise ValueError("a fusion of fusions")
        own = {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
        members.append(loaded(of["kind"], of["spec"], own, device))
    weights, centres, radii = arrays["weights"], arrays["centres"], arrays["radii"]
    ids, placing, floor = tuple(spec["ids"]), tuple(spec["placing"]), float(spec["floor"])
    gallery = RankedPhotos.of_arrays({n.removeprefix("ranked-"): of for n, of in arrays.items()}, len(ids))
    shapes = centres.shape == (len(ids), 2) and radii.shape == (len(ids),) and weights.shape == (len(members),)
    if not shapes or not members or gallery is None or not (weights >= 0).all() or not 0 < floor < 1:
        raise ValueError(f"a fusion of {len(members)} members and {weights.shape} weights")
    if not all(type(of) is int and 0 <= of < len(members) for of in placing):
        raise ValueError("a fusion whose places are of no member")
    names = tuple(str(of["method"]) for of in spec["members"])
    labels = LabelSet(str(spec["level"]), ids, centres, radii)
    return Fusion(names, tuple(members), weights, floor, placing, labels, gallery)


def logs_of(answers: Sequence[Predictions], classes: int, floor: float) -> NDArray[np.float64]:
    """Return the logarithms of the members' probabilities with `floor` of chance in them, (M, N, C).

    Raises:
        DataError: a member has nothing that labels follow from.
    """
    logs = []
    for answer in answers:
        if answer.probabilities is None:
            raise DataError("fusion: a member answers with nothing that labels follow from")
        of = answer.probabilities.astype(np.float64)
        of = np.where(np.isnan(of).any(axis=1, keepdims=True), 1 / classes, of)
        logs.append(np.log((1 - floor) * of + floor / classes))
    return np.stack(logs)


def pooled(logs: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the pool of members (M, N, C) with weights (M,): (N, C), exponentials summing to 1."""
    return np.asarray(log_softmax(np.tensordot(weights, logs, axes=1), axis=1), np.float64)


def fitted_weights(logs: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights (M,), at least 0, under which labels (N,) are likeliest; equal ones where there is no photo."""
    members, rows = len(logs), np.arange(len(labels))
    start = np.full(members, 1 / members)
    if not len(labels):
        return start

    def surprise(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        pool = pooled(logs, weights)
        # The mean of a member's log-probabilities under the pool, less that of the truth.
        slope = (np.exp(pool) * logs).sum(axis=2).mean(axis=1) - logs[:, rows, labels].mean(axis=1)
        return float(-pool[rows, labels].mean()), slope

    found = minimize(surprise, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * members)
    return np.asarray(found.x, np.float64)


def fit(
    training: Training, validation: Training, context: Context, *, methods: Sequence[Method], floor: float, tier: str
) -> Fusion:
    """Fit the members, or read those that are finished, and find their weights."""
    if not 0 < floor < 1 or tier not in ("paper", "smoke"):
        raise UsageError(f"floor {floor}, tier {tier!r}: a share between 0 and 1; paper or smoke")
    members = [_member(one, number, methods, training, validation, context, tier) for number, one in enumerate(methods)]
    gallery = RankedPhotos(training.labels, training.places)
    bare = Photos(validation.ids, validation.digests, validation.store, validation.side)
    names, labels = tuple(one.name for one in methods), training.label_set
    equal = Fusion(names, tuple(members), np.ones(len(members)), floor, (), labels, gallery)
    answers = equal.excluding(validation.authors, validation.sequences).answers(bare)
    weights = fitted_weights(logs_of(answers, len(labels), floor), validation.labels)
    log.info("weights on validation: %s", ", ".join(f"{n} {w:.3f}" for n, w in zip(names, weights, strict=True)))
    return replace(equal, weights=weights, placing=_by_distance(members, answers, validation))


def _by_distance(members: Sequence[Predictor], answers: Sequence[Predictions], validation: Training) -> tuple[int, ...]:
    """Return the members that have places of their own, that with the least median distance first."""
    medians: dict[int, float] = {}
    for number, (member, answer) in enumerate(zip(members, answers, strict=True)):
        if answer.places is not None and places_itself(offered(member)):
            at, truth = answer.places, validation.places
            km = distances_km(at.latitude, at.longitude, truth[:, 0], truth[:, 1])
            medians[number] = float(np.nanmedian(km)) if np.isfinite(km).any() else np.inf
    return tuple(sorted(medians, key=lambda number: (medians[number], number)))


def _member(
    method: Method,
    number: int,
    methods: Sequence[Method],
    training: Training,
    validation: Training,
    context: Context,
    tier: str,
) -> Predictor:
    finished = context.finished(method) if context.finished else None
    if finished is not None:
        return finished
    weights, digest = weights_of(method, methods, context)
    own = replace(context, weights=weights, weights_digest=digest, checkpoint=None, curve=None, finished=None)
    log.info("fitting %s", method.name)
    return method.fit(training, validation, own, **method.of_tier(tier))


def backbones_of(methods: Sequence[Method]) -> list[str]:
    """Return the networks with pre-trained weights that the members begin with, each once."""
    from benchmark.networks.backbones import find_backbone

    names = [part for one in methods if one.backbone for part in one.backbone.split("+")]
    return list(dict.fromkeys(name for name in names if find_backbone(name).pretrained))


def weights_of(
    method: Method, methods: Sequence[Method], context: Context
) -> "tuple[Mapping[str, torch.Tensor] | None, str | None]":
    """Return a member's weights of those of all (`networks.backbones.side_by_side`), and their digest."""
    known = backbones_of(methods)
    wanted = [name for name in method.backbone.split("+") if name in known]
    if not wanted or context.weights is None:
        return None, None
    if len(known) == 1:
        return context.weights, context.weights_digest
    digests = str(context.weights_digest).split("+")
    parts = [(place, known.index(name)) for place, name in enumerate(wanted)]
    weights = {
        (f"{place}." if len(parts) > 1 else "") + name.removeprefix(f"{at}."): of
        for place, at in parts
        for name, of in context.weights.items()
        if name.startswith(f"{at}.")
    }
    return weights, "+".join(digests[at] for _, at in parts)


def fusion_of(methods: Sequence[Method], name: str) -> Method:
    """Return the method that fuses these.

    Raises:
        UsageError: there are fewer than two, one twice, or one is a fusion or an oracle.
    """
    names = [one.name for one in methods]
    if len(set(names)) < max(2, len(names)) or any(one.told or one.name.startswith("fusion") for one in methods):
        raise UsageError(f"{name}: a fusion is of two methods or more, each once, none of them a fusion or an oracle")
    nets = [one for one in methods if one.backbone]
    facts = {
        of: ", ".join(dict.fromkeys(getattr(one, of) for one in nets if getattr(one, of) not in ("none", "")))
        for of in ("pretraining", "weights_licence")
    }
    smoke: dict[str, Parameter] = {"tier": "smoke"} if any(one.smoke for one in methods) else {}
    return Method(
        name=name,
        title=f"Fusion of {', '.join(names)}",
        fit=partial(fit, methods=tuple(methods)),
        parameters={"floor": 0.01, "tier": "paper"},
        smoke=smoke,
        version=f"{FUSION_VERSION}({','.join(one.version for one in methods)})",
        gives=frozenset({"labels", "places"}),
        needs=frozenset[str]().union(*(one.needs for one in methods)),
        stochastic=any(one.stochastic for one in methods),
        selection="weights-on-validation",
        pretraining=facts["pretraining"] or "none",
        weights_licence=facts["weights_licence"],
        backbone="+".join(backbones_of(methods)),
        estimate=partial(_seconds, methods),
    )


def _seconds(methods: Sequence[Method], photos: int, classes: int, device: str, *, floor: float, tier: str) -> float:
    return sum(one.estimate(photos, classes, device, **one.of_tier(tier)) for one in methods if one.estimate)
