"""Commands about pictures from above: services, what a region needs, fetching it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from collector.errors import UsageError
from collector.options import CityOption, JsonOption, ManifestArgument, WorkspaceOption, listed_cities, show
from collector.progress import note, track
from collector.text_table import counted, duration, table
from collector.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.records import City

app = typer.Typer()
aerial = typer.Typer(help="Pictures from above, tile by tile, of services whose terms allow it.", no_args_is_help=True)
app.add_typer(aerial, name="aerial")

ServiceOption = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="A service of `t15 aerial list`, or a .toml file of one of your own.")
]
ZoomOption = Annotated[
    int, typer.Option(min=0, help="Of the tiles: one more is half as wide. At 14 and 40° north: 1.9 km.")
]
RegionOption = Annotated[str, typer.Option(help="Region whose cities are wanted: a name or a file.")]
PermittedOption = Annotated[
    bool, typer.Option("--permitted", help="You have the permission that the service's licence does not give.")
]


@aerial.command("list")
def list_(json: JsonOption = False) -> None:
    """Show the services that t15 knows, with their licences and what is known of their terms."""
    from collector.aerial.services import presets

    rows = [asdict(service) for service in presets().values()]
    header = ("service", "pictures", "licence", "zooms", "tiles a second", "terms")
    show(
        rows,
        json,
        lambda: table(
            header,
            [
                (of["name"], of["title"], of["licence"], "{} to {}".format(*of["zooms"]), of["rate"], of["checked"])
                for of in rows
            ],
        ),
    )


@aerial.command("plan")
def plan(
    region: RegionOption = "turkiye15",
    service: ServiceOption = "s2cloudless",
    zoom: ZoomOption = 14,
    city: CityOption = None,
    permitted: PermittedOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Say how many tiles a region needs, and how many of them would be asked for; asks nobody."""
    from collector.aerial.fetch import plan as plan_tiles
    from collector.aerial.services import find_service

    tiles = plan_tiles(
        Workspace(workspace), find_service(service, permitted=permitted), _cities(region, listed_cities(city)), zoom
    )

    def text() -> str:
        took = f", {duration(tiles.seconds)} or more" if tiles.ask and tiles.seconds else ""
        lines = [
            f"{counted(tiles.tiles, 'tiles')}, {tiles.ground_m:,.0f} m wide: {tiles.here:,} are here, "
            f"{tiles.without:,} have no "
            f"picture, {tiles.ask:,} would be asked for{took}"
        ]
        lines += [f"no pictures of: {', '.join(tiles.uncovered)}"] if tiles.uncovered else []
        return "\n".join(lines)

    show(asdict(tiles), json, text)


@aerial.command("fetch")
def fetch(
    region: RegionOption = "turkiye15",
    service: ServiceOption = "s2cloudless",
    zoom: ZoomOption = 14,
    city: CityOption = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="Tiles to ask for in 24 hours at most. Default: the service's number.")
    ] = None,
    permitted: PermittedOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="As `t15 aerial plan`: ask nobody.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Fetch a region's tiles into the workspace; those that were asked for are not asked for again."""
    from collector.aerial.fetch import fetch as fetch_tiles
    from collector.aerial.services import find_service

    if dry_run:
        plan(region, service, zoom, city, permitted, workspace, json)
        return
    of = find_service(service, permitted=permitted)
    note(f"{of.title}: {of.licence}; to be credited: {of.attribution}")
    found = fetch_tiles(Workspace(workspace), of, _cities(region, listed_cities(city)), zoom, most, track)
    without = ", ".join(f"{count} {why}" for why, count in found.without.items())
    show(
        asdict(found),
        json,
        lambda: (
            f"{counted(found.fetched, 'tiles')} fetched, {found.here:,} were here"
            + (f"; without a picture: {without}" if without else "")
        ),
    )


@aerial.command("add")
def add(
    manifest: ManifestArgument,
    service: ServiceOption = "s2cloudless",
    zoom: ZoomOption = 14,
    permitted: PermittedOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many tiles have a picture, and write nothing.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Write which tiles show a manifest's cities as aerial.parquet beside it; the manifest itself stays as it is.

    Tiles have to be fetched before.
    """
    from collector.aerial.fetch import pictures, wanted
    from collector.aerial.services import find_service
    from collector.aerial.table import NAME, write
    from collector.catalogue.rehearsal import written_to
    from collector.manifest.manifest import read_manifest
    from collector.manifest.remote import locate

    folder = locate(manifest, workspace / "cache")
    of, asked = read_manifest(folder), find_service(service, permitted=permitted)
    tiles = wanted(asked, of.header.cities, zoom)
    entries = pictures(Workspace(workspace), asked, tiles)
    if not entries:
        raise UsageError(
            f"service {asked.name}: no tile of {of.header.name} at zoom {zoom} is here; `t15 aerial fetch` brings them"
        )
    with written_to(folder / NAME, dry_run=dry_run) as path:
        write(of, asked, entries, path)
    result = {"file": str(folder / NAME), "tiles": len(tiles), "with_picture": len(entries), "dry_run": dry_run}
    where = f"{'would be ' * dry_run}written to {folder / NAME}{' (dry run: nothing was)' * dry_run}"
    show(
        result,
        json,
        lambda: (
            f"{len(entries):,} of {counted(len(tiles), 'tiles')} {'has' if len(entries) == 1 else 'have'} a picture; {where}"
        ),
    )


def _cities(region: str, names: "Sequence[str]") -> "tuple[City, ...]":
    from collector.regions import find_city
    from collector.regions import region as find_region

    found = find_region(region)
    return tuple(find_city(found, name) for name in names) if names else tuple(found.cities)
