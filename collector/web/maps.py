"""Maps without tiles: borders, the part of the Earth that a map shows, and places on it, as SVG in the page's own colours.

A plate carrée: a degree of latitude is drawn 1 / cos(latitude of the middle) times as long as one of longitude. Longitudes
count on past the date line, so that a map goes the short way round. Colours are classes or CSS variables of the page, which
follow it into the dark. No matplotlib, no network.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.geo import KM_PER_DEGREE

SOURCE = "Natural Earth (public domain)"
"""Whose borders they are, as `outlines/README.md` describes."""

Ring = NDArray[np.float64]
"""A closed line, (n, 2) longitude and latitude in degrees."""

_NARROWEST = 3.0  # degrees that a map shows at least
_DETAIL = 600  # points that a map can tell apart from west to east


@cache
def countries() -> dict[str, list[Ring]]:
    """Return the rings of each country by its name; odd-even where nested."""
    return _decoded("countries", "country_grid")


@cache
def provinces() -> dict[str, list[Ring]]:
    """Return the rings of the provinces of Türkiye by their ISO 3166-2 code, as for `countries`."""
    return _decoded("provinces", "province_grid")


def _decoded(layer: str, grid: str) -> dict[str, list[Ring]]:
    data = _outlines()
    steps = float(data[grid])
    return {
        name: [np.cumsum(np.array(ring, np.float64), axis=0) / steps for ring in rings]
        for name, rings in data[layer].items()
    }


@cache
def _outlines() -> dict[str, Any]:
    file = resources.files("collector.web") / "outlines" / "outlines.json"
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data


def holds(rings: Iterable[Ring], latitude: float, longitude: float) -> bool:
    """Return whether a place lies inside rings: a line to the east crosses them an odd number of times."""
    crossings = 0
    for ring in rings:
        start, end = ring, np.roll(ring, -1, axis=0)
        spans = (start[:, 1] > latitude) != (end[:, 1] > latitude)
        (x0, y0), (x1, y1) = start[spans].T, end[spans].T
        crossings += int((x0 + (latitude - y0) / (y1 - y0) * (x1 - x0) > longitude).sum())
    return crossings % 2 == 1


@dataclass(frozen=True, slots=True)
class View:
    """What a map shows, degrees, on a picture `width` units wide."""

    west: float
    east: float
    south: float
    north: float
    width: float

    @property
    def stretch(self) -> float:
        """How much longer a degree of latitude is than one of longitude, at the middle."""
        return 1 / max(0.2, math.cos(math.radians((self.south + self.north) / 2)))

    @property
    def scale(self) -> float:
        """Units of a degree of longitude."""
        return self.width / (self.east - self.west)

    @property
    def height(self) -> float:
        """Units from south to north."""
        return (self.north - self.south) * self.stretch * self.scale

    def at(self, latitude: float, longitude: float) -> tuple[float, float]:
        """Return a place in units from the left and from the top."""
        return self.scale * ((longitude - self.west) % 360), self.scale * self.stretch * (self.north - latitude)

    def outline(self, rings: Iterable[Ring]) -> str:
        """Return what is in view of rings, as detailed as the view can show, as the `d` of a path; empty for nothing."""
        lines = []
        for ring in rings:
            for turn in (-360, 0, 360):
                shifted = ring + np.array([turn, 0])
                if self._touches(shifted):
                    lines.append(self._line(_thinned(shifted, (self.east - self.west) / _DETAIL)))
        return "".join(lines)

    def _line(self, ring: Ring) -> str:
        if len(ring) <= 3:  # an island too small for the view
            return ""
        x, y = self.scale * (ring[:, 0] - self.west), self.scale * self.stretch * (self.north - ring[:, 1])
        return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)) + "Z"

    def _touches(self, ring: Ring) -> bool:
        low, high = ring.min(axis=0), ring.max(axis=0)
        return bool(low[0] < self.east and high[0] > self.west and low[1] < self.north and high[1] > self.south)

    def has_borders(self) -> bool:
        """Return whether a line of a country is in view, and not its land or the sea alone."""
        for ring in (ring for rings in countries().values() for ring in rings):
            for shifted in (ring + np.array([turn, 0]) for turn in (-360, 0, 360)):
                if self._touches(shifted):
                    ends = np.roll(shifted, -1, axis=0)
                    low, high = np.minimum(shifted, ends), np.maximum(shifted, ends)
                    if ((low < (self.east, self.north)) & (high > (self.west, self.south))).all(axis=1).any():
                        return True
        return False

    def land(self, without: Iterable[str] = ()) -> str:
        """Return the countries in view as a path for each."""
        shown = (self.outline(rings) for name, rings in countries().items() if name not in without)
        return "".join(f'<path d="{line}"/>' for line in shown if line)

    def circle(self, latitude: float, longitude: float, radius_km: float, attributes: str = "") -> str:
        """Return the circle around a place, which is an ellipse on this map."""
        x, y = self.at(latitude, longitude)
        tall = radius_km / KM_PER_DEGREE * self.scale * self.stretch
        wide = radius_km / (KM_PER_DEGREE * max(0.1, math.cos(math.radians(latitude)))) * self.scale
        return f'<ellipse {attributes} cx="{x:.1f}" cy="{y:.1f}" rx="{wide:.1f}" ry="{tall:.1f}"/>'

    def bar(self) -> tuple[float, float]:
        """Return a round number of kilometres, about a fifth of the width, and how many units that is from south to north."""
        units = self.scale * self.stretch / KM_PER_DEGREE
        about = self.width / 5 / units
        decade = 10.0 ** math.floor(math.log10(about))
        km = max(step * decade for step in (1, 2, 5) if step * decade <= about)
        return km, km * units


def view_of(
    places: Sequence[tuple[float, float]],
    width: float,
    rings: Sequence[Ring] = (),
    shape: tuple[float, float] = (0.42, 1.0),
    narrowest: float = _NARROWEST,
) -> View:
    """Return the view that holds places (latitude, longitude), the short way round, and rings, with a margin.

    Args:
        places: at least one.
        width: of the picture, units.
        rings: that have to be in view too.
        narrowest: degrees that it shows at least.
        shape: lowest and highest height, as a share of the width; the map shows more where the places would need less.
    """
    longitudes = np.sort([longitude % 360 for _, longitude in places])
    # The widest gap between two neighbours on the parallel is what the map leaves out.
    gaps = np.diff(np.append(longitudes, longitudes[0] + 360))
    after = int(gaps.argmax())
    west = float(longitudes[(after + 1) % len(longitudes)])
    west = west - 360 if west > 180 else west
    low = np.array([west, min(latitude for latitude, _ in places)])
    high = np.array([west + 360 - float(gaps[after]), max(latitude for latitude, _ in places)])
    for ring in rings:
        low, high = np.minimum(low, ring.min(axis=0)), np.maximum(high, ring.max(axis=0))
    reach = float((high - low).max())
    margin = 0.02 * float((high - low)[0]) if rings else max(0.1 * reach, (narrowest - reach) / 2)
    (west, south), (east, north) = (low - margin).tolist(), (high + margin).tolist()
    return _shaped(View(west, east, max(-90.0, south), min(90.0, north), width), *shape)


def _shaped(view: View, lowest: float, highest: float) -> View:
    shape = view.height / view.width
    if shape > highest:
        more = (view.east - view.west) * (shape / highest - 1) / 2
        return View(view.west - more, view.east + more, view.south, view.north, view.width)
    if shape < lowest:
        more = (view.north - view.south) * (lowest / shape - 1) / 2
        return View(view.west, view.east, max(-90.0, view.south - more), min(90.0, view.north + more), view.width)
    return view


def _thinned(ring: Ring, step: float) -> Ring:
    """Return the ring on a grid of `step` degrees, repeated points left out."""
    rounded = np.round(ring / step)
    moved = np.append(True, np.any(np.diff(rounded, axis=0) != 0, axis=1))
    thinned: Ring = rounded[moved] * step
    return thinned


def kilometres(latitude: float, longitude: float, places: Any) -> NDArray[np.float64]:
    """Return places (n, 2), latitude and longitude, as (n, 2) kilometres east and north of a point.

    Equirectangular about the point's latitude, which over the radius of a city is right to well under 1 %.
    """
    points = np.asarray(places, dtype=np.float64).reshape(-1, 2)
    east = (points[:, 1] - longitude + 180) % 360 - 180  # the short way, across the date line too
    north = points[:, 0] - latitude
    return np.column_stack([east * math.cos(math.radians(latitude)), north]) * KM_PER_DEGREE
