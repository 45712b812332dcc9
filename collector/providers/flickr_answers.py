"""What Flickr's answers say, without a network.

Flickr's JSON mixes types: `total` and `accuracy` are seen as numbers and as strings, an absent place as 0, as "0" and as no
field at all. The figures below are from 973 recorded rows of flickr.photos.search (2011 to 2025), 751 of them different.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from collector.errors import DataError
from collector.providers.answers import (
    NoPhotoError,
    check_inside,
    clean,
    mapping,
    nameless,
    number,
    pixels,
    place,
    plausible,
    read_object,
    sequence,
    web_address,
)
from collector.records import City, Photo, Unusable

LICENCES: Mapping[int, str] = {
    0: "LicenseRef-AllRightsReserved",
    1: "CC-BY-NC-SA-2.0",
    2: "CC-BY-NC-2.0",
    3: "CC-BY-NC-ND-2.0",
    4: "CC-BY-2.0",
    5: "CC-BY-SA-2.0",
    6: "CC-BY-ND-2.0",
    7: "LicenseRef-NoKnownRestrictions",
    8: "LicenseRef-USGov",
    9: "CC0-1.0",
    10: "LicenseRef-PDM-1.0",
    11: "CC-BY-4.0",
    12: "CC-BY-SA-4.0",
    13: "CC-BY-ND-4.0",
    14: "CC-BY-NC-4.0",
    15: "CC-BY-NC-SA-4.0",
    16: "CC-BY-NC-ND-4.0",
}
"""Licences by Flickr's id (flickr.photos.licenses.getInfo). Names are no key: they have changed, the ids never."""

ACCURACY_M: Mapping[int, float] = {level: round(20_037_508 / 2**level, 1) for level in range(1, 17)}
"""How far off a place may be, metres, by Flickr's accuracy of it. Flickr names five levels (1 world, 3 country, 6 region, 11
city, 16 street) and no distances. They are the zoom levels of the map on which photos were placed, each twice as fine as the
one before: half of a tile of such a map at the equator is 10,000 km of level 1, 313 km of level 6, 9.8 km of level 11 and
306 m of level 16, which fits the names. An upper bound: what a GPS told has level 16 too."""

# The largest that every account leaves open (1024 pixels on the long side), then the next smaller ones. Originals and the
# sizes above are closed for free accounts, except for Creative Commons.
_SIZES = ("l", "c", "z", "m")

_ID = re.compile(r"[0-9]{1,20}")
_NSID = re.compile(r"[0-9]{1,20}@N[0-9]{1,4}")
_SERVER = re.compile(r"[0-9]{1,10}")
_SECRET = re.compile(r"[0-9a-f]{6,20}")
_PICTURE = re.compile(r"/([0-9]{1,20})_[0-9a-f]{6,20}(?:_([0-9]?[a-z]))?\.jpg$")
_MINUTE, _MONTH = 0, 4  # datetakengranularity; 6 is a year, 8 "circa"


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that says that the call failed. `code` is None where it holds no number."""

    code: int | None
    message: str


def parse_answer(body: bytes) -> Mapping[str, Any] | Failure:
    """Return what a call answered: the document of `stat` ok, or the Failure of `stat` fail.

    Any other `stat` is a Failure without code whose message says what was seen.

    Raises:
        TemporaryError, RefusedError: it is no JSON object.
    """
    document = read_object(body)
    stat = document.get("stat")
    if stat == "ok":
        return document
    if stat == "fail":
        return failure_of(document)
    return Failure(None, f"the answer has stat {_quoted(stat)} where 'ok' or 'fail' is due")


def failure_of(document: Mapping[str, Any]) -> Failure:
    """Return what an answer of `stat` fail says."""
    return Failure(_integer(document.get("code")), clean(document.get("message")) or "without a message")


def is_passing(failure: Failure) -> bool:
    """Return whether the same call may succeed later.

    10, 105 and 106 are documented as outages (search down, service unavailable, write failed). 0 and 201 are documented
    nowhere and were seen with the message "Sorry, the Flickr API service is not currently available."; 201 with any other
    message is not asked again. Nor is 100 (invalid key), nor what blames the call: 1 to 4, 18, 20, 111, 112, 116.
    HTTP 429, 5xx, timeouts and broken bodies do not come here: they are TemporaryErrors from where they are met.
    """
    if failure.code in (0, 10, 105, 106):
        return True
    return failure.code == 201 and "not currently available" in failure.message.casefold()


def parse_rows(document: Mapping[str, Any]) -> tuple[list[Any], int | None, int | None] | None:
    """Return a search's rows, its `total` and the number of the page; None where the document is no search's answer.

    `total` is an estimate that changes from call to call; it and the page number are None where they are no number.
    """
    photos = mapping(document.get("photos"))
    rows = photos.get("photo")
    return (rows, _integer(photos.get("total")), _integer(photos.get("page"))) if isinstance(rows, list) else None


def parse_sizes(document: Mapping[str, Any], id_: str) -> dict[str, str]:
    """Return the addresses of a photo's pictures by the letter of their size (empty for the long side of 500 pixels)."""
    found: dict[str, str] = {}
    for size in sequence(mapping(document.get("sizes")).get("size")):
        url = web_address(mapping(size).get("source"))
        match = _PICTURE.search(url) if url else None
        if url and match and match[1] == id_:
            found.setdefault(match[2] or "", _with_tls(url))
    return found


def same_size(photo: Photo, addresses: Mapping[str, str]) -> str | None:
    """Return, of the addresses of a photo's pictures, that of the size which the photo's own address names.

    Where that is not offered (any more) it is the best size that `parse_photo` would take.
    """
    match = _PICTURE.search(photo.image_url or "")
    wanted = [match[2] or ""] if match else []
    return next((addresses[size] for size in (*wanted, "b", "c", "z", "") if size in addresses), None)


