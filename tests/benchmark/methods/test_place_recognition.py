"""Every method that recognises places: a drawn world is recognised, order changes nothing, odd photos are answered."""

from typing import Any

import numpy as np
import pytest

from benchmark.derivations import predict
from benchmark.methods.place_recognition import best_temperature
from benchmark.methods.registry import METHODS
from benchmark.methods.types import Context, Training
from benchmark.photos import given_photos
from collector.errors import UsageError
from collector.geo import distances_km
from tests.benchmark.local.scenes import blank, training, view, world

pytest.importorskip("cv2")
pytest.importorskip("poselib")
ROWS = ["sift-nbnn", "sift-nbnn+verify", "bow", "bow+ransac", "vlad", "schindler2007"]
SMALL = {"side": 128, "keypoints": 150, "lists": 16, "branching": 12, "words": 8}
PLACES = 5
QUERIES = [(place, camera) for place in range(PLACES) for camera in (7, 8)]
every_row = pytest.mark.parametrize("name", ROWS)


def fitted(name: str, gallery: Training, validation: Training | None = None, **changed: Any) -> Any:
    method = METHODS[name]
    parameters = {**method.parameters, **{k: v for k, v in SMALL.items() if k in method.parameters}, **changed}
    return method.fit(gallery, validation or world(PLACES, (5,)), Context(), **parameters)


@every_row
def test_a_drawn_world_is_recognised(name: str) -> None:
    gallery = world(PLACES)
    queries = given_photos([view(*query) for query in QUERIES])
    predictions = predict(fitted(name, gallery), queries, gallery.label_set, gallery)
    assert predictions.ranking is not None
    assert predictions.places is not None
    assert predictions.probabilities is not None
    first = predictions.ranking.rows[:, 0] // 3
    assert first.tolist() == [place for place, _ in QUERIES]
    assert (np.diff(predictions.ranking.scores) <= 0).all()
    assert all(sorted(rows) == list(range(len(gallery))) for rows in predictions.ranking.rows.tolist())
    truth = np.array([gallery.places[3 * place] for place, _ in QUERIES])
    metres = 1000 * distances_km(truth[:, 0], truth[:, 1], predictions.places.latitude, predictions.places.longitude)
    assert metres.max() < 1
    labels = [gallery.labels[3 * place] for place, _ in QUERIES]
    assert predictions.probabilities.argmax(axis=1).tolist() == labels
    assert (predictions.ranking.inliers is not None) == ("+" in name)
    if predictions.ranking.inliers is not None:
        assert (predictions.ranking.inliers[:, 0] >= 15).all()


@every_row
def test_the_gallery_s_order_changes_nothing(name: str) -> None:
    queries = given_photos([view(*query) for query in QUERIES[::3]])
    order = np.random.default_rng(0).permutation(3 * PLACES)
    plain, shuffled = fitted(name, world(PLACES)), fitted(name, world(PLACES, order=order.tolist()))
    a, b = plain.rank(queries, 7), shuffled.rank(queries, 7)
    assert np.array_equal(a.rows, order[b.rows])
    assert np.array_equal(a.scores, b.scores)
    assert np.array_equal(plain.predict_labels(queries), shuffled.predict_labels(queries))


@every_row
def test_photos_without_keypoints(name: str) -> None:
    gallery = training([view(0, 0), blank(), view(3, 0), view(3, 1)], [0, 1, 3, 3])
    queries = given_photos([blank(), view(3, 5), blank(7, (32, 32))])
    predictions = predict(fitted(name, gallery, gallery), queries, gallery.label_set, gallery)
    assert predictions.ranking is not None
    assert predictions.places is not None
    assert predictions.probabilities is not None
    assert (predictions.ranking.rows[[0, 2]] == -1).all()
    assert set(predictions.ranking.rows[1, :2].tolist()) == {2, 3}
    assert np.isnan(predictions.places.latitude).tolist() == [True, False, True]
    assert predictions.probabilities[0] == pytest.approx([0.5, 0.5])


@every_row
@pytest.mark.parametrize("only", ["one photo", "blank", "one place", "no places"])
def test_odd_galleries(name: str, only: str) -> None:
    pictures = {"one photo": [view(0, 0)], "blank": [blank(), blank()]}.get(only, [view(0, 0), view(0, 1)])
    gallery = training(pictures, [0] * len(pictures))
    if only == "no places":
        gallery.places[:] = np.nan
    predictions = predict(fitted(name, gallery), given_photos([view(0, 3)]), gallery.label_set, gallery)
    assert predictions.probabilities is not None
    assert predictions.probabilities[0, 0] >= 0.5
    assert predict(fitted(name, gallery), given_photos([]), gallery.label_set, gallery).ranking is not None


@every_row
@pytest.mark.parametrize("bad", [{"side": 1}, {"keypoints": 0}, {"ratio": 2.0}, {"verify": -1}])
def test_bad_parameters(name: str, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        fitted(name, world(2, (0,)), **bad)


def test_the_temperature_is_the_likeliest() -> None:
    sharp = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert best_temperature(sharp, np.array([0, 1])) == pytest.approx(1e-3)
    assert best_temperature(sharp, np.array([1, 0])) == pytest.approx(1e2)
    assert best_temperature(np.full((1, 2), np.nan), np.array([0])) == 1
    half = np.repeat(sharp, 2, axis=0)
    assert 0.5 < best_temperature(np.tile(half, (5, 1)), np.tile([0, 0, 1, 0], 5)) < 1.5
