"""Where the cities are: the provinces of Türkiye, regions of one's own, and how a city is found by name or by place.

A region file is TOML, read by the models below: what they do not accept is said in one line that names the file, the city,
the district and the field.
"""

import os.path
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from collector.errors import DataError, UsageError, did_you_mean
from collector.geo import KM_PER_DEGREE, distance_km, distances_km
from collector.records import City, Label, Region

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "Misplaced",
    "find_city",
    "fold",
    "misplaced",
    "nearest_city",
    "own_name",
    "plain_name",
    "region",
    "regions",
    "slugify",
    "slugs_by_name",
    "words",
]

_ALL = "turkiye81"
_ROUNDING_KM = 1e-6  # a millimetre: what is on a border is within
_HOW_TO_WRITE_ONE = (
    'a region of your own is a TOML file, given by its path: name = "my-region", then for each city a [[city]] table '
    "with name, latitude, longitude and radius_km (optional: slug, code, plate, centre, aliases, country, names, and "
    "[[city.district]] tables)"
)
_LARGEST_FILE = 10_000_000  # bytes; guards against /dev/zero and mistaken downloads, and a pipe may still be read
MOST_CITIES, MOST_LABELS = 10_000, 20_000
"""Cities of a region, and labels beside them, at most."""

_LONGEST_NAME = 100

# A region's name or a city's slug: safe as a file name, as an option's value and in a URL.
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_CODE = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_APOSTROPHES = re.compile("['`´‘’‛′ʹʻʼʽʾʿ＇]")
# Letters that Unicode does not decompose, so that taking the diacritics off does not reach them.
_PLAIN_LETTERS = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th"}
)


# --- names


class _Without(dict[int, int | None]):
    """A table for `str.translate` that leaves characters out; filled as they come, since asking about each takes longer."""

    def __init__(self, left_out: Callable[[str], object]) -> None:
        super().__init__()
        self._left_out = left_out

    def __missing__(self, code: int) -> int | None:
        self[code] = None if self._left_out(chr(code)) else code
        return self[code]


_WITHOUT_MARKS = _Without(unicodedata.combining)
_LETTERS_AND_DIGITS = _Without(lambda character: unicodedata.category(character)[0] not in "LNM")


def _plain(name: str) -> str:
    """Return `name` without case, diacritics and apostrophes; İ, I, ı and i all become i."""
    text = _APOSTROPHES.sub("", name)
    if text.isascii():  # nothing to take apart
        return text.lower()
    # Case folding can give letters that decompose, and the reverse (ᾳ, ſ + dot): a second round settles all of them.
    for _ in range(2):
        decomposed = unicodedata.normalize("NFKD", text)
        text = decomposed.translate(_WITHOUT_MARKS).casefold().translate(_PLAIN_LETTERS)
    return _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text))


def fold(name: str) -> str:
    """Return the key under which two spellings of one name are equal.

    Case, Turkish letters (İ, I, ı and i are one), diacritics, blanks, hyphens, apostrophes and all other punctuation do
    not count, nor does the Unicode form (NFC, NFD). Idempotent; empty for a name without letters and digits.
    """
    return _plain(name).translate(_LETTERS_AND_DIGITS)


def words(text: str) -> list[str]:
    """Return the words of a text, each as `fold` compares names."""
    return re.findall(r"\w+", _plain(text))


def slugify(name: str) -> str:
    """Return the lower-case ASCII form of `name`, words joined by hyphens: `New York` gives `new-york`.

    Empty when nothing of the name is left in ASCII (東京).
    """
    return re.sub("[^a-z0-9]+", "-", _plain(name)).strip("-")[:64].rstrip("-")


def plain_name(text: str) -> str:
    """Return a text as a name that a region file can hold: NFC, blanks for what cannot be printed, at most 100 characters."""
    normal = unicodedata.normalize("NFC", text)
    return " ".join("".join(c if c.isprintable() else " " for c in normal).split())[:_LONGEST_NAME].strip()


# --- region files


def _refuse(rule: str) -> PydanticCustomError:
    return PydanticCustomError("t15", rule)


