"""Downloads over loopback: cut connections, changed files, servers that do not do as they should."""

import errno
import fcntl
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from benchmark.networks.download import DownloadError, addresses, download, forget, without_secrets
from collector.errors import IncompleteError, T15Error, UsageError
from collector.progress import silent
from tests.collector.net.servers import Server, redirect

DATA = bytes(range(256)) * 2000  # half a MB: eight blocks


class Shop:
    """A server of one file, with the faults that a test asks for.

    Attributes:
        data, etag: the file as it is now.
        cut_after: bytes after which the next answer breaks off, though it announced more; None for never.
        ranges: whether Range is heeded.
        asked: the Range header of each request.
    """

    def __init__(self, server: HTTPServer) -> None:
        self.data = DATA
        self.etag = '"one"'
        self.cut_after: int | None = None
        self.ranges = True
        self.asked: list[str | None] = []
        self.agents: list[str] = []
        server.expect_request("/models/net.pth").respond_with_handler(self.answer)
        self.url = server.url_for("/models/net.pth")

    def answer(self, request: Request) -> Response:
        asked = request.headers.get("Range")
        self.asked.append(asked)
        self.agents.append(request.headers["User-Agent"])
        headers = {"ETag": self.etag} if self.etag else {}
        start, status = 0, 200
        if asked and self.ranges and request.headers.get("If-Range", self.etag) == self.etag:
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(self.data):
                return Response(status=416, headers={"Content-Range": f"bytes */{len(self.data)}"})
            headers["Content-Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        body = self.data[start:]
        headers["Content-Length"] = str(len(body))
        if self.cut_after is not None:
            body, self.cut_after = body[: self.cut_after], None
        return Response(iter([body]), status=status, headers=headers)


@pytest.fixture
def shop(httpserver: HTTPServer) -> Shop:
    return Shop(httpserver)


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("net.pth.*.part"))


def test_a_file_is_fetched(shop: Shop, tmp_path: Path) -> None:
    seen: list[Any] = []

    def track(items: Iterable[Any], description: str, total: int | None = None) -> Iterator[Any]:
        seen.append((description, total))
        for item in items:
            seen.append("step")
            yield item

    got = download(shop.url, tmp_path / "new", track)
    assert got.read_bytes() == DATA
    assert seen == [("net.pth, MiB", 1), "step"]
    assert shop.asked == [None]
    assert re.match(r"t15/\d", shop.agents[0])


def test_a_cut_connection_is_gone_on_with_at_once(shop: Shop, tmp_path: Path) -> None:
    shop.cut_after = 200_000
    assert download(shop.url, tmp_path, silent).read_bytes() == DATA
    assert shop.asked[0] is None
    assert len(shop.asked) == 2
    again = int(str(shop.asked[1]).removeprefix("bytes=").removesuffix("-"))
    assert 200_000 - 2**16 < again <= 200_000


def test_a_draft_is_gone_on_with_by_the_next_command(shop: Shop, tmp_path: Path) -> None:
    shop.cut_after = 300_000
    with pytest.raises(DownloadError, match=r"net\.pth: the connection broke off; \d+ KiB are kept"):
        download(shop.url, tmp_path, silent, attempts=1)
    kept = parts(tmp_path)[0].stat().st_size
    assert 300_000 - 2**16 < kept <= 300_000
    assert download(shop.url, tmp_path, silent).read_bytes() == DATA
    assert shop.asked == [None, f"bytes={kept}-"]


def begin(shop: Shop, folder: Path) -> None:
    shop.cut_after = 300_000
    with pytest.raises(DownloadError):
        download(shop.url, folder, silent, attempts=1)


