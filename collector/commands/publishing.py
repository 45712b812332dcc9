"""Commands that check, compare, publish and fetch data sets, and withdraw photos."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from collector.errors import DataError, IncompleteError, UsageError, first_few
from collector.options import NAMED, JsonOption, ManifestArgument, OpenOption, WorkspaceOption, show, with_options
from collector.progress import note, track
from collector.text_table import are, counted, table
from collector.web.browser import open_page
from collector.workspace import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collector.catalogue.withdrawals import Withdrawal
    from collector.collecting.rehydrate import Rehydration, ToDo
    from collector.curating.vectors import IndoorSource
    from collector.manifest.manifest import Manifest
    from collector.publishing.bundle import Published
    from collector.publishing.stats import CityStats
    from collector.workspace import Workspace

app = typer.Typer()

PopulatedOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Table of populated places (latitude, longitude): cells near one count, not a city's whole circle.",
    ),
]
PicturesOption = Annotated[
    bool,
    typer.Option(
        "--pictures", help="Look at the workspace's pictures too: taken indoors, filled by people (extra people)."
    ),
]


@app.command()
def stats(
    context: typer.Context,
    path: ManifestArgument,
    out: Annotated[Path | None, typer.Option(help="Write the page here, with pictures: an .html file.")] = None,
    populated: PopulatedOption = None,
    pictures: PicturesOption = False,
    open_browser: OpenOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Tell how much of each city a manifest shows, when, by whom, under which licences; and what to collect next."""
    from collector.curating.vectors import indoor_source_of
    from collector.publishing.looks import look
    from collector.publishing.stats import NOTHING, read_populated
    from collector.publishing.stats import stats as of_cities
    from collector.workspace import Workspace

    if out is not None and out.suffix.lower() != ".html":
        raise UsageError(f"--out {out}: its name must end in .html")
    if open_browser and out is None:
        raise UsageError("stats: --open shows the page of --out FILE")
    manifest = _read(path, workspace)
    towns = read_populated(populated) if populated else None
    source = indoor_source_of(context.obj)
    looks = look(Workspace(workspace), manifest, source, track) if pictures else NOTHING
    found = of_cities(manifest, towns, looks)
    if out is not None:
        from collector.publishing.stats_page import page
        from collector.workspace import storage_errors, write_atomically

        with storage_errors(out):
            write_atomically(
                out, page(manifest, found, populated is not None, looks.lines).encode("utf-8", "backslashreplace")
            )
        note(f"{out}: the page")
    told = {"cities": [asdict(of) for of in found], "pictures": looks.lines}
    show(told, json, lambda: stats_text(found, looks.lines))
    if open_browser and out is not None:
        open_page(out, note)


def stats_text(found: "list[CityStats]", lines: Sequence[str] = ()) -> str:
    """Return the table of `t15 stats` with what no photo says."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    seen = ("indoors", "people") if lines else ()
    head = (
        "city",
        "photos",
        "cells covered",
        "places",
        "largest",
        "authors",
        "largest",
        "months",
        "hours",
        "night",
        *seen,
    )
    rows = [
        (
            *(of.name, of.photos, share(of.covered), number(of.places), share(of.largest_place), number(of.authors)),
            *(share(of.largest_author), number(of.months), number(of.hours), share(of.night)),
            *((share(of.indoors), share(of.people)) if lines else ()),
        )
        for of in found
    ]
    wanting = [f"  {of.name}: {'; '.join(of.wanting)}" for of in found if of.wanting]
    known = {"place": "places", "author": "authors", "time": "months"}
    unknown = [what for what, name in known.items() if all(getattr(of, name) is None for of in found)]
    return "\n".join(
        [
            table(head, rows),
            "\nplaces (250 m), authors, months and hours: effective numbers; hours are local solar time",
            *lines,
            *([f"-: not known of any photo here: {', '.join(unknown)}"] if unknown else []),
            *(["\nwhat to collect next (`t15 collect --balance` spreads by these):", *wanting] if wanting else []),
        ]
    )


@app.command()
def verify(path: ManifestArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Check a manifest: its schema, and that every value is as it was published."""
    manifest = _read(path, workspace)
    outside = [
        {
            "row": of.row,
            "photo_id": manifest.table["photo_id"][of.row].as_py(),
            "name": manifest.table["title"][of.row].as_py(),
            "city": of.city.slug,
            "km": of.km,
            "radius_km": of.city.radius_km,
        }
        for of in manifest.outside()
    ]
    result = {
        "name": manifest.header.name,
        "version": manifest.header.version,
        "format": manifest.format,
        "digest": manifest.digest,
        "photos": manifest.table.num_rows,
        "cities": len(manifest.header.cities),
        "extra": {"columns": manifest.extra.column_names, "digest": manifest.extra_digest} if manifest.extra else None,
        "outside": outside,
    }
    show(result, json, lambda: _verified_text(result))


