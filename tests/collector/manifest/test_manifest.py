"""Building, writing and reading manifests that are as they should be."""

import errno
import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.errors import DataError, IncompleteError, UsageError
from collector.manifest import digest, schema
from collector.manifest.manifest import (
    FORMAT,
    Header,
    Manifest,
    build_manifest,
    read_header,
    read_manifest,
    write_manifest,
)
from collector.records import PHOTO_FIELDS, SPLITS, Photo
from collector.workspace import storage_errors
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto


def photos_of(manifest: Manifest) -> list[Photo]:
    return [photo for side in SPLITS for photo in manifest.photos(side)]


def message(header: Header, photos: list[Photo]) -> str:
    with pytest.raises(DataError) as raised:
        build_manifest(header, photos, "t15 test")
    return str(raised.value)


FROZEN = Path(__file__).parents[2] / "data" / "manifests"

# --- the digest


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, "be804d3c5181ec0e1e2a06b1c64774707124f8de22276de31515feb8f0060b67"),
        (2, "684567679abd872ff744b5671eebda94a7cedd35b462e755245bf1b2effc3e7b"),
    ],
)
def test_frozen_manifests_are_read_for_ever(number: int, expected: str) -> None:
    """A published digest is checked for ever: no version of t15 or of a library may compute another one."""
    manifest = read_manifest(FROZEN / f"format-{number}")
    assert (manifest.format, manifest.digest, manifest.table.num_rows) == (number, expected, 13)
    assert read_header(FROZEN / f"format-{number}").digest == expected
    assert len(photos_of(manifest)) == 13


def test_a_frozen_manifest_of_format_1_has_none_of_the_later_fields() -> None:
    manifest = read_manifest(FROZEN / "format-1")
    assert {photo.heading for photo in photos_of(manifest)} == {None}
    assert (manifest.header.labels, manifest.header.protocol, manifest.header.provider_traits) == ((), "city", {})
    assert {(city.country, len(city.names)) for city in manifest.header.cities} == {("", 0)}


def test_a_frozen_manifest_of_format_2_has_them() -> None:
    manifest = read_manifest(FROZEN / "format-2")
    photo = next(photo for photo in photos_of(manifest) if photo.photo_id == "made:0004")
    assert (photo.heading, photo.sequence_id, photo.position_accuracy_m) == (122.0, "made:walk-0", 6.0)
    assert manifest.header.protocol == "place"
    assert manifest.header.provider_traits["made"].panorama == r"^(made:\d+)@"
    assert manifest.labels.levels == ("city", "district")
    assert {photo.label for photo in photos_of(manifest)} == {"ankara", "ankara/kizilay", "bursa", "van", "van/merkez"}


@pytest.mark.parametrize("number", [1, 2])
def test_a_manifest_written_again_keeps_its_format_and_digest(number: int, tmp_path: Path) -> None:
    manifest = read_manifest(str(FROZEN / f"format-{number}"))
    write_manifest(manifest, tmp_path / "again")
    again = read_manifest(tmp_path / "again")
    assert (again.digest, again.format) == (manifest.digest, number)
    written, frozen = (
        json.loads((at / "manifest.json").read_bytes()) for at in (tmp_path / "again", FROZEN / f"format-{number}")
    )
    assert written == frozen


def test_the_digest_is_that_of_the_canonical_text(small: Manifest) -> None:
    header = {"format": FORMAT, **asdict(small.header)}
    lines = [json.dumps(header, ensure_ascii=False, sort_keys=True, separators=(",", ":"))]
    for photo in sorted(photos_of(small), key=lambda photo: photo.photo_id):
        values = list(asdict(photo).values())
        values[4] = values[4] and values[4].isoformat()
        lines.append(json.dumps(values, ensure_ascii=False, separators=(",", ":")))
    assert small.digest == hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_order_and_tool_do_not_count(small: Manifest) -> None:
    photos = photos_of(small)
    random.Random(1).shuffle(photos)
    other = build_manifest(small.header, photos, "another tool")
    assert other.digest == small.digest
    assert other.table.equals(small.table)


