"""What a manifest holds, by format number: its columns, with what a value has to be, and the fields of its header.

The one place that says so. The reader, the writer and the digest take from here what the number in a file means; export,
diff, Croissant, the audit of foreign tables and docs/manifest-format.md take the names and the descriptions.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.records import SPLITS

_UTC = pa.timestamp("us", tz="UTC")
_NO_SECRET = "must not carry a key or a signature"  # noqa: S105

# A key or a signature in a URL would be published with the manifest: Street View's `key` and `signature`, Flickr's
# `api_key`, Mapillary's and others' `access_token`, signed links to storage (`X-Amz-Signature`, `X-Goog-Signature`, `sig`,
# the `oh` and `oe` of Mapillary's thumbnails), and a password before the host.
SECRET = re.compile(
    r"[?&;#](?:key|[a-z-]*api_?key|[a-z-]*signature|sig|[a-z_]*token|secret|[a-z-]*credential|oh|oe)=|//[^/?#]*:[^/?#]*@",
    re.IGNORECASE,
)
"""What an address with a key or a signature in it looks like."""

Test = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `photos.parquet`.

    Attributes:
        name: of the column, and of the field of a `Photo`.
        type: in Arrow and Parquet.
        nullable: a value may be missing. Such a column may be missing as a whole where all its values are.
        since: the first format that has it.
        description: a line for people.
        rule: what a value has to be, in words; empty where any will do.
        test: whether each value of an array is so.
        longest: characters of a text, at most; 0 where the rule bounds it.
    """

    name: str
    type: pa.DataType
    nullable: bool
    since: int
    description: str
    rule: str = ""
    test: Test | None = None
    longest: int = 0


def _text(
    name: str,
    description: str,
    longest: int,
    rule: str = "",
    pattern: str = "",
    *,
    nullable: bool = True,
    since: int = 1,
) -> Column:
    test = (lambda values: pc.match_substring_regex(values, pattern)) if pattern else None
    return Column(name, pa.string(), nullable, since, description, rule, test, longest)


def _number(
    name: str,
    type_: pa.DataType,
    description: str,
    low: float,
    high: float,
    *,
    nullable: bool = True,
    since: int = 1,
) -> Column:
    def test(values: pa.Array) -> pa.Array:
        return pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))  # false for NaN

    return Column(name, type_, nullable, since, description, f"must be from {low} to {high}", test)


def _address(name: str, description: str) -> Column:
    def test(values: pa.Array) -> pa.Array:
        return pc.invert(pc.match_substring_regex(values, SECRET.pattern, ignore_case=True))

    return Column(name, pa.string(), True, 1, description, _NO_SECRET, test, 8192)


def _time(name: str, description: str) -> Column:
    def test(values: pa.Array) -> pa.Array:
        # Not outside: making a scalar of a Python value imports pandas, if it is there, which takes most of a second.
        first, last = (pa.scalar(datetime(year, 1, 1, tzinfo=UTC), _UTC) for year in (1800, 2201))
        return pc.and_(pc.greater_equal(values, first), pc.less_equal(values, last))

    return Column(name, _UTC, True, 1, description, "must be of the years 1800 to 2200", test)


def _hash(name: str, description: str) -> Column:
    return _text(name, description, 0, "must be 16 hex digits", "^[0-9a-f]{16}$")


# Every blank that Unicode has: an id is cut at blanks by whatever reads lists of them.
_ID = r"^[a-z0-9_-]+:[^\s\p{Z}\x{0b}\x{1c}-\x{1f}\x{85}]+$"

