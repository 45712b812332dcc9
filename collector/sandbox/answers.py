"""The sandbox's addresses: what each of them answers. Without sockets: a request in, an answer out."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from collector.sandbox import commons_api, flickr_api, streetview_api, tiles_api
from collector.sandbox.commons_api import Wiki
from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import Holdings, Item
from collector.sandbox.rendered_files import Prints, no_imagery, unavailable

MARK = "sandbox-redirected"
"""The parameter that a redirect adds; it is taken out before a service looks."""

COMMONS, FLICKR, STREETVIEW = "/w/api.php", "/services/rest", "/maps/api/streetview"
"""Paths of the APIs."""

ROBOTS = b"User-agent: *\nDisallow: /w/index.php\nAllow: /\n"

_STATIC = re.compile(r"/static/([0-9]{1,6})/([0-9]{1,15})_([0-9a-f]{10})(?:_([a-z]))?\.jpg")
_FILE = re.compile(r"/wikipedia/commons/(?:thumb/)?([0-9a-f])/(\1[0-9a-f])/([^/]+)(?:/([^/]+))?")
_WIDTH = re.compile(r"(?:lossy-)?(?:page1-)?([0-9]{1,5})px-")
_GONE_PICTURE = "/static/pw/images/photo_unavailable.png"
_TEXT, _HTML, _JPEG = "text/plain; charset=utf-8", "text/html; charset=utf-8", "image/jpeg"


class Request(NamedTuple):
    """What was asked.

    Attributes:
        method: GET, HEAD or POST.
        path: not yet decoded.
        query: behind the question mark.
        form: the body, urlencoded.
    """

    method: str
    path: str
    query: str
    form: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered.

    Attributes:
        endpoint: a name to count by, such as `flickr.photos.search`, `commons.geosearch`, `streetview.picture`.
        status: of HTTP.
        content_type: of the body.
        body: all of it.
        headers: beside the usual ones.
        api: whether it is an API's answer; else it is a file or a page.
    """

    endpoint: str
    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    api: bool = False


