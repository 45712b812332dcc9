"""Held against the truth: distances, calibration, parts of the photos, and what the best method confuses."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmark import predictions
from benchmark.label_set import LabelSet
from benchmark.leaderboard.table import leaderboard
from benchmark.predictions import Places, Ranking
from benchmark.results import Predictions, save_run
from benchmark.retrieval.mixture import EARTH_KM2
from benchmark.scoring import calibration
from benchmark.scoring.evaluation import METRICS, Score, Slice, by_slice, evaluate
from benchmark.scoring.metrics import geoscore, wilson
from benchmark.scoring.truth import HEADING, Gallery, Truth, nearest_km, parts_of
from benchmark.submissions import put_on_board, read_submission
from collector.geo import distance_km, distances_km
from collector.manifest.manifest import Manifest, build_manifest
from collector.records import Photo
from tests.benchmark.leaderboard import CAPITALS, add_run, manifest_of, predictions_of, run_of, world_manifest

NEAREST = "distance to the nearest training photo"


def photo(photo_id: str, latitude: float | None = None, longitude: float | None = None, author: str = "") -> Photo:
    return Photo(
        photo_id=photo_id,
        city="bursa",
        latitude=latitude,
        longitude=longitude,
        author_id=author or None,
        license="CC-BY-4.0",
        width=1,
        height=1,
        bytes=1,
        sha256="0" * 64,
        split="test",
    )


def test_near_is_below_a_kilometre_round_the_earth() -> None:
    """0.0089° of latitude are 0.990 km, 0.0091° are 1.012 km; across the date line as anywhere."""
    train = [photo("a:1", 40.0, 180.0), photo("a:2")]
    test = [photo("a:3", 40.0089, -180.0), photo("a:4", 40.0091, 180.0), photo("a:5")]
    assert parts_of(test, train)[NEAREST] == ["below 1 km", "1 km or more", None]


def test_the_nearest_of_many_is_found() -> None:
    rng = np.random.default_rng(0)
    places = np.column_stack([rng.uniform(-89, 89, 300), rng.uniform(-180, 180, 300)])
    train = [photo(f"a:{i}", *place) for i, place in enumerate(places.tolist())]
    test = [photo("a:x", latitude + 0.004, longitude) for latitude, longitude in places[::50].tolist()]
    assert parts_of(test, train)[NEAREST] == ["below 1 km"] * 6


def test_parts_that_no_photo_has_are_left_out() -> None:
    test = [photo("flickr:1"), photo("commons:2")]
    assert parts_of(test, []) == {"provider": ["flickr", "commons"], "licence": ["CC-BY-4.0"] * 2}


def test_an_author_is_one_of_a_provider() -> None:
    train = [photo("flickr:1", author="7")]
    test = [photo("flickr:2", author="7"), photo("commons:3", author="7"), photo("flickr:4")]
    assert parts_of(test, train)["author"] == ["seen in training", "not seen in training", None]


def answers(manifest: Manifest, city: str) -> Predictions:
    """Return predictions that give every photo to one city, sure of it to 0.7."""
    slugs = [one.slug for one in manifest.header.cities]
    photos = manifest.photos("test")
    shares = np.full((len(photos), len(slugs)), 0.3 / (len(slugs) - 1), np.float32)
    shares[:, slugs.index(city)] = 0.7
    return Predictions([one.photo_id for one in photos], shares)


def test_distance_and_calibration_of_a_method_that_says_paris(tmp_path: Path) -> None:
    """One answer in seven is right at a confidence of 0.7; of seven capitals Madrid is the middle one, 1,053 km off."""
    manifest = world_manifest(CAPITALS)
    save_run(tmp_path, run_of(manifest, "paris"), answers(manifest, "paris"))
    (row,) = leaderboard(manifest, tmp_path).rows
    assert row.accuracy == pytest.approx(1 / 7)
    assert row.scores["ece"].value == pytest.approx(0.7 - 1 / 7, abs=1e-6)
    assert row.scores["within_25"].value == pytest.approx(1 / 7)
    assert row.scores["within_25"].oracle == 1.0
    assert row.scores["within_750"].value == pytest.approx(2 / 7)  # London is 344 km away, Berlin 878
    assert row.scores["median_km"].value == pytest.approx(1053, abs=15)  # Madrid
    slices = {one.name: one for one in row.slices["provider"]}
    assert set(row.slices) == {"provider", "licence", "author", NEAREST}
    assert slices["flickr"].photos + slices["commons"].photos == 175


def test_details_of_the_best(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "worse", 3)
    for seed in (0, 1):
        add_run(tmp_path, manifest, "best", 9, seed=seed, stochastic=True)
    board = leaderboard(manifest, tmp_path)
    assert board.details is not None
    # Three of five are right in each city, and what is wrong is said to be the next city; two seeds.
    assert board.details.confusion == ((6, 4, 0), (0, 6, 4), (4, 0, 6))
    (only,) = board.details.reliability
    assert (only.count, only.accuracy) == (30, 0.6)
    assert only.confidence == pytest.approx(0.9 / 1.1)


def test_other_classes_order_and_other_photos_order_change_no_score(tmp_path: Path) -> None:
    manifest = world_manifest(CAPITALS, test=3)
    straight = predictions_of(manifest_of(tuple(CAPITALS), {"train": 1, "val": 1, "test": 3}), 11)
    ids = [one.photo_id for one in manifest.photos("test")]
    slugs = [city.slug for city in manifest.header.cities]
    mixed = np.random.default_rng(0).permutation(len(ids))
    columns = np.random.default_rng(1).permutation(len(slugs))
    save_run(tmp_path, run_of(manifest, "a"), Predictions(ids, straight.probabilities))
    turned = Predictions([ids[i] for i in mixed], straight.probabilities[np.ix_(mixed, columns)])
    save_run(tmp_path, run_of(manifest, "b", classes=[slugs[i] for i in columns]), turned)
    a, b = leaderboard(manifest, tmp_path).rows
    assert replace(a, run=b.run, runs=b.runs, command=b.command) == b


def test_truth_knows_photos_without_places() -> None:
    manifest = manifest_of()
    truth = Truth.of(manifest)
    assert np.isnan(truth.places).all()
    assert truth.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert build_manifest(manifest.header, manifest.photos("test"), "t").digest != manifest.digest


def test_slices_by_hand() -> None:
    right = np.array([[1, 1, 0, 1, 0], [1, 0, 0, 1, 1]], bool)
    flickr, mapillary = by_slice(right, ["mapillary", "flickr", "flickr", "mapillary", None])
    assert flickr == Slice("flickr", 2, 0.25, *wilson(0.5, 2))
    assert mapillary == Slice("mapillary", 2, 1.0, *wilson(2, 2))


def test_all_photos_in_one_slice_score_as_a_whole() -> None:
    right = np.random.default_rng(0).random((3, 50)) < 0.7
    (whole,) = by_slice(right, ["all"] * 50)
    assert whole.accuracy == pytest.approx(right.mean())
    assert by_slice(right, [None] * 50) == []


@pytest.mark.parametrize("shape", [(5,), (0, 5), (2, 4)])
def test_refuses_what_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="answers have shape"):
        by_slice(np.zeros(shape, bool), ["a"] * 5)


PLACES = np.array([[41.01, 28.97], [41.2, 29.1], [39.93, 32.86], [np.nan, np.nan], [38.42, 27.14], [52.5, 13.4]])
CENTRES = np.array([[41.01, 28.97], [39.93, 32.86], [52.52, 13.41]])


def truth_of(protocol: str = "city", gallery: NDArray[np.float64] | None = None) -> Truth:
    """Return six photos of three cities in two countries; one has no place."""
    places = CENTRES if gallery is None else gallery
    return Truth(
        photo_ids=[f"a:{number}" for number in range(6)],
        labels=np.array([0, 0, 1, 1, 0, 2]),
        label_set=LabelSet("city", ("istanbul", "ankara", "berlin"), CENTRES, np.full(3, 30.0)),
        ancestors={"country": np.array([0, 0, 1])},
        places=PLACES,
        headings=np.full(6, np.nan),
        authors=[None] * 6,
        gallery=Gallery(np.arange(len(places)) % 3, places),
        parts={"provider": ["a"] * 6},
        protocol=protocol,
    )


def places_at(*pairs: tuple[float, float] | None) -> Places:
    known = np.array([pair or (np.nan, np.nan) for pair in pairs])
    return Places(known[:, 0], known[:, 1])


def test_every_metric_by_hand() -> None:
    """Photos 0, 2 and 5 are right; the last one's second choice, and the country of the fourth, are too."""
    shares = np.array([[8, 1, 1], [1, 2, 7], [0, 9, 1], [6, 3, 1], [2, 2, 6], [3, 3, 4]], np.float32) / 10
    scores = evaluate([answered(shares)], truth_of())
    assert scores["accuracy"] == Score(0.5, *wilson(3, 6))
    assert scores["accuracy_country"].value == 3 / 6  # 0, 2 and 3: the last one's Turkish cities have 0.6 together
    assert scores["top3"].value == 1.0
    assert scores["macro_f1"].value == pytest.approx((2 / 5 + 2 / 3 + 2 / 4) / 3)
    assert scores["ece"].value == pytest.approx(
        calibration.expected_calibration_error(shares, np.array([0, 0, 1, 1, 0, 2])), abs=1e-6
    )
    km = distances_km(PLACES[:, 0], PLACES[:, 1], *CENTRES[[0, 2, 1, 0, 2, 2]].T)
    known = np.delete(km, 3)
    assert scores["median_km"].value == pytest.approx(np.median(known))
    assert scores["mean_km"].value == pytest.approx(known.mean())
    for level in (1, 25, 200, 750, 2500):
        score = scores[f"within_{level}"]
        assert score.value == np.mean(known <= level)
        assert (score.low, score.high) == wilson(score.value * 5, 5)
    assert scores["within_25"].oracle == 4 / 5  # İzmir's photo has no centre near
    assert scores["geoscore"].oracle == pytest.approx(geoscore(np.delete(nearest_km(PLACES, CENTRES), 3)))
    assert not {"recall_1", "accuracy_city", "accuracy_region"} & set(scores.values)
    assert (scores.withheld, scores.spread, scores.primary) == (0.0, None, "accuracy")
    assert scores.per_class == {"istanbul": 1 / 3, "ankara": 0.5, "berlin": 1.0}


