"""Bringing photos home, whatever stops it."""

import errno
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.catalogue.catalogue import open_catalogue
from collector.collecting.collect import Summary, collect
from collector.errors import IncompleteError
from collector.images.hashing import HASH_STAMP
from collector.images.validate import REASONS, Limits
from collector.providers.base import ImageRequest, Query
from collector.providers.folder import FolderProvider
from collector.records import City, Photo, Region, Unusable
from collector.regions import find_city, region
from collector.workspace import Workspace, create_workspace, exclusive
from tests.conftest import PhotoBytes

REGION = region("turkiye15")
ANKARA, VAN = find_city(REGION, "ankara"), find_city(REGION, "van")
SMALL = Limits(min_side=32)

RUN = """
import sys
from pathlib import Path
from collector.regions import region
from collector.collecting.collect import collect
from collector.images.validate import Limits
from collector.providers.folder import FolderProvider
from collector.workspace import create_workspace

def track(items, description, total=None):
    for item in items:
        print(description, flush=True)
        yield item

found = region("turkiye15")
collect(create_workspace(Path(sys.argv[1])), found, found.cities, FolderProvider(Path(sys.argv[2]), found),
        limits=Limits(min_side=32), track=track)
"""


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory, photo_bytes: PhotoBytes) -> Path:
    """Return a folder of about 150 files: photos of three cities, copies, junk, files of no city."""
    root = tmp_path_factory.mktemp("tree")
    for city in ("ankara", "bursa", "van"):
        (root / city).mkdir()
        for n in range(42):
            (root / city / f"{n:03}.jpg").write_bytes(photo_bytes(n + 100 * len(city), (48, 40)))
    for n in range(8):
        (root / "van" / f"copy {n}.jpg").write_bytes((root / "ankara" / f"00{n}.jpg").read_bytes())
    for n in range(4):
        whole = photo_bytes(n, (64, 64))
        (root / "bursa" / f"cut {n}.jpg").write_bytes(whole[: len(whole) // 2])
        (root / "bursa" / f"note {n}.txt").write_text(f"note {n}")
        (root / f"nowhere {n}.jpg").write_bytes(photo_bytes(n, (48, 40)))
    (root / "ankara" / "empty.jpg").write_bytes(b"")
    (root / "ankara" / "tiny.png").write_bytes(photo_bytes(5, (16, 16), "PNG"))
    return root


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> list[tuple[Any, ...]]:
    """Return the content of a catalogue of the tree that nothing disturbed."""
    workspace = create_workspace(tmp_path_factory.mktemp("undisturbed"))
    run(workspace, tree)
    return content(workspace)


def run(workspace: Workspace, root: Path, cities: tuple[City, ...] = REGION.cities, **options: Any) -> Summary:
    return collect(workspace, REGION, cities, FolderProvider(root, REGION), limits=SMALL, **options)


def content(workspace: Workspace) -> list[tuple[Any, ...]]:
    with open_catalogue(workspace) as catalogue:
        return catalogue.content()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def check_adds_up(summary: Summary) -> None:
    assert summary.read == summary.added + summary.known + sum(summary.rejected.values())
    assert sum(summary.by_city.values()) == summary.added + summary.known


def check_store(workspace: Workspace, *, strays: bool = False) -> None:
    """Check that every row's bytes are in the store, and that everything in the store is whole."""
    with open_catalogue(workspace) as catalogue:
        photos = catalogue.downloaded()
        assert set(catalogue.hash_stamps().values()) <= {HASH_STAMP}
    for photo in photos:
        assert photo.sha256 is not None
        assert workspace.photo(photo.sha256).stat().st_size == photo.bytes
    stored = files(workspace.photos)
    for path in stored:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        assert path == workspace.photo(path.stem)
    if not strays:
        assert {path.stem for path in stored} == {photo.sha256 for photo in photos}


# --- what it does


def test_the_whole_tree(workspace: Workspace, tree: Path) -> None:
    summary = run(workspace, tree)
    check_adds_up(summary)
    check_store(workspace)
    assert summary.read == len(files(tree)) == 148
    assert (summary.added, summary.known) == (134, 0)
    assert summary.rejected == {"unreadable": 4, "truncated": 4, "no-city": 4, "empty": 1, "too-small": 1}
    assert {city: n for city, n in summary.by_city.items() if n} == {"ankara": 42, "bursa": 42, "van": 50}
    assert list(summary.by_city) == [city.slug for city in REGION.cities]
    with open_catalogue(workspace) as catalogue:
        assert catalogue.regions() == [REGION]
        assert catalogue.counts() == {"downloaded": 134, "rejected": 14}
        assert catalogue.rejected() == summary.rejected


def test_again_adds_nothing(workspace: Workspace, tree: Path, undisturbed: list[tuple[Any, ...]]) -> None:
    run(workspace, tree)
    times = {path: path.stat().st_mtime_ns for path in files(workspace.photos)}
    again = run(workspace, tree)
    check_adds_up(again)
    assert (again.read, again.added, again.known) == (148, 0, 134)
    assert content(workspace) == undisturbed
    assert {path: path.stat().st_mtime_ns for path in files(workspace.photos)} == times


def test_content_does_not_depend_on_where_the_tree_lies(
    workspace: Workspace, tree: Path, tmp_path: Path, undisturbed: list[tuple[Any, ...]]
) -> None:
    shutil.copytree(tree, tmp_path / "copy")
    run(workspace, tmp_path / "copy")
    assert content(workspace) == undisturbed


def test_equal_bytes_are_stored_once_with_a_row_for_each_name(
    workspace: Workspace, tmp_path: Path, photo_bytes: PhotoBytes
) -> None:
    for name in ("van/a.jpg", "van/b.jpg", "ankara/a.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(1))
    summary = run(workspace, tmp_path / "in")
    assert (summary.read, summary.added) == (3, 3)
    assert len(files(workspace.photos)) == 1
    with open_catalogue(workspace) as catalogue:
        assert sorted(photo.city for photo in catalogue.downloaded()) == ["ankara", "van", "van"]
    check_store(workspace)


def test_some_cities_only(workspace: Workspace, tree: Path, undisturbed: list[tuple[Any, ...]]) -> None:
    first = run(workspace, tree, (VAN,))
    assert (first.read, first.added, first.by_city) == (50, 50, {"van": 50})  # what belongs to no city is not asked for
    second = run(workspace, tree, (VAN, ANKARA))
    check_adds_up(second)
    assert (second.added, second.known, second.by_city) == (42, 50, {"van": 50, "ankara": 42})
    run(workspace, tree)
    assert content(workspace) == undisturbed


def test_limit(workspace: Workspace, tree: Path) -> None:
    summary = run(workspace, tree, (VAN, ANKARA), query=Query(limit=5))
    assert summary.by_city == {"van": 5, "ankara": 5}
    assert run(workspace, tree, (VAN, ANKARA), query=Query(limit=7)).added == 4


def test_an_empty_folder(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    summary = run(workspace, tmp_path / "in")
    assert (summary.read, summary.added, summary.known, summary.rejected) == (0, 0, 0, {})
    assert content(workspace) == []


def test_what_was_rejected_is_looked_at_again(workspace: Workspace, tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    (tmp_path / "van").mkdir()
    (tmp_path / "van" / "a.jpg").write_bytes(photo_bytes(1, (48, 40)))
    provider = FolderProvider(tmp_path / "van", REGION)
    assert collect(workspace, REGION, [VAN], provider).rejected == {"too-small": 1}
    second = collect(workspace, REGION, [VAN], provider, limits=SMALL)
    assert (second.added, second.rejected) == (1, {})
    with open_catalogue(workspace) as catalogue:
        assert catalogue.counts() == {"downloaded": 1}


def test_too_large_is_known_without_reading(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "van").mkdir(parents=True)
    with (tmp_path / "in" / "van" / "huge.jpg").open("wb") as file:
        file.truncate(3 << 30)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    assert run(workspace, tmp_path / "in").rejected == {"too-large": 1}


def test_the_items_pass_through_the_track(workspace: Workspace, tree: Path) -> None:
    seen: list[object] = []

    def track(items: Any, description: str, total: int | None = None) -> Iterator[Any]:
        for item in items:
            seen.append(item)
            yield item

    run(workspace, tree, (VAN,), track=track)
    assert len(seen) == 50
    assert all(isinstance(item, Photo) for item in seen)


def test_a_workspace_inside_the_folder_is_not_collected(tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    """`cd Ankara; t15 collect --provider folder --root .` makes its workspace below the photos."""
    root = tmp_path / "Ankara"
    root.mkdir()
    for n in range(3):
        (root / f"{n}.jpg").write_bytes(photo_bytes(n))
    workspace = create_workspace(root / "workspace")
    assert [run(workspace, root).read for _ in range(3)] == [3, 3, 3]


def test_hostile_names_and_texts(workspace: Workspace, tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"in", b"van")
    os.makedirs(folder)
    names = [
        b"two\nlines.jpg",
        b"caf\xe9.jpg",
        b"\x1b[2J.jpg",
        b"%41?#;&.jpg",
        b" .jpg",
        b"a" * 251 + b".jpg",
        b"\\.jpg",
    ]
    for n, name in enumerate(names):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(photo_bytes(n))
        with open(os.path.join(folder, b"bad-" + name[-240:]), "wb") as file:
            file.write(b"no photo")
    summary = run(workspace, tmp_path / "in")
    assert (summary.added, summary.rejected) == (len(names), {"unreadable": len(names)})
    for row in content(workspace):
        for value in row:
            assert not isinstance(value, str) or value.isprintable()


# --- what can happen meanwhile


class Vanishing:
    """A folder of which some files vanish after they were listed."""

    name = "folder"

    def __init__(self, root: Path) -> None:
        self._folder = FolderProvider(root, REGION)

    def search(self, city: City, query: Query) -> Iterator[Photo | Unusable]:
        for n, photo in enumerate(self._folder.search(city, query)):
            assert isinstance(photo, Photo)
            if n % 2:
                Path(self._folder.image_request(photo).url.removeprefix("file://")).unlink()
            yield photo

    def image_request(self, photo: Photo) -> ImageRequest:
        return self._folder.image_request(photo)


def test_a_file_that_vanishes_after_it_was_listed(
    workspace: Workspace, tmp_path: Path, photo_bytes: PhotoBytes
) -> None:
    (tmp_path / "van").mkdir()
    for n in range(6):
        (tmp_path / "van" / f"{n}.jpg").write_bytes(photo_bytes(n))
    summary = collect(workspace, REGION, [VAN], Vanishing(tmp_path), limits=SMALL)
    check_adds_up(summary)
    assert (summary.added, summary.rejected) == (3, {"unreadable": 3})
    check_store(workspace)


def test_a_listed_file_that_vanishes_before_its_city_is_searched(
    workspace: Workspace, tmp_path: Path, photo_bytes: PhotoBytes
) -> None:
    (tmp_path / "van").mkdir()
    for n in range(3):
        (tmp_path / "van" / f"{n}.jpg").write_bytes(photo_bytes(n))
    provider = FolderProvider(tmp_path, REGION)
    list(provider.search(ANKARA, Query()))  # lists the tree
    (tmp_path / "van" / "1.jpg").unlink()
    summary = collect(workspace, REGION, [VAN], provider, limits=SMALL)
    check_adds_up(summary)
    assert (summary.added, summary.rejected) == (2, {"unreadable": 1})


def test_only_one_at_a_time(workspace: Workspace, tree: Path) -> None:
    with exclusive(workspace), pytest.raises(IncompleteError, match="in use by process"):
        run(workspace, tree)
    assert not workspace.photos.exists()


def test_a_lost_photo_is_brought_home_again(
    workspace: Workspace, tree: Path, undisturbed: list[tuple[Any, ...]]
) -> None:
    run(workspace, tree)
    lost, cut = files(workspace.photos)[:2]
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    run(workspace, tree)
    check_store(workspace)
    assert content(workspace) == undisturbed


@pytest.mark.parametrize("after", [0, 1, 7, 60])
def test_a_disk_that_fills(
    workspace: Workspace,
    tree: Path,
    undisturbed: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    fsync, calls = os.fsync, iter(range(10_000))

    def filling(file: int) -> None:
        if next(calls) >= after:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", filling)
        with pytest.raises(IncompleteError, match="the disk is full"):
            run(workspace, tree)
    check_store(workspace, strays=True)
    assert run(workspace, tree).added > 0
    check_store(workspace)
    assert content(workspace) == undisturbed


def test_a_defect_in_a_worker_is_shown_and_nothing_is_lost(
    workspace: Workspace, tree: Path, undisturbed: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("collector.collecting.download.store_photo", lambda *args, **options: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            run(workspace, tree)
    run(workspace, tree)
    assert content(workspace) == undisturbed


def mount(folder: Path, options: str) -> bool:
    if os.geteuid() != 0 or not shutil.which("mount"):
        return False
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is a disk of 4 MiB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, "size=4m"):
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, tmp_path: Path, photo_bytes: PhotoBytes) -> None:
    root = tmp_path / "in"
    (root / "van").mkdir(parents=True)
    for n in range(70):
        (root / "van" / f"{n}.png").write_bytes(photo_bytes(n, (210, 210), "PNG"))
    assert sum(path.stat().st_size for path in files(root)) > 5_000_000
    calm, workspace = create_workspace(tmp_path / "calm"), Workspace(small_disk / "workspace")
    run(calm, root)

    for _ in range(2):  # full, and still full
        with pytest.raises(IncompleteError, match="the disk is full"):
            run(create_workspace(workspace.root), root)
        assert not list(small_disk.rglob("*.part"))
        check_store(workspace, strays=True)
    kept = len(content(workspace))
    assert kept > 10

    assert mount(small_disk, "remount,size=64m")
    summary = run(create_workspace(workspace.root), root)
    assert (summary.known, summary.added) == (kept, 70 - kept)
    assert content(workspace) == content(calm)
    check_store(workspace)


def test_killed_again_and_again(tmp_path: Path, tree: Path, undisturbed: list[tuple[Any, ...]]) -> None:
    random.seed(0)
    for kill, lines in enumerate((1, 40, 90)):
        workspace = Workspace(tmp_path / f"workspace{kill}")
        with subprocess.Popen([sys.executable, "-c", RUN, workspace.root, tree], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(lines):
                assert process.stdout.readline()
            time.sleep(random.random() / 100)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        before = len(content(workspace))
        assert lines - 10 <= before < 148  # some are listed ahead of those that are finished
        check_store_of_killed(workspace)
        summary = run(workspace, tree)
        check_adds_up(summary)
        assert summary.read == 148
        assert content(workspace) == undisturbed
        check_store(workspace)


def check_store_of_killed(workspace: Workspace) -> None:
    for part in workspace.photos.rglob(".*.part"):
        part.rename(workspace.root / part.name)  # what `collect` removes
    check_store(workspace, strays=True)
    for part in workspace.root.glob(".*.part"):
        part.rename(workspace.photos / part.name)


# --- real files


def test_a_real_folder_of_bad_files(workspace: Workspace, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **kwargs: object) -> None:
        pytest.fail("Ghostscript was called")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", forbidden)
    root = real_data / "bad"
    visible = [path for path in files(root) if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    city = City("bad", "Bad", 0, 0, 500)
    provider = FolderProvider(root, type(REGION)("bad", "Bad", (city,)))
    summary = collect(workspace, provider.region, [city], provider)
    check_adds_up(summary)
    assert summary.read == len(visible)
    assert set(summary.rejected) <= {*REASONS, "outside-city"}
    assert summary.added > 100
    assert len(content(workspace)) == len(visible)
    check_store(workspace)
    again = collect(workspace, provider.region, [city], provider)
    assert (again.added, again.known, again.rejected) == (0, summary.added, summary.rejected)


def test_a_second_region_does_not_take_photos_from_the_first(
    workspace: Workspace, tree: Path, undisturbed: list[tuple[Any, ...]]
) -> None:
    """Photos outside the second region's cities, or of other labels there, stay as they were collected."""
    run(workspace, tree)
    other = Region(
        "elsewhere", "", (City("atlantis", "Atlantis", 0.0, -30.0, 5.0, aliases=("ankara", "van", "izmir")),)
    )
    summary = collect(workspace, other, other.cities, FolderProvider(tree, other))
    assert summary.read == summary.added + summary.known + sum(summary.rejected.values())
    assert summary.added == 0
    with open_catalogue(workspace) as catalogue:
        kept = [row for row in catalogue.content() if "downloaded" in row]
    assert kept == [row for row in undisturbed if "downloaded" in row]


def test_stored_bytes_that_changed_are_fetched_again_with_check(
    workspace: Workspace, tree: Path, undisturbed: list[tuple[Any, ...]]
) -> None:
    run(workspace, tree)
    path = next(workspace.photos.rglob("*.jpg"))
    whole = path.read_bytes()
    path.write_bytes(bytes(len(whole)))
    run(workspace, tree)
    assert path.read_bytes() != whole
    run(workspace, tree, check=True)
    assert path.read_bytes() == whole
    assert content(workspace) == undisturbed
