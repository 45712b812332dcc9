"""What all pictures of a page share: matplotlib's settings, the page's colours, and SVG that fits into HTML.

Text stays text, so that it can be searched and read at any size. Colours are names: a picture is drawn in stand-ins, which
become the page's custom properties, so that it follows the page into the dark. The same input gives the same bytes on the
same version of matplotlib: no dates, a fixed salt for ids, default settings whatever the user's are.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET  # reads matplotlib's output only

import matplotlib as mpl
from matplotlib.axes import Axes
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
    """

    name: str
    title: str
    caption: str
    alternative: str
    svg: str


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
    kept = []
    for key, value in element.attrib.items():
        if key == "id":
            if value.startswith("class-"):  # what a picture asks to be styled by the page
                kept.append(("class", value.removeprefix("class-").partition(".")[0]))
            elif value in used:
                kept.append(("id", f"{name}-{value}"))
        elif key == _HREF:
            kept.append(("href", f"#{name}-{value[1:]}"))
        elif key == "style":
            kept.append((key, _STAND_IN.sub(lambda match: f"var(--{_NAMES[match[0]]})", _FONT.sub("", value))))
        elif key == "clip-path":
            kept.append((key, value.replace("url(#", f"url(#{name}-")))
        elif not value.startswith("rotate(-0 "):
            kept.append((key, _LONG.sub(_rounded, " ".join(value.split()))))
    return kept


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