def answered(shares: NDArray[Any], **more: Any) -> predictions.Predictions:
    return predictions.Predictions(np.asarray(shares, np.float32), **more)


def test_withheld_answers_are_wrong_everywhere_and_claim_nothing() -> None:
    shares = np.eye(3)[[0, 0, 1, 1, 0, 2]]
    shares[[1, 5]] = np.nan
    scores = evaluate([answered(shares)], truth_of())
    assert scores.withheld == pytest.approx(2 / 6)
    assert scores["accuracy"].value == scores["top3"].value == scores["accuracy_country"].value == pytest.approx(4 / 6)
    assert scores["ece"].value == 0.0
    assert scores["within_2500"].value == 3 / 5
    assert scores.get("mean_km") is None
    every = evaluate([answered(np.full((6, 3), np.nan))], truth_of())
    assert (every["accuracy"].value, every["geoscore"].value, every.withheld) == (0.0, 0.0, 1.0)
    assert {"ece", "median_km"}.isdisjoint(every.values)


def test_labels_alone_have_no_confidence() -> None:
    shares = np.eye(3)[[0, 1, 1, 0, 0, 2]]
    scores = evaluate([answered(shares, confidence=np.full(6, np.nan))], truth_of())
    assert {"top3", "ece"}.isdisjoint(scores.values)
    stated = evaluate([answered(shares, confidence=np.full(6, 0.9))], truth_of())
    assert stated["ece"].value == pytest.approx(0.9 - 4 / 6)
    assert "top3" not in stated.values


