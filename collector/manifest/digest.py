"""Digests of a manifest's data, and finding the row and column where the data is not what the digests say."""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from collector.records import PHOTO_FIELDS

# At most this many row checksums are kept, so that manifest.json stays small (32 KiB of them) however many photos there
# are; up to this many photos each row has its own and a changed row is named exactly.
_MOST_ROW_CHECKS = 4096


def canonical_json(value: Any) -> bytes:
    """Return `value` as JSON with one spelling only: sorted keys, no blanks, shortest round-trip floats, UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def canonical_rows(table: pa.Table) -> list[list[bytes]]:
    """Return the canonical bytes of every value, row by row, the columns in the order of PHOTO_FIELDS.

    Times are written in ISO 8601 with UTC offset, a missing value as `null`.
    """
    columns = [[canonical_json(_plain(value)) for value in table[name].to_pylist()] for name in PHOTO_FIELDS]
    return [list(row) for row in zip(*columns, strict=True)]


def digest(header: Mapping[str, Any], rows: Sequence[Sequence[bytes]]) -> str:
    """Return sha256 over the canonical header and then each canonical row, a line each, as 64 hex digits."""
    state = hashlib.sha256(canonical_json(header))
    for row in rows:
        state.update(b"\n[" + b",".join(row) + b"]")
    return state.hexdigest()


def checks(rows: Sequence[Sequence[bytes]]) -> dict[str, Any]:
    """Return the checksums that let a reader name what was changed: one a column, one a row (or a block of rows)."""
    block = max(1, -(-len(rows) // _MOST_ROW_CHECKS))
    return {
        "columns": {name: _crc(row[i] for row in rows) for i, name in enumerate(PHOTO_FIELDS)},
        "rows_per_check": block,
        "rows": "".join(_crc(b",".join(row) for row in rows[at : at + block]) for at in range(0, len(rows), block)),
    }


def find_change(expected: Mapping[str, Any], rows: Sequence[Sequence[bytes]]) -> tuple[int | None, str | None]:
    """Return the first row (of a block of `rows_per_check`) and the first column that differ from the checksums.

    None where everything agrees, or where the checksums do not fit the table at all.
    """
    found = checks(rows)
    column = next((name for name in PHOTO_FIELDS if expected["columns"].get(name) != found["columns"][name]), None)
    if expected["rows_per_check"] != found["rows_per_check"] or len(expected["rows"]) != len(found["rows"]):
        return None, column
    pairs = zip(_eights(expected["rows"]), _eights(found["rows"]), strict=True)
    number = next((i for i, (then, now) in enumerate(pairs) if then != now), None)
    return (None if number is None else number * int(found["rows_per_check"])), column


def _eights(text: str) -> list[str]:
    return [text[at : at + 8] for at in range(0, len(text), 8)]


def _crc(parts: Iterable[bytes]) -> str:
    value = 0
    for part in parts:
        value = zlib.crc32(part + b"\n", value)
    return f"{value:08x}"


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
