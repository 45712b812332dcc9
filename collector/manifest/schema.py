"""The columns of a manifest: their types, and what a value has to be. The one place that says so."""

import re

import numpy as np
import pandas as pd
import pandera.pandas as pa_schema
import pyarrow as pa

from collector.records import PHOTO_FIELDS, SPLITS

ARROW = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False),
        pa.field("city", pa.string(), nullable=False),
        pa.field("latitude", pa.float64()),
        pa.field("longitude", pa.float64()),
        pa.field("taken_at", pa.timestamp("us", tz="UTC")),
        pa.field("author_id", pa.string()),
        pa.field("author_name", pa.string()),
        pa.field("license", pa.string(), nullable=False),
        pa.field("page_url", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("title", pa.string()),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("phash", pa.string()),
        pa.field("dhash", pa.string()),
        pa.field("group_id", pa.string()),
        pa.field("split", pa.string(), nullable=False),
    ]
)
"""The Parquet schema. Times are UTC to the microsecond; coordinates are WGS84 degrees."""

# Pixels of drawn or photographed pictures; a photo of 2**20 pixels on a side does not exist.
_MAX_SIDE = 1 << 20
_HEX16 = re.compile(r"[0-9a-f]{16}")
_HEX64 = re.compile(r"[0-9a-f]{64}")
# A key or a signature in a URL would be published with the manifest: Street View's `key` and `signature`, Flickr's
# `api_key`, Mapillary's and others' `access_token`, signed links to storage (`X-Amz-Signature`, `X-Goog-Signature`, `sig`,
# the `oh` and `oe` of Mapillary's thumbnails), and a password before the host.
SECRET = re.compile(
    r"[?&;#](?:key|[a-z-]*api_?key|[a-z-]*signature|sig|[a-z_]*token|secret|[a-z-]*credential|oh|oe)=|//[^/?#]*:[^/?#]*@",
    re.IGNORECASE,
)
"""What an address with a key or a signature in it looks like."""

_NO_SECRET = "must not carry a key or a signature"  # noqa: S105


def _check(description: str, test: object) -> pa_schema.Check:
    return pa_schema.Check(test, error=description, ignore_na=True)


def _text(description: str, pattern: re.Pattern[str]) -> pa_schema.Check:
    return _check(description, lambda column: column.astype("string").str.fullmatch(pattern, na=False))


def _between(low: int, high: int) -> pa_schema.Check:
    return _check(f"must be from {low} to {high}", lambda column: column.between(low, high))


def _in_photographic_time(column: "pd.Series[pd.Timestamp]") -> "pd.Series[bool]":
    return column.between(pd.Timestamp("1800-01-01", tz="UTC"), pd.Timestamp("2201-01-01", tz="UTC"))


def _no_secret() -> pa_schema.Check:
    return _check(
        _NO_SECRET,
        lambda column: ~column.astype("string").str.contains(SECRET, na=False),
    )


def rows(cities: list[str]) -> pa_schema.DataFrameSchema:
    """Return the schema of a manifest's rows, whose labels must be among `cities` (slugs)."""
    column = pa_schema.Column
    checks: dict[str, list[pa_schema.Check]] = {
        "photo_id": [_text("must be provider:native-id", re.compile(r"[a-z0-9_-]+:\S+"))],
        "city": [_check("must be a city of manifest.json", lambda values: values.isin(cities))],
        "latitude": [_between(-90, 90)],
        "longitude": [_between(-180, 180)],
        "taken_at": [_check("must be of the years 1800 to 2200", _in_photographic_time)],
        "license": [_text("must be an SPDX id or LicenseRef-…", re.compile(r"[A-Za-z0-9.+-]+"))],
        "page_url": [_no_secret()],
        "image_url": [_no_secret()],
        "width": [_between(1, _MAX_SIDE)],
        "height": [_between(1, _MAX_SIDE)],
        "bytes": [_between(1, 1 << 40)],
        "sha256": [_text("must be 64 hex digits", _HEX64)],
        "phash": [_text("must be 16 hex digits", _HEX16)],
        "dhash": [_text("must be 16 hex digits", _HEX16)],
        "split": [_check(f"must be one of {', '.join(SPLITS)}", lambda values: values.isin(SPLITS))],
    }
    return pa_schema.DataFrameSchema(
        {
            name: column(
                checks=checks.get(name, []),
                nullable=ARROW.field(name).nullable,
                unique=name == "photo_id",
                required=True,
            )
            for name in PHOTO_FIELDS
        }
    )


def first_fault(frame: pd.DataFrame, cities: list[str]) -> str | None:
    """Return what is wrong with the first wrong value, as `row 12 (photo_id …), column latitude: …`, or None.

    Rows are counted from 0, in the order of `frame`.
    """
    half = frame["latitude"].isna() != frame["longitude"].isna()
    if half.any():
        row = int(half.to_numpy().argmax())
        return f"{place(frame, row)}, column latitude: latitude and longitude must both be known or both be missing"
    try:
        rows(cities).validate(frame, lazy=True)
    except pa_schema.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        case = cases.sort_values("index", kind="stable", na_position="last").iloc[0]
        if pd.isna(case["index"]):
            return f"column {case['column']}: {case['check']}"
        rule = {"not_nullable": "must not be missing", "field_uniqueness": "must be unique"}.get(
            str(case["check"]), str(case["check"])
        )
        # A value with a key in it must not be printed.
        seen = "" if rule == _NO_SECRET else f"{_seen(case['failure_case'])} "
        return f"{place(frame, int(case['index']))}, column {case['column']}: {seen}{rule}"
    return None


def place(frame: pd.DataFrame, row: int) -> str:
    """Return how a row is named in an error."""
    return f"row {row} (photo_id {_seen(frame['photo_id'].iloc[row])})"


def _seen(value: object) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:57]}…"
