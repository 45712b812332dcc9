"""Methods that answer with places, on small worlds: ordinary ones, and such as manifests go wrong with."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmark.derivations import labels_from_places, predict
from benchmark.label_set import LabelSet
from benchmark.methods.cells import CellHead, smoothed
from benchmark.methods.geoclip import GeoClipHead
from benchmark.methods.im2gps import Im2gps, chi2, l1, l2
from benchmark.methods.knn_density import KnnDensity, votes
from benchmark.methods.placing import Placing, likeliest, spread
from benchmark.methods.registry import PLACES, choose, listed, place_variant
from benchmark.methods.types import Context, Method, Training
from benchmark.methods.vmf import VmfHead, log_vmf
from benchmark.models import build, model_of
from benchmark.networks.location_encoder import Contrast
from benchmark.photos import GivenPictures, Photos, given_photos
from benchmark.planning import lacking
from benchmark.retrieval.index import new_index
from benchmark.retrieval.mixture import EARTH_KM2, Mixture
from collector.errors import DataError, UsageError
from collector.geo import distance_km, distances_km, unit_vectors
from tests.benchmark.conftest import World

CENTRES = np.array([[41.0, 29.0], [39.9, 32.8], [38.4, 27.1]])

FAST = {"iterations": 30, "cs": "0.01", "size": 8, "words": 8, "learnt_on": 6, "width": 16, "epochs": 3, "rate": 0.01}
QUICK = {"taus": "1,25", "sigmas": "1,25", "ks": "1,9", "powers": "2", "bandwidths": "1,25"}
QUICK_KINDS = "tiny,colour"
"""Of IM2GPS's features, of which textons and lines take long: all are asked once, in the first test."""

FORMS = (
    "knn-density:tiny",
    "cells:tiny",
    "isn:tiny",
    "cplanet:tiny",
    "haversine:tiny",
    "vmf:tiny",
    "geoclip-head:tiny",
)
METHODS = (*FORMS, "im2gps-tiny+1nn", "im2gps+meanshift", "im2gps+lazy-svm")
each_method = pytest.mark.parametrize("name", METHODS)


FEW = {"im2gps+lazy-svm": {"k": 25}, "geoclip-head:tiny": {"epochs": 15}}
"""What few photos want."""


def side(
    places: NDArray[np.float64],
    labels: NDArray[np.int64],
    name: str,
    seed: int = 0,
    authors: NDArray[np.int64] | None = None,
) -> Training:
    """Return photos of these places: a label has its colour, with a little noise."""
    random = np.random.default_rng(seed)
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])[labels % 3]
    pixels = colours[:, None, None] + random.integers(-25, 25, (len(labels), 24, 24, 3))
    pictures = tuple(Image.fromarray(one.clip(0, 255).astype(np.uint8)) for one in pixels)
    ids = tuple(f"{name}:{number}" for number in range(len(labels)))
    unknown = np.full(len(labels), -1, np.int64)
    return Training(
        ids=ids,
        digests=tuple(hashlib.sha256(of.encode()).hexdigest() for of in ids),
        store=GivenPictures(pictures),
        side=name,
        labels=labels,
        classes=("a", "b", "c"),
        label_set=LabelSet("city", ("a", "b", "c"), CENTRES, np.full(3, 30.0)),
        places=places,
        headings=np.full(len(labels), np.nan),
        authors=unknown if authors is None else authors,
        sequences=unknown,
        times=np.full(len(labels), np.nan),
        protocol="city",
    )


def ordinary(count: int, seed: int, name: str) -> Training:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return side(CENTRES[labels] + random.normal(0, 0.03, (count, 2)), labels, name, seed)


def variant(name: str, **parameters: Any) -> Method:
    (method,) = choose([name])
    quick = {**FAST, **QUICK, **({"kinds": QUICK_KINDS} if "im2gps+" in name else {})}
    quick["sigmas"] = "1,16,256" if "geoclip" in name else quick["sigmas"]
    changed = {key: value for key, value in {**quick, **parameters}.items() if key in method.parameters}
    return replace(method, parameters={**method.parameters, **changed})


