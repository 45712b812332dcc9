"""`t15 verify`, `diff`, `export`, `publish`, `rehydrate` and `withdraw`: what they say and how they end."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector import front_door
from collector.collecting.own_photos import own_photos
from collector.manifest.manifest import FORMAT, Manifest, build_manifest, read_manifest, write_manifest
from collector.records import PHOTO_FIELDS, SPLITS
from collector.sandbox.holdings import deal
from collector.sandbox.server import Trouble, serving
from collector.workspace import Workspace
from tests.collector.cli import CITIES, QUOTAS, House, furnish, like, tree
from tests.collector.collecting.sandboxed import FOR_EVER, lead_to
from tests.collector.sandbox.link_rot import Ageing, age

pytestmark = pytest.mark.usefixtures("charts_once")


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a house with the manifests sandbox 1.0.0, and 2.0.0 by another seed."""
    root = furnish(tmp_path_factory.mktemp("furnished"))
    for seed in ("0", "1"):
        common = ["--workspace", str(root / "workspace"), "--manifests", str(root / "manifests")]
        assert front_door.run(["split", *QUOTAS, "--seed", seed, *common]) == 0
    return root


@pytest.fixture
def house(furnished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    return like(furnished, tmp_path / "house", capsys)


@pytest.fixture
def first(house: House) -> Path:
    return house.manifests / "sandbox" / "1.0.0"


# --- verify


def test_a_private_publication_is_one_on_a_hub(house: House, first: Path) -> None:
    _, err = house.run("publish", first, "--private", code=2)
    assert "--private goes with --push" in err
    assert "--originals" in err


def test_verify(house: House, first: Path) -> None:
    manifest = read_manifest(first)
    out, _ = house.run("verify", first)
    assert out == f"ok: sandbox 1.0.0, 32 photos of 2 cities\ndigest {manifest.digest}\n"
    found = {
        "name": "sandbox",
        "version": "1.0.0",
        "format": FORMAT,
        "digest": manifest.digest,
        "photos": 32,
        "cities": 2,
    }
    found |= {"extra": None, "outside": []}
    assert house.json("verify", first) == found
    assert house.json("verify", f"{first}#sha256={manifest.digest}") == found
    assert "not 000" in house.complaint("verify", f"{first}#sha256={'0' * 64}", code=3)


def test_verify_tells_of_photos_outside_and_of_columns_that_it_does_not_know(house: House, first: Path) -> None:
    manifest = read_manifest(first)
    cities = tuple(replace(city, radius_km=1e-3) for city in manifest.header.cities)
    photos = [photo for side in SPLITS for photo in manifest.photos(side)]
    small = build_manifest(replace(manifest.header, cities=cities), photos, "t15 test")
    folder = first.with_name("9.0.0")
    write_manifest(small, folder)
    rows = pq.read_table(folder / "photos.parquet").append_column("weather", pa.array(["fine"] * len(photos)))
    pq.write_table(rows, folder / "photos.parquet")
    located = sorted((photo for photo in photos if photo.latitude is not None), key=lambda photo: photo.photo_id)
    found = house.json("verify", folder)["outside"]
    assert [of["photo_id"] for of in found] == [photo.photo_id for photo in located]
    assert all(of["km"] > of["radius_km"] == 1e-3 for of in found)
    out, _ = house.run("verify", folder)
    assert out.startswith("ok: ")
    assert f"{len(located)} photos outside of their city's radius" in out
    assert re.search(r"  row \d+ \(.*\): \d+\.\d km from", out)
    assert "columns that this t15 does not know: weather (digest " in out


Edit = Callable[[Path], None]


def rewritten(change: Callable[[list[dict[str, Any]]], None], schema: pa.Schema | None = None) -> Edit:
    """Return an edit of the rows that leaves everything else as it is, as a careless tool would."""

    def edit(folder: Path) -> None:
        path = folder / "photos.parquet"
        table = pq.read_table(path)
        rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema or table.schema), path)

    return edit


def truncated(folder: Path) -> None:
    path = folder / "photos.parquet"
    path.write_bytes(path.read_bytes()[:-40])


def one_byte(folder: Path) -> None:
    path = folder / "photos.parquet"
    data = bytearray(path.read_bytes())
    data[400] ^= 0x20
    path.write_bytes(bytes(data))


def newer(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text("utf-8").replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}'), "utf-8")


