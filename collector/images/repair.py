"""Sets right in memory what keeps a decoder from a picture whose pixels are all there; the file itself is never changed.

Pillow gives up on a whole photo because of what is not the photo: a megabyte of text or profile in a PNG, a checksum of
metadata, a JPEG without its end marker, an EXIF chunk cut off behind the pixels of a WebP. What can be left out without a
pixel changing is left out here, before Pillow sees the file. What lacks pixels is left as it is, for Pillow to refuse.
"""

import hashlib
import io
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal

from PIL import Image, PngImagePlugin

from collector.images import layout
from collector.images.layout import LayoutError

_TAIL = 1 << 16  # bytes at a file's end in which nearly every JPEG has its end marker
_LONGEST_TEXT = PngImagePlugin.MAX_TEXT_CHUNK  # bytes of one text or profile, unfolded
_ALL_TEXT = PngImagePlugin.MAX_TEXT_MEMORY
_WEBP_PIXELS = {b"VP8 ", b"VP8L"}
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04  # flags of VP8X
_RESOLUTION = (0x011A, 0x011B, 0x0128)  # across, down, unit
_PRIVATE_TAG = 0xFFFE  # that nobody reads
_LEAST_LENGTH = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9}

# What is put behind a JPEG that lacks its end: two codes of which no bit is the same, and no byte FF.
_FILLINGS = (b"\x55" * 512, b"\xaa" * 512)


def readable(source: Path | bytes, most_pixels: int) -> Path | BinaryIO:
    """Return what Pillow can open: the source itself, or, where that needs setting right, a copy in memory.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    head = _head(source)
    mended: bytes | None = None
    match layout.file_format(head):
        case "JPEG" if layout.END_OF_JPEG not in _tail(source):
            mended = _jpeg_with_end(_bytes(source), most_pixels)
        case "PNG":
            mended = _png_without_burden(_bytes(source))
        case "WEBP" if _size(source) < 8 + int.from_bytes(head[4:8], "little"):
            mended = _webp_without_rest(_bytes(source))
    if mended is not None:
        return io.BytesIO(mended)
    return io.BytesIO(source) if isinstance(source, bytes) else source


def whole(data: bytes, most_pixels: int) -> bytes:
    """Return a file's bytes as `readable` sets them right: the same ones where there is nothing to do."""
    file = readable(data, most_pixels)
    return file.getvalue() if isinstance(file, io.BytesIO) else data


def without_metadata(source: Path | bytes) -> BinaryIO | None:
    """Return a copy, without the metadata that Pillow fails on, of a file that it cannot identify; None of other formats.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    head, copy = _head(source), None
    if head.startswith(layout.JPEG_START):
        copy = _jpeg_for_decoding(_bytes(source))
    elif head.startswith((b"II*\0", b"MM\0*")):
        copy = _tiff_without_resolution(_bytes(source))
    return io.BytesIO(copy) if copy is not None else None


def lacks_end(source: Path | bytes) -> bool:
    """Return whether a JPEG, PNG or WebP file ends before its format's end; other formats have none.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    head = _head(source)
    match layout.file_format(head):
        case "JPEG":
            if layout.END_OF_JPEG in _tail(source):
                return False
        case "PNG":
            if b"IEND" in _tail(source):
                return False
        case "WEBP":
            return _size(source) + 1 < 8 + int.from_bytes(head[4:8], "little")
        case _:
            return False
    data = _bytes(source)
    walk = layout.jpeg_segments if head.startswith(layout.JPEG_START) else layout.png_chunks
    with suppress(LayoutError):
        for _ in walk(data):
            pass
        return False
    return True


def _bytes(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:12]
    with source.open("rb") as file:
        return file.read(12)


