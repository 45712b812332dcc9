"""The manifest: the one contract between the collector and the benchmark.

A manifest is a folder with `photos.parquet` (rows sorted by photo_id) and `manifest.json` (what defines the data, and
its digest). docs/manifest-format.md describes both. The same rows and header give the same bytes.

`schema.FORMATS` says what each format number means. A manifest keeps its format, and with it its digest, for ever.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from importlib.metadata import version as installed
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from collector.errors import DataError, UsageError, one_line
from collector.labels import LabelTree
from collector.manifest import digest as digests
from collector.manifest import schema
from collector.manifest.header import FETCH, Header, Stored, check_header, defining, json_of, read_header, version_key
from collector.manifest.photo_rows import PhotoRows
from collector.manifest.read_table import damaged_part, decoded, decoded_schema, open_parquet
from collector.manifest.schema import FORMAT, FORMATS
from collector.records import PHOTO_FIELDS, SPLITS, Photo
from collector.regions import Misplaced, misplaced
from collector.workspace import Workspace, draft_of, remove_drafts

if TYPE_CHECKING:
    import pandas as pd


__all__ = [
    "FORMAT",
    "Header",
    "Manifest",
    "Side",
    "Stored",
    "build_manifest",
    "read_header",
    "read_manifest",
    "version_key",
    "write_manifest",
]

_ROW_GROUP = 4096  # a damaged page is located to within as many rows


@dataclass(frozen=True, slots=True, repr=False)
class Manifest:
    """A data set.

    Attributes:
        header: what defines it, beside the rows.
        table: the rows, sorted by photo_id, with the schema `schema.ARROW`; what an older format lacks is null.
        digest: of header and rows, 64 hex digits.
        tool: the version of t15 that made it.
        format: number of its layout.
        extra: columns of its file that this t15 does not know, row by row as `table`; None where there are none.
        extra_digest: of those columns, empty where there are none.
        checks: checksums of columns and rows.
        folder: where it was read from; None where it was made here. What lies beside it there is none of its own.
    """

    header: Header
    table: pa.Table
    digest: str
    tool: str = ""
    format: int = FORMAT
    extra: pa.Table | None = None
    extra_digest: str = ""
    checks: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    folder: Path | None = field(default=None, repr=False, compare=False)
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that its format has, then those that this t15 does not know."""
        return (*FORMATS[self.format].columns, *(self.extra.column_names if self.extra is not None else ()))

    @property
    def rows(self) -> pa.Table:
        """The rows with exactly `columns`."""
        table = self.table.select(list(FORMATS[self.format].columns))
        if self.extra is not None:
            for name in self.extra.column_names:
                table = table.append_column(name, self.extra[name])
        return table

    def beside(self, name: str) -> list[str | None] | None:
        """Return a column of texts beside those of its format, by row; None where it has none of this name."""
        if self.extra is None or name not in self.extra.column_names:
            return None
        return [value if isinstance(value, str) else None for value in self.extra[name].to_pylist()]

    @property
    def labels(self) -> LabelTree:
        """The tree of its cities and its other labels."""
        return LabelTree.of(self.header)

    def __repr__(self) -> str:
        sides = ", ".join(f"{side} {sum(city[side] for city in self.counts().values())}" for side in SPLITS)
        return f"<Manifest {self.header.name} {self.header.version}: {len(self.header.cities)} cities, {sides}>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame, sorted by photo_id."""
        frame: pd.DataFrame = self.rows.to_pandas()
        return frame

    def split(self, side: str) -> "Side":
        """Return one side, `train`, `val` or `test`, as a sequence of photos.

        Raises:
            UsageError: there is no such side.
        """
        if side not in SPLITS:
            raise UsageError(f"side {side!r}: a manifest has {', '.join(SPLITS)}")
        return Side(self, side)

    def outside(self) -> list[Misplaced]:
        """Return the photos whose place lies outside of their city's radius, by row: the header claims that none does."""
        labels, latitude, longitude = (self.table[name] for name in ("city", "latitude", "longitude"))
        places = latitude.to_numpy(), longitude.to_numpy()
        # Each city's slug is one text, however many photos have it.
        encoded = labels.combine_chunks().dictionary_encode()
        slugs = np.array([*encoded.dictionary.to_pylist(), ""], dtype=object)
        return misplaced(self.header.cities, slugs[np.asarray(encoded.indices)].tolist(), *places, nearest=False)

    def photos(self, split: str) -> list[Photo]:
        """Return the photos of one side, `train`, `val` or `test`, sorted by photo_id."""
        if split not in self._cache:
            by_side: dict[str, list[Photo]] = {side: [] for side in SPLITS}
            for photo in self._all_photos():
                by_side[str(photo.split)].append(photo)
            self._cache.update(by_side)
        return list(self._cache[split])

    def _all_photos(self) -> Iterator[Photo]:
        for batch in self.table.to_batches(max_chunksize=_ROW_GROUP):
            yield from map(Photo, *(column.to_pylist() for column in batch.columns))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of photos by city and side, cities in the header's order."""
        counts = {city.slug: dict.fromkeys(SPLITS, 0) for city in self.header.cities}
        groups = self.table.group_by(["city", "split"]).aggregate([([], "count_all")])
        for row in groups.to_pylist():
            counts[row["city"]][row["split"]] = row["count_all"]
        return counts


