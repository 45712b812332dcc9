"""Work on a cluster: what one machine finds, whatever dies, and one line where nodes are none for it."""

import hashlib
import importlib.util
import io
import os
import pickle
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

from collector.catalogue.catalogue import open_catalogue
from collector.collecting.on_cluster import downloads
from collector.curating.assess import assess
from collector.curating.duplicates import dedup
from collector.curating.partitions import pairs_in_partitions
from collector.errors import IncompleteError, UsageError
from collector.executors import cluster
from collector.executors.budget import start_budget
from collector.executors.cluster import Cluster, on_node, work_on
from collector.executors.local import WORKER_DIED, Fault, Here, Threads, Work
from collector.executors.nodes import Expected, differences, require, versions
from collector.executors.photos import map_photos
from collector.images.hashing import HASH_STAMP
from collector.net.rate_limit import SharedPace
from collector.providers.folder import FolderProvider
from collector.records import Photo, Region
from collector.workspace import Workspace
from tests.collector.executors.counting import counting, most_within

ROOT = Path(__file__).parents[3]


# Without a cluster


def test_a_node_needs_the_drivers_versions_and_its_workspace(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    expected = Expected(versions(), tmp_path, sign, "abc")
    with pytest.raises(
        UsageError, match=r"does not see the workspace .*; put it on a file system that all nodes mount"
    ):
        require(expected)
    sign.write_text("other")
    with pytest.raises(UsageError, match="does not see the workspace"):
        require(expected)
    sign.write_text("abc")
    require(expected)
    with pytest.raises(UsageError, match=r"numpy .* instead of 1.0; install the driver's versions"):
        require(Expected({"numpy": "1.0"}, tmp_path, sign, "abc"))


def test_builds_of_one_version_are_equal() -> None:
    assert differences({"python": "3.11", "torch": "2.12.0+cpu"}, {"python": "3.12", "torch": "2.12.0+cu130"}) == ""


def test_without_an_address_work_is_done_here(tmp_path: Path) -> None:
    here = Threads()
    with work_on("", Workspace(tmp_path), here) as work:
        assert work is here
    assert not list(tmp_path.iterdir())


def test_what_is_no_cluster_is_one_line(tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 't15[cluster]'")
    with pytest.raises(UsageError, match="write auto, or HOST:PORT"), work_on("nowhere", Workspace(tmp_path), None):
        pass
    with pytest.raises(IncompleteError, match="nothing answers"), work_on("127.0.0.1:9", Workspace(tmp_path), None):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("mode", "tried"), [(None, ["", "token"]), ("disabled", ["disabled"])])
def test_a_cluster_that_asks_for_a_token_is_sent_it_or_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None, tried: list[str]
) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 't15[cluster]'")
    monkeypatch.setenv("RAY_AUTH_MODE", mode or "")  # so that it is as before at the end
    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE")
    modes: list[str] = []

    def refuse(command: list[str], env: dict[str, str], **_: object) -> None:
        modes.append(env.get("RAY_AUTH_MODE", ""))
        raise subprocess.CalledProcessError(1, command, stderr=b"ray.exceptions.AuthenticationError: InvalidAuthToken")

    monkeypatch.setattr(subprocess, "run", refuse)
    with counting() as (url, _), pytest.raises(UsageError, match=r"asks for a token, .* set RAY_AUTH_TOKEN_PATH"):  # noqa: SIM117
        with work_on(url.removeprefix("http://").rstrip("/"), Workspace(tmp_path), None):
            pass
    assert modes == tried
    assert os.environ.get("RAY_AUTH_MODE") == mode


def test_a_folder_has_no_downloads_to_share_out(tmp_path: Path) -> None:
    there = Cluster(None, Expected({}, tmp_path, None, ""))
    folder = FolderProvider(tmp_path, Region("of-one", "", ()), "CC0-1.0", None)
    with (
        pytest.raises(UsageError, match="provider folder has no downloads"),
        downloads(there, folder, Workspace(tmp_path)),
    ):
        pass
    with downloads(Threads(), folder, Workspace(tmp_path)) as (elsewhere, _):
        assert elsewhere is None


class LostError(Exception):
    """Stands for Ray's WorkerCrashedError."""


