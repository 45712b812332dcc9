"""What Commons tells about a file: its name and addresses, imageinfo with the HTML of its templates, its coordinates."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any
from urllib.parse import quote

from collector.geo import KM_PER_DEGREE
from collector.sandbox.holdings import Item, chance, token
from collector.sandbox.rendered_files import Fingerprint

WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)
"""Pixels. Thumbnails of other widths answer 429."""

_MEDIA = {
    "video": ("video/webm", "webm", "VIDEO"),
    "map": ("image/svg+xml", "svg", "DRAWING"),
    "scan": ("image/tiff", "tif", "BITMAP"),
    "document": ("application/pdf", "pdf", "OFFICE"),
}
_PHOTO = ("image/jpeg", "jpg", "BITMAP")
_CC = "https://creativecommons.org"
_LICENCES = (  # License, LicenseShortName, LicenseUrl
    ("cc-by-sa-4.0", "CC BY-SA 4.0", f"{_CC}/licenses/by-sa/4.0"),
    ("cc-by-sa-4.0", "CC BY-SA 4.0", f"{_CC}/licenses/by-sa/4.0"),
    ("cc-by-sa-3.0", "CC BY-SA 3.0", f"{_CC}/licenses/by-sa/3.0"),
    ("cc-by-sa-3.0-de", "CC BY-SA 3.0 de", f"{_CC}/licenses/by-sa/3.0/de/deed.en"),
    ("cc-by-4.0", "CC BY 4.0", f"{_CC}/licenses/by/4.0"),
    ("cc-by-2.0", "CC BY 2.0", f"{_CC}/licenses/by/2.0"),
    ("cc0", "CC0", "http://creativecommons.org/publicdomain/zero/1.0/deed.en"),
    ("pd", "Public domain", ""),
)
_NORTH = round(0.3 / (KM_PER_DEGREE), 6)  # degrees; 300 m


def file_name(item: Item) -> str:
    """Return a file's name, without the namespace: unique, and free of what titles may not hold. Moving renames."""
    title = re.sub(r"[\x00-\x1f\x7f#<>\[\]|{}/\\:*?\"%+&=_`\u202a-\u202e]+", " ", item.scene.title)
    title = " ".join(title.split())[:60].strip() or "Untitled"
    return f"{title[0].upper()}{title[1:]} ({item.number}){' renamed' if item.moved else ''}.{_media(item)[1]}"


def file_path(item: Item) -> str:
    """Return the path of the original."""
    return f"/wikipedia/commons/{_shelf(item)}/{quote(file_name(item).replace(' ', '_'))}"


def thumb_path(item: Item, width: int) -> str:
    """Return the path of a thumbnail."""
    name = quote(file_name(item).replace(" ", "_"))
    last = {
        "video": f"{width}px--{name}.jpg",
        "map": f"{width}px-{name}.png",
        "scan": f"lossy-page1-{width}px-{name}.jpg",
        "document": f"page1-{width}px-{name}.jpg",
    }.get(item.kind, f"{width}px-{name}")
    return f"/wikipedia/commons/thumb/{_shelf(item)}/{name}/{last}"


def media_type(item: Item) -> str:
    """Return the MIME type of the original."""
    return _media(item)[0]


def _media(item: Item) -> tuple[str, str, str]:
    return _MEDIA.get(item.kind, _PHOTO)


def _shelf(item: Item) -> str:
    digits = token(2, "shelf", item.number)
    return f"{digits[0]}/{digits}"


def places(item: Item, typed: bool = False) -> list[dict[str, Any]]:
    """Return a file's coordinates.

    Most files have one place, where the camera stood: the primary one. Some have that of what they show besides, 300 m to
    the north; some have that alone. `typed` tells which is the camera's.
    """
    drawn = chance("placing", item.number)
    camera = {"lat": item.indexed[0], "lon": item.indexed[1], "primary": "", "globe": "earth"}
    if typed:
        camera["type"] = "camera"
    shown = {"lat": item.indexed[0], "lon": item.indexed[1], "globe": "earth"}
    if 0.03 <= drawn < 0.08:
        return [camera, {**shown, "lat": round(item.indexed[0] + _NORTH, 6)}]
    return [shown] if drawn < 0.03 else [camera]


