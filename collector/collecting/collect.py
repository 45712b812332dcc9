"""Bring photos home: list them, choose, fetch their bytes, examine and store them, write them down; safely, in this order."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from collector.catalogue.catalogue import PLACE_REASONS, Catalogue, Known, Waiting, open_catalogue
from collector.catalogue.withdrawals import Withdrawn
from collector.collecting.download import (
    Elsewhere,
    Failed,
    Failures,
    Outcome,
    download_photo,
    host_of,
    is_stored,
    is_whole,
)
from collector.collecting.follow_folder import follow
from collector.collecting.listing import in_area, labelled_elsewhere, list_city
from collector.collecting.on_cluster import downloads
from collector.collecting.select import Chooser, SelectionCriteria, balanced_ranking, drawn, ranking, unwanted
from collector.errors import IncompleteError, UsageError, did_you_mean
from collector.executors.local import Work
from collector.images.decode import quiet_decoders
from collector.images.hashing import HASH_STAMP
from collector.images.validate import Limits
from collector.net.client import Http
from collector.progress import Track, silent
from collector.providers.base import FindsUnplaced, Mirrors, Provider, Query, Survey, TellsMore
from collector.providers.registry import author_of
from collector.records import City, Photo, Region, Unusable
from collector.workspace import Workspace, exclusive, remove_drafts, storage_errors

_WORKERS = 4  # decoding releases the GIL; more only hold more decoded photos in memory
_HTTP_WORKERS = 8  # waiting costs nothing; the limiter of each host decides how many ask at once

_MOST_ATTEMPTS = 5  # runs in which a photo is asked for; after these only --retry-failed asks again
_FIRST_PAUSE = timedelta(minutes=10)  # before a failed photo is asked for again; four times as long after each failure
_LONGEST_PAUSE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Summary:
    """What one `collect` met. `read` is the sum of added, known, rejected, failed, waiting and withdrawn.

    Attributes:
        read: photos and other things that were looked at, or are known to be there.
        added: photos that are new in the catalogue.
        known: photos that were there already.
        rejected: numbers by reason.
        failed: photos that could not be fetched and may be later, by reason.
        waiting: listed photos that were not fetched, by why: `not needed`, `licence`, `small`, `later`.
        withdrawn: photos that were withdrawn, and were passed over.
        updated: known photos of which the provider tells another licence, title, time, author or place than before.
        changed: how many of these by what it is, such as `license`.
        relabelled: known photos that their source puts under another city now.
        moved: files of a folder that are at another path now, and keep what was decided about them.
        gone: files of a folder that are not there any more; they are rejected, and in no later split.
        by_city: photos in the catalogue now by city slug, whichever provider they are of; cities in the order asked for.
    """

    read: int
    added: int
    known: int
    rejected: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    withdrawn: int = 0
    updated: int = 0
    changed: dict[str, int] = field(default_factory=dict)
    relabelled: int = 0
    moved: int = 0
    gone: int = 0
    by_city: dict[str, int] = field(default_factory=dict)


class _Tally:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()

    def summary(self, by_city: dict[str, int]) -> Summary:
        return Summary(
            read=sum(counter.total() for counter in (self.counts, self.rejected, self.failed, self.waiting)),
            added=self.counts["added"],
            known=self.counts["known"],
            rejected=dict((+self.rejected).most_common()),
            failed=dict(self.failed.most_common()),
            waiting=dict((+self.waiting).most_common()),
            withdrawn=self.counts["withdrawn"],
            updated=self.changes["updated"],
            changed=dict(self.changed.most_common()),
            relabelled=self.changes["relabelled"],
            moved=self.changes["moved"],
            gone=self.changes["gone"],
            by_city=by_city,
        )


@dataclass(frozen=True, slots=True)
class _Job:
    """What the steps of one run share."""

    workspace: Workspace
    catalogue: Catalogue
    region: Region
    limits: Limits
    criteria: SelectionCriteria
    query: Query
    track: Track
    check: bool
    retry_failed: bool
    retry: Set[str]
    listed_only: bool
    now: Callable[[], datetime]
    tally: _Tally
    withdrawn: Withdrawn
    elsewhere: Elsewhere | None = None
    at_once: int = 0


def collect(
    workspace: Workspace,
    region: Region,
    cities: Sequence[City],
    provider: Provider | Survey,
    query: Query = Query(),  # noqa: B008 (frozen)
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    track: Track = silent,
    *,
    criteria: SelectionCriteria = SelectionCriteria(),  # noqa: B008 (frozen)
    check: bool = False,
    retry_failed: bool = False,
    retry: Set[str] = frozenset(),
    listed_only: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    work: Work | None = None,
) -> Summary:
    """Collect the photos of `cities` from `provider` into the workspace.

    A service is listed whole before photos are chosen and fetched, city by city. With `check` the stored bytes of photos
    that are known are read and compared, and damaged ones are fetched again; with `retry_failed` failed ones are, whenever
    they were to be tried again; photos that failed or were rejected for a reason in `retry` are asked for again. With
    `listed_only` a service is asked for what the catalogue lists of it already, such as photos that were imported. A photo
    that was collected for a city of another region keeps that label, whatever this region says of its place. Where `work` is
    a cluster its nodes fetch the photos; all else is done here.

    Whatever stops it, each photo is in the catalogue with its bytes in the store, or not at all; the same call goes on
    from there and ends in the same state.

    Raises:
        IncompleteError: the disk is full, another process is collecting into this workspace, a quota is used up, the service
            does not answer, or a host of its pictures refuses them.
        ServiceError: the service refuses the key.
        UsageError: no photo was given up for a reason in `retry`.
    """
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue, quiet_decoders():
        if not workspace.borrowed:
            remove_drafts(workspace.photos, ".*.part", alone=True)
            remove_drafts(workspace.photos, "??/.*.part", alone=True)  # where they lay until December 2026
        catalogue.remember_region(region)
        for reason in sorted(retry - catalogue.reasons()):
            given_up = ", ".join(sorted(catalogue.reasons())) or "none"
            near = did_you_mean(reason, catalogue.reasons())
            raise UsageError(f"--retry {reason}: no photo was given up for that{near}; reasons here: {given_up}")
        withdrawn = Withdrawn(catalogue.withdrawals())
        job = _Job(
            *(
                workspace,
                catalogue,
                region,
                limits,
                criteria,
                query,
                track,
                check,
                retry_failed,
                retry,
                listed_only,
                now,
            ),
            *(_Tally(), withdrawn),
        )
        with downloads(work, provider, workspace) as (elsewhere, at_once):
            job = replace(job, elsewhere=elsewhere, at_once=at_once)
            if isinstance(provider, Survey):
                for city in cities:
                    _survey(job, provider, city)
            else:
                _read_through(job, provider, cities)
        by_city = {city.slug: len(catalogue.downloads_by_author(city.slug)) for city in cities}
    return job.tally.summary(by_city)


def _read_through(job: _Job, provider: Provider, cities: Sequence[City]) -> None:
    """Take what a provider yields, one after the other: nothing is written down before it is fetched."""
    found: Iterator[Photo | Unusable] = map(
        partial(_relabelled, job), _search(job, provider, cities, all_cities=len(cities) == len(job.region.cities))
    )
    if job.criteria.target is not None or job.criteria.licences is not None:
        found = _selected(job, list(found), job.criteria)
    stream = (item for item in job.track(found, "collecting") if not _passed_over(job, item))
    for outcome in _outcomes(
        job, provider, _Stream(_unless_labelled_elsewhere(job, item) for item in stream), _WORKERS
    ):
        _record(job, outcome)
        if isinstance(outcome, Photo) and isinstance(provider, TellsMore) and (more := provider.beside(outcome)):
            with job.catalogue.together():
                job.catalogue.beside.write(outcome.photo_id, more)
    if isinstance(provider, Mirrors):
        changes = follow(job.catalogue, provider)
        job.tally.changes.update(moved=changes.moved, gone=changes.gone)


def _relabelled(job: _Job, item: Photo | Unusable) -> Photo | Unusable:
    """Return what a provider yields, after following it where it puts a photo under another city of the region."""
    item = in_area(job.query, item) if isinstance(item, Photo) else item
    if isinstance(item, Photo) and labelled_elsewhere(job.catalogue, job.region, item) is None:
        job.tally.changes["relabelled"] += job.catalogue.relabel(item)
    return item


def _search(job: _Job, provider: Provider, cities: Sequence[City], *, all_cities: bool) -> Iterator[Photo | Unusable]:
    for city in cities:
        yield from provider.search(city, job.query)
    if all_cities and isinstance(provider, FindsUnplaced):
        yield from provider.unplaced()


def _selected(job: _Job, found: Sequence[Photo | Unusable], criteria: SelectionCriteria) -> Iterator[Photo | Unusable]:
    """Yield what is wanted of things that are all at hand: the most welcome photos of each city, up to its target."""
    yield from (item for item in found if isinstance(item, Unusable))
    by_city: dict[str, list[Photo]] = {}
    for photo in found:
        if not isinstance(photo, Photo):
            continue
        if why := unwanted(photo, criteria):
            job.tally.waiting[why] += 1
        else:
            by_city.setdefault(photo.city, []).append(photo)
    for city, photos in by_city.items():
        known = {photo.photo_id for photo in photos if _is_known(job, photo)}
        yield from (photo for photo in photos if photo.photo_id in known)
        had = [author_of(*one) for one in job.catalogue.downloads_by_author(city)]
        ranked = _ranked(job, city, photos, criteria)
        chooser = Chooser((p for p in ranked if p.photo_id not in known), criteria, had)
        chosen = list(iter(chooser.take, None))
        yield from (photo for photo in chosen if photo is not None)
        job.tally.waiting["not needed"] += len(photos) - len(known) - len(chosen)


def _ranked(job: _Job, city: str, photos: Sequence[Photo], criteria: SelectionCriteria) -> Iterator[Photo]:
    """Return a city's listed photos, most welcome first; balanced ones with an eye on what it has from elsewhere."""
    if criteria.target is None:
        return drawn(photos, criteria.seed)
    if not criteria.balance:
        return ranking(photos, criteria.seed)
    listed = {photo.photo_id for photo in photos}
    had = [one for one in job.catalogue.downloaded_rows(light=True) if one.city == city and one.photo_id not in listed]
    return balanced_ranking(photos, criteria.seed, had)


