"""Pushing to a hub, against a client that acts like huggingface_hub's."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collector.errors import IncompleteError, ServiceError, T15Error, UsageError
from collector.publishing.bundle import SUMS
from collector.publishing.push import push

pytestmark = pytest.mark.usefixtures("charts_once")

TOKEN = "hf_0123456789"  # noqa: S105 - made up


class FakeHub:
    """Takes what HfApi takes; raises `failure` on the call named `at`."""

    def __init__(self, failure: Exception | None = None, at: str = "create_repo") -> None:
        self.failure, self.at = failure, at
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def create_repo(self, repo_id: str, **options: Any) -> None:
        self._call("create_repo", {"repo_id": repo_id, **options})

    def upload_folder(self, **options: Any) -> None:
        self._call("upload_folder", options)

    def _call(self, name: str, options: dict[str, Any]) -> None:
        if self.failure and name == self.at:
            raise self.failure
        self.calls.append((name, options))


class HttpError(OSError):
    """An error with a response, as HfHubHTTPError is one."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status}: Authorization: Bearer {TOKEN}")
        self.response = SimpleNamespace(status_code=status)


@pytest.fixture
def published(folder: Path) -> Path:
    (folder / SUMS).write_text("")
    return folder


def refused(published: Path, failure: Exception, at: str = "create_repo") -> T15Error:
    with pytest.raises(T15Error) as raised:
        push(published, "hub:someone/three-cities", connect=lambda: FakeHub(failure, at))
    assert TOKEN not in str(raised.value)
    assert raised.value.__suppress_context__
    return raised.value


def test_one_repository_one_upload(published: Path) -> None:
    hub = FakeHub()
    assert push(published, "hub:someone/three-cities", private=True, connect=lambda: hub) == "someone/three-cities"
    assert hub.calls == [
        (
            "create_repo",
            {"repo_id": "someone/three-cities", "repo_type": "dataset", "private": True, "exist_ok": True},
        ),
        (
            "upload_folder",
            {
                "repo_id": "someone/three-cities",
                "repo_type": "dataset",
                "folder_path": str(published),
                "commit_message": "three-cities 1.0.0",
                "delete_patterns": "*",
            },
        ),
    ]


def test_the_real_client_takes_these_arguments() -> None:
    import inspect

    api = pytest.importorskip("huggingface_hub", reason="the hub's client is not installed").HfApi
    for name, needed in {
        "create_repo": {"repo_id", "repo_type", "private", "exist_ok"},
        "upload_folder": {"repo_id", "repo_type", "folder_path", "commit_message", "delete_patterns"},
    }.items():
        assert needed <= set(inspect.signature(getattr(api, name)).parameters)


@pytest.mark.parametrize(
    "target", ["", "someone/x", "hub:", "hub:x", "hub:a/b/c", "hub:../x", "hub:a/ b", "s3:a/b", "hub:a/b\n"]
)
def test_what_is_no_target(published: Path, target: str) -> None:
    with pytest.raises(UsageError, match="write it as hub:OWNER/NAME"):
        push(published, target, connect=FakeHub)


def test_only_publications_are_pushed(folder: Path) -> None:
    hub = FakeHub()
    with pytest.raises(UsageError, match="is no publication"):
        push(folder, "hub:someone/x", connect=lambda: hub)
    assert hub.calls == []


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("at", ["create_repo", "upload_folder"])
def test_a_refused_key(published: Path, status: int, at: str) -> None:
    error = refused(published, HttpError(status), at)
    assert isinstance(error, ServiceError)
    assert "set HF_TOKEN in the environment" in str(error)


def test_no_key_at_all(published: Path) -> None:
    missing = type("LocalTokenNotFoundError", (OSError,), {})("no token")
    assert "HF_TOKEN" in str(refused(published, missing))


@pytest.mark.parametrize(
    ("status", "kind"), [(404, ServiceError), (409, ServiceError), (429, IncompleteError), (503, IncompleteError)]
)
def test_other_answers(published: Path, status: int, kind: type[T15Error]) -> None:
    error = refused(published, HttpError(status))
    assert isinstance(error, kind)
    assert f"HTTP {status}" in str(error)


def test_no_connection(published: Path) -> None:
    lost = type("ConnectError", (Exception,), {"__module__": "httpx._exceptions"})(f"Bearer {TOKEN}")
    error = refused(published, lost)
    assert isinstance(error, IncompleteError)
    assert "(ConnectError); run the same command again" in str(error)


def test_a_defect_is_shown_as_one(published: Path) -> None:
    with pytest.raises(KeyError):
        push(published, "hub:someone/x", connect=lambda: FakeHub(KeyError("x")))


def test_without_the_client(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"pip install 't15\[publish\]'"):
        push(published, "hub:someone/x")
