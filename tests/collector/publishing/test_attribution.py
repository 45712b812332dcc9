"""ATTRIBUTION.csv: a row a photo, fit for spreadsheets and for readers of CSV."""

import csv
import io

import pytest

from collector.manifest.manifest import Manifest, build_manifest
from collector.publishing.with_photos import COLUMNS, File, Included, attribution
from tests.collector.conftest import HEADER
from tests.conftest import MakePhoto


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def only(make_photo: MakePhoto, **overrides: object) -> dict[str, str]:
    (row,) = rows(attribution(build_manifest(HEADER, [make_photo(0, **overrides)], "t15"), None))
    return row


def test_a_row_a_photo_sorted(small: Manifest) -> None:
    text = attribution(small, None)
    found = rows(text)
    assert [row["photo_id"] for row in found] == [f"made:{n:04d}" for n in range(30)]
    assert found[0] == {
        "photo_id": "made:0000",
        "title": "Kızılay 0",
        "author": "Ömer Çığ 0",
        "license": "CC-BY-4.0",
        "license_url": "https://creativecommons.org/licenses/by/4.0/",
        "page_url": "https://example.org/photos/0",
        "file": "",
        "changes": "",
        "left_out": "",
    }
    assert (found[28]["title"], found[28]["author"], found[28]["page_url"]) == ("", "", "")


def test_rfc_4180(small: Manifest) -> None:
    lines = attribution(small, None).split("\r\n")
    assert lines[0] == ",".join(COLUMNS)
    assert lines[-1] == ""
    assert len(lines) == 32
    assert not any("\n" in line or "\r" in line for line in lines)
    assert '"""a""; \\  東京 👍"' in lines[30]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\u200b=", "\u202e=", "＝", "＠"])
def test_no_formula(make_photo: MakePhoto, start: str) -> None:
    row = only(make_photo, title=f"{start}HYPERLINK(1)", author_name=f"{start}cmd")
    for cell in row.values():
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", " ", "＝", "＠"))
    assert row["title"].startswith("'")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil", "file:///etc", "https://[x", "x"])
def test_only_addresses_of_the_web(make_photo: MakePhoto, url: str) -> None:
    assert only(make_photo, page_url=url)["page_url"] == ""


def test_hostile_text_is_one_cell(make_photo: MakePhoto) -> None:
    row = only(make_photo, title='a"\r\nb,"c\x00\x1b[2J\u2028', author_name='","","')
    assert (row["title"], row["author"]) == ('a" b,"c[2J', '","","')


def test_an_unknown_licence_keeps_its_name(make_photo: MakePhoto) -> None:
    row = only(make_photo, license="LicenseRef-Own")
    assert (row["license"], row["license_url"]) == ("LicenseRef-Own", "")


def test_files_changes_and_reasons(make_photo: MakePhoto) -> None:
    manifest = build_manifest(HEADER, [make_photo(n) for n in range(3)], "t15")
    files = {"made:0000": File("photos/ab/c.jpg", changed=True), "made:0001": File("photos/ab/d.png", changed=False)}
    found = rows(attribution(manifest, Included(files, {"made:0002": "licence"})))
    assert [(row["file"], row["changes"], row["left_out"]) for row in found] == [
        ("photos/ab/c.jpg", "metadata removed, pixels unchanged", ""),
        ("photos/ab/d.png", "none", ""),
        ("", "", "licence"),
    ]
