"""Photos that a person names: files, folders, standard input. One that cannot be read is told of, and the others go on."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from collector.errors import DataError
from collector.images.decode import FORMATS, decode
from collector.text_table import printable

SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".webp",
        ".avif",
        ".tif",
        ".tiff",
        ".bmp",
        ".dib",
        ".gif",
        ".heic",
        ".heif",
        ".hif",
    )
)
"""What a file's name ends in for a folder's photos; a file that is named itself may be called anything."""

_STDIN = "standard input"
_MOST_BYTES = 256 << 20  # of a photo on standard input, which is held in memory
_REASON = 160  # letters of a decoder's reason that are worth a place in one line


@dataclass(frozen=True, slots=True)
class Source:
    """A photo to read: a file, or bytes where `path` is None."""

    name: str
    path: Path | None = None
    data: bytes = field(default=b"", repr=False)

    @property
    def file(self) -> Path | bytes:
        """What is decoded."""
        return self.path if self.path is not None else self.data


@dataclass(frozen=True, slots=True)
class Found:
    """What names stand for: photos, folders that cannot be read (name, reason), and how many other files lie in folders."""

    photos: list[Source]
    unreadable: list[tuple[str, str]]
    others: Counter[str]


def find_photos(names: Iterable[str], stdin: BinaryIO, most_bytes: int = _MOST_BYTES) -> Found:
    """Return the photos that names stand for, in their order; of a folder all below it, sorted, hidden ones left out.

    `-` is one photo's bytes on `stdin`, at most `most_bytes`. Names become printable text: a file may be called anything.
    """
    photo_files = Found([], [], Counter())
    for name in names:
        if name == "-":
            try:
                photo_files.photos.append(Source(_STDIN, data=_read_all(stdin, most_bytes)))
            except DataError as error:
                photo_files.unreadable.append((_STDIN, str(error)))
        elif os.path.isdir(name):  # Path.is_dir raises on a null byte
            _search(name, photo_files)
        else:
            photo_files.photos.append(Source(shown(name), Path(name)))
    return photo_files


def read_photo(source: Source, side: int | None) -> Image.Image:
    """Return a photo upright, in sRGB; a JPEG may come out smaller, with at least `side` pixels on each side.

    Raises:
        DataError: it cannot be read; the message says why, and not which.
    """
    if source.path is not None and not os.path.isfile(source.path):  # Path.is_file raises on a null byte or a long name
        raise DataError("there is no such file")
    try:
        return decode(source.file, side)
    except UnidentifiedImageError as error:
        formats = ", ".join(FORMATS)
        raise DataError(f"is not an image, or damaged from its first bytes; {formats} can be read") from error
    except OSError as error:
        raise DataError(_reason(error.strerror or str(error))) from error
    except Exception as error:  # decoders of broken files raise nearly anything, see images.validate
        raise DataError(_reason(str(error) or type(error).__name__)) from error


def shown(name: str) -> str:
    """Return a file's name as text that can be printed anywhere: bytes that are no UTF-8 and control characters escaped."""
    return printable(name.encode("utf-8", "backslashreplace").decode("utf-8")).replace("\n", "\\n").replace("\t", "\\t")


def described(others: Counter[str]) -> str:
    """Return what was passed over in folders, as `3 .txt, 1 .heic`."""
    return ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in others.most_common(6))


def _search(folder: str, found: Found) -> None:
    def told(error: OSError) -> None:
        found.unreadable.append((shown(os.fsdecode(error.filename)), error.strerror or "cannot be read"))

    for root, folders, files in os.walk(folder, onerror=told):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(root, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                found.photos.append(Source(shown(str(path)), path))
            elif not name.startswith("."):
                found.others[shown(path.suffix.lower())[:12]] += 1


def _read_all(stdin: BinaryIO, most: int) -> bytes:
    data = stdin.read(most + 1)
    if not data:
        raise DataError("is empty; one photo's bytes were expected")
    if len(data) > most:
        raise DataError(f"holds more than {most >> 20} MiB; save the photo as a file and give its name")
    return data


def _reason(text: str) -> str:
    return f"cannot be decoded ({printable(' '.join(text.split()))[:_REASON]})"