def _verified_text(result: dict[str, Any]) -> str:
    lines = [
        f"ok: {result['name']} {result['version']}, {counted(result['photos'], 'photos')} of "
        f"{counted(result['cities'], 'cities')}",
        f"digest {result['digest']}",
    ]
    if result["extra"]:
        names = ", ".join(name[:60] for name in result["extra"]["columns"][:NAMED])
        lines.append(f"columns that this t15 does not know: {names} (digest {result['extra']['digest']})")
    if outside := result["outside"]:
        lines.append(
            f"{counted(len(outside), 'photos')} outside of their city's radius, where the header says that there is none:"
        )
        lines += [
            f"  row {of['row']} ({of['name'] or of['photo_id']}): {of['km']:.1f} km from {of['city']}, its radius being "
            f"{of['radius_km']:g}"
            for of in outside[:NAMED]
        ]
        lines += [f"  and {len(outside) - NAMED} more"] if len(outside) > NAMED else []
    return "\n".join(lines)


@app.command()
def diff(
    before: ManifestArgument,
    after: ManifestArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Tell what changed from one manifest to another."""
    from collector.manifest.diff import as_json, as_text
    from collector.manifest.diff import diff as compare

    found = compare(_read(before, workspace), _read(after, workspace))
    show(as_json(found), json, lambda: as_text(found))


@dataclass(frozen=True)
class ExportOptions:
    """The options of `t15 export`."""

    path: ManifestArgument
    out: Annotated[Path | None, typer.Option(help="File to write (hf, fiftyone: folder). Default: the terminal.")] = (
        None
    )
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="csv, jsonl (a JSON object per line), or a folder of photos and metadata: hf (as --hf with --originals), "
            "fiftyone for FiftyOne.",
        ),
    ] = "csv"
    column: Annotated[list[str] | None, typer.Option(help="Write this column; repeat for several. Default: all.")] = (
        None
    )
    spreadsheet: Annotated[
        bool, typer.Option("--spreadsheet", help="Titles that begin like a formula get a ' before them.")
    ] = False
    vpr: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the photos instead, below a new folder, as harnesses of place recognition want them: gallery and "
            "queries, UTM in the names.",
        ),
    ] = None
    shards: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Write photos and rows as tar files for WebDataset and `t15 bench --shards`; also into a store, "
            "s3://BUCKET/NAME.",
        ),
    ] = None
    hf: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write photos and rows as a folder that Hugging Face `datasets` reads."),
    ] = None
    originals: Annotated[
        bool,
        typer.Option(
            "--originals",
            help="With --shards and --hf: files as they are, whatever their licence, for your own use. Else as `t15 publish "
            "--with-photos`: what licences allow, without EXIF.",
        ),
    ] = False
    redistributable: Annotated[
        list[str] | None,
        typer.Option(help="A licence of your own (LicenseRef-NAME) whose photos may be passed on; repeat for several."),
    ] = None
    shard_mb: Annotated[int, typer.Option(min=1, help="Megabytes that a shard has at most.")] = 256
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much would be written, and write nothing that stays.")
    ] = False
    workspace: WorkspaceOption = DEFAULT_WORKSPACE


@app.command()
@with_options(ExportOptions)
def export(context: typer.Context, options: ExportOptions) -> None:
    """Write a manifest's rows as CSV or JSON Lines, or photos and rows as folders and shards for other tools."""
    del context
    _check_export(options)
    manifest = _read(options.path, options.workspace)
    if options.vpr is not None:
        _export_vpr(manifest, options, options.vpr)
    elif options.shards is not None:
        _export_shards(manifest, options, options.shards)
    elif options.hf is not None:
        _export_image_folder(manifest, options, options.hf, originals=options.originals)
    elif options.form == "hf":
        _export_image_folder(manifest, options, _own_folder(options), originals=True)
    elif options.form == "fiftyone":
        _export_fiftyone(manifest, options, _own_folder(options))
    else:
        _export_rows(manifest, options)
    if options.dry_run:
        note("dry run: nothing was written")


_FORMS_OF_FOLDERS = ("hf", "fiftyone")


def _check_export(options: ExportOptions) -> None:
    if options.form not in ("csv", "jsonl", *_FORMS_OF_FOLDERS):
        raise UsageError(f"--format {options.form[:40]!r}: choose csv, jsonl, hf or fiftyone")
    if options.form in _FORMS_OF_FOLDERS:
        _own_folder(options)
    folders = {"--vpr": options.vpr, "--shards": options.shards, "--hf": options.hf}
    chosen = [name for name, folder in folders.items() if folder is not None]
    if len(chosen) + (options.form in _FORMS_OF_FOLDERS) > 1:
        raise UsageError("export: --vpr, --shards and --hf each write a folder of another kind; choose one")
    if (options.originals or options.redistributable) and not (options.shards or options.hf):
        raise UsageError("--originals and --redistributable: belong to --shards and --hf")
    others = {
        "--out": options.out is not None,
        "--format": options.form != "csv",
        "--spreadsheet": options.spreadsheet,
        "--column": bool(options.column) and options.hf is None,
    }
    if chosen and (unused := [name for name, is_given in others.items() if is_given]):
        raise UsageError(
            f"{chosen[0]}: writes photos and whole rows into its own folder; leave {' and '.join(unused)} out"
        )


def _own_folder(options: ExportOptions) -> Path:
    if options.out is None or options.spreadsheet:
        raise UsageError(
            f"export: --format {options.form} writes a folder, named with --out, and takes no --spreadsheet"
        )
    return options.out


def _export_rows(manifest: "Manifest", options: ExportOptions) -> None:
    from collector.catalogue.rehearsal import written_to
    from collector.manifest.export import export as write

    named = options.out or Path("the terminal")
    with written_to(named, dry_run=options.dry_run) as place:
        done = write(
            *(manifest, place if options.out or options.dry_run else sys.stdout.buffer),
            *("jsonl" if options.form == "jsonl" else "csv", options.column or ()),
            spreadsheet=options.spreadsheet,
        )
    if options.out or options.dry_run:
        note(f"{named}: {counted(done.rows, 'rows')}")
    if done.formulas and not options.spreadsheet:
        note(
            f"{done.formulas} texts begin like a formula: --spreadsheet makes them safe to open in a spreadsheet program"
        )


def _export_shards(manifest: "Manifest", options: ExportOptions, folder: str) -> None:
    from collector.catalogue.rehearsal import written_to
    from collector.images.stores import is_address
    from collector.publishing.shards import write_shards

    place = _workspace_without_withdrawn(manifest, options.workspace)
    stored = is_address(folder)
    with written_to(Path("shards" if stored else folder), dry_run=options.dry_run) as out:
        done = write_shards(
            *(manifest, place, folder if stored and not options.dry_run else out),
            shard_bytes=options.shard_mb * 1_000_000,
            originals=options.originals,
            redistributable=options.redistributable or (),
            track=track,
        )
    counts = ", ".join(f"{side} {count}" for side, count in done.photos.items())
    note(f"{folder}: {done.shards} shards, {done.bytes / 1e6:.1f} MB, photos: {counts}")
    _note_left_out(done.left_out)


def _export_image_folder(manifest: "Manifest", options: ExportOptions, folder: Path, *, originals: bool) -> None:
    from collector.catalogue.rehearsal import written_to
    from collector.publishing.image_folder import write_image_folder

    place = _workspace_without_withdrawn(manifest, options.workspace)
    with written_to(folder, dry_run=options.dry_run) as out:
        done = write_image_folder(
            *(manifest, place, out, options.column or (), track),
            originals=originals,
            redistributable=options.redistributable or (),
        )
    note(f"{folder}: {counted(done.written, 'photos')}")
    _note_left_out(done.left_out)


def _export_fiftyone(manifest: "Manifest", options: ExportOptions, folder: Path) -> None:
    from collector.catalogue.rehearsal import written_to
    from collector.publishing.image_folder import write_fiftyone

    place = _workspace_without_withdrawn(manifest, options.workspace)
    with written_to(folder, dry_run=options.dry_run) as out:
        done = write_fiftyone(manifest, place, out, options.column or (), track)
    note(f"{folder}: {counted(done.written, 'photos')}")
    _note_left_out(done.left_out)


def _workspace_without_withdrawn(manifest: "Manifest", folder: Path) -> "Workspace":
    """Return the workspace whose photos are to leave it.

    Raises:
        UsageError: there is none.
        DataError: it has withdrawn photos of the manifest.
    """
    from collector.catalogue.withdrawals import require_none_withdrawn
    from collector.workspace import existing_workspace

    workspace = existing_workspace(folder)
    require_none_withdrawn(manifest, workspace)
    return workspace


def _note_left_out(left_out: "Mapping[str, int]") -> None:
    from collector.publishing.with_photos import REASONS

    for reason, count in left_out.items():
        note(f"left out, {reason}: {count} ({REASONS[reason]})")


def _export_vpr(manifest: "Manifest", options: ExportOptions, folder: Path) -> None:
    from collector.catalogue.rehearsal import written_to
    from collector.manifest.vpr import FOLDERS, export_vpr
    from collector.workspace import existing_workspace

    if manifest.header.protocol != "place":
        note("protocol city: no query has a photo of the gallery near it; `t15 split --protocol place` makes galleries")
    with written_to(folder, dry_run=options.dry_run) as out:
        done = export_vpr(manifest, existing_workspace(options.workspace), out)
    for side, count in done.photos.items():
        note(f"{folder / 'images' / FOLDERS[side]}: {counted(count, 'photos')}")
    if done.left_out:
        note(f"left out, without a place or without their file here: {done.left_out}")


@dataclass(frozen=True)
class PublishOptions:
    """The options of `t15 publish`."""

    path: ManifestArgument
    out: Annotated[Path, typer.Option(help="Folder of publications; NAME/VERSION is made below it.")] = Path(
        "published"
    )
    push: Annotated[str | None, typer.Option(help="Send it to a data set of a hub, hub:OWNER/NAME.")] = None
    private: Annotated[
        bool, typer.Option("--private", help="With --push: seen by its owner only. Photos of closed licences stay out.")
    ] = False
    with_photos: Annotated[
        bool, typer.Option("--with-photos", help="Photos too, where their licence allows it, without EXIF.")
    ] = False
    redistributable: Annotated[
        list[str] | None,
        typer.Option(help="A licence of your own (LicenseRef-NAME) whose photos may be passed on; repeat for several."),
    ] = None
    date: Annotated[str | None, typer.Option(help="Date of the publication, such as 2026-05-01.")] = None
    publisher: Annotated[str | None, typer.Option(help="Who publishes.")] = None
    url: Annotated[str | None, typer.Option(help="The page of the data set.")] = None
    populated: PopulatedOption = None
    pictures: PicturesOption = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be published, and write and send nothing.")
    ] = False
    workspace: WorkspaceOption = DEFAULT_WORKSPACE
    json: JsonOption = False


