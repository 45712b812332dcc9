"""The collector's commands: each parses, calls one function and prints. Heavy imports wait inside, so that help is quick."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.console import (
    DEFAULT_MANIFESTS,
    DEFAULT_WORKSPACE,
    JsonOption,
    ManifestsOption,
    WorkspaceOption,
    note,
    show,
    table,
    track,
)

if TYPE_CHECKING:
    from collector.splitting.split import SplitResult

app = typer.Typer(help="Collect, clean, split and check photos of cities.")

CityOption = Annotated[
    list[str] | None,
    typer.Option("--city", help="City by name, slug, plate or ISO code; again for more. Default: all of the region."),
]
DEFAULT_REGION = "turkiye15"


@app.command()
def cities(
    region: Annotated[str, typer.Option(help="turkiye15, turkiye81, or a TOML file of your own.")] = "turkiye81",
    json: JsonOption = False,
) -> None:
    """List the cities of a region with their centres and search radii."""
    from collector.cities import region as find_region

    found = find_region(region)
    show(
        {"region": found.name, "title": found.title, "cities": [asdict(city) for city in found.cities]},
        json,
        lambda: (
            f"{found.name}: {found.title}\n\n"
            + table(
                ("city", "slug", "code", "latitude", "longitude", "radius km"),
                [
                    (c.name, c.slug, c.code, f"{c.latitude:.4f}", f"{c.longitude:.4f}", f"{c.radius_km:g}")
                    for c in found.cities
                ],
            )
        ),
    )


@app.command()
def collect(
    city: CityOption = None,
    region: Annotated[str, typer.Option(help="turkiye15, turkiye81, or a TOML file of your own.")] = DEFAULT_REGION,
    provider: Annotated[str, typer.Option(help="Where from; `folder` reads photos from your own disk.")] = "commons",
    root: Annotated[Path | None, typer.Option(help="The folder of photos, for the provider `folder`.")] = None,
    licence: Annotated[
        str, typer.Option(help="SPDX id of the licence that the photos under --root have.")
    ] = "LicenseRef-Unknown",
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many photos a city.")] = None,
    min_side: Annotated[int, typer.Option(min=1, help="Pixels that the shorter side of a new photo must have.")] = 64,
    check: Annotated[
        bool, typer.Option("--check", help="Read the stored photos too, and fetch damaged ones again.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Bring photos of cities into the workspace; run again to go on where it stopped."""
    from collector.cities import find_city
    from collector.cities import region as find_region
    from collector.collecting.collect import collect as collect_photos
    from collector.collecting.examine import Limits
    from collector.licences import licence as find_licence
    from collector.providers.base import Query
    from collector.providers.registry import Settings, make_provider
    from collector.workspace import create_workspace

    found = find_region(region)
    chosen = list(dict.fromkeys(find_city(found, name) for name in city)) if city else list(found.cities)
    source = make_provider(provider, Settings(found, root, find_licence(licence).id))
    summary = collect_photos(
        create_workspace(workspace), found, chosen, source, Query(limit), Limits(min_side=min_side), track, check=check
    )

    def text() -> str:
        lines = [f"read {summary.read}: {summary.added} new, {summary.known} known already, "]
        lines[0] += f"{sum(summary.rejected.values())} rejected"
        lines += [f"  rejected, {reason}: {count}" for reason, count in summary.rejected.items()]
        lines += ["  (`t15 rejected` names them)"] if summary.rejected else []
        if "labelled-elsewhere" in summary.rejected:
            lines += ["  labelled-elsewhere: photos of another region; collect this one with a --workspace of its own"]
        found_in = [(slug, count) for slug, count in summary.by_city.items() if count]
        lines += [
            "",
            table(("city", "photos"), found_in) if found_in else f"no photo of a city of {found.name} was found",
        ]
        return "\n".join(lines)

    show(asdict(summary), json, text)


