"""Wikimedia Commons: questions, answers, and what becomes of each file."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.licences import licences
from collector.net.allowlist import origin_of
from collector.net.client import Answer, RefusedError, TemporaryError
from collector.providers.base import Cell, Query
from collector.providers.commons import CommonsProvider, make
from collector.providers.commons_answers import describe, judge, merge, parse_answer, parse_details, parse_search
from collector.providers.commons_metadata import UnknownLicenceError, author, licence_id, no_photo, taken_at
from collector.records import City, Photo, Unusable
from tests.collector.providers.fake_http import FakeHttp

ISTANBUL = City("istanbul", "İstanbul", 41.0082, 28.9784, 30.0)
EVERYWHERE = City("everywhere", "Everywhere", 0.0, 0.0, 20_100.0)
CELL = Cell(28.9, 40.95, 29.05, 41.05)
FILES = "https://upload.wikimedia.org/wikipedia/commons"


def file(number: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a page as `formatversion=2` has it; `changes` to imageinfo, extmetadata (`m_…`) and the page (`p_…`)."""
    metadata = {
        "Artist": '<a href="//commons.wikimedia.org/wiki/User:Ay%C5%9Fe_K" title="User:Ayşe K">Ayşe</a>',
        "Categories": "Galata Tower|Media with locations|Pages with maps|Self-published work",
        "DateTimeOriginal": "2015-09-12 10:09:04",
        "License": "cc-by-sa-4.0",
        "LicenseShortName": "CC BY-SA 4.0",
        "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0",
    }
    info: dict[str, Any] = {
        "user": "Ayşe K",
        "timestamp": "2015-10-31T23:00:22Z",
        "width": 4000,
        "height": 3000,
        "mime": "image/jpeg",
        "url": f"{FILES}/a/ab/Tower_{number}.jpg",
        "thumburl": f"{FILES}/thumb/a/ab/Tower_{number}.jpg/1280px-Tower_{number}.jpg?utm_source=api",
        "thumbwidth": 1280,
        "thumbheight": 960,
        "descriptionurl": f"https://commons.wikimedia.org/wiki/File:Tower_{number}.jpg",
    }
    page: dict[str, Any] = {
        "pageid": number,
        "ns": 6,
        "title": f"File:Tower {number}.jpg",
        "coordinates": [{"lat": 41.0256, "lon": 28.9741, "primary": True, "type": "camera", "globe": "earth"}],
    }
    for name, value in changes.items():
        kind, _, rest = name.partition("_")
        {"m": metadata, "p": page}.get(kind, info)[rest if kind in ("m", "p") else name] = value
    info["extmetadata"] = {
        name: {"value": value, "source": "x"} for name, value in metadata.items() if value is not None
    }
    return {**page, "imageinfo": [{name: value for name, value in info.items() if value is not None}]}


def described(**changes: Any) -> Photo | Unusable:
    return describe(file(**changes), ISTANBUL, frozenset())


def photo(**changes: Any) -> Photo:
    found = described(**changes)
    assert isinstance(found, Photo), found
    return found


def reason(**changes: Any) -> str:
    found = described(**changes)
    assert isinstance(found, Unusable), found
    return found.reason


def rows(count: int, first: int = 1) -> dict[str, Any]:
    return {"query": {"geosearch": [{"pageid": first + i, "lat": 41, "lon": 29} for i in range(count)]}}


def pages(*found: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"batchcomplete": True, "query": {"pages": list(found)}, **more}


def provider(*answers: Any) -> tuple[CommonsProvider, FakeHttp]:
    http = FakeHttp(list(answers))
    return CommonsProvider(http), http


def is_new(photo_id: str) -> bool:
    return False


# --- a file


