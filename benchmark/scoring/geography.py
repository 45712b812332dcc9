"""How far an answer is from where the photo was taken.

Places are (N, 2): latitude and longitude in degrees WGS84, NaN for both where a photo's are unknown. The place that a method
answers is the centre of its most probable city. A photo without a place counts in no score here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.geo import distances_km

WORLD_SCALE_KM = 1492.7
"""The scale of GeoGuessr's map of the world (see `geoscore`)."""


@dataclass(frozen=True, slots=True)
class GeoSummary:
    """The distances of one run.

    Attributes:
        median_km, mean_km: of the distances.
        within_25, within_200, within_750: shares of the photos at most so many km away: city, region, country.
        geoscore: mean, 0 to 5000.
        photos: how many have a place; with none, everything else is NaN.
    """

    median_km: float
    mean_km: float
    within_25: float
    within_200: float
    within_750: float
    geoscore: float
    photos: int


def predicted_places(probabilities: NDArray[Any], centroids: NDArray[Any]) -> NDArray[np.float64]:
    """Return the centre of each photo's most probable city, (N, 2); the first of equally probable ones.

    Args:
        probabilities: (N, C).
        centroids: (C, 2), in the order of the columns.

    Raises:
        ValueError: the shapes do not fit, or the probabilities hold NaN.
    """
    scores, centres = np.asarray(probabilities, np.float64), np.asarray(centroids, np.float64)
    if scores.ndim != 2 or scores.shape[1] == 0 or centres.shape != (scores.shape[1], 2):
        raise ValueError(
            f"probabilities have shape {scores.shape} and centroids {centres.shape}: "
            "must be (photos, classes) and (classes, 2)"
        )
    if np.isnan(scores).any():
        raise ValueError("probabilities hold NaN")
    places: NDArray[np.float64] = centres[scores.argmax(axis=1)]
    return places


def errors_km(probabilities: NDArray[Any], centroids: NDArray[Any], places: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far the answer is from where each photo was taken: (N,) km, NaN for a photo without a place.

    Raises:
        ValueError: as for `predicted_places`, or `places` is not (N, 2).
    """
    answered, taken = predicted_places(probabilities, centroids), np.asarray(places, np.float64)
    if taken.shape != answered.shape:
        raise ValueError(f"places have shape {taken.shape}: must be {answered.shape}, one for each photo")
    return distances_km(answered[:, 0], answered[:, 1], taken[:, 0], taken[:, 1])


def share_within(km: NDArray[Any], radius: float) -> float:
    """Return the share of the known distances that are at most `radius` km; NaN where none is known.

    The field's levels are 1 (street), 25 (city), 200 (region), 750 (country) and 2500 km (continent): N. Vo, N. Jacobs,
    J. Hays, "Revisiting IM2GPS in the deep learning era", ICCV 2017.
    """
    known = _known(km)
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
    known = _known(km)
    return float(5000 * np.exp(-known / scale_km).mean()) if len(known) else float("nan")


def summary(km: NDArray[Any]) -> GeoSummary:
    """Return the scores of the known distances among `km`, (N,)."""
    known = _known(km)
    return GeoSummary(
        median_km=float(np.median(known)) if len(known) else float("nan"),
        mean_km=float(known.mean()) if len(known) else float("nan"),
        within_25=share_within(known, 25),
        within_200=share_within(known, 200),
        within_750=share_within(known, 750),
        geoscore=geoscore(known),
        photos=len(known),
    )


def _known(km: NDArray[Any]) -> NDArray[np.float64]:
    distances = np.asarray(km, np.float64)
    if distances.ndim != 1:
        raise ValueError(f"distances have shape {distances.shape}: must be (photos,)")
    return distances[~np.isnan(distances)]
