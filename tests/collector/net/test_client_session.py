from pathlib import Path

import flickrapi
import pytest
import requests

from collector.errors import UsageError
from collector.net.client import Access, Http, RefusedError, TemporaryError, user_agent
from tests.collector.net.servers import Server, answer, redirect


def test_how_t15_names_itself() -> None:
    agent = user_agent("photos@example.org")
    assert agent.startswith("t15/")
    assert "(photo geolocation data sets; photos@example.org)" in agent
    assert "no contact given" in user_agent("")
    assert "https://example.org/t15" in user_agent(" https://example.org/t15 ")


@pytest.mark.parametrize(
    "contact",
    [
        "me",
        "a@b\r\nX-Evil: 1",
        "a@b\n",
        "a@b c",
        "a@b)",
        "ömer@example.org",
        "https://",
        "a@\x01",
        "ftp://a",
        "a@" + "b" * 199,
    ],
)
def test_contacts_that_are_none(contact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T15_CONTACT", contact)
    with pytest.raises(UsageError, match="T15_CONTACT"):
        Http(Access({}))


def test_the_contact_and_nobody_elses_name_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T15_CONTACT", "photos@example.org")
    with Server(answer(b"{}")) as server:
        http = Http(server.access())
        http.get(server.url)
        http.session.post(server.url, headers={"User-Agent": "Mozilla/5.0"})
    for request in server.requests:
        assert request.lower().count("user-agent: t15/") == 1
        assert "photos@example.org" in request
        assert "Mozilla" not in request


def test_client_libraries_talk_through_the_session() -> None:
    body = b'{"stat": "ok", "photos": {"total": "3"}}'
    with Server(answer(body, kind="text/plain")) as server:
        http = Http(server.access("KEY123", "SEKRIT"))
        client = flickrapi.FlickrAPI("KEY123", "SEKRIT", format="parsed-json", store_token=False)
        client.REST_URL = server.url + "/services/rest/"
        client.flickr_oauth.session = http.session
        assert client.photos.search(tags="x")["photos"]["total"] == "3"
    assert "POST /services/rest/" in server.requests[0]


def test_the_session_does_not_retry_and_says_what_failed() -> None:
    with Server(answer(b"", 503), answer(b"", 403), answer(b"ok", kind="text/html")) as server:
        session = Http(server.access()).session
        with pytest.raises(TemporaryError, match="http-503"):
            session.post(server.url, data={"a": 1})
        with pytest.raises(RefusedError, match="http-403"):
            session.get(server.url)
        assert session.get(server.url).text == "ok"
    assert len(server.requests) == 3


def test_the_session_goes_nowhere_else() -> None:
    with Server(answer(b"{}"), redirect("http://169.254.169.254/")) as server:
        session = Http(server.access()).session
        session.get(server.url)
        for url in ("https://example.org/", "file:///etc/passwd", "ftp://example.org/"):
            with pytest.raises((RefusedError, requests.exceptions.InvalidSchema)):
                session.get(url)
        with pytest.raises(RefusedError, match="forbidden-host"):
            session.get(server.url)


def test_the_session_keeps_no_cookies_and_reads_no_passwords(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with Server(answer(b"{}", 200, "Set-Cookie: a=b; Path=/")) as server:
        http = Http(server.access())
        for _ in range(2):
            http.session.get(server.url)
            http.get(server.url)
    assert len(server.requests) == 4
    assert not any("cookie" in r.lower() or "authorization" in r.lower() for r in server.requests)


def test_a_body_goes_to_the_same_place_again_and_nowhere_else() -> None:
    with (
        Server(answer(b"{}")) as other,
        Server(redirect("/b", 307), answer(b"{}"), redirect("/c"), answer(b"{}")) as server,
    ):
        access = Access({}, frozenset({server.url, other.url}))
        session = Http(access).session
        session.post(server.url + "/a", data="key=1")
        session.post(server.url + "/a", data="key=1")
        assert [r.partition(" HTTP")[0] for r in server.requests] == ["POST /a", "POST /b", "POST /a", "GET /c"]
        assert [r.endswith("key=1") for r in server.requests] == [True, True, True, False]
        server.scripts[:] = [redirect(other.url, 308)]
        with pytest.raises(RefusedError, match="redirects"):
            session.post(server.url, data="key=1")
        assert other.requests == []
