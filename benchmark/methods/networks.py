"""Methods that train a network: from random weights, or from weights that it was given, in whole or in part.

The variants of transfer learning, the least change first, for any network with pre-trained weights:

| method | what learns |
|---|---|
| `features:NETWORK` and others | a head on vectors of the frozen network, see `methods.heads` |
| `finetune-classifier:NETWORK` | the last layer, by SGD on augmented photos |
| `finetune-c:NETWORK`, `-b`, `-a` | what lies behind the paper's cuts C, B and A, and the last layer |
| `finetune:NETWORK` | everything |
| `finetune-modern:NETWORK` | everything, as one does it today (RECIPES) |
| `finetune-lora:NETWORK` | adapters beside a transformer's weights, and the last layer |
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.methods.head_kinds import HEADS
from benchmark.methods.heads import on_vectors, origin, preprocessing
from benchmark.methods.types import Context, Method, PaperRow, Parameter, Predictor, Training
from benchmark.photos import LabelledPhotos
from collector.errors import UsageError
from collector.workspace import write_atomically

if TYPE_CHECKING:
    from benchmark.networks.backbones import Backbone
    from benchmark.networks.inference import Epoch, TrainedNetwork

TRANSFER_VARIANTS = {
    "finetune-classifier": ("all but the classifier", "classifier only"),
    "finetune-c": ("c", "layers C frozen"),
    "finetune-b": ("b", "layers B frozen"),
    "finetune-a": ("a", "layers A frozen"),
    "finetune": ("none", "all layers"),
    "finetune-modern": ("none", "today's recipe"),
    "finetune-lora": ("none", "adapters of rank 8"),
}
"""Kinds of fine-tuning: what each freezes (`networks.backbones.FROZEN`), and how a title says it."""

_TODAY: dict[str, Parameter] = {
    **{"optimiser": "adamw", "schedule": "cosine", "warm_up": 1, "epochs": 12, "batch": 32, "weight_decay": 0.05},
    **{"label_smoothing": 0.1, "average": 0.99, "probe": True, "interpolate": True, "smallest_crop": 0.25},
}

RECIPES: dict[str, dict[str, Parameter]] = {
    "finetune-modern": {**_TODAY, "learning_rate": 3e-4, "layer_decay": 0.75},
    "finetune-lora": {**_TODAY, "learning_rate": 1e-3, "adapters": 8},
}
"""What differs from the paper's recipe: our choice among common values, none of it tried out on test photos."""

TRAINING_VERSION = "1"
"""Of the code that trains networks, and of the recipe's defaults; another one makes all runs of these methods new ones."""


def fit_network(
    training: LabelledPhotos, validation: LabelledPhotos, context: Context, **recipe: Any
) -> "TrainedNetwork":
    """Train a network; `recipe` holds the fields of `networks.recipe.Recipe`."""
    from benchmark.networks.recipe import Recipe
    from benchmark.networks.train import train

    network = train(
        training,
        validation,
        context.seed,
        context.device,
        Recipe(**recipe),
        context.weights,
        context.engine,
        context.checkpoint,
        context.progress,
        context.precision,
    )
    if context.curve:
        save_curve(context.curve, network.curve)
    return network


def fit_networks(
    training: Training, validation: Training, contexts: Sequence[Context], recipes: Sequence[Mapping[str, Parameter]]
) -> "list[Predictor | Exception]":
    """Train networks side by side (`networks.train.train_many`), all on one device and with one engine.

    On a CPU the networks are the same as one by one. On a GPU they share its generator, so that the masks of AlexNet's
    dropout depend on who else is training: valid, and not repeatable to the bit.
    """
    from benchmark.networks.recipe import Recipe
    from benchmark.networks.train import Job, train_many

    jobs: dict[int, Job] = {}
    outcomes: dict[int, Predictor | Exception] = {}
    for number, (context, recipe) in enumerate(zip(contexts, recipes, strict=True)):
        try:
            jobs[number] = Job(context.seed, Recipe(**recipe), context.weights, context.checkpoint, context.precision)  # type: ignore[arg-type]
        except (UsageError, TypeError) as error:  # that run's failure, and not the end of the rest
            outcomes[number] = error
    first = contexts[0]
    networks = train_many(list(jobs.values()), training, validation, first.device, first.engine, first.progress)
    for number, network in zip(jobs, networks, strict=True):
        outcomes[number] = network
        if not isinstance(network, Exception) and (curve := contexts[number].curve):
            save_curve(curve, network.curve)
    return [outcomes[number] for number in range(len(contexts))]


