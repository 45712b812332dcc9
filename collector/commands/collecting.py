"""Commands that bring photos into the workspace: each parses, calls one function and prints. Heavy imports wait inside."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.errors import DataError, UsageError
from collector.options import (
    CityOption,
    ClusterOption,
    ColumnOption,
    JsonOption,
    PortOption,
    RegionOption,
    WorkspaceOption,
    listed_cities,
    parse_columns,
    show,
    with_options,
)
from collector.progress import note, track
from collector.records import TARGET
from collector.text_table import counted, duration, table
from collector.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.areas import Outline
    from collector.catalogue.ledger import Coverage
    from collector.collecting.collect import Summary
    from collector.providers.base import Provider, Query, Survey
    from collector.records import City, Region

    Areas = Sequence[tuple[str, list[Outline]]]
    """The outlines of a file, feature by feature, each with its name."""

app = typer.Typer()

DEFAULT_REGION = "turkiye15"


@dataclass(frozen=True)
class CollectOptions:
    """The options of `t15 collect`."""

    city: CityOption = None
    region: RegionOption = DEFAULT_REGION
    provider: Annotated[
        str | None,
        typer.Option(
            help="commons, flickr, streetview, mapillary, panoramax, or `folder`: your own disk. "
            "Default: folder with --root, else commons."
        ),
    ] = None
    target: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=f"Photos per city, all sources together; 0: no limit. Default: {TARGET}, of a folder all.",
        ),
    ] = None
    per_author: Annotated[int, typer.Option(min=1, help="At most so many photos of one author, with a target.")] = 10
    balance: Annotated[
        bool,
        typer.Option(
            "--balance",
            help="Spread alike over authors, places, months, hours and licences, counting what a city has (`t15 stats`).",
        ),
    ] = False
    licence: Annotated[str, typer.Option(help="`any`, `redistributable`, or SPDX ids with commas between them.")] = (
        "any"
    )
    min_side: Annotated[int, typer.Option(min=1, help="Pixels that the shorter side of a new photo must have.")] = 64
    geo_accuracy: Annotated[
        int,
        typer.Option(min=1, max=16, help="Flickr's accuracy of a place, from 1 (world) over 11 (city) to 16 (street)."),
    ] = 11
    limit: Annotated[int | None, typer.Option(min=1, help="List at most this many photos a city.")] = None
    seed: Annotated[int, typer.Option(help="Random seed for choosing photos.")] = 0
    area: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="In place of a region: a GeoJSON file, each of whose polygons is a city."),
    ] = None
    root: Annotated[Path | None, typer.Option(help="A folder of photos on your own disk.")] = None
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV, JSON Lines or Parquet file with a row for each file under --root: file, and any of city, latitude, "
            "longitude, heading, author, license, title, time, page, sequence.",
        ),
    ] = None
    column: ColumnOption = None
    root_licence: Annotated[
        str,
        typer.Option(help="Licence of the photos under --root: an SPDX id, or LicenseRef-NAME for one of your own."),
    ] = "LicenseRef-Unknown"
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Say what would come, of a service with requests, quota and time; keep nothing."
        ),
    ] = False
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask again now for photos that could not be fetched.")
    ] = False
    retry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REASON",
            help="Ask again for photos given up for this reason (see `t15 rejected`); repeat for several.",
        ),
    ] = None
    listed: Annotated[
        bool, typer.Option("--listed", help="Ask a service for photos that are listed already (`t15 import`) alone.")
    ] = False
    check: Annotated[
        bool, typer.Option("--check", help="Read the stored photos too, and fetch damaged ones again.")
    ] = False
    cluster: ClusterOption = ""
    workspace: WorkspaceOption = DEFAULT_WORKSPACE
    json: JsonOption = False


@app.command()
@with_options(CollectOptions)
def collect(_: typer.Context, options: CollectOptions) -> None:
    """Bring photos of cities into the workspace; run again to go on where it stopped."""
    from collector.areas import read_area
    from collector.licences import licence_of
    from collector.providers.base import Survey
    from collector.providers.registry import Settings, make_provider
    from collector.regions import find_city

    _check(options)
    areas: Areas = read_area(options.area) if options.area else []
    region = _region(options, areas)
    names = listed_cities(options.city)
    cities = list(dict.fromkeys(find_city(region, name) for name in names)) or list(region.cities)
    settings = Settings(
        region, options.root, licence_of(options.root_licence).id, options.table, parse_columns(options.column)
    )
    provider = make_provider(options.provider or ("commons" if options.root is None else "folder"), settings)
    query = _query(options, provider, region, areas)
    if options.dry_run and isinstance(provider, Survey):
        _show_plan(provider, cities, query, options.workspace, options.json)
        return
    if remark := getattr(provider, "remark", ""):
        note(remark)
    if photo_table := getattr(provider, "table", None):
        note(photo_table.described())
    _report(options, _collected(options, provider, region, cities, query), provider, region)


def _check(options: CollectOptions) -> None:
    from collector.collecting.select import licences_named

    if options.area is not None and options.region != DEFAULT_REGION:
        raise UsageError("--area and --region: both say where the cities are, choose one")
    if options.column and options.table is None:
        raise UsageError("--column: says what the columns of --table FILE are")
    licences_named(options.licence)


def _region(options: CollectOptions, areas: "Areas") -> "Region":
    from collector.areas import region_in
    from collector.regions import region

    if options.listed:
        return _region_listed(options.region, options.workspace)
    return region(options.region) if options.area is None else region_in(options.area, areas)


def _query(options: CollectOptions, provider: "Provider | Survey", region: "Region", areas: "Areas") -> "Query":
    """Return what to ask for; of a service not without a limit, unless told to, as what it knows is endless."""
    from collector.providers.base import Query, Survey

    target = options.target
    if target is None and isinstance(provider, Survey):
        target = 0 if options.listed else TARGET
    outlines = {
        city.slug: [outline for name, several in areas if name == city.name for outline in several]
        for city in region.cities
    }
    return Query(options.limit, target or None, options.seed, options.geo_accuracy, outlines if areas else {})


def _collected(
    options: CollectOptions, provider: "Provider | Survey", region: "Region", cities: "list[City]", query: "Query"
) -> "Summary":
    from contextlib import nullcontext

    from collector.catalogue.rehearsal import rehearsal
    from collector.collecting.collect import collect
    from collector.collecting.select import SelectionCriteria, licences_named
    from collector.executors.cluster import work_on
    from collector.executors.local import Threads
    from collector.images.validate import Limits
    from collector.workspace import Workspace, create_workspace

    criteria = SelectionCriteria(
        query.target,
        options.per_author,
        licences_named(options.licence),
        options.min_side,
        options.seed,
        options.balance,
    )
    of = options.workspace
    with (
        rehearsal(Workspace(of)) if options.dry_run else nullcontext(create_workspace(of)) as workspace,
        work_on(options.cluster, workspace, Threads()) as work,
    ):
        return collect(
            workspace,
            region,
            cities,
            provider,
            query,
            Limits(min_side=options.min_side),
            track,
            criteria=criteria,
            check=options.check,
            retry_failed=options.retry_failed,
            retry=frozenset(options.retry or ()),
            listed_only=options.listed,
            work=work,
        )


def _report(options: CollectOptions, summary: "Summary", provider: "Provider | Survey", region: "Region") -> None:
    """Show what came of collecting.

    Raises:
        DataError: none of the files on a disk is a photo of the region's cities.
    """
    from collector.providers.base import Survey

    account: dict[str, int] | None = getattr(provider, "account", None)
    hint = _other_region(getattr(provider, "foreign_folders", {}), region)
    any_photo = any(summary.by_city.values()) or summary.failed
    nothing = summary.read and not isinstance(provider, Survey) and not any_photo
    if hint and not nothing:
        note(hint)
    show(
        asdict(summary) | ({"table": account} if account else {}) | ({"dry_run": True} if options.dry_run else {}),
        options.json,
        lambda: _collect_text(summary, region.name, account) + "\n\ndry run: nothing was kept" * options.dry_run,
    )
    if nothing:
        raise DataError(_nothing_found(summary, region.name, hint))


def _nothing_found(summary: "Summary", region: str, hint: str) -> str:
    """Return what to do where none of the files on a disk is a photo of the region's cities."""
    from collector.catalogue.catalogue import PLACE_REASONS

    files = "the one file is no" if summary.read == 1 else f"none of {summary.read} files is a"
    said = f"{files} photo of a city of {region}"
    if hint:
        return f"{said}; {hint}"
    if not set(PLACE_REASONS) & set(summary.rejected):
        return f"{said}, for the reasons above"
    return (
        f"{said}: name the region whose cities they are of with --region, a name or a TOML file (`t15 cities --place NAME "
        "--out cities.toml` makes one of towns, --area one of outlines)"
    )


