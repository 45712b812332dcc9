"""Bring somebody's data set into a workspace: what it says of its photos, the photos from disk or by their service."""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from collector.areas import grid, region_of_labels
from collector.catalogue.catalogue import open_catalogue
from collector.errors import DataError, UsageError, first_few
from collector.images.exif import clean_text
from collector.imports.kinds import Kind
from collector.imports.records import SPOILT
from collector.manifest.columns import PLACE, Values, choose
from collector.manifest.foreign import SIDES
from collector.manifest.photo_table import ALIASES, PhotoTable, Row, table_of
from collector.manifest.read_table import Source, open_table
from collector.providers.registry import SERVICES
from collector.records import Photo, Region, normal_id
from collector.regions import fold, nearest_city, slugs_by_name
from collector.text_table import counted
from collector.workspace import Workspace, exclusive, replacing, storage_errors

_SPLIT_COLUMNS = ("split", "role")


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set as it was read.

    Attributes:
        kind: what it is.
        table: its rows, with its other columns.
        region: its labels as cities.
        root: where its photos lie, where it says so itself.
        origins: `service:id` of each row, None where the service is not one that t15 asks.
        sides: what the data set says of each row's side; empty where it says nothing.
    """

    kind: Kind
    table: PhotoTable
    region: Region
    root: Path | None
    origins: Sequence[str | None]
    sides: Sequence[str | None]


def read_data_set(
    kind: Kind,
    path: Path,
    unpacked: Path,
    columns: Mapping[str, str] | None = None,
    region: Region | None = None,
    grid_km: float | None = None,
    name: str = "imported",
) -> DataSet:
    """Read what a data set says of its photos.

    Args:
        kind: as `kinds.KINDS` has it.
        path: its table, or its folder.
        unpacked: folder that pictures from archives are written below.
        columns: what its columns are, where that is not as the kind says.
        region: whose cities the labels are; None for one that is made of the labels, or of a grid.
        grid_km: makes the squares of a grid the labels.
        name: of the region that is made.

    Raises:
        UsageError: there is no such file, folder or column.
        DataError: something in it is wrong; the message says where.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if kind.reader is None and path.is_dir():
        raise UsageError(f"{path}: is a folder; give the table of {kind.title}, and its photos with --root DIR")
    records = kind.reader(path, unpacked) if kind.reader else None
    source = records.source() if records else open_table(path)
    given = {ALIASES.get(of, of): theirs for of, theirs in (columns or {}).items()}
    chosen = choose(source, given, kind.columns)
    table = table_of(_rewritten(kind, source, chosen), chosen, keep=True)
    origins = [_origin(kind, table.values, number) for number in range(len(table))]
    table = _with_pages(kind, table, origins)
    if grid_km is not None:
        table, region = _on_grid(table, name, grid_km, kind.title)
    elif region is None:
        region = region_of_labels(name, f"{kind.title}: its labels", _labels(table))
    return DataSet(kind, table, region, records.root if records else None, origins, _sides(table, path))


def _rewritten(kind: Kind, source: Source, chosen: Mapping[str, str]) -> Source:
    """Return the table with licences that are numbers as ids, cities of one name in two countries told apart, and cells that
    spreadsheet programs spoilt left empty; column by column, since data sets have millions of rows."""

    def read(names: Sequence[str]) -> pa.Table:
        raw = source.read(names)
        values = Values(source, chosen, raw)
        columns = {name: _without(raw[name], SPOILT) for name in names}
        licence, city, country = (chosen.get(name) for name in ("license", "city", "country"))
        if kind.licence_codes and licence in columns:
            columns[licence] = _renamed(values.text("license"), lambda code: kind.licence_codes.get(code, code))
        if city in columns and country in columns:
            columns[city] = _told_apart(values.text("city"), values.text("country"))
        return pa.table(columns)

    return replace(source, read=read)


def _without(column: pa.ChunkedArray, texts: Sequence[str]) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column
    return pc.if_else(pc.is_in(column, pa.array(texts)), pa.scalar(None, pa.string()), column)


