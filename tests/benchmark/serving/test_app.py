"""The API: what it answers, what it refuses and how, and that nothing of a photo but its pixels counts."""

import base64
import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from benchmark.predicting.answer import Answerer
from benchmark.serving.app import Desk, make_app
from benchmark.serving.limits import STATUS
from benchmark.serving.schemas import ModelFacts, Predictions, Problem
from tests.benchmark.predicting.conftest import Cli, Trained, cli
from tests.benchmark.serving.conftest import HOST, PORT, gps, photo, predict

__all__ = ["cli"]  # a fixture

API = "/api/v1/predict"


def refused(answer: Any) -> tuple[int, str]:
    """Return status and code of a refusal, which is one line of JSON as the description says."""
    problem = Problem.model_validate_json(answer.text)
    assert problem.error == " ".join(problem.error.split())
    assert answer.status_code == STATUS[problem.code]
    return answer.status_code, problem.code


def test_it_answers_what_the_command_prints(client: TestClient, trained: Trained, cli: Cli, tmp_path: Path) -> None:
    for form, name in (("JPEG", "a.jpg"), ("PNG", "a.png"), ("WEBP", "a.webp"), ("TIFF", "a.tif")):
        path = tmp_path / name
        path.write_bytes(photo(form=form, size=(700, 520)))
        code, out, _ = cli("predict", str(path), "--model", trained.file, "--json")
        assert code == 0
        expected = json.loads(out)
        answer = predict(client, path.read_bytes(), name)
        expected["photos"][0]["photo"] = name
        assert answer.json() == expected
    Predictions.model_validate_json(answer.text)
    assert ModelFacts.model_validate_json(client.get("/api/v1/model").text).model_dump() == expected["model"]


def test_a_photo_alone_in_the_body(client: TestClient) -> None:
    data = photo()
    expected = predict(client, data, "photo").json()
    for kind in ("application/octet-stream", "image/jpeg", "image/png; odd=1"):
        assert client.post(API, content=data, headers={"Content-Type": kind}).json() == expected


def test_an_explanation(client: TestClient) -> None:
    answer = predict(client, photo(size=(1500, 1000)), explain="true")
    told = Predictions.model_validate_json(answer.text).photos[0].explanation
    assert told is not None
    kind, _, data = told.heat.image.partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (480, 319)
    assert len(told.neighbours) == 6
    assert told.neighbours[0].thumbnail.startswith("data:image/jpeg;base64,")
    assert told.map.svg.startswith("<svg ")
    assert "explanation" not in predict(client, photo()).json()["photos"][0]


def test_a_training_photo_is_told_as_by_the_command(client: TestClient, trained: Trained, cli: Cli) -> None:
    learnt = trained.world.photos("train")[0]
    path = trained.world.workspace.photo(str(learnt.sha256))
    (expected,) = json.loads(cli("predict", str(path), "--model", trained.file, "--json")[1])["photos"]
    for query in ({}, {"explain": "true"}):
        answer = predict(client, path.read_bytes(), **query)
        (told,) = Predictions.model_validate_json(answer.text).photos
        assert told.training_photo == expected["training_photo"] == learnt.photo_id
    assert "training_photo" not in predict(client, photo()).json()["photos"][0]


def test_metadata_neither_counts_nor_comes_back(client: TestClient) -> None:
    with_place, without = photo(exif=gps(), comment=b"SECRETCOMMENT"), photo()
    assert b"SECRETARTIST" in with_place
    answer = predict(client, with_place, explain="true")
    assert answer.text == predict(client, without, explain="true").text
    assert "SECRET" not in answer.text
    image = answer.json()["photos"][0]["explanation"]["heat"]["image"]
    assert b"SECRET" not in base64.b64decode(image.partition(",")[2])


