"""Folders of place recognition: a manifest's photos as the field's harnesses want them, with places in the files' names.

The convention is that of G. Berton's data sets and programs (VPR-datasets-downloader, VPR-methods-evaluation):
`images/test/database` and `images/test/queries`, and names of fourteen fields between `@`,

    @UTM east@UTM north@zone@letter@latitude@longitude@panorama@tile@heading@pitch@roll@height@time@note@.jpg

of which the harnesses read the first two. The panorama is the photo's sha256 here, by which rankings come back. UTM
(package `utm`) has zones of 6°: photos of two zones would seem near or far that are not, and are refused.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import utm

from collector.errors import DataError, UsageError, first_few
from collector.manifest.manifest import Manifest
from collector.records import Photo
from collector.text_table import counted
from collector.workspace import Workspace, draft_of, remove_drafts, storage_errors

FOLDERS = {"train": "test/database", "test": "test/queries", "val": "val/queries"}
"""Where each side goes; queries for validation ask the same gallery."""

FIELDS = 14


@dataclass(frozen=True, slots=True)
class Named:
    """What a file's name says; None where it says nothing."""

    latitude: float
    longitude: float
    panorama: str | None
    heading: float | None
    time: str | None
    note: str | None


def name_of(photo: Photo, zone: int | None) -> str:
    """Return the file's name of a photo that has a place and a digest, in a UTM zone.

    Raises:
        DataError: it has no place, or one beyond UTM's 80° S to 84° N.
    """
    latitude, longitude = photo.latitude, photo.longitude
    if latitude is None or longitude is None or not -80 <= latitude <= 84:
        raise DataError(f"photo {photo.photo_id}: UTM needs a place from 80° S to 84° N")
    east, north, number, letter = utm.from_latlon(latitude, longitude, force_zone_number=zone)
    heading = "" if photo.heading is None else f"{photo.heading:.2f}"
    time = photo.taken_at.strftime("%Y%m%d") if photo.taken_at else ""
    fields = [f"{east:010.2f}", f"{north:010.2f}", f"{number:02d}", letter, f"{latitude:.5f}", f"{longitude:.5f}"]
    return "@" + "@".join([*fields, str(photo.sha256), "", heading, "", "", "", time, "", ".jpg"])


def read_name(name: str) -> Named | None:
    """Return what a file's name says, None where it is not of the convention; UTM counts where degrees are missing."""
    fields = name.rpartition("/")[2].split("@")
    if len(fields) < 5 or fields[0]:
        return None
    fields += [""] * (FIELDS + 1 - len(fields))
    try:
        if fields[5] and fields[6]:
            latitude, longitude = float(fields[5]), float(fields[6])
        else:
            east, north, zone = float(fields[1]), float(fields[2]), int(fields[3])
            latitude, longitude = map(float, utm.to_latlon(east, north, zone, fields[4] or None, northern=None))
        heading = float(fields[9]) % 360 if fields[9] else None
    except (ValueError, utm.OutOfRangeError):
        return None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return None
    note = fields[14] if not fields[14].startswith(".") else ""
    return Named(latitude, longitude, fields[7] or None, heading, fields[13] or None, note or None)


@dataclass(frozen=True, slots=True)
class Written:
    """How many photos went to each side, and how many were left out since they have no place or no file here."""

    photos: Mapping[str, int]
    left_out: int


def export_vpr(manifest: Manifest, workspace: Workspace, folder: Path) -> Written:
    """Write the photos of a manifest below `folder`, which must be empty or new: linked where that works, else copied.

    Raises:
        UsageError: the folder holds something.
        DataError: no photo of the gallery or no query is left, or they lie too far apart for UTM.
    """
    if folder.is_dir():
        remove_drafts(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder}: is {'not empty' if folder.is_dir() else 'a file'}; name a new folder")
    chosen = {side: list(_with_files(manifest.photos(side), workspace)) for side in FOLDERS}
    if not chosen["train"] or not chosen["test"]:
        raise DataError("no gallery photo, or no query, has both a place and its file here; nothing was written")
    zone = _zone([photo for photos in chosen.values() for photo in photos])
    draft = draft_of(folder / "images")
    with storage_errors(folder):
        try:
            for side, photos in chosen.items():
                below = draft / FOLDERS[side]
                below.mkdir(parents=True)
                for photo in photos:
                    _link(workspace.photo(str(photo.sha256)), below / name_of(photo, zone))
            draft.rename(folder / "images")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    every = sum(len(manifest.photos(side)) for side in FOLDERS)
    counts = {side: len(photos) for side, photos in chosen.items()}
    return Written(counts, every - sum(counts.values()))


def _with_files(photos: Sequence[Photo], workspace: Workspace) -> Iterator[Photo]:
    for photo in photos:
        placed = photo.latitude is not None and photo.longitude is not None
        if placed and photo.sha256 and workspace.photo(photo.sha256).is_file():
            yield photo


def _zone(photos: Sequence[Photo]) -> int:
    """Return the zone of all photos: that of the middle one from west to east.

    Raises:
        DataError: some lie more than 9° from its meridian, where UTM is no longer true to scale.
    """
    ordered = sorted(photos, key=lambda photo: (photo.longitude or 0.0, photo.photo_id))
    middle = ordered[len(ordered) // 2]
    zone = utm.latlon_to_zone_number(middle.latitude, middle.longitude)
    meridian = utm.zone_number_to_central_longitude(zone)
    far = [photo.photo_id for photo in photos if abs(((photo.longitude or 0.0) - meridian + 180) % 360 - 180) > 9]
    if far:
        raise DataError(
            f"{counted(len(far), 'photos')} too far from UTM's zone {zone} ({first_few(far)}); export regions of a "
            "few degrees"
        )
    return int(zone)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
