"""One training run: epochs, selection, learning curve, checkpoints. The engine takes the steps.

A checkpoint is one file: tensors as safetensors, everything else as JSON in its header, no pickle. Random choices need no
state in it: they are drawn from (seed, epoch, step).
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from benchmark.networks.augment import ResidentPhotos
from benchmark.networks.backbones import find_backbone
from benchmark.networks.fast import FastEngine
from benchmark.networks.inference import CentreCrops, Epoch, TrainedNetwork, scores
from benchmark.networks.optimisation import Average, Optimisation, overwrite, rates_of
from benchmark.networks.recipe import Recipe, starting_network
from benchmark.networks.reference import ReferenceEngine
from benchmark.networks.starting import SHARES, add_adapters, between, merge_adapters, probe
from benchmark.photos import DECODER, LabelledPhotos
from collector.errors import T15Error, UsageError, one_line
from collector.progress import Track
from collector.workspace import draft_of

log = logging.getLogger("t15")

VERSION = 2
"""Changes whenever a run would go on differently from the same file."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run has come to after an epoch.

    Attributes:
        facts: plain JSON: the curve, the best epoch so far.
        tensors: by name.
    """

    facts: dict[str, Any]
    tensors: dict[str, Tensor]


def identify(
    recipe: Recipe,
    seed: int,
    engine: str,
    device: str,
    training: LabelledPhotos,
    validation: LabelledPhotos,
    weights: Mapping[str, Tensor] | None,
) -> str:
    """Return the sha256 of everything that the run's result depends on: another run's checkpoint is none of this one."""
    data = [[*side.digests, *map(str, side.labels.tolist())] for side in (training, validation)]
    versions = [VERSION, DECODER, torch.__version__]
    canonical = json.dumps([asdict(recipe), seed, engine, device, training.classes, data, versions], sort_keys=True)
    digest = hashlib.sha256(canonical.encode())
    for name, tensor in sorted((weights or {}).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_checkpoint(path: Path, identity: str, progress: Progress) -> None:
    """Write a checkpoint so that the old one or the new one is there, whole.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in progress.tensors.items()}
    try:
        save_file(tensors, draft, metadata={"identity": identity, "facts": json.dumps(progress.facts)})
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink()
        if isinstance(error, SafetensorError):  # its writer's word for what the system said
            raise OSError(f"{path}: {error}") from error
        raise


def load_checkpoint(path: Path, identity: str) -> Progress | None:
    """Return what was saved for this run; None where nothing was, or, with a warning, by another run, or a damaged file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("identity") != identity:
                log.warning("%s: is the checkpoint of another run; training begins anew", path)
                return None
            return Progress(json.loads(header["facts"]), {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        log.warning("%s: cannot be read (%s); training begins anew", path, one_line(error))
        return None


CHECKPOINT_SECONDS = 20.0
"""At least so long lies between two checkpoints: AlexNet's have 0.7 GB, and a GPU ends epochs in a second."""

_ADVICE = "take a smaller learning rate (--set learning_rate=…)"


class DivergedError(T15Error):
    """The loss became infinite or no number."""


class Engine(Protocol):
    """Takes the steps of an epoch."""

    optimisation: Optimisation

    def epoch(self, number: int) -> Iterator[tuple[Tensor, int]]:
        """Train one epoch; yield each step's loss, and its photos."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A run to do.

    Attributes:
        seed: of everything random.
        recipe: how.
        weights: state of the pre-trained network with its own classifier, None for random ones.
        checkpoint: file that keeps the run while it goes on, None for none.
        precision: `float32` or `bf16`; empty for what the engine takes on the device.
    """

    seed: int
    recipe: Recipe
    weights: Mapping[str, Tensor] | None = None
    checkpoint: Path | None = None
    precision: str = ""


class SharedPhotos:
    """The photos of one or several runs: what they need on the device is there once.

    Raises:
        UsageError: there are no training photos.
    """

    def __init__(self, training: LabelledPhotos, validation: LabelledPhotos, device: str) -> None:
        if not len(training):
            raise UsageError("there are no training photos: nothing can be learnt from this data set")
        self.training, self.validation, self.device = training, validation, device
        self.resident = cache(
            lambda shape: ResidentPhotos(
                training.pictures(shape.resize, shape.interpolation) if shape else training.originals(), device
            )
        )
        self.crops = cache(lambda shape: CentreCrops(validation, shape)[:].to(device))
        self.probe = cache(lambda shape: CentreCrops(training, shape)[:4].to(device))
        self.labels = torch.from_numpy(validation.labels)


