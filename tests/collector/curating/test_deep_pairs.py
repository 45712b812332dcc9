"""Copies beyond hashes: turned, cut, set among others; confirmed by pixels, kept with evidence, taken back."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from collector.catalogue.catalogue import open_catalogue
from collector.curating import deep_pairs as deep
from collector.curating.duplicates import Deep, dedup
from collector.curating.vectors import PhotoVectors, unrelated
from collector.images.decode import decode
from collector.progress import silent
from collector.records import Photo
from collector.workspace import Workspace
from tests.collector.curating.test_assess import put
from tests.collector.curating.textures import texture


def grey(picture: Image.Image) -> Any:
    return np.asarray(picture.convert("L"))


def montage(*pictures: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (640, 480), "white")
    for at, one in enumerate(pictures):
        sheet.paste(one.resize((320, 240)), (320 * (at % 2), 240 * (at // 2)))
    return sheet


BASE = texture(1, (384, 288))


@pytest.mark.parametrize(
    ("copy", "is_same"),
    [
        (BASE.transpose(Image.Transpose.ROTATE_90), True),
        (BASE.transpose(Image.Transpose.ROTATE_180), True),
        (BASE.crop((150, 100, 340, 240)).resize((380, 280)), True),
        (montage(BASE, *(texture(seed, (384, 288)) for seed in (7, 8, 9))), True),
        (BASE.rotate(20, expand=True).resize((400, 330)), True),
        (texture(2, (384, 288)), False),
        (Image.new("RGB", (384, 288), "white"), False),
        (BASE.resize((8, 8)), False),
    ],
)
def test_alignment(copy: Image.Image, is_same: bool) -> None:
    pytest.importorskip("cv2")
    from collector.curating.alignment import align

    found = align(grey(BASE), grey(copy))
    assert (found is not None and found.is_same) is is_same
    assert found == align(grey(BASE), grey(copy))


def test_a_shared_part_is_no_copy() -> None:
    """Two pictures that share a corner, such as an agency's mark or a logo, are two pictures."""
    pytest.importorskip("cv2")
    from collector.curating.alignment import align

    logo = texture(5, (384, 288)).resize((120, 90))
    first, second = (texture(seed, (384, 288)) for seed in (3, 4))
    for one in (first, second):
        one.paste(logo, (10, 10))
    found = align(grey(first), grey(second))
    assert found is None or not found.is_same


