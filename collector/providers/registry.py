"""The providers that `t15 collect` knows, in one visible dict, and what the rest of the house has to know of their photos.

The traits are asked for here by the name that a photo's id begins with; nobody else asks for a provider's name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

from collector.errors import UsageError, did_you_mean
from collector.plugins import load_plugins
from collector.providers.base import Provider, Survey
from collector.records import ProviderTraits, Region, provider_of


@dataclass(frozen=True, slots=True)
class Settings:
    """What a provider that is no service is made from. What is looked for is said in a Query.

    Attributes:
        region: the cities that are asked for.
        root: the folder of `--root`, None when it was not given.
        licence: of photos whose source does not say.
        table: file of `--table`, None when it was not given.
        columns: what its columns are, as `photo_table.NAMES`; the others are guessed.
        options: settings of providers that come from elsewhere.
    """

    region: Region
    root: Path | None = None
    licence: str = "LicenseRef-Unknown"
    table: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
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
    if name in PROVIDERS[:-1] and settings.root is not None:
        raise UsageError(f"--root: is a folder of your own, and --provider {name} a service; choose one of the two")
    if settings.table is not None and settings.root is None:
        raise UsageError("--table: tells of the photos of a folder; say which with --root DIR")
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
    from collector.manifest.photo_table import read_photo_table
    from collector.providers.folder import FolderProvider

    if settings.root is None:
        raise UsageError("provider folder: say where the photos lie with --root DIR")
    table = read_photo_table(settings.table, settings.columns) if settings.table else None
    return FolderProvider(settings.root, settings.region, settings.licence, table)


@cache
def traits_of(name: str) -> ProviderTraits:
    """Return the traits of a provider: its module's TRAITS, or what a plug-in's maker carries as `traits`.

    Of a provider that is not installed here nothing is known: the defaults of ProviderTraits.

    Raises:
        UsageError: a plug-in cannot be loaded.
    """
    if name in PROVIDERS:
        traits: ProviderTraits = import_module(f"collector.providers.{name}").TRAITS
        return traits
    found = getattr(plugin_providers().get(name), "traits", None)
    return found if isinstance(found, ProviderTraits) else ProviderTraits()


def panorama_of(photo_id: str) -> str | None:
    """Return what all views of one panorama share, `provider:panorama`; None for other photos."""
    provider = provider_of(photo_id)
    pattern = traits_of(provider).panorama
    match = re.match(pattern, photo_id) if pattern else None
    return f"{provider}:{match[1]}" if match else None


def author_of(photo_id: str, author_id: str | None) -> str:
    """Return what photos of one hand share, for spreading and for counting.

    A service that takes its own pictures is no photographer: there it is the panorama. Photos of unknown authors share
    nothing.
    """
    if traits_of(provider_of(photo_id)).author_is_service:
        return panorama_of(photo_id) or photo_id
    return author_id or photo_id
