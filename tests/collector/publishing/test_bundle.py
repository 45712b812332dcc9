"""Publishing a manifest: what is written, that it repeats, that nothing published changes, that nothing half-done stays."""

import errno
import hashlib
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.catalogue.catalogue import open_catalogue
from collector.collecting.collect import collect
from collector.errors import DataError, IncompleteError, UsageError
from collector.manifest.manifest import Manifest, build_manifest, read_manifest, write_manifest
from collector.providers.registry import Settings, make_provider
from collector.publishing.bundle import SUMS, Published, publish
from collector.publishing.facts import Release
from collector.records import SPLITS
from collector.regions import region as find_region
from collector.sandbox.scenes import draw_world
from collector.workspace import Workspace, create_workspace
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto

pytestmark = pytest.mark.usefixtures("charts_once")

RELEASE = Release("t15 test")
PHOTOS = 16  # of the drawn world
DOCUMENTS = {"ATTRIBUTION.csv", "DATASHEET.md", "README.md", SUMS, "croissant.json", "manifest.json", "photos.parquet"}
PICTURES = {f"pictures/{name}.svg" for name in ("authors", "cities", "counts", "hours", "map", "months")}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_written(small: Manifest, folder: Path, tmp_path: Path) -> None:
    published = publish(folder, tmp_path / "out", release=RELEASE)
    assert published.folder == tmp_path / "out" / "three-cities" / "1.0.0"
    assert set(published.files) == set(contents(published.folder)) == DOCUMENTS | PICTURES
    assert (published.written, published.photos_included, published.photos_left_out) == (True, 0, {})
    assert published.bytes == sum(map(len, contents(published.folder).values()))
    assert read_manifest(published.folder).digest == small.digest
    for name in ("manifest.json", "photos.parquet"):
        assert (published.folder / name).read_bytes() == (folder / name).read_bytes()
    assert list((tmp_path / "out").rglob("*.part")) == []


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs GNU coreutils")
def test_coreutils_accept_the_sums(folder: Path, tmp_path: Path) -> None:
    published = publish(folder, tmp_path / "out", release=RELEASE)
    check = ["sha256sum", "--check", "--strict", SUMS]
    good = subprocess.run(check, cwd=published.folder, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout.count(": OK")) == (0, len(published.files) - 1)
    (published.folder / "README.md").write_text("other")
    assert subprocess.run(check, cwd=published.folder, capture_output=True, check=False).returncode == 1


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    first = publish(folder, tmp_path / "first", release=RELEASE)
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    second = publish(moved / "manifest.json", tmp_path / "second", release=RELEASE)
    assert contents(first.folder) == contents(second.folder)


def test_the_same_again_does_nothing(folder: Path, tmp_path: Path) -> None:
    first = publish(folder, tmp_path / "out", release=RELEASE)
    times = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    again = publish(folder, tmp_path / "out", release=RELEASE)
    assert again == replace(first, written=False)
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == times


def test_a_publication_never_changes(folder: Path, tmp_path: Path) -> None:
    before = contents(publish(folder, tmp_path / "out", release=RELEASE).folder)
    with pytest.raises(UsageError, match=r"DATASHEET.md differs; a publication never changes"):
        publish(folder, tmp_path / "out", release=replace(RELEASE, publisher="Somebody else"))
    assert contents(tmp_path / "out" / "three-cities" / "1.0.0") == before


def test_other_data_under_the_same_name(small: Manifest, folder: Path, tmp_path: Path, make_photo: MakePhoto) -> None:
    publish(folder, tmp_path / "out", release=RELEASE)
    write_manifest(build_manifest(HEADER, [make_photo(1)], "t15 test"), tmp_path / "other")
    with pytest.raises(UsageError, match="is published already"):
        publish(tmp_path / "other", tmp_path / "out", release=RELEASE)
    assert read_manifest(tmp_path / "out" / "three-cities" / "1.0.0").digest == small.digest


def test_a_manifest_is_published_where_it_lies(folder: Path) -> None:
    times = {name: (folder / name).stat().st_mtime_ns for name in ("manifest.json", "photos.parquet")}
    published = publish(folder, folder.parent.parent, release=RELEASE)
    assert published.folder == folder
    assert set(contents(folder)) == DOCUMENTS | PICTURES
    assert {name: (folder / name).stat().st_mtime_ns for name in times} == times
    assert publish(folder, folder.parent.parent, release=RELEASE).written is False


def test_what_was_interrupted_goes_on(folder: Path, tmp_path: Path) -> None:
    published = publish(folder, tmp_path / "out", release=RELEASE)
    whole = contents(published.folder)
    for name in (SUMS, "pictures/map.svg"):
        (published.folder / name).unlink()
    assert publish(folder, tmp_path / "out", release=RELEASE).written is True
    assert contents(published.folder) == whole


@pytest.mark.parametrize("foreign", ["notes.txt", "pictures/other.svg", ".hidden"])
def test_a_foreign_file_is_not_published_along(folder: Path, tmp_path: Path, foreign: str) -> None:
    published = publish(folder, tmp_path / "out", release=RELEASE)
    (published.folder / foreign).write_text("private")
    with pytest.raises(UsageError, match=rf"holds {foreign}, which is no part of this publication"):
        publish(folder, tmp_path / "out", release=RELEASE)


def test_a_file_in_the_way(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "three-cities").mkdir(parents=True)
    (tmp_path / "out" / "three-cities" / "1.0.0").write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        publish(folder, tmp_path / "out", release=RELEASE)


