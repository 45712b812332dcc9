"""`t15 runs`: what is kept is listed, shown and removed, submissions too."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.results import test_reads as reads_of
from collector import front_door
from tests.benchmark.conftest import World


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        given = ["runs", *map(str, arguments), "--workspace", str(world.workspace.root)]
        assert front_door.run(given) == code, capsys.readouterr().err
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    assert "no such run" in call("list")
    assert (
        front_door.run(["bench", "--method", "tiny-64+knn", "--set", "size=8", "--device", "cpu", *world.options]) == 0
    )
    rows = ["photo_id,city", *(f"{photo.photo_id},{photo.city}" for photo in world.photos("test"))]
    file = Path(world.workspace.root) / "mine.csv"
    file.write_text("\n".join(rows))
    assert front_door.run(["score", str(file), "--name", "Mine of today", *world.options]) == 0
    return call


def test_a_dry_run_of_score_looks_at_no_label(world: World, run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = run("list", "--json"), reads_of(world.workspace.runs)
    file = str(world.workspace.root / "mine.csv")
    capsys.readouterr()
    assert front_door.run(["score", file, "--name", "Another", "--dry-run", *world.options]) == 0
    said = capsys.readouterr().out
    assert "labels for" in said
    assert "would be on the board as submission:another (dry run: not scored, nothing was written)" in said
    assert (run("list", "--json"), reads_of(world.workspace.runs)) == before


def test_runs_are_listed_shown_and_removed(world: World, run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run("list", "--json"))
    assert {(one["method"], one["origin"]) for one in found} == {
        ("tiny-64+knn", "bench"),
        ("submission:mine-of-today", "submission"),
    } or {one["origin"] for one in found} == {"bench", "submission"}
    identity = next(one["run"] for one in found if one["origin"] == "bench")
    assert json.loads(run("list", "--json", "--method", "TINY-*"))[0]["run"] == identity
    assert len(json.loads(run("list", "--json", "--origin", "submission"))) == 1
    assert identity in run("list")
    capsys.readouterr()
    assert front_door.run(["leaderboard", *world.options]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "size=8" in line]
    (shown,) = [word for word in line.split() if identity.startswith(word) and len(word) == 8]
    assert identity in run("show", shown)  # what the board shows is what `show` takes
    text = run("show", identity[:4])
    assert "size=8" in text
    assert "predictions.parquet" in text
    assert json.loads(run("show", identity, "--json"))["run"] == identity
    looks = reads_of(world.workspace.runs)
    assert "would be removed" in run("remove", identity, "Mine of today", "--dry-run")
    assert len(json.loads(run("list", "--json"))) == 2
    assert "removed" in run("remove", "Mine of today")
    assert [one["run"] for one in json.loads(run("list", "--json"))] == [identity]
    run("remove", identity[:6])
    assert json.loads(run("list", "--json")) == []
    assert reads_of(world.workspace.runs) == looks  # what was looked at stays looked at


def test_what_is_no_run_is_refused_and_nothing_removed(run: Any) -> None:
    before = run("list", "--json")
    identity = json.loads(before)[0]["run"]
    assert "no such run" in run("remove", identity, "0123", code=2)
    assert "no such file or run" in run("show", "../x", code=2)
    assert "choose bench or submission" in run("list", "--origin", "x", code=2)
    assert run("list", "--json") == before
