"""The protocol `place`: queries whose place is in the gallery, and nothing of whose author, sequence or picture is."""

import csv
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue.catalogue import open_catalogue
from collector.commands.split_report import queries_text
from collector.errors import DataError, UsageError
from collector.geo import KM_PER_DEGREE, distance_km
from collector.images.hashing import HASH_STAMP
from collector.manifest.manifest import Manifest, build_manifest, read_manifest
from collector.providers.registry import panorama_of
from collector.records import City, Photo
from collector.regions import region
from collector.splitting.allocate import Allocation
from collector.splitting.audit import audit_manifest
from collector.splitting.certificate import certificate
from collector.splitting.groups import group_photos, photographer
from collector.splitting.place_protocol import allocate_places
from collector.splitting.split import Recipe, place_rules, recipe_of, split
from collector.workspace import Workspace
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto

METRE = 0.001 / KM_PER_DEGREE  # in degrees of latitude


def spot(number: int, at_m: float, author: str | None, city: str = "ankara", **more: Any) -> Photo:
    """Return a photo so many metres north of Ankara's centre."""
    photo = Photo(f"x:{number:03d}", city, 39.9208 + at_m * METRE, 32.8541, author_id=author and f"x:{author}")
    return replace(photo, **more)


def unplaced(known: bool) -> dict[str, Any]:
    return {} if known else {"latitude": None, "longitude": None}


def allocated(photos: Sequence[Photo], test: int, val: int = 0, seed: int = 0, within_m: float = 25.0) -> Allocation:
    groups = group_photos(photos, place_rules()).group_of
    return allocate_places(photos, groups, {"test": test, "val": val}, seed, within_m)


def assert_place(photos: Sequence[Photo], found: Allocation, test: int, val: int, within_m: float = 25.0) -> None:
    by_side: dict[str, list[Photo]] = {"train": [], "val": [], "test": []}
    for photo in photos:
        if photo.photo_id in found.sides:
            by_side[found.sides[photo.photo_id]].append(photo)
    for city in {photo.city for photo in photos}:
        counts = Counter(found.sides.get(photo.photo_id) for photo in photos if photo.city == city)
        assert (counts["test"], counts["val"]) == (test, val)
    for side in ("test", "val"):
        for query in by_side[side]:
            assert any(
                query.city == other.city and _metres(query, other) <= within_m * (1 + 1e-6)
                for other in by_side["train"]
            )
            for other in [*by_side["train"], *by_side["val" if side == "test" else "test"]]:
                author = photographer(query, place_rules())
                assert author is None or author != other.author_id
                assert query.sequence_id is None or query.sequence_id != other.sequence_id
                assert panorama_of(query.photo_id) is None or panorama_of(query.photo_id) != panorama_of(other.photo_id)
                assert query.sha256 is None or query.sha256 != other.sha256
    assert set(found.left_out) == {photo.photo_id for photo in photos} - set(found.sides)


def _metres(one: Photo, other: Photo) -> float:
    return 1000 * distance_km(one.latitude or 0, one.longitude or 0, other.latitude or 0, other.longitude or 0)


SPOTS = st.lists(
    st.tuples(
        st.integers(0, 12),  # place, 20 m apart
        st.none() | st.integers(0, 8),  # author
        st.none() | st.integers(0, 6),  # sequence
        st.booleans(),  # place known
        st.integers(0, 1),  # city
    ),
    min_size=2,
    max_size=30,
)


@given(SPOTS, st.integers(1, 3), st.integers(0, 2), st.integers(0, 9), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=200)
def test_it_holds_or_is_refused(
    facts: list[tuple[int, int | None, int | None, bool, int]], test: int, val: int, seed: int, order: random.Random
) -> None:
    photos = [
        replace(
            spot(n, 20 * at, None if author is None else str(author), ("ankara", "bursa")[city]),
            sequence_id=None if sequence is None else f"x:s{sequence}",
            **unplaced(known),
        )
        for n, (at, author, sequence, known, city) in enumerate(facts)
    ]
    try:
        found = allocated(photos, test, val, seed)
    except DataError:
        return
    assert_place(photos, found, test, val)
    order.shuffle(photos)
    assert allocated(photos, test, val, seed) == found


def test_photos_of_a_querys_author_leave_the_gallery() -> None:
    """Two photos each of two authors at each of nine places: whoever asks has nothing in the gallery."""
    photos = [spot(4 * n + of, 500 * n + 3 * of, f"{'ab'[of // 2]}{n}") for n in range(9) for of in range(4)]
    found = allocated(photos, 4, 3)
    assert_place(photos, found, 4, 3)
    assert found.left_out  # the second photo of those who ask


