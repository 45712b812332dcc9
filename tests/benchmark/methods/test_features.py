"""Methods of a feature and a classifier: what they compute from whom, and what validation chooses."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from benchmark.classifiers import knn, logistic
from benchmark.features.extract import extract
from benchmark.methods import features
from benchmark.methods.features import (
    FEATURES,
    feature,
    feature_seconds,
    fit_knn,
    fit_logistic,
    fit_modern_knn,
    fit_modern_logistic,
    logistic_seconds,
)
from benchmark.methods.training import training_photos
from benchmark.methods.types import Context, Training
from benchmark.photos import Photos, WorkspacePhotos, photos_of
from collector.errors import UsageError
from tests.benchmark.conftest import World, make_world

Floats = NDArray[np.float32]

WIDTHS = {"tiny": 3 * 32 * 32, "hog-l1": 324, "hog-l2hys": 324, "gist-lear": 960, "gist-labelme": 512} | {
    "im2gps-tiny": 3 * 32 * 32,
    "im2gps-colour": 784,
    "im2gps-lines": 34,
    "im2gps-gist": 675,
    "im2gps-layout": 192,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("described"), quotas={"train": 4, "val": 3, "test": 2})


@pytest.fixture(scope="module")
def sides(small: World) -> tuple[Training, Training]:
    train, validation = (
        training_photos(small.manifest, side, WorkspacePhotos(small.workspace)) for side in ("train", "val")
    )
    return train, validation


@pytest.fixture(scope="module")
def unseen(small: World) -> Photos:
    return photos_of(small.manifest, "test", WorkspacePhotos(small.workspace))


Sides = tuple[Training, Training]
Fit = Callable[..., features.Described]

TINY: dict[str, Any] = {"feature_kind": "tiny", "size": 8}
FITS: dict[str, tuple[Fit, dict[str, Any]]] = {
    "knn": (fit_knn, {"k": 3}),
    "logistic": (fit_logistic, {"solver": "multinomial", "c": 1.0, "iterations": 30}),
    "logistic of 2018": (fit_logistic, {"solver": "liblinear-2018", "c": 1.0, "iterations": 30}),
    "modern knn": (fit_modern_knn, {"ks": "1,3,11"}),
    "modern logistic": (fit_modern_logistic, {"iterations": 30, "cs": "0.01,1"}),
}


@pytest.mark.parametrize("kind", FEATURES)
def test_every_kind_of_feature_describes_photos_of_32_pixels(sides: Sides, kind: str) -> None:
    of = feature(kind, 32)
    assert of.size == 32
    vectors = extract(of, sides[0], "cpu")
    assert vectors.shape == (12, WIDTHS[kind])
    assert vectors.dtype == np.float32
    assert np.ptp(vectors, axis=0).max() > 0
    assert extract(of, Photos((), (), sides[0].store), "cpu").shape == (0, WIDTHS[kind])


def test_no_two_kinds_share_their_values(sides: Sides) -> None:
    keys = [str(feature(kind, size).key) for kind in FEATURES for size in (32, 64)]
    assert len(set(keys)) == len(keys)
    by_l1, by_l2 = (extract(feature(kind, 32), sides[0], "cpu") for kind in ("hog-l1", "hog-l2hys"))
    assert np.abs(by_l1 - by_l2).max() > 0.01


def test_only_the_toolbox_of_labelme_crops() -> None:
    assert {kind for kind in FEATURES if feature(kind, 32).rule == "cover"} == {"gist-labelme"}
    assert {kind for kind in FEATURES if not feature(kind, 32).kept} == {"tiny"}


@pytest.mark.parametrize("kind", ["", "TINY", "hog", "gist", "sift"])
def test_another_kind_of_feature_is_a_usage_error(sides: Sides, kind: str) -> None:
    with pytest.raises(UsageError) as caught:
        feature(kind, 32)
    assert repr(kind) in str(caught.value)
    assert all(known in str(caught.value) for known in FEATURES)
    for fit, parameters in FITS.values():
        with pytest.raises(UsageError, match="choose one of"):
            fit(*sides, Context(0), feature_kind=kind, size=8, **parameters)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("kind", FEATURES)
def test_every_fit_predicts_from_every_feature(sides: Sides, unseen: Photos, name: str, kind: str) -> None:
    fit, parameters = FITS[name]
    shares = fit(*sides, Context(0), feature_kind=kind, size=32, **parameters).predict_labels(unseen)
    assert shares.shape == (6, 3)
    assert shares.dtype == np.float32
    assert shares.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    assert (shares >= 0).all()


@pytest.mark.parametrize("name", FITS)
def test_nothing_is_random(sides: Sides, unseen: Photos, name: str) -> None:
    fit, parameters = FITS[name]
    first, second = (fit(*sides, Context(seed), **TINY, **parameters).predict_labels(unseen) for seed in (0, 1))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", FITS)
def test_colours_are_learnt(sides: Sides, small: World, unseen: Photos, name: str) -> None:
    fit, parameters = FITS[name]
    shares = fit(*sides, Context(0), **TINY, **parameters).predict_labels(unseen)
    truth = training_photos(small.manifest, "test", WorkspacePhotos(small.workspace)).labels
    assert (shares.argmax(axis=1) == truth).all()


@pytest.mark.parametrize("name", FITS)
def test_no_photos_have_no_answers(sides: Sides, name: str) -> None:
    fit, parameters = FITS[name]
    fitted = fit(*sides, Context(0), **TINY, **parameters)
    assert fitted.predict_labels(Photos((), (), sides[0].store)).shape == (0, 3)


def test_neighbours_are_those_of_the_feature(sides: Sides, unseen: Photos) -> None:
    train = sides[0]
    vectors, queries = train.pixels(8).reshape(12, -1) / 255, unseen.pixels(8).reshape(6, -1) / 255
    theirs = KNeighborsClassifier(5).fit(vectors, train.labels).predict_proba(queries)
    ours = fit_knn(*sides, Context(0), **TINY, k=5).predict_labels(unseen)
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_logistic_regression_is_of_the_raw_feature(sides: Sides, unseen: Photos) -> None:
    train = sides[0]
    vectors, queries = train.pixels(8).reshape(12, -1) / 255, unseen.pixels(8).reshape(6, -1) / 255
    theirs = LogisticRegression(C=0.5, max_iter=500).fit(vectors, train.labels).predict_proba(queries)
    parameters = {**TINY, "solver": "multinomial", "c": 0.5, "iterations": 500}
    ours = fit_logistic(*sides, Context(0), **parameters).predict_labels(unseen)
    assert ours == pytest.approx(theirs, abs=5e-3)


@dataclass(frozen=True)
class Watched(Training):
    """Notes each look at the pixels with the side that was looked at."""

    looks: list[str] = field(default_factory=list, compare=False)

    def pixels(self, size: int, rule: str = "squash", rows: Sequence[int] | None = None) -> NDArray[np.uint8]:
        self.looks.append(self.side)
        return super().pixels(size, rule, rows)


@pytest.mark.parametrize("kind", ["tiny", "hog-l2hys"])
@pytest.mark.parametrize("name", FITS)
def test_fitting_sees_train_and_validation_and_never_a_test_photo(tmp_path: Path, name: str, kind: str) -> None:
    world = make_world(tmp_path)
    for photo in world.photos("test"):
        world.workspace.photo(str(photo.sha256)).unlink()
    looks: list[str] = []
    train, validation = (
        Watched(**{**vars(training_photos(world.manifest, side, WorkspacePhotos(world.workspace))), "looks": looks})
        for side in ("train", "val")
    )
    fit, parameters = FITS[name]
    fit(train, validation, Context(0), feature_kind=kind, size=32, **parameters)
    assert set(looks) == ({"train", "val"} if name.startswith("modern") else {"train"})


@pytest.mark.parametrize("name", ["knn", "logistic", "logistic of 2018"])
def test_the_papers_rows_do_not_use_validation(sides: Sides, name: str) -> None:
    fit, parameters = FITS[name]
    fit(sides[0], None, Context(0), **TINY, **parameters)


@dataclass
class Candidate:
    """A classifier that is right as often as it was told, on the photos of validation."""

    right: float
    labels: NDArray[np.int64]
    asked: list[int] = field(default_factory=list)

    def predict_proba(self, queries: Floats) -> Floats:
        self.asked.append(len(queries))
        answers = (self.labels + (np.arange(len(self.labels)) >= round(self.right * len(self.labels)))) % 3
        shares: Floats = np.eye(3, dtype=np.float32)[answers[: len(queries)]]
        return shares


def chosen_neighbours(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, ks: str, right: Callable[[int, str], float]
) -> tuple[int, str, list[tuple[int, str]]]:
    """Return k and weights that are chosen when candidates are right so often, and all candidates."""
    tried: list[tuple[int, str]] = []

    def vote(self: knn.NearestNeighbours, squares: Any, nearest: Any) -> Floats:
        if (self.k, self.weights) not in tried:
            tried.append((self.k, self.weights))
        assert nearest.shape[1] >= self.k
        return Candidate(right(self.k, self.weights), sides[1].labels).predict_proba(nearest)

    monkeypatch.setattr(knn.NearestNeighbours, "vote", vote)
    chosen = fit_modern_knn(*sides, Context(0), **TINY, ks=ks).classifier
    assert isinstance(chosen, knn.NearestNeighbours)
    return chosen.k, chosen.weights, tried


def test_k_and_weights_are_those_that_are_best_on_validation(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    def right(k: int, weights: str) -> float:
        return {(3, "distance"): 0.9, (5, "uniform"): 0.8, (1, "distance"): 0.7}.get((k, weights), 0.5)

    k, weights, tried = chosen_neighbours(sides, monkeypatch, "1,3,5", right)
    assert (k, weights) == (3, "distance")
    assert tried == [(k, weights) for k in (1, 3, 5) for weights in ("uniform", "distance")]


def test_of_equally_good_neighbours_the_first_are_chosen(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_neighbours(sides, monkeypatch, "1,3,5", lambda k, weights: 0.5)[:2] == (1, "uniform")
    assert chosen_neighbours(sides, monkeypatch, "1,3,5", lambda k, weights: float(k > 1))[:2] == (3, "uniform")


def test_more_neighbours_than_photos_are_not_tried(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = chosen_neighbours(sides, monkeypatch, "1,11,12,13,71", lambda k, weights: 0.5)[2]
    assert {k for k, _ in tried} == {1, 11, 12}


def test_where_every_k_is_more_than_there_are_photos_the_nearest_decides(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {k for k, _ in chosen_neighbours(sides, monkeypatch, "13,71", lambda k, weights: 0.5)[2]} == {1}


def test_the_chosen_neighbours_are_those_that_would_be_fitted_for_them(sides: Sides, unseen: Photos) -> None:
    of = feature("tiny", 8)
    vectors, judged = extract(of, sides[0], "cpu"), extract(of, sides[1], "cpu")
    candidates = [knn.fit_knn(vectors, sides[0].labels, 3, k, weights) for k in (1, 5, 11) for weights in knn.WEIGHTS]
    best = max(candidates, key=lambda one: (one.predict_proba(judged).argmax(axis=1) == sides[1].labels).mean())
    ours = fit_modern_knn(*sides, Context(0), **TINY, ks="1,5,11").predict_labels(unseen)
    assert ours == pytest.approx(best.predict_proba(extract(of, unseen, "cpu")), abs=1e-6)


def test_choosing_neighbours_takes_validation_in_blocks(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the distances of 10,000 photos from 80,000 would take 6 GB."""
    largest = [0]

    def spied(function: Callable[..., Any]) -> Callable[..., Any]:
        def spy(values: torch.Tensor, *rest: Any, **settings: Any) -> Any:
            largest[0] = max(largest[0], values.numel())
            return function(values, *rest, **settings)

        return spy

    for name in ("sort", "topk"):
        monkeypatch.setattr(torch, name, spied(getattr(torch, name)))
    fit_modern_knn(*sides, Context(0), **TINY, ks="1,3")
    assert largest == [9 * 12]  # validation by training photos
    monkeypatch.setattr(knn, "BLOCK_BYTES", 8 * 2 * 12)
    largest[0] = 0
    fit_modern_knn(*sides, Context(0), **TINY, ks="1,3")
    assert 0 < largest[0] <= 2 * 12


