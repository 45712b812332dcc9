"""CSLS against its formula, and what it is for: a hub loses its place among everybody's neighbours."""

import numpy as np
import pytest

from benchmark.retrieval.csls import crowds, scaled_index, scaled_queries
from benchmark.retrieval.index import ENGINES, Index, new_index
from benchmark.retrieval.whitening import normalised


def gallery(engine: str = "exact", authors: bool = False) -> Index:
    random = np.random.default_rng(0)
    vectors = normalised(random.normal(size=(60, 6)) + 0.4)
    return new_index(6, engine).add(vectors, random.integers(0, 20, 60) if authors else None)


@pytest.mark.parametrize("authors", [False, True])
def test_crowds_are_mean_cosines_of_others(authors: bool) -> None:
    index = gallery(authors=authors)
    cosines = index.vectors.astype(np.float64) @ index.vectors.T
    for row in range(len(index)):
        others = [
            cosines[row, other]
            for other in range(len(index))
            if other != row and not (authors and index.authors[other] == index.authors[row])
        ]
        assert crowds(index, 5)[row] == pytest.approx(np.sort(others)[-5:].mean(), abs=1e-6)


@pytest.mark.parametrize("engine", ENGINES[:2])
def test_the_order_is_that_of_the_formula(engine: str) -> None:
    index, queries = gallery(engine), normalised(np.random.default_rng(1).normal(size=(8, 6)))
    scores = 2 * queries.astype(np.float64) @ index.vectors.T - crowds(index, 5)
    rows = scaled_index(index, 5).search(scaled_queries(queries), 10).rows
    assert np.array_equal(rows, np.argsort(-scores, axis=1)[:, :10])


def test_a_hub_is_kept_back() -> None:
    random = np.random.default_rng(0)
    others = random.normal(size=(30, 20)) + 1
    vectors = normalised(np.concatenate([others, others.mean(axis=0, keepdims=True)]))
    index, queries = new_index(20).add(vectors), normalised(random.normal(size=(100, 20)) + 1)
    often, seldom = (
        (of.search(q, 5).rows == 30).any(axis=1).mean()
        for of, q in ((index, queries), (scaled_index(index, 10), scaled_queries(queries)))
    )
    assert seldom < 0.7 * often


def test_of_few_rows_there_is_what_there_is() -> None:
    one = new_index(3).add(np.eye(3, dtype=np.float32)[:1])
    assert crowds(one, 5).tolist() == [0.0]
    assert scaled_index(one, 5).search(scaled_queries(np.eye(3, dtype=np.float32)), 2).rows[:, 0].tolist() == [0, 0, 0]
    assert len(scaled_index(new_index(3), 5)) == 0
