"""A decoder's exception is not a bad photo: what is odd about a file costs the metadata, and never the picture."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, TiffImagePlugin

from benchmark.predicting.read_image import Source, read_photo
from benchmark.serving.decoder_process import decoded
from collector.images import decode as decode_module
from collector.images import layout, repair
from collector.images.decode import decode, displayed, open_image, orientation, quiet_decoders, shown_size
from collector.images.repair import lacks_end
from collector.images.strip_metadata import CannotStripError, stripped
from collector.images.validate import Limits, NotUsableError, examine
from tests.conftest import PhotoBytes, picture

FORMATS = ("JPEG", "PNG", "WEBP")
SIZE = (96, 80)
Mend = Callable[[bytes], bytes]


def file(format_: str = "JPEG", seed: int = 1, **options: Any) -> bytes:
    buffer = io.BytesIO()
    lossless: dict[str, Any] = {"lossless": True} if format_ == "WEBP" else {}
    picture(seed, SIZE).save(buffer, format_, **{**lossless, **options})
    return buffer.getvalue()


def pixels(data: bytes) -> bytes:
    with quiet_decoders():
        return decode(data).tobytes()


def everywhere(data: bytes) -> list[tuple[int, int]]:
    """Return the size that collect, predict, serve and publish see, who must agree on the pixels."""
    with quiet_decoders():
        examined = examine(data, Limits())
        whole = read_photo(Source("", data=data), None)
        assert decoded(data, None, 10**6).tobytes() == whole.tobytes()
        sizes = [(examined.width, examined.height), whole.size]
        if layout.file_format(data[:12]):
            assert pixels(stripped(data)[0]) == whole.tobytes()
    return sizes


# --- turned, with odd EXIF

ODD_TAGS = {
    "altitude reference as text": (ExifTags.IFD.GPSInfo, ExifTags.GPS.GPSAltitudeRef, 2, b"0\0"),
    "resolution as text": (None, ExifTags.Base.XResolution, 2, b"72\0"),
    "copyright as a number": (None, ExifTags.Base.Copyright, 4, struct.pack("<I", 7)),
    "signed width": (None, ExifTags.Base.ImageWidth, 9, struct.pack("<i", -5)),
    "date as a number": (ExifTags.IFD.Exif, ExifTags.Base.DateTimeOriginal, 4, struct.pack("<I", 2019)),
    "version as rationals of 0/0": (ExifTags.IFD.Exif, ExifTags.Base.ExifVersion, 5, bytes(8)),
    "speed as a float": (ExifTags.IFD.GPSInfo, ExifTags.GPS.GPSSpeed, 11, struct.pack("<f", 1.5)),
    "an unknown type": (None, ExifTags.Base.Software, 77, b"abcd"),
    "a value beyond the end": (None, ExifTags.Base.Artist, 2, None),
}


def exif_block(turn: int, name: str) -> bytes:
    """Return an EXIF block by hand: Pillow writes no odd one."""
    ifd, tag, kind, value = ODD_TAGS[name]

    def directory(entries: list[tuple[int, int, int, bytes]], start: int) -> bytes:
        head, behind = struct.pack("<H", len(entries)), b""
        at = start + 2 + 12 * len(entries) + 4
        for entry, type_, count, content in sorted(entries):
            field = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", at + len(behind))
            behind += content if len(content) > 4 else b""
            head += struct.pack("<HHI", entry, type_, count) + field
        return head + bytes(4) + behind

    sizes = {2: 1, 5: 8, 4: 4, 9: 4, 11: 4, 77: 1}
    odd = (tag, kind, len(value) // sizes[kind], value) if value is not None else (tag, kind, 99, b"\xff\xff\xff\x7f")
    base = [(ExifTags.Base.Orientation, 3, 1, struct.pack("<H", turn))]
    if ifd is None:
        return b"Exif\0\0II*\0\x08\0\0\0" + directory([*base, odd], 8)
    at = 8 + 2 + 12 * 2 + 4
    parts = directory([*base, (ifd, 4, 1, struct.pack("<I", at))], 8)
    return b"Exif\0\0II*\0\x08\0\0\0" + parts + directory([odd], at)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", ODD_TAGS)
@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_turned_photos_are_upright_whatever_else_their_exif_holds(format_: str, name: str, turn: int) -> None:
    data = file(format_, exif=exif_block(turn, name))
    assert set(everywhere(data)) == {(80, 96) if turn >= 5 else (96, 80)}
    transpose = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    plain = decode(file(format_))
    assert pixels(data) == (plain.transpose(transpose[turn]) if turn > 1 else plain).tobytes()


def test_a_turned_picture_is_not_turned_again() -> None:
    once = decode(file(exif=exif_block(6, "resolution as text")))
    assert displayed(once).size == once.size == (80, 96)
    assert not once.info


@given(st.binary(max_size=200))
def test_no_exif_block_costs_the_photo(block: bytes) -> None:
    data = file()
    marker = layout.jpeg_segment(layout.APP1, b"Exif\0\0" + block)
    with quiet_decoders(), open_image(data[:2] + marker + data[2:]) as image:
        assert 1 <= orientation(image) <= 8
        assert sorted(shown_size(image)) == [80, 96]


# --- metadata that Pillow fails on


def behind_header(*chunks: bytes) -> bytes:
    data = file("PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def before_end(*chunks: bytes) -> bytes:
    data = file("PNG")
    return data[:-12] + b"".join(chunks) + data[-12:]


LONG = zlib.compress(b"history " * 300_000)
BURDENS = {
    "zTXt": layout.png_chunk(b"zTXt", b"history\0\0" + LONG),
    "iTXt": layout.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
    "iCCP": layout.png_chunk(b"iCCP", b"printer\0\0" + LONG),
    "a bomb of text": layout.png_chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(200 << 20), 1)),
    "unknown compression": layout.png_chunk(b"zTXt", b"text\0\7abc"),
    "profile of unknown compression": layout.png_chunk(b"iCCP", b"text\0\7abc"),
}
ODD_CHUNKS = {
    "wrong checksum": layout.png_chunk(b"tEXt", b"Author\0nobody")[:-1] + b"!",
    "gamma too short": layout.png_chunk(b"gAMA", b"\0"),
    "chromaticity too short": layout.png_chunk(b"cHRM", b"\0" * 9),
    "size too short": layout.png_chunk(b"pHYs", b""),
    "intent too short": layout.png_chunk(b"sRGB", b""),
}


@pytest.mark.parametrize("place", [behind_header, before_end])
@pytest.mark.parametrize("name", BURDENS)
def test_long_metadata_costs_the_metadata(place: Callable[[bytes], bytes], name: str) -> None:
    data = place(BURDENS[name])
    tracemalloc.start()
    try:
        assert set(everywhere(data)) == {SIZE}
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert pixels(data) == pixels(file("PNG"))


@pytest.mark.parametrize("name", ODD_CHUNKS)
def test_odd_chunks_before_the_pixels_are_left_out(name: str) -> None:
    assert set(everywhere(behind_header(ODD_CHUNKS[name]))) == {SIZE}


def test_many_texts_that_are_too_much_together() -> None:
    text = layout.png_chunk(b"zTXt", b"text\0\0" + zlib.compress(b"x" * PngImagePlugin.MAX_TEXT_CHUNK))
    assert set(everywhere(behind_header(*[text] * 70))) == {SIZE}


def test_what_a_png_needs_stays() -> None:
    """A texts' burden costs neither the transparency nor the orientation."""
    data = file("PNG", exif=exif_block(6, "resolution as text"))
    assert set(everywhere(data[:33] + BURDENS["zTXt"] + data[33:])) == {(80, 96)}
    clear = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(clear, "PNG")
    data = clear.getvalue()
    assert decode(data[:33] + BURDENS["iTXt"] + data[33:]).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("marker", "content"),
    [
        (0xE0, b"JFIF\0\1"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1"),
        (0xEE, b"Adobe"),
        (0xEE, b"Adobe\0d\0"),
    ],
)
def test_application_segments_that_are_too_short(marker: int, content: bytes) -> None:
    data = file(exif=exif_block(6, "speed as a float"))
    odd = data[:2] + layout.jpeg_segment(marker, content) + data[2:]
    assert set(everywhere(odd)) == {(80, 96)}
    assert pixels(odd) == pixels(data)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_turned_tiff_is_turned_once(turn: int, compression: str) -> None:
    """Pillow turns what libtiff decodes by itself."""
    ifd = TiffImagePlugin.ImageFileDirectory_v2()
    ifd[0x112] = turn
    data = file("TIFF", tiffinfo=ifd, compression=compression)
    transpose = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    plain = picture(1, SIZE)
    expected = plain.transpose(Image.Transpose(transpose[turn])) if turn > 1 else plain
    assert pixels(data) == expected.tobytes()
    assert set(everywhere(data)) == {expected.size}


