"""Fetching tiles of the imaginary land from this machine: faults, what is not there, a killed run, a service's no."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image

from collector import front_door
from collector.aerial.fetch import aerial, fetch, ledger, plan
from collector.aerial.grid import Tile, tiles_of
from collector.aerial.services import Service
from collector.aerial.table import NAME, read
from collector.errors import DataError, IncompleteError, UsageError
from collector.manifest.manifest import read_manifest
from collector.net.client import Http
from collector.records import City
from collector.sandbox.land import LAND
from collector.sandbox.land_server import LandServer, serving
from collector.workspace import Workspace

CITIES = (City("shire", "Shire", LAND[0].latitude, LAND[0].longitude, 8.0),)
ZOOM = 15
T = TypeVar("T")


@pytest.fixture
def server() -> Iterator[LandServer]:
    with serving(LandServer(trouble=0.15, lacking=0.1)) as running:
        yield running


def of(server: LandServer, **others: object) -> Service:
    facts = {"name": "land", "title": "Land", "licence": "CC0-1.0", "attribution": "nobody", "own": True}
    return Service(**{**facts, "url": f"{server.url}/tiles/{{z}}/{{x}}/{{y}}.png", **others})  # type: ignore[arg-type]


def at_once(service: Service) -> Http:
    """Return what asks without waiting between tries."""
    return Http(service.access, sleep=lambda seconds: None)


def test_nothing_is_lost_and_nothing_is_asked_for_twice(server: LandServer, workspace: Workspace) -> None:
    service, tiles = of(server), tiles_of(CITIES, ZOOM)
    found = fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert found.fetched + sum(found.without.values()) == len(tiles)
    assert set(found.without) <= {"absent", "blank", "odd"}
    paths = {tile: f"/tiles/{tile.z}/{tile.x}/{tile.y}.png" for tile in tiles}
    assert sum(server.fault(path) in ("busy", "broken", "page") for path in paths.values()) > 3
    for tile, entry in ledger(workspace, service).items():
        fault = server.fault(paths[tile])
        assert entry.why == {"absent": "absent", "blank": "blank", "odd": "odd", "large": "odd"}.get(fault, "")
        if entry.sha256:
            assert hashlib.sha256(aerial(workspace).photo(entry.sha256).read_bytes()).hexdigest() == entry.sha256
    before = dict(server.asked)
    again = fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert (again.fetched, again.here) == (0, found.fetched)
    assert dict(server.asked) == before
    assert set(server.answered.values()) == {1}


def test_a_killed_run_goes_on(server: LandServer, workspace: Workspace) -> None:
    service = of(server)

    def killed(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        for number, item in enumerate(items):
            if number == 20:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        fetch(workspace, service, CITIES, ZOOM, track=killed, http=at_once(service))  # type: ignore[arg-type]
    assert len(ledger(workspace, service)) == 20
    path = aerial(workspace).root / "ledger" / "land.jsonl"
    with path.open("ab") as file:
        file.write(b'{"tile": [15, 1')  # the line that was being written
    assert plan(workspace, service, CITIES, ZOOM).ask == len(tiles_of(CITIES, ZOOM)) - 20
    fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert len(ledger(workspace, service)) == len(tiles_of(CITIES, ZOOM))
    assert set(server.answered.values()) == {1}


def test_all_ways_of_asking_show_the_same_land(workspace: Workspace) -> None:
    with serving(LandServer(trouble=0.0)) as server:
        ways = {
            "tiles": of(server),
            "tms": of(server, url=f"{server.url}/tms/{{z}}/{{x}}/{{-y}}.png"),
            **{
                f"wms-{version}-{crs}": of(
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


def test_a_service_that_says_no_and_one_that_is_asked_for_too_much(server: LandServer, workspace: Workspace) -> None:
    service = of(server, most=5)
    with pytest.raises(UsageError, match=r"more than 5; .*--most"):
        fetch(workspace, service, CITIES, ZOOM, http=at_once(service))
    assert not server.asked
    server.quiet = True
    with pytest.raises(IncompleteError, match="says no"):
        fetch(workspace, service, CITIES, ZOOM, 500, http=at_once(service))
    assert sum(server.asked.values()) == 1
    with pytest.raises(UsageError, match="has 3 to 4"):
        plan(workspace, of(server, zooms=(3, 4)), CITIES, ZOOM)
    with pytest.raises(UsageError, match="no pictures of Shire"):
        plan(workspace, of(server, bounds=(40.0, 26.0, 42.0, 45.0)), CITIES, ZOOM)


def test_a_damaged_ledger_names_its_line(server: LandServer, workspace: Workspace) -> None:
    path = aerial(workspace).root / "ledger" / "land.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"tile": [15, 1, 2], "why": "absent"}\nno line\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2 is damaged"):
        ledger(workspace, of(server))


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


def test_a_manifest_gets_the_table_of_its_tiles(
    server: LandServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.benchmark.land import make_land

    land = make_land(tmp_path, {"train": 1, "val": 1, "test": 1}, [], of_a_city=5)
    server.trouble = 0.0
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
