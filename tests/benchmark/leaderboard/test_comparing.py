"""Manifests side by side: differences with intervals, nothing ranked across, and no manifest twice."""

import csv
import io
import json
from pathlib import Path

import pytest

from benchmark.leaderboard.exports import as_csv, as_json, folder_name, write_leaderboard
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.table import COMPARISON_NOTE, compared, leaderboard, same_cities
from benchmark.leaderboard.text import as_markdown, as_text
from benchmark.scoring.significance import unpaired
from collector.errors import UsageError
from tests.benchmark.leaderboard import add_run, manifest_of
from tests.benchmark.leaderboard.test_page import Page

OLD = manifest_of(quotas={"train": 4, "val": 2, "test": 5})
CLEAN = manifest_of(quotas={"train": 4, "val": 2, "test": 4})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two methods on both manifests, one on each alone."""
    for manifest, rights in ((OLD, {"knn": 12, "net": 9, "old": 3}), (CLEAN, {"knn": 6, "net": 9, "new": 4})):
        for method, right in rights.items():
            add_run(tmp_path / "runs", manifest, method, right)
    return tmp_path / "runs"


def test_differences_are_against_the_first(runs: Path) -> None:
    lines = compared([leaderboard(OLD, runs), leaderboard(CLEAN, runs)])
    assert [line.known.method for line in lines] == ["knn", "net", "old", "new"]
    knn, net, old, new = lines
    assert [row and row.accuracy for row in knn.rows] == [0.8, 0.5]
    assert knn.differences == (None, unpaired(0.5, 12, 0.8, 15))
    assert net.differences[1] is not None
    assert net.differences[1].mean == pytest.approx(0.15)
    assert (old.rows[1], old.differences) == (None, (None, None))
    assert (new.rows[0], new.differences) == (None, (None, None))


def test_each_manifest_is_ranked_for_itself(runs: Path) -> None:
    old, clean = leaderboard(OLD, runs), leaderboard(CLEAN, runs)
    assert [row.method for row in old.rows] == ["knn", "net", "old"]
    assert [row.method for row in clean.rows] == ["net", "knn", "new"]
    assert max(row.rank_worst for row in (*old.rows, *clean.rows)) == 3


def test_other_cities_are_announced(runs: Path, tmp_path: Path) -> None:
    two = manifest_of(("bursa", "nevsehir"))
    add_run(runs, two, "knn", 5)
    boards = [leaderboard(OLD, runs), leaderboard(two, runs)]
    assert same_cities([leaderboard(OLD, runs), leaderboard(CLEAN, runs)])
    assert not same_cities(boards)
    assert "do not have the same cities" in as_html(boards)


def test_the_files_hold_both(runs: Path, tmp_path: Path) -> None:
    boards = write_leaderboard([(OLD, None), (CLEAN, None)], runs, tmp_path / "out")
    assert "knn" in as_text(boards)
    text = as_markdown(boards)
    assert COMPARISON_NOTE in text
    assert "| The knn | paper | 80.0 | 50.0 | -30.0 (-57.8 to +5.2) |" in text
    lines = list(csv.DictReader(io.StringIO(as_csv(boards))))
    assert [(line["digest"], line["method"]) for line in lines] == [
        (board.digest, row.method) for board in boards for row in board.rows
    ]
    data = json.loads((tmp_path / "out/leaderboard.json").read_text(encoding="utf-8"))
    assert data == as_json(boards)
    assert [board["digest"] for board in data["boards"]] == [OLD.digest, CLEAN.digest]
    assert data["comparison"][0]["scores"][CLEAN.digest]["difference"]["mean"] == pytest.approx(-0.3)
    assert data["comparison"][3]["scores"][OLD.digest] is None


def test_the_page_holds_both_with_ids_of_their_own(runs: Path) -> None:
    page = Page(as_html([leaderboard(OLD, runs), leaderboard(CLEAN, runs)]))
    ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(page.all("article")) == 2
    assert "2 manifests side by side" in page.text
    assert page.text.count("−30.0") == 1
    for digest in (OLD.digest, CLEAN.digest):
        assert page.text.count(digest) == 1


def test_a_manifest_is_named_once(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--manifest: sample 1\.0\.0 .* is given twice"):
        write_leaderboard([(OLD, None), (OLD, Path("elsewhere"))], runs, tmp_path / "out")


def test_a_folder_for_each_choice() -> None:
    assert folder_name([OLD]) == f"sample-1.0.0-{OLD.digest[:8]}"
    assert folder_name([OLD, CLEAN]) == f"sample-1.0.0-{OLD.digest[:8]}-and-sample-1.0.0-{CLEAN.digest[:8]}"
