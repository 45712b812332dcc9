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
    expected = Expected((600.0, 600.0, 2.0), False)
    assert expected.left([]) == "; about 20 min left"
    assert (
        expected.left([Outcome(task, "done", 1260.0)]) == "; about 20 min left"
    )  # twice as slow, for sixty seconds' trust
    assert expected.left([Outcome(task, "done", 1.0), Outcome(task, "done", 10.0)]) == ""


def test_a_short_task_that_took_long_does_not_make_hours_of_minutes(world: World) -> None:
    (task,) = plan(world.manifest, [method("quick")], [0], "paper")
    expected = Expected((0.5, 240.0), False)
    assert expected.left([Outcome(task, "done", 30.0)]) == "; about 6 min left"  # the bare pace said 4 h
    apart = Expected((120.0, 120.0, 120.0), False, ("network", "feature", "feature"))
    of_network = [Outcome(task, "done", 1200.0)]
    assert apart.left([*of_network, Outcome(task, "done", 120.0)]) == "; about 2 min left"  # each kind has its own


def test_what_another_bench_did_is_not_left(world: World) -> None:
    (task,) = plan(world.manifest, [method("quick")], [0], "paper")
    expected = Expected((600.0, 600.0, 600.0), False)
    skipped = Outcome(task, "skipped")
    assert expected.left([skipped]) == "; about 20 min left"  # and is no pace
    assert expected.left([skipped], [True, True, False]) == "; about 10 min left"
    assert expected.left([skipped], [True, True, True]) == ""


def test_what_tasks_share_counts_once(world: World) -> None:
    vectors: dict[str, Any] = {"net": "a", "size": 8}
    heads = [method(name, parameters=vectors, estimate=lambda *_, **__: 100.0) for name in ("one", "two")]
    costly = method("three", parameters={**vectors, "k": 1}, estimate=lambda *_, **__: 130.0)
    other = method("four", parameters={**vectors, "size": 16}, estimate=lambda *_, **__: 50.0)
    trained = method("five", parameters={"backbone": "a", "epochs": 2}, estimate=lambda *_, **__: 20.0)
    tasks = plan(world.manifest, [*heads, costly, other, trained], [0], "paper")
    found = expect(world.manifest, tasks, world.workspace.runs, "cpu")
    assert found.seconds == (100.0, 0.5, 30.0, 50.0, 20.0)
    save_run(
        world.workspace.runs,
        replace(run_of(manifest_of(), "one"), inputs=tasks[0].inputs),
        predictions_of(manifest_of(), 1),
    )
    found = expect(world.manifest, tasks, world.workspace.runs, "cpu")
    assert found.seconds == (0.0, 0.5, 30.0, 50.0, 20.0)  # kept by the finished one


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