def test_all_that_is_told_of_a_photo() -> None:
    assert described(number=7) == Photo(
        photo_id="commons:7",
        city="istanbul",
        latitude=41.0256,
        longitude=28.9741,
        taken_at=datetime(2015, 9, 12, 10, 9, 4, tzinfo=UTC),
        author_id="commons:user:Ayşe K",
        author_name="Ayşe",
        license="CC-BY-SA-4.0",
        page_url="https://commons.wikimedia.org/wiki/File:Tower_7.jpg",
        image_url=f"{FILES}/thumb/a/ab/Tower_7.jpg/1280px-Tower_7.jpg",
        title="Tower 7",
        width=1280,
        height=960,
    )


def test_a_smaller_file_is_taken_itself() -> None:
    small = photo(width=1000, height=800, thumburl=f"{FILES}/a/ab/Tower_1.jpg", thumbwidth=1000, thumbheight=800)
    assert (small.image_url, small.width, small.height) == (f"{FILES}/a/ab/Tower_1.jpg", 1000, 800)


def test_a_file_without_the_thumbnail_asked_for_is_taken_itself() -> None:
    for changes in ({"thumburl": None, "thumbwidth": None, "thumberror": "x"}, {"thumbwidth": 300, "thumbheight": 225}):
        assert (photo(**changes).image_url, photo(**changes).width) == (f"{FILES}/a/ab/Tower_1.jpg", 4000)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"p_missing": True}, "gone"),
        ({"filehidden": True}, "no-imageinfo"),
        ({"filemissing": True}, "no-imageinfo"),
        ({"p_pageid": "x"}, "no-id"),
        ({"mime": "image/svg+xml"}, "not-a-photo"),
        ({"mime": "image/tiff"}, "not-a-photo"),
        ({"mime": "application/pdf"}, "not-a-photo"),
        ({"mime": "video/webm"}, "not-a-photo"),
        ({"mime": "image/gif"}, "not-a-photo"),
        ({"mime": None, "url": f"{FILES}/a.djvu"}, "not-a-photo"),
        ({"m_Categories": "1904 maps of Norway"}, "not-a-photo"),
        ({"p_coordinates": []}, "no-location"),
        ({"p_coordinates": [{"lat": 0, "lon": 0}]}, "no-location"),
        ({"p_coordinates": [{"lat": 41, "lon": 29, "globe": "moon"}]}, "no-location"),
        ({"p_coordinates": [{"lat": 39.9, "lon": 32.8}]}, "outside-city"),
        ({"m_License": None, "m_LicenseShortName": "MIT", "m_LicenseUrl": None}, "unknown-licence"),
        ({"m_License": None, "m_LicenseShortName": None, "m_LicenseUrl": None}, "unknown-licence"),
        ({"width": None}, "no-picture"),
        ({"thumburl": "javascript:alert(1)"}, "no-picture"),
        ({"thumburl": "https://upload.wikimedia.org.evil.org/1280px-a.jpg"}, "foreign-host"),
        ({"thumburl": "http://upload.wikimedia.org/1280px-a.jpg"}, "foreign-host"),
        ({"thumburl": "https://127.0.0.1/1280px-a.jpg"}, "foreign-host"),
    ],
)
def test_what_cannot_be_used(changes: dict[str, Any], why: str) -> None:
    assert reason(**changes) == why


def test_own_pictures_may_lie_beside_the_own_api() -> None:
    own = frozenset({origin_of("http://127.0.0.1:8123/w/api.php")})
    page = file(thumburl="http://127.0.0.1:8123/1280px-a.jpg")
    assert isinstance(describe(page, ISTANBUL, own), Photo)


def test_where_the_camera_stood_comes_first() -> None:
    camera = {"lat": 41.01, "lon": 28.98, "primary": True, "type": "camera", "globe": "earth"}
    thing = {"lat": 39.9, "lon": 32.8, "primary": False, "type": "landmark", "globe": "earth"}
    page = {"lat": 41.02, "lon": 28.97, "primary": True, "globe": "earth"}
    assert photo(p_coordinates=[thing, page, camera]).latitude == 41.01
    assert photo(p_coordinates=[thing, page]).latitude == 41.02
    assert reason(p_coordinates=[thing]) == "outside-city"
    assert photo(p_coordinates=[], m_GPSLatitude="41.03", m_GPSLongitude="29.0").latitude == 41.03


