"""The imaginary world is the same every time, and has what a real collection has."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from collector.errors import UsageError
from collector.geo import distance_km
from collector.sandbox import painter, scenes
from collector.sandbox.scenes import CITIES, plan, render


@pytest.mark.parametrize(("seed", "cities", "photos"), [(0, 0, 5), (0, 9, 5), (0, 2, 0), (-1, 2, 5)])
def test_numbers_out_of_range_are_usage_errors(seed: int, cities: int, photos: int) -> None:
    with pytest.raises(UsageError, match="sandbox"):
        plan(seed, cities, photos)


def test_the_cities_are_far_apart_and_every_scene_is_near_its_own() -> None:
    for a, b in combinations(CITIES, 2):
        assert distance_km(a.latitude, a.longitude, b.latitude, b.longitude) > 60
    assert list(painter.LOOKS) == [city.slug for city in CITIES]
    by_slug = {city.slug: city for city in CITIES}
    for scene in plan(0):
        city = by_slug[scene.city]
        assert distance_km(city.latitude, city.longitude, scene.latitude, scene.longitude) < city.radius_km
        assert 2019 <= scene.taken_at.year <= 2024
        assert scene.taken_at.utcoffset() is not None


def test_the_plan_has_what_a_real_collection_has() -> None:
    planned = plan(0)
    assert len({scene.scene_id for scene in planned}) == len({scene.seed for scene in planned}) == 1200
    authors = Counter(scene.author_id for scene in planned if scene.city == CITIES[0].slug)
    assert sum(number for _, number in authors.most_common(5)) > 150 * 0.4
    assert len(authors) > 10
    assert any("traveller" in scene.author_id for scene in planned)
    ordinary = sum(scene.view in {"detail", "interior", "table", "flowers"} for scene in planned)
    assert 0.2 < ordinary / len(planned) < 0.3
    assert set(scenes.HOSTILE) <= {scene.title for scene in planned}
    assert set(scenes.HOSTILE) & {scene.author_name for scene in planned}
    assert {scene.view for scene in planned} == set(painter.VIEWS)
    assert {scene.light for scene in planned} == set(painter.LIGHTS)
    names = {scene.author_id: scene.author_name for scene in planned}
    assert all(names[scene.author_id] == scene.author_name for scene in planned)


def test_the_cities_can_be_told_apart_by_tiny_pictures_but_not_easily() -> None:
    planned = plan(0, 8, 60)
    pixels = np.stack([np.asarray(render(s).resize((16, 16)), dtype=np.float32).ravel() for s in planned])
    labels = np.array([[city.slug for city in CITIES].index(s.city) for s in planned])
    train = np.arange(len(planned)) % 60 < 45
    # Squared distances without their constant term, which does not change the order of the neighbours.
    apart = (pixels[train] ** 2).sum(1) - 2 * pixels[~train] @ pixels[train].T
    votes = labels[train][np.argsort(apart, axis=1)[:, :11]]
    predicted = np.array([np.bincount(row, minlength=8).argmax() for row in votes])
    assert 2 / 8 < (predicted == labels[~train]).mean() < 0.7
