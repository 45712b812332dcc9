"""`t15 geodata`, as a person meets it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio  # type: ignore[import-untyped]
from rasterio.transform import from_origin  # type: ignore[import-untyped]

from collector import front_door
from collector.geodata.layers import LAYERS
from collector.geodata.table import NAME, read
from collector.manifest.manifest import Header, build_manifest, read_manifest, write_manifest
from collector.records import City, Photo

SANDBOX = Path(__file__).parents[3] / "manifests" / "sandbox" / "1.0.0"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("T15_GEODATA", str(tmp_path / "geodata"))

    def run(*arguments: object) -> tuple[int, str, str]:
        code = front_door.run(["geodata", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    folder = tmp_path / "1.0.0"
    folder.mkdir()
    for file in filter(Path.is_file, SANDBOX.iterdir()):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_table_beside_the_manifest_that_stays_as_it_is(run: Run, manifest: Path) -> None:
    before = {file.name: file.read_bytes() for file in manifest.iterdir()}
    assert "would be written" in run("add", manifest, "--layer", "coast", "--dry-run")[1]
    assert {file.name for file in manifest.iterdir()} == set(before)
    code, out, _ = run("add", manifest, "--layer", "coast", "--layer", "country", "--json")
    result = json.loads(out)
    assert (code, result["photos"]) == (0, 480)
    assert {name: (manifest / name).read_bytes() for name in before} == before
    table = pq.read_table(manifest / NAME)
    assert table.column_names == ["photo_id", "coast", "country"]
    of = read_manifest(manifest)
    attributes = read(of, manifest / NAME)
    assert attributes is not None
    assert np.isfinite(attributes.columns["coast"]).sum() == result["known"]["coast"] > 0
    assert attributes.layers["coast"]["licence"] == "public domain"
    assert attributes.columns["country"].dtype == object


def test_a_table_of_another_manifest_or_damaged_is_named(run: Run, manifest: Path) -> None:
    from collector.errors import DataError

    run("add", manifest, "--layer", "coast")
    of = read_manifest(manifest)
    for change in (b"", b"PAR1 and more"):
        (manifest / NAME).write_bytes(change)
        with pytest.raises(DataError, match="t15 geodata add"):
            read(of, manifest / NAME)
    (manifest / NAME).unlink()
    assert read(of, manifest / NAME) is None


ODD_PLACES = {
    "sea": (0.0, -30.0), "north-pole": (90.0, 0.0), "south-pole": (-90.0, 123.0), "east": (-16.8, 179.99),
    "west": (-16.8, -179.99), "line": (-19.0, 180.0), "line-again": (-19.0, -180.0), "nowhere": (None, None),
    "town": (41.0, 29.0),
}  # fmt: skip


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A manifest of photos at sea, at the poles, on both sides of the date line and of a place not known."""
    cities = (
        City("sea", "Sea", 0.0, -30.0, 5.0), City("top", "Top", 90.0, 0.0, 50.0), City("end", "End", -90.0, 0.0, 50.0),
        City("line", "Line", -18.4, 180.0, 300.0), City("town", "Town", 41.0, 29.0, 10.0),
    )  # fmt: skip
    of = {"north-pole": "top", "south-pole": "end", "town": "town", "sea": "sea", "nowhere": "sea"}
    photos = [
        Photo(
            f"odd:{name}", of.get(name, "line"), *place, width=64, height=64, bytes=9, sha256=f"{number:064x}", split="train",
        )
        for number, (name, place) in enumerate(ODD_PLACES.items())
    ]  # fmt: skip
    header = Header(
        name="odd", version="1.0.0", region="odd", title="Odd", note="", seed=0, quotas={}, rules={}, cities=cities
    )
    write_manifest(build_manifest(header, photos, "tests"), tmp_path / "odd" / "1.0.0")
    return tmp_path / "odd" / "1.0.0"


