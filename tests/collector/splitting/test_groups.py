"""What makes photos give each other away."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.records import Photo
from collector.splitting.groups import Effect, Grouping, GroupRules, group_photos, photographer, regroup
from tests.conftest import MakePhoto

NOON = datetime(2019, 5, 1, 12, tzinfo=UTC)
METRE = 1 / 111_195  # degrees of latitude
OFF = GroupRules(near_duplicates=False, authors=False, sequences=False, min_distance_m=0, panoramas=False)


def groups(photos: list[Photo], rules: GroupRules | None = None) -> list[list[str]]:
    """Return the native ids of each group of more than one photo."""
    found: dict[str, list[str]] = {}
    for photo_id, group in group_photos(photos, rules).group_of.items():
        found.setdefault(group, []).append(photo_id.split(":")[1])
    return sorted(ids for ids in found.values() if len(ids) > 1)


def at(name: str, metres: float = 0.0, provider: str = "x", **facts: object) -> Photo:
    return replace(Photo(f"{provider}:{name}", "van", 38.5 + metres * METRE, 43.4), **facts)  # type: ignore[arg-type]


# --- the rules


def test_authors() -> None:
    photos = [Photo("x:a", "van", author_id="x:1"), Photo("x:b", "bursa", author_id="x:1"), Photo("x:c", "van")]
    photos += [Photo("x:d", "van"), Photo("x:e", "van", author_id="x:2"), Photo("x:f", "van", author_id="")]
    assert groups(photos) == [["a", "b"]]
    assert groups(photos, replace(GroupRules(), authors=False)) == []


def test_a_service_is_no_author() -> None:
    """All street views of the world have one copyright holder."""
    photos = [Photo(f"streetview:{n}", "van", author_id="streetview:google") for n in range(3)]
    photos += [Photo(f"mapillary:{n}", "van", author_id="mapillary:fleet") for n in range(2)]
    assert groups(photos) == [["0", "1"]]
    assert groups(photos, replace(GroupRules(), service_authors=("mapillary:f*",))) == []
    assert photographer(photos[0], GroupRules()) is None
    assert photographer(photos[3], GroupRules()) == "mapillary:fleet"


def test_places() -> None:
    photos = [at("a"), at("b", 40), at("c", 80), at("d", 200), Photo("x:e", "van"), Photo("x:f", "van")]
    assert groups(photos) == [["a", "b", "c"]]  # a and c by way of b
    assert groups(photos, GroupRules(min_distance_m=30)) == []
    assert groups(photos, GroupRules(min_distance_m=0)) == []
    assert groups(photos, GroupRules(min_distance_m=130)) == [["a", "b", "c", "d"]]


def test_a_building_gives_itself_away_years_later() -> None:
    photos = [at("a", taken_at=NOON), at("b", taken_at=NOON + timedelta(days=4000)), at("c", taken_at=None)]
    assert groups(photos) == [["a", "b", "c"]]


def test_place_and_time() -> None:
    photos = [
        at("a", taken_at=NOON),
        at("b", taken_at=NOON + timedelta(hours=3)),
        at("c", taken_at=NOON + timedelta(1)),
    ]
    assert groups(photos, GroupRules(max_hours=3)) == [["a", "b"]]
    assert groups(photos, GroupRules(max_hours=2.9)) == []
    assert groups([*photos, at("d", 30)], GroupRules(max_hours=3)) == [["a", "b", "c", "d"]]  # may be of any time


def test_not_a_number_is_no_place() -> None:
    photos = [at("a", latitude=float("nan")), at("b", latitude=float("nan")), at("c", longitude=float("inf"))]
    assert groups(photos) == []


def test_panoramas() -> None:
    views = [at(f"p/{heading}", provider="streetview", taken_at=NOON + timedelta(days=heading)) for heading in (0, 90)]
    views += [at("q", 12, "streetview"), at("r", 30, "streetview"), at("z", 1)]
    assert groups(views, replace(OFF, panoramas=True)) == [["p/0", "p/90", "q"]]
    same = [at("p@0", provider="streetview"), at("p@90", 20, "streetview"), at("q@0", 5, "streetview")]
    assert groups(same, replace(OFF, panoramas=True, panorama_m=0.0)) == [["p@0", "p@90"]]
    assert groups(views, OFF) == []
    # A street view is dated by its month: the panorama's rule asks for no time.
    assert groups(views, replace(OFF, panoramas=True, min_distance_m=5, max_hours=1)) == [["p/0", "p/90", "q", "z"]]


def test_sequences() -> None:
    photos = [at("a", sequence_id="x:1"), at("b", 900, sequence_id="x:1"), at("c", sequence_id="x:2"), at("d"), at("e")]
    assert groups(photos, replace(OFF, sequences=True)) == [["a", "b"]]
    assert groups(photos, OFF) == []


def test_near_duplicates() -> None:
    photos = [
        Photo("x:a", "van", phash="0" * 16, dhash="0" * 16),
        Photo("x:b", "bursa", phash="0" * 16, dhash="0" * 16),
        Photo("x:c", "van", phash="00000000000000ff", dhash="0000000000003fff"),  # 8 and 14 bits from a
        Photo("x:d", "van", phash="000000000000ffff", dhash="0000000000003fff"),  # 8 and 0 bits from c
        Photo("x:e", "van", phash="00000000000001ff", dhash="f" * 16),  # dHash too far from all
        Photo("x:f", "van", phash="0" * 16),
        Photo("x:g", "van", sha256="1" * 64),
        Photo("x:h", "van", sha256="1" * 64),
        Photo("x:i", "van", group_id="x:gone"),
        Photo("x:j", "van", group_id="x:gone"),
        Photo("x:k", "van", group_id="g:of an earlier split"),
        Photo("x:l", "van", group_id="g:of an earlier split"),
    ]
    assert groups(photos) == [["a", "b", "c", "d"], ["g", "h"], ["i", "j"]]
    assert groups(photos, GroupRules(phash_radius=7)) == [["a", "b"], ["g", "h"], ["i", "j"]]
    assert groups(photos, replace(GroupRules(), near_duplicates=False)) == []


def test_the_rules_make_one_chain() -> None:
    photos = [
        Photo("x:a", "van", author_id="x:1"),
        at("b", author_id="x:1"),
        at("c", 10, sha256="1" * 64),
        Photo("x:d", "bursa", sha256="1" * 64),
        Photo("x:e", "bursa"),
    ]
    found = group_photos(photos)
    assert set(found.group_of.values()) == {"g:x:a", "g:x:e"}
    assert (found.groups, found.spanning) == (2, 1)
    assert found.effects == {
        "near_duplicates": Effect(2, 1, 2),
        "authors": Effect(2, 1, 2),
        "sequences": Effect(0, 0, 1),
        "places": Effect(2, 1, 2),
        "panoramas": Effect(0, 0, 1),
    }
    assert found.clusters == {
        "near_duplicates": {"x:c": "g:x:c", "x:d": "g:x:c"},
        "authors": {"x:a": "g:x:a", "x:b": "g:x:a"},
        "sequences": {},
        "places": {"x:b": "g:x:b", "x:c": "g:x:b"},
        "panoramas": {},
    }
    largest = found.largest[0]
    assert (largest.group_id, largest.photos, largest.cities) == ("g:x:a", 4, {"van": 3, "bursa": 1})
    assert (largest.author_id, largest.by_author) == ("x:1", 2)
    assert largest.linked_by == {"near_duplicates": 2, "authors": 2, "places": 2}


# --- whatever the order


PHOTOS = st.lists(
    st.builds(
        lambda place, author, bits, city: (place, author, bits, city),
        st.none() | st.integers(0, 30),
        st.none() | st.integers(0, 5),
        st.none() | st.integers(0, 60),
        st.sampled_from(["van", "bursa"]),
    ),
    max_size=25,
)


def made(facts: list[tuple[int | None, int | None, int | None, str]]) -> list[Photo]:
    return [
        Photo(
            f"x:{n:02d}",
            city,
            None if place is None else 38.5 + 40 * place * METRE,
            None if place is None else 43.4,
            author_id=None if author is None else f"x:{author}",
            phash=None if bits is None else f"{(1 << bits) - 1:016x}",
            dhash=None if bits is None else f"{(1 << bits) - 1:016x}",
        )
        for n, (place, author, bits, city) in enumerate(facts)
    ]


@given(PHOTOS, st.randoms(use_true_random=False), st.booleans(), st.booleans(), st.sampled_from([0.0, 45.0, 90.0]))
def test_against_all_pairs(
    facts: list[tuple[int | None, int | None, int | None, str]],
    order: random.Random,
    authors: bool,
    near: bool,
    metres: float,
) -> None:
    def linked(one: int, other: int) -> bool:
        (p, a, b, _), (q, c, d, _) = facts[one], facts[other]
        return (
            (authors and a is not None and a == c)
            or (near and b is not None and d is not None and abs(b - d) <= 8)
            or (p is not None and q is not None and 40 * abs(p - q) < metres)
        )

    photos = made(facts)
    rules = GroupRules(authors=authors, near_duplicates=near, min_distance_m=metres)
    label = list(range(len(facts)))
    for _ in facts:
        label = [min(label[j] for j in range(len(facts)) if i == j or linked(i, j)) for i in range(len(facts))]
    found = group_photos(photos, rules)
    assert found.group_of == {f"x:{n:02d}": f"g:x:{of:02d}" for n, of in enumerate(label)}
    order.shuffle(photos)
    again = group_photos(photos, rules)
    assert again == found
    assert list(again.group_of) == list(found.group_of)
    # Without some photos, what is left is at most as linked by the clusters as the rules say.
    some = photos[: len(photos) // 2]
    coarse, fine = (
        regroup([photo.photo_id for photo in some], found.clusters.values()),
        group_photos(some, rules).group_of,
    )
    assert {coarse[photo_id] for photo_id in coarse} <= {f"g:{photo.photo_id}" for photo in some}
    assert len({(fine[of], coarse[of]) for of in coarse}) == len(set(fine.values()))


def test_nothing() -> None:
    assert group_photos([]) == Grouping(
        {}, {name: {} for name in ALL}, 0, 0, {name: Effect(0, 0, 0) for name in ALL}, ()
    )
    assert regroup([], []) == {}


ALL = ("near_duplicates", "authors", "sequences", "places", "panoramas")


@pytest.mark.parametrize("metres", [-1.0, float("nan"), float("inf"), 100_001.0])
def test_what_is_no_distance(metres: float) -> None:
    with pytest.raises(UsageError, match=r"--min-distance .*: give 0 to 100000 metres"):
        group_photos([], GroupRules(min_distance_m=metres))


@pytest.mark.parametrize("hours", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_time(hours: float) -> None:
    with pytest.raises(UsageError, match="--max-hours"):
        group_photos([], GroupRules(max_hours=hours))


def test_what_is_no_radius() -> None:
    with pytest.raises(UsageError, match="65 bits"):
        group_photos([], GroupRules(phash_radius=65))


def test_records_as_they_come(make_photo: MakePhoto) -> None:
    """Five authors in turn, 142 m between one photo and the next."""
    found = group_photos([make_photo(n) for n in range(30)])
    assert found.groups == 5
    assert found.effects["places"].largest == 1


def test_real_street_views(real_data: Path) -> None:
    """120 places of Cambridge, four views each: no place on two sides, though many are neighbours."""
    lines = (real_data / "streetview_grid" / "index.csv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split(",") for line in lines]
    photos = [
        Photo(
            f"streetview:{place}/{heading}",
            "cambridge",
            float(latitude),
            float(longitude),
            author_id="streetview:google",
        )
        for _, place, latitude, longitude, heading in rows
    ]
    alone = group_photos(photos, GroupRules(min_distance_m=0))
    assert alone.groups == 77
    assert alone.largest[0].photos == 9 * 4
    assert group_photos(photos).groups == 19
    assert group_photos(photos, GroupRules(min_distance_m=0, panoramas=False)).groups == 480
