"""Collecting from Commons, Flickr and Street View through their clients: everything, once, whatever goes wrong."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
import requests

from collector.catalogue.catalogue import open_catalogue
from collector.collecting.collect import collect
from collector.collecting.select import SelectionCriteria
from collector.geo import distance_km
from collector.images.validate import Limits as PictureLimits
from collector.licences import licences
from collector.providers import flickr
from collector.providers.base import Query
from collector.providers.registry import author_of
from collector.providers.streetview_answers import points
from collector.records import City, Region
from collector.regions import nearest_city
from collector.sandbox.flickr_api import Limits
from collector.sandbox.holdings import deal
from collector.sandbox.server import Sandbox, serving
from collector.workspace import Workspace, create_workspace
from tests.collector.collecting.sandboxed import (
    MAKERS,
    PICTURES,
    REGION,
    asked,
    check_adds_up,
    check_store,
    content,
    downloaded,
    ids,
    lead_to,
    rejected,
    run,
)

HERE, THERE = REGION.cities
SMALL_SAMPLE: dict[str, Any] = {"query": Query(target=12, seed=1), "criteria": SelectionCriteria(12)}
"""What is asked of Street View, which can be asked for any number of pictures."""

OPEN = SelectionCriteria(licences=frozenset({"CC-BY-2.0", "CC-BY-SA-2.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0"}))
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LARGE = SelectionCriteria(min_side=400)  # one in ten of Commons' originals is 256 pixels wide

WHY = {
    "video": "not-a-photo",
    "map": "not-a-photo",
    "scan": "not-a-photo",
    "document": "not-a-photo",
    "old-map": "not-a-photo",
    "no-licence": "unknown-licence",
    "no-location": "no-location",
    "outside-city": "outside-city",
    "elsewhere": "outside-city",
    "low-accuracy": "imprecise-location",
    "unavailable": "placeholder",
    "gone": "gone",
    "deleted": "gone",
    "noai": "noai",
    "corrupt": "truncated",
}
"""The sandbox's kind -> the reason in the catalogue. Screenshots are not even listed: the client asks for photos."""

every_service = pytest.mark.parametrize("service", list(MAKERS))


# --- everything, and nothing but that


@pytest.mark.parametrize("service", ["commons", "flickr"])
def test_all_that_a_service_holds(sandbox: Sandbox, workspace: Workspace, service: str) -> None:
    summary = run(workspace, service)
    check_adds_up(summary)
    check_store(workspace)
    refused = rejected(workspace)
    told: Counter[str] = Counter()
    for city in REGION.cities:
        truth = sandbox.holdings.what(service, city.slug)
        assert set(ids(downloaded(workspace, service, city.slug))) == truth.collectable
        why = {photo_id: WHY[kind] for photo_id, kind in truth.others.items() if kind != "screenshot"}
        assert {i: unusable.reason for i, unusable in refused.items() if unusable.city == city.slug} == why
        assert set(truth.others.values()) - {"screenshot"} <= set(WHY)
        told.update(why.values())
        assert summary.by_city[city.slug] == len(truth.collectable) > 10
    assert summary.rejected == told
    assert summary.added == sum(summary.by_city.values())


def test_street_view_gives_the_sample_and_nothing_else(sandbox: Sandbox, workspace: Workspace) -> None:
    query = Query(target=40, seed=5)
    summary = run(workspace, "streetview", query=query, cities=[HERE], limits=PictureLimits(min_side=64))
    check_adds_up(summary)
    check_store(workspace)
    panoramas = sandbox.holdings.panoramas
    nearest = [panoramas.nearest(*at, radius_m=50, outdoor=True) for at in islice(points(HERE, query.seed), 40)]
    there = {found.pano_id: found.kind for found in nearest if found}
    assert set(there.values()) == {"photo", "no-imagery"}, "choose a seed whose sample holds one without a picture"
    views = {f"streetview:{pano}@{heading}": kind for pano, kind in there.items() for heading in (0, 90, 180, 270)}
    assert set(ids(downloaded(workspace))) == {view for view, kind in views.items() if kind == "photo"}
    refused = rejected(workspace)
    assert {view: "gone" for view, kind in views.items() if kind != "photo"} == {
        i: u.reason for i, u in refused.items()
    }


