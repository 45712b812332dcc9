"""Which photos or groups a page shows, and in which order: read from the catalogue for one request."""

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.catalogue.catalogue import Catalogue
from collector.records import City
from collector.review.decisions import STAGE, STANDING

PAGE, GROUPS_PAGE = 60, 20
"""Photos and groups of a page."""

FLAG_STAGES = ("quality", "labels", "text", "metadata", "label-errors")
"""Stages whose evidence holds flags: names with scores in (0, 1], the worse the larger."""

_LATEST = f"SELECT photo_id, verdict, max(entry) FROM reviews WHERE {STANDING} GROUP BY photo_id, reviewer"  # noqa: S608
FILTERS: Mapping[str, tuple[str, str]] = {
    "all": ("All", "1"),
    "undecided": ("To do", "said.verdict IS NULL"),
    "keep": ("Kept", "said.verdict = 'keep'"),
    "reject": ("Rejected", "said.verdict = 'reject'"),
    "wrong-city": ("Wrong city", "said.verdict = 'wrong-city'"),
    "disputed": (
        "Reviewers disagree",
        f"photos.photo_id IN (SELECT photo_id FROM ({_LATEST}) "  # noqa: S608 (constants)
        "GROUP BY photo_id HAVING count(DISTINCT verdict) > 1)",
    ),
    "left-out": (
        "Left out by t15",
        "photos.photo_id IN (SELECT photo_id FROM decisions WHERE verdict <> 'keep' AND stage <> 'review')",
    ),
}
"""Name -> title and condition."""

_SAID = f"LEFT JOIN decisions said ON said.stage = '{STAGE}' AND said.photo_id = photos.photo_id"
_OF_CITY = "photos.state = 'downloaded' AND (?1 = '' OR photos.city = ?1)"
# Evidence that is no JSON for SQLite (NaN, which Python writes and reads) must not take the page down.
_FLAGS = "json_each(CASE WHEN json_valid(found.evidence) THEN found.evidence ELSE '{}' END) flag"
_IS_FLAG = "typeof(flag.key) = 'text' AND flag.type IN ('integer', 'real') AND flag.value > 0 AND flag.value <= 1"


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter that is offered: its name in addresses, its title, and how many photos it shows."""

    name: str
    title: str
    photos: int


@dataclass(frozen=True, slots=True)
class CityRow:
    """How far the review of a city is: photos, those decided about, and those that another stage left out."""

    city: str
    photos: int
    decided: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of an ordered list of ids: `first` is the position of its first one, from 0, of `total`."""

    ids: tuple[str, ...]
    first: int
    total: int

    @property
    def has_next(self) -> bool:
        """Whether there are more after it."""
        return self.first + len(self.ids) < self.total


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a list a page begins: after an id, or so that it ends before an id; else at a position from 0.

    Ids, because lists shrink while they are worked through: the second page of what is to do, by number, would pass over
    as many photos as were decided on the first.
    """

    after: str = ""
    before: str = ""
    at: int = 0


Keys = Sequence[tuple[float, str]]
"""What a list is sorted by: minus the score of the flag that it is of, or 0, and the id."""


def known_cities(db: sqlite3.Connection) -> dict[str, City]:
    """Return the cities of the catalogue's regions by slug; where two regions know one, the first says what it is."""
    return {city.slug: city for region in reversed(Catalogue(db).regions()) for city in region.cities}


def note(db: sqlite3.Connection) -> str:
    """Return what every reader has to know of the photos, such as that they are drawn; empty where there is nothing."""
    regions = Catalogue(db).regions()
    there = {city for (city,) in db.execute("SELECT DISTINCT city FROM photos WHERE state = 'downloaded'")}
    # A run for too small a region leaves that behind; what holds all photos is what they are of.
    whole = [region for region in regions if there <= {city.slug for city in region.cities}]
    return next((region.note for region in whole or regions if region.note), "")


def cities(db: sqlite3.Connection) -> list[CityRow]:
    """Return how far each city is, by slug."""
    query = (
        f"SELECT photos.city, count(*), count(said.verdict), sum({FILTERS['left-out'][1]}) "  # noqa: S608 (constants)
        f"FROM photos {_SAID} WHERE photos.state = 'downloaded' GROUP BY photos.city ORDER BY photos.city"
    )
    return [CityRow(*row) for row in db.execute(query)]


