import base64
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from collector.errors import IncompleteError, ServiceError, T15Error
from collector.geo import distance_km
from collector.licences import licences
from collector.manifest.schema import COLUMNS
from collector.net.client import Access, Answer, Http, RefusedError, TemporaryError
from collector.net.rate_limit import TRIES
from collector.providers import streetview
from collector.providers.base import Cell, Page, Query, Renews
from collector.providers.streetview import TERMS_NOTE, StreetViewProvider
from collector.providers.streetview_answers import (
    Failure,
    Panorama,
    decoded_secret,
    is_passing,
    parse_metadata,
    photos,
    points,
    sign,
)
from collector.records import City, Photo, Region, Unusable

KEY = "AIzaSyA0000000000000000000000000000000k"
SECRET = "vNIXE0xscrmjlyV-12Nj_BvUPaw="  # noqa: S105 (the example of Google's documentation)
IZMIR = City("izmir", "İzmir", 38.4189, 27.1287, 30)
REGION = Region("aegean", "Aegean", (IZMIR,))
LONDON = City("london", "London", 51.5, -0.12, 30)
CELL = Cell(27.12, 38.41, 27.14, 38.43)

PANO: dict[str, Any] = {
    "copyright": "© Google",
    "date": "2019-05",
    "location": {"lat": 38.4192, "lng": 27.1291},
    "pano_id": "AbCdEfGhIjKlMnOpQrSt_-",
    "status": "OK",
}


class FakeHttp(Http):
    """Answers with the given bodies, one after the other; an exception in their place is raised."""

    def __init__(self, *answers: bytes | Exception) -> None:
        super().__init__(Access({}, secrets=(KEY, SECRET)), sleep=lambda _: None)
        self.answers = list(answers)
        self.urls: list[str] = []

    def get(
        self,
        url: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        accept: tuple[str, ...] = ("application/json",),
        judge: Callable[[Answer], None] | None = None,
    ) -> Answer:
        assert params is None, "a signature is over the whole query"

        def once() -> Answer:
            self.urls.append(url)
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            told = Answer(url, 200, {}, answer)
            if judge:
                judge(told)
            return told

        return self.retrying(once)


def provider(*answers: bytes | Exception, secret: str | None = None) -> tuple[StreetViewProvider, FakeHttp]:
    http = FakeHttp(*answers)
    return StreetViewProvider(http, KEY, decoded_secret(secret) if secret else None), http


def page_of(*answers: bytes | Exception, city: City = IZMIR) -> Page:
    return provider(*answers)[0].page(city, CELL, Query(), None, lambda _: False)


def answer(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in {**PANO, **changes}.items() if value is not ...}).encode()


def failing(status: str, message: str | None = None) -> bytes:
    return json.dumps({"status": status, **({"error_message": message} if message else {})}).encode()


def read(body: bytes) -> Panorama | Failure | None:
    try:
        return parse_metadata(body)
    except TemporaryError:
        return None


def query_of(url: str | None) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url or "").query))


def test_the_terms_are_told() -> None:
    assert "https://cloud.google.com/maps-platform/terms" in TERMS_NOTE
    assert "\n" not in TERMS_NOTE


# --- pages --------------------------------------------------------------------------------------------------------------


def test_a_panorama_gives_four_photos() -> None:
    page = page_of(answer())
    assert (page.rows, page.next, page.reported, page.cut) == (4, None, None, False)
    assert page.found[1] == Photo(
        photo_id="streetview:AbCdEfGhIjKlMnOpQrSt_-@90",
        city="izmir",
        latitude=38.4192,
        longitude=27.1291,
        taken_at=datetime(2019, 5, 1, tzinfo=UTC),
        author_id="streetview:google",
        author_name="© Google",
        license="LicenseRef-GoogleStreetView",
        page_url="https://www.google.com/maps/@?api=1&map_action=pano&pano=AbCdEfGhIjKlMnOpQrSt_-&heading=90&fov=90",
        image_url="https://maps.googleapis.com/maps/api/streetview?pano=AbCdEfGhIjKlMnOpQrSt_-&size=640x640&heading=90"
        "&fov=90&pitch=0&source=outdoor&return_error_code=true",
        width=640,
        height=640,
        heading=90.0,
        sequence_id="streetview:AbCdEfGhIjKlMnOpQrSt_-",
    )
    assert [found.photo_id.partition("@")[2] for found in page.found] == ["0", "90", "180", "270"]
    assert "LicenseRef-GoogleStreetView" in licences()


