"""Which photos show one picture, and which of them stays."""

import csv
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.curating.duplicates import find_groups, preference
from collector.curating.pair_verification import Agreement, DoubtfulPair
from collector.records import PHASH_RADIUS, Photo
from tests.conftest import MakePhoto


def bits(*positions: int) -> str:
    return f"{sum(1 << position for position in positions):016x}"


def groups(photos: Iterable[Photo], radius: int = PHASH_RADIUS) -> dict[str, list[str]]:
    """Return the ids of the members by the id of the kept photo."""
    found = find_groups(list(photos), radius)
    return {group.kept.photo_id: [member.photo.photo_id for member in group.members] for group in found}


def apart(a: str | None, b: str | None) -> int:
    return (int(a or "0", 16) ^ int(b or "0", 16)).bit_count()


# --- what resembles what


@pytest.mark.parametrize(
    ("phash", "dhash", "grouped"),
    [
        (0, 0, True),
        (8, 14, True),
        (8, 15, False),
        (9, 0, False),
        (0, 14, True),
        (0, 15, False),
    ],
)
def test_both_hashes_have_their_radius(make_photo: MakePhoto, phash: int, dhash: int, grouped: bool) -> None:
    a = make_photo(0, phash=bits(), dhash=bits())
    b = make_photo(3, phash=bits(*range(phash)), dhash=bits(*range(dhash)))
    found = find_groups([a, b])
    assert bool(found) == grouped
    if grouped:
        (member,) = found[0].members
        assert (member.phash_distance, member.dhash_distance, member.same_bytes) == (phash, dhash, False)


def test_no_photos_no_groups(make_photo: MakePhoto) -> None:
    assert find_groups([]) == []
    assert find_groups([make_photo(1)]) == []
    assert find_groups([make_photo(n) for n in range(9)]) == []


def test_radius_zero_is_equal_hashes(make_photo: MakePhoto) -> None:
    same = [make_photo(n, phash=bits(1), dhash=bits(2), city="van") for n in (0, 1)]
    assert groups([*same, make_photo(2, phash=bits(1, 2), dhash=bits(2))], 0) == {"made:0000": ["made:0001"]}


def test_stars_not_chains(make_photo: MakePhoto) -> None:
    """a – b – c, each within the radius of the next; a is preferred: it takes b, and c stays on its own."""
    a = make_photo(0, phash=bits(), dhash=bits(), width=900)
    b = make_photo(3, phash=bits(*range(6)), dhash=bits(), width=800)
    c = make_photo(6, phash=bits(*range(12)), dhash=bits(), width=700)
    assert groups([a, b, c]) == {"made:0000": ["made:0003"]}
    middle = replace(b, width=1000)
    assert groups([a, middle, c]) == {"made:0003": ["made:0000", "made:0006"]}


def test_members_are_in_order_of_preference(make_photo: MakePhoto) -> None:
    photos = [make_photo(n, phash=bits(n), dhash=bits(), city="van", width=100 * n) for n in (1, 2, 3, 4)]
    assert groups(photos) == {"made:0004": ["made:0003", "made:0002", "made:0001"]}


def test_equal_bytes_are_said_to_be_equal(make_photo: MakePhoto) -> None:
    a, b, c = (make_photo(n, phash=bits(), dhash=bits(), city="van") for n in range(3))
    b = replace(b, sha256=a.sha256)
    (group,) = find_groups([a, b, c])
    assert {member.photo.photo_id: member.same_bytes for member in group.members} == {
        "made:0001": True,
        "made:0002": False,
    }


def test_equal_bytes_of_what_has_no_hashes(make_photo: MakePhoto) -> None:
    black, twin, other = (make_photo(n, phash=None, dhash=None, city="van") for n in range(3))
    twin = replace(twin, sha256=black.sha256)
    third = make_photo(3, phash=None, dhash=None, city="van", sha256=black.sha256)
    hashed = make_photo(4, phash=bits(), dhash=bits())
    assert groups([black, twin, other, hashed], 64) == {"made:0000": ["made:0001"]}
    assert groups([third, other, twin, black]) == {"made:0000": ["made:0001", "made:0003"]}


@pytest.mark.parametrize("hashed", [True, False])
def test_many_pictures_of_nothing_do_not_explode(make_photo: MakePhoto, hashed: bool) -> None:
    """A service's "photo not available" comes thousands of times; the work grows with the photos, not their pairs."""
    hashes = {"phash": bits(1), "dhash": bits(2)} if hashed else {"phash": None, "dhash": None}
    empty = [make_photo(n, sha256="0" * 64, city="van", **hashes) for n in range(1500)]
    started = time.process_time()
    (group,) = find_groups(empty)
    assert len(group.members) == 1499
    assert time.process_time() - started < 1.5


