"""The providers that `t15 collect` knows, in one visible dict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.errors import UsageError, did_you_mean
from collector.plugins import load_plugins
from collector.providers.base import Provider, Survey
from collector.providers.folder import FolderProvider
from collector.records import Region


@dataclass(frozen=True, slots=True)
class Settings:
    """What a provider is made from; each takes what concerns it.

    Attributes:
        region: the cities that are asked for.
        root: the folder of `--root`, None when it was not given.
        licence: of photos whose source does not say.
        geo_accuracy: as in Query.
        options: settings of providers that come from elsewhere.
    """

    region: Region
    root: Path | None = None
    licence: str = "LicenseRef-Unknown"
    geo_accuracy: int = 11
    options: Mapping[str, str] = field(default_factory=dict)


def _folder(settings: Settings) -> Provider:
    if settings.root is None:
        raise UsageError("provider folder: say where the photos lie with --root DIR")
    return FolderProvider(settings.root, settings.region, settings.licence)


def _commons(settings: Settings) -> Survey:
    from collector.providers import commons

    return commons.make(settings.region)


def _flickr(settings: Settings) -> Survey:
    from collector.providers import flickr

    return flickr.make(settings.region, settings.geo_accuracy)


def _mapillary(settings: Settings) -> Survey:
    from collector.providers import mapillary

    return mapillary.make(settings.region)


def _panoramax(settings: Settings) -> Survey:
    from collector.providers import panoramax

    return panoramax.make(settings.region)


def _streetview(settings: Settings) -> Survey:
    from collector.providers import streetview

    return streetview.make(settings.region)


PROVIDERS: dict[str, Callable[[Settings], Provider | Survey]] = {
    "commons": _commons,
    "flickr": _flickr,
    "folder": _folder,
    "mapillary": _mapillary,
    "panoramax": _panoramax,
    "streetview": _streetview,
}


def providers() -> dict[str, Callable[[Settings], Provider | Survey]]:
    """Return all providers by name: the built-in ones, and those that packages add in the group `t15.providers`."""
    return {**load_plugins("t15.providers"), **PROVIDERS}


def make_provider(name: str, settings: Settings) -> Provider | Survey:
    """Return the provider called `name`.

    Raises:
        UsageError: there is none of that name, or a setting that it needs is missing.
        ServiceError: it needs a key that is not set.
    """
    known = providers()
    if name not in known:
        raise UsageError(
            f"provider {name!r} is unknown{did_you_mean(name, known)}; there are {', '.join(sorted(known))}"
            " (photos on your own disk: --provider folder --root DIR)"
        )
    return known[name](settings)
