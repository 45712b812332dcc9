"""Files of rows from anywhere, as tolerant as it can be: CSV, TSV, JSON Lines or Parquet, column by column.

What is wrong is named by line, or row, and column. Audits, scores and manifests read their tables through this.
"""

import csv
import json
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from collector.errors import DataError, UsageError, one_line

BLOCK = 1 << 24
"""Bytes of a CSV file that are read at a time; Arrow cannot read a record that is longer."""

_DELIMITERS = ",;\t|"
_SEPARATOR = re.compile(
    rb'(?:\xef\xbb\xbf)?"?sep=(.)\1*"?\r?\n?', re.IGNORECASE
)  # how Excel is told the delimiter, in a line of its own
_BATCH = 1 << 14  # rows of a Parquet file that are decoded at a time
_MOST_COLUMNS = 20_000
_MOST_FOOTER = 64 << 20  # bytes; that of a manifest of ten million photos has about 8 MB
# Parquet repeats a value for next to nothing, so that a small file can hold a table that no machine can. What decoding may
# take beside this much, in bytes a byte of the file: one-hot probabilities of 100 classes have about 130.
_DECODED_ANYWAY, _DECODED_PER_BYTE = 1 << 28, 1000
_UNPACK, _AS_CSV = "unpack it first", "save the table as CSV"
_NOT_TEXT = {
    b"\x1f\x8b": f"is compressed (gzip); {_UNPACK}",
    b"BZh": f"is compressed (bzip2); {_UNPACK}",
    b"\xfd7zXZ": f"is compressed (xz); {_UNPACK}",
    b"\x28\xb5\x2f\xfd": f"is compressed (zstd); {_UNPACK}",
    b"PK": f"is an archive or a spreadsheet; {_AS_CSV}",
    b"\xd0\xcf\x11\xe0": f"is a spreadsheet; {_AS_CSV}",
    b"SQLite format 3": f"is a database; {_AS_CSV}",
    b"ARROW1": f"is a Feather file; {_AS_CSV}, or as Parquet",
    b"PARE": "is an encrypted Parquet file; decrypt it first",
    b"\xff\xfe": "is in UTF-16; save it as UTF-8",
    b"\xfe\xff": "is in UTF-16; save it as UTF-8",
    b"\0\0": "begins with zero bytes, as files do that were never written to their end",
    b"version https://git-lfs": "is a pointer of Git LFS, not the file; `git lfs pull` brings it",
    b"<": "is a web page or XML, not a table",
    b"[": "is a JSON array; write each object on a line of its own (JSON Lines)",
}
"""How files begin that are no tables, and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file of records that was opened but not read.

    Attributes:
        path: of the file.
        names: of its columns, in order; blanks around them are cut off.
        read: returns some columns by name. Text of any type is `string`: a CSV's cells without the blanks around them,
            null where nothing is left. Columns of another type are as they are in Parquet; in JSON Lines numbers are
            int64 or float64, and truth values, lists and objects as Arrow has them.
        place: how an error names a record (counted from 0): `line 17` as in a text editor, or `row 15` of a Parquet file.
        delimiter: of a CSV or TSV file.
    """

    path: Path
    names: tuple[str, ...]
    read: Callable[[Sequence[str]], pa.Table]
    place: Callable[[int], str]
    delimiter: str | None = None

    def with_points(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return numbers with a decimal point; a comma is one where the file's delimiter is another, as Excel writes."""
        if self.delimiter in (None, ","):
            return texts
        return pc.replace_substring_regex(texts, r"^([+-]?[0-9]*),([0-9]+)$", r"\1.\2")


def open_table(path: Path) -> Source:
    """Open a file of rows: Parquet and JSON Lines by content, TSV by name, else CSV, whose delimiter is found in its header.

    Raises:
        UsageError: there is no such file.
        DataError: it is empty, or nothing that can be read.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise DataError(f"{path}: is empty")
    if start.startswith(b"PAR1"):
        return _open_parquet(path)
    for magic, what in _NOT_TEXT.items():
        if start.startswith(magic):
            raise DataError(f"{path}: {what}")
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return _open_json_lines(path)
    return _open_delimited(path)


# --- CSV and TSV


@dataclass(frozen=True, slots=True)
class _Csv:
    """A delimited file: its delimiter, and the lines before its header (one that only names the delimiter)."""

    path: Path
    delimiter: str
    skip: int = 0


def _open_delimited(path: Path) -> Source:
    file = _dialect(path)
    header = next((record for _, record in _records(file)), None)
    if header is None:
        raise DataError(f"{path}: has blank lines only")
    if byte := _stray_byte("".join(header)):
        raise DataError(f"{path}: line {file.skip + 1}: is not UTF-8 (byte {byte}); save the file as UTF-8")
    if len(header) > _MOST_COLUMNS:
        raise DataError(f"{path}: has {len(header)} columns; {_MOST_COLUMNS} are the most")
    names = tuple(name.strip("\ufeff \t\r\n\xa0") for name in header)  # some programs write the mark of order twice
    raw = dict(zip(names, header, strict=True))

    def read(columns: Sequence[str]) -> pa.Table:
        wanted = [raw[name] for name in columns]
        convert = pc_csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        )
        parse = pc_csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True)
        try:
            table = pc_csv.read_csv(path, pc_csv.ReadOptions(block_size=BLOCK, skip_rows=file.skip), parse, convert)
        except pa.ArrowInvalid as error:
            _explain(file, names, columns)
            raise DataError(f"{path}: cannot be read as CSV ({one_line(error)})") from error
        if _may_have_open_quotes(path, table.num_rows):  # these swallow the lines after them, and Arrow says nothing
            _explain(file, names, columns)
        return pa.table([_trimmed(column) for column in table.columns], names=list(columns))

    return Source(
        path, names, read, _by_line(lambda: (line for line, _ in islice(_records(file), 1, None))), file.delimiter
    )


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _dialect(path: Path) -> _Csv:
    """Return how the file is delimited: as its first line says, as its name says, or so that the header has most columns."""
    with path.open("rb") as file:
        said = _SEPARATOR.fullmatch(file.readline(16))
    if said and said[1].isascii():
        return _Csv(path, said[1].decode(), skip=1)
    if path.suffix.casefold() == ".tsv":
        return _Csv(path, "\t")
    dialects = [_Csv(path, mark) for mark in _DELIMITERS]
    return max(dialects, key=lambda dialect: len(next((record for _, record in _records(dialect)), [])))


def _explain(file: _Csv, names: Sequence[str], columns: Sequence[str]) -> None:
    """Look for the first record that is wrong, slowly and by line.

    Raises:
        DataError: there is one.
    """
    used = [(names.index(name), name) for name in columns]
    for line, record in _records(file, strict=True):
        if len(record) != len(names):
            raise DataError(f"{file.path}: line {line}: has {len(record)} cells, the header has {len(names)}")
        for position, name in used:
            if byte := _stray_byte(record[position]):
                raise DataError(
                    f"{file.path}: line {line}, column {name[:60]}: is not UTF-8 (byte {byte}); save the file as UTF-8"
                )


def _stray_byte(text: str) -> str:
    """Return the first byte that was no UTF-8 as 0x…, or nothing; such bytes were read as lone surrogates."""
    return next((f"{ord(c) - 0xDC00:#04x}" for c in text if "\udc80" <= c <= "\udcff"), "")


def _may_have_open_quotes(path: Path, rows: int) -> bool:
    """Return whether a quote may be left open: there is an odd number of them, or lines are joined to records."""
    quotes = lines = 0
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            quotes += block.count(b'"')
            lines += block.count(b"\n")
    return quotes % 2 == 1 or (quotes > 0 and lines > rows + 1)


def _records(file: _Csv, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line that it begins at; blank lines are passed over, as Arrow does.

    Raises:
        DataError: a line is no record: with `strict` also where a quote is left open or ends within its cell.
    """
    with file.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        for _ in range(file.skip):
            lines.readline()
        reader = csv.reader(lines, delimiter=file.delimiter, strict=strict)
        line = file.skip + 1
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                raise DataError(f"{file.path}: line {line}: is no CSV record ({error})") from error
            if record is None:
                return
            if record:
                yield line, record
            line = file.skip + reader.line_num + 1


def _by_line(lines: Callable[[], Iterator[int]]) -> Callable[[int], str]:
    """Return what names a record by its line; the file is gone through once, when the first is asked for."""
    known = array("Q")

    def place(record: int) -> str:
        if not known:
            with suppress(DataError):  # what is wrong behind is not what is asked for
                known.extend(lines())
        return f"line {known[record]}" if record < len(known) else f"record {record + 1}"

    return place


# --- JSON Lines


def _open_json_lines(path: Path) -> Source:
    names: dict[str, None] = {}
    for line, record in _objects(path):
        names.update(dict.fromkeys(record))
        if len(names) > _MOST_COLUMNS:
            raise DataError(f"{path}: line {line}: this is column {len(names)}; {_MOST_COLUMNS} are the most")

    def read(columns: Sequence[str]) -> pa.Table:
        values: dict[str, list[Any]] = {name: [] for name in columns}
        for _, record in _objects(path):
            for name in columns:
                values[name].append(record.get(name))
        arrays = [_json_column(path, name, values[name]) for name in columns]
        return pa.table(arrays, names=list(columns))

    return Source(path, tuple(names), read, _by_line(lambda: (line for line, _ in _objects(path))))


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each object with its line; blank lines are passed over, and a name's blanks cut off.

    Raises:
        DataError: a line holds anything else.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(BLOCK), b""), start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: is not JSON ({one_line(error)})") from error
            if not isinstance(record, dict):
                raise DataError(f"{path}: line {number}: is no JSON object")
            yield number, {name.strip(): value for name, value in record.items()}


