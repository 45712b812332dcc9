"""What a workspace holds for a data set, and how photos with sides become a manifest with its version."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from collector.manifest.photo_rows import PhotoRows, values_of
from collector.providers.registry import traits_of
from collector.records import FLAGS_COLUMN, PHASH_RADIUS, PHOTO_FIELDS, SCENES_COLUMN, Photo, Region, provider_of
from collector.regions import Misplaced, find_city, misplaced
from collector.splitting.scenes import STAGE as SCENES_STAGE
from collector.workspace import Workspace, storage_errors

RELABELLED_COLUMN = "relabelled_from"
"""A manifest's column beside those of its format: the city that a photo had before a reviewer moved it, and the day."""


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


AS_COLLECTED = Wanted()
"""All cities of the region, under its own title and note."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a workspace holds for a data set.

    Attributes:
        region: whose cities it may have, under the title and note that are asked for.
        photos: the clean ones that can be in it.
        stamps: versions of the hashes, by photo_id or of all.
        columns: texts by photo_id that go beside the columns of a manifest's format.
        decisions: of `dedup`, by photo_id; where an earlier data set is extended.
        rejected: ids of photos that reviewers decided against.
        cleaned: what a `dedup` found that had to come first, None when all photos had been looked at.
        radius: that `dedup` worked with, pHash bits.
        misplaced: clean photos that are not in their city as the region has it now, by photo_id.
        elsewhere: clean photos of cities that the region does not have (any more), by slug.
        empty_cities: slugs of cities that have no clean photo.
        small_cities: clean photos by slug of the cities that have fewer than were asked for.
    """

    region: Region
    photos: Sequence[Photo]
    stamps: Mapping[str, str] | str
    columns: Mapping[str, Mapping[str, str]]
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()
    cleaned: DedupSummary | None = None
    radius: int = PHASH_RADIUS
    misplaced: dict[str, Misplaced] = field(default_factory=dict)
    elsewhere: dict[str, int] = field(default_factory=dict)
    empty_cities: list[str] = field(default_factory=list)
    small_cities: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A data set, the folder where it lies, and whether it was written; False where exactly this one was there already."""

    manifest: Manifest
    folder: Path
    written: bool


def find_candidates(
    workspace: Workspace,
    region: str | Region | None,
    cities: Sequence[str],
    wanted: Wanted,
    *,
    extending: bool = False,
) -> Candidates:
    """Return the clean photos of the region, after bringing new ones before `dedup`.

    Raises:
        UsageError: there is no such region or city.
        DataError: there are no photos, or not of each city that is named.
    """
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        chosen = chosen_region(catalogue, region)
        slugs = {find_city(chosen, city).slug for city in cities} or {city.slug for city in chosen.cities}
        undecided, radius = catalogue.is_undecided("dedup"), _radius(catalogue)
    # Copies on two sides of a split would be a leak: what was collected since is looked at first.
    cleaned = dedup(workspace, radius, keep_deep=True) if undecided else None
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        rows = catalogue.clean_rows()
        decisions = {decision.photo_id: decision for decision in catalogue.decisions("dedup")} if extending else {}
        rejected = catalogue.decided_against(but="dedup")
        stamps = catalogue.stamps_of_hashes()
        columns = columns_beside(catalogue)
        radius = _radius(catalogue)
    clean = rows.where(_among(rows, slugs))
    outside = misplaced_photos(chosen, clean)
    photos = clean.where(~_among(clean, outside, "photo_id")) if outside else clean
    counts = _by_city(photos)
    _require_photos(
        f"workspace {workspace.root}: no clean photo of {chosen.name}", slugs if cities else (), counts, outside
    )
    small = {city: count for city, count in sorted(counts.items()) if count < wanted.min_photos}
    if len(small) == len(counts):
        most = max(counts.values())
        raise DataError(f"--min-photos {wanted.min_photos}: no city has so many clean photos; the most are {most}")
    own = {city.slug for city in chosen.cities}
    return Candidates(
        region=wanted.of(chosen),
        photos=photos.where(~_among(photos, small)) if small else photos,
        decisions=decisions,
        rejected=rejected,
        stamps=stamps,
        cleaned=cleaned,
        radius=radius,
        misplaced=outside,
        elsewhere=dict(sorted(_by_city(rows.where(~_among(rows, own))).items())),
        empty_cities=sorted(slugs - set(counts)),
        columns=columns,
        small_cities=small,
    )


def _require_photos(
    none: str, named: Iterable[str], counts: Mapping[str, int], outside: Mapping[str, Misplaced]
) -> None:
    """Raise a DataError where there is no photo, or none of a city that was named."""
    but = f" (but {len(outside)} that lie outside of their city as the region has it now)" if outside else ""
    if not counts:
        raise DataError(f"{none}{but}; `t15 collect` brings some")
    if lacking := sorted(set(named) - set(counts)):
        raise DataError(f"{', '.join(lacking)}: no clean photo{but}; `t15 collect` brings some")


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


def misplaced_photos(region: Region, photos: Sequence[Photo]) -> dict[str, Misplaced]:
    """Return the photos that do not lie in their city as the region has it now: its radius is claimed in the header."""
    rows = PhotoRows.of(photos)
    number, slugs = rows.coded("city")
    labels = np.array(slugs, dtype=object)[number].tolist() if slugs else []
    wrong = misplaced(
        region.cities, labels, rows.numbers("latitude"), rows.numbers("longitude"), nearest=region.nearest
    )
    return {rows[of.row].photo_id: of for of in wrong}


def chosen_region(catalogue: Catalogue, asked: str | Region | None) -> Region:
    """Return the region asked for as it is now: as the caller has it, or else as it was last collected for."""
    name = asked.name if isinstance(asked, Region) else asked
    known = {region.name: region for region in catalogue.regions()}
    if name is None:
        if len(known) > 1:  # a collect that found nothing, or was for too small a region, leaves its region behind
            there = {city for (city,) in values_of(catalogue.downloaded_rows(light=True), "city")}
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


def _radius(catalogue: Catalogue) -> int:
    """Return the radius that dedup worked with last, or its default."""
    decision = catalogue.first_decision("dedup")
    return int(decision.evidence["radius"]) if decision else PHASH_RADIUS


def header_of(
    candidates: Candidates,
    name: str | None,
    version: str | None,
    seed: int,
    quotas: Mapping[str, float],
    rules: Mapping[str, Any],
    photos: Sequence[Photo],
    parent: Manifest | None,
) -> Header:
    """Return the header of a data set of `photos`, as far as it follows from what a workspace holds."""
    present = {city for (city,) in values_of(photos, "city")}
    return Header(
        name=name or candidates.region.name,
        version=version or "1.0.0",
        region=candidates.region.name,
        title=candidates.region.title,
        note=candidates.region.note,
        seed=seed,
        quotas=dict(quotas),
        rules=rules,
        cities=tuple(city for city in candidates.region.cities if city.slug in present),
        hashes=_stamps(candidates.stamps, photos),
        parent={"version": parent.header.version, "digest": parent.digest} if parent else None,
        protocol="place" if rules["mode"] == "place" else "city",
        labels=LabelTree.of(candidates.region).beside(present),
        provider_traits={
            name: traits_of(name) for name in sorted({provider_of(of) for (of,) in values_of(photos, "photo_id")})
        },
    )


def _stamps(stamps: Mapping[str, str] | str, photos: Sequence[Photo]) -> tuple[str, ...]:
    if isinstance(stamps, str):
        return (stamps,)
    return tuple(sorted({stamps[photo.photo_id] for photo in photos if photo.photo_id in stamps}))


def store_manifest(
    manifests: Path,
    header: Header,
    photos: Sequence[Photo],
    columns: Mapping[str, Mapping[str, str]],
    *,
    explicit: bool,
    parent: Manifest | None = None,
    dry_run: bool = False,
) -> StoredManifest:
    """Write a data set under its version: as asked for, that of an earlier one with the same data, or the next one.

    The parent of an extension is an earlier one wherever it lies. `columns` go beside those of the format. With `dry_run`
    nothing is written.

    Raises:
        UsageError: the version that is asked for exists with other data.
        IncompleteError: the disk is full.
    """
    with storage_errors(manifests):
        manifest = _versioned(manifests, header, photos, columns, explicit=explicit, parent=parent)
        folder = manifests / manifest.header.name / manifest.header.version
        return StoredManifest(manifest, folder, write_manifest(manifest, folder, dry_run=dry_run))


def _versioned(
    manifests: Path,
    header: Header,
    photos: Sequence[Photo],
    columns: Mapping[str, Mapping[str, str]],
    *,
    explicit: bool,
    parent: Manifest | None,
) -> Manifest:

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
    assigned = {of: (city, str(side)) for of, city, side in values_of(photos, "photo_id", "city", "split")}
    version = next_version(of_newest, assigned) if of_newest else header.version
    return built(replace(header, version=version))
