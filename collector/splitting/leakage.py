"""Two sides of a split against each other: shared authors, groups, bytes and panoramas, near places, like looks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.curating.duplicates import DHASH_SLACK
from collector.curating.hamming import as_bits
from collector.errors import DataError
from collector.records import SPLITS, ProviderTraits
from collector.splitting.cross_split_neighbours import looks, nearest_places, resemblance
from collector.splitting.split_statistics import Codes, by_side, codes, people, sides_of

_WORST = 5  # examples that are kept of each finding
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class SharedValue:
    """A value that both sides hold, with the number of its photos and the first of them on each side."""

    value: str
    reference_photos: int
    judged_photos: int
    reference: str
    judged: str


@dataclass(frozen=True, slots=True)
class Shared:
    """What two sides have in common in one column.

    Attributes:
        values: that occur on both sides.
        photos: of the judged side that have one of them.
        known: photos of the judged side that could be judged: their value is known, and some of the other side's too.
        unknown: photos of both sides whose value is not known; nothing can be said of them.
        worst: the values with the most photos on the judged side.
    """

    values: int
    photos: int
    known: int
    unknown: int
    worst: tuple[SharedValue, ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoPair:
    """A photo of each side, and how near they are: in metres, or in bits of their hashes."""

    reference: str
    judged: str
    metres: float | None = None
    phash_bits: int | None = None
    dhash_bits: int | None = None


@dataclass(frozen=True, slots=True)
class Near:
    """How near photos of the two sides were taken to each other, in metres along great circles.

    Attributes:
        nearest_m: the smallest distance between photos of the two sides; None where none can be measured.
        photos: of the judged side with a photo of the other nearer than the distance that is asked for.
        known, unknown: as in Shared.
        quantiles_m: of each judged photo's distance to the nearest photo of the other side, by share.
        worst: the judged photos that are nearest to the other side, each with its nearest.
    """

    nearest_m: float | None
    photos: int
    known: int
    unknown: int
    quantiles_m: Mapping[str, float]
    worst: tuple[PhotoPair, ...] = ()


@dataclass(frozen=True, slots=True)
class Alike:
    """How much the photos of the two sides look alike, by their hashes.

    Attributes:
        nearest_bits: the smallest pHash distance between photos of the two sides; None where none can be measured.
        pairs: of photos that show one picture, as `t15 dedup` judges it.
        photos: of the judged side that are part of such a pair.
        known, unknown: as in Shared.
        worst: the closest pairs of looks; where no pair is one picture, the pair with the nearest pHash.
    """

    nearest_bits: int | None
    pairs: int
    photos: int
    known: int
    unknown: int
    worst: tuple[PhotoPair, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that was found between two sides: `reference` learns or chooses, `judged` is judged against it.

    `not_attributable` counts photos of both sides whose author is a service (Street View): neither shared nor unknown.
    """

    reference: str
    judged: str
    reference_photos: int
    judged_photos: int
    authors: Shared
    not_attributable: int
    sequences: Shared
    groups: Shared
    panoramas: Shared
    bytes: Shared
    near: Near
    alike: Alike


@dataclass(frozen=True, slots=True)
class Rows:
    """A table's rows as arrays (N,), ready to be compared; `degrees` is (N, 2) with NaN where the place is unknown."""

    photo_id: pa.ChunkedArray
    sides: NDArray[np.int64]
    authors: Codes
    service: NDArray[np.bool_]
    sequences: Codes
    groups: Codes
    panoramas: Codes
    bytes: Codes
    degrees: NDArray[np.float64]
    phash: NDArray[np.uint64]
    dhash: NDArray[np.uint64]
    hashed: NDArray[np.bool_]


def rows_of(table: pa.Table, services: Sequence[str], traits: Mapping[str, ProviderTraits]) -> Rows:
    """Return the rows of a manifest's table, or of one that lacks columns: all of theirs are unknown then.

    Without a column `dhash` looks are compared by pHash alone; with it a photo needs both to be judged.

    Args:
        table: the rows.
        services: authors that are no persons (see `people`), beside those of services whose traits say so.
        traits: of the services, by the first part of a photo_id.
    """
    count = table.num_rows
    blank = Codes(np.full(count, -1, dtype=np.int64), [])
    names = ("author_id", "sequence_id", "group_id", "sha256", "md5")
    of = {name: codes(table[name]) for name in names if name in table.column_names}
    authors = of.get("author_id", blank)
    persons = people(authors, [*services, *(f"{name}:*" for name, trait in traits.items() if trait.author_is_service)])
    phash, phash_known = _hashes(table, "phash")
    dhash, dhash_known = _hashes(table, "dhash")
    return Rows(
        photo_id=table["photo_id"],
        sides=sides_of(table),
        authors=persons,
        service=(authors.code >= 0) & (persons.code < 0),
        sequences=of.get("sequence_id", blank),
        groups=of.get("group_id", blank),
        panoramas=_panoramas(table["photo_id"], traits),
        bytes=of.get("sha256", of.get("md5", blank)),
        degrees=np.column_stack([_degrees(table, name) for name in ("latitude", "longitude")]),
        phash=phash,
        dhash=dhash,
        hashed=phash_known & dhash_known if "dhash" in table.column_names else phash_known,
    )


