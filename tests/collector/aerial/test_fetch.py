"""Fetching tiles of the imaginary land from this machine: faults, what is not there, a killed run, a service's no."""

import hashlib
import io
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collector import front_door
from collector.aerial.fetch import aerial, fetch, ledger, plan
from collector.aerial.grid import Tile, tiles_of
from collector.aerial.services import Service, find_service
from collector.aerial.table import NAME, read
from collector.areas import as_toml
from collector.errors import DataError, IncompleteError, UsageError
from collector.manifest.manifest import read_manifest
from collector.records import City, Region
from collector.sandbox import tiles_api
from collector.sandbox.holdings import deal
from collector.sandbox.land import LAND
from collector.sandbox.server import Sandbox, Trouble, serving
from collector.sandbox.tiles_api import lack
from collector.workspace import Workspace
from tests.benchmark.land import at_once, make_land, service_of
from tests.collector.aerial.fetching import start_fetching
from tests.collector.collecting.sandboxed import kill
from tests.collector.net.servers import Server, answer

CITIES = (City("shire", "Shire", LAND[0].latitude, LAND[0].longitude, 4.5),)
ZOOM = 15


LACKING = 0.1
FAULTS = ("rate-limited", "server-error", "reset", "truncated", "html", "empty")  # after which one has to ask again


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with serving(deal(0, 1, 1), Trouble(0.25, kinds=FAULTS), lacking=LACKING) as running:
        yield running


def asked(server: Sandbox) -> Counter[str]:
    """Return how often each address was asked for and answered, without what went wrong."""
    return Counter(seen.target for seen in server.log if not seen.trouble)


def address(tile: Tile) -> str:
    return f"/tiles/{tile.z}/{tile.x}/{tile.y}.png"


def test_nothing_is_lost_and_nothing_is_asked_for_twice(server: Sandbox, workspace: Workspace) -> None:
    service, tiles = service_of(server), tiles_of(CITIES, ZOOM)
    found = fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert found.fetched + sum(found.without.values()) == len(tiles)
    assert set(found.without) <= {"absent", "blank", "odd"}
    assert sum(server.requests[f"aerial.tile/{fault}"] for fault in FAULTS) > 8
    for tile, entry in ledger(workspace, service).items():
        lacks = lack(address(tile), LACKING)
        assert entry.why == {"absent": "absent", "blank": "blank", "odd": "odd", "large": "odd"}.get(lacks, "")
        if entry.sha256:
            assert hashlib.sha256(aerial(workspace).photo(entry.sha256).read_bytes()).hexdigest() == entry.sha256
    assert asked(server) == Counter(map(address, tiles))
    again = fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert (again.fetched, again.here) == (0, found.fetched)
    assert asked(server) == Counter(map(address, tiles))


def test_a_killed_run_goes_on(server: Sandbox, workspace: Workspace, tmp_path: Path) -> None:
    file, region = tmp_path / "drawn.toml", tmp_path / "region.toml"
    file.write_text(server.aerial_service(), encoding="utf-8")
    region.write_text(as_toml(Region("land", "Land", CITIES)), encoding="utf-8")
    server.change(Trouble(0.25, kinds=FAULTS, retry_after=0))
    started = start_fetching(workspace, file, region, ZOOM)
    assert kill(started, lambda: server.requests["aerial.tile"] >= 20)
    service = find_service(str(file))
    known = ledger(workspace, service)
    assert plan(workspace, service, CITIES, ZOOM).ask == len(tiles_of(CITIES, ZOOM)) - len(known)
    with (aerial(workspace).root / "ledger" / "drawn.jsonl").open("ab") as line:
        line.write(b'{"tile": [15, 1')  # one that was being written
    fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert set(ledger(workspace, service)) == set(tiles_of(CITIES, ZOOM))
    twice = [target for target, times in asked(server).items() if times > 1]
    assert len(twice) <= 1  # what was on its way when the run was killed


