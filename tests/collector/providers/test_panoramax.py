"""Panoramax: questions, answers, and hosts that anybody may name."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.net.allowlist import origin_of
from collector.net.client import Answer, RefusedError, TemporaryError
from collector.providers.base import Cell, Query
from collector.providers.panoramax import PanoramaxProvider, make
from collector.providers.panoramax_answers import describe, judge, parse_answer
from collector.records import City, Photo, Unusable
from tests.collector.providers.fake_http import FakeHttp

LEON = City("leon", "León", 42.6, -5.57, 20.0)
PARIS = City("paris", "Paris", 48.857, 2.35, 20.0)
CELL = Cell(-5.6, 42.5, -5.5, 42.6)
NATIVE = "d0791774-01be-49b6-86bd-e51b22099ecc"
SD = "https://panoramax.openstreetmap.fr/derivates/d0/79/sd.jpg"


def item(properties: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    told = {
        "license": "CC-BY-SA-4.0",
        "datetime": "2025-03-25T11:00:00+00:00",
        "geovisio:producer": "p4n-pics",
        "view:azimuth": 0,
        "pers:interior_orientation": {"field_of_view": 67},
    }
    whole = {
        "id": NATIVE,
        "geometry": {"type": "Point", "coordinates": [-5.5655, 42.604062]},
        "assets": {
            "hd": {"href": "https://panoramax.openstreetmap.fr/images/d0/79.jpg"},
            "sd": {"href": SD},
            "thumb": {"href": "https://panoramax.openstreetmap.fr/derivates/d0/79/thumb.jpg"},
        },
        "properties": {name: value for name, value in {**told, **(properties or {})}.items() if value is not None},
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def described(properties: dict[str, Any] | None = None, **changes: Any) -> Photo | Unusable:
    return describe(item(properties, **changes), LEON, frozenset())


def photo(properties: dict[str, Any] | None = None, **changes: Any) -> Photo:
    found = described(properties, **changes)
    assert isinstance(found, Photo), found
    return found


def at(href: Any) -> dict[str, Any]:
    return {"sd": {"href": href}}


def provider(*answers: Any) -> tuple[PanoramaxProvider, FakeHttp]:
    http = FakeHttp(list(answers))
    return PanoramaxProvider(http), http


def is_new(photo_id: str) -> bool:
    return False


def test_all_that_is_told_of_a_photo() -> None:
    assert photo() == Photo(
        photo_id=f"panoramax:{NATIVE}",
        city="leon",
        latitude=42.604062,
        longitude=-5.5655,
        taken_at=datetime(2025, 3, 25, 11, tzinfo=UTC),
        author_id="panoramax:user:p4n-pics",
        author_name="p4n-pics",
        license="CC-BY-SA-4.0",
        page_url=f"https://api.panoramax.xyz/#focus=pic&pic={NATIVE}",
        image_url=SD,
        heading=0.0,
    )


def test_an_azimuth_is_not_needed() -> None:
    assert [photo({"view:azimuth": told}).heading for told in (None, 0, 280, 360, "x")] == [None, 0, 280, 0, None]


def test_the_sequence_and_how_far_off_the_place_may_be() -> None:
    assert photo(collection="c0ffee").sequence_id == "panoramax:c0ffee"
    assert photo(collection=None).sequence_id is None
    told = [photo({"quality:horizontal_accuracy": value}).position_accuracy_m for value in (5.0, "2", 0, -1, 1e9, None)]
    assert told == [5.0, 2.0, None, None, None, None]


def test_the_width_of_the_view_may_be_missing() -> None:
    assert photo({"pers:interior_orientation": None})
    assert photo({"pers:interior_orientation": {"field_of_view": None}})


def test_licences() -> None:
    assert photo({"license": "etalab-2.0"}).license == "etalab-2.0"
    link = {"rel": "license", "href": "https://x", "title": "License for this object (etalab-2.0)"}
    assert photo({"license": None}, links=[{"rel": "self"}, link]).license == "etalab-2.0"
    assert photo({"license": "cc-by-sa-4.0"}).license == "CC-BY-SA-4.0"
    for odd in ("proprietary", "various", "", 3, None):
        found = described({"license": odd})
        assert isinstance(found, Unusable)
        assert found.reason == "unknown-licence"
    found = described({"license": "proprietary"})
    assert isinstance(found, Unusable)
    assert "'proprietary'" in found.detail


def test_authors() -> None:
    providers = [{"name": "host", "roles": ["host"]}, {"id": "u", "name": "tdelmas", "roles": ["producer"]}]
    assert photo({"geovisio:producer": None}, providers=providers).author_id == "panoramax:user:tdelmas"
    nobody = photo({"geovisio:producer": None}, providers=[{}, None, {"roles": "producer", "name": "x"}])
    assert (nobody.author_id, nobody.author_name) == (None, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "no-id"),
        ({"id": "../../x"}, "no-id"),
        ({"properties": {"pers:interior_orientation": {"field_of_view": 360}}}, "panorama"),
        ({"geometry": None}, "no-location"),
        ({"geometry": {"type": "Point", "coordinates": [2.34, 48.86]}}, "outside-city"),
        ({"assets": {}}, "no-picture"),
        ({"assets": {"thumb": {"href": SD}}}, "no-picture"),
        ({"assets": at("javascript:alert(1)")}, "no-picture"),
        ({"assets": at("https://panoramax.example.org/sd.jpg")}, "foreign-host"),
        ({"assets": at("https://openstreetmap.fr.evil.org/sd.jpg")}, "foreign-host"),
        ({"assets": at("https://evilign.fr/sd.jpg")}, "foreign-host"),
        ({"assets": at("http://panoramax.ign.fr/sd.jpg")}, "foreign-host"),
        ({"assets": at("https://panoramax.ign.fr:8443/sd.jpg")}, "foreign-host"),
        ({"assets": at("https://127.0.0.1/sd.jpg")}, "foreign-host"),
    ],
)
def test_what_cannot_be_used(changes: dict[str, Any], reason: str) -> None:
    found = described(**changes)
    assert isinstance(found, Unusable)
    assert (found.reason, found.city) == (reason, "leon")


def test_pictures_of_both_national_instances_and_of_the_own_one() -> None:
    assert photo(assets=at("https://panoramax.ign.fr/api/pictures/x/sd.jpg?token=1")).image_url == (
        "https://panoramax.ign.fr/api/pictures/x/sd.jpg"
    )
    own = frozenset({origin_of("http://127.0.0.1:8123")})
    assert isinstance(describe(item(assets=at("http://127.0.0.1:8123/sd.jpg")), LEON, own), Photo)


def test_answers_to_other_questions() -> None:
    with pytest.raises(TemporaryError, match="not-json"):
        judge(Answer("u", 200, {}, b"<html>Bad gateway"))
    with pytest.raises(RefusedError, match="Parameter bbox must be"):
        parse_answer(b'{"message": "Parameter bbox must be in range", "status_code": 400}', LEON, frozenset())
    with pytest.raises(RefusedError, match="unexpected-answer"):
        parse_answer(b'{"features": null}', LEON, frozenset())


def test_the_question() -> None:
    service, http = provider({"features": [item(), {}], "links": []})
    page = service.page(LEON, CELL, Query(), None, is_new)
    assert [type(found) for found in page.found] == [Photo, Unusable]
    assert (page.rows, page.next, page.cut, page.reported) == (2, None, False, None)
    (call,) = http.calls
    assert call.url == "https://api.panoramax.xyz/api/search"
    assert call.params == {"bbox": "-5.6000000,42.5000000,-5.5000000,42.6000000", "limit": 1000}
    assert "application/geo+json" in call.accept


def test_a_full_answer_is_cut_though_it_links_to_no_more() -> None:
    service, _ = provider({"features": [item()] * 1000, "links": []})
    page = service.page(LEON, CELL, Query(), None, is_new)
    assert (page.cut, page.rows) == (True, 1000)


def test_roots_cover_the_city() -> None:
    assert len(provider()[0].roots(LEON, Query(), None, 0)) == 9


def test_image_requests() -> None:
    service, _ = provider()
    assert service.image_request(photo()).url == SD
    with pytest.raises(RefusedError, match="no-address"):
        service.image_request(Photo("panoramax:x", "leon"))


def test_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T15_PANORAMAX_URL", raising=False)
    assert make().http.access.own == frozenset()
    assert all(host.startswith(".") for host in make().http.access.hosts)
    monkeypatch.setenv("T15_PANORAMAX_URL", "http://127.0.0.1:8123/api/")
    service = make()
    assert service.api_url == "http://127.0.0.1:8123/api"
    assert service.http.access.own == {"http://127.0.0.1:8123"}


def test_every_recorded_answer_has_one_outcome(recordings: Path) -> None:
    """The search as it is; the feature that was cut out of one as its only item, and as it is."""
    folder = recordings / "panoramax"
    outcomes: Counter[str] = Counter()
    bodies = []
    for entry in json.loads((folder / "index.json").read_text()):
        body = (folder / entry["file"]).read_bytes()
        bodies += [body, b'{"features": [' + body + b"]}"] if "fragment" in entry["tags"] else [body]
    for body in bodies:
        try:
            found = parse_answer(body, PARIS if b"48.8582587" in body else LEON, frozenset())
        except RefusedError as failure:
            outcomes[failure.reason] += 1
            continue
        outcomes.update("photo" if isinstance(one, Photo) else one.reason for one in found)
    assert outcomes == {"photo": 2, "panorama": 1, "unexpected-answer": 1}