def test_places_have_no_oracle_and_the_label_that_holds_them() -> None:
    given = places_at((41.0, 29.0), None, (40.0, 33.0), (39.0, 32.0), (38.42, 27.14), (52.5, 13.4))
    scores = evaluate([predictions.Predictions(places=given)], truth_of())
    assert scores["accuracy"].value == 5 / 6
    assert scores["within_1"] == Score(2 / 5, *wilson(2, 5))
    assert scores["within_25"].value == 4 / 5
    assert scores.withheld == pytest.approx(1 / 6)
    assert {"top3", "ece"}.isdisjoint(scores.values)


def test_parts_by_heading() -> None:
    here = [photo("a", 41.0, 29.0), photo("b", 41.0, 29.0), photo("c", 41.0, 29.0), photo("d", 42.0, 29.0)]
    queries = [replace(one, heading=heading) for one, heading in zip(here, (10.0, 275.0, None, 10.0), strict=True)]
    gallery = [replace(photo("t", 41.0001, 29.0), heading=heading) for heading in (350.0, 200.0)]
    assert parts_of(queries, gallery)[HEADING] == ["below 45°", "45 to 135°", None, None]
    assert HEADING not in parts_of(here, gallery)


def test_one_label_is_no_question() -> None:
    truth = truth_of("place")
    one = replace(
        truth,
        labels=np.zeros(6, np.int64),
        label_set=LabelSet("city", ("istanbul",), CENTRES[:1], np.full(1, 30.0)),
        ancestors={"country": np.zeros(1, np.int64)},
    )
    answers = [predictions.Predictions(np.ones((6, 1), np.float32), places_at(*map(tuple, PLACES)))]
    of_labels = {metric.name for metric in METRICS if metric.needs == "labels"}
    assert of_labels.isdisjoint(evaluate(answers, one).values)
    assert evaluate(answers, one)["median_km"].value == 0
    levels = [name for name in evaluate(answers, one).values if name.startswith("within_")]
    assert levels == ["within_1", "within_25"]  # the town is 60 km wide
    # By protocol city accuracy is what is ranked by, and stays.
    assert of_labels & set(evaluate(answers, replace(one, protocol="city")).values) == {"accuracy"}
    # One label above several is none either.
    districts = replace(truth, ancestors={"country": np.zeros(3, np.int64)})
    assert "accuracy_country" not in evaluate([answered(np.eye(3)[[0, 0, 1, 1, 0, 2]])], districts).values