COLUMNS: tuple[Column, ...] = (
    _text("photo_id", "provider:native-id, unique.", 512, "must be provider:native-id", _ID, nullable=False),
    _text(
        "city",
        "Slug of the city in which the photo was taken: the label; one of the header's cities.",
        0,
        nullable=False,
    ),
    _number("latitude", pa.float64(), "Where it was taken, degrees WGS84; with a longitude or not at all.", -90, 90),
    _number("longitude", pa.float64(), "Where it was taken, degrees WGS84; with a latitude or not at all.", -180, 180),
    _time(
        "taken_at",
        "When it was taken; a camera that states no time zone is taken as UTC, up to 14 h off; may be missing.",
    ),
    _text("author_id", "What photos of one author share; may be missing.", 512),
    _text("author_name", "Whom to credit: text of unknown people, to be escaped; may be missing.", 2000),
    _text(
        *("license", "The photo's own licence: an SPDX id, or LicenseRef-….", 100),
        *("must be an SPDX id or LicenseRef-…", r"^[A-Za-z0-9.+-]+$"),
        nullable=False,
    ),
    _address("page_url", "Where to see it, never with a key or a signature; may be missing."),
    _address("image_url", "Where to fetch the picture, never with a key or a signature; may be missing."),
    _text("title", "The author's title: text of unknown people, to be escaped; may be missing.", 10_000),
    # A photo of 2**20 pixels on a side does not exist.
    _number("width", pa.int32(), "Pixels as displayed, after EXIF orientation.", 1, 1 << 20, nullable=False),
    _number("height", pa.int32(), "Pixels as displayed, after EXIF orientation.", 1, 1 << 20, nullable=False),
    _number("bytes", pa.int64(), "Length of the original file.", 1, 1 << 40, nullable=False),
    _text(
        *("sha256", "Of the original file, 64 hex digits.", 0, "must be 64 hex digits", "^[0-9a-f]{64}$"),
        nullable=False,
    ),
    _hash("phash", "Perceptual hash, 16 hex digits; missing for pictures with too little content."),
    _hash("dhash", "Difference hash, 16 hex digits; missing for pictures with too little content."),
    _text("group_id", "Photos that must stay on one side share it; may be missing.", 600),
    _text("split", "The side: train, val or test.", 0, nullable=False),
    _number(
        *("heading", pa.float64(), "Where the camera looked, degrees clockwise from north; may be missing.", 0, 360),
        since=2,
    ),
    _text("sequence_id", "Photos of one drive, walk or upload batch share it; may be missing.", 512, since=2),
    _number(
        *("position_accuracy_m", pa.float64(), "How far off the place may be, metres; may be missing.", 0, 20_100_000),
        since=2,
    ),
    _text("label", "The finest label, such as a district; missing: the city.", 0, since=2),
)
"""The columns, in the order in which the digest takes them."""

TYPES = {
    pa.string(): "string",
    pa.float64(): "double",
    pa.int32(): "int32",
    pa.int64(): "int64",
    _UTC: "timestamp, µs, UTC",
}
"""The types of the columns, as documents call them."""

COLUMN_HEADS = ("column", "type", "since format", "content")


def column_rows(number: int) -> list[tuple[str, str, str, str]]:
    """Return a row for each column of a format, under COLUMN_HEADS: for documents, data cards and datasheets."""
    columns = (column for column in COLUMNS if column.since <= number)
    return [(column.name, TYPES[column.type], str(column.since), column.description) for column in columns]


ARROW = pa.schema([pa.field(column.name, column.type, nullable=column.nullable) for column in COLUMNS])
"""The columns as an Arrow schema. Times are UTC to the microsecond; coordinates are WGS84 degrees."""


@dataclass(frozen=True, slots=True)
class Format:
    """What manifests of one format number hold; nothing of it ever changes once it was published.

    Attributes:
        columns: of photos.parquet, in the digest's order.
        header, city, label, traits: names of the header's fields, and of those of a city, a label and a service's traits
            in it.
    """

    columns: tuple[str, ...]
    header: tuple[str, ...]
    city: tuple[str, ...]
    label: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()


def _columns_of(number: int) -> tuple[str, ...]:
    return tuple(column.name for column in COLUMNS if column.since <= number)


_HEADER_1 = ("name", "version", "region", "title", "note", "seed", "quotas", "rules", "cities", "hashes", "parent")
_CITY_1 = ("slug", "name", "latitude", "longitude", "radius_km", "code", "plate", "centre", "aliases")

FORMATS: dict[int, Format] = {
    1: Format(_columns_of(1), _HEADER_1, _CITY_1),
    2: Format(
        _columns_of(2),
        (*_HEADER_1, "labels", "protocol", "provider_traits"),
        (*_CITY_1, "country", "names"),
        ("id", "name", "names", "level", "parent", "latitude", "longitude", "radius_km", "polygon"),
        ("author_is_service", "panorama", "pixels_may_be_kept", "rehydratable", "licence"),
    ),
}
"""The formats that t15 reads, by number."""