def test_a_changed_file_is_fetched_from_its_start(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(shop, tmp_path)
    shop.data, shop.etag = DATA[::-1], '"two"'
    assert download(shop.url, tmp_path, silent).read_bytes() == DATA[::-1]
    assert len(shop.asked) == 2


@pytest.mark.parametrize("etag", ["", 'W/"one"'], ids=["none", "weak"])
def test_without_a_strong_validator_a_draft_is_not_gone_on_with(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, etag: str
) -> None:
    shop.etag = etag
    begin(shop, tmp_path)
    assert download(shop.url, tmp_path, silent).read_bytes() == DATA
    assert shop.asked == [None, None]


def test_a_server_may_ignore_ranges(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.ranges = False
    begin(shop, tmp_path)
    assert download(shop.url, tmp_path, silent).read_bytes() == DATA
    assert len(shop.asked) == 2
    assert shop.asked[1]


def test_a_draft_without_its_notes_is_begun_anew(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(shop, tmp_path)
    for notes in tmp_path.glob("*.json"):
        notes.write_text("[")
    assert download(shop.url, tmp_path, silent).read_bytes() == DATA
    assert shop.asked == [None, None]


def test_a_whole_draft_is_not_fetched_again(shop: Shop, tmp_path: Path) -> None:
    download(shop.url, tmp_path, silent)
    assert download(shop.url, tmp_path, silent).read_bytes() == DATA
    assert shop.asked == [None, f"bytes={len(DATA)}-"]


def test_a_draft_longer_than_the_file_is_begun_anew(shop: Shop, tmp_path: Path) -> None:
    draft = download(shop.url, tmp_path, silent)
    draft.write_bytes(DATA + b"more")
    assert download(shop.url, tmp_path, silent).read_bytes() == DATA


def test_another_part_than_asked_for_is_refused(
    shop: Shop, httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(shop, tmp_path)
    httpserver.clear()
    wrong = Response(DATA[5:], status=206, headers={"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"})
    httpserver.expect_request("/models/net.pth").respond_with_response(wrong)
    with pytest.raises(DownloadError, match="another part of the file"):
        download(shop.url, tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_brings_nothing_is_not_repeated(shop: Shop, tmp_path: Path) -> None:
    shop.cut_after = 0
    with pytest.raises(DownloadError, match="broke off"):
        download(shop.url, tmp_path, silent)
    assert len(shop.asked) == 1


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_is_said(httpserver: HTTPServer, tmp_path: Path, status: int) -> None:
    httpserver.expect_request("/net.pth").respond_with_data(b"no", status=status)
    with pytest.raises(DownloadError, match=rf"net\.pth: status {status}"):
        download(httpserver.url_for("/net.pth"), tmp_path, silent)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="it cannot be reached") as caught:
        download("http://user:secret@127.0.0.1:9/net.pth?key=secret", tmp_path, silent)
    assert "secret" not in str(caught.value)


def test_redirects_to_plain_http_need_to_be_listed(httpserver: HTTPServer, tmp_path: Path) -> None:
    url = httpserver.url_for("/net.pth")
    with Server(redirect(url)) as old:
        with pytest.raises(DownloadError, match="leads to an address without https"):
            download(f"{old.url}/net.pth", tmp_path, silent)
        assert httpserver.log == []
        httpserver.expect_request("/net.pth").respond_with_data(DATA)
        assert download(f"{old.url}/net.pth", tmp_path, silent, [url]).read_bytes() == DATA


def test_a_mirrors_password_goes_to_the_mirror_alone(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/net.pth").respond_with_data(DATA)
    url = httpserver.url_for("/net.pth")
    with Server(redirect(url)) as mirror:
        named = mirror.url.replace("://", "://me:se%40cret@")
        assert download(f"{named}/net.pth", tmp_path, silent, [url]).read_bytes() == DATA
    assert "Authorization: Basic bWU6c2VAY3JldA==" in mirror.requests[0]
    assert "Authorization" not in httpserver.log[0][0].headers


def test_redirects_end(httpserver: HTTPServer, tmp_path: Path) -> None:
    url = httpserver.url_for("/net.pth")
    httpserver.expect_request("/net.pth").respond_with_data(b"", status=301, headers={"Location": url})
    with pytest.raises(DownloadError, match="without end"):
        download(url, tmp_path, silent, [url])


def test_no_room_is_said_before_fetching(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 100_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(IncompleteError, match=r"net\.pth needs 0 MiB, and 0 are free"):
        download(shop.url, tmp_path, silent)


def test_a_full_disk_keeps_what_came(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        if parts(tmp_path)[0].stat().st_size:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(T15Error, match="the disk is full"):
            download(shop.url, tmp_path, silent)
    assert DATA.startswith(parts(tmp_path)[0].read_bytes())
    assert parts(tmp_path)[0].stat().st_size > 0


def test_weights_are_not_endless(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DownloadError, match="are announced"):
        download(shop.url, tmp_path, silent, largest=100_000)


def test_an_endless_answer_without_a_length_is_cut(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(_: Request) -> Response:
        return Response(iter([DATA] * 100), headers={"Transfer-Encoding": "identity"})

    httpserver.expect_request("/net.pth").respond_with_handler(endless)
    with pytest.raises(DownloadError, match="more bytes come"):
        download(httpserver.url_for("/net.pth"), tmp_path, silent, largest=1_000_000)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_fetch_the_same(shop: Shop, tmp_path: Path) -> None:
    draft = download(shop.url, tmp_path, silent)
    with draft.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(IncompleteError, match="another process fetches this file"):
            download(shop.url, tmp_path, silent)
    assert draft.read_bytes() == DATA


def test_a_draft_is_forgotten_with_its_notes(shop: Shop, tmp_path: Path) -> None:
    forget(download(shop.url, tmp_path, silent))
    assert list(tmp_path.iterdir()) == []


URLS = ("http://a.example/x/net.pth", "https://b.example/net.pth")


def test_the_mirror_comes_first_and_https_before_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T15_WEIGHTS_MIRROR", raising=False)
    assert addresses(URLS) == [URLS[1], URLS[0]]
    monkeypatch.setenv("T15_WEIGHTS_MIRROR", "http://near.example/weights/")
    assert addresses(URLS) == ["http://near.example/weights/net.pth", URLS[1], URLS[0]]
    assert addresses(()) == []


@pytest.mark.parametrize("mirror", ["ftp://a.example", "/srv/weights", "https://"])
def test_a_mirror_is_an_address(monkeypatch: pytest.MonkeyPatch, mirror: str) -> None:
    monkeypatch.setenv("T15_WEIGHTS_MIRROR", mirror)
    with pytest.raises(UsageError, match="T15_WEIGHTS_MIRROR"):
        addresses(URLS)


def test_addresses_are_shown_without_secrets() -> None:
    assert without_secrets("https://me:pw@a.example:8443/net.pth?key=1#x") == "https://a.example:8443/net.pth"