def _region_listed(name: str, workspace: Path) -> "Region":
    """Return a region that photos were imported for; by its name, it need not be a file."""
    from collector.catalogue.catalogue import open_catalogue
    from collector.regions import region as find_region
    from collector.workspace import existing_workspace

    with open_catalogue(existing_workspace(workspace)) as catalogue:
        known = {region.name: region for region in catalogue.regions()}
    return known[name] if name in known else find_region(name)


def _other_region(folders: "Mapping[str, int]", region: "Region") -> str:
    """Return a hint where folders that no city of the region is named after are cities of a built-in one; or nothing."""
    from collector.regions import city_names, fold, regions
    from collector.regions import region as find_region

    best, most = "", 0
    for other in map(find_region, regions()):
        names = {fold(name) for city in other.cities for _, name in city_names(city)}
        known = sum(fold(folder) in names for folder in folders)
        if other.name != region.name and known > most:
            best, most = other.name, known
    folder = "folder name is a city" if most == 1 else "folder names are cities"
    return f"{most} {folder} of {best}, not of {region.name}: --region {best}" if most else ""


def _collect_text(summary: "Summary", region: str, account: "Mapping[str, int] | None" = None) -> str:
    lines = [f"read {summary.read}: {summary.added} new, {summary.known} known already, "]
    lines[0] += f"{sum(summary.rejected.values())} rejected"
    lines[0] += f", {sum(summary.failed.values())} failed" if summary.failed else ""
    lines[0] += f", {sum(summary.waiting.values())} listed only" if any(summary.waiting.values()) else ""
    lines[0] += f", {summary.withdrawn} withdrawn" if summary.withdrawn else ""
    if summary.moved or summary.gone:
        lines += [
            f"the folder changed: {summary.moved} moved, {summary.gone} gone from it (`t15 rejected` names these)"
        ]
    if summary.updated:
        changed = ", ".join(f"{_WORDS.get(name, name)} {count}" for name, count in summary.changed.items())
        lines += [f"of the known ones {summary.updated} are described otherwise now: {changed}"]
    lines += [f"of the known ones {summary.relabelled} are of another city now"] * bool(summary.relabelled)
    lines += [f"table: {', '.join(counted(count, what) for what, count in account.items())}"] if account else []
    lines += [f"  rejected, {reason}: {count}" for reason, count in summary.rejected.items()]
    lines += ["  (`t15 rejected` names them)"] if summary.rejected else []
    if "labelled-elsewhere" in summary.rejected:
        lines += ["  labelled-elsewhere: photos of another region; collect this one with a --workspace of its own"]
    lines += [f"  failed, {reason}: {count}" for reason, count in summary.failed.items()]
    lines += (
        ["  (the next run asks again for those whose time has come, --retry-failed for all)"] if summary.failed else []
    )
    lines += [f"  listed only, {reason}: {count}" for reason, count in summary.waiting.items() if count]
    found_in = [(slug, count) for slug, count in summary.by_city.items() if count]
    lines += ["", table(("city", "photos"), found_in) if found_in else f"no photo of a city of {region} was found"]
    return "\n".join(lines)


