"""Manifest × method × seed -> run. Finished runs are skipped, unfinished ones are done again, a failure is one row."""

import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.concurrent_training import Trained, groups, train_together
from benchmark.doctor import versions
from benchmark.methods.networks import fit_network, save_curve
from benchmark.methods.types import Context, Predictor
from benchmark.models import save_predictor
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.networks.device import describe_device
from benchmark.photos import LabelledPhotos, Photos, labelled_photos, require_photos, unlabelled_photos
from benchmark.planning import Task
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
from collector.errors import DataError
from collector.manifest.manifest import Manifest
from collector.progress import Track, silent
from collector.records import SPLITS
from collector.text_table import printable
from collector.workspace import Workspace, is_storage_fault, remove_drafts, storage_errors

log = logging.getLogger("t15")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task: `done`, `skipped` (was finished before), `failed` or `missing` (its weights), with a reason."""

    task: Task
    state: str
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all tasks of a benchmark share.

    Attributes:
        manifest: the data set.
        workspace: where its photos lie, and the cache.
        device: `cpu` or `cuda`.
        engine: the training loop, one of `networks.recipe.ENGINES`.
        reading: called with a run's inputs before its method is asked about the test photos, to enter it in the ledger.
        track: shows progress.
        trained: networks that were trained side by side, by the runs' identity.
    """

    manifest: Manifest
    workspace: Workspace
    device: str
    engine: str
    reading: Callable[[RunInputs], None]
    track: Track = silent
    trained: Mapping[str, Trained] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is not saved yet, with its predictions; `files` (curve, model) lie in the folder that it was made in."""

    run: Run
    test: Predictions
    validation: Predictions
    files: list[Path]


def bench(
    manifest: Manifest,
    workspace: Workspace,
    tasks: Sequence[Task],
    device: str,
    track: Track = silent,
    engine: str = "fast",
    side_by_side: bool | None = None,
) -> Iterator[Outcome]:
    """Do the tasks one after the other, trainings side by side where `side_by_side`, and yield what became of each.

    The fast engine trains side by side on a GPU unless told otherwise.

    A method that raises is recorded as failed, and the others go on. Whatever stops the whole, finished runs stay.

    Raises:
        DataError: the manifest has fewer than two cities or an empty side, or photos are missing in the workspace.
        IncompleteError: the disk is full.
    """
    prepare(manifest, workspace)
    around = Surroundings(manifest, workspace, device, engine, partial(record_test_read, workspace.runs), track)
    with storage_errors(workspace.root):
        if side_by_side is None:
            side_by_side = device == "cuda" and engine == "fast"
        for group in groups(tasks, workspace.runs, side_by_side):
            folder = workspace.runs / "unfinished"
            ahead = group if side_by_side else []
            trained = train_together(ahead, manifest, workspace, device, folder, track, engine)
            for task in group:
                yield settled(task, workspace.runs) or _do(task, replace(around, trained=trained))


def prepare(manifest: Manifest, workspace: Workspace) -> None:
    """Make sure that a benchmark can begin, and remove what killed ones left.

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


def settled(task: Task, runs: Path) -> Outcome | None:
    """Return what became of a task that there is nothing to do for: finished before, or without its weights; else None."""
    if is_finished(runs, task.inputs.identity):
        return Outcome(task, "skipped")
    if task.weights != "missing":
        return None
    reason = (
        f"the weights of {task.method.backbone} are not here: `t15 weights fetch {task.method.backbone}` brings them"
    )
    save_failure(runs, Failure(task.inputs, _title(task), reason, "weights missing"))
    return Outcome(task, "missing", reason=reason)


def _do(task: Task, around: Surroundings) -> Outcome:
    started = time.perf_counter()
    runs = around.workspace.runs
    with logged(runs / "logs" / f"{task.inputs.identity}.log"):
        result = attempt(task, around, unfinished(runs, task))
        return conclude(task, result, runs, lambda: time.perf_counter() - started)


def unfinished(runs: Path, task: Task) -> Path:
    """Return the folder in which a task is worked on."""
    return runs / "unfinished" / task.inputs.identity


