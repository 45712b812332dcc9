"""Trainings side by side: on a GPU one run's small steps leave most of it idle, so that several share it.

On a CPU the runs are the same as one by one (`networks.train.train_many`). On a GPU they share its generator, so that the
masks of AlexNet's dropout depend on who else is training: valid, and not repeatable to the bit.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.methods.networks import fit_network
from benchmark.networks import weights
from benchmark.networks.backbones import find_backbone
from benchmark.photos import labelled_photos
from benchmark.planning import Task
from benchmark.results import is_finished
from collector.manifest.manifest import Manifest
from collector.progress import Track, silent
from collector.workspace import Workspace, is_storage_fault

if TYPE_CHECKING:
    from benchmark.networks.trained import TrainedNetwork

_MOST = 24
"""Trainings that are begun together: so many networks are in memory, and so many are begun again after a crash."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of a training.

    Attributes:
        network: the trained one, or the reason why there is none.
        seconds: its share of the time that all took.
        peak_memory_mib: the GPU's highest memory while all were trained; 0 on a CPU.
        beside: how many were trained together.
    """

    network: "TrainedNetwork | Exception"
    seconds: float
    peak_memory_mib: float
    beside: int


def groups(tasks: Sequence[Task], runs: Path, side_by_side: bool) -> Iterator[list[Task]]:
    """Return the tasks in their order, in groups: of trainings that are still to be done, and all others alone."""
    group: list[Task] = []
    for task in tasks:
        if group and not (_is_training(task, runs) and len(group) < _MOST):
            yield group
            group = []
        group.append(task)
        if not side_by_side or not _is_training(task, runs):
            yield group
            group = []
    if group:
        yield group


def train_together(
    tasks: Sequence[Task],
    manifest: Manifest,
    workspace: Workspace,
    device: str,
    folder: Path,
    track: Track = silent,
    engine: str = "fast",
) -> dict[str, Trained]:
    """Train the networks of these tasks and return them by the runs' identity; of less than two tasks none.

    Args:
        tasks: a group of `groups`.
        manifest: the data set.
        workspace: where its photos lie.
        device: `cpu` or `cuda`.
        folder: a folder of each run, named by its identity, holds what a stopped training goes on from.
        track: shows progress.
        engine: the training loop.

    Raises:
        OSError: the disk is full.
    """
    if len(tasks) < 2:
        return {}
    import torch

    from benchmark.networks.recipe import Recipe
    from benchmark.networks.train import Job, train_many

    loaded = cache(lambda name, digest: weights.load(find_backbone(name), digest))

    def job(task: Task) -> Job:
        checkpoint = folder / task.inputs.identity / "checkpoint.safetensors"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        given = loaded(task.method.backbone, task.inputs.weights_digest) if task.weights == "pre-trained" else None
        return Job(task.inputs.seed, Recipe(**task.inputs.parameters), given, checkpoint)

    jobs: dict[str, Job] = {}
    found: dict[str, Trained] = {}
    for task in tasks:
        try:
            jobs[task.inputs.identity] = job(task)
        except Exception as error:  # that run's failure, and not the end of the rest, as in `runner.attempt`
            if is_storage_fault(error):
                raise
            found[task.inputs.identity] = Trained(error, 0.0, 0.0, 0)
    if not jobs:
        return found
    training, validation = (labelled_photos(manifest, side, workspace, track) for side in ("train", "val"))
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    networks = train_many(list(jobs.values()), training, validation, device, engine)
    share = (time.perf_counter() - started) / len(jobs)
    peak = round(torch.cuda.max_memory_allocated() / 2**20, 1) if device == "cuda" else 0.0
    outcomes = zip(jobs, networks, strict=True)
    return found | {identity: Trained(of, share, peak, len(jobs)) for identity, of in outcomes}


def _is_training(task: Task, runs: Path) -> bool:
    unstarted = task.weights != "missing" and not is_finished(runs, task.inputs.identity)
    return task.method.fit is fit_network and unstarted