def _renamed(column: pa.ChunkedArray, rename: Callable[[str], str]) -> pa.Array:
    """Return a column of texts after renaming each that there is, once."""
    codes = column.combine_chunks().dictionary_encode()
    return pa.array([rename(text) for text in codes.dictionary.to_pylist()], pa.string()).take(codes.indices)


def _told_apart(cities: pa.ChunkedArray, countries: pa.ChunkedArray) -> pa.Array:
    """Return the cities' names, with their country where cities of several countries have one name."""
    pairs = pa.table({"city": cities, "country": countries})
    countries_of: dict[str, set[str]] = defaultdict(set)
    for pair in pairs.group_by(["city", "country"]).aggregate([]).to_pylist():
        countries_of[fold(pair["city"] or "")].add(pair["country"] or "")
    is_shared = _renamed(cities, lambda city: "yes" if len(countries_of[fold(city)]) > 1 else "no")
    with_country = pc.binary_join_element_wise(cities, countries, ", ")  # null where either is
    apart = pc.and_(pc.equal(is_shared, "yes"), pc.is_valid(with_country))
    return pc.if_else(pc.fill_null(apart, False), with_country, cities)


def _origin(kind: Kind, values: Mapping[str, Sequence[Any]], number: int) -> str | None:
    """Return `service:id` of a row's photo; None where its service is not one that t15 asks."""
    if "origin_id" in values:
        native = values["origin_id"][number]
    else:
        match = re.search(kind.origin_pattern, values["file"][number]) if kind.origin_pattern else None
        native = match[1] if match else None
    word = values["origin"][number] if "origin" in values else None
    service = kind.origin_words.get((word or "").casefold(), "") if "origin" in values else kind.origin
    if service not in SERVICES or native is None or not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", native):
        return None
    return f"{service}:{native}"


def _with_pages(kind: Kind, table: PhotoTable, origins: Sequence[str | None]) -> PhotoTable:
    """Return the table with addresses of pages, where the kind knows them and the table does not."""
    if not kind.page or "page" in table.values:
        return table
    pages = [kind.page.format(origin.partition(":")[2]) if origin else None for origin in origins]
    return replace(table, values={**table.values, "page": pages})


def _on_grid(table: PhotoTable, name: str, km: float, title: str) -> tuple[PhotoTable, Region]:
    if "latitude" not in table.values:
        raise UsageError(
            f"{table.path}: no column tells the place, so that there are no squares; name it with --column latitude=NAME "
            "and --column longitude=NAME"
        )
    columns = (table.values[name] for name in PLACE)
    places = [(latitude, longitude) for latitude, longitude in zip(*columns, strict=True) if latitude is not None]
    region = grid(name, f"{title}: squares of {km:g} km", km, places)
    kept = dict(table.kept)
    if "city" in table.values:
        kept[table.columns["city"]] = pa.chunked_array([pa.array(table.values["city"], pa.string())])
    return replace(table, values={of: v for of, v in table.values.items() if of != "city"}, kept=kept), region


def _labels(table: PhotoTable) -> list[tuple[str, float, float]]:
    if "city" not in table.values:
        raise UsageError(
            f"{table.path}: no column tells the label; name it with --column city=NAME, make squares the labels with "
            "--grid KM, or name the cities with --region"
        )
    if "latitude" not in table.values:
        raise UsageError(
            f"{table.path}: no column tells the place, so that its labels have none; name a region whose cities are these "
            "labels with --region"
        )
    rows = zip(*(table.values[name] for name in ("city", "latitude", "longitude")), strict=True)
    return [
        (city, latitude, longitude) for city, latitude, longitude in rows if city is not None and latitude is not None
    ]


def _sides(table: PhotoTable, path: Path) -> list[str | None]:
    """Return what the data set says of sides: a column, or the name of its file (`train.csv`)."""
    if "split" in table.values:
        return list(table.values["split"])
    for name in _SPLIT_COLUMNS:
        if name in table.kept:
            sides: list[str | None] = table.kept[name].to_pylist()
            return sides
    side = SIDES.get(path.stem.casefold())
    return [side] * len(table) if side else []


