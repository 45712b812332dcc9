"""The page on the Python API does what it says, from a folder of photos to a leaderboard."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import t15
from tests.conftest import picture
from tests.test_t15 import HEAVY, environment

PAGE = Path(__file__).parents[1] / "docs" / "python-api.md"

REGION = """
name = "region"
[[city]]
name = "Ankara"
latitude = 39.92
longitude = 32.85
radius_km = 20
[[city]]
name = "Izmir"
latitude = 38.42
longitude = 27.14
radius_km = 20
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run every block of the page, in order, in a folder with photos, and return its variables."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "region.toml").write_text(REGION, encoding="utf-8")
    for offset, city in enumerate(("Ankara", "Izmir")):
        (folder / "photos" / city).mkdir(parents=True)
        for number in range(20):
            picture(2 * number + offset, (64, 64)).save(folder / "photos" / city / f"{number}.png")
    variables: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            exec(compile(block, str(PAGE), "exec"), variables)  # noqa: S102 (our own page)
        return variables | {"folder": folder, "score": scored(folder, variables["manifest"])}


def test_the_notebook_of_the_documentation_runs(notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(notebook["folder"])
    cells = json.loads((PAGE.parent / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    variables: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), "notebook.ipynb", "exec"), variables)  # noqa: S102 (our own)
    assert len(variables["board"]) == 2
    assert len(variables["dataset"]) == 16


def scored(folder: Path, manifest: Any) -> Any:
    test = manifest.split("test")
    lines = ["photo_id,city", *(f"{photo.photo_id},{photo.city}" for photo in test)]
    (folder / "predictions.csv").write_text("\n".join(lines), encoding="utf-8")
    return t15.score(folder / "predictions.csv", manifest)


def test_the_page_leads_from_photos_to_a_leaderboard(notebook: dict[str, Any]) -> None:
    assert notebook["came"].added == 40
    assert repr(notebook["manifest"]) == "<Manifest region 1.0.0: 2 cities, train 16, val 8, test 8>"
    assert [run.state for run in notebook["runs"]] == ["done", "done"]
    assert max(len(repr(notebook[name])) for name in ("made", "score", "manifest", "train", "came")) < 200
    assert all(len(repr(run)) < 200 for run in notebook["runs"])
    board = t15.leaderboard(notebook["manifest"], notebook["folder"] / "workspace")
    assert re.fullmatch(r"<leaderboard of region 1.0.0: 2 rows, 8 test photos; first .*>", repr(board))
    assert set(notebook["board"]["method"]) == {"tiny-64+knn", "hog-32+logreg"}
    assert notebook["board"]["accuracy"].between(0, 1).all()


def test_a_manifest_is_a_frame_a_sequence_and_a_dataset(notebook: dict[str, Any]) -> None:
    manifest, train = notebook["manifest"], notebook["train"]
    assert len(manifest.to_pandas()) == 32
    assert list(train.to_pandas()["photo_id"]) == [photo.photo_id for photo in train]
    assert notebook["pixels"].shape == (3, 64, 64)
    assert notebook["dataset"].classes[notebook["label"]] == train[0].city


def test_right_answers_score_everything(notebook: dict[str, Any]) -> None:
    assert notebook["score"].flat()["accuracy"] == 1


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(t15.T15Error, match=r"manifest\.json"):
        t15.load(tmp_path)


def test_import_is_light() -> None:
    heavy = HEAVY | {"rich", "typer"}
    code = f"import sys, t15; assert t15.__version__; there = {heavy} & set(sys.modules); assert not there, there"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment()
    )
    assert finished.returncode == 0, finished.stderr


def test_every_verb_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}(" in text for name in t15.__all__ if name != "T15Error")
