"""Which photos show the same picture, which one of them to keep, and which of them contradict each other.

Hashes propose pairs: certain ones, and doubtful ones that `pair_verification` decides by the pixels. Decisions are kept in
the catalogue with their evidence and can be taken back.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collector.catalogue.catalogue import Catalogue, Decision, open_catalogue
from collector.curating.deep_pairs import deep_pairs
from collector.curating.hamming import Pairs, as_bits, pairs_in_blocks
from collector.curating.pair_verification import Agreement, DoubtfulPair, VerifyPairs, pair_verifier
from collector.curating.partitions import BLOCK, pairs_in_partitions
from collector.curating.vectors import VectorSource
from collector.errors import DataError, first_few
from collector.executors.cluster import Cluster
from collector.executors.local import Fault, Work
from collector.executors.photos import map_photos
from collector.images.decode import quiet_decoders
from collector.images.hashing import HASH_STAMP, hashes_of
from collector.licences import licences
from collector.manifest.photo_rows import PhotoRows
from collector.progress import Track, silent
from collector.records import DHASH_SLACK, PHASH_RADIUS, Photo
from collector.workspace import Workspace, exclusive, storage_errors

MOST_DOUBTS = 16
"""A photo is looked at beside this many of those that are preferred to it, the nearest: it bounds the work of a closer look
by the number of photos."""

# The columns of pHash are frequencies across the picture, 0 to 7: in a mirror the odd ones change their sign.
_ODD_COLUMNS = np.uint8(0b01010101)

_PAIRS_AT_ONCE = 1024  # candidates that are verified together


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair of positions, the distances of its hashes, and whether the second was seen in a mirror."""

    first: int
    second: int
    phash: int
    dhash: int
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A photo that shows the same picture as the kept one: equal bytes, or hashes at these distances.

    Attributes:
        mirrored: it is the kept photo's picture in a mirror; the distances are then those of its hashes in a mirror.
        agreement: what the closer look found; None where hashes were certain, or bytes were missing.
        deep: who proposed and who confirmed it, where hashes say nothing of it (`deep_pairs`).
    """

    photo: Photo
    same_bytes: bool
    phash_distance: int
    dhash_distance: int
    mirrored: bool = False
    agreement: Agreement | None = None
    deep: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Photos of one picture. Every member resembles `kept`; there are no chains."""

    kept: Photo
    members: tuple[Member, ...]

    @property
    def is_conflict(self) -> bool:
        """Whether the group's photos are labelled with more than one city."""
        return any(member.photo.city != self.kept.city for member in self.members)


DeepLinks = Mapping[tuple[str, str], Mapping[str, Any]]
"""Pairs of photo_ids that show one picture whatever their hashes say, and the evidence."""


def find_groups(
    photos: Sequence[Photo],
    radius: int = PHASH_RADIUS,
    verify: VerifyPairs | None = None,
    deep: DeepLinks | None = None,
    work: Work | None = None,
    *,
    within_cities: bool = False,
) -> list[Group]:
    """Return the groups of two photos or more, in the order of preference of their kept photos.

    The most preferred photo takes all that resemble it, then the most preferred of the rest, and so on. Two photos
    resemble each other when their bytes are equal, or their hashes are certain (both distances together are at most
    `radius`), or `verify` says so of a doubtful pair (see `candidates`), or `deep` does. Where `verify` is None, or
    cannot see a pair, hashes alone decide: as `same_picture`. With `work` near hashes are searched for there, by parts. With
    `within_cities` two photos of different cities resemble each other only where hashes alone would say so.
    """
    looks = _looks(PhotoRows.of(photos))
    linked = _links(looks, radius, verify, work, within_cities=within_cities)
    for position, link in _deep_links(looks, deep or {}):
        if all(other != link[0] for other, *_ in linked[position]):
            linked[position].append(link)
    grouped: set[int] = set()
    groups = []
    several = np.flatnonzero(np.diff(looks.starts) > 1).tolist()
    for position in sorted({*several, *linked}):
        if position in grouped:
            continue
        grouped.add(position)
        representative, *same = looks.photos(position)
        members = [Member(photo, photo.sha256 == representative.sha256, 0, 0) for photo in same]
        for other, near, agreement, said in sorted(linked.get(position, ()), key=lambda found: found[0]):
            if other not in grouped:
                grouped.add(other)
                evidence = (near.phash, near.dhash, near.mirrored, agreement, said)
                members += [
                    Member(photo, photo.sha256 == representative.sha256, *evidence) for photo in looks.photos(other)
                ]
        if members:
            groups.append(Group(representative, tuple(members)))
    return groups


