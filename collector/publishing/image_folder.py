"""A manifest with its photos as a folder that other tools read: Hugging Face `datasets` (imagefolder), or FiftyOne.

For `datasets`, `train/`, `validation/` and `test/` each hold the side's photos and `metadata.jsonl`: `file_name`, and every
column of the manifest. For FiftyOne, `data/` holds the photos and `samples.json` the samples, in the form without a version
that each FiftyOne since 0.8 takes as FiftyOneDataset: the city as Classification `ground_truth`, the place as GeoLocation
`location`, the side as a tag, and every other column. Which photos pass, and how, is the business of `with_photos.Gate`.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from collector.errors import DataError, UsageError, did_you_mean
from collector.manifest.manifest import Manifest
from collector.progress import Track, silent
from collector.publishing.with_photos import REASONS, Gate
from collector.workspace import Workspace, replacing, storage_errors, write_atomically

FOLDERS = {"train": "train", "val": "validation", "test": "test"}
"""What the sides are called there."""

_ROWS = 4096  # rows in memory at a time


@dataclass(frozen=True, slots=True)
class Written:
    """How many photos were written, and how many rows have none there, by reason (a key of `with_photos.REASONS`)."""

    written: int
    left_out: Mapping[str, int]


Row = dict[str, Any]
"""One of a manifest, by columns."""


def write_image_folder(
    manifest: Manifest,
    workspace: Workspace,
    out: Path,
    columns: Sequence[str] = (),
    track: Track = silent,
    *,
    originals: bool = False,
    redistributable: Collection[str] = (),
) -> Written:
    """Write the photos that may be passed on, and their rows; rows without a photo are left out, and counted.

    Args:
        manifest: the data set.
        workspace: where the photos lie.
        out: the folder.
        columns: of the manifest that go into the metadata; all where none is named.
        track: shows how far it is.
        originals: the files as they are, whatever their licence: for one's own use.
        redistributable: licences of the publisher's own that allow passing photos on.

    Raises:
        UsageError: an unknown column, or `out` holds something else.
        DataError: no photo may be passed on, or none is in the workspace.
        IncompleteError: the disk is full.
    """
    gate = Gate(manifest, workspace, redistributable, originals=originals)
    with storage_errors(out), ExitStack() as files:
        metadata: dict[str, BinaryIO] = {}

        def describe(row: Row, name: str) -> None:
            side = row["split"]
            if side not in metadata:
                metadata[side] = files.enter_context(replacing(out / FOLDERS[side] / "metadata.jsonl"))
            described = {"file_name": name, **{key: row[key] for key in columns or row}}
            metadata[side].write(f"{row_as_json(described)}\n".encode())

        layout = _Layout(tuple(FOLDERS.values()), lambda row: FOLDERS[row["split"]])
        return _written(manifest, gate, out, columns, track, layout, describe)


def write_fiftyone(
    manifest: Manifest, workspace: Workspace, out: Path, columns: Sequence[str] = (), track: Track = silent
) -> Written:
    """Write the photos that are in the workspace as a data set of FiftyOne, as they are: for one's own use.

    Raises:
        UsageError, DataError, IncompleteError: as `write_image_folder`.
    """
    samples: list[Row] = []

    def describe(row: Row, name: str) -> None:
        samples.append(_sample({key: row[key] for key in columns or row}, row, f"data/{name}"))

    gate = Gate(manifest, workspace, originals=True)
    layout = _Layout(("data",), lambda _: "data", ("samples.json", "metadata.json"))
    done = _written(manifest, gate, out, columns, track, layout, describe)
    header = manifest.header
    info = {
        **{"name": header.name, "version": header.version, "digest": manifest.digest, "title": header.title},
        **{"note": header.note, "classes": [city.slug for city in header.cities]},
    }
    with storage_errors(out):
        for name, document in (("samples", {"samples": samples}), ("metadata", {"media_type": "image", "info": info})):
            write_atomically(out / f"{name}.json", json.dumps(document, ensure_ascii=True, default=_plain).encode())
    return done


_TAKEN = ("id", "filepath", "tags", "metadata", "frames", "media_type", "ground_truth", "location", "created_at",
    "last_modified_at", "dataset")  # fmt: skip
"""Names of fields that FiftyOne, or an export, has for something else."""


def _sample(chosen: Row, row: Row, filepath: str) -> Row:
    """Return a row as a sample of FiftyOne; values that it does not have are left out."""
    sample: Row = {
        "filepath": filepath,
        "tags": [FOLDERS[row["split"]]],
        "ground_truth": {"_cls": "Classification", "label": row["city"]},
    }
    if row["latitude"] is not None and row["longitude"] is not None:
        point = {"type": "Point", "coordinates": [row["longitude"], row["latitude"]]}
        sample["location"] = {"_cls": "GeoLocation", "point": point}
    for name, value in chosen.items():
        if value is not None and name not in ("city", "split", "latitude", "longitude"):
            field = re.sub(r"\W", "_", name, flags=re.ASCII).lstrip("_") or "column"
            sample[f"{field}_" if field in _TAKEN else field] = value
    return sample


@dataclass(frozen=True, slots=True)
class _Layout:
    """What an export is made of: the folders of its photos, which of them a row's photo goes to, and files beside them."""

    folders: tuple[str, ...]
    folder_of: Callable[[Row], str]
    files: tuple[str, ...] = ()