def _json_column(path: Path, name: str, values: list[Any]) -> pa.Array:
    """Return values as text where any is text, else as numbers; truth values, lists and objects as Arrow has them.

    Raises:
        DataError: they are of kinds that do not go together.
    """
    kinds = {type(value) for value in values} - {type(None)}
    try:
        if kinds <= {int, float} and kinds:
            return pa.array(values, pa.int64() if kinds == {int} else pa.float64())
        if kinds <= {str, int, float}:
            return pa.array(
                [None if value is None or value == "" else str(value).strip() for value in values], pa.string()
            )
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeError, ValueError, TypeError) as error:
        raise DataError(f"{path}: column {name[:60]}: holds a value that does not fit ({one_line(error)})") from error


# --- Parquet


def _open_parquet(path: Path) -> Source:
    try:
        with open_parquet(path) as file:
            by_name = {name.strip(): name for name in file.schema_arrow.names}
            names = tuple(name.strip() for name in file.schema_arrow.names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet, it may be cut short ({one_line(error)})") from error

    def read(columns: Sequence[str]) -> pa.Table:
        wanted = [by_name[name] for name in columns]
        with open_parquet(path) as file:
            try:
                table = pa.Table.from_batches(list(decoded(path, file, wanted)), decoded_schema(file, wanted))
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"{path}: {damaged_part(file, wanted)} ({one_line(error)})") from error
        return pa.table([_as_text(column) for column in table.columns], names=list(columns))

    return Source(path, names, read, lambda record: f"row {record}")


