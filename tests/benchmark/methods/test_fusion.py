"""Fusion of methods: weights against a search by hand, what it answers, what it is kept as; and oracles."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.methods.fusion import Fusion, fitted_weights, fusion_of, logs_of, pooled
from benchmark.methods.oracle import ORACLES
from benchmark.methods.registry import choose, listed
from benchmark.methods.types import Context, Method, Predictor
from benchmark.models import build, model_of
from benchmark.photos import Photos
from benchmark.planning import plan
from benchmark.predictions import Predictions
from benchmark.results import finished_runs, read_predictions
from benchmark.runner import bench
from collector.errors import DataError, UsageError
from collector.geo import distances_km
from tests.benchmark.conftest import World, method
from tests.benchmark.methods.test_places import CENTRES, bare, ordinary, variant


def drawn(count: int = 200, members: int = 3, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return log-probabilities (M, N, 4) of members that know more, less and nothing, and the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    scores = random.normal(size=(members, count, 4))
    for member in range(members):
        scores[member, np.arange(count), labels] += 1.5 * (members - 1 - member)
    return scores - np.log(np.exp(scores).sum(axis=2, keepdims=True)), labels


def surprise(logs: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    return float(-pooled(logs, weights)[np.arange(len(labels)), labels].mean())


def test_weights_are_the_best_that_a_search_finds() -> None:
    logs, labels = drawn()
    weights = fitted_weights(logs, labels)
    best = surprise(logs, labels, weights)
    random = np.random.default_rng(1)
    for _ in range(300):
        near = np.maximum(weights + random.normal(scale=0.2, size=3), 0)
        assert surprise(logs, labels, near) >= best - 1e-9
    for alone in np.eye(3):
        assert surprise(logs, labels, alone) > best
    assert weights[0] > weights[1] > weights[2]
    assert np.allclose(np.exp(pooled(logs, weights)).sum(axis=1), 1)


def test_a_member_that_says_something_else_gets_little() -> None:
    logs, labels = drawn(members=2)
    wrong = np.roll(logs[:1], 1, axis=2)
    assert fitted_weights(np.concatenate([logs[:1], wrong]), labels)[1] < 0.15
    assert fitted_weights(logs[:, :0], labels[:0]).tolist() == [0.5, 0.5]


def test_certainty_and_silence_are_no_veto() -> None:
    sure = Predictions(np.array([[1, 0], [np.nan, np.nan]], np.float32))
    assert np.allclose(np.exp(logs_of([sure], 2, 0.1))[0], [[0.95, 0.05], [0.5, 0.5]])
    with pytest.raises(DataError, match="nothing that labels follow from"):
        logs_of([Predictions()], 2, 0.1)


MEMBERS = ("im2gps-tiny+1nn", "cells:tiny")


def fused(*members: str) -> Method:
    return fusion_of([variant(name) for name in members], "fusion:" + ",".join(members))


def test_it_answers_with_labels_and_places_and_is_kept() -> None:
    training, validation, test = ordinary(30, 0, "train"), ordinary(12, 1, "val"), ordinary(12, 2, "test")
    one = fused(*MEMBERS)
    predictor: Any = one.fit(training, validation, Context(), **one.parameters)
    assert isinstance(predictor, Fusion)
    assert (predictor.predict_labels(bare(test)).argmax(axis=1) == test.labels).mean() > 0.9
    places = predictor.predict_places(bare(test))
    assert np.median(distances_km(places.latitude, places.longitude, *test.places.T)) < 30
    labels = predictor.labels.holding(np.stack([places.latitude, places.longitude], axis=1))
    assert np.array_equal(labels, predictor.predict_labels(bare(test)).argmax(axis=1))
    assert all(name in predictor.files()["fusion.json"].decode() for name in MEMBERS)
    model = model_of(predictor, training.classes, {}, {})
    assert model is not None
    again: Any = build(model, "cpu", "it")
    assert np.allclose(again.predict_labels(bare(test)), predictor.predict_labels(bare(test)), atol=1e-6)
    assert np.allclose(again.predict_places(bare(test)).latitude, places.latitude)
    nested = {**model.spec, "members": [{**model.spec["members"][0], "kind": "fusion"}]}
    for broken in ({}, {**model.spec, "placing": [7]}, {**model.spec, "floor": 2.0}, nested):
        with pytest.raises(DataError, match="export it again"):
            build(replace(model, spec=broken), "cpu", "it")


class Labels:
    """Answers with labels alone, and cannot be kept."""

    def predict_labels(self, photos: Photos) -> NDArray[np.float32]:
        return np.tile(np.array([0.2, 0.7, 0.1], np.float32), (len(photos), 1))


def test_where_no_member_has_a_place_the_centre_answers() -> None:
    labels = method("labels", lambda *_, **__: Labels())
    one = fusion_of([labels, replace(labels, name="again")], "fusion:labels,again")
    predictor: Any = one.fit(ordinary(9, 0, "train"), ordinary(6, 1, "val"), Context(), **one.parameters)
    places = predictor.predict_places(bare(ordinary(3, 2, "test")))
    assert np.allclose(
        np.stack([places.latitude, places.longitude], 1),
        CENTRES[predictor.predict_labels(bare(ordinary(3, 2, "test"))).argmax(axis=1)],
    )
    assert predictor.placing == ()
    assert model_of(predictor, ("a", "b", "c"), {}, {}) is None


def test_it_takes_what_is_finished_and_fits_what_is_not() -> None:
    asked: list[str] = []

    def finished(of: Method) -> Predictor | None:
        asked.append(of.name)
        return Labels() if of.name == "im2gps-tiny+1nn" else None

    one = fused("cells:tiny", "im2gps-tiny+1nn")
    context = Context(finished=finished)
    predictor: Any = one.fit(ordinary(12, 0, "train"), ordinary(6, 1, "val"), context, **one.parameters)
    assert asked == ["cells:tiny", "im2gps-tiny+1nn"]
    assert [type(member).__name__ for member in predictor.members] == ["Placing", "Labels"]


def test_its_name_names_its_members() -> None:
    (one,) = choose(["fusion:cells:hog,vmf:resnet18/places365,features:resnet50/imagenet"])
    assert one.backbone == "resnet18/places365+resnet50/imagenet"
    assert one.needs == {"places"}
    assert "Places365, ImageNet" in one.pretraining
    assert one.titled(one.parameters).startswith("Fusion of cells:hog, vmf:")
    assert [found.name for found in choose(["fusion"])] == ["fusion"]
    for name in (
        "fusion:cells:hog",
        "fusion:cells:hog,cells:hog",
        "fusion:fusion,cells:hog",
        "fusion:oracle:labels,cells:hog",
    ):
        with pytest.raises(UsageError, match="fusion"):
            choose([name])
    with pytest.raises(UsageError, match="no method 'nothing'"):
        choose(["fusion:cells:hog,nothing"])
    newer = replace(variant("cells:tiny"), version="later")
    first, second = (fusion_of([of, variant("vmf:tiny")], "x").version for of in (variant("cells:tiny"), newer))
    assert first != second  # a member's new version is a new run


def test_networks_weights_go_to_the_members_that_they_are_of() -> None:
    import torch

    from benchmark.methods.fusion import weights_of

    methods = choose(["cells:hog", "vmf:resnet18/places365", "features:resnet50/imagenet"])
    weights = {"0.a": torch.zeros(1), "1.a": torch.ones(1), "1.b": torch.ones(2)}
    context = Context(weights=weights, weights_digest="one+two")
    parts = {of.name: weights_of(of, methods, context) for of in methods}
    assert parts["cells:hog"] == (None, None)
    assert (list(parts["vmf:resnet18/places365"][0] or ()), parts["vmf:resnet18/places365"][1]) in (
        (["a"], "one"),
        (["a", "b"], "two"),
    )
    assert {part[1] for part in parts.values()} == {None, "one", "two"}
    (alone,) = choose(["vmf:resnet18/places365"])
    assert weights_of(alone, [alone], context) == (weights, "one+two")


def test_a_bench_fuses_the_runs_that_it_has(world: World) -> None:
    (tiny,), (hog,) = choose(["tiny-64+logreg@modern"]), choose(["hog-32+logreg@modern"])
    one = fusion_of([tiny, hog], "fusion:tiny,hog")
    tasks = plan(world.manifest, [tiny, one], [0], "smoke", models="all")
    states = [outcome.state for outcome in bench(world.manifest, world.workspace, tasks, "cpu")]
    assert states == ["done", "done"]
    runs = {run.inputs.method: run for run in finished_runs(world.workspace.runs, world.manifest.digest)}
    folder = world.workspace.runs / runs["fusion:tiny,hog"].inputs.identity
    assert (folder / "fusion.json").is_file()
    assert (folder / "model.safetensors").is_file()
    log = (world.workspace.runs / "logs" / f"{runs['fusion:tiny,hog'].inputs.identity}.log").read_text("utf-8")
    assert f"tiny-64+logreg@modern: taken from run {runs['tiny-64+logreg@modern'].inputs.identity}" in log
    assert "fitting hog-32+logreg@modern" in log


def test_oracles_know_the_answer_and_are_run_by_name_only(world: World) -> None:
    assert {one.name for one in ORACLES} <= set(listed())
    assert not {one.name for one in ORACLES} & {one.name for one in choose(["*"])}
    tasks = plan(world.manifest, choose(["oracle:labels"]), [0], "paper", models="all")
    (outcome,) = bench(world.manifest, world.workspace, tasks, "cpu")
    assert outcome.state == "done", outcome.reason
    (run,) = finished_runs(world.workspace.runs, world.manifest.digest)
    assert run.selection == "oracle"
    probabilities = read_predictions(world.workspace.runs, run).probabilities
    truth = [run.classes.index(photo.city) for photo in sorted(world.manifest.photos("test"), key=lambda p: p.photo_id)]
    assert probabilities.argmax(axis=1).tolist() == truth


def test_no_cell_is_nearer_than_the_oracles() -> None:
    (_, cells), training, test = ORACLES, ordinary(40, 0, "train"), ordinary(12, 2, "test")
    oracle: Any = cells.fit(training, training, Context(), **cells.parameters)
    places = oracle.predict_places(test)
    km = distances_km(places.latitude, places.longitude, *test.places.T)
    for answer in oracle.cells.answers:
        assert (distances_km(*answer, *test.places.T) >= km - 1e-9).all()
    nowhere = replace(test, places=np.full((12, 2), np.nan))
    assert np.isnan(oracle.predict_places(nowhere).latitude).all()
    with pytest.raises(UsageError, match="told the truth"):
        oracle.predict_places(bare(test))
