"""One board of all folds: each photo's one test prediction, and groups that count as what they are worth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.leaderboard.attributes import AttributeRow
from benchmark.leaderboard.cross_view import MapRow
from benchmark.leaderboard.exports import as_json
from benchmark.leaderboard.pooled import are_folds, over_folds, pooled_board
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown, as_text
from benchmark.scoring.attributes import AttributeScore
from benchmark.scoring.metrics import median_interval, wilson, worth
from benchmark.scoring.significance import bootstrap, sign_flip_test
from collector import front_door
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest, build_manifest, write_manifest
from tests.benchmark.leaderboard import add_run, manifest_of

FOLDS = 3


def t15(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = front_door.run(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def folds(group: int = 1) -> list[Manifest]:
    """Return three folds of 45 photos of three cities; `group` of a city's neighbours in the test side are of one group."""
    base = manifest_of(quotas={"train": 5, "val": 5, "test": 5})
    everyone = sorted(
        (photo for side in ("train", "val", "test") for photo in base.photos(side)), key=lambda p: p.photo_id
    )
    sides = ("test", "val", "train")
    made = []
    for fold in range(FOLDS):
        photos = []
        for photo in everyone:
            own = sides.index(str(photo.split))
            number = int(photo.photo_id.rsplit("-", 1)[1])
            name = f"{photo.city}-{own}-{number // group}" if group > 1 else None
            photos.append(replace(photo, split=sides[(own - fold) % FOLDS], group_id=name))
        header = replace(
            base.header, name=f"sample-fold-{fold + 1}-of-3", rules={"mode": "kfold", "folds": 3, "fold": fold + 1}
        )
        made.append(build_manifest(header, photos, "tests"))
    return made


def test_each_photo_is_judged_once(tmp_path: Path) -> None:
    """Of 15 photos a fold has 9, 12 and 6 right: 27 of 45."""
    made = folds()
    assert are_folds(made)
    for manifest, right in zip(made, (9, 12, 6), strict=True):
        add_run(tmp_path, manifest, "better", right)
        add_run(tmp_path, manifest, "worse", right - 3)
    board = pooled_board(made, tmp_path)
    better, worse = board.rows
    assert (better.method, board.test_photos, board.name) == ("better", 45, "sample")
    assert better.accuracy == pytest.approx(27 / 45)
    assert (better.low, better.high) == pytest.approx(wilson(27, 45))
    assert worse.behind.mean == pytest.approx(-9 / 45)
    assert worse.rank == "2"  # 9 to 0 of 45, p = 0.004; no fold alone tells them apart
    assert [row.rank for row in leaderboard(made[0], tmp_path).rows] == ["1–2", "1–2"]
    assert len(better.runs) == FOLDS
    assert "'sample-fold-*-of-3'" in better.command
    assert board.pooled is not None
    assert (board.pooled.groups, board.pooled.largest) == (45, 1)
    assert [city.test for city in board.cities] == [15, 15, 15]
    assert board.details is not None
    assert sum(map(sum, board.details.confusion)) == 45
    text = as_text([board])
    assert "Pooled over 3 folds: each of the 45 photos was tested once" in text


def test_groups_count_as_what_they_are_worth(tmp_path: Path) -> None:
    """All photos of a city's fold are of one group, and are right or wrong together: nine witnesses, not 45."""
    made = folds(group=5)
    for manifest in made:
        add_run(tmp_path, manifest, "a", 15)
        add_run(tmp_path, manifest, "b", 12)
    board = pooled_board(made, tmp_path)
    assert board.pooled is not None
    assert (board.pooled.groups, board.pooled.largest) == (9, 5)
    best, other = board.rows
    assert (best.low, best.high) == pytest.approx(wilson(9, 9))
    assert best.low < wilson(45, 45)[0]
    assert {(of.low, of.high) for of in best.cities.values()} == {
        wilson(3, 3)
    }  # of each city three groups, in page and figure
    assert "Intervals are Wilson's at 95 %, for 45 photos in 9 groups" in as_markdown([board])
    assert board.parts_words == "Wilson 95 % intervals, by what groups of photos are worth"
    facts = as_json([board])
    assert (facts["units"], facts["pooled"]["worth"]["paper"]) == (9, board.worth["paper"])
    assert other.rank == "1–2" or other.behind.high < 0


def test_worth_by_hand() -> None:
    """Two groups of two that agree within: the variance is that of two photos; groups that disagree cost nothing."""
    assert worth(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1])) == pytest.approx(4 / 3)  # (2/1 · 2) / (4/3 · 1) = 3
    assert worth(np.array([1, 0, 1, 0]), np.array([0, 0, 1, 1])) == 4
    assert worth(np.array([1, 0, 1, 0]), None) == 4
    assert worth(np.array([1, 1, 1, 1]), np.array([0, 0, 1, 1])) == 2
    random = np.random.default_rng(0)
    alone = random.integers(0, 2, 4000)
    assert worth(alone, np.arange(4000)) == pytest.approx(4000, rel=0.001)
    assert worth(np.repeat(alone, 5), np.repeat(np.arange(4000), 5)) == pytest.approx(4000, rel=0.001)


