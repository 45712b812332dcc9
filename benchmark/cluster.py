"""Runs as tasks of a Ray cluster: the driver plans, sends each run to a node, and saves what comes back, once.

docs/cluster.md says how it is used, and whom it trusts.
"""

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from benchmark.networks import weights
from benchmark.planning import Task
from benchmark.results import Failure
from benchmark.runner import Outcome, conclude, failure, prepare, settled, unfinished
from benchmark.worker import ClusterJob, DriverActor, TaskResult, machine, work
from collector.errors import UsageError
from collector.executors.cluster import alive, connected, on_node, require_versions
from collector.executors.nodes import versions
from collector.manifest.manifest import Manifest
from collector.workspace import Workspace, storage_errors

log = logging.getLogger("t15")

RETRIES = 3
"""How often a run is done again whose worker or node was lost."""

LOOK_SECONDS = 5.0  # between looks at which nodes are there


@dataclass(frozen=True, slots=True)
class Share:
    """What one run gets of a node: `device` is `cpu` or `cuda`, `cpus` are cores and threads, `gpus` a share of one GPU."""

    device: str
    cpus: int
    gpus: float


def bench(
    manifest: Manifest,
    workspace: Workspace,
    tasks: Sequence[Task],
    device: str,
    address: str,
    engine: str = "fast",
    gpus_per_run: float = 1.0,
    cpus_per_run: int | None = None,
) -> Generator[Outcome, None, None]:
    """Do the tasks on a cluster and yield what became of each, as it is known.

    Runs, failures, logs and the ledger are written here and not by workers, as by `runner.bench`. A run whose worker is lost
    is done again, up to RETRIES times; what a method raises is its failure. Closing it early cancels what is under way.

    Args:
        manifest: the data set.
        workspace: with its photos.
        tasks: what to do; finished runs are skipped.
        device: `cpu`, `cuda`, or `auto` for cuda where the cluster has GPUs.
        address: HOST:PORT of a cluster that this machine is a node of, or `auto`: that of RAY_ADDRESS, or else one that is
            started on this machine for the time being.
        engine: the training loop.
        gpus_per_run: share of a GPU that a run on cuda takes.
        cpus_per_run: cores that a run takes, and the threads that it computes with; None for as many as torch would use here,
            at most those of the largest node, or, on cuda, the GPU's share of a node's cores.

    Raises:
        UsageError: Ray is not installed, the address is none, nodes have other versions, or no node can hold a run.
        DataError: as by `runner.bench`.
        IncompleteError: the cluster does not answer, or the disk is full.
    """
    if not 0 < gpus_per_run <= 1:
        raise UsageError(f"--gpus-per-run {gpus_per_run}: a share of one GPU, more than 0 and at most 1")
    prepare(manifest, workspace)
    with storage_errors(workspace.root):
        waiting = []
        for task in tasks:
            outcome = settled(task, workspace.runs)
            if outcome:
                yield outcome
            else:
                waiting.append(task)
        if waiting:
            with connected(address) as ray:
                require_versions(ray, versions())
                share = share_of(_resources(ray), device, gpus_per_run, cpus_per_run)
                yield from _done(ray, waiting, workspace, _job(ray, manifest, workspace, share, engine), share)


def _resources(ray: Any) -> list[Mapping[str, float]]:
    return [node["Resources"] for node in alive(ray)]


