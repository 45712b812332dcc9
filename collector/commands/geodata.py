"""Commands about what places are like: layers of geodata, and the values that photos get from them."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import UsageError
from collector.options import JsonOption, ManifestArgument, WorkspaceOption, show
from collector.progress import note, track
from collector.text_table import are, counted, table
from collector.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collector.geodata.grid import Places
    from collector.geodata.layers import Layer

app = typer.Typer()
geodata = typer.Typer(
    help="What a place is like: climate, elevation, urbanisation, coast, towns, night light.", no_args_is_help=True
)
app.add_typer(geodata, name="geodata")

LayersOption = Annotated[
    list[str] | None,
    typer.Option("--layer", metavar="NAME", help="Layer to ask; repeat for several. Default: all that are here."),
]


@geodata.command("list")
def list_(json: JsonOption = False) -> None:
    """Show the layers: what they say, how fine, whose data they are, and whether these are here."""
    from collector.geodata.layers import facts, layers

    rows = [{**facts(layer), "here": layer.ready} for layer in layers().values()]
    header = ("layer", "unit", "here", "resolution", "licence", "source")
    show(
        rows,
        json,
        lambda: table(
            header,
            [
                (of["name"], of["unit"], "yes" if of["here"] else "no", of["resolution"], of["licence"], of["source"])
                for of in rows
            ],
        ),
    )


@geodata.command("at", context_settings={"ignore_unknown_options": True})  # -122.4 is no option
def at(
    latitude: Annotated[float, typer.Argument(help="Degrees, -90 to 90.")],
    longitude: Annotated[float, typer.Argument(help="Degrees, -180 to 180.")],
    layer: LayersOption = None,
    json: JsonOption = False,
) -> None:
    """Show what layers say of one place."""
    import numpy as np

    if not np.isfinite([latitude, longitude]).all():
        raise UsageError(f"{latitude}, {longitude}: is no place: latitude comes first, then longitude, in degrees")
    chosen = _chosen(layer)
    try:
        found = {of.name: _plain(of.values(np.array([[latitude, longitude]]))[0]) for of in chosen}
    except ValueError as error:
        raise UsageError(f"{latitude}, {longitude}: {error}") from error
    rows = [(of.title, "unknown" if found[of.name] is None else _shown(found[of.name]), of.unit) for of in chosen]
    show(found, json, lambda: table(("layer", "value", "unit"), rows))


@geodata.command("bring")
def bring(
    name: Annotated[str, typer.Argument(help="Layer of `t15 geodata list`, or a new name for a layer of your own.")],
    file: Annotated[Path, typer.Argument(help="Its data: of a layer of your own, a GeoTIFF with a coordinate system.")],
    title: Annotated[str, typer.Option(help="What a reader calls a layer of your own.")] = "",
    unit: Annotated[str, typer.Option(help="Of its values.")] = "",
    source: Annotated[str, typer.Option(help="Whose data they are.")] = "",
    licence: Annotated[str, typer.Option(help="Their licence, such as CC-BY-4.0.")] = "",
    date: Annotated[str, typer.Option(help="Of which time they are.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look whether it can be read, and keep nothing.")] = False,
) -> None:
    """Keep a file as the data of a layer. A layer of your own needs --source and --licence."""
    import re

    import numpy as np

    from collector.geodata import store
    from collector.geodata.layers import LAYERS, reader

    about: dict[str, str] | None = None
    if name not in LAYERS:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise UsageError(f"layer {name!r}: a name has lower-case letters, digits and _, at most 40")
        if not source or not licence:
            raise UsageError(f"layer {name}: say whose data it is and under what licence: --source and --licence")
        about = {"title": title or name, "unit": unit, "source": source, "licence": licence, "date": date}
    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    reader(name)(file)(np.array([[39.93, 32.85]]))  # a file that cannot be read is not kept
    if dry_run:
        note(f"layer {name}: {file} can be read (dry run: nothing was kept)")
        return
    path = store.add(name, file, about)
    note(f"layer {name}: kept in {path.parent}")


@geodata.command("fetch")
def fetch(
    name: Annotated[
        str,
        typer.Argument(help="Layer that comes as tiles: elevation_90m (Copernicus) or land_cover (ESA WorldCover)."),
    ],
    region: Annotated[str, typer.Option(help="Region whose cities' tiles are wanted: a name or a file.")] = "turkiye15",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the tiles that would be fetched; ask nobody.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Fetch the tiles of a layer that a region needs; those that are here are not asked for again."""
    from collector.geodata.tiles import fetch as fetch_tiles
    from collector.regions import region as find_region

    found = asdict(fetch_tiles(name, find_region(region).cities, track, dry_run=dry_run))
    fetched = "would be fetched (dry run: nobody was asked)" if dry_run else "fetched"
    show(
        {**found, "dry_run": dry_run},
        json,
        lambda: (
            f"{name}: {counted(found['fetched'], 'tiles')} {fetched}, {found['here']} were here, {found['absent']} "
            "do not exist (sea)"
        ),
    )


@geodata.command("add")
def add(
    manifest: ManifestArgument,
    layer: LayersOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is known of how many, and write nothing.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Write what layers say of a manifest's photos as geodata.parquet beside it; the manifest itself stays as it is.

    What they say all over its region is written as geodata-map.parquet.
    """
    from collector.catalogue.rehearsal import written_to
    from collector.geodata.table import MAP, NAME, look_up, places_asked, write, write_map
    from collector.manifest.manifest import read_manifest
    from collector.manifest.remote import locate

    folder = locate(manifest, workspace / "cache")
    of = read_manifest(folder)
    chosen = _chosen(layer) if layer else _with_tiles(_chosen(None), places_asked(of))
    attributes = look_up(of, chosen)
    with written_to(folder / NAME, dry_run=dry_run) as path, written_to(folder / MAP, dry_run=dry_run) as map_path:
        write(of, attributes, path)
        places = write_map(of, chosen, map_path)
    counts = {name: sum(_plain(value) is not None for value in column) for name, column in attributes.columns.items()}
    result = {
        "file": str(folder / NAME),
        "photos": of.table.num_rows,
        "known": counts,
        "map": places,
        "dry_run": dry_run,
    }
    rows = [(name, f"{count} of {of.table.num_rows}") for name, count in counts.items()]
    show(
        result,
        json,
        lambda: (
            table(("layer", "photos with a value"), rows)
            + f"\n{'would be ' * dry_run}written to {folder / NAME}; {counted(places, 'places')} of its region to {MAP}"
            + " (dry run: nothing was)" * dry_run
        ),
    )


def _chosen(names: list[str] | None) -> "list[Layer]":
    from collector.geodata.layers import find_layer, layers

    chosen = [find_layer(name) for name in names] if names else [of for of in layers().values() if of.ready]
    if missing := [of.name for of in layers().values() if not of.ready and not names]:
        note(f"not here, so not asked: {', '.join(missing)} (`t15 geodata list`)")
    return chosen


def _with_tiles(layers: "list[Layer]", places: "Places") -> "list[Layer]":
    """Return the layers that can be asked for all places, and say of the others which tiles they lack."""
    from collector.errors import first_few
    from collector.geodata.tiles import unasked

    lacking = {of.name: unasked(of.name, places) for of in layers}
    for name, tiles in lacking.items():
        if tiles:
            note(
                f"layer {name}: left out, {counted(len(tiles), 'tiles')} {are(len(tiles))} not here "
                f"({first_few(tiles)}): t15 geodata fetch {name}"
            )
    return [of for of in layers if not lacking[of.name]]


def _plain(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else float(value)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}"