def parse_photo(row: object, city: City, geo_accuracy: int) -> Photo | Unusable:
    """Return a row of a search as a photo of `city`, or why it is none.

    Args:
        row: one element of `photos.photo`, asked for with the extras of flickr.EXTRAS.
        city: where it has to lie.
        geo_accuracy: 1 (world) to 16 (street); a place that is said to be less accurate is not accepted. Accuracy 0 is no
            statement: of the two recorded rows with it and a place, one is tagged with the village it lies in.

    Raises:
        DataError: the licence's id is none that t15 knows.
    """
    id_ = str(mapping(row).get("id"))
    if not isinstance(row, Mapping) or not _ID.fullmatch(id_):
        return Unusable(
            nameless("flickr", row), "no-id", f"a row without a number as its id: {_quoted(row)}", city.slug
        )
    photo_id = f"flickr:{id_}"
    try:
        latitude, longitude = _place(row, city, geo_accuracy)
        image_url, width, height = _picture(row, id_)
    except NoPhotoError as error:
        return Unusable(photo_id, error.reason, error.detail, city.slug)
    owner = row.get("owner") if _NSID.fullmatch(str(row.get("owner"))) else None
    return Photo(
        photo_id=photo_id,
        city=city.slug,
        latitude=latitude,
        longitude=longitude,
        taken_at=_taken_at(row),
        position_accuracy_m=ACCURACY_M.get(_integer(row.get("accuracy")) or 0),
        author_id=f"flickr:{owner}" if owner else None,
        author_name=clean(row.get("ownername")),
        license=_licence(row, photo_id),
        page_url=f"https://www.flickr.com/photos/{owner}/{id_}" if owner else f"https://flickr.com/photo.gne?id={id_}",
        image_url=image_url,
        title=clean(row.get("title")),
        width=width,
        height=height,
    )


def _place(row: Mapping[str, Any], city: City, geo_accuracy: int) -> tuple[float, float]:
    # Videos come with media=photos too (8 of the recorded rows are videos).
    if row.get("media", "photo") != "photo":
        raise NoPhotoError("not-a-photo", f"media is {_quoted(row.get('media'))}")
    at = place(row.get("latitude"), row.get("longitude"))
    if at is None:
        raise NoPhotoError("no-location", "has no place")
    accuracy = _integer(row.get("accuracy")) or 0
    if 0 < accuracy < geo_accuracy:
        raise NoPhotoError("imprecise-location", f"accuracy {accuracy} on Flickr's scale, {geo_accuracy} is asked for")
    check_inside(city, at)
    return at


def _licence(row: Mapping[str, Any], photo_id: str) -> str:
    if row.get("license") in (None, ""):
        return "LicenseRef-Unknown"
    id_ = _integer(row["license"])
    if id_ is None or id_ not in LICENCES:
        raise DataError(
            f"{photo_id}: licence id {_quoted(row['license'])} is unknown to t15; Flickr's flickr.photos.licenses.getInfo "
            "says what it means: add it to LICENCES in collector/providers/flickr_answers.py"
        )
    return LICENCES[id_]


def _picture(row: Mapping[str, Any], id_: str) -> tuple[str, int | None, int | None]:
    """Return the picture's address, width and height; the best of _SIZES, else the size that every photo has."""
    for size in _SIZES:
        if url := web_address(row.get(f"url_{size}")):
            return _with_tls(url), pixels(row.get(f"width_{size}")), pixels(row.get(f"height_{size}"))
    server, secret = str(row.get("server")), str(row.get("secret"))
    if not _SERVER.fullmatch(server) or not _SECRET.fullmatch(secret):
        raise NoPhotoError("no-picture", "has no address")
    # The secret is part of the picture's public address (Flickr, "Photo Image URLs"), not a key. Without a letter for the
    # size the address means the long side of 500 pixels.
    return f"https://live.staticflickr.com/{server}/{id_}_{secret}.jpg", None, None


def _with_tls(url: str) -> str:
    # Answers of 2012 to 2014 name http://farm8.staticflickr.com/…; the hosts serve both.
    host = urlsplit(url).hostname or ""
    return f"https{url[4:]}" if url.startswith("http:") and host.endswith(".staticflickr.com") else url


def _taken_at(row: Mapping[str, Any]) -> datetime | None:
    """Return when the photo was taken, as far as Flickr knows it.

    The time is the camera's, without a zone; it is taken as if it were UTC, which is at most 14 hours off. A month stands
    for its first day; a year or "circa" is no time. `datetakenunknown` marks the time of upload in the place of one (68 of
    846 rows). A camera that was ahead of the upload by more than any zone is ahead of UTC was set wrongly (5 of 585 rows).
    """
    text = row.get("datetaken")
    granularity = _integer(row.get("datetakengranularity")) or _MINUTE
    if not isinstance(text, str) or _integer(row.get("datetakenunknown")) or granularity not in (_MINUTE, _MONTH):
        return None
    text, layout = (text[:7], "%Y-%m") if granularity == _MONTH else (text, "%Y-%m-%d %H:%M:%S")
    try:
        taken = datetime.strptime(text, layout).replace(tzinfo=UTC)
        posted = datetime.fromtimestamp(_integer(row.get("dateupload")) or 0, UTC)
    except (ValueError, OverflowError, OSError):  # "0000-00-00 00:00:00", or an upload in the year 10000
        return None
    if posted.timestamp() and taken > posted + timedelta(hours=14):
        return None
    return plausible(taken)


def _integer(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def _quoted(value: object) -> str:
    text = clean(repr(value)[:200]) or ""
    return text if len(text) <= 60 else f"{text[:57]}…"
