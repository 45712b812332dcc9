"""Mapillary: questions, answers, and a token that is seen nowhere."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.errors import ServiceError
from collector.net.allowlist import origin_of
from collector.net.client import Access, Answer, Http, RefusedError, TemporaryError
from collector.providers.base import Cell, Query
from collector.providers.mapillary import MapillaryProvider, make
from collector.providers.mapillary_answers import TokenError, TooMuchError, describe, judge, parse_answer, parse_thumb
from collector.records import City, Photo, Unusable
from tests.collector.providers.fake_http import FakeHttp, refused

STUTTGART = City("stuttgart", "Stuttgart", 48.77, 9.17, 20.0)
JUNCTION = City("grand-junction", "Grand Junction", 39.07, -108.57, 20.0)
CELL = Cell(9.1, 48.7, 9.18, 48.78)
THUMB = "https://scontent-waw2-1.xx.fbcdn.net/m1/v/t6/An-ROU?stp=s1024&oh=SIGNATURE"


def row(**changes: Any) -> dict[str, Any]:
    whole = {
        "id": "1666317524185318",
        "captured_at": 1720488258913,
        "computed_geometry": {"type": "Point", "coordinates": [9.1716, 48.7689]},
        "geometry": {"type": "Point", "coordinates": [9.1717, 48.7688]},
        "computed_compass_angle": 1.2865829255371,
        "compass_angle": 336.74,
        "creator": {"username": "vorpalblade", "id": "104214208486349"},
        "sequence": "aE5o7bTMH0UtscOYxhVwID",
        "is_pano": False,
        "camera_type": "perspective",
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def photo(**changes: Any) -> Photo:
    found = describe(row(**changes), STUTTGART)
    assert isinstance(found, Photo), found
    return found


def error(code: Any, message: str = "Something about SECRET", **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": "OAuthException", "code": code, **more}}).encode()


def provider(*answers: Any) -> tuple[MapillaryProvider, FakeHttp]:
    http = FakeHttp(list(answers))
    return MapillaryProvider(http, "SECRET"), http


def is_new(photo_id: str) -> bool:
    return False


def test_all_that_is_told_of_a_photo() -> None:
    assert photo() == Photo(
        photo_id="mapillary:1666317524185318",
        city="stuttgart",
        latitude=48.7689,
        longitude=9.1716,
        taken_at=datetime(2024, 7, 9, 1, 24, 18, 913_000, tzinfo=UTC),
        author_id="mapillary:104214208486349",
        author_name="vorpalblade",
        license="CC-BY-SA-4.0",
        page_url="https://www.mapillary.com/app/?pKey=1666317524185318",
        heading=1.2865829255371,
        sequence_id="mapillary:aE5o7bTMH0UtscOYxhVwID",
    )


def test_a_heading_goes_with_its_place() -> None:
    assert photo(computed_geometry=None).heading == 336.74
    assert photo(computed_compass_angle=None).heading is None
    assert photo(computed_compass_angle=0).heading == 0
    assert photo(computed_compass_angle=-90).heading == 270
    assert photo(computed_compass_angle="north").heading is None
    assert photo(sequence=None).sequence_id is None


def test_every_field_but_the_id_and_a_place_may_be_missing() -> None:
    for name in ("captured_at", "computed_geometry", "geometry", "creator", "sequence", "is_pano", "camera_type"):
        photo(**{name: None})
    assert photo(computed_geometry=None).latitude == 48.7688
    assert photo(creator=None).author_id == "mapillary:sequence:aE5o7bTMH0UtscOYxhVwID"
    assert photo(creator={"username": "x"}).author_id == "mapillary:user:x"
    nobody = photo(creator=None, sequence=None, captured_at=None)
    assert (nobody.author_id, nobody.author_name, nobody.taken_at) == (None, None, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "no-id"),
        ({"id": 12}, "no-id"),
        ({"id": "12/../me"}, "no-id"),
        ({"id": "١٢"}, "no-id"),
        ({"is_pano": True}, "panorama"),
        ({"camera_type": "spherical", "is_pano": None}, "panorama"),
        ({"camera_type": "equirectangular"}, "panorama"),
        ({"computed_geometry": None, "geometry": None}, "no-location"),
        ({"computed_geometry": {"type": "Point", "coordinates": [0, 0]}, "geometry": []}, "no-location"),
        ({"computed_geometry": {"type": "Point", "coordinates": [29.0, 41.0]}}, "outside-city"),
    ],
)
def test_what_cannot_be_used(changes: dict[str, Any], reason: str) -> None:
    found = describe(row(**changes), STUTTGART)
    assert isinstance(found, Unusable)
    assert (found.reason, found.city) == (reason, "stuttgart")


@pytest.mark.parametrize("code", [4, 17, 341])
def test_limits(code: int) -> None:
    with pytest.raises(TemporaryError, match="rate-limited"):
        judge(Answer("u", 200, {}, error(code)))


@pytest.mark.parametrize("answer", [error(1), error(2), error(99, is_transient=True), b"", b"<html>"])
def test_errors_that_pass(answer: bytes) -> None:
    with pytest.raises(TemporaryError):
        judge(Answer("u", 200, {}, answer))
    with pytest.raises(TemporaryError):
        parse_answer(answer, STUTTGART)


def test_errors_that_stay() -> None:
    with pytest.raises(TokenError):
        parse_answer(error(190), STUTTGART)
    with pytest.raises(TokenError):
        parse_answer(error(None), STUTTGART)
    with pytest.raises(RefusedError, match="error-100"):
        parse_answer(error(100), STUTTGART)
    with pytest.raises(RefusedError, match="error-None: boom"):
        parse_answer(b'{"error": "boom"}', STUTTGART)
    with pytest.raises(TooMuchError):
        parse_answer(error(1, "Please reduce the amount of data you're asking for, then retry"), STUTTGART)
    with pytest.raises(TokenError):
        judge(Answer("u", 200, {}, error(190)))
    with pytest.raises(RefusedError, match="error-100"):
        judge(Answer("u", 400, {}, error(100)))
    judge(Answer("u", 400, {}, error(77)))


def test_the_question() -> None:
    service, http = provider({"data": [row(), row(is_pano=True)]})
    page = service.page(STUTTGART, CELL, Query(), None, is_new)
    assert [type(found) for found in page.found] == [Photo, Unusable]
    assert (page.rows, page.next, page.cut, page.reported) == (2, None, False, None)
    (call,) = http.calls
    assert call.url == "https://graph.mapillary.com/images"
    assert call.params["bbox"] == "9.1000000,48.7000000,9.1800000,48.7800000"
    assert call.params["limit"] == 2000
    assert call.headers == {"Authorization": "OAuth SECRET"}


def test_a_full_answer_and_one_that_is_too_much_are_divided() -> None:
    rows = {"data": [row(id=str(number)) for number in range(1, 2001)]}
    service, _ = provider(rows, error(1, "Please reduce the amount of data you're asking for"))
    page = service.page(STUTTGART, CELL, Query(), None, is_new)
    assert (page.cut, page.rows, len(page.found)) == (True, 2000, 2000)
    page = service.page(STUTTGART, CELL, Query(), None, is_new)
    assert (page.cut, page.rows, page.found) == (True, 0, ())


def test_boxes_are_smaller_than_a_hundredth_of_a_square_degree() -> None:
    service, _ = provider()
    for place in (STUTTGART, City("n", "N", 69.6, 18.9, 40), City("q", "Q", 0.0, 0.0, 40)):
        roots = service.roots(place, Query(), None, 0)
        assert max((box.east - box.west) * (box.north - box.south) for box in roots) < 0.01


def test_a_picture_is_asked_for_when_it_is_fetched() -> None:
    service, http = provider({"id": "1666317524185318", "thumb_1024_url": THUMB})
    request = service.image_request(photo())
    assert (request.url, request.robots) == (THUMB, False)
    assert http.calls[0].url == "https://graph.mapillary.com/1666317524185318"
    assert photo().image_url is None


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"id": "1"}, "no-picture"),
        ({"id": "1", "thumb_1024_url": "thumb_1024_filler_url"}, "no-picture"),
        ({"id": "1", "thumb_1024_url": "https://fbcdn.net.evil.org/a.jpg"}, "foreign-host"),
        ({"id": "1", "thumb_1024_url": "https://evilfbcdn.net/a.jpg"}, "foreign-host"),
        ({"id": "1", "thumb_1024_url": "http://a.fbcdn.net/a.jpg"}, "foreign-host"),
        ({"id": "1", "thumb_1024_url": "http://169.254.169.254/latest"}, "foreign-host"),
    ],
)
def test_pictures_that_are_not_fetched(body: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedError) as found:
        provider(body)[0].image_request(photo())
    assert found.value.reason == reason


def test_own_pictures_may_lie_beside_the_own_api() -> None:
    body = b'{"thumb_1024_url": "http://127.0.0.1:80/a.jpg?sig=1"}'
    assert parse_thumb(body, frozenset({origin_of("http://127.0.0.1")})) == "http://127.0.0.1:80/a.jpg?sig=1"


def test_an_odd_id_is_never_asked_about() -> None:
    service, http = provider()
    with pytest.raises(RefusedError, match="no-id"):
        service.image_request(Photo("mapillary:me/../../x", "stuttgart"))
    assert not http.calls


@pytest.mark.parametrize("answer", [error(190), refused(400), refused(401), refused(403)])
def test_a_refused_token_is_said_by_the_name_of_its_variable(answer: Any) -> None:
    with pytest.raises(ServiceError, match="T15_MAPILLARY_TOKEN") as found:
        provider(answer)[0].page(STUTTGART, CELL, Query(), None, is_new)
    assert "SECRET" not in str(found.value)
    assert found.value.__cause__ is None


@pytest.mark.parametrize(("status", "kind"), [(401, ServiceError), (400, RefusedError), (404, RefusedError)])
def test_a_photo_that_is_gone_is_no_refused_token(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        provider(refused(status))[0].image_request(photo())


def test_the_token_is_seen_nowhere() -> None:
    service, http = provider({"data": [row()]}, error(100))
    page = service.page(STUTTGART, CELL, Query(), None, is_new)
    with pytest.raises(RefusedError) as found:
        service.page(STUTTGART, CELL, Query(), None, is_new)
    assert (
        "SECRET"
        not in f"{MapillaryProvider(Http(Access(hosts={})), 'SECRET')!r} {page!r} {found.value!r} {found.value.detail}"
    )
    assert all("SECRET" not in f"{call.url} {call.params}" for call in http.calls)


def test_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T15_MAPILLARY_TOKEN", raising=False)
    with pytest.raises(ServiceError, match=r"T15_MAPILLARY_TOKEN.*mapillary\.com/dashboard/developers"):
        make()
    monkeypatch.setenv("T15_MAPILLARY_TOKEN", "SECRET")
    service = make()
    assert service.http.access.secrets == ("SECRET",)
    assert set(service.http.access.hosts) == {"graph.mapillary.com", ".fbcdn.net"}
    assert "SECRET" not in repr(service)
    monkeypatch.setenv("T15_MAPILLARY_URL", "http://127.0.0.1:8123/mapillary")
    assert make().http.access.own == {"http://127.0.0.1:8123"}


# --- recordings


def test_every_recorded_answer_has_one_outcome(recordings: Path) -> None:
    """As answers to a search, and, where they are of one image, as its only row."""
    folder = recordings / "mapillary"
    outcomes: Counter[str] = Counter()
    for entry in json.loads((folder / "index.json").read_text()):
        body = (folder / entry["file"]).read_bytes()
        if entry["method"] == "image":
            outcomes["image"] += 1
            body = b'{"data": [' + body + b"]}"
        try:
            found = parse_answer(body, JUNCTION)
        except (TemporaryError, RefusedError, TokenError) as failure:
            outcomes[getattr(failure, "reason", type(failure).__name__)] += 1
            continue
        outcomes.update("photo" if isinstance(one, Photo) else one.reason for one in found)
    # The map feature has no place in the city and the eight ids of a sequence have none at all.
    assert outcomes == {
        "image": 5,
        "photo": 3,
        "outside-city": 2,
        "no-location": 8,
        "TokenError": 2,
        "not-json": 3,
        "unexpected-answer": 1,
    }


def from_tables(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield rows as the API would give them, from the columns of the three tables made of its answers."""
    tables = []
    for name in ("mly1", "mly2", "common_attributes"):
        (path,) = folder.glob(f"*_02_metadata_{name}.csv")
        tables.append(list(csv.DictReader(io.StringIO(path.read_text()))))
    for first, second, common in zip(*tables, strict=True):
        assert first["orig_id"] == second["orig_id"] == common["orig_id"]
        point = json.loads(second["mly_computed_geometry.coordinates"] or "null")
        yield {
            "id": first["orig_id"],
            "captured_at": float(first["mly_captured_at"]),
            "is_pano": first["mly_is_pano"] == "True",
            "camera_type": common["projection_type"],
            "sequence": common["sequence_id"],
            "geometry": {"type": "Point", "coordinates": [float(common["lon"]), float(common["lat"])]},
            **({"computed_geometry": {"type": "Point", "coordinates": point}} if point else {}),
        }


def test_recorded_tables(recordings: Path) -> None:
    rows = list(from_tables(recordings / "mapillary"))
    found = [describe(one, STUTTGART) for one in rows]
    outcomes = Counter("photo" if isinstance(one, Photo) else one.reason for one in found)
    assert outcomes == {"photo": 87, "panorama": 112}
    assert sum(one["is_pano"] for one in rows) == 112


def test_recorded_thumb(recordings: Path) -> None:
    (path,) = (recordings / "mapillary").glob("*paris-image.json")
    assert parse_thumb(path.read_bytes(), frozenset()).startswith("https://scontent-waw2-1.xx.fbcdn.net/")
