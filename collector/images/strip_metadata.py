"""Takes metadata (EXIF, XMP, IPTC, comments, thumbnails, trailers) out of photo files without touching a pixel.

By allowlist: what decoding needs is copied byte for byte, everything else is left behind. The orientation is written
again, alone, where it is not upright. What keeps a decoder from pixels that are all there is set right first (`repair`).
"""

import struct
import warnings

from PIL import ExifTags

from collector.images import layout, repair
from collector.images.decode import MAX_PIXELS, open_image, orientation
from collector.images.layout import LayoutError

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
"""Formats that can be stripped, and the suffix of their files."""


class CannotStripError(Exception):
    """The file is of another format, moves, or is not laid out as its format says; the text is a short reason."""


def stripped(data: bytes) -> tuple[bytes, str]:
    """Return the file without metadata, and its format (a key of SUFFIXES).

    Raises:
        CannotStripError: see there.
    """
    format_ = layout.file_format(data[:12])
    if format_ is None:
        raise CannotStripError("format")
    data = repair.whole(data, MAX_PIXELS)
    try:
        clean = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}[format_](data, _orientation(data))
    except (LayoutError, struct.error, IndexError) as error:
        raise CannotStripError("broken") from error
    return clean, format_


def _orientation(data: bytes) -> int:
    """Return how a viewer turns the picture, 1 to 8."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open_image(data) as image:
                return orientation(image)
        except Exception as error:  # decoders of broken files raise nearly anything: see images.validate
            raise CannotStripError("broken") from error


def _exif(turned: int) -> bytes:
    """Return a TIFF structure with one entry: tag 0x0112, one SHORT."""
    return b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, ExifTags.Base.Orientation, 3, 1, turned, 0, 0)


# --- JPEG

# Frames (without C8, reserved), Huffman and arithmetic tables, quantisation, scans, number of lines, restarts, hierarchy.
_DECODING = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF} - {0xC8}


def _jpeg(data: bytes, turned: int) -> bytes:
    head: list[bytes] = []
    rest: list[bytes] = []
    for marker, segment, scan in layout.jpeg_segments(data):
        if layout.is_jpeg_metadata(marker, segment) and not _is_profile(marker, segment):
            continue
        if marker == layout.APP0:
            head = head or [layout.jpeg_segment(marker, segment[:12] + b"\x00\x00")]  # without its thumbnail
        elif marker in _DECODING or layout.APP0 < marker <= 0xEF:
            rest += [layout.jpeg_segment(marker, segment), scan]
        else:
            raise LayoutError("an unknown segment")
    exif = [layout.jpeg_segment(layout.APP1, b"Exif\x00\x00" + _exif(turned))] if turned != 1 else []
    return b"".join([layout.JPEG_START[:2], *head, *exif, *rest, layout.END_OF_JPEG])


def _is_profile(marker: int, segment: bytes) -> bool:
    return marker == layout.APP2 and segment.startswith(b"ICC_PROFILE\x00")


# --- PNG

# Pixels, palette, transparency, and how to show the colours. `acTL` and its like are for pictures that move.
_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"cICP", b"pHYs"}


def _png(data: bytes, turned: int) -> bytes:
    parts = [layout.PNG_START]
    for kind, chunk in layout.png_chunks(data):
        if kind == b"acTL":
            raise CannotStripError("moving")
        if kind in _PNG_KEPT:
            parts.append(_unnamed(chunk) if kind == b"iCCP" else chunk)
        elif not kind[0] & 0x20:  # a capital letter: decoding needs it, and we do not know it
            raise LayoutError("an unknown chunk")
        if kind == b"IHDR" and turned != 1:
            parts.append(layout.png_chunk(b"eXIf", _exif(turned)))
    return b"".join(parts)


def _unnamed(chunk: bytes) -> bytes:
    """Return an iCCP chunk with its profile's name, free text, replaced."""
    profile = chunk[chunk.find(b"\x00", 8) : -4]
    return layout.png_chunk(b"iCCP", b"icc" + profile) if b"\x00" in chunk[8:-4] else b""


# --- WebP

_EXIF, _XMP, _MOVING = 0x08, 0x04, 0x02  # flags of VP8X
_WEBP_KEPT = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"}


def _webp(data: bytes, turned: int) -> bytes:
    parts = [
        (kind, _flags(content, turned) if kind == b"VP8X" else content)
        for kind, content in layout.webp_chunks(data)
        if kind in _WEBP_KEPT
    ]
    if turned != 1:
        if not parts or parts[0][0] != b"VP8X":
            raise LayoutError("no place for an orientation")
        parts.append((b"EXIF", _exif(turned)))
    return layout.webp_file(parts)


def _flags(content: bytes, turned: int) -> bytes:
    if content[0] & _MOVING:
        raise CannotStripError("moving")
    kept = content[0] & ~(_EXIF | _XMP)
    return bytes([kept | (_EXIF if turned != 1 else 0)]) + content[1:]
