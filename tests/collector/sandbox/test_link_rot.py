"""What becomes of the sandbox's photos over the years, as its services' clients see it."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from collector.curating.duplicates import same_picture
from collector.errors import UsageError
from collector.images.validate import Limits, examine
from collector.records import Photo
from collector.sandbox.flickr_api import KEY
from collector.sandbox.holdings import Item, deal
from collector.sandbox.server import Sandbox, serving
from tests.collector.sandbox.link_rot import Ageing, age

CITY = "quellmora"


def described(data: bytes) -> Photo:
    found = examine(data, Limits())
    return Photo(
        "x:1", CITY, width=found.width, height=found.height, phash=found.hashes.phash, dhash=found.hashes.dhash
    )


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with serving(deal(0, 1, 40)) as running:
        yield running


def photo_of(sandbox: Sandbox, service: str) -> Item:
    listing = sandbox.holdings.flickr if service == "flickr" else sandbox.holdings.commons
    return next(item for item in listing.items if item.kind == "photo" and item.original is None)


def flickr(sandbox: Sandbox, method: str, **params: str | int) -> Any:
    common = {"method": method, "api_key": KEY, "format": "json", "nojsoncallback": 1}
    return requests.post(f"{sandbox.url}/services/rest/", data={**common, **params}, timeout=5).json()


def flickr_address(sandbox: Sandbox, item: Item) -> str:
    sizes = flickr(sandbox, "flickr.photos.getSizes", photo_id=item.number)["sizes"]["size"]
    return next(str(size["source"]) for size in sizes if size["label"] == "Medium 640")


def commons_page(sandbox: Sandbox, item: Item) -> Any:
    query: dict[str, str | int] = {"action": "query", "format": "json", "formatversion": 2, "pageids": item.number}
    query |= {"prop": "imageinfo", "iiprop": "url|size", "iiurlwidth": 500}
    return requests.get(f"{sandbox.url}/w/api.php", params=query, timeout=5).json()["query"]["pages"][0]


def metadata(sandbox: Sandbox, **params: str) -> Any:
    asked = {**params, "key": sandbox.environment()["T15_GOOGLE_KEY"]}
    return requests.get(f"{sandbox.url}/maps/api/streetview/metadata", params=asked, timeout=5).json()


def view(sandbox: Sandbox, pano: str) -> requests.Response:
    asked = {"pano": pano, "size": "320x320", "heading": "90", "return_error_code": "true"}
    asked["key"] = sandbox.environment()["T15_GOOGLE_KEY"]
    return requests.get(f"{sandbox.url}/maps/api/streetview", params=asked, timeout=5)


def dealt_panorama(sandbox: Sandbox) -> Any:
    scene = sandbox.holdings.panoramas.dealt[0]
    return metadata(sandbox, location=f"{scene.latitude},{scene.longitude}", radius="5", source="outdoor")


def get(url: str) -> requests.Response:
    return requests.get(url, timeout=5, allow_redirects=False)


def test_what_vanished_is_known_to_nobody(sandbox: Sandbox) -> None:
    on_flickr, on_commons = photo_of(sandbox, "flickr"), photo_of(sandbox, "commons")
    address, page = flickr_address(sandbox, on_flickr), commons_page(sandbox, on_commons)["imageinfo"][0]
    pano = dealt_panorama(sandbox)["pano_id"]
    gone = {f"flickr:{on_flickr.number}", f"commons:{on_commons.number}", f"streetview:{pano}"}
    assert gone <= set().union(
        *(sandbox.holdings.what(s, CITY).collectable for s in ("flickr", "commons", "streetview"))
    )
    age(sandbox, Ageing(vanished=frozenset(gone)))
    assert get(address).status_code == get(page["thumburl"]).status_code == view(sandbox, pano).status_code == 404
    assert flickr(sandbox, "flickr.photos.getSizes", photo_id=on_flickr.number)["code"] == 1
    assert commons_page(sandbox, on_commons) == {"pageid": on_commons.number, "missing": True}
    assert metadata(sandbox, pano=pano)["status"] == "ZERO_RESULTS"
    for service in ("flickr", "commons", "streetview"):
        truth = sandbox.holdings.what(service, CITY)
        assert gone.isdisjoint(truth.collectable | set(truth.others))


def test_what_moved_is_known_at_its_new_address_and_the_same(sandbox: Sandbox) -> None:
    on_flickr, on_commons = photo_of(sandbox, "flickr"), photo_of(sandbox, "commons")
    before = [flickr_address(sandbox, on_flickr), commons_page(sandbox, on_commons)["imageinfo"][0]["url"]]
    first = dealt_panorama(sandbox)
    files = [get(url).content for url in before] + [view(sandbox, first["pano_id"]).content]
    moved = {f"flickr:{on_flickr.number}", f"commons:{on_commons.number}", f"streetview:{first['pano_id']}@90"}
    age(sandbox, Ageing(moved=frozenset(moved)))
    assert [get(url).status_code for url in before] == [404, 404]
    assert view(sandbox, first["pano_id"]).status_code == 404
    after = [flickr_address(sandbox, on_flickr), commons_page(sandbox, on_commons)["imageinfo"][0]["url"]]
    now = dealt_panorama(sandbox)
    assert now["pano_id"] != first["pano_id"]
    assert {**now, "pano_id": ""} == {**first, "pano_id": ""}
    assert metadata(sandbox, pano=now["pano_id"]) == now
    assert [get(url).content for url in after] + [view(sandbox, now["pano_id"]).content] == files
    age(sandbox, Ageing(vanished=frozenset({f"streetview:{now['pano_id']}"})))
    assert view(sandbox, now["pano_id"]).status_code == 404


def test_what_was_packed_again_shows_the_same_picture(sandbox: Sandbox) -> None:
    on_flickr, on_commons = photo_of(sandbox, "flickr"), photo_of(sandbox, "commons")
    pano = dealt_panorama(sandbox)["pano_id"]
    told = commons_page(sandbox, on_commons)["imageinfo"][0]
    urls = [flickr_address(sandbox, on_flickr), told["thumburl"], told["url"]]
    before = [get(url).content for url in urls] + [view(sandbox, pano).content]
    chosen = {f"flickr:{on_flickr.number}", f"commons:{on_commons.number}", f"streetview:{pano}"}
    age(sandbox, Ageing(repacked=frozenset(chosen)))
    after = [get(url).content for url in urls] + [view(sandbox, pano).content]
    for old, new in zip(before, after, strict=True):
        assert old != new
        one, other = described(old), described(new)
        assert (one.width, one.height) == (other.width, other.height)
        assert same_picture(one, other)
    again = commons_page(sandbox, on_commons)["imageinfo"][0]
    assert again["size"] != told["size"]
    assert again["size"] == len(after[2])


def test_placeholders(sandbox: Sandbox) -> None:
    on_flickr = photo_of(sandbox, "flickr")
    address, pano = flickr_address(sandbox, on_flickr), dealt_panorama(sandbox)["pano_id"]
    id_ = f"flickr:{on_flickr.number}"
    age(sandbox, Ageing(placeholder=frozenset({id_, f"streetview:{pano}@0"})))
    answer = get(address)
    assert (answer.status_code, answer.headers["Location"].rpartition("/")[2]) == (302, "photo_unavailable.png")
    assert flickr(sandbox, "flickr.photos.getSizes", photo_id=on_flickr.number)["code"] == 1
    grey = view(sandbox, pano)
    assert (grey.status_code, grey.headers["Content-Type"]) == (200, "image/jpeg")
    assert examine(grey.content, Limits()).flat > 0.9
    assert sandbox.holdings.what("flickr", CITY).others[id_] == "unavailable"
    assert sandbox.holdings.what("streetview", CITY).others[f"streetview:{pano}"] == "grey"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vanished": {"flickr:1"}}, "holds no flickr:1"),
        ({"moved": {"nobody:1"}}, "holds no nobody:1"),
        ({"moved": {"commons:x"}}, "holds no commons:x"),
        ({"moved": {"streetview:"}}, "holds no streetview:"),
        ({"vanished": {"F"}, "moved": {"F"}}, "cannot change in two ways"),
        ({"placeholder": {"C"}}, "Commons has no picture"),
    ],
)
def test_what_cannot_be(sandbox: Sandbox, change: dict[str, set[str]], said: str) -> None:
    known = {"F": f"flickr:{photo_of(sandbox, 'flickr').number}", "C": f"commons:{photo_of(sandbox, 'commons').number}"}
    before = sandbox.holdings
    with pytest.raises(UsageError, match=said):
        age(sandbox, Ageing(**{name: frozenset(known.get(of, of) for of in ids) for name, ids in change.items()}))
    assert sandbox.holdings is before