class TrainingRun:
    """A run at its beginning, or where its checkpoint left it; `steps` does it.

    Raises:
        DataError: the weights are another network's.
        UsageError: the recipe cannot be carried out with this data.
    """

    def __init__(self, job: Job, photos: SharedPhotos, engine: str) -> None:
        self.job, self.photos, recipe = job, photos, job.recipe
        if recipe.selection == "best-on-validation" and not len(photos.validation):
            raise UsageError("there are no validation photos to select by: take selection last-epoch")
        self.backbone = find_backbone(recipe.backbone)
        self.classes = len(photos.training.classes)
        start = starting_network(self.backbone, recipe, self.classes, job.seed, job.weights)
        self.network = start.to(photos.device)
        self._begin()
        self.engine = self._engine(engine)
        self.average = Average(changing(self.network), recipe.average) if recipe.average else None
        self.curve: list[Epoch] = []
        self.best: tuple[float, dict[str, Tensor]] = (-1.0, {})
        self._saved = time.monotonic()
        self._identity = ""
        if job.checkpoint:
            sides = photos.training, photos.validation
            self._identity = identify(
                recipe, job.seed, f"{engine} {job.precision}".strip(), photos.device, *sides, job.weights
            )
            if found := load_checkpoint(job.checkpoint, self._identity):
                self._resume(found)

    @property
    def result(self) -> TrainedNetwork:
        """The network of the selected epoch, once all steps are done."""
        device = self.photos.device
        # Gradients would keep a CUDA graph's memory, and as much as the weights.
        self.engine.optimisation.optimiser.zero_grad()
        return TrainedNetwork(
            self.network.eval(), self.backbone, self.job.recipe, device, self.classes, tuple(self.curve)
        )

    def steps(self, track: Track) -> Iterator[None]:
        """Do the run, yielding after every step.

        Raises:
            DivergedError: the loss became infinite or no number.
        """
        recipe = self.job.recipe
        epochs = range(len(self.curve) + 1, recipe.epochs + 1)
        try:
            for number in track(epochs, f"training {recipe.backbone}, seed {self.job.seed}"):
                yield from self.epoch(number)
                self.save()
        except DivergedError:
            self._forget()
            raise
        if recipe.selection == "best-on-validation":
            overwrite(changing(self.network), self.best[1])
        elif self.average:
            overwrite(changing(self.network), self.average.tensors)
        merge_adapters(self.network)
        if recipe.interpolate:
            self._interpolate()
        self._forget()

    def _begin(self) -> None:
        """Do what the recipe wants done before the first step."""
        recipe, photos = self.job.recipe, self.photos
        if recipe.interpolate and not len(photos.validation):
            raise UsageError("there are no validation photos to choose a share by: take interpolate=no")
        if recipe.probe:
            probe(self.network, self.backbone, photos.training, photos.validation, recipe.size, photos.device)
        self._start = (
            {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
            if recipe.interpolate
            else {}
        )
        if recipe.adapters:
            add_adapters(self.network, self.backbone, recipe.adapters)

    def _interpolate(self) -> None:
        """Keep the weights between beginning and end that validation likes best; of equals those nearest to the end."""
        tensors = self.network.state_dict()
        end = {name: tensor.clone() for name, tensor in tensors.items()}
        crops = self.photos.crops(self.backbone.preprocessing.at(self.job.recipe.size))

        def right(share: float) -> int:
            overwrite(tensors, between(self._start, end, share))
            found = scores(self.network, self.backbone, crops, self.photos.device)
            return int((found.argmax(dim=1) == self.photos.labels).sum())

        share = max(SHARES, key=lambda of: (right(of), of))
        log.info("%s: weights at %.1f of the way from the beginning to the end", self.backbone.name, share)
        overwrite(tensors, between(self._start, end, share))

    def _engine(self, name: str) -> Engine:
        network, photos, seed, recipe = self.network, self.photos, self.job.seed, self.job.recipe
        if name == "reference":
            return ReferenceEngine(network, self.backbone, photos.training, seed, photos.device, recipe)
        shape = self.backbone.preprocessing.at(recipe.size) if recipe.crops_from == "resized" else None
        labels, precision = photos.training.labels, self.job.precision
        return FastEngine(
            network, self.backbone, photos.resident(shape), labels, self.classes, seed, photos.device, recipe, precision
        )

    def epoch(self, number: int) -> Iterator[None]:
        """Learn once from all training photos and look at the validation photos; stops after each step."""
        recipe, started = self.job.recipe, time.perf_counter()
        rate = rates_of(recipe, number, 1)[0]
        losses: list[Tensor] = []
        counts: list[int] = []
        for loss, photos in self.engine.epoch(number):
            losses.append(loss)
            counts.append(photos)
            if self.average:
                self.average.update(changing(self.network))
            if self.photos.device == "cpu" and not torch.isfinite(loss):  # to ask a GPU would wait for it
                break
            yield
        values = torch.stack(losses).double().cpu()
        if not torch.isfinite(values).all():
            step = int((~torch.isfinite(values)).int().argmax())
            where = f"in step {step + 1} of epoch {number}"
            raise DivergedError(f"{recipe.backbone}: the loss became {values[step].item()} {where}; {_ADVICE}")
        with self.average.inside(changing(self.network)) if self.average else nullcontext():
            accuracy, validation_loss = self._judge(number)
        loss_of_all = float(values @ torch.tensor(counts, dtype=torch.double)) / sum(counts)
        seconds = time.perf_counter() - started
        self.curve.append(Epoch(number, loss_of_all, accuracy, validation_loss, rate, seconds))
        log.info("epoch %d: loss %.4f, validation accuracy %s", number, loss_of_all, accuracy)

    def _judge(self, number: int) -> tuple[float | None, float | None]:
        """Return accuracy and loss on validation, and keep the weights if they are the best so far."""
        recipe, photos = self.job.recipe, self.photos
        selecting = recipe.selection == "best-on-validation"
        # The loss tells of the weights before a step only, so scores are looked at in any case.
        crops = (photos.crops if selecting else photos.probe)(self.backbone.preprocessing.at(recipe.size))
        logits = scores(self.network, self.backbone, crops, photos.device)
        if not torch.isfinite(logits).all():
            raise DivergedError(
                f"{recipe.backbone}: in epoch {number} the weights became so large that scores are no numbers; {_ADVICE}"
            )
        if not selecting:
            return None, None
        accuracy = float((logits.argmax(dim=1) == photos.labels).double().mean())
        if accuracy > self.best[0]:
            self.best = accuracy, {name: tensor.clone() for name, tensor in changing(self.network).items()}
        return accuracy, float(functional.cross_entropy(logits, photos.labels))

    def save(self) -> None:
        """Write the checkpoint of the job, where it has one and the last is older than CHECKPOINT_SECONDS."""
        if self.job.checkpoint and time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            kinds = {
                "network": changing(self.network),
                "best": self.best[1],
                "optimiser": self.engine.optimisation.state(),
                "average": self.average.tensors if self.average else {},
            }
            tensors = {f"{kind}.{name}": tensor for kind, named in kinds.items() for name, tensor in named.items()}
            facts = {"curve": [asdict(epoch) for epoch in self.curve], "best": self.best[0]}
            if self.average:
                facts["steps"] = self.average.steps
            save_checkpoint(self.job.checkpoint, self._identity, Progress(facts, tensors))
            self._saved = time.monotonic()

    def _resume(self, saved: Progress) -> None:
        def of(kind: str) -> dict[str, Tensor]:
            found = ((name.partition("."), tensor) for name, tensor in saved.tensors.items())
            return {name: tensor.to(self.photos.device) for (first, _, name), tensor in found if first == kind}

        overwrite(changing(self.network), of("network"))
        self.engine.optimisation.resume(of("optimiser"))
        if self.average:
            overwrite(self.average.tensors, of("average"))
            self.average.steps = saved.facts["steps"]
        self.best = saved.facts["best"], of("best")
        self.curve = [Epoch(**epoch) for epoch in saved.facts["curve"]]
        log.info("going on after epoch %d of %s", len(self.curve), self.job.checkpoint)

    def _forget(self) -> None:
        if self.job.checkpoint:
            self.job.checkpoint.unlink(missing_ok=True)


def changing(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that training changes: weights that are not frozen, and the statistics of all layers."""
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    return {name: tensor for name, tensor in network.state_dict().items() if name not in frozen}
