"""Photos chosen by vectors, and scenes kept on one side: against brute force, and through the command's function."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from collector.catalogue.catalogue import open_catalogue
from collector.curating.vectors import PhotoVectors
from collector.errors import DataError, UsageError
from collector.images.hashing import HASH_STAMP
from collector.manifest.manifest import read_manifest
from collector.records import City, Photo, Region
from collector.splitting.audit import audit_manifest
from collector.splitting.certificate import certificate
from collector.splitting.choose import Choosing, attempts, farthest_points, medoids, preferred
from collector.splitting.groups import GroupRules
from collector.splitting.scenes import Scenes
from collector.splitting.split import Recipe, split
from collector.workspace import Workspace

QUOTAS = {"train": 4, "val": 2, "test": 2}


def circle(count: int, seed: int = 0) -> NDArray[np.float32]:
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_farthest_points() -> None:
    vectors = circle(40)
    found = farthest_points(vectors, 6)
    assert found[0] == 0
    assert len(set(found)) == 6
    for step in range(1, 6):
        nearest = (1 - vectors @ vectors[found[:step]].T).min(axis=1)
        assert nearest[found[step]] == pytest.approx(nearest.max(), abs=1e-6)
    assert sorted(farthest_points(vectors, 40)) == list(range(40))
    assert farthest_points(vectors, 0) == []


def test_medoids() -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), [10, 6, 2], axis=0)
    found = medoids(vectors, 3)
    assert [int(vectors[at].argmax()) for at in found] == [0, 1, 2]  # the largest heap first
    scattered = circle(30, 3)
    first = medoids(scattered, 1)[0]
    assert first == (1 - scattered @ scattered.T).sum(axis=0).argmin()
    assert sorted(medoids(scattered, 30)) == list(range(30))


def photos(count: int) -> list[Photo]:
    return [
        Photo(
            f"made:{city}-{at:02}",
            city,
            author_id=f"made:{city}-{at:02}",
            sha256=f"{n:02}{at:062x}",
            width=9,
            height=9,
            bytes=9,
        )
        for n, city in enumerate(("bursa", "van"))
        for at in range(count)
    ]


def test_groups_come_whole_and_in_order() -> None:
    made = photos(6)
    groups = {
        photo.photo_id: photo.photo_id if photo.photo_id[-1] in "0123" else f"pair-{photo.city}" for photo in made
    }
    order = preferred(made, groups, circle(12), "diverse", 3, seed=1)
    assert all(sorted(of) == sorted({groups[p.photo_id] for p in made if p.city == city}) for city, of in order.items())
    tries = list(attempts(made, groups, order, 3, {}))
    assert tries[-1] == made
    for some in tries:
        taken = {groups[photo.photo_id] for photo in some}
        assert [photo for photo in made if groups[photo.photo_id] in taken] == some
    assert all(len(some) <= len(more) for some, more in pairwise(tries))
    assert order == preferred(made[::-1], groups, circle(12)[::-1], "diverse", 3, seed=1)


class Known:
    """A source whose vectors are given by photo_id, and which verifies given pairs."""

    def __init__(self, rows: dict[str, NDArray[np.float32]], same: Sequence[tuple[str, str]] = ()) -> None:
        self.rows, self.same = rows, set(same)

    def vectors(self, workspace: Any, photos: Sequence[Photo], net: Any, track: Any, *, turn: int = 0) -> PhotoVectors:
        return "known", np.array([self.rows[photo.photo_id] for photo in photos]), np.ones(len(photos), bool)

    def inliers(self, workspace: Any, photos: Any, pairs: Sequence[tuple[int, int]], track: Any) -> list[int]:
        return [30 if (photos[a].photo_id, photos[b].photo_id) in self.same else 0 for a, b in pairs]


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(Region("r", "R", tuple(City(of, of, 0.0, 0.0, 9.0) for of in ("bursa", "van"))))
        with catalogue.together():
            for photo in photos(20):
                catalogue.add(photo, HASH_STAMP)
    return workspace


def run(workspace: Workspace, folder: Path, **more: Any) -> Any:
    recipe = Recipe(groups=GroupRules(near_duplicates=False))
    return split(workspace, folder, QUOTAS, 0, recipe=recipe, **more)


def heaps(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Return vectors: of each city 12 photos in one heap, and 8 each by itself."""
    rows = {}
    for photo in photos(20):
        at = int(photo.photo_id[-2:])
        rows[photo.photo_id] = np.eye(12, dtype=np.float32)[0 if at < 12 else at - 11]
    return rows


