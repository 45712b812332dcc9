"""Which photo goes to which side: against every possible assignment of small cases, and by what has to hold for all."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from collector.errors import DataError, UsageError
from collector.manifest.photo_rows import PhotoRows
from collector.records import Photo
from collector.splitting import exact
from collector.splitting.allocate import Allocation, allocate, kfold, stratified
from collector.splitting.by_photo import ByPhoto
from collector.splitting.groups import group_photos, regroup
from collector.splitting.milp import Undecided
from tests.conftest import MakePhoto

CITIES = ("ankara", "bursa")
SIDES = ("train", "val", "test")
SEEDS = st.integers(-(2**70), 2**70)
QUOTAS = st.fixed_dictionaries({side: st.integers(1, 6) for side in SIDES})
SMALL = st.fixed_dictionaries({"train": st.integers(1, 4), "val": st.integers(1, 2), "test": st.integers(1, 2)})
# Each group by its photos in two cities; few groups, so that every assignment can be tried.
PARTS = st.tuples(st.integers(0, 4), st.integers(0, 4)).filter(any)
ONE_CITY = st.tuples(st.integers(1, 5), st.just(0))
GROUPS = st.lists(PARTS, min_size=1, max_size=6) | st.lists(ONE_CITY, min_size=1, max_size=6)
Parts = list[tuple[int, int]]
Quotas = dict[str, int]


def grouped(parts: Parts) -> tuple[list[Photo], dict[str, str]]:
    """Return photos and the group of each; a group's photos have one author."""
    photos, groups = [], {}
    for number, of in enumerate(parts):
        for city, count in zip(CITIES, of, strict=True):
            for n in range(count):
                photos.append(Photo(f"x:{number:03d}-{city}-{n}", city, author_id=f"x:{number}"))
                groups[photos[-1].photo_id] = f"g:{number:03d}"
    return photos, groups


def singles(sizes: dict[str, int], start: int = 0) -> tuple[list[Photo], dict[str, str]]:
    """Return photos that are a group each."""
    photos = [Photo(f"x:{city}-{n}", city) for city, size in sizes.items() for n in range(start, start + size)]
    return photos, {photo.photo_id: f"g:{photo.photo_id}" for photo in photos}


def counts(photos: list[Photo], sides: Mapping[str, Any]) -> dict[str, Counter[Any]]:
    found: dict[str, Counter[Any]] = {photo.city: Counter() for photo in photos}
    for photo in photos:
        if photo.photo_id in sides:
            found[photo.city][sides[photo.photo_id]] += 1
    return found