def _name(value: str) -> str:
    text = unicodedata.normalize("NFC", value).strip()
    if not text.isprintable() or not fold(text):
        raise _refuse("must hold letters or digits and no control characters")
    return text


def _at_most(longest: int) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) > longest:
            raise _refuse(f"must have at most {longest} characters")
        return value

    return AfterValidator(check)


def _like(pattern: re.Pattern[str], rule: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise _refuse(rule)
        return value

    return AfterValidator(check)


_Name = Annotated[str, _at_most(_LONGEST_NAME), AfterValidator(_name)]
_Slug = Annotated[_Name, _like(_SLUG, "must be 1 to 64 of a-z, 0-9 and -, the first no hyphen")]
_Language = Annotated[str, _like(_LANGUAGE, "must be by language tags such as 'en'")]
_Names = Annotated[dict[_Language, _Name], Field(max_length=200)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _PlaceTable(_Model):
    """What a city and a district have: a name, a centre and a radius."""

    name: _Name
    slug: _Slug | None = None
    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False)
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False)
    radius_km: float = Field(gt=0, le=500, allow_inf_nan=False)
    names: _Names = {}

    @property
    def label(self) -> str:
        return self.slug or slugify(self.name)


class _CityTable(_PlaceTable):
    code: Annotated[_Name, _like(_CODE, "must be an ISO 3166-2 code such as 'TR-50'")] = ""
    plate: int | None = Field(default=None, ge=1, le=81)
    centre: _Name = ""
    aliases: list[_Name] = Field(default=[], max_length=100)
    country: Annotated[_Name, _like(_COUNTRY, "must be an ISO 3166-1 alpha-2 code such as 'TR'")] = ""
    district: list[_PlaceTable] = []


class _RegionTable(_Model):
    name: _Slug
    title: Annotated[str, _at_most(300), AfterValidator(_name)] = ""
    note: Annotated[str, _at_most(2000), AfterValidator(_name)] = ""
    city: list[_CityTable]


# What a value has to be, by the name of pydantic's error or by the field.
_RULES = {
    "string_type": "must be a text",
    "float_type": "must be a number",
    "list_type": "must be a list of texts",
    "dict_type": "must be a table of names by language tag",
    "latitude": "must be between -90 and 90",
    "longitude": "must be between -180 and 180",
    "radius_km": "must be between 0 and 500",
    "plate": "must be a Turkish province number, 1 to 81",
}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of the TOML file at `path`; a byte-order mark is skipped.

    Raises:
        UsageError: the file does not exist.
        DataError: it cannot be read, is not UTF-8, or is not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except (FileNotFoundError, ValueError) as error:  # ValueError: a NUL in the path
        raise UsageError(f"region file {path}: does not exist") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > _LARGEST_FILE:
        raise DataError(f"{path}: larger than {_LARGEST_FILE // 1_000_000} MB, so not a region file")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:  # beside TOMLDecodeError: numbers of 4,300 digits, deep nesting
        raise DataError(f"{path}: not TOML: {error}") from error


def read_region(path: Path) -> Region:
    """Return the region that a user's TOML file describes; docs and `collector.regions.region` show the format.

    Raises:
        UsageError: the file does not exist.
        DataError: anything in it is wrong; the message names file, city, field and what was seen.
    """
    document = read_toml(path)
    if "name" not in document:
        _no_unknown_keys(document, _RegionTable, str(path))
        raise DataError(f'{path}: name is missing; add a line such as name = "my-region" at the top')
    table = _parsed(document, str(path))
    cities, labels = _cities_and_labels(table.city, str(path))
    return Region(table.name, table.title or table.name, cities, table.note, labels)


def _parsed(document: Mapping[str, Any], source: str) -> _RegionTable:
    """Return a document as the model, of which the first fault is an error.

    Raises:
        DataError: there is one.
    """
    _no_unknown_keys(document, _RegionTable, source)
    cities = document.get("city")
    if not isinstance(cities, list | None) or not all(isinstance(table, dict) for table in cities or ()):
        raise DataError(f"{source}: city must be [[city]] tables, not {_seen(cities)}; mind the double brackets")
    if not cities:
        raise DataError(f"{source}: holds no city; add at least one [[city]] table")
    if len(cities) > MOST_CITIES:
        raise DataError(f"{source}: holds {len(cities)} cities; {MOST_CITIES} are the most")
    try:
        return _RegionTable.model_validate(document)
    except ValidationError as error:
        raise DataError(_first_fault(document, source, error)) from error