@dataclass(frozen=True, slots=True, eq=False)
class _Looks:
    """The different looks of photos (both hashes, or the bytes of a picture without content for hashes), preferred first.

    Attributes:
        rows: the photos.
        order: positions in `rows`, look by look, and the most preferred photo of a look first.
        starts: where in `order` each look begins, and the end.
        hashed: looks that are hashes.
        phash, dhash: of each look, 8 bytes; 0 where it has none.
    """

    rows: PhotoRows
    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    hashed: NDArray[np.int64]
    phash: NDArray[np.uint8]
    dhash: NDArray[np.uint8]

    def photos(self, position: int) -> list[Photo]:
        """Return the photos of a look."""
        return [self.rows[at] for at in self.order[self.starts[position] : self.starts[position + 1]].tolist()]

    def cities(self) -> NDArray[np.int64]:
        """Return the city of each look's preferred photo, as numbers."""
        return self.rows.coded("city")[0][self.order[self.starts[:-1]]]

    def digest(self, position: int) -> str:
        """Return the sha256 of a look's preferred photo."""
        return str(self.rows.table["sha256"][int(self.order[self.starts[position]])].as_py())


def _looks(rows: PhotoRows) -> _Looks:
    preferred = preferences(rows)
    phash, dhash = rows.hashes("phash"), rows.hashes("dhash")
    known = rows.is_known("phash") & rows.is_known("dhash")
    # A look is a number: of hashes that of the pair, else, beyond them, that of the bytes.
    number = np.empty(len(rows), np.int64)
    bits = np.ascontiguousarray(np.hstack((phash, dhash))[known]).view("S16").reshape(-1)
    number[known] = np.unique(bits, return_inverse=True)[1]
    number[~known] = len(rows) + rows.where(~known).coded("sha256")[0]
    rank = np.empty(len(rows), np.int64)
    rank[preferred] = np.arange(len(rows))
    # Looks in the order of their preferred photos.
    _, look = np.unique(number, return_inverse=True)
    best = np.full(int(look.max(initial=-1)) + 1, len(rows), np.int64)
    np.minimum.at(best, look, rank)
    order = np.lexsort((rank, best[look]))
    starts = np.append(np.flatnonzero(np.diff(best[look[order]], prepend=-1)), len(rows)).astype(np.int64)
    first = order[starts[:-1]]
    return _Looks(rows, order, starts, np.flatnonzero(known[first]), phash[first], dhash[first])


def preferences(rows: PhotoRows) -> NDArray[np.int64]:
    """Return the positions (N,) of photos in the order of `preference`."""
    licence, ids = rows.coded("license")
    free = np.array([bool((of := licences().get(one)) and of.redistributable) for one in ids] + [False])
    known = sum(
        rows.is_known(name).astype(np.int64) for name in ("latitude", "taken_at", "author_id", "page_url", "title")
    )
    taken = np.where(rows.is_known("taken_at"), rows.whole("taken_at"), np.iinfo(np.int64).max)
    pixels = rows.whole("width") * rows.whole("height")
    return np.lexsort((np.arange(len(rows)), taken, -np.asarray(known), -pixels, ~free[licence]))