# --- who, when, what, under which licence


def test_what_two_photos_of_one_author_share() -> None:
    link = '<a href="//commons.wikimedia.org/wiki/User:Hasenl%C3%A4ufer" title="User:Hasenläufer">Eckhard Henkel</a>'
    assert author(link, "Someone") == ("commons:user:Hasenläufer", "Eckhard Henkel")
    redlink = (
        '<a href="//commons.wikimedia.org/w/index.php?title=User:Kalungi_Nathan&amp;action=edit&amp;redlink=1">K</a>'
    )
    assert author(redlink, "x") == ("commons:user:Kalungi Nathan", "K")
    elsewhere = (
        'The original uploader was <a href="https://en.wikipedia.org/wiki/it:User:Elvezio">Elvezio</a> at Italian'
    )
    assert author(elsewhere, "x")[0] == "commons:user:Elvezio"
    assert author('<a href="/wiki/User:fæ/Flickr">Fæ</a>', "x")[0] == "commons:user:Fæ"
    assert author("hasenläufer", "Hasenläufer") == ("commons:user:Hasenläufer", "hasenläufer")
    assert author("", "Hasenläufer") == ("commons:user:Hasenläufer", "Hasenläufer")
    lacking = '<div class="boilerplate" id="cleanup">This file is lacking <b>author</b> information.\n</div>'
    assert author(lacking, "Hasenläufer") == ("commons:user:Hasenläufer", "Hasenläufer")
    assert author('<div class="fn value">\n<span lang="en">Unknown</span>\n</div>', "U") == ("commons:user:U", None)
    assert author("", None) == (None, None)
    assert author("Unknown", None) == (None, None)


def test_authors_who_are_no_users_are_known_by_name() -> None:
    flickr = '<a rel="nofollow" href="https://www.flickr.com/people/16707908@N07">Jeff &amp; Brian</a> from Eastbourne'
    first, name = author(flickr, "FlickrBot")
    assert name == "Jeff & Brian from Eastbourne"
    assert first is not None
    assert first.startswith("commons:artist:")
    assert author("JEFF &amp; BRIAN from  Eastbourne", "OtherBot")[0] == first
    for foreign in (
        "https://wiki.example.org/wiki/User:Jimbo",
        "https://wikipedia.org.evil.org/wiki/User:Jimbo",
        "http://[/User:x",
    ):
        assert str(author(f'<a href="{foreign}">Jimbo</a>', "x")[0]).startswith("commons:artist:")
    assert str(author('<a href="/wiki/User_talk:Jimbo">Jimbo</a>', "x")[0]).startswith("commons:artist:")


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("2015-09-12 10:09:04", datetime(2015, 9, 12, 10, 9, 4, tzinfo=UTC)),
        ("2015-09-12 10:09", datetime(2015, 9, 12, 10, 9, tzinfo=UTC)),
        ("2015-09-12", datetime(2015, 9, 12, tzinfo=UTC)),
        ("2015-09-12T10:09:04+03:00", datetime(2015, 9, 12, 7, 9, 4, tzinfo=UTC)),
        ("2015:09:12 10:09:04", datetime(2015, 9, 12, 10, 9, 4, tzinfo=UTC)),
        ("12 September 2015", datetime(2015, 9, 12, tzinfo=UTC)),
        ("September 12, 2015", datetime(2015, 9, 12, tzinfo=UTC)),
        ('<time class="dtstart" datetime="2010-05-05">5 Mayıs 2010</time>', datetime(2010, 5, 5, tzinfo=UTC)),
        ('Taken on <time datetime="2010-05-05 12:01:02">5 May 2010</time>', datetime(2010, 5, 5, 12, 1, 2, tzinfo=UTC)),
        ("2012-08-01 (according to Exif data)", datetime(2012, 8, 1, tzinfo=UTC)),
        (
            '2012-08-01<div style="display: none;">date QS:P571,+2012-08-01/11</div>',
            datetime(2012, 8, 1, tzinfo=UTC),
        ),
        ('1891<div style="display: none;">date QS:P,+1891-00-00T00:00:00Z/9</div>', None),
        ('circa 1617 <div style="display: none;">date QS:P,+1617-00-00T00:00:00Z/9,P1480,Q5727902</div>', None),
        ('<time datetime="2010-05">May 2010</time>', None),
        ('<time datetime="2010-05-05">5</time> or <time datetime="2010-05-06">6 May 2010</time>', None),
        ('before <time datetime="2010-05-05">5 May 2010</time>', None),
        ("2009-03-17 (original upload date)", None),
        ("2009-03", None),
        ("1997", None),
        ("1890s", None),
        ("2012-13-45", None),
        ("0001-01-01", None),
        ("2015-12-24 10:00:00", None),  # after the upload
        ("", None),
    ],
)
def test_dates(date: str, moment: datetime | None) -> None:
    assert taken_at(date, "2015-10-31T23:00:22Z") == moment


