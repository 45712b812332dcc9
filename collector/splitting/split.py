"""Make a manifest of everything clean in the workspace."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from collector.cities import find_city
from collector.collecting.catalogue import Catalogue, Decision, open_catalogue
from collector.curating.curate import DedupSummary, dedup
from collector.curating.duplicates import DEFAULT_RADIUS
from collector.errors import DataError, UsageError, did_you_mean
from collector.publishing.manifest import Header, Manifest, build_manifest, read_manifest, write_manifest
from collector.publishing.versions import next_version, versions
from collector.records import Photo, Region
from collector.splitting.allocate import allocate
from collector.workspace import Workspace, storage_errors


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What `split` made.

    Attributes:
        manifest: the data set.
        folder: where it lies.
        written: False when exactly this manifest was there already.
        cleaned: what a `dedup` found that had to come first, None when all photos had been looked at.
        left_out: clean photos beyond the quotas, by city slug.
        empty_cities: slugs of the region's cities that have no clean photo, and are not part of the data set.
    """

    manifest: Manifest
    folder: Path
    written: bool
    cleaned: DedupSummary | None
    left_out: dict[str, int]
    empty_cities: list[str]


def split(
    workspace: Workspace,
    manifests: Path,
    quotas: Mapping[str, int],
    seed: int,
    tool: str,
    region: str | None = None,
    cities: Sequence[str] = (),
    name: str | None = None,
    version: str | None = None,
) -> SplitResult:
    """Split the clean photos of a region by city and write them as a manifest `manifests/name/version/`.

    Without `region` the only one in the workspace is taken; without `cities` all of its cities that have photos; `name`
    defaults to the region's; `version` to that of the manifest that holds exactly this data already, or else to the one
    that follows the newest by the rule of `next_version`. Photos that `dedup` has not seen are brought before it first.

    Raises:
        UsageError: no such region or city, or the version exists with other data.
        DataError: a quota cannot be met.
        IncompleteError: the disk is full.
    """
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        chosen = _region(catalogue, region)
        wanted = {find_city(chosen, city).slug for city in cities} or {city.slug for city in chosen.cities}
        decided = {decision.photo_id: decision for decision in catalogue.decisions("dedup")}
        undecided = [photo for photo in catalogue.downloaded() if photo.photo_id not in decided]
    # Copies on two sides of a split would be a leak: what was collected since is looked at first.
    cleaned = dedup(workspace, _radius(decided.values())) if undecided else None
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        photos = [photo for photo in catalogue.clean() if photo.city in wanted]
        radius = _radius(catalogue.decisions("dedup"))
        stamps = catalogue.hash_stamps()
    if not photos:
        raise DataError(f"workspace {workspace.root}: no clean photo of {chosen.name}; `t15 collect` brings some")
    present = {photo.city for photo in photos}
    if cities and wanted != present:
        raise DataError(f"{', '.join(sorted(wanted - present))}: no clean photo; `t15 collect` brings some")
    sides = allocate(photos, quotas, seed)
    header = Header(
        name=name or chosen.name,
        version=version or "1.0.0",
        region=chosen.name,
        title=chosen.title,
        note=chosen.note,
        seed=seed,
        quotas=dict(quotas),
        rules={"mode": "stratified", "left_out": {"near-duplicates": {"phash_radius": radius}}},
        cities=tuple(city for city in chosen.cities if city.slug in present),
        hashes=tuple(sorted({stamps[photo.photo_id] for photo in photos if photo.photo_id in stamps})),
    )
    taken = [replace(photo, split=sides[photo.photo_id]) for photo in photos if photo.photo_id in sides]
    with storage_errors(manifests):
        manifest = _versioned(manifests, header, taken, tool, explicit=version is not None)
        folder = manifests / manifest.header.name / manifest.header.version
        written = write_manifest(manifest, folder)
    return SplitResult(
        manifest, folder, written, cleaned, left_out=_left_out(photos, sides), empty_cities=sorted(wanted - present)
    )


def _radius(decisions: Iterable[Decision]) -> int:
    """Return the radius that dedup worked with last, or its default."""
    return next((int(decision.evidence["radius"]) for decision in decisions), DEFAULT_RADIUS)


def _region(catalogue: Catalogue, name: str | None) -> Region:
    known = {region.name: region for region in catalogue.regions()}
    if name is None:
        if len(known) == 1:
            return next(iter(known.values()))
        if not known:
            raise DataError("the workspace holds no photos yet; `t15 collect` brings some")
        raise UsageError(f"the workspace holds photos of {' and '.join(known)}: choose one with --region")
    if name not in known:
        held = f"it holds: {', '.join(known)}" if known else "it is empty; `t15 collect` brings photos"
        raise UsageError(f"no photos of region {name!r} in the workspace{did_you_mean(name, known)}; {held}")
    return known[name]


def _versioned(manifests: Path, header: Header, photos: Sequence[Photo], tool: str, *, explicit: bool) -> Manifest:
    """Return the manifest with its version: as asked for, or the newest when that is the same data, or the next one."""
    found = versions(manifests, header.name)
    if explicit or not found:
        return build_manifest(header, photos, tool)
    for version in reversed(found):
        earlier = read_manifest(manifests / header.name / version)
        same = build_manifest(replace(header, version=version, parent=earlier.header.parent), photos, tool)
        if same.digest == earlier.digest:
            return same
    newest = read_manifest(manifests / header.name / found[-1])
    assigned = {photo.photo_id: (photo.city, str(photo.split)) for photo in photos}
    return build_manifest(replace(header, version=next_version(newest, assigned)), photos, tool)


def _left_out(photos: Sequence[Photo], sides: Mapping[str, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for photo in photos:
        if photo.photo_id not in sides:
            counts[photo.city] = counts.get(photo.city, 0) + 1
    return dict(sorted(counts.items()))
