"""Decide which photos of the catalogue stay in data sets; decisions are kept with their evidence and can be taken back."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from collector.catalogue.catalogue import Catalogue, Decision, open_catalogue
from collector.curating.duplicates import DEFAULT_RADIUS, Group, Member, find_groups
from collector.curating.pair_verification import closer_look
from collector.errors import DataError
from collector.images.decode import open_image, quiet_decoders
from collector.images.hashing import HASH_STAMP, hash_picture
from collector.records import Photo
from collector.workspace import Workspace, exclusive, storage_errors


@dataclass(frozen=True, slots=True)
class DedupSummary:
    """What `dedup` found.

    Attributes:
        photos: that were compared.
        exact: left out, because a kept photo has the same bytes.
        near: left out, because a kept photo shows the same picture.
        conflicts: left out, because the same picture is labelled with different cities.
        conflict_groups: how many such pictures there are.
        clean: photos that stay.
    """

    photos: int
    exact: int
    near: int
    conflicts: int
    conflict_groups: int
    clean: int


def dedup(workspace: Workspace, radius: int = DEFAULT_RADIUS, *, dry_run: bool = False) -> DedupSummary:
    """Group the photos that show the same picture, keep the best of each group, and set label conflicts aside.

    Replaces what an earlier `dedup` decided; with `dry_run` nothing is decided. Pairs that hashes leave in doubt are looked
    at; where a photo's bytes are not in the store its hashes alone decide.

    Raises:
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        _renew_hashes(catalogue, workspace)
        photos = catalogue.downloaded()
        with quiet_decoders():
            groups = find_groups(photos, radius, closer_look(workspace))
        if not dry_run:
            catalogue.decide("dedup", _decisions(photos, groups, radius))
    return _summarise(photos, groups)


def _renew_hashes(catalogue: Catalogue, workspace: Workspace) -> None:
    """Compute hashes of other versions again: those of different algorithms or libraries must not be compared."""
    old = [photo_id for photo_id, stamp in catalogue.hash_stamps().items() if stamp != HASH_STAMP]
    if not old:
        return
    digests = {photo.photo_id: str(photo.sha256) for photo in catalogue.downloaded()}
    with quiet_decoders():
        for photo_id in old:
            path = workspace.photo(digests[photo_id])
            try:
                with open_image(path) as image:
                    hashes = hash_picture(image)[1]
            except FileNotFoundError as error:
                raise DataError(f"photo {photo_id}: {path} is missing; `t15 collect` fetches it again") from error
            catalogue.update_hashes(photo_id, hashes.phash, hashes.dhash, HASH_STAMP)


def _decisions(photos: Sequence[Photo], groups: Sequence[Group], radius: int) -> Iterator[Decision]:
    grouped = set()
    for group in groups:
        verdict = "conflict" if group.is_conflict else "duplicate"
        evidence = {"radius": radius, "members": len(group.members) + 1}
        kept_verdict = "conflict" if group.is_conflict else "keep"
        yield Decision(group.kept.photo_id, kept_verdict, group.kept.photo_id, evidence)
        for member in group.members:
            yield Decision(member.photo.photo_id, verdict, group.kept.photo_id, _evidence(member, radius))
        grouped.update([group.kept.photo_id, *(member.photo.photo_id for member in group.members)])
    for photo in photos:
        if photo.photo_id not in grouped:
            yield Decision(photo.photo_id, "keep", photo.photo_id, {"radius": radius, "members": 1})


def _evidence(member: Member, radius: int) -> dict[str, Any]:
    return {
        "radius": radius,
        "same_bytes": member.same_bytes,
        "phash_distance": member.phash_distance,
        "dhash_distance": member.dhash_distance,
        "mirrored": member.mirrored,
        "closer_look": asdict(member.agreement) if member.agreement else None,
    }


def _summarise(photos: Sequence[Photo], groups: Sequence[Group]) -> DedupSummary:
    tally: Counter[str] = Counter()
    for group in groups:
        if group.is_conflict:
            tally["conflicts"] += len(group.members) + 1
            tally["conflict_groups"] += 1
        else:
            exact = sum(member.same_bytes for member in group.members)
            tally["exact"] += exact
            tally["near"] += len(group.members) - exact
    left_out = tally["exact"] + tally["near"] + tally["conflicts"]
    return DedupSummary(
        photos=len(photos),
        exact=tally["exact"],
        near=tally["near"],
        conflicts=tally["conflicts"],
        conflict_groups=tally["conflict_groups"],
        clean=len(photos) - left_out,
    )
