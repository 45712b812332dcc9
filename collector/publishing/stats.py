"""Is the city in it? What a manifest's photos show of each city: how much of its area, when, by whom, under which licences.

Of each city: the share of its cells (squares of a kilometre within its radius; with a table of populated places, those within
two kilometres of one) that have a photo; how concentrated the photos are, as effective numbers, exp of the entropy of their
shares (Hill, "Diversity and evenness", Ecology 54, 1973): of places (squares of 250 m), authors, months of the year, hours of
the day; the largest shares; licences. Hours are local solar time, UTC + longitude / 15. What is not known is left out of a
share, and counted. Where pictures were looked at (`looks.py`): the share taken indoors, and of those that people fill.
Memory: the rows in columns, and the photos of one city at a time.
"""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, timedelta
from math import exp, log
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.errors import DataError
from collector.geo import KM_PER_DEGREE
from collector.manifest.columns import Values, choose, held
from collector.manifest.manifest import Manifest
from collector.manifest.read_table import open_table
from collector.records import SPLITS, City, Photo, provider_of
from collector.web.maps import kilometres

CELL_KM = 1.0
PLACE_KM = 0.25
POPULATED_KM = 2.0
"""A cell is populated when its middle is at most so far from a populated place."""

_AT_ONCE = 4096  # populated places

NIGHT = (*range(6), *range(20, 24))
"""Hours of local solar time that count as night."""

_LOOKED_AT = ["photo_id", "city", "latitude", "longitude", "taken_at", "author_id", "license"]  # columns

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CityStats:
    """Of one city; effective numbers are exp(entropy), from 1 to the number of kinds; None where nothing is known.

    Attributes:
        city, name: slug and name.
        photos, located, dated: all, with a place, with a time.
        cells: of the city's circle (or of its populated part).
        covered: share of them with a photo.
        places: effective number of squares of 250 m.
        largest_place: share of the located photos in the fullest square.
        authors: effective number; largest_author: the share of the most active one.
        months: effective number of 12; by_month: photos of January to December.
        hours: effective number of 24; by_hour: photos by local solar hour; night: share before 6 and from 20 on.
        licences: photos by licence, most first.
        wanting: what to collect next, in words, the most wanted first.
        looked_at: photos whose picture was looked at.
        indoors: share of them that is likelier taken indoors than outdoors; people: share that people fill.
    """

    city: str
    name: str
    photos: int
    located: int
    dated: int
    cells: int
    covered: float | None
    places: float | None
    largest_place: float | None
    authors: float | None
    largest_author: float | None
    months: float | None
    by_month: tuple[int, ...]
    hours: float | None
    by_hour: tuple[int, ...]
    night: float | None
    licences: Mapping[str, int]
    wanting: tuple[str, ...]
    looked_at: int = 0
    indoors: float | None = None
    people: float | None = None


@dataclass(frozen=True, slots=True)
class Looks:
    """What pictures show, by photo_id; of photos that could be looked at alone.

    Attributes:
        indoors: how likely it was taken indoors, 0 to 1.
        people: whether people fill it.
        lines: how that was found, or why not; none where nobody looked.
    """

    indoors: Mapping[str, float]
    people: Mapping[str, bool]
    lines: tuple[str, ...] = ()


NOTHING = Looks({}, {})


@dataclass(frozen=True, slots=True)
class Shown:
    """What a manifest shows of its cities.

    Attributes:
        cities: in its order.
        populated: whether cells near populated places alone count.
        lines: how its pictures were looked at; none where they were not.
    """

    cities: Sequence[CityStats]
    populated: bool = False
    lines: tuple[str, ...] = ()


def stats(manifest: Manifest, populated: Floats | None = None, looks: Looks = NOTHING) -> list[CityStats]:
    """Return the statistics of each city of a manifest, in its order.

    Args:
        manifest: of any protocol.
        populated: (N, 2) latitude and longitude of populated places; None: every cell of a city's circle counts.
        looks: what the pictures show.
    """
    services = {name for name, traits in manifest.header.provider_traits.items() if traits.author_is_service}
    return [_of_city(city, photos, populated, services, looks) for city, photos in _by_city(manifest)]