def _first_fault(document: Mapping[str, Any], source: str, error: ValidationError) -> str:
    """Return what is wrong first, in t15's words: unknown keys, then missing ones, then values, table by table."""
    ranks = {"extra_forbidden": 0, "missing": 1}
    faults = [(fault["loc"], fault) for fault in error.errors(include_url=False)]
    tables = [tuple(part for part in loc[:-1] if isinstance(part, int)) for loc, _ in faults]
    _, (loc, fault) = min(
        zip(tables, faults, strict=True), key=lambda pair: (pair[0], ranks.get(pair[1][1]["type"], 2))
    )
    where, model = _where(document, source, loc)
    field = str(next(part for part in reversed(loc) if isinstance(part, str) and part != "[key]"))
    if "names" in loc:
        field = "names"
    if fault["type"] == "extra_forbidden":
        return f"{where}: {_unknown(field, model)}"
    if fault["type"] == "missing":
        return f"{where}: {field} is missing"
    value = fault["input"]
    if fault["type"] == "too_long":
        return f"{where}: {field} holds too many entries; {(fault.get('ctx') or {}).get('max_length')} are the most"
    if field == "district":
        return f"{where}: district must be [[city.district]] tables, not {_seen(value)}; mind the double brackets"
    if field == "radius_km" and value == 0 and type(value) in (int, float):
        return f"{where}: radius_km must be greater than 0"
    rule = fault["msg"] if fault["type"] == "t15" else _RULES.get(fault["type"]) or _RULES.get(field, fault["msg"])
    hint = did_you_mean(value, [slugify(value)]) if "hyphen" in rule and isinstance(value, str) else ""
    return f"{where}: {field} {rule}, not {_seen(value)}{hint}"


def _where(document: Mapping[str, Any], source: str, loc: tuple[int | str, ...]) -> tuple[str, type[BaseModel]]:
    """Return how a place in the document is named, `mine.toml: city 2 (Paris): district 1`, and its table's model."""
    where, table = source, dict(document)
    model: type[BaseModel] = _RegionTable
    for kind, index, of in (("city", 1, _CityTable), ("district", 3, _PlaceTable)):
        if len(loc) > index and loc[index - 1] == kind and isinstance(number := loc[index], int):
            table = table[kind][number]
            where, model = f"{where}: {kind} {number + 1}{_called(table)}", of
    return where, model


def _called(table: object) -> str:
    name = table.get("name", table.get("slug")) if isinstance(table, Mapping) else None
    return f" ({name[:60]})" if isinstance(name, str) and name.isprintable() else ""


def _cities_and_labels(tables: Sequence[_CityTable], source: str) -> tuple[tuple[City, ...], tuple[Label, ...]]:
    """Return the cities, in their order, and their districts.

    Raises:
        DataError: one has no slug, two share a name, or a district lies outside of its city.
    """
    cities, labels = [], []
    for number, table in enumerate(tables, start=1):
        where = f"{source}: city {number} ({table.name[:60]})"
        cities.append(_city(table, where))
        labels += [_district(of, cities[-1], f"{where}: district {n}") for n, of in enumerate(table.district, start=1)]
        slugs = Counter(of.label for of in table.district)
        if again := next((slug for slug, count in slugs.items() if count > 1), None):
            raise DataError(f"{where}: two districts are called {again}")
    if len(labels) > MOST_LABELS:
        raise DataError(f"{source}: holds {len(labels)} districts; {MOST_LABELS} are the most")
    _no_ambiguity(cities, source)
    return tuple(cities), tuple(labels)


def _city(table: _CityTable, where: str) -> City:
    if not table.label:
        raise DataError(f"{where}: no slug follows from name {table.name!r}; add a line such as slug = 'my-city'")
    return City(
        slug=table.label,
        name=table.name,
        latitude=table.latitude,
        longitude=table.longitude,
        radius_km=table.radius_km,
        code=table.code,
        plate=table.plate,
        centre=table.centre,
        aliases=tuple(table.aliases),
        country=table.country or table.code[:2],
        names=table.names,
    )


