"""Flickr's REST API as t15 meets it, in JSON: flickr.photos.search in a box, and flickr.photos.getSizes.

What is copied from the real service (its documentation, client libraries and recorded answers of 2012 to 2025):

- a query yields 4,000 rows at most; pages behind them repeat the last;
- even before, rows are lost and doubled. The model: on the pages after the first of a query each row is with probability
  `row_loss` a repeat of an earlier row of the same query, and lost. That is decided anew for each query, and so for each
  cell: another box or another time shows what this one lost. The same query loses the same rows;
- `total` is an estimate, off by a few per cent, a number here and a string there, and changes between pages;
- types are mixed and keys are missing; videos come although photos are asked for;
- without a limiting agent (the least time of upload) only the last 12 hours answer;
- misspelt parameters pass silently.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.sandbox.holdings import Item, Listing, chance, fitted, token

KEY = "5a4db0c5" * 4
"""The one key that the sandbox accepts; Flickr's have 32 hexadecimal digits too."""

METHODS = ("flickr.photos.search", "flickr.photos.getSizes")

_NEWEST_S = 12 * 3600
_MOST_GEO_ROWS = 250


@dataclass(frozen=True, slots=True)
class Limits:
    """How Flickr's searches are cut and shaken.

    Attributes:
        cap: rows after which a query repeats its last page.
        row_loss: the probability that a row on a page after the first is lost, 0 to 1.
        uniform_loss: the same for any row but a query's first: harder than the real service.
        total_error: the largest error of `total`, as a part of it.
        mixed: types are mixed and keys are missing.
        seed: of all that.
    """

    cap: int = 4000
    row_loss: float = 0.03
    uniform_loss: float = 0.0
    total_error: float = 0.04
    mixed: bool = True
    seed: int = 0


class Reply(NamedTuple):
    """An answer: always with HTTP status 200, errors as text/plain."""

    content_type: str
    body: bytes


class _FailError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Asked(NamedTuple):
    """What every method needs."""

    listing: Listing
    params: Mapping[str, str]
    origin: str
    limits: Limits
    now: int


def reply(listing: Listing, params: Mapping[str, str], origin: str, limits: Limits, now: int) -> Reply:
    """Return what Flickr answers.

    Args:
        listing: what it holds.
        params: of the request, from the address or from a form.
        origin: `scheme://host:port` of the pictures.
        limits: how searches are cut.
        now: seconds since 1970 UTC.
    """
    if params.get("format") != "json":
        # The real default is XML. A client of the sandbox asks for JSON.
        return _written(params, _failure(111, f'Format "{params.get("format", "rest")}" not found'))
    request = _Asked(listing, params, origin, limits, now)
    try:
        if not re.fullmatch(r"[0-9a-f]{32}", params.get("api_key", "")):
            raise _FailError(100, "Invalid API Key (Key has invalid format)")  # noqa: TRY301 (one way out for all)
        if params["api_key"] != KEY:
            raise _FailError(100, "Invalid API Key (Key not found)")  # noqa: TRY301
        method = {"flickr.photos.search": _search, "flickr.photos.getSizes": _get_sizes}.get(params.get("method", ""))
        if method is None:
            raise _FailError(112, f'Method "{params.get("method", "")[:100]}" not found')  # noqa: TRY301
        return _written(params, {**method(request), "stat": "ok"})
    except _FailError as error:
        return _written(params, _failure(error.code, error.message))


def unavailable(params: Mapping[str, str]) -> Reply:
    """Return error 105, as an answer to any call."""
    return _written(params, _failure(105, "Service currently unavailable"))


def _written(params: Mapping[str, str], document: Mapping[str, Any]) -> Reply:
    text = json.dumps(document, ensure_ascii=True).replace("/", "\\/")
    if "nojsoncallback" not in params:
        return Reply("text/javascript; charset=utf-8", f"jsonFlickrApi({text})".encode())
    kind = "text/plain; charset=utf-8" if document["stat"] == "fail" else "application/json"
    return Reply(kind, text.encode())


