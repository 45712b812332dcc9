"""Models of predictors that give places or rank photos: they are exported, loaded and answer with their place."""

from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.models import read_model
from benchmark.photos import Photos
from benchmark.planning import plan
from benchmark.predicting.answer import Answerer
from benchmark.predicting.exporting import trained_model
from benchmark.predictions import Places, Ranking
from benchmark.results import finished_runs
from benchmark.runner import bench
from collector.errors import DataError
from collector.manifest.manifest import build_manifest
from tests.benchmark.conftest import World, make_world, method, paint

PLACE = (1.01, 1.02)  # in the second city


@dataclass(frozen=True)
class Placing:
    def predict_places(self, photos: Photos) -> Places:
        return Places(np.full(len(photos), PLACE[0]), np.full(len(photos), PLACE[1]))

    def save(self) -> Any:
        return "pinpoint", {}, {"nothing": np.zeros(1)}


@dataclass(frozen=True)
class Ranker:
    row: int

    def rank(self, photos: Photos, k: int) -> Ranking:
        return Ranking(np.full((len(photos), 1), self.row), np.ones((len(photos), 1), np.float32))

    def save(self) -> Any:
        return "ranking", {"row": self.row}, {"nothing": np.zeros(1)}


def load_pinpoint(spec: Any, arrays: Any, device: str) -> Placing:
    return Placing()


def load_ranking(spec: Any, arrays: Any, device: str) -> Ranker:
    return Ranker(spec["row"])


def fit_placing(training: Any, validation: Any, context: Any) -> Placing:
    return Placing()


def fit_ranking(training: Any, validation: Any, context: Any) -> Ranker:
    return Ranker(int(np.flatnonzero(training.labels == 1)[0]))


@pytest.fixture
def placed(tmp_path: Path) -> World:
    """A data set whose photos were all taken a little beside their city's centre."""
    world = make_world(tmp_path)
    centre = {city.slug: (city.latitude, city.longitude) for city in world.manifest.header.cities}
    photos = [
        replace(photo, latitude=centre[photo.city][0] + 0.01, longitude=centre[photo.city][1] + 0.02)
        for side in ("train", "val", "test")
        for photo in world.photos(side)
    ]
    return replace(world, manifest=build_manifest(world.manifest.header, photos, "tests"))


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint(name, f"{__name__}:load_{name}", "t15.loaders") for name in ("pinpoint", "ranking")]
    monkeypatch.setattr("collector.plugins.entry_points", lambda group: points if group == "t15.loaders" else [])


@pytest.mark.parametrize(("gives", "fit"), [("places", fit_placing), ("ranking", fit_ranking)])
def test_a_model_without_labels_answers_with_its_place(placed: World, tmp_path: Path, gives: str, fit: Any) -> None:
    one = method("one", fit, gives=frozenset({gives}))
    (outcome,) = bench(placed.manifest, placed.workspace, plan(placed.manifest, [one], [0], "paper"), "cpu")
    assert outcome.state == "done", outcome.reason
    (run,) = finished_runs(placed.workspace.runs, placed.manifest.digest)
    model = trained_model(run, placed.manifest, placed.workspace, "cpu", neighbours=True)
    path = tmp_path / "model.safetensors"
    path.write_bytes(model.to_bytes())
    (answer,) = Answerer(path).answer([paint(1, 1)])
    assert answer.candidates[0].slug == "alpha"
    # Of six validation photos four are 157 km off or more: no decimal of a degree is supported.
    assert (answer.latitude, answer.longitude, answer.decimals) == (1, 1, 0)
    (kept,) = Answerer(path, city_only=True).answer([paint(1, 1)])
    assert (kept.latitude, kept.longitude, kept.decimals) == (1, 1, None)  # the centre of alpha
    assert kept.density is None


def test_a_gallery_of_other_labels_is_refused(placed: World) -> None:
    one = method("one", fit_ranking, gives=frozenset({"ranking"}))
    list(bench(placed.manifest, placed.workspace, plan(placed.manifest, [one], [0], "paper"), "cpu"))
    (run,) = finished_runs(placed.workspace.runs, placed.manifest.digest)
    model = trained_model(run, placed.manifest, placed.workspace, "cpu", neighbours=False)
    broken = replace(model, arrays={**model.arrays, "gallery-labels": model.arrays["gallery-labels"] + 9})
    with pytest.raises(DataError, match="what it says of itself is damaged"):
        Answerer(broken)
    assert read_model(placed.workspace.runs / run.inputs.identity / "model.safetensors").kind == "ranking"
