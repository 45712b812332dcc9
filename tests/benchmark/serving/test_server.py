"""The server as a whole: real connections, many of them, slow ones, broken ones; and the photos of others."""

import contextlib
import http.client
import itertools
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from starlette.testclient import TestClient

from benchmark.predicting.answer import Answerer
from benchmark.serving import app as serving_app
from benchmark.serving.app import serve, serving
from benchmark.serving.limits import STATUS, Limits
from collector.errors import UsageError
from tests import warm
from tests.benchmark.predicting.conftest import Trained
from tests.benchmark.serving.conftest import LIMITS, photo, predict

ENDLESS = resource.RLIM_INFINITY


@contextlib.contextmanager
def served(trained: Trained, answerer: Answerer, limits: Limits) -> Iterator[tuple[str, int]]:
    with serving(answerer, trained.world.workspace, limits=limits) as url:
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


def post(address: tuple[str, int], data: bytes, **headers: str) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection(*address, timeout=120)
    try:
        connection.request("POST", "/api/v1/predict", data, {"Content-Type": "image/jpeg", **headers})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read())
    finally:
        connection.close()


def test_it_says_where_and_ends(trained: Trained, answerer: Answerer) -> None:
    stop = threading.Event()
    said: list[str] = []
    stop.set()
    serve(answerer, trained.world.workspace, say=said.append, stop=stop)
    assert "http://127.0.0.1:" in said[0]


def test_a_port_that_is_taken(trained: Trained, answerer: Answerer) -> None:
    with served(trained, answerer, LIMITS) as (_, port), pytest.raises(UsageError, match=f"port {port}"):
        serve(answerer, trained.world.workspace, port)
    with pytest.raises(UsageError, match="port 99999"):
        serve(answerer, trained.world.workspace, 99999)


def test_only_on_this_machine(trained: Trained, answerer: Answerer) -> None:
    with served(trained, answerer, LIMITS) as (host, port), socket.socket() as other:
        assert host == "127.0.0.1"
        other.bind(("127.0.0.2", port))  # would be taken if it listened everywhere


def test_a_body_without_a_length(trained: Trained, answerer: Answerer) -> None:
    with served(trained, answerer, LIMITS) as address:
        for size, status in ((len(photo()), 200), (LIMITS.body + 1, 413), (20_000_000, 413)):
            data = photo() if status == 200 else bytes(size)
            connection = http.client.HTTPConnection(*address, timeout=60)
            pieces = (data[at : at + 100_000] for at in range(0, size, 100_000))
            connection.request("POST", "/api/v1/predict", pieces, {"Content-Type": "image/jpeg"}, encode_chunked=True)
            assert connection.getresponse().status == status
            connection.close()


