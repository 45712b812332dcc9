"""Trainings side by side: on a GPU one run's small steps leave most of it idle, so that several share it.

The runs are the same as one by one (`networks.train.train_many`); what differs is when they are done.
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
from collector.console import Track, silent
from collector.publishing.manifest import Manifest
from collector.workspace import Workspace

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
    tasks: Sequence[Task], manifest: Manifest, workspace: Workspace, device: str, folder: Path, track: Track = silent
) -> dict[str, Trained]:
    """Train the networks of these tasks and return them by the runs' identity; of less than two tasks none.

    Args:
        tasks: a group of `groups`.
        manifest: the data set.
        workspace: where its photos lie.
        device: `cpu` or `cuda`.
        folder: a folder of each run, named by its identity, holds what a stopped training goes on from.
        track: shows progress.
    """
    if len(tasks) < 2:
        return {}
    import torch

    from benchmark.networks.recipe import Recipe
    from benchmark.networks.train import Job, train_many

    loaded = cache(lambda name: weights.load(find_backbone(name)))
    jobs = []
    for task in tasks:
        checkpoint = folder / task.inputs.identity / "checkpoint.safetensors"
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        given = loaded(task.method.backbone) if task.weights == "pre-trained" else None
        jobs.append(Job(task.inputs.seed, Recipe(**task.inputs.parameters), given, checkpoint))
    sides = (labelled_photos(manifest, side, workspace, track) for side in ("train", "val"))
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    networks = train_many(jobs, *sides, device)
    share = (time.perf_counter() - started) / len(tasks)
    peak = round(torch.cuda.max_memory_allocated() / 2**20, 1) if device == "cuda" else 0.0
    found = zip(tasks, networks, strict=True)
    return {task.inputs.identity: Trained(of, share, peak, len(tasks)) for task, of in found}


def _is_training(task: Task, runs: Path) -> bool:
    unstarted = task.weights != "missing" and not is_finished(runs, task.inputs.identity)
    return task.method.fit is fit_network and unstarted
