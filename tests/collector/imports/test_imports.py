"""Other people's data sets: small ones made by their documentation, hostile ones, and real tables where they are."""

import bz2
import errno
import gzip
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector import front_door
from collector.catalogue.catalogue import open_catalogue
from collector.errors import DataError, IncompleteError, T15Error, UsageError
from collector.imports.importing import DataSet, list_photos, read_data_set, write_sides
from collector.imports.kinds import KINDS, kind_named
from collector.manifest.manifest import read_manifest
from collector.regions import region
from collector.workspace import Workspace, create_workspace
from tests.collector.cli import House
from tests.conftest import PhotoBytes

MANY = region("turkiye81")


def read(kind: str, path: Path, text: str | None = None, **options: Any) -> DataSet:
    if text is not None:
        path.write_text(text, encoding="utf-8")
    return read_data_set(kind_named(kind), path, path.parent / "unpacked", **options)


def first(data: DataSet) -> dict[str, Any]:
    row = data.table.row(0)
    named = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {name: value for name, value in named.items() if value is not None and name != "number"}


# --- tables


def test_osv5m(tmp_path: Path) -> None:
    head = "id,latitude,longitude,country,region,sub-region,city,captured_at,sequence,land_cover,climate\n"
    rows = "491,48.85,2.35,FR,IDF,P,Paris,1559390400000,seq1,3,Cfb\n492,33.66,-95.55,US,TX,L,Paris,1559390400000,seq2,3,Cfa\n"
    data = read("osv5m", tmp_path / "train.csv", head + rows)
    said = first(data)
    assert said.pop("time").year == 2019
    assert said == {
        "file": "491",
        "city": "Paris, FR",  # there is another in the US
        "latitude": 48.85,
        "longitude": 2.35,
        "page": "https://www.mapillary.com/app/?pKey=491",
        "sequence": "seq1",
    }
    assert [city.name for city in data.region.cities] == ["Paris, FR", "Paris, US"]
    assert data.origins == ["mapillary:491", "mapillary:492"]
    assert data.table.beside(0) == {"region": "IDF", "sub-region": "P", "land_cover": "3", "climate": "Cfb"}
    assert list(data.sides) == ["train", "train"]  # by the file's name


def test_google_landmarks_need_a_region(tmp_path: Path) -> None:
    text = "id,url,landmark_id\nabc,http://upload.wikimedia.org/a.jpg,izmir\n"
    with pytest.raises(UsageError, match=r"no column tells the place.*--region"):
        read("gldv2", tmp_path / "train.csv", text)
    data = read("gldv2", tmp_path / "train.csv", text, region=MANY)
    assert first(data) == {"file": "abc", "city": "izmir", "page": "http://upload.wikimedia.org/a.jpg"}


def test_im2gps3k_and_its_grid(tmp_path: Path) -> None:
    text = "IMG_ID,AUTHOR,LAT,LON,S3_Label\n1118252_f2c3a9e4f0_138_19146742@N00.jpg,19146742@N00,41.01,28.97,urban\n"
    data = read("im2gps3k", tmp_path / "im2gps3k_places365.csv", text, grid_km=10.0)
    assert first(data) == {
        "file": "1118252_f2c3a9e4f0_138_19146742@N00.jpg",
        "author_id": "19146742@N00",
        "latitude": 41.01,
        "longitude": 28.97,
        "page": "https://www.flickr.com/photo.gne?id=1118252",
    }
    assert data.origins == ["flickr:1118252"]
    (square,) = data.region.cities
    assert abs(square.latitude - 41.01) < 0.05
    assert abs(square.longitude - 28.97) < 0.06
    assert square.radius_km == pytest.approx(10 / 2**0.5 * 1.02, abs=2e-3)
    with pytest.raises(UsageError, match=r"no column tells the label.*--grid KM"):
        read("im2gps3k", tmp_path / "im2gps3k_places365.csv")


def test_flickr_licences_are_numbers(tmp_path: Path) -> None:
    text = (
        "photo_id,owner,latitude,longitude,license,city,title\n5,12@N01,41,29,4,Home,=1+1\n6,12@N01,41.1,29,0,Home,\n"
    )
    data = read("flickr", tmp_path / "geo.csv", text)
    assert (data.table.row(0).license, data.table.row(1).license) == ("CC-BY-2.0", "LicenseRef-AllRightsReserved")
    assert (data.table.row(0).author_id, data.table.row(0).title) == ("12@N01", "=1+1")
    with pytest.raises(DataError, match=r"line 2, column license: licence '77' is unknown"):
        read("flickr", tmp_path / "geo.csv", "photo_id,license,city,lat,lon\n5,77,Home,41,29\n")