def save_curve(path: Path, curve: "Sequence[Epoch]") -> None:
    """Write a learning curve as JSON: a list of epochs, with the fields of `networks.inference.Epoch`."""
    write_atomically(path, (json.dumps([asdict(epoch) for epoch in curve], indent=1) + "\n").encode())


def from_scratch(backbone: "Backbone", name: str = "", paper: PaperRow | None = None, **recipe: Parameter) -> Method:
    """Return the method that trains this network from random weights; `recipe` holds what differs from the paper's."""
    rate = recipe.get("learning_rate")
    title = f"{backbone.title} from scratch" + (f", learning rate {rate:g}" if isinstance(rate, float) else "")
    return _trained(backbone, name or f"scratch:{backbone.name}", title, "none", paper, recipe)


def fine_tuned(backbone: "Backbone", kind: str, paper: PaperRow | None = None, size: int | None = None) -> Method:
    """Return the method of TRANSFER_VARIANTS that begins with this backbone's weights; `size` is another resolution."""
    frozen, what_learns = TRANSFER_VARIANTS[kind]
    data = backbone.pretrained.data if backbone.pretrained else "random"
    title = f"{backbone.title} ({data}) fine-tuned, {what_learns}"
    recipe = {**RECIPES.get(kind, {}), **({} if size is None else {"size": size})}
    return _trained(backbone, f"{kind}:{backbone.name}", title, frozen, paper, recipe)


def can_learn(backbone: "Backbone", kind: str) -> bool:
    """Return whether the network has what a kind of fine-tuning freezes or adapts; heads take every network."""
    if kind == "finetune-lora":
        return backbone.patch > 1  # adapters are for transformers
    frozen, _ = TRANSFER_VARIANTS.get(kind, ("none", ""))
    return frozen in ("none", "all but the classifier", *backbone.cuts)


def transfer_variant(name: str) -> Method | None:
    """Return the method of this name for any backbone, built in or plugged in: `finetune-c:squeezenet1_1/places365`.

    `@` and a number behind it is another resolution: `finetune:resnet50/imagenet@448`. None when the name has no such form,
    or there is no such network; `scratch` takes one that is named without weights, `concat` several: `concat:A+B`, and
    `zeroshot` has the kind of its texts behind the @: `zeroshot:vit-b-32/openai@templates`.
    """
    from benchmark.networks.backbones import find_backbone, lookup

    kind, _, rest = name.partition(":")
    network, at, resolution = rest.partition("@")
    if kind == "zeroshot":
        kind, at, resolution = f"zeroshot@{resolution}", "", ""
    several = network.split("+")
    if kind not in ("scratch", *HEADS, *TRANSFER_VARIANTS) or (kind == "concat") != (len(several) > 1):
        return None
    if not all(map(lookup, several)):
        return None
    backbone = find_backbone(network)
    if at and not re.fullmatch(r"[1-9][0-9]{1,3}", resolution):
        return None
    size = int(resolution) if at else None
    if kind == "scratch":
        recipe: dict[str, Any] = {} if size is None else {"size": size}
        return None if backbone.pretrained else from_scratch(backbone, **recipe)
    return on_vectors(kind, backbone, size=size) if kind in HEADS else fine_tuned(backbone, kind, size=size)


def _trained(
    backbone: "Backbone",
    name: str,
    title: str,
    frozen: str,
    paper: PaperRow | None,
    recipe: Mapping[str, Parameter],
) -> Method:
    from benchmark.networks.recipe import Recipe

    size = recipe.get("size")
    given = {"size": backbone.preprocessing.crop, **recipe}
    whole = Recipe(backbone=backbone.name, frozen=frozen, **given)  # type: ignore[arg-type]
    # Most of AlexNet's time on small pictures goes into updating its 57 million weights: fewer, larger steps.
    smoke_batch = 64 if backbone.architecture == "alexnet" else 16
    return Method(
        name=name + (f"@{size}" if size else ""),
        title=title + (f", {size} pixels" if size else ""),
        fit=fit_network,
        parameters=asdict(whole),
        smoke={
            "size": backbone.quick_size,
            "epochs": 2 if backbone.pretrained is None else 1,
            "batch": smoke_batch,
            **({"learning_rate": 10 * whole.learning_rate} if whole.optimiser == "sgd" else {}),
        },
        version=TRAINING_VERSION,
        stochastic=True,
        selection=whole.selection,
        paper=paper,
        estimate=_network_seconds,
        backbone=backbone.name,
        preprocessing=preprocessing,
        fit_many=fit_networks,
        **origin(backbone),
    )


def _network_seconds(photos: int, classes: int, device: str, **recipe: Any) -> float:
    from benchmark.networks.fast import estimate
    from benchmark.networks.recipe import Recipe

    return estimate(photos, classes, device, Recipe(**recipe))