def fitted(name: str, training: Training, validation: Training, **parameters: Any) -> Any:
    method = variant(name, **parameters)
    return method.fit(training, validation, Context(), **method.parameters)


def bare(photos: Training) -> Photos:
    return Photos(photos.ids, photos.digests, photos.store)


def errors(predictor: Any, photos: Training) -> NDArray[np.float64]:
    places = predictor.predict_places(bare(photos))
    return distances_km(places.latitude, places.longitude, photos.places[:, 0], photos.places[:, 1])


@each_method
def test_it_finds_the_city_and_gives_its_label(name: str) -> None:
    (train, val, test_), more = (30, 12, 12), dict[str, Any](FEW.get(name, {}))
    if name == "im2gps+meanshift":
        (train, val, test_), more = (21, 6, 6), {"k": 6, "kinds": choose([name])[0].parameters["kinds"]}
    training, validation = ordinary(train, 0, "train"), ordinary(val, 1, "val")
    test = ordinary(test_, 2, "test")
    predictor = fitted(name, training, validation, **more)
    assert np.median(errors(predictor, test)) < 30
    answers = predict(predictor, bare(test), training.label_set, training)
    assert answers.probabilities is not None
    assert (answers.probabilities.argmax(axis=1) == test.labels).mean() > 0.9
    (method,) = choose([name])
    assert {"places"} <= method.gives == ({"places", "ranking"} if hasattr(predictor, "rank") else {"places"})
    if hasattr(predictor, "rank"):
        ranking = predictor.rank(bare(test), 40)
        assert sorted(ranking.rows[0, : len(training)].tolist()) == list(range(len(training)))
        assert (np.diff(ranking.scores[:, : len(training)], axis=1) <= 0).all()


@each_method
def test_its_model_answers_as_it_does(name: str) -> None:
    training, test = ordinary(18, 0, "train"), ordinary(6, 2, "test")
    predictor = fitted(name, training, ordinary(6, 1, "val"))
    model = model_of(predictor, training.classes, {}, {})
    assert model is not None
    again: Any = build(model, "cpu", "it")
    before, after = (of.predict_places(bare(test)) for of in (predictor, again))
    assert np.allclose(before.latitude, after.latitude)
    assert np.allclose(before.weights, after.weights) if before.weights is not None else after.weights is None
    for broken in ({}, {"place": 1}):
        with pytest.raises(DataError, match="export it again"):
            build(replace(model, spec=broken), "cpu", "it")


ODD: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "all at one point": lambda places: np.tile([41.0, 29.0], (len(places), 1)),
    "at the date line": lambda places: np.stack([places[:, 0] * 0, 180 - np.arange(len(places)) % 2 * 359.999], axis=1),
    "at the poles": lambda places: np.stack([90 - np.arange(len(places)) % 2 * 180.0, places[:, 1]], axis=1),
    "half unknown": lambda places: np.where(np.arange(len(places))[:, None] % 2, np.nan, places),
}


@each_method
@pytest.mark.parametrize("what", ODD)
def test_odd_places_are_answered(name: str, what: str) -> None:
    training, validation = (
        replace(of, places=ODD[what](of.places)) for of in (ordinary(14, 0, "train"), ordinary(8, 1, "val"))
    )
    test = ordinary(6, 2, "test")
    places = fitted(name, training, validation, least=0.0 if "im2gps" not in name else 4).predict_places(bare(test))
    known = training.places[~np.isnan(training.places).any(axis=1)]
    for latitude, longitude in zip(places.latitude, places.longitude, strict=True):
        km = distances_km(latitude, longitude, known[:, 0], known[:, 1])
        assert km.min() < 250
    if what in {"all at one point", "at the date line"}:
        assert all(distance_km(*at, *known[0]) < 1 for at in zip(places.latitude, places.longitude, strict=True))


