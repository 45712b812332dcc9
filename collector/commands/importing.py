"""Commands that bring other people's data sets in, and make regions of places."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import UsageError
from collector.options import (
    CityOption,
    ColumnOption,
    JsonOption,
    RegionOption,
    WorkspaceOption,
    listed_cities,
    parse_columns,
    show,
    with_options,
)
from collector.progress import note, track
from collector.text_table import counted, table
from collector.workspace import DEFAULT_WORKSPACE, storage_errors, write_atomically

if TYPE_CHECKING:
    from collector.collecting.collect import Summary
    from collector.imports.importing import DataSet
    from collector.records import Region
    from collector.workspace import Workspace

app = typer.Typer()


@dataclass(frozen=True)
class CitiesOptions:
    """The options of `t15 cities`."""

    region: RegionOption = "turkiye81"
    place: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A town by its name in any language, such as 'Paris, US'; repeat for several."
        ),
    ] = None
    area: Annotated[
        Path | None, typer.Option(metavar="FILE", help="GeoJSON file, each of whose polygons is a city.")
    ] = None
    radius: Annotated[float, typer.Option(metavar="KM", min=0.1, max=500, help="Of the towns of --place.")] = 15
    grid: Annotated[
        float | None,
        typer.Option(
            metavar="KM", help="Squares of so many km: of an --area as cities, else as districts of the cities."
        ),
    ] = None
    city: CityOption = None
    name: Annotated[
        str | None, typer.Option(help="Of the region that is made. Default: that of --area, or of --out.")
    ] = None
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as a region file (TOML), for --region.")
    ] = None
    json: JsonOption = False


@app.command()
@with_options(CitiesOptions)
def cities(_: typer.Context, options: CitiesOptions) -> None:
    """List the cities of a region with their centres and search radii, or make a region of one's own."""
    from collector.areas import as_toml
    from collector.regions import regions, slugify

    region = _region_of(options)
    if options.out is not None:
        if options.out.exists():
            raise UsageError(f"--out {options.out}: is there already; give another name")
        # A region that was given no name has its file's.
        if region.name in regions() or (region.name == "my-region" and options.name is None):
            named = slugify(options.out.stem)
            region = replace(region, name=named if named and named not in regions() else "my-region")
        with storage_errors(options.out):
            write_atomically(options.out, as_toml(region).encode())
        note(f"{options.out}: written; use it with --region {options.out}")
    result = {"region": region.name, "title": region.title, "cities": [asdict(of) for of in region.cities]}
    labels = {"districts": [asdict(label) for label in region.labels]} if region.labels else {}
    show(result | labels, options.json, lambda: _cities_text(region))


def _region_of(options: CitiesOptions) -> "Region":
    """Return a region as it is, or made of towns, areas or squares."""
    from collector.areas import districts, towns
    from collector.regions import own_name

    if options.place and options.area:
        raise UsageError("--place and --area: both say where the cities are, choose one")
    name = own_name(options.name) if options.name else None
    if (options.place or options.area) and options.city:
        raise UsageError("--city: chooses among a region's cities; leave it out with --place and --area")
    if options.area:
        region = _region_of_area(options.area, options.grid)
    elif options.place:
        region, lines = towns(name or "my-region", options.place, options.radius)
        for line in lines:
            note(line)
    else:
        region = _chosen_cities(options)
    if options.grid is not None and not options.area:
        region = districts(region, options.grid)
    return replace(region, name=name) if name else region


def _region_of_area(file: Path, km: float | None) -> "Region":
    """Return the areas of a file as cities, or the squares of a grid in them."""
    from collector.areas import grid, read_area, region_in

    areas = read_area(file)
    region = region_in(file, areas)
    if km is None:
        return region
    outlines = [of for _, several in areas for of in several]
    return grid(region.name, f"{region.title}: squares of {km:g} km", km, outline=outlines)


def _chosen_cities(options: CitiesOptions) -> "Region":
    """Return a region, or some of its cities under a name of their own."""
    from collector.regions import find_city, regions
    from collector.regions import region as find_region

    region = find_region(options.region)
    chosen = {find_city(region, one).slug for one in listed_cities(options.city)}
    if chosen:
        region = replace(region, cities=tuple(of for of in region.cities if of.slug in chosen))
    is_changed = bool(chosen) or options.grid is not None
    return replace(region, name="my-region") if is_changed and region.name in regions() else region


def _cities_text(region: "Region") -> str:
    head = ("city", "slug", "code", "latitude", "longitude", "radius km")
    rows = [
        (c.name, c.slug, c.code, f"{c.latitude:.4f}", f"{c.longitude:.4f}", f"{c.radius_km:g}") for c in region.cities
    ]
    more = f"\n\n{len(region.labels)} districts" if region.labels else ""
    return f"{region.name}: {region.title}\n\n{table(head, rows)}{more}"


