"""Contact sheets: whole, self-contained, and never in the way of other files."""

from pathlib import Path

import pytest

from collector.catalogue.catalogue import open_catalogue
from collector.errors import UsageError
from collector.review.static_sheets import write_sheets
from collector.workspace import Workspace
from tests.collector.review.conftest import CLOCK, HOSTILE, HOSTILE_ID
from tests.collector.review.test_server import Page
from tests.conftest import MakePhoto


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "sheets"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_sheet_for_each_page_of_a_city(shelf: Workspace, make_photo: MakePhoto, out: Path) -> None:
    with open_catalogue(shelf) as catalogue:
        for n in range(100, 160):
            catalogue.add(make_photo(n, city="van"), "stamp")
    made = write_sheets(shelf, out)
    assert (made.index, made.sheets, made.photos) == (out / "index.html", 4, 69)
    assert names(out) == ["ankara-0001.html", "bursa-0001.html", "index.html", "van-0001.html", "van-0002.html"]
    index = Page(made.index.read_text(encoding="utf-8"))
    linked = [link for link in index.values("href") if link.endswith(".html")]
    assert sorted([*linked, "index.html"]) == names(out)
    sheets = [Page((out / f"van-000{n}.html").read_text(encoding="utf-8")) for n in (1, 2)]
    assert [len([src for src in sheet.values("src") if src.startswith("data:image/")]) for sheet in sheets] == [60, 3]


def test_pages_ask_for_nothing_and_show_text_as_text(shelf: Workspace, out: Path) -> None:
    write_sheets(shelf, out)
    text = (out / "bursa-0001.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "default-src 'none'" in str(page.values("content"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert all(link.startswith(("data:", "index.html")) for link in page.values("src") + page.values("href"))
    assert HOSTILE in page.text
    assert HOSTILE_ID in page.text
    for told in ("CC-BY-4.0", "Ömer Çığ 1", "duplicate"):
        assert told in page.text


def test_again_replaces_what_was_there(shelf: Workspace, out: Path) -> None:
    write_sheets(shelf, out)
    before = {name: (out / name).read_bytes() for name in names(out)}
    write_sheets(shelf, out)
    assert {name: (out / name).read_bytes() for name in names(out)} == before
    with open_catalogue(shelf) as catalogue:
        catalogue.withdraw("photo", ["made:0002", "made:0005", "made:0008"], "asked for", CLOCK)
    write_sheets(shelf, out)
    assert names(out) == ["ankara-0001.html", "bursa-0001.html", "index.html"]


@pytest.mark.parametrize("strange", ["index.html", "notes.txt", "van-0001.html"])
def test_a_folder_of_something_else_is_left_alone(shelf: Workspace, out: Path, strange: str) -> None:
    out.mkdir()
    (out / strange).write_text("mine")
    with pytest.raises(UsageError, match=strange):
        write_sheets(shelf, out)
    assert names(out) == [strange]
    assert (out / strange).read_text() == "mine"


def test_a_workspace_is_no_place_for_sheets(shelf: Workspace) -> None:
    before = names(shelf.root)
    with pytest.raises(UsageError, match="choose an empty folder"):
        write_sheets(shelf, shelf.root)
    assert [name for name in names(shelf.root) if not name.startswith("catalogue.sqlite-")] == before


def test_cities_whose_names_are_one_file_name(shelf: Workspace, make_photo: MakePhoto, out: Path) -> None:
    with open_catalogue(shelf) as catalogue:
        for n, city in enumerate(("Van", "../van", "東京", HOSTILE)):
            catalogue.add(make_photo(90 + n, city=city), "stamp")
    made = write_sheets(shelf, out)
    assert made.sheets == 7
    assert len(names(out)) == 8
    write_sheets(shelf, out)


def test_no_catalogue(workspace: Workspace, out: Path) -> None:
    with pytest.raises(UsageError, match="t15 collect"):
        write_sheets(workspace, out)
    assert not (out).exists()
    with open_catalogue(workspace):
        pass
    assert write_sheets(workspace, out).sheets == 0
