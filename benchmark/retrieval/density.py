"""Where neighbours' places crowd: a kernel density on the sphere, its mode, its map and the areas that hold a share of it.

For places x₁ … x_K with weights w, the density at a place is Σ wᵢ exp(-dᵢ² / 2σ²), dᵢ the great circle to xᵢ in km. It is
what N. Vo, N. Jacobs and J. Hays sum on a flat grid ("Revisiting IM2GPS in the deep learning era", ICCV 2017), without that
grid's faults: the kernel has one width at every latitude, and the date line and the poles are places like others.

It is evaluated at the neighbours themselves (O(K²) a photo) or climbed from there. What an answer states (`mixture`) is
laid on a grid of cells of nearly one area: rings of one height, each with as many cells as its circumference has room for.
Only cells within 4σ of a place are kept, which hold all but about 0.03 % of a lone kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.retrieval.mixture import Mixture
from collector.errors import UsageError
from collector.geo import EARTH_RADIUS_KM, places_of, unit_vectors

SHARES = {0.5: 0.5, 0.9: 0.9}
"""Shares of a density whose areas are drawn, by the chance that they hold the photo, where it is taken at its word."""

_BLOCK = 1 << 21  # pairs in memory at once
_REACH = 4.0  # σ
_MOST_CELLS = 4_000_000
_FEW_CELLS = 200_000
_LAID = 0.999  # of the weight of places
_ROUNDS = 100


def densities(
    at: NDArray[np.float64], places: NDArray[np.float64], weights: NDArray[np.float64], sigma_km: float
) -> NDArray[np.float64]:
    """Return Σ w·exp(-d²/2σ²) at M places for each of N photos, (N, M).

    Args:
        at: (N, M, 2), latitude and longitude in degrees.
        places: (N, K, 2), of each photo's neighbours; NaN counts nothing.
        weights: (N, K), at least 0.
        sigma_km: σ.

    Raises:
        ValueError: σ is not above 0.
    """
    if not sigma_km > 0:
        raise ValueError(f"sigma_km is {sigma_km}: must be above 0")
    known = _has_place(places)
    there, held = np.nan_to_num(at), np.where(known[..., None], places, 0.0)
    points, centres = unit_vectors(there[..., 0], there[..., 1]), unit_vectors(held[..., 0], held[..., 1])
    voting = np.where(known, weights, 0.0)
    step = max(1, _BLOCK // max(1, at.shape[1] * places.shape[1]))
    sums = [
        (_kernel(points[row : row + step], centres[row : row + step], sigma_km) @ voting[row : row + step, :, None])[
            ..., 0
        ]
        for row in range(0, len(at), step)
    ]
    return np.concatenate([np.empty((0, at.shape[1])), *sums])


def _has_place(places: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(places).any(axis=-1), np.bool_)


def _kernel(points: NDArray[np.float64], centres: NDArray[np.float64], sigma_km: float) -> NDArray[np.float64]:
    """Return exp(-d²/2σ²) between unit vectors (N, M, 3) and (N, K, 3), as (N, M, K)."""
    # Half the chord, squared, from the cosine: right to 10 cm, which the least σ in use does not see.
    values = points @ centres.transpose(0, 2, 1)
    np.subtract(1, values, out=values)
    values *= 0.5
    np.clip(values, 0, 1, out=values)
    np.sqrt(values, out=values)
    np.arcsin(values, out=values)
    np.square(values, out=values)
    values *= -2 * (EARTH_RADIUS_KM / sigma_km) ** 2  # d = 2R·arcsin
    return np.exp(values, out=values)


def modes_at_places(
    places: NDArray[np.float64], weights: NDArray[np.float64], sigma_km: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which of its K places is densest for each photo, (N,), of equal ones the first, and the densities (N, K).

    A photo without a known place gets -1, an unknown place the density 0.
    """
    known = _has_place(places)
    values = np.where(known, densities(places, places, weights, sigma_km), 0.0)
    # Sums of equal terms differ in their last digits; a neighbour that is nearer must not lose by them.
    best = (values >= values.max(axis=1, initial=0, keepdims=True) * (1 - 1e-12)) & known
    return np.where(best.any(axis=1), best.argmax(axis=1), -1), values


