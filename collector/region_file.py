"""Reads the cities of a region from TOML; every fault is one line that names the file, the city and the field."""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collector.errors import DataError, UsageError, did_you_mean
from collector.records import City, Region

# A region's name or a city's slug: safe as a file name, as an option's value and in a URL.
_SLUG_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_CODE_PATTERN = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
_REGION_KEYS = ("name", "title", "note", "city")
_REQUIRED = ("name", "latitude", "longitude", "radius_km")
_CITY_KEYS = ("slug", *_REQUIRED, "code", "plate", "centre", "aliases")
_LARGEST_FILE = 10_000_000  # bytes; guards against /dev/zero and mistaken downloads, and a pipe may still be read
_APOSTROPHES = re.compile("['`´‘’‛′ʹʻʼʽʾʿ＇]")
# Letters that Unicode does not decompose, so that taking the diacritics off does not reach them.
_PLAIN_LETTERS = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "æ": "ae", "œ": "oe", "þ": "th"}
)


def _plain(name: str) -> str:
    """Return `name` without case, diacritics and apostrophes; İ, I, ı and i all become i."""
    text = _APOSTROPHES.sub("", name)
    # Case folding can give letters that decompose, and the reverse (ᾳ, ſ + dot): a second round settles all of them.
    for _ in range(2):
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold().translate(_PLAIN_LETTERS)
    return _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text))


def fold(name: str) -> str:
    """Return the key under which two spellings of one name are equal.

    Case, Turkish letters (İ, I, ı and i are one), diacritics, blanks, hyphens, apostrophes and all other punctuation do
    not count, nor does the Unicode form (NFC, NFD). Idempotent; empty for a name without letters and digits.
    """
    return "".join(c for c in _plain(name) if unicodedata.category(c)[0] in "LNM")


def slugify(name: str) -> str:
    """Return the lower-case ASCII form of `name`, words joined by hyphens: `New York` gives `new-york`.

    Empty when nothing of the name is left in ASCII (東京).
    """
    return re.sub("[^a-z0-9]+", "-", _plain(name)).strip("-")[:64].rstrip("-")


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
    _no_unknown_keys(document, _REGION_KEYS, str(path))
    if "name" not in document:
        raise DataError(f'{path}: name is missing; add a line such as name = "my-region" at the top')
    name = _slug(document, "name", str(path))
    title = _text(document, "title", str(path)) or name
    return Region(name, title, parse_cities(document.get("city"), str(path)), _text(document, "note", str(path)))


def parse_cities(tables: object, source: str) -> tuple[City, ...]:
    """Return the cities of the `[[city]]` tables, in their order.

    Args:
        tables: what the TOML parser gave for `city`; None when it is missing.
        source: the file's name, for messages.

    Raises:
        DataError: any fault in them, or two cities that share a slug or another name.
    """
    if not isinstance(tables, list | None) or not all(isinstance(table, dict) for table in tables or ()):
        raise DataError(f"{source}: city must be [[city]] tables, not {_seen(tables)}; mind the double brackets")
    if not tables:
        raise DataError(f"{source}: holds no city; add at least one [[city]] table")
    cities = tuple(_city(table, f"{source}: city {n}") for n, table in enumerate(tables, start=1))
    _no_ambiguity(cities, source)
    return cities


def city_names(city: City) -> Iterator[tuple[str, str]]:
    """Yield (field, name) for every name by which the city is found, codes and numbers left out."""
    yield "name", city.name
    yield "slug", city.slug
    if city.centre:
        yield "centre", city.centre
    yield from (("aliases", alias) for alias in city.aliases)


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


def _city(table: Mapping[str, Any], where: str) -> City:
    label = table.get("name", table.get("slug"))
    where = f"{where} ({label[:60]})" if isinstance(label, str) and label.isprintable() else where
    _no_unknown_keys(table, _CITY_KEYS, where)
    for field in _REQUIRED:
        if field not in table:
            raise DataError(f"{where}: {field} is missing")
    name = _text(table, "name", where)
    slug = _slug(table, "slug", where) if "slug" in table else slugify(name)
    if not slug:
        raise DataError(f"{where}: no slug follows from name {name!r}; add a line such as slug = 'my-city'")
    radius_km = _number(table, "radius_km", where, 0, 500)
    if radius_km == 0:
        raise DataError(f"{where}: radius_km must be greater than 0")
    code = _text(table, "code", where)
    if code and not _CODE_PATTERN.fullmatch(code):
        raise DataError(f"{where}: code must be an ISO 3166-2 code such as 'TR-50', not {_seen(code)}")
    return City(
        slug=slug,
        name=name,
        latitude=_number(table, "latitude", where, -90, 90),
        longitude=_number(table, "longitude", where, -180, 180),
        radius_km=radius_km,
        code=code,
        plate=_plate(table, where),
        centre=_text(table, "centre", where),
        aliases=_aliases(table, where),
    )


def _plate(table: Mapping[str, Any], where: str) -> int | None:
    if "plate" not in table:
        return None
    plate = table["plate"]
    if type(plate) is not int or not 1 <= plate <= 81:
        raise DataError(f"{where}: plate must be a Turkish province number, 1 to 81, not {_seen(plate)}")
    return plate


def _number(table: Mapping[str, Any], field: str, where: str, low: int, high: int) -> float:
    value = table[field]
    if type(value) not in (int, float):  # a bool is an int to isinstance
        raise DataError(f"{where}: {field} must be a number, not {_seen(value)}")
    if not low <= value <= high:  # false for nan too
        raise DataError(f"{where}: {field} must be between {low} and {high}, not {_seen(value)}")
    return float(value)


def _slug(table: Mapping[str, Any], field: str, where: str) -> str:
    value = _text(table, field, where)
    if not _SLUG_PATTERN.fullmatch(value):
        raise DataError(
            f"{where}: {field} must be 1 to 64 of a-z, 0-9 and -, the first no hyphen, not {_seen(value)}"
            + did_you_mean(value, [slugify(value)])
        )
    return value


def _text(table: Mapping[str, Any], field: str, where: str) -> str:
    """Return the text in `field`, or an empty string where there is no such field."""
    return _name(table[field], field, where) if field in table else ""


def _name(value: object, field: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: {field} must be a text, not {_seen(value)}")
    text = unicodedata.normalize("NFC", value).strip()
    if not text.isprintable() or not fold(text):
        raise DataError(f"{where}: {field} must hold letters or digits and no control characters, not {_seen(value)}")
    return text


def _aliases(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    aliases = table.get("aliases", [])
    if not isinstance(aliases, list):
        raise DataError(f"{where}: aliases must be a list of texts, not {_seen(aliases)}")
    return tuple(_name(alias, "aliases", where) for alias in aliases)


def _no_unknown_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise DataError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}; known are {', '.join(known)}")


def _seen(value: object) -> str:
    """Say what stood there, in the terms of TOML and at most about 60 characters."""
    if isinstance(value, bool):
        return f"{str(value).lower()} (a boolean)"
    if isinstance(value, int) and value.bit_length() > 128:  # repr refuses more than 4,300 digits
        return "a far larger number"
    kinds = {str: "a text", list: "a list", dict: "a table", int: "a whole number", float: "a number"}
    shown = repr(value)
    return f"{shown[:57] + '...' if len(shown) > 60 else shown} ({kinds.get(type(value), type(value).__name__)})"
