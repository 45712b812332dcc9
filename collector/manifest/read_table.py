"""Files of rows from anywhere, CSV, TSV or Parquet, column by column; what is wrong is named by line, or row, and column."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from collector.errors import DataError, UsageError

_DELIMITERS = ",;\t|"
_BLOCK = 1 << 24  # bytes; Arrow cannot read a record that is longer
_NOT_TEXT = {
    b"\x1f\x8b": "is compressed (gzip); unpack it first",
    b"PK": "is an archive or a spreadsheet; save the table as CSV",
    b"\xff\xfe": "is in UTF-16; save it as UTF-8",
    b"\xfe\xff": "is in UTF-16; save it as UTF-8",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file of records that was opened but not read.

    Attributes:
        path: of the file.
        names: of its columns, in order.
        read: returns some columns by name: a CSV's as text with an empty cell as null, a Parquet file's as they are.
        place: how an error names a record (counted from 0): `line 17` as in a text editor, or `row 15` of a Parquet file.
    """

    path: Path
    names: tuple[str, ...]
    read: Callable[[Sequence[str]], pa.Table]
    place: Callable[[int], str]


def open_table(path: Path) -> Source:
    """Open a file of rows: Parquet by its content, TSV by its name, else CSV, whose delimiter is looked up in its header.

    Raises:
        UsageError: there is no such file.
        DataError: it is empty, or nothing that can be read.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise DataError(f"{path}: is empty")
    if start == b"PAR1":
        return _open_parquet(path)
    for magic, what in _NOT_TEXT.items():
        if start.startswith(magic):
            raise DataError(f"{path}: {what}")
    return _open_delimited(path)


def _open_delimited(path: Path) -> Source:
    delimiter = "\t" if path.suffix.casefold() == ".tsv" else _delimiter(path)
    header = next((record for _, record in _records(path, delimiter)), None)
    if header is None:
        raise DataError(f"{path}: has blank lines only")
    if byte := _stray_byte("".join(header)):
        raise DataError(f"{path}: line 1: is not UTF-8 (byte {byte}); save the file as UTF-8")
    names = tuple(header)

    def read(columns: Sequence[str]) -> pa.Table:
        convert = pc_csv.ConvertOptions(
            include_columns=list(columns),
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        )
        parse = pc_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        try:
            found = pc_csv.read_csv(path, pc_csv.ReadOptions(block_size=_BLOCK), parse, convert)
        except pa.ArrowInvalid as error:
            _explain(path, delimiter, names, columns)
            raise DataError(f"{path}: cannot be read as CSV ({one_line(error)})") from error
        if _has_odd_quotes(path):  # one that is left open swallows the lines after it, and Arrow says nothing
            _explain(path, delimiter, names, columns)
        return found

    return Source(path, names, read, lambda record: _line_of(path, delimiter, record))


def _explain(path: Path, delimiter: str, names: Sequence[str], columns: Sequence[str]) -> None:
    """Look for the first record that is wrong, slowly and by line.

    Raises:
        DataError: there is one.
    """
    used = [(names.index(name), name) for name in columns]
    for line, record in _records(path, delimiter, strict=True):
        if len(record) != len(names):
            raise DataError(f"{path}: line {line}: has {len(record)} cells, the header has {len(names)}")
        for position, name in used:
            if byte := _stray_byte(record[position]):
                raise DataError(
                    f"{path}: line {line}, column {name}: is not UTF-8 (byte {byte}); save the file as UTF-8"
                )


def _stray_byte(text: str) -> str:
    """Return the first byte that was no UTF-8 as 0x…, or nothing; such bytes were read as lone surrogates."""
    return next((f"{ord(c) - 0xDC00:#04x}" for c in text if "\udc80" <= c <= "\udcff"), "")


def _has_odd_quotes(path: Path) -> bool:
    with path.open("rb") as file:
        return sum(block.count(b'"') for block in iter(lambda: file.read(_BLOCK), b"")) % 2 == 1


def _delimiter(path: Path) -> str:
    """Return the delimiter that cuts the header into the most columns; the comma where none does."""
    return max(_DELIMITERS, key=lambda mark: len(next((record for _, record in _records(path, mark)), [])))


def _records(path: Path, delimiter: str, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line that it begins at; blank lines are passed over, as Arrow does.

    Raises:
        DataError: a line is no record: with `strict` also where a quote is left open or ends within its cell.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=strict)
        line = 1
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                raise DataError(f"{path}: line {line}: is no CSV record ({error})") from error
            if record is None:
                return
            if record:
                yield line, record
            line = reader.line_num + 1


def _line_of(path: Path, delimiter: str, record: int) -> str:
    for number, (line, _) in enumerate(_records(path, delimiter), start=-1):
        if number == record:
            return f"line {line}"
    return f"record {record + 1}"


def _open_parquet(path: Path) -> Source:
    try:
        with pq.ParquetFile(path) as file:
            names = tuple(file.schema_arrow.names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as Parquet, it may be cut short ({one_line(error)})") from error

    def read(columns: Sequence[str]) -> pa.Table:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            try:
                return file.read(columns=list(columns))
            except (OSError, pa.ArrowException) as error:
                raise DataError(f"{path}: {damaged_part(file, columns)} ({one_line(error)})") from error

    return Source(path, names, read, lambda record: f"row {record}")


def damaged_part(file: pq.ParquetFile, columns: Sequence[str]) -> str:
    """Return the first rows and the column of a Parquet file that cannot be read."""
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        for name in columns:
            try:
                file.read_row_group(group, columns=[name])
            except (OSError, pa.ArrowException):
                return f"rows {start} to {end - 1}, column {name}: damaged"
        start = end
    return "damaged"


def one_line(error: BaseException) -> str:
    """Return what an error of a library says, in one line that is not long."""
    return " ".join(str(error).split())[:160]
