"""Rankings made elsewhere: read, refused, scored."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.leaderboard.table import leaderboard
from benchmark.methods.registry import choose
from benchmark.planning import plan
from benchmark.rankings import read_rankings
from benchmark.runner import bench
from benchmark.submissions import put_on_board, read_ranked
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest, build_manifest
from collector.manifest.vpr import name_of
from collector.records import Photo
from tests.benchmark.conftest import World, make_world


@pytest.fixture
def placed(tmp_path: Path) -> tuple[World, Manifest]:
    """Photos of two cities along a street, 30 m apart: the k-th of each side at the k-th place."""
    world = make_world(tmp_path, ("one", "two"), {"train": 4, "val": 1, "test": 3})
    photos: list[Photo] = []
    for side in ("train", "val", "test"):
        for number, photo in enumerate(world.manifest.photos(side)):
            photos.append(replace(photo, latitude=40 + 30 * number / 111_195, longitude=30.0))
    header = replace(world.manifest.header, protocol="place")
    return world, build_manifest(header, photos, "tests")


def lines(manifest: Manifest) -> list[str]:
    """Return a table in which the k-th query ranks the k-th photo first, and the next one second."""
    gallery = [photo.photo_id for photo in manifest.photos("train")]
    return [
        f"{query.photo_id},{gallery[number + extra]},{extra + 1}"
        for number, query in enumerate(manifest.photos("test"))
        for extra in (1, 0)
    ]


def test_a_table_is_scored_and_on_the_board(placed: tuple[World, Manifest], tmp_path: Path) -> None:
    world, manifest = placed
    table = tmp_path / "theirs.csv"
    table.write_text("\n".join(["query,photo,rank", *lines(manifest)]), "utf-8")
    ranking = read_rankings(table, manifest)
    assert ranking.rows.tolist() == [[k, k + 1] for k in range(6)]
    assert ranking.inliers is None
    scored = put_on_board(read_ranked(table, manifest), manifest, world.workspace.runs, "Theirs")
    assert scored.scores["recall_1"].value == 1
    assert scored.run.gives == ["ranking"]
    assert leaderboard(manifest, world.workspace.runs).rows[0].scores["recall_1"].value == 1
    table.write_text("\n".join(["query,photo,score,inliers", *(f"{line},7" for line in lines(manifest))]), "utf-8")
    turned = read_rankings(table, manifest)
    assert turned.rows.tolist() == [[k + 1, k] for k in range(6)]
    assert turned.inliers is not None
    assert (turned.inliers == 7).all()


def test_one_town_is_enough_for_what_ranks_its_gallery(tmp_path: Path) -> None:
    world = make_world(tmp_path, ("one",), {"train": 4, "val": 2, "test": 2})
    with pytest.raises(DataError, match="has one city; a benchmark needs two or more"):
        plan(world.manifest, choose(["retrieval:tiny"]), [0], "smoke")
    places = [
        replace(photo, latitude=40 + 30 * number / 111_195, longitude=30.0)
        for side in ("train", "val", "test")
        for number, photo in enumerate(world.manifest.photos(side))
    ]
    town = build_manifest(replace(world.manifest.header, protocol="place"), places, "tests")
    tasks = plan(town, choose(["retrieval:tiny", "tiny-64+knn"]), [0], "smoke")
    states = {task.task.inputs.method: task.state for task in bench(town, world.workspace, tasks, "cpu")}
    assert states == {"retrieval:tiny-16": "done", "tiny-64+knn": "missing"}
    board = leaderboard(town, world.workspace.runs)
    assert board.rows[0].scores.primary == "recall_1"
    assert "the manifest has one city" in board.failed[0].reason


def test_texts_of_a_harness(placed: tuple[World, Manifest], tmp_path: Path) -> None:
    """As VPR-methods-evaluation saves them, named as `t15 export --vpr` does; a query without a text is withheld."""
    _, manifest = placed
    gallery = [f"/data/database/{name_of(photo, None)}" for photo in manifest.photos("train")]
    folder = tmp_path / "preds"
    folder.mkdir()
    for number, query in enumerate(manifest.photos("test")[:-1]):
        text = f"Query path:\n/data/queries/{name_of(query, None)}\n\nPredictions paths:\n{gallery[number]}\n{gallery[7]}\n\n"
        (folder / f"{number:03}.txt").write_text(f"{text}Positives paths:\n{gallery[0]}\n", "utf-8")
    (folder / "log.txt").write_text("R@1: 100.0\n", "utf-8")
    ranking = read_rankings(folder, manifest)
    assert ranking.rows.tolist() == [*([k, 7] for k in range(5)), [-1, -1]]
    assert np.isnan(ranking.scores[-1]).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("query,photo,rank\n", "holds no ranking|no rows|empty"),
        ("query,rank\na,1\n", "needs the columns query, photo, and rank or score"),
        ("query,photo,rank\nnobody,{gallery},1\n", "line 2: 'nobody' is no test photo of this manifest"),
        ("query,photo,rank\n{query},{query},1\n", "is no photo of the gallery of this manifest"),
        ("query,photo,rank\n{query},{gallery},x\n", "line 2: rank 'x' is no such number"),
        ("query,photo,rank\n{query},{gallery},0\n", "line 2: rank '0' is no such number"),
        ("query,photo,rank\n{query},{gallery},1\n{query},{gallery},2\n", "has a photo twice"),
        ("query,photo,rank\n{query},,1\n", "line 2: query or photo is missing"),
        ("query,photo,score\n{query},{gallery},nan\n", "line 2: score 'nan' is no such number"),
    ],
)
def test_what_is_wrong_is_named(placed: tuple[World, Manifest], tmp_path: Path, text: str, said: str) -> None:
    _, manifest = placed
    names = {"query": manifest.photos("test")[0].photo_id, "gallery": manifest.photos("train")[0].photo_id}
    table = tmp_path / "wrong.csv"
    table.write_text(text.format(**names), "utf-8")
    with pytest.raises(DataError, match=said):
        read_rankings(table, manifest)


def test_there_is_no_such_file(placed: tuple[World, Manifest], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        read_rankings(tmp_path / "nothing", placed[1])
    with pytest.raises(DataError, match="holds no ranking"):
        read_rankings(tmp_path, placed[1])