class Pixels:
    """A source whose vectors are small grey pictures."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, int]] = []

    def vectors(
        self, workspace: Workspace, photos: Sequence[Photo], net: str | None, track: Any, *, turn: int = 0
    ) -> PhotoVectors:
        self.asked.append((net, turn))
        rows, known = [], []
        for photo in photos:
            try:
                small = np.asarray(decode(workspace.photo(str(photo.sha256))).convert("L").resize((12, 12)), np.float32)
            except Exception:  # noqa: BLE001 (whatever Pillow raises)
                small = np.full((12, 12), np.nan, np.float32)
            known.append(bool(np.isfinite(small).all()))
            of = np.rot90(np.nan_to_num(small), turn).ravel()
            rows.append((of - of.mean()) / (np.linalg.norm(of - of.mean()) + 1e-6))
        return "pixels", np.array(rows, np.float32), np.array(known)

    def inliers(self, workspace: Any, photos: Any, pairs: Sequence[tuple[int, int]], track: Any) -> list[int]:
        return [0 for _ in pairs]


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    put(workspace, "base", BASE)
    put(workspace, "turned", BASE.transpose(Image.Transpose.ROTATE_90).resize((216, 288)))
    for seed in range(20, 32):
        put(workspace, f"other{seed}", texture(seed, (320, 240)))
    broken = put(workspace, "broken", texture(40, (320, 240)))
    workspace.photo(str(broken.sha256)).write_bytes(b"no picture")
    return workspace


def groups(workspace: Workspace) -> dict[str, dict[str, Any]]:
    with open_catalogue(workspace) as catalogue:
        return {one.photo_id: dict(one.evidence) for one in catalogue.decisions("dedup") if one.verdict != "keep"}


def test_turned_copies_join_a_group(filled: Workspace) -> None:
    assert dedup(filled).near == 0
    source = Pixels()
    summary = dedup(filled, deep=Deep(source, "gist"))
    assert (summary.near, summary.deep) == (1, 1)
    assert source.asked == [("gist", turn) for turn in range(4)]
    (found,) = groups(filled).items()
    assert found[0] == "made:turned"
    assert found[1]["deep"]["vectors"] == "pixels"
    assert found[1]["deep"]["quarter_turns"] in (1, 3)
    assert found[1]["deep"]["confirmed_by"] == "pixels"


def test_it_is_taken_back_and_kept_by_what_runs_by_itself(filled: Workspace) -> None:
    dedup(filled, deep=Deep(Pixels()))
    before = groups(filled)
    assert dedup(filled, keep_deep=True).deep == 1
    assert groups(filled) == before
    assert dedup(filled).deep == 0
    assert groups(filled) == {}
    assert dedup(filled, dry_run=True, deep=Deep(Pixels())).deep == 1
    assert groups(filled) == {}


def test_pairs_are_looked_at_once(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_catalogue(filled) as catalogue:
        photos = catalogue.downloaded()
    first = deep.deep_pairs(filled, photos, Pixels(), None, silent)
    assert [(photos[one.first].photo_id, photos[one.second].photo_id) for one in first] == [
        ("made:base", "made:turned")
    ]
    (file,) = (filled.cache / "deep-pairs").iterdir()
    with file.open("a", encoding="utf-8") as lines:
        lines.write('["cut off')

    def never(*_: object) -> int:
        raise AssertionError("looked at again")

    monkeypatch.setattr(deep, "pair_verifier", lambda _: lambda pairs: [never() for _ in pairs])
    assert deep.deep_pairs(filled, photos, Pixels(), None, silent) == first


def test_a_pair_whose_file_was_missing_is_asked_again(filled: Workspace) -> None:
    with open_catalogue(filled) as catalogue:
        photos = catalogue.downloaded()
    vectors = {turn: Pixels().vectors(filled, photos, None, silent, turn=turn) for turn in range(4)}

    class Kept(Pixels):
        def vectors(self, *asked: Any, turn: int = 0) -> PhotoVectors:
            return vectors[turn]

    turned = filled.photo(str(next(of.sha256 for of in photos if of.photo_id == "made:turned")))
    away = turned.rename(turned.with_suffix(".away"))
    assert deep.deep_pairs(filled, photos, Kept(), None, silent) == []
    away.rename(turned)
    assert len(deep.deep_pairs(filled, photos, Kept(), None, silent)) == 1


def test_each_candidate_once_with_its_best_turn(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "FAR", 1.0)
    rng = np.random.default_rng(0)
    turns = [rng.normal(size=(60, 8)).astype(np.float32) for _ in range(4)]
    turns = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in turns]
    known = np.arange(60) % 9 > 0

    class Given(Pixels):
        def vectors(self, *asked: Any, turn: int = 0) -> PhotoVectors:
            return "given", turns[turn], known

    photos = [Photo(f"made:{number}", "van") for number in range(60)]
    _, found = deep.proposals(workspace, photos, Given(), None, silent)
    middle, deviation = unrelated(turns[0][known])
    best: dict[tuple[int, int], tuple[float, int]] = {}
    there = np.flatnonzero(known)
    for turn, query in product(range(4), there.tolist()):
        cosines = turns[0][there] @ turns[turn][query]
        for at in np.argsort(-cosines)[: deep.NEAREST + 1].tolist():
            other, cosine = int(there[at]), float(cosines[at])
            if other == query or cosine < middle + deep.FAR * deviation:
                continue
            pair = (other, query) if other < query else (query, other)
            quarters = turn if other < query else -turn % 4
            best[pair] = max(best.get(pair, (-1.0, 0)), (cosine, quarters))
    assert {(row["first"], row["second"]): row["turn"] for row in found} == {
        pair: quarters for pair, (_, quarters) in best.items()
    }
    assert len(best) > 5


def test_without_opencv_pixels_alone_confirm(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep, "has_opencv", lambda: False)
    assert dedup(filled, deep=Deep(Pixels())).deep == 1
    assert [path.name for path in (filled.cache / "deep-pairs").iterdir()] == ["1-pixels.sqlite"]


def test_an_empty_workspace(workspace: Workspace, tmp_path: Path) -> None:
    with open_catalogue(workspace):
        pass
    assert dedup(workspace, deep=Deep(Pixels())).photos == 0


def test_a_group_of_hashes_joins_as_a_whole(filled: Workspace) -> None:
    put(filled, "turned-again", BASE.transpose(Image.Transpose.ROTATE_90).resize((214, 286)))
    assert dedup(filled).near == 1
    summary = dedup(filled, deep=Deep(Pixels()))
    assert (summary.near, summary.deep) == (2, 2)
    found = groups(filled)
    assert set(found) == {"made:turned", "made:turned-again"}
    assert sum("through" in of["deep"] for of in found.values()) == 1
