"""Collecting from the sandbox's services with the real clients: what the tests of it, and their measurements, share."""

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from collector.catalogue.catalogue import open_catalogue
from collector.collecting.collect import Summary, collect
from collector.net.client import Http
from collector.progress import Track
from collector.providers import commons, flickr, streetview
from collector.providers.base import Survey
from collector.records import Photo, Region, Unusable
from collector.sandbox.flickr_api import KEY as FLICKR_KEY
from collector.sandbox.scenes import CITIES
from collector.sandbox.server import Sandbox
from collector.sandbox.streetview_api import KEY as GOOGLE_KEY
from collector.sandbox.streetview_api import SECRET
from collector.workspace import Workspace
from tests import warm

T = TypeVar("T")

REGION = Region("sandbox", "", CITIES[:2])
MAKERS: dict[str, Callable[[], Survey]] = {
    "commons": commons.make,
    "flickr": flickr.make,
    "streetview": streetview.make,
}
PICTURES = {"commons": "commons.file", "flickr": "flickr.picture", "streetview": "streetview.picture"}
"""The sandbox's name for where a service's pictures are."""

LISTING = {"commons": "commons.geosearch", "flickr": "flickr.photos.search", "streetview": "streetview.metadata"}
FOR_EVER = 10**9
"""As Trouble's `in_a_row`: an outage."""


def lead_to(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead t15's clients to a sandbox, and let them ask again at once: of the waiting times, 0 is drawn."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    for module in (commons, flickr, streetview):
        monkeypatch.setattr(module, "Http", partial(Http, chance=lambda: 0.0))


def run(workspace: Workspace, service: str, region: Region = REGION, **options: Any) -> Summary:
    """Collect from a service with a new client, as a new process would."""
    cities = options.pop("cities", region.cities)
    return collect(workspace, region, cities, MAKERS[service](), **options)


def content(workspace: Workspace) -> list[tuple[Any, ...]]:
    with open_catalogue(workspace) as catalogue:
        return catalogue.content()


def downloaded(workspace: Workspace, service: str = "", city: str = "") -> list[Photo]:
    with open_catalogue(workspace) as catalogue:
        found = catalogue.downloaded()
    return [photo for photo in found if photo.photo_id.startswith(service) and city in ("", photo.city)]


def rejected(workspace: Workspace) -> dict[str, Unusable]:
    with open_catalogue(workspace) as catalogue:
        return {unusable.photo_id: unusable for unusable in catalogue.rejections()}


def states(workspace: Workspace) -> dict[str, int]:
    with open_catalogue(workspace) as catalogue:
        return catalogue.counts()


def asked(sandbox: Sandbox) -> dict[str, int]:
    """Return how often each endpoint was asked, without what went wrong there."""
    return {name: number for name, number in sandbox.requests.items() if "/" not in name}


def check_adds_up(summary: Summary) -> None:
    parts = (summary.rejected, summary.failed, summary.waiting)
    told = summary.added + summary.known + summary.withdrawn + sum(sum(part.values()) for part in parts)
    assert summary.read == told
    assert all(number >= 0 for part in parts for number in part.values())


def check_store(workspace: Workspace) -> None:
    """Check that the store holds the bytes of every downloaded photo and nothing else."""
    photos = downloaded(workspace)
    for photo in photos:
        data = workspace.photo(str(photo.sha256)).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (photo.sha256, photo.bytes)
    stored = [path.name for path in workspace.photos.rglob("*") if path.is_file()]
    assert sorted(stored) == sorted({f"{photo.sha256}.jpg" for photo in photos})


def check_no_key(texts: Iterable[bytes | str], folder: Path | None = None) -> None:
    """Check that no key, whole or as it stands in an address, is in the texts or in any byte of a folder's files."""
    everything = [text if isinstance(text, bytes) else text.encode() for text in texts]
    paths = sorted(folder.rglob("*")) if folder else []
    everything += [path.read_bytes() for path in paths if path.is_file()]
    everything += [os.fsencode(path) for path in paths]
    for key in (FLICKR_KEY, GOOGLE_KEY, SECRET, SECRET.replace("=", "%3D"), "signature="):
        assert not any(key.encode() in text for text in everything), key[:8]


def interfering(beginning: str, after: int, act: Callable[[], object]) -> Track:
    """Return a Track that acts when what is described with this beginning has brought so many items."""

    def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
        for number, item in enumerate(items, start=1):
            yield item
            if number == after and description.startswith(beginning):
                act()

    return track


def start(workspace: Workspace, region_file: Path, service: str, *options: str) -> subprocess.Popen[bytes]:
    """Start `t15 collect` as a process of its own; the environment leads it to the sandbox."""
    command = ["collect", "--provider", service, "--region", str(region_file), "--workspace", str(workspace.root)]
    return subprocess.Popen(
        [warm.python(), "-m", "t15", *command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def kill(process: subprocess.Popen[bytes], moment: Callable[[], bool]) -> bool:
    """End a process by SIGKILL as soon as the moment has come; return whether it came before the process had ended."""
    with process:
        while process.poll() is None and not moment():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return process.returncode == -signal.SIGKILL


def finish(process: subprocess.Popen[bytes]) -> str:
    """Wait for a process, check that it succeeded, and return what it said."""
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said.decode()
    return said.decode()


def ids(photos: Sequence[Photo]) -> Collection[str]:
    return [photo.photo_id for photo in photos]