def test_streetscapes_tell_their_services(tmp_path: Path) -> None:
    head = "uuid,source,image_id,lat,lon,datetime_local,heading,sequence_id,city,iso2,koppen\n"
    rows = "u1,Mapillary,166,48.7,9.1,2024-07-09 03:24:18+02:00,29.8,s1,Stuttgart,DE,Cfb\n"
    rows += "u2,KartaView,77,48.7,9.2,,,#NAME?,Stuttgart,DE,Cfb\n"
    data = read("streetscapes", tmp_path / "a.csv", head + rows)
    assert data.origins == ["mapillary:166", None]
    assert data.table.row(1).sequence is None
    assert data.table.row(0).heading == 29.8


@pytest.mark.parametrize("name", KINDS)
def test_what_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        read(name, tmp_path / "nothing")


def test_kinds_and_folders_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'osv' is unknown .did you mean 'osv5m'"):
        kind_named("osv")
    with pytest.raises(UsageError, match=r"is a folder; give the table of OpenStreetView-5M"):
        read("osv5m", tmp_path)
    for name in ("msls", "imagefolder", "webdataset"):
        with pytest.raises(DataError, match="holds no photo of this kind"):
            read(name, tmp_path)
    with pytest.raises(DataError, match=r"neither samples\.json nor labels\.json"):
        read("fiftyone", tmp_path)


# --- folders


