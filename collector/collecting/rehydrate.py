"""Bring the photos of a published manifest home again, and say truly what survived.

A photo survives when the same bytes come, or others that show the same picture (services re-encode what they hold). What
is in the workspace afterwards is written as a manifest of its own, whose parent is the published one: results on it are
results on other data, and say so.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.catalogue.catalogue import Catalogue, open_catalogue
from collector.catalogue.withdrawals import Withdrawn
from collector.collecting.download import Failed, Outcome, is_stored
from collector.collecting.refetch import revived
from collector.curating.duplicates import same_picture
from collector.images.decode import quiet_decoders
from collector.images.hashing import HASH_STAMP
from collector.images.validate import Limits
from collector.manifest.manifest import Header, Manifest, build_manifest, read_manifest, write_manifest
from collector.manifest.versions import partial_folder
from collector.progress import Track, silent
from collector.providers.base import Provider, Survey
from collector.records import SPLITS, Photo, Region
from collector.workspace import Workspace, exclusive, storage_errors

_MEASURED = ("sha256", "bytes", "width", "height", "phash", "dhash")
SURVIVED = ("same", "re-encoded")
"""Fates of photos that are there: the very bytes, or another file of the same picture."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one photo of the manifest.

    `what` is `same`, `re-encoded`, `changed` (another picture), `placeholder`, `gone`, `refused`, `withdrawn`,
    `unreachable` (its provider cannot be asked here), `failed` (may come later), or a reason of `collect`.
    """

    photo: Photo
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rehydration:
    """What one rehydration found.

    Attributes:
        manifest: the published one.
        fates: one for each of its photos, by photo_id.
        partial: where the manifest of what is there was written; None when all photos are there with the same bytes, or
            none is.
    """

    manifest: Manifest
    fates: tuple[Fate, ...]
    partial: Path | None

    def counts(self) -> dict[str, int]:
        """Return the number of photos by fate, the commonest first."""
        return dict(Counter(fate.what for fate in self.fates).most_common())

    def survival(self, by: str) -> dict[str, tuple[int, int]]:
        """Return survivors and all photos, by `split` or by `city`, in the manifest's order."""
        order = SPLITS if by == "split" else tuple(city.slug for city in self.manifest.header.cities)
        found = dict.fromkeys(order, (0, 0))
        for fate in self.fates:
            alive, photos = found[getattr(fate.photo, by)]
            found[getattr(fate.photo, by)] = (alive + (fate.what in SURVIVED), photos + 1)
        return found


