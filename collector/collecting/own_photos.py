"""Photos that need nobody to be asked: in a publication, checked by its SHA256SUMS, or in a folder, known by their bytes."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from collector.errors import UsageError, one_line
from collector.manifest.manifest import Manifest
from collector.providers.base import ImageRequest
from collector.records import Photo

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](photos/[0-9a-f]{2}/([0-9a-f]{64})\.(?:jpg|png|webp))")


@dataclass(frozen=True, slots=True)
class OwnPhotos:
    """Photos of a manifest that are at hand as files.

    Attributes:
        files: path and sha256 of each file, by the sha256 of the photo's original.
        damaged: how many files are not what SHA256SUMS says, or are missing; they are not used.
    """

    files: dict[str, tuple[Path, str]] = field(default_factory=dict)
    damaged: int = 0

    name = "publication"

    def file_sha256(self, photo: Photo) -> str | None:
        """Return the sha256 of the file that stands for a photo; None where there is none."""
        return self.files[photo.sha256][1] if photo.sha256 in self.files else None

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return where a photo's file is."""
        if photo.sha256 not in self.files:
            raise UsageError(f"{photo.photo_id}: not among the photos at hand")
        return ImageRequest(self.files[photo.sha256][0].absolute().as_uri())


def own_photos(folder: Path) -> OwnPhotos:
    """Return the photos that lie in a publication's folder and are what its SHA256SUMS says; none where it has no such file.

    Names of files come from SHA256SUMS alone, and lead nowhere but below `photos/`.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return OwnPhotos()
    files: dict[str, tuple[Path, str]] = {}
    damaged = 0
    for match in filter(None, map(_LINE.fullmatch, lines)):
        said, name, original = match.groups()
        path = folder / name
        if not path.is_symlink() and path.is_file() and _digest(path) == said:
            files[original] = (path, said)
        else:
            damaged += 1
    return OwnPhotos(files, damaged)


def photos_below(folder: Path, manifest: Manifest) -> OwnPhotos:
    """Return the photos of a manifest that lie anywhere below a folder, whatever they are called: those with their bytes.

    Only files of a length that a photo has are read.

    Raises:
        UsageError: the folder is none, or cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: is no folder; --root wants the one that the photos lie below")
    wanted = set(manifest.table["sha256"].to_pylist())
    lengths = set(manifest.table["bytes"].to_pylist())
    files: dict[str, tuple[Path, str]] = {}
    unreadable: list[OSError] = []
    for parent, _, names in os.walk(folder, onerror=unreadable.append):
        for path in (Path(parent, name) for name in sorted(names)):
            try:
                digest = _digest(path) if path.is_file() and path.stat().st_size in lengths else ""
            except OSError as error:
                unreadable.append(error)
                continue
            if digest in wanted:
                files.setdefault(digest, (path, digest))
    if unreadable and not files:
        raise UsageError(f"{folder}: cannot be read ({one_line(unreadable[0])})")
    return OwnPhotos(files)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
