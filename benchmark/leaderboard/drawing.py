"""What all pictures of a page share: matplotlib's settings, the page's colours, and SVG that fits into HTML.

Text stays text, so that it can be searched and read at any size. Colours are names: a picture is drawn in stand-ins, which
become the page's custom properties, so that it follows the page into the dark. The same input gives the same bytes on the
same version of matplotlib: no dates, a fixed salt for ids, default settings whatever the user's are.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET  # reads matplotlib's output only

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

WIDTH = 4.9
"""Inches, of 72 units each, of a picture: little more than a phone has CSS pixels, so that its text can be read there."""

INK, QUIET, GRID, PAPER, ACCENT, BAR, MARK = "#010101", "#010102", "#010103", "#010104", "#010105", "#010106", "#010107"

_NAMES = {
    **{INK: "ink", QUIET: "quiet", GRID: "grid", PAPER: "paper", ACCENT: "accent", BAR: "bar", MARK: "mark"},
}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "t15",
    "svg.fonttype": "none",
    "text.parse_math": False,  # a method's name is text, also with dollar signs in it
    "font.size": 10.5,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "figure.dpi": 72,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "xtick.bottom": False,
    "ytick.left": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
}
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_LONG = re.compile(r"-?\d+\.\d{3,}")
_FONT = re.compile(r"font-family: [^;]*; ?")
_STAND_IN = re.compile("|".join(_NAMES))
_REFERENCE = re.compile(r"#([\w-]+)")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture for the page.

    Attributes:
        name: of letters; unique on a page.
        title: what it shows.
        caption: how it is to be read; a sentence or more, text.
        alternative: what it shows, in words, for those who do not see it.
        svg: markup, safe to be put into a page as it is.
        draw: draws it again as a figure, in stand-ins for colours; None for maps, which are markup only.
    """

    name: str
    title: str
    caption: str
    alternative: str
    svg: str
    draw: Callable[[], Figure] | None = field(default=None, compare=False)


def drawn(name: str, draw: Callable[[], Figure]) -> str:
    """Return the figure that `draw` makes as markup; `name` keeps its ids apart from those of other pictures."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        # The browser's fonts draw what matplotlib's cannot: only its measure of the width is off.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        buffer = io.BytesIO()
        draw().savefig(buffer, format="svg", dpi=72, metadata={"Date": None, "Creator": None})
    return _for_html(name, buffer.getvalue())


PRINTED = {
    INK: "#1d2329",
    QUIET: "#5b6670",
    GRID: "#d8dde2",
    PAPER: "#ffffff",
    ACCENT: "#00695c",
    BAR: "#8fc1ba",
    MARK: "#b3420e",
}
"""What the page's colours are on paper."""

_FILES: dict[Any, Any] = {**_SETTINGS, "pdf.fonttype": 42, "savefig.bbox": "tight"}  # fonts as journals want them
_PAINTED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def as_file(draw: Callable[[], Figure], format: str, title: str = "") -> bytes:
    """Return the figure that `draw` makes as a file, `svg` or `pdf`, in colours for paper; always the same bytes.

    A `title` stands above it: on its own a file has to say whose numbers it shows.
    """
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_FILES)
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = draw()
        if title:
            figure.text(0, 1.02, textwrap.fill(title, 60), ha="left", va="bottom", fontsize=9.5, color=INK)
        figure.draw_without_rendering()  # makes the ticks, which have colours too
        for artist in figure.findobj():
            for what in _PAINTED:
                _paint(artist, what)
        buffer = io.BytesIO()
        dates = {"Date": None} if format == "svg" else {"CreationDate": None}
        figure.savefig(buffer, format=format, metadata={**dates, "Creator": None})
    return buffer.getvalue()


def _paint(artist: Any, what: str) -> None:
    """Give an artist the printed colour in place of its stand-in; one or, of a collection, many."""
    get, set_ = getattr(artist, f"get_{what}", None), getattr(artist, f"set_{what}", None)
    if get is None or set_ is None:
        return
    now = get()
    many = getattr(now, "ndim", 1) == 2
    try:
        stands = [to_hex(one) for one in (now if many else [now])]
    except (ValueError, TypeError):  # "none", or a colour map's
        return
    if stands and all(one in PRINTED for one in stands):
        painted = [PRINTED[one] for one in stands]
        set_(painted if many else painted[0])


def axes_at(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Return axes at a place in inches from the figure's upper left corner."""
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))


def _for_html(name: str, svg: bytes) -> str:
    """Return matplotlib's document as an element of a page: no prolog, no metadata, no style for everything, own ids."""
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib wrote it a moment ago
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith("}metadata") or child.tag == f"{_SVG}style":
                parent.remove(child)
    used = {
        match for element in root.iter() for value in element.attrib.values() for match in _REFERENCE.findall(value)
    }
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        element.attrib = dict(_attributes(name, element, used))
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "chart", "aria-hidden": "true", "focusable": "false"}
    return ET.tostring(root, encoding="unicode")


def _attributes(name: str, element: ET.Element, used: set[str]) -> list[tuple[str, str]]:
    attributes = []
    for key, value in element.attrib.items():
        if key == "id":
            if value.startswith("class-"):  # what a picture asks to be styled by the page
                attributes.append(("class", value.removeprefix("class-").partition(".")[0]))
            elif value in used:
                attributes.append(("id", f"{name}-{value}"))
        elif key == _HREF:
            attributes.append(("href", f"#{name}-{value[1:]}"))
        elif key == "style":
            attributes.append((key, _STAND_IN.sub(lambda match: f"var(--{_NAMES[match[0]]})", _FONT.sub("", value))))
        elif key == "clip-path":
            attributes.append((key, value.replace("url(#", f"url(#{name}-")))
        elif not value.startswith("rotate(-0 "):
            attributes.append((key, _LONG.sub(_rounded, " ".join(value.split()))))
    return attributes


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
