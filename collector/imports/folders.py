"""Data sets that are trees of folders or archives, read into rows. Every name in them is anybody's text."""

import hashlib
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from collector.errors import DataError, one_line
from collector.imports.records import Records, read_records
from collector.manifest.columns import plain_column
from collector.manifest.foreign import SIDES
from collector.manifest.photo_table import NAMES, path_key
from collector.workspace import storage_errors, write_atomically

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif", ".gif")
"""How the names of pictures end."""

_LARGEST_PICTURE, _LARGEST_TEXT = 64 << 20, 1 << 20  # bytes of a member of a tar file
_LARGEST_JSON = 1 << 30


def msls(path: Path, unpacked: Path) -> Records:
    """Read Mapillary Street-level Sequences: `CITY/{database,query}/` with raw.csv, seq_info.csv and images/KEY.jpg."""
    del unpacked
    rows: list[dict[str, Any]] = []
    for raw in sorted(path.rglob("raw.csv")):
        side, city = raw.parent.name, raw.parent.parent.name
        sequences = {row.get("key"): row.get("sequence_key") for row in _rows_beside(raw, "seq_info.csv")}
        night = {row.get("key"): row.get("night") for row in _rows_beside(raw, "postprocessed.csv")}
        for row in read_records(raw).rows:
            key = row.get("key")
            if key is None:
                raise DataError(f"{raw}: has rows without a key")
            file = (raw.parent / "images" / f"{key}.jpg").relative_to(path).as_posix()
            known = {name: value for name, value in row.items() if name}
            rows.append(
                {
                    **known,
                    "file": file,
                    "city": city,
                    "role": side,
                    "sequence": sequences.get(key),
                    "night": night.get(key),
                }
            )
    return Records(path, rows, lambda number: f"photo {rows[number]['file']}", path)


def _rows_beside(path: Path, name: str) -> list[Mapping[str, Any]]:
    other = path.with_name(name)
    return list(read_records(other).rows) if other.is_file() else []


def imagefolder(path: Path, unpacked: Path) -> Records:
    """Read folders by side and class, and the metadata.csv, .jsonl or .parquet beside the pictures.

    A first folder called as a side is one; the folder of a picture is its class, unless the metadata say it in a column that
    is called as tables of photos call their cities (`photo_table.NAMES`).
    """
    del unpacked
    rows: dict[str, dict[str, Any]] = {}
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.suffix.casefold() in PICTURES and not any(part.startswith(".") for part in parts):
            side = SIDES.get(parts[0].casefold()) if len(parts) > 1 else None
            classes = parts[1:-1] if side else parts[:-1]
            row: dict[str, Any] = {"file": "/".join(parts), "city": classes[-1] if classes else None, "split": side}
            rows[path_key(row["file"])] = {name: value for name, value in row.items() if value is not None}
    for ending in ("csv", "jsonl", "parquet"):
        for table in sorted(path.rglob(f"metadata.{ending}")):
            records = read_records(table)
            label = _first_of(records, NAMES["city"])
            for number, metadata in enumerate(records.rows):
                name = metadata.get("file_name")
                if not isinstance(name, str):
                    raise DataError(f"{table}: {records.places(number)}: no file_name")
                key = (PurePosixPath(table.parent.relative_to(path).as_posix()) / name).as_posix()
                own = {of: value for of, value in metadata.items() if of != "file_name"}
                if label is not None and metadata.get(label) is not None:
                    own["city"] = metadata[label]
                rows[path_key(key)] = {"file": key, **rows.get(path_key(key), {}), **own}
    photos = list(rows.values())
    return Records(path, photos, lambda number: f"photo {photos[number]['file']}", path)


def _first_of(records: Records, names: Sequence[str]) -> str | None:
    """Return the first of `names` that the rows have as a column, as they call it."""
    known = {plain_column(name): name for row in records.rows[:1] for name in row}
    return next((known[name] for name in names if name in known), None)


def fiftyone(path: Path, unpacked: Path) -> Records:
    """Read an export of FiftyOne: `samples.json` with `data/`, or `labels.json` (image classification) with `data/`."""
    del unpacked
    root = path if path.is_dir() else path.parent
    samples, labels = root / "samples.json", root / "labels.json"
    if samples.is_file():
        rows = [_sample(sample) for sample in _list_in(_json(samples), "samples", samples)]
        source = samples
    elif labels.is_file():
        rows, source = list(_classified(_json(labels), labels)), labels
    else:
        raise DataError(f"{path}: holds neither samples.json nor labels.json of FiftyOne")
    return Records(source, rows, lambda number: f"sample {number + 1}", root)


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise DataError(f"{path}: larger than {_LARGEST_JSON >> 20} MiB; export it in parts")
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({one_line(error)})") from error


