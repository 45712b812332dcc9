"""From a workspace to a manifest, and which version it gets."""

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.errors import DataError, UsageError
from collector.images.hashing import HASH_STAMP
from collector.manifest.manifest import read_manifest, this_tool
from collector.records import City, Photo, Region
from collector.regions import region
from collector.splitting.audit import audit_manifest
from collector.splitting.groups import GroupRules
from collector.splitting.split import Recipe, SplitResult, recipe_of, split, split_folds
from collector.workspace import Workspace, create_workspace
from tests.conftest import MakePhoto

QUOTAS = {"train": 4, "val": 2, "test": 2}
REGION = region("turkiye15")
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def fill(workspace: Workspace, photos: Iterable[Photo], of: Region = REGION) -> None:
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(of)
        for photo in photos:
            catalogue.add(photo, HASH_STAMP)


def decide(workspace: Workspace, *decisions: Decision) -> None:
    """Decide as dedup would: on every photo, `keep` where nothing else is said."""
    said = {decision.photo_id: decision for decision in decisions}
    with open_catalogue(workspace) as catalogue:
        keep = (Decision(photo.photo_id, "keep", photo.photo_id, {"radius": 8}) for photo in catalogue.downloaded())
        catalogue.decide("dedup", [said.get(decision.photo_id, decision) for decision in keep])


def run(workspace: Workspace, manifests: Path, **options: Any) -> SplitResult:
    """Split single photos at random, which needs no groups that fit, unless a recipe says otherwise."""
    defaults = {"quotas": QUOTAS, "seed": 0, "recipe": Recipe("paper")}
    return split(workspace, manifests, **{**defaults, **options})


@pytest.fixture
def filled(workspace: Workspace, make_photo: MakePhoto) -> Workspace:
    """Return a workspace with ten photos each of Ankara, Bursa and Van."""
    fill(workspace, [make_photo(n) for n in range(30)])
    return workspace


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    return tmp_path / "manifests"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- what comes out


def test_a_first_manifest(filled: Workspace, manifests: Path) -> None:
    result = run(filled, manifests)
    assert result.written
    assert result.folder == manifests / "turkiye15" / "1.0.0"
    assert result.left_out == {"ankara": 2, "bursa": 2, "van": 2}
    assert result.empty_cities == sorted({city.slug for city in REGION.cities} - {"ankara", "bursa", "van"})
    assert everything(manifests) == ["turkiye15/1.0.0/manifest.json", "turkiye15/1.0.0/photos.parquet"]
    found = read_manifest(result.folder)
    assert found.digest == result.manifest.digest
    assert found.counts() == {city: QUOTAS for city in ("bursa", "ankara", "van")}
    assert [city.slug for city in found.header.cities] == ["bursa", "ankara", "van"]  # in the region's order
    header = found.header
    assert (header.region, header.title, header.note) == (REGION.name, REGION.title, REGION.note)
    assert (header.seed, header.quotas, header.parent) == (0, QUOTAS, None)
    assert header.hashes == (HASH_STAMP,)
    assert found.tool == this_tool()


def test_two_folders_get_the_same_bytes(filled: Workspace, tmp_path: Path) -> None:
    first, second = run(filled, tmp_path / "a"), run(filled, tmp_path / "b")
    assert bytes_of(first.folder) == bytes_of(second.folder)
    assert len(bytes_of(first.folder)) == 2


def test_the_order_of_collecting_does_not_matter(
    filled: Workspace, tmp_path: Path, make_photo: MakePhoto, manifests: Path
) -> None:
    other = create_workspace(tmp_path / "other")
    fill(other, [make_photo(n) for n in reversed(range(30))])
    assert bytes_of(run(other, tmp_path / "b").folder) == bytes_of(run(filled, manifests).folder)


