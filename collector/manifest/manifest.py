"""The manifest: the one contract between the collector and the benchmark.

A manifest is a folder with `photos.parquet` (rows sorted by photo_id) and `manifest.json` (what defines the data, and
its digest). docs/manifest-format.md describes both. The same rows and header give the same bytes.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from collector.errors import DataError, UsageError
from collector.manifest import digest as digests
from collector.manifest import schema
from collector.records import PHOTO_FIELDS, SPLITS, City, Photo
from collector.workspace import draft_of, remove_drafts

FORMAT = 1
"""Version of the layout; a reader refuses a newer one."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_VERSION = re.compile(r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)")
_ROW_GROUP = 4096  # a damaged page is located to within as many rows


@dataclass(frozen=True, slots=True)
class Header:
    """What defines a manifest's data, beside its rows.

    Attributes:
        name: of the data set, `[a-z0-9-]+`.
        version: semantic version, `major.minor.patch`.
        region: the name of the region that the cities come from.
        title: of the region, for people.
        note: what every reader has to know, such as that the pictures are drawn.
        seed: of the split.
        quotas: photos a city on each side, or fractions of a city's photos; empty where neither was asked for.
        rules: how photos were chosen and assigned, in words that `t15 split` understands.
        cities: the classes, in order, with their centres.
        hashes: algorithms and library versions of the perceptual hashes in the rows.
        parent: version and digest of the manifest that this one extends, None for a first one.
    """

    name: str
    version: str
    region: str
    title: str
    note: str
    seed: int
    quotas: Mapping[str, float]
    rules: Mapping[str, Any]
    cities: tuple[City, ...]
    hashes: tuple[str, ...] = ()
    parent: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A data set: its header, its rows (Arrow, sorted by photo_id, schema of `schema.ARROW`) and their digest."""

    header: Header
    table: pa.Table
    digest: str
    tool: str = ""
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def photos(self, split: str) -> list[Photo]:
        """Return the photos of one side, `train`, `val` or `test`, sorted by photo_id."""
        if split not in self._cache:
            rows = (Photo(**row) for row in self.table.to_pylist())
            by_side: dict[str, list[Photo]] = {side: [] for side in SPLITS}
            for photo in rows:
                by_side[str(photo.split)].append(photo)
            self._cache.update(by_side)
        return list(self._cache[split])

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of photos by city and side, cities in the header's order."""
        empty = {city.slug: dict.fromkeys(SPLITS, 0) for city in self.header.cities}
        for city, side in zip(self.table["city"].to_pylist(), self.table["split"].to_pylist(), strict=True):
            empty[city][side] += 1
        return empty


def build_manifest(header: Header, photos: Iterable[Photo], tool: str) -> Manifest:
    """Return a manifest of `photos` in any order.

    Raises:
        UsageError: the name or the version is not one.
        DataError: a photo is not fit for a manifest; the message says which, and why.
    """
    _check_header(header)
    ordered = sorted((_in_utc(photo) for photo in photos), key=lambda photo: photo.photo_id)
    columns = zip(*(astuple(photo) for photo in ordered), strict=True) if ordered else ([] for _ in PHOTO_FIELDS)
    arrays = [_column(header.name, of, list(values), ordered) for of, values in zip(schema.ARROW, columns, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=schema.ARROW)
    _check_rows(f"photos of {header.name}", header, table)
    return Manifest(header, table, digests.digest(_defining(header), digests.canonical_rows(table)), tool)


def _check_header(header: Header) -> None:
    """Names become folders and parts of pages: nothing but small letters, digits and hyphens is one.

    Raises:
        UsageError: a field is not what it has to be.
    """
    for what, name in (("manifest name", header.name), ("region", header.region)):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"{what} {name!r}: use small letters, digits and hyphens")
    if not isinstance(header.version, str):
        raise UsageError(f"version {header.version!r}: write it as major.minor.patch, such as 1.0.0")
    version_key(header.version)
    for city in header.cities:
        if not isinstance(city.slug, str) or not _NAME.fullmatch(city.slug) or not isinstance(city.name, str):
            raise UsageError(f"city {city.slug!r}: a slug is of small letters, digits and hyphens, a name is text")
    plain = isinstance(header.rules, Mapping) and isinstance(header.quotas, Mapping)
    if not plain or not all(type(quota) in (int, float) for quota in header.quotas.values()):
        raise UsageError("rules and quotas are objects, a quota is a number")
    if header.parent is not None and not isinstance(header.parent, Mapping):
        raise UsageError("parent is an object with a version and a digest, or null")
    if not isinstance(header.title, str) or not isinstance(header.note, str) or type(header.seed) is not int:
        raise UsageError("title and note are text, the seed is a whole number")


