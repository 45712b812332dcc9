"""`t15 sandbox` says how to use it, and serves until it is stopped."""

import threading
from pathlib import Path

import pytest
import requests

from collector.aerial.grid import tile_at
from collector.aerial.services import find_service
from collector.errors import UsageError
from collector.regions import region
from collector.sandbox.land import DRAWN, LAND, REGION
from collector.sandbox.scenes import CITIES
from collector.sandbox.server import serve_forever


def test_it_says_what_to_export_and_what_to_run(tmp_path: Path) -> None:
    said: list[str] = []
    ready, stop = threading.Event(), threading.Event()

    def say(text: str) -> None:
        said.append(text)
        ready.set()

    file = tmp_path / "new folder" / "region.toml"
    server = threading.Thread(target=serve_forever, args=(0, 0, 5, 0.0, file, say, stop))
    server.start()
    assert ready.wait(10)
    exports = dict(line.removeprefix("export ").split("=", 1) for line in said[0].splitlines() if "export " in line)
    assert requests.get(exports["T15_COMMONS_URL"], params={"format": "json"}, timeout=5).ok
    assert {"T15_FLICKR_KEY", "T15_GOOGLE_KEY"} <= set(exports)
    collect = next(line for line in said[0].splitlines() if line.startswith("t15 collect"))
    assert f"--region '{file}'" in collect
    assert region(str(file)).cities == CITIES
    tiles = file.with_name("sandbox-tiles.toml")
    assert f"t15 aerial fetch --service '{tiles}'" in said[0]
    service = find_service(str(tiles))
    picture = requests.get(service.address(tile_at(CITIES[0].latitude, CITIES[0].longitude, 13)), timeout=5)
    assert picture.headers["Content-Type"] == "image/png"
    shires = region(str(file.with_name("sandbox-land.toml")))
    assert (shires.cities, shires.labels, shires.note) == (LAND, REGION.labels, REGION.note)
    assert "sandbox-land.toml' --workspace sandbox" in said[0]
    assert len(list(file.with_name("sandbox-layers").glob("land_*.tif"))) == len(DRAWN) + 1
    stop.set()
    server.join(10)
    assert not server.is_alive()


def test_wrong_numbers_are_usage_errors(tmp_path: Path) -> None:
    for settings in ((0, 0, 0, 0.0), (0, 0, 5, 1.5), (-1, 0, 5, 0.0)):
        with pytest.raises(UsageError):
            serve_forever(*settings, tmp_path / "region.toml")
    assert not list(tmp_path.iterdir())