def odd_rules(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"quotas": {', '"quotas": ["train"], "was": {'), "utf-8")


def twice(rows: list[dict[str, Any]]) -> None:
    rows[4]["photo_id"] = rows[3]["photo_id"]


def elsewhere(rows: list[dict[str, Any]]) -> None:
    rows[5]["city"] = "atlantis"


def too_far_north(rows: list[dict[str, Any]]) -> None:
    rows[6]["latitude"] = 91.0


def another_side(rows: list[dict[str, Any]]) -> None:
    rows[7]["split"] = "test" if rows[7]["split"] != "test" else "train"


def one_less(rows: list[dict[str, Any]]) -> None:
    rows.pop()


def with_a_key(rows: list[dict[str, Any]]) -> None:
    rows[8]["image_url"] = "https://maps.example/x?key=AIzaSyVerySecret"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (truncated, r"photos\.parquet: is truncated or no Parquet file"),
        (one_byte, r"photos\.parquet: (rows 0 to 31, column \w+: damaged|is truncated|row|column)"),
        (rewritten(twice), r"photos\.parquet: row [34] \(photo_id 'sandbox:\S+'\), column photo_id: .* must be unique"),
        (rewritten(elsewhere), r"row 5 \(photo_id 'sandbox:\S+'\), column city: 'atlantis' must be a city of manifest"),
        (rewritten(too_far_north), r"row 6 \(photo_id 'sandbox:\S+'\), column latitude: 91\.0 must be from -90 to 90"),
        (rewritten(another_side), r"photos\.parquet: row\w* .*column split: the value is not the published one"),
        (rewritten(with_a_key), r"row 8 .*column image_url: must not carry a key or a signature$"),
        (rewritten(lambda rows: rows.reverse()), r"row 0 .*column photo_id: the value is not the published one"),
        (rewritten(one_less), r"photos\.parquet: rows were added or removed"),
        (newer, r"manifest\.json: was made by a newer t15 \(format \d, this one reads up to \d\); install a newer t15"),
        (odd_rules, r"manifest\.json: rules and quotas are objects"),
        (lambda folder: (folder / "photos.parquet").unlink(), r"photos\.parquet: is missing"),
        (lambda folder: (folder / "manifest.json").write_text("{"), r"manifest\.json: cannot be read as JSON"),
    ],
)
def test_verify_names_file_row_and_column(house: House, first: Path, edit: Edit, said: str) -> None:
    edit(first)
    complaint = house.complaint("verify", first, code=3)
    assert re.search(said, complaint), complaint
    assert complaint.startswith(f"t15: {first}")
    assert "VerySecret" not in complaint


def test_a_number_in_the_place_of_text_names_the_column(house: House, first: Path) -> None:
    path = first / "photos.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index("width")
    pq.write_table(table.set_column(at, "width", pa.array(["wide"] * table.num_rows)), path)
    assert "column width" in house.complaint("verify", first, code=3)
    pq.write_table(table.drop_columns(["sha256"]), path)
    assert "column sha256 is there 0 times" in house.complaint("verify", first, code=3)


@pytest.mark.parametrize("source", ["nowhere", "http://example.org/x", "https://", "hub:", "hub:a b", "ftp://x/y", ""])
def test_sources_that_are_none(house: House, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    house.complaint("verify", source, code=2)


# --- diff


def test_diff(house: House, first: Path) -> None:
    second = first.with_name("2.0.0")
    same, _ = house.run("diff", first, first)
    assert "hold the same data" in same
    out, _ = house.run("diff", first, second)
    assert out.startswith("sandbox 1.0.0 -> sandbox 2.0.0\n")
    assert "moved to another side" in out
    assert "NOT COMPARABLE" in out
    assert "version: right, a major change" in out
    found = house.json("diff", first, second)
    assert (found["part"], found["same"]) == ("major", False)
    assert found["moved"]["photos"] > 0
    assert "older than" in house.json("diff", second, first)["version_fault"]
    house.complaint("diff", first, "nowhere", code=2)


# --- export


def test_export(house: House, first: Path, tmp_path: Path) -> None:
    manifest = read_manifest(first)
    file = tmp_path / "rows.csv"
    _, err = house.run("export", first, "--out", file)
    assert f"{file}: 32 rows" in err
    rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8"), newline="")))
    assert tuple(rows[0]) == PHOTO_FIELDS
    assert [row["photo_id"] for row in rows] == manifest.table["photo_id"].to_pylist()
    lines = tmp_path / "rows.jsonl"
    house.run("export", first, "--format", "jsonl", "--out", lines, "--column", "photo_id", "--column", "split")
    told = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    assert [tuple(row) for row in told] == [("photo_id", "split")] * 32


def test_a_dry_run_of_export_writes_nothing(house: House, first: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for options, said in (
        (("--out", tmp_path / "rows.csv"), f"{tmp_path / 'rows.csv'}: 32 rows"),
        ((), "the terminal: 32 rows"),
        (("--shards", tmp_path / "shards"), "photos: train 16, val 8, test 8"),
        (("--hf", tmp_path / "hf"), "hf: 32 photos"),
        (("--vpr", tmp_path / "vpr"), "vpr/images/test/"),
    ):
        out, err = house.run("export", first, *options, "--dry-run")
        assert out == ""
        assert said in err
        assert "dry run: nothing was written" in err
    assert f"{tmp_path / 'full'}: holds other things (x)" in house.complaint(
        "export", first, "--hf", tmp_path / "full", "--dry-run", code=2
    )
    assert not {"rows.csv", "shards", "hf", "vpr"} & {path.name for path in tmp_path.iterdir()}


def test_export_to_the_terminal(house: House, first: Path) -> None:
    for options in ((), ("--format", "csv")):
        out, err = house.run("export", first, "--column", "photo_id", *options)
        assert out.startswith("photo_id\nsandbox:")
        assert out.count("\n") == 33
        assert err == ""


def test_export_warns_of_formulas(house: House, first: Path, tmp_path: Path) -> None:
    manifest = read_manifest(first)
    photos = [photo for side in SPLITS for photo in manifest.photos(side)]
    photos[0] = replace(photos[0], title="=HYPERLINK(1)")
    write_manifest(build_manifest(manifest.header, photos, "t15 test"), tmp_path / "evil")
    _, err = house.run("export", tmp_path / "evil", "--out", tmp_path / "a.csv")
    assert re.search(r"[1-9]\d* texts begin like a formula: --spreadsheet makes them safe", err)
    _, err = house.run("export", tmp_path / "evil", "--out", tmp_path / "b.csv", "--spreadsheet")
    assert "begin like a formula" not in err
    assert "'=HYPERLINK(1)" in (tmp_path / "b.csv").read_text("utf-8-sig")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "xml"], "choose csv, jsonl, hf or fiftyone"),
        (["--format", "jsonl", "--spreadsheet"], "--spreadsheet is for CSV"),
        (["--column", "latitud"], "did you mean 'latitude'"),
        (["--column", "title", "--column", "title"], "title"),
    ],
)
def test_export_options_that_cannot_be(house: House, first: Path, options: list[str], said: str) -> None:
    assert said in house.complaint("export", first, *options, code=2)


