"""Tiles of the drawn land: what they lack, and addresses that mean nothing."""

import io

import numpy as np
import pytest
from PIL import Image

from collector.sandbox.land import DRAWN, LAND, ground_photo, layer
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