def _district(table: _PlaceTable, city: City, where: str) -> Label:
    if not table.label:
        raise DataError(f"{where}: no slug follows from name {table.name!r}; add a line such as slug = 'my-district'")
    km = distance_km(city.latitude, city.longitude, table.latitude, table.longitude)
    if km > city.radius_km:
        raise DataError(
            f"{where} ({table.name[:60]}): its centre is {km:.0f} km from that of {city.slug}, "
            f"whose radius_km is {city.radius_km:g}"
        )
    place = (table.latitude, table.longitude, table.radius_km)
    return Label(f"{city.slug}/{table.label}", table.name, table.names, "district", city.slug, *place)


def city_names(city: City) -> Iterator[tuple[str, str]]:
    """Yield (field, name) for every name by which the city is found, codes and numbers left out."""
    yield "name", city.name
    yield "slug", city.slug
    if city.centre:
        yield "centre", city.centre
    yield from (("aliases", alias) for alias in city.aliases)
    yield from (("names", name) for name in city.names.values())


def _no_ambiguity(cities: Iterable[City], source: str) -> None:
    owners: dict[str, tuple[int, City]] = {}
    for number, city in enumerate(cities, start=1):
        for field, name in city_names(city):
            other_number, other = owners.setdefault(fold(name), (number, city))
            if other_number != number:
                raise DataError(
                    f"{source}: city {number} ({city.name}): {field} {name!r} is also a name of "
                    f"city {other_number} ({other.name}); case, diacritics and punctuation do not tell names apart"
                )


def _no_unknown_keys(table: Mapping[str, Any], model: type[BaseModel], where: str) -> None:
    for key in table:
        if key not in model.model_fields:
            raise DataError(f"{where}: {_unknown(key, model)}")


def _unknown(key: str, model: type[BaseModel]) -> str:
    known = tuple(model.model_fields)
    return f"unknown key {key[:60]!r}{did_you_mean(key, known)}; known are {', '.join(known)}"


def _seen(value: object) -> str:
    """Say what stood there, in the terms of TOML and at most about 60 characters."""
    if isinstance(value, bool):
        return f"{str(value).lower()} (a boolean)"
    if isinstance(value, int) and value.bit_length() > 128:  # repr refuses more than 4,300 digits
        return "a far larger number"
    kinds = {str: "a text", list: "a list", dict: "a table", int: "a whole number", float: "a number"}
    shown = repr(value)
    return f"{shown[:57] + '...' if len(shown) > 60 else shown} ({kinds.get(type(value), type(value).__name__)})"


# --- regions and cities


@cache
def _built_in() -> dict[str, Region]:
    path = Path(__file__).with_name("cities.toml")
    document = read_toml(path)
    table = _parsed({"name": _ALL, "city": document["city"]}, path.name)
    by_slug = {city.slug: city for city in _cities_and_labels(table.city, path.name)[0]}
    return {
        name: Region(
            name, entry["title"], tuple(by_slug[slug] for slug in entry.get("cities", by_slug)), entry.get("note", "")
        )
        for name, entry in document["region"].items()
    }


def regions() -> tuple[str, ...]:
    """Return the names of the built-in regions."""
    return tuple(_built_in())


def own_name(name: str) -> str:
    """Return the name of a region of one's own, after making sure that it is one.

    Raises:
        UsageError: it cannot be stored, or is that of a built-in region.
    """
    if not _SLUG.fullmatch(name):
        hint = did_you_mean(name, [slugify(name)])
        raise UsageError(f"--name {name[:60]!r}: use 1 to 64 of a-z, 0-9 and -, the first no hyphen{hint}")
    if name in regions():
        raise UsageError(f"--name {name}: is that of a built-in region; choose another")
    return name