def test_a_damaged_manifest_is_not_published(folder: Path, tmp_path: Path) -> None:
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    (folder / "manifest.json").write_text(text.replace('"seed": 7', '"seed": 8'), encoding="utf-8")
    with pytest.raises(DataError, match="was changed"):
        publish(folder, tmp_path / "out", release=RELEASE)
    assert not (tmp_path / "out").exists()


def test_an_empty_manifest_is_not_published(tmp_path: Path) -> None:
    write_manifest(build_manifest(HEADER, [], "t15 test"), tmp_path / "empty")
    with pytest.raises(DataError, match="holds no photo; there is nothing to publish"):
        publish(tmp_path / "empty", tmp_path / "out", release=RELEASE)


def test_odd_rules_of_somebody_elses_manifest(make_photo: MakePhoto, tmp_path: Path) -> None:
    odd: dict[str, Any] = {"rules": {"```": ["<b>"]}, "parent": {"version": None}, "quotas": {"|": 1}, "hashes": (7,)}
    write_manifest(build_manifest(replace(HEADER, **odd), [make_photo(0)], "t15 test"), tmp_path / "odd")
    published = publish(tmp_path / "odd", tmp_path / "out", release=RELEASE)
    assert '````json\n{\n  "quotas": {\n    "|": 1' in (published.folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("release", "message"),
    [
        (Release("t15", date="yesterday"), "date 'yesterday': write it as"),
        (Release("t15", date="2026-02-30"), "date '2026-02-30'"),
        (Release("t15", redistributable=("LicenseRef-GoogleStreetView",)), "is for licences of one's own"),
        (Release("t15", redistributable=("CC-BY-4.0",)), "is for licences of one's own"),
        (Release("t15", url="javascript:alert(1)"), "must be the http or https address"),
        (Release("t15", url="https://user:word@example.org"), "must be the http or https address"),
    ],
)
def test_what_the_publisher_says_is_checked(folder: Path, tmp_path: Path, release: Release, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        publish(folder, tmp_path / "out", release=release)
    assert "user:word" not in str(raised.value)


@pytest.mark.parametrize("failing", ["pathlib.Path.rename", "pathlib.Path.write_bytes"])
def test_a_full_disk_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failing, full)
    with pytest.raises(IncompleteError, match="the disk is full"):
        publish(folder, tmp_path / "out", release=RELEASE)
    assert [path for path in (tmp_path / "out").rglob("*") if path.name != "three-cities"] == []


def test_nothing_with_a_key_is_moved_into_place(make_photo: MakePhoto, tmp_path: Path) -> None:
    key = "0123456789abcdef"
    photos = [make_photo(0), make_photo(1, title=f"made with {key}")]
    write_manifest(build_manifest(HEADER, photos, "t15 test"), tmp_path / "leaky")
    with pytest.raises(DataError, match="would hold the value of a key") as raised:
        publish(tmp_path / "leaky", tmp_path / "out", release=RELEASE, secrets=[key])
    assert key not in str(raised.value)
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


# --- a drawn world, collected and split


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """Return a workspace with a drawn world of two cities, and the folder of its manifest."""
    root = tmp_path_factory.mktemp("drawn")
    world = draw_world(root / "world", seed=5, cities=2, photos_per_city=12)
    region = find_region(str(world.region_file))
    workspace = create_workspace(root / "workspace")
    provider = make_provider("folder", Settings(region, world.root / "photos", "CC0-1.0"))
    collect(workspace, region, list(region.cities), provider)
    with open_catalogue(workspace) as catalogue:
        photos = list(catalogue.downloaded())[:PHOTOS]
    sided = [replace(photo, split=SPLITS[n % 3]) for n, photo in enumerate(photos)]
    header = replace(HEADER, name="sandbox", title=region.title, note=region.note, cities=region.cities)
    write_manifest(build_manifest(header, sided, "t15 test"), root / "manifest")
    return workspace, root / "manifest"


def published_world(drawn: tuple[Workspace, Path], out: Path) -> Published:
    return publish(drawn[1], out, release=RELEASE, photos=drawn[0])


def test_a_drawn_world_with_its_photos(drawn: tuple[Workspace, Path], tmp_path: Path) -> None:
    published = published_world(drawn, tmp_path)
    assert (published.photos_included, published.photos_left_out) == (PHOTOS, {})
    photos = [name for name in published.files if name.startswith("photos/")]
    assert photos
    sums = dict(line.split("  ")[::-1] for line in (published.folder / SUMS).read_text().splitlines())
    assert set(sums) == set(published.files) - {SUMS}
    for name in photos:
        data = (published.folder / name).read_bytes()
        assert sums[name] == hashlib.sha256(data).hexdigest()
        assert b"Exif" not in data or len(data.split(b"Exif", 1)[1].split(b"\xff\xdb")[0]) < 40


def test_every_picture_and_page_says_that_it_is_drawn(drawn: tuple[Workspace, Path], tmp_path: Path) -> None:
    folder = published_world(drawn, tmp_path).folder
    for name in ("README.md", "DATASHEET.md", "croissant.json", *PICTURES):
        text = (folder / name).read_text(encoding="utf-8")
        assert "drawn by t15" in text, name


def test_pictures_stay_small(drawn: tuple[Workspace, Path], tmp_path: Path) -> None:
    folder = published_world(drawn, tmp_path).folder
    assert sum(path.stat().st_size for path in (folder / "pictures").iterdir()) < 100_000


def test_the_machines_paths_stay_at_home(drawn: tuple[Workspace, Path], tmp_path: Path) -> None:
    published = published_world(drawn, tmp_path)
    for name, data in contents(published.folder).items():
        assert str(tmp_path).encode() not in data, name
        assert str(drawn[0].root).encode() not in data, name
    assert json.loads((published.folder / "croissant.json").read_text(encoding="utf-8"))["name"] == "sandbox"
