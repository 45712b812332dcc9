"""Deciding which photos stay, writing it down, taking it back."""

from typing import Any

import pytest

from collector.collecting.catalogue import Decision, open_catalogue
from collector.curating.curate import DedupSummary, dedup
from collector.curating.hashing import HASH_STAMP
from collector.errors import IncompleteError
from collector.records import Photo
from collector.workspace import Workspace, exclusive
from tests.conftest import MakePhoto


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
    assert evidence["1"] == {"radius": 8, "same_bytes": True, "phash_distance": 0, "dhash_distance": 0}
    assert evidence["2"] == {"radius": 8, "same_bytes": False, "phash_distance": 3, "dhash_distance": 3}
    assert evidence["6"] == {"radius": 8, "members": 1}


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