def test_all_ways_of_asking_show_the_same_land(workspace: Workspace) -> None:
    with serving(deal(0, 1, 1), lacking=0.0) as server:
        ways = {
            "tiles": service_of(server),
            "tms": service_of(server, url=f"{server.url}/tms/{{z}}/{{x}}/{{-y}}.png"),
            **{
                f"wms-{version}-{crs}": service_of(
                    server, url=f"{server.url}/wms", kind="wms", layers="land", version=version, crs=crs
                )
                for version in ("1.1.1", "1.3.0")
                for crs in ("EPSG:3857", "EPSG:4326")
            },
        }
        tile = tiles_of(CITIES, ZOOM)[0]
        pictures = {}
        for name, service in ways.items():
            sink = io.BytesIO()
            at_once(service).fetch(service.address(tile), sink, max_bytes=1 << 20, robots=False)
            pictures[name] = np.asarray(Image.open(sink), np.float64)
    for name, picture in pictures.items():
        assert np.abs(picture - pictures["tiles"]).mean() < 1.5, name


def test_a_service_that_says_no_and_one_that_is_asked_for_too_much(
    server: Sandbox, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(server, most=5)
    with pytest.raises(UsageError, match=r"more than 5 a day; .*--most"):
        fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert not server.log
    fetch(workspace, service, CITIES, ZOOM - 1, 500, http=at_once(service))
    of_today = len(tiles_of(CITIES, ZOOM - 1))
    with pytest.raises(
        UsageError, match=rf"{of_today} were asked for in the last 24 hours, more than {of_today} a day"
    ):
        fetch(workspace, service, CITIES, ZOOM, of_today, http=at_once(service))
    path = aerial(workspace).root / "ledger" / "land.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(time.time() - 60 < line["at"] <= time.time() for line in lines)
    path.write_text("".join(json.dumps({**line, "at": line["at"] - 86_400}) + "\n" for line in lines), encoding="utf-8")
    server.log.clear()
    server.change(Trouble())
    monkeypatch.setattr(tiles_api, "tile", lambda target, share: (403, "text/plain", b"not you"))
    with pytest.raises(IncompleteError, match="says no"):
        fetch(workspace, service, CITIES, ZOOM, len(tiles_of(CITIES, ZOOM)), http=at_once(service))
    assert len(server.log) == 1
    with pytest.raises(UsageError, match="has 3 to 4"):
        plan(workspace, service_of(server, zooms=(3, 4)), CITIES, ZOOM)
    with pytest.raises(UsageError, match="no pictures of Shire"):
        plan(workspace, service_of(server, bounds=(40.0, 26.0, 42.0, 45.0)), CITIES, ZOOM)


def test_who_gives_no_pictures_at_all_is_not_asked_for_each_of_them(workspace: Workspace) -> None:
    with Server(answer(b"<html>", kind="text/html")) as server:
        service = Service("html", "H", f"{server.url}/{{z}}/{{x}}/{{y}}", "CC0-1.0", "me", own=True)
        with pytest.raises(IncompleteError, match="5 of 46 tiles could not be had now, 5 in a row"):
            fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert not ledger(workspace, service)


def test_a_damaged_ledger_names_its_line(server: Sandbox, workspace: Workspace) -> None:
    path = aerial(workspace).root / "ledger" / "land.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"tile": [15, 1, 2], "why": "absent"}\nno line\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2 is damaged"):
        ledger(workspace, service_of(server))


def test_a_picture_on_this_machine_is_cut_into_tiles(tmp_path: Path, workspace: Workspace) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import from_bounds  # type: ignore[import-untyped]

    tile = tiles_of(CITIES, ZOOM)[0]
    south, west, north, east = tile.box
    pixels = np.zeros((3, 100, 100), np.uint8)
    pixels[0, :50] = 200  # red in the north
    pixels[2] = 90
    path = tmp_path / "ortho.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=100, count=3, dtype="uint8", crs="EPSG:4326",
        transform=from_bounds(west, south, east, north, 100, 100),
    ) as file:  # fmt: skip
        file.write(pixels)
    service = Service("ortho", "O", str(path), "CC0-1.0", "me", kind="raster", own=True)
    found = fetch(workspace, service, CITIES, ZOOM)
    entries = ledger(workspace, service)
    assert found.without["absent"] >= len(entries) - 9
    picture = np.asarray(Image.open(aerial(workspace).photo(entries[tile].sha256)))
    assert picture.shape == (256, 256, 3)
    assert picture[20, 128].tolist() == [200, 0, 90]
    assert picture[-20, 128].tolist() == [0, 0, 90]