def this_tool() -> str:
    """Return the name and version of what writes manifests here: `t15 1.2.3`."""
    return f"t15 {installed('t15')}"


@dataclass(frozen=True, slots=True, repr=False)
class Side(Sequence[Photo]):
    """One side of a manifest: a sequence of its photos, sorted by photo_id, that prints in a line."""

    manifest: Manifest
    name: str

    def __len__(self) -> int:
        return len(self.manifest.photos(self.name))

    @overload
    def __getitem__(self, position: int) -> Photo: ...
    @overload
    def __getitem__(self, position: slice) -> list[Photo]: ...
    def __getitem__(self, position: int | slice) -> Photo | list[Photo]:
        return self.manifest.photos(self.name)[position]

    def __repr__(self) -> str:
        return f"<{self.name} of {self.manifest.header.name} {self.manifest.header.version}: {len(self)} photos>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return this side's rows as a data frame, numbered from 0."""
        frame = self.manifest.to_pandas()
        return frame[frame["split"] == self.name].reset_index(drop=True)


def build_manifest(header: Header, photos: Iterable[Photo], tool: str) -> Manifest:
    """Return a manifest of `photos` in any order, in the newest format.

    Where the header has labels beside the cities, a photo without a label gets the finest one that holds its place.

    Raises:
        UsageError: the name or the version is not one.
        DataError: a photo is not fit for a manifest; the message says which, and why.
    """
    check_header(header)
    labels = LabelTree.of(header) if header.labels else None
    table = _rows_of(header, photos, labels)
    fault = schema.first_fault(table, *_allowed(header))
    if fault:
        raise DataError(f"photos of {header.name}: {fault}")
    summary = _summary(defining(header, FORMAT), table, FORMATS[FORMAT].columns)
    return Manifest(header, table, summary.digest, tool, checks=summary.checks())


