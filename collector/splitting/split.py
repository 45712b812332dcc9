"""Make a manifest of everything clean in the workspace, or a larger one of an earlier manifest that keeps its promise.

How photos are assigned is a value, `Recipe`: what the header says of it, and reading that again.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from collector.curating.duplicates import DedupSummary
from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest
from collector.manifest.photo_rows import PhotoRows, values_of
from collector.records import SCENES_COLUMN, SPLITS, WITHIN_M, Photo, Region
from collector.regions import Misplaced
from collector.splitting.allocate import Allocation, Mode, allocate, kfold
from collector.splitting.candidates import (
    AS_COLLECTED,
    StoredManifest,
    Wanted,
    find_candidates,
    header_of,
    store_manifest,
)
from collector.splitting.choose import Choosing, attempts, first_that_fits, preferred
from collector.splitting.extend import Growth, extension
from collector.splitting.groups import Grouping, GroupRules, group_photos
from collector.splitting.held_out import (
    HoldOut,
    held_out_cities,
    held_out_districts,
    held_out_photos,
    trained,
    with_held_out,
)
from collector.splitting.place_protocol import allocate_places
from collector.splitting.scenes import Scenes, find_scenes
from collector.splitting.side_checks import EmptySides, MissedShare, empty_sides, missed_shares, refusal
from collector.workspace import Workspace

_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("near_duplicates", "authors", "sequences", "panoramas"), (bool,)),
    "service_authors": (tuple,),
    "phash_radius": (int,),
    **dict.fromkeys(("min_distance_m", "panorama_m"), (int, float)),
    "max_hours": (int, float, type(None)),
}

HELD_OUT = ("held_out_cities", "held_out_districts")
"""Of a manifest's rules: the cities and the districts whose photos are test photos only."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How photos are assigned.

    Attributes:
        mode: as in `allocate`; `place`: a gallery and queries, as in `place_protocol`.
        groups: what has to stay on one side; not used by the mode `paper`.
        drop_photos: as in `allocate`.
        within_m: in the mode `place`, how near to a query the gallery has another photo.
        hold_out: cities whose photos are test photos only, or how many the seed draws; in the modes `exact` and `fractions`.
        hold_out_districts: districts of the other cities, likewise.
    """

    mode: Mode = "exact"
    groups: GroupRules = field(default_factory=GroupRules)
    drop_photos: bool = False
    within_m: float = WITHIN_M
    hold_out: HoldOut = 0
    hold_out_districts: HoldOut = 0

    def rules(self, radius: int) -> dict[str, Any]:
        """Return what a manifest's header says of it; `radius` is that of dedup."""
        grouped: dict[str, Any] = {}
        if self.mode == "place":
            grouped = {"groups": asdict(self.groups), "within_m": self.within_m}
        elif self.mode != "paper":
            grouped = {"groups": asdict(self.groups), "drop_photos": self.drop_photos}
        asked = zip(HELD_OUT, (self.hold_out, self.hold_out_districts), strict=True)
        held_out = {name: list(of) for name, of in asked if isinstance(of, tuple) and of}
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
    if any(map(rules.get, HELD_OUT)):
        raise UsageError(
            f"--extend: {of} holds whole cities or districts out, and cannot be extended; make a new data set of all photos"
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
        held_out: cities and districts (`city/district`) whose photos are test photos only.
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

    def __repr__(self) -> str:
        left = sum(self.left_out.values()) + len(self.misplaced) + sum(self.elsewhere.values())
        return f"<split: {self.manifest!r} in {self.folder}, {left} left out>"


@dataclass(frozen=True, slots=True)
class FoldsResult:
    """What `split_folds` made; the attributes are those of SplitResult."""

    folds: list[StoredManifest]
    cleaned: DedupSummary | None
    misplaced: dict[str, Misplaced]
    elsewhere: dict[str, int]
    empty_cities: list[str]
    small_cities: dict[str, int]
    empty_sides: list[EmptySides]


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
    wanted: Wanted = AS_COLLECTED,
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
    candidates = find_candidates(workspace, region, cities, wanted, extending=parent is not None)
    scene_of = find_scenes(workspace, candidates.photos, scenes) if scenes else {}
    growth = extension(workspace, candidates, parent, recipe.groups, scene_of) if parent else None
    photos: Sequence[Photo] = list(growth.photos) if growth else candidates.photos
    recipe, held_out = _with_held_out(recipe, candidates.region, photos, seed)
    tested = held_out_photos(candidates.region, photos, held_out)
    grouping = None if recipe.mode == "paper" else group_photos(photos, recipe.groups, scene_of)
    assignment = _Assignment(photos, grouping, recipe, quotas, seed, growth.fixed if growth else {}, tested)
    allocation, vectors = assignment.allocation(workspace, choosing)

    def again(some: Sequence[Photo]) -> list[EmptySides]:
        of_some = group_photos(some, recipe.groups, scene_of) if grouping else None
        fewer = replace(assignment, photos=some, grouping=of_some)
        return fewer.empty_sides(fewer.allocation(workspace, None)[0])

    possible = None if growth or choosing or tested else again
    empty = _checked(assignment.empty_sides(allocation), allow_empty_sides, photos, possible)
    rules = {
        **recipe.rules(candidates.radius),
        **({"scenes": {"vectors": scenes.named}} if scenes else {}),
        **({"choose": {"how": choosing.how, "vectors": vectors}} if choosing else {}),
    }
    stored = store_manifest(
        manifests,
        header_of(candidates, name, version, seed, quotas, rules, photos, parent),
        _sided(photos, allocation, grouping),
        {**candidates.columns, **({SCENES_COLUMN: scene_of} if scenes else {})},
        explicit=version is not None,
        parent=parent,
        dry_run=dry_run,
    )
    without_side = Counter(
        city for city, photo_id in values_of(photos, "city", "photo_id") if photo_id not in allocation.sides
    )
    shared = _counts_without(stored.manifest, tested) if tested else stored.manifest.counts()
    return SplitResult(
        stored.manifest,
        stored.folder,
        stored.written,
        candidates.cleaned,
        left_out=dict(sorted(without_side.items())),
        links=tuple(sorted(photo_id for photo_id, why in allocation.left_out.items() if why == "link")),
        deviations=allocation.deviations,
        misplaced=candidates.misplaced,
        elsewhere=candidates.elsewhere,
        empty_cities=candidates.empty_cities,
        small_cities=candidates.small_cities,
        grouping=grouping,
        growth=growth,
        empty_sides=empty,
        missed_shares=missed_shares(shared, quotas) if recipe.mode == "fractions" else [],
        held_out=held_out,
    )


def _with_held_out(
    recipe: Recipe, region: Region, photos: Sequence[Photo], seed: int
) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with the names of what it holds out in place of how much, and these: cities, then districts."""
    cities = held_out_cities(region, photos, recipe.hold_out, seed) if recipe.hold_out else ()
    others = [photo for photo in photos if photo.city not in cities] if recipe.hold_out_districts else ()
    districts = held_out_districts(region, others, recipe.hold_out_districts, seed) if others else ()
    return replace(recipe, hold_out=cities, hold_out_districts=districts), (*cities, *districts)


@dataclass(frozen=True, slots=True)
class _Assignment:
    """Photos that are to get sides, and what decides about them; `fixed` have one already, `tested` are held out."""

    photos: Sequence[Photo]
    grouping: Grouping | None
    recipe: Recipe
    quotas: Mapping[str, float]
    seed: int
    fixed: Mapping[str, str]
    tested: frozenset[str]

    @property
    def groups(self) -> Mapping[str, str]:
        """photo_id -> group id; without grouping, as the photos say."""
        if self.grouping:
            return self.grouping.group_of
        return {photo.photo_id: photo.group_id or photo.photo_id for photo in self.photos}

    def allocation(self, workspace: Workspace, choosing: Choosing | None) -> tuple[Allocation, str | None]:
        """Return the sides, and the name of the vectors that chose the photos, where any did."""
        groups = self.groups
        if self.recipe.mode == "place":
            counts = {side: int(count) for side, count in self.quotas.items()}
            return allocate_places(self.photos, groups, counts, self.seed, self.recipe.within_m), None
        photos = trained(self.photos, groups, self.tested)
        if choosing is None:
            allocation, vectors = self._allocated(photos, groups), None
        else:
            allocation, vectors = self._chosen(workspace, choosing, photos, groups)
        return with_held_out(allocation, self.photos, groups, self.tested), vectors

    def _allocated(self, photos: Sequence[Photo], groups: Mapping[str, str]) -> Allocation:
        return allocate(
            photos,
            groups,
            self.quotas,
            self.seed,
            mode=self.recipe.mode,
            drop_photos=self.recipe.drop_photos,
            clusters=list(self.grouping.clusters.values()) if self.grouping else (),
            fixed=self.fixed or None,
        )

    def _chosen(
        self, workspace: Workspace, choosing: Choosing, photos: Sequence[Photo], groups: Mapping[str, str]
    ) -> tuple[Allocation, str]:
        """Return the sides of the most wanted photos that meet the quotas, and the name of the vectors."""
        total = sum(int(self.quotas[side]) for side in SPLITS)
        vectors, rows, _ = choosing.source.vectors(workspace, photos, choosing.net, choosing.track)
        order = preferred(photos, groups, rows, choosing.how, total, self.seed)
        tries = attempts(photos, groups, order, total, self.fixed)
        return first_that_fits(tries, lambda some: self._allocated(some, groups)), vectors

    def empty_sides(self, allocation: Allocation) -> list[EmptySides]:
        """Return which cities have no photo on a side that was asked for; what is held out does not count."""
        sides = [side for side in SPLITS if self.quotas.get(side, 1)]
        tested = self.tested
        photos = [photo for photo in self.photos if photo.photo_id not in tested] if tested else self.photos
        return empty_sides(photos, self.groups, [allocation.sides], sides)


def _counts_without(manifest: Manifest, tested: frozenset[str]) -> dict[str, dict[str, int]]:
    """Return the photos by city and side but for those of `tested`; cities that have no others are left out."""
    rows = zip(*(manifest.table[name].to_pylist() for name in ("city", "split", "photo_id")), strict=True)
    found: dict[str, dict[str, int]] = {}
    for city, side, photo_id in rows:
        if photo_id not in tested:
            found.setdefault(city, dict.fromkeys(SPLITS, 0))[side] += 1
    return found


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
    wanted: Wanted = AS_COLLECTED,
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
    candidates = find_candidates(workspace, region, cities, wanted)
    group_of = group_photos(candidates.photos, rules).group_of
    sides = _sides_of_folds(kfold(candidates.photos, group_of, folds, seed).fold_of, folds)

    def again(some: Sequence[Photo]) -> list[EmptySides]:
        of_some = group_photos(some, rules).group_of
        return empty_sides(some, of_some, _sides_of_folds(kfold(some, of_some, folds, seed).fold_of, folds))

    empty = _checked(empty_sides(candidates.photos, group_of, sides), allow_empty_sides, candidates.photos, again)
    base = name or candidates.region.name
    stored = []
    for fold, side_of in enumerate(sides, start=1):
        photos = _with_sides(PhotoRows.of(candidates.photos), side_of, group_of)
        stated = {**Recipe(groups=rules).rules(candidates.radius), "mode": "kfold", "folds": folds, "fold": fold}
        header = header_of(candidates, f"{base}-fold-{fold}-of-{folds}", None, seed, {}, stated, photos, None)
        stored.append(store_manifest(manifests, header, photos, candidates.columns, explicit=False, dry_run=dry_run))
    return FoldsResult(
        stored,
        candidates.cleaned,
        candidates.misplaced,
        candidates.elsewhere,
        candidates.empty_cities,
        candidates.small_cities,
        empty,
    )


def _sides_of_folds(fold_of: Mapping[str, int], folds: int) -> list[dict[str, str]]:
    """Return photo_id -> side for each fold as the tested one; the next validates."""
    return [
        {photo_id: {test: "test", (test + 1) % folds: "val"}.get(fold, "train") for photo_id, fold in fold_of.items()}
        for test in range(folds)
    ]


def _checked(
    empty: list[EmptySides],
    allowed: bool,
    photos: Sequence[Photo],
    again: Callable[[Sequence[Photo]], list[EmptySides]] | None,
) -> list[EmptySides]:
    """Return the empty sides, where they are allowed; `again` finds those of fewer photos."""
    if not empty or allowed:
        return empty
    counts = Counter(city for city, _ in values_of(photos, "city", "photo_id"))

    def works(least: int) -> bool:
        try:
            return again is not None and not again([photo for photo in photos if counts[photo.city] >= least])
        except DataError:
            return False

    raise refusal(empty, counts, works)


def _quotas_of(parent: Manifest | None) -> Mapping[str, float]:
    if parent is None:
        raise UsageError("split: say how many photos a city each side gets")
    return parent.header.quotas


def _seed_of(parent: Manifest | None) -> int:
    return parent.header.seed if parent else 0


def _sided(photos: Sequence[Photo], allocation: Allocation, grouping: Grouping | None) -> PhotoRows:
    """Return the photos that have a side, with it and their group."""
    sides, groups = allocation.sides, allocation.groups
    rows = PhotoRows.of(photos)
    if len(sides) < len(rows):
        rows = rows.where(np.array([photo_id in sides for photo_id in rows.texts("photo_id")], bool))
    return _with_sides(rows, sides, groups if grouping else None)


def _with_sides(rows: PhotoRows, sides: Mapping[str, str], groups: Mapping[str, str] | None) -> PhotoRows:
    ids = [str(photo_id) for photo_id in rows.texts("photo_id")]
    said = {"split": sides, "group_id": groups}
    return rows.replaced(**{name: map(of.__getitem__, ids) for name, of in said.items() if of is not None})
