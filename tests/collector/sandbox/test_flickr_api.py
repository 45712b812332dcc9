"""The sandbox's Flickr answers as the real one: its shapes, its cap, its lost rows, its errors."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from collector.sandbox.flickr_api import KEY, Limits, reply, unavailable
from collector.sandbox.holdings import Holdings, deal
from collector.sandbox.scenes import CITIES

NOW = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
CITY = CITIES[0]
BOX = f"{CITY.longitude - 0.135},{CITY.latitude - 0.135},{CITY.longitude + 0.135},{CITY.latitude + 0.135}"
EXTRAS = "date_taken,date_upload,geo,license,media,owner_name," + ",".join(
    f"url_{letter}" for letter in ("sq", "q", "t", "s", "n", "m", "z", "c", "l", "o")
)
STILL = Limits(row_loss=0, total_error=0, mixed=False)
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def held() -> Holdings:
    return deal(0, 1, 400, {"flickr": 1.0})


def asker(held: Holdings, limits: Limits) -> Ask:
    def ask(method: str = "flickr.photos.search", **params: str | int) -> Any:
        search = {"bbox": BOX, "min_upload_date": 1, "per_page": 250} if method.endswith("search") else {}
        common = {"method": method, "api_key": KEY, "format": "json", "nojsoncallback": 1}
        texts = {name: str(value) for name, value in {**common, **search, **params}.items() if value != ""}
        return json.loads(reply(held.flickr, texts, "http://here", limits, NOW).body)

    return ask


@pytest.fixture(scope="module")
def ask(held: Holdings) -> Ask:
    return asker(held, STILL)


def ids(answer: Any) -> list[str]:
    return [row["id"] for row in answer["photos"]["photo"]]


def test_a_search_has_the_real_shape(ask: Ask) -> None:
    answer = ask(extras=EXTRAS)
    assert set(answer) == {"photos", "stat"}
    assert {name: type(answer["photos"][name]) for name in ("page", "pages", "perpage", "total")} == dict.fromkeys(
        ("page", "pages", "perpage", "total"), int
    )
    row = next(row for row in answer["photos"]["photo"] if "url_c" in row and "url_o" in row)
    assert {"id", "owner", "secret", "server", "farm", "title", "ispublic", "latitude", "accuracy", "license"} <= set(
        row
    )
    assert {"datetaken", "datetakenunknown", "dateupload", "ownername", "media"} <= set(row)
    assert row["url_c"] == f"http://here/static/{row['server']}/{row['id']}_{row['secret']}_c.jpg"
    assert max(row["width_c"], row["height_c"]) == 800
    assert row["secret"] not in row["url_o"]
    datetime.strptime(row["datetaken"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert "url_c" not in ask()["photos"]["photo"][0]


def test_boxes_and_times_hold_what_they_should(held: Holdings, ask: Ask) -> None:
    everything = {item.number: item for item in held.flickr.items}
    first, last = ids(ask(page=1)), ids(ask(page=2))
    assert len(first) == 250
    assert {int(id_) for id_ in first + last} == set(everything)
    middle = int(held.flickr.uploaded[200])
    early, late = ids(ask(max_upload_date=middle, per_page=250)), ids(ask(min_upload_date=middle))
    assert set(early) & set(late) == {str(item.number) for item in everything.values() if item.uploaded == middle}
    west = ask(bbox=f"{CITY.longitude - 0.135},{CITY.latitude - 0.135},{CITY.longitude},{CITY.latitude + 0.135}")
    inside = {str(item.number) for item in everything.values() if item.indexed[1] <= CITY.longitude}
    assert set(ids(west)) <= inside
    assert west["photos"]["total"] == len(inside)


def test_the_order_is_that_of_upload(ask: Ask) -> None:
    def times(sort: str, field: str) -> list[str]:
        return [row[field] for row in ask(sort=sort, extras=EXTRAS)["photos"]["photo"]]

    assert times("date-posted-asc", "dateupload") == sorted(times("date-posted-asc", "dateupload"))
    assert times("", "dateupload") == sorted(times("", "dateupload"), reverse=True)


def test_without_a_limiting_agent_only_the_last_twelve_hours_answer(held: Holdings, ask: Ask) -> None:
    assert ask(min_upload_date="")["photos"]["total"] == 0
    assert ask(min_upload_date="", max_upload_date=NOW)["photos"]["total"] == 0
    assert ask(min_upload_date=1)["photos"]["total"] == len(held.flickr.items)


def test_misspelt_parameters_pass_silently_and_rightly_spelt_ones_count(ask: Ask) -> None:
    everything = ask()["photos"]["total"]
    assert ask(licence=4)["photos"]["total"] == everything
    media = [row["media"] for row in ask(media="photos", extras="media", sort="date-posted-asc")["photos"]["photo"]]
    assert set(media) == {"photo", "video"}
    assert ask(content_types=0)["photos"]["total"] == everything - 5


def test_pages_of_searches_by_place_hold_250_rows_at_most(ask: Ask) -> None:
    assert ask(per_page=500)["photos"]["perpage"] == 250
    assert ask(per_page=0)["photos"]["perpage"] == 1
    assert ids(ask(page=99)) == []


def test_behind_the_cap_the_last_page_is_repeated(held: Holdings) -> None:
    ask = asker(held, Limits(cap=100, row_loss=0, mixed=False))
    pages = [ids(ask(per_page=40, page=page)) for page in range(1, 6)]
    assert [len(page) for page in pages] == [40, 40, 20, 20, 20]
    assert pages[2] == pages[3] == pages[4]
    assert len(set().union(*pages)) == 100
    assert ask(per_page=40)["photos"]["total"] > 400


def test_rows_are_lost_behind_the_first_page_and_anew_for_each_query(held: Holdings) -> None:
    ask = asker(held, Limits(row_loss=0.3))

    def rows(**params: str | int) -> list[str]:
        return [id_ for page in range(1, 10) for id_ in ids(ask(per_page=50, page=page, **params))]

    whole, again = rows(), rows()
    assert whole == again
    assert len(set(whole[:50])) == 50
    assert 0.2 < 1 - len(set(whole[50:]) - set(whole[:50])) / len(whole[50:]) < 0.4
    assert all(id_ in whole[:at] for at, id_ in enumerate(whole) if id_ in whole[:at])
    other = rows(min_upload_date=2)
    assert len(other) == len(whole)
    assert set(other) != set(whole)
    assert len(set(other) | set(whole)) > len(set(whole))
    harder = asker(held, Limits(row_loss=0, uniform_loss=0.3))
    first = ids(harder(per_page=250))
    assert 0.55 < len(set(first)) / 250 < 0.85


def test_totals_are_near_the_truth_of_either_type_and_change_between_pages(held: Holdings) -> None:
    ask = asker(held, Limits())
    totals = [ask(page=page, per_page=10)["photos"]["total"] for page in range(1, 20)]
    assert {type(total) for total in totals} == {int, str}
    numbers = {int(total) for total in totals}
    assert len(numbers) > 3
    assert all(abs(number / len(held.flickr.items) - 1) < 0.05 for number in numbers)


def test_types_are_mixed_and_keys_are_missing(held: Holdings) -> None:
    ask = asker(held, Limits(row_loss=0))
    rows = [row for page in (1, 2) for row in ask(page=page, extras=EXTRAS)["photos"]["photo"]]
    assert {type(row["latitude"]) for row in rows} == {float, str, int}
    assert {type(row["accuracy"]) for row in rows} == {str, int}
    nowhere = [row for row in rows if row["latitude"] == 0]
    assert all(row["longitude"] == row["accuracy"] == 0 for row in nowhere)
    assert len(nowhere) == 5
    assert [row for row in rows if row["accuracy"] in (0, "0") and row["latitude"] != 0]
    with_o, with_l = ({row["id"] for row in rows if f"url_{letter}" in row} for letter in "ol")
    assert with_o - with_l
    assert with_l - with_o
    assert all("url_z" in row for row in rows)
    unknown = sum(row["datetakenunknown"] == "1" for row in rows) / len(rows)
    assert 0.25 < unknown < 0.42


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"api_key": "no"}, 100),
        ({"api_key": "0" * 32}, 100),
        ({"api_key": ""}, 100),
        ({"format": "yaml"}, 111),
        ({"method": "flickr.photos.serach"}, 112),
        ({"bbox": "", "min_upload_date": ""}, 3),
        ({"bbox": "1,2,3"}, 18),
        ({"bbox": "nan,0,1,1"}, 18),
        ({"bbox": "5,0,1,1"}, 18),
        ({"min_upload_date": 9, "max_upload_date": 3}, 18),
        ({"method": "flickr.photos.getSizes"}, 1),
        ({"method": "flickr.photos.getSizes", "photo_id": "1"}, 1),
        ({"method": "flickr.photos.getSizes", "photo_id": "9" * 5000}, 1),
    ],
)
def test_errors_have_the_codes_of_the_real_service(ask: Ask, params: dict[str, Any], code: int) -> None:
    answer = ask(**params)
    assert answer["stat"] == "fail"
    assert answer["code"] == code
    assert set(answer) == {"stat", "code", "message"}


def test_errors_are_plain_text_and_answers_may_be_wrapped(held: Holdings) -> None:
    params = {
        "method": "flickr.photos.getSizes",
        "photo_id": str(held.flickr.items[0].number),
        "api_key": KEY,
        "format": "json",
    }
    wrapped = reply(held.flickr, params, "http://here", STILL, NOW)
    assert wrapped.body.startswith(b"jsonFlickrApi({")
    params["nojsoncallback"] = "1"
    assert reply(held.flickr, params, "http://here", STILL, NOW).content_type == "application/json"
    failed = reply(held.flickr, {**params, "api_key": "x"}, "http://here", STILL, NOW)
    assert failed.content_type == "text/plain; charset=utf-8"
    assert json.loads(unavailable(params).body)["code"] == 105


@pytest.mark.parametrize("name", ["min_upload_date", "page", "per_page"])
@pytest.mark.parametrize("value", ["", "-1", "٣", "1e9", "9" * 400, "0000-00-00 00:00:00", "x\x00"])
def test_odd_values_are_answered(ask: Ask, name: str, value: str) -> None:
    assert ask(**{name: value})["stat"] in ("ok", "fail")
