"""What Street View's metadata says, where to ask it, and how its requests are signed; without a network."""

import base64
import hashlib
import hmac
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit

from google_streetview import helpers

from collector.geo import EARTH_RADIUS_KM
from collector.net.client import TemporaryError
from collector.providers.answers import (
    NoPhotoError,
    check_inside,
    clean,
    digest,
    mapping,
    place,
    plausible,
    read_object,
)
from collector.records import City, Photo, Unusable

HEADINGS = (0, 90, 180, 270)
"""Degrees clockwise from north: with a field of view of 90 degrees, the whole horizon once."""

SIZE = 640
"""Pixels, the largest side that the service gives."""

# Seen: 22 of base64url's characters for Google's own, longer ones for those of users. A `;` would be two to api_list.
_PANO_ID = re.compile(r"[A-Za-z0-9_.:=-]{1,200}")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Panorama:
    """A place where pictures can be asked for.

    Attributes:
        pano_id: it changes over the years, and the panorama moves by metres: the coordinates are kept beside it.
        latitude, longitude: degrees WGS84.
        taken_at: the first day of the month in which it was taken, UTC; the service tells no day. None when it tells nothing.
        copyright: as stated, such as `© Google`.
    """

    pano_id: str
    latitude: float
    longitude: float
    taken_at: datetime | None
    copyright: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """Any status but OK, and a word of the service about it."""

    status: str
    message: str


def parse_metadata(body: bytes) -> Panorama | Failure:
    """Return what an answer tells.

    Raises:
        TemporaryError: it is no JSON, or says OK and names no panorama.
        RefusedError: it is no JSON object.
    """
    document = read_object(body)
    if document.get("status") != "OK":
        status = clean(str(document.get("status"))) or "no status"
        return Failure(status, clean(document.get("error_message")) or "without a message")
    pano_id, location = document.get("pano_id"), mapping(document.get("location"))
    at = place(location.get("lat"), location.get("lng"))
    if at is None or not isinstance(pano_id, str) or not _PANO_ID.fullmatch(pano_id):
        raise TemporaryError("malformed", "status OK without a panorama and its place")
    return Panorama(pano_id, *at, _month(document.get("date")), clean(document.get("copyright")))


def is_passing(failure: Failure) -> bool:
    """Return whether the same request may succeed within minutes.

    UNKNOWN_ERROR is the server's. OVER_QUERY_LIMIT stands for too many requests a second as well as for a used-up day or an
    account without billing, which its message tells ("You have exceeded your daily request quota …", "… has an active
    billing account"): those two do not pass. No other status is asked again.
    """
    if failure.status == "OVER_QUERY_LIMIT":
        return not any(word in failure.message.casefold() for word in ("daily", "billing"))
    return failure.status == "UNKNOWN_ERROR"


def photos(panorama: Panorama, city: City, url: str) -> tuple[Photo | Unusable, ...]:
    """Return a panorama's pictures, one for each of HEADINGS, or that it lies outside the city.

    Args:
        panorama: what the service told.
        city: where it has to lie.
        url: of the service's pictures, without a slash at the end.
    """
    try:
        check_inside(city, (panorama.latitude, panorama.longitude))
    except NoPhotoError as error:
        return (Unusable(f"streetview:{panorama.pano_id}", error.reason, error.detail, city.slug),)
    # api_list empties the dict that it is given.
    queries = helpers.api_list(
        {
            "pano": panorama.pano_id,
            "size": f"{SIZE}x{SIZE}",
            "heading": ";".join(map(str, HEADINGS)),
            "fov": "90",
            "pitch": "0",
            "source": "outdoor",
            "return_error_code": "true",
        }
    )
    return tuple(_photo(panorama, city, f"{url}?{urlencode(query)}", query["heading"]) for query in queries)


