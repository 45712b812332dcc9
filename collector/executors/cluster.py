"""Work as tasks of a Ray cluster: the driver shares it out and takes what comes back, in order; docs/cluster.md.

Ray does a task again whose worker or node is lost. What a lost worker was at is then done again one thing at a time, so
that only a thing whose worker dies each time is given up. Nothing on a node writes to the catalogue: the driver does.
"""

import logging
import math
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from collector.errors import IncompleteError, T15Error, UsageError, one_line
from collector.executors.local import AT_ONCE, DEATHS, WORKER_DIED, Fault, Item, Result, Value, Work
from collector.executors.nodes import Expected, Job, differences, done, require, versions
from collector.workspace import Workspace, storage_errors

log = logging.getLogger("t15")

HEALTH_SECONDS = 20.0  # a healthy cluster answers `ray health-check` in about a second, most of which is its start
LOOK_SECONDS = 5.0  # between looks at whether a node is left

HEAD_SECONDS = 20.0
"""For so long a head node may not answer before it is lost."""

_GOES_ON = "what was written down is kept, run the same command again"

_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 120.0  # a node may have to start Python from a slow disk
_SIGN_SECONDS = 30 * 86_400.0  # no run lasts as long
_CHUNK = 16  # things in one task: a task costs about a millisecond

Answer = TypeVar("Answer")
Local = TypeVar("Local", bound=Work | None)


@contextmanager
def work_on(
    address: str, workspace: Workspace | None, otherwise: Local, gpus: float = 0
) -> "Iterator[Local | Cluster]":
    """Give the cluster at an address to work on, or, where the address is empty, what is given otherwise.

    Args:
        address: as `connected` takes it.
        workspace: that all nodes see under the same path; None where the work needs none.
        otherwise: where work is done without a cluster.
        gpus: share of a GPU that each task takes.

    Raises:
        UsageError: Ray is not installed, the address is none, or a node has other versions or does not see the workspace.
        IncompleteError: the cluster does not answer, or is lost.
    """
    if not address:
        yield otherwise
        return
    with connected(address) as ray, _signed(workspace) as expected:
        require_versions(ray, expected.versions)
        _ask_nodes(ray, require, expected)
        if gpus and not any(node["Resources"].get("GPU", 0) >= gpus for node in alive(ray)):
            raise UsageError("--device cuda: no node of the cluster has a GPU; use --device cpu")
        yield Cluster(ray, expected, gpus)


@contextmanager
def _signed(workspace: Workspace | None) -> Iterator[Expected]:
    """Leave a sign in the workspace by which nodes know it, of this run alone: a copy of the workspace has another."""
    if workspace is None:
        yield Expected(versions(), Path(), None, "")
        return
    root, token = workspace.root.resolve(), secrets.token_hex(16)
    sign = root / f".cluster-{token}"
    with storage_errors(root):
        sign.write_text(token, encoding="ascii")
        for other in root.glob(".cluster-*"):  # of drivers that died, judged by the file system's own clock
            if other.stat().st_mtime < sign.stat().st_mtime - _SIGN_SECONDS:
                other.unlink(missing_ok=True)
    try:
        yield Expected(versions(), root, sign, token)
    finally:
        sign.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that the cluster keeps; each node that asks for it fetches it once."""

    reference: Any

    def __call__(self) -> Any:
        """Return the value."""
        import ray

        return ray.get(self.reference)


@dataclass(frozen=True, slots=True)
class Cluster:
    """On the nodes of a cluster, a core to each task; see `work_on`."""

    ray: Any
    expected: Expected
    gpus: float = 0

    def share(self, value: Value) -> Callable[[], Value]:
        """Do `Work.share`."""
        return Kept(self.ray.put(value))

    @property
    def cores(self) -> int:
        """Of all nodes."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def outcomes(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        at_once: int = AT_ONCE,
        holds_gil: bool = False,  # noqa: ARG002 (Work)
    ) -> Iterator[Result | Fault]:
        """Do `Work.outcomes`; at most `at_once` things are in one task, and two tasks a core under way.

        Raises:
            UsageError: a node that joined is none for this work.
            IncompleteError: the cluster is lost.
        """
        most = 2 * self.cores
        size = max(1, min(_CHUNK, at_once, math.ceil(len(items) / most)))
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        job = self.ray.put(Job(function, self.expected))
        waiting: deque[tuple[Sequence[Item], Any]] = deque()
        rest = iter(chunks)
        try:
            while True:
                for chunk in islice(rest, most - len(waiting)):
                    waiting.append((chunk, self.task(done).remote(job, chunk)))
                if not waiting:
                    return
                chunk, reference = waiting[0]
                found = self.answer(reference)
                waiting.popleft()
                yield from self._carefully(job, chunk) if found is None else found
        finally:
            for _, reference in waiting:
                self.ray.cancel(reference, force=True)

    def task(self, function: Callable[..., Answer], cores: float = 1) -> Any:
        """Return a function as a task of the cluster: done again DEATHS - 1 times where its worker dies."""
        remote = self.ray.remote(function)
        return remote.options(num_cpus=cores, num_gpus=self.gpus, max_retries=DEATHS - 1, retry_exceptions=False)

    def answer(self, reference: Any) -> Any:
        """Return what a task gave; None where its worker died each time.

        Raises:
            Exception: what it raised.
            IncompleteError: the cluster is lost.
        """
        errors = self.ray.exceptions
        told = False
        try:
            while not self.ray.wait([reference], timeout=LOOK_SECONDS)[0]:
                left = any(can_compute(node) for node in alive(self.ray))
                if not left and not told:
                    log.warning("no node is left that could do the work; waiting for one to join, Ctrl-C stops")
                told = not left
            return self.ray.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, Exception) and not isinstance(error.cause, errors.RayError):
                raise error.cause from None
            raise IncompleteError(_line(f"--cluster: a task failed ({error}); {_GOES_ON}")) from error
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError):
            return None
        except errors.RayError as error:
            raise IncompleteError(_line(f"--cluster: the cluster was lost ({error}); {_GOES_ON}")) from error

    def _carefully(self, job: Any, chunk: Sequence[Item]) -> Iterator[Result | Fault]:
        for item in chunk:
            found = self.answer(self.task(done).remote(job, [item]))
            yield Fault(WORKER_DIED) if found is None else found[0]


