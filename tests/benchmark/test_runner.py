"""What `bench` does with what methods do."""

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmark import runner
from benchmark.estimates import expect
from benchmark.methods.types import Training
from benchmark.photos import Photos
from benchmark.planning import plan
from benchmark.predictions import Places, Ranking
from benchmark.results import failures, finished_runs, is_finished, read_predictions, save_run
from benchmark.runner import Outcome, bench
from collector.errors import DataError, IncompleteError, UsageError
from collector.manifest.manifest import Manifest
from tests.benchmark.conftest import CITIES, QUOTAS, World, answering, drawing, make_world, method

GOOD = method("good")
SEEDED = method("seeded", stochastic=True)


def do(world: World, *methods: Any, seeds: tuple[int, ...] = (0,)) -> list[Outcome]:
    return list(bench(world.manifest, world.workspace, plan(world.manifest, methods, seeds, "paper"), "cpu"))


def bytes_of_runs(world: World) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in world.workspace.runs.glob("*/predictions.parquet")}


def test_the_plan_is_methods_times_seeds_where_the_seed_matters(world: World) -> None:
    tasks = plan(world.manifest, [SEEDED, GOOD], [3, 1, 2], "paper")
    expected = [("seeded", 3), ("seeded", 1), ("seeded", 2), ("good", 0)]
    assert [(task.inputs.method, task.inputs.seed) for task in tasks] == expected
    assert len({task.inputs.identity for task in tasks}) == 4
    assert {task.inputs.manifest_digest for task in tasks} == {world.manifest.digest}


def test_the_plan_takes_the_tiers_parameters(world: World) -> None:
    sized = method("sized", parameters={"size": 64, "k": 1}, smoke={"size": 8})
    (paper,), (smoke,) = (plan(world.manifest, [sized], [0], tier) for tier in ("paper", "smoke"))
    assert paper.inputs.parameters == {"size": 64, "k": 1}
    assert smoke.inputs.parameters == {"size": 8, "k": 1}
    assert (paper.tier, smoke.tier) == ("paper", "smoke")


def test_a_run_holds_what_was_predicted_and_all_that_went_in(world: World) -> None:
    noted = method(
        "noted",
        parameters={"k": 3},
        pretraining="ImageNet",
        weights_licence="BSD-3-Clause",
        selection="last-epoch",
        stochastic=True,
    )
    (outcome,) = do(world, noted, seeds=(5,))
    assert (outcome.state, outcome.reason) == ("done", "")
    assert outcome.seconds > 0
    (run,) = finished_runs(world.workspace.runs, world.manifest.digest)
    assert run.inputs == outcome.task.inputs
    assert (run.manifest, run.tier, run.title) == ("small 1.0.0", "paper", "Noted")
    assert (run.pretraining, run.weights_licence, run.selection) == ("ImageNet", "BSD-3-Clause", "last-epoch")
    assert run.stochastic
    assert run.paper is None
    assert run.classes == list(CITIES)
    assert run.device.startswith("cpu (")
    assert {"python", "torch", "numpy", "t15"} <= set(run.versions)
    assert set(run.seconds) == {"fit", "predict"}
    assert run.peak_memory_mib > 1
    predictions = read_predictions(world.workspace.runs, run)
    assert predictions.photo_ids == [photo.photo_id for photo in world.photos("test")]
    expected = np.random.default_rng(5).dirichlet(np.ones(3), 6).astype(np.float32)
    assert np.array_equal(predictions.probabilities, expected)


def test_the_built_in_quick_methods_learn_colours(world: World) -> None:
    from benchmark.methods.registry import choose

    tasks = plan(world.manifest, choose(["tiny-*+logreg"]), [0], "smoke")
    assert [outcome.state for outcome in bench(world.manifest, world.workspace, tasks, "cpu")] == ["done", "done"]
    truth = [CITIES.index(photo.city) for photo in world.photos("test")]
    for run in finished_runs(world.workspace.runs, world.manifest.digest):
        predictions = read_predictions(world.workspace.runs, run)
        assert predictions.probabilities.argmax(axis=1).tolist() == truth


