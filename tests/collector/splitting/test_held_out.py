"""Whole cities and districts kept out of training."""

from dataclasses import replace
from pathlib import Path

import pytest

from collector.commands.splitting import SplitOptions, check, parse_hold_out
from collector.errors import DataError, UsageError
from collector.manifest.manifest import read_manifest
from collector.records import Label, Photo
from collector.regions import region
from collector.splitting.audit import audit_manifest
from collector.splitting.certificate import certificate
from collector.splitting.groups import GroupRules
from collector.splitting.held_out import held_out_cities, held_out_districts
from collector.splitting.split import Recipe, recipe_of
from collector.workspace import Workspace
from tests.collector.splitting.test_split import fill, run
from tests.conftest import MakePhoto

REGION = region("turkiye15")
HALVES = replace(
    REGION,
    labels=tuple(
        Label(f"{city.slug}/{name}", f"{city.name} {name}", {}, "district", city.slug,
              city.latitude, city.longitude + 0.01 * east, 9.0)
        for city in REGION.cities for name, east in (("west", -1), ("east", 1))
    ),
)  # fmt: skip
"""Each city with two districts."""
QUOTAS = {"train": 4, "val": 2, "test": 2}
RULES = GroupRules(min_distance_m=0.0)


@pytest.fixture
def photos(make_photo: MakePhoto) -> list[Photo]:
    """Ten photos each of Ankara, Bursa and Van."""
    return [replace(make_photo(n), author_id=f"author-{n}") for n in range(30)]


def test_held_out_photos_are_test_photos(workspace: Workspace, photos: list[Photo], tmp_path: Path) -> None:
    fill(workspace, photos)
    result = run(workspace, tmp_path / "m", recipe=Recipe("exact", RULES, hold_out=("van",)))
    counts = result.manifest.counts()
    assert counts["van"] == {"train": 0, "val": 0, "test": 10}
    assert counts["ankara"] == QUOTAS
    assert result.held_out == ("van",)
    stored = read_manifest(result.folder)
    assert stored.header.rules["held_out_cities"] == ["van"]
    audit = audit_manifest(stored)
    assert audit.held_out == {"van": 0}
    assert audit.verdict == "clean"
    said = " ".join(certificate(audit).split())
    assert "1 of its cities are held out of training" in said
    assert "van is held out (10 photos) and never trained" in said
    with pytest.raises(UsageError, match="holds whole cities or districts out, and cannot be extended"):
        recipe_of(stored)


def test_what_is_linked_to_a_held_out_city_is_left_out(
    workspace: Workspace, photos: list[Photo], tmp_path: Path
) -> None:
    van = next(photo for photo in photos if photo.city == "van")
    ankara = [photo for photo in photos if photo.city == "ankara"][:2]
    fill(workspace, [replace(photo, author_id="traveller") if photo in (van, *ankara) else photo for photo in photos])
    result = run(workspace, tmp_path / "m", recipe=Recipe("exact", RULES, hold_out=("van",)))
    sides = dict(
        zip(result.manifest.table["photo_id"].to_pylist(), result.manifest.table["split"].to_pylist(), strict=True)
    )
    assert sides[van.photo_id] == "test"
    assert set(result.links) == {photo.photo_id for photo in ankara}
    assert not set(result.links) & set(sides)
    assert result.manifest.counts()["ankara"] == QUOTAS


def test_shares_of_the_other_cities_are_kept(workspace: Workspace, photos: list[Photo], tmp_path: Path) -> None:
    fill(workspace, photos)
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    result = run(workspace, tmp_path / "m", quotas=shares, recipe=Recipe("fractions", RULES, hold_out=1))
    (city,) = result.held_out
    assert result.manifest.counts()[city] == {"train": 0, "val": 0, "test": 10}
    assert not result.missed_shares
    assert not result.empty_sides


@pytest.fixture
def halved(photos: list[Photo]) -> list[Photo]:
    """The photos, every other one of a city in its west and in its east."""
    centre = {city.slug: (city.latitude, city.longitude) for city in REGION.cities}
    found, count = [], dict.fromkeys(centre, 0)
    for photo in photos:
        count[photo.city] += 1
        latitude, longitude = centre[photo.city]
        place = (latitude + 0.002 * count[photo.city], longitude + 0.01 * (-1) ** count[photo.city])
        found.append(replace(photo, latitude=place[0], longitude=place[1]))
    return found


