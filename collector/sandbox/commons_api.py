"""The API of Wikimedia Commons as t15 meets it: geosearch in a box, imageinfo and coordinates of pages.

What is copied from the real service: the default namespace is 0, where there is nothing; a search answers 500 rows at most
and cannot be continued; boxes have 100 m² to 20 × 20 km; 50 pages an answer; errors are HTTP 200 with the header
MediaWiki-API-Error; values of extmetadata are HTML and some are missing.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from html import escape
from math import cos, radians
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from collector.geo import KM_PER_DEGREE, distances_km
from collector.sandbox.holdings import Item, Listing, chance, token

_BATCH = 50
_MOST_ROWS = 500
_LARGEST_M2, _SMALLEST_M2 = 400e6, 100.0
_KNOWN = frozenset({
    "action", "colimit", "coprimary", "coprop", "format", "formatversion", "gsbbox", "gslimit", "gsnamespace", "gsprimary",
    "iiextmetadatafilter", "iiprop", "iiurlwidth", "list", "maxlag", "pageids", "prop",
})  # fmt: skip


class Reply(NamedTuple):
    """An answer with HTTP status 200: headers beside the usual ones, and the body."""

    content_type: str
    body: bytes
    headers: Mapping[str, str]


class _RefusedError(Exception):
    def __init__(self, code: str, info: str) -> None:
        super().__init__(info)
        self.code = code
        self.info = info


@dataclass(frozen=True)
class Wiki:
    """Commons' files, their names, and where they are in its geographical index.

    Attributes:
        listing: the files.
    """

    listing: Listing

    @cached_property
    def by_name(self) -> Mapping[str, Item]:
        """Files by their names, blanks as underscores."""
        return {file_name(item).replace(" ", "_"): item for item in self.listing.items}

    @cached_property
    def index(self) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Position in the listing, latitude, longitude and `primary` of every place of every file."""
        rows = [
            (at, one["lat"], one["lon"], "primary" in one)
            for at, item in enumerate(self.listing.items)
            for one in places(item)
        ]
        at, latitude, longitude, primary = zip(*rows, strict=True) if rows else ((), (), (), ())
        return (
            np.array(at, dtype=np.intp),
            np.array(latitude, dtype=np.float64),
            np.array(longitude, dtype=np.float64),
            np.array(primary, dtype=np.bool_),
        )


def reply(wiki: Wiki, params: Mapping[str, str], origin: str, length: Callable[[Item], int]) -> Reply:
    """Return what Commons answers.

    Args:
        wiki: what it holds.
        params: of the request; one that t15 does not send is refused, where the real service only warns.
        origin: `scheme://host:port` of pages and files.
        length: tells the bytes of an original; called only for what is asked for.
    """
    if params.get("format") != "json":
        # The real default shows the JSON as a page for people to read.
        return Reply("text/html; charset=utf-8", b"<!DOCTYPE html><title>MediaWiki API result</title>", {})
    try:
        return _written({"batchcomplete": True, "query": _query(wiki, params, origin, length)})
    except _RefusedError as error:
        return _error(error.code, error.info)


def lagged() -> Reply:
    """Return the error `maxlag`, which asks to come back after a second."""
    extra = {"host": "10.192.0.1", "lag": 5.5, "type": "db"}
    return _error("maxlag", "Waiting for 10.192.0.1: 5.5 seconds lagged.", {"Retry-After": "1"}, extra)


def _query(wiki: Wiki, params: Mapping[str, str], origin: str, length: Callable[[Item], int]) -> dict[str, Any]:
    for name, value in (("action", "query"), ("formatversion", "2"), ("list", "geosearch")):
        if params.get(name, value if name == "list" else "") != value:
            raise _RefusedError("badvalue", f'Unrecognized value for parameter "{name}": {params.get(name, "")[:60]}.')
    if unknown := sorted(set(params) - _KNOWN):
        raise _RefusedError("badvalue", f"Unrecognized parameter: {unknown[0][:60]}.")
    if re.fullmatch(r"-[0-9]+", params.get("maxlag", "")):
        raise _RefusedError("maxlag", "Waiting for a database server: 0 seconds lagged.")
    if "list" in params:
        return {"geosearch": _geosearch(wiki, params)}
    return {"pages": [_page(wiki.listing, id_, params, origin, length) for id_ in _ids(params)]}


