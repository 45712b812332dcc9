"""Every method that recognises places: a drawn world is recognised, order changes nothing, odd photos are answered."""

import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmark.derivations import predict
from benchmark.local import keypoints
from benchmark.methods.place_recognition import best_temperature
from benchmark.methods.registry import choose
from benchmark.methods.types import Context, Training
from benchmark.networks.backbones import backbones, find_backbone
from benchmark.networks.published_weights import fitted as fitted_state
from benchmark.networks.published_weights import read_checkpoint
from benchmark.photos import given_photos
from benchmark.planning import plan
from benchmark.predicting.exporting import trained_model
from benchmark.results import finished_runs
from benchmark.runner import bench
from collector.errors import UsageError
from collector.geo import distances_km
from tests.benchmark.conftest import World, make_world
from tests.benchmark.local.scenes import blank, training, view, world

pytest.importorskip("cv2")
pytest.importorskip("poselib")
LOCAL = ["sift-nbnn", "sift-nbnn+verify", "bow", "bow+ransac", "vlad", "schindler2007", "li2010", "cao2013", "qian2015"]
LOCAL += ["li2010-sfm"] if find_spec("pycolmap") else []
ROWS = [*LOCAL, "retrieval:gist-lear-64+verify"]
VERIFIED = {"sift-nbnn+verify", "bow+ransac", "li2010", "li2010-sfm", "retrieval:gist-lear-64+verify"}
SMALL = {"side": 128, "keypoints": 150, "lists": 16, "branching": 12, "words": 8}
PLACES = 4
QUERIES = [(place, camera) for place in range(PLACES) for camera in (7, 8)]
every_row = pytest.mark.parametrize("name", ROWS)


@pytest.fixture(scope="module", autouse=True)
def _each_photo_once() -> Iterator[None]:
    """Keypoints of a picture are found once for all tests of this file."""
    known: dict[tuple[bytes, keypoints.Sift], keypoints.Features] = {}
    find = keypoints.rootsift

    def once(picture: np.ndarray, front_end: keypoints.Sift) -> keypoints.Features:
        key = (repr(picture.shape).encode() + picture.tobytes(), front_end)
        if key not in known:
            known[key] = find(picture, front_end)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keypoints, "rootsift", once)
        yield


def fitted(name: str, gallery: Training, validation: Training | None = None, **changed: Any) -> Any:
    method = choose([name])[0]
    parameters = {**method.parameters, **{k: v for k, v in SMALL.items() if k in method.parameters}, **changed}
    return method.fit(gallery, validation or world(2, (5,)), Context(), **parameters)


@cache
def fitted_to_the_world(name: str) -> Any:
    """Return a row fitted to all places: a fit changes nothing of itself when it is asked, and takes seconds."""
    return fitted(name, world(PLACES))


@every_row
def test_a_drawn_world_is_recognised(name: str) -> None:
    gallery = world(PLACES)
    queries = given_photos([view(*query) for query in QUERIES])
    predictions = predict(fitted_to_the_world(name), queries, gallery.label_set, gallery)
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
    assert (predictions.ranking.inliers is not None) == (name in VERIFIED)
    if predictions.ranking.inliers is not None:
        assert (predictions.ranking.inliers[:, 0] >= 15).all()


@every_row
def test_the_gallery_s_order_changes_nothing(name: str) -> None:
    queries = given_photos([view(*query) for query in QUERIES[::3]])
    order = np.random.default_rng(0).permutation(3 * PLACES)
    plain, shuffled = fitted_to_the_world(name), fitted(name, world(PLACES, order=order.tolist()))
    a, b = plain.rank(queries, 7), shuffled.rank(queries, 7)
    assert np.array_equal(a.rows, order[b.rows])
    assert np.array_equal(a.scores, b.scores)
    assert np.array_equal(plain.predict_labels(queries), shuffled.predict_labels(queries))


@every_row
def test_threads_change_nothing(name: str) -> None:
    import faiss

    gallery, queries = world(2), given_photos([view(1, 7)])
    before, answers = faiss.omp_get_max_threads(), []
    try:
        for threads in (1, 2):
            faiss.omp_set_num_threads(threads)
            with threadpool_limits(threads):
                one = fitted(name, gallery)
                answers.append((one.rank(queries, 6), one.predict_labels(queries)))
    finally:
        faiss.omp_set_num_threads(before)
    (a, labels), (b, others) = answers
    assert np.array_equal(a.rows, b.rows)
    assert np.array_equal(a.scores, b.scores)
    assert np.array_equal(labels, others)