def image_info(
    item: Item, params: Mapping[str, str], origin: str, fingerprint: Callable[[Item], Fingerprint]
) -> dict[str, Any]:
    """Return what `imageinfo` tells; arguments as for `commons_api.reply`."""
    wanted = set(params.get("iiprop", "timestamp|user").split("|"))
    info: dict[str, Any] = {}
    if "timestamp" in wanted:
        info["timestamp"] = stamp(item)
    if "user" in wanted:
        info["user"] = _user(item)
    if wanted & {"size", "dimensions"}:
        info |= {"size": fingerprint(item).bytes, "width": item.size[0], "height": item.size[1]}
    if "url" in wanted:
        name = quote(file_name(item).replace(" ", "_"))
        info |= _thumb(item, params.get("iiurlwidth", ""), origin)
        info |= {
            "url": origin + file_path(item),
            "descriptionurl": f"{origin}/wiki/File:{name}",
            "descriptionshorturl": f"{origin}/w/index.php?curid={item.number}",
        }
    if "sha1" in wanted:
        info["sha1"] = fingerprint(item).sha1
    if "mime" in wanted:
        info["mime"] = _media(item)[0]
    if "mediatype" in wanted:
        info["mediatype"] = _media(item)[2]
    if "extmetadata" in wanted:
        chosen = set(params.get("iiextmetadatafilter", "").split("|")) - {""}
        told = _extmetadata(item)
        info["extmetadata"] = {name: value for name, value in told.items() if not chosen or name in chosen}
    return info


def _thumb(item: Item, width: str, origin: str) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9]{1,5}", width) or not int(width):
        return {}
    if int(width) >= item.size[0] and _media(item) == _PHOTO:
        path, size = file_path(item), item.size
    else:
        path = thumb_path(item, int(width))
        size = (int(width), max(1, round(item.size[1] * int(width) / item.size[0])))
    return {"thumburl": origin + path, "thumbwidth": size[0], "thumbheight": size[1]}


def _extmetadata(item: Item) -> dict[str, dict[str, Any]]:
    """Return what the page's templates tell: HTML, and not always all of it."""
    scene = item.scene
    name = escape(scene.author_name)
    id_, short, url = _LICENCES[int(chance("commons-licence", item.number) * len(_LICENCES))]
    told: dict[str, str] = {
        "DateTime": datetime.fromtimestamp(item.uploaded, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "ObjectName": escape(file_name(item).rpartition(".")[0]),
        "Categories": _categories(item),
        "GPSLatitude": str(item.indexed[0]),
        "GPSLongitude": str(item.indexed[1]),
        "ImageDescription": f'<div class="description">{escape(scene.title)}</div>',
        "DateTimeOriginal": _date(item),
        "Credit": '<span class="int-own-work" lang="en">Own work</span>',
        "Artist": f'<a href="//commons.wikimedia.org/wiki/User:{quote(_user(item))}" title="User:{name}">{name}</a>',
        "LicenseShortName": short,
        "UsageTerms": short,
        "LicenseUrl": url,
        "License": id_,
        "Copyrighted": "False" if id_ in ("cc0", "pd") else "True",
        "Restrictions": "",
    }
    missing = {"LicenseUrl"} if not url else set()
    dice = chance("missing", item.number)
    if item.kind == "no-licence":
        missing = {"License", "LicenseShortName", "LicenseUrl", "UsageTerms"}
    elif dice < 0.1:
        missing.add("License" if dice < 0.04 else "LicenseUrl")
    if chance("no-artist", item.number) < 0.03:
        missing.add("Artist")
    hidden = {"ImageDescription", "DateTimeOriginal", "Artist"}
    return {
        field: {"value": value, "source": "commons-desc-page"} | ({} if field in hidden else {"hidden": ""})
        for field, value in told.items()
        if field not in missing
    }


def _categories(item: Item) -> str:
    place = item.city.capitalize()
    if item.kind == "old-map":
        return f"Old maps of {place}|Media with locations"
    return f"{place}|Media with locations|Self-published work|Photographs taken on {item.scene.taken_at:%Y-%m-%d}"


def _date(item: Item) -> str:
    taken, drawn = item.scene.taken_at, chance("date", item.number)
    if drawn < 0.1:
        return f'<time class="dtstart" datetime="{taken:%Y-%m-%d}">{taken.day} {taken:%B %Y}</time>'
    if drawn < 0.15:
        return f'{taken.year}<div style="display: none;">date QS:P571,+{taken.year}-00-00T00:00:00Z/9</div>'
    return f"{taken:%Y-%m-%d}" if drawn < 0.3 else f"{taken:%Y-%m-%d %H:%M:%S}"


def _user(item: Item) -> str:
    kind, _, rest = item.scene.author_id.partition(":")
    return f"{kind.capitalize()} {rest}"


def stamp(item: Item) -> str:
    """Return when a file was uploaded."""
    return datetime.fromtimestamp(item.uploaded, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