def test_recall_at_other_distances_and_no_match() -> None:
    """Of five located queries two can be answered at 25 m, three at 50; the ranking is surest of photo 1, which has none."""
    gallery = np.array([[41.01, 28.97], [39.93, 32.86], [38.4203, 27.14], [52.0, 13.0]])
    rows = np.array([[0, 1], [0, 1], [1, 0], [0, 1], [2, 0], [3, 2]])
    inliers = np.array([[30, 0], [40, 0], [20, 0], [0, 0], [10, 0], [5, 0]], np.int32)
    ranking = Ranking(rows, np.ones((6, 2), np.float32), inliers)
    truth = truth_of("place", gallery)
    scores = evaluate([predictions.Predictions(ranking=ranking)], truth)
    assert [scores[f"recall_1{part}"].value for part in ("_10m", "", "_50m", "_100m")] == [2 / 5, 2 / 5, 3 / 5, 3 / 5]
    assert scores["recall_20_50m"].oracle == 3 / 5
    located = ~np.isnan(truth.places).any(axis=1)
    absent = nearest_km(truth.places, gallery)[located] > 0.025
    assert scores["no_match"].value == pytest.approx(average_precision_score(absent, -inliers[located, 0]))
    assert scores["no_match"].oracle is None
    assert truth.within(0.05)[0] == 3 / 5
    sure = evaluate([predictions.Predictions(ranking=ranking)], truth_of("place", truth.places[located]))
    assert "no_match" not in sure.values


