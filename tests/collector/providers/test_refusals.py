"""What the bodies of errors say is believed, whatever their status, for every service; no key gets into a message."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from collector.errors import IncompleteError, ServiceError
from collector.net.client import Http, RefusedError, TemporaryError
from collector.providers import commons, flickr, mapillary, panoramax, streetview
from collector.providers.base import Cell, Page, Query, Survey
from collector.records import City, Photo
from tests.collector.net.servers import FakeTime, Server, answer

CITY = City("izmir", "İzmir", 38.42, 27.14, 20.0)
CELL = Cell(27.1, 38.4, 27.11, 38.41, 1_500_000_000, 1_500_086_400)
KEY = "SEKRIT0123456789"
MODULES = {
    "commons": commons,
    "flickr": flickr,
    "mapillary": mapillary,
    "panoramax": panoramax,
    "streetview": streetview,
}


@dataclass
class Asking:
    """Asks a service whose answers are the server's scripts."""

    server: Server
    make: Callable[[str], Survey]

    def page(self, name: str, *scripts: bytes) -> Page:
        self.server.scripts[:] = scripts
        self.server.requests.clear()
        return self.make(name).page(CITY, CELL, Query(), None, lambda _: False)

    def picture(self, *scripts: bytes) -> Any:
        self.server.scripts[:] = scripts
        self.server.requests.clear()
        return self.make("mapillary").image_request(Photo("mapillary:1", "izmir"))


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Any:
    time = FakeTime()
    for module in MODULES.values():
        http = partial(Http, clock=time.clock, sleep=lambda s: time.sleep(max(s, 0.001)), chance=lambda: 0.0)
        monkeypatch.setattr(module, "Http", http)
    for variable in ("T15_FLICKR_KEY", "T15_MAPILLARY_TOKEN", "T15_GOOGLE_KEY"):
        monkeypatch.setenv(variable, KEY)
    monkeypatch.delenv("T15_GOOGLE_SECRET", raising=False)
    with Server(answer()) as server:
        for name in MODULES:
            monkeypatch.setenv(f"T15_{name.upper()}_URL", server.url)
        yield Asking(server, lambda name: MODULES[name].make())


def graph(status: int, code: int | None, message: str, **more: Any) -> bytes:
    error = {"message": f"{message} {KEY}", "type": "OAuthException", "code": code, **more}
    return answer(json.dumps({"error": error}).encode(), status)


def fail(status: int, code: int, message: str = "said") -> bytes:
    said = {"stat": "fail", "code": code, "message": f"{message} {KEY}"}
    return answer(json.dumps(said).encode(), status, kind="text/plain")


def wiki(status: int, code: str) -> bytes:
    return answer(json.dumps({"error": {"code": code, "info": f"said {KEY}"}}).encode(), status)


def google(status: int, word: str, message: str = "said") -> bytes:
    return answer(json.dumps({"status": word, "error_message": f"{message} {KEY}"}).encode(), status)


TOO_MUCH = "Please reduce the amount of data you're asking for, then retry your request"
PASSING = [
    ("mapillary", graph(403, 4, "(#4) Application request limit reached"), "rate-limited"),
    ("mapillary", graph(400, 17, "User request limit reached"), "rate-limited"),
    ("mapillary", graph(400, 613, "Calls to this api have exceeded the rate limit."), "rate-limited"),
    ("mapillary", graph(400, 341, "Application limit reached"), "rate-limited"),
    ("mapillary", graph(500, 2, "Service temporarily unavailable"), "service-error"),
    ("mapillary", graph(400, 99, "An odd one", is_transient=True), "service-error"),
    ("flickr", fail(403, 105, "Service currently unavailable"), "flickr-105"),
    ("flickr", fail(400, 106, "Write operation failed"), "flickr-106"),
    ("flickr", fail(418, 0, "Sorry, the Flickr API service is not currently available."), "flickr-0"),
    ("flickr", fail(403, 10, "Sorry, the search API is down"), "flickr-10"),
    ("commons", wiki(403, "maxlag"), "rate-limited"),
    ("commons", wiki(400, "ratelimited"), "rate-limited"),
    ("commons", wiki(503, "readonly"), "readonly"),
    ("commons", answer(b"<html>", 403, "MediaWiki-API-Error: maxlag", kind="text/html"), "rate-limited"),
    ("streetview", google(403, "OVER_QUERY_LIMIT", "You have exceeded your rate-limit for this API."), "rate-limited"),
    ("streetview", google(400, "UNKNOWN_ERROR"), "unknown-error"),
    ("panoramax", answer(b'{"message": "Too many requests", "status_code": 403}', 403), "rate-limited"),
]


