"""Photos as Arrow columns: a sequence whose photos are made as they are asked for, so that millions fit into memory.

A `Photo` takes about 1,300 bytes; its row here about 450, and 270 without the texts that only people read.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from operator import attrgetter
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.manifest.schema import ARROW
from collector.records import PHOTO_FIELDS, Photo

_BATCH = 8192  # photos that are made at a time

_SCHEMA = pa.schema([pa.field(of.name, of.type) for of in ARROW])


class Texts(Sequence[str]):
    """The texts of an Arrow array, made as they are asked for."""

    def __init__(self, array: pa.Array) -> None:
        """Take the array."""
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, position: Any) -> Any:
        """Return a text, or those of a slice."""
        return self._array[position].as_py() if isinstance(position, int) else self._array[position].to_pylist()

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BATCH):
            yield from self._array.slice(start, _BATCH).to_pylist()


class PhotoRows(Sequence[Photo]):
    """Photos sorted by photo_id.

    Attributes:
        table: the rows, with the columns of `schema.ARROW`.
    """

    def __init__(self, table: pa.Table) -> None:
        """Take rows with the columns of a manifest, sorted by photo_id."""
        self.table = table

    @classmethod
    def of(cls, photos: Iterable[Photo]) -> "PhotoRows":
        """Return photos in any order as rows; rows as they are."""
        if isinstance(photos, PhotoRows):
            return photos
        ordered = sorted(photos, key=attrgetter("photo_id"))
        return cls.of_values(map(attrgetter(*PHOTO_FIELDS), ordered))

    @classmethod
    def of_values(cls, rows: Iterable[Sequence[object]]) -> "PhotoRows":
        """Return rows of values in the order of PHOTO_FIELDS, sorted by photo_id already."""
        rest = iter(rows)
        batches = []
        while block := list(islice(rest, _BATCH)):
            columns = zip(*block, strict=True)
            arrays = [pa.array(_in_utc(values), of.type) for of, values in zip(_SCHEMA, columns, strict=True)]
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA))
        return cls(pa.Table.from_batches(batches, schema=_SCHEMA))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Photo]:
        for batch in self.table.to_batches(max_chunksize=_BATCH):
            yield from map(Photo, *(column.to_pylist() for column in batch.columns))

    @overload
    def __getitem__(self, position: int) -> Photo: ...
    @overload
    def __getitem__(self, position: slice) -> "PhotoRows": ...
    def __getitem__(self, position: int | slice) -> "Photo | PhotoRows":
        if isinstance(position, slice):
            return PhotoRows(self.table.take(pa.array(range(len(self))[position])))
        at = range(len(self))[position]
        return next(iter(PhotoRows(self.table.slice(at, 1))))

    def where(self, chosen: NDArray[np.bool_]) -> "PhotoRows":
        """Return the photos whose place in `chosen` (N,) is true; of all no copy is made."""
        return self if chosen.all() else PhotoRows(self.table.filter(pa.array(chosen)))

    def ids(self) -> Texts:
        """Return the photo_ids."""
        return Texts(self.table["photo_id"].cast(pa.large_string()).combine_chunks())

    def replaced(self, **columns: Iterable[str]) -> "PhotoRows":
        """Return the photos with other values in columns of texts."""
        table = self.table
        for name, values in columns.items():
            rest, of, chunks = iter(values), _SCHEMA.field(name), []
            while block := list(islice(rest, _BATCH)):
                chunks.append(pa.array(block, of.type))
            table = table.set_column(table.column_names.index(name), of, pa.chunked_array(chunks, of.type))
        return PhotoRows(table)

    def texts(self, name: str) -> Iterator[str | None]:
        """Yield the values of a column of texts."""
        for chunk in self.table[name].chunks:
            for start in range(0, len(chunk), _BATCH):
                yield from chunk.slice(start, _BATCH).to_pylist()

    def is_known(self, name: str) -> NDArray[np.bool_]:
        """Return (N,) where a column has a value."""
        return np.asarray(pc.is_valid(self.table[name]), dtype=np.bool_)

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers as (N,) floats, NaN where missing."""
        return np.asarray(self.table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)

    def whole(self, name: str) -> NDArray[np.int64]:
        """Return a column of whole numbers as (N,), 0 where missing; times are microseconds since 1970 UTC."""
        return np.asarray(pc.fill_null(self.table[name].cast(pa.int64()), 0), dtype=np.int64)

    def coded(self, name: str) -> tuple[NDArray[np.int64], Texts]:
        """Return a column of texts as numbers (N,), -1 where missing, and what each number stands for."""
        chunks = self.table[name].dictionary_encode().chunks  # of one dictionary
        parts = [np.asarray(pc.fill_null(chunk.indices, -1), dtype=np.int64) for chunk in chunks]
        values = chunks[0].dictionary if chunks else pa.array([], pa.string())
        return np.concatenate([np.empty(0, np.int64), *parts]), Texts(values)

    def hashes(self, name: str) -> NDArray[np.uint8]:
        """Return a column of 16 hex digits as (N, 8) bytes, 0 where missing."""
        parts = [np.empty((0, 8), np.uint8)]
        for chunk in self.table[name].chunks:
            digits = "".join(pc.fill_null(chunk, "0" * 16).to_pylist())
            parts.append(np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, 8))
        return np.concatenate(parts)


def values_of(photos: Sequence[Photo], *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield some texts of each photo; of rows, without making the photos."""
    if isinstance(photos, PhotoRows):
        return zip(*(photos.texts(name) for name in names), strict=True)
    return (tuple(getattr(photo, name) for name in names) for photo in photos)


def _in_utc(values: Sequence[object]) -> list[object]:
    # Arrow drops the offset of other zones once pandas' conversions are registered (seen with pyarrow 26.0.1).
    return [value.astimezone(UTC) if isinstance(value, datetime) else value for value in values]
