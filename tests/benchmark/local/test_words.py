"""Vocabularies against plain ones, information gain against mutual information by brute force."""

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.local.words import (
    VocabularyTree,
    counts,
    grow_tree,
    information_gain,
    inverse_frequency,
    k_means,
    weighted,
)
from benchmark.methods.visual_words import along_drives, locations, most_telling, vlad
from collector.errors import UsageError


def descriptors(seed: int, count: int = 400) -> NDArray[np.uint8]:
    """Return descriptors in a few dozen clusters."""
    random = np.random.default_rng(seed)
    centres = random.integers(0, 256, (30, 128))
    return (centres[random.integers(0, 30, count)] + random.normal(0, 12, (count, 128))).clip(0, 255).astype(np.uint8)


def walked(tree: VocabularyTree, descriptor: NDArray[np.uint8], paths: int) -> int:
    """Go down one step at a time, with nothing but a list of nodes."""
    nodes = list(range(len(tree.centres[0])))
    for level, centres in enumerate(tree.centres):
        far = {node: int(((centres[node].astype(int) - descriptor) ** 2).sum()) for node in nodes}
        nodes = sorted(nodes, key=lambda node: (far[node], node))[:paths]
        if level < len(tree.first):
            nodes = [child for node in nodes for child in range(*tree.first[level][node : node + 2])]
    return nodes[0]


@given(st.integers(0, 1000), st.sampled_from([(4, 3), (10, 2), (3, 1), (2, 6)]), st.sampled_from([1, 2, 5]))
def test_descents_are_those_of_a_plain_walk(seed: int, shape: tuple[int, int], paths: int) -> None:
    known = descriptors(seed)
    tree = grow_tree(known, *shape, np.random.default_rng(seed))
    words = tree.descend(known[:20], paths)
    assert words.tolist() == [walked(tree, one, paths) for one in known[:20]]
    assert tree.words <= shape[0] ** shape[1]


def test_all_paths_find_the_nearest_word_of_all() -> None:
    known = descriptors(3)
    tree = grow_tree(known, 4, 3, np.random.default_rng(0))
    flat = ((known[:, None].astype(int) - tree.centres[-1][None].astype(int)) ** 2).sum(axis=2)
    reached = flat[np.arange(len(known)), tree.descend(known, tree.words)]
    assert np.array_equal(reached, flat.min(axis=1))
    greedy = [flat[np.arange(len(known)), tree.descend(known, paths)].mean() for paths in (1, 3, tree.words)]
    assert greedy == sorted(greedy, reverse=True)


def test_neither_threads_nor_blocks_change_a_word() -> None:
    known = descriptors(1, 3000)
    before = faiss.omp_get_max_threads()
    trees = []
    try:
        for threads in (1, 3):
            faiss.omp_set_num_threads(threads)
            trees.append(grow_tree(known, 10, 2, np.random.default_rng(0)))
    finally:
        faiss.omp_set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(trees[0].centres, trees[1].centres, strict=True))
    alone = [int(trees[0].descend(known[row : row + 1], 3)[0]) for row in range(50)]
    assert trees[0].descend(known, 3)[:50].tolist() == alone


def test_k_means_makes_the_distances_smaller() -> None:
    known = descriptors(5)
    centres = k_means(known, 30, np.random.default_rng(0))
    squares = ((known[:, None].astype(int) - centres[None].astype(int)) ** 2).sum(axis=2).min(axis=1)
    random = known[np.random.default_rng(0).choice(len(known), 30, replace=False)]
    before = ((known[:, None].astype(int) - random[None].astype(int)) ** 2).sum(axis=2).min(axis=1)
    assert squares.mean() < before.mean()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_descriptors(count: int) -> None:
    known = descriptors(0, 400)[:count]
    tree = grow_tree(known, 10, 3, np.random.default_rng(0))
    assert 1 <= tree.words <= max(1, count)
    assert tree.descend(known, 5).tolist() == sorted(tree.descend(known, 5).tolist()) or count == 3
    assert len(tree.descend(known, 5)) == count


