"""What is a photograph, and why something is none."""

import hashlib
import io
import struct
import time
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile

from collector.images.decode import FORMATS, quiet_decoders
from collector.images.validate import REASONS, Limits, NotUsableError, examine
from tests.conftest import PhotoBytes, picture

LIMITS = Limits()


def bits_apart(a: str | None, b: str | None) -> int:
    assert a is not None
    assert b is not None
    return (int(a, 16) ^ int(b, 16)).bit_count()


def reason(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(NotUsableError) as raised:
        examine(data, limits)
    assert raised.value.detail
    assert "\n" not in raised.value.detail
    return raised.value.reason


def outcome(data: bytes) -> str:
    try:
        found = examine(data, LIMITS)
    except NotUsableError as error:
        return error.reason
    return "photo" if min(found.width, found.height) >= LIMITS.min_side else "smaller than allowed"


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">II", width, height) + b"\x08\x02\0\0\0"
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


# --- what is accepted


def test_what_is_told_of_a_photo(photo_bytes: PhotoBytes) -> None:
    data = photo_bytes(1, (96, 80))
    found = examine(data, LIMITS)
    assert (found.width, found.height, found.bytes) == (96, 80, len(data))
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.hashes.phash is not None
    assert found.hashes.dhash is not None
    assert examine(data, LIMITS) == found


@pytest.mark.parametrize("format", FORMATS)
def test_every_format(photo_bytes: PhotoBytes, format: str) -> None:
    found = examine(photo_bytes(1, (128, 96), format), LIMITS)
    assert (found.width, found.height) == (128, 96)
    like = examine(photo_bytes(1, (128, 96), "PNG"), LIMITS)
    assert bits_apart(found.hashes.phash, like.hashes.phash) <= 8


def test_mpo_is_one_photo_with_something_behind_it() -> None:
    data = saved(picture(1), "MPO", save_all=True, append_images=[picture(2)])
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.n_frames) == ("MPO", 2)  # type: ignore[attr-defined]
    assert examine(data, LIMITS).hashes.phash == examine(saved(picture(1), "JPEG"), LIMITS).hashes.phash


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("L", "JPEG"),
        ("L", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
        ("YCbCr", "TIFF"),
    ],
)
def test_every_mode(mode: str, format: str) -> None:
    found = examine(saved(picture(1).convert(mode), format), LIMITS)
    assert (found.width, found.height) == (96, 80)
    assert found.hashes.phash is not None


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_the_same_picture_as_eight_bit(format: str) -> None:
    grey = picture(1).convert("L")
    deep = Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257)
    assert deep.mode.startswith("I;16")
    shallow, found = examine(saved(grey, "PNG"), LIMITS), examine(saved(deep, format), LIMITS)
    assert bits_apart(shallow.hashes.phash, found.hashes.phash) <= 4


def test_a_palette_with_transparency() -> None:
    with quiet_decoders():
        found = examine(saved(picture(1).convert("P"), "PNG", transparency=bytes(range(256))), LIMITS)
    assert found.hashes.phash is not None


def test_flat_pictures_have_no_hashes() -> None:
    found = examine(saved(Image.new("RGB", (80, 80), "navy"), "PNG"), LIMITS)
    assert (found.hashes.phash, found.hashes.dhash) == (None, None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_measures_and_hashes_are_of_the_picture_as_displayed(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = picture(3, (120, 72))
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    found = examine(saved(stored, "PNG", exif=exif), LIMITS)
    plain = examine(saved(upright, "PNG"), LIMITS)
    assert (found.width, found.height, found.hashes) == (120, 72, plain.hashes)


@pytest.mark.parametrize("value", [0, 9, 65535, "a text"])
def test_an_orientation_that_is_none(value: object) -> None:
    exif = Image.Exif()
    exif[0x0110 if isinstance(value, str) else ExifTags.Base.Orientation] = value
    block = exif.tobytes().replace(b"\x01\x10", b"\x01\x12").replace(b"\x10\x01", b"\x12\x01")
    found = examine(saved(picture(3, (120, 72)), "JPEG", exif=block), LIMITS)
    assert (found.width, found.height) == (120, 72)


@pytest.mark.parametrize("block", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"\0" * 40])
def test_a_photo_with_a_broken_exif_block_is_a_photo(photo_bytes: PhotoBytes, block: bytes) -> None:
    data = photo_bytes(1)
    marker = b"\xff\xe1" + (len(block) + 8).to_bytes(2, "big") + b"Exif\0\0" + block
    with quiet_decoders():
        found = examine(data[:2] + marker + data[2:], LIMITS)
    assert (found.width, found.height) == (96, 80)


# --- what is not


def test_empty() -> None:
    assert reason(b"") == "empty"


def test_too_many_bytes(photo_bytes: PhotoBytes) -> None:
    data = photo_bytes()
    assert reason(data, Limits(max_bytes=len(data) - 1)) == "too-large"
    assert examine(data, Limits(max_bytes=len(data))).bytes == len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.4\n",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"II*\0",
        b"RIFF\0\0\0\0WEBP",
        b"BM",
    ],
)
def test_unreadable(data: bytes) -> None:
    assert reason(data) in ("unreadable", "truncated")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_cut_off(photo_bytes: PhotoBytes, format: str, part: float) -> None:
    data = photo_bytes(1, (160, 120), format)
    assert reason(data[: int(len(data) * part)]) in ("truncated", "unreadable")


