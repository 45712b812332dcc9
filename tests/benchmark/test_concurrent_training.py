"""Trainings side by side: the same as one by one."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmark.methods.networks import transfer_variant
from benchmark.methods.settings import with_settings
from benchmark.methods.types import Method
from benchmark.networks import backbones, weights
from benchmark.networks import train as train_module
from benchmark.networks.backbones import Backbone
from benchmark.networks.weights import MissingWeightsError
from benchmark.planning import Task, plan
from benchmark.results import finished_runs, read_predictions
from benchmark.runner import bench, groups
from tests.benchmark.conftest import World, make_world, method
from tests.benchmark.methods.test_networks import DOT


@pytest.fixture(autouse=True)
def dot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backbones.BACKBONES, "dot", replace(DOT, name="dot", pretrained=None))


@pytest.fixture
def scratch() -> Method:
    found = transfer_variant("scratch:dot")
    assert found is not None
    return with_settings(found, {"size": "28", "epochs": "2", "batch": "4", "learning_rate": "0.05"})


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
    wild = replace(with_settings(scratch, {"learning_rate": "1e30"}), name="wild")
    tasks = planned(world, scratch, wild, seeds=(0, 1))
    outcomes = list(bench(world.manifest, world.workspace, tasks, "cpu", side_by_side=True))
    assert [outcome.state for outcome in outcomes] == ["done", "done", "failed", "failed"]
    assert all("DivergedError" in outcome.reason for outcome in outcomes[2:])


def test_one_that_cannot_begin_leaves_the_others(
    worlds: tuple[World, World], scratch: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds[0]
    wrong = replace(scratch, name="wrong", parameters={**scratch.parameters, "selection": "best"})
    first, second, *others = planned(world, scratch, wrong, seeds=(0, 1))
    weightless = [replace(second, weights="pre-trained")]  # planned with weights that are gone since

    def gone(backbone: Backbone, digest: str | None = None) -> None:
        raise MissingWeightsError(f"weights of {backbone.name} are gone")

    monkeypatch.setattr(weights, "load", gone)
    tasks = [first, *weightless, *others]
    outcomes = list(bench(world.manifest, world.workspace, tasks, "cpu", side_by_side=True))
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "failed", "failed"]
    assert "weights of dot are gone" in outcomes[1].reason
    assert all("selection 'best'" in outcome.reason for outcome in outcomes[2:])
    again = list(bench(world.manifest, world.workspace, others, "cpu", side_by_side=True))
    assert [outcome.state for outcome in again] == ["failed", "failed"]


@pytest.mark.parametrize("side_by_side", [False, True])
def test_weights_that_were_replaced_since_the_plan_are_not_taken_for_the_planned(
    worlds: tuple[World, World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side_by_side: bool
) -> None:
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setitem(backbones.BACKBONES, DOT.name, DOT)
    found = transfer_variant(f"finetune:{DOT.name}")
    assert found is not None
    tuned = with_settings(found, {"size": "28", "epochs": "1", "selection": "last-epoch"})

    def bring(seed: int) -> list[Task]:
        file = tmp_path / f"{seed}.safetensors"
        torch.manual_seed(seed)
        save_file({name: tensor.contiguous() for name, tensor in DOT.build(9).state_dict().items()}, file)
        weights.add(DOT, file, hashlib.sha256(file.read_bytes()).hexdigest())
        return planned(worlds[0], tuned, seeds=(0, 1))

    stale, fresh = bring(0), bring(1)
    for tasks, state in ((stale, "failed"), (fresh, "done")):
        outcomes = list(bench(worlds[0].manifest, worlds[0].workspace, tasks, "cpu", side_by_side=side_by_side))
        assert [outcome.state for outcome in outcomes] == [state] * 2
        assert all("others were added meanwhile" in outcome.reason for outcome in outcomes if state == "failed")


def test_the_engine_that_was_asked_for_works(
    worlds: tuple[World, World], scratch: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, engines = worlds[0], []
    original = train_module.train_many

    def spy(jobs: Any, training: Any, validation: Any, device: str, engine: str, *rest: Any) -> Any:
        engines.append(engine)
        return original(jobs, training, validation, device, engine, *rest)

    monkeypatch.setattr(train_module, "train_many", spy)
    tasks = planned(world, scratch, seeds=(0, 1))
    outcomes = list(bench(world.manifest, world.workspace, tasks, "cpu", engine="reference", side_by_side=True))
    assert [outcome.state for outcome in outcomes] == ["done", "done"]
    assert engines == ["reference"]
    assert {run.engine for run in finished_runs(world.workspace.runs, world.manifest.digest)} == {
        "reference, 2 side by side"
    }


def test_finished_and_other_runs_stand_alone(world: World, scratch: Method) -> None:
    other = method("drawn")
    tasks = planned(world, other, scratch, seeds=(0, 1, 2, 3, 4))
    assert [len(group) for group in groups(tasks, world.workspace.runs, True)] == [1, 5]
    assert [len(group) for group in groups(tasks, world.workspace.runs, False)] == [1] * 6
    assert [len(group) for group in groups(tasks, world.workspace.runs, True, most=2)] == [1, 2, 2, 1]
    finished = world.workspace.runs / tasks[2].inputs.identity / "run.json"
    finished.parent.mkdir(parents=True)
    finished.touch()
    found = list(groups(tasks, world.workspace.runs, True, most=2))
    assert [task for group in found for task in group] == tasks
    assert [len(group) for group in found] == [1, 1, 1, 2, 1]


def test_predictions_differ_between_seeds(world: World, scratch: Method) -> None:
    list(bench(world.manifest, world.workspace, planned(world, scratch), "cpu", side_by_side=True))
    runs = finished_runs(world.workspace.runs, world.manifest.digest)
    first, second, _ = (read_predictions(world.workspace.runs, run).probabilities for run in runs)
    assert not np.array_equal(first, second)
