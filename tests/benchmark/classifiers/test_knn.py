"""k nearest neighbours against scikit-learn, a slow oracle in float64, and ties worked out by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from benchmark.classifiers import knn
from benchmark.classifiers.knn import WEIGHTS, NearestNeighbours, fit_knn
from collector.errors import DataError

Floats = NDArray[np.float32]


def on_a_line(train: list[tuple[float, int]], k: int, classes: int, weights: str = "uniform") -> NearestNeighbours:
    """Fit on (position, label) pairs, the positions on a line."""
    positions = np.array([[position] for position, _ in train], dtype=np.float32)
    return fit_knn(positions, np.array([label for _, label in train]), classes, k, weights)


def at_zero(model: NearestNeighbours) -> Floats:
    shares: Floats = model.predict_proba(np.zeros((1, 1), dtype=np.float32))[0]
    return shares


@pytest.mark.parametrize("k", [1, 3, 11, 60])
def test_shares_are_those_of_scikit_learn(k: int) -> None:
    random = np.random.default_rng(k)
    vectors = random.random((60, 12), dtype=np.float32)
    labels = random.integers(0, 4, 60)
    queries = random.random((25, 12), dtype=np.float32)
    theirs = KNeighborsClassifier(k, algorithm="brute").fit(vectors, labels).predict_proba(queries)
    ours = fit_knn(vectors, labels, 4, k).predict_proba(queries)
    assert ours.dtype == np.float32
    assert ours == pytest.approx(theirs, abs=2e-3 / k)  # ties are broken by less than a thousandth of a vote


@pytest.mark.parametrize("k", [1, 3, 11, 60])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_weighted_shares_are_those_of_scikit_learn(k: int, scale: float) -> None:
    random = np.random.default_rng(k)
    vectors = (random.random((60, 12)) * scale).astype(np.float32)
    labels = random.integers(0, 4, 60)
    queries = np.concatenate([(random.random((25, 12)) * scale).astype(np.float32), vectors[:5]])
    reference = KNeighborsClassifier(k, weights="distance", algorithm="kd_tree")
    theirs = reference.fit(vectors.astype(np.float64), labels).predict_proba(queries.astype(np.float64))
    ours = fit_knn(vectors, labels, 4, k, "distance").predict_proba(queries)
    assert ours.dtype == np.float32
    assert ours == pytest.approx(theirs, abs=4e-3)  # a thousandth for each class at most
    assert ours.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-6)


def test_weights_are_the_inverse_of_the_distance() -> None:
    model = on_a_line([(1, 0), (-2, 1), (4, 1), (100, 2)], k=3, classes=3, weights="distance")
    assert at_zero(model) == pytest.approx([1 / 1.75, 0.75 / 1.75, 0], abs=1e-3)
    farther = on_a_line([(-2, 1), (4, 0), (-5, 0)], k=3, classes=2, weights="distance")
    assert at_zero(farther).argmax() == 1  # one at 2 outweighs two at 4 and 5
    assert at_zero(on_a_line([(-2, 1), (4, 0), (-5, 0)], k=3, classes=2)).argmax() == 0


def test_a_neighbour_at_distance_0_outvotes_all_others() -> None:
    train = [(0.0, 3), *((1e-3 * (i + 1), i % 3) for i in range(70))]
    assert at_zero(on_a_line(train, 71, 4, "distance")) == pytest.approx([0, 0, 0, 1], abs=4e-3)


def test_neighbours_at_distance_0_vote_among_themselves() -> None:
    shares = at_zero(on_a_line([(0, 1), (0, 2), (0, 2), (1e-3, 0), (2e-3, 0), (3e-3, 0)], 6, 3, "distance"))
    assert shares == pytest.approx([0, 1 / 3, 2 / 3], abs=1e-3)


@pytest.mark.parametrize(("count", "dimensions"), [(9, 324), (31, 324), (150, 324), (31, 2916), (31, 12288)])
@pytest.mark.parametrize("queries", [1, 4])
def test_exact_copies_of_a_photo_vote_alike(count: int, dimensions: int, queries: int) -> None:
    """However the products of many values are rounded: distance 0 is 0, and of equal ones the earlier comes first."""
    random = np.random.default_rng(0)
    vectors = random.random((count, dimensions), dtype=np.float32)
    copies = sorted(random.choice(count, 5, replace=False))
    vectors[copies] = vectors[copies[0]]
    labels = np.zeros(count, dtype=np.int64)
    labels[copies] = [1, 2, 2, 3, 3]
    asked = np.concatenate([vectors[copies[:1]], random.random((queries - 1, dimensions), dtype=np.float32)])
    shares = fit_knn(vectors, labels, 4, 9, "distance").predict_proba(asked)[0]
    assert shares == pytest.approx([0, 1 / 5, 2 / 5, 2 / 5], abs=1e-3)
    assert shares.argmax() == 2  # its nearest member comes before that of 3
    assert fit_knn(vectors, labels, 4, 1).predict_proba(asked)[0].argmax() == 1


@pytest.mark.parametrize("weights", WEIGHTS)
def test_rows_sum_to_1(weights: str) -> None:
    random = np.random.default_rng(1)
    model = fit_knn(random.random((40, 5), dtype=np.float32), random.integers(0, 15, 40), 15, 11, weights)
    shares = model.predict_proba(random.random((30, 5), dtype=np.float32))
    assert shares.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-6)
    assert (shares >= 0).all()


def test_more_queries_than_fit_in_a_block_are_answered_one_by_one() -> None:
    random = np.random.default_rng(2)
    # Whole numbers, whose products are exact: a matrix of one query may be multiplied in another order than one of many.
    vectors, labels = random.integers(0, 99, (30, 6)).astype(np.float32), random.integers(0, 3, 30)
    queries = random.integers(0, 99, (1030, 6)).astype(np.float32)
    model = fit_knn(vectors, labels, 3, 5)
    alone = np.concatenate([model.predict_proba(queries[i : i + 1]) for i in (0, 511, 512, 1023, 1024, 1029)])
    assert np.array_equal(model.predict_proba(queries)[[0, 511, 512, 1023, 1024, 1029]], alone)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("block_bytes", [1, 100, 1000, 5000])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, block_bytes: int, weights: str) -> None:
    random = np.random.default_rng(5)
    vectors, labels = random.random((30, 6), dtype=np.float32), random.integers(0, 3, 30)
    queries = random.random((23, 6), dtype=np.float32)
    model = fit_knn(vectors, labels, 3, 7, weights)
    whole = model.predict_proba(queries)
    monkeypatch.setattr(knn, "BLOCK_BYTES", block_bytes)
    assert model.predict_proba(queries) == pytest.approx(whole, abs=1e-6)


def test_vectors_may_be_read_only() -> None:
    vectors = np.random.default_rng(6).random((9, 4), dtype=np.float32)
    vectors.setflags(write=False)  # as those are that are mapped from the cache
    warned = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        assert fit_knn(vectors, np.arange(9) % 3, 3, 1).predict_proba(vectors).argmax(axis=1).tolist() == [0, 1, 2] * 3
    finally:
        torch.set_warn_always(warned)


def test_no_queries_have_no_answers() -> None:
    model = on_a_line([(1, 0), (2, 1)], k=1, classes=2)
    assert model.predict_proba(np.zeros((0, 1), dtype=np.float32)).shape == (0, 2)


@pytest.mark.parametrize(
    ("train", "k", "winner"),
    [
        ([(1, 2), (2, 0), (3, 1)], 3, 2),  # one vote each
        ([(1, 1), (2, 0), (3, 0), (4, 1)], 4, 1),  # two each
        ([(1, 2), (2, 1), (3, 0), (4, 0), (5, 1)], 5, 1),  # the nearest of all has one vote, the tied two have two
        ([(1, 1), (2, 0), (3, 0)], 3, 0),  # nearness does not overturn a vote
    ],
)
def test_among_equals_the_class_with_the_nearest_member_wins(
    train: list[tuple[float, int]], k: int, winner: int
) -> None:
    shares = at_zero(on_a_line(train, k, 3))
    assert shares.argmax() == winner
    assert (np.sort(shares)[::-1][0] - np.sort(shares)[::-1][1]) > 0


def test_a_tie_is_broken_by_less_than_a_thousandth_of_a_vote() -> None:
    shares = at_zero(on_a_line([(1, 1), (2, 0)], k=2, classes=2))
    assert 0 < shares[1] - shares[0] < 1e-3 / 2 + 1e-6


def test_nearness_decides_weighted_votes_only_where_they_are_equal() -> None:
    # The two at 1.9996 have 1.0002 votes together, the nearest one has 1.
    assert at_zero(on_a_line([(1, 0), (1.9996, 1), (-1.9996, 1)], k=3, classes=2, weights="distance")).argmax() == 1
    assert at_zero(on_a_line([(1, 0), (2.0004, 1), (-2.0004, 1)], k=3, classes=2, weights="distance")).argmax() == 0
    assert at_zero(on_a_line([(1, 1), (2, 0), (-2, 0)], k=3, classes=2, weights="distance")).argmax() == 1


@pytest.mark.parametrize("k", [31, 71])
def test_ties_far_from_the_query_are_broken_too(k: int) -> None:
    # 15 classes; the classes 0 and 1 tie for the most votes, all of them behind those of the other 13.
    most = 10 if k == 71 else 4
    others = [2 + i % 13 for i in range(k - 2 * most)]
    behind = [1, 0] * most
    shares = at_zero(on_a_line([(1.0 + i, label) for i, label in enumerate(others + behind)], k, 15))
    assert shares.argmax() == 1


def test_k_may_be_all_photos_and_not_more() -> None:
    train = [(1.0, 0), (2.0, 0), (3.0, 1)]
    assert at_zero(on_a_line(train, 3, 2)) == pytest.approx([2 / 3, 1 / 3], abs=1e-3)
    with pytest.raises(DataError, match=r"k = 4.* 3 training photos"):
        on_a_line(train, 4, 2)


def test_the_nearest_come_in_order_and_serve_every_smaller_k() -> None:
    random = np.random.default_rng(9)
    vectors, labels = random.random((30, 6), dtype=np.float32), random.integers(0, 3, 30)
    queries = random.random((8, 6), dtype=np.float32)
    squares, nearest = fit_knn(vectors, labels, 3, 20).nearest(queries)
    exact = ((queries[:, None].astype(np.float64) - vectors[None]) ** 2).sum(axis=2)
    assert np.array_equal(nearest, np.argsort(exact, axis=1)[:, :20])
    assert squares == pytest.approx(np.sort(exact, axis=1)[:, :20])
    for k in (1, 7, 20):
        for weights in WEIGHTS:
            model = fit_knn(vectors, labels, 3, k, weights)
            assert np.array_equal(model.vote(squares, nearest), model.predict_proba(queries))


def test_a_class_without_photos_gets_nothing() -> None:
    assert at_zero(on_a_line([(1, 0), (2, 3)], k=2, classes=5))[[1, 2, 4]].tolist() == [0, 0, 0]


def test_a_photo_is_its_own_nearest_neighbour() -> None:
    random = np.random.default_rng(3)
    vectors = random.integers(0, 256, (300, 3 * 64 * 64)).astype(np.float32) / np.float32(255)
    shares = fit_knn(vectors, np.arange(300), 300, 1).predict_proba(vectors)
    assert (shares.argmax(axis=1) == np.arange(300)).all()


@pytest.mark.parametrize("level", [0, 128, 250])
@pytest.mark.parametrize("changed", [1, 3])
def test_a_photo_is_its_own_nearest_neighbour_among_near_copies(level: int, changed: int) -> None:
    """Copies that differ by one grey level in few of 12288 values, as re-encoded photos do."""
    random = np.random.default_rng(level + changed)
    base = (level + random.integers(0, 5, 3 * 64 * 64)).astype(np.float32)
    pixels = np.tile(base, (40, 1))
    for copy in range(40):
        pixels[copy, copy * changed : (copy + 1) * changed] += 1
    vectors = (pixels / 255).astype(np.float32)
    shares = fit_knn(vectors, np.arange(40), 40, 1).predict_proba(vectors)
    assert (shares.argmax(axis=1) == np.arange(40)).all()


def test_the_answer_does_not_depend_on_the_other_queries() -> None:
    random = np.random.default_rng(4)
    # Photos of one scene: far from zero, near each other, and no two equally far from a third.
    scene = 0.5 + random.random(3 * 64 * 64) / 2
    vectors = (scene + random.normal(0, 0.01, (200, 3 * 64 * 64))).astype(np.float32)
    model = fit_knn(vectors[:150], np.arange(150) % 15, 15, 11)
    together = model.predict_proba(vectors[150:])
    alone = np.concatenate([model.predict_proba(vectors[i : i + 1]) for i in range(150, 200)])
    assert np.array_equal(together, alone)


def oracle(vectors: Floats, labels: NDArray[Any], classes: int, k: int, query: Floats) -> list[int]:
    """Return the classes that may win: most votes; of equals the one with the nearest member; exact distances."""
    distances = [sum((int(a) - int(b)) ** 2 for a, b in zip(v, query, strict=True)) for v in vectors]
    order = sorted(range(len(vectors)), key=lambda i: (distances[i], i))[:k]
    votes = [sum(labels[i] == c for i in order) for c in range(classes)]
    best = [c for c in range(classes) if votes[c] == max(votes)]
    return [min(best, key=lambda c: next(rank for rank, i in enumerate(order) if labels[i] == c))]


@st.composite
def problems(draw: st.DrawFn) -> tuple[Floats, NDArray[np.int64], int, int, Floats]:
    count = draw(st.integers(1, 14))
    dimensions = draw(st.integers(1, 3))
    row = st.lists(st.integers(-8, 8), min_size=dimensions, max_size=dimensions)
    vectors = draw(st.lists(row, min_size=count, max_size=count))
    classes = draw(st.integers(1, 5))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    return (
        np.array(vectors, dtype=np.float32),
        np.array(labels, dtype=np.int64),
        classes,
        draw(st.integers(1, count)),
        np.array([draw(row)], dtype=np.float32),
    )


@given(problems())
@settings(max_examples=300, deadline=None)
def test_the_winner_is_the_oracles(problem: tuple[Floats, NDArray[np.int64], int, int, Floats]) -> None:
    vectors, labels, classes, k, query = problem
    shares = fit_knn(vectors, labels, classes, k).predict_proba(query)
    assert shares.shape == (1, classes)
    assert shares.sum() == pytest.approx(1, abs=1e-6)
    assert shares[0].argmax() in oracle(vectors, labels, classes, k, query[0])


@pytest.mark.parametrize("weights", WEIGHTS)
def test_among_near_copies_the_order_is_right(weights: str) -> None:
    """Distances between near-copies are far below float32's resolution of the squares of 12288 values."""
    random = np.random.default_rng(7)
    base = random.integers(100, 150, 3 * 64 * 64).astype(np.float64)
    steps = np.arange(1, 31)
    pixels = np.tile(base, (30, 1))
    for row, step in enumerate(random.permutation(steps)):
        pixels[row, :step] += 1  # so many values differ by one grey level: squared distance step / 255²
    vectors, query = (pixels / 255).astype(np.float32), (base / 255).astype(np.float32)[None]
    distances = (pixels - base).sum(axis=1)
    for k in (1, 2, 7):
        shares = fit_knn(vectors, np.arange(30), 30, k, weights).predict_proba(query)[0]
        assert set(np.flatnonzero(shares)) == set(np.argsort(distances)[:k])
        assert shares.argmax() == distances.argmin()
    if weights == "distance":
        expected = np.sort(1 / np.sqrt(distances))[::-1][:7]
        assert np.sort(shares)[::-1][:7] == pytest.approx(expected / expected.sum(), abs=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("weights", WEIGHTS)
def test_cpu_and_gpu_agree(weights: str) -> None:
    random = np.random.default_rng(8)
    vectors, labels = random.random((200, 300), dtype=np.float32), random.integers(0, 5, 200)
    queries = random.random((50, 300), dtype=np.float32)
    on_gpu = fit_knn(vectors, labels, 5, 11, weights, "cuda").predict_proba(queries)
    assert on_gpu == pytest.approx(fit_knn(vectors, labels, 5, 11, weights).predict_proba(queries), abs=1e-4)
