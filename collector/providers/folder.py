"""Photos that lie on one's own disk, in folders named after cities or with GPS coordinates in their EXIF."""

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from collector.errors import UsageError, did_you_mean
from collector.geo import distance_km
from collector.images.decode import MAX_PIXELS, open_image
from collector.images.exif import ExifFacts, clean_text, read_exif
from collector.manifest.photo_table import FileFinder, Matches, PhotoTable, Row
from collector.providers.base import ImageRequest, Query, SeenFile
from collector.records import City, Photo, ProviderTraits, Region, Unusable, normal_id
from collector.regions import fold, nearest_city, slugs_by_name

_LARGEST_READ = 64 << 20  # a longer file is no photo (examine.Limits) and is not read for its EXIF


TRAITS = ProviderTraits(rehydratable=False)


@dataclass
class FolderProvider:
    """Lists the files below `root`, hidden ones left out, in the order of their paths; what is no file is accounted for.

    A file belongs to the city that its row of the table names; else to the nearest city whose radius holds the row's place;
    else to the one that the innermost of its folders is named after; else to the nearest whose radius holds its EXIF
    coordinates. Coordinates that contradict the city make the file unusable: one of the two is wrong, and nobody here can
    say which.

    Attributes:
        root: the folder.
        region: the cities to sort into.
        licence: SPDX id or `LicenseRef-…` that all of these photos are under whose row says nothing.
        table: what is known of the files besides; it is believed before their EXIF and their folders.
    """

    root: Path
    region: Region
    licence: str = "LicenseRef-Unknown"
    table: PhotoTable | None = None
    name: str = "folder"
    _names: dict[str, str] = field(init=False, repr=False)
    _paths: dict[str, Path] = field(default_factory=dict, repr=False)
    _by_city: dict[str | None, list[Path]] | None = field(default=None, repr=False)
    _looked: dict[Path, "_Look"] = field(default_factory=dict, repr=False)
    _problems: dict[Path, tuple[str, str]] = field(default_factory=dict, repr=False)
    _seen: dict[bytes, SeenFile] = field(default_factory=dict, repr=False)
    _there: set[bytes] = field(default_factory=set, repr=False)
    _matches: Matches = field(default_factory=lambda: Matches({}, {}, {}), repr=False)

    def __post_init__(self) -> None:
        if not os.path.isdir(self.root):  # Path.is_dir raises on names that are too long and folders one may not enter
            raise UsageError(f"--root {self.root}: no such folder")
        self._names = slugs_by_name(self.region)

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
                yield Unusable(look.photo_id, *self._why_unplaced(path, look.facts))
        for number, why in self._matches.without_file.items():
            yield self._without_file(number, why)

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
            self._there |= {_row_key(self.table.row(number)) for number in self._matches.without_file if self.table}
        unreadable = [self._below(path) for path, (reason, _) in self._problems.items() if reason == "unreadable"]
        return path in self._there or any(folder == b"." or path.startswith(folder + b"/") for folder in unreadable)

    @property
    def account(self) -> dict[str, int] | None:
        """How many rows of the table and files of the folder found each other; None without a table."""
        if self.table is None:
            return None
        listed = [path for paths in self._files().values() for path in paths if path not in self._problems]
        with_row = sum(path in self._matches.row_of for path in listed)
        return {
            "rows": len(self.table),
            "rows without a file": len(self._matches.without_file),
            "files": len(listed),
            "files without a row": len(listed) - with_row,
        }

    @cached_property
    def foreign_folders(self) -> dict[str, int]:
        """Names of folders that no city of the region has, and how many files without a city lie there."""
        names = (path.parent.name for path in self._files().get(None, []) if path.parent != self.root)
        return dict(Counter(names))

    def beside(self, photo: Photo) -> dict[str, str]:
        """Return what the table says of a photo beside the columns that t15 knows, where that is kept."""
        row = self._row(self._paths[photo.photo_id])
        return self.table.beside(row.number) if row and self.table else {}

    def image_request(self, photo: Photo) -> ImageRequest:
        """Return the file's URL."""
        return ImageRequest(self._paths[photo.photo_id].resolve().as_uri())

    def _files(self) -> dict[str | None, list[Path]]:
        if self._by_city is None:
            self._by_city = {}
            walked = [(path, problem) for path, problem in _walk(self.root) if not self._is_table(path)]
            self._problems.update({path: problem for path, problem in walked if problem})
            if self.table:
                rows = [(row.number, str(row.file), row.city) for row in map(self.table.row, range(len(self.table)))]
                self._matches = FileFinder(self.root, [path for path, _ in walked], rows).match()
            for path, _ in walked:
                self._by_city.setdefault(self._city_of(path), []).append(path)
        return self._by_city

    def _is_table(self, path: Path) -> bool:
        own = self.table.path if self.table else None
        return own is not None and own.name == path.name and os.path.realpath(own) == os.path.realpath(path)

    def _row(self, path: Path) -> Row | None:
        number = self._matches.row_of.get(path)
        return None if number is None or self.table is None else self.table.row(number)

    def _city_of(self, path: Path) -> str | None:
        row = self._row(path)
        if row and row.city is not None:
            return self._names.get(fold(row.city))
        if row and row.latitude is not None and row.longitude is not None:
            nearest = nearest_city(self.region, row.latitude, row.longitude)
            return nearest.slug if nearest else None
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
        row = self._row(path) or Row(-1)
        author_id = row.author_id or facts.author
        return Photo(
            photo_id=photo_id,
            city=city.slug,
            latitude=facts.latitude,
            longitude=facts.longitude,
            taken_at=facts.taken_at,
            author_id=f"{self.name}:{_digest(normal_id(author_id).encode())}" if author_id else None,
            author_name=facts.author,
            license=row.license or self.licence,
            page_url=row.page,
            title=facts.title or clean_text(path.name),
            bytes=size,
            heading=facts.heading,
            position_accuracy_m=facts.position_accuracy_m,
            sequence_id=f"{self.name}:{_digest(normal_id(row.sequence).encode())}" if row.sequence else None,
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
        return _Look(photo_id, _with_row(_exif(data), self._row(path)), size)

    def _why_unplaced(self, path: Path, facts: ExifFacts) -> tuple[str, str]:
        row = self._row(path)
        if row and row.city is not None and self.table:
            place, city = self.table.place(row.number), clean_text(row.city) or ""
            near = did_you_mean(city, [city.name for city in self.region.cities])
            return (
                "unknown-city",
                f"{self._label(path)}: {place} says {city[:60]!r}: no city of {self.region.name}{near}",
            )
        return "no-city", f"{self._label(path)}: {_why_unplaced(facts, self.region)}"

    def _without_file(self, number: int, why: str) -> Unusable:
        assert self.table is not None  # noqa: S101 (rows are of one)
        row = self.table.row(number)
        key, photo_id = _row_key(row), f"{self.name}:{_digest(_row_key(row))}"
        self._seen[key] = SeenFile(key, photo_id)
        name = clean_text(row.file) or "file"
        return Unusable(photo_id, "row-without-file", f"{name}: {why} ({self.table.place(number)})")

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


def _row_key(row: Row) -> bytes:
    """Return what stands for a row's missing file among the files: a path that none can have."""
    return str(row.file).encode("utf-8", "replace") + b"\0row"


def _with_row(facts: ExifFacts, row: Row | None) -> ExifFacts:
    """Return what is known of a file: what its row says, and else its EXIF."""
    if row is None:
        return facts
    facts = replace(
        facts,
        taken_at=row.time or facts.taken_at,
        author=(clean_text(row.author) if row.author else None) or facts.author,
        title=(clean_text(row.title) if row.title else None) or facts.title,
        heading=facts.heading if row.heading is None else row.heading,
    )
    if row.latitude is None:
        return facts
    # What the EXIF says of an accuracy is not about this place.
    return replace(facts, latitude=row.latitude, longitude=row.longitude, position_accuracy_m=None)


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
        if path.suffix.casefold() not in _TABLES:
            return None
        return "table", "is a table, no photo: --table FILE takes what it knows of the photos"
    kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "something else")
    return "no-file", f"is {kind}, not a file"


_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
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
