"""The photos that may be passed on, without their metadata; why each other one stays out; whom to credit for each."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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

    The pixels are those of the original, bit for bit; nothing is encoded again.
    `redistributable` are licences of the publisher's own that allow it.
    """
    columns = (manifest.table[name].to_pylist() for name in ("photo_id", "license", "sha256"))
    rows = list(zip(*columns, strict=True))
    is_ids_only = ids_only_test(manifest)
    reasons = [
        _why_not(license_id, redistributable, ids_only=is_ids_only(photo_id, license_id))
        for photo_id, license_id, _ in rows
    ]
    # The same bytes may be in two rows: what one of them forbids is forbidden.
    forbidden = {sha256: reason for (_, _, sha256), reason in zip(rows, reasons, strict=True) if reason}
    done: dict[str, File | str] = {}
    found = Included({}, {})
    for (photo_id, _, sha256), reason in track(zip(rows, reasons, strict=True), "photos", len(rows)):
        outcome: File | str = reason or forbidden.get(sha256, "")
        outcome = outcome or done.get(sha256) or _copied(workspace.photo(sha256), sha256, folder)
        if isinstance(outcome, File):
            done[sha256] = found.files[photo_id] = outcome
        else:
            found.left_out[photo_id] = outcome
    return found


def _why_not(license_id: str, redistributable: Collection[str], *, ids_only: bool) -> str:
    if ids_only:
        return "ids-only"
    return "" if judged(license_id, redistributable).redistributable else "licence"


def _copied(source: Path, sha256: str, folder: Path) -> File | str:
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        return "missing"
    if hashlib.sha256(data).hexdigest() != sha256:
        return "damaged"
    try:
        clean, format_ = stripped(data)
    except CannotStripError as error:
        return str(error)
    path = f"photos/{sha256[:2]}/{sha256}{SUFFIXES[format_]}"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(clean)
    return File(path, changed=clean != data)


COLUMNS = ("photo_id", "title", "author", "license", "license_url", "page_url", "file", "changes", "left_out")


def attribution(manifest: Manifest, included: Included | None) -> str:
    """Return the list as CSV (RFC 4180, UTF-8), sorted by photo_id; `included` is None when no photos are published.

    Text that a spreadsheet would run as a formula has a leading apostrophe. Addresses are http or https, or left out.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    names = ("photo_id", "title", "author_name", "license", "page_url")
    columns = (manifest.table[name].to_pylist() for name in names)
    for photo_id, title, author, license_id, page_url in sorted(zip(*columns, strict=True)):
        licence = judged(license_id)
        told = (photo_id, title, author, licence.id, licence.url, link_address(page_url))
        writer.writerow([csv_safe(plain(value or "")) for value in (*told, *_file(photo_id, included))])
    return out.getvalue()


def _file(photo_id: str, included: Included | None) -> tuple[str, str, str]:
    if included is None:
        return "", "", ""
    if photo_id not in included.files:
        return "", "", included.left_out[photo_id]
    file = included.files[photo_id]
    return file.path, "metadata removed, pixels unchanged" if file.changed else "none", ""
