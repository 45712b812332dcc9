"""Make a manifest of everything clean in the workspace, or a larger one of an earlier manifest that keeps its promise.

Earlier photos keep their sides, and no group spans two of them. How photos are assigned is a value, `Recipe`: what the header
says of it, and reading that again.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from collector.catalogue.catalogue import Catalogue, Decision, open_catalogue
from collector.curating.assess import flags_in_text
from collector.curating.duplicates import DedupSummary, dedup
from collector.errors import DataError, UsageError, did_you_mean
from collector.labels import LabelTree
from collector.manifest.manifest import (
    Header,
    Manifest,
    build_manifest,
    next_version,
    read_header,
    read_manifest,
    this_tool,
    version_key,
    versions,
    with_columns,
    write_manifest,
)
from collector.manifest.photo_rows import PhotoRows
from collector.providers.registry import traits_of
from collector.records import (
    FLAGS_COLUMN,
    PHASH_RADIUS,
    PHOTO_FIELDS,
    SCENES_COLUMN,
    SPLITS,
    WITHIN_M,
    Photo,
    Region,
    provider_of,
)
from collector.regions import Misplaced, find_city, misplaced
from collector.splitting.allocate import Allocation, Mode, allocate, kfold
from collector.splitting.by_photo import ByPhoto
from collector.splitting.choose import Choosing, attempts, first_that_fits, preferred
from collector.splitting.groups import Grouping, GroupRules, group_photos
from collector.splitting.held_out import HoldOut, held_out_cities, trained, with_held_out
from collector.splitting.place_protocol import allocate_places
from collector.splitting.scenes import STAGE as SCENES_STAGE
from collector.splitting.scenes import Scenes, find_scenes
from collector.splitting.side_checks import EmptySides, MissedShare, empty_sides, missed_shares, refusal
from collector.workspace import Workspace, storage_errors

_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("near_duplicates", "authors", "sequences", "panoramas"), (bool,)),
    "service_authors": (tuple,),
    "phash_radius": (int,),
    **dict.fromkeys(("min_distance_m", "panorama_m"), (int, float)),
    "max_hours": (int, float, type(None)),
}

RELABELLED_COLUMN = "relabelled_from"
"""A manifest's column beside those of its format: the city that a photo had before a reviewer moved it, and the day."""

HELD_OUT = "held_out_cities"
"""Of a manifest's rules: the cities whose photos are test photos only."""

Grouper = Callable[[Sequence[Photo]], Mapping[str, str]]
"""Photos to photo_id -> group: what `groups.group_photos` does under one set of rules."""

_STRONGER = tuple(reversed(SPLITS))  # test over val over train: what was kept for judging stays so


@dataclass(frozen=True, slots=True)
class Recipe:
    """How photos are assigned.

    Attributes:
        mode: as in `allocate`; `place`: a gallery and queries, as in `place_protocol`.
        groups: what has to stay on one side; not used by the mode `paper`.
        drop_photos: as in `allocate`.
        within_m: in the mode `place`, how near to a query the gallery has another photo.
        hold_out: cities whose photos are test photos only, or how many the seed draws; in the modes `exact` and `fractions`.
    """

    mode: Mode = "exact"
    groups: GroupRules = field(default_factory=GroupRules)
    drop_photos: bool = False
    within_m: float = WITHIN_M
    hold_out: HoldOut = 0

    def rules(self, radius: int) -> dict[str, Any]:
        """Return what a manifest's header says of it; `radius` is that of dedup."""
        grouped: dict[str, Any] = {}
        if self.mode == "place":
            grouped = {"groups": asdict(self.groups), "within_m": self.within_m}
        elif self.mode != "paper":
            grouped = {"groups": asdict(self.groups), "drop_photos": self.drop_photos}
        held_out = {HELD_OUT: list(self.hold_out)} if isinstance(self.hold_out, tuple) and self.hold_out else {}
        return {"mode": self.mode, **grouped, **held_out, "left_out": {"near-duplicates": {"phash_radius": radius}}}


