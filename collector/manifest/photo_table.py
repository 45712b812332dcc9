"""A table of photos beside their folder: what each row says of its file, and which file of the folder a row means.

The columns are guessed from their names, as an audit guesses them, or named. The table is believed before the EXIF and the
folders' names; what it leaves empty, they tell.
"""

import json
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from collector.errors import DataError, UsageError
from collector.licences import licence_of
from collector.manifest.columns import PLACE, RANGES, Values, choose, held, known_places
from collector.manifest.read_table import Source, open_table
from collector.manifest.schema import SECRET
from collector.regions import fold

FILE_NAMES = ("file", "file_name", "filename", "path", "file_path", "filepath", "image", "img", "image_path", "img_path",
              "image_file", "image_name", "photo", "picture", "relative_path")  # fmt: skip
"""What other data sets call the column of the files."""

_OTHERS: dict[str, tuple[str, ...]] = {
    "file": FILE_NAMES[1:],
    "city": ("city_name", "label", "class", "category"),
    "latitude": ("lat",),
    "longitude": ("lon", "lng", "long"),
    "heading": ("compass_angle", "bearing", "yaw", "azimuth", "ca"),
    "author": ("author_name", "photographer", "creator", "artist", "user_name", "username", "owner_name", "uploader"),
    "author_id": ("user_id", "user", "owner", "owner_id", "nsid"),
    "license": ("licence", "license_id", "licence_id", "license_url"),
    "title": ("caption", "description"),
    "time": ("taken_at", "datetime", "date_time", "timestamp", "captured_at", "date_taken", "date"),
    "page": ("page_url", "source_url", "landing_page", "web_page", "url"),
    "sequence": ("sequence_id", "sequence_key", "sequence_uuid"),
    "split": ("subset", "fold", "partition", "set"),
}

NAMES = {name: (name, *others) for name, others in _OTHERS.items()}
"""Columns that are used, and what other data sets call them: the first name that a file has is taken."""

ALIASES = {"licence": "license", "lat": "latitude", "lon": "longitude", **{of: "file" for of in FILE_NAMES[1:4]},
           "author_name": "author", "taken_at": "time", "page_url": "page", "sequence_id": "sequence"}  # fmt: skip
"""Other words for NAMES that `--column` takes."""

_YEARS = (1800, 2200)
_UTC = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Row:
    """What a table says of a file; None for what it does not say. Texts are hostile.

    Attributes:
        number: of the row, from 0.
        file: the path as it stands there, slashes as `/`.
        city: the name of the city.
        latitude, longitude: degrees WGS84.
        heading: degrees clockwise from north, 0 up to 360.
        author: the name to credit.
        author_id: what photos of one author share; the name where the table has no such column.
        license: SPDX id or `LicenseRef-…`.
        title: of the photo.
        time: when it was taken, UTC.
        page: address of a page about it.
        sequence: what photos of one drive or walk share.
    """

    number: int
    file: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    heading: float | None = None
    author: str | None = None
    author_id: str | None = None
    license: str | None = None
    title: str | None = None
    time: datetime | None = None
    page: str | None = None
    sequence: str | None = None


_OF_ROW = frozenset(of.name for of in fields(Row))


@dataclass(frozen=True, slots=True)
class PhotoTable:
    """A table of photos that was read and checked.

    Attributes:
        source: the file.
        columns: our name of a column to the file's.
        values: by our names, row by row.
        others: columns of the file that none of ours is.
        kept: what those hold, as texts (Arrow's, a fifth of what Python's would take), where they are to be kept.
    """

    source: Source
    columns: Mapping[str, str]
    values: Mapping[str, Sequence[Any]]
    others: tuple[str, ...]
    kept: Mapping[str, pa.ChunkedArray] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def row(self, number: int) -> Row:
        """Return a row; rows are numbered from 0."""
        values = {name: column[number] for name, column in self.values.items() if name in _OF_ROW}
        values.setdefault("author_id", values.get("author"))
        return Row(number, **values)

    def beside(self, number: int) -> dict[str, str]:
        """Return what a row says beside our columns, where that is kept."""
        return {name: value for name, texts in self.kept.items() if (value := texts[number].as_py()) is not None}

    def place(self, number: int) -> str:
        """Return how an error names a row: `photos.csv line 12`."""
        return f"{self.path.name} {self.source.place(number)}"

    def described(self) -> str:
        """Return a line that says what was taken for what."""
        taken = [ours if ours == theirs else f"{ours} from {theirs}" for ours, theirs in self.columns.items()]
        unused = f"; not used: {', '.join(name[:60] for name in self.others)}" if self.others else ""
        return f"{self.path}: {len(self)} rows; columns: {', '.join(taken)}{unused} (--column city=NAME names another)"


