"""Every scene lies somewhere, more scenes change nothing of the first ones, and the truth is complete."""

import numpy as np
import pytest

from collector.errors import UsageError
from collector.geo import distance_km
from collector.sandbox.holdings import COMMONS_KINDS, FLICKR_KINDS, Holdings, Item, chance, deal
from collector.sandbox.scenes import CITIES, plan
from collector.sandbox.streetview_api import PANORAMA_KINDS


@pytest.fixture(scope="module")
def holdings() -> Holdings:
    return deal(seed=1, cities=2, photos_per_city=200)


def own(holdings: Holdings, service: str) -> list[Item]:
    """Return the scenes' own photos: no copies, and nothing that is no photo."""
    listing = holdings.flickr if service == "flickr" else holdings.commons
    return [
        item for item in listing.items if item.kind == "photo" and f"{service}:{item.number}" not in holdings.copies
    ]


def test_every_scene_lies_at_one_service_in_the_shares_asked_for(holdings: Holdings) -> None:
    at = {service: {item.scene.scene_id for item in own(holdings, service)} for service in ("flickr", "commons")}
    at["streetview"] = {scene.scene_id for scene in holdings.panoramas.dealt}
    assert at["flickr"] | at["commons"] | at["streetview"] == {scene.scene_id for scene in plan(1, 2, 200)}
    assert sum(map(len, at.values())) == 400
    assert 150 < len(at["commons"]) < 230
    assert 110 < len(at["flickr"]) < 190
    assert 30 < len(at["streetview"]) < 90


def test_the_same_seed_deals_the_same_and_a_larger_draw_begins_with_the_smaller_one(holdings: Holdings) -> None:
    assert deal(seed=1, cities=2, photos_per_city=200) == holdings
    small = deal(seed=1, cities=2, photos_per_city=50)
    assert set(small.flickr.items) <= set(holdings.flickr.items)
    assert set(small.commons.items) <= set(holdings.commons.items)
    assert small.copies.items() <= holdings.copies.items()
    assert set(deal(seed=2, cities=2, photos_per_city=50).flickr.items) != set(small.flickr.items)


def test_the_truth_tells_everything_that_a_service_holds(holdings: Holdings) -> None:
    for service, listing, kinds in (
        ("flickr", holdings.flickr, FLICKR_KINDS),
        ("commons", holdings.commons, COMMONS_KINDS),
    ):
        told = [holdings.what(service, city.slug) for city in holdings.cities]
        assert sum(len(one.collectable) + len(one.others) for one in told) == len(listing.items)
        assert all(set(one.others.values()) == set(kinds) for one in told)
        assert all(id_.startswith(f"{service}:") for one in told for id_ in one.collectable)
    assert holdings.what("flickr", "atlantis") == (frozenset(), {})


def test_photos_lie_in_their_city_and_what_lies_elsewhere_is_said_to(holdings: Holdings) -> None:
    centres = {city.slug: city for city in CITIES}
    for item in (*holdings.flickr.items, *holdings.commons.items):
        city = centres[item.city]
        km = distance_km(city.latitude, city.longitude, item.scene.latitude, item.scene.longitude)
        assert (km <= city.radius_km) == (item.kind not in ("outside-city", "elsewhere", "no-location")), item.kind
        if item.kind == "outside-city":  # or no search for the city's box finds it
            box = city.radius_km / 111.1
            assert abs(item.indexed[0] - city.latitude) < box
            assert abs(item.indexed[1] - city.longitude) < box


