"""The pictures of a leaderboard, drawn from its numbers alone."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmark.leaderboard.drawing import (
    ACCENT,
    BAR,
    GRID,
    INK,
    MARK,
    QUIET,
    WIDTH,
    Picture,
    axes_at,
    drawn,
)
from benchmark.leaderboard.geomap import map_picture
from benchmark.leaderboard.rows import Leaderboard, Row, percent, shortened, time_taken
from benchmark.scoring.evaluation import Details
from benchmark.scoring.metrics import wilson

_LINE = 0.21  # inches between two lines of text
_TIMES = {
    **{0.001: "1 ms", 0.01: "10 ms", 0.1: "0.1 s", 1.0: "1 s", 10.0: "10 s", 60.0: "1 min", 600.0: "10 min"},
    **{3600.0: "1 h", 36000.0: "10 h", 360000.0: "100 h"},
}
_MOST_METHODS, _MOST_NAMES = 30, 30  # more lines, or more names along a side, could not be read


def pictures(board: Leaderboard, prefix: str = "") -> list[Picture]:
    """Return the pictures that the leaderboard has numbers for; none without a finished run.

    Those of methods are of the first section; those of cities are of its best method. `prefix` goes before each name.
    """
    best, details = board.best, board.details
    if best is None or details is None:
        return []
    ece = best.scores.get("ece")
    rows = board.sections()[best.section]
    made = [
        _accuracies(board, rows, prefix),
        _per_city(board, best, prefix),
        map_picture(board, best, details, f"{prefix}map"),
        _confusion(board, best, details, prefix),
        _speed(rows, prefix),
        _reliability(best, ece.value, details, prefix) if ece and details.reliability else None,
    ]
    return [picture for picture in made if picture]


def _accuracies(board: Leaderboard, rows: Sequence[Row], prefix: str) -> Picture:
    shown = rows[:_MOST_METHODS]
    with_paper = any(row.paper_accuracy is not None and row.section == "paper" for row in shown)

    def draw() -> Figure:
        figure = Figure(figsize=(WIDTH, 2 * _LINE * len(shown) + 0.6))
        axes = axes_at(figure, 0.15, 0.08, WIDTH - 0.4, 2 * _LINE * len(shown))
        reach = max(100 * max(row.high, row.paper_accuracy or 0) for row in shown)
        end = next(end for end in (25, 50, 100) if reach <= end)
        axes.axvline(100 * board.chance_uniform, color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
        for place, row in enumerate(shown):
            # A name stands above its line: beside it, names that differ at their ends would have to be cut.
            name = axes.annotate(shortened(row.title, 56), (0, place - 0.22), va="center", fontsize=9.5)
            name.set_gid(f"class-halo.{place}")
            axes.hlines(place + 0.22, 100 * row.low, 100 * row.high, color=ACCENT, linewidth=2)
            axes.scatter(100 * row.accuracy, place + 0.22, s=22, color=ACCENT, linewidths=0, zorder=3)
            if row.section == "paper" and row.paper_accuracy is not None:
                axes.vlines(100 * row.paper_accuracy, place + 0.02, place + 0.42, color=MARK, linewidth=2.5)
        axes.set(xlim=(0, end), ylim=(len(shown) - 0.45, -0.55), xlabel="accuracy, %", yticks=[])
        axes.set_xticks(np.linspace(0, end, 6 if end < 100 else 5))
        axes.grid(axis="x")
        return figure

    best, last = shown[0], shown[-1]
    of = f"The best {len(shown)} of {len(rows)} methods. " if len(shown) < len(rows) else ""
    paper = " Short upright lines: the 2018 paper, on its own photos." if with_paper else ""
    return Picture(
        f"{prefix}accuracies",
        "Accuracy of the methods",
        f"{of}Lines: Wilson 95 % intervals for {board.test_photos} photos. Dashed: chance.{paper}",
        f"{len(shown)} methods, from {best.title} with {_share(best.accuracy)} to {last.title} with "
        f"{_share(last.accuracy)}; chance is {_share(board.chance_uniform)}. The table has every number.",
        drawn(f"{prefix}accuracies", draw),
    )


def _per_city(board: Leaderboard, best: Row, prefix: str) -> Picture:
    tests = {city.slug: city for city in board.cities if city.slug in best.per_city}
    order = sorted(tests, key=lambda slug: (-best.per_city[slug], slug))

    def draw() -> Figure:
        figure, axes = _lines([tests[slug].name for slug in order], "recognised, %")
        places = np.arange(len(order))
        shares = np.array([best.per_city[slug] for slug in order])
        bounds = np.array([wilson(best.per_city[slug] * tests[slug].test, tests[slug].test) for slug in order])
        axes.barh(places, 100 * shares, height=0.62, color=BAR)
        axes.hlines(places, 100 * bounds[:, 0], 100 * bounds[:, 1], color=INK, linewidth=1)
        axes.axvline(100 * board.chance_uniform, color=QUIET, linewidth=1, linestyle=(0, (3, 2)))
        return figure

    first, last = order[0], order[-1]
    of_paper = " The paper's Figure 4 shows the same." if board.level == "city" else ""
    return Picture(
        f"{prefix}cities",
        f"Accuracy by {board.level}: {best.title}",
        f"Share of each {board.level}'s test photos that the best method recognised, with Wilson 95 % intervals. "
        f"Dashed: chance.{of_paper}",
        f"Best recognised is {tests[first].name} with {_share(best.per_city[first])}, worst {tests[last].name} with "
        f"{_share(best.per_city[last])}. The table of {board.nouns} has every number.",
        drawn(f"{prefix}cities", draw),
    )


def _confusion(board: Leaderboard, best: Row, details: Details, prefix: str) -> Picture:
    counts = np.array(details.confusion, np.float64)
    photos = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, photos, out=np.zeros_like(counts), where=photos > 0)
    cities = len(board.cities)

    def draw() -> Figure:
        left, top = (1.2, 1.0) if cities <= _MOST_NAMES else (0.35, 0.05)
        side = WIDTH - left - 0.05
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
        names = [shortened(city.name, 14) for city in board.cities] if cities <= _MOST_NAMES else []
        places = np.arange(len(names))
        axes.set_xticks(places, names, rotation=60, ha="left", rotation_mode="anchor", fontsize=9)
        axes.set_yticks(places, names, fontsize=9)
        axes.set_xlabel("predicted")
        axes.xaxis.set_label_position("bottom")
        axes.set_ylabel("" if names else f"true {board.level}")
        return figure

    off = shares - np.diag(np.diag(shares))
    row, column = np.unravel_index(int(off.argmax()), off.shape)
    names = [city.name for city in board.cities]
    said = (
        f"The commonest confusion: {_share(off[row, column])} of the photos of {names[row]} are taken for {names[column]}."
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
        f"Which {board.level} is taken for which: {best.title}",
        f"A row is a true {board.level}, a column the answer; the stronger, the larger the share of the row"
        f"{_numbers(cities)}. {said}{order}",
        f"Confusion matrix of {cities} {board.nouns}. {said}",
        drawn(f"{prefix}confusion", draw),
    )


def _numbers(cities: int) -> str:
    return ", in per cent" if cities <= 15 else ""


def _cell_number(axes: Axes, column: int, row: int, share: float) -> None:
    text = axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=INK)
    text.set_gid(f"class-{'on-dark' if share > 0.5 else 'on-light'}.{row}-{column}")


def _frame(axes: Axes, cities: int) -> None:
    axes.set(xlim=(-0.5, cities - 0.5), ylim=(cities - 0.5, -0.5))
    axes.xaxis.tick_top()
    axes.tick_params(top=False, labelbottom=False)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(GRID)


def _speed(rows: Sequence[Row], prefix: str) -> Picture | None:
    """Draw accuracy against seconds; numbers mark the methods that no other one beats in both."""
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
        axes.set_ylabel("accuracy, %")
        axes.set_xlabel("to fit and predict (logarithmic)")
        axes.grid(axis="y")
        return figure

    listed = "; ".join(
        f"{number} {title} ({time_taken(took)}, {score:.1f} %)"
        for number, (took, score, title) in enumerate(front, start=1)
    )
    return Picture(
        f"{prefix}speed",
        "Accuracy against time",
        f"Numbered: methods that no other one beats in both. {listed}.",
        f"{len(timed)} methods. No other one is both faster and more accurate than: {listed}.",
        drawn(f"{prefix}speed", draw),
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
        f"Does it know how sure it can be? {best.title}",
        "Answers by their confidence: on the dashed line a method is right as often as it says. Larger dots hold more "
        f"photos. Expected calibration error {_share(ece)} (15 bins).",
        f"On average it is {_share(abs(mean))} {leaning} confident than right; expected calibration error "
        f"{_share(ece)}.",
        drawn(f"{prefix}reliability", draw),
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
