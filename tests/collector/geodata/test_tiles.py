"""Tiles of a region: which ones, fetched politely from loopback, asked again, and looked up."""

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from collector.errors import DataError, IncompleteError, UsageError
from collector.geodata import tiles
from collector.geodata.layers import find_layer
from collector.records import City

rasterio = pytest.importorskip("rasterio")
from rasterio.transform import from_origin  # type: ignore[import-untyped]  # noqa: E402


def tile(south: int, west: int, degrees: int = 1) -> bytes:
    """Return a GeoTIFF whose values tell their place: 100 times the latitude of the row."""
    size, step = 10, degrees / 10
    rows = 100 * (south + degrees - step * (np.arange(size) + 0.5))
    profile = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "float32"}
    with io.BytesIO() as buffer:
        with rasterio.open(
            buffer, "w", crs="EPSG:4326", transform=from_origin(west, south + degrees, step, step), **profile
        ) as file:
            file.write(np.repeat(rows[:, None], size, axis=1).astype(np.float32), 1)
        return buffer.getvalue()


@pytest.fixture
def asked(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Serve tiles of land; return how often each was asked for."""
    monkeypatch.setenv("T15_GEODATA", str(tmp_path / "geodata"))
    monkeypatch.setenv("T15_GEODATA_URL", httpserver.url_for("").rstrip("/"))
    counts: Counter[str] = Counter()

    def serve(request: Request) -> Response:
        name = request.path.rpartition("/")[2]
        counts[name] += 1
        if "E031" in name:
            return Response(status=404)
        south = int(name.split("_N")[1][:2])
        west = int(name.split("_E")[1][:3])
        return Response(tile(south, west), content_type="image/tiff")

    httpserver.expect_request(re.compile("/.*")).respond_with_handler(serve)
    return counts


CITY = City("x", "X", 39.95, 30.95, 20.0)


def test_the_tiles_of_a_circle() -> None:
    assert tiles.corners([CITY], 1) == [(39, 30), (39, 31), (40, 30), (40, 31)]
    assert tiles.corners([CITY], 3) == [(39, 30)]
    fiji = City("f", "F", -17.5, 179.95, 20.0)
    assert tiles.corners([fiji], 1) == [(-18, -180), (-18, 179)]
    pole = tiles.corners([City("p", "P", 89.9, 0.0, 30.0)], 3)
    assert {south for south, _ in pole} == {87}
    assert len(pole) == 120


def test_names_of_tiles() -> None:
    name = tiles.TILINGS["elevation_90m"].address(-3, -60)
    assert name.endswith("/Copernicus_DSM_COG_30_S03_00_W060_00_DEM.tif")
    assert tiles.TILINGS["land_cover"].address(39, 33).endswith("ESA_WorldCover_10m_2021_v200_N39E033_Map.tif")


def test_tiles_are_fetched_once_and_looked_up(asked: Counter[str]) -> None:
    assert tiles.fetch("elevation_90m", [CITY], dry_run=True) == tiles.Fetched(fetched=4, here=0, absent=0)
    assert not asked
    assert not tiles.ready("elevation_90m")
    assert tiles.fetch("elevation_90m", [CITY]) == tiles.Fetched(fetched=2, here=0, absent=2)
    assert tiles.fetch("elevation_90m", [CITY]) == tiles.Fetched(fetched=0, here=2, absent=2)
    assert tiles.fetch("elevation_90m", [CITY], dry_run=True) == tiles.Fetched(fetched=0, here=2, absent=2)
    assert set(asked.values()) == {1}
    layer = find_layer("elevation_90m")
    found = layer.values(np.array([[39.95, 30.5], [40.05, 30.5], [39.95, 31.5], [float("nan"), 1]]))
    np.testing.assert_allclose(found, [3995, 4005, np.nan, np.nan])
    with pytest.raises(DataError, match=r"N50_00_E030_00.*t15 geodata fetch elevation_90m"):
        layer.values(np.array([[50.5, 30.5]]))


@pytest.mark.parametrize(
    "answer",
    [
        Response("<html>log in</html>", content_type="text/html"),
        Response("", content_type="image/tiff"),
        Response("not a tiff", content_type="image/tiff"),
        Response(status=403),
    ],
    ids=["html", "empty", "other", "forbidden"],
)
def test_what_is_no_tile_is_not_kept_and_asked_again(
    answer: Response, asked: Counter[str], httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.net.client.TRIES", 1)
    real, spoiled = tile(39, 30), [True]

    def serve(request: Request) -> Response:
        if "N39_00_E030" in request.path:
            return answer if spoiled[0] else Response(real, content_type="image/tiff")
        return Response(status=404)

    httpserver.clear()
    httpserver.expect_request(re.compile("/.*")).respond_with_handler(serve)
    with pytest.raises(IncompleteError, match=r"1 of 4 tiles.*run the same command again"):
        tiles.fetch("elevation_90m", [CITY])
    spoiled[0] = False
    assert tiles.fetch("elevation_90m", [CITY]) == tiles.Fetched(fetched=1, here=0, absent=3)


def test_a_layer_that_is_no_tiling() -> None:
    with pytest.raises(UsageError, match="elevation_90m, land_cover"):
        tiles.fetch("climate", [CITY])
