"""Trainings side by side: the same as one by one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark import together
from benchmark.methods.base import Method
from benchmark.methods.networks import on_the_ladder
from benchmark.networks import backbones
from benchmark.planning import Task, plan
from benchmark.results import finished_runs, read_predictions
from benchmark.runner import bench
from benchmark.together import groups
from tests.benchmark.conftest import World, make_world, method
from tests.benchmark.methods.test_networks import DOT


@pytest.fixture(autouse=True)
def dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.BACKBONES, "dot", replace(DOT, name="dot", pretrained=None))


@pytest.fixture
def scratch() -> Method:
    found = on_the_ladder("scratch:dot")
    assert found is not None
    return found.changed({"size": "28", "epochs": "2", "batch": "4", "learning_rate": "0.05"})


def planned(world: World, *methods: Method, seeds: tuple[int, ...] = (0, 1, 2)) -> list[Task]:
    return plan(world.manifest, methods, seeds, "paper")


def predicted(world: World) -> dict[str, bytes]:
    runs = world.workspace.runs
    return {
        run.inputs.identity: read_predictions(runs, run).probabilities.tobytes()
        for run in finished_runs(runs, world.manifest.digest)
    }


@pytest.fixture
def worlds(tmp_path: Path) -> tuple[World, World]:
    return make_world(tmp_path / "one"), make_world(tmp_path / "other")


def test_runs_are_the_same_side_by_side(worlds: tuple[World, World], scratch: Method) -> None:
    for world, side_by_side in zip(worlds, (False, True), strict=True):
        tasks = planned(world, scratch, method("drawn", stochastic=True))
        outcomes = list(bench(world.manifest, world.workspace, tasks, "cpu", side_by_side=side_by_side))
        assert [outcome.state for outcome in outcomes] == ["done"] * 6
    first, second = (predicted(world) for world in worlds)
    assert first == second
    assert len(first) == 6
    runs = finished_runs(worlds[1].workspace.runs, worlds[1].manifest.digest)
    assert {run.engine for run in runs} == {"", "fast, 3 side by side"}
    for run in runs:
        folder = worlds[1].workspace.runs / run.inputs.identity
        assert (folder / "curve.json").is_file() == (run.inputs.method == "scratch:dot")
        assert (folder / "model.safetensors").is_file() == (run.inputs.method == "scratch:dot" and run.inputs.seed == 0)
    assert not any((worlds[1].workspace.runs / "unfinished").iterdir())


def test_one_that_fails_leaves_the_others(worlds: tuple[World, World], scratch: Method) -> None:
    world = worlds[0]
    wild = replace(scratch.changed({"learning_rate": "1e30"}), name="wild")
    tasks = planned(world, scratch, wild, seeds=(0, 1))
    outcomes = list(bench(world.manifest, world.workspace, tasks, "cpu", side_by_side=True))
    assert [outcome.state for outcome in outcomes] == ["done", "done", "failed", "failed"]
    assert all("DivergedError" in outcome.reason for outcome in outcomes[2:])


def test_finished_and_other_runs_stand_alone(world: World, scratch: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    other = method("drawn")
    tasks = planned(world, other, scratch, seeds=(0, 1, 2, 3, 4))
    assert [len(group) for group in groups(tasks, world.workspace.runs, True)] == [1, 5]
    assert [len(group) for group in groups(tasks, world.workspace.runs, False)] == [1] * 6
    monkeypatch.setattr(together, "_MOST", 2)
    assert [len(group) for group in groups(tasks, world.workspace.runs, True)] == [1, 2, 2, 1]
    monkeypatch.setattr(together, "is_finished", lambda runs, identity: identity == tasks[2].inputs.identity)
    found = list(groups(tasks, world.workspace.runs, True))
    assert [task for group in found for task in group] == tasks
    assert [len(group) for group in found] == [1, 1, 1, 2, 1]


def test_predictions_differ_between_seeds(world: World, scratch: Method) -> None:
    list(bench(world.manifest, world.workspace, planned(world, scratch), "cpu", side_by_side=True))
    runs = finished_runs(world.workspace.runs, world.manifest.digest)
    first, second, _ = (read_predictions(world.workspace.runs, run).probabilities for run in runs)
    assert not np.array_equal(first, second)
