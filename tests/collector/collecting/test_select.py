"""Which photos are fetched when not all are wanted."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.collecting.select import Chooser, SelectionCriteria, licences_named, ranking, unwanted
from collector.errors import UsageError
from collector.licences import licences
from collector.providers.registry import author_of
from collector.records import Photo


def photo(number: int, author: str | None = "flickr:a", **more: Any) -> Photo:
    return Photo(f"flickr:{number:04}", "van", author_id=author, **more)


# --- the order


def test_each_author_comes_once_before_any_comes_twice() -> None:
    photos = [photo(n, f"flickr:{'a' if n < 80 else n}") for n in range(100)]
    first = [one.author_id for one in ranking(photos, 0)][:21]
    assert Counter(first).most_common(1) == [("flickr:a", 1)]


def test_places_are_spread_within_an_author() -> None:
    hotspot = [photo(n, latitude=38.5, longitude=43.4) for n in range(50)]
    elsewhere = [photo(100 + n, latitude=38.6 + n / 100, longitude=43.4) for n in range(5)]
    first = [one.photo_id for one in ranking(hotspot + elsewhere, 0)][:6]
    assert {one.photo_id for one in elsewhere} < set(first)


def test_photos_of_one_square_are_one_place_and_of_two_are_two() -> None:
    metre = 1 / 111_195
    photos = [photo(n, latitude=38.5 + n * metre, longitude=43.4) for n in range(40)]
    photos += [photo(99, latitude=38.51, longitude=43.4)]
    assert "flickr:0099" in [one.photo_id for one in ranking(photos, 3)][:3]


def test_time_is_spread_within_a_place() -> None:
    day = datetime(2019, 5, 1, tzinfo=UTC)
    photos = [photo(n, taken_at=day + timedelta(minutes=n)) for n in range(50)]
    photos += [photo(100 + n, taken_at=day + timedelta(days=40 * (n + 1))) for n in range(4)]
    first = [one.photo_id for one in ranking(photos, 0)][:5]
    assert {f"flickr:{100 + n:04}" for n in range(4)} < set(first)


@given(st.permutations(range(30)), st.integers(0, 5))
def test_the_order_depends_on_photos_and_seed_alone(order: list[int], seed: int) -> None:
    photos = [photo(n, f"flickr:{n % 7}", latitude=n / 10, longitude=n % 3) for n in range(30)]
    expected = list(ranking(photos, seed))
    assert list(ranking([photos[n] for n in order], seed)) == expected
    assert sorted(one.photo_id for one in expected) == [one.photo_id for one in photos]


def test_seeds_differ() -> None:
    photos = [photo(n, None) for n in range(30)]
    assert list(ranking(photos, 0)) != list(ranking(photos, 1))


def test_nothing_from_nothing() -> None:
    assert list(ranking([], 0)) == []


# --- how many


def run(chooser: Chooser, arrives: set[str] | None = None, at_once: int = 4) -> list[str]:
    """Fetch up to `at_once` photos at a time, and return those that arrived; only `arrives` do."""
    waiting: list[Photo] = []
    arrived: list[str] = []
    while True:
        while len(waiting) < at_once and (one := chooser.take()) is not None:
            waiting.append(one)
        if not waiting:
            return arrived
        one = waiting.pop(0)
        good = arrives is None or one.photo_id in arrives
        chooser.settle(one, arrived=good)
        if good:
            arrived.append(one.photo_id)


def test_exactly_the_target_arrives_though_some_do_not() -> None:
    photos = [photo(n, None) for n in range(100)]
    good = {one.photo_id for one in photos if int(one.photo_id[-2:]) % 3}
    for at_once in (1, 4, 16):
        arrived = run(Chooser(ranking(photos, 0), SelectionCriteria(target=20), []), good, at_once)
        assert arrived == [one.photo_id for one in ranking(photos, 0) if one.photo_id in good][:20]


def test_what_the_city_has_counts() -> None:
    photos = [photo(n, None) for n in range(100)]
    assert len(run(Chooser(ranking(photos, 0), SelectionCriteria(target=20), ["x"] * 15))) == 5
    assert run(Chooser(ranking(photos, 0), SelectionCriteria(target=20), ["x"] * 25)) == []


@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_no_author_gets_more_than_the_limit_and_failures_leave_room(at_once: int) -> None:
    photos = [photo(n, "flickr:a") for n in range(30)] + [photo(50 + n, f"flickr:{n}") for n in range(3)]
    good = {one.photo_id for one in photos if int(one.photo_id[-4:]) % 2 == 0}
    arrived = run(Chooser(ranking(photos, 0), SelectionCriteria(target=30, per_author=10), []), good, at_once)
    by_author = Counter(one.author_id for one in photos if one.photo_id in arrived)
    assert by_author == {"flickr:a": 10, "flickr:0": 1, "flickr:2": 1}
    assert arrived == run(Chooser(ranking(photos, 0), SelectionCriteria(target=30, per_author=10), []), good, 1)


def test_a_run_that_was_stopped_goes_on_with_the_same_photos() -> None:
    photos = [photo(n, f"flickr:{n % 4}") for n in range(60)]
    good = {one.photo_id for one in photos if int(one.photo_id[-4:]) % 5}
    criteria = SelectionCriteria(target=25, per_author=8)
    whole = run(Chooser(ranking(photos, 0), criteria, []), good)
    for stopped in range(0, 25, 4):
        begun = whole[:stopped]
        had = [author_of(one.photo_id, one.author_id) for one in photos if one.photo_id in begun]
        rest = (one for one in ranking(photos, 0) if one.photo_id not in begun)
        assert begun + run(Chooser(rest, criteria, had), good) == whole


def test_without_a_target_everything_comes() -> None:
    photos = [photo(n) for n in range(30)]
    assert len(run(Chooser(ranking(photos, 0), SelectionCriteria(), []))) == 30


def test_street_views_of_one_panorama_are_of_one_hand_and_unknown_authors_of_many() -> None:
    assert author_of("streetview:abc@90", "streetview:google") == author_of("streetview:abc@0", "streetview:google")
    assert author_of("streetview:abc@0", "streetview:google") != author_of("streetview:abd@0", "streetview:google")
    assert author_of("flickr:1", None) != author_of("flickr:2", None)


# --- what is wanted


def test_licences() -> None:
    assert licences_named("any") is None
    redistributable = licences_named("redistributable")
    assert redistributable is not None
    assert "CC-BY-4.0" in redistributable
    assert all(licences()[name].redistributable for name in redistributable)
    assert licences_named("cc0-1.0, CC-BY-4.0") == frozenset({"CC0-1.0", "CC-BY-4.0"})


@pytest.mark.parametrize("text", ["CC-BY-4.1", "redistributible", "", " , "])
def test_unknown_licences(text: str) -> None:
    with pytest.raises(UsageError, match=r"licence"):
        licences_named(text)


def test_a_near_miss_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean 'redistributable'"):
        licences_named("redistributible")


def test_unwanted() -> None:
    criteria = SelectionCriteria(licences=frozenset({"CC0-1.0"}), min_side=200)
    good = photo(1, license="CC0-1.0", width=300, height=200)
    assert unwanted(good, criteria) is None
    assert unwanted(replace(good, license="CC-BY-4.0"), criteria) == "licence"
    assert unwanted(replace(good, height=199), criteria) == "small"
    assert unwanted(replace(good, height=None), criteria) is None
