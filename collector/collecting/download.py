"""One photo's way from its address into the store: fetched, examined, told from a placeholder, moved into place."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote_to_bytes, urlsplit

from collector.collecting.own_photos import OwnPhotos
from collector.errors import ServiceError, UsageError
from collector.images.exif import clean_text
from collector.images.validate import Examined, Limits, NotUsableError, examine
from collector.net.client import Http, NetError, RefusedError
from collector.net.rate_limit import LONGEST_WAIT_S
from collector.providers.base import ImageRequest, Provider, Renews, Survey
from collector.records import Photo, Unusable
from collector.workspace import Workspace, draft_of, store_photo

_FLAT = 0.9
"""Share of pixels of nearly one grey level from which on a picture is a placeholder, where flat ones are. Street View's grey
picture has about 0.97; of the 484 street-level views of streetview_grid the flattest has 0.25 (2026-11-22)."""

_GONE = {404: "gone", 410: "gone", 451: "refused"}

_NEVER = frozenset(
    {
        "bad-request",
        "forbidden-host",
        "foreign-host",
        "gone",
        "no-address",
        "no-id",
        "noai",
        "robots",
        "too-large",
    }
)
"""Reasons of refusals without a status that stay as they are for a photo as it was listed."""

REFUSALS = 5
"""Pictures refused one after the other at one host, none that came between them: the host is shut for now."""

DOWN = 20
"""Pictures of a service that fail one after the other, whatever the reason: it is down."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A photo whose bytes did not come, though they may come later.

    Attributes:
        retry_after: seconds, where the service said.
        is_refusal: the host answered, and did not give the picture.
    """

    photo: Photo
    reason: str
    detail: str
    retry_after: float | None
    is_refusal: bool = False

    @property
    def host(self) -> str:
        """The picture's host."""
        return host_of(self.photo)


def host_of(photo: Photo) -> str:
    """Return the host of a picture's address; empty where that is asked for anew each time."""
    return urlsplit(photo.image_url or "").hostname or ""


@dataclass(slots=True)
class Failures:
    """Counts a service's failures one after the other, and says when to stop asking.

    A refusal is a state of the host, unless pictures come in between: limits, blocks and logins pass. One limit that lasts
    through all tries of a photo is enough, and two refusals that say when to come back.
    """

    in_a_row: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def settle(self, outcome: "Outcome") -> None:
        """Count what became of a photo."""
        if not isinstance(outcome, Failed):
            self.in_a_row = 0
            if isinstance(outcome, Photo):
                self.refused[host_of(outcome)] = 0
            return
        self.in_a_row += 1
        self.refused[outcome.host] += outcome.is_refusal

    def is_down(self) -> bool:
        """Return whether the whole service does not answer."""
        return self.in_a_row >= DOWN

    def is_shut(self, failed: Failed) -> bool:
        """Return whether the host of the last failure gives nothing now."""
        if failed.reason == "rate-limited" or (failed.retry_after or 0) > LONGEST_WAIT_S:
            return True
        return self.refused[failed.host] >= (2 if failed.is_refusal and failed.retry_after else REFUSALS)


Judge = Callable[[Photo], None]

Outcome = Photo | Unusable | Failed
"""What became of a photo: brought home (with sha256), no usable photo, or to be tried again."""


def download_photo(
    photo: Photo,
    provider: Provider | Survey | OwnPhotos,
    http: Http | None,
    workspace: Workspace,
    limits: Limits,
    *,
    check: bool,
    judge: Judge = lambda _: None,
    elsewhere: "Elsewhere | None" = None,
) -> Outcome:
    """Fetch, examine and store one photo; safe to run in several threads.

    With `check` bytes that are in the store already are doubted and written again. `judge` sees the photo with its new
    measures before it is stored, and raises NotUsableError when it is not the one that was wanted. `elsewhere` does what
    `fetched` does, on another machine.

    Raises:
        OSError: the store cannot be written to.
        ServiceError: the service refuses the key.
        UsageError: the address is not one that this provider can be asked for.
    """
    try:
        photo, request = _request(photo, provider)
        if _is_file(request):
            data = _read(_local(request, http), limits)
            return _stored(photo, data, request, workspace, limits, judge, check=check)
        if http is None:
            raise UsageError(f"{request.url[:60]}: a provider without HTTP access has to give file: URLs")
        if elsewhere:
            return elsewhere(photo, request, limits, check)
        return _fetched(photo, request, http, workspace, limits, judge, check=check)
    except NotUsableError as error:
        return Unusable(photo.photo_id, error.reason, f"{_label(photo, request)}: {error.detail}", photo.city)
    except NetError as error:
        return _not_fetched(photo, error)


Elsewhere = Callable[[Photo, ImageRequest, Limits, bool], Outcome]
"""Does what `fetched` does, where its other arguments are at hand."""


def fetched(
    photo: Photo, request: ImageRequest, limits: Limits, check: bool, http: Http, workspace: Workspace
) -> Outcome:
    """Fetch, examine and store a photo whose request is known; as `download_photo` otherwise."""
    try:
        return _fetched(photo, request, http, workspace, limits, lambda _: None, check=check)
    except NotUsableError as error:
        return Unusable(photo.photo_id, error.reason, f"{_label(photo, request)}: {error.detail}", photo.city)
    except NetError as error:
        return _not_fetched(photo, error)


