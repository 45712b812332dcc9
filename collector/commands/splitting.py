"""Commands that make a data set of what was collected, and prove what it promises."""

import re
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from collector.errors import UsageError
from collector.options import (
    CityOption,
    ClusterOption,
    ColumnOption,
    JsonOption,
    ManifestsOption,
    WorkspaceOption,
    listed_cities,
    parse_columns,
    show,
    with_options,
)
from collector.progress import track
from collector.records import MIN_DISTANCE_M, PANORAMA_M, PHASH_RADIUS, PROTOCOLS, QUOTAS, SPLITS, WITHIN_M
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.curating.vectors import VectorSource
    from collector.manifest.manifest import Manifest
    from collector.records import Region
    from collector.splitting.allocate import Mode
    from collector.splitting.audit import Audit
    from collector.splitting.candidates import Wanted
    from collector.splitting.choose import How
    from collector.splitting.given import GivenSplit
    from collector.splitting.held_out import HoldOut
    from collector.splitting.split import FoldsResult, Recipe, SplitResult
    from collector.workspace import Workspace

app = typer.Typer()


@dataclass(frozen=True)
class SplitOptions:
    """The options of `t15 split`; None where one is not given and has another value in other kinds of split."""

    seed: Annotated[int | None, typer.Option(help="Random seed. Default: 0, or the extended one's.")] = None
    train: Annotated[int | None, typer.Option(min=1, help=f"Training photos a city. Default: {QUOTAS['train']}.")] = (
        None
    )
    val: Annotated[int | None, typer.Option(min=1, help=f"Validation photos a city. Default: {QUOTAS['val']}.")] = None
    test: Annotated[int | None, typer.Option(min=1, help=f"Test photos a city. Default: {QUOTAS['test']}.")] = None
    fractions: Annotated[
        str | None, typer.Option(help="In place of numbers: shares of each city's photos, such as 70/15/15.")
    ] = None
    kfold: Annotated[int | None, typer.Option(help="A manifest for each of so many folds.")] = None
    protocol: Annotated[
        str,
        typer.Option(
            help="city: no place is on two sides. place: train is a gallery with the places of the queries, test and val."
        ),
    ] = "city"
    queries: Annotated[
        int | None, typer.Option(min=1, help=f"With --protocol place: test queries a city. Default: {QUOTAS['test']}.")
    ] = None
    val_queries: Annotated[
        int | None,
        typer.Option(min=0, help=f"With --protocol place: validation queries a city. Default: {QUOTAS['val']}."),
    ] = None
    within: Annotated[
        float | None,
        typer.Option(
            min=0,
            help=f"With --protocol place: metres to a query's nearest gallery photo, at most. Default: {WITHIN_M:g}.",
        ),
    ] = None
    paper: Annotated[
        bool, typer.Option("--paper", help="Single photos at random, as in 2018. It leaks: only to measure how much.")
    ] = False
    min_distance: Annotated[
        float | None,
        typer.Option(min=0, help=f"Metres; photos taken closer stay on one side. Default: {MIN_DISTANCE_M:g}. 0: off."),
    ] = None
    max_hours: Annotated[
        float | None, typer.Option(min=0, help="Distance counts only among photos taken so near in time.")
    ] = None
    authors: Annotated[
        bool | None,
        typer.Option("--authors/--no-authors", help="Keep the photos of one author on one side. Default: yes."),
    ] = None
    near_duplicates: Annotated[
        bool | None,
        typer.Option(
            "--near-duplicates/--no-near-duplicates",
            help="Keep pictures that resemble each other on one side. Default: yes.",
        ),
    ] = None
    panoramas: Annotated[
        bool | None,
        typer.Option(
            "--panoramas/--no-panoramas",
            help=f"Keep street views closer than {PANORAMA_M:g} m on one side. Default: yes.",
        ),
    ] = None
    drop_photos: Annotated[
        bool,
        typer.Option("--drop-photos", help="Drop single photos when whole groups do not fit the requested numbers."),
    ] = False
    allow_empty_sides: Annotated[
        bool,
        typer.Option(
            "--allow-empty-sides", help="Go on where a city has no photo on a side of the split or of a fold."
        ),
    ] = False
    extend: Annotated[
        str | None,
        typer.Option(
            help="An earlier manifest (folder or name), whose photos keep their sides, and its rules unless given."
        ),
    ] = None
    given: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="In place of a split of t15's: a CSV, JSON Lines or Parquet file that says each photo's side "
            "(file, photo_id or sha256, and split).",
        ),
    ] = None
    column: ColumnOption = None
    val_share: Annotated[
        float | None,
        typer.Option(help="With --given, where it has no validation photos: the share of its training photos to take."),
    ] = None
    choose: Annotated[
        str | None,
        typer.Option(help="Which photos fill the numbers: diverse or representative, by vectors. Default: at random."),
    ] = None
    group_scenes: Annotated[
        bool,
        typer.Option("--group-scenes", help="Keep photos of one view on one side, whoever took them (extra local)."),
    ] = False
    net: Annotated[
        str | None,
        typer.Option(
            help="For --choose and --group-scenes: a network with weights, or a feature. Default: the best here."
        ),
    ] = None
    hold_out_cities: Annotated[
        str | None,
        typer.Option(
            metavar="N|NAMES",
            help="Whole cities for the test side alone: so many, drawn by the seed, or these: konya,van.",
        ),
    ] = None
    hold_out_districts: Annotated[
        str | None,
        typer.Option(
            metavar="N|NAMES",
            help="Districts for the test side alone: so many of all cities', or these: konya/meram,van/edremit.",
        ),
    ] = None
    min_photos: Annotated[int, typer.Option(min=1, help="Leave out cities with fewer clean photos.")] = 1
    name: Annotated[str | None, typer.Option(help="Name of the data set. Default: the region's.")] = None
    title: Annotated[str | None, typer.Option(help="Title of the data set, for people. Default: the region's.")] = None
    note: Annotated[
        str | None, typer.Option(help="What every reader of the data set has to know. Default: the region's.")
    ] = None
    version: Annotated[str | None, typer.Option(help="major.minor.patch. Default: the next one.")] = None
    region: Annotated[str | None, typer.Option(help="Name of the region. Default: the one collected for.")] = None
    city: CityOption = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which photos would go where, and write nothing.")] = (
        False
    )
    workspace: WorkspaceOption = DEFAULT_WORKSPACE
    manifests: ManifestsOption = DEFAULT_MANIFESTS
    json: JsonOption = False

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of photos that are given, by side."""
        return _given(train=self.train, val=self.val, test=self.test)

    @property
    def links(self) -> dict[str, Any]:
        """What is given of what links photos, by name in GroupRules."""
        return _given(authors=self.authors, near_duplicates=self.near_duplicates, panoramas=self.panoramas)

    @property
    def distances(self) -> dict[str, Any]:
        """What is given of how near photos are linked, by name in GroupRules."""
        return _given(min_distance_m=self.min_distance, max_hours=self.max_hours)

    @property
    def query_counts(self) -> dict[str, int]:
        """The numbers of queries that are given, by side."""
        return _given(test=self.queries, val=self.val_queries)

    @property
    def ways(self) -> list[str]:
        """The options that are given of those which split in another way than by numbers."""
        ways = {"--fractions": self.fractions is not None, "--kfold": self.kfold is not None, "--paper": self.paper}
        return [name for name, is_given in ways.items() if is_given]

    @property
    def is_of_places(self) -> bool:
        """Whether queries and a gallery are made."""
        return self.protocol == "place"

    def region_or_name(self) -> "str | Region | None":
        """Return the region of a file as it is now, or the name of one that photos were collected for."""
        from collector.regions import region

        return region(self.region) if self.region and self.region.endswith(".toml") else self.region

    def wanted(self) -> "Wanted":
        """Return which data set is asked for.

        Raises:
            UsageError: its title or note cannot be stored.
        """
        from collector.splitting.candidates import Wanted

        return Wanted(self.min_photos, _plain("--title", self.title), _plain("--note", self.note))


@app.command()
@with_options(SplitOptions)
def split(context: typer.Context, options: SplitOptions) -> None:
    """Split everything clean in the workspace by city into training, validation and test, as a manifest.

    Photos of one author, one place or one picture stay on one side.
    """
    from collector.catalogue.catalogue import open_catalogue
    from collector.catalogue.rehearsal import rehearsal
    from collector.commands.split_report import as_json, as_text, named_photos, note_input
    from collector.curating.vectors import source_of
    from collector.workspace import existing_workspace

    check(options)
    existing = existing_workspace(options.workspace)
    result: GivenSplit | FoldsResult | SplitResult
    with rehearsal(existing) if options.dry_run else nullcontext(existing) as workspace:
        if options.given is not None:
            result = _split_given(workspace, options, options.given)
        elif options.kfold is not None:
            result = _split_folds(workspace, options, options.kfold)
        else:
            result = _split(workspace, options, source_of(context.obj))
        with open_catalogue(workspace) as catalogue:
            names = catalogue.names_of(named_photos(result))
    note_input(result)
    show(as_json(result, names, options.dry_run), options.json, lambda: as_text(result, names, options.dry_run))


def _split_given(workspace: "Workspace", options: SplitOptions, table: Path) -> "GivenSplit":
    from collector.splitting.given import GivenTable, split_given

    columns = parse_columns(options.column)
    return split_given(
        workspace,
        options.manifests,
        GivenTable(table, columns, options.protocol, options.val_share, options.seed or 0),
        options.region_or_name(),
        options.name,
        options.version,
        options.wanted(),
        dry_run=options.dry_run,
    )


def _split_folds(workspace: "Workspace", options: SplitOptions, folds: int) -> "FoldsResult":
    from collector.splitting.groups import GroupRules
    from collector.splitting.split import split_folds

    return split_folds(
        workspace,
        options.manifests,
        folds,
        options.seed or 0,
        options.region_or_name(),
        listed_cities(options.city),
        options.name,
        GroupRules(**options.links, **options.distances),
        allow_empty_sides=options.allow_empty_sides,
        wanted=options.wanted(),
        dry_run=options.dry_run,
    )


def _split(workspace: "Workspace", options: SplitOptions, vectors: "VectorSource") -> "SplitResult":
    from collector.manifest.manifest import read_manifest
    from collector.manifest.remote import locate
    from collector.splitting.choose import Choosing
    from collector.splitting.scenes import Scenes
    from collector.splitting.split import split

    parent = read_manifest(locate(options.extend, options.workspace / "cache")) if options.extend else None
    recipe, quotas = _place_recipe(options) if options.is_of_places else _recipe(options, parent)
    return split(
        workspace,
        options.manifests,
        quotas,
        options.seed if parent else options.seed or 0,
        options.region_or_name(),
        listed_cities(options.city),
        options.name,
        options.version,
        recipe,
        parent,
        allow_empty_sides=options.allow_empty_sides,
        wanted=options.wanted(),
        choosing=Choosing(cast("How", options.choose), vectors, options.net, track) if options.choose else None,
        scenes=Scenes(vectors, options.net, track) if options.group_scenes else None,
        dry_run=options.dry_run,
    )


def _recipe(options: SplitOptions, parent: "Manifest | None") -> "tuple[Recipe, dict[str, float]]":
    """Return how to split, and the quotas; what is not given is as it was in the parent."""
    from collector.splitting.split import Recipe, recipe_of

    base = recipe_of(parent) if parent else Recipe()
    mode: Mode = "exact" if options.counts else base.mode
    if options.paper or options.fractions is not None:
        mode = "paper" if options.paper else "fractions"
    recipe = Recipe(
        mode,
        replace(base.groups, **options.links, **options.distances),
        options.drop_photos or (base.drop_photos and mode == "exact"),
        hold_out=parse_hold_out(options.hold_out_cities),
        hold_out_districts=parse_hold_out(options.hold_out_districts, "districts"),
    )
    if options.fractions is not None:
        return recipe, parse_fractions(options.fractions)
    return recipe, {**(parent.header.quotas if parent and base.mode == mode else QUOTAS), **options.counts}


def _place_recipe(options: SplitOptions) -> "tuple[Recipe, dict[str, float]]":
    from collector.splitting.split import Recipe, place_rules

    recipe = Recipe("place", place_rules(**options.links), **_given(within_m=options.within))
    return recipe, {"val": QUOTAS["val"], "test": QUOTAS["test"], **options.query_counts}


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def check(options: SplitOptions) -> None:
    """Make sure that the options go together, and have values that they can have, before anything is read.

    Raises:
        UsageError: they do not.
    """
    _check_ways(options)
    _check_protocol(options)
    _check_hold_out(options)
    options.wanted()
    if options.given is not None:
        _check_given(options)
        return
    _check_vectors(options)
    if options.column:
        raise UsageError("--column: says what the columns of --given FILE are")
    if options.val_share is not None:
        raise UsageError("--val-share: belongs to --given FILE")


def _check_ways(options: SplitOptions) -> None:
    ways = options.ways
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)}: these are different splits, choose one")
    if options.counts and ways and not options.paper:
        raise UsageError(f"{ways[0]}: says how many photos each side gets; leave --train, --val and --test out")
    if options.drop_photos and ways:
        raise UsageError(f"--drop-photos: belongs to a split by numbers, not to {ways[0]}")
    if options.extend and ways and options.fractions is None:
        raise UsageError(f"--extend: an earlier manifest cannot be extended with {ways[0]}")
    if options.paper and (options.links or options.distances):
        raise UsageError("--paper: takes single photos at random; leave the rules about groups out")
    if options.kfold is not None and options.version:
        raise UsageError("--version: each fold is a data set with a version of its own; leave it out with --kfold")


def _check_protocol(options: SplitOptions) -> None:
    if options.protocol not in PROTOCOLS:
        raise UsageError(f"--protocol {options.protocol[:40]!r}: give one of {', '.join(PROTOCOLS)}")
    of_city = options.counts or options.distances or options.drop_photos or options.extend or options.ways
    if options.is_of_places and of_city:
        raise UsageError(
            "--protocol place: takes --queries, --val-queries, --within and the rules about authors and pictures; leave "
            "numbers and shares of sides, distances, --drop-photos and --extend out"
        )
    if not options.is_of_places and (options.query_counts or options.within is not None):
        raise UsageError("--queries, --val-queries and --within: belong to --protocol place")


def _check_hold_out(options: SplitOptions) -> None:
    for of, text in (("cities", options.hold_out_cities), ("districts", options.hold_out_districts)):
        parse_hold_out(text, of)
        if text and (options.kfold or options.paper or options.extend or options.given or options.is_of_places):
            raise UsageError(
                f"--hold-out-{of}: belongs to a split by numbers or --fractions, not to --kfold, --paper, --extend, --given "
                "or --protocol place"
            )


def _check_given(options: SplitOptions) -> None:
    splits = options.counts or options.query_counts or options.within is not None or options.ways
    groups = options.links or options.distances or options.drop_photos or options.group_scenes
    photos = options.extend or options.city or options.min_photos > 1 or options.choose or options.net
    draws = options.seed is not None and options.val_share is None
    if splits or groups or photos or draws:
        raise UsageError(
            "--given: the table says which photo goes where; leave out what says how t15 splits (--given goes with --column, "
            "--protocol, --region, --name, --title, --note and --version)"
        )


def _check_vectors(options: SplitOptions) -> None:
    from collector.splitting.choose import HOWS

    no_groups = options.kfold or options.paper or options.is_of_places
    if options.choose is not None and options.choose not in HOWS:
        raise UsageError(f"--choose {options.choose[:40]!r}: give one of {', '.join(HOWS)}")
    if options.choose and (options.fractions or no_groups):
        raise UsageError(
            "--choose: belongs to a split by numbers, not to --fractions, --kfold, --paper or --protocol place"
        )
    if options.group_scenes and no_groups:
        raise UsageError("--group-scenes: does not go with --kfold, --paper or --protocol place")
    if options.net and not (options.choose or options.group_scenes):
        raise UsageError("--net: belongs to --choose and --group-scenes")


def _plain(option: str, text: str | None) -> str | None:
    """Return a text for people as it is stored.

    Raises:
        UsageError: it is too long, or holds what cannot be printed.
    """
    plain = None if text is None else " ".join(text.split())
    if plain and (len(plain) > 2000 or not plain.isprintable()):
        raise UsageError(f"{option}: give at most 2,000 printable characters")
    return plain


def parse_hold_out(text: str | None, of: str = "cities") -> "HoldOut":
    """Return how many cities or districts (`of`) are to be held out, or their names; 0 where nothing is asked.

    Raises:
        UsageError: it is neither.
    """
    if text is None:
        return 0
    if re.fullmatch(r"[+-]?[0-9]{1,9}", text.strip()):
        if int(text) < 1:
            raise UsageError(f"--hold-out-{of} {text[:40]}: give a number above 0, or names of {of}")
        return int(text)
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        example = "konya,van" if of == "cities" else "konya/meram,van/edremit"
        raise UsageError(f"--hold-out-{of}: give a number, or names of {of}: {example}")
    return names


def parse_fractions(text: str) -> dict[str, float]:
    """Return the shares of train, val and test of `70/15/15` or `0.7/0.15/0.15`, which sum to 1.

    Raises:
        UsageError: the text is none of these, or they sum to something else.
    """
    try:
        parts = [float(part) for part in text.split("/")]
    except ValueError:
        parts = []
    total = sum(parts)
    if len(parts) != len(SPLITS) or not all(0 < part < float("inf") for part in parts):
        raise UsageError(f"--fractions {text[:40]!r}: write the shares of train, val and test, such as 70/15/15")
    if min(abs(total - 1), abs(total - 100)) > 1e-6:
        raise UsageError(f"--fractions {text[:40]!r}: the shares sum to {total:g}; they have to sum to 100 or to 1")
    return {side: round(part / total, 12) for side, part in zip(SPLITS, parts, strict=True)}


@dataclass(frozen=True)
class AuditOptions:
    """The options of `t15 audit`."""

    path: Annotated[
        str,
        typer.Argument(
            help="A manifest (folder, https:// address, hub:NAME), or a CSV, JSONL or Parquet file with a split."
        ),
    ]
    column: ColumnOption = None
    root: Annotated[
        Path | None,
        typer.Option(help="For a file: the folder of its pictures, whose bytes, looks and EXIF are read too."),
    ] = None
    min_distance: Annotated[
        float | None,
        typer.Option(
            min=0, help=f"Metres that photos of two sides keep. Default: what it claims, else {MIN_DISTANCE_M:g}."
        ),
    ] = None
    radius: Annotated[
        int | None,
        typer.Option(
            min=0, max=32, help=f"pHash bits within which two photos are one picture. Default: {PHASH_RADIUS}."
        ),
    ] = None
    claims_only: Annotated[
        bool, typer.Option("--claims-only", help="Fail only where a manifest breaks its own rules.")
    ] = False
    full: Annotated[
        bool, typer.Option("--full", help="Also print what was measured: tables of sides, cities, licences, authors.")
    ] = False
    cluster: ClusterOption = ""
    workspace: WorkspaceOption = DEFAULT_WORKSPACE
    json: JsonOption = False


@app.command()
@with_options(AuditOptions)
def audit(_: typer.Context, options: AuditOptions) -> None:
    """Check a split for leakage, measured from the data; exits with 3 if anything leaks or nothing can be judged."""
    from collector.splitting.certificate import as_json, certificate

    file = Path(options.path)
    report = _audited_table(file, options) if _is_table(file) else _audited_manifest(options)
    more = "" if options.full else "\n\nthe tables of what was measured: --full"
    show(
        as_json(report, claims_only=options.claims_only),
        options.json,
        lambda: certificate(report, full=options.full) + more,
    )
    if code := report.exit_code(claims_only=options.claims_only):
        raise typer.Exit(code)


def _is_table(file: Path) -> bool:
    return file.is_file() and file.name != "manifest.json"


def _audited_table(file: Path, options: AuditOptions) -> "Audit":
    from collector.executors.cluster import work_on
    from collector.manifest.foreign import read_foreign
    from collector.splitting.audit import audit_foreign
    from collector.splitting.pictures import with_pictures

    columns = parse_columns(options.column)
    remarks: list[str] = []
    of_table = {name: of for name, of in columns.items() if name != "file" or options.root is None}
    foreign = read_foreign(file, of_table)
    if options.root is not None:
        pictured = with_pictures(foreign, options.root, columns, track)
        foreign, remarks = pictured.foreign, [pictured.remark]
    with work_on(options.cluster, None, None) as work:
        return audit_foreign(foreign, options.min_distance, options.radius, remarks, work)


def _audited_manifest(options: AuditOptions) -> "Audit":
    from collector.executors.cluster import work_on
    from collector.manifest.manifest import read_manifest
    from collector.manifest.remote import locate
    from collector.splitting.audit import audit_manifest, photos_found

    if options.root is not None:
        raise UsageError("--root: is for a CSV or Parquet file; a manifest has the digests and hashes of its pictures")
    if options.column:
        raise UsageError("--column: is for a CSV or Parquet file; a manifest's columns are known")
    manifest = read_manifest(locate(options.path, options.workspace / "cache"))
    with work_on(options.cluster, None, None) as work:
        report = audit_manifest(manifest, options.min_distance, options.radius, work)
    return replace(report, files=_files_of(photos_found(report.comparisons), options.workspace))


def _files_of(photo_ids: "Iterable[str]", folder: Path) -> dict[str, str]:
    """Return the paths of those photos that a workspace read from files; none where there is no workspace to be read."""
    from collector.catalogue.catalogue import open_catalogue
    from collector.errors import T15Error
    from collector.workspace import Workspace

    paths: dict[str, str | None] = {}
    workspace = Workspace(folder)
    with suppress(T15Error):
        if workspace.catalogue.is_file():
            with open_catalogue(workspace) as catalogue:
                paths = {photo_id: catalogue.files.path_of(photo_id) for photo_id in photo_ids}
    return {photo_id: path for photo_id, path in paths.items() if path}
