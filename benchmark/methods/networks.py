"""Methods that use a network: from random weights, as features, fine-tuned in whole or in part.

The variants of transfer learning, the least change first, for any network with pre-trained weights:

| method | what learns |
|---|---|
| `features:NETWORK` | logistic regression on the frozen network's last features of centre crops |
| `finetune-classifier:NETWORK` | the last layer, by SGD on augmented photos |
| `finetune-c:NETWORK`, `-b`, `-a` | what lies behind the paper's cuts C, B and A, and the last layer |
| `finetune:NETWORK` | everything |
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.methods.features import LARGEST
from benchmark.methods.types import Context, Method, PaperRow, Parameter, Predictor, Training
from benchmark.photos import Photos
from collector.errors import UsageError
from collector.workspace import write_atomically

if TYPE_CHECKING:
    import torch

    from benchmark.features.extract import Feature
    from benchmark.methods.features import Classifier
    from benchmark.networks.backbones import Backbone
    from benchmark.networks.inference import Epoch, TrainedNetwork

TRANSFER_VARIANTS = {
    "finetune-classifier": ("all but the classifier", "classifier only"),
    "finetune-c": ("c", "layers C frozen"),
    "finetune-b": ("b", "layers B frozen"),
    "finetune-a": ("a", "layers A frozen"),
    "finetune": ("none", "all layers"),
}
"""Kinds of fine-tuning: what each freezes (`networks.backbones.FROZEN`), and how a title says it."""

TRAINING_VERSION = "1"
"""Of the code that trains networks, and of the recipe's defaults; another one makes all runs of these methods new ones."""

FEATURES_VERSION = "1"
"""Of the code that classifies a network's features, and of its defaults."""

_AT_ONCE = 32  # photos through a network for features: larger batches are no faster on a CPU
_ITERATIONS = 500  # of logistic regression, as in the paper


def fit_network(training: Training, validation: Training, context: Context, **recipe: Any) -> "TrainedNetwork":
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


