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
    alike: dict[tuple[str, ...], list[Photo]] = defaultdict(list)
    for photo in sorted(photos, key=preference):
        alike[_look(photo)].append(photo)
    looks = list(alike)
    linked = _links(looks, radius)
    taken: set[int] = set()
    groups = []
    for position, look in enumerate(looks):
        if position in taken:
            continue
        taken.add(position)
        kept, *same = alike[look]
        members = [Member(photo, photo.sha256 == kept.sha256, 0, 0) for photo in same]
        for other, phash, dhash in linked[position]:
            if other not in taken:
                taken.add(other)
                members += [Member(photo, photo.sha256 == kept.sha256, phash, dhash) for photo in alike[looks[other]]]
        if members:
            groups.append(Group(kept, tuple(members)))
    return groups


def same_picture(a: Photo, b: Photo, radius: int = DEFAULT_RADIUS) -> bool:
    """Return whether two photos show the same picture, by the rule of `find_groups`."""
    if a.sha256 is not None and a.sha256 == b.sha256:
        return True
    if not (a.phash and b.phash and a.dhash and b.dhash):
        return False
    apart = [(int(x, 16) ^ int(y, 16)).bit_count() for x, y in ((a.phash, b.phash), (a.dhash, b.dhash))]
    return apart[0] <= radius and apart[1] <= radius + _DHASH_SLACK


def _look(photo: Photo) -> tuple[str, ...]:
    """Return what equal-looking photos share: both hashes, or the bytes of a picture without content for hashes."""
    return (photo.phash, photo.dhash) if photo.phash and photo.dhash else (str(photo.sha256),)


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


def _links(looks: Sequence[tuple[str, ...]], radius: int) -> dict[int, list[tuple[int, int, int]]]:
    """Return, for each position, the positions that resemble it with the distances of pHash and dHash."""
    hashed = [position for position, look in enumerate(looks) if len(look) == 2]
    phash = as_bits([looks[position][0] for position in hashed])
    dhash = as_bits([looks[position][1] for position in hashed])
    pairs = pairs_within(phash, radius)
    linked: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    dhash_distance = _hamming(dhash[pairs.first], dhash[pairs.second])
    for a, b, p, d in zip(pairs.first, pairs.second, pairs.distance, dhash_distance, strict=True):
        if d <= radius + _DHASH_SLACK:
            linked[hashed[a]].append((hashed[b], int(p), int(d)))
            linked[hashed[b]].append((hashed[a], int(p), int(d)))
    return linked


def _hamming(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    distances: NDArray[np.int64] = np.bitwise_count(a ^ b).sum(axis=1, dtype=np.int64)
    return distances
