"""The nearest training photos: who they are and how far, and what a file keeps of them."""

from typing import Any

import numpy as np
import pytest

from benchmark.predicting.neighbours import Training, training_from_arrays, training_photos
from tests.conftest import MakePhoto

RANDOM = np.random.default_rng(5)


def training(
    make_photo: MakePhoto, scale: float = 1.0, offset: float = 0.0, photos: int = 1500
) -> tuple[Training, Any]:
    embeddings = (scale * RANDOM.normal(size=(photos, 8)) + offset).astype(np.float32)
    return training_photos(embeddings, [make_photo(number) for number in range(photos)]), embeddings


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e-4, 0.5), (1e5, 1e6)])
def test_the_nearest_are_found_whatever_the_units(make_photo: MakePhoto, scale: float, offset: float) -> None:
    """Half precision alone would overflow at 65,504 and see no difference between 0.5000 and 0.5001."""
    known, embeddings = training(make_photo, scale, offset)
    for _ in range(20):
        wanted = (scale * RANDOM.normal(size=8) + offset).astype(np.float32)
        exact = np.linalg.norm(embeddings.astype(np.float64) - wanted, axis=1)
        found = known.nearest(wanted, 5)
        rows = [int(one.credit.photo_id.partition(":")[2]) for one in found]
        np.testing.assert_allclose(exact[rows], np.sort(exact)[:5], rtol=0.01)
        distances = [one.distance or 0.0 for one in found]
        assert distances == sorted(distances)
    assert known.nearest(embeddings[7], 1)[0].credit.photo_id == "made:0007"
    assert (known.nearest(embeddings[7], 1)[0].distance or 0.0) < 0.01


def test_distance_1_is_that_of_two_photos_at_random(make_photo: MakePhoto) -> None:
    known, embeddings = training(make_photo, 30.0)
    distances = [np.median([one.distance for one in known.nearest(row, 1500)]) for row in embeddings[:50]]
    assert np.median(distances) == pytest.approx(1, abs=0.05)


def test_photos_that_are_all_alike_are_at_distance_0(make_photo: MakePhoto) -> None:
    alike = training_photos(np.ones((3, 4), np.float32), [make_photo(number) for number in range(3)])
    found = alike.nearest(np.ones(4, np.float32))
    assert [(one.credit.photo_id, one.distance) for one in found] == [(f"made:000{number}", 0.0) for number in range(3)]


def test_credits_go_through_arrays(make_photo: MakePhoto) -> None:
    photos = [make_photo(0, title="<script>\udcff", author_name=None, latitude=None, longitude=None), make_photo(1)]
    known = training_photos(np.eye(2, 4, dtype=np.float32), photos)
    again = training_from_arrays(known.to_arrays())
    assert again is not None
    assert again.credits == known.credits
    assert again.credits[0].title == "<script>\udcff"
    assert (again.credits[1].license, again.credits[1].sha256) == ("CC-BY-4.0", photos[1].sha256)
    np.testing.assert_array_equal(again.embeddings, known.embeddings)
    assert training_from_arrays({}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"credits": np.frombuffer(b"[]", np.uint8)},
        {"credits": np.frombuffer(b"[{}, {}]", np.uint8)},
        {"credits": np.frombuffer(b"{", np.uint8)},
        {"credits": np.frombuffer(b'[{"photo_id": [], "city": "", "sha256": "", "license": ""}]', np.uint8)},
        {"embeddings": np.zeros((2, 4), np.float32)},
        {"embeddings": np.full((2, 4), np.inf, np.float16)},
        {"mean": np.zeros(3, np.float32)},
        {"scale": np.zeros(1)},
        {"scale": np.zeros(2)},
    ],
)
def test_damage_is_refused(make_photo: MakePhoto, change: dict[str, Any]) -> None:
    known = training_photos(np.eye(2, 4, dtype=np.float32), [make_photo(0), make_photo(1)])
    with pytest.raises((ValueError, KeyError, TypeError)):
        training_from_arrays({**known.to_arrays(), **change})
