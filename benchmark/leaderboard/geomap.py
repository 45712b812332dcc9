"""The map of a leaderboard: where the cities are, how well each is recognised, and which is taken for which.

Written as SVG, in units of 1/72 inch as the other pictures of the page; the page's stylesheet has its colours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from benchmark.leaderboard.drawing import WIDTH, Picture
from benchmark.leaderboard.rows import CityRow, Leaderboard, Row, shortened
from benchmark.scoring.evaluation import Details
from collector.web.maps import SOURCE, View, holds, provinces, view_of

_ARROWS = 8
_RARE = 0.05  # a confusion of a smaller share of a city's photos gets no arrow
_ASHORE = 0.1  # degrees: a harbour may lie beyond a border that was straightened
_NAMES = 24  # with more cities only those at an arrow are named
_UNITS = 72 * WIDTH
_HEAD = 26.0  # units above the map, for the legend
_LEGEND = ("0 to 20", "20 to 40", "40 to 60", "60 to 80", "80 to 100 %")


@dataclass(frozen=True, slots=True)
class Confusion:
    """A share of one city's photos that is taken for another city."""

    true: CityRow
    taken_for: CityRow
    share: float


def map_picture(board: Leaderboard, best: Row, details: Details, name: str) -> Picture | None:
    """Return the map of the best method; None where the cities' centres are one and the same place."""
    places = [(city.latitude, city.longitude) for city in board.cities]
    if len(set(places)) < 2:
        return None
    common = confusions(board.cities, details)
    painted = _painted(board.cities, best)
    view = view_of(places, _UNITS, [ring for rings in provinces().values() for ring in rings] if painted else [])
    land = view.land(without={"Turkey"} if painted else ())
    areas = "".join(_province_path(view, code, painted) for code in provinces()) if painted else ""
    body = land + areas + _arrows(common, view, name) + _cities(board.cities, best, common, view)
    svg = (
        f'<svg viewBox="0 0 {_UNITS:.1f} {view.height + _HEAD:.1f}" class="chart map" aria-hidden="true" focusable="false">'
        f'{_legend()}<svg y="{_HEAD}" width="{_UNITS:.1f}" height="{view.height:.1f}">{body}</svg></svg>'
    )
    listed = ", ".join(f"{one.true.name} → {one.taken_for.name} {100 * one.share:.0f} %" for one in common)
    said = f"Arrows from a city to the one that it is most often taken for: {listed}." if common else ""
    credit = f" Borders: {SOURCE}." if land or painted else ""
    what = "Provinces" if painted else "Circles"
    return Picture(
        name,
        f"Where it is right: {best.title}",
        f"{what} by the share of their city's test photos that the best method recognised. {said}{credit} The paper's "
        "Figure 1 shows an answer on such a map.",
        f"Map of {len(board.cities)} cities coloured by accuracy. {said}",
        svg,
    )


def confusions(cities: Sequence[CityRow], details: Details) -> list[Confusion]:
    """Return the commonest confusions of two cities that lie apart, the commonest first; none is below 5 % of a city's."""
    counts = np.array(details.confusion, np.float64)
    photos = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, photos, out=np.zeros_like(counts), where=photos > 0)
    order = np.argsort(-shares, axis=None, kind="stable")
    common: list[Confusion] = []
    for true, taken in zip(*np.unravel_index(order, shares.shape), strict=True):
        one = Confusion(cities[true], cities[taken], float(shares[true, taken]))
        if one.share < _RARE or len(common) == _ARROWS:
            break
        if (one.true.latitude, one.true.longitude) != (one.taken_for.latitude, one.taken_for.longitude):
            common.append(one)
    return common


def _painted(cities: Sequence[CityRow], best: Row) -> dict[str, int]:
    """Return the step of each province of Türkiye that holds a city; none unless all cities lie in one each."""
    codes = [_province(city) for city in cities]
    if None in codes or len(set(codes)) < len(codes):
        return {}
    shares = ((code, best.per_city.get(city.slug)) for code, city in zip(codes, cities, strict=True))
    return {str(code): _step(share) for code, share in shares if share is not None}


def _province(city: CityRow) -> str | None:
    """Return the code of the province that a city is in, or on whose coast it is; None for cities elsewhere."""
    if city.code in provinces():
        return city.code
    for code, rings in provinces().items():
        if holds(rings, city.latitude, city.longitude):
            return code
    here = (city.longitude, city.latitude)
    away = {code: min(float(np.hypot(*(ring - here).T).min()) for ring in rings) for code, rings in provinces().items()}
    nearest = min(away, key=lambda code: away[code])
    return nearest if away[nearest] < _ASHORE else None