def test_diverse_photos_fill_the_quotas(filled: Workspace, tmp_path: Path) -> None:
    plain = run(filled, tmp_path / "plain")
    result = run(filled, tmp_path / "diverse", choosing=Choosing("diverse", Known(heaps())))
    assert result.manifest.counts() == plain.manifest.counts()
    taken = result.manifest.table["photo_id"].to_pylist()
    assert (
        sum(int(photo_id[-2:]) >= 12 for photo_id in taken) >= 14
    )  # of each city the 8 singles, at most one of the heap
    assert result.manifest.header.rules["choose"] == {"how": "diverse", "vectors": "known"}
    assert "choose" not in plain.manifest.header.rules
    again = run(filled, tmp_path / "diverse", choosing=Choosing("diverse", Known(heaps())))
    assert (again.manifest.digest, again.written) == (result.manifest.digest, False)


def test_representative_photos_fill_the_quotas(filled: Workspace, tmp_path: Path) -> None:
    result = run(filled, tmp_path, choosing=Choosing("representative", Known(heaps())))
    assert result.manifest.counts()["van"] == QUOTAS
    assert result.manifest.header.rules["choose"]["how"] == "representative"


def test_quotas_that_nothing_meets(filled: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        split(filled, tmp_path, {"train": 40, "val": 2, "test": 2}, 0, choosing=Choosing("diverse", Known(heaps())))


def test_scenes_stay_on_one_side_and_are_counted(filled: Workspace, tmp_path: Path) -> None:
    ids = [photo.photo_id for photo in photos(20) if photo.city == "van"]
    same = [(ids[0], ids[1]), (ids[1], ids[2]), (ids[2], ids[3])]
    rng = np.random.default_rng(0)
    rows = {photo.photo_id: rng.normal(size=64) for photo in photos(20)}
    rows |= {photo_id: rows[ids[0]] + 0.3 * rng.normal(size=64) for photo_id in ids[1:4]}
    source = Known({of: (row / np.linalg.norm(row)).astype(np.float32) for of, row in rows.items()}, same)
    result = run(filled, tmp_path / "grouped", scenes=Scenes(source))
    side_of = dict(zip(*(result.manifest.table[name].to_pylist() for name in ("photo_id", "split")), strict=True))
    assert len({side_of.get(photo_id) for photo_id in ids[:4]}) == 1
    assert result.grouping.effects["scenes"].largest == 4
    assert result.manifest.header.rules["scenes"] == {"vectors": "known"}
    audit = audit_manifest(read_manifest(result.folder))
    assert all(of == {"scenes": 0, "photos": 0} for of in audit.scenes.values()) or not audit.scenes
    # Known by now, but not asked to be kept together: an audit counts what spans two sides, and calls it no leak.
    loose = split(filled, tmp_path / "loose", QUOTAS, 3, recipe=Recipe(groups=GroupRules(near_duplicates=False)))
    counted = audit_manifest(read_manifest(loose.folder))
    assert set(counted.scenes) == {"train-test", "val-test", "train-val"}
    assert "scenes with photos on two sides" in certificate(counted)
    assert not [leak for leak in counted.leaks if "scene" in leak.kind]
    with open_catalogue(filled) as catalogue:
        kept = {one.photo_id: one for one in catalogue.decisions("scenes")}
    assert set(kept) == set(ids[:4])
    assert kept[ids[0]].evidence == {"vectors": "known", "inliers": {ids[1]: 30}}


def test_how_is_checked() -> None:
    from collector import front_door

    for wrong in ("--choose best", "--choose diverse --paper", "--group-scenes --kfold 3", "--net gist"):
        assert front_door.run(["split", *wrong.split(), "--workspace", "."]) == UsageError.exit_code
