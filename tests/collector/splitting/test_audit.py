"""What an audit finds between the sides, and what it makes of it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from collector.geo import KM_PER_DEGREE
from collector.manifest.foreign import Foreign
from collector.manifest.manifest import Manifest, build_manifest
from collector.records import City, Photo
from collector.splitting.audit import LEAKS, Audit, Claims, audit_foreign, audit_manifest, claims_of
from collector.splitting.certificate import certificate
from collector.splitting.groups import GroupRules
from collector.splitting.leakage import Comparison
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto

GROUPED = {"mode": "exact", "groups": asdict(GroupRules())}
Apart = Callable[..., Photo]


@pytest.fixture
def apart(make_photo: MakePhoto) -> Apart:
    """Return a factory of photos that share nothing: each with its own author, place (11 km apart) and hashes."""

    def make(number: int, split: str, **overrides: Any) -> Photo:
        own = {"author_id": f"made:a{number}", "latitude": 36 + number / 10, "longitude": 30.0}
        return make_photo(number, split=split, **{**own, **overrides})

    return make


def manifest(photos: Iterable[Photo], rules: dict[str, Any] | None = None, **header: Any) -> Manifest:
    """Return a manifest whose cities' radii hold whatever the photos are."""
    wide = tuple(replace(city, radius_km=20_000.0) for city in HEADER.cities)
    fields = {"cities": wide, "rules": GROUPED if rules is None else rules, "quotas": {}, **header}
    return build_manifest(replace(HEADER, **fields), photos, "t15 test")


def between(audit: Audit, reference: str = "train", judged: str = "test") -> Comparison:
    return next(c for c in audit.comparisons if (c.reference, c.judged) == (reference, judged))


def leaks(audit: Audit) -> dict[tuple[str, str], tuple[int, bool]]:
    return {(leak.kind, f"{leak.reference}-{leak.judged}"): (leak.photos, leak.claimed) for leak in audit.leaks}


def clean(apart: Apart) -> list[Photo]:
    return [apart(n, ("train", "train", "val", "test")[n % 4]) for n in range(12)]


# --- verdicts


def test_sides_that_share_nothing_are_clean(apart: Apart) -> None:
    found = audit_manifest(manifest(clean(apart)))
    assert (found.verdict, found.exit_code(), found.leaks, found.unknown) == ("clean", 0, (), {})
    assert [(c.reference, c.judged) for c in found.comparisons] == [
        ("train", "test"),
        ("val", "test"),
        ("train", "val"),
    ]
    assert between(found).near.nearest_m == pytest.approx(11119.5, rel=1e-4)
    assert found.photos == {"train": 6, "val": 3, "test": 3}


@pytest.mark.parametrize(
    ("kind", "shared"),
    [
        ("author", {"author_id": "made:one"}),
        ("group", {"group_id": "g:one"}),
        ("bytes", {"sha256": "ab" * 32, "phash": None, "dhash": None}),
        ("distance", {"latitude": 41.0, "longitude": 29.0}),
        ("near-duplicate", {"phash": "f" * 16, "dhash": "0" * 16}),
    ],
)
@pytest.mark.parametrize(("reference", "judged"), [("train", "test"), ("val", "test"), ("train", "val")])
def test_a_leak_is_found_between_any_two_sides(
    apart: Apart, kind: str, shared: dict[str, Any], reference: str, judged: str
) -> None:
    photos = [*clean(apart), apart(20, reference, **shared), apart(21, judged, **shared)]
    found = audit_manifest(manifest(photos))
    assert leaks(found) == {(kind, f"{reference}-{judged}"): (1, True)}
    assert (found.verdict, found.exit_code(), found.exit_code(claims_only=True)) == ("breach", 3, 3)


def test_what_the_rules_do_not_claim_is_a_leak_but_no_breach(apart: Apart) -> None:
    shared = {"author_id": "made:one", "sha256": "ab" * 32, "latitude": 41.0, "longitude": 29.0}
    photos = [*clean(apart), apart(20, "train", **shared), apart(21, "test", **shared)]
    found = audit_manifest(manifest(photos, rules={"mode": "paper"}))
    assert {kind: claimed for (kind, _), (_, claimed) in leaks(found).items()} == {
        "author": False,
        "bytes": False,
        "distance": False,
    }
    assert (found.verdict, found.exit_code(), found.exit_code(claims_only=True)) == ("leak", 3, 0)
    left_out = {"mode": "stratified", "left_out": {"near-duplicates": {"phash_radius": 8}}}
    found = audit_manifest(manifest(photos, rules=left_out))
    assert found.verdict == "breach"
    assert leaks(found)["bytes", "train-test"] == (1, True)
    assert leaks(found)["author", "train-test"] == (1, False)


