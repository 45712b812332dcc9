"""Which part of the Earth a map shows, and what lies in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.leaderboard.outlines import Ring, countries
from benchmark.leaderboard.rows import CityRow

_NARROWEST = 3.0  # degrees that a map shows at least
_DETAIL = 600  # points that a map can tell apart from west to east
_FLATTEST, _STEEPEST = 0.42, 1.0  # height of a map as a share of its width


@dataclass(frozen=True, slots=True)
class View:
    """What a map shows: degrees, with longitudes counted on from `west` past the date line."""

    west: float
    east: float
    south: float
    north: float

    @property
    def stretch(self) -> float:
        """How much longer a degree of latitude is than one of longitude, at the middle."""
        return 1 / max(0.2, math.cos(math.radians((self.south + self.north) / 2)))

    @property
    def shape(self) -> float:
        """Its height as a share of its width."""
        return (self.north - self.south) * self.stretch / (self.east - self.west)


def view_of(cities: Sequence[CityRow], rings: Sequence[Ring]) -> View:
    """Return the part of the Earth that holds the cities, the short way round, and the rings, with a margin."""
    longitudes = np.sort([city.longitude % 360 for city in cities])
    # The widest gap between two neighbours on the parallel is what the map leaves out.
    gaps = np.diff(np.append(longitudes, longitudes[0] + 360))
    after = int(gaps.argmax())
    west = float(longitudes[(after + 1) % len(longitudes)])
    west = west - 360 if west > 180 else west
    box = [west, west + 360 - float(gaps[after]), min(c.latitude for c in cities), max(c.latitude for c in cities)]
    reach = max(box[1] - box[0], box[3] - box[2])
    margin = 0.0 if rings else max(0.1 * reach, (_NARROWEST - reach) / 2)
    for ring in rings:
        box[0], box[1] = min(box[0], float(ring[:, 0].min())), max(box[1], float(ring[:, 0].max()))
        box[2], box[3] = min(box[2], float(ring[:, 1].min())), max(box[3], float(ring[:, 1].max()))
    margin = margin or 0.02 * (box[1] - box[0])
    return _shaped(View(box[0] - margin, box[1] + margin, max(-90, box[2] - margin), min(90, box[3] + margin)))


def _shaped(view: View) -> View:
    """Return a view that is neither too flat nor too steep to be drawn in a column."""
    shape = view.shape
    if shape > _STEEPEST:
        more = (view.east - view.west) * (shape / _STEEPEST - 1) / 2
        return View(view.west - more, view.east + more, view.south, view.north)
    if shape < _FLATTEST:
        more = (view.north - view.south) * (_FLATTEST / shape - 1) / 2
        return View(view.west, view.east, max(-90, view.south - more), min(90, view.north + more))
    return view


def land_in(view: View, without: set[str]) -> list[list[Ring]]:
    """Return the rings of each country of which a part is in view, shifted by whole turns to where the view is.

    They are as detailed as the view can show; islands too small for it are left out.
    """
    land = []
    for name, rings in countries().items():
        shifted = [ring + np.array([turn, 0]) for ring in rings for turn in (-360, 0, 360)]
        seen = [_thinned(ring, (view.east - view.west) / _DETAIL) for ring in shifted if _touches(view, ring)]
        seen = [ring for ring in seen if len(ring) > 3]
        if seen and name not in without:
            land.append(seen)
    return land


def _thinned(ring: Ring, step: float) -> Ring:
    """Return the ring on a grid of `step` degrees, repeated points left out."""
    rounded = np.round(ring / step)
    moved = np.append(True, np.any(np.diff(rounded, axis=0) != 0, axis=1))
    thinned: Ring = rounded[moved] * step
    return thinned


def _touches(view: View, ring: Ring) -> bool:
    low, high = ring.min(axis=0), ring.max(axis=0)
    return bool(low[0] < view.east and high[0] > view.west and low[1] < view.north and high[1] > view.south)


def place_in(view: View, city: CityRow) -> tuple[float, float]:
    """Return a city's longitude, counted on from the view's west, and latitude."""
    return view.west + (city.longitude - view.west) % 360, city.latitude