def place_rules(**links: Any) -> GroupRules:
    """Return the rules of the protocol `place`: distance joins nothing, neighbouring panoramas neither."""
    return GroupRules(min_distance_m=0.0, panorama_m=0.0, **links)


def recipe_of(parent: Manifest) -> Recipe:
    """Return how the photos of a manifest were assigned, to assign more in the same way.

    Raises:
        UsageError: in a mode whose promise nobody can keep.
        DataError: its rules are not understood.
    """
    rules, of = parent.header.rules, f"{parent.header.name} {parent.header.version}"
    if rules.get("mode") == "place":
        raise UsageError(
            f"--extend: {of} has the protocol place, which cannot be extended; make a new data set of all photos"
        )
    if rules.get(HELD_OUT):
        raise UsageError(
            f"--extend: {of} holds whole cities out, and cannot be extended; make a new data set of all photos"
        )
    if rules.get("mode") not in ("exact", "fractions"):
        raise UsageError(
            f"--extend: {of} was split by mode {rules.get('mode')!r}, which promises nothing that could be kept; make a new "
            "data set with t15 split"
        )
    try:
        return Recipe(rules["mode"], _group_rules(rules["groups"]), bool(rules.get("drop_photos")))
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise DataError(
            f"--extend: {of} states its grouping rules in a way that this t15 does not know ({error})"
        ) from error


def _group_rules(stated: Mapping[str, Any]) -> GroupRules:
    """Return the rules about groups that somebody's manifest states.

    Raises:
        TypeError, ValueError, UsageError: it states no such rules.
    """
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in dict(stated).items()
    }
    # Before format 2 sequences were not known, and services were named by the rules.
    rules = GroupRules(**{"sequences": False, **{of: value for of, value in given.items() if of != "street_views"}})
    for name, value in asdict(rules).items():
        if type(value) not in _KINDS[name] or (isinstance(value, tuple) and not all(type(v) is str for v in value)):
            raise TypeError(f"{name}: {value!r}")
    group_photos((), rules)  # checks what measures may be
    return rules


@dataclass(frozen=True, slots=True)
class Growth:
    """What an extended data set is made of.

    Attributes:
        photos: earlier and new photos that stay.
        fixed: the side of each earlier photo among them.
        bridges: new photos left out because they, or others linked to them, join photos of two sides.
        retired: earlier photos left out because they turned out to be in one group with photos of a stronger side.
        gone: ids of earlier photos that are not there any more (withdrawn, lost, or outside of their city by now).
    """

    photos: tuple[Photo, ...]
    fixed: Mapping[str, str]
    bridges: tuple[str, ...]
    retired: tuple[str, ...]
    gone: tuple[str, ...]


