"""What a node of a cluster does: one run, with photos and weights that only the driver's machine may have.

Nothing here decides what is run or writes results: the driver does (`benchmark.cluster`).
"""

import hashlib
import logging
import os
import platform
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported, as front_door.main does

import torch
from threadpoolctl import threadpool_limits

from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.networks.recipe import keep_freed_memory
from benchmark.photos import missing_photos
from benchmark.planning import Task
from benchmark.results import Failure, RunInputs, record_test_read
from benchmark.runner import Finished, RunContext, attempt, logged, unfinished
from collector.errors import DataError, UsageError
from collector.executors.nodes import differences, versions
from collector.manifest.manifest import Manifest
from collector.records import SPLITS, Photo
from collector.workspace import Workspace, store_photo, take_lock, write_atomically

PIECE_BYTES = 64 << 20  # bytes of photos in one message
_TYPICAL = 1 << 20  # of a photo whose size the manifest does not tell


@dataclass(frozen=True, slots=True)
class ClusterJob:
    """What all runs of a benchmark on a cluster share.

    Attributes:
        manifest: the data set.
        root: the driver's workspace.
        machine: where that is, see `machine`.
        device: `cpu` or `cuda`.
        engine: the training loop.
        threads: that each run computes with.
        versions: of the driver's libraries; a worker with others refuses.
        driver: a handle of the `DriverActor` beside the driver.
    """

    manifest: Manifest
    root: Path
    machine: str
    device: str
    engine: str
    threads: int
    versions: Mapping[str, str]
    driver: Any


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What comes back of a run.

    Attributes:
        result: without its files.
        files: their contents by name.
        log: of the run.
        warnings: in the log.
        seconds: that it took.
    """

    result: Finished | Failure
    files: dict[str, bytes]
    log: bytes
    warnings: list[str]
    seconds: float


class DriverActor:
    """An actor beside the driver: keeps the ledger of test readings, and gives away what other machines lack.

    The ledger is written as each reading begins, so that readings by workers that are lost afterwards count as well.
    """

    def __init__(self, workspace: Workspace, weights_folder: Path) -> None:
        """Take what lies where for the driver: a cluster's processes have the environment that it was started in."""
        self._workspace = workspace
        os.environ["T15_WEIGHTS"] = str(weights_folder)

    def note_reading(self, inputs: RunInputs) -> None:
        """Enter a reading of the test photos in the ledger."""
        record_test_read(self._workspace.runs, inputs)

    def photos(self, digests: Sequence[str]) -> list[bytes]:
        """Return the original bytes of photos."""
        return [self._workspace.photo(digest).read_bytes() for digest in digests]

    def weights(self, backbone: str) -> dict[str, bytes]:
        """Return the files of a backbone's weights, by their paths in the folder of weights."""
        whole = find_backbone(backbone)
        stored = [weights.stored(part) for part in whole.parts or (whole,)]
        paths = [of.path for of in stored if of]
        if len(paths) < len(stored):
            raise DataError(f"the weights of {backbone} are no longer on the driver's machine")
        files = [file for path in paths for file in (path, path.with_suffix(".json"))]
        return {str(file.relative_to(weights.folder())): file.read_bytes() for file in files}


def work(task: Task, job: ClusterJob) -> TaskResult:
    """Do one run on this node, with the driver's numbers: the same libraries, as many threads.

    Raises:
        UsageError: other versions are installed here than where the driver runs.
        DataError: what came from there is damaged.
        OSError: the disk is full.
    """
    import ray

    started = time.perf_counter()
    if job.device == "cpu" and task.method.fit_many:
        keep_freed_memory()
    if other := differences(job.versions, versions()):
        raise UsageError(f"node {platform.node()}: {other}")
    here, is_drivers = _workspace(job)
    # Two nodes may share a machine: each has its own folder for what a stopped training goes on from.
    runs = here.runs if is_drivers else here.runs / ray.get_runtime_context().get_node_id()
    folder = unfinished(runs, task)

    def reading(inputs: RunInputs) -> None:
        ray.get(job.driver.note_reading.remote(inputs))

    context = RunContext(job.manifest, here, job.device, job.engine, reading)
    with _threads(job.threads), planned_weights(task, lambda name: ray.get(job.driver.weights.remote(name))):
        if not is_drivers:
            bring_photos(job.manifest, here, lambda digests: ray.get(job.driver.photos.remote(digests)))
        path = folder / "log"
        with logged(path), _warnings() as warnings:
            result = attempt(task, context, folder)
    outcome = _packed(result, path, warnings, time.perf_counter() - started)
    path.unlink()
    if not is_drivers:
        if isinstance(result, Finished):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()  # what a training goes on from stays
    return outcome


