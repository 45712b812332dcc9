"""Answers with a density: calibrated regions, coordinates no finer than validation supports, votes, the city alone."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmark.methods.registry import choose
from benchmark.methods.settings import with_settings
from benchmark.planning import plan
from benchmark.predicting.answer import Answerer, Result, decimals_of
from benchmark.predicting.exporting import trained_model
from benchmark.predicting.formats import place_text, record
from benchmark.predicting.model_card import certainty_from_json, learn_certainty
from benchmark.predicting.neighbours import training_from_arrays
from benchmark.predicting.page import as_html, density_svg
from benchmark.predicting.read_image import Source
from benchmark.predictions import Places
from benchmark.results import finished_runs
from benchmark.runner import bench
from collector.geo import distance_km
from collector.manifest.manifest import build_manifest
from collector.records import City
from tests.benchmark.conftest import World, make_world, paint
from tests.benchmark.predicting.conftest import Cli, Trained, jpeg, read


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Photos of three cities, each taken within some km of its centre."""
    made = make_world(tmp_path_factory.mktemp("placed"), quotas={"train": 12, "val": 12, "test": 2})
    random = np.random.default_rng(0)
    centre = {city.slug: (city.latitude, city.longitude) for city in made.manifest.header.cities}
    photos = []
    for side in ("train", "val", "test"):
        for photo in made.photos(side):
            north, east = random.normal(0, 0.02, 2)
            latitude, longitude = centre[photo.city]
            moved = replace(photo, latitude=latitude + north, longitude=longitude + east)
            photos.append(replace(moved, title="<b>bold</b>", author_name="A & B"))
    return replace(made, manifest=build_manifest(made.manifest.header, photos, "tests"))


