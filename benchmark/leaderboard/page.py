"""The leaderboard as one HTML file that loads nothing: no script, no font, no picture from anywhere."""

from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from benchmark.leaderboard.table import PAPER_NOTE, TIED_NOTE, TIERS, CityRow, Leaderboard, Row
from benchmark.scoring.metrics import wilson
from collector.console import duration


@dataclass(frozen=True, slots=True)
class CityBar:
    """A city's photos, and how many of its test photos the best method recognised.

    Attributes:
        city: the city and its counts.
        accuracy: 0 to 1; None where there is no test photo or no finished run.
        low, high: Wilson 95 % interval at n = the city's test photos; 0 and 1 where `accuracy` is None.
    """

    city: CityRow
    accuracy: float | None
    low: float
    high: float


def as_html(board: Leaderboard) -> str:
    """Return the leaderboard as a self-contained page; every name and title in it is text, whatever it holds."""
    best = board.rows[0] if board.rows else None
    template = _environment().get_template("leaderboard.html.jinja")
    return template.render(
        board=board,
        tiers=board.tiers(),
        tier_titles=TIERS,
        best=best,
        bars=[_bar(city, best) for city in board.cities],
        sides={side: sum(getattr(city, side) for city in board.cities) for side in ("train", "val", "test")},
        paper_note=PAPER_NOTE,
        tied_note=TIED_NOTE,
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("benchmark.leaderboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=_percent, duration=duration, memory=_memory)
    return environment


def _bar(city: CityRow, best: Row | None) -> CityBar:
    accuracy = best.per_city.get(city.slug) if best else None
    if accuracy is None:
        return CityBar(city, None, 0.0, 1.0)
    return CityBar(city, accuracy, *wilson(accuracy * city.test, city.test))


def _percent(fraction: float, digits: int = 2) -> str:
    return f"{100 * fraction:.{digits}f}"


def _memory(mebibytes: float) -> str:
    return f"{mebibytes:.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:.1f} GiB"
