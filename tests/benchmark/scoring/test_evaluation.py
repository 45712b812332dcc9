"""Held against the truth: distances, calibration, parts of the photos, and what the best method confuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.leaderboard.table import leaderboard
from benchmark.results import Predictions, save_run
from benchmark.scoring.evaluation import parts_of, truth_of
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
    assert row.ece == pytest.approx(0.7 - 1 / 7, abs=1e-6)
    assert row.geo is not None
    assert row.geo.photos == 175
    assert row.geo.within_25 == pytest.approx(1 / 7)
    assert row.geo.within_750 == pytest.approx(2 / 7)  # London is 344 km away, Berlin 878
    assert row.geo.median_km == pytest.approx(1053, abs=15)  # Madrid
    slices = {one.name: one for one in row.slices["provider"]}
    assert set(row.slices) == {"provider", "licence", "author", NEAREST}
    assert slices["flickr"].photos + slices["commons"].photos == 175


def test_a_closer_look_at_the_best(tmp_path: Path) -> None:
    manifest = manifest_of()
    add_run(tmp_path, manifest, "worse", 3)
    for seed in (0, 1):
        add_run(tmp_path, manifest, "best", 9, seed=seed, stochastic=True)
    board = leaderboard(manifest, tmp_path)
    assert board.closer is not None
    # Three of five are right in each city, and what is wrong is said to be the next city; two seeds.
    assert board.closer.confusion == ((6, 4, 0), (0, 6, 4), (4, 0, 6))
    (only,) = board.closer.reliability
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
    assert replace(a, method="b", runs=b.runs, command=b.command, title=b.title) == b


def test_truth_knows_photos_without_places() -> None:
    manifest = manifest_of()
    truth = truth_of(manifest)
    assert np.isnan(truth.places).all()
    assert truth.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert build_manifest(manifest.header, manifest.photos("test"), "t").digest != manifest.digest
