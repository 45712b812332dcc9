"""The pictures of a dataset card: photos by city and side, where, when and by how few they were taken, under which licences.

SVG from matplotlib's own canvas, without pyplot's global state. The same manifest gives the same bytes on the same version
of matplotlib: no dates, a fixed salt for ids, default settings whatever the user's are.
"""

import io
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Circle, Patch
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from collector.manifest.manifest import Manifest
from collector.publishing.facts import Facts, Row, summed
from collector.publishing.stats import CityStats
from collector.records import SPLITS, City
from collector.web.maps import kilometres
from collector.web.markdown import plain

COLOURS = {"train": "#8fb8de", "val": "#e69f00", "test": "#a4243b"}
"""Of the sides: apart in lightness too, so that they stay apart for colour-blind eyes and in grey."""

_KINDS = ("#8fb8de", "#e69f00", "#a4243b", "#009e73", "#5b6470", "#cc79a7", "#f0e442", "#0b4f8a", "#c9ced6")
"""Of licences, the most frequent first; the last for all others."""

_SHADES = LinearSegmentedColormap.from_list("shades", [(0.13, 0.44, 0.71, 0.0), (0.13, 0.44, 0.71, 1.0)])
"""Blue on whatever the page's colour is."""

_SIDE_NAMES = {"train": "training", "val": "validation", "test": "test"}
_INK, _QUIET = "#1b1f24", "#5b6470"
_SHOWN = 100  # cities that get a bar and a map; more would be too small to read
_WIDTH, _HEAD, _TITLE, _FOOT = 8.5, 0.36, 0.17, 0.42  # inches: of a figure, its legend, a map's title, the note
_NOTE_LINES = 3


def charts(manifest: Manifest, facts: Facts, found: Sequence[CityStats]) -> dict[str, bytes]:
    """Return the pictures that there is data for, as SVG by file name; `counts` is always there.

    Args:
        manifest: the data set.
        facts: its counts.
        found: what it shows of each city.
    """
    shown = found[:_SHOWN]
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        figures = {"counts.svg": _counts(facts)}
        if facts.located:
            figures["map.svg"] = _map(manifest)
        if len(facts.authors.counts) > 1:
            figures["authors.svg"] = _authors(facts)
        if facts.dated:
            figures |= {"months.svg": time_grid(shown, "by_month"), "hours.svg": time_grid(shown, "by_hour")}
        if bars := city_bars(shown):
            figures["cities.svg"] = bars
        if licences := licence_bars(shown):
            figures["licences.svg"] = licences
        return {name: _svg(figure, manifest.header.note) for name, figure in figures.items()}


SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "t15",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a city's name is text, also with dollar signs in it
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "xtick.color": _QUIET,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def _svg(figure: Figure, note: str) -> bytes:
    """Return a figure with the note that every reader has to know below it: pictures travel without their page."""
    lines = textwrap.wrap(drawable(note, 400), int(18 * figure.get_figwidth()))[:_NOTE_LINES]
    figure.text(0.01, 0.06 / figure.get_figheight(), "\n".join(lines), fontsize=6.5, color=_QUIET)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=110, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _figure(width: float, height: float) -> Figure:
    """Return a figure of so many inches, with room for the note below them."""
    return Figure(figsize=(width, height + _FOOT))


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return axes at a place in inches from the figure's upper left corner; layout engines take seconds for 81 maps."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))


