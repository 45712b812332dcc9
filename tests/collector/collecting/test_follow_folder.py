"""A folder is the truth about itself: what moved, changed, went or came back, and what reviewers decided meanwhile."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.catalogue.catalogue import open_catalogue
from collector.catalogue.withdrawals import withdraw
from collector.collecting.collect import Summary, collect
from collector.collecting.follow_folder import GONE
from collector.collecting.select import SelectionCriteria
from collector.images.validate import Limits
from collector.manifest.photo_table import PhotoTable, read_photo_table
from collector.providers.base import Query
from collector.providers.folder import FolderProvider
from collector.records import City
from collector.regions import find_city, region
from collector.review.decisions import decide, opened, standing
from collector.workspace import create_workspace
from tests.conftest import PhotoBytes

REGION = region("turkiye15")
ANKARA, IZMIR, VAN = (find_city(REGION, name) for name in ("ankara", "izmir", "van"))


class Album:
    """A folder of photos, and a workspace that it is collected into."""

    def __init__(self, folder: Path, photo_bytes: PhotoBytes) -> None:
        self.root = folder / "photos"
        self.root.mkdir(parents=True, exist_ok=True)
        self.workspace = create_workspace(folder / "workspace")
        self._photo = photo_bytes

    def put(self, path: str, seed: int) -> Path:
        whole = self.root / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(self._photo(seed, (32, 32)))
        return whole

    def move(self, old: str, new: str) -> None:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        (self.root / old).rename(self.root / new)

    def collect(self, root: Path | None = None, cities: tuple[City, ...] = REGION.cities, **options: Any) -> Summary:
        licence = options.pop("licence", "CC0-1.0")
        table = options.pop("table", None)
        provider = FolderProvider(root or self.root, REGION, licence, table and self.table(*table))
        return collect(self.workspace, REGION, cities, provider, limits=Limits(min_side=32), **options)

    def table(self, *lines: str) -> PhotoTable:
        path = self.root.parent / "photos.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_photo_table(path)

    def titles(self) -> dict[str, list[str]]:
        """Return the titles of the clean photos by city."""
        found: dict[str, list[str]] = {}
        with open_catalogue(self.workspace) as catalogue:
            for photo in sorted(catalogue.clean(), key=lambda photo: str(photo.title)):
                found.setdefault(photo.city, []).append(str(photo.title))
        return found

    def id(self, title: str) -> str:
        with open_catalogue(self.workspace) as catalogue:
            (photo,) = (photo for photo in catalogue.downloaded() if photo.title == title)
        return photo.photo_id

    def rejected(self) -> list[tuple[str, str]]:
        with open_catalogue(self.workspace) as catalogue:
            return [(one.reason, one.detail) for one in catalogue.rejections()]

    def review(self, title: str, verdict: str, right_city: str | None = None) -> None:
        with opened(self.workspace) as db:
            decide(db, self.id(title), verdict, "ayşe", datetime(2026, 1, 1, tzinfo=UTC), right_city)

    def verdict(self, title: str) -> str | None:
        with opened(self.workspace) as db:
            entry = standing(db, self.id(title))
        return entry.verdict if entry else None


@pytest.fixture
def album(tmp_path: Path, photo_bytes: PhotoBytes) -> Album:
    made = Album(tmp_path, photo_bytes)
    for seed, path in enumerate(("ankara/a.jpg", "ankara/b.jpg", "izmir/c.jpg", "van/d.jpg")):
        made.put(path, seed)
    made.collect()
    return made


def changes(summary: Summary) -> tuple[int, int, int]:
    return summary.moved, summary.gone, summary.updated


def test_nothing_changed(album: Album) -> None:
    assert changes(album.collect()) == (0, 0, 0)
    assert album.titles() == {"ankara": ["a.jpg", "b.jpg"], "izmir": ["c.jpg"], "van": ["d.jpg"]}
    assert album.rejected() == []


def test_a_moved_file_is_there_once_under_its_new_city(album: Album) -> None:
    album.move("ankara/a.jpg", "izmir/a.jpg")
    assert changes(album.collect()) == (1, 0, 0)
    assert album.titles() == {"ankara": ["b.jpg"], "izmir": ["a.jpg", "c.jpg"], "van": ["d.jpg"]}
    assert album.rejected() == []
    assert changes(album.collect()) == (0, 0, 0)


def test_a_deleted_file_is_in_no_later_split(album: Album) -> None:
    (album.root / "ankara" / "b.jpg").unlink()
    assert changes(album.collect()) == (0, 1, 0)
    assert album.titles()["ankara"] == ["a.jpg"]
    assert album.rejected() == [(GONE, "ankara/b.jpg: is not in the folder any more")]
    assert changes(album.collect()) == (0, 0, 0)
    assert len(album.rejected()) == 1


def test_a_file_that_comes_back_is_back(album: Album) -> None:
    album.review("b.jpg", "keep")
    kept = (album.root / "ankara" / "b.jpg").read_bytes()
    (album.root / "ankara" / "b.jpg").unlink()
    album.collect()
    (album.root / "ankara" / "b.jpg").write_bytes(kept)
    album.collect()
    assert album.titles()["ankara"] == ["a.jpg", "b.jpg"]
    assert album.verdict("b.jpg") == "keep"
    assert album.rejected() == []


def test_a_file_that_turns_up_elsewhere_later_keeps_its_review(album: Album) -> None:
    album.review("a.jpg", "reject")
    aside = album.root.parent / "aside.jpg"
    (album.root / "ankara" / "a.jpg").rename(aside)
    assert changes(album.collect()) == (0, 1, 0)
    aside.rename(album.root / "izmir" / "a.jpg")
    assert changes(album.collect()) == (1, 0, 0)
    assert album.verdict("a.jpg") == "reject"
    assert album.rejected() == []


def test_cities_one_by_one_lose_no_review(album: Album) -> None:
    album.review("a.jpg", "reject")
    album.move("ankara/a.jpg", "izmir/a.jpg")
    assert changes(album.collect(cities=(ANKARA,))) == (0, 1, 0)
    assert changes(album.collect(cities=(IZMIR,))) == (1, 0, 0)
    assert album.verdict("a.jpg") == "reject"


def test_another_city_s_files_are_not_missing(album: Album) -> None:
    assert changes(album.collect(cities=(VAN,))) == (0, 0, 0)
    assert changes(album.collect(query=Query(limit=1))) == (0, 0, 0)
    assert changes(album.collect(criteria=SelectionCriteria(target=1))) == (0, 0, 0)


@pytest.mark.parametrize(
    ("verdict", "right", "new", "stands"),
    [
        ("keep", None, "izmir/a.jpg", "keep"),
        ("reject", None, "izmir/a.jpg", "reject"),
        ("wrong-city", "izmir", "izmir/a.jpg", None),
        ("wrong-city", None, "izmir/a.jpg", None),
        ("wrong-city", "izmir", "ankara/2019/a.jpg", "wrong-city"),
        ("keep", None, "ankara/2019/a.jpg", "keep"),
    ],
)
def test_what_a_reviewer_decided_moves_along(
    album: Album, verdict: str, right: str | None, new: str, stands: str | None
) -> None:
    album.review("a.jpg", verdict, right)
    album.move("ankara/a.jpg", new)
    assert changes(album.collect()) == (1, 0, 0)
    assert album.verdict("a.jpg") == stands
    in_split = stands in (None, "keep")
    assert ("a.jpg" in album.titles().get(new.partition("/")[0], [])) == in_split


def test_an_earlier_keep_stands_again_when_the_city_is_right(album: Album) -> None:
    album.review("a.jpg", "keep")
    album.review("a.jpg", "wrong-city", "izmir")
    album.move("ankara/a.jpg", "izmir/a.jpg")
    album.collect()
    assert album.verdict("a.jpg") == "keep"
    with open_catalogue(album.workspace) as catalogue:
        assert [one.verdict for one in catalogue.decisions("review")] == ["keep"]


def test_two_files_change_places(album: Album) -> None:
    album.review("a.jpg", "reject")
    for old, new in (("ankara/a.jpg", "x"), ("izmir/c.jpg", "ankara/a.jpg"), ("x", "izmir/c.jpg")):
        album.move(old, new)
    assert changes(album.collect()) == (2, 0, 0)
    assert album.verdict("c.jpg") == "reject"
    assert album.titles()["ankara"] == ["a.jpg", "b.jpg"]


def test_a_file_that_holds_another_picture_now(album: Album) -> None:
    album.review("a.jpg", "reject")
    album.put("ankara/a.jpg", 77)
    assert changes(album.collect()) == (0, 1, 0)
    assert album.rejected() == [(GONE, "ankara/a.jpg: holds another picture now")]
    assert album.titles()["ankara"] == ["a.jpg", "b.jpg"]


def test_a_broken_file_that_was_mended_is_not_rejected_any_more(album: Album) -> None:
    (album.root / "van" / "e.jpg").write_bytes(b"\xff\xd8\xff")
    album.collect()
    assert [reason for reason, _ in album.rejected()] == ["unreadable"]
    album.put("van/e.jpg", 9)
    assert changes(album.collect()) == (0, 0, 0)
    assert album.rejected() == []
    (album.root / "van" / "f.jpg").write_bytes(b"")
    album.collect()
    (album.root / "van" / "f.jpg").unlink()
    album.collect()
    assert album.rejected() == []


def test_a_link_that_leads_nowhere_any_more(album: Album) -> None:
    """What was collected through it stays, and the link is told of until it leads somewhere again."""
    store = album.root.parent / "store.jpg"
    shutil.move(album.root / "van" / "d.jpg", store)
    (album.root / "van" / "d.jpg").symlink_to(store)
    assert changes(album.collect()) == (0, 0, 0)
    store.rename(store.with_name("away.jpg"))
    assert changes(album.collect()) == (0, 0, 0)
    assert album.titles()["van"] == ["d.jpg"]
    assert album.rejected() == [("broken-link", f"van/d.jpg: is a link to {store}, which is not there")]
    store.with_name("away.jpg").rename(store)
    album.collect()
    assert album.rejected() == []
    assert album.titles()["van"] == ["d.jpg"]


def test_only_files_of_this_root_can_be_missing(album: Album, photo_bytes: PhotoBytes) -> None:
    other = album.root.parent / "other"
    (other / "van").mkdir(parents=True)
    (other / "van" / "x.jpg").write_bytes(photo_bytes(50, (32, 32)))
    (other / "van" / "d.jpg").write_bytes((album.root / "van" / "d.jpg").read_bytes())  # the same in both roots
    assert changes(album.collect(other)) == (0, 0, 0)
    assert album.titles()["van"] == ["d.jpg", "x.jpg"]
    (album.root / "van" / "d.jpg").unlink()
    assert changes(album.collect()) == (0, 0, 0)  # the other root has it
    (other / "van" / "d.jpg").unlink()
    assert changes(album.collect(other)) == (0, 1, 0)
    assert album.titles()["van"] == ["x.jpg"]


def test_a_root_that_was_moved_itself(album: Album) -> None:
    moved = album.root.with_name("moved")
    album.root.rename(moved)
    assert changes(album.collect(moved)) == (0, 0, 0)
    (moved / "van" / "d.jpg").unlink()
    assert changes(album.collect(moved)) == (0, 1, 0)


def test_below_a_folder_that_cannot_be_read_nothing_is_missing(album: Album, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: Any) -> Any:
        if os.path.basename(os.fspath(path)) == "ankara":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert changes(album.collect()) == (0, 0, 0)
    assert album.titles()["ankara"] == ["a.jpg", "b.jpg"]
    assert album.rejected() == [("unreadable", "ankara: Permission denied")]
    monkeypatch.undo()
    album.collect()
    assert album.rejected() == []


def test_a_known_file_of_which_more_is_told_now(album: Album) -> None:
    assert changes(album.collect(licence="CC-BY-4.0")) == (0, 0, 4)
    with open_catalogue(album.workspace) as catalogue:
        assert {photo.license for photo in catalogue.downloaded()} == {"CC-BY-4.0"}
        assert all(photo.phash and photo.sha256 for photo in catalogue.downloaded())
    assert changes(album.collect(licence="CC-BY-4.0")) == (0, 0, 0)


def test_a_withdrawn_file_stays_withdrawn(album: Album) -> None:
    withdraw(album.workspace, [album.id("d.jpg")], "asked for", datetime(2026, 1, 1, tzinfo=UTC))
    summary = album.collect()
    assert (summary.withdrawn, *changes(summary)) == (1, 0, 0, 0)
    (album.root / "van" / "d.jpg").unlink()
    assert changes(album.collect()) == (0, 0, 0)
    assert album.rejected() == []


PATHS = [f"{city}/{name}.jpg" for city in ("ankara", "izmir", "van") for name in "pq"]


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from(PATHS), st.integers(0, 3)), min_size=2, max_size=4))
def test_whatever_happens_the_catalogue_holds_what_the_folder_holds(
    tmp_path_factory: pytest.TempPathFactory, photo_bytes: PhotoBytes, states: list[dict[str, int]]
) -> None:
    """Through any series of states: what is clean is what lies in the folder, and nothing is lost without a word."""
    album = Album(tmp_path_factory.mktemp("album"), photo_bytes)
    before = 0
    for state in states:
        shutil.rmtree(album.root)
        album.root.mkdir()
        for path, seed in state.items():
            album.put(path, seed)
        summary = album.collect()
        found = {city: sorted(titles) for city, titles in album.titles().items()}
        expected: dict[str, list[str]] = {}
        for path in sorted(state):
            city, _, name = path.partition("/")
            expected.setdefault(city, []).append(name)
        assert found == expected
        assert before + summary.added - len(state) <= summary.moved + summary.gone
        before = len(state)


def test_a_table_that_changes_is_followed(album: Album) -> None:
    album.review("d.jpg", "wrong-city", "izmir")
    album.review("a.jpg", "keep")
    lines = ["file,city,author", "ankara/a.jpg,izmir,Ana", "ankara/b.jpg,,", "izmir/c.jpg,,", "van/d.jpg,Ankara,"]
    summary = album.collect(table=lines)
    assert (summary.added, summary.known, summary.relabelled, summary.updated) == (0, 4, 2, 1)
    assert summary.changed == {"author_id": 1, "author_name": 1}
    assert album.titles() == {"ankara": ["b.jpg", "d.jpg"], "izmir": ["a.jpg", "c.jpg"]}
    assert (album.verdict("a.jpg"), album.verdict("d.jpg")) == ("keep", None)  # of the old city it was said
    again = album.collect(table=lines)
    assert (again.known, again.relabelled, again.updated) == (4, 0, 0)


def test_a_row_whose_file_comes_later(album: Album) -> None:
    lines = ["file,city", "late.jpg,van"]
    assert album.collect(table=lines).rejected == {"row-without-file": 1}
    album.put("late.jpg", 9)
    summary = album.collect(table=lines)
    assert (summary.added, summary.rejected) == (1, {})
    assert album.titles()["van"] == ["d.jpg", "late.jpg"]
    assert album.rejected() == []
