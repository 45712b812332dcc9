"""`t15 split --extend`: a data set grows, and what was promised of it stays true."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.catalogue.withdrawals import withdraw
from collector.errors import DataError, UsageError
from collector.manifest.diff import diff
from collector.manifest.manifest import Manifest, build_manifest, read_manifest, write_manifest
from collector.records import SPLITS, Photo
from collector.splitting.audit import audit_manifest
from collector.splitting.groups import GroupRules
from collector.splitting.split import Recipe, SplitResult, split
from collector.workspace import Workspace, create_workspace
from tests.collector.splitting.test_split import NOW, REGION, alone, decide, fill
from tests.conftest import MakePhoto

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
QUOTAS = {"train": 4, "val": 2, "test": 2}
SHARED = Recipe("fractions")


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    return tmp_path / "manifests"


def run(workspace: Workspace, manifests: Path, **options: Any) -> SplitResult:
    if folder := options.get("extend"):
        options["extend"] = read_manifest(folder)
    first = {} if folder else {"quotas": SHARES, "recipe": SHARED, "seed": 0}
    return split(workspace, manifests, **{"quotas": None, "seed": None, **first, **options})


def sides_of(manifest: Manifest) -> dict[str, str]:
    return {photo.photo_id: side for side in SPLITS for photo in manifest.photos(side)}


def kept(before: Manifest, after: Manifest) -> bool:
    """Return whether no photo of both manifests changed its side."""
    then, now = sides_of(before), sides_of(after)
    return all(now[photo_id] == then[photo_id] for photo_id in then.keys() & now.keys())


def test_new_photos_are_added_and_the_minor_number_rises(
    workspace: Workspace, manifests: Path, make_photo: MakePhoto
) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    fill(workspace, [alone(make_photo, n) for n in range(30, 60)])
    second = run(workspace, manifests, extend=first.folder)
    header = second.manifest.header
    assert (header.name, header.version, header.seed, header.quotas) == ("turkiye15", "1.1.0", 0, SHARES)
    assert header.parent == {"version": "1.0.0", "digest": first.manifest.digest}
    assert header.rules == first.manifest.header.rules
    assert kept(first.manifest, second.manifest)
    assert second.manifest.counts() == {c: {"train": 12, "val": 4, "test": 4} for c in ("bursa", "ankara", "van")}
    assert second.growth is not None
    assert (second.growth.bridges, second.growth.retired, second.growth.gone) == ((), (), ())
    found = diff(first.manifest, second.manifest)
    assert (found.extends, found.part, found.version_fault) == (True, "minor", "")
    assert audit_manifest(second.manifest).verdict == "clean"
    fill(workspace, [alone(make_photo, n) for n in range(60, 66)])
    third = run(workspace, manifests, extend=second.folder)
    assert (third.folder.name, third.manifest.header.parent) == (
        "1.2.0",
        {"version": "1.1.0", "digest": second.manifest.digest},
    )


def test_nothing_new_is_the_manifest_itself(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    again = run(workspace, manifests, extend=first.folder)
    assert (again.written, again.folder) == (False, first.folder)
    fill(workspace, [alone(make_photo, 30)])
    second = run(workspace, manifests, extend=first.folder)
    for parent in (first, second):
        again = run(workspace, manifests, extend=parent.folder)
        assert (again.written, again.folder) == (False, second.folder)


def test_exact_numbers_grow_to_larger_ones(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests, quotas=QUOTAS, recipe=Recipe())
    fill(workspace, [alone(make_photo, n) for n in range(30, 60)])
    # As many as were asked for are there already: nothing is added.
    assert run(workspace, manifests, extend=first.folder).folder == first.folder
    second = run(workspace, manifests, extend=first.folder, quotas={"train": 10, "val": 4, "test": 3})
    assert second.folder.name == "1.1.0"
    assert second.manifest.counts() == {c: {"train": 10, "val": 4, "test": 3} for c in ("bursa", "ankara", "van")}
    assert set(sides_of(first.manifest)) < set(sides_of(second.manifest))
    assert kept(first.manifest, second.manifest)
    with pytest.raises(DataError, match=r"ankara: has 2 more test photos already than the quota; give a larger --test"):
        run(workspace, manifests, extend=first.folder, quotas={"train": 10, "val": 4, "test": 0})


def test_with_photos_dropped_it_grows_too(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [make_photo(n, author_id=f"made:{n // 9}-{n % 3}") for n in range(36)])
    first = run(workspace, manifests, quotas=QUOTAS, recipe=Recipe(drop_photos=True))
    fill(workspace, [make_photo(n, author_id=f"made:{n // 9}-{n % 3}") for n in range(36, 72)])
    second = run(workspace, manifests, extend=first.folder, quotas={"train": 8, "val": 4, "test": 4})
    assert second.manifest.header.rules["drop_photos"] is True
    assert kept(first.manifest, second.manifest)
    assert audit_manifest(second.manifest).verdict == "clean"


def test_a_new_photo_of_a_picture_that_the_parent_has_stays_out(
    workspace: Workspace, manifests: Path, make_photo: MakePhoto
) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    better = replace(alone(make_photo, 0), photo_id="made:better", author_id="made:x", width=4000, height=3000)
    better = replace(better, sha256="0" * 64, latitude=41.0, longitude=29.0)
    fill(workspace, [better])
    second = run(workspace, manifests, extend=first.folder)
    assert second.cleaned is not None
    assert second.cleaned.near == 1  # dedup prefers the larger one by now
    assert sides_of(second.manifest) == sides_of(first.manifest)
    assert second.folder == first.folder


def test_a_label_conflict_that_comes_later_takes_an_earlier_photo_out(
    workspace: Workspace, manifests: Path, make_photo: MakePhoto
) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    fill(workspace, [replace(alone(make_photo, 0), photo_id="made:liar", author_id="made:liar", city="van")])
    second = run(workspace, manifests, extend=first.folder)
    assert second.growth is not None
    assert second.growth.gone == ("made:0000",)
    assert second.folder.name == "2.0.0"
    with open_catalogue(workspace) as catalogue:
        catalogue.decide("review", [Decision("made:0000", "keep", None, {})])
    third = run(workspace, manifests, extend=first.folder)
    assert "made:0000" in sides_of(third.manifest)  # a person looked at it


def test_bridges_are_left_out_and_named(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    train, test = first.manifest.photos("train")[0], first.manifest.photos("test")[0]
    bridge = make_photo(30, author_id=train.author_id, latitude=test.latitude, longitude=test.longitude)
    friend = make_photo(33, author_id=test.author_id)
    fill(workspace, [bridge, friend])
    second = run(workspace, manifests, extend=first.folder)
    assert second.growth is not None
    assert (second.growth.bridges, second.growth.retired) == ((bridge.photo_id,), ())
    assert sides_of(second.manifest) == {**sides_of(first.manifest), friend.photo_id: "test"}
    assert audit_manifest(second.manifest).verdict == "clean"


def test_stricter_rules_are_resolved_towards_test(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    photos = [alone(make_photo, n) for n in range(30)]
    fill(workspace, photos)
    first = run(workspace, manifests)
    train, test = first.manifest.photos("train")[0], first.manifest.photos("test")[0]
    # By now it is known that one person took both.
    fill(workspace, [replace(photo, author_id="made:one", split=None, group_id=None) for photo in (train, test)])
    second = run(workspace, manifests, extend=first.folder)
    assert second.growth is not None
    assert second.growth.retired == (train.photo_id,)
    assert sides_of(second.manifest) == {k: v for k, v in sides_of(first.manifest).items() if k != train.photo_id}
    assert second.folder.name == "2.0.0"
    apart = Recipe("fractions", GroupRules(min_distance_m=500))
    with pytest.raises(DataError, match="ankara has no train photo and no val photo"):
        run(workspace, manifests, extend=first.folder, recipe=apart)
    wider = run(workspace, manifests, extend=first.folder, recipe=apart, allow_empty_sides=True)
    assert wider.manifest.header.rules["groups"]["min_distance_m"] == 500
    # The photos lie 140 m apart, in one line: by this rule they are one group.
    assert sides_of(wider.manifest) == {k: v for k, v in sides_of(first.manifest).items() if v == "test"}


def test_withdrawn_photos_are_gone(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    withdraw(workspace, ["made:0004"], "r", NOW)
    second = run(workspace, manifests, extend=first.folder)
    assert second.growth is not None
    assert second.growth.gone == ("made:0004",)
    assert (second.folder.name, second.manifest.table.num_rows) == ("2.0.0", 29)


def test_photos_that_are_not_here_are_not_taken_for_gone(
    workspace: Workspace, manifests: Path, make_photo: MakePhoto, tmp_path: Path
) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    other = create_workspace(tmp_path / "other")
    fill(other, [alone(make_photo, n) for n in range(2, 40)])
    with open_catalogue(other) as catalogue:
        catalogue.list_photo(alone(make_photo, 5))
        catalogue.fail(alone(make_photo, 6), "timeout", "", 1, NOW)
    with pytest.raises(
        DataError, match=r"^4 of 30 photos of turkiye15 1\.0\.0 are not in the workspace .*made:000.*`t15 rehydrate`"
    ):
        run(other, manifests, extend=first.folder)


def test_modes_that_promise_nothing_are_refused(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    paper = run(workspace, manifests, quotas=QUOTAS, recipe=Recipe("paper"))
    with pytest.raises(
        UsageError, match=r"--extend: turkiye15 1\.0\.0 was split by mode 'paper', which promises nothing"
    ):
        run(workspace, manifests, extend=paper.folder)
    with pytest.raises(UsageError, match=r"holds no manifest\.json"):
        run(workspace, manifests, extend=manifests)


@pytest.mark.parametrize(
    "groups",
    [
        *({"invented": 1}, 7, None, {"min_distance_m": "wide"}, {"min_distance_m": -1}, {"min_distance_m": True}),
        *({"authors": "no"}, {"service_authors": "streetview:*"}, {"panorama_m": "far"}, {"max_hours": 0}),
        *({"phash_radius": 8.5}, {"phash_radius": 65}),
    ],
)
def test_rules_that_this_t15_does_not_know(
    workspace: Workspace, manifests: Path, make_photo: MakePhoto, groups: object, tmp_path: Path
) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests).manifest
    photos = [photo for side in SPLITS for photo in first.photos(side)]
    rules = {**first.header.rules, "groups": groups}
    write_manifest(build_manifest(replace(first.header, rules=rules), photos, "other"), tmp_path / "odd")
    with pytest.raises((DataError, UsageError), match=r"does not know"):
        run(workspace, manifests, extend=tmp_path / "odd")


# --- versions


def test_a_parent_that_lies_elsewhere(
    workspace: Workspace, manifests: Path, make_photo: MakePhoto, tmp_path: Path
) -> None:
    """The version rises from the parent's, although the folder of manifests is empty."""
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, tmp_path / "published")
    same = run(workspace, manifests, extend=first.folder)
    assert (same.folder, same.written) == (manifests / "turkiye15" / "1.0.0", True)
    assert same.manifest.digest == first.manifest.digest
    fill(workspace, [alone(make_photo, 30)])
    second = run(workspace, tmp_path / "empty", extend=first.folder)
    assert second.folder == tmp_path / "empty" / "turkiye15" / "1.1.0"
    named = run(workspace, tmp_path / "empty", extend=first.folder, name="mine")
    assert (named.folder.parent.name, named.folder.name) == ("mine", "1.0.0")
    assert named.manifest.header.parent == {"version": "1.0.0", "digest": first.manifest.digest}


