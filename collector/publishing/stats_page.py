"""The page of `t15 stats`: cities side by side, a picture for each question, and what to collect next."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from collector.manifest.manifest import Manifest
from collector.publishing.charts import COLOURS, SETTINGS, drawable, named_rows, time_grid
from collector.publishing.stats import CityStats
from collector.web.markdown import environment

_MOST = 100  # cities in a picture; the table has all
_ACCENT = COLOURS["train"]


def page(manifest: Manifest, found: Sequence[CityStats], populated: bool, lines: Sequence[str] = ()) -> str:
    """Return the page as HTML that needs nothing else; names of cities are text, `lines` say how pictures were looked at."""
    return (
        environment("collector.publishing")
        .get_template("stats.html.jinja")
        .render(
            header=manifest.header,
            digest=manifest.digest,
            cities=found,
            populated=populated,
            lines=lines,
            pictures=[(title, Markup(svg), words) for title, svg, words in pictures(found)],  # noqa: S704 (matplotlib's own)
        )
    )


def pictures(found: Sequence[CityStats]) -> list[tuple[str, str, str]]:
    """Return title, SVG and words of each picture: coverage and concentration, months, hours.

    Where no photo says anything of it the SVG is empty, and the words say so.
    """
    shown = found[:_MOST]
    dated = any(of.dated for of in shown)
    times = "No photo says when it was taken."
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        return [
            (
                "How much of the city, and how concentrated",
                _svg(_bars(shown)),
                "No photo says where, when or by whom it was taken, and no picture was looked at.",
            ),
            (
                "Months (columns: January to December; share of a city's dated photos)",
                _svg(time_grid(shown, "by_month") if dated else None),
                times,
            ),
            (
                "Hours (local solar time; share of a city's dated photos)",
                _svg(time_grid(shown, "by_hour") if dated else None),
                times,
            ),
        ]


def _svg(figure: Figure | None) -> str:
    if figure is None:
        return ""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _bars(found: Sequence[CityStats]) -> Figure | None:
    """Draw shares, a column for each that is known of any city."""
    names = [drawable(of.name) for of in found]
    figure = Figure(figsize=(8.5, 0.7 + 0.2 * len(names)), layout="constrained")
    columns = [
        (title, values)
        for title, values in (
            ("cells with a photo", [of.covered for of in found]),
            ("largest 250 m place", [of.largest_place for of in found]),
            ("largest author", [of.largest_author for of in found]),
            ("night", [of.night for of in found]),
            ("indoors", [of.indoors for of in found]),
            ("filled by people", [of.people for of in found]),
        )
        if any(value is not None for value in values)
    ]
    for at, (title, values) in enumerate(columns):
        axes = figure.add_subplot(1, len(columns), at + 1)
        axes.barh(np.arange(len(names)), [value or 0.0 for value in values], color=_ACCENT, height=0.7)
        for row, value in enumerate(values):
            if value is None:
                axes.text(0.02, row, "not known", va="center", fontsize=7)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        axes.set_title(title, fontsize=9)
        named_rows(axes, names if at == 0 else [""] * len(names))
    return figure if columns else None
