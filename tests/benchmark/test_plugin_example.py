"""The plug-in of docs/methods.md works as it is printed there."""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.results import finished_runs, read_predictions
from collector import front_door
from tests.benchmark.conftest import World

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def block(language: str) -> str:
    """Return the one fenced block in this language in the section about methods of one's own."""
    section = PAGE.read_text(encoding="utf-8").split("## A method of one's own\n")[1].split("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(found)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, str]]]:
    """Put the printed package where installed ones lie, and return its entry points."""
    project = tomllib.loads(block("toml"))["project"]
    points: dict[str, dict[str, str]] = project["entry-points"]
    site = tmp_path / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for group, of in points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (site / "mean_colour.py").write_text(block("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    yield points
    sys.modules.pop("mean_colour", None)


def test_the_printed_plugin_runs(
    world: World, installed: dict[str, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert installed == {
        "t15.methods": {"mean-colour": "mean_colour:METHOD"},
        "t15.loaders": {"mean-colour": "mean_colour:load"},
    }
    assert front_door.run(["methods"]) == 0
    assert "Mean colour, 32×32" in capsys.readouterr().out
    assert front_door.run(["bench", "--method", "mean-colour", "--device", "cpu", "--json", *world.options]) == 0
    (outcome,) = json.loads(capsys.readouterr().out)["runs"]
    assert (outcome["method"], outcome["state"]) == ("mean-colour", "done")
    (run,) = finished_runs(world.workspace.runs, world.manifest.digest)
    assert run.inputs.parameters == {"size": 32, "sharpness": 0.1}
    predictions = read_predictions(world.workspace.runs, run)
    city = {photo.photo_id: photo.city for photo in world.photos("test")}
    best = [run.classes[index] for index in predictions.probabilities.argmax(axis=1)]
    assert best == [city[photo_id] for photo_id in predictions.photo_ids]  # each city's photos have a colour here


@pytest.mark.usefixtures("installed")
def test_its_model_is_exported_and_predicts(world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert front_door.run(["bench", "--method", "mean-colour", "--device", "cpu", "--json", *world.options]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    model = tmp_path / "model.safetensors"
    assert front_door.run(["export-model", run["run"], str(model), *world.options]) == 0
    photo = world.photos("test")[0]
    picture = tmp_path / "picture.png"
    picture.write_bytes(world.workspace.photo(str(photo.sha256)).read_bytes())
    capsys.readouterr()
    assert front_door.run(["predict", str(picture), "--model", str(model), "--json"]) == 0
    assert photo.city in capsys.readouterr().out


def test_it_has_fewer_than_40_lines() -> None:
    assert len(block("python").splitlines()) < 40