@every_service
def test_the_store_has_the_bytes_that_the_service_gives(sandbox: Sandbox, workspace: Workspace, service: str) -> None:
    run(workspace, service, **SMALL_SAMPLE)
    provider = MAKERS[service]()
    photos = downloaded(workspace)
    assert len(photos) == 24
    for photo in photos:
        given = requests.get(provider.image_request(photo).url, timeout=10).content
        assert workspace.photo(str(photo.sha256)).read_bytes() == given
        assert photo.license in licences()


@every_service
def test_again_adds_nothing_and_asks_little(sandbox: Sandbox, workspace: Workspace, service: str) -> None:
    first = run(workspace, service, **SMALL_SAMPLE)
    before = content(workspace)
    sandbox.requests.clear()
    again = run(workspace, service, **SMALL_SAMPLE)
    check_adds_up(again)
    assert (again.added, again.known, again.rejected) == (0, first.added, {})
    assert content(workspace) == before
    # Commons' four boxes of a city are asked again, Flickr for what is new, Street View for what is there (which is free).
    most = {"commons": {"commons.geosearch": 8}, "flickr": {"flickr.photos.search": 2}}
    assert asked(sandbox) == most.get(service, {"streetview.metadata": 80})


def test_flickr_is_asked_for_what_is_new(sandbox: Sandbox, workspace: Workspace) -> None:
    """Half of the photos are uploaded after the first run; the second asks from a day before it on."""
    middle = sorted(item.uploaded for item in sandbox.holdings.flickr.items if item.kind == "photo")[12]
    first = run(workspace, "flickr", now=lambda: datetime.fromtimestamp(middle, UTC))
    sandbox.log.clear()
    second = run(workspace, "flickr")
    assert first.added
    assert second.added
    truth = [sandbox.holdings.what("flickr", city.slug).collectable for city in REGION.cities]
    assert set(ids(downloaded(workspace))) == set().union(*truth)
    searches = [seen.form for seen in sandbox.log if seen.endpoint == "flickr.photos.search"]
    assert searches
    assert all(f"min_upload_date={middle - 86_400}" in search for search in searches)


# --- what is wanted


@every_service
def test_a_target_is_met_exactly(sandbox: Sandbox, workspace: Workspace, service: str) -> None:
    """No more is fetched than is needed, the authors' limit holds, and a larger target goes on from the smaller one."""
    for target in (5, 9):
        summary = run(workspace, service, criteria=SelectionCriteria(target, per_author=2), query=Query(target=target))
        check_adds_up(summary)
        for city in REGION.cities:
            by_author = Counter(author_of(p.photo_id, p.author_id) for p in downloaded(workspace, city=city.slug))
            assert max(by_author.values()) <= 2
            assert summary.by_city[city.slug] == by_author.total() == min(target, there_are(sandbox, service, city, 2))
    refused = [
        unusable for unusable in rejected(workspace).values() if unusable.reason in ("gone", "noai", "truncated")
    ]
    assert sandbox.requests[PICTURES[service]] <= len(downloaded(workspace)) + 2 * len(refused) + 4  # placeholders
    at_once = create_workspace(workspace.root.with_name("at once"))
    run(at_once, service, criteria=SelectionCriteria(9, per_author=2), query=Query(target=9))
    assert set(ids(downloaded(at_once))) == set(ids(downloaded(workspace)))


def there_are(sandbox: Sandbox, service: str, city: City, per_author: int) -> int:
    """Return how many photos a city has with so many of an author at most; Street View has enough of all."""
    if service == "streetview":
        return 1000
    listing = sandbox.holdings.flickr if service == "flickr" else sandbox.holdings.commons
    by_author = Counter(i.scene.author_id for i in listing.items if i.city == city.slug and i.kind == "photo")
    return sum(min(number, per_author) for number in by_author.values())