@app.command()
@with_options(PublishOptions)
def publish(context: typer.Context, options: PublishOptions) -> None:
    """Publish a manifest: data card, Croissant metadata, attribution, datasheet, checksums."""
    from collector.curating.vectors import indoor_source_of
    from collector.publishing.push import data_set_named
    from collector.publishing.push import push as send

    if options.private and not options.push:
        raise UsageError(
            "publish: --private goes with --push: a publication is for others. `t15 export --hf DIR --originals` makes a "
            "folder of all photos for your own use"
        )
    target = data_set_named(options.push) if options.push else None
    done, lines, newer = _published(options, indoor_source_of(context.obj))
    if options.push and not options.dry_run:
        send(done.folder, options.push, private=options.private)
    result = {**asdict(done), "folder": str(done.folder), "pushed_to": target, "dry_run": options.dry_run}
    if options.dry_run:
        result |= {"written": False, "pushed_to": None}
    text = _published_text(done, target, options.with_photos, options.dry_run, newer)
    show(result, options.json, lambda: "\n".join([text, *lines]))


def _published(options: PublishOptions, source: "IndoorSource") -> "tuple[Published, tuple[str, ...], int]":
    """Publish, and return too how pictures were looked at, and `_newly_licensed` of those that were left out for that."""
    import os

    from collector.catalogue.withdrawals import require_none_withdrawn
    from collector.manifest.manifest import read_manifest, this_tool
    from collector.publishing.bundle import publish as write
    from collector.publishing.bundle import secret_values
    from collector.publishing.facts import Release, check_release
    from collector.publishing.looks import look
    from collector.publishing.stats import NOTHING, read_populated
    from collector.workspace import Workspace, existing_workspace

    own = tuple(options.redistributable or ())
    release = Release(this_tool(), options.date, options.publisher, options.url, own)
    check_release(release)  # before pictures are looked at
    folder = _locate(options.path, options.workspace)
    manifest = read_manifest(folder)
    require_none_withdrawn(manifest, Workspace(options.workspace))
    populated = read_populated(options.populated) if options.populated else None
    looks = look(Workspace(options.workspace), manifest, source, track) if options.pictures else NOTHING
    done = write(
        folder,
        options.out,
        manifest=manifest,
        release=release,
        photos=existing_workspace(options.workspace) if options.with_photos else None,
        secrets=secret_values(os.environ),
        track=track,
        dry_run=options.dry_run,
        populated=populated,
        looks=looks,
    )
    newer = _newly_licensed(manifest, options) if "licence" in done.photos_left_out else 0
    return done, looks.lines, newer


