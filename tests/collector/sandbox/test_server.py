"""The sandbox over a real socket: its addresses, every fault once, and what hostile clients try."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, IncompleteRead
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from collector.errors import UsageError
from collector.sandbox import answers
from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import deal
from collector.sandbox.scenes import CITIES
from collector.sandbox.server import KINDS, Sandbox, Trouble, serving

CITY = CITIES[0]
SEARCH = "/w/api.php?" + urlencode(
    {
        "action": "query",
        "format": "json",
        "formatversion": "2",
        "list": "geosearch",
        "gsbbox": "|".join(
            f"{CITY.latitude + north:.3f}|{CITY.longitude + east:.3f}" for north, east in ((0.08, -0.08), (-0.08, 0.08))
        ),
        "gsnamespace": 6,
    }
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with serving(deal(0, 1, 40), limits=Limits(mixed=False)) as running:
        yield running


@pytest.fixture
def calm(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The sandbox; whatever a test changes is undone."""
    sandbox.requests.clear()
    sandbox.log.clear()
    yield sandbox
    sandbox.change(Trouble())
    assert sandbox.defects == []


def port_of(sandbox: Sandbox) -> int:
    return urlsplit(sandbox.url).port or 0


def flickr(sandbox: Sandbox, **params: str | int) -> dict[str, str | int]:
    key = sandbox.environment()["T15_FLICKR_KEY"]
    return {"api_key": key, "format": "json", "nojsoncallback": 1, "method": "flickr.photos.search", **params}


def flickr_rows(sandbox: Sandbox) -> list[dict[str, str]]:
    search = flickr(sandbox, min_upload_date=1, per_page=500, extras="url_z,url_o")
    answer = requests.post(f"{sandbox.url}/services/rest/", data=search, timeout=5)
    rows: list[dict[str, str]] = answer.json()["photos"]["photo"]
    return rows


def picture_url(sandbox: Sandbox, kind: str) -> str:
    item = next(item for item in sandbox.holdings.flickr.items if item.kind == kind)
    return next(row["url_z"] for row in flickr_rows(sandbox) if row["id"] == str(item.number))


