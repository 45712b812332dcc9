"""Tiles of the drawn land: what they lack, and addresses that mean nothing."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collector.aerial.grid import tile_at
from collector.geo import distance_km
from collector.geodata.readers import raster
from collector.labels import LabelTree
from collector.sandbox import land
from collector.sandbox.holdings import deal
from collector.sandbox.land import DRAWN, LAND, REGION, geotiffs, ground_photo, layer
from collector.sandbox.painter import LOOKS
from collector.sandbox.scenes import CITIES, aerial_picture, render
from collector.sandbox.tiles_api import is_tile, lack, tile


@pytest.mark.parametrize(
    "target",
    [
        "/tiles/3/4.png", "/tiles/x/1/1.png", "/tiles/-1/0/0.png", "/tiles/99999999/1/1.png", "/tiles/3/9/1.png",
        "/tms/3/1/-5.png", "/wms", "/wms?BBOX=1,2,3", "/wms?VERSION=1.3.0&CRS=EPSG:4326&BBOX=nan,0,1,1",
        "/wms?VERSION=1.3.0&CRS=EPSG:4326&BBOX=5,0,1,1", "/wms?VERSION=1.1.1&SRS=EPSG:3857&BBOX=0,0,1e300,1",
    ],
)  # fmt: skip
def test_what_means_nothing_is_not_there(target: str) -> None:
    assert is_tile(target.partition("?")[0])
    assert tile(target, 0.0)[0] == 404


def test_some_tiles_lack_something_for_ever_and_all_kinds_come() -> None:
    addresses = [f"/tiles/13/{x}/4500.png" for x in range(4000, 4200)]
    kinds = {lack(address, 0.2) for address in addresses}
    assert kinds == {"", "absent", "blank", "odd", "large"}
    assert 20 < sum(bool(lack(address, 0.2)) for address in addresses) < 60
    for kind in ("blank", "large", ""):
        address = next(one for one in addresses if lack(one, 0.2) == kind)
        picture = np.asarray(Image.open(io.BytesIO(tile(address, 0.2)[2])))
        assert (picture.std() > 0) == (kind != "blank")
        assert picture.shape == (64, 128 if kind == "large" else 64, 3)


def test_ground_and_air_change_with_the_layers_and_not_with_the_place() -> None:
    rng = np.random.default_rng(0)
    places = np.stack([rng.uniform(-24, -19, 300), rng.uniform(-30, -25, 300)], axis=1)
    values = np.stack([layer(name, places) for name in DRAWN], axis=1)
    assert np.abs(np.corrcoef(values.T) - np.eye(len(DRAWN))).max() < 0.5  # no layer stands for another
    assert ((values > 0) & (values < 1)).all()
    one, other = (np.asarray(ground_photo(LAND[0].latitude, LAND[0].longitude, seed), float) for seed in (1, 2))
    assert np.abs(one - other).mean() > 5  # another view of the same place


def test_a_city_is_from_above_what_its_photos_show_and_ends_at_its_radius() -> None:
    for city in CITIES:
        look = LOOKS[city.slug]
        of = tile_at(city.latitude, city.longitude, 13)
        pixels = np.asarray(Image.open(io.BytesIO(tile(f"/tiles/13/{of.x}/{of.y}.png", 0.0)[2]))).reshape(-1, 3)
        assert {*map(tuple, pixels.tolist())} <= {look.land, look.stone, look.plants, look.sea, *look.roofs}
    edge = CITIES[0].latitude + CITIES[0].radius_km / 111.195
    column = aerial_picture(np.array([edge - 0.001, edge + 0.001]), np.array([CITIES[0].longitude]))[:, 0]
    assert tuple(column[0].tolist()) in {look.land for look in LOOKS.values()} | set(LOOKS["quellmora"].roofs) | {
        LOOKS["quellmora"].stone, LOOKS["quellmora"].plants, LOOKS["quellmora"].sea
    }  # fmt: skip
    beyond = land.aerial_picture(np.array([edge - 0.001, edge + 0.001]), np.array([CITIES[0].longitude]))[:, 0]
    assert column[1].tolist() == beyond[1].tolist()


def test_photos_of_the_land_lie_at_commons_in_their_shires_and_show_what_is_there() -> None:
    holdings, without = deal(0, 2, 20, land=20), deal(0, 2, 20)
    photos = [item for item in holdings.commons.items if item.city.startswith("shire")]
    assert len(photos) == 9 * 20
    assert [item for item in holdings.commons.items if item not in photos] == list(without.commons.items)
    assert holdings.flickr == without.flickr
    places = {shire.slug: shire for shire in LAND}
    tree = LabelTree.of(REGION)
    quarters: dict[str, set[str]] = {}
    for item in photos:
        shire = places[item.city]
        assert distance_km(*item.indexed, shire.latitude, shire.longitude) < shire.radius_km
        quarters.setdefault(f"{item.scene.author_id} in {item.city}", set()).add(
            tree.finest(item.city, *item.indexed).id
        )
    assert {len(of) for of in quarters.values()} == {1}  # so that a quarter can be held out with its authors
    scene = photos[0].scene
    small = ground_photo(
        scene.latitude, scene.longitude, scene.seed, *(side * 96 // max(scene.size) for side in scene.size)
    )
    assert np.array_equal(np.asarray(render(scene)), np.asarray(small.resize(scene.size)))


def test_layers_of_the_land_as_geotiffs(tmp_path: Path) -> None:
    (tmp_path / "elevation.tif").write_bytes(geotiffs()["elevation"])
    places = np.array([[shire.latitude, shire.longitude] for shire in LAND])
    read = raster(tmp_path / "elevation.tif")
    assert np.abs(read(places) - land.values(places)["elevation"]).max() < 100  # of 2,000 m, a point each 2 km
    assert np.isnan(read(np.array([[0.0, 0.0]]))).all()