def _show_plan(source: "Survey", cities: "list[City]", query: "Query", workspace: Path, json: bool) -> None:
    """Estimate, city by city, what collecting is going to ask of a service."""
    from datetime import UTC, datetime
    from tempfile import TemporaryDirectory

    from collector.catalogue.catalogue import open_catalogue
    from collector.collecting.estimate import estimate
    from collector.workspace import Workspace

    plans = {}
    # What was asked before counts; where nothing was, nothing is made.
    known = Workspace(workspace).catalogue.is_file()
    with TemporaryDirectory() as empty, open_catalogue(Workspace(workspace if known else Path(empty))) as catalogue:
        for city in track(cities, f"asking {source.name}"):
            plans[city.slug] = estimate(source, city, query, catalogue.ledger, lambda: datetime.now(UTC))
    rows = [
        (slug, plan.photos if plan.photos is not None else "?", plan.queries, duration(plan.seconds), plan.how)
        for slug, plan in plans.items()
    ]
    queries, seconds = sum(p.queries for p in plans.values()), sum(p.seconds for p in plans.values())
    share = sum(p.quota_share for p in plans.values())
    show(
        {slug: asdict(plan) for slug, plan in plans.items()},
        json,
        lambda: (
            table(("city", "photos", "queries", "time", "how sure"), rows)
            + f"\n\nlisting: {queries} requests ({100 * share:.0f} % of the hourly quota), "
            f"about {duration(seconds)}, plus downloads"
        ),
    )


