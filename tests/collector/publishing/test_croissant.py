"""croissant.json against mlcroissant, the reference implementation: it validates, and reads the photos."""

import hashlib
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.manifest.manifest import Manifest, build_manifest, write_manifest
from collector.publishing.bundle import publish
from collector.publishing.facts import Release
from collector.records import SPLITS
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto

mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
# mlcroissant 1.1 calls what rdflib 7 and pandas 3 are about to drop.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning"),
]
COMPLETE = Release("t15 test", "2026-05-01", "An institute", "https://example.org/data")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("no network here")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def dataset(folder: Path) -> Any:
    return mlcroissant.Dataset(jsonld=folder / "croissant.json")


@pytest.fixture
def published(folder: Path, tmp_path: Path) -> Path:
    return publish(folder, tmp_path / "out", release=COMPLETE).folder


def text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


def test_it_validates_without_a_warning(published: Path) -> None:
    found = dataset(published)
    assert (found.metadata.ctx.issues.errors, found.metadata.ctx.issues.warnings) == (set(), set())
    assert found.metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"


def test_without_a_date_only_the_date_is_missed(folder: Path, tmp_path: Path) -> None:
    found = dataset(publish(folder, tmp_path / "out", release=Release("t15 test")).folder)
    assert found.metadata.ctx.issues.errors == set()
    (warning,) = found.metadata.ctx.issues.warnings
    assert "datePublished" in str(warning)


def test_every_photo_is_read_with_its_types(published: Path, small: Manifest) -> None:
    photos = [photo for side in SPLITS for photo in small.photos(side)]
    expected = {photo.photo_id: photo for photo in photos}
    records = list(dataset(published).records("photos"))
    assert len(records) == len(expected) == 30
    for record in records:
        photo = expected[str(text(record["photos/photo_id"]))]
        place = record["photos/place"]
        assert (place["photos/place/latitude"], place["photos/place/longitude"]) == (photo.latitude, photo.longitude)
        when = record["photos/taken_at"]
        assert (None if when is None else when.to_pydatetime()) == photo.taken_at
        for name in ("city", "split", "license", "sha256", "phash", "dhash", "title", "author_name", "author_id"):
            assert text(record[f"photos/{name}"]) == getattr(photo, name), name
        for name in ("image_url", "page_url", "width", "height", "bytes", "group_id"):
            assert text(record[f"photos/{name}"]) == getattr(photo, name), name


def test_labels_splits_and_licences_are_enumerations(published: Path) -> None:
    found = dataset(published)
    splits = [(text(row["splits/name"]), text(row["splits/url"])) for row in found.records("splits")]
    assert splits == [("train", "cr:TrainingSplit"), ("val", "cr:ValidationSplit"), ("test", "cr:TestSplit")]
    assert [text(row["cities/slug"]) for row in found.records("cities")] == ["ankara", "bursa", "van"]
    assert [text(row["licences/id"]) for row in found.records("licences")] == ["CC-BY-4.0"]
    content = json.loads((published / "croissant.json").read_text(encoding="utf-8"))
    types = {table["@id"]: table["dataType"] for table in content["recordSet"]}
    assert types == {
        "splits": "cr:Split",
        "cities": "sc:Enumeration",
        "licences": "sc:Enumeration",
        "photos": "sc:ImageObject",
    }
    fields = {field["@id"]: field for table in content["recordSet"] for field in table["field"]}
    assert fields["photos/split"]["references"] == {"field": {"@id": "splits/name"}}
    assert fields["photos/city"]["references"] == {"field": {"@id": "cities/slug"}}
    assert fields["photos/city"]["dataType"] == ["sc:Text", "cr:Label"]


def test_a_changed_table_is_refused(published: Path, tmp_path: Path, make_photo: MakePhoto) -> None:
    """The digests in it are checked: another table under the same name is not read as this one."""
    write_manifest(build_manifest(HEADER, [make_photo(1)], "t15"), tmp_path / "other")
    (published / "photos.parquet").write_bytes((tmp_path / "other" / "photos.parquet").read_bytes())
    content = json.loads((published / "croissant.json").read_text(encoding="utf-8"))
    (table,) = (file for file in content["distribution"] if file["@id"] == "photos.parquet")
    assert table["sha256"] != hashlib.sha256((published / "photos.parquet").read_bytes()).hexdigest()
    assert table["contentSize"] != f"{(published / 'photos.parquet').stat().st_size} B"


def test_licences_are_addresses_or_names(make_photo: MakePhoto, tmp_path: Path) -> None:
    licences = ("CC0-1.0", "LicenseRef-AllRightsReserved", "LicenseRef-GoogleStreetView", "LicenseRef-Own")
    photos = [make_photo(n, license=licence) for n, licence in enumerate(licences)]
    write_manifest(build_manifest(HEADER, photos, "t15"), tmp_path / "m")
    folder = publish(tmp_path / "m", tmp_path / "out", release=COMPLETE).folder
    content = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    assert content["license"] == [
        "https://creativecommons.org/publicdomain/zero/1.0/",
        {"@type": "sc:CreativeWork", "name": "All rights reserved"},
        "https://cloud.google.com/maps-platform/terms",
        {"@type": "sc:CreativeWork", "name": "LicenseRef-Own"},
    ]
    assert dataset(folder).metadata.ctx.issues.errors == set()


def test_responsible_use_follows_the_facts(published: Path) -> None:
    metadata = dataset(published).metadata
    assert metadata.data_limitations[0] == "Note: made up"
    assert any("without coordinates" in line for line in metadata.data_limitations)
    assert metadata.data_collection_missing_data == (
        "Of 30 photos, 1 have no coordinates, 1 no time and 1 no known author."
    )
    for said in (
        metadata.data_biases,
        metadata.data_collection,
        metadata.data_use_cases,
        metadata.data_social_impact,
        metadata.personal_sensitive_information,
        metadata.data_release_maintenance_plan,
        metadata.data_preprocessing_protocol,
    ):
        assert said


def test_hostile_names(make_photo: MakePhoto, tmp_path: Path) -> None:
    bad = '"}],"@id":"x",\u202e\x00</script>\n}} \\ @misc{'
    city = replace(HEADER.cities[0], name=bad)
    header = replace(HEADER, title=bad, note=bad, cities=(city, *HEADER.cities[1:]))
    write_manifest(build_manifest(header, [make_photo(0, title=bad, author_name=bad)], bad), tmp_path / "m")
    folder = publish(tmp_path / "m", tmp_path / "out", release=replace(COMPLETE, publisher=bad)).folder
    found = dataset(folder)
    assert found.metadata.ctx.issues.errors == set()
    assert len(list(found.records("photos"))) == 1
    raw = (folder / "croissant.json").read_text(encoding="utf-8")
    assert "\u202e" not in raw
    entry = json.loads(raw)["citeAs"]
    assert entry.count("{") == entry.count("}")
