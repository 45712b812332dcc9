"""The leaderboard is computed from predictions: ranks, intervals, seeds, tiers, and runs that do not fit."""

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.leaderboard.exports import write_leaderboard
from benchmark.leaderboard.table import leaderboard, paper_verdict
from benchmark.leaderboard.text import as_text
from benchmark.results import Failure, Predictions, RunInputs, save_failure, save_run
from benchmark.scoring.significance import Difference
from benchmark.scoring.truth import Truth
from collector.errors import DataError, UsageError
from collector.manifest.manifest import build_manifest
from collector.records import SPLITS
from tests.benchmark.leaderboard import CITIES, add_failure, add_run, manifest_of, predictions_of, run_of

FIFTEEN = tuple(f"city-{number:02d}" for number in range(15))
TURKIYE15 = {"train": 1, "val": 1, "test": 25}
FILES = ("leaderboard.md", "leaderboard.csv", "leaderboard.json", "index.html")


def test_the_papers_numbers(tmp_path: Path) -> None:
    """216 and 213 of 375 right: 57.60 % (52.5 to 62.5) and 56.80 %, which these photos do not tell apart."""
    manifest = manifest_of(FIFTEEN, TURKIYE15, region="turkiye15")
    paper = {"table": "II", "row": "layers frozen: C", "accuracy": 57.6}
    add_run(tmp_path, manifest, "c", 216, paper=paper)
    add_run(tmp_path, manifest, "a", 213)
    add_run(tmp_path, manifest, "gist", 107)
    board = leaderboard(manifest, tmp_path)
    best, second, last = board.rows
    assert [(row.rank, row.method) for row in board.rows] == [("1–2", "c"), ("1–2", "a"), ("3", "gist")]
    assert [row.group for row in board.rows] == ["a", "a", "b"]
    assert best.accuracy == 0.576
    assert (round(best.low, 3), round(best.high, 3)) == (0.525, 0.625)
    assert best.run.paper == {"table": "II", "row": "layers frozen: C"}
    assert best.paper_accuracy == pytest.approx(0.576)
    assert second.paper_accuracy is None
    assert (best.paper_verdict, second.paper_verdict) == ("agrees", "")
    assert best.behind == Difference(0.0, 0.0, 0.0)
    assert second.behind.mean == pytest.approx(-3 / 375)
    assert last.behind.mean == pytest.approx(-109 / 375)
    assert last.behind.low < last.behind.mean < last.behind.high < 0
    assert board.test_photos == 375
    assert board.chance_uniform == board.chance_largest == pytest.approx(1 / 15)


def test_a_board_says_what_sides_are_known_to_share(tmp_path: Path) -> None:
    own, given = manifest_of(), manifest_of(rules={"mode": "given"})
    for manifest in (own, given):
        add_run(tmp_path, manifest, "a", 7)
    assert leaderboard(own, tmp_path).warnings() == []
    board = leaderboard(given, tmp_path)
    assert board.warnings() == [
        "The sides are those of a table that was given, of which nothing is promised: `t15 audit` says what they share."
    ]
    leaking = replace(board, near_duplicates=2, test_photos=15)
    assert "2 of 15 test photos are near-duplicates of training photos" in as_text([leaking])
    photos = [replace(photo, phash="0" * 15 + str(len(side) % 2)) for side in SPLITS for photo in own.photos(side)]
    copied = build_manifest(own.header, photos, "t15 test")
    add_run(tmp_path, copied, "a", 7)
    assert leaderboard(copied, tmp_path).near_duplicates == len(copied.photos("test"))
    unlike = [replace(photo, dhash="f" * 16 if photo.split == "test" else "0" * 16) for photo in photos]
    assert Truth.of(build_manifest(own.header, unlike, "t15 test")).near_duplicates == 0
    assert leaderboard(own, tmp_path).measure == "accuracy"
    assert replace(board, protocol="place").measure == "found within 25 m"


