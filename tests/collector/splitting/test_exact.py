"""Subset sums, against all subsets."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.splitting import exact
from collector.splitting.exact import assign, fits, reachable, subset
from collector.splitting.greedy import without_nested

SIZES = st.lists(st.tuples(st.integers(1, 6), st.sampled_from([None, None, 0, 1, 2])), max_size=6)
BINS = st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 7))


def every(sizes: Sequence[int], only: Sequence[int | None]) -> set[tuple[int, int, int]]:
    """Return what three bins can hold."""
    found = set()
    for chosen in product([0, 1, 2, None], repeat=len(sizes)):
        if all(one is None or of in (one, None) for of, one in zip(chosen, only, strict=True)):
            held = [sum(size for size, of in zip(sizes, chosen, strict=True) if of == wanted) for wanted in range(3)]
            found.add((held[0], held[1], held[2]))
    return found


@given(st.lists(st.integers(1, 9), max_size=10), st.integers(0, 40))
def test_subset(sizes: list[int], target: int) -> None:
    possible = any(
        sum(size for size, taken in zip(sizes, chosen, strict=True) if taken) == target
        for chosen in product([False, True], repeat=len(sizes))
    )
    found = subset(sizes, target)
    assert (found is not None) == possible
    if found is not None:
        assert sum(sizes[position] for position in found) == target
        assert found == sorted(set(found))


def test_the_earlier_are_taken() -> None:
    assert subset([2, 3, 1, 1, 5], 5) == [0, 1]
    assert subset([4, 3, 3, 3], 6) == [1, 2]  # 4 alone leads nowhere


@given(SIZES, BINS)
def test_assign(sized: list[tuple[int, int | None]], bins: tuple[int, int, int]) -> None:
    sizes, only = [size for size, _ in sized], [one for _, one in sized]
    if sum(bins) > sum(sizes):
        return
    found = assign(sizes, only, bins)
    assert (found is not None) == (bins in every(sizes, only))
    if found is not None:
        assert all(one is None or of in (one, None) for of, one in zip(found, only, strict=True))
        for number, wanted in enumerate(bins):
            assert sum(size for size, of in zip(sizes, found, strict=True) if of == number) == wanted


@given(SIZES, BINS, st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)))
def test_reachable(sized: list[tuple[int, int | None]], box: tuple[int, int, int], start: tuple[int, int, int]) -> None:
    sizes, only = [size for size, _ in sized], [one for _, one in sized]
    found = reachable(sizes, only, start, box)
    possible = {tuple(a + b for a, b in zip(held, start, strict=True)) for held in every(sizes, only)}
    for place, of in enumerate(product(*(range(most + 1) for most in reversed(box)))):
        assert bool(found >> place & 1) == (of[::-1] in possible)
    assert found >> ((box[0] + 1) * (box[1] + 1) * (box[2] + 1)) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "MOST_BITS", 100)
    assert fits([1] * 10, [1, 1, 1])  # 8 tuples are watched, 10 times
    assert not fits([1] * 13, [1, 1, 1])
    assert subset([3, 3, 4] * 20, 11) is None  # 3 + 4 + 4 would do, but 660 bits are too many
    assert subset([3, 3, 4] * 20, 10) == [0, 1, 2]


def test_nested_clusters_ask_for_nothing() -> None:
    """A sight that one author photographed is on that author's side anyway."""
    assert without_nested([(0, 5), (0, 5), (0, 6), (1, 6), (1,), (7,)]) == [(0,), (0,), (0, 6), (1, 6), (1,), (7,)]
    assert without_nested([(0, 1), (0, 1)]) == [(1,), (1,)]  # of two equal ones, one stays
