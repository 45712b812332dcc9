"""A manifest's header: what defines its data beside the rows, how it is read from manifest.json, and what it may be.

A manifest may be anybody's. So each field and each count has a bound, which is far above any honest one and far below what
makes a page, a folder's name or a machine's memory break; what is beyond is said in one line.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from collector.errors import DataError, UsageError, first_few, one_line
from collector.labels import LEVELS
from collector.manifest.digest import canonical_json
from collector.manifest.schema import FORMAT, FORMATS
from collector.records import PROTOCOLS, City, Label, ProviderTraits
from collector.regions import MOST_CITIES, MOST_LABELS

FETCH = "fetch the manifest again"
"""What to do about a damaged manifest."""

MOST_BYTES = 32 << 20
"""Of a manifest.json, at most: with the most cities it has about 6 MB."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)*")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,9})")
_MOST_NAME = 100  # a folder's name may have 255 bytes, and drafts and folds add to it
_MOST_DEPTH = 8  # of rules
_MOST_RULES = 1 << 16  # bytes of JSON
_MOST_CORNERS = 10_000  # of a label's outline
_MOST_TOOL = 200


@dataclass(frozen=True, slots=True)
class Header:
    """What defines a manifest's data, beside its rows.

    Attributes:
        name: of the data set, `[a-z0-9-]+`.
        version: semantic version, `major.minor.patch`.
        region: the name of the region that the cities come from.
        title: of the region, for people.
        note: what every reader has to know, such as that the pictures are drawn.
        seed: of the split.
        quotas: photos a city on each side, or fractions of a city's photos; empty where neither was asked for.
        rules: how photos were chosen and assigned, in words that `t15 split` understands.
        cities: the classes, in order, with their centres.
        hashes: algorithms and library versions of the perceptual hashes in the rows.
        parent: version and digest of the manifest that this one extends, None for a first one.
        labels: the labels beside the cities, such as districts; `LabelTree.of(header)` is the tree of both.
        protocol: `city`, or `place`, where `train` is a gallery and the photos of `test` ask for their place in it.
        provider_traits: what its services are like, by the first part of a photo_id.
    """

    name: str
    version: str
    region: str
    title: str
    note: str
    seed: int
    quotas: Mapping[str, float]
    rules: Mapping[str, Any]
    cities: tuple[City, ...]
    hashes: tuple[str, ...] = ()
    parent: Mapping[str, str] | None = None
    labels: tuple[Label, ...] = ()
    protocol: str = "city"
    provider_traits: Mapping[str, ProviderTraits] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a manifest.json says, before its rows were read: the digest is what it claims to be.

    Attributes:
        header: what defines the data.
        format: number of the layout.
        digest: of the data, 64 hex digits.
        photos: number of rows.
        counts: photos by city and side.
        tool: the version of t15 that wrote it.
        checks: checksums of columns and rows.
        extra: digest of the columns that this t15 does not know, None where the writer had none.
    """

    header: Header
    format: int
    digest: str
    photos: Any
    counts: Any
    tool: str
    checks: Mapping[str, Any]
    extra: str | None


def read_header(folder: Path | str) -> Stored:
    """Return what the manifest.json in `folder` says. The rows are not read, so that its digest is a claim.

    Raises:
        UsageError: there is no manifest.
        DataError: it is damaged, or a newer t15 made it.
    """
    path = json_of(Path(folder))
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise DataError(f"{path}: has more than {MOST_BYTES >> 20} MiB, so it is no manifest.json")
        data = json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({one_line(error)}); {FETCH}") from error
    if not isinstance(data, dict) or type(data.get("format")) is not int:
        raise DataError(f"{path}: is no manifest of t15 (no format number)")
    if data["format"] not in FORMATS:
        _refuse_format(path, data["format"])
    try:
        header = _header_of(data)
        complete = isinstance(data["digest"], str) and {"columns", "rows", "rows_per_check"} <= set(data["checks"])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(f"{path}: a field is missing or of the wrong kind ({one_line(error)}); {FETCH}") from error
    try:
        check_header(header)
    except UsageError as error:
        raise DataError(f"{path}: {error}") from error
    if not complete:
        raise DataError(f"{path}: its digest or checks are missing; {FETCH}")
    extra = data.get("extra")
    return Stored(
        header=header,
        format=data["format"],
        digest=data["digest"],
        photos=data.get("photos"),
        counts=data.get("counts"),
        tool=str(data.get("tool", ""))[:_MOST_TOOL],
        checks=data["checks"],
        extra=extra.get("digest") if isinstance(extra, dict) else None,
    )


def json_of(folder: Path) -> Path:
    """Return the manifest.json in a folder, or the one that is given itself.

    Raises:
        UsageError: there is none.
    """
    folder = folder.parent if folder.name == "manifest.json" and folder.is_file() else folder
    path = folder / "manifest.json"
    if path.is_file():
        return path
    such = "give the folder of a manifest, such as manifests/NAME/1.0.0"
    if not folder.exists():
        raise UsageError(f"{folder}: no such file or folder; {such}")
    if folder.is_file():
        raise UsageError(f"{folder}: a file, not a manifest; {such} (`t15 split --given FILE` makes one of a split)")
    within = sorted({found.parent.relative_to(folder).as_posix() for found in folder.glob("*/manifest.json")})
    raise UsageError(
        f"{folder}: holds no manifest.json; " + (f"name one in it: {first_few(within)}" if within else such)
    )


def _refuse_format(path: Path, number: int) -> None:
    if number > FORMAT:
        shown = number if number.bit_length() < 64 else "of a far larger number"
        raise DataError(
            f"{path}: was made by a newer t15 (format {shown}, this one reads up to {FORMAT}); install a newer t15"
        )
    raise DataError(f"{path}: is no manifest of t15 (format {str(number)[:20]})")


def version_key(version: str) -> tuple[int, int, int]:
    """Return a semantic version as numbers to compare by.

    Raises:
        UsageError: it is not `major.minor.patch`.
    """
    match = _VERSION.fullmatch(version)
    if not match:
        raise UsageError(f"version {version[:40]!r}: write it as major.minor.patch, such as 1.0.0")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def defining(header: Header, number: int) -> dict[str, Any]:
    """Return what the digest covers beside the rows: the fields that the format has, as plain values."""
    layout = FORMATS[number]
    plain: dict[str, Any] = {"format": number, **_picked(asdict(header), layout.header)}
    plain["cities"] = [_picked(city, layout.city) for city in plain["cities"]]
    if "labels" in plain:
        plain["labels"] = [_picked(label, layout.label) for label in plain["labels"]]
        traits = plain["provider_traits"]
        plain["provider_traits"] = {name: _picked(of, layout.traits) for name, of in traits.items()}
    return plain


def _picked(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: values[name] for name in names}


def _header_of(data: Mapping[str, Any]) -> Header:
    """Return the header that a manifest.json holds.

    Raises:
        KeyError, TypeError, ValueError: a field is missing, unknown or of another kind.
    """
    layout = FORMATS[data["format"]]
    known = _picked(data, layout.header)
    known["cities"] = tuple(
        City(**{**_only(layout.city, city), "aliases": tuple(city["aliases"])}) for city in known["cities"]
    )
    known["hashes"] = tuple(known["hashes"])
    if "labels" in known:
        known["labels"] = tuple(_label(_only(layout.label, label)) for label in known["labels"])
        traits = known["provider_traits"].items()
        known["provider_traits"] = {name: ProviderTraits(**_only(layout.traits, of)) for name, of in traits}
    return Header(**known)


def _label(data: Mapping[str, Any]) -> Label:
    polygon = data["polygon"]
    corners = None if polygon is None else tuple((float(corner[0]), float(corner[1])) for corner in polygon)
    return Label(**{**data, "polygon": corners})


def _only(names: Sequence[str], values: Mapping[str, Any]) -> Mapping[str, Any]:
    if unknown := sorted(set(values) - set(names)):
        raise ValueError(f"unknown field {unknown[0]!r}")
    return values


def check_header(header: Header) -> None:
    """Refuse a header that is not what it has to be, or larger than any honest one: pages and folders are made of it.

    Names become folders and parts of pages: nothing but small letters, digits and hyphens is one.

    Raises:
        UsageError: a field is not what it has to be.
    """
    for what, name in (("manifest name", header.name), ("region", header.region)):
        if not _is_name(name):
            raise UsageError(f"{what} {str(name)[:60]!r}: use small letters, digits and hyphens, at most {_MOST_NAME}")
    if not isinstance(header.version, str):
        raise UsageError(f"version {str(header.version)[:40]!r}: write it as major.minor.patch, such as 1.0.0")
    version_key(header.version)
    if not _is_text(header.title, 1000) or not _is_text(header.note, 5000):
        raise UsageError("title and note are text, of at most 1000 and 5000 characters")
    if type(header.seed) is not int or abs(header.seed) >= 1 << 63:
        raise UsageError("the seed is a whole number of at most 63 bits")
    if header.protocol not in PROTOCOLS:
        raise UsageError(f"protocol {str(header.protocol)[:40]!r}: is none of {', '.join(PROTOCOLS)}")
    _check_rules(header)
    _check_cities(header)
    _check_labels(header)
    _check_traits(header)


def _check_rules(header: Header) -> None:
    plain = isinstance(header.rules, Mapping) and isinstance(header.quotas, Mapping)
    if not plain or not all(type(quota) in (int, float) for quota in header.quotas.values()):
        raise UsageError("rules and quotas are objects, a quota is a number")
    if header.parent is not None and not isinstance(header.parent, Mapping):
        raise UsageError("parent is an object with a version and a digest, or null")
    for what, value in (
        ("rules", header.rules),
        ("quotas", header.quotas),
        ("hashes", header.hashes),
        ("parent", header.parent),
    ):
        if not _is_shallow(value, _MOST_DEPTH):
            raise UsageError(f"{what}: nested more than {_MOST_DEPTH} deep")
        try:
            size = len(canonical_json(value))
        except (TypeError, ValueError) as error:
            raise UsageError(f"{what}: holds what JSON cannot ({one_line(error)})") from error
        if size > _MOST_RULES:
            raise UsageError(f"{what}: has {size} bytes; {_MOST_RULES} are the most")


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, Mapping | list | tuple):
        inner = value.values() if isinstance(value, Mapping) else value
        return depth > 0 and all(_is_shallow(one, depth - 1) for one in inner)
    return True


def _check_cities(header: Header) -> None:
    if len(header.cities) > MOST_CITIES:
        raise UsageError(f"{len(header.cities)} cities; {MOST_CITIES} are the most")
    for city in header.cities:
        if not _is_name(city.slug) or not _is_text(city.name, 200):
            raise UsageError(
                f"city {str(city.slug)[:60]!r}: a slug is of small letters, digits and hyphens, a name is a short text"
            )
        _check_place(f"city {city.slug}", city)
        texts = all(_is_text(text, 200) for text in (city.code, city.centre, *city.aliases))
        if not texts or len(city.aliases) > 200 or not (city.plate is None or type(city.plate) is int):
            raise UsageError(f"city {city.slug}: its code, plate, centre or aliases are of another kind, or too long")
        if city.country != "" and not (_is_text(city.country, 2) and re.fullmatch("[A-Z]{2}", city.country)):
            raise UsageError(f"city {city.slug}: country {str(city.country)[:20]!r} is no ISO 3166-1 alpha-2 code")
    _check_unique("city", [city.slug for city in header.cities])


def _check_labels(header: Header) -> None:
    if len(header.labels) > MOST_LABELS:
        raise UsageError(f"{len(header.labels)} labels; {MOST_LABELS} are the most")
    ids = {*(city.slug for city in header.cities), *(label.id for label in header.labels if isinstance(label.id, str))}
    for label in header.labels:
        if not _is_text(label.id, 200) or not _LABEL.fullmatch(label.id) or not _is_text(label.name, 200):
            raise UsageError(f"label {str(label.id)[:60]!r}: an id is of names joined by /, a name is a short text")
        _check_place(f"label {label.id}", label)
        if label.level not in LEVELS or not (
            label.parent is None or (_is_text(label.parent, 200) and label.parent in ids)
        ):
            raise UsageError(f"label {label.id}: its level is none of {', '.join(LEVELS)}, or its parent is none")
        if label.polygon is not None and len(label.polygon) > _MOST_CORNERS:
            raise UsageError(
                f"label {label.id}: its outline has {len(label.polygon)} corners; {_MOST_CORNERS} are the most"
            )
    _check_unique("label", [*(city.slug for city in header.cities), *(label.id for label in header.labels)])


def _check_place(what: str, of: City | Label) -> None:
    places = ((of.latitude, 90.0), (of.longitude, 180.0), (of.radius_km, 20_100.0))
    if not all(type(value) in (int, float) and abs(value) <= most for value, most in places) or of.radius_km <= 0:
        raise UsageError(f"{what}: its centre or radius is no place on Earth")
    names = isinstance(of.names, Mapping) and len(of.names) <= 500
    if not names or not all(_is_text(tag, 40) and _is_text(name, 200) for tag, name in of.names.items()):
        raise UsageError(f"{what}: names are short texts by language tag")


def _check_unique(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        again = next(name for name, count in Counter(names).items() if count > 1)
        raise UsageError(f"{what} {again!r} is there twice")


def _check_traits(header: Header) -> None:
    if not isinstance(header.provider_traits, Mapping) or len(header.provider_traits) > 1000:
        raise UsageError("provider_traits is an object by service, of at most 1000")
    for provider, traits in header.provider_traits.items():
        if not _is_text(provider, 64) or not _are_traits(traits):
            raise UsageError(f"provider_traits of {str(provider)[:60]!r}: a field is of another kind, or too long")


def _are_traits(traits: ProviderTraits) -> bool:
    flags = (traits.author_is_service, traits.pixels_may_be_kept, traits.rehydratable)
    texts = (traits.panorama, traits.licence)
    return all(type(flag) is bool for flag in flags) and all(_is_text(text, 200) for text in texts)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_NAME and _NAME.fullmatch(value) is not None


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and len(value) <= longest