def rehydrate(
    folder: Path,
    workspace: Workspace,
    make: Callable[[str], Provider | Survey],
    tool: str,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    track: Track = silent,
    *,
    retry: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Rehydration:
    """Fetch every photo of the manifest in `folder` that is not in the workspace, and report what became of each.

    Stopped at any time, the same call goes on: what came, and what is gone for good, is in the catalogue. With `retry`
    what was gone or changed is asked for again.

    Args:
        folder: of a published manifest.
        workspace: where photos go.
        make: returns the provider with a name; what it raises makes its photos `unreachable`.
        tool: name and version of t15.
        limits: what is accepted as a photo.
        track: shows how far it is.
        retry: whether earlier losses are asked for again.
        now: the clock.

    Raises:
        DataError: the manifest is damaged.
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    manifest = read_manifest(folder)
    photos = [photo for side in SPLITS for photo in manifest.photos(side)]
    fates: list[Fate] = []
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue, quiet_decoders():
        header = manifest.header
        if header.region not in {region.name for region in catalogue.regions()}:
            catalogue.remember_region(Region(header.region, header.title, header.cities, header.note))
        withdrawn = Withdrawn(catalogue.withdrawals())
        waiting = []
        for photo in photos:
            fate = _known_fate(catalogue, workspace, photo, withdrawn, retry=retry)
            if fate is None:
                waiting.append(photo)
            else:
                fates.append(fate)
        if waiting:
            for photo, outcome in track(revived(waiting, make, workspace, limits), "fetching", len(waiting)):
                fates.append(_record(catalogue, workspace, photo, outcome, now))
        fates.sort(key=lambda fate: fate.photo.photo_id)
        partial = _write_partial(catalogue, manifest, fates, workspace, tool)
    return Rehydration(manifest, tuple(fates), partial)


def _known_fate(
    catalogue: Catalogue, workspace: Workspace, photo: Photo, withdrawn: Withdrawn, *, retry: bool
) -> Fate | None:
    """Return what is known of a photo's fate without asking anyone; None when it has to be fetched."""
    if withdrawn.holds(photo):
        return Fate(photo, "withdrawn")
    if here := _here(catalogue, workspace, photo):
        if here.sha256 == photo.sha256:
            return Fate(photo, "same")
        if same_picture(photo, here):
            return Fate(photo, "re-encoded")
        return None if retry else Fate(photo, "changed", "the workspace holds another picture of this id")
    outcome = catalogue.outcome(photo.photo_id)
    if outcome and outcome[0] == "rejected" and outcome[3] > 0 and not retry:
        return Fate(photo, outcome[1], outcome[2])
    return None


def _here(catalogue: Catalogue, workspace: Workspace, photo: Photo) -> Photo | None:
    """Return what the catalogue holds as this photo, when its bytes are in the store."""
    here = catalogue.photo(photo.photo_id)
    return here if here and here.sha256 and is_stored(workspace, here.sha256, here.bytes) else None


def _record(
    catalogue: Catalogue, workspace: Workspace, photo: Photo, outcome: Outcome, now: Callable[[], datetime]
) -> Fate:
    """Write down what became of a photo. Another picture of its id that the workspace has stays as it is."""
    if isinstance(outcome, Photo):
        catalogue.add(replace(outcome, group_id=None, split=None), HASH_STAMP)
        return Fate(photo, "same" if outcome.sha256 == photo.sha256 else "re-encoded")
    kept = _here(catalogue, workspace, photo) is not None
    if isinstance(outcome, Failed):
        pause = timedelta(seconds=max(600.0, min(outcome.retry_after or 0.0, 86_400.0)))
        if not kept:
            catalogue.fail(photo, outcome.reason, outcome.detail, 1, now() + pause)
        return Fate(photo, "failed", f"{outcome.reason}: {outcome.detail}".rstrip(": "))
    if outcome.reason != "unreachable" and not kept:
        catalogue.reject(outcome, attempts=1)
    return Fate(photo, outcome.reason, outcome.detail)


def _write_partial(
    catalogue: Catalogue, manifest: Manifest, fates: list[Fate], workspace: Workspace, tool: str
) -> Path | None:
    """Write what is there as a manifest, with the measures of the bytes that are there."""
    folder = partial_folder(manifest, workspace)
    if folder.parent.parent.exists():
        shutil.rmtree(folder.parent.parent)
    here: list[Photo] = []
    for fate in fates:
        if fate.what in SURVIVED and (now := catalogue.photo(fate.photo.photo_id)) is not None:
            measured: Mapping[str, Any] = {name: getattr(now, name) for name in _MEASURED}
            here.append(replace(fate.photo, **measured))
    if not here or all(fate.what == "same" for fate in fates):
        return None
    write_manifest(build_manifest(_partial_header(manifest, here), here, tool), folder)
    return folder


def _partial_header(manifest: Manifest, here: list[Photo]) -> Header:
    """Return the header of what is left of a manifest: it keeps the rules about groups, and no quotas any more."""
    header, whole = manifest.header, manifest.table.num_rows
    bytes_of = dict(zip(manifest.table["photo_id"].to_pylist(), manifest.table["sha256"].to_pylist(), strict=True))
    other = sum(photo.sha256 != bytes_of[photo.photo_id] for photo in here)
    present = {photo.city for photo in here}
    said = (
        f"Rehydrated from {header.name} {header.version}: {len(here)} of {whole} photos ({other} of them re-encoded), "
        f"{whole - len(here)} are missing."
    )
    return replace(
        header,
        note=f"{said} {header.note}".strip(),
        quotas={},
        rules={**header.rules, "rehydrated": {"photos": len(here), "of": whole, "re-encoded": other}},
        cities=tuple(city for city in header.cities if city.slug in present),
        hashes=(HASH_STAMP,),
        parent={"version": header.version, "digest": manifest.digest},
    )
