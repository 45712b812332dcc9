"""Which pairs of hashes are certain, which are doubtful, and what a mirror makes of a hash."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from collector.curating.duplicates import (
    MOST_DOUBTS,
    Candidate,
    candidates,
    hashes_agree,
    is_certain,
    mirrored_dhash,
    mirrored_phash,
)
from collector.curating.hamming import as_bits
from collector.images.hashing import perceptual_hashes
from tests.conftest import picture


def bits(*positions: int) -> str:
    return f"{sum(1 << position for position in positions):016x}"


def found(
    phashes: list[str], dhashes: list[str], radius: int, *, doubtful: bool, most_doubts: int = MOST_DOUBTS
) -> list[tuple[int, int, int, int]]:
    near = candidates(phashes, dhashes, radius, doubtful=doubtful, most_doubts=most_doubts)
    return [(one.first, one.second, one.phash, one.dhash) for one in near if not one.mirrored]


@pytest.mark.parametrize("seed", range(6))
def test_hashes_of_mirrored_pictures(seed: int) -> None:
    made = picture(seed, (200, 150))
    here, there = perceptual_hashes(made), perceptual_hashes(ImageOps.mirror(made))
    for turn, a, b, most in (
        (mirrored_phash, here.phash, there.phash, 10),
        (mirrored_dhash, here.dhash, there.dhash, 4),
    ):
        assert np.bitwise_count(turn(as_bits([str(a)])) ^ as_bits([str(b)])).sum() <= most


@given(st.lists(st.integers(0, 2**64 - 1).map("{:016x}".format), max_size=5))
def test_a_mirror_twice_is_none(hashes: list[str]) -> None:
    for turn in (mirrored_phash, mirrored_dhash):
        assert np.array_equal(turn(turn(as_bits(hashes))), as_bits(hashes))


@pytest.mark.parametrize(("phash", "dhash", "near"), [(18, 18, True), (0, 36, True), (36, 0, True), (18, 19, False)])
def test_doubtful_is_up_to_four_and_a_half_times_the_radius(phash: int, dhash: int, near: bool) -> None:
    pair = [bits(), bits(*range(phash))], [bits(), bits(*range(dhash))]
    assert found(*pair, 8, doubtful=True) == ([(0, 1, phash, dhash)] if near else [])
    assert found(*pair, 8, doubtful=False) == []


def test_certain_without_a_look() -> None:
    assert is_certain(Candidate(0, 1, 4, 4, mirrored=False), 8)
    assert not is_certain(Candidate(0, 1, 4, 5, mirrored=False), 8)
    assert not is_certain(Candidate(0, 1, 0, 0, mirrored=True), 8)


HASHES = st.lists(st.sets(st.integers(0, 63), max_size=9).map(lambda on: bits(*on)), max_size=12)


@given(HASHES, st.integers(0, 12), st.integers(0, 99))
def test_without_doubts_those_that_agree(phashes: list[str], radius: int, seed: int) -> None:
    dhashes = random.Random(seed).sample(phashes, len(phashes))
    apart = {
        (i, j): tuple((int(x[i], 16) ^ int(x[j], 16)).bit_count() for x in (phashes, dhashes))
        for j in range(len(phashes))
        for i in range(j)
    }
    expected = [(i, j, p, d) for (i, j), (p, d) in apart.items() if hashes_agree(p, d, radius)]
    assert sorted(found(phashes, dhashes, radius, doubtful=False)) == sorted(expected)


def test_a_photo_is_verified_with_the_nearest_only() -> None:
    same = [bits()] * 4
    dhashes = [bits(*range(20)), bits(*range(16)), bits(*range(18)), bits()]
    near = [pair for pair in found(same, dhashes, 8, doubtful=True, most_doubts=2) if pair[1] == 3]
    assert near == [(1, 3, 0, 16), (2, 3, 0, 18)]


def test_mirrored_pairs_are_candidates_of_a_closer_look_only() -> None:
    made = picture(1, (200, 150))
    hashes = [perceptual_hashes(image) for image in (made, ImageOps.mirror(made), Image.new("L", (9, 9)))][:2]
    phashes, dhashes = [str(one.phash) for one in hashes], [str(one.dhash) for one in hashes]
    assert list(candidates(phashes, dhashes, 8, doubtful=False)) == []
    (pair,) = candidates(phashes, dhashes, 8, doubtful=True)
    assert pair.mirrored
    assert list(candidates([], [], 8, doubtful=True)) == []
