import gzip
import io
import socket
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import pytest

from collector.net.client import ERROR_BODY, MAX_BODY, Access, Answer, Http, RefusedError, TemporaryError
from tests.collector.net.servers import FakeTime, Server, answer, redirect

JPEG = b"\xff\xd8" + bytes(range(256)) * 1000


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def client(time: FakeTime) -> Callable[..., Http]:
    def make(access: Access, **options: Any) -> Http:
        return Http(access, clock=time.clock, sleep=time.sleep, chance=lambda: 0.5, **options)

    return make


MakeHttp = Callable[..., Http]


def test_get_returns_the_answer(client: MakeHttp) -> None:
    with Server(answer(b'{"a": 1}', 200, "X-Thing: 7")) as server:
        found = client(server.access()).get(server.url + "/w", {"a": "ğ b", "none": None}, headers={"X-Mine": "1"})
    assert found == Answer(server.url + "/w?a=%C4%9F+b", 200, found.headers, b'{"a": 1}')
    assert found.headers["x-thing"] == "7"
    assert "X-Mine: 1" in server.requests[0]
    assert "Accept: application/json" in server.requests[0]
    assert "Accept-Encoding: gzip" in server.requests[0]


def test_packed_answers_are_unpacked(client: MakeHttp) -> None:
    body = b"[1]" * 300_000
    packed = answer(gzip.compress(body[:1000]) + gzip.compress(body[1000:]), 200, "Content-Encoding: gzip")
    with Server(packed) as server:
        assert client(server.access()).get(server.url).body == body
        assert client(server.access()).session.get(server.url).content == body


def test_fetch_streams_into_the_sink(client: MakeHttp) -> None:
    with Server(answer(JPEG, kind="image/jpeg; charset=x")) as server:
        sink = io.BytesIO(b"left over from before" * 100_000)
        found = client(server.access()).fetch(server.url + "/a.jpg", sink, max_bytes=len(JPEG))
    assert sink.getvalue() == JPEG
    assert found.body == b""
    assert found.status == 200


def test_an_answer_without_a_content_type_is_accepted(client: MakeHttp) -> None:
    sink = io.BytesIO()
    with Server(answer(JPEG, kind="")) as server:
        client(server.access()).fetch(server.url, sink, max_bytes=10**6)
    assert sink.getvalue() == JPEG


# asking again


def test_asks_again_after_ever_longer_waits(client: MakeHttp, time: FakeTime) -> None:
    with Server(answer(b"", 500), answer(b"", 429), answer(b"", 503), answer(b"", 521), answer(b"{}")) as server:
        assert client(server.access()).get(server.url).status == 200
    assert time.slept == [0.5, 1, 2, 4]


def test_gives_up_after_five_tries(client: MakeHttp, time: FakeTime) -> None:
    with Server(answer(b"", 503)) as server, pytest.raises(TemporaryError) as caught:
        client(server.access()).get(server.url)
    assert (caught.value.reason, caught.value.retry_after, len(server.requests)) == ("http-503", None, 5)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 451, 501, 304, 300])
def test_never_asks_again(client: MakeHttp, time: FakeTime, status: int) -> None:
    with Server(answer(b"no", status)) as server:
        http = client(server.access())
        asks: list[Callable[[], Answer]] = [
            lambda: http.get(server.url),
            lambda: http.fetch(server.url, io.BytesIO(), max_bytes=9),
        ]
        for ask in asks:
            with pytest.raises(RefusedError) as caught:
                ask()
            assert (caught.value.reason, caught.value.status) == (f"http-{status}", status)
    assert len(server.paths) == 2
    assert time.slept == []


def test_a_services_wish_is_obeyed_by_all(client: MakeHttp, time: FakeTime) -> None:
    with Server(answer(b"", 429, "Retry-After: 70"), answer(b"{}")) as server:
        http = client(server.access())
        with pytest.raises(TemporaryError):
            http.session.get(server.url)
        assert time.slept == []
        http.get(server.url)
    assert time.slept == [70]


def test_retry_after_as_a_date(client: MakeHttp, time: FakeTime) -> None:
    dates = f"Date: {formatdate(1e9, usegmt=True)}", f"Retry-After: {formatdate(1e9 + 33, usegmt=True)}"
    with Server(answer(b"", 503, *dates), answer(b"{}")) as server:
        client(server.access()).get(server.url)
    assert time.slept == [33]


