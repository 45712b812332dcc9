"""Folders for Hugging Face and FiftyOne: nothing stays there that this export would not write."""

import hashlib
from pathlib import Path

import pytest

from collector.errors import UsageError
from collector.manifest.manifest import Manifest, build_manifest
from collector.publishing.image_folder import write_fiftyone, write_image_folder
from collector.workspace import Workspace, store_photo
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto, PhotoBytes


@pytest.fixture
def manifest(workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes) -> Manifest:
    """Return a manifest of six photos, the first two under a closed licence."""
    photos = []
    for number in range(6):
        data = photo_bytes(number, comment="4711")
        digest = hashlib.sha256(data).hexdigest()
        store_photo(workspace, digest, data)
        licence = "LicenseRef-AllRightsReserved" if number < 2 else "CC0-1.0"
        photos.append(make_photo(number, license=licence, sha256=digest))
    return build_manifest(HEADER, photos, "t15 test")


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in folder.rglob("*.jpg")}


def test_originals_of_an_earlier_export_do_not_stay(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    assert write_image_folder(manifest, workspace, folder, originals=True).written == 6
    assert write_image_folder(manifest, workspace, folder).written == 4
    left = pictures(folder)
    assert len(left) == 4
    assert not any(b"4711" in data for data in left.values())


def test_what_is_not_whole_is_written_again(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "fiftyone"
    write_fiftyone(manifest, workspace, folder)
    whole = pictures(folder)
    name, data = next(iter(whole.items()))
    (folder / "data" / f"{name}.jpg").write_bytes(bytes(len(data)))
    write_fiftyone(manifest, workspace, folder)
    assert pictures(folder) == whole


def test_other_photos_are_not_mixed_in(manifest: Manifest, workspace: Workspace, tmp_path: Path) -> None:
    mine = tmp_path / "set" / "train" / "mine.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"holds other things \(train/mine.jpg\)"):
        write_image_folder(manifest, workspace, tmp_path / "set")
    assert pictures(tmp_path / "set") == {"mine": b"mine"}
    with pytest.raises(UsageError, match="is a file"):
        write_fiftyone(manifest, workspace, mine)
