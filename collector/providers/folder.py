"""Photos that lie on one's own disk, in folders named after cities or with GPS coordinates in their EXIF."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from collector.errors import UsageError
from collector.geo import distance_km
from collector.images.decode import MAX_PIXELS, open_image
from collector.images.exif import ExifFacts, clean_text, read_exif
from collector.providers.base import ImageRequest, Query, SeenFile
from collector.records import City, Photo, ProviderTraits, Region, Unusable, normal_id
from collector.regions import fold, nearest_city

_LARGEST_READ = 64 << 20  # a longer file is no photo (examine.Limits) and is not read for its EXIF


TRAITS = ProviderTraits(rehydratable=False)


@dataclass
class FolderProvider:
    """Lists the files below `root`, hidden ones left out, in the order of their paths; what is no file is accounted for.

    A file belongs to the city that the innermost of its folders is named after; a file in no such folder to the nearest
    city whose radius holds its EXIF coordinates. Coordinates that contradict the folder make the file unusable: one of
    the two is wrong, and nobody here can say which.

    Attributes:
        root: the folder.
        region: the cities to sort into.
        licence: SPDX id or `LicenseRef-…` that all of these photos are under.
    """

    root: Path
    region: Region
    licence: str = "LicenseRef-Unknown"
    name: str = "folder"
    _names: dict[str, str] = field(init=False, repr=False)
    _paths: dict[str, Path] = field(default_factory=dict, repr=False)
    _by_city: dict[str | None, list[Path]] | None = field(default=None, repr=False)
    _looked: dict[Path, "_Look"] = field(default_factory=dict, repr=False)
    _problems: dict[Path, tuple[str, str]] = field(default_factory=dict, repr=False)
    _seen: dict[bytes, SeenFile] = field(default_factory=dict, repr=False)
    _there: set[bytes] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        if not os.path.isdir(self.root):  # Path.is_dir raises on names that are too long and folders one may not enter
            raise UsageError(f"--root {self.root}: is no folder")
        self._names = {
            fold(name): city.slug
            for city in self.region.cities
            for name in (city.slug, city.name, city.centre, *city.aliases)
            if name
        }

    def search(self, city: City, query: Query) -> Iterator[Photo | Unusable]:
        """Yield the files of a city as photos, and those whose coordinates contradict their folder as unusable."""
        photos = 0
        for path in self._files().get(city.slug, []):
            if photos == query.limit:
                return
            found = self._describe(path, city)
            photos += isinstance(found, Photo)
            yield found

    def unplaced(self) -> Iterator[Unusable]:
        """Yield the files and folders that belong to no city of the region, each with its reason."""
        for path in self._files().get(None, []):
            if path in self._problems:
                yield self._problem(path, None)
            else:
                look = self._looked.pop(path) if path in self._looked else self._look(path)
                yield Unusable(
                    look.photo_id, "no-city", f"{self._label(path)}: {_why_unplaced(look.facts, self.region)}"
                )

    @property
    def root_path(self) -> bytes:
        """The folder's absolute path."""
        return os.fsencode(self.root.resolve())

    def seen_files(self) -> Iterator[SeenFile]:
        """Yield what was met so far; what is no readable file has a path that no file can have."""
        yield from self._seen.values()

    def has_file(self, path: bytes) -> bool:
        """Return whether the folder has something at a path below it, or holds an unreadable folder where it may lie."""
        if not self._there:
            for listed in chain.from_iterable(self._files().values()):
                self._there |= {self._below(listed), self._key(listed)}
        unreadable = [self._below(path) for path, (reason, _) in self._problems.items() if reason == "unreadable"]
        return path in self._there or any(folder == b"." or path.startswith(folder + b"/") for folder in unreadable)

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return the file's URL."""
        return ImageRequest(self._paths[photo.photo_id].resolve().as_uri())

    def _files(self) -> dict[str | None, list[Path]]:
        if self._by_city is None:
            self._by_city = {}
            for path, problem in _walk(self.root):
                if problem:
                    self._problems[path] = problem
                self._by_city.setdefault(self._city_of(path), []).append(path)
        return self._by_city

    def _city_of(self, path: Path) -> str | None:
        for folder in reversed((self.root.resolve().name, *path.relative_to(self.root).parts[:-1])):
            if slug := self._names.get(fold(folder)):
                return slug
        if path in self._problems:
            return None
        facts = self._looked.setdefault(path, self._look(path)).facts
        if facts.latitude is None or facts.longitude is None:
            return None
        nearest = nearest_city(self.region, facts.latitude, facts.longitude)
        return nearest.slug if nearest else None

    def _describe(self, path: Path, city: City) -> Photo | Unusable:
        if path in self._problems:
            return self._problem(path, city.slug)
        photo_id, facts, size = self._looked.pop(path) if path in self._looked else self._look(path)
        if facts.latitude is not None and facts.longitude is not None:
            km = distance_km(city.latitude, city.longitude, facts.latitude, facts.longitude)
            if km > city.radius_km:
                detail = f"{self._label(path)}: taken {km:.0f} km from the centre of {city.name}, whose radius is"
                return Unusable(photo_id, "outside-city", f"{detail} {city.radius_km:g} km", city.slug)
        self._paths[photo_id] = path
        return Photo(
            photo_id=photo_id,
            city=city.slug,
            latitude=facts.latitude,
            longitude=facts.longitude,
            taken_at=facts.taken_at,
            author_id=f"{self.name}:{_digest(normal_id(facts.author).encode())}" if facts.author else None,
            author_name=facts.author,
            license=self.licence,
            title=facts.title or clean_text(path.name),
            bytes=size,
            heading=facts.heading,
            position_accuracy_m=facts.position_accuracy_m,
        )

    def _look(self, path: Path) -> "_Look":
        """Return the photo's id, its EXIF facts and its size.

        The id is made of the path below the root and the content: the same tree gives the same ids wherever it lies, and
        two files never share one.
        """
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= _LARGEST_READ else b""
        except OSError:  # told when its bytes are asked for
            size, data = 0, b""
        below, content = self._below(path), hashlib.sha256(data)
        photo_id = f"{self.name}:{_digest(below + b'/' + (content.digest() if data else str(size).encode()))}"
        self._seen[below] = SeenFile(below, photo_id, content.hexdigest() if data else "")
        return _Look(photo_id, _exif(data), size)

    def _problem(self, path: Path, city: str | None) -> Unusable:
        reason, detail = self._problems[path]
        key = self._key(path)
        photo_id = f"{self.name}:{_digest(self._below(path))}"
        self._seen[key] = SeenFile(key, photo_id)
        return Unusable(photo_id, reason, f"{self._label(path)}: {detail}", city)

    def _below(self, path: Path) -> bytes:
        return os.fsencode(path.relative_to(self.root))

    def _key(self, path: Path) -> bytes:
        return self._below(path) + b"\0" * (path in self._problems)

    def _label(self, path: Path) -> str:
        return clean_text(path.relative_to(self.root).as_posix().encode("utf-8", "replace")) or "file"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