@app.command("import")
def import_(
    kind: Annotated[
        str,
        typer.Argument(
            help="osv5m, gldv2, im2gps3k, yfcc4k, streetscapes, msls, vpr, flickr, fiftyone, imagefolder or webdataset."
        ),
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The data set's table, or its folder.")],
    root: Annotated[
        Path | None,
        typer.Option(
            help="Where its photos lie. Default: where it says; else they are listed, for `t15 collect --listed`."
        ),
    ] = None,
    column: ColumnOption = None,
    region: Annotated[
        str | None, typer.Option(help="Region whose cities its labels are. Default: one that is made of the labels.")
    ] = None,
    grid: Annotated[float | None, typer.Option(metavar="KM", help="Make squares of so many km the labels.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the region that is made. Default: the file's or folder's.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of photos whose row says none. Default: what the data set is published under.")
    ] = None,
    min_side: Annotated[int, typer.Option(min=1, help="Pixels that the shorter side of a photo must have.")] = 64,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come in, and keep nothing.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Bring a data set of somebody else's into the workspace: its labels, places, licences, and its photos from disk.

    Columns that t15 does not know are kept and come with every manifest.
    """
    from contextlib import nullcontext

    from collector.catalogue.rehearsal import rehearsal
    from collector.imports.importing import described, read_data_set, require_own_region, write_sides
    from collector.imports.kinds import kind_named
    from collector.licences import licence_of
    from collector.regions import own_name, regions, slugify
    from collector.regions import region as find_region
    from collector.workspace import Workspace, create_workspace

    known = kind_named(kind)
    if region and grid is not None:
        raise UsageError("--region and --grid: both say what the labels are, choose one")
    licence_id = licence_of(licence or known.licence).id
    stem = slugify(path.resolve().stem) or kind
    named = own_name(name) if name else f"{stem[:55]}-imported" if stem in regions() else stem
    own = find_region(region) if region else None
    with rehearsal(Workspace(workspace)) if dry_run else nullcontext(Workspace(workspace)) as where:
        imports = where.root / "imports"
        data = read_data_set(known, path, imports / named, parse_columns(column), own, grid, named)
        note(described(data))
        create_workspace(where.root)
        if own is None:
            require_own_region(where, data.region)
        has_sides = write_sides(data, imports / f"{named}.csv")
        result, text = _brought(where, data, root or data.root, licence_id, min_side)
    sides = workspace / "imports" / f"{named}.csv"
    if has_sides:
        result["split"] = str(sides)
        text += f"\n\nthe data set's own split: `t15 split --given {sides}`"
    if dry_run:
        result["dry_run"] = True
        text += "\n\ndry run: nothing was kept"
    show({"region": data.region.name, "labels": len(data.region.cities), **result}, json, lambda: text)


def _brought(
    workspace: "Workspace", data: "DataSet", root: Path | None, licence: str, min_side: int
) -> tuple[dict[str, Any], str]:
    """Bring the photos in from disk, or list them; return what became of them, and the same in words."""
    from collector.collecting.collect import collect
    from collector.images.validate import Limits
    from collector.imports.importing import list_photos
    from collector.providers.folder import FolderProvider

    if root is None:
        made = list_photos(workspace, data, licence)
        lines = [f"listed: {counted(count, 'photos')} of {service}" for service, count in made.listed.items()]
        lines += [f"known already: {made.known}"] * bool(made.known)
        lines += [f"left out, {why}: {count}" for why, count in made.left_out.items()]
        lines += [
            f"`t15 collect --provider {service} --listed --region {data.region.name}` fetches them"
            for service in made.listed
        ]
        return asdict(made), "\n".join(lines)
    source = FolderProvider(root, data.region, licence, data.table)
    summary = collect(workspace, data.region, data.region.cities, source, limits=Limits(min_side=min_side), track=track)
    return {**asdict(summary), "table": source.account}, _summary_text(summary, source.account or {})


def _summary_text(summary: "Summary", account: dict[str, int]) -> str:
    count = sum(1 for photos in summary.by_city.values() if photos)
    lines = [
        f"read {summary.read}: {summary.added} new, {summary.known} known already, {sum(summary.rejected.values())} rejected",
        f"photos of {count} of {counted(len(summary.by_city), 'labels')}",
        f"table: {', '.join(counted(number, what) for what, number in account.items())}",
    ]
    lines += [f"  rejected, {reason}: {number}" for reason, number in summary.rejected.items()]
    return "\n".join(lines)
