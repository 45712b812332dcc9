"""The API of Wikimedia Commons as it is: `action=query` with geosearch (as list and as generator), imageinfo and coordinates.

What is copied from the real service: `gs` is the prefix of the list's parameters and `ggs` of the generator's; the default
namespace is 0, where there is nothing; a search answers 500 rows at most and cannot be continued; boxes have 100 m² to
20 × 20 km, circles 10 to 10,000 m; imageinfo comes for 50 files an answer, `continue` repeats the other pages without it;
errors are HTTP 200 with the header MediaWiki-API-Error; unknown parameters draw a warning; values of extmetadata are HTML
and some are missing; formatversion 1 writes flags as empty strings.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import cos, isfinite, radians
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.geo import KM_PER_DEGREE
from collector.sandbox.commons_files import file_name, image_info, places, stamp
from collector.sandbox.holdings import Item, Listing, distance_m
from collector.sandbox.rendered_files import Fingerprint

_BATCH = 50
_MOST_ROWS = 500
_LARGEST_M2, _SMALLEST_M2 = 400e6, 100.0
_KNOWN = frozenset({
    "action", "format", "formatversion", "list", "generator", "prop", "pageids", "titles", "continue", "maxlag", "origin",
    "errorformat", "uselang", "utf8", "ascii", "redirects", "servedby", "curtimestamp", "requestid", "smaxage", "maxage",
    "assert",
})  # fmt: skip
_GEO = frozenset({"coord", "bbox", "radius", "limit", "namespace", "primary", "prop", "globe", "maxdim", "sort"})
_II = frozenset({
    "prop", "limit", "urlwidth", "urlheight", "extmetadatafilter", "extmetadatalanguage", "extmetadatamultilang",
    "continue", "metadataversion", "start", "end", "urlparam", "badfilecontexttitle", "localonly",
})  # fmt: skip
_CO = frozenset({"limit", "continue", "prop", "primary", "distancefrompoint", "distancefrompage"})
_FLAGS = frozenset({"missing", "primary", "hidden", "batchcomplete", "invalid"})


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


class _Asked(NamedTuple):
    wiki: Wiki
    params: Mapping[str, str]
    origin: str
    fingerprint: Callable[[Item], Fingerprint]


def reply(wiki: Wiki, params: Mapping[str, str], origin: str, fingerprint: Callable[[Item], Fingerprint]) -> Reply:
    """Return what Commons answers.

    Args:
        wiki: what it holds.
        params: of the request.
        origin: `scheme://host:port` of pages and files.
        fingerprint: tells length and SHA-1 of an original; called only for what is asked for.
    """
    if params.get("format") != "json":
        # The real default shows the JSON as a page for people to read.
        return Reply("text/html; charset=utf-8", b"<!DOCTYPE html><title>MediaWiki API result</title>", {})
    modern = params.get("formatversion", "1") not in ("", "1")
    try:
        document = _query(_Asked(wiki, params, origin, fingerprint))
    except _RefusedError as error:
        return _error(error.code, error.info)
    if unknown := _unknown(params):
        text = f"Unrecognized parameter{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}."
        document = {"warnings": {"main": {"warnings" if modern else "*": text}}, **document}
    return _written(_modern(document) if modern else document)


def lagged() -> Reply:
    """Return the error `maxlag`, which asks to come back after a second."""
    extra = {"host": "10.192.0.1", "lag": 5.5, "type": "db"}
    return _error("maxlag", "Waiting for 10.192.0.1: 5.5 seconds lagged.", {"Retry-After": "1"}, extra)


# --- the document


def _query(asked: _Asked) -> dict[str, Any]:
    params = asked.params
    if params.get("action", "help") != "query":
        raise _RefusedError("badvalue", f'Unrecognized value for parameter "action": {params.get("action", "")[:60]}.')
    if re.fullmatch(r"-[0-9]+", params.get("maxlag", "")):
        raise _RefusedError("maxlag", "Waiting for a database server: 0 seconds lagged.")
    query: dict[str, Any] = {}
    document: dict[str, Any] = {"batchcomplete": ""}
    if "list" in params:
        if params["list"] != "geosearch":
            raise _RefusedError("badvalue", f'Unrecognized value for parameter "list": {params["list"][:60]}.')
        query["geosearch"] = _geosearch(asked, "gs")
    pages = _pages(asked, query)
    if pages:
        going_on = _properties(asked, pages)
        query["pages"] = pages
        if going_on:
            document = {"continue": going_on}
    return {**document, "query": query} if query else document


def _pages(asked: _Asked, query: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the pages that are asked for, by their ids."""
    params = asked.params
    if sum(name in params for name in ("generator", "pageids", "titles")) > 1:
        raise _RefusedError("multisource", "Cannot use several of generator, pageids and titles at once.")
    pages: dict[str, dict[str, Any]] = {}
    if "generator" in params:
        if params["generator"] != "geosearch":
            raise _RefusedError(
                "badvalue", f'Unrecognized value for parameter "generator": {params["generator"][:60]}.'
            )
        for row in _geosearch(asked, "ggs"):
            item = asked.wiki.listing.by_number[row["pageid"]]
            if item.kind != "deleted":
                pages.setdefault(str(item.number), {**_head(item), "index": len(pages) - 1})
    for id_ in _values(params, "pageids"):
        if not re.fullmatch(r"[0-9]{1,15}", id_):
            raise _RefusedError("badinteger", f'Invalid value "{id_[:40]}" for integer parameter "pageids".')
        found = _there(asked.wiki.listing.by_number.get(int(id_)))
        pages[str(int(id_))] = _head(found) if found else {"pageid": int(id_), "missing": ""}
    for title in _values(params, "titles"):
        _add_title(asked.wiki, title, pages, query)
    return pages


