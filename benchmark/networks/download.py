"""Fetch a file that somebody publishes: resumable, from mirrors, checked before anybody uses it."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests

from collector.errors import IncompleteError, T15Error, UsageError
from collector.progress import Track
from collector.workspace import storage_errors, take_lock, write_atomically

MIRROR = "T15_WEIGHTS_MIRROR"
"""Environment variable: base address of a mirror that is asked first."""

_TIMEOUT_S = (10.0, 60.0)  # to connect; without a byte
_BLOCK = 1 << 16  # bytes written at a time: what a cut connection can lose
_PROGRESS = 1 << 20  # bytes of one step of progress
_LARGEST = 8 << 30  # bytes: more than any network's weights that t15 can train
_ATTEMPTS = 5  # connections to one address; each goes on where the last was cut
_HOPS = 5  # redirects


class DownloadError(T15Error):
    """One address did not give the file; another may."""

    exit_code = IncompleteError.exit_code


def addresses(urls: Sequence[str]) -> list[str]:
    """Return where to look for a file, in order: the mirror that T15_WEIGHTS_MIRROR names, then `urls`, https before http.

    Raises:
        UsageError: the mirror is no http address.
    """
    mirror = os.environ.get(MIRROR, "").strip()
    if mirror and (urlsplit(mirror).scheme not in ("http", "https") or not urlsplit(mirror).hostname):
        raise UsageError(f"{MIRROR}: must be an address that begins with https:// (or http://)")
    found = [f"{mirror.rstrip('/')}/{file_name(urls[0])}"] if mirror and urls else []
    return list(dict.fromkeys([*found, *sorted(urls, key=lambda url: urlsplit(url).scheme != "https")]))


def file_name(url: str) -> str:
    """Return the last part of an address's path."""
    return urlsplit(url).path.rpartition("/")[2]


def without_secrets(url: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host, query="", fragment="").geturl()


def download(url: str, folder: Path, track: Track, listed: Sequence[str] = ()) -> Path:
    """Return the file at this address, fetched into `folder`; its draft stays there when it cannot be finished.

    A draft is gone on with (Range, If-Range) where the server has shown a validator and the file is unchanged; else the file
    is fetched from its start. It is not known to be the right one before its digest has been checked.

    Args:
        url: http or https.
        folder: for the draft; made when missing.
        track: shows MiB.
        listed: plain http addresses to which a redirect may lead; any other is refused, for anybody between may change
            what it brings.

    Raises:
        DownloadError: the server cannot be reached, has no such file, or broke off again and again.
        IncompleteError: the disk is full, or another process fetches the same.
        UsageError: the folder cannot be written to, or its file system has no locks.
    """
    draft = draft_at(folder, url)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with draft.open("ab") as file, requests.Session() as session:
            if not take_lock(file, wait=False):
                raise IncompleteError(f"{draft}: another process fetches this file; wait for it to end")
            try:
                _fetch(session, url, draft, file, track, listed)
            except BaseException:
                if file.tell() == 0:
                    forget(draft)
                raise
    return draft


def draft_at(folder: Path, url: str) -> Path:
    """Return where the draft of this address lies: another address's may be another file of the same name."""
    return folder / f"{file_name(url)}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"


def forget(draft: Path) -> None:
    """Remove a draft and what is known of it, if there is any."""
    draft.unlink(missing_ok=True)
    _notes(draft).unlink(missing_ok=True)


def _notes(draft: Path) -> Path:
    return draft.with_suffix(".json")


def _fetch(
    session: requests.Session, url: str, draft: Path, file: BinaryIO, track: Track, listed: Sequence[str]
) -> None:
    """Try until the file is whole. A connection that brought something earns another; one that brought nothing does not."""
    failure = ""
    for _ in range(_ATTEMPTS):
        had = file.tell()
        try:
            return _exchange(session, url, draft, file, track, listed)
        except requests.RequestException as error:
            failure = _said(error)
        if file.tell() == had:
            break
    kept = f"; {file.tell() >> 10} KiB are kept" if file.tell() else ""
    raise DownloadError(f"{without_secrets(url)}: {failure}{kept}")