def test_times_of_other_zones_are_the_same_data(small: Manifest) -> None:
    there = timezone(timedelta(hours=3))
    photos = [replace(p, taken_at=p.taken_at and p.taken_at.astimezone(there)) for p in photos_of(small)]
    assert build_manifest(small.header, photos, "").digest == small.digest


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"version": "1.0.1"},
        {"region": "other"},
        {"title": "other"},
        {"note": ""},
        {"seed": 8},
        {"quotas": {"train": 4, "val": 3, "test": 4}},
        {"rules": {}},
        {"cities": (*HEADER.cities[::-1],)},
        {"cities": (replace(HEADER.cities[0], radius_km=24.0), *HEADER.cities[1:])},
        {"hashes": ()},
        {"parent": {"version": "0.9.0", "digest": "0" * 64}},
    ],
)
def test_every_field_of_the_header_counts(small: Manifest, change: dict[str, Any]) -> None:
    assert build_manifest(replace(small.header, **change), photos_of(small), "").digest != small.digest


@pytest.mark.parametrize("name", [name for name in PHOTO_FIELDS if name not in ("latitude", "longitude")])
def test_every_field_of_a_photo_counts(small: Manifest, name: str) -> None:
    others: dict[str, Any] = {
        "taken_at": datetime(2019, 5, 1, 12, 30, 0, 1, tzinfo=UTC),
        "city": "van",
        "split": "test",
        "sha256": "0" * 64,
        "phash": "0" * 16,
        "dhash": None,
        "heading": 90.0,
        "position_accuracy_m": 5.0,
        "label": "van",
    }
    first, *rest = sorted(photos_of(small), key=lambda photo: photo.photo_id)
    value = getattr(first, name)
    other = others.get(name, value + 1 if isinstance(value, int) else f"{value}x")
    assert build_manifest(small.header, [replace(first, **{name: other}), *rest], "").digest != small.digest


# --- there and back


def test_round_trip(small: Manifest, folder: Path) -> None:
    found = read_manifest(folder)
    assert (found.header, found.digest, found.tool) == (small.header, small.digest, "t15 test")
    assert found.table.equals(small.table)
    assert found.table.schema.equals(schema.ARROW)
    assert photos_of(found) == photos_of(small)
    assert found.counts() == small.counts()
    assert sum(sum(sides.values()) for sides in found.counts().values()) == 30


def test_files_are_the_same_bytes_each_time(small: Manifest, folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_manifest(build_manifest(small.header, reversed(photos_of(small)), "t15 test"), again)
    for name in ("manifest.json", "photos.parquet"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "photos.parquet"]


def test_photos_are_sorted_and_the_lists_are_ones_own(small: Manifest) -> None:
    train = small.photos("train")
    assert [photo.photo_id for photo in train] == sorted(photo.photo_id for photo in train)
    train.clear()
    assert small.photos("train")


def test_a_manifest_without_photos(tmp_path: Path) -> None:
    empty = build_manifest(HEADER, [], "")
    write_manifest(empty, tmp_path / "empty")
    found = read_manifest(tmp_path / "empty")
    assert (found.digest, found.table.num_rows) == (empty.digest, 0)
    assert found.photos("train") == []


def test_many_photos_share_checks(small: Manifest, tmp_path: Path, make_photo: MakePhoto) -> None:
    many = build_manifest(HEADER, (make_photo(n, photo_id=f"x:{n:05}", latitude=0.0) for n in range(5000)), "")
    write_manifest(many, tmp_path / "many")
    assert len((tmp_path / "many" / "manifest.json").read_bytes()) < 60_000
    assert read_manifest(tmp_path / "many").digest == many.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    title=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    taken_at=st.none() | st.datetimes(datetime(1826, 1, 1), datetime(2100, 12, 31), timezones=st.just(UTC)),
)
def test_any_values_come_back(
    tmp_path: Path,
    make_photo: MakePhoto,
    title: str | None,
    latitude: float,
    longitude: float,
    taken_at: datetime | None,
) -> None:
    shutil.rmtree(tmp_path / "m", ignore_errors=True)
    photo = make_photo(0, title=title, latitude=latitude, longitude=longitude, taken_at=taken_at)
    write_manifest(build_manifest(HEADER, [photo], ""), tmp_path / "m")
    assert read_manifest(tmp_path / "m").photos("train") == [photo]


