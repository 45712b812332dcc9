"""What a publication tells: what follows from a manifest by counting its rows, and what only its publisher knows."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from collector.errors import UsageError
from collector.licences import OWN_LICENCE, licences
from collector.manifest.manifest import Manifest
from collector.records import SPLITS, Licence, provider_of


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: photos on each side, by whatever `name` stands for."""

    name: str
    train: int
    val: int
    test: int

    @property
    def photos(self) -> int:
        """Photos on all sides."""
        return self.train + self.val + self.test


@dataclass(frozen=True, slots=True)
class LicenceRow:
    """A licence and its photos."""

    licence: Licence
    counts: Row


@dataclass(frozen=True, slots=True)
class Authors:
    """How the photos are spread over the people who took them.

    Attributes:
        counts: photos of each known author, the largest first.
        unknown: photos whose author is not known.
        top_tenth: authors that are the most active tenth, at least one; 0 when none is known.
        top_tenth_share: of the photos with a known author that the most active tenth took, 0 to 1.
        on_both: authors with photos in training and in test.
        test_of_both: test photos by them.
    """

    counts: tuple[int, ...]
    unknown: int
    top_tenth: int
    top_tenth_share: float
    on_both: int
    test_of_both: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts over a manifest's rows.

    Attributes:
        total: all photos, by side.
        cities: in the manifest's order; `name` is the city's name.
        licences, providers: the most frequent first.
        authors: see there.
        located: photos with coordinates.
        dated: photos with a time; `earliest` and `latest` are None when there is none.
        grouped: photos that have a `group_id`.
        split_groups: groups of photos that lie on more than one side: leaks.
        megabytes: of the original files, in 10^6 bytes.
        ids_only: rows of services that do not let their pictures be kept: ids and parameters are all that is published.
    """

    total: Row
    cities: tuple[Row, ...]
    licences: tuple[LicenceRow, ...]
    providers: tuple[Row, ...]
    authors: Authors
    located: int
    dated: int
    earliest: datetime | None
    latest: datetime | None
    grouped: int
    split_groups: int
    megabytes: float
    ids_only: int


def gather(manifest: Manifest, redistributable: Collection[str] = ()) -> Facts:
    """Return the facts of a manifest; they depend on its header and rows, and on licences that are said to be open."""
    columns: dict[str, list[Any]] = {name: manifest.table[name].to_pylist() for name in manifest.table.column_names}
    sides = columns["split"]
    by_city = {slug: Row(slug, **counts) for slug, counts in manifest.counts().items()}
    times = [time for time in columns["taken_at"] if time is not None]
    rows = zip(columns["photo_id"], columns["license"], strict=True)
    is_ids_only = ids_only_test(manifest)
    return Facts(
        total=_tally(["all"] * len(sides), sides)[0] if sides else Row("all", 0, 0, 0),
        cities=tuple(
            Row(city.name, by_city[city.slug].train, by_city[city.slug].val, by_city[city.slug].test)
            for city in manifest.header.cities
        ),
        licences=tuple(LicenceRow(judged(row.name, redistributable), row) for row in _tally(columns["license"], sides)),
        providers=_tally([provider_of(photo_id) for photo_id in columns["photo_id"]], sides),
        authors=_authors(columns["author_id"], sides),
        located=len(sides) - columns["latitude"].count(None),
        dated=len(times),
        earliest=min(times, default=None),
        latest=max(times, default=None),
        grouped=len(sides) - columns["group_id"].count(None),
        split_groups=_split_groups(columns["group_id"], sides),
        megabytes=sum(columns["bytes"]) / 1e6,
        ids_only=sum(is_ids_only(photo_id, license_id) for photo_id, license_id in rows),
    )


def summed(rows: Sequence[Row], most: int, what: str) -> tuple[Row, ...]:
    """Return at most `most` rows, those with the most photos in the given order, and one that sums the others."""
    if len(rows) <= most:
        return tuple(rows)
    kept = set(sorted(range(len(rows)), key=lambda at: (-rows[at].photos, at))[:most])
    others = [row for at, row in enumerate(rows) if at not in kept]
    sums = (sum(getattr(row, side) for row in others) for side in SPLITS)
    return (*(rows[at] for at in sorted(kept)), Row(f"{len(others):,} more {what}", *sums))


def judged(license_id: str, redistributable: Collection[str] = ()) -> Licence:
    """Return what the table of licences says; one that is not in it allows nothing, unless it is `redistributable`."""
    known = _licences().get(license_id.strip().casefold())
    return known or Licence(license_id, license_id, "", redistributable=license_id in redistributable)


@cache
def _licences() -> dict[str, Licence]:
    return {id_.casefold(): of for id_, of in licences().items()}


def ids_only_test(manifest: Manifest) -> Callable[[str, str], bool]:
    """Return what tells by photo_id and licence whether a row's picture must stay out of every publication.

    It must where its service does not let pictures be kept: by the traits in the manifest or by the table of licences (a
    manifest may be anybody's), by the provider in its id or by that service's licence.
    """
    closed = [(name, of.licence) for name, of in manifest.header.provider_traits.items() if not of.pixels_may_be_kept]
    closed += [(of.ids_only_of, of.id) for of in licences().values() if of.ids_only_of]
    names, ids = {name for name, _ in closed}, {id_.casefold() for _, id_ in closed if id_}
    return lambda photo_id, license_id: provider_of(photo_id) in names or license_id.casefold() in ids


def _tally(names: Sequence[str], sides: Sequence[str]) -> tuple[Row, ...]:
    counts: Mapping[tuple[str, str], int] = Counter(zip(names, sides, strict=True))
    rows = (Row(name, *(counts[name, side] for side in SPLITS)) for name in set(names))
    return tuple(sorted(rows, key=lambda row: (-row.photos, row.name)))


def _authors(ids: Sequence[str | None], sides: Sequence[str]) -> Authors:
    by_author = Counter(author for author in ids if author is not None)
    counts = tuple(sorted(by_author.values(), reverse=True))
    top = -(-len(counts) // 10)
    both = _of_side(ids, sides, "train") & _of_side(ids, sides, "test")
    return Authors(
        counts=counts,
        unknown=len(ids) - sum(counts),
        top_tenth=top,
        top_tenth_share=sum(counts[:top]) / sum(counts) if counts else 0.0,
        on_both=len(both),
        test_of_both=sum(side == "test" and author in both for author, side in zip(ids, sides, strict=True)),
    )


def _of_side(ids: Iterable[str | None], sides: Iterable[str], side: str) -> set[str]:
    return {author for author, of in zip(ids, sides, strict=True) if author is not None and of == side}


def _split_groups(groups: Sequence[str | None], sides: Sequence[str]) -> int:
    pairs = {(group, side) for group, side in zip(groups, sides, strict=True) if group is not None}
    return sum(count > 1 for count in Counter(group for group, _ in pairs).values())


@dataclass(frozen=True, slots=True)
class Release:
    """Facts that only the publisher knows; what is None is left out, or marked as open in the datasheet.

    Attributes:
        tool: the version of t15 that publishes, such as `t15 1.0`.
        date: of the publication, `2026-05-01`. Never taken from the clock: the same input has to give the same bytes.
        publisher: the person or institution.
        url: the page of the data set.
        redistributable: licences of one's own (`LicenseRef-…`) whose photos the publisher says may be passed on.
    """

    tool: str
    date: str | None = None
    publisher: str | None = None
    url: str | None = None
    redistributable: tuple[str, ...] = ()


def check_release(release: Release) -> None:
    """Check what was said about the publication.

    Raises:
        UsageError: the date or the address is not one, or a licence is not the publisher's own.
    """
    for id_ in release.redistributable:
        if not OWN_LICENCE.fullmatch(id_) or id_.casefold() in _licences():
            raise UsageError(
                f"--redistributable {id_[:60]!r}: is for licences of one's own (LicenseRef-NAME); what others allow is known"
            )
    if release.date is not None:
        try:
            date.fromisoformat(release.date)
        except ValueError:
            raise UsageError(f"date {release.date!r}: write it as year-month-day, such as 2026-05-01") from None
    if release.url is not None:
        parts = urlsplit(release.url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.username:
            # The address itself is not repeated: it may hold a password.
            raise UsageError("url: must be the http or https address of the data set's page, without a password")
