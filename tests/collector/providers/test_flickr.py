import json
import logging
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from collector.errors import DataError, ServiceError, T15Error, UsageError
from collector.geo import distance_km
from collector.licences import licences
from collector.net.client import Access, Http, RefusedError, TemporaryError
from collector.net.rate_limit import TRIES
from collector.providers import flickr
from collector.providers.base import Cell, Page, Query, Renews
from collector.providers.flickr import BEGAN, CAP, PAGE_ROWS, FlickrProvider
from collector.providers.flickr_answers import (
    ACCURACY_M,
    LICENCES,
    Failure,
    is_passing,
    parse_answer,
    parse_photo,
    parse_rows,
    parse_sizes,
    same_size,
)
from collector.records import City, Photo, Region, Unusable

KEY = "0123456789abcdef0123456789abcdef"
IZMIR = City("izmir", "İzmir", 38.4189, 27.1287, 30)
REGION = Region("aegean", "Aegean", (IZMIR,))
EARTH = City("earth", "Earth", 0, 0, 20_100)  # every place lies in it
CELL = Cell(27.0, 38.3, 27.3, 38.5, 1_500_000_000, 1_500_086_400)
DOWN = "Sorry, the Flickr API service is not currently available."

ROW: dict[str, Any] = {
    "id": "8000000001",
    "owner": "12345678@N05",
    "secret": "0a1b2c3d4e",
    "server": "65535",
    "farm": 66,
    "title": "Saat  Kulesi\u0007",
    "ownername": "Ömer",
    "license": "4",
    "dateupload": "1500000100",
    "datetaken": "2017-07-10 09:30:00",
    "datetakengranularity": "0",
    "datetakenunknown": "0",
    "latitude": "38.418900",
    "longitude": "27.128700",
    "accuracy": "16",
    "media": "photo",
    "url_m": "https://live.staticflickr.com/65535/8000000001_0a1b2c3d4e.jpg",
    "width_m": "500",
    "height_m": 375,
    "url_l": "https://live.staticflickr.com/65535/8000000001_0a1b2c3d4e_b.jpg",
    "width_l": "1024",
    "height_l": 768,
}


class FakeHttp(Http):
    """Answers with the given bodies, one after the other; an exception in their place is raised, a number is a status."""

    def __init__(self, *answers: bytes | Exception | int) -> None:
        super().__init__(Access({}, secrets=(KEY,)), sleep=lambda _: None)
        self.answers = list(answers)
        self.sent: list[dict[str, Any]] = []
        self.urls: list[str] = []

    @property
    def session(self) -> requests.Session:
        return self  # type: ignore[return-value]  # all that flickrapi uses of a session is `post`

    def post(self, url: str, data: dict[str, Any], auth: Any, timeout: object) -> requests.Response:
        signed = auth(requests.Request("POST", url, data=data).prepare())
        assert "Authorization" not in signed.headers, "a signature made without the key's secret is refused"
        self.urls.append(url)
        self.sent.append(data)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code = answer if isinstance(answer, int) else 200
        response._content = answer if isinstance(answer, bytes) else b"oauth_problem=x&key=" + KEY.encode()
        return response


def body(rows: list[Any], total: object = None, page: object = 1) -> bytes:
    found = {
        "page": page,
        "pages": 1,
        "perpage": PAGE_ROWS,
        "total": len(rows) if total is None else total,
        "photo": rows,
    }
    return json.dumps({"photos": found, "stat": "ok"}).encode()


def failing(code: object, message: str) -> bytes:
    return json.dumps({"stat": "fail", "code": code, "message": message}).encode()


def rows_from(first: int, number: int = PAGE_ROWS) -> list[dict[str, Any]]:
    return [{**ROW, "id": str(8_000_000_000 + first + n)} for n in range(number)]


def provider(*answers: bytes | Exception | int) -> tuple[FlickrProvider, FakeHttp]:
    http = FakeHttp(*answers)
    return FlickrProvider(http, KEY), http


def page_of(*answers: bytes | Exception | int, token: str | None = None, city: City = IZMIR) -> Page:
    return provider(*answers)[0].page(city, CELL, Query(), token, lambda _: False)


def parsed(**changes: Any) -> Photo | Unusable:
    row = {name: value for name, value in {**ROW, **changes}.items() if value is not ...}
    return parse_photo(row, IZMIR, 11)


def photo(**changes: Any) -> Photo:
    found = parsed(**changes)
    assert isinstance(found, Photo), found
    return found


