"""What holds for every service: good answers become photos, damaged ones are refused in a typed way, no key is shown.

A new service adds one entry to SERVICES; what is its own has tests of its own beside this file.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import T15Error
from collector.net.client import RefusedError, TemporaryError
from collector.providers import (
    commons_answers,
    flickr_answers,
    mapillary_answers,
    panoramax_answers,
    registry,
    streetview_answers,
)
from collector.providers.base import Cell, Query, Survey
from collector.records import City, Photo, Unusable

CITY = City("izmir", "İzmir", 38.42, 27.14, 20.0)
CELL = Cell(27.1, 38.4, 27.11, 38.41, 1_500_000_000, 1_500_086_400)
KEY = "SEKRIT0123456789"

Found = list[Photo | Unusable]


@dataclass(frozen=True)
class Service:
    """A service's answer about one place, and what reads it."""

    answer: dict[str, Any]
    parse: Callable[[bytes], Found]
    photos: int = 1


def flickr(body: bytes) -> Found:
    document = flickr_answers.parse_answer(body)
    rows = None if isinstance(document, flickr_answers.Failure) else flickr_answers.parse_rows(document)
    if rows is None:
        raise RefusedError("unexpected-answer")
    return [flickr_answers.parse_photo(row, CITY, 11) for row in rows[0]]


def streetview(body: bytes) -> Found:
    told = streetview_answers.parse_metadata(body)
    if isinstance(told, streetview_answers.Failure):
        raise RefusedError(told.status)
    return list(streetview_answers.photos(told, CITY, "https://maps.googleapis.com/maps/api/streetview"))


PICTURE = "https://upload.wikimedia.org/wikipedia/commons/a/ab/Kule.jpg"
SERVICES = {
    "commons": Service(
        {
            "batchcomplete": True,
            "query": {
                "pages": [
                    {
                        "pageid": 7,
                        "title": "File:Kule.jpg",
                        "coordinates": [
                            {"lat": 38.419, "lon": 27.128, "primary": True, "type": "camera", "globe": "earth"}
                        ],
                        "imageinfo": [
                            {
                                **{"url": PICTURE, "width": 800, "height": 600, "mime": "image/jpeg", "user": "Ayşe"},
                                "descriptionurl": "https://commons.wikimedia.org/wiki/File:Kule.jpg",
                                "extmetadata": {
                                    "License": {"value": "cc-by-sa-4.0"},
                                    "LicenseShortName": {"value": "CC BY-SA 4.0"},
                                    "LicenseUrl": {"value": "https://creativecommons.org/licenses/by-sa/4.0"},
                                    "Artist": {"value": "Ayşe"},
                                    "DateTimeOriginal": {"value": "2015-09-12 10:09:04"},
                                    "Categories": {"value": "Towers|İzmir"},
                                    "GPSLatitude": {"value": "38.419"},
                                    "GPSLongitude": {"value": "27.128"},
                                },
                            }
                        ],
                    }
                ]
            },
        },
        lambda body: commons_answers.parse_answer(body, CITY, frozenset()),
    ),
    "flickr": Service(
        {
            "stat": "ok",
            "photos": {
                **{"page": 1, "total": "1"},
                "photo": [
                    {
                        **{"id": "8000000001", "owner": "12345678@N05", "secret": "0a1b2c3d4e", "server": "65535"},
                        **{"title": "Kule", "ownername": "Ömer", "license": "4", "dateupload": "1500000100"},
                        **{"latitude": "38.4189", "longitude": 27.1287, "accuracy": "16", "media": "photo"},
                        "datetaken": "2017-07-10 09:30:00",
                        "url_l": "https://live.staticflickr.com/65535/8000000001_0a1b2c3d4e_b.jpg",
                    }
                ],
            },
        },
        flickr,
    ),
    "mapillary": Service(
        {
            "data": [
                {
                    **{"id": "100", "captured_at": 1600000000000, "sequence": "s", "computed_compass_angle": 12.5},
                    "computed_geometry": {"type": "Point", "coordinates": [27.128, 38.419]},
                    "creator": {"id": "1", "username": "somebody"},
                }
            ]
        },
        lambda body: mapillary_answers.parse_answer(body, CITY),
    ),
    "panoramax": Service(
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "id": "d0791774-01be-49b6-86bd-e51b22099ecc",
                    "collection": "c0ffee",
                    "geometry": {"type": "Point", "coordinates": [27.128, 38.419]},
                    "properties": {"license": "etalab-2.0", "datetime": "2023-05-01T10:00:00Z", "view:azimuth": 0},
                    "assets": {"sd": {"href": "https://panoramax.ign.fr/d0/sd.jpg"}},
                    "links": [{"rel": "license", "title": "License for this object (etalab-2.0)"}],
                    "providers": [{"name": "somebody", "roles": ["producer"]}],
                }
            ],
        },
        lambda body: panoramax_answers.parse_answer(body, CITY, frozenset()),
    ),
    "streetview": Service(
        {
            **{"status": "OK", "pano_id": "AbCdEfGhIjKlMnOpQrSt_-", "date": "2019-05", "copyright": "© Google"},
            "location": {"lat": 38.419, "lng": 27.128},
        },
        streetview,
        photos=4,
    ),
}
TYPED = (TemporaryError, RefusedError, T15Error)
ODD: tuple[Any, ...] = (
    None,
    [],
    {},
    "",
    "x",
    3,
    True,
    [None],
    {"value": []},
    -1,
    2**70,
    1e308,
    float("nan"),
    "\ud800",
    "\0" * 400,
)