def _ids(params: Mapping[str, str]) -> list[int]:
    ids = [value for value in params.get("pageids", "").split("|") if value]
    if len(ids) > _BATCH:
        raise _RefusedError(
            "toomanyvalues", f'Too many values supplied for parameter "pageids". The limit is {_BATCH}.'
        )
    for id_ in ids:
        if not re.fullmatch(r"[0-9]{1,15}", id_):
            raise _RefusedError("badinteger", f'Invalid value "{id_[:40]}" for integer parameter "pageids".')
    return [int(id_) for id_ in ids]


def _page(
    listing: Listing, id_: int, params: Mapping[str, str], origin: str, length: Callable[[Item], int]
) -> dict[str, Any]:
    """Return what is asked about a file."""
    item = listing.by_number.get(id_)
    if item is None or item.kind == "deleted":
        return {"pageid": id_, "missing": True}
    page, props = _head(item), params.get("prop", "").split("|")
    if "imageinfo" in props:
        page |= {"imagerepository": "local", "imageinfo": [image_info(item, params, origin, length)]}
    if "coordinates" in props:
        page["coordinates"] = places(item, "type" in params.get("coprop", "").split("|"))
    return page


def _head(item: Item) -> dict[str, Any]:
    return {"pageid": item.number, "ns": 6, "title": f"File:{file_name(item)}"}


