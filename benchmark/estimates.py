"""How long runs will take: each method's own formula, set right by what finished runs took on this machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.doctor import describe_device
from benchmark.label_set import label_set, photos_at
from benchmark.methods.types import Method
from benchmark.planning import Task
from benchmark.results import finished_runs, is_finished
from benchmark.runner import Outcome
from collector.manifest.manifest import Manifest
from collector.text_table import duration

_ENOUGH = 3
"""Finished runs from which their pace is trusted."""

_LEAST = 0.5
"""Seconds: runs that are quicker say nothing about the pace, and each run takes so long at least."""

_SPREAD = (2.0, 4.0)
"""Factor that an estimate may be wrong by in either direction: with a pace measured here, and without."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Seconds of each task, 0 for those that need none; `measured` where the pace of this machine is known."""

    seconds: tuple[float, ...]
    measured: bool

    @property
    def total(self) -> float:
        """Of all tasks, the likeliest."""
        return sum(self.seconds)

    def text(self) -> str:
        """Return the estimate as a range in words."""
        if not self.total:
            return "estimated: nothing to do"
        spread = _SPREAD[0] if self.measured else _SPREAD[1]
        low, high = duration(self.total / spread), duration(self.total * spread)
        how = "by runs finished here" if self.measured else "by formulas from other machines"
        return f"estimated: {low} to {high} ({how})"

    def left(self, outcomes: Sequence[Outcome]) -> str:
        """Return what is left after the first tasks, by their pace, for the end of a line; empty when it is little."""
        rest = sum(self.seconds[len(outcomes) :])
        of_done = sum(self.seconds[: len(outcomes)])
        taken = sum(outcome.seconds for outcome in outcomes)
        left = rest * (taken / of_done if of_done >= _LEAST and taken else 1.0)
        return f"; about {duration(left)} left" if left >= 10 else ""


def expect(manifest: Manifest, tasks: Sequence[Task], runs: Path, device: str) -> Expected:
    """Return how long the unfinished tasks will take on this device."""
    pace = _pace(manifest, {task.method.name: task.method for task in tasks}, runs, device)
    seconds = []
    for task in tasks:
        idle = not task.can_begin or is_finished(runs, task.inputs.identity)
        formula = 0.0 if idle else _formula(manifest, task.method, task.inputs.level, device, task.inputs.parameters)
        seconds.append(0.0 if idle else max(_LEAST, formula * (pace or 1.0)))
    return Expected(tuple(seconds), pace is not None)


def _formula(manifest: Manifest, method: Method, level: str, device: str, parameters: dict[str, Any]) -> float:
    if method.estimate is None:
        return 0.0
    photos, classes = len(photos_at(manifest, "train", level)), len(label_set(manifest, level))
    return method.estimate(photos, classes, device, **parameters)


def _pace(manifest: Manifest, methods: dict[str, Method], runs: Path, device: str) -> float | None:
    """Return the median of taken to expected seconds of runs on this manifest, device and these methods; None of too few."""
    ratios = list(_ratios(manifest, methods, runs, device))
    return min(max(median(ratios), 0.1), 20.0) if len(ratios) >= _ENOUGH else None


def _ratios(manifest: Manifest, methods: dict[str, Method], runs: Path, device: str) -> Iterator[float]:
    here = describe_device(device)
    for run in finished_runs(runs, manifest.digest):
        method, inputs = methods.get(run.inputs.method), run.inputs
        if method is None or run.device != here or run.origin != "bench" or inputs.version != method.version:
            continue
        if inputs.shots:  # the formula is of all photos
            continue
        formula, taken = _formula(manifest, method, inputs.level, device, inputs.parameters), sum(run.seconds.values())
        if formula >= _LEAST and taken >= _LEAST:
            yield taken / formula