def test_a_date_needs_no_upload() -> None:
    assert taken_at("2015-12-24", None) == datetime(2015, 12, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "category",
    [
        "1904 maps of Norway",
        "Old maps of Halden",
        "Maps of Istanbul",
        "PD-Art (PD-old-auto-expired)",
        "PD-scan (PD-old-70-expired)",
        "1890s paintings by Edvard Munch",
        "Engravings of Istanbul",
        "Coats of arms of cities in Turkey",
        "Logos",
        "Screenshots of software",
        "Satellite pictures of volcanoes in Chile",
        "Scans of postcards",
        "Files from the Biodiversity Heritage Library",
    ],
)
def test_categories_that_name_a_kind_of_picture(category: str) -> None:
    assert no_photo("image/jpeg", ["Istanbul", category]) == f"category {category!r}"
    assert no_photo("image/jpeg", ["Photographs taken on 2015-09-06", category]) is None
    assert no_photo("image/jpeg", ["Taken with Canon EOS 6D", category]) is None


@pytest.mark.parametrize(
    "category",
    [
        "Pages with maps",
        "Wall paintings in Turkey",
        "Map libraries in Istanbul",
        "Flagpoles",
        "Files from Flickr's 'The Commons'",
        "Drawing competitions",
        "CC-PD-Mark",
        "Road signs in Cher",
        "",
    ],
)
def test_categories_that_do_not(category: str) -> None:
    assert no_photo("image/jpeg", [category]) is None


