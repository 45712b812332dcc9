"""What the rest of the house has to know of a provider's photos, by the provider's name: it asks here, never for a name."""

import re
from functools import cache
from importlib import import_module

from collector.providers.registry import PROVIDERS, plugin_providers
from collector.records import ProviderTraits


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


def provider_of(photo_id: str) -> str:
    """Return the name of the provider that a photo's id begins with."""
    return photo_id.partition(":")[0]


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