def grow(earlier: Sequence[Photo], new: Sequence[Photo], gone: Sequence[str], group: Grouper) -> Growth:
    """Return which photos an extension takes, so that no group has earlier photos of two sides.

    A new photo is a bridge when, among the new photos and the earlier ones of one side, it is in a group with an earlier
    one, for two sides or more. Without bridges every path from one side to another leads from an earlier photo straight to
    an earlier one: those are resolved towards test by leaving the photos of the weaker sides out.

    Args:
        earlier: photos of the parent that are still there, each with its `split`.
        new: photos that the parent does not have.
        gone: ids of the parent's photos that are not there any more.
        group: the grouping rule.
    """
    touched: dict[str, set[str]] = defaultdict(set)
    for side in SPLITS:
        old = [photo for photo in earlier if photo.split == side]
        group_of = group([*old, *new])
        groups = {group_of[photo.photo_id] for photo in old}
        for photo in new:
            if group_of[photo.photo_id] in groups:
                touched[photo.photo_id].add(side)
    bridges = {photo_id for photo_id, sides in touched.items() if len(sides) > 1}
    added = [photo for photo in new if photo.photo_id not in bridges]
    kept = list(earlier)
    group_of = group([*kept, *added])
    sides_of: dict[str, set[str]] = defaultdict(set)
    for photo in kept:
        sides_of[group_of[photo.photo_id]].add(str(photo.split))
    strongest = {name: next(side for side in _STRONGER if side in sides) for name, sides in sides_of.items()}
    retired = {photo.photo_id for photo in kept if photo.split != strongest[group_of[photo.photo_id]]}
    kept = [photo for photo in kept if photo.photo_id not in retired]
    return Growth(
        photos=(*kept, *added),
        fixed={photo.photo_id: str(photo.split) for photo in kept},
        bridges=tuple(sorted(bridges)),
        retired=tuple(sorted(retired)),
        gone=tuple(sorted(gone)),
    )


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What `split` made.

    Attributes:
        manifest: the data set.
        folder: where it lies.
        written: False when exactly this manifest was there already.
        cleaned: what a `dedup` found that had to come first, None when all photos had been looked at.
        left_out: clean photos without a side, by city slug.
        links: ids of those that were left out because they join two sides.
        deviations: as in Allocation.
        misplaced: clean photos that are not in their city as the region has it now, by photo_id: they are not part of the
            data set, and stay in the workspace.
        elsewhere: clean photos of cities that the region does not have (any more), by slug; as `misplaced`.
        empty_cities: slugs of the region's cities that have no clean photo, and are not part of the data set.
        small_cities: clean photos by slug of the cities that have fewer than were asked for, and are not part of it.
        grouping: the groups, None where none were made.
        growth: what became of the photos of an earlier manifest, None where none was extended.
        empty_sides: cities that have no photo on a side, where that was allowed.
        missed_shares: what differs from the fractions that were asked for.
        held_out: cities whose photos are test photos only.
    """

    manifest: Manifest
    folder: Path
    written: bool
    cleaned: DedupSummary | None
    left_out: dict[str, int]
    links: tuple[str, ...]
    deviations: dict[str, dict[str, int]]
    misplaced: dict[str, Misplaced]
    elsewhere: dict[str, int]
    empty_cities: list[str]
    small_cities: dict[str, int]
    grouping: Grouping | None
    growth: Growth | None
    empty_sides: list[EmptySides]
    missed_shares: list[MissedShare]
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One fold of a cross-validation: its data set, where it lies, and whether it is new."""

    manifest: Manifest
    folder: Path
    written: bool


@dataclass(frozen=True, slots=True)
class FoldsResult:
    """What `split_folds` made; the attributes are those of SplitResult."""

    folds: list[FoldResult]
    cleaned: DedupSummary | None
    misplaced: dict[str, Misplaced]
    elsewhere: dict[str, int]
    empty_cities: list[str]
    small_cities: dict[str, int]
    empty_sides: list[EmptySides]


