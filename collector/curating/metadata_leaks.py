"""Names of places beside the pixels: in a file's EXIF, IPTC, XMP and comments, in its name, in its title.

What stands in the file travels with it, and scores 1; a title or a file's name is left behind wherever pixels are used
alone, and scores 0.6.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import PIL

from collector.curating.place_names import PlaceNames
from collector.images.decode import open_image
from collector.images.metadata import texts
from collector.records import Photo

STAGE = "metadata"
"""The stage of the catalogue's decisions that holds this flag; its verdicts are all `keep`."""

FLAGS: Mapping[str, str] = {
    "name-in-metadata": "its file's metadata, its name or its title names the city or the country"
}

_IN_FILE, _BESIDE = 1.0, 0.6


def stamp() -> str:
    """Return what identifies how metadata is read."""
    return f"metadata 1, pillow {PIL.__version__}"


def read_texts(path: Path) -> dict[str, str]:
    """Return the texts in a file's metadata.

    Raises:
        Exception: whatever Pillow raises on a file that is missing or broken.
    """
    with open_image(path) as image:
        return texts(image)


def judge(kept: Mapping[str, str], photo: Photo, file_name: str | None, names: PlaceNames) -> dict[str, Any]:
    """Return the flag of a photo and `why`: which text names what."""
    beside = {"title": photo.title or "", "file": file_name or _last_part(photo.image_url)}
    why: dict[str, str] = {}
    score = 0.0
    for texts_, certain in ((kept, _IN_FILE), (beside, _BESIDE)):
        for where, text in texts_.items():
            named = [found for found in names.found(text) if names.is_answer(found.place, photo.city)]
            if named:
                why[where] = f"{named[0].name}: {text[:120]}"
                score = max(score, certain)
    return {"name-in-metadata": score, "why": {"name-in-metadata": why}} if why else {}


def _last_part(address: str | None) -> str:
    try:
        return unquote(urlsplit(address or "").path.rpartition("/")[2])
    except ValueError:
        return ""
