"""A manifest's rows as CSV or JSON Lines, for programs that read no Parquet."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, Literal, TextIO

import pyarrow as pa

from collector.errors import UsageError, did_you_mean
from collector.manifest.manifest import Manifest
from collector.text_table import csv_safe, is_formula
from collector.workspace import replacing, storage_errors

Format = Literal["csv", "jsonl"]

BATCH = 8192
"""Rows that are written together."""

# Line ends to some readers of JSON Lines, although JSON allows them within a string.
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True, slots=True)
class Exported:
    """What `export` wrote: rows, and how many cells of text begin as a formula does (in a CSV file)."""

    rows: int
    formulas: int


def export(
    manifest: Manifest,
    out: Path | BinaryIO,
    format: Format = "csv",
    columns: Sequence[str] = (),
    *,
    spreadsheet: bool = False,
) -> Exported:
    """Write the rows of a manifest, in its order, to a file (whole or not at all) or to a stream such as stdout.

    CSV is that of RFC 4180 with line feeds: a header, quotes where they are needed; UTF-8. A missing value is an
    empty cell. JSON Lines has an object a line, a missing value being null. Times are in ISO 8601, UTC.

    Values are written as they are. A title such as `=HYPERLINK(…)` is then a formula to a spreadsheet program: with
    `spreadsheet` every text that begins like one gets a `'` before it, and the file a byte-order mark, without which
    Excel misreads letters beyond ASCII. Such a file is for people: it does not hold the published values any more.

    Args:
        manifest: whose rows are written.
        out: the file to write or replace, or where bytes go.
        format: of the output.
        columns: to write, in this order; all of them where there is none.
        spreadsheet: make a CSV file safe to open in a spreadsheet program.

    Raises:
        UsageError: an unknown column, or one twice; `spreadsheet` for JSON; the file cannot be written.
        IncompleteError: the disk is full.
    """
    names = _columns(manifest, columns)
    if spreadsheet and format != "csv":
        raise UsageError("--spreadsheet is for CSV: JSON Lines are not opened by spreadsheet programs")
    table = manifest.rows.select(names)
    formulas = _formulas(table) if format == "csv" else 0

    def write(stream: BinaryIO) -> None:
        text = TextIOWrapper(stream, encoding="utf-8-sig" if spreadsheet else "utf-8", newline="")
        _WRITERS[format](text, names, _rows(table, guard=spreadsheet))
        text.flush()
        text.detach()

    if isinstance(out, Path):
        with storage_errors(out), _whole(out) as file:
            write(file)
    else:
        write(out)
    return Exported(table.num_rows, formulas)


def _columns(manifest: Manifest, columns: Sequence[str]) -> list[str]:
    for name in columns:
        if name not in manifest.columns:
            known = manifest.columns
            raise UsageError(f"no column {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}")
        if list(columns).count(name) > 1:
            raise UsageError(f"column {name!r} is asked for twice")
    return list(columns or manifest.columns)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write that takes the place of `path` at the end, or is gone where anything fails."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UsageError(f"{path.parent}: is a file, not a folder") from error
    with replacing(path) as file:
        yield file


def _rows(table: pa.Table, *, guard: bool) -> Iterator[list[Any]]:
    for batch in table.to_batches(max_chunksize=BATCH):
        columns = [[_plain(value, guard) for value in column.to_pylist()] for column in batch.columns]
        yield from (list(row) for row in zip(*columns, strict=True))


def _plain(value: Any, guard: bool) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return csv_safe(value) if guard else value


def _formulas(table: pa.Table) -> int:
    texts = (column for column in table.columns if pa.types.is_string(column.type))
    return sum(is_formula(value) for column in texts for chunk in column.chunks for value in chunk.to_pylist())


def _write_csv(stream: TextIO, names: Sequence[str], rows: Iterator[list[Any]]) -> None:
    # The module quotes what its line end holds: with LF alone a CR in a title would stand bare (before Python 3.13).
    writer = csv.writer(SimpleNamespace(write=lambda line: stream.write(line.removesuffix("\r\n") + "\n")))
    writer.writerow(names)
    writer.writerows(rows)


def _write_jsonl(stream: TextIO, names: Sequence[str], rows: Iterator[list[Any]]) -> None:
    for row in rows:
        line = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, allow_nan=False)
        for mark, escape in _LINE_ENDS.items():
            line = line.replace(mark, escape)
        stream.write(line + "\n")


_WRITERS: dict[str, Callable[[TextIO, Sequence[str], Iterator[list[Any]]], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}
