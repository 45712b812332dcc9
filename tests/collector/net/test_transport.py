import gzip
import io
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
from hypothesis import assume, given
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from collector.errors import IncompleteError, UsageError
from collector.net.client import Access, Http, RefusedError, TemporaryError
from collector.net.transport import Timeouts, body_of
from tests.collector.net.servers import Script, Server, answer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def reason(script: Script, **timeouts: float) -> str:
    """Return why an answer is none."""
    with Server(script) as server:
        http = Http(server.access(), timeouts=Timeouts(**timeouts))
        with pytest.raises(TemporaryError) as caught:
            http.session.get(server.url)
        assert len(server.requests) == 1
    return caught.value.reason


def reset(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 9\r\n\r\n{")
    time.sleep(0.02)  # else the reset overtakes the data
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"", "reset"),
        (reset, "reset"),
        (HEAD + b"Content-Length: 9\r\n\r\n{}", "truncated"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", "truncated"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", "truncated"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "truncated"),
        (answer(b"\x1f\x8b\x08" + b"damaged from its first byte on", 200, "Content-Encoding: gzip"), "broken"),
        (answer(gzip.compress(b"{}")[:12], 200, "Content-Encoding: gzip"), "truncated"),
        (HEAD + b"Content-Length: 2, 3\r\n\r\n{}", "broken"),
        (b"nonsense\r\n\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "broken"),
    ],
)
def test_broken_answers(script: Script, expected: str) -> None:
    assert reason(script) == expected