def test_the_photos_fit_a_manifest_and_hold_no_key() -> None:
    address = {column.name: column for column in COLUMNS}
    for found in page_of(answer()).found:
        assert isinstance(found, Photo)
        assert KEY not in repr(found)
        for name in ("photo_id", "page_url", "image_url"):
            test = address[name].test
            assert test is not None
            assert test(pa.array([getattr(found, name)])).to_pylist() == [True]


def test_one_call_asks_for_the_metadata_of_the_cells_middle() -> None:
    service, http = provider(answer())
    service.page(IZMIR, CELL, Query(), None, lambda _: False)
    assert urlsplit(http.urls[0]).path == "/maps/api/streetview/metadata"
    assert query_of(http.urls[0]) == {
        "location": "38.4200000,27.1300000",
        "radius": "50",
        "source": "outdoor",
        "key": KEY,
    }
    assert len(http.urls) == 1


@pytest.mark.parametrize("status", ["ZERO_RESULTS", "NOT_FOUND"])
def test_no_imagery_is_an_empty_page(status: str) -> None:
    assert page_of(failing(status)) == Page((), 0)


def test_a_panorama_outside_the_city_says_how_far() -> None:
    (found,) = page_of(answer(location={"lat": 39.9, "lng": 27.1287})).found
    assert isinstance(found, Unusable)
    assert (found.reason, found.city) == ("outside-city", "izmir")
    km = distance_km(IZMIR.latitude, IZMIR.longitude, 39.9, 27.1287)
    assert f"{km:.1f} km from the centre of İzmir, whose radius is 30 km" in found.detail


@pytest.mark.parametrize(
    ("date", "taken"),
    [
        ("2008-09", datetime(2008, 9, 1, tzinfo=UTC)),
        ("2008-13", None),
        ("2008", None),
        ("0000-01", None),
        ("9999-12", None),
        (200809, None),
        (..., None),
    ],
)
def test_a_month_stands_for_its_first_day(date: object, taken: datetime | None) -> None:
    found = page_of(answer(date=date)).found[0]
    assert isinstance(found, Photo)
    assert found.taken_at == taken


def test_users_are_authors_of_their_own() -> None:
    def authors(copyright: object) -> tuple[str | None, str | None]:
        found = page_of(answer(copyright=copyright)).found[0]
        assert isinstance(found, Photo)
        return found.author_id, found.author_name

    assert authors("© Google") == authors("\u00a9 Google") == ("streetview:google", "© Google")
    assert authors(...) == (None, None)
    ada, bea = authors("© Ada"), authors("© Bea")
    assert ada[1] == "© Ada"
    assert ada[0] != bea[0]
    assert authors("© Ada")[0] == ada[0]


# --- failures -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message", "passing"),
    [
        ("UNKNOWN_ERROR", "", True),
        ("OVER_QUERY_LIMIT", "without a message", True),
        ("OVER_QUERY_LIMIT", "You have exceeded your rate-limit for this API.", True),
        ("OVER_QUERY_LIMIT", "You have exceeded your daily request quota for this API.", False),
        ("OVER_QUERY_LIMIT", "Enable Billing on the project", False),
        ("REQUEST_DENIED", "try again", False),
        ("INVALID_REQUEST", "", False),
        ("ZERO_RESULTS", "", False),
        ("NOT_FOUND", "", False),
        ("NEW_STATUS", "", False),
    ],
)
def test_which_failures_pass(status: str, message: str, passing: bool) -> None:
    assert is_passing(Failure(status, message)) is passing


