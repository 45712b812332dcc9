"""The review's pages: templates, in which every value is text whatever it holds, and the words of the verdicts."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse

from collector.records import City
from collector.review import decisions, listing
from collector.review.decisions import Entry
from collector.web.templates import environment
from collector.workspace import Workspace

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
    pages = environment("collector.review")
    pages.filters.update(short=_short, query=_query, moment=moment, thousands=_thousands)
    pages.globals.update(history_lines=history_lines, verdict_words=verdict_words)
    return pages


def _short(text: str | None) -> str:
    text = (text or "").strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _query(values: Mapping[str, object]) -> str:
    """Return values as the query of an address; empty ones are left out."""
    return urlencode({name: value for name, value in values.items() if value not in (None, "")}, errors="replace")


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


GROUP_KINDS = {"duplicates": "duplicate", "conflicts": "conflict"}
"""Kinds of groups, as addresses name them, and the verdict of `dedup` that makes them."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every request needs: the workspace, who reviews, and the clock (UTC)."""

    workspace: Workspace
    reviewer: str
    now: Callable[[], datetime]


@dataclass
class View:
    """The catalogue during one request; what is asked of it is read once."""

    db: sqlite3.Connection
    desk: Desk

    @cached_property
    def cities(self) -> dict[str, City]:
        """The cities that photos were collected for, by slug."""
        return listing.known_cities(self.db)

    @cached_property
    def rows(self) -> list[listing.CityRow]:
        """The cities that there are photos of."""
        return listing.cities(self.db)

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of the cities by slug; a photo may be of a city that no region knows any more."""
        return {row.city: row.city for row in self.rows} | self.known_names

    @cached_property
    def known_names(self) -> dict[str, str]:
        """Names of the regions' cities by slug."""
        return {slug: city.name for slug, city in self.cities.items()}

    def page(self, template: str, city: str, **values: Any) -> HTMLResponse:
        """Return a page about a city, or about all of them where `city` is empty."""
        mine = [row for row in self.rows if city in ("", row.city)]
        counts = {kind: len(listing.group_keys(self.db, said, city or None)) for kind, said in GROUP_KINDS.items()}
        text = render(
            template,
            city=city,
            rows=self.rows,
            names=self.names,
            cities=sorted(self.known_names.items(), key=lambda item: item[1]),
            reviewer=self.desk.reviewer,
            note=listing.note(self.db),
            decided=sum(row.decided for row in mine),
            total=sum(row.photos for row in mine),
            group_counts=counts,
            **values,
        )
        return HTMLResponse(text)


@contextmanager
def viewing(request: Request) -> Iterator[View]:
    """Open the catalogue for a request.

    Raises:
        T15Error: as `decisions.connected` does.
    """
    desk: Desk = request.app.state.desk
    with decisions.connected(desk.workspace.catalogue) as db:
        yield View(db, desk)
