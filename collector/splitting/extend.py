"""Photos that join an earlier manifest, whose photos keep their sides: no group spans two of them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from collector.catalogue.catalogue import Catalogue, open_catalogue
from collector.errors import DataError
from collector.manifest.manifest import Manifest
from collector.records import SPLITS, Photo
from collector.splitting.candidates import Candidates, misplaced_photos
from collector.splitting.groups import GroupRules, group_photos
from collector.workspace import Workspace, storage_errors

Grouper = Callable[[Sequence[Photo]], Mapping[str, str]]
"""Photos to photo_id -> group: what `groups.group_photos` does under one set of rules."""

_STRONGER = tuple(reversed(SPLITS))  # test over val over train: what was kept for judging stays so


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


def extension(
    workspace: Workspace, candidates: Candidates, parent: Manifest, rules: GroupRules, scene_of: Mapping[str, str]
) -> Growth:
    """Return the photos of an extension: those of the parent that are still there, and new ones that fit them.

    A new photo of a picture that the parent has stays out, whichever of the two `dedup` prefers by now.

    Raises:
        DataError: photos of the parent are not in the workspace.
    """
    side_of = dict(zip(parent.table["photo_id"].to_pylist(), parent.table["split"].to_pylist(), strict=True))
    with storage_errors(workspace.root), open_catalogue(workspace) as catalogue:
        earlier, gone, unknown = _earlier(catalogue, candidates, side_of)
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(side_of)} photos of {parent.header.name} {parent.header.version} are not in the "
            f"workspace {workspace.root}, such as {unknown[0]}; `t15 rehydrate` brings them, then extend it"
        )
    outside = misplaced_photos(candidates.region, earlier)
    inside = [photo for photo in earlier if photo.photo_id not in outside]
    pictures = {decision.group_id for photo_id in side_of if (decision := candidates.decisions.get(photo_id))}
    new = [
        photo
        for photo in candidates.photos
        if photo.photo_id not in side_of
        and not ((decision := candidates.decisions.get(photo.photo_id)) and decision.group_id in pictures)
    ]
    return grow(inside, new, [*gone, *outside], lambda photos: group_photos(photos, rules, scene_of).group_of)


def _earlier(
    catalogue: Catalogue, candidates: Candidates, side_of: Mapping[str, str]
) -> tuple[list[Photo], list[str], list[str]]:
    """Return the photos of a parent that are there, with their sides, and the ids of those gone and never known."""
    clean = {photo.photo_id for photo in candidates.photos}
    earlier: list[Photo] = []
    gone: list[str] = []
    unknown: list[str] = []
    for photo_id, side in side_of.items():
        photo = catalogue.photo(photo_id)
        decision = candidates.decisions.get(photo_id)
        conflict = bool(decision and decision.verdict == "conflict") and photo_id not in clean
        if photo is not None and photo_id not in candidates.rejected and not conflict:
            earlier.append(replace(photo, split=side))
        elif photo is None and ((item := catalogue.known(photo_id)) is None or item.state in ("listed", "failed")):
            unknown.append(photo_id)
        else:
            gone.append(photo_id)
    return earlier, gone, unknown


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
    staying = list(earlier)
    group_of = group([*staying, *added])
    sides_of: dict[str, set[str]] = defaultdict(set)
    for photo in staying:
        sides_of[group_of[photo.photo_id]].add(str(photo.split))
    strongest = {name: next(side for side in _STRONGER if side in sides) for name, sides in sides_of.items()}
    retired = {photo.photo_id for photo in staying if photo.split != strongest[group_of[photo.photo_id]]}
    staying = [photo for photo in staying if photo.photo_id not in retired]
    return Growth(
        photos=(*staying, *added),
        fixed={photo.photo_id: str(photo.split) for photo in staying},
        bridges=tuple(sorted(bridges)),
        retired=tuple(sorted(retired)),
        gone=tuple(sorted(gone)),
    )
