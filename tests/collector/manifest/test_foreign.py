"""Files that t15 did not make: what is read of them, and what is said where they are wrong."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.errors import DataError, UsageError
from collector.manifest import read_table
from collector.manifest.export import export
from collector.manifest.foreign import NAMES, Foreign, read_foreign
from collector.manifest.manifest import Manifest
from collector.manifest.schema import COLUMNS
from collector.splitting.audit import audit_foreign

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(content: str | bytes, name: str = "others.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def rows(found: Foreign) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = found.table.to_pylist()
    return listed


def says(path: Path, columns: dict[str, str] | None = None) -> str:
    """Return the error, without the file that it begins with."""
    with pytest.raises(DataError) as raised:
        read_foreign(path, columns)
    said = str(raised.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said.removeprefix(f"{path}: ")


# --- what is read


def test_names_are_those_of_the_columns() -> None:
    assert set(NAMES) - {"md5"} <= {column.name for column in COLUMNS}
    words = [word for names in NAMES.values() for word in names]
    assert len(words) == len(set(words))  # a word means one column


def test_a_sequence_is_no_group(write: Write) -> None:
    found = read_foreign(write("split,group,sequence_id\ntrain,g,s\ntest,h,s\n"))
    assert found.columns == {"split": "split", "group_id": "group", "sequence_id": "sequence_id"}
    (train_test,) = [of for of in audit_foreign(found).comparisons if of.sequences.known]
    assert (train_test.sequences.photos, train_test.groups.photos) == (1, 0)


def test_columns_are_guessed(write: Write) -> None:
    path = write("Image, Subset ,LABEL,Lat,lng,Uploader,pHash\n1.jpg,Training,İzmir,38.4,+27.1,ömer,ABCDEF0123456789\n")
    found = read_foreign(path)
    assert found.columns == {
        "photo_id": "Image",
        "split": "Subset",
        "city": "LABEL",
        "latitude": "Lat",
        "longitude": "lng",
        "author_id": "Uploader",
        "phash": "pHash",
    }
    assert rows(found) == [
        {
            "photo_id": "1.jpg",
            "split": "train",
            "city": "İzmir",
            "latitude": 38.4,
            "longitude": 27.1,
            "author_id": "ömer",
            "phash": "abcdef0123456789",
        }
    ]


@pytest.mark.parametrize(
    ("word", "side"),
    [
        ("train", "train"),
        ("TRAINING", "train"),
        (" val ", "val"),
        ("validation", "val"),
        ("dev", "val"),
        ("Test", "test"),
    ],
)
def test_sides_by_other_names(write: Write, word: str, side: str) -> None:
    assert rows(read_foreign(write(f"id,fold\n1,{word}\n")))[0]["split"] == side


def test_of_two_columns_of_one_name_but_for_case_the_first_is_taken(write: Write) -> None:
    assert read_foreign(write("split,City,city\ntrain,a,b\n")).columns["city"] == "City"


def test_the_first_name_in_the_list_is_taken_and_the_user_has_the_last_word(write: Write) -> None:
    path = write("filename,id,split,owner,user\na,1,train,x,y\n")
    assert read_foreign(path).columns == {"photo_id": "id", "split": "split", "author_id": "user"}
    given = {"photo_id": "filename", "author_id": "owner"}
    assert read_foreign(path, given).columns == {"photo_id": "filename", "split": "split", "author_id": "owner"}


@pytest.mark.parametrize(
    ("name", "mark"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "|"), ("a.txt", "\t"), ("a.tsv", "\t")]
)
def test_delimiters(write: Write, name: str, mark: str) -> None:
    text = 'id,split,"city, or town"\n1,train,"a ""b"", c"\n'.replace(",", mark).replace(f"city{mark} or", "city, or")
    assert rows(read_foreign(write(text, name), {"city": "city, or town"}))[0]["city"] == f'a "b"{mark} c'


def test_a_byte_order_mark_blank_lines_and_other_line_ends(write: Write) -> None:
    path = write(b"\xef\xbb\xbfid,split\r\n\r\n1,train\r\n\r\n2,test")
    assert [row["photo_id"] for row in rows(read_foreign(path))] == ["1", "2"]


def test_without_ids_records_are_counted(write: Write) -> None:
    assert [row["photo_id"] for row in rows(read_foreign(write("split\ntrain\ntest\n")))] == ["record 1", "record 2"]


def test_what_is_missing(write: Write) -> None:
    """Nan is a city and Null a name; a number that is `nan` is not known."""
    path = write('id,split,city,author,lat,lon\n1,train,Nan,Null,nan,NA\n2,train,,"", ,\n')
    assert rows(read_foreign(path)) == [
        {"photo_id": "1", "split": "train", "city": "Nan", "author_id": "Null", "latitude": None, "longitude": None},
        {"photo_id": "2", "split": "train", "city": None, "author_id": None, "latitude": None, "longitude": None},
    ]


def test_a_single_quote_within_a_cell_is_text(write: Write) -> None:
    assert rows(read_foreign(write('id,split,city\n1,train,5" north\n')))[0]["city"] == '5" north'


def test_unused_columns_may_hold_anything(write: Write) -> None:
    path = write(b"id,split,note\n1,train,\xff\xfe\n")
    assert rows(read_foreign(path)) == [{"photo_id": "1", "split": "train"}]


def test_parquet_of_other_types(tmp_path: Path) -> None:
    path = tmp_path / "others.parquet"
    columns = {
        "id": [7, 8],
        "split": pa.array(["train", "test"]).dictionary_encode(),
        "lat": pa.array([41.0, None], pa.float32()),
        "lon": pa.array([29, None], pa.int8()),
        "label": [3, 4],
    }
    pq.write_table(pa.table(columns), path)
    assert rows(read_foreign(path)) == [
        {"photo_id": "7", "split": "train", "city": "3", "latitude": 41.0, "longitude": 29.0},
        {"photo_id": "8", "split": "test", "city": "4", "latitude": None, "longitude": None},
    ]


def test_an_exported_manifest_is_read_as_it_was(small: Manifest, folder: Path, tmp_path: Path) -> None:
    for spreadsheet in (False, True):
        export(small, tmp_path / "out.csv", spreadsheet=spreadsheet)
        found = read_foreign(tmp_path / "out.csv").table
        for name in found.column_names:
            assert found[name].to_pylist() == small.table[name].to_pylist()
    assert read_foreign(folder / "photos.parquet").table.equals(found)


# --- what is wrong with values


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("3,train,91,0,a", "line 5, column lat: '91' must be from -90 to 90"),
        ("3,train,1,-180.5,a", "line 5, column lon: '-180.5' must be from -180 to 180"),
        ("3,train,1e400,0,a", "line 5, column lat: '1e400' must be from -90 to 90"),
        ("3,train,inf,0,a", "line 5, column lat: 'inf' is no number (degrees with a decimal point, such as 41.0082)"),
        (
            '3,train,"41,5",0,a',
            "line 5, column lat: '41,5' is no number (degrees with a decimal point, such as 41.0082)",
        ),
        ("3,train,41°,0,a", "line 5, column lat: '41°' is no number (degrees with a decimal point, such as 41.0082)"),
        ("3,train,41,,a", "line 5, column lon: must not be missing where lat is known"),
        ("3,train,,29,a", "line 5, column lat: must not be missing where lon is known"),
        ("3,,41,29,a", "line 5, column set: must not be missing"),
        (
            "3,trian,41,29,a",
            "line 5, column set: 'trian' is none of train, val, test (did you mean 'train'?)",
        ),
        ("3,7,41,29,a", "line 5, column set: '7' is none of train, val, test"),
        (",train,41,29,a", "line 5, column id: must not be missing"),
        ("1,train,41,29,a", "line 5, column id: '1' must be unique on a side, but is that of line 2 too"),
        ("3,train,41,29", "line 5: has 4 cells, the header has 5"),
        ("3,train,41,29,a,b", "line 5: has 6 cells, the header has 5"),
    ],
)
def test_a_wrong_value_is_named_by_line_and_column(write: Write, record: str, said: str) -> None:
    """The record before it takes two lines."""
    assert says(write(f'id,set,lat,lon,city\n1,train,1,1,a\n2,test,2,2,"a\nb"\n{record}\n4,val,3,3,c\n')) == said


def test_a_photo_on_two_sides_is_for_the_audit(write: Write) -> None:
    assert read_foreign(write("id,set\n1,train\n1,test\n")).table["photo_id"].to_pylist() == ["1", "1"]


def test_a_wrong_digest(write: Write) -> None:
    assert says(write("split,sha256\ntrain,xyz\n")) == "line 2, column sha256: 'xyz' must be 64 hex digits"
    assert says(write("split,md5\ntrain,abc\n")).endswith("must be 32 hex digits")


def test_a_wrong_value_of_parquet_is_named_by_row(tmp_path: Path) -> None:
    path = tmp_path / "others.parquet"
    pq.write_table(pa.table({"split": ["train", "test"], "lat": [1.0, 91.0], "lon": [1.0, 1.0]}), path)
    assert says(path) == "row 1, column lat: 91.0 must be from -90 to 90"
    pq.write_table(pa.table({"split": [["train"], ["test"]]}), path)
    assert says(path).startswith("column split: cannot be read as text (it is of type list")


# --- what is wrong with columns


def test_no_split_column(write: Write) -> None:
    assert (
        says(write("id,city\n1,a\n")) == "no column tells the side; name it with --column split=NAME; it has id, city"
    )


def test_half_a_place(write: Write) -> None:
    assert says(write("split,lat,x\ntrain,1,2\n")) == (
        "column lat is a latitude, but there is no longitude; name it with --column longitude=NAME; it has split, lat, x"
    )


def test_a_column_twice(write: Write) -> None:
    assert says(write("split,lat,lon,lat\ntrain,1,2,3\n")) == "column 'lat' is there 2 times: which is latitude?"


def test_columns_that_are_not_there(write: Write) -> None:
    path = write("split,image_name\ntrain,1\n")
    with pytest.raises(UsageError, match=r"has no column 'image_nme' to be photo_id \(did you mean 'image_name'\?\)"):
        read_foreign(path, {"photo_id": "image_nme"})
    with pytest.raises(UsageError, match=r"column 'latitud' is not one of photo_id, .*did you mean 'latitude'"):
        read_foreign(path, {"latitud": "image_name"})


# --- what is wrong with files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "has blank lines only"),
        (b"id,split\n", "has no rows"),
        (gzip.compress(b"id,split\n1,train\n", mtime=0), "is compressed (gzip); unpack it first"),
        ("id,split\n1,train\n".encode("utf-16"), "is in UTF-16; save it as UTF-8"),
        (b"PK\x03\x04rest", "is an archive or a spreadsheet; save the table as CSV"),
        (
            b"id,split,city\n1,train,a\n2,test,\xddzmir\n",
            "line 3, column city: is not UTF-8 (byte 0xdd); save the file as UTF-8",
        ),
        (b"\xfeehir,split\na,train\n", "line 1: is not UTF-8 (byte 0xfe); save the file as UTF-8"),
        (b'id,split,title\n1,train,"open\n2,test,b\n', "line 2: is no CSV record (unexpected end of data)"),
    ],
)
def test_a_file_that_cannot_be_read(write: Write, content: bytes, said: str) -> None:
    assert says(write(content)) == said


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        read_foreign(tmp_path / "none.csv")


def test_truncated_and_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "others.parquet"
    table = pa.table({"split": ["train", "test"] * 500, "id": [f"photo-{n:09d}" for n in range(1000)]})
    pq.write_table(table, path, row_group_size=400, write_page_checksum=True, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert says(path).startswith("cannot be read as Parquet, it may be cut short (")
    at = whole.index(b"photo-000000777")
    path.write_bytes(whole[:at] + b"PHOTO" + whole[at + 5 :])
    assert says(path).startswith("rows 400 to 799, column id: damaged (")


def test_a_line_longer_than_a_block(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_table, "BLOCK", 1 << 10)
    assert says(write(f"id,split\n{'x' * 5000},train\n")).startswith("cannot be read as CSV (")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_decimal_commas_where_the_delimiter_is_another(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "excel.csv"
    lines = ["photo_id,split,lat,lon", "a,train,38/42,27/14", "b,test,-0/5,+32/86", "c,val,39,32"]
    path.write_text("\n".join(lines).replace(",", delimiter).replace("/", ","), encoding="utf-8-sig")
    table = read_foreign(path).table
    assert table["latitude"].to_pylist() == [38.42, -0.5, 39.0]
    assert table["longitude"].to_pylist() == [27.14, 32.86, 32.0]


def test_ids_that_became_floats_because_one_is_missing(tmp_path: Path) -> None:
    """As pandas writes them: before, all that are missing were one author, `nan`, and 5.1e10 stood for an id."""
    authors = pa.array([51035555243.0, float("nan"), float("nan"), 2.0])
    path = tmp_path / "pandas.parquet"
    pq.write_table(pa.table({"id": list("abcd"), "split": ["train", "train", "test", "test"], "author": authors}), path)
    assert read_foreign(path).table["author_id"].to_pylist() == ["51035555243", None, None, "2"]


def test_quotes_left_open_in_an_even_number_of_rows(tmp_path: Path) -> None:
    """Before, each pair of rows was read as one, and nobody said so."""
    path = tmp_path / "quotes.csv"
    path.write_text('id,split,title\na,train,"x\nb,test,"y\nc,val,z\n')
    with pytest.raises(DataError, match="line 2: is no CSV record"):
        read_foreign(path)
    path.write_text('id,split,title\na,train,"x\ny ""z"""\nb,test,5" wide\n')
    assert read_foreign(path).table["photo_id"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;", "\ufeffsep=;"])
def test_a_line_that_names_the_delimiter(tmp_path: Path, first: str) -> None:
    path = tmp_path / "excel.csv"
    path.write_text(f"{first}\nid;split\na;train\nb;test\n", encoding="utf-8")
    assert read_foreign(path).table["photo_id"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"BZh91AY&SY", "unpack"),
        (b"\xfd7zXZ\0", "unpack"),
        (b"\x28\xb5\x2f\xfd\0", "unpack"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "CSV"),
        (b"SQLite format 3\0", "CSV"),
        (b"ARROW1\0\0", "Parquet"),
        (b"PARE\0", "decrypt"),
        (bytes(4096), "zero bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"<!DOCTYPE html><title>Sign in</title>", "web page"),
        (b'[{"id": "a", "split": "train"}]', "JSON Lines"),
    ],
)
def test_files_that_are_no_tables_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_foreign(path)
