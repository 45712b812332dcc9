"""Killed runs go on where they were, to the last bit; other runs' checkpoints are left alone."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from benchmark.networks import train_run as run_module
from benchmark.networks.recipe import Recipe
from benchmark.networks.train import DivergedError, Job, TrainedNetwork, train, train_many
from benchmark.networks.train_run import TrainingRun
from tests import warm
from tests.benchmark.conftest import World
from tests.benchmark.networks.conftest import Sides


class KilledError(BaseException):
    """Stands for whatever ends a process; no Exception, which would be the end of one run of several only."""


@pytest.fixture(autouse=True)
def _always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "CHECKPOINT_SECONDS", 0.0)


@pytest.fixture
def recipe(small_network: str) -> Recipe:
    return Recipe("norm", frozen="a", learning_rate=0.05, decay_every=2, epochs=5, size=28)


def killed_after(epoch: int, monkeypatch: pytest.MonkeyPatch, step: int = 2) -> None:
    """Make the next run stop in the given step of the epoch after this one."""
    original = TrainingRun.epoch

    def mortal(self: TrainingRun, number: int) -> Iterator[None]:
        for count, _ in enumerate(original(self, number), start=1):
            if number == epoch + 1 and count == step:
                raise KilledError
            yield

    monkeypatch.setattr(TrainingRun, "epoch", mortal)


def assert_same(first: TrainedNetwork, second: TrainedNetwork) -> None:
    states = first.network.state_dict(), second.network.state_dict()
    for name, weight in states[0].items():
        assert torch.equal(weight, states[1][name]), name
    curves = [[replace(epoch, seconds=0) for epoch in trained.curve] for trained in (first, second)]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("engine", ["reference", "fast"])
@pytest.mark.parametrize("epoch", [1, 4])
@pytest.mark.parametrize("changes", [{}, {"selection": "last-epoch"}, {"momentum": 0.0}])
def test_a_killed_run_ends_as_it_would_have(
    sides: Sides,
    recipe: Recipe,
    tmp_path: Path,
    engine: str,
    epoch: int,
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, path = replace(recipe, **changes), tmp_path / "runs" / "one.safetensors"
    whole = train(*sides, 1, "cpu", recipe, engine=engine)
    with monkeypatch.context() as patch:
        killed_after(epoch, patch)
        with pytest.raises(KilledError):
            train(*sides, 1, "cpu", recipe, engine=engine, checkpoint=path)
    assert path.is_file()
    seen: list[int] = []
    original = TrainingRun.epoch

    def spy(self: TrainingRun, number: int) -> Iterator[None]:
        seen.append(number)
        return original(self, number)

    monkeypatch.setattr(TrainingRun, "epoch", spy)
    torch.rand(3)  # what else was drawn does not matter
    assert_same(train(*sides, 1, "cpu", recipe, engine=engine, checkpoint=path), whole)
    assert seen == list(range(epoch + 1, 6))
    assert list(path.parent.iterdir()) == []  # nor a draft


def test_a_checkpoint_is_data_and_leaves_frozen_weights_out(
    sides: Sides, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one"
    killed_after(1, monkeypatch)
    with pytest.raises(KilledError):
        train(*sides, 1, "cpu", recipe, checkpoint=path)
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        facts = json.loads(file.metadata()["facts"])
    assert {"network.4.weight", "network.1.running_mean", "best.10.bias", "optimiser.0.momentum_buffer"} <= names
    assert not {"network.0.weight", "network.1.weight", "best.0.weight"} & names
    assert [epoch["number"] for epoch in facts["curve"]] == [1]


@pytest.mark.parametrize(
    "what", ["seed", "recipe", "data", "labels", "engine", "weights", "damaged", "cut", "no tensors"]
)
def test_other_checkpoints_are_not_taken_up(
    sides: Sides,
    recipe: Recipe,
    tmp_path: Path,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "one"
    with monkeypatch.context() as patch:
        killed_after(2, patch)
        with pytest.raises(KilledError):
            train(*sides, 1, "cpu", recipe, checkpoint=path)
    seed, engine, training = 1, "fast", sides[0]
    if what == "seed":
        seed = 2
    elif what == "recipe":
        recipe = replace(recipe, learning_rate=0.01)
    elif what == "engine":
        engine = "reference"
    elif what == "data":
        training = replace(training, digests=(training.digests[1], *training.digests[1:]))
    elif what == "labels":
        training = replace(training, labels=(training.labels + 1) % 3)
    elif what == "damaged":
        path.write_bytes(b"\x80\x04 no safetensors")
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif what == "no tensors":
        path.write_bytes(b"")
    weights = {"unused": torch.zeros(1)} if what == "weights" else None
    expected = train(training, sides[1], seed, "cpu", recipe, engine=engine)
    assert_same(train(training, sides[1], seed, "cpu", recipe, weights, engine, path), expected)
    assert f"{path}: " in caplog.text
    assert "training begins anew" in caplog.text


def test_a_run_that_diverges_leaves_no_checkpoint(sides: Sides, recipe: Recipe, tmp_path: Path) -> None:
    wild = replace(recipe, learning_rate=1e12, decay_every=1, decay=1e12)
    with pytest.raises(DivergedError):
        train(*sides, 0, "cpu", wild, checkpoint=tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_are_not_written_more_often_than_needed(
    sides: Sides, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "CHECKPOINT_SECONDS", 1000.0)
    monkeypatch.setattr(run_module, "save_checkpoint", lambda *arguments: pytest.fail("written"))
    train(*sides, 0, "cpu", recipe, checkpoint=tmp_path / "one")


def test_several_runs_have_a_checkpoint_each(
    sides: Sides, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Job(seed, recipe, None, tmp_path / str(seed)) for seed in (0, 1)]
    with monkeypatch.context() as patch:
        killed_after(3, patch)
        with pytest.raises(KilledError):
            train_many(jobs, *sides, "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["0"]  # on a CPU one after the other
    for job, outcome in zip(jobs, train_many(jobs, *sides, "cpu"), strict=True):
        assert isinstance(outcome, TrainedNetwork)
        assert_same(outcome, train(*sides, job.seed, "cpu", recipe))


CHILD = """
import os, signal, sys
from pathlib import Path