def test_queries_of_one_place_are_one_trial() -> None:
    near = np.array([[41.01, 28.97], [41.01 + 20 / 111195, 28.97], [41.01 + 40 / 111195, 28.97], [np.nan, np.nan]])
    truth = replace(truth_of("place"), photo_ids=list("abcd"), labels=np.zeros(4, np.int64), places=near, parts={})
    assert truth.queried.tolist() == [0, 0, 2, -1]
    scores = evaluate([predictions.Predictions(places=places_at(*map(tuple, near[[0, 1, 0, 0]])))], truth)
    assert scores["recall_1"] == Score(2 / 3, *wilson(4 / 3, 2))
    assert scores.units is not None
    # The same photos have the same interval wherever they stand.
    (city,) = scores.classes.values()
    assert (city.photos, city.accuracy) == (3, 2 / 3)
    (whole,) = evaluate(
        [predictions.Predictions(places=places_at(*map(tuple, near[[0, 1, 0, 0]])))],
        replace(truth, parts={"provider": ["one"] * 4}),
    ).slices["provider"]
    of_board = scores["recall_1"]
    assert [(of.low, of.high) for of in (city, whole)] == [(of_board.low, of_board.high)] * 2
    within = scores["within_1"]
    assert (within.low, within.high) == wilson(2, 2)  # not of three photos


def test_recall_of_a_ranking() -> None:
    """The gallery holds photo 0's and photo 2's place, and one 33 m from photo 4."""
    gallery = np.array([[41.01, 28.97], [39.93, 32.86], [38.4203, 27.14], [52.0, 13.0]])
    rows = np.array([[0, 1], [0, -1], [0, 1], [0, 1], [2, 0], [3, 2]])
    ranking = Ranking(rows, np.where(rows < 0, np.nan, 1.0).astype(np.float32))
    scores = evaluate([predictions.Predictions(ranking=ranking)], truth_of("place", gallery))
    assert scores.primary == "recall_1"
    assert scores["recall_1"] == Score(1 / 5, *wilson(1, 5), oracle=2 / 5)
    assert scores["recall_5"].value == scores["recall_10"].value == 2 / 5
    assert scores.right.tolist() == [[True, False, False, False, False, False]]
    assert scores["within_1"].oracle == 3 / 5
    one = evaluate(
        [predictions.Predictions(places=places_at(*map(tuple, gallery[[0, 0, 1, 1, 2, 3]])))], truth_of("place")
    )
    assert one["recall_1"].value == 2 / 5
    assert "recall_5" not in one.values


def test_chance_in_a_gallery_is_the_share_that_shows_the_place() -> None:
    gallery = np.array([[41.01, 28.97], [41.01, 28.97], [39.93, 32.86], [0.0, 0.0]])
    assert list(truth_of("place", gallery).chances) == pytest.approx([(2 + 1) / 5 / 4] * 2)
    assert truth_of().chances == (1 / 3, 0.5)


