"""Wikimedia Commons' answers: from the bytes to photos, without a network.

Two shapes of JSON are read, `formatversion` 1 (pages in an object, flags are empty strings) and 2 (pages in an array, flags
are booleans): t15 asks for 2, recordings are of 1.
"""

import mimetypes
import re
from collections.abc import Iterable, Mapping
from typing import Any

from collector.net.allowlist import Origin, origin_of, why_forbidden
from collector.net.client import Answer, RefusedError, TemporaryError
from collector.providers.answers import (
    NoPhotoError,
    check_inside,
    clean,
    mapping,
    nameless,
    pixels,
    place,
    read_object,
    sequence,
    told,
    web_address,
)
from collector.providers.commons_metadata import UnknownLicenceError, author, licence_id, no_photo, taken_at, values
from collector.records import City, Photo, Unusable

THUMB_WIDTH = 1280
"""Pixels. Commons makes thumbnails of 20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920 and 3840 pixels' width only and
answers 429 for others (https://www.mediawiki.org/wiki/Common_thumbnail_sizes)."""

HOSTS = ("upload.wikimedia.org",)

# Errors that pass: https://www.mediawiki.org/wiki/API:Errors_and_warnings and the search engine's own.
_PASSING = re.compile(
    r"maxlag|ratelimited|readonly|actionthrottledtext|timeouterror|internal_api_error.*|cirrussearch-.*|search-backend-error"
)
_RATE = ("maxlag", "ratelimited", "actionthrottledtext")


def judge(answer: Answer) -> None:
    """Raise where an answer says that it is none: MediaWiki reports errors with status 200, its proxies with others.

    Http reads its Retry-After.

    Raises:
        TemporaryError: half an answer, or an error that passes, such as `maxlag`.
    """
    code, info = _error(told(answer))
    code = code or clean(answer.headers.get("MediaWiki-API-Error"))
    if code and _PASSING.fullmatch(code):
        raise TemporaryError("rate-limited" if code in _RATE else code, f"{code}: {info}" if info else "")