MATCHERS = {
    "xfeat-match": "xfeat",
    "aliked-n16-match": "aliked_n16",
    "aliked-t16-match": "aliked_t16",
    "disk-match": "disk_depth",
}


def matcher(name: str, gallery: Training, file: Path | None) -> Any:
    method = choose([name])[0]
    context = Context()
    if file:
        shapes = find_backbone(method.backbone).build(0).state_dict()
        context = Context(weights=fitted_state(read_checkpoint(file), shapes, name), weights_digest="real")
    return method.fit(gallery, gallery, context, **{**method.parameters, "side": 128, "keypoints": 150, "words": 8})


@pytest.mark.parametrize("name", MATCHERS)
def test_networks_recognise_a_drawn_world(name: str, real_data: Path) -> None:
    gallery = world(3, (0,))
    fitted_one = matcher(name, gallery, real_data / "new" / "weights" / f"{MATCHERS[name]}.pth")
    queries = given_photos([view(place, 7) for place in (2, 0)])
    predictions = predict(fitted_one, queries, gallery.label_set, gallery)
    assert predictions.ranking is not None
    assert predictions.ranking.inliers is not None
    assert predictions.ranking.rows[:, 0].tolist() == [2, 0]
    assert (predictions.ranking.inliers[:, 0] >= 15).all()


@pytest.mark.parametrize("name", MATCHERS)
def test_networks_answer_odd_photos(name: str) -> None:
    """Random weights: nothing, tiny, long, and a gallery of one photo."""
    queries = given_photos([blank(), view(0, 7).resize((32, 32)), view(2, 7).resize((4000, 64))])
    for gallery in (training([view(0, 0)], [0]), training([blank(), view(0, 0)], [0, 0])):
        predictions = predict(matcher(name, gallery, None), queries, gallery.label_set, gallery)
        assert predictions.probabilities is not None
        assert np.isfinite(predictions.probabilities).all()


