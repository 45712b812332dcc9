"""Labels that a person should look at: what is flagged, why, and what is left alone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from collector.curating.labels import FEWEST, FLAGS, MANY, flag_labels
from collector.records import City, Photo
from tests.conftest import MakePhoto

VAN = City("van", "Van", 38.4942, 43.3832, 15)
CITIES = {"van": [VAN]}


def scores(photos: list[Photo], cities: Any = CITIES) -> dict[str, dict[str, float]]:
    """Return the scores by photo_id, after checking that each is explained."""
    found = {}
    for one in flag_labels(photos, cities):
        said = dict(one.evidence)
        why = said.pop("why")
        assert one.verdict == "keep"
        assert one.group_id is None
        assert set(said) == set(why) <= set(FLAGS)
        assert all(0 < score <= 1 for score in said.values())
        found[one.photo_id] = said
    return found


def at(make_photo: MakePhoto, number: int, latitude: float | None, longitude: float | None, **more: Any) -> Photo:
    return make_photo(number, **{"city": "van", "latitude": latitude, "longitude": longitude, **more})


def test_ordinary_photos_have_no_flag(make_photo: MakePhoto) -> None:
    assert flag_labels([make_photo(number) for number in range(60)], CITIES) == []
    assert flag_labels([], CITIES) == []


@pytest.mark.parametrize(("count", "score"), [(MANY - 1, None), (MANY, 0.5), (10, 0.75), (50, 0.95)])
def test_one_coordinate_for_many(make_photo: MakePhoto, count: int, score: float | None) -> None:
    photos = [at(make_photo, n, 38.5012345, 43.3912345, author_id=f"made:{n % 3}") for n in range(count)]
    found = flag_labels([*photos, at(make_photo, 99, 38.5012346, 43.3912345)], CITIES)
    assert [one.evidence.get("same-coordinate") for one in found] == [score] * count * (score is not None)
    if found:
        why = {"photos": count, "authors": 3, "latitude": 38.5012345, "longitude": 43.3912345}
        assert found[0].evidence["why"]["same-coordinate"] == why


@pytest.mark.parametrize(
    ("moment", "score"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 1.0),
        (datetime(1980, 1, 1, 0, 3, tzinfo=UTC), 1.0),
        (datetime(1980, 1, 6, 23, 59, tzinfo=UTC), 1.0),
        (datetime(2000, 1, 1, 2, tzinfo=UTC), 0.5),
        (datetime(1980, 1, 2, tzinfo=UTC), None),
        (datetime(2020, 1, 1, tzinfo=UTC), None),
        (None, None),
    ],
)
def test_clocks_that_were_reset(make_photo: MakePhoto, moment: datetime | None, score: float | None) -> None:
    found = scores([at(make_photo, 1, 38.5012345, 43.3912345, taken_at=moment)])
    assert [one["reset-clock"] for one in found.values()] == ([score] if score else [])


def test_photos_without_coordinates_share_none(make_photo: MakePhoto) -> None:
    assert flag_labels([at(make_photo, n, None, None) for n in range(9)], CITIES) == []


def test_views_of_one_panorama_count_once(make_photo: MakePhoto) -> None:
    def views(panoramas: int, headings: int) -> list[Photo]:
        names = [f"streetview:pano{p}@{90 * h}" for p in range(panoramas) for h in range(headings)]
        return [at(make_photo, n, 38.51, 43.39, photo_id=name) for n, name in enumerate(names)]

    assert scores(views(1, 8)) == {}
    assert len(scores(views(MANY, 4))) == MANY * 4


@pytest.mark.parametrize(
    ("latitude", "longitude", "score"),
    [
        (38.4942, 43.3832, 1.0),
        (38.49, 43.38, 1.0),  # the centre with fewer decimals
        (38.494, 43.383, 1.0),
        (38.49423, 43.38317, 0.5),  # 4 m away: the main square, perhaps
        (38.4943, 43.3832, None),  # 11 m away
        (38.5, 43.38, None),  # 38.4942 in two decimals is 38.49
        (38.5, 43.4, 1.0),  # one decimal of both
    ],
)
def test_the_city_centre(make_photo: MakePhoto, latitude: float, longitude: float, score: float | None) -> None:
    found = scores([at(make_photo, 1, latitude, longitude)])
    assert found == ({} if score is None else {"made:0001": {"city-centre": score}})


def test_a_centre_without_decimals_takes_no_whole_degree_in(make_photo: MakePhoto) -> None:
    drawn = {"van": [City("van", "Van", 38.0, 43.0, 15)]}
    assert scores([at(make_photo, n, 38.0 + n / 1000, 43.0 + n / 700) for n in range(1, 9)], drawn) == {}
    assert scores([at(make_photo, 1, 38.0, 43.0)], drawn) == {"made:0001": {"city-centre": 1.0}}


def test_only_the_own_city_counts_and_any_region_of_it(make_photo: MakePhoto) -> None:
    photo = at(make_photo, 1, 38.4942, 43.3832)
    assert scores([photo], {"bursa": [VAN]}) == {}
    assert scores([photo], {"van": [City("van", "Van", 38.6, 43.3, 15), VAN]}) == {"made:0001": {"city-centre": 1.0}}


@pytest.mark.parametrize(("latitude", "longitude"), [(0.0, 0.0), (-0.0, 0.0), (0.0001, -0.003)])
def test_null_island(make_photo: MakePhoto, latitude: float, longitude: float) -> None:
    assert scores([at(make_photo, 1, latitude, longitude)]) == {"made:0001": {"zero-coordinate": 1.0}}
    assert scores([at(make_photo, 1, 0.0, longitude + 32)]) == {}  # on the equator, which is a place


@pytest.mark.parametrize(("mine", "score"), [(9, None), (10, 0.5), (20, 1.0)])
def test_one_author_for_a_city(make_photo: MakePhoto, mine: int, score: float | None) -> None:
    whose = ["made:one" if n < mine else f"made:other-{n}" for n in range(FEWEST)]
    found = scores([make_photo(n, city="van", author_id=author) for n, author in enumerate(whose)])
    assert [said["one-author"] for said in found.values()] == [score] * mine * (score is not None)
    few = [make_photo(n, city="van", author_id="made:one") for n in range(FEWEST - 1)]
    assert scores(few) == {}


def test_who_is_no_author(make_photo: MakePhoto) -> None:
    unknown = [make_photo(n, city="van", author_id=None) for n in range(30)]
    service = [
        make_photo(n, city="van", photo_id=f"streetview:p{n}@0", author_id="streetview:google") for n in range(30)
    ]
    assert scores(unknown) == scores(service) == {}


def test_an_author_of_two_cities_covers_each_by_itself(make_photo: MakePhoto) -> None:
    photos = [make_photo(n, city="van" if n < 20 else "bursa", author_id="made:one") for n in range(25)]
    photos += [make_photo(n, city="bursa", author_id=f"made:{n}") for n in range(25, 50)]
    assert len(scores(photos)) == 20


def test_several_flags_of_one_photo(make_photo: MakePhoto) -> None:
    photos = [at(make_photo, n, 38.4942, 43.3832, author_id="made:one") for n in range(FEWEST)]
    assert set(scores(photos)["made:0000"]) == {"same-coordinate", "city-centre", "one-author"}
    assert scores(photos[::-1]) == scores(photos)
