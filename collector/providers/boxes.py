"""Boxes of longitude and latitude that cover a city, for services that are asked by box."""

import math
from itertools import pairwise

from collector.geo import EARTH_RADIUS_KM, KM_PER_DEGREE
from collector.providers.base import Cell
from collector.records import City

"""Of latitude anywhere, of longitude on the equator."""


def cover(city: City, side_km: float, side_degrees: float = 180.0) -> list[Cell]:
    """Return boxes that together hold every point within the city's radius, and none that holds no such point.

    No box crosses the antimeridian; at a pole they go round it. Boxes of a row have one size, their edges are shared.

    Args:
        city: its radius around its centre is covered.
        side_km: the longest side of a box, kilometres.
        side_degrees: the longest side of a box, degrees of latitude or longitude.
    """
    reach = city.radius_km / KM_PER_DEGREE
    south, north = max(-90.0, city.latitude - reach), min(90.0, city.latitude + reach)
    cells = []
    edges = _edges(south, north, min(side_km / KM_PER_DEGREE, side_degrees))
    for low, high in pairwise(edges):
        # A degree of longitude is longest on the side of the row that is nearer to the equator.
        nearest = min(abs(low), abs(high))
        width = min(side_km / (KM_PER_DEGREE * max(math.cos(math.radians(nearest)), 1e-9)), side_degrees)
        for west, east in _spans(city.longitude, _half_width(city.latitude, reach)):
            columns = _edges(west, east, width)
            row = (Cell(left, low, right, high) for left, right in pairwise(columns))
            cells += [cell for cell in row if distance_to_box_km(city, cell) <= city.radius_km]
    return cells


def distance_to_box_km(city: City, box: Cell) -> float:
    """Return the great-circle distance from the city's centre to the nearest point of a box, 0 when it lies within.

    The nearest point of a meridian to a point at latitude φ and Δλ away lies at atan2(sin φ, cos φ cos Δλ), and distances
    grow from there to both sides (from the spherical law of cosines); the nearest point of a box outside of its own
    meridians lies on one of its two sides.
    """
    if box.west <= city.longitude <= box.east:
        return abs(city.latitude - min(max(city.latitude, box.south), box.north)) * KM_PER_DEGREE
    phi = math.radians(city.latitude)
    distances = []
    for side in (box.west, box.east):
        turn = math.radians(side - city.longitude)
        best = math.degrees(math.atan2(math.sin(phi), math.cos(phi) * math.cos(turn)))
        nearest = math.radians(min(max(best, box.south), box.north))
        half_chord_squared = (
            math.sin((nearest - phi) / 2) ** 2 + math.cos(phi) * math.cos(nearest) * math.sin(turn / 2) ** 2
        )
        distances.append(2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half_chord_squared))))
    return min(distances)


def _half_width(latitude: float, reach: float) -> float:
    """Return how many degrees of longitude a circle of `reach` degrees spans to either side; 180 where it holds a pole."""
    if abs(latitude) + reach >= 90:
        return 180.0
    return math.degrees(math.asin(min(1.0, math.sin(math.radians(reach)) / math.cos(math.radians(latitude)))))


def _spans(longitude: float, half_width: float) -> list[tuple[float, float]]:
    """Return the longitudes within `half_width` of one, cut at the antimeridian."""
    west, east = longitude - half_width, longitude + half_width
    if half_width >= 180:
        return [(-180.0, 180.0)]
    if west < -180:
        return [(west + 360, 180.0), (-180.0, east)]
    if east > 180:
        return [(west, 180.0), (-180.0, east - 360)]
    return [(west, east)]


def _edges(low: float, high: float, longest: float) -> list[float]:
    """Return the edges of the fewest equal parts of an interval that are no longer than `longest`."""
    parts = max(1, math.ceil((high - low) / longest - 1e-9))
    return [low + (high - low) * part / parts for part in range(parts)] + [high]
