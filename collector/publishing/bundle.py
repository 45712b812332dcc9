"""Publishes a manifest: the folder that others can read, check, cite and load, with no key of a service in it."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pyarrow.parquet as pq

from collector.errors import DataError, UsageError
from collector.manifest.manifest import Manifest, read_manifest
from collector.manifest.schema import SECRET
from collector.progress import Track, silent
from collector.publishing.card import card, datasheet
from collector.publishing.charts import charts
from collector.publishing.croissant import croissant
from collector.publishing.facts import Release, check_release, gather
from collector.publishing.stats import NOTHING, Floats, Looks, Shown, stats
from collector.publishing.with_photos import Included, include_photos, write_attribution
from collector.workspace import Workspace, draft_of, remove_drafts, storage_errors

SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` made.

    Attributes:
        folder: where it lies.
        written: False when exactly this publication was there already (in a dry run: whether it would have been written).
        files: relative paths of all files, sorted.
        bytes: of all files.
        photos_included: rows whose photo is in the folder.
        photos_left_out: the other rows by reason (a key of `with_photos.REASONS`); empty when no photos were asked for.
    """

    folder: Path
    written: bool
    files: tuple[str, ...]
    bytes: int
    photos_included: int
    photos_left_out: dict[str, int]


def publish(
    manifest_folder: Path,
    out: Path,
    *,
    release: Release,
    manifest: Manifest | None = None,
    photos: Workspace | None = None,
    secrets: Sequence[str] = (),
    track: Track = silent,
    dry_run: bool = False,
    populated: Floats | None = None,
    looks: Looks = NOTHING,
) -> Published:
    """Write `out/<name>/<version>/`: the manifest as it is, and all that explains it.

    The same input gives the same bytes. What is there already is completed when all of it is part of this publication (so
    a manifest can be published where it lies, and a run that was killed goes on), and never changed.

    Args:
        manifest_folder: a manifest; it is verified first.
        out: folder of publications.
        release: what the publisher says.
        manifest: the one in `manifest_folder`, by who has read it already.
        photos: where the photos are that are to be published too; None publishes none.
        secrets: values that must not be in any file (`secret_values`).
        track: shows how far the photos are.
        dry_run: make it all in a temporary folder, say what it is, and leave `out` as it is.
        populated: (N, 2) latitude and longitude of populated places, for the card's coverage of cities.
        looks: what the pictures show, for the card.

    Raises:
        UsageError: there is no manifest, or something else is there already.
        DataError: the manifest is damaged, or a file would hold a key.
        IncompleteError: the disk is full.
    """
    check_release(release)
    manifest = manifest or read_manifest(manifest_folder)
    _check_publishable(manifest)
    source = manifest_folder.parent if manifest_folder.is_file() else manifest_folder
    folder = out / manifest.header.name / manifest.header.version
    with storage_errors(out), TemporaryDirectory(prefix="t15-dry-run-") if dry_run else nullcontext() as elsewhere:
        if not elsewhere:
            folder.parent.mkdir(parents=True, exist_ok=True)
            remove_drafts(folder.parent)
        draft = Path(elsewhere) / "draft" if elsewhere else draft_of(folder)
        try:
            shown = Shown(stats(manifest, populated, looks), populated is not None, looks.lines)
            included = _write(draft, source, manifest, release, photos, shown, track)
            check_no_keys(draft, secrets)
            files = _files(draft)
            size = sum((draft / name).stat().st_size for name in files)
            missing = _missing(draft, folder, files)
            if not dry_run:
                _move(draft, folder, missing)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Published(
        folder=folder,
        written=bool(missing),
        files=files,
        bytes=size,
        photos_included=len(included.files) if included else 0,
        photos_left_out=included.reasons() if included else {},
    )


def _check_publishable(manifest: Manifest) -> None:
    """Refuse what `read_manifest` lets pass and no page can show.

    Raises:
        DataError: it has no photos.
    """
    if not manifest.table.num_rows:
        raise DataError(
            f"{manifest.header.name} {manifest.header.version}: holds no photo; there is nothing to publish"
        )