def raw(sandbox: Sandbox, data: bytes) -> bytes:
    """Send bytes and return everything that comes back until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port_of(sandbox)), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        with suppress(ConnectionResetError):  # a server that hangs up on half a request resets the connection
            while part := connection.recv(65536):
                received += part
    return received


def test_the_environment_names_all_services_with_keys_that_work(calm: Sandbox) -> None:
    environment = calm.environment()
    assert set(environment) == {
        *("T15_COMMONS_URL", "T15_FLICKR_URL", "T15_FLICKR_KEY"),
        *("T15_STREETVIEW_URL", "T15_GOOGLE_KEY", "T15_GOOGLE_SECRET"),
    }
    assert requests.get(environment["T15_COMMONS_URL"], params={"action": "x", "format": "json"}, timeout=5).ok
    found = requests.post(environment["T15_FLICKR_URL"], data=flickr(calm, min_upload_date=1), timeout=5).json()
    assert found["stat"] == "ok"
    params: dict[str, str | int] = {
        "location": f"{CITY.latitude},{CITY.longitude}",
        "radius": 300,
        "key": environment["T15_GOOGLE_KEY"],
    }
    pano = requests.get(f"{environment['T15_STREETVIEW_URL']}/metadata", params=params, timeout=5).json()
    assert pano["status"] == "OK"
    picture = requests.get(environment["T15_STREETVIEW_URL"], params={**params, "size": "100x80"}, timeout=5)
    assert picture.headers["Content-Type"] == "image/jpeg"


def test_it_listens_on_loopback_alone(calm: Sandbox) -> None:
    assert calm.url == f"http://127.0.0.1:{port_of(calm)}"
    with socket.socket() as other:
        other.bind(("127.0.0.2", port_of(calm)))  # taken if the sandbox were bound to every address


def test_pictures_of_flickr_are_served_redirected_or_gone(calm: Sandbox) -> None:
    photo = requests.get(picture_url(calm, "photo"), timeout=5)
    assert (photo.status_code, photo.headers["Content-Type"]) == (200, "image/jpeg")
    assert photo.content.startswith(b"\xff\xd8")
    assert photo.url.startswith(calm.url + "/static/")
    removed = requests.get(picture_url(calm, "unavailable"), timeout=5)
    assert removed.url.endswith("photo_unavailable.png")
    assert removed.headers["Content-Type"] == "image/png"
    assert requests.get(picture_url(calm, "gone"), timeout=5).status_code == 404
    assert "noai" in requests.get(picture_url(calm, "noai"), timeout=5).headers["X-Robots-Tag"]
    assert "X-Robots-Tag" not in photo.headers
    url = picture_url(calm, "photo")
    for wrong in (url.replace("_z", "_y"), url.replace("_z.jpg", "_o.jpg"), url.replace("/static/", "/static/1")):
        assert requests.get(wrong, timeout=5).status_code == 404


def test_files_of_commons_are_served_at_standard_widths_only(calm: Sandbox) -> None:
    item = next(item for item in calm.holdings.commons.items if item.kind == "photo" and item.size[0] == 1536)

    def info(width: int) -> dict[str, Any]:
        params = {"action": "query", "format": "json", "formatversion": "2", "prop": "imageinfo", "iiprop": "url|size"}
        asked: dict[str, str | int] = {**params, "pageids": item.number, "iiurlwidth": width}
        answer = requests.get(f"{calm.url}/w/api.php", params=asked, timeout=5).json()
        told: dict[str, Any] = answer["query"]["pages"][0]["imageinfo"][0]
        return told

    thumb = requests.get(info(500)["thumburl"], timeout=5)
    assert (thumb.status_code, thumb.headers["Content-Type"]) == (200, "image/jpeg")
    assert requests.get(info(640)["thumburl"], timeout=5).status_code == 429
    original = requests.get(info(500)["url"], timeout=5)
    assert len(original.content) == info(500)["size"]
    larger = info(500)["thumburl"].replace("/500px-", "/1920px-")
    assert requests.get(larger, timeout=5).status_code == 400
    assert requests.get(info(500)["thumburl"] + "x", timeout=5).status_code == 404
    for url in (info(500)["descriptionurl"], f"{calm.url}/wiki/File:No.jpg"):
        assert requests.get(url, timeout=5).status_code == (404 if "No.jpg" in url else 200)


def test_requests_are_counted_and_written_down(calm: Sandbox) -> None:
    requests.post(f"{calm.url}/services/rest", data=flickr(calm), headers={"User-Agent": "t15-test"}, timeout=5)
    requests.get(f"{calm.url}/robots.txt", timeout=5)
    requests.get(f"{calm.url}/nowhere", timeout=5)
    assert calm.requests == {"flickr.photos.search": 1, "robots": 1, "refused": 1}
    first = calm.log[0]
    assert (first.endpoint, first.method, first.status, first.trouble) == ("flickr.photos.search", "POST", 200, None)
    assert first.headers["user-agent"] == "t15-test"
    assert "flickr.photos.search" in first.form
    assert calm.most_at_once["flickr.photos.search"] >= 1


def test_no_picture_is_drawn_before_it_is_asked_for(calm: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(*_: object) -> None:
        raise AssertionError("a picture was drawn")

    monkeypatch.setattr("collector.sandbox.rendered_files.render", drawn)
    assert flickr_rows(calm)
    assert requests.get(calm.url + SEARCH, timeout=5).json()["query"]["geosearch"]


def test_connections_are_kept_alive_and_heads_have_no_body(calm: Sandbox) -> None:
    connection = HTTPConnection("127.0.0.1", port_of(calm), timeout=5)
    try:
        for method in ("GET", "HEAD", "GET"):
            connection.request(method, SEARCH)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200
            assert (body == b"") == (method == "HEAD")
            assert int(answer.headers["Content-Length"]) > 100
        assert not answer.will_close
    finally:
        connection.close()


# --- every fault once


def struck(sandbox: Sandbox, kind: str, target: str = SEARCH, **settings: float) -> requests.Response:
    sandbox.change(Trouble(1.0, kinds=(kind,), in_a_row=1, **settings))  # type: ignore[arg-type]  # numbers only
    return requests.get(sandbox.url + target, timeout=5, allow_redirects=False)


def test_every_fault_passes_and_is_counted(calm: Sandbox) -> None:
    url = picture_url(calm, "photo")
    for kind in KINDS:
        for address in (calm.url + SEARCH, url):
            if "static" in address and kind in ("not-json", "service-error"):
                continue
            calm.change(Trouble(1.0, kinds=(kind,), in_a_row=1, slow_s=0.01))
            with suppress(requests.RequestException):
                requests.get(address, timeout=5, allow_redirects=False)
            assert calm.log[-1].trouble == kind
            again = requests.get(address, timeout=5)
            assert again.status_code == 200
            assert again.headers["Content-Type"].startswith("image/jpeg" if "static" in address else "application/json")
            assert calm.log[-1].trouble is None
    assert {kind: calm.requests[f"commons.geosearch/{kind}"] for kind in KINDS} == dict.fromkeys(KINDS, 1)
    assert calm.requests["flickr.picture/reset"] == 1


def test_rate_limits_and_server_errors(calm: Sandbox) -> None:
    limited = struck(calm, "rate-limited", retry_after=7)
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    statuses = {struck(calm, "server-error", SEARCH + "&x" * count).status_code for count in (0, 1, 2)}
    assert statuses == {500, 502, 503}


def test_slow_answers_are_late_and_whole(calm: Sandbox) -> None:
    before = time.monotonic()
    assert "query" in struck(calm, "slow", slow_s=0.1).json()
    assert time.monotonic() - before > 0.09


def test_a_reset_connection_is_reset(calm: Sandbox) -> None:
    calm.change(Trouble(1.0, kinds=("reset",), in_a_row=1))
    connection = HTTPConnection("127.0.0.1", port_of(calm), timeout=5)
    connection.request("GET", SEARCH)
    with pytest.raises(ConnectionResetError):
        connection.getresponse().read()
    connection.close()


def test_a_truncated_body_ends_before_its_length(calm: Sandbox) -> None:
    calm.change(Trouble(1.0, kinds=("truncated",), in_a_row=1))
    connection = HTTPConnection("127.0.0.1", port_of(calm), timeout=5)
    connection.request("GET", SEARCH)
    with pytest.raises(IncompleteRead) as caught:
        connection.getresponse().read()
    assert 0 < len(caught.value.partial) <= (caught.value.expected or 0) + 1
    connection.close()


def test_wrong_bodies_come_with_status_200(calm: Sandbox) -> None:
    html = struck(calm, "html")
    assert (html.status_code, html.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert html.text.startswith("<!DOCTYPE")
    half = struck(calm, "not-json")
    assert (half.status_code, half.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    with pytest.raises(json.JSONDecodeError):
        json.loads(half.text)
    assert struck(calm, "empty").content == b""
    mistyped = struck(calm, "wrong-type")
    assert mistyped.headers["Content-Type"].startswith("text/html")
    assert "query" in mistyped.json()


def test_redirects_lead_to_the_same_answer_and_keep_a_form(calm: Sandbox) -> None:
    moved = struck(calm, "redirect")
    assert moved.status_code == 302
    assert moved.headers["Location"] == f"{SEARCH}&{answers.MARK}=1"
    calm.change(Trouble(1.0, kinds=("redirect",)))
    followed = requests.get(calm.url + SEARCH, timeout=5)
    assert "warnings" not in followed.json()
    posted = requests.post(f"{calm.url}/services/rest/", data=flickr(calm, min_upload_date=1), timeout=5)
    assert [step.status_code for step in posted.history] == [307]
    assert posted.json()["stat"] == "ok"


def test_signatures_survive_a_redirect(calm: Sandbox) -> None:
    from collector.sandbox.streetview_api import signature

    calm.change(Trouble(1.0, kinds=("redirect",)))
    query = {"location": f"{CITY.latitude},{CITY.longitude}", "radius": 300}
    target = "/maps/api/streetview/metadata?" + urlencode({**query, "key": calm.environment()["T15_GOOGLE_KEY"]})
    answer = requests.get(f"{calm.url}{target}&signature={signature(target)}", timeout=5)
    assert len(answer.history) == 1
    assert answer.json()["status"] == "OK"


def test_each_service_has_its_own_words_for_being_out_of_order(calm: Sandbox) -> None:
    calm.change(Trouble(1.0, kinds=("service-error",)))
    commons = requests.get(calm.url + SEARCH, timeout=5)
    assert (commons.status_code, commons.headers["MediaWiki-API-Error"]) == (200, "maxlag")
    assert commons.headers["Retry-After"] == "1"
    search = requests.post(f"{calm.url}/services/rest", data=flickr(calm), timeout=5)
    assert (search.status_code, search.json()["code"]) == (200, 105)
    assert search.headers["Content-Type"].startswith("text/plain")
    metadata = requests.get(f"{calm.url}/maps/api/streetview/metadata", timeout=5)
    assert metadata.json() == {"status": "UNKNOWN_ERROR"}


def test_trouble_does_not_touch_robots_nor_refusals(calm: Sandbox) -> None:
    calm.change(Trouble(1.0))
    assert requests.get(f"{calm.url}/robots.txt", timeout=5).text.startswith("User-agent")
    assert requests.get(f"{calm.url}/nowhere", timeout=5).status_code == 404


# --- hostile clients


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "//127.0.0.1/w/api.php",
        "/../../etc/passwd",
        "/static/../../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/wikipedia/commons/a/ab/%00",
        "/wikipedia/commons/a/ab/..%2f..%2fx",
        "/wikipedia/commons/thumb/a/ab/x.jpg/99999999px-x.jpg",
        "/static/65535/1_0123456789_z.jpg",
        "/static/65535/" + "9" * 15 + "_0123456789_z.jpg",
        "/maps/api/streetview/metadata/",
        "/maps/api/streetviewer",
        "/w/api.php/",
        "/w/index.php",
        "/wiki/File:%ff%fe",
        "/w/api.php?" + "&".join(f"a{n}=1" for n in range(300)),
        "http://example.org/w/api.php",
        "*",
        "/%",
        "/\xe9",
    ],
)
def test_unknown_and_tricky_addresses_are_refused(calm: Sandbox, target: str) -> None:
    answer = raw(calm, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
    assert answer.split(b" ", 2)[1] in (b"400", b"404"), answer[:60]
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"400"),
        (b"PUT /w/api.php HTTP/1.1\r\n\r\n", b"405"),
        (b"BREW /w/api.php HTTP/1.1\r\n\r\n", b"501"),
        (b"POST /services/rest HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"POST /services/rest HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"POST /services/rest HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"POST /services/rest HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", b"413"),
        (b"POST /services/rest HTTP/1.1\r\nContent-Length: 70000\r\n\r\n", b"413"),
        (b"POST /services/rest HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
    ],
)
def test_broken_requests_are_refused(calm: Sandbox, request_: bytes, status: bytes) -> None:
    answer = raw(calm, request_)
    assert answer.split(b" ", 2)[1] == status, answer[:80]
    assert b"Connection: close" in answer


def test_what_never_ends_is_not_read_to_its_end(calm: Sandbox) -> None:
    answer = raw(calm, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n")
    assert answer == b"" or answer.split(b" ", 2)[1] == b"414"


def test_only_apis_are_posted_to(calm: Sandbox) -> None:
    answer = requests.post(picture_url(calm, "photo"), timeout=5)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_an_unfinished_body_and_a_client_that_leaves_do_no_harm(calm: Sandbox) -> None:
    assert raw(calm, b"POST /services/rest HTTP/1.1\r\nContent-Length: 50\r\n\r\nmethod=") == b""
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", port_of(calm)), timeout=5) as connection:
            connection.sendall(b"GET " + SEARCH.encode() + b" HTTP/1.1\r\n\r\n")
    assert requests.get(calm.url + SEARCH, timeout=5).status_code == 200


def test_a_defect_of_the_sandbox_is_raised_and_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(answers.Services, "answer", fail)
    served = serving(deal(0, 1, 2))
    broken = served.__enter__()
    answer = requests.get(f"{broken.url}/robots.txt", timeout=5)
    assert (answer.status_code, answer.text) == (500, "The sandbox failed\n")
    with pytest.raises(RuntimeError, match="sandbox failed"):
        served.__exit__(None, None, None)


def test_leaving_hangs_up_on_idle_and_slow_clients() -> None:
    before, threads = time.monotonic(), set(threading.enumerate())
    with serving(deal(0, 1, 2), Trouble(1.0, kinds=("slow",), slow_s=30)) as running:
        connection = HTTPConnection("127.0.0.1", port_of(running), timeout=5)
        connection.request("GET", SEARCH)
        time.sleep(0.05)
    # The slow answer comes at once; after it nothing does.
    received = connection.sock.recv(65536)
    while part := connection.sock.recv(65536):
        received += part
    connection.close()
    assert received == b"" or b"geosearch" in received
    for thread in set(threading.enumerate()) - threads:
        thread.join(5)
    assert time.monotonic() - before < 5


def test_a_taken_port_and_an_impossible_one_are_usage_errors(calm: Sandbox) -> None:
    for port in (port_of(calm), 70_000, -1):
        with pytest.raises(UsageError, match=f"port {port}"), serving(deal(0, 1, 2), port=port):
            pass
