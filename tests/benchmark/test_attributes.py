"""Questions about places, what answers are worth, and `lee2015` on a world whose colours tell the layers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from benchmark.attributes import AttributeAnswers, Question, questions, surroundings
from benchmark.leaderboard.exports import as_json
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown, as_text
from benchmark.methods.registry import choose
from benchmark.models import load_predictor
from benchmark.photos import WorkspacePhotos, photos_of
from benchmark.planning import Task, lacking, plan
from benchmark.runner import bench
from benchmark.scoring.attributes import attribute_scores, auc, balanced_accuracy, mean_auc
from benchmark.scoring.truth import Truth
from collector.errors import DataError
from collector.geodata.table import MAP, NAME, map_places
from collector.manifest.manifest import read_manifest
from collector.sandbox.land import DRAWN, LAND
from tests.benchmark.land import Land, add_tables, make_land

NAN = float("nan")


def test_tails_leave_the_middle_out_and_fifths_do_not() -> None:
    numbers = np.append(np.arange(100.0), NAN)
    tails, fifths = questions({"height": numbers})
    assert (tails.name, tails.classes) == ("height, tails", ("low", "high"))
    assert tails.edges == pytest.approx((29.7, 69.3))
    asked = tails.codes(np.array([-5, 29, 30, 50, 69, 70, 500, NAN]))
    assert asked.tolist() == [0, 0, -1, -1, -1, 1, 1, -1]
    assert np.bincount(fifths.codes(numbers[:-1])).tolist() == [20] * 5
    assert fifths.codes(np.array([NAN])).tolist() == [-1]


def test_what_is_the_same_everywhere_or_of_few_is_not_asked() -> None:
    names = np.array(["Csa"] * 9 + ["BSk"] * 5 + ["Dfb"] * 4 + [None], dtype=object)
    (zone,) = questions({"climate": names, "flat": np.zeros(50), "few": np.arange(19.0), "one": names[:9]})
    assert zone.classes == ("BSk", "Csa")
    assert zone.codes(np.array(["Csa", "Dfb", None, "BSk"], dtype=object)).tolist() == [1, -1, -1, 0]
    mostly = np.append(np.zeros(80), np.arange(1.0, 21.0))  # ties: thresholds of fifths would be equal
    assert questions({"rain": mostly}) == []


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 200)
    shares = rng.dirichlet(np.ones(4), 200)
    assert balanced_accuracy(shares.argmax(axis=1), truth) == pytest.approx(
        balanced_accuracy_score(truth, shares.argmax(axis=1))
    )
    assert mean_auc(shares, truth) == pytest.approx(roc_auc_score(truth, shares, multi_class="ovr"))
    scores, positive = rng.integers(0, 5, 60).astype(float), rng.random(60) < 0.4
    assert auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))
    assert auc(scores, np.zeros(60, bool)) is None
    assert balanced_accuracy(truth[:3] * 0, truth[:3] * 0) is None


def answers(questions_: tuple[Question, ...]) -> AttributeAnswers:
    own, via = (np.array(of, np.float32) for of in ([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [[0.5, 0.5]] * 3))
    return AttributeAnswers(("a", "b", "c"), questions_, (own,), (via,), (0,))


def test_answers_are_kept_and_damage_is_told() -> None:
    asked = (Question("elevation", "tails", ("low", "high"), (1.5, 2.5)),)
    content = answers(asked).to_bytes()
    kept = AttributeAnswers.of_bytes(content, "attributes.parquet")
    assert (kept.photo_ids, kept.questions, kept.majority) == (("a", "b", "c"), asked, (0,))
    np.testing.assert_array_equal(kept.probabilities[0], answers(asked).probabilities[0])
    for damage in (b"", content[:50], b"PAR1 and more"):
        with pytest.raises(DataError, match=r"attributes.parquet: cannot be read .*run `t15 bench` again"):
            AttributeAnswers.of_bytes(damage, "attributes.parquet")


def test_held_out_photos_are_scored_apart() -> None:
    asked = (Question("elevation", "tails", ("low", "high"), (1.5, 2.5)),)
    values = {"elevation": np.array([1.0, 3.0, 3.0])}
    (whole,) = attribute_scores([answers(asked)], values)
    assert (whole.photos, whole.auc) == (3, 1.0)
    assert whole.accuracy == pytest.approx(0.75)
    assert (whole.majority, whole.city_auc) == (0.5, 0.5)
    trained, held = attribute_scores([answers(asked)], values, np.array([False, False, True]))
    assert (trained.photos, trained.held_out, trained.accuracy) == (2, False, 1.0)
    assert (held.photos, held.held_out, held.accuracy, held.auc) == (1, True, None, None)
    assert attribute_scores([answers(asked)], {"coast": values["elevation"]}) == []


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Land:
    """Photos of nine cities, one of them held out, and a finished run of `lee2015:im2gps-colour` on them."""
    made = make_land(tmp_path_factory.mktemp("land"), {"train": 12, "val": 4, "test": 4}, ["shire-4"], of_a_city=30)
    (outcome,) = bench(made.manifest, made.workspace, [task(made)], "cpu")
    assert outcome.state == "done", outcome.reason
    return made


def task(land: Land) -> Task:
    (one,) = plan(land.manifest, choose(["lee2015:im2gps-colour"]), [0], "smoke")
    return one


def test_drawn_attributes_are_found_and_what_is_not_drawn_is_chance(land: Land) -> None:
    board = leaderboard(land.manifest, land.workspace.runs)
    scores = {(row.score.question, row.score.held_out): row.score for row in board.attributes}
    for held_out in (False, True):
        tails = [scores.get((f"{layer}, tails", held_out)) for layer in DRAWN]
        found = [of.auc for of in tails if of and of.auc is not None]  # of one city there may be one tail alone
        assert len(found) > 3
        assert np.mean(found) > 0.8
    rain = scores["rain, fifths", False]
    assert rain.auc == pytest.approx(0.5, abs=0.2)
    assert rain.majority == pytest.approx(0.2)


def test_boards_show_them_and_say_what_is_never_trained(land: Land) -> None:
    board = leaderboard(land.manifest, land.workspace.runs)
    for text in (as_text([board]), as_markdown([board]), as_html([board])):
        assert "hat places are like" in text
        assert "elevation, tails" in text
        assert "1 of 9 cities is tested and never trained (Shire 4)" in text
    assert as_json([board])["attributes"][0]["score"]["question"] == "elevation, fifths"
    assert {one.name for one in board.rows[0].slices["city in training"]} == {"trained", "held out"}
    thirds = board.rows[0].slices["Elevation"]
    assert [one.name.split(",")[0] for one in thirds] == ["highest third", "lowest third", "middle third"]
    assert sum(one.photos for one in thirds) == len(land.manifest.photos("test"))


def test_a_kept_model_answers_without_any_table(land: Land) -> None:
    run = land.workspace.runs / task(land).inputs.identity
    predictor, _ = load_predictor(run / "model.safetensors", "cpu")
    photos = photos_of(land.manifest, "test", WorkspacePhotos(land.workspace))
    again = predictor.predict_attributes(photos)  # type: ignore[union-attr]
    kept = AttributeAnswers.of_bytes((run / "attributes.parquet").read_bytes(), "kept")
    for one, other in zip(again.probabilities, kept.probabilities, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    places = predictor.predict_places(photos)  # type: ignore[union-attr]
    assert places.weights is not None
    assert len(places) == len(photos)


def test_a_run_is_another_where_another_table_lies_beside(land: Land, tmp_path: Path) -> None:
    folder = tmp_path / "1.0.0"
    folder.mkdir()
    for file in land.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    manifest = read_manifest(folder)
    assert task(replace(land, manifest=manifest)).inputs == task(land).inputs
    add_tables(manifest, of_a_city=12)
    assert task(replace(land, manifest=manifest)).inputs.identity != task(land).inputs.identity
    (folder / MAP).unlink()
    known = surroundings(manifest)
    assert known is not None
    assert len(known.places) == 0
    (folder / NAME).unlink()
    assert lacking(frozenset({"attributes"}), manifest).startswith("attributes (`t15 geodata add")
    assert "Elevation" not in Truth.of(manifest).parts
    (folder / NAME).write_bytes(b"PAR1")
    with pytest.raises(DataError, match="geodata add"):
        Truth.of(manifest)


def test_places_of_a_map_lie_in_its_cities_alone() -> None:
    places = map_places(LAND[:2])
    assert 150 < len(places) < 250
    near = [replace(LAND[0], slug="other", latitude=LAND[0].latitude + 0.1)]
    both = map_places([LAND[0], *near])
    assert len(np.unique(both.round(9), axis=0)) == len(both)
    assert len(both) < len(places)
    assert map_places([]).shape == (0, 2)