def same_picture(a: Photo, b: Photo, radius: int = PHASH_RADIUS) -> bool:
    """Return whether two photos show the same picture by their bytes or hashes, without a closer look.

    Their pHashes may differ in at most `radius` bits, and their dHashes in at most `radius` + 6.
    """
    if a.sha256 is not None and a.sha256 == b.sha256:
        return True
    if not (a.phash and b.phash and a.dhash and b.dhash):
        return False
    return hashes_agree(_bit_distance(a.phash, b.phash), _bit_distance(a.dhash, b.dhash), radius)


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


_Link = tuple[int, Candidate, Agreement | None, Mapping[str, Any] | None]


def _deep_links(looks: _Looks, deep: DeepLinks) -> Iterator[tuple[int, _Link]]:
    """Yield, for each position of equal-looking photos, a position that resembles it by `deep`, both ways."""
    named = {photo_id for pair in deep for photo_id in pair}
    look_of = np.empty(len(looks.rows), np.int64)
    look_of[looks.order] = np.repeat(np.arange(len(looks.starts) - 1), np.diff(looks.starts))
    position = (
        {of: int(look_of[at]) for at, of in enumerate(looks.rows.texts("photo_id")) if of in named} if deep else {}
    )
    for (one, other), said in deep.items():
        first, second = position.get(one), position.get(other)
        if first is None or second is None or first == second:
            continue
        a, b = looks.photos(first)[0], looks.photos(second)[0]
        phash, dhash = _bit_distance(a.phash, b.phash), _bit_distance(a.dhash, b.dhash)
        yield first, (second, Candidate(first, second, phash, dhash, False), None, said)
        yield second, (first, Candidate(second, first, phash, dhash, False), None, said)


def _bit_distance(a: str | None, b: str | None) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count() if a and b else 64


def _links(
    looks: _Looks, radius: int, verify: VerifyPairs | None, work: Work | None, *, within_cities: bool
) -> dict[int, list[_Link]]:
    """Return, for each position, the positions that resemble it, with what says so."""
    hashed = looks.hashed
    phash, dhash = looks.phash[hashed], looks.dhash[hashed]
    if within_cities and verify:
        near = _within_cities(phash, dhash, looks.cities()[hashed], radius, work)
    else:
        near = near_hashes(phash, dhash, radius, doubtful=verify is not None, work=work)
    linked: dict[int, list[_Link]] = defaultdict(list)
    for link, agreement in _verified(near, lambda at: looks.digest(int(hashed[at])), radius, verify):
        first, second = int(hashed[link.first]), int(hashed[link.second])
        linked[first].append((second, link, agreement, None))
        linked[second].append((first, link, agreement, None))
    return linked


def _verified(
    near: Iterable[Candidate], digest: Callable[[int], str], radius: int, verify: VerifyPairs | None
) -> Iterator[tuple[Candidate, Agreement | None]]:
    """Yield the candidates that show one picture; those that hashes leave in doubt are looked at, many at a time."""
    rest = iter(near)
    while block := list(islice(rest, _PAIRS_AT_ONCE)):
        doubtful = [candidate for candidate in block if verify and not is_certain(candidate, radius)]
        doubts = [DoubtfulPair(digest(one.first), digest(one.second), one.mirrored) for one in doubtful]
        answers = dict(zip(doubtful, verify(doubts), strict=True)) if verify else {}
        for candidate in block:
            agreement = answers.get(candidate)
            by_hashes = not candidate.mirrored and hashes_agree(candidate.phash, candidate.dhash, radius)
            if agreement.is_same if agreement else by_hashes:
                yield candidate, agreement


# --- candidates: pairs whose hashes are near


def hashes_agree(phash: int, dhash: int, radius: int) -> bool:
    """Return whether hashes alone, at these distances, say that two photos show one picture."""
    return phash <= radius and dhash <= radius + DHASH_SLACK


