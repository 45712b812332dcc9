"""What earlier versions of t15 wrote is read for ever: a folder of tests/data for each edition."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.models import load_predictor
from benchmark.photos import given_photos
from benchmark.predicting.answer import Answerer
from benchmark.results import finished_runs, read_predictions, read_validation, save_run
from collector import front_door
from collector.manifest.manifest import read_manifest
from tests.benchmark.conftest import paint

DATA = Path(__file__).parents[1] / "data"
RUNS = {
    "first-edition": {"a85c33d06ed562cb": "tiny-64+logreg", "e1328ce55571df4d": "tiny-64+knn"},
    "second-edition": {"8337a44d67d50d65": "tiny-64+logreg", "3e4b3f2fafe7ef6c": "nearest-colour"},
}
EDITIONS = list(RUNS)


@pytest.mark.parametrize("edition", EDITIONS)
def test_its_runs_keep_their_identity_and_their_answers(edition: str) -> None:
    manifest, runs = read_manifest(DATA / edition / "manifest"), DATA / edition / "runs"
    truth = {photo.photo_id: photo.city for side in ("test", "val") for photo in manifest.photos(side)}
    found = finished_runs(runs, manifest.digest)
    assert {run.inputs.identity: run.inputs.method for run in found} == RUNS[edition]
    for run in found:
        assert (runs / run.inputs.identity).is_dir()
        for said in (read_predictions(runs, run), read_validation(runs, run)):
            assert said is not None
            best = [run.classes[column] for column in said.probabilities.argmax(axis=1)]
            assert best == [truth[photo_id] for photo_id in said.photo_ids]  # each city's photos have a colour here


@pytest.mark.parametrize("edition", EDITIONS)
def test_its_models_are_loaded_and_answer(edition: str) -> None:
    pictures = [paint(seed, seed, 48, 40) for seed in range(3)]
    answers = Answerer(DATA / edition / "model.safetensors").answer(pictures)
    assert [answer.candidates[0].slug for answer in answers] == ["zulu", "alpha", "mike"]
    assert [answer.confidence for answer in answers] == pytest.approx([0.9888, 0.9891, 0.9887], abs=1e-3)
    for path in (DATA / edition / "runs").glob("*/model.safetensors"):
        predictor: Any = load_predictor(path, "cpu")[0]
        assert predictor.predict_labels(given_photos(pictures)).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_board_shows_its_runs(edition: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(DATA / edition / "runs", tmp_path / "workspace" / "runs")
    options = ["--manifest", str(DATA / edition / "manifest"), "--workspace", str(tmp_path / "workspace")]
    assert front_door.run(["leaderboard", *options, "--json"]) == 0
    board = json.loads(capsys.readouterr().out)
    assert {row["method"] for row in board["rows"]} == set(RUNS[edition].values())


def test_runs_of_two_editions_are_rows_that_say_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(DATA / "first-edition", tmp_path / "first")
    manifest, runs = read_manifest(tmp_path / "first" / "manifest"), tmp_path / "first" / "runs"
    for run in finished_runs(runs, manifest.digest):
        again = replace(run, inputs=replace(run.inputs, version="1.1", precision="float32"))
        save_run(runs, again, read_predictions(runs, run))
    options = ["--manifest", str(tmp_path / "first" / "manifest"), "--workspace", str(tmp_path / "first")]
    assert front_door.run(["leaderboard", *options, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 4
    variants = {row["variant"] for row in rows}
    assert variants == {"method version=of the first edition", "method version=1.1"}


def test_places_and_rankings_of_the_second_edition_are_read() -> None:
    manifest, runs = read_manifest(DATA / "second-edition" / "manifest"), DATA / "second-edition" / "runs"
    (run,) = [run for run in finished_runs(runs, manifest.digest) if run.gives == ["ranking"]]
    said = read_predictions(runs, run)
    assert said.places is not None
    assert said.ranking is not None
    city = [photo.city for photo in manifest.photos("train")]
    first = [city[row] for row in said.ranking.rows[:, 0]]
    test = {photo.photo_id: photo for photo in manifest.photos("test")}
    assert first == [test[photo_id].city for photo_id in said.photo_ids]
    assert said.places.latitude.tolist() == [test[photo_id].latitude for photo_id in said.photo_ids]
