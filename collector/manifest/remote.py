"""Manifests that lie elsewhere: under an `https:` address or on a dataset hub, fetched into a cache and checked."""

import hashlib
import importlib
import ipaddress
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from collector.errors import DataError, IncompleteError, ServiceError, T15Error, UsageError
from collector.manifest.manifest import read_manifest, version_key
from collector.workspace import draft_of, remove_drafts, storage_errors

FILES = {"manifest.json": 64 << 20, "photos.parquet": 8 << 30}
"""What is fetched, and the most bytes that each may have."""

_TIMEOUT_S = 30.0  # without a byte
_CHUNK = 1 << 16  # small, for a server may compress what was to come plain, a thousand times
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HUB = re.compile(r"hub:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@#\s]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")

Fetch = Callable[[Path], None]
"""Puts the files of a manifest into a folder."""


def locate(source: str, cache: Path, digest: str | None = None) -> Path:
    """Return the folder of a manifest: a local path as it is, anything else fetched into `cache` and checked.

    `source` is a path, the `https:` address of a manifest's folder (`http:` on this machine only), or
    `hub:OWNER/NAME[@REVISION]` for a data set of the Hugging Face hub. `#sha256=DIGEST` at its end, or `digest`, pins the
    manifest: another one is refused. What cannot change (an address that ends in a version, a
    pinned manifest, a commit of the hub) is fetched once.

    Raises:
        UsageError: the source cannot be understood, there is no manifest, or the hub's library is not installed.
        DataError: what was fetched is damaged, too large, or not the pinned manifest; nothing of it is kept.
        ServiceError: the server refuses access.
        IncompleteError: the server did not answer, or not to the end.
    """
    address, mark, fragment = source.partition("#")
    hub = _HUB.fullmatch(address)
    if not hub and not address.casefold().startswith(("http://", "https://", "hub:")):
        whole = Path(source)
        folder = whole if whole.exists() or not Path(address).exists() else Path(address)
        _require_pin(folder, _pin("" if folder == whole else mark + fragment, digest))
        return folder
    pin = _pin(mark + fragment, digest)
    if hub:
        constant = bool(_COMMIT.fullmatch(hub["revision"] or ""))
        return _cached(address, cache, pin, constant, partial(_from_hub, hub))
    if address.startswith("hub:"):
        raise UsageError(f"{address}: write it as hub:OWNER/NAME or hub:OWNER/NAME@REVISION")
    url = address.rstrip("/").removesuffix("/manifest.json")
    _check_url(url)
    return _cached(url, cache, pin, _is_version(url.rpartition("/")[2]), partial(_from_web, url))


def _pin(fragment: str, digest: str | None) -> str | None:
    """Return the digest that is asked for.

    Raises:
        UsageError: it is none, or two different ones are asked for.
    """
    if fragment and not fragment.startswith("#sha256="):
        raise UsageError(f"{fragment}: only #sha256=DIGEST can follow an address")
    pins = {
        pin.casefold() for pin in (fragment.removeprefix("#sha256=") if fragment else None, digest) if pin is not None
    }
    for pin in pins:
        if not _DIGEST.fullmatch(pin):
            raise UsageError(f"digest {pin!r}: a manifest's digest has 64 hex digits")
    if len(pins) > 1:
        raise UsageError("the digest after # and the one given beside it differ")
    return next(iter(pins), None)


def _is_version(name: str) -> bool:
    try:
        version_key(name)
    except UsageError:
        return False
    return True


def _require_pin(folder: Path, pin: str | None) -> None:
    if pin and (found := read_manifest(folder).digest) != pin:
        raise DataError(f"{folder}: has digest {found}, not {pin} as asked for")


def _cached(source: str, cache: Path, pin: str | None, constant: bool, fetch: Fetch) -> Path:
    """Return the folder that holds the manifest of `source`, fetching it unless it is there and cannot have changed."""
    kept = cache / "manifests" / hashlib.sha256(source.encode(errors="backslashreplace")).hexdigest()[:16]
    held = _stored_digest(kept)
    # Whoever reads the manifest checks that it is what its digest says.
    if held and (held == pin or (constant and pin is None)):
        return kept
    with storage_errors(cache):
        kept.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(kept.parent)
        with _draft(kept) as draft:
            fetch(draft)
            try:
                found = read_manifest(draft).digest
            except T15Error as error:
                raise DataError(str(error).replace(str(draft), source)) from error
            if pin and found != pin:
                raise DataError(f"{source}: has digest {found}, not {pin} as asked for; nothing of it is kept")
            shutil.rmtree(kept, ignore_errors=True)
            try:
                draft.rename(kept)
            except OSError:
                if _stored_digest(kept) != found:  # another process was quicker, with the same
                    raise
    return kept


