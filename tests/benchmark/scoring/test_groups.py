"""Letters: two methods share one exactly when they were not told apart, and no letter is superfluous."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.scoring.groups import letters


def separated(values: list[float], apart: float = 1.0) -> NDArray[np.bool_]:
    return np.abs(np.subtract.outer(values, values)) > apart


def split(text: str) -> set[str]:
    found = re.findall(r"[a-z][0-9]*", text)
    assert "".join(found) == text
    return set(found)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3, 2.5, 2], ["a", "a", "a"]),
        ([3, 2.2, 1.4], ["a", "ab", "b"]),
        ([9, 6, 3], ["a", "b", "c"]),
        ([5, 4, 3, 2], ["a", "ab", "bc", "c"]),
        ([1], ["a"]),
        ([], []),
    ],
)
def test_letters_of_accuracies_that_lie_apart(values: list[float], expected: list[str]) -> None:
    assert letters(separated(values).reshape(len(values), len(values)), list(range(len(values)))) == expected


def test_letters_follow_the_order_not_the_place() -> None:
    values = [1.4, 3, 2.2]
    assert letters(separated(values), [1, 2, 0]) == ["b", "a", "ab"]


def test_more_than_26_letters() -> None:
    found = letters(~np.eye(60, dtype=bool), list(range(60)))
    assert (found[0], found[25], found[26], found[52]) == ("a", "z", "a1", "a2")
    assert len(set(found)) == 60


def random_pairs(seed: int, methods: int) -> NDArray[np.bool_]:
    half = np.triu(np.random.default_rng(seed).random((methods, methods)) < 0.4, 1)
    return np.asarray(half | half.T)


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_the_two_conditions_hold_for_any_pairs(seed: int, methods: int) -> None:
    apart = random_pairs(seed, methods)
    found = [split(text) for text in letters(apart, np.random.default_rng(seed).permutation(methods).tolist())]
    assert all(found)
    for i in range(methods):
        for j in range(i):
            assert bool(found[i] & found[j]) != bool(apart[i, j])


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_no_letter_is_superfluous(seed: int, methods: int) -> None:
    apart = random_pairs(seed, methods)
    found = [split(text) for text in letters(apart, list(range(methods)))]
    for letter in set.union(*found):
        fewer = [one - {letter} for one in found]
        alone = not all(fewer)
        lost = any(found[i] & found[j] and not fewer[i] & fewer[j] for i in range(methods) for j in range(i))
        assert alone or lost


def test_pairs_without_any_order_do_not_take_for_ever() -> None:
    # Splitting groups pair by pair would make 3 ** 20 of them: 20 triples, told apart within and not between.
    apart = np.kron(np.eye(20, dtype=bool), ~np.eye(3, dtype=bool))
    found = [split(text) for text in letters(apart, list(range(60)))]
    assert all(bool(found[i] & found[j]) != bool(apart[i, j]) for i in range(60) for j in range(i))


@pytest.mark.parametrize(
    "apart", [np.zeros((2, 3), bool), np.zeros(2, bool), np.array([[False, True], [False, False]])]
)
def test_refuses_what_are_no_pairs(apart: NDArray[np.bool_]) -> None:
    with pytest.raises(ValueError, match="symmetric"):
        letters(apart, [0, 1])


def test_refuses_an_order_that_leaves_one_out() -> None:
    with pytest.raises(ValueError, match="each method once"):
        letters(np.zeros((2, 2), bool), [0, 0])