def next_with_work(rows: Sequence[CityRow], city: str) -> CityRow | None:
    """Return the city after this one, and after the last one the first, that has undecided photos; None where none has."""
    at = next((number for number, row in enumerate(rows) if row.city == city), -1)
    order = [*rows[at + 1 :], *rows[: max(0, at)]]
    return next((row for row in order if row.decided < row.photos and row.city != city), None)


def counts(db: sqlite3.Connection, city: str) -> dict[str, int]:
    """Return how many photos of a city, or of all where it is empty, each of FILTERS shows."""
    sums = ", ".join(f"coalesce(sum({condition}), 0)" for _, condition in FILTERS.values())
    row = db.execute(f"SELECT {sums} FROM photos {_SAID} WHERE {_OF_CITY}", (city,)).fetchone()  # noqa: S608
    return dict(zip(FILTERS, row, strict=True))


def choices(db: sqlite3.Connection, city: str) -> list[Choice]:
    """Return the filters of a city (empty: of all): the fixed ones, then one for each flag that any of its photos has."""
    fixed = [Choice(name, FILTERS[name][0], n) for name, n in counts(db, city).items()]
    query = (
        f"SELECT flag.key, count(DISTINCT photos.photo_id) FROM photos JOIN decisions found "  # noqa: S608 (constants)
        f"ON found.photo_id = photos.photo_id AND found.stage IN {FLAG_STAGES!r} JOIN {_FLAGS} "
        f"WHERE {_OF_CITY} AND {_IS_FLAG} GROUP BY flag.key ORDER BY flag.key"
    )
    return fixed + [Choice(f"flag:{name}", name, n) for name, n in db.execute(query, (city,))]


def keys(db: sqlite3.Connection, city: str, name: str) -> Keys:
    """Return the sorted keys of the photos of a city (empty: of all) that a filter shows; of a flag the highest score first.

    Raises:
        KeyError: there is no such filter.
    """
    if name.startswith("flag:"):
        query = (
            f"SELECT -max(flag.value), photos.photo_id FROM photos JOIN decisions found "  # noqa: S608 (constants)
            f"ON found.photo_id = photos.photo_id AND found.stage IN {FLAG_STAGES!r} JOIN {_FLAGS} "
            f"WHERE {_OF_CITY} AND {_IS_FLAG} AND flag.key = ?2 GROUP BY photos.photo_id"
        )
        return sorted(db.execute(query, (city, name.removeprefix("flag:"))))
    query = f"SELECT 0.0, photos.photo_id FROM photos {_SAID} WHERE {_OF_CITY} AND {FILTERS[name][1]}"  # noqa: S608
    return sorted(db.execute(query, (city,)))


def page_of(listed: Keys, place: Place, size: int = PAGE) -> Page:
    """Return a page of a sorted list; beyond its end the last one, since what was the next page may be empty by now.

    An id that the list no longer holds stands where it would; in a list by score, whose scores of it are gone, the page
    begins at the position.
    """
    by_score = bool(listed) and listed[0][0] < 0
    score_of = {photo_id: score for score, photo_id in listed} if by_score else {}
    mark = place.after or place.before
    first = place.at
    if mark and (mark in score_of or not by_score):
        key = (score_of.get(mark, 0.0), mark)
        first = bisect_right(listed, key) if place.after else bisect_left(listed, key) - size
    first = max(0, first if first < len(listed) else len(listed) - size)
    return Page(tuple(photo_id for _, photo_id in listed[first : first + size]), first, len(listed))


def group_keys(db: sqlite3.Connection, verdict: str, city: str | None) -> Keys:
    """Return the keys of the groups that hold a photo with this verdict of `dedup`; with a city, one of that city."""
    query = (
        "SELECT DISTINCT 0.0, found.group_id FROM decisions found JOIN photos ON photos.photo_id = found.photo_id "
        "WHERE found.stage = 'dedup' AND found.verdict = ? AND found.group_id IS NOT NULL AND photos.state = 'downloaded' "
        "AND (? IS NULL OR photos.city = ?)"
    )
    return sorted(db.execute(query, (verdict, city, city)))
