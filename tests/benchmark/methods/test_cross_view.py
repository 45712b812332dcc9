"""Methods that hold photos against a region from above: on the imaginary land, fetched from this machine."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark.cross_view import MapAnswers, aerial_map, own_cells, reach_km
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown, as_text
from benchmark.methods.registry import choose
from benchmark.models import load_predictor
from benchmark.networks.two_towers import contrastive_loss, infonce_loss
from benchmark.photos import WorkspacePhotos, photos_of
from benchmark.planning import lacking, plan
from benchmark.runner import bench
from collector.aerial.fetch import fetch, pictures, wanted
from collector.aerial.services import Service
from collector.aerial.table import NAME, write
from collector.errors import DataError
from collector.net.client import Http
from collector.sandbox.land import LAND
from collector.sandbox.land_server import LandServer, serving
from tests.benchmark.land import Land, make_land

METHODS = ("lin2013:tiny", "workman2015:tiny", "where-cnn2015:tiny", "cross-view:tiny")


@pytest.fixture(scope="module")
def land(tmp_path_factory: pytest.TempPathFactory) -> Land:
    """Photos of nine cities, one held out, 60 tiles of these, and a finished run of each method."""
    made = make_land(tmp_path_factory.mktemp("land"), {"train": 12, "val": 4, "test": 4}, ["shire-4"], of_a_city=5)
    with serving(LandServer(trouble=0.0)) as server:
        service = Service("land", "Land", f"{server.url}/tiles/{{z}}/{{x}}/{{y}}.png", "CC0-1.0", "nobody", own=True)
        fetch(made.workspace, service, LAND, 11, http=Http(service.access, sleep=lambda seconds: None))
        entries = pictures(made.workspace, service, wanted(service, LAND, 11))
        write(made.manifest, service, entries, made.folder / NAME)
    for outcome in bench(made.manifest, made.workspace, plan(made.manifest, choose(METHODS), [0], "smoke"), "cpu"):
        assert outcome.state == "done", outcome.reason
    return made


def test_a_board_ranks_true_cells_and_held_out_ones_apart(land: Land) -> None:
    board = leaderboard(land.manifest, land.workspace.runs)
    assert {(row.method, row.held_out) for row in board.maps} == {(of, out) for of in METHODS for out in (False, True)}
    for row in board.maps:
        assert 0 <= row.top_percent <= 1
        assert row.chance == pytest.approx(1 / row.cells)
    best = min(row.rank for row in board.maps if not row.held_out)
    assert best < 0.3
    for text in (as_text([board]), as_markdown([board]), as_html([board])):
        assert "True cells on the map" in text
    assert all(row.scores.get("median_km") for row in board.rows)


@pytest.mark.parametrize("name", ["lin2013:tiny", "cross-view:tiny"])
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
