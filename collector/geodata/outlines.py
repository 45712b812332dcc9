"""Land as Natural Earth draws it: which country a place lies in, and how far the coast is.

Countries share borders, coasts belong to one country alone: a stretch that two rings have in common is no coast.
"""

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from collector.geo import EARTH_RADIUS_KM, unit_vectors
from collector.geodata.grid import Grid, Places
from collector.geodata.prepared import Arrays, prepared
from collector.web import maps
from collector.web.maps import Ring, countries, holds

_STEP = 0.05  # degrees of a cell of the painted countries
_DENSE = 0.05  # degrees between points of the coast
_FEW = 64  # places that are held against the borders themselves: painting these takes seconds
_SOUTH = -60.0  # what lies south of it, Antarctica, the outlines do not have
_NEAR_KM = 50.0  # a place off the coast belongs to the country of the nearest coast, at most so far


def country_names(places: Places) -> NDArray[np.object_]:
    """Return the name of the country of each place, Natural Earth's; None on the sea, far from land, and where unknown."""
    if len(places) <= _FEW:
        inside = np.asarray(np.isfinite(places).all(axis=1))
        found = np.full(len(places), None, dtype=object)
        for name, rings in countries().items():
            rows = np.flatnonzero(inside & (found == None))  # noqa: E711 (each of an array)
            found[rows[_holds(rings, places[rows])]] = name
        return _near_coasts(found, inside, places)
    names, painted = list(countries()), _painted()
    row, column, inside = painted.cells(places)
    index = painted.values[row, column].astype(np.int64)
    clear = inside & ~_at_border()[row, column]
    found = np.array([None, *names], dtype=object)[np.where(clear, index, 0)]
    doubtful = np.flatnonzero(inside & ~clear)
    neighbours = [set(painted.around(int(row[at]), int(column[at]), 1).flat) - {0} for at in doubtful]
    for number in sorted(set().union(*neighbours)) if neighbours else ():
        rows = doubtful[[number in around for around in neighbours]]
        rows = rows[[found[at] is None for at in rows]]
        found[rows[_holds(countries()[names[number - 1]], places[rows])]] = names[number - 1]
    return _near_coasts(found, inside, places)


def _near_coasts(found: NDArray[np.object_], inside: NDArray[np.bool_], places: Places) -> NDArray[np.object_]:
    """Return countries after giving the places that are in none that of the nearest coast."""
    missing = inside & np.array([name is None for name in found], dtype=bool)
    if missing.any():
        distance, owner = _to_coast(places[missing])
        owner[distance > _NEAR_KM] = None
        found[np.flatnonzero(missing)] = owner
    return found


def coast_km(places: Places) -> NDArray[np.float64]:
    """Return the distance of each place to the nearest coast, kilometres, from land and from sea; NaN where unknown, as
    south of 60° S.

    Coasts are drawn at 1:50,000,000 and thinned: a few kilometres. Lakes have none, but the Caspian Sea.
    """
    found = np.full(len(places), np.nan)
    known = np.isfinite(places).all(axis=1) & (places[:, 0] >= _SOUTH)
    if known.any():
        found[known] = _to_coast(places[known])[0]
    return found


def _to_coast(places: Places) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    tree, owners = coast()
    chords, nearest = tree.query(unit_vectors(places[:, 0], places[:, 1]))
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chords / 2, 1.0)), owners[nearest]


def _holds(rings: list[Ring], places: Places) -> NDArray[np.bool_]:
    """Return which places lie inside rings: `collector.web.maps.holds` for many, on both sides of the date line."""
    crossings = np.zeros((3, len(places)), dtype=np.int64)
    latitude = places[:, 0]
    for ring in rings:
        near = np.flatnonzero((latitude >= ring[:, 1].min()) & (latitude <= ring[:, 1].max()))
        (x0, y0), (x1, y1) = ring.T[..., None], np.roll(ring, -1, axis=0).T[..., None]
        for at in range(0, len(near), 256):
            rows = near[at : at + 256]
            y = latitude[rows][None]
            spans = (y0 > y) != (y1 > y)
            with np.errstate(divide="ignore", invalid="ignore"):
                x = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
            for number, turn in enumerate((-360.0, 0.0, 360.0)):
                crossings[number, rows] += (spans & (x > places[rows, 1][None] + turn)).sum(axis=0)
    inside: NDArray[np.bool_] = (crossings % 2 == 1).any(axis=0)
    return inside


@cache
def _painted() -> Grid:
    """Return which country each cell of a coarse grid lies in, from 1; 0 is the sea."""
    width, height = round(360 / _STEP), round(180 / _STEP)
    picture = Image.new("L", (width, height))
    draw = ImageDraw.Draw(picture)
    areas: list[tuple[float, int, Ring]] = []
    for number, rings in enumerate(countries().values(), start=1):
        areas += [(-_area(ring), number * (not _is_hole(ring, rings)), ring) for ring in rings]
    # The largest first: what lies inside another one is painted over it, a country after the hole that it fills.
    for _, number, ring in sorted(areas, key=lambda of: of[:2]):
        for turn in (-360, 0, 360):
            if ring[:, 0].max() + turn > -180 and ring[:, 0].min() + turn < 180:
                points = [((x + turn + 180) / _STEP - 0.5, (90 - y) / _STEP - 0.5) for x, y in ring.tolist()]
                draw.polygon(points, fill=number)
    return Grid(np.asarray(picture), 90 - _STEP / 2, -180 + _STEP / 2, _STEP)


@cache
def _at_border() -> NDArray[np.bool_]:
    """Return the painted cells beside which another country, or the sea, lies: there the borders themselves are asked."""
    values = _painted().values
    found = np.zeros(values.shape, dtype=bool)
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
        found |= np.roll(values, shift, axis=(0, 1)) != values
    return found


def _is_hole(ring: Ring, rings: list[Ring]) -> bool:
    corner, size = ring[0], _area(ring)
    return any(
        other is not ring
        and (other.min(axis=0) <= corner).all()
        and (other.max(axis=0) >= corner).all()
        and _area(other) > size
        and holds([other], float(corner[1]), float(corner[0]))
        for other in rings
    )


def _area(ring: Ring) -> float:
    x, y = ring.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


@cache
def coast() -> tuple[cKDTree, NDArray[np.object_]]:
    """Return points of all coasts as vectors, and the country of each."""
    arrays = prepared("coast", 1, Path(maps.__file__).parent / "outlines" / "outlines.json", _coast_points)
    return cKDTree(arrays["vectors"]), arrays["names"].astype(object)[arrays["owners"]]


def _coast_points() -> Arrays:
    stretches: dict[tuple[tuple[int, int], tuple[int, int]], list[int]] = {}
    for number, rings in enumerate(countries().values()):
        for ring in rings:
            corners = [(round(x * 1e4), round(y * 1e4)) for x, y in ring.tolist()]
            for start, end in pairwise([*corners, corners[0]]):
                if start != end:
                    stretches.setdefault((min(start, end), max(start, end)), []).append(number)
    points, owners = [], []
    for (start, end), numbers in stretches.items():
        if len(numbers) == 1:
            count = max(2, int(np.hypot(start[0] - end[0], start[1] - end[1]) / 1e4 / _DENSE) + 1)
            points.append(np.linspace(start, end, count) / 1e4)
            owners += numbers * count
    longitude, latitude = np.concatenate(points).T
    return {
        "vectors": unit_vectors(latitude, longitude),
        "owners": np.array(owners, np.int64),
        "names": np.array(list(countries()), np.str_),
    }