def read_photo_table(path: Path, columns: Mapping[str, str] | None = None) -> PhotoTable:
    """Return the rows of a CSV, TSV, JSON Lines or Parquet file that says something of files; `columns` as in NAMES.

    Raises:
        UsageError: there is no such file, or a column is named that does not exist.
        DataError: the file or a value is wrong; the message names the row and the column.
    """
    source = open_table(path)
    given = {ALIASES.get(name, name): of for name, of in (columns or {}).items()}
    return table_of(source, choose(source, given, NAMES))


def table_of(source: Source, chosen: Mapping[str, str], *, keep: bool = False) -> PhotoTable:
    """Return the rows of an opened file whose columns were chosen; with `keep`, its other columns too.

    Raises:
        DataError: as `read_photo_table` says.
    """
    path = source.path
    if "file" not in chosen:
        raise DataError(f"{path}: no column tells the file; name it with --column file=NAME; {held(source)}")
    others = tuple(name for name in dict.fromkeys(source.names) if name and name not in chosen.values())
    raw = source.read(list(dict.fromkeys([*chosen.values(), *(others if keep else ())])))
    if not raw.num_rows:
        raise DataError(f"{path}: has no rows")
    values = checked_values(Values(source, chosen, raw))
    _check_files(Values(source, chosen, raw), values["file"])
    return PhotoTable(source, chosen, values, others, {name: _as_it_is(source, raw, name) for name in others if keep})


