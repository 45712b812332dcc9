"""Which of a city's listed photos to fetch: spread over authors, places and time, instead of the first that a service names.

Pure, and deterministic in the photos and the seed. The order is made of what the listing told alone, never of what became
of the photos since: a run that was stopped goes on with the same photos.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from heapq import heapify, heappop, heapreplace
from math import cos, floor, radians

import numpy as np
from numpy.typing import NDArray

from collector.errors import UsageError, did_you_mean
from collector.geo import KM_PER_DEGREE
from collector.licences import licences
from collector.providers.registry import author_of
from collector.records import Photo

_PLACE_M = 250.0  # photos of one square of this side, or of one month, count as much alike
_METRES_PER_DEGREE = KM_PER_DEGREE * 1000


@dataclass(frozen=True, slots=True)
class SelectionCriteria:
    """Which photos are wanted.

    Attributes:
        target: photos that each city has in the end, of all providers; None for all that are listed.
        per_author: the most photos of one author in a city; None for no limit. With target None it is not applied.
        licences: ids that are accepted; None for any.
        min_side: pixels of the shorter side, judged by the listing where it says it.
        seed: decides between photos that are equally welcome.
        balance: spread over places, authors, months, hours and licences alike, counting what the city has already.
    """

    target: int | None = None
    per_author: int | None = 10
    licences: frozenset[str] | None = None
    min_side: int = 64
    seed: int = 0
    balance: bool = False


def licences_named(text: str) -> frozenset[str] | None:
    """Return the licences that `--licence` means: `any` (None), `redistributable`, or ids with commas between them.

    Raises:
        UsageError: an id is unknown.
    """
    if text == "any":
        return None
    known = licences()
    if text == "redistributable":
        return frozenset(name for name, licence in known.items() if licence.redistributable)
    by_fold = {name.casefold(): name for name in known}
    chosen = [part.strip() for part in text.split(",") if part.strip()]
    for part in chosen:
        if part.casefold() in ("any", "redistributable"):
            raise UsageError(
                f"--licence {text[:60]!r}: {part} stands alone, or name SPDX ids such as CC-BY-4.0,CC0-1.0"
            )
        if part.casefold() not in by_fold:
            offered = {"any", "redistributable", *known}
            raise UsageError(
                f"licence {part!r} is unknown{did_you_mean(part, offered)}; give any, redistributable, or SPDX ids "
                "such as CC-BY-4.0,CC0-1.0"
            )
    if not chosen:
        raise UsageError("--licence is empty; give any, redistributable, or SPDX ids such as CC-BY-4.0,CC0-1.0")
    return frozenset(by_fold[part.casefold()] for part in chosen)


def unwanted(photo: Photo, criteria: SelectionCriteria) -> str | None:
    """Return why a listed photo is not wanted, `licence` or `small`; None when it is."""
    if criteria.licences is not None and photo.license not in criteria.licences:
        return "licence"
    if photo.width is not None and photo.height is not None and min(photo.width, photo.height) < criteria.min_side:
        return "small"
    return None


def ranking(photos: Sequence[Photo], seed: int) -> Iterator[Photo]:
    """Yield all photos, most welcome first: greedily the one whose author, then place, then month was yielded least.

    Ties are broken by sha256(seed, photo_id), so the order does not depend on that of `photos`.

    Counts only grow, so that an old key is a lower bound: a heap of authors, and one of each author's photos, have their
    least brought up to date until it stays the least. A photo costs some steps of O(log n), not a pass over all.
    """
    author, place, month = (
        _codes(author_of(photo.photo_id, photo.author_id) for photo in photos).tolist(),
        _codes(_grid_square(photo) for photo in photos).tolist(),
        _codes(photo.taken_at.strftime("%Y-%m") if photo.taken_at else "" for photo in photos).tolist(),
    )
    places, months = ([0] * (max(code, default=0) + 1) for code in (place, month))
    lucky = np.argsort(_luck(photos, seed)).tolist()
    heaps: list[list[tuple[int, int, int]]] = [[] for _ in range(max(author, default=-1) + 1)]
    for luck, at in enumerate(lucky):
        heaps[author[at]].append((0, 0, luck))  # in the order of a heap already
    waiting = [((0, *heap[0]), who) for who, heap in enumerate(heaps)]
    heapify(waiting)
    while waiting:
        (count, *known), who = waiting[0]
        heap = heaps[who]
        while (now := (places[place[at := lucky[heap[0][2]]]], months[month[at]], heap[0][2])) != heap[0]:
            heapreplace(heap, now)
        if known != [*now]:
            heapreplace(waiting, ((count, *now), who))
            continue
        heappop(heap)
        places[place[at]] += 1
        months[month[at]] += 1
        if heap:
            heapreplace(waiting, ((count + 1, *heap[0]), who))
        else:
            heappop(waiting)
        yield photos[at]


def drawn(photos: Sequence[Photo], seed: int) -> Iterator[Photo]:
    """Yield all photos in the order of sha256(seed, photo_id): where all are wanted, which comes first does not
    matter."""
    yield from (photos[at] for at in np.argsort(_luck(photos, seed)).tolist())


def balanced_ranking(photos: Sequence[Photo], seed: int, had: Sequence[Photo] = ()) -> Iterator[Photo]:
    """Yield all photos, most welcome first: greedily the one whose place, author, month, hour and licence are seen least.

    A kind that has been seen n times, of k kinds of its sort, costs n · k: an even share costs the same in every sort.
    Sorts count alike; what is unknown is a kind of its own. `had` are photos that the city has already from elsewhere. Ties
    are broken as in `ranking`. O(n) for each photo: each one yielded changes the cost of most.
    """
    if not photos:
        return
    sorts = [_codes(kind(photo) for photo in (*photos, *had)) for kind in _KINDS]
    codes = [code[: len(photos)] for code in sorts]
    kinds = [int(code.max()) + 1 for code in sorts]
    seen = [np.bincount(code[len(photos) :], minlength=k) for code, k in zip(sorts, kinds, strict=True)]
    luck = _luck(photos, seed)
    left = np.arange(len(photos))
    while len(left):
        cost = np.sum([count[code[left]] * k for code, count, k in zip(codes, seen, kinds, strict=True)], axis=0)
        best = left[cost == cost.min()]
        chosen = int(best[luck[best].argmin()])
        for code, count in zip(codes, seen, strict=True):
            count[code[chosen]] += 1
        left = left[left != chosen]
        yield photos[chosen]


def _hour(photo: Photo) -> str:
    """Return the quarter of the day in local solar time (UTC + longitude / 15)."""
    if photo.taken_at is None or photo.longitude is None:
        return ""
    return str(int((photo.taken_at + timedelta(hours=photo.longitude / 15)).hour // 6))


def _luck(photos: Sequence[Photo], seed: int) -> NDArray[np.int64]:
    draws = [hashlib.sha256(f"{seed}/{photo.photo_id}".encode()).digest() for photo in photos]
    luck = np.empty(len(photos), np.int64)
    luck[sorted(range(len(photos)), key=lambda i: (draws[i], photos[i].photo_id))] = np.arange(len(photos))
    return luck


def _codes(values: Iterable[str]) -> NDArray[np.int64]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)


def _grid_square(photo: Photo) -> str:
    if photo.latitude is None or photo.longitude is None:
        return ""
    north = floor(photo.latitude * _METRES_PER_DEGREE / _PLACE_M)
    # The width of a degree at the square's own southern edge, so that all photos of a row of squares share it.
    width = _METRES_PER_DEGREE * max(0.01, cos(radians(north * _PLACE_M / _METRES_PER_DEGREE)))
    return f"{north}/{floor(photo.longitude * width / _PLACE_M)}"


_KINDS: tuple[Callable[[Photo], str], ...] = (
    lambda photo: author_of(photo.photo_id, photo.author_id),
    _grid_square,
    lambda photo: photo.taken_at.strftime("%m") if photo.taken_at else "",
    _hour,
    lambda photo: photo.license,
)
"""What photos are spread over: author, place, month of the year, quarter of the day, licence."""


class Chooser:
    """Hands out a city's photos, most welcome first, so that the criteria are met exactly and no more than it is fetched.

    `take` gives out a photo only when it will be needed if all photos that are on their way arrive, and no author's when
    the limit would be passed; whether it is, is known when those on their way are settled.
    """

    def __init__(self, ranked: Iterator[Photo], criteria: SelectionCriteria, had: Sequence[str]) -> None:
        """Take the ranked photos that may be fetched, and the `author_of` each photo that the city has already."""
        self._ranked = ranked
        self._criteria = criteria
        self._had: Counter[str] = Counter(had)
        self._coming: Counter[str] = Counter()
        self._held: Photo | None = None

    def take(self) -> Photo | None:
        """Return the next photo to fetch; None when none is needed, or none can be told before others are settled."""
        if self._criteria.target is not None and self._had.total() + self._coming.total() >= self._criteria.target:
            return None
        while (photo := self._held or next(self._ranked, None)) is not None:
            self._held = None
            author = author_of(photo.photo_id, photo.author_id)
            limit = self._criteria.per_author if self._criteria.target is not None else None
            if limit is None or self._had[author] + self._coming[author] < limit:
                self._coming[author] += 1
                return photo
            if self._had[author] < limit:
                self._held = photo
                return None
        return None

    def settle(self, photo: Photo, *, arrived: bool) -> None:
        """Say what became of a photo that was taken."""
        author = author_of(photo.photo_id, photo.author_id)
        self._coming[author] -= 1
        self._had[author] += arrived
