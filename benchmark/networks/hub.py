"""Files of Hugging Face's hub, by its own library where that is installed: it knows terms, tokens, caches and mirrors.

`HF_ENDPOINT` names a mirror of the hub, `HF_TOKEN` (or `hf auth login`) who asks; both are the library's own.
"""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmark.networks.download import DownloadError, without_secrets
from collector.errors import one_line
from collector.workspace import storage_errors

_FILE = re.compile(r"https://huggingface\.co/(?P<owner>[^/]+)/(?P<name>[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class TermsError(DownloadError):
    """Who publishes a file asks that terms are accepted first."""


def serves(url: str) -> bool:
    """Return whether the hub's library is here, and this is an address of the hub."""
    return _FILE.fullmatch(url) is not None and find_spec("huggingface_hub") is not None


def terms(url: str) -> str:
    """Return how to accept the terms of a file's repository, in a sentence."""
    named = _FILE.fullmatch(url)
    page = f"https://huggingface.co/{named['owner']}/{named['name']}" if named else without_secrets(url)
    return (
        f"terms must be accepted first, or the repository needs a login: read and accept them at {page}, then say who "
        "you are (`hf auth login`, or HF_TOKEN)"
    )


def fetch(url: str, folder: Path) -> tuple[Path, str]:
    """Return a file of the hub, fetched into `folder`, and the sha256 that the hub says it has; empty where it says none.

    Raises:
        TermsError: its terms have to be accepted.
        DownloadError: the hub cannot be reached, has no such file, or broke off; what came is gone on with the next time.
        IncompleteError, UsageError: the folder is full, or cannot be written to.
    """
    import huggingface_hub
    from huggingface_hub import errors as hub_errors

    errors: Any = hub_errors  # `HTTPError` is the HTTP library's, and a stranger to type checkers

    named = _FILE.fullmatch(url)
    assert named is not None  # noqa: S101 (`serves` was asked)
    repository = f"{named['owner']}/{named['name']}"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            metadata = huggingface_hub.get_hf_file_metadata(
                huggingface_hub.hf_hub_url(repository, named["file"], revision=named["revision"], endpoint=endpoint),
                endpoint=endpoint,
            )
            path = huggingface_hub.hf_hub_download(
                repository,
                named["file"],
                revision=named["revision"],
                local_dir=folder / f"{named['owner']}+{named['name']}",
                endpoint=endpoint,
            )
    except errors.GatedRepoError as error:
        raise TermsError(f"{repository}: {terms(url)}") from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(f"{repository}: there is no such repository, or it needs a login; {terms(url)}") from error
    except (errors.HTTPError, OSError, ValueError) as error:  # also where nobody answers, which is no HfHubHTTPError
        raise DownloadError(f"{repository}: {one_line(error, 200)}") from error
    return Path(path), metadata.etag if metadata.etag and _SHA256.fullmatch(metadata.etag) else ""