def unusable(**changes: Any) -> Unusable:
    found = parsed(**changes)
    assert isinstance(found, Unusable), found
    return found


# --- rows ---------------------------------------------------------------------------------------------------------------


def test_a_row_becomes_a_photo() -> None:
    assert parsed() == Photo(
        photo_id="flickr:8000000001",
        city="izmir",
        latitude=38.4189,
        longitude=27.1287,
        taken_at=datetime(2017, 7, 10, 9, 30, tzinfo=UTC),
        author_id="flickr:12345678@N05",
        author_name="Ömer",
        license="CC-BY-2.0",
        page_url="https://www.flickr.com/photos/12345678@N05/8000000001",
        image_url="https://live.staticflickr.com/65535/8000000001_0a1b2c3d4e_b.jpg",
        title="Saat Kulesi",
        width=1024,
        height=768,
        position_accuracy_m=305.7,
    )


def test_an_accuracy_is_half_a_tile_of_its_zoom_level() -> None:
    """As wide as the names that Flickr gives its levels: world, country, region, city, street."""
    assert sorted(ACCURACY_M) == list(range(1, 17))
    for level, least, most in [(1, 5e6, 2e7), (3, 1e6, 5e6), (6, 1e5, 5e5), (11, 5e3, 2e4), (16, 100, 500)]:
        assert least < ACCURACY_M[level] < most
    assert all(ACCURACY_M[level] > ACCURACY_M[level + 1] for level in range(1, 16))


@pytest.mark.parametrize(
    ("told", "metres"), [(16, 305.7), ("16", 305.7), ("11", 9783.9), (0, None), (17, None), (..., None)]
)
def test_how_far_off_a_place_may_be(told: Any, metres: float | None) -> None:
    found = parsed(accuracy=told)
    assert isinstance(found, Photo)
    assert found.position_accuracy_m == metres


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"media": "video"}, "not-a-photo"),
        ({"latitude": 0, "longitude": 0, "accuracy": 0}, "no-location"),
        ({"latitude": "0", "longitude": "0", "accuracy": "0"}, "no-location"),
        ({"latitude": 0.0, "longitude": 0.0, "accuracy": 16}, "no-location"),
        ({"latitude": ...}, "no-location"),
        ({"longitude": None}, "no-location"),
        ({"latitude": "north"}, "no-location"),
        ({"latitude": float("nan")}, "no-location"),
        ({"latitude": 91}, "no-location"),
        ({"longitude": [27]}, "no-location"),
        ({"accuracy": "10"}, "imprecise-location"),
        ({"accuracy": 5}, "imprecise-location"),
        ({"latitude": "39.9"}, "outside-city"),
        ({"url_l": ..., "url_m": ..., "server": ...}, "no-picture"),
        ({"url_l": ..., "url_m": ..., "secret": "../x"}, "no-picture"),
        ({"id": "8/../../1"}, "no-id"),
        ({"id": None}, "no-id"),
    ],
)
def test_what_cannot_be_used_says_why(changes: dict[str, Any], reason: str) -> None:
    assert unusable(**changes).reason == reason


@pytest.mark.parametrize("row", [None, "photo", 7, [], {}])
def test_what_is_no_row_is_told_as_such(row: object) -> None:
    found = parse_photo(row, IZMIR, 11)
    assert isinstance(found, Unusable)
    assert found.reason == "no-id"


def test_a_photo_outside_the_city_tells_how_far() -> None:
    found = unusable(latitude="39.9")
    km = distance_km(IZMIR.latitude, IZMIR.longitude, 39.9, IZMIR.longitude)
    assert f"taken {km:.1f} km from the centre of İzmir, whose radius is 30 km" in found.detail
    assert found.city == "izmir"
    assert photo(latitude=38.4189 + 29.9 / 111.195)
    assert unusable(latitude=38.4189 + 30.1 / 111.195).reason == "outside-city"


@pytest.mark.parametrize("accuracy", [0, "0", None, ...])
def test_an_accuracy_that_is_not_told_does_not_reject_a_place(accuracy: object) -> None:
    assert photo(accuracy=accuracy).latitude == 38.4189


