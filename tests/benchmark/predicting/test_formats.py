"""Answers in every form: what stands where."""

import json
from typing import Any

import pytest

from benchmark.predicting.answer import Answer, Candidate, Result
from benchmark.predicting.formats import (
    COLUMNS,
    as_csv,
    as_geojson,
    as_text,
    cells,
    doubts,
    place_text,
    print_records,
    record,
)
from benchmark.predicting.read_image import Source

ANKARA = Candidate("ankara", "Ankara", 0.61234567, 39.92, 32.85)
OTHERS = tuple(Candidate(f"c{place}", f"C{place}", 0.3 / 2**place, 40.0, float(place)) for place in range(1, 8))
SURE = Answer((ANKARA, *OTHERS), 0.61234567, False, 39.92, 32.85, 12.34, 1234.56)
UNSURE = Answer((ANKARA, *OTHERS), 0.61234567, True, None, None, None, None)


def told(answer: Answer | None, **more: Any) -> dict[str, Any]:
    return record(Result(Source("a.jpg"), answer, **more))


def test_a_record_has_the_five_likeliest_and_the_place() -> None:
    found = told(SURE)
    assert (found["city"], found["name"], found["confidence"]) == ("ankara", "Ankara", 0.612346)
    assert (found["latitude"], found["longitude"], found["radius50_km"], found["radius90_km"]) == (
        39.92,
        32.85,
        12.3,
        1234.6,
    )
    assert [one["city"] for one in found["candidates"]] == ["ankara", "c1", "c2", "c3", "c4"]
    assert found["candidates"][2] == {
        "city": "c2",
        "name": "C2",
        "probability": 0.075,
        "latitude": 40.0,
        "longitude": 2.0,
    }
    assert "explanation" not in found
    assert record(Result(Source("a.jpg"), SURE), "pages/1.html")["explanation"] == "pages/1.html"


def test_none_of_these_has_candidates_and_no_place() -> None:
    found = told(UNSURE)
    assert [found[name] for name in ("city", "name", "latitude", "longitude", "radius50_km", "radius90_km")] == [
        None
    ] * 6
    assert found["none_of_these"] is True
    assert found["candidates"][0]["city"] == "ankara"
    assert as_text(found).splitlines()[-1] == "  none of these: too unsure to be an answer"


def test_text_says_as_much_as_is_known() -> None:
    assert as_text(told(SURE)).splitlines() == [
        "a.jpg",
        "  61.2 %  Ankara",
        "  15.0 %  C1",
        "   7.5 %  C2",
        "   3.8 %  C3",
        "   1.9 %  C4",
        "  39.9200, 32.8500; 50 % within 12 km, 90 % within 1,235 km",
    ]
    unknown = Answer(SURE.candidates, 0.6, False, 39.92, 32.85, 5.0, None)
    assert place_text(unknown) == "39.9200, 32.8500; 50 % within 5 km"
    near = Answer(SURE.candidates, 0.6, False, 39.92, 32.85, 0.034, 0.5712)
    assert place_text(near) == "39.9200, 32.8500; 50 % within 34 m, 90 % within 570 m"
    assert told(near)["radius50_km"] == 0.034
    assert place_text(Answer(SURE.candidates, 0.6, False, 1.0, 2.0, None, None)).endswith("how far off is unknown")


def test_the_only_city_is_not_in_question() -> None:
    only = told(Answer(SURE.candidates[:1], 1.0, False, 39.92, 32.85, 0.5, 2.0))
    assert as_text(only).splitlines()[1] == "  Ankara (the only city that the model knows: not in question)"
    facts = {"validation_photos": 40, "validation_right": 40, "cities": 1, "threshold": 0.0}
    assert doubts(facts).startswith("this model knows one city: ")


def test_geojson_is_longitude_then_latitude() -> None:
    whole = as_geojson([told(SURE), told(UNSURE), told(None, error="gone")], {"title": "T"})
    assert [feature["geometry"] for feature in whole["features"]] == [
        {"type": "Point", "coordinates": [32.85, 39.92]},
        None,
        None,
    ]
    assert all(feature["type"] == "Feature" for feature in whole["features"])
    assert whole["features"][2]["properties"] == {"photo": "a.jpg", "error": "gone"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "＝1", "＠x"])
def test_a_formula_becomes_text(text: str) -> None:
    assert as_csv([text, -1.5, None, True, f"x{text}"]) == f"'{text},-1.5,,true,x{text}"


def test_csv_cells_stand_under_their_columns() -> None:
    row = dict(zip(COLUMNS, cells(told(SURE)), strict=True))
    assert (row["city1"], row["probability1"], row["city5"]) == ("ankara", 0.612346, "c4")
    assert (row["radius50_km"], row["radius90_km"], row["error"]) == (12.3, 1234.6, None)
    failed = dict(zip(COLUMNS, cells(told(None, error="gone")), strict=True))
    assert {name for name, value in failed.items() if value is not None} == {"photo", "error"}


def test_those_without_an_answer_are_counted_and_complained_of(capsys: pytest.CaptureFixture[str]) -> None:
    complaints: list[str] = []
    records = [told(SURE), told(None, error="gone")]
    assert print_records(records, "json", {"title": "T"}, complaints.append) == 1
    assert complaints == ["a.jpg: gone"]
    assert json.loads(capsys.readouterr().out) == {"model": {"title": "T"}, "photos": records}


def test_a_model_at_chance_or_without_a_threshold_is_doubted_where_that_is_known() -> None:
    good = {"cities": 4, "threshold": 0.3, "validation_photos": 40, "validation_right": 20}
    assert doubts(good) == ""
    assert doubts({**good, "validation_right": None}) == ""
    assert "right on 12 of 40 validation photos, which chance may be (25.0 %" in doubts(
        {**good, "validation_right": 12}
    )
    assert doubts({**good, "threshold": 0}).startswith('doubt this model: it never says "none of these"')
