"""The map of a leaderboard: where the cities are, how well each is recognised, and which is taken for which."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch, PathPatch
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from benchmark.leaderboard.drawing import COAST, INK, LAND, MARK, PAPER, STEPS, WIDTH, Picture, axes_at, drawn
from benchmark.leaderboard.geoview import View, land_in, place_in, view_of
from benchmark.leaderboard.outlines import SOURCE, Ring, provinces
from benchmark.leaderboard.rows import CityRow, Leaderboard, Row, shortened
from benchmark.scoring.evaluation import Details

_ARROWS = 8
_RARE = 0.05  # a confusion of a smaller share of a city's photos gets no arrow
_ASHORE = 0.1  # degrees: a harbour may lie beyond a border that was straightened
_NAMES = 24  # with more cities only those at an arrow are named


@dataclass(frozen=True, slots=True)
class Confusion:
    """A share of one city's photos that is taken for another city."""

    true: CityRow
    taken_for: CityRow
    share: float


def map_picture(board: Leaderboard, best: Row, details: Details, name: str) -> Picture | None:
    """Return the map of the best method; None where the cities' centres are one and the same place."""
    if len({(city.latitude, city.longitude) for city in board.cities}) < 2:
        return None
    common = confusions(board.cities, details)
    painted = _painted(board.cities, best)
    view = view_of(board.cities, [ring for code in provinces() for ring in provinces()[code]] if painted else [])
    land = land_in(view, without={"Turkey"} if painted else set())
    width, height = WIDTH, WIDTH * view.shape

    def draw() -> Figure:
        figure = Figure(figsize=(width, height + 0.36))
        axes = axes_at(figure, 0, 0.34, width, height)
        axes.set(xlim=(view.west, view.east), ylim=(view.south, view.north))
        axes.set_aspect(view.stretch)
        axes.set_axis_off()
        _draw_rings(axes, land, LAND)
        for code, rings in provinces().items() if painted else ():
            _draw_rings(axes, [rings], painted.get(code, LAND))
        _draw_arrows(axes, common, view)
        _draw_cities(axes, board.cities, best, common, view)
        _legend(figure)
        return figure

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
        drawn(name, draw),
    )


def confusions(cities: Sequence[CityRow], details: Details) -> list[Confusion]:
    """Return the commonest confusions of two cities that lie apart, the commonest first; none is below 5 % of a city's."""
    counts = np.array(details.confusion, np.float64)
    photos = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, photos, out=np.zeros_like(counts), where=photos > 0)
    order = np.argsort(-shares, axis=None, kind="stable")
    found: list[Confusion] = []
    for true, taken in zip(*np.unravel_index(order, shares.shape), strict=True):
        one = Confusion(cities[true], cities[taken], float(shares[true, taken]))
        if one.share < _RARE or len(found) == _ARROWS:
            break
        if (one.true.latitude, one.true.longitude) != (one.taken_for.latitude, one.taken_for.longitude):
            found.append(one)
    return found


def _painted(cities: Sequence[CityRow], best: Row) -> dict[str, str]:
    """Return the colour of each province of Türkiye that holds a city; none unless all cities lie in one each."""
    codes = [_province(city) for city in cities]
    if None in codes or len(set(codes)) < len(codes):
        return {}
    shares = ((code, best.per_city.get(city.slug)) for code, city in zip(codes, cities, strict=True))
    return {str(code): _step(share) for code, share in shares if share is not None}


def _province(city: CityRow) -> str | None:
    """Return the code of the province that a city is in, or on whose coast it is; None for cities elsewhere."""
    if city.code in provinces():
        return city.code
    here = (city.longitude, city.latitude)
    for code, rings in provinces().items():
        if _compound(rings).contains_point(here):
            return code
    away = {code: min(float(np.hypot(*(ring - here).T).min()) for ring in rings) for code, rings in provinces().items()}
    nearest = min(away, key=lambda code: away[code])
    return nearest if away[nearest] < _ASHORE else None