# --- a closer look

SAME, OTHER = Agreement(60, 0.95, 0.9, 1.0), Agreement(60, 0.2, 0.1, 1.0)


class Looked:
    """A look that answers as it is told, by pair of sha256, and remembers what it was asked."""

    def __init__(self, answers: dict[frozenset[str | None], Agreement | None]) -> None:
        self.answers = answers
        self.asked: list[DoubtfulPair] = []

    def __call__(self, doubts: Sequence[DoubtfulPair]) -> list[Agreement | None]:
        self.asked += doubts
        return [self.answers[frozenset((doubt.first, doubt.second))] for doubt in doubts]


@pytest.mark.parametrize(("answer", "grouped"), [(SAME, True), (OTHER, False), (None, False)])
def test_a_doubtful_pair_is_what_a_look_says(make_photo: MakePhoto, answer: Agreement | None, grouped: bool) -> None:
    a, b = make_photo(0, phash=bits(), dhash=bits()), make_photo(3, phash=bits(*range(16)), dhash=bits(*range(16)))
    look = Looked({frozenset((a.sha256, b.sha256)): answer})
    found = find_groups([a, b], verify=look)
    assert look.asked == [DoubtfulPair(str(a.sha256), str(b.sha256))]
    assert bool(found) == grouped
    if grouped:
        assert found[0].members[0].agreement is answer


@pytest.mark.parametrize(("answer", "grouped"), [(SAME, True), (OTHER, False), (None, True)])
def test_hashes_that_agree_are_looked_at_where_there_are_bytes(
    make_photo: MakePhoto, answer: Agreement | None, grouped: bool
) -> None:
    a, b = make_photo(0, phash=bits(), dhash=bits()), make_photo(3, phash=bits(*range(8)), dhash=bits(*range(14)))
    assert bool(find_groups([a, b], verify=Looked({frozenset((a.sha256, b.sha256)): answer}))) == grouped
    assert find_groups([a, b])


def test_certain_hashes_need_no_look(make_photo: MakePhoto) -> None:
    a, b = make_photo(0, phash=bits(), dhash=bits()), make_photo(3, phash=bits(1, 2, 3, 4), dhash=bits(1, 2, 3, 4))
    look = Looked({})
    assert find_groups([a, b], verify=look)
    assert look.asked == []


# --- conflicts


def test_one_picture_under_two_cities_is_a_conflict(make_photo: MakePhoto) -> None:
    same = {"phash": bits(1), "dhash": bits(1)}
    one, other = make_photo(0, city="van", **same), make_photo(1, city="bursa", **same)
    (group,) = find_groups([one, other])
    assert group.is_conflict
    (agreed,) = find_groups([one, replace(other, city="van")])
    assert not agreed.is_conflict
    (third,) = find_groups([one, replace(other, city="van"), make_photo(2, city="izmir", **same)])
    assert third.is_conflict


# --- preference


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"license": "CC0-1.0", "width": 10}, {"license": "LicenseRef-Unknown", "width": 9000}),
        ({"license": "CC-BY-4.0"}, {"license": "LicenseRef-Nobody-Knows"}),
        ({"width": 641}, {"width": 640, "photo_id": "a:0"}),
        ({"width": 800, "height": 600}, {"width": 10_000, "height": 40}),
        ({"title": "x"}, {"title": None, "photo_id": "a:0"}),
        ({"latitude": 1.0}, {"latitude": None, "longitude": None, "photo_id": "a:0"}),
        (
            {"taken_at": datetime(2001, 1, 1, tzinfo=UTC)},
            {"taken_at": datetime(2002, 1, 1, tzinfo=UTC), "photo_id": "a:0"},
        ),
        ({"taken_at": datetime(2001, 1, 1, tzinfo=UTC)}, {"taken_at": None, "photo_id": "a:0"}),
        ({"photo_id": "a:0"}, {"photo_id": "a:1"}),
    ],
)
def test_preference(make_photo: MakePhoto, better: dict[str, object], worse: dict[str, object]) -> None:
    assert preference(make_photo(1, **better)) < preference(make_photo(1, **worse))


# --- properties

NEAR = st.sets(st.integers(0, 15), max_size=6).map(lambda positions: bits(*positions))


@st.composite
def collections(draw: st.DrawFn) -> list[Photo]:
    photos = []
    for n in range(draw(st.integers(0, 14))):
        hashed = draw(st.booleans()) or draw(st.booleans())
        photos.append(
            Photo(
                photo_id=f"x:{n}",
                city=draw(st.sampled_from(["van", "bursa"])),
                license=draw(st.sampled_from(["CC0-1.0", "LicenseRef-Unknown"])),
                width=draw(st.integers(1, 3)),
                height=1,
                sha256=f"{draw(st.integers(0, 3)) if not hashed else n + 10:064x}",
                phash=draw(NEAR) if hashed else None,
                dhash=draw(NEAR) if hashed else None,
            )
        )
    return photos


