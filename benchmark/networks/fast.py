"""The same training as `reference`, without what makes that slow.

Photos stay on the device as uint8 and are cropped in batches; channels lie last; frozen layers run without gradient, several
steps of them in one pass; on a GPU the step is a CUDA graph, its arithmetic bfloat16 where there is such.

Several steps through frozen layers in one pass give what each step would have given alone: in training mode a batch
normalisation averages over its own step and then moves its running statistics, and dropout draws for its step, so these two
kinds of layers are applied step by step, in order; all others see the whole pass.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from benchmark.networks.augment import ResidentPhotos, draw_crops, draw_order, step_seed, steps_of
from benchmark.networks.backbones import Backbone, find_backbone, frozen_modules
from benchmark.networks.inference import standardised
from benchmark.networks.optimisation import Optimisation, mixed, rates_of
from benchmark.networks.recipe import Recipe, best_precision, freeze, smallest_step

_KNOWN = ("torch.nn.", "torchvision.models.", "torchvision.ops.misc")
"""Where modules come from that are known to treat each photo by itself, batch normalisation and dropout apart."""


def can_be_grouped(layers: nn.Module) -> bool:
    """Return whether all that is inside is known to be the same for photos in one pass as step by step."""
    return all(type(module).__module__.startswith(_KNOWN) for module in layers.modules())


def seeded_state(seed: int) -> Tensor:
    """Return the state of the CPU's generator after `torch.manual_seed(seed)`."""
    return torch.Generator().manual_seed(seed).get_state()


@contextmanager
def step_by_step(layers: nn.Module, lengths: Sequence[int], states: list[Tensor]) -> Iterator[None]:
    """Make `layers` treat a pass as steps of so many photos each.

    Args:
        layers: in training mode.
        lengths: photos of each step.
        states: of the CPU's generator at the start of each step; afterwards those that the steps leave behind.
    """
    changed = [module for module in layers.modules() if isinstance(module, (_BatchNorm, _DropoutNd))]
    for module in changed:
        module.forward = _stepwise(module, lengths, states)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _stepwise(module: nn.Module, lengths: Sequence[int], states: list[Tensor]) -> Callable[[Tensor], Tensor]:
    original, draws = module.forward, isinstance(module, _DropoutNd)

    def forward(photos: Tensor) -> Tensor:
        found = []
        for step, part in enumerate(photos.split(list(lengths))):
            if draws:
                torch.set_rng_state(states[step])
            found.append(original(part))
            if draws:
                states[step] = torch.get_rng_state()
        return torch.cat(found)

    return forward


_PHOTOS_AT_ONCE = {"cpu": 16, "cuda": 64}
"""Photos cropped, and passed through the frozen layers, in one go."""

_MEASURED_STEPS = 4
"""Of an estimate: two to warm up, and two that are timed."""

_GUESSED_STEP = 0.5
"""Seconds of a step that is not worth measuring."""

_WARM_UP = 3
"""Steps before a CUDA graph is captured, so that libraries have chosen their kernels (PyTorch's notes on CUDA)."""