@each_method
def test_a_gallery_smaller_than_k_and_a_validation_side_without_places(name: str) -> None:
    training, validation = ordinary(3, 0, "train"), ordinary(3, 1, "val")
    nowhere = replace(validation, places=np.full((3, 2), np.nan))
    for judged in (validation, nowhere):
        places = fitted(name, training, judged, least=0.0 if "im2gps" not in name else 4).predict_places(
            bare(ordinary(3, 2, "test"))
        )
        assert np.isfinite(places.latitude).all()


@each_method
def test_without_coordinates_it_says_so_by_name(name: str, world: World) -> None:
    (method,) = choose([name])
    assert lacking(method.needs, world.manifest) == "places"
    nowhere = replace(ordinary(6, 0, "train"), places=np.full((6, 2), np.nan))
    with pytest.raises(DataError, match="no training photo has a place"):
        fitted(name, nowhere, nowhere)


@each_method
def test_one_city_only(name: str) -> None:
    def alone(of: Training) -> Training:
        city = np.zeros(len(of), np.int64)
        return replace(of, labels=city, classes=("a",), places=CENTRES[0] + (of.places - CENTRES[of.labels]))

    training, test = alone(ordinary(15, 0, "train")), alone(ordinary(6, 2, "test"))
    assert errors(fitted(name, training, alone(ordinary(6, 1, "val"))), test).max() < 50


def copies() -> tuple[Training, Training]:
    """Return sides where each validation photo is in training too, by the same author; the next nearest is far away.

    A voter for the right place comes behind: with the author's own photo k = 1 is best, without it k = 4.
    """
    labels = np.zeros(4, np.int64)
    validation = side(CENTRES[0] + np.arange(8).reshape(4, 2) * 1e-5, labels, "val", 5, authors=np.arange(4))
    pictures = validation.store.images  # type: ignore[attr-defined]

    def nearly(step: int) -> tuple[Image.Image, ...]:
        return tuple(
            Image.fromarray((np.asarray(one).astype(int) + step).clip(0, 255).astype(np.uint8)) for one in pictures
        )

    near = CENTRES[0] + 0.02
    places = np.concatenate([validation.places, np.tile(CENTRES[1], (4, 1)), np.tile(near, (8, 1))])
    training = side(places, np.zeros(16, np.int64), "train", 5, authors=np.array([*range(4), *range(10, 22)]))
    return replace(training, store=GivenPictures((*pictures, *nearly(3), *nearly(6), *nearly(9)))), validation


def test_settings_are_chosen_without_the_authors_own_photos() -> None:
    training, validation = copies()
    chosen = {
        exclude: fitted(
            "knn-density:tiny", training, validation, ks="1,12", powers="0", sigmas="1", exclude=exclude
        ).head.k
        for exclude in (True, False)
    }
    assert chosen == {True: 12, False: 1}


def test_neighbours_may_be_whitened_and_hubs_kept_back() -> None:
    training, test = ordinary(30, 0, "train"), ordinary(9, 2, "test")
    plain = fitted("knn-density:tiny", training, ordinary(9, 1, "val"))
    for settings in ({"whiten": 5}, {"csls": 3}, {"whiten": 4, "csls": 3}):
        predictor = fitted("knn-density:tiny", training, ordinary(9, 1, "val"), **settings)
        width = settings.get("whiten", 192) + ("csls" in settings)
        assert predictor.head.index.vectors.shape == (30, width)
        assert np.median(errors(predictor, test)) < 30
        model = model_of(predictor, training.classes, {}, {})
        assert model is not None
        again: Any = build(model, "cpu", "it")
        assert np.array_equal(again.rank(bare(test), 5).rows, predictor.rank(bare(test), 5).rows)
    assert plain.head.whitening is None
    with pytest.raises(UsageError, match="whiten -1"):
        fitted("knn-density:tiny", training, training, whiten=-1)