import torch

from benchmark.networks import backbones, train_run
from benchmark.networks.recipe import Recipe
from benchmark.networks.train import train
from benchmark.methods.training import training_photos
from benchmark.photos import WorkspacePhotos
from collector.manifest.manifest import read_manifest
from collector.workspace import Workspace
from tests.benchmark.networks.conftest import NORM

torch.set_num_threads(1)
backbones.BACKBONES["norm"] = NORM
train_run.CHECKPOINT_SECONDS = 0.0
saved, save = 0, train_run.save_checkpoint

def save_and_die(*arguments):
    global saved
    save(*arguments)
    saved += 1
    if saved == 2:
        os.kill(os.getpid(), signal.SIGKILL)

train_run.save_checkpoint = save_and_die
manifest, workspace = read_manifest(Path(sys.argv[1])), Workspace(Path(sys.argv[2]))
sides = [training_photos(manifest, side, WorkspacePhotos(workspace)) for side in ("train", "val")]
recipe = Recipe("norm", frozen="a", learning_rate=0.05, decay_every=2, epochs=5, size=28)
train(*sides, 1, "cpu", recipe, checkpoint=Path(sys.argv[3]))
"""


def test_a_process_that_is_killed_is_taken_up_by_another(
    sides: Sides, recipe: Recipe, small_world: World, tmp_path: Path
) -> None:
    path = tmp_path / "one"
    arguments = [small_world.folder, small_world.workspace.root, path]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    child = subprocess.run([warm.python(), "-c", CHILD, *map(str, arguments)], env=environment, check=False)
    assert child.returncode == -signal.SIGKILL
    assert path.is_file()
    assert_same(train(*sides, 1, "cpu", recipe, checkpoint=path), train(*sides, 1, "cpu", recipe))
    assert not path.exists()
    assert np.isfinite(train(*sides, 1, "cpu", recipe).predict_labels(sides[1])).all()
