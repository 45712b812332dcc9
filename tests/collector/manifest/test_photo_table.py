"""Tables of photos: columns guessed or named, values checked by line, and which file a row means."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.errors import DataError, UsageError
from collector.manifest.photo_table import FileFinder, PhotoTable, Row, read_photo_table

HEAD = "file,city,lat,lon,heading,photographer,licence,caption,date,url,sequence_key,subset,weather"
ROW = "a/1.jpg,Wien,48.2,16.37,-90,Ana,CC BY 4.0,Dom,2019-06-01 12:00,https://e.org/1,s1,train,rain"


def read(folder: Path, *lines: str, name: str = "photos.csv", columns: dict[str, str] | None = None) -> PhotoTable:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_photo_table(path, columns)


@pytest.mark.parametrize(
    ("value", "kind", "time"),
    [
        (1577836800000000001, pa.timestamp("ns"), datetime(2020, 1, 1, tzinfo=UTC)),
        (1577836800, pa.timestamp("s", "Europe/Vienna"), datetime(2020, 1, 1, tzinfo=UTC)),
        (18262, pa.date32(), datetime(2020, 1, 1, tzinfo=UTC)),
        (None, pa.timestamp("ms"), None),
        (-9223372036854775807, pa.timestamp("ns"), "1677"),
        (2**40, pa.timestamp("s"), "row 0, column time: must be of the years 1800 to 2200"),
        (2**45, pa.timestamp("s", "UTC"), "row 0, column time: must be of the years 1800 to 2200"),
        (2**62, pa.timestamp("ms"), "row 0, column time: must be of the years 1800 to 2200"),
    ],
)
def test_times_as_parquet_has_them(tmp_path: Path, value: int | None, kind: pa.DataType, time: object) -> None:
    path = tmp_path / "photos.parquet"
    pq.write_table(pa.table({"file": ["a.jpg"], "time": pa.array([value], kind)}), path)
    if isinstance(time, str):
        with pytest.raises(DataError, match=time):
            read_photo_table(path)
    else:
        assert read_photo_table(path).row(0).time == time


def test_every_column_under_other_names(tmp_path: Path) -> None:
    table = read(tmp_path, HEAD, ROW)
    assert table.row(0) == Row(
        number=0,
        file="a/1.jpg",
        city="Wien",
        latitude=48.2,
        longitude=16.37,
        heading=270.0,
        author="Ana",
        author_id="Ana",
        license="CC-BY-4.0",
        title="Dom",
        time=datetime(2019, 6, 1, 12, tzinfo=UTC),
        page="https://e.org/1",
        sequence="s1",
    )
    assert table.others == ("weather",)
    assert "latitude from lat" in table.described()
    assert "not used: weather" in table.described()


def test_columns_are_named_in_both_spellings(tmp_path: Path) -> None:
    table = read(
        tmp_path, "bild,stadt,lizenz", "1.jpg,Wien,CC0", columns={"file": "bild", "city": "stadt", "licence": "lizenz"}
    )
    assert (table.row(0).file, table.row(0).city, table.row(0).license) == ("1.jpg", "Wien", "CC0-1.0")


def test_what_is_empty_is_not_known(tmp_path: Path) -> None:
    table = read(tmp_path, HEAD, "1.jpg,,,,,,,,,,,,", "2.jpg,,0,0,,,,,,,,,")
    assert table.row(0) == Row(0, "1.jpg")
    assert table.row(1) == Row(1, "2.jpg")


def test_parquet_and_json_lines_say_the_same(tmp_path: Path) -> None:
    moment = datetime(2019, 6, 1, 12, tzinfo=UTC)
    rows = {"file_name": ["1.jpg"], "lat": [48.2], "lon": [16.37], "taken_at": [moment]}
    pq.write_table(pa.table(rows), tmp_path / "photos.parquet")
    line = json.dumps({"file_name": "1.jpg", "lat": 48.2, "lon": 16.37, "taken_at": "2019-06-01T14:00:00+02:00"})
    ours = [read_photo_table(tmp_path / "photos.parquet").row(0), read(tmp_path, line, name="photos.jsonl").row(0)]
    assert ours == [Row(0, "1.jpg", latitude=48.2, longitude=16.37, time=moment)] * 2


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2019:06:01 12:00:00", datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("2019-06-01", datetime(2019, 6, 1, tzinfo=UTC)),
        ("2019-06-01T12:00:00Z", datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("2019-06-01 12:00:00 UTC", datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("2024-07-09 03:24:18.913000+02:00", datetime(2024, 7, 9, 1, 24, 18, 913000, tzinfo=UTC)),
        ("1559390400", datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("1559390400000", datetime(2019, 6, 1, 12, tzinfo=UTC)),
        ("2019-06", datetime(2019, 6, 1, tzinfo=UTC)),
        ("2019", datetime(2019, 1, 1, tzinfo=UTC)),
    ],
)
def test_times(tmp_path: Path, text: str, moment: datetime) -> None:
    assert read(tmp_path, "file,time", f"1.jpg,{text}").row(0).time == moment


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        ("name,city", "1.jpg,Wien", "no column tells the file; name it with --column file=NAME; it has name, city"),
        ("file,lat", "1.jpg,48", "column lat is a latitude, but there is no longitude"),
        ("file,lat,lon", "1.jpg,91,0", "line 2, column lat: '91' must be from -90 to 90"),
        ("file,lat,lon", "1.jpg,48,", "line 2, column lon: must not be missing where lat is known"),
        ("file,lat,lon", "1.jpg,north,0", "line 2, column lat: 'north' is no number"),
        ("file,heading", "1.jpg,400", "line 2, column heading: '400' must be from -360 to 360"),
        ("file,licence", "1.jpg,free", "line 2, column licence: licence 'free' is unknown"),
        ("file,date", "1.jpg,yesterday", "line 2, column date: 'yesterday' is no time"),
        ("file,date", "1.jpg,0001-01-01", "must be of the years 1800 to 2200"),
        ("file,page", "1.jpg,javascript:alert(1)", "must be an address that begins with http"),
        ("file,page", "1.jpg,https://e.org/?api_key=7", "the address must not carry a key"),
        ("file,city", ",Wien", "line 2, column file: must not be missing"),
        (
            "file,city",
            "1.jpg,Wien\n./1.jpg,Graz",
            "line 3, column file: './1.jpg' must be unique, but is that of line 2",
        ),
        ("file,city", "", "has no rows"),
    ],
)
def test_what_is_wrong_is_named_by_line(tmp_path: Path, head: str, row: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, head, row)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_columns_that_there_are_none_of(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"column 'town' is not one of file, city"):
        read(tmp_path, "file,city", "1.jpg,Wien", columns={"town": "city"})
    with pytest.raises(UsageError, match=r"has no column 'stadt' to be city"):
        read(tmp_path, "file,city", "1.jpg,Wien", columns={"city": "stadt"})
    with pytest.raises(UsageError, match="no such file"):
        read_photo_table(tmp_path / "none.csv")


FILES = ("wien/1.jpg", "wien/2.jpg", "graz/1.jpg", "graz/deep/3.png")


@pytest.mark.parametrize(
    ("asked", "city", "meant"),
    [
        ("wien/2.jpg", None, "wien/2.jpg"),
        ("2.jpg", None, "wien/2.jpg"),
        ("2", None, "wien/2.jpg"),
        ("1.jpg", "Graz", "graz/1.jpg"),
        ("1.jpg", "WIEN", "wien/1.jpg"),
        ("deep/3.png", None, "graz/deep/3.png"),
        ("photos/wien/1.jpg", None, "wien/1.jpg"),
        ("linz/2.jpg", None, "no such file"),
        ("1.jpg", None, "2 files are called so, such as wien/1.jpg"),
        ("9.jpg", "Wien", "no such file"),
    ],
)
def test_which_file_a_path_means(asked: str, city: str | None, meant: str) -> None:
    root = Path("/somewhere/photos")
    finder = FileFinder(root, [root / name for name in FILES], [(0, asked, city), (1, "other/x.jpg", None)])
    found = finder.find(asked, city)
    assert (str(found.relative_to(root)) if isinstance(found, Path) else found) == meant


def test_folders_that_all_rows_share_are_left_away() -> None:
    root = Path("/mnt/pictures")
    rows = [(n, f"/home/ana/set/{name}", None) for n, name in enumerate([*FILES, "wien/7.jpg"])]
    matches = FileFinder(root, [root / name for name in FILES], rows).match()
    assert matches.row_of == {root / name: n for n, name in enumerate(FILES)}
    assert matches.without_file == {4: "no such file"}


def test_two_rows_of_one_file() -> None:
    root = Path("/mnt/pictures")
    matches = FileFinder(root, [root / "wien/2.jpg"], [(0, "wien/2.jpg", None), (1, "2.jpg", None)]).match()
    assert matches.row_of == {root / "wien/2.jpg": 0}
    assert matches.without_file == {1: "means wien/2.jpg, as an earlier row does"}


@pytest.mark.parametrize("city", [None, "City {0}"])
def test_names_that_many_folders_have_are_found_quickly(city: str | None) -> None:
    root, numbers = Path("/nowhere"), [(folder, number) for folder in range(120) for number in range(60)]
    files = [root / "de" / f"city-{folder}" / f"{number}.jpg" for folder, number in numbers]
    name = "{1}.jpg" if city else "city-{0}/{1}"
    rows = [(at, name.format(*of), city and city.format(*of)) for at, of in enumerate(numbers)]
    start = time.process_time()
    matches = FileFinder(root, files, rows).match()
    assert time.process_time() - start < 0.6  # 2 where each row looked at all files of its name
    assert [matches.row_of[file] for file in files] == list(range(len(rows)))