FORMAT = max(FORMATS)
"""The format that t15 writes."""


def first_fault(table: pa.Table, cities: Sequence[str], labels: Sequence[str] = (), first_row: int = 0) -> str | None:
    """Return what is wrong with the first wrong value, as `row 12 (photo_id …), column latitude: …`, or None.

    Args:
        table: rows with the schema ARROW.
        cities: slugs that `city` may hold.
        labels: ids that `label` may hold beside the slugs.
        first_row: number of the table's first row in the file; rows are counted from 0.
    """
    faults = list(_faults(table, tuple(cities), tuple(labels)))
    if not faults:
        return None
    row, name, said = min(faults, key=lambda fault: fault[0])
    return f"{row_name(table, row, first_row)}, column {name}: {said}"


def _faults(table: pa.Table, cities: tuple[str, ...], labels: tuple[str, ...]) -> Iterator[tuple[int, str, str]]:
    """Yield the first wrong row of each rule, with the column and what is wrong."""
    known = (pc.is_null(table[name]) for name in ("latitude", "longitude"))
    if (row := _first(pc.xor(*known))) is not None:
        yield row, "latitude", "latitude and longitude must both be known or both be missing"
    for column in COLUMNS:
        values = table[column.name]
        if not column.nullable and (row := _first(pc.is_null(values))) is not None:
            yield row, column.name, "must not be missing"
        if column.longest and (row := _first(pc.greater(pc.utf8_length(values), column.longest))) is not None:
            length = pc.utf8_length(values[row]).as_py()
            yield row, column.name, f"has {length} characters; {column.longest} are the most"
        rule, test = _rule(column, cities, labels)
        if test is not None and (row := _first(pc.invert(test(values)))) is not None:
            # A value with a key in it must not be printed.
            yield row, column.name, rule if rule == _NO_SECRET else f"{_quoted(values[row])} {rule}"
    if (row := repeated(table["photo_id"])) is not None:
        yield row, "photo_id", f"{_quoted(table['photo_id'][row])} must be unique"


def _rule(column: Column, cities: tuple[str, ...], labels: tuple[str, ...]) -> tuple[str, Test | None]:
    among = {
        "city": ("must be a city of manifest.json", cities),
        "split": (f"must be one of {', '.join(SPLITS)}", SPLITS),
        "label": ("must be a label or a city of manifest.json", (*cities, *labels)),
    }
    if column.name not in among:
        return column.rule, column.test
    rule, allowed = among[column.name]
    return rule, lambda values: pc.or_(pc.is_null(values), pc.is_in(values, _set(allowed)))


@cache
def _set(texts: tuple[str, ...]) -> pa.Array:
    return pa.array(texts, pa.string())


def _first(wrong: pa.ChunkedArray) -> int | None:
    row = pc.index(wrong, True).as_py()
    return None if row < 0 else int(row)


def repeated(values: pa.ChunkedArray) -> int | None:
    """Return the first row whose value is there before; None where there is none. Quick for values in order."""
    if len(values) < 2 or pc.all(pc.less(values[:-1], values[1:]), skip_nulls=False).as_py():
        return None
    # Codes are given in the order of first appearance: up to the first repeat each is its own row's number.
    codes = np.asarray(values.drop_null().combine_chunks().dictionary_encode().indices)
    again = np.flatnonzero(codes != np.arange(len(codes)))
    return int(np.flatnonzero(np.asarray(pc.is_valid(values)))[again[0]]) if len(again) else None


def row_name(table: pa.Table, row: int, first_row: int = 0) -> str:
    """Return how a row is named in an error."""
    return f"row {first_row + row} (photo_id {_quoted(table['photo_id'][row])})"


def _quoted(value: pa.Scalar) -> str:
    try:
        text = repr(value.as_py())
    except (ArithmeticError, ValueError):  # a time beyond Python's
        text = str(value.cast(pa.int64()).as_py())
    return text if len(text) <= 60 else f"{text[:57]}…"
