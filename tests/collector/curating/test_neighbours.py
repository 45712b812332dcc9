"""All pairs within a radius, against the plainest search there is."""

import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.curating import neighbours
from collector.curating.neighbours import as_bits, pairs_within

# Few distinct bits, so that pairs at every distance occur.
HASHES = st.lists(
    st.integers(0, 2**64 - 1) | st.sets(st.integers(0, 63), max_size=4).map(lambda bits: sum(1 << b for b in bits)),
    max_size=30,
).map(lambda numbers: [f"{number:016x}" for number in numbers])


def oracle(hashes: list[str], radius: int) -> list[tuple[int, int, int]]:
    numbers = [int(text, 16) for text in hashes]
    return [
        (i, j, (a ^ b).bit_count())
        for i, a in enumerate(numbers)
        for j, b in enumerate(numbers)
        if i < j and (a ^ b).bit_count() <= radius
    ]


def found(hashes: list[str], radius: int) -> list[tuple[int, int, int]]:
    pairs = pairs_within(as_bits(hashes), radius)
    assert {part.dtype for part in (pairs.first, pairs.second, pairs.distance)} == {np.dtype(np.int64)}
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.distance.tolist(), strict=True))


@given(HASHES, st.integers(0, 64))
@example([], 8)
@example(["0" * 16], 64)
@example(["0" * 16, "f" * 16], 64)
@example(["0" * 16, "f" * 16], 63)
@example(["5" * 16, "5" * 16], 0)
def test_against_brute_force(hashes: list[str], radius: int) -> None:
    assert found(hashes, radius) == oracle(hashes, radius)


def test_more_than_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = random.Random(0)
    hashes = [f"{numbers.getrandbits(8) << numbers.randrange(56):016x}" for _ in range(200)]
    whole = found(hashes, 3)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    assert found(hashes, 3) == whole == oracle(hashes, 3)


def test_bits_are_the_bytes_of_the_text() -> None:
    assert as_bits(["00ff000000000001"]).tolist() == [[0, 255, 0, 0, 0, 0, 0, 1]]
    assert as_bits([]).shape == (0, 8)