def drip(first: bytes, piece: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            time.sleep(0.02)
            connection.sendall(piece)

    return script


@pytest.mark.parametrize(
    "script",
    [
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(HEAD + b"Content-Length: 999\r\n\r\n", b"{"),
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1", b"0"),
        drip(HEAD + b"\r\n", b"{"),
    ],
)
def test_an_answer_that_takes_too_long_in_all(script: Script) -> None:
    began = time.monotonic()
    assert reason(script, whole=0.2) == "timeout"
    assert time.monotonic() - began < 2


def test_a_silent_server() -> None:
    def silent(connection: socket.socket) -> None:
        connection.recv(1)

    for timeouts in ({"read": 0.1}, {"whole": 0.1}):
        began = time.monotonic()
        assert reason(silent, **timeouts) == "timeout"
        assert time.monotonic() - began < 2


def test_a_body_comes_in_small_pieces_however_it_was_packed() -> None:
    response = requests.Response()
    response.headers["Content-Encoding"] = "gzip"
    response.raw = HTTPResponse(io.BytesIO(gzip.compress(bytes(10**7))), preload_content=False)
    sizes = [len(piece) for piece in body_of(response)]
    assert sum(sizes) == 10**7
    assert max(sizes) <= 2**18


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    http = Http(Access({}, frozenset({f"http://127.0.0.1:{port}"})))
    with pytest.raises(TemporaryError, match="unreachable"):
        http.session.get(f"http://127.0.0.1:{port}")


def found(*addresses: str) -> Any:
    def resolve(host: str, port: int, *_: Any) -> list[Any]:
        asked.append(host)
        kinds = [(socket.AF_INET6 if ":" in a else socket.AF_INET, a) for a in addresses]
        return [(family, socket.SOCK_STREAM, 6, "", (a, port)) for family, a in kinds]

    asked: list[str] = []
    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


@pytest.mark.parametrize(
    "addresses",
    [
        *(
            ["127.0.0.1"],
            ["169.254.169.254"],
            ["10.0.0.1"],
            ["::1"],
            ["::ffff:10.0.0.1"],
            ["fe80::1%eth0"],
            ["0.0.0.1"],
        ),
        *(["8.8.8.8", "192.168.0.1"], ["100.64.0.1"], ["64:ff9b::7f00:1"]),
    ],
)
def test_names_that_stand_for_private_addresses(addresses: list[str]) -> None:
    http = Http(Access({"photos.example": 100.0}), resolve=found(*addresses))
    for ask in (lambda: http.get("https://photos.example/"), lambda: http.session.get("https://photos.example/")):
        with pytest.raises(RefusedError) as caught:
            ask()
        assert caught.value.reason == "private-address"


def test_a_number_in_place_of_a_name_is_checked_too() -> None:
    with pytest.raises(RefusedError, match="private-address"):
        Http(Access({"2130706433": 1.0})).get("https://2130706433/")


def test_a_name_that_nobody_knows() -> None:
    def unknown(*_: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    for resolve in (unknown, found()):
        http = Http(Access({"photos.example": 100.0}), resolve=resolve)
        with pytest.raises(TemporaryError, match="unresolved"):
            http.session.get("https://photos.example/")


def test_the_checked_address_is_the_one_connected_to() -> None:
    resolve = found("127.0.0.1")
    with Server(answer(b"{}")) as server:
        url = f"http://photos.example:{server.port}"
        Http(Access({}, frozenset({url})), resolve=resolve).get(url)
    assert resolve.asked == ["photos.example"]
    assert f"Host: photos.example:{server.port}" in server.requests[0]


def test_the_next_address_is_tried() -> None:
    with Server(answer(b"{}")) as server:
        url = f"http://photos.example:{server.port}"
        http = Http(Access({}, frozenset({url})), resolve=found("127.0.0.9", "127.0.0.1"))
        assert http.get(url).body == b"{}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one write an answer: two meet the delayed ACK

    def do_GET(self) -> None:
        self.server.connections.add(self.client_address)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None: ...


def serve(certificate: Path | None = None) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.connections = set()  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def test_connections_are_kept_and_shared() -> None:
    server = serve()
    url = f"http://127.0.0.1:{server.server_port}"
    http = Http(Access({}, frozenset({url}), parallel=8))
    for _ in range(5):
        http.get(url)
        http.fetch(url, io.BytesIO(), max_bytes=9, accept=())
    assert len(server.connections) == 1  # type: ignore[attr-defined]
    with ThreadPoolExecutor(16) as pool:
        assert all(a.body == b"{}" for a in pool.map(lambda _: http.get(url), range(200)))
    assert len(server.connections) <= 8  # type: ignore[attr-defined]
    http.close()
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem, command = (
        tmp_path / "server.pem",
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2",
    )
    subject = ["-subj", "/CN=photos.example", "-addext", "subjectAltName=DNS:photos.example"]
    subprocess.run(
        [*command.split(), *subject, "-keyout", pem, "-out", tmp_path / "ca.pem"], check=True, capture_output=True
    )
    pem.write_bytes(pem.read_bytes() + (tmp_path / "ca.pem").read_bytes())
    server = serve(pem)
    right, wrong = (f"https://{name}.example:{server.server_port}" for name in ("photos", "other"))
    access = Access({}, frozenset({right, wrong}))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for ask in ("get", "fetch"):
        http = Http(access, resolve=found("127.0.0.1"))
        asking: Any = http.get if ask == "get" else partial(http.fetch, sink=io.BytesIO(), max_bytes=9)
        with pytest.raises(IncompleteError, match=r"photos\.example.*certifi.*REQUESTS_CA_BUNDLE"):
            asking(right)
    assert len(server.connections) == 0  # type: ignore[attr-defined]
    old = tmp_path / "old.pem"  # a list that knows others only
    subprocess.run(
        [*command.split(), *subject, "-keyout", tmp_path / "k.pem", "-out", old], check=True, capture_output=True
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(old))
    with pytest.raises(IncompleteError, match=r"REQUESTS_CA_BUNDLE=\S+old\.pem"):
        Http(access, resolve=found("127.0.0.1")).get(right)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    http = Http(access, resolve=found("127.0.0.1"))
    assert http.get(right).body == b"{}"
    with pytest.raises(TemporaryError, match="certificate"):
        http.session.get(wrong)
    http.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, b"", b"no certificates", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_list_of_authorities_that_is_none_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, content: bytes | None
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(UsageError, match=rf"{variable}=\S+bundle\.pem: is no CA bundle"):
        Http(Access({}))


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return what sets the environment, in which no proxy is named yet."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    "proxy", ["nonsense:x", "socks5://127.0.0.1:1", "http://", "http://h:99999", "http://me:secret@[::"]
)
def test_a_proxy_that_is_none_is_named_at_once(proxied: pytest.MonkeyPatch, proxy: str) -> None:
    """Before, five tries of every question, and `broken`."""
    proxied.setenv("HTTPS_PROXY", proxy)
    http = Http(Access({"photos.example": 1000.0}), sleep=lambda _: None)
    with pytest.raises(UsageError, match=r"HTTPS_PROXY.*http://HOST:PORT") as caught:
        http.get("https://photos.example/")
    assert "secret" not in str(caught.value)


def test_a_proxy_of_the_environment_is_used(proxied: pytest.MonkeyPatch) -> None:
    """It resolves the names: nobody here asks for one."""
    with Server(answer(b"{}")) as proxy:
        proxied.setenv("HTTP_PROXY", proxy.url)
        own = frozenset({"http://photos.example"})
        http = Http(Access({}, own), resolve=lambda host, *rest: socket.getaddrinfo(_only_here(host), *rest))
        assert http.get("http://photos.example/a").body == b"{}"
        assert proxy.requests[0].startswith("GET http://photos.example/a HTTP/1.1")


def test_a_proxy_tunnels_to_hosts_with_tls(proxied: pytest.MonkeyPatch) -> None:
    with Server(b"HTTP/1.1 502 No\r\n\r\n") as proxy:
        proxied.setenv("HTTPS_PROXY", proxy.url)
        http = Http(Access({"photos.example": 100.0}), chance=lambda: 0.0)
        with pytest.raises(TemporaryError):
            http.session.get("https://photos.example/secret")
        assert proxy.requests[0].startswith("CONNECT photos.example:443 HTTP/1.")
        assert not any("secret" in request for request in proxy.requests)


@pytest.mark.parametrize("no_proxy", ["photos.example", ".example", "*"])
def test_no_proxy_names_whom_it_is_not_for(proxied: pytest.MonkeyPatch, no_proxy: str) -> None:
    proxied.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    proxied.setenv("NO_PROXY", no_proxy)
    with Server(answer(b"{}")) as server:
        url = f"http://photos.example:{server.port}"
        assert Http(Access({}, frozenset({url})), resolve=found("127.0.0.1")).get(url).body == b"{}"


def test_no_proxy_stands_between_two_programs_on_this_machine(proxied: pytest.MonkeyPatch) -> None:
    proxied.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Server(answer(b"{}")) as server:
        assert Http(server.access()).get(server.url).body == b"{}"


def _only_here(host: str) -> str:
    assert host == "127.0.0.1"
    return host


# --- bodies that are other than their headers say

MEMBER, OTHER = gzip.compress(b'{"a": ' + b" " * 3000), gzip.compress(b"1}")


def test_what_stands_behind_a_gzip_member_is_passed_over_and_a_second_one_is_read() -> None:
    whole = b'{"a": ' + b" " * 3000
    for behind, more in [
        (b"", b""),
        (bytes(8), b""),
        (bytes(70_000), b""),
        (b"\n<!-- cached -->\n", b""),
        (b"\x1f", b""),
        (b"\x1f\x8b", b""),
        (b"\0\x1f", b""),
        (OTHER, b"1}"),
        (bytes(5) + OTHER, b"1}"),
        (OTHER + bytes(5) + b"junk", b"1}"),
    ]:
        with Server(answer(MEMBER + behind, 200, "Content-Encoding: gzip")) as server:
            assert Http(server.access()).session.get(server.url).content == whole + more, behind[:20]


@pytest.mark.parametrize("cut", [4, 12, len(MEMBER) - 9, len(MEMBER) - 1])
def test_a_first_member_that_is_cut_is_none(cut: int) -> None:
    assert reason(answer(MEMBER[:cut], 200, "Content-Encoding: gzip")) == "truncated"


def test_a_first_member_whose_checksum_is_wrong_is_none() -> None:
    damaged = MEMBER[:-8] + b"\0\0\0\0" + MEMBER[-4:]
    assert reason(answer(damaged + bytes(8), 200, "Content-Encoding: gzip")) == "broken"


def test_a_second_member_that_is_cut_is_none() -> None:
    assert reason(answer(MEMBER + OTHER[:-3], 200, "Content-Encoding: gzip")) == "truncated"


@given(st.integers(1, 60_000), st.lists(st.integers(0, 3), max_size=3), st.integers(1, 5000), st.binary(max_size=5))
def test_members_and_padding_in_pieces_of_any_size(size: int, zeros: list[int], piece: int, junk: bytes) -> None:
    assume(not junk.lstrip(b"\0").startswith(b"\x1f\x8b\x08"))
    body = bytes(range(256)) * (size // 256 + 1)
    packed = gzip.compress(body) + b"".join(bytes(n) + gzip.compress(body[:n]) for n in zeros) + junk
    response = requests.Response()
    response.headers["Content-Encoding"] = "gzip"
    pieces = [packed[at : at + piece] for at in range(0, len(packed), piece)]
    response.raw = cast(Any, SimpleNamespace(stream=lambda *_, **__: iter(pieces)))
    assert b"".join(body_of(response)) == body + b"".join(body[:n] for n in zeros)


@pytest.mark.parametrize("encoding", ["aws-chunked", "aws-chunked,gzip", "identity", "utf-8", "gzip", "br", "none"])
def test_an_encoding_that_is_none_is_a_hint(encoding: str) -> None:
    with Server(answer(b"{}", 200, f"Content-Encoding: {encoding}")) as server:
        assert Http(server.access()).get(server.url).body == b"{}"
    with Server(answer(gzip.compress(b"{}"), 200, f"Content-Encoding: {encoding}")) as server:
        assert Http(server.access()).get(server.url).body == b"{}"


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (gzip.compress(gzip.compress(b"{}")), "gzip"),
        (gzip.compress(gzip.compress(b"{}")), "gzip, gzip"),
        (gzip.compress(b"{}"), "x-gzip"),
        (zlib.compress(b"{}"), "deflate"),
        (gzip.compress(zlib.compress(b"{}")), "deflate, gzip"),
        (zlib.compress(b"{}" + b" " * 10**6) + b"\n<!-- cached -->", "deflate"),
    ],
)
def test_what_was_packed_twice_or_otherwise_is_unfolded(packed: bytes, encoding: str) -> None:
    with Server(answer(packed, 200, f"Content-Encoding: {encoding}")) as server:
        assert Http(server.access()).get(server.url).body.rstrip() == b"{}"