def test_a_jpeg_cut_off_is_called_so(photo_bytes: PhotoBytes) -> None:
    data = photo_bytes(1, (160, 120))
    assert reason(data[: len(data) * 2 // 3]) == "truncated"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (1_000_000, 1_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_known_by_its_header(width: int, height: int) -> None:
    data = png_that_claims(width, height)
    tracemalloc.start()
    try:
        assert reason(data) == "bomb"
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Image.Image) -> None:
        pytest.fail("a bomb was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", forbidden)
    with quiet_decoders():
        assert reason(png_that_claims(11_000, 11_000)) == "bomb"
    assert reason(saved(picture(1), "BMP"), Limits(max_pixels=96 * 80 - 1)) == "bomb"


def test_too_small(photo_bytes: PhotoBytes) -> None:
    assert reason(photo_bytes(0, (63, 640))) == "too-small"
    assert reason(photo_bytes(0, (640, 63))) == "too-small"
    assert examine(photo_bytes(0, (64, 64)), LIMITS).width == 64
    assert reason(photo_bytes(0, (200, 199)), Limits(min_side=200)) == "too-small"


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_animated(format: str) -> None:
    assert reason(saved(picture(1), format, save_all=True, append_images=[picture(2)])) == "animated"


@pytest.mark.parametrize("format", ["JPEG2000", "PPM", "TGA", "ICO", "PDF", "PCX", "EPS"])
def test_other_formats_are_not_tried(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        pytest.fail("Ghostscript was called")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", forbidden)
    assert reason(saved(picture(1), format)) == "unreadable"


@given(st.binary(max_size=200), st.integers(0, 2000), st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))
def test_damage_is_survived(photo_bytes: PhotoBytes, patch: bytes, at: int, format: str) -> None:
    data = bytearray(photo_bytes(1, (64, 64), format))
    at %= len(data)
    data[at : at + len(patch)] = patch
    with quiet_decoders():
        assert outcome(bytes(data)) in ("photo", *REASONS)


# --- real files


def outcomes(folder: Path) -> dict[Path, str]:
    found = {}
    with quiet_decoders():
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            started = time.monotonic()
            found[path] = outcome(path.read_bytes())
            assert time.monotonic() - started < 10, path
    return found


def test_every_bad_file_is_accounted_for(real_data: Path) -> None:
    found = outcomes(real_data / "bad")
    counts = Counter(found.values())
    assert len(found) >= 1000
    assert set(counts) <= {"photo", *REASONS}
    for kind in ("photo", "unreadable", "truncated", "animated", "too-small"):
        assert counts[kind] > 0


def test_every_camera_s_photos_are_photos(real_data: Path) -> None:
    found = outcomes(real_data / "exif")
    assert len(found) >= 100
    refused = {path.name: said for path, said in found.items() if said != "photo"}
    assert set(refused.values()) <= {"too-small", "animated", "truncated", "unreadable"}
    assert not [name for name in refused if name.startswith(("Landscape", "Portrait", "landscape", "portrait", "DSCN"))]


def test_all_eight_orientations_of_real_photos(real_data: Path) -> None:
    for number in range(9):
        landscape = examine((real_data / f"exif/orientation/Landscape_{number}.jpg").read_bytes(), LIMITS)
        portrait = examine((real_data / f"exif/orientation/Portrait_{number}.jpg").read_bytes(), LIMITS)
        assert landscape.width > landscape.height
        assert portrait.width < portrait.height