def test_a_version_of_ones_own(workspace: Workspace, manifests: Path, make_photo: MakePhoto) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    fill(workspace, [alone(make_photo, 30)])
    assert run(workspace, manifests, extend=first.folder, version="4.0.0").folder.name == "4.0.0"


# --- whatever comes

CITIES = ("ankara", "bursa", "van")


def photo_of(number: int, draw: tuple[int, int, int, int]) -> Photo:
    """Return a photo by one of few authors, at one of few places, of one of few pictures."""
    city, author, place, picture = draw
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    look = hashlib.sha256(f"picture {picture}".encode()).hexdigest() if picture < 40 else digest
    return Photo(
        photo_id=f"made:{number:04d}",
        city=CITIES[city],
        latitude=39.0 + place / 50,
        longitude=30.0 + city,
        author_id=f"made:{author}" if author < 12 else None,
        license="CC0-1.0",
        width=200,
        height=100 + number % 7,
        bytes=1,
        sha256=digest,
        phash=look[:16],
        dhash=look[16:32],
    )


DRAWS = st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(0, 60), st.integers(0, 120))
STEPS = st.lists(st.lists(DRAWS, min_size=1, max_size=12), min_size=1, max_size=3)


@given(
    first=st.lists(DRAWS, min_size=12, max_size=24),
    steps=STEPS,
    exact=st.sampled_from([None, "whole", "dropping"]),
    withdrawn=st.sets(st.integers(0, 11), max_size=2),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_growing_never_moves_a_photo_and_never_leaks(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[int, int, int, int]],
    steps: list[list[tuple[int, int, int, int]]],
    exact: str | None,
    withdrawn: set[int],
) -> None:
    root = tmp_path_factory.mktemp("grown")
    workspace, manifests = create_workspace(root / "w"), root / "m"
    add(workspace, 0, first)
    recipe = Recipe(drop_photos=exact == "dropping") if exact else SHARED
    quotas: dict[str, float] = {"train": 1, "val": 1, "test": 1} if exact else dict(SHARES)
    try:
        made = [run(workspace, manifests, quotas=quotas, recipe=recipe)]
    except DataError:  # too few photos for whole numbers
        return
    number = len(first)
    for size, step in enumerate(steps, start=2):
        add(workspace, number, step)
        number += len(step)
        larger = {"train": size, "val": 1, "test": 1} if exact else None
        if size == 3 and withdrawn:
            withdraw(workspace, [f"made:{n:04d}" for n in withdrawn], "r", NOW)
        try:
            made.append(run(workspace, manifests, extend=made[-1].folder, quotas=larger))
        except DataError:
            continue
    ever: dict[str, str] = {}
    for result in made:
        for photo_id, side in sides_of(result.manifest).items():
            assert ever.setdefault(photo_id, side) == side
        assert audit_manifest(result.manifest).verdict in ("clean", "partly-judged")
    for before, after in pairwise(made):
        if before.folder == after.folder:
            continue
        found = diff(before.manifest, after.manifest)
        assert found.version_fault == ""
        assert found.names_parent
        assert found.moved.photos == found.judged_then_learned == 0
        growth = after.growth
        assert growth is not None
        assert found.removed.photos == len(growth.retired) + len(growth.gone)
        assert not set(growth.bridges) & sides_of(after.manifest).keys()
        assert all(sides_of(before.manifest)[photo_id] != "test" for photo_id in growth.retired)


def add(workspace: Workspace, start: int, draws: Sequence[tuple[int, int, int, int]]) -> None:
    fill(workspace, [photo_of(start + n, draw) for n, draw in enumerate(draws)], REGION)


def test_the_decisions_of_dedup_are_read_not_made_anew(
    workspace: Workspace, manifests: Path, make_photo: MakePhoto
) -> None:
    fill(workspace, [alone(make_photo, n) for n in range(30)])
    first = run(workspace, manifests)
    decide(workspace)
    assert run(workspace, manifests, extend=first.folder).cleaned is None
    assert read_manifest(first.folder).digest == first.manifest.digest