def _rows_of(header: Header, photos: Iterable[Photo], labels: LabelTree | None) -> pa.Table:
    """Return photos as a table, each with its label; rows that lack none stay as they are."""
    if isinstance(photos, PhotoRows) and labels is None:
        return pa.Table.from_arrays(photos.table.columns, schema=schema.ARROW)
    ordered = sorted((_ready(photo, labels) for photo in photos), key=attrgetter("photo_id"))
    columns = zip(*map(attrgetter(*PHOTO_FIELDS), ordered), strict=True) if ordered else ([] for _ in PHOTO_FIELDS)
    arrays = [_column(header.name, of, list(values), ordered) for of, values in zip(schema.ARROW, columns, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema.ARROW)


def with_columns(manifest: Manifest, columns: Mapping[str, Mapping[str, str]]) -> Manifest:
    """Return a manifest with columns beside those of its format: texts by photo_id, null where there is none.

    They have a digest of their own, so that the data set stays the same. Columns without any value are left out.
    """
    columns = {name: of for name, of in columns.items() if of}
    ids = manifest.table["photo_id"].to_pylist() if columns else []
    values = {name: [of.get(photo_id) for photo_id in ids] for name, of in columns.items()}
    arrays = {name: pa.array(of, pa.string()) for name, of in values.items() if any(one is not None for one in of)}
    if not arrays:
        return manifest
    extra = pa.table(arrays)
    return replace(manifest, extra=extra, extra_digest=_extra_digest(Path(manifest.header.name), extra))


def _summary(header: Mapping[str, Any], table: pa.Table, columns: Sequence[str]) -> digests.Summary:
    return digests.summarise(header, table.select(list(columns)).to_batches(), columns, table.num_rows)


def _allowed(header: Header) -> tuple[list[str], list[str]]:
    return [city.slug for city in header.cities], [label.id for label in header.labels]


def _ready(photo: Photo, labels: LabelTree | None) -> Photo:
    # Arrow drops the offset of other zones once pandas' conversions are registered (seen with pyarrow 26.0.1).
    taken_at = photo.taken_at.astimezone(UTC) if photo.taken_at else None
    label = photo.label
    if labels and label is None and photo.city in labels.by_id:
        label = labels.finest(photo.city, photo.latitude, photo.longitude).id
    return replace(photo, taken_at=taken_at, label=label)


def _column(name: str, of: pa.Field, values: list[Any], photos: list[Photo]) -> pa.Array:
    try:
        return pa.array(values, of.type)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        for value, photo in zip(values, photos, strict=True):
            try:
                pa.array([value], of.type)
            except (pa.ArrowException, OverflowError, TypeError, ValueError) as reason:
                said = f"photo {photo.photo_id!r}, column {of.name}: the value does not fit ({one_line(reason)})"
                raise DataError(f"photos of {name}: {said}") from error
        raise


def write_manifest(manifest: Manifest, folder: Path, *, dry_run: bool = False) -> bool:
    """Write the manifest as `folder`, whole or not at all; return False when exactly it is there already.

    With `dry_run` nothing is written; the answer is the same.

    Raises:
        UsageError: another manifest is there: a published version never changes.
    """
    if folder.exists():
        if folder.is_dir() and (folder / "manifest.json").is_file() and read_manifest(folder).digest == manifest.digest:
            return False
        raise UsageError(f"{folder}: is there already and differs; a version never changes: give another --version")
    if dry_run:
        return True
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_drafts(folder.parent)
    draft = draft_of(folder)
    try:
        draft.mkdir()
        pq.write_table(
            manifest.rows,
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


def read_manifest(folder: Path | str) -> Manifest:
    """Return the manifest in `folder`, after checking its schema and its digest.

    Columns that this t15 does not know are kept as `Manifest.extra`; a column without any value may be missing.

    Raises:
        UsageError: there is no manifest.
        DataError: it is damaged or was changed, or a newer t15 made it; the message names the file, the row and the
            column where it can.
    """
    path = json_of(Path(folder))
    stored = read_header(path)
    rows_path = path.with_name("photos.parquet")
    table, extra, missing = _read_rows(rows_path, stored)
    try:
        summary = _summary(defining(stored.header, stored.format), table, FORMATS[stored.format].columns)
    except (ValueError, UnicodeError) as error:
        raise DataError(f"{path}: holds a value that JSON has no spelling for ({error}); {FETCH}") from error
    if summary.digest != stored.digest:
        raise DataError(_describe_change(path, table, stored, summary, missing))
    extra_digest = _extra_digest(rows_path, extra)
    if stored.extra is not None and stored.extra != extra_digest:
        names = ", ".join(extra.column_names[:5]) if extra is not None else "that are missing"
        raise DataError(f"{rows_path}: columns unknown to this t15 ({names}): not as published; {FETCH}")
    manifest = Manifest(
        *(stored.header, table, summary.digest, stored.tool, stored.format, extra, extra_digest),
        summary.checks(),
        path.parent,
    )
    if (stored.counts, stored.photos) != (manifest.counts(), table.num_rows):
        raise DataError(f"{path}: its counts are not those of the rows; {FETCH}")
    return manifest


def _header_json(manifest: Manifest) -> bytes:
    content = {
        **defining(manifest.header, manifest.format),
        "counts": manifest.counts(),
        "photos": manifest.table.num_rows,
        "tool": manifest.tool,
        "digest": manifest.digest,
        "checks": manifest.checks,
    }
    if manifest.extra is not None:
        content["extra"] = {"columns": manifest.extra.column_names, "digest": manifest.extra_digest}
    return (json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _read_rows(path: Path, stored: Stored) -> tuple[pa.Table, pa.Table | None, list[str]]:
    """Return the rows under ARROW, the columns that t15 does not know, and the names of those that are missing.

    Each batch is checked before the next one is decoded, so that nonsense ends early.

    Raises:
        DataError: the file or a value is wrong.
    """
    known = FORMATS[stored.format].columns
    try:
        file = open_parquet(path, rows_per_byte=1)  # a photo_id is on one row only
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing; {FETCH}") from error
    except (OSError, ValueError, pa.ArrowException) as error:  # a damaged name in the footer: UnicodeDecodeError
        raise DataError(f"{path}: is truncated or no Parquet file ({one_line(error)}); {FETCH}") from error
    with file:
        names = file.schema_arrow.names
        missing = [name for name in known if name not in names]
        for name in (*names, *(name for name in missing if not schema.ARROW.field(name).nullable)):
            if names.count(name) != 1:
                raise DataError(f"{path}: column {name[:60]} is there {names.count(name)} times, not once; {FETCH}")
        unknown = [name for name in names if name not in known]
        tables, extras, rows = [schema.ARROW.empty_table()], [decoded_schema(file, unknown).empty_table()], 0
        try:
            for batch in decoded(path, file, names):
                table = _known_columns(path, batch, known)
                if fault := schema.first_fault(table, *_allowed(stored.header), rows):
                    raise DataError(f"{path}: {fault}")
                tables.append(table)
                extras.append(pa.Table.from_batches([batch.select(unknown)]))
                rows += batch.num_rows
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path}: {damaged_part(file, names)}: {one_line(error)}; {FETCH}") from error
    whole = pa.concat_tables(tables)
    if (row := schema.repeated(whole["photo_id"])) is not None:
        raise DataError(f"{path}: {schema.row_name(whole, row)}, column photo_id: must be unique")
    return whole, pa.concat_tables(extras) if unknown else None, missing


def _known_columns(path: Path, batch: pa.RecordBatch, known: Sequence[str]) -> pa.Table:
    """Return a batch under ARROW; columns that it lacks, or that its format does not have, are null.

    Raises:
        DataError: a column is of another type.
    """
    columns = []
    for of in schema.ARROW:
        there = of.name in known and of.name in batch.schema.names
        try:
            columns.append(batch.column(of.name).cast(of.type) if there else pa.nulls(batch.num_rows, of.type))
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"{path}: column {of.name}: {one_line(error)}") from error
    return pa.Table.from_arrays(columns, schema=schema.ARROW)


def _extra_digest(path: Path, extra: pa.Table | None) -> str:
    if extra is None:
        return ""
    names = sorted(extra.column_names)
    try:
        return digests.summarise({}, extra.to_batches(), names, extra.num_rows, any_type=True).digest
    except (ArithmeticError, ValueError, RecursionError) as error:  # a time beyond Python's, a text that is none
        raise DataError(f"{path}: columns unknown to this t15: cannot be read ({one_line(error)})") from error


def _describe_change(
    path: Path, table: pa.Table, stored: Stored, found: digests.Summary, missing: Sequence[str]
) -> str:
    try:
        row, column = digests.find_change(stored.checks, found)
        block = int(stored.checks["rows_per_check"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return f"{path}: its checks are damaged, and rows or header are not as published; fetch it again"
    if row is None and column is None:
        return f"{path}: was changed (the rows are as published); {FETCH}"
    if row is not None and column in missing:
        return f"{path.with_name('photos.parquet')}: column {column} is there 0 times, not once; {FETCH}"
    if row is None:
        where = "rows were added or removed"
    elif block == 1:
        where = schema.row_name(table, row)
    else:
        where = f"rows {row} to {min(row + block, table.num_rows) - 1}"
    changed = f", column {column}: the value is not the published one" if column else ": out of order"
    return f"{path.with_name('photos.parquet')}: {where}{changed}; {FETCH}"


def versions(manifests: Path, name: str) -> list[str]:
    """Return the versions of the data set `name` under `manifests`, oldest first; folders that are none are ignored."""
    found = []
    for path in (manifests / name).glob("*/manifest.json"):
        try:
            version_key(path.parent.name)
        except UsageError:
            continue
        found.append(path.parent.name)
    return sorted(found, key=version_key)


def newest_manifest(manifests: Path) -> Path:
    """Return the folder of the newest manifest: the highest version of the data set that was last written to.

    Raises:
        UsageError: there is none.
    """
    names = {path.parent.parent.name for path in manifests.glob("*/*/manifest.json")}
    known = {name: found for name in sorted(names) if (found := versions(manifests, name))}
    if not known:
        raise UsageError(f"{manifests}: holds no manifest yet; `t15 split` makes one, --manifest names one elsewhere")

    def written(name: str) -> int:
        return max((manifests / name / of / "manifest.json").stat().st_mtime_ns for of in known[name])

    name = max(known, key=written)
    return manifests / name / known[name][-1]


def next_version(previous: Manifest, photos: dict[str, tuple[str, str]]) -> str:
    """Return the version after `previous` for a data set with these assignments (photo_id to city and side).

    The rule: major when a photo's city or side changed or a photo is gone, minor when photos were only added, patch when
    neither did (then only metadata changed).
    """
    columns = (previous.table[name].to_pylist() for name in ("photo_id", "city", "split"))
    before = {photo_id: (city, side) for photo_id, city, side in zip(*columns, strict=True)}
    major, minor, patch = version_key(previous.header.version)
    if any(photos.get(photo_id) != then for photo_id, then in before.items()):
        return f"{major + 1}.0.0"
    if len(photos) > len(before):
        return f"{major}.{minor + 1}.0"
    return f"{major}.{minor}.{patch + 1}"


def partial_folder(manifest: Manifest, workspace: Workspace) -> Path:
    """Return where a rehydration writes the manifest of what it got, when that is not all of `manifest`."""
    return workspace.rehydrated / manifest.digest[:16] / manifest.header.name / manifest.header.version
