"""k nearest neighbours against scikit-learn, a slow oracle in float64, and ties worked out by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from benchmark.classifiers.knn import NearestNeighbours, fit_knn
from collector.errors import DataError

Floats = NDArray[np.float32]


def on_a_line(train: list[tuple[float, int]], k: int, classes: int) -> NearestNeighbours:
    """Fit on (position, label) pairs, the positions on a line."""
    positions = np.array([[position] for position, _ in train], dtype=np.float32)
    return fit_knn(positions, np.array([label for _, label in train]), classes, k)


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


def test_rows_sum_to_1() -> None:
    random = np.random.default_rng(1)
    model = fit_knn(random.random((40, 5), dtype=np.float32), random.integers(0, 15, 40), 15, 11)
    shares = model.predict_proba(random.random((30, 5), dtype=np.float32))
    assert shares.sum(axis=1) == pytest.approx(np.ones(30), abs=1e-6)
    assert (shares >= 0).all()


def test_more_queries_than_fit_in_a_block_are_answered_one_by_one() -> None:
    random = np.random.default_rng(2)
    vectors, labels = random.random((30, 6), dtype=np.float32), random.integers(0, 3, 30)
    queries = random.random((1030, 6), dtype=np.float32)
    model = fit_knn(vectors, labels, 3, 5)
    alone = np.concatenate([model.predict_proba(queries[i : i + 1]) for i in (0, 511, 512, 1023, 1024, 1029)])
    assert np.array_equal(model.predict_proba(queries)[[0, 511, 512, 1023, 1024, 1029]], alone)


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