def sums(parts: Parts, *, left_out: bool = True) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Yield the photos by side of both cities, for every assignment of whole groups."""
    for assigned in product([*SIDES, None] if left_out else SIDES, repeat=len(parts)):
        found: tuple[dict[str, int], dict[str, int]] = (dict.fromkeys(SIDES, 0), dict.fromkeys(SIDES, 0))
        for of, side in zip(parts, assigned, strict=True):
            if side is not None:
                found[0][side] += of[0]
                found[1][side] += of[1]
        yield found


def present(parts: Parts) -> list[int]:
    return [city for city in range(2) if any(of[city] for of in parts)]


def advice(said: str) -> Quotas | None:
    found = {side: int(count) for side, count in re.findall(r"--(train|val|test) (-?\d+)", said)}
    return found or None


def assert_whole(found: Allocation, groups: Mapping[str, str]) -> None:
    by_group: dict[str, set[str | None]] = defaultdict(set)
    for photo_id, group in groups.items():
        by_group[group].add(found.sides.get(photo_id))
    assert all(len(sides) == 1 for sides in by_group.values())
    assert found.groups == {photo_id: groups[photo_id] for photo_id in found.sides}
    assert set(found.left_out) == set(groups) - set(found.sides)


# --- exact quotas of whole groups


@given(GROUPS, SMALL, SEEDS)
@example([(3, 0), (3, 0), (3, 0)], {"train": 4, "val": 2, "test": 2}, 0)
@example([(2, 1), (1, 2), (1, 1), (3, 3)], {"train": 3, "val": 1, "test": 2}, 0)
@settings(deadline=None)
def test_exact_or_a_correct_report(parts: Parts, quotas: Quotas, seed: int) -> None:
    """The quotas are met whenever any assignment meets them, and else the quotas that are advised are the nearest."""
    photos, groups = grouped(parts)
    cities = present(parts)
    assume(all(sum(of[city] for of in parts) >= sum(quotas.values()) for city in cities))
    uniform = [one[cities[0]] for one in sums(parts) if all(one[city] == one[cities[0]] for city in cities)]
    if quotas in uniform:
        found = allocate(photos, groups, quotas, seed)
        assert_whole(found, groups)
        assert all(of == quotas for of in counts(photos, found.sides).values())
        assert set(found.left_out.values()) <= {"quota"}
        return
    with pytest.raises(DataError) as raised:
        allocate(photos, groups, quotas, seed)
    said = str(raised.value)
    assert "cannot be met without splitting a group" in said
    city = said.partition(":")[0]
    count, total, group = re.findall(r"(\d+) of its (\d+) photos are one group \(g:(\d+)\)", said)[0]
    assert parts[int(group)][CITIES.index(city)] == int(count)
    assert sum(of[CITIES.index(city)] for of in parts) == int(total)
    possible = [of for of in uniform if min(of.values()) >= 1]
    advised = advice(said)
    assert (advised is not None) == bool(possible)
    if advised is not None:
        assert apart(advised, quotas) == min(apart(of, quotas) for of in possible)
        assert all(of == advised for of in counts(photos, allocate(photos, groups, advised, seed).sides).values())


def apart(one: Mapping[str, int], other: Mapping[str, int]) -> int:
    return sum(abs(one[side] - other[side]) for side in SIDES)


@given(st.lists(PARTS, min_size=20, max_size=60), QUOTAS, SEEDS, st.randoms(use_true_random=False), st.booleans())
@settings(deadline=None)
def test_only_photos_groups_and_seed_count(
    parts: Parts, quotas: Quotas, seed: int, order: random.Random, drop: bool
) -> None:
    photos, groups = grouped([*parts, *[(1, 0), (0, 1)] * 18])
    first = allocate(photos, groups, quotas, seed, drop_photos=drop)
    order.shuffle(photos)
    turned = dict(reversed(groups.items()))
    again = allocate(photos, turned, dict(reversed(quotas.items())), seed, drop_photos=drop)
    assert again == first
    assert [list(of) for of in (again.sides, again.groups, again.left_out)] == [
        sorted(of) for of in (first.sides, first.groups, first.left_out)
    ]


@given(SEEDS, st.integers(1, 9))
def test_more_photos_of_one_city_leave_the_others_alone(seed: int, more: int) -> None:
    quotas = {"train": 10, "val": 3, "test": 3}
    photos, groups = grouped([(2, 0), (0, 3), (3, 0), (0, 1)] * 10)
    before = allocate(photos, groups, quotas, seed).sides
    added, further = singles({"ankara": more})
    after = allocate(photos + added, groups | further, quotas, seed).sides
    moved = {photo.photo_id for photo in photos if after.get(photo.photo_id) != before.get(photo.photo_id)}
    assert not any("bursa" in photo_id for photo_id in moved)


def test_sides_are_drawn_evenly() -> None:
    quotas = {"train": 10, "val": 10, "test": 10}
    photos, groups = singles({"van": 40})
    tally: Counter[tuple[str, str]] = Counter()
    for seed in range(400):
        tally.update(allocate(photos, groups, quotas, seed).sides.items())
    # 100 expected of each; the standard deviation is 8.7.
    assert len(tally) == 120
    assert all(60 < count < 140 for count in tally.values())


def test_frozen_assignment() -> None:
    """The draw is part of the published data: it must not change with a version of t15 or of Python."""
    photos, groups = grouped([(2, 0), (1, 1), (1, 0), (0, 2), (3, 0), (0, 1), (0, 3), (1, 0)])
    found = allocate(photos, groups, {"train": 3, "val": 1, "test": 1}, 0)
    assert {groups[photo_id]: side for photo_id, side in found.sides.items()} == {
        "g:000": "train",
        "g:001": "val",
        "g:002": "test",
        "g:005": "test",
        "g:006": "train",
        "g:007": "train",
    }


def test_small_sides_are_of_many_groups() -> None:
    """An author of 20 photos could fill most of a test side of 25."""
    photos, groups = grouped([(20, 20)] * 2 + [(20, 0)] * 3 + [(3, 0)] * 20 + [(1, 0)] * 30 + [(0, 1)] * 120)
    for seed in range(20):
        found = allocate(photos, groups, {"train": 100, "val": 25, "test": 25}, seed)
        for side in ("val", "test"):
            sizes = Counter(groups[photo_id] for photo_id, of in found.sides.items() if of == side)
            assert max(sizes.values()) <= 10  # five in a city


def test_of_more_than_is_needed_large_groups_are_not_preferred() -> None:
    photos, groups = grouped([(6, 6)] * 10 + [(1, 0), (0, 1)] * 60)
    taken = 0
    for seed in range(40):
        found = allocate(photos, groups, {"train": 30, "val": 6, "test": 6}, seed)
        taken += sum(groups[photo_id] < "g:010" for photo_id in found.sides)
    assert taken / (40 * 84) == pytest.approx(0.5, abs=0.12)  # half of all photos


def test_integer_programming_is_asked_where_chance_fails() -> None:
    """Of the 3^11 ways for the spanning groups hardly one leaves the cities what their own groups can fill."""
    parts = [(7, 3), (3, 7), (5, 5), (9, 1), (1, 9), (6, 4), (4, 6), (8, 2), (2, 8), (11, 9), (9, 11)]
    photos, groups = grouped(parts)
    quotas = {"train": 35, "val": 15, "test": 15}
    found = allocate(photos, groups, quotas, 0)
    assert_whole(found, groups)
    assert all(of == quotas for of in counts(photos, found.sides).values())


# --- when the quotas cannot be met


@given(
    st.dictionaries(st.sampled_from((*CITIES, "van")), st.integers(1, 40), min_size=1),
    st.fixed_dictionaries({side: st.integers(1, 30) for side in SIDES}),
    st.sampled_from(["exact", "paper"]),
)
def test_too_few_photos_are_named_and_the_advice_works(sizes: dict[str, int], quotas: Quotas, mode: Any) -> None:
    photos, groups = singles(sizes)
    needed = sum(quotas.values())
    short = {city: needed - size for city, size in sizes.items() if size < needed}
    if not short:
        allocate(photos, groups, quotas, 0, mode=mode)
        return
    with pytest.raises(DataError) as raised:
        allocate(photos, groups, quotas, 0, mode=mode)
    said = str(raised.value)
    assert f"need {needed} clean photos a city" in said
    for city, size in sizes.items():
        assert (f"{city} has {size} ({needed - size} missing)" in said) == (city in short)
    said, _, larger = said.partition("--min-photos ")
    advised = advice(said)
    assert (advised is not None) == (min(sizes.values()) >= 3)
    if larger:
        least = int(larger.split()[0])
        kept = {city: size for city, size in sizes.items() if size >= least}
        assert f"keeps {len(kept)} of {len(sizes)}," in larger
        allocate(*singles(kept), advice(larger) or {}, 0, mode=mode)
    if advised is not None:
        assert all(count >= 1 for count in advised.values())  # what the options accept
        allocate(photos, groups, advised, 0, mode=mode)


def test_advice_keeps_the_proportions() -> None:
    with pytest.raises(DataError) as raised:
        allocate(*singles({"van": 75}), {"train": 100, "val": 25, "test": 25}, 0)
    assert advice(str(raised.value)) == {"train": 51, "val": 12, "test": 12}


def test_the_refusal_names_city_group_and_ways_out() -> None:
    photos, groups = grouped([(140, 0), (20, 0), (0, 100), *[(0, 1)] * 60])
    with pytest.raises(DataError) as raised:
        allocate(photos, groups, {"train": 100, "val": 25, "test": 25}, 0)
    said = str(raised.value)
    assert said == (
        "ankara: its numbers cannot be met without splitting a group; in the way: 140 of its 160 photos are one group "
        "(g:000), all by 'x:0' (authors may be parted with --no-authors); collect more photos"
    )
    photos, groups = grouped([(120, 0), (20, 0), (10, 0), (10, 0), (10, 0), (0, 100), *[(0, 1)] * 60])
    with pytest.raises(DataError, match=r"way: 120 of its 170 photos.*or leave out single photos with --drop-photos"):
        allocate(photos, groups, {"train": 100, "val": 25, "test": 10}, 0)
    assert allocate(photos, groups, {"train": 100, "val": 25, "test": 10}, 0, drop_photos=True).sides


def test_cities_that_only_together_cannot_be_filled() -> None:
    with pytest.raises(DataError) as raised:
        allocate(*grouped([(1, 2), (2, 1), (1, 1)]), {"train": 2, "val": 1, "test": 1}, 0)
    assert str(raised.value) == (
        "ankara: its numbers cannot be met without splitting a group (those of bursa can); in the way: 1 of its 4 photos "
        "are one group (g:000), all by 'x:0' (authors may be parted with --no-authors); collect more photos"
    )


@pytest.mark.parametrize("parts", [(3, 0), (3, 3)])
def test_integer_programming_proves_what_is_too_large_for_sums(
    parts: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "fits", lambda *_: False)
    with pytest.raises(
        DataError, match=r"in the way: 3 of its 9 photos are one group \(g:002\).*--train 3 --val 3 --test 3"
    ):
        allocate(*grouped([parts] * 3), {"train": 4, "val": 2, "test": 2}, 0)


def test_undecided_is_not_called_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "solve", lambda *_, **__: Undecided())
    monkeypatch.setattr(exact, "fits", lambda *_: False)
    with pytest.raises(DataError, match="ankara: not decided in time whether whole groups can meet the quotas"):
        allocate(*grouped([(3, 0)] * 3), {"train": 4, "val": 2, "test": 2}, 0)


@pytest.mark.parametrize(
    ("quotas", "said"),
    [
        ({"train": 1, "val": 1}, "give one each of train, val, test"),
        ({}, "quotas of nothing"),
        ({"train": 1, "val": 1, "tset": 1}, "quotas of train, tset, val"),
        ({"train": 1, "val": -1, "test": 1}, "whole numbers"),
        ({"train": 1.5, "val": 1, "test": 1}, "whole numbers"),
        ({"train": 0, "val": 0, "test": 0}, "whole numbers"),
    ],
)
def test_what_are_no_quotas(quotas: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        allocate(*singles({"van": 9}), quotas, 0)


@pytest.mark.parametrize("train", [0.0, -0.5, 0.9, float("nan"), 70.0])
def test_what_are_no_fractions(train: float) -> None:
    with pytest.raises(UsageError, match="together they must be 1"):
        allocate(*singles({"van": 9}), {"train": train, "val": 0.15, "test": 0.15}, 0, mode="fractions")


def test_dropping_goes_with_exact_quotas() -> None:
    with pytest.raises(UsageError, match="not with mode paper"):
        allocate(*singles({"van": 9}), {"train": 1, "val": 1, "test": 1}, 0, mode="paper", drop_photos=True)


# --- leaving out photos

LINKS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1)), min_size=6, max_size=16)


@given(LINKS, SMALL, SEEDS)
@settings(deadline=None, max_examples=50)
def test_leaving_out_photos_against_every_choice(facts: list[tuple[int, int, int]], quotas: Quotas, seed: int) -> None:
    """Photos by author, scene and city: whenever some choice of photos meets the quotas, one is found."""
    photos = [Photo(f"x:{n:02d}", CITIES[city], author_id=f"x:{author}") for n, (author, _, city) in enumerate(facts)]
    authors = {photo.photo_id: str(photo.author_id) for photo in photos}
    scenes = {photo.photo_id: f"g:{scene}" for photo, (_, scene, _) in zip(photos, facts, strict=True)}
    has = Counter(photo.city for photo in photos)
    assume(all(count >= sum(quotas.values()) for count in has.values()))
    groups = regroup(authors, [authors, scenes])
    if not possible(facts, quotas):
        with pytest.raises(DataError, match="no choice of photos meets the quotas") as raised:  # not: found none
            allocate(photos, groups, quotas, seed, drop_photos=True, clusters=[authors, scenes])
        if advised := advice(str(raised.value)):
            assert allocate(photos, groups, advised, seed, drop_photos=True, clusters=[authors, scenes]).sides
        return
    found = allocate(photos, groups, quotas, seed, drop_photos=True, clusters=[authors, scenes])
    assert all(of == quotas for of in counts(photos, found.sides).values())
    for cluster in (authors, scenes, found.groups):
        assert len({(cluster[of], side) for of, side in found.sides.items()}) == len(
            {cluster[of] for of in found.sides}
        )
    assert found.groups == regroup(found.sides, [authors, scenes])
    assert set(found.left_out) == set(authors) - set(found.sides)
    assert set(found.left_out.values()) <= {"quota", "link"}


CHOICES = np.array(list(product(range(len(SIDES)), repeat=4)))
"""Every way to give four authors, or four scenes, a side each."""


def possible(facts: list[tuple[int, int, int]], quotas: Quotas) -> bool:
    """Whether some sides of the four authors and the four scenes give all cities enough."""
    authors, scenes, cities = np.array(facts).T
    side = CHOICES[:, authors]
    kept = side[:, None] == CHOICES[:, scenes]
    met = np.ones(kept.shape[:2], bool)
    for city, (number, name) in product(set(cities.tolist()), enumerate(SIDES)):
        met &= (kept & ((side == number) & (cities == city))[:, None]).sum(axis=2) >= quotas[name]
    return bool(met.any())


def test_one_author_everywhere_is_cut_out() -> None:
    """Ten authors, ten sights that they all photographed: one group, until photos are left out."""
    photos = [
        Photo(f"x:{author}-{sight}-{n}", "van", 38.5 + sight / 100, 43.4, author_id=f"x:{author}")
        for author in range(10)
        for sight in range(10)
        for n in range(4)
    ]
    grouping = group_photos(photos)
    assert grouping.groups == 1
    quotas = {"train": 60, "val": 10, "test": 10}
    with pytest.raises(DataError, match="leave out single photos with --drop-photos"):
        allocate(photos, grouping.group_of, quotas, 0, clusters=list(grouping.clusters.values()))
    found = allocate(photos, grouping.group_of, quotas, 0, drop_photos=True, clusters=list(grouping.clusters.values()))
    assert counts(photos, found.sides)["van"] == quotas
    kept = [photo for photo in photos if photo.photo_id in found.sides]
    again = group_photos(kept).group_of
    assert len(set(again.values())) == len({(again[of], side) for of, side in found.sides.items()})
    assert Counter(found.left_out.values())["link"] > 0


def test_the_most_prolific_are_left_out_first() -> None:
    photos, groups = grouped([(60, 0), (30, 0), *[(2, 0)] * 40])
    found = allocate(photos, groups, {"train": 60, "val": 20, "test": 20}, 0, drop_photos=True)
    sizes = Counter(groups[photo_id] for photo_id in found.sides)
    assert max(sizes.values()) < 30
    assert sum(size == 2 for size in sizes.values()) > 25


def test_refusal_of_dropping() -> None:
    photos, groups = grouped([(20, 0), (20, 0)])
    with pytest.raises(DataError, match="no choice of photos meets the quotas without linking the sides: ankara lacks"):
        allocate(photos, groups, {"train": 20, "val": 5, "test": 5}, 0, drop_photos=True)


# --- sides that photos have already


@given(st.lists(ONE_CITY, min_size=12, max_size=30), SEEDS, st.integers(0, 3), st.booleans())
@settings(deadline=None)
def test_photos_keep_their_sides(parts: Parts, seed: int, more: int, drop: bool) -> None:
    photos, groups = grouped([*parts, *[(1, 0)] * 12])
    before = allocate(photos, groups, {"train": 6, "val": 2, "test": 2}, seed)
    added = [Photo(f"x:{n:03d}-ankara-new", "ankara", author_id=f"x:{n}") for n in range(len(parts))]
    groups |= {photo.photo_id: f"g:{n:03d}" for n, photo in enumerate(added)}
    quotas = {"train": 6 + more, "val": 2 + more, "test": 2}
    after = allocate(photos + added, groups, quotas, seed + 1, fixed=before.sides, drop_photos=drop)
    assert before.sides.items() <= after.sides.items()
    assert counts(photos + added, after.sides)["ankara"] == quotas
    assert len({(groups[of], side) for of, side in after.sides.items()}) == len({groups[of] for of in after.sides})


@pytest.mark.parametrize("drop", [False, True])
def test_sides_that_cannot_be_kept(drop: bool) -> None:
    photos, groups = grouped([(2, 0), *[(1, 0)] * 6])
    two = {photos[0].photo_id: "test", photos[1].photo_id: "train"}
    with pytest.raises(DataError, match="already"):
        allocate(photos, groups, {"train": 2, "val": 1, "test": 1}, 0, fixed=two, drop_photos=drop)
    many = {photo.photo_id: "val" for photo in photos[2:5]}
    with pytest.raises(DataError, match="ankara: has 2 more val photos already than the quota; give a larger --val"):
        allocate(photos, groups, {"train": 2, "val": 1, "test": 1}, 0, fixed=many, drop_photos=drop)


# --- fractions and folds


@given(st.lists(PARTS, min_size=1, max_size=6), SEEDS)
@settings(deadline=None)
def test_fractions_are_as_near_as_they_come(parts: Parts, seed: int) -> None:
    """No side of a city is empty where whole groups can fill it; of what is left, the nearest to the fractions."""
    photos, groups = grouped(parts)
    found = allocate(photos, groups, {"train": 0.6, "val": 0.2, "test": 0.2}, seed, mode="fractions")
    assert_whole(found, groups)
    assert not found.left_out
    missed = sum(abs(more) for of in found.deviations.values() for more in of.values())
    wanted = []
    for city in range(2):
        total = sum(of[city] for of in parts)
        assert counts(photos, found.sides).get(CITIES[city], Counter()).total() == total
        wanted.append(shares(total))
    real = counts(photos, found.sides)
    empty = sum(not of[side] for of in real.values() for side in SIDES)
    assert (empty, missed) == min(
        (
            sum(not one[city][side] for city in present(parts) for side in SIDES),
            sum(apart(of, want) for of, want in zip(one, wanted, strict=True)),
        )
        for one in sums(parts, left_out=False)
    )
    for name, want in zip(CITIES, wanted, strict=True):
        if name in real:
            more = {side: real[name][side] - want[side] for side in SIDES}
            assert {side: count for side, count in more.items() if count} == found.deviations.get(name, {})


def shares(total: int) -> Quotas:
    """Return the largest remainders of 60, 20 and 20 percent; of equal ones, test comes before val and val before train.

    Of three photos or more each side has one.
    """
    found = {"test": total // 5, "val": total // 5, "train": 3 * total // 5}
    remainder = {"test": total % 5, "val": total % 5, "train": 3 * total % 5}
    for side in sorted(found, key=lambda side: -remainder[side])[: total - sum(found.values())]:
        found[side] += 1
    while total >= 3 and 0 in found.values():
        found[max(found, key=lambda side: found[side])] -= 1
        found[next(side for side in found if not found[side])] += 1
    return found


def test_fractions_with_a_dominant_author() -> None:
    photos, groups = grouped([(60, 0), *[(1, 0)] * 40])
    found = allocate(photos, groups, {"train": 0.5, "val": 0.25, "test": 0.25}, 0, mode="fractions")
    assert found.deviations["ankara"]["train"] == 10
    assert sum(map(abs, found.deviations["ankara"].values())) == 20


def test_fractions_with_sides_that_photos_have() -> None:
    photos, groups = grouped([(2, 0)] * 10)
    fixed = {photos[0].photo_id: "test", photos[2].photo_id: "val"}
    found = allocate(photos, groups, {"train": 0.6, "val": 0.2, "test": 0.2}, 0, mode="fractions", fixed=fixed)
    assert_whole(found, groups)
    assert (found.sides[photos[1].photo_id], found.sides[photos[3].photo_id]) == ("test", "val")
    assert not found.deviations


@given(st.lists(PARTS, min_size=1, max_size=40), st.integers(2, 6), SEEDS, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_folds(parts: Parts, folds: int, seed: int, order: random.Random) -> None:
    photos, groups = grouped([*parts, *[(1, 0)] * 6])
    found = kfold(photos, groups, folds, seed)
    assert set(found.fold_of) == set(groups)
    assert set(found.fold_of.values()) <= set(range(folds))
    assert len({(groups[of], fold) for of, fold in found.fold_of.items()}) == len(set(groups.values()))
    order.shuffle(photos)
    again = kfold(photos, groups, folds, seed)
    assert again == found
    assert list(again.fold_of) == list(found.fold_of)


@given(st.lists(st.integers(1, 30), min_size=3, max_size=60), st.integers(0, 4), st.integers(3, 6), SEEDS)
@settings(deadline=None)
def test_no_side_is_empty_where_a_city_has_groups_enough(
    sizes: list[int], singles_: int, folds: int, seed: int
) -> None:
    """However large one of them is: a group moves to an empty side wherever its own side can spare it."""
    photos, groups = grouped([(size, 0) for size in [*sizes, *[1] * singles_]])
    by_fold = counts(photos, kfold(photos, groups, folds, seed).fold_of)["ankara"]
    assert len(by_fold) == min(folds, len(sizes) + singles_)
    by_side = allocate(photos, groups, {"train": 0.9, "val": 0.05, "test": 0.05}, seed, mode="fractions").sides
    assert len(counts(photos, by_side)["ankara"]) == 3


@given(st.integers(2, 7), st.integers(0, 40), st.integers(0, 40), SEEDS)
def test_single_photos_fold_evenly(folds: int, first: int, second: int, seed: int) -> None:
    photos, groups = singles({"ankara": first + 7, "bursa": second})
    found = kfold(photos, groups, folds, seed)
    assert not found.deviations
    sizes = [Counter(found.fold_of.values())[fold] for fold in range(folds)]
    assert max(sizes) - min(sizes) <= 1
    for of in counts(photos, found.fold_of).values():
        assert max(of.values()) - min(of[fold] for fold in range(folds)) <= 1


def test_what_are_no_folds() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        kfold(*singles({"van": 9}), 1, 0)
    with pytest.raises(DataError, match="9 photos cannot be spread over 10 folds"):
        kfold(*singles({"van": 9}), 10, 0)


# --- as in 2018

SIZES = st.dictionaries(st.sampled_from((*CITIES, "van", "kırşehir")), st.integers(1, 25), min_size=1)


@given(SIZES, QUOTAS, SEEDS, st.randoms(use_true_random=False))
def test_paper_mode(sizes: dict[str, int], quotas: Quotas, seed: int, order: random.Random) -> None:
    photos, groups = singles({city: size + sum(quotas.values()) for city, size in sizes.items()})
    found = allocate(photos, groups, quotas, seed, mode="paper")
    assert all(of == quotas for of in counts(photos, found.sides).values())
    order.shuffle(photos)
    assert allocate(photos, {}, quotas, seed, mode="paper").sides == found.sides == stratified(photos, quotas, seed)


@given(SIZES, QUOTAS, SEEDS, st.integers(1, 9))
def test_paper_mode_moves_few(sizes: dict[str, int], quotas: Quotas, seed: int, more: int) -> None:
    sizes = {city: size + sum(quotas.values()) for city, size in sizes.items()}
    grown = next(iter(sizes))
    photos, _ = singles(sizes)
    before = stratified(photos, quotas, seed)
    after = stratified(photos + singles({grown: more}, start=sizes[grown])[0], quotas, seed)
    moved = [photo.photo_id for photo in photos if before.get(photo.photo_id) not in (None, after.get(photo.photo_id))]
    assert all(photo_id.startswith(f"x:{grown}-") for photo_id in moved)
    # Each new photo pushes at most one photo over each of the borders between the sides and the rest.
    assert len(moved) <= 3 * more


@given(SEEDS, SEEDS)
def test_seeds_give_different_splits(one: int, other: int) -> None:
    quotas = {"train": 60, "val": 30, "test": 30}
    photos, groups = singles({"van": 150})
    assert (stratified(photos, quotas, one) == stratified(photos, quotas, other)) == (one == other)
    assert (allocate(photos, groups, quotas, one) == allocate(photos, groups, quotas, other)) == (one == other)


def test_frozen_paper_mode() -> None:
    sides = stratified(singles({"van": 8})[0], {"train": 3, "val": 1, "test": 2}, 0)
    assert {photo_id[-1]: side for photo_id, side in sorted(sides.items())} == {
        "0": "test",
        "1": "test",
        "3": "train",
        "4": "train",
        "6": "train",
        "7": "val",
    }


def test_the_author_in_the_way_is_named() -> None:
    photos, groups = grouped([(140, 0), (20, 0), (0, 100), *[(0, 1)] * 60])
    named = [replace(photo, author_name="Ayşe") if groups[photo.photo_id] == "g:000" else photo for photo in photos]
    with pytest.raises(
        DataError,
        match=r"140 of its 160 photos are one group \(g:000\), all by 'Ayşe' \(authors may be parted with --no-authors\)",
    ):
        allocate(named, groups, {"train": 100, "val": 25, "test": 25}, 0)


def test_many_small_cities_are_not_all_listed() -> None:
    sizes = {f"c{number:02}": 3 + 9 * (number > 40) for number in range(60)}
    with pytest.raises(DataError) as raised:
        allocate(*singles(sizes), {"train": 100, "val": 25, "test": 25}, 0)
    said = str(raised.value)
    assert len(said) < 500
    assert "c04 has 3 (147 missing) and 55 more;" in said
    assert said.endswith("--min-photos 12 keeps 19 of 60, with --train 8 --val 2 --test 2")


def test_columns_are_split_as_photos_are(make_photo: MakePhoto) -> None:
    photos = [make_photo(n, author_id=f"made:a{n * n % 17}") for n in range(120)]
    grouping = group_photos(photos)
    fractions = {"train": 0.6, "val": 0.2, "test": 0.2}
    for seed in range(3):
        plain = allocate(photos, dict(grouping.group_of), fractions, seed, mode="fractions")
        columns = allocate(PhotoRows.of(photos), grouping.group_of, fractions, seed, mode="fractions")
        assert isinstance(columns.sides, ByPhoto)
        assert not isinstance(plain.sides, ByPhoto)
        assert (dict(columns.sides), dict(columns.groups)) == (plain.sides, plain.groups)
        assert (columns.left_out, columns.deviations) == (plain.left_out, plain.deviations)
