"""Methods that fit a head on the vectors of networks that do not learn: `HEAD:NETWORK`, such as `lda:resnet18/places365`.

All share `fit_head`: vectors of the training and the validation photos (`features.vectors`, each computed once and kept), for
heads of text those of the labels' texts beside them, a head of HEADS fitted on the former, its settings chosen on the
validation photos. A new head is one function and one entry in `head_kinds`. `concat:A+B` takes vectors of two
networks, or more, one behind the other; `zeroshot:TOWER@names` has its kind of text behind the @.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.methods.features import LARGEST, Classifier
from benchmark.methods.head_kinds import HEADS, Sides, Text
from benchmark.methods.types import Context, Method, PaperRow, Parameter, Training
from benchmark.photos import Photos
from collector.workspace import write_atomically

if TYPE_CHECKING:
    import torch

    from benchmark.features.vectors import Tower
    from benchmark.networks.backbones import Backbone

FEATURES_VERSION = "1"
"""Of the code that classifies vectors, and of its defaults."""

log = logging.getLogger("t15")


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
            {
                name: getattr(of, name)
                for name in ("backbone", "size", "weights_digest", "pooling", "stored", "computed")
            }
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

    from benchmark.features.vectors import COMPUTED, STORED, Tower
    from benchmark.networks.backbones import find_backbone

    size, backbone = spec["size"], find_backbone(spec["backbone"])
    if type(size) is not int or not 16 <= size <= LARGEST:
        raise ValueError(f"a network on photos of {size!r} pixels; 16 to {LARGEST} are possible")
    if spec.get("stored", STORED[0]) not in STORED:
        raise ValueError(f"vectors kept as {spec['stored']!r}")
    if spec.get("computed", COMPUTED[0]) not in COMPUTED:
        raise ValueError(f"vectors computed in {spec['computed']!r}")
    start = f"network{place}."
    network = backbone.build(backbone.pretrained.classes if backbone.pretrained else 1000)
    state = {name.removeprefix(start): of for name, of in arrays.items() if name.startswith(start)}
    network.load_state_dict({name: torch.from_numpy(np.array(of)) for name, of in state.items()})
    others = {name: spec[name] for name in ("pooling", "stored", "computed") if name in spec}
    return Tower(_placed(network, device), backbone.name, size, spec["weights_digest"], device, **others)


def _placed(network: "torch.nn.Module", device: str) -> "torch.nn.Module":
    """Return a network ready to give vectors, its weights laid out as its photos are."""
    import torch

    placed: torch.nn.Module = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


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
    computed: str = "float32",
    prompts: str = "",
    languages: str = "",
    **settings: Any,
) -> NetworkFeatures:
    """Fit a head of HEADS on a network's vectors; of its candidates the one is kept that is right on most validation photos.

    Raises:
        UsageError: there is no such network or pooling, `stored` or `computed` is none of those in `vectors`, or a head of
            text has a tower without a text half or prompts that are none.
        DataError: the head does not converge, or a label has no name in a language.
    """
    of = HEADS[head]
    if of.text:
        from benchmark.features.text_vectors import require_text
        from benchmark.networks.backbones import find_backbone

        require_text(find_backbone(backbone))
    towers = _starting(backbone, str(size), context, pooling=pooling, stored=stored, computed=computed)
    text = _text_of(towers[0], training, context, prompts, languages) if of.text else None
    vectors = embedded(towers, training, of.unit)
    judged = embedded(towers, validation, of.unit) if of.chosen else vectors[:0]
    sides = Sides(vectors, training.labels, judged, validation.labels, len(training.classes), text)
    candidates = of.fit(sides, context, **settings)
    if not of.chosen:
        return NetworkFeatures(towers, candidates[0][1], of.unit)
    chosen, classifier = best_candidate(candidates, sides)
    log.info("chosen on validation: %s", chosen)
    return NetworkFeatures(towers, classifier, of.unit)


def _text_of(tower: "Tower", training: Training, context: Context, text: str, languages: str) -> Text:
    """Return what the tower says of the labels, and write the texts beside the run."""
    from benchmark.classifiers.text_heads import require_text
    from benchmark.features.text_vectors import mean_direction, scale_of, text_vectors
    from benchmark.methods.prompts import prompts
    from benchmark.networks.backbones import find_backbone

    prompt_set, cache = prompts(training.label_set, text, languages), training.store.cache

    def means(rows: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        return np.stack([mean_direction(text_vectors(tower, texts, cache)) for texts in rows])

    labels = means(prompt_set.labels)
    countries = means(prompt_set.of_countries) if prompt_set.countries else labels[:0]
    require_text(labels, find_backbone(tower.backbone).width)
    if context.prompts:
        write_atomically(context.prompts, prompt_set.to_json().encode())
    return Text(labels, countries, np.array(prompt_set.country_of, np.int64), scale_of(tower))


def on_vectors(head: str, backbone: "Backbone", paper: PaperRow | None = None, size: int | None = None) -> Method:
    """Return the method that fits this head on this network's vectors; `size` is another resolution than its own."""
    of, parts = HEADS[head], backbone.parts or (backbone,)
    sizes = [size or part.preprocessing.crop for part in parts]
    # Vectors of timm's are kept in half precision. Those of the paper's networks are as they always were.
    half = all(part.preprocessing.rounding == "torchvision" for part in parts)
    parameters: dict[str, Parameter] = {
        "backbone": backbone.name,
        "size": _joined(sizes),
        "pooling": "penultimate",
        "stored": "float16" if half else "float32",
        "computed": "float32",
        **of.settings,
    }
    data, (kind, at, words) = backbone.pretrained.data if backbone.pretrained else "random", head.partition("@")
    return Method(
        name=f"{kind}:{backbone.name}" + (f"@{size}" if size else "") + at + words,
        title=f"{backbone.title} ({data}) features, {of.title}" + (f", {size} pixels" if size else ""),
        fit=_fitting(head),
        parameters=parameters,
        smoke={"size": _joined([part.quick_size for part in parts]), **of.smoke},
        version=FEATURES_VERSION,
        stochastic=of.stochastic,
        selection="best-on-validation" if of.chosen else "none",
        paper=paper,
        estimate=_seconds if all(part.gigaflops for part in parts) else None,
        backbone=backbone.name,
        keeps_weights=True,
        preprocessing=_preprocessing_and_text if of.text else preprocessing,
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


def _preprocessing_and_text(*, backbone: str, size: int | str, **others: Any) -> dict[str, Any]:
    """Return the same with the tokenizer of the tower's text half, where it is here."""
    from benchmark.features.text_vectors import tokenizer_facts
    from benchmark.networks.backbones import find_backbone
    from collector.errors import T15Error

    try:
        tokens = tokenizer_facts(find_backbone(backbone))
    except T15Error:  # the run will say so
        tokens = "missing"
    return {**preprocessing(backbone=backbone, size=size), "tokenizer": tokens}


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
    return Tower(_placed(network, context.device), backbone.name, size, digest, context.device, **kept)


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


def _starting(name: str, size: str, context: Context, **kept: str) -> "tuple[Tower, ...]":
    from benchmark.features.vectors import check_stored
    from benchmark.networks.backbones import find_backbone

    check_stored(kept["stored"], kept["computed"])
    of = find_backbone(name)
    parts = of.parts or (of,)
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


def best_candidate(candidates: "Sequence[tuple[str, Classifier]]", sides: Sides) -> "tuple[str, Classifier]":
    """Return the candidate that is right on most validation photos, of equal ones the first; a lone one is not asked."""

    def right(one: "tuple[str, Classifier]") -> int:
        return int((one[1].predict_proba(sides.judged).argmax(axis=1) == sides.truth).sum())

    return max(candidates, key=right) if candidates[1:] else candidates[0]


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