def _packed(result: Finished | Failure, log: Path, warnings: list[str], seconds: float) -> TaskResult:
    if isinstance(result, Failure):
        return TaskResult(result, {}, log.read_bytes(), warnings, seconds)
    files = {path.name: path.read_bytes() for path in result.files}
    return TaskResult(replace(result, files=[]), files, log.read_bytes(), warnings, seconds)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what is logged as a warning of `t15`, which the driver shows."""
    messages: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler = Collect(logging.WARNING)
    logging.getLogger("t15").addHandler(handler)
    try:
        yield messages
    finally:
        logging.getLogger("t15").removeHandler(handler)


def machine() -> str:
    """Return a name of this machine that no other has: of its start, where the kernel tells it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()  # random(4)
    except OSError:
        return platform.node()


def _workspace(job: ClusterJob) -> tuple[Workspace, bool]:
    """Return the workspace to work in, and whether it is the driver's: it is where that lies on this very machine."""
    drivers = Workspace(job.root)
    if job.machine == machine() and not any(missing_photos(job.manifest, drivers).values()):
        return drivers, True
    return Workspace(node_folder() / job.manifest.digest[:16]), False


def node_folder() -> Path:
    """Return the folder on this machine for what comes from drivers; it is this user's alone, and may be deleted.

    Raises:
        UsageError: somebody else made it, or others may write to it.
    """
    folder = Path(tempfile.gettempdir()) / f"t15-cluster-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise UsageError(f"{folder}: is not this user's alone; remove it, or choose another place by TMPDIR")
    return folder


def bring_photos(manifest: Manifest, here: Workspace, ask: Callable[[list[str]], list[bytes]]) -> None:
    """Make sure that a manifest's photos lie here; one worker of a machine fetches them, the others wait.

    Args:
        manifest: the data set.
        here: where they are to lie.
        ask: returns photos by sha256, in this order; never asked for much more than 64 MiB.

    Raises:
        DataError: a photo that came is another one.
    """
    here.root.mkdir(parents=True, exist_ok=True)
    with (here.root / "photos.lock").open("w") as lock:
        take_lock(lock)
        photos = [photo for side in SPLITS for photo in manifest.photos(side)]
        for batch in _batches([photo for photo in photos if not here.photo(str(photo.sha256)).is_file()]):
            digests = [str(photo.sha256) for photo in batch]
            for digest, content in zip(digests, ask(digests), strict=True):
                if hashlib.sha256(content).hexdigest() != digest:
                    raise DataError(f"photo {digest}: came damaged from the driver; `t15 collect --check` there")
                store_photo(here, digest, content)


def _batches(photos: Sequence[Photo]) -> Iterator[list[Photo]]:
    batch: list[Photo] = []
    size = 0
    for photo in photos:
        of = photo.bytes or _TYPICAL
        if batch and size + of > PIECE_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(photo)
        size += of
    if batch:
        yield batch


@contextmanager
def planned_weights(task: Task, ask: Callable[[str], dict[str, bytes]]) -> Iterator[None]:
    """Let a task find the weights that it was planned with: those of this machine when they are the same, else the driver's.

    `weights.load` checks them against their digest.
    """
    digest, name = task.inputs.weights_digest, task.method.backbone
    if task.weights != "pre-trained" or digest is None or _has(name, digest):
        yield
        return
    folder = node_folder() / "weights" / digest
    with _environment("T15_WEIGHTS", str(folder)):
        if not _has(name, digest):
            for path, content in ask(name).items():
                write_atomically(folder / path, content)
        if not _has(name, digest):
            raise DataError(f"the weights of {name} were changed on the driver's machine; run the same command again")
        yield


def _has(backbone: str, digest: str) -> bool:
    stored = weights.stored(find_backbone(backbone))
    return stored is not None and stored.digest == digest


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads: sums of floats depend on how they are divided."""
    before = torch.get_num_threads()
    with threadpool_limits(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