def _as_it_is(source: Source, raw: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column that none of ours is as texts, whatever it is called; lists and objects as JSON."""
    column = raw[name]
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        values = (None if value is None else json.dumps(value, default=str) for value in column.to_pylist())
        return pa.chunked_array([pa.array(values, pa.string())])
    return Values(source, {_KEPT: name}, raw).text(_KEPT)


_KEPT = "kept"  # no name of a column of ours, whose values would be checked


def checked_values(values: Values) -> dict[str, list[Any]]:
    """Return the columns as Python values, checked: numbers, times, licences and addresses.

    Raises:
        DataError: a value is wrong.
    """
    table = {}
    for name in values.chosen:
        if name == "time":
            table[name] = _times(values)
        else:
            table[name] = values.numbers(name) if name in RANGES else values.text(name)
    if "latitude" in table:
        values.check_places(table)
        table.update(known_places(*(table[name] for name in PLACE)))
    lists: dict[str, list[Any]] = {name: column.to_pylist() for name, column in table.items()}
    if "heading" in lists:
        lists["heading"] = [None if degrees is None else degrees % 360.0 for degrees in lists["heading"]]
    if "license" in lists:
        lists["license"] = _each(values, "license", lists["license"], lambda text: licence_of(text).id)
    if "page" in lists:
        lists["page"] = _each(values, "page", lists["page"], _page)
    return lists


def _each(values: Values, name: str, texts: Sequence[str | None], read: Callable[[str], Any]) -> list[Any]:
    """Return what `read` makes of each text; each different one is read once.

    Raises:
        DataError: it refuses one with a UsageError.
    """
    converted: dict[str | None, Any] = {None: None}
    for row, text in enumerate(texts):
        if text is not None and text not in converted:
            try:
                converted[text] = read(text)
            except UsageError as error:
                place = f"{values.source.path}: {values.source.place(row)}, column {values.chosen[name][:60]}"
                raise DataError(f"{place}: {error}") from error
    return [converted[text] for text in texts]


def _page(text: str) -> str:
    if not re.match(r"https?://[^/\s]", text, re.IGNORECASE) or len(text) > 8000:
        raise UsageError(f"{text[:60]!r} must be an address that begins with http:// or https://")
    if SECRET.search(text):
        raise UsageError("the address must not carry a key or a signature")
    return text


def _times(values: Values) -> pa.ChunkedArray:
    """Return the column of times as UTC; one without a zone is taken as UTC, as cameras' clocks are.

    Raises:
        DataError: a value is no time, or of no year that photos are of.
    """
    column = values.raw[values.chosen["time"]]
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        texts = _each(values, "time", values.text("time").to_pylist(), _time)
        return pa.chunked_array([pa.array(texts, _UTC)])
    zone = getattr(column.type, "tz", None)
    # The year of the column as it is: microseconds do not reach as far as seconds do. Below them nothing is kept.
    years = pc.year(column.cast(pa.timestamp(column.type.unit)) if zone else column)
    good = pc.and_(pc.greater_equal(years, _YEARS[0]), pc.less_equal(years, _YEARS[1]))
    values.require("time", good, f"must be of the years {_YEARS[0]} to {_YEARS[1]}")
    column = column.cast(pa.timestamp("us", tz=zone), safe=False)
    return column.cast(_UTC) if zone else pc.assume_timezone(column, "UTC")


def _time(text: str) -> datetime:
    """Return a time of ISO 8601, as EXIF writes it (`2019:06:01 12:00:00`), a year, or seconds or milliseconds since 1970.

    Raises:
        UsageError: it is none of these.
    """
    plain = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text.strip())
    plain = re.sub(r"\s*UTC$", "Z", plain)
    try:
        if re.fullmatch(r"\d{9,11}(\.\d+)?", plain):
            moment = datetime.fromtimestamp(float(plain), UTC)
        elif re.fullmatch(r"\d{12,14}", plain):
            moment = datetime.fromtimestamp(int(plain) / 1000, UTC)
        elif re.fullmatch(r"\d{4}(-\d\d)?", plain):
            moment = datetime.combine(date.fromisoformat(f"{plain}-01-01"[:10]), datetime.min.time(), UTC)
        else:
            moment = datetime.fromisoformat(plain)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"{text[:60]!r} is no time (such as 2019-06-01T12:00:00Z)") from error
    if not _YEARS[0] <= moment.year <= _YEARS[1]:
        raise UsageError(f"{text[:60]!r} must be of the years {_YEARS[0]} to {_YEARS[1]}")
    return moment


def _check_files(values: Values, files: list[str | None]) -> None:
    """Bring paths into one spelling, and refuse rows without a file and files with two rows.

    Raises:
        DataError: there are such.
    """
    first: dict[str, int] = {}
    for row, file in enumerate(files):
        if file is None:
            values.fail("file", row, "must not be missing")
        files[row] = plain = path_key(file)
        if (other := first.setdefault(plain, row)) != row:
            values.fail("file", row, f"must be unique, but is that of {values.source.place(other)} too")


def path_key(path: str) -> str:
    """Return a path in the one spelling that is compared: `/` between folders, NFC, no `./` before it."""
    plain = unicodedata.normalize("NFC", path.replace("\\", "/"))
    return re.sub(r"/+", "/", re.sub(r"^(\./)+", "", plain))


class Matches(NamedTuple):
    """Which file each row means.

    Attributes:
        row_of: number of the row, by file.
        without_file: numbers of the rows that no file is meant by, or one that an earlier row means, each with why.
        again: the file of the rows that mean one as an earlier row does.
    """

    row_of: dict[Path, int]
    without_file: dict[int, str]
    again: dict[int, Path]


@dataclass
class FileFinder:
    """Finds the files below a root that a table means.

    Attributes:
        root: the folder.
        files: those below it.
        rows: number, path and city of each row of the table.
    """

    root: Path
    files: Sequence[Path]
    rows: Sequence[tuple[int, str, str | None]]

    @cached_property
    def _path_of_key(self) -> dict[str, Path]:
        return {self._key(path): path for path in self.files}

    def _key(self, path: Path) -> str:
        below = os.fsencode(path.relative_to(self.root)).decode("utf-8", "replace")
        return unicodedata.normalize("NFC", below.replace(os.sep, "/"))

    @cached_property
    def _by_end(self) -> dict[int, dict[str, list[str]]]:
        """The files' keys by the end of their path, with and without the name's ending; by how many folders it has."""
        return {}

    def _ending_with(self, folders: Sequence[str], name: str) -> Sequence[str]:
        count = len(folders)
        if count not in self._by_end:
            keys = self._by_end.setdefault(count, {})
            for key in self._path_of_key:
                parts = key.split("/")
                if len(parts) > count:
                    above, own = parts[-count - 1 : -1], parts[-1]
                    for called in {own, own.rpartition(".")[0] or own}:
                        keys.setdefault("/".join((*above, called)), []).append(key)
        return self._by_end[count].get("/".join((*folders, name)), ())

    @cached_property
    def _by_folder(self) -> dict[tuple[str, str], list[str]]:
        """The files' keys by name, with and without its ending, and each of the folders that they lie in, folded."""
        keys: dict[tuple[str, str], list[str]] = {}
        folded: dict[str, str] = {}
        for key in self._path_of_key:
            *folders, own = key.split("/")
            for folder in {folded.setdefault(of, fold(of)) for of in folders}:
                for called in {own, own.rpartition(".")[0] or own}:
                    keys.setdefault((called, folder), []).append(key)
        return keys

    @cached_property
    def _root_name(self) -> str:
        return self.root.resolve().name

    @cached_property
    def _shared(self) -> int:
        """How many folders, from the left, all rows' paths begin with."""
        folders = sorted({tuple(_parts(file)[:-1]) for _, file, _ in self.rows})
        return next((n for n, pair in enumerate(zip(folders[0], folders[-1], strict=False)) if pair[0] != pair[1]),
                    min(len(folders[0]), len(folders[-1]))) if folders else 0  # fmt: skip

    def find(self, file: str, city: str | None = None) -> Path | str:
        """Return the file that a table's path means, or why there is none.

        A path is one below the root. Folders before it are left away where all rows have them (`/data/set/berlin/1.jpg`),
        or the last of them is called as the root. The end of a path, such as a name alone, is the only file that ends so,
        or the one in a folder called as the row's city; a name without an ending has any.
        """
        parts = _parts(file)
        for cut in range(len(parts)):
            allowed = cut <= self._shared or parts[cut - 1] == self._root_name
            if allowed and (path := self._path_of_key.get("/".join(parts[cut:]))):
                return path
        folders = parts[self._shared : -1]
        keys = self._ending_with(folders, parts[-1])
        if len(keys) > 1 and city is not None:
            in_city = self._by_folder.get((parts[-1], fold(city)), ())
            keys = [key for key in in_city if _ends_with(key, folders)] or keys
        if len(keys) == 1:
            return self._path_of_key[keys[0]]
        return "no such file" if not keys else f"{len(keys)} files are called so, such as {keys[0]}"

    def match(self) -> Matches:
        """Return which file each row means; a file that two rows mean is the first one's."""
        row_of: dict[Path, int] = {}
        without: dict[int, str] = {}
        again: dict[int, Path] = {}
        for number, file, city in self.rows:
            path = self.find(file, city)
            if isinstance(path, str):
                without[number] = path
            elif path in row_of:
                without[number] = f"means {self._key(path)}, as an earlier row does"
                again[number] = path
            else:
                row_of[path] = number
        return Matches(row_of, without, again)


def _parts(file: str) -> list[str]:
    return file.strip("/").split("/")


def _ends_with(key: str, folders: Sequence[str]) -> bool:
    own = key.split("/")[:-1]
    return not folders or own[-len(folders) :] == list(folders)
