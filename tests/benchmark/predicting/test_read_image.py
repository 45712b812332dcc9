"""What names stand for, and what cannot be read."""

import io
import os
from pathlib import Path

import pytest

from benchmark.predicting.read_image import Source, described, find_photos, read_photo, shown
from collector.errors import DataError
from tests.benchmark.conftest import paint
from tests.benchmark.predicting.conftest import jpeg

NOTHING = io.BytesIO()


def test_a_folders_photos_are_found_below_it_in_order(tmp_path: Path) -> None:
    for name in (
        "b/2.PNG",
        "b/1.jpg",
        "a.webp",
        "b/.hidden.jpg",
        ".cache/3.jpg",
        "b/notes.txt",
        "c.HEIC",
        "b/raw",
        "b/c/4.Tif",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    found = find_photos([str(tmp_path)], NOTHING)
    assert [source.name.removeprefix(f"{tmp_path}/") for source in found.photos] == [
        "a.webp",
        "c.HEIC",
        "b/1.jpg",
        "b/2.PNG",
        "b/c/4.Tif",
    ]
    assert found.unreadable == []
    assert dict(found.others) == {".txt": 1, "": 1}
    assert described(found.others) == "1 .txt, 1 without a suffix"


def test_named_files_are_taken_whatever_their_names(tmp_path: Path) -> None:
    names = [str(tmp_path / "photo"), "-", str(tmp_path / "gone.jpg")]
    found = find_photos(names, io.BytesIO(b"bytes"))
    assert [source.name for source in found.photos] == [names[0], "standard input", names[2]]
    assert found.photos[1].data == b"bytes"


def test_links_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").symlink_to(tmp_path)
    (tmp_path / "a" / "1.jpg").write_bytes(b"")
    (tmp_path / "a" / "2.jpg").symlink_to(tmp_path / "gone.jpg")
    assert len(find_photos([str(tmp_path)], NOTHING).photos) == 2


def test_a_folder_that_cannot_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> object:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_photos([str(tmp_path)], NOTHING).unreadable == [(str(tmp_path), "Permission denied")]


def test_standard_input_has_a_limit() -> None:
    full = find_photos(["-"], io.BytesIO(bytes(1 << 20)), most_bytes=1 << 20)
    assert [len(source.data) for source in full.photos] == [1 << 20]
    more = find_photos(["-"], io.BytesIO(bytes((1 << 20) + 1)), most_bytes=1 << 20)
    assert more.unreadable == [("standard input", "holds more than 1 MiB; save the photo as a file and give its name")]
    assert find_photos(["-"], NOTHING).unreadable[0][1].startswith("is empty")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Kızılay ş.jpg", "Kızılay ş.jpg"),
        ("a\nb\t.jpg", "a\\nb\\t.jpg"),
        ("\x1b[31mred", "\\x1b[31mred"),
        (os.fsdecode(b"\xff\xfe.jpg"), "\\udcff\\udcfe.jpg"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
    ],
)
def test_names_become_printable(name: str, text: str) -> None:
    assert shown(name) == text
    text.encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not an image, or damaged from its first bytes; JPEG, PNG, WEBP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not an image"),
        (jpeg(paint(0, 0, 640, 480))[:3000], "cannot be decoded (image file is truncated"),
    ],
)
def test_what_is_no_picture_is_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x.jpg").write_bytes(data)
    for source in (Source("x", tmp_path / "x.jpg"), Source("standard input", data=data)):
        with pytest.raises(DataError) as caught:
            read_photo(source, 64)
        assert str(caught.value).startswith(said)
        assert "\n" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["gone.jpg", "", "a\0b.jpg", "x" * 5000])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"^there is no such file$"):
        read_photo(Source(name, tmp_path / name), 64)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="there is no such file"):
        read_photo(Source("pipe.jpg", tmp_path / "pipe.jpg"), 64)


def test_camera_photos_come_smaller_but_large_enough(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg(paint(0, 0, 1600, 1200)))
    source = Source("x", tmp_path / "x.jpg")
    assert read_photo(source, 64).size == (200, 150)
    assert read_photo(source, 256).size == (400, 300)
    assert read_photo(source, None).size == (1600, 1200)