def write_sides(data: DataSet, path: Path) -> bool:
    """Write the data set's own split as a table for `t15 split --given`; return whether it has one.

    Raises:
        IncompleteError: the disk is full.
    """
    if not any(data.sides):
        return False
    with storage_errors(path), replacing(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(("file", "photo_id", "split"))
        for number, side in enumerate(data.sides):
            if side:
                writer.writerow((data.table.values["file"][number], data.origins[number] or "", side))
        text.detach()
    return True


def require_own_region(workspace: Workspace, region: Region) -> None:
    """Make sure that a region that was made takes no other one's place: many data sets have a `train.csv`.

    Raises:
        UsageError: the workspace has one of this name that was made of something else.
    """
    if not workspace.catalogue.is_file():
        return
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        known = {of.name: of for of in catalogue.regions()}.get(region.name)
    slugs = {city.slug for city in region.cities}
    if known and (known.title != region.title or slugs.isdisjoint(city.slug for city in known.cities)):
        raise UsageError(
            f"the workspace {workspace.root} has another region {region.name} ({known.title[:80]}); name this one with --name"
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """What `list_photos` did.

    Attributes:
        listed: photos that are new in the catalogue, whose pictures their service has; by service.
        known: photos that were there already.
        left_out: rows that no photo was made of, by why.
    """

    listed: Mapping[str, int]
    known: int
    left_out: Mapping[str, int]


def list_photos(workspace: Workspace, data: DataSet, licence: str) -> Listed:
    """Write down the photos of a data set whose pictures are not here, for `t15 collect --listed` to fetch.

    Raises:
        DataError: none of its photos is of a service that t15 asks.
    """
    if not any(data.origins):
        raise DataError(
            f"{data.table.path}: its photos are of no service that t15 asks ({', '.join(SERVICES)}); say where they lie with "
            "--root DIR"
        )
    slugs = slugs_by_name(data.region)
    listed: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    known = 0
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        catalogue.remember_region(data.region)
        with catalogue.together():
            for number, origin in enumerate(data.origins):
                row = data.table.row(number)
                city = _city_of(row, data.region, slugs)
                if origin is None or city is None:
                    left_out["of another service" if origin is None else "of no city of the region"] += 1
                elif catalogue.known(origin) is not None:
                    known += 1
                else:
                    catalogue.list_photo(_photo(origin, city, row, licence))
                    catalogue.beside.write(origin, data.table.beside(number))
                    listed[origin.partition(":")[0]] += 1
    return Listed(dict(listed), known, dict(left_out))


def _city_of(row: Row, region: Region, slugs: Mapping[str, str]) -> str | None:
    if row.city is not None:
        return slugs.get(fold(row.city))
    nearest = (
        None if row.latitude is None or row.longitude is None else nearest_city(region, row.latitude, row.longitude)
    )
    return nearest.slug if nearest else None


def _photo(origin: str, city: str, row: Row, licence: str) -> Photo:
    service = origin.partition(":")[0]
    return Photo(
        photo_id=origin,
        city=city,
        latitude=row.latitude,
        longitude=row.longitude,
        taken_at=row.time,
        author_id=f"{service}:{normal_id(row.author_id)}" if row.author_id else None,
        author_name=clean_text(row.author) if row.author else None,
        license=row.license or licence,
        page_url=row.page,
        title=clean_text(row.title) if row.title else None,
        heading=row.heading,
        sequence_id=f"{service}:{normal_id(row.sequence)}" if row.sequence else None,
    )


def described(data: DataSet) -> str:
    """Return a line that says what was read, and as what."""
    kept = f"; kept as they are: {first_few(data.table.others, most=8)}" if data.table.others else ""
    taken = [ours if ours == theirs else f"{ours} from {theirs}" for ours, theirs in data.table.columns.items()]
    return (
        f"{data.kind.title}: {counted(len(data.table), 'photos')}, {counted(len(data.region.cities), 'labels')}; "
        f"columns: {', '.join(taken)}{kept} "
        "(--column city=NAME names another)"
    )
