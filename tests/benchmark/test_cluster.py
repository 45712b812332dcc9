"""Runs on a cluster: the same numbers, whatever is lost on the way."""

import importlib.util
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from benchmark import cluster, runner, worker
from benchmark.cluster import Share, share_of
from benchmark.methods.registry import choose
from benchmark.methods.types import Context, Training
from benchmark.networks import weights
from benchmark.networks.backbones import BACKBONES, Backbone, Pretrained
from benchmark.photos import Photos, missing_photos
from benchmark.planning import Task, plan
from benchmark.results import failures, finished_runs, read_predictions, read_validation
from collector.errors import DataError, IncompleteError, UsageError
from collector.executors import cluster as nodes
from collector.executors.nodes import differences
from collector.workspace import Workspace
from tests.benchmark.conftest import Drawn, World, make_world, method

ROOT = Path(__file__).parents[2]


# Without a cluster


def test_a_run_gets_the_threads_of_a_local_one() -> None:
    threads = torch.get_num_threads()
    assert share_of([{"CPU": threads}, {"CPU": 64.0}], "auto", 1, None) == Share("cpu", threads, 0)
    assert share_of([{"CPU": 1.0}], "auto", 1, None) == Share("cpu", 1, 0)  # the most that a node has
    assert share_of([{"CPU": 8.0}], "cpu", 1, 3) == Share("cpu", 3, 0)


def test_runs_share_a_gpu_and_its_cores() -> None:
    nodes = [{"CPU": 64.0}, {"CPU": 32.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}]
    assert share_of(nodes, "auto", 0.25, None) == Share("cuda", 2, 0.25)
    assert share_of(nodes, "cuda", 1, None) == Share("cuda", 8, 1)
    assert share_of(nodes, "cuda", 0.01, None) == Share("cuda", 1, 0.01)
    assert share_of(nodes, "cpu", 0.25, 64) == Share("cpu", 64, 0)