@given(collections(), st.integers(0, 12), st.randoms(use_true_random=False))
def test_groups_are_disjoint_stars_in_any_order(photos: list[Photo], radius: int, order: random.Random) -> None:
    found = find_groups(photos, radius)
    taken = [photo.photo_id for group in found for photo in (group.kept, *(m.photo for m in group.members))]
    assert len(taken) == len(set(taken))
    for group in found:
        assert group.members
        for member in group.members:
            assert preference(group.kept) < preference(member.photo)
            if member.photo.phash:
                assert member.phash_distance == apart(group.kept.phash, member.photo.phash) <= radius
                assert member.dhash_distance == apart(group.kept.dhash, member.photo.dhash) <= radius + 6
            else:
                assert member.photo.sha256 == group.kept.sha256
    shuffled = list(photos)
    order.shuffle(shuffled)
    assert find_groups(shuffled, radius) == found


@given(collections(), st.integers(0, 12))
def test_nothing_that_stays_resembles_anything_else_that_stays(photos: list[Photo], radius: int) -> None:
    found = find_groups(photos, radius)
    gone = {member.photo.photo_id for group in found for member in group.members}
    assert find_groups([photo for photo in photos if photo.photo_id not in gone], radius) == []


# --- real pairs


def test_pairs_judged_by_eye(real_data: Path, capitals: list[Photo]) -> None:
    with (real_data / "neardup" / "capitals7_pairs_eyeballed.csv").open(newline="") as file:
        judged = [(row["path_a"], row["path_b"], row["same_photo"]) for row in csv.DictReader(file)]
    by_path = {photo.title: photo for photo in capitals}
    for a, b, verdict in judged:
        pair = [by_path[a.removeprefix("capitals7/")], by_path[b.removeprefix("capitals7/")]]
        if verdict != "unsure":
            assert bool(find_groups(pair)) == (verdict == "yes"), (a, b)


def test_judged_pairs_among_all_photos(real_data: Path, capitals: list[Photo]) -> None:
    found = find_groups(capitals)
    group_of = {
        str(photo.title): number
        for number, group in enumerate(found)
        for photo in (group.kept, *(member.photo for member in group.members))
    }
    with (real_data / "neardup" / "capitals7_pairs_eyeballed.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            a, b = (row[name].removeprefix("capitals7/") for name in ("path_a", "path_b"))
            if row["same_photo"] != "unsure":
                assert (group_of.get(a, a) == group_of.get(b, b)) == (row["same_photo"] == "yes"), (a, b)


def test_exact_copies_of_real_photos(capitals: list[Photo]) -> None:
    found = find_groups(capitals)
    copies = len(capitals) - len({photo.sha256 for photo in capitals})
    assert copies == 28
    gone = {member.photo.photo_id for group in found for member in group.members}
    stay = [photo.sha256 for photo in capitals if photo.photo_id not in gone]
    assert len(stay) == len(set(stay))


def test_within_cities_doubts_are_looked_at_there_and_agreeing_hashes_everywhere(make_photo: MakePhoto) -> None:
    # Bits of pHash: 0 and 20 are in doubt in one city, 20 and 40, and 20 and 48, between two.
    places = {"van": (0, 20), "ankara": (40,), "bursa": (48,)}
    photos = [
        make_photo(n, city=c, phash=bits(*range(n)), dhash=bits(*range(5))) for c, of in places.items() for n in of
    ]
    names = {str(photo.sha256): int(photo.photo_id[-2:]) for photo in photos}
    asked: dict[bool, set[tuple[int, int]]] = {False: set(), True: set()}
    for within, pairs in asked.items():

        def look(doubts: Sequence[DoubtfulPair], pairs: set[tuple[int, int]] = pairs) -> list[Agreement | None]:
            both = (sorted((names[of.first], names[of.second])) for of in doubts if not of.mirrored)
            pairs |= {(low, high) for low, high in both}
            return [OTHER] * len(doubts)

        find_groups(photos, verify=look, within_cities=within)
    assert asked == {False: {(0, 20), (20, 40), (20, 48)}, True: {(0, 20)}}
    # Hashes that agree propose a pair of two cities too.
    other = make_photo(44, city="van", phash=bits(*range(44)), dhash=bits(*range(12)))
    agree = [photos[2], other]
    assert find_groups(agree, verify=lambda doubts: [SAME] * len(doubts), within_cities=True)
    assert not find_groups(agree, verify=lambda doubts: [OTHER] * len(doubts), within_cities=True)