def _geosearch(wiki: Wiki, params: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of a search, the nearest to the middle first; it cannot be continued."""
    limit = params.get("gslimit", "10")
    if not (re.fullmatch(r"[0-9]{1,6}", limit) and 1 <= int(limit) <= _MOST_ROWS):
        raise _RefusedError("badinteger", f'The value "{limit[:20]}" for "gslimit" must be between 1 and 500.')
    where, latitude, longitude, primary = wiki.index
    middle, keep = _area(params, latitude, longitude)
    if params.get("gsprimary", "primary") == "primary":
        keep = keep & primary
    if params.get("gsnamespace", "0") != "6":
        return []
    found = np.flatnonzero(keep)
    away = 1000 * distances_km(*middle, latitude[found], longitude[found])
    order = np.lexsort((where[found], away))[: int(limit)]
    rows = []
    for at in order:
        position = found[at]
        row = {
            **_head(wiki.listing.items[where[position]]),
            "lat": round(float(latitude[position]), 6),
            "lon": round(float(longitude[position]), 6),
            "dist": round(float(away[at]), 1),
        }
        rows.append({**row, "primary": True} if primary[position] else row)
    return rows


def _area(
    params: Mapping[str, str], latitude: NDArray[np.float64], longitude: NDArray[np.float64]
) -> tuple[tuple[float, float], NDArray[np.bool_]]:
    """Return the middle of the box that is searched, and which places lie in it."""
    if "gsbbox" not in params:
        raise _RefusedError("missingparam", 'The parameter "gsbbox" is required.')
    try:
        north, west, south, east = (float(part) for part in params["gsbbox"].split("|"))
    except ValueError:
        raise _RefusedError("invalid-bbox", "Invalid bounding box.") from None
    if not (north > south and west < east and max(abs(north), abs(south)) <= 90):  # NaN is none of it
        raise _RefusedError("invalid-bbox", "Invalid bounding box.")
    middle_latitude = (north + south) / 2
    area = (north - south) * (east - west) * cos(radians(middle_latitude)) * (KM_PER_DEGREE * 1000) ** 2
    if not _SMALLEST_M2 <= area <= _LARGEST_M2:
        raise _RefusedError("toobig", "Bounding box is too big (or too small).")
    keep = (latitude <= north) & (latitude >= south) & (longitude >= west) & (longitude <= east)
    return (middle_latitude, (west + east) / 2), keep


def _error(
    code: str, info: str, headers: Mapping[str, str] | None = None, extra: Mapping[str, Any] | None = None
) -> Reply:
    error = {"code": code, "info": info, **(extra or {})}
    return _written({"error": error, "servedby": "sandbox"}, {"MediaWiki-API-Error": code, **(headers or {})})


def _written(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(document, separators=(",", ":")).encode()
    return Reply("application/json; charset=utf-8", body, headers or {})


# --- what is told about a file


WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)
"""Pixels. Thumbnails of other widths answer 429."""

_MEDIA = {
    "video": ("video/webm", "webm"),
    "map": ("image/svg+xml", "svg"),
    "scan": ("image/tiff", "tif"),
    "document": ("application/pdf", "pdf"),
}
_PHOTO = ("image/jpeg", "jpg")
_CC = "https://creativecommons.org"
_LICENCES = (  # License, LicenseShortName, LicenseUrl
    ("cc-by-sa-4.0", "CC BY-SA 4.0", f"{_CC}/licenses/by-sa/4.0"),
    ("cc-by-sa-4.0", "CC BY-SA 4.0", f"{_CC}/licenses/by-sa/4.0"),
    ("cc-by-sa-3.0", "CC BY-SA 3.0", f"{_CC}/licenses/by-sa/3.0"),
    ("cc-by-sa-3.0-de", "CC BY-SA 3.0 de", f"{_CC}/licenses/by-sa/3.0/de/deed.en"),
    ("cc-by-4.0", "CC BY 4.0", f"{_CC}/licenses/by/4.0"),
    ("cc-by-2.0", "CC BY 2.0", f"{_CC}/licenses/by/2.0"),
    ("cc0", "CC0", "http://creativecommons.org/publicdomain/zero/1.0/deed.en"),
    ("pd", "Public domain", ""),
)
_NORTH = round(0.3 / (KM_PER_DEGREE), 6)  # degrees; 300 m


def file_name(item: Item) -> str:
    """Return a file's name, without the namespace: unique, and free of what titles may not hold. Moving renames."""
    title = re.sub(r"[\x00-\x1f\x7f#<>\[\]|{}/\\:*?\"%+&=_`\u202a-\u202e]+", " ", item.scene.title)
    title = " ".join(title.split())[:60].strip() or "Untitled"
    return f"{title[0].upper()}{title[1:]} ({item.number}){' renamed' if item.moved else ''}.{_media(item)[1]}"


def file_path(item: Item) -> str:
    """Return the path of the original."""
    return f"/wikipedia/commons/{_shelf(item)}/{quote(file_name(item).replace(' ', '_'))}"


def thumb_path(item: Item, width: int) -> str:
    """Return the path of a thumbnail."""
    name = quote(file_name(item).replace(" ", "_"))
    last = {
        "video": f"{width}px--{name}.jpg",
        "map": f"{width}px-{name}.png",
        "scan": f"lossy-page1-{width}px-{name}.jpg",
        "document": f"page1-{width}px-{name}.jpg",
    }.get(item.kind, f"{width}px-{name}")
    return f"/wikipedia/commons/thumb/{_shelf(item)}/{name}/{last}"


def media_type(item: Item) -> str:
    """Return the MIME type of the original."""
    return _media(item)[0]


def _media(item: Item) -> tuple[str, str]:
    return _MEDIA.get(item.kind, _PHOTO)


def _shelf(item: Item) -> str:
    digits = token(2, "shelf", item.number)
    return f"{digits[0]}/{digits}"


def places(item: Item, typed: bool = False) -> list[dict[str, Any]]:
    """Return a file's coordinates.

    Most files have one place, where the camera stood: the primary one. Some have that of what they show besides, 300 m to
    the north; some have that alone. `typed` tells which is the camera's.
    """
    drawn = chance("placing", item.number)
    camera = {"lat": item.indexed[0], "lon": item.indexed[1], "primary": True, "globe": "earth"}
    if typed:
        camera["type"] = "camera"
    shown = {"lat": item.indexed[0], "lon": item.indexed[1], "globe": "earth"}
    if 0.03 <= drawn < 0.08:
        return [camera, {**shown, "lat": round(item.indexed[0] + _NORTH, 6)}]
    return [shown] if drawn < 0.03 else [camera]


def image_info(item: Item, params: Mapping[str, str], origin: str, length: Callable[[Item], int]) -> dict[str, Any]:
    """Return what `imageinfo` tells; arguments as for `reply`."""
    chosen = set(params.get("iiextmetadatafilter", "").split("|")) - {""}
    return {
        "timestamp": stamp(item),
        "user": _user(item),
        "size": length(item),
        "width": item.size[0],
        "height": item.size[1],
        **_thumb(item, params.get("iiurlwidth", ""), origin),
        "url": origin + file_path(item),
        "descriptionurl": f"{origin}/wiki/File:{quote(file_name(item).replace(' ', '_'))}",
        "mime": _media(item)[0],
        "extmetadata": {name: value for name, value in _extmetadata(item).items() if not chosen or name in chosen},
    }


def _thumb(item: Item, width: str, origin: str) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9]{1,5}", width) or not int(width):
        return {}
    if int(width) >= item.size[0] and _media(item) == _PHOTO:
        path, size = file_path(item), item.size
    else:
        path = thumb_path(item, int(width))
        size = (int(width), max(1, round(item.size[1] * int(width) / item.size[0])))
    return {"thumburl": origin + path, "thumbwidth": size[0], "thumbheight": size[1]}