def test_districts_are_held_out_of_cities_that_are_trained(
    workspace: Workspace, halved: list[Photo], tmp_path: Path
) -> None:
    fill(workspace, halved)
    recipe = Recipe("exact", RULES, hold_out=("ankara",), hold_out_districts=("van/east", "bursa/west"))
    result = run(workspace, tmp_path / "m", quotas={"train": 2, "val": 1, "test": 1}, region=HALVES, recipe=recipe)
    assert result.held_out == ("ankara", "bursa/west", "van/east")
    counts = result.manifest.counts()
    assert counts["van"] == counts["bursa"] == {"train": 2, "val": 1, "test": 6}
    stored = read_manifest(result.folder)
    assert stored.header.rules["held_out_districts"] == ["bursa/west", "van/east"]
    labels, sides = (stored.table[name].to_pylist() for name in ("label", "split"))
    assert {side for label, side in zip(labels, sides, strict=True) if label in result.held_out} == {"test"}
    audit = audit_manifest(stored)
    assert (audit.verdict, audit.quotas, set(audit.held_out.values())) == ("clean", (), {0})
    said = " ".join(certificate(audit).split())
    assert "1 of its cities and 2 of its districts are held out of training" in said
    with pytest.raises(UsageError, match="cannot be extended"):
        recipe_of(stored)
    rules = {**stored.header.rules, "held_out_districts": ["van/west"]}
    broken = certificate(audit_manifest(replace(stored, header=replace(stored.header, rules=rules))))
    assert "BREACH: held out: 3 photos of van/west are in training or validation" in broken


def test_shares_are_of_what_is_not_held_out(workspace: Workspace, halved: list[Photo], tmp_path: Path) -> None:
    fill(workspace, halved)
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    result = run(
        workspace, tmp_path / "m", quotas=shares, region=HALVES, recipe=Recipe("fractions", RULES, hold_out_districts=3)
    )
    assert sorted({of.partition("/")[0] for of in result.held_out}) == ["ankara", "bursa", "van"]
    assert result.manifest.counts()["van"] == {"train": 3, "val": 1, "test": 6}
    assert not result.missed_shares


def test_which_districts_can_be_held_out(halved: list[Photo]) -> None:
    drawn = [held_out_districts(HALVES, some, 2, 7) for some in (halved, halved[::-1])]
    assert drawn[0] == drawn[1]
    for asked, photos, message in (
        (4, halved, "6 districts have photos, and each city keeps one: 3 are the most"),
        (("van/eest",), halved, "no district 'van/eest' .*'van/east'"),
        (("van",), halved, "no district 'van'.*give CITY/DISTRICT"),
    ):
        with pytest.raises(UsageError, match=message):
            held_out_districts(HALVES, photos, asked, 0)
    with pytest.raises(DataError, match="no clean photo of konya/east"):
        held_out_districts(HALVES, halved, ("konya/east",), 0)
    with pytest.raises(UsageError, match="region turkiye15 has none; `t15 cities --grid KM"):
        held_out_districts(REGION, halved, 1, 0)


def test_drawn_cities_follow_the_seed_alone(photos: list[Photo]) -> None:
    drawn = [held_out_cities(REGION, some, 1, 7) for some in (photos, photos[::-1])]
    assert drawn[0] == drawn[1]
    assert len({held_out_cities(REGION, photos, 1, seed) for seed in range(20)}) == 3


def test_what_cannot_be_held_out(photos: list[Photo]) -> None:
    with pytest.raises(UsageError, match="2 of 3 cities held out leave 1; a benchmark trains on 2 or more"):
        held_out_cities(REGION, photos, 2, 0)
    with pytest.raises(DataError, match="no clean photo of konya"):
        held_out_cities(REGION, photos, ("konya",), 0)
    with pytest.raises(UsageError, match="atlantis"):
        held_out_cities(REGION, photos, ("atlantis",), 0)


def test_a_broken_promise_is_a_breach(workspace: Workspace, photos: list[Photo], tmp_path: Path) -> None:
    fill(workspace, photos)
    manifest = run(workspace, tmp_path / "m", recipe=Recipe("exact", RULES, hold_out=("van",))).manifest
    rules = {**manifest.header.rules, "held_out_cities": ["van", "ankara"]}
    audit = audit_manifest(replace(manifest, header=replace(manifest.header, rules=rules)))
    assert audit.verdict == "breach"
    assert "BREACH: held out: 6 photos of ankara are in training or validation" in certificate(audit)
    odd = {**manifest.header.rules, "held_out_cities": {"van": 3}}
    assert audit_manifest(replace(manifest, header=replace(manifest.header, rules=odd))).held_out == {}


def test_what_the_option_takes() -> None:
    assert parse_hold_out(None) == 0
    assert parse_hold_out(" 3 ") == 3
    assert parse_hold_out("Konya, van,") == ("Konya", "van")
    assert parse_hold_out("²,+-3") == ("²", "+-3")
    assert parse_hold_out("²") == ("²",)
    for text in ("0", "-1", "", " , "):
        with pytest.raises(UsageError, match="--hold-out-cities"):
            parse_hold_out(text)
    with pytest.raises(UsageError, match="not to --kfold"):
        check(SplitOptions(hold_out_cities="3", kfold=5))
    with pytest.raises(UsageError, match=r"--hold-out-districts: .*names of districts: konya/meram"):
        parse_hold_out(" , ", "districts")
    with pytest.raises(UsageError, match=r"--hold-out-districts: .*not to --kfold"):
        check(SplitOptions(hold_out_districts="van/edremit", paper=True))
