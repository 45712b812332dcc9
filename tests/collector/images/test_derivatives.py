"""Small pictures: made once, stripped of everything but pixels, and a reason where there is none."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from collector.images import decode, derivatives
from collector.images.decode import displayed
from collector.images.derivatives import LARGE, THUMBNAIL, CannotShowError, placeholder, rendition
from collector.records import Photo
from collector.workspace import Workspace, write_atomically
from tests.collector.review.conftest import on_disk
from tests.conftest import MakePhoto, PhotoBytes


def shown(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
    assert image.format == "JPEG"
    return image


def stored(workspace: Workspace, photo: Photo, content: bytes) -> str:
    return str(on_disk(workspace, photo, content).sha256)


@pytest.mark.parametrize(("side", "size"), [(THUMBNAIL, (256, 128)), (LARGE, (900, 450))])
def test_sizes(
    workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes, side: int, size: tuple[int, int]
) -> None:
    sha256 = stored(workspace, make_photo(), photo_bytes(0, (900, 450)))
    assert shown(rendition(workspace, sha256, side)).size == size


def test_it_looks_like_the_photo_turned_upright_and_tells_nothing_else(
    workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "Somebody"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    options: dict[str, Any] = {"comment": b"a secret", "xmp": b"<x:xmpmeta>a secret</x:xmpmeta>", "dpi": (300, 300)}
    content = photo_bytes(3, (400, 300), exif=exif, **options)
    assert b"a secret" in content
    small = rendition(workspace, stored(workspace, make_photo(), content), THUMBNAIL)
    image = shown(small)
    assert image.size == (192, 256)
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert b"secret" not in small
    assert b"Exif" not in small
    with Image.open(io.BytesIO(content)) as original:
        expected = displayed(original).resize(image.size)
    apart = [abs(a - b) for a, b in zip(image.tobytes(), expected.tobytes(), strict=True)]
    assert sum(apart) / len(apart) < 4


def test_it_is_made_once(workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes) -> None:
    sha256 = stored(workspace, make_photo(), photo_bytes())
    first = rendition(workspace, sha256, THUMBNAIL)
    (kept,) = workspace.cache.rglob("*.jpg")
    assert kept.read_bytes() == first
    workspace.photo(sha256).write_bytes(b"")  # nothing could be decoded again
    assert rendition(workspace, sha256, THUMBNAIL) == first


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "damaged"), (b"\xff\xd8\xff garbage", "damaged"), (b"%!PS-Adobe", "damaged"), (None, "missing")],
)
def test_a_reason_where_there_is_no_picture(
    workspace: Workspace, make_photo: MakePhoto, content: bytes | None, reason: str
) -> None:
    sha256 = stored(workspace, make_photo(), content) if content is not None else "0" * 64
    with pytest.raises(CannotShowError, match=reason):
        rendition(workspace, sha256, THUMBNAIL)
    assert not list(workspace.cache.rglob("*"))


def test_a_truncated_photo(workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes) -> None:
    with pytest.raises(CannotShowError, match="damaged"):
        rendition(workspace, stored(workspace, make_photo(), photo_bytes(0, (900, 600))[:-2000]), THUMBNAIL)


def test_a_picture_that_is_too_large_is_not_decoded(
    workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "MAX_PIXELS", 96 * 80 - 1)
    with pytest.raises(CannotShowError, match="too large"):
        rendition(workspace, stored(workspace, make_photo(), photo_bytes()), THUMBNAIL)


@pytest.mark.parametrize("sha256", ["", "../../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "None"])
def test_a_digest_that_is_none_is_no_path(workspace: Workspace, sha256: str) -> None:
    with pytest.raises(CannotShowError, match="catalogue"):
        rendition(workspace, sha256, THUMBNAIL)


def test_a_photo_that_is_withdrawn_meanwhile_leaves_nothing_behind(
    workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = stored(workspace, make_photo(), photo_bytes())
    real = write_atomically

    def slow(path: Path, content: bytes) -> None:
        workspace.photo(sha256).unlink()  # `withdraw`, which has emptied the cache already
        real(path, content)

    monkeypatch.setattr(derivatives, "write_atomically", slow)
    rendition(workspace, sha256, THUMBNAIL)
    assert list(workspace.cache.rglob("*.jpg")) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_without_room_for_a_cache(workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes) -> None:
    sha256 = stored(workspace, make_photo(), photo_bytes())
    workspace.cache.mkdir(mode=0o500)
    shown(rendition(workspace, sha256, THUMBNAIL))


def test_a_cache_that_is_no_folder(workspace: Workspace, make_photo: MakePhoto, photo_bytes: PhotoBytes) -> None:
    sha256 = stored(workspace, make_photo(), photo_bytes())
    workspace.cache.write_bytes(b"")
    shown(rendition(workspace, sha256, THUMBNAIL))


def test_the_placeholder_names_the_reason() -> None:
    assert b">the file is missing<" in placeholder("the file is missing")
