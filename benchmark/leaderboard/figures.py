"""The pictures of a leaderboard, drawn from its numbers alone.

Its map, where the cities are, how well each is recognised and which is taken for which, is written as SVG, in units of 1/72
inch as the other pictures of the page; the page's stylesheet has its colours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from benchmark.leaderboard.drawing import (
    ACCENT,
    BAR,
    GRID,
    INK,
    MARK,
    PAPER,
    QUIET,
    WIDTH,
    Picture,
    axes_at,
    drawn,
)
from benchmark.leaderboard.formatting import percent, shortened, time_taken
from benchmark.leaderboard.rows import CURVE_NOTE, TIME_NOTE, CityRow, Leaderboard, Row
from benchmark.scoring.evaluation import Details
from collector.web.maps import SOURCE, View, holds, provinces, view_of

_LINE = 0.21  # inches between two lines of text
_TIMES = {
    **{0.001: "1 ms", 0.01: "10 ms", 0.1: "0.1 s", 1.0: "1 s", 10.0: "10 s", 60.0: "1 min", 600.0: "10 min"},
    **{3600.0: "1 h", 36000.0: "10 h", 360000.0: "100 h"},
}
_MOST_CURVES = 9
_FEW = 20  # a per cent of fewer photos promises more than they say
_STYLES = [(colour, line) for line in ("solid", (0, (5, 2)), (0, (1, 1.5))) for colour in (ACCENT, MARK, INK)]
_MOST_METHODS, _MOST_NAMES = 30, 30  # more lines, or more names along a side, could not be read


def pictures(board: Leaderboard, prefix: str = "") -> list[Picture]:
    """Return the pictures that the leaderboard has numbers for; none without a finished run.

    Those of methods are of the first section; those of cities are of its best method. `prefix` goes before each name.
    """
    best, details = board.best, board.details
    curves = [_curves(board, prefix)] if board.curves else []
    if best is None or details is None:
        return curves
    ece = best.scores.get("ece")
    rows = board.sections()[best.section]
    of_cities = (
        [
            _per_city(board, best, prefix),
            map_picture(board, best, details, f"{prefix}map"),
            _confusion(board, best, details, prefix),
        ]
        if len(board.cities) > 1
        else []
    )
    drawn = [
        _accuracies(board, rows, prefix),
        *of_cities,
        _speed(rows, prefix, board.measure),
        _reliability(best, ece.value, details, prefix) if ece and details.reliability else None,
    ]
    return [picture for picture in drawn if picture] + curves


def _curves(board: Leaderboard, prefix: str) -> Picture:
    """Draw accuracy against training photos of each label, a line a method, with a band."""
    shown = board.curves[:_MOST_CURVES]
    ends = [(curve.points[-1].accuracy, curve) for curve in shown]

    def draw() -> Figure:
        figure = Figure(figsize=(WIDTH, 3.6))
        axes = axes_at(figure, 0.7, 0.15, WIDTH - 1.0, 2.85)
        axes.set_xscale("log", base=2)
        axes.axhline(100 * board.chance_uniform, color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
        heights = spaced([100 * curve.points[-1].accuracy for curve in shown], 4.5)
        for number, (curve, style) in enumerate(zip(shown, _STYLES, strict=False), start=1):
            photos = [of.photos for of in curve.points]
            low, mean, high = ([100 * getattr(of, name) for of in curve.points] for name in ("low", "accuracy", "high"))
            axes.fill_between(photos, low, high, color=style[0], alpha=0.15, linewidth=0)
            axes.plot(photos, mean, color=style[0], linewidth=1.5, linestyle=style[1])
            dots = [(of.photos, 100 * share) for of in curve.points for share in of.seeds if len(of.seeds) > 1]
            if dots:
                axes.scatter([x for x, _ in dots], [y for _, y in dots], s=5, color=style[0], linewidths=0)
            at = (photos[-1], heights[number - 1])
            axes.annotate(str(number), at, (5, 0), textcoords="offset points", va="center", fontsize=9.5)
        ticks = sorted({of.photos for curve in shown for of in curve.points})
        axes.minorticks_off()
        axes.set_xticks(ticks, [f"{tick:g}" if tick == int(tick) else f"{tick:.1f}" for tick in ticks])
        axes.set_ylim(bottom=0)
        axes.set_ylabel("accuracy, %")
        axes.set_xlabel(f"training photos of each {board.level} (logarithmic)")
        axes.grid(axis="y")
        return figure

    listed = "; ".join(
        f"{number} {curve.title}{f' ({curve.variant})' if curve.variant else ''} {_share(curve.points[0].accuracy)} to "
        f"{_share(end)}"
        for number, (end, curve) in enumerate(ends, start=1)
    )
    of = f"The best {len(shown)} of {len(board.curves)}. " if len(shown) < len(board.curves) else ""
    return Picture(
        f"{prefix}curves",
        f"Accuracy by training photos of each {board.level}",
        f"{of}{listed}. {CURVE_NOTE} Dashed: chance.",
        f"{len(shown)} methods: {listed}.",
        drawn(f"{prefix}curves", draw),
        draw,
    )


def spaced(heights: Sequence[float], gap: float) -> list[float]:
    """Return heights that fall, each at least `gap` below the one before."""
    moved: list[float] = []
    for height in heights:
        moved.append(min(height, moved[-1] - gap) if moved else height)
    return moved


def _accuracies(board: Leaderboard, rows: Sequence[Row], prefix: str) -> Picture:
    shown = rows[:_MOST_METHODS]
    with_paper = any(row.paper_accuracy is not None and row.section == "paper" for row in shown)

    def draw() -> Figure:
        figure = Figure(figsize=(WIDTH, 2 * _LINE * len(shown) + 0.6))
        axes = axes_at(figure, 0.15, 0.08, WIDTH - 0.4, 2 * _LINE * len(shown))
        reach = max(100 * max(row.high, row.paper_accuracy or 0) for row in shown)
        end = next(end for end in (25, 50, 100) if reach <= end)
        lines = np.arange(
            len(shown)
        )  # chance is drawn across them alone: one line over all would run through the names
        chance = np.full(len(shown), 100 * board.chance_uniform)
        axes.vlines(chance, lines + 0.02, lines + 0.42, color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
        for place, row in enumerate(shown):
            # A name stands above its line: beside it, names that differ at their ends would have to be cut.
            name = axes.annotate(shortened(row.title, 56), (0, place - 0.22), va="center", fontsize=9.5)
            name.set_gid(f"class-halo.{place}")
            axes.hlines(place + 0.22, 100 * row.low, 100 * row.high, color=ACCENT, linewidth=2)
            axes.scatter(100 * row.accuracy, place + 0.22, s=22, color=ACCENT, linewidths=0, zorder=3)
            if row.section == "paper" and row.paper_accuracy is not None:
                axes.vlines(100 * row.paper_accuracy, place + 0.02, place + 0.42, color=MARK, linewidth=2.5)
        axes.set(xlim=(0, end), ylim=(len(shown) - 0.45, -0.55), xlabel=f"{board.measure}, %", yticks=[])
        axes.set_xticks(np.linspace(0, end, 6 if end < 100 else 5))
        axes.grid(axis="x")
        return figure

    best, last = shown[0], shown[-1]
    of = f"The best {len(shown)} of {len(rows)} methods. " if len(shown) < len(rows) else ""
    paper = " Short upright lines: the 2018 paper, on its own photos." if with_paper else ""
    return Picture(
        f"{prefix}accuracies",
        f"{board.measure.capitalize()} by method" if board.protocol == "place" else "Accuracy of the methods",
        f"{of}Lines: {board.interval_words}. Dashed: chance.{paper}",
        f"{len(shown)} methods, from {best.title} with {_share(best.accuracy)} to {last.title} with "
        f"{_share(last.accuracy)}; chance is {_share(board.chance_uniform)}. The table has every number.",
        drawn(f"{prefix}accuracies", draw),
        draw,
    )


def _per_city(board: Leaderboard, best: Row, prefix: str) -> Picture:
    tests = {city.slug: city for city in board.cities if city.slug in best.per_city}
    order = sorted(tests, key=lambda slug: (-best.per_city[slug], slug))

    def draw() -> Figure:
        figure, axes = _lines([tests[slug].name for slug in order], "recognised, %")
        places = np.arange(len(order))
        shares = np.array([best.per_city[slug] for slug in order])
        bounds = np.array([(best.cities[slug].low, best.cities[slug].high) for slug in order])
        axes.barh(places, 100 * shares, height=0.62, color=BAR)
        axes.hlines(places, 100 * bounds[:, 0], 100 * bounds[:, 1], color=INK, linewidth=1)
        axes.axvline(100 * board.chance_uniform, color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
        return figure

    first, last = order[0], order[-1]
    of_paper = " The paper's Figure 4 shows the same." if board.level == "city" else ""
    return Picture(
        f"{prefix}cities",
        f"Accuracy by {board.level}: {best.title}",
        f"Share of each {board.level}'s test photos that the best method recognised, with {board.parts_words}. "
        f"Dashed: chance.{of_paper}",
        f"Best recognised is {tests[first].name} with {_share(best.per_city[first])}, worst {tests[last].name} with "
        f"{_share(best.per_city[last])}. The table of {board.nouns} has every number.",
        drawn(f"{prefix}cities", draw),
        draw,
    )


def _confusion(board: Leaderboard, best: Row, details: Details, prefix: str) -> Picture:
    shown = [number for number, city in enumerate(board.cities) if city.photos]  # districts may have none
    counts = np.array(details.confusion, np.float64)[np.ix_(shown, shown)]
    photos = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, photos, out=np.zeros_like(counts), where=photos > 0)
    all_names, cities = [board.cities[number].name for number in shown], len(shown)

    def draw() -> Figure:
        left, top = (1.2, 1.0) if cities <= _MOST_NAMES else (0.35, 0.05)
        side = WIDTH - left - (0.4 if cities <= _MOST_NAMES else 0.05)  # the last name leans out to the right
        figure = Figure(figsize=(WIDTH, top + side + 0.3))
        axes = axes_at(figure, left, top, side, side)
        taken = np.argwhere(shares > 0)
        cells = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in taken]
        # Opacity tells how much, so that the colour can be the page's own.
        depth = [float(shares[row, column]) for row, column in taken]
        axes.add_collection(PatchCollection(cells, facecolor=ACCENT, alpha=depth, linewidth=0))
        if cities <= 15:
            for row, column in taken:
                _cell_number(axes, column, row, shares[row, column])
        _frame(axes, cities)
        names = [shortened(name, 14) for name in all_names] if cities <= _MOST_NAMES else []
        places = np.arange(len(names))
        axes.set_xticks(places, names, rotation=60, ha="left", rotation_mode="anchor", fontsize=9)
        axes.set_yticks(places, names, fontsize=9)
        axes.set_xlabel("predicted")
        axes.xaxis.set_label_position("bottom")
        axes.set_ylabel("" if names else f"true {board.level}")
        return figure

    off = shares - np.diag(np.diag(shares))
    row, column = np.unravel_index(int(off.argmax()), off.shape)
    text = (
        f"The commonest confusion: {_counted(counts[row, column], photos[row, 0])} of {all_names[row]} "
        f"{'is' if counts[row, column] == 1 else 'are'} taken for {all_names[column]}."
        if off.max() > 0
        else f"No photo is taken for one of another {board.level}."
    )
    order = (
        ""
        if cities <= _MOST_NAMES
        else f" {board.nouns.capitalize()} are in the order of the table, from the top and from the left."
    )
    return Picture(
        f"{prefix}confusion",
        f"Confusion of {board.nouns}: {best.title}",
        f"A row is a true {board.level}, a column the answer; the stronger, the larger the share of the row"
        f"{_numbers(cities)}. {text}{order}",
        f"Confusion matrix of {cities} {board.nouns}. {text}",
        drawn(f"{prefix}confusion", draw),
        draw,
    )


def _counted(part: float, whole: float) -> str:
    """Return a share in per cent and its counts; where a photo is more than 5 per cent, the counts alone."""
    counts = f"{part:,.0f} of {whole:,.0f} photos" if whole > 1 else "the only photo"
    return f"{_share(part / whole)} ({counts})" if whole >= _FEW else counts


def _numbers(cities: int) -> str:
    return ", in per cent" if cities <= 15 else ""


def _cell_number(axes: Axes, column: int, row: int, share: float) -> None:
    # Seven tenths of the accent's colour are where light letters begin to be read better than dark ones.
    dark = share > 0.7
    colour = PAPER if dark else INK
    text = axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=colour)
    text.set_gid(f"class-{'on-dark' if dark else 'on-light'}.{row}-{column}")


def _frame(axes: Axes, cities: int) -> None:
    axes.set(xlim=(-0.5, cities - 0.5), ylim=(cities - 0.5, -0.5))
    axes.xaxis.tick_top()
    axes.tick_params(top=False, labelbottom=False)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(GRID)


def _speed(rows: Sequence[Row], prefix: str, measure: str) -> Picture | None:
    """Draw what rows are ranked by against seconds; numbers mark the methods that no other one beats in both."""
    timed = [(row.seconds, 100 * row.accuracy, row.title) for row in rows if row.seconds]
    if not timed:
        return None
    front = _unbeaten(timed)

    def draw() -> Figure:
        figure = Figure(figsize=(WIDTH, 3.4))
        axes = axes_at(figure, 0.7, 0.15, WIDTH - 0.9, 2.65)
        seconds, scores, _ = zip(*timed, strict=True)
        axes.set_xscale("log")
        axes.scatter(seconds, scores, s=26, color=BAR, linewidths=0)
        axes.plot([of[0] for of in front], [of[1] for of in front], color=ACCENT, linewidth=1)
        for number, (took, score, _) in enumerate(front, start=1):
            axes.scatter(took, score, s=34, color=ACCENT, linewidths=0, zorder=3)
            axes.annotate(str(number), (took, score), (0, 6), textcoords="offset points", ha="center", fontsize=9.5)
        _time_axis(axes, min(seconds), max(seconds))
        axes.set_ylim(0, min(106, 1.12 * max(scores)) or 1)
        axes.set_ylabel(f"{measure}, %")
        axes.set_xlabel("to fit and predict (logarithmic)")
        axes.grid(axis="y")
        return figure

    listed = "; ".join(
        f"{number} {title} ({time_taken(took)}, {score:.1f} %)"
        for number, (took, score, title) in enumerate(front, start=1)
    )
    return Picture(
        f"{prefix}speed",
        f"{measure.capitalize()} against time",
        f"Numbered: methods that no other one beats in both. {listed}. {TIME_NOTE}",
        f"{len(timed)} methods. No other one is both faster and more accurate than: {listed}.",
        drawn(f"{prefix}speed", draw),
        draw,
    )


def _unbeaten(timed: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    front: list[tuple[float, float, str]] = []
    for one in sorted(timed, key=lambda of: (of[0], -of[1], of[2])):
        if not front or one[1] > front[-1][1]:
            front.append(one)
    return front


def _time_axis(axes: Axes, shortest: float, longest: float) -> None:
    axes.set_xlim(shortest / 1.6, longest * 1.6)
    axes.minorticks_off()
    shown = {at: name for at, name in _TIMES.items() if shortest / 1.6 <= at <= longest * 1.6}
    shown = shown or {shortest: time_taken(shortest)}
    axes.set_xticks(list(shown), list(shown.values()))


def _reliability(best: Row, ece: float, details: Details, prefix: str) -> Picture:
    bins = details.reliability
    most = max(one.count for one in bins)

    def draw() -> Figure:
        figure = Figure(figsize=(WIDTH, 3.6))
        axes = axes_at(figure, 0.7, 0.12, WIDTH - 0.9, 2.9)
        axes.plot([0, 100], [0, 100], color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
        confidence, accuracy = ([100 * getattr(one, name) for one in bins] for name in ("confidence", "accuracy"))
        axes.vlines(confidence, confidence, accuracy, color=MARK, linewidth=1.5)
        sizes = [12 + 90 * one.count / most for one in bins]
        axes.scatter(confidence, accuracy, s=sizes, color=ACCENT, linewidths=0, zorder=3)
        axes.set(xlim=(0, 100), ylim=(-2, 102), xlabel="confidence, %", ylabel="right, %")
        axes.grid()
        return figure

    mean = sum(one.count * (one.confidence - one.accuracy) for one in bins) / sum(one.count for one in bins)
    leaning = "more" if mean > 0 else "less"
    return Picture(
        f"{prefix}reliability",
        f"Calibration: {best.title}",
        "Answers by their confidence: on the dashed line a method is right as often as it says. Larger dots hold more "
        f"photos. Expected calibration error {_share(ece)} (15 bins).",
        f"On average it is {_share(abs(mean))} {leaning} confident than right; expected calibration error "
        f"{_share(ece)}.",
        drawn(f"{prefix}reliability", draw),
        draw,
    )


def _lines(names: Sequence[str], label: str) -> tuple[Figure, Axes]:
    """Return a figure with a line for each name and an axis from 0 to 100 below them."""
    names = [shortened(name, 24) for name in names]
    margin = 0.2 + 0.079 * max(map(len, names))  # inches; what the letters of this size take at most
    height = _LINE * len(names)
    figure = Figure(figsize=(WIDTH, height + 0.6))
    axes = axes_at(figure, margin, 0.08, WIDTH - margin - 0.25, height)
    axes.set_yticks(np.arange(len(names)), names, fontsize=9.5)
    axes.set(xlim=(0, 100), ylim=(len(names) - 0.4, -0.6), xlabel=label)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.grid(axis="x")
    return figure, axes


def _share(fraction: float) -> str:
    return f"{percent(fraction, 1)} %"


_ARROWS = 8
_RARE = 0.05  # a confusion of a smaller share of a city's photos gets no arrow
_ASHORE = 0.1  # degrees: a harbour may lie beyond a border that was straightened
_NAMES = 24  # with more cities only those at an arrow are named
_UNITS = 72 * WIDTH
_HEAD = 26.0  # units above the map, for the legend
_LEGEND = ("0 to 20", "20 to 40", "40 to 60", "60 to 80", "80 to 100 %")


@dataclass(frozen=True, slots=True)
class Confusion:
    """A share of one city's photos that is taken for another city, and of how many photos it is one."""

    true: CityRow
    taken_for: CityRow
    share: float
    photos: int


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
    listed = ", ".join(f"{one.true.name} → {one.taken_for.name} {_share_text(one)}" for one in common)
    text = f"Arrows from a city to the one that it is most often taken for: {listed}." if common else ""
    credit = f" Borders: {SOURCE}." if land or painted else ""
    what = "Provinces" if painted else "Circles"
    return Picture(
        name,
        f"Where it is right: {best.title}",
        f"{what} by the share of their city's test photos that the best method recognised. {text}{credit} The paper's "
        "Figure 1 shows an answer on such a map.",
        f"Map of {len(board.cities)} cities coloured by accuracy. {text}",
        svg,
    )


def _share_text(one: Confusion) -> str:
    return f"{100 * one.share:.0f} %" if one.photos >= _FEW else f"{one.share * one.photos:.0f} of {one.photos}"


def confusions(cities: Sequence[CityRow], details: Details) -> list[Confusion]:
    """Return the commonest confusions of two cities that lie apart, the commonest first; none is below 5 % of a city's."""
    counts = np.array(details.confusion, np.float64)
    photos = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, photos, out=np.zeros_like(counts), where=photos > 0)
    order = np.argsort(-shares, axis=None, kind="stable")
    common: list[Confusion] = []
    for true, taken in zip(*np.unravel_index(order, shares.shape), strict=True):
        one = Confusion(cities[true], cities[taken], float(shares[true, taken]), int(photos[true, 0]))
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
