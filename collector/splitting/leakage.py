"""What a split's sides hold, and two of them against each other: shared authors, groups, bytes, panoramas; near; alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from collector.curating.hamming import Pairs, as_bits, pairs_between
from collector.curating.partitions import pairs_across_partitions
from collector.errors import DataError
from collector.executors.local import Work
from collector.geo import distances_km, unit_vectors
from collector.manifest.photo_rows import Texts
from collector.manifest.schema import FORMATS
from collector.records import DHASH_SLACK, SPLITS, ProviderTraits

_WORST = 5  # examples that are kept of each finding
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 1.0)

_WIDER = 4  # bits by which the search for the nearest pHash is widened


@dataclass(frozen=True, slots=True)
class Codes:
    """A column as numbers: `code` (N,) is the position in `values`, -1 where the value is missing."""

    code: NDArray[np.int64]
    values: Sequence[str]


def codes(column: pa.Array | pa.ChunkedArray) -> Codes:
    """Return a column of strings as numbers."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    return Codes(np.asarray(pc.fill_null(encoded.indices, -1), dtype=np.int64), Texts(encoded.dictionary))


def sides_of(table: pa.Table) -> NDArray[np.int64]:
    """Return the side of each row (N,) as its position in SPLITS."""
    return np.asarray(pc.index_in(table["split"], pa.array(SPLITS)), dtype=np.int64)