@contextmanager
def _draft(kept: Path) -> Iterator[Path]:
    draft = draft_of(kept)
    try:
        draft.mkdir()
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _stored_digest(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "manifest.json").read_bytes())["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_url(url: str, start: str | None = None) -> None:
    """Refuse addresses that anybody on the way could answer, and such as hold keys; `start` is where a redirect began.

    A redirect may lead to this machine only from this machine: nobody else's server reaches into it through t15.

    Raises:
        UsageError: it is one; the message does not repeat what may be secret.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise UsageError("an address that cannot be understood was given, or redirected to") from None
    shown = f"{parts.scheme}://{host}{parts.path}" + (f" (redirected there from {start})" if start else "")
    here = _is_here(host)
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and here)):
        raise UsageError(f"{shown}: only https: addresses are read, and http: ones on this machine")
    if start is None and (parts.username or parts.password or parts.query):
        raise UsageError(f"{shown}: give the address of the folder alone, without a name, a password or a ?query")
    if start and here and not _is_here(urlsplit(start).hostname):
        raise UsageError(f"{shown}: a redirect to this machine is not followed")


def _is_here(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


class _Bounded:
    """A file that takes so many bytes and no more."""

    def __init__(self, file: BinaryIO, what: str, most: int) -> None:
        self.file, self.what, self.left = file, what, most

    def write(self, data: bytes) -> int:
        self.left -= len(data)
        if self.left < 0:
            raise DataError(f"{self.what}: is larger than a manifest's file can be; nothing of it is kept")
        return self.file.write(data)

    def flush(self) -> None:
        """Leave the bytes in the buffer: the downloader flushes after every chunk."""


def _from_web(url: str, folder: Path) -> None:
    import pooch

    answers: list[Any] = []

    def look(response: Any, **_: Any) -> None:
        answers.append(response)
        if response.is_redirect:
            _check_url(urljoin(response.url, response.headers["location"]), url)

    download = pooch.HTTPDownloader(
        chunk_size=_CHUNK,
        timeout=_TIMEOUT_S,
        headers={"User-Agent": f"t15/{installed('t15')}", "Accept-Encoding": "identity"},
        hooks={"response": look},
    )
    for name, most in FILES.items():
        address = f"{url}/{name}"
        with (folder / name).open("wb") as file:
            try:
                download(address, _Bounded(file, address, most), None)
            except OSError as error:  # all of requests' errors are
                if not hasattr(error, "response"):
                    raise
                raise _web_error(address, getattr(error.response, "status_code", None), error) from error
            finally:
                for answer in answers:  # pooch leaves them open where anything fails
                    answer.close()


def _web_error(address: str, status: int | None, error: BaseException) -> T15Error:
    if status in (404, 410):
        return UsageError(f"{address}: is not there (HTTP {status}); give the address of a manifest's folder")
    if status in (401, 403, 451):
        return ServiceError(f"{address}: the server refuses access (HTTP {status})")
    what = f"HTTP {status}" if status else type(error).__name__
    return IncompleteError(f"{address}: was not answered to the end ({what}); try again later")


def _from_hub(hub: re.Match[str], folder: Path) -> None:
    try:
        library: Any = importlib.import_module("huggingface_hub")
        errors: Any = importlib.import_module("huggingface_hub.errors")
    except ImportError as error:
        raise UsageError(f"{hub[0]}: needs the library of the hub; pip install 't15[publish]'") from error
    ask = partial(library.hf_hub_download, hub["name"], repo_type="dataset", local_dir=folder)
    revision = hub["revision"]
    for name, most in FILES.items():
        try:
            found = ask(filename=name, revision=revision, dry_run=True)
            if (found.file_size or 0) > most:
                raise DataError(f"{hub[0]}: {name} is larger than a manifest's file can be; nothing of it is kept")
            revision = found.commit_hash  # both files of one commit, whatever is pushed in between
            ask(filename=name, revision=revision)
        except errors.HFValidationError as error:
            raise UsageError(f"{hub[0]}: is no name of a data set on the hub") from error
        except (errors.EntryNotFoundError, OSError) as error:
            raise _hub_error(f"{hub[0]}: {name}", errors, error) from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the library's notes on what it fetched


def _hub_error(what: str, errors: Any, error: Exception) -> Exception:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return ServiceError(f"{what}: the hub refuses access; ask for it on the data set's page, and set HF_TOKEN")
    if isinstance(error, errors.RepositoryNotFoundError):
        return UsageError(f"{what}: there is no such data set on the hub, or it is private: then set HF_TOKEN")
    if isinstance(error, errors.RevisionNotFoundError | errors.RemoteEntryNotFoundError):
        return UsageError(f"{what}: is not there in this revision; a data set of t15 holds it at its top")
    if isinstance(error, errors.HfHubHTTPError | errors.LocalEntryNotFoundError | errors.FileMetadataError):
        reason = f"HTTP {status}" if status else type(error.__cause__ or error).__name__
        return IncompleteError(f"{what}: the hub did not answer to the end ({reason}); try again later")
    return error
