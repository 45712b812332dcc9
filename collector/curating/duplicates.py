"""Which photos show the same picture, which one of them to keep, and which of them contradict each other."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from collector.curating.candidates import Candidate, agree, candidates, is_certain
from collector.curating.pair_verification import Agreement, Doubt, Look
from collector.licences import licences
from collector.records import Photo

DEFAULT_RADIUS = 8
"""Largest pHash distance, of 64 bits, at which hashes alone can say that two photos are one picture."""

_LOOKS = 1024  # doubtful pairs that are looked at together


@dataclass(frozen=True, slots=True)
class Member:
    """A photo that shows the same picture as the kept one: equal bytes, or hashes at these distances.

    Attributes:
        mirrored: it is the kept photo's picture in a mirror; the distances are then those of its hashes in a mirror.
        agreement: what the closer look found; None where hashes were certain, or bytes were missing.
    """

    photo: Photo
    same_bytes: bool
    phash_distance: int
    dhash_distance: int
    mirrored: bool = False
    agreement: Agreement | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Photos of one picture. Every member resembles `kept`; there are no chains."""

    kept: Photo
    members: tuple[Member, ...]

    @property
    def is_conflict(self) -> bool:
        """Whether the group's photos are labelled with more than one city."""
        return any(member.photo.city != self.kept.city for member in self.members)


def find_groups(photos: Sequence[Photo], radius: int = DEFAULT_RADIUS, look: Look | None = None) -> list[Group]:
    """Return the groups of two photos or more, in the order of preference of their kept photos.

    The most preferred photo takes all that resemble it, then the most preferred of the rest, and so on. Two photos
    resemble each other when their bytes are equal, or their hashes are certain (both distances together are at most
    `radius`), or a closer look at a doubtful pair says so (see `candidates`). Where there is no closer look, or it cannot
    see a pair, hashes alone decide: as `same_picture`.
    """
    alike: dict[tuple[str, ...], list[Photo]] = defaultdict(list)
    for photo in sorted(photos, key=preference):
        alike[_look(photo)].append(photo)
    looks = list(alike)
    linked = _links(looks, [str(same[0].sha256) for same in alike.values()], radius, look)
    taken: set[int] = set()
    groups = []
    for position, same_look in enumerate(looks):
        if position in taken:
            continue
        taken.add(position)
        kept, *same = alike[same_look]
        members = [Member(photo, photo.sha256 == kept.sha256, 0, 0) for photo in same]
        for other, link, agreement in sorted(linked[position], key=lambda found: found[0]):
            if other not in taken:
                taken.add(other)
                evidence = (link.phash, link.dhash, link.mirrored, agreement)
                members += [Member(photo, photo.sha256 == kept.sha256, *evidence) for photo in alike[looks[other]]]
        if members:
            groups.append(Group(kept, tuple(members)))
    return groups


def same_picture(a: Photo, b: Photo, radius: int = DEFAULT_RADIUS) -> bool:
    """Return whether two photos show the same picture by their bytes or hashes, without a closer look.

    Their pHashes may differ in at most `radius` bits, and their dHashes in at most `radius` + 6.
    """
    if a.sha256 is not None and a.sha256 == b.sha256:
        return True
    if not (a.phash and b.phash and a.dhash and b.dhash):
        return False
    phash, dhash = ((int(x, 16) ^ int(y, 16)).bit_count() for x, y in ((a.phash, b.phash), (a.dhash, b.dhash)))
    return agree(phash, dhash, radius)


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


_Link = tuple[int, Candidate, Agreement | None]


def _links(
    looks: Sequence[tuple[str, ...]], digests: Sequence[str], radius: int, look: Look | None
) -> dict[int, list[_Link]]:
    """Return, for each position, the positions that resemble it, with what says so."""
    hashed = [position for position, same in enumerate(looks) if len(same) == 2]
    phashes, dhashes = ([looks[position][which] for position in hashed] for which in (0, 1))
    near = candidates(phashes, dhashes, radius, doubtful=look is not None)
    linked: dict[int, list[_Link]] = defaultdict(list)
    for link, agreement in _judged(near, [digests[position] for position in hashed], radius, look):
        first, second = hashed[link.first], hashed[link.second]
        linked[first].append((second, link, agreement))
        linked[second].append((first, link, agreement))
    return linked


def _judged(
    near: Iterable[Candidate], digests: Sequence[str], radius: int, look: Look | None
) -> Iterator[tuple[Candidate, Agreement | None]]:
    """Yield the candidates that show one picture; those that hashes leave in doubt are looked at, many at a time."""
    rest = iter(near)
    while found := list(islice(rest, _LOOKS)):
        doubtful = [candidate for candidate in found if look and not is_certain(candidate, radius)]
        doubts = [Doubt(digests[one.first], digests[one.second], one.mirrored) for one in doubtful]
        answers = dict(zip(doubtful, look(doubts), strict=True)) if look else {}
        for candidate in found:
            agreement = answers.get(candidate)
            by_hashes = not candidate.mirrored and agree(candidate.phash, candidate.dhash, radius)
            if agreement.is_same if agreement else by_hashes:
                yield candidate, agreement