def _in_utc(photo: Photo) -> Photo:
    # Arrow drops the offset of other zones once pandas' conversions are registered (seen with pyarrow 26.0.1).
    return replace(photo, taken_at=photo.taken_at.astimezone(UTC)) if photo.taken_at else photo


def _column(name: str, of: pa.Field, values: list[Any], photos: list[Photo]) -> pa.Array:
    try:
        return pa.array(values, of.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        for value, photo in zip(values, photos, strict=True):
            try:
                pa.array([value], of.type)
            except (pa.ArrowException, OverflowError, TypeError, ValueError) as reason:
                said = f"photo {photo.photo_id!r}, column {of.name}: the value does not fit ({_line(reason)})"
                raise DataError(f"photos of {name}: {said}") from error
        raise


def write_manifest(manifest: Manifest, folder: Path) -> bool:
    """Write the manifest as `folder`, whole or not at all; return False when exactly it is there already.

    Raises:
        UsageError: another manifest is there: a published version never changes.
    """
    if folder.exists():
        if folder.is_dir() and (folder / "manifest.json").is_file() and read_manifest(folder).digest == manifest.digest:
            return False
        raise UsageError(f"{folder}: is there already and differs; a version never changes: give another --version")
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder.parent)
    draft = draft_of(folder)
    try:
        draft.mkdir()
        pq.write_table(
            manifest.table,
            draft / "photos.parquet",
            compression="zstd",
            row_group_size=_ROW_GROUP,
            write_page_checksum=True,
        )
        (draft / "manifest.json").write_bytes(_header_json(manifest))
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return True


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in `folder`, after checking its schema and its digest.

    Columns and header fields that this version does not know are ignored, so that a newer minor version can be read.

    Raises:
        UsageError: there is no manifest.
        DataError: it is damaged or was changed; the message names the file, the row and the column where it can.
    """
    folder = folder.parent if folder.name == "manifest.json" and folder.is_file() else folder
    path = folder / "manifest.json"
    if not path.is_file():
        raise UsageError(
            f"{folder}: holds no manifest.json; give the folder of a manifest, such as manifests/NAME/1.0.0"
        )
    header, stored = _read_header(path)
    rows_path = folder / "photos.parquet"
    table = _read_table(rows_path)
    _check_rows(str(rows_path), header, table)
    rows = digests.canonical_rows(table)
    try:
        digest = digests.digest(_defining(header), rows)
    except (ValueError, UnicodeError) as error:
        raise DataError(f"{path}: holds a value that JSON has no spelling for ({error}); fetch it again") from error
    if digest != stored["digest"]:
        raise DataError(_describe_change(folder, table, stored["checks"], rows))
    manifest = Manifest(header, table, digest, str(stored.get("tool", "")))
    if (stored.get("counts"), stored.get("photos")) != (manifest.counts(), table.num_rows):
        raise DataError(f"{path}: its counts are not those of the rows; fetch the manifest again")
    return manifest


def version_key(version: str) -> tuple[int, int, int]:
    """Return a semantic version as numbers to compare by.

    Raises:
        UsageError: it is not `major.minor.patch`.
    """
    match = _VERSION.fullmatch(version)
    if not match:
        raise UsageError(f"version {version!r}: write it as major.minor.patch, such as 1.0.0")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def _defining(header: Header) -> dict[str, Any]:
    return {"format": FORMAT, **asdict(header)}


def _header_json(manifest: Manifest) -> bytes:
    rows = digests.canonical_rows(manifest.table)
    content = {
        **_defining(manifest.header),
        "counts": manifest.counts(),
        "photos": manifest.table.num_rows,
        "tool": manifest.tool,
        "digest": manifest.digest,
        "checks": digests.checks(rows),
    }
    return (json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _read_header(path: Path) -> tuple[Header, dict[str, Any]]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}); fetch the manifest again") from error
    if not isinstance(data, dict) or type(data.get("format")) is not int:
        raise DataError(f"{path}: is no manifest of t15 (no format number)")
    if data["format"] > FORMAT:
        raise DataError(f"{path}: has format {data['format']}, this t15 reads up to {FORMAT}; install a newer t15")
    try:
        cities = tuple(City(**{**city, "aliases": tuple(city["aliases"])}) for city in data["cities"])
        known = {name: data[name] for name in Header.__dataclass_fields__}
        header = Header(**{**known, "cities": cities, "hashes": tuple(data["hashes"])})
        complete = isinstance(data["digest"], str) and {"columns", "rows", "rows_per_check"} <= set(data["checks"])
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: a field is missing or of the wrong kind ({error}); fetch the manifest again"
        ) from error
    try:
        _check_header(header)
    except UsageError as error:
        raise DataError(f"{path}: {error}") from error
    if not complete:
        raise DataError(f"{path}: its digest or checks are missing; fetch the manifest again")
    return header, data


def _read_table(path: Path) -> pa.Table:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing; fetch the manifest again") from error
    except (OSError, ValueError, pa.ArrowException) as error:  # a damaged name in the footer: UnicodeDecodeError
        raise DataError(
            f"{path}: is truncated or no Parquet file ({_line(error)}); fetch the manifest again"
        ) from error
    with file:
        for name in PHOTO_FIELDS:
            if (count := file.schema_arrow.names.count(name)) != 1:
                raise DataError(f"{path}: column {name} is there {count} times, not once; fetch the manifest again")
        try:
            table = file.read(columns=list(PHOTO_FIELDS))
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: {_damaged_part(file)}: {_line(error)}; fetch the manifest again") from error
    try:
        return table.select(list(PHOTO_FIELDS)).cast(schema.ARROW)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(f"{path}: {_wrong_column(table)}: {_line(error)}") from error


def _damaged_part(file: pq.ParquetFile) -> str:
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        for name in PHOTO_FIELDS:
            try:
                file.read_row_group(group, columns=[name])
            except (OSError, pa.ArrowException):
                return f"rows {start} to {end - 1}, column {name}: damaged"
        start = end
    return "damaged"


def _wrong_column(table: pa.Table) -> str:
    for of in schema.ARROW:
        try:
            table.select([of.name]).cast(pa.schema([of]))
        except (pa.ArrowException, ValueError):
            return f"column {of.name}"
    return "columns"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


def _check_rows(where: str, header: Header, table: pa.Table) -> None:
    for name in ("latitude", "longitude"):
        row = pc.index(pc.is_nan(table[name]), True).as_py()
        if row >= 0:
            raise DataError(f"{where}: {schema.place(table.to_pandas(), row)}, column {name}: is no number")
    fault = schema.first_fault(table.to_pandas(), [city.slug for city in header.cities])
    if fault:
        raise DataError(f"{where}: {fault}")


def _describe_change(folder: Path, table: pa.Table, expected: Mapping[str, Any], rows: list[list[bytes]]) -> str:
    try:
        row, column = digests.find_change(expected, rows)
        block = int(expected["rows_per_check"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return f"{folder / 'manifest.json'}: its checks are damaged, and rows or header are not as published; fetch it again"
    if row is None and column is None:
        return f"{folder / 'manifest.json'}: was changed (the rows are as published); fetch the manifest again"
    if row is None:
        where = "rows were added or removed"
    elif block == 1:
        where = schema.place(table.to_pandas(), row)
    else:
        where = f"rows {row} to {min(row + block, table.num_rows) - 1}"
    changed = f", column {column}: the value is not the published one" if column else ": out of order"
    return f"{folder / 'photos.parquet'}: {where}{changed}; fetch the manifest again"
