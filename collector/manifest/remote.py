"""Manifests that lie elsewhere: under an `https:` address or on a dataset hub, fetched into a cache and checked."""

import hashlib
import importlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from collector.errors import DataError, IncompleteError, ServiceError, T15Error, UsageError
from collector.manifest.manifest import read_manifest, version_key, versions
from collector.net.allowlist import origin_of
from collector.workspace import DEFAULT_MANIFESTS, draft_of, remove_drafts, storage_errors

if TYPE_CHECKING:  # most manifests lie here, and the client takes most of a second
    from collector.net.client import NetError

FILES = {"manifest.json": 64 << 20, "photos.parquet": 8 << 30}
"""What is fetched, and the most bytes that each may have."""

_WHOLE_S = 86_400.0  # for one file; 30 seconds without a byte end it sooner
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HUB = re.compile(r"hub:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@#\s]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")

Fetch = Callable[[Path], None]
"""Puts the files of a manifest into a folder."""


def locate(source: str, cache: Path, digest: str | None = None, manifests: Path | None = None) -> Path:
    """Return the folder of a manifest: a local path as it is, anything else fetched into `cache` and checked.

    `source` is a path, NAME (its newest version) or NAME/VERSION below `manifests` (by default what T15_MANIFESTS names, or
    `manifests`), the `https:` address of a manifest's folder (`http:` on this machine only), or
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
        folder = _named(folder, manifests or Path(os.environ.get("T15_MANIFESTS") or DEFAULT_MANIFESTS))
        _require_pin(folder, _pin("" if folder == whole else mark + fragment, digest))
        return folder
    pin = _pin(mark + fragment, digest)
    if hub:
        constant = bool(_COMMIT.fullmatch(hub["revision"] or ""))
        return cached(address, cache, pin, constant, partial(_from_hub, hub))
    if address.startswith("hub:"):
        raise UsageError(f"{address}: write it as hub:OWNER/NAME or hub:OWNER/NAME@REVISION")
    url = address.rstrip("/").removesuffix("/manifest.json")
    _check_url(url)
    return cached(url, cache, pin, _is_version(url.rpartition("/")[2]), partial(_from_web, url))


def _named(path: Path, manifests: Path) -> Path:
    """Return the folder below `manifests` of the data set of this name, or name and version; the path where there is none."""
    is_here = path.is_file() or (path / "manifest.json").is_file()  # a folder of that name may be anything
    if is_here or path.is_absolute() or not path.parts or ".." in path.parts:
        return path
    if len(path.parts) == 1 and (known := versions(manifests, path.name)):
        return manifests / path / known[-1]
    return manifests / path if (manifests / path / "manifest.json").is_file() else path


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


def cached(source: str, cache: Path, pin: str | None, constant: bool, fetch: Fetch) -> Path:
    """Return the folder that holds the manifest of `source`, fetching it unless it is there and cannot have changed."""
    folder = cache / "manifests" / hashlib.sha256(source.encode(errors="backslashreplace")).hexdigest()[:16]
    held = _stored_digest(folder)
    # Whoever reads the manifest checks that it is what its digest says.
    if held and (held == pin or (constant and pin is None)):
        return folder
    with storage_errors(cache):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_drafts(folder.parent)
        with _draft(folder) as draft:
            fetch(draft)
            try:
                digest = read_manifest(draft).digest
            except T15Error as error:
                raise DataError(str(error).replace(str(draft), source)) from error
            if pin and digest != pin:
                raise DataError(f"{source}: has digest {digest}, not {pin} as asked for; nothing of it is kept")
            shutil.rmtree(folder, ignore_errors=True)
            try:
                draft.rename(folder)
            except OSError:
                if _stored_digest(folder) != digest:  # another process was quicker, with the same
                    raise
    return folder


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


def _check_url(url: str) -> None:
    """Refuse addresses that anybody on the way could answer, and such as hold keys.

    Raises:
        UsageError: it is one; the message does not repeat what may be secret.
    """
    try:
        parts = urlsplit(url)
        origin = None if parts.username or parts.password or not parts.hostname else origin_of(url)
    except ValueError:
        raise UsageError("an address that cannot be understood was given") from None
    shown = f"{parts.scheme}://{parts.hostname}{parts.path}"
    if not parts.hostname or (parts.scheme != "https" and not (origin and origin.loopback)):
        raise UsageError(f"{shown}: only https: addresses are read, and http: ones on this machine")
    if origin is None or parts.query:
        raise UsageError(f"{shown}: give the address of the folder alone, without a name, a password or a ?query")


def _from_web(url: str, folder: Path) -> None:
    """Fetch a manifest's files; redirects lead to its own server, or to public ones over TLS."""
    from collector.net.client import Access, Http, NetError, Timeouts

    http = Http(Access({}, frozenset({str(origin_of(url))}), anywhere=True), timeouts=Timeouts(whole=_WHOLE_S))
    for name, most in FILES.items():
        address = f"{url}/{name}"
        with (folder / name).open("wb") as file:
            try:
                with http.stream("GET", address) as (_, pieces):
                    for piece in pieces:
                        if file.tell() + len(piece) > most:
                            raise DataError(
                                f"{address}: is larger than a manifest's file can be; nothing of it is kept"
                            )
                        file.write(piece)
            except NetError as error:
                raise _web_error(address, error) from error


def _web_error(address: str, error: "NetError") -> T15Error:
    status = error.status
    if error.reason in ("forbidden-host", "private-address"):
        return UsageError(f"{address}: leads elsewhere ({error.detail}): only public https: addresses are followed to")
    if status in (404, 410):
        return UsageError(f"{address}: is not there (HTTP {status}); give the address of a manifest's folder")
    if status in (401, 403, 451):
        return ServiceError(f"{address}: the server refuses access (HTTP {status})")
    what = f"HTTP {status}" if status else error.reason
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
        except (errors.EntryNotFoundError, errors.HTTPError, OSError) as error:
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
    if isinstance(error, errors.HTTPError | errors.LocalEntryNotFoundError | errors.FileMetadataError):
        reason = f"HTTP {status}" if status else type(error.__cause__ or error).__name__
        return IncompleteError(f"{what}: the hub did not answer to the end ({reason}); try again later")
    return error
