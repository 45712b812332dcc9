"""Digests of a manifest's data, and finding the row and column where the data is not what the digests say.

Rows are taken batch by batch, once: what is kept of them is a state of sha256, a checksum a column and at most
4,096 checksums of rows, so that memory does not grow with their number.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa

# At most this many row checksums are kept, so that manifest.json stays small (32 KiB of them) however many photos there
# are; up to this many photos each row has its own and a changed row is named exactly.
_MOST_ROW_CHECKS = 4096
_BATCH = 4096  # rows that are spelled out at a time


@dataclass(frozen=True, slots=True)
class Summary:
    """What identifies rows and tells where they were changed.

    Attributes:
        digest: sha256 over the canonical header and then each canonical row, a line each, as 64 hex digits.
        columns: CRC-32 of each column, 8 hex digits.
        rows_per_check: rows that share a checksum.
        rows: CRC-32 of each `rows_per_check` rows, 8 hex digits each, joined.
    """

    digest: str
    columns: Mapping[str, str]
    rows_per_check: int
    rows: str

    def checks(self) -> dict[str, Any]:
        """Return the checksums as manifest.json holds them."""
        return {"columns": dict(self.columns), "rows_per_check": self.rows_per_check, "rows": self.rows}


def canonical_json(value: Any) -> bytes:
    """Return `value` as JSON with one spelling only: sorted keys, no blanks, shortest round-trip floats, UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def summarise(
    header: Mapping[str, Any],
    batches: Iterable[pa.RecordBatch],
    columns: Sequence[str],
    rows: int,
    *,
    any_type: bool = False,
) -> Summary:
    """Return the digest and the checksums of rows that come in batches.

    Args:
        header: what defines the data beside the rows.
        batches: of at least these columns; read once, one after the other.
        columns: that count, in the order of a canonical row.
        rows: how many there are in all, which decides how many share a checksum.
        any_type: the columns are not the schema's: they may be of any type and hold NaN, which is spelled `NaN`.

    Raises:
        ValueError: a value has no spelling in JSON (NaN, a lone surrogate in the header).
    """
    state = hashlib.sha256(canonical_json(header))
    by_column = dict.fromkeys(columns, 0)
    block = max(1, -(-rows // _MOST_ROW_CHECKS))
    by_row, crc, in_block = [], 0, 0
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH):
            piece = batch.slice(start, _BATCH)
            spelled = [_spelled(piece.column(name), any_type) for name in columns]
            for name, values in zip(columns, spelled, strict=True):
                by_column[name] = zlib.crc32(b"\n".join(values) + b"\n", by_column[name])
            for row in map(b",".join, zip(*spelled, strict=True)):
                state.update(b"\n[" + row + b"]")
                crc, in_block = zlib.crc32(row + b"\n", crc), in_block + 1
                if in_block == block:
                    by_row.append(f"{crc:08x}")
                    crc, in_block = 0, 0
    if in_block:
        by_row.append(f"{crc:08x}")
    return Summary(state.hexdigest(), {name: f"{crc:08x}" for name, crc in by_column.items()}, block, "".join(by_row))


def find_change(expected: Mapping[str, Any], found: Summary) -> tuple[int | None, str | None]:
    """Return the first row (of a block of `rows_per_check`) and the first column that differ from the checksums.

    None where everything agrees, or where the checksums do not fit the table at all.
    """
    column = next((name for name, crc in found.columns.items() if expected["columns"].get(name) != crc), None)
    if expected["rows_per_check"] != found.rows_per_check or len(expected["rows"]) != len(found.rows):
        return None, column
    pairs = zip(_eights(expected["rows"]), _eights(found.rows), strict=True)
    number = next((i for i, (then, now) in enumerate(pairs) if then != now), None)
    return (None if number is None else number * found.rows_per_check), column


def _eights(text: str) -> list[str]:
    return [text[at : at + 8] for at in range(0, len(text), 8)]


def _spelled(column: pa.Array, any_type: bool) -> list[bytes]:
    """Return each value as canonical JSON; times in ISO 8601 with UTC offset, a missing value as `null`."""
    if column.null_count == len(column):
        return list(repeat(b"null", len(column)))
    spell = _any_type if any_type else _SPELL[column.type]
    return [b"null" if value is None else spell(value).encode() for value in column.to_pylist()]


def _float(value: float) -> str:
    if value - value != 0:  # NaN and infinities
        raise ValueError(f"{value} is not JSON compliant")
    return repr(value)


def _time(value: datetime) -> str:
    return f'"{value.astimezone(UTC).isoformat()}"'


def _any_type(value: Any) -> str:
    """Spell a value of a column that t15 does not know: of any type that Parquet has."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str)


# What `canonical_json` gives, several times as fast: it is most of the time that reading a manifest takes.
_SPELL: dict[pa.DataType, Callable[[Any], str]] = {
    pa.string(): encode_basestring,
    pa.float64(): _float,
    pa.int32(): repr,
    pa.int64(): repr,
    pa.timestamp("us", tz="UTC"): _time,
}