def _passed_over(job: _Job, item: Photo | Unusable) -> bool:
    if isinstance(item, Photo) and job.withdrawn.holds(item):
        job.tally.counts["withdrawn"] += 1
        return True
    return False


def _unless_labelled_elsewhere(job: _Job, item: Photo | Unusable) -> Photo | Unusable:
    return labelled_elsewhere(job.catalogue, job.region, item) or item if isinstance(item, Photo) else item


def _survey(job: _Job, service: Survey, city: City) -> None:
    """List a city whole, then fetch the most welcome of what is wanted."""
    catalogue, tally = job.catalogue, job.tally
    if not job.listed_only:
        listed = list_city(
            catalogue, service, city, job.region, job.query, job.withdrawn, job.track, job.now, job.retry
        )
        tally.rejected.update(listed.rejected)
        tally.counts["withdrawn"] += listed.withdrawn
    listing = catalogue.listing(city.slug, service.name)
    photos: list[Photo] = []
    attempts: dict[str, int] = {}
    for item in listing:
        here = item.state == "downloaded" and _is_here(job, catalogue.known(item.photo.photo_id))
        tally.counts["known"] += here
        if not here and (why := unwanted(item.photo, job.criteria)):
            tally.waiting[why] += 1
            continue
        photos.append(item.photo)
        if item.state == "failed" and not _is_due(job, item):
            tally.waiting["later"] += 1
        elif not here and (item.state != "rejected" or item.reason in job.retry):
            attempts[item.photo.photo_id] = item.attempts
    _fetch(job, service, city, photos, attempts)