def test_datasets_reads_what_is_exported_and_published(house: House, first: Path, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "hf"
    house.run("export", first, "--format", "hf", "--out", folder)
    house.run("publish", first, "--out", tmp_path / "out")
    code = f"""if True:
        from datasets import load_dataset
        whole = load_dataset("imagefolder", data_dir={str(folder)!r}, cache_dir={str(tmp_path / "cache")!r})
        print({{side: len(rows) for side, rows in whole.items()}}, whole["test"][0]["image"].size, whole["test"][0]["city"])
        rows = load_dataset({str(tmp_path / "out" / "sandbox" / "1.0.0")!r}, cache_dir={str(tmp_path / "cache")!r})
        print({{name: len(of) for name, of in rows.items()}}, sorted(set(rows["photos"]["split"])))
    """
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "{'train': 16, 'validation': 8, 'test': 8} (224, 224) quellmora",
        "{'photos': 32} ['test', 'train', 'val']",
    ]


def test_folders_and_shards_hold_what_may_be_passed_on(house: House, first: Path, tmp_path: Path) -> None:
    _, err = house.run("export", first, "--shards", tmp_path / "shards", "--shard-mb", 1)
    assert "photos: train 16, val 8, test 8" in err
    assert len(list((tmp_path / "shards").glob("*.tar"))) >= 3
    _, err = house.run("export", first, "--hf", tmp_path / "hf")
    assert "hf: 32 photos" in err
    assert len(list((tmp_path / "hf").rglob("*.jpg"))) == 32
    for options, said in (
        (("--shards", tmp_path / "x", "--hf", tmp_path / "y"), "choose one"),
        (("--originals",), "belong to --shards and --hf"),
        (("--shards", tmp_path / "x", "--out", tmp_path / "y"), "leave --out out"),
        (("--hf", tmp_path / "x", "--out", tmp_path / "y"), "leave --out out"),
        (("--vpr", tmp_path / "x", "--format", "jsonl", "--column", "city"), "leave --format and --column out"),
        (("--shards", tmp_path / "hf"), "holds other things (test)"),
        (("--hf", tmp_path / "shards"), "holds other things"),
    ):
        assert said in house.complaint("export", first, *options, code=2)


