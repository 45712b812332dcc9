"""Synthetic places for the tests: crowds anywhere on the sphere, and turns of the whole of it."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmark.predictions import Places
from benchmark.retrieval.mixture import Mixture
from collector.geo import places_of, unit_vectors

CORNERS = ((0.0, 0.0), (41.0, 29.0), (0.0, 180.0), (0.0, -180.0), (90.0, 0.0), (-90.0, 70.0), (89.99, 180.0))
"""Ordinary places, the date line from both sides, and the poles."""


def crowd(centre: tuple[float, float], km: float, count: int, seed: int) -> NDArray[np.float64]:
    """Return places (count, 2) around a centre, normal with a deviation of about `km` in every direction."""
    random = np.random.default_rng(seed)
    vectors = unit_vectors(*centre) + random.normal(0, km / 6371.0088, (count, 3))
    return places_of(vectors)


def turned(places: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return places (..., 2) after a random turn of the sphere."""
    turn = Rotation.random(rng=np.random.default_rng(seed))
    vectors = unit_vectors(places[..., 0], places[..., 1])
    return places_of(turn.apply(vectors.reshape(-1, 3)).reshape(vectors.shape))


def stated(places: NDArray[np.float64], weights: NDArray[np.float64], sigma: float | NDArray[np.float64]) -> Mixture:
    """Return the density of one photo over places (K, 2) that spread by sigma, in km."""
    spreads = np.broadcast_to(sigma, weights.shape)[None]
    mixture = Mixture.of(Places(places[:1, 0], places[:1, 1], places[None], weights[None] / weights.sum(), spreads))
    assert mixture is not None
    return mixture
