"""Maps: outlines where they belong, what is in view, which confusions get arrows."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.leaderboard.figures import confusions, map_picture
from benchmark.leaderboard.rows import CityRow, Leaderboard
from benchmark.leaderboard.table import leaderboard
from benchmark.scoring.evaluation import Details
from collector.web.maps import SOURCE, countries, holds, provinces, view_of
from tests.benchmark.leaderboard import CAPITALS, TURKIYE, add_world_runs, world_manifest

OCEAN = {"quellmora": ("Quellmora", -2.0, -24.5), "dravenholt": ("Dravenholt", -4.0, -23.5)}


def city(slug: str, latitude: float, longitude: float) -> CityRow:
    return CityRow(slug, slug.title(), latitude, longitude, "", 1, 1, 1)


@pytest.mark.parametrize(
    ("code", "slug"),
    [("TR-06", "ankara"), ("TR-34", "istanbul"), ("TR-50", "nevsehir"), ("TR-65", "van"), ("TR-01", "adana")],
)
def test_provinces_are_where_their_capitals_are(code: str, slug: str) -> None:
    _, latitude, longitude = TURKIYE[slug]
    assert [name for name, rings in provinces().items() if holds(rings, latitude, longitude)] == [code]


@pytest.mark.parametrize(
    ("name", "slug"), [("Germany", "berlin"), ("Spain", "madrid"), ("Russia", "moscow"), ("France", "paris")]
)
def test_countries_are_where_their_capitals_are(name: str, slug: str) -> None:
    _, latitude, longitude = CAPITALS[slug]
    assert [country for country, rings in countries().items() if holds(rings, latitude, longitude)] == [name]


def test_no_outline_jumps_across_the_map() -> None:
    assert len(provinces()) == 81
    assert len(countries()) == 240
    steps = [np.abs(np.diff(ring[:, 0])).max() for rings in countries().values() for ring in rings]
    assert max(steps) < 30  # the border along the 49th parallel is one step


def test_a_view_goes_the_short_way_round() -> None:
    suva, apia = (-18.14, 178.44), (-13.83, -171.76)
    view = view_of([suva, apia], 100.0)
    assert 170 < view.west < 178.44
    assert 188.24 < view.east < 197
    assert 0 < view.at(*suva)[0] < view.at(*apia)[0] < 100
    assert any(name == "Fiji" for name in countries())
    assert view.land()


def test_a_view_of_neighbours_is_no_keyhole_and_of_the_world_no_more_than_the_world() -> None:
    near = view_of([(41.0, 29.0), (41.0, 29.1)], 100.0)
    assert near.east - near.west >= 2.99
    assert near.height + 1e-6 >= 0.42 * 100
    wide = view_of([(60.0, -170.0), (-50.0, 0.0), (0.0, 170.0)], 100.0)
    assert -90 <= wide.south < wide.north <= 90


def test_confusions_that_are_rare_or_nowhere_get_no_arrow() -> None:
    cities = [city("a", 1, 1), city("b", 2, 2), city("c", 3, 3), city("twin", 1, 1)]
    counts = ((10, 6, 0, 4), (1, 19, 0, 0), (1, 0, 39, 0), (0, 0, 0, 0))
    found = confusions(cities, Details(counts, ()))
    assert [(one.true.slug, one.taken_for.slug, one.share) for one in found] == [("a", "b", 0.3), ("b", "a", 0.05)]


def board_of(tmp_path: Path, places: dict[str, tuple[str, float, float]]) -> Leaderboard:
    manifest = world_manifest(places, test=8)
    add_world_runs(tmp_path, manifest, methods=3, seeds=1)
    return leaderboard(manifest, tmp_path)


@pytest.mark.parametrize(
    ("places", "what", "credited"), [(TURKIYE, "Provinces", 1), (CAPITALS, "Circles", 1), (OCEAN, "Circles", 0)]
)
def test_a_map_names_its_source_where_it_has_one(
    tmp_path: Path, places: dict[str, tuple[str, float, float]], what: str, credited: int
) -> None:
    board = board_of(tmp_path, places)
    assert board.best is not None
    assert board.details is not None
    picture = map_picture(board, board.best, board.details, "map")
    assert picture is not None
    assert picture.caption.startswith(f"{what} by the share")
    assert picture.caption.count(SOURCE) == credited
    assert ("<path d=" in picture.svg) == bool(credited)
    for name, _, _ in places.values():
        assert f">{name}</text>" in picture.svg
