"""Geometry on the sphere, for the whole house: one radius, one formula, one way to bring places into space.

Places are latitude and longitude in degrees WGS84. The Earth is a sphere of mean radius 6371.0088 km, which differs from
the ellipsoid by at most about 0.5 %.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy is imported by what computes with arrays: `t15 cities` and help texts do not wait for it
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS_KM = 6371.0088
"""Mean radius R1 of the GRS 80 ellipsoid, (2a + b) / 3: H. Moritz, "Geodetic Reference System 1980", Journal of Geodesy
74 (2000), 128-133."""

KM_PER_DEGREE = math.radians(1) * EARTH_RADIUS_KM
"""Length of a degree of latitude, and of one of longitude at the equator."""


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance between two points in kilometres, by the haversine formula.

    Source: R. W. Sinnott, "Virtues of the haversine", Sky & Telescope 68 (1984), 159.

    Args:
        lat1: latitude of the first point, degrees, -90 to 90.
        lon1: longitude of the first point, degrees; any turn of 360 is the same.
        lat2: latitude of the second point, degrees.
        lon2: longitude of the second point, degrees.
    """
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half_chord_squared = (
        math.sin((phi2 - phi1) / 2) ** 2
        + math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half_chord_squared)))  # rounding may pass 1 at antipodes


def distances_km(lat1: ArrayLike, lon1: ArrayLike, lat2: ArrayLike, lon2: ArrayLike) -> NDArray[np.float64]:
    """Return great-circle distances in kilometres, element by element: `distance_km` for arrays.

    Args:
        lat1, lon1, lat2, lon2: degrees; anything that numpy broadcasts together. NaN gives NaN.
    """
    import numpy as np

    phi1, lambda1, phi2, lambda2 = (np.radians(np.asarray(degrees, np.float64)) for degrees in (lat1, lon1, lat2, lon2))
    half_chord_squared = np.sin((phi2 - phi1) / 2) ** 2
    half_chord_squared = half_chord_squared + np.cos(phi1) * np.cos(phi2) * np.sin((lambda2 - lambda1) / 2) ** 2
    km: NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half_chord_squared, 1.0)))
    return km


def unit_vectors(latitude: ArrayLike, longitude: ArrayLike) -> NDArray[np.float64]:
    """Return places as points of the unit sphere, (..., 3): in space there are neither poles nor a date line."""
    import numpy as np

    phi, theta = np.radians(np.asarray(latitude, np.float64)), np.radians(np.asarray(longitude, np.float64))
    return np.stack((np.cos(phi) * np.cos(theta), np.cos(phi) * np.sin(theta), np.sin(phi)), axis=-1)


def places_of(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Return the places (..., 2), latitude and longitude in degrees, that vectors (..., 3) of any length point to."""
    import numpy as np

    x, y, z = np.moveaxis(np.asarray(vectors, np.float64), -1, 0)
    return np.stack((np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))), axis=-1)


def mean_place(places: NDArray[Any], weights: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Return the mean on the sphere, (2,), of places (N, 2): the direction of the (weighted) mean vector.

    Raises:
        ValueError: there is no place, or the places cancel out (such as the two poles): they have no mean.
    """
    import numpy as np

    vectors = unit_vectors(places[:, 0], places[:, 1])
    total = vectors.sum(axis=0) if weights is None else np.asarray(weights, np.float64) @ vectors
    if not len(vectors) or np.linalg.norm(total) < 1e-9 * len(vectors):
        raise ValueError("these places have no mean")
    return places_of(total)


def chord(km: float) -> float:
    """Return the straight-line distance on the unit sphere of points `km` apart: the radius to search a tree with."""
    return 2 * math.sin(min(km / EARTH_RADIUS_KM, math.pi) / 2)