class _Look(NamedTuple):
    photo_id: str
    facts: ExifFacts
    size: int


_Problem = tuple[str, str]
"""Why something is no file to read: a reason and words for it."""


def _walk(root: Path) -> Iterator[tuple[Path, _Problem | None]]:
    """Yield everything below a folder but hidden things and other folders, in the order of the paths, with what is wrong."""
    unreadable: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append):
        links = sorted(name for name in subfolders if not name.startswith(".") and os.path.islink(Path(folder, name)))
        # A workspace below the root holds copies of what was collected from it.
        kept = (
            name
            for name in subfolders
            if not name.startswith(".") and not os.path.exists(os.path.join(folder, name, "catalogue.sqlite"))
        )
        subfolders[:] = sorted(kept)
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(folder, name), _problem_of(Path(folder, name))
        for name in links:
            yield Path(folder, name), ("folder-link", "is a link to a folder, which is not followed")
    for error in unreadable:
        yield Path(os.fsdecode(error.filename)), ("unreadable", error.strerror or "cannot be read")


def _problem_of(path: Path) -> _Problem | None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if not os.path.islink(path):
            return "unreadable", error.strerror or "cannot be read"
        if error.errno == errno.ELOOP:
            return "broken-link", "is a link that leads back to itself"
        target = clean_text(os.fsencode(os.readlink(path))) or "somewhere"
        return "broken-link", f"is a link to {target}, which {_NOT_THERE.get(error.errno or 0, 'cannot be read')}"
    if stat.S_ISREG(mode):
        return None
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "something else")
    return "no-file", f"is {kind}, not a file"


_NOT_THERE = {errno.ENOENT: "is not there", errno.ENOTDIR: "is not there"}
_KINDS = (  # what is there instead of a file
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _exif(data: bytes) -> ExifFacts:
    try:
        with open_image(data) as image:
            # A PNG is decoded to find its EXIF behind the pixels.
            return read_exif(image) if image.width * image.height <= MAX_PIXELS else ExifFacts()
    except Exception:  # noqa: BLE001 (a file that does not open has no EXIF; why it does not is told by `examine`)
        return ExifFacts()


def _why_unplaced(facts: ExifFacts, region: Region) -> str:
    if facts.latitude is None or facts.longitude is None:
        return "in no folder named after a city, and without EXIF coordinates"
    return f"taken at {facts.latitude:.4f}, {facts.longitude:.4f}, in the radius of no city of {region.name}"
