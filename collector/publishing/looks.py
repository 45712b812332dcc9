"""What a manifest's pictures show, as far as they are in the workspace: indoors or outdoors, and whether people fill them.

Each is skipped where what it needs is not here, and one line says so. Kept by photo digest, weights and versions.
"""

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from collector.curating import people
from collector.curating.vectors import IndoorSource
from collector.manifest.manifest import Manifest
from collector.progress import Track
from collector.publishing.stats import Looks
from collector.records import SPLITS, Photo
from collector.workspace import Workspace, storage_errors


def look(workspace: Workspace, manifest: Manifest, source: IndoorSource, track: Track) -> Looks:
    """Return what the pictures of a manifest's photos show.

    Raises:
        DataError: weights are damaged.
        IncompleteError: the disk is full.
    """
    photos = [photo for side in SPLITS for photo in manifest.photos(side)]
    here = [photo for photo in photos if photo.sha256 and workspace.photo(photo.sha256).is_file()]
    lines = [f"pictures: {len(here)} of {len(photos)} photos were here to be looked at"]
    if len(here) < len(photos):
        lines[0] += "; `t15 rehydrate` brings others"
    if not here:
        return Looks({}, {}, tuple(lines))
    with storage_errors(workspace.root):
        indoors = _indoors(workspace, here, source, track, lines)
        return Looks(indoors, _people(workspace, here, track, lines), tuple(lines))


def _indoors(
    workspace: Workspace, photos: Sequence[Photo], source: IndoorSource, track: Track, lines: list[str]
) -> dict[str, float]:
    if find_spec("torch") is None:
        lines.append("indoors: skipped, torch is missing, of the extra bench: pip install 't15[bench]'")
        return {}
    found = source.indoors(workspace, photos, track)
    if found is None:
        lines.append(
            "indoors: skipped, no weights of a network that learnt Places365: t15 weights fetch resnet18/places365"
        )
        return {}
    name, shares = found
    lines.append(f"indoors: by the categories of Places365 that {name} sees")
    return {photo.photo_id: float(share) for photo, share in zip(photos, shares, strict=True) if np.isfinite(share)}


def _people(workspace: Workspace, photos: Sequence[Photo], track: Track, lines: list[str]) -> dict[str, bool]:
    if lacking := people.missing_extra():
        lines.append(f"people: skipped, {lacking} is missing, of the extra people: pip install 't15[people]'")
        return {}
    shares = people.people(workspace, [str(photo.sha256) for photo in photos], track)
    lines.append(f"people: filled where faces, and bodies below them, cover {people.FILLED:.0%} of a picture or more")
    return {
        photo.photo_id: share >= people.FILLED for photo, share in zip(photos, shares, strict=True) if share is not None
    }
