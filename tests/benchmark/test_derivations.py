"""What is derived of what a predictor offers: each rule against a plain one, and what happens to withheld answers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.derivations import (
    labels_from_places,
    labels_from_ranking,
    offered,
    places_from_labels,
    places_from_ranking,
    predict,
)
from benchmark.label_set import LabelSet
from benchmark.photos import Photos
from benchmark.predictions import Places, Ranking
from collector.errors import UsageError
from collector.geo import distance_km

ISTANBUL, ANKARA, IZMIR = (41.01, 28.96), (39.93, 32.86), (38.42, 27.14)
LABELS = LabelSet(
    "city", ("istanbul", "ankara", "izmir"), np.array([ISTANBUL, ANKARA, IZMIR]), np.array([40.0, 30.0, 30.0])
)
UNKNOWN = (np.nan, np.nan)


def places(*pairs: tuple[float, float], **more: Any) -> Places:
    latitude, longitude = np.array(pairs, np.float64).T
    return Places(latitude, longitude, **more)


def photos(count: int) -> Photos:
    store: Any = None
    return Photos(tuple(map(str, range(count))), ("",) * count, store)


def of(**functions: Any) -> Any:
    return SimpleNamespace(**functions)


def test_a_label_becomes_its_centre_and_a_withheld_one_no_place() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3], [0.5, 0.5, 0.0], [np.nan, np.nan, np.nan]], np.float32)
    derived = places_from_labels(probabilities, LABELS)
    assert (derived.latitude[0], derived.longitude[0]) == ANKARA
    assert (derived.latitude[1], derived.longitude[1]) == ISTANBUL  # of equals the first
    assert np.isnan(derived.latitude[2])


def test_a_place_becomes_the_label_that_holds_it_or_the_nearest_one() -> None:
    derived = labels_from_places(places((41.1, 29.1), (39.0, 35.0), (39.92, 32.8), UNKNOWN), LABELS)
    assert derived[:3].argmax(axis=1).tolist() == [0, 1, 1]
    assert derived[:3].max(axis=1).tolist() == [1, 1, 1]
    assert np.isnan(derived[3]).all()


def test_a_label_that_holds_a_place_goes_before_a_nearer_centre() -> None:
    small_and_large = LabelSet("city", ("small", "large"), np.array([(0.0, 0.0), (0.0, 1.0)]), np.array([5.0, 120.0]))
    assert labels_from_places(places((0.0, 0.2)), small_and_large).tolist() == [[0, 1]]


def test_candidates_give_their_weights_to_their_labels() -> None:
    candidates = np.array([[ISTANBUL, ANKARA, (41.0, 29.0)]])
    derived = labels_from_places(places(ISTANBUL, candidates=candidates, weights=np.array([[0.3, 0.4, 0.3]])), LABELS)
    assert np.allclose(derived, [[0.6, 0.4, 0.0]])


def test_ranked_photos_vote_with_the_inverse_of_their_rank() -> None:
    ranking = Ranking(np.array([[2, 0, 1], [3, -1, -1], [-1, -1, -1]]), np.zeros((3, 3), np.float32))
    derived = labels_from_ranking(ranking, np.array([0, 0, 2, 1]), 3)
    assert np.allclose(derived[0], np.array([1 / 2 + 1 / 3, 0, 1]) / (11 / 6))
    assert derived[1].tolist() == [0, 1, 0]
    assert np.isnan(derived[2]).all()


def test_a_ranking_becomes_the_place_of_its_first_photo_that_has_one() -> None:
    gallery = np.array([UNKNOWN, ANKARA, IZMIR])
    derived = places_from_ranking(Ranking(np.array([[0, 2, 1]]), np.zeros((1, 3), np.float32)), gallery)
    assert (derived.latitude[0], derived.longitude[0]) == IZMIR
    assert derived.weights is not None
    assert np.allclose(derived.weights, [[0, 3 / 5, 2 / 5]])
    nowhere = places_from_ranking(Ranking(np.array([[0, -1], [1, 0]]), np.zeros((2, 2), np.float32)), gallery)
    assert np.isnan(nowhere.latitude).tolist() == [True, False]
    assert nowhere.candidates is not None
    assert nowhere.weights is not None
    assert np.isnan(nowhere.candidates[0]).all()  # one photo withholds; the other keeps its candidates
    assert nowhere.candidates[1].tolist() == [list(ANKARA), list(ANKARA)]
    assert nowhere.weights[1].tolist() == [1, 0]
    assert np.isnan(labels_from_places(nowhere, LABELS)).any(axis=1).tolist() == [True, False]


@pytest.mark.parametrize("count", [0, 2])
def test_a_ranking_of_an_empty_gallery_is_withheld(count: int) -> None:
    ranking = Ranking(np.empty((count, 0), np.int64), np.empty((count, 0), np.float32))
    assert np.isnan(places_from_ranking(ranking, np.empty((0, 2))).latitude).tolist() == [True] * count
    assert np.isnan(labels_from_ranking(ranking, np.empty(0, np.int64), 3)).all()


def test_everything_is_derived_and_what_is_offered_is_left_alone() -> None:
    gallery: Any = of(labels=np.array([1, 2]), places=np.array([ANKARA, IZMIR]))
    labels = of(predict_labels=lambda asked: np.full((len(asked), 3), 1 / 3, np.float32))
    said = predict(labels, photos(2), LABELS, gallery)
    assert said.ranking is None
    assert said.places is not None
    assert said.places.latitude.tolist() == [ISTANBUL[0]] * 2
    ranking = of(rank=lambda asked, k: Ranking(np.array([[1]]), np.ones((1, 1), np.float32)))
    said = predict(ranking, photos(1), LABELS, gallery)
    assert said.places is not None
    assert said.probabilities is not None
    assert (said.places.latitude[0], int(said.probabilities.argmax())) == (IZMIR[0], 2)
    both = of(predict_places=lambda asked: places(ANKARA), predict_labels=lambda asked: np.eye(3, dtype=np.float32)[:1])
    said = predict(both, photos(1), LABELS)
    assert said.places is not None
    assert said.probabilities is not None
    assert (said.places.latitude[0], int(said.probabilities.argmax())) == (ANKARA[0], 0)


@pytest.mark.parametrize(
    ("predictor", "remedy"),
    [
        (of(predict_proba=lambda asked: None), "rename its predict_proba to predict_labels"),
        (of(), "predict_labels, predict_places, rank"),
    ],
)
def test_a_predictor_that_offers_nothing_is_told_what_to_change(predictor: Any, remedy: str) -> None:
    with pytest.raises(UsageError, match=remedy):
        offered(predictor)


def test_a_ranking_needs_a_gallery() -> None:
    with pytest.raises(UsageError, match="gallery"):
        predict(of(rank=lambda asked, k: None), photos(1), LABELS)


def plain_label(latitude: float, longitude: float, labels: LabelSet) -> int:
    km = [distance_km(latitude, longitude, *centre) for centre in labels.centres.tolist()]
    holding = [number for number, radius in enumerate(labels.radii_km) if km[number] <= radius]
    return min(holding or range(len(km)), key=lambda number: km[number])


@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 3000)), min_size=1, max_size=5),
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), max_size=6),
)
def test_the_holding_label_is_the_plainly_searched_one(
    circles: list[tuple[float, float, float]], asked: list[tuple[float, float]]
) -> None:
    table = np.array(circles)
    labels = LabelSet("city", tuple(map(str, range(len(circles)))), table[:, :2], table[:, 2])
    found: NDArray[np.int64] = labels.holding(np.array(asked, np.float64).reshape(-1, 2))
    for (latitude, longitude), label in zip(asked, found.tolist(), strict=True):
        plain = plain_label(latitude, longitude, labels)
        km = [distance_km(latitude, longitude, *labels.centres[number]) for number in (plain, label)]
        assert label == plain or km[0] == pytest.approx(km[1], abs=1e-6)