def _exchange(
    session: requests.Session, url: str, draft: Path, file: BinaryIO, track: Track, listed: Sequence[str]
) -> None:
    """Ask once and write what comes; a body shorter than announced raises (urllib3 from 2.0 on compares)."""
    validator = _validator_of(draft) if file.tell() else ""
    headers = {"User-Agent": f"t15/{version('t15')}", "Accept-Encoding": "identity"}
    if validator:
        headers |= {"Range": f"bytes={file.tell()}-", "If-Range": validator}
    with _answer(session, url, headers, listed) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable and validator:
            if answer.headers.get("Content-Range", "") == f"bytes */{file.tell()}":
                return  # there is no more: the process was killed after the last byte
            _start_again(file)  # the draft is longer than the file
            return _exchange(session, url, draft, file, track, listed)
        if answer.status_code == requests.codes.partial:
            if not validator or _starts_at(answer) != file.tell():
                _start_again(file)
                raise DownloadError(f"{without_secrets(url)}: sent another part of the file than was asked for")
        elif answer.status_code == requests.codes.ok:
            _start_again(file)
            write_atomically(_notes(draft), json.dumps({"validator": _validator(answer)}).encode())
        else:
            raise DownloadError(f"{without_secrets(url)}: status {answer.status_code}")
        _write(answer, file, track, file_name(url), draft.parent)


def _start_again(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _validator_of(draft: Path) -> str:
    """Return what `If-Range` takes for this draft: a strong ETag or a date; empty where the server gave none."""
    try:
        return str(json.loads(_notes(draft).read_bytes())["validator"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _validator(answer: requests.Response) -> str:
    # A weak ETag promises the same meaning, not the same bytes; If-Range takes strong ones only (RFC 9110, 13.1.5).
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")


def _starts_at(answer: requests.Response) -> int:
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else -1


def _answer(session: requests.Session, url: str, headers: dict[str, str], listed: Sequence[str]) -> requests.Response:
    """Return the first answer that is no redirect."""
    at = url
    for _ in range(_HOPS):
        answer = session.get(at, headers=headers, timeout=_TIMEOUT_S, stream=True, allow_redirects=False)
        if not answer.is_redirect:
            return answer
        answer.close()
        at = urljoin(at, answer.headers["Location"])
        if urlsplit(at).scheme != "https" and at not in listed:
            raise DownloadError(f"{without_secrets(url)}: leads to an address without https that is not in the list")
    raise DownloadError(f"{without_secrets(url)}: leads from one address to another without end")


def _write(answer: requests.Response, file: BinaryIO, track: Track, name: str, folder: Path) -> None:
    """Write the answer's body behind what the file has."""
    length = answer.headers.get("Content-Length", "")
    expected = int(length) if length.isdecimal() else None
    _check_room(expected or 0, folder, name)
    until = file.tell() + (expected or _LARGEST)
    steps = _steps(answer.iter_content(_BLOCK), file, until, name)
    for _ in track(steps, f"{name}, MiB", math.ceil(expected / _PROGRESS) if expected else None):
        pass
    file.flush()
    os.fsync(file.fileno())


def _check_room(size: int, folder: Path, name: str) -> None:
    if size > _LARGEST:
        raise DownloadError(f"{name}: {size >> 30} GiB are announced; weights are not that large")
    free = shutil.disk_usage(folder).free
    if size > free:
        raise IncompleteError(
            f"{folder}: {name} needs {size >> 20} MiB, and {free >> 20} are free; make room, then again"
        )


def _steps(blocks: Iterable[bytes], file: BinaryIO, until: int, name: str) -> Iterator[None]:
    """Write blocks, and yield after every MiB."""
    shown = file.tell()
    for block in blocks:
        if file.tell() + len(block) > until:
            _start_again(file)
            raise DownloadError(f"{name}: more bytes come than any network's weights have")
        file.write(block)
        while file.tell() - shown >= _PROGRESS:
            shown += _PROGRESS
            yield
    if file.tell() > shown:
        yield


def _said(error: requests.RequestException) -> str:
    """Return what went wrong in words: an exception's own hold addresses, and with them what may be a password."""
    kinds = {
        requests.exceptions.SSLError: "its certificate is not valid",
        requests.exceptions.ProxyError: "the proxy refused",
        requests.exceptions.Timeout: "it did not answer in time",
        requests.exceptions.ChunkedEncodingError: "the connection broke off",
        requests.exceptions.ConnectionError: "it cannot be reached",
    }
    return next((said for kind, said in kinds.items() if isinstance(error, kind)), type(error).__name__)