def test_finished_runs_are_skipped_and_new_ones_done(world: World) -> None:
    calls: list[int] = []

    def counted(training: Any, validation: Any, context: Any, **parameters: Any) -> Any:
        calls.append(context.seed)
        return drawing(training, validation, context)

    counting = method("counting", counted, stochastic=True)
    assert [outcome.state for outcome in do(world, counting, seeds=(0, 1))] == ["done", "done"]
    before = bytes_of_runs(world)
    assert [outcome.state for outcome in do(world, counting, seeds=(0, 1, 2))] == ["skipped", "skipped", "done"]
    assert calls == [0, 1, 2]
    assert before.items() <= bytes_of_runs(world).items()


def test_a_run_of_the_smoke_tier_does_not_hide_one_of_the_paper_tier(world: World) -> None:
    for tier in ("smoke", "paper"):
        list(bench(world.manifest, world.workspace, plan(world.manifest, [GOOD], [0], tier), "cpu"))
    tiers = [run.tier for run in finished_runs(world.workspace.runs, world.manifest.digest)]
    assert "paper" in tiers


def raising(error: BaseException) -> Callable[..., Any]:
    def fit(*arguments: Any, **parameters: Any) -> Any:
        raise error

    return fit


def even(photos: Photos) -> Any:
    return np.full((len(photos), 3), 1 / 3, dtype=np.float32)


def changed(value: float) -> Callable[[Photos], Any]:
    def answer(photos: Photos) -> Any:
        answers = even(photos)
        answers[-1, 0] = value
        return answers

    return answer


def failing_answer(photos: Photos) -> Any:
    raise RuntimeError("predict broke")


