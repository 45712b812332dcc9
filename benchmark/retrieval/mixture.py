"""A density on the sphere that an answer states: places with weights, and how far each of them spreads.

f(y) = Σ wₖ · κₖ / (2π(1 - e^(-2κₖ))) · exp(κₖ(μₖ·y - 1)) / R², per km², with κₖ = (R / σₖ)²: where σ is small beside the
Earth it is a Gaussian of standard deviation σ in either direction, and it integrates to 1 whatever σ is (K. Mardia, P. Jupp,
Directional Statistics, 2000, section 9.3). Every density is mixed with EVEN of an even one over the whole Earth: an answer
that holds a place impossible loses much, not everything.

The region that holds a share of a density is the smallest such one: all places denser than a threshold (R. Hyndman,
"Computing and graphing highest density regions", The American Statistician 50, 1996). Nothing is laid on a grid: places are
drawn from the density, evenly and always the same (components by systematic sampling, inside them by the R₂ sequence), and
with fᵢ the densities there, the threshold of a share is a quantile of fᵢ, and the area is the mean of 1 / fᵢ over those
above it. N photos, K places, S draws: O(N S K).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.predictions import Places
from collector.geo import EARTH_RADIUS_KM, unit_vectors

EVEN = 1e-3
"""Share of each density that lies evenly over the whole Earth: a parameter of ours."""

EARTH_KM2 = 4 * np.pi * EARTH_RADIUS_KM**2
DRAWS = 256
_BLOCK = 1 << 22  # pairs in memory at once
_R2 = (0.7548776662466927, 0.5698402909980532)  # 1/g, 1/g² with g³ = g + 1: an even sequence in two dimensions


@dataclass(frozen=True, slots=True)
class Mixture:
    """The densities of N photos over K places each: `centres` (N, K, 3) of length 1, `weights` and `kappas` (N, K)."""

    centres: NDArray[np.float64]
    weights: NDArray[np.float64]
    kappas: NDArray[np.float64]

    @classmethod
    def of(cls, places: Places) -> "Mixture | None":
        """Return the densities that answers state; None where they state none. A withheld answer is even everywhere."""
        if places.candidates is None or places.weights is None or places.spread_km is None:
            return None
        given = (places.weights > 0) & ~np.isnan(places.latitude)[:, None]
        candidates = np.where(given[..., None], places.candidates, 0.0)
        kappas = np.square(EARTH_RADIUS_KM / np.where(given, places.spread_km, 1.0))
        weights = np.where(given, places.weights, 0.0)
        return cls(unit_vectors(candidates[..., 0], candidates[..., 1]), weights, kappas)

    def __len__(self) -> int:
        return len(self.weights)

    def log_density(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the natural logarithm of each photo's density per km² at places (N, 2) or (N, M, 2); NaN at NaN."""
        one = places.ndim == 2
        at = unit_vectors(places[..., 0], places[..., 1])
        logs = self._logs(at[:, None] if one else at)
        return logs[:, 0] if one else logs

    def _logs(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return log densities at points (N, M, 3)."""
        with np.errstate(divide="ignore"):
            scales = (
                np.log(self.weights * (1 - EVEN))
                + np.log(self.kappas / (2 * np.pi * EARTH_RADIUS_KM**2))
                - np.log1p(-np.exp(-2 * self.kappas))
            )
        even = np.log(np.where(self.weights.any(axis=1), EVEN, 1.0) / EARTH_KM2)
        result = np.empty(points.shape[:2])
        step = max(1, _BLOCK // max(1, points.shape[1] * self.weights.shape[1]))
        for row in range(0, len(points), step):
            block = slice(row, row + step)
            # 1 - cos is right to 2e-16, which κ of a spread of 50 m makes 3e-6 of a logarithm.
            halves = 1 - np.einsum("nmc,nkc->nmk", points[block], self.centres[block])
            logs = scales[block, None] - self.kappas[block, None] * halves
            top = np.maximum(logs.max(axis=2), even[block, None])
            sums = np.exp(logs - top[..., None]).sum(axis=2) + np.exp(even[block, None] - top)
            result[block] = top + np.log(sums)
        return result

    def drawn(self, count: int = DRAWS) -> "Drawn":
        """Return what draws from each density tell of its regions."""
        steps = (np.arange(count) + 0.5) / count
        totals = np.cumsum(self.weights, axis=1)
        totals /= np.maximum(totals[:, -1:], 1e-300)
        chosen = np.minimum((totals[:, None] < steps[None, :, None]).sum(axis=2), self.weights.shape[1] - 1)
        kappas = np.take_along_axis(self.kappas, chosen, axis=1)
        centres = np.take_along_axis(self.centres, chosen[..., None], axis=1)
        radial, turn = (np.modf(0.5 + rate * np.arange(1, count + 1))[0] for rate in _R2)
        below = -np.log(radial + (1 - radial) * np.exp(-2 * kappas)) / kappas  # 1 - cos of the way from the centre
        sine = np.sqrt(np.clip(below * (2 - below), 0.0, 1.0))
        east, north = _tangents(centres)
        sideways = np.cos(2 * np.pi * turn)[None, :, None] * east + np.sin(2 * np.pi * turn)[None, :, None] * north
        points = (1 - below)[..., None] * centres + sine[..., None] * sideways
        return Drawn(np.sort(self._logs(points), axis=1)[:, ::-1], np.asarray(self.weights.any(axis=1), np.bool_))


@dataclass(frozen=True, slots=True)
class Drawn:
    """The log densities (N, S) of places that were drawn from N densities, falling; `stated` (N,): one was stated."""

    logs: NDArray[np.float64]
    stated: NDArray[np.bool_]

    def level(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share of each density that is denser than its place of log density (N,): that of the smallest region
        which reaches the place, 0 to 1. NaN stays NaN; where nothing was stated it is 1.
        """
        share = (self.logs > logs[:, None]).mean(axis=1)
        return np.where(np.isnan(logs), np.nan, np.where(self.stated, share, 1.0))

    def threshold(self, share: float) -> NDArray[np.float64]:
        """Return the log density (N,) above which so much of each density lies."""
        last = int(np.clip(np.ceil(share * self.logs.shape[1]) - 1, 0, self.logs.shape[1] - 1))
        return self.logs[:, last]

    def area(self, share: float) -> NDArray[np.float64]:
        """Return the km² (N,) of the smallest region that holds so much of each density, without the even part.

        Where nothing was stated it is that share of the Earth.
        """
        inside = self.logs >= self.threshold(share)[:, None]
        areas = np.where(inside, np.exp(-self.logs), 0.0).mean(axis=1)
        return np.where(self.stated, np.minimum(areas, EARTH_KM2), share * EARTH_KM2)


def _tangents(centres: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two directions at right angles to unit vectors (..., 3), and to each other."""
    axis = np.where(np.abs(centres[..., 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    east = np.cross(axis, centres)
    east /= np.linalg.norm(east, axis=-1, keepdims=True)
    return east, np.cross(centres, east)
