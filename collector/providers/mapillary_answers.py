"""Mapillary's answers: from the bytes to photos, without a network.

The Graph API leaves out what it does not have: any field of a row may be absent, and a field that it does not know is absent
too, without a word (https://www.mapillary.com/developer/api-documentation).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collector.net.allowlist import Origin, origin_of, why_forbidden
from collector.net.client import Answer, RefusedError, TemporaryError
from collector.providers.answers import (
    NoPhotoError,
    check_inside,
    clean,
    from_milliseconds,
    heading,
    mapping,
    nameless,
    point,
    read_object,
    sequence,
    told,
)
from collector.records import City, Photo, Unusable, normal_id

FIELDS = (
    *("id", "captured_at", "computed_geometry", "geometry", "computed_compass_angle", "compass_angle"),
    *("creator", "sequence", "is_pano", "camera_type"),
)
"""What is asked of each image. Its size is that of the original, which is not what is fetched, so it is not asked for."""

THUMB = "thumb_1024_url"
"""The picture that is fetched: 1024 pixels."""

HOSTS = (".fbcdn.net",)
"""Where the pictures of the service lie."""

NOT_THERE = "error-100"
"""Reason of a refusal: an image that is not there (any more), or a parameter that is wrong."""

# 4, 17, 32 and 341 are limits of the application, the user, the page and again the application, 613 of a single call.
_LIMITS = frozenset({4, 17, 32, 341, 613})
_PASSING = frozenset({1, 2})
_TOKEN = frozenset({102, 190})
_ALL_ROUND = frozenset({"spherical", "equirectangular"})


class TooMuchError(Exception):
    """A box holds more than the service can answer about: ask about smaller ones."""


class TokenError(Exception):
    """The token is missing, wrong, expired, or not allowed to do this."""


@dataclass(frozen=True, slots=True)
class _Error:
    code: int | None
    kind: str
    message: str
    passing: bool


def judge(answer: Answer) -> None:
    """Raise what an answer says that it is, under whichever status: limits are told with 400 and 403 too.

    A refusal without a code that is known here is left to its status.

    Raises:
        TemporaryError: half an answer, a limit, an error that passes.
        TooMuchError, TokenError: see there.
        RefusedError: NOT_THERE.
    """
    error = _error(told(answer))
    if error is None:
        return
    meaning = _meaning(error)
    if answer.status == 200 or not isinstance(meaning, RefusedError) or meaning.reason == NOT_THERE:
        raise meaning


def _error(document: Mapping[str, Any]) -> _Error | None:
    if "error" not in document:
        return None
    error = mapping(document["error"])
    code = error.get("code")
    message = clean(error.get("message")) or clean(document["error"]) or "no message"
    whole = code if isinstance(code, int) and not isinstance(code, bool) else None
    return _Error(whole, clean(error.get("type")) or "", message, error.get("is_transient") is True)


def _meaning(error: _Error) -> Exception:
    text = f"code {error.code}: {error.message}"
    # Code 1, "Please reduce the amount of data you're asking for, then retry your request"; seen with -3 too.
    if "reduce the amount of data" in error.message:
        return TooMuchError(error.message)
    if error.code in _LIMITS:
        return TemporaryError("rate-limited", text)
    if error.code in _PASSING or error.passing:
        return TemporaryError("service-error", text)
    # OAuthException is the type of most errors of the platform, so the code decides where there is a known one.
    if error.code in _TOKEN or (error.code is None and error.kind == "OAuthException"):
        return TokenError(text)
    return RefusedError(f"error-{error.code}", error.message)


def _document(body: bytes) -> dict[str, Any]:
    """Return an answer that is no error.

    Raises:
        TemporaryError: as for `judge`.
        TooMuchError, TokenError: see there.
        RefusedError: any other error.
    """
    document = read_object(body)
    error = _error(document)
    if error is None:
        return document
    raise _meaning(error)


def parse_rows(body: bytes) -> list[Any]:
    """Return the rows of a search.

    Raises:
        TemporaryError, TooMuchError, TokenError, RefusedError: as for `_document`.
    """
    document = _document(body)
    if not isinstance(document.get("data"), list):
        raise RefusedError("unexpected-answer", "without data")
    return sequence(document["data"])


def parse_answer(body: bytes, city: City) -> list[Photo | Unusable]:
    """Return what the rows of a search are; see `describe`.

    Raises:
        TemporaryError, TooMuchError, TokenError, RefusedError: as for `_document`.
    """
    return [describe(row, city) for row in parse_rows(body)]


def parse_thumb(body: bytes, own: frozenset[Origin]) -> str:
    """Return the address of a picture from the answer about one image. It is signed, and works for some days.

    Args:
        body: the answer.
        own: where pictures may lie besides HOSTS.

    Raises:
        TemporaryError, TokenError: as for `_document`.
        RefusedError: there is no picture, or it lies elsewhere.
    """
    url = _document(body).get(THUMB)
    if not isinstance(url, str):
        raise RefusedError("no-picture", f"without {THUMB}")
    try:
        origin = origin_of(url)
    except ValueError:
        raise RefusedError("no-picture", f"{THUMB} is no address") from None
    if why_forbidden(origin, HOSTS, own):
        raise RefusedError("foreign-host", f"its picture lies on {origin.host}")
    return url


def describe(row: object, city: City) -> Photo | Unusable:
    """Return a row as a photo of the city, or why it is none.

    Panoramas are none: an equirectangular picture bends every line and shows all directions at once; to cut a view out of
    it is to choose a direction, which nobody here can.

    Place and heading are those of the reconstruction where there is one, else the device's. The picture's address is signed
    and expires, so a photo has none.
    """
    native = mapping(row).get("id")
    if not (isinstance(native, str) and native.isascii() and native.isdecimal() and len(native) <= 20):
        return Unusable(nameless("mapillary", row), "no-id", "a row without an id", city.slug)
    try:
        return _photo(native, mapping(row), city)
    except NoPhotoError as error:
        return Unusable(f"mapillary:{native}", error.reason, f"image {native}: {error.detail}", city.slug)


def _photo(native: str, image: Mapping[str, Any], city: City) -> Photo:
    if image.get("is_pano") is True or clean(image.get("camera_type")) in _ALL_ROUND:
        raise NoPhotoError("panorama", "shows all directions at once")
    computed = point(image.get("computed_geometry"))
    at = computed or point(image.get("geometry"))
    if at is None:
        raise NoPhotoError("no-location", "has no place")
    check_inside(city, at)
    author_id, author_name = _author(image)
    sequence_id = clean(image.get("sequence"))
    return Photo(
        photo_id=f"mapillary:{native}",
        city=city.slug,
        latitude=at[0],
        longitude=at[1],
        taken_at=from_milliseconds(image.get("captured_at")),
        heading=heading(image.get("computed_compass_angle" if computed else "compass_angle")),
        sequence_id=f"mapillary:{sequence_id}" if sequence_id else None,
        author_id=author_id,
        author_name=author_name,
        license="CC-BY-SA-4.0",
        page_url=f"https://www.mapillary.com/app/?pKey={native}",
    )


def _author(image: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return an author's id and name. Without an author a sequence stands for one: it is one person's drive or walk."""
    creator = mapping(image.get("creator"))
    name, native = clean(creator.get("username")), clean(creator.get("id"))
    if native:
        return f"mapillary:{native}", name
    if name:
        return f"mapillary:user:{normal_id(name)}", name
    run = clean(image.get("sequence"))
    return (f"mapillary:sequence:{run}" if run else None), None