def _province_path(view: View, code: str, painted: dict[str, int]) -> str:
    colour = f' style="fill: var(--step{painted[code]})"' if code in painted else ""
    return f'<path d="{view.outline(provinces()[code])}"{colour}/>'


def _arrows(common: Sequence[Confusion], view: View, name: str) -> str:
    """Return an arrow for each confusion, bent to its right so that those of two directions lie side by side."""
    head = (
        f'<marker id="{name}-head" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto"'
    )
    heads = f'<defs>{head} markerUnits="userSpaceOnUse"><path class="head" d="M0 0L6 3L0 6Z"/></marker></defs>'
    lines = []
    for one in common:
        start, end = (np.array(view.at(city.latitude, city.longitude)) for city in (one.true, one.taken_for))
        along = end - start
        bend = (start + end) / 2 + 0.22 * np.array([-along[1], along[0]])
        start, end = (point + 6 * (bend - point) / max(1.0, np.hypot(*(bend - point))) for point in (start, end))
        (x0, y0), (xc, yc), (x1, y1) = start, bend, end
        lines.append(
            f'<path class="arrow" d="M{x0:.1f} {y0:.1f}Q{xc:.1f} {yc:.1f} {x1:.1f} {y1:.1f}" '
            f'style="stroke-width: {0.8 + 5 * one.share:.1f}" marker-end="url(#{name}-head)"/>'
        )
    return heads + "".join(lines) if lines else ""


def _cities(cities: Sequence[CityRow], best: Row, common: Sequence[Confusion], view: View) -> str:
    dots = [np.array(view.at(city.latitude, city.longitude)) for city in cities]
    marks = []
    for city, (x, y) in zip(cities, dots, strict=True):
        share = best.per_city.get(city.slug)
        colour = "paper" if share is None else f"step{_step(share)}"
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" style="fill: var(--{colour})"/>')
    named = {one.slug for pair in common for one in (pair.true, pair.taken_for)}
    taken: list[NDArray[np.float64]] = []
    for city, dot in zip(cities, dots, strict=True):
        if len(cities) <= _NAMES or city.slug in named:
            name = shortened(city.name, 18)
            (x, y), anchor = _free_side(dot, name, taken, dots)
            marks.append(f'<text x="{x:.1f}" y="{y + 3.3:.1f}" text-anchor="{anchor}">{escape(name)}</text>')
    return "".join(marks)


def _free_side(
    at: NDArray[np.float64], name: str, taken: list[NDArray[np.float64]], dots: Iterable[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], str]:
    """Return where a city's name overlaps least with names and dots that are there, and note its box in `taken`.

    No name may cross the sides of the map.
    """
    width, height = 5.6 * len(name), 11.0
    sides = [((8, 0), "start"), ((-8, 0), "end"), ((0, -12), "middle"), ((0, 12), "middle")]
    boxes = []
    for (x, y), anchor in sides:
        left = at[0] + x - {"start": 0, "end": width, "middle": width / 2}[anchor]
        boxes.append(np.array([left, at[1] + y - height / 2, left + width, at[1] + y + height / 2]))
    marks = [np.array([x - 5, y - 5, x + 5, y + 5]) for x, y in dots]
    outside = [np.array([-1e4, -1e4, 0, 1e4]), np.array([_UNITS, -1e4, 1e4, 1e4])]
    costs = [sum(_overlap(box, other) for other in [*taken, *marks, *outside]) for box in boxes]
    chosen = int(np.argmin(costs))
    taken.append(boxes[chosen])
    return at + np.array(sides[chosen][0]), sides[chosen][1]


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return float(width * height) if width > 0 and height > 0 else 0.0


def _step(share: float) -> int:
    return min(4, int(share * 5))


def _legend() -> str:
    step = 0.98 * (_UNITS - 8) / len(_LEGEND)
    return "".join(
        f'<rect x="{step * number:.1f}" y="6" width="9.5" height="9.5" style="fill: var(--step{number})"/>'
        f'<text x="{step * number + 14:.1f}" y="14.5">{label}</text>'
        for number, label in enumerate(_LEGEND)
    )