def share_of(nodes: Sequence[Mapping[str, float]], device: str, gpus_per_run: float, cpus_per_run: int | None) -> Share:
    """Return what one run gets, from the nodes' `CPU` and `GPU`; the arguments are those of `bench`.

    Raises:
        UsageError: there is no such device, or no node can hold a run.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {device!r}: choose auto, cpu or cuda")
    with_gpus = [node for node in nodes if node.get("GPU", 0) >= gpus_per_run and node.get("CPU", 0) >= 1]
    if device == "cuda" and not with_gpus:
        raise UsageError("--device cuda: no node of the cluster has a GPU; use --device cpu, or auto")
    on = "cuda" if with_gpus and device != "cpu" else "cpu"
    cores = [int(node.get("CPU", 0)) for node in (with_gpus if on == "cuda" else nodes)]
    most = max(cores, default=0)
    if cpus_per_run is not None:
        cpus = cpus_per_run
    elif on == "cuda":  # so that cores never keep a share of a GPU idle
        cpus = max(1, min(int(node["CPU"] * gpus_per_run / node["GPU"]) for node in with_gpus))
    else:
        cpus = min(torch.get_num_threads(), most)
    if not 1 <= cpus <= most:
        raise UsageError(f"--cpus-per-run {cpus}: the largest node has {most} cores; choose 1 to {most}")
    return Share(on, cpus, gpus_per_run if on == "cuda" else 0.0)


def _job(ray: Any, manifest: Manifest, workspace: Workspace, share: Share, engine: str) -> ClusterJob:
    here = Workspace(workspace.root.resolve())
    actor = ray.remote(num_cpus=0, max_concurrency=4)(DriverActor)
    driver = actor.options(scheduling_strategy=on_node(ray.get_runtime_context().get_node_id())).remote(
        here, weights.folder().resolve()
    )
    return ClusterJob(manifest, here.root, machine(), share.device, engine, share.cpus, versions(), driver)


def _done(ray: Any, tasks: Sequence[Task], workspace: Workspace, job: ClusterJob, share: Share) -> Iterator[Outcome]:
    remote = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_retries=RETRIES, retry_exceptions=False)(work)
    shared_job = ray.put(job)
    under_way: dict[Any, Task] = {}
    watch = _Watch(ray, share)
    try:
        for task in tasks:
            try:
                under_way[remote.options(name=task.inputs.method).remote(task, shared_job)] = task
            except Exception as error:  # noqa: BLE001 (pickle's, of whatever a method holds)
                yield conclude(task, failure(task, error), workspace.runs, lambda: 0.0)
        watch.look()
        while under_way:
            for reference in ray.wait(list(under_way), timeout=LOOK_SECONDS)[0]:
                yield _received(ray, reference, under_way.pop(reference), workspace)
            watch.look()
    finally:
        for reference in under_way:
            ray.cancel(reference, force=True)


def _received(ray: Any, reference: Any, task: Task, workspace: Workspace) -> Outcome:
    """Save what came back of a run: each reference is asked once, whatever was retried to answer it."""
    try:
        answer: TaskResult = ray.get(reference)
    except Exception as error:  # noqa: BLE001 (Ray's, and whatever unpickling raises)
        return conclude(task, _lost(ray, task, error), workspace.runs, lambda: 0.0)
    logs = workspace.runs / "logs" / f"{task.inputs.identity}.log"
    logs.parent.mkdir(parents=True, exist_ok=True)
    with logs.open("ab") as file:
        file.write(answer.log)
    for warning in answer.warnings:
        log.warning("%s", warning)
    result = answer.result
    if not isinstance(result, Failure):
        folder = unfinished(workspace.runs, task)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / name for name in answer.files]
        for path in paths:
            path.write_bytes(answer.files[path.name])
        result = replace(result, files=paths)
    return conclude(task, result, workspace.runs, lambda: answer.seconds)


def _lost(ray: Any, task: Task, error: BaseException) -> Failure:
    """Return the record of a run that brought no result; errors that a worker raised come wrapped in a traceback."""
    if isinstance(error, ray.exceptions.RayTaskError):
        return failure(task, error.cause)
    lost = (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError)
    if isinstance(error, lost):
        return failure(task, RuntimeError(f"its worker was lost {RETRIES + 1} times: {error}"))
    return failure(task, error)


@dataclass
class _Watch:
    """Tells of nodes that are lost, and of runs that no node is left for."""

    ray: Any
    share: Share
    _seen: dict[str, str] = field(default_factory=dict)
    _stranded: bool = False

    def look(self) -> None:
        nodes = {node["NodeID"]: node for node in alive(self.ray)}
        for lost in self._seen.keys() - nodes.keys():
            log.warning("node %s of the cluster was lost; its runs are done again elsewhere", self._seen[lost])
        self._seen = {number: node["NodeManagerAddress"] for number, node in nodes.items()}
        able = any(
            node["Resources"].get("CPU", 0) >= self.share.cpus and node["Resources"].get("GPU", 0) >= self.share.gpus
            for node in nodes.values()
        )
        if not able and not self._stranded:
            log.warning("no node is left that could hold a run; waiting for one to join, Ctrl-C stops")
        self._stranded = not able