@given(st.integers(0, 2**31), st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_scores_agree_with_the_plainest_way_to_count(seed: int, seeds: int) -> None:
    rng = np.random.default_rng(seed)
    truth = truth_of()
    shares = [rng.dirichlet(np.ones(3), 6).astype(np.float32) for _ in range(seeds)]
    for one in shares:
        one[rng.random(6) < 0.2] = np.nan
    scores = evaluate([answered(one) for one in shares], truth)
    right = [
        [not np.isnan(row[0]) and int(row.argmax()) == label for row, label in zip(one, truth.labels, strict=True)]
        for one in shares
    ]
    assert scores["accuracy"].value == pytest.approx(np.mean(right))
    assert scores.right.tolist() == right
    near = [
        not np.isnan(row[0]) and distance_km(*place, *CENTRES[int(row.argmax())]) <= 200
        for one in shares
        for row, place in zip(one, PLACES, strict=True)
        if not np.isnan(place[0])
    ]
    assert scores["within_200"].value == pytest.approx(np.mean(near))
    oracle = scores["within_200"].oracle
    assert oracle is None or oracle >= scores["within_200"].value - 1e-12


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        evaluate([], truth_of())
    with pytest.raises(ValueError, match="5 predictions for 6 photos"):
        evaluate([answered(np.eye(3)[[0, 1, 2, 0, 1]])], truth_of())
    with pytest.raises(ValueError, match="0 predictions for 6 photos"):
        evaluate([predictions.Predictions()], truth_of())


def test_a_density_is_judged() -> None:
    """One kernel of 10 km on each of six photos: on three of them, 5 km and 1,000 km beside two, none of the last."""
    truth = truth_of()
    degrees = np.degrees(np.array([0, 0, 0, 5, 1000, 0]) / 6371.0088)
    latitude, longitude = truth.places[:, 0] + degrees, truth.places[:, 1].copy()
    latitude[5] = longitude[5] = np.nan
    candidates = np.nan_to_num(np.stack([latitude, longitude], axis=1))[:, None]
    places = Places(latitude, longitude, candidates, np.ones((6, 1)), np.full((6, 1), 10.0))
    scores = evaluate([predictions.Predictions(places=places)], truth)
    known = ~np.isnan(truth.places).any(axis=1)
    peak = np.log(0.999 / (2 * np.pi * 100))
    miss, nothing = np.log(0.001 / EARTH_KM2), -np.log(EARTH_KM2)
    each = np.array([peak, peak, peak, peak - 0.125, miss, nothing])
    assert scores["log_score"].value == pytest.approx(each[known].mean(), abs=1e-4)
    assert scores["area50_km2"].value == pytest.approx(200 * np.pi * np.log(2), rel=0.03)
    inside = np.array([1, 1, 1, 1, 0, 0])[known].mean()
    assert scores["coverage90"].value == pytest.approx(inside)
    assert scores["coverage50"].low == pytest.approx(wilson(inside * known.sum(), int(known.sum()))[0])
    assert scores["log_score"].oracle is None


def test_without_a_density_there_is_no_score_of_one() -> None:
    scores = evaluate([answered(np.eye(3)[[0, 1, 2, 0, 1, 2]])], truth_of())
    assert scores.get("log_score") is None
    assert scores.flat()["coverage90"] is None


def test_the_page_of_numbers_has_a_section_for_each_metric_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs/numbers.md").read_text(encoding="utf-8")
    heads = [line for line in page.splitlines() if line.startswith("### ")]
    named = [name for head in heads for name in re.findall(r"`(\w+)`", head)]
    assert sorted(named) == sorted(metric.name for metric in METRICS)


def test_a_metric_says_what_it_is() -> None:
    assert len({metric.name for metric in METRICS}) == len({metric.title for metric in METRICS}) == len(METRICS)
    assert all(metric.formula for metric in METRICS)


def test_the_board_and_score_have_the_same_numbers(tmp_path: Path) -> None:
    """The same predictions as a run of `bench` and as a file of `t15 score`: every number, interval and oracle is equal."""
    manifest = world_manifest(CAPITALS, test=5)
    slugs = [city.slug for city in manifest.header.cities]
    ids = [one.photo_id for one in manifest.photos("test")]
    shares = np.random.default_rng(3).dirichlet(np.ones(len(slugs)), len(ids)).astype(np.float32)
    save_run(tmp_path, run_of(manifest, "here"), Predictions(ids, shares))
    table = tmp_path / "there.csv"
    lines = [[photo_id, *map(repr, row)] for photo_id, row in zip(ids, shares.tolist(), strict=True)]
    table.write_text("\n".join(map(",".join, [["photo_id", *slugs], *lines])), encoding="utf-8")
    scored = put_on_board(read_submission(table, manifest), manifest, tmp_path, "There")
    here, there = leaderboard(manifest, tmp_path).rows
    assert here.scores == there.scores == scored.scores
    assert here.scores.flat() == scored.scores.flat()
    assert sum(value is not None for value in here.scores.flat().values()) > 30
