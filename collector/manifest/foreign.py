"""Read the split of a data set that t15 did not make: a CSV, TSV, JSON Lines or Parquet file whose column tells the side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.errors import DataError, UsageError, did_you_mean
from collector.manifest.read_table import Source, open_table

_OTHERS: dict[str, tuple[str, ...]] = {
    "photo_id": ("id", "image_id", "img_id", "image", "img", "filename", "file_name", "file", "path"),
    "split": ("subset", "fold", "partition", "set", "side"),
    "city": ("label", "class", "city_name", "category"),
    "latitude": ("lat",),
    "longitude": ("lon", "lng", "long"),
    "author_id": ("author", "user_id", "user", "owner", "owner_id", "uploader", "photographer", "nsid"),
    "sequence_id": ("sequence", "sequence_key", "sequence_uuid"),
    "sha256": ("sha_256",),
    "md5": (),
    "phash": ("p_hash",),
    "dhash": ("d_hash",),
    "license": ("licence", "license_id"),
    "group_id": ("group",),
}

NAMES = {name: (name, *others) for name, others in _OTHERS.items()}
"""Columns that an audit uses, by their names in `schema.COLUMNS` (and `md5`, which manifests have no column for), and what
other data sets call them: the first name that a file has is taken."""

SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
"""What other data sets call the sides; case and blanks around do not count."""

# How tables write a number that is not known. In text only an empty cell is missing: Nan is a city, and Null a name.
_NO_NUMBER = pa.array(["", "nan", "na", "n/a", "null", "none"])
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_HEX_DIGITS = {"sha256": 64, "md5": 32, "phash": 16, "dhash": 16}
_RANGE = {"latitude": 90, "longitude": 180}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file's rows under t15's names.

    Attributes:
        path: of the file.
        table: the columns that were found, named as in NAMES: `latitude` and `longitude` as numbers, all others as text.
            `split` is always there, `photo_id` too: `record N`, counted from 1, where the file has none.
        columns: t15's name of a column to the file's.
    """

    path: Path
    table: pa.Table
    columns: dict[str, str]


def read_foreign(path: Path, columns: Mapping[str, str] | None = None) -> Foreign:
    """Return the rows of a file of any kind with a split column; `columns` maps names in NAMES to the file's.

    Columns that are not given are guessed from their names. The place 0, 0, which is what programs write that know none, is
    not known; ids are compared by `records.normal_id`.

    Raises:
        UsageError: there is no such file, or a column is named that does not exist.
        DataError: the file or a value is wrong; the message names the column and the line (as in a text editor), or the
            row of a Parquet file, counted from 0.
    """
    given = {name: of.strip() for name, of in (columns or {}).items()}
    for name in given:
        if name not in NAMES:
            raise UsageError(f"column {name!r} is not one of {', '.join(NAMES)}{did_you_mean(name, NAMES)}")
    source = open_table(path)
    chosen = _chosen(source, given)
    raw = source.read(list(dict.fromkeys(chosen.values())))
    if not raw.num_rows:
        raise DataError(f"{path}: has no rows")
    values = _Values(source, chosen, raw)
    table = {name: values.numbers(name) if name in _RANGE else values.text(name) for name in chosen}
    if "latitude" in table:
        values.check_places(table)
        table.update(_known_places(table["latitude"], table["longitude"]))
    table["split"] = values.sides(table["split"])
    if "photo_id" in chosen:
        values.check_ids(table["photo_id"])
    else:
        table["photo_id"] = pa.chunked_array([[f"record {number}" for number in range(1, raw.num_rows + 1)]])
    return Foreign(path, pa.table({name: table[name] for name in NAMES if name in table}), chosen)


def _chosen(source: Source, given: Mapping[str, str]) -> dict[str, str]:
    """Return which of the file's columns is which of ours.

    Raises:
        UsageError: a column is given that the file does not have.
        DataError: there is no split column, half a place, or a column twice.
    """
    for name, of in given.items():
        if of not in source.names:
            raise UsageError(
                f"{source.path}: has no column {of[:60]!r} to be {name}{did_you_mean(of, source.names)}; {_held(source)}"
            )
    plain = {name.strip().casefold().replace(" ", "_").replace("-", "_"): name for name in reversed(source.names)}
    guessed = {name: plain[found[0]] for name, words in NAMES.items() if (found := [w for w in words if w in plain])}
    chosen = {**guessed, **given}
    for name, of in chosen.items():
        if source.names.count(of) > 1:
            raise DataError(
                f"{source.path}: column {of[:60]!r} is there {source.names.count(of)} times: which is {name}?"
            )
    if "split" not in chosen:
        raise DataError(f"{source.path}: no column tells the side; name it with --column split=NAME; {_held(source)}")
    for one, other in (("latitude", "longitude"), ("longitude", "latitude")):
        if one in chosen and other not in chosen:
            raise DataError(
                f"{source.path}: column {chosen[one]} is a {one}, but there is no {other}; "
                f"name it with --column {other}=NAME; {_held(source)}"
            )
    return {name: chosen[name] for name in NAMES if name in chosen}


