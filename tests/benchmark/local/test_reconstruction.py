"""3-D models against a drawn scene whose points, cameras and places are known."""

import json
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.derivations import predict
from benchmark.local.graph import PhotoGraph
from benchmark.local.keypoints import Features
from benchmark.local.reconstruction import SightModel, ground_of, locate, reconstruct, sizes_of
from benchmark.methods.registry import choose
from benchmark.methods.types import Context
from benchmark.photos import given_photos
from collector.errors import UsageError
from collector.geo import KM_PER_DEGREE
from tests.benchmark.local.scenes import blank, training

SIZE = np.array([640, 480])
CAMERAS = [(-7.0, 0.0, 0.25), (-4.0, 2.0, 0.1), (-1.0, -2.0, 0.0), (3.0, 1.0, -0.1), (6.0, -1.0, -0.25)]
"""Metres east and north, and by how much each is turned to the right, radians."""
QUERY = (1.0, 3.0, 0.0)
POINTS = np.random.default_rng(0).uniform((-12, -4, 15), (12, 4, 28), (90, 3))
WORDS = np.random.default_rng(1).integers(0, 200, (90, 128)).astype(np.uint8)


def seen_from(east: float, north: float, turned: float) -> tuple[Features, NDArray[np.int64]]:
    """Return what a camera sees, errors of a third of a pixel, and which points those are."""
    c, s = np.cos(turned), np.sin(turned)
    there = (POINTS - [east, 0, north]) @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]]).T
    pixels = 700 * there[:, :2] / there[:, 2:] + SIZE / 2
    inside = np.flatnonzero((pixels > 0).all(axis=1) & (pixels < SIZE).all(axis=1))
    points = np.zeros((len(inside), 4), np.float32)
    points[:, :2] = pixels[inside] + np.random.default_rng(int(100 * abs(east))).normal(0, 0.3, (len(inside), 2))
    return Features(WORDS[inside], points), inside


def graph_of(views: list[tuple[Features, NDArray[np.int64]]]) -> PhotoGraph:
    pairs = [(a, b) for a in range(len(views)) for b in range(a + 1, len(views))]
    inliers = [np.stack(np.intersect1d(views[a][1], views[b][1], return_indices=True)[1:], axis=1) for a, b in pairs]
    return PhotoGraph(len(views), np.array(pairs), [of.astype(np.int32) for of in inliers])


def on_map(east: float, north: float) -> tuple[float, float]:
    return 52.2 + north / (1000 * KM_PER_DEGREE), 0.1 + east / (1000 * KM_PER_DEGREE * np.cos(np.radians(52.2)))


def metres(place: Any) -> NDArray[np.float64]:
    latitude, longitude = place
    north, east = latitude - 52.2, (longitude - 0.1) * np.cos(np.radians(52.2))
    return 1000 * KM_PER_DEGREE * np.array([east, north])


PLACES = np.array([on_map(east, north) for east, north, _ in CAMERAS])


def model_of(centres: NDArray[np.float64]) -> SightModel:
    downs = np.tile([0.0, 1.0, 0.0], (len(centres), 1))
    return SightModel(np.arange(len(centres)), centres, downs, np.empty((0, 3)), np.empty((0, 3), np.int64))


def test_a_sight_is_reconstructed_and_a_query_located() -> None:
    pytest.importorskip("pycolmap")
    views = [seen_from(*camera) for camera in CAMERAS]
    features = [of for of, _ in views]
    sizes = np.tile(SIZE, (len(views), 1))
    (model,) = reconstruct(features, graph_of(views), sizes, 3, 0)
    assert model.photos.tolist() == list(range(len(views)))
    ground = ground_of(model, PLACES, 2.0)
    assert ground is not None
    for centre, (east, north, _) in zip(model.centres, CAMERAS, strict=True):
        assert metres(ground.place(centre)) == pytest.approx((east, north), abs=0.2)
    query, which = seen_from(*QUERY)
    point = {int(views[photo][1][feature]): model.points[row] for row, photo, feature in model.seen}
    known = [row for row, number in enumerate(which.tolist()) if number in point]
    pixels = query.points[known, :2].astype(float)
    pixels[:5] += 150  # five that belong elsewhere
    found = locate(pixels, np.array([point[int(which[row])] for row in known]), SIZE, 6.0, 0)
    assert found is not None
    assert metres(ground.place(found[0])) == pytest.approx(QUERY[:2], abs=0.2)
    assert found[1].sum() >= 40  # of 55: the focal length is only guessed when they are counted
    assert not found[1][:5].any()
    assert locate(pixels[:3], np.zeros((3, 3)), SIZE, 6.0, 0) is None
    assert reconstruct(features, graph_of(views), sizes, 6, 0) == []


