"""Flickr's REST API as it is, in JSON: flickr.photos.search, .getInfo, .getSizes and flickr.photos.licenses.getInfo.

What is copied from the real service (its documentation, client libraries and recorded answers of 2012 to 2025):

- a query yields 4,000 rows at most; pages behind them repeat the last;
- even before, rows are lost and doubled. The model: on the pages after the first of a query each row is with probability
  `row_loss` a repeat of an earlier row of the same query, and lost. That is decided anew for each query, and so for each
  cell: another box or another time shows what this one lost. The same query loses the same rows;
- `total` is an estimate, off by a few per cent, a number here and a string there, and changes between pages;
- types are mixed and keys are missing; videos come although photos are asked for;
- without a limiting agent (a tag, a text, the least time of upload or of taking) only the last 12 hours answer;
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

from collector.sandbox.flickr_rows import accuracy, details, licence, owner, row, sizes, tags
from collector.sandbox.holdings import Item, Listing, chance, distance_m, token

KEY = "5a4db0c5" * 4
"""The one key that the sandbox accepts; Flickr's have 32 hexadecimal digits too."""

METHODS = (
    "flickr.photos.search",
    "flickr.photos.getInfo",
    "flickr.photos.getSizes",
    "flickr.photos.licenses.getInfo",
)

