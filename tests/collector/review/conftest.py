"""A small workspace to review, and a browser's part against a server on it."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from collector.catalogue.catalogue import Decision, open_catalogue
from collector.records import Photo
from collector.regions import region
from collector.review.app import serving
from collector.workspace import Workspace, create_workspace
from tests.conftest import MakePhoto, PhotoBytes

HOSTILE = "\"><script>document.title='broken into'</script>' {{ 7*7 }} \u202e&amp; İı 👍"
HOSTILE_ID = "made:Dosya \"Kız\" 'Kulesi'/../?&#%2e<b>.jpg"
CLOCK = datetime(2026, 3, 1, 14, 5, 9, tzinfo=UTC)


class Reviewer(requests.Session):
    """One reviewer's browser: keeps the cookie, and sends what t15's own pages send."""

    def __init__(self, link: str) -> None:
        super().__init__()
        self.trust_env = False
        self.link = link
        self.base = link.partition("/?")[0]

    def enter(self) -> "Reviewer":
        assert self.get(self.link).status_code == 200
        return self

    @property
    def cookie(self) -> str:
        """The header that carries the session."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def page(self, path: str, status: int = 200, **query: object) -> str:
        answer = self.get(self.base + path, params={name: str(value) for name, value in query.items()})
        assert answer.status_code == status, answer.text
        return answer.text

    def submit(self, path: str, body: object, **headers: str | None) -> requests.Response:
        own: dict[str, str | None] = {"Origin": self.base, "X-T15-Review": "1", "Content-Type": "application/json"}
        merged = {**own, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.post(self.base + path, json=body, headers={k: v for k, v in merged.items() if v is not None})

    def decide(self, photo_id: str, verdict: str, **more: object) -> dict[str, Any]:
        answer = self.submit("/decide", {"photo_id": photo_id, "verdict": verdict, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def undo(self) -> dict[str, Any]:
        answer = self.submit("/undo", {})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def shelf(filled: Workspace, tmp_path: Path) -> Workspace:
    """Return a copy of `filled` that may be changed."""
    shutil.copytree(filled.root, tmp_path / "shelf")
    return Workspace(tmp_path / "shelf")


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory, make_photo: MakePhoto, photo_bytes: PhotoBytes) -> Workspace:
    """Return a workspace of nine photos: 0, 3, 6 of Ankara, 1, 4, 7 of Bursa, 2, 5, 8 of Van.

    4 is a duplicate of 1; 2 and 3 are one picture under two cities; 7 has a hostile id and title; 8 no file; 5 a broken one;
    6 no coordinates; flags: 0 blurred, 3 blurred more and a map.
    """
    workspace = create_workspace(tmp_path_factory.mktemp("filled"))
    with open_catalogue(workspace) as catalogue:
        catalogue.remember_region(region("turkiye15"))
        for n in range(9):
            photo = on_disk(workspace, make_photo(n), photo_bytes(n), keep=n != 8)
            if n == 5:
                workspace.photo(str(photo.sha256)).write_bytes(b"\xff\xd8\xff no picture")
            if n == 6:
                photo = replace(photo, latitude=None, longitude=None)
            if n == 7:
                photo = replace(photo, photo_id=HOSTILE_ID, title=HOSTILE, author_name=HOSTILE, page_url="javascript:1")
            catalogue.add(photo, "stamp")
        apart = {"same_bytes": False, "phash_distance": 3, "dhash_distance": 5}
        catalogue.decide(
            "dedup",
            [
                Decision("made:0001", "keep", "made:0001", {"members": 2}),
                Decision("made:0004", "duplicate", "made:0001", apart),
                Decision("made:0002", "conflict", "made:0002", {"members": 2}),
                Decision("made:0003", "conflict", "made:0002", {**apart, "same_bytes": True}),
            ],
        )
        flags = {
            "made:0000": {"blurred": 0.4},
            "made:0003": {"blurred": 0.9, "map": 1.0, "radius": 8, "odd": float("nan")},
        }
        catalogue.decide("quality", [Decision(photo_id, "keep", None, said) for photo_id, said in flags.items()])
    return workspace


def on_disk(workspace: Workspace, photo: Photo, content: bytes, *, keep: bool = True) -> Photo:
    """Return the photo with the digest of its bytes, which are put into the store."""
    photo = replace(photo, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    if keep:
        path = workspace.photo(str(photo.sha256))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return photo


@contextmanager
def reviewing(workspace: Workspace, name: str = "Ayşe") -> Iterator[Reviewer]:
    """Serve a workspace to a reviewer who has used the link; the clock goes on by a second at each look."""
    seconds = count()
    with serving(workspace, name, now=lambda: CLOCK + timedelta(seconds=next(seconds))) as link:
        yield Reviewer(link).enter()
