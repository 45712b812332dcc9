"""`t15 geodata`, as a person meets it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from collector import front_door
from collector.geodata.table import NAME, read
from collector.manifest.manifest import read_manifest

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
