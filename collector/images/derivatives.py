"""Small JPEGs of the photos: made once for each file, without its metadata, kept in the workspace's cache."""

import io
import re
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore

from PIL import Image

from collector.images import decode
from collector.workspace import Workspace, write_atomically

THUMBNAIL, LARGE = 256, 1280
"""Longest sides in pixels: of a photo in a grid, and of one that is looked at closely."""

_VERSION = f"{decode.VERSION}-1"  # part of the path: another way of making them makes them anew
_SHA256 = re.compile("[0-9a-f]{64}")
_AT_ONCE = BoundedSemaphore(2)  # a decoded photo takes up to 360 MB (MAX_PIXELS); a page asks for many at a time


class CannotShowError(Exception):
    """A photo's file cannot be shown; the text says why, in words of t15's own."""


def rendition(workspace: Workspace, sha256: str, side: int) -> bytes:
    """Return a photo as a JPEG of at most `side` × `side` pixels, from the cache where it is there.

    Upright, sRGB, and with nothing of the original but its pixels: no EXIF, comment, XMP or profile.

    Raises:
        CannotShowError: the file is missing, damaged, or too large to be decoded.
    """
    if not _SHA256.fullmatch(sha256):  # it becomes a path: a catalogue may be somebody else's
        raise CannotShowError("the catalogue is damaged")
    path = _path(workspace, sha256, side)
    with suppress(OSError):
        return path.read_bytes()
    original = workspace.photo(sha256)
    with _AT_ONCE:
        content = _small(original, side)
    # Where it cannot be kept, the page goes on without.
    with suppress(OSError):
        write_atomically(path, content)
        # `withdraw` deletes the original first and the cache second: what was written between the two must not stay.
        if not original.exists():
            path.unlink(missing_ok=True)
    return content


def _path(workspace: Workspace, sha256: str, side: int) -> Path:
    return workspace.cache / "thumbnails" / _VERSION / str(side) / sha256[:2] / f"{sha256}.jpg"


def _small(path: Path, side: int) -> bytes:
    try:
        picture = decode.decode(path, 2 * side)
    except Image.DecompressionBombError as error:
        raise CannotShowError("the picture is too large") from error
    except FileNotFoundError as error:
        raise CannotShowError("the file is missing") from error
    except Exception as error:  # a broken file makes Pillow raise anything
        raise CannotShowError("the file is damaged") from error
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return buffer.getvalue()


def placeholder(reason: str) -> bytes:
    """Return an SVG that says why there is no picture; `reason` is a text of t15's own, without markup."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256" width="256" height="256">'
        '<rect width="256" height="256" fill="#8b94a0"/><g fill="#14171c" font-family="system-ui, sans-serif" '
        'text-anchor="middle"><text x="128" y="120" font-size="20">Cannot be shown:</text>'
        f'<text x="128" y="150" font-size="20">{reason}</text></g></svg>'
    ).encode()
