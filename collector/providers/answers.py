"""Services' answers, read with suspicion: what all providers need to take one apart, texts that strangers wrote included."""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from collector.geo import distance_km
from collector.net.allowlist import origin_of
from collector.net.client import Answer, RefusedError, TemporaryError
from collector.records import City, normal_id

_LONGEST = 300
_LONGEST_HTML = 20_000
"""Characters of a fragment that are parsed. The longest that was recorded has about 2,000; the parser's time grows with the
square of the length of some hostile fragments."""

# Elements without an end tag (HTML Living Standard, 13.1.2), which therefore contain nothing.
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "em", "font", "i", "kbd", "mark", "q", "s", "samp"}
    | {"small", "span", "strong", "sub", "sup", "time", "tt", "u"}
)
_NEVER_SHOWN = frozenset({"script", "style", "template", "title", "head"})
_NOT_DISPLAYED = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def clean(value: object) -> str | None:
    """Return a text fit to store, or None for what is no text or holds nothing to read.

    What comes back is valid Unicode without control characters (Cc) and half surrogates (Cs), its white space collapsed,
    at most 300 characters long. Format characters (Cf) stay, since several scripts need their joiners.
    """
    if not isinstance(value, str):
        return None
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in value)
    return " ".join(kept.split())[:_LONGEST].rstrip() or None


def from_html(value: object) -> str | None:
    """Return the text of an HTML fragment as a browser shows it, cleaned by `clean`.

    Tags are dropped and entities decoded; so are scripts, style sheets and parts with `display: none`, in which Wikimedia
    Commons hides what is meant for machines (seen: `1891<div style="display: none;">date QS:P,+1891-…</div>`).
    """
    if not isinstance(value, str):
        return None
    parser = _Text()
    try:
        parser.feed(value[:_LONGEST_HTML])
        parser.close()
    except AssertionError:
        # Python's parser gives up so on a malformed `<![`; what was read before it stands.
        pass
    return clean("".join(parser.shown))


class _Text(HTMLParser):
    """Collects the shown text. `_open` holds the open elements, each with whether it or one around it is hidden."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self._open: list[tuple[str, bool]] = []

    @property
    def _hidden(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element, and a gap where it begins a block."""
        if tag not in _INLINE:
            self.shown.append(" ")
        if tag not in _VOID:
            hidden = tag in _NEVER_SHOWN or any(
                name == "hidden" or (name == "style" and _NOT_DISPLAYED.search(value or "")) for name, value in attrs
            )
            self._open.append((tag, self._hidden or hidden))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note `<tag/>`, which is shown as nothing here."""
        del attrs
        if tag not in _INLINE:
            self.shown.append(" ")

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element of this name and what was left open in it."""
        if tag not in _INLINE:
            self.shown.append(" ")
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index][0] == tag:
                del self._open[index:]
                return

    def handle_data(self, data: str) -> None:
        """Keep text that is shown."""
        if not self._hidden:
            self.shown.append(data)


_LONGEST_URL = 2_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NoPhotoError(Exception):
    """A row is no photo of the city. `reason` and `detail` as in collector.records.Unusable."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that is the whole of an answer.

    Raises:
        TemporaryError: `not-json`; servers send half an answer or a page of HTML in bad moments.
        RefusedError: `unexpected-answer`, it is JSON but no object.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):  # ValueError: broken JSON, broken UTF-8, integers of more than 4,300 digits
        raise TemporaryError("not-json", clean(body[:60].decode("utf-8", "replace")) or "empty") from None
    if not isinstance(found, dict):
        raise RefusedError("unexpected-answer", "JSON, but no object")
    return found


def told(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer, whatever its status; empty for a refusal that is a page or nothing.

    Raises:
        TemporaryError, RefusedError: as for `read_object`, where the status is 200.
    """
    if answer.status == 200:
        return read_object(answer.body)
    with suppress(TemporaryError, RefusedError):
        return read_object(answer.body)
    return {}


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object as it is, and an empty one for anything else, such as PHP's `[]` for one that is empty."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return a JSON array as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []


def number(value: object) -> float | None:
    """Return a JSON number, or one written as a string, as a finite float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def pixels(value: object) -> int | None:
    """Return a width or height if it is one."""
    found = number(value)
    return int(found) if found is not None and 1 <= found <= 1_000_000 and found == int(found) else None


def heading(value: object) -> float | None:
    """Return a direction in degrees clockwise from north, 0 ≤ heading < 360; None for what is none. 0 is one."""
    found = number(value)
    return found % 360.0 % 360.0 if found is not None and abs(found) <= 360 else None  # -1e-30 % 360 is 360


def metres(value: object) -> float | None:
    """Return how far off a place may be, if it is a distance on Earth; 0 is how services write that they do not know."""
    found = number(value)
    return found if found is not None and 0 < found <= 20_000_000 else None


def place(latitude: object, longitude: object) -> tuple[float, float] | None:
    """Return a point in degrees WGS84 if the two make one. 0, 0 is open sea, and how services write "nowhere"."""
    lat, lon = number(latitude), number(longitude)
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180 or (lat == 0 and lon == 0):
        return None
    return lat, lon


def point(geometry: object) -> tuple[float, float] | None:
    """Return the latitude and longitude of a GeoJSON point (RFC 7946, 3.1.2: longitude first), None where it is none."""
    found = mapping(geometry)
    coordinates = sequence(found.get("coordinates"))
    if found.get("type") != "Point" or len(coordinates) < 2:
        return None
    return place(coordinates[1], coordinates[0])


def check_inside(city: City, at: tuple[float, float]) -> None:
    """Do nothing for a point within the city's radius.

    Raises:
        NoPhotoError: `outside-city`.
    """
    km = distance_km(city.latitude, city.longitude, *at)
    if km > city.radius_km:
        detail = f"taken {km:.1f} km from the centre of {city.name}, whose radius is {city.radius_km:g} km"
        raise NoPhotoError("outside-city", detail)


def from_milliseconds(value: object) -> datetime | None:
    """Return a moment given in milliseconds since 1970 UTC, None where no photo can have been taken then."""
    found = number(value)
    try:
        return None if found is None else plausible(_EPOCH + timedelta(milliseconds=found))
    except OverflowError:
        return None


def from_iso(value: object) -> datetime | None:
    """Return a moment in RFC 3339's form, None where it is none, has no offset, or no photo can have been taken then."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return plausible(moment.astimezone(UTC)) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def plausible(moment: datetime) -> datetime | None:
    """Return a moment, None where it is none in which a photo was taken: photography begins in 1826."""
    return moment if 1826 <= moment.year <= 2100 else None


def web_address(value: object) -> str | None:
    """Return an http or https address without its query (which may hold a signature) and fragment, None for others."""
    try:
        if not isinstance(value, str) or len(value) > _LONGEST_URL or not origin_of(value):
            return None
        return urlsplit(value)._replace(query="", fragment="").geturl()
    except ValueError:
        return None


def nameless(provider: str, row: object) -> str:
    """Return a photo id for a row that has none: the hash of what it holds, so that it is told once."""
    return f"{provider}:row-{digest(json.dumps(row, sort_keys=True))}"


def digest(text: str) -> str:
    """Return 16 hex digits of a text's SHA-256, the text in the one spelling of `records.normal_id`."""
    return hashlib.sha256(normal_id(text).encode("utf-8", "surrogatepass")).hexdigest()[:16]