@dataclass(frozen=True)
class NetworkFeatures:
    """Logistic regression on the features of a network that does not learn.

    `network` is in evaluation mode on the device; `size` is the pixels of the centre crop.
    """

    network: "torch.nn.Module"
    backbone: str
    size: int
    weights_digest: str | None
    device: str
    classifier: "Classifier | None" = None

    def embed(self, photos: Photos) -> NDArray[np.float32]:
        """Return the features (N, D) of centre crops."""
        from benchmark.features.extract import extract

        return extract(self._feature(), photos, self.device)

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        """Return the probability of each class for each photo, (N, C)."""
        assert self.classifier is not None  # noqa: S101 (set by `fit_features`, the only maker of predictors)
        return self.classifier.predict_proba(self.embed(photos))

    def save(self) -> tuple[str, dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the kind, what is needed to build it again as plain JSON, and its arrays by name (`load_features`)."""
        assert self.classifier is not None  # noqa: S101 (as in `predict_labels`)
        kind, spec, arrays = self.classifier.save()
        state = {f"network.{name}": of.cpu().numpy().copy() for name, of in self.network.state_dict().items()}
        described = {"backbone": self.backbone, "size": self.size, "weights": self.weights_digest}
        return "network-features", {**described, "classifier": kind, "of_classifier": spec}, {**state, **arrays}

    def _feature(self) -> "Feature":
        import torch

        from benchmark.features.extract import Feature
        from benchmark.networks.backbones import find_backbone, penultimate

        backbone = find_backbone(self.backbone)
        shape = backbone.preprocessing.at(self.size)
        mean, std = (torch.tensor(of, device=self.device).view(3, 1, 1) for of in (shape.mean, shape.std))
        margin = (shape.resize - self.size) // 2

        @torch.inference_mode()
        def compute(photos: torch.Tensor) -> torch.Tensor:
            crops = photos[:, :, margin : margin + self.size, margin : margin + self.size].to(self.device)
            blocks = [
                penultimate(self.network, backbone, (b.float() / 255 - mean) / std) for b in crops.split(_AT_ONCE)
            ]
            # Of no photo at all the width is asked for as well.
            return torch.cat(blocks) if len(crops) else penultimate(self.network, backbone, crops.float())

        # The central crop of the "cover" square is Resize and CenterCrop, as every test transform has it.
        return Feature(
            "network",
            compute,
            shape.resize,
            version=1,
            rule="cover" if shape.interpolation == "bilinear" else f"cover-{shape.interpolation}",
            parameters={"network": self.backbone, "crop": self.size, "weights": self.weights_digest},
            kept=self.weights_digest is not None,  # random weights are those of one run
        )


def load_features(spec: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], device: str) -> NetworkFeatures:
    """Return the predictor that `NetworkFeatures.save` described.

    Raises:
        UsageError: there is no such network here (a plug-in that is not installed).
        ValueError, KeyError, TypeError, RuntimeError: the description is none, or does not fit the arrays.
    """
    import torch

    from benchmark.methods.features import load_classifier
    from benchmark.networks.backbones import find_backbone

    size = spec["size"]
    if type(size) is not int or not 16 <= size <= LARGEST:
        raise ValueError(f"a network on photos of {size!r} pixels; 16 to {LARGEST} are possible")
    backbone = find_backbone(spec["backbone"])
    network = backbone.build(backbone.pretrained.classes if backbone.pretrained else 1000)
    mine = {name.removeprefix("network."): of for name, of in arrays.items() if name.startswith("network.")}
    network.load_state_dict({name: torch.from_numpy(np.array(of)) for name, of in mine.items()})
    others = {name: of for name, of in arrays.items() if not name.startswith("network.")}
    classifier = load_classifier(spec["classifier"], spec["of_classifier"], others, device)
    return NetworkFeatures(network.eval().to(device), backbone.name, size, spec["weights"], device, classifier)


def fit_features(
    training: Training,
    validation: Training,
    context: Context,
    *,
    backbone: str,
    size: int,
    c: float,
    iterations: int,
) -> NetworkFeatures:
    """Fit multinomial logistic regression on a network's features. `validation` is not used."""
    from benchmark.classifiers.logistic import fit_logistic
    from benchmark.networks.backbones import find_backbone

    network = pretrained_network(find_backbone(backbone), context).eval().to(context.device)
    features = NetworkFeatures(network, backbone, size, context.weights_digest, context.device)
    vectors, classes = features.embed(training), len(training.classes)
    model = fit_logistic(vectors, training.labels, classes, c, iterations, device=context.device)
    return replace(features, classifier=model)


def pretrained_network(backbone: "Backbone", context: Context) -> "torch.nn.Module":
    """Return the network with the context's weights, or with random ones of its seed."""
    import torch

    torch.manual_seed(context.seed)
    network = backbone.build(backbone.pretrained.classes if backbone.pretrained else 1000)
    if context.weights is not None:
        network.load_state_dict(dict(context.weights))
    return network


def from_scratch(backbone: "Backbone", name: str = "", paper: PaperRow | None = None, **recipe: Parameter) -> Method:
    """Return the method that trains this network from random weights; `recipe` holds what differs from the paper's."""
    rate = recipe.get("learning_rate")
    title = f"{backbone.title} from scratch" + (f", learning rate {rate:g}" if isinstance(rate, float) else "")
    return _trained(backbone, name or f"scratch:{backbone.name}", title, "none", paper, recipe)


def fine_tuned(backbone: "Backbone", kind: str, paper: PaperRow | None = None, size: int | None = None) -> Method:
    """Return the method of TRANSFER_VARIANTS that begins with this backbone's weights; `size` is another resolution."""
    frozen, what_learns = TRANSFER_VARIANTS[kind]
    title = f"{backbone.title} ({_data(backbone)}) fine-tuned, {what_learns}"
    return _trained(backbone, f"{kind}:{backbone.name}", title, frozen, paper, {} if size is None else {"size": size})


def as_features(backbone: "Backbone", paper: PaperRow | None = None, size: int | None = None) -> Method:
    """Return the method that feeds this network's features to logistic regression; `size` is another resolution."""
    parameters: dict[str, Parameter] = {
        "backbone": backbone.name,
        "size": size or backbone.preprocessing.crop,
        "c": 1.0,
        "iterations": _ITERATIONS,
    }
    return Method(
        name=f"features:{backbone.name}" + (f"@{size}" if size else ""),
        title=f"{backbone.title} ({_data(backbone)}) features, logistic regression"
        + (f", {size} pixels" if size else ""),
        fit=fit_features,
        parameters=parameters,
        smoke={"size": 64, "iterations": 30},
        version=FEATURES_VERSION,
        paper=paper,
        estimate=_features_seconds,
        backbone=backbone.name,
        preprocessing=preprocessing,
        **origin(backbone),
    )


def transfer_variant(name: str) -> Method | None:
    """Return the method of this name for any backbone, built in or plugged in: `finetune-c:squeezenet1_1/places365`.

    `@` and a number behind it is another resolution: `finetune:resnet50/imagenet@448`. None when the name has no such form,
    or there is no such network; `scratch` takes one that is named without weights.
    """
    from benchmark.networks.backbones import backbones

    kind, _, rest = name.partition(":")
    network, at, resolution = rest.partition("@")
    backbone = backbones().get(network)
    if backbone is None or kind not in ("scratch", "features", *TRANSFER_VARIANTS):
        return None
    if at and not re.fullmatch(r"[1-9][0-9]{1,3}", resolution):
        return None
    size = int(resolution) if at else None
    if kind == "scratch":
        recipe: dict[str, Any] = {} if size is None else {"size": size}
        return None if backbone.pretrained else from_scratch(backbone, **recipe)
    return as_features(backbone, size=size) if kind == "features" else fine_tuned(backbone, kind, size=size)


def preprocessing(*, backbone: str, size: int, **others: Any) -> dict[str, Any]:
    """Return how photos become the network's input, for a run's identity."""
    from benchmark.networks.backbones import find_backbone

    return asdict(find_backbone(backbone).preprocessing.at(size))


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
            "size": 64,
            "epochs": 2 if backbone.pretrained is None else 1,
            "batch": smoke_batch,
            "learning_rate": 10 * whole.learning_rate,
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


def _data(backbone: "Backbone") -> str:
    return backbone.pretrained.data if backbone.pretrained else "random"


def origin(backbone: "Backbone") -> dict[str, Any]:
    """Return what a Method says of the backbone's weights."""
    if backbone.pretrained is None:
        return {}
    return {"pretraining": backbone.pretrained.data, "weights_licence": backbone.pretrained.licence}


def _network_seconds(photos: int, classes: int, device: str, **recipe: Any) -> float:
    from benchmark.networks.recipe import Recipe
    from benchmark.networks.train import estimate

    return estimate(photos, classes, device, Recipe(**recipe))


def _features_seconds(
    photos: int, classes: int, device: str, *, backbone: str, size: int, c: float, iterations: int
) -> float:
    from benchmark.networks.recipe import Recipe
    from benchmark.networks.train import estimate

    # A step of training is about three times a forward pass; validation and test photos are half as many again.
    step = estimate(photos, classes, device, Recipe(backbone=backbone, frozen="none", size=size, epochs=1))
    return 1.5 * step / 3
