"""Published photos fetched again: by their address, or by the one that their provider knows now."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from collector.collecting.download import Failed, Outcome, bring_home
from collector.curating.duplicates import same_picture
from collector.errors import IncompleteError, T15Error
from collector.images.validate import Limits, NotUsableError
from collector.net.client import RefusedError, TemporaryError
from collector.providers.base import Provider, Renews, Survey
from collector.records import Photo, Unusable
from collector.workspace import Workspace

_WORKERS = 8
_AT_ONCE = 32
_DOWN = 20  # so many photos of a provider failing one after the other are a service that is down
_LAST_WORDS = ("noai", "robots")  # the service was reached, and does not want its photo taken

MakeProvider = Callable[[str], Provider | Survey]
"""Returns the provider with a name, or raises a T15Error."""


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
    in_vain: Counter[str] = field(default_factory=Counter)

    def of(self, photo: Photo) -> Provider | Survey | _Closed:
        """Return the provider of a photo, or why there is none."""
        name = _provider_of(photo)
        if name not in self.known:
            try:
                self.known[name] = self.make(name)
            except T15Error as error:
                self.known[name] = _Closed(str(error))
        return self.known[name]

    def settle(self, photo: Photo, outcome: Outcome | _Closed) -> Outcome:
        """Return what became of a photo, and ask a provider no more that refuses its key or stopped answering."""
        name = _provider_of(photo)
        if isinstance(outcome, _Closed):
            self.known[name] = outcome
            return outcome.outcome(photo)
        self.in_vain[name] = self.in_vain[name] + 1 if isinstance(outcome, Failed) else 0
        if self.in_vain[name] >= _DOWN and isinstance(outcome, Failed):
            self.known[name] = _Closed(f"{name} stopped answering ({outcome.reason})", later=True)
        return outcome

    def close(self) -> None:
        """Wake those who wait for a service, which may take minutes."""
        for provider in self.known.values():
            if (http := getattr(provider, "http", None)) is not None:
                http.close()


def _provider_of(photo: Photo) -> str:
    return photo.photo_id.partition(":")[0]


def revived(
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
                chosen = photos[at : at + _AT_ONCE]
                begun: list[_Closed | Future[Outcome | _Closed]] = []
                for photo in chosen:
                    provider = providers.of(photo)
                    if isinstance(provider, _Closed):
                        begun.append(provider)
                    else:
                        begun.append(pool.submit(_revive, photo, provider, workspace, limits))
                for photo, one in zip(chosen, begun, strict=True):
                    yield photo, providers.settle(photo, one if isinstance(one, _Closed) else one.result())
        except BaseException:
            providers.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _revive(photo: Photo, provider: Provider | Survey, workspace: Workspace, limits: Limits) -> Outcome | _Closed:
    try:
        outcome = _bring(photo, photo, provider, workspace, limits)
        if isinstance(outcome, Unusable) and outcome.reason not in _LAST_WORDS and isinstance(provider, Renews):
            renewed = _renewed(photo, outcome, provider)
            if not isinstance(renewed, Photo):
                return renewed
            return _bring(renewed, photo, provider, workspace, limits)
    except LookupError:
        return Unusable(photo.photo_id, "unreachable", f"provider {provider.name} does not have it here", photo.city)
    except T15Error as error:  # a refused key; or a used-up quota, which begins anew
        return _Closed(str(error), later=isinstance(error, IncompleteError))
    return outcome


def _renewed(photo: Photo, outcome: Unusable, provider: Renews) -> Outcome:
    """Return a photo whose address brought `outcome` with its present address; without one, what became of it."""
    try:
        renewed = provider.renewed(photo)
    except RefusedError:
        return outcome
    except TemporaryError as error:
        return Failed(photo, error.reason, error.detail, error.retry_after)
    if renewed is None:
        stale = outcome.reason in ("forbidden-host", "no-address")
        return replace(outcome, reason="gone", detail="the service does not have it any more") if stale else outcome
    return outcome if renewed.image_url == photo.image_url else renewed


def _bring(
    photo: Photo, published: Photo, provider: Provider | Survey, workspace: Workspace, limits: Limits
) -> Outcome:
    def judge(found: Photo) -> None:
        if not same_picture(published, found):
            raise NotUsableError("changed", "another picture came than was published")

    http = getattr(provider, "http", None)
    return bring_home(photo, provider, http, workspace, limits, check=False, judge=judge)
