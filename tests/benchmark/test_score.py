"""`t15 score`: what it prints, refuses, writes and leaves with."""

import json
import re
from pathlib import Path

import pytest

from benchmark.results import finished_runs
from collector import front_door
from tests.benchmark.conftest import World
from tests.benchmark.test_submissions import answers, changed, csv, labels


def everything_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_scores_are_printed_and_the_board_shows_them(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv(tmp_path / "mine.csv", answers(world))
    assert front_door.run(["score", str(path), "--name", "My <b>net</b>", *world.options]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"Accuracy +100\.0 % +61\.0 to 100\.0", out)
    assert re.search(r"ECE +50\.0 %", out)
    assert "Median km" not in out  # no photo has coordinates
    assert out.endswith("on the board as submission:my-b-net-b; `t15 leaderboard` shows it\n")
    assert err == f"small 1.0.0, digest {world.manifest.digest[:12]}: 6 test photos\n"
    assert front_door.run(["leaderboard", "--json", "--out", str(tmp_path / "board"), *world.options]) == 0
    assert "My <b>net</b>" in json.dumps(json.loads(capsys.readouterr().out))
    page = (tmp_path / "board" / "index.html").read_text(encoding="utf-8")
    assert "<b>net" not in page


def test_json_is_all_there_is_on_stdout(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv(tmp_path / "mine.csv", labels(world))
    assert front_door.run(["score", str(path), "--name", "Mine", "--json", *world.options]) == 0
    found = json.loads(capsys.readouterr().out)
    (run,) = finished_runs(world.workspace.runs, world.manifest.digest)
    assert (found["name"], found["method"], found["run"]) == ("Mine", "submission:mine", run.inputs.identity)
    assert (found["answers"], found["manifest_digest"]) == ("labels", world.manifest.digest)
    assert found["scores"]["accuracy"] == 1
    assert found["scores"]["top3"] is None
    assert found["scores"]["ece"] is None


def test_labels_have_no_top_3(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = csv(tmp_path / "mine.csv", labels(world))
    assert front_door.run(["score", str(path), "--name", "Mine", *world.options]) == 0
    assert "Top 3" not in capsys.readouterr().out


def test_nothing_is_written_when_a_row_is_wrong(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv(tmp_path / "mine.csv", changed(answers(world), 1, mike=-1))
    before = everything_in(tmp_path)
    assert front_door.run(["score", str(path), "--name", "Mine", *world.options]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"t15: {path}: line 3 (photo ")
    assert err.count("\n") == 1
    elsewhere = ["--manifest", str(world.folder), "--workspace", str(tmp_path / "new")]
    assert front_door.run(["score", str(path), "--name", "Mine", *elsewhere]) == 3
    (tmp_path / "good.csv").write_bytes(csv(path, answers(world)).read_bytes())
    assert front_door.run(["score", str(tmp_path / "good.csv"), "--name", " ", *elsewhere]) == 2
    assert everything_in(tmp_path) == before | {tmp_path / "good.csv"}


def test_a_workspace_is_made_for_a_first_submission(world: World, tmp_path: Path) -> None:
    path = csv(tmp_path / "mine.csv", answers(world))
    elsewhere = ["--manifest", str(world.folder), "--workspace", str(tmp_path / "new")]
    assert front_door.run(["score", str(path), "--name", "Mine", *elsewhere]) == 0
    assert len(finished_runs(tmp_path / "new" / "runs", world.manifest.digest)) == 1


def test_another_file_needs_replace(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = csv(tmp_path / "1.csv", answers(world)), csv(tmp_path / "2.csv", labels(world))
    assert front_door.run(["score", str(first), "--name", "Mine", *world.options]) == 0
    assert front_door.run(["score", str(second), "--name", "Mine", *world.options]) == 2
    assert "--replace" in capsys.readouterr().err
    assert front_door.run(["score", str(second), "--name", "Mine", "--replace", "--json", *world.options]) == 0
    assert len(json.loads(capsys.readouterr().out)["replaced"]) == 1
    assert len(finished_runs(world.workspace.runs, world.manifest.digest)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.csv", "--name", "Mine"], 2, "nowhere.csv: there is no such file"),
        (["nowhere.csv"], 2, "--name"),
        ([".", "--name", "Mine"], 2, "there is no such file"),
    ],
)
def test_arguments_that_make_no_sense(
    world: World,
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert front_door.run(["score", *arguments, *world.options]) == code
    assert said in capsys.readouterr().err
