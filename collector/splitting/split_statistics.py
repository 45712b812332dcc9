"""Counts over the rows of a split: by city, licence and provider, what is missing, and how few authors took it all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.manifest.schema import FORMATS
from collector.records import SPLITS


@dataclass(frozen=True, slots=True)
class Codes:
    """A column as numbers: `code` (N,) is the position in `values`, -1 where the value is missing."""

    code: NDArray[np.int64]
    values: list[str]


def codes(column: pa.Array | pa.ChunkedArray) -> Codes:
    """Return a column of strings as numbers."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found = whole.dictionary_encode()
    return Codes(np.asarray(pc.fill_null(found.indices, -1), dtype=np.int64), found.dictionary.to_pylist())


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
    return {name: found for name, column in columns.items() if (found := _counted(codes(column), sides))}


def _counted(of: Codes, sides: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    found = by_side(of, sides)
    order = sorted(range(len(of.values)), key=lambda i: (-int(found[:, i].sum()), of.values[i]))
    return {of.values[i]: dict(zip(SPLITS, found[:, i].tolist(), strict=True)) for i in order}


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
    whole = [replace(found, city=None) for found in _concentrations(authors, everywhere, sides)]
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
