"""The review's pages: templates, in which every value is text whatever it holds, and the words of the verdicts."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from collector.review.decisions import Entry

VERDICT_WORDS = {"keep": "Kept", "reject": "Rejected", "wrong-city": "Wrong city"}
_LONGEST = 300  # characters of a title or a name that are shown; there are longer ones


def render(template: str, **values: Any) -> str:
    """Return a page."""
    return _environment().get_template(template).render(**values)


def stylesheet() -> str:
    """Return the style of all pages."""
    return (files("collector.review") / "static" / "review.css").read_text(encoding="utf-8")


def history_lines(entries: Sequence[Entry], names: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a photo's history for reading, the newest first: who, what, when."""
    by_number = {entry.entry: entry for entry in entries}
    lines = []
    for entry in reversed(entries):
        undone = by_number.get(entry.undoes or 0)
        what = _words(entry, names) if undone is None else f"Took back: {_words(undone, names)}"
        lines.append({"reviewer": entry.reviewer, "what": what, "at": moment(entry.at)})
    return lines


def _words(entry: Entry, names: Mapping[str, str]) -> str:
    return verdict_words(entry.verdict, entry.right_city, names)


def verdict_words(verdict: str | None, right_city: str | None, names: Mapping[str, str]) -> str:
    """Return a verdict as it is shown: `Wrong city: Bursa`."""
    words = VERDICT_WORDS.get(verdict or "", verdict or "")
    return f"{words}: {names.get(right_city, right_city)}" if right_city else words


def moment(at: str | None) -> str:
    """Return an ISO 8601 time of UTC as it is shown: `2026-03-01 14:05 UTC`; empty for none."""
    return f"{at[:16].replace('T', ' ')} UTC" if at else ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("collector.review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(short=_short, query=_query, moment=moment, thousands=_thousands)
    environment.globals.update(history_lines=history_lines, verdict_words=verdict_words)
    return environment


def _short(text: str | None) -> str:
    text = (text or "").strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _query(values: Mapping[str, object]) -> str:
    """Return values as the query of an address; empty ones are left out."""
    return urlencode({name: value for name, value in values.items() if value not in (None, "")}, errors="replace")


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")
