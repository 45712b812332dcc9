"""Manifest × method × seed -> run. Finished runs are skipped, unfinished ones are done again, a failure is one row."""

import logging
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.doctor import versions
from benchmark.methods.base import Method, Predictor
from benchmark.networks.device import describe_device
from benchmark.photos import labelled_photos, require_photos, unlabelled_photos
from benchmark.results import (
    Failure,
    Predictions,
    Run,
    RunInputs,
    are_probabilities,
    is_finished,
    record_test_read,
    save_failure,
    save_run,
)
from collector.console import Track, printable, silent
from collector.errors import DataError
from collector.publishing.manifest import Manifest
from collector.records import SPLITS
from collector.workspace import Workspace, is_disk_full, remove_drafts, storage_errors

log = logging.getLogger("t15")


@dataclass(frozen=True, slots=True)
class Task:
    """One run to do: a method with its parameters, and a seed."""

    method: Method
    inputs: RunInputs
    tier: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task: `state` is `done`, `skipped` (was finished before) or `failed`, then with a reason."""

    task: Task
    state: str
    seconds: float = 0.0
    reason: str = ""


def plan(manifest: Manifest, methods: Sequence[Method], seeds: Sequence[int], tier: str) -> list[Task]:
    """Return the runs of methods × seeds. Where the seed does not matter, seed 0 stands for all."""
    return [
        # A method without settings for the smoke tier runs with the paper's in both, and that run is a paper run.
        Task(
            method,
            RunInputs(manifest.digest, method.name, method.of_tier(tier), None, seed),
            tier if method.smoke else "paper",
        )
        for method in methods
        for seed in (seeds if method.stochastic else [0])
    ]


def estimate(manifest: Manifest, tasks: Sequence[Task], runs: Path, device: str) -> float:
    """Return how many seconds the unfinished tasks will take, from each method's own estimate on this device."""
    photos, classes = len(manifest.photos("train")), len(manifest.header.cities)
    known: dict[str, float] = {}
    total = 0.0
    for task in tasks:
        if task.method.estimate is None or is_finished(runs, task.inputs.identity):
            continue
        if task.method.name not in known:
            known[task.method.name] = task.method.estimate(photos, classes, device, **task.inputs.parameters)
        total += known[task.method.name]
    return total


def bench(
    manifest: Manifest, workspace: Workspace, tasks: Sequence[Task], device: str, track: Track = silent
) -> Iterator[Outcome]:
    """Do the tasks one after the other and yield what became of each.

    A method that raises is recorded as failed, and the others go on. Whatever stops the whole, finished runs stay.

    Raises:
        DataError: the manifest has fewer than two cities or an empty side, or photos are missing in the workspace.
        IncompleteError: the disk is full.
    """
    of = f"{manifest.header.name} {manifest.header.version}"
    if len(manifest.header.cities) < 2:
        raise DataError(f"{of}: has one city; a benchmark needs two or more")
    if empty := [side for side in SPLITS if not manifest.photos(side)]:
        raise DataError(f"{of}: has no photo in {' and '.join(empty)}; a benchmark needs all three sides")
    require_photos(manifest, workspace)
    with storage_errors(workspace.root):
        remove_drafts(workspace.runs)
        remove_drafts(workspace.runs / "failed")
        remove_drafts(workspace.cache, "arrays/*/.*.part")
        for task in tasks:
            if is_finished(workspace.runs, task.inputs.identity):
                yield Outcome(task, "skipped")
            else:
                yield _do(task, manifest, workspace, device, track)


def _do(task: Task, manifest: Manifest, workspace: Workspace, device: str, track: Track) -> Outcome:
    started = time.perf_counter()
    with _logged(workspace.runs / "logs" / f"{task.inputs.identity}.log"):
        outcome = _tried(task, manifest, workspace, device, track)
    return replace(outcome, seconds=time.perf_counter() - started)


def _tried(task: Task, manifest: Manifest, workspace: Workspace, device: str, track: Track) -> Outcome:
    log.info("%s, seed %d, %s, on %s", task.inputs.method, task.inputs.seed, task.inputs.parameters, device)
    try:
        run, predictions = _run(task, manifest, workspace, device, track)
    except Exception as error:  # whatever a method raises is that method's failure, and not the end of the rest
        if is_disk_full(error):
            raise
        reason = printable(f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")[:500])
        log.info("failed: %s", reason, exc_info=error)
        save_failure(workspace.runs, Failure(task.inputs, task.method.titled(task.inputs.parameters), reason))
        return Outcome(task, "failed", reason=reason)
    save_run(workspace.runs, run, predictions)
    log.info("done: fit %.1f s, predict %.1f s", run.seconds["fit"], run.seconds["predict"])
    return Outcome(task, "done")


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Write what is logged as `t15` to the file, after what earlier tries wrote."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        handler.close()


def _run(task: Task, manifest: Manifest, workspace: Workspace, device: str, track: Track) -> tuple[Run, Predictions]:
    method, inputs = task.method, task.inputs
    training = labelled_photos(manifest, "train", workspace, track)
    validation = labelled_photos(manifest, "val", workspace, track)
    _reset_peak_memory(device)
    started = time.perf_counter()
    predictor = method.fit(training, validation, inputs.seed, device, **inputs.parameters)
    fitted = time.perf_counter()
    predictions = _predict_test(predictor, inputs, manifest, workspace, track)
    finished = time.perf_counter()
    run = Run(
        inputs=inputs,
        manifest=f"{manifest.header.name} {manifest.header.version}",
        tier=task.tier,
        title=method.titled(inputs.parameters),
        pretraining=method.pretraining,
        weights_licence=method.weights_licence,
        selection=method.selection,
        paper=None
        if method.paper is None
        else {"table": method.paper.table, "row": method.paper.row, "accuracy": method.paper.accuracy},
        stochastic=method.stochastic,
        classes=list(training.classes),
        device=describe_device(device),
        versions=versions(),
        seconds={"fit": round(fitted - started, 3), "predict": round(finished - fitted, 3)},
        peak_memory_mib=_peak_memory_mib(device),
    )
    return run, predictions


def _predict_test(
    predictor: Predictor, inputs: RunInputs, manifest: Manifest, workspace: Workspace, track: Track
) -> Predictions:
    """Ask a fitted method about the test photos, without their labels: the one place where the test side is read.

    Each time is entered in the ledger that leaderboards show.
    """
    record_test_read(workspace.runs, inputs)
    photos = unlabelled_photos(manifest, "test", workspace, track)
    probabilities = predictor.predict_proba(photos)
    _require_probabilities(probabilities, (len(photos), len(manifest.header.cities)))
    return Predictions(list(photos.ids), probabilities)


def _require_probabilities(values: NDArray[np.float32], shape: tuple[int, int]) -> None:
    if values.shape != shape:
        raise DataError(f"the method returned predictions of shape {values.shape}, expected were {shape}")
    if not are_probabilities(values):
        raise DataError(
            "the method returned values that are no probabilities: each from 0 to 1, a photo's summing to 1"
        )


def _peak_memory_mib(device: str) -> float:
    if device == "cuda":
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10, 1)
    # Without /proc: the highest of the whole process, which Linux counts in KiB and macOS in bytes (getrusage(2)).
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _reset_peak_memory(device: str) -> None:
    """Begin counting anew, so that a run does not show the memory of those before it; without Linux's /proc it does."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