@pytest.mark.parametrize("value", ["-5", "nan", "0", "soon", "Mon, 01 Jan 1990 00:00:00 GMT"])
def test_a_senseless_retry_after_is_not_obeyed(client: MakeHttp, time: FakeTime, value: str) -> None:
    with Server(answer(b"", 503, f"Retry-After: {value}"), answer(b"{}")) as server:
        client(server.access()).get(server.url)
    assert time.slept == [0.5]


def test_a_long_wish_ends_the_call_at_once_and_the_next_one_too(client: MakeHttp, time: FakeTime) -> None:
    with Server(answer(b"", 429, "Retry-After: 3600")) as server:
        http = client(server.access())
        for _ in range(2):
            with pytest.raises(TemporaryError) as caught:
                http.get(server.url)
            assert (caught.value.reason, caught.value.retry_after) == ("rate-limited", 3600)
    assert len(server.requests) == 1
    assert time.slept == []


def test_the_judge_can_ask_again(client: MakeHttp, time: FakeTime) -> None:
    def judge(found: Answer) -> None:
        if found.headers.get("MediaWiki-API-Error") == "maxlag":
            raise TemporaryError("maxlag", found.body.decode())

    lag = answer(b"SEKRIT", 200, "MediaWiki-API-Error: maxlag", "Retry-After: 5")
    with Server(lag, answer(b"{}")) as server:
        assert client(server.access()).get(server.url, judge=judge).body == b"{}"
        assert time.slept == [5]
        server.scripts[:] = [lag]
        with pytest.raises(TemporaryError) as caught:
            client(server.access("SEKRIT")).get(server.url, judge=judge)
        assert (caught.value.reason, caught.value.retry_after, str(caught.value)) == ("maxlag", 5, "maxlag: …")


def test_what_the_judge_says_holds_for_the_whole_host(client: MakeHttp, time: FakeTime) -> None:
    def judge(_: Answer) -> None:
        raise TemporaryError("maxlag", retry_after=600) from ValueError("SEKRIT")

    with Server(answer(b"{}")) as server:
        http = client(server.access("SEKRIT"))
        with pytest.raises(TemporaryError, match="maxlag") as caught:
            http.get(server.url, judge=judge)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        with pytest.raises(TemporaryError, match="rate-limited"):
            http.session.get(server.url)
    assert len(server.requests) == 1


def test_retrying_is_for_other_calls_too(client: MakeHttp, time: FakeTime) -> None:
    left = [TemporaryError("a"), TemporaryError("b", retry_after=7), TemporaryError("c", retry_after=float("nan"))]

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    assert client(Access({})).retrying(call) == "done"
    assert time.slept == [0.5, 7, 2]


def test_other_errors_pass() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Http(Access({})).retrying(interrupt)


def test_the_disks_errors_are_not_the_networks(client: MakeHttp, time: FakeTime) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    with Server(answer(JPEG, kind="image/jpeg")) as server, pytest.raises(OSError, match="No space"):
        client(server.access()).fetch(server.url, Full(), max_bytes=10**6)
    assert time.slept == []


def test_close_wakes_who_waits_and_lets_nobody_begin() -> None:
    with Server(answer(b"", 429, "Retry-After: 100")) as server:
        http = Http(server.access())
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(http.get, server.url)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
            http.close()
            assert isinstance(waiting.exception(timeout=10), TemporaryError)
        for call in (http.get, http.session.get):
            with pytest.raises(TemporaryError, match="stopped"):
                call(server.url)
    assert len(server.requests) == 1


# what is accepted