def test_a_target_counts_all_services(sandbox: Sandbox, workspace: Workspace) -> None:
    run(workspace, "commons", criteria=SelectionCriteria(8))
    summary = run(workspace, "flickr", criteria=SelectionCriteria(12))
    assert summary.added == 8
    assert summary.by_city == {HERE.slug: 12, THERE.slug: 12}
    assert run(workspace, "flickr", criteria=SelectionCriteria(10)).added == 0


@pytest.mark.parametrize(("service", "criteria"), [("flickr", OPEN), ("commons", OPEN), ("commons", LARGE)])
def test_what_is_not_wanted_is_not_fetched(
    sandbox: Sandbox, workspace: Workspace, service: str, criteria: SelectionCriteria
) -> None:
    summary = run(workspace, service, criteria=criteria, limits=PictureLimits(min_side=criteria.min_side))
    check_adds_up(summary)
    check_store(workspace)
    with open_catalogue(workspace) as catalogue:
        waiting = [
            w.photo for city in REGION.cities for w in catalogue.listing(city.slug, service) if w.state == "listed"
        ]
    assert len(waiting) == sum(summary.waiting.values()) > 0
    had = downloaded(workspace)
    assert had
    if criteria.licences:
        assert {photo.license for photo in had} <= criteria.licences
        assert not criteria.licences & {photo.license for photo in waiting}
    assert all(min(photo.width or 0, photo.height or 0) >= criteria.min_side for photo in had)
    fetched = {seen.target for seen in sandbox.log if seen.endpoint == PICTURES[service]}
    assert not fetched & {str(photo.image_url).removeprefix(sandbox.url) for photo in waiting}
    run(workspace, service)
    truth = [sandbox.holdings.what(service, city.slug).collectable for city in REGION.cities]
    assert set(ids(downloaded(workspace))) == set().union(*truth)


def test_a_lower_accuracy_finds_what_was_too_rough_before(sandbox: Sandbox, workspace: Workspace) -> None:
    run(workspace, "flickr", now=lambda: NOW)
    rough = [i for i, unusable in rejected(workspace).items() if unusable.reason == "imprecise-location"]
    assert rough
    collect(workspace, REGION, REGION.cities, flickr.make(), Query(geo_accuracy=1), now=lambda: NOW + timedelta(1))
    assert set(rough) <= set(ids(downloaded(workspace)))


# --- what is not to be collected


@pytest.mark.parametrize("service", ["commons", "flickr"])
def test_what_was_withdrawn_is_passed_over(sandbox: Sandbox, workspace: Workspace, service: str) -> None:
    """Before it was ever met, and after it was collected; photos as well as whole authors."""
    full = create_workspace(workspace.root.with_name("full"))
    run(full, service)
    photos = downloaded(full)
    author = Counter(str(photo.author_id) for photo in photos).most_common(1)[0][0]
    alone = next(photo.photo_id for photo in photos if photo.author_id != author)
    gone = {photo.photo_id for photo in photos if photo.author_id == author} | {alone}
    assert len(photos) - 5 > len(gone) > 5
    for one in (workspace, full):
        with open_catalogue(one) as catalogue:
            catalogue.withdraw("author", [author], "asked for", NOW)
            catalogue.withdraw("photo", [alone], "asked for", NOW)
        sandbox.log.clear()
        summary = run(one, service, check=True)
        check_adds_up(summary)
        assert set(ids(downloaded(one))) == {photo.photo_id for photo in photos} - gone
        fetched = {seen.target for seen in sandbox.log}
        assert not fetched & {str(p.image_url).removeprefix(sandbox.url) for p in photos if p.photo_id in gone}
    assert summary.added == 0


# --- cities whose circles overlap

WEST = City("west", "West", HERE.latitude, HERE.longitude - 0.02, 6.0)
EAST = City("east", "East", HERE.latitude, HERE.longitude + 0.02, 6.0)
OVERLAPPING = Region("overlapping", "", (WEST, EAST))