class TaskError(Exception):
    """Stands for Ray's RayTaskError."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class Played:
    """Plays Ray's part in this process: what goes to a task and comes back is pickled, and workers die as they are told."""

    def __init__(self) -> None:
        self.exceptions = SimpleNamespace(
            RayTaskError=TaskError,
            WorkerCrashedError=LostError,
            NodeDiedError=LostError,
            OutOfMemoryError=LostError,
            RayError=LostError,
        )
        self.most = self.under_way = 0
        self.cancelled: list[Any] = []

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def put(self, value: Any) -> "Reference":
        return Reference(pickle.dumps(value), None)

    def remote(self, function: Any) -> "Task":
        return Task(self, function)

    def wait(self, references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return references, []

    def get(self, reference: "Reference") -> Any:
        self.under_way -= reference.is_task
        if reference.error:
            raise reference.error
        return pickle.loads(reference.value)  # noqa: S301 (our own)

    def cancel(self, reference: "Reference", force: bool) -> None:
        self.cancelled.append(reference)


@dataclass(eq=False)
class Reference:
    value: bytes
    error: Exception | None
    is_task: bool = False


@dataclass
class Task:
    ray: Played
    function: Any
    tries: int = 1

    def options(self, num_cpus: float, num_gpus: float, max_retries: int, retry_exceptions: bool) -> "Task":
        return Task(self.ray, self.function, 1 + max_retries)

    def remote(self, *given: Any) -> Reference:
        self.ray.under_way += 1
        self.ray.most = max(self.ray.most, self.ray.under_way)
        arguments = [pickle.loads(of.value if isinstance(of, Reference) else pickle.dumps(of)) for of in given]  # noqa: S301
        for _ in range(self.tries):
            try:
                return Reference(pickle.dumps(self.function(*arguments)), None, True)
            except KeyboardInterrupt:  # a worker is told to die
                continue
            except Exception as error:  # noqa: BLE001
                return Reference(b"", TaskError(error), True)
        return Reference(b"", LostError(), True)


died: Counter[int] = Counter()


def mortal(number: int) -> int:
    """Kill the worker: of 5 always, of others above 20 the first time."""
    if number == 5 or (number > 20 and not died[number]):
        died[number] += 1
        raise KeyboardInterrupt
    return 10 // (number - 2)


def test_tasks_come_back_in_order_and_only_what_kills_each_worker_is_given_up() -> None:
    died.clear()
    ray = Played()
    there = Cluster(ray, Expected(versions(), Path(), None, ""))
    found = list(there.outcomes(mortal, range(40), at_once=4))
    assert [of for number, of in enumerate(found) if number not in (2, 5)] == [
        10 // (n - 2) for n in range(40) if n not in (2, 5)
    ]
    assert getattr(found[2], "reason", "") == "integer division or modulo by zero"
    assert found[5] == Fault(WORKER_DIED)
    assert ray.most <= 4  # two for each core


def test_a_node_that_is_none_for_the_work_ends_it_and_leaving_early_cancels() -> None:
    ray = Played()
    with pytest.raises(UsageError, match=r"numpy .* instead of 1"):
        list(Cluster(ray, Expected({"numpy": "1"}, Path(), None, "")).outcomes(mortal, range(8)))
    going = Cluster(ray, Expected(versions(), Path(), None, "")).outcomes(abs, range(100), at_once=1)
    assert next(going) == 0
    ray.cancelled.clear()
    going.close()  # type: ignore[attr-defined]
    assert len(ray.cancelled) == 3


def test_partitions_and_photos_through_a_cluster(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Workspace(tmp_path / "here")
    fill(here)
    ray = Played()
    monkeypatch.setattr(Cluster, "share", lambda self, value: Here(value))
    monkeypatch.setattr(pairs_in_partitions, "__defaults__", (8,))
    there = Cluster(ray, Expected(versions(), Path(), None, ""))
    assert found_in(workspace, there) == found_in(here, None)
    assert decided(workspace, "dedup", "quality") == decided(here, "dedup", "quality")


def test_a_lost_head_node_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "HEAD_SECONDS", 0.05)
    left: list[int] = []
    gone = threading.Event()

    def leave(code: int) -> None:
        left.append(code)
        gone.set()

    with counting() as (url, _):
        head = url.removeprefix("http://").rstrip("/")
        with cluster.watched(head, leave):
            assert not gone.wait(0.1)
    with cluster.watched(head, leave):
        assert gone.wait(5)
    assert left == [5]
    assert capsys.readouterr().err.splitlines() == [
        f"t15: --cluster: the head node {head} is lost; what was written down is kept, run the same command again"
    ]


# With Ray, started here


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a cluster of two nodes with a core each, whose workers find the tests and leave nothing behind."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 't15[cluster]'")
    cluster.load_ray(loopback=True)
    from ray.cluster_utils import Cluster as Started

    with tempfile.TemporaryDirectory(prefix="t15-ray-") as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", place)  # a short path: sockets lie below it, whose names have 107 bytes at most
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("node")))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_worker_niceness", "0")  # 15 otherwise: beside a busy suite they would hardly run
        patch.delenv("RAY_ADDRESS", raising=False)
        for wait in ("RAY_agent_register_timeout_ms", "RAY_gcs_server_request_timeout_seconds"):
            patch.setenv(wait, "400000" if wait.endswith("ms") else "400")  # of a busy machine
        patch.setattr(cluster, "HEALTH_SECONDS", 120.0)
        try:
            started: Any = Started(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
            started.add_node(num_cpus=1)
        except Exception as error:  # noqa: BLE001 (Ray's, of machines that are too busy)
            pytest.skip(f"Ray does not start here: {error}")
        try:
            yield started.address
        finally:
            started.shutdown()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace with forty photos, of which some are copies, one is a file of another kind, and one is missing."""
    workspace = Workspace(tmp_path / "workspace")
    fill(workspace)
    return workspace


def fill(workspace: Workspace) -> None:
    workspace.root.mkdir(parents=True)
    with open_catalogue(workspace) as catalogue:
        for number in range(40):
            data = drawn(number % 30, 60 + number // 30) if number != 7 else b"no photo"
            digest = hashlib.sha256(data).hexdigest()
            if number != 8:
                path = workspace.photo(digest)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            photo = Photo(
                f"made:{number}", "bolu", title=f"{number}", license="CC0-1.0", sha256=digest, bytes=len(data)
            )
            catalogue.add(photo, HASH_STAMP if number in (7, 8) else "old")


def drawn(seed: int, quality: int) -> bytes:
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    file = io.BytesIO()
    small.resize((96, 72), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return file.getvalue()


def decided(workspace: Workspace, *stages: str) -> dict[str, Any]:
    with open_catalogue(workspace) as catalogue:
        rows: dict[str, Any] = {stage: sorted(map(str, catalogue.decisions(stage))) for stage in stages}
        rows["photos"] = sorted(map(str, catalogue.downloaded()))
        rows["stamps"] = catalogue.hash_stamps()
        return rows


def found_in(workspace: Workspace, work: Work | None) -> object:
    """Return what is said of a workspace, whatever its path."""
    said = dedup(workspace, work=work), assess(workspace, work=work)
    return str(said).replace(str(workspace.root), "")


def size_of(signs: Path | None, path: Path) -> int:
    """Return a file's size; the first to come to some of the files kills its worker."""
    size = path.stat().st_size
    sign = signs and signs / path.name
    if sign and path.name[0] == "0" and not sign.exists():
        sign.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return size


def deadly(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def paced(budget: Any, url: str, number: int) -> int:
    with SharedPace(budget, "loopback", 20.0, 2, lambda: None).turn(), urlopen(url) as answer:  # noqa: S310 (our own)
        answer.read()
    return os.getpid()


@pytest.mark.slow
def test_photos_are_mapped_as_here_whatever_dies(address: str, workspace: Workspace, tmp_path: Path) -> None:
    signs = tmp_path / "signs"
    signs.mkdir()
    with open_catalogue(workspace) as catalogue:
        digests = [str(photo.sha256) for photo in catalogue.downloaded()]
    expected = list(map_photos(partial(size_of, None), digests, workspace))
    with work_on(address, workspace, None) as work:
        found = list(map_photos(partial(size_of, signs), digests, workspace, work))
        assert list(work.outcomes(deadly, range(2, 5))) == [2, Fault(WORKER_DIED), 4]  # type: ignore[union-attr]
        other = Expected(versions(), Path("/elsewhere"), Path("/elsewhere/sign"), "")
        with pytest.raises(UsageError, match="does not see the workspace"):
            list(Cluster(work.ray, other).outcomes(deadly, range(2)))  # type: ignore[union-attr]
    assert [getattr(of, "reason", of) for of in found] == [getattr(of, "reason", of) for of in expected]
    assert any(signs.iterdir())
    assert not list(workspace.root.glob(".cluster*"))


@pytest.mark.slow
def test_dedup_and_quality_decide_as_here(address: str, workspace: Workspace, tmp_path: Path) -> None:
    here = Workspace(tmp_path / "here")
    fill(here)
    with work_on(address, workspace, None) as work:
        there_found = found_in(workspace, work)
    assert there_found == found_in(here, None)
    stages = ("dedup", "quality")
    assert decided(workspace, *stages) == decided(here, *stages)


@pytest.mark.slow
def test_no_more_requests_a_second_than_one_machine_would_make(address: str) -> None:
    with counting() as (url, came), work_on(address, None, None) as work:
        assert isinstance(work, Cluster)
        budget = start_budget(work.ray, on_node(work.ray.get_runtime_context().get_node_id()))
        begun = time.monotonic()
        workers = set(work.outcomes(partial(paced, budget, url), range(40)))
        took = time.monotonic() - begun
    assert len(came) == 40
    assert len(workers) > 1
    assert took >= 39 / 20  # 20 a second from one budget: whoever asks, and however many do
    assert most_within(came, 1.0) <= 20 + 2  # those granted in a second, and those that were on their way
