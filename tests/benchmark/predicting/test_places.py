"""Models of predictors that give places or rank photos: they are exported, loaded and answer with their place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.leaderboard.table import aligned
from benchmark.models import read_model
from benchmark.photos import Photos
from benchmark.planning import plan
from benchmark.predicting.answer import Answerer
from benchmark.predicting.exporting import trained_model
from benchmark.predictions import Places, Ranking
from benchmark.results import finished_runs
from benchmark.runner import bench
from benchmark.scoring.answers import answers_of
from benchmark.scoring.truth import Truth
from collector.errors import DataError
from collector.images.decode import decode
from collector.manifest.manifest import build_manifest
from tests.benchmark.conftest import CITIES, World, make_world, method, paint

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


@dataclass(frozen=True)
class Telling(Placing):
    """Gives labels beside places, those of another city."""

    classes: int

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        return np.tile(np.eye(self.classes, dtype=np.float32)[-1], (len(photos), 1))


@dataclass(frozen=True)
class TellingRanker(Ranker):
    classes: int

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        return np.tile(np.eye(self.classes, dtype=np.float32)[-1], (len(photos), 1))


TELLING: dict[str, Any] = {"places": Telling, "ranking": partial(TellingRanker, 0)}


def load_pinpoint(spec: Any, arrays: Any, device: str) -> Placing:
    return Placing()


def load_ranking(spec: Any, arrays: Any, device: str) -> Ranker:
    return Ranker(spec["row"])


def fit_placing(training: Any, validation: Any, context: Any) -> Placing:
    return Placing()


def fit_ranking(training: Any, validation: Any, context: Any) -> Ranker:
    return Ranker(int(np.flatnonzero(training.labels == 1)[0]))


SIDES = ("train", "val", "test")


@pytest.fixture
def placed(tmp_path: Path) -> World:
    return placed_world(tmp_path)


def placed_world(root: Path, cities: Sequence[str] = CITIES) -> World:
    """Return a data set whose photos were all taken a little beside their city's centre."""
    world = make_world(root, cities)
    centre = {city.slug: (city.latitude, city.longitude) for city in world.manifest.header.cities}
    photos = [
        replace(photo, latitude=centre[photo.city][0] + 0.01, longitude=centre[photo.city][1] + 0.02)
        for side in SIDES
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


@pytest.mark.parametrize(("cities", "decimals"), [(CITIES[:1], 1), (CITIES, 0)])
def test_without_validation_the_only_city_says_how_finely_a_place_is_told(
    tmp_path: Path, cities: tuple[str, ...], decimals: int
) -> None:
    data = placed_world(tmp_path, cities)
    header = replace(data.manifest.header, protocol="place")
    manifest = build_manifest(header, [one for side in SIDES for one in data.photos(side)], "tests")
    one = method("one", fit_placing, gives=frozenset({"places"}))
    list(bench(manifest, data.workspace, plan(manifest, [one], [0], "paper"), "cpu"))
    (run,) = finished_runs(data.workspace.runs, manifest.digest)
    model = trained_model(run, manifest, data.workspace, "cpu", neighbours=False)
    towns = [{**city, "radius_km": 20.0} for city in model.extra["cities"]]
    unknown = {**model.extra["certainty"], "bands": (), "city_bands": (), "threshold": 0.0}
    answerer = Answerer(
        replace(model, extra={**model.extra, "certainty": unknown, "cities": towns}), predictor=Placing()
    )
    (answer,) = answerer.answer([paint(1, 1)])
    assert answer.radius50_km is None
    assert (answer.latitude, answer.longitude) == (round(PLACE[0], decimals), round(PLACE[1], decimals))
    assert answer.decimals == decimals


@pytest.mark.parametrize("offer", TELLING)
@pytest.mark.parametrize(("cities", "protocol"), [(CITIES[:1], "place"), (CITIES, "place"), (CITIES, "city")])
def test_the_place_of_an_answer_is_the_one_that_the_board_measures(
    tmp_path: Path, offer: str, cities: tuple[str, ...], protocol: str
) -> None:
    data = placed_world(tmp_path, cities)
    header = replace(data.manifest.header, protocol=protocol)
    manifest = build_manifest(header, [one for side in SIDES for one in data.photos(side)], "tests")
    predictor = TELLING[offer](len(cities))
    one = method("one", lambda *_: predictor, gives=frozenset({"labels", offer}))
    (outcome,) = bench(manifest, data.workspace, plan(manifest, [one], [0], "paper"), "cpu")
    assert outcome.state == "done", outcome.reason
    (run,) = finished_runs(data.workspace.runs, manifest.digest)
    truth = Truth.of(manifest)
    board = aligned(truth, data.workspace.runs, run)
    assert board.places is not None
    model = trained_model(run, manifest, data.workspace, "cpu", neighbours=False)
    answerer = Answerer(model, predictor=predictor)
    files = [data.workspace.photo(str(photo.sha256)) for photo in manifest.photos("test")]
    answers = answerer.answer([decode(file, answerer.side) for file in files])
    for answer, latitude, longitude in zip(answers, board.places.latitude, board.places.longitude, strict=True):
        assert answer.decimals is not None
        told = (round(latitude, answer.decimals), round(longitude, answer.decimals))
        assert (answer.latitude, answer.longitude) == told
    # Its radius is of such places as well: validation photos were taken as far from them as test photos.
    assert answers[0].radius50_km == pytest.approx(np.median(answers_of(board, truth).km), rel=1e-6)
    # Models of an earlier t15 have radii of cities' centres, and keep to these.
    certainty = {**model.extra["certainty"], "city_bands": ()}
    earlier = Answerer(replace(model, extra={**model.extra, "certainty": certainty}), predictor=predictor)
    (centre,) = earlier.answer([decode(files[0], earlier.side)])
    last = manifest.header.cities[-1]
    assert (centre.latitude, centre.longitude, centre.decimals) == (last.latitude, last.longitude, None)


def test_a_gallery_of_other_labels_is_refused(placed: World) -> None:
    one = method("one", fit_ranking, gives=frozenset({"ranking"}))
    list(bench(placed.manifest, placed.workspace, plan(placed.manifest, [one], [0], "paper"), "cpu"))
    (run,) = finished_runs(placed.workspace.runs, placed.manifest.digest)
    model = trained_model(run, placed.manifest, placed.workspace, "cpu", neighbours=False)
    broken = replace(model, arrays={**model.arrays, "gallery-labels": model.arrays["gallery-labels"] + 9})
    with pytest.raises(DataError, match="what it says of itself is damaged"):
        Answerer(broken)
    assert read_model(placed.workspace.runs / run.inputs.identity / "model.safetensors").kind == "ranking"