@pytest.mark.parametrize(
    ("metadata", "id_"),
    [
        ({"LicenseUrl": "https://creativecommons.org/licenses/by-sa/3.0/de/deed.en"}, "CC-BY-SA-3.0-DE"),
        ({"LicenseUrl": "http://creativecommons.org/publicdomain/zero/1.0/deed.en"}, "CC0-1.0"),
        ({"LicenseUrl": "https://creativecommons.org/publicdomain/mark/1.0/"}, "LicenseRef-PDM-1.0"),
        ({"LicenseUrl": "https://www.creativecommons.org/licenses/by/2.0"}, "CC-BY-2.0"),
        ({"LicenseUrl": "//creativecommons.org/licenses/by-sa/3.0/legalcode"}, "CC-BY-SA-3.0"),
        ({"LicenseUrl": "https://creativecommons.org/licenses/by-sa/3.0/es/"}, "LicenseRef-CC-BY-SA-3.0-ES"),
        (
            {"LicenseUrl": "https://creativecommons.org/licenses/by-sa/2.5/scotland/"},
            "LicenseRef-CC-BY-SA-2.5-SCOTLAND",
        ),
        ({"LicenseUrl": "https://www.flickr.com/commons/usage/"}, "LicenseRef-NoKnownRestrictions"),
        ({"LicenseUrl": "http://artlibre.org/licence/lal/en"}, "LAL-1.3"),
        ({"LicenseUrl": "http://www.nationalarchives.gov.uk/doc/open-government-licence/version/3"}, "OGL-UK-3.0"),
        ({"LicenseUrl": "http://www.gnu.org/copyleft/fdl.html", "LicenseShortName": "GFDL"}, "GFDL-1.2-or-later"),
        ({"License": "cc-by-sa-3.0-es"}, "LicenseRef-CC-BY-SA-3.0-ES"),
        ({"License": "cc-by-4.0"}, "CC-BY-4.0"),
        ({"License": "cc0"}, "CC0-1.0"),
        ({"License": "pd", "LicenseShortName": "Public domain"}, "LicenseRef-PublicDomain"),
        ({"License": "cc-pd"}, "CC-PDDC"),
        ({"LicenseShortName": "CC BY-SA 3.0 de"}, "CC-BY-SA-3.0-DE"),
        ({"LicenseShortName": "No restrictions"}, "LicenseRef-NoKnownRestrictions"),
        ({"LicenseShortName": "Attribution"}, "LicenseRef-Attribution"),
        ({"LicenseShortName": "Copyrighted free use"}, "LicenseRef-CopyrightedFreeUse"),
        ({"LicenseShortName": "FAL"}, "LAL-1.3"),
        ({"LicenseShortName": "GFDL 1.2"}, "GFDL-1.2-only"),
        ({"LicenseShortName": "KOGL Type 1"}, "LicenseRef-KOGL-1"),
        ({"UsageTerms": "Public domain"}, "LicenseRef-PublicDomain"),
    ],
)
def test_licences(metadata: dict[str, str], id_: str) -> None:
    assert licence_id(metadata) == id_
    assert id_ in licences()


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"LicenseShortName": "MIT", "LicenseUrl": "https://mit.edu/"},
        {"LicenseShortName": "CC BY-SA 9.9"},
        {"LicenseShortName": "LicenseRef-Unknown"},
        {"LicenseShortName": "Unknown"},
        {"LicenseShortName": "AllRightsReserved"},
        {"LicenseUrl": "https://creativecommons.org.evil.org/licenses/by/4.0/"},
        {"LicenseUrl": "https://[broken"},
        {"LicenseUrl": "https://www.gnu.org/licenses/old-licenses/fdl-1.2.html"},  # only, or later?
    ],
)
def test_unknown_licences_raise_with_what_was_seen(metadata: dict[str, str]) -> None:
    with pytest.raises(UnknownLicenceError, match="licence unknown: ") as error:
        licence_id(metadata)
    assert all(value in str(error.value) for value in metadata.values())


def test_an_unknown_licence_stops_one_file_only() -> None:
    found = described(m_License=None, m_LicenseShortName="Odd <b>one</b>", m_LicenseUrl=None)
    assert isinstance(found, Unusable)
    assert "LicenseShortName 'Odd one'" in found.detail


# --- answers


PASSING = ("maxlag", "ratelimited", "readonly", "internal_api_error_DBQueryError", "cirrussearch-too-busy-error")


@pytest.mark.parametrize("code", PASSING)
def test_errors_that_pass(code: str) -> None:
    body = json.dumps({"error": {"code": code, "info": "Waiting for 10.0.0.1: 0.1 seconds lagged."}}).encode()
    with pytest.raises(TemporaryError):
        judge(Answer("u", 200, {}, body))
    with pytest.raises(TemporaryError):
        parse_search(body)


