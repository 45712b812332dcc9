"""What makes a run another run: each part of its identity in turn, and what is no part of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.methods.networks import transfer_variant
from benchmark.methods.types import Method
from benchmark.networks import backbones, weights
from benchmark.networks.backbones import Backbone
from benchmark.planning import plan
from benchmark.runner import bench
from tests.benchmark.conftest import World, method
from tests.benchmark.methods.test_networks import DOT


def states(world: World, one: Method, **planned: Any) -> list[str]:
    """Bench a method and return what became of its runs."""
    tasks = plan(world.manifest, [one], planned.pop("seeds", [0]), planned.pop("tier", "paper"), **planned)
    return [outcome.state for outcome in bench(world.manifest, world.workspace, tasks, "cpu")]


def squares(**parameters: Any) -> dict[str, Any]:
    return {"size": 8, "interpolation": "bilinear"}


def cubic(**parameters: Any) -> dict[str, Any]:
    return {**squares(), "interpolation": "bicubic"}


def together(*arguments: Any) -> Any:
    raise NotImplementedError  # one run alone is never done side by side


BASE = method("base", parameters={"k": 1}, preprocessing=squares, fit_many=together, stochastic=True)


@pytest.mark.parametrize(
    ("changed", "planned"),
    [
        (replace(BASE, version="2"), {}),
        (replace(BASE, preprocessing=cubic), {}),
        (replace(BASE, name="other"), {}),
        (BASE, {"settings": {"k": "2"}}),
        (BASE, {"precision": "bf16"}),
        (BASE, {"seeds": [1]}),
        (replace(BASE, smoke={"k": 3}), {"tier": "smoke"}),
    ],
)
def test_each_part_makes_another_run(world: World, changed: Method, planned: dict[str, Any]) -> None:
    assert states(world, BASE) == ["done"]
    assert states(world, BASE) == ["skipped"]
    assert states(world, changed, **planned) == ["done"]
    assert states(world, BASE) == ["skipped"]


@pytest.mark.parametrize(
    ("changed", "planned"),
    [
        (replace(BASE, parameters={"k": 1, "new": 0}), {}),  # a neutral new parameter
        (replace(BASE, title="Another title"), {}),
        (BASE, {"settings": {"k": "1"}}),  # set to what it is
        (replace(BASE, smoke={"k": 1}), {"tier": "smoke"}),
    ],
)
def test_what_changes_no_result_is_the_same_run(world: World, changed: Method, planned: dict[str, Any]) -> None:
    assert states(world, BASE) == ["done"]
    assert states(world, changed, **planned) == ["skipped"]


def test_precision_is_no_part_of_what_trains_no_network(world: World) -> None:
    assert states(world, method("plain")) == ["done"]
    assert states(world, method("plain"), precision="bf16") == ["skipped"]


@pytest.fixture
def dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Backbone:
    monkeypatch.setitem(backbones.BACKBONES, DOT.name, DOT)
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path / "weights"))
    return DOT


def stored(digest: str) -> weights.Stored:
    return weights.Stored(Path("file.safetensors"), digest, "CC0-1.0", "page", "colours", "2026-01-01", "00")


def test_weights_and_preprocessing_of_a_network_make_another_run(
    world: World, dot: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = transfer_variant("features:dot/colours")
    assert one is not None

    def identity() -> str:
        (task,) = plan(world.manifest, [one], [0], "paper")
        return task.inputs.identity

    seen = []
    for digest in ("ab" * 32, "cd" * 32):
        monkeypatch.setattr(weights, "stored", lambda backbone, digest=digest: stored(digest))
        seen.append(identity())
    for changes in ({"mean": (0.5, 0.5, 0.5)}, {"interpolation": "bicubic"}, {"resize": 224}):
        shaped = replace(DOT, preprocessing=replace(DOT.preprocessing, **changes))
        monkeypatch.setitem(backbones.BACKBONES, DOT.name, shaped)
        seen.append(identity())
    assert len(set(seen)) == 5


def test_another_resolution_is_a_row_of_its_own(dot: Backbone) -> None:
    names = ["finetune:dot/colours", "finetune:dot/colours@448", "features:dot/colours@448"]
    usual, large, features = (transfer_variant(name) for name in names)
    assert usual is not None
    assert large is not None
    assert features is not None
    assert (usual.parameters["size"], large.parameters["size"], features.parameters["size"]) == (224, 448, 448)
    assert [usual.name, large.name, features.name] == names
    assert "448 pixels" in large.titled(large.parameters)
    assert large.preprocessing is not None
    assert large.preprocessing(**large.parameters)["resize"] == 512
    for name in (
        "finetune:dot/colours@",
        "finetune:dot/colours@x",
        "finetune:dot/colours@0",
        "finetune:dot/colours@99999",
    ):
        assert transfer_variant(name) is None