def _failure(code: int, message: str) -> dict[str, Any]:
    return {"stat": "fail", "code": code, "message": message}


# --- flickr.photos.search


def _search(asked: _Asked) -> dict[str, Any]:
    params, limits = asked.params, asked.limits
    photos = _selected(asked)
    per_page = min(max(_whole(params.get("per_page"), 100), 1), _MOST_GEO_ROWS)
    page = max(_whole(params.get("page"), 1), 1)
    query = json.dumps(sorted((n, v) for n, v in params.items() if n not in ("page", "per_page", "extras", "format")))
    shown = _shaken(photos[: limits.cap], per_page, query, limits)
    last = max(1, ceil(limits.cap / per_page))
    start = (min(page, last) - 1) * per_page
    extras = params.get("extras", "")
    rows = [row(asked.listing.items[at], extras, asked.origin, limits.mixed) for at in shown[start : start + per_page]]
    total = _estimate(len(photos), query, page, limits)
    shown_total: int | str = total
    if limits.mixed and chance("total-type", limits.seed, query, page) < 0.5:
        shown_total = str(total)
    return {
        "photos": {
            "page": page,
            "pages": ceil(total / per_page),
            "perpage": per_page,
            "total": shown_total,
            "photo": rows,
        }
    }


def _selected(asked: _Asked) -> NDArray[np.intp]:
    """Return the positions of what a query finds, in its order."""
    listing, params = asked.listing, asked.params
    if not {"bbox", "min_upload_date"} & set(params):
        raise _FailError(3, "Parameterless searches have been disabled. Please use flickr.photos.getRecent instead.")
    since = _whole(params.get("min_upload_date"), 0)
    until = _whole(params.get("max_upload_date"), asked.now)
    if since > until:
        raise _FailError(18, "Illogical arguments")
    if not params.get("min_upload_date"):  # no limiting agent
        since = max(since, asked.now - _NEWEST_S)
    start, stop = np.searchsorted(listing.uploaded, [since, until + 1])  # both ends are inclusive
    positions: NDArray[np.intp] = np.flatnonzero(_within(listing, params, slice(start, stop))) + start
    return positions if params.get("sort", "").endswith("-asc") else positions[::-1]


def _within(listing: Listing, params: Mapping[str, str], part: slice) -> NDArray[np.bool_]:
    """Return what lies in the box; `media=photos` keeps nothing out: videos come all the same."""
    latitude, longitude = listing.latitude[part], listing.longitude[part]
    west, south, east, north = _numbers(params.get("bbox", "-180,-90,180,90"), 4)
    if south > north or west > east or abs(south) > 90 or abs(north) > 90:
        raise _FailError(18, "Illogical arguments")
    keep = (latitude >= south) & (latitude <= north) & (longitude >= west) & (longitude <= east)
    if "0" in params.get("content_types", "") or params.get("content_type") == "1":
        keep &= listing.kind[part] != "screenshot"
    return keep


def _shaken(photos: NDArray[np.intp], per_page: int, query: str, limits: Limits) -> list[int]:
    """Return a query's rows as they are shown: some repeat an earlier one, in whose place nothing else is shown."""
    shown: list[int] = photos.tolist()
    if not limits.row_loss and not limits.uniform_loss:
        return shown
    rng = np.random.default_rng([limits.seed, int(token(12, "rows", query), 16)])
    dice = rng.random(len(shown))
    lost = dice < limits.uniform_loss
    lost[per_page:] |= dice[per_page:] < limits.row_loss
    for at in np.flatnonzero(lost[1:]) + 1:
        shown[at] = shown[int(rng.integers(0, at))]
    return shown


def _estimate(count: int, query: str, page: int, limits: Limits) -> int:
    return max(0, round(count * (1 + limits.total_error * (2 * chance("total", limits.seed, query, page) - 1))))


# --- flickr.photos.getSizes