# --- reaching a cluster, and what its nodes have


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster, or start one on this machine, and give Ray; at the end leave it, or end it.

    Args:
        address: HOST:PORT of a cluster that this machine is a node of, or `auto`: that of RAY_ADDRESS, or else one that is
            started on this machine for the time being.

    Raises:
        UsageError: Ray is not installed, or the address is none.
        IncompleteError: nothing answers there in time, or not as a cluster that this machine may use.
    """
    named = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    _require_installed()
    if named:
        _require_answer(named)  # before Ray is imported, which reads then whether a token is asked for
    ray = load_ray(loopback=not named)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if named:
        options["address"] = named
    else:
        options |= {"address": "local", "include_dashboard": False}
    try:
        ray.init(**options)
    except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError and bare Exceptions
        raise IncompleteError(_line(f"--cluster {named or address}: cannot be used ({error})")) from error
    try:
        if not named:
            _require_loopback(ray)
        with watched(ray.get_runtime_context().gcs_address):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def watched(head: str, leave: Callable[[int], object] = os._exit) -> Iterator[None]:
    """End this process where the head node of its cluster does not answer for HEAD_SECONDS.

    Ray does so itself, after a minute in which nothing of it can be called, and with another exit code. A driver may end
    at any time: what it had written down is whole.
    """
    host, _, port = head.rpartition(":")
    over = threading.Event()

    def watch() -> None:
        answered = time.monotonic()
        while not over.wait(LOOK_SECONDS):
            with suppress(OSError):
                socket.create_connection((host.strip("[]"), int(port)), LOOK_SECONDS).close()
                answered = time.monotonic()
            if time.monotonic() - answered >= HEAD_SECONDS:
                lost = f"t15: --cluster: the head node {head} is lost; {_GOES_ON}"
                print(lost, file=sys.stderr, flush=True)
                leave(IncompleteError.exit_code)
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def load_ray(*, loopback: bool = False) -> Any:
    """Return the module `ray`, imported so that it is quiet; with `loopback` a cluster it starts listens on 127.0.0.1 only.

    Raises:
        UsageError: it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."  # what raylets say goes to the driver's stdout otherwise
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's next default; without it, it warns
    if loopback:
        # Without this, Ray on Linux replaces 127.0.0.1 by an address of the network (services.resolve_ip_for_localhost).
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    _require_installed()
    import ray

    return ray


def _require_installed() -> None:
    if find_spec("ray") is None:
        raise UsageError("--cluster: needs Ray, which is not installed; `pip install 't15[cluster]'`")


