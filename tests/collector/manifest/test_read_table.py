"""One table in all the spellings that programs have for it; and files that claim more than they hold."""

import json
import struct
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.errors import DataError, UsageError
from collector.manifest.foreign import read_foreign
from collector.manifest.read_table import open_table
from collector.records import normal_id

ROWS = [("a:1", "train", 41.5), ("a:2", None, None), ("a:3", "test", -3.0)]
TEXTS = {
    "string": pa.string(),
    "large": pa.large_string(),
    "view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "small dictionary": pa.dictionary(pa.int8(), pa.large_string()),
    "binary": pa.binary(),
    "large binary": pa.large_binary(),
    "binary view": pa.binary_view(),
}


def text(values: list[str | None], kind: pa.DataType) -> pa.Array:
    plain = pa.array(values, pa.string())
    return plain.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else plain.cast(kind)


def parquet(path: Path, kind: pa.DataType) -> Path:
    ids, sides, latitudes = (list(column) for column in zip(*ROWS, strict=True))
    columns = {" id ": text(ids, kind), "split": text(sides, kind), "lat": pa.array(latitudes, pa.float32())}
    pq.write_table(pa.table(columns), path / "t.parquet", row_group_size=2)
    return path / "t.parquet"


def read(path: Path) -> pa.Table:
    return open_table(path).read(["id", "split", "lat"])


@pytest.mark.parametrize("kind", TEXTS.values(), ids=TEXTS.keys())
def test_text_of_any_type_in_parquet_is_the_same_text(tmp_path: Path, kind: pa.DataType) -> None:
    table = read(parquet(tmp_path, kind))
    assert table.schema.types == [pa.string(), pa.string(), pa.float32()]
    assert [tuple(row.values()) for row in table.to_pylist()] == ROWS


CSV = {
    "plain": "id,split,lat\na:1,train,41.5\na:2,,\na:3,test,-3.0\n",
    "semicolons": "id;split;lat\na:1;train;41.5\na:2;;\na:3;test;-3.0\n",
    "sep line": "sep=;\r\nid;split;lat\r\na:1;train;41.5\r\na:2;;\r\na:3;test;-3.0\r\n",
    "sep line of another mark": "sep=#\nid#split#lat\na:1#train#41.5\na:2##\na:3#test#-3.0\n",
    "sep line in quotes, after a mark": '\ufeff"sep=|"\nid|split|lat\na:1|train|41.5\na:2||\na:3|test|-3.0\n',
    "blanks": " id ,split , lat\n a:1, train ,41.5\na:2 ,  ,\na:3,test\t, -3.0\n",
    "quoted header": '"id"," split ","lat"\na:1,train,41.5\na:2,,\na:3,test,-3.0\n',
    "blank lines": "\n\nid,split,lat\n\na:1,train,41.5\na:2,,\n\na:3,test,-3.0\n",
}


@pytest.mark.parametrize("content", CSV.values(), ids=CSV.keys())
def test_spellings_of_csv(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode())
    rows = [(a, b, None if c is None else float(c)) for a, b, c in (row.values() for row in read(path).to_pylist())]
    assert rows == ROWS


def test_lines_are_counted_with_the_one_that_names_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\nid;split\na;train\nb;sideways\n")
    assert open_table(path).place(1) == "line 4"
    with pytest.raises(DataError, match="line 4, column split: 'sideways' is none of"):
        read_foreign(path)
    path.write_bytes(b"sep=;\nid;split\na;train\nb\xff;test\n")
    with pytest.raises(DataError, match="line 4, column id: is not UTF-8"):
        read_foreign(path)


JSONL = {
    "plain": "".join(json.dumps(dict(zip(("id", "split", "lat"), row, strict=True))) + "\n" for row in ROWS),
    "keys that are missing": (
        '{"id": "a:1", "split": "train", "lat": 41.5}\n{"id": "a:2"}\n{"lat": -3, "split": "test", "id": "a:3"}'
    ),
    "blanks and a mark": (
        '\ufeff \n{" id": " a:1 ", "split ": "train", "lat": 41.5}\r\n\n'
        '{"id": "a:2"}\n{"id": "a:3", "split": "test", "lat": -3.0}\n'
    ),
}