def test_a_tiff_with_its_resolution_as_text() -> None:
    ifd = TiffImagePlugin.ImageFileDirectory_v2()
    ifd[0x128] = 3
    ifd.tagtype[0x11A] = 2
    ifd[0x11A] = "72"
    ifd[0x11B] = 72.0
    data = file("TIFF", tiffinfo=ifd)
    assert pixels(data) == picture(1, SIZE).tobytes()
    assert set(everywhere(data)) == {SIZE}


# --- ends that are missing


def without_end(format_: str, **options: Any) -> bytes:
    data = file(format_, **options)
    return data[:-2] if format_ == "JPEG" else data[:-12]


ENDS: dict[str, bytes] = {
    "JPEG without its marker": without_end("JPEG"),
    "JPEG with half a marker": file()[:-1],
    "progressive": without_end("JPEG", progressive=True),
    "grey": without_end("JPEG", subsampling=2, quality=30),
    "with restarts": without_end("JPEG", restart_marker_rows=1),
    "with a card's empty blocks": without_end("JPEG") + bytes(4096),
    "turned": without_end("JPEG", exif=exif_block(6, "resolution as text")),
    "PNG without IEND": without_end("PNG"),
    "PNG with half of IEND": file("PNG")[:-5],
    "PNG whose last text is cut off": before_end(layout.png_chunk(b"tEXt", b"Author\0" + b"x" * 99))[:-60],
    "WebP whose EXIF is cut off": file("WEBP", exif=exif_block(6, "resolution as text"))[:-20],
    "WebP whose XMP is cut off": file("WEBP", xmp=b"<xmp>" * 40)[:-20],
}