def put(path: Path, content: str | bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_msls(tmp_path: Path) -> None:
    for side, key in (("database", "k1"), ("query", "k2")):
        folder = tmp_path / "train_val" / "london" / side
        put(folder / "raw.csv", f",key,lon,lat,ca,captured_at,pano\n0,{key},-0.17,51.52,314.4,1559390400000,False\n")
        put(folder / "seq_info.csv", f",key,sequence_key,frame_number\n0,{key},s-{key},3\n")
        put(folder / "postprocessed.csv", f",key,easting,northing,night\n0,{key},1,2,False\n")
    data = read("msls", tmp_path)
    assert first(data)["file"] == "train_val/london/database/images/k1.jpg"
    assert (first(data)["sequence"], first(data)["heading"], first(data)["city"]) == ("s-k1", 314.4, "london")
    assert list(data.sides) == ["database", "query"]
    assert data.table.beside(0)["pano"] == "False"
    assert data.root == tmp_path


def test_imagefolder_with_and_without_metadata(tmp_path: Path) -> None:
    for name in ("train/izmir/1.jpg", "train/van/2.png", "test/van/3.jpg", "train/notes.txt"):
        put(tmp_path / name)
    data = read("imagefolder", tmp_path, region=MANY)
    rows = {data.table.row(n).file: (data.table.row(n).city, data.sides[n]) for n in range(3)}
    assert rows == {
        "test/van/3.jpg": ("van", "test"),
        "train/izmir/1.jpg": ("izmir", "train"),
        "train/van/2.png": ("van", "train"),
    }
    put(
        tmp_path / "train" / "metadata.jsonl",
        json.dumps({"file_name": "izmir/1.jpg", "lat": 38.4, "lon": 27.1, "camera": "X"}),
    )
    data = read("imagefolder", tmp_path, region=MANY)
    by_file = {data.table.row(n).file: n for n in range(3)}
    assert data.table.row(by_file["train/izmir/1.jpg"]).latitude == 38.4
    assert data.table.beside(by_file["train/izmir/1.jpg"]) == {"camera": "X"}
    put(tmp_path / "test" / "metadata.csv", "name\n1\n")
    with pytest.raises(DataError, match=r"metadata.csv: line 2: no file_name"):
        read("imagefolder", tmp_path, region=MANY)


def test_fiftyone_samples_and_classes(tmp_path: Path) -> None:
    sample = {
        "filepath": "data/1.jpg",
        "tags": ["validation"],
        "ground_truth": {"_cls": "Classification", "label": "van"},
        "location": {"_cls": "GeoLocation", "point": [43.38, 38.5]},
        "weather": "snow",
    }
    put(tmp_path / "samples.json", json.dumps({"samples": [sample]}))
    data = read("fiftyone", tmp_path)
    assert first(data) == {"file": "data/1.jpg", "city": "van", "latitude": 38.5, "longitude": 43.38}
    assert (list(data.sides), data.table.beside(0)) == (["val"], {"weather": "snow"})
    (tmp_path / "samples.json").unlink()
    put(tmp_path / "labels.json", json.dumps({"classes": ["van", "izmir"], "labels": {"a": 1, "b": "van", "c": 9}}))
    data = read("fiftyone", tmp_path, region=MANY)
    assert [data.table.row(n).city for n in range(3)] == ["izmir", "van", None]
    put(tmp_path / "labels.json", "[]")
    with pytest.raises(DataError, match="has no object of labels"):
        read("fiftyone", tmp_path)
    put(tmp_path / "labels.json", "{")
    with pytest.raises(DataError, match="is not JSON"):
        read("fiftyone", tmp_path)


def shard(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)


def test_webdataset_and_its_hostile_names(tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    about = json.dumps({"lat": 38.5, "lon": 43.4, "camera": "X", "file": "/etc/passwd", "nested": {"a": 1}}).encode()
    members = {
        "a.jpg": photo_bytes(1),
        "a.json": about,
        "a.cls": b"van",
        "../../../evil.jpg": photo_bytes(2),
        "../../../evil.cls": b"izmir",
        "/abs.jpg": photo_bytes(3),
        "c.cls": b"nothing",
    }
    shard(tmp_path / "set" / "0000.tar", members)
    data = read("webdataset", tmp_path / "set", region=MANY)
    assert [data.table.row(n).city for n in range(3)] == ["van", "izmir", None]
    assert data.table.beside(0)["camera"] == "X"
    written = [path for path in tmp_path.rglob("*.jpg")]
    assert len(written) == 3
    assert all(path.parent == tmp_path / "unpacked" / "0000" for path in written)
    put(tmp_path / "bad" / "0.tar", b"no tar file at all")
    with pytest.raises(DataError, match="cannot be read as a tar file"):
        read("webdataset", tmp_path / "bad", region=MANY)


# --- into the workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "workspace")


OSV = "id,latitude,longitude,city,climate\n1,38.5,43.4,Van,Dsb\n2,38.51,43.41,Van,Dsb\n"


def test_shards_of_one_name_in_two_folders_stay_apart(tmp_path: Path) -> None:
    for side, content in (("train", b"one"), ("val", b"two")):
        shard(tmp_path / "set" / side / "00000.tar", {"a.jpg": content, "a.cls": b"van"})
    data = read("webdataset", tmp_path / "set", region=MANY)
    files = data.table.values["file"]
    assert [(tmp_path / "unpacked" / str(file)).read_bytes() for file in files] == [b"one", b"two"]


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2"])
def test_a_damaged_tar_file_is_never_half_read(tmp_path: Path, suffix: str) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "whole.tar"
    shard(path, {f"{letter}.jpg": random.bytes(5000) for letter in "abcdef"})
    packs: dict[str, Callable[[bytes], bytes]] = {
        **{"": bytes, ".gz": gzip.compress},
        **{".xz": lzma.compress, ".bz2": bz2.compress},
    }
    content = bytearray(packs[suffix](path.read_bytes()))
    at = 3 * (512 + 5120) if not suffix else len(content) // 2  # the header of the fourth
    content[at : at + 60] = b"\xff" * 60
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.tar: (is damaged after [0-9]+ bytes|cannot be read as a tar file)"):
        read("webdataset", tmp_path / "bad.tar", region=MANY)


def test_a_full_disk_is_not_a_damaged_tar_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "whole.tar"
    shard(path, {"a.jpg": b"a"})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(IncompleteError, match="disk is full"):
            read("webdataset", path, region=MANY)


def test_metadata_say_the_class_whatever_they_call_it(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "Cafe\u0301.jpg"):
        (tmp_path / "images" / name).write_bytes(b"x")
    lines = [
        {"file_name": "a.jpg", "label": "van", "night": True, "objects": {"bbox": [[1, 2]]}},
        {"file_name": "Caf\u00e9.jpg", "label": None},
    ]
    (tmp_path / "images" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    data = read("imagefolder", tmp_path, region=MANY)
    assert {str(data.table.row(n).file): data.table.row(n).city for n in range(2)} == {
        "images/a.jpg": "van",
        "images/Caf\u00e9.jpg": "images",
    }
    night = next(n for n in range(2) if data.table.row(n).city == "van")
    assert data.table.beside(night)["night"] == "True"


def test_tags_that_are_no_list(tmp_path: Path) -> None:
    for tags in (5, True, {"a": 1}, "test", None):
        sample = {"filepath": "data/a.jpg", "tags": tags, "ground_truth": {"_cls": "Classification", "label": "van"}}
        (tmp_path / "samples.json").write_text(json.dumps({"samples": [sample]}))
        assert read("fiftyone", tmp_path, region=MANY).sides == []


def test_a_kind_knows_the_usual_names_of_columns_too(tmp_path: Path) -> None:
    text = "photo_id,city,lat,lon,author,timestamp\n1234567,van,38.5,43.4,somebody,2020-01-01\n"
    row = read("flickr", tmp_path / "t.csv", text, region=MANY).table.row(0)
    assert (row.author, row.latitude, row.time and row.time.year) == ("somebody", 38.5, 2020)


def test_a_table_as_european_spreadsheets_write_it(tmp_path: Path) -> None:
    data = read(
        "flickr", tmp_path / "t.csv", "photo_id;city;lat;lon;license\n1234567;#NAME?;38,5;43,4;4\n", region=MANY
    )
    row = data.table.row(0)
    assert (row.city, row.latitude, row.longitude, row.license) == (None, 38.5, 43.4, "CC-BY-2.0")


def test_a_table_of_numbers(tmp_path: Path) -> None:
    """Ids, labels and licences are numbers in Parquet, floats where one is missing."""
    columns = {
        "id": [1234567.0, None, 1234569.0],
        "city": [7, 8, 9],
        "license": [4.0, 5.0, None],
        "country": ["a", "b", "c"],
    }
    pq.write_table(pa.table(columns).slice(0, 3).filter(pa.array([True, False, True])), tmp_path / "t.parquet")
    data = read("flickr", tmp_path / "t.parquet", region=MANY)
    assert data.origins == ["flickr:1234567", "flickr:1234569"]
    assert [data.table.row(number).city for number in range(2)] == ["7", "9"]
    assert [data.table.row(number).license for number in range(2)] == ["CC-BY-2.0", None]


def test_a_region_of_one_name_takes_no_other_s_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], photo_bytes: PhotoBytes
) -> None:
    house = House(tmp_path, capsys)
    for folder, city in (("one", "Bonn"), ("two", "Wien")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(photo_bytes(1 + len(city)))
        table = f"photo_id,file,city,lat,lon\n1234567,a.jpg,{city},48.2,16.37\n"
        (tmp_path / folder / "turkiye15.csv").write_text(table)
    take = ("--column", "file=file", "--root")
    made = house.json("import", "flickr", tmp_path / "one" / "turkiye15.csv", *take, tmp_path / "one")
    assert made["region"] == "turkiye15-imported"
    house.run("import", "flickr", tmp_path / "one" / "turkiye15.csv", *take, tmp_path / "one")  # again
    other = ("import", "flickr", tmp_path / "two" / "turkiye15.csv", *take, tmp_path / "two")
    assert "has another region turkiye15-imported" in house.complaint(*other, code=2)
    assert "is that of a built-in region" in house.complaint(*other, "--name", "turkiye81", code=2)
    assert "did you mean 'my-own'?" in house.complaint(*other, "--name", "My own", code=2)
    assert house.json(*other, "--name", "my-own")["region"] == "my-own"


def test_regions_that_are_written_have_names_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert front_door.run(["cities", "--name", "../x"]) == UsageError.exit_code
    assert "use 1 to 64 of a-z" in capsys.readouterr().err
    file = str(tmp_path / "own.toml")
    assert front_door.run(["cities", "--region", "turkiye15", "--out", file]) == 0
    assert region(file).name == "own"
    for name, of in (("turkiye81", "my-region"), ("東京", "my-region"), ("My towns", "my-towns")):
        assert front_door.run(["cities", "--region", "turkiye15", "--out", str(tmp_path / f"{name}.toml")]) == 0
        assert region(str(tmp_path / f"{name}.toml")).name == of


def test_columns_beside_ours_are_kept_whatever_they_hold(tmp_path: Path) -> None:
    columns = {"id": ["1234567"], "city": ["van"], "phash": ["of another kind"], "boxes": [[1, 2]], "raw": [b"\xff"]}
    pq.write_table(pa.table({**columns, "night": [True], "camera": [{"make": "Ä"}]}), tmp_path / "t.parquet")
    data = read("flickr", tmp_path / "t.parquet", region=MANY)
    assert data.table.beside(0) == {
        **{"phash": "of another kind", "boxes": "[1, 2]", "raw": "\"b'\\\\xff'\"", "night": "true"},
        "camera": '{"make": "\\u00c4"}',
    }


def test_a_grid_needs_places(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column tells the place"):
        read("flickr", tmp_path / "t.csv", "photo_id,city\n1234567,van\n", grid_km=2.0)


def test_listed_photos_are_of_cities_by_any_name_and_their_texts_are_clean(
    tmp_path: Path, workspace: Workspace
) -> None:
    text = 'photo_id,city,title\n1234567,Afyon,"a\nb"\n1234568,afyonkarahisar,\n'
    assert list_photos(workspace, read("flickr", tmp_path / "t.csv", text, region=MANY), "CC0-1.0").left_out == {}
    with open_catalogue(workspace) as catalogue:
        item = catalogue.known("flickr:1234567")
    assert item is not None


def test_photos_of_a_service_are_listed_once(tmp_path: Path, workspace: Workspace) -> None:
    data = read("osv5m", tmp_path / "test.csv", OSV)
    made = list_photos(workspace, data, "CC-BY-SA-4.0")
    assert (made.listed, made.known, made.left_out) == ({"mapillary": 2}, 0, {})
    assert list_photos(workspace, data, "CC-BY-SA-4.0").known == 2
    with open_catalogue(workspace) as catalogue:
        (one, _) = catalogue.listing("van", "mapillary")
        assert (one.state, one.photo.license, one.photo.latitude) == ("listed", "CC-BY-SA-4.0", 38.5)
        assert catalogue.beside.columns() == {"climate": {"mapillary:1": "Dsb", "mapillary:2": "Dsb"}}
    nobody = read("gldv2", tmp_path / "g.csv", "id,landmark_id\na,van\n", region=MANY)
    with pytest.raises(DataError, match=r"of no service that t15 asks.*--root DIR"):
        list_photos(workspace, nobody, "LicenseRef-Unknown")


def test_import_to_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str], photo_bytes: PhotoBytes) -> None:
    house = House(tmp_path, capsys)
    for number in (1, 2, 3):
        put(tmp_path / "images" / "00" / f"{number}.jpg", photo_bytes(number, (96, 96)))
    put(tmp_path / "train.csv", OSV + "9,38.5,43.4,Van,Csa\n")
    command = ("import", "osv5m", tmp_path / "train.csv", "--root", tmp_path / "images", "--name", "osv")
    out, _ = house.run(*command, "--dry-run")
    assert "read 4: 2 new" in out
    assert "dry run: nothing was kept" in out
    assert not house.workspace.exists()
    out, said = house.run(*command)
    assert "OpenStreetView-5M: 3 photos, 1 label" in said
    assert "read 4: 2 new, 0 known already, 2 rejected" in out
    assert "t15 split --given" in out
    made = house.json("split", "--given", house.workspace / "imports" / "osv.csv")
    manifest = read_manifest(made["folder"])
    assert manifest.header.region == "osv"
    assert manifest.to_pandas()["climate"].tolist() == ["Dsb", "Dsb"]
    assert set(manifest.to_pandas()["license"]) == {"CC-BY-SA-4.0"}
    assert made["missing"] == ["9"]
    assert "both say what the labels are" in house.complaint(
        "import", "osv5m", tmp_path / "train.csv", "--grid", "5", "--region", "turkiye81", code=2
    )


# --- real tables


REAL = os.environ.get("T15_REAL_DATA")


@pytest.mark.skipif(not REAL, reason="T15_REAL_DATA is not set")
def test_real_tables_of_global_streetscapes(tmp_path: Path, workspace: Workspace) -> None:
    new = Path(str(REAL)) / "new"
    world = read_data_set(kind_named("streetscapes"), new / "world_streets" / "index.csv", tmp_path)
    assert (len(world.table), len(world.region.cities)) == (6152, 358)
    stuttgart = read_data_set(kind_named("streetscapes"), new / "street_attributes" / "stuttgart.csv", tmp_path)
    assert list_photos(workspace, stuttgart, "CC-BY-SA-4.0").listed == {"mapillary": 1298}
    with open_catalogue(workspace) as catalogue:
        assert set(catalogue.beside.columns()["koppen"].values()) == {"Cfb"}


@pytest.mark.parametrize("name", KINDS)
def test_nonsense_is_one_line(name: str, tmp_path: Path) -> None:
    put(tmp_path / "x.csv", b"a,b\n1\n\xff")
    put(tmp_path / "x.tar", b"\0" * 100)
    for path in (tmp_path / "x.csv", tmp_path):
        with pytest.raises(T15Error) as caught:
            read(name, path, region=MANY)
        assert "\n" not in str(caught.value)


def test_no_sides_no_table(tmp_path: Path) -> None:
    data = read("osv5m", tmp_path / "all.csv", OSV)
    assert not write_sides(data, tmp_path / "sides.csv")
