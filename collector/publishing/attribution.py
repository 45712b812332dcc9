"""ATTRIBUTION.csv: whom to credit for each photo, under which licence, and what was done to it."""

import csv
import io
from urllib.parse import urlsplit

from collector.manifest.manifest import Manifest
from collector.publishing.facts import judged
from collector.publishing.markdown import plain
from collector.publishing.with_photos import Included

COLUMNS = ("photo_id", "title", "author", "license", "license_url", "page_url", "file", "changes", "left_out")

# A spreadsheet takes a cell that begins so for a formula: https://owasp.org/www-community/attacks/CSV_Injection
# Some also the full-width forms.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


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
        told = (photo_id, title, author, licence.id, licence.url, _address(page_url))
        writer.writerow([_cell(value or "") for value in (*told, *_file(photo_id, included))])
    return out.getvalue()


def _file(photo_id: str, included: Included | None) -> tuple[str, str, str]:
    if included is None:
        return "", "", ""
    if photo_id not in included.files:
        return "", "", included.left_out[photo_id]
    file = included.files[photo_id]
    return file.path, "metadata removed, pixels unchanged" if file.changed else "none", ""


def _address(url: str | None) -> str:
    try:
        parts = urlsplit(url or "")
    except ValueError:  # such as a bracket that is not closed
        return ""
    return url if url and parts.scheme in ("http", "https") and parts.netloc else ""


def _cell(text: str) -> str:
    line = plain(text)
    return f"'{line}" if line.startswith(_FORMULA) else line
