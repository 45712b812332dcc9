"""Deciding which photos stay, writing it down, taking it back."""

import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image, ImageOps

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.curating.duplicates import DedupSummary, dedup
from collector.errors import IncompleteError
from collector.images.hashing import HASH_STAMP
from collector.images.validate import Limits, examine
from collector.records import Photo
from collector.workspace import Workspace, exclusive, write_atomically
from tests.conftest import MakePhoto, picture


def bits(count: int) -> str:
    return f"{(1 << count) - 1:016x}"


@pytest.fixture
def filled(workspace: Workspace, make_photo: MakePhoto) -> Workspace:
    """Return a workspace with a copy, two near-duplicates, a conflict and two photos of their own."""

    def near(number: int, distance: int, **more: Any) -> Photo:
        return make_photo(number, phash=bits(distance), dhash=bits(distance), city="van", width=1000 - number, **more)

    far = {"phash": "f" * 16, "dhash": "f" * 16}
    photos = [
        near(0, 0),
        near(1, 0, sha256=make_photo(0).sha256),
        near(2, 3),
        near(3, 7),
        make_photo(4, city="van", **far),
        make_photo(5, city="bursa", **far),
        make_photo(6, city="van"),
        make_photo(7, city="ankara", phash=None, dhash=None),
    ]
    with open_catalogue(workspace) as catalogue:
        for photo in photos:
            catalogue.add(photo, HASH_STAMP)
    return workspace


def decisions(workspace: Workspace) -> list[Decision]:
    with open_catalogue(workspace) as catalogue:
        return catalogue.decisions("dedup")


def clean(workspace: Workspace) -> list[str]:
    with open_catalogue(workspace) as catalogue:
        return [photo.photo_id[-1] for photo in catalogue.clean()]


def test_what_is_decided(filled: Workspace) -> None:
    assert dedup(filled) == DedupSummary(photos=8, exact=1, near=2, conflicts=2, conflict_groups=1, clean=3)
    found = {decision.photo_id[-1]: (decision.verdict, str(decision.group_id)[-1]) for decision in decisions(filled)}
    assert found == {
        "0": ("keep", "0"),
        "1": ("duplicate", "0"),
        "2": ("duplicate", "0"),
        "3": ("duplicate", "0"),
        "4": ("conflict", "4"),
        "5": ("conflict", "4"),
        "6": ("keep", "6"),
        "7": ("keep", "7"),
    }
    assert clean(filled) == ["0", "6", "7"]


def test_evidence(filled: Workspace) -> None:
    dedup(filled)
    evidence = {decision.photo_id[-1]: decision.evidence for decision in decisions(filled)}
    assert evidence["0"] == {"radius": 8, "members": 4}
    plain = {"radius": 8, "mirrored": False, "closer_look": None}
    assert evidence["1"] == {**plain, "same_bytes": True, "phash_distance": 0, "dhash_distance": 0}
    assert evidence["2"] == {**plain, "same_bytes": False, "phash_distance": 3, "dhash_distance": 3}
    assert evidence["6"] == {"radius": 8, "members": 1}


def collected(workspace: Workspace, pictures: dict[str, Image.Image]) -> None:
    """Put pictures into the store and the catalogue, as JPEGs; `city/name` are their names."""
    with open_catalogue(workspace) as catalogue:
        for name, made in pictures.items():
            buffer = io.BytesIO()
            made.save(buffer, "JPEG", quality=90)
            found = examine(buffer.getvalue(), Limits())
            write_atomically(workspace.photo(found.sha256), buffer.getvalue())
            photo = Photo(name, name.split("/")[0], width=found.width, height=found.height, sha256=found.sha256)
            catalogue.add(replace(photo, phash=found.hashes.phash, dhash=found.hashes.dhash), HASH_STAMP)


