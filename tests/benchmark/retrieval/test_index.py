"""The nearest rows of a gallery, against sorting all distances."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.retrieval.index import ENGINES, Index, new_index
from collector.errors import DataError, UsageError

every_engine = pytest.mark.parametrize("engine", ENGINES)


def gallery(count: int = 200, width: int = 8, seed: int = 0, engine: str = "exact") -> Index:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, width)).astype(np.float32)
    authors, sequences = random.integers(-1, 12, count), random.integers(-1, 20, count)
    return new_index(width, engine).add(vectors, authors, sequences)


def brute(index: Index, query: NDArray[np.float32], author: int, sequence: int) -> list[int]:
    squares = np.square(index.vectors.astype(np.float64) - query.astype(np.float64)).sum(axis=1)
    allowed = [
        row
        for row in range(len(index))
        if not (author >= 0 and index.authors[row] == author)
        and not (sequence >= 0 and index.sequences[row] == sequence)
    ]
    return sorted(allowed, key=lambda row: (squares[row], row))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 70),
    st.sampled_from(["exact", "faiss"]),
    st.integers(0, 10_000),
    st.sampled_from([7, 16_384]),
)
def test_the_nearest_allowed_rows_come_in_order(count: int, k: int, engine: str, seed: int, block: int) -> None:
    index, random = gallery(count, seed=seed, engine=engine), np.random.default_rng(seed)
    queries = random.normal(size=(5, 8)).astype(np.float32)
    authors, sequences = random.integers(-1, 12, 5), random.integers(-1, 20, 5)
    with patch("benchmark.retrieval.index._GALLERY", block):
        nearest = index.search(queries, k, authors, sequences)
    for row, query in enumerate(queries):
        wanted = brute(index, query, authors[row], sequences[row])[:k]
        assert nearest.rows[row, : len(wanted)].tolist() == wanted
        assert (nearest.rows[row, len(wanted) :] == -1).all()
        assert np.isinf(nearest.squares[row, len(wanted) :]).all()
        assert np.allclose(nearest.squares[row, : len(wanted)], np.square(index.vectors[wanted] - query).sum(axis=1))


def test_galleries_larger_than_a_block_are_searched_whole() -> None:
    index = gallery(40_000, width=4)
    queries = index.vectors[[0, 17_000, 39_999]]
    assert index.search(queries, 1).rows[:, 0].tolist() == [0, 17_000, 39_999]
    assert np.array_equal(
        index.search(queries, 9).rows, replace(index, engine="faiss", _built={}).search(queries, 9).rows
    )


def test_an_approximate_search_finds_nearly_all_where_the_gallery_has_clusters() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(50, 16)) * 5
    vectors = (centres[random.integers(0, 50, 4000)] + random.normal(size=(4000, 16))).astype(np.float32)
    exact, queries = new_index(16).add(vectors), vectors[:200] + np.float32(0.01)
    near = replace(exact, engine="approximate", _built={}).search(queries, 10).rows
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near, exact.search(queries, 10).rows, strict=True)])
    assert recall >= 0.95


@every_engine
def test_a_query_never_meets_its_own_author(engine: str) -> None:
    index = gallery(engine=engine)
    authors = np.full(len(index), 3, np.int64)
    rows = index.search(index.vectors, 150, authors=authors).rows
    assert (index.authors[rows[rows >= 0]] != 3).all()
    assert ((rows >= 0).sum(axis=1) == 150).all()
    unknown = index.search(index.vectors, 1, authors=np.full(len(index), -1)).rows[:, 0]
    assert unknown.tolist() == list(range(len(index)))  # nobody is excluded for an author who is unknown


@every_engine
def test_of_a_gallery_smaller_than_k_there_is_what_there_is(engine: str) -> None:
    nearest = gallery(3, engine=engine).search(np.zeros((2, 8), np.float32), 10)
    assert (np.sort(nearest.rows[:, :3], axis=1) == [0, 1, 2]).all()
    assert (nearest.rows[:, 3:] == -1).all()
    assert (new_index(8, engine).search(np.zeros((2, 8), np.float32), 4).rows == -1).all()
    assert gallery(3, engine=engine).search(np.empty((0, 8), np.float32), 2).rows.shape == (0, 2)


def test_equal_rows_come_in_the_gallerys_order() -> None:
    index = new_index(2).add(np.zeros((5, 2), np.float32))
    assert index.search(np.zeros((1, 2), np.float32), 3).rows.tolist() == [[0, 1, 2]]


def test_it_is_saved_as_plain_arrays() -> None:
    index = gallery()
    again = Index.of_arrays(index.to_arrays())
    assert np.array_equal(again.search(index.vectors, 4).rows, index.search(index.vectors, 4).rows)
    with pytest.raises(ValueError, match="one row for each photo"):
        Index.of_arrays({**index.to_arrays(), "gallery-authors": np.zeros(3)})


def test_vectors_that_are_no_numbers_are_named() -> None:
    vectors = np.zeros((3, 2), np.float32)
    vectors[1, 1] = np.nan
    with pytest.raises(DataError, match="vector 1 of the gallery"):
        new_index(2).add(vectors)
    with pytest.raises(DataError, match="vector 1 of the queries"):
        new_index(2).add(np.zeros((1, 2), np.float32)).search(vectors, 1)


def test_what_is_asked_wrongly_is_refused() -> None:
    with pytest.raises(UsageError, match="exact, faiss, approximate"):
        gallery(engine="magic")
    with pytest.raises(ValueError, match="k = 0"):
        gallery().search(np.zeros((1, 8), np.float32), 0)
    with pytest.raises(ValueError, match="queries"):
        gallery().search(np.zeros((1, 7), np.float32), 1)