def is_certain(candidate: Candidate, radius: int) -> bool:
    """Return whether hashes are so near that no closer look is needed: together within the radius that one may have."""
    return not candidate.mirrored and candidate.phash + candidate.dhash <= radius


def candidates(
    phashes: Sequence[str],
    dhashes: Sequence[str],
    radius: int,
    *,
    doubtful: bool,
    most_doubts: int = MOST_DOUBTS,
    work: Work | None = None,
) -> Iterator[Candidate]:
    """Yield pairs of positions whose hashes are near, by the second one and the distance; the earlier is the preferred one.

    Without `doubtful` those whose `hashes_agree`. With it also what may be a crop, a captioned or a mirrored copy: hashes
    that differ in at most 4.5 times the radius of their 128 bits together, for each photo the `most_doubts` nearest. With
    `work` the search is done there, by parts, which finds the same.
    """
    phash, dhash = as_bits(list(phashes)), as_bits(list(dhashes))
    yield from near_hashes(phash, dhash, radius, doubtful=doubtful, most_doubts=most_doubts, work=work)


def near_hashes(
    phash: NDArray[np.uint8],
    dhash: NDArray[np.uint8],
    radius: int,
    *,
    doubtful: bool,
    most_doubts: int = MOST_DOUBTS,
    work: Work | None = None,
) -> Iterator[Candidate]:
    """Yield what `candidates` does of hashes (N, 8) as bytes."""
    if not doubtful:
        yield from _agreeing(phash, dhash, radius, work)
        return
    both = np.hstack((phash, dhash))
    by_hashes = 2 * radius + DHASH_SLACK
    reach = max(_reach(radius), by_hashes)
    for mirrored in (False, True) if radius else (False,):
        seen = np.hstack((mirrored_phash(phash), mirrored_dhash(dhash))) if mirrored else both
        for pairs in _close_pairs(both, min(reach, 128), seen, work):
            yield from _candidates(pairs, phash, seen[:, :8], radius, most_doubts, mirrored=mirrored)


def _within_cities(
    phash: NDArray[np.uint8], dhash: NDArray[np.uint8], cities: NDArray[np.int64], radius: int, work: Work | None
) -> Iterator[Candidate]:
    """Yield doubtful candidates of each city (N,), and those between cities whose `hashes_agree`.

    Doubtful ones of all photos are found by comparing all with all; so are these, but of one city.
    """
    for near in near_hashes(phash, dhash, radius, doubtful=False, work=work):
        if cities[near.first] != cities[near.second]:
            yield near
    order = np.argsort(cities, kind="stable")
    for of in np.split(order, np.flatnonzero(np.diff(cities[order])) + 1):
        parts = work if len(of) > BLOCK else None
        for near in near_hashes(phash[of], dhash[of], radius, doubtful=True, work=parts):
            yield replace(near, first=int(of[near.first]), second=int(of[near.second]))


def _close_pairs(
    bits: NDArray[np.uint8], radius: int, seen: NDArray[np.uint8] | None, work: Work | None
) -> Iterator[Pairs]:
    if work is None:
        return pairs_in_blocks(bits, radius, seen)
    return pairs_in_partitions(bits, radius, seen, work)


def _agreeing(
    phash: NDArray[np.uint8], dhash: NDArray[np.uint8], radius: int, work: Work | None = None
) -> Iterator[Candidate]:
    """Yield the pairs whose `hashes_agree`: few pHashes are near, so that they are searched and dHashes looked up."""
    for pairs in _close_pairs(phash, min(radius, 64), None, work):
        apart = np.bitwise_count(dhash[pairs.first] ^ dhash[pairs.second]).sum(axis=1, dtype=np.int64)
        agree = apart <= radius + DHASH_SLACK
        first, second, near = pairs.first[agree], pairs.second[agree], pairs.distance[agree]
        other = apart[agree]
        for at in np.lexsort((first, near + other, second)).tolist():
            yield Candidate(int(first[at]), int(second[at]), int(near[at]), int(other[at]), mirrored=False)