def test_a_shared_group_is_a_breach_under_any_rules(apart: Apart) -> None:
    """A group is by its definition what must stay on one side."""
    photos = [apart(1, "train", group_id="g:1"), apart(2, "test", group_id="g:1")]
    assert audit_manifest(manifest(photos, rules={})).verdict == "breach"


def test_broken_quotas_are_a_breach(apart: Apart) -> None:
    cities = tuple(City(slug, slug, 39.0, 33.0, 20_000.0) for slug in ("ankara", "bursa", "van"))
    photos = [apart(n, ("train", "train", "val", "test")[n // 3]) for n in range(12)]
    kept = manifest(photos, quotas={"train": 2, "val": 1, "test": 1}, cities=cities)
    assert audit_manifest(kept).verdict == "clean"
    found = audit_manifest(manifest(photos[:-1], quotas={"train": 2, "val": 1, "test": 1}, cities=cities))
    assert [(q.city, q.side, q.photos, q.quota) for q in found.quotas] == [("van", "test", 0, 1)]
    assert (found.verdict, found.exit_code(claims_only=True)) == ("breach", 3)
    # Fractions and folds are met as nearly as groups allow, not exactly.
    shares = {"train": 0.5, "val": 0.25, "test": 0.25}
    for mode in ("fractions", "kfold"):
        met = manifest(photos[:-1], rules={**GROUPED, "mode": mode}, quotas=shares, cities=cities)
        assert audit_manifest(met).verdict == "clean"


def test_one_side_alone_is_not_called_clean(apart: Apart) -> None:
    found = audit_manifest(manifest([apart(1, "train"), apart(2, "train")]))
    assert (found.verdict, found.comparisons, found.exit_code()) == ("not-judged", (), 3)


def test_an_empty_manifest() -> None:
    assert audit_manifest(manifest([])).verdict == "not-judged"


def test_sides_of_which_nothing_is_known_are_not_judged(apart: Apart) -> None:
    """What all photos lack, or those of every side but one, says nothing; one known column is something."""
    bare = {"author_id": None, "latitude": None, "longitude": None, "phash": None, "dhash": None, "group_id": None}
    rows = [apart(n, side, **bare) for n, side in enumerate(("train", "val", "test"))]
    names = ["photo_id", "split", "author_id", "latitude", "longitude"]

    def audited(*authors: str | None) -> Audit:
        photos = [replace(photo, author_id=author) for photo, author in zip(rows, authors, strict=True)]
        return audit_foreign(Foreign(Path("others.csv"), manifest(photos).table.select(names), {}))

    nothing = audited(None, None, None)
    assert (nothing.verdict, nothing.exit_code(), nothing.exit_code(claims_only=True)) == ("not-judged", 3, 3)
    assert "NOT JUDGED" in certificate(nothing)
    assert audited("a", None, None).verdict == "not-judged"  # one side alone is known
    some = audited("a", None, "b")
    assert (some.verdict, some.exit_code()) == ("partly-judged", 0)
    # A service's photos have no author who could be shared.
    assert audited(*["streetview:google"] * 3).verdict == "not-judged"


@pytest.mark.parametrize("city", ["van", "izmir"])
def test_a_city_that_is_tested_and_never_trained_is_a_finding(apart: Apart, city: str) -> None:
    cities = tuple(City(slug, slug, 39.0, 33.0, 20_000.0) for slug in ("ankara", "bursa", "van", "izmir"))
    photos = [*clean(apart), apart(30, "test", city="izmir"), apart(31, "test", city="izmir")]
    photos += [apart(32, "train", city=city)]
    found = audit_manifest(manifest(photos, cities=cities))
    assert [(of.city, of.test_photos) for of in found.untrained] == ([] if city == "izmir" else [("izmir", 2)])
    assert ("never trained" in certificate(found)) == (city != "izmir")
    assert (found.verdict, found.exit_code()) == ("clean", 0)  # nothing leaks
    table = {"photo_id": ["1", "2"], "split": ["train", "test"], "city": ["here", "there"], "author_id": ["a", "b"]}
    assert [of.city for of in audit_foreign(foreign(**table)).untrained] == ["there"]


# --- what a header claims of its cities


def test_a_photo_outside_of_its_citys_radius_is_a_breach(apart: Apart) -> None:
    """Row and distance are told; a photo of unknown place, or on the border, breaks nothing."""
    cities = tuple(City(slug, slug, 36.0, 30.0, KM_PER_DEGREE * 0.35) for slug in ("ankara", "bursa", "van"))
    photos = [apart(n, side) for n, side in ((0, "train"), (1, "val"), (2, "test"), (5, "train"), (7, "test"))]
    photos.append(apart(8, "train", latitude=None, longitude=None))
    photos.append(apart(9, "train", latitude=36.35 - 1e-9))
    found = audit_manifest(manifest(photos, cities=cities))
    assert [(of.row, of.photo_id, of.city) for of in found.outside] == [
        (3, "made:0005", "van"),
        (4, "made:0007", "bursa"),
    ]
    assert [of.km for of in found.outside] == [pytest.approx(111.195 * d, rel=1e-5) for d in (0.5, 0.7)]
    assert (found.verdict, found.exit_code(claims_only=True)) == ("breach", 3)
    text = certificate(found)
    assert "BREACH: radius: 2 photos" in text
    assert "row 4 (made:0007): 77.8 km from the centre of bursa, whose radius is 38.9" in text
    assert not audit_manifest(manifest(photos, cities=tuple(replace(c, radius_km=90.0) for c in cities))).outside


# --- what is counted


def test_authors_are_counted_and_the_worst_named(apart: Apart) -> None:
    photos = [apart(n, "test", author_id=f"made:{n % 7}") for n in range(28)]
    photos += [apart(100 + n, "train", author_id=f"made:{n % 7}") for n in range(6)]
    photos += [apart(200 + n, "test", author_id="made:6") for n in range(3)]
    found = between(audit_manifest(manifest(photos, rules={}))).authors
    assert (found.values, found.photos, found.known, found.unknown) == (6, 24, 31, 0)
    assert len(found.worst) == 5
    photos.append(apart(300, "train", author_id="made:6"))
    worst = between(audit_manifest(manifest(photos, rules={}))).authors.worst[0]
    assert asdict(worst) == {
        "value": "made:6",
        "reference_photos": 1,
        "judged_photos": 7,
        "reference": "made:0300",
        "judged": "made:0006",
    }


def test_a_service_is_no_author(apart: Apart) -> None:
    street = [apart(n, side, author_id="streetview:google") for n, side in ((20, "train"), (21, "test"), (22, "val"))]
    found = audit_manifest(manifest([*clean(apart), *street]))
    assert found.verdict == "clean"
    assert between(found).not_attributable == 2
    assert between(found).authors.unknown == 0
    assert all(row.top_author != "streetview:google" for row in found.concentration)
    named = {**GROUPED, "groups": {**asdict(GroupRules()), "service_authors": ["made:bot-*", "made:agency"]}}
    for author, verdict in (("made:bot-7", "clean"), ("made:agency", "clean"), ("made:agency-2", "breach")):
        photos = [*clean(apart), apart(20, "train", author_id=author), apart(21, "test", author_id=author)]
        assert audit_manifest(manifest(photos, rules=named)).verdict == verdict


def test_views_of_one_panorama(apart: Apart) -> None:
    views = [
        apart(20, "train", photo_id="streetview:Pano_-1@0"),
        apart(21, "test", photo_id="streetview:Pano_-1@90"),
        apart(22, "test", photo_id="streetview:Pano_-2@90"),
        apart(23, "train", photo_id="commons:Pano_-2@90"),
    ]
    found = audit_manifest(manifest([*clean(apart), *views]))
    assert leaks(found) == {("panorama", "train-test"): (1, True)}
    assert between(found).panoramas.worst[0].value == "streetview:Pano_-1"


def test_the_unknown_is_counted_and_never_silently_fine(apart: Apart) -> None:
    bare = {"author_id": None, "latitude": None, "longitude": None, "phash": None, "dhash": None}
    found = audit_manifest(manifest([*clean(apart), apart(20, "train", **bare), apart(21, "test", **bare)]))
    assert found.verdict == "clean"
    assert found.unknown == {"author": 2, "place": 2, "hashes": 2}
    comparison = between(found)
    assert (comparison.authors.unknown, comparison.near.unknown, comparison.alike.unknown) == (2, 2, 2)
    assert comparison.near.known == 3
    assert found.missing["author_id"] == {"train": 1, "val": 0, "test": 1}


def test_what_cannot_be_judged_at_all_is_said(apart: Apart) -> None:
    """No training photo has an author: that no test photo shares one means nothing."""
    photos = [replace(p, author_id=None) if p.split == "train" else p for p in clean(apart)]
    found = audit_manifest(manifest(photos))
    assert found.verdict == "partly-judged"
    assert found.unjudged == ("author (train-test)", "author (train-val)")
    assert between(found).authors.known == 0


def test_distance_is_that_of_the_rules_or_asked_for(apart: Apart) -> None:
    north = 60 / 111_195  # 60 m in degrees of latitude
    photos = [*clean(apart), apart(20, "train", latitude=41.0), apart(21, "test", latitude=41.0 + north)]
    assert audit_manifest(manifest(photos)).verdict == "clean"
    wider = {**GROUPED, "groups": {**asdict(GroupRules()), "min_distance_m": 100.0}}
    assert leaks(audit_manifest(manifest(photos, rules=wider))) == {("distance", "train-test"): (1, True)}
    # More is asked for than was promised.
    found = audit_manifest(manifest(photos), min_distance_m=100)
    assert leaks(found) == {("distance", "train-test"): (1, False)}
    near = between(found).near
    assert near.nearest_m == pytest.approx(60, abs=0.01)
    assert (near.worst[0].reference, near.worst[0].judged) == ("made:0020", "made:0021")
    assert near.quantiles_m["0"] == near.nearest_m


def test_a_radius_that_is_asked_for(apart: Apart) -> None:
    base = {"phash": "0" * 16, "dhash": "0" * 16}
    other = {"phash": "00000000000003ff", "dhash": "000000000000ffff"}  # 10 and 16 bits
    photos = [*clean(apart), apart(20, "train", **base), apart(21, "test", **other)]
    assert audit_manifest(manifest(photos)).verdict == "clean"
    assert between(audit_manifest(manifest(photos))).alike.nearest_bits == 10
    assert leaks(audit_manifest(manifest(photos), phash_radius=10)) == {("near-duplicate", "train-test"): (1, False)}
    assert not audit_manifest(manifest(photos), phash_radius=9).leaks


def test_pairs_that_are_no_byte_copies_are_shown_first(apart: Apart) -> None:
    """Copies are told as such already; the closest pair stays among the examples."""
    copies = [
        apart(20 + 2 * n + of, side, phash=16 * digit, dhash="0" * 16, sha256=64 * digit)
        for n, digit in enumerate("03569a")
        for of, side in enumerate(("train", "test"))
    ]
    near = [
        apart(40, "train", phash="0f" * 8, dhash="0" * 16),
        apart(41, "test", phash="0f" * 7 + "0e", dhash="0" * 16),
    ]
    worst = between(audit_manifest(manifest([*copies, *near]))).alike.worst
    assert (worst[0].reference, worst[0].judged, worst[0].phash_bits) == ("made:0040", "made:0041", 1)
    assert [pair.phash_bits for pair in worst[1:]] == [0] * 4


def test_files_are_named_where_they_are_known(apart: Apart) -> None:
    photos = [apart(20, "train", author_id="x:1", title="1.jpg"), apart(21, "test", author_id="x:1", title="1.jpg")]
    found = replace(audit_manifest(manifest([*clean(apart), *photos])), files={"made:0020": "van/1.jpg"})
    assert "made:0020 (van/1.jpg)" in " ".join(certificate(found).split())
    assert "made:0021 (1.jpg)" in " ".join(certificate(found).split())


def test_no_distance_is_too_near_where_none_is_asked_for(apart: Apart) -> None:
    photos = [apart(n, side, latitude=41.0) for n, side in ((1, "train"), (2, "test"))]
    assert not audit_manifest(manifest(photos), min_distance_m=0).leaks


def test_a_photo_with_one_hash_only_cannot_be_judged(apart: Apart) -> None:
    photos = [apart(n, side, phash="0" * 16, dhash=None) for n, side in ((20, "train"), (21, "test"))]
    found = audit_manifest(manifest([*clean(apart), *photos]))
    assert (found.leaks, found.unknown) == ((), {"hashes": 2})


def test_concentration_and_counts(apart: Apart) -> None:
    authors = ["made:a"] * 6 + ["made:b"] * 3 + ["made:c"]
    photos = [apart(n, "train", author_id=a, city="van", license="CC0-1.0") for n, a in enumerate(authors)]
    photos += [apart(50, "test", city="bursa", photo_id="flickr:7"), apart(51, "test", city="van", author_id=None)]
    found = audit_manifest(manifest(photos))
    row = next(row for row in found.concentration if (row.city, row.side) == ("van", "train"))
    assert (row.photos, row.authors, row.top_author, row.top_share) == (10, 3, "made:a", 0.6)
    assert row.effective_authors == pytest.approx(1 / (0.36 + 0.09 + 0.01))
    assert [(row.city, row.side) for row in found.concentration] == [
        (None, "train"),
        (None, "test"),
        ("bursa", "test"),
        ("van", "train"),
    ]
    assert found.counts["city"] == {
        "van": {"train": 10, "val": 0, "test": 1},
        "bursa": {"train": 0, "val": 0, "test": 1},
    }
    assert found.counts["provider"]["flickr"] == {"train": 0, "val": 0, "test": 1}
    assert found.counts["licence"]["CC0-1.0"]["train"] == 10


def test_hashes_of_two_versions_are_remarked(apart: Apart) -> None:
    assert audit_manifest(manifest(clean(apart), hashes=("one", "two"))).remarks == (
        "hashes of 2 versions were compared",
    )


# --- files of others


def foreign(**columns: list[Any]) -> Foreign:
    count = len(columns["split"])
    names = {"photo_id": [f"record {n + 1}" for n in range(count)], **columns}
    return Foreign(Path("others.csv"), pa.table(names), {name: name for name in columns})


def test_a_foreign_split_claims_nothing_and_is_judged_by_what_it_has() -> None:
    found = audit_foreign(foreign(split=["train", "test"], author_id=["a", "a"], md5=["b" * 32, "b" * 32]))
    assert leaks(found) == {("author", "train-test"): (1, False), ("bytes", "train-test"): (1, False)}
    assert (found.verdict, found.exit_code(), found.digest) == ("leak", 3, None)
    assert found.unjudged == ("distance (train-test)", "near-duplicate (train-test)")
    assert found.remarks == ("equal bytes are judged by MD5",)
    assert {"latitude", "phash", "sha256"} < set(found.absent)
    assert set(found.counts) == set()


def test_one_photo_on_two_sides_leaks() -> None:
    """Of three sides: `a` on all, `b` on train and test."""
    found = audit_foreign(foreign(split=["train", "train", "val", "test", "test"], photo_id=["a", "b", "a", "b", "a"]))
    assert (found.verdict, found.exit_code()) == ("leak", 3)
    assert found.twice == {"train-test": ("a", "b"), "val-test": ("a",), "train-val": ("a",)}
    assert [(of.kind, of.photos, of.known) for of in found.leaks] == [("photo", 2, 2), ("photo", 1, 2), ("photo", 1, 1)]
    said = " ".join(certificate(found).split())
    assert "2 of 2 test photos that are on the other side too, by their very id a, b" in said
    assert audit_foreign(foreign(split=["train", "test"], photo_id=["a", "b"])).verdict == "not-judged"


def test_a_foreign_split_alone() -> None:
    found = audit_foreign(foreign(split=["train", "test"]))
    assert (found.verdict, found.exit_code()) == ("not-judged", 3)
    assert {kind.split()[0] for kind in found.unjudged} == {"author", "distance", "near-duplicate", "bytes"}


def test_phash_alone_is_judged_and_said() -> None:
    found = audit_foreign(foreign(split=["train", "test"], phash=["0" * 16, "0" * 15 + "1"]))
    assert leaks(found) == {("near-duplicate", "train-test"): (1, False)}
    assert "by pHash alone" in found.remarks[0]


# --- rules


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"groups": None},
        {"groups": "all"},
        {"groups": {"authors": "yes", "min_distance_m": "far"}},
        {"left_out": [1]},
        7,
    ],
)
def test_rules_that_are_not_understood_claim_nothing(rules: Any) -> None:
    assert claims_of(rules) == Claims()


def test_what_the_rules_of_groups_claim() -> None:
    every = claims_of(GROUPED, always=("group",))
    assert every == Claims(tuple(LEAKS), 50.0, 8, ())
    rules = asdict(replace(GroupRules(), authors=False, sequences=False, near_duplicates=False, min_distance_m=0))
    assert claims_of({"groups": rules}).kinds == ("panorama",)
    # Links that end after some hours leave later photos of the place where they are.
    assert claims_of({"groups": asdict(replace(GroupRules(), max_hours=24))}).min_distance_m is None


def test_the_rules_survive_the_file(apart: Apart) -> None:
    written = json.loads(json.dumps(GROUPED))
    assert claims_of(written) == claims_of(GROUPED)
