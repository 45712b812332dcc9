"""The page of `t15 stats`: cities side by side, a picture for each question, and what to collect next."""

import io
from collections.abc import Sequence

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from collector.manifest.manifest import Manifest
from collector.publishing.charts import SETTINGS, city_bars, licence_bars, time_grid
from collector.publishing.stats import CityStats
from collector.web.markdown import environment

_MOST = 100  # cities in a picture; the table has all


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
    """Return title, SVG and words of each picture: coverage and concentration, months, hours, licences.

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
                _svg(city_bars(shown)),
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
            ("Licences (share of a city's photos)", _svg(licence_bars(shown)), "All photos have one licence."),
        ]


def _svg(figure: Figure | None) -> str:
    if figure is None:
        return ""
    buffer = io.StringIO()
    empty = {"Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", metadata=empty, transparent=True, bbox_inches="tight", pad_inches=0.05)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
