"""Whether all of a city is listed, for few rows and calls, whatever the service loses and whenever the run is killed.

The services here are made up, and as bad as the real ones are known to be. `Counting` is one like Flickr: it answers by
box and time of upload, 250 rows a page, never more than 4,000 of one question, with totals that are off by up to 3 %. It
loses rows: in place of one comes a repeat of an earlier row of the same answer, decided anew for each question. Two
models of that:

    deep: 3 % of the rows on all pages but the first;
    everywhere: 1.5 % of all rows.
"""

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collector.catalogue.ledger import TABLES, CellResult, Coverage, Ledger, LedgerCell, Totals
from collector.collecting.division import Way, divide, longest_listing, lost, quarter, worst_first
from collector.collecting.estimate import estimate
from collector.collecting.planner import survey
from collector.errors import IncompleteError, ServiceError
from collector.net.client import Access, Http, RefusedError, TemporaryError
from collector.providers.base import Cell, CellRules, ImageRequest, Page, Query, Survey
from collector.records import City, Photo, Unusable

ANKARA = City("ankara", "Ankara", 39.93, 32.86, 25.0)
BEGAN = 1_075_593_600
NOW = 1_760_000_000
DAY = 86_400
RULES = CellRules(aim=1000, page_size=250, by_time=True, shortest_s=300)
UNCOUNTED_RULES = CellRules(aim=499, page_size=500)
SAMPLING_RULES = CellRules(aim=1, page_size=1, calls_per_hour=36_000)
ALL = Query()
NO_HTTP = Http(Access({}))

Numbers = npt.NDArray[Any]


# --- services


@dataclass
class Population:
    """Photos' places (degrees) and times of upload (seconds since 1970), by time of upload."""

    latitude: Numbers
    longitude: Numbers
    uploaded: Numbers

    def __post_init__(self) -> None:
        order = np.argsort(self.uploaded, kind="stable")
        self.latitude, self.longitude, self.uploaded = (
            a[order] for a in (self.latitude, self.longitude, self.uploaded)
        )
        places = zip(self.latitude.tolist(), self.longitude.tolist(), strict=True)
        # Ids that stay the same when later photos join.
        self.photos = [
            Photo(f"flickr:{i}", "ankara", latitude, longitude) for i, (latitude, longitude) in enumerate(places)
        ]

    def within(self, cell: Cell) -> Numbers:
        """Return the places of a cell's photos in `photos`; a box's edges belong to it on all sides, as Flickr has it."""
        first, last = (0, len(self.photos))
        if cell.since is not None and cell.until is not None:
            first, last = np.searchsorted(self.uploaded, [cell.since, cell.until])
        part = slice(first, last)
        is_in = (self.latitude[part] >= cell.south) & (self.latitude[part] <= cell.north)
        is_in &= (self.longitude[part] >= cell.west) & (self.longitude[part] <= cell.east)
        return np.flatnonzero(is_in) + first

    def with_more(self, uploaded: Sequence[int]) -> "Population":
        more = np.full(len(uploaded), 39.9), np.full(len(uploaded), 32.8), np.array(uploaded)
        mine = self.latitude, self.longitude, self.uploaded
        return Population(*(np.concatenate(pair) for pair in zip(mine, more, strict=True)))


def clustered(number: int = 20_000, seed: int = 0) -> Population:
    """Return photos as people take them: nearly half at ten places, the fullest with 3,000 of 20,000 at one coordinate; two
    thirds uploaded in bursts, whose sizes have a heavy tail (Pareto, 1.1) and which last minutes or hours."""
    chance = np.random.default_rng(seed)
    latitude, longitude = 39.93 + chance.normal(0, 0.05, number), 32.86 + chance.normal(0, 0.07, number)
    uploaded = chance.integers(BEGAN, NOW, number)
    start = 0
    for share in (0.15, 0.1, 0.075, 0.05, 0.035, 0.02, 0.015, 0.01, 0.005, 0.005):
        end = start + int(share * number)
        latitude[start:end], longitude[start:end] = 39.93 + chance.normal(0, 0.05), 32.86 + chance.normal(0, 0.07)
        start = end
    order, start = chance.permutation(number), 0
    while start < 0.7 * number:
        burst = order[start : start + int(min(1500, 5 * (1 + chance.pareto(1.1))))]
        lasts = 600 if chance.random() < 0.7 else 20_000
        uploaded[burst] = chance.integers(BEGAN, NOW - DAY) + chance.exponential(lasts, len(burst)).astype(int)
        start += len(burst)
    return Population(latitude.clip(39.75, 40.1), longitude.clip(32.62, 33.1), uploaded.clip(BEGAN, NOW - 1))


