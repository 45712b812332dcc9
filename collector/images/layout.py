"""The parts that JPEG, PNG and WebP files are made of, as their bytes lie; nothing is decoded.

Sources: ITU-T T.81 annex B and JFIF 1.02 (JPEG), the PNG specification (third edition), RFC 9649 (WebP).
"""

import struct
import zlib
from collections.abc import Iterator

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
SOI, EOI, SOS, APP0, APP1, APP2, APP14, COMMENT = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
END_OF_JPEG = bytes([0xFF, EOI])


class LayoutError(Exception):
    """The file is not laid out as its format says, or ends too early."""


def file_format(head: bytes) -> str | None:
    """Return `JPEG`, `PNG` or `WEBP` by a file's first 12 bytes, None for everything else."""
    if head.startswith(JPEG_START):
        return "JPEG"
    if head.startswith(PNG_START):
        return "PNG"
    return "WEBP" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


# --- JPEG


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield marker, content and, after a start of scan, the coded data; up to the end of image, which must be there.

    What lies between segments and after the end is skipped, as decoders do.

    Raises:
        LayoutError: a segment is cut off, or the end of image is missing.
    """
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) - 1 and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if not 0 <= at < len(data) - 1:
            raise LayoutError("no end of image")
        marker = data[at + 1]
        at += 2
        if marker == EOI:
            return
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:  # no marker, or one without content
            continue
        length = int.from_bytes(data[at : at + 2])
        segment = data[at + 2 : at + length]
        if length < 2 or len(segment) != length - 2:
            raise LayoutError("a segment is cut off")
        at += length
        end = _end_of_scan(data, at) if marker == SOS else at
        yield marker, segment, data[at:end]
        at = end


def _end_of_scan(data: bytes, at: int) -> int:
    """Return where the next marker is; zero bytes after FF and restarts (D0 to D7) belong to the coded data."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise LayoutError("a scan without an end")
        if data[at + 1] != 0x00 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2


def is_jpeg_metadata(marker: int, content: bytes) -> bool:
    """Return whether a segment is a comment, or application data other than JFIF's header and Adobe's colour transform."""
    if marker == APP0:
        return not (content.startswith(b"JFIF\x00") and len(content) >= 14)
    if marker == APP14:
        return not (content.startswith(b"Adobe") and len(content) == 12)
    return APP0 <= marker <= 0xEF or marker == COMMENT


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """Return a segment's bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


# --- PNG


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind of each chunk and the whole of it (length, kind, content, checksum), IEND the last.

    Raises:
        LayoutError: a chunk is cut off, or IEND is missing.
    """
    at = len(PNG_START)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = data[at : at + 12 + length]
        if len(chunk) != 12 + length:
            break
        yield kind, chunk
        if kind == b"IEND":
            return
        at += len(chunk)
    raise LayoutError("a chunk is cut off")


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk's bytes."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# --- WebP


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each chunk.

    Raises:
        LayoutError: a chunk is cut off.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    at = 12
    while at + 8 <= min(end, len(data)):
        kind, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        if len(content) != length:
            break
        yield kind, content
        at += 8 + length + length % 2
    if at < end - 7 or end > len(data) + 1:
        raise LayoutError("a chunk is cut off")


def webp_file(parts: list[tuple[bytes, bytes]]) -> bytes:
    """Return a file of these chunks."""
    body = b"WEBP" + b"".join(_riff_chunk(kind, content) for kind, content in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff_chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\x00" * (len(content) % 2)
