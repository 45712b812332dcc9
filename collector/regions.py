"""Where the cities are: the provinces of Türkiye, regions of one's own, and how a city is found by name or by place."""

import os.path
from functools import cache
from pathlib import Path

from collector.errors import DataError, UsageError, did_you_mean
from collector.geo import distance_km
from collector.records import City, Region
from collector.region_file import city_names, fold, parse_cities, read_region, read_toml, slugify

__all__ = ["find_city", "fold", "nearest_city", "region", "regions", "slugify"]

_ALL = "turkiye81"
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
