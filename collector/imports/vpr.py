"""Folders of place recognition with places in the files' names (`manifest.vpr`): SF-XL, and Pitts30k, Tokyo 24/7, MSLS and
others as VPR-datasets-downloader lays them out. MSLS as its authors publish it is the kind `msls`.

Photos below `database` are the gallery and those below `queries` (or `query`, `queries_v1`) ask, of `test`, or where there
is none of `val`, or else of the whole folder; the other parts are left without a side. A panorama's views, and the photos of
a sequence where the note names one, count as one author's.
"""

from pathlib import Path, PurePosixPath
from typing import Any

from collector.errors import DataError
from collector.imports.folders import PICTURES
from collector.imports.records import Records
from collector.manifest.vpr import read_name


def vpr(path: Path, unpacked: Path) -> Records:
    """Read a folder of place recognition.

    Raises:
        DataError: no name in it says a place.
    """
    del unpacked
    rows: list[dict[str, Any]] = []
    files = sorted(file for file in path.rglob("*") if file.suffix.casefold() in PICTURES)
    parts = {file: PurePosixPath(file.relative_to(path).as_posix()).parts[:-1] for file in files}
    query_part = next((part for part in ("test", "val") if any(part in of for of in parts.values())), None)
    for file, folders in parts.items():
        named = read_name(file.name)
        if named is None:
            continue
        drive = named.note or named.panorama
        row: dict[str, Any] = {
            "file": file.relative_to(path).as_posix(),
            "city": path.resolve().name,
            "latitude": named.latitude,
            "longitude": named.longitude,
            "heading": named.heading,
            "sequence": drive,
            "author_id": drive,
            "role": _role(folders),
            "split": _side(folders, query_part),
        }
        rows.append({name: value for name, value in row.items() if value is not None})
    if not rows:
        raise DataError(f"{path}: no picture in it is called @UTM_east@UTM_north@…; an MSLS folder is of the kind msls")
    return Records(path, rows, lambda number: f"photo {rows[number]['file']}", path)


def _role(folders: tuple[str, ...]) -> str | None:
    for folder in folders:
        if folder == "database" or folder.startswith("quer"):
            return "database" if folder == "database" else "query"
    return None


def _side(folders: tuple[str, ...], asked: str | None) -> str | None:
    role = _role(folders)
    if role is None or (asked is not None and asked not in folders):
        return "val" if role == "query" and asked == "test" and "val" in folders else None
    return "train" if role == "database" else "test"