def _get_sizes(asked: _Asked) -> dict[str, Any]:
    """Tell the sizes of the photo that is asked about. Searches still list some that were removed."""
    id_ = asked.params.get("photo_id", "")
    item = asked.listing.by_number.get(int(id_)) if re.fullmatch(r"[0-9]{1,18}", id_) else None
    if item is None or item.kind in ("gone", "unavailable"):
        raise _FailError(1, f'Photo "{id_[:40]}" not found (invalid ID)' if id_ else "Photo not found")
    pictures = sizes(item, asked.origin, asked.limits.mixed)
    return {"sizes": {"canblog": 0, "canprint": 0, "candownload": 1, "size": pictures}}


# --- parameters


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,12}", text) else default


def _numbers(text: str, count: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(isfinite, numbers)):
        raise _FailError(18, "Illogical arguments")
    return numbers


# --- what is told about a photo


SIZES = {"s": 75, "q": 150, "t": 100, "m": 240, "n": 320, "": 500, "z": 640, "c": 800, "b": 1024}
"""Letter in a picture's address -> pixels of the longer side; s and q are squares."""

_EXTRAS = {"sq": "s", "q": "q", "t": "t", "s": "m", "n": "n", "m": "", "z": "z", "c": "c", "l": "b", "o": "o"}
"""Letter in `extras` and in the keys of a row -> letter in the address."""

_LABELS = {
    "sq": "Square", "q": "Large Square", "t": "Thumbnail", "s": "Small", "n": "Small 320", "m": "Medium",
    "z": "Medium 640", "c": "Medium 800", "l": "Large", "o": "Original",
}  # fmt: skip
"""Letter as in _EXTRAS -> what getSizes calls it."""

_DEALT_LICENCES = (0, 0, 4, 4, 4, 5, 5, 2, 1, 1, 3, 6, 9, 10, 7, 8, 11, 12, 13, 14, 15, 16)
_ACCURACIES = (16, 16, 16, 16, 15, 14, 12, 11)


def row(item: Item, extras: str, origin: str, mixed: bool) -> dict[str, Any]:
    """Return a photo as a search tells it.

    Args:
        item: the photo.
        extras: what is wanted beyond id, owner, address and title; comma-separated. Unknown names are ignored.
        origin: `scheme://host:port` of the pictures.
        mixed: types are mixed and keys are missing.
    """
    names = {part.strip() for part in extras.split(",")}
    facts: dict[str, Any] = {
        "id": str(item.number), "owner": owner(item), "secret": secret(item), "server": server(item), "farm": 66,
        "title": item.scene.title, "ispublic": 1, "isfriend": 0, "isfamily": 0,
    }  # fmt: skip
    for name, tell in _TOLD.items():
        if name in names:
            facts |= tell(item, mixed)
    for letter in _EXTRAS:
        if f"url_{letter}" in names and _has(item, letter, mixed):
            facts |= _picture(item, letter, origin, mixed)
    return facts


def sizes(item: Item, origin: str, mixed: bool) -> list[dict[str, Any]]:
    """Return a photo's pictures as getSizes tells them."""
    page = f"https://www.flickr.com/photos/{owner(item)}/{item.number}/sizes"
    pictures = []
    for letter, label in _LABELS.items():
        if _has(item, letter, mixed=False):
            facts = _picture(item, letter, origin, mixed)
            measures = {name: facts[f"{name}_{letter}"] for name in ("width", "height")}
            address = {"source": facts[f"url_{letter}"], "url": f"{page}/{letter}/", "media": "photo"}
            pictures.append({"label": label, **measures, **address})
    return pictures


def picture_path(item: Item, letter: str) -> str:
    """Return the path of a picture: `letter` is one of SIZES, or `o` for the original, whose secret is another one."""
    suffix = f"_{letter}" if letter else ""
    return f"/static/{server(item)}/{item.number}_{secret(item, letter == 'o')}{suffix}.jpg"


def server(item: Item) -> str:
    """Return the number of the server that has a photo's files."""
    return "65535" if item.uploaded > 1_550_000_000 else str(4000 + item.number % 4000)