def test_a_packed_file_that_is_wanted_as_it_is_stays_packed() -> None:
    """Weights and tables come as `.gz`: what their server packed once more is unfolded once."""
    file = gzip.compress(b"a table")
    for body, header in ((file, "X: y"), (gzip.compress(file), "Content-Encoding: gzip")):
        with (
            Server(answer(body, 200, header)) as server,
            Http(server.access()).stream("GET", server.url) as (_, pieces),
        ):
            assert b"".join(pieces) == file


def test_layers_that_hold_nothing_end_in_bounded_time() -> None:
    nothing = gzip.compress(gzip.compress(b"") * 4_000_000)  # 300 KB that unfold to 80 MB of empty members
    started = time.monotonic()
    assert reason(answer(nothing, 200, "Content-Encoding: gzip")) == "broken"
    assert time.monotonic() - started < 20


def test_a_part_that_is_the_whole_is_taken() -> None:
    picture = b"\xff\xd8\xff" + bytes(500)
    for content_range, whole in (("bytes 0-502/503", True), ("bytes 0-501/503", False), ("bytes 1-502/503", False)):
        script = answer(picture, 206, f"Content-Range: {content_range}", kind="image/jpeg")
        with Server(script) as server:
            http, sink = Http(server.access(), sleep=lambda _: None), io.BytesIO()
            if whole:
                http.fetch(server.url, sink, max_bytes=1000)
                assert sink.getvalue() == picture
            else:
                with pytest.raises(TemporaryError, match="http-206"):
                    http.fetch(server.url, sink, max_bytes=1000)