def _request(photo: Photo, provider: Provider | Survey | OwnPhotos) -> tuple[Photo, ImageRequest]:
    """Return where a photo's bytes are; one that was imported without an address is looked for by its id."""
    try:
        return photo, provider.image_request(photo)
    except RefusedError as error:
        renewed = provider.renewed(photo) if error.reason == "no-address" and isinstance(provider, Renews) else None
        if renewed is None:
            raise
        return renewed, provider.image_request(renewed)


def _not_fetched(photo: Photo, error: NetError) -> Unusable | Failed:
    """Return whether a photo is lost, or only not to be had now: lost is what is said to be gone, or forbidden for ever."""
    if isinstance(error, RefusedError):
        lost = error.reason if error.status is None and error.reason in _NEVER else _GONE.get(error.status or 0)
        if lost and error.retry_after is None:
            return Unusable(photo.photo_id, lost, f"{photo.title or photo.photo_id}: {error}", photo.city)
        if error.status is not None:
            return Failed(photo, "refused", str(error), error.retry_after, is_refusal=True)
    return Failed(
        photo, error.reason, error.detail, error.retry_after, error.reason in ("content-type", "rate-limited")
    )


def _fetched(
    photo: Photo, request: ImageRequest, http: Http, workspace: Workspace, limits: Limits, judge: Judge, *, check: bool
) -> Photo:
    """Stream a photo into a draft, and move it into place when it is what was asked for.

    A file without its end is asked for again: only when the same bytes come twice is it the service that has no more.
    """
    draft = draft_of(workspace.photos / hashlib.sha256(photo.photo_id.encode()).hexdigest()[:16])
    draft.parent.mkdir(parents=True, exist_ok=True)
    before: bytes | None = None
    try:
        with draft.open("w+b") as sink:
            while True:
                data = _streamed(request, http, sink, limits)
                try:
                    described = _described(photo, data, request, limits)
                    break
                except NotUsableError as error:
                    if error.reason != "truncated" or data == before:
                        raise
                    before = data
            judge(described)
            place = workspace.photo(str(described.sha256))
            if check or not is_stored(workspace, str(described.sha256), described.bytes):
                place.parent.mkdir(parents=True, exist_ok=True)
                sink.flush()
                os.fsync(sink.fileno())
                draft.replace(place)
        return described
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _streamed(request: ImageRequest, http: Http, sink: BinaryIO, limits: Limits) -> bytes:
    try:
        answer = http.fetch(request.url, sink, max_bytes=limits.max_bytes, robots=request.robots)
    except RefusedError as error:
        if error.status in (401, 403) and any(secret in request.url for secret in http.access.secrets):
            # It is not this photo that is refused: any other would be too.
            raise ServiceError(
                f"the key is not accepted for pictures ({error}); look at its restrictions and its billing, then run the "
                "same command again"
            ) from error
        raise
    if request.placeholder_in_url and request.placeholder_in_url in answer.url:
        raise NotUsableError("placeholder", "the service sent a picture that says there is none")
    sink.seek(0)
    return sink.read()


def _stored(
    photo: Photo, data: bytes, request: ImageRequest, workspace: Workspace, limits: Limits, judge: Judge, *, check: bool
) -> Photo:
    described = _described(photo, data, request, limits)
    judge(described)
    if check or not is_stored(workspace, str(described.sha256), described.bytes):
        store_photo(workspace, str(described.sha256), data)
    return described


def _described(photo: Photo, data: bytes, request: ImageRequest, limits: Limits) -> Photo:
    """Return the photo with what its bytes tell.

    Raises:
        NotUsableError: they are no usable photo, a placeholder, or a picture of another size than was asked for.
    """
    examined: Examined = examine(data, limits)
    if request.flat_is_placeholder and examined.flat >= _FLAT:
        raise NotUsableError("placeholder", f"{examined.flat:.0%} of it is of one colour")
    if request.width is not None and examined.width != request.width:
        raise NotUsableError("wrong-size", f"{examined.width} pixels wide, asked for were {request.width}")
    return replace(
        photo,
        sha256=examined.sha256,
        bytes=examined.bytes,
        width=examined.width,
        height=examined.height,
        phash=examined.hashes.phash,
        dhash=examined.hashes.dhash,
    )


def is_stored(workspace: Workspace, sha256: str, size: int | None) -> bool:
    """Return whether the store has a file of this name and size."""
    with suppress(FileNotFoundError):
        return workspace.photo(sha256).stat().st_size == size
    return False


def is_whole(workspace: Workspace, sha256: str) -> bool:
    """Return whether the store has these very bytes; reads them."""
    path = workspace.photo(sha256)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _is_file(request: ImageRequest) -> bool:
    return request.url[:5].lower() == "file:"


def _local(request: ImageRequest, http: Http | None) -> Path:
    if http is not None:  # a service's addresses are foreign, and may come with a foreign manifest
        raise RefusedError("forbidden-host", "the address is a file of this machine")
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(request.url).path)))  # a file name need not be valid UTF-8


def _read(path: Path, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.max_bytes:
            raise NotUsableError("too-large", f"{size} bytes, accepted are {limits.max_bytes}")
        return path.read_bytes()
    except OSError as error:
        raise NotUsableError("unreadable", error.strerror or "cannot be read") from error


def _label(photo: Photo, request: ImageRequest) -> str:
    """Return what a person would call the photo: a file's name, or its title."""
    if _is_file(request):
        return clean_text(unquote_to_bytes(request.url.rpartition("/")[2])) or photo.photo_id
    return photo.title or photo.photo_id
