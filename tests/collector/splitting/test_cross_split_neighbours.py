"""The nearest across sides, held against the plainest possible search."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from collector.curating.duplicates import same_picture
from collector.curating.partitions import pairs_across_partitions
from collector.executors.local import Serial, Work
from collector.geo import distance_km
from collector.records import PHASH_RADIUS, Photo
from collector.splitting.leakage import looks, nearest_places, resemblance

DEGREES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
CLOSE = st.tuples(st.floats(41, 41.001), st.floats(29, 29.001))
# Few different bits, so that many pairs are near and some are equal.
HASH = st.integers(0, 2**64 - 1).map(lambda n: n & 0x0000_0101_0000_0FFF)


def array(values: list[int]) -> NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


@given(st.lists(DEGREES | CLOSE, min_size=1, max_size=20), st.lists(DEGREES | CLOSE, min_size=1, max_size=20))
def test_the_nearest_place_is_the_nearest(
    reference: list[tuple[float, float]], judged: list[tuple[float, float]]
) -> None:
    found = nearest_places(np.array(reference), np.array(judged))
    for place, position, metres in zip(judged, found.position, found.metres, strict=True):
        assert metres == pytest.approx(1000 * min(distance_km(*place, *other) for other in reference), abs=1e-3)
        assert metres == pytest.approx(1000 * distance_km(*place, *reference[position]), abs=1e-6)


def test_places_at_the_date_line_and_the_poles() -> None:
    found = nearest_places(np.array([[0.0, 179.9999], [90.0, 10.0]]), np.array([[0.0, -179.9999], [89.9999, -170.0]]))
    assert found.position.tolist() == [0, 1]
    assert found.metres == pytest.approx([2e-4 * math.pi / 180 * 6371008.8, 1e-4 * math.pi / 180 * 6371008.8], rel=1e-6)


def test_a_hundred_thousand_photos_of_one_place() -> None:
    here = np.tile([[41.0, 29.0]], (100_000, 1))
    assert nearest_places(here, here).metres.max() == 0


@settings(max_examples=30)
@given(
    st.lists(st.tuples(HASH, HASH), min_size=1, max_size=12),
    st.lists(st.tuples(HASH, HASH), min_size=1, max_size=12),
    st.integers(0, 12),
    st.sampled_from([None, Serial()]),
)
def test_resemblance_is_that_of_all_pairs(
    reference: list[tuple[int, int]], judged: list[tuple[int, int]], radius: int, work: Work | None
) -> None:
    """By one index, and by parts as on a cluster."""
    theirs, ours = (looks(array([p for p, _ in side]), array([d for _, d in side])) for side in (reference, judged))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_across_partitions, "__defaults__", (3,))
        found = resemblance(theirs, ours, radius=radius, dhash_radius=radius + 6, most=3, work=work)
    apart = {
        (r, j): ((reference[r][0] ^ judged[j][0]).bit_count(), (reference[r][1] ^ judged[j][1]).bit_count())
        for r, j in product(range(len(reference)), range(len(judged)))
    }
    alike = {pair: bits for pair, bits in apart.items() if bits[0] <= radius and bits[1] <= radius + 6}
    assert found.nearest_bits == min(p for p, _ in apart.values())
    assert found.pairs == len(alike)
    assert found.photos == len({j for _, j in alike})
    for pair in found.closest:
        assert apart[pair.reference, pair.judged] == (pair.phash_bits, pair.dhash_bits)
    if alike:
        different = {(bits, reference[r], judged[j]) for (r, j), bits in alike.items()}
        assert [(c.phash_bits, c.dhash_bits) for c in found.closest] == sorted(bits for bits, _, _ in different)[:3]
    else:
        assert [c.phash_bits for c in found.closest] == [found.nearest_bits]


@settings(max_examples=30)
@given(st.tuples(HASH, HASH), st.tuples(HASH, HASH))
def test_two_photos_are_one_picture_as_dedup_judges_it(one: tuple[int, int], other: tuple[int, int]) -> None:
    a, b = (
        Photo(f"p:{n}", "van", phash=f"{p:016x}", dhash=f"{d:016x}", sha256=f"{n}")
        for n, (p, d) in enumerate((one, other))
    )
    theirs, ours = (looks(array([p]), array([d])) for p, d in (one, other))
    found = resemblance(theirs, ours, radius=PHASH_RADIUS, dhash_radius=PHASH_RADIUS + 6)
    assert (found.pairs == 1) is same_picture(a, b)
