"""All pairs within a radius, against the plainest search there is."""

import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.curating.hamming import DEFAULT_SEARCH, Part, Search, as_bits, cut, pairs_in_blocks, pairs_within, plan

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


def found(hashes: list[str], radius: int, search: Search = DEFAULT_SEARCH) -> list[tuple[int, int, int]]:
    pairs = pairs_within(as_bits(hashes), radius, search)
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


@given(HASHES, st.integers(0, 20), st.integers(2, 8))
def test_every_plan_finds_the_same(hashes: list[str], radius: int, number: int) -> None:
    assert found(hashes, radius, Search(parts=cut(64, number, radius))) == oracle(hashes, radius)


@pytest.mark.parametrize("radius", range(1, 17))
@pytest.mark.parametrize("number", range(2, 9))
def test_parts_leave_no_pair_out(number: int, radius: int) -> None:
    """Bits that differ can be spread over the parts only so that one part has no more than it is searched for."""
    parts = cut(64, number, radius)
    flips = [part.flips for part in parts] + [-1] * (number - len(parts))
    assert sum(each + 1 for each in flips) == radius + 1
    assert sum(part.width for part in parts) == 64 or min(flips) < 0


@pytest.mark.parametrize("count", [20_000, 300_000])
def test_many_are_not_compared_each_with_each(count: int) -> None:
    assert len(plan(100, 64, 8)) == 1
    assert all(part.width for part in plan(count, 64, 8))
    assert plan(count, 64, 32) == (Part(0, 0, 0),)


def test_planted_pairs_among_many() -> None:
    random_ = np.random.default_rng(5)
    numbers = random_.integers(0, 2**64, 40_000, dtype=np.uint64)
    for at in range(0, 400, 2):
        flipped = random_.choice(64, random_.integers(0, 9), replace=False).astype(np.uint64)
        numbers[at + 1] = numbers[at] ^ np.bitwise_or.reduce(np.uint64(1) << flipped, initial=np.uint64(0))
    pairs = pairs_within(numbers.view(np.uint8).reshape(-1, 8), 8)
    expected = {(at, at + 1) for at in range(0, 400, 2)}
    assert expected <= set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert (np.bitwise_count(numbers[pairs.first] ^ numbers[pairs.second]) == pairs.distance).all()


@given(HASHES, st.integers(0, 30))
def test_codes_of_128_bits_seen_as_others(hashes: list[str], radius: int) -> None:
    bits = as_bits(hashes)
    codes, seen = np.hstack((bits, bits[::-1])), np.hstack((bits ^ np.uint8(0x55), bits))
    blocks = list(pairs_in_blocks(codes, radius, seen))
    assert [
        (f, s, d)
        for block in blocks
        for f, s, d in zip(block.first.tolist(), block.second.tolist(), block.distance.tolist(), strict=True)
    ] == [
        (i, j, int(apart))
        for j in range(len(codes))
        for i in range(j)
        if (apart := np.bitwise_count(codes[i] ^ seen[j]).sum()) <= radius
    ]


def test_answers_are_cut_into_pieces() -> None:
    bits = as_bits([f"{number:016x}" for number in range(256)])
    whole = pairs_within(bits, 64)
    few = Search(most_answers=1000)
    pieces = list(pairs_in_blocks(bits, 64, search=few))
    assert len(pieces) > 60
    assert max(len(piece.first) for piece in pieces) <= 1000
    assert len(pairs_within(bits, 64, few).first) == len(whole.first) == 256 * 255 // 2


def test_more_than_one_block() -> None:
    numbers = random.Random(0)
    hashes = [f"{numbers.getrandbits(8) << numbers.randrange(56):016x}" for _ in range(200)]
    whole = found(hashes, 3)
    assert found(hashes, 3, Search(block=7)) == whole == oracle(hashes, 3)


def test_bits_are_the_bytes_of_the_text() -> None:
    assert as_bits(["00ff000000000001"]).tolist() == [[0, 255, 0, 0, 0, 0, 0, 1]]
    assert as_bits([]).shape == (0, 8)
