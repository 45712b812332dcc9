"""Photos of a test photo's own author in the gallery: left out of each row, and what they are worth beside it."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.leaderboard.exports import as_csv, as_json
from benchmark.leaderboard.page import as_html
from benchmark.leaderboard.rows import NO_OWN_NOTE, OWN_NOTE, Leaderboard
from benchmark.leaderboard.table import leaderboard
from benchmark.leaderboard.text import as_markdown, as_text
from benchmark.methods.registry import choose
from benchmark.planning import plan
from benchmark.results import finished_runs, read_own, read_predictions
from benchmark.runner import bench
from benchmark.scoring.truth import Truth, nearest_bits, parts_of
from collector.manifest.manifest import build_manifest
from collector.records import SPLITS, Photo, UnknownOwners
from tests.benchmark.conftest import World, make_world, paint, png, store

ROWS = ["knn-density:tiny", "im2gps-tiny+1nn", "retrieval:tiny-16"]
QUOTAS = {"train": 6, "val": 2, "test": 3}


def shared_authors(root: Path, *, own: bool) -> World:
    """Each test photo has its very copy in training, under another city and far away; with `own` by the same author."""
    made = make_world(root, quotas=QUOTAS)
    slugs = [city.slug for city in made.manifest.header.cities]
    photos: list[Photo] = []
    for row, photo in enumerate(made.photos("train") + made.photos("val") + made.photos("test")):
        city = slugs.index(photo.city)
        placed = replace(photo, latitude=float(city), longitude=city + 0.001 * row, author_id=f"author-{row}")
        photos.append(placed)
    for row, photo in enumerate(made.photos("test")):
        other = (slugs.index(photo.city) + 1) % len(slugs)
        sha256 = store(made.workspace, png(paint(900 + row, slugs.index(photo.city))))
        author = f"pair-{row}" if own else f"other-{row}"
        copy = replace(
            photo, photo_id=f"folder:c{row:011d}", city=slugs[other], split="train", sha256=sha256, author_id=author
        )
        photos.append(replace(copy, latitude=float(other), longitude=other + 0.5, width=40, height=32, phash=None))
        at = next(number for number, one in enumerate(photos) if one.photo_id == photo.photo_id)
        photos[at] = replace(photos[at], sha256=sha256, author_id=f"pair-{row}", width=40, height=32)
    return replace(made, manifest=build_manifest(made.manifest.header, photos, "tests"))


def board_of(world: World) -> Leaderboard:
    tasks = plan(world.manifest, choose(ROWS), [0], "smoke")
    states = [(outcome.state, outcome.reason) for outcome in bench(world.manifest, world.workspace, tasks, "cpu")]
    assert {state for state, _ in states} == {"done"}, states
    return leaderboard(world.manifest, world.workspace.runs)


def test_own_photos_do_not_answer_and_what_they_would_answer_stands_beside(tmp_path: Path) -> None:
    """Here the own photos lie: with them every answer is wrong."""
    world = shared_authors(tmp_path, own=True)
    board = board_of(world)
    assert len(board.rows) == len(ROWS)
    for row in board.rows:
        assert row.own is not None
        assert row.own.photos == 9
        assert row.own.scores["accuracy"].value == 0
        assert row.accuracy > 0.5
        assert row.own.gain.mean == pytest.approx(-row.accuracy)
    runs = finished_runs(world.workspace.runs, world.manifest.digest)
    for run in runs:
        own, without = read_own(world.workspace.runs, run), read_predictions(world.workspace.runs, run)
        assert own is not None
        assert own.ranking is not None
        assert without.ranking is not None
        # The copy is found first among all, and not at all among the others.
        training = [photo.photo_id for photo in world.manifest.photos("train")]
        copies = {row for row, photo_id in enumerate(training) if photo_id.startswith("folder:c0000")}
        assert set(own.ranking.rows[:, 0].tolist()) == copies
        pairs = zip(own.ranking.rows[:, 0], without.ranking.rows, strict=True)
        assert all(copy not in rows for copy, rows in pairs)
    for text in (as_text([board]), as_markdown([board]), as_html([board])):
        assert "own ones" in text
    assert OWN_NOTE in as_json([board])["notes"]
    assert "own_gain_low" in as_csv([board])
    record = as_json([board])["rows"][0]
    assert record["own_photos"] == 9
    assert record["with_own"] == 0


def test_where_no_author_is_on_both_sides_it_says_so(tmp_path: Path) -> None:
    world = shared_authors(tmp_path, own=False)
    board = board_of(world)
    for row in board.rows:
        assert row.own is not None
        assert (row.own.photos, row.own.gain.mean) == (0, 0)
    assert all(
        read_own(world.workspace.runs, run) is None
        for run in finished_runs(world.workspace.runs, world.manifest.digest)
    )
    for text in (as_text([board]), as_markdown([board])):
        assert NO_OWN_NOTE.partition(":")[0] in text
        assert "own ones" not in text


def test_what_nobody_knows_of_authors_is_not_denied(tmp_path: Path) -> None:
    """As `t15 audit` has it; a known author is enough, as a sequence is one author's."""
    world = shared_authors(tmp_path, own=False)
    photos = [replace(photo, author_id=None) for side in SPLITS for photo in world.photos(side)]
    photos = [replace(photo, sequence_id="s" if at % 2 else None) for at, photo in enumerate(photos)]
    of_nobody = build_manifest(world.manifest.header, photos, "tests")
    assert Truth.of(of_nobody).unknown_owners == UnknownOwners(9, 9, 4, 27, 27)
    known = [replace(photo, author_id="one") if photo.split == "test" else photo for photo in photos]
    assert "author" not in Truth.of(build_manifest(world.manifest.header, known, "tests")).parts  # new to whom?
    board = board_of(world)
    assert board.unknown_owners == UnknownOwners(9, 0, 0, 27, 0)
    gallery = replace(board, unknown_owners=UnknownOwners(9, 0, 0, 27, 5))
    assert "author unknown of 5 of 27 photos of the gallery" in gallery.own_note(board.rows)
    some = replace(board, unknown_owners=UnknownOwners(9, 9, 4, 27, 27))
    for text in (as_text([some]), as_markdown([some]), as_html([some])):
        said = " ".join(text.split())
        assert NO_OWN_NOTE.partition(":")[0] not in said
        assert "author unknown of 9 of 9 test photos: the gallery may hold photos that share it" in said
        assert "sequence unknown of 4 of 9 test photos" in said
    own = replace(some.rows[0], own=replace(some.rows[0].own, photos=3))  # type: ignore[type-var]
    assert some.own_note([own]).startswith(OWN_NOTE)
    assert "author unknown of 9 of 9" in some.own_note([own])


def test_a_method_without_a_gallery_has_no_such_row(world: World) -> None:
    tasks = plan(world.manifest, choose(["tiny-64+logreg"]), [0], "smoke")
    list(bench(world.manifest, world.workspace, tasks, "cpu"))
    (row,) = leaderboard(world.manifest, world.workspace.runs).rows
    assert row.own is None


def test_the_nearest_hash_by_hand() -> None:
    assert nearest_bits(
        ["00000000000000ff", None, "0000000000000000"], ["0000000000000000", "ffffffffffffffff", None]
    ) == [
        8,
        -1,
        0,
    ]
    assert nearest_bits(["00000000000000ff"], [None]) == [-1]


def test_slices_by_likeness() -> None:
    def photo(name: str, phash: str | None) -> Photo:
        return Photo(photo_id=f"folder:{name}", city="a", phash=phash)

    test = [
        photo("a", "00000000000000ff"),
        photo("b", "00000000000001ff"),
        photo("c", "000000000003ffff"),
        photo("d", None),
    ]
    assert parts_of(test, [photo("t", "0000000000000000")])["likest training picture"] == [
        "near-duplicate (pHash within 8 bits)",
        "alike (9 to 16 bits)",
        "unlike",
        None,
    ]
