"""No metadata survives, no pixel changes: on made-up files, on real cameras' files, on odd and broken ones."""

import io
import struct
import warnings
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from collector.images.decode import displayed
from collector.images.strip_metadata import CannotStripError, stripped
from tests.conftest import PhotoBytes, picture

PRIVATE = "Ayşe Yılmaz, serial 4711"
XMP = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf>{PRIVATE}</rdf></x:xmpmeta>'.encode()


def decoded(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(displayed(image))


def tags(data: bytes) -> dict[int, object]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            assert not {"xmp", "photoshop", "comment", "XML:com.adobe.xmp", "mp", "jfif_thumbnail"} & set(image.info)
            return dict(image.getexif())


def full_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = PRIVATE
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.BodySerialNumber] = PRIVATE
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (39.0, 55.0, 15.0), 3: "E", 4: (32.0, 51.0, 14.0)})
    return exif


def with_metadata(photo_bytes: PhotoBytes, format_: str, orientation: int = 1) -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options: dict[str, Any] = {"icc_profile": profile}
    if format_ == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", PRIVATE)
        text.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
        text.add(b"tIME", bytes(7))
        options["pnginfo"] = text
    else:
        options["xmp"] = XMP
    if format_ == "JPEG":
        options["comment"] = PRIVATE
    return photo_bytes(3, format=format_, exif=full_exif(orientation), **options)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_only_the_orientation_survives(photo_bytes: PhotoBytes, format_: str, orientation: int) -> None:
    original = with_metadata(photo_bytes, format_, orientation)
    assert any(word in original for word in (PRIVATE.encode(), b"4711"))
    clean, found = stripped(original)
    assert found == format_
    assert tags(clean) == ({ExifTags.Base.Orientation: orientation} if orientation != 1 else {})
    assert b"4711" not in clean
    assert (decoded(clean) == decoded(original)).all()
    with Image.open(io.BytesIO(clean)) as image:
        assert image.info["icc_profile"]
    assert stripped(clean)[0] == clean


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_what_lies_behind_the_end_is_cut(photo_bytes: PhotoBytes, format_: str) -> None:
    plain = stripped(photo_bytes(1, format=format_))[0]
    assert stripped(plain + b"GPS: 39.9, 32.8" + photo_bytes(2))[0] == plain


def test_a_file_without_metadata_stays_as_it_is(photo_bytes: PhotoBytes) -> None:
    data = photo_bytes(1)
    assert stripped(data)[0] == data


def test_iptc_second_pictures_and_thumbnails(photo_bytes: PhotoBytes) -> None:
    data = photo_bytes(1)
    thumbnail = b"JFXX\x00\x10" + photo_bytes(2, size=(16, 16))
    odd = [
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x08\x1c\x02\x50\x00\x034711"),
        (0xE2, b"MPF\x00II*\x00"),
        (0xE0, thumbnail),
        (0xE5, b"4711"),
        (0xEE, b"Adobe 4711, not the transform"),
        (0xFE, b"4711"),
    ]
    segments = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in odd)
    assert stripped(data[:2] + segments + data[2:])[0] == data


def test_the_thumbnail_within_jfif(photo_bytes: PhotoBytes) -> None:
    data = photo_bytes(1)
    assert data[2:4] == b"\xff\xe0"
    pixels = bytes(range(27))
    header = data[6:18] + b"\x03\x03" + pixels
    original = data[:2] + struct.pack(">BBH", 0xFF, 0xE0, len(header) + 2) + header + data[20:]
    assert stripped(original)[0] == data


@pytest.mark.parametrize("options", [{"progressive": True}, {"subsampling": 0, "restart_marker_rows": 1}])
def test_several_scans_and_restarts(photo_bytes: PhotoBytes, options: dict[str, Any]) -> None:
    original = photo_bytes(1, exif=full_exif(6), **options)
    clean, _ = stripped(original)
    assert (decoded(clean) == decoded(original)).all()


def test_cmyk_keeps_adobes_transform() -> None:
    buffer = io.BytesIO()
    picture().convert("CMYK").save(buffer, "JPEG", exif=full_exif())
    clean, _ = stripped(buffer.getvalue())
    assert b"Adobe" in clean
    assert (decoded(clean) == decoded(buffer.getvalue())).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16", "1", "LA"])
def test_kinds_of_png(mode: str) -> None:
    buffer = io.BytesIO()
    image = picture()
    image = (
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else image.convert(mode)
    )
    image.save(buffer, "PNG", exif=full_exif(3))
    clean, _ = stripped(buffer.getvalue())
    assert (decoded(clean) == decoded(buffer.getvalue())).all()


def test_the_profiles_name_is_text_too() -> None:
    buffer = io.BytesIO()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture().save(buffer, "PNG", icc_profile=profile)
    chunk = b"4711\x00\x00" + zlib.compress(profile)
    named = struct.pack(">I", len(chunk)) + b"iCCP" + chunk + struct.pack(">I", zlib.crc32(b"iCCP" + chunk))
    data = buffer.getvalue()
    at = data.index(b"iCCP") - 4
    length = struct.unpack_from(">I", data, at)[0] + 12
    clean, _ = stripped(data[:at] + named + data[at + length :])
    assert b"4711" not in clean
    with Image.open(io.BytesIO(clean)) as image:
        assert image.info["icc_profile"] == profile


@pytest.mark.parametrize("format_", ["TIFF", "BMP", "GIF"])
def test_other_formats_stay_out(photo_bytes: PhotoBytes, format_: str) -> None:
    with pytest.raises(CannotStripError, match="format"):
        stripped(photo_bytes(1, format=format_))


@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
def test_moving_pictures_stay_out(photo_bytes: PhotoBytes, format_: str) -> None:
    frames = [picture(seed) for seed in (5, 6)]
    with pytest.raises(CannotStripError, match="moving"):
        stripped(photo_bytes(4, format=format_, save_all=True, append_images=frames))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_cut_off_files_stay_out(photo_bytes: PhotoBytes, format_: str) -> None:
    data = with_metadata(photo_bytes, format_)
    for end in (3, 12, 40, len(data) // 2):
        with pytest.raises(CannotStripError):
            stripped(data[:end])


@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_damage_never_crashes(photo_bytes: PhotoBytes, format_: str, at: int, noise: bytes) -> None:
    data = with_metadata(photo_bytes, format_)
    with suppress(CannotStripError):
        clean, _ = stripped(data[:at] + noise + data[at + len(noise) :])
        assert PRIVATE.encode() not in clean


def test_real_cameras(real_data: Path) -> None:
    """GPS, serial numbers, authors, comments, maker notes: nothing but the orientation is left of any camera's file."""
    files = [path for path in sorted((real_data / "exif").rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    assert len(files) > 80
    seen = 0
    for path in files:
        data = path.read_bytes()
        clean, _ = stripped(data)
        left = tags(clean)
        assert set(left) <= {ExifTags.Base.Orientation}, path.name
        for sign in (b"ns.adobe.com", b"Photoshop 3.0", b"8BIM"):
            assert sign not in clean, path.name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > 3_000_000:
                    continue
        seen += 1
        assert (decoded(clean) == decoded(data)).all(), path.name
    assert seen > 60