def test_scores_by_city_and_in_any_order_of_photos_and_classes(tmp_path: Path) -> None:
    manifest = manifest_of()
    straight = predictions_of(manifest, 7)  # bursa gets 3 of 5, the others 2 of 5
    turned = Predictions(straight.photo_ids[::-1], straight.probabilities[::-1, ::-1])
    add_run(tmp_path, manifest, "straight", 7)
    save_run(tmp_path, run_of(manifest, "turned", classes=["nevsehir", "istanbul", "bursa"]), turned)
    one, other = leaderboard(manifest, tmp_path).rows
    assert one.per_city == other.per_city == {"bursa": 0.6, "istanbul": 0.4, "nevsehir": 0.4}
    assert one.accuracy == other.accuracy == pytest.approx(7 / 15)
    assert (one.rank, other.rank) == ("1–2", "1–2")
    assert one.scores["top3"].value == 1.0  # of three cities


def test_seeds_are_averaged_but_add_no_photos(tmp_path: Path) -> None:
    manifest = manifest_of(FIFTEEN, TURKIYE15)
    for seed, right in ((2, 219), (0, 213), (1, 216)):
        add_run(tmp_path, manifest, "net", right, seed=seed, stochastic=True, seconds={"fit": seed, "predict": 1.0})
    add_run(tmp_path, manifest, "one", 216)
    net, one = leaderboard(manifest, tmp_path).rows
    assert net.seeds == (0, 1, 2)
    assert net.accuracy == pytest.approx(0.576)
    assert net.scores.spread == pytest.approx(3 / 375)  # the sample standard deviation of 213, 216 and 219
    assert one.scores.spread is None
    assert (net.low, net.high) == pytest.approx((one.low, one.high))
    assert net.seconds == 2.0
    assert net.scores["macro_f1"].value == pytest.approx(one.scores["macro_f1"].value, abs=0.01)
    assert len(set(net.runs)) == 3


def test_other_parameters_and_other_weights_are_other_rows(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "knn", 9, parameters={"k": 1, "metric": "l2"})
    add_run(tmp_path, manifest, "knn", 8, parameters={"k": 11, "metric": "l2"})
    add_run(tmp_path, manifest, "net", 7, parameters={}, weights_digest="a" * 64)
    add_run(tmp_path, manifest, "net", 6, parameters={}, weights_digest="b" * 64)
    add_run(tmp_path, manifest, "lone", 5)
    variants = [row.variant for row in leaderboard(manifest, tmp_path).rows]
    assert variants == ["k=1", "k=11", "weights digest=aaaaaaaaaaaa", "weights digest=bbbbbbbbbbbb", ""]


def test_smoke_runs_are_ranked_apart(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "full", 5)
    add_run(tmp_path, manifest, "short", 15, tier="smoke")
    board = leaderboard(manifest, tmp_path)
    assert [(row.section, row.rank) for row in board.rows] == [("paper", "1"), ("smoke", "1")]
    assert {section: [row.method for row in rows] for section, rows in board.sections().items()} == {
        "paper": ["full"],
        "smoke": ["short"],
    }