BAD: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (raising(RuntimeError("CUDA error:\n  out of luck")), "RuntimeError: CUDA error: out of luck"),
    "memory": (raising(MemoryError()), "MemoryError"),
    "key": (raising(KeyError("size")), "KeyError: 'size'"),
    "recursion": (raising(RecursionError("too deep")), "RecursionError: too deep"),
    "data": (raising(DataError("kNN with k = 11: too few")), "k = 11"),
    "assert": (raising(AssertionError()), "AssertionError"),
    "weights": (raising(FileNotFoundError(2, "No such file", "weights.pth")), "weights.pth"),
    "timeout": (raising(TimeoutError("the server of the weights is slow")), "the server of the weights is slow"),
    "permission": (raising(PermissionError(13, "Permission denied", "/etc/shadow")), "/etc/shadow"),
    "text": (raising(RuntimeError("caf\udce9")), "caf"),
    "predict": (answering(failing_answer), "predict broke"),
    "nothing": (answering(lambda photos: None), ""),
    "list": (answering(lambda photos: even(photos).tolist()), ""),
    "rows": (answering(lambda photos: even(photos)[:-1]), r"shape \(5, 3\), expected were \(6, 3\)"),
    "columns": (answering(lambda photos: even(photos)[:, :2]), r"shape \(6, 2\)"),
    "flat": (answering(lambda photos: even(photos).ravel()), r"shape \(18,\)"),
    "nan": (answering(changed(np.nan)), "no probabilities"),
    "infinite": (answering(changed(np.inf)), "no probabilities"),
    "negative": (answering(changed(-0.1)), "no probabilities"),
    "sum": (answering(changed(0.5)), "summing to 1"),
    "zeros": (answering(lambda photos: even(photos) * 0), "summing to 1"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_failing_method_is_one_failed_outcome_and_the_others_go_on(world: World, kind: str) -> None:
    fit, reason = BAD[kind]
    outcomes = do(world, method("first"), method("bad", fit), method("last"))
    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done"]
    (failure,) = failures(world.workspace.runs, world.manifest.digest)
    assert failure.inputs == outcomes[1].task.inputs
    assert failure.title == "Bad"
    if kind != "text":
        assert failure.reason == outcomes[1].reason
    assert failure.reason
    assert "\n" not in failure.reason
    assert re.search(reason, failure.reason)
    assert len(finished_runs(world.workspace.runs, world.manifest.digest)) == 2


def test_a_long_reason_is_cut(world: World) -> None:
    (outcome,) = do(world, method("bad", raising(RuntimeError("x" * 100_000))))
    assert len(outcome.reason) <= 500


def test_a_failed_run_is_tried_again_and_then_forgotten(world: World) -> None:
    broken = [True]

    def fit(*arguments: Any) -> Any:
        if broken[0]:
            raise RuntimeError("not yet")
        return drawing(*arguments)

    shaky = method("shaky", fit)
    assert [outcome.state for outcome in do(world, shaky)] == ["failed"]
    assert [outcome.state for outcome in do(world, shaky)] == ["failed"]
    broken[0] = False
    assert [outcome.state for outcome in do(world, shaky)] == ["done"]
    assert failures(world.workspace.runs, world.manifest.digest) == []
    assert [outcome.state for outcome in do(world, shaky)] == ["skipped"]


def test_an_interrupt_goes_through_and_finished_runs_stay(world: World) -> None:
    interrupted = [method("first"), method("stopped", raising(KeyboardInterrupt())), method("last")]
    with pytest.raises(KeyboardInterrupt):
        list(bench(world.manifest, world.workspace, plan(world.manifest, interrupted, [0], "paper"), "cpu"))
    assert [run.inputs.method for run in finished_runs(world.workspace.runs, world.manifest.digest)] == ["first"]
    assert failures(world.workspace.runs, world.manifest.digest) == []
    again = do(world, method("first"), method("stopped"), method("last"))
    assert [outcome.state for outcome in again] == ["skipped", "done", "done"]


def test_a_full_disk_stops_the_whole_and_finished_runs_stay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(runs: Path, run: Any, *rest: Any) -> Path:
        if run.inputs.method == "second":
            raise OSError(28, "No space left on device")
        return save_run(runs, run, *rest)

    monkeypatch.setattr(runner, "save_run", full)
    with pytest.raises(IncompleteError, match="disk is full"):
        do(world, method("first"), method("second"), method("third"))
    assert [run.inputs.method for run in finished_runs(world.workspace.runs, world.manifest.digest)] == ["first"]
    assert failures(world.workspace.runs, world.manifest.digest) == []


def test_one_city_is_a_data_error(tmp_path: Path) -> None:
    lonely = make_world(tmp_path, ["zulu"])
    with pytest.raises(DataError, match="one city; a benchmark needs two"):
        do(lonely, GOOD)


def test_no_test_photos_are_a_data_error(tmp_path: Path) -> None:
    untested = make_world(tmp_path, CITIES, {"train": 2, "val": 1})
    with pytest.raises(DataError, match="test"):
        do(untested, GOOD)


def test_missing_photos_are_a_data_error_before_anything_runs(world: World) -> None:
    world.workspace.photo(str(world.photos("test")[0].sha256)).unlink()
    with pytest.raises(DataError, match="1 of test"):
        do(world, method("never", raising(AssertionError("was called"))))
    assert not world.workspace.runs.exists()


def test_a_photo_that_does_not_decode_fails_the_run_by_name(world: World) -> None:
    from benchmark.methods.registry import choose

    broken = world.photos("train")[0]
    world.workspace.photo(str(broken.sha256)).write_bytes(b"\xff\xd8")
    (outcome,) = bench(
        world.manifest, world.workspace, plan(world.manifest, choose(["tiny-64+logreg"]), [0], "smoke"), "cpu"
    )
    assert outcome.state == "failed"
    assert broken.photo_id in outcome.reason


def everything_in(thing: object, depth: int = 4) -> list[object]:
    """Return what can be reached from `thing` by attributes and items."""
    found = [thing]
    if depth and not isinstance(thing, str | bytes | int | float):
        inside: list[object] = list(getattr(thing, "__dict__", {}).values())
        if dataclasses.is_dataclass(thing):
            inside += [getattr(thing, field.name) for field in dataclasses.fields(thing)]
        if isinstance(thing, list | tuple | set):
            inside += list(thing)
        if isinstance(thing, dict):
            inside += [*thing.keys(), *thing.values()]
        for one in inside:
            found += everything_in(one, depth - 1)
    return found


def test_the_labels_of_the_test_photos_cannot_be_reached(world: World) -> None:
    given: list[Any] = []
    asked: list[Any] = []

    def spy(*arguments: Any, **parameters: Any) -> Any:
        given.extend([*arguments, parameters])

        def answer(photos: Photos) -> Any:
            asked.append(photos)
            return even(photos)

        return answering(answer)(None, None, None)

    (outcome,) = do(world, method("spy", spy, parameters={"k": 2}, stochastic=True), seeds=(4,))
    assert outcome.state == "done"
    train, validation, context, parameters = given
    assert (context.seed, context.device, parameters) == (4, "cpu", {"k": 2})
    for side, split in ((train, "train"), (validation, "val")):
        assert type(side) is Training
        assert side.ids == tuple(photo.photo_id for photo in world.photos(split))
    judged, photos = asked  # the validation photos, then the test photos
    assert type(judged) is type(photos) is Photos
    assert set(judged.ids) == {photo.photo_id for photo in world.photos("val")}
    test_ids = {photo.photo_id for photo in world.photos("test")}
    assert set(photos.ids) == test_ids
    reached = everything_in(given)
    assert not test_ids & {one for one in reached if isinstance(one, str)}  # fit knows nothing of the test side
    for one in [*reached, *everything_in(photos)]:
        assert not isinstance(one, Manifest)
    assert not set(CITIES) & {one for one in everything_in(photos) if isinstance(one, str)}


def test_what_one_method_does_to_its_photos_does_not_reach_the_next(world: World) -> None:
    seen = []

    def vandal(train: Training, *rest: Any, **parameters: Any) -> Any:
        seen.append(train.labels.tolist())
        train.labels[:] = 0
        parameters.clear()
        return drawing(train, *rest)

    do(world, method("a", vandal, parameters={"k": 1}), method("b", vandal, parameters={"k": 1}))
    assert seen[0] == seen[1]


def test_the_estimate_counts_unfinished_runs_only(world: World) -> None:
    asked = []

    def guess(photos: int, classes: int, device: str, **parameters: Any) -> float:
        asked.append((photos, classes, device, parameters))
        return 100.0

    guessed = method("guessed", stochastic=True, estimate=guess, parameters={"k": 1})
    tasks = plan(world.manifest, [guessed, GOOD], [0, 1, 2], "paper")
    runs = world.workspace.runs
    assert expect(world.manifest, tasks, runs, "cpu").total == pytest.approx(
        300, abs=9
    )  # the quick ones take something
    assert set(map(str, asked)) == {str((3 * QUOTAS["train"], 3, "cpu", {"k": 1}))}
    do(world, guessed, seeds=(1,))
    assert is_finished(runs, tasks[1].inputs.identity)
    assert expect(world.manifest, tasks, runs, "cpu").total == pytest.approx(
        200, abs=9
    )  # the quick ones take something
    do(world, guessed, seeds=(0, 2))
    assert expect(world.manifest, tasks, runs, "cpu").total < 9


def test_what_killed_processes_left_is_removed(world: World) -> None:
    for folder in (world.workspace.runs, world.workspace.cache / "arrays" / "x"):
        folder.mkdir(parents=True)
    (world.workspace.runs / ".0123456789abcdef.99999999-1.part").mkdir()
    (world.workspace.runs / ".0123456789abcdef.99999999-1.part" / "run.json").write_text("{")
    (world.workspace.cache / "arrays" / "x" / ".photos-x.u8.99999999-1.part").write_bytes(b"half")
    assert [outcome.state for outcome in do(world, GOOD)] == ["done"]
    assert list(world.workspace.runs.glob(".*")) == []
    assert list(world.workspace.cache.glob("arrays/*/.*")) == []


def old_fit(train: Any, validation: Any, seed: int, device: str, **parameters: Any) -> Any:
    raise AssertionError


class OldPredictor:
    def predict_proba(self, photos: Photos) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    ("fit", "remedy"),
    [
        (old_fit, r"make its fit take \(training, validation, context, …\) .*context\.seed"),
        (lambda training, validation, context: OldPredictor(), "rename its predict_proba to predict_labels"),
    ],
)
def test_a_method_of_the_first_edition_is_told_what_to_change(world: World, fit: Any, remedy: str) -> None:
    outcomes = do(world, method("old", fit), GOOD)
    assert [outcome.state for outcome in outcomes] == ["failed", "done"]
    assert re.search(remedy, outcomes[0].reason)
    assert "\n" not in outcomes[0].reason