def attempt(task: Task, around: Surroundings, folder: Path) -> Finished | Failure:
    """Do a task, with `folder` for its files and for what a stopped one goes on from.

    Whatever the method raises is its failure, and is logged; it is not raised.

    Raises:
        OSError: the disk is full.
    """
    log.info("%s, seed %d, %s, on %s", task.inputs.method, task.inputs.seed, task.inputs.parameters, around.device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        finished = compute(task, around, folder)
    except Exception as error:  # whatever a method raises is that method's failure, and not the end of the rest
        if is_storage_fault(error):
            raise
        failed = failure(task, error)
        log.info("failed: %s", failed.reason, exc_info=error)
        return failed
    log.info("done: fit %.1f s, predict %.1f s", finished.run.seconds["fit"], finished.run.seconds["predict"])
    return finished


def failure(task: Task, error: BaseException) -> Failure:
    """Return the record of a task that an error ended; the reason is one line of at most 500 characters."""
    reason = printable(f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")[:500])
    return Failure(task.inputs, _title(task), reason)


def conclude(task: Task, result: Finished | Failure, runs: Path, seconds: Callable[[], float]) -> Outcome:
    """Save what became of a task, and say it.

    Args:
        task: which.
        result: of `attempt`; its files are moved.
        runs: the workspace's runs.
        seconds: tells how long it took; asked when everything is saved.

    Raises:
        OSError: the disk is full.
    """
    if isinstance(result, Failure):
        save_failure(runs, result)
        with suppress(OSError):
            unfinished(runs, task).rmdir()  # what a training goes on from stays
        return Outcome(task, "failed", seconds(), result.reason)
    save_run(runs, result.run, result.test, result.validation, result.files)
    shutil.rmtree(unfinished(runs, task), ignore_errors=True)
    return Outcome(task, "done", seconds())


def _title(task: Task) -> str:
    return task.method.titled(task.inputs.parameters)


@contextmanager
def logged(path: Path) -> Iterator[None]:
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


def compute(task: Task, around: Surroundings, folder: Path) -> Finished:
    """Fit a task's method and ask it about the validation and the test photos; nothing is saved but files in `folder`.

    Raises:
        DataError: photos do not decode, or the method's answers are no probabilities.
        Exception: whatever the method raises.
    """
    method, inputs = task.method, task.inputs
    manifest, workspace, device, track = around.manifest, around.workspace, around.device, around.track
    training = labelled_photos(manifest, "train", workspace, track)
    validation = labelled_photos(manifest, "val", workspace, track)
    _reset_peak_memory(device)
    started = time.perf_counter()
    ahead = around.trained.get(inputs.identity)
    predictor = _fitted(task, training, validation, around, folder)
    fitted = time.perf_counter() + (ahead.seconds if ahead else 0.0)
    judged = unlabelled_photos(manifest, "val", workspace, track)
    of_validation = _predicted(predictor, judged, len(training.classes))
    asked = time.perf_counter()
    of_test = _predict_test(predictor, inputs, around)
    finished = time.perf_counter()
    run = Run(
        inputs=inputs,
        manifest=f"{manifest.header.name} {manifest.header.version}",
        tier=task.tier,
        title=_title(task),
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
        seconds={"fit": round(fitted - started, 3), "predict": round(finished - asked, 3)},
        peak_memory_mib=max(_peak_memory_mib(device), ahead.peak_memory_mib if ahead else 0.0),
        weights=task.weights,
        changed=dict(task.changed),
        engine=_engine(task, around),
    )
    if task.keeps_model:
        save_predictor(folder / "model.safetensors", predictor, training.classes, {"run": inputs.identity})
    files = [path for name in ("curve.json", "model.safetensors") if (path := folder / name).is_file()]
    return Finished(run, of_test, of_validation, files)


def _fitted(
    task: Task, training: LabelledPhotos, validation: LabelledPhotos, around: Surroundings, folder: Path
) -> Predictor:
    method, inputs = task.method, task.inputs
    if not method.backbone:
        return method.fit(training, validation, inputs.seed, around.device, **inputs.parameters)
    if ahead := around.trained.get(inputs.identity):
        if isinstance(ahead.network, Exception):
            raise ahead.network
        save_curve(folder / "curve.json", ahead.network.curve)
        return ahead.network
    context = Context(
        weights.load(find_backbone(method.backbone), inputs.weights_digest) if task.weights == "pre-trained" else None,
        inputs.weights_digest,
        around.engine,
        folder / "checkpoint.safetensors",
        folder / "curve.json",
    )
    return method.fit(training, validation, inputs.seed, around.device, context=context, **inputs.parameters)


def _engine(task: Task, around: Surroundings) -> str:
    ahead = around.trained.get(task.inputs.identity)
    beside = f", {ahead.beside} side by side" if ahead else ""
    return around.engine + beside if task.method.fit is fit_network else ""


def _predict_test(predictor: Predictor, inputs: RunInputs, around: Surroundings) -> Predictions:
    """Ask a fitted method about the test photos, without their labels: the one place where the test side is read.

    Each time is entered in the ledger that leaderboards show.
    """
    around.reading(inputs)
    photos = unlabelled_photos(around.manifest, "test", around.workspace, around.track)
    return _predicted(predictor, photos, len(around.manifest.header.cities))


def _predicted(predictor: Predictor, photos: Photos, classes: int) -> Predictions:
    probabilities = predictor.predict_proba(photos)
    _require_probabilities(probabilities, (len(photos), classes))
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
    if sys.platform == "win32":
        return 0.0  # it has no getrusage
    import resource

    # Without /proc: the highest of the whole process, which Linux counts in KiB and macOS in bytes (getrusage(2)).
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _reset_peak_memory(device: str) -> None:
    """Begin counting anew, so that a run does not show the memory of those before it; without Linux's /proc it does."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