@app.command()
def rejected(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List what could not be used, with the reasons."""
    from collector.collecting.catalogue import open_catalogue
    from collector.workspace import existing_workspace

    with open_catalogue(existing_workspace(workspace)) as catalogue:
        found = catalogue.rejections()
    rows = [(unusable.reason, unusable.city or "", unusable.detail) for unusable in found]
    show([asdict(unusable) for unusable in found], json, lambda: table(("reason", "city", "what"), rows))


@app.command()
def dedup(
    radius: Annotated[int, typer.Option(min=0, max=32, help="Largest pHash distance in bits.")] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and decide nothing.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Find photos of the same picture, keep the best of each, set contradicting labels aside."""
    from collector.curating.curate import dedup as dedup_photos
    from collector.workspace import existing_workspace

    summary = dedup_photos(existing_workspace(workspace), radius, dry_run=dry_run)
    show(
        {**asdict(summary), "radius": radius, "dry_run": dry_run},
        json,
        lambda: (
            f"{summary.photos} photos compared{' (dry run: nothing decided)' if dry_run else ''}\n"
            f"  exact copies left out: {summary.exact}\n"
            f"  near-duplicates left out: {summary.near}\n"
            f"  set aside, one picture under several cities: {summary.conflicts} ({summary.conflict_groups} pictures)\n"
            f"  clean: {summary.clean}"
        ),
    )


@app.command()
def split(
    seed: Annotated[int, typer.Option(help="Of the random assignment.")] = 0,
    train: Annotated[int, typer.Option(min=1, help="Training photos a city.")] = 100,
    val: Annotated[int, typer.Option(min=1, help="Validation photos a city.")] = 25,
    test: Annotated[int, typer.Option(min=1, help="Test photos a city.")] = 25,
    name: Annotated[str | None, typer.Option(help="Of the data set. Default: the region's.")] = None,
    version: Annotated[str | None, typer.Option(help="major.minor.patch. Default: the next one.")] = None,
    region: Annotated[str | None, typer.Option(help="Name of the region. Default: the one collected for.")] = None,
    city: CityOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Split everything clean in the workspace by city into training, validation and test, as a manifest."""
    from collector.cities import region as find_region
    from collector.splitting.split import split as split_photos
    from collector.workspace import existing_workspace

    result = split_photos(
        existing_workspace(workspace),
        manifests,
        quotas={"train": train, "val": val, "test": test},
        seed=seed,
        tool=_tool(),
        region=find_region(region).name if region and region.endswith(".toml") else region,
        cities=city or (),
        name=name,
        version=version,
    )
    if result.cleaned:
        left_out = result.cleaned.photos - result.cleaned.clean
        note(
            f"new photos: looked for copies first, {left_out} of {result.cleaned.photos} left out (`t15 dedup` tells more)"
        )
    if result.empty_cities:
        note(f"without photos, and so not in the data set: {', '.join(result.empty_cities)}")
    show({**_described(result), "left_out": result.left_out}, json, lambda: _split_text(result))


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="Folder of a manifest, such as manifests/NAME/1.0.0.")],
    json: JsonOption = False,
) -> None:
    """Check a manifest: its schema, and that every value is as it was published."""
    from collector.publishing.manifest import read_manifest

    manifest = read_manifest(path)
    counts = manifest.counts()
    result = {
        "name": manifest.header.name,
        "version": manifest.header.version,
        "digest": manifest.digest,
        "photos": manifest.table.num_rows,
        "cities": len(counts),
    }
    show(
        result,
        json,
        lambda: (
            f"ok: {result['name']} {result['version']}, {result['photos']} photos of {result['cities']} cities\n"
            f"digest {manifest.digest}"
        ),
    )


def _tool() -> str:
    from importlib.metadata import version as installed

    return f"t15 {installed('t15')}"


def _described(result: "SplitResult") -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "name": result.manifest.header.name,
        "version": result.manifest.header.version,
        "digest": result.manifest.digest,
        "written": result.written,
        "counts": result.manifest.counts(),
        "empty_cities": result.empty_cities,
    }


def _split_text(result: "SplitResult") -> str:
    counts = result.manifest.counts()
    rows = [(city, *sides.values(), result.left_out.get(city, 0)) for city, sides in counts.items()]
    state = "written" if result.written else "unchanged, is there already"
    return f"{result.folder}: {state}\ndigest {result.manifest.digest}\n\n" + table(
        ("city", "train", "val", "test", "left out"), rows
    )
