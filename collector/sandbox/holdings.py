"""What the sandbox's services hold, and how scenes are dealt out to them; the truth is told, so that tests know it.

About half of the scenes lie at Commons, 35 % at Flickr, the rest at Street View. Of those at the first two, a twentieth lies
at both as the same bytes (Flickr's large size was carried over to Commons), another as a smaller, worse copy that somebody
else put online, and one in a hundred as such a copy under another city's place. Beside them lies what is no photo of the
city, of every kind in FLICKR_KINDS and COMMONS_KINDS.

What lies where depends on the seed, the city and the scene's index alone: a larger draw begins with the smaller one.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import cos, pi, radians, sin
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.errors import UsageError
from collector.geo import KM_PER_DEGREE
from collector.records import City
from collector.sandbox.scenes import ALL_CITIES, CITIES, Scene, plan, scenes_of
from collector.sandbox.streetview_api import Panoramas

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
        cities: the cities, in the order of `scenes.CITIES`; without the land's shires.
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


SHARES: Mapping[str, float] = {"commons": 0.5, "flickr": 0.35, "streetview": 0.15}
"""Which part of the scenes lies where."""

_SPARE_WALK = 2_000_000  # walks that no draw reaches; faults.py uses those from 1,000,000 on
# Flickr's ids have eleven digits. Commons' numbers are as large as those of 2026.
_FIRST_NUMBER = {"flickr": 50_000_000_000, "commons": 100_000_000}
_OF_CITY = 10_000_000


def deal(
    seed: int = 0, cities: int = 8, photos_per_city: int = 150, shares: Mapping[str, float] = SHARES, land: int = 0
) -> Holdings:
    """Deal the scenes of `scenes.plan` out to the services.

    Args:
        seed, cities, photos_per_city: as for `plan`. 20,000 photos take about a second; no picture is drawn.
        shares: service -> part of the scenes, in sum 1; a service that is not named gets none.
        land: photos of each shire of the imaginary land; they lie at Commons, whatever the shares, with nothing beside them.

    Raises:
        UsageError: a number is outside its range, or a service is unknown.
    """
    if set(shares) - set(SERVICES) or not any(shares.values()):
        raise UsageError(
            f"sandbox: scenes can be dealt to {', '.join(SERVICES)}, not to {', '.join(shares) or 'nobody'}"
        )
    table = _Table(shares, cities)
    for scene in plan(seed, cities, photos_per_city):
        table.put(scene)
    for city in range(cities):
        for service, kinds in (("flickr", FLICKR_KINDS), ("commons", COMMONS_KINDS)):
            if service in shares:
                table.held[service] += _others(service, kinds, seed, city, int(photos_per_city * shares[service]) // 8)
    for shire in range(len(CITIES), len(ALL_CITIES)) if land else ():
        table.held["commons"] += [_photo("commons", scene) for scene in islice(scenes_of(seed, shire), land)]
    return Holdings(
        seed,
        CITIES[:cities],
        Listing(table.held["flickr"]),
        Listing(table.held["commons"]),
        Panoramas(seed, CITIES[:cities] if "streetview" in shares else (), tuple(table.from_the_car)),
        table.copies,
        frozenset(table.identical),
        frozenset(table.misplaced),
    )


class _Table:
    """Where the scenes are dealt out."""

    def __init__(self, shares: Mapping[str, float], cities: int) -> None:
        self.shares, self.cities = shares, cities
        self.held: dict[str, list[Item]] = {"flickr": [], "commons": []}
        self.from_the_car: list[Scene] = []
        self.copies: dict[str, str] = {}
        self.identical: set[str] = set()
        self.misplaced: set[str] = set()

    def put(self, scene: Scene) -> None:
        """Give a scene to its service, and its copies to the other one."""
        service = _service_of(scene, self.shares)
        if service == "streetview":
            self.from_the_car.append(scene)
            return
        copied = "flickr" in self.shares and "commons" in self.shares
        if copied and scene.index % 20 == 4:
            service = "flickr"
        item = _photo(service, scene)
        self.held[service].append(item)
        for copy, where in _copies(item, service, scene, self.cities) if copied else ():
            self.held[where].append(copy)
            id_ = f"{where}:{copy.number}"
            self.copies[id_] = f"{service}:{item.number}"
            if copy.original is not None:
                self.identical.add(id_)
            if copy.city != scene.city:
                self.misplaced.add(id_)


def _service_of(scene: Scene, shares: Mapping[str, float]) -> str:
    drawn = chance("service", scene.scene_id, scene.seed)
    for service in SERVICES:
        drawn -= shares.get(service, 0.0)
        if drawn < 0:
            return service
    return next(service for service in SERVICES if shares.get(service))  # the shares' sum is a hair below 1


def _number(service: str, scene: Scene, part: int) -> int:
    """Return an id: `part` is 0 for the scenes' own photos, 1 for copies, 2 for what is no photo of the city."""
    cities = [city.slug for city in ALL_CITIES]
    return _FIRST_NUMBER[service] + (cities.index(scene.city) * 3 + part) * _OF_CITY + scene.index