def _draw_rings(axes: Axes, shapes: Iterable[list[Ring]], colour: str) -> None:
    for rings in shapes:
        axes.add_patch(PathPatch(_compound(rings), facecolor=colour, edgecolor=COAST, linewidth=0.6))


def _compound(rings: Iterable[Ring]) -> Outline:
    return Outline.make_compound_path(*(Outline(ring, closed=True) for ring in rings))


def _draw_arrows(axes: Axes, common: Sequence[Confusion], view: View) -> None:
    for one in common:
        arrow = FancyArrowPatch(
            *(place_in(view, city) for city in (one.true, one.taken_for)),
            connectionstyle="arc3,rad=0.22",
            arrowstyle="-|>,head_length=5,head_width=2.6",
            shrinkA=5,
            shrinkB=5,
            linewidth=0.8 + 5 * one.share,
            color=MARK,
            mutation_scale=1,
        )
        axes.add_patch(arrow)


def _draw_cities(axes: Axes, cities: Sequence[CityRow], best: Row, common: Sequence[Confusion], view: View) -> None:
    for city in cities:
        share = best.per_city.get(city.slug)
        colour = PAPER if share is None else _step(share)
        axes.scatter(*place_in(view, city), s=52, facecolor=colour, edgecolor=INK, linewidths=0.9, zorder=4)
    named = {one.slug for pair in common for one in (pair.true, pair.taken_for)}
    labelled = [city for city in cities if len(cities) <= _NAMES or city.slug in named]
    taken: list[NDArray[np.float64]] = []
    dots = [axes.transData.transform(place_in(view, city)) for city in cities]
    for number, city in enumerate(labelled):
        at = axes.transData.transform(place_in(view, city))
        offset, align = _free_side(at, shortened(city.name, 18), taken, dots, 72 * WIDTH)
        text = axes.annotate(
            shortened(city.name, 18),
            place_in(view, city),
            offset,
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=9.5,
        )
        text.set_gid(f"class-halo.{number}")


def _free_side(
    at: NDArray[np.float64],
    name: str,
    taken: list[NDArray[np.float64]],
    dots: Sequence[NDArray[np.float64]],
    edge: float,
) -> tuple[tuple[float, float], str]:
    """Return where a city's name overlaps least with names and dots that are there, and note its box in `taken`.

    All in points (1/72 inch), which are the units of the figure: it is drawn at 72 dots an inch. It is `edge` points wide,
    and no name may cross its sides.
    """
    width, height = 5.6 * len(name), 11.0
    sides = [((8, 0), "left"), ((-8, 0), "right"), ((0, 12), "center"), ((0, -12), "center")]
    boxes = []
    for (x, y), align in sides:
        left = at[0] + x - {"left": 0, "right": width, "center": width / 2}[align]
        boxes.append(np.array([left, at[1] + y - height / 2, left + width, at[1] + y + height / 2]))
    marks = [np.array([x - 5, y - 5, x + 5, y + 5]) for x, y in dots]
    outside = [np.array([-1e4, -1e4, 0, 1e4]), np.array([edge, -1e4, 1e4, 1e4])]
    costs = [sum(_overlap(box, other) for other in [*taken, *marks, *outside]) for box in boxes]
    chosen = int(np.argmin(costs))
    taken.append(boxes[chosen])
    return sides[chosen]


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return float(width * height) if width > 0 and height > 0 else 0.0


def _step(share: float) -> str:
    return STEPS[min(4, int(share * 5))]


def _legend(figure: Figure) -> None:
    labels = ("0 to 20", "20 to 40", "40 to 60", "60 to 80", "80 to 100 %")
    handles = [
        Patch(facecolor=colour, edgecolor=COAST, label=label) for colour, label in zip(STEPS, labels, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        ncols=5,
        handlelength=1,
        handleheight=1,
        columnspacing=1,
        fontsize=9.5,
        borderpad=0,
    )