def climbed(
    starts: NDArray[np.float64], places: NDArray[np.float64], weights: NDArray[np.float64], sigma_km: float
) -> NDArray[np.float64]:
    """Return the mode of the density that each start (N, 2) lies below, by mean shift with the same kernel: (N, 2)."""
    known = _has_place(places)
    held = np.where(known[..., None], places, 0.0)
    centres, voting = unit_vectors(held[..., 0], held[..., 1]), np.where(known, weights, 0.0)
    points = unit_vectors(np.nan_to_num(starts[:, 0]), np.nan_to_num(starts[:, 1]))
    for _ in range(_ROUNDS):
        pull = _kernel(points[:, None], centres, sigma_km)[:, 0] * voting
        sums = np.einsum("nk,nkc->nc", pull, centres)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        moved = np.where(lengths > 0, sums / np.where(lengths > 0, lengths, 1), points)
        done = np.abs(moved - points).max(initial=0) < 1e-13
        points = moved
        if done:
            break
    return np.where(np.isnan(starts), np.nan, places_of(points))


@dataclass(frozen=True)
class DensityMap:
    """A density on M cells of rings around the axis, the densest first.

    Attributes:
        south, north, west, east: (M,), degrees; west from -180 on, east at most 180.
        area_km2: (M,).
        share: (M,), of the whole density; falling by density, summing to 1.
    """

    south: NDArray[np.float64]
    north: NDArray[np.float64]
    west: NDArray[np.float64]
    east: NDArray[np.float64]
    area_km2: NDArray[np.float64]
    share: NDArray[np.float64]

    def region(self, share: float) -> int:
        """Return how many of the densest cells it takes to hold so much of the density."""
        return min(len(self.share), int(np.searchsorted(np.cumsum(self.share), share * (1 - 1e-12))) + 1)

    def area(self, share: float) -> float:
        """Return the km² of the smallest area of cells that holds so much of the density."""
        return float(self.area_km2[: self.region(share)].sum())

    def holds(self, latitude: float, longitude: float, share: float) -> bool:
        """Return whether a place lies in that area; of a border's two sides either will do."""
        count = self.region(share)
        turned = (longitude + 180) % 360 - 180
        return bool(
            (
                (self.south[:count] <= latitude)
                & (latitude <= self.north[:count])
                & (self.west[:count] <= turned)
                & (turned <= self.east[:count])
            ).any()
        )

    def features(self, levels: Mapping[float, float], **properties: Any) -> list[dict[str, Any]]:
        """Return areas as features of GeoJSON, RFC 7946: no polygon crosses the date line.

        Args:
            levels: the share of the density that each area holds, by the chance with which it is said to hold the photo;
                equal where the density is taken at its word (`SHARES`).
            properties: further ones of each feature, beside `chance`, `share` and `area_km2`.
        """
        return [
            {
                "type": "Feature",
                "properties": {
                    **properties,
                    "chance": chance,
                    "share": round(share, 4),
                    "area_km2": float(f"{self.area(share):.3g}"),
                },
                "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in self._rings(share)]},
            }
            for chance, share in levels.items()
        ]

    def _rings(self, share: float) -> list[list[list[float]]]:
        """Return the outlines of the runs of neighbouring cells in each ring, anticlockwise."""
        count = self.region(share)
        order = np.lexsort((self.west[:count], self.south[:count]))
        runs: list[list[float]] = []
        for south, north, west, east in zip(
            *(of[:count][order].tolist() for of in (self.south, self.north, self.west, self.east)), strict=True
        ):
            if runs and runs[-1][0] == south and abs(runs[-1][3] - west) < 1e-9:
                runs[-1][3] = east
            else:
                runs.append([south, north, west, east])
        corners = np.round(runs, 6).tolist()
        return [[[w, s], [e, s], [e, n], [w, n], [w, s]] for s, n, w, e in corners]


