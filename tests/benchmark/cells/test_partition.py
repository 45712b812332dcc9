"""What a cell answers with, and thresholds that grow with the manifest."""

import numpy as np
import pytest

from benchmark.cells.partition import Thresholds, means, scaled
from collector.geo import mean_place


def test_a_cell_answers_with_the_mean_on_the_sphere() -> None:
    places = np.array([[0.0, 179.0], [0.0, -179.0], [10.0, 20.0], [89.0, 0.0], [89.0, 180.0]])
    answers = means(places, np.array([0, 0, -1, 1, 1]), 2)
    assert np.allclose(np.abs(answers[0]), [0, 180])
    assert answers[1, 0] == pytest.approx(90)
    assert np.allclose(answers[0], mean_place(places[:2]))


def test_places_that_cancel_out_are_answered_by_the_first() -> None:
    assert np.allclose(means(np.array([[90.0, 0.0], [-90.0, 0.0]]), np.array([0, 0]), 1)[0, 0], 90)


def test_thresholds_are_shares_of_a_labels_photos() -> None:
    assert scaled(1500, 10, 0.4, 1 / 30) == Thresholds(60, 5)
    assert scaled(3, 3, 0.4, 0.1) == Thresholds(1, 1)
    for photos, labels in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="photos of"):
            scaled(photos, labels, 0.4, 0.1)
    with pytest.raises(ValueError, match="at most 0"):
        Thresholds(0)