def test_an_error_may_be_in_the_header_alone_or_in_the_newer_form() -> None:
    with pytest.raises(TemporaryError, match="readonly"):
        judge(Answer("u", 200, {"MediaWiki-API-Error": "readonly"}, b"{}"))
    with pytest.raises(RefusedError, match="toobig: The box"):
        parse_search(b'{"errors": [{"code": "toobig", "text": "The box is too big"}]}')


def test_errors_that_stay() -> None:
    body = b'{"error": {"code": "toobig", "info": "Bounding box is too big"}, "servedby": "x"}'
    judge(Answer("u", 200, {}, body))
    for parse in (parse_search, parse_details):
        with pytest.raises(RefusedError, match="toobig"):
            parse(body)
    with pytest.raises(RefusedError, match="unknown-error: without a code"):
        parse_search(b'{"error": {"info": "without a code"}}')
    with pytest.raises(RefusedError, match="unexpected-answer"):
        parse_search(b'{"error": []}')


def test_warnings_are_no_errors() -> None:
    body = b'{"batchcomplete": true, "warnings": {"main": {"warnings": "x"}}, "query": {"geosearch": []}}'
    assert parse_search(body) == ([], 0)
    assert parse_search(b'{"batchcomplete": ""}') == ([], 0)


def test_a_page_with_several_coordinates_is_found_once() -> None:
    body = json.dumps({"query": {"geosearch": [{"pageid": 5}, {"pageid": 3}, {"pageid": 5}, {"pageid": "x"}, None]}})
    assert parse_search(body.encode()) == ([5, 3], 5)


def test_earlier_versions_of_a_file_are_no_continuation() -> None:
    document = pages(file(), **{"continue": {"iistart": "2005-02-03T16:04:12Z", "continue": "||"}})
    assert parse_details(json.dumps(document).encode())[1] == {}
    document["continue"]["cocontinue"] = "1|2"
    assert parse_details(json.dumps(document).encode())[1] == {"cocontinue": "1|2", "continue": "||"}


def test_parts_of_a_page_are_put_together() -> None:
    whole, known = file(1), {1: {"pageid": 1}}
    one, two = {"lat": 41.0, "lon": 29.0}, {"lat": 41.1, "lon": 29.1}
    merge(known, [{"pageid": 1, "title": "File:A.jpg", "coordinates": [one]}, {"pageid": 9}])
    merge(known, [{"pageid": 1, "imageinfo": whole["imageinfo"]}])
    merge(known, [{"pageid": 1, "imageinfo": [{"older": 1}], "coordinates": [two]}])
    assert known == {
        1: {"pageid": 1, "title": "File:A.jpg", "imageinfo": whole["imageinfo"], "coordinates": [one, two]}
    }


# --- questions


def test_the_questions() -> None:
    service, http = provider(rows(2), pages(file(1), file(2)))
    page = service.page(ISTANBUL, CELL, Query(), None, is_new)
    assert [found.photo_id for found in page.found] == ["commons:1", "commons:2"]
    assert (page.rows, page.reported, page.next, page.cut, page.known) == (2, 2, None, False, 0)
    search, details = (call.params for call in http.calls)
    assert search == {
        "action": "query",
        "format": "json",
        "formatversion": 2,
        "maxlag": 5,
        "list": "geosearch",
        "gsnamespace": 6,
        "gsprimary": "all",
        "gslimit": 500,
        "gsbbox": "41.0500000|28.9000000|40.9500000|29.0500000",
    }
    assert details["pageids"] == "1|2"
    assert details["iiurlwidth"] == 1280
    assert details["maxlag"] == 5
    assert {"prop": "imageinfo|coordinates", "coprimary": "all"}.items() <= details.items()
    assert {call.url for call in http.calls} == {"https://commons.wikimedia.org/w/api.php"}