def _newly_licensed(manifest: "Manifest", options: PublishOptions) -> int:
    """Return how many photos have a licence in the workspace that lets them be passed on, and none such in the manifest."""
    from collector.catalogue.catalogue import open_catalogue
    from collector.publishing.facts import judged
    from collector.workspace import Workspace

    own = options.redistributable or ()
    rows = zip(manifest.table["photo_id"].to_pylist(), manifest.table["license"].to_pylist(), strict=True)
    closed = {photo_id: of for photo_id, of in rows if not judged(of, own).redistributable}
    workspace = Workspace(options.workspace)
    if not workspace.catalogue.is_file():
        return 0
    with open_catalogue(workspace) as catalogue:
        now = catalogue.licences()
    return sum(judged(now.get(photo_id, of), own).redistributable for photo_id, of in closed.items())


def _published_text(done: "Published", target: str | None, with_photos: bool, dry_run: bool, newer: int) -> str:
    written = "would be written (dry run: nothing was)" if dry_run else "written"
    lines = [
        f"{done.folder}: {written if done.written else 'unchanged, is there already'}, {counted(len(done.files), 'files')}, "
        f"{done.bytes / 1000:.0f} kB"
    ]
    if with_photos:
        lines.append(f"photos: {done.photos_included} {'would be ' * dry_run}included")
        lines += [f"  left out, {reason}: {count}" for reason, count in done.photos_left_out.items()]
        if "licence" in done.photos_left_out:
            lines.append("  (photos under a licence of your own, LicenseRef-NAME: --redistributable LicenseRef-NAME)")
        if newer:
            lines.append(
                f"  ({newer} of them have such a licence in the workspace by now, and this manifest is older: "
                "a new `t15 split` takes it over)"
            )
    return "\n".join([*lines, *([f"{'would be ' * dry_run}sent to {target}"] if target else [])])