@pytest.mark.parametrize(
    ("needs", "lacks"),
    [
        ({"places"}, "places"),
        ({"headings", "times"}, "headings, times"),
        ({"gallery"}, "a place of each training photo"),
        ({"protocol:place"}, r"protocol place \(its protocol is city\)"),
    ],
)
def test_a_method_whose_needs_are_not_met_says_so_and_the_others_run(world: World, needs: set[str], lacks: str) -> None:
    needy = method("needy", needs=frozenset(needs))
    outcomes = do(world, needy, GOOD)
    assert [outcome.state for outcome in outcomes] == ["missing", "done"]
    assert re.search(lacks, outcomes[0].reason)
    (failure,) = failures(world.workspace.runs, world.manifest.digest)
    assert (failure.inputs.method, failure.kind) == ("needy", "data missing")


def test_a_need_that_nobody_knows_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="'weather': known needs are places"):
        plan(world.manifest, [method("needy", needs=frozenset({"weather"}))], [0], "paper")


def placing(photos: Photos) -> Places:
    return Places(np.full(len(photos), 1.0), np.full(len(photos), 1.0))  # the centre of the second city


def ranking(photos: Photos, k: int, row: int = 0) -> Ranking:
    return Ranking(np.full((len(photos), 1), row), np.ones((len(photos), 1), np.float32))