def truth_of(sandbox: Sandbox, service: str, region: Region) -> dict[str, str]:
    """Return the city of each photo that a service has within the circles of a region, by photo id."""
    listing = sandbox.holdings.flickr if service == "flickr" else sandbox.holdings.commons
    found = {}
    for item in listing.items:
        at = (item.scene.latitude, item.scene.longitude)
        near = [(distance_km(city.latitude, city.longitude, *at), city) for city in region.cities]
        km, city = min(near, key=lambda one: one[0])
        if item.kind in ("photo", "elsewhere", "outside-city") and km <= city.radius_km:
            found[f"{service}:{item.number}"] = city.slug
    return found


@pytest.mark.parametrize("service", ["commons", "flickr"])
@pytest.mark.parametrize("steps", [[[WEST, EAST]], [[WEST], [EAST]], [[EAST], [WEST], [EAST]]])
def test_where_circles_overlap_a_photo_belongs_to_the_nearer_city(
    sandbox: Sandbox, workspace: Workspace, service: str, steps: list[list[City]]
) -> None:
    """Also when the farther one is collected first, in a run of its own."""
    truth = truth_of(sandbox, service, OVERLAPPING)
    both = [city for city in OVERLAPPING.cities if city.slug in truth.values()]
    assert len(both) == 2
    for cities in steps:
        check_adds_up(run(workspace, service, OVERLAPPING, cities=cities))
    assert {photo.photo_id: photo.city for photo in downloaded(workspace)} == truth
    assert not set(truth) & set(rejected(workspace))
    check_store(workspace)
    before = content(workspace)
    assert run(workspace, service, OVERLAPPING).added == 0
    assert content(workspace) == before


@pytest.mark.parametrize("service", ["commons", "flickr"])
def test_a_city_that_joins_the_region_gets_its_photos(sandbox: Sandbox, workspace: Workspace, service: str) -> None:
    """Those outside of the first city, and those that are nearer to the new one than to it."""
    run(workspace, service, Region("overlapping", "", (WEST,)))
    run(workspace, service, OVERLAPPING)
    truth = truth_of(sandbox, service, OVERLAPPING)
    assert {photo.photo_id: photo.city for photo in downloaded(workspace)} == truth


def test_street_view_where_circles_overlap(sandbox: Sandbox, workspace: Workspace) -> None:
    run(workspace, "streetview", OVERLAPPING, **SMALL_SAMPLE)
    photos = downloaded(workspace)
    nearest = [nearest_city(OVERLAPPING, photo.latitude or 0, photo.longitude or 0) for photo in photos]
    assert [photo.city for photo in photos] == [city.slug for city in nearest if city]
    assert Counter(photo.city for photo in photos) == {"west": 12, "east": 12}


# --- how completely


@pytest.mark.parametrize(
    ("limits", "least"),
    [(Limits(cap=600, row_loss=0.03), 0.995), (Limits(cap=600, row_loss=0.0, uniform_loss=0.015), 0.985)],
)
def test_nearly_all_of_a_city_far_beyond_the_cap_is_listed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, limits: Limits, least: float
) -> None:
    """Five times what one question yields; tests/performance/coverage.py does it at the real size."""
    monkeypatch.setattr(flickr, "CAP", limits.cap)
    with serving(deal(0, 1, 3000, {"flickr": 1.0}), limits=limits) as sandbox:
        lead_to(sandbox, monkeypatch)
        provider = replace(flickr.make(), rules=replace(flickr.RULES, aim=500))
        collect(workspace, REGION, [HERE], provider, criteria=SelectionCriteria(0), now=lambda: NOW)
        truth = sandbox.holdings.what("flickr", HERE.slug).collectable
    with open_catalogue(workspace) as catalogue:
        listed = {waiting.photo.photo_id for waiting in catalogue.listing(HERE.slug, "flickr")}
        [ledger] = catalogue.ledger.coverage()
    assert len(listed & truth) >= least * len(truth)
    assert ledger.fetched < 1.3 * len(content(workspace))
    assert (ledger.open_cells, ledger.complete) == (0, True)