@pytest.mark.parametrize("first", [failing("UNKNOWN_ERROR"), failing("OVER_QUERY_LIMIT"), b"<html>", b""])
def test_what_passes_is_asked_again(first: bytes) -> None:
    assert page_of(first, answer()).rows == 4


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (failing("UNKNOWN_ERROR"), "unknown-error"),
        (failing("OVER_QUERY_LIMIT"), "rate-limited"),
        (b"", "not-json"),
        (b"[" * 100_000, "not-json"),
        (answer(pano_id=...), "malformed"),
        (answer(pano_id="a;b"), "malformed"),
        (answer(pano_id="a b@90"), "malformed"),
        (answer(pano_id=7), "malformed"),
        (answer(location=...), "malformed"),
        (answer(location=[38, 27]), "malformed"),
        (answer(location={"lat": "north", "lng": 27}), "malformed"),
        (answer(location={"lat": float("nan"), "lng": 27}), "malformed"),
        (answer(location={"lat": 91, "lng": 27}), "malformed"),
        (answer(location={"lat": True, "lng": 27}), "malformed"),
    ],
)
def test_what_stays_broken_is_temporary(body: bytes, reason: str) -> None:
    with pytest.raises(TemporaryError) as caught:
        page_of(*[body] * TRIES)
    assert caught.value.reason == reason


def test_a_used_up_day_is_incomplete_and_says_when_to_come_back() -> None:
    with pytest.raises(IncompleteError, match=r"daily request quota.*after midnight Pacific time"):
        page_of(failing("OVER_QUERY_LIMIT", "You have exceeded your daily request quota for this API."))


@pytest.mark.parametrize(
    "refusal",
    [failing("REQUEST_DENIED", f"The provided API key {KEY} is invalid."), RefusedError("http-403", KEY, status=403)],
)
def test_a_refused_key_names_the_variable_and_where_to_get_one(refusal: bytes | Exception) -> None:
    with pytest.raises(ServiceError) as caught:
        page_of(refusal)
    assert "T15_GOOGLE_KEY" in str(caught.value)
    assert "T15_GOOGLE_SECRET" not in str(caught.value)
    assert "https://console.cloud.google.com/" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_refused_signed_request_names_the_secret_too() -> None:
    service, _ = provider(failing("REQUEST_DENIED", "bad signature"), secret=SECRET)
    with pytest.raises(ServiceError, match="T15_GOOGLE_SECRET"):
        service.page(IZMIR, CELL, Query(), None, lambda _: False)


def test_another_refusal_passes_through() -> None:
    with pytest.raises(RefusedError, match="http-404"):
        page_of(RefusedError("http-404", status=404))


@pytest.mark.parametrize("status", ["INVALID_REQUEST", "DATA_NOT_AVAILABLE", ""])
def test_another_status_is_an_error_with_what_was_seen(status: str) -> None:
    with pytest.raises(ServiceError, match=f"failed with {status or 'no status'}: bad parameter"):
        page_of(failing(status, "bad\nparameter"))


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.fixed_dictionaries({"lat": st.floats()})
)


@given(st.dictionaries(st.sampled_from(sorted(PANO)), VALUES))
def test_any_answer_has_a_typed_outcome(changes: dict[str, Any]) -> None:
    told = read(json.dumps({**PANO, **changes}).encode())
    assert told is None or isinstance(told, Panorama | Failure)


# --- signatures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("address=New+York&client=clientID", "chaRF2hTJKOScPr-RQCEhZbSzIE="),
        ("address=New+York&sensor=false&client=clientID", "KrU1TzVQM7Ur0i8i7K3huiw3MsA="),
    ],
)
def test_the_signature_is_that_of_googles_documentation(query: str, signature: str) -> None:
    secret = decoded_secret(SECRET)
    assert secret is not None
    url = f"https://maps.googleapis.com/maps/api/geocode/json?{query}"
    assert sign(url, secret) == f"{url}&signature={signature}"


def test_requests_are_signed_as_they_are_sent() -> None:
    service, http = provider(answer(), secret=SECRET)
    found = service.page(IZMIR, CELL, Query(), None, lambda _: False).found[0]
    assert isinstance(found, Photo)
    for url in (http.urls[0], service.image_request(found).url):
        assert requests.Request("GET", url).prepare().url == url, "the client must not write it differently"
        unsigned, _, signature = url.rpartition("&signature=")
        secret = decoded_secret(SECRET)
        assert secret is not None
        assert sign(unsigned, secret) == url
        assert len(base64.urlsafe_b64decode(signature)) == 20
    assert "signature" not in (found.image_url or "")


