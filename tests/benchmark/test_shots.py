"""Learning curves: which photos are drawn, what a run of few is called, and how the board shows it."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.commands.bench import parse_shots
from benchmark.leaderboard.exports import as_json, write_leaderboard
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown, as_text
from benchmark.methods.registry import choose
from benchmark.methods.training import few_of_each, training_photos
from benchmark.methods.types import Context, Method, Training
from benchmark.photos import WorkspacePhotos
from benchmark.planning import plan
from benchmark.results import RunInputs
from benchmark.runner import bench
from collector.errors import UsageError
from tests.benchmark.conftest import World, make_world


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("wide"), quotas={"train": 9, "val": 2, "test": 4})


def test_fewer_are_among_more_and_each_label_has_as_many(wide: World) -> None:
    training = training_photos(wide.manifest, "train", WorkspacePhotos(wide.workspace))
    before: set[str] = set()
    for shots in (1, 2, 4, 8):
        few = few_of_each(wide.manifest, training, shots, 3)
        assert np.bincount(few.labels).tolist() == [shots] * 3
        assert before <= set(few.ids)
        before = set(few.ids)
        row = {name: number for number, name in enumerate(training.ids)}
        assert np.array_equal(few.labels, training.labels[[row[name] for name in few.ids]])
        assert list(few.ids) == sorted(few.ids, key=lambda name: row[name])
    drawn = {few_of_each(wide.manifest, training, 2, seed).ids for seed in range(8)}
    assert len(drawn) > 3
    assert few_of_each(wide.manifest, training, 2, 5).ids == few_of_each(wide.manifest, training, 2, 5).ids


def test_groups_are_kept_together(wide: World) -> None:
    """Of groups of three at most one a city is cut, whatever the number."""
    training = training_photos(wide.manifest, "train", WorkspacePhotos(wide.workspace))
    number = {name: place for place, name in enumerate(training.ids)}
    group = {name: f"{training.labels[place]}-{place % 3}" for name, place in number.items()}
    photos = [replace(photo, group_id=group[photo.photo_id]) for photo in wide.manifest.photos("train")]

    class Grouped:
        def photos(self, side: str) -> list[Any]:
            return photos

    sizes = Counter(group.values())
    for shots in range(1, 10):
        few: Training = few_of_each(Grouped(), training, shots, 1)  # type: ignore[arg-type]
        taken = Counter(group[name] for name in few.ids)
        cut = Counter(name.partition("-")[0] for name, count in taken.items() if count < sizes[name])
        assert max(cut.values(), default=0) <= 1, shots


def test_a_run_of_all_photos_is_called_as_before() -> None:
    inputs = RunInputs("d" * 64, "m", {}, None, 0, "1")
    assert replace(inputs, shots=0).identity == inputs.identity
    assert replace(inputs, shots=2).identity != inputs.identity
    assert replace(inputs, shots=2).variant != inputs.variant


@pytest.mark.parametrize(
    ("text", "parsed"), [("all", [0]), ("1,2,4,all", [1, 2, 4, 0]), ("2,2", [2]), (" 1 , 8", [1, 8])]
)
def test_shots_are_numbers_and_all(text: str, parsed: list[int]) -> None:
    assert parse_shots(text) == parsed


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "one", "1,,2", "9999999", "ALL"])
def test_what_is_no_number_of_shots_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="--shots"):
        parse_shots(text)


class Counting:
    """Answers with the label of which it saw most photos; remembers how many it saw."""

    seen: list[int] = []  # noqa: RUF012

    def predict_labels(self, photos: Any) -> Any:
        return np.full((len(photos), 3), 1 / 3, np.float32) + np.array([1e-3, 0, -1e-3], np.float32)


def counting(training: Training, validation: Training, context: Context) -> Counting:
    Counting.seen.append(len(training))
    return Counting()


def test_a_curve_is_run_saved_and_shown_apart(tmp_path: Path) -> None:
    world = make_world(tmp_path, quotas={"train": 4, "val": 2, "test": 4})
    method = Method("counting", "Counting <b>", counting, {})
    tasks = plan(world.manifest, [method, *choose(["tiny-64+knn"])], [0, 1], "paper", {"k": "1"}, shots=[1, 2, 16, 0])
    Counting.seen.clear()
    outcomes = list(bench(world.manifest, world.workspace, tasks, "cpu"))
    assert Counting.seen == [3, 3, 6, 6, 12]  # of all photos one run stands for all seeds
    missing = [one for one in outcomes if one.state == "missing"]
    assert {(one.task.inputs.method, one.task.inputs.shots) for one in missing} == {
        ("counting", 16),
        ("tiny-64+knn", 16),
    }
    assert "16 training photos of each city" in missing[0].reason
    assert "has 4" in missing[0].reason
    board = leaderboard(world.manifest, world.workspace.runs)
    assert sorted(row.method for row in board.rows) == ["counting", "tiny-64+knn"]
    curve = {one.method: one for one in board.curves}["counting"]
    assert [(point.photos, point.shots, len(point.seeds)) for point in curve.points] == [
        (1, 1, 2),
        (2, 2, 2),
        (4, 0, 1),
    ]
    assert curve.points[0].accuracy == pytest.approx(1 / 3)
    page = as_html([board])
    assert "Accuracy by training photos of each city" in page
    assert "Counting &lt;b&gt;" in page
    assert "Counting <b>" not in page
    assert "Learning curves" in as_text([board])
    assert "## Learning curves" in as_markdown([board])
    assert json.loads(json.dumps(as_json([board])))["curves"][0]["points"]


def test_a_board_of_curves_alone(tmp_path: Path) -> None:
    world = make_world(tmp_path, quotas={"train": 3, "val": 2, "test": 2})
    tasks = plan(world.manifest, [Method("counting", "Counting", counting, {})], [0], "paper", shots=[1, 2])
    assert [one.state for one in bench(world.manifest, world.workspace, tasks, "cpu")] == ["done", "done"]
    (board,) = write_leaderboard([(world.manifest, None)], world.workspace.runs, tmp_path / "out")
    assert not board.rows
    assert len(board.curves[0].points) == 2
    assert "Accuracy by training photos" in (tmp_path / "out" / "index.html").read_text()