def _add_title(wiki: Wiki, title: str, pages: dict[str, dict[str, Any]], query: dict[str, Any]) -> None:
    plain = title.replace("_", " ")
    named = wiki.by_name.get(plain.removeprefix("File:").replace(" ", "_")) if plain.startswith("File:") else None
    if found := _there(named):
        pages[str(found.number)] = _head(found)
    else:
        pages[str(-1 - sum(id_.startswith("-") for id_ in pages))] = {"ns": 6, "title": plain, "missing": ""}
    if plain != title:
        query.setdefault("normalized", []).append({"from": title, "to": plain})


def _there(item: Item | None) -> Item | None:
    return None if item is None or item.kind == "deleted" else item


def _head(item: Item) -> dict[str, Any]:
    return {"pageid": item.number, "ns": 6, "title": f"File:{file_name(item)}"}


def _values(params: Mapping[str, str], name: str) -> list[str]:
    values = [value for value in params.get(name, "").split("|") if value]
    if len(values) > _BATCH:
        raise _RefusedError("toomanyvalues", f'Too many values supplied for parameter "{name}". The limit is {_BATCH}.')
    return values


# --- geosearch


def _geosearch(asked: _Asked, prefix: str) -> list[dict[str, Any]]:
    """Return the rows of a search, the nearest to the middle first."""
    params = {name.removeprefix(prefix): value for name, value in asked.params.items() if name.startswith(prefix)}
    limit = params.get("limit", "10")
    if limit != "max" and not (re.fullmatch(r"[0-9]{1,6}", limit) and 1 <= int(limit) <= _MOST_ROWS):
        raise _RefusedError("badinteger", f'The value "{limit[:20]}" for "{prefix}limit" must be between 1 and 500.')
    where, latitude, longitude, primary = asked.wiki.index
    middle, keep = _area(params, prefix, latitude, longitude)
    wanted = params.get("primary", "primary")
    if wanted not in ("primary", "secondary", "all"):
        raise _RefusedError("badvalue", f'Unrecognized value for parameter "{prefix}primary": {wanted[:20]}.')
    if wanted != "all":
        keep = keep & (primary if wanted == "primary" else ~primary)
    if "6" not in params.get("namespace", "0").split("|") and params.get("namespace") != "*":
        return []
    found = np.flatnonzero(keep)
    away = distance_m(middle[0], middle[1], latitude[found], longitude[found])
    order = np.lexsort((where[found], away))[: _MOST_ROWS if limit == "max" else int(limit)]
    rows = []
    for at in order:
        position = found[at]
        row = {
            **_head(asked.wiki.listing.items[where[position]]),
            "lat": round(float(latitude[position]), 6),
            "lon": round(float(longitude[position]), 6),
            "dist": round(float(away[at]), 1),
        }
        rows.append({**row, "primary": ""} if primary[position] else row)
    return rows


def _area(
    params: Mapping[str, str], prefix: str, latitude: NDArray[np.float64], longitude: NDArray[np.float64]
) -> tuple[tuple[float, float], NDArray[np.bool_]]:
    """Return the middle of what is searched, and which places lie in it."""
    if ("bbox" in params) == ("coord" in params):
        code = "invalidparammix" if "bbox" in params else "missingparam"
        raise _RefusedError(code, f'One of the parameters "{prefix}coord" and "{prefix}bbox" is required.')
    if "coord" in params:
        middle = _numbers(params["coord"], 2, "invalid-coord")
        radius = params.get("radius", "")
        if not (re.fullmatch(r"[0-9]{1,6}", radius) and 10 <= int(radius) <= 10_000):
            raise _RefusedError("badinteger", f'"{prefix}radius" must be between 10 and 10,000.')
        return (middle[0], middle[1]), distance_m(middle[0], middle[1], latitude, longitude) <= int(radius)
    north, west, south, east = _numbers(params["bbox"], 4, "invalid-bbox")
    if north <= south or west >= east or max(abs(north), abs(south)) > 90:
        raise _RefusedError("invalid-bbox", "Invalid bounding box.")
    middle_latitude = (north + south) / 2
    area = (north - south) * (east - west) * cos(radians(middle_latitude)) * (KM_PER_DEGREE * 1000) ** 2
    if not _SMALLEST_M2 <= area <= _LARGEST_M2:
        raise _RefusedError("toobig", "Bounding box is too big (or too small).")
    keep = (latitude <= north) & (latitude >= south) & (longitude >= west) & (longitude <= east)
    return (middle_latitude, (west + east) / 2), keep


