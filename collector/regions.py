"""Where the cities are: the provinces of Türkiye, regions of one's own, and how a city is found by name or by place."""

import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from collector.errors import DataError, UsageError, did_you_mean
from collector.geo import distance_km, distances_km
from collector.records import City, Region
from collector.region_file import city_names, fold, parse_cities, read_region, read_toml, slugify

__all__ = ["Misplaced", "find_city", "fold", "misplaced", "nearest_city", "region", "regions", "slugify"]

_ALL = "turkiye81"
_ROUNDING_KM = 1e-6  # a millimetre: what is on a border is within
_HOW_TO_WRITE_ONE = (
    'a region of your own is a TOML file, given by its path: name = "my-region", then for each city a [[city]] table '
    "with name, latitude, longitude and radius_km (optional: slug, code, plate, centre, aliases)"
)


@cache
def _built_in() -> dict[str, Region]:
    path = Path(__file__).with_name("cities.toml")
    document = read_toml(path)
    by_slug = {city.slug: city for city in parse_cities(document["city"], path.name)}
    return {
        name: Region(
            name, entry["title"], tuple(by_slug[slug] for slug in entry.get("cities", by_slug)), entry.get("note", "")
        )
        for name, entry in document["region"].items()
    }


def regions() -> tuple[str, ...]:
    """Return the names of the built-in regions."""
    return tuple(_built_in())


def region(name_or_path: str) -> Region:
    """Return a built-in region by name, or the region in the user's TOML file at this path.

    What ends with `.toml` or holds a slash is a path; so is, after the built-in names, whatever exists as a file.
    A file holds `name`, optionally `title` and `note`, and for each city a `[[city]]` table with `name`, `latitude` and
    `longitude` (degrees WGS84), `radius_km` (above 0, at most 500), optionally `slug` (else it follows from the name),
    `code`, `plate`, `centre` and `aliases`.

    Raises:
        UsageError: no such region, or no such file.
        DataError: the file is wrong; the message names the city and the field.
    """
    if not name_or_path.endswith(".toml") and os.path.basename(name_or_path) == name_or_path:
        for name, built_in in _built_in().items():
            if fold(name) == fold(name_or_path):
                return built_in
        if not os.path.exists(name_or_path):
            raise UsageError(
                f"region {name_or_path!r} is unknown{did_you_mean(name_or_path, regions())}; "
                f"built in are {', '.join(regions())}; {_HOW_TO_WRITE_ONE}"
            )
    own = read_region(Path(name_or_path))
    if own.name in regions():
        raise DataError(f"{name_or_path}: name {own.name!r} is that of a built-in region; choose another")
    return own


def find_city(region: Region, name: str) -> City:
    """Return the city that `name` means: its slug, name, alias, centre, ISO 3166-2 code or Turkish plate number.

    Spelling is compared by `fold`, so `NEVSEHIR`, `nevşehir`, `TR-50`, `tr50` and `50` are one city.

    Raises:
        UsageError: the region has no such city, or a code that several of its cities share.
    """
    found = _matches(region, name)
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name!r} is in {region.name} {' and '.join(city.slug for city in found)}: use one of these")
    for city in _matches(_built_in()[_ALL], name):
        raise UsageError(f"{city.name} is not in {region.name}; it is in {_ALL}: add --region {_ALL}")
    known = [slugify(spelling) or spelling for city in region.cities for _, spelling in city_names(city)]
    listed = f"; its cities: {', '.join(city.slug for city in region.cities)}" if len(region.cities) <= 20 else ""
    raise UsageError(f"city {name!r} is not in {region.name}{did_you_mean(slugify(name) or name, known)}{listed}")


def _matches(region: Region, name: str) -> list[City]:
    key = fold(name)
    if named := [city for city in region.cities if any(fold(spelling) == key for _, spelling in city_names(city))]:
        return named
    if key.isdecimal() and len(key) <= 3:
        return [city for city in region.cities if city.plate == int(key)]
    return [city for city in region.cities if city.code and fold(city.code) == key]


def nearest_city(region: Region, latitude: float, longitude: float) -> City | None:
    """Return the city whose centre is nearest to the point, among those whose radius holds it; None when none does.

    Args:
        region: the cities to choose from; of two at the same distance the first is taken.
        latitude: degrees WGS84; not a number gives None.
        longitude: degrees WGS84; not a number gives None.
    """
    distances = ((distance_km(latitude, longitude, city.latitude, city.longitude), city) for city in region.cities)
    within = [(distance, city) for distance, city in distances if distance <= city.radius_km]
    return min(within, key=lambda pair: pair[0])[1] if within else None


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A place that is not one of the city it is labelled with.

    Attributes:
        row: its position among the places.
        city: the label.
        km: from the centre of that city.
        nearer: another city whose radius holds it and whose centre is nearer; None when it is outside of its own city.
    """

    row: int
    city: City
    km: float
    nearer: City | None


def misplaced(
    cities: Sequence[City], labels: Sequence[str], latitude: ArrayLike, longitude: ArrayLike, *, nearest: bool = True
) -> list[Misplaced]:
    """Return the places outside of their city's radius and, with `nearest`, those nearer to another city, in their order.

    Args:
        cities: with different slugs.
        labels: (N,) the slug of each place; one that is no city's is passed over.
        latitude, longitude: (N,) degrees WGS84; NaN where a place is not known: then it is in no wrong place.
        nearest: of cities whose circles overlap, a place belongs to the one whose centre is nearest.
    """
    places = np.column_stack([np.asarray(degrees, np.float64) for degrees in (latitude, longitude)])
    number = {city.slug: index for index, city in enumerate(cities)}
    label = np.array([number.get(slug, -1) for slug in labels], dtype=np.int64)
    known = np.flatnonzero((label >= 0) & np.isfinite(places).all(axis=1))
    if not len(known):
        return []
    facts = np.array([(city.latitude, city.longitude, city.radius_km) for city in cities])
    own = facts[label[known]]
    km = distances_km(places[known, 0], places[known, 1], own[:, 0], own[:, 1])
    outside = km > own[:, 2] + _ROUNDING_KM
    best, nearer = km - _ROUNDING_KM, np.full(len(known), -1)
    for index, (lat, lon, radius) in enumerate(facts if nearest else ()):
        distance = distances_km(places[known, 0], places[known, 1], lat, lon)
        better = (distance <= radius) & (distance < best)
        best[better], nearer[better] = distance[better], index
    wrong = np.flatnonzero(outside | (nearer >= 0))
    return [
        Misplaced(
            int(known[at]),
            cities[label[known[at]]],
            float(km[at]),
            None if outside[at] else cities[int(nearer[at])],
        )
        for at in wrong
    ]
