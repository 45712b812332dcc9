"""The accuracies of deterministic rows on a few drawn photos: what changes them is a new version of the method."""

import io
from dataclasses import replace
from itertools import islice

import pytest
from PIL import Image

from benchmark.methods.registry import choose
from benchmark.planning import plan
from benchmark.results import finished_runs, read_predictions
from benchmark.runner import bench
from collector.manifest.manifest import build_manifest
from collector.sandbox.scenes import render, scenes_of
from tests.benchmark.conftest import World, make_world, store

RIGHT = {
    "tiny-64+knn": 12,
    "tiny-64+knn@modern": 9,
    "tiny-64+logreg": 11,
    "tiny-64+logreg@2018": 9,
    "tiny-64+logreg@modern": 16,
    "tiny-128+knn": 8,
    "tiny-128+knn@modern": 8,
    "tiny-128+logreg": 11,
    "tiny-128+logreg@2018": 10,
    "tiny-128+logreg@modern": 15,
    "hog-32+knn": 10,
    "hog-32+knn@modern": 8,
    "hog-32+logreg": 8,
    "hog-32+logreg@2018": 8,
    "hog-32+logreg@modern": 5,
    "hog-64+knn": 8,
    "hog-64+knn@modern": 9,
    "hog-128+logreg": 7,
    "hog-128+logreg@2018": 7,
    "hog-128+logreg@modern": 8,
    "gist-64+knn": 11,
    "gist-64+knn@labelme": 12,
    "gist-64+knn@modern": 14,
    "gist-64+logreg": 12,
    "gist-64+logreg@2018": 12,
    "gist-64+logreg@labelme": 10,
    "gist-64+logreg@modern": 12,
    "gist-128+knn": 13,
    "gist-128+knn@labelme": 12,
    "gist-128+knn@modern": 14,
    "gist-256+knn": 15,
    "gist-256+knn@labelme": 14,
    "gist-256+knn@modern": 11,
}
"""Right answers of 21 photos of three cities, tier `smoke`: of every row that is not a network, as t15 had them before its
manifests had formats (commit 70d6426)."""

QUOTAS = {"train": 10, "val": 4, "test": 7}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A data set whose photos are drawn streets and squares, the cities' own."""
    world = make_world(tmp_path_factory.mktemp("drawn"), quotas=QUOTAS)
    photos = []
    for number, city in enumerate(world.manifest.header.cities):
        of_city = [photo for side in QUOTAS for photo in world.photos(side) if photo.city == city.slug]
        for photo, scene in zip(of_city, islice(scenes_of(0, number), len(of_city)), strict=True):
            picture = render(scene).resize((128, 96), Image.Resampling.BICUBIC)
            file = io.BytesIO()
            picture.save(file, "PNG")
            sha256 = store(world.workspace, file.getvalue())
            photos.append(replace(photo, sha256=sha256, width=128, height=96, bytes=len(file.getvalue())))
    return replace(world, manifest=build_manifest(world.manifest.header, photos, "tests"))


def test_accuracies_are_the_frozen_ones(drawn: World) -> None:
    tasks = plan(drawn.manifest, choose(list(RIGHT)), [0], "smoke")
    assert {outcome.state for outcome in bench(drawn.manifest, drawn.workspace, tasks, "cpu")} == {"done"}
    truth = {photo.photo_id: photo.city for photo in drawn.photos("test")}
    right = {}
    for run in finished_runs(drawn.workspace.runs, drawn.manifest.digest):
        said = read_predictions(drawn.workspace.runs, run)
        answered = [run.classes[column] for column in said.probabilities.argmax(axis=1)]
        pairs = zip(said.photo_ids, answered, strict=True)
        right[run.inputs.method] = sum(truth[photo_id] == city for photo_id, city in pairs)
    assert right == RIGHT