def secret(item: Item, original: bool = False) -> str:
    """Return the part of a picture's address that cannot be guessed."""
    return token(10, "original" if original else "secret", item.number, *(["moved"] if item.moved else []))


def licence(item: Item) -> int:
    """Return Flickr's id of a photo's licence."""
    return _DEALT_LICENCES[int(chance("flickr-licence", item.number) * len(_DEALT_LICENCES))]


def accuracy(item: Item) -> int:
    """Return how well a photo's place is known, 1 (world) to 16 (street)."""
    if item.kind == "low-accuracy":
        return 6 + item.number % 4
    return _ACCURACIES[int(chance("accuracy", item.number) * len(_ACCURACIES))]


def owner(item: Item) -> str:
    """Return the id of a photo's author."""
    return f"{int(chance('owner', item.scene.author_id) * 9e7) + 10_000_000}@N0{len(item.scene.author_id) % 9}"


def _taken(item: Item, mixed: bool) -> dict[str, Any]:
    # A third of real rows has the time of upload in the place of an unknown one.
    unknown = chance("taken", item.number) < 1 / 3
    moment = datetime.fromtimestamp(item.uploaded, UTC) if unknown else item.scene.taken_at
    return {
        "datetaken": moment.strftime("%Y-%m-%d %H:%M:%S"),
        "datetakengranularity": 0 if mixed and chance("granularity", item.number) < 0.2 else "0",
        "datetakenunknown": "1" if unknown else "0",
    }


def _geo(item: Item, mixed: bool) -> dict[str, Any]:
    if item.kind == "no-location":
        return {"latitude": 0, "longitude": 0, "accuracy": 0, "context": 0}
    known: Any = accuracy(item)
    latitude: Any = item.scene.latitude
    longitude: Any = item.scene.longitude
    if mixed:
        if item.kind == "photo" and chance("accuracy-0", item.number) < 0.02:
            known = 0
        if chance("accuracy-type", item.number) < 0.7:
            known = str(known)
        if chance("place-type", item.number) < 0.4:
            latitude, longitude = str(latitude), str(longitude)
    return {
        "latitude": latitude, "longitude": longitude, "accuracy": known, "context": 0,
        "place_id": token(16, "place", item.city), "woeid": str(23_424_000 + len(item.city)),
        "geo_is_public": 1, "geo_is_contact": 0, "geo_is_friend": 0, "geo_is_family": 0,
    }  # fmt: skip


def _has(item: Item, letter: str, mixed: bool) -> bool:
    """Return whether a row names the picture of a size."""
    if letter == "o":
        return licence(item) != 0 and not (mixed and chance("has-o", item.number) < 0.3)
    if letter not in ("sq", "q") and SIZES[_EXTRAS[letter]] > max(item.size):
        return False
    if item.scene.index % 20 == 4:  # it was carried over to Commons: its largest size is there
        return True
    return letter not in ("l", "c") or not (mixed and chance("has", letter, item.number) < 0.25)


def _picture(item: Item, letter: str, origin: str, mixed: bool) -> dict[str, Any]:
    in_address = _EXTRAS[letter]
    width: Any
    height: Any
    if letter in ("sq", "q"):
        width = height = SIZES[in_address]
    else:
        width, height = item.size if letter == "o" else fitted(item.size, SIZES[in_address])
    if mixed and chance("width-type", letter, item.number) < 0.3:
        width, height = str(width), str(height)
    return {
        f"url_{letter}": origin + picture_path(item, in_address),
        f"height_{letter}": height,
        f"width_{letter}": width,
    }


_TOLD: Mapping[str, Callable[[Item, bool], dict[str, Any]]] = {
    "license": lambda item, _: {"license": str(licence(item))},
    "date_upload": lambda item, _: {"dateupload": str(item.uploaded)},
    "date_taken": _taken,
    "owner_name": lambda item, _: {"ownername": item.scene.author_name},
    "geo": _geo,
    "media": lambda item, _: {"media": "video" if item.kind == "video" else "photo", "media_status": "ready"},
}
"""What each name in `extras` adds to a row; the pictures' addresses are apart."""
