"""Addresses of tiles by hand, the gate of licences, and files that describe no service."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from collector.aerial.grid import Tile
from collector.aerial.services import OPEN, Service, find_service, presets
from collector.errors import DataError, ServiceError, UsageError
from collector.records import City

TILE = Tile(3, 5, 2)
FACTS: dict[str, Any] = {"name": "mine", "title": "Mine", "licence": "CC-BY-4.0", "attribution": "me"}


def test_rows_from_the_north_and_from_the_south() -> None:
    assert Service(**FACTS, url="https://a.example/{z}/{x}/{y}.png").address(TILE) == "https://a.example/3/5/2.png"
    assert Service(**FACTS, url="https://a.example/{z}/{x}/{-y}").address(TILE) == "https://a.example/3/5/5"


@pytest.mark.parametrize(
    ("version", "crs", "named", "order"),
    [
        ("1.1.1", "EPSG:4326", "SRS", "wsen"),
        ("1.3.0", "EPSG:4326", "CRS", "swne"),
        ("1.1.1", "EPSG:3857", "SRS", "metres"),
        ("1.3.0", "EPSG:3857", "CRS", "metres"),
    ],
)
def test_wms_gives_latitude_first_in_one_version_alone(version: str, crs: str, named: str, order: str) -> None:
    of = Service(**FACTS, url="https://a.example/wms?map=x", kind="wms", version=version, crs=crs, layers="ortho")
    query = parse_qs(urlsplit(of.address(TILE)).query, keep_blank_values=True)
    south, west, north, east = TILE.box
    boxes = {"wsen": (west, south, east, north), "swne": (south, west, north, east), "metres": TILE.metres}
    assert [float(edge) for edge in query["BBOX"][0].split(",")] == pytest.approx(boxes[order], rel=1e-8)
    assert (query[named], query["map"], query["VERSION"], query["STYLES"]) == ([crs], ["x"], [version], [""])


def test_presets_are_open_and_say_whom_to_credit() -> None:
    for of in presets().values():
        assert of.licence in OPEN
        assert of.attribution
        assert of.url.startswith("https://")
        assert not of.own
    assert "2017" in presets()["s2cloudless"].url
    assert not presets()["usgs"].covers(City("a", "A", 39.9, 32.8, 15.0))


def test_a_key_comes_from_the_environment_and_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    of = presets()["copernicus"]
    monkeypatch.delenv(of.key, raising=False)
    with pytest.raises(ServiceError, match="set T15_COPERNICUS_INSTANCE"):
        of.address(TILE)
    monkeypatch.setenv(of.key, "an id/1")
    assert of.address(TILE).startswith("https://sh.dataspace.copernicus.eu/ogc/wms/an%20id%2F1?SERVICE=WMS")
    assert of.access.secrets == ("an id/1",)
    assert set(of.access.hosts) == {"sh.dataspace.copernicus.eu"}
    assert "an id" not in repr(of) + repr(of.access)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://a.example/{key}/{z}/{x}/{y}", ""),
        ("https://a.example/{z}/{x}/{y}", "T15_MINE"),
        ("https://a.example/{key}/{z}/{x}/{y}", "AWS_SECRET_ACCESS_KEY"),
        ("https://{key}/{z}/{x}/{y}", "T15_MINE"),
    ],
)
def test_a_file_asks_for_no_key_that_is_not_its_own(tmp_path: Path, url: str, key: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        f'[mine]\ntitle="M"\nurl="{url}"\nkey="{key}"\nlicence="CC-BY-4.0"\nattribution="me"\n', encoding="utf-8"
    )
    with pytest.raises(DataError, match="key"):
        find_service(str(file))


def test_what_is_not_open_needs_a_word(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(
        '[mine]\ntitle="M"\nurl="https://a.example/{z}/{x}/{y}"\nlicence="CC-BY-NC-SA-4.0"\nattribution="me"\n',
        encoding="utf-8",
    )
    with pytest.raises(UsageError, match=r"CC-BY-NC-SA-4\.0.*--permitted"):
        find_service(str(file))
    assert find_service(str(file), permitted=True).own
    with pytest.raises(UsageError, match="did you mean 'usgs'"):
        find_service("usg")
    with pytest.raises(UsageError, match="no such file"):
        find_service(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('url="https://a.example/{z}/{x}"', "needs {z}, {x}, and {y}"),
        ('url="ftp://a.example/{z}/{x}/{y}"', "begins with https"),
        ('url="http://a.example/{z}/{x}/{y}"', "begins with https"),
        ('url="https://a.example/{z}/{x}/{y}"\nrate=0', "rate is above 0"),
        ('url="https://a.example/{z}/{x}/{y}"\nzooms=[5]', "zooms are two numbers"),
        ('url="https://a.example/{z}/{x}/{y}"\nkey="secret"', "key names an environment variable"),
        ('url="https://a.example/wms"\nkind="wms"', "layers is needed"),
        ("url=3", "are texts"),
    ],
)
def test_a_file_that_describes_no_service_says_why(tmp_path: Path, change: str, said: str) -> None:
    file = tmp_path / "own.toml"
    file.write_text(f'[mine]\ntitle="M"\nlicence="CC0-1.0"\nattribution="me"\n{change}\n', encoding="utf-8")
    with pytest.raises(DataError, match=said.replace("{", r"\{").replace("}", r"\}")):
        find_service(str(file))
