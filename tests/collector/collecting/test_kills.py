"""`t15 collect` from a service that fails now and then, killed, and run again: the end is the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from collector.sandbox.scenes import region_text
from collector.sandbox.server import Sandbox, Trouble
from collector.workspace import Workspace, create_workspace
from tests.collector.collecting.sandboxed import (
    check_no_key,
    check_store,
    content,
    downloaded,
    finish,
    kill,
    start,
)

TARGET = ("--target", "12")


def test_killed_while_listing_while_fetching_and_near_the_end(
    sandbox: Sandbox, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = tmp_path / "region.toml"
    region.write_text(region_text(2), encoding="utf-8")
    calm = create_workspace(tmp_path / "calm")
    said = finish(start(calm, region, "flickr", *TARGET))
    assert len(downloaded(calm)) == 24
    sandbox.change(Trouble(0.1, seed=8, retry_after=0, slow_s=0.05))
    moments: list[Callable[[], bool]] = [
        lambda: sandbox.requests["flickr.photos.search"] >= 1,
        lambda: sandbox.requests["flickr.picture"] >= 5,
        lambda: sandbox.requests["flickr.picture"] >= 14,
    ]
    kept = []
    for moment in moments:
        sandbox.requests.clear()
        assert kill(start(workspace, region, "flickr", *TARGET), moment)
        kept.append(len(downloaded(workspace)) if workspace.catalogue.exists() else 0)
        for photo in downloaded(workspace):
            assert workspace.photo(str(photo.sha256)).stat().st_size == photo.bytes
    assert kept == sorted(kept)
    assert kept[-1] < 24, "it was killed too late to prove anything"
    said += finish(start(workspace, region, "flickr", *TARGET))
    assert content(workspace) == content(calm)
    check_store(workspace)
    check_no_key([said], tmp_path)
