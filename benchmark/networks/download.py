"""Fetch a file that somebody publishes: resumable, from mirrors, checked before anybody uses it."""

import base64
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from collector.errors import IncompleteError, T15Error, UsageError
from collector.net.allowlist import origin_of
from collector.net.client import Access, Answer, Http, NetError, RefusedError, Timeouts
from collector.progress import Track
from collector.workspace import storage_errors, take_lock, write_atomically

MIRROR = "T15_WEIGHTS_MIRROR"
"""Environment variable: base address of a mirror that is asked first."""

LARGEST = 8 << 30
"""Bytes: more than any network's weights that t15 can train."""

ATTEMPTS = 5
"""Connections to one address; each goes on where the last was cut."""

_TIMEOUTS = Timeouts(connect=10.0, read=60.0, whole=86_400.0)
_PROGRESS = 1 << 20  # bytes of one step of progress


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
    found = [f"{mirror.rstrip('/')}/{_at_mirror(urls[0])}"] if mirror and urls else []
    return list(dict.fromkeys([*found, *sorted(urls, key=lambda url: urlsplit(url).scheme != "https")]))


def _at_mirror(url: str) -> str:
    # Files of a hub are all called alike: there they lie in folders of their owner and repository.
    owner, _, rest = urlsplit(url).path.strip("/").partition("/")
    repository, resolve, _ = rest.partition("/resolve/")
    return f"{owner}/{repository}/{file_name(url)}" if resolve else file_name(url)


def file_name(url: str) -> str:
    """Return the last part of an address's path."""
    return urlsplit(url).path.rpartition("/")[2]


def without_secrets(url: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host, query="", fragment="").geturl()


def download(
    url: str,
    folder: Path,
    track: Track,
    listed: Sequence[str] = (),
    *,
    attempts: int = ATTEMPTS,
    largest: int = LARGEST,
) -> Path:
    """Return the file at this address, fetched into `folder`; its draft stays there when it cannot be finished.

    A draft is gone on with (Range, If-Range) where the server has shown a validator and the file is unchanged; else the file
    is fetched from its start. It is not known to be the right one before its digest has been checked.

    Args:
        url: http or https.
        folder: for the draft; made when missing.
        track: shows MiB.
        listed: plain http addresses to whose hosts a redirect may lead; other hosts are reached over TLS only, for anybody
            between may change what plain http brings.
        attempts: connections at most.
        largest: bytes that are accepted.

    Raises:
        DownloadError: the server cannot be reached, has no such file, or broke off again and again.
        IncompleteError: the disk is full, or another process fetches the same.
        UsageError: the folder cannot be written to, or its file system has no locks.
    """
    draft = draft_at(folder, url)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with draft.open("ab") as file:
            if not take_lock(file, wait=False):
                raise IncompleteError(f"{draft}: another process fetches this file; wait for it to end")
            try:
                _Download(url, draft, file, track, largest).run(_client(url, listed), attempts)
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


def _client(url: str, listed: Sequence[str]) -> Http:
    named = [one for one in (without_secrets(url), *listed) if one.startswith("http:") or one == without_secrets(url)]
    secrets = tuple(unquote(secret) for secret in (urlsplit(url).password,) if secret)
    own = frozenset(str(origin_of(without_secrets(one))) for one in named)
    return Http(Access({}, own, secrets=secrets, anywhere=True), timeouts=_TIMEOUTS)