@pytest.mark.parametrize("kind", ["text/html", "TEXT/HTML; charset=utf-8", "application/octet-stream", "x" * 500])
def test_pages_instead_of_answers_are_asked_for_again(client: MakeHttp, kind: str) -> None:
    with Server(answer(b"<html>", kind=kind)) as server:
        http = client(server.access())
        asks: list[Callable[[], Answer]] = [
            lambda: http.get(server.url),
            lambda: http.fetch(server.url, io.BytesIO(), max_bytes=99),
        ]
        for ask in asks:
            with pytest.raises(TemporaryError) as caught:
                ask()
            assert caught.value.reason == "content-type"
            assert kind[:9].lower() in str(caught.value)
            assert len(str(caught.value)) < 200
    assert len(server.paths) == 10


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/octet-stream",
        "binary/octet-stream",
        "image/jpg",
        "image/*",
        "IMAGE/JPEG",
        "text/plain",
        "jpeg",
        "*/*",
    ],
)
@pytest.mark.parametrize(
    "beginning", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n", b"RIFF....WEBP", b"\0\0\0 ftypheic", b"II*\0"]
)
def test_a_picture_is_known_by_its_bytes(client: MakeHttp, kind: str, beginning: bytes) -> None:
    picture, sink = beginning + bytes(range(256)), io.BytesIO()
    with Server(answer(picture, kind=kind)) as server:
        client(server.access()).fetch(server.url, sink, max_bytes=10**6)
    assert sink.getvalue() == picture


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("image/jpeg", b"<!DOCTYPE html><title>Please wait</title>"),
        ("image/jpeg", b"\xef\xbb\xbf<html>\xc5\x9f"),
        ("image/png", b'{"error": "try later"}'),
        ("image/jpeg", b"Access denied\n"),
        ("image/jpeg", "Çok fazla istek gönderdiniz, lütfen bekleyin".encode()),
        ("image/jpeg", "<html>Lütfen oturum açın</html>".encode("utf-16")),
        ("image/jpeg", bytes(5000)),
        ("image/jpeg", b"\r\n" + JPEG),
        ("application/octet-stream", bytes(range(200, 256))),
        ("", b"nothing"),
        ("text/html", JPEG),
        ("application/json", JPEG),
        ("application/problem+json", b"{}"),
    ],
)
def test_what_is_no_picture_is_asked_for_again(client: MakeHttp, kind: str, body: bytes) -> None:
    with Server(answer(body, kind=kind)) as server, pytest.raises(TemporaryError) as caught:
        client(server.access()).fetch(server.url, io.BytesIO(), max_bytes=10**6)
    assert caught.value.reason == "content-type"
    assert len(server.paths) == 5


@pytest.mark.parametrize("size", [1, 5, 20])
def test_a_picture_is_known_however_small_its_first_pieces_are(client: MakeHttp, size: int) -> None:
    picture, sink = b"RIFF\x50\1\0\0WEBP" + bytes(range(256)), io.BytesIO()
    pieces = [picture[at : at + size] for at in range(0, len(picture), size)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/webp\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Server(head + body) as server:
        client(server.access()).fetch(server.url, sink, max_bytes=10**6)
    assert sink.getvalue() == picture


@pytest.mark.parametrize("encoding", ["gzip", "", "identity"])
def test_a_picture_that_was_packed_is_unfolded(client: MakeHttp, encoding: str) -> None:
    sink = io.BytesIO()
    with Server(answer(gzip.compress(JPEG), 200, f"Content-Encoding: {encoding}", kind="image/jpeg")) as server:
        client(server.access()).fetch(server.url, sink, max_bytes=10**6)
    assert sink.getvalue() == JPEG


@pytest.mark.parametrize(
    "kind",
    ["text/javascript", "text/plain; charset=utf-8", "application/javascript", "application/octet-stream", "text/html"],
)
@pytest.mark.parametrize("body", [b'{"a": 1}', b"\xef\xbb\xbf {}", b"\n[1]"])
def test_json_is_known_by_its_bytes(client: MakeHttp, kind: str, body: bytes) -> None:
    with Server(answer(body, kind=kind)) as server:
        assert client(server.access()).get(server.url).body == body
    assert len(server.requests) == 1


# what refusals say


LIMITS = [
    (400, b'{"error": {"message": "(#613) Calls to this api have exceeded the rate limit."}}'),
    (403, b'{"error": {"message": "(#4) Application request limit reached"}}'),
    (403, b"<title>Error 1015</title>You are being rate limited"),
    (500, b'{"status": "OVER_QUERY_LIMIT"}'),
    (403, b"You have exceeded your daily request quota for this API."),
    (418, b"Too many requests"),
]


@pytest.mark.parametrize(("status", "body"), LIMITS)
def test_a_limit_told_in_the_body_of_a_refusal_passes(client: MakeHttp, status: int, body: bytes) -> None:
    with Server(answer(body, status, kind="text/html"), answer(b"{}")) as server:
        assert client(server.access()).get(server.url).status == 200
        server.scripts[:] = [
            answer(gzip.compress(body), status, "Content-Encoding: gzip"),
            answer(JPEG, kind="image/jpeg"),
        ]
        client(server.access()).fetch(server.url, io.BytesIO(), max_bytes=10**6)
        server.scripts[:] = [answer(body, status)]
        with pytest.raises(TemporaryError) as caught:
            client(server.access()).get(server.url)
        assert (caught.value.reason, caught.value.status) == ("rate-limited", status)


@pytest.mark.parametrize("status", [404, 410, 451])
def test_what_is_gone_is_gone_whatever_its_page_speaks_of(client: MakeHttp, status: int) -> None:
    with Server(answer(b"rate limit", status)) as server, pytest.raises(RefusedError):
        client(server.access()).get(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 405, 503])
