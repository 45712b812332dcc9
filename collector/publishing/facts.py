"""What a publication tells: what follows from a manifest by counting its rows, and what only its publisher knows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.errors import UsageError
from collector.licences import OWN_LICENCE, licences
from collector.manifest.manifest import Manifest
from collector.records import SPLITS, Licence, provider_of
from collector.text_table import counted


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

    @property
    def both_sides(self) -> str:
        """How many authors have photos both in training and in test, as far as authors are known: a sentence."""
        if not self.counts:
            return "Whether authors have photos both in training and in test is not known, as no author is."
        have = "author has" if self.on_both == 1 else "authors have"
        known = f"{self.on_both:,} known {have} photos both in training and in test"
        return (
            f"{known}; the author of {counted(self.unknown, 'photos')} is not known." if self.unknown else f"{known}."
        )


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
    table = manifest.table
    by_city = {slug: Row(slug, **counts) for slug, counts in manifest.counts().items()}
    times = pc.min_max(table["taken_at"])
    count = table.num_rows
    providers = pc.list_element(pc.split_pattern(table["photo_id"], ":", max_splits=1), 0)
    pairs = pa.table({"provider": providers, "license": table["license"]}).group_by(["provider", "license"])
    is_ids_only = ids_only_test(manifest)
    return Facts(
        total=_counted(pa.array(["all"]).take(pa.array(np.zeros(count, np.int8))), table)[0]
        if count
        else Row("all", 0, 0, 0),
        cities=tuple(
            Row(city.name, by_city[city.slug].train, by_city[city.slug].val, by_city[city.slug].test)
            for city in manifest.header.cities
        ),
        licences=tuple(LicenceRow(judged(row.name, redistributable), row) for row in _counted(table["license"], table)),
        providers=_counted(providers, table),
        authors=_authors(table),
        located=count - table["latitude"].null_count,
        dated=count - table["taken_at"].null_count,
        earliest=times["min"].as_py(),
        latest=times["max"].as_py(),
        grouped=count - table["group_id"].null_count,
        split_groups=_split_groups(table),
        megabytes=(pc.sum(table["bytes"]).as_py() or 0) / 1e6,
        ids_only=sum(
            row["count_all"]
            for row in pairs.aggregate([([], "count_all")]).to_pylist()
            if is_ids_only(f"{row['provider']}:", row["license"])
        ),
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


def _counted(names: pa.Array | pa.ChunkedArray, table: pa.Table) -> tuple[Row, ...]:
    """Return how many rows of each side have each name, those with the most first."""
    pairs = pa.table({"name": names, "split": table["split"]}).group_by(["name", "split"])
    counts: dict[str, dict[str, int]] = {}
    for row in pairs.aggregate([([], "count_all")]).to_pylist():
        counts.setdefault(row["name"], dict.fromkeys(SPLITS, 0))[row["split"]] = row["count_all"]
    rows = (Row(name, **sides) for name, sides in counts.items())
    return tuple(sorted(rows, key=lambda row: (-row.photos, row.name)))


def _sides(table: pa.Table, name: str) -> pa.Table:
    """Return, of each value of a column, how many rows of each side have it (columns `train`, `val`, `test`)."""
    known = table.select([name, "split"]).filter(pc.is_valid(table[name]))
    ones = {side: pc.equal(known["split"], side).cast(pa.int64()) for side in SPLITS}
    grouped = pa.table({name: known[name], **ones}).group_by(name).aggregate([(side, "sum") for side in SPLITS])
    return pa.table({side: grouped[f"{side}_sum"] for side in SPLITS})


def _authors(table: pa.Table) -> Authors:
    sides = _sides(table, "author_id")
    train, val, test = (np.asarray(sides[side].to_numpy(), np.int64) for side in SPLITS)
    counts = np.sort(train + val + test)[::-1]
    top = -(-len(counts) // 10)
    both = (train > 0) & (test > 0)
    return Authors(
        counts=tuple(counts.tolist()),
        unknown=table["author_id"].null_count,
        top_tenth=top,
        top_tenth_share=int(counts[:top].sum()) / int(counts.sum()) if len(counts) else 0.0,
        on_both=int(both.sum()),
        test_of_both=int(test[both].sum()),
    )


def _split_groups(table: pa.Table) -> int:
    sides = _sides(table, "group_id")
    on = sum((np.asarray(sides[side].to_numpy(), np.int64) > 0).astype(np.int64) for side in SPLITS)
    return int((np.asarray(on) > 1).sum())


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