def test_an_image_folder_is_whole_or_says_why(house: House, first: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    for options, said in (
        ((), "writes a folder, named with --out"),
        (("--out", folder, "--spreadsheet"), "takes no --spreadsheet"),
        (("--out", folder, "--column", "citty"), "no such column (did you mean 'city'?)"),
        (("--out", first), "holds other things"),
    ):
        assert said in house.complaint("export", first, "--format", "hf", *options, code=2)
    house.run("export", first, "--format", "hf", "--out", folder, "--column", "city")
    (line, *_) = (folder / "validation" / "metadata.jsonl").read_text().splitlines()
    assert set(json.loads(line)) == {"file_name", "city"}
    shutil.rmtree(house.workspace / "photos")
    assert "`t15 rehydrate` brings them" in house.complaint(
        "export", first, "--format", "hf", "--out", tmp_path / "x", code=3
    )


def test_fiftyone_gets_what_it_reads_and_gives_it_back(house: House, first: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fiftyone"
    house.run("export", first, "--format", "fiftyone", "--out", folder)
    manifest = read_manifest(first)
    samples = json.loads((folder / "samples.json").read_bytes())["samples"]
    rows = {row["sha256"]: row for row in manifest.table.to_pylist()}
    assert len(samples) == 32
    for sample in samples:
        row = rows[sample["sha256"]]
        assert (folder / sample["filepath"]).read_bytes()[:2] == b"\xff\xd8"
        assert sample["tags"] == ["validation" if row["split"] == "val" else row["split"]]
        assert sample["ground_truth"] == {"_cls": "Classification", "label": row["city"]}
        point = {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]}
        assert sample["location"] == {"_cls": "GeoLocation", "point": point}
        assert (sample["photo_id"], sample["license"]) == (row["photo_id"], row["license"])
    metadata = json.loads((folder / "metadata.json").read_bytes())
    assert "version" not in metadata  # else FiftyOne looks for the database's own fields
    assert metadata["info"]["digest"] == manifest.digest
    assert "holds other things" in house.complaint("export", first, "--format", "fiftyone", "--out", first, code=2)
    fresh = House(tmp_path / "fresh", house.capsys)
    fresh.run("import", "fiftyone", folder, "--region", house.root / "region.toml")
    given = fresh.workspace / "imports" / "fiftyone.csv"
    back = fresh.json("split", "--given", given)
    assert back["counts"] == {city: {"train": 8, "val": 4, "test": 4} for city in CITIES}
    again = read_manifest(Path(back["folder"])).table.to_pylist()
    for name in ("latitude", "longitude", "split", "license", "author_name", "title"):
        assert {row["sha256"]: row[name] for row in again} == {of: row[name] for of, row in rows.items()}, name


# --- publish


def test_publish(house: House, first: Path, tmp_path: Path) -> None:
    release = ("--date", "2026-05-01", "--publisher", "Somebody", "--url", "https://example.org/data")
    out, _ = house.run("publish", first, "--out", tmp_path / "out", *release)
    done = tmp_path / "out" / "sandbox" / "1.0.0"
    assert out.startswith(f"{done}: written, ")
    assert {"README.md", "croissant.json", "ATTRIBUTION.csv", "SHA256SUMS"} <= {path.name for path in done.iterdir()}
    assert "Somebody" in (done / "README.md").read_text("utf-8")
    again = house.json("publish", first, "--out", tmp_path / "out", *release)
    assert (again["written"], again["photos_included"], again["pushed_to"]) == (False, 0, None)
    other = house.complaint("publish", first, "--out", tmp_path / "out", "--date", "2026-05-02", code=2)
    assert "a publication never changes" in other
    assert house.json("verify", done)["photos"] == 32


def test_publish_with_what_pictures_show(house: House, first: Path, tmp_path: Path) -> None:
    towns = tmp_path / "towns.csv"
    towns.write_text("lat,lon\n39.93,32.86\n", encoding="utf-8")
    out, _ = house.run("publish", first, "--out", tmp_path / "out", "--pictures", "--populated", towns)
    assert "photos were here to be looked at" in out
    card = next((tmp_path / "out").rglob("README.md")).read_text(encoding="utf-8")
    assert "photos were here to be looked at" in card
    assert "within two kilometres of a populated place" in card
    assert str(tmp_path) not in card
    house.complaint("publish", first, "--out", tmp_path / "out", "--populated", tmp_path / "none.csv", code=2)


def test_publish_with_photos(house: House, first: Path, tmp_path: Path) -> None:
    out, _ = house.run("publish", first, "--out", tmp_path / "out", "--with-photos")
    assert "photos: 32 included" in out
    shutil.rmtree(house.workspace / "photos")
    found = house.json("publish", first, "--out", tmp_path / "without", "--with-photos")
    assert found["photos_included"] == 0
    assert sum(found["photos_left_out"].values()) == 32
    missing = House(tmp_path / "nowhere", house.capsys)
    assert "no workspace at" in missing.complaint("publish", first, "--out", tmp_path / "x", "--with-photos", code=2)


@pytest.mark.parametrize(
    ("option", "value"), [("--date", "1 May"), ("--date", "2026-13-01"), ("--url", "javascript:x")]
)
def test_publish_options_that_cannot_be(house: House, first: Path, tmp_path: Path, option: str, value: str) -> None:
    house.complaint("publish", first, "--out", tmp_path / "out", option, value, code=2)
    assert not (tmp_path / "out").exists()


# --- rehydrate


def test_a_publication_brings_its_own_photos(house: House, first: Path, tmp_path: Path) -> None:
    house.run("publish", first, "--out", tmp_path / "out", "--with-photos")
    done = tmp_path / "out" / "sandbox" / "1.0.0"
    fresh = House(tmp_path / "fresh", house.capsys)
    damaged, *_ = sorted((done / "photos").rglob("*.jpg"))
    damaged.write_bytes(damaged.read_bytes()[:-2] + b"xx")
    sums = done / "SHA256SUMS"
    hostile = f"{'0' * 64}  photos/../../../etc/passwd\n{'0' * 64}  photos/ab/{'a' * 64}.jpg\n"
    sums.write_text(sums.read_text("utf-8") + hostile, "utf-8")
    out, err = fresh.run("rehydrate", done)
    assert "2 photos of the publication are missing or not what its SHA256SUMS says" in err
    assert "sandbox 1.0.0: 32 of 32 photos are here" in out
    assert "stripped: 31 (the publication's own files, without EXIF)" in out
    assert "same: 1" in out  # the damaged one was drawn again
    again = fresh.json("rehydrate", done)
    assert again["fates"] == {"stripped": 31, "same": 1}
    assert again["lost"] == []
    part = read_manifest(Path(again["partial_manifest"]))
    assert part.table.num_rows == 32
    assert {path.name for path in (fresh.workspace / "photos").rglob("*.jpg")} >= {f"{part.table['sha256'][0]}.jpg"}


def test_a_publication_without_photos_has_none(tmp_path: Path) -> None:
    assert own_photos(tmp_path).files == {}
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff")
    assert own_photos(tmp_path).files == {}


def test_rehydrate_of_drawn_photos(house: House, first: Path, tmp_path: Path) -> None:
    fresh = House(tmp_path / "fresh", house.capsys)
    out, err = fresh.run("rehydrate", first)
    assert out.startswith("sandbox 1.0.0: 32 of 32 photos are here\n\n  same: 32\n")
    assert "fetching: 32/32" in err
    found = fresh.json("rehydrate", first)
    assert found == {
        "photos": 32,
        "fates": {"same": 32},
        "survival": {
            "split": {"train": [16, 16], "val": [8, 8], "test": [8, 8]},
            "city": {city: [16, 16] for city in CITIES},
        },
        "partial_manifest": None,
        "lost": [],
    }
    assert fresh.run("rehydrate", first)[1] == ""  # nobody is asked for anything
    other = read_manifest(house.manifests / "sandbox" / "2.0.0")
    assert other.header.region in fresh.run("split", *QUOTAS)[0]  # the region came with the photos


def test_rehydrate_tells_what_was_lost_and_how_to_go_on(
    house: House, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(deal(2, 2, 60)) as sandbox:
        lead_to(sandbox, monkeypatch)
        region = ("--region", house.root / "region.toml")
        old = House(tmp_path / "old", house.capsys)
        old.run("collect", *region, "--provider", "flickr", "--target", "18")
        folder = old.json("split", "--paper", *QUOTAS)["folder"]
        manifest = read_manifest(Path(folder))
        lost = [photo.photo_id for side in ("train", "test") for photo in manifest.photos(side)[:2]]
        age(sandbox, Ageing(vanished=frozenset(lost[:3]), placeholder=frozenset(lost[3:])))
        failing = Trouble(1.0, kinds=("server-error",), endpoints=("flickr.picture",), in_a_row=FOR_EVER, retry_after=0)
        fresh = House(tmp_path / "fresh", house.capsys)
        out, err = fresh.run("rehydrate", folder)
        assert "sandbox 1.0.0: 28 of 32 photos are here" in out
        assert "  gone: 3\n" in out
        called = {photo.photo_id: photo.called for side in SPLITS for photo in manifest.photos(side)}
        assert f"  placeholder: {called[lost[3]]} " in out
        assert re.search(r"split +test +6 +8 +75\.0", out)
        assert "scores what is here and says so" in out
        assert {(one["photo_id"], one["fate"]) for one in fresh.json("rehydrate", folder)["lost"]} == {
            *((photo_id, "gone") for photo_id in lost[:3]),
            (lost[3], "placeholder"),
        }
        sandbox.change(failing)
        second = House(tmp_path / "second", house.capsys)
        out, err = second.run("rehydrate", folder, code=5)
        assert "  failed: 32\n" in out  # whatever is there or not: nobody could tell
        assert "  and 22 more (--json names all)" in out
        assert err.splitlines()[-1] == (
            "t15: rehydrate: 32 photos could not be fetched now; the same command asks for them again"
        )
        sandbox.change(Trouble())
        assert second.json("rehydrate", folder)["fates"] == {"same": 28, "gone": 3, "placeholder": 1}
        # The benchmark takes what is here, and says so.
        out, err = fresh.run("bench", "--manifest", folder, "--method", "tiny-64+knn")
        assert "Rehydrated from sandbox 1.0.0: 28 of 32 photos (0 of them re-encoded), 4 are missing." in err
        board = fresh.json("leaderboard", "--manifest", folder)
        partial = read_manifest(Path(fresh.json("rehydrate", folder)["partial_manifest"]))
        assert (board["digest"], board["test_photos"]) == (partial.digest, 6)
        assert board["note"].startswith("Rehydrated from sandbox 1.0.0: 28 of 32 photos")
        assert board["notes"][0] == board["note"]
        text, _ = fresh.run("leaderboard", "--manifest", folder)
        assert "4 are missing" in text
        # A run on all of it is another run: scores of the two are never mixed.
        old.run("bench", "--manifest", folder, "--method", "tiny-64+knn")
        assert old.json("leaderboard", "--manifest", folder)["note"] == manifest.header.note
        run_names = [{path.name for path in (of.workspace / "runs").glob("[0-9a-f]*")} for of in (fresh, old)]
        assert len(run_names[0]) == len(run_names[1]) == 1
        assert run_names[0].isdisjoint(run_names[1])


def test_rehydrate_of_photos_from_a_disk(house: House, tmp_path: Path, first: Path) -> None:
    manifest = read_manifest(first)
    photos = [photo for side in SPLITS for photo in manifest.photos(side)]
    theirs = [replace(photo, photo_id=f"folder:{n:016x}") for n, photo in enumerate(photos)]
    write_manifest(build_manifest(manifest.header, theirs, "t15 test"), tmp_path / "theirs")
    out, err = House(tmp_path / "fresh", house.capsys).run("rehydrate", tmp_path / "theirs", code=5)
    assert "unreachable: 32" in out
    assert "none of the 32 photos is here" in err.splitlines()[-1]
    assert "`t15 rehydrate MANIFEST --root DIR` takes it from there" in " ".join(out.split())
    # Whoever has the files brings them home, under any name, without the region and its cities being known there.
    disk = tmp_path / "disk" / "deep"
    disk.mkdir(parents=True)
    for number, photo in enumerate(photos[:30]):
        shutil.copy(Workspace(house.workspace).photo(str(photo.sha256)), disk / f"{number}.bin")
    shutil.copy(Workspace(house.workspace).photo(str(photos[0].sha256)), disk / "again.jpg")
    (disk / "other.jpg").write_bytes(b"x" * int(photos[31].bytes or 0))
    (disk / "gone").symlink_to(tmp_path / "nowhere")
    again = House(tmp_path / "again", house.capsys)
    out, _ = again.run("rehydrate", tmp_path / "theirs", "--root", tmp_path / "disk", "--dry-run")
    assert "would be taken from files that are at hand: 30" in out
    assert again.json("rehydrate", tmp_path / "theirs", "--root", tmp_path / "disk")["fates"] == {
        "same": 30,
        "unreachable": 2,
    }
    assert "is no folder" in again.complaint("rehydrate", tmp_path / "theirs", "--root", tmp_path / "no", code=2)
    bench = House(tmp_path / "fresh", house.capsys)
    said = bench.complaint("bench", "--manifest", tmp_path / "theirs", "--method", "tiny-64+knn", code=3)
    assert "`t15 rehydrate " in said


def test_rehydrate_of_nothing(house: House, tmp_path: Path) -> None:
    assert "no such file or folder" in house.complaint("rehydrate", tmp_path / "nowhere", code=2)
    said = house.complaint("verify", house.manifests / "sandbox", code=2)
    assert "holds no manifest.json; name one in it: 1.0.0, 2.0.0" in said
    assert not (tmp_path / "nowhere").exists()


def test_a_licence_that_came_later_is_told(house: House, tmp_path: Path, first: Path) -> None:
    manifest = read_manifest(first)
    photos = [replace(photo, license="LicenseRef-Unknown") for side in SPLITS for photo in manifest.photos(side)]
    write_manifest(build_manifest(manifest.header, photos, "t15 test"), tmp_path / "older")
    options = ("publish", tmp_path / "older", "--out", tmp_path / "out", "--with-photos", "--dry-run")
    out, _ = house.run(*options)
    assert "left out, licence: 32" in out
    assert "a new `t15 split` takes it over" in out


# --- withdraw


def photos_of(manifest: Manifest) -> list[str]:
    found: list[str] = manifest.table["photo_id"].to_pylist()
    return found


def test_withdraw(house: House, first: Path) -> None:
    photo_id, other = photos_of(read_manifest(first))[:2]
    out, _ = house.run("withdraw", photo_id, "--reason", "by mail")
    assert out.startswith(f"on the list now: {photo_id}\ntaken out of the workspace: 1 photo\n")
    assert "`t15 split --extend PATH` makes a version without them" in out
    again, _ = house.run("withdraw", photo_id)
    assert again.startswith("on the list now: nothing new\ntaken out of the workspace: 0 photos\n")
    listing, _ = house.run("withdraw", "--list")
    assert listing.splitlines()[0].split() == ["kind", "id", "reason", "when"]
    assert f"photo  {photo_id}  by mail" in listing
    entry = house.json("withdraw", "--list")
    assert [(row["kind"], row["id"], row["reason"]) for row in entry] == [("photo", photo_id, "by mail")]
    found = house.json("withdraw", other)
    assert found == {"photos": [other], "listed": [other], "cache_removed": False, "names": {}, "dry_run": False}
    assert house.json("rehydrate", first)["fates"] == {"same": 30, "withdrawn": 2}


def test_withdraw_from_a_file(house: House, first: Path, tmp_path: Path) -> None:
    ids = photos_of(read_manifest(first))[:3]
    file = tmp_path / "ids.txt"
    file.write_text(f"{ids[0]}\r\n # by mail\n\n  {ids[1]}  \n", "utf-8-sig")  # as Windows saves it
    found = house.json("withdraw", "--from", file, ids[2])
    assert found["photos"] == sorted(ids)
    (tmp_path / "bad").write_bytes(b"\xff\xfe")
    assert "cannot be read as text" in house.complaint("withdraw", "--from", tmp_path / "bad", code=3)
    assert "cannot be read as text" in house.complaint("withdraw", "--from", tmp_path / "nowhere", code=3)


def test_withdraw_of_an_author(house: House, first: Path) -> None:
    author = next(photo.author_id for photo in read_manifest(first).photos("train") if photo.author_id)
    found = house.json("withdraw", author)
    assert found["listed"] == [author]
    assert len(found["photos"]) >= 1
    assert "holds" in house.complaint("publish", first, "--out", house.root / "out", code=3)
    house.run("collect", "--provider", "sandbox", "--region", house.root / "region.toml", "--target", "24")
    assert set(found["photos"]).isdisjoint(photos_of(read_manifest(Path(house.json("split", *QUOTAS)["folder"]))))


def test_withdraw_that_cannot_be(house: House, tmp_path: Path) -> None:
    assert "give photo_ids or author_ids" in house.complaint("withdraw", code=2)
    assert "is no photo and no author" in house.complaint("withdraw", "flickr:1", code=2)
    assert "choose photo or author" in house.complaint("withdraw", "flickr:1", "--kind", "city", code=2)
    house.run("withdraw", "flickr:1", "--kind", "photo")
    nowhere = House(tmp_path / "nowhere", house.capsys)
    assert "no workspace at" in nowhere.complaint("withdraw", "--list", code=2)


# --- dry runs


def test_a_dry_run_of_publish(house: House, first: Path, tmp_path: Path) -> None:
    options = ("publish", first, "--out", tmp_path / "out", "--with-photos")
    before = tree(house.root)
    out, _ = house.run(*options, "--push", "hub:nobody/nothing", "--dry-run")
    assert "would be written (dry run: nothing was)" in out
    assert "photos: 32 would be included" in out
    assert "would be sent to nobody/nothing" in out
    planned = house.json(*options, "--dry-run")
    assert not (tmp_path / "out").exists()
    assert tree(house.root) == before
    made = house.json(*options)
    assert [planned[name] for name in ("files", "bytes", "photos_included")] == [
        made[name] for name in ("files", "bytes", "photos_included")
    ]
    assert (planned["written"], planned["dry_run"]) == (False, True)
    assert "unchanged, is there already" in house.run(*options, "--dry-run")[0]
    other = ("--date", "2026-05-02", "--dry-run")
    assert "a publication never changes" in house.complaint(*options, *other, code=2)
    assert "write it as hub:OWNER/NAME" in house.complaint(*options, "--push", "x", "--dry-run", code=2)


def test_a_dry_run_of_rehydrate(house: House, first: Path, tmp_path: Path) -> None:
    fresh = House(tmp_path / "fresh", house.capsys)
    out, _ = fresh.run("rehydrate", first, "--dry-run")
    assert "would be asked of sandbox: 32" in out
    assert out.endswith("dry run: nobody was asked and nothing was written\n")
    assert not fresh.root.exists()
    house.run("publish", first, "--out", tmp_path / "out", "--with-photos")
    found = fresh.json("rehydrate", tmp_path / "out" / "sandbox" / "1.0.0", "--dry-run")
    assert (found["own"], found["asked"], found["known"]) == (32, {}, {})
    before = tree(house.root)
    assert house.json("rehydrate", first, "--dry-run")["known"] == {"same": 32}
    assert tree(house.root) == before
    manifest = read_manifest(first)
    photos = [photo for side in SPLITS for photo in manifest.photos(side)]
    theirs = [replace(photo, photo_id=f"folder:{n:016x}") for n, photo in enumerate(photos)]
    write_manifest(build_manifest(manifest.header, theirs, "t15 test"), tmp_path / "theirs")
    out, _ = fresh.run("rehydrate", tmp_path / "theirs", "--dry-run")
    assert "cannot be asked of folder: 32 (lies on somebody's disk: where its file is at hand" in out


def test_a_dry_run_of_withdraw(house: House, first: Path, tmp_path: Path) -> None:
    manifest = read_manifest(first)
    photos = [photo for side in SPLITS for photo in manifest.photos(side)]
    author, _ = Counter(photo.author_id for photo in photos).most_common(1)[0]
    photo = next(photo for photo in photos if photo.author_id == author)
    before = tree(house.root)
    out, _ = house.run("withdraw", photo.photo_id, "--dry-run")
    assert f"would be put on the list: {photo.photo_id}\n" in out
    assert f"would be taken out of the workspace: 1 photo ({photo.photo_id}: {photo.title})" in out
    planned = house.json("withdraw", author, "--dry-run")
    assert tree(house.root) == before
    made = house.json("withdraw", author)
    assert {**planned, "names": {}, "dry_run": False} == made
    assert len(made["photos"]) > 1
    assert "is no photo and no author" in house.complaint("withdraw", "flickr:1", "--dry-run", code=2)
    fresh = House(tmp_path / "fresh", house.capsys)
    assert fresh.json("withdraw", "flickr:1", "--kind", "photo", "--dry-run")["listed"] == ["flickr:1"]
    assert not fresh.root.exists()
