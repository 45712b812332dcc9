"""Does what `planning` says: finished runs are skipped, unfinished ones are done again, a failure is one row.

`bench` does runs one after the other; trainings of networks share a GPU.
"""

import inspect
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from benchmark.attributes import FILE as ATTRIBUTES
from benchmark.cross_view import FILE as MAP
from benchmark.cross_view import aerial_map
from benchmark.derivations import gallery_arrays, offered, places_itself, predict
from benchmark.doctor import describe_device
from benchmark.methods.training import few_of_each, training_photos, with_attributes
from benchmark.methods.types import Context, Method, Overhead, Predictor, Training
from benchmark.models import load_predictor, save_predictor
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.photos import Photos, WorkspacePhotos, photos_of, require_photos
from benchmark.planning import Task, plan
from benchmark.results import (
    Failure,
    Predictions,
    Run,
    RunInputs,
    is_finished,
    record_test_read,
    save_failure,
    save_run,
)
from collector.aerial.fetch import aerial
from collector.errors import DataError, UsageError, one_line
from collector.executors.nodes import versions
from collector.manifest.manifest import Manifest
from collector.progress import Track, silent
from collector.records import SPLITS
from collector.text_table import printable
from collector.workspace import Workspace, is_storage_fault, remove_drafts, storage_errors, write_atomically

log = logging.getLogger("t15")

FILES = ("curve.json", "prompts.json", ATTRIBUTES, MAP, "model.safetensors")
"""What a run may leave beside its predictions."""

MOST = 24
"""Trainings that are begun together: so many networks are in memory, and so many are begun again after a crash."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task, with a reason.

    `state` is `done`, `skipped` (was finished before), `failed` or `missing` (its weights, or what its manifest lacks).
    """

    task: Task
    state: str
    seconds: float = 0.0
    reason: str = ""

    def __repr__(self) -> str:
        of, why = self.task.inputs, f": {self.reason}" if self.reason else ""
        return f"<{of.method}, seed {of.seed}: {self.state}, run {of.identity}{why}>"


@dataclass(frozen=True, slots=True)
class Fitted:
    """What became of a fit that was done beside others.

    Attributes:
        predictor: the fitted method, or the reason why there is none.
        seconds: its share of the time that all took.
        peak_memory_mib: the GPU's highest memory while all were fitted; 0 on a CPU.
        parallel: how many were fitted together.
    """

    predictor: Predictor | Exception
    seconds: float
    peak_memory_mib: float
    parallel: int


@dataclass(frozen=True)
class RunContext:
    """What all tasks of a benchmark share.

    Attributes:
        manifest: the data set.
        workspace: where its photos lie, and the cache.
        device: `cpu` or `cuda`.
        engine: the training loop, one of `networks.recipe.ENGINES`.
        record: called with a run's inputs before its method is asked about the test photos, to enter it in the ledger.
        track: shows progress.
        fitted: what was fitted side by side, by the runs' identity.
    """

    manifest: Manifest
    workspace: Workspace
    device: str
    engine: str
    record: Callable[[RunInputs], None]
    track: Track = silent
    fitted: Mapping[str, Fitted] = field(default_factory=dict)
    _sides: dict[tuple[str, str], Training] = field(default_factory=dict, repr=False)
    _weights: "dict[tuple[str, str | None], Mapping[str, torch.Tensor]]" = field(default_factory=dict, repr=False)

    @property
    def store(self) -> WorkspacePhotos:
        """Where pixels come from."""
        return WorkspacePhotos(self.workspace, self.track)

    def training(self, side: str, level: str) -> Training:
        """Return a side to learn from: the caller's own copy, whatever is done to it."""
        if (side, level) not in self._sides:
            self._sides[side, level] = training_photos(self.manifest, side, self.store, level)
        training = self._sides[side, level]
        return replace(
            training,
            labels=training.labels.copy(),
            places=training.places.copy(),
            headings=training.headings.copy(),
            authors=training.authors.copy(),
            sequences=training.sequences.copy(),
            times=training.times.copy(),
        )

    def weights_of(self, method: Method) -> "Callable[[str, str | None], Mapping[str, torch.Tensor]]":
        """Return what loads a network's weights; methods that leave them as they are share those of the last network."""

        def load(name: str, digest: str | None) -> "Mapping[str, torch.Tensor]":
            if not method.keeps_weights:
                return weights.load(find_backbone(name), digest)
            if (name, digest) not in self._weights:
                self._weights.clear()
                self._weights[name, digest] = weights.load(find_backbone(name), digest)
            return dict(self._weights[name, digest])

        return load

    def of(self, task: Task, folder: Path, weights_: "Mapping[str, torch.Tensor] | None") -> Context:
        """Return what a task's method is given; its files lie in `folder`."""
        inputs = task.inputs
        return Context(
            seed=inputs.seed,
            device=self.device,
            precision=inputs.precision,
            engine=self.engine,
            weights=weights_,
            weights_digest=inputs.weights_digest,
            checkpoint=folder / "checkpoint.safetensors",
            curve=folder / "curve.json",
            prompts=folder / "prompts.json",
            finished=partial(_finished, task, self),
            progress=self.track,
        )


