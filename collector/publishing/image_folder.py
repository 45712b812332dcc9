"""A manifest with its photos as a folder that Hugging Face `datasets` reads (imagefolder).

`train/`, `validation/` and `test/` each hold the side's photos and `metadata.jsonl`: `file_name`, and every column of the
manifest. Files are the originals as they lie in the workspace, for one's own use: what may be passed on is what `t15 publish`
makes.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.errors import DataError, UsageError, did_you_mean
from collector.images.layout import file_format
from collector.manifest.manifest import Manifest
from collector.progress import Track, silent
from collector.workspace import Workspace, storage_errors, write_atomically

FOLDERS = {"train": "train", "val": "validation", "test": "test"}
"""What the sides are called there."""

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "TIFF": ".tif", "BMP": ".bmp"}


@dataclass(frozen=True, slots=True)
class Written:
    """How many photos were written, and how many rows of the manifest have no photo in the workspace."""

    written: int
    missing: int


def write_image_folder(
    manifest: Manifest, workspace: Workspace, out: Path, columns: Sequence[str] = (), track: Track = silent
) -> Written:
    """Write the photos that are in the workspace, and their rows; rows without a photo are left out, and counted.

    Raises:
        UsageError: an unknown column, or `out` holds something else.
        DataError: no photo is in the workspace.
        IncompleteError: the disk is full.
    """
    if unknown := [name for name in columns if name not in manifest.rows.column_names]:
        known = manifest.rows.column_names
        raise UsageError(f"--column {unknown[0][:60]!r}: no such column{did_you_mean(unknown[0], known)}")
    foreign = {path.name for path in out.iterdir()} - set(FOLDERS.values()) if out.is_dir() else set()
    if foreign:
        raise UsageError(f"{out}: holds other things ({sorted(foreign)[0][:60]}); name a new folder")
    rows = manifest.rows.to_pylist()
    lines: dict[str, list[str]] = {side: [] for side in FOLDERS}
    missing = 0
    with storage_errors(out):
        for row in track(rows, "photos", len(rows)):
            name = _copied(workspace.photo(row["sha256"]), row["sha256"], out / FOLDERS[row["split"]])
            if name is None:
                missing += 1
                continue
            told = {"file_name": name, **{key: row[key] for key in columns or row}}
            lines[row["split"]].append(json.dumps(told, ensure_ascii=True, default=_plain))
        for side, of_side in lines.items():
            if of_side:
                write_atomically(out / FOLDERS[side] / "metadata.jsonl", ("\n".join(of_side) + "\n").encode())
    if missing == len(rows):
        raise DataError(f"{out}: no photo of {manifest.header.name} is in the workspace; `t15 rehydrate` brings them")
    return Written(len(rows) - missing, missing)


def _copied(source: Path, sha256: str, folder: Path) -> str | None:
    try:
        with source.open("rb") as file:
            suffix = _SUFFIXES.get(file_format(file.read(12)) or "", ".jpg")
    except FileNotFoundError:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{sha256}{suffix}"
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        shutil.copyfile(source, target)
    return target.name


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