@app.command()
def rehydrate(
    path: ManifestArgument,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="FOLDER", help="Take photos that lie below this folder, under whatever name."),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Ask again for what was gone the last time.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say which photos are here and who would be asked for the others; ask nobody."),
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Fetch the photos of a published manifest again, and report what survived; run again to go on."""
    from collector.collecting.own_photos import OwnPhotos, own_photos, photos_below
    from collector.collecting.rehydrate import SURVIVED, what_is_to_do
    from collector.collecting.rehydrate import rehydrate as bring
    from collector.manifest.manifest import read_manifest, this_tool
    from collector.workspace import Workspace, create_workspace

    folder = _locate(path, workspace)
    manifest, own = read_manifest(folder), own_photos(folder)
    if own.damaged:
        note(
            f"{counted(own.damaged, 'photos')} of the publication {are(own.damaged)} missing or not what its "
            "SHA256SUMS says: not used"
        )
    if root:
        own = OwnPhotos({**own.files, **photos_below(root, manifest).files})
    if dry_run:
        plan = what_is_to_do(manifest, Workspace(workspace), retry=retry, own=own)
        facts = {"photos": manifest.table.num_rows, **asdict(plan), "dry_run": True}
        show(facts, json, lambda: _plan_text(manifest, plan))
        return
    done = bring(manifest, create_workspace(workspace), this_tool(), track=track, retry=retry, own=own)
    result = {
        "photos": len(done.fates),
        "fates": done.counts(),
        "survival": {by: done.survival(by) for by in ("split", "city")},
        "partial_manifest": str(done.partial) if done.partial else None,
        "lost": [
            {"photo_id": f.photo.photo_id, "name": f.photo.called, "fate": f.what, "detail": f.detail}
            for f in done.fates
            if f.what not in SURVIVED
        ],
    }
    show(result, json, lambda: _rehydrated_text(done))
    if failed := done.counts().get("failed"):
        raise IncompleteError(
            f"rehydrate: {counted(failed, 'photos')} could not be fetched now; the same command asks for them again"
        )
    if done.fates and not any(fate.what in SURVIVED for fate in done.fates):
        raise IncompleteError(f"rehydrate: none of the {len(done.fates)} photos is here, for the reasons above")


def _plan_text(manifest: "Manifest", plan: "ToDo") -> str:
    named = f"{manifest.header.name} {manifest.header.version}: {counted(manifest.table.num_rows, 'photos')}"
    known = [f"  {_MEANINGS.get(what, f'known to be lost, {what}')}: {count}" for what, count in plan.known.items()]
    own = [f"  would be taken from files that are at hand: {plan.own}"] if plan.own else []
    asked = [f"  would be asked of {name}: {count}" for name, count in plan.asked.items()]
    closed = [f"  cannot be asked of {name}: {plan.unreachable[name]} ({why})" for name, why in plan.why.items()]
    return "\n".join([named, *known, *own, *asked, *closed, "dry run: nobody was asked and nothing was written"])


_MEANINGS = {
    "same": "here, the same bytes",
    "stripped": "here, the publication's own files without EXIF",
    "re-encoded": "here, the same picture in another file",
    "changed": "here, another picture",
    "withdrawn": "withdrawn",
}


def _each(names: "Sequence[str]") -> str:
    return names[0] if len(names) == 1 else f"{len(names)}, each ({first_few(names, most=3)})"


def _rehydrated_text(done: "Rehydration") -> str:
    header = done.manifest.header
    from collector.collecting.rehydrate import SURVIVED

    survivors = sum(count for what, count in done.counts().items() if what in SURVIVED)
    rows = [
        (by, name, alive, photos, f"{100 * alive / photos:.1f}" if photos else "")
        for by in ("split", "city")
        for name, (alive, photos) in done.survival(by).items()
    ]
    lost = [fate for fate in done.fates if fate.what not in SURVIVED]
    counts = done.counts()
    meaning = {"stripped": " (the publication's own files, without EXIF)"}
    parts = [
        f"{header.name} {header.version}: {survivors} of {counted(len(done.fates), 'photos')} {are(survivors)} here",
        "\n".join(f"  {what}: {count}{meaning.get(what, '')}" for what, count in counts.items()),
        table(("", "", "here", "photos", "%"), rows),
    ]
    if lost:
        alike: dict[tuple[str, str], list[str]] = {}
        for fate in lost:
            alike.setdefault((fate.what, " ".join(fate.detail.split())), []).append(fate.photo.called[:60])
        left = sum(map(len, list(alike.values())[NAMED:]))
        more = f"\n  and {left} more (--json names all)" if left else ""
        named = (f"  {what}: {_each(names)} {why}".rstrip() for (what, why), names in list(alike.items())[:NAMED])
        parts.append("\n".join(named) + more)
    if done.partial:
        parts.append(f"`t15 bench` on it scores what is here and says so; that is the manifest {done.partial}")
    return "\n\n".join(parts)


@app.command()
def withdraw(
    ids: Annotated[list[str] | None, typer.Argument(help="photo_ids or author_ids, as in a manifest.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="`photo` or `author`, for ids that this workspace never met.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the list.")] = "requested",
    source: Annotated[
        Path | None, typer.Option("--from", help="File with one id per line, instead of arguments.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Show what was withdrawn so far.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Withdraw photos, or all photos of an author: out of the store and of every later version."""
    from datetime import UTC, datetime

    from collector.catalogue.catalogue import open_catalogue
    from collector.catalogue.withdrawals import withdraw as write_down
    from collector.workspace import Workspace, create_workspace, existing_workspace

    if show_list:
        with open_catalogue(existing_workspace(workspace)) as catalogue:
            entries = catalogue.withdrawals()
        header = ("kind", "id", "reason", "when")
        show([dict(zip(header, e, strict=True)) for e in entries], json, lambda: table(header, entries))
        return
    named = [*(ids or []), *(_ids_of(source) if source else [])]
    if not named:
        raise UsageError("withdraw: give photo_ids or author_ids, or --from FILE; --list shows what was withdrawn")
    if kind not in (None, "photo", "author"):
        raise UsageError(f"--kind {kind!r}: choose photo or author")
    place = Workspace(workspace) if dry_run else create_workspace(workspace)
    done = write_down(place, named, reason, datetime.now(UTC), _kind(kind), dry_run=dry_run)
    names: dict[str, str] = {}
    if dry_run and place.catalogue.is_file():
        with open_catalogue(place) as catalogue:
            names = catalogue.names_of(done.photos)
    show({**asdict(done), "names": names, "dry_run": dry_run}, json, lambda: _withdrawn_text(done, names, dry_run))