@pytest.mark.parametrize(("service", "script", "reason"), PASSING)
def test_what_passes_is_asked_again_and_never_a_verdict(
    asking: Asking, service: str, script: bytes, reason: str
) -> None:
    with pytest.raises(TemporaryError) as caught:
        asking.page(service, script)
    assert caught.value.reason == reason
    assert len(asking.server.requests) == 5
    if service in ("flickr", "mapillary", "streetview"):  # the others have no key to keep
        assert KEY not in f"{caught.value} {vars(caught.value)}"


@pytest.mark.parametrize(("service", "script", "reason"), PASSING)
def test_a_limit_that_is_over_costs_nothing(asking: Asking, service: str, script: bytes, reason: str) -> None:
    good = {
        "mapillary": b'{"data": []}',
        "flickr": b'{"stat": "ok", "photos": {"photo": [], "total": 0}}',
        "commons": b'{"batchcomplete": true, "query": {"geosearch": []}}',
        "streetview": b'{"status": "ZERO_RESULTS"}',
        "panoramax": b'{"type": "FeatureCollection", "features": []}',
    }
    assert asking.page(service, script, answer(good[service])).rows == 0


REFUSED_KEYS = [
    ("mapillary", graph(400, 190, "Invalid OAuth access token"), "T15_MAPILLARY_TOKEN"),
    ("mapillary", graph(403, 102, "Session key invalid"), "T15_MAPILLARY_TOKEN"),
    ("mapillary", answer(b"", 401), "T15_MAPILLARY_TOKEN"),
    ("mapillary", answer(b"<html>", 403, kind="text/html"), "T15_MAPILLARY_TOKEN"),
    ("flickr", fail(401, 100, "Invalid API Key"), "T15_FLICKR_KEY"),
    ("streetview", google(403, "REQUEST_DENIED", "The provided API key is invalid."), "T15_GOOGLE_KEY"),
    ("streetview", answer(b"", 403), "T15_GOOGLE_KEY"),
]


@pytest.mark.parametrize(("service", "script", "variable"), REFUSED_KEYS)
def test_a_refused_key_is_named_and_not_tried_again(asking: Asking, service: str, script: bytes, variable: str) -> None:
    with pytest.raises(ServiceError, match=variable) as caught:
        asking.page(service, script)
    assert len(asking.server.requests) == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [200, 403, 500])
def test_a_used_up_day_is_no_refused_key(asking: Asking, status: int) -> None:
    with pytest.raises(IncompleteError, match="quota is used up"):
        asking.page("streetview", google(status, "OVER_QUERY_LIMIT", "You have exceeded your daily request quota"))


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("code", [1, -3, None])
def test_a_box_that_holds_too_much_is_divided(asking: Asking, status: int, code: int | None) -> None:
    assert asking.page("mapillary", graph(status, code, TOO_MUCH)).cut


@pytest.mark.parametrize("status", [200, 400, 404])
def test_an_image_that_is_gone_is_gone(asking: Asking, status: int) -> None:
    with pytest.raises(RefusedError) as caught:
        asking.picture(graph(status, 100, "Unsupported get request. Object with ID '1' does not exist"))
    assert caught.value.reason == "gone"
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("script", [answer(b"{}", 400), graph(400, 77, "An odd one"), answer(b"<html>", 404)])
def test_where_no_body_tells_more_the_status_decides(asking: Asking, script: bytes) -> None:
    with pytest.raises(RefusedError, match="http-40"):
        asking.picture(script)
    assert len(asking.server.requests) == 1
