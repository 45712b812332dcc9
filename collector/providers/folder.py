"""Photos that lie on one's own disk, in folders named after cities or with GPS coordinates in their EXIF."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from collector.errors import UsageError
from collector.geo import distance_km
from collector.images.decode import MAX_PIXELS, open_image
from collector.images.exif import ExifFacts, clean_text, read_exif
from collector.providers.base import ImageRequest, Query
from collector.records import City, Photo, ProviderTraits, Region, Unusable
from collector.regions import fold, nearest_city

_LARGEST_READ = 64 << 20  # a longer file is no photo (examine.Limits) and is not read for its EXIF


TRAITS = ProviderTraits(rehydratable=False)


@dataclass
class FolderProvider:
    """Lists the files below `root`, hidden ones left out, in the order of their paths.

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
    _looked: dict[Path, tuple[str, ExifFacts, int]] = field(default_factory=dict, repr=False)
    _unreadable: list[OSError] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if not self.root.is_dir():
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
        """Yield the files that belong to no city of the region, and the folders that cannot be read."""
        for path in self._files().get(None, []):
            photo_id, facts, _ = self._looked.pop(path) if path in self._looked else self._look(path)
            yield Unusable(photo_id, "no-city", f"{self._label(path)}: {_why_unplaced(facts, self.region)}")
        for error in self._unreadable:
            path = Path(os.fsdecode(error.filename))
            photo_id = f"{self.name}:{_digest(os.fsencode(path.relative_to(self.root)))}"
            yield Unusable(photo_id, "unreadable", f"{self._label(path)}: {error.strerror}")

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return the file's URL."""
        return ImageRequest(self._paths[photo.photo_id].resolve().as_uri())

    def _files(self) -> dict[str | None, list[Path]]:
        if self._by_city is None:
            self._by_city = {}
            for path in _walk(self.root, self._unreadable.append):
                self._by_city.setdefault(self._city_of(path), []).append(path)
        return self._by_city

    def _city_of(self, path: Path) -> str | None:
        for folder in reversed((self.root.resolve().name, *path.relative_to(self.root).parts[:-1])):
            if slug := self._names.get(fold(folder)):
                return slug
        facts = self._looked.setdefault(path, self._look(path))[1]
        if facts.latitude is None or facts.longitude is None:
            return None
        nearest = nearest_city(self.region, facts.latitude, facts.longitude)
        return nearest.slug if nearest else None

    def _describe(self, path: Path, city: City) -> Photo | Unusable:
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
            author_id=f"{self.name}:{_digest(facts.author.encode())}" if facts.author else None,
            author_name=facts.author,
            license=self.licence,
            title=facts.title or clean_text(path.name),
            bytes=size,
            heading=facts.heading,
            position_accuracy_m=facts.position_accuracy_m,
        )

    def _look(self, path: Path) -> tuple[str, ExifFacts, int]:
        """Return the photo's id, its EXIF facts and its size.

        The id is made of the path below the root and the content: the same tree gives the same ids wherever it lies, and
        two files never share one.
        """
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= _LARGEST_READ else b""
        except OSError:  # told when its bytes are asked for
            size, data = 0, b""
        relative = path.relative_to(self.root).as_posix().encode("utf-8", "surrogateescape")
        content = hashlib.sha256(data).digest() if data else str(size).encode()
        return f"{self.name}:{_digest(relative + b'/' + content)}", _exif(data), size

    def _label(self, path: Path) -> str:
        return clean_text(path.relative_to(self.root).as_posix().encode("utf-8", "replace")) or "file"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _walk(root: Path, unreadable: Callable[[OSError], None]) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        for name in subfolders:
            if Path(folder, name).is_symlink():
                unreadable(
                    OSError(errno.ELOOP, "is a link to a folder, which is not followed", str(Path(folder, name)))
                )
        # A workspace below the root holds copies of what was collected from it.
        kept = (
            name
            for name in subfolders
            if not name.startswith(".") and not Path(folder, name, "catalogue.sqlite").exists()
        )
        subfolders[:] = sorted(kept)
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


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