def _panoramas(photo_ids: pa.ChunkedArray, traits: Mapping[str, ProviderTraits]) -> Codes:
    """Return `provider:panorama` of each photo that is a view of one.

    A manifest may come from anybody: its patterns run in RE2, in time that grows with the rows only.

    Raises:
        DataError: a pattern is none, or has no group.
    """
    found = pa.nulls(len(photo_ids), pa.string())
    ids = photo_ids.combine_chunks()
    for name, pattern in ((name, trait.panorama) for name, trait in traits.items() if trait.panorama):
        try:
            views = pc.and_(pc.starts_with(ids, f"{name}:"), pc.match_substring_regex(ids, f"^(?:{pattern})"))
            panoramas = pc.replace_substring_regex(ids, f"(?s)^(?:{pattern}).*$", r"\1")
        except pa.ArrowException as error:
            raise DataError(
                f"provider_traits of {name}: panorama {pattern[:60]!r} is no pattern with a group"
            ) from error
        found = pc.if_else(views, pc.binary_join_element_wise(name, panoramas, ":"), found)
    return codes(found)


def _degrees(table: pa.Table, name: str) -> NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def _hashes(table: pa.Table, name: str) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return a column of 16 hex digits as (N,) numbers, 0 where missing, and where it is known."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.uint64), np.zeros(table.num_rows, dtype=np.bool_)
    texts = pc.fill_null(table[name], "0" * 16).to_pylist()
    return as_bits(texts).view(np.uint64).reshape(len(texts)), np.asarray(pc.is_valid(table[name]), dtype=np.bool_)


def unknown(rows: Rows) -> dict[str, int]:
    """Return how many photos of all sides cannot be judged, by what is not known of them."""
    return {
        "author": int(((rows.authors.code < 0) & ~rows.service).sum()),
        "place": int(np.isnan(rows.degrees).any(axis=1).sum()),
        "hashes": int((~rows.hashed).sum()),
        "bytes": int((rows.bytes.code < 0).sum()),
    }


def compare(rows: Rows, reference: str, judged: str, min_distance_m: float, radius: int) -> Comparison:
    """Measure what two sides have in common; each has at least one photo."""
    r, j = SPLITS.index(reference), SPLITS.index(judged)
    here, there = rows.sides == j, rows.sides == r
    return Comparison(
        reference=reference,
        judged=judged,
        reference_photos=int(there.sum()),
        judged_photos=int(here.sum()),
        authors=_shared(rows, rows.authors, r, j, apart_from=rows.service),
        not_attributable=int((rows.service & (here | there)).sum()),
        sequences=_shared(rows, rows.sequences, r, j),
        groups=_shared(rows, rows.groups, r, j),
        panoramas=_shared(rows, rows.panoramas, r, j),
        bytes=_shared(rows, rows.bytes, r, j),
        near=_near(rows, there, here, min_distance_m),
        alike=_alike(rows, there, here, radius),
    )


def _shared(rows: Rows, of: Codes, r: int, j: int, apart_from: NDArray[np.bool_] | None = None) -> Shared:
    found = by_side(of, rows.sides)
    both = np.flatnonzero((found[r] > 0) & (found[j] > 0))
    order = both[np.lexsort((both, -found[r][both], -found[j][both]))][:_WORST]
    unknown = (of.code < 0) & ((rows.sides == r) | (rows.sides == j))
    if apart_from is not None:
        unknown &= ~apart_from
    return Shared(
        values=len(both),
        photos=int(found[j][both].sum()),
        known=int(found[j].sum()) if found[r].any() else 0,
        unknown=int(unknown.sum()),
        worst=tuple(
            SharedValue(
                of.values[value],
                int(found[r][value]),
                int(found[j][value]),
                *(_first(rows, of, value, s) for s in (r, j)),
            )
            for value in order
        ),
    )


def _first(rows: Rows, of: Codes, value: int, side: int) -> str:
    return _name(rows, int(np.argmax((of.code == value) & (rows.sides == side))))


def _name(rows: Rows, row: int) -> str:
    return str(rows.photo_id[row].as_py())


def _near(rows: Rows, there: NDArray[np.bool_], here: NDArray[np.bool_], min_distance_m: float) -> Near:
    placed = ~np.isnan(rows.degrees).any(axis=1)
    unknown = int((~placed & (here | there)).sum())
    reference, judged = np.flatnonzero(there & placed), np.flatnonzero(here & placed)
    if not len(reference) or not len(judged):
        return Near(None, 0, 0, unknown, {})
    found = nearest_places(rows.degrees[reference], rows.degrees[judged])
    worst = np.argsort(found.metres, kind="stable")[:_WORST]
    return Near(
        nearest_m=float(found.metres.min()),
        photos=int((found.metres < min_distance_m).sum()),
        known=len(judged),
        unknown=unknown,
        quantiles_m={f"{share:g}": float(np.quantile(found.metres, share)) for share in _QUANTILES},
        worst=tuple(
            PhotoPair(_name(rows, reference[found.position[i]]), _name(rows, judged[i]), metres=float(found.metres[i]))
            for i in worst
        ),
    )


def _alike(rows: Rows, there: NDArray[np.bool_], here: NDArray[np.bool_], radius: int) -> Alike:
    unknown = int((~rows.hashed & (here | there)).sum())
    reference, judged = np.flatnonzero(there & rows.hashed), np.flatnonzero(here & rows.hashed)
    if not len(reference) or not len(judged):
        return Alike(None, 0, 0, 0, unknown)
    theirs, ours = (looks(rows.phash[side], rows.dhash[side]) for side in (reference, judged))
    found = resemblance(theirs, ours, radius, radius + DHASH_SLACK, _WORST)
    return Alike(
        nearest_bits=found.nearest_bits,
        pairs=found.pairs,
        photos=found.photos,
        known=len(judged),
        unknown=unknown,
        worst=tuple(
            PhotoPair(
                _name(rows, reference[pair.reference]),
                _name(rows, judged[pair.judged]),
                phash_bits=pair.phash_bits,
                dhash_bits=pair.dhash_bits,
            )
            for pair in found.closest
        ),
    )