@pytest.mark.parametrize("name", ENDS)
def test_a_missing_end_is_no_missing_pixel(name: str, tmp_path: Path) -> None:
    data = ENDS[name]
    assert len(set(everywhere(data))) == 1
    assert lacks_end(data)
    path = tmp_path / "photo"
    path.write_bytes(data)
    assert lacks_end(path)
    with quiet_decoders():
        assert decode(path).tobytes() == decode(data).tobytes()
    whole = file("JPEG" if data.startswith(b"\xff") else "PNG" if data.startswith(b"\x89") else "WEBP")
    if name not in ("progressive", "grey", "with restarts", "turned"):
        assert pixels(data) == pixels(whole)


@pytest.mark.parametrize("format_", FORMATS)
def test_whole_files_lack_nothing(format_: str) -> None:
    for data in (file(format_), file(format_, exif=exif_block(6, "resolution as text")), file(format_) + b"more"):
        assert not lacks_end(data)
        assert set(everywhere(data))


@given(st.sampled_from([{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}]), st.floats(0.3, 1))
def test_a_jpeg_that_lacks_pixels_is_never_taken(options: dict[str, Any], part: float) -> None:
    """The picture that was there is the only one that is ever given out."""
    data = file("JPEG", **options)
    cut = data[: min(int(len(data) * part), len(data) - 3)]
    try:
        with quiet_decoders():
            examine(cut, Limits())
        assert pixels(cut) == pixels(data)
    except NotUsableError as error:
        assert error.reason in ("truncated", "unreadable")  # noqa: PT017
        with pytest.raises(CannotStripError):
            stripped(cut)


