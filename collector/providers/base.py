"""What a provider is: a source of photos, described first and fetched second.

A `Provider` lists a city by itself (`search`). A `Survey` answers questions about small parts of a city, and the planner
(collecting/planner.py) decides which to ask: services cut long answers, each at its own length.

Keys and addresses of services come from the environment and from nowhere else.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from urllib.parse import urlsplit

from collector.errors import UsageError
from collector.net.allowlist import origin_of
from collector.records import City, Photo, Unusable

if TYPE_CHECKING:
    from collector.net.client import Http


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for in a city.

    Attributes:
        limit: the largest number of photos to list, None for all.
        target: how many photos are wanted in the end, None for all; providers that draw samples list enough for it.
        seed: of samples.
        geo_accuracy: the lowest accuracy of a photo's place that is accepted, on Flickr's scale from 1 (world) over 11
            (city) to 16 (street), which Flickr's own photos are measured by; other services' places are points.
        outlines: polygons, (latitude, longitude) by corner, that a city's photos with a place lie in, by slug; of cities
            that are not here the radius alone counts.
    """

    limit: int | None = None
    target: int | None = None
    seed: int = 0
    geo_accuracy: int = 11
    outlines: Mapping[str, Sequence[tuple[tuple[float, float], ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Where a photo's bytes are, and how to tell them from a stand-in.

    Attributes:
        url: a `file:` URL, or one to fetch over HTTP. It may hold a key: it is never stored or shown.
        placeholder_in_url: when the address that answered in the end holds this, it sent a placeholder.
        flat_is_placeholder: a picture that is nearly all of one colour is a placeholder.
        width: pixels of the picture that was asked for; one of another width is not it. None where any will do.
        robots: whether robots.txt has a say. It is about pages and files; an API has terms of its own.
    """

    url: str = field(repr=False)
    placeholder_in_url: str = ""
    flat_is_placeholder: bool = False
    width: int | None = None
    robots: bool = True


class Provider(Protocol):
    """A source of photos. `name` is the first part of its photo ids."""

    name: str

    def search(self, city: City, query: Query) -> Iterator[Photo | Unusable]:
        """Yield every photo of the city once, in an order that repeats, and what is there but cannot be used."""
        ...

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return where the bytes of a photo that `search` yielded are."""
        ...


@runtime_checkable
class Renews(Protocol):
    """A provider that can find a photo again whose address leads nowhere any more."""

    def renewed(self, photo: Photo) -> Photo | None:
        """Return the photo with its present address; None when the provider does not have it any more."""
        ...


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as a provider met it.

    Attributes:
        path: below its root, in the bytes of the file system.
        photo_id: what it is called in the catalogue.
        content: what two files of the same bytes share; empty where they were not read.
    """

    path: bytes
    photo_id: str
    content: str = ""


@runtime_checkable
class Mirrors(Protocol):
    """A provider of files that is the truth about itself: what it does not have any more is gone."""

    @property
    def root_path(self) -> bytes:
        """What tells the roots of one workspace apart: the absolute path."""
        ...

    def seen_files(self) -> Iterator[SeenFile]:
        """Yield the files that `search` and `unplaced` have met so far."""
        ...

    def has_file(self, path: bytes) -> bool:
        """Return whether there is something at a path below the root, or it cannot be told."""
        ...


@runtime_checkable
class TellsMore(Protocol):
    """A provider that knows more of a photo than a Photo has fields for."""

    def beside(self, photo: Photo) -> dict[str, str]:
        """Return it, as texts by name."""
        ...


@runtime_checkable
class FindsUnplaced(Protocol):
    """A provider that also meets things that belong to no city, and accounts for them."""

    def unplaced(self) -> Iterator[Unusable]:
        """Yield what belongs to no city of the region, each with its reason."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A part of a city, and of time, that a service is asked about.

    Attributes:
        west, south, east, north: degrees WGS84.
        since, until: the time of upload, seconds since 1970 UTC, `since <= time < until`; None where the service cannot be
            asked by time.
    """

    west: float
    south: float
    east: float
    north: float
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class CellRules:
    """How a service's cells are divided.

    Attributes:
        aim: a cell that is reported to hold more photos is divided.
        page_size: rows of a full page, for estimates.
        by_time: cells can be divided by the time of upload too.
        shortest_s: seconds; no time slice is divided into shorter ones.
        narrowest_m: metres; no box is divided into narrower ones.
        calls_per_hour: the service's quota (or our own limit), for estimates.
        details: photos that one further call describes, for estimates; 0 where the listing tells everything.
        at_once: cells that are asked at one time; above 1 for samples of points, of which none tells of another.
    """

    aim: int
    page_size: int
    by_time: bool = False
    shortest_s: int = 300
    narrowest_m: float = 20.0
    calls_per_hour: int = 3600
    details: int = 0
    at_once: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """One answer about a cell.

    Attributes:
        found: what the rows told, repeats and photos outside the cell or the city's radius among them.
        rows: rows that the service sent.
        reported: how many photos the service says that the cell holds; an estimate, None where it does not say.
        next: what to ask with for the next page, None at the last.
        cut: the service may hold more of this cell than it can be asked for: divide the cell instead.
        known: rows that were not looked at because `page` was told that they are known.
    """

    found: tuple[Photo | Unusable, ...]
    rows: int
    reported: int | None = None
    next: str | None = None
    cut: bool = False
    known: int = 0


@runtime_checkable
class Survey(Protocol):
    """A service that is asked cell by cell. `name` is the first part of its photo ids.

    The methods raise what collecting/http.py raises (TemporaryError, RefusedError), ServiceError for a refused key and
    IncompleteError for an exhausted quota.
    """

    name: str
    rules: CellRules
    http: "Http"

    def roots(self, city: City, query: Query, since: int | None, until: int) -> Sequence[Cell]:
        """Return the cells that cover the city (for a sampling provider: its sample), without asking the service.

        Args:
            city: its radius around its centre is what has to be covered.
            query: what is looked for.
            since: time of upload from which on photos are asked for, None for all; ignored by services that cannot be
                asked by time.
            until: now, seconds since 1970 UTC.
        """
        ...

    def count(self, cell: Cell) -> int | None:
        """Return about how many photos the cell holds, by one cheap call; None where the service does not count."""
        ...

    def page(self, city: City, cell: Cell, query: Query, token: str | None, known: Callable[[str], bool]) -> Page:
        """Return one page of what `query` looks for in a cell: the first for `token` None, else the one that the last page's
        `next` names.

        `known(photo_id)` tells that a photo was listed by an earlier run: a provider that needs further calls for a
        photo's details can save them.
        """
        ...

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return where a listed photo's bytes are; may ask the service. `photo` may come from an earlier run's listing."""
        ...


def base_url(variable: str, default: str) -> str:
    """Return a service's address: what the environment variable says, else the real one. Ends without a slash.

    Raises:
        UsageError: the variable holds no http or https URL.
    """
    value = os.environ.get(variable, "").strip() or default
    try:
        origin_of(value)
        clear = not urlsplit(value).query and not urlsplit(value).fragment
    except ValueError:
        clear = False
    if not clear:
        raise UsageError(f"{variable}: must be the address of a service, such as {default}")
    return value.rstrip("/")
