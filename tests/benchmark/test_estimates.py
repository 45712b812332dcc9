"""Estimates: formulas, set right by what finished runs took; what is left."""

from dataclasses import replace
from typing import Any

import pytest

from benchmark.doctor import describe_device
from benchmark.estimates import Expected, expect
from benchmark.planning import plan
from benchmark.results import save_run
from benchmark.runner import Outcome
from tests.benchmark.conftest import World, drawing, method
from tests.benchmark.leaderboard import manifest_of, predictions_of, run_of


def test_words() -> None:
    assert Expected((0.0, 0.0), False).text() == "estimated: nothing to do"
    assert Expected((8.0, 2.0), True).text() == "estimated: 5.0 s to 20 s (by runs finished here)"
    assert Expected((8.0, 2.0), False).text() == "estimated: 2.5 s to 40 s (by formulas from other machines)"


def test_what_is_left_follows_the_pace_of_what_is_done(world: World) -> None:
    (task,) = plan(world.manifest, [method("quick")], [0], "paper")
    expected = Expected((10.0, 100.0, 2.0), False)
    assert expected.left([]) == "; about 2 min left"
    assert expected.left([Outcome(task, "done", 20.0)]) == "; about 3 min left"
    assert expected.left([Outcome(task, "done", 1.0), Outcome(task, "done", 10.0)]) == ""


def test_finished_runs_set_the_pace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    guessed = method("guessed", drawing, parameters={"size": 0}, estimate=lambda photos, classes, device, size: 10.0)
    tasks = plan(world.manifest, [guessed], [0], "paper")
    assert expect(world.manifest, tasks, world.workspace.runs, "cpu") == Expected((10.0,), False)
    done = [plan(world.manifest, [guessed], [0], "paper", {"size": str(size)})[0] for size in (1, 2, 3)]
    for seconds, task in zip((30.0, 40.0, 70.0), done, strict=True):
        slow: dict[str, Any] = {"seconds": {"fit": seconds, "predict": 0.0}, "device": describe_device("cpu")}
        run = replace(run_of(manifest_of(), "guessed", **slow), inputs=task.inputs)
        save_run(world.workspace.runs, run, predictions_of(manifest_of(), 1))
    assert expect(world.manifest, [*tasks, *done], world.workspace.runs, "cpu") == Expected((40.0, 0, 0, 0), True)