def test_duplicates_of_one_place_by_other_authors_count_each() -> None:
    vectors = np.array([[1.0, 0.0], [0.99, 0.1], [0.98, 0.15], [0.97, 0.2]], np.float32)
    places = np.array([CENTRES[1], CENTRES[0], CENTRES[0], CENTRES[0]])
    head = KnnDensity(new_index(2).add(vectors, np.arange(4)), places, np.arange(4), 4, 0.0, 5.0)
    answer = head.places(vectors[:1])
    assert (answer.latitude[0], answer.longitude[0]) == tuple(CENTRES[0])
    assert replace(head, power=20.0).places(vectors[:1]).latitude[0] == CENTRES[1, 0]
    assert replace(head, k=1).places(vectors[:1]).latitude[0] == CENTRES[1, 0]


def test_the_snaps() -> None:
    places = np.array([[0.0, 179.99], [0.0, -179.99], [0.0, 179.995], [10.0, 0.0]])
    vectors = np.array([[1.0, 0.0], [0.9, 0.0], [0.8, 0.0], [0.7, 0.0]], np.float32)
    head = KnnDensity(new_index(2).add(vectors), places, np.arange(4), 4, 0.0, 25.0)
    query = np.array([[1.0, 0.0]], np.float32)
    at = {snap: head_at(replace(head, snap=snap), query) for snap in ("neighbour", "off", "ranked")}
    assert at["neighbour"] == pytest.approx((0.0, 179.995))
    assert distance_km(*at["off"], 0.0, 179.9983) < 0.05
    assert at["ranked"] == (0.0, 179.99)  # the first in rank within 100 km


def head_at(head: KnnDensity, query: NDArray[np.float32]) -> tuple[float, float]:
    answer = head.places(query)
    return float(answer.latitude[0]), float(answer.longitude[0])


def test_votes_fall_with_the_distance_of_the_vectors() -> None:
    squares = np.array([[1.0, 4.0, np.inf], [0.0, 1e-3, 1.0]])
    assert np.allclose(votes(squares, 2.0), [[1, 0.25, 0], [1, 1e-9, 1e-12]])
    assert np.allclose(votes(squares, 0.0), [[1, 1, 0], [1, 1, 1]])


def test_smoothed_targets_are_pigeons() -> None:
    places, answers = np.array([[41.0, 29.0], [41.2, 29.0]]), np.array([[41.05, 29.0], [41.3, 29.0], [0.0, 0.0]])
    targets = smoothed(places, np.array([0, 0]), answers, 10.0)
    for place, row in zip(places, targets, strict=True):
        km = [distance_km(*place, *answer) for answer in answers]
        assert row == pytest.approx([np.exp(-(of - km[0]) / 10) for of in km])
    assert targets[1, 1] > 1 == targets[1, 0]  # nearer than its own cell's mean
    with pytest.raises(UsageError, match="tau"):
        smoothed(places, np.array([0, 0]), answers, 0.0)


