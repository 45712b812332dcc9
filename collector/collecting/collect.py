"""Bring photos home: list them, fetch their bytes, examine them, store them, write them down; one after the other, safely."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from collector.collecting.catalogue import Catalogue, Known, open_catalogue
from collector.collecting.examine import Examined, Limits, NotUsableError, examine
from collector.console import Track, silent
from collector.curating.hashing import HASH_STAMP
from collector.pictures import quiet_decoders
from collector.providers.base import FindsUnplaced, ImageRequest, Provider, Query
from collector.records import City, Photo, Region, Unusable
from collector.workspace import Workspace, exclusive, remove_drafts, storage_errors, write_atomically

_WORKERS = 4  # decoding releases the GIL; more only hold more decoded photos in memory


@dataclass(frozen=True, slots=True)
class Summary:
    """What one `collect` met. `read` is the sum of all the others.

    Attributes:
        read: files or answers that were looked at.
        added: photos that are new in the catalogue.
        known: photos that were there already.
        rejected: numbers by reason.
        by_city: photos in the catalogue now (added or known) by city slug, cities in the order asked for.
    """

    read: int
    added: int
    known: int
    rejected: dict[str, int] = field(default_factory=dict)
    by_city: dict[str, int] = field(default_factory=dict)


def collect(
    workspace: Workspace,
    region: Region,
    cities: Sequence[City],
    provider: Provider,
    query: Query = Query(),  # noqa: B008 (frozen)
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    track: Track = silent,
) -> Summary:
    """Collect the photos of `cities` from `provider` into the workspace.

    Whatever stops it, each photo is in the catalogue with its bytes in the store, or not at all; the same call goes on
    from there and ends in the same state.

    Raises:
        IncompleteError: the disk is full, or another process is collecting into this workspace.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue, quiet_decoders():
        remove_drafts(workspace.photos, "*/.*.part", alone=True)
        catalogue.remember_region(region)
        tally: Counter[str] = Counter()
        rejected: Counter[str] = Counter()
        by_city = dict.fromkeys((city.slug for city in cities), 0)
        found = _search(provider, cities, query, all_cities=len(cities) == len(region.cities))
        for outcome in _outcomes(track(found, "collecting"), provider, catalogue, workspace, limits):
            tally["read"] += 1
            if isinstance(outcome, Unusable):
                catalogue.reject(outcome)
                rejected[outcome.reason] += 1
                continue
            if outcome.sha256 is None:
                tally["known"] += 1
            else:
                catalogue.add(outcome, HASH_STAMP)
                tally["added"] += 1
            by_city[outcome.city] += 1
    return Summary(tally["read"], tally["added"], tally["known"], dict(rejected.most_common()), by_city)


def _search(
    provider: Provider, cities: Sequence[City], query: Query, *, all_cities: bool
) -> Iterator[Photo | Unusable]:
    for city in cities:
        yield from provider.search(city, query)
    if all_cities and isinstance(provider, FindsUnplaced):
        yield from provider.unplaced()


def _outcomes(
    found: Iterator[Photo | Unusable], provider: Provider, catalogue: Catalogue, workspace: Workspace, limits: Limits
) -> Iterator[Photo | Unusable]:
    """Yield what became of each thing found, in the same order; a photo that was known already has no sha256."""
    waiting: deque[Photo | Unusable | Future[Photo | Unusable]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            for item in found:
                if isinstance(item, Unusable) or _is_here(item, catalogue.known(item.photo_id), workspace):
                    waiting.append(item)
                else:
                    request = provider.image_request(item)
                    waiting.append(pool.submit(_bring_home, item, request, workspace, limits))
                while len(waiting) > 2 * _WORKERS:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _is_here(photo: Photo, known: Known | None, workspace: Workspace) -> bool:
    """Return whether a photo is in the catalogue under its city, and its bytes in the store."""
    if known is None or known.state != "downloaded" or known.city != photo.city or known.sha256 is None:
        return False
    return _stored(workspace, known.sha256, known.bytes)


def _stored(workspace: Workspace, sha256: str, size: int | None) -> bool:
    with suppress(FileNotFoundError):
        return workspace.photo(sha256).stat().st_size == size
    return False


def _result(item: Photo | Unusable | Future[Photo | Unusable]) -> Photo | Unusable:
    return item.result() if isinstance(item, Future) else item


def _bring_home(photo: Photo, request: ImageRequest, workspace: Workspace, limits: Limits) -> Photo | Unusable:
    """Fetch, examine and store one photo; runs in a worker thread."""
    try:
        data = _fetch(request, limits)
        examined = examine(data, limits)
    except NotUsableError as error:
        return Unusable(photo.photo_id, error.reason, f"{photo.title or photo.photo_id}: {error.detail}", photo.city)
    store(workspace, examined, data)
    return replace(
        photo,
        sha256=examined.sha256,
        bytes=examined.bytes,
        width=examined.width,
        height=examined.height,
        phash=examined.hashes.phash,
        dhash=examined.hashes.dhash,
    )


def _fetch(request: ImageRequest, limits: Limits) -> bytes:
    path = Path(os.fsdecode(unquote_to_bytes(urlsplit(request.url).path)))  # a file name need not be valid UTF-8
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise NotUsableError("too-large", f"{size} bytes, accepted are {limits.max_bytes}")
        return path.read_bytes()
    except OSError as error:
        raise NotUsableError("unreadable", error.strerror or "cannot be read") from error


def store(workspace: Workspace, examined: Examined, data: bytes) -> None:
    """Put the original bytes into the content-addressed store; bytes that are there already are not written again."""
    if not _stored(workspace, examined.sha256, examined.bytes):
        write_atomically(workspace.photo(examined.sha256), data)
