"""Runs on disk: their identity, whole or not at all, and what damage looks like."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark import results
from benchmark.predictions import Places, Ranking
from benchmark.results import (
    Failure,
    Predictions,
    Run,
    RunInputs,
    failures,
    finished_runs,
    is_finished,
    read_predictions,
    read_validation,
    save_failure,
    save_run,
)
from collector.errors import DataError

INPUTS = RunInputs("d" * 64, "tiny-64+knn", {"size": 64, "k": 11, "c": 1.0, "kind": "grey"}, None, 0)
CLASSES = ["zulu", "alpha", "mike"]
PREDICTIONS = Predictions(["folder:1", "folder:2"], np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], dtype=np.float32))


def run_of(inputs: RunInputs = INPUTS, **changes: Any) -> Run:
    run = Run(
        inputs=inputs,
        manifest="small 1.0.0",
        tier="paper",
        title="Tiny images 64×64, 11-NN",
        pretraining="none",
        weights_licence="",
        selection="none",
        paper={"table": "I", "row": "tiny images", "accuracy": 15.47},
        stochastic=False,
        classes=CLASSES,
        device="cpu (a processor, 2 cores)",
        versions={"python": "3.11.0"},
        seconds={"fit": 0.5, "predict": 0.25},
        peak_memory_mib=100.5,
    )
    return replace(run, **changes)


def test_the_identity_is_known() -> None:
    assert INPUTS.identity == "9ced0b66901fe4a1"  # it must not change: finished runs would be lost


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest_digest": "e" * 64},
        {"method": "tiny-64+KNN"},
        {"parameters": {**INPUTS.parameters, "size": 65}},
        {"parameters": {**INPUTS.parameters, "c": 1.0000001}},
        {"parameters": {**INPUTS.parameters, "kind": "colour"}},
        {"parameters": {**INPUTS.parameters, "more": None}},
        {"parameters": {key: value for key, value in INPUTS.parameters.items() if key != "k"}},
        {"parameters": {**INPUTS.parameters, "size": "64"}},
        {"parameters": {**INPUTS.parameters, "k": True}},
        {"weights_digest": "w" * 64},
        {"weights_digest": ""},
        {"seed": 1},
    ],
)
def test_each_input_changes_the_identity(changes: dict[str, Any]) -> None:
    assert replace(INPUTS, **changes).identity != INPUTS.identity


SECOND = replace(INPUTS, version="1.1", settings={"k": 11}, preprocessing="ab" * 8, precision="float32")


def test_the_identity_of_a_versioned_run_is_known() -> None:
    assert SECOND.identity == "c9edf7e9b6b2ccc3"  # it must not change either


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest_digest": "e" * 64},
        {"method": "tiny-64+KNN"},
        {"version": "1.2"},
        {"settings": {"k": 12}},
        {"settings": {"k": 11, "size": 32}},
        {"settings": {}},
        {"weights_digest": "w" * 64},
        {"preprocessing": "cd" * 8},
        {"precision": "bf16"},
        {"level": "district"},
        {"shots": 4},
        {"beside": "ef" * 32},
        {"seed": 1},
    ],
)
def test_each_part_of_a_versioned_run_changes_its_identity(changes: dict[str, Any]) -> None:
    assert replace(SECOND, **changes).identity != SECOND.identity
    assert (replace(SECOND, **changes).variant == SECOND.variant) == ("seed" in changes)


def test_a_parameter_at_its_default_is_no_part_of_a_versioned_run() -> None:
    assert replace(SECOND, parameters={**SECOND.parameters, "new": 0}).identity == SECOND.identity


def test_every_input_is_in_the_lists_above() -> None:
    names = {field.name for field in fields(RunInputs)}
    first = {"manifest_digest", "method", "parameters", "weights_digest", "seed"}
    assert names == first | {"version", "settings", "preprocessing", "precision", "level", "shots", "beside"}


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()), st.randoms())
def test_the_identity_does_not_depend_on_the_order_of_parameters(parameters: dict[str, Any], random: Any) -> None:
    keys = list(parameters)
    random.shuffle(keys)
    shuffled = {key: parameters[key] for key in keys}
    identity = replace(INPUTS, parameters=parameters).identity
    assert replace(INPUTS, parameters=shuffled).identity == identity
    assert len(identity) == 16
    assert set(identity) <= set("0123456789abcdef")


def test_a_run_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    run = run_of()
    assert not is_finished(tmp_path, INPUTS.identity)
    folder = save_run(tmp_path, run, PREDICTIONS)
    assert folder == tmp_path / INPUTS.identity
    assert is_finished(tmp_path, INPUTS.identity)
    assert finished_runs(tmp_path, "d" * 64) == [run]
    back = read_predictions(tmp_path, run)
    assert back.photo_ids == PREDICTIONS.photo_ids
    assert back.probabilities.dtype == np.float32
    assert np.array_equal(back.probabilities, PREDICTIONS.probabilities)
    assert {path.name for path in folder.iterdir()} == {"run.json", "predictions.parquet"}


def test_saved_names_are_readable(tmp_path: Path) -> None:
    folder = save_run(tmp_path, run_of(title="İstanbul × 5"), PREDICTIONS)
    assert "İstanbul × 5" in (folder / "run.json").read_text(encoding="utf-8")


def test_no_score_is_stored(tmp_path: Path) -> None:
    stored = json.loads((save_run(tmp_path, run_of(), PREDICTIONS) / "run.json").read_text(encoding="utf-8"))
    assert set(stored) == {field.name for field in fields(Run)}
    assert not any("accuracy" in key or "score" in key for key in stored)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (save_run(tmp_path / name, run_of(), PREDICTIONS) for name in ("a", "b"))
    for name in ("run.json", "predictions.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_saving_again_replaces(tmp_path: Path) -> None:
    save_run(tmp_path, run_of(), PREDICTIONS)
    save_run(tmp_path, run_of(title="Another"), PREDICTIONS)
    assert [run.title for run in finished_runs(tmp_path, "d" * 64)] == ["Another"]


def test_columns_follow_the_classes_and_not_the_file(tmp_path: Path) -> None:
    save_run(tmp_path, run_of(), PREDICTIONS)
    turned = read_predictions(tmp_path, run_of(classes=["mike", "zulu", "alpha"]))
    assert np.array_equal(turned.probabilities, PREDICTIONS.probabilities[:, [2, 0, 1]])


def test_runs_are_sorted_and_of_one_manifest(tmp_path: Path) -> None:
    inputs = [replace(INPUTS, method=name, seed=seed) for name in ("b", "a") for seed in (10, 2)]
    for one in [*inputs, replace(INPUTS, manifest_digest="e" * 64)]:
        save_run(tmp_path, run_of(one), PREDICTIONS)
    found = [(run.inputs.method, run.inputs.seed) for run in finished_runs(tmp_path, "d" * 64)]
    assert found == [("a", 2), ("a", 10), ("b", 2), ("b", 10)]
    assert finished_runs(tmp_path / "nowhere", "d" * 64) == []
    assert failures(tmp_path / "nowhere", "d" * 64) == []


@pytest.mark.parametrize("stops", ["write_table", "write_atomically"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failing_write_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: str, error: BaseException
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(pq if stops == "write_table" else results, stops, fail)
    with pytest.raises(type(error)):
        save_run(tmp_path, run_of(), PREDICTIONS)
    monkeypatch.undo()
    assert not is_finished(tmp_path, INPUTS.identity)
    assert list(tmp_path.iterdir()) == []
    assert finished_runs(tmp_path, "d" * 64) == []


def test_predictions_that_do_not_fit_leave_no_run(tmp_path: Path) -> None:
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        save_run(tmp_path, run_of(), Predictions(["folder:1"], PREDICTIONS.probabilities))
    assert list(tmp_path.iterdir()) == []


def test_drafts_of_killed_processes_are_ignored(tmp_path: Path) -> None:
    folder = save_run(tmp_path, run_of(), PREDICTIONS)
    folder.rename(tmp_path / f".{INPUTS.identity}.99999999-1.part")
    assert not is_finished(tmp_path, INPUTS.identity)
    assert finished_runs(tmp_path, "d" * 64) == []
    save_run(tmp_path, run_of(), PREDICTIONS)
    assert len(finished_runs(tmp_path, "d" * 64)) == 1


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b"7", b"{}", b'{"inputs": {}}', b'{"inputs": "x"}', b"\xff\xfe", b"\x00" * 9]
)
def test_a_damaged_run_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = save_run(tmp_path, run_of(), PREDICTIONS) / "run.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        finished_runs(tmp_path, "d" * 64)


@pytest.mark.parametrize("change", [{"tier": None}, {"surprise": 1}])
def test_a_run_of_another_version_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    path = save_run(tmp_path, run_of(), PREDICTIONS) / "run.json"
    stored = json.loads(path.read_bytes())
    changed = {**stored, **change}
    path.write_text(json.dumps({key: value for key, value in changed.items() if value is not None or key == "paper"}))
    with pytest.raises(DataError, match=str(path)):
        finished_runs(tmp_path, "d" * 64)


def without(column: str) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pq.read_table(path).drop_columns([column]), path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def text_for_numbers(path: Path) -> None:
    pq.write_table(pa.table({"photo_id": ["1", "2"], **{name: ["a", "b"] for name in CLASSES}}), path)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "no parquet": lambda path: path.write_bytes(b"hello" * 50),
    "no city": without("alpha"),
    "no ids": without("photo_id"),
    "text": text_for_numbers,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_predictions_are_named(tmp_path: Path, damage: str) -> None:
    path = save_run(tmp_path, run_of(), PREDICTIONS) / "predictions.parquet"
    DAMAGES[damage](path)
    with pytest.raises(DataError, match=str(path)):
        read_predictions(tmp_path, run_of())


def test_a_flipped_bit_in_predictions_is_noticed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    many = Predictions([f"folder:{i}" for i in range(300)], random.dirichlet([1, 1, 1], 300).astype(np.float32))
    path = save_run(tmp_path, run_of(), many) / "predictions.parquet"
    good = path.read_bytes()
    for at in range(200, len(good) // 2, 97):
        damaged = bytearray(good)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with suppress(DataError):
            back = read_predictions(tmp_path, run_of())
            assert back.photo_ids == many.photo_ids
            assert np.array_equal(back.probabilities, many.probabilities)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 7.0, None])
def test_values_that_are_no_probabilities_are_refused(tmp_path: Path, value: float | None) -> None:
    path = save_run(tmp_path, run_of(), PREDICTIONS) / "predictions.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "zulu", pa.array([value, 0.1], pa.float32())), path)
    with pytest.raises(DataError, match=f"{path}.*no probabilities"):
        read_predictions(tmp_path, run_of())


def test_failures_are_remembered_until_success(tmp_path: Path) -> None:
    other = replace(INPUTS, seed=3)
    foreign = replace(INPUTS, manifest_digest="e" * 64)
    for inputs, reason in ((other, "three"), (INPUTS, "first"), (foreign, "elsewhere"), (INPUTS, "again")):
        save_failure(tmp_path, Failure(inputs, "Tiny", reason))
    assert failures(tmp_path, "d" * 64) == [Failure(INPUTS, "Tiny", "again"), Failure(other, "Tiny", "three")]
    assert not is_finished(tmp_path, INPUTS.identity)
    assert finished_runs(tmp_path, "d" * 64) == []
    save_run(tmp_path, run_of(), PREDICTIONS)
    assert failures(tmp_path, "d" * 64) == [Failure(other, "Tiny", "three")]


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"null", b'{"inputs": {}, "title": "", "reason": ""}'])
def test_a_damaged_failure_is_named(tmp_path: Path, content: bytes) -> None:
    save_failure(tmp_path, Failure(INPUTS, "Tiny", "reason"))
    path = tmp_path / "failed" / f"{INPUTS.identity}.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        failures(tmp_path, "d" * 64)


def test_a_reason_with_broken_text_is_remembered(tmp_path: Path) -> None:
    save_failure(tmp_path, Failure(INPUTS, "Tiny", "cannot read caf\udce9.jpg"))  # as os.fsdecode gives it
    (failure,) = failures(tmp_path, "d" * 64)
    assert failure.reason.startswith("cannot read caf")


PLACES = Places(np.array([41.0, np.nan]), np.array([29.0, np.nan]))
CANDIDATES = Places(
    np.array([41.0, 38.0]),
    np.array([29.0, 27.0]),
    np.array([[[41.0, 29.0], [40.0, 30.0]], [[38.0, 27.0], [38.5, 27.5]]]),
    np.array([[0.75, 0.25], [0.5, 0.5]]),
)
RANKING = Ranking(np.array([[3, 1], [2, -1]]), np.array([[0.9, 0.5], [0.7, np.nan]], np.float32))
VERIFIED = replace(RANKING, inliers=np.array([[40, 12], [7, 0]], np.int32))
NOTHING_RANKED = Ranking(np.empty((2, 0), np.int64), np.empty((2, 0), np.float32))


@pytest.mark.parametrize("places", [None, PLACES, CANDIDATES])
@pytest.mark.parametrize("ranking", [None, RANKING, VERIFIED, NOTHING_RANKED])
def test_places_and_rankings_come_back(tmp_path: Path, places: Places | None, ranking: Ranking | None) -> None:
    run = run_of(gives=["labels", "places", "ranking"])
    saved = replace(PREDICTIONS, places=places, ranking=ranking)
    save_run(tmp_path, run, saved, saved)
    (again,) = finished_runs(tmp_path, run.inputs.manifest_digest)
    assert again == run
    for read in (read_predictions(tmp_path, again), read_validation(tmp_path, again)):
        assert read is not None
        np.testing.assert_equal(arrays(read.places), arrays(places))
        np.testing.assert_equal(arrays(read.ranking), arrays(ranking))


def arrays(answers: Places | Ranking | None) -> dict[str, Any] | None:
    return None if answers is None else {name: getattr(answers, name) for name in type(answers).__slots__}


def test_a_withheld_answer_comes_back(tmp_path: Path) -> None:
    withheld = replace(PREDICTIONS, probabilities=np.array([[0.5, 0.25, 0.25], [np.nan] * 3], np.float32))
    save_run(tmp_path, run_of(), withheld)
    assert np.isnan(read_predictions(tmp_path, run_of()).probabilities).all(axis=1).tolist() == [False, True]


def test_places_of_other_photos_are_no_answer(tmp_path: Path) -> None:
    folder = save_run(tmp_path, run_of(), replace(PREDICTIONS, places=PLACES))
    other = save_run(
        tmp_path / "other", run_of(), replace(PREDICTIONS, photo_ids=["folder:1", "folder:3"], places=PLACES)
    )
    (other / "predictions-places.parquet").replace(folder / "predictions-places.parquet")
    with pytest.raises(DataError, match="of other photos"):
        read_predictions(tmp_path, run_of())
