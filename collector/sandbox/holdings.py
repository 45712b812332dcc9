"""What the sandbox's services hold, as records: every thing, what can be collected of it, and what is a copy of what."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, radians
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.geo import EARTH_RADIUS_KM
from collector.records import City
from collector.sandbox.panoramas import Panoramas
from collector.sandbox.scenes import Scene

FLICKR_KINDS = (
    "video",  # comes although photos are asked for
    "screenshot",  # comes when `content_types` is not asked for
    "no-location",  # latitude, longitude and accuracy are 0
    "elsewhere",  # found in the city's box, but the row says another city
    "outside-city",  # in a corner of the city's box, farther from the centre than its radius
    "low-accuracy",  # known to the region only
    "unavailable",  # listed, but the picture's address leads to photo_unavailable.png
    "gone",  # listed, but the picture answers 404
    "noai",  # the picture comes with X-Robots-Tag: noai
    "corrupt",  # the file itself is cut off, at its full Content-Length
)
"""What Flickr holds that cannot be collected, and why."""

COMMONS_KINDS = (
    "video",
    "map",  # SVG
    "scan",  # TIFF
    "document",  # PDF
    "old-map",  # a JPEG, told by its category alone
    "no-licence",  # says nothing of one
    "outside-city",
    "deleted",  # still in the geographical index, but the page is missing
    "gone",  # has a page, but the picture answers 404
)
"""What Commons holds that cannot be collected, and why."""

SERVICES = ("commons", "flickr", "streetview")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that Flickr or Commons holds.

    Attributes:
        number: its id there.
        scene: what it shows and what its author tells about it; the place is the one that the service gives.
        city: slug of the city in whose box it is found.
        indexed: latitude and longitude by which it is found; the scene's own but for a stale index.
        kind: `photo`, or why it cannot be collected.
        size: width and height of the original as displayed, pixels.
        uploaded: seconds since 1970 UTC.
        altered: it is a smaller, worse copy of the scene's picture.
        original: number of the photo at Flickr whose large size this is, byte for byte; None as a rule.
        moved: its files lie at other addresses than at first: Flickr gave it another secret, Commons another name.
        repacked: its service compressed its files again (see `Prints`).
    """

    number: int
    scene: Scene
    city: str
    indexed: tuple[float, float]
    kind: str
    size: tuple[int, int]
    uploaded: int
    altered: bool = False
    original: int | None = None
    moved: bool = False
    repacked: bool = False


@dataclass(frozen=True)
class Listing:
    """All that a service holds, by time of upload.

    Attributes:
        items: the oldest upload first.
        latitude, longitude, uploaded, kind: of the items, as indexed; degrees and seconds since 1970, shape (N,).
        by_number: items by their ids.
    """

    items: Sequence[Item] = field(repr=False)
    latitude: NDArray[np.float64] = field(init=False, repr=False, compare=False)
    longitude: NDArray[np.float64] = field(init=False, repr=False, compare=False)
    uploaded: NDArray[np.int64] = field(init=False, repr=False, compare=False)
    kind: NDArray[np.str_] = field(init=False, repr=False, compare=False)
    by_number: Mapping[int, Item] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        items = sorted(self.items, key=lambda item: (item.uploaded, item.number))
        for name, value in (
            ("items", tuple(items)),
            ("latitude", np.array([item.indexed[0] for item in items], dtype=np.float64)),
            ("longitude", np.array([item.indexed[1] for item in items], dtype=np.float64)),
            ("uploaded", np.array([item.uploaded for item in items], dtype=np.int64)),
            ("kind", np.array([item.kind for item in items], dtype=np.str_)),
            ("by_number", {item.number: item for item in items}),
        ):
            object.__setattr__(self, name, value)


class Truth(NamedTuple):
    """What can be collected of a city at a service.

    Attributes:
        collectable: ids such as `flickr:50000000003`. Street View's photos are called by their panorama and a heading:
            `streetview:<panorama>@90` is collectable when `streetview:<panorama>` is.
        others: id -> why it is not; the kinds in FLICKR_KINDS, COMMONS_KINDS and panoramas.KINDS.
    """

    collectable: frozenset[str]
    others: Mapping[str, str]


@dataclass(frozen=True)
class Holdings:
    """What the services hold, and the truth about it.

    Attributes:
        seed: that it was dealt with.
        cities: the cities, in the order of `scenes.CITIES`.
        flickr, commons: photos and other things.
        panoramas: Street View's.
        copies: id -> id of the photo that it is a copy of.
        identical: those copies that are equal byte for byte, as long as Flickr's large size is compared.
        misplaced: those copies that their service places in another city.
    """

    seed: int
    cities: tuple[City, ...]
    flickr: Listing
    commons: Listing
    panoramas: Panoramas
    copies: Mapping[str, str]
    identical: frozenset[str]
    misplaced: frozenset[str]

    def what(self, service: str, city: str) -> Truth:
        """Return what can be collected of a city (its slug) at a service (a name in SERVICES), and what cannot."""
        if service == "streetview":
            told = {f"streetview:{pano}": kind for pano, kind in self.panoramas.of_city(city)}
        else:
            listing = self.flickr if service == "flickr" else self.commons
            told = {f"{service}:{item.number}": item.kind for item in listing.items if item.city == city}
        return Truth(
            frozenset(id_ for id_, kind in told.items() if kind == "photo"),
            {id_: kind for id_, kind in told.items() if kind != "photo"},
        )


def chance(*facts: object) -> float:
    """Return a number from 0 up to 1 that depends on the facts alone, on any machine."""
    digest = hashlib.blake2b("/".join(map(str, facts)).encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def token(length: int, *facts: object) -> str:
    """Return `length` hexadecimal digits, 64 at most, that depend on the facts alone."""
    return hashlib.blake2b("/".join(map(str, facts)).encode(), digest_size=32).hexdigest()[:length]


def largest_open(size: tuple[int, int]) -> int:
    """Return the longer side, pixels, of the largest picture that Flickr gives to everybody of an original of this size."""
    return 1024 if max(size) >= 1024 else 800


def fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return the size of a picture reduced so that its longer side has `longest` pixels; a smaller one as it is."""
    factor = min(1.0, longest / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def distance_m(
    latitude: float, longitude: float, latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the great-circle distances from a point to others in metres, shape (N,), by the haversine formula."""
    phi, others = radians(latitude), np.radians(latitudes)
    half = (
        np.sin((others - phi) / 2) ** 2
        + cos(phi) * np.cos(others) * np.sin(np.radians(longitudes - longitude) / 2) ** 2
    )
    metres: NDArray[np.float64] = 2000 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(1.0, half)))
    return metres