def _photo(panorama: Panorama, city: City, image_url: str, heading: str) -> Photo:
    # Maps URLs, https://developers.google.com/maps/documentation/urls/get-started
    view = {"api": "1", "map_action": "pano", "pano": panorama.pano_id, "heading": heading, "fov": "90"}
    return Photo(
        photo_id=f"streetview:{panorama.pano_id}@{heading}",
        city=city.slug,
        latitude=panorama.latitude,
        longitude=panorama.longitude,
        taken_at=panorama.taken_at,
        heading=float(heading),
        sequence_id=f"streetview:{panorama.pano_id}",  # the service tells of no drive: one panorama's views share it
        author_id=_author(panorama.copyright),
        author_name=panorama.copyright,
        license="LicenseRef-GoogleStreetView",
        page_url=f"https://www.google.com/maps/@?{urlencode(view)}",
        image_url=image_url,
        width=SIZE,
        height=SIZE,
    )


def _author(copyright: str | None) -> str | None:
    name = (copyright or "").lstrip("© ").casefold()
    if name in ("", "google"):
        return "streetview:google" if name else None
    return f"streetview:{digest(name)}"


def points(city: City, seed: int) -> Iterator[tuple[float, float]]:
    """Yield latitude and longitude of points spread evenly over the city's circle, endlessly; degrees to 7 decimals.

    Any first n of them are spread evenly, so that a larger sample begins with the smaller one. They are the R2 sequence
    (Roberts, The Unreasonable Effectiveness of Quasirandom Sequences, 2018: steps 1/g and 1/g², g the real root of
    x³ = x + 1), rotated by the seed and the city's slug (Cranley and Patterson, SIAM J. Numer. Anal. 13, 1976), and laid on
    the spherical cap with equal areas: the haversine of the distance is uniform.
    """
    g = 1.324717957244746
    drawn = hashlib.sha256(f"{seed}/{city.slug}".encode()).digest()
    shift = [int.from_bytes(drawn[at : at + 8], "big") / 2**64 for at in (0, 8)]
    edge = math.sin(min(city.radius_km / EARTH_RADIUS_KM, math.pi) / 2)
    for n in count(1):
        area, turn = ((s + n / g**power) % 1 for power, s in enumerate(shift, 1))
        yield _destination(city, 2 * math.asin(math.sqrt(area) * edge), 2 * math.pi * turn)


def _destination(city: City, angle: float, bearing: float) -> tuple[float, float]:
    """Return the point at an angle (radians, seen from the Earth's centre) and a bearing from the city's centre.

    Spherical law of cosines and the tangent of the difference in longitude (Snyder, Map Projections, USGS Professional
    Paper 1395, equations 5-5 and 5-6).
    """
    phi = math.radians(city.latitude)
    sine = math.sin(phi) * math.cos(angle) + math.cos(phi) * math.sin(angle) * math.cos(bearing)
    east = math.atan2(
        math.sin(angle) * math.sin(bearing),
        math.cos(phi) * math.cos(angle) - math.sin(phi) * math.sin(angle) * math.cos(bearing),
    )
    longitude = (city.longitude + math.degrees(east) + 180) % 360 - 180
    return round(math.degrees(math.asin(max(-1.0, min(1.0, sine)))), 7), round(longitude, 7)


def sign(url: str, secret: bytes) -> str:
    """Return `url` with its signature: base64url of HMAC-SHA1 over path and query, by the decoded signing secret.

    https://developers.google.com/maps/documentation/streetview/digital-signature
    """
    parts = urlsplit(url)
    made = hmac.new(secret, f"{parts.path}?{parts.query}".encode(), hashlib.sha1).digest()
    return f"{url}&signature={base64.urlsafe_b64encode(made).decode()}"


def decoded_secret(text: str) -> bytes | None:
    """Return the bytes of a URL signing secret, None where it is no base64url."""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True) or None
    except ValueError:
        return None


def _month(value: Any) -> datetime | None:
    if not isinstance(value, str) or not _MONTH.fullmatch(value):
        return None
    try:
        month = datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return None
    return plausible(month)
