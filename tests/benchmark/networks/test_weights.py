"""Weights that are fetched, added, kept, checked; and the commands that do so."""

import hashlib
import json
import shutil
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pytest_httpserver import HTTPServer
from torch import nn
from typer.testing import CliRunner

from benchmark.commands.weights import app
from benchmark.networks import backbones as known
from benchmark.networks import weights
from benchmark.networks.backbones import Backbone, Pretrained
from benchmark.networks.weights import MissingWeightsError
from collector.errors import DataError, IncompleteError, UsageError
from collector.progress import silent


def small(classes: int) -> nn.Module:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), fc=nn.Linear(4, classes)))


PAGE = "https://example.org/about"
SMALL = Backbone(
    "small/places365",
    "Small",
    small,
    lambda network: list(network.children()),
    "fc",
    {},
    Pretrained("Places365", 5, "CC-BY-4.0", PAGE),
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("T15_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("T15_WEIGHTS_MIRROR", raising=False)
    return tmp_path / "weights"


def published(backbone: Backbone, *urls: str, sha256: str = "") -> Backbone:
    assert backbone.pretrained
    return replace(backbone, pretrained=replace(backbone.pretrained, urls=urls, sha256=sha256))


def state(seed: int = 0, classes: int = 5) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(small(classes).state_dict())


def checkpoint(path: Path, seed: int = 0, classes: int = 5) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    torch.save({"epoch": 9, "state_dict": {f"module.{k}": v for k, v in state(seed, classes).items()}}, path)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def everything(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def test_the_folder(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    assert weights.folder() == place
    monkeypatch.delenv("T15_WEIGHTS")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert weights.folder() == Path("/data/t15/weights")
    for relative in ("", "here"):
        monkeypatch.setenv("XDG_DATA_HOME", relative)
        monkeypatch.setenv("HOME", "/home/someone")
        assert weights.folder() == Path("/home/someone/.local/share/t15/weights")


def test_weights_are_added_and_loaded(tmp_path: Path, place: Path) -> None:
    file = checkpoint(tmp_path / "net.pth.tar")
    tried = weights.add(SMALL, file, dry_run=True)
    assert everything(place) == []
    added = weights.add(SMALL, file)
    assert tried.digest == added.digest
    assert added == weights.stored(SMALL)
    assert (added.licence, added.source, added.data) == ("CC-BY-4.0", "net.pth.tar", "Places365")
    assert added.file_sha256 == sha256(file)
    assert everything(place) == ["pins.json", "small/places365.json", "small/places365.safetensors"]
    loaded = weights.load(SMALL)
    assert list(loaded) == list(state())
    assert all(torch.equal(loaded[name], value) for name, value in state().items())


def test_building_a_network_to_compare_with_draws_nothing_from_others(tmp_path: Path) -> None:
    weights.add(SMALL, checkpoint(tmp_path / "w"))
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    weights.load(SMALL)
    assert torch.equal(torch.rand(4), wanted)


def test_missing_weights_say_what_to_bring(place: Path) -> None:
    assert weights.stored(SMALL) is None
    backbone = published(SMALL, "https://example.org/files/net.pth.tar")
    with pytest.raises(MissingWeightsError) as caught:
        weights.load(backbone)
    said = str(caught.value)
    for part in (
        str(place),
        "`t15 weights fetch small/places365`",
        "net.pth.tar",
        PAGE,
        "`t15 weights add small/places365 FILE`",
    ):
        assert part in said
    assert "\n" not in said
    assert caught.value.exit_code == 3
    assert not place.exists()


def test_weights_that_nobody_publishes_are_not_said_to_be_fetchable() -> None:
    with pytest.raises(MissingWeightsError) as caught:
        weights.fetch(SMALL, silent)
    assert "t15 weights fetch" not in str(caught.value)


def test_networks_with_random_weights_have_none(tmp_path: Path) -> None:
    random = replace(SMALL, pretrained=None)
    assert weights.stored(random) is None
    for attempt in (lambda: weights.add(random, checkpoint(tmp_path / "w")), lambda: weights.load(random)):
        with pytest.raises(UsageError, match="starts from random weights"):
            attempt()


@pytest.mark.parametrize("name", ["../../evil", "/etc/x", "a/b/c", "plain", "A/b", "a/..", "a/b\n"])
def test_names_stay_in_the_folder(tmp_path: Path, place: Path, name: str) -> None:
    with pytest.raises(UsageError, match="architecture/weights"):
        weights.add(replace(SMALL, name=name), checkpoint(tmp_path / "w"))
    assert not place.exists()


def test_weights_of_another_network_are_refused(tmp_path: Path, place: Path) -> None:
    with pytest.raises(
        DataError, match=r"w: not the weights of small/places365: fc\.weight is 7×4, the network's is 5×4"
    ):
        weights.add(SMALL, checkpoint(tmp_path / "w", classes=7))
    assert not place.exists()
    with pytest.raises(UsageError, match="no such file"):
        weights.add(SMALL, tmp_path / "nowhere")


def test_a_published_digest_decides(tmp_path: Path, place: Path) -> None:
    right, wrong = checkpoint(tmp_path / "right"), checkpoint(tmp_path / "wrong", seed=1)
    backbone = published(SMALL, sha256=sha256(right)[:8])
    with pytest.raises(DataError, match=f"its sha256 is {sha256(wrong)}, .*publisher says {sha256(right)[:8]}"):
        weights.add(backbone, wrong)
    assert not place.exists()
    assert weights.add(backbone, right).file_sha256 == sha256(right)


def test_the_first_file_is_pinned_for_ever(tmp_path: Path, place: Path) -> None:
    first, second = checkpoint(tmp_path / "first"), checkpoint(tmp_path / "second", seed=1)
    digest = weights.add(SMALL, first).digest
    shutil.rmtree(place / "small")
    with pytest.raises(DataError) as caught:
        weights.add(SMALL, second)
    for part in (sha256(first), sha256(second), "--sha256", str(place / "pins.json")):
        assert part in str(caught.value)
    assert weights.stored(SMALL) is None
    assert weights.add(SMALL, first).digest == digest
    assert weights.add(SMALL, second, sha256(second)[:12]).digest != digest
    with pytest.raises(DataError, match="first seen"):
        weights.add(SMALL, first)
    (place / "pins.json").write_text("{}")
    assert weights.add(SMALL, first).digest == digest


def test_a_digest_that_is_asked_for_decides(tmp_path: Path, place: Path) -> None:
    file = checkpoint(tmp_path / "w")
    with pytest.raises(DataError, match="not 0000000000 as asked for"):
        weights.add(SMALL, file, "0" * 10)
    for text in ("", "abc", "xyzxyzxyz", "0" * 65):
        with pytest.raises(UsageError, match="8 to 64 hex digits"):
            weights.add(SMALL, file, text)
    assert not place.exists()
    weights.add(published(SMALL, sha256="0" * 8), file, "sha256:" + sha256(file).upper())


def test_damaged_pins_are_not_overwritten(tmp_path: Path, place: Path) -> None:
    place.mkdir()
    for text in ("{", "[]", '{"small/places365": 3}'):
        (place / "pins.json").write_text(text)
        with pytest.raises(DataError, match=r"pins\.json: damaged"):
            weights.add(SMALL, checkpoint(tmp_path / "w"))
        assert everything(place) == ["pins.json"]


def test_altered_weights_are_not_loaded(tmp_path: Path, place: Path) -> None:
    path = weights.add(SMALL, checkpoint(tmp_path / "w")).path
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"places365\.safetensors: altered since it was added"):
        weights.load(SMALL)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"places365\.safetensors: damaged"):
        weights.load(SMALL)
    path.unlink()
    assert weights.stored(SMALL) is None


def test_a_network_that_has_changed_since_is_noticed(tmp_path: Path) -> None:
    weights.add(SMALL, checkpoint(tmp_path / "w"))
    other = replace(SMALL, build=lambda classes: nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 8, 3))))
    with pytest.raises(DataError, match=r"conv\.weight is 4×3×3×3, the network's is 8×3×3×3"):
        weights.load(other)


