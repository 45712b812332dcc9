"""`t15 predict --url`: the same answers as with a model, from a server that may be anything."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from benchmark.predicting.answer import Answerer
from benchmark.predicting.read_image import Source
from benchmark.serving.app import serving
from benchmark.serving.client import Server
from collector.errors import ServiceError, UsageError
from tests.benchmark.predicting.conftest import Cli, Trained, cli
from tests.benchmark.serving.conftest import LIMITS, gps, photo
from tests.collector.net.servers import FakeTime

__all__ = ["cli"]  # a fixture


@pytest.fixture(scope="module")
def url(trained: Trained, answerer: Answerer) -> Iterator[str]:
    with serving(answerer, trained.world.workspace, limits=LIMITS) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for hue, (name, form) in enumerate((("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.tif", "TIFF"))):
        (folder / name).write_bytes(photo(hue=hue, form=form, size=(500, 400)))
    return folder


@pytest.mark.parametrize("form", ["--json", "--format=csv", "--format=geojson", ""])
def test_the_same_answers_as_with_the_model(url: str, trained: Trained, folder: Path, cli: Cli, form: str) -> None:
    asked = ["predict", str(folder), *filter(None, [form])]
    by_model, by_url = cli(*asked, "--model", trained.file), cli(*asked, "--url", url)
    assert by_model[0] == by_url[0] == 0
    assert by_model[1] == by_url[1]


def test_photos_that_the_server_refuses_are_told_and_the_others_answered(url: str, folder: Path, cli: Cli) -> None:
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "large.jpg").write_bytes(bytes(LIMITS.body + 1))
    (folder / "empty.jpg").write_bytes(b"")
    code, out, err = cli("predict", folder, folder / "missing.jpg", "--url", url, "--json")
    assert code == 5
    told = json.loads(out)["photos"]
    errors = {Path(one["photo"]).name: one["error"] for one in told if "error" in one}
    assert set(errors) == {"broken.jpg", "large.jpg", "empty.jpg", "missing.jpg"}
    assert "not an image" in errors["broken.jpg"]
    assert "2 MB" in errors["large.jpg"]
    assert len(told) == 7
    assert "4 of 7" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--model, or a server with --url"),
        (["--url", "http://127.0.0.1:1", "--model", "x"], "--model, or a server with --url"),
        (["--url", "http://127.0.0.1:1", "--explain", "x"], "--explain needs a model here"),
        (["--url", "http://example.org"], "unencrypted"),
        (["--url", "http://192.168.1.9:80"], "unencrypted"),
        (["--url", "http://127.0.0.1.example.org"], "unencrypted"),
        (["--url", "ftp://127.0.0.1"], "is no address"),
        (["--url", "127.0.0.1:8000"], "is no address"),
        (["--url", "http://127.0.0.1:99999"], "is no address"),
        (["--url", "https://me:secret@example.org"], "is no address"),
        (["--url", "http://[::1"], "is no address"),
    ],
)
def test_wrong_use(folder: Path, cli: Cli, arguments: list[str], said: str) -> None:
    code, out, err = cli("predict", folder, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_nobody_there(folder: Path, cli: Cli) -> None:
    code, _, err = cli("predict", folder, "--url", "http://127.0.0.1:1/")
    assert code == 4
    assert "cannot be reached" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Response("<html>hello", 200),
        Response("{}", 200),
        Response("moved", 302, {"Location": "http://example.org/"}),
        Response("null", 500),
        Response(b"x" * 2_000_000, 200),
    ],
    ids=["html", "another json", "a redirect", "an error", "endless"],
)
def test_somebody_else_there(httpserver: HTTPServer, folder: Path, cli: Cli, answer: Response) -> None:
    httpserver.expect_request("/api/v1/model").respond_with_response(answer)
    code, out, err = cli("predict", folder, "--url", httpserver.url_for("/"))
    assert (code, out) == (4, "")
    assert len(err.splitlines()) == 1


class Fake:
    """A server that answers a photo with what is at the front of `answers`, and keeps what it was sent."""

    def __init__(self, httpserver: HTTPServer, facts: dict[str, Any], answers: list[Response]) -> None:
        self.sent: list[bytes] = []
        self.answers = answers
        httpserver.expect_request("/api/v1/model").respond_with_json(facts)
        httpserver.expect_request("/api/v1/predict", method="POST").respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        self.sent.append(request.get_data())
        return self.answers.pop(0)


@pytest.fixture
def told(url: str) -> Any:
    server = Server(url)
    answered = next(server.records([Source("a.jpg", data=photo())]))
    return {"model": server.facts, "photos": [answered]}


def busy(status: int, after: str) -> Response:
    return Response('{"code": "busy", "error": "busy"}', status, {"Retry-After": after})


def test_a_busy_server_is_waited_for(httpserver: HTTPServer, told: Any) -> None:
    good = Response(json.dumps(told))
    Fake(httpserver, told["model"], [busy(503, "1"), busy(429, "7"), busy(429, "soon"), good])
    time = FakeTime()
    server = Server(httpserver.url_for("/"), time.sleep, time.clock)
    records = list(server.records([Source("mine.jpg", data=photo())]))
    assert time.slept == [1, 7, 1]
    assert records == [{**told["photos"][0], "photo": "mine.jpg"}]


def test_not_for_ever(httpserver: HTTPServer, told: Any) -> None:
    for after, slept in (("100000", []), ("60", [60, 60])):
        httpserver.clear()
        Fake(httpserver, told["model"], [busy(503, after)] * 9)
        time = FakeTime()
        with pytest.raises(ServiceError, match="status 503"):
            list(Server(httpserver.url_for("/"), time.sleep, time.clock).records([Source("a", data=photo())]))
        assert time.slept == slept


def test_what_a_photo_says_of_itself_is_not_sent(httpserver: HTTPServer, told: Any, tmp_path: Path) -> None:
    fake = Fake(httpserver, told["model"], [Response(json.dumps(told)) for _ in range(3)])
    sources = []
    for form in ("JPEG", "PNG", "WEBP"):
        path = tmp_path / f"SECRETNAME.{form}"
        path.write_bytes(photo(form=form, exif=gps()))
        assert b"SECRET" in path.read_bytes()
        sources.append(Source(str(path), path))
    list(Server(httpserver.url_for("/")).records(sources))
    assert len(fake.sent) == 3
    for data in fake.sent:
        assert b"SECRET" not in data


def test_an_answer_cannot_command_the_terminal(httpserver: HTTPServer, told: Any) -> None:
    evil = Response(json.dumps({"code": "damaged", "error": "\x1b[2J\nno"}), 422)
    Fake(httpserver, told["model"], [evil])
    (record,) = Server(httpserver.url_for("/")).records([Source("a", data=photo())])
    assert record["error"] == "\\x1b[2J\\nno"


def test_a_proxy_is_not_asked_about_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert Server(url).facts["cities"] == 3


def test_many_ask_at_once(url: str) -> None:
    found: list[Any] = []

    def ask() -> None:
        found.extend(Server(url).records([Source("a", data=photo())] * 3))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert all(one == found[0] for one in found)


def test_the_address_is_checked(httpserver: HTTPServer) -> None:
    for bad in ("http://", "https://?x", "http://127.0.0.1/#a"):
        with pytest.raises(UsageError):
            Server(bad)
