"""Labels that the pixels speak against: swapped ones are found, the right city is named, and nothing is left out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from collector.catalogue.catalogue import open_catalogue
from collector.curating import label_errors
from collector.curating.assess import assess, forget
from collector.curating.vectors import PhotoVectors, nearest, unrelated
from collector.records import City, Photo, Region
from collector.workspace import Workspace

CITIES = ("ankara", "bursa", "van")


def vectors(labels: Sequence[int], seed: int = 0, width: int = 24) -> NDArray[np.float32]:
    """Return vectors around a centre for each label, of length 1."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(3, width))[np.array(labels)] + 0.6 * rng.normal(size=(len(labels), width))
    unit: NDArray[np.float32] = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def photos(labels: Sequence[int]) -> list[Photo]:
    return [Photo(f"made:{at:03}", CITIES[of], sha256=f"{at:064x}") for at, of in enumerate(labels)]


TRUE = [at % 3 for at in range(120)]
SWAPPED = {7: 2, 31: 0, 50: 0, 99: 1}
GIVEN = [SWAPPED.get(at, of) for at, of in enumerate(TRUE)]


def test_swapped_labels_are_found() -> None:
    pytest.importorskip("cleanlab")
    known = np.ones(120, bool)
    found, few = label_errors.flag_labels(photos(GIVEN), vectors(TRUE), known, "made")
    assert few == []
    by_row = {int(one.photo_id[-3:]): one for one in found}
    assert set(SWAPPED) <= set(by_row)
    assert len(by_row) <= 6
    for row in SWAPPED:
        assert by_row[row].verdict == "keep"
        assert by_row[row].evidence["thinks"] == CITIES[TRUE[row]]
        assert 0.5 <= by_row[row].evidence["wrong-label"] <= 1
        assert by_row[row].evidence["why"]["wrong-label"]["vectors"] == "made"
    best = sorted(by_row, key=lambda row: -by_row[row].evidence["wrong-label"])[:4]
    assert set(best) == set(SWAPPED)


def test_a_copy_does_not_vote_for_its_own_label() -> None:
    pytest.importorskip("sklearn")
    rows = vectors(TRUE)
    labels, groups = np.array(GIVEN), np.arange(120)
    rows[10], groups[10] = rows[7], groups[7]  # a copy of a swapped photo, swapped too
    labels[10] = labels[7]
    alone = label_errors.out_of_fold(rows, labels, groups)
    assert alone[7].argmax() == alone[10].argmax() == TRUE[7]
    assert alone.sum(axis=1) == pytest.approx(1)


def test_too_few_photos_are_told_and_not_judged() -> None:
    pytest.importorskip("cleanlab")
    labels = [0] * 20 + [1] * 20 + [2] * 4
    _, few = label_errors.flag_labels(photos(labels), vectors(labels), np.ones(44, bool), "made")
    assert few == ["van"]
    found, few = label_errors.flag_labels(photos(labels[:24]), vectors(labels[:24]), np.ones(24, bool), "made")
    assert (found, few) == ([], ["bursa"])
    assert label_errors.flag_labels([], np.empty((0, 4), np.float32), np.empty(0, bool), "made") == ([], [])


def test_an_author_s_own_city_cannot_be_judged() -> None:
    pytest.importorskip("cleanlab")
    labels = [0] * 20 + [1] * 20 + [2] * 20
    several = [*range(20, 60)]
    for authors, left_out in (
        ([0] * 60, ["ankara", "bursa", "van"]),
        (labels, ["ankara", "bursa", "van"]),
        ([0] * 20 + several, ["ankara"]),
        ([0] * 20 + [1] * 20 + several[20:], ["ankara", "bursa", "van"]),
    ):
        taken = [replace(photo, author_id=f"made:{of}") for photo, of in zip(photos(labels), authors, strict=True)]
        flagged, few = label_errors.flag_labels(taken, vectors(labels), np.ones(60, bool), "made")
        assert few == left_out
        assert flagged == []


class Made:
    """A source of vectors that knows the true labels."""

    def vectors(self, workspace: Any, photos: Sequence[Photo], net: Any, track: Any, *, turn: int = 0) -> PhotoVectors:
        rows = vectors(TRUE)[[int(photo.photo_id[-3:]) for photo in photos]]
        return f"made for {net}", rows, np.ones(len(photos), bool)

    def inliers(self, workspace: Any, photos: Any, pairs: Sequence[tuple[int, int]], track: Any) -> list[int]:
        return [0 for _ in pairs]


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(Region("r", "R", tuple(City(slug, slug, 0.0, 0.0, 1.0) for slug in CITIES)))
        with catalogue.together():
            for photo in photos(GIVEN):
                catalogue.add(photo, "none")
    return workspace


def test_a_run_writes_flags_and_takes_them_back(filled: Workspace) -> None:
    pytest.importorskip("cleanlab")
    pytest.importorskip("torch")
    summary = assess(filled, source=Made(), net="gist")
    assert summary.skipped == ()
    with open_catalogue(filled) as catalogue:
        found = {one.photo_id: one.evidence for one in catalogue.decisions("label-errors")}
        assert len(catalogue.clean()) == 120
    assert {f"made:{row:03}" for row in SWAPPED} <= set(found)
    assert next(one.photos for one in summary.flags if one.flag == "wrong-label") == len(found)
    assert forget(filled) == len(found)


def test_without_the_extra(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_errors, "missing_extra", lambda: "cleanlab")
    assert "of the extra labels: pip install 't15[labels]'" in assess(filled, source=Made()).skipped[0]


# --- vectors


def test_nearest_is_that_of_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = vectors(TRUE * 20, seed=3)
    cosines, found = nearest(rows, rows[:50], 5)
    expected = np.argsort(-(rows[:50] @ rows.T), axis=1, kind="stable")[:, :5]
    assert (found == expected).mean() > 0.99  # equal ones may change places
    assert cosines[:, 0] == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr("collector.curating.vectors._EXACT", 1000)
    approximate = nearest(rows, rows[:50], 5)[1]
    assert (approximate[:, 0] == expected[:, 0]).mean() > 0.9


def test_what_unrelated_pairs_are_like() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 400)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[400:] = rows[400]  # a heap of copies, which is none of the unrelated
    middle, deviation = unrelated(rows)
    assert abs(middle) < 0.02
    assert deviation == pytest.approx(0.05, abs=0.02)
