"""Commands that make a data set of what was collected, and prove what it promises."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.errors import UsageError, first_few
from collector.options import (
    NAMED,
    CityOption,
    ClusterOption,
    ColumnOption,
    JsonOption,
    ManifestsOption,
    WorkspaceOption,
    listed_cities,
    parse_columns,
    show,
)
from collector.progress import note, track
from collector.records import MIN_DISTANCE_M, PANORAMA_M, PHASH_RADIUS, PROTOCOLS, QUOTAS, SPLITS, WITHIN_M
from collector.text_table import table
from collector.workspace import DEFAULT_MANIFESTS, DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from collector.manifest.manifest import Manifest
    from collector.records import Region
    from collector.regions import Misplaced
    from collector.splitting.allocate import Mode
    from collector.splitting.given import GivenSplit
    from collector.splitting.groups import Grouping
    from collector.splitting.held_out import HoldOut
    from collector.splitting.side_checks import MissedShare
    from collector.splitting.split import FoldResult, FoldsResult, Recipe, SplitResult
    from collector.workspace import Workspace

app = typer.Typer()


@app.command()
def split(
    context: typer.Context,
    seed: Annotated[int | None, typer.Option(help="Random seed. Default: 0, or the extended one's.")] = None,
    train: Annotated[
        int | None, typer.Option(min=1, help=f"Training photos a city. Default: {QUOTAS['train']}.")
    ] = None,
    val: Annotated[int | None, typer.Option(min=1, help=f"Validation photos a city. Default: {QUOTAS['val']}.")] = None,
    test: Annotated[int | None, typer.Option(min=1, help=f"Test photos a city. Default: {QUOTAS['test']}.")] = None,
    fractions: Annotated[
        str | None, typer.Option(help="In place of numbers: shares of each city's photos, such as 70/15/15.")
    ] = None,
    kfold: Annotated[int | None, typer.Option(help="A manifest for each of so many folds.")] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="city: no place is on two sides. place: train is a gallery with the places of the queries, test and val."
        ),
    ] = "city",
    queries: Annotated[
        int | None, typer.Option(min=1, help=f"With --protocol place: test queries a city. Default: {QUOTAS['test']}.")
    ] = None,
    val_queries: Annotated[
        int | None,
        typer.Option(min=0, help=f"With --protocol place: validation queries a city. Default: {QUOTAS['val']}."),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            min=0,
            help=f"With --protocol place: metres to a query's nearest gallery photo, at most. Default: {WITHIN_M:g}.",
        ),
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Single photos at random, as in 2018. It leaks: only to measure how much.")
    ] = False,
    min_distance: Annotated[
        float | None,
        typer.Option(min=0, help=f"Metres; photos taken closer stay on one side. Default: {MIN_DISTANCE_M:g}. 0: off."),
    ] = None,
    max_hours: Annotated[
        float | None, typer.Option(min=0, help="Distance counts only among photos taken so near in time.")
    ] = None,
    authors: Annotated[
        bool | None,
        typer.Option("--authors/--no-authors", help="Keep the photos of one author on one side. Default: yes."),
    ] = None,
    near_duplicates: Annotated[
        bool | None,
        typer.Option(
            "--near-duplicates/--no-near-duplicates",
            help="Keep pictures that resemble each other on one side. Default: yes.",
        ),
    ] = None,
    panoramas: Annotated[
        bool | None,
        typer.Option(
            "--panoramas/--no-panoramas",
            help=f"Keep street views closer than {PANORAMA_M:g} m on one side. Default: yes.",
        ),
    ] = None,
    drop_photos: Annotated[
        bool,
        typer.Option("--drop-photos", help="Drop single photos when whole groups do not fit the requested numbers."),
    ] = False,
    allow_empty_sides: Annotated[
        bool,
        typer.Option(
            "--allow-empty-sides", help="Go on where a city has no photo on a side of the split or of a fold."
        ),
    ] = False,
    extend: Annotated[
        Path | None,
        typer.Option(help="Folder of an earlier manifest, whose photos keep their sides, and its rules unless given."),
    ] = None,
    given: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="In place of a split of t15's: a CSV, JSON Lines or Parquet file that says each photo's side "
            "(file, photo_id or sha256, and split).",
        ),
    ] = None,
    column: ColumnOption = None,
    val_share: Annotated[
        float | None,
        typer.Option(help="With --given, where it has no validation photos: the share of its training photos to take."),
    ] = None,
    choose: Annotated[
        str | None,
        typer.Option(help="Which photos fill the numbers: diverse or representative, by vectors. Default: at random."),
    ] = None,
    group_scenes: Annotated[
        bool,
        typer.Option("--group-scenes", help="Keep photos of one view on one side, whoever took them (extra local)."),
    ] = False,
    net: Annotated[
        str | None,
        typer.Option(
            help="For --choose and --group-scenes: a network with weights, or a feature. Default: the best here."
        ),
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option(
            "--hold-out-cities",
            metavar="N|NAMES",
            help="Whole cities for the test side alone: so many, drawn by the seed, or these: konya,van.",
        ),
    ] = None,
    min_photos: Annotated[int, typer.Option(min=1, help="Leave out cities with fewer clean photos.")] = 1,
    name: Annotated[str | None, typer.Option(help="Name of the data set. Default: the region's.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the data set, for people. Default: the region's.")] = None,
    remark: Annotated[
        str | None, typer.Option("--note", help="What every reader of the data set has to know. Default: the region's.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="major.minor.patch. Default: the next one.")] = None,
    region: Annotated[str | None, typer.Option(help="Name of the region. Default: the one collected for.")] = None,
    city: CityOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say which photos would go where, and write nothing.")
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    manifests: ManifestsOption = DEFAULT_MANIFESTS,
    json: JsonOption = False,
) -> None:
    """Split everything clean in the workspace by city into training, validation and test, as a manifest.

    Photos of one author, one place or one picture stay on one side.
    """
    from collector.catalogue.rehearsal import rehearsal
    from collector.manifest.manifest import read_manifest
    from collector.splitting.split import Wanted
    from collector.splitting.split import split as split_photos
    from collector.workspace import existing_workspace

    counts = _given(train=train, val=val, test=test)
    links = _given(authors=authors, near_duplicates=near_duplicates, panoramas=panoramas)
    distance = _given(min_distance_m=min_distance, max_hours=max_hours)
    place = _given(test=queries, val=val_queries, within_m=within)
    _check_options(counts, fractions, kfold, paper, extend, drop_photos, bool(links or distance), version)
    _check_protocol(
        protocol, bool(counts or distance or drop_photos or extend or fractions or kfold or paper), bool(place)
    )
    held_out = _hold_out(hold_out, bool(kfold or paper or extend or given or protocol == "place"))
    existing = existing_workspace(workspace)
    wanted = Wanted(min_photos, _plain("--title", title), _plain("--note", remark))
    if given is not None:
        asked = bool(
            counts or links or distance or place or fractions or kfold or paper or drop_photos or extend or city
        )
        _check_given(
            asked or (seed is not None and val_share is None) or min_photos > 1 or bool(choose or group_scenes or net)
        )
        with rehearsal(existing) if dry_run else nullcontext(existing) as here:
            _split_given(
                here, manifests, given, parse_columns(column), json,
                region=_region_asked(region), name=name, version=version, protocol=protocol, wanted=wanted,
                val_share=val_share, seed=seed or 0, dry_run=dry_run,
            )  # fmt: skip
        return
    vectors = _by_vectors(
        context,
        choose,
        group_scenes,
        net,
        no_numbers=bool(fractions),
        no_groups=bool(kfold or paper or protocol == "place"),
    )
    if column:
        raise UsageError("--column: says what the columns of --given FILE are")
    if val_share is not None:
        raise UsageError("--val-share: belongs to --given FILE")
    of: dict[str, Any] = {
        "region": _region_asked(region),
        "cities": listed_cities(city),
        "name": name,
        "allow_empty_sides": allow_empty_sides,
        "wanted": wanted,
    }
    with rehearsal(existing) if dry_run else nullcontext(existing) as here:
        if kfold is not None:
            _split_folds(here, manifests, json, kfold, seed or 0, {**links, **distance}, dry_run=dry_run, **of)
            return
        parent = read_manifest(extend) if extend else None
        if protocol == "place":
            recipe, quotas = _place_recipe(place, links)
        else:
            recipe, quotas = _recipe(counts, fractions, paper, drop_photos, {**links, **distance}, parent, held_out)
        seed = seed if parent else seed or 0
        result = split_photos(
            here,
            manifests,
            quotas,
            seed,
            version=version,
            recipe=recipe,
            extend=parent,
            dry_run=dry_run,
            **of,
            **vectors,
        )
    _note_before(result)
    show(
        {**_described(result, dry_run), "left_out": result.left_out},
        json,
        lambda: _split_text(result, dry_run),
    )


def _split_folds(
    workspace: "Workspace",
    manifests: Path,
    json: bool,
    folds: int,
    seed: int,
    rules: dict[str, Any],
    *,
    dry_run: bool,
    **of: Any,
) -> None:
    from collector.splitting.groups import GroupRules
    from collector.splitting.split import split_folds

    made = split_folds(workspace, manifests, folds, seed, groups=GroupRules(**rules), dry_run=dry_run, **of)
    _note_before(made)
    show([_fold_described(fold, dry_run) for fold in made.folds], json, lambda: _folds_text(made, dry_run))


def _hold_out(text: str | None, elsewhere: bool) -> "HoldOut":
    """Return how many cities are to be held out, or their names; 0 where nothing is asked.

    Raises:
        UsageError: it is neither, or the split is one that holds no cities out.
    """
    if text is None:
        return 0
    if elsewhere:
        raise UsageError(
            "--hold-out-cities: belongs to a split by numbers or --fractions, not to --kfold, --paper, --extend, --given or "
            "--protocol place"
        )
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if text.strip().lstrip("+-").isdigit():
        if int(text) < 1:
            raise UsageError(f"--hold-out-cities {text[:40]}: give a number above 0, or names of cities")
        return int(text)
    if not names:
        raise UsageError("--hold-out-cities: give a number, or names of cities: konya,van")
    return names


def _plain(option: str, text: str | None) -> str | None:
    """Return a text for people as it is stored.

    Raises:
        UsageError: it is too long, or holds what cannot be printed.
    """
    plain = None if text is None else " ".join(text.split())
    if plain and (len(plain) > 2000 or not plain.isprintable()):
        raise UsageError(f"{option}: give at most 2,000 printable characters")
    return plain


def _check_given(otherwise: bool) -> None:
    if otherwise:
        raise UsageError(
            "--given: the table says which photo goes where; leave out what says how t15 splits (--given goes with --column, "
            "--protocol, --region, --name, --title, --note and --version)"
        )


def _split_given(
    workspace: "Workspace",
    manifests: Path,
    table_of: Path,
    columns: dict[str, str],
    json: bool,
    *,
    dry_run: bool,
    **of: Any,
) -> None:
    from collector.splitting.given import split_given

    made = split_given(workspace, manifests, table_of, columns, dry_run=dry_run, **of)
    taken = ", ".join(ours if ours == theirs else f"{ours} from {theirs}" for ours, theirs in made.columns.items())
    note(f"{table_of}: {made.rows} rows; columns: {taken} (--column split=NAME names another)")
    if made.missing:
        note(f"rows whose photo is not in the workspace: {len(made.missing)} ({first_few(made.missing)})")
    if made.other_city:
        note(f"rows that name another city than their photo has: {len(made.other_city)} ({first_few(made.other_city)})")
    counts = made.manifest.counts()
    result = {
        **{"folder": str(made.folder), "name": made.manifest.header.name, "version": made.manifest.header.version},
        **{
            "digest": made.manifest.digest,
            "written": made.written and not dry_run,
            "dry_run": dry_run,
            "counts": counts,
            "rows": made.rows,
        },
        **{"missing": made.missing, "other_city": made.other_city, "unused": made.unused},
        **{"against_decisions": made.against_decisions, "without": made.without},
    }

    def text() -> str:
        lines = [f"{made.folder}: {_state(made, dry_run)}\ndigest {made.manifest.digest}"]
        lines.append(table(("city", *SPLITS), [(city, *sides.values()) for city, sides in counts.items()]))
        lines += [
            f"without {side} photos: {len(cities)} of {len(counts)} cities ({first_few(cities)})"
            for side, cities in made.without.items()
            if cities
        ]
        if len(made.without["val"]) == len(counts) and len(made.without["train"]) < len(counts):
            lines.append(
                "methods choose on validation photos, and bench needs some: --val-share 0.15 takes training photos"
            )
        lines += [
            f"taken as the table says, though {stage} would leave them out: {count} photos"
            for stage, count in made.against_decisions.items()
        ]
        lines += [f"photos of these cities that the table does not name: {made.unused}"] if made.unused else []
        if not dry_run:
            lines.append(f"nothing is promised of a given split: `t15 audit {made.folder}` says what its sides share")
        lines.append(_power_text(sum(sides["test"] for sides in counts.values())))
        return "\n\n".join(lines)

    show(result, json, text)


def _by_vectors(
    context: typer.Context,
    choose: str | None,
    group_scenes: bool,
    net: str | None,
    *,
    no_numbers: bool,
    no_groups: bool,
) -> dict[str, Any]:
    """Return what vectors are asked for, as arguments of `split`."""
    from collector.curating.vectors import source_of
    from collector.splitting.choose import HOWS, Choosing
    from collector.splitting.scenes import Scenes

    if choose is not None and choose not in HOWS:
        raise UsageError(f"--choose {choose[:40]!r}: give one of {', '.join(HOWS)}")
    if choose and (no_numbers or no_groups):
        raise UsageError(
            "--choose: belongs to a split by numbers, not to --fractions, --kfold, --paper or --protocol place"
        )
    if group_scenes and no_groups:
        raise UsageError("--group-scenes: does not go with --kfold, --paper or --protocol place")
    if net and not (choose or group_scenes):
        raise UsageError("--net: belongs to --choose and --group-scenes")
    source = source_of(context.obj)
    return {
        "choosing": Choosing(choose, source, net, track) if choose else None,
        "scenes": Scenes(source, net, track) if group_scenes else None,
    }


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _region_asked(region: str | None) -> "str | Region | None":
    """Return the region of a file as it is now, or the name of one that photos were collected for."""
    from collector.regions import region as find_region

    return find_region(region) if region and region.endswith(".toml") else region


def _recipe(
    counts: dict[str, int],
    fractions: str | None,
    paper: bool,
    drop_photos: bool,
    rules: dict[str, Any],
    parent: "Manifest | None",
    hold_out: "HoldOut" = 0,
) -> "tuple[Recipe, dict[str, float]]":
    """Return how to split, and the quotas; what is not given is as it was in the parent."""
    from dataclasses import replace

    from collector.splitting.split import Recipe, recipe_of

    base = recipe_of(parent) if parent else Recipe()
    mode: Mode = "paper" if paper else "fractions" if fractions is not None else "exact" if counts else base.mode
    drops = drop_photos or (base.drop_photos and mode == "exact")
    recipe = Recipe(mode, replace(base.groups, **rules), drops, hold_out=hold_out)
    if fractions is not None:
        return recipe, parse_fractions(fractions)
    return recipe, {**(parent.header.quotas if parent and base.mode == mode else QUOTAS), **counts}


def _place_recipe(asked: dict[str, Any], links: dict[str, Any]) -> "tuple[Recipe, dict[str, float]]":
    from collector.splitting.split import Recipe, place_rules

    within = _given(within_m=asked.pop("within_m", None))
    return Recipe("place", place_rules(**links), **within), {"val": QUOTAS["val"], "test": QUOTAS["test"], **asked}


def _check_protocol(protocol: str, of_city: bool, of_place: bool) -> None:
    if protocol not in PROTOCOLS:
        raise UsageError(f"--protocol {protocol[:40]!r}: give one of {', '.join(PROTOCOLS)}")
    if protocol == "place" and of_city:
        raise UsageError(
            "--protocol place: takes --queries, --val-queries, --within and the rules about authors and pictures; leave "
            "numbers and shares of sides, distances, --drop-photos and --extend out"
        )
    if protocol == "city" and of_place:
        raise UsageError("--queries, --val-queries and --within: belong to --protocol place")


def _check_options(
    counts: dict[str, int],
    fractions: str | None,
    kfold: int | None,
    paper: bool,
    extend: Path | None,
    drop_photos: bool,
    rules: bool,
    version: str | None,
) -> None:
    ways = {"--fractions": fractions is not None, "--kfold": kfold is not None, "--paper": paper}
    chosen = [name for name, is_given in ways.items() if is_given]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)}: these are different splits, choose one")
    if counts and chosen and not paper:
        raise UsageError(f"{chosen[0]}: says how many photos each side gets; leave --train, --val and --test out")
    if drop_photos and chosen:
        raise UsageError(f"--drop-photos: belongs to a split by numbers, not to {chosen[0]}")
    if extend and chosen and fractions is None:
        raise UsageError(f"--extend: an earlier manifest cannot be extended with {chosen[0]}")
    if paper and rules:
        raise UsageError("--paper: takes single photos at random; leave the rules about groups out")
    if kfold is not None and version:
        raise UsageError("--version: each fold is a data set with a version of its own; leave it out with --kfold")


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


def _note_before(result: "SplitResult | FoldsResult") -> None:
    if result.cleaned:
        out = result.cleaned.photos - result.cleaned.clean
        note(f"new photos: looked for copies first, {out} of {result.cleaned.photos} left out (`t15 dedup` tells more)")
    if result.misplaced:
        note(_misplaced_text(result.misplaced.values()))
    if result.elsewhere:
        parts = first_few([f"{count} of {slug}" for slug, count in result.elsewhere.items()])
        count = sum(result.elsewhere.values())
        note(f"photos of cities that the region does not have: {count}, not part of the split ({parts})")
    if result.small_cities:
        few = first_few([f"{slug} {count}" for slug, count in result.small_cities.items()])
        note(f"cities with fewer photos than --min-photos, not in the data set: {len(result.small_cities)} ({few})")
    if result.empty_cities:
        note(f"without photos, and so not in the data set: {', '.join(result.empty_cities)}")
    for of in result.empty_sides:
        note(f"empty sides, as allowed: {of}")


def _described(result: "SplitResult", dry_run: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from collector.power import DISAGREE, power_of_mcnemar

    growth, grouping = result.growth, result.grouping
    tested = sum(sides["test"] for sides in result.manifest.counts().values())
    return {
        "folder": str(result.folder),
        "name": result.manifest.header.name,
        "version": result.manifest.header.version,
        "digest": result.manifest.digest,
        "written": result.written and not dry_run,
        "dry_run": dry_run,
        "counts": result.manifest.counts(),
        "misplaced": {
            photo_id: {"city": of.city.slug, "km": round(of.km, 3), "nearer": of.nearer and of.nearer.slug}
            for photo_id, of in result.misplaced.items()
        },
        "elsewhere": result.elsewhere,
        "empty_cities": result.empty_cities,
        "small_cities": result.small_cities,
        "deviations": result.deviations,
        "empty_sides": [asdict(of) for of in result.empty_sides],
        "power": asdict(power_of_mcnemar(tested, DISAGREE)) if tested else None,
        "missed_shares": [asdict(of) for of in result.missed_shares],
        "held_out": list(result.held_out),
        "links_left_out": result.links,
        "groups": grouping
        and {
            "groups": grouping.groups,
            "spanning": grouping.spanning,
            "effects": {name: asdict(effect) for name, effect in grouping.effects.items()},
            "largest": [asdict(group) for group in grouping.largest],
        },
        "growth": growth and {"bridges": growth.bridges, "retired": growth.retired, "gone": growth.gone},
    }


def _split_text(result: "SplitResult", dry_run: bool) -> str:
    counts = result.manifest.counts()
    rows = [(city, *sides.values(), result.left_out.get(city, 0)) for city, sides in counts.items()]
    parts = [
        f"{result.folder}: {_state(result, dry_run)}\ndigest {result.manifest.digest}",
        table(("city", *SPLITS, "left out"), rows),
    ]
    if result.grouping:
        parts.append(_groups_text(result.grouping))
    if result.grouping and not dry_run:
        parts.append(f"`t15 audit {result.folder}` measures anew what the sides share")
    elif not dry_run:
        parts.append(f"single photos were assigned at random: `t15 audit {result.folder}` shows what leaks")
    parts.append(_power_text(sum(sides["test"] for sides in counts.values())))
    if result.held_out:
        parts.insert(
            2,
            f"held out of training: {', '.join(result.held_out)}; no method can name them, those that answer with places can "
            "come near",
        )
    if result.missed_shares:
        parts.insert(2, _missed_text(result.missed_shares))
    if result.links:
        parts.insert(2, _listed("left out because they join two sides", result.links))
    if result.growth:
        growth = result.growth
        parts.insert(
            2,
            "\n".join(
                _listed(why, ids)
                for why, ids in (
                    ("new, left out because they join two sides", growth.bridges),
                    ("earlier, left out because they are in a group with another side", growth.retired),
                    ("earlier, no longer available", growth.gone),
                )
            ),
        )
    return "\n\n".join(parts)


def _state(result: "SplitResult | FoldResult | GivenSplit", dry_run: bool) -> str:
    written = "would be written (dry run: nothing was)" if dry_run else "written"
    return written if result.written else "unchanged, is there already"


def _missed_text(missed: Sequence["MissedShare"]) -> str:
    from collector.splitting.side_checks import FEW_POINTS

    head = f"shares missed by more than {100 * FEW_POINTS:g} points (photos of a group stay together)"
    rows = [(of.city, of.side, f"{of.asked:.1%}", f"{of.got:.1%}") for of in missed[:NAMED]]
    more = f"\nand {len(missed) - NAMED} more (--json has all)" if len(missed) > NAMED else ""
    return f"{head}\n{table(('city', 'side', 'asked', 'got'), rows)}{more}"


def _misplaced_text(misplaced: Iterable["Misplaced"]) -> str:
    """Return how many photos lie outside of their city, and which cities they are of."""
    outside: dict[str, list[Misplaced]] = {}
    nearer: dict[tuple[str, str], int] = {}
    for of in misplaced:
        if of.nearer is None:
            outside.setdefault(of.city.slug, []).append(of)
        else:
            key = (of.city.slug, of.nearer.slug)
            nearer[key] = nearer.get(key, 0) + 1
    parts = [
        f"{len(found)} of {slug} up to {max(of.km for of in found):.1f} km from its centre, "
        f"with a radius of {found[0].city.radius_km:g} km"
        for slug, found in outside.items()
    ]
    parts += [f"{count} of {slug} nearer to {other}" for (slug, other), count in nearer.items()]
    count = sum(map(len, outside.values())) + sum(nearer.values())
    more = f"; and of {len(parts) - NAMED} more cities" if len(parts) > NAMED else ""
    return (
        f"photos outside of their city as the region has it now: {count}, not part of the split ({'; '.join(parts[:NAMED])}"
        f"{more}); they stay in the workspace and come back when the region holds them again"
    )


def _power_text(photos: int) -> str:
    """Return which differences of two methods the test photos can show."""
    from collector.power import DISAGREE, power_of_mcnemar

    if not photos:
        return "without test photos no two methods can be told apart"
    seen = power_of_mcnemar(photos, DISAGREE)
    likely = (
        f"; where they disagree on {DISAGREE:.0%} of photos, one of {100 * seen.likely:.1f} points is seen four times in five"
        if seen.likely is not None
        else ""
    )
    return (
        f"with {photos} test photos, a difference of two methods under {100 * seen.least:.1f} points cannot be seen "
        f"(McNemar's exact test, 5 %){likely}"
    )


def _fold_described(fold: "FoldResult", dry_run: bool) -> dict[str, Any]:
    return {
        "folder": str(fold.folder),
        "state": _state(fold, dry_run),
        "digest": fold.manifest.digest,
        "counts": fold.manifest.counts(),
    }


def _folds_text(made: "FoldsResult", dry_run: bool) -> str:
    numbered = list(enumerate(made.folds, start=1))
    folders = table(("fold", "folder", "state"), [(n, fold.folder, _state(fold, dry_run)) for n, fold in numbered])
    counts = [(n, city, *sides.values()) for n, fold in numbered for city, sides in fold.manifest.counts().items()]
    tested = sum(sides["test"] for fold in made.folds for sides in fold.manifest.counts().values())
    name = made.folds[0].manifest.header.name.partition("-fold-")[0]
    pooled = (
        f"pooled over the folds, {_power_text(tested)}\n`t15 bench --manifest {name} --all`, then `t15 leaderboard "
        f"--manifest {name}`: one board of all photos, each tested once"
    )
    return f"{folders}\n\n{table(('fold', 'city', *SPLITS), counts)}\n\n{pooled}"


def _groups_text(grouping: "Grouping") -> str:
    rows = [
        (name.replace("_", " "), effect.photos, effect.groups, effect.largest)
        for name, effect in grouping.effects.items()
    ]
    said = f"{grouping.groups} groups of photos that stay together, {grouping.spanning} of them in several cities"
    return f"{said}\n{table(('linked by', 'photos', 'groups', 'largest'), rows)}" if rows else said


def _listed(why: str, ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - NAMED} more (--json names all)" if len(ids) > NAMED else ""
    return f"{why}: {len(ids)}" + (f" ({', '.join(ids[:NAMED])}{more})" if ids else "")


@app.command()
def audit(
    path: Annotated[
        str,
        typer.Argument(
            help="A manifest (folder, https:// address, hub:NAME), or a CSV, JSONL or Parquet file with a split."
        ),
    ],
    column: ColumnOption = None,
    root: Annotated[
        Path | None,
        typer.Option(help="For a file: the folder of its pictures, whose bytes, looks and EXIF are read too."),
    ] = None,
    min_distance: Annotated[
        float | None,
        typer.Option(
            min=0, help=f"Metres that photos of two sides keep. Default: what it claims, else {MIN_DISTANCE_M:g}."
        ),
    ] = None,
    radius: Annotated[
        int | None,
        typer.Option(
            min=0, max=32, help=f"pHash bits within which two photos are one picture. Default: {PHASH_RADIUS}."
        ),
    ] = None,
    claims_only: Annotated[
        bool, typer.Option("--claims-only", help="Fail only where a manifest breaks its own rules.")
    ] = False,
    cluster: ClusterOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Check a split for leakage, measured from the data; exits with 3 if anything leaks or nothing can be judged."""
    from collector.executors.cluster import work_on
    from collector.manifest.foreign import read_foreign
    from collector.manifest.manifest import read_manifest
    from collector.manifest.remote import locate
    from collector.splitting.audit import audit_foreign, audit_manifest
    from collector.splitting.certificate import as_json, certificate
    from collector.splitting.pictures import with_pictures

    file = Path(path)
    if file.is_file() and file.name != "manifest.json":
        columns = parse_columns(column)
        theirs, remarks = read_foreign(file, {name: of for name, of in columns.items() if name != "file"}), []
        if root is not None:
            read = with_pictures(theirs, root, columns, track)
            theirs, remarks = read.foreign, [read.remark]
        with work_on(cluster, None, None) as work:
            found = audit_foreign(theirs, min_distance, radius, remarks, work)
    else:
        if root is not None:
            raise UsageError(
                "--root: is for a CSV or Parquet file; a manifest has the digests and hashes of its pictures"
            )
        if column:
            raise UsageError("--column: is for a CSV or Parquet file; a manifest's columns are known")
        data = read_manifest(locate(path, workspace / "cache"))
        with work_on(cluster, None, None) as work:
            found = audit_manifest(data, min_distance, radius, work)
    show(as_json(found, claims_only=claims_only), json, lambda: certificate(found))
    if code := found.exit_code(claims_only=claims_only):
        raise typer.Exit(code)