def test_a_group_has_one_sign() -> None:
    """Copies of each photo are one coin: the p-value is that of the photos without their copies."""
    random = np.random.default_rng(1)
    a, b = random.random((2, 40)) < 0.6, random.random((2, 40)) < 0.4
    groups = np.repeat(np.arange(40), 3)
    copied = sign_flip_test(np.repeat(a, 3, axis=1), np.repeat(b, 3, axis=1), groups)
    assert copied == pytest.approx(sign_flip_test(a, b))
    assert sign_flip_test(np.repeat(a, 3, axis=1), np.repeat(b, 3, axis=1)) < copied
    whole = bootstrap(np.repeat(a[:1], 3, axis=1), np.repeat(b[:1], 3, axis=1), units=groups)
    single = bootstrap(a[:1], b[:1])
    assert (whole.low, whole.high) == pytest.approx((single.low, single.high))


def test_groups_of_other_sizes_against_all_signs() -> None:
    """Brute force over all signs of four groups."""
    a = np.array([[1, 1, 1, 1, 0, 1, 1, 0]], bool)
    b = np.array([[0, 0, 1, 0, 1, 0, 0, 0]], bool)
    groups = np.array([0, 0, 0, 1, 1, 2, 3, 3])
    sums = np.array([(a[0].astype(int) - b[0])[groups == g].sum() for g in range(4)])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 4)).reshape(4, -1)
    wanted = np.mean(np.abs(sums @ signs) >= abs(sums.sum()))
    assert sign_flip_test(a, b, groups) == pytest.approx(wanted)


def test_a_median_draws_whole_groups() -> None:
    km = np.random.default_rng(2).exponential(50, (1, 60))
    alone, copied = median_interval(km), median_interval(np.repeat(km, 4, axis=1), groups=np.repeat(np.arange(60), 4))
    assert copied == pytest.approx(alone, rel=0.05)
    narrow = median_interval(np.repeat(km, 4, axis=1))
    assert narrow[1] - narrow[0] < 0.8 * (copied[1] - copied[0])


def test_a_method_that_lacks_a_fold_has_no_row(tmp_path: Path) -> None:
    made = folds()
    for manifest in made:
        add_run(tmp_path, manifest, "whole", 9, seed=1)
    add_run(tmp_path, made[1], "part", 9)
    for seed, manifest in enumerate(made):
        add_run(tmp_path, manifest, "seeds", 9, seed=seed)
    board = pooled_board(made, tmp_path)
    assert [(row.method, row.seeds) for row in board.rows] == [("whole", (1,))]
    assert {of.method: of.reason.partition(";")[0] for of in board.failed} == {
        "part": "not run on fold 1, 3",
        "seeds": "no seed that every fold has",
    }


def test_what_is_no_set_of_folds_is_refused(tmp_path: Path) -> None:
    made = folds()
    for some in (made[:2], [*made, made[0]], [manifest_of()]):
        with pytest.raises(UsageError, match="not the whole of one"):
            pooled_board(some, tmp_path)
    twice = replace(made[1].header, rules={"mode": "kfold", "folds": 3, "fold": 1})
    again = [build_manifest(twice, made[1].photos("test"), "t"), *made[1:]]
    with pytest.raises(DataError, match="tested twice"):
        pooled_board(again, tmp_path)


def test_the_command_pools_folds_by_name_and_by_pattern(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, workspace = folds(), tmp_path / "workspace"
    workspace.mkdir()
    for manifest in made:
        write_manifest(manifest, tmp_path / "manifests" / manifest.header.name / "1.0.0")
        add_run(workspace / "runs", manifest, "m", 9)
    for name in ("sample", "sample-fold-*", str(tmp_path / "manifests" / "sample-fold-*" / "1.0.0")):
        options = ["--manifest", name, "--manifests", str(tmp_path / "manifests"), "--workspace", str(workspace)]
        code, out, _ = t15(capsys, "leaderboard", *options)
        assert (code, "Pooled over 3 folds" in out) == (0, True)
    code, _, err = t15(capsys, "leaderboard", *options, "--manifest", "sample-fold-1-of-3")
    assert (code, "name them alone" in err) == (2, True)
    code, _, err = t15(capsys, "leaderboard", "--manifest", "other-*", *options[2:])
    assert (code, "matches no manifest" in err) == (2, True)
    code, _, err = t15(capsys, "leaderboard", "--manifest", "sample-fold-[12]*", *options[2:])
    assert (code, "not the whole of one" in err) == (2, True)


def test_what_is_said_of_attributes_and_maps_is_the_mean_over_the_folds() -> None:
    def attribute(photos: int, auc: float | None, question: str = "elevation, tails") -> AttributeRow:
        score = AttributeScore(question, 2, photos, 0.5, auc, 0.5, 0.5, None)
        return AttributeRow("lee2015:gist", "GIST", "paper", score)

    def on_map(photos: int, top: float, rank: float) -> MapRow:
        return MapRow("lin2013:gist", "GIST", "paper", 100, photos, None, top, 0.01, rank)

    folds = [[attribute(30, 0.9), attribute(5, 0.5, "rain, tails")], [attribute(10, 0.5)], [attribute(7, None)]]
    (mean,) = over_folds(folds, AttributeRow.over_folds)
    assert mean.score.photos == 47
    assert mean.score.auc == pytest.approx(0.8)
    assert mean.score.city_auc is None
    (of_map,) = over_folds([[on_map(30, 0.2, 0.1)], [on_map(10, 0.6, 0.3)]], MapRow.over_folds)
    assert of_map.photos == 40
    assert of_map.top_percent == pytest.approx(0.3)
    assert of_map.rank == pytest.approx(0.15)
