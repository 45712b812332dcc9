"""The map of a city's photos: spots on a square, without tiles, so that nothing is asked of anybody."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from collector.records import City
from collector.web.maps import kilometres

SIDE = 1000
"""Width and height of the map in its own units."""

_APART = 12.0  # units between dots, more than their radius: the middle of each can be seen and clicked
_MARGIN = 1.12  # of the circle: its line is not the frame
_FARTHEST = 3.0  # radii: what lies beyond is counted; one photo of another continent would shrink all others to a point


MOST_ZOOM = 6
"""Steps of zooming in; each shows half as many kilometres, around the middle of the photos."""


class Placed(NamedTuple):
    """A photo on the map: degrees WGS84, None where unknown, and what was decided, None where nothing was."""

    photo_id: str
    latitude: float | None
    longitude: float | None
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Spot:
    """Photos of about one place.

    Attributes:
        name: stands for it in addresses.
        x, y: its middle, units from the left and from the top.
        r: radius of its dot, units; it grows with the number of photos.
        photo_ids: whose.
        state: `undecided` where any photo is, else `against` where any is rejected or of another city, else `keep`.
    """

    name: str
    x: float
    y: float
    r: float
    photo_ids: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A map: the city's circle (units; of radius 0 where the city is not known), the spots, and a scale bar.

    Attributes:
        ring: radius of the circle.
        x, y: its middle.
        spots: from the largest to the smallest, so that none is hidden.
        scale_km, scale: the length of the scale bar, in kilometres and in units.
        beyond: ids of photos that lie outside of the map.
        unplaced: number of photos without coordinates.
    """

    ring: float
    x: float
    y: float
    spots: tuple[Spot, ...]
    scale_km: float
    scale: float
    beyond: tuple[str, ...]
    unplaced: int


def plot(photos: Sequence[Placed], city: City | None, zoom: int = 0) -> Plot:
    """Return the map of photos around their city's centre, or around their own middle where the city is not known.

    With `zoom` (0 to MOST_ZOOM) it is a map around their middle that shows 2**zoom times fewer kilometres.

    The projection is that of `maps.kilometres`: on the 50 km that a city has, off by less than a dot.
    """
    placed = [photo for photo in photos if photo.latitude is not None and photo.longitude is not None]
    latitude, longitude = (city.latitude, city.longitude) if city else _middle(placed)
    degrees = [(photo.latitude, photo.longitude) for photo in placed]
    offsets = kilometres(latitude, longitude, degrees).reshape(-1, 2)
    reach = _reach([math.hypot(*offset) for offset in offsets.tolist()], city) / 2**zoom
    middle = kilometres(latitude, longitude, [_middle(placed)])[0] if zoom and placed else offsets[:1].sum(axis=0) * 0
    per_km = SIDE / 2 / reach
    x, y = round(SIDE / 2 - float(middle[0]) * per_km, 1), round(SIDE / 2 + float(middle[1]) * per_km, 1)
    dots = _Dots()
    beyond = []
    for photo, (east, north) in zip(placed, (offsets - middle).tolist(), strict=True):
        if max(abs(east), abs(north)) > reach:
            beyond.append(photo.photo_id)
        else:
            dots.add(SIDE / 2 + east * per_km, SIDE / 2 - north * per_km, photo)
    spots = sorted((_spot(x, y, found) for (x, y), found in dots.found.items()), key=lambda spot: (-spot.r, spot.name))
    scale_km = _round_length(reach / 2)
    return Plot(
        ring=city.radius_km * per_km if city else 0.0,
        x=x,
        y=y,
        spots=tuple(spots),
        scale_km=scale_km,
        scale=scale_km * per_km,
        beyond=tuple(beyond),
        unplaced=len(photos) - len(placed),
    )


def _middle(placed: Iterable[Placed]) -> tuple[float, float]:
    latitudes = sorted(photo.latitude for photo in placed if photo.latitude is not None)
    longitudes = sorted(photo.longitude for photo in placed if photo.longitude is not None)
    if not latitudes:
        return 0.0, 0.0
    return latitudes[len(latitudes) // 2], longitudes[len(longitudes) // 2]


def _reach(distances: Sequence[float], city: City | None) -> float:
    """Return how many kilometres the map reaches from its middle to each side."""
    farthest = max(distances, default=1.0)
    if city is None:
        return max(farthest * _MARGIN, 0.1)
    return max(city.radius_km, min(farthest, _FARTHEST * city.radius_km)) * _MARGIN


class _Dots:
    """Photos by the middle of their dot; a photo joins the first dot that is nearer than _APART, or begins one."""

    def __init__(self) -> None:
        self.found: dict[tuple[float, float], list[Placed]] = {}
        self._cells: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)

    def add(self, x: float, y: float, photo: Placed) -> None:
        column, row = int(x // _APART), int(y // _APART)
        for cell in ((column + i, row + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
            for dot in self._cells.get(cell, ()):
                if math.dist(dot, (x, y)) < _APART:
                    self.found[dot].append(photo)
                    return
        self._cells[column, row].append((x, y))
        self.found[x, y] = [photo]


def _spot(x: float, y: float, photos: Sequence[Placed]) -> Spot:
    verdicts = {photo.verdict for photo in photos}
    state = "undecided" if None in verdicts else "keep" if verdicts == {"keep"} else "against"
    return Spot(
        name=f"{x:.1f}-{y:.1f}",
        x=round(x, 1),
        y=round(y, 1),
        r=round(min(5 + math.sqrt(len(photos)), _APART - 1), 1),
        photo_ids=tuple(photo.photo_id for photo in photos),
        state=state,
    )


def _round_length(km: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is at most `km` (> 0)."""
    power: float = 10.0 ** math.floor(math.log10(km))
    return next(step * power for step in (5, 2, 1) if step * power <= km * 1.0000001)