@pytest.mark.parametrize(("k", "said"), [(1, False), (4, False), (5, True), (12, True)])
def test_a_city_with_fewer_photos_than_k_is_named(
    sides: Sides, caplog: pytest.LogCaptureFixture, k: int, said: bool
) -> None:
    with caplog.at_level(logging.WARNING, logger="t15"):
        fit_knn(*sides, Context(0), **TINY, k=k)
    assert len(caplog.records) == said
    if said:
        assert f"{k}-NN on tiny-8: 3 of 3 labels have fewer than k training photos, zulu only 4" in caplog.text


def test_the_city_with_the_fewest_photos_is_named(sides: Sides, caplog: pytest.LogCaptureFixture) -> None:
    train = replace(sides[0], labels=np.array([0] * 6 + [1] * 2 + [2] * 4), classes=("zulu", "alpha", "mike", "none"))
    with caplog.at_level(logging.WARNING, logger="t15"):
        fit_knn(train, sides[1], Context(0), **TINY, k=3)
        fit_knn(replace(train, classes=train.classes[:3]), sides[1], Context(0), **TINY, k=3)
    assert [
        "2 of 4 labels have fewer than k training photos, none only 0: they" in record.getMessage()
        for record in caplog.records
    ] == [True, False]
    assert "alpha has only 2" in caplog.records[1].getMessage()


