"""`t15 review --static`: contact sheets for those who only look, a page of photos each, which need nothing but a browser."""

import base64
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from collector.errors import UsageError
from collector.executors.local import map_in_order
from collector.images.decode import quiet_decoders
from collector.images.derivatives import THUMBNAIL, CannotShowError, placeholder, rendition
from collector.progress import Track, silent
from collector.regions import slugify
from collector.review import decisions, listing
from collector.review.pages import cards_of, render, stylesheet
from collector.workspace import Workspace, storage_errors, write_atomically

_INDEX = "index.html"
_SHEET = re.compile(r"[a-z0-9-]+-\d{4,}\.html")
_MARK = "<!-- contact sheets of t15 -->"


@dataclass(frozen=True, slots=True)
class Sheets:
    """What `write_sheets` made: the page to begin with, the number of sheets, and of the photos on them."""

    index: Path
    sheets: int
    photos: int


@dataclass(frozen=True, slots=True)
class _Sheet:
    file: str
    city: str
    ids: tuple[str, ...]
    number: int
    of: int


def write_sheets(workspace: Workspace, folder: Path, track: Track = silent) -> Sheets:
    """Write `index.html` and a page for each 60 photos of a city into `folder`; every page holds its pictures itself.

    Sheets that an earlier call wrote there are replaced; a folder that holds anything else is left alone.

    Raises:
        UsageError: there is no catalogue, or `folder` is no place for sheets.
        DataError: the catalogue is damaged.
        IncompleteError: the disk is full.
    """
    with storage_errors(folder), quiet_decoders(), decisions.opened(workspace, look_only=True) as db:
        _make_room(folder)
        names = {slug: city.name for slug, city in listing.known_cities(db).items()}
        sheets: list[_Sheet] = []
        stems: set[str] = set()
        for row in listing.cities(db):
            # A city's slug is safe as a file's name where a region file was read; a catalogue may be anybody's.
            stem = slugify(row.city) or "city"
            while stem in stems:
                stem += "-"
            stems.add(stem)
            sheets += _of_city(stem, row.city, listing.keys(db, row.city, "all"))
        rows = [(sheet, names.get(sheet.city, sheet.city)) for sheet in sheets]
        # The index is first: it marks the folder as ours, also where the rest is never written.
        write_atomically(folder / _INDEX, _page("sheets.html", sheets=rows))
        for sheet, name in track(rows, "contact sheets", len(rows)):
            found = cards_of(db, sheet.ids)
            digests = [str(card.photo["sha256"]) for card in found]
            cards = list(zip(found, map_in_order(partial(_picture, workspace), digests), strict=True))
            write_atomically(folder / sheet.file, _page("sheet.html", sheet=sheet, name=name, names=names, cards=cards))
    return Sheets(folder / _INDEX, len(sheets), sum(len(sheet.ids) for sheet in sheets))


def _make_room(folder: Path) -> None:
    """Make the folder, or empty it of earlier sheets.

    Raises:
        UsageError: it holds what is not ours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / _INDEX
    there = sorted(path.name for path in folder.iterdir())
    if not there:
        return
    ours = index.is_file() and _MARK.encode() in index.read_bytes()[:500]
    if strange := [name for name in there if not (ours and (name == _INDEX or _SHEET.fullmatch(name)))]:
        raise UsageError(f"--static {folder}: holds {strange[0]!r}, which is no contact sheet; choose an empty folder")
    for name in there:
        if name != _INDEX:
            (folder / name).unlink()


def _of_city(stem: str, city: str, keys: listing.Keys) -> list[_Sheet]:
    ids = [photo_id for _, photo_id in keys]
    parts = [tuple(ids[start : start + listing.PAGE]) for start in range(0, len(ids), listing.PAGE)]
    return [
        _Sheet(f"{stem}-{number:04d}.html", city, part, number, len(parts))
        for number, part in enumerate(parts, start=1)
    ]


def _picture(workspace: Workspace, sha256: str) -> str:
    """Return a photo's thumbnail as an address that carries it."""
    try:
        kind, content = "jpeg", rendition(workspace, sha256, THUMBNAIL)
    except CannotShowError as error:
        kind, content = "svg+xml", placeholder(str(error))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _page(template: str, **values: object) -> bytes:
    return render(template, mark=_MARK, style=stylesheet(), **values).encode("utf-8", "backslashreplace")