_WORDS = {
    "license": "licence",
    "taken_at": "time",
    "author_name": "author",
    "page_url": "page",
    "sequence_id": "sequence",
}


@app.command()
def coverage(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Show how much of what the services report was listed, by city, and what a re-run would ask."""
    from datetime import UTC, datetime

    from collector.catalogue.catalogue import open_catalogue
    from collector.workspace import existing_workspace

    with open_catalogue(existing_workspace(workspace)) as catalogue:
        coverages = catalogue.ledger.coverage()

    def since(row: "Coverage") -> str:
        if not row.complete:
            return f"{row.open_cells} open cells"
        return "all cells" if row.next_since is None else datetime.fromtimestamp(row.next_since, UTC).date().isoformat()

    header = (
        "provider",
        "city",
        "reported",
        "listed",
        "%",
        "usable",
        "rows",
        "calls",
        "cells",
        "too full",
        "asks next",
    )
    rows = [
        (
            *(row.provider, row.city, row.reported if row.reported is not None else "?", row.unique),
            f"{100 * row.unique / row.reported:.1f}" if row.reported else "",
            *(row.photos, row.fetched, row.calls, row.cells, row.undividable, since(row)),
        )
        for row in coverages
    ]
    show(
        [asdict(row) for row in coverages],
        json,
        lambda: table(header, rows) if rows else "no service was asked yet: `t15 collect` asks, this shows what came",
    )


@app.command()
def sandbox(
    port: PortOption = 0,
    trouble: Annotated[float, typer.Option(min=0, max=1, help="Share of answers that go wrong.")] = 0.1,
    photos: Annotated[int, typer.Option(min=1, help="Photos of each city.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the generated world.")] = 0,
    region_file: Annotated[
        Path,
        typer.Option(help="Where its cities are written; sandbox-land.toml, -tiles.toml and -layers/ come beside it."),
    ] = Path("sandbox-region.toml"),
) -> None:
    """Serve drawn photos on this machine as Commons, Flickr and Street View do, with their faults.

    And an imaginary land: photos at Commons, tiles for `t15 aerial`, layers for `t15 geodata bring`.
    """
    from collector.sandbox.server import serve_forever
    from collector.workspace import storage_errors

    with storage_errors(region_file):
        serve_forever(port, seed, photos, trouble, region_file, say=lambda text: print(text, flush=True))


@app.command()
def rejected(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List what could not be used, with the reasons."""
    from collector.catalogue.catalogue import open_catalogue
    from collector.workspace import existing_workspace

    with open_catalogue(existing_workspace(workspace)) as catalogue:
        found = catalogue.rejections()
    rows = [(unusable.reason, unusable.city or "", unusable.detail) for unusable in found]
    show([asdict(unusable) for unusable in found], json, lambda: table(("reason", "city", "what"), rows))