def test_known_files_are_not_asked_about_and_fifty_at_a_time_are() -> None:
    service, http = provider(
        rows(120), *(lambda call: pages(*map(file, map(int, call.params["pageids"].split("|")))),) * 3
    )
    page = service.page(ISTANBUL, CELL, Query(), None, lambda photo_id: photo_id in ("commons:1", "commons:70"))
    assert (len(page.found), page.known, page.rows) == (118, 2, 120)
    assert [len(call.params["pageids"].split("|")) for call in http.calls[1:]] == [50, 50, 18]


def test_an_answer_in_parts_is_followed_to_its_end() -> None:
    bare = {"pageid": 1, "title": "File:Tower 1.jpg"}
    service, http = provider(
        rows(1),
        {"continue": {"iicontinue": "a", "continue": "||coordinates"}, "query": {"pages": [bare]}},
        {
            "continue": {"cocontinue": "b", "continue": "||imageinfo"},
            "query": {"pages": [{**file(1), "coordinates": []}]},
        },
        pages({**bare, "coordinates": file(1)["coordinates"]}),
    )
    assert [type(found) for found in service.page(ISTANBUL, CELL, Query(), None, is_new).found] == [Photo]
    assert http.calls[2].params["iicontinue"] == "a"
    assert "iicontinue" not in http.calls[3].params
    assert http.calls[3].params["cocontinue"] == "b"


def test_an_answer_without_end_ends() -> None:
    endless = {"continue": {"cocontinue": "b", "continue": "||"}, "query": {"pages": []}}
    service, http = provider(rows(1), *[endless] * 100)
    with pytest.raises(TemporaryError, match="endless"):
        service.page(ISTANBUL, CELL, Query(), None, is_new)
    assert len(http.calls) == 61


def test_files_that_no_answer_describes_are_told() -> None:
    service, _ = provider(rows(2), pages(file(1)))
    found = service.page(ISTANBUL, CELL, Query(), None, is_new).found[1]
    assert isinstance(found, Unusable)
    assert (found.photo_id, found.reason) == ("commons:2", "no-imageinfo")


def test_a_full_box_is_divided_before_anything_is_described() -> None:
    service, http = provider(rows(500))
    page = service.page(ISTANBUL, CELL, Query(), None, is_new)
    assert (page.cut, page.found, page.rows, page.reported) == (True, (), 500, 500)
    assert len(http.calls) == 1


def test_a_full_box_that_cannot_be_divided_is_described() -> None:
    tiny = Cell(28.97, 41.0, 28.97 + 0.0003, 41.0003)
    service, http = provider(
        rows(500), *(lambda call: pages(*map(file, map(int, call.params["pageids"].split("|")))),) * 10
    )
    page = service.page(ISTANBUL, tiny, Query(), None, is_new)
    assert (page.cut, len(page.found)) == (True, 500)
    assert len(http.calls) == 11


def test_counting_is_one_call() -> None:
    service, http = provider(rows(17))
    assert service.count(CELL) == 17
    assert len(http.calls) == 1


def test_roots_are_small_enough_for_the_service() -> None:
    roots = provider()[0].roots(ISTANBUL, Query(), None, 0)
    assert len(roots) == 16
    assert all(cell.since is None for cell in roots)


def test_image_requests() -> None:
    service, _ = provider()
    request = service.image_request(photo())
    assert (request.url, request.width) == (f"{FILES}/thumb/a/ab/Tower_1.jpg/1280px-Tower_1.jpg", 1280)
    whole = service.image_request(photo(width=1000, height=800))
    assert (whole.url, whole.width) == (f"{FILES}/a/ab/Tower_1.jpg", None)
    with pytest.raises(RefusedError, match="no-address"):
        service.image_request(Photo("commons:1", "istanbul"))


def test_a_renamed_file_is_found_again() -> None:
    service, http = provider(
        pages(file(5, thumburl=f"{FILES}/new/1280px-New.jpg")), pages({"pageid": 5, "missing": True})
    )
    renewed = service.renewed(photo(number=5))
    assert renewed is not None
    assert renewed.image_url == f"{FILES}/new/1280px-New.jpg"
    assert service.renewed(photo(number=5)) is None
    assert service.renewed(Photo("commons:x", "istanbul")) is None
    assert len(http.calls) == 2