@dataclass
class Counting:
    """A service like Flickr; see above.

    Attributes:
        first, later: shares of rows lost on the first page and on all others.
        off: the largest share by which totals are off.
        steady: the same question has the same answer each time.
        before: called with each cell that is asked about; may raise.
    """

    population: Population
    first: float = 0.0
    later: float = 0.0
    off: float = 0.03
    seed: int = 0
    steady: bool = False
    name: str = "flickr"
    rules: CellRules = RULES
    http: Http = NO_HTTP
    before: Callable[[Cell], None] = lambda cell: None
    rows: int = 0
    calls: int = 0
    listed: list[tuple[Cell, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(self.seed)

    def roots(self, city: City, query: Query, since: int | None, until: int) -> list[Cell]:
        reach = city.radius_km / 100
        box = (city.longitude - reach, city.latitude - reach, city.longitude + reach, city.latitude + reach)
        return [Cell(*box, BEGAN if since is None else since, until)]

    def _asked(self, cell: Cell, page: int) -> tuple[Numbers, int, np.random.Generator]:
        self.calls += 1
        self.before(cell)
        chance = np.random.default_rng(hash((self.seed, cell, page)) % 2**63) if self.steady else self.chance
        there = self.population.within(cell)
        return there, round(len(there) * (1 + chance.uniform(-self.off, self.off))), chance

    def count(self, cell: Cell) -> int | None:
        _, total, _ = self._asked(cell, -1)
        self.rows += 1  # at most
        return total

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        number = int(token or 0)
        there, total, chance = self._asked(cell, number)
        self.listed.append((cell, len(there)))
        start = min(number, 4000 // 250 - 1) * 250  # behind row 4,000 the last page is repeated
        rows = there[start : start + 250].copy()
        for i in np.flatnonzero(chance.random(len(rows)) < (self.later if start else self.first)):
            if start + i > 0:
                rows[i] = there[chance.integers(0, start + i)]
        self.rows += len(rows)
        more = len(rows) == 250 or (len(rows) and (number + 1) * 250 < total)
        found = tuple(self.population.photos[i] for i in rows)
        return Page(found, len(rows), total, str(number + 1) if more else None)

    def image_request(self, photo: Photo) -> ImageRequest:
        raise NotImplementedError


@dataclass
class Uncounted(Counting):
    """A service like Commons: 500 rows of a cell and no more, without order or time, no box wider than 20 km; each photo
    that is not known costs one more call for its details."""

    name: str = "commons"
    rules: CellRules = UNCOUNTED_RULES
    details: int = 0

    def roots(self, city: City, query: Query, since: int | None, until: int) -> list[Cell]:
        return [replace(root, since=None, until=None) for root in super().roots(city, query, since, until)]

    def count(self, cell: Cell) -> int | None:
        raise AssertionError("costs as much as a page")

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        there, _, chance = self._asked(cell, 0)
        if cell.north - cell.south > 0.18:
            raise RefusedError("too-big")
        self.listed.append((cell, len(there)))
        rows = chance.permutation(there)[:500]
        self.rows += len(rows)
        if len(rows) == 500 and cell.north - cell.south > 0.0004:
            return Page((), 500, reported=500, cut=True)
        found = tuple(self.population.photos[i] for i in rows if not known(self.population.photos[i].photo_id))
        self.details += len(found)
        return Page(found, len(rows), reported=len(rows), cut=len(rows) == 500, known=len(rows) - len(found))


@dataclass
class Sampling(Counting):
    """A service like Street View: at each place of a sample one picture, or none."""

    population: Population = field(default_factory=lambda: clustered(10))
    name: str = "streetview"
    rules: CellRules = SAMPLING_RULES

    def roots(self, city: City, query: Query, since: int | None, until: int) -> list[Cell]:
        places = [(32 + i / 1000, 39 + i / 1000) for i in range(query.target or 60)]
        return [Cell(x, y, x, y) for x, y in places]

    def count(self, cell: Cell) -> int | None:
        return None

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        self._asked(cell, 0)
        number = round((cell.west - 32) * 1000)
        return Page((Photo(f"streetview:{number}", "ankara"),) if number % 3 else (), int(number % 3 > 0))


# --- a catalogue, and runs


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = new_database()
    yield connection
    connection.close()


def new_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES + "CREATE TABLE photos (photo_id TEXT PRIMARY KEY, city TEXT, state TEXT);")
    return connection


def results(
    service: Survey, database: sqlite3.Connection, query: Query = ALL, now: int = NOW, **options: Any
) -> Iterator[CellResult]:
    clock = at(now)
    return survey(service, ANKARA, query, Ledger(database, clock), known_in(database), clock, **options)


def at(seconds: int) -> Callable[[], datetime]:
    return lambda: datetime.fromtimestamp(seconds, UTC)


def known_in(database: sqlite3.Connection) -> Callable[[str], bool]:
    return lambda i: database.execute("SELECT 1 FROM photos WHERE photo_id = ?", (i,)).fetchone() is not None


def write(database: sqlite3.Connection, result: CellResult, usable: Callable[[Photo], bool] = lambda _: True) -> None:
    rows = [
        (item.photo_id, "ankara", "listed" if isinstance(item, Photo) and usable(item) else "rejected")
        for item in result.found
    ]
    with database:
        database.executemany("INSERT OR IGNORE INTO photos VALUES (?, ?, ?)", rows)
        Ledger(database, at(NOW)).record(result)


def run(service: Survey, database: sqlite3.Connection, steps: int | None = None, **options: Any) -> None:
    """Run until the end, or for so many results, the one after which is lost: as if killed."""
    listing = results(service, database, **options)
    for result in islice(listing, steps):
        write(database, result)
    if steps is not None:
        next(listing, None)


def ids(database: sqlite3.Connection) -> list[str]:
    return [row[0] for row in database.execute("SELECT photo_id FROM photos WHERE state = 'listed' ORDER BY photo_id")]


def content(database: sqlite3.Connection) -> list[Any]:
    queries = ("SELECT * FROM cells ORDER BY provider, city, number", "SELECT * FROM photos ORDER BY photo_id")
    return [database.execute(query).fetchall() for query in queries]


def coverage(database: sqlite3.Connection) -> Coverage:
    (one,) = Ledger(database).coverage()
    return one


def all_ids(service: Counting) -> list[str]:
    return sorted(photo.photo_id for photo in service.population.photos)


# --- dividing

longitudes = st.floats(-180, 180, allow_subnormal=False)
latitudes = st.floats(-89, 89, allow_subnormal=False)
moments = st.integers(BEGAN, NOW)


@st.composite
def cells(draw: st.DrawFn) -> Cell:
    west, east = sorted((draw(longitudes), draw(longitudes)))
    south, north = sorted((draw(latitudes), draw(latitudes)))
    if draw(st.booleans()):
        east, north = min(180.0, west + (east - west) / 1e5), min(89.0, south + (north - south) / 1e5)
    since, until = sorted((draw(moments), draw(moments)))
    return Cell(west, south, east, north, *((since, until) if draw(st.booleans()) else (None, None)))


def sides_m(cell: Cell) -> tuple[float, float]:
    """Return the shorter of a box's two parallels, and a meridian, in metres; a sphere of 6,371 km."""
    degree = 2 * math.pi * 6_371_008.8 / 360
    shortest = min(math.cos(math.radians(latitude)) for latitude in (cell.south, cell.north))
    return (cell.east - cell.west) * degree * shortest, (cell.north - cell.south) * degree


@given(cell=cells(), ways=st.lists(st.sampled_from(("time", "box")), max_size=60), which=st.integers(0, 2**60))
def test_halves_tile_their_cell_exactly_and_keep_the_limits(cell: Cell, ways: list[Way], which: int) -> None:
    for depth, way in enumerate(ways):
        halves = divide(cell, RULES, way)
        if not halves:
            continue
        first, second = halves
        changed = [name for name in Cell.__slots__ if getattr(first, name) != getattr(cell, name)]
        assert len(changed) == 1
        end = changed[0]  # the first half ends where the second begins, and nothing else differs
        begin = {"east": "west", "north": "south", "until": "since"}[end]
        edge = getattr(first, end)
        assert replace(second, **{begin: getattr(cell, begin)}) == cell
        assert replace(first, **{end: getattr(cell, end)}) == cell
        assert edge == getattr(second, begin)
        assert getattr(cell, begin) < edge < getattr(cell, end)
        assert (end == "until") == (way == "time")
        for half in halves:
            if way == "time":
                assert half.since is not None
                assert half.until is not None
                assert half.until - half.since >= RULES.shortest_s
            else:
                assert sides_m(half)[end == "north"] >= RULES.narrowest_m * (1 - 1e-9)
        cell = halves[which >> depth & 1]


@given(cell=cells())
def test_dividing_ends(cell: Cell) -> None:
    depth = 0
    while halves := divide(cell, RULES, "time") or divide(cell, RULES, "box"):
        cell = halves[depth % 2]
        depth += 1
        assert depth < 80
    assert not quarter(cell, RULES)


@given(cell=cells(), x=st.floats(0, 1, exclude_max=True), y=st.floats(0, 1, exclude_max=True))
def test_each_point_lies_in_exactly_one_quarter(cell: Cell, x: float, y: float) -> None:
    parts = quarter(replace(cell, since=None, until=None), RULES)
    longitude, latitude = cell.west + x * (cell.east - cell.west), cell.south + y * (cell.north - cell.south)
    assume(parts)
    assume(longitude < cell.east)
    assume(latitude < cell.north)
    assert sum(p.west <= longitude < p.east and p.south <= latitude < p.north for p in parts) == 1


@pytest.mark.parametrize(
    ("cell", "way"),
    [
        (Cell(32, 39, 33, 40), "time"),
        (Cell(32, 39, 33, 40, 0, 599), "time"),
        (Cell(32, 39, 32, 39, 0, 599), "box"),
        (Cell(32, 39, 32.00000001, 39.00000001), "box"),
        (Cell(179, 39, -179, 39), "box"),
    ],
)
def test_what_is_too_small_is_not_divided(cell: Cell, way: Way) -> None:
    assert divide(cell, RULES, way) == ()


@pytest.mark.parametrize("north", [1, -1])
def test_a_box_is_as_narrow_as_its_side_that_is_nearer_to_the_pole(north: int) -> None:
    degree = 111_195.08  # metres
    south, pole = sorted((60.0 * north, 60.3 * north))
    # 39,900 m wide on the side nearer to the pole, where 40,000 m could be divided, 40,265 m on the other; 33,358 m high.
    cell = Cell(32, south, 32 + 39_900 / degree / math.cos(math.radians(60.3)), pole)
    assert divide(cell, replace(RULES, narrowest_m=20_000), "box") == ()
    assert divide(cell, replace(RULES, narrowest_m=19_900), "box") != ()


def test_a_service_without_times_is_not_divided_by_time() -> None:
    assert divide(Cell(32, 39, 33, 40, 0, 10**9), replace(RULES, by_time=False), "time") == ()


# --- learning


@pytest.mark.parametrize(
    ("totals", "rows"),
    [
        (Totals(), 1000),  # four pages, until something is known
        (Totals(later_rows=400, later_repeats=100), 1000),  # too little to tell
        (Totals(later_rows=1000, later_repeats=1), 3000),
        (Totals(later_rows=1000, later_repeats=20), 250),
        (Totals(later_rows=1000, later_repeats=20, single_rows=2000, single_repeats=2), 250),
        (Totals(later_rows=1000, later_repeats=20, single_rows=2000, single_repeats=40), 50),
        (Totals(single_rows=2000, single_repeats=1000), 31),
    ],
)
def test_listings_get_as_short_as_the_losses_ask_for(totals: Totals, rows: int) -> None:
    assert longest_listing(replace(RULES, aim=3000), totals) == rows


def test_no_listing_is_longer_than_the_service_allows() -> None:
    assert longest_listing(CellRules(aim=100, page_size=500), Totals()) == 100
    assert longest_listing(CellRules(aim=100, page_size=500), Totals(later_rows=900, later_repeats=90)) == 100


BOX = Cell(32, 39, 33, 40, BEGAN, NOW)


@pytest.mark.parametrize(
    ("reported", "unique", "repeats", "number"),
    [
        (100, 100, 0, 0),
        (100, 96, 0, 0),
        (100, 90, 0, 10),
        (100, 97, 3, 3),
        (None, 97, 3, 3),
        (None, 5, 0, 0),
        (90, 100, 0, 0),
    ],
)
def test_a_repeat_tells_of_a_lost_row_and_a_count_when_it_is_far_off(
    reported: int | None, unique: int, repeats: int, number: int
) -> None:
    assert lost(LedgerCell(0, BOX, reported, unique, repeats)) == number


def test_the_worst_come_first_and_the_hopeless_not_at_all() -> None:
    good, bad, worse = LedgerCell(1, BOX, 100, 100, 0), LedgerCell(2, BOX, 100, 99, 1), LedgerCell(3, BOX, 100, 95, 5)
    same, capped = replace(bad, number=4), LedgerCell(5, BOX, 9000, 4000, 250, undividable=True)
    assert [c.number for c in worst_first([good, same, bad, capped, worse], RULES)] == [3, 2, 4]


# --- the measure


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("model", "first", "later"), [("none", 0.0, 0.0), ("deep", 0.0, 0.03), ("everywhere", 0.015, 0.015)]
)
def test_nearly_all_is_listed_for_few_rows_and_calls(
    database: sqlite3.Connection, model: str, first: float, later: float, seed: int
) -> None:
    service = Counting(clustered(seed=seed), first, later, seed=seed)
    run(service, database)
    listed = len(ids(database))
    print(
        f"{listed / 20_000:.2%} listed, {service.rows / listed:.3f} rows for each, {service.calls} calls"
    )  # seen with -rP
    assert listed >= {"none": 20_000, "deep": 19_900, "everywhere": 19_800}[model]
    assert service.rows < (1.1 if model == "none" else 1.3) * listed
    assert service.calls < {"none": 200, "deep": 700, "everywhere": 1500}[model]
    one = coverage(database)
    assert (one.fetched, one.calls) == (service.rows, service.calls)
    assert (one.open_cells, one.complete, one.photos) == (0, True, listed)
    assert one.reported is not None
    assert abs(one.unique - one.reported) < 0.02 * one.reported
    assert abs(one.unique - listed) < 50


def test_no_question_is_longer_than_the_service_answers_well(database: sqlite3.Connection) -> None:
    service = Counting(clustered(), later=0.03)
    run(service, database)
    assert max(number for _, number in service.listed) <= 1.05 * RULES.aim
    assert min(c.until - c.since for c, _ in service.listed if c.since and c.until) >= RULES.shortest_s


# --- kill -9, and running again


@pytest.mark.parametrize("service", ["flickr", "commons"])
@pytest.mark.parametrize("kills", [[0], [1], [2, 3, 5, 8, 13, 21, 34, 55], [100], [150, 5], [300]])
def test_killed_and_run_again_is_the_same(database: sqlite3.Connection, service: str, kills: list[int]) -> None:
    def fresh() -> Counting:
        if service == "commons":
            return Uncounted(clustered(4000), steady=True)
        return Counting(clustered(6000), 0.015, 0.03, steady=True)

    run(fresh(), database)
    killed = new_database()
    for i, steps in enumerate(kills):
        if not (Ledger(killed).coverage() and coverage(killed).complete):
            run(fresh(), killed, steps, now=NOW + 1000 * i)
    if not coverage(killed).complete:
        run(fresh(), killed, now=NOW + 10**6)
    assert content(killed) == content(database)
    killed.close()


def test_running_again_asks_only_for_what_is_new(database: sqlite3.Connection) -> None:
    service = Counting(clustered(), later=0.03)
    run(service, database)
    assert coverage(database).next_since == NOW - DAY
    # Two weeks later: 40 new photos, and one that was there but not yet in the service's index.
    service = Counting(service.population.with_more([NOW - 3600, *range(NOW + 10, NOW + 410, 10)]))
    run(service, database, now=NOW + 14 * DAY)
    assert len(ids(database)) >= 0.99 * 20_000 + 41
    recent = service.population.uploaded >= NOW - DAY
    new = {photo.photo_id for photo, is_recent in zip(service.population.photos, recent, strict=True) if is_recent}
    assert new <= set(ids(database))
    assert service.rows < len(new) + 20
    assert service.calls < 5
    assert coverage(database).next_since == NOW + 13 * DAY


def test_a_clock_that_went_back_loses_nothing(database: sqlite3.Connection) -> None:
    service = Counting(clustered(500))
    run(service, database)
    run(service, database, now=NOW - 400 * DAY)
    assert coverage(database).next_since == NOW - DAY


def test_without_times_the_same_cells_are_asked_again_and_details_are_not(database: sqlite3.Connection) -> None:
    service = Uncounted(clustered(3000))
    run(service, database)
    assert len(ids(database)) == 3000
    first, cells_asked = service.details, len(service.listed)
    leaves = coverage(database).cells
    service.population = service.population.with_more([NOW + 5])
    service.details, service.listed = 0, []
    run(service, database, now=NOW + DAY)
    assert len(ids(database)) == 3001
    assert (service.details, len(service.listed)) == (1, leaves)
    assert leaves < cells_asked
    assert first >= 3000
    assert coverage(database).unique >= 3001


def test_another_question_is_asked_from_the_beginning(database: sqlite3.Connection) -> None:
    service = Counting(clustered(3000))
    run(service, database)
    with_wider = Counting(service.population)
    with_wider.roots = lambda city, query, since, until: [  # type: ignore[method-assign]
        Cell(30, 37, 35, 42, BEGAN if since is None else since, until)
    ]
    run(with_wider, database, now=NOW + DAY)
    assert with_wider.rows > 3000
    assert (coverage(database).complete, coverage(database).next_since) == (True, NOW)
    run(with_wider, database, query=Query(geo_accuracy=1), now=NOW + 2 * DAY)
    assert with_wider.rows > 6000


# --- what cannot be divided


def test_a_hotspot_of_one_moment_is_listed_as_it_is_and_marked(database: sqlite3.Connection) -> None:
    spot = Population(np.full(5000, 39.9), np.full(5000, 32.8), np.full(5000, BEGAN + 10**8))
    around = clustered(2000)
    service = Counting(
        Population(
            *(
                np.concatenate([getattr(spot, name), getattr(around, name)])
                for name in ("latitude", "longitude", "uploaded")
            )
        )
    )
    run(service, database)
    one = coverage(database)
    assert len(ids(database)) == 6000  # the service gives 4,000 of the 5,000
    assert (one.undividable, one.complete) == (1, True)
    assert one.reported is not None
    assert one.reported > one.unique + 800
    assert service.rows < 7500  # it is not listed again for what cannot come


@pytest.mark.parametrize("at_once", [600, 900])
def test_a_hotspot_is_divided_by_time_and_a_moment_by_place(database: sqlite3.Connection, at_once: int) -> None:
    chance = np.random.default_rng(1)
    place = np.full(3000, 39.9), np.full(3000, 32.8), chance.integers(BEGAN, NOW, 3000)
    moment = 39.9 + chance.uniform(-0.05, 0.05, 3000), 32.8 + chance.uniform(-0.05, 0.05, 3000), np.full(3000, NOW - 9)
    service = Counting(Population(*(np.concatenate(pair) for pair in zip(place, moment, strict=True))))
    service.rules = replace(RULES, aim=at_once)
    run(service, database)
    assert ids(database) == all_ids(service)
    assert coverage(database).undividable == 0
    assert service.calls < 150


def test_a_moment_is_divided_by_place_at_once(database: sqlite3.Connection) -> None:
    chance = np.random.default_rng(1)
    service = Counting(
        Population(
            39.9 + chance.uniform(-0.2, 0.2, 3000), 32.8 + chance.uniform(-0.1, 0.1, 3000), np.full(3000, NOW - 9)
        )
    )
    run(service, database)
    assert {(cell.since, cell.until) for cell in divided(database)} == {(BEGAN, NOW)}
    assert ids(database) == all_ids(service)


def test_cells_that_are_too_big_or_cut_are_divided(database: sqlite3.Connection) -> None:
    service = Uncounted(clustered(3000))
    run(service, database)
    assert ids(database) == all_ids(service)
    one = coverage(database)
    assert (one.complete, one.undividable, one.unique) == (True, 0, one.reported)
    asked_in_full = [number for cell, number in service.listed if cell not in divided(database)]
    assert max(asked_in_full) < 500
    assert len(asked_in_full) == one.cells


def test_a_place_with_more_than_a_cell_gives_is_marked(database: sqlite3.Connection) -> None:
    run(Uncounted(clustered(4000)), database)  # 600 of them at one place
    assert (coverage(database).undividable, len(ids(database))) == (1, 3900)


def divided(database: sqlite3.Connection) -> set[Cell]:
    query = "SELECT west, south, east, north, since, until FROM cells WHERE state = 'divided'"
    return {Cell(*row) for row in database.execute(query)}


# --- when the service fails


def failing(*answers: Exception | None) -> Callable[[Cell], None]:
    """Return what raises these in turn, None for an answer, and then answers."""
    waiting = list(answers)

    def before(cell: Cell) -> None:
        if waiting and (error := waiting.pop(0)):
            raise error

    return before


def test_a_cell_that_fails_stays_open_and_the_others_are_listed(database: sqlite3.Connection) -> None:
    service = Sampling(
        before=failing(None, TemporaryError("http-503", retry_after=720), None, RefusedError("http-404"))
    )
    with pytest.raises(IncompleteError) as caught:
        run(service, database)
    assert str(caught.value) == (
        "streetview: 2 cells of Ankara are still to be listed (http-404); "
        "what came is kept: run the same command again in 12 min"
    )
    assert (coverage(database).cells, coverage(database).open_cells, coverage(database).complete) == (58, 2, False)
    service.calls = 0
    run(service, database)
    assert service.calls == 2
    assert (coverage(database).cells, coverage(database).complete) == (60, True)


def test_three_failures_in_a_row_end_the_run(database: sqlite3.Connection) -> None:
    service = Sampling(before=failing(*[None, TemporaryError("timeout")] * 2, *[TemporaryError("timeout")] * 9))
    with pytest.raises(IncompleteError, match=r"58 cells of Ankara are still to be listed \(timeout\)") as caught:
        run(service, database)
    assert str(caught.value).endswith("run the same command again")
    assert service.calls == 6
    run(Sampling(), database)
    assert coverage(database).complete


def test_nothing_is_repaired_before_all_is_listed(database: sqlite3.Connection) -> None:
    service = Counting(clustered(6000), 0.015, 0.03)
    service.before = failing(*[None] * 60, TemporaryError("timeout"))
    with pytest.raises(IncompleteError, match="1 cell of Ankara"):
        run(service, database)
    assert database.execute("SELECT sum(repaired) FROM cells").fetchone() == (0,)
    run(service, database)
    assert database.execute("SELECT sum(repaired) > 0 FROM cells").fetchone() == (1,)


def test_a_failure_while_repairing_is_made_good_by_the_next_run(database: sqlite3.Connection) -> None:
    service = Counting(clustered(6000), 0.015, 0.03)

    def broken_once_all_is_listed(cell: Cell) -> None:
        if not coverage(database).open_cells and coverage(database).cells > 1:
            raise TemporaryError("timeout")

    service.before = broken_once_all_is_listed
    with pytest.raises(IncompleteError, match="3 cells of Ankara"):
        run(service, database)
    before = len(ids(database))
    service.before = lambda cell: None
    run(service, database)
    assert len(ids(database)) > before
    assert coverage(database).complete


@pytest.mark.parametrize("error", [ServiceError("the key is not accepted"), IncompleteError("the quota is used up")])
@pytest.mark.parametrize("at_once", [1, 4])
def test_what_no_cell_can_help_ends_the_run_at_once(
    database: sqlite3.Connection, error: Exception, at_once: int
) -> None:
    with pytest.raises(type(error), match=str(error)):
        run(Sampling(before=failing(*[None] * 20, error), rules=replace(SAMPLING_RULES, at_once=at_once)), database)
    assert 16 <= coverage(database).cells <= 20
    run(Sampling(), database)
    assert coverage(database).complete


def test_a_cell_that_is_refused_as_too_big_and_cannot_be_divided_stays_open(database: sqlite3.Connection) -> None:
    with pytest.raises(IncompleteError, match=r"1 cell of Ankara is still to be listed \(too-big\)"):
        run(Sampling(before=failing(RefusedError("too-big"))), database)


# --- samples


def test_many_at_a_time_is_the_same_as_one_after_the_other(database: sqlite3.Connection) -> None:
    run(Sampling(), database)
    parallel = new_database()
    run(Sampling(rules=replace(SAMPLING_RULES, at_once=8)), parallel)
    assert content(parallel) == content(database)
    assert len(ids(parallel)) == 40
    parallel.close()


@pytest.mark.parametrize("at_once", [1, 8])
def test_many_at_a_time_killed_is_the_same_as_well(database: sqlite3.Connection, at_once: int) -> None:
    rules = replace(UNCOUNTED_RULES, at_once=at_once)
    run(Uncounted(clustered(4000), steady=True), database)
    killed = new_database()
    run(Uncounted(clustered(4000), steady=True, rules=rules), killed, 7)
    run(Uncounted(clustered(4000), steady=True, rules=rules), killed)
    assert ids(killed) == ids(database)
    killed.close()


def test_when_there_is_enough_the_rest_is_left_for_later(database: sqlite3.Connection) -> None:
    service = Sampling()
    run(service, database, enough=lambda: len(ids(database)) >= 10)
    assert (len(ids(database)), service.calls, coverage(database).complete) == (10, 15, False)
    run(service, database, enough=lambda: len(ids(database)) >= 10)
    assert service.calls == 15
    run(service, database)
    assert (len(ids(database)), service.calls, coverage(database).complete) == (40, 60, True)


def test_a_larger_sample_asks_only_what_it_adds(database: sqlite3.Connection) -> None:
    service = Sampling()
    run(service, database)
    run(service, database, query=Query(target=100), now=NOW + 5)
    assert service.calls == 100
    assert (coverage(database).cells, coverage(database).complete) == (100, True)


def test_a_city_without_cells_is_listed_at_once(database: sqlite3.Connection) -> None:
    service = Sampling()
    service.roots = lambda *args: []  # type: ignore[method-assign]
    run(service, database)
    assert (coverage(database).complete, coverage(database).cells, coverage(database).reported) == (True, 0, None)


# --- no more than was asked for


@pytest.mark.parametrize("limit", [1, 100, 1000])
def test_a_limit_is_kept_to_the_photo_and_gone_on_from(database: sqlite3.Connection, limit: int) -> None:
    service = Counting(clustered(3000), later=0.03)
    run(service, database, query=Query(limit=limit))
    assert len(ids(database)) == limit
    assert not coverage(database).complete
    calls = service.calls
    run(service, database, query=Query(limit=limit))
    assert service.calls == calls
    run(service, database)
    assert len(ids(database)) > 2970
    assert coverage(database).complete


def test_a_limit_that_falls_within_the_repairs_loses_nothing(database: sqlite3.Connection) -> None:
    def service() -> Counting:
        return Counting(clustered(6000), 0.015, 0.03, steady=True)

    limit = 0
    for result in results(service(), database):
        write(database, result)
        limit = limit if result.repair else len(ids(database)) + 3
    limited = new_database()
    run(service(), limited, query=Query(limit=limit))
    assert (len(ids(limited)), coverage(limited).open_cells) == (limit, 0)
    run(service(), limited)
    assert len(ids(database)) > limit + 20
    assert len(set(ids(database)) - set(ids(limited))) <= 3  # the photo or so of a repair that the budget now lacks
    limited.close()


def test_a_limit_counts_what_the_caller_kept(database: sqlite3.Connection) -> None:
    service = Counting(clustered(3000))

    def is_even(photo: Photo) -> bool:
        return int(photo.photo_id.partition(":")[2]) % 2 == 0

    for result in results(service, database, Query(limit=400)):
        write(database, result, is_even)
    assert len(ids(database)) == 400


def test_a_limit_does_not_wait_for_what_the_caller_drops(database: sqlite3.Connection) -> None:
    service = Counting(clustered(3000))
    for result in islice(results(service, database, Query(limit=100)), 1000):
        with database:
            Ledger(database).record(result)
    assert coverage(database).complete


# --- broken and hostile services


@dataclass
class Hostile(Counting):
    """A service that answers every question with the same kind of nonsense."""

    population: Population = field(default_factory=lambda: clustered(10))
    answers: Callable[[int], Page] = lambda i: Page((), 0)
    total: int | None = None

    def count(self, cell: Cell) -> int | None:
        return self.total

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        self.calls += 1
        return self.answers(self.calls)


def one(number: int) -> tuple[Photo]:
    return (Photo(f"flickr:{number}", "ankara"),)


@pytest.mark.parametrize(
    "answers",
    [
        lambda i: Page(one(1), 1, 1, str(i)),  # a page that is repeated for ever
        lambda i: Page(one(i), 1, 1, "next"),  # one token for ever
        lambda i: Page(one(i), 250, 10, str(i)),  # new things for ever
        lambda i: Page((), 250, 10, str(i), known=250),  # known things for ever
        lambda i: Page((), 0, 10**40, str(i)),
        lambda i: Page((), 0, -5, str(i)),
        lambda i: Page((*one(1), *one(1), Unusable("flickr:2", "video", "\x1b[2J")), 3, None),
    ],
)
@pytest.mark.parametrize("total", [None, 1, -1, 10**40])
def test_whatever_a_service_sends_has_an_end(
    database: sqlite3.Connection, answers: Callable[[int], Page], total: int | None
) -> None:
    service = Hostile(answers=answers, total=total)
    service.rules = CellRules(aim=300, page_size=250, by_time=True, shortest_s=10**8, narrowest_m=20_000)
    run(service, database)
    assert coverage(database).complete
    assert service.calls < 1500


def test_a_count_that_promises_a_page_too_many_divides_nothing(database: sqlite3.Connection) -> None:
    def answers(i: int) -> Page:  # 495 of 510 photos, then the second page again
        numbers = range(250) if i == 1 else range(250, 495)
        return Page(tuple(one(number)[0] for number in numbers), len(numbers), 510, str(i), cut=i == 3)

    service = Hostile(answers=answers, total=510)
    run(service, database)
    assert (service.calls, coverage(database).cells, len(ids(database))) == (3, 1, 495)


# --- estimates


@pytest.mark.parametrize("seed", range(3))
def test_an_estimate_of_what_is_counted_is_near_the_truth(database: sqlite3.Connection, seed: int) -> None:
    service = Counting(clustered(seed=seed), later=0.03)
    plan = estimate(service, ANKARA, Query(), Ledger(database), at(NOW))
    assert plan.photos == pytest.approx(20_000, rel=0.04)
    assert (plan.asked, service.calls) == (3, 3)
    assert content(database) == [[], []]
    assert Ledger(database).sweep("flickr", "ankara") is None
    run(service, database)
    assert plan.queries == pytest.approx(service.calls, rel=0.5)
    assert plan.quota_share == pytest.approx(plan.queries / 3600)
    assert plan.seconds == pytest.approx(plan.queries)


@pytest.mark.parametrize("seed", range(3))
def test_an_estimate_of_what_is_not_counted_knows_how_sure_it_is(database: sqlite3.Connection, seed: int) -> None:
    service = Uncounted(clustered(8000, seed=seed))
    plan = estimate(service, ANKARA, Query(), Ledger(database), at(NOW), seed)
    asked = service.calls
    run(service, database)
    assert plan.photos == pytest.approx(len(ids(database)), rel=0.4)
    assert (service.calls - asked) / 2.5 < plan.queries < (service.calls - asked) * 2.5
    assert plan.asked == asked < 120
    assert service.details == len(ids(database))  # none for the plan
    assert "4 random samples, ±" in plan.how


def test_an_estimate_says_when_it_saw_everything(database: sqlite3.Connection) -> None:
    service = Uncounted(clustered(1000))
    town = replace(ANKARA, radius_km=8)
    plan = estimate(service, town, Query(), Ledger(database), at(NOW))
    (root,) = service.roots(town, Query(), None, NOW)
    assert (plan.photos, plan.how) == (len(service.population.within(root)), "exact")
    assert plan.asked == plan.queries == 5


def test_counts_that_are_cut_off_are_not_believed(database: sqlite3.Connection) -> None:
    service = Counting(clustered(), off=0.0)
    counted = service.count
    service.count = lambda cell: min(counted(cell) or 0, 4000)  # type: ignore[method-assign]
    plan = estimate(service, ANKARA, Query(), Ledger(database), at(NOW))
    assert "random samples" in plan.how
    assert plan.photos == pytest.approx(20_000, rel=0.3)


def test_a_sample_costs_a_call_for_each_place(database: sqlite3.Connection) -> None:
    service = Sampling()
    plan = estimate(service, ANKARA, Query(), Ledger(database), at(NOW))
    assert (plan.photos, plan.queries, plan.seconds, plan.asked, service.calls) == (None, 60, 6.0, 0, 0)
    run(service, database)
    plan = estimate(service, ANKARA, Query(target=100), Ledger(database), at(NOW))
    assert plan.queries == 40


def test_an_estimate_knows_what_is_done_already(database: sqlite3.Connection) -> None:
    service = Counting(clustered(5000))
    run(service, database, 20)
    plan = estimate(service, ANKARA, Query(), Ledger(database), at(NOW))
    assert plan.photos is not None
    assert plan.photos < 5000 - 0.9 * coverage(database).unique
    run(service, database)
    plan = estimate(service, ANKARA, Query(), Ledger(database), at(NOW))
    assert plan.queries <= 3
    again = Uncounted(clustered(2000))
    run(again, database)
    again.calls = 0
    plan = estimate(again, ANKARA, Query(), Ledger(database), at(NOW))
    assert plan.photos == pytest.approx(2000, abs=20)
    assert again.calls == 0
    run(again, database)
    assert again.calls == plan.queries


def test_an_estimate_of_a_part(database: sqlite3.Connection) -> None:
    service = Counting(clustered())
    whole = estimate(service, ANKARA, Query(), Ledger(database), at(NOW))
    part = estimate(service, ANKARA, Query(limit=2000), Ledger(database), at(NOW))
    assert part.photos == 2000
    assert part.queries == pytest.approx(whole.queries / 10, rel=0.1)


@pytest.mark.parametrize("service", [Counting, Uncounted])
def test_an_estimate_without_an_answer_says_so(database: sqlite3.Connection, service: type[Counting]) -> None:
    silent = service(clustered(100), before=failing(*[TemporaryError("timeout")] * 100))
    with pytest.raises(IncompleteError, match=r"gives no answer to plan with \(timeout\): run the same command again"):
        estimate(silent, ANKARA, Query(), Ledger(database), at(NOW))