def _tail(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[-_TAIL:]
    with source.open("rb") as file:
        file.seek(max(0, _size(source) - _TAIL))
        return file.read(_TAIL)


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


# --- JPEG


def _jpeg_with_end(data: bytes, most_pixels: int) -> bytes | None:
    """Return a JPEG with the end marker that it lacks; None where it has one, or where pixels are missing too.

    A decoder that meets the end too early fills up with what is not in the file, and tells nobody. So the file is decoded
    with two fillings in front of the marker: where both give the same pixels, no pixel comes from a filling.
    """
    if not lacks_end(data):
        return None
    data = data.rstrip(b"\0")  # a card's empty blocks; a code never ends in a zero byte but behind FF
    data = data[:-1] if data.endswith(b"\xff") else data
    if not _every_coefficient(data):
        return None
    pixels = {_digest(data + filling + layout.END_OF_JPEG, most_pixels) for filling in (b"", *_FILLINGS)}
    return data + layout.END_OF_JPEG if len(pixels) == 1 and None not in pixels else None


def _digest(data: bytes, most_pixels: int) -> bytes | None:
    with suppress(Exception), Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        if image.width * image.height <= most_pixels:
            return hashlib.sha256(image.tobytes()).digest()
    return None


def _every_coefficient(data: bytes) -> bool:
    """Return whether the scans of a JPEG hold every coefficient of every component, to its last bit.

    A file that ends between two scans decodes to a coarse picture, or to one without colours.
    """
    left: set[tuple[int, int]] = set()
    with suppress(LayoutError, IndexError):
        for marker, segment, _ in layout.jpeg_segments(data + layout.END_OF_JPEG):
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                left = {(segment[6 + 3 * n], at) for n in range(segment[5]) for at in range(64)}
            elif marker == layout.SOS:
                left -= set(_finished(segment))
        return not left
    return False


def _finished(scan: bytes) -> Iterator[tuple[int, int]]:
    """Yield component and number of the coefficients whose last bit is in this scan."""
    first, last, bits = scan[1 + 2 * scan[0] :][:3]
    if bits & 0x0F == 0:
        for n in range(scan[0]):
            yield from ((scan[1 + 2 * n], at) for at in range(first, last + 1))


def _jpeg_for_decoding(data: bytes) -> bytes | None:
    """Return a JPEG without its comments and application segments, but for EXIF and what tells how to read the colours."""
    kept = [data[:2]]
    with suppress(LayoutError):
        for marker, segment, scan in layout.jpeg_segments(data):
            if not layout.is_jpeg_metadata(marker, segment) or (marker == layout.APP1 and segment.startswith(b"Exif")):
                kept += [layout.jpeg_segment(marker, segment), scan]
        return b"".join([*kept, layout.END_OF_JPEG])
    return None


# --- PNG


def _png_without_burden(data: bytes) -> bytes | None:
    """Return a PNG without the chunks that Pillow fails on and that no pixel needs; None where there are none.

    These are texts and profiles that unfold beyond Pillow's limits, what stands before the pixels with a wrong checksum or
    too short (a reader leaves it out: PNG specification, 13.1 and 13.2), and what is cut off behind the pixels.
    """
    chunks: list[bytes] = []
    text = total = 0
    pixels = False
    try:
        for kind, chunk in layout.png_chunks(data):
            total += len(chunk)
            pixels = pixels or kind == b"IDAT"
            length = _unfolded(kind, chunk) if kind[0] & 0x20 else 0
            if length is not None and text + length <= _ALL_TEXT and (pixels or not _is_broken(kind, chunk)):
                text += length
                chunks.append(chunk)
    except LayoutError:
        cut_off = data[len(layout.PNG_START) + total :][4:8]
        damaged = any(chunk[4:8] == b"IDAT" and _is_wrong(chunk) for chunk in chunks)
        if not pixels or damaged or cut_off == b"IDAT":  # what lacks pixels stays as it is
            return None
        return layout.PNG_START + b"".join(chunks) + layout.png_chunk(b"IEND", b"")
    return layout.PNG_START + b"".join(chunks) if sum(map(len, chunks)) < total else None


def _is_broken(kind: bytes, chunk: bytes) -> bool:
    return bool(kind[0] & 0x20) and (_is_wrong(chunk) or len(chunk) - 12 < _LEAST_LENGTH.get(kind, 0))


def _is_wrong(chunk: bytes) -> bool:
    """Return whether a chunk's checksum is not that of its bytes."""
    return zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:])


def _unfolded(kind: bytes, chunk: bytes) -> int | None:
    """Return how many bytes of text or profile a chunk unfolds to; None where that is too much, or nobody knows how."""
    content = chunk[8:-4]
    if kind not in (b"zTXt", b"iTXt", b"iCCP"):
        return len(content) if kind == b"tEXt" else 0
    packed = _packed(kind, content)
    if packed is None:
        return len(content) if kind == b"iTXt" else None
    return _length_within(packed, _LONGEST_TEXT)


def _packed(kind: bytes, content: bytes) -> bytes | None:
    """Return the compressed part of a chunk; None where it has none, or is compressed in an unknown way."""
    _, _, rest = content.partition(b"\0")
    if kind == b"iTXt":
        compressed, method = rest[:1] == b"\1", rest[1:2]
        return rest[2:].split(b"\0", 2)[-1] if compressed and method == b"\0" else None
    return rest[1:] if rest[:1] == b"\0" else None


def _length_within(packed: bytes, most: int) -> int | None:
    unfolding = zlib.decompressobj()
    try:
        length = len(unfolding.decompress(packed, most))
    except zlib.error:
        return 0  # Pillow takes it for empty
    return None if unfolding.unconsumed_tail else length


# --- WebP


def _webp_without_rest(data: bytes) -> bytes | None:
    """Return a WebP of the chunks that are whole; None where the pixels are not among them."""
    parts: list[tuple[bytes, bytes]] = []
    with suppress(LayoutError):
        for part in layout.webp_chunks(data):
            parts.append(part)
    kinds = {kind for kind, _ in parts}
    if not kinds & _WEBP_PIXELS:
        return None
    flags = (_WEBP_EXIF if b"EXIF" in kinds else 0) | (_WEBP_XMP if b"XMP " in kinds else 0)
    if parts[0][0] == b"VP8X":
        header = parts[0][1]
        parts[0] = (b"VP8X", bytes([header[0] & ~(_WEBP_EXIF | _WEBP_XMP) | flags]) + header[1:])
    return layout.webp_file(parts)


# --- TIFF


def _tiff_without_resolution(data: bytes) -> bytes | None:
    """Return a TIFF whose first directory tells no resolution: Pillow computes with it, whatever type it has."""
    order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
    start = int.from_bytes(data[4:8], order)
    copy = bytearray(data)
    for at in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], order), 12):
        if int.from_bytes(data[at : at + 2], order) in _RESOLUTION:
            copy[at : at + 2] = _PRIVATE_TAG.to_bytes(2, order)
    return bytes(copy) if copy != data else None
