"""The rows of a submission: read from a file, checked one by one against a manifest, brought into its order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.errors import DataError, did_you_mean
from collector.manifest.manifest import Manifest
from collector.manifest.read_table import Source, open_table
from collector.records import SPLITS

PHOTO, LABEL = "photo_id", "city"
"""The names of the columns that are no city's."""

_NAMED = 5  # of what is wrong; the rest is counted
_TOLERANCE = 1e-3  # of a photo's sum, as of saved predictions (`results.are_probabilities`)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a file says of every test photo.

    Attributes:
        photo_ids: the manifest's test photos, in its order.
        columns: the file's columns that were read beside `photo_id`: the cities, or `city` alone.
        probabilities: (N, C) float64, classes in the manifest's order; of a label 1, and 0 elsewhere.
    """

    photo_ids: list[str]
    columns: list[str]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong with the rows where `rows` (N,) is true; `said` tells it of one of them."""

    rows: NDArray[np.bool_]
    said: Callable[[int], str]


def read_answers(path: Path, manifest: Manifest) -> Answers:
    """Return a file's answers, one for every test photo.

    Raises:
        UsageError: there is no such file.
        DataError: as for `submissions.read_submission`.
    """
    source = open_table(path)
    cities = [city.slug for city in manifest.header.cities]
    columns = _columns(source, cities)
    table = source.read([PHOTO, *columns])
    if not table.num_rows:
        raise DataError(f"{path}: has no rows")
    ids = _text(source, table, PHOTO)
    if columns == [LABEL]:
        values, faults = _from_labels(_text(source, table, LABEL), cities)
    else:
        values, faults = _from_numbers(source, table, columns)
    expected = [photo.photo_id for photo in manifest.photos("test")]
    missing = sorted(set(expected).difference(found for found in ids if found is not None))
    _refuse(source, ids, [*_wrong_ids(source, ids, manifest), *faults], missing)
    row = {photo_id: index for index, photo_id in enumerate(ids)}
    return Answers(expected, columns, values[[row[photo_id] for photo_id in expected]])


def _columns(source: Source, cities: list[str]) -> list[str]:
    """Return the columns to read beside the photo's: one for each city in their order, or that of the labels.

    Raises:
        DataError: one is missing, there twice, or unknown.
    """
    for name in source.names:
        if (times := source.names.count(name)) > 1:
            raise DataError(f"{source.path}: column {name[:60]!r} is there {times} times; once is meant")
    if PHOTO not in source.names:
        raise DataError(
            f"{source.path}: has no column {PHOTO}{did_you_mean(PHOTO, source.names)}; it has {_some(source.names)}"
        )
    given = [name for name in source.names if name != PHOTO]
    if given == [LABEL]:
        return given
    if LABEL in given and LABEL not in cities:
        raise DataError(
            f"{source.path}: give the column {LABEL} or a column for each city, not both: it has {_some(given)}"
        )
    for name in given:
        if name not in cities:
            raise DataError(
                f"{source.path}: column {name[:60]!r} is no city of the manifest{did_you_mean(name, cities)}"
            )
    if absent := [name for name in cities if name not in given]:
        raise DataError(
            f"{source.path}: has no column for {_some(absent)}; give each city's probability, 0 where there is none, "
            f"or the answer alone in a column {LABEL}"
        )
    return cities


def _text(source: Source, table: pa.Table, name: str) -> list[str | None]:
    kind = table[name].type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(value) or pa.types.is_large_string(value)):
        raise DataError(f"{source.path}: column {name} holds {kind}, not text")
    texts: list[str | None] = table[name].to_pylist()
    return texts


def _from_labels(labels: list[str | None], cities: list[str]) -> tuple[NDArray[np.float64], list[_Fault]]:
    index = {city: number for number, city in enumerate(cities)}
    known = np.array([index.get(label, -1) if label is not None else -1 for label in labels])

    def said(row: int) -> str:
        label = labels[row]
        return (
            "is missing" if label is None else f"{label[:60]!r} is no city of the manifest{did_you_mean(label, cities)}"
        )

    return np.eye(len(cities))[known], [_Fault(known < 0, lambda row: f"column {LABEL}: {said(row)}")]


def _from_numbers(source: Source, table: pa.Table, columns: list[str]) -> tuple[NDArray[np.float64], list[_Fault]]:
    values = np.stack([_numbers(source, table[name], name) for name in columns], axis=1)
    with np.errstate(invalid="ignore"):  # inf - inf
        sums = values.sum(axis=1)
        whole = np.abs(sums - 1) <= _TOLERANCE
    wrong = np.logical_not((values >= 0) & (values <= 1 + _TOLERANCE))

    def first(row: int) -> str:
        column = int(wrong[row].argmax())
        seen = table[columns[column]][row].as_py()
        rule = "is missing" if seen is None else f"{str(seen)[:40]!r} is no probability from 0 to 1"
        return f"column {columns[column]}: {rule}"

    return values, [
        _Fault(np.any(wrong, axis=1), first),
        _Fault(np.logical_not(whole), lambda row: f"its probabilities sum to {sums[row]:.6g}, not to 1"),
    ]


def _numbers(source: Source, column: pa.ChunkedArray, name: str) -> NDArray[np.float64]:
    """Return a column as float64, NaN for what is no number."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        trimmed = pc.utf8_trim_whitespace(column)
        # What Arrow's cast would refuse for the whole column; it takes any spelling of NaN and infinity.
        number = pc.match_substring_regex(trimmed, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$")
        column = pc.if_else(number, pc.utf8_ltrim(trimmed, "+"), None)
    elif not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        raise DataError(f"{source.path}: column {name} holds {kind}, not numbers")
    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
    return values


def _wrong_ids(source: Source, ids: list[str | None], manifest: Manifest) -> list[_Fault]:
    side: Mapping[str, str] = {photo.photo_id: of for of in SPLITS for photo in manifest.photos(of)}
    first: dict[str, int] = {}
    for row, photo_id in enumerate(ids):
        if photo_id is not None:
            first.setdefault(photo_id, row)
    repeated = np.array([photo_id is not None and first[photo_id] != row for row, photo_id in enumerate(ids)])
    foreign = np.array([photo_id is None or side.get(photo_id) != "test" for photo_id in ids])

    def said(row: int) -> str:
        photo_id = ids[row]
        if photo_id is None:
            return "column photo_id: is missing"
        of = side.get(photo_id)
        return f"is a {of} photo, not a test photo" if of else "is no photo of the manifest"

    def said_again(row: int) -> str:
        return f"is there already in {source.place(first[str(ids[row])])}"

    return [_Fault(foreign, said), _Fault(repeated, said_again)]


def _refuse(source: Source, ids: list[str | None], faults: list[_Fault], missing: list[str]) -> None:
    """Say what is wrong: of each row the first fault, the first five of them in full, and the test photos without a row.

    Raises:
        DataError: something is.
    """
    rows = np.flatnonzero(np.any([fault.rows for fault in faults], axis=0)).tolist()
    parts = []
    for row in rows[:_NAMED]:
        fault = next(fault for fault in faults if fault.rows[row])
        photo_id = ids[row]
        name = "" if photo_id is None else f" (photo {photo_id[:80]!r})"
        parts.append(f"{source.place(row)}{name}: {fault.said(row)}")
    if len(rows) > _NAMED:
        parts.append(f"and {len(rows) - _NAMED} more wrong rows")
    if missing:
        parts.append(f"test photos without a row, {len(missing)}: {_some([repr(name) for name in missing])}")
    if parts:
        raise DataError(f"{source.path}: {'; '.join(parts)}; nothing was scored")


def _some(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(name[:80] for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
