"""Which runs there are to do, with what parameters and which weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.methods.registry import choose
from benchmark.networks import weights
from benchmark.planning import Task, plan
from collector.errors import UsageError
from tests.benchmark.conftest import World, method

DIGEST = "ab" * 32


@pytest.fixture
def none_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def all_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = weights.Stored(Path("file.safetensors"), DIGEST, "CC-BY-4.0", "page", "Places365", "2026-01-01", "00")
    monkeypatch.setattr(weights, "stored", lambda backbone: stored)


def planned(world: World, name: str, tier: str = "paper", seeds: tuple[int, ...] = (0, 1), **more: Any) -> list[Task]:
    return plan(world.manifest, choose([name]), seeds, tier, **more)


@pytest.mark.usefixtures("none_stored")
def test_without_its_weights_a_row_is_missing_and_random_in_the_smoke_tier(world: World) -> None:
    for name in ("features:resnet18/places365", "finetune:alexnet/imagenet"):
        assert {task.weights for task in planned(world, name)} == {"missing"}
        assert {task.weights for task in planned(world, name, "smoke")} == {"random"}
        assert {task.inputs.weights_digest for task in planned(world, name, "smoke")} == {None}


@pytest.mark.usefixtures("none_stored")
def test_random_features_have_a_seed_and_pretrained_ones_none(world: World) -> None:
    assert [task.inputs.seed for task in planned(world, "features:resnet18/places365", "smoke")] == [0, 1]
    assert [task.inputs.seed for task in planned(world, "features:resnet18/places365")] == [0]


@pytest.mark.usefixtures("all_stored")
def test_the_weights_digest_is_part_of_what_a_run_is(world: World) -> None:
    (task,) = planned(world, "features:resnet18/places365")
    assert (task.weights, task.inputs.weights_digest) == ("pre-trained", DIGEST)
    other = replace(task.inputs, weights_digest="cd" * 32)
    assert other.identity != task.inputs.identity


@pytest.mark.usefixtures("all_stored")
def test_what_begins_with_nothing_has_no_weights(world: World) -> None:
    for name in ("tiny-64+knn", "scratch:resnet18"):
        assert {(task.weights, task.inputs.weights_digest) for task in planned(world, name)} == {("none", None)}


@pytest.mark.usefixtures("none_stored")
def test_settings_are_part_of_a_run_and_named_as_changes(world: World) -> None:
    plain, changed = (planned(world, "scratch:resnet18", settings=of) for of in (None, {"epochs": "3"}))
    assert plain[0].inputs.identity != changed[0].inputs.identity
    assert [task.changed for task in plain + changed] == [{}, {}, {"epochs": 3}, {"epochs": 3}]
    assert planned(world, "scratch:resnet18", settings={"epochs": "25"})[0].changed == {}
    assert planned(world, "scratch:resnet18", "smoke", settings={"epochs": "25"})[0].changed == {"epochs": 25}


def test_a_setting_that_no_method_has_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match=r"--set epoch: none of these methods has it \(did you mean 'epochs'"):
        planned(world, "scratch:resnet18", settings={"epoch": "3"})
    both = plan(world.manifest, choose(["tiny-64+knn", "scratch:resnet18"]), [0], "paper", {"k": "3"})
    assert [task.changed for task in both] == [{"k": 3}, {}]


@pytest.mark.parametrize(("models", "kept"), [("first", [True, False]), ("all", [True, True]), ("none", [False] * 2)])
def test_whose_models_are_kept(world: World, models: str, kept: list[bool]) -> None:
    seeded = method("seeded", stochastic=True)
    assert [task.keeps_model for task in plan(world.manifest, [seeded], [4, 2], "paper", models=models)] == kept