@dataclass(frozen=True)
class Services:
    """All services of one sandbox.

    Attributes:
        holdings: what they hold.
        prints: makes their files.
        limits: how Flickr's searches are cut.
        wiki: Commons' index.
        lacking: share of the tiles from above that have no usable picture.
    """

    holdings: Holdings
    prints: Prints
    limits: Limits
    wiki: Wiki
    lacking: float = tiles_api.LACKING

    def answer(self, request: Request, origin: str) -> Answer:
        """Return what is answered to a request; `origin` is the server's own `scheme://host:port`."""
        try:
            pairs = [
                pair
                for text in (request.query, request.form)
                for pair in parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=200)
            ]
        except ValueError:
            return Answer("refused", 400, _TEXT, b"Too many parameters\n")
        params = {name: value for name, value in pairs if name != MARK}
        path = request.path.rstrip("/") if request.path.rstrip("/") in (FLICKR, STREETVIEW) else request.path
        if path == FLICKR:
            return self._flickr(params, origin)
        if request.method == "POST" and path != COMMONS:
            return Answer("refused", 405, _TEXT, b"Method not allowed\n", {"Allow": "GET, HEAD"})
        if path == COMMONS:
            reply = commons_api.reply(self.wiki, params, origin, self.prints.length)
            return Answer(_commons_endpoint(params), 200, reply.content_type, reply.body, reply.headers, api=True)
        if path.startswith(STREETVIEW):
            return self._streetview(path, params, request)
        return self._tile(request) if tiles_api.is_tile(path) else self._file(path, origin)

    def _flickr(self, params: Mapping[str, str], origin: str) -> Answer:
        reply = flickr_api.reply(self.holdings.flickr, params, origin, self.limits, int(time.time()))
        method = params.get("method", "")
        endpoint = method if method in flickr_api.METHODS else "flickr.other"
        return Answer(endpoint, 200, reply.content_type, reply.body, api=True)

    def _streetview(self, path: str, params: Mapping[str, str], request: Request) -> Answer:
        target = _bare(request)
        if path == f"{STREETVIEW}/metadata":
            body = streetview_api.metadata(self.holdings.panoramas, params, target)
            return Answer("streetview.metadata", 200, "application/json; charset=UTF-8", body, api=True)
        if path != STREETVIEW:
            return _not_found()
        found = streetview_api.picture(self.holdings.panoramas, params, target)
        name = "streetview.picture"
        if isinstance(found, streetview_api.Refused):
            return Answer(name, found.status, _TEXT, f"{found.text}\n".encode())
        if isinstance(found, streetview_api.Missing):
            return Answer(name, 200, _JPEG, no_imagery(found.size, datetime.now(UTC).year))
        return Answer(name, 200, _JPEG, self.prints.panorama(*found))

    def _tile(self, request: Request) -> Answer:
        return Answer("aerial.tile", *tiles_api.tile(_bare(request), self.lacking))

    def _file(self, path: str, origin: str) -> Answer:
        if path == "/robots.txt":
            return Answer("robots", 200, _TEXT, ROBOTS)
        if path == _GONE_PICTURE:
            return Answer("flickr.picture", 200, "image/png", unavailable())
        if static := _STATIC.fullmatch(path):
            return self._flickr_picture(static, origin)
        if file := _FILE.fullmatch(path):
            return self._commons_file(file)
        if path.startswith("/wiki/File:"):
            known = unquote(path.removeprefix("/wiki/File:")) in self.wiki.by_name
            return Answer("commons.page", 200, _HTML, b"<!DOCTYPE html><title>File</title>") if known else _not_found()
        return _not_found()

    def _flickr_picture(self, static: re.Match[str], origin: str) -> Answer:
        item, letter = self.holdings.flickr.by_number.get(int(static[2])), static[4] or ""
        known = item is not None and (letter in flickr_api.SIZES or letter == "o")
        if item is None or not known or flickr_api.picture_path(item, letter) != static[0] or item.kind == "gone":
            return Answer("flickr.picture", 404, _HTML, b"")
        if item.kind == "unavailable":
            return Answer("flickr.picture", 302, _HTML, b"", {"Location": origin + _GONE_PICTURE})
        if letter == "o":
            body = self.prints.original(item)
        else:
            body = self.prints.reduced(item, flickr_api.SIZES[letter], square=letter in ("s", "q"))
        return Answer(
            "flickr.picture", 200, _JPEG, body, {"X-Robots-Tag": "noai, noimageai"} if item.kind == "noai" else {}
        )

    def _commons_file(self, file: re.Match[str]) -> Answer:
        item = self.wiki.by_name.get(unquote(file[3]))
        thumb = "/thumb/" in file[0]
        if item is None or item.kind in ("gone", "deleted") or thumb != (file[4] is not None):
            return Answer("commons.file", 404, _HTML, b"<!DOCTYPE html><title>Not found</title>")
        if not thumb:
            return Answer("commons.file", 200, commons_api.media_type(item), self._original(item))
        width = _WIDTH.match(file[4])
        if width is None or commons_api.thumb_path(item, int(width[1])).rpartition("/")[2] != file[4]:
            return Answer("commons.file", 404, _HTML, b"<!DOCTYPE html><title>Not found</title>")
        if int(width[1]) not in commons_api.WIDTHS:
            text = b"Use thumbnail steps listed on https://w.wiki/GHai\n"
            return Answer("commons.file", 429, _TEXT, text)
        if int(width[1]) >= item.size[0] and item.kind != "map":
            return Answer("commons.file", 400, _TEXT, b"The requested thumbnail is not smaller than the original\n")
        longest = round(int(width[1]) * max(1.0, item.size[1] / item.size[0]))
        return Answer("commons.file", 200, _JPEG, self.prints.reduced(item, longest))

    def _original(self, item: Item) -> bytes:
        if item.kind == "map":
            return b'<svg xmlns="http://www.w3.org/2000/svg" width="256" height="192"><path d="M0 0h256v192z"/></svg>'
        # Nothing that plays or prints: who asks for these has already gone wrong.
        other = {"video": b"\x1aE\xdf\xa3", "scan": b"II*\0", "document": b"%PDF-1.4\n"}
        return other.get(item.kind) or self.prints.original(item)


def in_own_words(answer: Answer, request: Request) -> Answer:
    """Return an API's answer that says in the service's own words that it is out of order."""
    if answer.endpoint.startswith("flickr"):
        params = dict(parse_qsl(f"{request.query}&{request.form}", keep_blank_values=True, errors="replace"))
        reply = flickr_api.unavailable(params)
        return Answer(answer.endpoint, 200, reply.content_type, reply.body, api=True)
    if answer.endpoint.startswith("commons"):
        lagged = commons_api.lagged()
        return Answer(answer.endpoint, 200, lagged.content_type, lagged.body, lagged.headers, api=True)
    body = streetview_api.unknown_error()
    return Answer(answer.endpoint, 200, answer.content_type, body, api=True)


def _commons_endpoint(params: Mapping[str, str]) -> str:
    if params.get("list") == "geosearch":
        return "commons.geosearch"
    return "commons.imageinfo" if "imageinfo" in params.get("prop", "") else "commons.other"


def _bare(request: Request) -> str:
    """Return path and query as they were before a redirect marked them."""
    query = re.sub(f"&?{MARK}=[^&]*", "", request.query)
    return f"{request.path}?{query}" if query or request.path.startswith(STREETVIEW) else request.path


def _not_found() -> Answer:
    return Answer("refused", 404, _TEXT, b"Not found\n")
