"""The photos that may be passed on, without their metadata; why each other one stays out; whom to credit for each."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

import pyarrow.compute as pc

from collector.images.layout import file_format
from collector.images.strip_metadata import SUFFIXES, CannotStripError, stripped
from collector.manifest.manifest import Manifest
from collector.progress import Track, silent
from collector.publishing.facts import ids_only_test, judged
from collector.text_table import csv_safe
from collector.web.markdown import link_address, plain
from collector.workspace import Workspace

REASONS = {
    "ids-only": "its service keeps its pictures: ids and parameters only",
    "licence": "the licence does not allow it to be passed on, or is not known",
    "missing": "not in the workspace",
    "damaged": "its bytes in the workspace are not those of the manifest",
    "format": "in a format whose metadata t15 does not take out (not JPEG, PNG or WebP)",
    "moving": "a moving picture",
    "broken": "not laid out as its format says, so that metadata could stay behind",
}
"""Why a photo stays out."""


class Picture(NamedTuple):
    """A photo that may be passed on: its file, the suffix of its format, and whether it differs from the original."""

    content: bytes
    suffix: str
    changed: bool


class Gate:
    """Which photos of a manifest may be passed on, and their files without metadata.

    The pixels are those of the original, bit for bit; nothing is encoded again.
    """

    def __init__(
        self,
        manifest: Manifest,
        workspace: Workspace,
        redistributable: Collection[str] = (),
        *,
        originals: bool = False,
    ) -> None:
        """Take a manifest, where its photos lie, and licences of the publisher's own that allow it.

        With `originals` every photo passes, as it is: for one's own use.
        """
        self._workspace, self._redistributable, self._originals = workspace, redistributable, originals
        self._is_ids_only = ids_only_test(manifest)
        self._forbidden = {} if originals else self._forbidden_copies(manifest)

    def _forbidden_copies(self, manifest: Manifest) -> dict[str, str]:
        """Return why not, by sha256, of bytes that are in several rows: what one of them forbids is forbidden."""
        counted = pc.value_counts(manifest.table["sha256"].combine_chunks())
        several = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
        rows = manifest.table.select(["photo_id", "license", "sha256"])
        rows = rows.filter(pc.is_in(rows["sha256"], several))
        columns = (rows[name].to_pylist() for name in rows.column_names)
        reasons = ((sha256, self._why_not(*of)) for *of, sha256 in zip(*columns, strict=True))
        return {sha256: reason for sha256, reason in reasons if reason}

    def _why_not(self, photo_id: str, license_id: str) -> str:
        if self._is_ids_only(photo_id, license_id):
            return "ids-only"
        return "" if judged(license_id, self._redistributable).redistributable else "licence"

    def reason(self, photo_id: str, license_id: str, sha256: str) -> str:
        """Return why a photo stays out whatever its file, a key of REASONS; empty where it may pass."""
        if self._originals:
            return ""
        return self._why_not(photo_id, license_id) or self._forbidden.get(sha256, "")

    def picture(self, photo_id: str, license_id: str, sha256: str) -> Picture | str:
        """Return a photo's file as it may be passed on, or a key of REASONS."""
        if reason := self.reason(photo_id, license_id, sha256):
            return reason
        try:
            data = self._workspace.photo(sha256).read_bytes()
        except FileNotFoundError:
            return "missing"
        if hashlib.sha256(data).hexdigest() != sha256:
            return "damaged"
        if self._originals:
            return Picture(data, ORIGINAL_SUFFIXES.get(file_format(data[:12]) or "", ".jpg"), changed=False)
        try:
            clean, format_ = stripped(data)
        except CannotStripError as error:
            return str(error)
        return Picture(clean, SUFFIXES[format_], changed=clean != data)


ORIGINAL_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "TIFF": ".tif", "BMP": ".bmp"}
"""Suffixes of files that stay as they are."""


class File(NamedTuple):
    """A photo's file: its path in the publication, and whether it differs from the original."""

    path: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Included:
    """What became of each photo of a manifest: in `files` or in `left_out` (a key of REASONS), by photo_id."""

    files: dict[str, File]
    left_out: dict[str, str]

    def reasons(self) -> dict[str, int]:
        """Return how many photos stay out, by reason, in the order of REASONS."""
        counts = Counter(self.left_out.values())
        return {reason: counts[reason] for reason in REASONS if counts[reason]}


def include_photos(
    manifest: Manifest, workspace: Workspace, folder: Path, track: Track = silent, redistributable: Collection[str] = ()
) -> Included:
    """Write what may be published to `folder/photos/ab/<sha256 of the original>.<suffix>`.

    `redistributable` are licences of the publisher's own that allow it.
    """
    gate = Gate(manifest, workspace, redistributable)
    columns = (manifest.table[name].to_pylist() for name in ("photo_id", "license", "sha256"))
    rows = list(zip(*columns, strict=True))
    done: dict[str, File] = {}
    included = Included({}, {})
    for photo_id, license_id, sha256 in track(rows, "photos", len(rows)):
        outcome: File | str = gate.reason(photo_id, license_id, sha256)
        outcome = outcome or done.get(sha256) or _written(gate.picture(photo_id, license_id, sha256), sha256, folder)
        if isinstance(outcome, File):
            done[sha256] = included.files[photo_id] = outcome
        else:
            included.left_out[photo_id] = outcome
    return included


def _written(picture: Picture | str, sha256: str, folder: Path) -> File | str:
    if isinstance(picture, str):
        return picture
    path = f"photos/{sha256[:2]}/{sha256}{picture.suffix}"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(picture.content)
    return File(path, changed=picture.changed)


_ROWS = 4096  # in memory at a time

COLUMNS = ("photo_id", "title", "author", "license", "license_url", "page_url", "file", "changes", "left_out")


def attribution(manifest: Manifest, included: Included | None) -> str:
    """Return the list that `write_attribution` writes."""
    out = io.StringIO(newline="")
    write_attribution(manifest, included, out)
    return out.getvalue()


def write_attribution(manifest: Manifest, included: Included | None, out: TextIO) -> None:
    """Write the list as CSV (RFC 4180), sorted by photo_id; `included` is None when no photos are published.

    Text that a spreadsheet would run as a formula has a leading apostrophe. Addresses are http or https, or left out.
    `out` is a text file that leaves ends of lines as they are.
    """
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    rows = manifest.table.select(["photo_id", "title", "author_name", "license", "page_url"])
    for batch in rows.to_batches(max_chunksize=_ROWS):  # a manifest's rows are sorted
        for photo_id, title, author, license_id, page_url in zip(
            *(of.to_pylist() for of in batch.columns), strict=True
        ):
            licence = judged(license_id)
            told = (photo_id, title, author, licence.id, licence.url, link_address(page_url))
            writer.writerow([csv_safe(plain(value or "")) for value in (*told, *_file(photo_id, included))])


def _file(photo_id: str, included: Included | None) -> tuple[str, str, str]:
    if included is None:
        return "", "", ""
    if photo_id not in included.files:
        return "", "", included.left_out[photo_id]
    file = included.files[photo_id]
    return file.path, "metadata removed, pixels unchanged" if file.changed else "none", ""