def test_photos_are_uploaded_after_they_are_taken_and_those_of_a_walk_together(holdings: Holdings) -> None:
    items = own(holdings, "flickr")
    assert all(0 < item.uploaded - item.scene.taken_at.timestamp() < 202 * 86_400 for item in items)
    assert list(holdings.flickr.uploaded) == sorted(holdings.flickr.uploaded)
    hours = {(item.scene.author_id, item.scene.taken_at.date(), item.uploaded // 3600) for item in items}
    assert len(hours) < 0.85 * len(items)


def test_copies_lie_at_the_other_service_and_some_in_another_city(holdings: Holdings) -> None:
    assert {id_.split(":")[0] for id_ in holdings.copies} == {"flickr", "commons"}
    assert all(copy.split(":")[0] != original.split(":")[0] for copy, original in holdings.copies.items())
    assert 10 < len(holdings.identical) < len(holdings.copies)
    assert holdings.misplaced
    for id_ in holdings.misplaced:
        service, number = id_.split(":")
        item = (holdings.flickr if service == "flickr" else holdings.commons).by_number[int(number)]
        assert item.city != item.scene.city
        assert id_ in holdings.what(service, item.city).collectable


def test_one_service_can_have_it_all() -> None:
    held = deal(0, 1, 30, {"flickr": 1.0})
    assert len(held.what("flickr", "quellmora").collectable) == 30
    assert not held.commons.items
    assert not held.copies
    assert held.what("streetview", "quellmora") == (frozenset(), {})


@pytest.mark.parametrize("shares", [{"flikr": 1.0}, {}, {"commons": 0.0}])
def test_wrong_shares_are_usage_errors(shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="commons, flickr, streetview"):
        deal(0, 1, 5, shares)


def test_panoramas_are_dense_in_the_middle_and_are_found_again_by_their_ids(holdings: Holdings) -> None:
    panoramas, city = holdings.panoramas, CITIES[0]
    rng = np.random.default_rng(0)

    def found(low_km: float, high_km: float) -> float:
        hits = 0
        for _ in range(60):
            away, turn = rng.uniform(low_km, high_km), rng.uniform(0, 2 * np.pi)
            latitude = city.latitude + away * np.cos(turn) / 111.195
            longitude = city.longitude + away * np.sin(turn) / 111.195
            there = panoramas.nearest(latitude, longitude, 50, outdoor=True)
            if there is not None:
                hits += 1
                assert distance_km(latitude, longitude, there.latitude, there.longitude) <= 0.05
                assert there.kind != "indoor"
                assert panoramas.find(there.pano_id) == there
        return hits / 60

    assert found(0, 3) > found(12, 15) > 0.1
    assert panoramas.nearest(40.0, 30.0, 2000, outdoor=False) is None
    assert panoramas.nearest(city.latitude + 0.2, city.longitude, 50, outdoor=False) is None


def test_scenes_dealt_to_street_view_are_there_and_look_outdoors(holdings: Holdings) -> None:
    truth = holdings.what("streetview", "quellmora")
    assert set(truth.others.values()) == set(PANORAMA_KINDS)
    assert len(truth.collectable) > 10_000
    mine = [scene for scene in holdings.panoramas.dealt if scene.city == "quellmora"]
    for scene in mine:
        there = holdings.panoramas.nearest(scene.latitude, scene.longitude, 1, outdoor=True)
        assert there is not None
        assert f"streetview:{there.pano_id}" in truth.collectable
        assert there.scene.view in ("street", "square", "skyline", "landscape")


@pytest.mark.parametrize(
    "pano_id", ["", "x" * 22, "é" * 22, "A" * 21, "AAAAAAAAAAAAAAAAAAAAAA", "../../../etc/passwd..."]
)
def test_ids_of_no_panorama_find_none(holdings: Holdings, pano_id: str) -> None:
    assert holdings.panoramas.find(pano_id) is None


def test_no_other_spelling_of_an_id_finds_the_panorama(holdings: Holdings) -> None:
    there = holdings.panoramas.nearest(CITIES[0].latitude, CITIES[0].longitude, 200, outdoor=True)
    assert there is not None
    others = [there.pano_id[:-1] + chr(ord(there.pano_id[-1]) + step) for step in (-1, 1)]
    assert [holdings.panoramas.find(other) for other in others] == [None, None]


def test_chance_is_spread_evenly_and_is_the_same_everywhere() -> None:
    drawn = [chance("x", number) for number in range(2000)]
    assert 0 <= min(drawn) < max(drawn) < 1
    assert abs(np.mean(drawn) - 0.5) < 0.03
    assert chance("golden", 1) == pytest.approx(chance("golden", 1))