def density_map(density: Mixture, step_km: float | None = None) -> DensityMap:
    """Return the density of one photo on cells of about step_km a side.

    By default a cell is a quarter of the narrowest spread, larger where a map would have more than about 200,000 cells.
    A place that spreads less than half a cell is laid as wide as that; places of the last thousandth of weight are left out.

    Raises:
        ValueError: it is not the density of one photo, none is stated, or the step is not above 0.
        UsageError: it would take too many cells.
    """
    if len(density) != 1 or not density.weights.any() or (step_km is not None and not step_km > 0):
        raise ValueError(
            f"a density of {len(density)} photos, step_km {step_km}: one that is stated, and a step above 0"
        )
    order = np.argsort(-density.weights[0], kind="stable")
    heavy = order[: int(np.searchsorted(np.cumsum(density.weights[0][order]), _LAID * density.weights.sum())) + 1]
    spreads = EARTH_RADIUS_KM / np.sqrt(density.kappas[0, heavy])
    step = step_km or max(spreads.min() / 4, np.sqrt(np.pi * np.square(_REACH * spreads).sum() / _FEW_CELLS))
    step = min(step, np.pi * EARTH_RADIUS_KM / 8)
    spreads = np.maximum(spreads, step / 2)
    laid = Mixture(density.centres[:, heavy], density.weights[:, heavy], np.square(EARTH_RADIUS_KM / spreads)[None])
    rings = max(2, int(np.ceil(np.pi * EARTH_RADIUS_KM / step)))
    # For the choice of cells, places within a tenth of one are one, which spreads as the widest of them.
    places = places_of(laid.centres[0])
    widest = np.argsort(-spreads, kind="stable")
    near = widest[np.unique(np.round(places[widest] / (18.0 / rings)), axis=0, return_index=True)[1]]
    cells = np.unique(
        np.concatenate([_cells_near(places[row], rings, float(spreads[row]), len(near)) for row in near]), axis=0
    )
    return _map_of(cells, rings, laid)


def _columns(ring: NDArray[np.int64], rings: int) -> NDArray[np.int64]:
    """Return how many cells a ring has: its circumference over the height of a ring, at least 3."""
    middle = np.radians((ring + 0.5) * 180 / rings - 90)
    return np.maximum(3, np.round(2 * rings * np.cos(middle))).astype(np.int64)


def _cells_near(place: NDArray[np.float64], rings: int, sigma_km: float, among: int) -> NDArray[np.int64]:
    """Return the cells (ring, column) of which a part may lie within reach of a place, as (M, 2)."""
    latitude, longitude = place
    height = 180 / rings
    reach = min(180.0, np.degrees(_REACH * sigma_km / EARTH_RADIUS_KM) + height)
    first, last = (int(np.floor((edge + 90) / height)) for edge in (latitude - reach, latitude + reach))
    ring = np.arange(max(0, first), min(rings - 1, last) + 1)
    columns = _columns(ring, rings)
    # The widest that a circle of this radius gets, asin(sin r / cos φ); where it holds a pole, all longitudes.
    if abs(latitude) + reach >= 90:
        half = np.full(len(ring), 180.0)
    else:
        half = np.full(len(ring), np.degrees(np.arcsin(np.sin(np.radians(reach)) / np.cos(np.radians(latitude)))))
    middle = np.floor((longitude + 180) / 360 * columns).astype(np.int64)
    side = np.ceil(half / 360 * columns).astype(np.int64)
    counts = np.minimum(2 * side + 1, columns)
    if counts.sum() * among > _MOST_CELLS * 16 or counts.sum() > _MOST_CELLS:
        raise UsageError(f"a density of σ = {sigma_km} km: the map would have too many cells; take a larger step_km")
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    column = np.repeat(middle - side, counts) + np.arange(counts.sum()) - starts
    return np.stack([np.repeat(ring, counts), column % np.repeat(columns, counts)], axis=1)


def _map_of(cells: NDArray[np.int64], rings: int, laid: Mixture) -> DensityMap:
    height, columns = 180 / rings, _columns(cells[:, 0], rings)
    south: NDArray[np.float64] = np.asarray(cells[:, 0] * height - 90, np.float64)
    west: NDArray[np.float64] = np.asarray(cells[:, 1] * 360 / columns - 180, np.float64)
    north: NDArray[np.float64] = np.asarray(south + height, np.float64)
    east: NDArray[np.float64] = np.asarray((cells[:, 1] + 1) * 360 / columns - 180, np.float64)
    area = EARTH_RADIUS_KM**2 * np.radians(360 / columns) * (np.sin(np.radians(north)) - np.sin(np.radians(south)))
    centres = np.stack([(south + north) / 2, (west + east) / 2], axis=1)
    step = max(1, _BLOCK // laid.weights.shape[1])
    logs = np.concatenate([laid.log_density(centres[None, at : at + step])[0] for at in range(0, len(cells), step)])
    order = np.argsort(-logs, kind="stable")
    mass = (np.exp(logs - logs.max()) * area)[order]
    return DensityMap(south[order], north[order], west[order], east[order], area[order], mass / mass.sum())