def test_finer_cells_take_their_parents_probabilities_with_them() -> None:
    head = fitted("isn:tiny", ordinary(60, 0, "train"), ordinary(12, 1, "val"), most=0.2).head
    assert isinstance(head, CellHead)
    vectors = np.random.default_rng(0).normal(size=(5, 192)).astype(np.float32)
    each = [np.exp(model.log_probabilities(vectors)) for model in head.models]
    wanted = np.stack(
        [
            np.prod([of[:, above[cell]] for of, above in zip(each, head.above, strict=True)], axis=0)
            for cell in range(len(head.above[0]))
        ],
        axis=1,
    )
    assert len(each[0][0]) > len(each[-1][0])
    assert np.allclose(np.exp(head.log_probabilities(vectors)), wanted / wanted.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("kappa", [0.5, 40.0, 4000.0])
def test_a_von_mises_fisher_density_is_one(kappa: float) -> None:
    edges = 1 - np.concatenate([[0], np.geomspace(1e-9, 2, 20_000)])
    middle, width = (edges[:-1] + edges[1:]) / 2, edges[:-1] - edges[1:]
    points = np.stack([np.sqrt(1 - middle**2), 0 * middle, middle], axis=1)
    density = np.exp(log_vmf(points, np.array([[0.0, 0.0, 1.0]]), np.array([kappa])))[:, 0]
    assert 2 * np.pi * (density * width).sum() == pytest.approx(1, rel=1e-3)


def test_cells_may_be_labels_with_their_outlines() -> None:
    training, test = ordinary(30, 0, "train"), ordinary(9, 2, "test")
    predictor = fitted("isn:tiny", training, ordinary(9, 1, "val"), split="labels")
    assert [len(of.counts) for of in predictor.head.learnt] == [3, 3, 3]
    assert np.median(errors(predictor, test)) < 30
    files = predictor.files()
    assert set(files) == {"cells.geojson", "cells.svg"}
    assert b'"partition": 2' in files["cells.geojson"]


def test_intersections_add_the_parts_log_probabilities() -> None:
    head = fitted("cplanet:tiny", ordinary(60, 0, "train"), ordinary(12, 1, "val"), most=0.4).head
    assert head.cut is not None
    vectors = np.random.default_rng(0).normal(size=(5, 192)).astype(np.float32)
    each = [model.log_probabilities(vectors) for model in head.models]
    wanted = np.stack([sum(of[:, part] for of, part in zip(each, row, strict=True)) for row in head.cut.tuples], axis=1)
    shares = np.exp(wanted - np.logaddexp.reduce(wanted, axis=1)[:, None])
    assert np.allclose(np.exp(head.log_probabilities(vectors)), shares)
    assert head.places(vectors).latitude[0] == head.cut.answers[shares[0].argmax(), 0]


def test_a_contrast_is_the_cross_entropy_of_places_that_differ() -> None:
    sides = ordinary(12, 0, "train")
    places = np.repeat(sides.places[:6], 2, axis=0)
    vectors = np.random.default_rng(0).normal(size=(12, 5)).astype(np.float32)
    contrast = Contrast(vectors, places, [1.0, 16.0], 8, seed=0)
    assert len(contrast.gallery) == 6  # each place once
    head, rows = GeoClipHead(*contrast.learnt_so_far()), torch.arange(12)
    answer = head.places(vectors)
    assert answer.weights is not None
    assert answer.candidates is not None
    own = (answer.candidates == places[:, None]).all(axis=2)
    wanted = -np.log(answer.weights[own]).mean()
    assert contrast.loss(rows, torch.unique(contrast.own)).item() == pytest.approx(wanted, rel=1e-4)
    for _ in range(3):
        contrast.epoch(queue=5, batch=4, rate=0.01)
    assert len(contrast.waiting) == 5


def test_lazy_machines_choose_among_clusters() -> None:
    """Six neighbours of two places far apart: the query is like the smaller cluster's, whose machine is surer."""
    random = np.random.default_rng(0)
    vectors = np.concatenate([random.normal(0, 0.1, (4, 5)) + 1, random.normal(0, 0.1, (6, 5)) - 1]).astype(np.float32)
    places = np.concatenate([np.tile(CENTRES[0], (4, 1)), np.tile(CENTRES[1], (6, 1))])
    head = Im2gps(
        ("tiny",),
        {"tiny": vectors},
        {"tiny": 1.0},
        np.empty((0, 32), np.float32),
        places,
        np.arange(10),
        10,
        25.0,
        2,
        "cpu",
    )
    query = vectors[:1] + np.float32(0.05)
    distances = l2(query, vectors)
    near = np.argsort(distances, axis=1)
    assert head_of(head, near) == pytest.approx(tuple(CENTRES[1]))
    answer = replace(head, svm_c=1.0).vote(near, distances)
    assert (answer.latitude[0], answer.longitude[0]) == pytest.approx(tuple(CENTRES[0]))


def test_a_mixtures_width_is_that_of_its_places() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(300) % 3
    spread = np.array([2.0, 5.0, 10.0])[labels][:, None] / 111.195
    places = CENTRES[labels] + random.normal(0, 1, (300, 2)) * spread / np.stack(
        [np.ones(300), np.cos(np.radians(CENTRES[labels, 0]))], axis=1
    )
    head = fitted(
        "vmf:tiny", side(places, labels, "train"), ordinary(6, 1, "val"), most=50.0, iterations=100, split="quadtree"
    ).head
    assert isinstance(head, VmfHead)
    assert len(head.kappas) == 1  # one box holds all: the width is that of the three cities together
    head = fitted("vmf:tiny", side(places, labels, "train"), ordinary(6, 1, "val"), most=1.1, iterations=100).head
    near = [int(distances_km(*centre, *head.partition.answers.T).argmin()) for centre in CENTRES]
    assert np.allclose(6371.0 / np.sqrt(head.kappas[near]), [2, 5, 10], rtol=0.5)
    vectors = np.zeros((3, head.model.weights.shape[1]), np.float32)
    total = np.logaddexp.reduce(
        head.model.log_probabilities(vectors)
        + log_vmf(unit_vectors(*CENTRES.T), unit_vectors(*head.partition.answers.T), head.kappas),
        axis=1,
    )
    assert np.allclose(head.log_density(vectors, CENTRES), total)


def test_distances_of_histograms_and_lines() -> None:
    a, b = np.random.default_rng(0).random((2, 5, 7)).astype(np.float32)
    a[0, 0] = b[0, 0] = 0
    assert np.allclose(l1(a, b), [[np.abs(x - y).sum() for y in b] for x in a], atol=1e-5)
    assert np.allclose(l2(a, b), [[np.linalg.norm(x - y) for y in b] for x in a], atol=1e-5)
    with np.errstate(invalid="ignore"):
        wanted = [[0.5 * np.nansum((x - y) ** 2 / (x + y)) for y in b] for x in a]
    assert np.allclose(chi2(a, b), wanted, atol=1e-5)


def test_a_cluster_that_is_too_small_leaves_the_nearest_photo() -> None:
    places = np.array([CENTRES[1], CENTRES[0], CENTRES[0] + 0.01, CENTRES[2]])
    head = Im2gps(("tiny",), {}, {}, np.empty((0, 32), np.float32), places, np.arange(4), 4, 25.0, 2, "cpu")
    near = np.array([[0, 1, 2, 3]])
    assert distance_km(*head_of(head, near), *(CENTRES[0] + 0.005)) < 0.1
    assert head_of(replace(head, least=3), near) == tuple(CENTRES[1])


def head_of(head: Im2gps, near: NDArray[np.int64]) -> tuple[float, float]:
    answer = head.vote(near)
    return float(answer.latitude[0]), float(answer.longitude[0])


def test_an_answer_keeps_its_likeliest_candidates() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(80), 4)
    answers = np.stack([random.uniform(-80, 80, 80), random.uniform(-180, 180, 80)], axis=1)
    places = likeliest(probabilities, answers, probabilities.argmax(axis=1))
    assert places.candidates is not None
    assert places.candidates.shape == (4, 50, 2)
    assert np.array_equal(places.candidates[:, 0], answers[probabilities.argmax(axis=1)])