@pytest.mark.parametrize("accuracy", [11, "11", "16"])
def test_the_accuracy_asked_for_is_enough(accuracy: object) -> None:
    assert isinstance(parsed(accuracy=accuracy), Photo)


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"datetakenunknown": "1"}, None),
        ({"datetakenunknown": 1}, None),
        ({"datetakengranularity": "4", "datetaken": "2010-03-01 00:00:00"}, datetime(2010, 3, 1, tzinfo=UTC)),
        ({"datetakengranularity": 4, "datetaken": "2010-03-00 00:00:00"}, datetime(2010, 3, 1, tzinfo=UTC)),
        ({"datetakengranularity": "4", "datetaken": "2010-00-00 00:00:00"}, None),
        ({"datetakengranularity": "6", "datetaken": "2010-01-01 00:00:00"}, None),
        ({"datetakengranularity": "8", "datetaken": "1912-01-01 00:00:00"}, None),
        ({"datetaken": "2010-00-00 00:00:00"}, None),
        ({"datetaken": "0000-00-00 00:00:00"}, None),
        ({"datetaken": "1066-10-14 00:00:00"}, None),
        ({"datetaken": 20170710}, None),
        ({"datetaken": ...}, None),
        ({"datetaken": "1912-04-15 02:20:00"}, datetime(1912, 4, 15, 2, 20, tzinfo=UTC)),
        ({"datetaken": "2018-07-14 02:41:40"}, None),  # a year after the upload
        ({"datetaken": "2017-07-14 16:41:40"}, datetime(2017, 7, 14, 16, 41, 40, tzinfo=UTC)),  # 14 hours: a zone
        ({"datetaken": "2017-07-14 16:41:41"}, None),
        ({"dateupload": ...}, datetime(2017, 7, 10, 9, 30, tzinfo=UTC)),
        ({"dateupload": "9" * 30}, None),
    ],
)
def test_when_a_photo_was_taken(changes: dict[str, Any], taken: datetime | None) -> None:
    assert photo(**changes).taken_at == taken


def test_every_licence_id_has_a_licence_that_t15_knows() -> None:
    assert sorted(LICENCES) == list(range(17))
    assert set(LICENCES.values()) <= set(licences())
    assert photo(license=0).license == "LicenseRef-AllRightsReserved"
    assert photo(license="16").license == "CC-BY-NC-ND-4.0"


@pytest.mark.parametrize("id_", ["17", 17, "-1", "all", 4.5, True])
def test_an_unknown_licence_is_an_error_that_names_it(id_: object) -> None:
    with pytest.raises(DataError, match=rf"flickr:8000000001: licence id {id_!r} is unknown"):
        parsed(license=id_)


def test_a_licence_that_is_not_told_is_unknown() -> None:
    assert photo(license=...).license == "LicenseRef-Unknown"


@pytest.mark.parametrize(
    ("changes", "url", "size"),
    [
        (
            {"url_l": ..., "url_c": "https://live.staticflickr.com/1/2_c.jpg"},
            "https://live.staticflickr.com/1/2_c.jpg",
            None,
        ),
        (
            {"url_l": ..., "url_z": "http://farm9.staticflickr.com/1/2_z.jpg"},
            "https://farm9.staticflickr.com/1/2_z.jpg",
            None,
        ),
        ({"url_l": ...}, ROW["url_m"], (500, 375)),
        ({"url_l": ..., "url_m": ...}, "https://live.staticflickr.com/65535/8000000001_0a1b2c3d4e.jpg", None),
        ({"url_l": "file:///etc/passwd"}, ROW["url_m"], (500, 375)),
        ({"url_l": "https://x.example/a.jpg?key=1"}, "https://x.example/a.jpg", (1024, 768)),
        ({"url_c": "https://live.staticflickr.com/1/2_c.jpg"}, ROW["url_l"], (1024, 768)),
        ({"url_l": "https://user:word@x.example/a.jpg"}, ROW["url_m"], (500, 375)),
        ({"url_l": 7}, ROW["url_m"], (500, 375)),
        ({"url_l": "http://127.0.0.1:8000/a.jpg", "width_l": 0}, "http://127.0.0.1:8000/a.jpg", (None, 768)),
        ({"url_o": "https://live.staticflickr.com/1/2_o.jpg"}, ROW["url_l"], (1024, 768)),
    ],
)
def test_the_picture_is_the_largest_open_size(
    changes: dict[str, Any], url: str, size: tuple[int | None, int | None] | None
) -> None:
    found = photo(**changes)
    assert found.image_url == url
    assert (found.width, found.height) == (size or (None, None))


def test_an_owner_that_is_no_nsid_gets_into_no_address() -> None:
    found = photo(owner="../../evil?x=")
    assert found.author_id is None
    assert found.page_url == "https://flickr.com/photo.gne?id=8000000001"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["0", "1", "38.4", "4"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(sorted(ROW)), VALUES))
