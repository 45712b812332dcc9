"""The tools with which answers are taken apart: what they refuse."""

import unicodedata
from datetime import UTC, datetime

import pytest

from collector.net.client import RefusedError, TemporaryError
from collector.providers.answers import (
    NoPhotoError,
    check_inside,
    digest,
    from_iso,
    from_milliseconds,
    nameless,
    number,
    pixels,
    place,
    point,
    read_object,
    web_address,
)
from collector.records import City


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"\xff\xfe", b"[" * 100_000, b"1" * 5_000])
def test_what_is_no_json_may_come_whole_next_time(body: bytes) -> None:
    with pytest.raises(TemporaryError, match="not-json"):
        read_object(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'"text"'])
def test_other_json_is_another_answer(body: bytes) -> None:
    with pytest.raises(RefusedError, match="unexpected-answer"):
        read_object(body)


@pytest.mark.parametrize("value", [None, True, [], {}, "x", "", float("nan"), float("inf"), "1e999", 10**400])
def test_no_numbers(value: object) -> None:
    assert number(value) is None


def test_numbers() -> None:
    assert (number(3), number("41.5"), number(-0.5)) == (3.0, 41.5, -0.5)
    assert (pixels(1280), pixels("1280"), pixels(0), pixels(-3), pixels(1.5), pixels(10**7)) == (
        1280,
        1280,
        *[None] * 4,
    )


@pytest.mark.parametrize(("latitude", "longitude"), [(0, 0), (91, 0), (0, 181), (None, 3), ("x", 3), (float("nan"), 1)])
def test_no_places(latitude: object, longitude: object) -> None:
    assert place(latitude, longitude) is None


def test_places() -> None:
    assert place("41.5", 0) == (41.5, 0.0)
    assert point({"type": "Point", "coordinates": [29.0, 41.0, 12.5]}) == (41.0, 29.0)
    assert point({"type": "Point", "coordinates": [29.0]}) is None
    assert point({"type": "LineString", "coordinates": [29.0, 41.0]}) is None
    assert point([29.0, 41.0]) is None


def test_radius() -> None:
    check_inside(City("x", "X", 41.0, 29.0, 30), (41.2, 29.0))
    with pytest.raises(NoPhotoError, match=r"outside-city: taken 55\.6 km from the centre of X, whose radius is 30 km"):
        check_inside(City("x", "X", 41.0, 29.0, 30), (41.5, 29.0))


def test_moments() -> None:
    assert from_milliseconds(1_563_721_072_184) == datetime(2019, 7, 21, 14, 57, 52, 184_000, tzinfo=UTC)
    assert [from_milliseconds(value) for value in (None, True, "x", 1e300, -1e14, 1e15)] == [None] * 6
    assert from_iso("2025-03-25T11:00:00+03:00") == datetime(2025, 3, 25, 8, tzinfo=UTC)
    assert from_iso("2025-03-25T11:00:00Z") == datetime(2025, 3, 25, 11, tzinfo=UTC)
    assert [from_iso(v) for v in (None, 3, "", "2025-03-25", "0001-01-01T00:00:00+14:00", "x")] == [None] * 6


def test_web_addresses() -> None:
    assert web_address("https://a.org/b%20c.jpg?sig=1#top") == "https://a.org/b%20c.jpg"
    for value in (
        None,
        3,
        "",
        "javascript:alert(1)",
        "//a.org/b",
        "https://u:p@a.org/",
        "https://a.org/ b",
        "ftp://a.org/",
    ):
        assert web_address(value) is None
    assert web_address("https://a.org/" + "x" * 2_000) is None
    assert web_address("https://[::1/") is None


def test_rows_without_an_id_are_told_apart() -> None:
    assert nameless("x", {"a": 1, "b": 2}) == nameless("x", {"b": 2, "a": 1})
    assert nameless("x", {"a": "\ud800"}) != nameless("x", {"a": 2})


@pytest.mark.parametrize("name", ["Çağrı Ünsal", "Zoë", "각"])
def test_an_author_s_name_gives_one_id_in_whatever_form_it_comes(name: str) -> None:
    assert digest(unicodedata.normalize("NFD", name)) == digest(unicodedata.normalize("NFC", name))
    assert digest(name) != digest(name.swapcase()) or name == name.swapcase()
