"""The providers that `t15 collect` knows, in one visible dict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from collector.errors import UsageError, did_you_mean
from collector.plugins import load_plugins
from collector.providers.base import Provider, Survey
from collector.records import Region


@dataclass(frozen=True, slots=True)
class Settings:
    """What a provider that is no service is made from. What is looked for is said in a Query.

    Attributes:
        region: the cities that are asked for.
        root: the folder of `--root`, None when it was not given.
        licence: of photos whose source does not say.
        options: settings of providers that come from elsewhere.
    """

    region: Region
    root: Path | None = None
    licence: str = "LicenseRef-Unknown"
    options: Mapping[str, str] = field(default_factory=dict)


SERVICES = ("commons", "flickr", "mapillary", "panoramax", "streetview")
"""Providers made from the environment alone: each is a module of this package with `make()` and `TRAITS`."""

PROVIDERS = (*SERVICES, "folder")
"""All that are built in; a plug-in cannot replace one."""

Make = Callable[[Settings], Provider | Survey]


def plugin_providers() -> dict[str, Make]:
    """Return the makers that packages add in the entry-point group `t15.providers`, by name."""
    return {name: make for name, make in load_plugins("t15.providers").items() if name not in PROVIDERS}


def make_provider(name: str, settings: Settings) -> Provider | Survey:
    """Return the provider called `name`.

    Raises:
        UsageError: there is none of that name, or a setting that it needs is missing.
        ServiceError: it needs a key that is not set.
    """
    if name in SERVICES:
        service: Survey = import_module(f"collector.providers.{name}").make()
        return service
    if name == "folder":
        return _folder(settings)
    plugins = plugin_providers()
    if name not in plugins:
        known = sorted({*PROVIDERS, *plugins})
        raise UsageError(
            f"provider {name!r} is unknown{did_you_mean(name, known)}; there are {', '.join(known)}"
            " (photos on your own disk: --provider folder --root DIR)"
        )
    return plugins[name](settings)


def _folder(settings: Settings) -> Provider:
    from collector.providers.folder import FolderProvider

    if settings.root is None:
        raise UsageError("provider folder: say where the photos lie with --root DIR")
    return FolderProvider(settings.root, settings.region, settings.licence)