_LICENCES = (
    (0, "All Rights Reserved", ""),
    (4, "CC BY 2.0", "https://creativecommons.org/licenses/by/2.0/"),
    (6, "CC BY-ND 2.0", "https://creativecommons.org/licenses/by-nd/2.0/"),
    (3, "CC BY-NC-ND 2.0", "https://creativecommons.org/licenses/by-nc-nd/2.0/"),
    (2, "CC BY-NC 2.0", "https://creativecommons.org/licenses/by-nc/2.0/"),
    (1, "CC BY-NC-SA 2.0", "https://creativecommons.org/licenses/by-nc-sa/2.0/"),
    (5, "CC BY-SA 2.0", "https://creativecommons.org/licenses/by-sa/2.0/"),
    (7, "No known copyright restrictions", "https://www.flickr.com/commons/usage/"),
    (8, "United States Government Work", "https://www.usa.gov/government-copyright"),
    (9, "Public Domain Dedication (CC0)", "https://creativecommons.org/publicdomain/zero/1.0/"),
    (10, "Public Domain Mark", "https://creativecommons.org/publicdomain/mark/1.0/"),
    (11, "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    (12, "CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
    (13, "CC BY-ND 4.0", "https://creativecommons.org/licenses/by-nd/4.0/"),
    (14, "CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
    (15, "CC BY-NC-SA 4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
    (16, "CC BY-NC-ND 4.0", "https://creativecommons.org/licenses/by-nc-nd/4.0/"),
)
_GEO = ("bbox", "lat", "lon", "place_id", "woe_id", "has_geo")
_AGENTS = ("tags", "text", "min_upload_date", "min_taken_date", "user_id")
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
    asked = _Asked(listing, params, origin, limits, now)
    try:
        if not re.fullmatch(r"[0-9a-f]{32}", params.get("api_key", "")):
            raise _FailError(100, "Invalid API Key (Key has invalid format)")  # noqa: TRY301 (one way out for all)
        if params["api_key"] != KEY:
            raise _FailError(100, "Invalid API Key (Key not found)")  # noqa: TRY301
        return _written(params, {**_method(params.get("method", ""))(asked), "stat": "ok"})
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


def _method(name: str) -> Callable[[_Asked], dict[str, Any]]:
    known = dict(zip(METHODS, (_search, _get_info, _get_sizes, _licences), strict=True))
    if name not in known:
        raise _FailError(112, f'Method "{name[:100]}" not found')
    return known[name]


def _licences(asked: _Asked) -> dict[str, Any]:
    del asked
    return {"licenses": {"license": [{"id": str(id_), "name": name, "url": url} for id_, name, url in _LICENCES]}}


# --- flickr.photos.search


def _search(asked: _Asked) -> dict[str, Any]:
    params, limits = asked.params, asked.limits
    found = _selected(asked)
    most = _MOST_GEO_ROWS if any(name in params for name in _GEO) else 500
    per_page = min(max(_whole(params.get("per_page"), 100), 1), most)
    page = max(_whole(params.get("page"), 1), 1)
    query = json.dumps(sorted((n, v) for n, v in params.items() if n not in ("page", "per_page", "extras", "format")))
    shown = _shaken(found[: limits.cap], per_page, query, limits)
    last = max(1, ceil(limits.cap / per_page))
    start = (min(page, last) - 1) * per_page
    extras = params.get("extras", "")
    rows = [row(asked.listing.items[at], extras, asked.origin, limits.mixed) for at in shown[start : start + per_page]]
    total = _estimate(len(found), query, page, limits)
    told: int | str = total
    if limits.mixed and chance("total-type", limits.seed, query, page) < 0.5:
        told = str(total)
    return {
        "photos": {"page": page, "pages": ceil(total / per_page), "perpage": per_page, "total": told, "photo": rows}
    }


def _selected(asked: _Asked) -> NDArray[np.intp]:
    """Return the positions of what a query finds, in its order."""
    listing, params = asked.listing, asked.params
    if not any(name in params for name in (*_GEO, *_AGENTS, "max_upload_date", "max_taken_date", "license")):
        raise _FailError(3, "Parameterless searches have been disabled. Please use flickr.photos.getRecent instead.")
    since = _moment(params.get("min_upload_date"), 0)
    until = _moment(params.get("max_upload_date"), asked.now)
    if since > until:
        raise _FailError(18, "Illogical arguments")
    if not any(params.get(name) for name in _AGENTS):
        since = max(since, asked.now - _NEWEST_S)
    start, stop = np.searchsorted(listing.uploaded, [since, until + 1])  # both ends are inclusive
    keep = _within(listing, params, slice(start, stop))
    positions: NDArray[np.intp] = np.flatnonzero(keep) + start
    tests = _tests(params)
    if tests:
        chosen = [at for at in positions if all(test(listing.items[at]) for test in tests)]
        positions = np.array(chosen, dtype=np.intp)
    sort = params.get("sort", "date-posted-desc")
    if sort.startswith("date-taken"):
        positions = np.array(sorted(positions, key=lambda at: listing.items[at].scene.taken_at), dtype=np.intp)
    return positions if sort.endswith("-asc") else positions[::-1]


def _within(listing: Listing, params: Mapping[str, str], part: slice) -> NDArray[np.bool_]:
    latitude, longitude, kind = listing.latitude[part], listing.longitude[part], listing.kind[part]
    keep = np.ones(len(latitude), dtype=np.bool_)
    # `media=photos` keeps nothing out: videos come all the same.
    if params.get("media") == "videos":
        keep &= kind == "video"
    if "0" in params.get("content_types", "") or params.get("content_type") == "1":
        keep &= kind != "screenshot"
    if "bbox" in params:
        west, south, east, north = _numbers(params["bbox"], 4)
        if south > north or west > east or abs(south) > 90 or abs(north) > 90:
            raise _FailError(18, "Illogical arguments")
        keep &= (latitude >= south) & (latitude <= north) & (longitude >= west) & (longitude <= east)
    if "lat" in params or "lon" in params:
        at = _numbers(f"{params.get('lat', '')},{params.get('lon', '')}", 2)
        (radius,) = _numbers(params.get("radius", "5"), 1)
        radius *= 1.609344 if params.get("radius_units") == "mi" else 1.0
        if not 0 < radius < 32 or abs(at[0]) > 90:
            raise _FailError(18, "Illogical arguments")
        keep &= distance_m(at[0], at[1], latitude, longitude) <= radius * 1000
    return keep


def _tests(params: Mapping[str, str]) -> list[Callable[[Item], bool]]:
    """Return the questions that no array answers."""
    tests: list[Callable[[Item], bool]] = []
    if "license" in params:
        wanted = {part.strip() for part in params["license"].split(",")}
        tests.append(lambda item: str(licence(item)) in wanted)
    if "accuracy" in params:
        least = _whole(params["accuracy"], 16)
        tests.append(lambda item: accuracy(item) >= least)
    if "user_id" in params:
        tests.append(lambda item: owner(item) == params["user_id"])
    if "tags" in params:
        wanted_tags = {part.strip().casefold() for part in params["tags"].split(",")}
        tests.append(lambda item: bool(wanted_tags & set(tags(item).split())))
    if "text" in params:
        tests.append(lambda item: params["text"].casefold() in item.scene.title.casefold())
    if "min_taken_date" in params or "max_taken_date" in params:
        low = _moment(params.get("min_taken_date"), -(2**40))
        high = _moment(params.get("max_taken_date"), 2**40)
        tests.append(lambda item: low <= item.scene.taken_at.timestamp() <= high)
    return tests


def _shaken(found: NDArray[np.intp], per_page: int, query: str, limits: Limits) -> list[int]:
    """Return a query's rows as they are shown: some repeat an earlier one, in whose place nothing else is shown."""
    shown: list[int] = found.tolist()
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


# --- flickr.photos.getInfo, flickr.photos.getSizes


def _get_info(asked: _Asked) -> dict[str, Any]:
    return {"photo": details(_named(asked), asked.limits.mixed)}


def _get_sizes(asked: _Asked) -> dict[str, Any]:
    found = sizes(_named(asked), asked.origin, asked.limits.mixed)
    return {"sizes": {"canblog": 0, "canprint": 0, "candownload": 1, "size": found}}


def _named(asked: _Asked) -> Item:
    """Return the photo that is asked about. Searches still list some that were removed."""
    id_ = asked.params.get("photo_id", "")
    item = asked.listing.by_number.get(int(id_)) if re.fullmatch(r"[0-9]{1,18}", id_) else None
    if item is None or item.kind in ("gone", "unavailable"):
        raise _FailError(1, f'Photo "{id_[:40]}" not found (invalid ID)' if id_ else "Photo not found")
    return item


# --- parameters


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,9}", text) else default


def _numbers(text: str, count: int) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count or not all(map(isfinite, found)):
        raise _FailError(18, "Illogical arguments")
    return found


def _moment(text: str | None, default: int) -> int:
    """Return a time as seconds since 1970; it comes as such or as `2024-01-31 12:00:00`. What is neither is ignored."""
    if text is None:
        return default
    if re.fullmatch(r"-?[0-9]{1,15}", text):
        return int(text)
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        return default