def open_parquet(path: Path, rows_per_byte: int = 1000) -> pq.ParquetFile:
    """Open a Parquet file whose claims its length can hold, its text as dictionaries: see `decoded`.

    Raises:
        DataError: it claims more.
        OSError, ValueError, ArrowException: it is damaged, or not there.
    """
    with pq.ParquetFile(path) as file:
        _check_claims(path, file, rows_per_byte)
        texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
    return pq.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True)


def _check_claims(path: Path, file: pq.ParquetFile, rows_per_byte: int) -> None:
    """Refuse a Parquet file that claims more than one of its length can hold, before memory is taken for it.

    Raises:
        DataError: it does.
    """
    size, claims = path.stat().st_size, file.metadata
    if claims.serialized_size > _MOST_FOOTER:
        raise DataError(f"{path}: its footer has {claims.serialized_size} bytes; {_MOST_FOOTER} are the most")
    if claims.num_columns > _MOST_COLUMNS:
        raise DataError(f"{path}: has {claims.num_columns} columns; {_MOST_COLUMNS} are the most")
    if not 0 <= claims.num_rows <= rows_per_byte * size:
        raise DataError(f"{path}: claims {claims.num_rows} rows, which {size} bytes cannot hold")
    groups = [claims.row_group(number) for number in range(claims.num_row_groups)]
    claimed = sum(abs(group.total_byte_size) for group in groups)
    if claimed > _most_decoded(size):
        raise DataError(f"{path}: claims {claimed} bytes when unpacked, which {size} bytes cannot hold")
    if (rows := sum(group.num_rows for group in groups)) != claims.num_rows:
        raise DataError(f"{path}: claims {claims.num_rows} rows, and {rows} in its parts")


