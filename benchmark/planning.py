"""Which runs a benchmark is made of: methods × seeds, each with its parameters and the weights that it begins with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.methods.types import Method
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.results import RunInputs, is_finished
from collector.errors import UsageError, did_you_mean
from collector.manifest.manifest import Manifest

MODELS = ("first", "all", "none")
"""Whose models are kept for `t15 predict`: of each method's first seed, of all seeds, or of none."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run to do: a method with its parameters, and a seed.

    `weights` are `none`, `pre-trained`, `random` (the smoke tier does without those that are missing) or `missing`.
    """

    method: Method
    inputs: RunInputs
    tier: str
    weights: str = "none"
    changed: Mapping[str, Any] = field(default_factory=dict)
    keeps_model: bool = False


def plan(
    manifest: Manifest,
    methods: Sequence[Method],
    seeds: Sequence[int],
    tier: str,
    settings: Mapping[str, str] | None = None,
    models: str = "first",
) -> list[Task]:
    """Return the runs of methods × seeds. Where the seed does not matter, seed 0 stands for all.

    Args:
        manifest: what they learn from.
        methods: which.
        seeds: of everything random.
        tier: `paper` or `smoke`.
        settings: parameters to change, as text, in the methods that have them.
        models: one of MODELS.

    Raises:
        UsageError: no method has a parameter of `settings`, or a value is none of its kind.
    """
    settings = settings or {}
    for name in settings:
        if not any(name in method.parameters for method in methods):
            known = sorted({parameter for method in methods for parameter in method.parameters})
            raise UsageError(f"--set {name}: none of these methods has it{did_you_mean(name, known)}")
    return [
        task
        for method in methods
        for task in _tasks(manifest.digest, method.changed(settings), method, seeds, tier, models)
    ]


def _tasks(
    digest: str, method: Method, unchanged: Method, seeds: Sequence[int], tier: str, models: str
) -> Iterator[Task]:
    # A method without settings for the smoke tier runs with the paper's in both, and that run is a paper run.
    tier = tier if unchanged.smoke else "paper"
    parameters, usual = method.of_tier(tier), unchanged.of_tier(tier)
    changed = {name: value for name, value in parameters.items() if value != usual[name]}
    weights_digest, state = _weights(method, tier)
    for number, seed in enumerate(seeds if method.stochastic or state == "random" else [0]):
        inputs = RunInputs(digest, method.name, parameters, weights_digest, seed)
        yield Task(method, inputs, tier, state, changed, models == "all" or (models == "first" and number == 0))


def _weights(method: Method, tier: str) -> tuple[str | None, str]:
    if not method.backbone or find_backbone(method.backbone).pretrained is None:
        return None, "none"
    stored = weights.stored(find_backbone(method.backbone))
    if stored is None:
        return None, "random" if tier == "smoke" else "missing"
    return stored.digest, "pre-trained"


def estimate(manifest: Manifest, tasks: Sequence[Task], runs: Path, device: str) -> float:
    """Return how many seconds the unfinished tasks will take, from each method's own estimate on this device."""
    photos, classes = len(manifest.photos("train")), len(manifest.header.cities)
    known: dict[str, float] = {}
    total = 0.0
    for task in tasks:
        if task.method.estimate is None or task.weights == "missing" or is_finished(runs, task.inputs.identity):
            continue
        if task.method.name not in known:
            known[task.method.name] = task.method.estimate(photos, classes, device, **task.inputs.parameters)
        total += known[task.method.name]
    return total
