"""The map of an answer, as SVG: a dot for each city, as large as it is likely, over the borders of the countries."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from benchmark.leaderboard.outlines import SOURCE, Ring, countries
from benchmark.predicting.answer import Answer, Candidate
from collector.geo import KM_PER_DEGREE

CREDIT = f"Borders: {SOURCE}"
_WIDTH = 640.0
_LOWEST, _HIGHEST = 260.0, 560.0  # of the map, in its own units
_NARROWEST = 3.0  # degrees that a map shows at least
_NAMED = 5


@dataclass(frozen=True, slots=True)
class _View:
    """Longitudes count on from `west` past the date line; `stretch` is how much longer a degree of latitude is drawn."""

    west: float
    north: float
    scale: float
    stretch: float
    height: float

    def at(self, latitude: float, longitude: float) -> tuple[float, float]:
        east = (longitude - self.west) % 360
        return self.scale * east, self.scale * self.stretch * (self.north - latitude)


def map_svg(answer: Answer) -> str:
    """Return the map as markup that is safe in a page; the five likeliest cities are named."""
    view = _view(answer.candidates)
    land = "".join(_path(rings, view) for rings in countries().values())
    # The likeliest are drawn last, on top.
    dots = "".join(_dot(one, view) for one in reversed(answer.candidates))
    names = "".join(_name(one, view) for one in answer.candidates[:_NAMED])
    circle = _circle(answer, view)
    told = ", ".join(f"{one.name} {100 * one.probability:.1f} %" for one in answer.candidates[:_NAMED])
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {view.height:.0f}" role="img" aria-label="{escape(f"Map: {told}")}">'
        f'<g class="land">{land}</g>{circle}<g class="dots">{dots}</g><g class="names">{names}</g></svg>'
    )


def _view(cities: Sequence[Candidate]) -> _View:
    longitudes = np.sort([city.longitude % 360 for city in cities])
    # The widest gap between two neighbours on the parallel is what the map leaves out.
    gaps = np.diff(np.append(longitudes, longitudes[0] + 360))
    after = int(gaps.argmax())
    west, span = float(longitudes[(after + 1) % len(longitudes)]), 360 - float(gaps[after])
    south, north = min(c.latitude for c in cities), max(c.latitude for c in cities)
    margin = 0.15 * max(span, north - south, _NARROWEST)
    west, span, south, north = west - margin, span + 2 * margin, max(-90.0, south - margin), min(90.0, north + margin)
    stretch = 1 / max(0.2, math.cos(math.radians((south + north) / 2)))
    scale = _WIDTH / span
    height = scale * stretch * (north - south)
    if height > _HIGHEST:  # cities above each other: more of their east and west
        wider = span * height / _HIGHEST
        west, span, scale, height = west - (wider - span) / 2, wider, _WIDTH / wider, _HIGHEST
    elif height < _LOWEST:
        north, height = north + (_LOWEST - height) / (2 * scale * stretch), _LOWEST
    return _View(west, north, scale, stretch, height)


def _path(rings: Sequence[Ring], view: _View) -> str:
    """Return the rings of a country of which something is in view, shifted by whole turns to where the view is."""
    span, depth = _WIDTH / view.scale, view.height / (view.scale * view.stretch)
    drawn = []
    for ring in rings:
        for turn in (-360, 0, 360):
            x, y = ring[:, 0] + turn - view.west, view.north - ring[:, 1]
            if x.max() > 0 and x.min() < span and y.max() > 0 and y.min() < depth:
                points = zip(view.scale * x, view.scale * view.stretch * y, strict=True)
                drawn.append("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points) + "Z")
    return f'<path d="{"".join(drawn)}"/>' if drawn else ""


def _dot(city: Candidate, view: _View) -> str:
    x, y = view.at(city.latitude, city.longitude)
    radius = 2.5 + 26 * math.sqrt(city.probability)
    said = escape(f"{city.name}: {100 * city.probability:.1f} %")
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{said}</title></circle>'


def _name(city: Candidate, view: _View) -> str:
    x, y = view.at(city.latitude, city.longitude)
    side, anchor = (6, "start") if x < 0.7 * _WIDTH else (-6, "end")
    said = escape(f"{city.name} {100 * city.probability:.0f} %")
    return f'<text x="{x + side:.1f}" y="{y - 5:.1f}" text-anchor="{anchor}">{said}</text>'


def _circle(answer: Answer, view: _View) -> str:
    """Return the half-chance radius around the answer, as an ellipse of the map's projection."""
    if answer.radius50_km is None or answer.latitude is None or answer.longitude is None:
        return ""
    x, y = view.at(answer.latitude, answer.longitude)
    tall = answer.radius50_km / KM_PER_DEGREE * view.scale * view.stretch  # km in a degree of latitude
    wide = answer.radius50_km / (KM_PER_DEGREE * max(0.1, math.cos(math.radians(answer.latitude)))) * view.scale
    return f'<ellipse class="radius" cx="{x:.1f}" cy="{y:.1f}" rx="{wide:.1f}" ry="{tall:.1f}"/>'