def _most_decoded(size: int) -> int:
    return _DECODED_ANYWAY + _DECODED_PER_BYTE * size


def decoded_schema(file: pq.ParquetFile, columns: Sequence[str]) -> pa.Schema:
    """Return the types of what `decoded` yields."""
    fields = (file.schema_arrow.field(name) for name in columns)
    return pa.schema([pa.field(of.name, of.type.value_type if _is_dictionary(of.type) else of.type) for of in fields])


def decoded(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file of `open_parquet`, some thousand at a time, text as it is rather than as dictionaries.

    A text that is repeated takes next to nothing in a Parquet file. So it is read as a dictionary, and measured before it
    is unpacked.

    Raises:
        DataError: it holds more than one of its length honestly can.
    """
    most = _most_decoded(path.stat().st_size)
    schema = decoded_schema(file, columns)
    total = 0
    for batch in file.iter_batches(_BATCH, columns=list(columns)):
        total += sum(map(_decoded_size, batch.columns))
        if total > most:
            raise DataError(f"{path}: unpacks to more than {most >> 20} MiB, which no honest file of its length does")
        arrays = [batch.column(name) for name in columns]
        plain = [array.cast(array.type.value_type) if _is_dictionary(array.type) else array for array in arrays]
        yield pa.RecordBatch.from_arrays(plain, schema=schema)


def _decoded_size(array: pa.Array) -> int:
    if not _is_dictionary(array.type) or not _is_text(array.type.value_type):
        return int(array.nbytes)
    lengths = pc.binary_length(array.dictionary).take(array.indices)
    return 4 * len(array) + int(pc.sum(lengths).as_py() or 0)


def _is_dictionary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind))


def _is_text(kind: pa.DataType) -> bool:
    tests = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
    )
    return any(test(kind) for test in tests)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of text of any type (large, view, bytes) as `string`; any other as it is."""
    try:
        return column.cast(pa.string()) if _is_text(column.type) else column
    except pa.ArrowException:  # bytes that are no text
        return column


def damaged_part(file: pq.ParquetFile, columns: Sequence[str]) -> str:
    """Return the first rows and the column of a Parquet file that cannot be read."""
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        for name in columns:
            try:
                for _ in file.iter_batches(_BATCH, row_groups=[group], columns=[name]):
                    pass
            except (OSError, pa.ArrowException):
                return f"rows {start} to {end - 1}, column {name[:60]}: damaged"
        start = end
    return "damaged"
