"""Files are what their listings say: sizes, EXIF, copies, stand-ins; and they are made once."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from collector.errors import UsageError
from collector.images.validate import Examined, Limits, NotUsableError, examine
from collector.records import PHASH_RADIUS
from collector.sandbox.holdings import Holdings, Item, deal, largest_open
from collector.sandbox.rendered_files import Prints, no_imagery, unavailable
from collector.sandbox.scenes import Scene, render


@pytest.fixture(scope="module")
def holdings() -> Holdings:
    return deal(0, 1, 60)


@pytest.fixture(scope="module")
def prints(holdings: Holdings) -> Prints:
    return Prints(holdings.flickr)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def item_of(holdings: Holdings, id_: str) -> Item:
    service, number = id_.split(":")
    return (holdings.flickr if service == "flickr" else holdings.commons).by_number[int(number)]


def examined(data: bytes) -> Examined:
    return examine(data, Limits())


def test_originals_have_their_size_and_exif_and_reductions_are_upright_without(
    holdings: Holdings, prints: Prints
) -> None:
    turned = next(item for item in holdings.flickr.items if item.scene.orientation != 1 and item.kind == "photo")
    original = opened(prints.original(turned))
    assert original.size == turned.size[::-1]
    assert ImageOps.exif_transpose(original).size == turned.size
    reduced = opened(prints.reduced(turned, 640))
    assert max(reduced.size) == 640
    assert (reduced.width > reduced.height) == (turned.size[0] > turned.size[1])
    assert not reduced.getexif()
    assert opened(prints.reduced(turned, 75, square=True)).size == (75, 75)
    assert opened(prints.reduced(turned, 5000)).size == turned.size


def test_identical_copies_are_and_altered_ones_are_found_by_their_hashes(holdings: Holdings, prints: Prints) -> None:
    assert holdings.identical
    near = 0
    for copy_id, original_id in holdings.copies.items():
        copy, original = item_of(holdings, copy_id), item_of(holdings, original_id)
        if copy_id in holdings.identical:
            assert prints.original(copy) == prints.reduced(original, largest_open(original.size))
            continue
        hashes = [examined(prints.original(item)).hashes for item in (copy, original)]
        if None in (hashes[0].phash, hashes[1].phash):
            continue
        near += (int(hashes[0].phash or "0", 16) ^ int(hashes[1].phash or "0", 16)).bit_count() <= PHASH_RADIUS
        assert copy.size < original.size or original.size[0] < 300
    assert near >= 1


def test_lengths_are_those_of_the_originals(holdings: Holdings, prints: Prints) -> None:
    item = holdings.commons.items[0]
    data = prints.original(item)
    assert prints.length(item) == len(data)


def test_corrupt_files_are_cut_off(holdings: Holdings, prints: Prints) -> None:
    corrupt = next(item for item in holdings.flickr.items if item.kind == "corrupt")
    for data in (prints.original(corrupt), prints.reduced(corrupt, 640)):
        with pytest.raises(NotUsableError, match="truncated"):
            examined(data)


def test_each_heading_shows_something_else_in_the_size_asked_for(prints: Prints, holdings: Holdings) -> None:
    there = holdings.panoramas.nearest(-2.0, -24.5, 500, outdoor=True)
    assert there is not None
    views = [prints.panorama(there, (320, 200), sector, 90) for sector in (0, 2, 4)]
    assert len(set(views)) == 3
    assert {opened(view).size for view in views} == {(320, 200)}
    near = opened(prints.panorama(there, (320, 200), 0, 45)).convert("L")
    middle = opened(views[0]).convert("L").crop((80, 50, 240, 150)).resize((320, 200))
    assert np.abs(np.asarray(near, dtype=float) - np.asarray(middle, dtype=float)).mean() < 12


@pytest.mark.parametrize("size", [(640, 640), (300, 200)])
def test_the_grey_picture_is_97_per_cent_of_one_colour_and_carries_the_year(size: tuple[int, int]) -> None:
    data = no_imagery(size, 2026)
    assert opened(data).size == size
    assert 0.95 < examined(data).flat < 0.999
    assert data != no_imagery(size, 2027)


def test_the_picture_of_removed_photos_is_a_png() -> None:
    assert opened(unavailable()).format == "PNG"


def count_renders(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    calls: list[Scene] = []

    def counted(scene: Scene) -> Image.Image:
        calls.append(scene)
        return render(scene)

    monkeypatch.setattr("collector.sandbox.rendered_files.render", counted)
    return lambda: len(calls)


def test_files_are_made_once_and_kept_within_bounds(holdings: Holdings, monkeypatch: pytest.MonkeyPatch) -> None:
    renders = count_renders(monkeypatch)
    photos = [item for item in holdings.flickr.items if item.kind == "photo"][:3]
    mine = Prints(holdings.flickr)
    files = [mine.reduced(item, 320) for item in photos]
    assert [mine.reduced(item, 320) for item in photos] == files
    assert renders() == 3
    small = Prints(holdings.flickr, capacity=len(files[0]) + len(files[1]) // 2)
    assert [small.reduced(item, 320) for item in photos * 2] == files * 2
    assert renders() == 9


def test_a_pool_gives_every_photo_bytes_of_its_own_without_drawing_each(
    holdings: Holdings, monkeypatch: pytest.MonkeyPatch
) -> None:
    renders = count_renders(monkeypatch)
    pool = Prints(holdings.flickr, "pool")
    photos = [item for item in holdings.flickr.items if item.kind == "photo"]
    files = [pool.reduced(item, 100) for item in photos]
    assert len(set(files)) == len(photos)
    assert renders() == 24
    assert {max(opened(data).size) for data in files} == {100}
    copy = next(item for item in holdings.commons.items if item.original is not None)
    original = holdings.flickr.by_number[copy.original or 0]
    assert pool.original(copy) == pool.reduced(original, max(copy.size))
    assert opened(pool.original(photos[0])).size == photos[0].size


def test_an_unknown_source_is_a_usage_error(holdings: Holdings) -> None:
    with pytest.raises(UsageError, match="pool"):
        Prints(holdings.flickr, "photos")  # type: ignore[arg-type]  # wrong on purpose