def test_photos_at_sea_at_the_poles_across_the_date_line_and_outside_a_layer(
    run: Run, odd: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    rasters = {
        "across": ("EPSG:4326", 170.0, 0.0, 1.0),  # 170° E to 170° W
        "mercator": ("EPSG:3857", 3.1e6, 5.1e6, 1e4),  # has no poles; around the town
        "polar": ("EPSG:3031", -1e5, 1e5, 1e4),  # around the south pole
    }
    for name, (crs, west, north, step) in rasters.items():
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", driver="GTiff", height=20, width=20, count=1, dtype="float32", crs=crs,
            transform=from_origin(west, north, step, step),
        ) as file:  # fmt: skip
            file.write(np.ones((1, 20, 20), np.float32))
        assert run("bring", name, tmp_path / f"{name}.tif", "--source", "Me", "--licence", "CC0-1.0")[0] == 0
    asked = [word for name in ("country", "coast", *rasters) for word in ("--layer", name)]
    code, out, _ = run("add", odd, *asked, "--json")
    assert (code, json.loads(out)["photos"]) == (0, len(ODD_PLACES))
    table = pq.read_table(odd / NAME)
    rows = {row["photo_id"].removeprefix("odd:"): row for row in table.to_pylist()}
    known = {name: {of for of, row in rows.items() if row[name] is not None} for name in ("country", "coast", *rasters)}
    assert known == {
        "country": {"east", "west", "town"},
        "coast": set(rows) - {"south-pole", "nowhere"},  # no outline has Antarctica
        "across": {"east", "west", "line", "line-again"},
        "mercator": {"town"},
        "polar": {"south-pole"},
    }
    assert rows["east"]["country"] == rows["west"]["country"] == "Fiji"
    assert rows["east"]["coast"] == pytest.approx(rows["west"]["coast"], abs=2.5)
    assert not [warning for warning in recwarn if "cast" in str(warning.message)]


def test_a_layer_that_lacks_tiles_is_left_out_and_the_others_are_asked(
    run: Run, odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.geodata.layers.LAYERS", {name: LAYERS[name] for name in ("coast", "land_cover")})
    (tmp_path / "geodata" / "tiles" / "land_cover").mkdir(parents=True)
    (tmp_path / "geodata" / "tiles" / "land_cover" / "tiles.json").write_text("{}")
    code, out, notes = run("add", odd)
    assert code == 0
    assert "7 of 9" in out
    assert "layer land_cover: left out" in notes
    assert "t15 geodata fetch land_cover" in notes
    assert pq.read_table(odd / NAME).column_names == ["photo_id", "coast"]
    code, _, complaint = run("add", odd, "--layer", "land_cover")
    assert (code, complaint.count("\n")) == (3, 1)
    assert "is not here" in complaint


def test_one_place(run: Run) -> None:
    code, out, _ = run("at", "41.01", "28.98", "--layer", "country", "--layer", "coast", "--json")
    found = json.loads(out)
    assert (code, found["country"]) == (0, "Turkey")
    assert 0 < found["coast"] < 10
    assert "Turkey" in run("at", "41.01", "28.98", "--layer", "country")[1]
    assert "United States" in run("at", "37.78", "-122.42", "--layer", "country")[1]  # no option, but the west


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("at", "128.98", "41.01", "--layer", "coast"), 2, "latitude -90 to 90 comes first"),
        (("at", "41.01", "nan", "--layer", "coast"), 2, "is no place"),
        (("at", "41", "29", "--layer", "cost"), 2, "did you mean 'coast'"),
        (("at", "41", "29", "--layer", "elevation"), 2, "t15 geodata bring elevation"),
        (("bring", "elevation", "nowhere.npz"), 2, "no such file"),
        (("bring", "income", "nowhere.tif"), 2, "--source and --licence"),
        (("bring", "../x", "nowhere.tif"), 2, "lower-case letters"),
        (("bring", "income", "nowhere.tif", "--source", "Me", "--licence", "CC0-1.0"), 2, "no such file"),
        (("fetch", "climate"), 2, "elevation_90m, land_cover"),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    found, out, complaint = run(*arguments)
    assert (found, out) == (code, "")
    assert message in complaint
    assert complaint.count("\n") == 1


def test_a_file_that_is_no_layer_is_not_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_bytes(b"no tiff")
    for name, more in (("elevation", ()), ("income", ("--source", "Me", "--licence", "CC0-1.0"))):
        code, _, complaint = run("bring", name, tmp_path / "bad.tif", *more)
        assert code == 3, complaint
        assert not list((tmp_path / "geodata").glob("*"))


def test_the_list_says_what_is_here(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--json")[1])}
    assert rows["coast"]["here"] is True
    assert rows["elevation"]["here"] is False
    assert "Natural Earth" in run("list")[1]
