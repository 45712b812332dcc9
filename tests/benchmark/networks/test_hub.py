"""Weights of a hub by its own library, against a hub of one's own on the loopback: files, pins, terms, mirrors, halves."""

import hashlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_httpserver import HTTPServer
from safetensors.torch import save
from werkzeug import Request, Response

from benchmark.networks import backbones, hub, weights
from benchmark.networks.backbones import Backbone, Pretrained
from benchmark.networks.download import DownloadError, addresses
from collector.errors import DataError, IncompleteError
from collector.progress import silent

pytest.importorskip("huggingface_hub")

COMMIT = "c" * 40
REPOSITORY = "https://huggingface.co/nobody/net"
PATH = "/nobody/net/resolve/main/model.safetensors"


def build(classes: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, classes or 2))


NET = Backbone(
    "net/hub",
    "Net",
    build,
    lambda network: list(network.children()),
    "1",
    pretrained=Pretrained(
        "nothing",
        2,
        "MIT",
        REPOSITORY,
        (f"{REPOSITORY}/resolve/main/model.safetensors",),
        companions=(f"{REPOSITORY}/resolve/main/tokenizer.json",),
    ),
)
DATA = save(build(2).state_dict())
TOKENIZER = b'{"version": "1.0"}'


class Hub:
    """A hub's answers: metadata and bytes of two files; what it is asked is kept."""

    def __init__(self, server: HTTPServer) -> None:
        self.asked: list[tuple[str, str]] = []
        self.said: dict[str, str] = {}
        self.files = {"model.safetensors": DATA, "tokenizer.json": TOKENIZER}
        self.refusal: Response | None = None
        server.expect_request("/nobody/net/resolve/main/model.safetensors").respond_with_handler(self.answer)
        server.expect_request("/nobody/net/resolve/main/tokenizer.json").respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        self.asked.append((request.method, request.path))
        if self.refusal:
            return self.refusal
        name = request.path.rpartition("/")[2]
        data = self.files[name]
        digest = self.said.get(name, hashlib.sha256(data).hexdigest())
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        headers |= {"X-Linked-Etag": f'"{digest}"', "Accept-Ranges": "bytes"}
        return Response(data, headers=headers)


@pytest.fixture
def served(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    monkeypatch.setenv("HF_ENDPOINT", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("T15_WEIGHTS_MIRROR", raising=False)
    monkeypatch.setitem(backbones.BACKBONES, NET.name, NET)
    return Hub(httpserver)


def test_weights_and_companions_come_and_are_pinned(served: Hub, tmp_path: Path) -> None:
    kept = weights.fetch(NET, silent)
    assert kept.file_sha256 == hashlib.sha256(DATA).hexdigest()
    assert kept.source == NET.pretrained.urls[0]  # type: ignore[union-attr]
    assert [file.read_bytes() for file in weights.companions(NET)] == [TOKENIZER]
    pins = json.loads((tmp_path / "weights" / "pins.json").read_text())
    assert pins["net/hub"] == kept.file_sha256
    assert list(weights.load(NET)) == ["1.weight", "1.bias"]
    assert not list((tmp_path / "weights").rglob("model.safetensors"))
    weights.companions(NET)[0].write_bytes(b"another")
    with pytest.raises(DataError, match="the one first seen had another"):
        weights.companions(NET)


def test_another_file_than_the_pinned_one_is_refused(served: Hub) -> None:
    weights.fetch(NET, silent)
    served.files["model.safetensors"] = save(build(2).state_dict())
    with pytest.raises(DataError, match="first seen for net/hub"):
        weights.fetch(NET, silent)


def test_a_file_that_is_not_what_the_hub_says_is_refused(served: Hub) -> None:
    served.said["model.safetensors"] = "0" * 64
    with pytest.raises((DataError, IncompleteError), match=r"publisher says|net"):
        weights.fetch(NET, silent)
    assert weights.stored(NET) is None


def test_terms_are_told(served: Hub) -> None:
    served.refusal = Response("no", 403, headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
    with pytest.raises(IncompleteError, match=r"terms must be accepted first.*https://huggingface\.co/nobody/net"):
        weights.fetch(NET, silent)


def test_a_repository_that_is_none_or_private_is_told(served: Hub) -> None:
    served.refusal = Response("no", 404, headers={"X-Error-Code": "RepoNotFound"})
    with pytest.raises(IncompleteError, match="no such repository, or it needs a login"):
        weights.fetch(NET, silent)


def test_a_hub_that_nobody_answers_for_is_told(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(IncompleteError, match=r"nobody/net: .*refused"):
            weights.fetch(NET, silent)


def test_without_the_library_t15_s_own_way_tells_terms_too(
    served: Hub, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    """The mirror is asked first; a hub's files lie there below owner and repository, for they are all called alike."""
    monkeypatch.setattr(hub, "find_spec", lambda _: None)
    monkeypatch.setenv("T15_WEIGHTS_MIRROR", httpserver.url_for("/mirror"))
    (first, second) = addresses([f"{REPOSITORY}/resolve/main/model.safetensors"])
    assert first == httpserver.url_for("/mirror/nobody/net/model.safetensors")
    httpserver.expect_request("/mirror/nobody/net/model.safetensors").respond_with_data(DATA)
    httpserver.expect_request("/mirror/nobody/net/tokenizer.json").respond_with_data(TOKENIZER)
    assert weights.fetch(NET, silent).source == first
    assert second.startswith("https://huggingface.co/")
    assert served.asked == []

    def refused(*_: Any, **__: Any) -> Path:
        raise DownloadError("model.safetensors: status 401")

    monkeypatch.delenv("T15_WEIGHTS_MIRROR")
    monkeypatch.setattr("benchmark.networks.download.download", refused)
    with pytest.raises(IncompleteError, match="terms must be accepted first"):
        weights.fetch(NET, silent)


def test_files_put_there_by_hand_are_named_where_they_are_missing(served: Hub, tmp_path: Path) -> None:
    (tmp_path / "file.safetensors").write_bytes(DATA)
    weights.add(NET, tmp_path / "file.safetensors")
    with pytest.raises(DataError, match=r"net/hub.files/tokenizer.json: is not here.*or put https://huggingface.co"):
        weights.companions(NET)


def test_a_network_of_the_hub_is_listed_once_it_is_here(served: Hub) -> None:
    assert "net/hub" in {entry.name for entry in weights.inventory()}
