"""Rows of a foreign data set in memory, as a table that is read like any other file's."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from collector.errors import DataError
from collector.manifest.read_table import Source, open_table


@dataclass(frozen=True, slots=True)
class Records:
    """What a data set says of its photos.

    Attributes:
        path: where it lies.
        rows: each a mapping of the data set's own names to texts, numbers or None.
        places: where each row stands, for errors.
        root: the folder that the rows' files lie below.
    """

    path: Path
    rows: Sequence[Mapping[str, Any]]
    places: Callable[[int], str]
    root: Path | None = None

    def source(self) -> Source:
        """Return them as an opened table of texts.

        Raises:
            DataError: there are none.
        """
        if not self.rows:
            raise DataError(f"{self.path}: holds no photo of this kind")
        names = tuple(dict.fromkeys(name for row in self.rows for name in row))

        def read(columns: Sequence[str]) -> pa.Table:
            arrays = [pa.array([as_text(row.get(name)) for row in self.rows], pa.string()) for name in columns]
            return pa.table(arrays, names=list(columns))

        return Source(self.path, names, read, self.places)


def read_records(path: Path) -> Records:
    """Return the rows of a CSV, TSV, JSON Lines or Parquet file.

    Raises:
        UsageError: there is no such file.
        DataError: it is empty or cannot be read.
    """
    source = open_table(path)
    names = list(dict.fromkeys(name for name in source.names if name))
    table = source.read(names)
    return Records(path, table.to_pylist(), source.place)


def as_text(value: Any) -> str | None:
    """Return a value as a text; None for what is empty or not a number."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # ids become floats where one is missing
    text = str(value).strip()
    return text.encode("utf-8", "replace").decode() or None if text not in SPOILT else None


SPOILT = ("#NAME?", "#N/A", "#REF!", "#VALUE!")
"""What spreadsheet programs leave where they spoilt a cell."""