def test_a_turned_and_scaled_world_lies_on_the_map_and_a_wrong_place_is_left_out() -> None:
    flat = np.array([(x, 0.0, z) for x, z, _ in CAMERAS])
    turn = np.array([[0.6, 0, -0.8], [0, 1, 0], [0.8, 0, 0.6]])
    model = model_of(0.3 * flat @ turn.T + [5, 1, 2])
    wrong = PLACES.copy()
    wrong[2] = on_map(300, 300)
    ground = ground_of(model, wrong, 2.0)
    assert ground is not None
    assert metres(ground.place(model.centres[2])) == pytest.approx(CAMERAS[2][:2], abs=1e-6)


def test_what_does_not_lie_on_the_map() -> None:
    model = model_of(np.array([(x, 0.0, z) for x, z, _ in CAMERAS]))
    assert ground_of(model, np.full((5, 2), np.nan), 2.0) is None
    assert ground_of(model, np.tile(PLACES[:1], (5, 1)), 2.0) is None
    assert ground_of(model_of(np.zeros((5, 3))), PLACES, 2.0) is None


def test_sizes_are_those_that_keypoints_are_found_at() -> None:
    shapes = np.array([(960, 1280), (100, 80), (480, 8000), (32, 32)])
    assert sizes_of(shapes, 480).tolist() == [[640, 480], [80, 100], [1920, 115], [32, 32]]


def test_the_method_answers_with_the_camera_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycolmap")
    pytest.importorskip("poselib")
    known = {f"drawn:{row}": seen_from(*camera)[0] for row, camera in enumerate(CAMERAS)}
    known |= {"given:0": seen_from(*QUERY)[0], "given:1": Features(WORDS[:0], np.empty((0, 4), np.float32))}
    monkeypatch.setattr(
        "benchmark.methods.place_recognition.extract_features", lambda photos, _: [known[one] for one in photos.ids]
    )
    pictures = [blank(row, (640, 480)) for row in range(len(CAMERAS))]
    gallery = training(pictures, [0] * len(CAMERAS), labels=[0, 0, 1, 1, 1])
    gallery.places[:] = PLACES
    method = choose(["li2010-sfm"])[0]
    fitted: Any = method.fit(gallery, gallery, Context(), **{**method.parameters, "enough": 4, "within_m": 2.0})
    queries = given_photos([blank(99, (640, 480)), blank(98, (640, 480))])
    answer = predict(fitted, queries, gallery.label_set, gallery)
    assert answer.places is not None
    assert metres((answer.places.latitude[0], answer.places.longitude[0])) == pytest.approx(QUERY[:2], abs=0.3)
    assert np.isnan(answer.places.latitude[1])
    facts = json.loads(fitted.files()["reconstruction.json"])
    assert facts["share"] == 1
    assert [model["on_map"] for model in facts["models"]] == [True]
    own = fitted.excluding(np.array([7, 8]), np.array([-1, -1]))
    assert metres((own.predict_places(queries).latitude[0], 0.1))[1] == pytest.approx(QUERY[1], abs=0.3)


@pytest.mark.parametrize("bad", [{"enough": 2}, {"pose_inliers": 3}, {"pose_pixels": 0.0}, {"within_m": -1.0}])
def test_bad_parameters(bad: dict[str, Any]) -> None:
    method = choose(["li2010-sfm"])[0]
    gallery = training([blank()], [0])
    with pytest.raises(UsageError, match=f"{next(iter(bad))}="):
        method.fit(gallery, gallery, Context(), **{**method.parameters, **bad})


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(UsageError, match=r"t15\[sfm\]"):
        reconstruct([], PhotoGraph(0, np.empty((0, 2), np.int64), []), np.empty((0, 2), np.int64), 3, 0)
