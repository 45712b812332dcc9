"""A manifest as CSV and JSON Lines, read back by other programs' readers."""

import csv
import errno
import io
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pytest

from collector.errors import IncompleteError, UsageError
from collector.manifest import export as module
from collector.manifest.export import Exported, export
from collector.manifest.manifest import Manifest, build_manifest
from collector.records import PHOTO_FIELDS
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto

EVIL = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "-"]


@pytest.fixture(scope="session")
def evil(make_photo: MakePhoto) -> Manifest:
    photos = [make_photo(n, title=title, latitude=-1.5, longitude=-2.5) for n, title in enumerate(EVIL)]
    return build_manifest(HEADER, photos, "t15 test")


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def test_csv_holds_every_value(small: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "new" / "photos.csv"
    assert export(small, path) == Exported(rows=30, formulas=0)
    assert list(path.parent.iterdir()) == [path]
    data = path.read_bytes()
    assert data.startswith(",".join(PHOTO_FIELDS).encode() + b"\n")
    assert data.endswith(b"\n")
    found = read(data)
    for row, published in zip(found, small.table.to_pylist(), strict=True):
        for name, value in published.items():
            if value is None:
                assert row[name] == ""
            elif isinstance(value, datetime):
                assert datetime.fromisoformat(row[name]) == value
                assert row[name].endswith("+00:00")
            else:
                assert type(value)(row[name]) == value
    assert len(pd.read_csv(path)) == 30


def test_json_lines_hold_every_value(small: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "photos.jsonl"
    export(small, path, "jsonl")
    lines = path.read_text(encoding="utf-8").splitlines()  # also ends lines at U+2028 and U+0085
    found = [json.loads(line) for line in lines]
    expected = [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        for row in small.table.to_pylist()
    ]
    assert found == expected
    assert "Kızılay" in lines[0]


def test_columns_in_the_order_asked_for(small: Manifest) -> None:
    stream = io.BytesIO()
    export(small, stream, columns=["split", "photo_id"])
    assert stream.getvalue().splitlines()[:2] == [b"split,photo_id", b"train,made:0000"]
    stream = io.BytesIO()
    export(small, stream, "jsonl", columns=["longitude"])
    assert stream.getvalue().splitlines()[0] == b'{"longitude": 32.5}'


def test_wrong_columns(small: Manifest) -> None:
    with pytest.raises(UsageError, match=r"no column 'latitud' \(did you mean 'latitude'"):
        export(small, io.BytesIO(), columns=["latitud"])
    with pytest.raises(UsageError, match="'title' is asked for twice"):
        export(small, io.BytesIO(), columns=["title", "title"])


def test_formulas_are_counted_and_left_alone(evil: Manifest) -> None:
    stream = io.BytesIO()
    assert export(evil, stream).formulas == len(EVIL)
    assert [row["title"] for row in read(stream.getvalue())] == EVIL
    assert export(evil, io.BytesIO(), columns=["photo_id"]).formulas == 0


def test_a_spreadsheet_sees_no_formula(evil: Manifest) -> None:
    stream = io.BytesIO()
    export(evil, stream, spreadsheet=True)
    assert stream.getvalue().startswith(b"\xef\xbb\xbfphoto_id,")
    found = read(stream.getvalue().removeprefix(b"\xef\xbb\xbf"))
    assert [row["title"] for row in found] == [f"'{title}" for title in EVIL]
    assert found[0]["latitude"] == "-1.5"  # a number is none
    with pytest.raises(UsageError, match="is for CSV"):
        export(evil, stream, "jsonl", spreadsheet=True)


def test_an_empty_manifest() -> None:
    stream = io.BytesIO()
    assert export(build_manifest(HEADER, [], ""), stream) == Exported(0, 0)
    assert stream.getvalue().count(b"\n") == 1


def test_many_batches(small: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = io.BytesIO(), io.BytesIO()
    export(small, whole)
    monkeypatch.setattr(module, "BATCH", 7)
    export(small, cut)
    assert cut.getvalue() == whole.getvalue()


def test_the_same_bytes_again(small: Manifest, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export(replace(small), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_full_disk_leaves_the_old_file(small: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photos.csv"
    path.write_text("old")

    def fail(stream: IO[str], *_: Any) -> None:
        stream.write("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(module._WRITERS, "csv", fail)
    with pytest.raises(IncompleteError, match="the disk is full"):
        export(small, path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("photos.csv", "old")]


def test_places_that_cannot_be_written(small: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; name a file in it"):
        export(small, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        export(small, tmp_path / "file" / "photos.csv")
