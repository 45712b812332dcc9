"""Sends a publication to a hub of data sets."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from collector.errors import IncompleteError, ServiceError, UsageError
from collector.publishing.bundle import SUMS

_TARGET = re.compile(r"hub:([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})", re.ASCII)


_HTTP_LIBRARIES = {"huggingface_hub", "httpx", "httpx2", "httpcore", "httpcore2", "h11", "requests", "urllib3"}


class Hub(Protocol):
    """What is needed of `huggingface_hub.HfApi`."""

    def create_repo(self, repo_id: str, *, repo_type: str, private: bool, exist_ok: bool) -> Any:
        """Make a repository, or leave the one that is there."""
        ...

    def upload_folder(
        self, *, repo_id: str, repo_type: str, folder_path: str, commit_message: str, delete_patterns: str
    ) -> Any:
        """Send a folder; the client may divide a large one into several commits."""
        ...


def push(folder: Path, target: str, *, private: bool = False, connect: Callable[[], Hub] | None = None) -> str:
    """Send a publication to the data set `target`, making it when it is not there; return its name there.

    Files that the publication does not hold are removed from the data set, so that a photo that was withdrawn is gone from
    its newest state (its history keeps what was there: delete the data set to be rid of that).

    The hub's address and key are the client's own settings: `HF_ENDPOINT` and `HF_TOKEN`.

    Args:
        folder: a publication, as `publish` made it.
        target: `hub:OWNER/NAME`.
        private: whether a new data set is seen by its owner only.
        connect: makes the client; by default huggingface_hub's.

    Raises:
        UsageError: the target is not one, the folder is no publication, or the client is not installed.
        ServiceError: the hub refuses.
        IncompleteError: the hub cannot be reached; the same call goes on.
    """
    name = data_set_named(target)
    if not (folder / SUMS).is_file():
        raise UsageError(f"{folder}: is no publication (no {SUMS}); `t15 publish` makes one")
    hub = (connect or _hugging_face)()
    try:
        hub.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=name,
            repo_type="dataset",
            folder_path=str(folder),
            commit_message=f"{folder.parent.name} {folder.name}",
            delete_patterns="*",
        )
    except Exception as error:
        if not _is_of_network(error):
            raise
        # Without its cause: what the HTTP libraries say may repeat the key ("Illegal header value b'Bearer …").
        raise _explained(name, error) from None
    return name


def data_set_named(target: str) -> str:
    """Return the hub's name of the data set `hub:OWNER/NAME`.

    Raises:
        UsageError: it is not written so.
    """
    match = _TARGET.fullmatch(target)
    if not match:
        raise UsageError(f"--push {target!r}: write it as hub:OWNER/NAME")
    return match.group(1)


def _hugging_face() -> Hub:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise UsageError("--push needs the hub's client: pip install 't15[publish]'") from None
    hub: Hub = HfApi()
    return hub


def _is_of_network(error: Exception) -> bool:
    """Return whether it is a refusal or a failed connection: the client's own are OSErrors, those below it are not."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in _HTTP_LIBRARIES


def _explained(name: str, error: Exception) -> ServiceError | IncompleteError:
    """Return what to tell of a hub's refusal. Its own words stay out: they may repeat what was sent."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403) or type(error).__name__ == "LocalTokenNotFoundError":
        return ServiceError(
            f"the hub does not let us write to {name}: set HF_TOKEN in the environment to a token with write access"
        )
    if isinstance(status, int) and 400 <= status < 500 and status not in (408, 429):
        return ServiceError(f"the hub refused {name} (HTTP {status})")
    told = f"HTTP {status}" if status else type(error).__name__
    return IncompleteError(f"the hub did not take {name} ({told}); run the same command again later")
