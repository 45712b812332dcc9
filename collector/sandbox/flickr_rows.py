"""What Flickr tells about a photo, in a search, by getInfo and getSizes: with mixed types and missing keys, as it does."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from collector.sandbox.holdings import Item, chance, fitted, token

SIZES = {"s": 75, "q": 150, "t": 100, "m": 240, "n": 320, "": 500, "z": 640, "c": 800, "b": 1024}
"""Letter in a picture's address -> pixels of the longer side; s and q are squares."""

_EXTRAS = {"sq": "s", "q": "q", "t": "t", "s": "m", "n": "n", "m": "", "z": "z", "c": "c", "l": "b", "o": "o"}
"""Letter in `extras` and in the keys of a row -> letter in the address."""

_LABELS = {
    "sq": "Square", "q": "Large Square", "t": "Thumbnail", "s": "Small", "n": "Small 320", "m": "Medium",
    "z": "Medium 640", "c": "Medium 800", "l": "Large", "o": "Original",
}  # fmt: skip
"""Letter as in _EXTRAS -> what getSizes calls it."""

_DEALT_LICENCES = (0, 0, 4, 4, 4, 5, 5, 2, 1, 1, 3, 6, 9, 10, 7, 8, 11, 12, 13, 14, 15, 16)
_ACCURACIES = (16, 16, 16, 16, 15, 14, 12, 11)


def row(item: Item, extras: str, origin: str, mixed: bool) -> dict[str, Any]:
    """Return a photo as a search tells it.

    Args:
        item: the photo.
        extras: what is wanted beyond id, owner, address and title; comma-separated. Unknown names are ignored.
        origin: `scheme://host:port` of the pictures.
        mixed: types are mixed and keys are missing.
    """
    wanted = {part.strip() for part in extras.split(",")}
    told: dict[str, Any] = {
        "id": str(item.number), "owner": owner(item), "secret": secret(item), "server": server(item), "farm": 66,
        "title": item.scene.title, "ispublic": 1, "isfriend": 0, "isfamily": 0,
    }  # fmt: skip
    for name, tell in _TOLD.items():
        if name in wanted:
            told |= tell(item, mixed)
    for letter in _EXTRAS:
        if f"url_{letter}" in wanted and _has(item, letter, mixed):
            told |= _picture(item, letter, origin, mixed)
    return told


def details(item: Item, mixed: bool) -> dict[str, Any]:
    """Return a photo as getInfo tells it."""
    scene = item.scene
    taken = _taken(item, mixed)
    photo: dict[str, Any] = {
        "id": str(item.number), "secret": secret(item), "server": server(item), "farm": 66,
        "dateuploaded": str(item.uploaded), "isfavorite": 0, "license": str(licence(item)), "safety_level": "0",
        "rotation": 0,
        "owner": {"nsid": owner(item), "username": scene.author_name, "realname": "", "location": ""},
        "title": {"_content": scene.title}, "description": {"_content": ""},
        "visibility": {"ispublic": 1, "isfriend": 0, "isfamily": 0},
        "dates": {
            "posted": str(item.uploaded), "taken": taken["datetaken"], "lastupdate": str(item.uploaded),
            "takengranularity": taken["datetakengranularity"], "takenunknown": taken["datetakenunknown"],
        },
        "views": "0", "comments": {"_content": "0"}, "notes": {"note": []}, "people": {"haspeople": 0},
        "tags": {"tag": [{"raw": tag, "_content": tag, "machine_tag": 0} for tag in tags(item).split()]},
        "urls": {"url": [{"type": "photopage",
                          "_content": f"https://www.flickr.com/photos/{owner(item)}/{item.number}/"}]},
        "media": "video" if item.kind == "video" else "photo",
    }  # fmt: skip
    if item.kind != "no-location":
        place = _geo(item, mixed)
        photo["location"] = {name: str(place[name]) for name in ("latitude", "longitude", "accuracy", "context")}
        photo["geoperms"] = {"ispublic": 1, "iscontact": 0, "isfriend": 0, "isfamily": 0}
    return photo


def sizes(item: Item, origin: str, mixed: bool) -> list[dict[str, Any]]:
    """Return a photo's pictures as getSizes tells them."""
    page = f"https://www.flickr.com/photos/{owner(item)}/{item.number}/sizes"
    found = []
    for letter, label in _LABELS.items():
        if _has(item, letter, mixed=False):
            told = _picture(item, letter, origin, mixed)
            measures = {name: told[f"{name}_{letter}"] for name in ("width", "height")}
            address = {"source": told[f"url_{letter}"], "url": f"{page}/{letter}/", "media": "photo"}
            found.append({"label": label, **measures, **address})
    return found


