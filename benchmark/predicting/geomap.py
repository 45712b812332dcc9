"""The map of an answer, as SVG: a dot for each city, as large as it is likely, over the borders of the countries."""

import math
from html import escape

from benchmark.predicting.answer import Answer, Candidate
from collector.web.maps import SOURCE, View, view_of

CREDIT = f"Borders: {SOURCE}"
_WIDTH = 640.0
_NAMED = 5


def map_svg(answer: Answer) -> str:
    """Return the map as markup that is safe in a page; the five likeliest cities are named."""
    view = view_of([(city.latitude, city.longitude) for city in answer.candidates], _WIDTH, shape=(0.42, 0.875))
    # The likeliest are drawn last, on top.
    dots = "".join(_dot(one, view) for one in reversed(answer.candidates))
    names = "".join(_name(one, view) for one in answer.candidates[:_NAMED])
    circle = ""
    if answer.radius50_km is not None and answer.latitude is not None and answer.longitude is not None:
        circle = view.circle(answer.latitude, answer.longitude, answer.radius50_km, 'class="radius"')
    told = ", ".join(f"{one.name} {100 * one.probability:.1f} %" for one in answer.candidates[:_NAMED])
    return (
        f'<svg viewBox="0 0 {_WIDTH:.0f} {view.height:.0f}" role="img" aria-label="{escape(f"Map: {told}")}">'
        f'<g class="land">{view.land()}</g>{circle}<g class="dots">{dots}</g><g class="names">{names}</g></svg>'
    )


def _dot(city: Candidate, view: View) -> str:
    x, y = view.at(city.latitude, city.longitude)
    radius = 2.5 + 26 * math.sqrt(city.probability)
    said = escape(f"{city.name}: {100 * city.probability:.1f} %")
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{said}</title></circle>'


def _name(city: Candidate, view: View) -> str:
    x, y = view.at(city.latitude, city.longitude)
    side, anchor = (6, "start") if x < 0.7 * _WIDTH else (-6, "end")
    said = escape(f"{city.name} {100 * city.probability:.0f} %")
    return f'<text x="{x + side:.1f}" y="{y - 5:.1f}" text-anchor="{anchor}">{said}</text>'