def _numbers(text: str, count: int, code: str) -> list[float]:
    try:
        found = [float(part) for part in text.split("|")]
    except ValueError:
        found = []
    if len(found) != count or not all(map(isfinite, found)) or abs(found[0]) > 90 or abs(found[1]) > 180:
        raise _RefusedError(code, "Invalid coordinates.")
    return found


# --- prop


def _properties(asked: _Asked, pages: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Add what is asked about the pages, as much as fits into an answer; return what to ask with for the rest."""
    params = asked.params
    props = params.get("prop", "").split("|")
    items = [asked.wiki.listing.by_number[int(id_)] for id_, page in pages.items() if "missing" not in page]
    done = set(params.get("continue", "").strip("|").split("|")) - {""}
    going_on: dict[str, str] = {}
    finished = []
    if "imageinfo" in props and "imageinfo" not in done:
        rest = _describe(asked, pages, items)
        if rest:
            going_on["iicontinue"] = rest
        else:
            finished.append("imageinfo")
    if "coordinates" in props and "coordinates" not in done:
        rest = _locate(params, pages, items)
        if rest:
            going_on["cocontinue"] = rest
        else:
            finished.append("coordinates")
    return {**going_on, "continue": "||" + "|".join([*sorted(done), *finished])} if going_on else {}


def _describe(asked: _Asked, pages: dict[str, dict[str, Any]], items: Sequence[Item]) -> str:
    names = [file_name(item).replace(" ", "_") for item in items]
    start = _start(asked.params.get("iicontinue"), [f"{name}|{stamp(i)}" for name, i in zip(names, items, strict=True)])
    for item in items[start : start + _BATCH]:
        page = pages[str(item.number)]
        page |= {
            "imagerepository": "local",
            "imageinfo": [image_info(item, asked.params, asked.origin, asked.fingerprint)],
        }
    following = start + _BATCH
    return f"{names[following]}|{stamp(items[following])}" if following < len(items) else ""


def _locate(params: Mapping[str, str], pages: dict[str, dict[str, Any]], items: Sequence[Item]) -> str:
    limit = params.get("colimit", "10")
    most = 500 if limit == "max" else int(limit) if re.fullmatch(r"[0-9]{1,3}", limit) and int(limit) else 0
    if not 1 <= most <= _MOST_ROWS:
        raise _RefusedError("badinteger", f'The value "{limit[:20]}" for "colimit" must be between 1 and 500.')
    start = _start(params.get("cocontinue"), [f"{item.number}|0" for item in items])
    wanted = params.get("coprimary", "primary")
    for item in items[start : start + most]:
        found = places(item, "type" in params.get("coprop", "").split("|"))
        kept = [one for one in found if wanted == "all" or ("primary" in one) == (wanted == "primary")]
        if kept:
            pages[str(item.number)]["coordinates"] = kept
    return f"{items[start + most].number}|0" if start + most < len(items) else ""


def _start(going_on: str | None, known: Sequence[str]) -> int:
    if going_on is None:
        return 0
    if going_on not in known:
        raise _RefusedError("badcontinue", "Invalid continue param. You should pass the original value returned.")
    return known.index(going_on)


# --- writing


def _unknown(params: Mapping[str, str]) -> list[str]:
    known = set(_KNOWN)
    for prefix, names in (("gs", _GEO), ("ggs", _GEO), ("ii", _II), ("co", _CO)):
        known |= {prefix + name for name in names}
    return sorted(name[:60] for name in params if name not in known)[:20]


def _modern(value: Any) -> Any:
    """Return a document of formatversion 1 in formatversion 2: flags are booleans, pages an array."""
    if isinstance(value, list):
        return [_modern(one) for one in value]
    if not isinstance(value, dict):
        return value
    modern: dict[str, Any] = {
        name: True if name in _FLAGS and one == "" else _modern(one) for name, one in value.items()
    }
    return {**modern, "pages": list(modern["pages"].values())} if "pages" in modern else modern


def _error(
    code: str, info: str, headers: Mapping[str, str] | None = None, extra: Mapping[str, Any] | None = None
) -> Reply:
    error = {"code": code, "info": info, **(extra or {}), "*": "See the API's own pages for its usage."}
    return _written({"error": error, "servedby": "sandbox"}, {"MediaWiki-API-Error": code, **(headers or {})})


def _written(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
    body = json.dumps(document, separators=(",", ":")).encode()
    return Reply("application/json; charset=utf-8", body, headers or {})
