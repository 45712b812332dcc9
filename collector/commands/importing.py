"""Commands that bring other people's data sets in, and make regions of places."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import UsageError
from collector.options import ColumnOption, JsonOption, WorkspaceOption, parse_columns, show
from collector.progress import note, track
from collector.regions import slugify
from collector.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collector.collecting.collect import Summary
    from collector.imports.importing import DataSet
    from collector.workspace import Workspace

app = typer.Typer()


@app.command("import")
def import_(
    kind: Annotated[
        str,
        typer.Argument(
            help="osv5m, gldv2, im2gps3k, yfcc4k, streetscapes, msls, flickr, fiftyone, imagefolder or webdataset."
        ),
    ],
    path: Annotated[Path, typer.Argument(help="The data set's table, or its folder.")],
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
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Bring a data set of somebody else's into the workspace: its labels, places, licences, and its photos from disk.

    Columns that t15 does not know are kept and come with every manifest.
    """
    from collector.imports.importing import described, read_data_set, write_sides
    from collector.imports.kinds import kind_named
    from collector.licences import licence_of
    from collector.regions import region as find_region
    from collector.workspace import create_workspace

    known = kind_named(kind)
    if region and grid is not None:
        raise UsageError("--region and --grid: both say what the labels are, choose one")
    licence_id = licence_of(licence or known.licence).id
    named = name or slugify(path.resolve().stem) or kind
    unpacked = workspace / "imports" / named
    own = find_region(region) if region else None
    data = read_data_set(known, path, unpacked, parse_columns(column), own, grid, named)
    note(described(data))
    where = create_workspace(workspace)
    sides = workspace / "imports" / f"{named}.csv"
    has_sides = write_sides(data, sides)
    result, text = _brought(where, data, root or data.root, licence_id, min_side)
    if has_sides:
        result["split"] = str(sides)
        text += f"\n\nthe data set's own split: `t15 split --given {sides}`"
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
        lines = [f"listed: {count} photos of {service}" for service, count in made.listed.items()]
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
        f"photos of {count} of {len(summary.by_city)} labels",
        f"table: {', '.join(f'{number} {what}' for what, number in account.items())}",
    ]
    lines += [f"  rejected, {reason}: {number}" for reason, number in summary.rejected.items()]
    return "\n".join(lines)
