"""GeoCLIP's location encoder: against a slow reference, a projection's known values, and its published weights."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmark.networks.location_encoder import SIGMAS, LocationEncoder, equal_earth
from collector.geo import distances_km

CITIES = {
    "İstanbul": (41.01, 28.98),
    "Bursa": (40.19, 29.06),
    "Ankara": (39.93, 32.86),
    "Athens": (37.98, 23.73),
    "Paris": (48.86, 2.35),
    "London": (51.51, -0.13),
    "New York": (40.71, -74.01),
    "Boston": (42.36, -71.06),
    "Tokyo": (35.68, 139.69),
    "Osaka": (34.69, 135.50),
    "Sydney": (-33.87, 151.21),
    "Melbourne": (-37.81, 144.96),
    "Nairobi": (-1.29, 36.82),
    "São Paulo": (-23.55, -46.63),
}
NEAREST = {"İstanbul": "Bursa", "Bursa": "İstanbul", "Tokyo": "Osaka", "Osaka": "Tokyo", "Boston": "New York"}


def slow(state: dict[str, Any], latitude: float, longitude: float) -> NDArray[np.float64]:
    """Return the vector of one place, step by step, number by number in Python where that is feasible."""
    phi, theta = math.radians(latitude), math.radians(longitude)
    t = math.asin(math.sqrt(3) / 2 * math.sin(phi))
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    x = 2 * math.sqrt(3) * theta * math.cos(t) / (3 * (9 * a4 * t**8 + 7 * a3 * t**6 + 3 * a2 * t**2 + a1))
    y = a4 * t**9 + a3 * t**7 + a2 * t**3 + a1 * t
    x, y = x * 66.50336 / 180, y * 66.50336 / 180
    total: Any = np.zeros(len(state["LocEnc0.head.0.bias"]))
    for scale in range(3):
        of = {
            name: np.asarray(value, np.float64) for name, value in state.items() if name.startswith(f"LocEnc{scale}.")
        }
        waves = [2 * math.pi * (float(b[0]) * x + float(b[1]) * y) for b in of[f"LocEnc{scale}.capsule.0.b"]]
        hidden = np.array([*map(math.cos, waves), *map(math.sin, waves)])
        for layer in (1, 3, 5):
            weights, biases = (of[f"LocEnc{scale}.capsule.{layer}.{name}"] for name in ("weight", "bias"))
            hidden = np.array([max(0.0, float(row @ hidden) + bias) for row, bias in zip(weights, biases, strict=True)])
        total = total + of[f"LocEnc{scale}.head.0.weight"] @ hidden + of[f"LocEnc{scale}.head.0.bias"]
    return np.asarray(total, np.float64)


def cosine(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def encoded(encoder: LocationEncoder, places: Any) -> NDArray[np.float64]:
    with torch.no_grad():
        vectors: NDArray[np.float64] = encoder(torch.tensor(places, dtype=torch.float32)).double().numpy()
    return vectors


def test_the_projection_has_equal_areas() -> None:
    """On a grid of places the area of a small square on the plane, over that on the sphere, is the same everywhere."""
    step, areas = 1e-2, []
    for latitude in (-80.0, -35.0, 0.0, 20.0, 60.0, 85.0):
        corners = [(latitude, 10.0), (latitude + step, 10.0), (latitude, 10.0 + step)]
        origin, north, east = equal_earth(torch.tensor(corners, dtype=torch.float64)).numpy()
        (a, b), (c, d) = north - origin, east - origin
        areas.append(abs(a * d - b * c) / math.cos(math.radians(latitude + step / 2)))
    assert np.allclose(areas, areas[0], rtol=1e-3)
    assert equal_earth(torch.tensor([[0.0, 180.0]], dtype=torch.float64))[0, 0] == pytest.approx(1.0, abs=0.001)


def test_it_is_the_slow_reference() -> None:
    torch.manual_seed(0)
    encoder = LocationEncoder(SIGMAS, width=12, dimensions=7)
    state = encoder.state_dict()
    for place, vector in zip(CITIES.values(), encoded(encoder, list(CITIES.values())), strict=True):
        assert cosine(vector, slow(state, *place)) > 0.999


@pytest.fixture(scope="module")
def published() -> tuple[LocationEncoder, dict[str, Any]]:
    if "T15_REAL_DATA" not in os.environ:
        pytest.skip("needs T15_REAL_DATA")
    path = Path(os.environ["T15_REAL_DATA"]) / "new" / "weights" / "geoclip_location_encoder_fp16.pth"
    state = {name: of.float() for name, of in torch.load(path, weights_only=True).items()}
    encoder = LocationEncoder()
    encoder.load_state_dict(state)
    return encoder, state


def test_with_the_published_weights_it_is_the_slow_reference(published: tuple[LocationEncoder, dict[str, Any]]) -> None:
    encoder, state = published
    places = [*list(CITIES.values())[:4], (0.0, 179.99), (89.0, -120.0)]
    for place, vector in zip(places, encoded(encoder, places), strict=True):
        assert cosine(vector, slow(state, *place)) > 0.999


def test_published_vectors_of_near_cities_are_near(published: tuple[LocationEncoder, dict[str, Any]]) -> None:
    names, vectors = list(CITIES), encoded(published[0], list(CITIES.values()))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T - 2 * np.eye(len(names))
    for name, wanted in NEAREST.items():
        assert names[int(cosines[names.index(name)].argmax())] == wanted


def test_published_cosines_fall_with_the_distance(published: tuple[LocationEncoder, dict[str, Any]]) -> None:
    """The mean cosines that the weights came with: 0.49 below 100 km, 0.20 to 500, 0.05 beyond 6,000."""
    path = Path(os.environ["T15_REAL_DATA"]) / "new" / "weights" / "geoclip_gallery_100k.csv"
    places = np.loadtxt(path, delimiter=",", skiprows=1)[::50][:2000]
    vectors = encoded(published[0], places)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    km = distances_km(places[:, :1], places[:, 1:], places[:, 0], places[:, 1])
    cosines, apart = vectors @ vectors.T, ~np.eye(len(places), dtype=bool)
    near, middle, far = (
        cosines[apart & (low <= km) & (km < high)].mean() for low, high in ((0, 100), (100, 500), (6000, 30_000))
    )
    assert near > 2 * middle > 4 * far
    assert (near, middle, far) == pytest.approx((0.49, 0.20, 0.05), abs=0.06)
