"""Which photos show the same picture, which one of them to keep, and which of them contradict each other."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from collector.curating.neighbours import as_bits, pairs_within
from collector.licences import licences
from collector.records import Photo

DEFAULT_RADIUS = 8
"""Largest pHash distance, of 64 bits, at which two photos can be one picture."""

_DHASH_SLACK = 6
"""dHash is more easily changed by crops than pHash: its distance may be this much larger than the radius."""


@dataclass(frozen=True, slots=True)
class Member:
    """A photo that shows the same picture as the kept one: equal bytes, or hashes at these distances."""

    photo: Photo
    same_bytes: bool
    phash_distance: int
    dhash_distance: int


@dataclass(frozen=True, slots=True)
class Group:
    """Photos of one picture. Every member resembles `kept`; there are no chains."""

    kept: Photo
    members: tuple[Member, ...]

    @property
    def is_conflict(self) -> bool:
        """Whether the group's photos are labelled with more than one city."""
        return any(member.photo.city != self.kept.city for member in self.members)


def find_groups(photos: Sequence[Photo], radius: int = DEFAULT_RADIUS) -> list[Group]:
    """Return the groups of two photos or more, in the order of preference of their kept photos.

    The most preferred photo takes all that resemble it, then the most preferred of the rest, and so on. Two photos
    resemble each other when their bytes are equal, or when their pHashes differ in at most `radius` bits and their
    dHashes in at most `radius` + 6.
    """
    ordered = sorted(photos, key=preference)
    linked = _links(ordered, radius)
    taken: set[int] = set()
    groups = []
    for position, kept in enumerate(ordered):
        if position in taken:
            continue
        taken.add(position)
        members = [member for other, member in sorted(linked[position].items()) if other not in taken]
        taken.update(other for other in linked[position])
        if members:
            groups.append(Group(kept, tuple(members)))
    return groups


def preference(photo: Photo) -> tuple[bool, int, int, datetime, str]:
    """Return a sorting key: the best photo to keep of one picture comes first.

    Redistributable before not; larger before smaller; with more known of it; earlier taken; smaller photo_id.
    """
    known = (photo.latitude, photo.taken_at, photo.author_id, photo.page_url, photo.title)
    licence = licences().get(photo.license)
    return (
        not (licence and licence.redistributable),
        -(photo.width or 0) * (photo.height or 0),
        -sum(fact is not None for fact in known),
        photo.taken_at or datetime.max.replace(tzinfo=UTC),
        photo.photo_id,
    )


def _links(photos: Sequence[Photo], radius: int) -> dict[int, dict[int, Member]]:
    """Return, for each position, the positions that resemble it."""
    linked: dict[int, dict[int, Member]] = defaultdict(dict)

    def link(a: int, b: int, same_bytes: bool, phash: int, dhash: int) -> None:
        linked[a][b] = Member(photos[b], same_bytes, phash, dhash)
        linked[b][a] = Member(photos[a], same_bytes, phash, dhash)

    hashed = [i for i, photo in enumerate(photos) if photo.phash and photo.dhash]
    phash = as_bits([str(photos[i].phash) for i in hashed])
    dhash = as_bits([str(photos[i].dhash) for i in hashed])
    pairs = pairs_within(phash, radius)
    dhash_distance = _hamming(dhash[pairs.first], dhash[pairs.second])
    for a, b, p, d in zip(pairs.first, pairs.second, pairs.distance, dhash_distance, strict=True):
        if d <= radius + _DHASH_SLACK:
            link(hashed[a], hashed[b], photos[hashed[a]].sha256 == photos[hashed[b]].sha256, int(p), int(d))
    # Pictures without content have no hashes, yet equal bytes are equal pictures.
    same: dict[str | None, list[int]] = defaultdict(list)
    for i, photo in enumerate(photos):
        if not (photo.phash and photo.dhash):
            same[photo.sha256].append(i)
    for positions in same.values():
        for a in positions:
            for b in positions:
                if a < b:
                    link(a, b, True, 0, 0)
    return linked


def _hamming(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    distances: NDArray[np.int64] = np.bitwise_count(a ^ b).sum(axis=1, dtype=np.int64)
    return distances
