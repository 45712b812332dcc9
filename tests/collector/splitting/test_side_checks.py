"""A city without photos on a side is told before anything is written: which, where, and what is in the way."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue.catalogue import open_catalogue
from collector.errors import DataError
from collector.images.hashing import HASH_STAMP
from collector.manifest.manifest import read_manifest
from collector.records import Photo
from collector.regions import region
from collector.splitting.allocate import allocate, kfold
from collector.splitting.audit import audit_manifest
from collector.splitting.side_checks import FEW_POINTS, empty_sides, missed_shares, refusal
from collector.splitting.split import Recipe, SplitResult, split, split_folds
from collector.workspace import Workspace
from tests.conftest import MakePhoto

CITIES = ("ankara", "bursa", "van")
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


@pytest.fixture
def one_author(workspace: Workspace, make_photo: MakePhoto) -> Workspace:
    """Ten photos each of Ankara, Bursa and Van; all of Ankara's are by one person."""
    photos = [
        make_photo(
            n,
            author_id="made:one" if n % 3 == 0 else f"made:{n}",
            author_name="One\x1b[2JPerson" if n % 3 == 0 else "Somebody",
        )
        for n in range(30)
    ]
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(region("turkiye15"))
        for photo in photos:
            catalogue.add(photo, HASH_STAMP)
    return workspace


def by_fractions(workspace: Workspace, manifests: Path, *, allowed: bool = False) -> SplitResult:
    return split(workspace, manifests, SHARES, 0, recipe=Recipe("fractions"), allow_empty_sides=allowed)


def test_folds_are_refused_before_anything_is_written(one_author: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        split_folds(one_author, tmp_path / "m", 5, 0)
    said = str(raised.value)
    assert "ankara has no train photo in folds" in said
    assert "10 of its 10 photos (100%), all by 'One\\x1b[2JPerson'" in said
    assert "bursa" not in said
    (otherwise,) = raised.value.__notes__
    assert "--no-authors" in otherwise
    assert "--allow-empty-sides" in otherwise
    assert not (tmp_path / "m").exists()


def test_fractions_are_refused_too(one_author: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^ankara has no \w+ photo and no \w+ photo: its photos are one group"):
        by_fractions(one_author, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_who_wants_empty_sides_gets_them_and_is_told(one_author: Workspace, tmp_path: Path) -> None:
    made = split_folds(one_author, tmp_path / "m", 5, 0, allow_empty_sides=True)
    assert [of.city for of in made.empty_sides] == ["ankara"]
    for number, fold in enumerate(made.folds, start=1):
        ankara = fold.manifest.counts()["ankara"]
        assert {side for side, folds in made.empty_sides[0].sides.items() if number in folds} == {
            side for side, count in ankara.items() if not count
        }
        untrained = [city.city for city in audit_manifest(read_manifest(fold.folder)).untrained]
        assert untrained == (["ankara"] if ankara["test"] else [])
    result = by_fractions(one_author, tmp_path / "m", allowed=True)
    assert [of.group_photos for of in result.empty_sides] == [10]
    assert {of.city for of in result.missed_shares} == {"ankara"}


def test_exact_numbers_have_no_empty_sides(one_author: Workspace, tmp_path: Path) -> None:
    """They are met or refused; a side of which none are asked for is no side that is missing."""
    quotas = {"train": 6, "val": 0, "test": 2}
    result = split(one_author, tmp_path / "m", quotas, 0, recipe=Recipe("paper"))
    assert result.empty_sides == []


GROUPS = st.lists(st.integers(1, 6), min_size=1, max_size=6)


@given(st.fixed_dictionaries(dict.fromkeys(CITIES, GROUPS)), st.integers(3, 5), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_what_is_told_is_what_is_empty(sizes: dict[str, list[int]], folds: int, seed: int) -> None:
    photos: list[Photo] = []
    group_of: dict[str, str] = {}
    for city, own in sizes.items():
        for group, size in enumerate(own):
            for n in range(size):
                photos.append(Photo(f"x:{city}-{group}-{n}", city, author_id=f"x:{city}-{group}"))
                group_of[photos[-1].photo_id] = f"g:{city}-{group}"
    if len(photos) < folds:
        return
    fold_of = kfold(photos, group_of, folds, seed).fold_of
    splits = [
        {photo_id: {test: "test", (test + 1) % folds: "val"}.get(n, "train") for photo_id, n in fold_of.items()}
        for test in range(folds)
    ]
    shares = allocate(photos, group_of, SHARES, seed, mode="fractions").sides
    for number, found in ((folds, empty_sides(photos, group_of, splits)), (1, empty_sides(photos, group_of, [shares]))):
        told = {(of.city, side, fold) for of in found for side, where in of.sides.items() for fold in where or (1,)}
        real = splits if number > 1 else [shares]
        has = Counter((p.city, sides[p.photo_id], fold) for fold, sides in enumerate(real, start=1) for p in photos)
        assert told == {
            (city, side, fold)
            for city in CITIES
            for side in SHARES
            for fold in range(1, len(real) + 1)
            if not has[city, side, fold]
        }
        for of in found:
            assert of.group_photos == max(sizes[of.city])
            assert (of.photos, of.groups) == (sum(sizes[of.city]), len(sizes[of.city]))
            assert of.groups < number or number == 1  # a city with as many groups as folds has them all
            assert number > 1 or of.groups < 3


def test_a_city_of_few_photos_and_many_cities() -> None:
    photos = [Photo(f"x:{city}-{n}", f"c{city}", author_id=f"x:{city}-{n}") for city in range(9) for n in range(2)]
    alone = {photo.photo_id: photo.photo_id for photo in photos}
    sides = allocate(photos, alone, SHARES, 0, mode="fractions").sides
    found = empty_sides(photos, alone, [sides])
    counts = {**{f"c{city}": 2 for city in range(9)}, "x": 30, "y": 40}
    error = refusal(found, counts, lambda least: least == 3)
    assert "c0 has no" in str(error)
    assert "it has 2 photos in all" in str(error)
    assert "8 more cities lack photos too: c1, c2, c3, c4, c5 and 3 more" in str(error)
    assert error.__notes__ == [  # nobody's photos are linked: nothing is said of authors
        "--min-photos 3 leaves them out and keeps 2 of 11 cities, 70 of 88 photos",
        "--allow-empty-sides accepts it; or collect more photos there",
    ]
    assert len(refusal(found, counts, lambda _: False).__notes__) == 1


def test_a_group_of_nobody_known() -> None:
    photos = [Photo(f"x:{n}", "van") for n in range(4)]
    found = empty_sides(photos, dict.fromkeys((p.photo_id for p in photos), "g:x:0"), [{"x:0": "test"}])
    assert (found[0].author, found[0].author_photos) == (None, 0)
    assert "by" not in str(found[0])


def test_shares_are_told_from_a_few_points_on() -> None:
    counts = {"van": {"train": 60, "val": 22, "test": 18}, "bursa": {"train": 90, "val": 10, "test": 0}}
    found = missed_shares(counts, SHARES)
    assert [(of.city, of.side, of.asked, of.got) for of in found] == [
        ("bursa", "train", 0.6, 0.9),
        ("bursa", "test", 0.2, 0.0),
        ("bursa", "val", 0.2, 0.1),
    ]
    assert FEW_POINTS > 0.02
    assert not missed_shares({"van": {"train": 0, "val": 0, "test": 0}}, SHARES)