def _finished(task: Task, shared: RunContext, method: Method) -> Predictor | None:
    """Return the kept model of a method's run with its own defaults, on the photos, tier and seed of a task; else None."""
    of = task.inputs
    for one in plan(shared.manifest, [method], [of.seed], task.tier, None, "none", of.precision, of.level, (of.shots,)):
        path = shared.workspace.runs / one.inputs.identity / "model.safetensors"
        if path.is_file():
            log.info("%s: taken from run %s", method.name, one.inputs.identity)
            return load_predictor(path, shared.device)[0]
    return None


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is not saved yet, with its predictions; `files` (curve, model) lie in the folder that it was made in.

    `own` as in `results.save_run`.
    """

    run: Run
    test: Predictions
    validation: Predictions
    files: list[Path]
    own: Predictions | None = None


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
        DataError: the manifest has an empty side, or photos are missing in the workspace.
        IncompleteError: the disk is full.
    """
    prepare(manifest, workspace)
    shared = RunContext(manifest, workspace, device, engine, partial(record_test_read, workspace.runs), track)
    with storage_errors(workspace.root):
        if side_by_side is None:
            side_by_side = device == "cuda" and engine == "fast"
        for group in groups(tasks, workspace.runs, side_by_side):
            fitted = fit_side_by_side(group, shared) if len(group) > 1 else {}
            for task in group:
                yield settled(task, workspace.runs) or _do(task, replace(shared, fitted=fitted))


def prepare(manifest: Manifest, workspace: Workspace) -> None:
    """Make sure that a benchmark can begin, and remove what killed ones left.

    Raises:
        DataError: the manifest has an empty side, or photos are missing in the workspace.
        IncompleteError: the disk is full.
    """
    of = f"{manifest.header.name} {manifest.header.version}"
    if empty := [side for side in SPLITS if not manifest.photos(side)]:
        more = "; `t15 split --val-share 0.15` takes some of the training photos" if empty == ["val"] else ""
        raise DataError(f"{of}: has no photo in {' and '.join(empty)}; a benchmark needs all three sides{more}")
    require_photos(manifest, workspace)
    with storage_errors(workspace.root):
        remove_drafts(workspace.runs)
        remove_drafts(workspace.runs / "failed")
        remove_drafts(workspace.cache, "arrays/*/.*.part")


def settled(task: Task, runs: Path) -> Outcome | None:
    """Return what became of a task that there is nothing to do for: finished before, or unable to begin; else None."""
    if is_finished(runs, task.inputs.identity):
        return Outcome(task, "skipped")
    if task.can_begin:
        return None
    if task.lacks:
        kind, reason = "data missing", f"needs what this manifest lacks: {task.lacks}"
    else:
        kind, name = "weights missing", task.method.backbone
        reason = f"the weights of {name} are not here: `t15 weights fetch {name.replace('+', ' ')}` brings them"
    save_failure(runs, Failure(task.inputs, task.title, reason, kind))
    return Outcome(task, "missing", reason=reason)


