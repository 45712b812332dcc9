"""What a photo's EXIF says of its place, time and author, read with mistrust.

Real cameras write 0/0 rationals where they know nothing, leave the hemisphere out, or say 0° N 0° E before their first
fix; none of these is a location. They write seconds of 0/0 behind minutes with decimals, texts where numbers should be,
zeros or blanks for a time, and a GPS clock that starts at 1970 or 1980 or fell back by 1,024 weeks; what is right beside
these is still told. Tags: EXIF 3.0 (CIPA DC-008-2023), sections 4.6.5 to 4.6.8.
"""

import codecs
import math
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

from PIL import ExifTags, Image

_MAX_TEXT = 300

_FIRST_GPS_YEAR = 1990
"""GPS began on 1980-01-06, consumers' receivers about 1990: an earlier clock was never set."""

_ROLLOVER = timedelta(weeks=1024)
"""GPS counts weeks with 10 bits: a receiver that does not know of it falls back by so much (IS-GPS-200, 6.2.4)."""

_NUMBER = re.compile(r"\d{1,12}(?:\.\d{0,12}|/0*[1-9]\d{0,11})?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"\d+,\d+", re.ASCII)
_STAMP = re.compile(
    r"(\d{4})\D ?(\d\d?)\D ?(\d\d?)[ T]+(\d\d?): ?(\d\d?)(?:: ?(\d\d?)(?:[.,]\d*)?)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
"""A time as cameras and editors write it: `2019:06:01 12:00:00`, `2019: 6: 1 12: 0: 0`, `2019-06-01T12:00:00.25+03:00`."""


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """What EXIF told; None for everything that it did not tell credibly.

    Attributes:
        latitude, longitude: degrees WGS84, both or neither.
        taken_at: UTC. From the GPS clock; else from the camera's clock and its stated offset; else the camera's clock
            taken as if it were UTC, which is at most 14 hours off.
        author: the field Artist.
        title: the field ImageDescription.
        heading: where the camera looked, degrees clockwise from north, 0 ≤ heading < 360 (GPSImgDirection). True
            north: one from the magnetic north is left out, since no field could say that it is, and the two differ by
            6° in Türkiye and by 20° elsewhere. Where the EXIF does not say which, it is taken for true.
        position_accuracy_m: how far off the location may be, metres, above 0 (GPSHPositioningError); only with a location.
    """

    latitude: float | None = None
    longitude: float | None = None
    taken_at: datetime | None = None
    author: str | None = None
    title: str | None = None
    heading: float | None = None
    position_accuracy_m: float | None = None


def read_exif(image: Image.Image) -> ExifFacts:
    """Return what the EXIF of an opened picture tells; each broken part of it tells nothing, and the others all the same."""
    base, camera, gps = (
        _directory(image, None),
        _directory(image, ExifTags.IFD.Exif),
        _directory(image, ExifTags.IFD.GPSInfo),
    )
    latitude, longitude = _location(gps)
    return ExifFacts(
        latitude=latitude,
        longitude=longitude,
        taken_at=_taken_at(_gps_time(gps), _camera_time(camera, base)),
        author=clean_text(base.get(ExifTags.Base.Artist)),
        title=clean_text(base.get(ExifTags.Base.ImageDescription)),
        heading=_heading(gps),
        position_accuracy_m=_accuracy(gps.get(ExifTags.GPS.GPSHPositioningError)) if latitude is not None else None,
    )


def _directory(image: Image.Image, ifd: ExifTags.IFD | None) -> Mapping[int, Any]:
    try:
        exif = image.getexif()
        return dict(exif if ifd is None else exif.get_ifd(ifd))
    except Exception:  # noqa: BLE001 (Pillow's parsers raise whatever a broken block leads them to: seen SyntaxError,
        # struct.error, ValueError, KeyError and TypeError on the files of its own test-suite)
        return {}


_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _is_utf_8(data: bytes) -> bool:
    with suppress(UnicodeError):
        return data.decode("utf-8") is not None
    return False


def clean_text(value: Any) -> str | None:
    """Return a text of unknown origin fit to store: valid Unicode without control characters, at most 300 characters.

    EXIF text is ASCII by the standard and UTF-8 in practice, or UTF-16 behind a byte order mark; Pillow hands it out as
    Latin-1.
    """
    if isinstance(value, str):
        try:
            value = value.encode("latin-1")
        except UnicodeError:
            value = value.encode("utf-8", "replace")
        else:
            value = value if value.startswith(_UTF_16) or _is_utf_8(value) else value.decode("latin-1").encode()
    if not isinstance(value, bytes):
        return None
    value = value.decode("utf-16" if value.startswith(_UTF_16) else "utf-8", "replace").removeprefix("\ufeff")
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
    letter = _letter(hemisphere)
    parts = _numbers(value)
    while len(parts) > 1 and math.isnan(parts[-1]) and not parts[-2].is_integer():
        del parts[-1]  # decimal minutes need no seconds, decimal degrees no minutes
    if letter not in letters or not letter or len(parts) not in (1, 2, 3):
        return None
    if letter == letters[1] and parts[0] < 0:  # south or west said twice
        parts = [abs(part) for part in parts]
    degrees = math.fsum(part / 60.0**power for power, part in enumerate(parts))
    if not math.isfinite(degrees) or any(part < 0 for part in parts) or degrees > limit:
        return None
    return -degrees if letter == letters[1] else degrees


def _letter(value: Any) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ").upper()[:1]


def _numbers(value: Any) -> list[float]:
    """Return rationals as floats; 0/0 becomes NaN. Texts such as `39/1 5523/100`, `39,55.23` or `12:30:15` are numbers too.

    `39,92` is none: it may be 39° 92' or, with the comma of half of the world's decimals, 39.92°.
    """
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        text = value.strip("\0 ")[:_MAX_TEXT]
        parts = [] if _DECIMAL_COMMA.fullmatch(text) else re.split(r"[\s,;:]+", text)
        value = tuple(Fraction(part) for part in parts) if all(map(_NUMBER.fullmatch, parts)) else ()
    try:
        return [float(part) for part in (value if isinstance(value, tuple) else (value,))]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return []


def _number(value: Any) -> float | None:
    numbers = _numbers(value)
    return numbers[0] if len(numbers) == 1 and math.isfinite(numbers[0]) else None


def _heading(gps: Mapping[int, Any]) -> float | None:
    degrees = _number(gps.get(ExifTags.GPS.GPSImgDirection))
    magnetic = _letter(gps.get(ExifTags.GPS.GPSImgDirectionRef)) == "M"
    return degrees % 360.0 if degrees is not None and 0 <= degrees <= 360 and not magnetic else None


def _accuracy(value: Any) -> float | None:
    metres = _number(value)
    return metres if metres is not None and metres > 0 else None


def _taken_at(gps: datetime | None, camera: datetime | None) -> datetime | None:
    """Return the GPS clock's time, unless the camera's shows that a GPS receiver lost 1,024 weeks."""
    fell_back = gps and camera and abs(camera - gps - _ROLLOVER) <= timedelta(days=2)
    return camera if fell_back else gps or camera


def _gps_time(gps: Mapping[int, Any]) -> datetime | None:
    clock = _numbers(gps.get(ExifTags.GPS.GPSTimeStamp))
    day = gps.get(ExifTags.GPS.GPSDateStamp)
    if len(clock) != 3 or not isinstance(day, str):
        return None
    # A leap second makes 60 of 59; comparisons with NaN are false.
    if not all(0 <= part < limit for part, limit in zip(clock, (24, 60, 61), strict=True)):
        return None
    try:
        year, month, date = (int(part) for part in re.split(r"[:/.-]", day.strip("\0 ")))
        hours, minutes, seconds = clock
        moment = datetime(year, month, date, tzinfo=UTC)
        moment += timedelta(hours=hours, minutes=minutes, seconds=round(seconds))
    except (ValueError, OverflowError):
        return None
    return _plausible(moment) if year >= _FIRST_GPS_YEAR else None


def _camera_time(camera: Mapping[int, Any], base: Mapping[int, Any]) -> datetime | None:
    """Return the first time that is one: of the picture, of its digital copy, of the file's last change."""
    tags = ExifTags.Base
    stamps = (
        (camera.get(tags.DateTimeOriginal), camera.get(tags.OffsetTimeOriginal)),
        (camera.get(tags.DateTimeDigitized), camera.get(tags.OffsetTimeDigitized)),
        (base.get(tags.DateTime), camera.get(tags.OffsetTime)),
    )
    return next((moment for stamp, offset in stamps if (moment := _moment(stamp, offset))), None)


def _moment(stamp: Any, offset: Any) -> datetime | None:
    found = _STAMP.fullmatch(stamp.strip("\0 ")) if isinstance(stamp, str) else None
    if found is None:
        return None
    *numbers, own = found.groups(default="0")
    zone = own if own != "0" else offset.strip("\0 ") if isinstance(offset, str) else ""
    try:
        year, month, day, hours, minutes, seconds = map(int, numbers)
        moment = datetime(year, month, day, hours, minutes, seconds, tzinfo=_zone(zone))
        return _plausible(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _zone(text: str) -> timezone:
    found = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text, re.ASCII)
    if found is None:
        return UTC
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset) if offset < timedelta(hours=24) else UTC


def _plausible(moment: datetime) -> datetime | None:
    # Cameras without a set clock write the year 0000 or one of the far future; photography begins in 1826.
    return moment if 1826 <= moment.year <= 2100 else None