def test_crops_and_mirrored_copies_are_found_by_a_closer_look(workspace: Workspace) -> None:
    original = picture(1, (400, 300))
    cropped = original.crop((20, 15, 400, 300))
    mirrored = ImageOps.mirror(original).crop((0, 0, 396, 297))
    collected(workspace, {"van/a": original, "van/b": cropped, "van/c": mirrored, "van/d": picture(2, (400, 300))})
    assert dedup(workspace) == DedupSummary(photos=4, exact=0, near=2, conflicts=0, conflict_groups=0, clean=2)
    evidence = {decision.photo_id: decision.evidence for decision in decisions(workspace)}
    assert not evidence["van/b"]["mirrored"]
    assert evidence["van/c"]["mirrored"]
    for name in ("van/b", "van/c"):
        assert evidence[name]["closer_look"]["share"] > 0.9
        assert 0.8 < evidence[name]["closer_look"]["correlation"] <= 1
    first = decisions(workspace)
    dedup(workspace)
    assert decisions(workspace) == first


def test_a_crop_under_another_city_is_a_conflict(workspace: Workspace) -> None:
    original = picture(1, (400, 300))
    collected(workspace, {"van/a": original, "izmir/b": original.crop((20, 15, 400, 300))})
    assert dedup(workspace) == DedupSummary(photos=2, exact=0, near=0, conflicts=2, conflict_groups=1, clean=0)


def test_without_bytes_hashes_alone_decide(workspace: Workspace) -> None:
    original = picture(1, (400, 300))
    collected(workspace, {"van/a": original, "van/b": ImageOps.mirror(original)})
    assert dedup(workspace, dry_run=True).near == 1
    for path in workspace.photos.rglob("*.jpg"):
        path.unlink()
    assert dedup(workspace).near == 0


def test_radius_zero_takes_no_closer_look(workspace: Workspace) -> None:
    original = picture(1, (400, 300))
    collected(workspace, {"van/a": original, "van/b": original.crop((20, 15, 400, 300))})
    assert dedup(workspace, 0).near == 0


def test_a_dry_run_writes_nothing(filled: Workspace) -> None:
    assert dedup(filled, dry_run=True).clean == 3
    assert decisions(filled) == []
    dedup(filled, 0)
    before = decisions(filled)
    assert dedup(filled, 8, dry_run=True).near == 2
    assert decisions(filled) == before


def test_another_radius_replaces_the_decisions(filled: Workspace) -> None:
    dedup(filled, 8)
    first = decisions(filled)
    assert dedup(filled, 3) == DedupSummary(photos=8, exact=1, near=1, conflicts=2, conflict_groups=1, clean=4)
    assert clean(filled) == ["0", "3", "6", "7"]
    assert {decision.evidence["radius"] for decision in decisions(filled)} == {3}
    assert dedup(filled, 0).near == 0
    dedup(filled, 8)
    assert decisions(filled) == first


def test_decisions_are_taken_back(filled: Workspace) -> None:
    dedup(filled)
    with open_catalogue(filled) as catalogue:
        catalogue.decide("dedup", [])
    assert clean(filled) == list("01234567")


def test_decisions_of_others_stay(filled: Workspace) -> None:
    word = Decision("made:0006", "reject", None, {"why": "a map"})
    with open_catalogue(filled) as catalogue:
        catalogue.decide("review", [word])
    dedup(filled)
    assert clean(filled) == ["0", "7"]
    with open_catalogue(filled) as catalogue:
        assert catalogue.decisions("review") == [word]


def test_an_empty_workspace(workspace: Workspace) -> None:
    assert dedup(workspace) == DedupSummary(0, 0, 0, 0, 0, 0)


def test_only_one_at_a_time(filled: Workspace) -> None:
    with exclusive(filled), pytest.raises(IncompleteError, match="in use by process"):
        dedup(filled)
    assert decisions(filled) == []


def test_summary_adds_up_on_real_photos(workspace: Workspace, capitals: list[Photo]) -> None:
    with open_catalogue(workspace) as catalogue:
        for photo in capitals:
            catalogue.add(photo, HASH_STAMP)
    summary = dedup(workspace)
    assert summary.photos == len(capitals) == 3080
    assert summary.exact + summary.near + summary.conflicts + summary.clean == 3080
    assert summary.conflict_groups >= 1
    verdicts = [decision.verdict for decision in decisions(workspace)]
    assert len(verdicts) == 3080
    assert verdicts.count("keep") == summary.clean == len(clean(workspace))
    assert verdicts.count("conflict") == summary.conflicts
    assert verdicts.count("duplicate") == summary.exact + summary.near
