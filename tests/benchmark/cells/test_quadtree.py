"""Boxes against counting, and the published partition of OpenStreetView-5M grown again."""

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmark.cells.partition import Thresholds
from benchmark.cells.quadtree import SPLITS, QuadTree, quadtree
from collector.errors import DataError, UsageError
from tests.benchmark.cells.test_s2 import world

each_split = pytest.mark.parametrize("split", SPLITS)


@each_split
def test_boxes_hold_what_they_count(split: str) -> None:
    places = world(3000)
    tree = quadtree(places, Thresholds(100, 3), split=split)
    of = tree.cell_of(places)
    assert np.array_equal(np.bincount(of[of >= 0], minlength=len(tree.counts)), tree.counts)
    assert tree.counts.min() >= 3
    held = of >= 0
    south, west, north, east = tree.boxes[of[held]].T
    latitude, longitude = places[held].T
    assert ((south <= latitude) & (latitude <= north) & (west <= longitude) & (longitude <= east)).all()
    assert tree.counts.max() < 100 or len(tree.cuts) > 0


def test_medians_even_out_the_boxes() -> None:
    places = world(4000)
    spread = {split: quadtree(places, Thresholds(300), split=split).counts.std() for split in SPLITS}
    assert spread["median"] < spread["midpoint"]


@each_split
def test_photos_at_one_point_are_one_cell(split: str) -> None:
    tree = quadtree(np.tile([41.0, 180.0], (50, 1)), Thresholds(5), split=split)
    assert tree.counts.tolist() == [50]
    assert np.allclose(np.abs(tree.answers), [[41.0, 180.0]])
    two = quadtree(np.array([[41.0, 29.0]] * 30 + [[41.5, 29.0]] * 30), Thresholds(5), split=split)
    assert sorted(two.counts.tolist()) == [30, 30]


def test_unknown_places_and_places_outside_are_in_no_cell(real_data: Path) -> None:
    tree = quadtree(np.array([[0.0, 0.0], [1.0, 1.0], [np.nan, np.nan]]), Thresholds(2))
    assert (tree.cell_of(np.array([[0.0, 0.0], [np.nan, np.nan], [5.0, 5.0]])) >= 0).tolist() == [True, False, False]
    with pytest.raises(DataError, match="no training photo has a place"):
        quadtree(np.full((3, 2), np.nan), Thresholds(2))
    with pytest.raises(DataError, match="9 photos or more"):
        quadtree(np.zeros((3, 2)), Thresholds(10, 9))
    with pytest.raises(UsageError, match="midpoint, median"):
        quadtree(np.zeros((3, 2)), Thresholds(10), split="thirds")


def test_it_is_saved_as_plain_arrays() -> None:
    places = world(800)
    tree = quadtree(places, Thresholds(40))
    again = QuadTree.of_arrays(tree.to_arrays())
    assert np.array_equal(again.cell_of(places), tree.cell_of(places))
    endless = tree.quarters.copy()
    endless[-1, 0] = 0
    for wrong in (endless, tree.quarters[:-1], tree.quarters - 10_000):
        with pytest.raises(ValueError, match="quad-tree"):
            QuadTree.of_arrays({**tree.to_arrays(), "quarters": wrong})


def test_the_published_boxes_grow_again_from_places_drawn_inside_them(real_data: Path) -> None:
    path = real_data / "new" / "cells" / "osv5m_quadtree_10_1000.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    boxes = np.array([[float(row[name]) for name in ("min_lat", "min_lon", "max_lat", "max_lon")] for row in rows])
    means = np.array([[float(row["mean_lat"]), float(row["mean_lon"])] for row in rows])
    assert ((boxes[:, :2] - 1e-9 <= means) & (means <= boxes[:, 2:] + 1e-9)).all()
    bounds = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    # Of boxes at the last level three places: they may be full. Of others one, where two are too many.
    deep = np.isclose(boxes[:, 2] - boxes[:, 0], (bounds[2] - bounds[0]) / 2**10)
    drawn = np.repeat(np.arange(len(boxes)), np.where(deep, 3, 1))
    share = np.random.default_rng(0).uniform(0.05, 0.95, (len(drawn), 2))
    places = boxes[drawn, :2] + share * (boxes[drawn, 2:] - boxes[drawn, :2])
    tree = quadtree(places, Thresholds(2), depth=10, bounds=bounds)
    assert len(tree.boxes) == len(boxes)
    order = tree.cell_of((boxes[:, :2] + boxes[:, 2:]) / 2)
    assert np.allclose(tree.boxes[order], boxes, atol=1e-9)