def test_conflicts_and_duplicates_stay_out(filled: Workspace, manifests: Path) -> None:
    decide(
        filled,
        Decision("made:0000", "keep", "made:0000", {"radius": 8}),
        Decision("made:0003", "duplicate", "made:0000", {"radius": 8}),
        Decision("made:0006", "conflict", "made:0006", {"radius": 8}),
    )
    result = run(filled, manifests)
    ids = set(result.manifest.table["photo_id"].to_pylist())
    assert {"made:0003", "made:0006"}.isdisjoint(ids)
    assert result.left_out == {"bursa": 2, "van": 2}
    groups = {photo.photo_id: photo.group_id for side in QUOTAS for photo in result.manifest.photos(side)}
    assert groups["made:0000"] == "made:0000"


def test_another_seed_gives_another_split(filled: Workspace, manifests: Path) -> None:
    first = run(filled, manifests)
    second = run(filled, manifests, seed=1)
    assert second.manifest.header.version == "2.0.0"
    assert first.manifest.digest != second.manifest.digest


# --- versions


def test_again_without_change_writes_nothing(filled: Workspace, manifests: Path) -> None:
    first = run(filled, manifests)
    times = {path: path.stat().st_mtime_ns for path in manifests.rglob("*")}
    again = run(filled, manifests)
    assert (again.written, again.folder) == (False, first.folder)
    assert again.manifest.digest == first.manifest.digest
    assert {path: path.stat().st_mtime_ns for path in manifests.rglob("*")} == times