def by_side(of: Codes, sides: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many photos of each side have each value: (sides, values) counts."""
    known = of.code >= 0
    size = len(of.values)
    counts = np.bincount(sides[known] * size + of.code[known], minlength=len(SPLITS) * size)
    return counts.reshape(len(SPLITS), size)


def counts(table: pa.Table, sides: NDArray[np.int64]) -> dict[str, dict[str, dict[str, int]]]:
    """Return photos by city, licence and provider, and by side; those with the most photos first.

    Only of columns that the table has; the provider is what precedes the colon of a photo_id.
    """
    columns = {name: table[of] for name, of in (("city", "city"), ("licence", "license")) if of in table.column_names}
    providers = pc.extract_regex(table["photo_id"], r"^(?P<provider>[a-z0-9_-]+):")
    columns["provider"] = pc.struct_field(providers, "provider")
    return {name: of_value for name, column in columns.items() if (of_value := _counted(codes(column), sides))}


def _counted(of: Codes, sides: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    photos = by_side(of, sides)
    order = sorted(range(len(of.values)), key=lambda i: (-int(photos[:, i].sum()), of.values[i]))
    return {of.values[i]: dict(zip(SPLITS, photos[:, i].tolist(), strict=True)) for i in order}


def missing(table: pa.Table, sides: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    """Return how many values each column lacks, by side; columns that lack none are left out.

    So are those that came after format 1 and have no value at all: such a column is not there, and nothing needs it.
    """
    counts = {}
    for name in table.column_names:
        nulls = table[name].null_count
        if nulls and (name in FORMATS[1].columns or nulls < table.num_rows):
            lacking = np.bincount(sides[np.asarray(pc.is_null(table[name]))], minlength=len(SPLITS))
            counts[name] = dict(zip(SPLITS, lacking.tolist(), strict=True))
    return counts


@dataclass(frozen=True, slots=True)
class Concentration:
    """How the photos of a city (None: of all) on one side are spread over their authors.

    Attributes:
        photos: with an author that is known and a person.
        authors: who took them.
        top_author, top_share: who took the most, and which part of `photos`, 0 to 1.
        effective_authors: 1 / Σ pᵢ², pᵢ being the share of each author: so many authors of equal share would be as
            concentrated. It is the inverse of the Herfindahl index and Hill's number of order 2 (M. O. Hill, "Diversity and
            evenness", Ecology 54 (1973), 427-432).
    """

    city: str | None
    side: str
    photos: int
    authors: int
    top_author: str
    top_share: float
    effective_authors: float


def people(authors: Codes, services: Sequence[str]) -> Codes:
    """Return the authors without `services` (a `*` at the end matches anything): those count as missing here."""
    exact = {name for name in services if not name.endswith("*")}
    starts = tuple(name[:-1] for name in services if name.endswith("*"))
    service = np.array([value in exact or value.startswith(starts) for value in authors.values] + [False])
    return Codes(np.where(service[authors.code], -1, authors.code), authors.values)


def concentrations(authors: Codes, cities: Codes | None, sides: NDArray[np.int64]) -> list[Concentration]:
    """Return the concentration of authors of each side, over all cities first and then for each city that has any."""
    everywhere = Codes(np.zeros(len(sides), dtype=np.int64), [""])
    whole = [replace(of_all, city=None) for of_all in _concentrations(authors, everywhere, sides)]
    return [*whole, *(_concentrations(authors, cities, sides) if cities else [])]


def _concentrations(authors: Codes, cities: Codes, sides: NDArray[np.int64]) -> list[Concentration]:
    known = (authors.code >= 0) & (cities.code >= 0)
    size = max(1, len(authors.values))
    cell = cities.code[known] * len(SPLITS) + sides[known]
    pair, photos = np.unique(cell * size + authors.code[known], return_counts=True)
    cells = pair // size
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    rows = []
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(cells)], strict=False):
        city, side = divmod(int(cells[start]), len(SPLITS))
        share = photos[start:end] / photos[start:end].sum()
        rows.append(
            Concentration(
                city=cities.values[city],
                side=SPLITS[side],
                photos=int(photos[start:end].sum()),
                authors=end - start,
                top_author=authors.values[int(pair[start + int(share.argmax())]) % size],
                top_share=float(share.max()),
                effective_authors=float(1 / (share**2).sum()),
            )
        )
    return sorted(rows, key=lambda row: (str(row.city), SPLITS.index(row.side)))


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
        worst: the closest pairs of looks, those of the same bytes last, the closest of all among them; where no pair is one
            picture, the pair with the nearest pHash.
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
    panorama_ids = pa.nulls(len(photo_ids), pa.string())
    ids = photo_ids.combine_chunks()
    for name, pattern in ((name, trait.panorama) for name, trait in traits.items() if trait.panorama):
        try:
            views = pc.and_(pc.starts_with(ids, f"{name}:"), pc.match_substring_regex(ids, f"^(?:{pattern})"))
            panoramas = pc.replace_substring_regex(ids, f"(?s)^(?:{pattern}).*$", r"\1")
        except pa.ArrowException as error:
            raise DataError(
                f"provider_traits of {name}: panorama {pattern[:60]!r} is no pattern with a group"
            ) from error
        panorama_ids = pc.if_else(views, pc.binary_join_element_wise(name, panoramas, ":"), panorama_ids)
    return codes(panorama_ids)


def _degrees(table: pa.Table, name: str) -> NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def _hashes(table: pa.Table, name: str) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return a column of 16 hex digits as (N,) numbers, 0 where missing, and where it is known."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.uint64), np.zeros(table.num_rows, dtype=np.bool_)
    chunks = (as_bits(pc.fill_null(chunk, "0" * 16).to_pylist()) for chunk in table[name].chunks)
    bits = np.concatenate([np.empty((0, 8), np.uint8), *chunks])
    return bits.view(np.uint64).reshape(len(bits)), np.asarray(pc.is_valid(table[name]), dtype=np.bool_)


def unknown(rows: Rows) -> dict[str, int]:
    """Return how many photos of all sides cannot be judged, by what is not known of them."""
    return {
        "author": int(((rows.authors.code < 0) & ~rows.service).sum()),
        "place": int(np.isnan(rows.degrees).any(axis=1).sum()),
        "hashes": int((~rows.hashed).sum()),
        "bytes": int((rows.bytes.code < 0).sum()),
    }


def compare(
    rows: Rows, reference: str, judged: str, min_distance_m: float, radius: int, work: Work | None = None
) -> Comparison:
    """Measure what two sides have in common; each has at least one photo. Looks are compared by `work`, or in threads."""
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
        near=_nearest_places(rows, there, here, min_distance_m),
        alike=_alike(rows, there, here, radius, work),
    )


def _shared(rows: Rows, of: Codes, r: int, j: int, apart_from: NDArray[np.bool_] | None = None) -> Shared:
    photos = by_side(of, rows.sides)
    both = np.flatnonzero((photos[r] > 0) & (photos[j] > 0))
    order = both[np.lexsort((both, -photos[r][both], -photos[j][both]))][:_WORST]
    unknown = (of.code < 0) & ((rows.sides == r) | (rows.sides == j))
    if apart_from is not None:
        unknown &= ~apart_from
    return Shared(
        values=len(both),
        photos=int(photos[j][both].sum()),
        known=int(photos[j].sum()) if photos[r].any() else 0,
        unknown=int(unknown.sum()),
        worst=tuple(
            SharedValue(
                of.values[int(value)],
                int(photos[r][value]),
                int(photos[j][value]),
                *(_first(rows, of, value, s) for s in (r, j)),
            )
            for value in order
        ),
    )


def _first(rows: Rows, of: Codes, value: int, side: int) -> str:
    return _name(rows, int(np.argmax((of.code == value) & (rows.sides == side))))


def _name(rows: Rows, row: int) -> str:
    return str(rows.photo_id[row].as_py())


def _nearest_places(rows: Rows, there: NDArray[np.bool_], here: NDArray[np.bool_], min_distance_m: float) -> Near:
    placed = ~np.isnan(rows.degrees).any(axis=1)
    unknown = int((~placed & (here | there)).sum())
    reference, judged = np.flatnonzero(there & placed), np.flatnonzero(here & placed)
    if not len(reference) or not len(judged):
        return Near(None, 0, 0, unknown, {})
    nearest = nearest_places(rows.degrees[reference], rows.degrees[judged])
    worst = np.argsort(nearest.metres, kind="stable")[:_WORST]
    return Near(
        nearest_m=float(nearest.metres.min()),
        photos=int((nearest.metres < min_distance_m).sum()),
        known=len(judged),
        unknown=unknown,
        quantiles_m={f"{share:g}": float(np.quantile(nearest.metres, share)) for share in _QUANTILES},
        worst=tuple(
            PhotoPair(
                _name(rows, reference[nearest.position[i]]), _name(rows, judged[i]), metres=float(nearest.metres[i])
            )
            for i in worst
        ),
    )


def _alike(rows: Rows, there: NDArray[np.bool_], here: NDArray[np.bool_], radius: int, work: Work | None) -> Alike:
    unknown = int((~rows.hashed & (here | there)).sum())
    reference, judged = np.flatnonzero(there & rows.hashed), np.flatnonzero(here & rows.hashed)
    if not len(reference) or not len(judged):
        return Alike(None, 0, 0, 0, unknown)
    theirs, ours = (looks(rows.phash[side], rows.dhash[side]) for side in (reference, judged))
    alike = resemblance(theirs, ours, radius, radius + DHASH_SLACK, 20 * _WORST, work)

    def is_copy(pair: LookPair) -> bool:
        ours, theirs = rows.bytes.code[judged[pair.judged]], rows.bytes.code[reference[pair.reference]]
        return bool(ours == theirs >= 0)

    shown = sorted(alike.closest, key=is_copy)[:_WORST]  # what has the same bytes is told as such
    if alike.closest[0] not in shown:
        shown[-1] = alike.closest[0]
    return Alike(
        nearest_bits=alike.nearest_bits,
        pairs=alike.pairs,
        photos=alike.photos,
        known=len(judged),
        unknown=unknown,
        worst=tuple(
            PhotoPair(
                _name(rows, reference[pair.reference]),
                _name(rows, judged[pair.judged]),
                phash_bits=pair.phash_bits,
                dhash_bits=pair.dhash_bits,
            )
            for pair in shown
        ),
    )


# --- the nearest photo on the other side, by place and by look: exactly, within bounded memory


@dataclass(frozen=True, slots=True)
class Places:
    """For each place (N,) of one side the nearest place of the other: its position there, and metres to it."""

    position: NDArray[np.int64]
    metres: NDArray[np.float64]


def nearest_places(reference: NDArray[np.float64], judged: NDArray[np.float64]) -> Places:
    """Return the place of `reference` (M, 2) that is nearest to each one of `judged` (N, 2), by great-circle distance.

    Both hold latitude and longitude in degrees WGS84 and at least one row. The order of chords through the Earth is that
    of great circles, so a k-d tree of unit vectors finds the nearest; the distance to it is computed from the degrees.
    """
    # Equal places are one point: trees of thousands of equal points are slow.
    there, first = np.unique(_as_complex(reference), return_index=True)
    here, which = np.unique(_as_complex(judged), return_inverse=True)
    _, nearest = cKDTree(unit_vectors(there.real, there.imag)).query(unit_vectors(here.real, here.imag), workers=-1)
    km = distances_km(there[nearest].real, there[nearest].imag, here.real, here.imag)
    return Places(first[nearest].astype(np.int64)[which], 1000 * km[which])


def _as_complex(degrees: NDArray[np.float64]) -> NDArray[np.complex128]:
    # One number a place, which numpy sorts many times faster than rows.
    number: NDArray[np.complex128] = degrees[:, 0] + 1j * degrees[:, 1]
    return number


@dataclass(frozen=True, slots=True)
class Looks:
    """The different looks (pHash and dHash, (N,) each) of a side's photos: where each first occurs, and how often."""

    phash: NDArray[np.uint64]
    dhash: NDArray[np.uint64]
    first: NDArray[np.int64]
    photos: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LookPair:
    """Two photos by their positions in their sides, and how many bits of their hashes differ."""

    reference: int
    judged: int
    phash_bits: int
    dhash_bits: int


@dataclass(frozen=True, slots=True)
class Resemblance:
    """What the hashes of two sides have in common.

    Attributes:
        nearest_bits: the smallest pHash distance between photos of the two sides, 0 to 64.
        pairs: pairs of photos that resemble each other.
        photos: photos of the judged side that are part of one.
        closest: the closest such pairs of looks, at most as many as were asked for; where no pair resembles, the one pair
            whose pHash distance is the smallest.
    """

    nearest_bits: int
    pairs: int
    photos: int
    closest: tuple[LookPair, ...]


def looks(phash: NDArray[np.uint64], dhash: NDArray[np.uint64]) -> Looks:
    """Return the different looks among photos with these hashes (N,)."""
    order = np.lexsort((dhash, phash))
    p, d = phash[order], dhash[order]
    starts = np.flatnonzero(np.concatenate(([True], (p[1:] != p[:-1]) | (d[1:] != d[:-1]))))
    return Looks(p[starts], d[starts], order[starts], np.diff(np.append(starts, len(order))))


def resemblance(
    reference: Looks, judged: Looks, radius: int, dhash_radius: int, most: int = 5, work: Work | None = None
) -> Resemblance:
    """Compare every look of two sides; both have at least one.

    Two photos resemble each other when their pHashes differ in at most `radius` bits and their dHashes in at most
    `dhash_radius`. The pairs within the radius are found exactly (`hamming`); where there are none, the nearest is looked for
    within ever more bits: the few photos of which that is true make it cheap.
    """
    theirs, ours = _as_bytes(reference.phash), _as_bytes(judged.phash)
    pairs, met = 0, np.zeros(len(ours), dtype=np.bool_)
    nearest: list[tuple[int, ...]] = []
    closest: list[tuple[int, ...]] = []
    for reach in range(radius, 64 + _WIDER, _WIDER):
        for found in _within(theirs, ours, min(reach, 64), work):
            dhash = _bit_distance(reference.dhash[found.first], judged.dhash[found.second])
            of = np.column_stack((found.distance, dhash, found.second, found.first))
            nearest = _best([*nearest, *_least(of, 1)], 1)
            of = of[(found.distance <= radius) & (dhash <= dhash_radius)]
            pairs += int((judged.photos[of[:, 2]] * reference.photos[of[:, 3]]).sum())
            met[of[:, 2]] = True
            closest = _best([*closest, *_least(of, most)], most)
        if nearest:
            break
    return Resemblance(
        nearest_bits=nearest[0][0],
        pairs=pairs,
        photos=int(judged.photos[met].sum()),
        closest=tuple(
            LookPair(int(reference.first[r]), int(judged.first[j]), p, d) for p, d, j, r in closest or nearest
        ),
    )


def _within(theirs: NDArray[np.uint8], ours: NDArray[np.uint8], radius: int, work: Work | None) -> Iterator[Pairs]:
    if work is None:
        return pairs_between(theirs, ours, radius)
    return pairs_across_partitions(theirs, ours, radius, work)


def _least(rows: NDArray[np.int64], most: int) -> list[tuple[int, ...]]:
    """Return the first rows (N, 4) in their order; only those that may be among them are sorted."""
    if len(rows) > most:
        rows = rows[rows[:, 0] <= np.partition(rows[:, 0], most - 1)[most - 1]]
    return [tuple(row) for row in rows[np.lexsort(rows.T[::-1])[:most]].tolist()]


def _best(rows: list[tuple[int, ...]], most: int) -> list[tuple[int, ...]]:
    return sorted(rows)[:most]


def _bit_distance(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    bits: NDArray[np.int64] = np.bitwise_count(a ^ b).astype(np.int64)
    return bits


def _as_bytes(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), 8)