def _fetch(job: _Job, service: Survey, city: City, wanted: Sequence[Photo], asked: Mapping[str, int]) -> None:
    """Fetch what is needed of a city's photos: those in `asked`, with the number of times that each was asked for in vain.

    A host that refuses one picture after the other is asked no more; the others are.
    """
    had = [author_of(*one) for one in job.catalogue.downloads_by_author(city.slug) if one[0] not in asked]
    shut: dict[str, Failed] = {}
    ranked = _ranked(job, city.slug, wanted, job.criteria)
    fetchable = (p for p in ranked if p.photo_id in asked and host_of(p) not in shut)
    source = Chooser(fetchable, job.criteria, had)
    needed = len(asked) if job.criteria.target is None else min(len(asked), max(0, job.criteria.target - len(had)))
    hosts = {host_of(photo) for photo in wanted if photo.photo_id in asked}
    failures = Failures()
    fetched = came = 0
    last: Failed | None = None
    for outcome in job.track(_outcomes(job, service, source, _HTTP_WORKERS), f"fetching {city.name}", needed):
        fetched += 1
        failures.settle(outcome)
        if not isinstance(outcome, Failed):
            came += 1
            _record(job, outcome)
            continue
        last = outcome
        _record_failure(job, outcome, asked[outcome.photo.photo_id] + 1)
        if failures.is_down():
            raise IncompleteError(_stopped(job, f"{service.name} stopped answering", outcome))
        if failures.is_shut(outcome):
            shut.setdefault(outcome.host, outcome)
            if hosts <= set(shut):
                break
    if last and not came and failures.refused[last.host] > 1:
        shut.setdefault(last.host, last)
    for host, failed in shut.items():
        refuses = failed.is_refusal and failed.reason != "rate-limited" and host
        what = (
            f"{service.name}: {host} refuses one picture after the other"
            if refuses
            else f"{service.name} stopped answering"
        )
        raise IncompleteError(_stopped(job, what, failed))
    if last and not came and fetched > 1:  # nothing but failures: whoever asked for photos is to know that none came
        raise IncompleteError(_stopped(job, f"{service.name} stopped answering", last))
    job.tally.waiting["not needed"] += len(asked) - fetched