def _require_loopback(ray: Any) -> None:
    for node in ray.nodes():
        if node["NodeManagerAddress"] != "127.0.0.1":
            raise UsageError(
                f"--cluster auto: Ray {ray.__version__} listens on {node['NodeManagerAddress']}, not on this machine alone; "
                "start a cluster yourself with `ray start --head` and name its address"
            )


def _require_answer(address: str) -> None:
    """Make sure that a cluster answers: `ray.init` would wait for one for minutes.

    Raises:
        UsageError: the address has not the form HOST:PORT.
        IncompleteError: nothing listens there, or something else does.
    """
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UsageError(
            f"--cluster {address[:80]!r}: write auto, or HOST:PORT of a cluster that this machine is a node of, such as "
            "127.0.0.1:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise IncompleteError(
            f"--cluster {address}: nothing answers ({error}); `ray start --head` starts a cluster, `ray status` tells of one"
        ) from error
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    # `ray start` has a cluster ask for its user's token, and Ray does not send that by itself to an address that is named. A
    # cluster that asks for none is to be sent none: its nodes could not read what the driver keeps for them.
    for mode in ({}, {"RAY_AUTH_MODE": "token"})[: 1 if "RAY_AUTH_MODE" in os.environ else 2]:
        try:
            subprocess.run(  # noqa: S603 (no shell, our own words)
                check, check=True, capture_output=True, timeout=HEALTH_SECONDS, env={**os.environ, **mode}
            )
        except (subprocess.SubprocessError, OSError) as error:
            if b"AuthenticationError" not in (getattr(error, "stderr", None) or b""):
                raise IncompleteError(
                    f"--cluster {address}: what answers there is no healthy cluster of this Ray; `ray status` tells of one"
                ) from error
        else:
            os.environ |= mode
            return
    raise UsageError(
        f"--cluster {address}: it asks for a token, and here is none or another; set RAY_AUTH_TOKEN_PATH to a "
        "file with the token of its head node (`ray get-auth-token` prints that)"
    )


def require_versions(ray: Any, wanted: Mapping[str, str]) -> None:
    """Make sure that all nodes have the driver's versions; those that join later are checked where they work.

    Raises:
        UsageError: one has others.
        IncompleteError: one does not answer.
    """

    def probe(names: list[str]) -> dict[str, str]:  # nested, so that nodes without t15 can answer too
        from importlib.metadata import PackageNotFoundError, version

        here = {}
        for name in names:
            try:
                here[name] = version(name)
            except PackageNotFoundError:
                here[name] = "missing"
        return here

    for address, here in _ask_nodes(ray, probe, list(wanted)).items():
        if other := differences(wanted, here):
            raise UsageError(f"node {address}: {other}")


def _ask_nodes(ray: Any, question: Callable[[Any], Answer], about: Any) -> dict[str, Answer]:
    """Return what each node that can compute answers, by address.

    Raises:
        UsageError: what a node raised.
        IncompleteError: one does not answer.
    """
    remote = ray.remote(num_cpus=0, max_retries=-1)(question)  # whoever dies of it again and again is late
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in alive(ray) if can_compute(node)}
    node_of = {remote.options(scheduling_strategy=on_node(node)).remote(about): node for node in nodes}
    ready, late = ray.wait(list(node_of), num_returns=len(node_of), timeout=_PROBE_SECONDS) if node_of else ([], [])
    for reference in late:
        raise IncompleteError(
            f"node {nodes[node_of[reference]]}: does not answer within {_PROBE_SECONDS:.0f} s: it cannot start Python, or "
            "its file system hangs"
        )
    answers = {}
    for reference in ready:
        try:
            answers[nodes[node_of[reference]]] = ray.get(reference)
        except ray.exceptions.RayError as error:
            if isinstance(cause := getattr(error, "cause", None), T15Error):
                raise cause from None
            raise IncompleteError(_line(f"node {nodes[node_of[reference]]}: cannot be asked ({error})")) from error
    return answers


def alive(ray: Any) -> list[Mapping[str, Any]]:
    """Return the nodes that are there."""
    return [node for node in ray.nodes() if node["Alive"]]


def can_compute(node: Mapping[str, Any]) -> bool:
    """Return whether a node has a core for work."""
    return bool(node["Resources"].get("CPU", 0) >= 1)


def on_node(node: str) -> Any:
    """Return what makes Ray do a task on this very node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id=node, soft=False)


def _line(text: str) -> str:
    return one_line(text, 400)
