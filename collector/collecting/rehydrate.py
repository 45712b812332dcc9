"""Bring the photos of a published manifest home again, and say truly what survived.

A photo survives when the same bytes come, or others that show the same picture (services re-encode what they hold). What
is in the workspace afterwards is written as a manifest of its own, whose parent is the published one: results on it are
results on other data, and say so.
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from collector.catalogue.catalogue import Catalogue, open_catalogue
from collector.catalogue.rehearsal import rehearsal
from collector.catalogue.withdrawals import Withdrawn
from collector.collecting.download import Failed, Failures, Outcome, download_photo, is_stored
from collector.collecting.own_photos import OwnPhotos
from collector.curating.duplicates import same_picture
from collector.errors import IncompleteError, T15Error, UsageError
from collector.images.decode import quiet_decoders
from collector.images.hashing import HASH_STAMP
from collector.images.validate import Limits, NotUsableError
from collector.manifest.manifest import Header, Manifest, build_manifest, partial_folder, write_manifest
from collector.net.client import RefusedError, TemporaryError
from collector.progress import Track, silent
from collector.providers.base import Provider, Renews, Survey
from collector.providers.registry import Settings, make_provider
from collector.records import SPLITS, Photo, Region, Unusable, provider_of
from collector.workspace import Workspace, exclusive, storage_errors

_WORKERS = 8
_AT_ONCE = 32
_LAST_WORDS = ("noai", "robots")  # the service was reached, and does not want its photo taken

_MEASURED = ("sha256", "bytes", "width", "height", "phash", "dhash")
SURVIVED = ("same", "stripped", "re-encoded")
"""Fates of photos that are there: the very bytes, the publication's copy without EXIF, or another file of the picture."""

MakeProvider = Callable[[str], Provider | Survey]
"""Returns the provider with a name, or raises a T15Error."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one photo of the manifest.

    `what` is `same`, `stripped` (the publication's own file, without the original's metadata), `re-encoded`, `changed`
    (another picture), `placeholder`, `gone`, `refused`, `withdrawn`, `unreachable` (its provider cannot be asked here),
    `failed` (may come later), or a reason of `collect`.
    """

    photo: Photo
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rehydration:
    """What one rehydration found.

    Attributes:
        manifest: the published one.
        fates: one for each of its photos, by photo_id.
        partial: where the manifest of what is there was written; None when all photos are there with the same bytes, or
            none is.
    """

    manifest: Manifest
    fates: tuple[Fate, ...]
    partial: Path | None

    def counts(self) -> dict[str, int]:
        """Return the number of photos by fate, the commonest first."""
        return dict(Counter(fate.what for fate in self.fates).most_common())

    def survival(self, by: str) -> dict[str, tuple[int, int]]:
        """Return survivors and all photos, by `split` or by `city`, in the manifest's order."""
        order = SPLITS if by == "split" else tuple(city.slug for city in self.manifest.header.cities)
        found = dict.fromkeys(order, (0, 0))
        for fate in self.fates:
            alive, photos = found[getattr(fate.photo, by)]
            found[getattr(fate.photo, by)] = (alive + (fate.what in SURVIVED), photos + 1)
        return found