def _written(
    manifest: Manifest,
    gate: Gate,
    out: Path,
    columns: Sequence[str],
    track: Track,
    layout: _Layout,
    describe: Callable[[Row, str], None],
) -> Written:
    """Write the photos that pass below `out`, and describe each by its row and file name.

    Photos of the manifest that an earlier export left there, and that do not pass now, are removed.

    Raises:
        UsageError: an unknown column, or `out` holds something that is no part of an export of this manifest.
        DataError: no photo passes.
    """
    rows = manifest.rows
    if unknown := [name for name in columns if name not in rows.column_names]:
        raise UsageError(f"--column {unknown[0][:60]!r}: no such column{did_you_mean(unknown[0], rows.column_names)}")
    stale = _earlier_photos(out, layout, set(rows["sha256"].to_pylist()))
    left_out = dict.fromkeys(REASONS, 0)
    with storage_errors(out):
        every = (row for batch in rows.to_batches(max_chunksize=_ROWS) for row in batch.to_pylist())
        for row in track(every, "photos", rows.num_rows):
            picture = gate.picture(row["photo_id"], row["license"], row["sha256"])
            if isinstance(picture, str):
                left_out[picture] += 1
            else:
                file = out / layout.folder_of(row) / f"{row['sha256']}{picture.suffix}"
                if not file.is_file() or file.read_bytes() != picture.content:
                    write_atomically(file, picture.content)
                stale.discard(file)
                describe(row, file.name)
        reasons = {reason: count for reason, count in left_out.items() if count}
        if sum(reasons.values()) == rows.num_rows:
            brings = "; `t15 rehydrate` brings them" if "missing" in reasons else ""
            raise DataError(f"{out}: no photo of {manifest.header.name} is written ({why_left_out(reasons)}){brings}")
        for file in stale:
            file.unlink()
    return Written(rows.num_rows - sum(reasons.values()), reasons)


def why_left_out(reasons: Mapping[str, int]) -> str:
    """Return how many photos stay out, and why, for an error."""
    return "; ".join(f"{count}: {REASONS[reason]}" for reason, count in reasons.items()) or "it has none"


def _earlier_photos(out: Path, layout: _Layout, digests: Collection[str]) -> set[Path]:
    """Return the photos of a manifest's `digests` that an earlier export wrote below `out`.

    Raises:
        UsageError: `out` is a file, or holds something else: another manifest's photos would be passed on as this one's.
    """
    if not out.is_dir():
        if out.exists():
            raise UsageError(f"{out}: is a file, not a folder; name a new folder")
        return set()
    photos: set[Path] = set()
    strange = {path.name for path in out.iterdir()} - {*layout.folders, *layout.files}
    for folder in (out / name for name in layout.folders if (out / name).is_dir()):
        for path in folder.iterdir():
            if path.stem in digests:
                photos.add(path)
            elif path.name != "metadata.jsonl" and not path.name.startswith("."):
                strange.add(f"{folder.name}/{path.name}")
    if strange:
        raise UsageError(f"{out}: holds other things ({min(strange)[:60]}); name a new folder")
    return photos


def row_as_json(row: Mapping[str, Any]) -> str:
    """Return a row of a manifest as one line of JSON; times in ISO 8601, UTC."""
    return json.dumps(row, ensure_ascii=True, default=_plain)


def _plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)
