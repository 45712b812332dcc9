"""What a provider is: a source of photos, described first and fetched second."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from collector.records import City, Photo, Unusable


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for in a city.

    `limit` is the largest number of photos to list, None for all.
    """

    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """Where a photo's bytes are: a `file:` URL, or one to fetch over HTTP."""

    url: str


class Provider(Protocol):
    """A source of photos. `name` is the first part of its photo ids."""

    name: str

    def search(self, city: City, query: Query) -> Iterator[Photo | Unusable]:
        """Yield every photo of the city once, in an order that repeats, and what is there but cannot be used."""
        ...

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return where the bytes of a photo that `search` yielded are."""
        ...


@runtime_checkable
class FindsUnplaced(Protocol):
    """A provider that also meets things that belong to no city, and accounts for them."""

    def unplaced(self) -> Iterator[Unusable]:
        """Yield what belongs to no city of the region, each with its reason."""
        ...
