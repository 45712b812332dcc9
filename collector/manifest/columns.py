"""Which of a file's columns is which of ours, and their values, checked: what audits, tables of photos and imports share.

Columns that are not named are guessed: the first of the names that other data sets use which the file has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from collector.errors import DataError, UsageError, did_you_mean
from collector.manifest.read_table import Source

# How tables write a number that is not known. In text only an empty cell is missing: Nan is a city, and Null a name.
_NO_NUMBER = pa.array(["", "nan", "na", "n/a", "null", "none"])
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_HEX_DIGITS = {"sha256": 64, "md5": 32, "phash": 16, "dhash": 16}
RANGES = {"latitude": (-90.0, 90.0), "longitude": (-180.0, 180.0), "heading": (-360.0, 360.0)}
"""Columns of numbers, and what their values are between."""

PLACE = ("latitude", "longitude")

Names = Mapping[str, tuple[str, ...]]
"""Columns of ours, and how a file may call each, in the order in which they are looked for."""


def choose(source: Source, given: Mapping[str, str], names: Names) -> dict[str, str]:
    """Return which of the file's columns is which of `names`; `given` says it of some, the others are guessed.

    Raises:
        UsageError: a column is given that there is none of, here or in the file.
        DataError: there is half a place, or a column twice.
    """
    given = {name: of.strip() for name, of in given.items()}
    for name in given:
        if name not in names:
            raise UsageError(f"column {name!r} is not one of {', '.join(names)}{did_you_mean(name, names)}")
    for name, of in given.items():
        if of not in source.names:
            raise UsageError(
                f"{source.path}: has no column {of[:60]!r} to be {name}{did_you_mean(of, source.names)}; {held(source)}"
            )
    plain = {plain_column(name): name for name in reversed(source.names)}
    guessed = {name: plain[found[0]] for name, words in names.items() if (found := [w for w in words if w in plain])}
    chosen = {**guessed, **given}
    for name, of in chosen.items():
        if source.names.count(of) > 1:
            raise DataError(
                f"{source.path}: column {of[:60]!r} is there {source.names.count(of)} times: which is {name}?"
            )
    for one, other in (("latitude", "longitude"), ("longitude", "latitude")):
        if one in chosen and other not in chosen:
            raise DataError(
                f"{source.path}: column {chosen[one]} is a {one}, but there is no {other}; "
                f"name it with --column {other}=NAME; {held(source)}"
            )
    return {name: chosen[name] for name in names if name in chosen}


def plain_column(name: str) -> str:
    """Return a column's name as names are compared."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def held(source: Source) -> str:
    """Return what a file has, for an error."""
    shown = ", ".join(name[:60] for name in source.names[:20])
    return f"it has {shown}{', …' if len(source.names) > 20 else ''}"


def known_places(latitude: pa.ChunkedArray, longitude: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """Return places, null where they are 0, 0: what programs write that know none."""
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
class Values:
    """The values of a file, checked column by column."""

    source: Source
    chosen: Mapping[str, str]
    raw: pa.Table

    def fail(self, name: str, row: int, rule: str) -> NoReturn:
        """Raise a DataError that names the row and the column."""
        try:
            value = self.raw[self.chosen[name]][row].as_py()
        except (ValueError, OverflowError):  # a time that Python has no date for
            value = None
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
        """Return a column of numbers (of RANGES); null where it is not known."""
        column = self.raw[self.chosen[name]]
        if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            column = self.text(name)
            column = pc.if_else(pc.is_in(pc.utf8_lower(column), _NO_NUMBER), pa.scalar(None, pa.string()), column)
            column = self.source.with_points(column)
            rule = "is no number (degrees with a decimal point, such as 41.0082)"
            self.require(name, pc.match_substring_regex(column, _NUMBER), rule)
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        low, high = RANGES[name]
        good = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
        self.require(name, good, f"must be from {low:g} to {high:g}")
        return column

    def check_places(self, table: Mapping[str, pa.ChunkedArray]) -> None:
        """Fail where half a place is known."""
        known = {name: pc.is_valid(table[name]) for name in PLACE}
        for one, other in (("latitude", "longitude"), ("longitude", "latitude")):
            both = pc.or_(known[one], pc.invert(known[other]))
            self.require(one, both, f"must not be missing where {self.chosen[other]} is known")