# --- what a manifest does not take


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"photo_id": "no-provider"}, "column photo_id: 'no-provider' must be provider:native-id"),
        ({"photo_id": "Made:1"}, "column photo_id"),
        ({"photo_id": "made:1 2"}, "column photo_id"),
        ({"city": "izmir"}, "column city: 'izmir' must be a city of manifest.json"),
        ({"latitude": 91.0}, "column latitude: 91.0 must be from -90 to 90"),
        ({"longitude": -180.5}, "column longitude: -180.5 must be from -180 to 180"),
        ({"latitude": float("inf")}, "column latitude"),
        ({"latitude": None}, "column latitude: latitude and longitude must both be known or both be missing"),
        ({"latitude": float("nan")}, "column latitude"),
        ({"latitude": float("nan"), "longitude": float("nan")}, "column latitude"),
        ({"license": "CC BY 4.0"}, "column license: 'CC BY 4.0' must be an SPDX id"),
        ({"license": None}, "column license"),
        ({"width": 0}, "column width: 0 must be from 1 to 1048576"),
        ({"width": None}, "column width"),
        ({"height": 2**21}, "column height"),
        ({"height": 2**40}, "made:0004|column height"),
        ({"bytes": 0}, "column bytes"),
        ({"sha256": "0" * 63}, "column sha256"),
        ({"sha256": "A" * 64}, "column sha256"),
        ({"sha256": "0" * 64 + "\n"}, "column sha256"),
        ({"sha256": None}, "column sha256"),
        ({"phash": "0" * 15}, "column phash"),
        ({"split": "training"}, "column split: 'training' must be one of train, val, test"),
        ({"split": None}, "column split"),
        ({"title": "half \ud800"}, "title|fit"),
        ({"width": "640"}, "fit"),
        ({"title": 7}, "fit"),
    ],
)
def test_photos_that_are_not_fit(make_photo: MakePhoto, overrides: dict[str, Any], says: str) -> None:
    said = message(HEADER, [make_photo(0), make_photo(4, **overrides), make_photo(8)])
    assert any(part in said for part in says.split("|")), said
    assert said.startswith("photos of three-cities: ")
    assert "\n" not in said


def test_the_row_is_named(make_photo: MakePhoto) -> None:
    said = message(HEADER, [make_photo(8), make_photo(4, latitude=91.0), make_photo(0)])
    assert "row 1 (photo_id 'made:0004'), column latitude: 91.0 must be from -90 to 90" in said


def test_the_first_wrong_row_is_named(make_photo: MakePhoto) -> None:
    photos = [make_photo(n) for n in range(12)]
    photos[9] = replace(photos[9], split="x")
    photos[3] = replace(photos[3], width=0)
    assert "row 3 (photo_id 'made:0003'), column width" in message(HEADER, photos)


def test_an_id_twice(make_photo: MakePhoto) -> None:
    said = message(HEADER, [make_photo(0), make_photo(3), make_photo(3, title="again")])
    assert "(photo_id 'made:0003'), column photo_id: 'made:0003' must be unique" in said


@pytest.mark.parametrize("field", ["page_url", "image_url"])
@pytest.mark.parametrize(
    "url",
    [
        "https://maps.example/streetview?size=640x640&key=AIzaSECRET",
        "https://maps.example/streetview?KEY=AIzaSECRET",
        "https://maps.example/streetview?location=1,2&signature=AIzaSECRET",
        "https://api.example/rest/?method=x&api_key=AIzaSECRET&format=json",
        "https://graph.example/images?access_token=AIzaSECRET",
        "https://graph.example/images?fields=id;access_token=AIzaSECRET",
        "https://graph.example/images#access_token=AIzaSECRET",
        "https://storage.example/a.jpg?X-Goog-Signature=AIzaSECRET",
        "https://storage.example/a.jpg?Expires=1&X-Amz-Signature=AIzaSECRET",
        "https://storage.example/a.jpg?sv=2020&sig=AIzaSECRET",
        "https://cdn.example/v/t1/a.jpg?oh=AIzaSECRET&oe=66A",
        "https://user:AIzaSECRET@photos.example/a.jpg",
    ],
)
def test_keys_and_signatures_are_refused_and_never_printed(make_photo: MakePhoto, field: str, url: str) -> None:
    said = message(HEADER, [make_photo(0), make_photo(4, **{field: url})])
    assert f"row 1 (photo_id 'made:0004'), column {field}: must not carry a key or a signature" in said
    assert "SECRET" not in said


