"""Groups of words, how they stand to each other, and saliency."""

import numpy as np
import pytest

from benchmark.local.regions import Region, agreement, mean_shift, regions_of, saliency

IDF = np.arange(1.0, 11.0)


def test_mean_shift_finds_clusters_whatever_their_order() -> None:
    random = np.random.default_rng(0)
    points = np.concatenate([random.normal(0.2, 0.02, (20, 2)), random.normal(0.8, 0.02, (30, 2))])
    groups = mean_shift(points, 0.15)
    assert groups.tolist() == [0] * 20 + [1] * 30
    order = random.permutation(50)
    shuffled = mean_shift(points[order], 0.15)
    assert len({(a, b) for a, b in zip(groups[order].tolist(), shuffled.tolist(), strict=True)}) == 2
    assert mean_shift(np.empty((0, 2)), 0.1).tolist() == []
    assert mean_shift(np.zeros((3, 2)), 0.1).tolist() == [0, 0, 0]


def test_a_mode_is_the_mean_of_all_within_the_bandwidth() -> None:
    points = np.array([[0.0, 0], [0.1, 0], [0.2, 0], [1.0, 0]])
    assert mean_shift(points, 0.3).tolist() == [0, 0, 0, 1]


def test_regions_keep_the_rarest_words_once() -> None:
    words = np.array([3, 3, 1, 7, 9, 2])
    points = np.array([[0.5, 0.5], [0.6, 0.5], [0.5, 0.6], [0.52, 0.5], [0.5, 0.52], [0.0, 0.0]])
    found = regions_of(words, points, IDF, 0.2, 3, None)
    assert [region.words.tolist() for region in found] == [[3, 7, 9]]
    assert found[0].points[0].tolist() == [0.5, 0.5]
    assert regions_of(words[:2], points[:2], IDF, 0.2, 3, None) == []


def test_agreement_by_hand() -> None:
    first = Region(np.array([1, 2, 5]), np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]))
    moved = Region(np.array([1, 2, 5]), np.array([[0.5, 0.6], [0.6, 0.7], [0.9, 0.8]]))
    turned = Region(np.array([1, 2, 6]), np.array([[0.6, 0.6], [0.5, 0.7], [0.9, 0.8]]))
    assert agreement(first, moved, IDF, 2) == 2 + 3 + 6
    assert agreement(first, turned, IDF, 2) == (2 + 3) / 2  # one bit of two
    assert agreement(first, turned, IDF, 3) == 0
    assert agreement(first, Region(np.array([1]), np.zeros((1, 2))), IDF, 1) == 0


def test_saliency_rests_on_what_differs() -> None:
    grey = np.zeros((64, 64))
    grey[33, 23] = 50
    salient = saliency(grey)
    assert salient.shape == (64, 64)
    assert salient.mean() == pytest.approx(1, abs=1e-3)
    top = np.unravel_index(salient.argmax(), salient.shape)
    assert abs(int(top[0]) - 33) < 8
    assert abs(int(top[1]) - 23) < 8
    assert np.isfinite(saliency(np.zeros((130, 70)))).all()
