"""How long runs will take: each method's own formula, set right by what finished runs took on this machine."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.doctor import describe_device
from benchmark.label_set import label_set, photos_at
from benchmark.methods.types import Method
from benchmark.planning import Task
from benchmark.results import Run, finished_runs, is_finished
from benchmark.runner import Outcome
from collector.manifest.manifest import Manifest
from collector.text_table import duration

_ENOUGH = 3
"""Finished runs from which their pace is trusted."""

_LEAST = 0.5
"""Seconds: runs that are quicker say nothing about the pace, and each run takes so long at least."""

_SPREAD = (2.0, 4.0)
"""Factor that an estimate may be wrong by in either direction: with a pace measured here, and without."""


_TRUSTED = 60.0
"""Expected seconds of what is done from which its pace counts more than the estimate."""


@dataclass(frozen=True, slots=True)
class Expected:
    """How long tasks will take.

    Attributes:
        seconds: of each task, 0 for those that need none.
        measured: whether the pace of this machine is known.
        kinds: of each task what it is like: tasks of one kind have one formula, and one pace.
    """

    seconds: tuple[float, ...]
    measured: bool
    kinds: tuple[str, ...] = field(default=(), compare=False)

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

    def left(self, outcomes: Sequence[Outcome], finished: Sequence[bool] = ()) -> str:
        """Return what is left after the first tasks, for the end of a line; empty when it is little.

        `finished` says of each task whether its run is there: another bench may have done what this one was to do.
        Each kind of task has the pace of its tasks that are done, drawn towards the estimate while these are short: a task
        of a second that took twenty, since it read all photos first, does not make hours of the others' minutes.
        """
        done, kinds = len(outcomes), self.kinds or ("",) * len(self.seconds)
        of_done, taken = defaultdict[str, float](float), defaultdict[str, float](float)
        for kind, expected, outcome in zip(kinds, self.seconds, outcomes, strict=False):
            for of in (kind, _EVERY) if outcome.state == "done" else ():
                of_done[of] += expected
                taken[of] += outcome.seconds
        pace = {kind: (taken[kind] + _TRUSTED) / (seconds + _TRUSTED) for kind, seconds in of_done.items() if seconds}
        every = pace.get(_EVERY, 1.0)
        there = [*finished, *[False] * (len(self.seconds) - len(finished))]
        rest = zip(kinds[done:], self.seconds[done:], there[done:], strict=True)
        left = sum(seconds * pace.get(kind, every) for kind, seconds, is_there in rest if not is_there)
        return f"; about {duration(left)} left" if left >= 10 else ""


_EVERY = "every task"  # beside the kinds


def expect(manifest: Manifest, tasks: Sequence[Task], runs: Path, device: str) -> Expected:
    """Return how long the unfinished tasks will take on this device.

    What several compute of each photo alike, such as a network's vectors, is kept, and counts once; what finished runs
    computed does not count again.
    """
    kinds = tuple(_kind(task.method) for task in tasks)
    idle = [not task.can_begin or is_finished(runs, task.inputs.identity) for task in tasks]
    if all(idle):
        return Expected((0.0,) * len(tasks), False, kinds)
    finished = [run for run in finished_runs(runs, manifest.digest) if run.origin == "bench"]
    pace = _pace(manifest, {task.method.name: task.method for task in tasks}, finished, device)
    kept = {_of_each_photo(run.inputs.parameters) for run in finished}
    formulas = []
    for task, nothing in zip(tasks, idle, strict=True):
        of, parameters = task.inputs, task.inputs.parameters
        formula = None if nothing else _formula(manifest, task.method, of.level, device, parameters)
        formulas.append((_of_each_photo(parameters), formula))
    seconds = [
        0.0 if formula is None else max(_LEAST, formula * (pace or 1.0)) for formula in _counted_once(formulas, kept)
    ]
    return Expected(tuple(seconds), pace is not None, kinds)


_Kept = tuple[object, ...]
"""What is computed of each photo and kept; empty for what is not kept."""


def _of_each_photo(parameters: Mapping[str, Any]) -> _Kept:
    """Return which vectors or keypoints of each photo parameters ask for; nothing for networks that are trained."""
    if "epochs" in parameters and "backbone" in parameters:
        return ()
    of = next((parameters[name] for name in ("backbone", "net", "feature_kind") if name in parameters), None)
    if of is None and "side" not in parameters:
        return ()
    # Retrieval by vectors finds keypoints where it verifies pairs.
    local = () if of is not None and not parameters.get("verify") else ("side", "detector", "keypoints")
    return of, *(parameters.get(name) for name in ("size", "pooling", *local))


def _counted_once(formulas: Sequence[tuple[_Kept, float | None]], kept: set[_Kept]) -> Iterator[float | None]:
    """Yield the seconds of each task, without what an earlier one keeps for it; None for those that need none.

    What tasks share takes as long as the shortest of them.
    """
    shared: dict[_Kept, float] = {}
    for of, seconds in formulas:
        if of and seconds is not None:
            shared[of] = min(seconds, shared.get(of, seconds))
    seen = set(kept)
    for of, seconds in formulas:
        if seconds is None:
            yield None
        elif of and of in seen:
            yield seconds - shared[of]
        else:
            seen.add(of)
            yield seconds


def _kind(method: Method) -> str:
    formula = getattr(method.estimate, "func", method.estimate)
    return f"{formula.__module__}.{formula.__qualname__}" if formula else ""


def _formula(manifest: Manifest, method: Method, level: str, device: str, parameters: dict[str, Any]) -> float:
    if method.estimate is None:
        return 0.0
    photos, classes = len(photos_at(manifest, "train", level)), len(label_set(manifest, level))
    return method.estimate(photos, classes, device, **parameters)


def _pace(manifest: Manifest, methods: dict[str, Method], finished: Sequence[Run], device: str) -> float | None:
    """Return the median of taken to expected seconds of runs on this device and of these methods; None of too few.

    Runs that share what they computed of each photo count together: who of them computed it is not known.
    """
    here, done = describe_device(device), []
    for run in finished:
        method, inputs = methods.get(run.inputs.method), run.inputs
        # The formula is of all photos.
        if method and run.device == here and inputs.version == method.version and not inputs.shots:
            formula = _formula(manifest, method, inputs.level, device, inputs.parameters)
            done.append((_of_each_photo(inputs.parameters) or (inputs.identity,), formula, sum(run.seconds.values())))
    expected, taken = defaultdict[_Kept, float](float), defaultdict[_Kept, float](float)
    counted = _counted_once([(of, formula) for of, formula, _ in done], set())
    for (of, _, seconds), own in zip(done, counted, strict=True):
        expected[of] += own or 0.0
        taken[of] += seconds
    ratios = [taken[of] / expected[of] for of in taken if expected[of] >= _LEAST and taken[of] >= _LEAST]
    return min(max(median(ratios), 0.1), 20.0) if len(ratios) >= _ENOUGH else None