def test_the_judge_sees_what_a_refusal_says(client: MakeHttp, time: FakeTime, status: int) -> None:
    seen: list[Answer] = []

    class ToldError(Exception): ...

    def judge(found: Answer) -> None:
        seen.append(found)
        raise ToldError

    with Server(answer(b'{"code": 9}', status, "Retry-After: 3")) as server:
        http = client(server.access())
        with pytest.raises(ToldError):
            http.get(server.url, judge=judge)
        assert [(found.status, found.body) for found in seen] == [(status, b'{"code": 9}')]
        assert time.slept == []
        with pytest.raises(TemporaryError if status == 503 else RefusedError) as caught:
            http.session.get(server.url)
        assert time.slept == [3]  # a Retry-After is kept to, whatever the status
        assert caught.value.retry_after == 3
        assert caught.value.answer is not None


def test_of_a_refusal_only_so_much_is_read(client: MakeHttp) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 403 X\r\nContent-Type: text/html\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    bomb = answer(gzip.compress(bytes(10**8)), 403, "Content-Encoding: gzip")
    for script in (endless, bomb, answer(b"half", 403).replace(b"Length: 4", b"Length: 400")):
        with Server(script) as server, pytest.raises(RefusedError) as caught:
            client(server.access()).get(server.url)
        assert caught.value.answer is not None
        assert len(caught.value.answer.body) <= ERROR_BODY


def test_other_kinds_can_be_accepted(client: MakeHttp) -> None:
    with Server(answer(b"{}", kind="text/plain")) as server:
        assert client(server.access()).get(server.url, accept=("application/json", "text/")).body == b"{}"


@pytest.mark.parametrize("status", [202, 204, 206])
def test_a_part_of_a_file_is_no_file(client: MakeHttp, status: int) -> None:
    part = answer(b"" if status == 204 else b"x", status, kind="image/jpeg")
    with Server(part) as server, pytest.raises(TemporaryError, match=f"http-{status}"):
        client(server.access()).fetch(server.url, io.BytesIO(), max_bytes=99)


def test_too_large_as_announced(client: MakeHttp) -> None:
    sink = io.BytesIO()
    with Server(answer(JPEG, kind="image/jpeg")) as server, pytest.raises(RefusedError, match="too-large"):
        client(server.access()).fetch(server.url, sink, max_bytes=len(JPEG) - 1)
    assert len(server.paths) == 1
    assert sink.getvalue() == b""


def test_too_large_without_a_word(client: MakeHttp) -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff")
        while True:
            connection.sendall(bytes(65536))

    sink = io.BytesIO()
    with Server(endless) as server, pytest.raises(RefusedError, match="too-large"):
        client(server.access()).fetch(server.url, sink, max_bytes=10**6)
    assert len(sink.getvalue()) <= 10**6


def test_a_bomb_is_stopped_as_it_unfolds(client: MakeHttp) -> None:
    bomb = gzip.compress(bytes(MAX_BODY + 1))
    with Server(answer(bomb, 200, "Content-Encoding: gzip")) as server:
        with pytest.raises(RefusedError, match="too-large"):
            client(server.access()).get(server.url)
        sink = io.BytesIO()
        with pytest.raises(RefusedError, match="too-large"):
            client(server.access()).fetch(server.url, sink, max_bytes=10**6, accept=("application/",))
        assert len(sink.getvalue()) <= 10**6


# robots


RULES = answer(b"User-agent: *\nDisallow: /private\n", kind="text/plain")


def test_robots_txt_is_asked_once_and_obeyed(client: MakeHttp) -> None:
    with Server(answer(JPEG, kind="image/jpeg"), fixed={"/robots.txt": RULES}) as server:
        http = client(server.access())
        for _ in range(2):
            http.fetch(server.url + "/public", io.BytesIO(), max_bytes=10**6)
            with pytest.raises(RefusedError, match="robots"):
                http.fetch(server.url + "/private", io.BytesIO(), max_bytes=10**6)
        http.fetch(server.url + "/private", io.BytesIO(), max_bytes=10**6, robots=False)
        http.get(server.url + "/private", accept=("image/",))
    assert server.paths == ["/public", "/public", "/private", "/private"]
    assert len(server.requests) == 5
    assert "User-Agent: t15/" in server.requests[0]


