"""What changed between two manifests, counted against plain sets."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.manifest.diff import Diff, as_json, as_text, diff
from collector.manifest.manifest import Manifest, build_manifest, next_version, version_key
from collector.records import SPLITS, City, Photo
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto

Edit = Callable[[dict[str, Photo]], object]


def photos_of(manifest: Manifest) -> dict[str, Photo]:
    return {photo.photo_id: photo for side in SPLITS for photo in manifest.photos(side)}


def after(before: Manifest, edit: Edit, version: str = "2.0.0", **header: Any) -> Manifest:
    photos = photos_of(before)
    edit(photos)
    return build_manifest(replace(before.header, version=version, **header), photos.values(), "t15 test")


def change(photo_id: str, **values: Any) -> Edit:
    def edit(photos: dict[str, Photo]) -> None:
        photos[photo_id] = replace(photos[photo_id], **values)

    return edit


def parent(of: Manifest) -> dict[str, str]:
    return {"version": of.header.version, "digest": of.digest}


def test_the_same(small: Manifest) -> None:
    found = diff(small, small)
    assert (found.same, found.part, found.version_fault) == (True, None, "")
    assert as_text(found) == f"three-cities 1.0.0 and three-cities 1.0.0 hold the same data (digest {small.digest})"


def test_added_and_removed(small: Manifest, make_photo: MakePhoto) -> None:
    def edit(photos: dict[str, Photo]) -> None:
        del photos["made:0000"], photos["made:0003"]
        photos["made:0100"] = make_photo(100, split="val")

    found = diff(small, after(small, edit))
    assert (found.added.photos, found.added.by_side, found.added.examples) == (
        1,
        {"train": 0, "val": 1, "test": 0},
        ("made:0100",),
    )
    assert (found.removed.photos, found.removed.by_side) == (2, {"train": 1, "val": 1, "test": 0})
    assert (found.moved.photos, found.relabelled.photos, found.columns) == (0, 0, {})
    assert found.counts["ankara"]["train"] == (4, 3)
    assert (found.part, found.version_fault) == ("major", "")


def test_moved_and_relabelled(small: Manifest) -> None:
    def edit(photos: dict[str, Photo]) -> None:
        change("made:0006", split="train")(photos)  # test before
        change("made:0003", split="train")(photos)  # val before
        change("made:0000", split="test", city="van")(photos)  # train, ankara before

    found = diff(small, after(small, edit))
    assert found.moved.photos == 3
    assert found.moved.counts == {"test": {"train": 1}, "val": {"train": 1}, "train": {"test": 1}}
    assert found.moved.examples == ("made:0000", "made:0003", "made:0006")
    assert found.relabelled.counts == {"ankara": {"van": 1}}
    assert found.judged_then_learned == 2
    text = as_text(found)
    assert "NOT COMPARABLE: 2 photos of validation or test became training" in text
    assert "  test -> train: 1" in text


def test_metadata_by_column(small: Manifest) -> None:
    """A value that appears or disappears has changed; one that is missing in both has not."""

    def edit(photos: dict[str, Photo]) -> None:
        change("made:0001", title=None, latitude=40.0, longitude=30.0)(photos)
        change("made:0002", title="new", taken_at=None)(photos)
        change("made:0028", author_id="made:found")(photos)

    found = diff(small, after(small, edit, "1.0.1"))
    assert {name: of.photos for name, of in found.columns.items()} == {
        "latitude": 1,
        "longitude": 1,
        "taken_at": 1,
        "author_id": 1,
        "title": 2,
    }
    assert found.columns["title"].examples == ("made:0001", "made:0002")
    before = photos_of(small)
    assert f"title changed: 2 photos, such as {before['made:0001'].title}, new\n" in as_text(
        found
    )  # by what they are called
    assert (found.part, found.version_fault, found.moved.photos) == ("patch", "", 0)


def test_header_and_cities(small: Manifest) -> None:
    cities = (*small.header.cities[1:], City("izmir", "İzmir", 38.4, 27.1, 20.0))
    gone = after(small, lambda photos: [photos.pop(i) for i, p in list(photos.items()) if p.city == "ankara"])
    found = diff(small, build_manifest(replace(gone.header, cities=cities, seed=8), photos_of(gone).values(), ""))
    assert found.header == {"seed": (7, 8)}
    assert (found.cities_added, found.cities_removed, found.cities_changed) == (("izmir",), ("ankara",), ())
    assert found.counts["ankara"]["train"] == (4, 0)
    moved = (replace(small.header.cities[0], latitude=1.0), *small.header.cities[1:])
    assert diff(small, after(small, dict, cities=moved)).cities_changed == ("ankara",)


def test_an_extension(small: Manifest, make_photo: MakePhoto) -> None:
    def add(photos: dict[str, Photo]) -> None:
        photos["made:0100"] = make_photo(100)

    found = diff(small, after(small, add, "1.1.0", parent=parent(small)))
    assert (found.extends, found.names_parent, found.part, found.version_fault) == (True, True, "minor", "")
    assert "extends three-cities 1.0.0" in as_text(found)
    other = {**parent(small), "digest": "0" * 64}
    for header in ({}, {"parent": other}):
        found = diff(small, after(small, add, "1.1.0", **header))
        assert (found.extends, found.names_parent) == (False, False)


@pytest.mark.parametrize(
    "edit",
    [
        change("made:0006", split="train"),
        change("made:0000", city="van"),
        lambda photos: photos.pop("made:0000"),
    ],
)
def test_what_names_its_parent_but_changes_it_is_no_extension(small: Manifest, edit: Edit) -> None:
    found = diff(small, after(small, edit, parent=parent(small)))
    assert (found.extends, found.names_parent) == (False, True)
    assert "names three-cities 1.0.0 as its parent, but does not keep" in as_text(found)


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        ("2.0.0", ""),
        ("3.1.0", ""),
        ("1.1.0", "from 1.0.0 to 1.1.0 only the minor number rose, but the major number has to"),
        ("1.0.1", "from 1.0.0 to 1.0.1 only the patch number rose, but the major number has to"),
        ("1.0.0", "both are 1.0.0, but differ: a published version never changes"),
        ("0.9.0", "0.9.0 is older than 1.0.0: this is the way back"),
    ],
)
def test_versions(small: Manifest, version: str, fault: str) -> None:
    found = diff(small, after(small, change("made:0006", split="train"), version))
    assert (found.part, found.version_fault) == ("major", fault)


def test_versions_of_different_data_sets_say_nothing(small: Manifest) -> None:
    found = diff(small, after(small, dict, "1.0.0", name="another"))
    assert found.version_fault == ""
    assert "version:" not in as_text(found)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_is_counted_and_needs_the_version_that_split_would_give(
    small: Manifest, data: st.DataObject
) -> None:
    before = photos_of(small)
    kept = {i: p for i, p in before.items() if data.draw(st.integers(0, 9)) or i == "made:0000"}
    now = {
        i: replace(p, split=data.draw(st.sampled_from(SPLITS))) if data.draw(st.booleans()) else p
        for i, p in kept.items()
    }
    for n in range(data.draw(st.integers(0, 3))):
        now[f"made:9{n}"] = replace(before["made:0001"], photo_id=f"made:9{n}")
    other = build_manifest(replace(HEADER, version="1.0.1"), now.values(), "")
    found = diff(small, other)
    assert found.added.photos == len(now.keys() - before.keys())
    assert found.removed.photos == len(before.keys() - now.keys())
    assert found.moved.photos == sum(now[i].split != before[i].split for i in now.keys() & before.keys())
    assert sum(n for to in found.moved.counts.values() for n in to.values()) == found.moved.photos
    following = version_key(next_version(small, {i: (p.city, str(p.split)) for i, p in now.items()}))
    assert found.part == {(2, 0, 0): "major", (1, 1, 0): "minor", (1, 0, 1): "patch"}[following]
    assert isinstance(found, Diff)


def test_json_and_hostile_text(small: Manifest) -> None:
    found = diff(small, after(small, change("made:0001", title="\x1b[2J"), "1.0.1", note="a\nNOT COMPARABLE: b\x1b"))
    assert json.loads(json.dumps(as_json(found), allow_nan=False))["columns"]["title"]["photos"] == 1
    text = as_text(found)
    assert "\x1b" not in text
    assert not any(line.startswith("NOT COMPARABLE") for line in text.splitlines())