def test_rows_are_found_by_name_and_on_any_net() -> None:
    assert {one.name for one in PLACES} <= set(listed())
    assert len({one.titled(one.parameters) for one in PLACES}) == len(PLACES)
    assert "im2gps+1nn" in [one.name for one in choose(["im2gps*"])]
    assert {one.name for one in PLACES} <= {one.name for one in choose(["*"])}
    assert [one.name for one in choose(["cells:*"])] == ["cells:gist", "cells:resnet18/places365"]
    network = place_variant("vmf:resnet50/imagenet")
    assert network is not None
    assert (network.backbone, network.parameters["size"], network.pretraining) == ("resnet50/imagenet", 224, "ImageNet")
    for name in ("cells:nothing", "cells:resnet18", "knn-density:gist@later", "cells:", "vmf"):
        assert place_variant(name) is None
    with pytest.raises(UsageError, match="did you mean 'cells:gist'"):
        choose(["cells:gits"])


def test_estimates_and_preprocessing_take_the_parameters() -> None:
    for one in PLACES:
        for tier in ("paper", "smoke"):
            if one.estimate is not None and not one.backbone and "planet" not in one.name:
                assert one.estimate(100, 3, "cpu", **one.of_tier(tier)) > 0
            if one.preprocessing is not None:
                assert one.preprocessing(**one.of_tier(tier))


