"""How far an answer is from where the photo was taken.

Distances are great circles on a sphere of R = 6371.0088 km (`collector.geo`), (N,) in km: NaN for a photo whose place is
unknown, which counts in no score here; infinite for a withheld answer, which is as wrong as can be.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.geo import EARTH_RADIUS_KM, distances_km

LEVELS_KM = (1, 25, 200, 750, 2500)
"""The field's levels: street, city, region, country, continent. N. Vo, N. Jacobs, J. Hays, "Revisiting IM2GPS in the deep
learning era", ICCV 2017."""

CONVENTION = (
    f"Distances are great circles on a sphere of R = {EARTH_RADIUS_KM} km; a level of x km holds answers ≤ x km off."
)
"""What every table of distances says, since five conventions are in use."""

WORLD_SCALE_KM = 1492.7
"""The scale of GeoGuessr's map of the world (see `geoscore`)."""


def errors_km(answers: NDArray[Any], places: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far each answered place is from where the photo was taken: (N,) km.

    Args:
        answers: (N, 2), latitude and longitude in degrees, NaN where the answer was withheld.
        places: (N, 2), NaN where unknown.

    Raises:
        ValueError: the shapes are not (N, 2).
    """
    answered, taken = np.asarray(answers, np.float64), np.asarray(places, np.float64)
    if answered.ndim != 2 or answered.shape[1] != 2 or taken.shape != answered.shape:
        raise ValueError(f"answers have shape {answered.shape} and places {taken.shape}: must be (photos, 2)")
    km = distances_km(answered[:, 0], answered[:, 1], taken[:, 0], taken[:, 1])
    withheld = np.isnan(answered).any(axis=1) & ~np.isnan(taken).any(axis=1)
    return np.where(withheld, np.inf, km)


def share_within(km: NDArray[Any], radius: float) -> float:
    """Return the share of the known distances that are at most `radius` km; NaN where none is known."""
    known = known_km(km)
    return float(np.mean(known <= radius)) if len(known) else float("nan")


def geoscore(km: NDArray[Any], scale_km: float = WORLD_SCALE_KM) -> float:
    """Return the mean of 5000 exp(-km / scale) over the known distances, 0 to 5000; NaN where none is known.

    The points of the game GeoGuessr on its map of the world, as G. Astruc et al. take them, "OpenStreetView-5M: the many
    roads to global visual geolocation", CVPR 2024, section 4.1. Within one country nearly every answer scores high.

    Raises:
        ValueError: the scale is not above 0.
    """
    if not scale_km > 0:
        raise ValueError(f"scale_km is {scale_km}: must be above 0")
    known = known_km(km)
    return float(5000 * np.exp(-known / scale_km).mean()) if len(known) else float("nan")


def median_km(km: NDArray[Any]) -> float:
    """Return the median of the known distances; infinite where half of the answers or more were withheld."""
    known = np.sort(known_km(km))
    # Not numpy's median, which makes NaN of two infinite neighbours.
    return float((known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2) if len(known) else float("nan")


def mean_km(km: NDArray[Any]) -> float:
    """Return the mean of the known distances; infinite where an answer was withheld."""
    known = known_km(km)
    return float(known.mean()) if len(known) else float("nan")


def median_interval(
    km: NDArray[Any], samples: int = 2000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the median over photos, all seeds of a drawn photo with it.

    B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. NaN twice where no distance is known.

    Args:
        km: (S, N), one row a seed.
        samples: how often N photos are drawn with replacement.
        seed: of the draws.
        confidence: probability that the interval is to cover.
    """
    distances = np.asarray(km, np.float64)
    distances = distances[:, ~np.isnan(distances).any(axis=0)]
    seeds, photos = distances.shape
    if not photos:
        return float("nan"), float("nan")
    order = np.argsort(distances, axis=None, kind="stable")
    ordered, photo = distances.ravel()[order], order % photos
    low, high = (seeds * photos - 1) // 2, seeds * photos // 2
    rng = np.random.default_rng(seed)
    medians = []
    at_once = max(1, min(samples, 500_000 // (seeds * photos)))
    for first in range(0, samples, at_once):
        rows = min(at_once, samples - first)
        drawn = rng.integers(photos, size=(rows, photos)) + photos * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * photos).reshape(rows, photos).astype(np.int32)
        upto = counts[:, photo].cumsum(
            axis=1, dtype=np.int32
        )  # how many drawn distances are at most the k-th smallest of all
        medians += [(ordered[(upto <= low).sum(axis=1)] + ordered[(upto <= high).sum(axis=1)]) / 2]
    every = np.sort(np.concatenate(medians))
    tail = (1 - confidence) / 2
    return float(every[int(tail * (samples - 1))]), float(every[int(np.ceil((1 - tail) * (samples - 1)))])


def known_km(km: NDArray[Any]) -> NDArray[np.float64]:
    """Return the distances of photos whose place is known.

    Raises:
        ValueError: the distances are not (N,).
    """
    distances = np.asarray(km, np.float64)
    if distances.ndim != 1:
        raise ValueError(f"distances have shape {distances.shape}: must be (photos,)")
    return distances[~np.isnan(distances)]