def _list_in(document: Any, name: str, path: Path) -> list[dict[str, Any]]:
    objects = document.get(name) if isinstance(document, dict) else None
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise DataError(f"{path}: has no list of {name}")
    return objects


def _sample(sample: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"file": sample.get("filepath")}
    for name, value in sample.items():
        if isinstance(value, dict) and value.get("_cls") == "GeoLocation":
            point = value.get("point")
            point = point.get("coordinates") if isinstance(point, dict) else point
            if isinstance(point, list) and len(point) == 2:
                row["longitude"], row["latitude"] = point
        elif isinstance(value, dict) and value.get("_cls") == "Classification":
            row["city" if "city" not in row else name] = value.get("label")
        elif isinstance(value, str | int | float) and name not in ("filepath", "id", "_id", "_media_type"):
            row[name] = value
    tags = sample.get("tags")
    words = [tag.casefold() for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    sides = [SIDES[word] for word in words if word in SIDES]
    return {**row, "split": sides[0]} if sides else row


def _classified(document: Any, path: Path) -> Iterator[dict[str, Any]]:
    labels = document.get("labels") if isinstance(document, dict) else None
    if not isinstance(labels, dict):
        raise DataError(f"{path}: has no object of labels")
    classes = document.get("classes")
    for key, label in labels.items():
        named = label.get("label") if isinstance(label, dict) else label
        if isinstance(named, int) and isinstance(classes, list) and 0 <= named < len(classes):
            named = classes[named]
        yield {"file": key, "city": named if isinstance(named, str) else None}


def webdataset(path: Path, unpacked: Path) -> Records:
    """Read tar files: members that share a name up to its first dot are one sample. Pictures are written below `unpacked`.

    `.json` holds columns, `.cls` the class, `.txt` a title. A picture's new name is of its shard's place and its key alone,
    so that no member's name leads anywhere, and shards of one name in two folders stay apart.

    Raises:
        DataError: a tar file is damaged.
        IncompleteError: the disk is full.
    """
    shards = {path: path.stem} if path.is_file() else {
        shard: shard.relative_to(path).with_suffix("").as_posix() for shard in sorted(path.rglob("*.tar"))
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for shard, folder in shards.items():
        samples: dict[str, dict[str, Any]] = {}
        with storage_errors(unpacked):
            for member, content in _members(shard):
                _take(samples, member, content, shard, unpacked, folder)
        rows += [row for row in samples.values() if "file" in row]
    return Records(path, rows, lambda number: f"sample {rows[number]['__key__']}", unpacked)


_BROKEN_TAR = (
    tarfile.TarError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RecursionError,
    zlib.error,
    lzma.LZMAError,
)


def _members(shard: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the members of a tar file that a sample may be made of.

    Raises:
        DataError: it is damaged. After a header that is none the rest would be passed over without a word.
    """
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                largest = _largest(_suffix(member.name))
                if member.isfile() and member.size <= largest and (file := tar.extractfile(member)):
                    yield member.name, file.read(largest)
            if tar.fileobj is not None:
                tar.fileobj.seek(tar.offset)
                if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
                    raise DataError(f"{shard}: is damaged after {tar.offset} bytes (no header of a member is there)")
    except _BROKEN_TAR as error:
        raise DataError(f"{shard}: cannot be read as a tar file ({one_line(error)})") from error


def _suffix(name: str) -> str:
    ending = name.rpartition("/")[2].partition(".")[2]
    return f".{ending.casefold().rpartition('.')[2]}"


def _largest(suffix: str) -> int:
    """Return how many bytes a member of this suffix may have; -1 for what no sample is made of."""
    return _LARGEST_PICTURE if suffix in PICTURES else _LARGEST_TEXT if suffix in (".json", ".cls", ".txt") else -1


def _take(
    samples: dict[str, dict[str, Any]], member: str, content: bytes, shard: Path, unpacked: Path, folder: str
) -> None:
    """Add a member to its sample; a picture is written below `unpacked/folder`."""
    parent, _, name = member.rpartition("/")
    key = "/".join(filter(None, (parent, name.partition(".")[0])))
    row = samples.setdefault(key, {"__key__": key})
    suffix = _suffix(name)
    if suffix in PICTURES:
        row["file"] = f"{folder}/{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:16]}{suffix}"
        write_atomically(unpacked / row["file"], content)
        return
    text = content.decode("utf-8", "replace").strip()
    if suffix == ".json":
        try:
            columns = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{shard}: {member[:80]}: is not JSON ({one_line(error)})") from error
        if isinstance(columns, dict):
            own = {of: value for of, value in columns.items() if isinstance(value, str | int | float)}
            row.update({of: value for of, value in own.items() if of not in ("file", "__key__")})
    else:
        row.setdefault("city" if suffix == ".cls" else "title", text)