def rehydrate(
    manifest: Manifest,
    workspace: Workspace,
    tool: str,
    make: MakeProvider | None = None,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    track: Track = silent,
    *,
    retry: bool = False,
    own: OwnPhotos = OwnPhotos(),  # noqa: B008 (never changed)
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Rehydration:
    """Fetch every photo of a manifest that is not in the workspace, and report what became of each.

    Stopped at any time, the same call goes on: what came, and what is gone for good, is in the catalogue. With `retry`
    what was gone or changed is asked for again.

    Args:
        manifest: a published one.
        workspace: where photos go.
        tool: name and version of t15.
        make: returns the provider with a name; what it raises makes its photos `unreachable`. By default those that are
            registered, for the manifest's cities.
        limits: what is accepted as a photo.
        track: shows how far it is.
        retry: whether earlier losses are asked for again.
        own: photos that are at hand: they are taken before anybody is asked.
        now: the clock.

    Raises:
        IncompleteError: the disk is full, or another process is changing the catalogue.
    """
    header = manifest.header
    region = Region(header.region, header.title, header.cities, header.note)
    make = make or _registered(region)
    photos = [photo for side in SPLITS for photo in manifest.photos(side)]
    fates: list[Fate] = []
    with storage_errors(workspace.root), exclusive(workspace), open_catalogue(workspace) as catalogue, quiet_decoders():
        if region.name not in {known.name for known in catalogue.regions()}:
            catalogue.remember_region(region)
        withdrawn = Withdrawn(catalogue.withdrawals())
        waiting = []
        for photo in photos:
            fate = _known_fate(catalogue, workspace, photo, withdrawn, own, retry=retry)
            if fate is None and photo.sha256 in own.files:
                fate = _take(catalogue, workspace, photo, own, limits)
            if fate is None:
                waiting.append(photo)
            else:
                fates.append(fate)
        if waiting:
            for photo, outcome in track(refetched(waiting, make, workspace, limits), "fetching", len(waiting)):
                fates.append(_record(catalogue, workspace, photo, outcome, now))
        fates.sort(key=lambda fate: fate.photo.photo_id)
        partial = _write_partial(catalogue, manifest, fates, workspace, tool)
    return Rehydration(manifest, tuple(fates), partial)


@dataclass(frozen=True, slots=True)
class ToDo:
    """What a rehydration would do.

    Attributes:
        known: photos whose fate is known, by fate, the commonest first.
        own: photos at hand that would be taken.
        asked: photos that would be asked for, by provider.
        unreachable: photos whose provider cannot be asked here, by its name.
        why: why each of those cannot be asked.
    """

    known: dict[str, int]
    own: int
    asked: dict[str, int]
    unreachable: dict[str, int]
    why: dict[str, str]


def what_is_to_do(
    manifest: Manifest,
    workspace: Workspace,
    make: MakeProvider | None = None,
    *,
    retry: bool = False,
    own: OwnPhotos = OwnPhotos(),  # noqa: B008 (never changed)
) -> ToDo:
    """Return what `rehydrate` would do, without asking anybody or writing anything. The arguments are as there."""
    header = manifest.header
    providers = _Providers(make or _registered(Region(header.region, header.title, header.cities, header.note)))
    known, from_own, requests, unreachable = Counter[str](), 0, Counter[str](), Counter[str]()
    why: dict[str, str] = {}
    with rehearsal(workspace) as copy, open_catalogue(copy) as catalogue:
        withdrawn = Withdrawn(catalogue.withdrawals())
        for photo in (photo for side in SPLITS for photo in manifest.photos(side)):
            fate = _known_fate(catalogue, copy, photo, withdrawn, own, retry=retry)
            name = provider_of(photo.photo_id)
            if fate:
                known[fate.what] += 1
            elif photo.sha256 in own.files:
                from_own += 1
            elif isinstance(closed := providers.of(photo), _Closed):
                unreachable[name] += 1
                why[name] = closed.why
            else:
                requests[name] += 1
    providers.close()
    return ToDo(dict(known.most_common()), from_own, dict(requests), dict(unreachable), why)


def _known_fate(
    catalogue: Catalogue, workspace: Workspace, photo: Photo, withdrawn: Withdrawn, own: OwnPhotos, *, retry: bool
) -> Fate | None:
    """Return what is known of a photo's fate without asking anyone; None when it has to be fetched."""
    if withdrawn.holds(photo):
        return Fate(photo, "withdrawn")
    if here := _stored_photo(catalogue, workspace, photo):
        if here.sha256 == photo.sha256:
            return Fate(photo, "same")
        if same_picture(photo, here):
            return Fate(photo, "stripped" if here.sha256 == own.file_sha256(photo) else "re-encoded")
        return (
            None
            if retry or photo.sha256 in own.files
            else Fate(photo, "changed", "the workspace holds another picture of this id")
        )
    outcome = None if photo.sha256 in own.files else catalogue.outcome(photo.photo_id)
    if outcome and outcome[0] == "rejected" and outcome[3] > 0 and not retry:
        return Fate(photo, outcome[1], outcome[2])
    return None


def _take(catalogue: Catalogue, workspace: Workspace, photo: Photo, own: OwnPhotos, limits: Limits) -> Fate | None:
    """Take a photo that is at hand; None where its file is not the picture that the manifest tells of."""
    outcome = _bring(photo, photo, own, workspace, limits)
    if not isinstance(outcome, Photo) or _stored_photo(
        catalogue, workspace, photo
    ):  # another picture that was here stays
        return None
    catalogue.add(replace(outcome, group_id=None, split=None), HASH_STAMP)
    return Fate(photo, "same" if outcome.sha256 == photo.sha256 else "stripped")


def _stored_photo(catalogue: Catalogue, workspace: Workspace, photo: Photo) -> Photo | None:
    """Return what the catalogue holds as this photo, when its bytes are in the store."""
    here = catalogue.photo(photo.photo_id)
    return here if here and here.sha256 and is_stored(workspace, here.sha256, here.bytes) else None


def _record(
    catalogue: Catalogue, workspace: Workspace, photo: Photo, outcome: Outcome, now: Callable[[], datetime]
) -> Fate:
    """Write down what became of a photo. Another picture of its id that the workspace has stays as it is."""
    if isinstance(outcome, Photo):
        catalogue.add(replace(outcome, group_id=None, split=None), HASH_STAMP)
        return Fate(photo, "same" if outcome.sha256 == photo.sha256 else "re-encoded")
    kept = _stored_photo(catalogue, workspace, photo) is not None
    if isinstance(outcome, Failed):
        pause = timedelta(seconds=max(600.0, min(outcome.retry_after or 0.0, 86_400.0)))
        if not kept:
            catalogue.fail(photo, outcome.reason, outcome.detail, 1, now() + pause)
        return Fate(photo, "failed", f"{outcome.reason}: {outcome.detail}".rstrip(": "))
    if outcome.reason != "unreachable" and not kept:
        catalogue.reject(outcome, attempts=1)
    return Fate(photo, outcome.reason, outcome.detail)


def _write_partial(
    catalogue: Catalogue, manifest: Manifest, fates: list[Fate], workspace: Workspace, tool: str
) -> Path | None:
    """Write what is there as a manifest, with the measures of the bytes that are there."""
    folder = partial_folder(manifest, workspace)
    if folder.parent.parent.exists():
        shutil.rmtree(folder.parent.parent)
    here: list[Photo] = []
    for fate in fates:
        if fate.what in SURVIVED and (now := catalogue.photo(fate.photo.photo_id)) is not None:
            measured: Mapping[str, Any] = {name: getattr(now, name) for name in _MEASURED}
            here.append(replace(fate.photo, **measured))
    if not here or all(fate.what == "same" for fate in fates):
        return None
    write_manifest(build_manifest(_partial_header(manifest, here), here, tool), folder)
    return folder


def _partial_header(manifest: Manifest, here: list[Photo]) -> Header:
    """Return the header of what is left of a manifest: it keeps the rules about groups, and no quotas any more."""
    header, whole = manifest.header, manifest.table.num_rows
    bytes_of = dict(zip(manifest.table["photo_id"].to_pylist(), manifest.table["sha256"].to_pylist(), strict=True))
    other = sum(photo.sha256 != bytes_of[photo.photo_id] for photo in here)
    present = {photo.city for photo in here}
    said = (
        f"Rehydrated from {header.name} {header.version}: {len(here)} of {whole} photos ({other} of them re-encoded), "
        f"{whole - len(here)} are missing."
    )
    return replace(
        header,
        note=f"{said} {header.note}".strip(),
        quotas={},
        rules={**header.rules, "rehydrated": {"photos": len(here), "of": whole, "re-encoded": other}},
        cities=tuple(city for city in header.cities if city.slug in present),
        hashes=(HASH_STAMP,),
        parent={"version": header.version, "digest": manifest.digest},
    )


# --- fetched again, by the published address or by the one that the provider knows now


def _registered(region: Region) -> MakeProvider:
    def make(name: str) -> Provider | Survey:
        if name == "folder":
            raise UsageError(
                "lies on somebody's disk: where its file is at hand, `t15 rehydrate MANIFEST --root DIR` takes it from there"
            )
        return make_provider(name, Settings(region))

    return make


@dataclass(frozen=True, slots=True)
class _Closed:
    """Why a provider is not asked (any more); `later` when the same command may ask it again."""

    why: str
    later: bool = False

    def outcome(self, photo: Photo) -> Outcome:
        if self.later:
            return Failed(photo, "not-asked", self.why, None)
        return Unusable(photo.photo_id, "unreachable", self.why, photo.city)


@dataclass(slots=True)
class _Providers:
    """The providers of a manifest's photos, made when the first photo of each is asked for, and closed when they fail."""

    make: MakeProvider
    known: dict[str, Provider | Survey | _Closed] = field(default_factory=dict)
    failures: defaultdict[str, Failures] = field(default_factory=lambda: defaultdict(Failures))

    def of(self, photo: Photo) -> Provider | Survey | _Closed:
        """Return the provider of a photo, or why there is none."""
        name = provider_of(photo.photo_id)
        if name not in self.known:
            try:
                self.known[name] = self.make(name)
            except T15Error as error:
                self.known[name] = _Closed(str(error))
        return self.known[name]

    def settle(self, photo: Photo, outcome: Outcome | _Closed) -> Outcome:
        """Return what became of a photo, and ask a provider no more that refuses its key or stopped answering."""
        name = provider_of(photo.photo_id)
        if isinstance(outcome, _Closed):
            self.known[name] = outcome
            return outcome.outcome(photo)
        failures = self.failures[name]
        failures.settle(outcome)
        if isinstance(outcome, Failed) and (failures.is_down() or failures.is_shut(outcome)):
            self.known[name] = _Closed(f"{name} stopped answering ({outcome.reason})", later=True)
        return outcome

    def close(self) -> None:
        """Wake those who wait for a service, which may take minutes."""
        for provider in self.known.values():
            if (http := getattr(provider, "http", None)) is not None:
                http.close()


def refetched(
    photos: Sequence[Photo], make: MakeProvider, workspace: Workspace, limits: Limits
) -> Iterator[tuple[Photo, Outcome]]:
    """Yield each photo of a manifest, in the same order, with what came of it; its bytes are in the store then.

    What is no usable photo has one of the reasons of `collect`, or `changed` (another picture than was published),
    `unreachable` (its provider cannot be asked here), `gone`. A provider that stops answering is asked no more; the others
    are.

    Raises:
        OSError: the store cannot be written to.
    """
    providers = _Providers(make)
    with ThreadPoolExecutor(_WORKERS) as pool:
        try:
            for at in range(0, len(photos), _AT_ONCE):
                batch = photos[at : at + _AT_ONCE]
                begun: list[_Closed | Future[Outcome | _Closed]] = []
                for photo in batch:
                    provider = providers.of(photo)
                    if isinstance(provider, _Closed):
                        begun.append(provider)
                    else:
                        begun.append(pool.submit(_refetch, photo, provider, workspace, limits))
                for photo, one in zip(batch, begun, strict=True):
                    yield photo, providers.settle(photo, one if isinstance(one, _Closed) else one.result())
        except BaseException:
            providers.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _refetch(photo: Photo, provider: Provider | Survey, workspace: Workspace, limits: Limits) -> Outcome | _Closed:
    try:
        outcome = _bring(photo, photo, provider, workspace, limits)
        if isinstance(provider, Renews) and not isinstance(outcome, Photo) and _may_have_moved(outcome):
            renewed = _renewed(photo, outcome, provider)
            if not isinstance(renewed, Photo):
                return renewed
            return _bring(renewed, photo, provider, workspace, limits)
    except LookupError:
        return Unusable(photo.photo_id, "unreachable", f"provider {provider.name} does not have it here", photo.city)
    except T15Error as error:  # a refused key; or a used-up quota, which begins anew
        return _Closed(str(error), later=isinstance(error, IncompleteError))
    return outcome


def _may_have_moved(outcome: Unusable | Failed) -> bool:
    return outcome.reason not in _LAST_WORDS if isinstance(outcome, Unusable) else outcome.reason == "refused"


def _renewed(photo: Photo, outcome: Unusable | Failed, provider: Renews) -> Outcome:
    """Return a photo whose address brought `outcome` with its present address; without one, what became of it."""
    try:
        renewed = provider.renewed(photo)
    except RefusedError:
        return outcome
    except TemporaryError as error:
        return Failed(photo, error.reason, error.detail, error.retry_after)
    if renewed is None:
        stale = outcome.reason in ("forbidden-host", "no-address", "refused")
        gone = Unusable(photo.photo_id, "gone", "the service does not have it any more", photo.city)
        return gone if stale else outcome
    return outcome if renewed.image_url == photo.image_url else renewed


def _bring(
    photo: Photo, published: Photo, provider: Provider | Survey | OwnPhotos, workspace: Workspace, limits: Limits
) -> Outcome:
    def judge(found: Photo) -> None:
        if not same_picture(published, found):
            raise NotUsableError("changed", "another picture came than was published")

    http = getattr(provider, "http", None)
    return download_photo(photo, provider, http, workspace, limits, check=False, judge=judge)
