"""S2 numbers against another implementation, and partitions against counting."""

from pathlib import Path

import numpy as np
import pytest
import s2sphere
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.cells.partition import Thresholds, parents
from benchmark.cells.s2 import S2Partition, leaves, of_token, s2_partition, token
from collector.errors import DataError
from collector.geo import distance_km


def world(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Return places (count, 2) of crowds all over the sphere, with the seams and the poles among them."""
    random = np.random.default_rng(seed)
    centres = np.stack([np.degrees(np.arcsin(random.uniform(-1, 1, 30))), random.uniform(-180, 180, 30)], axis=1)
    places = centres[random.integers(0, 30, count)] + random.normal(0, 1, (count, 2))
    places[:5] = [[90, 0], [-90, 12], [0, 180], [0, -180], [45, 45]]
    return np.stack([places[:, 0].clip(-90, 90), (places[:, 1] + 180) % 360 - 180], axis=1)


@settings(max_examples=300, deadline=None)
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_numbers_are_those_of_the_s2_library(latitude: float, longitude: float) -> None:
    wanted = s2sphere.CellId.from_lat_lng(s2sphere.LatLng.from_degrees(latitude, longitude))
    ours = int(leaves(np.array([[latitude, longitude]]))[0])
    # On a border of leaves a last digit decides; a hand's breadth is near enough.
    at = s2sphere.CellId(ours).to_lat_lng()
    assert ours == wanted.id() or distance_km(latitude, longitude, at.lat().degrees, at.lng().degrees) < 1e-4
    assert token(ours) == s2sphere.CellId(ours).to_token()
    assert of_token(token(ours)) == ours


def test_a_partition_splits_what_is_full_and_drops_what_is_empty() -> None:
    places, thresholds = world(4000), Thresholds(200, 20)
    partition = s2_partition(places, thresholds)
    of = partition.cell_of(places)
    assert np.array_equal(np.bincount(of[of >= 0], minlength=len(partition.counts)), partition.counts)
    assert partition.counts.min() >= 20
    assert partition.counts.max() <= 200
    for number, cell in enumerate(partition.cells.tolist()):
        one = s2sphere.CellId(cell)
        inside = [one.contains(s2sphere.CellId(int(leaf))) for leaf in leaves(places)]
        assert sum(inside) == partition.counts[number]
        if one.level():
            above = one.parent()
            assert (
                sum(above.contains(s2sphere.CellId(int(leaf))) for leaf in leaves(places)) > 200
            )  # no cell is too small
    assert (partition.cell_of(partition.answers) >= 0).mean() > 0.9  # the mean of a bent cell may lie outside of it


def test_a_leaf_that_cannot_be_split_stays() -> None:
    places = np.tile([41.0082, 28.9784], (500, 1))
    partition = s2_partition(places, Thresholds(10, 5))
    assert partition.counts.tolist() == [500]
    assert np.allclose(partition.answers, [[41.0082, 28.9784]])
    assert s2sphere.CellId(int(partition.cells[0])).is_leaf()


def test_finer_cells_lie_in_coarser_ones() -> None:
    places = world(3000)
    fine, coarse = s2_partition(places, Thresholds(50, 5)), s2_partition(places, Thresholds(400, 5))
    above = parents(fine, coarse, places)
    assert len(fine.cells) > len(coarse.cells)
    for cell, parent in zip(fine.cells.tolist(), above.tolist(), strict=True):
        assert s2sphere.CellId(int(coarse.cells[parent])).contains(s2sphere.CellId(cell))


def test_none_is_above_the_coarsest_level() -> None:
    partition = s2_partition(world(100), Thresholds(1000), coarsest=2)
    assert min(s2sphere.CellId(cell).level() for cell in partition.cells.tolist()) == 2


def test_unknown_places_are_in_no_cell(real_data: Path) -> None:
    places = np.array([[41.0, 29.0], [np.nan, np.nan], [41.0, 29.1], [-30.0, 0.0]])
    partition = s2_partition(places[:3], Thresholds(1))
    assert partition.counts.tolist() == [1, 1]
    assert (partition.cell_of(places) >= 0).tolist() == [True, False, True, False]
    with pytest.raises(DataError, match="no training photo has a place"):
        s2_partition(places[1:2], Thresholds(1))
    with pytest.raises(DataError, match="9 photos or more"):
        s2_partition(places, Thresholds(10, 9))


def test_it_is_saved_as_plain_arrays() -> None:
    places = world(500)
    partition = s2_partition(places, Thresholds(50))
    again = S2Partition.of_arrays(partition.to_arrays())
    assert np.array_equal(again.cell_of(places), partition.cell_of(places))
    for name, wrong in {
        "s2": partition.cells[::-1],
        "answers": partition.answers * 100,
        "counts": partition.counts[:-1],
    }.items():
        with pytest.raises(ValueError, match="cells"):
            S2Partition.of_arrays({**partition.to_arrays(), name: wrong})


def test_each_published_mean_lies_in_its_cell(real_data: Path) -> None:
    lines = (real_data / "new" / "cells" / "yfcc_s2_cells_15527.tsv").read_text().split("\n")
    rows = [line.split("\t") for line in lines if line.strip()]
    cells = np.array([of_token(row[0]) for row in rows], np.uint64)
    answers = np.array([[float(row[1]), float(row[2])] for row in rows])
    order = np.argsort(cells)
    partition = S2Partition(cells[order], answers[order], np.ones(len(cells), np.int64))
    assert len(cells) == 15_527
    assert np.array_equal(partition.cell_of(partition.answers), np.arange(len(cells)))
