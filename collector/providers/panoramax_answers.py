"""Panoramax's answers: from the bytes to photos, without a network.

Panoramax is a federation: the meta-catalogue answers with STAC items (https://stacspec.org) whose pictures lie on the
instances that they were given to.
"""

import re
from collections.abc import Mapping
from typing import Any

from collector.errors import UsageError
from collector.licences import licence
from collector.net.allowlist import Origin, origin_of, why_forbidden
from collector.net.client import Answer, RefusedError
from collector.providers.answers import (
    NoPhotoError,
    check_inside,
    clean,
    from_iso,
    heading,
    mapping,
    metres,
    nameless,
    number,
    point,
    read_object,
    sequence,
    told,
    web_address,
)
from collector.records import City, Photo, Unusable, normal_id

HOSTS = (".panoramax.xyz", ".panoramax.fr", ".ign.fr", ".openstreetmap.fr")
"""Domains below which pictures are fetched: the meta-catalogue's own and those of the two national instances, IGN's and
OpenStreetMap France's, which hold nearly all pictures. Anybody may run an instance and have it harvested, so what an item
says of its pictures is no permission to talk to any host on the Internet."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def judge(answer: Answer) -> None:
    """Raise where an answer of status 200 is none; what refusals say (`{"message": …}`) tells no more than their status.

    Raises:
        TemporaryError: half an answer.
    """
    told(answer)


def parse_features(body: bytes) -> list[Any]:
    """Return the items of a search.

    Raises:
        TemporaryError: half an answer.
        RefusedError: an answer to another question, or one of refusal (`{"message": …, "status_code": 400}`).
    """
    document = read_object(body)
    if not isinstance(document.get("features"), list):
        message = clean(document.get("message")) or clean(document.get("description"))
        raise RefusedError("unexpected-answer", message or "without features")
    return sequence(document["features"])


def parse_answer(body: bytes, city: City, own: frozenset[Origin]) -> list[Photo | Unusable]:
    """Return what the items of a search are; see `describe`.

    Raises:
        TemporaryError, RefusedError: as for `parse_features`.
    """
    return [describe(item, city, own) for item in parse_features(body)]


def describe(item: object, city: City, own: frozenset[Origin]) -> Photo | Unusable:
    """Return an item as a photo of the city, or why it is none.

    Pictures of all directions (a field of view of 360°) are none: see mapillary_answers.describe. Those that do not say how
    wide they see are taken; the azimuth, which may be absent, is not needed.

    Args:
        item: a STAC item.
        city: the city that it was found for.
        own: where pictures may lie besides HOSTS.
    """
    native = mapping(item).get("id")
    if not (isinstance(native, str) and _UUID.fullmatch(native)):
        return Unusable(nameless("panoramax", item), "no-id", "an item without an id", city.slug)
    native = native.lower()
    try:
        return _photo(native, mapping(item), city, own)
    except NoPhotoError as error:
        return Unusable(f"panoramax:{native}", error.reason, f"picture {native}: {error.detail}", city.slug)


def _photo(native: str, feature: Mapping[str, Any], city: City, own: frozenset[Origin]) -> Photo:
    properties = mapping(feature.get("properties"))
    view = number(mapping(properties.get("pers:interior_orientation")).get("field_of_view"))
    if view is not None and view >= 360:
        raise NoPhotoError("panorama", "shows all directions at once")
    at = point(feature.get("geometry"))
    if at is None:
        raise NoPhotoError("no-location", "has no place")
    check_inside(city, at)
    stated = _stated_licence(feature, properties)
    try:
        spdx = licence(stated).id
    except UsageError:
        raise NoPhotoError("unknown-licence", f"licence {stated!r} is unknown") from None
    name, collection = _producer(feature, properties), clean(feature.get("collection"))
    return Photo(
        photo_id=f"panoramax:{native}",
        city=city.slug,
        latitude=at[0],
        longitude=at[1],
        taken_at=from_iso(properties.get("datetime")),
        heading=heading(properties.get("view:azimuth")),
        sequence_id=f"panoramax:{collection}" if collection else None,
        position_accuracy_m=metres(properties.get("quality:horizontal_accuracy")),
        author_id=f"panoramax:user:{normal_id(name)}" if name else None,
        author_name=name,
        license=spdx,
        page_url=f"https://api.panoramax.xyz/#focus=pic&pic={native}",
        image_url=_picture(feature, own),
    )


def _stated_licence(feature: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """Return the licence's id as stated: SPDX in `license`, else the title of the link to its text."""
    if stated := clean(told.get("license")):
        return stated
    links = (mapping(link) for link in sequence(feature.get("links")))
    titles = [title for link in links if link.get("rel") == "license" and (title := clean(link.get("title")))]
    # Seen as a title: "License for this object (etalab-2.0)".
    return re.sub(r"^.*\(([^()]+)\)$", r"\1", titles[0]) if titles else ""


def _picture(feature: Mapping[str, Any], own: frozenset[Origin]) -> str:
    """Return the address of the picture of 2048 pixels' width (`sd`), of the original (`hd`) where there is none."""
    assets = mapping(feature.get("assets"))
    found = [url for size in ("sd", "hd") if (url := web_address(mapping(assets.get(size)).get("href")))]
    if not found:
        raise NoPhotoError("no-picture", "has no address")
    if why_forbidden(origin_of(found[0]), HOSTS, own):
        raise NoPhotoError("foreign-host", f"lies on {origin_of(found[0]).host}")
    return found[0]


def _producer(feature: Mapping[str, Any], told: Mapping[str, Any]) -> str | None:
    """Return the name of the account that a picture was given by. Ids are not told by all instances, names are."""
    if name := clean(told.get("geovisio:producer")):
        return name
    for entry in map(mapping, sequence(feature.get("providers"))):
        if "producer" in sequence(entry.get("roles")) and (name := clean(entry.get("name"))):
            return name
    return None