def _error(document: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return code and text of an answer's error; `errors` is the form of newer error formats."""
    error = mapping(document.get("error")) or mapping(next(iter(sequence(document.get("errors"))), None))
    if not error:
        return None, ""
    return clean(error.get("code")) or "unknown-error", clean(error.get("info") or error.get("text")) or ""


def _query(body: bytes) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return an answer's `query` and the whole of it.

    Raises:
        TemporaryError: as for `judge`.
        RefusedError: an error that stays, such as `toobig`, or an answer to another question.
    """
    document = read_object(body)
    code, info = _error(document)
    if code and _PASSING.fullmatch(code):
        raise TemporaryError("rate-limited" if code in _RATE else code, info)
    if code:
        raise RefusedError(code, info)
    if "query" not in document and "batchcomplete" not in document:
        raise RefusedError(
            "unexpected-answer", f"without query, with {', '.join(map(repr, list(document)[:5])) or 'nothing'}"
        )
    return mapping(document.get("query")), document


def parse_search(body: bytes) -> tuple[list[int], int]:
    """Return the ids of the pages that `list=geosearch` found, each once, and the number of rows.

    A page has a row for each of its coordinates.

    Raises:
        TemporaryError, RefusedError: as for `_query`.
    """
    query, _ = _query(body)
    if query and "geosearch" not in query:
        raise RefusedError("unexpected-answer", "without geosearch")
    rows = sequence(query.get("geosearch"))
    ids = dict.fromkeys(_page_id(mapping(row)) for row in rows)
    return [id_ for id_ in ids if id_ is not None], len(rows)


def parse_details(body: bytes) -> tuple[list[Mapping[str, Any]], dict[str, str]]:
    """Return an answer's pages, and what to ask with for the rest of them; empty when there is no rest.

    Of one page alone `iistart` offers the file's earlier versions, which are not wanted.

    Raises:
        TemporaryError, RefusedError: as for `_query`.
    """
    query, document = _query(body)
    if "pages" not in query:
        raise RefusedError("unexpected-answer", "without pages")
    pages = query["pages"]
    rows = list(pages.values()) if isinstance(pages, dict) else sequence(pages)
    following = {name: str(value) for name, value in mapping(document.get("continue")).items() if name != "iistart"}
    return [mapping(row) for row in rows], following if set(following) - {"continue"} else {}


def merge(pages: dict[int, dict[str, Any]], more: Iterable[Mapping[str, Any]]) -> None:
    """Add an answer's pages to those of earlier answers to the same question: each answer may hold a part of each page.

    What is there already stays; coordinates add up. Pages that `pages` does not have were not asked for.
    """
    for page in more:
        known = pages.get(_page_id(page) or 0)
        if known is not None:
            coordinates = [*sequence(known.get("coordinates")), *sequence(page.get("coordinates"))]
            known.update({name: value for name, value in page.items() if not known.get(name)})
            known["coordinates"] = coordinates


def parse_answer(body: bytes, city: City, own: frozenset[Origin]) -> list[Photo | Unusable]:
    """Return what the pages of one answer are; see `describe`.

    Raises:
        TemporaryError, RefusedError: as for `_query`.
    """
    return [describe(page, city, own) for page in parse_details(body)[0]]


def describe(page: Mapping[str, Any], city: City, own: frozenset[Origin]) -> Photo | Unusable:
    """Return a page as a photo of the city, or why it is none.

    Args:
        page: with `imageinfo` and `coordinates`.
        city: the city that it was found for.
        own: where pictures may lie besides HOSTS.
    """
    page_id = _page_id(page)
    title = clean(page.get("title")) or "page without a title"
    photo_id = nameless("commons", page) if page_id is None else f"commons:{page_id}"
    try:
        return _photo(photo_id, title, page, city, own)
    except NoPhotoError as error:
        return Unusable(photo_id, error.reason, f"{title}: {error.detail}", city.slug)


def present_address(page: Mapping[str, Any], own: frozenset[Origin]) -> str | None:
    """Return the address of a page's picture, None where it has none to take."""
    try:
        return _picture(_file_info(page), own)[0]
    except NoPhotoError:
        return None


def _photo(photo_id: str, title: str, page: Mapping[str, Any], city: City, own: frozenset[Origin]) -> Photo:
    info = _file_info(page)
    metadata = values(mapping(info.get("extmetadata")))
    mime = clean(info.get("mime")) or mimetypes.guess_type(str(info.get("url")))[0] or ""
    if why := no_photo(mime, metadata.get("Categories", "").split("|")):
        raise NoPhotoError("not-a-photo", why)
    at = _place(page, metadata)
    if at is None:
        raise NoPhotoError("no-location", "no coordinates on Earth")
    check_inside(city, at)
    try:
        licence = licence_id(metadata)
    except UnknownLicenceError as error:
        raise NoPhotoError("unknown-licence", str(error)) from error
    image_url, width, height = _picture(info, own)
    author_id, author_name = author(metadata.get("Artist", ""), info.get("user"))
    return Photo(
        photo_id=photo_id,
        city=city.slug,
        latitude=at[0],
        longitude=at[1],
        taken_at=taken_at(metadata.get("DateTimeOriginal", ""), info.get("timestamp")),
        author_id=author_id,
        author_name=author_name,
        license=licence,
        page_url=web_address(info.get("descriptionurl")),
        image_url=image_url,
        title=clean(re.sub(r"^File:|\.\w{3,4}$", "", title)),
        width=width,
        height=height,
    )


def _file_info(page: Mapping[str, Any]) -> Mapping[str, Any]:
    info = mapping(next(iter(sequence(page.get("imageinfo"))), None))
    if _is_set(page, "missing") or _is_set(page, "invalid"):
        raise NoPhotoError("gone", "there is no such page")
    if _page_id(page) is None:
        raise NoPhotoError("no-id", "a page without an id")
    if not info or _is_set(info, "filehidden") or _is_set(info, "filemissing"):
        raise NoPhotoError("no-imageinfo", "nothing is told of its file")
    return info


def _page_id(page: Mapping[str, Any]) -> int | None:
    found = page.get("pageid")
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 2**63 else None


def _is_set(document: Mapping[str, Any], flag: str) -> bool:
    return document.get(flag, False) is not False


def _place(page: Mapping[str, Any], metadata: Mapping[str, str]) -> tuple[float, float] | None:
    """Return where a photo was taken: where the camera stood, else the page's own coordinates, else what it shows.

    {{Location}} gives coordinates of the type `camera`, {{Object location}} secondary ones of what is shown. Where
    `coordinates` are missing (the search engine's index runs behind) the templates' values in the metadata are read.
    """
    found = [
        (one.get("type") != "camera", not _is_set(one, "primary"), at)
        for one in map(mapping, sequence(page.get("coordinates")))
        if one.get("globe", "earth") == "earth" and (at := place(one.get("lat"), one.get("lon")))
    ]
    if found:
        return min(found, key=lambda entry: entry[:2])[2]
    return place(metadata.get("GPSLatitude"), metadata.get("GPSLongitude"))


def _picture(info: Mapping[str, Any], own: frozenset[Origin]) -> tuple[str, int, int]:
    """Return address, width and height of the picture to take.

    That is the thumbnail, and the file itself where it is no wider or no thumbnail can be made of it (`thumberror`).
    """
    width, height = pixels(info.get("width")), pixels(info.get("height"))
    thumb_height = pixels(info.get("thumbheight")) if info.get("thumbwidth") == THUMB_WIDTH else None
    if width is None or height is None:
        raise NoPhotoError("no-picture", "its size is not told")
    if width > THUMB_WIDTH and thumb_height is not None:
        url, width, height = web_address(info.get("thumburl")), THUMB_WIDTH, thumb_height
    else:
        url = web_address(info.get("url"))
    if url is None:
        raise NoPhotoError("no-picture", "its address is not told")
    if why_forbidden(origin_of(url), HOSTS, own):
        raise NoPhotoError("foreign-host", f"its picture lies on {origin_of(url).host}")
    return url, width, height