@pytest.mark.parametrize("text", ["no base64!", "ç", "a", ""])
def test_what_is_no_secret_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decoded_secret(text) is None
    if text:
        monkeypatch.setenv("T15_GOOGLE_KEY", KEY)
        monkeypatch.setenv("T15_GOOGLE_SECRET", text)
        with pytest.raises(ServiceError, match="T15_GOOGLE_SECRET is no URL signing secret"):
            streetview.make()


# --- pictures -----------------------------------------------------------------------------------------------------------


def test_a_picture_is_asked_for_with_the_key_and_known_stand_ins() -> None:
    service, _ = provider(answer())
    found = service.page(IZMIR, CELL, Query(), None, lambda _: False).found[2]
    assert isinstance(found, Photo)
    request = service.image_request(found)
    assert request.url == f"{found.image_url}&key={KEY}"
    assert (request.flat_is_placeholder, request.width, request.robots) == (True, 640, False)


def test_the_key_goes_to_the_configured_service_only() -> None:
    service, _ = provider()
    (found, *_) = photos(Panorama("abc", 38.4, 27.1, None, None), IZMIR, "https://evil.example/streetview")
    assert isinstance(found, Photo)
    hostile = replace(found, image_url=f"{found.image_url}&callback=x&key=other")
    url = service.image_request(hostile).url
    assert url.startswith("https://maps.googleapis.com/maps/api/streetview?pano=abc&")
    assert "callback" not in url
    assert query_of(url)["key"] == KEY


@pytest.mark.parametrize(
    "url", [None, "", "https://maps.googleapis.com/maps/api/streetview?heading=0", "https://x/?pano=a"]
)
def test_a_photo_without_a_panorama_has_no_picture(url: str | None) -> None:
    with pytest.raises(RefusedError):
        provider()[0].image_request(Photo("streetview:a@0", "izmir", image_url=url))


# --- where a view is now ------------------------------------------------------------------------------------------------


def test_a_view_is_found_from_the_panorama_that_stands_there_now() -> None:
    view = page_of(answer()).found[1]
    assert isinstance(view, Photo)
    service, http = provider(answer(pano_id="NeWeRpAnOoFtHeSaMePlAcE", location={"lat": 38.41921, "lng": 27.12911}))
    assert isinstance(service, Renews)
    found = service.renewed(view)
    assert found is not None
    assert (found.photo_id, found.latitude, found.page_url) == (view.photo_id, view.latitude, view.page_url)
    assert query_of(found.image_url) == {**query_of(view.image_url), "pano": "NeWeRpAnOoFtHeSaMePlAcE"}
    asked = query_of(http.urls[0])
    assert http.urls[0].startswith(f"{streetview.ADDRESS}/metadata?")
    assert (asked["location"], asked["radius"], asked["source"]) == ("38.4192000,27.1291000", "15", "outdoor")
    assert KEY not in str(found.image_url)
    request = service.image_request(found)
    assert query_of(request.url)["pano"] == "NeWeRpAnOoFtHeSaMePlAcE"


@pytest.mark.parametrize(
    "told",
    [
        failing("ZERO_RESULTS"),
        failing("NOT_FOUND"),
        answer(location={"lat": 38.4194, "lng": 27.1291}),  # 22 m off, whatever radius was asked for
    ],
)
def test_where_no_panorama_stands_the_view_is_gone(told: bytes) -> None:
    view = page_of(answer()).found[0]
    assert isinstance(view, Photo)
    assert provider(told)[0].renewed(view) is None


def test_a_view_without_a_place_is_not_asked_about() -> None:
    assert provider()[0].renewed(Photo("streetview:x@90", "izmir")) is None


