"""Which versions there are, which is the newest, which comes next."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.manifest.manifest import Manifest, newest_manifest, next_version, version_key, versions, write_manifest

NUMBERS = st.integers(0, 10**10 - 1)


def sides(manifest: Manifest) -> dict[str, tuple[str, str]]:
    table = manifest.table
    columns = (table[name].to_pylist() for name in ("photo_id", "city", "split"))
    return {photo_id: (city, side) for photo_id, city, side in zip(*columns, strict=True)}


def at(manifest: Manifest, version: str) -> Manifest:
    return replace(manifest, header=replace(manifest.header, version=version))


def put(manifests: Path, name: str, version: str, seconds: int) -> Path:
    """Make a folder that looks like a manifest from outside, written to at this time."""
    path = manifests / name / version / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    os.utime(path, (seconds, seconds))
    return path.parent


# --- the next version


def test_added_photos_are_a_minor_change(small: Manifest) -> None:
    assert next_version(at(small, "1.4.2"), {**sides(small), "made:9999": ("bursa", "train")}) == "1.5.0"


def test_a_photo_that_is_gone_is_a_major_change(small: Manifest) -> None:
    found = sides(small)
    found.pop("made:0003")
    assert next_version(at(small, "1.4.2"), found) == "2.0.0"
    assert (
        next_version(at(small, "1.4.2"), {**found, "made:9998": ("bursa", "train"), "made:9999": ("bursa", "train")})
        == "2.0.0"
    )
    assert next_version(at(small, "1.4.2"), {}) == "2.0.0"


def test_a_photo_on_another_side_is_a_major_change(small: Manifest) -> None:
    found = sides(small)
    assert next_version(at(small, "1.4.2"), {**found, "made:0000": ("bursa", "test")}) == "2.0.0"
    assert (
        next_version(at(small, "1.4.2"), {**found, "made:0000": ("bursa", "test"), "made:9999": ("bursa", "train")})
        == "2.0.0"
    )


def test_anything_else_is_a_patch(small: Manifest) -> None:
    assert next_version(at(small, "1.4.2"), sides(small)) == "1.4.3"
    assert next_version(at(small, "0.9.9"), sides(small)) == "0.9.10"


# --- versions as numbers


@given(NUMBERS, NUMBERS, NUMBERS)
def test_numbers(major: int, minor: int, patch: int) -> None:
    assert version_key(f"{major}.{minor}.{patch}") == (major, minor, patch)


@pytest.mark.parametrize(
    "version",
    ["", "1", "1.0", "1.0.0.0", "v1.0.0", "01.0.0", "1.0.0-rc", "1.0.0\n", " 1.0.0", "-1.0.0", "1.0.٣", "1.²0.0"],
)
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(UsageError, match="write it as major"):
        version_key(version)


def test_versions_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    for version in ("1.10.0", "1.9.0", "10.0.0", "2.0.0", "v3", ".1.0.0.12-3.part", "latest"):
        put(tmp_path, "name", version, 0)
    (tmp_path / "name" / "3.0.0").mkdir()  # holds no manifest
    assert versions(tmp_path, "name") == ["1.9.0", "1.10.0", "2.0.0", "10.0.0"]
    assert versions(tmp_path, "other") == []
    assert versions(tmp_path / "none", "name") == []


# --- the newest manifest


def test_the_newest_is_the_highest_version_of_what_was_last_written(tmp_path: Path) -> None:
    put(tmp_path, "old", "9.0.0", 100)
    put(tmp_path, "mine", "1.10.0", 200)
    put(tmp_path, "mine", "1.9.0", 150)
    put(tmp_path, "mine", ".2.0.0.1-1.part", 900)
    assert newest_manifest(tmp_path) == tmp_path / "mine" / "1.10.0"
    put(tmp_path, "other", "0.1.0", 300)
    assert newest_manifest(tmp_path) == tmp_path / "other" / "0.1.0"


def test_a_data_set_written_to_last_counts_by_its_highest_version(tmp_path: Path) -> None:
    """An older version that was fetched again makes its data set the one last written to."""
    put(tmp_path, "mine", "2.0.0", 100)
    put(tmp_path, "other", "1.0.0", 200)
    put(tmp_path, "mine", "1.0.0", 300)
    assert newest_manifest(tmp_path) == tmp_path / "mine" / "2.0.0"


def test_there_is_none(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="holds no manifest yet"):
            newest_manifest(place)
    put(tmp_path, "name", "latest", 0)
    with pytest.raises(UsageError, match="holds no manifest yet"):
        newest_manifest(tmp_path)


def test_a_written_manifest_is_found(small: Manifest, tmp_path: Path) -> None:
    write_manifest(small, tmp_path / "three-cities" / "1.0.0")
    assert newest_manifest(tmp_path) == tmp_path / "three-cities" / "1.0.0"
    assert versions(tmp_path, "three-cities") == ["1.0.0"]