def test_oracles_stand_apart_and_are_not_ranked(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "oracle:labels", 15, selection="oracle")
    assert leaderboard(manifest, tmp_path).best is None  # a board of nothing else
    write_leaderboard([(manifest, None)], tmp_path, tmp_path / "alone")
    add_run(tmp_path, manifest, "oracle:cells", 14, selection="oracle", tier="smoke")
    add_run(tmp_path, manifest, "full", 5)
    add_run(tmp_path, manifest, "short", 6, tier="smoke")
    board = leaderboard(manifest, tmp_path)
    assert [(row.section, row.method, row.rank, row.group) for row in board.rows] == [
        ("paper", "full", "1", "a"),
        ("smoke", "short", "1", "a"),
        ("oracle", "oracle:labels", "–", ""),
        ("oracle", "oracle:cells", "–", ""),
    ]
    assert board.best is not None
    assert board.best.method == "full"
    assert board.best.behind.mean == 0
    assert len([note for note in board.notes() if "to be told apart" in note]) == 2
    write_leaderboard([(manifest, None)], tmp_path, tmp_path / "out")
    texts = {name: (tmp_path / "out" / name).read_text(encoding="utf-8") for name in FILES}
    rows = {row["method"]: row for row in json.loads(texts["leaderboard.json"])["rows"]}
    assert (rows["oracle:labels"]["rank_best"], rows["oracle:labels"]["behind"]) == (None, None)
    assert rows["full"]["rank_best"] == 1
    *_, after = texts["leaderboard.md"].partition("## Oracles: no methods")
    assert "| – | The oracle:labels |" in after
    assert "| – | The oracle:labels |" not in texts["leaderboard.md"].replace(after, "")
    assert "not ranked" in texts["index.html"]
    assert "Oracles: no methods" in as_text([board])


def test_random_weights_and_missing_ones_stand_apart_and_submissions_are_marked(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "probe", 9, weights="pre-trained", weights_digest="a" * 64)
    add_run(tmp_path, manifest, "probe", 15, tier="smoke", weights="random", pretraining="ImageNet")
    add_run(tmp_path, manifest, "theirs", 8, origin="submission", seconds={}, peak_memory_mib=0.0, device="")
    inputs = RunInputs(manifest.digest, "clip", {}, None, 0)
    save_failure(tmp_path, Failure(inputs, "CLIP", "its weights are not there", "weights missing"))
    board = leaderboard(manifest, tmp_path)
    assert [(row.section, row.method, row.rank) for row in board.rows] == [
        ("paper", "probe", "1–2"),
        ("paper", "theirs", "1–2"),
        ("random", "probe", "1"),
    ]
    assert [row.learnt_before for row in board.rows] == ["none", "none", "random, not ImageNet"]
    theirs = board.rows[1]
    assert (theirs.is_submission, theirs.seconds, theirs.peak_memory_mib, theirs.command) == (True, None, None, "")
    assert theirs.scores.get("ece")
    labels = {"answers": "labels", "sha256": "0"}
    add_run(tmp_path, manifest, "labels", 15, origin="submission", parameters=labels, seconds={})
    best = leaderboard(manifest, tmp_path).rows[0]
    assert (best.method, best.scores.get("top3"), best.scores.get("ece")) == ("labels", None, None)
    assert [(of.method, of.kind) for of in board.failed] == [("clip", "weights missing")]


def test_equal_methods_share_their_ranks_and_stand_by_name(tmp_path: Path) -> None:
    manifest = manifest_of()
    for method, right in (("c", 5), ("b", 9), ("a", 9)):
        add_run(tmp_path, manifest, method, right)
    assert [(row.rank, row.method) for row in leaderboard(manifest, tmp_path).rows] == [
        ("1–3", "a"),
        ("1–3", "b"),
        ("1–3", "c"),  # nine photos of fifteen are not told from five
    ]


def test_the_command_is_quoted_for_a_shell(tmp_path: Path) -> None:
    manifest = manifest_of()
    for seed in (0, 1):
        add_run(tmp_path, manifest, "x; rm -rf ~", 5, seed=seed, stochastic=True)
    command = leaderboard(manifest, tmp_path, Path("my data/v1")).rows[0].command
    words = ["t15", "bench", "--manifest", "my data/v1", "--method", "x; rm -rf ~", "--seeds", "0,1", "--tier", "paper"]
    assert shlex.split(command) == words
    assert "manifests/sample/1.0.0 " in leaderboard(manifest, tmp_path).rows[0].command