def _held(source: Source) -> str:
    shown = ", ".join(name[:60] for name in source.names[:20])
    return f"it has {shown}{', …' if len(source.names) > 20 else ''}"


def _known_places(latitude: pa.ChunkedArray, longitude: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    nowhere = pc.and_(pc.equal(latitude, 0.0), pc.equal(longitude, 0.0))
    none = pa.scalar(None, pa.float64())
    return {
        "latitude": pc.if_else(nowhere, none, latitude),
        "longitude": pc.if_else(nowhere, none, longitude),
    }


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of floats as integers where all are whole, NaN as null: ids become floats where one is missing."""
    if not pa.types.is_floating(column.type):
        return column
    column = column.cast(pa.float64())
    column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    largest = pc.max(pc.abs(column)).as_py()
    is_whole = largest is None or (largest < 2**63 and pc.all(pc.equal(pc.round(column), column)).as_py())
    return column.cast(pa.int64(), safe=False) if is_whole else column


@dataclass(frozen=True, slots=True)
class _Values:
    """The values of a file, checked column by column."""

    source: Source
    chosen: Mapping[str, str]
    raw: pa.Table

    def fail(self, name: str, row: int, rule: str) -> NoReturn:
        value = self.raw[self.chosen[name]][row].as_py()
        seen = "" if value is None else f"{repr(value)[:60]} "
        raise DataError(f"{self.source.path}: {self.source.place(row)}, column {self.chosen[name][:60]}: {seen}{rule}")

    def require(self, name: str, good: pa.ChunkedArray, rule: str) -> None:
        """Fail at the first row where `good` is false; a null is good."""
        row = pc.index(good, False).as_py()
        if row >= 0:
            self.fail(name, row, rule)

    def text(self, name: str) -> pa.ChunkedArray:
        """Return a column as text, blanks around cut off; null where nothing is left."""
        column = _whole(self.raw[self.chosen[name]])
        try:
            column = pc.utf8_trim_whitespace(column.cast(pa.string()))
        except (pa.ArrowException, UnicodeError) as error:
            raise DataError(
                f"{self.source.path}: column {self.chosen[name][:60]}: cannot be read as text (it is of type {column.type})"
            ) from error
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        if name.endswith("_id"):
            column = pc.utf8_normalize(column, form="NFC")  # as records.normal_id
        if name in _HEX_DIGITS:
            column = pc.utf8_lower(column)
            digits = _HEX_DIGITS[name]
            self.require(
                name, pc.match_substring_regex(column, f"^[0-9a-f]{{{digits}}}$"), f"must be {digits} hex digits"
            )
        return column

    def numbers(self, name: str) -> pa.ChunkedArray:
        """Return a column of degrees; null where it is not known."""
        column = self.raw[self.chosen[name]]
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            column = self.text(name)
            column = pc.if_else(pc.is_in(pc.utf8_lower(column), _NO_NUMBER), pa.scalar(None, pa.string()), column)
            column = self.source.with_points(column)
            rule = "is no number (degrees with a decimal point, such as 41.0082)"
            self.require(name, pc.match_substring_regex(column, _NUMBER), rule)
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        limit = _RANGE[name]
        good = pc.less_equal(pc.abs(column), float(limit))
        self.require(name, good, f"must be from -{limit} to {limit}")
        return column

    def check_places(self, table: Mapping[str, pa.ChunkedArray]) -> None:
        known = {name: pc.is_valid(table[name]) for name in _RANGE}
        for one, other in (("latitude", "longitude"), ("longitude", "latitude")):
            both = pc.or_(known[one], pc.invert(known[other]))
            self.require(one, both, f"must not be missing where {self.chosen[other]} is known")

    def sides(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the sides under t15's names."""
        self.require("split", pc.is_valid(column), "must not be missing")
        found = column.combine_chunks().dictionary_encode()
        words = [SIDES.get(word.casefold()) for word in found.dictionary.to_pylist()]
        if None in words:
            wrong = words.index(None)
            row = int(np.argmax(np.asarray(found.indices) == wrong))
            word = found.dictionary[wrong].as_py()
            self.fail("split", row, f"is none of train, val, test{did_you_mean(word, SIDES)}")
        return pa.chunked_array([pa.array(words, pa.string()).take(found.indices)])

    def check_ids(self, column: pa.ChunkedArray) -> None:
        self.require("photo_id", pc.is_valid(column), "must not be missing")
        # Codes are given in the order of first appearance: up to the first repeat each is its own row's number.
        code = np.asarray(column.combine_chunks().dictionary_encode().indices)
        repeated = np.flatnonzero(code != np.arange(len(code)))
        if len(repeated):
            row = int(repeated[0])
            self.fail("photo_id", row, f"must be unique, but is that of {self.source.place(int(code[row]))} too")