def test_what_else_an_address_holds_is_not_kept() -> None:
    """The address may come with somebody else's manifest."""
    view = page_of(answer()).found[0]
    assert isinstance(view, Photo)
    foreign = replace(view, image_url="https://evil.example/?pano=a&heading=90&key=theirs&location=0,0&signature=x")
    found = provider(answer())[0].renewed(foreign)
    assert found is not None
    assert str(found.image_url).startswith(f"{streetview.ADDRESS}?")
    assert query_of(found.image_url) == {"pano": PANO["pano_id"], "heading": "90"}


def test_a_refused_key_and_a_used_up_quota_are_told_of_a_view_too() -> None:
    view = page_of(answer()).found[0]
    assert isinstance(view, Photo)
    with pytest.raises(ServiceError, match=streetview.VARIABLE):
        provider(failing("REQUEST_DENIED", f"no {KEY}"))[0].renewed(view)
    with pytest.raises(ServiceError, match=streetview.VARIABLE):
        provider(RefusedError("http-403", status=403))[0].renewed(view)
    with pytest.raises(IncompleteError, match="quota"):
        provider(failing("OVER_QUERY_LIMIT", "You have exceeded your daily request quota"))[0].renewed(view)


@pytest.mark.parametrize("url", ["http://[", "https://[::1?pano=a", "?", "x" * 5000, None])
def test_an_address_that_is_none_names_no_picture(url: str | None) -> None:
    with pytest.raises(RefusedError, match="bad-request"):
        provider()[0].image_request(Photo("streetview:a@90", "izmir", image_url=url))


# --- the sample ---------------------------------------------------------------------------------------------------------


def sample(city: City, number: int, seed: int = 0) -> list[tuple[float, float]]:
    return list(islice(points(city, seed), number))


@pytest.mark.parametrize(
    "city",
    [
        IZMIR,
        City("suva", "Suva", -18.14, 179.9, 60),
        City("pole", "Pole", 90, 0, 100),
        City("wide", "Wide", 60, 5, 500),
    ],
)
def test_the_points_lie_evenly_within_the_radius(city: City) -> None:
    found = sample(city, 2000)
    far = [distance_km(city.latitude, city.longitude, *point) / city.radius_km for point in found]
    assert max(far) <= 1 + 1e-6
    # Of evenly spread points, a share of r² lies within r. 2,000 points at random would be off by up to 3 %.
    for share in (0.1, 0.25, 0.5, 0.75):
        assert sum(r * r < share for r in far) / 2000 == pytest.approx(share, abs=0.005)
    if abs(city.latitude) < 80:
        east = sum((longitude - city.longitude + 180) % 360 - 180 > 0 for _, longitude in found)
        assert east / 2000 == pytest.approx(0.5, abs=0.01)
    assert all(-90 <= latitude <= 90 and -180 <= longitude <= 180 for latitude, longitude in found)


def test_the_points_keep_their_distance() -> None:
    found = sample(IZMIR, 400)
    nearest = [min(distance_km(*one, *other) for other in found if other is not one) for one in found[:100]]
    # At random, the nearest neighbour of one of 400 points on π·30² km² is 1.33 km away in the mean (half a side of its
    # share), and the two nearest of all are less than 0.2 km apart.
    assert min(nearest) > 1.2
    assert math.fsum(nearest) / 100 > 1.45


def test_a_larger_sample_begins_with_the_smaller_and_follows_seed_and_city() -> None:
    assert sample(IZMIR, 50) == sample(IZMIR, 80)[:50]
    assert sample(IZMIR, 5, seed=1) != sample(IZMIR, 5, seed=2)
    assert sample(IZMIR, 5) != sample(replace(IZMIR, slug="smyrna"), 5)
    assert sample(IZMIR, 2) == [(38.4582032, 26.9560187), (38.3893418, 27.1714648)], (
        "the sample of a seed must not change"
    )


def test_the_roots_are_small_boxes_around_the_points() -> None:
    service, http = provider(*[failing("ZERO_RESULTS")] * 3)
    roots = service.roots(IZMIR, Query(target=100), None, 1_600_000_000)
    assert len(roots) == 100
    assert http.urls == []
    for cell, (latitude, longitude) in zip(roots[:3], sample(IZMIR, 3), strict=True):
        assert distance_km(cell.south, longitude, cell.north, longitude) == pytest.approx(0.1, rel=1e-6)
        assert distance_km(latitude, cell.west, latitude, cell.east) == pytest.approx(0.1, rel=1e-4)
        assert (cell.since, cell.until) == (None, None)
        service.page(IZMIR, cell, Query(), None, lambda _: False)
        assert query_of(http.urls[-1])["location"] == f"{latitude:.7f},{longitude:.7f}"