def test_other_settings_are_said_repeated_and_not_the_papers(tmp_path: Path) -> None:
    manifest = manifest_of(region="turkiye15")
    paper = {"table": "II", "row": "from scratch", "accuracy": 22.4}
    add_run(tmp_path, manifest, "net", 9, paper=paper, engine="fast, 12 side by side", parameters={"epochs": 25})
    add_run(
        tmp_path, manifest, "own", 8, paper=paper, engine="reference", parameters={"epochs": 5}, changed={"epochs": 5}
    )
    usual, own = leaderboard(manifest, tmp_path).rows
    assert usual.paper_accuracy == pytest.approx(0.224)
    assert own.paper_accuracy is None
    assert [(row.variant, row.engine) for row in (usual, own)] == [
        ("", "fast, 12 side by side"),
        ("epochs=5", "reference"),
    ]
    assert usual.command.endswith("--tier paper")
    assert usual.command.endswith("--tier paper")
    assert own.command.endswith("--tier paper --set epochs=5 --engine reference")


@pytest.mark.parametrize(
    ("accuracy", "paper", "verdict"),
    [
        (0.576, 0.576, "agrees"),
        (0.52, 0.576, "agrees"),  # 195 and 216 of 375 may well differ by chance
        (0.50, 0.576, "lower"),
        (0.65, 0.576, "higher"),
        (0.576, None, ""),
    ],
)
def test_the_words_for_the_papers_number(accuracy: float, paper: float | None, verdict: str) -> None:
    assert paper_verdict(accuracy, 375, paper) == verdict


def test_the_papers_numbers_stand_beside_its_own_task_alone(tmp_path: Path) -> None:
    paper = {"table": "II", "row": "layers frozen: C", "accuracy": 57.6}
    for region, accuracy in (("turkiye15", 0.576), ("elsewhere", None)):
        manifest = manifest_of(region=region)
        add_run(tmp_path, manifest, "net", 5, paper=paper)
        (row,) = leaderboard(manifest, tmp_path).rows
        assert row.paper_accuracy == (accuracy and pytest.approx(accuracy))
        assert bool(row.paper_verdict) == (accuracy is not None)


def test_failed_runs_stand_apart(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "good", 5)
    add_failure(tmp_path, manifest, "bad", "MemoryError:\n  none \x1b[31mleft", seed=3)
    board = leaderboard(manifest, tmp_path)
    assert [row.method for row in board.rows] == ["good"]
    assert [(of.method, of.title, of.seed) for of in board.failed] == [("bad", "The bad", 3)]
    assert board.failed[0].reason == "MemoryError: none \\x1b[31mleft"


def test_runs_on_other_manifests_are_passed_over(tmp_path: Path) -> None:
    manifest, other = manifest_of(), manifest_of(quotas={"train": 1, "val": 1, "test": 2})
    add_run(tmp_path, other, "elsewhere", 3)
    add_failure(tmp_path, other, "elsewhere-too", "no")
    add_run(tmp_path, manifest, "here", 3)
    board = leaderboard(manifest, tmp_path)
    assert [row.method for row in board.rows] == ["here"]
    assert board.failed == ()


def _without_last(ids: list[str]) -> list[str]:
    return ids[:-1]


def _last_two_foreign(ids: list[str]) -> list[str]:
    return [*ids[:-2], "test:foreign-1", "test:foreign-2"]


def _last_is_first(ids: list[str]) -> list[str]:
    return [*ids[:-1], ids[0]]


def _one_more(ids: list[str]) -> list[str]:
    return [*ids, ids[0]]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (_without_last, "1 missing, 0 foreign, 0 repeated"),
        (_last_two_foreign, "2 missing, 2 foreign, 0 repeated"),
        (_last_is_first, "1 missing, 0 foreign, 1 repeated"),
        (_one_more, "0 missing, 0 foreign, 1 repeated"),
    ],
)
def test_the_photos_must_be_exactly_the_test_photos(
    tmp_path: Path, change: Callable[[list[str]], list[str]], counts: str
) -> None:
    manifest = manifest_of()
    ids = change(predictions_of(manifest, 5).photo_ids)
    odd = Predictions(ids, np.full((len(ids), 3), 1 / 3, np.float32))
    folder = save_run(tmp_path, run_of(manifest, "odd"), odd)
    with pytest.raises(DataError, match=f"{folder}: .*15 test photos: {counts}"):
        leaderboard(manifest, tmp_path)


