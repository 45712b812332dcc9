"""Nothing with a key in it leaves."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collector.errors import DataError
from collector.publishing.bundle import check_no_keys, secret_values

KEY = "AIzaSy/0123+4567=89"


def test_which_variables_hold_keys() -> None:
    environment = {
        "T15_FLICKR_KEY": "flickr-key",
        "T15_FLICKR_SECRET": " flickr-secret ",
        "T15_MAPILLARY_TOKEN": "token",
        "T15_GOOGLE_KEY_2": "second",
        "HF_TOKEN": "hub",
        "T15_WORKSPACE": "/data",
        "T15_KEY_EMPTY": "",
        "OTHER_KEY": "not ours",
    }
    assert secret_values(environment) == ("hub", "flickr-key", "flickr-secret", "second", "token")


@pytest.mark.parametrize("name", ["README.md", "manifest.json", "SHA256SUMS", "pictures/map.svg", "photos/ab/c.jpg"])
@pytest.mark.parametrize("spelt", [KEY, "AIzaSy%2F0123%2B4567%3D89"])
def test_a_key_in_any_file(tmp_path: Path, name: str, spelt: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"\xff\x00 before " + spelt.encode() + b" after")
    with pytest.raises(DataError, match=f"{name}: would hold the value of a key") as raised:
        check_no_keys(tmp_path, [KEY])
    assert spelt not in str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://maps.example/api?size=1&key=abc",
        "https://storage.example/x?X-Amz-Signature=abc",
        "https://user:word@example.org/x",
        "https://example.org/x?a=1&access_token=abc",
    ],
)
@pytest.mark.parametrize("around", ['{{"x": "{}"}}', "[x]({})", "a,{},b", "<a href='{}'>", "see {}"])
def test_an_address_with_a_key(tmp_path: Path, address: str, around: str) -> None:
    (tmp_path / "x.json").write_text(around.format(address))
    with pytest.raises(DataError, match=r"x.json: would hold an address with a key") as raised:
        check_no_keys(tmp_path, [])
    assert "abc" not in str(raised.value)


def test_a_table_is_looked_through_with_columns_and_notes_that_t15_does_not_know(tmp_path: Path) -> None:
    clean = pa.table({"photo_id": ["a:1"], "note": [None]})
    path = tmp_path / "photos.parquet"
    pq.write_table(clean, path, compression="zstd")
    check_no_keys(tmp_path, [KEY])
    pq.write_table(pa.table({"photo_id": ["a:1"], "note": [{"deep": [KEY]}]}), path, compression="zstd")
    with pytest.raises(DataError, match="value of a key"):
        check_no_keys(tmp_path, [KEY])
    pq.write_table(clean.replace_schema_metadata({"made with": KEY}), path)
    with pytest.raises(DataError, match="value of a key"):
        check_no_keys(tmp_path, [KEY])
    pq.write_table(pa.table({"note": ["https://example.org/?sig=1"]}), path)
    with pytest.raises(DataError, match="address with a key"):
        check_no_keys(tmp_path, [])


def test_what_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("the key= of a text, ?key=, https://example.org/monkey?monkey=1 and test")
    (tmp_path / "a.jpg").write_bytes(b"https://example.org/?key=1")  # pixels can spell anything
    check_no_keys(tmp_path, ["test", ""])