def _by_city(manifest: Manifest) -> Iterator[tuple[City, list[Photo]]]:
    """Yield each city with its photos, as far as statistics look at them: those of one city at a time."""
    cities = manifest.header.cities
    number = pc.index_in(manifest.table["city"], pa.array([city.slug for city in cities], pa.string())).to_numpy()
    order = np.lexsort((pc.index_in(manifest.table["split"], pa.array(SPLITS)).to_numpy(), number))
    table = manifest.table.select(_LOOKED_AT).take(pa.array(order))
    ends = np.cumsum(np.bincount(number, minlength=len(cities))).tolist()
    for city, start, end in zip(cities, [0, *ends], ends, strict=False):
        yield city, [Photo(**row) for row in table.slice(start, end - start).to_pylist()]


def _of_city(
    city: City, photos: Sequence[Photo], populated: Floats | None, services: Collection[str], looks: Looks
) -> CityStats:
    degrees = [
        (photo.latitude, photo.longitude)
        for photo in photos
        if photo.latitude is not None and photo.longitude is not None
    ]
    offsets = kilometres(city.latitude, city.longitude, degrees)
    cells, seen = covered_cells(city, offsets.reshape(-1, 2), populated)
    places: Counter[Hashable] = (
        Counter(tuple(cell) for cell in np.floor(offsets / PLACE_KM).astype(int).tolist()) if degrees else Counter()
    )
    authors: Counter[Hashable] = Counter(
        photo.author_id for photo in photos if photo.author_id and provider_of(photo.photo_id) not in services
    )
    times = [(photo.taken_at.astimezone(UTC), photo.longitude) for photo in photos if photo.taken_at]
    months = Counter(moment.month - 1 for moment, _ in times)
    solar = [moment + timedelta(hours=(city.longitude if of is None else of) / 15) for moment, of in times]
    hours = Counter(moment.hour for moment in solar)
    indoors = [looks.indoors[photo.photo_id] >= 0.5 for photo in photos if photo.photo_id in looks.indoors]
    people = [looks.people[photo.photo_id] for photo in photos if photo.photo_id in looks.people]
    city_stats = CityStats(
        city=city.slug,
        name=city.name,
        photos=len(photos),
        located=len(degrees),
        dated=len(times),
        cells=cells,
        covered=seen / cells if cells and degrees else None,
        places=effective(places.values()),
        largest_place=_largest(places),
        authors=effective(authors.values()),
        largest_author=_largest(authors),
        months=effective(months.values()),
        by_month=tuple(months[month] for month in range(12)),
        hours=effective(hours.values()),
        by_hour=tuple(hours[hour] for hour in range(24)),
        night=sum(hours[hour] for hour in NIGHT) / len(times) if times else None,
        licences=dict(Counter(photo.license for photo in photos).most_common()),
        wanting=(),
        looked_at=max(len(indoors), len(people)),
        indoors=sum(indoors) / len(indoors) if indoors else None,
        people=sum(people) / len(people) if people else None,
    )
    return CityStats(**{**asdict(city_stats), "wanting": tuple(_wanting(city_stats))})


def effective(counts: Iterable[int]) -> float | None:
    """Return exp of the entropy of some counts: of how many equally common kinds they are worth; None of nothing."""
    known = [count for count in counts if count]
    total = sum(known)
    if not total:
        return None
    return exp(-sum(count / total * log(count / total) for count in known))


def _largest(counts: Mapping[Hashable, int]) -> float | None:
    total = sum(counts.values())
    return max(counts.values()) / total if total else None


def covered_cells(city: City, offsets: Floats, populated: Floats | None) -> tuple[int, int]:
    """Return how many cells a city has, and how many of them hold a photo.

    Its cells are those whose middle lies in its circle, and near a populated place where these are given. Made of the photos
    and places rather than of the circle, whose cells are many where a label is a country.

    Args:
        city: the circle.
        offsets: (N, 2) of the photos, km east and north of its centre.
        populated: (M, 2) latitude and longitude of the places, or None.
    """
    seen = np.unique(np.floor(offsets / CELL_KM).astype(np.int64), axis=0)
    seen = seen[_middles(seen) <= city.radius_km]
    if populated is not None:
        cells = _populated_cells(city, populated)
        return len(cells), len(cells & set(map(tuple, seen.tolist())))
    reach = int(np.ceil(city.radius_km / CELL_KM))
    heights = (np.arange(-reach, reach) + 0.5) * CELL_KM
    widths = np.sqrt(np.maximum(city.radius_km**2 - heights**2, 0))
    return int((2 * np.floor(widths / CELL_KM + 0.5)).sum()), len(seen)


