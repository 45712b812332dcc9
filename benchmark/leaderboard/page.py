"""The leaderboard as one HTML file that loads nothing: no script, no font, no picture from anywhere."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from jinja2 import Environment

from benchmark.leaderboard import attributes, cross_view
from benchmark.leaderboard.figures import pictures
from benchmark.leaderboard.formatting import interval, memory, percent, points, time_taken, written
from benchmark.leaderboard.rows import (
    CHANCE_NOTE,
    ORACLE_NOTE,
    PAPER_NOTE,
    RANK_NOTE,
    SECTIONS,
    VERDICT_NOTE,
    WITHHELD_NOTE,
    CityRow,
    Leaderboard,
    Row,
    owning,
)
from benchmark.leaderboard.table import COMPARISON_NOTE, compared, same_cities
from benchmark.scoring.metrics import CONVENTION
from collector.web.markdown import environment

_VERDICTS = {"agrees": "ours agrees", "higher": "ours is higher", "lower": "ours is lower"}
_QUESTIONS = {
    "city": "In which {level} was this photograph taken?",
    "place": "Which photograph of the gallery shows the very place?",
}


@dataclass(frozen=True, slots=True)
class CityBar:
    """A city's photos, and how many of its test photos the best method recognised.

    Attributes:
        city: the city and its counts.
        accuracy: 0 to 1; None where there is no test photo or no finished run.
        low, high: its Wilson 95 % interval, as every slice has it; 0 and 1 where `accuracy` is None.
    """

    city: CityRow
    accuracy: float | None
    low: float
    high: float


def as_html(boards: Sequence[Leaderboard], matches: str = "") -> str:
    """Return the leaderboards as a self-contained page; every name and title in it is text, whatever it holds.

    Several are compared first, then shown one after the other. `matches` is the file beside it of a page of matches
    (`predicting.matches`), which it then leads to; empty without.
    """
    names = [f"{board.title if len(boards) == 1 else board.name} {board.version}" for board in boards]
    prefixes = [""] if len(boards) == 1 else [f"b{number}-" for number in range(1, len(boards) + 1)]
    script = (resources.files("benchmark.leaderboard") / "templates/leaderboard.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("leaderboard.html.jinja")
        .render(
            boards=boards,
            matches=matches,
            title=f"Leaderboard of {' and '.join(names)}",
            policy=_policy(script),
            script=script,
            trainings=sorted({row.learnt_before for board in boards for row in board.rows}),
            pictures=[pictures(board, prefix) for board, prefix in zip(boards, prefixes, strict=True)],
            bars=[[_bar(city, board.best) for city in board.cities] for board in boards],
            comparison=compared(boards) if len(boards) > 1 else [],
            same_cities=same_cities(boards),
            section_titles=SECTIONS,
            verdicts=_VERDICTS,
            comparison_note=COMPARISON_NOTE,
            paper_note=PAPER_NOTE,
            rank_note=RANK_NOTE,
            verdict_note=VERDICT_NOTE,
            chance_note=CHANCE_NOTE,
            withheld_note=WITHHELD_NOTE,
            oracle_note=ORACLE_NOTE,
            convention=CONVENTION,
            question=_QUESTIONS[boards[0].protocol].format(level=boards[0].level),
        )
    )


def _policy(script: str) -> str:
    """Return the Content-Security-Policy under which the page's own script runs, and nothing else does or loads."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def _environment() -> Environment:
    pages = environment("benchmark.leaderboard")
    pages.filters.update(percent=percent, points=points, took=time_taken, memory=memory)
    # Tables of questions beside the methods' own: id, title, caption, head, and the lines of a board.
    pages.globals.update(
        beside=lambda board: [
            (
                "attributes",
                "What places are like",
                attributes.NOTE,
                attributes.HEADER,
                attributes.lines(board.attributes),
            ),
            ("maps", "True cells on the map", cross_view.NOTE, cross_view.HEADER, cross_view.lines(board.maps)),
        ]
    )
    pages.globals.update(written=written, interval=interval, owning=owning)
    return pages


def _bar(city: CityRow, best: Row | None) -> CityBar:
    of = best.cities.get(city.slug) if best else None
    return CityBar(city, of.accuracy, of.low, of.high) if of else CityBar(city, None, 0.0, 1.0)