class FastEngine:
    """Trains `network`, which is on the device already, by the recipe.

    Args:
        network: its weights, in place.
        backbone: the recipe's.
        photos: to learn from.
        labels: (N,) of these.
        classes: how many labels there are.
        seed: of everything random.
        device: `cpu` or `cuda`.
        recipe: by which it is trained.
        precision: `bf16` or `float32`; empty for bf16 on a GPU that has it, float32 elsewhere.
    """

    def __init__(
        self,
        network: nn.Module,
        backbone: Backbone,
        photos: ResidentPhotos,
        labels: NDArray[np.int64],
        classes: int,
        seed: int,
        device: str,
        recipe: Recipe,
        precision: str = "",
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.backbone, self.recipe, self.seed, self.device = backbone, recipe, seed, device
        self.photos, self.labels, self.classes = photos, torch.from_numpy(labels).to(device), classes
        self.least = smallest_step(network, recipe, len(labels))
        self.precision = precision or best_precision(device)
        # Mixed photos go through the frozen layers as such.
        self.head, self.tail = (None, network) if recipe.mixup else _divided(network, backbone, recipe.frozen)
        self.optimisation = Optimisation(network, backbone, recipe, captured=device == "cuda")
        self._captured: _CapturedStep | None = None

    def epoch(self, number: int) -> Iterator[tuple[Tensor, int]]:
        """Train one epoch; yield each step's loss, on the device, and its photos."""
        recipe = self.recipe
        self.network.train()
        if self.device == "cuda":
            torch.cuda.manual_seed(step_seed(self.seed, number, 0))
        crops = draw_crops(self.seed, number, self.photos.sizes, recipe.smallest_crop, recipe.flip)
        steps = steps_of(draw_order(self.seed, number, len(self.labels)), recipe.batch, self.least)
        rates = rates_of(recipe, number, len(steps))
        at_once = max(1, _PHOTOS_AT_ONCE[self.device] // recipe.batch)
        for first in range(0, len(steps), at_once):
            group = steps[first : first + at_once]
            together = np.concatenate(group)
            photos = standardised(self.photos.crops(together, crops, recipe.size), self.backbone)
            labels = self.labels[torch.from_numpy(together).to(self.device)]
            seeds = [step_seed(self.seed, number, first + step) for step in range(len(group))]
            states = [seeded_state(seed) for seed in seeds]
            lengths = [len(step) for step in group]
            inputs = self._through_frozen(photos, lengths, states)
            for step, (features, chosen) in enumerate(zip(inputs.split(lengths), labels.split(lengths), strict=True)):
                torch.set_rng_state(states[step])
                self.optimisation.set_rate(rates[first + step])
                targets = chosen
                if recipe.mixup:
                    features, targets = mixed(features, chosen, self.classes, recipe.mixup, seeds[step])  # noqa: PLW2901
                yield self._step(features, targets), len(chosen)

    def _through_frozen(self, photos: Tensor, lengths: list[int], states: list[Tensor]) -> Tensor:
        if self.head is None:
            return photos
        with torch.no_grad(), self._arithmetic(), step_by_step(self.head, lengths, states):
            features: Tensor = self.head(photos)
        return features

    def _step(self, inputs: Tensor, labels: Tensor) -> Tensor:
        if self.device != "cuda" or len(labels) != self.recipe.batch:
            return self.learn(inputs, labels)
        if self._captured is None:
            self._captured = _CapturedStep(self, inputs, labels)
        return self._captured(inputs, labels)

    def learn(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Take one step on what comes out of the frozen layers, and return its loss."""
        self.optimisation.optimiser.zero_grad()
        with self._arithmetic():
            loss = self.optimisation.loss(self.tail(inputs), labels)
        loss.backward()
        self.optimisation.optimiser.step()
        return loss.detach()

    def _arithmetic(self) -> AbstractContextManager[object]:
        if self.precision == "float32":
            return nullcontext()
        # Without its cache: copies kept from one replay of a graph to the next would be those of old weights.
        return torch.autocast(self.device, torch.bfloat16, cache_enabled=False)


class _CapturedStep:
    """One step of an engine as a CUDA graph, for inputs of one shape."""

    def __init__(self, engine: FastEngine, inputs: Tensor, labels: Tensor) -> None:
        self._inputs, self._labels = inputs.clone(), labels.clone()
        buffers = [tensor for state in engine.optimisation.optimiser.state.values() for tensor in state.values()]
        tensors = [*engine.network.state_dict().values(), *buffers]
        before = [tensor.clone() for tensor in tensors]
        # Captured where it is replayed: cuBLAS's workspaces belong to a stream, and graphs captured on one and replayed on
        # several would write to the same at once. The default stream cannot be captured; there no other run is beside.
        current = torch.cuda.current_stream()
        side = torch.cuda.Stream() if current == torch.cuda.default_stream() else current
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                engine.learn(self._inputs, self._labels)
        current.wait_stream(side)
        with torch.no_grad():
            for tensor, old in zip(tensors, before, strict=True):
                tensor.copy_(old)
        engine.optimisation.optimiser.zero_grad()  # gradients are allocated inside the graph's own memory
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=side):
            self._loss = engine.learn(self._inputs, self._labels)

    def __call__(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self._inputs.copy_(inputs)
        self._labels.copy_(labels)
        self._graph.replay()
        return self._loss.clone()


def _divided(network: nn.Module, backbone: Backbone, frozen: str) -> tuple[nn.Module | None, nn.Module]:
    """Return the frozen layers and those that learn; None and the whole network where the former cannot run ahead."""
    count = len(frozen_modules(network, backbone, frozen))
    layers = list(backbone.layers(network))
    head = nn.Sequential(*layers[:count])
    if not count or not can_be_grouped(head):
        return None, network
    return head, nn.Sequential(*layers[count:])


@cache
def estimate(photos: int, classes: int, device: str, recipe: Recipe) -> float:
    """Return the seconds that training on this device would take, from two timed steps of the fast engine on random pixels.

    What has no more steps than would be taken to measure it is guessed.

    Raises:
        UsageError: there is no such network, or it has no such cut.
    """
    backbone = find_backbone(recipe.backbone)
    steps = -(-photos // recipe.batch) * recipe.epochs
    if steps <= _MEASURED_STEPS:
        return _GUESSED_STEP * steps
    network = _blank(backbone, classes, device)
    freeze(network, backbone, recipe.frozen)
    few = 2 * recipe.batch
    noise = np.random.default_rng(0).integers(0, 256, (few, 3, recipe.resize, recipe.resize * 4 // 3), dtype=np.uint8)
    resident = ResidentPhotos(list(noise), device)
    engine = FastEngine(network, backbone, resident, np.zeros(few, np.int64), classes, 0, device, recipe)
    for epoch in (1, 2):  # the first one warms up
        started = time.perf_counter()
        for _ in engine.epoch(epoch):
            pass
        if device == "cuda":
            torch.cuda.synchronize()
    return (time.perf_counter() - started) / few * photos * recipe.epochs


@torch.no_grad()
def _blank(backbone: Backbone, classes: int, device: str) -> nn.Module:
    """Return the network with all weights 0: drawing AlexNet's takes longer than a step."""
    with torch.device("meta"):
        network = backbone.build(classes).to_empty(device=device)
    for tensor in chain(network.parameters(), network.buffers()):
        tensor.zero_()
    return network
