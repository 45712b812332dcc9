"""Votes of nearest features against the definition, in plain loops."""

import faiss
import numpy as np
import pytest

from benchmark.local.keypoints import Features
from benchmark.local.nearest import index_features
from collector.errors import UsageError


def features(seed: int, count: int) -> Features:
    random = np.random.default_rng(seed)
    return Features(random.integers(0, 256, (count, 128), dtype=np.uint8), np.zeros((count, 4), np.float32))


def defined(query: Features, gallery: list[Features], k: int, power: float) -> list[float]:
    photo = np.repeat(np.arange(len(gallery)), [len(one) for one in gallery])
    known = np.concatenate([one.descriptors for one in gallery]).astype(int)
    scores = np.zeros(len(gallery))
    for descriptor in query.descriptors.astype(int):
        squares = ((known - descriptor) ** 2).sum(axis=1)
        order = np.argsort(squares, kind="stable")[: k + 1]
        for row in order[:k]:
            nearer = squares[order[-1]] - squares[row]
            scores[photo[row]] += nearer * (nearer / squares[order[-1]]) ** power
    return scores.tolist()


@pytest.mark.parametrize(("k", "power"), [(1, 0.0), (10, 0.0), (4, 2.0)])
def test_votes_are_those_of_the_definition_where_all_lists_are_looked_through(k: int, power: float) -> None:
    gallery = [features(seed, 60 + seed) for seed in range(5)]
    index = index_features(gallery, k, 1.0, 8, 8, np.random.default_rng(0), power)
    for seed in range(3):
        query = features(100 + seed, 20)
        assert index.scores(query) == pytest.approx(defined(query, gallery, k, power), rel=1e-12, abs=0)


def test_neither_threads_nor_company_change_a_score() -> None:
    gallery = [features(seed, 300) for seed in range(6)]
    before = faiss.omp_get_max_threads()
    found = []
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            index = index_features(gallery, 10, 1.0, 16, 4, np.random.default_rng(0))
            found.append([index.scores(features(50 + seed, 40)).tolist() for seed in range(3)])
    finally:
        faiss.omp_set_num_threads(before)
    assert found[0] == found[1]


def test_photos_without_features_and_small_galleries() -> None:
    nothing = features(0, 0)
    index = index_features([nothing, features(1, 3)], 10, 1.0, 64, 8, np.random.default_rng(0))
    assert index.scores(nothing).tolist() == [0, 0]
    assert index.scores(features(1, 3))[1] > 0
    empty = index_features([nothing], 10, 1.0, 64, 8, np.random.default_rng(0))
    assert empty.scores(features(1, 3)).tolist() == [0]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_half_of_the_features_are_spread_over_all(count: int) -> None:
    index = index_features([features(0, count)], 1, 0.5, 1, 1, np.random.default_rng(0))
    assert index.index.ntotal == (count + 1) // 2


@pytest.mark.parametrize("bad", [(0, 1.0, 8, 8), (1, 0.0, 8, 8), (1, 1.5, 8, 8), (1, 1.0, 8, 9), (1, 1.0, 0, 0)])
def test_bad_parameters(bad: tuple[int, float, int, int]) -> None:
    with pytest.raises(UsageError, match="keep"):
        index_features([features(0, 9)], *bad, np.random.default_rng(0))