def test_any_row_is_a_photo_or_unusable_or_names_its_licence(changes: dict[str, Any]) -> None:
    try:
        found = parse_photo({**ROW, **changes}, IZMIR, 11)
    except DataError as error:
        assert "licence id" in str(error)  # noqa: PT017 (the error is one of two good outcomes)
    else:
        assert found.photo_id.startswith("flickr:")


# --- failures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message", "passing"),
    [
        (10, "Sorry, the Flickr search API is not currently available.", True),
        (105, "Service currently unavailable", True),
        (106, "Write operation failed", True),
        (0, DOWN, True),
        (201, DOWN, True),
        (0, "Unknown error", True),
        (201, "Something else", False),
        (None, DOWN, False),
        *((code, "Refused", False) for code in (1, 2, 3, 4, 18, 20, 99, 100, 111, 112, 116)),
        (100, DOWN, False),
    ],
)
def test_which_failures_pass(code: int | None, message: str, passing: bool) -> None:
    assert is_passing(Failure(code, message)) is passing


@pytest.mark.parametrize("code", [10, 105, "106", 0, 201])
def test_a_passing_failure_is_asked_again(code: object) -> None:
    service, http = provider(failing(code, DOWN), body([ROW]))
    assert service.page(IZMIR, CELL, Query(), None, lambda _: False).rows == 1
    assert len(http.sent) == 2


def test_a_failure_that_stays_is_temporary_and_shows_no_key() -> None:
    with pytest.raises(TemporaryError) as caught:
        page_of(*[failing(105, f"down for {KEY}")] * TRIES)
    assert caught.value.reason == "flickr-105"
    assert KEY not in str(caught.value)


def test_a_refused_key_names_the_variable_and_where_to_get_one_and_is_not_asked_again() -> None:
    service, http = provider(failing(100, f"Invalid API Key ({KEY} has invalid format)"))
    with pytest.raises(ServiceError) as caught:
        service.count(CELL)
    assert "T15_FLICKR_KEY" in str(caught.value)
    assert "https://www.flickr.com/services/apps/create" in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(http.sent) == 1


@pytest.mark.parametrize("code", [1, 2, 3, 4, 18, 20, 111, 112, 116, 777])
def test_another_failure_is_told_with_code_and_message(code: int) -> None:
    with pytest.raises(ServiceError, match=rf"error {code}: Illogical arguments"):
        page_of(failing(code, "Illogical\narguments"))


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (b'{"stat": "maybe"}', "stat 'maybe'"),
        (b"{}", "stat None"),
        (b'{"stat": "ok"}', "without photos"),
        (b'{"stat": "ok", "photos": []}', "without photos"),
        (b'{"stat": "ok", "photos": {"photo": null}}', "without photos"),
        (b'{"stat": "fail"}', "without a message"),
    ],
)
def test_an_answer_of_another_kind_is_an_error_with_what_was_seen(answer: bytes, seen: str) -> None:
    with pytest.raises(ServiceError, match=seen):
        page_of(answer)


@pytest.mark.parametrize("answer", [b"", b"<rsp/>", b'{"stat": "ok"', b"\xff\xfe", b"[" * 100_000, 204, 206])
def test_a_broken_body_is_temporary(answer: bytes | int) -> None:
    with pytest.raises(TemporaryError):
        page_of(*[answer] * TRIES)


def test_json_that_is_no_object_is_refused() -> None:
    with pytest.raises(RefusedError):
        page_of(b"[1]")


def test_a_broken_body_is_asked_again() -> None:
    assert page_of(b'{"stat": ', body([ROW])).rows == 1


@pytest.mark.parametrize("error", [TemporaryError("timeout"), RefusedError("http-403", status=403)])
def test_errors_of_the_network_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)):
        page_of(*[error] * TRIES)