def _stopped(job: _Job, what: str, failed: Failed) -> str:
    return (
        f"{what} ({failed.reason}: {failed.detail}); what was fetched is kept: run the same command again "
        f"{when(failed.retry_after, job.now())}, with --retry-failed for all that failed"
    )


def _is_due(job: _Job, item: Waiting) -> bool:
    if job.retry_failed or item.reason in job.retry:
        return True
    return item.attempts < _MOST_ATTEMPTS and (item.next_try is None or item.next_try <= job.now())


class _Source(Protocol):
    """Hands out photos to fetch, and is told what became of each."""

    def take(self) -> Photo | Unusable | None: ...

    def settle(self, photo: Photo, *, arrived: bool) -> None: ...


class _Stream:
    """Hands out everything."""

    def __init__(self, items: Iterator[Photo | Unusable]) -> None:
        self._items = items

    def take(self) -> Photo | Unusable | None:
        return next(self._items, None)

    def settle(self, photo: Photo, *, arrived: bool) -> None:
        """Nothing follows from it."""


def _outcomes(job: _Job, provider: Provider | Survey, source: _Source, workers: int) -> Iterator[Outcome]:
    """Yield what became of each thing handed out, in that order; a photo that was known already has no sha256."""
    http: Http | None = getattr(provider, "http", None)
    waiting: deque[tuple[Photo | Unusable, Future[Outcome] | None]] = deque()
    workers = job.at_once or workers
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                while len(waiting) <= 2 * workers and (item := source.take()) is not None:
                    if isinstance(item, Unusable) or _is_known(job, item):
                        waiting.append((item, None))
                    else:
                        args = (item, provider, http, job.workspace, job.limits)
                        waiting.append(
                            (item, pool.submit(download_photo, *args, check=job.check, elsewhere=job.elsewhere))
                        )
                if not waiting:
                    return
                item, future = waiting.popleft()
                outcome: Outcome = future.result() if future else item
                if isinstance(item, Photo):
                    source.settle(item, arrived=isinstance(outcome, Photo))
                yield outcome
        except BaseException:
            if http is not None:
                http.close()  # wakes those that wait for a service, which may take minutes
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _is_known(job: _Job, photo: Photo) -> bool:
    """Return whether a photo is in the catalogue under its city, and its bytes in the store."""
    known = job.catalogue.known(photo.photo_id)
    return known is not None and known.city == photo.city and _is_here(job, known)


def _is_here(job: _Job, known: Known | None) -> bool:
    """Return whether a photo's bytes are in the store; they are read when the run checks."""
    if known is None or known.state != "downloaded" or known.sha256 is None:
        return False
    return is_whole(job.workspace, known.sha256) if job.check else is_stored(job.workspace, known.sha256, known.bytes)


def _record(job: _Job, outcome: Photo | Unusable | Failed) -> None:
    tally, catalogue = job.tally, job.catalogue
    if isinstance(outcome, Failed):
        _record_failure(job, outcome, 1)
    elif isinstance(outcome, Unusable):
        tally.rejected[outcome.reason] += 1
        known = catalogue.known(outcome.photo_id)
        if outcome.reason not in PLACE_REASONS or known is None or known.state != "downloaded":
            catalogue.reject(outcome, attempts=1)
    elif outcome.sha256 is None:
        tally.counts["known"] += 1
        changed = catalogue.describe(outcome)
        tally.changes["updated"] += bool(changed)
        tally.changed.update(changed)
    else:
        catalogue.add(outcome, HASH_STAMP)
        tally.counts["added"] += 1


def _record_failure(job: _Job, failed: Failed, attempts: int) -> None:
    job.tally.failed[failed.reason] += 1
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 4 ** min(attempts - 1, 9))
    pause = max(pause, timedelta(seconds=min(failed.retry_after or 0, _LONGEST_PAUSE.total_seconds())))
    job.catalogue.fail(failed.photo, failed.reason, failed.detail, attempts, job.now() + pause)


def when(retry_after: float | None, now: datetime) -> str:
    """Return when to come back, in words."""
    if retry_after is None:
        return "later"
    return f"after {(now + timedelta(seconds=retry_after)).astimezone().strftime('%Y-%m-%d %H:%M %Z')}"
