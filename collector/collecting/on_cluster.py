"""Downloads by the nodes of a cluster: the driver lists, chooses and writes down; nodes fetch, examine and store.

All requests of all nodes and of the driver ask one budget for their turn. The store is content-addressed, so that what a lost
node did is done again without harm; only the driver writes to the catalogue.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from collector.collecting.download import Elsewhere, Failed, Outcome, fetched
from collector.errors import UsageError
from collector.executors.budget import start_budget
from collector.executors.cluster import Cluster, on_node
from collector.executors.local import WORKER_DIED, Work
from collector.executors.nodes import Expected, require
from collector.images.decode import quiet_decoders
from collector.images.validate import Limits
from collector.net.client import Http
from collector.providers.base import ImageRequest, Provider, Survey
from collector.records import Photo
from collector.workspace import Workspace

_CORES = 0.5  # of a task: downloads mostly wait
_LEAST, _MOST = 8, 64  # downloads under way; the budget says how many are asked for at one time


@dataclass(frozen=True, slots=True)
class _Job:
    """What all downloads of a service share."""

    http: Http
    workspace: Workspace
    expected: Expected


_jobs: dict[str, _Job] = {}
"""What this process is at: its Http knows each site's robots.txt, and keeps connections open."""


def _fetch(jobs: list[Any], key: str, photo: Photo, request: ImageRequest, limits: Limits, check: bool) -> Outcome:
    """Do `fetched` on this node; `jobs` holds a reference, which is followed once in a process."""
    import ray

    if key not in _jobs:
        _jobs.clear()
        _jobs[key] = ray.get(jobs[0])
    job = _jobs[key]
    require(job.expected)
    with quiet_decoders():
        return fetched(photo, request, limits, check, job.http, job.workspace)


@contextmanager
def downloads(
    work: Work | None, provider: Provider | Survey, workspace: Workspace
) -> Iterator[tuple[Elsewhere | None, int]]:
    """Give what fetches photos on the nodes of a cluster, and how many at once; nothing where work is not on a cluster.

    The service's Http here asks the same budget meanwhile.

    Raises:
        UsageError: the provider is no service: its files may lie on this machine alone.
    """
    if not isinstance(work, Cluster):
        yield None, 0
        return
    http, cluster = getattr(provider, "http", None), work
    if not isinstance(http, Http):
        raise UsageError(f"--cluster: provider {provider.name} has no downloads to share out; leave it out")
    ray = cluster.ray
    budget = start_budget(ray, on_node(ray.get_runtime_context().get_node_id()))
    http.share(budget)
    key = os.urandom(8).hex()
    job = ray.put(_Job(http, Workspace(workspace.root.resolve()), cluster.expected))
    task = cluster.task(_fetch, _CORES)

    def elsewhere(photo: Photo, request: ImageRequest, limits: Limits, check: bool) -> Outcome:
        reference = task.remote([job], key, photo, request, limits, check)
        try:
            while not ray.wait([reference], timeout=1.0)[0]:
                http.require_open()
        except BaseException:
            ray.cancel(reference, force=True)
            raise
        outcome: Outcome | None = cluster.answer(reference)
        return outcome or Failed(photo, "worker-died", WORKER_DIED, None)

    try:
        yield elsewhere, min(_MOST, max(_LEAST, int(cluster.cores / _CORES)))
    finally:
        http.share(None)
        with suppress(Exception):  # where the cluster was lost there is nothing to end
            ray.kill(budget.actor)
