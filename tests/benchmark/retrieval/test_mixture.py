"""Densities that answers state: against integrals on a grid, closed forms, and each other round the Earth."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.predictions import Places
from benchmark.retrieval.mixture import EARTH_KM2, EVEN, Mixture
from collector.geo import EARTH_RADIUS_KM

ANYWHERE = [(0.0, 0.0), (41.0, 29.0), (90.0, 0.0), (-90.0, 50.0), (12.0, 180.0), (-45.0, -179.999)]


def stated(candidates: list[list[tuple[float, float]]], weights: list[list[float]], spread_km: float) -> Mixture:
    places, shares = np.array(candidates), np.array(weights)
    answers = places[:, 0]
    made = Mixture.of(Places(answers[:, 0], answers[:, 1], places, shares, np.full(shares.shape, spread_km)))
    assert made is not None
    return made


@pytest.mark.parametrize("place", ANYWHERE)
@pytest.mark.parametrize("spread", [0.05, 1.0, 25.0, 444.0])
def test_a_lone_place_is_a_gaussian(place: tuple[float, float], spread: float) -> None:
    """Its areas are 2πσ² ln 2 and 2πσ² ln 10, its peak 1 / 2πσ², everywhere on the sphere."""
    one = stated([[place]], [[1.0]], spread)
    drawn = one.drawn()
    for share, wanted in ((0.5, np.log(2)), (0.9, np.log(10))):
        assert drawn.area(share)[0] == pytest.approx(2 * np.pi * spread**2 * wanted, rel=0.03)
    peak = one.log_density(np.array([place]))[0]
    assert peak == pytest.approx(-np.log(2 * np.pi * spread**2), abs=0.002)


def test_it_integrates_to_one() -> None:
    """Over the whole Earth, on rings of equal area: two wide places, one of them at the date line."""
    made = stated([[(60.0, 180.0), (-30.0, 10.0)]], [[0.7, 0.3]], 900.0)
    sines = (np.arange(400) + 0.5) / 200 - 1
    latitude, longitude = np.meshgrid(np.degrees(np.arcsin(sines)), np.arange(720) / 2 - 180)
    grid = np.stack([latitude.ravel(), longitude.ravel()], axis=1)[None]
    density = np.exp(made.log_density(grid))
    assert density.mean() * EARTH_KM2 == pytest.approx(1, abs=1e-4)
    # Its smallest regions, by sorting the grid: the very definition.
    ordered = np.sort(density[0])[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    for share in (0.5, 0.9):
        area = (np.searchsorted(held, share) + 1) / len(ordered) * EARTH_KM2
        assert made.drawn(2000).area(share)[0] == pytest.approx(area, rel=0.03)
        assert made.drawn().area(share)[0] == pytest.approx(area, rel=0.08)


def test_the_level_of_a_place_is_the_share_that_is_denser() -> None:
    """Of a Gaussian the region that reaches d holds 1 - exp(-d²/2σ²)."""
    degrees = np.degrees(np.array([0.0, 0.5, 1.0, 2.0, 5.0]) * 10 / EARTH_RADIUS_KM)
    made = stated([[(0.0, 0.0)]] * 5, [[1.0]] * 5, 10.0)
    level = made.drawn().level(made.log_density(np.column_stack([degrees, np.zeros(5)])))
    assert level == pytest.approx([0, 1 - np.exp(-0.125), 1 - np.exp(-0.5), 1 - np.exp(-2), 1], abs=0.01)


def test_coverage_of_what_is_drawn_from_it() -> None:
    """Truths drawn from the very densities are in their 50 and 90 % regions 50 and 90 times in a hundred."""
    random = np.random.default_rng(0)
    count, spread = 1500, 30.0
    centres = np.stack([random.uniform(-60, 60, (count, 3)), random.uniform(-180, 180, (count, 3))], axis=2)
    weights = random.dirichlet(np.ones(3), count)
    latitude, longitude = centres[:, 0].T
    made = Mixture.of(Places(latitude, longitude, centres, weights, np.full((count, 3), spread)))
    assert made is not None
    which = (weights.cumsum(axis=1) < random.random((count, 1))).sum(axis=1)
    chosen = centres[np.arange(count), which]
    km = random.normal(0, spread, (count, 2)) / EARTH_RADIUS_KM
    truth = chosen + np.degrees(np.stack([km[:, 0], km[:, 1] / np.cos(np.radians(chosen[:, 0]))], axis=1))
    level = made.drawn().level(made.log_density(truth))
    for share in (0.5, 0.9):
        assert (level <= share).mean() == pytest.approx(share, abs=0.03)


def test_what_it_holds_impossible_is_as_good_as_nothing() -> None:
    made = stated([[(0.0, 0.0)]], [[1.0]], 0.05)
    far, unknown = np.array([[10.0, 10.0]]), np.array([[np.nan, np.nan]])
    assert made.log_density(far)[0] == pytest.approx(np.log(EVEN / EARTH_KM2))
    assert made.drawn().level(made.log_density(far))[0] == 1
    assert np.isnan(made.drawn().level(made.log_density(unknown)))[0]


def test_a_withheld_answer_is_even_everywhere() -> None:
    candidates = np.zeros((2, 1, 2))
    where = np.array([np.nan, 0.0])
    made = Mixture.of(Places(where, where, candidates, np.ones((2, 1)), np.ones((2, 1))))
    assert made is not None
    logs, drawn = made.log_density(np.zeros((2, 2))), made.drawn()
    assert logs[0] == pytest.approx(-np.log(EARTH_KM2))
    assert drawn.level(logs).tolist() == [1, 0]
    assert drawn.area(0.5)[0] == pytest.approx(EARTH_KM2 / 2)


def test_without_spreads_nothing_is_stated() -> None:
    assert Mixture.of(Places(np.zeros(1), np.zeros(1))) is None
    assert Mixture.of(Places(np.zeros(1), np.zeros(1), np.zeros((1, 1, 2)), np.ones((1, 1)))) is None


@pytest.mark.parametrize("spread", [np.zeros((1, 1)), np.ones((1, 2)), np.full((1, 1), np.nan)])
def test_spreads_have_to_fit(spread: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="spread_km"):
        Places(np.zeros(1), np.zeros(1), np.zeros((1, 1, 2)), np.ones((1, 1)), spread)
