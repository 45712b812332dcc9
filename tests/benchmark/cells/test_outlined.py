"""Labels as cells, what partitions cut out of each other, and what a run keeps of them."""

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import s2sphere
from numpy.typing import NDArray

from benchmark.cells.drawing import files_of, to_geojson
from benchmark.cells.grow import GROWN, grown, load_partition
from benchmark.cells.intersections import intersections
from benchmark.cells.outlined import OutlinedPartition, inside, outlined
from benchmark.cells.partition import Partition, Thresholds, prefixed
from benchmark.cells.s2 import s2_partition
from collector.errors import DataError, UsageError
from collector.geo import distance_km, mean_place
from collector.records import Label
from tests.benchmark.cells.test_s2 import world

Corners = tuple[tuple[float, float], ...]

SQUARE: Corners = ((40.0, 28.0), (40.0, 30.0), (42.0, 30.0), (42.0, 28.0))
BENT: Corners = ((0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (4.0, 3.0), (1.0, 3.0), (1.0, 0.0))
AT_THE_DATE_LINE: Corners = ((-1.0, 179.0), (-1.0, -179.0), (1.0, -179.0), (1.0, 179.0))


def label(
    name: str, level: str, at: tuple[float, float], radius: float = 30.0, polygon: Corners | None = None
) -> Label:
    return Label(name, name, {}, level, None, *at, radius, polygon)


def ray(polygon: Corners, latitude: float, longitude: float) -> bool:
    """Return whether a place is inside, edge by edge as the textbooks have it."""
    odd = False
    for (y0, x0), (y1, x1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y0 > latitude) != (y1 > latitude) and longitude < x0 + (latitude - y0) * (x1 - x0) / (y1 - y0):
            odd = not odd
    return odd


@pytest.mark.parametrize("polygon", [SQUARE, BENT])
def test_inside_is_the_even_odd_rule(polygon: Corners) -> None:
    random = np.random.default_rng(0)
    corners = np.array(polygon)
    places = random.uniform(corners.min(axis=0) - 1, corners.max(axis=0) + 1, (400, 2))
    assert inside(corners, places).tolist() == [ray(polygon, *place) for place in places.tolist()]
    turned = places + np.array([0.0, 360.0])
    assert np.array_equal(inside(corners, turned), inside(corners, places))


def test_an_outline_may_cross_the_date_line() -> None:
    corners = np.array(AT_THE_DATE_LINE)
    places = np.array([[0, 180.0], [0, -180.0], [0, -179.5], [0, 179.5], [0, 178.0], [0, -178.0], [0, 0], [np.nan] * 2])
    assert inside(corners, places).tolist() == [True, True, True, True, False, False, False, False]
    assert not inside(corners[:2], places).any()


LABELS = (
    label("country", "country", (41.0, 29.0), 500.0),
    label("square", "city", (41.0, 29.0), polygon=SQUARE),
    label("a", "district", (41.0, 29.0), 20.0),
    label("b", "district", (41.0, 29.3), 20.0),
    label("empty", "district", (-30.0, 0.0)),
)


def places_of_labels() -> NDArray[np.float64]:
    near = [[41.0, 29.0], [41.01, 29.0], [41.0, 29.29], [41.0, 29.14]]
    return np.array([*near, [41.0, 29.16], [40.1, 28.1], [43.0, 29.0], [80.0, 0.0], [np.nan, np.nan]])


def test_the_finest_label_decides_and_of_equal_ones_the_nearest() -> None:
    partition = outlined(places_of_labels(), LABELS, Thresholds(1))
    of = partition.cell_of(places_of_labels())
    assert of.tolist() == [2, 2, 3, 2, 3, 1, 0, -1, -1]
    assert partition.counts.tolist() == [1, 1, 3, 2]  # the empty one is left out
    for cell, answer in enumerate(partition.answers):
        assert np.allclose(answer, mean_place(places_of_labels()[of == cell]))
    again = OutlinedPartition.of_arrays(partition.to_arrays())
    assert np.array_equal(again.cell_of(places_of_labels()), of)


def test_coarser_partitions_leave_the_finest_levels_out() -> None:
    places = places_of_labels()
    assert [len(outlined(places, LABELS, Thresholds(1), above).counts) for above in range(4)] == [4, 2, 1, 1]


def test_what_a_label_that_is_left_out_held_goes_to_the_next() -> None:
    partition = outlined(places_of_labels(), LABELS, Thresholds(1, 3))
    assert partition.counts.tolist() == [4]  # district a alone held three; one of b's two is within its radius
    with pytest.raises(DataError, match="9 photos or more"):
        outlined(places_of_labels(), LABELS, Thresholds(1, 9))


@pytest.mark.parametrize(
    ("name", "wrong"), [("ends", np.array([4, 2, 2, 4])), ("corners", np.full((4, 2), np.nan)), ("ranks", np.zeros(1))]
)
def test_damaged_labels_are_refused(name: str, wrong: NDArray[np.float64]) -> None:
    arrays = outlined(places_of_labels(), LABELS, Thresholds(1)).to_arrays()
    with pytest.raises(ValueError, match="labels"):
        OutlinedPartition.of_arrays({**arrays, name: wrong})


def test_intersections_are_what_several_partitions_have_in_common() -> None:
    places = world(1500)
    parts = [GROWN[split](places, Thresholds(300, 10)) for split in ("s2", "quadtree", "median")]
    cut = intersections(parts, places, Thresholds(1, 3))
    wanted = list(zip(*(part.cell_of(places).tolist() for part in parts), strict=True))
    tuples = [tuple(row) for row in cut.tuples.tolist()]
    assert len(tuples) > max(len(part.counts) for part in parts)
    assert [tuples.index(one) if one in tuples else -1 for one in wanted] == cut.cell_of(places).tolist()
    assert cut.counts.min() >= 3
    assert cut.counts.tolist() == [wanted.count(one) for one in tuples]
    assert cut.cell_of(np.array([[np.nan, np.nan]])).tolist() == [-1]


def every_kind(places: NDArray[np.float64]) -> list[Partition]:
    parts = [grown(split, places, LABELS, 30, 2.0, 0.1) for split in (*GROWN, "labels")]
    return [*parts, intersections(parts[:2], places, Thresholds(1))]


def test_cells_hold_their_answers_inside_their_outlines() -> None:
    random = np.random.default_rng(0)
    places = random.normal([41.0, 29.1], 0.2, (600, 2))
    for partition in every_kind(places)[:-1]:
        of, outlines = partition.cell_of(places), partition.outlines()
        held = [inside(outline, places[of == cell]) for cell, outline in enumerate(outlines)]
        assert np.concatenate(held).mean() > 0.98  # borders belong to one side, and those of S2 cells are bent on a map


def test_s2_corners_are_those_of_the_s2_library() -> None:
    partition = s2_partition(world(2000), Thresholds(60, 2))
    for cell, outline in zip(partition.cells.tolist(), partition.outlines(), strict=True):
        one = s2sphere.Cell(s2sphere.CellId(cell))
        for number in range(4):
            at = s2sphere.LatLng.from_point(one.get_vertex(number))
            assert distance_km(at.lat().degrees, at.lng().degrees, *outline[4 * number]) < 1e-6


def test_a_run_keeps_cells_as_geojson_and_as_a_picture() -> None:
    places = np.random.default_rng(0).normal([41.0, 29.1], 0.2, (300, 2))
    partitions = every_kind(places)
    data = json.loads(to_geojson(partitions))
    assert len(data["features"]) == sum(len(one.counts) for one in partitions)
    for feature in data["features"]:
        geometry = feature["geometry"]
        if geometry["type"] == "Polygon":
            (ring,) = geometry["coordinates"]
            assert ring[0] == ring[-1]
        else:
            assert feature["properties"]["partition"] == len(partitions) - 1
    for partition in partitions:
        files = files_of([partition])
        picture = ET.fromstring(files["cells.svg"])  # noqa: S314 - our own
        assert len(picture.findall(".//{*}circle")) == len(partition.counts)
        assert picture.findall(".//{*}path")


def test_every_kind_is_saved_as_plain_arrays() -> None:
    places = np.random.default_rng(0).normal([41.0, 29.1], 0.2, (300, 2))
    parts = [grown(split, places, LABELS, 30, 2.0, 0.1) for split in (*GROWN, "labels")]
    arrays = prefixed(parts)
    for number, part in enumerate(parts):
        again = load_partition(arrays, f"cells-{number}-")
        assert type(again) is type(part)
        assert np.array_equal(again.cell_of(places), part.cell_of(places))
    with pytest.raises(UsageError, match="split is one of s2, quadtree, median, labels"):
        grown("hexagons", places, LABELS, 30, 2.0, 0.1)