def _middles(cells: NDArray[np.int64]) -> Floats:
    """Return how far from the centre the middle of each cell (N, 2) is, km."""
    middles = (cells + 0.5) * CELL_KM
    distances: Floats = np.hypot(middles[:, 0], middles[:, 1])
    return distances


def _populated_cells(city: City, populated: Floats) -> set[tuple[int, ...]]:
    """Return the cells of a city whose middle is at most POPULATED_KM from a populated place."""
    reach = city.radius_km + POPULATED_KM
    near = populated[np.abs(populated[:, 0] - city.latitude) <= reach / KM_PER_DEGREE + 0.01]
    places = kilometres(city.latitude, city.longitude, near.tolist()) if len(near) else np.empty((0, 2))
    places = places[np.hypot(places[:, 0], places[:, 1]) <= reach]
    steps = np.arange(-int(POPULATED_KM / CELL_KM) - 1, int(POPULATED_KM / CELL_KM) + 2)
    around = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    found: set[tuple[int, ...]] = set()
    for start in range(0, len(places), _AT_ONCE):
        some = places[start : start + _AT_ONCE, None]
        cells = np.floor(some / CELL_KM).astype(np.int64) + around
        apart = (cells + 0.5) * CELL_KM - some
        cells = np.unique(cells[np.hypot(apart[..., 0], apart[..., 1]) <= POPULATED_KM], axis=0)
        found.update(map(tuple, cells[_middles(cells) <= city.radius_km].tolist()))
    return found


_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_FEW = 0.25  # of an even share: what has less is wanted


def _wanting(of: CityStats) -> Iterable[str]:
    """Yield what is underrepresented: less than a quarter of an even share, or held by few."""
    if of.covered is not None and of.covered < 0.5:
        yield f"other parts of the city: {of.covered:.0%} of {of.cells} cells have a photo"
    if of.largest_place is not None and of.largest_place > 0.1:
        yield f"other places: one square of 250 m has {of.largest_place:.0%}"
    if of.largest_author is not None and of.largest_author > 0.1:
        yield f"other authors: one has {of.largest_author:.0%}"
    few = [name for name, count in zip(_MONTHS, of.by_month, strict=True) if of.dated and count < _FEW * of.dated / 12]
    if few:
        yield f"{', '.join(few)}" if len(few) <= 6 else f"{len(few)} months of the year"
    if of.night is not None and of.night < 0.05:
        yield f"nights: {of.night:.0%} before 6 and from 20 on"
    if of.indoors is not None and of.indoors > 0.5:
        yield f"outdoors: {of.indoors:.0%} were taken indoors"
    if of.people is not None and of.people > 0.25:
        yield f"views without people: {of.people:.0%} are filled by people"


_PLACE_NAMES = {"latitude": ("latitude", "lat"), "longitude": ("longitude", "lon", "lng", "long")}


def read_populated(path: Path) -> Floats:
    """Return latitude and longitude (N, 2) of the populated places in a table: CSV, TSV, JSON Lines or Parquet.

    Raises:
        UsageError: there is no such file.
        DataError: it is no table, lacks the columns, or a value is no place.
    """
    source = open_table(path)
    chosen = choose(source, {}, _PLACE_NAMES)
    if not chosen:
        raise DataError(f"{path}: has no columns latitude and longitude; {held(source)}")
    values = Values(source, chosen, source.read(list(chosen.values())))
    degrees: Floats = np.stack([values.numbers(name).to_numpy() for name in _PLACE_NAMES], axis=-1)
    return degrees[np.isfinite(degrees).all(axis=1)]
