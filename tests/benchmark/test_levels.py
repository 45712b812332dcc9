"""Labels of other levels than the city: what is learnt, predicted, saved, exported and refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.label_set import label_set, positions
from benchmark.methods.registry import choose
from benchmark.predicting.answer import Answerer
from benchmark.predicting.exporting import trained_model
from benchmark.results import finished_runs, read_predictions
from benchmark.runner import bench, plan
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest, build_manifest
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


def test_photos_without_a_label_of_the_level_are_counted(divided: World) -> None:
    def bare(photo: Photo) -> Photo:
        return replace(photo, label=photo.city) if photo.city == "zulu" else photo

    photos = [bare(photo) for side in ("train", "val", "test") for photo in divided.photos(side)]
    manifest: Manifest = build_manifest(divided.manifest.header, photos, "tests")
    with pytest.raises(DataError, match=r"no label of level district: 6 of train, 3 of val, 3 of test"):
        plan(manifest, [method()], [0], "paper", level="district")
    assert np.array_equal(positions(manifest, manifest.photos("val"), "city") >= 0, [True] * 9)