@pytest.mark.parametrize("name", LOCAL)
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
    method = fitted(name, gallery)
    predictions = predict(method, given_photos([view(0, 3)]), gallery.label_set, gallery)
    assert predictions.probabilities is not None
    assert predictions.probabilities[0, 0] >= 0.5
    assert predict(method, given_photos([]), gallery.label_set, gallery).ranking is not None


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("bad", [{"side": 1}, {"keypoints": 0}, {"ratio": 2.0}, {"verify": -1}])
def test_bad_parameters(name: str, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        fitted(name, world(2, (0,)), **bad)


def test_a_query_without_keypoints_keeps_what_its_vector_says() -> None:
    gallery = training([view(0, 0), blank(200), view(3, 0)], [0, 1, 3])
    ranking = fitted("retrieval:tiny-64+verify", gallery, gallery).rank(given_photos([blank(200)]), 3)
    assert ranking.rows[0, 0] == 1
    assert ranking.inliers is not None
    assert ranking.inliers.tolist() == [[0, 0, 0]]


def test_a_network_s_vectors_rank() -> None:
    method = choose(["retrieval:squeezenet1_1/imagenet"])[0] if "squeezenet1_1/imagenet" in backbones() else None
    method = method or choose(["retrieval:resnet18/imagenet"])[0]
    gallery = world(3, (0, 1))
    parameters = {**method.parameters, "size": 64}
    fitted_one: Any = method.fit(gallery, world(3, (5,)), Context(), **parameters)
    ranking = fitted_one.rank(gallery, 2)
    assert ranking.rows[:, 0].tolist() == list(range(6))
    assert ranking.inliers is None
    assert method.pretraining != "none"


def test_poolings_of_a_network() -> None:
    """Generalised means (power 3) are at least the means, which are those of the map; lengths are 1 again when compared."""
    from benchmark.features.vectors import Tower

    methods = {pooling: choose([f"retrieval:resnet18/imagenet@{pooling}"])[0] for pooling in ("mean", "gem")}
    gallery = world(2, (0,))
    fits: dict[str, Any] = {
        pooling: method.fit(gallery, gallery, Context(), **{**method.parameters, "size": 64})
        for pooling, method in methods.items()
    }
    mean, gem = (fits[pooling].scorer.embed(gallery) for pooling in ("mean", "gem"))
    assert mean.shape == gem.shape == (2, 512)
    assert (gem >= mean - 1e-6).all()
    assert not np.allclose(gem, mean)
    tower = fits["gem"].scorer.embed.__self__
    assert isinstance(tower, Tower)
    assert tower.pooling == "gem"
    assert "generalised means" in methods["gem"].title
    assert choose(["retrieval:resnet18/imagenet@gem+verify"])[0].parameters["verify"] == 20
    for name in ("retrieval:resnet18/imagenet@cls", "retrieval:resnet18/imagenet@", "retrieval:gist-lear-64@gem"):
        with pytest.raises(UsageError, match="no method"):
            choose([name])


@pytest.mark.parametrize("name", ["retrieval:no-such", "retrieval:hog-l1", "retrieval:hog-l1-64+ransac", "retrieval:"])
def test_no_such_retrieval(name: str) -> None:
    with pytest.raises(UsageError, match="no method"):
        choose([name])


def test_why_there_is_no_model_is_told(world_on_disk: World) -> None:
    manifest, workspace = world_on_disk.manifest, world_on_disk.workspace
    tasks = plan(manifest, choose(["bow"]), [0], "smoke")
    assert [outcome.state for outcome in bench(manifest, workspace, tasks, "cpu")] == ["done"]
    (run,) = finished_runs(workspace.runs, manifest.digest)
    with pytest.raises(UsageError, match="no model to export: its model would be the gallery itself"):
        trained_model(run, manifest, workspace, "cpu", neighbours=False)
    assert all(choose([name])[0].unkept for name in (*ROWS, "xfeat-match"))


@pytest.mark.parametrize("name", ["sift-nbnn", "bow", "vlad", "schindler2007", "li2010", "cao2013", "qian2015"])
def test_odd_queries(name: str) -> None:
    """Turned by 90°, tiny, a bounded panorama, a watermark: an answer to each, and the place but of the tiny and the long.

    `qian2015` asks how words stand to each other, and GIST knows up from down: it does not see what was turned.
    """
    gallery = world(3)
    marked = view(1, 7)
    marked.paste((255, 255, 255), (0, 110, 128, 128))
    panorama = view(2, 7).resize((8000, 128))
    queries = given_photos([view(0, 7).rotate(90), view(0, 7).resize((32, 32)), panorama, marked])
    predictions = predict(fitted(name, gallery), queries, gallery.label_set, gallery)
    assert predictions.ranking is not None
    assert predictions.probabilities is not None
    assert np.isfinite(predictions.probabilities).all()
    assert name == "qian2015" or predictions.ranking.rows[0, 0] // 3 == 0
    assert predictions.ranking.rows[3, 0] // 3 == 1


def test_the_temperature_is_the_likeliest() -> None:
    sharp = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert best_temperature(sharp, np.array([0, 1])) == pytest.approx(1e-3)
    assert best_temperature(sharp, np.array([1, 0])) == pytest.approx(1e2)
    assert best_temperature(np.full((1, 2), np.nan), np.array([0])) == 1
    half = np.repeat(sharp, 2, axis=0)
    assert 0.5 < best_temperature(np.tile(half, (5, 1)), np.tile([0, 0, 1, 0], 5)) < 1.5


def test_the_benchmark_runs_them(world_on_disk: World) -> None:
    """Photos of noise without places: labels are answered, whatever they are, and nothing fails."""
    manifest, workspace = world_on_disk.manifest, world_on_disk.workspace
    tasks = plan(manifest, choose(["sift-nbnn+verify", "bow", "retrieval:gist-lear-64+verify"]), [0], "smoke")
    outcomes = list(bench(manifest, workspace, tasks, "cpu"))
    assert [(outcome.state, outcome.reason) for outcome in outcomes] == [("done", "")] * 3
    lacking = plan(manifest, choose(["schindler2007"]), [0], "smoke")
    assert [outcome.state for outcome in bench(manifest, workspace, lacking, "cpu")] == ["missing"]


@pytest.mark.parametrize("module", ["cv2", "poselib"])
def test_a_missing_extra_is_named(world_on_disk: World, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    tasks = plan(world_on_disk.manifest, choose(["bow+ransac"]), [0], "smoke")
    (outcome,) = bench(world_on_disk.manifest, world_on_disk.workspace, tasks, "cpu")
    assert outcome.reason.endswith(f"this needs {module}, of the extra local: pip install 't15[local]'")
    assert "\n" not in outcome.reason


@pytest.fixture
def world_on_disk(tmp_path: Path) -> World:
    return make_world(tmp_path)