@pytest.mark.parametrize(
    ("shared", "possible"),
    [
        ({}, True),
        ({"author_id": "x:one"}, False),
        ({"sequence_id": "x:drive"}, False),
        ({"sha256": "ab" * 32}, False),
        ({"phash": "f" * 16, "dhash": "0" * 16}, False),
        ({"author_id": "streetview:google"}, True),  # a service is nobody's hand
    ],
)
def test_two_photos_of_a_place(shared: dict[str, Any], possible: bool) -> None:
    pair = [spot(0, 0, None, **shared), spot(1, 10, None, **shared)]
    if possible:
        assert Counter(allocated(pair, 1).sides.values()) == {"train": 1, "test": 1}
    else:
        with pytest.raises(DataError, match="of its 2 photos 0 have one of somebody else's"):
            allocated(pair, 1)


def test_views_of_one_panorama_do_not_answer_each_other() -> None:
    views = [spot(n, 0, None, photo_id=f"streetview:pano@{90 * n}") for n in range(4)]
    with pytest.raises(DataError, match="lacks 1 test queries"):
        allocated(views, 1)
    next_to = spot(9, 12, None, photo_id="streetview:other@0")
    found = allocated([*views, next_to], 1)
    assert_place([*views, next_to], found, 1, 0)


def test_the_refusal_says_what_can_be_had() -> None:
    photos = [spot(n, 500 * (n // 2), f"{n}") for n in range(12)] + [
        spot(20 + n, 9000 + 100 * n, f"far{n}") for n in range(9)
    ]
    with pytest.raises(DataError) as raised:
        allocated(photos, 9, 0)
    said = str(raised.value)
    assert "ankara lacks 3 test queries: of its 21 photos 12 have one" in said
    assert "--queries 6" in said
    assert_place(photos, allocated(photos, 6), 6, 0)


def test_numbers_that_make_no_sense() -> None:
    for test, val, within in ((0, 1, 25.0), (1, -1, 25.0), (1, 0, 0.0), (1, 0, float("nan"))):
        with pytest.raises(UsageError, match="protocol place"):
            allocated([spot(0, 0, "a"), spot(1, 1, "b")], test, val, within_m=within)


def test_a_gallery_stays_large() -> None:
    """Who took half of a city leaves the gallery last."""
    photos = [spot(n, 200 * n, "prolific") for n in range(40)] + [spot(100 + n, 200 * n + 5, f"{n}") for n in range(40)]
    for seed in range(5):
        found = allocated(photos, 8, 8, seed)
        assert Counter(found.sides.values()) == {"train": 64, "test": 8, "val": 8}


# --- from a workspace to a certificate


@pytest.fixture
def streets(workspace: Workspace, make_photo: MakePhoto) -> Workspace:
    """Return a workspace with two photos, by two people, of each of 12 places of Ankara and of Bursa."""
    photos = []
    for n in range(24):
        for twin in (0, 1):
            photo = make_photo(3 * n + n % 2, author_id=f"made:{n}-{twin}")
            own = make_photo(1000 + 2 * n + twin)
            moved: dict[str, Any] = {
                "latitude": (photo.latitude or 0) + 8 * twin * METRE,
                "photo_id": f"made:{n:02d}{'ab'[twin]}",
            }
            photos.append(replace(photo, **moved, sha256=own.sha256, phash=own.phash, dhash=own.dhash))
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(region("turkiye15"))
        for photo in photos:
            catalogue.add(photo, HASH_STAMP)
    return workspace


def test_a_manifest_of_the_protocol_place(streets: Workspace, tmp_path: Path) -> None:
    result = split(streets, tmp_path / "m", {"test": 4, "val": 2}, 0, recipe=Recipe("place", place_rules()))
    assert result.manifest.counts() == {c: {"train": 18, "val": 2, "test": 4} for c in ("bursa", "ankara")}
    header = read_manifest(result.folder).header
    assert (header.protocol, header.rules["mode"], header.rules["within_m"]) == ("place", "place", 25.0)
    found = audit_manifest(read_manifest(result.folder))
    assert (found.verdict, found.exit_code()) == ("clean", 0)
    test = found.answerable[0]
    assert (test.side, test.queries, test.gallery, test.unknown) == ("test", 8, 36, 0)
    assert test.shares == {"10": 1.0, "25": 1.0, "50": 1.0}
    assert test.chance_city["25"] == pytest.approx(1 / 18)
    assert test.chance["25"] == pytest.approx(1 / 36)
    assert "chance, same city" in certificate(found)
    with pytest.raises(UsageError, match="cannot be extended"):
        recipe_of(result.manifest)


def place_manifest(photos: Sequence[Photo], quotas: dict[str, float] | None = None) -> Manifest:
    rules = Recipe("place", place_rules()).rules(8)
    wide = tuple(City(of.slug, of.name, of.latitude, of.longitude, 20_000.0) for of in HEADER.cities)
    return build_manifest(
        replace(HEADER, protocol="place", rules=rules, quotas=quotas or {}, cities=wide), photos, "t15 test"
    )


@pytest.mark.parametrize(
    ("shared", "kind"),
    [
        ({"author_id": "x:one"}, "author"),
        ({"sequence_id": "x:drive"}, "sequence"),
        ({"sha256": "ab" * 32}, "bytes"),
        ({"phash": "f" * 16, "dhash": "0" * 16}, "near-duplicate"),
    ],
)
def test_what_a_query_may_not_share_is_a_breach(make_photo: MakePhoto, shared: dict[str, Any], kind: str) -> None:
    photos = [make_photo(3 * n, latitude=39.9 + n * METRE, author_id=f"x:{n}", split="train") for n in range(3)]
    photos.append(make_photo(30, latitude=39.9, author_id="x:30", split="test"))
    assert audit_manifest(place_manifest(photos)).verdict == "clean"
    broken = [replace(photos[0], **shared), *photos[1:3], replace(photos[3], **shared)]
    found = audit_manifest(place_manifest(broken))
    assert [(leak.kind, leak.claimed) for leak in found.leaks] == [(kind, True)]
    assert found.exit_code() == 3


def test_a_query_without_its_place_in_the_gallery_is_a_breach(make_photo: MakePhoto) -> None:
    photos = [
        make_photo(0, author_id="x:0", split="train"),
        make_photo(3, author_id="x:1", split="test"),
    ]  # 333 m apart
    photos.append(make_photo(6, latitude=None, longitude=None, author_id=None, split="test"))
    found = audit_manifest(place_manifest(photos))
    assert (found.answerable[0].unanswered, found.answerable[0].unknown, found.verdict) == (2, 1, "breach")
    assert found.answerable[0].shares["50"] == 0.0
    assert "2 of 2 test queries have no gallery photo within 25 m" in " ".join(certificate(found).split())
    assert any(remark.startswith("author unknown of 1 of 2 queries") for remark in found.remarks)


def test_views_of_one_panorama_of_which_no_sequence_tells_are_remarked(make_photo: MakePhoto) -> None:
    same = {"latitude": 39.9, "longitude": 32.8}
    photos = [
        make_photo(0, author_id="x:0", split="train", **same),
        make_photo(3, author_id="x:1", split="test", **same),
    ]

    def remarked(photos: Sequence[Photo]) -> bool:
        said = audit_manifest(place_manifest(photos)).remarks
        return any(remark.startswith("1 of 1 queries have a gallery photo at the very same point") for remark in said)

    assert remarked(photos)
    assert not remarked([photos[0], replace(photos[1], sequence_id="x:drive")])


def test_a_split_says_of_how_few_groups_its_queries_are(make_photo: MakePhoto) -> None:
    photos = [make_photo(at, group_id=f"g{at // 4}", split="test") for at in range(28)]
    said = queries_text(place_manifest([*photos, make_photo(30, split="train")]))
    assert said.startswith("28 test queries of 7 groups: photos of one author,")
    assert "with 28 test photos of 7 groups, a difference of two methods under 21.4 points cannot be seen" in said
    assert "and under 85.7 where those of a group are right and wrong together" in said


def test_the_city_protocol_has_no_gallery(small: Manifest) -> None:
    assert audit_manifest(small).answerable == ()


# --- real streets


def test_real_streets_of_london(real_data: Path) -> None:
    """Mapillary photos without authors or sequences: places are answered, and what is not known is said."""
    index = real_data / "new" / "msls_london_a" / "index.csv"
    if not index.is_file():
        pytest.skip("there is no msls_london_a")
    with index.open(encoding="utf-8") as file:
        photos = [
            Photo(f"mapillary:{row['mapillary_key']}", "london", float(row["lat"]), float(row["lon"]))
            for row in csv.DictReader(file)
        ]
    photos = list({photo.photo_id: photo for photo in photos}.values())
    found = allocated(photos, 100, 50)
    assert_place(photos, found, 100, 50)


def test_real_panoramas(real_data: Path) -> None:
    """A grid of street views: none of a query's four views is in the gallery, and a neighbouring panorama is."""
    with (real_data / "streetview_grid" / "index.csv").open(encoding="utf-8") as file:
        photos = [
            Photo(
                f"streetview:{row['place']}@{row['heading']}",
                "cambridge",
                float(row["latitude"]),
                float(row["longitude"]),
                author_id="streetview:google",
            )
            for row in csv.DictReader(file)
        ]
    found = allocated(photos, 40, 20, within_m=50.0)
    assert_place(photos, found, 40, 20, within_m=50.0)
