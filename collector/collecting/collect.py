"""Bring photos home: list them, fetch their bytes, examine them, store them, write them down; one after the other, safely."""

import hashlib
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
from collector.errors import UsageError
from collector.pictures import quiet_decoders
from collector.providers.base import FindsUnplaced, ImageRequest, Provider, Query
from collector.providers.exif import clean_text
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
    *,
    check: bool = False,
) -> Summary:
    """Collect the photos of `cities` from `provider` into the workspace.

    With `check` the stored bytes of photos that are known are read and compared, and damaged ones are fetched again.
    A photo that was collected for a city of another region keeps that label, whatever this region says of its place.

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
        listed = _search(provider, cities, query, all_cities=len(cities) == len(region.cities))
        found = (_unless_labelled_elsewhere(item, catalogue, region) for item in track(listed, "collecting"))
        for outcome in _outcomes(found, provider, catalogue, workspace, limits, check=check):
            tally["read"] += 1
            if isinstance(outcome, Unusable):
                rejected[outcome.reason] += 1
                if outcome.reason not in PLACE_REASONS or not _has(catalogue, outcome.photo_id):
                    catalogue.reject(outcome)
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
    found: Iterator[Photo | Unusable],
    provider: Provider,
    catalogue: Catalogue,
    workspace: Workspace,
    limits: Limits,
    *,
    check: bool,
) -> Iterator[Photo | Unusable]:
    """Yield what became of each thing found, in the same order; a photo that was known already has no sha256."""
    waiting: deque[Photo | Unusable | Future[Photo | Unusable]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            for item in found:
                if isinstance(item, Unusable) or _is_here(item, catalogue.known(item.photo_id), workspace, check=check):
                    waiting.append(item)
                else:
                    request = provider.image_request(item)
                    waiting.append(pool.submit(_bring_home, item, request, workspace, limits, check))
                while len(waiting) > 2 * _WORKERS:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


PLACE_REASONS = ("no-city", "outside-city", "labelled-elsewhere")
"""Reasons that hold for one region's cities only: a photo that another region has keeps its place in the catalogue."""


def _has(catalogue: Catalogue, photo_id: str) -> bool:
    known = catalogue.known(photo_id)
    return known is not None and known.state == "downloaded"


def _unless_labelled_elsewhere(item: Photo | Unusable, catalogue: Catalogue, region: Region) -> Photo | Unusable:
    known = catalogue.known(item.photo_id)
    if isinstance(item, Unusable) or known is None or known.state != "downloaded" or known.city == item.city:
        return item
    if known.city in {city.slug for city in region.cities}:
        return item
    detail = f"is labelled {known.city} of another region already; collect {region.name} into a workspace of its own"
    return Unusable(item.photo_id, "labelled-elsewhere", detail, item.city)


def _is_here(photo: Photo, known: Known | None, workspace: Workspace, *, check: bool) -> bool:
    """Return whether a photo is in the catalogue under its city, and its bytes in the store (read, with `check`)."""
    if known is None or known.state != "downloaded" or known.city != photo.city or known.sha256 is None:
        return False
    if check:
        path = workspace.photo(known.sha256)
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == known.sha256
    return _stored(workspace, known.sha256, known.bytes)


def _stored(workspace: Workspace, sha256: str, size: int | None) -> bool:
    with suppress(FileNotFoundError):
        return workspace.photo(sha256).stat().st_size == size
    return False


def _result(item: Photo | Unusable | Future[Photo | Unusable]) -> Photo | Unusable:
    return item.result() if isinstance(item, Future) else item


def _bring_home(
    photo: Photo, request: ImageRequest, workspace: Workspace, limits: Limits, check: bool
) -> Photo | Unusable:
    """Fetch, examine and store one photo; runs in a worker thread."""
    try:
        data = _fetch(request, limits)
        examined = examine(data, limits)
    except NotUsableError as error:
        name = clean_text(unquote_to_bytes(request.url.rpartition("/")[2])) or photo.photo_id
        return Unusable(photo.photo_id, error.reason, f"{name}: {error.detail}", photo.city)
    store(workspace, examined, data, check=check)
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
    if urlsplit(request.url).scheme != "file":
        raise UsageError(
            f"{request.url[:60]}: this version of t15 reads files only; the provider has to give a file: URL"
        )
    path = Path(os.fsdecode(unquote_to_bytes(urlsplit(request.url).path)))  # a file name need not be valid UTF-8
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise NotUsableError("too-large", f"{size} bytes, accepted are {limits.max_bytes}")
        return path.read_bytes()
    except OSError as error:
        raise NotUsableError("unreadable", error.strerror or "cannot be read") from error


def store(workspace: Workspace, examined: Examined, data: bytes, *, check: bool = False) -> None:
    """Put the original bytes into the content-addressed store; bytes that are there already are not written again,
    unless `check` doubts them."""
    if check or not _stored(workspace, examined.sha256, examined.bytes):
        write_atomically(workspace.photo(examined.sha256), data)