def _photo(service: str, scene: Scene, part: int = 0, kind: str = "photo") -> Item:
    return Item(
        number=_number(service, scene, part),
        scene=scene,
        city=scene.city,
        indexed=(scene.latitude, scene.longitude),
        kind=kind,
        size=_grown(scene.size, _factor(service, scene)),
        uploaded=_uploaded(scene),
    )


def _factor(service: str, scene: Scene) -> int:
    """Return how many times larger than drawn the original is: 768 to 1,536 pixels wide, at Commons now and then 256."""
    if service == "flickr":
        return 3 if scene.index % 5 == 2 else 4
    return {1: 6, 6: 1}.get(scene.index % 10, 4)


def _grown(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return round(size[0] * factor), round(size[1] * factor)


def _uploaded(scene: Scene) -> int:
    """Return when a photo was put online: hours to months after it was taken, those of one walk at once."""
    walk = (scene.author_id, scene.taken_at.date())
    delay = 3600 * 3 + 200 * 86_400 * chance("delay", *walk) ** 3
    return int(scene.taken_at.timestamp() + delay) // 60 * 60 + scene.index % 60


def _copies(item: Item, service: str, scene: Scene, cities: int) -> Iterator[tuple[Item, str]]:
    """Yield the copies of a photo, each with the service where it lies."""
    elsewhere = "commons" if service == "flickr" else "flickr"
    if scene.index % 20 == 4:
        # Whoever carries a photo from Flickr to Commons takes the largest open size, and tells what Flickr tells.
        copy = replace(scene, orientation=1)
        yield (
            replace(
                _photo("commons", copy, part=1),
                size=fitted(item.size, largest_open(item.size)),
                uploaded=item.uploaded + 86_400 * 30,
                original=item.number,
            ),
            "commons",
        )
    if scene.index % 20 == 14 or (scene.index % 100 == 57 and cities > 1):
        poster = replace(scene, author_id="sandbox:reposter", author_name="Reposter", title="my photo", orientation=1)
        copy_item = replace(_photo(elsewhere, poster, part=1), altered=True, uploaded=item.uploaded + 86_400 * 90)
        copy_item = replace(copy_item, size=_grown(_grown(scene.size, 0.8), 4))
        if scene.index % 100 == 57:
            here = [city.slug for city in CITIES].index(scene.city)
            copy_item = _moved(copy_item, CITIES[(here + 1) % cities], 1.0, 0.0)
        yield copy_item, elsewhere


def _moved(item: Item, city: City, km: float, bearing: float) -> Item:
    """Return a thing that both its service's index and its page place `km` from a city's centre."""
    place = _destination(city, km, bearing)
    scene = replace(item.scene, latitude=place[0], longitude=place[1])
    return replace(item, scene=scene, city=city.slug, indexed=place)


def _destination(city: City, km: float, bearing: float) -> tuple[float, float]:
    """Return latitude and longitude `km` from a city's centre, on a plane that touches the Earth there; north is 0."""
    north, east = km * cos(bearing), km * sin(bearing)
    longitude = city.longitude + east / KM_PER_DEGREE / cos(radians(city.latitude))
    return round(city.latitude + north / KM_PER_DEGREE, 6), round(longitude, 6)


def _others(service: str, kinds: Sequence[str], seed: int, city: int, count: int) -> Iterator[Item]:
    """Yield what is no photo of the city: one of every kind, and more of them where there are many photos."""
    spare = islice(scenes_of(seed, city, first_walk=_SPARE_WALK), max(count, len(kinds)))
    for scene in spare:
        kind = kinds[scene.index % len(kinds)]
        item = _photo(service, scene, part=2, kind=kind)
        here = CITIES[city]
        if kind == "outside-city":
            # The box around a circle of radius 1 has its corners at 1.41.
            corner = pi / 4 + pi / 2 * (scene.index // len(kinds) % 4)
            yield _moved(item, here, here.radius_km * (1.1 + 0.25 * chance("corner", scene.seed)), corner)
        elif kind == "elsewhere":
            there = CITIES[(city + 1) % len(CITIES)]
            yield replace(item, scene=replace(scene, latitude=there.latitude, longitude=there.longitude))
        elif kind == "no-location":
            yield replace(item, scene=replace(scene, latitude=0.0, longitude=0.0))
        else:
            yield item