every_service = pytest.mark.parametrize("name", SERVICES)


def body_of(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_every_service_is_here() -> None:
    assert set(SERVICES) == set(registry.SERVICES)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Survey]:
    for variable in ("T15_FLICKR_KEY", "T15_MAPILLARY_TOKEN", "T15_GOOGLE_KEY"):
        monkeypatch.setenv(variable, KEY)
    monkeypatch.setenv("T15_GOOGLE_SECRET", "c2VjcmV0c2VjcmV0c2VjcmV0")

    def make(name: str) -> Survey:
        monkeypatch.delenv(f"T15_{name.upper()}_URL", raising=False)
        service = registry.make_provider(name, registry.Settings(region=None))  # type: ignore[arg-type]  # no service asks
        assert isinstance(service, Survey)
        return service

    return make


@every_service
def test_it_is_a_survey_with_sensible_rules_and_shows_no_key(name: str, made: Callable[[str], Survey]) -> None:
    service = made(name)
    assert service.name == name
    assert service.rules.page_size > 0
    assert service.rules.aim > 0
    assert service.rules.calls_per_hour > 0
    assert "SEKRIT" not in repr(service)
    assert "c2VjcmV0" not in repr(service)
    assert "secretsecret" not in repr(service)
    roots = service.roots(CITY, Query(target=3), None, 1_600_000_000)
    assert roots
    assert all(-180 <= root.west < root.east <= 180 and -90 <= root.south < root.north <= 90 for root in roots)
    with pytest.raises(RefusedError):
        service.image_request(Photo(f"{name}:nonsense", CITY.slug))


@every_service
def test_a_good_answer_becomes_photos_that_fit_a_manifest(name: str) -> None:
    service = SERVICES[name]
    found = service.parse(body_of(service.answer))
    assert len(found) == service.photos
    for photo in found:
        assert isinstance(photo, Photo), photo
        assert photo.photo_id.startswith(f"{name}:")
        assert (photo.city, round(photo.latitude or 0), round(photo.longitude or 0)) == (CITY.slug, 38, 27)
        assert photo.author_id is None or photo.author_id.startswith(f"{name}:")
        assert photo.sequence_id is None or photo.sequence_id.startswith(f"{name}:")
        assert photo.heading is None or 0 <= photo.heading < 360
        assert photo.license
        assert photo == replace(photo)


@every_service
def test_a_place_outside_the_city_is_told_as_such(name: str) -> None:
    text = body_of(SERVICES[name].answer).replace(b"38.4", b"48.4")
    assert {getattr(found, "reason", None) for found in SERVICES[name].parse(text)} == {"outside-city"}


@every_service
def test_half_an_answer_is_asked_for_again(name: str) -> None:
    body = body_of(SERVICES[name].answer)
    for end in range(0, len(body), 7):
        with pytest.raises(TemporaryError):
            SERVICES[name].parse(body[:end])


@every_service
@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway", b"[]", b"null", b"3", b"{}", b'{"error": "boom"}', b"\xff\xfe{"]
)
def test_an_answer_to_another_question_is_refused_in_a_typed_way(name: str, body: bytes) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 (which one is what is looked at)
        SERVICES[name].parse(body)
    assert isinstance(caught.value, (*TYPED, mapillary_answers.TokenError))


def parts(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container of a document with each of its keys."""
    for key in document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ():
        yield document, key
        yield from parts(document[key])


@every_service
def test_hostile_values_are_told_not_crashed_on(name: str) -> None:
    """Whatever stands anywhere in an answer, each row is a photo or unusable, or the answer is refused as a whole."""
    number = len(list(parts(SERVICES[name].answer)))
    for odd in ODD:
        for which in range(number):
            document = copy.deepcopy(SERVICES[name].answer)
            container, key = list(parts(document))[which]
            container[key] = odd
            try:
                found = SERVICES[name].parse(body_of(document))
            except (*TYPED, mapillary_answers.TokenError):
                continue
            assert all(isinstance(one, Photo | Unusable) and one.photo_id.startswith(f"{name}:") for one in found)


@given(name=st.sampled_from(sorted(SERVICES)), body=st.binary(max_size=200))
def test_any_bytes_are_refused_in_a_typed_way(name: str, body: bytes) -> None:
    with pytest.raises((*TYPED, mapillary_answers.TokenError)):
        SERVICES[name].parse(body)