def test_a_client_that_asks_first_sends_nothing_in_vain(trained: Trained, answerer: Answerer) -> None:
    with served(trained, answerer, LIMITS) as address, socket.create_connection(address, 20) as connection:
        host = f"{address[0]}:{address[1]}"
        head = f"POST /api/v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
        connection.sendall(f"{head}Content-Length: 90000000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_photo_that_comes_too_slowly(trained: Trained, answerer: Answerer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_app, "DRAINING", 0.05)
    limits = replace(LIMITS, uploading=0.05, at_once=1)
    with served(trained, answerer, limits) as address, socket.create_connection(address, 20) as connection:
        host = f"{address[0]}:{address[1]}"
        head = (
            f"POST /api/v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\n"
        )
        connection.sendall(head.encode() + b"x")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        assert post(address, photo())[0] == 200


def test_a_client_that_leaves(trained: Trained, answerer: Answerer) -> None:
    limits = replace(LIMITS, at_once=1)
    with served(trained, answerer, limits) as address:
        for body in (b"", photo()[:100]):
            with socket.create_connection(address, 20) as connection:
                host = f"{address[0]}:{address[1]}"
                head = f"POST /api/v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
                connection.sendall(f"{head}Content-Length: 9000\r\n\r\n".encode() + body)
        status = 503
        for _ in range(100):
            status = post(address, photo())[0]
            if status == 200:
                break
        assert status == 200


def test_too_many_and_too_often(trained: Trained, answerer: Answerer) -> None:
    with served(trained, answerer, replace(LIMITS, burst=3, per_second=0.01)) as address:
        found = [post(address, photo()) for _ in range(5)]
    assert [status for status, _, _ in found] == [200, 200, 200, 429, 429]
    assert 1 <= int(found[-1][1]["retry-after"]) <= 100
    assert found[-1][2]["code"] == "too-many-requests"


def test_more_at_once_than_there_are_places(
    trained: Trained, answerer: Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go = threading.Event(), threading.Event()
    ask = Answerer.answer

    def waiting(self: Answerer, images: Any) -> Any:
        asked.set()
        assert go.wait(60)
        return ask(self, images)

    monkeypatch.setattr(Answerer, "answer", waiting)
    with served(trained, answerer, replace(LIMITS, at_once=1)) as address, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, address, photo())
        assert asked.wait(60)
        status, headers, told = post(address, bytes(LIMITS.body))
        assert (status, told["code"], headers["retry-after"]) == (503, "busy", "1")
        go.set()
        assert first.result()[0] == 200
        assert post(address, photo())[0] == 200


def test_a_hundred_megapixels_are_refused_by_their_header(trained: Trained, answerer: Answerer) -> None:
    """A real one, whole: 10,000 × 10,000 pixels in 300 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeeze = zlib.compressobj(9)
    row = bytes(30_001)
    data = b"".join([*(squeeze.compress(row) for _ in range(10_000)), squeeze.flush()])
    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    # What decoding needs could not be had within these limits.
    limits = Limits(memory=50_000_000, decoders=1)
    with served(trained, answerer, limits) as address:
        status, _, told = post(address, png)
        assert (status, told["code"]) == (413, "too-many-pixels")
        assert "10000 × 10000" in told["error"]
        assert post(address, photo())[0] == 200


@pytest.mark.slow
def test_a_thousand_uploads_at_once(trained: Trained, answerer: Answerer) -> None:
    """All are answered, with an answer or when to come again; the server goes on, and has not grown."""
    data = photo(size=(1600, 1200), quality=95)
    with served(trained, answerer, Limits()) as address:
        assert post(address, data)[0] == 200
        before = memory()
        with ThreadPoolExecutor(1000) as pool:
            barrier = threading.Barrier(1000)

            def one() -> tuple[int, dict[str, str], Any]:
                barrier.wait(60)
                return post(address, data)

            found = [task.result() for task in [pool.submit(one) for _ in range(1000)]]
        grown = memory() - before
        counts = Counter(status for status, _, _ in found)
        assert set(counts) <= {200, 429, 503}
        assert counts[200] >= 16
        assert all("retry-after" in headers for status, headers, _ in found if status != 200)
        assert grown < 500e6
        connection = http.client.HTTPConnection(*address, timeout=60)
        connection.request("GET", "/api/v1/model")
        assert connection.getresponse().status == 200
        connection.close()


def memory() -> int:
    """Return this process's resident bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_odd_and_broken_files_of_others(client: TestClient, real_data: Path) -> None:
    files = sorted(path for path in (real_data / "bad").rglob("*") if path.is_file())
    statuses: Counter[int] = Counter()
    for path in itertools.islice(files, 0, None, 15):
        data = path.read_bytes()
        answer = predict(client, data, path.name, explain="false") if data else None
        if answer is not None:
            statuses[answer.status_code] += 1
            assert answer.status_code in (200, 413, 415, 422), path
            if answer.status_code != 200:
                assert set(answer.json()) == {"code", "error"}
                assert str(real_data) not in answer.text
    assert statuses[200] > 20
    assert predict(client, photo()).status_code == 200


def test_ctrl_c_ends_it(trained: Trained) -> None:
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); sys.argv = ['t15', *sys.argv[1:]]; "
        "import typer; from collector import front_door; from benchmark.commands import predicting; "
        "app = typer.Typer(); app.add_typer(predicting.app); app.callback()(lambda: None); "
        "front_door.app = app; front_door.main()"
    )
    command = [warm.python(), "-c", program, "serve", "--model", str(trained.file), "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        # Once it answers it listens to signals.
        with urlopen(f"{address}/api/v1/model", timeout=120) as answer:  # noqa: S310
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_documented_command(trained: Trained, answerer: Answerer, tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/serving.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("curl ")]
    (tmp_path / "photo.jpg").write_bytes(photo())
    with served(trained, answerer, LIMITS) as (_, port):
        command = ["curl", "--silent", "--fail", *line.replace(":8000", f":{port}").split()[1:]]
        told = json.loads(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout)
    assert told["photos"][0]["photo"] == "photo.jpg"
    assert told["photos"][0]["city"] == "zulu"


def test_every_code_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs/serving.md").read_text(encoding="utf-8")
    assert [code for code in STATUS if f"`{code}`" not in text] == []


def test_nothing_is_written(trained: Trained, answerer: Answerer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo of more than 1 MB, which form parsers write to disk."""
    opened: list[str] = []
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)  # stays for good, and does nothing later
    data = photo(size=(1500, 1400), form="PNG")
    assert len(data) > 1_500_000
    limits = replace(LIMITS, body=20_000_000)
    boundary = "b"
    form = f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'.encode() + data
    with served(trained, answerer, limits) as address:
        opened.clear()
        status, _, _ = post(
            address, form + b"\r\n--b--\r\n", **{"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )
        found = list(opened)
    watching = False
    assert status == 200
    assert found == []


def test_a_refusal_can_be_read_by_who_still_sends(trained: Trained, answerer: Answerer) -> None:
    """A connection that is closed on unread bytes is reset, and what was answered is lost."""
    with served(trained, answerer, LIMITS) as address, socket.create_connection(address, 60) as connection:
        body = bytes(30_000_000)  # more than the system's buffers take
        head = "POST /api/v1/predict HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ((1024, 8192), (4096, 8192)),
        ((256, 300), (300, 300)),
        ((1024, ENDLESS), (4096, ENDLESS)),
    ],
)
def test_files_for_a_thousand_connections(
    trained: Trained,
    answerer: Answerer,
    monkeypatch: pytest.MonkeyPatch,
    found: tuple[int, int],
    wanted: tuple[int, int],
) -> None:
    stop = threading.Event()
    changed: list[tuple[int, int]] = []
    stop.set()
    monkeypatch.setattr(resource, "getrlimit", lambda _: found)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: changed.append(limits))
    serve(answerer, trained.world.workspace, say=lambda _: None, stop=stop)
    assert changed == [wanted]
