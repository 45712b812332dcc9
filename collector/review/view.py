"""What every page of the review needs: the workspace, the catalogue as it is now, and how a page is made of it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from collector.records import City
from collector.review import decisions, listing
from collector.review.pages import render
from collector.workspace import Workspace

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