def test_choosing_neighbours_complains_about_no_candidate(sides: Sides, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="t15"):
        fit_modern_knn(*sides, Context(0), **TINY, ks="1,3,11,71")
    assert caplog.records == []


ALL = {(scaled, c): 0.5 for scaled in (True, False) for c in (0.01, 0.1, 1.0)}


@pytest.mark.parametrize(
    ("better", "best"),
    [
        ({(True, 0.1): 0.9, (False, 1.0): 0.8}, (True, 0.1)),
        ({(True, 0.1): 0.8, (False, 1.0): 0.9}, (False, 1.0)),
        ({(True, 0.1): 0.8, (True, 1.0): 0.8, (False, 0.01): 0.8}, (True, 0.1)),  # of equally good ones the first
        ({(False, 0.1): 0.8, (False, 1.0): 0.8}, (False, 0.1)),
        ({}, (True, 0.01)),
    ],
)
def test_c_and_scaling_are_those_that_are_best_on_validation(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, better: dict[tuple[bool, float], float], best: tuple[bool, float]
) -> None:
    tried: dict[tuple[bool, float], Candidate] = {}

    def fit(
        vectors: Floats,
        labels: Any,
        classes: int,
        c: float,
        iterations: int,
        solver: str = "multinomial",
        standardise: bool = False,
        device: str = "cpu",
    ) -> Candidate:
        assert (vectors.shape, classes, iterations) == ((12, 192), 3, 7)
        assert (solver, device) == ("multinomial", "cpu")
        one = tried[standardise, c] = Candidate({**ALL, **better}[standardise, c], sides[1].labels)
        return one

    monkeypatch.setattr(logistic, "fit_logistic", fit)
    fitted = fit_modern_logistic(*sides, Context(0), **TINY, iterations=7, cs="0.01,0.1,1")
    assert set(tried) == set(ALL)
    assert all(one.asked == [9] for one in tried.values())  # judged once, on all of validation
    fitted.predict_labels(Photos(sides[1].ids[:2], sides[1].digests[:2], sides[1].store))
    assert [choice for choice, one in tried.items() if len(one.asked) > 1] == [best]


