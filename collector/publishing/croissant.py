"""croissant.json: the data set described for machines, in Croissant 1.1 with its vocabulary for responsible AI.

Sources: the Croissant Format Specification 1.1 (http://mlcommons.org/croissant/1.1) and Croissant RAI 1.0
(http://mlcommons.org/croissant/RAI/1.0). The test validates it with mlcroissant, which is not needed to write it.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from collector.manifest import schema
from collector.manifest.manifest import Manifest
from collector.publishing.card import (
    LABELLING,
    MAINTENANCE,
    MISUSES,
    PERSONAL,
    USES,
    biases,
    cite,
    cleaning,
    collection,
    limitations,
    own_disk,
)
from collector.publishing.facts import Facts, Release
from collector.records import Licence
from collector.text_table import counted
from collector.web.markdown import plain

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")

# The context of appendix 1 of the specification, which readers compare with, and the prefix of the RAI vocabulary.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_TYPES = {"string": "sc:Text", "double": "sc:Float", "int32": "sc:Integer", "int64": "sc:Integer"}
_SPLITS = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}

# What the columns (schema.COLUMNS) mean beside their description: more data types; the property of schema.org that means
# the same; what it refers to.
_MEANINGS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "photo_id": ((), "sc:identifier", ""),
    "city": (("cr:Label",), "", "cities/slug"),
    "taken_at": ((), "sc:dateCreated", ""),
    "author_name": ((), "sc:creditText", ""),
    "license": ((), "sc:license", "licences/id"),
    "page_url": (("sc:URL",), "sc:url", ""),
    "image_url": (("sc:URL",), "sc:contentUrl", ""),
    "title": ((), "sc:name", ""),
    "width": ((), "sc:width", ""),
    "height": ((), "sc:height", ""),
    "sha256": ((), "sc:sha256", ""),
    "split": ((), "", "splits/name"),
}


def croissant(manifest: Manifest, facts: Facts, release: Release, files: Mapping[str, tuple[str, int]]) -> str:
    """Return the description as JSON-LD.

    Args:
        manifest: the data set.
        facts: its counts.
        release: what the publisher says; Croissant requires a date, a creator and a URL, which no manifest knows.
        files: sha256 and length of `photos.parquet`, `manifest.json` and `ATTRIBUTION.csv`.
    """
    header = manifest.header
    known = {
        "datePublished": release.date,
        "url": release.url,
        "creator": {"@type": "sc:Organization", "name": plain(release.publisher)} if release.publisher else None,
    }
    content = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": header.name,
        "description": describe(manifest, facts),
        "version": header.version,
        "license": [_licence(row.licence) for row in facts.licences],
        "keywords": ["photo geolocation", "place recognition", "image classification", header.region],
        "citeAs": cite(manifest, release),
        "isLiveDataset": False,
        **{name: value for name, value in known.items() if value is not None},
        "distribution": [_file(name, *files[name]) for name in _FORMATS],
        "recordSet": [_splits(), _cities(manifest), _licences(facts), _photos(manifest.format)],
        **_responsible(manifest, facts),
    }
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def describe(manifest: Manifest, facts: Facts) -> str:
    """Return the data set in two or three sentences of plain text."""
    header = manifest.header
    note = f" {plain(header.note)}" if header.note else ""
    return (
        f"{plain(header.title) or header.name}: {counted(facts.total.photos, 'photos')} of "
        f"{counted(len(facts.cities), 'cities')}, split by "
        f"city into {facts.total.train} for training, {facts.total.val} for validation and {facts.total.test} for test. "
        f"The question is in which of the cities a photo was taken.{note}"
    )


_FORMATS = {
    "photos.parquet": ("application/x-parquet", "One row a photo, sorted by photo_id."),
    "manifest.json": ("application/json", "What defines the data: cities, seed, rules, digest."),
    "ATTRIBUTION.csv": ("text/csv", "Whom to credit for each photo, under which licence."),
}


def _file(name: str, sha256: str, size: int) -> dict[str, Any]:
    media_type, description = _FORMATS[name]
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "description": description,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": media_type,
        "sha256": sha256,
    }


def _licence(of: Licence) -> str | dict[str, str]:
    return of.url or {"@type": "sc:CreativeWork", "name": of.name}


def _splits() -> dict[str, Any]:
    rows = ({"splits/name": name, "splits/url": url} for name, url in _SPLITS.items())
    fields = [
        _field("splits/name", "The side's name.", "sc:Text"),
        _field("splits/url", "Its meaning.", ["sc:URL", "cr:Split"]),
    ]
    return _table("splits", "The sides of the split.", "cr:Split", "splits/name", fields, rows)


def _cities(manifest: Manifest) -> dict[str, Any]:
    fields = [
        _field("cities/slug", "The label.", "sc:Text"),
        _field("cities/name", "The name as the inhabitants write it.", "sc:Text"),
        _field("cities/latitude", "Of the centre, degrees WGS84.", "sc:Float"),
        _field("cities/longitude", "Of the centre, degrees WGS84.", "sc:Float"),
        _field("cities/radius_km", "Photos are from within this distance of the centre.", "sc:Float"),
    ]
    names = ("slug", "name", "latitude", "longitude", "radius_km")
    rows = ({f"cities/{name}": _plain(getattr(city, name)) for name in names} for city in manifest.header.cities)
    return _table("cities", "The classes, in their order.", "sc:Enumeration", "cities/slug", fields, rows)


def _licences(facts: Facts) -> dict[str, Any]:
    names = ("id", "name", "url")
    fields = [
        _field(f"licences/{name}", description, "sc:Text") for name, description in zip(names, _LICENCE, strict=True)
    ]
    rows = (
        {"licences/id": row.counts.name, "licences/name": row.licence.name, "licences/url": row.licence.url}
        for row in facts.licences
    )
    return _table("licences", "The licences of the photos.", "sc:Enumeration", "licences/id", fields, rows)


_LICENCE = ("SPDX id or LicenseRef-….", "What people call it.", "Its text; empty when there is none.")


def _photos(number: int) -> dict[str, Any]:
    columns = [column for column in schema.COLUMNS if column.name in schema.FORMATS[number].columns]
    fields = [_column(column) for column in columns if column.name not in ("latitude", "longitude")]
    place = {
        "@type": "cr:Field",
        "@id": "photos/place",
        "description": "Where it was taken, degrees WGS84; both or neither.",
        "dataType": "sc:GeoCoordinates",
        "subField": [_from_column(f"photos/place/{name}", name, "sc:Float") for name in ("latitude", "longitude")],
    }
    return {
        "@type": "cr:RecordSet",
        "@id": "photos",
        "name": "photos",
        "description": "One record a photo. The pictures themselves are at image_url.",
        "dataType": "sc:ImageObject",
        "key": {"@id": "photos/photo_id"},
        "field": [*fields[:2], place, *fields[2:]],
    }


def _column(column: schema.Column) -> dict[str, Any]:
    semantic, same_as, refers_to = _MEANINGS.get(column.name, ((), "", ""))
    type_ = "sc:DateTime" if str(column.type).startswith("timestamp") else _TYPES[str(column.type)]
    types = [*([] if "sc:URL" in semantic else [type_]), *semantic]
    field = _from_column(f"photos/{column.name}", column.name, types[0] if len(types) == 1 else types)
    field["description"] = column.description
    if same_as:
        field["equivalentProperty"] = same_as
    if refers_to:
        field["references"] = {"field": {"@id": refers_to}}
    return field


def _from_column(id_: str, column: str, type_: str | list[str]) -> dict[str, Any]:
    source = {"fileObject": {"@id": "photos.parquet"}, "extract": {"column": column}}
    return {"@type": "cr:Field", "@id": id_, "name": id_, "dataType": type_, "source": source}


def _field(id_: str, description: str, type_: str | list[str]) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": id_, "name": id_, "description": description, "dataType": type_}


def _table(
    id_: str, description: str, type_: str, key: str, fields: list[dict[str, Any]], rows: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    start = {"@type": "cr:RecordSet", "@id": id_, "name": id_, "description": description, "dataType": type_}
    return {**start, "key": {"@id": key}, "field": fields, "data": list(rows)}


def _responsible(manifest: Manifest, facts: Facts) -> dict[str, Any]:
    return {
        "rai:dataCollection": collection(facts),
        "rai:dataCollectionType": ["Others"] if own_disk(facts) else ["Web API", "User-generated content data"],
        "rai:dataCollectionMissingData": (
            f"Of {facts.total.photos} photos, {facts.total.photos - facts.located} have no coordinates, "
            f"{facts.total.photos - facts.dated} no time and {facts.authors.unknown} no known author."
        ),
        "rai:dataPreprocessingProtocol": cleaning(manifest),
        "rai:dataAnnotationProtocol": [LABELLING],
        "rai:dataBiases": biases(facts),
        "rai:dataLimitations": limitations(manifest, facts),
        "rai:dataUseCases": list(USES),
        "rai:dataSocialImpact": f"Not for: {' '.join(MISUSES)}",
        "rai:personalSensitiveInformation": list(PERSONAL),
        "rai:dataReleaseMaintenancePlan": MAINTENANCE,
    }


def _plain(value: object) -> object:
    return plain(value) if isinstance(value, str) else value