def test_wrong_settings_are_named() -> None:
    training, validation = ordinary(6, 0, "train"), ordinary(3, 1, "val")
    for name, wrong in (
        ("cells:tiny", {"split": "hexagons"}),
        ("knn-density:tiny", {"snap": "maybe"}),
        ("vmf:tiny", {"finest_km": 0.0}),
        ("isn:tiny", {"levels": 4}),
        ("cplanet:tiny", {"split": "s2,hexagons"}),
        ("geoclip-head:tiny", {"width": 0}),
        ("im2gps+lazy-svm", {"svm_c": -1.0}),
    ):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            fitted(name, training, validation, **wrong)
    with pytest.raises(UsageError, match="kinds"):
        fitted("im2gps+1nn", training, validation, kinds="smell")


def test_a_network_describes_photos_too(monkeypatch: pytest.MonkeyPatch) -> None:
    training, test = ordinary(6, 0, "train"), ordinary(3, 2, "test")
    predictor = fitted("knn-density:resnet18/places365", training, ordinary(3, 1, "val"), size=32)
    assert isinstance(predictor, Placing)
    assert predictor.embed(bare(test)).shape == (3, 512)
    model = model_of(predictor, training.classes, {}, {})
    assert model is not None
    again: Any = build(model, "cpu", "it")
    assert np.allclose(again.embed(bare(test)), predictor.embed(bare(test)), atol=1e-5)
    assert np.isfinite(again.predict_places(given_photos([Image.new("RGB", (40, 30))])).latitude).all()


def test_a_photo_without_neighbours_withholds_and_others_keep_their_densities() -> None:
    """The first photo's only candidates are its own author's; the second has two neighbours, and one place too few."""
    vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]], np.float32)
    index = new_index(2).add(vectors, np.array([1, 1, 1]))
    head = KnnDensity(index, CENTRES, np.arange(3), 3, 0.0, 5.0)
    asked = head.excluding(np.array([1, 2]), np.array([-1, -1]))
    before, both = head.places(vectors[:1]), asked.places(vectors[:2])
    assert np.isnan(both.latitude).tolist() == [True, False]
    assert both.candidates is not None
    assert before.weights is not None
    assert np.array_equal(np.sort(both.weights[1]), np.sort(before.weights[0]))  # type: ignore[index]
    assert not np.isnan(both.candidates[1]).any()
    stated = Mixture.of(spread(both, 5.0))
    assert stated is not None
    logs = stated.log_density(np.array([CENTRES[0], CENTRES[0]]))
    assert logs[0] == pytest.approx(-np.log(EARTH_KM2))  # nothing is known of where it was taken
    assert logs[1] > -8
    label = LabelSet("city", ("a", "b", "c"), CENTRES, np.full(3, 30.0))
    assert np.isnan(labels_from_places(both, label)).any(axis=1).tolist() == [True, False]


@pytest.mark.parametrize("k", [1, 3])
def test_im2gps_without_neighbours_withholds_too(k: int) -> None:
    head = Im2gps(("tiny",), {}, {}, np.empty((0, 32), np.float32), CENTRES, np.arange(3), k, 25.0, 1, "cpu")
    answer = head.vote(np.array([[0, 1, -1], [-1, -1, -1]]))
    assert np.isnan(answer.latitude).tolist() == [False, True]
    assert answer.weights is not None
    assert answer.weights[0].tolist() == ([1.0] if k == 1 else [0.5, 0.5, 0.0])
    assert np.isnan(answer.candidates[1]).all()  # type: ignore[index]
    none = head.vote(np.empty((0, 3), np.int64))
    assert none.weights is not None
    assert none.weights.shape == (0, k)
