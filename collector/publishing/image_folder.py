"""A manifest with its photos as a folder that other tools read: Hugging Face `datasets` (imagefolder), or FiftyOne.

For `datasets`, `train/`, `validation/` and `test/` each hold the side's photos and `metadata.jsonl`: `file_name`, and every
column of the manifest. For FiftyOne, `data/` holds the photos and `samples.json` the samples, in the form without a version
that each FiftyOne since 0.8 takes as FiftyOneDataset: the city as Classification `ground_truth`, the place as GeoLocation
`location`, the side as a tag, and every other column. Files are the originals as they lie in the workspace, for one's own
use: what may be passed on is what `t15 publish` makes.
"""

import json
import re
import shutil
from collections.abc import Callable, Collection, Sequence
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


Row = dict[str, Any]
"""One of a manifest, by columns."""


def write_image_folder(
    manifest: Manifest, workspace: Workspace, out: Path, columns: Sequence[str] = (), track: Track = silent
) -> Written:
    """Write the photos that are in the workspace, and their rows; rows without a photo are left out, and counted.

    Raises:
        UsageError: an unknown column, or `out` holds something else.
        DataError: no photo is in the workspace.
        IncompleteError: the disk is full.
    """
    lines: dict[str, list[str]] = {side: [] for side in FOLDERS}

    def describe(row: Row, name: str) -> None:
        told = {"file_name": name, **{key: row[key] for key in columns or row}}
        lines[row["split"]].append(json.dumps(told, ensure_ascii=True, default=_plain))

    done = _written(
        manifest, workspace, out, columns, track, set(FOLDERS.values()), lambda row: FOLDERS[row["split"]], describe
    )
    with storage_errors(out):
        for side, of_side in lines.items():
            if of_side:
                write_atomically(out / FOLDERS[side] / "metadata.jsonl", ("\n".join(of_side) + "\n").encode())
    return done


def write_fiftyone(
    manifest: Manifest, workspace: Workspace, out: Path, columns: Sequence[str] = (), track: Track = silent
) -> Written:
    """Write the photos that are in the workspace as a data set of FiftyOne; the rest is as in `write_image_folder`."""
    samples: list[Row] = []

    def describe(row: Row, name: str) -> None:
        samples.append(_sample({key: row[key] for key in columns or row}, row, f"data/{name}"))

    own = {"data", "samples.json", "metadata.json"}
    done = _written(manifest, workspace, out, columns, track, own, lambda _: "data", describe)
    header = manifest.header
    info = {
        **{"name": header.name, "version": header.version, "digest": manifest.digest, "title": header.title},
        **{"note": header.note, "classes": [city.slug for city in header.cities]},
    }
    with storage_errors(out):
        for name, told in (("samples", {"samples": samples}), ("metadata", {"media_type": "image", "info": info})):
            write_atomically(out / f"{name}.json", json.dumps(told, ensure_ascii=True, default=_plain).encode())
    return done


_TAKEN = ("id", "filepath", "tags", "metadata", "frames", "media_type", "ground_truth", "location", "created_at",
    "last_modified_at", "dataset")  # fmt: skip
"""Names of fields that FiftyOne, or an export, has for something else."""


def _sample(told: Row, row: Row, filepath: str) -> Row:
    """Return a row as a sample of FiftyOne; values that it does not have are left out."""
    sample: Row = {
        "filepath": filepath,
        "tags": [FOLDERS[row["split"]]],
        "ground_truth": {"_cls": "Classification", "label": row["city"]},
    }
    if row["latitude"] is not None and row["longitude"] is not None:
        point = {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]}
        sample["location"] = {"_cls": "GeoLocation", "point": point}
    for name, value in told.items():
        if value is not None and name not in ("city", "split", "latitude", "longitude"):
            field = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_") or "column"
            sample[f"{field}_" if field in _TAKEN else field] = value
    return sample


def _written(
    manifest: Manifest,
    workspace: Workspace,
    out: Path,
    columns: Sequence[str],
    track: Track,
    own: Collection[str],
    folder_of: Callable[[Row], str],
    describe: Callable[[Row, str], None],
) -> Written:
    """Copy the photos that are in the workspace to `folder_of(row)` below `out`, and describe each by its row and file name.

    Raises:
        UsageError: an unknown column, or `out` holds something that is none of `own`.
        DataError: no photo is in the workspace.
    """
    if unknown := [name for name in columns if name not in manifest.rows.column_names]:
        known = manifest.rows.column_names
        raise UsageError(f"--column {unknown[0][:60]!r}: no such column{did_you_mean(unknown[0], known)}")
    foreign = {path.name for path in out.iterdir()} - set(own) if out.is_dir() else set()
    if foreign:
        raise UsageError(f"{out}: holds other things ({sorted(foreign)[0][:60]}); name a new folder")
    rows = manifest.rows.to_pylist()
    missing = 0
    with storage_errors(out):
        for row in track(rows, "photos", len(rows)):
            name = _copied(workspace.photo(row["sha256"]), row["sha256"], out / folder_of(row))
            if name is None:
                missing += 1
            else:
                describe(row, name)
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
