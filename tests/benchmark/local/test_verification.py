"""Pairs: views of one place are verified, strangers are not, whatever the order; pairs are kept."""

import csv
import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from benchmark.local.keypoints import Features, Sift, extract_features
from benchmark.local.verification import PairVerifier, Rules, matches, squared_distances
from benchmark.photos import given_photos
from collector.errors import UsageError
from tests.benchmark.local.scenes import blank, view

pytest.importorskip("cv2")
pytest.importorskip("poselib")
SMALL = Sift(side=128, most=300)
bytes_of = arrays(np.uint8, st.tuples(st.integers(0, 12), st.just(128)), elements=st.integers(0, 255))


@pytest.fixture(scope="module")
def views() -> list[Features]:
    """Two views of each of three places, and a blank photo."""
    return extract_features(given_photos([*(view(p, c) for p in range(3) for c in range(2)), blank()]), SMALL)


@pytest.mark.parametrize("ratio", [0.8, 0.9])
def test_views_of_one_place_are_verified_and_strangers_are_not(views: list[Features], ratio: float) -> None:
    verifier = PairVerifier(SMALL, Rules(ratio))
    for a, b in itertools.combinations(range(6), 2):
        count = verifier.counts(views[a], [views[b]])[0]
        assert (count >= verifier.rules.least) == (a // 2 == b // 2), (a, b, count)
    assert verifier.counts(views[6], views).tolist() == [0] * 7


def test_the_order_of_a_pair_changes_nothing(views: list[Features]) -> None:
    verifier = PairVerifier(SMALL, Rules(0.9))
    for a, b in itertools.product(range(4), repeat=2):
        there, back = verifier.inliers([(views[a], views[b]), (views[b], views[a])])
        assert np.array_equal(there, back[:, ::-1])


def test_inliers_lie_where_the_cameras_move_says(views: list[Features]) -> None:
    inliers = PairVerifier(SMALL).inliers([(views[0], views[1])])[0]
    moves = views[1].points[inliers[:, 1], :2] - views[0].points[inliers[:, 0], :2]
    assert np.percentile(np.linalg.norm(moves - np.median(moves, axis=0), axis=1), 90) < 15


def test_pairs_are_kept_by_both_digests(views: list[Features], tmp_path: Path) -> None:
    passing = [*views]
    views = [replace(one, photo=hashlib.sha256(bytes([row])).hexdigest()) for row, one in enumerate(views)]
    verifier, plain = PairVerifier(SMALL, cache=tmp_path), PairVerifier(SMALL)
    pairs = [(a, b) for a in views for b in views]
    for _ in range(2):
        for got, expected in zip(verifier.inliers(pairs), plain.inliers(pairs), strict=True):
            assert np.array_equal(got, expected)
    assert len(list(tmp_path.iterdir())) == 1
    PairVerifier(SMALL, Rules(0.9), tmp_path).inliers(pairs)
    assert len(list(tmp_path.iterdir())) == 2
    assert verifier.inliers([]) == []
    kept = {path: path.stat().st_size for path in tmp_path.rglob("*")}
    assert len(verifier.inliers([(passing[0], views[1])])[0])
    assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == kept  # nothing of a photo in no workspace


@given(bytes_of, bytes_of, st.sampled_from([0.5, 0.8, 0.95]))
def test_matches_are_those_of_the_definition(first: np.ndarray, second: np.ndarray, ratio: float) -> None:
    squares = ((first[:, None].astype(int) - second[None].astype(int)) ** 2).sum(axis=2)
    assert np.array_equal(squares, squared_distances(first, second))
    expected = []
    for row in range(len(first) if len(second) > 1 else 0):
        nearest = int(squares[row].argmin())
        rest = np.delete(squares[row], nearest).min()
        if squares[:, nearest].argmin() == row and squares[row, nearest] < ratio**2 * rest:
            expected.append((row, nearest))
    assert [tuple(pair) for pair in matches(first, second, ratio)] == expected


def test_the_threshold_follows_the_ratio() -> None:
    assert [Rules(ratio).least for ratio in (0.7, 0.8, 0.85, 0.9)] == [15, 15, 18, 20]


@pytest.mark.parametrize("bad", [{"ratio": 0.0}, {"ratio": 1.0}, {"pixels": 0.0}, {"trials": 0}])
def test_bad_parameters(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Rules(**bad)  # type: ignore[arg-type]


@pytest.mark.slow
def test_landmarks_told_apart(real_data: Path) -> None:
    """Tourists' photos of four sights: no stranger is verified; how many of one sight are is measured, not asked for."""
    folder = real_data / "new" / "landmark_pairs"
    with (folder / "pairs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row[side] for row in rows for side in ("a", "b")})
    photos = given_photos([Image.open(folder / name).convert("RGB") for name in names])
    of = dict(zip(names, extract_features(photos, Sift()), strict=True))
    verifier = PairVerifier(Sift())
    inliers = verifier.inliers((of[row["a"]], of[row["b"]]) for row in rows)
    wrong = [row for row, found in zip(rows, inliers, strict=True) if row["same_place"] == "0" and len(found)]
    right = sum(len(found) > 0 for row, found in zip(rows, inliers, strict=True) if row["same_place"] == "1")
    assert not wrong
    assert right >= 5