def test_damaged_facts_are_said(tmp_path: Path, place: Path) -> None:
    said = weights.add(SMALL, checkpoint(tmp_path / "w")).path.with_suffix(".json")
    facts = json.loads(said.read_text())
    for text in ("{", "[]", "{}", json.dumps({**facts, "backbone": "other/places365"})):
        said.write_text(text)
        with pytest.raises(DataError, match=r"places365\.json"):
            weights.stored(SMALL)


@pytest.mark.parametrize("full", [".safetensors", ".json"])
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    weights.add(SMALL, checkpoint(tmp_path / "w"))
    before = everything(place)
    move = Path.replace

    def broken(draft: Path, target: Path) -> Path:
        if target.suffix == full:
            raise OSError(28, "No space left on device")
        return move(draft, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", broken)
        with pytest.raises(IncompleteError, match="the disk is full"):
            weights.add(SMALL, tmp_path / "w")
    assert everything(place) == before
    weights.load(SMALL)


def serve(httpserver: HTTPServer, path: str, file: Path) -> str:
    httpserver.expect_request(path).respond_with_data(file.read_bytes())
    return httpserver.url_for(path)


def test_weights_are_fetched(httpserver: HTTPServer, tmp_path: Path, place: Path) -> None:
    file = checkpoint(tmp_path / "net.pth.tar")
    url = serve(httpserver, "/models/net.pth.tar", file)
    stored = weights.fetch(published(SMALL, url, sha256=sha256(file)[:8]), silent)
    assert stored.source == url
    assert stored.file_sha256 == sha256(file)
    assert everything(place) == ["pins.json", "small/places365.json", "small/places365.safetensors"]


def test_another_mirror_is_asked_after_a_refusal(
    httpserver: HTTPServer, tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = checkpoint(tmp_path / "net.pth.tar")
    gone = httpserver.url_for("/gone/net.pth.tar")
    url = serve(httpserver, "/models/net.pth.tar", file)
    monkeypatch.setenv("T15_WEIGHTS_MIRROR", httpserver.url_for("/mirror"))
    assert weights.fetch(published(SMALL, gone, url), silent).source == url
    asked = [request.path for request, _ in httpserver.log]
    assert asked == ["/mirror/net.pth.tar", "/gone/net.pth.tar", "/models/net.pth.tar"]
    assert everything(place) == ["pins.json", "small/places365.json", "small/places365.safetensors"]


def test_a_wrong_file_is_not_kept_and_another_mirror_asked(httpserver: HTTPServer, tmp_path: Path, place: Path) -> None:
    right, wrong = checkpoint(tmp_path / "right"), checkpoint(tmp_path / "wrong", seed=1)
    bad, good = serve(httpserver, "/bad/net.pth", wrong), serve(httpserver, "/good/net.pth", right)
    only_bad = published(SMALL, bad, sha256=sha256(right)[:8])
    with pytest.raises(DataError) as caught:
        weights.fetch(only_bad, silent)
    assert sha256(wrong) in str(caught.value)
    assert "`t15 weights add small/places365 FILE`" in str(caught.value)
    assert everything(place) == []
    assert weights.fetch(published(SMALL, bad, good, sha256=sha256(right)[:8]), silent).source == good


def test_a_file_that_changed_at_its_source_is_refused(httpserver: HTTPServer, tmp_path: Path, place: Path) -> None:
    url = serve(httpserver, "/net.pth", checkpoint(tmp_path / "w"))
    before = weights.fetch(published(SMALL, url), silent)
    httpserver.clear()
    serve(httpserver, "/net.pth", checkpoint(tmp_path / "w", seed=1))
    with pytest.raises(DataError, match="first seen"):
        weights.fetch(published(SMALL, url), silent)
    assert weights.stored(SMALL) == before


def test_a_login_page_is_not_pinned(httpserver: HTTPServer, tmp_path: Path, place: Path) -> None:
    httpserver.expect_request("/net.pth").respond_with_data(b"<!DOCTYPE html><p>Accept the terms")
    with pytest.raises(DataError, match="web page"):
        weights.fetch(published(SMALL, httpserver.url_for("/net.pth")), silent)
    assert everything(place) == []


def test_no_network_at_all(place: Path) -> None:
    with pytest.raises(IncompleteError) as caught:
        weights.fetch(published(SMALL, "http://127.0.0.1:9/net.pth.tar"), silent)
    said = str(caught.value)
    assert everything(place) == []
    assert "it cannot be reached" in said
    assert f"get http://127.0.0.1:9/net.pth.tar (about it: {PAGE}), then `t15 weights add small/places365 FILE`" in said


@pytest.fixture
def only_small(monkeypatch: pytest.MonkeyPatch) -> Backbone:
    monkeypatch.setattr(known, "BACKBONES", {"small": replace(SMALL, name="small", pretrained=None), SMALL.name: SMALL})
    monkeypatch.setattr(known, "load_plugins", lambda _: {})
    return SMALL


def test_the_list(only_small: Backbone, tmp_path: Path, place: Path) -> None:
    shown = CliRunner().invoke(app, ["list"], catch_exceptions=False).stdout
    assert "missing" in shown
    added = weights.add(SMALL, checkpoint(tmp_path / "net.pth"))
    facts = json.loads(CliRunner().invoke(app, ["list", "--json"], catch_exceptions=False).stdout)
    assert facts["folder"] == str(place)
    entry, *towers = facts["weights"]
    assert all("/" in tower["name"] and tower["commercial"] for tower in towers)
    commercial = json.loads(CliRunner().invoke(app, ["list", "--json", "--commercial"], catch_exceptions=False).stdout)
    assert commercial["weights"] == towers  # of Small it is not said
    assert (entry["name"], entry["state"], entry["digest"]) == ("small/places365", "here", added.digest)
    assert (entry["source"], entry["size"]) == ("net.pth", added.path.stat().st_size)
    added.path.with_suffix(".json").write_text("{")
    assert "damaged" in CliRunner().invoke(app, ["list"], catch_exceptions=False).stdout


def test_the_command_add(only_small: Backbone, tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "net.pth")
    given = ["add", SMALL.name, str(file), "--sha256", sha256(file), "--json"]
    shown = json.loads(CliRunner().invoke(app, given, catch_exceptions=False).stdout)
    assert shown["file_sha256"] == sha256(file)
    with pytest.raises(UsageError, match="did you mean 'small/places365'"):
        CliRunner().invoke(app, ["add", "small/places36", str(file)], catch_exceptions=False)


def test_a_dry_run_of_fetch(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = published(SMALL, "https://user:pass@example.org/net.pth?key=secret", "http://example.org/net.pth")
    monkeypatch.setattr(known, "BACKBONES", {one.name: one})
    monkeypatch.setattr(weights, "detectors", dict)
    done = CliRunner().invoke(app, ["fetch", one.name, "--dry-run"], catch_exceptions=False)
    assert done.stdout.splitlines() == [
        "small/places365: licence CC-BY-4.0",
        "  from https://example.org/net.pth",
        "  or, where that fails, http://example.org/net.pth",
        "dry run: nothing was fetched",
    ]
    found = json.loads(CliRunner().invoke(app, ["fetch", "--all", "--dry-run", "--json"]).stdout)
    assert [(of["name"], of["here"], of["begun"]) for of in found] == [(one.name, False, 0)]
    assert not place.exists()


def test_the_command_fetch(
    only_small: Backbone, httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(httpserver, "/net.pth", checkpoint(tmp_path / "w"))
    other = replace(published(SMALL, httpserver.url_for("/gone.pth")), name="small/gone")
    found = {
        SMALL.name: published(SMALL, url),
        other.name: other,
        "small/by-hand": replace(SMALL, name="small/by-hand"),
    }
    monkeypatch.setattr(known, "BACKBONES", found)
    monkeypatch.setattr(weights, "detectors", dict)
    assert len(weights.inventory()) > len(found)  # timm's: nobody wants them all
    for wrong in ([], ["--all", SMALL.name]):
        with pytest.raises(UsageError, match="either NAME"):
            CliRunner().invoke(app, ["fetch", *wrong], catch_exceptions=False)
    with pytest.raises(IncompleteError, match="1 of 2 failed"):
        CliRunner().invoke(app, ["fetch", "--all"], catch_exceptions=False)
    assert weights.stored(found[SMALL.name])
    with pytest.raises(IncompleteError, match="status 500"):  # pytest-httpserver's answer to what it does not know
        CliRunner().invoke(app, ["fetch", "--all"], catch_exceptions=False)
    del found[other.name]
    done = CliRunner().invoke(app, ["fetch", "--all"], catch_exceptions=False)
    assert done.stdout == "nothing to fetch\n"


def test_weights_that_were_changed_since_they_were_asked_for_are_not_taken(tmp_path: Path) -> None:
    first = weights.add(SMALL, checkpoint(tmp_path / "one.pth"))
    assert weights.load(SMALL, first.digest).keys() == weights.load(SMALL).keys()
    other = checkpoint(tmp_path / "other.pth", seed=1)
    weights.add(SMALL, other, hashlib.sha256(other.read_bytes()).hexdigest())
    with pytest.raises(
        DataError, match=rf"small/places365: others were added meanwhile .* expected {first.digest[:12]}"
    ):
        weights.load(SMALL, first.digest)
