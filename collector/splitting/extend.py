"""Growing a data set without breaking its promise: earlier photos keep their sides, and no group spans two of them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from collector.records import SPLITS, Photo

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