def test_what_was_chosen_is_logged(sides: Sides, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="t15"):
        fit_modern_knn(*sides, Context(0), **TINY, ks="1,3")
        fit_modern_logistic(*sides, Context(0), **TINY, iterations=5, cs="0.01,1")
    said = [record.getMessage() for record in caplog.records]
    assert "chosen on validation: k = 1, weights uniform" in said
    assert "chosen on validation: C = 0.01, standardised features" in said


def test_the_estimate_grows_with_all_that_costs() -> None:
    base: dict[str, Any] = {"photos": 100, "classes": 15, "device": "cpu", "size": 64, "iterations": 500}
    for kind in FEATURES:
        seconds = logistic_seconds(**base, feature_kind=kind)
        assert seconds > feature_seconds(100, "cpu", feature_kind=kind, size=64) > 0
        assert seconds < logistic_seconds(**{**base, "photos": 200}, feature_kind=kind) <= 2.001 * seconds
        for more in ({"classes": 30}, {"iterations": 1000}, {"size": 128}):
            assert logistic_seconds(**{**base, **more}, feature_kind=kind) > seconds
        assert logistic_seconds(**{**base, "device": "cuda"}, feature_kind=kind) < seconds


def test_features_of_larger_photos_take_longer() -> None:
    for kind in FEATURES:
        small, large = (feature_seconds(100, "cpu", feature_kind=kind, size=size) for size in (64, 256))
        assert small <= large
        assert feature_seconds(100, "cuda", feature_kind=kind, size=256) <= large
    assert feature_seconds(100, "cpu", feature_kind="gist-lear", size=256) > feature_seconds(
        100, "cpu", feature_kind="hog-l1", size=256
    )
