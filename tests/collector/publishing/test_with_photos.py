"""Which photos leave, which stay, and why."""

import csv
import hashlib
import io
from pathlib import Path

import pytest

from collector.manifest.manifest import Manifest, build_manifest, write_manifest
from collector.publishing.bundle import publish
from collector.publishing.facts import Release
from collector.publishing.with_photos import REASONS, include_photos
from collector.workspace import Workspace
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto, PhotoBytes

pytestmark = pytest.mark.usefixtures("charts_once")


def store(workspace: Workspace, data: bytes) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    path = workspace.photo(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return sha256


@pytest.fixture
def mixed(workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes) -> Manifest:
    """Return a manifest with a photo for each outcome; all but one lie in the workspace."""
    street = store(workspace, photo_bytes(90))
    damaged = store(workspace, photo_bytes(91))
    workspace.photo(damaged).write_bytes(photo_bytes(92))
    free = {"license": "CC0-1.0"}
    photos = [
        make_photo(0, **free, sha256=store(workspace, photo_bytes(0, comment="4711"))),
        make_photo(1, license="CC-BY-NC-ND-4.0", sha256=store(workspace, photo_bytes(1))),
        make_photo(2, **free, sha256=store(workspace, photo_bytes(2, format="PNG"))),
        make_photo(3, license="LicenseRef-AllRightsReserved", sha256=store(workspace, photo_bytes(3))),
        make_photo(4, license="LicenseRef-Unknown", sha256=store(workspace, photo_bytes(4))),
        make_photo(5, license="LicenseRef-Own", sha256=store(workspace, photo_bytes(5))),
        make_photo(6, license="LicenseRef-GoogleStreetView", sha256=store(workspace, photo_bytes(6))),
        make_photo(7, **free, photo_id="streetview:abc", sha256=street),
        make_photo(8, **free, sha256=street),  # the same bytes under a free licence
        make_photo(9, **free),
        make_photo(10, **free, sha256=damaged),
        make_photo(11, **free, sha256=store(workspace, photo_bytes(11, format="TIFF"))),
    ]
    return build_manifest(HEADER, photos, "t15 test")


def test_each_photo_has_its_outcome(mixed: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    included = include_photos(mixed, workspace, tmp_path / "draft")
    assert {photo_id: file.changed for photo_id, file in included.files.items()} == {
        "made:0000": True,
        "made:0001": False,
        "made:0002": False,
    }
    assert included.left_out == {
        **dict.fromkeys(("made:0003", "made:0004", "made:0005"), "licence"),
        **dict.fromkeys(("made:0006", "streetview:abc", "made:0008"), "ids-only"),
        "made:0009": "missing",
        "made:0010": "damaged",
        "made:0011": "format",
    }
    assert list(included.reasons()) == ["ids-only", "licence", "missing", "damaged", "format"]
    assert set(included.reasons()) <= set(REASONS)
    files = {path.relative_to(tmp_path / "draft").as_posix() for path in (tmp_path / "draft").rglob("*.*")}
    assert {file.path for file in included.files.values()} == files
    assert [path.rsplit(".")[-1] for path, _ in included.files.values()] == ["jpg", "jpg", "png"]


def test_no_pixel_of_street_view_leaves(
    mixed: Manifest, workspace: Workspace, tmp_path: Path, photo_bytes: PhotoBytes
) -> None:
    write_manifest(mixed, tmp_path / "manifest")
    published = publish(tmp_path / "manifest", tmp_path / "out", release=Release("t15"), photos=workspace)
    assert published.photos_included == 3
    assert published.photos_left_out["ids-only"] == 3
    whole = {path: path.read_bytes() for path in published.folder.rglob("*") if path.is_file()}
    for seed in (3, 4, 5, 6, 90):
        coded = photo_bytes(seed)[-400:]
        assert not any(coded in data for data in whole.values())
    assert any(photo_bytes(1)[-400:] in data for data in whole.values())  # the search finds what is there
    for picture in published.folder.glob("pictures/*.svg"):
        assert b"image/jpeg" not in picture.read_bytes()


def test_the_list_says_what_became_of_each(mixed: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    write_manifest(mixed, tmp_path / "manifest")
    published = publish(tmp_path / "manifest", tmp_path / "out", release=Release("t15"), photos=workspace)
    text = (published.folder / "ATTRIBUTION.csv").read_bytes().decode()
    rows = {row["photo_id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert (published.folder / rows["made:0000"]["file"]).is_file()
    assert rows["made:0000"]["changes"] == "metadata removed, pixels unchanged"
    assert rows["made:0001"]["changes"] == "none"
    assert (rows["made:0006"]["file"], rows["made:0006"]["left_out"]) == ("", "ids-only")
    card = (published.folder / "README.md").read_text(encoding="utf-8")
    assert "**3 of 12 photos are here**" in card
    assert "Under licences for non-commercial purposes only: 1 of these photos." in card
    assert "| its service keeps its pictures: ids and parameters only | 3 |" in card


def test_without_photos_none_is_touched(mixed: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    write_manifest(mixed, tmp_path / "manifest")
    published = publish(tmp_path / "manifest", tmp_path / "out", release=Release("t15"))
    assert not (published.folder / "photos").exists()
    assert "The photos themselves are not here" in (published.folder / "README.md").read_text(encoding="utf-8")