def test_flickrapi_logs_neither_key_nor_answer(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(TemporaryError):
        page_of(*[204] * TRIES)
    shown = capsys.readouterr()
    assert KEY not in caplog.text
    assert shown.out + shown.err == ""


# --- calls --------------------------------------------------------------------------------------------------------------


def test_a_search_sends_the_box_and_the_time_and_only_known_names() -> None:
    service, http = provider(body([ROW]))
    service.page(IZMIR, CELL, Query(), None, lambda _: False)
    sent = dict(http.sent[0])
    assert sent.pop("api_key") == KEY
    assert sent.pop("method") == "flickr.photos.search"
    assert (sent.pop("format"), sent.pop("nojsoncallback")) == ("json", 1)
    assert set(sent) == flickr.PARAMETERS
    assert sent["bbox"] == "27.0000000,38.3000000,27.3000000,38.5000000"
    assert (sent["min_upload_date"], sent["max_upload_date"]) == (1_500_000_000, 1_500_086_399)
    assert (sent["media"], sent["content_types"], sent["content_type"], sent["safe_search"]) == ("photos", 0, 1, 1)
    assert (sent["page"], sent["per_page"], sent["sort"], sent["has_geo"]) == (1, 250, "date-posted-asc", 1)
    assert http.urls == ["https://api.flickr.com/services/rest/"]


def test_a_search_without_a_time_still_limits_it() -> None:
    service, http = provider(body([]))
    service.count(replace(CELL, since=None, until=None))
    assert http.sent[0]["min_upload_date"] == BEGAN
    assert "max_upload_date" not in http.sent[0]


def test_a_misspelt_name_is_never_sent() -> None:
    service, http = provider()
    with pytest.raises(ValueError, match="licence"):
        service.photos_search(CELL, licence=4)
    assert http.sent == []


@pytest.mark.parametrize(("total", "counted"), [("17", 17), (17, 17), (0, 0), ("many", None), (None, None), ("", None)])
def test_counting_is_one_short_call(total: object, counted: int | None) -> None:
    answer = json.dumps({"stat": "ok", "photos": {"photo": [ROW], "total": total}}).encode()
    service, http = provider(answer)
    assert service.count(CELL) == counted
    assert http.sent[0]["per_page"] == 1
    assert "extras" not in http.sent[0]


def test_pages_are_asked_one_after_the_other_until_they_are_done() -> None:
    service, http = provider(body(rows_from(0), "510"), body(rows_from(250), 510, 2), body(rows_from(500, 10), 510, 3))
    pages: list[Page] = []
    token = None
    while not pages or token:
        pages.append(service.page(IZMIR, CELL, Query(), token, lambda _: False))
        token = pages[-1].next
    assert [page.rows for page in pages] == [250, 250, 10]
    assert len({found.photo_id for page in pages for found in page.found}) == 510
    assert [sent["page"] for sent in http.sent] == [1, 2, 3]
    assert not any(page.cut for page in pages)
    assert [page.reported for page in pages] == [510] * 3


def test_a_full_page_at_the_estimates_end_is_followed() -> None:
    assert page_of(body(rows_from(0), 240)).next is not None
    assert page_of(body(rows_from(0, 240), 240)).next is None


def test_a_page_that_begins_as_the_one_before_is_the_last() -> None:
    first = page_of(body(rows_from(0), 900))
    assert first.next is not None
    assert page_of(body(rows_from(0), 900, 2), token=first.next).next is None
    assert page_of(body(rows_from(240), 900, 2), token=first.next).next is not None


def test_a_page_that_is_another_than_the_one_asked_for_is_the_last() -> None:
    first = page_of(body(rows_from(0), 900))
    assert page_of(body(rows_from(500), 900, "1"), token=first.next).next is None


def test_a_cell_above_the_cap_is_cut_and_never_asked_beyond_it() -> None:
    assert page_of(body(rows_from(0), CAP)).cut is False
    token: str | None = None
    asked = 0
    while token is not None or not asked:
        asked += 1
        page = page_of(body(rows_from(250 * asked), CAP + 1, asked), token=token)
        assert page.cut
        token = page.next
    assert asked == CAP // PAGE_ROWS


def test_an_endless_answer_without_a_total_ends_at_the_cap() -> None:
    last = page_of(body(rows_from(0), "unknown", 16), token="16:1")  # noqa: S106 (a page's number)
    assert (last.next, last.cut, last.reported) == (None, True, None)


def test_an_empty_page_is_the_last() -> None:
    page = page_of(body([], 900))
    assert (page.rows, page.found, page.next, page.reported) == (0, (), None, 900)


def test_one_bad_row_does_not_hide_the_others() -> None:
    page = page_of(body([None, ROW, {"id": []}]))
    assert [type(found) for found in page.found] == [Unusable, Photo, Unusable]
    assert page.rows == 3


# --- roots --------------------------------------------------------------------------------------------------------------


def holds(cell: Cell, latitude: float, longitude: float) -> bool:
    return cell.south <= latitude <= cell.north and cell.west <= longitude <= cell.east


def ring(city: City) -> Iterator[tuple[float, float]]:
    """Points just within the city's radius, found by bisection on a grid of bearings."""
    for north in range(-10, 11):
        latitude = city.latitude + north / 10 * city.radius_km / 111.3
        if abs(latitude) <= 90:
            for side in (-1, 1):
                inside, outside = 0.0, 180.0
                for _ in range(40):
                    middle = (inside + outside) / 2
                    near = distance_km(city.latitude, 0, latitude, middle) < city.radius_km
                    inside, outside = (middle, outside) if near else (inside, middle)
                yield latitude, (city.longitude + side * inside + 180) % 360 - 180


@pytest.mark.parametrize(
    ("city", "cells"),
    [
        (IZMIR, 1),
        (City("suva", "Suva", -18.14, 179.9, 60), 2),
        (City("taveuni", "Taveuni", -16.8, -179.95, 60), 2),
        (City("alert", "Alert", 82.5, -62.3, 100), 1),
        (City("pole", "Pole", 89.9, 10.0, 100), 2),
    ],
)
def test_the_roots_cover_the_circle(city: City, cells: int) -> None:
    roots = provider()[0].roots(city, Query(), None, 1_600_000_000)
    assert len(roots) == cells
    assert all(-180 <= cell.west < cell.east <= 180 and -90 <= cell.south < cell.north <= 90 for cell in roots)
    assert all((cell.since, cell.until) == (BEGAN, 1_600_000_000) for cell in roots)
    for latitude, longitude in ring(city):
        assert any(holds(cell, latitude, longitude) for cell in roots), (latitude, longitude)


def test_a_root_is_no_wider_than_it_has_to_be() -> None:
    (cell,) = provider()[0].roots(IZMIR, Query(), 5, 10)
    assert distance_km(cell.south, 27, cell.north, 27) == pytest.approx(60, rel=1e-6)
    assert distance_km(38.4189, cell.west, 38.4189, cell.east) == pytest.approx(60, rel=1e-3)
    assert (cell.since, cell.until) == (5, 10)


def test_no_time_means_no_roots() -> None:
    assert provider()[0].roots(IZMIR, Query(), 10, 10) == []


# --- making, pictures ---------------------------------------------------------------------------------------------------


def test_making_one_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T15_FLICKR_KEY", raising=False)
    with pytest.raises(ServiceError, match="T15_FLICKR_KEY"):
        flickr.make()


def test_making_one_takes_key_and_address_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T15_FLICKR_KEY", KEY)
    monkeypatch.setenv("T15_FLICKR_URL", "http://127.0.0.1:8123/flickr/")
    service = flickr.make()
    assert service.rest_url == "http://127.0.0.1:8123/flickr"
    assert KEY not in repr(service)
    monkeypatch.setenv("T15_FLICKR_URL", "ftp://127.0.0.1")
    with pytest.raises(UsageError):
        flickr.make()


def test_the_picture_of_a_removed_photo_is_known_by_its_address() -> None:
    request = provider()[0].image_request(photo())
    assert request.url == ROW["url_l"]
    assert request.placeholder_in_url == "photo_unavailable"
    assert request.robots
    with pytest.raises(RefusedError):
        provider()[0].image_request(replace(photo(), image_url=None))


def test_a_search_over_real_connections(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    monkeypatch.setenv("T15_FLICKR_KEY", KEY)
    monkeypatch.setenv("T15_FLICKR_URL", httpserver.url_for("/services/rest"))
    answer = httpserver.expect_request("/services/rest/", method="POST")
    answer.respond_with_data(body([ROW]), content_type="text/plain; charset=utf-8")  # as Flickr labels its failures
    service = flickr.make()
    page = service.page(IZMIR, CELL, Query(), None, lambda _: False)
    service.http.close()
    assert [found.photo_id for found in page.found] == ["flickr:8000000001"]
    request, _ = httpserver.log[0]
    assert request.form["api_key"] == KEY
    assert request.form["max_upload_date"] == "1500086399"
    assert (request.args, request.authorization) == ({}, None)


# --- where a photo is now -----------------------------------------------------------------------------------------------


def sizes(*letters: str, id_: str = "8000000001", secret: str = "ffffffffff", **changes: Any) -> bytes:  # noqa: S107
    """Return what flickr.photos.getSizes answers about a photo that is offered in the sizes of these letters."""
    pictures = [
        {
            "label": "a size",
            "width": "500",
            "height": 375,
            "source": f"http://farm3.staticflickr.com/2822/{id_}_{secret}{f'_{letter}' if letter else ''}.jpg",
            "url": "http://www.flickr.com/x",
            "media": "photo",
            **changes,
        }
        for letter in letters
    ]
    return json.dumps({"sizes": {"canblog": 1, "size": pictures}, "stat": "ok"}).encode()


def renewed(*answers: bytes | Exception | int, **changes: Any) -> str | None:
    known = replace(photo(), **changes)
    found = provider(*answers)[0].renewed(known)
    assert found is None or found == replace(known, image_url=found.image_url)
    return found.image_url if found else None


def test_a_moved_photo_is_found_in_the_size_that_it_had() -> None:
    service, http = provider(sizes("s", "", "z", "b", "o"))
    assert isinstance(service, Renews)
    found = service.renewed(photo())
    assert found is not None
    assert found.image_url == "https://farm3.staticflickr.com/2822/8000000001_ffffffffff_b.jpg"
    sent = dict(http.sent[0])
    assert (sent.pop("method"), sent.pop("photo_id"), sent.pop("api_key")) == (
        "flickr.photos.getSizes",
        "8000000001",
        KEY,
    )
    assert set(sent) == {"format", "nojsoncallback"}
    plain = "https://live.staticflickr.com/1/8000000001_0a1b2c3d4e.jpg"
    assert str(renewed(sizes("z", "", "b"), image_url=plain)).endswith("_ffffffffff.jpg")


def test_where_its_size_is_not_offered_any_more_the_best_is_taken() -> None:
    assert str(renewed(sizes("s", "c", "z", ""))).endswith("_c.jpg")
    assert str(renewed(sizes("s", ""))).endswith("_ffffffffff.jpg")
    assert renewed(sizes("s", "q", "t")) is None
    assert str(renewed(sizes("b"), image_url=None)).endswith("_b.jpg")


@pytest.mark.parametrize(
    "answer",
    [
        failing(1, "Photo not found"),
        failing(2, "Permission denied"),
        failing("1", "Photo not found"),
        sizes(),
        sizes("b", id_="8000000002"),
        sizes("b", source="file:///etc/passwd/8000000001_ffffffffff_b.jpg"),
        sizes("b", source=None),
        b'{"stat": "ok"}',
        b'{"stat": "ok", "sizes": []}',
        b'{"stat": "ok", "sizes": {"size": [7, {}, null]}}',
    ],
)
def test_a_removed_photo_is_not_there(answer: bytes) -> None:
    assert renewed(answer) is None


def test_a_video_among_the_sizes_is_no_picture() -> None:
    assert renewed(sizes("b", source="https://live.staticflickr.com/1/8000000001_ffffffffff_b.mp4")) is None


@pytest.mark.parametrize("photo_id", ["flickr:", "flickr:x", "flickr:1/../2", "flickr:٣", "flickr:row-0123"])
def test_what_is_no_id_is_not_asked_about(photo_id: str) -> None:
    assert renewed(photo_id=photo_id) is None


def test_where_it_is_is_asked_again_and_errors_tell_of_the_method() -> None:
    assert renewed(failing(105, "Service currently unavailable"), sizes("b")) is not None
    with pytest.raises(TemporaryError, match="flickr-201"):
        renewed(*[failing(201, DOWN)] * TRIES)
    with pytest.raises(ServiceError, match=r"Flickr failed at flickr\.photos\.getSizes: error 116"):
        renewed(failing(116, "Bad URL found"))
    with pytest.raises(ServiceError, match=flickr.VARIABLE) as caught:
        renewed(failing(100, f"Invalid API Key {KEY}"))
    assert KEY not in str(caught.value)


def test_the_recorded_sizes_hold_the_address_that_a_photo_has(recordings: Path) -> None:
    read = 0
    for entry, answer in recorded(recordings):
        if entry["method"] != "flickr.photos.getSizes":
            continue
        if answer.startswith(b"<?xml"):
            root = ET.fromstring(answer)  # noqa: S314
            document: dict[str, Any] = {"sizes": {"size": [dict(node.attrib) for node in root.iter("size")]}}
        else:
            document = json.loads(answer)
        pictures = [one for one in document.get("sizes", {}).get("size", []) if one["source"].endswith(".jpg")]
        if not pictures:
            continue
        native = str(re.search(r"/([0-9]+)_", pictures[0]["source"])[1])  # type: ignore[index]
        found = parse_sizes(document, native)
        read += 1
        assert len(found) == len(pictures)
        assert all(url.startswith("https://") for url in found.values())
        for one in pictures:
            known = replace(photo(), photo_id=f"flickr:{native}", image_url=one["source"])
            assert same_size(known, found) == one["source"].replace("http://", "https://")
    assert read >= 20


# --- recorded answers ---------------------------------------------------------------------------------------------------


def recorded(recordings: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    for entry in json.loads((recordings / "flickr" / "index.json").read_text("utf-8")):
        yield entry, (recordings / "flickr" / entry["file"]).read_bytes()


def as_json(answer: bytes) -> bytes:
    """Return a recorded XML answer in the JSON that Flickr makes of the same document; others as they are."""
    if not answer.lstrip().startswith(b"<?xml"):
        return answer
    root = ET.fromstring(answer)  # noqa: S314 (a recording)
    if (error := root.find("err")) is not None:
        return failing(int(error.attrib["code"]), error.attrib["msg"])
    document: dict[str, Any] = {"stat": root.attrib["stat"]}
    if (photos := root.find("photos")) is not None:
        document["photos"] = {**photos.attrib, "photo": [row.attrib for row in photos.iter("photo")]}
    return json.dumps(document).encode()


def outcome(answer: bytes) -> str:
    try:
        page = page_of(*[answer] * TRIES, city=EARTH, token=str(page_number(answer)))
    except (TemporaryError, T15Error) as error:
        code = re.search("error ([0-9]+)", str(error))
        return " ".join([type(error).__name__, *(code.groups() if code else ())])
    return "page" if page.rows == len(page.found) else "rows lost"


def page_number(answer: bytes) -> int:
    document = parse_answer(answer)
    found = parse_rows(document) if isinstance(document, dict) else None
    return (found[2] if found else None) or 1


def test_every_recorded_body_has_a_typed_outcome(recordings: Path) -> None:
    as_sent = Counter(outcome(answer) for _, answer in recorded(recordings))
    # XML is what was not asked for; 0068 ends in a comma; two bodies are empty. 14 searches are pages, and the bodies of
    # other methods and single rows are no answers to a search.
    assert as_sent == {
        "TemporaryError": 107,
        "page": 14,
        "ServiceError": 22,
        "ServiceError 1": 1,
        "ServiceError 100": 1,
    }


def test_every_recorded_document_in_xml_has_a_typed_outcome_too(recordings: Path) -> None:
    outcomes = Counter(
        outcome(as_json(answer)) for entry, answer in recorded(recordings) if entry["file"].endswith(".xml")
    )
    assert outcomes == {
        "page": 24,
        "ServiceError": 60,
        "ServiceError 1": 16,
        "ServiceError 99": 2,
        "ServiceError 100": 1,
        "TemporaryError": 1,
    }


def recorded_rows(recordings: Path) -> Iterator[dict[str, Any]]:
    for entry, answer in recorded(recordings):
        if entry["method"] == "flickr.photos.search#photo":
            yield json.loads(answer)
        elif entry["method"] == "flickr.photos.search":
            yield from json.loads(as_json(answer))["photos"]["photo"]


def test_every_recorded_row_is_a_photo_or_unusable(recordings: Path) -> None:
    found = [parse_photo(row, EARTH, 11) for row in recorded_rows(recordings)]
    kinds = Counter("photo" if isinstance(one, Photo) else one.reason for one in found)
    # Most rows without a place come from searches that did not ask for places.
    assert kinds == {"photo": 321, "no-location": 624, "imprecise-location": 20, "not-a-photo": 8}
    photos = [one for one in found if isinstance(one, Photo)]
    assert sum(one.taken_at is not None for one in photos) == 298
    assert all((one.image_url or "").startswith("https://") for one in photos)
    assert Counter(one.license for one in photos)["CC-BY-NC-SA-2.0"] == 27
    # Two rows have a place and accuracy 0.
    at = [row for row in recorded_rows(recordings) if row.get("accuracy") == "0" and float(row["latitude"]) != 0]
    assert [type(parse_photo(row, EARTH, 11)) for row in at] == [Photo, Photo]


def test_the_licences_are_those_that_flickr_lists(recordings: Path) -> None:
    listed = [answer for entry, answer in recorded(recordings) if entry["method"] == "flickr.photos.licenses.getInfo"]
    assert len(listed) == 3
    for answer in listed:
        if answer.startswith(b"<?xml"):
            entries: list[Any] = [node.attrib for node in ET.fromstring(answer).iter("license")]  # noqa: S314
        else:
            entries = json.loads(answer)["licenses"]["license"]
        for entry in entries:
            known = licences()[LICENCES[int(entry["id"])]]
            if "creativecommons.org" in entry["url"]:
                assert known.url == entry["url"]
            else:
                assert int(entry["id"]) in (0, 7, 8)