@pytest.fixture(scope="module")
def file(placed: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    method = with_settings(choose(["knn-density:tiny"])[0], {"ks": "5", "powers": "0", "sigmas": "5", "size": "8"})
    tasks = plan(placed.manifest, [method], [0], "paper")
    (outcome,) = bench(placed.manifest, placed.workspace, tasks, "cpu")
    assert outcome.state == "done", outcome.reason
    (run,) = finished_runs(placed.workspace.runs, placed.manifest.digest)
    model = trained_model(run, placed.manifest, placed.workspace, "cpu", neighbours=True)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    path.write_bytes(model.to_bytes())
    return path


def test_a_place_is_shown_with_its_region_and_no_finer_than_validation(file: Path) -> None:
    answerer = Answerer(file)
    (answer,) = answerer.answer([paint(1, 1)])
    assert answer.candidates[0].slug == "alpha"
    assert answer.density is not None
    assert answer.density.area50_km2 is not None
    assert answer.density.area90_km2 is not None
    assert 1 < answer.density.area50_km2 < answer.density.area90_km2 < 2000
    assert answer.radius50_km is not None
    assert answer.decimals == decimals_of(answer.radius50_km) == 2  # off by kilometres
    assert answer.latitude == round(answer.latitude or 0, 2)
    said = place_text(answer)
    assert "by its density 50 % in" in said
    assert said.startswith(f"{answer.latitude:.2f}, {answer.longitude:.2f}; ")
    fields = record(Result(Source("photo.jpg"), answer))
    assert (fields["decimals"], fields["area50_km2"] > 1) == (2, True)


def test_keeping_to_the_city(file: Path) -> None:
    answerer = Answerer(file, city_only=True)
    (answer,) = answerer.answer([paint(1, 1)])
    assert (answer.latitude, answer.longitude) == (1.0, 1.0)  # its centre
    assert (answer.decimals, answer.density) == (None, None)
    assert answer.radius50_km is not None  # of centres, not of places
    assert answerer.explain(paint(1, 1)).answer == answer
    assert density_svg(answer) == ""


def test_densities_become_a_file(file: Path, cli: Cli, tmp_path: Path) -> None:
    one, two, broken = (tmp_path / name for name in ("one.jpg", "two.jpg", "broken.jpg"))
    one.write_bytes(jpeg(paint(1, 1)))
    two.write_bytes(jpeg(paint(2, 2)))
    broken.write_bytes(b"broken")
    code, out, _ = cli("predict", one, two, broken, "--model", file, "--json", "--density", tmp_path / "all.geojson")
    assert code == 5  # of the broken one; the others are there
    told = json.loads((tmp_path / "all.geojson").read_text(encoding="utf-8"))
    said = [feature["properties"] for feature in told["features"]]
    assert [(of["photo"], of.get("chance")) for of in said] == [
        *((str(photo), chance) for photo in (one, two) for chance in (0.5, 0.9)),
        (str(broken), None),
    ]
    assert said[-1]["reason"]
    assert told["features"][-1]["geometry"] is None
    answered = read(out)["photos"][0]
    for of, share in zip(said, (50, 90), strict=False):
        assert of["area_km2"] == pytest.approx(answered[f"area{share}_km2"], rel=0.15)  # polygons beside draws
    assert cli("predict", one, "--model", file, "--density", tmp_path / "one.png")[0] == 0
    assert Image.open(io.BytesIO((tmp_path / "one.png").read_bytes())).size[0] == 640


def test_where_there_is_no_density_none_is_written(trained: Trained, file: Path, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg(paint(1, 1)))
    one, target = tmp_path / "one.jpg", tmp_path / "one.png"
    code, out, err = cli("predict", one, "--model", trained.file, "--density", target)
    assert (code, "the model states none" in err, "0.0000" in out or "1.0000" in out) == (5, True, True)
    for more, said in (
        (("--density", tmp_path / "one.txt"), "ends with .geojson"),
        (("--density", target, one), "of one photo, not of 2"),
        (("--density", target, "--city-only"), "leave --city-only out"),
    ):
        code, out, err = cli("predict", one, "--model", file, *more)
        assert (code, out, said in err) == (2, "", True)
    assert not target.exists()


def test_the_photos_that_voted_are_credited(file: Path, placed: World) -> None:
    answerer = Answerer(file)
    explanation = answerer.explain(paint(1, 1))
    near = explanation.neighbours
    assert len(near) == 6
    assert [one.distance for one in near] == [None] * 6
    assert [round(one.vote or 0, 3) for one in near] == [0.2] * 5 + [0.0]  # k = 5, all weigh alike
    assert {one.credit.city for one in near} == {"alpha"}
    page = as_html(answerer, Source("photo.jpg", None, jpeg(paint(1, 1))), explanation, placed.workspace)
    assert "which voted" in page
    assert "20 % of the vote" in page
    assert "Where, by its density" in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>bold" not in page
    assert 'href="data:image/png' in density_svg(explanation.answer, near)
    assert " km</text>" in density_svg(explanation.answer, near)


def test_regions_are_calibrated_on_validation_photos() -> None:
    """A density that is too narrow: its regions grow until they hold their share of new photos."""
    random = np.random.default_rng(3)

    def world(count: int) -> tuple[Places, NDArray[np.float64]]:
        truth = np.stack([random.normal(0, 0.05, count), random.normal(0, 0.05, count)], axis=1)
        zero = np.zeros(count)
        candidates = np.zeros((count, 2, 2))
        candidates[:, 1] = 1.0  # half of the weight lies where no photo is
        return Places(zero, zero, candidates, np.full((count, 2), 0.5), np.full((count, 2), 4.0)), truth

    answers, truth = world(400)
    cities = [City("a", "A", 0.0, 0.0, 10.0), City("b", "B", 5.0, 5.0, 10.0)]
    shares = np.tile([0.9, 0.1], (400, 1))
    certainty = learn_certainty(shares, np.zeros(400, int), cities, truth, answers)
    assert certainty.level50 is not None
    assert certainty_from_json(certainty.to_json()) == certainty
    from benchmark.retrieval.mixture import Mixture

    fresh, where = world(2000)
    density = Mixture.of(fresh)
    assert density is not None
    levels = density.drawn().level(density.log_density(where))
    assert (levels <= certainty.level50).mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(
    ("km", "decimals"), [(None, 0), (897, 0), (112, 0), (111, 1), (5, 2), (0.9, 3), (0.02, 4), (0.0, 4)]
)
def test_decimals_that_a_radius_supports(km: float | None, decimals: int) -> None:
    assert decimals_of(km) == decimals
    if km and 0 < decimals < 4:
        assert distance_km(0, 0, 10.0**-decimals, 0) <= km * 1.01


def test_damaged_positions_are_refused(file: Path) -> None:
    from benchmark.models import read_model

    arrays = dict(read_model(file).arrays)
    assert training_from_arrays(arrays) is not None
    with pytest.raises(ValueError, match="positions"):
        training_from_arrays({**arrays, "rows": arrays["rows"][:-1]})