def test_windows_of_a_geotiff_elsewhere_are_read_by_ranges(tmp_path: Path, workspace: Workspace) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import from_bounds

    tile = tiles_of(CITIES, ZOOM)[0]
    south, west, north, east = tile.box
    path, side = tmp_path / "cog.tif", 1024
    pixels = np.random.default_rng(0).integers(0, 255, (3, side, side), np.uint8)  # 3 MB that cannot be packed
    pixels[:, : side // 8, : side // 8] = 77
    width, height = 8 * (east - west), 8 * (north - south)  # the tile is an eighth of the picture
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8", crs="EPSG:4326", tiled=True,
        blockxsize=128, blockysize=128, transform=from_bounds(west, north - height, west + width, north, side, side),
    ) as file:  # fmt: skip
        file.write(pixels)
    content = path.read_bytes()
    city = City("one", "One", *tile.centre, 0.1)

    def part(connection: socket.socket) -> None:
        start, end = map(int, re.findall(r"Range: bytes=(\d+)-(\d+)", elsewhere.requests[-1])[0])
        of = content[start : end + 1]
        range_ = f"Content-Range: bytes {start}-{start + len(of) - 1}/{len(content)}"
        connection.sendall(answer(of, 206, range_, kind="image/tiff"))

    with Server(answer(b"busy", 503), part) as elsewhere:
        service = Service("cog", "C", f"{elsewhere.url}/cog.tif", "CC0-1.0", "me", kind="raster", own=True)
        found = fetch(workspace, service, (city,), ZOOM, http=at_once(service))
        assert (found.fetched, plan(workspace, service, (city,), ZOOM).ask) == (1, 0)
        assert 64 * len(elsewhere.requests) * 1024 < len(content) / 2
    picture = np.asarray(Image.open(aerial(workspace).photo(ledger(workspace, service)[tile].sha256)))
    assert np.abs(picture[8:-8, 8:-8].astype(int) - 77).max() <= 1
    for script, fault in ((answer(content[:9000], 200), "no-ranges"), (answer(b"", 404), "404")):
        with Server(script) as elsewhere:
            other = Service("other", "C", f"{elsewhere.url}/cog.tif", "CC0-1.0", "me", kind="raster", own=True)
            with pytest.raises(IncompleteError, match=fault):
                fetch(workspace, other, (city,), ZOOM, http=at_once(other))


def test_a_manifest_gets_the_table_of_its_tiles(
    server: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    land = make_land(tmp_path, {"train": 1, "val": 1, "test": 1}, [], of_a_city=5)
    server.change(Trouble())
    file, region = tmp_path / "land.toml", tmp_path / "region.toml"
    file.write_text(
        f'[land]\ntitle="Land"\nurl="{server.url}/tiles/{{z}}/{{x}}/{{y}}.png"\nlicence="CC0-1.0"\nattribution="nobody"\n',
        encoding="utf-8",
    )
    cities = "".join(
        f'[[city]]\nslug="{c.slug}"\nname="{c.name}"\nlatitude={c.latitude}\nlongitude={c.longitude}\nradius_km=25.0\n'
        for c in LAND[:2]
    )
    region.write_text(f'name="land"\ntitle="Land"\n{cities}', encoding="utf-8")
    common = ["--service", str(file), "--zoom", "10", "--workspace", str(land.workspace.root)]
    assert front_door.run(["aerial", "add", str(land.folder), *common]) == 2
    assert "no tile of land at zoom 10 is here" in capsys.readouterr().err
    assert front_door.run(["aerial", "plan", "--region", str(region), *common]) == 0
    assert "would be asked for" in capsys.readouterr().out
    assert front_door.run(["aerial", "fetch", "--region", str(region), "--dry-run", *common]) == 0
    assert "0 are here" in capsys.readouterr().out
    assert front_door.run(["aerial", "fetch", "--region", str(region), *common]) == 0
    assert "to be credited: nobody" in capsys.readouterr().err
    assert front_door.run(["aerial", "add", str(land.folder), "--dry-run", *common]) == 0
    assert not (land.folder / NAME).exists()
    assert front_door.run(["aerial", "add", str(land.folder), *common]) == 0
    found = read(read_manifest(land.folder), land.folder / NAME)
    assert found is not None
    assert found.about["licence"] == "CC0-1.0"
    assert all(aerial(land.workspace).photo(digest).is_file() for digest in found.digests)
    assert Tile(*map(int, found.tiles[0].split("/"))).centre == pytest.approx(found.places[0].tolist())
    (land.folder / NAME).write_bytes(b"PAR1")
    with pytest.raises(DataError, match="t15 aerial add"):
        read(read_manifest(land.folder), land.folder / NAME)
