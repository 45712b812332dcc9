"""What `t15 split` says of what it made: notes, JSON and text for splits of t15's, folds, and splits of somebody else's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from collector.errors import first_few
from collector.manifest.manifest import Manifest
from collector.options import NAMED
from collector.power import DISAGREE, power_of_mcnemar
from collector.progress import note
from collector.records import SPLITS
from collector.regions import Misplaced
from collector.splitting.candidates import StoredManifest
from collector.splitting.extend import Growth
from collector.splitting.given import GivenSplit
from collector.splitting.groups import Grouping
from collector.splitting.side_checks import FEW_POINTS, MissedShare
from collector.splitting.split import FoldsResult, SplitResult
from collector.text_table import counted, table

AnySplit = SplitResult | FoldsResult | GivenSplit


def note_input(result: AnySplit) -> None:
    """Say on stderr what became of the photos or rows that are no part of the split, and what cannot be done with it."""
    if isinstance(result, GivenSplit):
        _note_table(result)
    else:
        _note_photos(result)
    if alone := _alone_text(result.folds[0].manifest if isinstance(result, FoldsResult) else result.manifest):
        note(alone)


def named_photos(result: AnySplit) -> list[str]:
    """Return the ids of the photos that a report lists."""
    if not isinstance(result, SplitResult):
        return []
    growth = result.growth
    return [*result.misplaced, *result.links, *([*growth.bridges, *growth.retired, *growth.gone] if growth else ())]


def as_json(result: AnySplit, names: Mapping[str, str], dry_run: bool) -> Any:
    """Return it as plain JSON; `names` says what people call the `named_photos`."""
    match result:
        case FoldsResult():
            return [_fold_json(fold, dry_run) for fold in result.folds]
        case GivenSplit():
            return _given_json(result, dry_run)
        case SplitResult():
            return {**_split_json(result, dry_run), "names": dict(names)}


def as_text(result: AnySplit, names: Mapping[str, str], dry_run: bool) -> str:
    """Return it as text for people; `names` says what they call the `named_photos`."""
    match result:
        case FoldsResult():
            return _folds_text(result, dry_run)
        case GivenSplit():
            return _given_text(result, dry_run)
        case SplitResult():
            return _split_text(result, names, dry_run)


def _alone_text(manifest: Manifest) -> str:
    """Return what to do where the photos are all of one city, which leaves a benchmark nothing to tell apart."""
    header = manifest.header
    if header.protocol == "place" or len(header.cities) != 1:
        return ""
    finer = [level for level in manifest.labels.levels if len(manifest.labels.at(level)) > 1]
    do = (
        f"`t15 bench --level {finer[-1]}` has some"
        if finer
        else "`t15 split --protocol place` asks for the very place instead; `t15 cities --grid KM` makes districts of a "
        "town, for `t15 bench --level district`; or collect another city"
    )
    return f"all photos are of {header.cities[0].name}, and `t15 bench` needs two cities to tell apart: {do}"


def _note_table(given: GivenSplit) -> None:
    columns = ", ".join(ours if ours == theirs else f"{ours} from {theirs}" for ours, theirs in given.columns.items())
    note(f"{given.table}: {counted(given.rows, 'rows')}; columns: {columns} (--column split=NAME names another)")
    if given.missing:
        note(f"rows whose photo is not in the workspace: {len(given.missing)} ({first_few(given.missing)})")
    if given.other_city:
        cities = first_few(given.other_city)
        note(f"rows that name another city than their photo has: {len(given.other_city)} ({cities})")


def _note_photos(result: SplitResult | FoldsResult) -> None:
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


def _identity_json(made: SplitResult | GivenSplit, dry_run: bool) -> dict[str, Any]:
    return {
        "folder": str(made.folder),
        "name": made.manifest.header.name,
        "version": made.manifest.header.version,
        "digest": made.manifest.digest,
        "written": made.written and not dry_run,
        "dry_run": dry_run,
        "counts": made.manifest.counts(),
    }


def _split_json(result: SplitResult, dry_run: bool) -> dict[str, Any]:
    growth, grouping = result.growth, result.grouping
    tested = _tested(result.manifest.counts())
    return {
        **_identity_json(result, dry_run),
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
        "left_out": result.left_out,
    }


def _given_json(given: GivenSplit, dry_run: bool) -> dict[str, Any]:
    return {
        **_identity_json(given, dry_run),
        "rows": given.rows,
        "missing": given.missing,
        "other_city": given.other_city,
        "unused": given.unused,
        "against_decisions": given.against_decisions,
        "without": given.without,
    }


def _fold_json(fold: StoredManifest, dry_run: bool) -> dict[str, Any]:
    return {
        "folder": str(fold.folder),
        "state": _state(fold, dry_run),
        "digest": fold.manifest.digest,
        "counts": fold.manifest.counts(),
    }


def _split_text(result: SplitResult, names: Mapping[str, str], dry_run: bool) -> str:
    counts = result.manifest.counts()
    rows = [(city, *sides.values(), result.left_out.get(city, 0)) for city, sides in counts.items()]
    parts = [_made_text(result, dry_run), table(("city", *SPLITS, "left out"), rows)]
    if result.growth:
        parts.append(_growth_text(result.growth, names))
    if result.links:
        parts.append(_listed("left out because they join two sides", result.links, names))
    if result.missed_shares:
        parts.append(_missed_text(result.missed_shares))
    if result.held_out:
        parts.append(
            f"held out of training: {', '.join(result.held_out)}; no method can name them, those that answer with places can "
            "come near" + "; `t15 bench --level district` tells them apart" * any("/" in of for of in result.held_out)
        )
    if result.grouping:
        parts.append(_groups_text(result.grouping))
    if result.grouping and not dry_run:
        parts.append(f"`t15 audit {result.folder}` measures anew what the sides share")
    elif not dry_run:
        parts.append(f"single photos were assigned at random: `t15 audit {result.folder}` shows what leaks")
    if result.manifest.header.protocol != "place":
        return "\n\n".join([*parts, _power_text(_tested(counts))])
    return "\n\n".join([*parts, queries_text(result.manifest)])


def queries_text(manifest: Manifest) -> str:
    """Return of how many groups the queries of a manifest of protocol place are, and which differences they can show."""
    groups = {
        side: len({photo.group_id or photo.photo_id for photo in manifest.photos(side)}) for side in ("test", "val")
    }
    told = " and ".join(
        f"{len(manifest.photos(side))} {side} queries of {counted(of, 'groups')}" for side, of in groups.items() if of
    )
    return (
        f"{told}: photos of one author, sequence, panorama or picture, which stand or fall together\n\n"
        f"{_power_text(len(manifest.photos('test')), groups['test'])}"
    )


def _given_text(given: GivenSplit, dry_run: bool) -> str:
    counts = given.manifest.counts()
    parts = [
        _made_text(given, dry_run),
        table(("city", *SPLITS), [(city, *sides.values()) for city, sides in counts.items()]),
    ]
    parts += [
        f"without {side} photos: {len(cities)} of {counted(len(counts), 'cities')} ({first_few(cities)})"
        for side, cities in given.without.items()
        if cities
    ]
    if len(given.without["val"]) == len(counts) and len(given.without["train"]) < len(counts):
        parts.append(
            "methods choose on validation photos, and bench needs some: --val-share 0.15 takes training photos"
        )
    parts += [
        f"taken as the table says, though {stage} would leave them out: {counted(count, 'photos')}"
        for stage, count in given.against_decisions.items()
    ]
    if given.unused:
        parts.append(f"photos of these cities that the table does not name: {given.unused}")
    if not dry_run:
        parts.append(f"nothing is promised of a given split: `t15 audit {given.folder}` says what its sides share")
    return "\n\n".join([*parts, _power_text(_tested(counts))])


def _folds_text(made: FoldsResult, dry_run: bool) -> str:
    numbered = list(enumerate(made.folds, start=1))
    folders = table(("fold", "folder", "state"), [(n, fold.folder, _state(fold, dry_run)) for n, fold in numbered])
    counts = [(n, city, *sides.values()) for n, fold in numbered for city, sides in fold.manifest.counts().items()]
    tested = sum(_tested(fold.manifest.counts()) for fold in made.folds)
    name = made.folds[0].manifest.header.name.partition("-fold-")[0]
    pooled = (
        f"pooled over the folds, {_power_text(tested)}\n`t15 bench --manifest {name} --all`, then `t15 leaderboard "
        f"--manifest {name}`: one board of all photos, each tested once"
    )
    return f"{folders}\n\n{table(('fold', 'city', *SPLITS), counts)}\n\n{pooled}"


def _made_text(made: SplitResult | GivenSplit, dry_run: bool) -> str:
    return f"{made.folder}: {_state(made, dry_run)}\ndigest {made.manifest.digest}"


def _state(result: SplitResult | StoredManifest | GivenSplit, dry_run: bool) -> str:
    written = "would be written (dry run: nothing was)" if dry_run else "written"
    return written if result.written else "unchanged, is there already"


def _tested(counts: dict[str, dict[str, int]]) -> int:
    return sum(sides["test"] for sides in counts.values())


def _growth_text(growth: Growth, names: Mapping[str, str]) -> str:
    return "\n".join(
        [
            _listed("new, left out because they join two sides", growth.bridges, names),
            _listed("earlier, left out because they are in a group with another side", growth.retired, names),
            _listed("earlier, no longer available", growth.gone, names),
        ]
    )


def _missed_text(missed: Sequence[MissedShare]) -> str:
    head = f"shares missed by more than {100 * FEW_POINTS:g} points (photos of a group stay together)"
    rows = [(of.city, of.side, f"{of.asked:.1%}", f"{of.got:.1%}") for of in missed[:NAMED]]
    more = f"\nand {len(missed) - NAMED} more (--json has all)" if len(missed) > NAMED else ""
    return f"{head}\n{table(('city', 'side', 'asked', 'got'), rows)}{more}"


def _misplaced_text(misplaced: Iterable[Misplaced]) -> str:
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
        f"{len(photos)} of {slug} up to {max(of.km for of in photos):.1f} km from its centre, "
        f"with a radius of {photos[0].city.radius_km:g} km"
        for slug, photos in outside.items()
    ]
    parts += [f"{count} of {slug} nearer to {other}" for (slug, other), count in nearer.items()]
    count = sum(map(len, outside.values())) + sum(nearer.values())
    more = f"; and of {len(parts) - NAMED} more cities" if len(parts) > NAMED else ""
    return (
        f"photos outside of their city as the region has it now: {count}, not part of the split ({'; '.join(parts[:NAMED])}"
        f"{more}); they stay in the workspace and come back when the region holds them again"
    )


def _power_text(photos: int, groups: int | None = None) -> str:
    """Return which differences of two methods the test photos can show, where those of a group may stand or fall together."""
    if not photos:
        return "without test photos no two methods can be told apart"
    seen = power_of_mcnemar(photos, DISAGREE)
    likely = (
        f"; where they disagree on {DISAGREE:.0%} of photos, one of {100 * seen.likely:.1f} points is seen four times in five"
        if seen.likely is not None
        else ""
    )
    if groups is not None and groups < photos:
        together = power_of_mcnemar(groups).least
        return (
            f"with {photos} test photos of {counted(groups, 'groups')}, a difference of two methods under "
            f"{100 * seen.least:.1f} points cannot be seen (McNemar's exact test, 5 %), and under {100 * together:.1f} where "
            "those of a group are right and wrong together"
        )
    return (
        f"with {counted(photos, 'test photos')}, a difference of two methods under {100 * seen.least:.1f} points "
        "cannot be seen "
        f"(McNemar's exact test, 5 %){likely}"
    )


def _groups_text(grouping: Grouping) -> str:
    rows = [
        (name.replace("_", " "), effect.photos, effect.groups, effect.largest)
        for name, effect in grouping.effects.items()
    ]
    text = f"{counted(grouping.groups, 'groups')} of photos that stay together, {grouping.spanning} of them in several cities"
    return f"{text}\n{table(('linked by', 'photos', 'groups', 'largest'), rows)}" if rows else text


def _listed(why: str, ids: tuple[str, ...], names: Mapping[str, str]) -> str:
    more = f" and {len(ids) - NAMED} more (--json names all)" if len(ids) > NAMED else ""
    called = ", ".join(names.get(photo_id, photo_id)[:60] for photo_id in ids[:NAMED])
    return f"{why}: {len(ids)}" + (f" ({called}{more})" if ids else "")