def picture_path(item: Item, letter: str) -> str:
    """Return the path of a picture: `letter` is one of SIZES, or `o` for the original, whose secret is another one."""
    suffix = f"_{letter}" if letter else ""
    return f"/static/{server(item)}/{item.number}_{secret(item, letter == 'o')}{suffix}.jpg"


def server(item: Item) -> str:
    """Return the number of the server that has a photo's files."""
    return "65535" if item.uploaded > 1_550_000_000 else str(4000 + item.number % 4000)


def secret(item: Item, original: bool = False) -> str:
    """Return the part of a picture's address that cannot be guessed."""
    return token(10, "original" if original else "secret", item.number, *(["moved"] if item.moved else []))


def licence(item: Item) -> int:
    """Return Flickr's id of a photo's licence."""
    return _DEALT_LICENCES[int(chance("flickr-licence", item.number) * len(_DEALT_LICENCES))]


def accuracy(item: Item) -> int:
    """Return how well a photo's place is known, 1 (world) to 16 (street)."""
    if item.kind == "low-accuracy":
        return 6 + item.number % 4
    return _ACCURACIES[int(chance("accuracy", item.number) * len(_ACCURACIES))]


def owner(item: Item) -> str:
    """Return the id of a photo's author."""
    return f"{int(chance('owner', item.scene.author_id) * 9e7) + 10_000_000}@N0{len(item.scene.author_id) % 9}"


def tags(item: Item) -> str:
    """Return a photo's tags, separated by blanks."""
    return f"{item.city} {item.scene.view} sandbox"


def _taken(item: Item, mixed: bool) -> dict[str, Any]:
    # A third of real rows has the time of upload in the place of an unknown one.
    unknown = chance("taken", item.number) < 1 / 3
    moment = datetime.fromtimestamp(item.uploaded, UTC) if unknown else item.scene.taken_at
    return {
        "datetaken": moment.strftime("%Y-%m-%d %H:%M:%S"),
        "datetakengranularity": 0 if mixed and chance("granularity", item.number) < 0.2 else "0",
        "datetakenunknown": "1" if unknown else "0",
    }


def _geo(item: Item, mixed: bool) -> dict[str, Any]:
    if item.kind == "no-location":
        return {"latitude": 0, "longitude": 0, "accuracy": 0, "context": 0}
    known: Any = accuracy(item)
    latitude: Any = item.scene.latitude
    longitude: Any = item.scene.longitude
    if mixed:
        if item.kind == "photo" and chance("accuracy-0", item.number) < 0.02:
            known = 0
        if chance("accuracy-type", item.number) < 0.7:
            known = str(known)
        if chance("place-type", item.number) < 0.4:
            latitude, longitude = str(latitude), str(longitude)
    return {
        "latitude": latitude, "longitude": longitude, "accuracy": known, "context": 0,
        "place_id": token(16, "place", item.city), "woeid": str(23_424_000 + len(item.city)),
        "geo_is_public": 1, "geo_is_contact": 0, "geo_is_friend": 0, "geo_is_family": 0,
    }  # fmt: skip


def _has(item: Item, letter: str, mixed: bool) -> bool:
    """Return whether a row names the picture of a size."""
    if letter == "o":
        return licence(item) != 0 and not (mixed and chance("has-o", item.number) < 0.3)
    if letter not in ("sq", "q") and SIZES[_EXTRAS[letter]] > max(item.size):
        return False
    if item.scene.index % 20 == 4:  # it was carried over to Commons: its largest size is there
        return True
    return letter not in ("l", "c") or not (mixed and chance("has", letter, item.number) < 0.25)


def _picture(item: Item, letter: str, origin: str, mixed: bool) -> dict[str, Any]:
    in_address = _EXTRAS[letter]
    width: Any
    height: Any
    if letter in ("sq", "q"):
        width = height = SIZES[in_address]
    else:
        width, height = item.size if letter == "o" else fitted(item.size, SIZES[in_address])
    if mixed and chance("width-type", letter, item.number) < 0.3:
        width, height = str(width), str(height)
    return {
        f"url_{letter}": origin + picture_path(item, in_address),
        f"height_{letter}": height,
        f"width_{letter}": width,
    }


_TOLD: Mapping[str, Callable[[Item, bool], dict[str, Any]]] = {
    "license": lambda item, _: {"license": str(licence(item))},
    "description": lambda *_: {"description": {"_content": ""}},
    "date_upload": lambda item, _: {"dateupload": str(item.uploaded)},
    "date_taken": _taken,
    "owner_name": lambda item, _: {"ownername": item.scene.author_name},
    "tags": lambda item, _: {"tags": tags(item)},
    "geo": _geo,
    "media": lambda item, _: {"media": "video" if item.kind == "video" else "photo", "media_status": "ready"},
    "o_dims": lambda item, _: {"o_width": str(item.size[0]), "o_height": str(item.size[1])},
}
"""What each name in `extras` adds to a row; the pictures' addresses are apart."""