def test_a_progressive_jpeg_that_ends_between_two_scans_is_truncated() -> None:
    data = file("JPEG", progressive=True)
    scans = [part for part in layout.jpeg_segments(data) if part[0] == layout.SOS]
    assert len(scans) > 3
    for _, segment, scan in scans[1:]:
        start = data.index(layout.jpeg_segment(layout.SOS, segment) + scan)
        table = data.rfind(b"\xff\xc4", 0, start)
        for cut in (start, table):
            with pytest.raises(NotUsableError, match="truncated"):
                examine(data[:cut], Limits())


def test_zeros_in_place_of_pixels_are_no_pixels() -> None:
    data = file(quality=95)
    with pytest.raises(NotUsableError, match="truncated"):
        examine(data[: len(data) * 2 // 3] + bytes(1000), Limits())


@pytest.mark.parametrize("cut", [14, 30, 400])
def test_a_png_that_lacks_pixels_is_truncated(cut: int) -> None:
    data = file("PNG")
    parts = [chunk for kind, chunk in layout.png_chunks(data) if kind == b"IDAT"]
    start = data.index(parts[0])
    with pytest.raises(NotUsableError, match="truncated"):
        examine(data[: start + len(parts[0]) - 4 - cut], Limits())
    wrong = data[: start + len(parts[0]) - 1] + bytes([data[start + len(parts[0]) - 1] ^ 1])
    assert repair.whole(wrong + b"tail", 10**6) == wrong + b"tail"  # damaged pixels are no matter of metadata
    split = [parts[0][8:-4][:-cut], parts[0][8:-4][-cut:]]
    between = data[:start] + layout.png_chunk(b"IDAT", split[0])  # ends between two chunks of pixels
    with pytest.raises(NotUsableError, match="truncated"):
        examine(between, Limits())
    assert set(everywhere(between + layout.png_chunk(b"IDAT", split[1]))) == {SIZE}


def test_an_error_of_the_decoder_is_not_taken_for_one_of_the_exif() -> None:
    """Pillow raises it once, and from then on gives out the pixels that it has."""
    data = file("PNG")
    start = data.index(b"IDAT") + 4
    damaged = data[: start + 900] + bytes(range(255, 55, -1)) + data[start + 1100 :]
    with pytest.raises(NotUsableError):
        examine(damaged, Limits())
    with open_image(damaged) as image, pytest.raises((OSError, SyntaxError)):
        shown_size(image)


def test_pixels_are_what_they_were(photo_bytes: PhotoBytes) -> None:
    """Nothing that could be decoded before is decoded otherwise now: VERSION and all hashes stay."""
    for format_ in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"):
        data = photo_bytes(3, format=format_)
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(np.asarray(decode(data)), np.asarray(image.convert("RGB")))


def test_bad_files_are_taken_for_what_they_are(real_data: Path) -> None:
    """What Pillow alone decodes is decoded alike; what is taken in addition lacks an end or metadata, and no pixel."""
    with quiet_decoders():
        for path in sorted((real_data / "bad").rglob("*")):
            try:
                with Image.open(path, formats=decode_module.FORMATS) as image:
                    if image.width * image.height > 300_000:
                        continue
                    expected = ImageOps.exif_transpose(image)
                    if expected.mode not in ("L", "RGB") or expected.has_transparency_data:
                        continue
            except Exception:  # noqa: BLE001, S112 (broken files raise nearly anything)
                continue
            with open_image(path) as image:
                assert displayed(image).tobytes() == expected.convert("RGB").tobytes(), path.name