def test_versions_follow_the_rule(filled: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    assert run(filled, manifests, cities=["ankara", "van"]).folder.name == "1.0.0"
    assert run(filled, manifests).folder.name == "1.1.0"  # photos were only added
    assert run(filled, manifests).folder.name == "1.1.0"
    first = run(filled, manifests).manifest.photos("train")[0]
    fill(filled, [replace(first, title="A better title", split=None)])
    assert run(filled, manifests).folder.name == "1.1.1"  # only what is said of them changed
    decide(filled, Decision(first.photo_id, "duplicate", None, {"radius": 8}))
    assert run(filled, manifests).folder.name == "2.0.0"  # a photo is gone
    assert sorted(path.name for path in (manifests / "turkiye15").iterdir()) == ["1.0.0", "1.1.0", "1.1.1", "2.0.0"]


def test_a_changed_label_is_a_major_change(filled: Workspace, manifests: Path) -> None:
    """The label is what methods learn: results before and after cannot be compared."""
    first = run(filled, manifests, cities=["ankara", "van"]).manifest
    with open_catalogue(filled) as catalogue:
        photos = catalogue.downloaded()
    exchanged = {"ankara": "van", "van": "ankara", "bursa": "bursa"}
    fill(filled, [replace(p, city=exchanged[p.city], latitude=None, longitude=None) for p in photos])
    second = run(filled, manifests, cities=["ankara", "van"]).manifest
    for side in QUOTAS:  # the draw within a city knows only the photos: the sides are the same
        assert [p.photo_id for p in first.photos(side)] == [p.photo_id for p in second.photos(side)]
    assert second.header.version == "2.0.0"


def test_a_version_of_ones_own(filled: Workspace, manifests: Path) -> None:
    assert run(filled, manifests, version="3.2.1").folder.name == "3.2.1"
    assert not run(filled, manifests, version="3.2.1").written
    assert run(filled, manifests, seed=1).folder.name == "4.0.0"
    assert run(filled, manifests, version="0.1.0").folder.name == "0.1.0"


def test_a_version_never_changes(filled: Workspace, manifests: Path) -> None:
    before = bytes_of(run(filled, manifests, version="1.0.0").folder)
    with pytest.raises(UsageError, match="a version never changes: give another --version"):
        run(filled, manifests, version="1.0.0", seed=1)
    assert bytes_of(manifests / "turkiye15" / "1.0.0") == before
    assert everything(manifests) == ["turkiye15/1.0.0/manifest.json", "turkiye15/1.0.0/photos.parquet"]


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0\n", "../1.0.0", "1١.0.0"])
def test_what_is_no_version(filled: Workspace, manifests: Path, version: str) -> None:
    with pytest.raises(UsageError, match="write it as major"):
        run(filled, manifests, version=version)
    assert not manifests.exists()


@pytest.mark.parametrize("name", ["../evil", "Turkiye", "a/b", "-x", ".hidden", "türkiye"])
def test_what_is_no_name(filled: Workspace, manifests: Path, name: str) -> None:
    with pytest.raises(UsageError, match="use small letters"):
        run(filled, manifests, name=name)
    assert not manifests.exists()


def test_a_name_of_ones_own(filled: Workspace, manifests: Path) -> None:
    result = run(filled, manifests, name="mine-2")
    assert result.folder == manifests / "mine-2" / "1.0.0"
    assert (result.manifest.header.name, result.manifest.header.region) == ("mine-2", "turkiye15")


# --- regions and cities


def test_a_subset_of_cities(filled: Workspace, manifests: Path) -> None:
    result = run(filled, manifests, cities=["Van", "06"])
    assert [city.slug for city in result.manifest.header.cities] == ["ankara", "van"]
    assert (result.empty_cities, result.left_out) == ([], {"ankara": 2, "van": 2})


def test_a_chosen_city_without_photos(filled: Workspace, manifests: Path) -> None:
    with pytest.raises(DataError, match="izmir, konya: no clean photo"):
        run(filled, manifests, cities=["van", "konya", "izmir"])
    with pytest.raises(UsageError, match=r"'vann' is not in turkiye15 .*'van'"):
        run(filled, manifests, cities=["vann"])
    assert not manifests.exists()


def test_several_regions(filled: Workspace, manifests: Path) -> None:
    cities = (
        *(City("van", "Van", 38.4989, 43.3781, 15), City("ankara", "Ankara", 39.9, 32.9, 25)),
        City("bursa", "Bursa", 40.2, 29.0, 25),
    )
    fill(filled, [], Region("one", "One", cities[:1]))
    assert run(filled, manifests).folder.parent.name == "turkiye15"  # of two that have some the one that has all
    fill(filled, [], Region("two", "Two", cities))
    with pytest.raises(UsageError, match=r"turkiye15 and two: choose one with --region"):
        run(filled, manifests)
    with pytest.raises(
        UsageError, match=r"'tow' in the workspace \(did you mean 'two'\?\); it holds: one, turkiye15, two"
    ):
        run(filled, manifests, region="tow")
    result = run(filled, manifests, region="two")
    assert [city.slug for city in result.manifest.header.cities] == ["van", "ankara", "bursa"]
    assert result.folder.parent.name == "two"


def test_an_empty_workspace(workspace: Workspace, manifests: Path) -> None:
    with pytest.raises(DataError, match="holds no photos yet"):
        run(workspace, manifests)
    with pytest.raises(UsageError, match="it is empty"):
        run(workspace, manifests, region="turkiye15")
    fill(workspace, [])
    with pytest.raises(DataError, match="no clean photo of turkiye15"):
        run(workspace, manifests)
    assert not manifests.exists()


def test_too_few_photos(filled: Workspace, manifests: Path) -> None:
    with pytest.raises(DataError, match=r"ankara has 10 \(2 missing\), bursa has 10 \(2 missing\)"):
        run(filled, manifests, quotas={"train": 8, "val": 2, "test": 2})
    assert not manifests.exists()


# --- a region that changed


def resized(**radii: float) -> Region:
    cities = tuple(replace(city, radius_km=radii.get(city.slug, city.radius_km)) for city in REGION.cities)
    return replace(REGION, cities=cities)


def ids_of(result: SplitResult) -> set[str]:
    return set(result.manifest.table["photo_id"].to_pylist())


def test_a_smaller_radius_is_honoured_and_a_larger_one_brings_back(filled: Workspace, manifests: Path) -> None:
    """Of Ankara's photos at 0, 0.003 … 0.027 degrees north of its centre six lie within 1.7 km."""
    quotas = {"train": 2, "val": 1, "test": 1}
    fill(filled, [], resized(ankara=1.7))
    narrow = run(filled, manifests, quotas=quotas)
    assert {p: of.city.slug for p, of in narrow.misplaced.items()} == dict.fromkeys(
        ("made:0018", "made:0021", "made:0024", "made:0027"), "ankara"
    )
    assert narrow.misplaced["made:0027"].km == pytest.approx(0.027 * 111.195, rel=1e-4)
    assert ids_of(narrow).isdisjoint(narrow.misplaced)
    assert audit_manifest(narrow.manifest).outside == ()
    with pytest.raises(DataError, match=r"ankara has 6 \(4 missing\)"):
        run(filled, manifests, quotas={"train": 6, "val": 2, "test": 2})
    fill(filled, [], REGION)
    wide = run(filled, manifests, quotas={"train": 6, "val": 2, "test": 2})
    assert (wide.misplaced, len(ids_of(wide))) == ({}, 30)


def test_a_city_that_the_region_lost_is_told(filled: Workspace, manifests: Path) -> None:
    fill(filled, [], replace(REGION, cities=tuple(city for city in REGION.cities if city.slug != "ankara")))
    fewer = run(filled, manifests)
    assert (fewer.elsewhere, set(fewer.manifest.counts()), fewer.misplaced) == ({"ankara": 10}, {"bursa", "van"}, {})
    fill(filled, [], REGION)
    assert run(filled, manifests).elsewhere == run(filled, manifests, cities=["van"]).elsewhere == {}


def test_a_centre_that_moved_and_a_city_that_is_nearer(filled: Workspace, manifests: Path) -> None:
    north = City("north", "North", 39.9208 + 0.028, 32.8541, 10)
    fill(filled, [], replace(REGION, cities=(*REGION.cities, north)))
    found = run(filled, manifests, quotas={"train": 2, "val": 1, "test": 1})
    assert {p: of.nearer and of.nearer.slug for p, of in found.misplaced.items()} == dict.fromkeys(
        ("made:0015", "made:0018", "made:0021", "made:0024", "made:0027"), "north"
    )
    assert found.empty_cities.count("north") == 1
    moved = (replace(city, latitude=city.latitude + (1 if city.slug == "van" else 0)) for city in REGION.cities)
    fill(filled, [], replace(REGION, cities=tuple(moved)))
    assert {of.city.slug for of in run(filled, manifests).misplaced.values()} == {"van"}


def test_a_region_without_any_of_its_photos(filled: Workspace, manifests: Path) -> None:
    for city in ("ankara", "bursa", "van"):
        fill(filled, [], resized(**{city: 0.3}))
        found = run(filled, manifests, cities=[city], quotas={"train": 1, "val": 0, "test": 0})
        assert len(ids_of(found)) == 1  # the one nearest to its centre
    away = (replace(city, latitude=-city.latitude) for city in REGION.cities)
    fill(filled, [], replace(REGION, cities=tuple(away)))
    with pytest.raises(DataError, match="but 30 that lie outside of their city as the region has it now"):
        run(filled, manifests)


def test_photos_of_unknown_place_stay(filled: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(filled, [make_photo(n, latitude=None, longitude=None) for n in range(24)], resized(ankara=1e-3))
    assert set(run(filled, manifests).misplaced) == {"made:0024", "made:0027"}


def test_folds_and_extensions_honour_it_too(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    first = run(workspace, manifests, quotas=shares, recipe=Recipe("fractions"))
    fill(workspace, [], resized(bursa=1.0))
    folds = split_folds(workspace, manifests, 3, 0)
    assert len(folds.misplaced) == 7
    assert all(fold.manifest.counts()["bursa"] == dict.fromkeys(QUOTAS, 1) for fold in folds.folds)
    as_before = {"quotas": None, "seed": None, "recipe": None, "extend": first.manifest}
    second = run(workspace, manifests, **as_before, allow_empty_sides=True)
    assert second.growth is not None
    assert second.growth.gone == tuple(sorted(second.misplaced))
    assert second.manifest.header.version == "2.0.0"  # photos are gone
    assert audit_manifest(second.manifest).verdict == "clean"


def test_the_region_as_the_caller_has_it(filled: Workspace, manifests: Path) -> None:
    """A region file that was changed counts at once, without another collection."""
    found = run(filled, manifests, region=resized(van=2.0), quotas={"train": 2, "val": 1, "test": 1})
    assert {of.city.slug for of in found.misplaced.values()} == {"van"}
    assert next(city.radius_km for city in found.manifest.header.cities if city.slug == "van") == 2.0


# --- places


def test_manifests_that_cannot_be_written(filled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="file"):
        run(filled, tmp_path / "file")


def test_leftovers_of_a_killed_run_are_no_version(filled: Workspace, manifests: Path) -> None:
    folder = run(filled, manifests).folder
    os.rename(folder, folder.with_name(".1.0.0.1-1.part"))
    assert run(filled, manifests).folder.name == "1.0.0"


def test_what_the_catalogue_holds_is_not_changed(filled: Workspace, manifests: Path) -> None:
    decide(filled)
    before = filled.catalogue.read_bytes()
    run(filled, manifests)
    assert filled.catalogue.read_bytes() == before


# --- copies


def test_photos_that_dedup_has_not_seen_are_brought_before_it(filled: Workspace, manifests: Path) -> None:
    """The owner's commands are collect, split, bench: a split must not carry copies to two sides."""
    result = run(filled, manifests)
    assert result.cleaned is not None
    assert result.manifest.header.rules["left_out"] == {"near-duplicates": {"phash_radius": 8}}
    assert run(filled, manifests).cleaned is None


def test_an_earlier_version_with_this_data_is_found(filled: Workspace, manifests: Path) -> None:
    names = [run(filled, manifests, seed=seed).folder.name for seed in (0, 1, 0)]
    assert names == ["1.0.0", "2.0.0", "1.0.0"]


# --- ways to split


def alone(make_photo: MakePhoto, number: int, **changes: Any) -> Photo:
    """Return a photo that nothing links to another one."""
    return make_photo(number, **{"author_id": f"made:alone-{number}", **changes})


def sides_of(result: SplitResult) -> dict[str, str]:
    rows = result.manifest.table
    return dict(zip(rows["photo_id"].to_pylist(), rows["split"].to_pylist(), strict=True))


def groups_of(result: SplitResult) -> dict[str, str]:
    rows = result.manifest.table
    return dict(zip(rows["photo_id"].to_pylist(), rows["group_id"].to_pylist(), strict=True))


def test_exact_numbers_in_whole_groups(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    pairs = [make_photo(n, author_id=f"made:pair-{n // 6}-{n % 3}") for n in range(36)]  # twelve in each city
    fill(workspace, pairs)
    result = run(workspace, manifests, quotas={"train": 6, "val": 2, "test": 2}, recipe=Recipe())
    assert result.manifest.counts() == {city: {"train": 6, "val": 2, "test": 2} for city in ("bursa", "ankara", "van")}
    assert (result.left_out, result.links) == ({"ankara": 2, "bursa": 2, "van": 2}, ())
    sides, groups = sides_of(result), groups_of(result)
    by_group: dict[str, set[str]] = {}
    for photo_id, group in groups.items():
        by_group.setdefault(group, set()).add(sides[photo_id])
    assert len(by_group) == 15
    assert all(len(found) == 1 for found in by_group.values())
    assert all(group.startswith("g:made:") for group in by_group)
    assert result.grouping is not None
    assert (result.grouping.groups, result.grouping.effects["authors"].largest) == (18, 2)
    assert audit_manifest(result.manifest).verdict == "clean"


def test_the_header_states_the_rules(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    rules = GroupRules(min_distance_m=75.0, max_hours=24.0, panoramas=False)
    result = run(workspace, manifests, recipe=Recipe("exact", rules, drop_photos=True))
    stated = read_manifest(result.folder).header.rules
    assert stated == {
        "mode": "exact",
        "drop_photos": True,
        "groups": {
            "near_duplicates": True,
            "phash_radius": 8,
            "authors": True,
            "service_authors": [],
            "sequences": True,
            "min_distance_m": 75.0,
            "max_hours": 24.0,
            "panoramas": False,
            "panorama_m": 15.0,
        },
        "left_out": {"near-duplicates": {"phash_radius": 8}},
    }
    assert recipe_of(read_manifest(result.folder)) == Recipe("exact", rules, drop_photos=True)


def test_fractions_give_every_photo_a_side(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    result = run(workspace, manifests, quotas=shares, recipe=Recipe("fractions"))
    assert result.manifest.counts() == {c: {"train": 6, "val": 2, "test": 2} for c in ("bursa", "ankara", "van")}
    assert (result.left_out, result.deviations) == ({}, {})
    assert result.manifest.header.quotas == shares
    heavy = [make_photo(n, author_id=f"made:{'all' if n % 3 == 0 and n < 24 else n}") for n in range(30)]
    fill(workspace, heavy)  # one author has eight of Ankara's ten
    result = run(workspace, manifests, quotas=shares, recipe=Recipe("fractions"))
    assert result.manifest.table.num_rows == 30
    assert set(result.deviations) == {"ankara"}


def test_paper_mode_knows_no_groups(filled: Workspace, manifests: Path) -> None:
    result = run(filled, manifests)
    assert result.grouping is None
    assert result.manifest.header.rules == {"mode": "paper", "left_out": {"near-duplicates": {"phash_radius": 8}}}
    found = audit_manifest(result.manifest)
    assert found.verdict == "leak"  # it is what it says that it is: authors are on both sides
    assert (found.exit_code(), found.exit_code(claims_only=True)) == (3, 0)


def test_photos_that_link_two_sides_can_be_dropped(
    workspace: Workspace, manifests: Path, make_photo: MakePhoto
) -> None:
    """Ten photos of one author, two of which were taken where two others' were: a chain through all of Ankara."""
    chain = [
        make_photo(3 * n, author_id=f"made:{n // 4}", latitude=39.9 + (n - n % 4 // 3) / 100, longitude=32.85)
        for n in range(12)
    ]
    places = [replace(p, latitude=chain[n + 1].latitude) if n % 4 == 3 and n < 11 else p for n, p in enumerate(chain)]
    fill(workspace, places)
    quotas = {"train": 3, "val": 3, "test": 3}
    with pytest.raises(DataError, match="--drop-photos"):
        run(workspace, manifests, quotas=quotas, recipe=Recipe())
    result = run(workspace, manifests, quotas=quotas, recipe=Recipe(drop_photos=True))
    assert result.manifest.counts() == {"ankara": quotas}
    assert result.links
    assert set(result.links).isdisjoint(sides_of(result))
    assert audit_manifest(result.manifest).verdict == "clean"


def test_folds(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [make_photo(n, author_id=f"made:pair-{n // 6}-{n % 3}") for n in range(36)])
    made = split_folds(workspace, manifests, 3, 0).folds
    assert [(fold.folder.parent.name, fold.folder.name, fold.written) for fold in made] == [
        (f"turkiye15-fold-{n}-of-3", "1.0.0", True) for n in (1, 2, 3)
    ]
    tested: list[str] = []
    for number, fold in enumerate(made, start=1):
        manifest = read_manifest(fold.folder)
        assert (manifest.header.rules["mode"], manifest.header.rules["fold"], manifest.header.rules["folds"]) == (
            "kfold",
            number,
            3,
        )
        assert manifest.header.quotas == {}
        assert manifest.table.num_rows == 36
        assert audit_manifest(manifest).verdict == "clean"
        tested += [photo.photo_id for photo in manifest.photos("test")]
    assert sorted(tested) == [f"made:{n:04d}" for n in range(36)]  # every photo is tested once
    assert [fold.written for fold in split_folds(workspace, manifests, 3, 0).folds] == [False] * 3
    with pytest.raises(UsageError, match="at least 3"):
        split_folds(workspace, manifests, 2, 0)


def test_without_a_parent_there_have_to_be_quotas(filled: Workspace, manifests: Path) -> None:
    with pytest.raises(UsageError, match="how many photos a city"):
        run(filled, manifests, quotas=None)