@pytest.mark.parametrize(
    ("nodes", "device", "cpus", "said"),
    [
        ([{"CPU": 4.0}], "cuda", None, "no node of the cluster has a GPU"),
        ([{"CPU": 4.0}], "tpu", None, "choose auto, cpu or cuda"),
        ([{"CPU": 4.0}], "cpu", 5, "the largest node has 4 cores"),
        ([{"CPU": 4.0}], "cpu", 0, "choose 1 to 4"),
        ([{"CPU": 0.0}], "cpu", None, "the largest node has 0 cores"),
        ([{"CPU": 64.0}, {"CPU": 4.0, "GPU": 1.0}], "cuda", 5, "the largest node has 4 cores"),
    ],
)
def test_what_no_node_can_hold_is_refused(nodes: list[dict[str, float]], device: str, cpus: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        share_of(nodes, device, 1, cpus)


def test_other_versions_are_named() -> None:
    driver = {"python": "3.11.4", "t15": "0.1.0", "torch": "2.12.0+cpu", "numpy": "2.3.1"}
    assert differences(driver, {**driver, "torch": "2.12.0+cu130", "python": "3.11.9"}) == ""
    said = differences(driver, {"t15": "0.2.0", "torch": "2.11.0"})
    assert said.startswith("has t15 0.2.0 instead of 0.1.0, torch 2.11.0 instead of 2.12.0+cpu, numpy missing instead")


def test_photos_come_in_pieces_once_and_are_checked(world: World, tmp_path: Path, monkeypatch: Any) -> None:
    asked: list[list[str]] = []
    monkeypatch.setenv("T15_WEIGHTS", "")  # DriverActor sets it, in a process of its own
    home, here = worker.DriverActor(world.workspace, tmp_path), Workspace(tmp_path / "node")

    def ask(digests: list[str]) -> list[bytes]:
        asked.append(digests)
        return home.photos(digests)

    sizes = [photo.bytes or 0 for side in ("train", "val", "test") for photo in world.photos(side)]
    monkeypatch.setattr(worker, "PIECE_BYTES", 3 * max(sizes))
    worker.bring_photos(world.manifest, here, ask)
    assert not any(missing_photos(world.manifest, here).values())
    assert len(asked) > 1
    assert all(sum(len(data) for data in home.photos(digests)) <= 3 * max(sizes) for digests in asked)
    worker.bring_photos(world.manifest, here, lambda digests: pytest.fail("they are here"))


def test_a_damaged_photo_is_not_kept(world: World, tmp_path: Path) -> None:
    here = Workspace(tmp_path / "node")
    with pytest.raises(DataError, match="came damaged"):
        worker.bring_photos(world.manifest, here, lambda digests: [b"other" for _ in digests])
    assert not list(here.root.rglob("*.jpg"))


def test_weights_come_from_the_driver_where_they_are_not_here(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Backbone(
        "small/made",
        "Small",
        lambda classes: torch.nn.Sequential(torch.nn.Linear(2, classes)),
        lambda network: list(network.children()),
        "0",
        pretrained=Pretrained("Made", 3, "CC0-1.0", "https://example.org"),
    )
    monkeypatch.setitem(BACKBONES, small.name, small)
    drivers, here = tmp_path / "drivers", tmp_path / "here"
    monkeypatch.setenv("T15_WEIGHTS", str(drivers))
    save_file({"0.weight": torch.arange(6.0).view(3, 2), "0.bias": torch.ones(3)}, tmp_path / "file.safetensors")
    kept = weights.add(small, tmp_path / "file.safetensors")
    home = worker.DriverActor(world.workspace, drivers)
    content = home.weights(small.name)
    (planned,) = plan(world.manifest, [method(backbone=small.name)], [0], "paper")
    assert (planned.weights, planned.inputs.weights_digest) == ("pre-trained", kept.digest)
    with worker.planned_weights(planned, lambda name: pytest.fail("they are here")):
        weights.load(small)

    monkeypatch.setenv("T15_WEIGHTS", str(here))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for ask in (lambda name: content, lambda name: pytest.fail("they came already")):
        with worker.planned_weights(planned, ask):
            assert weights.load(small)["0.weight"].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert weights.stored(small) is None  # neither kept among this machine's own, nor looked for elsewhere any more
    other = replace(planned, inputs=replace(planned.inputs, weights_digest="0" * 64))
    with (
        pytest.raises(DataError, match="changed on the driver's machine"),
        worker.planned_weights(other, lambda name: content),
    ):
        pass


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = worker.node_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="not this user's alone"):
        worker.node_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(UsageError, match="not this user's alone"):
        worker.node_folder()


def bench(world: World, tasks: list[Task], address: str, **options: Any) -> list[runner.Outcome]:
    return list(cluster.bench(world.manifest, world.workspace, tasks, "cpu", address, **options))


def test_without_ray_one_line_says_how_to_install_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 't15\[cluster\]'"):
        bench(world, plan(world.manifest, [method()], [0], "paper"), "auto")


def test_no_cluster_is_needed_for_what_is_finished_or_lacks_its_weights(world: World) -> None:
    (task,) = plan(world.manifest, [method()], [0], "paper")
    list(runner.bench(world.manifest, world.workspace, [task], "cpu"))
    lacking = replace(plan(world.manifest, [method("net")], [0], "paper")[0], weights="missing")
    assert [outcome.state for outcome in bench(world, [task, lacking], "nowhere")] == ["skipped", "missing"]
    (failed,) = failures(world.workspace.runs, world.manifest.digest)
    assert failed.kind == "weights missing"


@pytest.mark.parametrize("share", [0, -1, 1.5, float("nan")])
def test_a_share_of_a_gpu_is_at_most_one(world: World, share: float) -> None:
    with pytest.raises(UsageError, match="--gpus-per-run"):
        bench(world, [], "auto", gpus_per_run=share)


# With Ray, started here


@pytest.fixture(scope="module")
def ray() -> Any:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 't15[cluster]'")
    return nodes.load_ray(loopback=True)


@pytest.mark.parametrize("address", ["nowhere", "ray://127.0.0.1:10001", "127.0.0.1:", "127.0.0.1:99999", ":6379"])
def test_what_is_no_address_is_refused(world: World, ray: Any, address: str) -> None:
    with pytest.raises(UsageError, match="write auto, or HOST:PORT"):
        bench(world, plan(world.manifest, [method()], [0], "paper"), address)


def test_where_nothing_listens_one_line_says_so(world: World, ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(IncompleteError, match=f"127.0.0.1:{port}: nothing answers"):
        bench(world, plan(world.manifest, [method()], [0], "paper"), "auto")


def test_where_something_else_listens_one_line_says_so(world: World, ray: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(nodes, "HEALTH_SECONDS", 0.2)  # another service never answers as a cluster does
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(IncompleteError, match="no healthy cluster"):
        bench(world, plan(world.manifest, [method()], [0], "paper"), f"127.0.0.1:{other.getsockname()[1]}")


@pytest.fixture(scope="module")
def head(ray: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start a cluster of one node with one core, whose workers find the tests and leave nothing behind."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="t15-ray-") as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", place)  # a short path: sockets lie below it, whose names have 107 bytes at most
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("node")))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("RAY_worker_niceness", "0")  # 15 otherwise: beside a busy suite they would hardly run
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_agent_register_timeout_ms", "400000")  # of a busy machine
        patch.setattr(nodes, "HEALTH_SECONDS", 120.0)
        started: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            yield started
        finally:
            started.shutdown()


@dataclass(frozen=True)
class Waiting(Drawn):
    """Predicts what it drew; with the test photos in its hands it says where it is, and waits until it may go on."""

    place: Path

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        import ray

        if photos.side == "test" and ray.is_initialized():
            (self.place / f"{self.seed}.{ray.get_runtime_context().get_node_id()}").touch()
            wait_for((self.place / "go").exists)
        return super().predict_labels(photos)


def wait_for(happened: Any) -> None:
    end = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def waiting(training: Training, validation: Training, context: Context, place: str) -> Waiting:
    return Waiting(context.seed, len(training.classes), Path(place))


def broken(*arguments: Any, **parameters: Any) -> Any:
    raise RuntimeError("a method's own\nfault")


def dying(*arguments: Any, **parameters: Any) -> Any:
    os._exit(1)


def readings(world: World) -> Counter[str]:
    lines = (world.workspace.runs / "test-ledger.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["run"] for line in lines)


def require_equal(one: World, other: World) -> None:
    """Make sure that the finished runs of two workspaces say the same, to the bit."""
    runs, others = (finished_runs(world.workspace.runs, world.manifest.digest) for world in (one, other))
    assert [run.inputs for run in runs] == [run.inputs for run in others]
    for run in runs:
        for read in (read_predictions, read_validation):
            mine, theirs = read(one.workspace.runs, run), read(other.workspace.runs, run)
            assert mine is not None
            assert theirs is not None
            assert mine.photo_ids == theirs.photo_ids
            assert np.array_equal(mine.probabilities, theirs.probabilities)
        files = [{file.name for file in (w.workspace.runs / run.inputs.identity).iterdir()} for w in (one, other)]
        assert files[0] == files[1]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["the driver's workspace", "a machine elsewhere"])
def test_the_numbers_are_those_of_a_local_run(
    world: World, head: Any, tmp_path: Path, monkeypatch: Any, place: str, capfd: Any
) -> None:
    elsewhere = place == "a machine elsewhere"
    if elsewhere:
        monkeypatch.setattr(cluster, "machine", lambda: "elsewhere")
    monkeypatch.setattr(cluster, "RETRIES", 1)
    # Each worker that dies is followed by one that imports everything anew: once is enough.
    names = ["tiny-64+logreg", "scratch:resnet18"] if elsewhere else ["tiny-64+logreg", "hog-32+knn"]
    bad = [method("dying", dying)] if elsewhere else [method("broken", broken)]
    tasks = plan(world.manifest, [*choose(names), *bad], [0], "smoke")
    outcomes = bench(world, tasks, head.address)
    states = {outcome.task.method.name: outcome.state for outcome in outcomes}
    assert states == {**dict.fromkeys(names, "done"), bad[0].name: "failed"}
    (failed,) = failures(world.workspace.runs, world.manifest.digest)
    reason = "its worker was lost 2 times" if elsewhere else "a method's own fault"
    assert failed.reason.startswith(f"RuntimeError: {reason}")
    assert capfd.readouterr().out == ""
    assert (world.workspace.cache / "arrays").exists() == (not elsewhere)

    local = make_world(tmp_path / "local")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of the cluster's node: float sums depend on their number
    try:
        list(runner.bench(local.manifest, local.workspace, tasks[:-1], "cpu"))
    finally:
        torch.set_num_threads(threads)
    require_equal(world, local)
    assert readings(world) == readings(local)
    for task in tasks[:-1] if elsewhere else tasks:  # a worker that dies has nobody to log for it
        logged = (world.workspace.runs / "logs" / f"{task.inputs.identity}.log").read_text()
        assert logged.count(f"{task.method.name}, seed 0") == 1
    assert [outcome.state for outcome in bench(world, tasks[:-1], "nowhere")] == ["skipped"] * (len(tasks) - 1)


@pytest.mark.slow
def test_what_a_lost_node_did_is_done_again_and_written_once(
    world: World, ray: Any, head: Any, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(cluster, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(cluster, "machine", lambda: "elsewhere")
    place = tmp_path / "signs"
    place.mkdir()
    slow = method("waiting", waiting, parameters={"place": str(place)}, stochastic=True)
    tasks = plan(world.manifest, [slow], [0, 1, 2], "paper")
    node = head.add_node(num_cpus=1)

    def kill() -> None:
        wait_for(lambda: list(place.glob(f"*.{node.node_id}")))
        head.remove_node(node, allow_graceful=False)
        wait_for(lambda: sum(one["Alive"] for one in ray.nodes()) == 1)
        (place / "go").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = bench(world, tasks, head.address)
    killer.join()
    assert sorted((outcome.task.inputs.seed, outcome.state) for outcome in outcomes) == [
        (0, "done"),
        (1, "done"),
        (2, "done"),
    ]
    (lost,) = {path.name.partition(".")[0] for path in place.glob(f"*.{node.node_id}")}
    assert len(list(place.glob(f"{lost}.*"))) == 2  # it was begun there, and again on the node that is left
    expected = Counter({task.inputs.identity: 1 + (str(task.inputs.seed) == lost) for task in tasks})
    assert readings(world) == expected  # the reading of the node that was lost counts
    assert "was lost; its runs are done again elsewhere" in caplog.text

    local = make_world(tmp_path / "local")
    list(runner.bench(local.manifest, local.workspace, plan(local.manifest, [slow], [0, 1, 2], "paper"), "cpu"))
    require_equal(world, local)
    assert not list(world.workspace.runs.glob("unfinished/*"))


@pytest.mark.slow
def test_nodes_with_other_versions_are_refused_by_name(world: World, head: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(cluster, "versions", lambda: {"torch": "1.0", "t15": "9.9"})
    with pytest.raises(UsageError, match=r"node 127\.0\.0\.1: has torch 2.* instead of 1.0, t15 .* instead of 9.9"):
        bench(world, plan(world.manifest, [method()], [0], "paper"), head.address)


@pytest.mark.slow
def test_leaving_early_keeps_what_is_finished_and_ends_the_rest(world: World, head: Any, tmp_path: Path) -> None:
    place = tmp_path / "signs"
    place.mkdir()
    slow = method("waiting", waiting, parameters={"place": str(place)})
    tasks = plan(world.manifest, [method(), slow], [0], "paper")
    going = cluster.bench(world.manifest, world.workspace, tasks, "cpu", head.address)
    assert next(going).task.method.name == "drawn"
    going.close()
    assert [run.inputs.method for run in finished_runs(world.workspace.runs, world.manifest.digest)] == ["drawn"]
    assert failures(world.workspace.runs, world.manifest.digest) == []


@pytest.mark.slow
def test_auto_starts_a_cluster_on_this_machine_alone(world: World, ray: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with tempfile.TemporaryDirectory(prefix="t15-ray-") as place:
        monkeypatch.setenv("RAY_TMPDIR", place)
        with nodes.connected("auto") as started:
            assert [node["NodeManagerAddress"] for node in started.nodes()] == ["127.0.0.1"]
    assert not ray.is_initialized()
