"""What listing so many photos asks of each service: t15's own planner and ledger against services that are made up.

    python -m tests.performance.plan [--largest 1000000] [--cities 100] [--each 100000] [--only flickr,commons]

For each service that is asked cell by cell, with its own rules (aim, page, quota): cities of 10^3 photos and ten times as
many up to the largest, at clustered places and, where it knows times, times of upload over twenty years; then so many cities
of as many photos each. The services answer from sorted arrays and count rows without making photos of them, so that the
requests, the decisions and the ledger are those of a real listing and 10^7 rows fit into minutes. They lose no rows: real
ones do, and the planner then asks up to 1.25 rows for each photo.

Printed: requests (counts and pages), rows for each photo, requests for 1,000 photos, days at the service's quota, photos a
day by it, cells in the ledger, and seconds of the processor here.
"""

import argparse
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from collector.catalogue import ledger
from collector.catalogue.ledger import Ledger
from collector.collecting.planner import survey
from collector.net.client import Http
from collector.providers import commons, flickr, mapillary, panoramax
from collector.providers.base import Cell, CellRules, Page, Query
from collector.records import City, Photo

BEGAN, NOW = 1_104_537_600, 1_767_225_600
"""2005 and 2026, seconds since 1970 UTC: between them photos were uploaded."""

CITY = City("city", "City", 40.0, 30.0, 20.0)


def rules_of(provider: type) -> CellRules:
    """Return the rules that a provider states as the default of its field."""
    found = provider.__dataclass_fields__["rules"].default  # type: ignore[attr-defined]
    assert isinstance(found, CellRules)
    return found


SERVICES: dict[str, CellRules] = {
    "flickr": flickr.RULES,
    "commons": rules_of(commons.CommonsProvider),
    "mapillary": rules_of(mapillary.MapillaryProvider),
    "panoramax": rules_of(panoramax.PanoramaxProvider),
}


@dataclass
class Service:
    """A service with the rules of a real one, and photos that are numbers only.

    Attributes:
        name: of the service.
        rules: its own.
        longitude, latitude, uploaded: (N,) of the photos, by longitude.
        calls, rows: what it was asked, and what it sent.
    """

    name: str
    rules: CellRules
    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    uploaded: NDArray[np.int64]
    http: Http = None  # type: ignore[assignment]  # no picture is fetched
    calls: int = 0
    rows: int = 0
    _last: tuple[Cell, int] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, count: int, seed: int) -> "Service":
        """Return a service that holds so many photos of CITY: half at sights of Zipf popularity, half anywhere."""
        rng = np.random.default_rng(seed)
        sights = max(20, count // 500)
        popular = np.arange(1, sights + 1) ** -1.1
        at = rng.normal(0, 4, (sights, 2))[rng.choice(sights, count, p=popular / popular.sum())]
        km = np.where(
            (rng.random(count) < 0.5)[:, None], at + rng.normal(0, 0.04, (count, 2)), rng.uniform(-12, 12, (count, 2))
        )
        longitude = CITY.longitude + km[:, 0] / (111.195 * np.cos(np.radians(CITY.latitude)))
        order = np.argsort(longitude)
        latitude = CITY.latitude + km[:, 1] / 111.195
        return cls(name, SERVICES[name], longitude[order], latitude[order], rng.integers(BEGAN, NOW, count))

    def roots(self, city: City, query: Query, since: int | None, until: int) -> Sequence[Cell]:
        """Return one box around the city, for all times."""
        reach = city.radius_km / 100
        box = (city.longitude - reach, city.latitude - reach, city.longitude + reach, city.latitude + reach)
        return [Cell(*box, *((since or BEGAN, until) if self.rules.by_time else ()))]

    def _within(self, cell: Cell) -> int:
        if self._last and self._last[0] == cell:
            return self._last[1]
        part = slice(*np.searchsorted(self.longitude, (cell.west, cell.east)))
        inside = (self.latitude[part] >= cell.south) & (self.latitude[part] < cell.north)
        if cell.since is not None and cell.until is not None:
            inside &= (self.uploaded[part] >= cell.since) & (self.uploaded[part] < cell.until)
        self._last = (cell, int(inside.sum()))
        return self._last[1]

    def count(self, cell: Cell) -> int | None:
        """Return how many photos a cell holds."""
        self.calls += 1
        self.rows += 1
        return self._within(cell)

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        """Return a page of rows that are all known: they are counted, and no photo is made."""
        self.calls += 1
        there, size, start = self._within(cell), self.rules.page_size, int(token or 0)
        rows = max(0, min(size, there - start))
        self.rows += rows
        counted = self.rules.aim > size
        more = counted and start + size < there
        # A service that does not count gives a full page, and does not say how much more there is.
        return Page(
            (),
            rows,
            there if counted else None,
            str(start + size) if more else None,
            not counted and rows > self.rules.aim,
            rows,
        )

    def image_request(self, photo: Photo) -> None:
        """Nothing is fetched."""
        raise NotImplementedError


def listed(service: Service, database: sqlite3.Connection, city: City) -> None:
    """List a city as `collect` does, each cell's result in a transaction, but for the photos."""
    book = Ledger(database)
    results = survey(service, city, Query(), book, lambda _: True, lambda: datetime.fromtimestamp(NOW, UTC))  # type: ignore[arg-type]
    for result in results:
        with database:
            book.record(result)


def measure(name: str, count: int, cities: int) -> None:
    """Print what it takes to list so many cities of so many photos."""
    rules = SERVICES[name]
    calls = rows = 0
    started = time.process_time()
    with closing(sqlite3.connect(":memory:")) as database:
        # What the planner asks of the catalogue beside the ledger.
        database.executescript(
            f"CREATE TABLE photos (photo_id TEXT PRIMARY KEY, city TEXT, state TEXT);{ledger.TABLES}"
        )
        for number in range(cities):
            service = Service.of(name, count, number)
            listed(service, database, replace(CITY, slug=f"city-{number}"))
            calls, rows = calls + service.calls, rows + service.rows
        cells = database.execute("SELECT count(*) FROM cells").fetchone()[0]
    photos = count * cities
    calls += photos // rules.details if rules.details else 0
    seconds = time.process_time() - started
    days = calls / rules.calls_per_hour / 24
    print(
        f"{name:10} {cities:6} {count:9} {calls:9} {rows / photos:9.3f} {1000 * calls / photos:10.1f} {days:9.3f} "
        f"{photos / days:12,.0f} {cells:8} {seconds:8.1f}",
        flush=True,
    )


def main() -> None:
    """Print a line for each service and size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--cities", type=int, default=100)
    parser.add_argument("--each", type=int, default=100_000)
    parser.add_argument("--only", default=",".join(SERVICES))
    options = parser.parse_args()
    print(
        f"{'service':10} {'cities':>6} {'photos':>9} {'requests':>9} {'rows each':>9} {'per 1,000':>10} {'days':>9} "
        f"{'photos a day':>12} {'cells':>8} {'cpu s':>8}"
    )
    for name in options.only.split(","):
        count = 1000
        while count <= options.largest:
            measure(name, count, 1)
            count *= 10
        if options.cities:
            measure(name, options.each, options.cities)


if __name__ == "__main__":
    main()
