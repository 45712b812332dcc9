"""Methods that hold photos against a region from above: on the imaginary land."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmark.cross_view import MapAnswers, aerial_map, own_cells, reach_km
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown, as_text
from benchmark.methods.cross_view import ByNeighbours
from benchmark.methods.registry import choose
from benchmark.models import load_predictor
from benchmark.networks.two_towers import contrastive_loss, infonce_loss
from benchmark.photos import WorkspacePhotos, photos_of
from benchmark.planning import lacking, plan
from benchmark.retrieval.index import new_index
from benchmark.runner import bench
from benchmark.scoring.truth import places_of
from collector.aerial.table import NAME, read
from collector.errors import DataError
from tests.benchmark.land import Land, add_map, make_land

METHODS = (
    "lin2013:im2gps-colour",
    "workman2015:im2gps-colour",
    "where-cnn2015:im2gps-colour",
    "cross-view:im2gps-colour",
)


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Land:
    """Photos of nine cities, one held out, some 200 tiles of these, and a finished run of each method."""
    made = make_land(tmp_path_factory.mktemp("land"), {"train": 12, "val": 4, "test": 4}, ["shire-4"], of_a_city=5)
    add_map(made, 12)
    for outcome in bench(made.manifest, made.workspace, plan(made.manifest, choose(METHODS), [0], "smoke"), "cpu"):
        assert outcome.state == "done", outcome.reason
    return made


def test_a_board_ranks_true_cells_and_held_out_ones_apart(land: Land) -> None:
    board = leaderboard(land.manifest, land.workspace.runs)
    assert {(row.method, row.held_out) for row in board.maps} == {(of, out) for of in METHODS for out in (False, True)}
    for row in board.maps:
        assert 0 <= row.top_percent <= 1
        assert row.chance == pytest.approx(row.cells // 100 / row.cells)
        assert row.rank < 0.4
    for held_out in (False, True):
        assert min(row.rank for row in board.maps if row.held_out == held_out) < 0.15
    for text in (as_text([board]), as_markdown([board]), as_html([board])):
        assert "True cells on the map" in text
    assert all(row.scores.get("median_km") for row in board.rows)


def test_who_learns_from_permuted_pictures_is_at_chance_when_asked_with_the_true_ones(land: Land) -> None:
    kept = (land.folder / NAME).read_bytes()
    table = read(land.manifest, land.folder / NAME)
    assert table is not None
    order = np.random.default_rng(0).permutation(len(table))
    mixed = pq.read_table(land.folder / NAME)
    pq.write_table(mixed.set_column(3, "sha256", mixed["sha256"].take(order)), land.folder / NAME)
    try:
        (task,) = plan(land.manifest, choose(["workman2015:im2gps-colour"]), [0], "smoke")
        assert [one.state for one in bench(land.manifest, land.workspace, [task], "cpu")] == ["done"]
    finally:
        (land.folder / NAME).write_bytes(kept)
    run = land.workspace.runs / task.inputs.identity
    answers = MapAnswers.of_bytes((run / "map.parquet").read_bytes(), "kept")
    scores = np.empty_like(answers.scores)
    scores[:, order] = answers.scores  # each picture where it belongs
    own = own_cells(places_of(land.manifest.photos("test")), table.places, reach_km(table.places))
    ranks = dataclasses.replace(answers, scores=scores).ranks(own)
    assert np.nanmedian(ranks) / len(table) > 0.3


@pytest.mark.parametrize("name", ["lin2013:im2gps-colour", "cross-view:im2gps-colour"])
def test_a_kept_model_scores_the_same(land: Land, name: str) -> None:
    (task,) = plan(land.manifest, choose([name]), [0], "smoke")
    run = land.workspace.runs / task.inputs.identity
    predictor, _ = load_predictor(run / "model.safetensors", "cpu")
    again = predictor.predict_map(photos_of(land.manifest, "test", WorkspacePhotos(land.workspace)))  # type: ignore[union-attr]
    kept = MapAnswers.of_bytes((run / "map.parquet").read_bytes(), "kept")
    np.testing.assert_allclose(again.scores, kept.scores, atol=1e-4)
    with pytest.raises(DataError, match="t15 bench"):
        MapAnswers.of_bytes(b"PAR1", "kept")


def test_without_pictures_from_above_a_run_says_what_to_do(land: Land) -> None:
    bare = dataclasses.replace(land.manifest, folder=Path("/nowhere"))
    assert aerial_map(bare) is None
    assert "t15 aerial add" in lacking(frozenset({"overhead"}), bare)


def test_ranks_and_cells_by_hand() -> None:
    answers = MapAnswers(("a", "b", "c"), np.zeros((3, 2)), np.array([[3, 2, 1], [5, 5, 0], [0, 1, 2]], np.float32))
    assert answers.ranks(np.array([1, 0, -1]))[:2].tolist() == [2.0, 1.5]
    assert np.isnan(answers.ranks(np.array([1, 0, -1]))[2])
    places = np.array([[0.0, 0.0], [0.0, 0.1], [0.0, 0.2]])
    assert reach_km(places) == pytest.approx(0.75 * 11.12, rel=1e-3)
    photos = np.array([[0.0, 0.04], [0.0, 0.06], [0.0, 9.0], [np.nan, np.nan]])
    assert own_cells(photos, places, 9.0).tolist() == [0, 1, -1, -1]


def test_losses_by_hand() -> None:
    import torch

    photos, cells = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    own = torch.tensor([4, 7])
    # Pairs are 0 and √2 apart; others √2 (beyond the margin) and 0.
    assert float(contrastive_loss(photos, cells, own, 1.0)) == pytest.approx((0 + 2) / 2 + (0 + 1) / 2)
    scores = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    by_photo = float(-torch.log_softmax(scores, 1).diagonal().mean())
    by_cell = float(-torch.log_softmax(scores, 0).diagonal().mean())
    found = infonce_loss(photos, cells, own, torch.tensor(0.0))
    assert float(found) == pytest.approx((by_photo + by_cell) / 2, rel=1e-5)
    assert float(infonce_loss(photos, cells, torch.tensor([4, 4]), torch.tensor(0.0))) == pytest.approx(0, abs=1e-6)


def test_photos_of_an_author_are_no_neighbours_of_that_authors_photos() -> None:
    codes = np.eye(3, dtype=np.float32)
    index = new_index(3).add(codes, np.array([7, 8, 8]), np.array([-1, -1, 4]))
    places = np.zeros((3, 2))
    fitted = ByNeighbours(None, np.zeros(3, np.float32), codes, places, 1.0, index=index, seen=codes, k=1)  # type: ignore[arg-type]
    photos = np.array([[9, 2, 1], [9, 2, 1], [9, 2, 1]], np.float32)
    assert fitted.scores(photos).argmax(axis=1).tolist() == [0, 0, 0]
    without = fitted.excluding(np.array([7, -1, 8]), np.array([-1, 4, -1]))
    assert without.scores(photos).argmax(axis=1).tolist() == [1, 0, 0]
    nobody = fitted.excluding(np.array([7]), np.array([-1]))
    alone = dataclasses.replace(nobody, index=new_index(3).add(codes[:1], np.array([7])), seen=codes[:1])
    assert alone.scores(photos[:1]).tolist() == [[0, 0, 0]]