def _reach(radius: int) -> int:
    return radius * 9 // 2


def _candidates(
    pairs: Pairs, phash: NDArray[np.uint8], seen: NDArray[np.uint8], radius: int, most_doubts: int, *, mirrored: bool
) -> Iterator[Candidate]:
    apart = np.bitwise_count(phash[pairs.first] ^ seen[pairs.second]).sum(axis=1, dtype=np.int64)
    order = np.lexsort((pairs.first, pairs.distance, pairs.second))
    second = pairs.second[order]
    starts = np.flatnonzero(np.diff(second, prepend=-1))
    rank = np.arange(len(second)) - np.repeat(starts, np.diff(np.append(starts, len(second))))
    for at, nearness in zip(order.tolist(), rank.tolist(), strict=True):
        p, both = int(apart[at]), int(pairs.distance[at])
        if (both <= _reach(radius) and nearness < most_doubts) or (not mirrored and hashes_agree(p, both - p, radius)):
            yield Candidate(int(pairs.first[at]), int(pairs.second[at]), p, both - p, mirrored)


def mirrored_phash(phash: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return about the pHashes (N, 8) of the mirrored pictures: exact but for frequencies next to the median."""
    return phash ^ _ODD_COLUMNS


def mirrored_dhash(dhash: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return about the dHashes (N, 8) of the mirrored pictures: exact but for neighbours of equal grey."""
    bits = np.unpackbits(dhash, axis=1).reshape(len(dhash), 8, 8)
    return np.packbits(1 - bits[:, :, ::-1], axis=2).reshape(len(dhash), 8)


# --- the run over a workspace


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
    deep: int = 0


@dataclass(frozen=True, slots=True)
class Deep:
    """That vectors are asked for copies too: of the network or feature `net`, or of the best that is here."""

    source: VectorSource
    net: str | None = None


def dedup(
    workspace: Workspace,
    radius: int = PHASH_RADIUS,
    *,
    dry_run: bool = False,
    deep: Deep | None = None,
    keep_deep: bool = False,
    hashes_only: bool = False,
    within_cities: bool = False,
    track: Track = silent,
    work: Work | None = None,
) -> DedupSummary:
    """Group the photos that show the same picture, keep the best of each group, and set label conflicts aside.

    Replaces what an earlier `dedup` decided; with `dry_run` nothing is decided. Pairs that hashes leave in doubt are looked
    at, unless `hashes_only`, and with `within_cities` only between photos of one city; where a photo's bytes are not in the
    store its hashes alone decide. With `deep`, vectors propose pairs too; with `keep_deep`, what they had led to before
    stays. `work` is where photos are hashed and read.

    Raises:
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue:
        _renew_hashes(catalogue, workspace, work, track)
        photos = catalogue.downloaded_rows(light=not deep)
        links = _kept_links(catalogue) if keep_deep else {}
        with quiet_decoders():
            verify = None if hashes_only else pair_verifier(workspace, work)
            parts = work if isinstance(work, Cluster) else None  # one machine has one index
            grouped = partial(find_groups, photos, radius, verify, work=parts, within_cities=within_cities)
            if deep:
                links = _deeper(workspace, photos, grouped(), deep, track)
            groups = grouped(deep=links)
        if not dry_run:
            catalogue.decide("dedup", _decisions(photos, groups, radius))
    return _summarise(photos, groups)


def _deeper(workspace: Workspace, photos: PhotoRows, groups: Sequence[Group], deep: Deep, track: Track) -> DeepLinks:
    """Return which photos vectors join beyond the groups of hashes; of each group one is compared, and speaks for all."""
    members = {group.kept.photo_id: [member.photo.photo_id for member in group.members] for group in groups}
    left_out = {photo_id for of in members.values() for photo_id in of}
    distinct = photos.where(np.array([photo_id not in left_out for photo_id in photos.texts("photo_id")], bool))
    ids = list(map(str, distinct.texts("photo_id")))
    links: dict[tuple[str, str], Mapping[str, Any]] = {}
    for pair in deep_pairs(workspace, distinct, deep.source, deep.net, track):
        one, other = ids[pair.first], ids[pair.second]
        links[one, other] = pair.evidence
        for kept, joined in ((one, other), (other, one)):
            links |= {(kept, of): {**pair.evidence, "through": joined} for of in members.get(joined, ())}
    return links


def _kept_links(catalogue: Catalogue) -> DeepLinks:
    """Return the pairs that an earlier run with `deep` joined."""
    return {
        (one.group_id, one.photo_id): one.evidence["deep"]
        for one in catalogue.decisions("dedup")
        if one.group_id and isinstance(one.evidence.get("deep"), dict)
    }


def _renew_hashes(catalogue: Catalogue, workspace: Workspace, work: Work | None, track: Track) -> None:
    """Compute hashes of other versions again: those of different algorithms or libraries must not be compared.

    Each is written down as it comes, so that a stopped run goes on; one photo that cannot be read stops no other.

    Raises:
        DataError: photos cannot be read; the first are named.
    """
    old = catalogue.with_other_hashes(HASH_STAMP)
    if not old:
        return
    digests = [sha256 for _, sha256 in old]
    faults = []
    for (photo_id, digest), hashes in zip(
        old,
        map_photos(hashes_of, digests, workspace, work, track=track, doing="hashing", at_once=256, holds_gil=True),
        strict=True,
    ):
        if isinstance(hashes, Fault):
            missing = isinstance(hashes.error, FileNotFoundError)
            reason = "is missing" if missing else f"cannot be read ({hashes.reason})"
            faults.append(f"{catalogue.name_of(photo_id)[:60]}: {workspace.photo(digest)} {reason}")
        else:
            catalogue.update_hashes(photo_id, hashes.phash, hashes.dhash, HASH_STAMP)
    if faults:
        raise DataError(f"{first_few(faults, '; ', most=3, longest=500)}; `t15 collect --check` fetches it again")


def _decisions(rows: PhotoRows, groups: Sequence[Group], radius: int) -> Iterator[Decision]:
    grouped = set()
    for group in groups:
        verdict = "conflict" if group.is_conflict else "duplicate"
        evidence = {"radius": radius, "members": len(group.members) + 1}
        kept_verdict = "conflict" if group.is_conflict else "keep"
        yield Decision(group.kept.photo_id, kept_verdict, group.kept.photo_id, evidence)
        for member in group.members:
            yield Decision(member.photo.photo_id, verdict, group.kept.photo_id, _evidence(member, radius))
        grouped.update([group.kept.photo_id, *(member.photo.photo_id for member in group.members)])
    for photo_id in rows.texts("photo_id"):
        if photo_id and photo_id not in grouped:
            yield Decision(photo_id, "keep", photo_id, {"radius": radius, "members": 1})


def _evidence(member: Member, radius: int) -> dict[str, Any]:
    return {
        "radius": radius,
        "same_bytes": member.same_bytes,
        "phash_distance": member.phash_distance,
        "dhash_distance": member.dhash_distance,
        "mirrored": member.mirrored,
        "closer_look": asdict(member.agreement) if member.agreement else None,
        **({"deep": dict(member.deep)} if member.deep else {}),
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
        tally["deep"] += sum(member.deep is not None for member in group.members)
    left_out = tally["exact"] + tally["near"] + tally["conflicts"]
    return DedupSummary(
        photos=len(photos),
        exact=tally["exact"],
        near=tally["near"],
        conflicts=tally["conflicts"],
        conflict_groups=tally["conflict_groups"],
        deep=tally["deep"],
        clean=len(photos) - left_out,
    )