def _counts(facts: Facts) -> Figure:
    """Draw a stacked bar for each city, in up to three columns; the smallest of very many are one bar."""
    cities = summed(facts.cities, _SHOWN, "cities")
    columns = min(3, -(-len(cities) // 30))
    length = -(-len(cities) // columns)
    names = [drawable(row.name) for row in cities]
    margin = 0.25 + 0.078 * max(map(len, names))  # inches; what the letters of this size take at most
    width = _WIDTH / columns
    figure = _figure(_WIDTH, _HEAD + 0.2 * length)
    most = max(row.photos for row in cities)
    for column in range(columns):
        axes = _axes(figure, column * width + margin, _HEAD, width - margin - 0.1, 0.2 * length)
        here = slice(column * length, (column + 1) * length)
        _bars(axes, cities[here], names[here], length, most)
    _legend(figure)
    return figure


def _bars(axes: Axes, rows: Sequence[Row], names: Sequence[str], length: int, most: int) -> None:
    start = np.zeros(len(rows))
    for side in SPLITS:
        widths = np.array([getattr(row, side) for row in rows])
        _strips(axes, start, widths, COLOURS[side], edgecolors="white", linewidths=0.6)
        start += widths
    beside = axes.transData + _points(axes, 3)
    for place, row in enumerate(rows):
        axes.text(row.photos, place, f"{row.photos:,}", transform=beside, va="center", fontsize=7)
    _name_rows(axes, names)
    axes.set_ylim(length - 0.4, -0.6)
    axes.set_xlim(0, max(most, 1) * 1.15)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _map(manifest: Manifest) -> Figure:
    """Draw a small map of each city: kilometres east and north of its centre, the circle that photos come from.

    All of them on one pair of axes, in inches from the upper left corner: axes take a twentieth of a second each.
    """
    cities = _mapped(manifest)
    columns = _columns(len(cities))
    step = _WIDTH / max(columns, 3)
    figure = _figure(_WIDTH, _HEAD + -(-len(cities) // columns) * (step + _TITLE))
    width, height = figure.get_size_inches()
    axes = _axes(figure, 0, 0, width, height)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    places = _places(manifest, [city.slug for city in cities])
    half = step / 2 - 0.04
    circles = []
    dots: dict[str, list[NDArray[np.float64]]] = {side: [] for side in SPLITS}
    for index, city in enumerate(cities):
        row, column = divmod(index, columns)
        middle = np.array([(column + 0.5) * step, _HEAD + row * (step + _TITLE) + _TITLE + half])
        reach = 1.05 * city.radius_km  # with a little room around the circle
        circles.append(Circle((middle[0], middle[1]), half / 1.05))
        title = drawable(city.name, 15) + (f", {city.radius_km:g} km" if columns < 9 else "")
        axes.text(middle[0], middle[1] - half - 0.03, title, fontsize=6.5, ha="center", va="bottom")
        for side in SPLITS:
            offsets = kilometres(city.latitude, city.longitude, places[city.slug][side])
            offsets = offsets[(np.abs(offsets) <= reach).all(axis=1)]
            dots[side].append(middle + offsets * (half / reach, -half / reach))
    ground = PatchCollection(circles, facecolor="#f6f7f9", edgecolor="#c9ced6", linewidth=0.6)
    axes.add_collection(ground, autolim=False)
    for side in SPLITS:  # test last: the fewest, and those that count
        x, y = np.concatenate(dots[side]).T
        # As pixels: a dot of each of 12,000 photos as vectors would be a megabyte.
        axes.scatter(x, y, s=0.5 + 3.2 * step, color=COLOURS[side], linewidths=0, rasterized=True)
    _legend(figure)
    return figure


def _columns(maps: int) -> int:
    """Return how many maps stand side by side: as many as can be read, with few gaps in the last row."""
    if maps <= 4:
        return maps
    return 9 if maps > 36 else min((6, 5, 4), key=lambda columns: -maps % columns)


def _mapped(manifest: Manifest) -> list[City]:
    """Return the cities to draw, in the manifest's order: all, or the ones with the most photos where they are many."""
    totals = {slug: sum(sides.values()) for slug, sides in manifest.counts().items()}
    chosen = set(sorted(totals, key=lambda slug: (-totals[slug], slug))[:_SHOWN])
    return [city for city in manifest.header.cities if city.slug in chosen]


def _places(manifest: Manifest, slugs: Sequence[str]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return the places (N, 2) of some cities' photos by city and side, in degrees."""
    table = manifest.table.select(["city", "split", "latitude", "longitude"])
    located = table.filter(pc.and_(pc.is_in(table["city"], pa.array(slugs)), pc.is_valid(table["latitude"])))
    city = pc.index_in(located["city"], pa.array(slugs)).to_numpy()
    side = pc.index_in(located["split"], pa.array(SPLITS)).to_numpy()
    degrees = np.column_stack([located[name].to_numpy() for name in ("latitude", "longitude")])
    return {
        slug: {name: degrees[(city == at) & (side == of)] for of, name in enumerate(SPLITS)}
        for at, slug in enumerate(slugs)
    }


def _authors(facts: Facts) -> Figure:
    """Draw which share of the photos the most active share of authors took; equal authors would make the diagonal."""
    counts = np.array(facts.authors.counts)
    shares = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()]) * 100
    people = np.linspace(0, 100, len(shares))
    figure = _figure(4.6, 3.1)
    axes = _axes(figure, 0.6, 0.15, 3.8, 2.45)
    axes.tick_params(colors=_QUIET)
    axes.plot([0, 100], [0, 100], color="#c9ced6", linewidth=1)
    axes.annotate("if all had taken the same number", (58, 50), color=_QUIET, fontsize=7)
    axes.plot(people, shares, color="#1d5fb4", linewidth=1.8)
    at, share = 100 * facts.authors.top_tenth / len(counts), 100 * facts.authors.top_tenth_share
    axes.plot([at], [share], "o", color="#1d5fb4", markersize=5)
    authors = "1 author" if facts.authors.top_tenth == 1 else f"{facts.authors.top_tenth:,} authors"
    # Below the diagonal nothing else can be.
    axes.annotate(
        f"{authors} of {len(counts):,}\ntook {share:.0f} % of the photos",
        (at, share),
        (98, 8),
        ha="right",
        fontsize=8,
        arrowprops={"arrowstyle": "-", "color": "#1d5fb4", "linewidth": 0.7, "shrinkB": 4},
    )
    axes.set(xlim=(0, 100), ylim=(0, 101), xlabel="authors, the most active first (%)", ylabel="photos (%)")
    return figure


def time_grid(found: Sequence[CityStats], field: str) -> Figure:
    """Draw the share of each city's dated photos by month (`by_month`) or by local solar hour (`by_hour`), a row a city."""
    counts: Any = np.array([getattr(of, field) for of in found], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, margin = _rows_of(found, 0.35)
    axes = _axes(figure, margin, 0.1, _WIDTH - margin - 0.1, 0.2 * len(found))
    axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=max(float(shares.max(initial=0)), 1e-9), aspect="auto")
    first = 1 if field == "by_month" else 0
    axes.set_xticks(np.arange(shares.shape[1]), [str(at + first) for at in range(shares.shape[1])])
    named_rows(axes, [drawable(of.name) for of in found])
    return figure


def city_bars(found: Sequence[CityStats]) -> Figure | None:
    """Draw shares of each city side by side, a column for each that is known of any; None where none is."""
    columns = [
        (title, values)
        for title, values in (
            ("cells with a photo", [of.covered for of in found]),
            ("largest place", [of.largest_place for of in found]),
            ("largest author", [of.largest_author for of in found]),
            ("night", [of.night for of in found]),
            ("indoors", [of.indoors for of in found]),
            ("filled by people", [of.people for of in found]),
        )
        if any(value is not None for value in values)
    ]
    if not columns:
        return None
    figure, margin = _rows_of(found, 0.35)
    width = (_WIDTH - margin) / len(columns)
    for at, (title, values) in enumerate(columns):
        axes = _axes(figure, margin + at * width, 0.3, width - 0.2, 0.2 * len(found))
        widths = np.array([value or 0.0 for value in values])
        _strips(axes, np.zeros(len(found)), widths, COLOURS["train"])
        for row, value in enumerate(values):
            text = "not known" if value is None else f"{value:.0%}".replace("%", " %")
            axes.text(0.02 if value is None else value + 0.02, row, text, va="center", fontsize=7)
        axes.set_xlim(0, 1.3)  # with room for the number beside a whole bar
        axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=7)
        axes.set_title(title, fontsize=8, loc="left")
        named_rows(axes, [drawable(of.name) for of in found] if at == 0 else [""] * len(found))
    return figure


def licence_bars(found: Sequence[CityStats]) -> Figure | None:
    """Draw which share of each city's photos has which licence; None where all have one."""
    totals: Counter[str] = Counter()
    for of in found:
        totals.update(of.licences)
    if len(totals) < 2:
        return None
    most = [name for name, _ in totals.most_common()]
    shown = most if len(most) <= len(_KINDS) else most[: len(_KINDS) - 1]
    figure, margin = _rows_of(found, 0.35 + 0.2 * -(-len(_KINDS) // 3))
    axes = _axes(figure, margin, 0.1, _WIDTH - margin - 0.2, 0.2 * len(found))
    start = np.zeros(len(found))
    rest = [name for name in most if name not in shown]
    for colour, (label, names) in zip(
        _KINDS, [*((name, [name]) for name in shown), *([(f"{len(rest)} more", rest)] if rest else [])], strict=False
    ):
        shares = np.array([sum(of.licences.get(name, 0) for name in names) / max(of.photos, 1) for of in found])
        _strips(axes, start, shares, colour, label=drawable(label, 30))
        start += shares
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    named_rows(axes, [drawable(of.name) for of in found])
    height = figure.get_figheight()
    figure.legend(
        loc="upper left",
        bbox_to_anchor=(0.01, 1 - (0.45 + 0.2 * len(found)) / height),
        ncols=3,
        handlelength=1,
        fontsize=8,
    )
    return figure


def _strips(axes: Axes, starts: NDArray[np.float64], widths: NDArray[Any], colour: str, **more: Any) -> None:
    """Draw a bar in each of the rows 0, 1, …: as one artist, since one for each bar takes several times as long."""
    rows = np.arange(len(widths))
    ends = starts + widths
    corners = [(starts, rows - 0.35), (starts, rows + 0.35), (ends, rows + 0.35), (ends, rows - 0.35)]
    outlines = list(np.stack([np.column_stack(corner) for corner in corners], axis=1))
    bars = PolyCollection(outlines, facecolors=colour, **more)
    axes.add_collection(bars, autolim=False)


def _rows_of(found: Sequence[CityStats], more: float) -> tuple[Figure, float]:
    """Return a figure with a row for each city and so many inches more, and the inches that their names take."""
    longest = max((len(drawable(of.name)) for of in found), default=0)
    return _figure(_WIDTH, more + 0.25 + 0.2 * len(found)), 0.25 + 0.078 * longest


def named_rows(axes: Axes, names: Sequence[str]) -> None:
    """Give axes a row for each name, the first on top."""
    _name_rows(axes, names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write names left of the rows 0, 1, … of axes: as text, since ticks with labels take several times as long."""
    axes.set_yticks([])
    beside = axes.get_yaxis_transform() + _points(axes, -5)
    for row, name in enumerate(names):
        axes.text(0, row, name, transform=beside, ha="right", va="center")


def _points(axes: Axes, right: float) -> ScaledTranslation:
    """Return the way so many points to the right."""
    return ScaledTranslation(right / 72, 0, axes.figure.dpi_scale_trans)


def _legend(figure: Figure) -> None:
    handles = [Patch(color=colour, label=_SIDE_NAMES[side]) for side, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), handlelength=1, fontsize=8)


def drawable(name: str, longest: int = 22) -> str:
    """Return a name with what the font cannot draw as `?`, cut to `longest` characters."""
    has = _glyphs()
    shown = "".join(c if has(ord(c)) else "?" for c in plain(name))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


@cache
def _glyphs() -> Callable[[int], bool]:
    known = get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    return known.__contains__