@pytest.mark.parametrize("bad", [(1, 2), (10, 0), (1024, 4), (2000, 1)])
def test_bad_trees(bad: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="branching"):
        grow_tree(descriptors(0), *bad, np.random.default_rng(0))
    with pytest.raises(UsageError, match="paths"):
        grow_tree(descriptors(0), 2, 2, np.random.default_rng(0)).descend(descriptors(0), 0)


def mutual_information(has: NDArray[np.bool_], there: NDArray[np.bool_]) -> float:
    total = 0.0
    for a in (False, True):
        for b in (False, True):
            joint = float(np.mean((has == a) & (there == b)))
            if joint:
                total += joint * np.log2(joint / (np.mean(has == a) * np.mean(there == b)))
    return total


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_the_gain_is_mutual_information(photos: list[tuple[bool, bool]]) -> None:
    has, there = (np.array(column) for column in zip(*photos, strict=True))
    here, elsewhere, at = ([float(value)] for value in ((has & there).sum(), (has & ~there).sum(), there.sum()))
    gain = information_gain(np.array(here), np.array(elsewhere), np.array(at), len(photos))
    assert gain[0] == pytest.approx(mutual_information(has, there), abs=1e-9)
    assert gain[0] >= 0


def test_the_most_telling_words_stay() -> None:
    words = [np.array([0, 1, 1, 5]), np.array([0, 2, 5]), np.array([0, 3, 5]), np.array([0, 4])]
    kept = most_telling(words, 6, np.array([0, 0, 1, 1]), 0.5)
    assert [one.tolist() for one in kept] == [[1, 1], [2, 5], [3, 5], [4]]


def test_weights_by_hand() -> None:
    matrix = counts([np.array([0, 0, 1]), np.array([1]), np.array([], np.int64)], 3)
    assert matrix.toarray().tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    idf = inverse_frequency(matrix)
    assert idf == pytest.approx([np.log(3), np.log(1.5), 0])
    row = np.array([np.sqrt(2) * np.log(3), np.log(1.5), 0])
    assert weighted(matrix, idf).toarray()[0] == pytest.approx(row / np.linalg.norm(row))
    assert weighted(matrix, idf).toarray()[2].tolist() == [0, 0, 0]


def test_vlad_by_hand() -> None:
    centres = np.zeros((2, 128), np.uint8)
    centres[1] = 100
    known = np.zeros((2, 128), np.uint8)
    known[0, 0], known[1] = 3, 101
    vector = vlad(known, centres)
    assert vector[0] == pytest.approx(np.sqrt(0.5))
    assert vector[128:] == pytest.approx(np.full(128, np.sqrt(0.5 / 128)))
    assert not vlad(known[:0], centres).any()


def test_locations_are_linked_by_short_steps() -> None:
    metre = 1 / 111_195
    places = np.array([[0, 0], [8 * metre, 0], [16 * metre, 0], [40 * metre, 0], [np.nan, np.nan], [np.nan, np.nan]])
    of = locations(places, 10)
    assert of[0] == of[1] == of[2]
    assert len(set(of.tolist())) == 4


def test_scores_are_averaged_along_a_drive() -> None:
    sequences, times = np.array([7, 7, -1, 7, 7]), np.array([30.0, 10.0, 5.0, 20.0, np.nan])
    matrix = along_drives(sequences, times)
    assert matrix is not None
    third = 1 / 3
    assert matrix.toarray() == pytest.approx(
        np.array(
            [
                [0.5, 0, 0, 0.5, 0],
                [0, 0.5, 0, 0.5, 0],
                [0, 0, 1, 0, 0],
                [third, third, 0, third, 0],
                [0, 0, 0, 0, 1],
            ]
        )
    )
    assert along_drives(np.full(3, -1), np.arange(3.0)) is None
