"""The sandbox's Commons answers as the real one: its searches, its continuations, its HTML, its errors."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest

from collector.sandbox.commons_api import Wiki, file_name, file_path, lagged, reply, thumb_path
from collector.sandbox.holdings import COMMONS_KINDS, Item, deal
from collector.sandbox.scenes import CITIES, HOSTILE

CITY = CITIES[0]
BOX = f"{CITY.latitude + 0.085}|{CITY.longitude - 0.085}|{CITY.latitude - 0.085}|{CITY.longitude + 0.085}"
SEARCH = {"list": "geosearch", "gsbbox": BOX, "gsnamespace": "6", "gsprimary": "all", "gslimit": "500"}
INFO = {"prop": "imageinfo|coordinates", "iiprop": "url|size|mime|user|timestamp|extmetadata", "iiurlwidth": "500"}
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def wiki() -> Wiki:
    return Wiki(deal(0, 1, 700, {"commons": 1.0}).commons)


@pytest.fixture(scope="module")
def ask(wiki: Wiki) -> Ask:
    def ask(**params: str) -> Any:
        given = {"action": "query", "format": "json", "formatversion": "2", **params}
        return json.loads(reply(wiki, given, "http://here", length).body)

    return ask


def length(item: Item) -> int:
    return item.number % 1000


def of_kind(wiki: Wiki, kind: str) -> Item:
    return next(item for item in wiki.listing.items if item.kind == kind)


def test_a_search_lists_the_nearest_first_500_at_most_without_a_way_on(ask: Ask) -> None:
    answer = ask(**SEARCH)
    rows = answer["query"]["geosearch"]
    assert len(rows) == 500
    assert "continue" not in answer
    assert [row["dist"] for row in rows] == sorted(row["dist"] for row in rows)
    assert set(rows[0]) == {"pageid", "ns", "title", "lat", "lon", "dist", "primary"}
    assert rows[0]["ns"] == 6
    assert rows[0]["title"].startswith("File:")
    assert len(ask(**{**SEARCH, "gslimit": "20"})["query"]["geosearch"]) == 20
    assert len(ask(list="geosearch", gsbbox=BOX, gsnamespace="6")["query"]["geosearch"]) == 10


def test_the_default_namespace_is_empty(ask: Ask) -> None:
    assert ask(list="geosearch", gsbbox=BOX)["query"]["geosearch"] == []


def test_places_are_primary_or_others(wiki: Wiki, ask: Ask) -> None:
    south = f"{CITY.latitude}|{CITY.longitude - 0.04}|{CITY.latitude - 0.04}|{CITY.longitude + 0.04}"

    def rows(primary: str) -> list[tuple[int, float]]:
        found = ask(**{**SEARCH, "gsbbox": south, "gsprimary": primary})["query"]["geosearch"]
        assert all(("primary" in row) == (primary == "primary") for row in found) or primary == "all"
        return [(row["pageid"], row["lat"]) for row in found]

    first, both = rows("primary"), rows("all")
    assert 0 < len(first) < len(both) < 500
    assert set(first) < set(both)
    pages = [page for page, _ in both]
    assert len(set(pages)) < len(pages)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"gsbbox": "1|0|0|1"}, "toobig"),
        ({"gsbbox": "0.00001|0|0|0.00001"}, "toobig"),
        ({"gsbbox": "0|0|1|1"}, "invalid-bbox"),
        ({"gsbbox": "0|0|1"}, "invalid-bbox"),
        ({"gsbbox": "nan|0|0|1"}, "invalid-bbox"),
        ({}, "missingparam"),
        ({"gsbbox": BOX, "gslimit": "501"}, "badinteger"),
        ({"gsbbox": BOX, "gsbox": "1"}, "badvalue"),
    ],
)
def test_wrong_searches_have_an_error_and_its_header(wiki: Wiki, params: dict[str, str], code: str) -> None:
    answer = reply(
        wiki,
        {"action": "query", "format": "json", "formatversion": "2", "list": "geosearch", **params},
        "http://here",
        length,
    )
    assert json.loads(answer.body)["error"]["code"] == code
    assert answer.headers["MediaWiki-API-Error"] == code


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"action": "delete"}, "badvalue"),
        ({"list": "allimages"}, "badvalue"),
        ({"formatversion": "1"}, "badvalue"),
        ({"titles": "File:X.jpg"}, "badvalue"),
        ({"pageids": "|".join(map(str, range(1, 52)))}, "toomanyvalues"),
        ({"pageids": "1|x"}, "badinteger"),
        ({"maxlag": "-1"}, "maxlag"),
    ],
)
def test_wrong_questions_have_an_error(ask: Ask, params: dict[str, str], code: str) -> None:
    assert ask(**params)["error"]["code"] == code


def test_maxlag_asks_to_come_back(wiki: Wiki) -> None:
    answer = lagged()
    assert json.loads(answer.body)["error"]["code"] == answer.headers["MediaWiki-API-Error"] == "maxlag"
    assert answer.headers["Retry-After"] == "1"


def test_imageinfo_tells_addresses_size_and_templates(wiki: Wiki, ask: Ask) -> None:
    item = next(item for item in wiki.listing.items if item.kind == "photo" and item.size[0] > 500)
    (page,) = ask(pageids=str(item.number), **INFO)["query"]["pages"]
    info = page["imageinfo"][0]
    assert info["url"] == "http://here" + file_path(item)
    assert info["thumburl"] == "http://here" + thumb_path(item, 500)
    assert (info["width"], info["height"]) == item.size
    assert (info["thumbwidth"], info["thumbheight"]) == (500, round(item.size[1] * 500 / item.size[0]))
    assert (info["mime"], info["size"]) == ("image/jpeg", item.number % 1000)
    assert unquote(info["descriptionurl"]).endswith(page["title"].replace(" ", "_"))
    assert page["coordinates"][0]["globe"] == "earth"
    told = info["extmetadata"]
    assert set(told["DateTimeOriginal"]) == {"value", "source"}
    assert set(told["LicenseShortName"]) == {"value", "source", "hidden"}
    assert float(told["GPSLatitude"]["value"]) == item.scene.latitude
    filtered = ask(pageids=str(item.number), **INFO, iiextmetadatafilter="Artist|License")
    assert set(filtered["query"]["pages"][0]["imageinfo"][0]["extmetadata"]) <= {"Artist", "License"}


def test_small_files_are_their_own_thumbnails(wiki: Wiki, ask: Ask) -> None:
    item = next(item for item in wiki.listing.items if item.kind == "photo" and item.size[0] < 500)
    info = ask(pageids=str(item.number), **INFO)["query"]["pages"][0]["imageinfo"][0]
    assert info["thumburl"] == info["url"]
    assert (info["thumbwidth"], info["thumbheight"]) == item.size


def test_what_is_no_photo_says_so(wiki: Wiki, ask: Ask) -> None:
    def described(kind: str) -> dict[str, Any]:
        number = str(of_kind(wiki, kind).number)
        page: dict[str, Any] = ask(pageids=number, **INFO)["query"]["pages"][0]
        return page["imageinfo"][0] if "imageinfo" in page else page

    assert described("video")["mime"] == "video/webm"
    assert described("map")["mime"] == "image/svg+xml"
    assert described("scan")["mime"] == "image/tiff"
    assert described("document")["mime"] == "application/pdf"
    assert described("old-map")["extmetadata"]["Categories"]["value"].startswith("Old maps of")
    assert not {"License", "LicenseShortName", "LicenseUrl", "UsageTerms"} & set(described("no-licence")["extmetadata"])
    assert described("deleted") == {"pageid": of_kind(wiki, "deleted").number, "missing": True}
    assert set(COMMONS_KINDS) == {item.kind for item in wiki.listing.items} - {"photo"}


def test_values_are_html_and_some_are_missing(wiki: Wiki) -> None:
    pages = []
    numbers = [str(item.number) for item in wiki.listing.items if item.kind == "photo"]
    for start in range(0, len(numbers), 50):
        given = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "pageids": "|".join(numbers[start : start + 50]),
            **INFO,
        }
        pages += json.loads(reply(wiki, given, "http://here", length).body)["query"]["pages"]
    told = [page["imageinfo"][0]["extmetadata"] for page in pages]
    for name in ("Artist", "LicenseUrl", "License"):
        assert 0 < sum(name not in one for one in told) < 0.3 * len(told)
    assert all({"License", "LicenseUrl", "LicenseShortName"} & set(one) for one in told)
    artists = [one["Artist"]["value"] for one in told if "Artist" in one]
    assert all(artist.startswith("<a href=") and "<script>" not in artist for artist in artists)
    dates = [one["DateTimeOriginal"]["value"] for one in told]
    assert any("<time" in date for date in dates)
    assert any("<div" in date for date in dates)
    assert any(len(date) == 10 for date in dates)


def test_file_names_are_unique_and_harmless(wiki: Wiki) -> None:
    assert len(wiki.by_name) == len(wiki.listing.items)
    assert {item.scene.title for item in wiki.listing.items} & set(HOSTILE)
    for item in wiki.listing.items:
        assert not set(file_name(item)) & set("<>[]{}|#/\\\x1b\n\u202e")
        assert len(file_name(item)) < 100


def test_pages_are_an_array_and_flags_are_booleans(wiki: Wiki, ask: Ask) -> None:
    deleted, there = of_kind(wiki, "deleted"), of_kind(wiki, "photo")
    answer = ask(pageids=f"{deleted.number}|{there.number}", **INFO)
    assert answer["batchcomplete"] is True
    pages = {page["pageid"]: page for page in answer["query"]["pages"]}
    assert pages[deleted.number]["missing"] is True
    assert pages[there.number]["imageinfo"][0]["width"] == there.size[0]
    rows = ask(**SEARCH)["query"]["geosearch"]
    assert {row.get("primary") for row in rows} == {True, None}


def test_without_format_a_page_for_people_is_shown(wiki: Wiki) -> None:
    answer = reply(wiki, {"action": "query", **SEARCH}, "http://here", length)
    assert answer.content_type.startswith("text/html")