def test_a_run_must_know_every_city(tmp_path: Path) -> None:
    manifest = manifest_of()
    folder = add_run(tmp_path, manifest, "blind", 5, classes=["bursa", "istanbul", "ankara"])
    with pytest.raises(DataError, match=f"{folder}: predicts nothing for nevsehir"):
        leaderboard(manifest, tmp_path)


def test_a_run_must_not_know_other_cities(tmp_path: Path) -> None:
    manifest = manifest_of()
    four = ["ankara", *CITIES]
    even = np.full((15, 4), 0.25, np.float32)
    run = run_of(manifest, "wide", classes=four)
    folder = save_run(tmp_path, run, Predictions(predictions_of(manifest, 5).photo_ids, even))
    with pytest.raises(DataError, match=f"{folder}: predicts ankara, which is no city of the manifest"):
        leaderboard(manifest, tmp_path)


def test_a_copied_run_is_no_further_seed(tmp_path: Path) -> None:
    manifest = manifest_of()
    folder = add_run(tmp_path, manifest, "knn", 5)
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(DataError, match="more than once"):
        leaderboard(manifest, tmp_path)


def test_a_tier_must_be_known(tmp_path: Path) -> None:
    manifest = manifest_of()
    save_run(tmp_path, replace(run_of(manifest, "knn"), tier="dream"), predictions_of(manifest, 5))
    with pytest.raises(DataError, match="has tier 'dream', known are paper, smoke"):
        leaderboard(manifest, tmp_path)


def test_a_manifest_without_test_photos_judges_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sample 1\.0\.0: has no test photos"):
        leaderboard(manifest_of(quotas={"train": 2, "val": 1}), tmp_path)


def test_four_files_are_written_and_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path / "a", manifest, "knn", 5)
    add_run(tmp_path / "a", manifest, "net", 6)
    add_failure(tmp_path / "a", manifest, "bad", "no")
    add_failure(tmp_path / "b", manifest, "bad", "no")
    add_run(tmp_path / "b", manifest, "net", 6)
    add_run(tmp_path / "b", manifest, "knn", 5)
    for name in ("a", "b"):
        (board,) = write_leaderboard([(manifest, None)], tmp_path / name, tmp_path / "out" / name)
        assert len(board.rows) == 2
    for name in FILES:
        assert (tmp_path / "out/a" / name).read_bytes() == (tmp_path / "out/b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "out/a").iterdir()) == sorted(FILES)
    data = json.loads((tmp_path / "out/a/leaderboard.json").read_text(encoding="utf-8"))
    assert data["digest"] == manifest.digest


@pytest.mark.parametrize("runs", ["runs", "missing"])
def test_no_run_says_how_to_make_some(tmp_path: Path, runs: str) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(UsageError, match=r"`t15 bench --manifest manifests/sample/1\.0\.0 --all` makes some"):
        write_leaderboard([(manifest_of(), None)], tmp_path / runs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_failures_alone_are_shown(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_failure(tmp_path / "runs", manifest, "bad", "no")
    (board,) = write_leaderboard([(manifest, None)], tmp_path / "runs", tmp_path / "out")
    assert (board.rows, board.best, board.details) == ((), None, None)
    assert "The bad" in (tmp_path / "out/index.html").read_text(encoding="utf-8")


def test_runs_at_another_level_are_on_another_board(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "here", 5)
    other = run_of(manifest, "there", classes=["kadikoy"])
    finer = replace(other, inputs=replace(other.inputs, version="1", level="district"))
    save_run(tmp_path, finer, Predictions(["x"], np.ones((1, 1), np.float32)))
    assert [row.method for row in leaderboard(manifest, tmp_path).rows] == ["here"]
