"""Photos of one view, taken by different people: no duplicates, but one gives the other away.

Candidates: of each photo the nearest of its city by the cosine of vectors, where that lies far above what pairs at random
have; not those that are known to be taken more than a kilometre apart. Verified by local features: matches that one camera's
move explains (`benchmark/local`, kept by digest). What verified pairs join, chain by chain, is a scene. Soft: it decides
nothing but the side of a split, where that is asked for (`t15 split --group-scenes`), and audits count what spans two sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.curating.vectors import Floats, VectorSource, nearest, unrelated
from collector.geo import distance_km
from collector.progress import Track, silent
from collector.records import Photo
from collector.splitting.groups import components
from collector.workspace import Workspace, exclusive, storage_errors

STAGE = "scenes"
"""The stage of the catalogue's decisions that holds scenes; its verdicts are all `keep`, its groups the scenes."""

NEAREST = 6
"""Photos of its city that are proposed for each photo, at most."""

FAR = 2.5
"""Deviations above the middle cosine of pairs at random from which on a pair is proposed."""

APART_KM = 1.0
"""Photos that are known to be taken farther from each other show no view from one spot."""


@dataclass(slots=True)
class Scenes:
    """That photos of one view are looked for: who gives vectors and verifies pairs; `named` tells later what gave them."""

    source: VectorSource
    net: str | None = None
    track: Track = silent
    named: str = ""


def find_scenes(workspace: Workspace, photos: Sequence[Photo], asked: Scenes) -> dict[str, str]:
    """Return photo_id -> scene, of photos that share a view with another, and write that into the catalogue.

    Raises:
        UsageError: there is no such network, or the extra `local` is not installed.
        ModuleNotFoundError: the extra `bench` is not installed.
    """
    ordered = sorted(photos, key=lambda photo: photo.photo_id)
    asked.named, rows, known = asked.source.vectors(workspace, ordered, asked.net, asked.track)
    pairs = sorted(set(_proposed(ordered, rows, known)))
    counts = asked.source.inliers(workspace, ordered, pairs, asked.track)
    verified = [(first, second, count) for (first, second), count in zip(pairs, counts, strict=True) if count]
    first, second = (np.array([pair[side] for pair in verified], dtype=np.int64) for side in (0, 1))
    labels = components(len(ordered), first, second)
    names = {label: f"s:{ordered[at].photo_id}" for at, label in reversed(list(enumerate(labels.tolist())))}
    evidence: dict[int, dict[str, int]] = {}
    for a, b, count in verified:
        evidence.setdefault(a, {})[ordered[b].photo_id] = count
        evidence.setdefault(b, {})[ordered[a].photo_id] = count
    scene_of = {ordered[at].photo_id: names[int(labels[at])] for at in sorted(evidence)}
    decisions = [
        Decision(
            ordered[at].photo_id, "keep", names[int(labels[at])], {"vectors": asked.named, "inliers": evidence[at]}
        )
        for at in sorted(evidence)
    ]
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        catalogue.decide(STAGE, decisions)
    return scene_of


def _proposed(photos: Sequence[Photo], rows: Floats, known: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    if known.sum() < 2:
        return
    middle, deviation = unrelated(rows[known])
    for city in sorted({photo.city for photo in photos}):
        mine = np.array([at for at, photo in enumerate(photos) if photo.city == city and known[at]], dtype=np.int64)
        if len(mine) < 2:
            continue
        cosines, found = nearest(rows[mine], rows[mine], NEAREST + 1)
        far = (cosines >= middle + FAR * deviation) & (found >= 0)
        for at, rank in zip(*np.nonzero(far), strict=True):
            first, second = int(mine[at]), int(mine[found[at, rank]])
            if first != second and _may_be_near(photos[first], photos[second]):
                yield min(first, second), max(first, second)


def _may_be_near(a: Photo, b: Photo) -> bool:
    if a.latitude is None or a.longitude is None or b.latitude is None or b.longitude is None:
        return True
    return distance_km(a.latitude, a.longitude, b.latitude, b.longitude) <= APART_KM
