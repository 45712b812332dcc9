"""Nobody but the reviewer's own browser, on t15's own pages, gets anything out of the server or into it."""

import http.client
import shutil
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from collector.errors import UsageError
from collector.review.app import serving
from collector.workspace import Workspace
from tests.collector.review.conftest import Reviewer, reviewing

PATHS = [
    "/",
    "/photos?city=ankara",
    "/groups",
    "/map?city=ankara",
    "/thumbnail?id=made:0000",
    "/static/review.js",
    "/x",
]


@pytest.fixture(scope="module")
def mine(filled: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewer]:
    root = tmp_path_factory.mktemp("guard") / "workspace"
    shutil.copytree(filled.root, root)
    with reviewing(Workspace(root)) as reviewer:
        yield reviewer


@pytest.fixture
def stranger(mine: Reviewer) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def decisions_of(mine: Reviewer) -> str:
    return mine.page("/photos", city="ankara").partition("</progress>")[0].partition("progress-words")[2][2:6]


def test_the_token_is_exchanged_once_for_a_cookie(shelf: Workspace) -> None:
    with serving(shelf, "Ayşe") as link:
        reviewer = Reviewer(link)
        answer = reviewer.get(link, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        said = answer.headers["Set-Cookie"].lower()
        assert "httponly" in said
        assert "samesite=strict" in said
        assert "token" not in reviewer.get(reviewer.base + "/").url
        other = Reviewer(link)
        again = other.get(link, allow_redirects=False)
        assert again.status_code == 403
        assert "Set-Cookie" not in again.headers
        assert "already used" in again.text
        assert reviewer.get(link).status_code == 200  # the page's own tab, restored


def test_a_wrong_token_does_not_spend_the_right_one(shelf: Workspace) -> None:
    with serving(shelf, "Ayşe") as link:
        for wrong in ("", "x", "ş", link.partition("=")[2][:-1]):
            assert requests.get(f"{link.partition('?')[0]}?token={wrong}", timeout=5).status_code == 403
        Reviewer(link).enter()


def test_links_differ_from_run_to_run(shelf: Workspace) -> None:
    with serving(shelf, "Ayşe") as first, serving(shelf, "Ayşe") as second:
        assert first.partition("=")[2] != second.partition("=")[2]
        assert len(first.partition("=")[2]) >= 43  # 256 bits in base 64


@pytest.mark.parametrize("path", PATHS)
def test_nothing_without_the_cookie(mine: Reviewer, stranger: requests.Session, path: str) -> None:
    answer = stranger.get(mine.base + path)
    assert answer.status_code == 403
    assert "Ankara" not in answer.text
    name, _, value = mine.cookie.partition("=")
    forged = stranger.get(mine.base + path, headers={"Cookie": f"{name}={value[1:]}{value[0]}"})
    assert forged.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""])
def test_another_host_name_is_refused(mine: Reviewer, host: str) -> None:
    """A foreign name that resolves to 127.0.0.1 (DNS rebinding) makes its pages same-origin with the server."""
    port = urlsplit(mine.base).port
    answer = mine.get(mine.base + "/", headers={"Host": host.format(port=port)})
    assert answer.status_code == 403


def test_localhost_is_this_machine_too(mine: Reviewer) -> None:
    port = urlsplit(mine.base).port
    own = {"Host": f"localhost:{port}", "Cookie": mine.cookie, "X-T15-Review": "1"}
    assert mine.get(mine.base + "/", headers=own).status_code == 200
    for origin, status in ((f"http://localhost:{port}", 200), (mine.base, 403)):
        answer = mine.post(mine.base + "/undo", json={}, headers={**own, "Origin": origin})
        assert answer.status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"X_T15_Review": None},
        {"X_T15_Review": "0"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Cookie": "a=b"},
    ],
)
@pytest.mark.parametrize("path", ["/decide", "/undo"])
def test_nothing_changes_but_from_the_own_pages(mine: Reviewer, path: str, headers: dict[str, str | None]) -> None:
    mine.decide("made:0003", "keep")
    before = decisions_of(mine)
    answer = mine.submit(path, {"photo_id": "made:0000", "verdict": "reject"}, **headers)
    assert answer.status_code == 403
    assert decisions_of(mine) == before == "1 of"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_change_nothing(mine: Reviewer, method: str) -> None:
    own = {"Origin": mine.base, "X-T15-Review": "1"}
    for headers in ({}, own):
        answer = mine.request(method, mine.base + "/undo", headers=headers)
        assert answer.status_code in (403, 405)
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = requests.options(mine.base + "/decide", headers=preflight, timeout=5)
    assert answer.status_code == 403
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", [*PATHS, "/picture?id=made:0008", "/photos?city=nowhere"])
def test_every_answer_protects_itself(mine: Reviewer, stranger: requests.Session, path: str) -> None:
    for session in (mine, stranger):
        headers = session.get(mine.base + path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] in ("no-store", "private, no-cache")
        assert "Server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/../catalogue.sqlite",
        "/static/../server.py",
        "/static/..%2f..%2fserver.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/review.css%00",
        "/thumbnail?id=../../catalogue.sqlite",
        "/thumbnail?id=/etc/passwd",
        "/picture?id=%00",
        "/catalogue.sqlite",
        "/photos/../../etc/passwd",
    ],
)
def test_no_path_leads_out(mine: Reviewer, path: str) -> None:
    """Sent as they are: `requests` would tidy the paths up."""
    parts = urlsplit(mine.base)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    connection.request("GET", path, headers={"Cookie": mine.cookie})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 404
    assert b"root:" not in content
    assert b"SQLite" not in content


def test_it_listens_on_this_machine_alone(mine: Reviewer) -> None:
    port = urlsplit(mine.base).port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        # Another address of the loopback network is still free, so the server is not bound to all.
        other.bind(("127.0.0.2", int(port or 0)))


def test_ports_that_cannot_be_had(shelf: Workspace) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in (taken.getsockname()[1], 70_000):
            with pytest.raises(UsageError, match=f"port {port}"), serving(shelf, "Ayşe", port):
                pytest.fail("it was served")