def fit_places(training: Training, validation: Training, context: Any) -> Any:
    return SimpleNamespace(predict_places=placing)


def fit_ranking(training: Training, validation: Training, context: Any) -> Any:
    row = int(np.flatnonzero(training.labels == 2)[0])  # a photo of the third city
    return SimpleNamespace(rank=partial(ranking, row=row))


@pytest.mark.parametrize(("gives", "fit", "label"), [("places", fit_places, 1), ("ranking", fit_ranking, 2)])
def test_what_a_method_does_not_give_is_derived(world: World, gives: str, fit: Any, label: int) -> None:
    one = method("one", fit, gives=frozenset({gives}))
    assert [outcome.state for outcome in do(world, one)] == ["done"]
    (run,) = finished_runs(world.workspace.runs, world.manifest.digest)
    assert run.gives == [gives]
    said = read_predictions(world.workspace.runs, run)
    assert said.probabilities.argmax(axis=1).tolist() == [label] * 6
    assert said.places is not None
    assert (said.ranking is not None) == (gives == "ranking")


@pytest.mark.parametrize(
    "answers",
    [
        {"predict_places": lambda photos: placing(photos_but_one(photos))},
        {"rank": lambda photos, k: ranking(photos_but_one(photos), k)},
        {"rank": lambda photos, k: Ranking(np.full((6, 1), 12), np.ones((6, 1), np.float32))},
    ],
)
def test_answers_that_are_none_fail(world: World, answers: dict[str, Any]) -> None:
    (outcome,) = do(world, method("one", lambda training, validation, context: SimpleNamespace(**answers)))
    assert outcome.state == "failed"


def photos_but_one(photos: Photos) -> Photos:
    return dataclasses.replace(photos, ids=photos.ids[1:], digests=photos.digests[1:])
