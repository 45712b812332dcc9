"""Which photo goes to which side."""

import random
import re
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import DataError
from collector.records import Photo
from collector.splitting.allocate import allocate

CITIES = ("ankara", "bursa", "van", "kırşehir")
QUOTAS = st.fixed_dictionaries({side: st.integers(1, 6) for side in ("train", "val", "test")})
SEEDS = st.integers(-(2**70), 2**70)
SIZES = st.dictionaries(st.sampled_from(CITIES), st.integers(1, 25), min_size=1)


def photos(sizes: dict[str, int], start: int = 0) -> list[Photo]:
    return [Photo(f"x:{city}-{n}", city) for city, size in sizes.items() for n in range(start, start + size)]


def enough(sizes: dict[str, int], quotas: dict[str, int]) -> dict[str, int]:
    return {city: size + sum(quotas.values()) for city, size in sizes.items()}


def by_city(sides: dict[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for photo_id, side in sides.items():
        found[photo_id.removeprefix("x:").rsplit("-", 1)[0]][photo_id] = side
    return found


@given(SIZES, QUOTAS, SEEDS)
def test_quotas_are_met_exactly(sizes: dict[str, int], quotas: dict[str, int], seed: int) -> None:
    sizes = enough(sizes, quotas)
    sides = by_city(allocate(photos(sizes), quotas, seed))
    assert set(sides) == set(sizes)
    for assigned in sides.values():
        assert Counter(assigned.values()) == Counter(quotas)  # each photo has one side, so the sides are disjoint


@given(SIZES, QUOTAS, SEEDS, st.randoms(use_true_random=False))
def test_only_the_photos_and_the_seed_count(
    sizes: dict[str, int], quotas: dict[str, int], seed: int, order: random.Random
) -> None:
    given_photos = photos(enough(sizes, quotas))
    first = allocate(given_photos, quotas, seed)
    shuffled = list(given_photos)
    order.shuffle(shuffled)
    assert allocate(shuffled, dict(reversed(quotas.items())), seed) == first


@given(SIZES, QUOTAS, SEEDS, st.integers(1, 9))
def test_more_photos_of_one_city_leave_the_others_alone(
    sizes: dict[str, int], quotas: dict[str, int], seed: int, more: int
) -> None:
    sizes = enough(sizes, quotas)
    grown = next(iter(sizes))
    before = by_city(allocate(photos(sizes), quotas, seed))
    added = photos({grown: more}, start=sizes[grown])
    after = by_city(allocate(photos(sizes) + added, quotas, seed))
    for city in sizes:
        if city != grown:
            assert after[city] == before[city]
    # Each new photo pushes at most one photo over each of the borders between the sides and the rest.
    moved = [photo_id for photo_id, side in before[grown].items() if after[grown].get(photo_id) != side]
    assert len(moved) <= 3 * more


def test_one_photo_more_moves_few() -> None:
    quotas = {"train": 100, "val": 25, "test": 25}
    before = allocate(photos({"van": 150}), quotas, 0)
    after = allocate(photos({"van": 151}), quotas, 0)
    assert sum(after.get(photo_id) != side for photo_id, side in before.items()) <= 3


@given(SEEDS, SEEDS)
def test_seeds_give_different_splits(one: int, other: int) -> None:
    quotas = {"train": 60, "val": 30, "test": 30}
    same = allocate(photos({"van": 150}), quotas, one) == allocate(photos({"van": 150}), quotas, other)
    assert same == (one == other)


def test_sides_are_drawn_evenly() -> None:
    quotas = {"train": 10, "val": 10, "test": 10}
    tally: Counter[tuple[str, str]] = Counter()
    for seed in range(600):
        tally.update(allocate(photos({"van": 40}), quotas, seed).items())
    # 150 expected of each; the standard deviation is 10.6.
    assert len(tally) == 120
    assert all(100 < count < 200 for count in tally.values())


def test_frozen_assignment() -> None:
    """The draw is part of the published data: it must not change with a version of t15 or of Python."""
    sides = allocate(photos({"van": 8}), {"train": 3, "val": 1, "test": 2}, 0)
    assert {photo_id[-1]: side for photo_id, side in sorted(sides.items())} == {
        "0": "test",
        "1": "test",
        "3": "train",
        "4": "train",
        "6": "train",
        "7": "val",
    }


# --- not enough photos


@given(
    st.dictionaries(st.sampled_from(CITIES), st.integers(1, 40), min_size=1),
    st.fixed_dictionaries({side: st.integers(1, 30) for side in ("train", "val", "test")}),
)
def test_too_few_photos_are_named_and_the_advice_works(sizes: dict[str, int], quotas: dict[str, int]) -> None:
    needed = sum(quotas.values())
    short = {city: needed - size for city, size in sizes.items() if size < needed}
    if not short:
        allocate(photos(sizes), quotas, 0)
        return
    with pytest.raises(DataError) as raised:
        allocate(photos(sizes), quotas, 0)
    said = str(raised.value)
    assert f"need {needed} clean photos a city" in said
    for city, size in sizes.items():
        assert (f"{city} has {size} ({needed - size} missing)" in said) == (city in short)
    advised = advice(said)
    if min(sizes.values()) >= 3:
        assert advised is not None
    if advised is not None:
        assert all(count >= 1 for count in advised.values())  # what the options accept
        allocate(photos(sizes), advised, 0)


def advice(said: str) -> dict[str, int] | None:
    found = {side: int(count) for side, count in re.findall(r"--(train|val|test) (-?\d+)", said)}
    return found or None


@pytest.mark.parametrize("size", [1, 2])
def test_no_advice_where_no_quotas_can_be_met(size: int) -> None:
    with pytest.raises(DataError) as raised:
        allocate(photos({"van": size, "bursa": 9}), {"train": 4, "val": 1, "test": 1}, 0)
    assert advice(str(raised.value)) is None
    assert "van has" in str(raised.value)


def test_advice_keeps_the_proportions() -> None:
    with pytest.raises(DataError) as raised:
        allocate(photos({"van": 75}), {"train": 100, "val": 25, "test": 25}, 0)
    assert advice(str(raised.value)) == {"train": 51, "val": 12, "test": 12}