@pytest.mark.parametrize(("target", "number"), [(None, 1000), (0, 40), (1, 40), (150, 150), (10**9, 20_000)])
def test_the_sample_grows_with_the_target(target: int | None, number: int) -> None:
    assert len(provider()[0].roots(IZMIR, Query(target=target), None, 0)) == number


def test_points_are_not_counted() -> None:
    service, http = provider()
    assert service.count(CELL) is None
    assert http.urls == []


# --- making -------------------------------------------------------------------------------------------------------------


def test_making_one_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T15_GOOGLE_KEY", raising=False)
    with pytest.raises(ServiceError, match="T15_GOOGLE_KEY"):
        streetview.make()


def test_a_page_over_real_connections(monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer) -> None:
    monkeypatch.setenv("T15_GOOGLE_KEY", KEY)
    monkeypatch.setenv("T15_GOOGLE_SECRET", SECRET)
    monkeypatch.setenv("T15_STREETVIEW_URL", httpserver.url_for("/maps/api/streetview"))
    httpserver.expect_request("/maps/api/streetview/metadata").respond_with_json(PANO)
    service = streetview.make()
    page = service.page(IZMIR, CELL, Query(), None, lambda _: False)
    service.http.close()
    assert page.rows == 4
    request, _ = httpserver.log[0]
    secret = decoded_secret(SECRET)
    assert secret is not None
    unsigned, _, _ = request.full_path.rpartition("&signature=")
    assert sign(unsigned, secret) == request.full_path
    assert request.args["key"] == KEY
    assert KEY not in repr(service) + repr(page)


# --- recorded answers ---------------------------------------------------------------------------------------------------


def recorded(recordings: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    for entry in json.loads((recordings / "gsv" / "index.json").read_text("utf-8")):
        yield entry, (recordings / "gsv" / entry["file"]).read_bytes()


def outcome(body: bytes) -> str:
    try:
        page = page_of(*[body] * TRIES, city=replace(LONDON, radius_km=20_100))
    except (TemporaryError, T15Error) as error:
        return type(error).__name__
    return f"{len(page.found)} photos"


def test_every_recorded_body_has_a_typed_outcome(recordings: Path) -> None:
    # Two are pictures. REQUEST_DENIED is a sibling API's.
    assert Counter(outcome(body) for _, body in recorded(recordings)) == {
        "4 photos": 37,
        "0 photos": 1,
        "ServiceError": 1,
        "TemporaryError": 2,
    }


def test_the_recorded_panoramas_are_read_whole(recordings: Path) -> None:
    told = {entry["file"]: read(body) for entry, body in recorded(recordings)}
    panoramas = [one for one in told.values() if isinstance(one, Panorama)]
    assert len(panoramas) == 37
    assert {one.copyright for one in panoramas} == {"© Google"}
    assert all(one.taken_at is not None and one.taken_at.day == 1 for one in panoramas)
    assert all(len(one.pano_id) == 22 for one in panoramas)
    assert min(one.taken_at for one in panoramas if one.taken_at) == datetime(2008, 9, 1, tzinfo=UTC)


def test_a_recorded_panorama_moved_by_less_than_a_metre(recordings: Path) -> None:
    places: dict[str, list[Panorama]] = {}
    for _, body in recorded(recordings):
        told = read(body)
        if isinstance(told, Panorama):
            places.setdefault(told.pano_id, []).append(told)
    twice = [told for told in places.values() if len(told) == 2]
    moved = [distance_km(a.latitude, a.longitude, b.latitude, b.longitude) * 1000 for a, b in twice]
    assert 0 < max(moved) < 1
    assert all(isinstance(found, Photo) for found in photos(twice[0][0], LONDON, "https://x.example"))