def _do(task: Task, shared: RunContext) -> Outcome:
    started = time.perf_counter()
    runs = shared.workspace.runs
    with logged(runs / "logs" / f"{task.inputs.identity}.log"):
        result = attempt(task, shared, unfinished(runs, task))
        return conclude(task, result, runs, lambda: time.perf_counter() - started)


def unfinished(runs: Path, task: Task) -> Path:
    """Return the folder in which a task is worked on."""
    return runs / "unfinished" / task.inputs.identity


def attempt(task: Task, shared: RunContext, folder: Path) -> Finished | Failure:
    """Do a task, with `folder` for its files and for what a stopped one goes on from.

    Whatever the method raises is its failure, and is logged; it is not raised.

    Raises:
        OSError: the disk is full.
    """
    log.info("%s, seed %d, %s, on %s", task.inputs.method, task.inputs.seed, task.inputs.parameters, shared.device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        finished = compute(task, shared, folder)
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
    reason = printable(f"{type(error).__name__}: {one_line(error, 500)}".rstrip(": ")[:500])
    return Failure(task.inputs, task.title, reason)


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
    save_run(runs, result.run, result.test, result.validation, result.files, result.own)
    shutil.rmtree(unfinished(runs, task), ignore_errors=True)
    return Outcome(task, "done", seconds())


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


def groups(tasks: Sequence[Task], runs: Path, side_by_side: bool, most: int = MOST) -> Iterator[list[Task]]:
    """Return the tasks in their order, in groups: of at most `most` fits of one kind that are to be done; others alone."""
    group: list[Task] = []
    for task in tasks:
        alike = side_by_side and not task.inputs.shots  # of a few photos each seed has its own
        together = task.method.fit_many if alike and _is_unstarted(task, runs) else None
        if group and not (together and together == group[-1].method.fit_many and len(group) < most):
            yield group
            group = []
        group.append(task)
        if not together:
            yield group
            group = []
    if group:
        yield group


def _is_unstarted(task: Task, runs: Path) -> bool:
    return task.can_begin and not is_finished(runs, task.inputs.identity)


def fit_side_by_side(tasks: Sequence[Task], shared: RunContext) -> dict[str, Fitted]:
    """Fit the methods of a group of `groups` together and return what became of each by the runs' identity.

    Raises:
        OSError: the disk is full.
    """
    loaded = cache(lambda name, digest: weights.load(find_backbone(name), digest))
    contexts: dict[str, Context] = {}
    fitted: dict[str, Fitted] = {}
    for task in tasks:
        folder = unfinished(shared.workspace.runs, task)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            contexts[task.inputs.identity] = shared.of(task, folder, _loaded(task, loaded))
        except Exception as error:  # that run's failure, and not the end of the rest, as in `attempt`
            if is_storage_fault(error):
                raise
            fitted[task.inputs.identity] = Fitted(error, 0.0, 0.0, 0)
    fit_many = tasks[0].method.fit_many
    if not contexts or fit_many is None:
        return fitted
    parameters = [task.inputs.parameters for task in tasks if task.inputs.identity in contexts]
    sides = [shared.training(side, tasks[0].inputs.level) for side in ("train", "val")]
    if shared.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    predictors = fit_many(sides[0], sides[1], list(contexts.values()), parameters)
    share = (time.perf_counter() - started) / len(contexts)
    peak = round(torch.cuda.max_memory_allocated() / 2**20, 1) if shared.device == "cuda" else 0.0
    outcomes = zip(contexts, predictors, strict=True)
    return fitted | {identity: Fitted(of, share, peak, len(contexts)) for identity, of in outcomes}


def _loaded(
    task: Task, load: "Callable[[str, str | None], Mapping[str, torch.Tensor]]"
) -> "Mapping[str, torch.Tensor] | None":
    return load(task.method.backbone, task.inputs.weights_digest) if task.weights == "pre-trained" else None


def compute(task: Task, shared: RunContext, folder: Path) -> Finished:
    """Fit a task's method and ask it about the validation and the test photos; nothing is saved but files in `folder`.

    Raises:
        DataError: photos do not decode, or the method's answers are none (see `benchmark.derivations.predict`).
        Exception: whatever the method raises.
    """
    method, inputs, manifest, device = task.method, task.inputs, shared.manifest, shared.device
    training, validation = (shared.training(side, inputs.level) for side in ("train", "val"))
    if inputs.shots:
        training = few_of_each(manifest, training, inputs.shots, inputs.seed)
    _reset_peak_memory(device)
    started = time.perf_counter()
    beside = shared.fitted.get(inputs.identity)
    predictor = _fit(task, training, validation, shared, folder)
    fitted = time.perf_counter() + (beside.seconds if beside else 0.0)
    _require_answers(method, predictor)
    of_validation = _predicted(predictor, "val", training, shared, method.told)
    test_started = time.perf_counter()
    of_test = _predict_test(predictor, inputs, training, shared, method.told)
    finished = time.perf_counter()
    _write_other_answers(predictor, inputs.level, shared, folder)
    own = _own_photos(predictor, training, shared)
    with_own = _predicted(predictor, "test", training, shared, excluding=False) if own else None
    run = Run(
        inputs=inputs,
        manifest=f"{manifest.header.name} {manifest.header.version}",
        tier=task.tier,
        title=task.title,
        pretraining=method.pretraining,
        weights_licence=method.weights_licence,
        selection=method.selection,
        paper=asdict(method.paper) if method.paper else None,
        stochastic=method.stochastic or inputs.shots > 0,
        classes=list(training.classes),
        device=describe_device(device),
        versions=versions(),
        seconds={"fit": round(fitted - started, 3), "predict": round(finished - test_started, 3)},
        peak_memory_mib=max(_peak_memory_mib(device), beside.peak_memory_mib if beside else 0.0),
        weights=task.weights,
        changed=dict(task.changed),
        engine=_engine(task, shared),
        gives=offered(predictor),
        own=own,
    )
    if task.keeps_model:
        _save_model(predictor, run, training, folder)
    files = [path for name in FILES if (path := folder / name).is_file()]
    return Finished(run, of_test, of_validation, files + _written(predictor, folder), with_own)


def _write_other_answers(predictor: Predictor, level: str, shared: RunContext, folder: Path) -> None:
    """Write what a predictor says of the test photos beside labels and places: their attributes, a map."""
    predictor = _without_own(predictor, "test", level, shared)
    for name, file in (("predict_attributes", ATTRIBUTES), ("predict_map", MAP)):
        if answers := getattr(predictor, name, None):
            photos = photos_of(shared.manifest, "test", shared.store, level)
            write_atomically(folder / file, answers(photos).to_bytes())


def _save_model(predictor: Predictor, run: Run, training: Training, folder: Path) -> None:
    gallery = gallery_arrays(run.gives, training.labels, training.places)
    save_predictor(folder / "model.safetensors", predictor, training.classes, {"run": run.inputs.identity}, gallery)


def _written(predictor: Predictor, folder: Path) -> list[Path]:
    """Write what a predictor wants to be kept beside its model (`files`), and return where."""
    contents: Mapping[str, bytes] = getattr(predictor, "files", dict)()
    paths = [folder / Path(name).name for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_atomically(path, content)
    return paths


def _fit(task: Task, training: Training, validation: Training, shared: RunContext, folder: Path) -> Predictor:
    if beside := shared.fitted.get(task.inputs.identity):
        if isinstance(beside.predictor, Exception):
            raise beside.predictor
        return beside.predictor
    _require_contract(task.method)
    if "attributes" in task.method.needs:
        training, validation = (with_attributes(shared.manifest, side) for side in (training, validation))
    if "overhead" in task.method.needs and (above := aerial_map(shared.manifest)):
        store = WorkspacePhotos(aerial(shared.workspace), shared.track)
        training = replace(
            training, overhead=Overhead(Photos(above.tiles, above.digests, store, "aerial"), above.places)
        )
    context = shared.of(task, folder, _loaded(task, shared.weights_of(task.method)))
    return task.method.fit(training, validation, context, **task.inputs.parameters)


def _require_contract(method: Method) -> None:
    """Tell a plug-in that was written for the first edition what to change."""
    with suppress(ValueError):  # a callable that has no signature to look at
        names = list(inspect.signature(method.fit).parameters)
        if names[2:4] == ["seed", "device"]:
            raise UsageError(
                f"{method.name}: is written for an earlier t15; make its fit take (training, validation, context, …) instead "
                f"of ({', '.join(names[:4])}, …), with context.seed and context.device (docs/methods.md)"
            )


def _require_answers(method: Method, predictor: Predictor) -> None:
    """Make sure that a predictor offers what its method gives: what it says in `gives` is what lists and boards show."""
    offers = offered(predictor)
    if set(offers) != method.gives:
        wanted, got = ", ".join(sorted(method.gives)), ", ".join(offers)
        raise UsageError(f"{method.name}: gives={{{wanted}}}, but its predictor offers {got}; let `gives` say that")


def _engine(task: Task, shared: RunContext) -> str:
    if not task.method.fit_many:
        return ""
    beside = shared.fitted.get(task.inputs.identity)
    return shared.engine + (f", {beside.parallel} side by side" if beside else "")


def _predict_test(
    predictor: Predictor, inputs: RunInputs, gallery: Training, shared: RunContext, told: bool
) -> Predictions:
    """Ask a fitted method about the test photos, without their labels: the one place where the test side is read.

    Each time is entered in the ledger that leaderboards show. An oracle is `told` labels and places.
    """
    shared.record(inputs)
    return _predicted(predictor, "test", gallery, shared, told)


def _own_photos(predictor: Predictor, gallery: Training, shared: RunContext) -> int | None:
    """Return `own` of `results.Run`."""
    if not hasattr(predictor, "excluding"):
        return None
    asked = shared.training("test", gallery.label_set.level)
    pairs = ((asked.authors, gallery.authors), (asked.sequences, gallery.sequences))
    own = [np.isin(theirs, known[known >= 0]) for theirs, known in pairs]
    return int((own[0] | own[1]).sum())


def _predicted(
    predictor: Predictor,
    side: str,
    gallery: Training,
    shared: RunContext,
    told: bool = False,
    *,
    excluding: bool = True,
) -> Predictions:
    """Return what is said of a side, to which the gallery's photos of a photo's own author or sequence do not exist."""
    level = gallery.label_set.level
    photos = shared.training(side, level) if told else photos_of(shared.manifest, side, shared.store, level)
    if excluding:
        predictor = _without_own(predictor, side, level, shared)
    answers = predict(predictor, photos, gallery.label_set, gallery)
    if answers.probabilities is None:
        raise DataError("the method returned nothing that labels follow from")
    # Places that follow from the labels are not kept: whoever reads the run derives them again.
    places = answers.places if places_itself(offered(predictor)) else None
    return Predictions(list(photos.ids), answers.probabilities, places, answers.ranking)


def _without_own(predictor: Predictor, side: str, level: str, shared: RunContext) -> Predictor:
    """Return a predictor to which the gallery's photos of a photo's own author or sequence do not exist, for a side."""
    exclude = getattr(predictor, "excluding", None)
    if exclude is None:
        return predictor
    asked = shared.training(side, level)
    without: Predictor = exclude(asked.authors, asked.sequences)
    return without


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
