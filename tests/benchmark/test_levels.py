"""Labels of other levels than the city: what is learnt, predicted, saved, exported and refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.label_set import label_set, left_out, left_out_note, positions
from benchmark.leaderboard.table import leaderboard
from benchmark.methods.registry import choose
from benchmark.planning import plan
from benchmark.predicting.answer import Answerer
from benchmark.predicting.exporting import trained_model
from benchmark.results import finished_runs, read_predictions
from benchmark.runner import bench
from collector.errors import DataError, UsageError
from collector.manifest.manifest import build_manifest
from collector.records import Label, Photo
from tests.benchmark.conftest import World, make_world, method, paint


def districts(header: Any) -> tuple[Label, ...]:
    """Two districts a city, and one country."""
    country = Label("xx", "Country", {}, "country", None, 1.0, 1.0, 900.0)
    found = [
        Label(f"{city.slug}/{name}", name.title(), {}, "district", city.slug, city.latitude, city.longitude + east, 3.0)
        for city in header.cities
        for name, east in (("old", 0.0), ("new", 0.05))
    ]
    return (country, *found)


def district_of(photo: Photo) -> str:
    return f"{photo.city}/{'old' if int(photo.photo_id[-1], 16) % 2 else 'new'}"


@pytest.fixture
def divided(tmp_path: Path) -> World:
    world = make_world(tmp_path, quotas={"train": 6, "val": 3, "test": 3})
    header = replace(world.manifest.header, labels=districts(world.manifest.header))
    photos = [
        replace(photo, label=district_of(photo)) for side in ("train", "val", "test") for photo in world.photos(side)
    ]
    return replace(world, manifest=build_manifest(header, photos, "tests"))


def benched(world: World, level: str, name: str = "tiny-64+logreg") -> Any:
    tasks = plan(world.manifest, choose([name]), [0], "smoke", models="all", level=level)
    assert [outcome.state for outcome in bench(world.manifest, world.workspace, tasks, "cpu")] == ["done"]
    identity = tasks[0].inputs.identity
    runs = finished_runs(world.workspace.runs, world.manifest.digest)
    return next(run for run in runs if run.inputs.identity == identity)


def test_a_level_is_a_run_of_its_own_with_that_levels_labels(divided: World) -> None:
    city, district = benched(divided, "city"), benched(divided, "district")
    assert city.inputs.identity != district.inputs.identity
    assert city.classes == ["zulu", "alpha", "mike"]
    assert district.classes == [label.id for label in divided.manifest.labels.at("district")]
    assert read_predictions(divided.workspace.runs, district).probabilities.shape == (9, 6)


def test_positions_are_those_of_the_tree(divided: World) -> None:
    photos = divided.photos("test")
    ids = label_set(divided.manifest, "district").ids
    assert [ids[row] for row in positions(divided.manifest, photos, "district")] == [district_of(one) for one in photos]
    cities = label_set(divided.manifest).ids
    assert [cities[row] for row in positions(divided.manifest, photos)] == [photo.city for photo in photos]


def test_a_model_of_districts_is_exported_and_answers(divided: World) -> None:
    run = benched(divided, "district")
    model = trained_model(run, divided.manifest, divided.workspace, "cpu", neighbours=False)
    (answer,) = Answerer(model).answer([paint(1, 0, 40, 32)])
    assert {candidate.slug for candidate in answer.candidates} == set(run.classes)
    assert answer.candidates[0].slug.startswith("zulu/")


@pytest.mark.parametrize(
    ("level", "error", "said"),
    [
        ("street", UsageError, "no labels of level 'street'; its levels are country, city, district"),
        ("country", DataError, "has one country; a benchmark needs two or more"),
    ],
)
def test_levels_that_cannot_be_told_apart_are_refused(divided: World, level: str, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        plan(divided.manifest, [method()], [0], "paper", level=level)


def without_districts(world: World, bare: Callable[[Photo], bool]) -> World:
    sides = ("train", "val", "test")
    photos = [
        replace(photo, label=photo.city) if bare(photo) else photo for side in sides for photo in world.photos(side)
    ]
    return replace(world, manifest=build_manifest(world.manifest.header, photos, "tests"))


def test_photos_without_a_label_of_the_level_are_left_out_on_every_side(divided: World) -> None:
    world = without_districts(divided, lambda photo: photo.city == "zulu")
    assert left_out(world.manifest, "district") == {"train": 6, "val": 3, "test": 3}
    assert left_out_note(left_out(world.manifest, "district"), "district").endswith("6 of train, 3 of val, 3 of test.")
    assert left_out_note(left_out(world.manifest), "city") == ""
    run = benched(world, "district")
    assert read_predictions(world.workspace.runs, run).photo_ids == [
        photo.photo_id for photo in world.photos("test") if photo.city != "zulu"
    ]
    board = leaderboard(world.manifest, world.workspace.runs, level="district")
    assert (board.test_photos, board.left_out["train"], board.chance_uniform) == (6, 6, 1 / 6)
    assert [(row.train, row.val, row.test) for row in board.cities[:2]] == [(0, 0, 0)] * 2
    assert sum(row.train for row in board.cities) == 12
    assert set(board.rows[0].per_city) == {district_of(photo) for photo in world.photos("test")} - {
        "zulu/old",
        "zulu/new",
    }
    assert board.rows[0].scores["accuracy_city"].value >= board.rows[0].accuracy
    assert any("6 of train" in line for line in board.warnings())
    model = trained_model(run, world.manifest, world.workspace, "cpu", neighbours=True)
    assert model.arrays


def test_a_side_without_any_label_of_the_level_is_refused(divided: World) -> None:
    world = without_districts(divided, lambda photo: photo.split == "val")
    with pytest.raises(DataError, match="no photo of val has a district"):
        plan(world.manifest, [method()], [0], "paper", level="district")
    world = without_districts(divided, lambda photo: photo.split == "test")
    with pytest.raises(DataError, match="no test photos with a district"):
        leaderboard(world.manifest, world.workspace.runs, level="district")
