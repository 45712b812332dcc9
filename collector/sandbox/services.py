"""What the sandbox's services hold: every scene of the imaginary world lies at one of them at least.

About half of the scenes lie at Commons, 35 % at Flickr, the rest at Street View. Of those at the first two, a twentieth lies
at both as the same bytes (Flickr's large size was carried over to Commons), another as a smaller, worse copy that somebody
else put online, and one in a hundred as such a copy under another city's place. Beside them lies what is no photo of the
city, of every kind in FLICKR_KINDS and COMMONS_KINDS. All of it is told, so that tests know the truth.

What lies where depends on the seed, the city and the scene's index alone: a larger draw begins with the smaller one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import cos, pi, radians, sin

from collector.errors import UsageError
from collector.geo import KM_PER_DEGREE
from collector.records import City
from collector.sandbox.holdings import (
    COMMONS_KINDS,
    FLICKR_KINDS,
    SERVICES,
    Holdings,
    Item,
    Listing,
    Truth,
    chance,
    fitted,
    largest_open,
)
from collector.sandbox.panoramas import Panoramas
from collector.sandbox.scenes import CITIES, Scene, plan, scenes_of

__all__ = ["COMMONS_KINDS", "FLICKR_KINDS", "SERVICES", "SHARES", "Holdings", "Item", "Truth", "deal"]

SHARES: Mapping[str, float] = {"commons": 0.5, "flickr": 0.35, "streetview": 0.15}
"""Which part of the scenes lies where."""

_SPARE_WALK = 2_000_000  # walks that no draw reaches; faults.py uses those from 1,000,000 on
# Flickr's ids have eleven digits. Commons' numbers are as large as those of 2026.
_FIRST_NUMBER = {"flickr": 50_000_000_000, "commons": 100_000_000}
_OF_CITY = 10_000_000


def deal(seed: int = 0, cities: int = 8, photos_per_city: int = 150, shares: Mapping[str, float] = SHARES) -> Holdings:
    """Deal the scenes of `scenes.plan` out to the services.

    Args:
        seed, cities, photos_per_city: as for `plan`. 20,000 photos take about a second; no picture is drawn.
        shares: service -> part of the scenes, in sum 1; a service that is not named gets none.

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
    cities = [city.slug for city in CITIES]
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