@pytest.mark.parametrize("content", JSONL.values(), ids=JSONL.keys())
def test_spellings_of_json_lines(tmp_path: Path, content: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(content.encode())
    table = read(path)
    assert table.schema.types == [pa.string(), pa.string(), pa.float64()]
    assert [tuple(row.values()) for row in table.to_pylist()] == ROWS


def test_json_lines_are_audited_like_any_table(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"image": 7, "fold": "train"}\n{"image": "8", "fold": "test"}\n')
    assert read_foreign(path).table["photo_id"].to_pylist() == ["7", "8"]
    path.write_text('{"image": 7, "fold": "train"}\n\n{"image": "8", "fold": "x"}\n')
    with pytest.raises(DataError, match="line 3, column fold: 'x' is none of"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"id": 1}\n[1]\n', "line 2: is no JSON object"),
        ('{"id": 1}\n{"id": \n', "line 2: is not JSON"),
        ("{" + '"a":[' * 100_000, "line 1: is not JSON"),
        ('{"id": [1]}\n{"id": {"a": 1}}\n', "column id: holds a value that does not fit"),
        ('{"id": 1}\n{"id": true}\n', "column id: holds a value that does not fit"),
        ('{"id": "\\ud800"}\n', "column id: holds a value that does not fit"),
        ('{"id": 1' + "0" * 30 + "}\n", "column id: holds a value that does not fit"),
    ],
)
def test_json_lines_that_are_wrong(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        open_table(path).read(["id"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "line"), [("t.csv", '"a\nb",1\n'), ("t.jsonl", '{"a": 1}\n\n')])
def test_many_rows_are_named_in_one_pass(tmp_path: Path, name: str, line: str) -> None:
    path = tmp_path / name
    path.write_text(("a,b\n" if name == "t.csv" else "") + 5000 * line)
    source = open_table(path)
    start = time.process_time()
    places = [source.place(row) for row in (4999, *range(5000))]
    assert time.process_time() - start < 0.5  # 10 s where each reads the file again
    first = 2 if name == "t.csv" else 1
    assert places == [f"line {first + 2 * row}" for row in (4999, *range(5000))]
    assert source.place(5000) == "record 5001"


def test_json_lines_hold_what_is_neither_text_nor_number(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": "a", "fold": "train", "night": true, "boxes": [[1, 2]]}\n')
    assert open_table(path).read(["night", "boxes"]).to_pylist() == [{"night": True, "boxes": [[1, 2]]}]
    assert read_foreign(path).table["photo_id"].to_pylist() == ["a"]
    assert read_foreign(path, {"photo_id": "night"}).table["photo_id"].to_pylist() == ["true"]
    with pytest.raises(DataError, match=r"column boxes: cannot be read as text \(it is of type list"):
        read_foreign(path, {"photo_id": "boxes"})


# --- what is not known, and what is the same


def foreign(tmp_path: Path, *lines: str) -> list[dict[str, Any]]:
    path = tmp_path / "t.csv"
    path.write_text("id,split,lat,lon,author\n" + "\n".join(lines) + "\n", encoding="utf-8")
    rows: list[dict[str, Any]] = read_foreign(path).table.to_pylist()
    return rows


@pytest.mark.parametrize("place", ["0,0", "0.0,-0.0", "-0,0.000", "nan,NaN", ",", "None,n/a", "0e5,+0"])
def test_places_that_are_none(tmp_path: Path, place: str) -> None:
    (row,) = foreign(tmp_path, f"a,train,{place},x")
    assert (row["latitude"], row["longitude"]) == (None, None)


@pytest.mark.parametrize("place", ["0,6.6", "51.48,0", "1e-9,0", "0,-1e-9"])
def test_places_on_the_equator_and_the_meridian_are_places(tmp_path: Path, place: str) -> None:
    (row,) = foreign(tmp_path, f"a,train,{place},x")
    assert (row["latitude"], row["longitude"]) == tuple(map(float, place.split(",")))


@pytest.mark.parametrize("name", ["Çağrı", "Zoë", "Å", "각", "ﬁ", "x"])
def test_one_author_in_two_spellings_of_unicode(tmp_path: Path, name: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    rows = foreign(tmp_path, f"a,train,1,1,{composed}", f"b,test,1,1,{decomposed}")
    assert rows[0]["author_id"] == rows[1]["author_id"] == normal_id(decomposed) == composed


def test_case_tells_authors_apart(tmp_path: Path) -> None:
    rows = foreign(tmp_path, "a,train,1,1,Ada", "b,test,1,1,ada")
    assert rows[0]["author_id"] != rows[1]["author_id"]


@given(st.text())
def test_a_normal_id_is_its_own_normal_id(name: str) -> None:
    assert normal_id(normal_id(name)) == normal_id(name)


# --- claims


def varint(number: int) -> bytes:
    """Return a number as Thrift's compact protocol writes it."""
    number = number << 1 if number >= 0 else (-number << 1) - 1
    digits = bytearray()
    while True:
        digits.append(number & 0x7F | (0x80 if number > 0x7F else 0))
        number >>= 7
        if not number:
            return bytes(digits)


def claiming(path: Path, rows: int) -> Path:
    """Let a Parquet file of 3 rows claim so many, in its footer."""
    pq.write_table(pa.table({"id": ["x", "y", "z"], "split": ["train"] * 3}), path, compression="none")
    whole = path.read_bytes()
    (length,) = struct.unpack("<I", whole[-8:-4])
    body, footer = whole[: -8 - length], whole[-8 - length : -8]
    # Field 3 of FileMetaData, and field 3 of its one RowGroup, both of type i64.
    changed = footer.replace(b"\x16" + varint(3), b"\x16" + varint(rows))
    path.write_bytes(body + changed + struct.pack("<I", len(changed)) + b"PAR1")
    return path


def test_a_small_file_that_claims_a_thousand_million_rows(tmp_path: Path) -> None:
    path = claiming(tmp_path / "t.parquet", 10**9)
    assert pq.ParquetFile(path).metadata.num_rows == 10**9
    with pytest.raises(DataError, match=r"claims 1000000000 rows, which \d+ bytes cannot hold"):
        open_table(path).read(["id"])


def bomb(path: Path) -> Path:
    """Write 10,000 rows of the same text of a million characters in a few kilobytes."""
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * 1_000_000]))
    pq.write_table(pa.table({"split": ["train"] * 10_000, "id": long}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    return path


def test_a_text_that_is_repeated_until_no_memory_is_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unpacks to more than \d+ MiB"):
        open_table(bomb(tmp_path / "t.parquet")).read(["id"])


def test_many_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",".join(f"{n:x}" for n in range(21_000)) + "\n")
    with pytest.raises(DataError, match="21000 columns; 20000 are the most"):
        open_table(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_table_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    makers: list[Callable[[], bytes]] = [
        lambda: parquet(tmp_path, pa.string()).read_bytes(),
        CSV["sep line"].encode,
        JSONL["plain"].encode,
    ]
    whole = bytearray(data.draw(st.sampled_from(makers))())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2]))])
    with suppress(DataError, UsageError):
        source = open_table(path)
        source.read(list(dict.fromkeys(source.names))[:3])