@dataclass(frozen=True, slots=True)
class Held:
    """What a workspace holds for a data set."""

    region: Region
    photos: Sequence[Photo]
    decisions: dict[str, Decision]
    rejected: frozenset[str]
    stamps: Mapping[str, str] | str
    cleaned: DedupSummary | None
    radius: int
    misplaced: dict[str, Misplaced]
    elsewhere: dict[str, int]
    empty_cities: list[str]
    columns: dict[str, dict[str, str]]
    small_cities: dict[str, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which data set is asked for.

    Attributes:
        min_photos: cities with fewer clean photos are left out.
        title: of the data set, for people; None for the region's.
        note: what every reader has to know; None for the region's.
    """

    min_photos: int = 1
    title: str | None = None
    note: str | None = None

    def of(self, region: Region) -> Region:
        """Return the region under this title and with this note."""
        return replace(region, title=self.title or region.title, note=region.note if self.note is None else self.note)


def split(
    workspace: Workspace,
    manifests: Path,
    quotas: Mapping[str, float] | None,
    seed: int | None,
    region: str | Region | None = None,
    cities: Sequence[str] = (),
    name: str | None = None,
    version: str | None = None,
    recipe: Recipe | None = None,
    extend: Manifest | None = None,
    *,
    allow_empty_sides: bool = False,
    wanted: Wanted = Wanted(),
    choosing: Choosing | None = None,
    scenes: Scenes | None = None,
    dry_run: bool = False,
) -> SplitResult:
    """Split the clean photos of a region by city and write them as a manifest `manifests/name/version/`.

    Without `region` the only one in the workspace is taken; without `cities` all of its cities that have photos; `name`
    defaults to the region's; `version` to that of the manifest that holds exactly this data already, or else to the one
    that follows the newest by the rule of `next_version`. Photos that `dedup` has not seen are brought before it first.

    With `extend`, an earlier manifest, its photos keep their sides, and what is not given is as it was there. With
    `choosing`, vectors say which photos fill the quotas; with `scenes`, photos of one view stay on one side. With `dry_run`
    no manifest is written; `workspace` is then a `rehearsal`, since photos may have to be brought before `dedup`.

    Raises:
        UsageError: no such region or city, the version exists with other data, or the earlier manifest cannot be extended.
        DataError: the quotas cannot be met, the earlier manifest's photos are not in the workspace, or a city would have no
            photo on a side, unless `allow_empty_sides`.
        IncompleteError: the disk is full.
    """
    parent = extend
    if parent:
        region = region if isinstance(region, Region) else parent.header.region
        name, recipe = name or parent.header.name, recipe or recipe_of(parent)
    recipe, quotas, seed = recipe or Recipe(), quotas or _quotas_of(parent), _seed_of(parent) if seed is None else seed
    held = _held(workspace, region, cities, wanted, extending=parent is not None)
    views = find_scenes(workspace, held.photos, scenes) if scenes else {}
    growth = _grown(workspace, held, parent, recipe, views) if parent else None
    photos: Sequence[Photo] = list(growth.photos) if growth else held.photos
    out = held_out_cities(held.region, photos, recipe.hold_out, seed) if recipe.hold_out else ()
    recipe = replace(recipe, hold_out=out)
    grouping = None if recipe.mode == "paper" else group_photos(photos, recipe.groups, views)
    groups = grouping.group_of if grouping else {photo.photo_id: photo.group_id or photo.photo_id for photo in photos}
    beside: dict[str, Any] = {"scenes": {"vectors": scenes.named}} if scenes else {}
    if recipe.mode == "place":
        allocation = allocate_places(
            photos, groups, {side: int(of) for side, of in quotas.items()}, seed, recipe.within_m
        )
    else:
        learnt = trained(photos, groups, out)

        def allocated(some: Sequence[Photo]) -> Allocation:
            return allocate(
                some,
                groups,
                quotas,
                seed,
                mode=recipe.mode,
                drop_photos=recipe.drop_photos,
                clusters=list(grouping.clusters.values()) if grouping else (),
                fixed=growth.fixed if growth else None,
            )

        if choosing is None:
            allocation = allocated(learnt)
        else:
            total = sum(int(quotas[side]) for side in SPLITS)
            name_of, rows, _ = choosing.source.vectors(workspace, learnt, choosing.net, choosing.track)
            order = preferred(learnt, groups, rows, choosing.how, total, seed)
            tries = attempts(learnt, groups, order, total, growth.fixed if growth else {})
            allocation = first_that_fits(tries, allocated)
            beside["choose"] = {"how": choosing.how, "vectors": name_of}
        allocation = with_held_out(allocation, photos, groups, out)
    asked = [side for side in SPLITS if quotas.get(side, 1)]
    elsewhere = [photo for photo in photos if photo.city not in out]
    empty = _checked(empty_sides(elsewhere, groups, [allocation.sides], asked), allow_empty_sides)
    header = header_of(held, name, version, seed, quotas, {**recipe.rules(held.radius), **beside}, photos, parent)
    with storage_errors(manifests):
        sided = _sided(photos, allocation, grouping)
        columns = {**held.columns, **({SCENES_COLUMN: views} if scenes else {})}
        manifest = versioned(manifests, header, sided, columns, explicit=version is not None, parent=parent)
        folder = manifests / manifest.header.name / manifest.header.version
        written = write_manifest(manifest, folder, dry_run=dry_run)
    return SplitResult(
        manifest,
        folder,
        written,
        held.cleaned,
        left_out=dict(
            sorted(Counter(photo.city for photo in photos if photo.photo_id not in allocation.sides).items())
        ),
        links=tuple(sorted(photo_id for photo_id, why in allocation.left_out.items() if why == "link")),
        deviations=allocation.deviations,
        misplaced=held.misplaced,
        elsewhere=held.elsewhere,
        empty_cities=held.empty_cities,
        small_cities=held.small_cities,
        grouping=grouping,
        growth=growth,
        empty_sides=empty,
        missed_shares=missed_shares(_but(manifest.counts(), out), quotas) if recipe.mode == "fractions" else [],
        held_out=out,
    )


def _but(counts: Mapping[str, Mapping[str, int]], cities: Sequence[str]) -> dict[str, Mapping[str, int]]:
    return {city: sides for city, sides in counts.items() if city not in cities}


def _checked(empty: list[EmptySides], allowed: bool) -> list[EmptySides]:
    if empty and not allowed:
        raise DataError(refusal(empty))
    return empty


def split_folds(
    workspace: Workspace,
    manifests: Path,
    folds: int,
    seed: int,
    region: str | Region | None = None,
    cities: Sequence[str] = (),
    name: str | None = None,
    groups: GroupRules | None = None,
    *,
    allow_empty_sides: bool = False,
    wanted: Wanted = Wanted(),
    dry_run: bool = False,
) -> FoldsResult:
    """Write a manifest for each fold of a cross-validation; with `dry_run` none, as in `split`.

    Each tests on one fold, validates on the next and trains on the others; the groups stay whole. They are called
    `name-fold-1-of-N` and so on, and take their versions as `split` does.

    Raises:
        UsageError, DataError, IncompleteError: as `split`; fewer than three folds.
    """
    if folds < 3:
        raise UsageError(f"--kfold {folds}: give at least 3: one to test, one to validate, the rest to train")
    rules = groups or GroupRules()
    held = _held(workspace, region, cities, wanted)
    grouping = group_photos(held.photos, rules)
    sides = _sides_of_folds(kfold(held.photos, grouping.group_of, folds, seed).fold_of, folds)
    empty = _checked(empty_sides(held.photos, grouping.group_of, sides), allow_empty_sides)
    base = name or held.region.name
    made = []
    for fold, side_of in enumerate(sides, start=1):
        taken = [
            replace(photo, split=side_of[photo.photo_id], group_id=grouping.group_of[photo.photo_id])
            for photo in held.photos
        ]
        rules_ = {**Recipe(groups=rules).rules(held.radius), "mode": "kfold", "folds": folds, "fold": fold}
        header = header_of(held, f"{base}-fold-{fold}-of-{folds}", None, seed, {}, rules_, taken, None)
        with storage_errors(manifests):
            manifest = versioned(manifests, header, taken, held.columns, explicit=False)
            folder = manifests / manifest.header.name / manifest.header.version
            made.append(FoldResult(manifest, folder, write_manifest(manifest, folder, dry_run=dry_run)))
    return FoldsResult(made, held.cleaned, held.misplaced, held.elsewhere, held.empty_cities, held.small_cities, empty)


def _sides_of_folds(fold_of: Mapping[str, int], folds: int) -> list[dict[str, str]]:
    """Return photo_id -> side for each fold as the tested one; the next validates."""
    return [
        {photo_id: {test: "test", (test + 1) % folds: "val"}.get(fold, "train") for photo_id, fold in fold_of.items()}
        for test in range(folds)
    ]


def _held(
    workspace: Workspace,
    region: str | Region | None,
    cities: Sequence[str],
    asked: Wanted,
    *,
    extending: bool = False,
) -> Held:
    """Return the clean photos of the region, after bringing new ones before `dedup`."""
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        chosen = chosen_region(catalogue, region)
        wanted = {find_city(chosen, city).slug for city in cities} or {city.slug for city in chosen.cities}
        undecided, radius = catalogue.is_undecided("dedup"), _radius(catalogue)
    # Copies on two sides of a split would be a leak: what was collected since is looked at first.
    cleaned = dedup(workspace, radius, keep_deep=True) if undecided else None
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        held = catalogue.clean_rows()
        decisions = {decision.photo_id: decision for decision in catalogue.decisions("dedup")} if extending else {}
        rejected = catalogue.decided_against(but="dedup")
        stamps = catalogue.stamps_of_hashes()
        columns = columns_beside(catalogue)
        radius = _radius(catalogue)
    clean = held.where(_among(held, wanted))
    own = {city.slug for city in chosen.cities}
    elsewhere = dict(sorted(_by_city(held.where(~_among(held, own))).items()))
    wrong = _misplaced(chosen, clean)
    photos = clean.where(~_among(clean, wrong, "photo_id")) if wrong else clean
    but = f" (but {len(wrong)} that lie outside of their city as the region has it now)" if wrong else ""
    if not photos:
        raise DataError(f"workspace {workspace.root}: no clean photo of {chosen.name}{but}; `t15 collect` brings some")
    number = _by_city(photos)
    present = set(number)
    if cities and wanted != present:
        raise DataError(f"{', '.join(sorted(wanted - present))}: no clean photo{but}; `t15 collect` brings some")
    small = {city: count for city, count in sorted(number.items()) if count < asked.min_photos}
    photos = photos.where(~_among(photos, small)) if small else photos
    if not photos:
        raise DataError(
            f"--min-photos {asked.min_photos}: no city has so many clean photos; the most are {max(number.values())}"
        )
    return Held(
        *(asked.of(chosen), photos, decisions, rejected, stamps, cleaned, radius, wrong, elsewhere),
        *(sorted(wanted - present), columns, small),
    )


def _among(rows: PhotoRows, values: Iterable[str], name: str = "city") -> NDArray[np.bool_]:
    """Return (N,) where a column has one of the values."""
    return np.asarray(pc.is_in(rows.table[name], pa.array(list(values), pa.string())), dtype=np.bool_)


def _by_city(rows: PhotoRows) -> Counter[str]:
    number, slugs = rows.coded("city")
    return Counter(dict(zip(slugs, np.bincount(number, minlength=len(slugs)).tolist(), strict=True)))


def columns_beside(catalogue: Catalogue) -> dict[str, dict[str, str]]:
    """Return what manifests carry beside the columns of their format: texts by photo_id."""
    flags = {of: " ".join(flags) for of, flags in flags_in_text(catalogue).items()}
    moved = {of: f"{city} {at[:10]}".strip() for of, (city, at) in catalogue.relabelled().items()}
    known = (FLAGS_COLUMN, RELABELLED_COLUMN, SCENES_COLUMN, *PHOTO_FIELDS)
    others = {f"{name}_there" if name in known else name: of for name, of in catalogue.beside.columns().items()}
    views = {one.photo_id: one.group_id for one in catalogue.decisions(SCENES_STAGE) if one.group_id}
    return {FLAGS_COLUMN: flags, RELABELLED_COLUMN: moved, SCENES_COLUMN: views, **others}


def _misplaced(region: Region, photos: Sequence[Photo]) -> dict[str, Misplaced]:
    """Return the photos that do not lie in their city as the region has it now: its radius is claimed in the header."""
    rows = PhotoRows.of(photos)
    number, slugs = rows.coded("city")
    labels = np.array(slugs, dtype=object)[number].tolist() if slugs else []
    wrong = misplaced(
        region.cities, labels, rows.numbers("latitude"), rows.numbers("longitude"), nearest=region.nearest
    )
    return {rows[of.row].photo_id: of for of in wrong}


def _grown(workspace: Workspace, held: Held, parent: Manifest, recipe: Recipe, views: Mapping[str, str]) -> Growth:
    """Return the photos of an extension: those of the parent that are still there, and new ones that fit them.

    A new photo of a picture that the parent has stays out, whichever of the two `dedup` prefers by now.
    """
    side_of = dict(zip(parent.table["photo_id"].to_pylist(), parent.table["split"].to_pylist(), strict=True))
    earlier: list[Photo] = []
    gone: list[str] = []
    unknown: list[str] = []
    clean = {photo.photo_id for photo in held.photos}
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        for photo_id, side in side_of.items():
            photo = catalogue.photo(photo_id)
            decision = held.decisions.get(photo_id)
            conflict = bool(decision and decision.verdict == "conflict") and photo_id not in clean
            if photo is not None and photo_id not in held.rejected and not conflict:
                earlier.append(replace(photo, split=side))
            elif photo is None and (
                (known := catalogue.known(photo_id)) is None or known.state in ("listed", "failed")
            ):
                unknown.append(photo_id)
            else:
                gone.append(photo_id)
    wrong = _misplaced(held.region, earlier)
    gone += wrong
    earlier = [photo for photo in earlier if photo.photo_id not in wrong]
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(side_of)} photos of {parent.header.name} {parent.header.version} are not in the "
            f"workspace {workspace.root}, such as {unknown[0]}; `t15 rehydrate` brings them, then extend it"
        )
    pictures = {decision.group_id for photo_id in side_of if (decision := held.decisions.get(photo_id))}
    new = [
        photo
        for photo in held.photos
        if photo.photo_id not in side_of
        and not ((own := held.decisions.get(photo.photo_id)) and own.group_id in pictures)
    ]
    return grow(earlier, new, gone, lambda photos: group_photos(photos, recipe.groups, views).group_of)


def _quotas_of(parent: Manifest | None) -> Mapping[str, float]:
    if parent is None:
        raise UsageError("split: say how many photos a city each side gets")
    return parent.header.quotas


def _seed_of(parent: Manifest | None) -> int:
    return parent.header.seed if parent else 0


def _sided(photos: Sequence[Photo], allocation: Allocation, grouping: Grouping | None) -> Sequence[Photo]:
    if isinstance(photos, PhotoRows) and all(isinstance(of, ByPhoto) for of in (allocation.sides, allocation.groups)):
        return _sided_rows(photos, allocation)
    return [
        replace(
            photo,
            split=allocation.sides[photo.photo_id],
            group_id=allocation.groups[photo.photo_id] if grouping else photo.group_id,
        )
        for photo in photos
        if photo.photo_id in allocation.sides
    ]


def _sided_rows(rows: PhotoRows, allocation: Allocation) -> PhotoRows:
    """Return rows of which each has a side and a group, with these."""
    table = rows.table
    for name, of in (("split", allocation.sides), ("group_id", allocation.groups)):
        if isinstance(of, ByPhoto):
            names = pa.array(of.names[:], pa.string())
            values = pa.chunked_array(
                [names.take(pa.array(part)) for part in np.array_split(of.number, len(rows) // 65_536 + 1)]
            )
            table = table.set_column(table.column_names.index(name), name, values)
    return PhotoRows(table)


def _stamps(stamps: Mapping[str, str] | str, photos: Sequence[Photo]) -> tuple[str, ...]:
    if isinstance(stamps, str):
        return (stamps,)
    return tuple(sorted({stamps[photo.photo_id] for photo in photos if photo.photo_id in stamps}))


def header_of(
    held: Held,
    name: str | None,
    version: str | None,
    seed: int,
    quotas: Mapping[str, float],
    rules: Mapping[str, Any],
    photos: Sequence[Photo],
    parent: Manifest | None,
) -> Header:
    """Return the header of a data set of `photos`, as far as it follows from what a workspace holds."""
    present = {photo.city for photo in photos}
    return Header(
        name=name or held.region.name,
        version=version or "1.0.0",
        region=held.region.name,
        title=held.region.title,
        note=held.region.note,
        seed=seed,
        quotas=dict(quotas),
        rules=rules,
        cities=tuple(city for city in held.region.cities if city.slug in present),
        hashes=_stamps(held.stamps, photos),
        parent={"version": parent.header.version, "digest": parent.digest} if parent else None,
        protocol="place" if rules["mode"] == "place" else "city",
        labels=LabelTree.of(held.region).beside(present),
        provider_traits={name: traits_of(name) for name in sorted({provider_of(photo.photo_id) for photo in photos})},
    )


def _radius(catalogue: Catalogue) -> int:
    """Return the radius that dedup worked with last, or its default."""
    decision = catalogue.first_decision("dedup")
    return int(decision.evidence["radius"]) if decision else PHASH_RADIUS


def chosen_region(catalogue: Catalogue, asked: str | Region | None) -> Region:
    """Return the region asked for as it is now: as the caller has it, or else as it was last collected for."""
    name = asked.name if isinstance(asked, Region) else asked
    known = {region.name: region for region in catalogue.regions()}
    if name is None:
        if len(known) > 1:  # a collect that found nothing, or was for too small a region, leaves its region behind
            there = {photo.city for photo in catalogue.downloaded()}
            cities = {of: {city.slug for city in region.cities} for of, region in known.items()}
            whole = [of for of in known if there and there <= cities[of]]
            chosen = whole if len(whole) == 1 else [of for of in known if there & cities[of]]
            known = {of: known[of] for of in chosen} or known
        if len(known) == 1:
            return next(iter(known.values()))
        if not known:
            raise DataError("the workspace holds no photos yet; `t15 collect` brings some")
        raise UsageError(f"the workspace holds photos of {' and '.join(known)}: choose one with --region")
    if name not in known:
        held = f"it holds: {', '.join(known)}" if known else "it is empty; `t15 collect` brings photos"
        raise UsageError(f"no photos of region {name!r} in the workspace{did_you_mean(name, known)}; {held}")
    return asked if isinstance(asked, Region) else known[name]


def versioned(
    manifests: Path,
    header: Header,
    photos: Sequence[Photo],
    columns: Mapping[str, Mapping[str, str]],
    *,
    explicit: bool,
    parent: Manifest | None = None,
) -> Manifest:
    """Return the manifest with its version: as asked for, that of an earlier one with the same data, or the next one.

    The parent of an extension is an earlier one wherever it lies. `columns` go beside those of the format.
    """

    def built(of: Header) -> Manifest:
        return with_columns(build_manifest(of, photos, this_tool()), columns)

    folders = {of: manifests / header.name / of for of in versions(manifests, header.name)}
    # The digests in the headers are enough to find the same data; rows are read of the newest alone.
    earlier: dict[str, tuple[Mapping[str, str] | None, tuple[str, str]]] = {}
    for of, folder in folders.items():
        stored = read_header(folder)
        earlier[of] = (stored.header.parent, (stored.digest, stored.extra or ""))
    if parent and parent.header.name == header.name:
        earlier.setdefault(parent.header.version, (parent.header.parent, (parent.digest, parent.extra_digest)))
    if explicit or not earlier:
        return built(header)
    for version in sorted(earlier, key=version_key, reverse=True):
        before, digests = earlier[version]
        # An extension that adds nothing is the manifest itself.
        extends = header.parent if header.parent and header.parent.get("version") != version else before
        same = built(replace(header, version=version, parent=extends))
        if (same.digest, same.extra_digest) == digests:
            return same
    newest = max(earlier, key=version_key)
    of_newest = read_manifest(folders[newest]) if newest in folders else parent
    assigned = {photo.photo_id: (photo.city, str(photo.split)) for photo in photos}
    version = next_version(of_newest, assigned) if of_newest else header.version
    return built(replace(header, version=version))