@pytest.mark.parametrize(
    "url",
    [
        "https://commons.wikimedia.org/wiki/File:Key_West.jpg",
        "https://example.org/monkey=1?page=2",
        "https://example.org/?monkey=1&keyword=castle&design=2",
        "https://live.staticflickr.com/65535/50_abcdef0123_b.jpg",
        "https://example.org/@someone/photo",
    ],
)
def test_other_addresses_are_fine(make_photo: MakePhoto, url: str) -> None:
    assert build_manifest(HEADER, [make_photo(0, page_url=url, image_url=url)], "").table.num_rows == 1


def test_a_key_is_not_printed_by_another_error_either(make_photo: MakePhoto) -> None:
    url = "https://maps.example/streetview?key=AIzaSECRET"
    for overrides in ({"latitude": 91.0}, {"image_url": url + "\ud800"}, {"width": "x"}, {"page_url": [url]}):
        said = message(HEADER, [make_photo(4, **{"image_url": url, **overrides})])
        assert "SECRET" not in said


@pytest.mark.parametrize("name", ["", "Three", "three_cities", "-three", "../x", "three\n", "üç"])
def test_names_that_are_none(make_photo: MakePhoto, name: str) -> None:
    with pytest.raises(UsageError, match="use small letters, digits and hyphens"):
        build_manifest(replace(HEADER, name=name), [make_photo(0)], "")


# --- writing


def test_writing_it_again_changes_nothing(small: Manifest, folder: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert write_manifest(small, folder) is False
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


def test_what_is_there_stays(small: Manifest, folder: Path, tmp_path: Path) -> None:
    other = build_manifest(replace(small.header, seed=8), photos_of(small), "")
    before = (folder / "manifest.json").read_bytes()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for place in (folder, tmp_path / "full", tmp_path / "file"):
        with pytest.raises(UsageError, match="a version never changes: give another --version"):
            write_manifest(other, place)
    assert (folder / "manifest.json").read_bytes() == before
    assert (tmp_path / "full" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("failing", ["pyarrow.parquet.write_table", "pathlib.Path.write_bytes", "pathlib.Path.rename"])
def test_a_full_disk_leaves_nothing_behind(
    small: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failing, full)
    with pytest.raises(IncompleteError, match="the disk is full"), storage_errors(tmp_path):
        write_manifest(small, tmp_path / "name" / "1.0.0")
    assert [path for path in tmp_path.rglob("*") if path != tmp_path / "name"] == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is a disk of 16 KiB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(command, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full(small: Manifest, tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(bytes(8000))
    with pytest.raises(IncompleteError, match="the disk is full"), storage_errors(tiny_disk):
        write_manifest(small, tiny_disk / "name" / "1.0.0")
    assert [path.name for path in tiny_disk.rglob("*")] in (["ballast", "name"], ["name", "ballast"])


def test_the_parquet_file_is_plain(folder: Path) -> None:
    """Anyone reads it with any tool: flat columns, zstd, no pandas metadata."""
    file = pq.ParquetFile(folder / "photos.parquet")
    assert file.schema_arrow.names == list(PHOTO_FIELDS)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert pq.read_table(folder / "photos.parquet").num_rows == 30
    file.close()


def test_canonical_values() -> None:
    values = ["ş\n", None, -0.0, 1e-300, 0.1 + 0.2, 7]
    assert b"".join(map(digest.canonical_json, values)).decode() == '"ş\\n"null-0.01e-3000.300000000000000047'
    with pytest.raises(ValueError, match=r"JSON compliant"):
        digest.canonical_json(float("nan"))


def test_the_schema_has_a_field_for_each_of_a_photo() -> None:
    assert tuple(schema.ARROW.names) == PHOTO_FIELDS
    assert isinstance(schema.ARROW, pa.Schema)
