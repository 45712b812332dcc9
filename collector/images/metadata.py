"""Texts that a photo's file carries beside its pixels: EXIF, IPTC, XMP, comments; each read with mistrust.

Texts of strangers: fit to store (`exif.clean_text`), and text wherever they are shown.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import ExifTags, Image, IptcImagePlugin

from collector.images.exif import clean_text

MOST = 40
"""Texts that are kept of one file."""

_EXIF = ("ImageDescription", "DocumentName", "PageName", "XPTitle", "XPComment", "XPKeywords", "XPSubject")
_IPTC = {
    (2, 5): "title", (2, 25): "keywords", (2, 90): "city", (2, 92): "sub-location", (2, 95): "province",
    (2, 101): "country", (2, 105): "headline", (2, 120): "caption",
}  # fmt: skip
_LONGEST = 1 << 20  # bytes of XMP that are looked at
_XMP_TEXT = re.compile(r">\s*([^<>]*[^<>\s][^<>]*)<|=\s*\"([^\"<>]+)\"")
_MARKUP = re.compile(r"https?://|^[\d\W]*$|^uuid:|^xmp", re.IGNORECASE)  # name spaces, numbers, ids


def texts(image: Image.Image) -> dict[str, str]:
    """Return the texts of an opened picture's metadata by where they stand, such as `iptc:city`; what is broken has none."""
    text_of: dict[str, str] = {}
    for read in (_exif, _iptc, _xmp, _comments):
        try:
            for where, value in read(image):
                text = clean_text(value)
                if text and len(text_of) < MOST:
                    text_of.setdefault(where, text)
        except Exception:  # noqa: BLE001, S112 (Pillow's parsers raise whatever a broken block leads them to: see exif.py)
            continue
    return text_of


def _exif(image: Image.Image) -> Iterator[tuple[str, Any]]:
    exif = image.getexif()
    for name in _EXIF:
        value = exif.get(ExifTags.Base[name])
        if isinstance(value, bytes | tuple) and name.startswith("XP"):  # UTF-16, as Windows writes it
            value = bytes(value).decode("utf-16-le", "replace").rstrip("\0")
        yield f"exif:{name}", value
    comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    if isinstance(comment, bytes):  # eight bytes name the character code
        comment = comment[8:].decode("utf-16" if comment.startswith(b"UNICODE") else "utf-8", "replace")
    yield "exif:UserComment", comment


def _iptc(image: Image.Image) -> Iterator[tuple[str, Any]]:
    blocks: Mapping[Any, Any] = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    for tag, name in _IPTC.items():
        value = blocks.get(tag)
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            yield f"iptc:{name}" + (f" {number + 1}" if number else ""), one


def _xmp(image: Image.Image) -> Iterator[tuple[str, Any]]:
    block = image.info.get("xmp")
    text = block[:_LONGEST].decode("utf-8", "replace") if isinstance(block, bytes) else str(block or "")[:_LONGEST]
    values = (inner or attribute for inner, attribute in _XMP_TEXT.findall(text))
    for number, value in enumerate(dict.fromkeys(value for value in values if not _MARKUP.search(value))):
        yield f"xmp:{number + 1}", value


def _comments(image: Image.Image) -> Iterator[tuple[str, Any]]:
    yield "comment", image.info.get("comment")
    for name, value in (getattr(image, "text", None) or {}).items():
        if name != "XML:com.adobe.xmp":
            yield f"png:{clean_text(name) or ''}"[:60], value
