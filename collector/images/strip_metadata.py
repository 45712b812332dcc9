"""Takes metadata (EXIF, XMP, IPTC, comments, thumbnails, trailers) out of photo files without touching a pixel.

By allowlist: what decoding needs is copied byte for byte, everything else is left behind. The orientation is written
again, alone, where it is not upright. Sources of the layouts: ITU-T T.81 annex B and JFIF 1.02 (JPEG), the PNG
specification (third edition), RFC 9649 (WebP).
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator

from PIL import ExifTags, Image

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
"""Formats that can be stripped, and the suffix of their files."""


class CannotStripError(Exception):
    """The file is of another format, moves, or is not laid out as its format says; the text is a short reason."""


def stripped(data: bytes) -> tuple[bytes, str]:
    """Return the file without metadata, and its format (a key of SUFFIXES).

    Raises:
        CannotStripError: see there.
    """
    format_ = _format(data)
    try:
        orientation = _orientation(data, format_)
        clean = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}[format_](data, orientation)
    except (struct.error, IndexError) as error:
        raise CannotStripError("broken") from error
    return clean, format_


def _format(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise CannotStripError("format")


def _orientation(data: bytes, format_: str) -> int:
    """Return how a viewer turns the picture, 1 to 8, as `images.decode.displayed` reads it; 1 where it says none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=(format_,)) as image:
                found = image.getexif().get(ExifTags.Base.Orientation, 1)
        except Exception as error:  # broken EXIF raises nearly anything (see collecting/examine.py)
            raise CannotStripError("broken") from error
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _exif(orientation: int) -> bytes:
    """Return a TIFF structure with one entry: tag 0x0112, one SHORT."""
    return b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, ExifTags.Base.Orientation, 3, 1, orientation, 0, 0)


# --- JPEG

_SOI, _EOI, _SOS, _APP0, _APP2, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE2, 0xEE
# Frames (without C8, reserved), Huffman and arithmetic tables, quantisation, number of lines, restarts, hierarchy.
_DECODING = {*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD, 0xDE, 0xDF} - {0xC8}


def _jpeg(data: bytes, orientation: int) -> bytes:
    head: list[bytes] = []
    rest: list[bytes] = []
    for marker, segment, scan in _segments(data):
        if marker == _APP0 and segment.startswith(b"JFIF\x00") and len(segment) >= 14:
            head = head or [_segment(_APP0, segment[:12] + b"\x00\x00")]  # without its thumbnail
        elif marker == _SOS:
            rest += [_segment(marker, segment), scan]
        elif marker in _DECODING or _for_colours(marker, segment):
            rest.append(_segment(marker, segment))
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            raise CannotStripError("broken")
    turned = [_segment(0xE1, b"Exif\x00\x00" + _exif(orientation))] if orientation != 1 else []
    return b"".join([bytes([0xFF, _SOI]), *head, *turned, *rest, bytes([0xFF, _EOI])])


def _for_colours(marker: int, segment: bytes) -> bool:
    """Return whether an application segment tells how to read the colours: an ICC profile, or Adobe's transform."""
    profile = marker == _APP2 and segment.startswith(b"ICC_PROFILE\x00")
    return profile or (marker == _APP14 and segment.startswith(b"Adobe") and len(segment) == 12)


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield marker, content and, after a start of scan, the coded data; up to the end of image, which must be there.

    What lies between segments and after the end is skipped, as decoders do.
    """
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while at >= 0 and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if at < 0:
            raise CannotStripError("broken")
        marker = data[at + 1]
        at += 2
        if marker == _EOI:
            return
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:  # no marker, or one without content
            continue
        length = struct.unpack_from(">H", data, at)[0]
        segment = data[at + 2 : at + length]
        if length < 2 or len(segment) != length - 2:
            raise CannotStripError("broken")
        at += length
        end = _end_of_scan(data, at) if marker == _SOS else at
        yield marker, segment, data[at:end]
        at = end


def _end_of_scan(data: bytes, at: int) -> int:
    """Return where the next marker is; zero bytes after FF and restarts (D0 to D7) belong to the coded data."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise CannotStripError("broken")
        if data[at + 1] != 0x00 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2


# --- PNG

# Pixels, palette, transparency, and how to show the colours. `acTL` and its like are for pictures that move.
_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"pHYs"}


def _png(data: bytes, orientation: int) -> bytes:
    parts = [data[:8]]
    at = 8
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if len(chunk) != 12 + length:
            raise CannotStripError("broken")
        at += len(chunk)
        if kind == b"acTL":
            raise CannotStripError("moving")
        if kind in _PNG_KEPT:
            parts.append(_unnamed(chunk) if kind == b"iCCP" else chunk)
        elif not kind[0] & 0x20:  # a capital letter: decoding needs it, and we do not know it
            raise CannotStripError("broken")
        if kind == b"IHDR" and orientation != 1:
            parts.append(_chunk(b"eXIf", _exif(orientation)))
        if kind == b"IEND":
            return b"".join(parts)


def _unnamed(chunk: bytes) -> bytes:
    """Return an iCCP chunk with its profile's name, free text, replaced."""
    return _chunk(b"iCCP", b"icc" + chunk[chunk.index(b"\x00", 8) : -4]) if b"\x00" in chunk[8:-4] else b""


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# --- WebP

_WEBP_EXIF, _WEBP_XMP, _WEBP_MOVING = 0x08, 0x04, 0x02  # flags of VP8X
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"}


def _webp(data: bytes, orientation: int) -> bytes:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise CannotStripError("broken")
    parts = []
    at = 12
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        if len(content) != length:
            raise CannotStripError("broken")
        at += 8 + length + length % 2
        if kind == b"VP8X":
            content = _flags(content, orientation)
        if kind in _WEBP_KEPT:
            parts.append(_riff_chunk(kind, content))
    if orientation != 1:
        if not parts or not parts[0].startswith(b"VP8X"):
            raise CannotStripError("broken")
        parts.append(_riff_chunk(b"EXIF", _exif(orientation)))
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _flags(content: bytes, orientation: int) -> bytes:
    if content[0] & _WEBP_MOVING:
        raise CannotStripError("moving")
    kept = content[0] & ~(_WEBP_EXIF | _WEBP_XMP)
    return bytes([kept | (_WEBP_EXIF if orientation != 1 else 0)]) + content[1:]


def _riff_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\x00" * (len(content) % 2)