def region(name_or_path: str) -> Region:
    """Return a built-in region by name, or the region in the user's TOML file at this path.

    What ends with `.toml` or holds a slash is a path; so is, after the built-in names, whatever exists as a file.
    A file holds `name`, optionally `title` and `note`, and for each city a `[[city]]` table with `name`, `latitude` and
    `longitude` (degrees WGS84), `radius_km` (above 0, at most 500), optionally `slug` (else it follows from the name),
    `code`, `plate`, `centre`, `aliases`, `country` (else it follows from the code), `names` by language tag, and
    `[[city.district]]` tables, each with a name, a place, a radius, optionally a slug and names.

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
    meant = did_you_mean(slugify(name) or name, known)
    elsewhere = "" if meant else "; `t15 cities --place NAME` makes a region of cities elsewhere"
    raise UsageError(f"city {name!r} is not in {region.name}{meant}{listed}{elsewhere}")


def _matches(region: Region, name: str) -> list[City]:
    key = fold(name)
    if named := [city for city in region.cities if any(fold(spelling) == key for _, spelling in city_names(city))]:
        return named
    if key.isdecimal() and len(key) <= 3:
        return [city for city in region.cities if city.plate == int(key)]
    return [city for city in region.cities if city.code and fold(city.code) == key]


def slugs_by_name(region: Region, *, codes: bool = False) -> dict[str, str]:
    """Return the slug of each city by its names, folded: to look up many; with `codes` by all that `find_city` knows it by.

    A code that several cities share is none of theirs. Of cities that a made region calls alike the first counts, and a
    city's own name before other names, those before codes.
    """
    coded = [(code, city.slug) for city in region.cities for code in _codes(city)] if codes else []
    shared = Counter(code for code, _ in coded)
    slugs = {code: slug for code, slug in coded if shared[code] == 1}
    slugs.update((fold(name), city.slug) for city in reversed(region.cities) for _, name in city_names(city))
    slugs.update((fold(city.name), city.slug) for city in reversed(region.cities))
    slugs.pop("", None)
    return slugs


def _codes(city: City) -> set[str]:
    plates = {f"{city.plate:0{digits}d}" for digits in (1, 2, 3)} if city.plate else set()
    return plates | ({fold(city.code)} if city.code else set())


def nearest_city(region: Region, latitude: float, longitude: float) -> City | None:
    """Return the city whose centre is nearest to the point, among those whose radius holds it; None when none does.

    Args:
        region: the cities to choose from; of two at the same distance the first is taken.
        latitude: degrees WGS84; not a number gives None.
        longitude: degrees WGS84; not a number gives None.
    """
    # No place is nearer than its parallel: most cities are passed over without a distance.
    near = (city for city in region.cities if abs(latitude - city.latitude) * KM_PER_DEGREE <= city.radius_km + 0.001)
    distances = ((distance_km(latitude, longitude, city.latitude, city.longitude), city) for city in near)
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
    cities: Sequence[City],
    labels: Sequence[str],
    latitude: "ArrayLike",
    longitude: "ArrayLike",
    *,
    nearest: bool = True,
) -> list[Misplaced]:
    """Return the places outside of their city's radius and, with `nearest`, those nearer to another city, in their order.

    Args:
        cities: with different slugs.
        labels: (N,) the slug of each place; one that is no city's is passed over.
        latitude, longitude: (N,) degrees WGS84; NaN where a place is not known: then it is in no wrong place.
        nearest: of cities whose circles overlap, a place belongs to the one whose centre is nearest.
    """
    import numpy as np

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
    order = np.argsort(label[known], kind="stable")
    ends = np.searchsorted(label[known][order], np.arange(len(cities) + 1))
    for city in np.flatnonzero(np.diff(ends)).tolist() if nearest else ():
        own_places = order[ends[city] : ends[city + 1]]
        # A place inside of its own circle can only be in those that overlap it; of one outside that alone is told.
        apart = distances_km(facts[:, 0], facts[:, 1], facts[city, 0], facts[city, 1])
        for index in np.flatnonzero(apart <= facts[:, 2] + facts[city, 2] + 1).tolist():
            lat, lon, radius = facts[index]
            distance = distances_km(places[known[own_places], 0], places[known[own_places], 1], lat, lon)
            better = (distance <= radius) & (distance < best[own_places])
            best[own_places[better]], nearer[own_places[better]] = distance[better], index
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