def test_a_turned_photo_is_seen_upright(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = predict(client, photo(exif=exif, size=(200, 100)), explain="true").json()
    heat = base64.b64decode(answer["photos"][0]["explanation"]["heat"]["image"].partition(",")[2])
    assert Image.open(io.BytesIO(heat)).size == (240, 480)


def png_header(width: int, height: int) -> bytes:
    """Return a small PNG whose header claims this size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = bytearray(photo(form="PNG"))
    data[12:33] = header + struct.pack(">I", zlib.crc32(header))
    return bytes(data)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"no picture at all", (415, "not-a-picture")),
        (SVG, (415, "not-a-picture")),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", (415, "not-a-picture")),
        (b"PK\x03\x04" + bytes(100), (415, "not-a-picture")),
        (b"", (400, "no-photo")),
        (photo()[:900], (422, "damaged")),
        (png_header(10_000, 10_000), (413, "too-many-pixels")),
        (png_header(60_000, 60_000), (413, "too-many-pixels")),
        (bytes(2_000_001), (413, "too-large")),
    ],
    ids=["text", "svg", "eps", "zip", "empty", "truncated", "100 megapixels", "a bomb", "too many bytes"],
)
def test_what_is_refused(client: TestClient, data: bytes, expected: tuple[int, str]) -> None:
    assert refused(predict(client, data)) == expected
    assert predict(client, photo()).status_code == 200


def test_a_picture_of_one_colour_may_be_large_and_small_at_once(client: TestClient) -> None:
    file = io.BytesIO()
    Image.new("RGB", (2001, 2001)).save(file, "PNG")  # 12 MB of pixels in 13 kB
    assert len(file.getvalue()) < 20_000
    assert refused(predict(client, file.getvalue())) == (413, "too-many-pixels")


FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="photo"\r\n\r\n'


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("", b"x", (415, "wrong-type")),
        ("application/x-www-form-urlencoded", b"photo=x", (415, "wrong-type")),
        ("text/plain", b"x", (415, "wrong-type")),
        ("multipart/form-data", b"x", (400, "bad-request")),
        (FORM, b"nonsense", (400, "bad-request")),
        (FORM * 5000, b"nonsense", (400, "bad-request")),
        (FORM, b"--b\r\n" + b"x" * 20_000, (400, "bad-request")),
        (FORM, b"--b--\r\n", (400, "no-photo")),
        (FORM, PART + b"\r\n--b--", (400, "no-photo")),
        (FORM, PART + b"x\r\n" + PART + b"x\r\n--b--", (400, "bad-request")),
        (FORM, PART + bytes(2_000_001), (413, "too-large")),
    ],
)
def test_malformed_requests(client: TestClient, content_type: str, body: bytes, expected: tuple[int, str]) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    assert refused(client.post(API, content=body, headers=headers)) == expected


def test_other_fields_of_a_form_are_passed_over(client: TestClient) -> None:
    both = {"before": ("x.txt", b"x" * 100), "photo": ("<b>ş\x1b.jpg", photo()), "after": ("y", b"y")}
    answer = client.post(API, files=both)
    assert answer.json()["photos"][0]["photo"] == "<b>ş\\x1b.jpg"
    assert refused(client.post(API, files={"image": photo()})) == (400, "no-photo")


def test_a_compressed_body_is_not_unpacked(client: TestClient) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
    assert refused(client.post(API, content=b"x", headers=headers)) == (415, "wrong-type")


def test_unknown_addresses_and_methods(client: TestClient) -> None:
    for path in ("/nothing", "/docs", "/redoc", "/static/nothing", "/static/..%2fapp.py", "/api/v1/"):
        assert refused(client.get(path)) == (404, "not-found")
    answer = client.get(API)
    assert refused(answer) == (405, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"
    assert refused(client.post("/api/v1/model")) == (405, "method-not-allowed")
    assert refused(predict(client, photo(), explain="perhaps")) == (400, "bad-request")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:8015", "evil.example:8015", ""])
def test_foreign_hosts(client: TestClient, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/api/v1/model"), ("POST", API)):
        assert refused(client.request(method, path, headers={"Host": host})) == (403, "foreign-host")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8015"},  # the request's own Host is 127.0.0.1
        {"Origin": "http://127.0.0.1:8016"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": HOST, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_foreign_pages(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post(API, files={"photo": photo()}, headers=headers)
    assert refused(answer) == (403, "foreign-origin")
    assert "access-control-allow-origin" not in answer.headers


def test_its_own_page(client: TestClient) -> None:
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}"):
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert client.post(API, files={"photo": photo()}, headers=headers).status_code == 200


def test_every_answer_tells_browsers_to_be_careful(client: TestClient) -> None:
    for path in ("/", "/static/serve.js", "/api/v1/model", "/nothing", "/openapi.json"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_the_description(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/api/v1/model", API}
    operation = described["paths"][API]["post"]
    assert set(operation["requestBody"]["content"]) == {"multipart/form-data", "application/octet-stream", "image/*"}
    assert set(operation["responses"]) == {
        "200",
        *(str(status) for status in STATUS.values() if status not in (404, 405)),
    }
    codes = described["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert codes == list(STATUS)


def test_a_defect_is_told_and_the_server_goes_on(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Answerer, "answer", lambda self, images: 1 / 0)
        answer = predict(client, photo())
    assert refused(answer) == (500, "failed")
    assert "ZeroDivision" not in answer.text
    assert predict(client, photo()).status_code == 200


def test_the_page_takes_the_model_for_text(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "<script>alert(1)</script>"
    cities = tuple(replace(city, name=evil) for city in desk.answerer.about.cities)
    about = replace(desk.answerer.about, title=evil, cities=cities, photo_licences={evil: 1}, weights_licence=evil)
    monkeypatch.setattr(desk.answerer, "about", about)
    text = TestClient(make_app(desk, PORT), base_url=HOST).get("/").text
    assert text.count("<script") == 1
    assert text.count("&lt;script&gt;") >= 5


@pytest.mark.parametrize("right", [20, 2])
def test_the_page_says_that_a_model_at_chance_is_to_be_doubted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, right: int
) -> None:
    facts = {"threshold": 0.5, "validation_photos": 20, "validation_right": right}
    monkeypatch.setattr(desk, "facts", {**desk.facts, **facts})
    text = TestClient(make_app(desk, PORT), base_url=HOST).get("/").text
    assert ("Doubt this model: it was right on 2 of 20 validation photos" in text) == (right == 2)


@pytest.mark.parametrize(
    ("threshold", "said"), [(0.0, "never said: too few validation photos"), (0.25, "below 25.0 %")]
)
def test_the_page_says_when_none_of_these_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, threshold: float, said: str
) -> None:
    certainty = replace(desk.answerer.about.certainty, threshold=threshold)
    monkeypatch.setattr(desk.answerer, "about", replace(desk.answerer.about, certainty=certainty))
    text = TestClient(make_app(desk, PORT), base_url=HOST).get("/").text
    assert said in text
    assert ("or none of these." in text) == (threshold > 0)