def _kind(text: str | None) -> Literal["photo", "author"] | None:
    return "photo" if text == "photo" else "author" if text == "author" else None


def _ids_of(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # an id may hold what else ends lines
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from error
    return [name for line in lines if (name := line.strip()) and not name.startswith("#")]


def _withdrawn_text(done: "Withdrawal", names: "Mapping[str, str]", dry_run: bool) -> str:
    listed = ", ".join(done.listed) or "nothing new"
    photos = first_few([f"{photo_id}: {names.get(photo_id, '')[:60]}".rstrip(": ") for photo_id in done.photos])
    if dry_run:
        return (
            f"would be put on the list: {listed}\nwould be taken out of the workspace: {counted(len(done.photos), 'photos')} "
            f"({photos or 'none'}){', and the cache of decoded photos' * done.cache_removed}\n"
            "dry run: nothing was changed"
        )
    lines = [f"on the list now: {listed}"]
    lines.append(f"taken out of the workspace: {counted(len(done.photos), 'photos')}")
    lines += (
        ["the cache of decoded photos was deleted; it is made again when it is needed"] if done.cache_removed else []
    )
    lines.append("manifests that hold them stay as published: `t15 split --extend PATH` makes a version without them")
    return "\n".join(lines)


def _locate(source: str, workspace: Path) -> Path:
    from collector.manifest.remote import locate

    return locate(source, workspace / "cache")


def _read(source: str, workspace: Path) -> "Manifest":
    from collector.manifest.manifest import read_manifest

    return read_manifest(_locate(source, workspace))
