"""What the pictures of somebody's split tell that its table does not: bytes, looks, and what their EXIF says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from collector.errors import DataError, UsageError, first_few
from collector.executors.local import map_in_order
from collector.images.decode import open_image
from collector.images.exif import ExifFacts, read_exif
from collector.images.validate import Examined, Limits, NotUsableError, examine
from collector.manifest.columns import Values, choose
from collector.manifest.foreign import Foreign
from collector.manifest.photo_table import FILE_NAMES, FileFinder, path_key
from collector.manifest.read_table import open_table
from collector.progress import Track, silent

_AT_ONCE = 256  # pictures whose findings wait
_LIMITS = Limits(min_side=1)

_Told = tuple[Examined | None, ExifFacts]


@dataclass(frozen=True, slots=True)
class WithPictures:
    """A table with what its pictures told.

    Attributes:
        foreign: the table; columns that it had are as they were.
        read: pictures that were read.
        added: columns that they gave.
        without: rows whose picture is not there or cannot be read, each with why.
    """

    foreign: Foreign
    read: int
    added: tuple[str, ...]
    without: tuple[str, ...]

    @property
    def remark(self) -> str:
        """What an audit has to say of it."""
        lacking = f"; without one: {len(self.without)} ({first_few(self.without)})" if self.without else ""
        return f"pictures of {self.read} of {self.foreign.table.num_rows} rows were read{lacking}"


def with_pictures(
    foreign: Foreign, root: Path, columns: Mapping[str, str] | None = None, track: Track = silent
) -> WithPictures:
    """Read the pictures of a table's rows below `root`, and add what the table does not say of them.

    The file of a row is that of its column of files, else of its id; found as a table beside a folder finds it.

    Raises:
        UsageError: there is no such folder or column.
        DataError: no row has a picture there.
    """
    if not os.path.isdir(root):
        raise UsageError(f"--root {root}: no such folder")
    files = _files(foreign, {name: of for name, of in (columns or {}).items() if name == "file"})
    cities = foreign.table["city"].to_pylist() if "city" in foreign.table.column_names else [None] * len(files)
    rows = [(row, path_key(file), cities[row]) for row, file in enumerate(files) if file]
    listed = [Path(folder, name) for folder, _, names in sorted(os.walk(root)) for name in sorted(names)]
    finder = FileFinder(root, listed, rows)
    path_of = {row: path for row, file, city in rows if isinstance(path := finder.find(file, city), Path)}
    if not path_of:
        such = f", such as {first_few([file for _, file, _ in rows], most=2)}" if rows else ""
        raise DataError(
            f"{foreign.path}: no row has its picture below {root}{such}; name the column with --column file=NAME"
        )
    told = dict(
        zip(path_of, track(map_in_order(_look, list(path_of.values()), _AT_ONCE), "reading", len(path_of)), strict=True)
    )
    missing = [file for row, file, _ in rows if row not in path_of]
    broken = [files[row] or "" for row, (examined, _) in told.items() if examined is None]
    added = _columns(foreign, told)
    table = foreign.table
    for name, values in added.items():
        table = table.append_column(name, pa.chunked_array([values]))
    return WithPictures(
        replace(foreign, table=table), len(path_of) - len(broken), tuple(added), tuple([*missing, *broken])
    )


def _files(foreign: Foreign, given: Mapping[str, str]) -> list[str | None]:
    source = open_table(foreign.path)
    chosen = choose(source, given, {"file": FILE_NAMES})
    if "file" not in chosen:
        ids: list[str | None] = foreign.table["photo_id"].to_pylist()
        return ids
    texts: list[str | None] = Values(source, chosen, source.read([chosen["file"]])).text("file").to_pylist()
    return texts


def _look(path: Path) -> _Told:
    try:
        data = path.read_bytes() if path.stat().st_size <= _LIMITS.max_bytes else b""
        examined = examine(data, _LIMITS)
        with open_image(data) as image:
            return examined, read_exif(image)
    except (OSError, NotUsableError):
        return None, ExifFacts()


def _columns(foreign: Foreign, told: Mapping[int, _Told]) -> dict[str, pa.Array]:
    """Return the columns that the table lacks and the pictures tell."""
    has = set(foreign.table.column_names)
    nothing: _Told = (None, ExifFacts())
    rows = [told.get(row, nothing) for row in range(foreign.table.num_rows)]
    of_bytes = {
        "sha256": [examined and examined.sha256 for examined, _ in rows],
        "phash": [examined and examined.hashes.phash for examined, _ in rows],
        "dhash": [examined and examined.hashes.dhash for examined, _ in rows],
    }
    degrees = {"latitude": [of.latitude for _, of in rows], "longitude": [of.longitude for _, of in rows]}
    text, number = partial(pa.array, type=pa.string()), partial(pa.array, type=pa.float64())
    made = {name: text(values) for name, values in of_bytes.items() if name not in has}
    if "phash" in has or "dhash" in has:  # theirs may be of another algorithm
        made = {name: values for name, values in made.items() if name == "sha256"}
    made |= {name: number(values) for name, values in degrees.items() if not has & set(degrees)}
    made |= {"author_id": text([of.author for _, of in rows])} if "author_id" not in has else {}
    return {name: values for name, values in made.items() if values.null_count < len(values)}