def _write(
    draft: Path,
    source: Path,
    manifest: Manifest,
    release: Release,
    photos: Workspace | None,
    shown: Shown,
    track: Track,
) -> Included | None:
    (draft / "pictures").mkdir(parents=True)
    for name in ("photos.parquet", "manifest.json"):
        shutil.copyfile(source / name, draft / name)
    included = include_photos(manifest, photos, draft, track, release.redistributable) if photos else None
    facts = gather(manifest, release.redistributable)
    pictures = charts(manifest, facts, shown.cities)
    for name, content in pictures.items():
        (draft / "pictures" / name).write_bytes(content)
    with (draft / "ATTRIBUTION.csv").open("w", encoding="utf-8", newline="") as file:
        write_attribution(manifest, included, file)
    described = {name: _described(draft / name) for name in ("photos.parquet", "manifest.json", "ATTRIBUTION.csv")}
    _text(draft / "croissant.json", croissant(manifest, facts, release, described))
    _text(draft / "README.md", card(manifest, facts, release, pictures, included, shown))
    _text(draft / "DATASHEET.md", datasheet(manifest, facts, release, included))
    # In the format of GNU coreutils: digest, two blanks, path.
    _text(draft / SUMS, "".join(f"{_described(draft / name)[0]}  {name}\n" for name in _files(draft)))
    return included


def _text(path: Path, content: str) -> None:
    path.write_bytes(content.encode())  # write_text would translate the ends of lines elsewhere


def _described(path: Path) -> tuple[str, int]:
    """Return a file's sha256 and length."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()))


def _missing(draft: Path, folder: Path, files: Sequence[str]) -> list[str]:
    """Return which of the draft's files the publication lacks.

    Raises:
        UsageError: it holds a file that the draft does not hold, or holds otherwise.
    """
    if not folder.exists():
        return list(files)
    if not folder.is_dir():
        raise UsageError(f"{folder}: not a folder; give another --out")
    present = _files(folder)
    for name in present:
        if name not in files:
            raise UsageError(f"{folder}: holds {name}, which is no part of this publication; give another --out")
        if _described(folder / name) != _described(draft / name):
            raise UsageError(
                f"{folder}: is published already and {name} differs; a publication never changes: give another --out"
            )
    return [name for name in files if name not in present]


def _move(draft: Path, folder: Path, missing: Sequence[str]) -> None:
    """Move the draft into place, whole, or the files that are missing into a folder that holds part of it."""
    if not folder.exists():
        draft.rename(folder)
        return
    for name in sorted(missing, key=lambda name: (name == SUMS, name)):  # the sums last: with them it is complete
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).rename(folder / name)


# --- the last look before anything leaves: no key of a service may be in what is published

_NAMES = re.compile(r"T15_\w*(?:KEY|SECRET|TOKEN)\w*|HF_TOKEN|HUGGING_FACE_HUB_TOKEN")
_SHORTEST = 8  # shorter values are in any text by accident, and no service gives out such a key
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>]+")
_TEXT = {".json", ".md", ".csv", ".svg", ""}  # SHA256SUMS has no suffix


def secret_values(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values of the variables that hold keys: `T15_…KEY`, `…SECRET`, `…TOKEN` and the hub's token."""
    return tuple(
        value.strip() for name, value in sorted(environment.items()) if _NAMES.fullmatch(name) and value.strip()
    )


def check_no_keys(folder: Path, secrets: Sequence[str]) -> None:
    """Look through every file below `folder` for `secrets`, and for addresses that carry a key or a signature.

    A Parquet file is looked through decoded, with all its columns and its metadata. Secrets of fewer than 8 characters are
    not looked for. The pixels of photos are not text: in their files only the secrets are looked for.

    Raises:
        DataError: there is one; the message names the file and not the key.
    """
    needles = {
        spelt.encode() for secret in secrets if len(secret) >= _SHORTEST for spelt in (secret, quote(secret, ""))
    }
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        texts = (
            _cells(path)
            if path.suffix == ".parquet"
            else _lines(path)
            if path.suffix == ".csv"
            else [path.read_bytes()]
        )
        for data in texts:
            if any(needle in data for needle in needles):
                raise DataError(f"{name}: would hold the value of a key from the environment; nothing was published")
            if path.suffix in {*_TEXT, ".parquet"} and _in_url(data):
                raise DataError(
                    f"{name}: would hold an address with a key or a signature in it; nothing was published: "
                    "leave the photo out (`t15 verify` names rows whose addresses hold one)"
                )


def _in_url(data: bytes) -> bool:
    return any(SECRET.search(url) for url in _URL.findall(data.decode("utf-8", "replace")))


def _lines(path: Path) -> Iterator[bytes]:
    """Yield whole lines, some of them at a time: no key and no address spans two."""
    with path.open("rb") as file:
        while lines := file.readlines(1 << 20):
            yield b"".join(lines)


def _cells(path: Path) -> Iterator[bytes]:
    with pq.ParquetFile(path) as file:
        yield repr(file.schema_arrow.metadata).encode()
        yield repr(file.metadata.metadata).encode()
        for batch in file.iter_batches(1024):
            for column in batch.columns:
                yield "\n".join(str(value) for value in column.to_pylist() if value is not None).encode()