def test_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T15_COMMONS_URL", raising=False)
    access = make().http.access
    assert set(access.hosts) == {"commons.wikimedia.org", "upload.wikimedia.org"}
    assert (access.own, access.parallel) == (frozenset(), 3)
    assert max(access.hosts.values()) <= 3
    monkeypatch.setenv("T15_COMMONS_URL", "http://127.0.0.1:8123/w/api.php")
    assert make().http.access.own == {"http://127.0.0.1:8123"}


# --- recordings


def recorded(folder: Path) -> list[tuple[dict[str, Any], bytes]]:
    index = json.loads((folder / "commons/index.json").read_text())
    return [(entry, (folder / "commons" / entry["file"]).read_bytes()) for entry in index]


def test_every_recorded_answer_has_one_outcome(recordings: Path) -> None:
    outcomes: Counter[str] = Counter()
    for _, body in recorded(recordings):
        try:
            found = parse_answer(body, EVERYWHERE, frozenset())
        except (TemporaryError, RefusedError) as error:
            outcomes[f"{type(error).__name__} {error.reason}"] += 1
            continue
        assert found
        for one in found:
            outcomes["photo" if isinstance(one, Photo) else one.reason] += 1
            assert isinstance(one, Unusable) or (one.license in licences() and one.author_id)
    assert outcomes == {
        "photo": 11,
        "no-location": 55,
        "not-a-photo": 52,
        "no-imageinfo": 21,
        "gone": 4,
        "TemporaryError not-json": 12,
        "TemporaryError rate-limited": 1,
        "RefusedError unexpected-answer": 18,
    }


def test_recorded_search(recordings: Path) -> None:
    (body,) = (body for entry, body in recorded(recordings) if "geosearch" in entry["tags"])
    ids, count = parse_search(body)
    assert (len(ids), count, ids[0]) == (4, 4, 38743)


def test_recorded_answers_in_parts(recordings: Path) -> None:
    parts = [body for entry, body in recorded(recordings) if "wmc_pretty" in entry["file"]][:3]
    first, following = parse_details(parts[0])
    known: dict[int, dict[str, Any]] = {int(page["pageid"]): {"pageid": page["pageid"]} for page in first}
    assert len(known) == 9
    assert set(following) == {"gucontinue", "continue"}
    for body in parts:
        merge(known, parse_details(body)[0])
    assert all(page["imageinfo"] for page in known.values())


def test_recorded_fragments_in_an_answer(recordings: Path) -> None:
    """Pages and imageinfo that were cut out of answers, put back into one that has what our questions ask for."""
    outcomes: Counter[str] = Counter()
    for entry, body in recorded(recordings):
        fragment = json.loads(body) if "fragment" in entry["tags"] else None
        if fragment is None or "query" in fragment:
            continue
        is_page = "pageid" in fragment or "imageinfo" in fragment
        page = {"pageid": 1, "title": "File:x.jpg", **(fragment if is_page else {"imageinfo": [fragment]})}
        page["coordinates"] = [{"lat": 48.0, "lon": -4.4}]
        for info in page.get("imageinfo", []):
            info.setdefault("mime", "image/jpeg")
        (found,) = parse_answer(json.dumps(pages(page)).encode(), EVERYWHERE, frozenset())
        outcomes["photo" if isinstance(found, Photo) else found.reason] += 1
        if isinstance(found, Photo):
            assert (found.author_id, found.license, found.width) == ("commons:user:PtrQs", "CC-BY-SA-4.0", 5514)
    assert outcomes == {"photo": 3, "unknown-licence": 6, "no-picture": 2, "no-imageinfo": 1}