def _extmetadata(item: Item) -> dict[str, dict[str, Any]]:
    """Return what the page's templates tell: HTML, and not always all of it."""
    scene = item.scene
    name = escape(scene.author_name)
    id_, short, url = _LICENCES[int(chance("commons-licence", item.number) * len(_LICENCES))]
    fields: dict[str, str] = {
        "DateTime": datetime.fromtimestamp(item.uploaded, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "ObjectName": escape(file_name(item).rpartition(".")[0]),
        "Categories": _categories(item),
        "GPSLatitude": str(item.indexed[0]),
        "GPSLongitude": str(item.indexed[1]),
        "ImageDescription": f'<div class="description">{escape(scene.title)}</div>',
        "DateTimeOriginal": _date(item),
        "Credit": '<span class="int-own-work" lang="en">Own work</span>',
        "Artist": f'<a href="//commons.wikimedia.org/wiki/User:{quote(_user(item))}" title="User:{name}">{name}</a>',
        "LicenseShortName": short,
        "UsageTerms": short,
        "LicenseUrl": url,
        "License": id_,
        "Copyrighted": "False" if id_ in ("cc0", "pd") else "True",
        "Restrictions": "",
    }
    missing = {"LicenseUrl"} if not url else set()
    dice = chance("missing", item.number)
    if item.kind == "no-licence":
        missing = {"License", "LicenseShortName", "LicenseUrl", "UsageTerms"}
    elif dice < 0.1:
        missing.add("License" if dice < 0.04 else "LicenseUrl")
    if chance("no-artist", item.number) < 0.03:
        missing.add("Artist")
    hidden = {"ImageDescription", "DateTimeOriginal", "Artist"}
    return {
        field: {"value": value, "source": "commons-desc-page"} | ({} if field in hidden else {"hidden": True})
        for field, value in fields.items()
        if field not in missing
    }


def _categories(item: Item) -> str:
    place = item.city.capitalize()
    if item.kind == "old-map":
        return f"Old maps of {place}|Media with locations"
    return f"{place}|Media with locations|Self-published work|Photographs taken on {item.scene.taken_at:%Y-%m-%d}"


def _date(item: Item) -> str:
    taken, drawn = item.scene.taken_at, chance("date", item.number)
    if drawn < 0.1:
        return f'<time class="dtstart" datetime="{taken:%Y-%m-%d}">{taken.day} {taken:%B %Y}</time>'
    if drawn < 0.15:
        return f'{taken.year}<div style="display: none;">date QS:P571,+{taken.year}-00-00T00:00:00Z/9</div>'
    return f"{taken:%Y-%m-%d}" if drawn < 0.3 else f"{taken:%Y-%m-%d %H:%M:%S}"


def _user(item: Item) -> str:
    kind, _, rest = item.scene.author_id.partition(":")
    return f"{kind.capitalize()} {rest}"


def stamp(item: Item) -> str:
    """Return when a file was uploaded."""
    return datetime.fromtimestamp(item.uploaded, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