@dataclass(frozen=True, slots=True)
class _Download:
    """One address, and the draft that it is written to."""

    url: str
    draft: Path
    file: BinaryIO
    track: Track
    largest: int

    def run(self, http: Http, attempts: int) -> None:
        """Try until the file is whole. A connection that brought something earns another, one that brought nothing none."""
        failure = ""
        for _ in range(attempts):
            had = self.file.tell()
            try:
                return self._exchange(http)
            except NetError as error:
                failure = _in_words(error)
                if error.status is not None or self.file.tell() == had:
                    break
        kept = f"; {self.file.tell() >> 10} KiB are kept" if self.file.tell() else ""
        raise DownloadError(f"{self._name}: {failure}{kept}")

    @property
    def _name(self) -> str:
        return without_secrets(self.url)

    def _exchange(self, http: Http) -> None:
        """Ask once and write what comes; a body shorter than announced raises."""
        validator = _validator_of(self.draft) if self.file.tell() else ""
        headers = {"Range": f"bytes={self.file.tell()}-", "If-Range": validator} if validator else {}
        address, authorization = _split_user(self.url)
        try:
            with http.stream("GET", address, {**headers, **authorization}) as (answer, pieces):
                self._write(answer, pieces, validator)
        except RefusedError as error:
            if error.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not validator or error.answer is None:
                raise
            if error.answer.headers.get("Content-Range", "") == f"bytes */{self.file.tell()}":
                return  # there is no more: the process was killed after the last byte
            _start_again(self.file)  # the draft is longer than the file
            self._exchange(http)

    def _write(self, answer: Answer, pieces: Iterable[bytes], validator: str) -> None:
        """Write the answer's body behind what the file has, or from its start where the whole file comes."""
        file = self.file
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            if not validator or _starts_at(answer) != file.tell():
                _start_again(file)
                raise DownloadError(f"{self._name}: sent another part of the file than was asked for")
        elif answer.status == HTTPStatus.OK:
            _start_again(file)
            write_atomically(_notes(self.draft), json.dumps({"validator": _validator(answer)}).encode())
        else:
            raise DownloadError(f"{self._name}: status {answer.status}")
        length = answer.headers.get("Content-Length", "")
        expected = int(length) if length.isdecimal() else None
        self._check_room(expected or 0)
        steps = self._steps(pieces, file.tell() + (expected or self.largest))
        for _ in self.track(
            steps, f"{file_name(self.url)}, MiB", math.ceil(expected / _PROGRESS) if expected else None
        ):
            pass
        file.flush()
        os.fsync(file.fileno())

    def _check_room(self, size: int) -> None:
        name, folder = file_name(self.url), self.draft.parent
        if size > self.largest:
            raise DownloadError(f"{name}: {size >> 30} GiB are announced; weights are not that large")
        free = shutil.disk_usage(folder).free
        if size > free:
            raise IncompleteError(
                f"{folder}: {name} needs {size >> 20} MiB, and {free >> 20} are free; make room, then again"
            )

    def _steps(self, pieces: Iterable[bytes], until: int) -> Iterator[None]:
        """Write pieces, and yield after every MiB."""
        file = self.file
        shown = file.tell()
        for piece in pieces:
            if file.tell() + len(piece) > until:
                _start_again(file)
                raise DownloadError(f"{file_name(self.url)}: more bytes come than any network's weights have")
            file.write(piece)
            while file.tell() - shown >= _PROGRESS:
                shown += _PROGRESS
                yield
        if file.tell() > shown:
            yield


def _split_user(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without its user and password, and the header that says them; it goes to no other host."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    said = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, {"Authorization": f"Basic {base64.b64encode(said).decode()}"}


def _start_again(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _validator_of(draft: Path) -> str:
    """Return what `If-Range` takes for this draft: a strong ETag or a date; empty where the server gave none."""
    try:
        return str(json.loads(_notes(draft).read_bytes())["validator"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _validator(answer: Answer) -> str:
    # A weak ETag promises the same meaning, not the same bytes; If-Range takes strong ones only (RFC 9110, 13.1.5).
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified", "")


def _starts_at(answer: Answer) -> int:
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else -1


def _in_words(error: NetError) -> str:
    """Return what went wrong in words: an error's own detail holds addresses."""
    words = {
        "certificate": "its certificate is not valid",
        "timeout": "it did not answer in time",
        "truncated": "the connection broke off",
        "reset": "the connection broke off",
        "unreachable": "it cannot be reached",
        "unresolved": "it cannot be reached",
        "private-address": "it leads to an address that is not public",
        "forbidden-host": "leads to an address without https that is not in the list",
        "redirects": "leads from one address to another without end",
    }
    return words.get(error.reason) or (f"status {error.status}" if error.status else error.reason)
