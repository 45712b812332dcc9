"""What a photo's EXIF says of its place, time and author, read with mistrust.

Real cameras write 0/0 rationals where they know nothing, leave the hemisphere out, or say 0° N 0° E before their first
fix; none of these is a location. Tags: EXIF 3.0 (CIPA DC-008-2023), sections 4.6.5 to 4.6.8.
"""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import ExifTags, Image

_MAX_TEXT = 300


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """What EXIF told; None for everything that it did not tell credibly.

    Attributes:
        latitude, longitude: degrees WGS84, both or neither.
        taken_at: UTC. From the GPS clock; else from the camera's clock and its stated offset; else the camera's clock
            taken as if it were UTC, which is at most 14 hours off.
        author: the field Artist.
        title: the field ImageDescription.
    """

    latitude: float | None = None
    longitude: float | None = None
    taken_at: datetime | None = None
    author: str | None = None
    title: str | None = None


def read_exif(image: Image.Image) -> ExifFacts:
    """Return what the EXIF of an opened picture tells; a broken EXIF block tells nothing."""
    try:
        exif = image.getexif()
        base = dict(exif)
        camera = dict(exif.get_ifd(ExifTags.IFD.Exif))
        gps = dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
    except Exception:  # noqa: BLE001 (Pillow's parsers raise whatever a broken block leads them to: seen SyntaxError,
        # struct.error, ValueError, KeyError and TypeError on the files of its own test-suite)
        return ExifFacts()
    latitude, longitude = _location(gps)
    return ExifFacts(
        latitude=latitude,
        longitude=longitude,
        taken_at=_gps_time(gps) or _camera_time(camera, base),
        author=clean_text(base.get(ExifTags.Base.Artist)),
        title=clean_text(base.get(ExifTags.Base.ImageDescription)),
    )


def clean_text(value: Any) -> str | None:
    """Return a text of unknown origin fit to store: valid Unicode without control characters, at most 300 characters.

    EXIF text is ASCII by the standard and UTF-8 in practice; Pillow hands it out as Latin-1.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    try:
        value = value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        value = value.encode("utf-8", "replace").decode("utf-8")
    # Cc: controls, Cs: half surrogates. Format characters (Cf) stay, since several scripts need their joiners.
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in value)
    return " ".join(kept.split())[:_MAX_TEXT] or None


def _location(gps: Mapping[int, Any]) -> tuple[float | None, float | None]:
    latitude = _degrees(gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLatitudeRef), "NS", 90)
    longitude = _degrees(gps.get(ExifTags.GPS.GPSLongitude), gps.get(ExifTags.GPS.GPSLongitudeRef), "EW", 180)
    # 0° N 0° E is open sea, and what a receiver without a fix writes.
    if latitude is None or longitude is None or (latitude == 0 and longitude == 0):
        return None, None
    return latitude, longitude


def _degrees(value: Any, hemisphere: Any, letters: str, limit: float) -> float | None:
    if isinstance(hemisphere, bytes):
        hemisphere = hemisphere.decode("ascii", "replace")
    letter = str(hemisphere or "").strip("\0 ").upper()[:1]
    parts = _numbers(value)
    if letter not in letters or not letter or len(parts) not in (1, 2, 3):
        return None
    degrees = math.fsum(part / 60.0**power for power, part in enumerate(parts))
    if not math.isfinite(degrees) or any(part < 0 for part in parts) or degrees > limit:
        return None
    return -degrees if letter == letters[1] else degrees


def _numbers(value: Any) -> list[float]:
    """Return rationals as floats; 0/0 becomes NaN."""
    try:
        return [float(part) for part in (value if isinstance(value, tuple) else (value,))]
    except (TypeError, ValueError, ZeroDivisionError):
        return []


def _gps_time(gps: Mapping[int, Any]) -> datetime | None:
    clock = _numbers(gps.get(ExifTags.GPS.GPSTimeStamp))
    day = gps.get(ExifTags.GPS.GPSDateStamp)
    if len(clock) != 3 or not isinstance(day, str):
        return None
    # A leap second makes 60 of 59; comparisons with NaN are false.
    if not all(0 <= part < limit for part, limit in zip(clock, (24, 60, 61), strict=True)):
        return None
    try:
        hours, minutes, seconds = clock
        midnight = datetime.strptime(day.strip("\0 "), "%Y:%m:%d").replace(tzinfo=UTC)
        return _plausible(midnight + timedelta(hours=hours, minutes=minutes, seconds=round(seconds)))
    except (ValueError, OverflowError):
        return None


def _camera_time(camera: Mapping[int, Any], base: Mapping[int, Any]) -> datetime | None:
    stamp = camera.get(ExifTags.Base.DateTimeOriginal) or base.get(ExifTags.Base.DateTime)
    offset = camera.get(ExifTags.Base.OffsetTimeOriginal)
    if not isinstance(stamp, str):
        return None
    text = stamp.strip("\0 ")
    zone = offset.strip("\0 ") if isinstance(offset, str) else ""
    for layout, content in (("%Y:%m:%d %H:%M:%S%z", text + zone), ("%Y:%m:%d %H:%M:%S", text)):
        try:
            moment = datetime.strptime(content, layout)
            return _plausible(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC))
        except (ValueError, OverflowError):
            continue
    return None


def _plausible(moment: datetime) -> datetime | None:
    # Cameras without a set clock write the year 0000 or one of the far future; photography begins in 1826.
    return moment if 1826 <= moment.year <= 2100 else None