def test_robots_have_a_say_about_where_redirects_lead(client: MakeHttp) -> None:
    site = Server(redirect("/private"), fixed={"/robots.txt": RULES})
    with site as server, pytest.raises(RefusedError, match="robots"):
        client(server.access()).fetch(server.url, io.BytesIO(), max_bytes=99)
    assert server.paths == ["/"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_without_robots_txt_all_is_allowed(client: MakeHttp, status: int) -> None:
    sink = io.BytesIO()
    with Server(answer(JPEG, kind="image/jpeg"), fixed={"/robots.txt": answer(b"", status)}) as server:
        client(server.access()).fetch(server.url, sink, max_bytes=10**6)
    assert sink.getvalue() == JPEG


@pytest.mark.parametrize(
    "script",
    [answer(b"", 500), answer(b"", 429), answer(b"", 501), b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nUser"],
)
def test_unreachable_robots_txt_forbids_for_now(client: MakeHttp, script: bytes) -> None:
    with Server(answer(JPEG, kind="image/jpeg"), fixed={"/robots.txt": script}) as server:
        http = client(server.access())
        with pytest.raises(TemporaryError, match="robots-unreachable"):
            http.fetch(server.url, io.BytesIO(), max_bytes=10**6)
        assert server.paths == []
        server.fixed["/robots.txt"] = answer(b"", 404)
        http.fetch(server.url, io.BytesIO(), max_bytes=10**6)


def test_robots_txt_may_be_elsewhere_but_not_anywhere(client: MakeHttp) -> None:
    fixed = {"/robots.txt": redirect("/r"), "/r": redirect("/s"), "/s": RULES}
    with Server(answer(JPEG, kind="image/jpeg"), fixed=fixed) as server:
        with pytest.raises(RefusedError, match="robots"):
            client(server.access()).fetch(server.url + "/private", io.BytesIO(), max_bytes=99)
        server.fixed["/robots.txt"] = redirect("http://169.254.169.254/robots.txt")
        with pytest.raises(TemporaryError, match="robots-unreachable"):
            client(server.access()).fetch(server.url + "/public", io.BytesIO(), max_bytes=99)
        server.fixed["/robots.txt"] = redirect("/robots.txt")
        client(server.access()).fetch(server.url + "/private", io.BytesIO(), max_bytes=10**6)


def test_noai_is_honoured(client: MakeHttp) -> None:
    scripts = [
        answer(JPEG, 200, *(f"X-Robots-Tag: {tag}" for tag in tags), kind="image/jpeg")
        for tags in (["otherbot: noai", "noindex"], ["otherbot: noindex", "noai"], ["t15: noimageai"])
    ]
    with Server(*scripts) as server:
        http, sink = client(server.access()), io.BytesIO()
        http.fetch(server.url, sink, max_bytes=10**6, robots=False)
        for _ in range(2):
            with pytest.raises(RefusedError, match="noai"):
                http.fetch(server.url, sink, max_bytes=10**6, robots=False)
            assert sink.getvalue() == b""


# keys


BROKEN = [
    *(answer(b"", 404), answer(b"", 503), b"", b"nonsense\r\n\r\n"),
    *(redirect("https://example.org/?key=SEKRIT"), redirect("//[bad?key=SEKRIT"), redirect("/again?key=SEKRIT")),
    *(answer(b"SEKRIT", 418, kind="text/SEKRIT"), b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]


@pytest.mark.parametrize("script", BROKEN)
def test_no_error_holds_a_key(client: MakeHttp, script: bytes) -> None:
    with Server(script) as server:
        http, key = client(server.access("SEKRIT")), "SEKRIT"
        other = {"key": key, "sig": "OTHER"}
        calls: list[Callable[[], object]] = [
            lambda: http.get(f"{server.url}/{key}", other),
            lambda: http.session.get(f"{server.url}/%53{key[1:]}", params=other),
            lambda: http.fetch(f"{server.url}/?key={key}&sig=OTHER", io.BytesIO(), max_bytes=9),
        ]
        for call in calls:
            with pytest.raises((TemporaryError, RefusedError)) as caught:
                call()
            error = caught.value
            assert error.__cause__ is None
            assert error.__context__ is None
            shown = f"{error!r} {vars(error)} {''.join(traceback.format_exception(error))}"
            assert key not in shown
            assert "OTHER" not in shown.replace("&sig=OTHER", "")  # this file's own line


@pytest.mark.parametrize(
    "url", ["https://[bad/?key=SEKRIT", "http://a b/?key=SEKRIT", "https://example.org/SEKRIT", "mailto:SEKRIT", ""]
)
def test_no_error_about_a_bad_url_holds_a_key(client: MakeHttp, url: str) -> None:
    with pytest.raises(RefusedError) as caught:
        client(Access({}, secrets=("SEKRIT",))).get(url)
    assert "SEKRIT" not in str(caught.value)
    assert caught.value.__context__ is None


def test_answers_and_settings_show_no_key(client: MakeHttp) -> None:
    with Server(answer(b"{}")) as server:
        access = server.access("SEKRIT")
        found = client(access).get(server.url, {"key": "SEKRIT", "sig": "OTHER", "size": 3})
    assert found.url == server.url + "/?key=…&sig=…&size=3"
    assert "SEKRIT" not in repr(access)
    assert "key=SEKRIT" in server.requests[0]


# redirects


def test_redirects_are_followed(client: MakeHttp) -> None:
    with Server(redirect("/b?x=ğ y".encode().decode("latin-1"), 301), redirect("c", 307), answer(b"{}")) as server:
        found = client(server.access()).get(server.url + "/a")
    assert server.paths == ["/a", "/b?x=%C4%9F%20y", "/c"]
    assert found.url == server.url + "/c"


@pytest.mark.parametrize("number", [5, 6])
def test_five_redirects_and_no_more(client: MakeHttp, number: int) -> None:
    with Server(*[redirect(f"/{n}") for n in range(number)], answer(b"{}")) as server:
        http = client(server.access())
        if number == 5:
            http.get(server.url)
        else:
            with pytest.raises(RefusedError, match="redirects"):
                http.get(server.url)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "target",
    [
        *("http://169.254.169.254/latest/meta-data", "//169.254.169.254/", "http://127.0.0.1:1/", "http://[::1]/"),
        *(
            "http://[::ffff:127.0.0.1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://localhost/",
            "https://example.com/",
        ),
        *(
            "http://allowed.org/",
            "https://allowed.org@evil.org/",
            "https://evil.org\\@allowed.org/",
            "https://allowed.org:22/",
        ),
        *("file:///etc/passwd", "javascript:1", "ftp://allowed.org/", "data:,x", "http://[bad", "https://"),
    ],
)
def test_redirects_out_of_bounds(client: MakeHttp, target: str) -> None:
    def resolve(*_: Any) -> list[Any]:
        raise AssertionError("nobody asked for this name")

    with Server(redirect(target)) as server:

        def only_ours(host: str, *rest: Any) -> list[Any]:
            return socket.getaddrinfo(host, *rest) if host == "127.0.0.1" else resolve()

        access = Access({"allowed.org": 1.0}, frozenset({server.url}))
        with pytest.raises(RefusedError, match="forbidden-host"):
            client(access, resolve=only_ours).get(server.url)
    assert len(server.requests) == 1


def test_another_host_gets_no_key(client: MakeHttp) -> None:
    with Server(answer(b"{}")) as other, Server() as server:
        http = client(Access({}, frozenset({server.url, other.url}), secrets=("SE/KRIT",)))
        server.scripts[:] = [redirect(f"{other.url}/x?key=SE/KRIT&again=SE%2fKRIT&sig=theirs&n=1")]
        http.get(server.url, {"key": "SE/KRIT"}, headers={"Authorization": "OAuth SE/KRIT", "X-Key": "SE/KRIT"})
        assert "Authorization: OAuth SE/KRIT" in server.requests[0]
        assert other.paths == ["/x?sig=theirs&n=1"]
        assert "KRIT" not in other.requests[0]
        assert "x-key" not in other.requests[0].lower()
        server.scripts[:] = [redirect(f"{other.url}/SE/KRIT/")]
        with pytest.raises(RefusedError, match="redirects"):
            http.get(server.url)
        server.scripts[:] = [redirect("/y?key=SE/KRIT"), answer(b"{}")]
        http.get(server.url, headers={"X-Key": "SE/KRIT"})
        assert "X-Key: SE/KRIT" in server.requests[-1]
